"""Robust accuracy and its best ratio: closed forms against mpmath, sampling, and brute force."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthmodel.accuracy.three_classes import (
    b_star,
    crossover,
    joint_accuracy,
    joint_slope,
    pairwise_accuracy,
    r_acc,
    r_acc_cubic,
    slope_sign,
)
from synthmodel.model.losses import Margin, SmoothedMargin
from synthmodel.model.sampling import robust_accuracy_sampled
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0, eps1, ratio_closed, solve_closed
from synthmodel.solvers.margin_vertices import solve_numeric, threshold_numeric

ROUNDING = 1e-13  # absolute; accuracies are computed with a handful of operations
K0 = 1 / math.sqrt(math.pi)


def joint_by_mpmath(r, k):
    """Pr(e + r c_j > 0, e + r c_k > 0), e, c ~ N(k, 1), integrated over e with 25 digits."""
    with mpmath.workdps(25):
        def density(e):
            return mpmath.npdf(e - k) * mpmath.ncdf(k + e / r) ** 2
        return float(mpmath.quad(density, [-12, -2, -r, 0, r, 2, 4, 14]))


@pytest.mark.parametrize("k", [-0.5, 0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("r", [0.1, 0.5, 1.0, 1.7])
def test_joint_accuracy_is_the_integral(r, k):
    assert joint_accuracy(r, k) == pytest.approx(joint_by_mpmath(r, k), abs=ROUNDING)


def test_special_values():
    assert joint_accuracy(0, 1.2) == pytest.approx(0.8849303297782918, abs=ROUNDING)  # Phi(1.2)
    assert joint_accuracy(1, 0) == pytest.approx(1 / 3, abs=ROUNDING)  # 1/2 - arctan(1/sqrt 3)/pi
    assert joint_accuracy(1e9, 1.0) == pytest.approx(0.8413447460685429 ** 2, abs=1e-8)  # Phi(1)^2
    assert pairwise_accuracy(1, 1.0) == pytest.approx(0.9213503964748574, abs=ROUNDING)  # Phi(sqrt 2)


@pytest.mark.slow
@pytest.mark.parametrize(("w1", "w2", "eps"), [(1.0, 0.5, 0.2), (2.0, 2.0, 0.35), (1.0, 0.0, 0.1), (1.0, 3.0, 0.3)])
def test_sampled_and_attacked_by_brute_force(w1, w2, eps):
    """The data law, the scores and all 64 vertices of the box, against the formulas, in standard errors."""
    setting = Setting(1, 0.6)
    joint, pairwise, joint_error, pairwise_error = robust_accuracy_sampled(setting, eps, w1, w2, n=100_000)
    k = setting.k(eps)
    assert abs(joint - joint_accuracy(w2 / w1, k)) < 4 * joint_error
    assert abs(pairwise - pairwise_accuracy(w2 / w1, k)) < 4 * pairwise_error
    assert joint_error < 0.0016  # so that an error of one per cent would be seen


@pytest.mark.parametrize("r", [0.0, 0.2, 0.9, 1.0, 2.0])
@pytest.mark.parametrize("k", [0.2, 1.0, 2.0])
def test_slope_is_the_derivative(r, k):
    step = 1e-5
    if r:
        numeric = (joint_accuracy(r + step, k) - joint_accuracy(r - step, k)) / (2 * step)
        assert joint_slope(r, k) == pytest.approx(numeric, abs=1e-9)
    else:
        assert joint_slope(r, k) == pytest.approx(math.exp(-k * k / 2) / math.sqrt(2 * math.pi) * (k - K0), abs=1e-12)


@pytest.mark.parametrize("k", [0.565, 0.57, 0.7, 1.0, 1.5, 2.0, 4.0, 8.0, 12.0])
def test_best_ratio_by_two_methods(k):
    assert r_acc(k) == pytest.approx(r_acc_cubic(k), abs=1e-14)


@pytest.mark.slow
def test_best_ratio_by_search():
    """A plain search for the highest mpmath integral, which knows no derivative."""
    grid = np.linspace(0.62, 0.65, 16)
    values = [joint_by_mpmath(r, 1.0) for r in grid]
    assert abs(grid[int(np.argmax(values))] - r_acc(1.0)) <= 0.002
    assert r_acc(1.0) == pytest.approx(0.6365327, abs=1e-7)


def test_best_ratio_starts_at_the_threshold():
    assert r_acc(K0 * (1 - 1e-9)) == 0
    # slope pi sqrt(pi)/(pi - 1) in k (T2-joint')
    assert r_acc(K0 + 1e-7) / 1e-7 == pytest.approx(math.pi * math.sqrt(math.pi) / (math.pi - 1), rel=1e-5)
    # 1 - r_acc ~ exp(-k^2/3)/(k sqrt(3 pi)), with a relative error of order 1/k^2
    assert (1 - r_acc(7.0)) * 7 * math.sqrt(3 * math.pi) * math.exp(49 / 3) == pytest.approx(1, abs=0.05)


@given(st.fractions(min_value="1/20", max_value=8), st.fractions(min_value=0, max_value=3))
def test_joint_accuracy_is_unimodal(k, r):
    """T2-joint': to the left of r_acc the slope is positive, to the right negative."""
    best = r_acc(float(k))
    if abs(float(r) - best) > 1e-9:
        assert (slope_sign(float(r), float(k)) > 0) == (float(r) < best)


