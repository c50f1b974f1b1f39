"""Design B, one cross-class feature for each pair of K >= 4 classes: joint accuracy and the margin loss's ratio.

Units of the noise, at equal means and noises: T2-joint-B and N2-B, what T2-joint-K and N2-K are in design A.
n = K - 1; X is the largest of n standard normals; the tilted law of X has mean m, variance V, third moment kappa.
"""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.general.any_law import K, Phi, e_n, n
from synthmodel.symbolic.symbols import normal_pdf

N, C = n - 2, n - 1
REST, ALL = 1 + N * s.r**2, 1 + C * s.r**2
CENTRE, VARIANCE = s.k * s.r * (1 + C * s.r) / ALL, REST / ALL  # the tilted law: N(CENTRE, VARIANCE) Phi^(n-1)
V, kappa = sp.symbols("V kappa_3", real=True)
LEVEL = s.k * (1 + N * (1 - s.r))  # S = LEVEL - m
K4 = {n: 3 + s.s}  # K >= 4
BELOW = {s.r: 1 / (1 + s.tau)}  # 0 < r < 1
MORE = "kappa_3 <= C1 sqrt(v) V, the lemma of T2-joint-K for -X/sqrt(v)"
SKEWED = "kappa_3 >= 0, the lemma of N2-K for -X"


def slope(level_slope: sp.Expr, centre_slope: sp.Expr, variance_slope: sp.Expr) -> sp.Expr:
    """Return dS/dr = d LEVEL/dr - dm/dr in the moments: dm/da = V/v, dm/dv = (kappa_3 + 2 (m - a) V)/(2 v^2)."""
    by_variance = (kappa + 2 * (s.m - CENTRE) * V) / (2 * VARIANCE**2)
    return level_slope - V / VARIANCE * centre_slope - by_variance * variance_slope


def tilt_steps() -> Steps:
    """The law under which the slope of P is a mean, and how its mean moves."""
    rest, at = sp.sqrt(REST), (s.k * (1 + C * s.r) - s.r * s.x) / sp.sqrt(REST)
    density = normal_pdf(at) * n * normal_pdf(s.x) * Phi(s.x)**(n - 1)
    law = -(s.x - s.alpha)**2 / (2 * s.beta) - sp.log(s.beta) / 2
    means = {3: kappa + 3 * s.m * V + s.m**3, 2: V + s.m**2, 1: s.m, 0: 1}

    def mean(expr: sp.Expr) -> sp.Expr:
        return sum(factor * means[power] for (power,), factor in sp.Poly(sp.expand(expr), s.x).terms())

    def covariance(expr: sp.Expr) -> sp.Expr:
        return mean(s.x * expr) - s.m * mean(expr)

    return (
        check("m_j/w1 = e + r (sum - c_j). Two of these sums of n - 1 features share n - 2: in law they are Y + c_j, "
              "Y the sum of n - 2 further ones: their variance is", N + 1, "=", C),
        check("With min_j c_j = k - X in law, e + r Y ~ N(k (1 + (n-2) r), 1 + (n-2) r^2), the class is right with "
              "probability P = E Phi(t), t the quotient of this mean plus r (k - X)",
              s.k * (1 + N * s.r) + s.r * (s.k - s.x),
              "=", s.k * (1 + C * s.r) - s.r * s.x),
        check("and the deviation. t has the slope", sp.Derivative(at, s.r), "=", (LEVEL - s.x) / rest**3),
        check("so dP/dr has the sign of S = k (1 + (n-2)(1-r)) - m, m the mean of X tilted by phi(t): a law of the "
              "log-slope", sp.Derivative(sp.log(density), s.x), "=",
              -(s.x - CENTRE) / VARIANCE + (n - 1) * Phi(s.x).diff(s.x) / Phi(s.x)),
        check("that of N(a, v) times Phi^(n-1), with v", VARIANCE, "=", 1 / (1 + s.r**2 / REST)),
        check("below 1. In a the log density has the slope (x-a)/v, in v", sp.Derivative(law, s.beta), "=",
              (s.x - s.alpha)**2 / (2 * s.beta**2) - 1 / (2 * s.beta)),
        check("whose covariances with X give dm/da = V/v", covariance((s.x - s.alpha) / s.beta), "=", V / s.beta),
        check("and dm/dv.", covariance((s.x - s.alpha)**2 / (2 * s.beta**2)), "=",
              (kappa + 2 * (s.m - s.alpha) * V) / (2 * s.beta**2)),
        check("-(log density)'' exceeds 1/v: so V < v; m > a, by parts.", sp.diff(Phi(s.x), s.x) / Phi(s.x), "=",
              normal_pdf(s.x) / Phi(s.x)))


