"""Cross-entropy in two dimensions, THEORY.md, CE-2D, and what leads N4 to one inequality.

Units of the noise: sigma = 1, each attacked feature is N(k, 1) and the decay is L = lam/sigma^2.
"""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim
from synthmodel.symbolic.softmax.cross_entropy import CONVEX, L, n, softmax
from synthmodel.symbolic.symbols import Imr, normal_density

# In the direction of w = |w| (1, r)/sqrt(1+r^2): x = (e + r c_j)/sqrt(1+r^2) and T = (c_j - r e)/sqrt(1+r^2).
ALONG, ACROSS = (s.E + s.r * s.C2) / s.ONE, (s.C2 - s.r * s.E) / s.ONE
MEANS = s.k * (1 + s.r) / s.ONE, s.k * (1 - s.r) / s.ONE  # of x and T
SCALE = s.w1 * s.ONE  # |w|


def square(feature: sp.Expr, mean: sp.Expr, variance: sp.Expr | int = 1) -> sp.Expr:
    return (feature - mean)**2 / variance


def independent_steps() -> Steps:
    """m_2 = a + D and m_3 = a - D with independent normal a and D."""
    a, spread = s.w1 * s.E + s.w2 * (s.C2 + s.C3) / 2, s.w2 * (s.C2 - s.C3) / 2
    third = s.w2 * s.E - s.w1 * (s.C2 + s.C3)
    wide, narrow, last = s.w1**2 + s.w2**2 / 2, s.w2**2 / 2, s.w2**2 + 2 * s.w1**2
    turn = sp.Matrix([a, spread, third]).jacobian([s.E, s.C2, s.C3])
    p1 = softmax(s.E, s.C2, s.C3)[0]
    return (
        check("With a = w1 e + w2 (c_2 + c_3)/2, D = w2 (c_2 - c_3)/2, 1/p_1 is 1 + 2 exp(-a) cosh D,", 1 / p1, "=",
              1 + 2 * sp.exp(-a) * sp.cosh(spread).rewrite(sp.exp)),
        check("and (b/2)(m_2 + m_3) = b a: the loss, smoothed or not, is a function of a and D.",
              s.b / 2 * (2 * s.w1 * s.E + s.w2 * s.C2 + s.w2 * s.C3), "=", s.b * a),
        check("With N = w2 e - w1 (c_2 + c_3) the exponent of the law of e, c_2, c_3 is a sum of squares of a, D, N,",
              sum(square(e, s.k) for e in (s.E, s.C2, s.C3)), "=",
              square(a, s.k * (s.w1 + s.w2), wide) + square(spread, 0, narrow)
              + square(third, s.k * (s.w2 - 2 * s.w1), last)),
        check("and the squared determinant is the product of their variances: a, of the law N(k (w1 + w2), "
              "w1^2 + w2^2/2), D, of the law N(0, w2^2/2), and N are independent.", turn.det()**2, "=",
              wide * narrow * last))


