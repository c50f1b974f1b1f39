"""How w1, w2 and r move with the smoothing b and with k: T3-CE-rates, the signs that are certified.

Units of the noise: sigma = 1, d = k, lam = L; smoothing b under delta* (T3-CE), x = w1/w2 - 1.
"""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim
from synthmodel.symbolic.softmax.cross_entropy import CONVEX, L, others, own, pibar, slopes

P, SHARE, CONFUSED = (sp.Function(name)(s.w1, s.w2) for name in ("P", "A",
                                                                 "Q"))  # E[1-p_1], E p_1 (1-p_1), 2 E[p_2 p_3]
GRADIENT = sp.Matrix(slopes(s.k, s.k)).xreplace({s.sigma: sp.S.One, s.lam: L, pibar: P, own: SHARE,
                                                 others: SHARE + CONFUSED})
# Their values and slopes in w1, w2 at the minimiser, by name
AT_P, AT_A, AT_Q = sp.symbols("P A Q", positive=True)
A_1, A_2, Q_1, Q_2, A_a, Q_a = sp.symbols("A_1 A_2 Q_1 Q_2 A_alpha Q_alpha", real=True)
NAMES = {SHARE.diff(s.w1): A_1, SHARE.diff(s.w2): A_2, CONFUSED.diff(s.w1): Q_1, CONFUSED.diff(s.w2): Q_2, SHARE: AT_A,
         CONFUSED: AT_Q, P: AT_P}
MINIMISER = {s.w1: (1 + s.x) * s.w2, L: AT_Q / s.x - AT_A}
H11, H12, H22 = sp.symbols("h_11 h_12 h_22", real=True)
FALLS = {"w1": (1 + s.x) * AT_Q + s.w2 * s.x * (Q_2 - s.x * A_2), "w2": AT_Q + s.w2 * s.x * (s.x * A_1 - Q_1)}
PLANE = sp.Matrix([s.k * (s.w1 + s.w2), s.w1**2 + s.w2**2 / 2, s.w2**2 / 2])  # alpha, s, z (CE-2D)
SMOOTHED = {s.b: 2 / (3 * (1 + s.tau))}  # 0 < b < 2/3


def at(expr: sp.Expr) -> sp.Expr:
    """Write `expr` at the minimiser, with the symbols A_1, Q_2 and so on for the means."""
    return expr.xreplace(NAMES).xreplace(MINIMISER)


def weight_steps() -> tuple[sp.Matrix, Steps]:
    """The signs of w1' and w2' in b."""
    gap = GRADIENT[0] - GRADIENT[1]
    rate = -sp.Matrix([[H11, H12], [H12, H22]]).inv() * sp.Matrix([s.k, s.k])
    return gap, (
        check("With A = E p_1 (1 - p_1), Q = B - A = 2 E[p_2 p_3], the slopes of S1 differ by", gap, "=",
              (s.w1 - s.w2) * (L + SHARE) - s.w2 * CONFUSED),
        check("so at the minimiser x (L + A) = Q, and to its L >= 0 and b >= 0 belong x A <= Q",
              s.x * (AT_Q / s.x - AT_A), "=", AT_Q - s.x * AT_A),
        check("and w1 Q <= k x P:", sp.solve(GRADIENT[0].xreplace(NAMES), s.b)[0].xreplace(MINIMISER) * s.k * s.x, "=",
              s.k * s.x * AT_P - (1 + s.x) * s.w2 * AT_Q),
        check("w' = -H^-1 (k, k) in b (T3-CE), so w1 falls iff h22 > h12, w2 iff h11 > h12.", rate, "=",
              -s.k / (H11 * H22 - H12**2) * sp.Matrix([H22 - H12, H11 - H12])),
        check("h11 - h12 is the slope of this difference in w1, h22 - h12 that in -w2; times x they are",
              s.x * at(sp.Matrix([gap.diff(s.w1), -gap.diff(s.w2)])), "=", sp.Matrix([FALLS["w2"], FALLS["w1"]])))


