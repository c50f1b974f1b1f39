"""Softmax cross-entropy under delta*: the Stein form S1, and Theorem 1's threshold refuted for it, T1-CE."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.symbols import (
    C2,
    C3,
    LEIBNIZ,
    ROOT_PI,
    A,
    B,
    E,
    T,
    attack_steps,
    b,
    claim,
    derive,
    eps,
    k,
    lam,
    mu,
    normal_density,
    p,
    q,
    s,
    sigma,
    t,
    w1,
    w2,
    z,
)

# Means over the attacked features: pibar = E[1 - p_1], A = E p_1 (1 - p_1), B = E sum_j p_j (1 - p_j), j wrong.
pibar, own, others = sp.symbols("pibar A B", positive=True)
L, K, n = sp.symbols("L K n", positive=True)  # L = lam/sigma^2, K classes, n = K - 1 wrong ones
d_E, d_C = sp.symbols("d_E d_C", real=True)  # the means of the attacked features: for w1, w2 > 0 both are
d = sp.Symbol("d", positive=True)  # mu - 2 eps, where eps < mu/2
THIRD = {w1: sp.S.Zero, w2: sp.S.Zero}  # w = 0, where every p_l is 1/3
SMOOTH = ({b: sp.S.Zero}, {b: 2 / (3 * (1 + T))})  # 0 <= b < 2/3
DOMINATED = "dominated convergence"
CONVEX = "the risk is strictly convex where w1 and w2 keep their signs: log-sum-exp of functions linear in w, lam > 0"


def softmax(e, *features):
    """(p_1, p_2, ...) of class 1 at the attacked features e, c_j: the margins are m_j = w1 e + w2 c_j."""
    odds = [sp.exp(-w1 * e - w2 * feature) for feature in features]
    return [1 / (1 + sum(odds)), *(e / (1 + sum(odds)) for e in odds)]


def slopes(mean_e, mean_c):
    """dR/dw1 and dR/dw2 in Stein's form (S1)."""
    return (-mean_e * (pibar - b) + w1 * (lam + sigma**2 * own),
            -mean_c * (pibar - b) + w2 * (lam + sigma**2 * others))


def stein_steps():
    """E[(z - d) f(z)] = sigma^2 E f'(z) for z ~ N(d, sigma^2), and the slopes of a softmax that it needs."""
    f, law = sp.Function("f"), normal_density(z, d_E, sigma)
    other = T * sp.exp(-w1 * E)  # the odds of all other wrong classes together, any number of them
    odds = sp.exp(-w1 * E - w2 * C2)
    right, wrong = 1 / (1 + odds + other), odds / (1 + odds + other)
    return (
        check("Stein: with the density rho of N(d, sigma^2), (z - d) f rho is sigma^2 f' rho less a derivative,",
              (z - d_E) * f(z) * law, "=", sigma**2 * f(z).diff(z) * law - sp.Derivative(sigma**2 * f(z) * law, z)),
        check("which for bounded f has the integral 0.", sp.Limit(normal_density(z, d_E, sigma), z, sp.oo), "=", 0),
        check("A wrong class j, among any number of them, has d p_j/de = -w1 p_1 p_j,",
              sp.Derivative(wrong, E), "=", -w1 * right * wrong),
        check("and d p_j/dc_j = -w2 p_j (1 - p_j).", sp.Derivative(wrong, C2), "=", -w2 * wrong * (1 - wrong)))


