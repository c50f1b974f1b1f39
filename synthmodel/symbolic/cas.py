"""From the weights to CAS and margin-CAS, and r and k read off margins (THEORY.md, CAS, mCAS and E-margins)."""

from collections.abc import Sequence
from itertools import combinations

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.general.any_law import e_n
from synthmodel.symbolic.softmax.cross_entropy import d
from synthmodel.symbolic.softmax.log_sum_exp import Psi

__all__ = ["attributions", "centred", "cosine", "means", "weights"]

RATIO = {s.w1: s.alpha, s.w2: s.r * s.alpha}  # w1 > 0 of any size, w2 = r w1
K, size, share = sp.symbols("K m q", positive=True)  # classes, classes a shared feature marks, q = r mu_C/mu_E
FAMILY = [(classes, m) for classes in (3, 4, 5) for m in range(2, classes)]


def weights(classes: int, m: int) -> sp.Matrix:
    """Return W: a feature for each class (weight w1), then one for each set of m classes (weight w2 in its classes)."""
    sets = list(combinations(range(classes), m))
    return sp.Matrix([[s.w1 if j == i else 0 for j in range(classes)] + [s.w2 if i in each else 0 for each in sets]
                      for i in range(classes)])


def means(classes: int, m: int, active: tuple[sp.Expr, sp.Expr] = (s.mu, s.mu), rest: sp.Expr = sp.S.Zero) -> sp.Matrix:
    """Return the mean features of class i as row i: `active` (exclusive, shared) where W weighs them, else `rest`."""
    matrix = weights(classes, m)
    return matrix.applyfunc(lambda e: {s.w1: active[0], s.w2: active[1]}.get(e, rest))


def centred(matrix: sp.Matrix) -> sp.Matrix:
    """Return the rows of W less their mean."""
    return matrix - sp.ones(matrix.rows, matrix.rows) * matrix / matrix.rows


def attributions(matrix: sp.Matrix, features: sp.Matrix) -> sp.Matrix:
    """Return A_i, row i of W times the mean features of class i."""
    return matrix.multiply_elementwise(features)


def cosine(u: sp.Matrix, v: sp.Matrix) -> sp.Expr:
    """Return the cosine of two rows; ValueError unless they have equal length."""
    if sp.expand(u.dot(u) - v.dot(v)) != 0:
        raise ValueError("two rows of different length were given: pass rows of equal length.")
    return sp.cancel((u.dot(v) / u.dot(u)).xreplace(RATIO))


def cosines(rows: sp.Matrix) -> sp.Matrix:
    """Return the cosines of all ordered pairs of rows, as a column."""
    return sp.Matrix([cosine(rows.row(i), rows.row(j)) for i in range(rows.rows) for j in range(rows.rows) if i != j])


@claim("CAS")
def cas() -> Stated:
    matrix, feature = weights(3, 2), sp.Matrix(sp.symbols("x_1:7", real=True))
    common = sp.ones(3, 1) * sp.Matrix([sp.symbols("u_1:7", real=True)])
    plain, gauged = s.r**2 / (1 + 2 * s.r**2), s.r**2 / (4 + 2 * s.r**2)
    level = sp.eye(3) - sp.ones(3, 3) / 3
    scores = [sp.exp(e) for e in (s.x, s.y, s.z)]

    def margin(rows: sp.Matrix) -> sp.Matrix:
        return sp.Matrix([(rows * feature)[0] - (rows * feature)[j] for j in (1, 2)])

    return (
        check("A_i, row i of W times class i's mean features, is mu times [w1 I | w2 (J - I)], up to the order of the "
              "shared features:", attributions(matrix, means(3, 2)), "=", s.mu * matrix),
        check("all of one length,", sp.Matrix([e.dot(e) for e in (s.mu * matrix.row(i) for i in range(3))]), "=",
              s.mu**2 * (s.w1**2 + 2 * s.w2**2) * sp.ones(3, 1)),
        check("with the cosines r^2/(1 + 2 r^2).", cosines(s.mu * matrix), "=", plain * sp.ones(6, 1)),
        check("CAS sums their positive parts, and none is negative.", sum(cosines(s.mu * matrix)), "=", 6 * plain),
        check("It rises with r", sp.diff(6 * plain, s.r), ">", 0),
        check("from 0 (the margin loss at eps >= eps0)", plain.subs(s.r, 0), "=", 0),
        check("to 2 at r = 1.", 6 * plain.subs(s.r, 1), "=", 2),
        check("Adding one row to all of W leaves every difference of scores as it is,", margin(matrix + common), "=",
              margin(matrix)),
        check("so W may be replaced by its row-centred form, that of T1-W,",
              centred(matrix), "=", sp.Matrix.hstack(s.w1 * level, s.w2 * level[:, ::-1].applyfunc(lambda e: -e))),
        check("where the cosines are r^2/(4 + 2 r^2):", cosines(attributions(centred(matrix), means(3, 2))), "=",
              gauged * sp.ones(6, 1)),
        check("less than before. CAS depends on the gauge.", plain, ">", gauged),
        check("The loss's gradient in row l is (p_l - t_l) x, and probabilities and labels sum to 1, so decay alone "
              "moves the mean row, to 0: training drives W to the row-centred form.",
              sum(e / sum(scores) for e in scores), "=", 1),
    ), ("T1, T1-W", "mu_E = mu_C and r >= 0: else r mu_C/mu_E stands for r"), {
        "cosine": plain, "cas": 6 * plain, "centred": gauged}


