"""Softmax cross-entropy under delta*: the Stein form S1, and Theorem 1's threshold refuted for it, T1-CE."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.attack import attack_steps
from synthmodel.symbolic.derivation import Stated, Step, Steps, check, claim, derive
from synthmodel.symbolic.symbols import normal_density

# Means over the attacked features: pibar = E[1 - p_1], A = E p_1 (1 - p_1), B = E sum_j p_j (1 - p_j), j wrong.
pibar, own, others = sp.symbols("pibar A B", positive=True)
L, K, n = sp.symbols("L K n", positive=True)  # L = lam/sigma^2, K classes, n = K - 1 wrong ones
d_E, d_C = sp.symbols("d_E d_C", real=True)  # the means of the attacked features: for w1, w2 > 0 both are
d = sp.Symbol("d", positive=True)  # mu - 2 eps, where eps < mu/2
THIRD = {s.w1: sp.S.Zero, s.w2: sp.S.Zero}  # w = 0, where every p_l is 1/3
SMOOTH = ({s.b: sp.S.Zero}, {s.b: 2 / (3 * (1 + s.tau))})  # 0 <= b < 2/3
DOMINATED = "dominated convergence"
CONVEX = "the risk is strictly convex where w1 and w2 keep their signs: log-sum-exp of functions linear in w, lam > 0"


def softmax(e: sp.Expr, *features: sp.Expr) -> list[sp.Expr]:
    """Return (p_1, p_2, ...) of class 1 at the attacked features e, c_j: the margins are m_j = w1 e + w2 c_j."""
    odds = [sp.exp(-s.w1 * e - s.w2 * feature) for feature in features]
    return [1 / (1 + sum(odds)), *(e / (1 + sum(odds)) for e in odds)]


def slopes(mean_e: sp.Expr, mean_c: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Return dR/dw1 and dR/dw2 in Stein's form (S1)."""
    return (-mean_e * (pibar - s.b) + s.w1 * (s.lam + s.sigma**2 * own),
            -mean_c * (pibar - s.b) + s.w2 * (s.lam + s.sigma**2 * others))


def stein_steps() -> Steps:
    """E[(z - d) f(z)] = sigma^2 E f'(z) for z ~ N(d, sigma^2), and the slopes of a softmax that it needs."""
    f, law = sp.Function("f"), normal_density(s.z, d_E, s.sigma)
    other = s.tau * sp.exp(-s.w1 * s.E)  # the odds of all other wrong classes together, any number of them
    odds = sp.exp(-s.w1 * s.E - s.w2 * s.C2)
    right, wrong = 1 / (1 + odds + other), odds / (1 + odds + other)
    return (
        check("Stein: with the density rho of N(d, sigma^2), (z - d) f rho is sigma^2 f' rho less a derivative,",
              (s.z - d_E) * f(s.z) * law, "=",
              s.sigma**2 * f(s.z).diff(s.z) * law - sp.Derivative(s.sigma**2 * f(s.z) * law, s.z)),
        check("which for bounded f has the integral 0.", sp.Limit(normal_density(s.z, d_E, s.sigma), s.z, sp.oo), "=",
              0),
        check("A wrong class j, among any number of them, has d p_j/de = -w1 p_1 p_j,",
              sp.Derivative(wrong, s.E), "=", -s.w1 * right * wrong),
        check("and d p_j/dc_j = -w2 p_j (1 - p_j).", sp.Derivative(wrong, s.C2), "=", -s.w2 * wrong * (1 - wrong)))


@claim("S1")
def s1() -> Stated:
    clean, worst, attack = attack_steps()
    p1, p2, p3 = softmax(s.E, s.C2, s.C3)
    loss = -(1 - s.b) * sp.log(p1) - s.b * (sp.log(p2) + sp.log(p3)) / 2
    rest = 1 - s.p - s.q  # p_1, where p_2 = p and p_3 = q
    # E[e p_j] = d E p_j - sigma^2 w1 E[p_1 p_j] and E[c_j p_j] = d E p_j - sigma^2 w2 E[p_j (1 - p_j)], summed
    first = sum(d_E * e - s.sigma**2 * s.w1 * rest * e for e in (s.p, s.q))
    second = sum(d_C * e - s.sigma**2 * s.w2 * e * (1 - e) for e in (s.p, s.q))
    sums = {pibar: s.p + s.q, own: rest * (s.p + s.q), others: s.p * (1 - s.p) + s.q * (1 - s.q)}
    dw1, dw2 = slopes(d_E, d_C)
    ratio = (s.lam + s.sigma**2 * own) / (s.lam + s.sigma**2 * others)
    best = sp.solve(slopes(d_E, d_E), (s.w1, s.w2))
    return (
        *attack,
        check("For w1, w2 > 0 the attacked margin is w1 e + w2 c_j, e and c_j of the mean d = mu - 2 eps; where a "
              "weight is negative, its feature has the mean mu + 2 eps.",
              (clean[0] - worst).xreplace({s.E: s.mu, s.C2: s.mu}),
              "=", s.w1 * (s.mu - 2 * s.eps * sp.sign(s.w1)) + s.w2 * (s.mu - 2 * s.eps * sp.sign(s.w2)),
              cases=[{s.w1: i * s.alpha, s.w2: j * s.beta} for i in (1, -1) for j in (1, -1)]),
        check("The loss -(1-b) log p_1 - (b/2)(log p_2 + log p_3) has the slope in w1",
              sp.Derivative(loss, s.w1), "=", -(p2 + p3 - s.b) * s.E),
        check("and in w2.", sp.Derivative(loss, s.w2), "=", -(p2 - s.b / 2) * s.C2 - (p3 - s.b / 2) * s.C3),
        *stein_steps(),
        check("Summed over the wrong classes, with p_2 = p, p_3 = q inside the means: dR/dw1",
              s.b * d_E - first + s.lam * s.w1, "=", dw1.xreplace(sums)),
        check("and dR/dw2.", s.b * d_C - second + s.lam * s.w2, "=", dw2.xreplace(sums)),
        check("B - A = 2 E[p_2 p_3],", sums[others] - sums[own], "=", 2 * s.p * s.q),
        check("and where both slopes vanish at d_E = d_C, w2/w1 is", best[s.w2] / best[s.w1], "=", ratio),
        check("positive and, as B = A + 2 tau with tau = E[p_2 p_3] > 0, below 1.", ratio, "<", 1,
              cases=({others: own + 2 * s.tau},)),
    ), (s.LEIBNIZ,), {"dw1": dw1, "dw2": dw2, "r_ce": ratio}