def sign_steps() -> tuple[Steps, sp.Expr]:
    """The sign of dr/dk along the minimisers, from the two conditions in r, tau = |w| and k."""
    theta, rate, scale_rate = sp.symbols("theta r' tau'", real=True)
    names = sp.symbols("G1_r G1_tau G1_k G2_r G2_tau G2_k G_2", real=True)
    g1_r, g1_tau, g1_k, g2_r, g2_tau, g2_k, g2 = names
    moves = sp.solve([g1_r * rate + g1_tau * scale_rate + g1_k,
                      g2_r * rate + (g2_tau - g2 / s.tau) * scale_rate + g2_k], [rate, scale_rate])
    number = -g1_k * (g2_tau - g2 / s.tau) + g2_k * g1_tau
    det = g1_r * (g2_tau - g2 / s.tau) - g1_tau * g2_r
    first, second = (sp.Function(e)(theta, s.tau) for e in ("G_1", "G_2"))
    polar = sp.Matrix([L * s.tau - n * second, -n * s.tau * first])  # dR/dtau, dR/dtheta, r = tan theta
    hessian = polar.jacobian([s.tau, theta])
    partial = {first.diff(theta): (1 + s.r**2) * g1_r, second.diff(theta): (1 + s.r**2) * g2_r,
               first.diff(s.tau): g1_tau, second.diff(s.tau): g2_tau, first: 0, second: g2}
    at = hessian.xreplace(partial).subs(L, n * g2 / s.tau)  # n G2 = L tau
    return (
        check("Let G1 = E[p_j T], G2 = E[p_j x], tau = |w|. Along G1 = 0, n G2 = L tau, as k moves, dr/dk is N/Delta,",
              moves[rate], "=", number / det),
        check("N = -G1_k (G2_tau - G2/tau) + G2_k G1_tau, Delta = G1_r (G2_tau - G2/tau) - G1_tau G2_r. The Hessian of "
              "R in |w| and the angle has the entries (tau, tau), (theta, theta), (theta, tau)",
              sp.Matrix([at[0, 0], at[1, 1], at[1, 0]]), "=",
              -n * sp.Matrix([g2_tau - g2 / s.tau, s.tau * (1 + s.r**2) * g1_r, s.tau * g1_tau])),
        check("and its determinant, positive at the minimiser, is", at[0, 0] * at[1, 1] - at[0, 1] * at[1, 0], "=",
              n**2 * s.tau * (1 + s.r**2) * det),
        check("so dr/dk has the sign of N: n^2 tau (1 + r^2) is", n**2 * s.tau * (1 + s.r**2), ">", 0)), number / det


@claim("CE-2D")
def plane() -> Stated:
    line, pull = {s.w2: s.r * s.w1}, {s.E: L * s.w1, s.C2: L * s.w2}  # pull: n E[p_j e], n E[p_j c_j] at the minimiser
    back = sp.Matrix([ALONG, ACROSS]).jacobian([s.E, s.C2])
    sign, rate = sign_steps()
    return (
        *independent_steps(),
        check("For a wrong class j let w2 = r w1, x = (e + r c_j)/sqrt(1+r^2), T = (c_j - r e)/sqrt(1+r^2): "
              "m_j = |w| x,", SCALE * ALONG, "=", s.w1 * s.E + s.r * s.w1 * s.C2),
        check("a rotation,", back * back.T, "=", sp.eye(2)),
        check("and x and T are independent normals, of variance 1 and these means.",
              square(s.E, s.k) + square(s.C2, s.k), "=",
              square(ALONG, MEANS[0]) + square(ACROSS, MEANS[1])),
        check("At the minimiser n E[p_j e] = L w1 and n E[p_j c_j] = L w2, by S1's slopes of the loss and symmetry. "
              "So n E[p_j x] = L |w|", ALONG.xreplace(pull), "=", L * SCALE, cases=[line]),
        check("and n E[p_j T] = 0, free of L.", ACROSS.xreplace(pull), "=", 0, cases=[line]),
        *sign,
    ), ("S1", CONVEX, "the implicit function theorem",
        "not derived: the sign of N (certified on boxes)"), {"means": sp.Matrix(MEANS), "dr_dk": rate}


def entropy_steps() -> tuple[sp.Expr, Steps]:
    """log(1 + e^m) - rho2 m >= H(rho2), rho2 = r^2/(1+r^2), with equality at e^m = r^2."""
    share = s.r**2 / (1 + s.r**2)
    level, least = sp.log(1 + sp.exp(s.y)) - share * s.y, {s.y: sp.log(s.r**2)}
    binary = -share * (sp.log(s.r**2) - sp.log(1 + s.r**2)) + (1 - share) * sp.log(1 + s.r**2)
    return binary, (
        check("log(1 + e^y) - y r^2/(1+r^2) is convex in y,", sp.diff(level, s.y, 2), ">", 0),
        check("has the slope 0 at e^y = r^2,", level.diff(s.y), "=", 0, cases=[least]),
        check("where it is the binary entropy H of r^2/(1+r^2), its least value.", level, "=", binary,
              cases=[least]))