@claim("CAS-separation")
def cas_separation() -> Stated:
    w = sp.Symbol("w", real=True)
    kurtosis, mean, participation = sp.symbols("kappa mu_0 d_eff", positive=True)
    c, spread, rho = sp.symbols("c s rho", positive=True)

    def expected(polynomial: sp.Expr, entries: Sequence[sp.Symbol] = (w,)) -> sp.Expr:
        """Return the mean over independent entries of the rows, with the moments 0, s^2, 0 and kappa s^4."""
        powers = {0: 1, 2: spread**2, 4: kurtosis * spread**4}
        return sum(factor * sp.prod(powers.get(power, 0) for power in each)
                   for each, factor in sp.Poly(sp.expand(polynomial), *entries).terms())

    def centred_cosine(classes: int) -> sp.Expr:
        """Return the limit of the cosine for row-centred W of so many classes, normal entries."""
        entries = sp.symbols(f"w_1:{classes + 1}", real=True)
        rows = [e - sum(entries) / classes for e in entries[:2]]
        one, other = ((mean + c * row) * row for row in rows)
        return (expected(one * other, entries) / expected(one**2, entries)).subs(kurtosis, 3)

    def margin_cosine(one: sp.Expr, other: sp.Expr, entries: Sequence[sp.Symbol]) -> sp.Expr:
        """Return the limit of the cosine of differences of rows times the means of the first two classes."""
        one, other = one * (mean + c * entries[0]), other * (mean + c * entries[1])
        return expected(one * other, entries) / expected(one**2, entries)

    w_rows = sp.symbols("W_i W_l W_j R_i R_l R_j", real=True)
    entry = mean * w + c * w**2
    cosine_of = (c * spread**2)**2 / (mean**2 * spread**2 + kurtosis * c**2 * spread**4)
    limit = rho / (1 + kurtosis * rho)
    gauged = (rho * ((K - 1)**2 + 2) - K) / ((K - 1) * (K + 3 * rho * (K - 1)))
    level = K * (K - 1)
    normal = sp.exp(-s.x**2 / 2) / sp.sqrt(2 * sp.pi)
    return (
        check("An entry of A_i is (mu_0 + c w) w. With E w = E w^3 = 0, E w^2 = s^2 its mean is c s^2,",
              expected(entry), "=", c * spread**2),
        check("and with E w^4 = kappa s^4 its mean square is mu_0^2 s^2 + kappa c^2 s^4.", expected(entry**2), "=",
              mean**2 * spread**2 + kurtosis * c**2 * spread**4),
        check("Entries of different rows are independent: per feature <A_i, A_j> tends to (c s^2)^2 and |A_i|^2 to the "
              "mean square, mu_0^2 averaged over features. With rho = (c s/mu_0)^2 the cosine tends to "
              "rho/(1 + kappa rho):", cosine_of.subs(c, sp.sqrt(rho) * mean / spread), "=", limit),
        check("to rho/(1 + 3 rho) for normal entries, as", sp.integrate(s.x**4 * normal, (s.x, -sp.oo, sp.oo)), "=", 3),
        check("It rises with the separation rho", limit.diff(rho), ">", 0),
        check("from 0", limit.subs(rho, 0), "=", 0),
        check("to 1/kappa, CAS to K (K - 1)/kappa, with nothing shared.", sp.Limit(level * limit, rho, sp.oo), "=",
              level / kurtosis),
        check("With W row-centred, and means mu_0 + c times its rows, it tends for normal entries, here for "
              "K = 3, 4, 5, to",
              sp.Matrix([centred_cosine(classes).subs(c, sp.sqrt(rho) * mean / spread) for classes in (3, 4, 5)]), "=",
              sp.Matrix([gauged.subs(K, classes) for classes in (3, 4, 5)])),
        check("which is -1/(K - 1) without separation,", gauged.subs(rho, 0), "=", -1 / (K - 1)),
        check("and positive from rho = K/((K - 1)^2 + 2) on.", gauged.subs(rho, K / ((K - 1)**2 + 2)), "=", 0),
        check("margin-CAS, with A_ij = (W_i - W_j) m_i, tends to (1 + rho)/(2 + (kappa + 1) rho),",
              margin_cosine(w_rows[0] - w_rows[2], w_rows[1] - w_rows[2], w_rows).subs(
                  c, sp.sqrt(rho) * mean / spread), "=",
              (1 + rho) / (2 + (kurtosis + 1) * rho)),
        check("and with random rows R in place of W to 1/(2 (1 + rho)): no more than 1/2 with nothing shared.",
              margin_cosine(w_rows[3] - w_rows[5], w_rows[4] - w_rows[5], w_rows).subs(
                  c, sp.sqrt(rho) * mean / spread), "=",
              1 / (2 * (1 + rho))),
        check("At c = 0 the cosine has the mean 0 and, as an entry has the mean square mu_0^2 s^2, the variance "
              "sum mu_0^4/(sum mu_0^2)^2 = 1/d_eff: for a normal one CAS is K (K - 1)/sqrt(2 pi d_eff),",
              level * sp.integrate(s.x * normal, (s.x, 0, sp.oo)) / sp.sqrt(participation), "=",
              level / sp.sqrt(2 * sp.pi * participation)),
        check("35.9/sqrt(d_eff) for ten classes: what random rows of W give on any features.",
              sp.floor(10 * 90 / sp.sqrt(2 * sp.pi)), "=", 359),
    ), ("the law of large numbers: sum mu_0^4/(sum mu_0^2)^2 tends to 0 as the features grow in number",
        "the central limit theorem for the cosine at c = 0"), {"cosine": limit, "centred": gauged,
            "null": level / sp.sqrt(2 * sp.pi * participation)}


