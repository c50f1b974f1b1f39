"""The closed forms of the margin losses against the numerical solvers, and their residual against planted errors."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin, SoftTargetMargin
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import margin_closed
from synthmodel.solvers.margin_closed import (
    eps0,
    eps1,
    eps_max,
    linear_parts,
    ratio_closed,
    solve_closed,
    threshold_closed,
)
from synthmodel.solvers.margin_polar import solve_polar

AGREE = 1e-9  # two methods, in units of mu/lam; what rounding leaves is about 1e-13
LOSSES = [Margin(), SmoothedMargin(0.3), SmoothedMargin(0.999), SoftTargetMargin(0.2), SoftTargetMargin(0.9)]
NORMS = [1, 1.001, 1.3, 2, 3.7, 200, 1e5, math.inf]


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_weights_agree_with_the_polar_solver(loss, norm):
    for classes, design, sigma in product((3, 5), "AB", (0.3, 2.0)):
        setting, eps = Setting(1, sigma, norm=norm, classes=classes, design=design), np.array([0, 0.05, 0.2, 0.4, 0.49])
        exact = solve_closed(setting, loss, eps, 0.5)
        assert exact.residual.max() <= 1e-10
        for i, size in enumerate(eps):
            found = solve_polar(setting, loss, size, 0.5)
            assert [exact.w1[i], exact.w2[i]] == pytest.approx([found.w1, found.w2], abs=AGREE), (setting, size)
            assert exact.risk[i] == pytest.approx(found.risk, abs=AGREE)


@pytest.mark.slow
@given(norm=st.sampled_from(NORMS), sigma=st.floats(0.01, 5), eps=st.just(0.0) | st.floats(1e-9, 1.2),
       lam=st.floats(1e-3, 1e3), mu_c=st.floats(0.1, 10), b=st.just(0.0) | st.floats(1e-9, 0.99), soft=st.booleans(),
       design=st.sampled_from("AB"), classes=st.integers(3, 20))
def test_residual_is_small_at_the_minimiser_and_no_other_weights_do_better(norm, sigma, eps, lam, mu_c, b, soft, design,
                                                                           classes):
    setting = Setting(1, sigma, mu_c=mu_c, norm=norm, design=design, classes=classes)
    loss = SoftTargetMargin(b) if soft else SmoothedMargin(b)
    found = solve_closed(setting, loss, eps, lam)
    assert found.w1 >= 0 and found.w2 >= 0
    # The risk from its definition: linear pulls and the dual norm of the attack.
    pull_e, pull_c, size_e, size_c = linear_parts(setting, loss)

    def risk(w1, w2):
        q = 1 if norm == math.inf else math.inf if norm == 1 else norm / (norm - 1)
        spent = np.array([size_e * abs(w1), size_c * abs(w2)])
        top = spent.max() or 1.0
        return -pull_e * w1 - pull_c * w2 + eps * top * np.linalg.norm(spent / top, q) + lam / 2 * (w1**2 + w2**2)

    scale = (abs(pull_e) + abs(pull_c)) / lam
    assert found.risk == pytest.approx(risk(found.w1, found.w2), abs=1e-12 * lam * scale**2)
    for angle, size in product(np.linspace(0, 2 * np.pi, 12), (1e-4, 0.1)):
        w = found.w1 + size * scale * math.cos(angle), found.w2 + size * scale * math.sin(angle)
        if min(w) >= 0:
            assert risk(*w) >= found.risk + lam / 4 * (size * scale)**2 - 1e-12 * lam * scale**2


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("eps", [0, 0.2, 0.45, 2])
def test_residual_sees_a_wrong_weight(norm, eps):
    """At the minimiser v less P v the residual vanishes; from there it grows at least like lam times the distance."""
    setting = Setting(1, 0.5, norm=norm)
    pulls = linear_parts(setting, Margin())
    found, radii = solve_closed(setting, Margin(), eps, 1.0), (eps * pulls[2], eps * pulls[3])
    assert margin_closed._residual(pulls[:2], radii, (found.w1, found.w2), norm) <= 1e-10
    for shift in ((1e-6, 0), (0, 1e-6), (1e-6, -1e-6)):
        wrong = np.maximum(np.array([found.w1, found.w2]) + shift, 0)
        distance = np.hypot(*(wrong - (found.w1, found.w2)))
        assert margin_closed._residual(pulls[:2], radii, wrong, norm) >= 0.9 * distance, (shift, wrong)


def test_a_norm_too_close_to_1_raises():
    with pytest.raises(NotConverged, match="choose norm 1"):
        solve_closed(Setting(norm=1 + 1e-12), Margin(), 0.3, 1)


@pytest.mark.parametrize("norm", [1, 1.3, 2, 3.7, math.inf])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_thresholds_are_where_the_weights_die(norm, loss):
    setting = Setting(1, 0.3, norm=norm)
    for threshold, weight in ((threshold_closed(setting, loss), "w2"), (eps_max(setting, loss), "w1")):
        if threshold > 0:
            below, above = (getattr(solve_polar(setting, loss, threshold * factor, 1), weight)
                            for factor in (0.99, 1.001))
            assert below > 0 == above, weight


def test_thresholds_by_hand():
    setting = Setting(2, 0.5)
    assert eps0(setting) == pytest.approx(1 - 0.25 / math.sqrt(math.pi), rel=1e-15)
    assert eps1(setting, 0.4) == pytest.approx(1 - 0.15 / math.sqrt(math.pi), rel=1e-15)
    assert eps_max(setting) == eps_max(setting, SoftTargetMargin(0.4, "monotone")) == 1
    assert eps_max(setting, SoftTargetMargin(0.4)) == pytest.approx(2 * 0.6 / 1.6, rel=1e-15)
    assert threshold_closed(setting, SoftTargetMargin(0.4)) == pytest.approx((1.2 - 0.5 / math.sqrt(math.pi)) / 1.6)
    assert threshold_closed(setting, SoftTargetMargin(0.4, "monotone")) == pytest.approx(
        (1.2 - 0.5 / math.sqrt(math.pi)) / 1.2)
    assert eps0(Setting(1, 4)) < 0 and threshold_closed(Setting(1, 4, norm=2), Margin()) < 0


def test_a_constant_one_per_cent_off_would_be_seen(monkeypatch):
    setting = Setting(1, 0.5)
    exact = solve_polar(setting, Margin(), 0.2, 1).w2
    monkeypatch.setattr(margin_closed, "GAP", 1.01 * margin_closed.GAP)
    assert abs(solve_closed(setting, Margin(), 0.2, 1).w2 - exact) > 1e6 * AGREE


@pytest.mark.slow
def test_arrays_broadcast_and_equal_the_numbers():
    mu, sigma, eps, b = [1.0, 2.0], [[0.3], [0.8], [1.9]], np.array([0.1, 0.45]), np.array([0.0, 0.4])
    for norm, loss in product((1, 2.5, math.inf), (SmoothedMargin(b), SoftTargetMargin(b), Margin())):
        found = solve_closed(Setting(mu, sigma, norm=norm), loss, eps, 0.3)
        assert found.w1.shape == found.ratio.shape == found.residual.shape == (3, 2)
        for i, j in np.ndindex(3, 2):
            single = solve_closed(Setting(mu[j], sigma[i][0], norm=norm),
                                  loss if loss == Margin() else type(loss)(b[j]), eps[j], 0.3)
            for name in ("w1", "w2", "risk"):
                assert getattr(found, name)[i, j] == pytest.approx(getattr(single, name), rel=1e-13, abs=1e-13)
            assert threshold_closed(Setting(mu, sigma, norm=norm), loss)[i, j] == pytest.approx(
                threshold_closed(Setting(mu[j], sigma[i][0], norm=norm),
                                 loss if loss == Margin() else type(loss)(b[j])), rel=1e-13)
    assert solve_closed(Setting(), Margin(), [0.1, 0.6], 1).ratio.tolist()[1:] == pytest.approx([math.nan], nan_ok=True)


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(ValueError, match="use the method numeric"):
        solve_closed(Setting(), CrossEntropy(), 0.1, 1)
    with pytest.raises(ValueError, match="choose norm inf or the exact attack"):
        solve_closed(Setting(norm=2), SoftTargetMargin(0.1, "monotone"), 0.1, 1)
    for k, b in ((0, 0), (1, -0.1), (1, 1.1), (1, math.nan)):
        with pytest.raises(ValueError, match="must be a finite number"):
            ratio_closed(k, b)
    for eps, lam in ((-0.1, 1), (0.1, 0), (math.nan, 1), ([0.1, math.inf], 1), ([], 1)):
        with pytest.raises(ValueError, match=r"given, but it must"):
            solve_closed(Setting(), Margin(), eps, lam)