def ratio_steps(gap: sp.Matrix) -> Steps:
    """The sign of r' in b, and the chain rule for expectations of the plane."""
    ray = s.w1 * gap.diff(s.w1) + s.w2 * gap.diff(s.w2)
    return (
        check("r' w1^2 is w1 w2' - w2 w1', -k/det H times w1 (h11 - h12) - w2 (h22 - h12): the slope of the difference "
              "along the ray t w, at the minimiser w2 times that of x A - Q at fixed x. So r falls iff that is > 0:",
              at(ray), "=",
              s.w2 * (s.x * ((1 + s.x) * s.w2 * A_1 + s.w2 * A_2) - ((1 + s.x) * s.w2 * Q_1 + s.w2 * Q_2))),
        check("In CE-2D expectations depend on alpha = k (w1 + w2), s = w1^2 + w2^2/2, z = w2^2/2, of slopes in w1, w2",
              PLANE.jacobian([s.w1, s.w2]), "=", sp.Matrix([[s.k, s.k], [2 * s.w1, s.w2], [0, s.w2]])),
        check("and along the ray.", PLANE.jacobian([s.w1, s.w2]) * sp.Matrix([s.w1, s.w2]), "=",
              sp.Matrix([PLANE[0], 2 * PLANE[1], 2 * PLANE[2]])))


def convex_steps() -> tuple[sp.Expr, sp.Expr, Steps]:
    """Where the risk at b = L = 0 grows: what a cell's lower face decides."""
    total = sp.Symbol("S", positive=True)
    on_line = {s.w1: total * (1 + s.x) / (2 + s.x), s.w2: total / (2 + s.x)}
    slope = sum(g.xreplace(NAMES).xreplace({s.b: sp.S.Zero}) * sp.Derivative(e, s.x)
                for g, e in zip(GRADIENT, on_line.values(), strict=True)).doit().xreplace(on_line)
    ray = (GRADIENT.T * sp.Matrix([s.w1, s.w2]))[0].xreplace(NAMES).xreplace({s.b: sp.S.Zero})
    return slope, total, (
        check("At fixed S = w1 + w2 the risk has the slope in x, free of b k S,", slope, "=",
              total**2 / (2 + s.x)**3 * (s.x * (L + AT_A) - AT_Q)),
        check("and along a ray at b = 0: where convexity keeps them positive, L < 0 or b < 0 further on.", ray, "=",
              -s.k * (s.w1 + s.w2) * AT_P + s.w1**2 * (L + AT_A) + s.w2**2 * (L + AT_A + AT_Q)),
        check("From b = 2/3 the minimiser leaves w = 0 at x = Q/(L + A), there",
              (AT_Q / (L + AT_A)).xreplace({AT_Q: sp.Rational(2, 9), AT_A: sp.Rational(2, 9)}), "=", 2 / (9 * L + 2)))


