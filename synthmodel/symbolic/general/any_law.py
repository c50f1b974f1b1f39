"""Theorem 1 beyond the three-class model: other noise laws, K classes, l_p attacks (THEORY.md, section 5)."""

from itertools import combinations, permutations

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.symbols import normal_cdf, normal_density, normal_pdf

__all__ = ["Phi", "e_n", "n"]

n, K = sp.symbols("n K", positive=True)  # the number of wrong classes and of classes
e_n = sp.Symbol("e_n", positive=True)  # the mean of the largest of n standard normals
G, rho = sp.Symbol("G", nonnegative=True), sp.Symbol("rho", real=True)
SOFT = "the soft threshold of T1: the minimiser of -v x + c |x| + (lam/2) x^2 is max(v - c, 0)/lam for v > -c"


class Phi(sp.Function):
    """The standard normal distribution function by name, so that its powers stay short; G-K checks its slope."""

    def _eval_is_positive(self) -> bool:
        return True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Phi' = phi."""
        return normal_pdf(self.args[0])


@claim("G-noise")
def g_noise() -> Stated:
    common, own = sp.sqrt((1 + rho) / 2), sp.sqrt((1 - rho) / 2)
    c2, c3 = (s.mu + s.sigma * (common * s.x + i * own * s.y) for i in (1, -1))
    gap = 2 * s.sigma * sp.sqrt((1 - rho) / s.PI)
    eps0 = s.mu / 2 - s.sigma * sp.sqrt((1 - rho) / s.PI) / 2
    spread, law = s.mu / 2 - G / 4, sp.exp(-s.z)
    between = {rho: (1 - s.tau) / (1 + s.tau)}
    return (
        check("With U, V standard normal, C = mu + sigma (sqrt((1+rho)/2) U +- sqrt((1-rho)/2) V), whose "
              "coefficients give the variance", (common * s.sigma)**2 + (own * s.sigma)**2, "=", s.sigma**2),
        check("and the covariance wanted.", (common * s.sigma)**2 - (own * s.sigma)**2, "=", rho * s.sigma**2),
        check("The two differ by a multiple of V alone,", c2 - c3, "=", 2 * s.sigma * own * s.y),
        check("and E |V| is", sp.Integral(2 * s.z * normal_pdf(s.z), (s.z, 0, sp.oo)), "=", sp.sqrt(2 / s.PI)),
        check("so that E |C_2 - C_3| is", 2 * s.sigma * own * sp.sqrt(2 / s.PI), "=", gap,
              [{rho: 1 - 2 * s.alpha**2}]),
        check("min = (sum - distance)/2, so E min - 2 eps = 2 (eps0 - eps).", s.mu - gap / 2 - 2 * s.eps, "=",
              2 * (eps0 - s.eps)),
        check("For w2 < 0 the loss takes E max instead: it rises with |w2| too.", s.mu + gap / 2 + 2 * s.eps, ">", 0,
              [between]),
        check("eps0 rises with the correlation", eps0.diff(rho), ">", 0, [between]),
        check("from that of T1 at rho = 0", eps0.subs(rho, 0), "=", derive("T1").results["eps0"]),
        check("to mu/2 at rho = 1.", eps0.subs(rho, 1), "=", s.mu / 2),
        check("Any law: with G = E |C - C'|, E min = mu - G/2 by the same formula for min,",
              s.mu - G / 2 - 2 * s.eps, "=", 2 * (spread - s.eps)),
        check("and for C = mu + sigma Z the mean difference scales with sigma.",
              (s.mu + s.sigma * s.x) - (s.mu + s.sigma * s.y), "=", s.sigma * (s.x - s.y)),
        check("It is 2 int F (1 - F): for a uniform Z of deviation 1, on an interval of length sqrt(12),",
              sp.sqrt(12) * sp.Integral(2 * s.z * (1 - s.z), (s.z, 0, 1)), "=", 2 / sp.sqrt(3)),
        check("for a Laplace Z of deviation 1, its scale 1/sqrt(2),",
              sp.Integral(4 * (law / 2) * (1 - law / 2), (s.z, 0, sp.oo)) / sp.sqrt(2), "=", 3 / (2 * sp.sqrt(2))),
        check("and the normal law gives back T1.", spread.subs(G, gap.subs(rho, 0)), "=",
              derive("T1").results["eps0"]),
    ), ("the attack of T1 (it does not ask for the law)", s.COMMUTE, SOFT,
        "a normal vector is known by its mean and covariance", "E |C - C'| = 2 int F (1 - F) for a finite mean"), {
            "eps0": eps0, "eps0_any": spread, "E_distance": gap}


