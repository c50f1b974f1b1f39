"""The robust Bayes error, affine scores, and any sharing of features: values, limits, what is refused."""

import json
import math
from itertools import combinations, product

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from synthmodel import Margin, Setting, accuracy_of, bayes_error, best_ratio, eps0, joint_accuracy, threshold
from synthmodel.__main__ import main
from synthmodel.accuracy.bayes import affine_error, bayes_bounds, error_of_chances, exclusive_error, linear_error, small
from synthmodel.accuracy.sharing import ANIMALS_AND_VEHICLES, Sharing, error_of_sharing
from synthmodel.accuracy.three_classes import r_acc
from synthmodel.claims.checks.bayes import designed, nested_rows, one_sharing_row, rule_by_sample, small_chance
from synthmodel.model.noise import law
from synthmodel.symbolic import derive
from synthmodel.symbolic.general.bayes import K, q_e
from synthmodel.symbolic.symbols import q

SETTING = Setting(1, 0.5)


def test_the_errors_of_the_example():
    """Two weights, exclusive features alone, affine scores and the best classifier, below eps0 and beyond it."""
    values = {0.2: (0.0774, 0.0750, 0.0533, 0.0122), 0.4: (0.3446, 0.2296, 0.2101, 0.1050)}
    for eps, expected in values.items():
        two = 1 - accuracy_of(SETTING, best_ratio(SETTING, eps), eps)[0]
        found = two, exclusive_error(SETTING, eps), affine_error(SETTING.k(eps)), bayes_error(SETTING, eps)
        assert found == pytest.approx(expected, abs=5e-5)
    assert 0.2 < eps0(SETTING) < 0.4


def error_of_rows(weight, mu, sigma, eps):
    """The robust error of W x, W (3, 6) of E1..E3, C1..C3: both margins of a class are jointly normal."""
    has, right = np.hstack([np.eye(3), 1 - np.eye(3)]), 0.0
    for i in range(3):
        margins = np.array([weight[i] - weight[j] for j in range(3) if j != i])
        seen = margins * has[i]
        mean = mu * seen.sum(1) - eps * np.abs(margins).sum(1)
        right += multivariate_normal.cdf(mean, np.zeros(2), sigma**2 * seen @ seen.T, allow_singular=True, rng=0) / 3
    return 1 - right


@pytest.mark.parametrize("k", [0.1, 0.5, 0.6, 1.2, 2.0, 3.0])
def test_rows_that_are_not_alike_come_near_their_limit(k):
    """At eps = 0, and at a small eps they are better than two weights, too; those have two weights' own error."""
    limit, r = linear_error(k), r_acc(k)
    two = np.hstack([np.eye(3), r * (1 - np.eye(3))])
    assert error_of_rows(two, k, 1, 0.0) == pytest.approx(1 - joint_accuracy(r, k), abs=1e-7)
    gaps = [error_of_rows(nested_rows(r, own, own**2), k, 1, 0.0) - limit for own in (1e-1, 1e-2, 1e-3)]
    assert abs(gaps[2]) < 1e-2 * limit and abs(gaps[2]) < abs(gaps[0]) / 30
    eps = 1e-5 * k
    assert error_of_rows(nested_rows(r), k, 1, eps) < 1 - joint_accuracy(r_acc(k - 2 * eps), k - 2 * eps)


def test_the_errors_of_the_scores_of_b1_rows():
    found, setting = error_of_rows(one_sharing_row(), 1, 1.5, 0.1), Setting(1, 1.5)
    assert found == pytest.approx(0.2912, abs=5e-5) and ndtr(-0.8 / 1.5) == pytest.approx(0.2969, abs=5e-5)
    assert eps0(setting) == pytest.approx(0.0769, abs=5e-5) and best_ratio(setting, 0.1) == 0