def quadrant_steps() -> Steps:
    """Where the minimiser lies: in w1, w2 > 0 if eps < mu/2, and at w = 0 if not."""
    near, far = s.mu - 2 * s.eps, s.mu + 2 * s.eps
    net = sp.Symbol("net", positive=True)  # of its own: no case below may tie it to another size
    weak, wide = {s.mu: 2 * s.eps + net}, {s.eps: s.mu / 2 + s.t}  # eps < mu/2, eps >= mu/2
    at_rest = {own: sp.Rational(2, 9), others: sp.Rational(4, 9), pibar: sp.Rational(2, 3)}

    def along(mean_e: sp.Expr, mean_c: sp.Expr, u1: sp.Expr, u2: sp.Expr) -> sp.Expr:
        """Return the slope at w = 0 in the direction (u1, u2)."""
        return sum(u * e.xreplace(at_rest | THIRD) for u, e in zip((u1, u2), slopes(mean_e, mean_c), strict=True))

    need1, need2 = (sp.solve(e, pibar)[0] for e in slopes(near, near))  # pibar where one slope vanishes
    return (
        check("w = 0 is no minimiser for eps < mu/2 and b < 2/3: there dR/dw1 and dR/dw2 are",
              along(near, near, 1, 0), "<", 0, cases=[weak | case for case in SMOOTH]),
        check("Nor is w1 > 0 = w2: dR/dw1 = 0 there gives dR/dw2,", slopes(near, near)[1].xreplace({pibar: need1}),
              "<", 0, cases=(weak | {s.w1: s.alpha, s.w2: sp.S.Zero},)),
        check("nor w2 > 0 = w1, by dR/dw1,", slopes(near, near)[0].xreplace({pibar: need2}), "<", 0,
              cases=(weak | {s.w1: sp.S.Zero, s.w2: s.beta},)),
        check("nor w1 > 0 > w2, where dR/dw1 = 0 gives dR/dw2,", slopes(near, far)[1].xreplace({pibar: need1}), "<", 0,
              cases=(weak | {s.w1: s.alpha, s.w2: -s.beta},)),
        check("nor w2 > 0 > w1, by dR/dw1;", slopes(far, near)[0].xreplace({pibar: need2}), "<", 0,
              cases=(weak | {s.w1: -s.alpha, s.w2: s.beta},)),
        check("and in w1, w2 <= 0 the risk, convex there, has the slope along (-p, -q) at w = 0",
              along(far, far, -s.p, -s.q), ">=", 0, cases=SMOOTH),
        check("At eps >= mu/2 the slope at w = 0 is at least 0 along (p, q),", along(near, near, s.p, s.q), ">=", 0,
              cases=[wide | case for case in SMOOTH]),
        check("along (p, -q) and, by the same formula, (-p, q):", along(near, far, s.p, -s.q), ">=", 0,
              cases=[wide | case for case in SMOOTH]))


def spreads() -> tuple[sp.Expr, sp.Expr]:
    """Return p_1 (1 - p_1) and sum_j p_j (1 - p_j) over the wrong classes, whose means are A and B."""
    p1, p2, p3 = softmax(s.E, s.C2, s.C3)
    return p1 * (1 - p1), p2 * (1 - p2) + p3 * (1 - p3)


def gradient_step() -> Step:
    return check("The gradients of p_1 (1 - p_1) and of sum_j p_j (1 - p_j) at w = 0 are, in rows,",
                 sp.Matrix([[sp.diff(e, w).xreplace(THIRD) for w in (s.w1, s.w2)] for e in spreads()]), "=",
                 sp.Matrix([[2 * s.E, s.C2 + s.C3], [-2 * s.E, -s.C2 - s.C3]]) / 27)