def margins(size: int, classes: int) -> tuple[sp.Matrix, list[sp.Symbol], sp.Matrix]:
    """Return class 1's margins and all l1 norms of differences, for a feature of each set of `size` of K classes."""
    sets = list(combinations(range(classes), size))
    rows = [[s.w1 if j == i else 0 for j in range(classes)] + [s.w2 if i in each else 0 for each in sets]
            for i in range(classes)]
    values = [sp.Symbol("E")] + [0] * (classes - 1) + [
        sp.Symbol(f"C_{''.join(map(str, each))}") if 0 in each else 0 for each in sets]
    scores = [sum(w * v for w, v in zip(row, values, strict=True)) for row in rows]
    norms = [sum(sp.Abs(u - v) for u, v in zip(rows[i], rows[j], strict=True))
             for i, j in permutations(range(classes), 2)]
    active = [v for v in values[classes:] if v != 0]
    return sp.Matrix([sp.expand(scores[0] - e) for e in scores[1:]]), active, sp.Matrix(norms)


def design_steps() -> Steps:
    """The margins and the attack in designs A and B at K = 5, and the counts for any K."""
    exclusive = s.w1 * sp.Symbol("E")
    everywhere, alone, norms_a = margins(4, 5)
    pairs, shared, norms_b = margins(2, 5)
    top = alone[::-1]  # the set without class j is the one named C_j
    return (
        check("Design A at K = 5: the margin against j keeps only the feature that class j lacks,",
              everywhere, "=", sp.Matrix([exclusive + s.w2 * e for e in top])),
        check("design B: all of class 1's features but the one it shares with j.", pairs, "=",
              sp.Matrix([exclusive + s.w2 * (sum(shared) - e) for e in shared])),
        check("The attack takes eps times these l1 norms, the same for every pair of classes.", norms_a, "=",
              sp.Matrix([2 * (sp.Abs(s.w1) + sp.Abs(s.w2))] * 20)),
        check("In B it meets K - 2 = 3 features of each of the two classes:", norms_b, "=",
              sp.Matrix([2 * sp.Abs(s.w1) + 2 * 3 * sp.Abs(s.w2)] * 20)),
        check("for any K, B(K-2, m-1) of the sets of m classes hold i and not j: one if m = K - 1, and if m = 2",
              sp.binomial(K - 2, 1).expand(func=True), "=", K - 2))


