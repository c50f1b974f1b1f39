"""Joint accuracy for K classes in design A at equal noise: unimodal, above the margin loss (THEORY.md, T2-joint-K)."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, check, claim, derive
from synthmodel.symbolic.general.any_law import Phi, e_n, n
from synthmodel.symbolic.symbols import Imr, explicit, normal_cdf, normal_pdf

__all__ = ["slope_along"]

# (c, q) = (1, r)/sqrt(1 + r^2) = (cos, sin) of theta. In the steps y is the T of THEORY.md, G-joint-K.
cos, sin = 1 / s.ONE, s.r / s.ONE
mean, ahead = s.k * (cos - sin), s.k - cos * s.y
density = normal_pdf(s.y - mean) * Phi(ahead)**(n - 1)
# Moments under that density: mean S, variance v, third central moment kappa.
S, v, kappa = sp.symbols("S v kappa_3", real=True)
slope = sp.Symbol("L", real=True)  # the derivative in y of log density, by name;
hazard = -(s.y - mean) - (n - 1) * cos * Imr(ahead)  # in full
MOMENTS = {0: sp.S.One, 1: S, 2: v + S**2, 3: kappa + 3 * S * v + S**3}
CROSSING = ("sign changes: two densities with the same mean and variance cross at least three times; if three, the "
            "last sign decides which third moment is larger")


def expected(expr: sp.Expr) -> sp.Expr:
    """Return the mean of a polynomial in y and L, of degree 1 in L: by parts, E[y^j L] = -j E[y^(j-1)]."""
    found = sp.S.Zero
    for (j, parts), factor in sp.Poly(sp.expand(expr), s.y, slope).terms():
        found += factor * (MOMENTS[j] if parts == 0 else -j * MOMENTS.get(j - 1, 0))
    return found


def covariance(expr: sp.Expr) -> sp.Expr:
    """Return Cov(y, expr) under the density, in its moments."""
    return expected(s.y * expr) - S * expected(expr)


def slope_along(k_slope: sp.Expr) -> sp.Expr:
    """Return dS/dtheta, in the moments, where k moves with theta at the rate k_slope (0 for k fixed)."""
    turn = -s.k * (cos + sin) * (s.y - mean) - sin / cos * s.y * (slope + s.y - mean)
    stretch = (cos - sin) * (s.y - mean) - (slope + s.y - mean) / cos
    return covariance(turn) + k_slope * covariance(stretch)


@claim("G-joint-K")
def g_joint_k() -> Stated:
    integrand = normal_pdf(s.z - s.k) * Phi(s.k + s.z / s.r)**n
    sign = mean - (n - 1) * cos * s.x  # x = E[phi(k-cT) Phi(k-cT)^(n-2)]/E[Phi(k-cT)^(n-1)]
    three = normal_pdf(s.u) / (sp.sqrt(1 + cos**2) * normal_cdf(s.u))  # x at n = 2
    return (
        check("Given e, each wrong class is beaten with probability Pr(k + Z > -e/r): so P is the mean of "
              "Phi(k + e/r)^n, e ~ N(k, 1), and the integrand of dP/dr is", sp.Derivative(integrand, s.r), "=",
              -n * s.z / s.r**2 * normal_pdf(s.k + s.z / s.r) * normal_pdf(s.z - s.k) * Phi(s.k + s.z / s.r)**(n - 1)),
        check("With e = -q T this is T times phi(T - k(c-q)) Phi(k-cT)^(n-1), n c^2 phi(k(c+q)) taken out.",
              (integrand.diff(s.r) * sin).subs(s.z, -sin * s.y), "=",
              n * cos**2 * normal_pdf(s.k * (cos + sin)) * s.y * density),
        check("By parts, as y - k(c-q) times the normal density is minus its slope,",
              sp.Derivative(density, s.y), "=", -(s.y - mean) * density
              - (n - 1) * cos * normal_pdf(ahead) * normal_pdf(s.y - mean) * Phi(ahead)**(n - 2)),
        check("so dP/dr has the sign of k(c-q) - (n-1) c E[phi Phi^(n-2)]/E[Phi^(n-1)]. At r = 0, k - T is standard "
              "normal, and E Phi^(n-1) = 1/n:", sp.Derivative(Phi(s.z)**n / n, s.z), "=",
              normal_pdf(s.z) * Phi(s.z)**(n - 1)),
        check("the sign is that of k - n (n-1) E[phi Phi^(n-2)] = k - e_n (G-K).", sign.subs(s.r, 0).subs(
            s.x, n * e_n / (n * (n - 1))), "=", s.k - e_n),
        check("At n = 2 it is that of F: by the lemma of T2-joint E Phi(k - cT) = Phi(u),",
              (s.k - cos * mean) / sp.sqrt(1 + cos**2), "=", s.u),
        check("whose slope in k at c, m fixed is E phi(k - cT) = phi(u)/sqrt(1 + c^2),",
              sp.diff(normal_cdf((s.z - s.alpha * s.m) / sp.sqrt(1 + s.alpha**2)), s.z), "=",
              normal_pdf((s.z - s.alpha * s.m) / sp.sqrt(1 + s.alpha**2)) / sp.sqrt(1 + s.alpha**2)),
        check("so that the sign is F times a positive factor.", sign.subs(n, 2).subs(s.x, three), "=",
              explicit(s.F) * cos / sp.sqrt(1 + cos**2)),
    ), ("T2-joint and its lemma; G-K", s.LEIBNIZ, "at r = 0 by continuity"), {"sign": sign, "integrand": density}


@claim("T2-joint-K")
def t2_joint_k() -> Stated:
    log_slope = hazard.xreplace({Imr(ahead): normal_pdf(ahead) / Phi(ahead)})
    turned = s.ONE**2 * sp.diff(sp.log(density), s.r)  # d/dtheta = (1 + r^2) d/dr
    fixed = -s.k * v / cos + sin / cos * (S * (1 - 2 * v) - kappa)
    cumulant = s.t**2 / 2 + sp.log(Phi(s.x - s.t))
    c1, below = sp.Rational(61, 100), {s.r: 1 / (1 + s.tau)}
    truncated = 1 + Imr(s.x).diff(s.x)
    return (
        check("By G-joint-K dP/dr has the sign of S = E T, the mean under the density proportional to "
              "phi(T-m) Phi(k-cT)^(n-1), whose logarithm has the slope L in T.",
              sp.Derivative(density, s.y) / density, "=", log_slope),
        check("By parts E L = 0, E T L = -1, E T^2 L = -2 S.", sp.Derivative(s.y**2 * density, s.y) / density, "=",
              2 * s.y + s.y**2 * log_slope),
        check("dlog density/dtheta holds the hazard only in L.", turned, "=",
              -s.k * (cos + sin) * (s.y - mean) - sin / cos * s.y * (log_slope + s.y - mean)),
        check("dS/dtheta is its covariance with T, in the variance v and the third central moment:",
              slope_along(0), "=", fixed),
        check("at a zero of S (v/c)(q C - k), where kappa_3 = -C v, C written x.",
              fixed.subs({S: 0, kappa: -s.x * v}), "=", v / cos * (sin * s.x - s.k)),
        check("The standard normal below x has the cumulant function t^2/2 + log Phi(x - t) - log Phi(x):",
              sp.exp(s.t * s.y) * normal_pdf(s.y), "=", sp.exp(s.t**2 / 2) * normal_pdf(s.y - s.t)),
        check("its variance is 1 + imr'(x)", explicit(sp.diff(cumulant, s.t, 2).subs(s.t, 0)).replace(
            Phi, normal_cdf), "=", explicit(truncated)),
        check("and its third central moment -imr''(x).", explicit(sp.diff(cumulant, s.t, 3).subs(s.t, 0)).replace(
            Phi, normal_cdf), "=", explicit(-truncated.diff(s.x))),
        check("log(density/truncated normal) is concave below x, as that of any power of Phi is: its second "
              "derivative is a multiple of imr' < 0;", sp.Derivative(explicit(sp.log(normal_cdf(s.x))), s.x, 2), "=",
              explicit(Imr(s.x).diff(s.x))),
        check("so with mean and variance matched the signs run - + - +, kappa_3 >= -C1 v, C1 = max imr''/(1+imr') "
              "<= 61/100. For 0 < r < 1 q^2 < 1/2,", s.r**2 / (1 + s.r**2), "<", s.HALF, on=s.INSIDE),
        check("and k >= k0 = 1/sqrt(pi) > C1/sqrt(2): so S falls through each of its zeros.",
              1 / s.ROOT_PI, ">", c1 / sp.sqrt(2)),
        check("S starts at k - e_n (G-joint-K), at k = e_n with a negative slope,", fixed.subs({s.r: 0, S: 0}), "=",
              -s.k * v),
        check("and for r >= 1 its first term k(c-q) is not positive, its second is negative: S < 0.",
              mean.subs(s.r, 1 + s.s), "<=", 0),
        check("So for k >= k0 there is one zero, r_acc, if k > e_n, and none else. In k at theta fixed, log density "
              "has the slope", sp.diff(sp.log(density), s.k), "=",
              (cos - sin) * (s.y - mean) - (log_slope + s.y - mean) / cos),
        check("whose covariance with T is", covariance((cos - sin) * (s.y - mean) - (slope + s.y - mean) / cos), "=",
              (cos - sin) * v + (1 - v) / cos),
        check("positive for r < 1, as v < 1. So S < 0 for k < k0 <= e_n too, and r_acc rises with k:",
              ((cos - sin) * v + (1 - v) / cos).xreplace({v: s.alpha / (1 + s.alpha)} | below), ">", 0,
              [{s.r: 1 / (1 + s.tau), v: s.alpha / (1 + s.alpha)}]),
        check("-(log density)'' = 1 + (n-1) c^2 |imr'(k - cT)| > 1, so v < 1.", -sp.diff(hazard, s.y), "=",
              1 - (n - 1) * cos**2 * Imr(s.x).diff(s.x).subs(s.x, ahead)),
    ), ("G-joint-K; T2-joint' for -1 < imr' < 0", "C1 = .60705... <= 61/100, certified elsewhere", CROSSING, s.SIGNS,
        "Brascamp-Lieb: the variance is at most the mean of -1/(log density)''", "e_n >= e_2 = 1/sqrt(pi)",
        s.LEIBNIZ), {
        "dS": fixed, "dS_dk": (cos - sin) * v + (1 - v) / cos, "dS_at_zero": v / cos * (sin * s.x - s.k)}


@claim("N2-K")
def n2_k() -> Stated:
    along, rate = e_n / (1 - s.r), s.k / (cos * (cos - sin))
    total = slope_along(rate).subs(S, 0)
    rises = -sin / cos * kappa + s.k * (1 - v) / (cos**2 * (cos - sin))
    smoothed = 1 - (1 - s.b) * e_n / s.k
    b_star = 1 - s.k * (1 - s.r) / e_n
    r_at = 1 - e_n / s.k
    return (
        check("The margin loss uses r_AT = 1 - e_n/k (G-K, design A),",
              (2 * (derive("G-K").results["design_A"] - s.eps) / (s.mu - 2 * s.eps)).xreplace(
                  {s.mu: s.k * s.sigma + 2 * s.eps}),
              "=", r_at),
        check("so r = r_AT is the curve k = e_n/(1 - r),", r_at.subs(s.k, along), "=", s.r),
        check("on which k moves with theta at the rate k/(c (c-q)).", s.ONE**2 * sp.Derivative(along, s.r), "=",
              rate.subs(s.k, along)),
        check("There dS/dtheta at a zero of S is, by T2-joint-K's two slopes,", total, "=", rises),
        check("positive as kappa_3 <= 0 and v < 1: S rises through each of its zeros.",
              rises.xreplace({kappa: -s.s, v: s.alpha / (1 + s.alpha)}), ">", 0, [{s.r: 1 / (1 + s.tau)}]),
        check("kappa_3 <= 0: with n > 1 the third derivative of log density is -(n-1) c^3 imr''(k - cT), negative, so "
              "that against a normal law the signs run + - + -.",
              sp.diff(hazard, s.y, 2), "=", -(n - 1) * cos**3 * Imr(s.x).diff(s.x, 2).subs(s.x, ahead)),
        check("The curve starts at r = 0, k = e_n, where S = 0, with a positive slope:", rises.subs(s.r, 0), "=",
              s.k * (1 - v)),
        check("so S > 0 at r_AT for every k > e_n, and r_AT < r_acc by T2-joint-K. The smoothed margin uses",
              smoothed - s.r, "=", (1 - s.r) - (1 - s.b) * e_n / s.k),
        check("which is r = r_acc at b* = 1 - k (1 - r)/e_n,", smoothed.subs(s.b, b_star), "=", s.r),
        check("a positive multiple of r_acc - r_AT,", b_star, "=", s.k / e_n * (s.r - r_at)),
        check("and below 1, as r_acc < 1.", b_star, "<", 1, [{s.r: 1 / (1 + s.tau)}]),
    ), ("T2-joint-K, G-K", CROSSING, s.SIGNS,
        "imr'' > 0 (Sampford 1953), by the same count for the truncated normal"), {
        "dS": rises, "b_star_in_terms": b_star, "r_at": r_at}
