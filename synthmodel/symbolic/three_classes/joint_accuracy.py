"""Robust accuracy as a function of the ratio: Theorem 2 of the paper, and what is true instead."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.attack import attack_steps
from synthmodel.symbolic.derivation import Stated, check, claim, derive
from synthmodel.symbolic.symbols import Imr, OwenT, explicit, normal_cdf, normal_density, normal_pdf


@claim("T2-pair")
def t2_pair() -> Stated:
    mean, deviation = s.k * (1 + s.r), s.ONE
    pairwise, factor = normal_cdf(s.h), (1 - s.r) / s.ONE**3
    clean, worst, attack = attack_steps()
    return (
        *attack,
        check("For w1, w2 >= 0 the robust margin is m_j = w1 (E - 2 eps) + w2 (C_j - 2 eps).",
              clean[0] - worst, "=", s.w1 * (s.E - 2 * s.eps) + s.w2 * (s.C2 - 2 * s.eps),
              cases=({s.w1: s.p, s.w2: s.q},)),
        check("In units of w1 sigma, m_j is a sum z = e + r y of e, y ~ N(k, 1). The density of (y, z) is "
              "that of N(k(1+r), 1+r^2) at z times a normal density in y,",
              normal_density(s.y, s.k, 1) * normal_density(s.z - s.r * s.y, s.k, 1), "=",
              normal_density(s.z, mean, deviation) * normal_density(s.y, s.k + s.r * (s.z - mean) / s.ONE**2,
                                                                    1 / s.ONE)),
        check("of mass 1: so the first factor is the law of m_j.",
              sp.Integral(normal_density(s.y, s.x, s.tau), (s.y, -sp.oo, sp.oo)), "=", 1),
        check("The normal law with mean x and deviation tau puts mass Phi(x/tau) on the positive half-line,",
              sp.Integral(normal_density(s.z, s.x, s.tau), (s.z, 0, sp.oo)), "=", normal_cdf(s.x / s.tau)),
        check("so Pr(m_j > 0) is", normal_cdf(mean / deviation), "=", pairwise),
        check("h/k has the slope", sp.Derivative(s.h / s.k, s.r), "=", factor),
        check("so Pr(m_j > 0) has the slope", sp.Derivative(pairwise, s.r), "=", normal_pdf(s.h) * s.k * factor),
        check("positive for 0 <= r < 1,", factor, ">", 0, cases=({s.r: 1 / (1 + s.tau)}, {s.r: sp.S.Zero})),
        check("negative for r > 1.", factor, "<", 0, cases=({s.r: 1 + s.tau},)),
    ), (), {"pairwise": pairwise, "derivative_factor": factor}


@claim("T2-joint")
def t2_joint() -> Stated:
    owen = sp.Integral(sp.exp(-s.beta**2 * (1 + s.x**2) / 2) / (2 * s.PI * (1 + s.x**2)), (s.x, 0, s.alpha))
    joint = sp.Integral(normal_pdf(s.z) * normal_cdf(s.k + (s.k + s.z) / s.r)**2, (s.z, -sp.oo, sp.oo))
    closed, shift, width = normal_cdf(s.h) - 2 * OwenT(s.h, s.a), -s.k * (1 + s.r) / s.ONE**2, s.r / s.ONE
    slope = 2 * normal_pdf(s.h) * normal_cdf(s.u) / (s.ONE**2 * s.TWO) * explicit(s.F)
    bracket = s.k * (1 - s.r) * s.g * normal_cdf(s.u) - normal_pdf(s.u)
    at_zero, at_one = slope.subs(s.r, 0), slope.subs(s.r, 1)
    return (
        check("In units of w1 sigma the margins are k + Z + r (k + Z_j), Z and Z_j standard normal.",
              (s.alpha * (s.k * s.sigma + s.sigma * s.z) + s.r * s.alpha * (s.k * s.sigma + s.sigma * s.y))
              / (s.alpha * s.sigma), "=", s.k + s.z + s.r * (s.k + s.y)),
        check("Pr(Z_j > -x) = Phi(x), so P is the mean of Phi(k + (k + Z)/r)^2.",
              sp.Integral(normal_pdf(s.y), (s.y, -s.x, sp.oo)), "=", normal_cdf(s.x)),
        check("Lemma: E Phi(x + beta Z) = Phi(x/sqrt(1 + beta^2)). At x = 0, 1/2: Phi(beta z) - 1/2 is odd.",
              normal_cdf(-s.beta * s.z) - s.HALF, "=", -(normal_cdf(s.beta * s.z) - s.HALF)),
        check("Both have the same slope in x, since a normal density in z has mass 1.",
              normal_pdf(s.z) * normal_pdf(s.x + s.beta * s.z), "=",
              sp.diff(normal_cdf(s.x / sp.sqrt(1 + s.beta**2)), s.x)
              * normal_density(s.z, -s.x * s.beta / (1 + s.beta**2), 1 / sp.sqrt(1 + s.beta**2))),
        check("In dP/dk the integrand is a multiple of a normal density in z times Phi(k + (k + z)/r),",
              sp.diff(joint.function, s.k), "=",
              2 * (1 + s.r) / s.ONE * normal_pdf(s.h) * normal_density(s.z, shift,
                                                                       width) * normal_cdf(s.k + (s.k + s.z) / s.r)),
        check("whose mean is, by the lemma with this x", s.k + (s.k + shift) / s.r, "=", s.u * s.g),
        check("and this 1 + beta^2, Phi(u).", 1 + (width / s.r)**2, "=", s.g**2),
        check("Owen's T(h, a), written T(beta, alpha), has the slope in h", owen.diff(s.beta), "=",
              OwenT(s.beta, s.alpha).diff(s.beta)),
        check("and in a.", owen.diff(s.alpha), "=", OwenT(s.beta, s.alpha).diff(s.alpha)),
        check("As a h = u,", s.a * s.h, "=", s.u),
        check("Phi(h) - 2 T(h, a) has the same slope in k as P.", sp.Derivative(closed, s.k), "=",
              2 * (1 + s.r) / s.ONE * normal_pdf(s.h) * normal_cdf(s.u)),
        check("As k grows both tend to 1: 1 - P <= Pr(m_2 <= 0) + Pr(m_3 <= 0) = 2 (1 - Phi(h)),",
              sp.Limit(2 * (1 - normal_cdf(s.h)), s.k, sp.oo), "=", 0),
        check("and T's integrand falls in x >= 0,", sp.diff(owen.function, s.x), "<=", 0, cases=({s.x: s.s},)),
        check("so 0 <= T(h, a) <= a exp(-h^2/2)/(2 pi), which tends to 0.",
              sp.Limit(s.alpha * owen.function.subs(s.x, 0), s.beta, sp.oo), "=", 0),
        check("Hence P = Phi(h) - 2 T(h, a), at r = 0 too, where P = Phi(k) and a = 0. Its slope in r is",
              sp.Derivative(closed, s.r), "=", 2 * normal_pdf(s.h) / (s.ONE**2 * s.TWO) * bracket),
        check("where the last factor is Phi(u) F.", bracket, "=", normal_cdf(s.u) * explicit(s.F)),
        check("At r = 0 it is phi(k)(k - 1/sqrt(pi)),", at_zero, "=", normal_pdf(s.k) * (s.k - 1 / s.ROOT_PI)),
        check("positive iff eps < eps0.", (s.mu - 2 * s.eps) / s.sigma - 1 / s.ROOT_PI, "=",
              2 * (derive("T1").results["eps0"] - s.eps) / s.sigma),
        check("At r = 1 it is negative for every k > 0: P does not grow up to w2 = w1.", at_one, "<", 0),
    ), ("the attack of T1, and T2-pair", s.LEIBNIZ, s.SIGNS), {"P": joint, "derivative": slope, "F": explicit(s.F),
                                                               "at_zero": at_zero, "at_one": at_one}


@claim("T2-joint'")
def t2_unimodal() -> Stated:
    cdf, pdf, drop = sp.Symbol("Phi", positive=True), sp.Symbol("phi", positive=True), 1 / (1 + s.tau)
    mills = normal_cdf(s.x)**2 - s.x * normal_pdf(s.x) * normal_cdf(s.x) - normal_pdf(s.x)**2
    poly = 2 - 2 * s.r + 4 * s.r**2 + s.r**4
    return (
        check("imr' = -imr (x + imr),", sp.Derivative(explicit(Imr(s.x)), s.x), "=", explicit(Imr(s.x).diff(s.x))),
        check("negative for x >= 0,", Imr(s.s).diff(s.s), "<", 0),
        check("and 1 + imr' = G/Phi^2 with G = Phi^2 - x phi Phi - phi^2,",
              explicit(1 + Imr(s.x).diff(s.x)), "=", mills / normal_cdf(s.x)**2),
        check("G(0) > 0,", mills.subs(s.x, 0), ">", 0),
        check("G' = phi ((1 + x^2) Phi + x phi),", sp.Derivative(mills, s.x), "=",
              normal_pdf(s.x) * ((1 + s.x**2) * normal_cdf(s.x) + s.x * normal_pdf(s.x))),
        check("positive for x >= 0: so -1 < imr' < 0 there.", pdf * ((1 + s.s**2) * cdf + s.s * pdf), ">", 0),
        check("((1-r) g)' = -(g + X)", sp.Derivative((1 - s.r) * s.g, s.r), "=", -(s.g + s.X)),
        check("and u' = k (Y + X),", sp.Derivative(s.u, s.r), "=", s.k * (s.Y + s.X)),
        check("so F_r = -k (g + X) - imr'(u) k (Y + X).", s.F.diff(s.r), "=",
              -s.k * (s.g + s.X) - Imr(s.u).fdiff() * s.k * (s.Y + s.X)),
        check("With imr' = -1/(1 + tau), tau > 0, that is -k (g - Y) less a multiple of X + Y,",
              -s.k * (s.g + s.X) + drop * s.k * (s.Y + s.X), "=", -s.k * (s.g - s.Y) - s.k * (1 - drop) * (s.X + s.Y)),
        check("where k (1 - 1/(1 + tau)) > 0,", s.k * (1 - drop), ">", 0),
        check("X + Y > 0 on (0, 1), here times (2+r^2)^(3/2) (1+r^2)^(3/2),",
              sp.simplify((s.X + s.Y) * (s.TWO * s.ONE)**3), ">", 0, on=s.INSIDE),
        check("g - Y is this,", s.g - s.Y, "=", poly / (s.TWO**3 * s.ONE)),
        check("and the numerator is positive: F falls strictly on [0, 1]", poly, ">", 0, on=s.INSIDE),
        check("from this value at r = 0;", explicit(s.F).subs(s.r, 0), "=", sp.sqrt(2) * (s.k - 1 / s.ROOT_PI)),
        check("it is negative for r >= 1, and so dP/dr changes sign once at most, at r_acc.", s.F, "<", 0,
              cases=({s.r: 1 + s.s},)),
        check("F_k > 0 for 0 < r < 1, so r_acc rises with k.", s.F.diff(s.k), ">", 0, cases=({s.r: 1 / (1 + s.tau)},)),
    ), ("T2-joint", s.SIGNS), {"F_r": s.F.diff(s.r), "F_k": s.F.diff(s.k), "numerator": poly}
