"""The claims of THEORY.md at one point, as `replay` decides them in sympy and in ball arithmetic.

A claim at a point is a list of pairs (left, right) whose signs must agree. The left side comes from a definition, as an
integral over a density; the right side is what the claim says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from synthmodel.accuracy.three_classes import r_acc
from synthmodel.testing.arithmetic import Arithmetic, Number, Signs, above_threshold, require
from synthmodel.testing.softmax import beyond_ray, ce_monotone, s1, t1_ce, t3_ce

__all__ = ["CLAIMS", "largest_mean", "psi", "sign_f", "slope_at"]


def slope(m: Arithmetic, r: Number, d_e: Number, d_c: Number, s_e: Number, s_c: Number) -> Number:
    """dP/dr = E[c p_e(-r c)], c the smaller of two N(d_c, s_c^2), p_e the density of N(d_e, s_e^2)."""
    def integrand(z: Number) -> Number:
        c = d_c + s_c * z
        return c * m.exp(-((d_e + r * c) / s_e) ** 2 / 2) * m.erfc(z / m.sqrt(m.number(2)))
    return m.integral(integrand, None, 2 * (d_c + s_c)) / (2 * m.pi() * s_e)


def slope_at(m: Arithmetic, r: Number, k: Number) -> Number:
    return slope(m, r, k, k, m.number(1), m.number(1))


def sign_f(m: Arithmetic, r: Number, k: Number) -> Number:
    """F(r, k) = k (1-r) g(r) - imr(u) (T2-joint)."""
    v = k * r * (1 + r) / m.sqrt(2 * (1 + r * r) * (2 + r * r))  # u/sqrt(2)
    mills = m.sqrt(2 / m.pi()) * m.exp(-v * v) / (1 + m.erf(v))
    return k * (1 - r) * m.sqrt((2 + r * r) / (1 + r * r)) - mills


def mean_largest(m: Arithmetic, n: int = 2) -> Number:
    """E max of n standard normals, int n z phi(z) Phi(z)^{n-1} dz."""
    root = m.sqrt(m.number(2))
    scale = m.sqrt(2 * m.pi()) * m.number(2) ** (n - 1) / n
    return m.integral(lambda z: z * m.erfc(-z / root) ** (n - 1), None, 2 ** (n - 1)) / scale


def largest_mean(m: Arithmetic, n: int) -> Number:
    """The same, e_n, in closed form for n = 2..5 (THEORY.md, G-K)."""
    pi, one = m.pi(), m.number(1)
    root = m.sqrt(pi)
    if n == 2:
        return one / root
    if n == 3:
        return 3 * one / 2 / root
    if n == 4:
        return 6 / (pi * root) * m.atan(m.sqrt(2 * one))
    return 5 * one / 4 / root + 15 * one / 2 / (pi * root) * m.asin(one / 3)


def used(m: Arithmetic, k: Number, b: Number = 0) -> Number:
    """w2/w1 of the margin loss with smoothing b, for k above its threshold (T1, T3)."""
    return 1 - (1 - b) / (k * m.sqrt(m.pi()))


def t1(m: Arithmetic, mu: Fraction, sigma: Fraction, eps: Fraction) -> Signs:
    """The pull on w2 at w2 = 0+, E min(C, C') - 2 eps, has the sign of eps0 - eps."""
    return t3(m, mu, sigma, eps, Fraction(0))[:1]


def t3(m: Arithmetic, mu: Fraction, sigma: Fraction, eps: Fraction, b: Fraction) -> Signs:
    """So has the smoothed pull (1-b) E min + b E mean - 2 eps that of eps1 - eps, and eps1 > eps0 for b > 0."""
    require(mu > 0 and sigma > 0 and 0 <= b < 1, "mu, sigma > 0 and 0 <= b < 1")
    pull = m.number(mu - 2 * eps) - m.number((1 - b) * sigma) * mean_largest(m)
    eps0, eps1 = (m.number(mu) / 2 - m.number((1 - share) * sigma) / (2 * m.sqrt(m.pi())) for share in (0, b))
    return [(pull, eps1 - m.number(eps))] + ([(eps1 - eps0, m.number(1))] if b else [])


def t2_pair(m: Arithmetic, k: Fraction, r: Fraction) -> Signs:
    """dPr(m_j > 0)/dr = E[c p_e(-r c)], for one wrong class, has the sign of 1 - r."""
    require(k > 0 and r >= 0, "k > 0 and r >= 0")
    k, r = m.number(k), m.number(r)
    return [(m.integral(lambda z: (k + z) * m.exp(-(k + r * (k + z)) ** 2 / 2), None, 1 + k), 1 - r)]


def t2_joint(m: Arithmetic, k: Fraction, r: Fraction) -> Signs:
    """The paper's Theorem 2 read jointly, dP/dr > 0 up to r = 1: refuted."""
    require(k > 0 and 0 <= r <= 1, "k > 0 and 0 <= r <= 1")
    return [(slope_at(m, m.number(r), m.number(k)), m.number(1))]


def t2_joint_new(m: Arithmetic, k: Fraction, r: Fraction) -> Signs:
    """dP/dr has the sign of F(r, k), which is negative from r = 1 on."""
    require(k > 0 and r >= 0, "k > 0 and r >= 0")
    at = m.number(r), m.number(k)
    return [(slope_at(m, *at), sign_f(m, *at))] + ([(sign_f(m, *at), m.number(-1))] if r >= 1 else [])


def n2(m: Arithmetic, k: Fraction) -> Signs:
    """dP/dr > 0 at r_AT(k)."""
    require(k > 0 and above_threshold(k), "k > 1/sqrt(pi)")
    return n2_unequal(m, k, Fraction(1), Fraction(1))


def n2_unequal(m: Arithmetic, d: Fraction, s_e: Fraction, s_c: Fraction) -> Signs:
    """N2 with its hypothesis of equal noise dropped: refuted."""
    require(d > 0 and min(s_e, s_c) > 0 and above_threshold(d / s_c), "d/s_C > 1/sqrt(pi)")
    return [(slope(m, used(m, m.number(d / s_c)), *map(m.number, (d, d, s_e, s_c))), m.number(1))]


def n3(m: Arithmetic, k: Fraction, b: Fraction) -> Signs:
    """dP/dr is positive at b = 0 and negative at b = 1, so that 0 < b* < 1; at b it has the sign of F there."""
    require(0 <= b <= 1 and k > 0 and above_threshold(k), "0 <= b <= 1 and k > 1/sqrt(pi)")
    k, one = m.number(k), m.number(1)
    r = used(m, k, m.number(b))
    return [(slope_at(m, used(m, k), k), one), (slope_at(m, one, k), -one), (slope_at(m, r, k), sign_f(m, r, k))]


def n3_above(m: Arithmetic, k: Fraction, b: Fraction) -> Signs:
    """For eps >= eps0 accuracy falls where b has revived w2."""
    require(0 < b <= 1 and k > 0 and not above_threshold(k) and (b == 1 or above_threshold(k, b)),
               "(1-b)/sqrt(pi) < k < 1/sqrt(pi)")
    k = m.number(k)
    return [(slope_at(m, used(m, k, m.number(b)), k), m.number(-1))]


def t3_target(m: Arithmetic, mu: Fraction, sigma: Fraction, b: Fraction) -> Signs:
    """Both thresholds of the soft-target margin lie below eps0, for 0 < b < 1; E min by its integral."""
    require(mu > 0 and sigma > 0 and 0 < b < 1, "mu, sigma > 0 and 0 < b < 1")
    gap = m.number(sigma) * mean_largest(m)
    return [((m.number(mu) - gap) / 2 - (m.number((1 - b) * mu) - gap) / m.number(size), m.number(1))
            for size in (2 - 2 * b, 2 - b)]


def psi(m: Arithmetic, x: Number) -> Number:
    """psi(x) = E[(|Z|/sqrt 2) tanh(x |Z|/sqrt 2)]."""
    root = m.sqrt(m.number(2))
    return m.integral(lambda z: z * m.tanh(x * z / root), 0, 1) / m.sqrt(m.pi())


def psi_range(m: Arithmetic, x: Fraction) -> Signs:
    """0 < psi(x) < 1/sqrt(pi) for x > 0."""
    require(x > 0, "x > 0")
    return [(psi(m, m.number(x)), m.number(1)), (1 / m.sqrt(m.pi()) - psi(m, m.number(x)), m.number(1))]


def t1_temp(m: Arithmetic, mu: Fraction, sigma: Fraction, share: Fraction, lam: Fraction, tau: Fraction) -> Signs:
    """w2 of the log-sum-exp, the root of lam w + s psi(s w/tau) - d, lies in (w0, w0 + sqrt(2 tau log 2/lam)].

    d = mu (1 - 2 share) > 0, share = eps/mu, and w0 >= 0 is the margin loss's.
    """
    require(mu > 0 and sigma > 0 and lam > 0 and tau > 0 and 2 * share < 1, "mu, sigma, lam, tau > 0, eps < mu/2")
    learned = above_threshold(mu * (1 - 2 * share) / sigma)
    d, s, lam, tau = map(m.number, (mu * (1 - 2 * share), sigma, lam, tau))
    w0 = (d - s / m.sqrt(m.pi())) / lam if learned else m.number(0)
    top = w0 + m.sqrt(2 * tau * m.log(m.number(2)) / lam)
    low, high = (lam * w + s * psi(m, s * w / tau) - d if w is not w0 or learned else -d for w in (w0, top))
    return [(low, m.number(-1)), (high, m.number(1))]


def g_classes(m: Arithmetic, classes: Fraction, sigma: Fraction, eps: Fraction) -> Signs:
    """Design A, mu = 1: the pull on w2 by the integral of e_n has the sign of that by its closed form; 3 <= K <= 6."""
    require(classes in (3, 4, 5, 6) and sigma > 0, "K in 3..6 and sigma > 0")
    n = int(classes) - 1
    by_integral, closed = (m.number(1 - 2 * eps) - m.number(sigma) * e
                           for e in (mean_largest(m, n), largest_mean(m, n)))
    return [(by_integral, closed)]


def n4(m: Arithmetic, k: Fraction, decay: Fraction) -> Signs:
    """r_CE > r_acc (to 1e-9), which is certified for k <= 2.41405 and ends there (N4-end)."""
    require(k > 0 and decay > 0, "k, L > 0")
    above = Fraction(r_acc(float(k))) + Fraction(1, 10**9)
    return [(sign_f(m, m.number(above), m.number(k)), m.number(-1)), *beyond_ray(m, k, decay, Fraction(0), above, 1)]


CLAIMS: dict[str, Callable[..., Signs]] = {
    "T1": t1, "T2-pair": t2_pair, "T2-joint": t2_joint, "T2-joint'": t2_joint_new, "T3": t3, "N2": n2,
    "N2-unequal": n2_unequal, "N3": n3, "T3-target": t3_target, "N3-above": n3_above, "T1-temp": t1_temp,
    "psi": psi_range, "G-K": g_classes, "S1": s1, "T1-CE": t1_ce, "T3-CE": t3_ce, "CE-monotone": ce_monotone, "N4": n4}
