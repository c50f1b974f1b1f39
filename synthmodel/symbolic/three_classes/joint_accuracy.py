"""Robust accuracy as a function of the ratio: Theorem 2 of the paper, and what is true instead."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.symbols import (
    C2,
    HALF,
    INSIDE,
    LEIBNIZ,
    ONE,
    PI,
    ROOT_PI,
    SIGNS,
    TWO,
    A,
    B,
    E,
    F,
    Imr,
    OwenT,
    T,
    X,
    Y,
    a,
    attack_steps,
    claim,
    derive,
    eps,
    explicit,
    g,
    h,
    k,
    mu,
    normal_cdf,
    normal_density,
    normal_pdf,
    p,
    q,
    r,
    s,
    sigma,
    u,
    w1,
    w2,
    x,
    y,
    z,
)


@claim("T2-pair")
def t2_pair():
    mean, deviation = k * (1 + r), ONE
    pairwise, factor = normal_cdf(h), (1 - r) / ONE**3
    clean, worst, attack = attack_steps()
    return (
        *attack,
        check("For w1, w2 >= 0 the robust margin is m_j = w1 (E - 2 eps) + w2 (C_j - 2 eps).",
              clean[0] - worst, "=", w1 * (E - 2 * eps) + w2 * (C2 - 2 * eps), cases=({w1: p, w2: q},)),
        check("In units of w1 sigma, m_j is a sum z = e + r y of e, y ~ N(k, 1). The density of (y, z) is "
              "that of N(k(1+r), 1+r^2) at z times a normal density in y,",
              normal_density(y, k, 1) * normal_density(z - r * y, k, 1), "=",
              normal_density(z, mean, deviation) * normal_density(y, k + r * (z - mean) / ONE**2, 1 / ONE)),
        check("of mass 1: so the first factor is the law of m_j.",
              sp.Integral(normal_density(y, x, T), (y, -sp.oo, sp.oo)), "=", 1),
        check("The normal law with mean x and deviation tau puts mass Phi(x/tau) on the positive half-line,",
              sp.Integral(normal_density(z, x, T), (z, 0, sp.oo)), "=", normal_cdf(x / T)),
        check("so Pr(m_j > 0) is", normal_cdf(mean / deviation), "=", pairwise),
        check("h/k has the slope", sp.Derivative(h / k, r), "=", factor),
        check("so Pr(m_j > 0) has the slope", sp.Derivative(pairwise, r), "=", normal_pdf(h) * k * factor),
        check("positive for 0 <= r < 1,", factor, ">", 0, cases=({r: 1 / (1 + T)}, {r: sp.S.Zero})),
        check("negative for r > 1.", factor, "<", 0, cases=({r: 1 + T},)),
    ), (), {"pairwise": pairwise, "derivative_factor": factor}


@claim("T2-joint")
def t2_joint():
    owen = sp.Integral(sp.exp(-B**2 * (1 + x**2) / 2) / (2 * PI * (1 + x**2)), (x, 0, A))
    joint = sp.Integral(normal_pdf(z) * normal_cdf(k + (k + z) / r)**2, (z, -sp.oo, sp.oo))
    closed, shift, width = normal_cdf(h) - 2 * OwenT(h, a), -k * (1 + r) / ONE**2, r / ONE
    slope = 2 * normal_pdf(h) * normal_cdf(u) / (ONE**2 * TWO) * explicit(F)
    bracket = k * (1 - r) * g * normal_cdf(u) - normal_pdf(u)
    at_zero, at_one = slope.subs(r, 0), slope.subs(r, 1)
    return (
        check("In units of w1 sigma the margins are k + Z + r (k + Z_j), Z and Z_j standard normal.",
              (A * (k * sigma + sigma * z) + r * A * (k * sigma + sigma * y)) / (A * sigma), "=",
              k + z + r * (k + y)),
        check("Pr(Z_j > -x) = Phi(x), so P is the mean of Phi(k + (k + Z)/r)^2.",
              sp.Integral(normal_pdf(y), (y, -x, sp.oo)), "=", normal_cdf(x)),
        check("Lemma: E Phi(x + beta Z) = Phi(x/sqrt(1 + beta^2)). At x = 0, 1/2: Phi(beta z) - 1/2 is odd.",
              normal_cdf(-B * z) - HALF, "=", -(normal_cdf(B * z) - HALF)),
        check("Both have the same slope in x, since a normal density in z has mass 1.",
              normal_pdf(z) * normal_pdf(x + B * z), "=", sp.diff(normal_cdf(x / sp.sqrt(1 + B**2)), x)
              * normal_density(z, -x * B / (1 + B**2), 1 / sp.sqrt(1 + B**2))),
        check("In dP/dk the integrand is a multiple of a normal density in z times Phi(k + (k + z)/r),",
              sp.diff(joint.function, k), "=",
              2 * (1 + r) / ONE * normal_pdf(h) * normal_density(z, shift, width) * normal_cdf(k + (k + z) / r)),
        check("whose mean is, by the lemma with this x", k + (k + shift) / r, "=", u * g),
        check("and this 1 + beta^2, Phi(u).", 1 + (width / r)**2, "=", g**2),
        check("Owen's T(h, a), written T(beta, alpha), has the slope in h", owen.diff(B), "=",
              OwenT(B, A).diff(B)),
        check("and in a.", owen.diff(A), "=", OwenT(B, A).diff(A)),
        check("As a h = u,", a * h, "=", u),
        check("Phi(h) - 2 T(h, a) has the same slope in k as P.", sp.Derivative(closed, k), "=",
              2 * (1 + r) / ONE * normal_pdf(h) * normal_cdf(u)),
        check("As k grows both tend to 1: 1 - P <= Pr(m_2 <= 0) + Pr(m_3 <= 0) = 2 (1 - Phi(h)),",
              sp.Limit(2 * (1 - normal_cdf(h)), k, sp.oo), "=", 0),
        check("and T's integrand falls in x >= 0,", sp.diff(owen.function, x), "<=", 0, cases=({x: s},)),
        check("so 0 <= T(h, a) <= a exp(-h^2/2)/(2 pi), which tends to 0.",
              sp.Limit(A * owen.function.subs(x, 0), B, sp.oo), "=", 0),
        check("Hence P = Phi(h) - 2 T(h, a), at r = 0 too, where P = Phi(k) and a = 0. Its slope in r is",
              sp.Derivative(closed, r), "=", 2 * normal_pdf(h) / (ONE**2 * TWO) * bracket),
        check("where the last factor is Phi(u) F.", bracket, "=", normal_cdf(u) * explicit(F)),
        check("At r = 0 it is phi(k)(k - 1/sqrt(pi)),", at_zero, "=", normal_pdf(k) * (k - 1 / ROOT_PI)),
        check("positive iff eps < eps0.", (mu - 2 * eps) / sigma - 1 / ROOT_PI, "=",
              2 * (derive("T1").results["eps0"] - eps) / sigma),
        check("At r = 1 it is negative for every k > 0: P does not grow up to w2 = w1.", at_one, "<", 0),
    ), ("the attack of T1, and T2-pair", LEIBNIZ, SIGNS), {"P": joint, "derivative": slope, "F": explicit(F),
                                                           "at_zero": at_zero, "at_one": at_one}


@claim("T2-joint'")
def t2_unimodal():
    cdf, pdf, drop = sp.Symbol("Phi", positive=True), sp.Symbol("phi", positive=True), 1 / (1 + T)
    mills = normal_cdf(x)**2 - x * normal_pdf(x) * normal_cdf(x) - normal_pdf(x)**2
    poly = 2 - 2 * r + 4 * r**2 + r**4
    return (
        check("imr' = -imr (x + imr),", sp.Derivative(explicit(Imr(x)), x), "=", explicit(Imr(x).diff(x))),
        check("negative for x >= 0,", Imr(s).diff(s), "<", 0),
        check("and 1 + imr' = G/Phi^2 with G = Phi^2 - x phi Phi - phi^2,",
              explicit(1 + Imr(x).diff(x)), "=", mills / normal_cdf(x)**2),
        check("G(0) > 0,", mills.subs(x, 0), ">", 0),
        check("G' = phi ((1 + x^2) Phi + x phi),", sp.Derivative(mills, x), "=",
              normal_pdf(x) * ((1 + x**2) * normal_cdf(x) + x * normal_pdf(x))),
        check("positive for x >= 0: so -1 < imr' < 0 there.", pdf * ((1 + s**2) * cdf + s * pdf), ">", 0),
        check("((1-r) g)' = -(g + X)", sp.Derivative((1 - r) * g, r), "=", -(g + X)),
        check("and u' = k (Y + X),", sp.Derivative(u, r), "=", k * (Y + X)),
        check("so F_r = -k (g + X) - imr'(u) k (Y + X).", F.diff(r), "=",
              -k * (g + X) - Imr(u).fdiff() * k * (Y + X)),
        check("With imr' = -1/(1 + tau), tau > 0, that is -k (g - Y) less a multiple of X + Y,",
              -k * (g + X) + drop * k * (Y + X), "=", -k * (g - Y) - k * (1 - drop) * (X + Y)),
        check("where k (1 - 1/(1 + tau)) > 0,", k * (1 - drop), ">", 0),
        check("X + Y > 0 on (0, 1), here times (2+r^2)^(3/2) (1+r^2)^(3/2),",
              sp.simplify((X + Y) * (TWO * ONE)**3), ">", 0, on=INSIDE),
        check("g - Y is this,", g - Y, "=", poly / (TWO**3 * ONE)),
        check("and the numerator is positive: F falls strictly on [0, 1]", poly, ">", 0, on=INSIDE),
        check("from this value at r = 0;", explicit(F).subs(r, 0), "=", sp.sqrt(2) * (k - 1 / ROOT_PI)),
        check("it is negative for r >= 1, and so dP/dr changes sign once at most, at r_acc.", F, "<", 0,
              cases=({r: 1 + s},)),
        check("F_k > 0 for 0 < r < 1, so r_acc rises with k.", F.diff(k), ">", 0, cases=({r: 1 / (1 + T)},)),
    ), ("T2-joint", SIGNS), {"F_r": F.diff(r), "F_k": F.diff(k), "numerator": poly}