@claim("CAS-basis")
def cas_basis() -> Stated:
    classes, tau, u = 4, sp.Symbol("tau", positive=True), sp.Symbol("u", positive=True)
    g, h = sp.symbols("g h", real=True)
    change = sp.Matrix(2, 2, sp.symbols("a_1:5"))
    row, feature = sp.Matrix([sp.symbols("W_1:3")]), sp.Matrix(sp.symbols("h_1:3"))
    own, scores = sp.Matrix(sp.symbols("G_1:5", positive=True)), []  # the diagonal of G, and its rows, each of sum 0
    for i in range(classes):
        free = sp.symbols(f"g_{i + 1}_1:3", real=True)
        others = [*free, -own[i] - sum(free)]
        scores.append([*others[:i], own[i], *others[i:]])
    scores, one = sp.Matrix(scores), sp.eye(classes)
    rest = sp.ones(classes, classes) - one
    spread = rest * sp.diag(*own) - sp.diag(*(rest * own))  # row l: G_i for i != l, less their sum for l
    p, q = sp.Matrix.vstack(tau * rest, one), sp.Matrix.vstack(
        spread / (classes - 1), scores - tau * rest * spread / (classes - 1))
    signs = sp.Matrix([[1, 1, 1, -3]])
    mean = sp.Matrix([own[i] / signs[i] for i in range(classes)])
    signed_p, signed_q = sp.Matrix.vstack(tau * mean.T, one), sp.Matrix.vstack(signs, scores - tau * mean * signs)
    even, single = (K - 2) * tau**2 / ((K - 1) * (tau**2 + (K - 1) * (1 - tau)**2)), tau**2 / (tau**2 + (1 - tau)**2)
    x = sp.symbols("x_1:5", nonnegative=True)
    squares, pairs = sum(e**2 for e in x), sum((a - b)**2 for a, b in combinations(x, 2))
    nothing, first, last = sp.zeros(classes, 1), slice(0, classes), slice(classes, 2 * classes)
    return (
        check("An invertible linear map A of the features, undone in W, changes no score of any input, and so no "
              "accuracy and no attack on scores:", row * change.inv() * (change * feature), "=", row * feature),
        check("Only the scores G[i, l] = P_i Q_l of the class means P_i have to stay, and that the rows sum to 0. "
              "Here, for K = 4, are means with no negative entry, tau (J - I) over I, and such rows:",
              sp.Matrix.hstack(p.T * q, *((q * sp.ones(classes, 1))[half, :] for half in (first, last))), "=",
              sp.Matrix.hstack(scores, nothing, nothing)),
        check("P_i times Q_i has tau G_ii/(K - 1) in K - 1 features that it shares, (1 - tau) G_ii in its own:",
              attributions(q.T, p.T), "=",
              sp.Matrix.hstack(tau / (classes - 1) * sp.diag(*own) * rest, (1 - tau) * sp.diag(*own))),
        check("so, with K - 2 features that two classes have in common, the cosine is",
              (K - 2) * (tau / (K - 1))**2 / ((K - 1) * (tau / (K - 1))**2 + (1 - tau)**2), "=", even),
        check("With means of either sign one shared feature will do:", signed_p.T * signed_q, "=", scores),
        check("P_i times Q_i has tau G_ii there, (1 - tau) G_ii in its own, with the cosine tau^2/(tau^2 + (1-tau)^2).",
              attributions(signed_q.T, signed_p.T), "=",
              sp.Matrix.hstack(tau * own, (1 - tau) * sp.diag(*own))),
        check("Both cosines rise with tau,", sp.diff(tau**2 / (1 - tau)**2, tau).subs(tau, u / (1 + u)), ">", 0),
        check("so that CAS takes all values from 0 to K (K - 2) and, with negative means, to K (K - 1).",
              K * (K - 1) * sp.Matrix([[e.subs(tau, end) for e in (even, single)] for end in (0, 1)]), "=",
              sp.Matrix([[0, 0], [K * (K - 2), K * (K - 1)]])),
        check("Where own scores g and h have any sign, amounts u and g - u in two such features, or sets of K, take "
              "its place: the cosine of (u, g - u) and (u, h - u), squared, tends to 1 as u grows.",
              sp.Limit((u**2 + (g - u) * (h - u))**2 / ((u**2 + (g - u)**2) * (u**2 + (h - u)**2)), u, sp.oo), "=", 1),
        check("With no negative mean it is at most K (K - 2): in each feature the rows sum to 0, so that at most "
              "n = K - 1 entries x of the unit vectors are positive, and as many negative. For n = 4",
              4 * squares - sum(x)**2, "=", pairs),
        check("is not negative:", pairs, ">=", 0),
        check("the products of pairs, (sum x)^2 - sum x^2, come to at most (n - 1) sum x^2 in each feature, to (K - 2) "
              "K in all.", sum(x)**2 - squares, "=", 3 * squares - pairs),
        check("The three-class model's row-centred CAS tends to that as r grows.",
              sp.Limit(6 * derive("CAS").results["centred"], s.r, sp.oo), "=", 3 * (3 - 2)),
    ), ("an invertible A exists with A m_i = P_i and W_i = A^T Q_i: both sides have the ranks K and K - 1 and the "
        "same products, and the W_i as the Q_i sum to 0", "max(cos, 0) is at most the product of the positive parts "
        "plus that of the negative parts"), {"non_negative": K * (K - 1) * even, "signed": K * (K - 1) * single}


