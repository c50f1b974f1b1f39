"""Label-smoothed cross-entropy under its own exact attack: S1-exact, T1-CE-exact, T1-CE-exact-unequal.

F(m_j, m_k) is the loss at the attacked point: the largest over the vertices of `symbolic.softmax.vertices`. All p
and pi = p_j + p_k are those of the attacked point. F is convex, and every slope at a weight that is 0 is one-sided.
"""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Step, Steps, check, claim
from synthmodel.symbolic.softmax.cross_entropy import DOMINATED, others, own
from synthmodel.symbolic.softmax.vertices import early_steps, loss, vertex_steps

__all__ = ["F_t", "rest", "slope"]

i, j, rho = sp.symbols("i j rho", real=True)
s_e, s_c, cost, large = sp.symbols("sigma_E sigma_C c M", positive=True)  # large: the larger of two means, mu the other
F_jj, F_jk, F_kk = sp.symbols("F_jj F_jk F_kk", real=True)  # means of the second derivatives of F
rest, F_t = sp.symbols("Q F_t", real=True)  # E[pi - b] and E dF/dt
AT_0 = {rest: sp.Rational(2, 3) - s.b, F_t: sp.Rational(2, 3) - s.b}  # at w = 0 every p is 1/3
# 0 < b < 2/3, eps < mu/2, eps >= mu/2
SMOOTH, WEAK, LATE = {s.b: 2 / (3 * (1 + s.tau))}, {s.mu: 2 * s.eps + s.alpha}, {s.eps: s.mu / 2 + s.t}
CUBE = ("A1: the attack adds a point of a cube to the scores; a convex loss is largest at a vertex, where every "
        "coordinate has the sign of the loss's slope in it")
CONVEX = "R is strictly convex: a mean of maxima over delta of convex functions of w, and lam > 0"
RISING = ("(z - E z).(g(z) - g(E z)) >= 0 where g is the gradient of a convex function, here F, in the feature or the "
          "features z of a weight > 0: so E[(z - E z).g(z)] >= 0")
TIES = "vertices tie with probability 0: e^(-m_j) and e^(-m_k) lie on a line then, and the noise has a density"
CONTINUOUS = "the minimiser of a strictly convex risk is continuous in eps"


def slope(mean: sp.Expr, part: sp.Expr) -> sp.Expr:
    """Return dR/d|w_i|: mean is that of its feature times the sign of w_i; part = lam |w_i| + a covariance >= 0."""
    return -mean * rest + 2 * s.eps * F_t + part


def gradient_steps() -> Steps:
    """The slopes of F in w1, w2 > 0, and Stein's form of their means."""
    u_j, u_k = (s.w1 * s.E + s.w2 * e + v * 2 * s.eps * (s.w1 + s.w2) for e, v in ((s.C2, i), (s.C3, j)))
    total = 1 + sp.exp(-u_j) + sp.exp(-u_k)
    p_j, p_k = sp.exp(-u_j) / total, sp.exp(-u_k) / total
    in_t = i * (s.b / 2 - p_j) + j * (s.b / 2 - p_k)
    law = sp.exp(-(s.x**2 - 2 * rho * s.x * s.y + s.y**2) / (2 * (1 - rho**2))) / (2 * s.PI * sp.sqrt(1 - rho**2))
    m_j, m_k = s.w1 * s.E + s.w2 * s.C2, s.w1 * s.E + s.w2 * s.C3
    f_j, f_k = F_jj * m_j + F_jk * m_k, F_jk * m_j + F_kk * m_k  # F to second order
    return (
        check("Attacked at the vertex (i, j), the loss has the slope in w1", sp.Derivative(loss(u_j, u_k), s.w1), "=",
              s.E * (s.b - p_j - p_k) + 2 * s.eps * in_t),
        check("and in w2; F_t is the mean of dF/dt, the slope in t.", sp.Derivative(loss(u_j, u_k), s.w2), "=",
              s.C2 * (s.b / 2 - p_j) + s.C3 * (s.b / 2 - p_k) + 2 * s.eps * in_t),
        check("Stein for two standard normals of correlation rho: x times their density is", s.x * law, "=",
              -sp.Derivative(law, s.x) - rho * sp.Derivative(law, s.y)),
        check("so E[(E - mu) g] = sigma_E^2 E dg/dE, where g = F_j + F_k has the slope", sp.Derivative(f_j + f_k, s.E),
              "=", s.w1 * (F_jj + 2 * F_jk + F_kk)),
        check("and the sum of E[(C_j - mu) F_j] is sigma_C^2 times",
              f_j.diff(s.C2) + rho * f_j.diff(s.C3) + f_k.diff(s.C3) + rho * f_k.diff(s.C2), "=",
              s.w2 * (F_jj + F_kk + 2 * rho * F_jk)),
        check("Price: the density has the slope in rho d2/dx dy of it, so dR/drho = (sigma_C w2)^2 F_jk.",
              sp.Derivative(law, rho), "=", sp.Derivative(law, s.x, s.y)))


