"""The claims about two weights, derived from the definitions and decided line by line by sympy.

Nothing here is a float or shared with the numerical modules: each side is tested against the other.
Given class 1, x = (E, 0, 0; 0, C_2, C_3) with E, C_j ~ N(mu, sigma^2) independent, the scores are
f_i = w1 x_{E,i} + w2 (x_{C,j} + x_{C,l}), and the attack moves all six coordinates by at most eps.
"""

from functools import cache
from itertools import permutations
from types import MappingProxyType

import sympy as sp

from synthmodel.derivation import Derivation, check

__all__ = ["CLAIMS", "Imr", "OwenT", "b", "derive", "ell", "eps", "k", "lam",
           "mu", "r", "sigma", "w1", "w2"]

mu, sigma, lam, k, r, ell = sp.symbols("mu sigma lambda k r l", positive=True)
eps, b = sp.symbols("epsilon b", nonnegative=True)
# In the steps E, C2, C3 are the active features; p, q, s, t >= 0 and A, B, T > 0 are sizes in their cases.
w1, w2, E, C2, C3, x, y, z, m = sp.symbols("w1 w2 E C_2 C_3 x y z m", real=True)
c, p, q, s, t = sp.symbols("c p q s t", nonnegative=True)
A, B, T = sp.symbols("alpha beta tau", positive=True)

HALF, PI, ROOT_PI = sp.Rational(1, 2), sp.pi, sp.sqrt(sp.pi)
UNIT, INSIDE = {b: 1 / (1 + T)}, (r, 0, 1)  # 0 < b < 1 by substitution; 0 < r < 1 for real roots
COMMUTE = "max over delta and max over j commute, and expectation is linear"
LEIBNIZ = "differentiation under the integral sign"
DENSITY = "p_e is bounded, continuous and positive at 0, and E|M| is finite"
SIGNS = "the sign of a derivative decides monotonicity, and the intermediate value theorem"


def _phi(e):
    return sp.exp(-e**2 / 2) / sp.sqrt(2 * PI)


def _cdf(e):
    return (1 + sp.erf(e / sp.sqrt(2))) / 2


def _density(e, mean, deviation):
    return _phi((e - mean) / deviation) / deviation


class Imr(sp.Function):
    """imr(u) = phi(u)/Phi(u) by name, so that formulas stay short; T2-joint' checks its derivative."""

    def _eval_is_positive(self):
        return True

    def fdiff(self, argindex=1):
        """imr' = -imr (u + imr)."""
        return -self * (self.args[0] + self)


class OwenT(sp.Function):
    """Owen's T(h, a) by name; T2-joint checks both derivatives against the integral that defines it."""

    def fdiff(self, argindex):
        """T_h = -phi(h) (Phi(a h) - 1/2), T_a = exp(-h^2 (1 + a^2)/2)/(2 pi (1 + a^2))."""
        h, a = self.args
        if argindex == 1:
            return -_phi(h) * (_cdf(a * h) - HALF)
        return sp.exp(-h**2 * (1 + a**2) / 2) / (2 * PI * (1 + a**2))


# The shapes of theory.md, section 2, in k = (mu - 2 eps)/sigma and r = w2/w1.
ONE, TWO = sp.sqrt(1 + r**2), sp.sqrt(2 + r**2)
h, a, g = k * (1 + r) / ONE, r / TWO, TWO / ONE
u = k * r * (1 + r) / (ONE * TWO)
X, Y = r * (1 - r) / (TWO * ONE**3), 2 * (1 + r) / (TWO**3 * ONE)
F = k * (1 - r) * g - Imr(u)


def _explicit(expr):
    return expr.replace(Imr, lambda e: _phi(e) / _cdf(e))