@claim("S1")
def s1():
    clean, worst, attack = attack_steps()
    p1, p2, p3 = softmax(E, C2, C3)
    loss = -(1 - b) * sp.log(p1) - b * (sp.log(p2) + sp.log(p3)) / 2
    rest = 1 - p - q  # p_1, where p_2 = p and p_3 = q
    # E[e p_j] = d E p_j - sigma^2 w1 E[p_1 p_j] and E[c_j p_j] = d E p_j - sigma^2 w2 E[p_j (1 - p_j)], summed
    first = sum(d_E * e - sigma**2 * w1 * rest * e for e in (p, q))
    second = sum(d_C * e - sigma**2 * w2 * e * (1 - e) for e in (p, q))
    sums = {pibar: p + q, own: rest * (p + q), others: p * (1 - p) + q * (1 - q)}
    dw1, dw2 = slopes(d_E, d_C)
    ratio = (lam + sigma**2 * own) / (lam + sigma**2 * others)
    best = sp.solve(slopes(d_E, d_E), (w1, w2))
    return (
        *attack,
        check("For w1, w2 > 0 the attacked margin is w1 e + w2 c_j, e and c_j of the mean d = mu - 2 eps; where a "
              "weight is negative, its feature has the mean mu + 2 eps.", (clean[0] - worst).xreplace({E: mu, C2: mu}),
              "=", w1 * (mu - 2 * eps * sp.sign(w1)) + w2 * (mu - 2 * eps * sp.sign(w2)),
              cases=[{w1: i * A, w2: j * B} for i in (1, -1) for j in (1, -1)]),
        check("The loss -(1-b) log p_1 - (b/2)(log p_2 + log p_3) has the slope in w1",
              sp.Derivative(loss, w1), "=", -(p2 + p3 - b) * E),
        check("and in w2.", sp.Derivative(loss, w2), "=", -(p2 - b / 2) * C2 - (p3 - b / 2) * C3),
        *stein_steps(),
        check("Summed over the wrong classes, with p_2 = p, p_3 = q inside the means: dR/dw1",
              b * d_E - first + lam * w1, "=", dw1.xreplace(sums)),
        check("and dR/dw2.", b * d_C - second + lam * w2, "=", dw2.xreplace(sums)),
        check("B - A = 2 E[p_2 p_3],", sums[others] - sums[own], "=", 2 * p * q),
        check("and where both slopes vanish at d_E = d_C, w2/w1 is", best[w2] / best[w1], "=", ratio),
        check("positive and, as B = A + 2 tau with tau = E[p_2 p_3] > 0, below 1.", ratio, "<", 1,
              cases=({others: own + 2 * T},)),
    ), (LEIBNIZ,), {"dw1": dw1, "dw2": dw2, "r_ce": ratio}


def quadrant_steps():
    """Where the minimiser lies: in w1, w2 > 0 if eps < mu/2, and at w = 0 if not."""
    near, far = mu - 2 * eps, mu + 2 * eps
    net = sp.Symbol("net", positive=True)  # of its own: no case below may tie it to another size
    weak, wide = {mu: 2 * eps + net}, {eps: mu / 2 + t}  # eps < mu/2, eps >= mu/2
    at_rest = {own: sp.Rational(2, 9), others: sp.Rational(4, 9), pibar: sp.Rational(2, 3)}

    def along(mean_e, mean_c, u1, u2):  # the slope at w = 0 in the direction (u1, u2)
        return sum(u * e.xreplace(at_rest | THIRD) for u, e in zip((u1, u2), slopes(mean_e, mean_c), strict=True))

    need1, need2 = (sp.solve(e, pibar)[0] for e in slopes(near, near))  # pibar where one slope vanishes
    return (
        check("w = 0 is no minimiser for eps < mu/2 and b < 2/3: there dR/dw1 and dR/dw2 are",
              along(near, near, 1, 0), "<", 0, cases=[weak | case for case in SMOOTH]),
        check("Nor is w1 > 0 = w2: dR/dw1 = 0 there gives dR/dw2,", slopes(near, near)[1].xreplace({pibar: need1}),
              "<", 0, cases=(weak | {w1: A, w2: sp.S.Zero},)),
        check("nor w2 > 0 = w1, by dR/dw1,", slopes(near, near)[0].xreplace({pibar: need2}), "<", 0,
              cases=(weak | {w1: sp.S.Zero, w2: B},)),
        check("nor w1 > 0 > w2, where dR/dw1 = 0 gives dR/dw2,", slopes(near, far)[1].xreplace({pibar: need1}), "<", 0,
              cases=(weak | {w1: A, w2: -B},)),
        check("nor w2 > 0 > w1, by dR/dw1;", slopes(far, near)[0].xreplace({pibar: need2}), "<", 0,
              cases=(weak | {w1: -A, w2: B},)),
        check("and in w1, w2 <= 0 the risk, convex there, has the slope along (-p, -q) at w = 0",
              along(far, far, -p, -q), ">=", 0, cases=SMOOTH),
        check("At eps >= mu/2 the slope at w = 0 is at least 0 along (p, q),", along(near, near, p, q), ">=", 0,
              cases=[wide | case for case in SMOOTH]),
        check("along (p, -q) and, by the same formula, (-p, q):", along(near, far, p, -q), ">=", 0,
              cases=[wide | case for case in SMOOTH]))


def spreads():
    """p_1 (1 - p_1) and sum_j p_j (1 - p_j) over the wrong classes, whose means are A and B."""
    p1, p2, p3 = softmax(E, C2, C3)
    return p1 * (1 - p1), p2 * (1 - p2) + p3 * (1 - p3)


def gradient_step():
    return check("The gradients of p_1 (1 - p_1) and of sum_j p_j (1 - p_j) at w = 0 are, in rows,",
                 sp.Matrix([[sp.diff(e, w).xreplace(THIRD) for w in (w1, w2)] for e in spreads()]), "=",
                 sp.Matrix([[2 * E, C2 + C3], [-2 * E, -C2 - C3]]) / 27)


