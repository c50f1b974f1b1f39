"""What no classifier can beat, any sharing of features, and how many examples w2 takes (THEORY.md, section 10)."""

from itertools import combinations

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.general.any_law import K, Phi, n
from synthmodel.symbolic.symbols import (
    HALF,
    LEIBNIZ,
    PI,
    ROOT_PI,
    T,
    claim,
    derive,
    eps,
    k,
    lam,
    mu,
    normal_cdf,
    normal_pdf,
    p,
    q,
    s,
    sigma,
    t,
    w1,
    w2,
    x,
    y,
    z,
)

q_e, visible = sp.symbols("q_E v", positive=True)  # Pr(x_E is small), and 1 - q for a cross-class feature
i = sp.Symbol("i", integer=True, nonnegative=True)


def patterns(sets, classes):
    """The robust Bayes error by the sum over all sets N of features that are not small; every mass as it stands.

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
                error -= q_e * q**(len(holding[0]) - size) * (1 - q)**size / classes
    return sp.expand(error)


def design(name, classes):
    pairs = list(combinations(range(classes), 2))
    return [{j for j in range(classes) if j != each} if name == "A" else {pair for pair in pairs if each in pair}
            for each in range(classes)]


def closed(name, classes):
    if name == "A":
        return q_e * (1 - (1 - (1 - q)**classes) / (classes * q))
    return q_e * q**(classes - 2) * (q * (classes - 1) / classes + (1 - q) * (classes - 1) / 2)


@claim("B1")
def b1():
    total = (1 - (1 - q)**K) / q
    generating = (1 - q + q * y)**K
    small = [{x: 2 * p, eps: p + s}, {x: -2 * p, eps: p + s}]
    sizes = (3, 4, 5)
    a, b = (sp.Matrix([closed(name, each) for each in sizes]) for name in "AB")
    return (
        check("A feature is small if |x| <= 2 eps. The attack can halve it, as it moves by |x|/2 <= eps;",
              sp.Abs(x) / 2, "<=", eps, cases=small),
        check("and where a class lacks the feature, the attack can put half of any small value: |0 - x/2| <= eps.",
              sp.Abs(x / 2), "<=", eps, cases=small),
        check("So let N be the features that are not small, let the attack draw a small value for each feature that "
              "the class lacks, and halve all small ones: what is left has a law that depends on N alone, not on the "
              "class. Of the classes that have all of N, one answer is right for one: with q_f the chance that f is "
              "small, class i has the mass pi_i prod_F q_f prod_N (1 - q_f)/q_f, one feature's factor being",
              q * ((1 - q) / q), "=", 1 - q),
        check("so that the order of these masses does not depend on N. The rule: the first class, in that order, that "
              "has every feature beyond eps. A feature of the true class that is not small stays beyond eps,",
              sp.Abs(x) - eps, ">", eps, cases=[{x: 2 * eps + T}, {x: -2 * eps - T}]),
        check("and one that it lacks does not get there. So an input is lost only if an earlier class has all of N.",
              sp.Abs(x), "<=", eps, cases=[{x: p, eps: p + s}, {x: -p, eps: p + s}]),
        check("Design A: class i of 0, 1, ... loses if x_E and one of i features are small. The sum of (1-q)^i over "
              "i < K is (1 - (1-q)^K)/q: 0 for K = 0,", total.subs(K, 0), "=", 0),
        check("and one class more adds its own term.", total.subs(K, K + 1) - total, "=", (1 - q)**K),
        check("So the error is q_E minus q_E/K times that.", q_e - q_e / K * total, "=", closed("A", K)),
        check("The same from the attack's side: for each set of a classes whose other a - 1 features are small, one is "
              "right. sum C(K,a) q^a (1-q)^(K-a) y^a is (1-q+qy)^K; its slope at 1, less its values at 1 and 0:",
              q_e / (K * q) * ((sp.Derivative(generating, y).doit() - generating).subs(y, 1)
                               + generating.subs(y, 0)), "=", closed("A", K)),
        check("Design B: with all n = K - 1 small the first class is right; with one not small the first of two.",
              q_e * (q**n * n / (n + 1) + n * q**(n - 1) * (1 - q) * HALF), "=", closed("B", n + 1)),
        check("Both against the sum over all sets N, K = 3, 4, 5: A", a, "=",
              sp.Matrix([patterns(design("A", each), each) for each in sizes])),
        check("and B.", b, "=", sp.Matrix([patterns(design("B", each), each) for each in sizes])),
        check("For three classes and equal laws:", closed("A", 3).subs(q_e, q), "=", q**2 - q**3 / 3),
        check("which is that of B.", closed("B", 3), "=", closed("A", 3)),
        check("Exclusive features alone: the masses are equal where x_E is small, so the error is q_E (1 - 1/K). All "
              "features gain the sum over i >= 1 of q_E (1-q)^i/K,", q_e * (1 - 1 / K) - closed("A", K), "=",
              q_e / K * (total - 1)),
        check("of which the first term alone, 1 - q, is positive.", (1 - q).subs(q, 1 / (1 + T)), ">", 0),
        check("In design B the gain, over q_E (K-1)/K, is 1 - q^n less K/2 = (n+1)/2 times q^(n-1) (1-q).",
              (1 - 1 / K - closed("B", K) / q_e).subs(K, n + 1), "=",
              n / (n + 1) * (1 - q**n - (n + 1) / 2 * q**(n - 1) * (1 - q))),
        check("1 - q^n is (1-q) times the sum of q^j over j < n, in which no term is below q^(n-1): so at least",
              n * q**(n - 1) * (1 - q) - (n + 1) / 2 * q**(n - 1) * (1 - q), "=",
              (n - 1) / 2 * q**(n - 1) * (1 - q)),
        check("is left, which is positive for n > 1.", ((n - 1) / 2 * q**(n - 1) * (1 - q)).xreplace(
            {q: 1 / (1 + T), n: 1 + visible}), ">", 0),
    ), ("the law of a feature does not depend on the class, and features are independent (given what they share)",
        "the binomial theorem; the sum of the masses is the chance of being right"), {
            "A": closed("A", K), "B": closed("B", K), "exclusive": q_e * (1 - 1 / K), "three": q**2 - q**3 / 3}


@claim("G-share")
def g_share():
    ours, theirs, number = sp.symbols("a b N", nonnegative=True)  # whether class i, j has f; how many only j has
    only_i, only_j, pi = sp.symbols("N_ij N_ji pi", nonnegative=True)
    mean_m = sp.Symbol("E[M]", real=True)
    each = [{ours: u, theirs: v} for u in (sp.S.Zero, sp.S.One) for v in (sp.S.Zero, sp.S.One)]

    def gap(lacked, extra):
        return lacked * mu - eps * (lacked + extra)
    return (
        check("In f_j - f_i feature f counts w2 (b - a), a and b telling whether i and j have it. The attack that "
              "takes eps off what i has and adds eps to all else costs eps w2 |b - a| against every j at once.",
              (theirs - ours) * (1 - 2 * ours), "=", sp.Abs(theirs - ours), cases=each),
        check("So with M = min_j c_j the margin loss has the slope -E[M] in w2, in the mean over the classes,",
              sp.Derivative(-w1 * (mu - 2 * eps) - w2 * mean_m, w2), "=", -mean_m),
        check("and joint accuracy at w2 = 0 has the slope p_e(0) E[M], as in N1: both turn at the same eps0. For w2 "
              "< 0 the loss takes max_j instead, of a mean that is not negative.", gap(s, t) + 2 * eps * (s + t), ">=",
              0),
        check("If j has all that i has, c_j = -eps times what only j has:", gap(0, number), "=", -eps * number),
        check("then M <= 0 and e + r M <= e. So if every class has such a j, w2 = 0 and r_acc = 0 for every eps.",
              gap(0, number), "<=", 0),
        check("Cross-entropy: at w2 = 0 all n wrong classes have the chance pi/n, whose mean is positive, and its "
              "slope is -E[pi]/n times the mean of sum_j E c_j. A pair of classes counts twice:",
              gap(only_i, only_j) + gap(only_j, only_i), "=", (only_i + only_j) * (mu - 2 * eps)),
        check("so, unless all classes have the same, the slope is negative exactly for eps < mu/2.",
              -pi * (only_i + only_j) * T, "<=", 0),
        check("For two superclasses c_j = 0 within a class's own, and C - 2 eps beyond: M = min(0, C - 2 eps), whose "
              "mean is that of C - 2 eps less its positive part.", sp.Min(0, x), "=", x - sp.Max(0, x),
              cases=[{x: p}, {x: -p}]),
    ), ("N1 (for each class)", "convexity: w2 = 0 is best iff no slope there is negative",
        LEIBNIZ), {"pair": (only_i + only_j) * (mu - 2 * eps)}


@claim("N1-sample")
def n1_sample():
    mean_e, mean_m = sp.symbols("ebar Mbar", positive=True)
    risk = -w1 * mean_e - w2 * mean_m + lam * (w1**2 + w2**2) / 2
    least = 2 * normal_pdf(z) * normal_cdf(-z)  # the density of min(Z, Z')
    moments = 2 * sp.exp(s**2 / 2) * Phi(-s / sp.sqrt(2))
    flow = mean_m / lam * (1 - sp.exp(-lam * t))
    return (
        check("In the mean over N examples the loss is -w1 ebar - w2 Mbar, M = min(C_2, C_3) - 2 eps, plus the "
              "penalty. It separates:", sp.diff(risk, w2), "=", lam * (w2 - mean_m / lam)),
        check("over w >= 0 its minimiser is w2 = max(Mbar, 0)/lam: w2 > 0 iff sum of min(Z, Z') > -N k,",
              (mu - 2 * eps).xreplace({mu: k * sigma + 2 * eps}), "=", sigma * k),
        check("min^2 + max^2 = Z^2 + Z'^2, and max is -min in law, so E min^2 = 1. The mean of min,",
              sp.integrate(sp.expand(least * z), (z, -sp.oo, sp.oo)), "=", -1 / ROOT_PI),
        check("leaves the variance 1 - 1/pi. By the central limit theorem Pr(w2 > 0) is near Phi of sqrt(N) times",
              (k - 1 / ROOT_PI).subs(k, (mu - 2 * eps) / sigma), "=",
              2 * (derive("T1").results["eps0"] - eps) / sigma),
        check("over the root of that variance. Exactly: exp(s z) phi(z) is exp(s^2/2) phi(z - s),",
              sp.exp(s * z) * normal_pdf(z), "=", sp.exp(s**2 / 2) * normal_pdf(z - s)),
        check("so E exp(s min) = 2 exp(s^2/2) E Phi(-s - Z). The slope of this mean is minus the density of a sum,",
              sp.Integral(sp.exp(-(z + s / 2)**2), (z, -sp.oo, sp.oo)) * sp.exp(-s**2 / 4) / (2 * PI), "=",
              normal_pdf(s / sp.sqrt(2)) / sp.sqrt(2)),
        check("as phi(z) phi(z + s) is", normal_pdf(z) * normal_pdf(z + s), "=",
              sp.exp(-(z + s / 2)**2) * sp.exp(-s**2 / 4) / (2 * PI)),
        check("and that is the slope of Phi(-s/sqrt(2)), which is 1/2 at 0, too.",
              -sp.Derivative(Phi(-s / sp.sqrt(2)), s), "=", normal_pdf(s / sp.sqrt(2)) / sp.sqrt(2)),
        check("The power N of it is entire, so the chance is the integral of exp(s N k)/(2 pi i s) times it along a "
              "line; its slope at 0 is the mean,", sp.diff(moments, s).subs(s, 0).subs(Phi(0), HALF), "=",
              -1 / ROOT_PI),
        check("In time, from w = 0: w2(t) = (Mbar/lam) (1 - exp(-lam t)) solves w2' = Mbar - lam w2,",
              sp.diff(flow, t), "=", mean_m - lam * flow),
        check("and so does w1 with ebar: w2/w1 = Mbar/ebar from the first moment on, and so is the accuracy.",
              flow / flow.subs(mean_m, mean_e), "=", mean_m / mean_e),
    ), ("the attack of T1 (for w >= 0)", "the central limit theorem", "the inversion of a two-sided Laplace transform",
        LEIBNIZ), {"moments": moments, "variance": 1 - 1 / PI}