@claim("N4")
def n4() -> Stated:
    mean0, mean1 = sp.symbols("S_0 S_1", positive=True)  # E sig(a), E sig'(a)
    rho = s.w2 * s.g
    odds = sp.exp(s.x)  # exp(m_j), x for m_j
    cut = sp.log(1 + odds) - s.r**2 / (1 + s.r**2) * s.x + s.w2 * (s.y - s.z / s.ONE)  # y for c_l, z for T
    sig = 1 / (1 + sp.exp(-(s.beta + s.w2 * (s.y - s.z / s.ONE))))
    binary, steps = entropy_steps()
    full = s.k * (1 - s.r) / s.ONE * mean0 - s.w2 / s.ONE * mean1
    inner = Imr(s.u) * mean0 - rho * mean1
    return (
        check("j, l the wrong classes, w2 = r w1: w2 c_j = m_j r^2/(1+r^2) + w2 T/sqrt(1+r^2) with m_j = |w| x.",
              s.r * s.w1 * s.C2, "=", s.r**2 / (1 + s.r**2) * SCALE * ALONG + s.r * s.w1 * ACROSS / s.ONE),
        check("So p_j = 1/(1 + e^m_j + e^(m_j - m_l)) is sig(-m_j) times sig of log(1 + e^m_j) - m_j r^2/(1+r^2) + "
              "w2 (c_l - T/sqrt(1+r^2)); here x, y, z are m_j, c_l, T,",
              1 / (1 + odds + sp.exp(s.w2 * (s.z / s.ONE - s.y) + s.r**2 / (1 + s.r**2) * s.x)), "=",
              1 / (1 + odds) / (1 + sp.exp(-cut).expand(log=True))),
        *steps,
        check("So given m_j, T is cut off at c_l sqrt(1+r^2) with logistic noise, relaxed by H/w2 at least; relaxed by "
              "beta/w2, sig(a) has the slope -(w2/sqrt(1+r^2)) sig'(a) in T,", sp.Derivative(sig, s.z), "=",
              -s.w2 / s.ONE * sig * (1 - sig)),
        check("and a = beta + w2 (c_l - T/sqrt(1+r^2)) is normal, with mean less beta", s.w2 * (s.k - MEANS[1] / s.ONE),
              "=",
              rho * s.u),
        check("and variance, where rho = w2 sqrt((2+r^2)/(1+r^2)): a = beta + rho (u - Z).",
              s.w2**2 * (1 + 1 / s.ONE**2),
              "=", rho**2),
        check("The law of T: its exponent's derivative is that of N(k(1-r)/sqrt(1+r^2), 1), so by Stein (S1) "
              "E[T sig(a)] = E T E sig(a) - (w2/sqrt(1+r^2)) E sig'(a);",
              sp.diff(sp.log(normal_density(s.z, MEANS[1], 1)), s.z), "=", MEANS[1] - s.z),
        check("with F of T2-joint' and S_0 = E sig(a), S_1 = E sig'(a) it is a positive multiple of "
              "imr(u) S_0 - rho S_1 + F S_0,", full, "=", (inner + s.F * mean0) / (s.ONE * s.g)),
        check("and F = 0 at r = r_acc leaves a positive multiple of I(u, rho) = imr(u) S_0 - rho S_1.",
              full.xreplace({s.k: Imr(s.alpha) / ((1 - s.r) * s.g)}), "=",
              (Imr(s.alpha) * mean0 - rho * mean1) / (s.ONE * s.g)),
    ), ("T2-joint', S1 and CE-2D", CONVEX,
        "the mean of T under phi(T - m) G(h - T/sqrt(1+r^2)), G log-concave, does not fall as h grows",
        "R decreases in the angle of w at the best scale on the ray r = r_acc iff E[p_j T] > 0, and being convex has "
        "its minimiser on that side", "not derived: I(u, rho) > 0 for all rho > 0 (certified for u <= 1.64)"
        ), {"inner": inner, "entropy": binary}
