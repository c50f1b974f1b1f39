"""A decay of its own for each weight, THEORY.md, G-decay: what stays, and what is multiplied by q = lam_e/lam_c."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.softmax.cross_entropy import L, d, others, own, pibar, slopes

lam_e, lam_c, q, rate = sp.symbols("lambda_e lambda_c q L_c", positive=True)
K = sp.Symbol("K", positive=True)
AT_REST = {own: sp.Rational(2, 9), others: sp.Rational(4, 9)}


def norm_steps() -> Steps:
    """The penalties on a matrix: what they count w1^2 and w2^2."""
    whole, ones = sp.eye(3), sp.ones(3, 3)
    weights = sp.Matrix.hstack(s.w1 * whole, s.w2 * (ones - whole))
    centred = weights - ones * weights / 3
    return (
        check("W = [w1 I | w2 (J - I)] has the squared norm",
              sum(e**2 for e in weights), "=", 3 * s.w1**2 + 6 * s.w2**2),
        check("so decay lam_F on its entries has lam_e = 3 lam_F, lam_c = 6 lam_F, q = 1/2. Less its mean row it has",
              sum(e**2 for e in centred), "=", 2 * (s.w1**2 + s.w2**2)),
        check("which is q = 1. For K classes the entries count w1^2 K times and w2^2 K (K-1) times: q is 1/2 or "
              "less (here K = 3 + s).", K / (K * (K - 1)), "<=", s.HALF, cases=({K: 3 + s.s},)))


def margin_steps() -> tuple[sp.Expr, Steps]:
    """The margin losses: thresholds stay, ratios are multiplied."""
    scalar = -s.x * s.s + s.tau * s.s**2 / 2  # a pull x on a weight s of decay T
    smooth = derive("T3").results["ratio"]
    r_at, reached = derive("T1").results["r_at"], q * smooth
    b_star = sp.expand(sp.solve((reached - s.r).xreplace({s.b: s.m}), s.m)[0])
    return b_star, (
        check("In T1 and T3 the risk is a function of w1 plus one of w2, each -x s + (lam_i/2) s^2 with a pull x free "
              "of the decays, least at s = x/lam_i: a weight dies where its pull does; eps0, eps1 and mu/2 stay;",
              scalar.diff(s.s), "=", s.tau * (s.s - s.x / s.tau)),
        check("and w2/w1 is multiplied by q = lam_e/lam_c.",
              (s.alpha / lam_c) / (s.beta / lam_e), "=", lam_e / lam_c * s.alpha / s.beta),
        check("So the ratio reaches q (1 - (1-b)/(k sqrt(pi))), which rises with b", reached.diff(s.b), ">", 0),
        check("to q.", reached.xreplace({s.b: sp.S.One}), "=", q),
        check("It is r_acc = r at b* =", b_star, "=", 1 - s.ROOT_PI * s.k * (1 - s.r / q)),
        check("positive iff r_acc exceeds q r_AT,", b_star, "=", s.ROOT_PI * s.k / q * (s.r - q * r_at)),
        check("and below 1 iff r_acc < q.", 1 - b_star, "=", s.ROOT_PI * s.k / q * (q - s.r)),
        check("For q <= 1, q r_AT <= r_AT < r_acc (N2): here with r_AT = p >= 0, q = 1/(1 + tau).",
              s.p * (1 - 1 / (1 + s.tau)), ">=", 0))


def softmax_steps() -> tuple[sp.Expr, sp.Expr, Steps]:
    """Cross-entropy: S1 and the limit of T1-CE."""
    dw1, dw2 = (e.xreplace({s.lam: f}) for e, f in zip(slopes(d, d), (lam_e, lam_c), strict=True))
    best = sp.solve((dw1, dw2), (s.w1, s.w2))
    ratio = (lam_e + s.sigma**2 * own) / (lam_c + s.sigma**2 * others)
    units = {lam_e: L * s.sigma**2, lam_c: rate * s.sigma**2}
    limit = (9 * L + 2) / (9 * rate + 4)
    alone = sp.solve(dw1.xreplace({s.w2: sp.S.Zero}), pibar)[0]  # where w1 > 0 = w2 and dR/dw1 = 0
    other = sp.solve(dw2.xreplace({s.w1: sp.S.Zero}), pibar)[0]
    return ratio, limit, (
        check("Cross-entropy: S1's two slopes with their own decays vanish at the ratio", best[s.w2] / best[s.w1], "=",
              ratio),
        check("which may exceed 1: at lam_e = 2, lam_c = 1, sigma^2 A = 1, sigma^2 B = 3/2", ratio.xreplace(
            {lam_e: sp.Integer(2), lam_c: sp.S.One, own: 1 / s.sigma**2, others: 3 / (2 * s.sigma**2)}), ">", 1),
        check("At w1 > 0 = w2 the slope in w2 is still negative, and",
              dw2.xreplace({s.w2: sp.S.Zero, pibar: alone}), "<",
              0, cases=({s.w1: s.alpha},)),
        check("that in w1 at w2 > 0 = w1: both weights live up to mu/2.", dw1.xreplace({s.w1: sp.S.Zero, pibar: other}),
              "<", 0, cases=({s.w2: s.alpha},)),
        check("As eps tends to mu/2, w tends to 0 and the ratio to", ratio.xreplace(AT_REST | units), "=", limit),
        check("With lam_e = q lam_c it tends to q as the decays grow (w tends to 0, and d^2 pibar too):",
              sp.Limit(ratio.xreplace({lam_e: q * lam_c}), lam_c, sp.oo), "=", q))


def fall_steps() -> Steps:
    """w2 falls as its decay grows."""
    hessian = sp.Matrix([[s.alpha**2, s.alpha * s.x], [s.alpha * s.x, s.x**2 + s.beta**2]])  # any positive definite one
    moved = -hessian.inv() * sp.Matrix([0, s.w2])
    return (
        check("dR/dw2 rises with lam_c at the rate w2, so dw2/dlam_c = -w2 h11/det H,", moved[1], "=",
              -s.w2 * hessian[0, 0] / hessian.det()),
        check("and w2 falls.", moved[1], "<", 0, cases=({s.w2: s.tau},)))


@claim("G-decay")
def decays() -> Stated:
    b_star, margins = margin_steps()
    ratio, limit, soft = softmax_steps()
    return (
        *norm_steps(), *margins, *soft, *fall_steps(),
    ), ("T1, T3, N2, S1 and T1-CE", "the risk is strictly convex, lam_e, lam_c > 0", "the implicit function theorem"), {
        "b_star": b_star, "ratio": ratio, "limit": limit}
