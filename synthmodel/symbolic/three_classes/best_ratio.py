"""The best ratio against the one that the margin losses use: N2 and N3."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.symbols import Imr, explicit, normal_pdf


@claim("N2")
def n2() -> Stated:
    at = {s.k: 1 / (s.ROOT_PI * (1 - s.r))}  # r = r_AT, solved for k
    bracket = 2 * sp.sqrt(2) / s.PI * (1 + s.r) / (1 - s.r) * s.g
    squared, bound = 8 * (1 + s.r)**2 * (2 + s.r**2), s.r**2 * (1 - s.r)**2 * (1 + s.r**2)
    return (
        check("(1/imr)' = 1 + x/imr,", sp.Derivative(explicit(1 / Imr(s.x)), s.x), "=",
              explicit(1 + s.x / Imr(s.x))),
        check("at least 1 for x >= 0,", 1 + s.s / Imr(s.s), ">=", 1),
        check("and 1/imr(0) = sqrt(pi/2): so 1/imr(x) >= sqrt(pi/2) + x for x >= 0.",
              explicit(1 / Imr(s.x)).subs(s.x, 0), "=", sp.sqrt(s.PI / 2)),
        check("At r = r_AT, F is imr(u) times g/(sqrt(pi) imr(u)) - 1,", s.F.xreplace(at), "=",
              Imr(s.u.xreplace(at)) * (s.g / (s.ROOT_PI * Imr(s.u.xreplace(at))) - 1)),
        check("so F > 0 if g (sqrt(pi/2) + u) > sqrt(pi). The difference of the squares is",
              (s.g * (sp.sqrt(s.PI / 2) + s.u.xreplace(at)))**2 - s.PI, "=",
              (s.g * s.u.xreplace(at))**2 + s.PI * s.r / (2 * s.ONE**2) * (bracket - s.r)),
        check("where (2 sqrt(2)/pi) ((1+r)/(1-r)) g exceeds r: the squares differ by", bracket**2 - s.r**2, "=",
              (squared - s.PI**2 * bound) / (s.PI**2 * (1 - s.r)**2 * s.ONE**2)),
        check("and with pi^2 < 10", s.PI**2, "<", 10),
        check("the numerator is positive. So F(r_AT, k) > 0: r_AT < r_acc by T2-joint'.", squared, ">",
              10 * bound, on=s.INSIDE),
    ), ("T2-joint'", s.SIGNS), {"bracket": bracket}


def crossover_steps() -> Steps:
    """For k >= 8 full smoothing beats none: P(1, k) > P(r, k) at r = r_AT."""
    used = {s.k: 1 / (s.ROOT_PI * (1 - s.r))}  # k where r_AT = r
    # both margins wrong: Phi(-both) at most
    gap, both = 2 * s.k**2 - s.h**2, 2 * s.k * (1 + s.r) / sp.sqrt(4 + 2 * s.r**2)
    small = sp.exp(-16)
    return (
        check("The crossover for k >= 8. A margin is wrong with probability Phi(-h), at r = 1 Phi(-sqrt(2) k):",
              s.h.subs(s.r, 1), "=", sp.sqrt(2) * s.k),
        check("at r = r_AT 2 k^2 - h^2 is", gap.xreplace(used), "=", 1 / (s.PI * (1 + s.r**2))),
        check("at least 1/(2 pi).", (1 / (s.PI * (1 + s.r**2))).subs(s.r, 1 / (1 + s.tau)), ">", 1 / (2 * s.PI)),
        check("Phi(-x)/phi(x) = 1/imr(-x) falls in x (T2-joint': imr' < 0),", sp.diff(1 / Imr(-s.alpha), s.alpha), "=",
              -(Imr(-s.alpha) - s.alpha) / Imr(-s.alpha)),
        check("so Phi(-h) is at least exp((2 k^2 - h^2)/2) >= exp(1/(4 pi)) >= 1 + 1/(4 pi) times Phi(-sqrt(2) k), by",
              normal_pdf(s.x) / normal_pdf(s.y), "=", sp.exp((s.y**2 - s.x**2) / 2)),
        check("Both are wrong only where m_2 + m_3 = 2 e + r (c_2 + c_3) < 0, of this mean over its deviation:",
              (2 * s.k + 2 * s.r * s.k) / sp.sqrt(4 + 2 * s.r**2), "=", both),
        check("its square over k^2 rises with r on (0, 1),", sp.diff((both / s.k)**2, s.r), ">", 0, on=s.INSIDE),
        check("and from r = 9/10 on it exceeds 5/2.", ((both / s.k)**2).subs(s.r, sp.Rational(9, 10)), ">",
              sp.Rational(5, 2)),
        check("r_AT is as large for k >= 8.", 1 - 1 / (8 * s.ROOT_PI), ">", sp.Rational(9, 10)),
        check("So both are wrong with probability at most Phi(-sqrt(5/2) k), at most exp(-k^2/4) Phi(-sqrt(2) k),",
              sp.Rational(5, 2) - 2, "=", s.HALF),
        check("for k = 8 + s at most exp(-16) Phi(-sqrt(2) k).", (8 + s.s)**2 / 4, ">=", 16),
        check("1 - P(r_AT) is 2 Phi(-h) less that, 1 - P(1) at most 2 Phi(-sqrt(2) k): P(1) is the larger if",
              2 * (1 + 1 / (4 * s.PI)) - small, ">", 2))


@claim("N3")
def n3() -> Stated:
    k0, accurate, ratio = 1 / s.ROOT_PI, sp.Function("r_acc")(s.k), derive("T3").results["ratio"]
    b_star = sp.expand(sp.solve((ratio - s.r).xreplace({s.b: s.m}), s.m)[0])
    f_r, f_k = (explicit(s.F.diff(e)).subs(s.r, 0).subs(s.k, k0) for e in (s.r, s.k))
    r_slope = sp.factor(sp.simplify(-f_k / f_r))
    along = {sp.Derivative(accurate, s.k): r_slope}
    slope = sp.simplify(b_star.xreplace({s.r: accurate}).diff(s.k).subs(along).subs(accurate, 0).subs(s.k, k0))
    r_at_slope = derive("T1").results["r_at"].diff(s.k).subs(s.k, k0)
    cubic, fall = s.r**3 + (s.ell - 1) * s.r**2 + (s.ell + 2) * s.r - 2, Imr(s.u) * (s.u + Imr(s.u))  # fall = -imr'(u)
    share = (1 - s.r) * (2 + s.r**2) / (s.r * (1 + s.r))  # l = imr(u)/u on F = 0
    named = {Imr(s.u): s.beta}
    need = sp.cancel(sp.simplify((1 - s.r) * s.X / (s.u / s.k + (1 - s.r) * (s.Y + s.X))))
    return (
        check("The ratio of T3 rises with b,", ratio.diff(s.b), ">", 0),
        check("and equals r_acc = r at b* = 1 - sqrt(pi) k (1 - r).", ratio.xreplace({s.b: b_star}), "=", s.r),
        check("b* is a positive multiple of r_acc - r_AT, so b* > 0 by N2,", b_star, "=",
              s.ROOT_PI * s.k * (s.r - derive("T1").results["r_at"])),
        check("and b* < 1 as r_acc < 1.", b_star, "<", 1, cases=({s.r: 1 / (1 + s.tau)},)),
        check("At r = 0, k = 1/sqrt(pi): F = 0,", explicit(s.F).subs(s.r, 0).subs(s.k, k0), "=", 0),
        check("F_r is not 0,", f_r, "<", 0),
        check("and r_acc has the slope -F_k/F_r.", -f_k / f_r, "=", s.PI * s.ROOT_PI / (s.PI - 1)),
        check("That of b* is, by the chain rule,", slope, "=", s.ROOT_PI / (s.PI - 1)),
        check("and that of r_AT.", r_at_slope, "=", s.ROOT_PI),
        check("With imr(u) = l u, F is a negative multiple of a cubic,",
              s.k * (1 - s.r) * s.g - s.ell * s.u, "=", -s.k / (s.ONE * s.TWO) * cubic),
        check("negative at r = 0,", cubic.subs(s.r, 0), "<", 0),
        check("positive at r = 1,", cubic.subs(s.r, 1), ">", 0),
        check("with the slope 3 r^2 - 2 r + 2 + l (2 r + 1),", cubic.diff(s.r), "=",
              3 * s.r**2 - 2 * s.r + 2 + s.ell * (2 * s.r + 1)),
        check("positive: it has one root in (0, 1).", 3 * s.r**2 - 2 * s.r + 2, ">", 0, on=s.INSIDE),
        check("As F_r < 0, b* rises with k iff k F_k + (1 - r) F_r > 0 on F = 0: a positive multiple of "
              "-imr'(u) - R(r); beta = imr(u).",
              (s.k * s.F.diff(s.k) + (1 - s.r) * s.F.diff(s.r)).xreplace(named), "=",
              s.k * (s.u / s.k + (1 - s.r) * (s.Y + s.X)) * (fall - need).xreplace(named)),
        check("R < 1/9.", need, "<", sp.Rational(1, 9), on=s.INSIDE),
        check("If u <= 1/2: -imr' >= imr^2 >= phi(1/2)^2 > 1/9.", normal_pdf(s.HALF)**2, ">", sp.Rational(1, 9)),
        check("If u > 1/2: -imr' = l (l + 1) u^2,", (s.ell * s.s) * (s.s + s.ell * s.s), "=",
              s.ell * (s.ell + 1) * s.s**2),
        check("where F = 0 gives l,", cubic.subs(s.ell, share), "=", 0),
        check("and l (l + 1)/4 > R.", share * (share + 1) / 4, ">", need, on=s.INSIDE),
        check("On F = 0, 1 - b* = sqrt(pi) imr(u)/g,", (1 - b_star) * s.g - s.ROOT_PI * Imr(s.u), "=", s.ROOT_PI * s.F),
        check("and as k grows so does u, at least in proportion, and imr(u) tends to 0: b* tends to 1.",
              sp.Limit(explicit(Imr(s.alpha)), s.alpha, sp.oo), "=", 0),
        *crossover_steps(),
    ), ("T2-joint, T2-joint' and N2", "the implicit function theorem", s.SIGNS,
        "certified, not derived: one crossover for 1/sqrt(pi) < k <= 8"), {
        "b_star_in_terms": b_star, "slope": slope, "r_acc_slope": r_slope, "r_at_slope": r_at_slope,
        "cubic": cubic}
