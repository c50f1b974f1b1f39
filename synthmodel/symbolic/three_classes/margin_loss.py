"""The margin losses: Theorems 1 and 3 of the paper, and N1."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.symbols import (
    C2,
    C3,
    COMMUTE,
    DENSITY,
    LEIBNIZ,
    ROOT_PI,
    UNIT,
    E,
    T,
    attack_steps,
    b,
    c,
    claim,
    derive,
    eps,
    k,
    lam,
    m,
    mu,
    normal_density,
    p,
    q,
    r,
    s,
    sigma,
    t,
    w1,
    w2,
    x,
    y,
    z,
)


def soft_thresholds(smooth, unit):
    """T1 (smooth = 0) and T3: minimise E max_delta [(1-b) max_j f_j + b mean_j f_j - f_i] + (lam/2)|w|^2.

    `unit` is the substitution that says 0 < b < 1.
    """
    def loss(f2, f3):
        return (1 - smooth) * sp.Max(f2, f3) + smooth * (f2 + f3) / 2

    clean, worst, attack = attack_steps()
    law, spread = normal_density(z, 0, sp.sqrt(2) * sigma), 2 * sigma / ROOT_PI
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
              sp.Integral(normal_density(y, mu, sigma) * normal_density(y + z, mu, sigma), (y, -sp.oo, sp.oo)),
              "=", law),
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


@claim("T1")
def t1():
    found, steps = soft_thresholds(sp.S.Zero, {})
    eps0 = found["threshold"]
    return (*steps, check("The threshold lies below mu/2", eps0, "<", mu / 2),
            check("and has the sign of sqrt(pi) mu - sigma.", eps0, "=",
                  (ROOT_PI * mu - sigma) / (2 * ROOT_PI)),
            ), (COMMUTE,), {"w1": found["w1"], "w2": found["w2"], "eps0": eps0, "risk": found["risk"],
                            "r_at": found["ratio"]}


@claim("T3")
def t3():
    found, steps = soft_thresholds(b, UNIT)
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


@claim("N1")
def n1():
    density, law = sp.Function("p_e"), sp.Function("q")
    accuracy = sp.Integral(law(m) * sp.Integral(density(x), (x, -r * m, sp.oo)), (m, -sp.oo, sp.oo))
    mean = sp.Integral(m * law(m), (m, -sp.oo, sp.oo))
    clean, worst, attack = attack_steps()
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