@cache
def _attack():
    """The margins f_1 - f_j of class 1 without attack, what the attack takes off, and why (the steps)."""
    deltas = sp.symbols("delta_E1:4 delta_C1:4", real=True)
    point = [e + d for e, d in zip((E, 0, 0, 0, C2, C3), deltas, strict=True)]
    f = [w1 * point[i] + w2 * sum(point[3 + j] for j in range(3) if j != i) for i in range(3)]
    clean = [sp.expand((f[0] - f[j]).xreplace(dict.fromkeys(deltas, sp.S.Zero))) for j in (1, 2)]
    worst = 2 * eps * (sp.Abs(w1) + sp.Abs(w2))
    signs = [-sp.sign(w1), sp.sign(w1), sp.sign(w1), sp.sign(w2), -sp.sign(w2), -sp.sign(w2)]
    vertex = {d: eps * e for d, e in zip(deltas, signs, strict=True)}
    return clean, worst, (
        check("A term x y with |y| <= eps is at most eps |x|.", x * y, "<=", eps * sp.Abs(x),
              cases=({x: p, y: eps - s}, {x: -p, y: s - eps})),
        check("So max_delta (f_j - f_i) adds eps times its coefficients' l1 norm, one value for all i, j.",
              sp.Matrix([eps * sum(sp.Abs(sp.diff(f[j] - f[i], d)) for d in deltas)
                         for i, j in permutations(range(3), 2)]), "=", sp.Matrix([worst] * 6)),
        check("One vertex delta* of the box attains it for both wrong classes of class 1.",
              sp.Matrix([(f[j] - f[0]).xreplace(vertex) for j in (1, 2)]), "=",
              sp.Matrix([worst - e for e in clean]),
              cases=[{w1: i * A, w2: j * B} for i in (1, 0, -1) for j in (1, 0, -1)]))


def _soft_thresholds(smooth, unit):
    """T1 (smooth = 0) and T3: minimise E max_delta [(1-b) max_j f_j + b mean_j f_j - f_i] + (lam/2)|w|^2.

    `unit` is the substitution that says 0 < b < 1.
    """
    def loss(f2, f3):
        return (1 - smooth) * sp.Max(f2, f3) + smooth * (f2 + f3) / 2

    clean, worst, attack = _attack()
    law, spread = _density(z, 0, sp.sqrt(2) * sigma), 2 * sigma / ROOT_PI
    attacked = worst - w1 * E - w2 * (C2 + C3) / 2 + (1 - smooth) * sp.Abs(w2) * s / 2
    risk = attacked.xreplace({E: mu, C2: mu, C3: mu, s: spread}) + lam * (w1**2 + w2**2) / 2
    price = {w1: 2 * eps, w2: 2 * eps + sigma / ROOT_PI - smooth * sigma / ROOT_PI}
    scalar, best = -mu * x + c * sp.Abs(x) + lam * x**2 / 2, sp.Max(mu - c, 0) / lam
    slope = sp.diff(scalar.xreplace({sp.Abs(x): x}), x)
    inner = {w: sp.solve(slope, x)[0].xreplace({c: price[w]}) for w in price}
    threshold = sp.expand(sp.solve(inner[w2].xreplace({eps: m}), m)[0])
    minimum, ratio = -lam * (inner[w1]**2 + inner[w2]**2) / 2, 1 - (1 - smooth) / (k * ROOT_PI)
    return {"w1": best.xreplace({c: price[w1]}), "w2": best.xreplace({c: price[w2]}), "risk": minimum,
            "threshold": threshold, "ratio": ratio}, (
        *attack,
        check("The loss does not fall when f_j - f_i grows by t, so delta* is the worst attack on it.",
              loss(x + t, y), ">=", loss(x, y),
              cases=[unit | case for case in ({y: x - s}, {y: x + t + s}, {y: x + s, t: s + p})]),
        check("With s = |C_2 - C_3| the attacked loss is linear in E, C_2, C_3 and s.",
              loss(*(worst - e for e in clean)), "=", attacked,
              cases=[{C2: C3 + i * s, w2: j * q} for i in (1, -1) for j in (1, -1)]),
        check("The density of C_2 - C_3 is that of N(0, 2 sigma^2),",
              sp.Integral(_density(y, mu, sigma) * _density(y + z, mu, sigma), (y, -sp.oo, sp.oo)), "=", law),
        check("which gives E |C_2 - C_3|", sp.Integral(2 * z * law, (z, 0, sp.oo)), "=", spread),
        check("and, as min is half the sum less half the distance,", sp.Min(x, y), "=",
              (x + y - sp.Abs(x - y)) / 2, cases=({x: y + s}, {x: y - s})),
        check("E min(C_2, C_3).", mu - sp.Integral(2 * z * law, (z, 0, sp.oo)) / 2, "=",
              mu - sigma / ROOT_PI),
        check("In expectation, the risk is a function of w1 plus a function of w2,", risk, "=",
              sum(scalar.xreplace({x: w, c: price[w]}) for w in price)),
        check("each S(x) = -mu x + c |x| + (lam/2) x^2 with c >= 0: for w2, c is", price[w2], ">=", 0,
              [unit]),
        check("and the slope of S for x > 0 vanishes at (mu - c)/lam.", slope, "=",
              lam * (x - (mu - c) / lam)),
        check("S(x) >= S(x*) + (lam/2) (x - x*)^2 for real x, with x* = max(mu - c, 0)/lam: one minimiser.",
              scalar, ">=", scalar.xreplace({x: best}) + lam * (x - best)**2 / 2,
              cases=[{x: e, **case} for e in (p, -p) for case in ({mu: c + T}, {c: mu + q})]),
        check("w2* > 0 exactly below the threshold,", lam * inner[w2], "=", 2 * (threshold - eps)),
        check("where the optimal risk is -(lam/2)|w*|^2",
              risk.replace(sp.Abs, lambda e: e).xreplace(inner), "=", minimum),
        check("and w2*/w1* depends on k (and b) alone.",
              (inner[w2] / inner[w1]).xreplace({mu: k * sigma + 2 * eps}), "=", ratio))


