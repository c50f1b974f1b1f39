"""The wrong-class log-sum-exp: psi by mpmath, the optimum by expectations of other forms, and its limits."""

import math
import tracemalloc
from itertools import product

import mpmath
import numpy as np
import pytest
from scipy import stats

from synthmodel.model.losses import Margin, WrongClassLSE
from synthmodel.model.noise import law
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import log_sum_exp
from synthmodel.solvers.log_sum_exp import psi, psi_pair, solve_lse
from synthmodel.solvers.solve import solve

EXACT = 1e-13


@pytest.mark.parametrize("x", [0, 1e-9, 0.01, 0.5, 0.999999, 1, 1.000001, 3, 50, 1e4, 1e30])
def test_psi_pair_agrees_with_mpmath(x):
    with mpmath.workdps(30):
        width, root = 1 / mpmath.mpf(x or 1), mpmath.sqrt(2)
        ends = sorted({0, *(e for e in (width, 30 * width, 100 * width) if e < 10), 1, 4, 13})
        value = mpmath.quad(lambda z: 2 * mpmath.npdf(z) * z / root * mpmath.tanh(x * z / root), ends)
        slope = mpmath.quad(lambda z: mpmath.npdf(z) * z * z * mpmath.sech(x * z / root)**2, ends)
    found = psi_pair(x)
    assert float(found[0]) == pytest.approx(float(value), abs=EXACT, rel=EXACT)
    if x > 1e4:  # there mpmath misses the layer of width 1/x, but psi' tends to pi^2/(6 sqrt(pi) x^3)
        slope = math.pi**1.5 / (6 * x**3)
    assert float(found[1]) == pytest.approx(float(slope), rel=1e-9)


@pytest.mark.parametrize("y", [1e-12, 1e-4, 0.000999, 0.001001, 0.3, 0.99, 1.01, 5, 40, 1e6])
def test_psi_by_three_forms(y):
    normal, frozen = law("normal"), law(stats.norm())
    assert psi(y, 2, normal) == pytest.approx(float(psi_pair(y)[0]), rel=1e-11)
    if y < 10:  # the frozen law takes the quantile rule
        for n in (2, 5):
            assert psi(y, n, frozen) == pytest.approx(psi(y, n, normal), rel=1e-10)
    assert 0 < psi(y, 7, normal) < normal.mean_least(7) * (1 + 1e-12)
    assert psi(1.01 * y, 2, normal) > psi(y, 2, normal) or y > 1e5


@pytest.mark.parametrize(("classes", "design", "noise"), [
    (3, "A", "normal"), (4, "A", "normal"), (10, "B", "normal"), (3, "A", "laplace"), (4, "A", "uniform"),
    (3, "B", "student-t:5"), (4, "A", stats.expon()), (5, "B", stats.expon())])
def test_stationarity_by_an_independent_expectation(classes, design, noise):
    setting, tau, b, eps, lam = Setting(1, 0.5, classes=classes, design=design, noise=noise), 0.3, 0.2, 0.1, 1.0
    found = solve_lse(setting, WrongClassLSE(tau, b), eps, lam)
    assert found.w1 == pytest.approx((1 - 2 * eps) / lam, rel=1e-15)
    n, sign = classes - 1, 1 if design == "A" else -1  # B: the margin m_j misses c_j, so it has -z_j
    z = sign * law(noise).ppf(np.random.default_rng(1).random((100_000, n)))
    weight = np.exp(-0.5 * found.w2 / tau * (z - z.min(axis=1, keepdims=True)))
    slopes = -(weight * z).sum(axis=1) / weight.sum(axis=1)
    mean, error = slopes.mean(), slopes.std() / math.sqrt(len(slopes))
    d = 0.8 * (1 if design == "A" else n - 1)
    left = d - lam * found.w2
    assert abs(left - 0.8 * 0.5 * mean) < 5 * 0.4 * error
    assert abs(left - 1.05 * 0.8 * 0.5 * mean) > 5 * 0.4 * error  # five per cent off would be seen


@pytest.mark.parametrize(("classes", "tau"), [(3, 0.3), (3, 1e-4), (3, 20.0), (5, 0.3), (5, 0.003)])
def test_risk_agrees_with_samples_and_is_the_least(classes, tau):
    setting, eps, lam = Setting(1, 0.5, classes=classes), 0.1, 1.0
    found = solve_lse(setting, WrongClassLSE(tau), eps, lam)
    c = 0.8 + 0.5 * np.random.default_rng(2).standard_normal((100_000, classes - 1))

    def losses(w2):
        least = c.min(axis=1)
        return -w2 * least + tau * np.log(np.exp(-w2 * (c - least[:, None]) / tau).sum(axis=1))

    values = losses(found.w2)
    risk = values.mean() - 0.8 * found.w1 + lam / 2 * (found.w1**2 + found.w2**2)
    assert abs(found.risk - risk) < 5 * values.std() / math.sqrt(len(values))
    for other in (0.9 * found.w2, 1.1 * found.w2):
        difference = losses(other) + lam / 2 * other**2 - values - lam / 2 * found.w2**2
        assert difference.mean() > 5 * difference.std() / math.sqrt(len(c))


@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize("tau", [0.3, 0.1, 0.02, 0.005])
def test_risk_and_weights_by_the_quadrature_of_other_laws(classes, tau):
    """A frozen normal law takes E log sum from the line, normal noise integrates psi; sigma w2/tau runs up to 40."""
    one, other = (solve_lse(Setting(1, 0.5, classes=classes, noise=noise), WrongClassLSE(tau), 0.1, 1.0)
                  for noise in ("normal", stats.norm()))
    assert [one.w2, one.risk] == pytest.approx([other.w2, other.risk], rel=1e-9)