@claim("S1-exact")
def s1_exact() -> Stated:
    across, along = F_jj + 2 * F_jk + F_kk, F_jj + F_kk + 2 * rho * F_jk
    zero = sp.solve([slope(s.mu, s.w1 * (s.lam + s_e**2 * own)), slope(s.mu, s.w2 * (s.lam + s_c**2 * others))],
                    (s.w1, s.w2))
    ratio = zero[s.w2] / zero[s.w1]
    equal = ratio.xreplace({s_e: s.sigma, s_c: s.sigma})

    def share(odds: sp.Expr) -> sp.Expr:  # p_j where p_k has the odds B
        return odds / (1 + odds + s.beta)
    rise = s.alpha * (1 + s.tau) / (1 + (s.alpha + s.beta) * (1 + s.tau)) - share(s.alpha)
    return (
        *gradient_steps(),
        check("So with the curvatures A = F_jj + 2 F_jk + F_kk and B = F_jj + F_kk + 2 rho F_jk of F in the mean, both "
              "slopes -mu E[pi - b] + 2 eps F_t + w_i (lam + ...) vanish at equal means where w2/w1 is", ratio, "=",
              (s.lam + s_e**2 * own) / (s.lam + s_c**2 * others)),
        check("A - B is", across - along, "=", 2 * (1 - rho) * F_jk),
        check("and 1 - rho > 0.", 1 - rho, ">", 0, [{rho: (1 - s.tau) / (1 + s.tau)}]),
        check("So at equal noises w2/w1 is above 1 iff F_jk > 0, that is iff the risk rises with rho:", equal, ">", 1,
              [{own: others + 2 * s.tau * s.alpha}]),
        check("below 1 for F_jk < 0.", equal, "<", 1, [{others: own + 2 * s.tau * s.alpha}]),
        check("Away from ties F_jk is -p_j p_k, the mixed derivative of", sp.Derivative(loss(s.x, s.y), s.x, s.y), "=",
              -sp.exp(-s.x - s.y) / (1 + sp.exp(-s.x) + sp.exp(-s.y))**2),
        check("so that r < 1 where delta* always wins. But where (1, 1) gives way to (-1, -1), all odds rise in one "
              "proportion, p_j and p_k with them, F_j and F_k jump up, and F_jk gains:", rise, ">", 0),
    ), (s.LEIBNIZ, "integration by parts against the normal density: F grows linearly", CUBE, TIES), {
        "ratio": ratio, "difference": 2 * (1 - rho) * F_jk}


def size_step() -> Step:
    """dF/dt >= |pi - b|."""
    return check("dF/dt, of mean F_t, is half the l1 norm of the slopes (b - pi, p_j - b/2, p_k - b/2) in the scores "
                 "(A1): at least |pi - b|.", s.HALF * (sp.Abs(s.x + s.y) + sp.Abs(s.x) + sp.Abs(s.y)), ">=",
                 sp.Abs(s.x + s.y),
                 [{s.x: e * (s.p + s.q), s.y: f * s.p} for e in (1, -1) for f in (1, -1)])


def quadrant_steps() -> tuple[sp.Expr, Steps]:
    """Where the minimiser can lie for eps < mu/2; `first` is E[pi - b] where the slope of one weight > 0 is 0."""
    first = sp.solve(slope(s.mu, cost), rest)[0]
    return first, (
        check("At w = 0 Q = E[pi - b] and F_t are 2/3 - b: along (p, q) the slope is (p + q) times",
              slope(s.mu, 0).xreplace(AT_0), "<", 0, [SMOOTH | WEAK]),
        check("so w = 0 is no minimiser, nor is a point of w1, w2 <= 0: along (-p, -q) the slope at 0 is (p + q) times",
              slope(-s.mu, 0).xreplace(AT_0), ">", 0, [SMOOTH]),
        check("nor one with w1 > 0 > w2 or w2 > 0 > w1: where the slope of the weight > 0 is 0, that of the other's "
              "size is, as F_t >= 0,", slope(-s.mu, s.beta).subs(rest, first), ">", 0, [{F_t: s.s}]),
        check("nor one with w2 > 0 = w1: where the slope of w2 is 0, that of w1, E being independent of the C_j, is",
              slope(s.mu, 0).subs(rest, first), "<", 0))


