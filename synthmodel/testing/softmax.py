"""Cross-entropy at one point, decided: on which side of a ray w2 = r w1 its minimiser lies.

In units of the noise, k = (mu - 2 eps)/sigma and L = lam/sigma^2 (THEORY.md, section 0). The risk R is strictly convex,
so that its minimiser lies on the side of the ray to which R falls at the ray's own minimum t*.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.optimize import brentq

from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import solve_cross_entropy
from synthmodel.solvers.plane_integrals import Problem, derivatives
from synthmodel.testing.arithmetic import Arithmetic, Number, Signs, require

__all__ = ["beyond_ray", "ce_monotone", "s1", "t1_ce", "t3_ce"]


def ray_minimum(k: float, decay: float, b: float, r: float) -> Fraction:
    """t*, in floats: only a hint, which is verified."""
    problem = Problem(np.full((1, 2), k), np.full((1, 2), b * k), np.full((1, 2), decay), np.zeros(1), np.ones(1))

    def slope(t: float) -> float:
        return float(derivatives(problem, np.array([[t, r * t]]))[1][0] @ (1, r))
    high = 1.0
    while slope(high) < 0:
        high *= 2
    return Fraction(brentq(slope, 0.0, high, xtol=1e-14, rtol=1e-13))


def ray_sides(m: Arithmetic, k: Fraction, decay: Fraction, b: Fraction, r: Fraction) -> tuple[Number, Number, Number]:
    """(-dR/dt just below t*, dR/dt just above, the fall of R along (-r, 1) between): the last has the sign of r_CE - r.

    The first two are positive, which proves that t* lies between.

    With a = k (w1 + w2) + T X, T^2 = w1^2 + w2^2/2, and D = w2 Y/sqrt(2), the risk is E log(1 + 2 e^-a cosh D) + ...
    (CE-2D); p = 2 cosh D/(2 cosh D + e^a) is the probability of the wrong classes. Given X the means of e and of
    (c_j + c_l)/2 are k + w1 X/T and k + w2 X/(2T). |p| and |p tanh D| are at most 1 for |Im a| <= pi/2 and real D, and
    for real a and |Im D| <= pi/4.
    """
    exact, hint = (k, decay, b, r), ray_minimum(float(k), float(decay), float(b), float(r))
    k, decay, b, r = map(m.number, exact)
    root_two = m.sqrt(m.number(2))
    alpha = 1 / m.sqrt(1 + r * r / 2)

    def fall(t: Number, along_e: Number, along_c: Number) -> Number:
        """-dR . (along_e, along_c) at w = (t, r t)."""
        def integrand(x: Number, y: Number) -> Number:
            a, d = k * (1 + r) * t + t / alpha * x, r * t * y / root_two
            up, down = m.exp(d), m.exp(-d)
            odds = up + down + m.exp(a)
            centre = along_e * (k + alpha * x) + along_c * (k + r * alpha / 2 * x)
            return ((up + down) * centre - along_c * (up - down) * y / root_two) / odds
        size = float(hint * (1 + m.width)) * 1.000001
        strips = (math.pi / 2 / (size * math.hypot(1, float(exact[3]) / math.sqrt(2))),
                  math.pi / 4 * math.sqrt(2) / (size * float(exact[3])))
        spread = abs(along_e) + abs(along_c)
        mean = m.plane(integrand, *strips, (spread * k, spread, spread))
        return mean - b * k * (along_e + along_c) - decay * t * (along_e + r * along_c)

    one = m.number(1)
    low, high = hint * (1 - m.width), hint * (1 + m.width)
    return fall(m.number(low), one, r), -fall(m.number(high), one, r), fall(m.interval(low, high), -r, one)


def beyond_ray(m: Arithmetic, k: Fraction, decay: Fraction, b: Fraction, r: Fraction, side: int) -> Signs:
    """Whether r_CE lies on that side (1: above) of r."""
    below, above, across = ray_sides(m, k, decay, b, r)
    return [(below, m.number(1)), (above, m.number(1)), (across, m.number(side))]


def s1(m: Arithmetic, k: Fraction, decay: Fraction, b: Fraction) -> Signs:
    """r_CE < 1."""
    require(k > 0 and decay > 0 and 0 <= b < Fraction(2, 3), "k, L > 0 and 0 <= b < 2/3")
    return beyond_ray(m, k, decay, b, Fraction(1), -1)


def t1_ce(m: Arithmetic, mu: Fraction, sigma: Fraction, share: Fraction, lam: Fraction) -> Signs:
    """w2 > 0, as r_CE lies above its limit (9 L + 2)/(9 L + 4) at eps = mu/2; share = eps/mu < 1/2."""
    require(mu > 0 and sigma > 0 and lam > 0 and 2 * share < 1, "mu, sigma, lam > 0 and eps < mu/2")
    decay = lam / sigma**2
    return beyond_ray(m, mu * (1 - 2 * share) / sigma, decay, Fraction(0), (9 * decay + 2) / (9 * decay + 4), 1)


def float_ratio(k: Fraction, decay: Fraction, b: Fraction | int = 0) -> float:
    return solve_cross_entropy(Setting(float(k), 1.0), CrossEntropy(float(b)), 0.0, float(decay)).ratio


def t3_ce(m: Arithmetic, k: Fraction, decay: Fraction, b: Fraction, c: Fraction) -> Signs:
    """r_CE is larger for the smaller smoothing: some ratio, here the mean of both floats, lies between."""
    require(k > 0 and decay > 0 and 0 <= min(b, c) < max(b, c) < Fraction(2, 3), "0 <= b != c < 2/3, k, L > 0")
    between = Fraction((float_ratio(k, decay, b) + float_ratio(k, decay, c)) / 2)
    return [*beyond_ray(m, k, decay, min(b, c), between, 1), *beyond_ray(m, k, decay, max(b, c), between, -1)]


def ce_monotone(m: Arithmetic, k: Fraction, q: Fraction, decay: Fraction) -> Signs:
    """r_CE is larger for the larger of k and q, that is, for the smaller eps."""
    require(k > 0 and q > 0 and k != q and decay > 0, "k != q, all positive")
    between, zero = Fraction((float_ratio(k, decay) + float_ratio(q, decay)) / 2), Fraction(0)
    return [*beyond_ray(m, min(k, q), decay, zero, between, -1), *beyond_ray(m, max(k, q), decay, zero, between, 1)]