@pytest.mark.parametrize("classes", [3, 4, 10, 100])
def test_closed_forms_and_their_ends(classes):
    n, chances = classes - 1, np.array([1e-12, 0.1, 0.5, 0.9, 1.0])
    a = error_of_chances(classes, "A", 0.3 * np.ones(5), chances)
    assert a[1:] == pytest.approx(0.3 * (1 - (1 - (1 - chances[1:])**classes) / (classes * chances[1:])), rel=1e-12)
    assert a[0] == pytest.approx(0.3 * n / 2 * 1e-12, rel=1e-9)  # no digit is lost where features are nearly sure
    b = error_of_chances(classes, "B", 0.3 * np.ones(5), chances)
    assert a[-1] == pytest.approx(0.3 * n / classes) and b[-1] == pytest.approx(0.3 * n / classes)
    assert (np.diff(a) > 0).all() and (np.diff(b)[1:] > 0).all()
    setting = Setting(1, 0.5, classes=classes)
    assert bayes_error(setting, 0) == 0 and bayes_error(setting, 50) == pytest.approx(n / classes)


def test_an_error_of_arrays_and_of_other_laws():
    eps = np.array([0.1, 0.2])
    setting = Setting([[1.0], [0.8]], 0.5, mu_c=1.2, sigma_c=0.3, noise="laplace")
    found = bayes_error(setting, eps)
    assert found.shape == (2, 2)
    for i, mu in enumerate((1.0, 0.8)):
        for j, size in enumerate((0.1, 0.2)):
            q_e, q = (small(law("laplace"), *at, size) for at in ((mu, 0.5), (1.2, 0.3)))
            assert found[i, j] == pytest.approx(q_e * (1 - (1 - (1 - q)**3) / (3 * q)))
    assert bayes_error(Setting(1, 0.5, noise="uniform"), 0.05) == 0  # no feature is ever small


def test_the_chance_of_a_small_feature_keeps_its_digits():
    known = law("normal")
    assert float(small(known, 1.0, 0.05, 0.1)) == pytest.approx(float(ndtr(-16.0)), rel=1e-12)
    assert float(small(known, -1.0, 0.05, 0.1)) == pytest.approx(float(ndtr(-16.0)), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "classes", "design"), [(0.7, 3, "A"), (0.7, 5, "A"), (0.5, 4, "B")])
def test_shared_parts_by_a_sample(rho, classes, design):
    """The rule of B1 on correlated features; at rho -> 0 the independent case."""
    setting, rng = Setting(1, 0.5, classes=classes, design=design, rho=rho), np.random.default_rng(8)
    count, eps = 200_000, 0.25
    common = rng.standard_normal((count, 1))
    features = np.array(designed(design, classes), dtype=bool)
    label = np.arange(count) % classes
    z = math.sqrt(rho) * common + math.sqrt(1 - rho) * rng.standard_normal((count, features.shape[1]))
    own, x = 1 + 0.5 * rng.standard_normal(count), np.where(features[label], 1 + 0.5 * z, 0.0)
    seen = np.abs(x) > 2 * eps
    contained = np.array([~(seen & ~row).any(axis=1) for row in features])
    earlier = np.array([contained[:i, at].any() for at, i in enumerate(label)])
    wrong, expected = np.mean((np.abs(own) <= 2 * eps) & earlier), bayes_error(setting, eps)
    assert abs(wrong - expected) < 4.5 * math.sqrt(expected / count)
    independent = bayes_error(Setting(1, 0.5, classes=classes, design=design), eps)
    assert abs(expected - independent) > 9 * math.sqrt(expected / count)
    assert bayes_error(Setting(1, 0.5, classes=classes, design=design, rho=1e-9), eps) == pytest.approx(
        independent, abs=1e-9)


