"""Properties of the attack, of other noise, classes, norms and weights, and of CAS, at exact fractions."""

import math
from collections import namedtuple
from fractions import Fraction
from itertools import combinations, permutations, product
from operator import lt

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio, best_smoothing
from synthmodel.claims.checks.general import density_sign, gini, joint_classes
from synthmodel.model.losses import Margin
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0, solve_closed, threshold_closed
from synthmodel.solvers.margin_polar import solve_polar
from synthmodel.testing import replay
from synthmodel.testing.arithmetic import exact_sign, far
from synthmodel.testing.statements import largest_mean
from synthmodel.testing.strategies import about, between, noises, ratios
from tests.support.domains import property_of

Shared = namedtuple("Shared", "classes design sigma eps")

ROUNDING = 1e-12
VERTICES = np.array(list(product((-1.0, 1.0), repeat=6)))

FEATURES = st.tuples(*[between(-3, 3)] * 3)
WEIGHTS = st.tuples(between(-2, 2, 0), between(-2, 2, 0))
# max of a few functions alpha (-m_j) + beta (-m_l) + gamma: convex, and monotone for alpha, beta >= 0
PIECES = st.lists(st.tuples(between(0, 2), between(0, 2), between(-1, 1)), min_size=1, max_size=3)


def margins(x, w, delta):
    """m_2, m_3 of class 1 at the features (E_1, C_2, C_3) = x moved by delta (E_1, E_2, E_3, C_1, C_2, C_3)."""
    (e, c2, c3), (w1, w2) = x, w
    e1, e2, e3, d1, d2, d3 = e + delta[0], *delta[1:4], c2 + delta[4], c3 + delta[5]
    scores = w1 * e1 + w2 * (d2 + d3), w1 * e2 + w2 * (d1 + d3), w1 * e3 + w2 * (d1 + d2)
    return scores[0] - scores[1], scores[0] - scores[2]


@pytest.mark.slow
@property_of("A1", x=FEATURES, w=WEIGHTS, eps=between(0, 1), pieces=PIECES)
def test_a1(x, w, eps, pieces, *, shared=-1, slopes=lambda piece: piece):
    """delta* is the worst of the 64 vertices for every monotone loss, exactly, and lowers both margins by 2 eps N."""
    def loss(m):
        return max(alpha * -m[0] + beta * -m[1] + gamma for alpha, beta, gamma in map(slopes, pieces))
    p, q = (1 if weight >= 0 else -1 for weight in w)
    star = [eps * v for v in (-p, p, p, -shared * q, shared * q, shared * q)]
    lowered = [m - 2 * eps * (abs(w[0]) + abs(w[1])) for m in margins(x, w, [0] * 6)]
    vertices = product((-eps, eps), repeat=6)
    assert loss(margins(x, w, star)) == max(loss(margins(x, w, vertex)) for vertex in vertices)
    assert list(margins(x, w, star)) == lowered


LAWS = noises()


def mean_least(law, n):
    """E min of n standardised draws, from its survival function: int_0^inf S^n - int_-inf^0 (1 - S^n)."""
    z = np.linspace(-60, 60, 120_001)
    integrand = np.where(z > 0, law.sf(z) ** n, law.sf(z) ** n - 1)
    integrand[60_000] = (law.sf(0.0) ** n + law.sf(0.0) ** n - 1) / 2  # the mean of both sides
    return float(np.trapezoid(integrand, z))


@pytest.mark.slow
@property_of("N1", examples=40, law=LAWS, k=between("1/2", 4), share=between("1/2", "3/2", "99/100", "101/100"),
             mu=between("1/2", 2), s_e=between("1/5", 2))
