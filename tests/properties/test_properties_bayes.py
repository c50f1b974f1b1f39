"""Properties of the robust Bayes error, of any sharing and of the learning curve, at exact fractions."""

import math
from fractions import Fraction
from itertools import chain, combinations
from operator import gt, sub

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.special import ndtr

from synthmodel.accuracy.bayes import error_of_chances
from synthmodel.accuracy.sharing import Sharing, error_of_sharing
from synthmodel.claims.checks.bayes import best_of_all_classifiers, designed, small_chance
from synthmodel.flows.learning_curve import chance_used, chance_used_normal
from synthmodel.testing.strategies import between
from tests.properties.test_properties_general import VERTICES
from tests.support.domains import property_of

CHANCES = between("1/1000", "999/1000", "1/2")


@st.composite
def finite_models(draw):
    """(rows, values, weights, eps, priors): 2 or 3 classes, exclusive features and up to 3 others, 2 values each."""
    classes, shared = draw(st.integers(2, 3)), draw(st.integers(0, 3))
    rows = [[int(i == j) for j in range(classes)] + draw(st.lists(st.integers(0, 1), min_size=shared, max_size=shared))
            for i in range(classes)]
    pairs = draw(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 9), st.integers(1, 5)).filter(
        lambda x: x[0] != x[1]), min_size=classes + shared, max_size=classes + shared))
    values, weights = [list(pair[:2]) for pair in pairs], [[Fraction(at, 6), Fraction(6 - at, 6)] for *_, at in pairs]
    parts = draw(st.lists(st.integers(1, 5), min_size=classes, max_size=classes))
    return rows, values, weights, draw(st.integers(1, 3)), [Fraction(part, sum(parts)) for part in parts]


def subsets(names):
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


def by_patterns(rows, chances, priors, pick=max):
    """1 - the sum over N of the largest mass among the classes that have all of N, as B1 has it."""
    right = Fraction(0)
    for seen in subsets(range(len(chances))):
        masses = [prior * math.prod(((1 - q) if f in seen else q) for f, (has, q) in enumerate(zip(
            row, chances, strict=True)) if has) for row, prior in zip(rows, priors, strict=True)
            if all(row[f] for f in seen)]
        right += pick(masses) if masses else 0
    return 1 - right


@pytest.mark.slow
@property_of("B1", examples=60, model=finite_models())
def test_bayes_of_all_classifiers(model, *, reach=2, pick=max):
    """The best of all classifiers, by integer programming over the conflicts of inputs, has the error of B1."""
    rows, values, weights, eps, priors = model
    chances = [sum(weight for value, weight in zip(*pair, strict=True) if abs(value) <= reach * eps)
               for pair in zip(values, weights, strict=True)]
    found = best_of_all_classifiers(rows, values, weights, eps, priors)
    assert abs(found - by_patterns(rows, chances, priors, pick)) <= 1e-9


@pytest.mark.slow
@property_of("B1-lp", examples=25, model=finite_models(), p=st.sampled_from([1.0, 1.5, 2.0, 3.0, 8.0]))
def test_bayes_of_an_lp_attack(model, p, *, more=0):
    """The best of all classifiers under an l_p attack lies between B1's errors at eps D^(-1/p) and at eps."""
    rows, values, weights, eps, priors = model
    differ = max(sum(a != b for a, b in zip(row, other, strict=True)) for row in rows for other in rows)
    found = best_of_all_classifiers(rows, values, weights, eps, priors, p)
    laws = list(zip(values, weights, strict=True))
    low, high = (by_patterns(rows, [small_chance((1 + more) * size, *law) for law in laws], priors)
                 for size in (eps * differ**(-1 / p), eps))
    assert low - 1e-9 <= found <= high + 1e-9


@property_of("B1", examples=40, classes=st.integers(3, 5), design=st.sampled_from("AB"), q_e=CHANCES, q=CHANCES)
def test_bayes_closed(classes, design, q_e, q, *, lost=sub):
    """Designs A and B by their closed forms, exactly; the library's are these, and exclusive features have more."""
    n, stays = classes - 1, (1 - q)**classes
    closed = (q_e - q_e * lost(1, stays) / (classes * q) if design == "A"
              else q_e * q**(n - 1) * (q * n / classes + lost(1, q) * n / 2))
    assert abs(float(closed) - float(error_of_chances(classes, design, float(q_e), float(q)))) <= 1e-14
    if q_e == q:
        assert closed == error_of_sharing(designed(design, classes), q)
    assert closed < q_e * Fraction(n, classes)


