"""Soft labels in cross-entropy: label smoothing (Theorem 3 refuted, T3-CE) and distillation (N5)."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.softmax.cross_entropy import (
    CONVEX,
    DOMINATED,
    THIRD,
    L,
    d,
    d_C,
    d_E,
    gradient_step,
    others,
    own,
    pibar,
    slopes,
    softmax,
)
from synthmodel.symbolic.symbols import normal_density

TWO_THIRDS, AT_REST = sp.Rational(2, 3), {own: sp.Rational(2, 9), others: sp.Rational(4, 9)}
T1, T2 = sp.symbols("T_1 T_2", real=True)  # the teacher's weights
tbar, own_t, others_t = sp.symbols("tbar A_T B_T", positive=True)  # pibar, A and B with the teacher's weights


def fall_steps() -> tuple[Steps, sp.Expr]:
    """How w moves with b: w1 + w2 falls, and |w| <= sqrt(2) d (2/3 - b)/lam."""
    hessian = sp.Matrix([[s.alpha**2, s.alpha * s.x],
                         [s.alpha * s.x, s.x**2 + s.beta**2]])  # any positive definite one: a Cholesky factor squared
    h11, h12, h22 = hessian[0, 0], hessian[0, 1], hessian[1, 1]
    rate = -hessian.inv() * sp.Matrix([d, d])
    bound = sp.sqrt(2) * d * (TWO_THIRDS - s.b) / s.lam
    pull = -sum(w * e.xreplace(THIRD | {pibar: TWO_THIRDS}) for w, e in zip((s.w1, s.w2), slopes(d, d), strict=True))
    return (
        check("dR/dw1 and dR/dw2 rise with b at the rate d,", sp.Matrix([sp.Derivative(e, s.b) for e in slopes(d, d)]),
              "=", sp.Matrix([d, d])),
        check("so dw/db = -d H^-1 (1, 1) with the Hessian H: w1' and w2' are -d (h22 - h12)/det H and "
              "-d (h11 - h12)/det H,", rate, "=", -d / hessian.det() * sp.Matrix([h22 - h12, h11 - h12])),
        check("and w1 + w2 falls as b grows.", rate[0] + rate[1], "<", 0, cases=({s.x: s.alpha + s.y},)),
        check("As R - (lam/2)|w|^2 is convex, lam |w|^2 <= -w . grad R(0) at the minimiser, here", pull, "=",
              d * (TWO_THIRDS - s.b) * (s.w1 + s.w2)),
        check("where (w1 + w2)^2 <= 2 |w|^2.", (s.w1 + s.w2)**2, "<=", 2 * (s.w1**2 + s.w2**2),
              cases=({s.w1: s.w2 + s.x},)),
        check("So |w| <= sqrt(2) d (2/3 - b)/lam, which tends to 0 as b tends to 2/3. Then w2 is below its positive "
              "value at b = 0 (T1-CE), and no b moves the threshold from mu/2: Theorem 3 fails.",
              bound, "=", 0, cases=({s.b: TWO_THIRDS},))), bound


@claim("T3-CE")
def t3_ce() -> Stated:
    p1 = softmax(s.E, s.C2, s.C3)[0]
    ratio, limit = derive("S1").results["r_ce"], derive("T1-CE").results["limit"]
    risk = -sp.log(p1) + s.b * (s.w1 * s.E + s.w2 * (s.C2 + s.C3) / 2)
    pointwise = sp.hessian(risk, (s.w1, s.w2)).xreplace(THIRD)
    square, law = d**2 + s.sigma**2, normal_density(s.z, d, s.sigma)
    means = {s.E**2: square, s.C2**2: square, s.C3**2: square}
    mean = (pointwise.applyfunc(sp.expand).xreplace(means).xreplace({s.E: d, s.C2: d, s.C3: d})) + s.lam * sp.eye(2)
    slope = (ratio.diff(own) - ratio.diff(others)).xreplace(AT_REST) * 2 * d / 27
    steps, bound = fall_steps()
    return (
        *steps,
        check("The ratio of S1 tends to", ratio.xreplace(AT_REST | {s.lam: L * s.sigma**2}), "=", limit),
        check("Near b = 2/3: at w = 0 the Hessian of the loss is", pointwise, "=",
              sp.Matrix([[2 * s.E**2, s.E * (s.C2 + s.C3)],
                         [s.E * (s.C2 + s.C3), 2 * (s.C2**2 - s.C2 * s.C3 + s.C3**2)]]) / 9),
        check("with E e^2 = d^2 + sigma^2", sp.Integral(s.z**2 * law, (s.z, -sp.oo, sp.oo)), "=", square),
        check("and independence, h22 - h12 and h11 - h12 are both positive: w1 and w2 fall.",
              sp.Matrix([mean[1, 1] - mean[0, 1], mean[0, 0] - mean[0, 1]]), "=",
              sp.Matrix([s.lam + 4 * s.sigma**2 / 9, s.lam + 2 * s.sigma**2 / 9])),
        gradient_step(),
        check("of means (2 d/27)(1, 1) and -(2 d/27)(1, 1): the ratio of S1 has the slope in w1, and in w2,", slope,
              "=", 4 * d * s.sigma**2 * (s.lam + s.sigma**2 / 3) / (27 * (s.lam + 4 * s.sigma**2 / 9)**2)),
        check("positive: so r falls to its limit as b tends to 2/3.", slope, ">", 0),
    ), ("S1 and T1-CE", CONVEX, "the implicit function theorem", s.LEIBNIZ, DOMINATED,
        "not derived, seen in numbers: that w1, w2 and r fall on all of [0, 2/3); and that r can be higher or lower "
        "when the attack maximises the smoothed loss, at a vertex of the cube as that loss is convex in the scores"
        ), {"bound": bound, "limit": limit, "ratio_slope": slope}


def teacher_slopes(mean_e: sp.Expr, mean_c: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """dR/dw1 and dR/dw2 with a teacher's labels: those of S1 at b = tbar less the pull to the teacher's weights."""
    dw1, dw2 = (e.xreplace({s.b: tbar}) for e in slopes(mean_e, mean_c))
    return dw1 - s.sigma**2 * own_t * T1, dw2 - s.sigma**2 * others_t * T2


def refutation_steps() -> Steps:
    """As lam grows, the teacher decides whether the ratio ends above or below that of cross-entropy, 1."""
    pulls = [d * (TWO_THIRDS - tbar) + s.sigma**2 * e for e in (own_t * T1, others_t * T2)]
    ends = [sp.solve(e.xreplace(AT_REST), w)[0].xreplace({pibar: TWO_THIRDS})
            for e, w in zip(teacher_slopes(d, d), (s.w1, s.w2), strict=True)]
    final = pulls[1] / pulls[0]
    right = sp.exp(s.z) / (sp.exp(s.z) + 2)  # t_1 at T1 e = z, T2 = 0
    both = (2 + 2 * s.x) / (5 + 2 * s.x)
    confident = {tbar: TWO_THIRDS - 1 / (s.tau + TWO_THIRDS**-1)}  # 0 < tbar < 2/3
    trained = T1 * (s.lam + s.sigma**2 * own_t) / (s.lam + s.sigma**2 * others_t)  # T2 of a cross-entropy teacher (S1)
    return (
        check("As lam grows, w tends to 0, so that pibar tends to 2/3, A to 2/9, B to 4/9 and lam w to "
              "d (2/3 - tbar) + sigma^2 (A_T T1, B_T T2):",
              sp.Matrix([sp.Limit(s.lam * e, s.lam, sp.oo) for e in ends]), "=", sp.Matrix(pulls)),
        check("w2/w1 tends to their ratio, while that of S1 tends to",
              sp.Limit(derive("S1").results["r_ce"], s.lam, sp.oo), "=", 1),
        check("A teacher with T2 = 0 < T1 has t_1 = e^z/(e^z + 2), z = T1 e, which grows with d, and with "
              "x = e^z + e^-z the sum t_1(z) + t_1(-z) is", right + right.xreplace({s.z: -s.z}), "=",
              both.xreplace({s.x: sp.exp(s.z) + sp.exp(-s.z)})),
        check("at least 2/3, as x >= 2: so tbar < 2/3 for d > 0,", both, ">=", TWO_THIRDS, cases=({s.x: 2 + s.s},)),
        check("and this teacher lowers the ratio.", final, "<", 1, cases=(confident | {T1: s.alpha, T2: sp.S.Zero},)),
        check("One trained with cross-entropy (S1) on the same attacked inputs, for which tbar < 2/3 by Jensen, its "
              "loss being below log 3, raises it.", final, ">", 1,
              cases=(confident | {T2: trained.xreplace({others_t: own_t + s.beta, T1: s.alpha}),
                                  others_t: own_t + s.beta, T1: s.alpha},)))


@claim("N5")
def n5() -> Stated:
    _, p2, p3 = softmax(s.E, s.C2, s.C3)
    labels = (1 - s.p - s.q, s.p, s.q)
    loss = -sum(e * sp.log(f) for e, f in zip(labels, softmax(s.E, s.C2, s.C3), strict=True))
    # the teacher sees each feature shifted by any constant: the student's adversarial input, or the clean one
    shifted = {s.E: s.E + s.x, s.C2: s.C2 + s.y, s.C3: s.C3 + s.y, s.w1: T1, s.w2: T2}
    t1, t2, _ = (e.xreplace(shifted) for e in softmax(s.E, s.C2, s.C3))
    # E[e t_j] = d E t_j - sigma^2 T1 E[t_1 t_j], ... with p_2, p_3 = p, q and t_2, t_3 = s, t inside the means
    first = sum(d_E * (v - u) + s.sigma**2 * (s.w1 * (1 - s.p - s.q) * u - T1 * (1 - s.s - s.t) * v) for u,
                v in ((s.p, s.s), (s.q, s.t)))
    second = sum(d_C * (v - u) + s.sigma**2 * (s.w2 * u * (1 - u) - T2 * v * (1 - v)) for u,
                 v in ((s.p, s.s), (s.q, s.t)))
    sums = {pibar: s.p + s.q, own: (1 - s.p - s.q) * (s.p + s.q), others: s.p * (1 - s.p) + s.q * (1 - s.q),
            tbar: s.s + s.t,
            own_t: (1 - s.s - s.t) * (s.s + s.t), others_t: s.s * (1 - s.s) + s.t * (1 - s.t)}
    dw1, dw2 = teacher_slopes(d_E, d_C)
    same = {s.w1: T1, s.w2: T2, pibar: tbar, own: own_t, others: others_t, s.lam: sp.S.Zero}
    shares = [d * (pibar - tbar) + s.sigma**2 * e for e in (own_t * T1, others_t * T2)]
    best = sp.solve(teacher_slopes(d, d), (s.w1, s.w2))
    return (
        check("With labels t (here p = t_2, q = t_3) the loss -sum_l t_l log p_l has the slope in w1",
              sp.Derivative(loss, s.w1), "=", (s.p + s.q - p2 - p3) * s.E),
        check("and in w2.", sp.Derivative(loss, s.w2), "=", (s.p - p2) * s.C2 + (s.q - p3) * s.C3),
        check("A teacher who sees e + x and c_j + y has dt_j/de = -T1 t_1 t_j", sp.Derivative(t2, s.E), "=",
              -T1 * t1 * t2),
        check("and dt_j/dc_j = -T2 t_j (1 - t_j).", sp.Derivative(t2, s.C2), "=", -T2 * t2 * (1 - t2)),
        check("By Stein (S1), with p_2, p_3 = p, q and t_2, t_3 = s, t inside the means, dR/dw1 is",
              first + s.lam * s.w1, "=", dw1.xreplace(sums)),
        check("and dR/dw2, both those of S1 at b = tbar less a pull to the teacher's weights.",
              second + s.lam * s.w2, "=", dw2.xreplace(sums)),
        check("With lam = 0 and the teacher on the student's input, dR/dw1 vanishes at w = (T1, T2),",
              dw1, "=", 0, cases=[same]),
        check("and so does dR/dw2: by strict convexity the student becomes the teacher.", dw2, "=", 0, cases=[same]),
        check("In general w2/w1 is the quotient of S1, at the student's A and B, times a factor,",
              best[s.w2] / best[s.w1], "=", derive("S1").results["r_ce"] * shares[1] / shares[0]),
        check("below 1 iff B_T T2 < A_T T1 (where w1 > 0):", shares[1] - shares[0], "=",
              s.sigma**2 * (others_t * T2 - own_t * T1)),
        *refutation_steps(),
    ), ("S1", CONVEX, s.LEIBNIZ, DOMINATED), {"dw1": dw1, "dw2": dw2, "factor": shares[1] / shares[0]}