def test_n1(law, k, share, mu, s_e, *, means=lambda known: mean_least(known, 2)):
    """The loss drops w2 at eps0 = E min/2, where an infinitesimal w2 stops raising joint accuracy."""
    s_c = mu / k
    setting = Setting(float(mu), sigma_e=float(s_e), sigma_c=float(s_c), noise=law)
    threshold = (float(mu) + float(s_c) * means(setting.law)) / 2
    assert math.isclose(eps0(setting), threshold, abs_tol=2e-6)  # the rule's kinks and Student's tails
    eps = float(share) * threshold
    assume(abs(share - 1) >= Fraction(1, 100) and 0 <= eps < float(mu) / 2 and threshold > 0.05)
    rise = accuracy_of(setting, 1e-4, eps)[0] - accuracy_of(setting, 0.0, eps)[0]
    assume(abs(rise) > 1e-9)  # uniform noise: no density at 0
    assert (rise > 0) == (eps < threshold)
    assert (solve_closed(setting, Margin(), eps, 1.0).w2 > 0) == (rise > 0)


@pytest.mark.slow
@property_of("G-noise", examples=40, mu=between("1/2", 2), sigma=between("1/20", 1), law=LAWS,
             rho=between("-9/10", "9/10", 0))
def test_g_noise(mu, sigma, law, rho, *, quarter=4, shared=lambda rho: 1 - rho):
    """eps0 = mu/2 - G/4, G = E|C - C'|; with correlation mu/2 - sigma sqrt((1-rho)/pi)/2."""
    frozen = {"laplace": stats.laplace(), "logistic": stats.logistic(), "uniform": stats.uniform(),
              "student-t:5": stats.t(5), "normal": stats.norm()}[law]
    found = eps0(Setting(float(mu), float(sigma), noise=law))
    assert abs(found - (float(mu) / 2 - gini(frozen) / frozen.std() * float(sigma) / quarter)) <= 1e-8
    correlated = Setting(float(mu), float(sigma), rho=float(rho))
    exact = float(mu) / 2 - float(sigma) * math.sqrt(float(shared(rho)) / math.pi) / 2
    assert abs(eps0(correlated) - exact) <= ROUNDING
    assert abs(solve_polar(correlated, Margin(), 0.0, 1.0).w2 - max(2 * exact, 0)) <= 1e-9


@st.composite
def shared_features(draw):
    """A Shared of K <= 6 classes, mu = 1, eps often near its threshold."""
    classes, design, sigma = draw(st.integers(3, 6)), draw(st.sampled_from("AB")), draw(between("1/20", "3/4"))
    edge = threshold_closed(Setting(1.0, float(sigma), classes=classes, design=design), Margin())
    eps = about(draw, edge) if edge > 0 and draw(st.booleans()) else draw(between(0, "1/2"))
    return Shared(classes, design, sigma, eps)


@pytest.mark.slow
@property_of("G-K", examples=60, shared=shared_features(), lam=between("1/10", 5))
def test_g_classes(shared, lam, *, e_n=largest_mean, per=lambda n: n - 1):
    """w2 > 0 iff eps < (mu - sigma e_n)/2 in design A, with e_n/(n-1) in B, n = K-1, mu = 1: decided exactly."""
    classes, design, sigma, eps = shared
    n = classes - 1
    divisor = 1 if design == "A" else per(n)

    def pulled(m):
        return m.number(1 - 2 * eps) - m.number(sigma) * e_n(m, n) / divisor
    setting = Setting(1.0, float(sigma), classes=classes, design=design)
    closed, numeric = (solver(setting, Margin(), float(eps), float(lam)) for solver in (solve_closed, solve_polar))
    assert abs(closed.w1 - numeric.w1) + abs(closed.w2 - numeric.w2) <= 1e-9 / float(lam)
    if design == "A":
        assert replay("G-K", 15, **shared._asdict()).verdict == "holds"
    if far(pulled, Fraction("1e-9")):
        assert (numeric.w2 > 0) == (exact_sign(pulled) > 0) == (closed.w2 > 0)


@property_of("G-lp", examples=60, p=st.one_of(between(1, 6, 2, 3), st.just(2), st.just(math.inf)),
             eps=between("1/50", "1/4"), sigma=between("1/10", "3/2"))