def strength_steps() -> Steps:
    """b = 0: the signs of S' and r' in k."""
    odds = s.tau * sp.exp(-s.x)  # 2 e^-a cosh D, x for a
    wrong = odds / (1 + odds)
    moved = sp.Matrix([-AT_P + s.k * (s.w1 + s.w2) * AT_A + s.w1 * (s.w1 + s.w2) * A_a,
                       -AT_P + s.k * (s.w1 + s.w2) * AT_A + s.w2 * (s.w1 + s.w2) * (A_a + Q_a)])
    rate = -sp.Matrix([[H11, H12], [H12, H22]]).inv() * moved
    alpha, variance, other = sp.symbols("a s z", positive=True)
    laws = [sp.Function(name)(alpha, variance, other) for name in ("P", "A", "Q")]
    at_k = dict(zip((alpha, variance, other), PLANE, strict=True))
    p_k, a_k, q_k = laws
    by_k = (GRADIENT.xreplace({s.b: sp.S.Zero}).xreplace({P: p_k, SHARE: a_k, CONFUSED: q_k}))
    total = by_k.diff(s.k) + by_k.diff(alpha) * (s.w1 + s.w2)  # alpha = k S moves with k at fixed w
    named = {p_k.diff(alpha): -AT_A, a_k.diff(alpha): A_a, q_k.diff(alpha): Q_a, p_k: AT_P, a_k: AT_A, q_k: AT_Q}
    return (
        check("d(1 - p_1)/da = -p_1 (1 - p_1), so P_alpha = -A.", sp.Derivative(wrong, s.x), "=", -wrong * (1 - wrong)),
        check("At fixed w the slopes change with k at the rates", total.xreplace(named).xreplace(at_k), "=", moved),
        check("so S = w1 + w2 changes at the rate", rate[0] + rate[1], "=",
              -(moved[0] * (H22 - H12) + moved[1] * (H11 - H12)) / (H11 * H22 - H12**2)),
        check("positive, as det H > 0, where w1 and w2 fall in b and both rates are negative: P > alpha A + w1 S "
              "A_alpha, P > alpha A + w2 S (A_alpha + Q_alpha).", s.p * (H22 - H12) + s.q * (H11 - H12), ">", 0,
              [{s.p: s.tau, s.q: s.tau + s.b, H22: H12 + s.alpha, H11: H12 + s.beta},
               {s.q: s.tau, s.p: s.tau + s.b, H22: H12 + s.alpha, H11: H12 + s.beta}]))


@claim("T3-CE-rates")
def t3_ce_rates() -> Stated:
    gap, steps = weight_steps()
    slope, total, convex = convex_steps()
    pull, growth, curve = sp.symbols("K_1 N_1 f_x", real=True)
    f = s.x * (L + AT_A) - AT_Q
    sure = L + s.b * (1 - s.b), L + s.b * (1 - s.b / 2)  # lam + A, lam + B without noise, where p = (1-b, b/2, b/2)
    limit = sure[0] / sure[1]
    move = sp.Symbol("sigma_S", real=True)  # d log S/d log k
    moved = -(pull + growth * move) / curve
    return (
        *steps, *ratio_steps(gap), *convex,
        *strength_steps(),
        check("x is the zero of f = x (L + A) - Q in k, S, x, where the second derivative of the risk is a positive "
              "multiple of f_x: f_x > 0.", slope.diff(s.x).subs(L, AT_Q / s.x - AT_A), "=",
              (total**2 / (2 + s.x)**3 * f.diff(s.x)).subs(L, AT_Q / s.x - AT_A)),
        check("f moves with log k, which enters alpha alone, by K1 = alpha (x A_alpha - Q_alpha),",
              f.diff(AT_A) * A_a + f.diff(AT_Q) * Q_a, "=", s.x * A_a - Q_a),
        check("and with log S by N1, the slope of x A - Q along the ray: so d log S/d log k = c gives dx/d log k "
              "= -(K1 + c N1)/f_x; r rises in k where K1, N1, c > 0.",
              moved.xreplace({pull: s.alpha, growth: s.beta, move: s.tau, curve: s.p + 1}), "<", 0),
        check("As k grows at fixed b > 0 and L the noise loses: p tends to (1-b, b/2, b/2), where L + B exceeds L + A",
              sure[1] - sure[0], "=", s.b**2 / 2),
        check("and r tends to (L + A)/(L + B), which falls in b: so where r rises, b tends to 0 as k grows.",
              sp.diff(limit, s.b), "<", 0, [SMOOTHED]),
    ), ("S1, T3-CE and CE-2D", CONVEX, s.LEIBNIZ, "the implicit function theorem",
        "not derived: the signs (certified on boxes by proofs.ce_smoothing; r rises in b at some points)"), {
            "w1_falls": FALLS["w1"], "w2_falls": FALLS["w2"], "limit": limit}