@property_of("B1", examples=40, classes=st.integers(2, 4), q=CHANCES, data=st.data())
def test_bayes_of_a_sharing(classes, q, data, *, least=0):
    """Inclusion and exclusion over earlier classes is the sum over N, exactly; no sharing is worse than none."""
    rows = data.draw(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=classes, max_size=classes))
    full = [[int(i == j) for j in range(classes)] + row for i, row in enumerate(rows)]
    found = error_of_sharing(rows, q)
    assert found == by_patterns(full, [q] * (classes + 3), [Fraction(1, classes)] * classes)
    assert least <= found <= q * Fraction(classes - 1, classes)


SMALL = between(-2, 3)


@pytest.mark.slow
@property_of("G-share", examples=60, rows=st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=3,
                                                   max_size=3), x=st.lists(SMALL, min_size=4, max_size=4),
             w=st.tuples(between(0, 2), between(0, 2)), eps=between(0, 1))
def test_any_sharing(rows, x, w, eps, *, cost=lambda ours, theirs: ours != theirs, lost=all):
    """The attacked margin of every class is w1 e + w2 min c, over all vertices; a lost matrix has M <= 0."""
    w1, w2 = w
    weight = np.hstack([w1 * np.eye(3, dtype=int), w2 * np.array(rows)])
    least = []
    for i, ours in enumerate(rows):
        values = np.array([x[0] * (j == i) for j in range(3)] + [value * has for value, has in zip(
            x[1:], ours, strict=True)])
        attacked = values + eps * VERTICES.astype(int)
        scores = attacked @ weight.T
        others = [j for j in range(3) if j != i]
        brute = min(min(score[i] - score[j] for j in others) for score in scores)
        least.append(min(sum(value * (a > b) for value, a, b in zip(x[1:], ours, rows[j], strict=True))
                         - eps * sum(cost(a, b) for a, b in zip(ours, rows[j], strict=True)) for j in others))
        assert brute == w1 * (x[0] - 2 * eps) + w2 * least[-1]
    shared = Sharing(rows)
    assert shared.lost == lost(any(all(a <= b for a, b in zip(ours, rows[j], strict=True))
                                   for j in range(3) if j != i) for i, ours in enumerate(rows))
    assert not shared.lost or max(least) <= 0


@property_of("N1-sample", examples=60, k=between("-1", 2, "0.5641896"), step=between("1/1000", 1),
             size=st.integers(1, 50))
def test_learning_curve(k, step, size, *, one=lambda chance: chance**2, compare=gt):
    """N = 1 in closed form; the chance rises with k; and the central limit is near."""
    chance = chance_used(float(k), size)
    assert 0 <= chance <= 1 and compare(chance_used(float(k + step), size), chance - 1e-15)
    assert abs(chance_used(float(k), 1) - one(float(ndtr(float(k))))) <= 1e-14
    assert abs(chance - chance_used_normal(float(k), size)) <= 0.04 / math.sqrt(size)  # Berry and Esseen, seen


EXAMPLES = st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=5)


@property_of("N1-sample", examples=60, sample=EXAMPLES, eps=between(0, 1), lam=between("1/10", 2),
             w=st.tuples(between(0, 4), between(0, 4)))
def test_the_weights_of_a_sample(sample, eps, lam, w, *, least=min):
    """No w >= 0 has a lower empirical risk than (max(ebar, 0), max(Mbar, 0))/lam, exactly."""
    def risk(w1, w2):
        losses = [-w1 * (e - 2 * eps) - w2 * (min(c, other) - 2 * eps) for e, c, other in sample]
        return sum(losses) / len(sample) + lam * (w1**2 + w2**2) / 2
    best = [max(sum(values) / len(sample) - 2 * eps, 0) / lam
            for values in ([e for e, _, _ in sample], [least(c, other) for _, c, other in sample])]
    assert risk(*best) <= risk(*w)