def test_bounds_under_an_lp_attack():
    """Four features differ in design A and 2 (K-1) in design B; the bounds meet at p = inf, and rise with p."""
    for design, classes, differ, all_features in (("A", 3, 4, 6), ("A", 6, 4, 12), ("B", 3, 4, 6), ("B", 6, 10, 21)):
        plain = Setting(1, 0.5, classes=classes, design=design)
        for kind in (False, True):
            assert bayes_bounds(plain, 0.3, randomised=kind) == (bayes_error(plain, 0.3),) * 2
        euclidean = Setting(1, 0.5, classes=classes, design=design, norm=2)
        assert bayes_bounds(euclidean, 0.3, randomised=True) == pytest.approx(
            (bayes_error(plain, 0.3 / math.sqrt(all_features)), bayes_error(plain, 0.3)))
        found = [bayes_bounds(Setting(1, 0.5, classes=classes, design=design, norm=p), 0.3) for p in (1, 2, 8)]
        lower = [bayes_error(plain, 0.3 * differ**(-1 / p)) for p in (1, 2, 8)]
        assert [low for low, _ in found] == pytest.approx(lower)
        assert found[0][0] < found[1][0] < found[2][0] < found[0][1] == bayes_error(plain, 0.3)
    with pytest.raises(ValueError, match=r"rho = -0\.3 was"):
        bayes_bounds(Setting(rho=-0.3, norm=2), 0.1)


def test_chance_beats_the_bound_of_deterministic_classifiers():
    """Values 1, K = 3, design A, p = 2: a triangle of side 2; balls meet two by two from 1, all from 2/sqrt 3."""
    corners = sp.Matrix(np.hstack([np.eye(3, dtype=int), designed("A", 3)]))
    sides = [corners[i, :] - corners[j, :] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [side.dot(side) for side in sides] == [4, 4, 4]
    point = sp.Matrix([sp.symbols("y_:6", real=True)])
    centre = sum((corners[i, :] for i in range(3)), sp.zeros(1, 6)) / 3
    mean = sum((point - corners[i, :]).dot(point - corners[i, :]) for i in range(3)) / 3
    assert sp.expand(mean - (point - centre).dot(point - centre)) == sp.Rational(4, 3)  # at any point, of all three
    lows = {}
    for eps in (sp.Rational(99, 100), sp.Rational(115, 100), sp.Rational(123, 100)):
        most = 1 if eps < 1 else 2 if eps**2 < sp.Rational(4, 3) else 3  # classes within eps of one point
        error = 1 - sp.Rational(1, most)  # the answer drawn uniformly from these
        low, drawn = (float(bayes_bounds(Setting(1, 1e-9, norm=2), float(eps), randomised=kind)[0])
                      for kind in (False, True))
        assert drawn <= error + 1e-9
        lows[most] = low - error, drawn
    assert lows == {1: (0, 0), 2: (pytest.approx(1 / 6), 0), 3: (pytest.approx(0), pytest.approx(2 / 3))}


@pytest.mark.parametrize("eps", [0.8, 1.15, 1.3, 2.5])
def test_the_best_randomised_classifier_is_above_its_bound(eps):
    """By linear programming, p = 2: the chances of one input a class have a sum of at most 1 where their balls meet."""
    values, weights = np.array([1.0, 2.0, 7.0]), np.array([0.3, 0.3, 0.4])
    chosen = np.array(list(product(range(3), repeat=3)))
    inputs = [np.zeros((27, 6)) for _ in range(3)]
    for points, row in zip(inputs, np.hstack([np.eye(3, dtype=int), designed("A", 3)]), strict=True):
        points[:, row == 1] = values[chosen]
    one, two, three = np.meshgrid(*[np.arange(27)] * 3, indexing="ij")
    a, b, c = (((inputs[i][x] - inputs[j][y])**2).sum(-1) for i, x, j, y in (
        (0, one, 1, two), (0, one, 2, three), (1, two, 2, three)))  # squared sides
    longest, area = np.maximum(np.maximum(a, b), c), 2 * (a * b + b * c + c * a) - a**2 - b**2 - c**2
    radius = np.where(2 * longest >= a + b + c, longest / 4, a * b * c / np.where(area > 0, area, 1))  # squared
    meet = np.argwhere(radius <= eps**2 + 1e-9)
    pairs = [(27 * i + x, 27 * j + y) for i, j in combinations(range(3), 2) for x, y in np.argwhere(
        ((inputs[i][:, None] - inputs[j])**2).sum(-1) <= 4 * eps**2 + 1e-9)]
    rows = [[27 * i + x for i, x in enumerate(triple)] for triple in meet] + pairs
    sums = csr_array((np.ones(sum(map(len, rows))), (np.repeat(range(len(rows)), list(map(len, rows))),
                                                     np.concatenate([*rows, []]).astype(int))), (len(rows), 81))
    found = 1 + linprog(-np.tile(weights[chosen].prod(1), 3) / 3, sums, np.ones(len(rows)), bounds=(0, 1)).fun
    low, high = (error_of_chances(3, "A", q, q) for q in (small_chance(size, values, weights)
                                                          for size in (eps / math.sqrt(6), eps)))
    fixed = error_of_chances(3, "A", *[small_chance(eps / 2, values, weights)] * 2)
    assert low - 1e-9 <= found <= high + 1e-9
    assert (found < fixed - 1e-3) == (eps == 1.15)  # chance helps just below 2/sqrt 3


def test_what_is_not_proved_is_refused():
    for setting, words in ((Setting(1, 0.5, norm=2), "norm = 2.0 was given, .* by .*bayes_bounds"),
                           (Setting(rho=-0.3), "rho = -0.3 was")):
        for error in (bayes_error, exclusive_error):
            with pytest.raises(ValueError, match=words):
                error(setting, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "--noise laplace", "--noise student-t:3", "--rho 0.4", "--classes 10",
                                   "--classes 10 --design B", "--mu-c 0.8 --sigma-e 0.3"])
