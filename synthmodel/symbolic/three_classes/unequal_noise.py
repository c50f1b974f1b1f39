"""Joint accuracy and the margin loss when the two kinds of features have unequal noise (THEORY.md, T2-unequal)."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim
from synthmodel.symbolic.symbols import Imr, OwenT, explicit, normal_cdf, normal_density, normal_pdf

__all__ = ["F", "k_c", "k_e", "u"]

# r = w2 sigma_C/(w1 sigma_E), k_E = d_E/sigma_E, k_C = d_C/sigma_C; T2-joint is k_E = k_C = k.
k_e, k_c = sp.symbols("k_E k_C", positive=True)
s_e, s_c = sp.symbols("sigma_E sigma_C", positive=True)
h = (k_e + s.r * k_c) / s.ONE
u = s.r * (k_e + s.r * k_c) / (s.ONE * s.TWO)
F = (k_c - s.r * k_e) * s.g - Imr(u)


TOUCH = sp.sqrt((sp.sqrt(10) - 2) / 3)  # r_0, where the bound of the first proof is attained


def zero_steps(loss: sp.Expr, gain: sp.Expr) -> Steps:
    """On F = 0, for all k_C/k_E: the points (k_E, k_C), and where F_r < 0 is plain there."""
    scale, square = s.ONE * s.TWO, s.r**2
    # u = r^2 p, m = imr(u)
    at = {k_e: s.r * (s.p * s.TWO**2 - s.m) / scale, k_c: (s.m + square * s.p * s.TWO**2) / scale}
    bracket = (2 + 4 * square + square**2) * k_e - 2 * s.r * k_c
    small, far = sp.Rational(4, 5), {s.r: 4 + s.s}
    rest = s.p * (2 + 2 * square + square**2) - s.m * (2 + square)
    weak = sp.sqrt((1 + square) * (2 + square))
    return (
        check("Beyond, where F = 0: with m = imr(u), u = r^2 p, k_E = r (p (2 + r^2) - m)/S, k_C = (m + u (2 + r^2))/S "
              "and S = sqrt((1 + r^2)(2 + r^2)) give F's first term", ((k_c - s.r * k_e) * s.g).xreplace(at), "=", s.m),
        check("and u.", u.xreplace(at), "=", square * s.p),
        check("There, as -imr' = m (u + m) < 1, F_r is below gain - loss, minus this times (1 + r^2):",
              (loss - gain) / s.ONE**2, "=", bracket),
        check("it is, times S/r,", (bracket * scale / s.r).xreplace(at), "=", s.TWO**2 * rest),
        check("positive for p >= m, so for p >= 4/5, as m <= sqrt(2/pi),",
              rest, ">=", 0, [{s.p: s.beta + s.s, s.m: s.beta}]),
        check("by", sp.sqrt(2 / s.PI), "<", small),
        check("and for u >= m.", (rest / s.m).xreplace({s.p: (s.m + s.s) / square}).xreplace({s.m: s.beta}), ">", 0),
        check("For r >= 4 it is positive, too, if k_C <= 40 k_E,", (bracket / k_e).subs(k_c, 40 * k_e).xreplace(far),
              ">", 0),
        check("and if not, u < m makes k_C at most (3 + r^2)(4/5)/S,",
              (3 + square)**2 * small**2 - weak**2 * sp.Rational(9, 10)**2, "<", 0, [far]),
        check("that is .9, and k_E < .046, k_C > 12.5 k_E. The rest, r <= 4, p <= 4/5, is certified.",
              sp.Rational(9, 10) / 40, "<", sp.Rational(46, 1000)),
        check("So for k_E >= .046 or k_C <= 12.5 k_E F falls through each of its zeros (at r = 0, too): P is unimodal, "
              "and r_acc = 0 iff k_C <= 1/sqrt(pi).",
              explicit(F.diff(s.r)).subs(s.r, 0).subs(k_c, 1 / s.ROOT_PI), "<", 0))


@claim("T2-unequal")
def t2_unequal() -> Stated:
    joint = sp.Integral(normal_pdf(s.z) * normal_cdf(k_c + (k_e + s.z) / s.r)**2, (s.z, -sp.oo, sp.oo))
    closed, shift, width = normal_cdf(h) - 2 * OwenT(h, s.a), -(k_e + s.r * k_c) / s.ONE**2, s.r / s.ONE
    slope = 2 * normal_pdf(h) * normal_cdf(u) / (s.ONE**2 * s.TWO) * explicit(F)
    # F_r: what the first term loses, and u', each times (1+r^2)^(3/2) (2+r^2)^(3/2).
    loss = (s.r * k_c + (2 + 2 * s.r**2 + s.r**4) * k_e) * (2 + s.r**2)
    gain = (2 - s.r**4) * k_e + (4 * s.r + 3 * s.r**3) * k_c
    both, kept = s.ONE**3 * s.TWO**3, s.tau / (1 + s.tau)  # 1 + imr' = tau/(1 + tau)
    most = 4 * TOUCH + 2 * TOUCH**3  # 2.972 k_E
    touching = (s.r - TOUCH)**2 * (s.r**2 + 2 * TOUCH * s.r + 4 + 3 * TOUCH**2)
    outside = {k_e: sp.Rational(1, 100), k_c: sp.Rational(14, 25)}
    return (
        check("In units of w1 sigma_E the margins are k_E + Z + r (k_C + Z_j).",
              (k_e * s_e + s_e * s.z + (s.r * s_e / s_c) * (k_c * s_c + s_c * s.y)) / s_e, "=",
              k_e + s.z + s.r * (k_c + s.y)),
        check("So P is the mean of Phi(k_C + (k_E + Z)/r)^2, whose slope in k_E has as integrand a normal density "
              "times Phi,", sp.diff(joint.function, k_e), "=",
              2 / s.ONE * normal_pdf(h) * normal_density(s.z, shift, width) * normal_cdf(k_c + (k_e + s.z) / s.r)),
        check("the argument's mean is, by the lemma of T2-joint with this x,", k_c + (k_e + shift) / s.r, "=", u * s.g),
        check("and this 1 + beta^2, that of Phi(u).", 1 + (width / s.r)**2, "=", s.g**2),
        check("As a h = u,", s.a * h, "=", u),
        check("Phi(h) - 2 T(h, a) has the same slope in k_E as P;", sp.Derivative(closed, k_e), "=",
              2 / s.ONE * normal_pdf(h) * normal_cdf(u)),
        check("both tend to 1 with k_E, as h does:", sp.Limit(2 * (1 - normal_cdf(h)), k_e, sp.oo), "=", 0),
        check("so P = Phi(h) - 2 T(h, a). Its slope in r is a positive multiple of F,", sp.Derivative(closed, s.r), "=",
              slope),
        check("at r = 0 F is sqrt(2) (k_C - 1/sqrt(pi)) whatever k_E.", explicit(F).subs(s.r, 0), "=",
              sp.sqrt(2) * (k_c - 1 / s.ROOT_PI)),
        check("At equal noise F is that of T2-joint.", F.subs({k_e: s.k, k_c: s.k}), "=", s.F),
        check("The first term of F has the slope", sp.Derivative((k_c - s.r * k_e) * s.g, s.r), "=", -loss / both),
        check("and u", sp.Derivative(u, s.r), "=", gain / both),
        check("As 1 + imr' lies between 0 and 1 (written tau/(1+tau)), F_r is a mean of -loss and gain - loss:",
              -loss + (1 - kept) * gain, "=", kept * -loss + (1 - kept) * (gain - loss)),
        check("the first is negative,", loss, ">", 0),
        check("the second is minus", loss - gain, "=", s.ONE**2 * ((2 + 4 * s.r**2 + s.r**4) * k_e - 2 * s.r * k_c)),
        check("which for k_C = c k_E - t, c = 4 r_0 + 2 r_0^3 = 2.972..., 3 r_0^4 + 4 r_0^2 = 2, has the last factor",
              (2 + 4 * s.r**2 + s.r**4) * k_e - 2 * s.r * (most * k_e - s.s), "=", k_e * touching + 2 * s.r * s.s),
        check(">= 0 for t >= 0: for k_C <= c k_E, F falls for all r >= 0.", k_e * touching + 2 * s.r * s.s, ">=", 0),
        check("Equal noise is a case of it.", most, ">", 1),
        *zero_steps(loss, gain),
        check("Where k_E is smaller still the threshold is only local: at k_E = .01, k_C = .56 < 1/sqrt(pi)",
              outside[k_c], "<", 1 / s.ROOT_PI),
        check("P(oo) = Phi(k_C)^2 exceeds P(0) = Phi(k_E).", normal_cdf(outside[k_c])**2, ">",
              normal_cdf(outside[k_e])),
    ), ("T2-joint and its lemma; T2-joint' for -1 < imr' < 0", s.LEIBNIZ, s.SIGNS,
        "certified, not derived: F_r < 0 on F = 0 for r <= 4, u <= 4 r^2/5 and k_E >= .046 or k_C <= 12.5 k_E"), {
        "F": explicit(F), "P": joint, "derivative": slope, "threshold": 1 / s.ROOT_PI, "local_only_at": outside[k_c],
        "own_bound": most}


@claim("N2-unequal")
def n2_unequal() -> Stated:
    d = sp.Symbol("d", positive=True)
    k0, step = 1 / s.ROOT_PI, sp.Symbol("k_C - k_0", positive=True)
    r_at = (d - s_c / s.ROOT_PI) / d
    noises = {k_e: d / s_e, k_c: d / s_c}
    near = {k_c: k0, s.r: 0}
    f_r, f_k = (explicit(sp.diff(F, e)).subs(near) for e in (s.r, k_c))
    best = -f_k / f_r * step * s_e / s_c  # w2/w1 near the threshold, to first order
    used = s_c * step / (s_e * k_e)
    limit = s_e**2 / (s_c**2 * (1 - 1 / s.PI))
    numbers = {s_e: sp.Rational(7, 20), s_c: sp.Rational(3, 5), d: sp.Rational(3, 5)}
    ratio = r_at.subs(numbers)
    at = {e: v.subs(numbers) for e, v in noises.items()} | {s.r: ratio * (s_c / s_e).subs(numbers)}
    return (
        check("The margin loss uses w2/w1 = (d - sigma_C/sqrt(pi))/d,", r_at, "=",
              s_c * (k_c - k0).xreplace(noises) / (s_e * k_e.xreplace(noises))),
        check("and F vanishes at the threshold.", explicit(F).subs(near), "=", 0),
        check("There F_r", f_r, "=", -sp.sqrt(2) * k_e * (1 - 1 / s.PI)),
        check("is negative, so r_acc starts with a finite slope;", f_r, "<", 0),
        check("F_k is", f_k, "=", sp.sqrt(2)),
        check("so r_acc/r_AT starts at sigma_E^2/(sigma_C^2 (1 - 1/pi)).", best / used, "=", limit),
        check("At equal noise that is above 1, as N2 says;", limit.subs(s_c, s_e), ">", 1),
        check("at sigma_E = .35, sigma_C = .6 it is below 1.", limit.subs(numbers), "<", 1),
        check("With mu = 1, eps = .2, so d = .6, r_AT is", ratio, "=", 1 - k0),
        check("and there the first term of F is negative,", (k_c - s.r * k_e).subs(at), "<", 0),
        check("as (144/49)(1 - 1/sqrt(pi)) > 1: F < 0.", (k_c - s.r * k_e).subs(at), "=",
              1 - sp.Rational(144, 49) * (1 - k0)),
        check("k_C < 2 k_E, so P is unimodal (T2-unequal) and r_acc < r_AT: the margin loss uses too much.",
              k_c.subs(at), "<", 2 * k_e.subs(at)),
    ), ("T2-unequal", "the implicit function theorem", s.SIGNS), {
        "limit": limit, "r_at": ratio, "F_at_r_at": explicit(F).subs(at)}