def curvature_steps():
    """r_CE = limit + curvature k^2 + ... near k = 0: it falls as eps grows to mu/2."""
    square, centre = {e**2: sigma**2 for e in (E, C2, C3)}, dict.fromkeys((E, C2, C3), sp.S.Zero)
    second = [sp.hessian(e, (w1, w2)).xreplace(THIRD).applyfunc(sp.expand).xreplace(square).xreplace(centre)
              for e in spreads()]
    rest = {own: sp.Rational(2, 9), others: sp.Rational(4, 9)}
    start = {w: sp.solve(e.xreplace(rest | {pibar: sp.Rational(2, 3), b: sp.S.Zero}), w)[0]
             for w, e in zip((w1, w2), slopes(d, d), strict=True)}
    size = 2 * d / 27 * (w1 + w2), -sigma**2 / 27  # of the first and of the second order
    changes = size[0] + size[1] * (w1**2 + w2**2), -size[0] + size[1] * (w1**2 + 3 * w2**2)
    ratio = derive("S1").results["r_ce"]
    excess = sum(ratio.diff(e).xreplace(rest) * change.xreplace(start)
                 for e, change in zip((own, others), changes, strict=True)).xreplace({lam: L * sigma**2, d: k * sigma})
    curvature = 216 * (486 * L**4 + 729 * L**3 + 354 * L**2 + 68 * L + 4) / ((9 * L + 2)**2 * (9 * L + 4)**4)
    return (
        gradient_step(),
        check("of means (2 d/27)(1, 1) and -(2 d/27)(1, 1); the means of the second derivatives at d = 0 are, in rows,",
              sp.Matrix.vstack(*second), "=", sigma**2 * sp.Matrix([[-2, 0], [0, -2], [-2, 0], [0, -6]]) / 27),
        check("and w1, w2, for small d at b = 0, to first order", sp.Matrix([start[w1], start[w2]]), "=",
              sp.Matrix([6 * d / (9 * lam + 2 * sigma**2), 6 * d / (9 * lam + 4 * sigma**2)])),
        check("so to second order in k = d/sigma r_CE exceeds its limit by", excess, "=", curvature * k**2),
        check("and near mu/2 it falls as eps grows.", curvature, ">", 0)), curvature


@claim("T1-CE")
def t1_ce():
    _, p2, p3 = (e.xreplace(THIRD) for e in softmax(E, C2, C3))
    ratio = derive("S1").results["r_ce"].xreplace({lam: L * sigma**2})
    limit, limit_k = (9 * L + 2) / (9 * L + 4), (K**2 * L + K - 1) / (K**2 * L + (K - 1)**2)
    bound = sp.solve(slopes(mu - 2 * eps, mu - 2 * eps)[0], w1)[0].xreplace({pibar: 1 / (1 + s)})
    at_rest = dict(zip((own, others), (e.xreplace(THIRD) for e in spreads()), strict=True))
    steps, curvature = curvature_steps()
    many = {own: (1 / K) * (1 - 1 / K), others: (K - 1) * (1 / K) * (1 - 1 / K)}
    return (
        check("At w = 0, pibar, A and B are", sp.Matrix([p2 + p3, at_rest[own], at_rest[others]]), "=",
              sp.Matrix([sp.Rational(2, 3), sp.Rational(2, 9), sp.Rational(4, 9)])),
        *quadrant_steps(),
        check("so the one minimiser has w1, w2 > 0 for eps < mu/2, and is 0 beyond. At eps0, where w2 of T1 is 0, "
              "eps < mu/2 and w2 > 0 still.", mu / 2 - derive("T1").results["eps0"], "=", sigma / (2 * ROOT_PI)),
        check("As eps tends to mu/2, w1 <= d/lam, as pibar <= 1,", bound, "<=", (mu - 2 * eps) / lam,
              cases=({mu: 2 * eps + T},)),
        check("and w2 < w1 tend to 0, and the ratio of S1 to", ratio.xreplace(at_rest), "=", limit),
        check("and for K classes, where every p_l tends to 1/K, to", ratio.xreplace(many), "=", limit_k),
        check("above 0 and below 1 (here for K = 3 + s),", limit_k, "<", 1, cases=({K: 3 + s},)),
        check("the limit of K = 3.", limit_k.subs(K, 3), "=", limit),
        check("The sharp threshold would have the limit 0.", limit, ">", 0),
        *steps,
    ), ("S1", CONVEX, DOMINATED, "the implicit function theorem: w, and so r_CE, is smooth in d at 0",
        "not derived: that r_CE falls with eps everywhere (certified on boxes) and is not monotone in lam (seen in "
        "numbers)"), {"limit": limit, "limit_K": limit_k, "curvature": curvature}
