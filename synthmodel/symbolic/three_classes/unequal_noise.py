"""Joint accuracy and the margin loss when the two kinds of features have unequal noise (THEORY.md, T2-unequal)."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.symbols import (
    LEIBNIZ,
    ONE,
    PI,
    ROOT_PI,
    SIGNS,
    TWO,
    Imr,
    OwenT,
    T,
    a,
    claim,
    explicit,
    g,
    k,
    normal_cdf,
    normal_density,
    normal_pdf,
    r,
    s,
    y,
    z,
)
from synthmodel.symbolic.symbols import F as equal_noise

__all__ = ["F", "k_c", "k_e", "u"]

# r = w2 sigma_C/(w1 sigma_E), k_E = d_E/sigma_E, k_C = d_C/sigma_C; T2-joint is k_E = k_C = k.
k_e, k_c = sp.symbols("k_E k_C", positive=True)
s_e, s_c = sp.symbols("sigma_E sigma_C", positive=True)
h = (k_e + r * k_c) / ONE
u = r * (k_e + r * k_c) / (ONE * TWO)
F = (k_c - r * k_e) * g - Imr(u)


@claim("T2-unequal")
def t2_unequal():
    joint = sp.Integral(normal_pdf(z) * normal_cdf(k_c + (k_e + z) / r)**2, (z, -sp.oo, sp.oo))
    closed, shift, width = normal_cdf(h) - 2 * OwenT(h, a), -(k_e + r * k_c) / ONE**2, r / ONE
    slope = 2 * normal_pdf(h) * normal_cdf(u) / (ONE**2 * TWO) * explicit(F)
    # F_r: what the first term loses, and u', each times (1+r^2)^(3/2) (2+r^2)^(3/2).
    loss = (r * k_c + (2 + 2 * r**2 + r**4) * k_e) * (2 + r**2)
    gain = (2 - r**4) * k_e + (4 * r + 3 * r**3) * k_c
    both, kept = ONE**3 * TWO**3, T / (1 + T)  # 1 + imr' = tau/(1 + tau)
    most = 2 * sp.sqrt(2) * k_e
    outside = {k_e: sp.Rational(1, 100), k_c: sp.Rational(14, 25)}
    return (
        check("In units of w1 sigma_E the margins are k_E + Z + r (k_C + Z_j).",
              (k_e * s_e + s_e * z + (r * s_e / s_c) * (k_c * s_c + s_c * y)) / s_e, "=", k_e + z + r * (k_c + y)),
        check("So P is the mean of Phi(k_C + (k_E + Z)/r)^2, whose slope in k_E has as integrand a normal density "
              "times Phi,", sp.diff(joint.function, k_e), "=",
              2 / ONE * normal_pdf(h) * normal_density(z, shift, width) * normal_cdf(k_c + (k_e + z) / r)),
        check("the argument's mean is, by the lemma of T2-joint with this x,", k_c + (k_e + shift) / r, "=", u * g),
        check("and this 1 + beta^2, that of Phi(u).", 1 + (width / r)**2, "=", g**2),
        check("As a h = u,", a * h, "=", u),
        check("Phi(h) - 2 T(h, a) has the same slope in k_E as P;", sp.Derivative(closed, k_e), "=",
              2 / ONE * normal_pdf(h) * normal_cdf(u)),
        check("both tend to 1 with k_E, as h does:", sp.Limit(2 * (1 - normal_cdf(h)), k_e, sp.oo), "=", 0),
        check("so P = Phi(h) - 2 T(h, a). Its slope in r is a positive multiple of F,", sp.Derivative(closed, r), "=",
              slope),
        check("at r = 0 F is sqrt(2) (k_C - 1/sqrt(pi)) whatever k_E.", explicit(F).subs(r, 0), "=",
              sp.sqrt(2) * (k_c - 1 / ROOT_PI)),
        check("At equal noise F is that of T2-joint.", F.subs({k_e: k, k_c: k}), "=", equal_noise),
        check("The first term of F has the slope", sp.Derivative((k_c - r * k_e) * g, r), "=", -loss / both),
        check("and u", sp.Derivative(u, r), "=", gain / both),
        check("As 1 + imr' lies between 0 and 1 (written tau/(1+tau)), F_r is a mean of -loss and gain - loss:",
              -loss + (1 - kept) * gain, "=", kept * -loss + (1 - kept) * (gain - loss)),
        check("the first is negative,", loss, ">", 0),
        check("the second is minus", loss - gain, "=", ONE**2 * ((2 + 4 * r**2 + r**4) * k_e - 2 * r * k_c)),
        check("which for k_C = 2 sqrt(2) k_E - t has the last factor",
              (2 + 4 * r**2 + r**4) * k_e - 2 * r * (most - s), "=",
              k_e * (sp.sqrt(2) - 2 * r)**2 + k_e * r**4 + 2 * r * s),
        check("positive for t >= 0: for k_C <= 2 sqrt(2) k_E, F falls for all r >= 0, P is unimodal, and r_acc = 0 "
              "iff k_C <= 1/sqrt(pi).", k_e * (sp.sqrt(2) - 2 * r)**2 + k_e * r**4 + 2 * r * s, ">", 0),
        check("Equal noise is a case of it.", most.subs(k_e, k), ">", k),
        check("Without a bound on k_C/k_E the threshold is only local: here k_C < 1/sqrt(pi),", outside[k_c], "<",
              1 / ROOT_PI),
        check("but P(oo) = Phi(k_C)^2 exceeds P(0) = Phi(k_E).", normal_cdf(outside[k_c])**2, ">",
              normal_cdf(outside[k_e])),
    ), ("T2-joint and its lemma; T2-joint' for -1 < imr' < 0", LEIBNIZ, SIGNS), {
        "F": explicit(F), "P": joint, "derivative": slope, "threshold": 1 / ROOT_PI, "local_only_at": outside[k_c]}


@claim("N2-unequal")
def n2_unequal():
    d = sp.Symbol("d", positive=True)
    k0, step = 1 / ROOT_PI, sp.Symbol("k_C - k_0", positive=True)
    r_at = (d - s_c / ROOT_PI) / d
    noises = {k_e: d / s_e, k_c: d / s_c}
    near = {k_c: k0, r: 0}
    f_r, f_k = (explicit(sp.diff(F, e)).subs(near) for e in (r, k_c))
    best = -f_k / f_r * step * s_e / s_c  # w2/w1 near the threshold, to first order
    used = s_c * step / (s_e * k_e)
    limit = s_e**2 / (s_c**2 * (1 - 1 / PI))
    numbers = {s_e: sp.Rational(7, 20), s_c: sp.Rational(3, 5), d: sp.Rational(3, 5)}
    ratio = r_at.subs(numbers)
    at = {e: v.subs(numbers) for e, v in noises.items()} | {r: ratio * (s_c / s_e).subs(numbers)}
    return (
        check("The margin loss uses w2/w1 = (d - sigma_C/sqrt(pi))/d,", r_at, "=",
              s_c * (k_c - k0).xreplace(noises) / (s_e * k_e.xreplace(noises))),
        check("and F vanishes at the threshold.", explicit(F).subs(near), "=", 0),
        check("There F_r", f_r, "=", -sp.sqrt(2) * k_e * (1 - 1 / PI)),
        check("is negative, so r_acc starts with a finite slope;", f_r, "<", 0),
        check("F_k is", f_k, "=", sp.sqrt(2)),
        check("so r_acc/r_AT starts at sigma_E^2/(sigma_C^2 (1 - 1/pi)).", best / used, "=", limit),
        check("At equal noise that is above 1, as N2 says;", limit.subs(s_c, s_e), ">", 1),
        check("at sigma_E = .35, sigma_C = .6 it is below 1.", limit.subs(numbers), "<", 1),
        check("With mu = 1, eps = .2, so d = .6, r_AT is", ratio, "=", 1 - k0),
        check("and there the first term of F is negative,", (k_c - r * k_e).subs(at), "<", 0),
        check("as (144/49)(1 - 1/sqrt(pi)) > 1: F < 0.", (k_c - r * k_e).subs(at), "=",
              1 - sp.Rational(144, 49) * (1 - k0)),
        check("k_C < 2 sqrt(2) k_E, so P is unimodal (T2-unequal) and r_acc < r_AT: the margin loss uses too much.",
              k_c.subs(at), "<", 2 * sp.sqrt(2) * k_e.subs(at)),
    ), ("T2-unequal", "the implicit function theorem", SIGNS), {
        "limit": limit, "r_at": ratio, "F_at_r_at": explicit(F).subs(at)}
