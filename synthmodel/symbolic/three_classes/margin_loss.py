"""The margin losses: Theorems 1 and 3 of the paper, and N1."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.attack import attack_steps
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.symbols import normal_density


def soft_thresholds(smooth: sp.Expr, unit: dict[sp.Symbol, sp.Expr]) -> tuple[dict[str, sp.Basic], Steps]:
    """T1 (smooth = 0) and T3: minimise E max_delta [(1-b) max_j f_j + b mean_j f_j - f_i] + (lam/2)|w|^2.

    `unit` is the substitution that says 0 < b < 1.
    """
    def loss(f2: sp.Expr, f3: sp.Expr) -> sp.Expr:
        return (1 - smooth) * sp.Max(f2, f3) + smooth * (f2 + f3) / 2

    clean, worst, attack = attack_steps()
    law, spread = normal_density(s.z, 0, sp.sqrt(2) * s.sigma), 2 * s.sigma / s.ROOT_PI
    attacked = worst - s.w1 * s.E - s.w2 * (s.C2 + s.C3) / 2 + (1 - smooth) * sp.Abs(s.w2) * s.s / 2
    risk = attacked.xreplace({s.E: s.mu, s.C2: s.mu, s.C3: s.mu, s.s: spread}) + s.lam * (s.w1**2 + s.w2**2) / 2
    price = {s.w1: 2 * s.eps, s.w2: 2 * s.eps + s.sigma / s.ROOT_PI - smooth * s.sigma / s.ROOT_PI}
    scalar, best = -s.mu * s.x + s.c * sp.Abs(s.x) + s.lam * s.x**2 / 2, sp.Max(s.mu - s.c, 0) / s.lam
    slope = sp.diff(scalar.xreplace({sp.Abs(s.x): s.x}), s.x)
    inner = {w: sp.solve(slope, s.x)[0].xreplace({s.c: price[w]}) for w in price}
    threshold = sp.expand(sp.solve(inner[s.w2].xreplace({s.eps: s.m}), s.m)[0])
    minimum, ratio = -s.lam * (inner[s.w1]**2 + inner[s.w2]**2) / 2, 1 - (1 - smooth) / (s.k * s.ROOT_PI)
    return {"w1": best.xreplace({s.c: price[s.w1]}), "w2": best.xreplace({s.c: price[s.w2]}), "risk": minimum,
            "threshold": threshold, "ratio": ratio}, (
        *attack,
        check("The loss does not fall when f_j - f_i grows by t, so delta* is the worst attack on it.",
              loss(s.x + s.t, s.y), ">=", loss(s.x, s.y),
              cases=[unit | case for case in ({s.y: s.x - s.s}, {s.y: s.x + s.t + s.s},
                                              {s.y: s.x + s.s, s.t: s.s + s.p})]),
        check("With s = |C_2 - C_3| the attacked loss is linear in E, C_2, C_3 and s.",
              loss(*(worst - e for e in clean)), "=", attacked,
              cases=[{s.C2: s.C3 + i * s.s, s.w2: j * s.q} for i in (1, -1) for j in (1, -1)]),
        check("The density of C_2 - C_3 is that of N(0, 2 sigma^2),",
              sp.Integral(normal_density(s.y, s.mu, s.sigma) * normal_density(s.y + s.z, s.mu, s.sigma),
                          (s.y, -sp.oo, sp.oo)),
              "=", law),
        check("which gives E |C_2 - C_3|", sp.Integral(2 * s.z * law, (s.z, 0, sp.oo)), "=", spread),
        check("and, as min is half the sum less half the distance,", sp.Min(s.x, s.y), "=",
              (s.x + s.y - sp.Abs(s.x - s.y)) / 2, cases=({s.x: s.y + s.s}, {s.x: s.y - s.s})),
        check("E min(C_2, C_3).", s.mu - sp.Integral(2 * s.z * law, (s.z, 0, sp.oo)) / 2, "=",
              s.mu - s.sigma / s.ROOT_PI),
        check("In expectation, the risk is a function of w1 plus a function of w2,", risk, "=",
              sum(scalar.xreplace({s.x: w, s.c: price[w]}) for w in price)),
        check("each S(x) = -mu x + c |x| + (lam/2) x^2 with c >= 0: for w2, c is", price[s.w2], ">=", 0,
              [unit]),
        check("and the slope of S for x > 0 vanishes at (mu - c)/lam.", slope, "=",
              s.lam * (s.x - (s.mu - s.c) / s.lam)),
        check("S(x) >= S(x*) + (lam/2) (x - x*)^2 for real x, with x* = max(mu - c, 0)/lam: one minimiser.",
              scalar, ">=", scalar.xreplace({s.x: best}) + s.lam * (s.x - best)**2 / 2,
              cases=[{s.x: e, **case} for e in (s.p, -s.p) for case in ({s.mu: s.c + s.tau}, {s.c: s.mu + s.q})]),
        check("w2* > 0 exactly below the threshold,", s.lam * inner[s.w2], "=", 2 * (threshold - s.eps)),
        check("where the optimal risk is -(lam/2)|w*|^2",
              risk.replace(sp.Abs, lambda e: e).xreplace(inner), "=", minimum),
        check("and w2*/w1* depends on k (and b) alone.",
              (inner[s.w2] / inner[s.w1]).xreplace({s.mu: s.k * s.sigma + 2 * s.eps}), "=", ratio))


@claim("T1")
def t1() -> Stated:
    found, steps = soft_thresholds(sp.S.Zero, {})
    eps0 = found["threshold"]
    return (*steps, check("The threshold lies below mu/2", eps0, "<", s.mu / 2),
            check("and has the sign of sqrt(pi) mu - sigma.", eps0, "=",
                  (s.ROOT_PI * s.mu - s.sigma) / (2 * s.ROOT_PI)),
            ), (s.COMMUTE,), {"w1": found["w1"], "w2": found["w2"], "eps0": eps0, "risk": found["risk"],
                              "r_at": found["ratio"]}


@claim("T3")
def t3() -> Stated:
    found, steps = soft_thresholds(s.b, s.UNIT)
    plain, eps1 = derive("T1").results, found["threshold"]
    return (*steps,
            check("For 0 < b < 1 the threshold exceeds that of b = 0", eps1, ">", plain["eps0"], [s.UNIT]),
            check("and stays below mu/2.", eps1, "<", s.mu / 2, [s.UNIT]),
            check("Between the two, w2 = 0 at b = 0;", plain["w2"], "=", 0,
                  [{s.mu: 2 * s.eps + s.tau, s.sigma: (s.tau + s.s) * s.ROOT_PI}]),
            check("below both, both are positive,", plain["w2"], ">", 0,
                  [{s.mu: 2 * s.eps + s.sigma / s.ROOT_PI + s.tau}]),
            check("so that w2 exceeds its value at b = 0 there by", found["w2"] - plain["w2"], "=",
                  s.b * s.sigma / (s.ROOT_PI * s.lam), [{s.mu: 2 * s.eps + s.sigma / s.ROOT_PI + s.s}]),
            ), (s.COMMUTE,), {"w1": found["w1"], "w2": found["w2"], "eps1": eps1, "risk": found["risk"],
                              "ratio": found["ratio"]}


@claim("N1")
def n1() -> Stated:
    density, law = sp.Function("p_e"), sp.Function("q")
    accuracy = sp.Integral(law(s.m) * sp.Integral(density(s.x), (s.x, -s.r * s.m, sp.oo)), (s.m, -sp.oo, sp.oo))
    mean = sp.Integral(s.m * law(s.m), (s.m, -sp.oo, sp.oo))
    clean, worst, attack = attack_steps()
    least = sp.Min(s.C2, s.C3) - 2 * s.eps
    mean_m, expected = sp.symbols("E[M] E[min]", real=True)
    margin_loss = sp.Max(*(worst - e for e in clean))
    return (
        *attack,
        check("For w >= 0 the loss is -w1 (E - 2 eps) - w2 M with M = min_j C_j - 2 eps,", margin_loss, "=",
              -s.w1 * (s.E - 2 * s.eps) - s.w2 * least,
              cases=[{s.w1: s.p, s.w2: s.q, s.C2: s.C3 + e} for e in (s.s, -s.s)]),
        check("so its mean has the slope -E[M] in w2,",
              sp.Derivative(-s.w1 * (s.mu - 2 * s.eps) - s.w2 * mean_m, s.w2), "=", -mean_m),
        check("and with e of density p_e and M of density q, P'(0+) is p_e(0) E[M].",
              sp.factor_terms(accuracy.diff(s.r).subs(s.r, 0)), "=", density(0) * mean),
        check("E[M] changes sign at eps0 = E[min_j C_j]/2;", expected - 2 * s.eps, "=",
              2 * (expected / 2 - s.eps)),
        check("for normal noise it is that of T1.", (s.mu - s.sigma / s.ROOT_PI) / 2, "=",
              derive("T1").results["eps0"]),
    ), (s.DENSITY, s.LEIBNIZ), {"accuracy_slope": density(0) * mean, "eps0": expected / 2}
