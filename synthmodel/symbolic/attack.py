"""The attack delta* on the margins of class 1, and why no other takes more off them (A1)."""

from functools import cache
from itertools import permutations

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Steps, check

__all__ = ["attack_steps"]


@cache
def attack_steps() -> tuple[list[sp.Expr], sp.Expr, Steps]:
    """Return the margins f_1 - f_j of class 1 without attack, what the attack takes off them, and why (the steps)."""
    deltas = sp.symbols("delta_E1:4 delta_C1:4", real=True)
    point = [e + d for e, d in zip((s.E, 0, 0, 0, s.C2, s.C3), deltas, strict=True)]
    f = [s.w1 * point[i] + s.w2 * sum(point[3 + j] for j in range(3) if j != i) for i in range(3)]
    clean = [sp.expand((f[0] - f[j]).xreplace(dict.fromkeys(deltas, sp.S.Zero))) for j in (1, 2)]
    worst = 2 * s.eps * (sp.Abs(s.w1) + sp.Abs(s.w2))
    signs = [-sp.sign(s.w1), sp.sign(s.w1), sp.sign(s.w1), sp.sign(s.w2), -sp.sign(s.w2), -sp.sign(s.w2)]
    vertex = {d: s.eps * e for d, e in zip(deltas, signs, strict=True)}
    return clean, worst, (
        check("A term x y with |y| <= eps is at most eps |x|.", s.x * s.y, "<=", s.eps * sp.Abs(s.x),
              cases=({s.x: s.p, s.y: s.eps - s.s}, {s.x: -s.p, s.y: s.s - s.eps})),
        check("So max_delta (f_j - f_i) adds eps times its coefficients' l1 norm, one value for all i, j.",
              sp.Matrix([s.eps * sum(sp.Abs(sp.diff(f[j] - f[i], d)) for d in deltas)
                         for i, j in permutations(range(3), 2)]), "=", sp.Matrix([worst] * 6)),
        check("One vertex delta* of the box attains it for both wrong classes of class 1.",
              sp.Matrix([(f[j] - f[0]).xreplace(vertex) for j in (1, 2)]), "=",
              sp.Matrix([worst - e for e in clean]),
              cases=[{s.w1: i * s.alpha, s.w2: j * s.beta} for i in (1, 0, -1) for j in (1, 0, -1)]))
