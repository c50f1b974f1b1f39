"""Each refuted claim has a counterexample that is certain, and `synthmodel verify` prints it with what is true.

The claims, one by one: `counterexamples`; what makes them certain: `enclosed`, which is tested here as well.
"""

import io
from contextlib import redirect_stdout
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from flint import arb

from synthmodel import Setting, joint_accuracy
from synthmodel.accuracy.any_setting import accuracy_of
from synthmodel.certificates import certify
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.verify import verify
from synthmodel.cli.printing import print_claims
from synthmodel.flows.gradient_flow import cross_entropy_flow
from synthmodel.flows.rare_outliers import limit_flow
from tests.support import many_classes
from tests.support.counterexamples import CASES, mixed, soft_target_gain
from tests.support.enclosed import (
    CrossEntropy,
    RareOutliers,
    accuracy,
    accuracy_slope,
    at_end,
    certain,
    chances,
    enclosed,
    growing,
    mean_least,
    number,
    numbers,
    precise,
    spreads,
)

pytestmark = pytest.mark.slow

REFUTED = {claim.id: claim for claim in CLAIMS if claim.status == "refuted"}


@pytest.fixture(autouse=True)
def balls():
    with precise():
        yield


@pytest.fixture(scope="module")
def blocks():
    """What `synthmodel verify` prints of each refuted claim."""
    printed = {}
    for row in verify(REFUTED.values(), symbolic=False):
        with redirect_stdout(io.StringIO()) as out:
            print_claims([row.as_dict()])
        printed[row.claim.id] = out.getvalue()
    return printed


@cache
def found(claim):
    return CASES[claim][0]()


def rounded(ball, digits):
    """The number to so many digits after the point, which must be certain."""
    low, high = (f"{float(end.mid()):.{digits}f}" for end in (ball.lower(), ball.upper()))
    assert low == high
    return low


def test_every_refuted_claim_has_its_case():
    assert set(CASES) == set(REFUTED)


@pytest.mark.parametrize("claim", CASES)
def test_the_counterexample_is_certain(claim):
    margins, _ = found(claim)
    assert len(margins) > 0
    assert [str(margin) for margin in margins if not margin > 0] == []


@pytest.mark.parametrize("claim", CASES)
def test_its_negation_is_not(claim):
    """Each inequality turned round is certainly false, so that no margin is a ball that holds everything."""
    margins, _ = found(claim)
    for i, margin in enumerate(margins):
        assert not certain([*margins[:i], -margin, *margins[i + 1:]])
        assert -margin < 0


@pytest.mark.parametrize("claim", CASES)
def test_a_point_where_the_claim_is_true_is_no_counterexample(claim):
    counterexample, point = CASES[claim]
    margins, _ = counterexample(**point)
    assert not certain(margins)


@pytest.mark.parametrize("claim", CASES)
def test_verify_prints_it_with_the_right_statement(claim, blocks):
    printed = blocks[claim]
    assert "counterexample confirmed" in printed and "NOT" not in printed
    known = REFUTED[claim]
    assert known.statement in printed
    assert f"instead: {known.instead}\n" in printed
    numbers_line = printed.partition("with numbers: ")[2].partition("\n")[0]
    for ball, digits in found(claim)[1]:
        assert rounded(ball, digits) in numbers_line
    if known.instead in {claim.id for claim in CLAIMS}:  # another claim: printed in full in its own block
        assert known.instead not in REFUTED


def test_the_certificate_agrees():
    """The proof that the package keeps of N4's end follows the ray r = r_acc: another way than `n4_end`."""
    (row,) = [row for row in certify("long", quick=True) if row.claim == "N4-end"]
    assert row.holds


# What the balls rest on, against sums that know nothing of it