def _t1():
    found, steps = _soft_thresholds(sp.S.Zero, {})
    eps0 = found["threshold"]
    return (*steps, check("The threshold lies below mu/2", eps0, "<", mu / 2),
            check("and has the sign of sqrt(pi) mu - sigma.", eps0, "=",
                  (ROOT_PI * mu - sigma) / (2 * ROOT_PI)),
            ), (COMMUTE,), {"w1": found["w1"], "w2": found["w2"], "eps0": eps0, "risk": found["risk"],
                            "r_at": found["ratio"]}


def _t3():
    found, steps = _soft_thresholds(b, UNIT)
    plain, eps1 = derive("T1").results, found["threshold"]
    return (*steps,
            check("For 0 < b < 1 the threshold exceeds that of b = 0", eps1, ">", plain["eps0"], [UNIT]),
            check("and stays below mu/2.", eps1, "<", mu / 2, [UNIT]),
            check("Between the two, w2 = 0 at b = 0;", plain["w2"], "=", 0,
                  [{mu: 2 * eps + T, sigma: (T + s) * ROOT_PI}]),
            check("below both, both are positive,", plain["w2"], ">", 0,
                  [{mu: 2 * eps + sigma / ROOT_PI + T}]),
            check("so that w2 exceeds its value at b = 0 there by", found["w2"] - plain["w2"], "=",
                  b * sigma / (ROOT_PI * lam), [{mu: 2 * eps + sigma / ROOT_PI + s}]),
            ), (COMMUTE,), {"w1": found["w1"], "w2": found["w2"], "eps1": eps1, "risk": found["risk"],
                            "ratio": found["ratio"]}


def _t2_pair():
    mean, deviation = k * (1 + r), ONE
    pairwise, factor = _cdf(h), (1 - r) / ONE**3
    clean, worst, attack = _attack()
    return (
        *attack,
        check("For w1, w2 >= 0 the robust margin is m_j = w1 (E - 2 eps) + w2 (C_j - 2 eps).",
              clean[0] - worst, "=", w1 * (E - 2 * eps) + w2 * (C2 - 2 * eps), cases=({w1: p, w2: q},)),
        check("In units of w1 sigma, m_j is a sum z = e + r y of e, y ~ N(k, 1). The density of (y, z) is "
              "that of N(k(1+r), 1+r^2) at z times a normal density in y,",
              _density(y, k, 1) * _density(z - r * y, k, 1), "=",
              _density(z, mean, deviation) * _density(y, k + r * (z - mean) / ONE**2, 1 / ONE)),
        check("of mass 1: so the first factor is the law of m_j.",
              sp.Integral(_density(y, x, T), (y, -sp.oo, sp.oo)), "=", 1),
        check("The normal law with mean x and deviation tau puts mass Phi(x/tau) on the positive half-line,",
              sp.Integral(_density(z, x, T), (z, 0, sp.oo)), "=", _cdf(x / T)),
        check("so Pr(m_j > 0) is", _cdf(mean / deviation), "=", pairwise),
        check("h/k has the slope", sp.Derivative(h / k, r), "=", factor),
        check("so Pr(m_j > 0) has the slope", sp.Derivative(pairwise, r), "=", _phi(h) * k * factor),
        check("positive for 0 <= r < 1,", factor, ">", 0, cases=({r: 1 / (1 + T)}, {r: sp.S.Zero})),
        check("negative for r > 1.", factor, "<", 0, cases=({r: 1 + T},)),
    ), (), {"pairwise": pairwise, "derivative_factor": factor}


