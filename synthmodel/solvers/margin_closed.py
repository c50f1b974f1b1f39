"""Closed forms for the losses that are a maximum of linear functions of the scores (claims T1, T3, T3-target, G-*).

All three margin losses are max_j [-A f_i + B f_j + D sum_{l != i, j} f_l] with A = B + (n-1) D, n = K - 1. In the
margins m_j that is -D sum_j m_j - (B-D) min_j m_j, so its mean is linear in w >= 0, and the attack adds the dual norm
of the coefficients, which is the same for every j:

    R(w) = -v_E w1 - v_C w2 + eps |(kappa_E w1, kappa_C w2)|_q + (lam/2)|w|^2,   1/p + 1/q = 1.

Its minimiser is w = (v - P v)/lam, P the projection onto {y : |(y_E/kappa_E, y_C/kappa_C)|_p <= eps} (Moreau): for
p = inf two soft thresholds. A negative w1 or w2 only adds to R. A decay lam_c of w2 of its own is that of
(w1, s w2), s = sqrt(lam_c/lam), with v_C/s and kappa_C/s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from synthmodel.model.losses import Margin, MarginLoss, SmoothedMargin, SoftTargetMargin
from synthmodel.model.setting import Setting, checked, checked_setting, number
from synthmodel.model.solution import NotConverged, Solution

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.model.types import Broadcast, Real

    Array: TypeAlias = Float[np.ndarray, "..."]

__all__ = ["eps0", "eps1", "eps_max", "linear_parts", "ratio_closed", "solve_closed", "threshold_closed"]

# E min(C, C') = mu - sigma/sqrt(pi) for two independent N(mu, sigma^2): the price of the worse of two classes.
GAP = 1 / math.sqrt(math.pi)
EXPONENT = 800.0  # exp(-800) is 0
BISECTIONS = 120  # halvings, until the numbers at both ends are neighbours
RESIDUAL = 1e-10  # in units of mu: a larger one raises; rounding leaves 1e-13 for 1.0001 <= p <= 1e6


def smoothing(loss: MarginLoss) -> Broadcast:
    """b of a margin loss, 0 for the plain one; ValueError for a loss that has no closed form."""
    if not isinstance(loss, Margin | SmoothedMargin | SoftTargetMargin):
        raise ValueError(f"a closed form was asked for {loss}, but only margin, smoothed-margin and soft-target-margin "
                         "have one: use the method numeric.")
    return 0.0 if isinstance(loss, Margin) else loss.b


def extreme_mean(setting: Setting) -> Broadcast:
    """In units of sigma_c: the mean distance from mu_c to the least (A) or the largest (B) of n cross-class features.

    sqrt((1-rho)) e_n for normal noise; 1/sqrt(pi) for n = 2, rho = 0.
    """
    n, law = setting.active, setting.law
    if setting.noise == "normal" and n == 2:
        mean = GAP
    else:
        mean = law.mean_least(n) if setting.design == "A" else law.mean_largest(n)
    return np.sqrt(1 - setting.rho) * mean


def linear_parts(setting: Setting, loss: MarginLoss) -> tuple[Broadcast, Broadcast, Broadcast, Broadcast]:
    """(v_E, v_C, kappa_E, kappa_C) of the risk above.

    v_E = A mu_e, v_C = A s mu_c - (B-D) sigma_c g, s = 1 (design A) or n-1 (B), g = `extreme_mean`.
    """
    smoothing(loss)
    n = checked_setting(setting).active
    own, worst, others = loss.coefficients(n)
    pull_e = own * setting.mu_e
    pull_c = own * setting.sharing * setting.mu_c - (worst - others) * setting.sigma_c * extreme_mean(setting)
    monotone = isinstance(loss, SoftTargetMargin) and loss.attack == "monotone"
    if monotone and setting.norm != math.inf:
        raise ValueError(f"norm = {setting.norm} was given with the monotone attack, but one perturbation lowers all "
                         "margins at once for norm inf only: choose norm inf or the exact attack.")
    if monotone or (setting.norm == math.inf and not isinstance(loss, SoftTargetMargin)):  # the worst is delta* (A1)
        return pull_e, pull_c, 2 * own, 2 * own * setting.sharing
    size_e = _dual_norm(setting.norm, (own, 1), (worst, 1), (others, n - 1))
    if setting.design == "A":
        return pull_e, pull_c, size_e, size_e
    # Features of the pairs {i,j}, {i,l}, {j,l} and {l,l'}, j the worst class, l and l' other wrong ones.
    return pull_e, pull_c, size_e, _dual_norm(setting.norm, (worst - own, 1), (others - own, n - 1),
                                              (worst + others, n - 1), (2 * others, math.comb(n - 1, 2)))


def _dual_norm(p: float, *parts: tuple[Real, int]) -> Array:
    """|x|_q, 1/p + 1/q = 1, of the vector with `count` entries of each `value`."""
    values = np.array(np.broadcast_arrays(*(np.abs(value) for value, count in parts if count)))
    counts = np.array([count for _, count in parts if count], dtype=float).reshape(-1, *[1] * (values.ndim - 1))
    if p == 1:
        return values.max(axis=0)
    q = 1.0 if p == math.inf else p / (p - 1)
    largest = values.max(axis=0)
    return largest * np.sum(counts * (values / largest)**q, axis=0)**(1 / q)


def eps_max(setting: Setting, loss: MarginLoss = Margin()) -> Broadcast:  # noqa: B008 - losses are frozen
    """The attack size from which on w1 = 0 for a margin loss (T1, T3-target, G-lp): mu_e/2 for norm inf.

    v_E/kappa_E for norm inf, so mu_e (1-b)/(2-b) for the soft-target margin under its exact attack; for finite p both
    weights die at `threshold_closed`, if w2 lives at all. For cross-entropy w1 dies at mu_e/2 too (T1-CE).

    >>> eps_max(Setting(1, 0.5)), round(eps_max(Setting(1, 0.5), SoftTargetMargin(0.5)), 6)
    (0.5, 0.333333)
    """
    pull_e, pull_c, size_e, size_c = linear_parts(setting, loss)
    if setting.norm == math.inf:
        return number(pull_e / size_e)
    return number(pair_norm(pull_e / size_e, np.maximum(pull_c, 0.0) / size_c, setting.norm))


def pair_norm(x: Real, y: Real, p: float) -> Broadcast:
    """|(x, y)|_p of numbers >= 0, not both 0, for 1 <= p <= inf, without overflow."""
    largest = np.maximum(x, y)
    return largest if p == math.inf else largest * (1 + (np.minimum(x, y) / largest)**p)**(1 / p)


def eps0(setting: Setting) -> Broadcast:
    """eps0 = mu/2 - sigma/(2 sqrt(pi)) (T1): the attack size at which the margin loss drops the cross-class feature.

    In (0, mu/2) iff sigma < sqrt(pi) mu; where it is <= 0 the feature is not learned at any eps. For other settings
    (G-noise, G-K) with norm inf: (mu_c - sigma_c sqrt(1-rho) e_n)/2 in design A, with e_n divided by n-1 in design B.

    >>> round(eps0(Setting(1, 0.5)), 6)
    0.358953
    """
    return eps1(setting, 0.0)


def eps1(setting: Setting, b: Real) -> Broadcast:
    """eps1 = mu/2 - (1-b) sigma/(2 sqrt(pi)) (T3): the same threshold with smoothing 0 <= b < 1; eps1 > eps0 for b > 0.

    >>> round(eps1(Setting(1, 0.5), 0.1), 6)
    0.373057
    """
    return threshold_closed(setting, SmoothedMargin(b))


def threshold_closed(setting: Setting, loss: MarginLoss) -> Broadcast:
    """The eps from which on w2 = 0, for a margin loss (T1, T3, T3-target, G-K, G-lp); <= 0 where it always is.

    v_C/kappa_C for norm inf; for finite p the norm |(v_E/kappa_E, v_C/kappa_C)|_p, where w1 dies too.

    >>> round(threshold_closed(Setting(1, 0.5), SoftTargetMargin(0.1)), 6)  # below eps0 = 0.358953
    0.325213
    """
    _, pull_c, _, size_c = linear_parts(setting, loss)
    own = pull_c / size_c
    return number(own if setting.norm == math.inf else np.where(own > 0, eps_max(setting, loss), own))


def ratio_closed(k: Real, b: Real = 0.0) -> Broadcast:
    """w2*/w1* = max(1 - (1-b)/(k sqrt(pi)), 0) for k > 0, 0 <= b <= 1: r_AT for b = 0, else the smoothed one (T1, T3).

    Broadcasts. Raises ValueError for other numbers.

    >>> round(ratio_closed(1.2), 6)
    0.529842
    """
    rest = 1 - np.asarray(checked("b", b, least=0, below=1 + 1e-15))
    return number(np.maximum(1 - rest * GAP / checked("k", k, above=0), 0.0))


def _beyond_ball(v_e: Array, v_c: Array, size_e: Array, size_c: Array, p: float) -> tuple[Array, Array]:
    """v - P v, P the projection onto |(y_E/size_E, y_C/size_C)|_p <= 1, for v >= 0 outside of it, v_C > 0, p < inf.

    On the curve y = (size_E x, size_C y), x^p = 1/(1 + e^g), y^p = 1/(1 + e^-g), the vector v - y is parallel to the
    normal (x^(p-1)/size_E, y^(p-1)/size_C) at one g only. Its bracket reaches to where these powers underflow.
    """
    if p == 1:  # a segment from (size_E, 0) to (0, size_C)
        along = np.clip(((v_e - size_e) * -size_e + v_c * size_c) / (size_e**2 + size_c**2), 0, 1)
        return v_e - size_e * (1 - along), v_c - size_c * along
    reach = EXPONENT * max(p, p / (p - 1))
    low, high = np.full_like(v_e, -reach), np.full_like(v_e, reach)
    for _ in range(BISECTIONS):
        g = (low + high) / 2
        log_x, log_y = -np.logaddexp(0, g) / p, -np.logaddexp(0, -g) / p
        top = np.maximum(log_x, log_y)
        normal_e, normal_c = np.exp((p - 1) * (log_x - top)) / size_e, np.exp((p - 1) * (log_y - top)) / size_c
        rest_e, rest_c = v_e - size_e * np.exp(log_x), v_c - size_c * np.exp(log_y)
        below = rest_e * normal_c < rest_c * normal_e
        low, high = np.where(below, g, low), np.where(below, high, g)
    # The smaller weight by the direction of the normal: a difference would leave it no digits.
    first = normal_e >= normal_c
    return (np.where(first, rest_e, rest_c * normal_e / np.where(first, 1.0, normal_c)),
            np.where(first, rest_e * normal_c / np.where(first, normal_e, 1.0), rest_c))


def _weights(pull_e: Array, pull_c: Array, radius_e: Array, radius_c: Array, p: float) -> tuple[Array, Array]:
    """lam w for norm p; radius = eps kappa."""
    soft_e, soft_c = np.maximum(pull_e - radius_e, 0.0), np.maximum(pull_c - radius_c, 0.0)
    if p == math.inf:
        return soft_e, soft_c
    # No attack, or no pull on w2: then the other weight stands alone.
    alone = (pull_c <= 0) | (radius_e == 0)
    soft_c = np.where(radius_e == 0, soft_c, 0.0)
    safe_e, safe_c = np.where(alone, 1.0, radius_e), np.where(alone, 1.0, radius_c)
    outside = pair_norm(pull_e / safe_e, np.abs(pull_c) / safe_c, p) > 1
    w_e, w_c = (np.where(alone, soft, np.where(outside, weight, 0.0)) for soft, weight in zip(
        (soft_e, soft_c), _beyond_ball(pull_e, pull_c, safe_e, safe_c, p), strict=True))
    return w_e, w_c


def _attack_slopes(radii: tuple[Array, Array], pulled: tuple[Array, Array], p: float) -> tuple[Array, Array]:
    """A subgradient at w >= 0, w != 0, of eps |kappa w|_q, radius = eps kappa: the attack that costs most."""
    if p == math.inf:
        return radii
    spent = [radius * w for radius, w in zip(radii, pulled, strict=True)]
    largest = np.maximum(*spent)
    # The slope jumps up next to a weight of 0: one that is there by underflow alone has that of the smallest numbers.
    shares = [np.where(largest > 0, np.maximum(x / np.where(largest > 0, largest, 1.0), 1e-300), 1.0) for x in spent]
    q = p / (p - 1)
    size = (shares[0]**q + shares[1]**q)**(1 / q)
    slope_e, slope_c = (radius * (share / size)**(q - 1) for radius, share in zip(radii, shares, strict=True))
    return slope_e, slope_c


def _residual(pulls: tuple[Array, Array], radii: tuple[Array, Array], pulled: tuple[Array, Array], p: float,
              stretch: Real = 1.0) -> Array:
    """Distance of 0 from the subdifferential of R at w = pulled/lam >= 0, by the slopes of R's terms.

    At w = 0 and p < inf: by how much the pulls lie outside the attack's ball, times its smaller radius.
    stretch: what a slope in w2 is multiplied by, as w2 is measured in units of 1/stretch.
    """
    up = [np.maximum(pull, 0.0) for pull in pulls]
    errors: Sequence[Array]
    if p == 1:  # from y = v - lam w to the part of the segment between (radius_E, 0) and (0, radius_C) that w selects
        (y_e, y_c), (a, c) = (np.where(w > 0, pull - w, most) for pull, w, most in zip(pulls, pulled, up, strict=True)
                              ), radii
        spent_e, spent_c = a * pulled[0], c * pulled[1]
        along = np.clip((a * (a - y_e) + c * y_c) / np.maximum(a * a + c * c, 1e-300), 0, 1)
        along = np.where(np.isclose(spent_e, spent_c, rtol=1e-9, atol=0), along, spent_c > spent_e)
        errors = y_e - a * (1 - along), np.where(pulled[1] > 0, y_c - c * along, np.maximum(y_c - c * along, 0.0))
    else:
        errors = [np.where(w > 0, pull - slope - w, np.maximum(pull - slope, 0.0))
                  for pull, slope, w in zip(pulls, _attack_slopes(radii, pulled, p), pulled, strict=True)]
    distance = np.hypot(errors[0], errors[1] * stretch)
    if p == math.inf:
        return distance
    free = radii[0] == 0
    reach_e, reach_c = (most / np.where(free, 1.0, radius) for most, radius in zip(up, radii, strict=True))
    reached = pair_norm(reach_e, reach_c, p)
    beyond = np.maximum(reached - 1, 0.0) * np.minimum(*radii) * np.maximum(stretch, 1.0)
    at_zero = np.where(free, np.hypot(up[0], up[1] * stretch), beyond)
    return np.where((pulled[0] == 0) & (pulled[1] == 0), at_zero, distance)


def solve_closed(setting: Setting, loss: MarginLoss, eps: Real, lam: Real, lam_c: Real | None = None) -> Solution:
    """The minimiser of E max_delta loss + (lam w1^2 + lam_c w2^2)/2 for the margin losses (T1, T3, T3-target, G-*).

    In the plain model: w1 = max(mu - 2 eps, 0)/lam,  w2 = max(mu - (1-b) sigma/sqrt(pi) - 2 eps, 0)/lam for Margin
    (b = 0) and SmoothedMargin, with lam_c below w2 where it is given; risk = -(lam w1^2 + lam_c w2^2)/2 in every
    setting. Broadcasts over arrays in setting, loss, eps and lam. Raises ValueError for eps < 0, lam <= 0 or another
    loss, NotConverged for a residual above 1e-10 mu, which needs a p very close to 1.

    >>> solution = solve_closed(Setting(1, 0.5), Margin(), eps=0.2, lam=0.1)
    >>> round(solution.w1, 9), round(solution.w2, 6)
    (6.0, 3.179052)
    """
    pulls = linear_parts(setting, loss)
    eps, lam = checked("eps", eps, least=0), checked("lam", lam, above=0)
    lam_c = lam if lam_c is None else checked("lam_c", lam_c, above=0)
    pull_e, pull_c, size_e, size_c, eps, lam, lam_c, mu = np.broadcast_arrays(*pulls, eps, lam, lam_c, setting.mu_e)
    stretch = np.sqrt(lam_c / lam)
    pull_c, size_c = pull_c / stretch, size_c / stretch
    radii = eps * size_e, eps * size_c
    pulled = _weights(pull_e, pull_c, *radii, setting.norm)
    w1, w2 = (weight / lam for weight in pulled)
    risk = 0.0 - lam / 2 * (w1**2 + w2**2)
    residual = _residual((pull_e, pull_c), radii, pulled, setting.norm, stretch) / mu
    if not np.all(residual <= RESIDUAL * np.maximum(1, stretch * np.abs(pull_c) / mu)):
        raise NotConverged(f"a residual of {np.max(residual):.1e} mu is left for norm {setting.norm}, but at most "
                           f"{RESIDUAL:.0e} mu is accepted: choose norm 1, or one further from it.")
    return Solution(number(w1), number(w2 / stretch), number(risk), number(residual), method="closed")