@pytest.mark.slow
def test_the_margin_loss_is_the_limit_and_the_bound_holds():
    for sigma, eps, classes in product((0.3, 0.8), (0.1, 0.3, 0.45), (3, 4)):
        setting = Setting(1, sigma, classes=classes)
        hard = solve(setting, Margin(), eps, 0.5)
        last = None
        for tau in (1.0, 0.1, 1e-2, 1e-4, 1e-8):
            soft = solve_lse(setting, WrongClassLSE(tau), eps, 0.5)
            gap = math.hypot(soft.w1 - hard.w1, soft.w2 - hard.w2)
            assert gap <= math.sqrt(2 * tau * math.log(classes - 1) / 0.5)
            assert soft.w2 > 0 and (last is None or soft.w2 < last)
            last = soft.w2
        assert gap < 1e-6


def test_extremes_of_tau_lam_and_distance_to_the_threshold():
    for classes in (3, 4):
        setting = Setting(1, 0.5, classes=classes)
        first = (classes - 2) / (classes - 1)  # psi'(0) = 1 - 1/n
        for gap in (1e-4, 1e-9, 1e-14):
            eps = 0.5 - gap / 2
            d = 1 - 2 * eps
            found = solve_lse(setting, WrongClassLSE(0.1), eps, 1.0)
            assert found.w2 == pytest.approx(d / (1 + first * 0.25 / 0.1), rel=1e-4 if gap == 1e-4 else 1e-8)
        for eps in (0.5, 0.7):
            found = solve_lse(setting, WrongClassLSE(0.1), eps, 1.0)
            assert (found.w1, found.w2, found.residual, found.ratio) == (0, 0, 0, None)
        flat = solve_lse(setting, WrongClassLSE(1e50), 0.2, 1.0)  # tau -> inf: the mean of the wrong scores
        assert (flat.w1, flat.w2) == pytest.approx((0.6, 0.6), rel=1e-12)
        sharp, hard = (solve(setting, loss, 0.2, 1.0) for loss in (WrongClassLSE(1e-50), Margin()))
        assert (sharp.w2, sharp.risk) == pytest.approx((hard.w2, hard.risk), rel=1e-12)
    # d_C <= 0 < d_E and d_E <= 0 < d_C
    assert solve_lse(Setting(1, 0.5, mu_c=0.3), WrongClassLSE(0.1), 0.2, 1.0).w2 == 0
    other = solve_lse(Setting(0.3, 0.5, mu_c=1), WrongClassLSE(0.1), 0.2, 1.0)
    assert other.w1 == 0 < other.w2 and other.ratio is None


def test_smoothing_only_lowers_the_price():
    """b = 1 would leave d_C = lam w2; the loss is linear in b."""
    weights = [solve_lse(Setting(), WrongClassLSE(0.1, b), 0.2, 1.0).w2 for b in (0, 0.5, 0.999999)]
    assert weights[0] < weights[1] < weights[2] == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize("classes", [3, 4])
def test_arrays_broadcast_and_equal_the_numbers(classes):
    sigma, eps, tau, b = [[0.3], [0.8]], np.array([0.1, 0.45, 0.6]), np.array([0.02, 0.5, 3.0]), [[0.0], [0.4]]
    found = solve_lse(Setting(1, sigma, classes=classes), WrongClassLSE(tau, b), eps, 0.3)
    assert found.w1.shape == found.ratio.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        one = solve_lse(Setting(1, sigma[i][0], classes=classes), WrongClassLSE(tau[j], b[i][0]), eps[j], 0.3)
        for name in ("w1", "w2", "risk"):
            assert getattr(found, name)[i, j] == pytest.approx(getattr(one, name), rel=1e-12, abs=1e-300)


def test_what_it_does_not_cover_is_refused():
    with pytest.raises(ValueError, match="WrongClassLSE"):
        solve_lse(Setting(), Margin(), 0.1, 1)
    with pytest.raises(ValueError, match="norm inf only"):
        solve_lse(Setting(norm=2), WrongClassLSE(0.1), 0.1, 1)
    for eps, lam in ((-0.1, 1), (0.1, 0), (math.nan, 1)):
        with pytest.raises(ValueError, match="must be a finite number"):
            solve_lse(Setting(), WrongClassLSE(0.1), eps, lam)
    with pytest.raises(NotConverged, match="choose a larger lam or tau"):
        solve_lse(Setting(noise="laplace"), WrongClassLSE(1e-8), 0.1, 1)


def test_a_poor_quadrature_raises(monkeypatch):
    monkeypatch.setattr(log_sum_exp, "EXPONENT", 3.0)
    monkeypatch.setattr(log_sum_exp.psi, "__defaults__", (3.0,))
    with pytest.raises(NotConverged, match="quadrature error"):
        solve_lse(Setting(classes=4), WrongClassLSE(0.1), 0.2, 1)


@pytest.mark.slow
def test_many_settings_are_solved_in_runs(monkeypatch):
    """Memory is that of one run, so that 100,000 attack sizes take a tenth of a gigabyte and not seven."""
    loss, setting, eps = WrongClassLSE(0.1), Setting(1, 0.5), np.linspace(0, 0.5, 3000)
    whole = solve(setting, loss, eps, 0.1)
    monkeypatch.setattr(log_sum_exp, "RUN", 500)
    tracemalloc.start()
    parts = solve(setting, loss, eps, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # a whole table of psi for the risk is 3000 x 30 x 100 numbers, 72 MB
    for name in ("w1", "w2", "risk", "residual"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), abs=1e-13)
    alone = solve(setting, loss, float(eps[1234]), 0.1)
    assert (whole.w2[1234], whole.risk[1234]) == pytest.approx((alone.w2, alone.risk), rel=1e-13)
