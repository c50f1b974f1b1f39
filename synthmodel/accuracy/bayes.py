"""The robust Bayes error: what no classifier can beat (claims B1 and B1-lp), and linear ones (B1-linear, B1-rows).

A feature of value x is small if |x| <= 2 eps. The attack can take small features to where the classes that lack them
can be, and no others: so all that is left of an input is which of its features are not small.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, xlog1py

from synthmodel.accuracy.three_classes import joint_accuracy, r_acc
from synthmodel.model.noise import Law, law, quantile_rule, settled  # noqa: F401 - law is used by a doctest
from synthmodel.model.setting import Setting, checked, checked_setting, number

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.model.types import Broadcast, Real

__all__ = ["affine_error", "bayes_bounds", "bayes_error", "error_of_chances", "exclusive_error", "linear_error",
           "small"]


def small(known: Law, mean: Real, deviation: Real, eps: Real) -> Float[np.ndarray, "..."]:
    """q = Pr(|x| <= 2 eps) for a feature x = mean + deviation z, z of the Law `known`. Broadcasts.

    >>> round(float(small(law("normal"), 1, 0.5, 0.2)), 6)
    0.112515
    """
    low, high = (-2 * eps - mean) / deviation, (2 * eps - mean) / deviation
    # By the nearer tail, as a difference of two chances that are nearly 1 has no digits.
    return np.where(low > 0, known.sf(low) - known.sf(high), known.cdf(high) - known.cdf(low))


def _check_covered(setting: Setting) -> None:
    checked_setting(setting)
    if setting.norm != math.inf:
        raise ValueError(f"norm = {setting.norm} was given, but the robust Bayes error is known for norm inf only: "
                         "choose it, or bound the error by synthmodel.accuracy.bayes.bayes_bounds.")
    if np.any(np.asarray(setting.rho) < 0):
        raise ValueError(f"rho = {np.min(setting.rho)} was given, but the robust Bayes error is proved for features "
                         "that are independent given what they share: choose rho >= 0.")


def error_of_chances(classes: int, design: str, q_e: Real, q: Real) -> Broadcast:
    """The robust Bayes error for chances q_e and q that an exclusive and a cross-class feature is small.

    >>> round(float(error_of_chances(3, "A", 0.5, 0.5)), 12), error_of_chances(3, "B", 0.5, 0.5)  # q^2 - q^3/3
    (0.208333333333, 0.20833333333333331)
    """
    n = classes - 1
    if design == "A":  # class i of 0, ..., n errs if own and any of i cross-class features are small
        earlier = np.arange(classes).reshape(-1, *[1] * np.ndim(q))
        return q_e * np.mean(-np.expm1(xlog1py(earlier, -q)), axis=0)
    return q_e * q**(n - 1) * (q * n / classes + (1 - q) * n / 2)


def bayes_error(setting: Setting, eps: Real) -> Broadcast:
    """The least robust error that any classifier can have (claim B1). Broadcasts over eps and the setting's numbers.

    With q_E, q the chances that an exclusive and a cross-class feature lies in [-2 eps, 2 eps] and n = K - 1:
    design A: q_E (1 - (1 - (1-q)^K)/(K q)); design B: q_E q^(n-1) (q n/K + (1-q) n/2). For rho > 0 their mean over
    what the cross-class features share. Any noise, means and deviations; norm inf and rho >= 0, ValueError otherwise.

    >>> round(bayes_error(Setting(1, 0.5), 0.2), 6)  # q^2 - q^3/3
    0.012185
    """
    _check_covered(setting)
    eps, rho = checked("eps", eps, least=0), np.asarray(setting.rho, dtype=float)
    q_e = small(setting.law, setting.mu_e, setting.sigma_e, eps)
    if not np.any(rho > 0):
        q = small(setting.law, setting.mu_c, setting.sigma_c, eps)
        return number(error_of_chances(setting.classes, setting.design, *np.broadcast_arrays(q_e, q)))

    def mean(order: int) -> Float[np.ndarray, "..."]:
        z, weights, _, _ = quantile_rule(setting.law, order)
        over = [np.asarray(x, dtype=float)[..., None] for x in (setting.mu_c, setting.sigma_c, rho, eps, q_e)]
        mu, sigma, shared, size, own = over
        q = small(setting.law, mu + sigma * np.sqrt(shared) * z, sigma * np.sqrt(1 - shared), size)
        return error_of_chances(setting.classes, setting.design, *np.broadcast_arrays(own, q)) @ weights
    return number(settled(mean, "the robust Bayes error"))


def bayes_bounds(setting: Setting, eps: Real, *, randomised: bool = False) -> tuple[Broadcast, Broadcast]:
    """(low, high) with low <= least robust error <= high, p = setting.norm (claim B1-lp). Broadcasts.

    `bayes_error` of an l_inf attack of size eps D^(-1/p) and eps. For deterministic classifiers D is the number of
    features in which two classes differ: 4 in design A, 2 (K-1) in design B. For randomised ones, whose draw the attack
    does not see, it is that of all features: 2 K in design A, K (K+1)/2 in design B. For p = inf both bounds are the
    error itself, of either kind. Errors as `bayes_error`.

    >>> [round(float(bound), 6) for bound in bayes_bounds(Setting(1, 0.5, norm=2), 0.2)]
    [0.002138, 0.012185]
    >>> round(float(bayes_bounds(Setting(1, 0.5, norm=2), 0.2, randomised=True)[0]), 6)
    0.001362
    """
    widest = replace(checked_setting(setting), norm=math.inf)
    if randomised:
        differ = setting.classes * 2 if setting.design == "A" else setting.classes * (setting.classes + 1) // 2
    else:
        differ = 4 if setting.design == "A" else 2 * setting.active
    size: Real = checked("eps", eps, least=0)
    return bayes_error(widest, size * differ**(-1 / setting.norm)), bayes_error(widest, size)


def exclusive_error(setting: Setting, eps: Real) -> Broadcast:
    """q_E (1 - 1/K): the least robust error of any classifier that sees the exclusive features alone. Broadcasts.

    >>> round(exclusive_error(Setting(1, 0.5), 0.2), 6)
    0.07501
    """
    _check_covered(setting)
    eps = checked("eps", eps, least=0)
    q_e = small(setting.law, setting.mu_e, setting.sigma_e, eps)
    return number(q_e * (1 - 1 / setting.classes))


def affine_error(k: Real) -> Broadcast:
    """(Phi(-k) + Phi(-sqrt(2) k))/3: scores with constants come as near to this robust error as one likes. Broadcasts.

    Three classes, equal means and noises, k = (mu - 2 eps)/sigma > 0 (claim B1-linear).

    >>> round(affine_error(1.2), 6)
    0.053304
    """
    k = np.asarray(checked("k", k, above=0))
    return number((ndtr(-k) + ndtr(-math.sqrt(2) * k)) / 3)


def linear_error(k: float) -> float:
    """(Phi(-sqrt(3) k) + 2 (1 - P(r_acc, k)))/3: at eps = 0 scores W x come as near to this error as one likes.

    Three classes, equal means and noises, k = mu/sigma > 0; P: `joint_accuracy`, which the best two weights have in
    each class (claim B1-rows). The scores have no constants, and the rows of W are not alike.

    >>> round(linear_error(1.2), 6), round(1 - float(joint_accuracy(r_acc(1.2), 1.2)), 6)
    (0.057904, 0.077439)
    """
    k = checked("k", k, above=0, single=True)
    return float(ndtr(-math.sqrt(3) * k) + 2 * (1 - joint_accuracy(r_acc(k), k))) / 3