def curvature_steps() -> tuple[Steps, sp.Expr]:
    """r_CE = limit + curvature k^2 + ... near k = 0: it falls as eps grows to mu/2."""
    square, centre = {e**2: s.sigma**2 for e in (s.E, s.C2, s.C3)}, dict.fromkeys((s.E, s.C2, s.C3), sp.S.Zero)
    second = [sp.hessian(e, (s.w1, s.w2)).xreplace(THIRD).applyfunc(sp.expand).xreplace(square).xreplace(centre)
              for e in spreads()]
    rest = {own: sp.Rational(2, 9), others: sp.Rational(4, 9)}
    start = {w: sp.solve(e.xreplace(rest | {pibar: sp.Rational(2, 3), s.b: sp.S.Zero}), w)[0]
             for w, e in zip((s.w1, s.w2), slopes(d, d), strict=True)}
    size = 2 * d / 27 * (s.w1 + s.w2), -s.sigma**2 / 27  # of the first and of the second order
    changes = size[0] + size[1] * (s.w1**2 + s.w2**2), -size[0] + size[1] * (s.w1**2 + 3 * s.w2**2)
    ratio = derive("S1").results["r_ce"]
    excess = sum(ratio.diff(e).xreplace(rest) * change.xreplace(start)
                 for e,
                 change in zip((own, others), changes, strict=True)).xreplace({s.lam: L * s.sigma**2, d: s.k * s.sigma})
    curvature = 216 * (486 * L**4 + 729 * L**3 + 354 * L**2 + 68 * L + 4) / ((9 * L + 2)**2 * (9 * L + 4)**4)
    return (
        gradient_step(),
        check("of means (2 d/27)(1, 1) and -(2 d/27)(1, 1); the means of the second derivatives at d = 0 are, in rows,",
              sp.Matrix.vstack(*second), "=", s.sigma**2 * sp.Matrix([[-2, 0], [0, -2], [-2, 0], [0, -6]]) / 27),
        check("and w1, w2, for small d at b = 0, to first order", sp.Matrix([start[s.w1], start[s.w2]]), "=",
              sp.Matrix([6 * d / (9 * s.lam + 2 * s.sigma**2), 6 * d / (9 * s.lam + 4 * s.sigma**2)])),
        check("so to second order in k = d/sigma r_CE exceeds its limit by", excess, "=", curvature * s.k**2),
        check("and near mu/2 it falls as eps grows.", curvature, ">", 0)), curvature


@claim("T1-CE")
def t1_ce() -> Stated:
    _, p2, p3 = (e.xreplace(THIRD) for e in softmax(s.E, s.C2, s.C3))
    ratio = derive("S1").results["r_ce"].xreplace({s.lam: L * s.sigma**2})
    limit, limit_k = (9 * L + 2) / (9 * L + 4), (K**2 * L + K - 1) / (K**2 * L + (K - 1)**2)
    bound = sp.solve(slopes(s.mu - 2 * s.eps, s.mu - 2 * s.eps)[0], s.w1)[0].xreplace({pibar: 1 / (1 + s.s)})
    at_rest = dict(zip((own, others), (e.xreplace(THIRD) for e in spreads()), strict=True))
    steps, curvature = curvature_steps()
    many = {own: (1 / K) * (1 - 1 / K), others: (K - 1) * (1 / K) * (1 - 1 / K)}
    return (
        check("At w = 0, pibar, A and B are", sp.Matrix([p2 + p3, at_rest[own], at_rest[others]]), "=",
              sp.Matrix([sp.Rational(2, 3), sp.Rational(2, 9), sp.Rational(4, 9)])),
        *quadrant_steps(),
        check("so the one minimiser has w1, w2 > 0 for eps < mu/2, and is 0 beyond. At eps0, where w2 of T1 is 0, "
              "eps < mu/2 and w2 > 0 still.", s.mu / 2 - derive("T1").results["eps0"], "=", s.sigma / (2 * s.ROOT_PI)),
        check("As eps tends to mu/2, w1 <= d/lam, as pibar <= 1,", bound, "<=", (s.mu - 2 * s.eps) / s.lam,
              cases=({s.mu: 2 * s.eps + s.tau},)),
        check("and w2 < w1 tend to 0, and the ratio of S1 to", ratio.xreplace(at_rest), "=", limit),
        check("and for K classes, where every p_l tends to 1/K, to", ratio.xreplace(many), "=", limit_k),
        check("above 0 and below 1 (here for K = 3 + s),", limit_k, "<", 1, cases=({K: 3 + s.s},)),
        check("the limit of K = 3.", limit_k.subs(K, 3), "=", limit),
        check("The sharp threshold would have the limit 0.", limit, ">", 0),
        *steps,
    ), ("S1", CONVEX, DOMINATED, "the implicit function theorem: w, and so r_CE, is smooth in d at 0",
        "not derived: that r_CE falls with eps everywhere (certified on boxes) and is not monotone in lam (seen in "
        "numbers)"), {"limit": limit, "limit_K": limit_k, "curvature": curvature}