def test_g_lp(p, eps, sigma, *, order=lambda p: np.sign(2 - p)):
    """For every eps > 0 the ratio lies below, at, above its value at eps = 0 for p > 2, p = 2, p < 2."""
    assume(p == 2 or abs(p - 2) >= Fraction(1, 50))
    setting = Setting(1.0, float(sigma), norm=float(p))
    free = 1 - float(sigma) / math.sqrt(math.pi)
    for solver in (solve_closed, solve_polar):
        ratio = solver(setting, Margin(), float(eps), 1.0).ratio
        assume(ratio is not None)
        sign = np.sign(ratio - free) if abs(ratio - free) > 1e-9 else 0
        assume(ratio > 0 or p == math.inf)  # where w = 0 is near, or w1 alone is left
        assert sign == order(float(p))


@st.composite
def strengths_of_classes(draw):
    """(K, k), k often near e_{K-1}."""
    classes = draw(st.integers(4, 6))
    edge = Setting(1.0, 1.0, classes=classes).law.mean_largest(classes - 1)
    return classes, about(draw, edge) if draw(st.booleans()) else draw(between("1/2", 3))


@pytest.mark.slow
@property_of("T2-joint-K", examples=40, problem=strengths_of_classes(), r=ratios(2))
def test_t2_joint_classes(problem, r, *, e_n=largest_mean, compare=lt):
    """r_acc = 0 iff k <= e_{K-1}, decided exactly; up to it P rises, then it falls. N2-K: r_AT < r_acc, 0 < b* < 1."""
    classes, k = problem
    n, setting = classes - 1, Setting(float(k), 1.0, classes=classes)
    assume(far(lambda m: m.number(k) - e_n(m, n), Fraction(1, 1000)))
    best = best_ratio(setting, 0.0)
    assert (best > 0) == (exact_sign(lambda m: m.number(k) - e_n(m, n)) > 0) and best < 1
    if abs(float(r) - best) > 1e-3:
        assert (density_sign(float(r), float(k), n) > 0) == (float(r) < best)
    assert joint_classes(float(r), float(k), n) <= joint_classes(best, float(k), n) + 1e-10
    if best > 0:
        assert compare(solve_closed(setting, Margin(), 0.0, 1.0).ratio, best)
        assert 0 < best_smoothing(setting, 0.0) < 1


CLASS = [[0, 1, 2], [1, 0, 2], [2, 0, 1]]


def general_risk(weight, eps, sigma):
    """E max_delta loss of W (3, 6), over 64 vertices: margin and cross-entropy, 8 samples of each class."""
    draws = 1 + sigma * np.array(list(product((-1.0, 0.5), (-1.2, 0.7), (-1.2, 0.7))))
    total = np.zeros(2)
    for i, j, k in CLASS:
        x = np.zeros((len(draws), 6))
        x[:, [i, 3 + j, 3 + k]] = draws
        f = (x[:, None] + eps * VERTICES) @ weight.T
        others = f[..., [j, k]]
        total += [(others.max(-1) - f[..., i]).max(1).mean(), (logsumexp(f, axis=-1) - f[..., i]).max(1).mean()]
    return total / 3


@pytest.mark.slow
@property_of("T1-W", examples=60, entries=st.lists(between(-2, 2, 0), min_size=18, max_size=18), eps=between(0, 1),
             order=st.permutations(range(3)), row=st.lists(between(-1, 1), min_size=6, max_size=6))
def test_t1_w(entries, eps, order, row, *, columns=lambda order: [*order, *(3 + i for i in order)]):
    """The risk does not change under a permutation of the classes or a common row; averaging over them lowers it."""
    weight = np.array(entries, dtype=float).reshape(3, 6)

    def moved(order):
        return weight[list(order)][:, columns(list(order))]
    risk = general_risk(weight, float(eps), 0.5)
    assert np.allclose(general_risk(moved(order), float(eps), 0.5), risk, rtol=0, atol=1e-12)
    assert np.allclose(general_risk(weight + np.array(row, dtype=float), float(eps), 0.5), risk, rtol=0, atol=1e-12)
    average = np.mean([moved(each) for each in permutations(range(3))], axis=0)
    assert (general_risk(average, float(eps), 0.5) <= risk + 1e-12).all()


def cosine(a, b):
    """The cosine of two rational vectors of the same length, exactly; 0 for a zero vector."""
    size = sum(x * x for x in a)
    assert size == sum(x * x for x in b)
    return Fraction(sum(x * y for x, y in zip(a, b, strict=True))) / size if size else Fraction(0)


