"""Other readings of the paper's loss, penalty and attack: the claims R-*."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, check, claim, derive
from synthmodel.symbolic.symbols import normal_cdf, normal_pdf

SPREAD = s.sigma / s.ROOT_PI  # what E min_j C_j lacks to mu
PULL_1, PULL_2 = s.mu - 2 * s.eps, s.mu - (1 - s.b) * SPREAD - 2 * s.eps
DELTAS = sp.symbols("delta_E1:4 delta_C1:4", real=True)


def scores(deltas: tuple[sp.Expr, ...]) -> list[sp.Expr]:
    """f_1, f_2, f_3 of an example of class 1 moved by `deltas`."""
    point = [e + d for e, d in zip((s.E, 0, 0, 0, s.C2, s.C3), deltas, strict=True)]
    return [s.w1 * point[i] + s.w2 * sum(point[3 + j] for j in range(3) if j != i) for i in range(3)]


def size(score: sp.Expr) -> sp.Expr:
    """The l1 norm of the coefficients of the deltas: what an attack of size 1 does to a linear score."""
    return sum(sp.Abs(sp.diff(score, d)) for d in DELTAS)


@claim("R-sum")
def r_sum() -> Stated:
    density, law, phi = sp.Function("p_e"), sp.Function("q"), sp.Function("phi")
    given = sp.Integral(phi(s.w1 * s.x + s.w2 * s.m) * density(s.x), (s.x, -sp.oo, sp.oo))
    risk = sp.Integral(law(s.m) * given, (s.m, -sp.oo, sp.oo))
    steep = sp.Integral(density(s.x) * sp.Subs(sp.diff(phi(s.y), s.y), s.y, s.w1 * s.x), (s.x, -sp.oo, sp.oo))
    mean = sp.Integral(s.m * law(s.m), (s.m, -sp.oo, sp.oo))
    moments = sp.Matrix([PULL_1 * (s.w1 + s.w2), s.sigma**2 * (s.w1**2 + s.w2**2)])
    return (
        check("At w2 = 0 each term has the slope E[phi'(w1 e)] E[c] in w2,",
              sp.factor_terms(sp.diff(risk, s.w2).subs(s.w2, 0).doit()), "=", steep * mean),
        check("and E[c] = mu - 2 eps is positive up to mu/2, where w1 dies, too.", PULL_1, ">", 0,
              [{s.mu: 2 * s.eps + s.tau}]),
        check("At equal means and noises the law of m_j does not change when w1 and w2 are exchanged; so w1 = w2, as "
              "the risk is strictly convex.", moments.xreplace({s.w1: s.w2, s.w2: s.w1}), "=", moments),
        check("With phi(t) = -t smoothing moves nothing: the margins have the sum of the smoothed ones.",
              2 * (1 - s.b) * (s.x + s.y) / 2 + 2 * s.b * (s.x + s.y) / 2, "=", s.x + s.y),
    ), (s.LEIBNIZ, "a strictly convex symmetric function has a symmetric minimiser"), {"threshold": s.mu / 2}


@claim("R-constraint")
def r_constraint() -> Stated:
    return (
        check("Two positive pulls alpha, beta on |w| = 1: alpha w1 + beta w2 is largest along (alpha, beta), since",
              (s.alpha**2 + s.beta**2) * (s.w1**2 + s.w2**2) - (s.alpha * s.w1 + s.beta * s.w2)**2, "=",
              (s.alpha * s.w2 - s.beta * s.w1)**2),
        check("so the ratio is that of T1 and T3,", PULL_2 / PULL_1, "=",
              (derive("T3").results["ratio"]).xreplace({s.k: PULL_1 / s.sigma})),
        check("and w2 = beta/|(alpha, beta)| rises with beta, hence with b.",
              sp.Derivative(s.beta / sp.sqrt(s.alpha**2 + s.beta**2), s.beta).doit(), "=",
              s.alpha**2 / sp.sqrt(s.alpha**2 + s.beta**2)**3),
        check("A pull on w2 that is not positive leaves (1, 0): w1 <= 1 and",
              s.alpha - (s.alpha * s.p - s.q * s.t), ">=", 0, [{s.p: 1 / (1 + s.s)}]),
        check("Beyond mu/2 both pulls are negative, -p and -p - q; as w1 + w2 >= 1 on the arc,",
              (s.w1 + s.w2)**2, "=", s.w1**2 + s.w2**2 + 2 * s.w1 * s.w2),
        check("the cost is p at least, that of (1, 0): w1 lives on.", s.p * (1 + s.s) + s.q * s.t, ">=", s.p),
        check("On w1 + w2 = 1 a share w2 costs (1-b) sigma/sqrt(pi) w2: w2 = 0 for every eps and every b < 1.",
              PULL_1 - (PULL_1 * (1 - s.w2) + PULL_2 * s.w2), "=", (1 - s.b) * SPREAD * s.w2),
        check("For max(w1, w2) <= 1 the two weights are chosen apart, each 1 while its pull is positive; that of w2 is",
              PULL_2, "=", 2 * (derive("T3").results["eps1"] - s.eps)),
    ), ("a linear function on an interval is largest at an end",), {"ratio": derive("T3").results["ratio"]}


@claim("R-labels")
def r_labels() -> Stated:
    m2, m3 = s.x, s.y
    losses = -sp.Min(m2, m3), m2 + sp.Max(0, -m3), m3 + sp.Max(0, -m2)  # l_y = max_{j != y} f_j - f_y, f_1 = 0
    f = 0, -m2, -m3
    signs = [{s.x: a, s.y: c} for a, c in ((s.p, s.p + s.q), (s.p + s.q, s.p), (-s.p, s.q), (s.p, -s.q),
                                           (-s.p, -s.p - s.q), (-s.p - s.q, -s.p))]
    d, deviation = s.alpha * s.sigma, s.sigma * sp.sqrt(s.w1**2 + s.w2**2)  # alpha = k
    at = d * (s.w1 + s.w2) / deviation
    part = d * (s.w1 + s.w2) * normal_cdf(at) + deviation * normal_pdf(at)
    risk = -(1 - s.b) * (d * s.w1 + (d - SPREAD) * s.w2) + s.b * part
    on_axis = {w: sp.simplify(sp.diff(risk, w).subs(s.w2, 0).xreplace({s.w1: s.beta})) for w in (s.w1, s.w2)}
    low, top = normal_cdf(s.alpha), normal_pdf(s.alpha)
    dead = (1 - s.b) * (s.alpha - 1 / s.ROOT_PI) - s.b * s.alpha * low
    return (
        check("The three losses in the margins:", sp.Matrix(losses), "=",
              sp.Matrix([sp.Max(*(f[j] for j in range(3) if j != i)) - f[i] for i in range(3)]), cases=signs),
        check("so sum_y q_y l_y is -(1-b) min_j m_j + (b/2) sum_j max(m_j, 0).",
              (1 - s.b) * losses[0] + s.b * (losses[1] + losses[2]) / 2, "=",
              -(1 - s.b) * sp.Min(m2, m3) + s.b * (sp.Max(m2, 0) + sp.Max(m3, 0)) / 2, cases=signs),
        check("For N(D, S^2), E max(m, 0) = D Phi(D/S) + S phi(D/S) (here S = 1):",
              sp.Integral((s.x + s.z) * normal_pdf(s.z), (s.z, -s.x, sp.oo)), "=",
              s.x * normal_cdf(s.x) + normal_pdf(s.x)),
        check("With D = d (w1 + w2) and S = sigma |w| the slope of the risk in w2 at w2 = 0 is sigma times -dead(k),",
              on_axis[s.w2], "=", -s.sigma * dead),
        check("that in w1, without its penalty, sigma times", on_axis[s.w1], "=",
              -s.sigma * ((1 - s.b) * s.alpha - s.b * (s.alpha * low + top))),
        check("At eps0, where k = 1/sqrt(pi), w2 is dead already,", dead.xreplace({s.alpha: 1 / s.ROOT_PI}), "=",
              -s.b / s.ROOT_PI * low.xreplace({s.alpha: 1 / s.ROOT_PI})),
        check("while w1 dies later: its bracket less dead is", (1 - s.b) * s.alpha - s.b * (s.alpha * low + top) - dead,
              "=", (1 - s.b) / s.ROOT_PI - s.b * top),
        check("which is positive for b < 1/2, as phi <= 1/sqrt(2 pi) and", 2 * (1 - s.b)**2 - s.b**2, ">", 0,
              [{s.b: 1 / (2 + s.tau)}]),
    ), ("the risk is convex on w >= 0, as E max(m, 0) is",
        "(1 - 1/(k sqrt(pi)))/Phi(k) rises with k > 1/sqrt(pi), as k^2 phi(k) <= 2/(e sqrt(2 pi)) < .3 and Phi(k)/"
        "sqrt(pi) > .4: so it equals b/(1-b) once"), {"dead": dead}


@claim("R-scores")
def r_scores() -> Stated:
    f = scores(DELTAS)
    loss = sp.expand(f[1] + f[2] - f[0])
    clean = loss.xreplace(dict.fromkeys(DELTAS, sp.S.Zero))
    cost = 3 * sp.Abs(s.w1) + 2 * sp.Abs(s.w2)
    return (
        check("Without attack the loss is -w1 E: the cross-class features of class 1 cancel.", clean, "=", -s.w1 * s.E),
        check("The attack adds eps times", size(loss), "=", cost),
        check("so for w1 >= 0 the risk is (3 eps - mu) w1 + 2 eps |w2| and the penalty: w2 = 0, and w1 dies at mu/3.",
              (-s.mu + 3 * s.eps) * s.p, "=", -3 * (s.mu / 3 - s.eps) * s.p),
    ), (s.COMMUTE,), {"w1": sp.Max(s.mu - 3 * s.eps, 0) / s.lam}


@claim("R-active")
def r_active() -> Stated:
    still = {DELTAS[i]: sp.S.Zero for i in (1, 2, 3)}
    f = [score.xreplace(still) for score in scores(DELTAS)]
    margins = [sp.expand(f[0] - f[j]) for j in (1, 2)]
    star = dict(zip((DELTAS[0], DELTAS[4], DELTAS[5]), (-s.eps, -s.eps, -s.eps), strict=True))
    eps0, eps1 = derive("T1").results["eps0"], derive("T3").results["eps1"]
    return (
        check("An attack on E_1, C_2 and C_3 alone lowers a margin by eps (|w1| + |w2|) at most,",
              sp.Matrix([size(m) for m in margins]), "=", sp.Matrix([sp.Abs(s.w1) + sp.Abs(s.w2)] * 2)),
        check("both at once for w >= 0: half of what the whole attack does.",
              sp.Matrix([m.xreplace(star) for m in margins]), "=",
              sp.Matrix([s.w1 * (s.E - s.eps) + s.w2 * (c - s.eps) for c in (s.C2, s.C3)])),
        check("So every threshold doubles: eps0 is", 2 * eps0, "=", s.mu - SPREAD),
        check("and eps1 is", 2 * eps1, "=", s.mu - (1 - s.b) * SPREAD),
    ), (s.COMMUTE,), {"eps0": 2 * eps0, "eps1": 2 * eps1}


@claim("R-01")
def r_01() -> Stated:
    right, wrong = 1 - (1 - s.b), 1 - s.b / 2
    h = s.k * (1 + s.r) / sp.sqrt(1 + s.r**2)
    return (
        check("sum_y q_y 1{y is not the prediction} is b where the prediction is right and 1 - b/2 where it is wrong: "
              "it is b + (1 - 3b/2) times the error, which rises with the error for b < 2/3.", wrong - right, "=",
              1 - 3 * s.b / 2),
        check("Where all is wrong it is 1 - b/2.", s.b + (1 - 3 * s.b / 2), "=", 1 - s.b / 2),
        check("So smoothing changes no minimiser.", 1 - 3 * s.b / 2, ">", 0,
              [{s.b: sp.Rational(2, 3) / (1 + s.tau)}]),
        check("Accuracy depends on w2/w1 alone. Its slope at w2 = 0 has the sign of k - 1/sqrt(pi) (N1), that is of",
              s.sigma * (s.k - 1 / s.ROOT_PI), "=", (2 * (derive("T1").results["eps0"] - s.eps)).xreplace(
                  {s.mu: 2 * s.eps + s.k * s.sigma})),
        check("and it is the margin's share of errors: at w2 = 0 it is Phi(k).", normal_cdf(h).subs(s.r, 0), "=",
              normal_cdf(s.k)),
    ), ("T2-joint': accuracy is unimodal, so that the sign of its slope at 0 decides",), {"weight": wrong - right}


@claim("R-squares")
def r_squares() -> Stated:
    near, half = s.mu - s.eps, s.lam / 2
    best = PULL_1 / (PULL_1**2 + s.sigma**2 + half)
    q11 = near**2 + s.sigma**2 + 2 * s.eps**2
    first = near / (q11 + half)
    sizes = sp.Symbol("E|u|-E[u]", nonnegative=True)
    wanted, radius = s.x, 2 * s.eps * s.alpha  # E[u] = x, alpha = w1, p = 1 - E[sgn u]
    exact = 2 * (s.y * 2 * s.eps - s.z * s.m)
    return (
        check("(1 - v)^2 under delta*: at w2 = 0 the slope in w2 is -2 E[1 - w1 e] E[M], and with the best w1 there",
              1 - PULL_1 * best, "=", (s.sigma**2 + half) / (PULL_1**2 + s.sigma**2 + half)),
        check("is positive: the slope has the sign of -E[M], as in U1.",
              (s.sigma**2 + half) / (s.alpha**2 + s.sigma**2 + half), ">", 0),
        check("Under the exact attack the loss is (|1 - v| + 2 eps (w1 + w2))^2. With u = 1 - w1 E its slope at w2 = 0 "
              "is 2 (2 eps E[|u| + r] - E[min C] E[u + r sgn u]), r = 2 eps w1; at eps0, where 2 eps = E[min C],",
              exact.xreplace({s.y: wanted + sizes + radius, s.z: wanted + radius * (1 - s.p), s.m: 2 * s.eps}), "=",
              4 * s.eps * (sizes + radius * s.p)),
        check("which is positive: w2 dies before eps0.", 4 * s.eps * (sizes + radius * s.p), ">=", 0),
        check("One-hot labels: under delta* the scores are f_1 = w1 (E - eps) + w2 (C_2 + C_3 - 2 eps), f_2 = w1 eps + "
              "w2 C_3, f_3 = w1 eps + w2 C_2. At w2 = 0 the best w1 is (mu - eps)/(...); the slope in w2 there is "
              "4/(...) times", (first * (near**2 + s.eps * s.mu) - near) * (q11 + half), "=",
              near * (s.eps * s.mu - s.sigma**2 - 2 * s.eps**2 - half)),
        check("So w2 = 0 between the roots of 2 eps^2 - mu eps + sigma^2 + lam/2 only, whose discriminant is positive "
              "for sigma^2 + lam/2 < mu^2/8: w2 dies and lives again.",
              sp.discriminant(2 * s.m**2 - s.mu * s.m + s.sigma**2 + half, s.m), "=",
              s.mu**2 - 8 * (s.sigma**2 + half)),
    ), ("for w >= 0 the argument is linear in w, so that both risks are convex there",), {
        "alive": s.sigma**2 + 2 * s.eps**2 + half - s.eps * s.mu}


@claim("R-TRADES")
def r_trades() -> Stated:
    a = sp.symbols("a_1:4", real=True)
    divergence = sp.log(sum(sp.exp(s.x * e) for e in a) / 3) - s.x * sum(a) / 3
    entropy = sp.log(1 + sp.exp(-s.w1 * s.E - s.w2 * s.C2) + sp.exp(-s.w1 * s.E - s.w2 * s.C3))
    zero = {s.w1: sp.S.Zero, s.w2: sp.S.Zero}
    slope, twisted, attack = sp.symbols("E[l'] E[Zl'] dl/dN", real=True)
    in_w1 = s.mu * slope + s.sigma * twisted + attack + s.lam * s.w1
    in_w2 = s.mu * slope + attack
    return (
        check("Of the margin loss the attack adds 2 eps (w1 + w2) (A1), counted beta times: T1 at beta eps, w2 dies at",
              sp.solve(s.mu - SPREAD - 2 * s.beta * s.m, s.m)[0], "=", derive("T1").results["eps0"] / s.beta),
        check("KL(p(x) | p(x + delta)) at p = (1/3, 1/3, 1/3), the scores moved by x a, has the slope 0 at x = 0:",
              sp.diff(divergence, s.x).subs(s.x, 0), "=", 0),
        check("so at w = 0 the attack costs nothing to first order, and cross-entropy falls along w1 and along w2,",
              sp.Matrix([sp.diff(entropy, w).xreplace(zero) for w in (s.w1, s.w2)]), "=",
              sp.Matrix([-2 * s.E / 3, -(s.C2 + s.C3) / 3])),
        check("so that w is not 0 at any eps.", -2 * s.mu / 3, "<", 0),
        check("On w2 = 0 the loss is l(u, N), u = w1 E and N = w1 + w2 the attack's size; C_j is independent of u. So "
              "the slope in w2 is that in w1, which is 0 at the best w1, less", in_w1 - in_w2, "=",
              s.lam * s.w1 + s.sigma * twisted),
    ), (s.LEIBNIZ, "E[Z l'(u)] is w1 sigma E[l''(u)] (Stein): its sign is tested, not derived"), {
        "eps0": derive("T1").results["eps0"] / s.beta}