def _t2_joint():
    owen = sp.Integral(sp.exp(-B**2 * (1 + x**2) / 2) / (2 * PI * (1 + x**2)), (x, 0, A))
    joint = sp.Integral(_phi(z) * _cdf(k + (k + z) / r)**2, (z, -sp.oo, sp.oo))
    closed, shift, width = _cdf(h) - 2 * OwenT(h, a), -k * (1 + r) / ONE**2, r / ONE
    slope = 2 * _phi(h) * _cdf(u) / (ONE**2 * TWO) * _explicit(F)
    bracket = k * (1 - r) * g * _cdf(u) - _phi(u)
    at_zero, at_one = slope.subs(r, 0), slope.subs(r, 1)
    return (
        check("In units of w1 sigma the margins are k + Z + r (k + Z_j), Z and Z_j standard normal.",
              (A * (k * sigma + sigma * z) + r * A * (k * sigma + sigma * y)) / (A * sigma), "=",
              k + z + r * (k + y)),
        check("Pr(Z_j > -x) = Phi(x), so P is the mean of Phi(k + (k + Z)/r)^2.",
              sp.Integral(_phi(y), (y, -x, sp.oo)), "=", _cdf(x)),
        check("Lemma: E Phi(x + beta Z) = Phi(x/sqrt(1 + beta^2)). At x = 0, 1/2: Phi(beta z) - 1/2 is odd.",
              _cdf(-B * z) - HALF, "=", -(_cdf(B * z) - HALF)),
        check("Both have the same slope in x, since a normal density in z has mass 1.",
              _phi(z) * _phi(x + B * z), "=", sp.diff(_cdf(x / sp.sqrt(1 + B**2)), x)
              * _density(z, -x * B / (1 + B**2), 1 / sp.sqrt(1 + B**2))),
        check("In dP/dk the integrand is a multiple of a normal density in z times Phi(k + (k + z)/r),",
              sp.diff(joint.function, k), "=",
              2 * (1 + r) / ONE * _phi(h) * _density(z, shift, width) * _cdf(k + (k + z) / r)),
        check("whose mean is, by the lemma with this x", k + (k + shift) / r, "=", u * g),
        check("and this 1 + beta^2, Phi(u).", 1 + (width / r)**2, "=", g**2),
        check("Owen's T(h, a), written T(beta, alpha), has the slope in h", owen.diff(B), "=",
              OwenT(B, A).diff(B)),
        check("and in a.", owen.diff(A), "=", OwenT(B, A).diff(A)),
        check("As a h = u,", a * h, "=", u),
        check("Phi(h) - 2 T(h, a) has the same slope in k as P.", sp.Derivative(closed, k), "=",
              2 * (1 + r) / ONE * _phi(h) * _cdf(u)),
        check("As k grows both tend to 1: 1 - P <= Pr(m_2 <= 0) + Pr(m_3 <= 0) = 2 (1 - Phi(h)),",
              sp.Limit(2 * (1 - _cdf(h)), k, sp.oo), "=", 0),
        check("and T's integrand falls in x >= 0,", sp.diff(owen.function, x), "<=", 0, cases=({x: s},)),
        check("so 0 <= T(h, a) <= a exp(-h^2/2)/(2 pi), which tends to 0.",
              sp.Limit(A * owen.function.subs(x, 0), B, sp.oo), "=", 0),
        check("Hence P = Phi(h) - 2 T(h, a), at r = 0 too, where P = Phi(k) and a = 0. Its slope in r is",
              sp.Derivative(closed, r), "=", 2 * _phi(h) / (ONE**2 * TWO) * bracket),
        check("where the last factor is Phi(u) F.", bracket, "=", _cdf(u) * _explicit(F)),
        check("At r = 0 it is phi(k)(k - 1/sqrt(pi)),", at_zero, "=", _phi(k) * (k - 1 / ROOT_PI)),
        check("positive iff eps < eps0.", (mu - 2 * eps) / sigma - 1 / ROOT_PI, "=",
              2 * (derive("T1").results["eps0"] - eps) / sigma),
        check("At r = 1 it is negative for every k > 0: P does not grow up to w2 = w1.", at_one, "<", 0),
    ), ("the attack of T1, and T2-pair", LEIBNIZ, SIGNS), {"P": joint, "derivative": slope, "F": _explicit(F),
                                                           "at_zero": at_zero, "at_one": at_one}