@property_of("CAS", r=ratios(), row=between(-1, 1))
def test_cas(r, row, *, plain=lambda r: r**2 / (1 + 2 * r**2), centred=lambda r: r**2 / (4 + 2 * r**2)):
    """C[i, j] of W = [I | r (J - I)] at the mean features, as it is and with its rows centred; exactly."""
    features = [[int(j == i) for j in range(3)] + [int(j != i) for j in range(3)] for i in range(3)]
    weight = [[1 if j == i else 0 for j in range(3)] + [r if j != i else 0 for j in range(3)] for i in range(3)]
    means = [sum(w[c] for w in weight) / Fraction(3) for c in range(6)]
    rows = [[w - m for w, m in zip(one, means, strict=True)] for one in weight]
    for matrix, formula in ((weight, plain), (rows, centred)):
        a = [[x * w for x, w in zip(feature, one, strict=True)] for feature, one in zip(features, matrix, strict=True)]
        assert {cosine(a[i], a[j]) for i, j in permutations(range(3), 2)} == {formula(r)}


@property_of("CAS-separation", mean=between("1/10", 3), c=between(0, 3), rare=between("1/10", 1),
             size=between("1/10", 3))
def test_separation(mean, c, rare, size, *, limit=lambda rho, kurtosis: rho / (1 + kurtosis * rho)):
    """The limit of a cosine as a ratio of means over a law of three values, -a, 0 and a; 0 with 1 - rare."""
    law = {-size: rare / 2, size: rare / 2, Fraction(0): 1 - rare}

    def expected(function):
        return sum(chance * function(value) for value, chance in law.items())
    square, fourth = expected(lambda w: w**2), expected(lambda w: w**4)
    inner = sum(p * q * (mean + c * w) * w * (mean + c * v) * v for w, p in law.items() for v, q in law.items())
    length = expected(lambda w: ((mean + c * w) * w)**2)
    assert inner / length == limit(c**2 * square / mean**2, fourth / square**2)


@property_of("CAS-basis", classes=st.integers(3, 5), means=st.lists(st.integers(0, 3), min_size=20, max_size=20),
             rows=st.lists(st.integers(-3, 3), min_size=20, max_size=20))
def test_basis(classes, means, rows, *, most=2):
    """Means that are not negative and rows that sum to 0 in each feature have a CAS of at most K (K - 2)."""
    means = np.array(means[:4 * classes], float).reshape(classes, 4)
    rows = np.array(rows[:4 * classes], float).reshape(classes, 4)
    attributed = means * (rows - rows.mean(0))
    sizes = np.sqrt((attributed**2).sum(1))
    found = sum(max(attributed[i] @ attributed[j], 0) / (sizes[i] * sizes[j])
                for i, j in permutations(range(classes), 2) if sizes[i] * sizes[j] > 0)
    assert found <= classes * (classes - most) + ROUNDING * classes**2


def binomial(n, m):
    return math.comb(n, m) if 0 <= m <= n else 0


@pytest.mark.slow
@property_of("mCAS", q=ratios(), classes=st.integers(3, 5), shared=st.integers(2, 4),
             row=st.lists(between(-1, 1), min_size=20, max_size=20))
def test_margin_cas(q, classes, shared, row, *, most=3):
    """mCAS = q^2 B(K-3,m-2)/(1 + q^2 B(K-2,m-1)), features shared by m of K classes, any common row; exactly."""
    assume(shared < classes)
    groups = [{i} for i in range(classes)] + [set(group) for group in combinations(range(classes), shared)]
    features = [[int(i in group) for group in groups] for i in range(classes)]
    weight = [[(1 if len(group) == 1 else q) * (i in group) + common
               for group, common in zip(groups, row, strict=False)] for i in range(classes)]

    def attribution(i, j):
        return [x * (v - w) for x, v, w in zip(features[i], weight[i], weight[j], strict=True)]
    expected = q**2 * binomial(classes - most, shared - 2) / (1 + q**2 * binomial(classes - 2, shared - 1))
    assert {cosine(attribution(i, j), attribution(k, j)) for i, k, j in permutations(range(classes), 3)} == {expected}
