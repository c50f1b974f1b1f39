"""At equal margins the exact attack on smoothed cross-entropy is symmetric: the lemma of T1-CE-exact.

The attack's vertex (i, j) turns the margins m_j, m_k into u_j = m_j + i t and u_k = m_k + j t, t = 2 eps N; the loss is
then l(u_j, u_k) = log(1 + e^-u_j + e^-u_k) + (b/2)(u_j + u_k).
"""

from itertools import product

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Steps, check

__all__ = ["early_steps", "line", "loss", "omega", "phi", "vertex_steps"]

phi, omega = sp.symbols("phi omega", positive=True)  # e^(-b t/2) and e^(-t), below 1 for b, t > 0
NAMED = {phi: sp.exp(-s.b * s.t / 2), omega: sp.exp(-s.t)}
BELOW_1 = {phi: 1 / (1 + s.tau)}
POWERS, WHOLE = phi + phi**2 + phi**3, (1 + phi) * (1 + phi**2)


def loss(u_j: sp.Expr, u_k: sp.Expr) -> sp.Expr:
    """Return l(u_j, u_k)."""
    return sp.log(1 + sp.exp(-u_j) + sp.exp(-u_k)) + s.b / 2 * (u_j + u_k)


def line(i: int, j: int) -> tuple[sp.Expr, sp.Expr]:
    """Return (c, v): where m_j = m_k = m, exp(l - b m) at the vertex (i, j) is c + v y, y = e^-m."""
    return phi**(-i - j), phi**(-i - j) * (omega**i + omega**j)


def early_steps() -> Steps:
    """At the minimiser w1 > 0 = w2 of an axis, t is so small that 1 + 2 omega^2 < 3 phi^4."""
    single = loss(s.m, s.m)
    return (
        check("At w = 0 the loss is log 3 for every input,", single.subs(s.m, 0), "=", sp.log(3)),
        check("and l(m, m) is strictly convex.", sp.Derivative(single, s.m, 2), ">", 0),
        check("If (w1, 0) does better than w = 0, the mean of l at w1 E + t, the vertex (1, 1), is below log 3, and by "
              "Jensen so is l at w1 mu + t, which is above 2 t:", s.w1 * s.mu + 2 * s.eps * s.w1, ">",
              2 * (2 * s.eps * s.w1), [{s.w1: s.alpha, s.mu: 2 * s.eps + s.tau}]),
        check("by convexity l is then below log 3 at 2 t, so 1 + 2 omega^2 < 3 phi^4: e^l phi^4 there is",
              (sp.exp(loss(2 * s.t, 2 * s.t)) * phi**4).xreplace(NAMED), "=", (1 + 2 * omega**2).xreplace(NAMED)))


def mixture_steps() -> tuple[dict[tuple[int, int], sp.Expr], Steps]:
    """Each other vertex's line starts, at y = 0, with a mean of the two symmetric ones, and rises less than it."""
    (c_up, v_up), (c_low, v_low) = line(1, 1), line(-1, -1)
    need = {(1, 0): phi**3 * (2 + omega) - omega * (1 + phi + phi**2), (0, -1): POWERS - 1 - 2 * omega}
    theta = {v: sp.factor((line(*v)[0] - c_low) / (c_up - c_low)) for v in need}
    spare = {v: theta[v] * v_up + (1 - theta[v]) * v_low - line(*v)[1] for v in need}
    return need, (
        check("(0, 0) loses to the mean of (1, 1) and (-1, -1), which starts higher by", (c_up + c_low) / 2 - 1, "=",
              (1 - phi**2)**2 / (2 * phi**2)),
        check("and rises faster by", (v_up + v_low) / 2 - line(0, 0)[1], "=", (omega - phi**2)**2 / (omega * phi**2)),
        check("(1, 0) starts with the mean of weights theta and 1 - theta, theta =", theta[1, 0], "=",
              phi * (1 + phi + phi**2) / WHOLE),
        check("in (0, 1),", theta[1, 0] * (1 - theta[1, 0]), ">", 0),
        check("which rises faster by", spare[1, 0], "=", (1 - omega) * need[1, 0] / (phi * omega * WHOLE)),
        check("(0, -1) starts with the mean of theta =", theta[0, -1], "=", phi**3 / WHOLE),
        check("in (0, 1),", theta[0, -1] * (1 - theta[0, -1]), ">", 0),
        check("which rises faster by", spare[0, -1], "=", phi * (1 - omega) * need[0, -1] / (omega * WHOLE)))


def vertex_steps() -> tuple[dict[tuple[int, int], sp.Expr], Steps]:
    """Where m_j = m_k, b < 2/3 and 1 + 2 omega^2 < 3 phi^4, no vertex but (1, 1) and (-1, -1) wins."""
    moves = [(1, 1), (1, 0), (0, 0), (0, -1), (-1, -1)]
    lines = [line(*v) for v in moves]
    need, mixtures = mixture_steps()
    return need, (
        check("The vertices (a_i, a_j, a_k) eps N, a_l = +-1, move the margins by t/2 times a_i - a_j and a_i - a_k: "
              "up to the order of j and k five moves.",
              sp.Matrix([[s.HALF * (e - f), s.HALF * (e - g)] for e, f, g in product((1, -1), repeat=3)]), "=",
              sp.Matrix([[0, 0], [0, 1], [1, 0], [1, 1], [-1, -1], [-1, 0], [0, -1], [0, 0]])),
        check("Where m_j = m_k = m, with phi = e^(-b t/2), omega = e^-t, exp(l - b m) is linear in y = e^-m for each:",
              sp.Matrix([sp.exp(loss(s.m + i * s.t, s.m + j * s.t) - s.b * s.m) for i, j in moves]), "=",
              sp.Matrix([c + v * sp.exp(-s.m) for c, v in lines]).xreplace(NAMED)),
        *mixtures,
        check("For 0 < b < 2/3, omega = e^-t < e^(-3 b t/2) = phi^3, and (1, 0) never wins:", need[1, 0], ">", 0,
              [{omega: 1 / ((1 + s.tau)**3 * (1 + s.beta)), **BELOW_1}]),
        check("(0, -1) never wins while phi + phi^2 + phi^3 > 1 + 2 omega. Let 3 phi^4 > 1 + 2 omega^2 > 1. The sum is "
              "above 3 phi^4, so above 1,", POWERS, ">", 3 * phi**4, [BELOW_1]),
        check("and (sum - 1)^2 exceeds 2 (3 phi^4 - 1) by", (POWERS - 1)**2 - 2 * (3 * phi**4 - 1), "=",
              (1 - phi) * (3 + phi) * (1 - phi**4)),
        check("that is by more than 0,", (1 - phi) * (3 + phi) * (1 - phi**4), ">", 0, [BELOW_1]),
        check("while that exceeds 4 omega^2: x = 3 phi^4 - 1 > 2 omega^2.", 2 * s.x, ">", (2 * omega)**2,
              [{s.x: 2 * omega**2 + s.tau}]))