def _t2_unimodal():
    cdf, pdf, drop = sp.Symbol("Phi", positive=True), sp.Symbol("phi", positive=True), 1 / (1 + T)
    mills = _cdf(x)**2 - x * _phi(x) * _cdf(x) - _phi(x)**2
    poly = 2 - 2 * r + 4 * r**2 + r**4
    return (
        check("imr' = -imr (x + imr),", sp.Derivative(_explicit(Imr(x)), x), "=", _explicit(Imr(x).diff(x))),
        check("negative for x >= 0,", Imr(s).diff(s), "<", 0),
        check("and 1 + imr' = G/Phi^2 with G = Phi^2 - x phi Phi - phi^2,",
              _explicit(1 + Imr(x).diff(x)), "=", mills / _cdf(x)**2),
        check("G(0) > 0,", mills.subs(x, 0), ">", 0),
        check("G' = phi ((1 + x^2) Phi + x phi),", sp.Derivative(mills, x), "=",
              _phi(x) * ((1 + x**2) * _cdf(x) + x * _phi(x))),
        check("positive for x >= 0: so -1 < imr' < 0 there.", pdf * ((1 + s**2) * cdf + s * pdf), ">", 0),
        check("((1-r) g)' = -(g + X)", sp.Derivative((1 - r) * g, r), "=", -(g + X)),
        check("and u' = k (Y + X),", sp.Derivative(u, r), "=", k * (Y + X)),
        check("so F_r = -k (g + X) - imr'(u) k (Y + X).", F.diff(r), "=",
              -k * (g + X) - Imr(u).fdiff() * k * (Y + X)),
        check("With imr' = -1/(1 + tau), tau > 0, that is -k (g - Y) less a multiple of X + Y,",
              -k * (g + X) + drop * k * (Y + X), "=", -k * (g - Y) - k * (1 - drop) * (X + Y)),
        check("where k (1 - 1/(1 + tau)) > 0,", k * (1 - drop), ">", 0),
        check("X + Y > 0 on (0, 1), here times (2+r^2)^(3/2) (1+r^2)^(3/2),",
              sp.simplify((X + Y) * (TWO * ONE)**3), ">", 0, on=INSIDE),
        check("g - Y is this,", g - Y, "=", poly / (TWO**3 * ONE)),
        check("and the numerator is positive: F falls strictly on [0, 1]", poly, ">", 0, on=INSIDE),
        check("from this value at r = 0;", _explicit(F).subs(r, 0), "=", sp.sqrt(2) * (k - 1 / ROOT_PI)),
        check("it is negative for r >= 1, and so dP/dr changes sign once at most, at r_acc.", F, "<", 0,
              cases=({r: 1 + s},)),
        check("F_k > 0 for 0 < r < 1, so r_acc rises with k.", F.diff(k), ">", 0, cases=({r: 1 / (1 + T)},)),
    ), ("T2-joint", SIGNS), {"F_r": F.diff(r), "F_k": F.diff(k), "numerator": poly}