@given(st.fractions(min_value="57/100", max_value=8))
def test_margin_loss_under_uses(k):
    """N2, and its strictness: r_AT < r_acc at equal noise, until both round to 1."""
    assert ratio_closed(float(k)) < r_acc(float(k))


@pytest.mark.slow
@given(st.fractions(min_value="1/100", max_value="3/2"), st.fractions(min_value=0, max_value=1),
       st.fractions(min_value=0, max_value="99/100"), st.fractions(min_value="1/100", max_value=10))
def test_closed_and_numerical_weights_agree(sigma, eps, b, lam):
    setting, loss = Setting(1, float(sigma)), SmoothedMargin(float(b))
    closed, numeric = (solver(setting, loss, float(eps), float(lam)) for solver in (solve_closed, solve_numeric))
    scale = max(closed.w1, closed.w2, 1e-6 / float(lam))
    assert abs(closed.w1 - numeric.w1) <= 1e-9 * scale
    assert abs(closed.w2 - numeric.w2) <= 1e-9 * scale
    assert closed.risk == pytest.approx(numeric.risk, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.2])
def test_thresholds_agree(sigma):
    setting = Setting(1, sigma)
    assert eps0(setting) == pytest.approx(threshold_numeric(setting, Margin()), abs=1e-9)
    for b in (0.1, 0.5):
        assert eps1(setting, b) == pytest.approx(threshold_numeric(setting, SmoothedMargin(b)), abs=1e-9)


@pytest.mark.slow
def test_best_smoothing_is_best():
    """N3 by search over b on the mpmath integral at k = 1."""
    grid = np.linspace(0.33, 0.385, 12)
    values = [joint_by_mpmath(ratio_closed(1.0, b), 1.0) for b in grid]
    assert abs(grid[int(np.argmax(values))] - b_star(1.0)) <= 0.005
    assert b_star(1.0) == pytest.approx(0.3557710, abs=1e-7)
    assert b_star(K0 + 1e-7) / 1e-7 == pytest.approx(math.sqrt(math.pi) / (math.pi - 1), rel=1e-5)


@pytest.mark.slow
def test_crossover():
    """At k_x full smoothing and none are equally good; a little below none is better, above full is."""
    k = crossover()
    assert k == pytest.approx(1.1453716, abs=1e-7)
    for factor, better in ((0.99, False), (1.01, True)):
        gain = joint_by_mpmath(1.0, factor * k) - joint_by_mpmath(ratio_closed(factor * k), factor * k)
        assert (gain > 0) == better


def test_the_accuracy_path_of_the_text():
    """THEORY.md, D1: at k = 1 accuracy goes .8658 (r = 1) -> .8708 (best) -> .8685 (r_AT)."""
    path = [joint_by_mpmath(r, 1.0) for r in (1.0, r_acc(1.0), ratio_closed(1.0))]
    assert [round(value, 4) for value in path] == [0.8658, 0.8708, 0.8685]


def test_huge_ratios_tend_to_the_limits():
    for ratio in (1e9, 1e155, 1e300):
        assert joint_accuracy(ratio, 1.2) == pytest.approx(0.8849303297782918 ** 2, abs=1e-8)  # Phi(1.2)^2
        assert pairwise_accuracy(ratio, 1.2) == pytest.approx(0.8849303297782918, abs=1e-8)
        assert slope_sign(ratio, 1.2) < 0


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_bad_ratio(bad):
    with pytest.raises(ValueError, match="must be a finite number >= 0"):
        joint_accuracy(bad, 1.0)


@pytest.mark.parametrize("k", [0, -1, math.nan, math.inf])
def test_bad_k(k):
    for function in (r_acc, r_acc_cubic, b_star, ratio_closed):
        with pytest.raises(ValueError, match="must be a finite number"):
            function(k)
