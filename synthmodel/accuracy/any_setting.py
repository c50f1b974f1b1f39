"""Robust accuracy of a ratio r = w2/w1 in any `Setting`, and the best ratio (claims G-joint-K, T2-joint-K, T2-unequal).

The margins are m_j = e + r c_j in law, each lowered by the attack by the same eps |(kappa_E, kappa_C r)|_q. With
M = mean(r) + r sigma_c sqrt(own) min_j z_j: joint accuracy = E F(M/tau), F(u) = Pr(z > -u) and tau the deviation of
what all margins share.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import ndtr, owens_t

from synthmodel.accuracy.three_classes import nonnegative, r_acc
from synthmodel.model.losses import Margin
from synthmodel.model.noise import all_positive, least_rule
from synthmodel.model.penalty import weighed
from synthmodel.model.roots import brentq
from synthmodel.model.setting import Setting, checked, checked_setting, number
from synthmodel.model.solution import NotConverged
from synthmodel.solvers.margin_closed import extreme_mean, linear_parts, pair_norm

if TYPE_CHECKING:
    from synthmodel.model.types import Broadcast, Real

__all__ = ["accuracy_of", "best_ratio", "best_smoothing"]

LARGEST_RATIO = 1e100  # its square times a variance is still a number
PANELS = 81  # nodes in a panel for dP/dr; accuracies settle how many they need
# The trapezoidal rule for a standard normal law, which beyond 9 weighs 2e-19; Phi^n is smooth on the step's scale.
NORMAL = np.arange(-9.0, 9.05, 0.1)
NORMAL_WEIGHTS = 0.1 * np.exp(-NORMAL**2 / 2) / math.sqrt(2 * math.pi)


def _mean(setting: Setting, r: float, eps: float) -> tuple[float, float]:
    """(mean margin lowered by the attack, its slope in r)."""
    _, _, size_e, size_c = linear_parts(setting, Margin())
    p = setting.norm
    if p == math.inf:
        loss, slope = eps * (size_e + size_c * r), eps * size_c
    else:
        q = math.inf if p == 1 else p / (p - 1)
        size = pair_norm(size_e, size_c * r, q)
        loss = eps * size
        slope = eps * size_c * ((size_c * r > size_e) if p == 1 else (size_c * r / size)**(q - 1))
    return setting.mu_e + r * setting.sharing * setting.mu_c - loss, setting.sharing * setting.mu_c - slope


def _check_covered(setting: Setting) -> None:
    checked_setting(setting)
    if np.ndim(setting.mu_e + setting.mu_c + setting.sigma_e + setting.sigma_c + setting.rho):
        raise ValueError("a setting of arrays was given, but an accuracy takes one setting at a time: give numbers.")
    if setting.noise != "normal" and setting.design == "B" and setting.classes > 3:
        raise ValueError(f"{setting.law.name} noise was given in design B with {setting.classes} classes, whose "
                         "margins have independent parts for normal noise only: choose normal noise or design A.")
    if setting.classes > 3 and setting.variances[0] < 0:
        raise ValueError(f"rho = {setting.rho} was given with {setting.classes} classes, but the accuracy takes a "
                         "negative correlation for three classes only: choose rho >= 0.")


def _parts(setting: Setting, r: float, eps: float) -> tuple[float, float, float, float, float]:
    """Of the margins m_j = mean + (what all share) + r unit z_j: mean, its slope in r, the shared variance, its slope
    in r, and unit.
    """
    common, own = setting.variances
    mean, slope = _mean(setting, r, eps)
    common, unit = common * setting.sigma_c**2, cast("float", setting.sigma_c * math.sqrt(own))
    return mean, slope, setting.sigma_e**2 + common * r * r, 2 * common * r, unit


def _joint(setting: Setting, n: int, mean: float, shared: float, spread: float) -> float:
    """P(n margins > 0)."""
    tau = math.sqrt(shared) if shared > 0 else 0.0
    if setting.noise != "normal":
        return float(all_positive(setting.law, setting.law, n, mean, tau, spread,
                                  f"the accuracy for {setting.law.name} noise"))
    deviation = math.sqrt(shared + spread**2)
    if n <= 2:  # sqrt((1 - c)/(1 + c)), c the correlation of two margins
        h, q = mean / deviation, spread / math.sqrt(2 * shared + spread**2)
        return max(ndtr(h) - (n - 1) * 2 * owens_t(h, q), 0.0)  # rounding, where both are below 1e-17
    if spread <= tau:
        return NORMAL_WEIGHTS @ (n * ndtr(-NORMAL)**(n - 1) * ndtr((mean + spread * NORMAL) / tau))
    return NORMAL_WEIGHTS @ ndtr((mean + tau * NORMAL) / spread)**n


def accuracy_of(setting: Setting, ratio: Real, eps: Real) -> tuple[Broadcast, Broadcast]:
    """(joint, pairwise): the robust accuracy of w2/w1 = ratio, against all wrong classes and against any one of them.

    joint = Pr(all m_j > 0), pairwise = Pr(m_j > 0), m_j = e + r c_j at the worst perturbation of size eps for the pair.
    setting: any with numbers, not arrays (other noise than normal: design A or three classes); ratio >= 0, eps >= 0,
    which broadcast. Raises ValueError otherwise.

    >>> [round(float(f), 6) for f in accuracy_of(Setting(1, 0.5, classes=10), 0.5, 0.2)]
    [0.84455, 0.946298]
    """
    _check_covered(setting)
    ratio, eps = np.broadcast_arrays(nonnegative(ratio, LARGEST_RATIO), checked("eps", eps, least=0))
    both = []
    for r, size in zip(ratio.ravel().tolist(), eps.ravel().tolist(), strict=True):
        mean, _, shared, _, unit = _parts(setting, r, size)
        both.append([_joint(setting, n, mean, shared, r * unit) for n in (setting.active, 1)])
    joint, pairwise = (number(values.reshape(ratio.shape)) for values in np.transpose(both))
    return joint, pairwise


def _slope(setting: Setting, r: float, eps: float) -> float:
    """dP/dr; for normal noise divided by phi(h), h the standardised mean of a margin, which might underflow."""
    mean, mean_slope, shared, shared_slope, unit = _parts(setting, r, eps)
    law, n, spread = setting.law, setting.active, r * unit
    variance = shared + spread**2
    if setting.noise == "normal" and n == 2:
        # dP = 2 phi(h) Phi(h q) dh + phi(h) phi(h q) dc/sqrt(1 - c^2), c the correlation, q = sqrt((1 - c)/(1 + c))
        h, q = mean / math.sqrt(variance), spread / math.sqrt(variance + shared)
        turned = (shared_slope * spread - 2 * shared * unit) / (variance * math.sqrt(variance + shared))
        return float(2 * ndtr(h * q) * (mean_slope / math.sqrt(variance)
                                        - h * (shared_slope / 2 + unit * spread) / variance) + law.pdf(h * q) * turned)
    tau = math.sqrt(shared)
    if setting.noise == "normal":
        # P = E Phi(u), u = (mean + spread z)/tau, z the least of n; phi(z) phi(u) = phi(h) times a density in z
        z = -mean * spread / variance + tau / math.sqrt(variance) * NORMAL
        weights = NORMAL_WEIGHTS * ndtr(-z)**(n - 1)
        rise = (mean_slope + unit * z) / tau - (mean + spread * z) / tau * shared_slope / (2 * shared)
    else:
        z, weights, u = least_rule(law, law, n, mean, tau, spread, PANELS)
        rise = (mean_slope + unit * z) / tau if spread <= tau else (mean_slope - u * unit) / spread
        weights = weights * law.pdf(-u) * (1 if spread <= tau else n * law.sf(-u)**(n - 1))
    return float(weights @ rise)


def best_ratio(setting: Setting, eps: float) -> float:
    """The ratio r >= 0 of the highest joint robust accuracy: a root of dP/dr, or 0 (claims T2-joint', T2-joint-K).

    For three classes, equal means and noises it is r_acc(k); for K classes (design A, equal noise) it is 0 iff
    k <= e_{K-1}. Elsewhere every change of sign of dP/dr on a grid is refined and the best taken. The grid goes up to a
    million sigma_e/sigma_c; beyond, as where the exclusive feature alone is no better than chance, there is a
    supremum only. setting and eps: numbers. Raises ValueError then, and where no ratio has a margin of positive mean.

    >>> round(best_ratio(Setting(1, 0.5, classes=10), 0.1), 6), best_ratio(Setting(1, 0.5, classes=10), 0.2)
    (0.196684, 0.0)
    """
    _check_covered(setting)
    eps = checked("eps", eps, least=0, single=True)
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 241)]) * setting.sigma_e / setting.sigma_c
    if max(_mean(setting, r, eps)[0] for r in grid) <= 0:
        raise ValueError(f"eps = {eps} was given, but there no ratio has a margin of positive mean: choose a smaller "
                         "one.")
    if setting.plain and setting.mu_e == setting.mu_c and setting.sigma_e == setting.sigma_c:
        return r_acc(setting.k(eps))
    slopes = np.array([_slope(setting, r, eps) for r in grid])
    if slopes[-1] > 0:
        raise ValueError(f"eps = {eps} was given, but there accuracy still rises at the ratio {grid[-1]:.1e}: choose "
                         "an eps at which the exclusive feature alone is better than chance.")
    peaks = [0.0] if slopes[0] <= 0 else []
    peaks += [float(brentq(lambda r: _slope(setting, r, eps), grid[i], grid[i + 1], xtol=1e-300, rtol=1e-14))
              for i in np.flatnonzero((slopes[:-1] > 0) & (slopes[1:] <= 0))]
    return max(peaks, key=lambda r: accuracy_of(setting, r, eps)[0])


def best_smoothing(setting: Setting, eps: float, decay: str = "weights") -> float | None:
    """b* with which the smoothed margin's ratio is the best one (N3, T2-joint-K); None where the best ratio is 0.

    b* = 1 - (d_C - r d_E)/(sigma_c g), g = `extreme_mean`, d the robust means. Below 0, where the margin loss already
    uses too much (possible at unequal noise, claim N2-unequal), or from 1 on, no smoothing reaches the best ratio.
    decay: a penalty of `synthmodel.model.penalty.weighed`, or "matrix", which is "centred" (claim N2-B): one that
    counts w2^2 q times as often as w1^2 puts q r in the place of r. Norm inf only.

    >>> round(best_smoothing(Setting(1, 0.5), 0.2), 6)
    0.487518
    >>> round(best_smoothing(Setting(1, 0.5, classes=10, design="B"), 0.2, decay="matrix"), 6)
    0.438901
    """
    if checked_setting(setting).norm != math.inf:
        raise ValueError(f"norm = {setting.norm} was given, but b* is known for norm inf only: choose it.")
    count_e, count_c = weighed(setting, "centred" if decay == "matrix" else decay)
    r = best_ratio(setting, eps)
    if r == 0:
        return None
    r *= count_c / count_e
    eps = checked("eps", eps, least=0, single=True)
    d_e, d_c = setting.mu_e - 2 * eps, setting.sharing * (setting.mu_c - 2 * eps)
    smoothing = float(1 - (d_c - r * d_e) / (setting.sigma_c * extreme_mean(setting)))
    if not math.isfinite(smoothing):
        raise NotConverged(f"the best smoothing at the ratio {r} and eps = {eps} is {smoothing}, no finite number: "
                           "choose milder numbers.")
    return smoothing
