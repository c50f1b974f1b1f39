"""Robust accuracy of the ratio r = w2/w1 and its best value (claims T2-pair, T2-joint', N2, N3).

Everything depends on k = (mu - 2 eps)/sigma and r >= 0 alone. The robust margins m_j = w1 e + w2 c_j have
(e, c_j, c_k) ~ N(k, 1)^3 in units of sigma.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_ndtr, ndtr, owens_t

from synthmodel.model.roots import brentq
from synthmodel.model.setting import LARGEST, checked
from synthmodel.solvers.margin_closed import GAP, ratio_closed

if TYPE_CHECKING:
    from synthmodel.model.types import Broadcast, Real

__all__ = ["b_star", "crossover", "imr", "joint_accuracy", "joint_slope", "pairwise_accuracy", "r_acc", "r_acc_cubic",
           "slope_sign"]

K0 = GAP  # k at eps0: below it no positive ratio helps
# brentq to the last bits, also for tiny roots
TIGHT: dict[str, Any] = {"xtol": 1e-300, "rtol": 4 * np.finfo(float).eps}


def imr(u: Real) -> Broadcast:
    """Inverse Mills ratio imr(u) = phi(u)/Phi(u), without cancellation for u << 0. Broadcasts.

    >>> round(float(imr(0.0)), 6), round(float(imr(-30.0)), 4)  # sqrt(2/pi); close to -u
    (0.797885, 30.0333)
    """
    return _imr(checked("u", u, sizes=(0.0, LARGEST)))


def _imr(u: Real) -> Broadcast:
    return np.exp(-np.square(u) / 2 - 0.5 * math.log(2 * math.pi) - log_ndtr(u))


def nonnegative(r: Real, largest: float = 1e300) -> Broadcast:
    """A ratio, or an array of them (a negative weight never helps), else ValueError."""
    return checked("ratio", r, least=0, sizes=(0.0, largest))


def any_k(k: Real) -> Broadcast:
    """(mu - 2 eps)/sigma of any sign, or an array of them, else ValueError."""
    return checked("k", k, sizes=(0.0, LARGEST))


def pairwise_accuracy(r: Real, k: Real) -> Broadcast:
    """Pr(m_j > 0) = Phi(k (1+r)/sqrt(1+r^2)): right against any one other class (T2-pair). Broadcasts.

    >>> round(float(pairwise_accuracy(0.5, 1.2)), 6)
    0.946298
    """
    r, k = nonnegative(r), any_k(k)
    return ndtr(np.asarray(k) * (1 + r) / np.hypot(1, r))


def joint_accuracy(r: Real, k: Real) -> Broadcast:
    """P(r, k) = Pr(m_j > 0 and m_k > 0) = Phi(h) - 2 T(h, a): the class is right (T2-joint). Broadcasts.

    h = k (1+r)/sqrt(1+r^2), a = r/sqrt(2+r^2), T Owen's function.

    >>> round(float(joint_accuracy(0, 1.2) - ndtr(1.2)), 15)  # P(0, k) = Phi(k)
    0.0
    """
    r, k = nonnegative(r), any_k(k)
    h = np.asarray(k) * (1 + r) / np.hypot(1, r)
    # For h << 0 the two terms cancel: what rounding leaves of a probability below 1e-17 may be negative.
    return np.maximum(ndtr(h) - 2 * owens_t(h, r / np.hypot(math.sqrt(2), r)), 0.0)


def parts(r: Real, k: Real) -> tuple[Broadcast, Broadcast]:
    """g and u of T2-joint."""
    one, two = np.hypot(1, r), np.hypot(math.sqrt(2), r)
    return two / one, k * (r / two) * ((1 + r) / one)


def slope_sign(r: Real, k: Real) -> Broadcast:
    """F(r, k) = k (1-r) g(r) - imr(u), which has the sign of dP/dr (T2-joint). Broadcasts.

    g = sqrt((2+r^2)/(1+r^2)), u = k r (1+r)/sqrt((1+r^2)(2+r^2)). For k > 0, F(., k) is strictly decreasing on
    [0, 1] and negative from 1 on (T2-joint').

    >>> round(float(slope_sign(0.0, 1.0)), 6)  # sqrt(2) (k - 1/sqrt(pi))
    0.616329
    """
    return _slope_sign(nonnegative(r), any_k(k))


def _slope_sign(r: Real, k: Real) -> Broadcast:
    g, u = parts(r, k)
    return k * (1 - r) * g - _imr(u)


def joint_slope(r: Real, k: Real) -> Broadcast:
    """dP/dr = 2 phi(h) Phi(u) F(r, k)/((1+r^2) sqrt(2+r^2)) (T2-joint); h = k (1+r)/sqrt(1+r^2). Broadcasts.

    >>> round(float(joint_slope(0.0, 1.0)), 6)  # phi(k) (k - 1/sqrt(pi))
    0.105453
    """
    r, k = nonnegative(r), any_k(k)
    _, u = parts(r, k)
    one = np.hypot(1, r)
    h = k * (1 + r) / one
    density = np.exp(-h * h / 2) / math.sqrt(2 * math.pi)
    return 2 * density * ndtr(u) * _slope_sign(r, k) / one / one / np.hypot(math.sqrt(2), r)


def below_best(k: float) -> float:
    """1 - r_acc(k) for k > k0: the root of F in q = 1 - r, which keeps its digits where r_acc is close to 1."""
    def excess(q: float) -> float:
        g, u = parts(1 - q, k)
        return k * q * g - _imr(u)
    return brentq(excess, 0.0, 1.0, **TIGHT)


def r_acc(k: float) -> float:
    """The ratio of the highest joint robust accuracy (T2-joint'): 0 for k <= k0 = 1/sqrt(pi), else the root of F(., k).

    Raises ValueError unless k > 0 (for k <= 0 there is no maximiser to speak of: no ratio beats chance).

    >>> round(r_acc(1.2), 6)
    0.759052
    """
    k = checked("k", k, above=0, single=True)
    return float(brentq(_slope_sign, 0.0, 1.0, args=(k,), **TIGHT)) if k > K0 else 0.0


def r_acc_cubic(k: float) -> float:
    """r_acc by its closed parametrisation (T2-joint'), a second way that tests set against `r_acc`; k > 1.000001 k0.

    With l = imr(u)/u, r is the root in (0, 1) of r^3 + (l-1) r^2 + (l+2) r - 2, and
    k = u sqrt((1+r^2)(2+r^2))/(r (1+r)), which increases with u; u is found so that k is the one asked for.

    >>> round(float(r_acc_cubic(1.2)), 6)
    0.759052
    """
    k = checked("k", k, above=0, single=True)
    if k <= K0:
        return 0.0
    if k < 1.000001 * K0:  # u would be too small for the cubic's coefficients
        raise ValueError(f"k = {k} was given, but the cubic needs k > 1.000001/sqrt(pi): use r_acc.")

    def ratio(u: float) -> float:
        level = _imr(u) / u
        roots = np.roots([1, level - 1, level + 2, -2])
        # the cubic is -2 at 0 and 2 l > 0 at 1; for large k its root rounds to 1
        return min(next(root.real for root in roots if abs(root.imag) < 1e-9 and 0 < root.real < 1 + 1e-12), 1.0)

    def excess(u: float) -> float:
        r = ratio(u)
        return u * math.sqrt((1 + r * r) * (2 + r * r)) / (r * (1 + r)) - k

    # u < 2 k/sqrt(6), its value at r = 1; for large k it comes as close as rounding allows
    return ratio(brentq(excess, 1e-12, 2 * k / math.sqrt(6) * (1 + 1e-12), xtol=1e-15))


def b_star(k: float) -> float:
    """b*(k) = 1 - sqrt(pi) k (1 - r_acc(k)): the smoothing that maximises joint robust accuracy (N3).

    In (0, 1) and increasing for k > k0 (it rounds to 1 from about k = 12 on). Raises ValueError for k <= k0,
    where every smoothing that revives w2 lowers the accuracy.

    >>> round(b_star(1.2), 6)
    0.487518
    """
    k = checked("k", k, above=K0, single=True)
    return 1 - k * below_best(k) / GAP


def crossover() -> float:
    """k_x: above it every smoothing 0 < b <= 1 beats b = 0; P(1, k_x) = P(r_AT(k_x), k_x) (N3).

    >>> round(crossover(), 6)
    1.145372
    """
    def gain(k: float) -> float:
        return float(joint_accuracy(1.0, k) - joint_accuracy(ratio_closed(k), k))
    return brentq(gain, 0.6, 3.0, **TIGHT)