def _n1():
    density, law = sp.Function("p_e"), sp.Function("q")
    accuracy = sp.Integral(law(m) * sp.Integral(density(x), (x, -r * m, sp.oo)), (m, -sp.oo, sp.oo))
    mean = sp.Integral(m * law(m), (m, -sp.oo, sp.oo))
    clean, worst, attack = _attack()
    least = sp.Min(C2, C3) - 2 * eps
    mean_m, expected = sp.symbols("E[M] E[min]", real=True)
    margin_loss = sp.Max(*(worst - e for e in clean))
    return (
        *attack,
        check("For w >= 0 the loss is -w1 (E - 2 eps) - w2 M with M = min_j C_j - 2 eps,", margin_loss, "=",
              -w1 * (E - 2 * eps) - w2 * least, cases=[{w1: p, w2: q, C2: C3 + e} for e in (s, -s)]),
        check("so its mean has the slope -E[M] in w2,",
              sp.Derivative(-w1 * (mu - 2 * eps) - w2 * mean_m, w2), "=", -mean_m),
        check("and with e of density p_e and M of density q, P'(0+) is p_e(0) E[M].",
              sp.factor_terms(accuracy.diff(r).subs(r, 0)), "=", density(0) * mean),
        check("E[M] changes sign at eps0 = E[min_j C_j]/2;", expected - 2 * eps, "=",
              2 * (expected / 2 - eps)),
        check("for normal noise it is that of T1.", (mu - sigma / ROOT_PI) / 2, "=",
              derive("T1").results["eps0"]),
    ), (DENSITY, LEIBNIZ), {"accuracy_slope": density(0) * mean, "eps0": expected / 2}


def _n2():
    at = {k: 1 / (ROOT_PI * (1 - r))}  # r = r_AT, solved for k
    bracket = 2 * sp.sqrt(2) / PI * (1 + r) / (1 - r) * g
    squared, bound = 8 * (1 + r)**2 * (2 + r**2), r**2 * (1 - r)**2 * (1 + r**2)
    return (
        check("(1/imr)' = 1 + x/imr,", sp.Derivative(_explicit(1 / Imr(x)), x), "=",
              _explicit(1 + x / Imr(x))),
        check("at least 1 for x >= 0,", 1 + s / Imr(s), ">=", 1),
        check("and 1/imr(0) = sqrt(pi/2): so 1/imr(x) >= sqrt(pi/2) + x for x >= 0.",
              _explicit(1 / Imr(x)).subs(x, 0), "=", sp.sqrt(PI / 2)),
        check("At r = r_AT, F is imr(u) times g/(sqrt(pi) imr(u)) - 1,", F.xreplace(at), "=",
              Imr(u.xreplace(at)) * (g / (ROOT_PI * Imr(u.xreplace(at))) - 1)),
        check("so F > 0 if g (sqrt(pi/2) + u) > sqrt(pi). The difference of the squares is",
              (g * (sp.sqrt(PI / 2) + u.xreplace(at)))**2 - PI, "=",
              (g * u.xreplace(at))**2 + PI * r / (2 * ONE**2) * (bracket - r)),
        check("where (2 sqrt(2)/pi) ((1+r)/(1-r)) g exceeds r: the squares differ by", bracket**2 - r**2, "=",
              (squared - PI**2 * bound) / (PI**2 * (1 - r)**2 * ONE**2)),
        check("and with pi^2 < 10", PI**2, "<", 10),
        check("the numerator is positive. So F(r_AT, k) > 0: r_AT < r_acc by T2-joint'.", squared, ">",
              10 * bound, on=INSIDE),
    ), ("T2-joint'", SIGNS), {"bracket": bracket}


