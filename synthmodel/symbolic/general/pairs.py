"""Design B, one cross-class feature for each pair of K >= 4 classes: joint accuracy and the margin loss's ratio.

Units of the noise, at equal means and noises: T2-joint-B and N2-B, what T2-joint-K and N2-K are in design A.
n = K - 1; X is the largest of n standard normals; the tilted law of X has mean m, variance V, third moment kappa.
"""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.general.any_law import K, Phi, e_n, n
from synthmodel.symbolic.symbols import (
    LEIBNIZ,
    SIGNS,
    A,
    B,
    T,
    b,
    claim,
    derive,
    eps,
    k,
    lam,
    m,
    mu,
    normal_pdf,
    q,
    r,
    s,
    sigma,
    t,
    w1,
    w2,
    x,
    y,
)

N, C = n - 2, n - 1
REST, ALL = 1 + N * r**2, 1 + C * r**2
CENTRE, VARIANCE = k * r * (1 + C * r) / ALL, REST / ALL  # the tilted law: N(CENTRE, VARIANCE) Phi^(n-1)
V, kappa = sp.symbols("V kappa_3", real=True)
LEVEL = k * (1 + N * (1 - r))  # S = LEVEL - m
K4 = {n: 3 + s}  # K >= 4
BELOW = {r: 1 / (1 + T)}  # 0 < r < 1
MORE = "kappa_3 <= C1 sqrt(v) V, the lemma of T2-joint-K for -X/sqrt(v)"
SKEWED = "kappa_3 >= 0, the lemma of N2-K for -X"


def slope(level_slope, centre_slope, variance_slope):
    """dS/dr = d LEVEL/dr - dm/dr, in the moments: dm/da = V/v, dm/dv = (kappa_3 + 2 (m - a) V)/(2 v^2)."""
    by_variance = (kappa + 2 * (m - CENTRE) * V) / (2 * VARIANCE**2)
    return level_slope - V / VARIANCE * centre_slope - by_variance * variance_slope


def tilt_steps():
    """The law under which the slope of P is a mean, and how its mean moves."""
    rest, at = sp.sqrt(REST), (k * (1 + C * r) - r * x) / sp.sqrt(REST)
    density = normal_pdf(at) * n * normal_pdf(x) * Phi(x)**(n - 1)
    law = -(x - A)**2 / (2 * B) - sp.log(B) / 2
    means = {3: kappa + 3 * m * V + m**3, 2: V + m**2, 1: m, 0: 1}

    def mean(expr):
        return sum(factor * means[power] for (power,), factor in sp.Poly(sp.expand(expr), x).terms())

    def covariance(expr):
        return mean(x * expr) - m * mean(expr)

    return (
        check("m_j/w1 = e + r (sum - c_j). Two of these sums of n - 1 features share n - 2: in law they are Y + c_j, "
              "Y the sum of n - 2 further ones: their variance is", N + 1, "=", C),
        check("With min_j c_j = k - X in law, e + r Y ~ N(k (1 + (n-2) r), 1 + (n-2) r^2), the class is right with "
              "probability P = E Phi(t), t the quotient of this mean plus r (k - X)", k * (1 + N * r) + r * (k - x),
              "=", k * (1 + C * r) - r * x),
        check("and the deviation. t has the slope", sp.Derivative(at, r), "=", (LEVEL - x) / rest**3),
        check("so dP/dr has the sign of S = k (1 + (n-2)(1-r)) - m, m the mean of X tilted by phi(t): a law of the "
              "log-slope", sp.Derivative(sp.log(density), x), "=",
              -(x - CENTRE) / VARIANCE + (n - 1) * Phi(x).diff(x) / Phi(x)),
        check("that of N(a, v) times Phi^(n-1), with v", VARIANCE, "=", 1 / (1 + r**2 / REST)),
        check("below 1. In a the log density has the slope (x-a)/v, in v", sp.Derivative(law, B), "=",
              (x - A)**2 / (2 * B**2) - 1 / (2 * B)),
        check("whose covariances with X give dm/da = V/v", covariance((x - A) / B), "=", V / B),
        check("and dm/dv.", covariance((x - A)**2 / (2 * B**2)), "=", (kappa + 2 * (m - A) * V) / (2 * B**2)),
        check("-(log density)'' exceeds 1/v: so V < v; m > a, by parts.", sp.diff(Phi(x), x) / Phi(x), "=",
              normal_pdf(x) / Phi(x)))


