"""What no classifier can beat, any sharing of features, and how many examples w2 takes (THEORY.md, section 8)."""

from itertools import combinations

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, check, claim, derive
from synthmodel.symbolic.general.any_law import K, Phi, n
from synthmodel.symbolic.symbols import normal_cdf, normal_pdf

q_e, visible = sp.symbols("q_E v", positive=True)  # Pr(x_E is small), and 1 - q for a cross-class feature


def patterns(sets: list[set], classes: int) -> sp.Expr:
    """Sum the robust Bayes error over all sets N of features that are not small, each mass as it stands.

    sets: the cross-class features of each class. A class contains N if it has all of N; all masses are then equal.
    """
    error = sp.S.Zero
    for _ in range(classes):  # N holds an exclusive feature: one class has it, and is right
        error += (1 - (1 - q_e)) / classes
    names = sorted(set().union(*sets))
    for size in range(len(names) + 1):
        for seen in combinations(names, size):
            holding = [each for each in sets if set(seen) <= each]
            if holding:
                error -= q_e * s.q**(len(holding[0]) - size) * (1 - s.q)**size / classes
    return sp.expand(error)


def design(name: str, classes: int) -> list[set]:
    """List the cross-class features of each class in design A or B."""
    pairs = list(combinations(range(classes), 2))
    return [{j for j in range(classes) if j != each} if name == "A" else {pair for pair in pairs if each in pair}
            for each in range(classes)]


def closed(name: str, classes: int | sp.Expr) -> sp.Expr:
    """Return the robust Bayes error of design A or B in closed form (B1)."""
    if name == "A":
        return q_e * (1 - (1 - (1 - s.q)**classes) / (classes * s.q))
    return q_e * s.q**(classes - 2) * (s.q * (classes - 1) / classes + (1 - s.q) * (classes - 1) / 2)