def raw(w, k, function):
    """E of function(p_1, p_2, p_3, e, c_2, c_3), by a product rule in the three features."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(50)
    weights = weights / weights.sum()
    e, c2, c3 = np.meshgrid(*[k + nodes] * 3, indexing="ij")
    odds = np.exp(-w[0] * e - w[1] * c2), np.exp(-w[0] * e - w[1] * c3)
    p1 = 1 / (1 + odds[0] + odds[1])
    return np.einsum("ijk,i,j,k->", function(p1, odds[0] * p1, odds[1] * p1, e, c2, c3), weights, weights, weights)


def near(ball, value, error=1e-8):
    return abs(ball - arb(value)) < error


@pytest.mark.parametrize(("k", "w"), [("2/5", ("2/5", "3/10")), ("1", ("1", "3/4")), ("5/2", ("1/2", "1/2"))])
def test_force_and_mixed_derivative_from_the_definitions(k, w):
    model, floats = CrossEntropy(Fraction(k)), [float(Fraction(x)) for x in w]
    expected = (raw(floats, float(Fraction(k)), lambda p1, p2, p3, e, c2, c3: (1 - p1) * e),
                raw(floats, float(Fraction(k)), lambda p1, p2, p3, e, c2, c3: p2 * c2 + p3 * c3))
    both = raw(floats, float(Fraction(k)), lambda p1, p2, p3, e, c2, c3: p1 * e * (p2 * c2 + p3 * c3))
    assert all(near(ball, value) for ball, value in zip(enclosed(model, w), expected, strict=True))
    assert near(enclosed(model, w, mixed)[0], both)
    assert not near(enclosed(model, w)[0], 1.0001 * expected[0])
    box = [x + arb(0, 1e-3) for x in numbers(*w)]
    for ball, value in zip((*enclosed(model, box), *enclosed(model, box, mixed)), (*expected, both), strict=True):
        assert ball.contains(arb(value)) and ball.rad() < 0.02


def test_slopes_of_four_classes_from_the_definitions():
    """By a product rule in e and the three cross-class features."""
    z, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    e, *c = np.meshgrid(*[1.5 + z] * 4, indexing="ij")
    odds = [np.exp(-0.5 * e - 0.25 * each) for each in c]
    p1 = 1 / (1 + sum(odds))
    pulls = (1 - p1) * e, sum(p1 * odd * each for odd, each in zip(odds, c, strict=True))
    slopes = [0.3 * w - np.einsum("ijkl,i,j,k,l->", x, *[weights] * 4) for w, x in zip((0.5, 0.25), pulls, strict=True)]
    found = many_classes.gradient(3, "3/2", ("1/2", "1/4"), "3/10")
    assert all(near(ball, value) for ball, value in zip(found, slopes, strict=True))
    assert not near(found[0], 1.00001 * slopes[0])
    slope = (accuracy_of(Setting(1.5, 1.0, classes=4), 0.50001, 0.0)[0]
             - accuracy_of(Setting(1.5, 1.0, classes=4), 0.49999, 0.0)[0]) / 2e-5
    assert near(accuracy_slope("1/2", "3/2", 3), float(slope))


def test_outliers_from_the_definitions():
    z, weights = np.polynomial.hermite_e.hermegauss(100)
    wrong = 9 / (9 + np.exp(0.7 * (1 + z) + 0.4))
    expected = [weights @ x / weights.sum() for x in ((1 + z) * (wrong - 0.1), wrong - 0.1 - 0.3)]
    model = RareOutliers(1, Fraction(1, 10), Fraction(3, 10), 10)
    assert all(near(ball, value) for ball, value in zip(enclosed(model, ("7/10", "2/5")), expected, strict=True))


@pytest.mark.parametrize(("model", "path"), [
    (CrossEntropy(Fraction(1)), cross_entropy_flow(1.0, [0, 1])),
    (RareOutliers(Fraction(1), pull=Fraction(3, 10)), limit_flow(1.0, 0.3, [0, 1]))], ids=["cross-entropy", "D4"])
def test_the_flow_stays_in_its_boxes(model, path):
    box = at_end(model, growing("1/2048", "1/10", Fraction(1)))
    assert max(ball.rad() for ball in box) < 1e-4
    for ball, value in zip(box, (path.w1[-1], path.w2[-1]), strict=True):
        assert ball.contains(arb(value))
        assert not ball.contains(arb(1.001 * value))


def test_balls_of_one_dimension_hold_the_closed_forms():
    assert mean_least().overlaps(1 / arb.pi().sqrt()) and mean_least().rad() < 1e-15
    for r, k in ((0.5, 1), (0.75, 2.5)):
        exact = Fraction(r), Fraction(k)
        assert near(accuracy(exact[0], *exact),
                    float(joint_accuracy(r, k)), 1e-13)
        slope = (joint_accuracy(r + 1e-5, k) - joint_accuracy(r - 1e-5, k)) / 2e-5
        assert near(accuracy_slope(*exact), float(slope))
    for r in np.linspace(0.4, 0.6, 9):
        assert accuracy("2/5", "3/5") > arb(float(joint_accuracy(r, 1.0)))
    assert soft_target_gain(Fraction(3, 10)) == Fraction(17, 10)


def test_a_wrong_sign_is_seen(monkeypatch):
    """With Stein's term added instead of subtracted, the guesses are no minimisers and nothing is decided."""
    def flipped(model, w, rules):
        pull = CrossEntropy.right(model, w, rules)
        wrong = number(model.k) * (chances(spreads, *model.shape(w), rules)[0] - number(model.b))
        return [2 * wrong - x for x in pull]
    monkeypatch.setattr(CrossEntropy, "right", CrossEntropy.force, raising=False)
    monkeypatch.setattr(CrossEntropy, "force", flipped)
    for claim in ("T1-CE", "T3-CE", "N4-end"):
        assert not certain(CASES[claim][0]()[0])


def test_a_wide_ball_decides_nothing():
    assert not certain([arb(1), arb(0.1, 0.2)]) and certain([arb(1), arb(0.3, 0.2)])
