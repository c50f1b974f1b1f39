"""Certificates of T2-unequal, N3-entries, N4-entries and T3-CE-unequal: they hold, and nothing false does."""

import math
from dataclasses import replace
from fractions import Fraction

import mpmath
import pytest
from flint import arb

from synthmodel.accuracy.three_classes import r_acc
from synthmodel.certificates.certify import CERTIFICATES, LEMMAS, certify, stored
from synthmodel.certificates.checker import examine, precision
from synthmodel.certificates.proofs import entries, unequal_noise
from synthmodel.certificates.proofs.ce_smoothing import UNEQUAL, at_weights, unequal
from synthmodel.certificates.proofs.entries import POINTS, too_little
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import solve_cross_entropy

NEW = ("T2-unequal", "N3-entries", "N4-entries", "T3-CE-unequal")


@pytest.mark.slow
def test_they_hold():
    found = {row.claim: row.outcome for row in certify("long", quick=True) if row.claim in NEW}
    assert found == dict.fromkeys(NEW, "holds")
    assert {one.group for one in CERTIFICATES if one.claim in NEW} == {"long"}


def f_unequal(r, k_e, k_c):
    """F of T2-unequal."""
    u = r * (k_e + r * k_c) / mpmath.sqrt((1 + r * r) * (2 + r * r))
    return (k_c - r * k_e) * mpmath.sqrt((2 + r * r) / (1 + r * r)) - mpmath.npdf(u) / mpmath.ncdf(u)


@pytest.mark.parametrize(("r", "t"), [("0.7", "0.35"), ("1.3", "0.6"), ("3.1", "0.05"), ("0.2", "0.41")])
def test_the_points_of_f_and_its_slope(r, t):
    """The formulas in (r, t) are F = 0 and -F_r, by mpmath's own derivative."""
    q, _, _, k_e, k_c = (mpmath.mpf(float(x.mid())) for x in unequal_noise.shapes(arb(r), arb(t)))
    x = mpmath.mpf(r)
    size = mpmath.sqrt((1 + q) * (2 + q))
    k_e, k_c = x * k_e / size, k_c / size
    assert abs(f_unequal(x, k_e, k_c)) < 1e-13
    slope = mpmath.diff(lambda y: f_unequal(y, k_e, k_c), x)
    assert float(unequal_noise.falls(arb(r), arb(t)).mid()) == pytest.approx(float(-slope * size**4 / x), rel=1e-9)


def test_the_bounds_are_near_the_truth(monkeypatch):
    """The same cells do not prove 12.6 in place of 12.5, nor .045 in place of .046; a lost cell is seen."""
    lemma, cells = LEMMAS["unequal_noise"], stored("unequal_noise")
    assert examine(lemma, cells[1:]) == "not a tiling"
    with precision():
        box = [arb("0.71606", "1e-6"), arb("0.32573", "1e-6")]  # around the point where both bounds are attained
        assert unequal_noise.outside(*box) > 0 and not unequal_noise.certain_fall(*box) > 0
        for name, value in (("MOST", Fraction(126, 10)), ("LEAST", Fraction(454, 10000))):
            with monkeypatch.context() as patch:
                patch.setattr(unequal_noise, name, value)
                assert not unequal_noise.outside(*box) > 0


def test_a_wrong_slope_is_not_certified(monkeypatch):
    """With k_C three times as large as on F = 0 the slope would be positive on some cell."""
    shapes = unequal_noise.shapes
    monkeypatch.setattr(unequal_noise, "shapes", lambda r, t: (*shapes(r, t)[:4], 3 * shapes(r, t)[4]))
    lemma = replace(LEMMAS["unequal_noise"], signs=LEMMAS["unequal_noise"].signs[:1])
    assert examine(lemma, stored("unequal_noise")) == "fails"


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_too_little_is_told_from_enough(point):
    """Certain with lam_c = 2 lam_e, undecided with one decay, where N4 holds, and around a wrong guess."""
    (k, L), (u, tau) = point, POINTS[point]
    assert too_little(arb(*u), arb(*tau), arb(k), arb(L)) is True
    assert too_little(arb(*u), arb(*tau), arb(k), arb(L), 1) is None
    assert too_little(arb(*u) + arb("1e-3"), arb(*tau), arb(k), arb(L)) is None
    assert too_little(arb(*u), arb(*tau) * arb("1.01"), arb(k), arb(L)) is None
    found = solve_cross_entropy(Setting(float(k), 1.0), CrossEntropy(), 0.0, float(L), 2 * float(L))
    assert found.ratio < r_acc(float(k))


def test_r_acc_is_a_half_between_the_two():
    assert r_acc(0.852705697) < 0.5 < r_acc(0.852705698)
    lemmas = [entries.LEMMAS[f"N3_entries_{side}"] for side in ("below", "above")]
    assert [examine(lemma, [()]) for lemma in lemmas] == ["holds", "holds"]
    assert [examine(replace(lemma, signs=((lemma.signs[0][0], -lemma.signs[0][1]),)), [()]) for lemma in lemmas] == [
        "fails", "fails"]


@pytest.mark.parametrize(("which", "point"), list(enumerate(UNEQUAL.values())))
def test_the_rises_are_those_of_the_solver(which, point):
    """At lam and b of the balls the solver finds these weights, and differences of solutions have the same signs."""
    d, s_c, w1, w2 = map(float, point)
    b, lam, *rises = unequal(*point)
    setting, b, lam = Setting(d, sigma_e=1.0, sigma_c=s_c), float(b.mid()), float(lam.mid())
    found = solve_cross_entropy(setting, CrossEntropy(b), 0.0, lam)
    assert (found.w1, found.w2) == pytest.approx((w1, w2), rel=1e-6)
    more = solve_cross_entropy(setting, CrossEntropy(1.01 * b), 0.0, lam)
    signs = [math.copysign(1, more.w1 - found.w1), math.copysign(1, more.w2 - found.w2)]
    assert [1 if rise > 0 else -1 if rise < 0 else 0 for rise in rises] == signs
    assert signs[which] == 1


def test_at_equal_noise_it_is_the_other_certificate():
    b, lam, falls_1, falls_2 = unequal("1", "1", "1.2", "1")
    expected = at_weights(arb(1), arb("1.2"), arb(1))
    assert abs(b - expected[0]) < 1e-9 and abs(lam - expected[1]) < 1e-9
    assert falls_1 < 0 and falls_2 < 0 and expected[2]["w1"] > 0 and expected[2]["w2"] > 0