def max_mean_steps() -> tuple[dict[int, sp.Expr], Steps]:
    """The means of the largest of 2, 3, 4 and 5 standard normals."""
    odd, square = normal_cdf(s.beta * s.z) - s.HALF, sp.atan(sp.sqrt(1 + 2 * s.beta**2)) / s.PI - sp.Rational(1, 4)
    at_half = sp.atan(sp.sqrt(2)) / s.PI - sp.Rational(1, 4)  # B^2 = 1/2
    weight = normal_pdf(s.z) * normal_pdf(s.beta * s.z)
    angle = 2 * sp.atan(sp.sqrt(2)) - s.PI / 2
    values = {2: 1 / s.ROOT_PI, 3: 3 / (2 * s.ROOT_PI), 4: 6 * sp.atan(sp.sqrt(2)) / s.ROOT_PI**3,
              5: 5 / (4 * s.ROOT_PI) + 15 * sp.asin(sp.Rational(1, 3)) / (2 * s.ROOT_PI**3)}
    means = {2: sp.S.One, 3: s.HALF, 4: s.HALF**2 + s.m,
             5: s.HALF**3 + 3 * s.HALF * s.m}  # E Phi^(n-2), m = E (Phi - 1/2)^2
    square_at = {s.m: at_half}
    return values, (
        check("Phi' = phi.", normal_cdf(s.z).diff(s.z), "=", normal_pdf(s.z)),
        check("The largest of n has the density n phi Phi^(n-1), and by parts",
              sp.Derivative(-normal_pdf(s.z) * Phi(s.z)**(n - 1), s.z), "=",
              s.z * normal_pdf(s.z) * Phi(s.z)**(n - 1) - (n - 1) * normal_pdf(s.z)**2 * Phi(s.z)**(n - 2)),
        check("its mean is e_n = n (n-1) E[phi Phi^(n-2)], where phi^2 is a multiple of the density of N(0, 1/2).",
              normal_pdf(s.z)**2, "=", normal_density(s.z, 0, 1 / sp.sqrt(2)) / (2 * s.ROOT_PI)),
        check("J(beta) = E (Phi(beta Z) - 1/2)^2 has the slope E of 2 z phi(beta z) (Phi(beta z) - 1/2),",
              sp.diff(odd**2, s.beta), "=", 2 * s.z * normal_pdf(s.beta * s.z) * odd),
        check("by parts 2 beta/(1 + beta^2) times the mean of phi(beta Z)^2,", sp.Derivative(-weight * odd, s.z), "=",
              (1 + s.beta**2) * s.z * weight * odd - s.beta * weight * normal_pdf(s.beta * s.z)),
        check("which is", sp.Integral(weight * normal_pdf(s.beta * s.z), (s.z, -sp.oo, sp.oo)), "=",
              1 / (2 * s.PI * sp.sqrt(1 + 2 * s.beta**2))),
        check("arctan(sqrt(1 + 2 beta^2))/pi - 1/4 has that slope", sp.Derivative(square, s.beta), "=",
              2 * s.beta / (1 + s.beta**2) / (2 * s.PI * sp.sqrt(1 + 2 * s.beta**2))),
        check("and is 0 = J(0) at 0.", square.subs(s.beta, 0), "=", 0),
        check("Here beta^2 = 1/2.", square.subs(s.beta, 1 / sp.sqrt(2)), "=", at_half),
        check("Phi - 1/2 is odd, so its odd powers have mean 0: E Phi^2 = 1/4 + J,", sp.expand((s.HALF + s.y)**2), "=",
              s.HALF**2 + s.y + s.y**2),
        check("E Phi^3 = 1/8 + 3 J/2.", sp.expand((s.HALF + s.y)**3), "=",
              s.HALF**3 + 3 * s.y / 4 + 3 * s.y**2 / 2 + s.y**3),
        check("arcsin(1/3) is 2 arctan(sqrt(2)) - pi/2: same sine,", sp.expand_trig(sp.sin(angle)), "=",
              sp.Rational(1, 3)),
        check("and between 0 and pi/2,", angle * (s.PI / 2 - angle), ">", 0),
        *(check(f"so that e_{i} is", i * (i - 1) / (2 * s.ROOT_PI) * means[i].xreplace(square_at), "=",
                values[i].xreplace({sp.asin(sp.Rational(1, 3)): angle})) for i in values))