def family_steps() -> tuple[dict[str, sp.Basic], Steps]:
    """The cosines for features shared by m of K classes, q = r mu_C/mu_E, against the counts of the sets."""
    active = sp.symbols("mu_E mu_C", positive=True)
    ratio = s.r * active[1] / active[0]
    plain, gauged, margin = [], [], []
    for classes, m in FAMILY:
        matrix, features = weights(classes, m), means(classes, m, active)
        rows = attributions(matrix, features)
        plain.append(cosine(rows.row(0), rows.row(1)))
        gauged.append(cosine(*(attributions(centred(matrix), features).row(i) for i in (0, 1))))
        against = matrix - sp.ones(classes, 1) * matrix.row(2)  # W_i - W_3
        rows = attributions(against, features)
        margin.append(cosine(rows.row(0), rows.row(1)))
    own = share**2 * sp.binomial(K - 2, size - 2) / (1 + share**2 * sp.binomial(K - 1, size - 1))
    other = share**2 * sp.binomial(K - 3, size - 2) / (1 + share**2 * sp.binomial(K - 2, size - 1))
    shrunk = own.subs(share, share * (K - size) / (K - 1))

    def table(formula: sp.Expr) -> sp.Matrix:
        return sp.Matrix([formula.subs({K: e, size: m}).subs(share, ratio) for e, m in FAMILY])

    return {"cas": own, "centred": shrunk, "mcas": other}, (
        check("Features shared by m of K classes, q = r mu_C/mu_E: the cosine of A_i and A_l is q^2 B(K-2,m-2)/"
              "(1 + q^2 B(K-1,m-1)), here for K = 3, 4, 5 and all m < K,", sp.Matrix(plain), "=", table(own)),
        check("with W row-centred the same at q (K-m)/(K-1),", sp.Matrix(gauged), "=", table(shrunk)),
        check("as the weights w1 (1 - 1/K) and w2 (1 - m/K) have the ratio",
              s.w2 * (1 - size / K) / (s.w1 * (1 - 1 / K)),
              "=", s.w2 / s.w1 * (K - size) / (K - 1)),
        check("and that of A_ij, A_lj, A_ij = (W_i - W_j) * h, is q^2 B(K-3,m-2)/(1 + q^2 B(K-2,m-1)).",
              sp.Matrix(margin), "=", table(other)))