@claim("T2-joint-B")
def t2_joint_b():
    fixed = slope(LEVEL.diff(r), CENTRE.diff(r), VARIANCE.diff(r))
    at_zero = -k * N - V / VARIANCE * k / ALL + r * kappa / REST**2
    c1, e_3 = sp.Rational(61, 100), derive("G-K").results["e_3"]
    return (
        *tilt_steps(),
        check("At r = 0 S is k (n-1) - e_n.", LEVEL.subs(r, 0) - e_n, "=", k * C - e_n),
        check("From r = 1 on the level is not above a < m: there S < 0.", LEVEL - CENTRE, "<=", 0,
              [K4 | {r: 1 + t}]),
        check("At k fixed and a zero of S, m = k (1 + (n-2)(1-r)), dS/dr is", fixed.subs(m, LEVEL), "=", at_zero),
        check("With kappa_3 <= C1 y V, y = sqrt(v), and V = T v, 0 < T < 1, the last term is at most",
              r * (c1 * y * T * VARIANCE) / REST**2, "=", c1 * T * r / ALL * (y / REST)),
        check("where y/(1 + (n-2) r^2), of the square", VARIANCE / REST**2, "=", 1 / (REST * ALL)),
        check("is below 1,", REST * ALL, ">", 1, [K4]),
        check("and r/(1 + (n-1) r^2) <= 1/(2 sqrt(n-1)), by the square", (1 + B**2 * r**2) - 2 * B * r, "=",
              (1 - B * r)**2),
        check("so the last term is below C1/(2 sqrt(2)) for n >= 3, and the first, -(n-2) k, where k >= e_n/(n-1) "
              "at least e_3 (n-2)/(n-1) >= e_3/2 in size:", N / C, ">=", sp.Rational(1, 2), [K4]),
        check("more. So S falls through each of its zeros.", e_3 / 2, ">", c1 / (2 * sp.sqrt(2))),
        check("In k at r fixed S has the slope k^-1 (level - a V/v) > k^-1 (level - a), as V < v,",
              (LEVEL - CENTRE) / k, "=", (1 - r) * (N + 1 / ALL)),
        check("positive for r < 1: so for k <= e_n/(n-1) S < 0 on r > 0, r_acc = 0; beyond, there is one zero r_acc, "
              "and it rises with k.", (1 - r) * (N + 1 / ALL), ">", 0, [K4 | BELOW]),
        check("At n = 2 (K = 3) the slope at a zero is design A's.", at_zero.subs(n, 2), "=",
              -V * k + r * kappa),
    ), ("G-K; T2-joint-K", "C1 = .60705... <= 61/100, certified elsewhere", MORE, SIGNS, LEIBNIZ,
        "Brascamp-Lieb: the variance is at most the mean of -1/(log density)''", "e_n >= e_3 for n >= 3",
        "a normal vector is known by its mean and covariance"), {
            "level": LEVEL, "centre": CENTRE, "variance": VARIANCE, "dS_at_zero": at_zero}


@claim("N2-B")
def n2_b():
    unit = T / (1 - r)  # k, where T = e_n/(n-1)
    total = slope(LEVEL.subs(k, unit).diff(r), CENTRE.subs(k, unit).diff(r), VARIANCE.diff(r))
    rises = (1 - V / VARIANCE) * T / (1 - r)**2 + r * kappa / REST**2
    net = C * (mu - 2 * eps) - sigma * e_n  # what the risk gains by w2 (G-K)
    own, shared = (mu - 2 * eps) / (n * lam), net / (n * C * lam)
    used, smoothed = 1 - e_n / (C * k), 1 - (1 - b) * e_n / (C * k)
    b_star = 1 - C * k * (1 - r) / e_n
    own_k = K - 1
    centred = 2 * (1 - 2 / K)**2 + (K - 2) * (2 / K)**2
    return (
        check("The row-centred W has K exclusive columns, each of the squared norm", (1 - 1 / K)**2 + own_k / K**2, "=",
              own_k / K),
        check("and K (K-1)/2 columns of pairs,", centred, "=", 2 * (K - 2) / K),
        check("so ||W||_F^2 is (K-1)(w1^2 + (K-2) w2^2).", K * w1**2 * own_k / K + K * own_k / 2 * w2**2 * centred, "=",
              own_k * (w1**2 + (K - 2) * w2**2)),
        check("With lam_F/2 times it (lam_F written lambda) the risk of w1, w2 >= 0 is separable: its decay balances",
              lam * sp.Matrix([n * own, n * C * shared]), "=", sp.Matrix([mu - 2 * eps, net])),
        check("so r_AT is", (shared / own).subs(mu, k * sigma + 2 * eps), "=", used),
        check("the curve k = T/(1-r), T = e_n/(n-1).", used.subs(k, unit).subs(e_n, C * T), "=", r),
        check("On it, at a zero of S, dS/dr is", total.subs(m, LEVEL.subs(k, unit)).subs(k, unit), "=", rises),
        check("positive, as V < v and kappa_3 >= 0: S rises through each of its zeros.",
              rises.subs(V, x * VARIANCE), ">", 0, [K4 | {x: A / (1 + A), kappa: q, r: 1 / (1 + B)}]),
        check("The curve starts at r = 0, k = T, where S = 0, with a positive slope,", rises.subs(r, 0), "=",
              T * (1 - V)),
        check("so S > 0 at r_AT for k > T, and r_AT < r_acc by T2-joint-B. The smoothed margin uses", smoothed - r, "=",
              (1 - r) - (1 - b) * e_n / (C * k)),
        check("which is r = r_acc at", smoothed.subs(b, b_star), "=", r),
        check("b* = 1 - (n-1) k (1 - r_acc)/e_n, a positive multiple of r_acc - r_AT,", b_star, "=",
              C * k / e_n * (r - used)),
        check("and below 1, as r_acc < 1.", b_star, "<", 1, [K4 | BELOW]),
        check("With (lam/2)(w1^2 + w2^2) in place of it, w2/w1 would be (n-1) k - e_n over k, above 1 for large k.",
              (C * k - e_n) / k, "=", C * used),
    ), ("T2-joint-B, G-K", SKEWED, SIGNS, "T1-W: the minimiser over all W has this form"), {
        "dS": rises, "r_at": used, "b_star_in_terms": b_star}