@claim("G-K")
def g_k() -> Stated:
    design_a, design_b = (s.mu - s.sigma * e_n) / 2, s.mu / 2 - s.sigma * e_n / (2 * (n - 1))
    values, steps = max_mean_steps()
    bound = sp.sqrt(2 * sp.log(n))
    return (
        *design_steps(), *steps,
        check("min_j C_j has the mean mu - sigma e_n, n = K - 1, so A's numerator for w2 is",
              (s.mu - s.sigma * e_n) - 2 * s.eps, "=", 2 * (design_a - s.eps)),
        check("min_j (sum - C_j) has the mean n mu - (mu + sigma e_n), so B's is",
              n * s.mu - (s.mu + s.sigma * e_n) - 2 * s.eps * (n - 1), "=", 2 * (n - 1) * (design_b - s.eps)),
        check("At K = 3 both are T1's.", sp.Matrix([design_a, design_b]).subs({n: 2, e_n: values[2]}), "=",
              sp.Matrix([derive("T1").results["eps0"]] * 2)),
        check("Z has E exp(t Z) = exp(t^2/2), t > 0 written alpha,",
              sp.Integral(sp.exp(s.alpha * s.z) * normal_pdf(s.z), (s.z, -sp.oo, sp.oo)), "=", sp.exp(s.alpha**2 / 2)),
        check("so e_n <= log(n exp(t^2/2))/t, at t = sqrt(2 log n) equal to that root,",
              (sp.log(n) + bound**2 / 2) / bound, "=", bound, [{n: sp.exp(s.tau**2 / 2)}]),
        check("and e_n/(n - 1) tends to 0: in B, eps0 tends to mu/2.", sp.Limit(bound / (n - 1), n, sp.oo), "=", 0),
        check("e_n >= y (1 - Phi(y)^n) - E Z^-, and E Z^- is", sp.Integral(s.z * normal_pdf(s.z), (s.z, 0, sp.oo)), "=",
              1 / sp.sqrt(2 * s.PI)),
        check("so e_n ends above any y, and A's eps0 below 0: Phi(y)^n = exp(-alpha n) tends to 0.",
              sp.Limit(sp.exp(-s.alpha * n), n, sp.oo), "=", 0),
    ), (s.COMMUTE, SOFT, "Jensen: E max <= log(E sum exp(t Z_j))/t", "for K other than 5, the count of the sets"), {
        "design_A": design_a, "design_B": design_b, **{f"e_{i}": value for i, value in values.items()}}


def ratio_steps(price: sp.Expr, v1: sp.Expr, v2: sp.Expr) -> Steps:
    """The conditions of an interior minimum for 1 < q < oo, and where they put the ratio y = w2/w1."""
    order = sp.Symbol("q", positive=True)
    norm = (s.p**order + s.s**order)**(1 / order)
    return (
        check("w_i/|w|_q times the slope of the norm is (w_i/|w|_q)^q, so the price of w_i is eps_q (w_i/|w|_q)^(q-1):",
              sp.Matrix([e * norm.diff(e) / norm for e in (s.p, s.s)]), "=",
              sp.Matrix([e**order for e in (s.p, s.s)]) / (s.p**order + s.s**order), [{s.p: s.alpha, s.s: s.beta}]),
        check("0 at w2 = 0 if q > 1. There the risk falls with w2 as v2 > 0: w2 does not die alone.",
              (price * (s.s / norm)**(order - 1)).subs(order, 1 + s.tau).subs(s.s, 0), "=", 0, [{s.p: s.alpha}]),
        check("For w2 >= w1 the conditions give w1 the larger price, which is false: so w2 < w1.",
              (v1 - s.lam * s.p) - (v2 - s.lam * (s.p + s.q)), ">", 0, [{v1: v2 + s.tau}]),
        check("In y = w2/w1 and the price z of w1, that of w2 is z y^(q-1), and the conditions give",
              s.alpha * (v1 - s.z) - (v2 - s.z * s.alpha**(order - 1)), "=",
              (s.alpha * v1 - v2) - s.z * (s.alpha - s.alpha**(order - 1))),
        check("where y - y^(q-1) = y (1 - y^(q-2))", s.alpha - s.alpha**(order - 1), "=",
              s.alpha * (1 - s.alpha**(order - 2))),
        check("and log y^(q-2) = (q-2) log y, as 0 < y < 1: for q > 2, y^(q-2) < 1, so y > v2/v1,",
              (order - 2) * sp.log(s.alpha), "<", 0, [{order: 2 + s.tau, s.alpha: 1 / (1 + s.beta)}]),
        check("for q < 2, y^(q-2) > 1, so y < v2/v1.", (order - 2) * sp.log(s.alpha), ">", 0,
              [{order: 2 - s.tau, s.alpha: 1 / (1 + s.beta)}]))


