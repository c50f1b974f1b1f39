"""Smoothing and strength in cross-entropy, the end of N4, design B: certificates, counterexamples and scans."""

import json
import subprocess
import sys

import numpy as np
import pytest
from flint import arb
from scipy.special import expit, ndtr

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio
from synthmodel.certificates import CERTIFICATES, certify
from synthmodel.certificates.checker import precision
from synthmodel.certificates.gaussian_means import moments
from synthmodel.certificates.proofs import ce_smoothing as boxes
from synthmodel.certificates.proofs.n4_end import n4_ends
from synthmodel.claims import open_scans
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, solve_cross_entropy, stein_residual
from synthmodel.symbolic import derive, symbols
from synthmodel.symbolic.general import any_law

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

    def flipped(*args):
        found = true_forms(*args)
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


def test_at_unequal_noise_smoothing_may_raise_r_and_w2():
    mild = Setting(mu=1.174, sigma_e=1.0, sigma_c=0.55)
    assert cross_entropy_ratio(mild, 0.0, 0.0224, 0.03) > 1.03 * cross_entropy_ratio(mild, 0.0, 0.0224, 0.01)
    strong = Setting(mu=5.131, sigma_e=1.0, sigma_c=0.177)
    low, high = (solve_cross_entropy(strong, CrossEntropy(b), 0.0, 2.5e-4) for b in (1e-4, 1e-3))
    assert high.w2 > 1.03 * low.w2 and high.w1 < low.w1


def test_at_unequal_noise_smoothing_may_raise_w1():
    """sigma_C ten times sigma_E: w1 rises by an eighth."""
    setting = Setting(mu=50.0, sigma_e=1.0, sigma_c=10.0)
    found = [solve_cross_entropy(setting, CrossEntropy(b), 0.0, 1e-3) for b in (0.0, 1e-4)]
    assert [float(each.w1) for each in found] == pytest.approx([0.16023, 0.18044], abs=1e-5)
    for b, each in zip((0.0, 1e-4), found, strict=True):
        assert np.abs(stein_residual(setting, CrossEntropy(b), 0.0, 1e-3, each.w1, each.w2)).max() < 1e-12


def test_the_counterexamples_solve_s1():
    for k, b, L in ((1.174, 0.03, 0.0224), (4.0, 1e-6, 1e-9)):
        setting = Setting(mu=k, sigma_e=1.0, sigma_c=0.55) if k < 2 else Setting(k, 1.0)
        found = solve_cross_entropy(setting, CrossEntropy(b), 0.0, L)
        assert np.abs(stein_residual(setting, CrossEntropy(b), 0.0, L, found.w1, found.w2)).max() < 1e-5


def test_n4_ends_between_2_41405_and_2_41406():
    assert n4_ends() == (True, 1)
    assert open_scans.least_excess(2.414, 3)[0] > 0 > open_scans.least_excess(2.4142, 3)[0]


# Design B

@pytest.mark.parametrize("classes", [4, 6])
def test_design_b_accuracy_from_its_tilted_law(classes):
    n, r, k = classes - 1, 0.6, 0.7
    y = np.linspace(-9, 9, 4001)
    density = n * np.exp(-y * y / 2) * ndtr(y)**(n - 1) / np.sqrt(2 * np.pi) * (y[1] - y[0])
    joint = ndtr((k * (1 + (n - 1) * r) - r * y) / np.sqrt(1 + (n - 2) * r * r)) @ density
    assert accuracy_of(Setting(k, 1.0, classes=classes, design="B"), r, 0.0)[0] == pytest.approx(joint, abs=1e-9)


@pytest.mark.parametrize("classes", [4, 5, 10, 40])
def test_design_b_s_margin_loss_uses_less_than_the_best_ratio(classes):
    n = classes - 1
    y = np.linspace(-9, 9, 4001)
    e_n = (n * y * np.exp(-y * y / 2) * ndtr(y)**(n - 1)).sum() * (y[1] - y[0]) / np.sqrt(2 * np.pi)
    for times in (1.02, 1.3, 2, 4):
        k = times * e_n / (n - 1)
        r_at = float(derive("N2-B").results["r_at"].subs({any_law.n: n, any_law.e_n: e_n, symbols.k: k}))
        assert r_at == pytest.approx(1 - 1 / times)
        assert r_at < best_ratio(Setting(k, 1.0, classes=classes, design="B"), 0.0) < 1
    assert best_ratio(Setting(0.98 * e_n / (n - 1), 1.0, classes=classes, design="B"), 0.0) == 0


# Scans

def test_scans_see_a_planted_rise(monkeypatch):
    honest = open_scans.scan_smoothing(ks=[0.6], decays=[0.1])
    assert honest["w1"]["curves_that_rise"] == honest["r"]["curves_that_rise"] == 0 and honest["curves"] == 1
    monkeypatch.setattr(open_scans, "_solved",
                        lambda setting, b, L: (2 + np.zeros(len(b)), 1 + 1e-6 * np.arange(len(b))))
    planted = open_scans.scan_smoothing(ks=[0.6], decays=[0.1])
    assert planted["w2"]["curves_that_rise"] == planted["r"]["curves_that_rise"] == 1


def test_scan_of_k_counts_falls(monkeypatch):
    assert open_scans.scan_strength(ks=[0.3, 0.6, 3.0], decays=[1e-8, 0.1, 100.0])["falls"] == 0
    monkeypatch.setattr(open_scans, "_solved",
                        lambda setting, b, L: (1.0, 0.9 - 0.1 * setting.mu))
    assert open_scans.scan_strength(ks=[0.3, 0.6, 3.0], decays=[0.1])["falls"] == 2


def test_scans_command_refuses_bad_words():
    done = subprocess.run([sys.executable, "-m", "synthmodel.claims.open_scans"], capture_output=True, text=True,
                          check=False,                          timeout=300)
    assert done.returncode == 1 and done.stderr.strip().count("\n") == 0 and "one argument" in done.stderr


def test_scan_is_json():
    assert json.loads(json.dumps(open_scans.scan_smoothing(ks=[0.5], decays=[1.0])))["curves"] == 1