@claim("mCAS")
def mcas() -> Stated:
    formulas, family = family_steps()
    u, v, shift, h = (sp.Matrix([sp.symbols(f"{name}_1:4", real=True)]) for name in "uvsh")
    stretch = sp.Matrix([sp.symbols("D_1:4", positive=True)])
    three = s.r**2 / (1 + s.r**2)
    # Design A, with the binomials written out: B(K-2,K-3) = K-2, B(K-1,K-2) = K-1.
    plain = share**2 * (K - 2) / (1 + share**2 * (K - 1))
    adversarial = means(3, 2, (s.mu - s.eps, s.mu - s.eps), s.eps)
    seen, unseen = (cosines(attributions(e, adversarial)) for e in (centred(weights(3, 2)), weights(3, 2)))
    bent, late = seen[0].xreplace({s.eps: s.mu * s.t}), {s.t: s.HALF / (1 + s.tau)}  # t = eps/mu

    def times(matrix: sp.Matrix, other: sp.Matrix) -> sp.Matrix:
        return matrix.multiply_elementwise(other)

    return (
        *family,
        check("For K = 3, m = 2 and equal means mCAS is r^2/(1 + r^2).", formulas["mcas"].subs({K: 3, size: 2}), "=",
              three.subs(s.r, share)),
        check("It rises with r from 0 to 1.", three.diff(s.r), ">", 0),
        check("In design A, m = K - 1, row-centring lowers CAS by a factor that tends to (K-1)^2 as q tends to 0.",
              sp.Limit(plain / plain.subs(share, share / (K - 1)), share, 0), "=", (K - 1)**2),
        check("A row added to all of W leaves W_i - W_j as it is,", times((u + shift) - (v + shift), h), "=",
              times(u - v, h)),
        check("as does h -> D h, W -> W D^-1 the product,",
              times(times(u - v, stretch.applyfunc(lambda e: 1 / e)), times(stretch, h)), "=", times(u - v, h)),
        check("and the scale alpha > 0 of the logits the cosine.",
              (s.alpha * u).dot(s.alpha * v) / sp.sqrt((s.alpha * u).dot(s.alpha * u) * (s.alpha * v).dot(s.alpha * v)),
              "=",
              u.dot(v) / sp.sqrt(u.dot(u) * v.dot(v))),
        check("Under delta* active features have the mean mu - eps, others eps. With W row-centred the cosines are, "
              "for t = eps/mu,", seen.xreplace({s.eps: s.mu * s.t}), "=", sp.ones(6, 1) * (
                  5 * s.t**2 * (1 + s.r**2) - s.t * (4 + 6 * s.r**2) + s.r**2)
              / (2 * (3 * s.t**2 * (1 + s.r**2) - s.t * (4 + 2 * s.r**2) + 2 + s.r**2))),
        check("at fixed r they fall as eps grows to mu/2", bent.diff(s.t), "<", 0, [late]),
        check("from r^2/(4 + 2 r^2)", bent.subs(s.t, 0), "=", derive("CAS").results["centred"]),
        check("to -1/2 whatever r: a gauge-fixed CAS of 0 on adversarial inputs need not be forgetting.",
              bent.subs(s.t, s.HALF), "=", -s.HALF),
        check("With W = [w1 I | w2 (J - I)] the attack does not change them.", unseen, "=",
              derive("CAS").results["cosine"] * sp.ones(6, 1)),
    ), ("CAS", "for K > 5 the counts of the sets: B(K-2,m-2) of m classes hold i and l, B(K-3,m-2) those and not j"), {
        **formulas, "three": three, "adversarial": bent.subs(s.t, s.x)}


