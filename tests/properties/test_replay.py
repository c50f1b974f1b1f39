"""`replay` at points where the answer is known, true, false and undecidable; the two arithmetics against each other."""

from fractions import Fraction

import pytest
import sympy as sp
from flint import arb

from synthmodel.accuracy.three_classes import joint_slope
from synthmodel.certificates.checker import precision
from synthmodel.testing import CLAIMS, replay
from synthmodel.testing.arithmetic import Balls, Digits, above_threshold, exact_sign, far, near_threshold
from synthmodel.testing.statements import psi, slope_at

pytestmark = pytest.mark.slow

HALF, THIRD, FIFTH = Fraction(1, 2), Fraction(1, 3), Fraction(1, 5)

TRUE = [("T1", {"mu": 1, "sigma": HALF, "eps": FIFTH}), ("T1", {"mu": 1, "sigma": HALF, "eps": 2 * FIFTH}),
        ("T1", {"mu": 1, "sigma": HALF, "eps": HALF}), ("T2-pair", {"k": 1, "r": HALF}), ("T2-pair", {"k": 1, "r": 2}),
        ("T2-joint", {"k": 1, "r": HALF}), ("T2-joint'", {"k": 1, "r": 1}), ("T2-joint'", {"k": FIFTH, "r": 3}),
        ("T3", {"mu": 1, "sigma": HALF, "eps": FIFTH, "b": THIRD}), ("T3-target", {"mu": 1, "sigma": HALF, "b": THIRD}),
        ("N2", {"k": Fraction(9, 16) + Fraction(1, 500)}), ("N2", {"k": 8}), ("N3", {"k": 1, "b": THIRD}),
        ("N2-unequal", {"d": 1, "s_e": 1, "s_c": 1}), ("N3-above", {"k": HALF, "b": HALF}),
        ("psi", {"x": Fraction(1, 100)}), ("psi", {"x": 1000}), ("G-K", {"classes": 6, "sigma": HALF, "eps": FIFTH}),
        ("T1-temp", {"mu": 1, "sigma": HALF, "share": Fraction(9, 20), "lam": 1, "tau": Fraction(1, 100)})]
# the risk of cross-entropy is an integral over a plane: fewer digits, as sympy takes seconds for more
SOFTMAX = [("S1", {"k": 1, "decay": THIRD, "b": FIFTH}), ("N4", {"k": 1, "decay": HALF}),
           ("T1-CE", {"mu": 1, "sigma": 1, "share": 2 * FIFTH, "lam": 1}),
           ("T3-CE", {"k": 1, "decay": 1, "b": 0, "c": HALF}), ("CE-monotone", {"k": 1, "q": HALF, "decay": 1})]
# false as the paper states it, or with a hypothesis dropped
FALSE = [("T2-joint", {"k": 1, "r": 1}), ("T2-joint", {"k": 8, "r": 1}), ("T2-joint", {"k": HALF, "r": 0}),
         ("T2-joint", {"k": 1, "r": Fraction(64, 100)}),  # r_acc(1) = 0.6365...
         ("N2-unequal", {"d": Fraction(3, 5), "s_e": Fraction(35, 100), "s_c": Fraction(3, 5)})]


@pytest.mark.parametrize(("claim", "point"), TRUE)
def test_true_points(claim, point):
    assert replay(claim, **point) == ("holds", "holds", "holds")


@pytest.mark.parametrize(("claim", "point"), SOFTMAX)
def test_true_points_of_cross_entropy(claim, point):
    assert replay(claim, 8, **point) == ("holds", "holds", "holds")


@pytest.mark.parametrize(("claim", "point"), FALSE)
def test_false_points(claim, point):
    assert replay(claim, **point) == ("fails", "fails", "fails")


def test_the_claim_n4_ends():
    """r_CE < r_acc at k = 3, L = 1/4: N4 is proved for k <= 2.0695 and false beyond about 2.2."""
    assert replay("N4", 8, k=3, decay=Fraction(1, 4)) == ("fails", "fails", "fails")


def test_every_claim_is_tried():
    assert {claim for claim, _ in TRUE + SOFTMAX} == set(CLAIMS)


def test_an_equality_is_undecided():
    """At r = 1 the slope of the pairwise accuracy is 0: neither balls nor digits can tell."""
    assert replay("T2-pair", k=1, r=1) == ("undecided",) * 3


def test_thresholds_closer_than_a_float_can_tell():
    """1/sqrt(pi) cut off after 25 digits, and one more in the last place: they round to the same float."""
    below = Fraction("0.5641895835477562869480794")
    above = below + Fraction(1, 10**25)
    assert float(below) == float(above)
    assert not above_threshold(below) and above_threshold(above)
    for k in (below, above):
        assert replay("T2-joint", k=k, r=0).verdict == ("holds" if k == above else "fails")
        assert replay("T1", mu=k, sigma=1, eps=0).verdict == "holds"


def test_near_points_lie_on_both_sides():
    sides = [above_threshold(k) for k in near_threshold()]
    assert sides.count(True) == sides.count(False) == 6
    assert all(not far(lambda m, k=k: m.number(k) - 1 / m.sqrt(m.pi()), Fraction(1, 10**11))
               for k in near_threshold()[-2:])
    assert exact_sign(lambda m: m.sqrt(m.number(2)) ** 2 - 2) is None


@pytest.mark.parametrize("of", [lambda m: psi(m, m.number(THIRD)), lambda m: 1 / m.sqrt(m.pi()) - psi(m, m.number(100)),
                                lambda m: slope_at(m, m.number(HALF), m.number(5)),
                                lambda m: slope_at(m, m.number(3), m.number(Fraction(1, 20)))])
def test_both_arithmetics_agree_to_25_digits(of):
    with precision(200):
        ball = of(Balls(200))
        number = sp.N(of(Digits(40)), 40)
        assert abs(ball - arb(str(number))) < 1e-25 * abs(ball)


@pytest.mark.parametrize(("r", "k"), [(0, 1), (HALF, 1), (2, HALF)])
def test_the_definition_is_the_library_s_slope(r, k):
    m = Digits(20)
    assert float(slope_at(m, m.number(r), m.number(k))) == pytest.approx(joint_slope(float(r), float(k)), rel=1e-13)


def test_bad_points():
    with pytest.raises(ValueError, match="cannot be replayed"):
        replay("T9", k=1)
    with pytest.raises(ValueError, match="r is missing"):
        replay("T2-joint", k=1)
    for claim, point in (("N2", {"k": HALF}), ("T1", {"mu": 1, "sigma": 0, "eps": 0}), ("T2-joint", {"k": 1, "r": 2})):
        with pytest.raises(ValueError, match="hypothesis"):
            replay(claim, **point)