def test_the_command(words, capsys):
    options = dict(zip(words.split()[::2], words.split()[1::2], strict=True))
    setting = Setting(**{name.strip("-").replace("-", "_"): value for name, value in options.items()})
    assert main(["bayes", "--eps", "0.3", "--json", *words.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bayes_error"] == bayes_error(setting, 0.3) < found["exclusive_error"] == exclusive_error(setting, 0.3)
    assert found["two_weights_ratio"] == best_ratio(setting, 0.3)
    assert found["two_weights_error"] == 1 - accuracy_of(setting, best_ratio(setting, 0.3), 0.3)[0]
    assert found["bayes_error"] < found["two_weights_error"]


def test_the_command_beyond_half_the_mean_and_where_accuracy_is_unknown(capsys):
    for words in ("--eps 0.6", "--eps 0.2 --classes 5 --design B --noise laplace"):
        assert main(["bayes", "--json", *words.split()]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["two_weights_error"] is None and found["two_weights_ratio"] is None
        assert 0 < found["bayes_error"] < found["exclusive_error"]
    assert main(["bayes", "--eps", "0.2", "--norm", "2"]) == 2
    assert "known for norm inf only" in capsys.readouterr().err


def test_the_derivation_meets_the_numbers():
    results = derive("B1").results
    at = {q_e: sp.Rational(3, 10), q: sp.Rational(2, 10)}
    for design in "AB":
        for classes in (3, 7):
            assert float(results[design].subs(at | {K: classes})) == pytest.approx(
                float(error_of_chances(classes, design, 0.3, 0.2)), rel=1e-14)
    assert float(results["three"].subs(at)) == pytest.approx(0.2**2 - 0.2**3 / 3)


# Any sharing


@pytest.mark.slow
@pytest.mark.parametrize(("design", "classes"), [("A", 3), ("A", 5), ("B", 5)])
def test_designs_as_matrices(design, classes):
    shared, setting = Sharing(designed(design, classes)), Setting(1, 0.5, classes=classes, design=design)
    (found, error), (joint, spread) = shared.threshold(), shared.accuracy([0.2, 0.8], 0.1)
    assert abs(found - threshold(setting, Margin())) < 4.5 * error < 1e-3
    assert (np.abs(joint - accuracy_of(setting, [0.2, 0.8], 0.1)[0]) < 4.5 * spread).all() and (spread < 1e-3).all()
    assert shared.bayes_error(0.2) == pytest.approx(bayes_error(setting, 0.2), rel=1e-9)
    assert not shared.lost


def test_copies_are_features_of_their_own():
    twice = Sharing([[0, 1], [1, 0]], copies=(2, 1), sigma=0.4)
    assert twice.features.tolist() == [[False, False, True], [True, True, False]]
    again = Sharing([[0, 0, 1], [1, 1, 0]], sigma=0.4)
    assert twice.threshold() == again.threshold() and twice.accuracy(0.5, 0.2) == again.accuracy(0.5, 0.2)
    # two classes, nothing shared: M = C - 3 eps or C + C' - 3 eps, so eps0 = mu/2
    assert twice.threshold()[0] == pytest.approx(0.5, abs=1e-4)


def test_superclasses_lose_their_features():
    assert ANIMALS_AND_VEHICLES.lost and ANIMALS_AND_VEHICLES.threshold() == (0, 0)
    assert sum(row[0] for row in ANIMALS_AND_VEHICLES.has) == 4 and len(ANIMALS_AND_VEHICLES.has) == 10
    for eps in (0.0, 0.45):
        joint, _ = ANIMALS_AND_VEHICLES.accuracy(np.array([0.0, 1e-3, 0.1, 1.0]), eps)
        assert joint[0] == pytest.approx(float(ndtr((1 - 2 * eps) / 0.5))) and (np.diff(joint) < 0).all()
    assert 0 < ANIMALS_AND_VEHICLES.bayes_error(0.2) < exclusive_error(Setting(1, 0.5, classes=10), 0.2)
    friends = Sharing([(*row, *(int(j == i // 2) for j in range(5))) for i, row in enumerate(ANIMALS_AND_VEHICLES.has)])
    assert friends.lost  # classes two by two, such as car and truck: the friend has all that a class has


def test_a_feature_for_each_pair_within_a_superclass_is_kept():
    richer = Sharing([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    assert not richer.lost and richer.threshold()[0] > 0.1


def test_the_rule_on_any_sharing_by_a_sample():
    rows = [[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 0, 1]]
    ordered = sorted(rows, key=sum)
    found = rule_by_sample(ordered, SETTING, 0.25, 200_000, np.random.default_rng(9))
    expected = Sharing(rows).bayes_error(0.25)
    assert abs(found - expected) < 4.5 * math.sqrt(expected / 200_000)
    backwards = rule_by_sample(ordered[::-1], SETTING, 0.25, 200_000, np.random.default_rng(9))
    assert backwards > expected + 9 * math.sqrt(expected / 200_000)  # the order matters


def test_cross_entropy_keeps_what_a_superclass_shares_up_to_half_the_mean():
    """Two superclasses of two: the slope of the risk in w2 at w2 = 0 has the sign of eps - mu/2."""
    has, rng = np.array([[1, 0], [1, 0], [0, 1], [0, 1]]), np.random.default_rng(10)
    e, c = (1 + 0.5 * rng.standard_normal(400_000) for _ in range(2))
    for eps in (0.3, 0.45, 0.55):
        margins = np.array([np.zeros_like(c) if (row == has[0]).all() else c - 2 * eps for row in has[1:]])
        chances = np.exp(-(e - 2 * eps)) / (1 + 3 * np.exp(-(e - 2 * eps)))  # of each wrong class, at w1 = 1, w2 = 0
        slope = -(chances * margins).sum(0)
        assert np.sign(slope.mean()) == np.sign(eps - 0.5) and abs(slope.mean()) > 9 * slope.std() / math.sqrt(len(c))


@pytest.mark.parametrize("has", [[[1, 0]], [[1, 2], [0, 1]], [[1, 0], [1]], [[0.5, 1], [1, 0]], "x", [[1, 0]] * 13])
def test_what_is_no_sharing_matrix(has):
    with pytest.raises(ValueError, match=r"^the sharing matrix .* was given, but it must have a row of 0 and 1"):
        Sharing(has)


def test_what_are_no_copies():
    for copies in ((1,), (1, 0), (1, 2.5), (1, 5000), 3):
        with pytest.raises(ValueError, match=r"copies = .* (was|were) given"):
            Sharing([[1, 0], [0, 1]], copies)
    with pytest.raises(ValueError, match="1200 features were given"):
        Sharing([[1, 0], [0, 1]], (600, 600))


def test_one_class_has_all():
    """Equal classes cannot be told apart but by their exclusive features."""
    assert error_of_sharing([[1, 1], [1, 1]], 0.3) == pytest.approx(0.15)