@claim("T2-joint-B")
def t2_joint_b() -> Stated:
    fixed = slope(LEVEL.diff(s.r), CENTRE.diff(s.r), VARIANCE.diff(s.r))
    at_zero = -s.k * N - V / VARIANCE * s.k / ALL + s.r * kappa / REST**2
    c1, e_3 = sp.Rational(61, 100), derive("G-K").results["e_3"]
    return (
        *tilt_steps(),
        check("At r = 0 S is k (n-1) - e_n.", LEVEL.subs(s.r, 0) - e_n, "=", s.k * C - e_n),
        check("From r = 1 on the level is not above a < m: there S < 0.", LEVEL - CENTRE, "<=", 0,
              [K4 | {s.r: 1 + s.t}]),
        check("At k fixed and a zero of S, m = k (1 + (n-2)(1-r)), dS/dr is", fixed.subs(s.m, LEVEL), "=", at_zero),
        check("With kappa_3 <= C1 y V, y = sqrt(v), and V = T v, 0 < T < 1, the last term is at most",
              s.r * (c1 * s.y * s.tau * VARIANCE) / REST**2, "=", c1 * s.tau * s.r / ALL * (s.y / REST)),
        check("where y/(1 + (n-2) r^2), of the square", VARIANCE / REST**2, "=", 1 / (REST * ALL)),
        check("is below 1,", REST * ALL, ">", 1, [K4]),
        check("and r/(1 + (n-1) r^2) <= 1/(2 sqrt(n-1)), by the square", (1 + s.beta**2 * s.r**2) - 2 * s.beta * s.r,
              "=",
              (1 - s.beta * s.r)**2),
        check("so the last term is below C1/(2 sqrt(2)) for n >= 3, and the first, -(n-2) k, where k >= e_n/(n-1) "
              "at least e_3 (n-2)/(n-1) >= e_3/2 in size:", N / C, ">=", sp.Rational(1, 2), [K4]),
        check("more. So S falls through each of its zeros.", e_3 / 2, ">", c1 / (2 * sp.sqrt(2))),
        check("In k at r fixed S has the slope k^-1 (level - a V/v) > k^-1 (level - a), as V < v,",
              (LEVEL - CENTRE) / s.k, "=", (1 - s.r) * (N + 1 / ALL)),
        check("positive for r < 1: so for k <= e_n/(n-1) S < 0 on r > 0, r_acc = 0; beyond, there is one zero r_acc, "
              "and it rises with k.", (1 - s.r) * (N + 1 / ALL), ">", 0, [K4 | BELOW]),
        check("At n = 2 (K = 3) the slope at a zero is design A's.", at_zero.subs(n, 2), "=",
              -V * s.k + s.r * kappa),
    ), ("G-K; T2-joint-K", "C1 = .60705... <= 61/100, certified elsewhere", MORE, s.SIGNS, s.LEIBNIZ,
        "Brascamp-Lieb: the variance is at most the mean of -1/(log density)''", "e_n >= e_3 for n >= 3",
        "a normal vector is known by its mean and covariance"), {
            "level": LEVEL, "centre": CENTRE, "variance": VARIANCE, "dS_at_zero": at_zero}


@claim("N2-B")
def n2_b() -> Stated:
    unit = s.tau / (1 - s.r)  # k, where T = e_n/(n-1)
    total = slope(LEVEL.subs(s.k, unit).diff(s.r), CENTRE.subs(s.k, unit).diff(s.r), VARIANCE.diff(s.r))
    rises = (1 - V / VARIANCE) * s.tau / (1 - s.r)**2 + s.r * kappa / REST**2
    net = C * (s.mu - 2 * s.eps) - s.sigma * e_n  # what the risk gains by w2 (G-K)
    own, shared = (s.mu - 2 * s.eps) / (n * s.lam), net / (n * C * s.lam)
    used, smoothed = 1 - e_n / (C * s.k), 1 - (1 - s.b) * e_n / (C * s.k)
    b_star = 1 - C * s.k * (1 - s.r) / e_n
    own_k = K - 1
    centred = 2 * (1 - 2 / K)**2 + (K - 2) * (2 / K)**2
    return (
        check("The row-centred W has K exclusive columns, each of the squared norm", (1 - 1 / K)**2 + own_k / K**2, "=",
              own_k / K),
        check("and K (K-1)/2 columns of pairs,", centred, "=", 2 * (K - 2) / K),
        check("so ||W||_F^2 is (K-1)(w1^2 + (K-2) w2^2).", K * s.w1**2 * own_k / K + K * own_k / 2 * s.w2**2 * centred,
              "=",
              own_k * (s.w1**2 + (K - 2) * s.w2**2)),
        check("With lam_F/2 times it (lam_F written lambda) the risk of w1, w2 >= 0 is separable: its decay balances",
              s.lam * sp.Matrix([n * own, n * C * shared]), "=", sp.Matrix([s.mu - 2 * s.eps, net])),
        check("so r_AT is", (shared / own).subs(s.mu, s.k * s.sigma + 2 * s.eps), "=", used),
        check("the curve k = T/(1-r), T = e_n/(n-1).", used.subs(s.k, unit).subs(e_n, C * s.tau), "=", s.r),
        check("On it, at a zero of S, dS/dr is", total.subs(s.m, LEVEL.subs(s.k, unit)).subs(s.k, unit), "=", rises),
        check("positive, as V < v and kappa_3 >= 0: S rises through each of its zeros.",
              rises.subs(V, s.x * VARIANCE), ">", 0,
              [K4 | {s.x: s.alpha / (1 + s.alpha), kappa: s.q, s.r: 1 / (1 + s.beta)}]),
        check("The curve starts at r = 0, k = T, where S = 0, with a positive slope,", rises.subs(s.r, 0), "=",
              s.tau * (1 - V)),
        check("so S > 0 at r_AT for k > T, and r_AT < r_acc by T2-joint-B. The smoothed margin uses", smoothed - s.r,
              "=",
              (1 - s.r) - (1 - s.b) * e_n / (C * s.k)),
        check("which is r = r_acc at", smoothed.subs(s.b, b_star), "=", s.r),
        check("b* = 1 - (n-1) k (1 - r_acc)/e_n, a positive multiple of r_acc - r_AT,", b_star, "=",
              C * s.k / e_n * (s.r - used)),
        check("and below 1, as r_acc < 1.", b_star, "<", 1, [K4 | BELOW]),
        check("With (lam/2)(w1^2 + w2^2) in place of it, w2/w1 would be (n-1) k - e_n over k, above 1 for large k.",
              (C * s.k - e_n) / s.k, "=", C * used),
    ), ("T2-joint-B, G-K", SKEWED, s.SIGNS, "T1-W: the minimiser over all W has this form"), {
        "dS": rises, "r_at": used, "b_star_in_terms": b_star}