@claim("B1")
def b1() -> Stated:
    total = (1 - (1 - s.q)**K) / s.q
    generating = (1 - s.q + s.q * s.y)**K
    small = [{s.x: 2 * s.p, s.eps: s.p + s.s}, {s.x: -2 * s.p, s.eps: s.p + s.s}]
    sizes = (3, 4, 5)
    a, b = (sp.Matrix([closed(name, each) for each in sizes]) for name in "AB")
    return (
        check("A feature is small if |x| <= 2 eps. The attack can halve it, as it moves by |x|/2 <= eps;",
              sp.Abs(s.x) / 2, "<=", s.eps, cases=small),
        check("and where a class lacks the feature, the attack can put half of any small value: |0 - x/2| <= eps.",
              sp.Abs(s.x / 2), "<=", s.eps, cases=small),
        check("So let N be the features that are not small, let the attack draw a small value for each feature that "
              "the class lacks, and halve all small ones: what is left has a law that depends on N alone, not on the "
              "class. Of the classes that have all of N, one answer is right for one: with q_f the chance that f is "
              "small, class i has the mass pi_i prod_F q_f prod_N (1 - q_f)/q_f, one feature's factor being",
              s.q * ((1 - s.q) / s.q), "=", 1 - s.q),
        check("so that the order of these masses does not depend on N. The rule: the first class, in that order, that "
              "has every feature beyond eps. A feature of the true class that is not small stays beyond eps,",
              sp.Abs(s.x) - s.eps, ">", s.eps, cases=[{s.x: 2 * s.eps + s.tau}, {s.x: -2 * s.eps - s.tau}]),
        check("and one that it lacks does not get there. So an input is lost only if an earlier class has all of N.",
              sp.Abs(s.x), "<=", s.eps, cases=[{s.x: s.p, s.eps: s.p + s.s}, {s.x: -s.p, s.eps: s.p + s.s}]),
        check("Design A: class i of 0, 1, ... loses if x_E and one of i features are small. The sum of (1-q)^i over "
              "i < K is (1 - (1-q)^K)/q: 0 for K = 0,", total.subs(K, 0), "=", 0),
        check("and one class more adds its own term.", total.subs(K, K + 1) - total, "=", (1 - s.q)**K),
        check("So the error is q_E minus q_E/K times that.", q_e - q_e / K * total, "=", closed("A", K)),
        check("The same from the attack's side: for each set of a classes whose other a - 1 features are small, one is "
              "right. sum C(K,a) q^a (1-q)^(K-a) y^a is (1-q+qy)^K; its slope at 1, less its values at 1 and 0:",
              q_e / (K * s.q) * ((sp.Derivative(generating, s.y).doit() - generating).subs(s.y, 1)
                               + generating.subs(s.y, 0)), "=", closed("A", K)),
        check("Design B: with all n = K - 1 small the first class is right; with one not small the first of two.",
              q_e * (s.q**n * n / (n + 1) + n * s.q**(n - 1) * (1 - s.q) * s.HALF), "=", closed("B", n + 1)),
        check("Both against the sum over all sets N, K = 3, 4, 5: A", a, "=",
              sp.Matrix([patterns(design("A", each), each) for each in sizes])),
        check("and B.", b, "=", sp.Matrix([patterns(design("B", each), each) for each in sizes])),
        check("For three classes and equal laws:", closed("A", 3).subs(q_e, s.q), "=", s.q**2 - s.q**3 / 3),
        check("which is that of B.", closed("B", 3), "=", closed("A", 3)),
        check("Exclusive features alone: the masses are equal where x_E is small, so the error is q_E (1 - 1/K). All "
              "features gain the sum over i >= 1 of q_E (1-q)^i/K,", q_e * (1 - 1 / K) - closed("A", K), "=",
              q_e / K * (total - 1)),
        check("of which the first term alone, 1 - q, is positive.", (1 - s.q).subs(s.q, 1 / (1 + s.tau)), ">", 0),
        check("In design B the gain, over q_E (K-1)/K, is 1 - q^n less K/2 = (n+1)/2 times q^(n-1) (1-q).",
              (1 - 1 / K - closed("B", K) / q_e).subs(K, n + 1), "=",
              n / (n + 1) * (1 - s.q**n - (n + 1) / 2 * s.q**(n - 1) * (1 - s.q))),
        check("1 - q^n is (1-q) times the sum of q^j over j < n, in which no term is below q^(n-1): so at least",
              n * s.q**(n - 1) * (1 - s.q) - (n + 1) / 2 * s.q**(n - 1) * (1 - s.q), "=",
              (n - 1) / 2 * s.q**(n - 1) * (1 - s.q)),
        check("is left, which is positive for n > 1.", ((n - 1) / 2 * s.q**(n - 1) * (1 - s.q)).xreplace(
            {s.q: 1 / (1 + s.tau), n: 1 + visible}), ">", 0),
    ), ("the law of a feature does not depend on the class, and features are independent (given what they share)",
        "the binomial theorem; the sum of the masses is the chance of being right"), {
            "A": closed("A", K), "B": closed("B", K), "exclusive": q_e * (1 - 1 / K), "three": s.q**2 - s.q**3 / 3}