@claim("E-margins")
def e_margins() -> Stated:
    rows = sp.Matrix([[s.w1, s.w2, 0], [s.w1, 0, s.w2]])  # m_2 and m_3 in the independent e, c_2, c_3
    covariance = s.sigma**2 * rows * rows.T
    correlation = 1 / (1 + s.r**2)
    first, deviation = d * (s.w1 + s.w2), s.sigma * sp.sqrt(s.w1**2 + s.w2**2)
    noises = sp.symbols("sigma_E sigma_C", positive=True)
    unequal = rows * sp.diag(noises[0]**2, noises[1]**2, noises[1]**2) * rows.T
    inverse = sp.Symbol("X", positive=True)  # psi(X) = k (1 - r_acc), r for r_acc
    tau = s.sigma * d * s.r / (s.lam * inverse)
    settled = {s.w2: d * s.r / s.lam, s.tau: tau}
    force = derive("T1-temp").results["force"]
    return (
        check("m_j = w1 e + w2 c_j: the covariances of two margins are", covariance, "=", s.sigma**2 * sp.Matrix(
            [[s.w1**2 + s.w2**2, s.w1**2], [s.w1**2, s.w1**2 + s.w2**2]])),
        check("so their correlation is 1/(1 + r^2),", (covariance[0, 1] / covariance[0, 0]).xreplace(RATIO), "=",
              correlation),
        check("and r is", sp.sqrt(1 / correlation - 1), "=", s.r),
        check("k = d/sigma is (mean/deviation) sqrt(1 + r^2)/(1 + r).",
              (first / deviation).xreplace(RATIO) * sp.sqrt(1 + s.r**2) / (1 + s.r), "=", d / s.sigma),
        check("mean_j m_j - min_j m_j has the mean w2 sigma e_{K-1}, as E min_j c_j = d - sigma e_{K-1} (G-K):",
              (s.w1 * d + s.w2 * d) - (s.w1 * d + s.w2 * (d - s.sigma * e_n)), "=", s.w2 * s.sigma * e_n),
        check("for K = 3 T1's spread, E|C_2 - C_3|/2 times w2.", s.w2 * s.sigma * derive("G-K").results["e_2"], "=",
              s.w2 * s.sigma / s.ROOT_PI),
        check("With unequal noise the correlation gives r' = w2 sigma_C/(w1 sigma_E).",
              (unequal[0, 1] / unequal[0, 0]).xreplace({s.w1: s.alpha, s.w2: s.r * s.alpha * noises[0] / noises[1]}),
              "=", correlation),
        check("A difficulty common to all m_j, of variance alpha, raises the correlation and lowers the estimate of r.",
              ((covariance[0, 1] + s.beta) / (covariance[0, 0] + s.beta)).xreplace(RATIO), ">", correlation),
        check("tau*: at w2 = d r/lam and sigma w2/tau = X the force of T1-temp is d (1 - r) - sigma psi(X),",
              force.xreplace(settled), "=", d * (1 - s.r) - s.sigma * Psi(inverse)),
        check("0 for psi(X) = k (1 - r): so the wrong-class log-sum-exp attains r = r_acc at that tau.",
              (d * (1 - s.r) - s.sigma * s.k * (1 - s.r)).subs(s.k, d / s.sigma), "=", 0),
        check("X exists, as k (1 - r_acc) < 1/sqrt(pi): the gap is b*/sqrt(pi), positive by N3.",
              1 / s.ROOT_PI - s.k * (1 - s.r), "=", derive("N3").results["b_star_in_terms"] / s.ROOT_PI),
    ), ("T1-temp: psi rises from 0 to 1/sqrt(pi)", "G-K, N3", "w1 > 0; design A; for tau* K = 3 and k > 1/sqrt(pi)"), {
        "correlation": correlation, "tau": tau, "spread": s.w2 * s.sigma * e_n}
