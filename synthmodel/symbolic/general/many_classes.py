"""Joint accuracy for K classes in design A at equal noise: unimodal, above the margin loss (THEORY.md, T2-joint-K)."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.general.any_law import Phi, e_n, n
from synthmodel.symbolic.symbols import (
    HALF,
    INSIDE,
    LEIBNIZ,
    ONE,
    ROOT_PI,
    SIGNS,
    A,
    F,
    Imr,
    T,
    b,
    claim,
    derive,
    eps,
    explicit,
    k,
    m,
    mu,
    normal_cdf,
    normal_pdf,
    r,
    s,
    sigma,
    t,
    u,
    x,
    y,
    z,
)

__all__ = ["slope_along"]

# (c, q) = (1, r)/sqrt(1 + r^2) = (cos, sin) of theta. In the steps y is the T of THEORY.md, G-joint-K.
cos, sin = 1 / ONE, r / ONE
mean, ahead = k * (cos - sin), k - cos * y
density = normal_pdf(y - mean) * Phi(ahead)**(n - 1)
# Moments under that density: mean S, variance v, third central moment kappa.
S, v, kappa = sp.symbols("S v kappa_3", real=True)
slope = sp.Symbol("L", real=True)  # the derivative in y of log density, by name;
hazard = -(y - mean) - (n - 1) * cos * Imr(ahead)  # in full
MOMENTS = {0: sp.S.One, 1: S, 2: v + S**2, 3: kappa + 3 * S * v + S**3}
CROSSING = ("sign changes: two densities with the same mean and variance cross at least three times; if three, the "
            "last sign decides which third moment is larger")


def expected(expr):
    """The mean of a polynomial in y and L, of degree 1 in L: by parts, E[y^j L] = -j E[y^(j-1)]."""
    found = sp.S.Zero
    for (j, parts), factor in sp.Poly(sp.expand(expr), y, slope).terms():
        found += factor * (MOMENTS[j] if parts == 0 else -j * MOMENTS.get(j - 1, 0))
    return found


def covariance(expr):
    """Cov(y, expr) under the density, in its moments."""
    return expected(y * expr) - S * expected(expr)


def slope_along(k_slope):
    """dS/dtheta when k moves with theta at the rate k_slope (0 for k fixed), in the moments."""
    turn = -k * (cos + sin) * (y - mean) - sin / cos * y * (slope + y - mean)
    stretch = (cos - sin) * (y - mean) - (slope + y - mean) / cos
    return covariance(turn) + k_slope * covariance(stretch)


@claim("G-joint-K")
def g_joint_k():
    integrand = normal_pdf(z - k) * Phi(k + z / r)**n
    sign = mean - (n - 1) * cos * x  # x = E[phi(k-cT) Phi(k-cT)^(n-2)]/E[Phi(k-cT)^(n-1)]
    three = normal_pdf(u) / (sp.sqrt(1 + cos**2) * normal_cdf(u))  # x at n = 2
    return (
        check("Given e, each wrong class is beaten with probability Pr(k + Z > -e/r): so P is the mean of "
              "Phi(k + e/r)^n, e ~ N(k, 1), and the integrand of dP/dr is", sp.Derivative(integrand, r), "=",
              -n * z / r**2 * normal_pdf(k + z / r) * normal_pdf(z - k) * Phi(k + z / r)**(n - 1)),
        check("With e = -q T this is T times phi(T - k(c-q)) Phi(k-cT)^(n-1), n c^2 phi(k(c+q)) taken out.",
              (integrand.diff(r) * sin).subs(z, -sin * y), "=",
              n * cos**2 * normal_pdf(k * (cos + sin)) * y * density),
        check("By parts, as y - k(c-q) times the normal density is minus its slope,",
              sp.Derivative(density, y), "=", -(y - mean) * density
              - (n - 1) * cos * normal_pdf(ahead) * normal_pdf(y - mean) * Phi(ahead)**(n - 2)),
        check("so dP/dr has the sign of k(c-q) - (n-1) c E[phi Phi^(n-2)]/E[Phi^(n-1)]. At r = 0, k - T is standard "
              "normal, and E Phi^(n-1) = 1/n:", sp.Derivative(Phi(z)**n / n, z), "=", normal_pdf(z) * Phi(z)**(n - 1)),
        check("the sign is that of k - n (n-1) E[phi Phi^(n-2)] = k - e_n (G-K).", sign.subs(r, 0).subs(
            x, n * e_n / (n * (n - 1))), "=", k - e_n),
        check("At n = 2 it is that of F: by the lemma of T2-joint E Phi(k - cT) = Phi(u),",
              (k - cos * mean) / sp.sqrt(1 + cos**2), "=", u),
        check("whose slope in k at c, m fixed is E phi(k - cT) = phi(u)/sqrt(1 + c^2),",
              sp.diff(normal_cdf((z - A * m) / sp.sqrt(1 + A**2)), z), "=",
              normal_pdf((z - A * m) / sp.sqrt(1 + A**2)) / sp.sqrt(1 + A**2)),
        check("so that the sign is F times a positive factor.", sign.subs(n, 2).subs(x, three), "=",
              explicit(F) * cos / sp.sqrt(1 + cos**2)),
    ), ("T2-joint and its lemma; G-K", LEIBNIZ, "at r = 0 by continuity"), {"sign": sign, "integrand": density}


@claim("T2-joint-K")
def t2_joint_k():
    log_slope = hazard.xreplace({Imr(ahead): normal_pdf(ahead) / Phi(ahead)})
    turned = ONE**2 * sp.diff(sp.log(density), r)  # d/dtheta = (1 + r^2) d/dr
    fixed = -k * v / cos + sin / cos * (S * (1 - 2 * v) - kappa)
    cumulant = t**2 / 2 + sp.log(Phi(x - t))
    c1, below = sp.Rational(61, 100), {r: 1 / (1 + T)}
    truncated = 1 + Imr(x).diff(x)
    return (
        check("By G-joint-K dP/dr has the sign of S = E T, the mean under the density proportional to "
              "phi(T-m) Phi(k-cT)^(n-1), whose logarithm has the slope L in T.",
              sp.Derivative(density, y) / density, "=", log_slope),
        check("By parts E L = 0, E T L = -1, E T^2 L = -2 S.", sp.Derivative(y**2 * density, y) / density, "=",
              2 * y + y**2 * log_slope),
        check("dlog density/dtheta holds the hazard only in L.", turned, "=",
              -k * (cos + sin) * (y - mean) - sin / cos * y * (log_slope + y - mean)),
        check("dS/dtheta is its covariance with T, in the variance v and the third central moment:",
              slope_along(0), "=", fixed),
        check("at a zero of S (v/c)(q C - k), where kappa_3 = -C v, C written x.",
              fixed.subs({S: 0, kappa: -x * v}), "=", v / cos * (sin * x - k)),
        check("The standard normal below x has the cumulant function t^2/2 + log Phi(x - t) - log Phi(x):",
              sp.exp(t * y) * normal_pdf(y), "=", sp.exp(t**2 / 2) * normal_pdf(y - t)),
        check("its variance is 1 + imr'(x)", explicit(sp.diff(cumulant, t, 2).subs(t, 0)).replace(
            Phi, normal_cdf), "=", explicit(truncated)),
        check("and its third central moment -imr''(x).", explicit(sp.diff(cumulant, t, 3).subs(t, 0)).replace(
            Phi, normal_cdf), "=", explicit(-truncated.diff(x))),
        check("log(density/truncated normal) is concave below x, as that of any power of Phi is: its second "
              "derivative is a multiple of imr' < 0;", sp.Derivative(explicit(sp.log(normal_cdf(x))), x, 2), "=",
              explicit(Imr(x).diff(x))),
        check("so with mean and variance matched the signs run - + - +, kappa_3 >= -C1 v, C1 = max imr''/(1+imr') "
              "<= 61/100. For 0 < r < 1 q^2 < 1/2,", r**2 / (1 + r**2), "<", HALF, on=INSIDE),
        check("and k >= k0 = 1/sqrt(pi) > C1/sqrt(2): so S falls through each of its zeros.",
              1 / ROOT_PI, ">", c1 / sp.sqrt(2)),
        check("S starts at k - e_n (G-joint-K), at k = e_n with a negative slope,", fixed.subs({r: 0, S: 0}), "=",
              -k * v),
        check("and for r >= 1 its first term k(c-q) is not positive, its second is negative: S < 0.",
              mean.subs(r, 1 + s), "<=", 0),
        check("So for k >= k0 there is one zero, r_acc, if k > e_n, and none else. In k at theta fixed, log density "
              "has the slope", sp.diff(sp.log(density), k), "=",
              (cos - sin) * (y - mean) - (log_slope + y - mean) / cos),
        check("whose covariance with T is", covariance((cos - sin) * (y - mean) - (slope + y - mean) / cos), "=",
              (cos - sin) * v + (1 - v) / cos),
        check("positive for r < 1, as v < 1. So S < 0 for k < k0 <= e_n too, and r_acc rises with k:",
              ((cos - sin) * v + (1 - v) / cos).xreplace({v: A / (1 + A)} | below), ">", 0,
              [{r: 1 / (1 + T), v: A / (1 + A)}]),
        check("-(log density)'' = 1 + (n-1) c^2 |imr'(k - cT)| > 1, so v < 1.", -sp.diff(hazard, y), "=",
              1 - (n - 1) * cos**2 * Imr(x).diff(x).subs(x, ahead)),
    ), ("G-joint-K; T2-joint' for -1 < imr' < 0", "C1 = .60705... <= 61/100, certified elsewhere", CROSSING, SIGNS,
        "Brascamp-Lieb: the variance is at most the mean of -1/(log density)''", "e_n >= e_2 = 1/sqrt(pi)", LEIBNIZ), {
        "dS": fixed, "dS_dk": (cos - sin) * v + (1 - v) / cos, "dS_at_zero": v / cos * (sin * x - k)}


@claim("N2-K")
def n2_k():
    along, rate = e_n / (1 - r), k / (cos * (cos - sin))
    total = slope_along(rate).subs(S, 0)
    rises = -sin / cos * kappa + k * (1 - v) / (cos**2 * (cos - sin))
    smoothed = 1 - (1 - b) * e_n / k
    b_star = 1 - k * (1 - r) / e_n
    r_at = 1 - e_n / k
    return (
        check("The margin loss uses r_AT = 1 - e_n/k (G-K, design A),",
              (2 * (derive("G-K").results["design_A"] - eps) / (mu - 2 * eps)).xreplace({mu: k * sigma + 2 * eps}),
              "=", r_at),
        check("so r = r_AT is the curve k = e_n/(1 - r),", r_at.subs(k, along), "=", r),
        check("on which k moves with theta at the rate k/(c (c-q)).", ONE**2 * sp.Derivative(along, r), "=",
              rate.subs(k, along)),
        check("There dS/dtheta at a zero of S is, by T2-joint-K's two slopes,", total, "=", rises),
        check("positive as kappa_3 <= 0 and v < 1: S rises through each of its zeros.",
              rises.xreplace({kappa: -s, v: A / (1 + A)}), ">", 0, [{r: 1 / (1 + T)}]),
        check("kappa_3 <= 0: with n > 1 the third derivative of log density is -(n-1) c^3 imr''(k - cT), negative, so "
              "that against a normal law the signs run + - + -.",
              sp.diff(hazard, y, 2), "=", -(n - 1) * cos**3 * Imr(x).diff(x, 2).subs(x, ahead)),
        check("The curve starts at r = 0, k = e_n, where S = 0, with a positive slope:", rises.subs(r, 0), "=",
              k * (1 - v)),
        check("so S > 0 at r_AT for every k > e_n, and r_AT < r_acc by T2-joint-K. The smoothed margin uses",
              smoothed - r, "=", (1 - r) - (1 - b) * e_n / k),
        check("which is r = r_acc at b* = 1 - k (1 - r)/e_n,", smoothed.subs(b, b_star), "=", r),
        check("a positive multiple of r_acc - r_AT,", b_star, "=", k / e_n * (r - r_at)),
        check("and below 1, as r_acc < 1.", b_star, "<", 1, [{r: 1 / (1 + T)}]),
    ), ("T2-joint-K, G-K", CROSSING, SIGNS, "imr'' > 0 (Sampford 1953), by the same count for the truncated normal"), {
        "dS": rises, "b_star_in_terms": b_star, "r_at": r_at}