@claim("B1-lp")
def b1_lp() -> Stated:
    p, number, rest = sp.symbols("p D y", positive=True)
    shrunk = s.eps * number**(-1 / p)
    a, b = ([len(first ^ second) + 2 for first, second in combinations(design(name, 5), 2)] for name in "AB")
    of_a, of_b = (sp.Matrix([each + len(set().union(*design(name, each))) for each in (3, 4, 5)]) for name in "AB")
    point = sp.Matrix(sp.symbols("x_1:4"))
    triangle = [sp.sqrt(2) * sp.Matrix(3, 1, lambda i, _, at=at: int(i == at)) for at in range(3)]  # of side 2
    centre = sum(triangle, sp.zeros(3, 1)) / 3
    return (
        check("An l_p ball lies in the l_inf ball of its size, as |x|_p^p is at least that of one coordinate: no "
              "attack has more than B1's at eps.", s.tau**p + rest, ">", s.tau**p),
        check("Let N be the features beyond 2 eps' in size, eps' = eps D^(-1/p), draw a value for every other feature "
              "by its law within 2 eps', and give each class that has all of N its own of these features. Two such "
              "inputs differ in D features at most, each by 2 eps' at most, so in the p-th power of the distance by",
              number * (2 * shrunk)**p, "=", (2 * s.eps)**p),
        check("at most: half of the distance is at most eps, the midpoint is an attack on both, and the one answer of "
              "a deterministic classifier is right there for one class. So its error is at least B1's at eps'.",
              ((2 * s.eps)**p)**(1 / p) / 2, "=", s.eps),
        check("In design A two classes differ in their exclusive features and in one cross-class feature each,",
              sp.Max(*a), "=", 4),
        check("in design B in all features but the one that they share: K = 5.", sp.Max(*b), "=", 2 * (5 - 1)),
        check("A drawn answer is right at a midpoint with chances of sum 1 for the two, which bounds a sum over three "
              "by 3/2 only. So let D be the number of all features: the values of N and half of each other value are a "
              "point that all these classes have in common, in the p-th power of the distance within",
              number * shrunk**p, "=", s.eps**p),
        check("of each input. There all chances have the sum 1: the error is at least B1's at this smaller eps'. "
              "Design A has 2 K features, K = 3, 4, 5,", of_a, "=", sp.Matrix([2 * each for each in (3, 4, 5)])),
        check("and design B K (K+1)/2.", of_b, "=", sp.Matrix([each * (each + 1) // 2 for each in (3, 4, 5)])),
        check("D = 4 will not do there. Three classes, design A, p = 2, all values 1: a triangle of side 2, from whose "
              "vertices a point's squared distances have the mean", sum(
                  ((point - each).dot(point - each) for each in triangle), sp.S.Zero) / 3, "=",
              sp.Rational(4, 3) + (point - centre).dot(point - centre)),
        check("so that for 1 <= eps < 2/sqrt(3) no point is within eps of all three, and the answer drawn uniformly "
              "from the classes within eps has an error of 1/2; a deterministic one has", 1 - sp.Rational(1, 3), ">",
              sp.S.Half),
    ), ("features are independent (given what they share); the masses are those of B1, whose error is least",), {
        "size": shrunk}


@claim("G-share")
def g_share() -> Stated:
    ours, theirs, number = sp.symbols("a b N", nonnegative=True)  # whether class i, j has f; how many only j has
    only_i, only_j, pi = sp.symbols("N_ij N_ji pi", nonnegative=True)
    mean_m = sp.Symbol("E[M]", real=True)
    each = [{ours: u, theirs: v} for u in (sp.S.Zero, sp.S.One) for v in (sp.S.Zero, sp.S.One)]

    def gap(lacked: sp.Expr, extra: sp.Expr) -> sp.Expr:
        return lacked * s.mu - s.eps * (lacked + extra)
    return (
        check("In f_j - f_i feature f counts w2 (b - a), a and b telling whether i and j have it. The attack that "
              "takes eps off what i has and adds eps to all else costs eps w2 |b - a| against every j at once.",
              (theirs - ours) * (1 - 2 * ours), "=", sp.Abs(theirs - ours), cases=each),
        check("So with M = min_j c_j the margin loss has the slope -E[M] in w2, in the mean over the classes,",
              sp.Derivative(-s.w1 * (s.mu - 2 * s.eps) - s.w2 * mean_m, s.w2), "=", -mean_m),
        check("and joint accuracy at w2 = 0 has the slope p_e(0) E[M], as in N1: both turn at the same eps0. For w2 "
              "< 0 the loss takes max_j instead, of a mean that is not negative.",
              gap(s.s, s.t) + 2 * s.eps * (s.s + s.t), ">=", 0),
        check("If j has all that i has, c_j = -eps times what only j has:", gap(0, number), "=", -s.eps * number),
        check("then M <= 0 and e + r M <= e. So if every class has such a j, w2 = 0 and r_acc = 0 for every eps.",
              gap(0, number), "<=", 0),
        check("Cross-entropy: at w2 = 0 all n wrong classes have the chance pi/n, whose mean is positive, and its "
              "slope is -E[pi]/n times the mean of sum_j E c_j. A pair of classes counts twice:",
              gap(only_i, only_j) + gap(only_j, only_i), "=", (only_i + only_j) * (s.mu - 2 * s.eps)),
        check("so, unless all classes have the same, the slope is negative exactly for eps < mu/2.",
              -pi * (only_i + only_j) * s.tau, "<=", 0),
        check("For two superclasses c_j = 0 within a class's own, and C - 2 eps beyond: M = min(0, C - 2 eps), whose "
              "mean is that of C - 2 eps less its positive part.", sp.Min(0, s.x), "=", s.x - sp.Max(0, s.x),
              cases=[{s.x: s.p}, {s.x: -s.p}]),
    ), ("N1 (for each class)", "convexity: w2 = 0 is best iff no slope there is negative",
        s.LEIBNIZ), {"pair": (only_i + only_j) * (s.mu - 2 * s.eps)}


@claim("N1-sample")
def n1_sample() -> Stated:
    mean_e, mean_m = sp.symbols("ebar Mbar", positive=True)
    risk = -s.w1 * mean_e - s.w2 * mean_m + s.lam * (s.w1**2 + s.w2**2) / 2
    least = 2 * normal_pdf(s.z) * normal_cdf(-s.z)  # the density of min(Z, Z')
    moments = 2 * sp.exp(s.s**2 / 2) * Phi(-s.s / sp.sqrt(2))
    flow = mean_m / s.lam * (1 - sp.exp(-s.lam * s.t))
    return (
        check("In the mean over N examples the loss is -w1 ebar - w2 Mbar, M = min(C_2, C_3) - 2 eps, plus the "
              "penalty. It separates:", sp.diff(risk, s.w2), "=", s.lam * (s.w2 - mean_m / s.lam)),
        check("over w >= 0 its minimiser is w2 = max(Mbar, 0)/lam: w2 > 0 iff sum of min(Z, Z') > -N k,",
              (s.mu - 2 * s.eps).xreplace({s.mu: s.k * s.sigma + 2 * s.eps}), "=", s.sigma * s.k),
        check("min^2 + max^2 = Z^2 + Z'^2, and max is -min in law, so E min^2 = 1. The mean of min,",
              sp.integrate(sp.expand(least * s.z), (s.z, -sp.oo, sp.oo)), "=", -1 / s.ROOT_PI),
        check("leaves the variance 1 - 1/pi. By the central limit theorem Pr(w2 > 0) is near Phi of sqrt(N) times",
              (s.k - 1 / s.ROOT_PI).subs(s.k, (s.mu - 2 * s.eps) / s.sigma), "=",
              2 * (derive("T1").results["eps0"] - s.eps) / s.sigma),
        check("over the root of that variance. Exactly: exp(s z) phi(z) is exp(s^2/2) phi(z - s),",
              sp.exp(s.s * s.z) * normal_pdf(s.z), "=", sp.exp(s.s**2 / 2) * normal_pdf(s.z - s.s)),
        check("so E exp(s min) = 2 exp(s^2/2) E Phi(-s - Z). The slope of this mean is minus the density of a sum,",
              sp.Integral(sp.exp(-(s.z + s.s / 2)**2), (s.z, -sp.oo, sp.oo)) * sp.exp(-s.s**2 / 4) / (2 * s.PI), "=",
              normal_pdf(s.s / sp.sqrt(2)) / sp.sqrt(2)),
        check("as phi(z) phi(z + s) is", normal_pdf(s.z) * normal_pdf(s.z + s.s), "=",
              sp.exp(-(s.z + s.s / 2)**2) * sp.exp(-s.s**2 / 4) / (2 * s.PI)),
        check("and that is the slope of Phi(-s/sqrt(2)), which is 1/2 at 0, too.",
              -sp.Derivative(Phi(-s.s / sp.sqrt(2)), s.s), "=", normal_pdf(s.s / sp.sqrt(2)) / sp.sqrt(2)),
        check("The power N of it is entire, so the chance is the integral of exp(s N k)/(2 pi i s) times it along a "
              "line; its slope at 0 is the mean,", sp.diff(moments, s.s).subs(s.s, 0).subs(Phi(0), s.HALF), "=",
              -1 / s.ROOT_PI),
        check("In time, from w = 0: w2(t) = (Mbar/lam) (1 - exp(-lam t)) solves w2' = Mbar - lam w2,",
              sp.diff(flow, s.t), "=", mean_m - s.lam * flow),
        check("and so does w1 with ebar: w2/w1 = Mbar/ebar from the first moment on, and so is the accuracy.",
              flow / flow.subs(mean_m, mean_e), "=", mean_m / mean_e),
    ), ("the attack of T1 (for w >= 0)", "the central limit theorem", "the inversion of a two-sided Laplace transform",
        s.LEIBNIZ), {"moments": moments, "variance": 1 - 1 / s.PI}
