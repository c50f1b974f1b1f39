"""Smoothing and strength in cross-entropy: the forms that are certified, certificates found anew, counterexamples."""

import numpy as np
import pytest
from flint import arb
from scipy.special import expit

from synthmodel.certificates import CERTIFICATES, certify
from synthmodel.certificates.checker import precision
from synthmodel.certificates.gaussian_means import moments
from synthmodel.certificates.proofs import ce_smoothing as boxes
from synthmodel.certificates.proofs.n4_end import n4_ends
from synthmodel.claims import open_scans
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, solve_cross_entropy

pytestmark = pytest.mark.slow

SAMPLES = np.random.default_rng(0).standard_normal((3, 400_000))
POINTS = [(0.5, 1.0, 0.4), (1.2, 1.9, 0.1), (2.0, 2.2, 0.02)]  # (k, v, x)


def weights(k, b, L):
    found = solve_cross_entropy(Setting(k, 1.0), CrossEntropy(b), 0.0, L)
    return found.w1, found.w2


def at(k, v, x):
    return {name: float(value.mid()) for name, value in boxes.forms(
        arb(k), arb(v), arb(x), *moments(*boxes.place(arb(k), arb(v), arb(x))[2:]), 0).items()}


# The region's forms

@pytest.mark.parametrize("point", POINTS)
def test_forms_are_those_of_samples(point):
    k, v, x = point
    w1, w2 = k * v * (1 + x) / (2 + x), k * v / (2 + x)

    def means(k, w1, w2):  # P, A, Q by hand, with the same samples, so that their differences are accurate
        e, c2, c3 = SAMPLES + k
        m2, m3 = w1 * e + w2 * c2, w1 * e + w2 * c3
        p1 = 1 / (1 + np.exp(-m2) + np.exp(-m3))
        return np.array([np.mean(1 - p1), np.mean(p1 * (1 - p1)), 2 * np.mean(p1**2 * np.exp(-m2 - m3))])

    step, found = 1e-4, at(k, v, x)
    here = means(k, w1, w2)
    by_1 = (means(k, w1 + step, w2) - means(k, w1 - step, w2)) / (2 * step)
    by_2 = (means(k, w1, w2 + step) - means(k, w1, w2 - step)) / (2 * step)
    ray = w1 * by_1 + w2 * by_2
    expected = {
        "L": here[2] - x * here[1], "b": x * here[0] - w1 / k * here[2],
        "w1": (1 + x) * here[2] + w2 * x * (by_2[2] - x * by_2[1]), "w2": here[2] + w2 * x * (x * by_1[1] - by_1[2]),
        "r": (x * ray[1] - ray[2]) / (k * k * v),
        "ray": here[0] - (w1**2 * here[1] + w2**2 * (here[1] + here[2])) / (k * k * v)}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.004), name


@pytest.mark.parametrize(("k", "b", "L"), [(0.7, 0.1, 0.3), (1.5, 0.3, 0.02), (4.0, 1e-7, 1e-9)])
def test_weights_know_their_smoothing_and_decay(k, b, L):
    w1, w2 = weights(k, b, L)
    found_b, found_L, _ = boxes.at_weights(arb(k), arb(w1), arb(w2))
    assert float(found_b.mid()) == pytest.approx(b, rel=1e-4)
    assert float(found_L.mid()) == pytest.approx(L, rel=1e-2)


@pytest.mark.parametrize(("k", "b", "L"), [(0.7, 0.1, 0.3), (1.5, 0.3, 0.02), (2.5, 0.0, 1.0)])
def test_signs_are_those_of_the_solver_s_differences(k, b, L):
    w1, w2 = weights(k, b, L)
    _, _, found = boxes.at_weights(arb(k), arb(w1), arb(w2))
    moved = weights(k, b + 1e-4, L)
    slopes = {"w1": moved[0] - w1, "w2": moved[1] - w2, "r": moved[1] / moved[0] - w2 / w1}
    assert all((float(found[name].mid()) > 0) == (slope < 0) for name, slope in slopes.items())


def test_small_variances_agree_with_quadrature():
    box = boxes.place(arb("0.5"), arb("0.012"), arb("0.2"))[2:]
    near, far = boxes.near_zero(*box), moments(*box)
    for i, j in ((1, 0), (2, 0), (3, 0), (0, 2), (1, 2), (2, 2), (4, 0), (0, 4)):
        ball = near[0](i, j)
        assert ball.overlaps(far[0](i, j)) or i + j < 2
        assert float(ball.rad()) < 0.02
    a = 0.5 * 0.5 * 0.012
    assert float(near[0](1, 0).mid()) == pytest.approx(-expit(np.log(2) - a), abs=1e-9)


# Certificates

def test_quick_certificates_hold():
    assert [row.outcome for row in certify("search", quick=True)] == ["holds"] * 3
    assert len([one for one in CERTIFICATES if one.group == "search"]) == 7


def test_a_slab_is_certified_and_its_opposite_is_not(monkeypatch):
    assert boxes.smoothing(0, 0.001)[0] is True and boxes.smoothing(0.6, 0.605)[0] is True
    true_forms = boxes.forms

    def flipped(*args, **options):
        found = true_forms(*args, **options)
        return found | {"r": 0 - found["r"]}

    monkeypatch.setattr(boxes, "forms", flipped)
    monkeypatch.setattr(boxes, "NARROWEST", 0.2)
    assert boxes.smoothing(0.6, 0.605)[0] is None


def test_the_outer_faces_are_needed(monkeypatch):
    monkeypatch.setattr(boxes, "V", 1.0)  # the minimiser at b = 0 and small L lies beyond
    monkeypatch.setattr(boxes, "NARROWEST", 0.05)
    assert boxes.smoothing(0.6, 0.61)[0] is None


def test_rising_needs_strong_decay_at_large_k(monkeypatch):
    assert boxes.rising(2.98, 3.0, 10)[0] is True
    monkeypatch.setattr(boxes, "NARROWEST", 0.1)
    assert boxes.rising(2.98, 3.0, 0.5)[0] is None  # there w1 + w2 falls as k grows: the argument does not apply


def test_a_box_encloses_its_points():
    with precision(64):
        box = [arb("0.8", "0.01"), arb("1.5", "0.02"), arb("0.3", "0.01")]
        found = boxes.bounds(box)
        for shift in (-1, 0, 1):
            point = at(0.8 + 0.01 * shift, 1.5 - 0.02 * shift, 0.3 + 0.01 * shift)
            for name, (ball, _) in found.items():
                assert abs(float(ball.mid()) - point[name]) <= float(ball.rad()) + 1e-9, name


# Counterexamples

def test_smoothing_raises_r_at_tiny_decay():
    assert boxes.smoothing_raises() == (True, 1)
    assert boxes.ratio_rises(arb(1), arb("1.2"), arb(1)) is None  # there it falls
    setting = Setting(4.0, 1.0)
    none, some = (cross_entropy_ratio(setting, 0.0, 1e-9, b) for b in (0.0, 1e-6))
    assert 1 - none == pytest.approx(2.96e-4, rel=0.01) and 1 - some == pytest.approx(2.07e-4, rel=0.01)


def test_n4_ends_between_2_41405_and_2_41406():
    assert n4_ends() == (True, 1)
    assert open_scans.least_excess(2.414, 3)[0] > 0 > open_scans.least_excess(2.4142, 3)[0]
