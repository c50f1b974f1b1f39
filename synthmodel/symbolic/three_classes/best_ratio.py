"""The best ratio against the one that the margin losses use: N2 and N3."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.symbols import (
    HALF,
    INSIDE,
    ONE,
    PI,
    ROOT_PI,
    SIGNS,
    TWO,
    A,
    B,
    F,
    Imr,
    T,
    X,
    Y,
    b,
    claim,
    derive,
    ell,
    explicit,
    g,
    k,
    m,
    normal_pdf,
    r,
    s,
    u,
    x,
)


@claim("N2")
def n2():
    at = {k: 1 / (ROOT_PI * (1 - r))}  # r = r_AT, solved for k
    bracket = 2 * sp.sqrt(2) / PI * (1 + r) / (1 - r) * g
    squared, bound = 8 * (1 + r)**2 * (2 + r**2), r**2 * (1 - r)**2 * (1 + r**2)
    return (
        check("(1/imr)' = 1 + x/imr,", sp.Derivative(explicit(1 / Imr(x)), x), "=",
              explicit(1 + x / Imr(x))),
        check("at least 1 for x >= 0,", 1 + s / Imr(s), ">=", 1),
        check("and 1/imr(0) = sqrt(pi/2): so 1/imr(x) >= sqrt(pi/2) + x for x >= 0.",
              explicit(1 / Imr(x)).subs(x, 0), "=", sp.sqrt(PI / 2)),
        check("At r = r_AT, F is imr(u) times g/(sqrt(pi) imr(u)) - 1,", F.xreplace(at), "=",
              Imr(u.xreplace(at)) * (g / (ROOT_PI * Imr(u.xreplace(at))) - 1)),
        check("so F > 0 if g (sqrt(pi/2) + u) > sqrt(pi). The difference of the squares is",
              (g * (sp.sqrt(PI / 2) + u.xreplace(at)))**2 - PI, "=",
              (g * u.xreplace(at))**2 + PI * r / (2 * ONE**2) * (bracket - r)),
        check("where (2 sqrt(2)/pi) ((1+r)/(1-r)) g exceeds r: the squares differ by", bracket**2 - r**2, "=",
              (squared - PI**2 * bound) / (PI**2 * (1 - r)**2 * ONE**2)),
        check("and with pi^2 < 10", PI**2, "<", 10),
        check("the numerator is positive. So F(r_AT, k) > 0: r_AT < r_acc by T2-joint'.", squared, ">",
              10 * bound, on=INSIDE),
    ), ("T2-joint'", SIGNS), {"bracket": bracket}


@claim("N3")
def n3():
    k0, accurate, ratio = 1 / ROOT_PI, sp.Function("r_acc")(k), derive("T3").results["ratio"]
    b_star = sp.expand(sp.solve((ratio - r).xreplace({b: m}), m)[0])
    f_r, f_k = (explicit(F.diff(e)).subs(r, 0).subs(k, k0) for e in (r, k))
    r_slope = sp.factor(sp.simplify(-f_k / f_r))
    along = {sp.Derivative(accurate, k): r_slope}
    slope = sp.simplify(b_star.xreplace({r: accurate}).diff(k).subs(along).subs(accurate, 0).subs(k, k0))
    r_at_slope = derive("T1").results["r_at"].diff(k).subs(k, k0)
    cubic, fall = r**3 + (ell - 1) * r**2 + (ell + 2) * r - 2, Imr(u) * (u + Imr(u))  # fall = -imr'(u)
    share = (1 - r) * (2 + r**2) / (r * (1 + r))  # l = imr(u)/u on F = 0
    named = {Imr(u): B}
    need = sp.cancel(sp.simplify((1 - r) * X / (u / k + (1 - r) * (Y + X))))
    return (
        check("The ratio of T3 rises with b,", ratio.diff(b), ">", 0),
        check("and equals r_acc = r at b* = 1 - sqrt(pi) k (1 - r).", ratio.xreplace({b: b_star}), "=", r),
        check("b* is a positive multiple of r_acc - r_AT, so b* > 0 by N2,", b_star, "=",
              ROOT_PI * k * (r - derive("T1").results["r_at"])),
        check("and b* < 1 as r_acc < 1.", b_star, "<", 1, cases=({r: 1 / (1 + T)},)),
        check("At r = 0, k = 1/sqrt(pi): F = 0,", explicit(F).subs(r, 0).subs(k, k0), "=", 0),
        check("F_r is not 0,", f_r, "<", 0),
        check("and r_acc has the slope -F_k/F_r.", -f_k / f_r, "=", PI * ROOT_PI / (PI - 1)),
        check("That of b* is, by the chain rule,", slope, "=", ROOT_PI / (PI - 1)),
        check("and that of r_AT.", r_at_slope, "=", ROOT_PI),
        check("With imr(u) = l u, F is a negative multiple of a cubic,",
              k * (1 - r) * g - ell * u, "=", -k / (ONE * TWO) * cubic),
        check("negative at r = 0,", cubic.subs(r, 0), "<", 0),
        check("positive at r = 1,", cubic.subs(r, 1), ">", 0),
        check("with the slope 3 r^2 - 2 r + 2 + l (2 r + 1),", cubic.diff(r), "=",
              3 * r**2 - 2 * r + 2 + ell * (2 * r + 1)),
        check("positive: it has one root in (0, 1).", 3 * r**2 - 2 * r + 2, ">", 0, on=INSIDE),
        check("As F_r < 0, b* rises with k iff k F_k + (1 - r) F_r > 0 on F = 0: a positive multiple of "
              "-imr'(u) - R(r); beta = imr(u).",
              (k * F.diff(k) + (1 - r) * F.diff(r)).xreplace(named), "=",
              k * (u / k + (1 - r) * (Y + X)) * (fall - need).xreplace(named)),
        check("R < 1/9.", need, "<", sp.Rational(1, 9), on=INSIDE),
        check("If u <= 1/2: -imr' >= imr^2 >= phi(1/2)^2 > 1/9.", normal_pdf(HALF)**2, ">", sp.Rational(1, 9)),
        check("If u > 1/2: -imr' = l (l + 1) u^2,", (ell * s) * (s + ell * s), "=", ell * (ell + 1) * s**2),
        check("where F = 0 gives l,", cubic.subs(ell, share), "=", 0),
        check("and l (l + 1)/4 > R.", share * (share + 1) / 4, ">", need, on=INSIDE),
        check("On F = 0, 1 - b* = sqrt(pi) imr(u)/g,", (1 - b_star) * g - ROOT_PI * Imr(u), "=", ROOT_PI * F),
        check("and as k grows so does u, at least in proportion, and imr(u) tends to 0: b* tends to 1.",
              sp.Limit(explicit(Imr(A)), A, sp.oo), "=", 0),
    ), ("T2-joint, T2-joint' and N2", "the implicit function theorem", SIGNS), {
        "b_star_in_terms": b_star, "slope": slope, "r_acc_slope": r_slope, "r_at_slope": r_at_slope,
        "cubic": cubic}