@claim("T1-CE-exact")
def t1_ce_exact() -> Stated:
    first, quadrants = quadrant_steps()
    need, vertices = vertex_steps()
    weight = sp.solve(slope(s.mu, cost), cost)[0]
    return (
        *quadrants,
        check("nor one with w1 > 0 = w2, where m_j = m_k. If no other vertex than (1, 1) and (-1, -1) wins, p_j = p_k. "
              "Where (1, 0) and (0, 1) tie, F's slope in w2 would be the larger of theirs, |p_j - p_k| |C_j - C_k|/2 "
              "more than (b - pi)(C_j + C_k)/2 + 2 eps dF/dt, as", (s.b / 2 - s.x) * s.C2 + (s.b / 2 - s.y) * s.C3, "=",
              (s.b - s.x - s.y) * (s.C2 + s.C3) / 2 + (s.y - s.x) * (s.C2 - s.C3) / 2),
        *early_steps(), *vertices,
        check("So p_j = p_k, for eps = 0 too; where the slope of w1 is 0, that of w2, as E does not depend on C_j, is",
              slope(s.mu, 0).subs(rest, first), "<", 0),
        check("For eps < mu/2 both weights are positive. For eps >= mu/2 w = 0 is the minimiser: the slope at 0 along "
              "(p, q) is (p + q) times", slope(s.mu, 0).xreplace(AT_0), ">=", 0, [SMOOTH | LATE]),
        check("and along (p, -q) or (-q, p) it is", (s.p * slope(s.mu, 0) + s.q * slope(-s.mu, 0)).xreplace(AT_0), ">=",
              0,
              [SMOOTH | LATE]),
        size_step(),
        check("The weights die together: lam w_i is at most (mu - 2 eps) E[pi - b].", weight, "<=",
              (s.mu - 2 * s.eps) * rest, [{F_t: rest + s.s}]),
    ), (CONVEX, CUBE, RISING, TIES, s.LEIBNIZ, "Jensen", "E is independent of (C_j, C_k)"), {
        "first": need[1, 0], "second": need[0, -1]}


@claim("T1-CE-exact-unequal")
def t1_ce_exact_unequal() -> Stated:
    first = sp.solve(slope(large, cost), rest)[0]
    single, pi = loss(s.m + i * s.t, s.m + i * s.t), 2 / (2 + sp.exp(s.m + i * s.t))  # both margins m + i t
    chance = 1 - 1 / (1 + sp.exp(-s.m - i * s.t) + sp.exp(-s.m - j * s.t))  # pi where they are m + i t and m + j t
    return (
        check("For eps < M/2, M the larger mean, let its weight alone minimise R. It is > 0, as its slope at w = 0 is",
              slope(large, 0).xreplace(AT_0), "<", 0, [SMOOTH | {large: 2 * s.eps + s.alpha}]),
        check("There its slope is 0, so Q = E[pi - b] is", first, ">", 0, [{F_t: s.s}]),
        check("and the slope of the other weight, of mean mu < M, towards -0 is", slope(-s.mu, s.s), ">", 0,
              [{rest: s.alpha, F_t: s.q}]),
        check("towards +0 it is -mu E[pi - b] + 2 eps F_t + what ties add: below 0 at eps = 0, where the weight lives.",
              slope(s.mu, 0).subs(s.eps, 0), "<", 0, [{rest: s.alpha}]),
        size_step(),
        check("dF/dt exceeds pi - b where pi < b, by at least", sp.Abs(s.x) - s.x, ">", 0, [{s.x: -s.tau}]),
        check("which has a probability > 0: pi tends to 0 as the margins grow, at each vertex.",
              sp.Limit(chance, s.m, sp.oo), "=", 0),
        check("So F_t > E[pi - b], and at eps >= mu/2 that slope is", slope(s.mu, s.q), ">", 0,
              [{s.eps: s.mu / 2 + s.s, rest: s.alpha, F_t: s.alpha + s.tau}]),
        check("By continuity so it is a little below mu/2, where the weight is 0 already. If it is w2, only (1, 1) and "
              "(-1, -1) win (T1-CE-exact, mu_E > mu_C > 2 eps), with the slope in t, for i = 1 and -1,",
              sp.Derivative(single, s.t), "=", i * (s.b - pi)),
        check("so dF/dt = |pi - b|, ties add nothing, and w2 > 0 iff mu_C E[pi - b] > 2 eps E|pi - b|; pi depends on "
              "w1 E alone, so sigma_C and rho do not enter. The slope is 0 for the mean",
              sp.solve(slope(s.mu, 0), s.mu)[0], "=", 2 * s.eps * F_t / rest),
    ), (CONVEX, CUBE, RISING, TIES, CONTINUOUS, DOMINATED, "T1-CE-exact",
        "not derived: that the weight, once dead, stays dead below mu/2 (seen on a grid)"), {
            "slope": slope(s.mu, 0), "first": first}