@claim("G-lp")
def g_lp() -> Stated:
    order, price = sp.Symbol("q", positive=True), sp.Symbol("epsilon_q", positive=True)
    v1, v2 = sp.symbols("v_1 v_2", positive=True)
    rows = [[s.w1 if j == i else 0 for j in range(3)] + [0 if j == i else s.w2 for j in range(3)] for i in range(3)]
    powers = sp.Matrix([sum(sp.Abs(u - v)**order for u, v in zip(rows[i], rows[j], strict=True))
                        for i, j in permutations(range(3), 2)])
    norm2 = sp.sqrt(v1**2 + v2**2)
    shrink = 1 - price / norm2  # p = 2
    return (
        check("f_i - f_j has the q-th power of its dual norm 2 |w|_q^q, the same for all pairs: so the attack "
              "costs 2^(1/q) eps |w|_q.", powers, "=",
              sp.Matrix([2 * (sp.Abs(s.w1)**order + sp.Abs(s.w2)**order)] * 6)),
        check("The rest of the risk is -v.w for w >= 0, v = (mu, mu - sigma/sqrt(pi)); -w2 for w2 > 0 costs more:",
              (s.mu + s.sigma / s.ROOT_PI) * s.p, ">", -(s.mu - s.sigma / s.ROOT_PI) * s.p, [{s.p: s.tau}]),
        check("so w = 0 is best iff v.w <= 2^(1/q) eps |w|_q for all w >= 0, that is |v|_p <= 2^(1/q) eps: "
              "at w_i = v_i^(p-1) (q = p/(p-1)), v.w is |v|_p |w|_q,",
              v1 * v1**(s.tau - 1) + v2 * v2**(s.tau - 1), "=",
              (v1**s.tau + v2**s.tau)**(1 / s.tau) * (v1**s.tau + v2**s.tau)**(1 - 1 / s.tau)),
        check("where |w|_q^q is", v1**((s.tau - 1) * s.tau / (s.tau - 1)) + v2**((s.tau - 1) * s.tau / (s.tau - 1)),
              "=", v1**s.tau + v2**s.tau),
        *ratio_steps(price, v1, v2),
        check("p = 2: w = v (1 - sqrt(2) eps/|v|)/lam solves the conditions v - lam w = price,",
              sp.Matrix([v - s.lam * (v * shrink / s.lam) for v in (v1, v2)]), "=",
              price / norm2 * sp.Matrix([v1, v2])),
        check("with the ratio v2/v1 whatever eps.", (v2 * shrink) / (v1 * shrink), "=", v2 / v1),
        check("p = 1 (q = oo, penalty eps max w): until w1 falls to w2 the ratio is v2/(v1 - eps), above v2/v1,",
              v2 / (v1 - price), ">", v2 / v1, [{v1: price + s.tau}]),
        check("p = oo (q = 1): it is (v2 - 2 eps)/(v1 - 2 eps), below v2/v1,", (v2 - price) / (v1 - price), "<",
              v2 / v1, [{v1: price + s.alpha + s.tau, v2: price + s.alpha}]),
        check("and w2 alone is 0 for v2 <= 2 eps < v1, T1's interval.", (s.mu - s.sigma / s.ROOT_PI) - 2 * s.eps,
              "=", 2 * (derive("T1").results["eps0"] - s.eps)),
    ), (s.COMMUTE, s.SIGNS, "Hoelder's inequality, with equality where w_i is proportional to v_i^(p-1)",
        "the risk is strictly convex",
        "sigma < sqrt(pi) mu, so that v2 > 0 (else w2 = 0 for every eps and mu takes the place of |v|_p)"), {
            "price": 2**(1 / order) * s.eps, "order": order,
            "ratio_2": v2 / v1, "ratio_1": v2 / (v1 - price), "v2": s.mu - s.sigma / s.ROOT_PI}