def _n3():
    k0, accurate, ratio = 1 / ROOT_PI, sp.Function("r_acc")(k), derive("T3").results["ratio"]
    b_star = sp.expand(sp.solve((ratio - r).xreplace({b: m}), m)[0])
    f_r, f_k = (_explicit(F.diff(e)).subs(r, 0).subs(k, k0) for e in (r, k))
    r_slope = sp.factor(sp.simplify(-f_k / f_r))
    along = {sp.Derivative(accurate, k): r_slope}
    slope = sp.simplify(b_star.xreplace({r: accurate}).diff(k).subs(along).subs(accurate, 0).subs(k, k0))
    r_at_slope = derive("T1").results["r_at"].diff(k).subs(k, k0)
    cubic, fall = r**3 + (ell - 1) * r**2 + (ell + 2) * r - 2, Imr(u) * (u + Imr(u))  # fall = -imr'(u)
    share = (1 - r) * (2 + r**2) / (r * (1 + r))  # l = imr(u)/u on F = 0
    named = {Imr(u): B}
    need = sp.cancel(sp.simplify((1 - r) * X / (u / k + (1 - r) * (Y + X))))
    return (
        check("The ratio of T3 rises with b,", ratio.diff(b), ">", 0),
        check("and equals r_acc = r at b* = 1 - sqrt(pi) k (1 - r).", ratio.xreplace({b: b_star}), "=", r),
        check("b* is a positive multiple of r_acc - r_AT, so b* > 0 by N2,", b_star, "=",
              ROOT_PI * k * (r - derive("T1").results["r_at"])),
        check("and b* < 1 as r_acc < 1.", b_star, "<", 1, cases=({r: 1 / (1 + T)},)),
        check("At r = 0, k = 1/sqrt(pi): F = 0,", _explicit(F).subs(r, 0).subs(k, k0), "=", 0),
        check("F_r is not 0,", f_r, "<", 0),
        check("and r_acc has the slope -F_k/F_r.", -f_k / f_r, "=", PI * ROOT_PI / (PI - 1)),
        check("That of b* is, by the chain rule,", slope, "=", ROOT_PI / (PI - 1)),
        check("and that of r_AT.", r_at_slope, "=", ROOT_PI),
        check("With imr(u) = l u, F is a negative multiple of a cubic,",
              k * (1 - r) * g - ell * u, "=", -k / (ONE * TWO) * cubic),
        check("negative at r = 0,", cubic.subs(r, 0), "<", 0),
        check("positive at r = 1,", cubic.subs(r, 1), ">", 0),
        check("with the slope 3 r^2 - 2 r + 2 + l (2 r + 1),", cubic.diff(r), "=",
              3 * r**2 - 2 * r + 2 + ell * (2 * r + 1)),
        check("positive: it has one root in (0, 1).", 3 * r**2 - 2 * r + 2, ">", 0, on=INSIDE),
        check("As F_r < 0, b* rises with k iff k F_k + (1 - r) F_r > 0 on F = 0: a positive multiple of "
              "-imr'(u) - R(r); beta = imr(u).",
              (k * F.diff(k) + (1 - r) * F.diff(r)).xreplace(named), "=",
              k * (u / k + (1 - r) * (Y + X)) * (fall - need).xreplace(named)),
        check("R < 1/9.", need, "<", sp.Rational(1, 9), on=INSIDE),
        check("If u <= 1/2: -imr' >= imr^2 >= phi(1/2)^2 > 1/9.", _phi(HALF)**2, ">", sp.Rational(1, 9)),
        check("If u > 1/2: -imr' = l (l + 1) u^2,", (ell * s) * (s + ell * s), "=", ell * (ell + 1) * s**2),
        check("where F = 0 gives l,", cubic.subs(ell, share), "=", 0),
        check("and l (l + 1)/4 > R.", share * (share + 1) / 4, ">", need, on=INSIDE),
        check("On F = 0, 1 - b* = sqrt(pi) imr(u)/g,", (1 - b_star) * g - ROOT_PI * Imr(u), "=", ROOT_PI * F),
        check("and as k grows so does u, at least in proportion, and imr(u) tends to 0: b* tends to 1.",
              sp.Limit(_explicit(Imr(A)), A, sp.oo), "=", 0),
    ), ("T2-joint, T2-joint' and N2", "the implicit function theorem", SIGNS), {
        "b_star_in_terms": b_star, "slope": slope, "r_acc_slope": r_slope, "r_at_slope": r_at_slope,
        "cubic": cubic}


CLAIMS = MappingProxyType({"T1": _t1, "T2-pair": _t2_pair, "T2-joint": _t2_joint, "T2-joint'": _t2_unimodal,
                           "T3": _t3, "N1": _n1, "N2": _n2, "N3": _n3})


@cache
def derive(claim):
    """The Derivation of `claim`, one of the IDs in CLAIMS; computed once, then remembered.

    Its results are expressions in this module's symbols: mu, sigma the mean and deviation of a feature, eps
    the attack, lam the regulariser, b the smoothing, k = (mu - 2 eps)/sigma, r = w2/w1.  Raises ValueError
    for an unknown ID.

    >>> derive("T1").results["eps0"], derive("T1").holds
    (mu/2 - sigma/(2*sqrt(pi)), True)
    """
    if claim not in CLAIMS:
        raise ValueError(f"the claim {claim!r} has no derivation here: choose one of {', '.join(CLAIMS)}.")
    steps, carried_by, results = CLAIMS[claim]()
    return Derivation(claim, steps, carried_by, MappingProxyType(results))
