"""The threshold of every loss of the least margin: U1."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.attack import attack_steps
from synthmodel.symbolic.derivation import Stated, check, claim, derive

CONVEX = "a convex function that nowhere rises, of a concave one (the attacked margin, a least linear one), is convex"
MONOTONE = ("the difference quotients of a convex function fall to its slope, so that the mean of the slopes is the "
            "slope of the mean where one of them has a mean; phi has at most countably many kinks, which e misses")


@claim("U1")
def u1() -> Stated:
    density, law, phi = sp.Function("p_e"), sp.Function("q"), sp.Function("phi")
    _, worst, attack = attack_steps()
    clean = s.w1 * s.E + s.w2 * ((1 - s.b) * sp.Min(s.C2, s.C3) + s.b * (s.C2 + s.C3) / 2)
    least = (1 - s.b) * sp.Min(s.C2, s.C3) + s.b * (s.C2 + s.C3) / 2 - 2 * s.eps
    given_m = sp.Integral(phi(s.w1 * s.x + s.w2 * s.m) * density(s.x), (s.x, -sp.oo, sp.oo))
    risk = sp.Integral(law(s.m) * given_m, (s.m, -sp.oo, sp.oo))
    mean_slope = sp.Integral(density(s.x) * sp.Subs(sp.diff(phi(s.y), s.y), s.y, s.w1 * s.x), (s.x, -sp.oo, sp.oo))
    mean_m = sp.Integral(s.m * law(s.m), (s.m, -sp.oo, sp.oo))
    steep, mean, along = sp.symbols("E[-phi'] E[M] E[phi'e]", real=True)
    spread = s.sigma / s.ROOT_PI
    eps0, eps1 = derive("T1").results["eps0"], derive("T3").results["eps1"]
    pull = (1 - s.b) * (s.mu - spread) + s.b * s.mu - 2 * s.eps
    other = (1 - s.b) * (s.mu + spread) + s.b * s.mu + 2 * s.eps
    beside = sp.solve(sp.expand(s.beta - s.alpha * (s.mu - spread - 2 * s.m)), s.m)[0]
    return (
        *attack,
        check("phi does not rise, so delta* is the worst attack (A1), and for w >= 0 its argument is w1 e + w2 M with "
              "e = E - 2 eps and M = (1-b) min_j c_j + b mean_j c_j, independent of e.", clean - worst, "=",
              s.w1 * (s.E - 2 * s.eps) + s.w2 * least,
              cases=[{s.w1: s.p, s.w2: s.q, s.C2: s.C3 + e} for e in (s.s, -s.s)]),
        check("At w2 = 0 the slope of E phi in w2 is a product:",
              sp.factor_terms(sp.diff(risk, s.w2).subs(s.w2, 0).doit()), "=", mean_slope * mean_m),
        check("with E[-phi'] > 0 that is -E[-phi'] E[M]; for normal noise E[M] is 2 (eps1 - eps),", pull, "=",
              2 * (eps1 - s.eps)),
        check("and at b = 0 it is 2 (eps0 - eps):", pull.xreplace({s.b: sp.S.Zero}), "=", 2 * (eps0 - s.eps)),
        check("below eps1 the risk falls as w2 leaves 0,", -s.alpha * 2 * (eps1 - s.eps), "<", 0,
              [{s.eps: eps1 - s.s - s.tau}]),
        check("and above it does not.", -s.alpha * 2 * (eps1 - s.eps), ">=", 0, [{s.eps: eps1 + s.s}]),
        check("Nor does it fall towards w2 < 0, where max_j stands for min_j:", s.alpha * other, ">", 0,
              [s.UNIT, {s.b: sp.S.Zero}]),
        check("A penalty of slope 0 in w2 at w2 = 0 changes none of this, such as decay with a weight for each w:",
              sp.diff(s.alpha * s.w1**2 / 2 + s.beta * s.w2**2 / 2, s.w2).subs(s.w2, 0), "=", 0),
        check("smooth is not enough: (lam/2)(w1 + w2)^2 has the slope lam w1.",
              sp.diff(s.lam * (s.w1 + s.w2)**2 / 2, s.w2).subs(s.w2, 0), "=", s.lam * s.w1),
        check("At the best w1 on w2 = 0 the slope E[phi' e] + lam w1 is 0. With phi' = 0 everywhere there E[phi' e] "
              "would be 0 and the slope positive; so E[-phi'] > 0.",
              (along + s.lam * s.w1).xreplace({s.w1: s.alpha, along: 0}), ">", 0),
        check("At w = 0 the slope along (p, q) is phi'(0) (p E[e] + q E[M]): for eps < mu/2 it is negative along (1, "
              "0), so w1 > 0,", -s.alpha * (s.mu - 2 * s.eps), "<", 0, [{s.mu: 2 * s.eps + s.tau}]),
        check("and from mu/2 on, where E[M] is negative, too, w = 0.",
              -s.alpha * (s.p * (s.mu - 2 * s.eps) + s.q * pull), ">=", 0,
              [{s.eps: s.mu / 2 + s.s, s.b: sp.S.Zero}, {s.eps: s.mu / 2 + s.s} | s.UNIT]),
        check("With l1 decay beta |w2| beside it the slope at b = 0 is beta - alpha E[M], alpha = E[-phi'] at the best "
              "w1. It vanishes at", beside, "=", eps0 - s.beta / (2 * s.alpha)),
        check("which is eps0 - beta/2 for the margin loss, where alpha = 1.", beside.xreplace({s.alpha: sp.S.One}), "=",
              eps0 - s.beta / 2),
    ), (CONVEX, MONOTONE, s.SIGNS, s.LEIBNIZ), {"slope": -steep * mean, "eps0": eps0, "eps1": eps1, "beside": beside}
