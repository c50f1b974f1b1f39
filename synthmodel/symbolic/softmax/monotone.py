"""Where r_CE rises in k: from the two conditions of S1 to the N that the certificate of CE-monotone checks.

Units of the noise. On (log t, x), t = |w|, x = w1/w2 - 1, at fixed L: G = log(x k P/(w1 Q)) = 0 and
H = log((L + A) w1/(k P)) = 0, with P = E[1 - p_1], A and Q of T3-CE-rates as functions of (alpha, s, z) (CE-2D).
"""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, check, claim
from synthmodel.symbolic.softmax.cross_entropy import CONVEX, L
from synthmodel.symbolic.softmax.smoothing import AT_A, AT_P, AT_Q

# Slopes: one prime alpha d/dalpha, two primes 2 s d/ds + 2 z d/dz.
P_1, P_2, A_1, A_2, Q_1, Q_2 = sp.symbols("P' P'' A' A'' Q' Q''", real=True)
RATIO = AT_P * s.k / s.w1  # L + A


def log_slope(value: sp.Expr, along: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """The slope of log `value` in log t or log k, from slopes `along` of P, A, Q, w1 and k by name."""
    return sum(sp.diff(value, name) * slope for name, slope in along.items()) / value


@claim("CE-monotone")
def ce_monotone() -> Stated:
    first, second = s.x * s.k * AT_P / (s.w1 * AT_Q), (L + AT_A) * s.w1 / (s.k * AT_P)  # exp G, exp H
    by_k = {AT_P: P_1, AT_A: A_1, AT_Q: Q_1, s.w1: 0, s.k: s.k}  # alpha is proportional to k
    by_t = {AT_P: P_1 + P_2, AT_A: A_1 + A_2, AT_Q: Q_1 + Q_2, s.w1: s.w1, s.k: 0}  # alpha to t; s and z to t^2
    solved = {L: RATIO - AT_A}
    g_k, g_t = (log_slope(first, e) for e in (by_k, by_t))
    h_k, h_t = (sp.simplify(log_slope(second, e).subs(solved)) for e in (by_k, by_t))
    a_1, a_2 = A_1 * s.w1 / (s.k * AT_P), A_2 * s.w1 / (s.k * AT_P)
    gamma, beta = 1 + P_1 / AT_P, P_2 / AT_P - 2
    number = (Q_1 / AT_Q - a_1) * (beta - a_2) - (Q_2 / AT_Q - a_2) * (gamma - a_1)
    g_x, h_x, rise, step = sp.symbols("G_x H_x x' t'", real=True)
    moves = sp.solve([g_x * rise + g_t * step + g_k, h_x * rise + h_t * step + h_k], [rise, step])
    weights = sp.Matrix([s.t, s.r * s.t]) / sp.sqrt(1 + s.r**2)
    u, v = sp.symbols("G H", real=True)
    slopes = sp.Matrix([s.k * AT_P * (sp.exp(v) - 1), s.k * AT_P * (sp.exp(v) - 1) - s.w2 * AT_Q * (sp.exp(u + v) - 1)])
    return (
        check("S1's slope in w1 is w1 (L + A) - k P = k P (exp(H) - 1);", s.w1 * (L + AT_A) - s.k * AT_P, "=",
              s.k * AT_P * (second - 1)),
        check("the two slopes differ by w2 (x (L + A) - Q) = w2 Q (exp(G + H) - 1) (T3-CE-rates): both vanish iff "
              "G = H = 0.", s.w2 * (s.x * (L + AT_A) - AT_Q), "=", s.w2 * AT_Q * (first * second - 1)),
        check("alpha = k (w1 + w2) is proportional to k; s and z are free of it: in log k, G has the slope", g_k, "=",
              gamma - Q_1 / AT_Q),
        check("and H, where L + A = k P/w1.", h_k, "=", a_1 - gamma),
        check("alpha and w1 are proportional to t, s and z to t^2: in log t, G has the slope", g_t, "=",
              gamma + beta - Q_1 / AT_Q - Q_2 / AT_Q),
        check("and H.", h_t, "=", a_1 - gamma + a_2 - beta),
        check("Cramer: x moves in log k by -(H_t G_k - G_t H_k) over G_x H_t - G_t H_x,", moves[rise], "=",
              -(h_t * g_k - g_t * h_k) / (g_x * h_t - g_t * h_x)),
        check("of which the numerator expands to N.", h_t * g_k - g_t * h_k, "=", number),
        check("The denominator is positive: (G, H) -> the slopes in w1 and w2 has at 0 the determinant",
              slopes.jacobian([u, v]).xreplace({u: sp.S.Zero, v: sp.S.Zero}).det(), "=", s.k * AT_P * s.w2 * AT_Q),
        check("(x, log t) -> w has, as r = 1/(1 + x) moves by -r^2 in x, the determinant w2^2;",
              -s.r**2 * sp.Matrix.hstack(weights.diff(s.r), s.t * weights.diff(s.t)).det(), "=", weights[1]**2),
        check("so the denominator is the Hessian's determinant, which is positive, times w2/(k P Q).",
              AT_P * AT_Q * s.k * s.w2 * (s.w2 / (s.k * AT_P * AT_Q)), "=", s.w2**2),
        check("So x falls, and r = 1/(1 + x) rises, in k iff N > 0.",
              sp.diff(1 / (1 + s.x), s.x), "=", -1 / (1 + s.x)**2),
    ), ("S1, CE-2D and T3-CE-rates", CONVEX, s.LEIBNIZ, "the implicit function theorem",
        "not derived: the sign of N (certified on boxes)"), {"N": number}
