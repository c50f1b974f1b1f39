"""Estimates from margins: coverage of the intervals on samples of the model; tau* by solving the loss's equation."""

import math

import mpmath
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom

import synthmodel.flows.margin_estimates as module
from synthmodel.accuracy.three_classes import r_acc
from synthmodel.claims.checks.samples import check_e_margins, robust_margins
from synthmodel.flows.gradient_flow import psi
from synthmodel.flows.margin_estimates import estimates, expected_maximum, tau_star
from synthmodel.model.losses import WrongClassLSE
from synthmodel.model.setting import Setting
from synthmodel.solvers.solve import solve

pytestmark = pytest.mark.slow

SETTING, EPS, W1, RATIO = Setting(1, 0.5), 0.2, 2.0, 0.6
TRUTH = {"rho": 1 / (1 + RATIO ** 2), "r": RATIO, "k": 1.2, "spread": W1 * RATIO * 0.5 / math.sqrt(math.pi),
         "w2s": W1 * RATIO * 0.5}
REPEATS, ROWS = 300, 400


@pytest.fixture(scope="module")
def repeated():
    """Estimates from 300 samples of 400 rows each, seeds 0..299, 200 resamples."""
    found = []
    for seed in range(REPEATS):
        margins, _ = robust_margins(SETTING, EPS, W1, W1 * RATIO, ROWS, np.random.default_rng(seed))
        found.append(estimates(margins, resamples=200, seed=REPEATS + seed))
    return found


@pytest.mark.parametrize("name", TRUTH)
def test_intervals_cover_the_truth(repeated, name):
    """95 % intervals: the number that covers is binomial; percentile intervals at n = 400 may be short by 2 %."""
    covered = sum(one[name].low <= TRUTH[name] <= one[name].high for one in repeated)
    assert binom.ppf(0.001, REPEATS, 0.93) <= covered <= binom.ppf(0.999, REPEATS, 0.97)
    wrong = 1.15 * TRUTH[name]  # a truth 15 % off is not covered as often
    assert sum(one[name].low <= wrong <= one[name].high for one in repeated) < 0.9 * covered


@pytest.mark.parametrize("name", TRUTH)
def test_estimates_are_centred_on_the_truth(repeated, name):
    values = np.array([one[name].value for one in repeated])
    assert abs(np.median(values) - TRUTH[name]) < 4 * 1.25 * values.std() / math.sqrt(REPEATS)


def test_against_numpy():
    """The moments through row statistics are those of numpy's covariance matrix, averaged over classes."""
    rng = np.random.default_rng(1)
    margins = rng.normal(3, 1, (60, 1)) + rng.normal(2, 0.7, (60, 4)) * [1, 2, 1, 1]
    labels = np.repeat([5, 9], [20, 40])
    found = estimates(margins, labels, resamples=10)
    covariance = sum(share * np.cov(margins[labels == one].T, bias=True) for one, share in ((5, 1 / 3), (9, 2 / 3)))
    variance = np.trace(covariance) / 4
    rho = (covariance.sum() - 4 * variance) / 12 / variance
    assert found["rho"].value == pytest.approx(rho, rel=1e-12)
    assert found["r"].value == pytest.approx(math.sqrt(1 / rho - 1), rel=1e-12)
    k = margins.mean() / math.sqrt(variance) * math.sqrt(1 + (1 / rho - 1)) / (1 + math.sqrt(1 / rho - 1))
    assert found["k"].value == pytest.approx(k, rel=1e-12)
    assert found["spread"].value == pytest.approx(np.mean(margins.mean(1) - margins.min(1)), rel=1e-12)
    assert found["w2s"].value == pytest.approx(found["spread"].value / expected_maximum(4), rel=1e-12)


def test_ten_classes():
    """Design A with K = 10: nine margins a row, all five numbers within four standard errors."""
    rng, r = np.random.default_rng(0), 0.4
    margins = rng.normal(1.5, 1, (5000, 1)) + r * rng.normal(1.5, 1, (5000, 9))
    found = estimates(margins, resamples=400)
    truth = {"rho": 1 / (1 + r * r), "r": r, "k": 1.5, "spread": r * 1.4850131622, "w2s": r}  # e_9 = 1.4850131622
    for name, value in truth.items():
        assert abs(found[name].value - value) < found[name].high - found[name].low  # four quarters of the interval


def test_image_difficulty_lowers_r():
    """A normal shift g of both margins: r^2 = w2^2 s^2/(w1^2 s^2 + var g), less than w2^2/w1^2 (E-margins)."""
    rng = np.random.default_rng(0)
    margins, labels = robust_margins(SETTING, EPS, W1, W1 * RATIO, 4000, rng)
    difficulty = 1.0
    found = estimates(margins + rng.normal(0, difficulty, (4000, 1)), labels, resamples=300)
    expected = W1 * RATIO * 0.5 / math.hypot(W1 * 0.5, difficulty)
    assert abs(found["r"].value - expected) < found["r"].high - found["r"].low
    assert found["r"].high < 0.8 * RATIO
    assert abs(found["w2s"].value - TRUTH["w2s"]) < found["w2s"].high - found["w2s"].low  # the spread does not see it


def test_class_means_lower_r_unless_centred():
    margins, labels = robust_margins(SETTING, EPS, W1, W1 * RATIO, 4000, np.random.default_rng(0))
    shifted = margins + np.array([0.0, 1.0, 3.0])[labels][:, None]
    assert estimates(shifted, labels, resamples=10)["r"].value == pytest.approx(
        estimates(margins, labels, resamples=10)["r"].value, rel=1e-12)
    assert estimates(shifted, resamples=10)["r"].value < 0.7 * RATIO


def test_uncorrelated_margins_have_infinite_r():
    rng = np.random.default_rng(0)
    margins = rng.normal(1, 1, (500, 2))
    margins[:, 1] -= 0.3 * margins[:, 0]
    found = estimates(margins, resamples=50)
    assert found["rho"].high < 0
    assert found["r"].value == math.inf
    assert math.isfinite(found["k"].value)


@pytest.mark.parametrize(("margins", "labels", "options", "message"), [
    (np.ones((50, 1)), None, {}, "two or more wrong classes"),
    (np.ones(50), None, {}, "two or more wrong classes"),
    (np.full((50, 2), np.nan), None, {}, "must be finite"),
    (np.full((50, 2), 0.1), None, {}, "rows that differ"),
    (np.eye(50)[:, :2], np.arange(50), {}, "fewer than 10"),
    (np.eye(5)[:, :2], None, {}, "fewer than 10"),
    (np.ones((0, 2)), None, {}, "fewer than 10"),
    (np.eye(50)[:, :2], np.zeros(49), {}, "one for each row"),
    (np.eye(50)[:, :2], None, {"level": 1.0}, "level = 1.0"),
    (np.eye(50)[:, :2], None, {"resamples": 0}, "resamples = 0")])
def test_refusals(margins, labels, options, message):
    with pytest.raises(ValueError, match=message):
        estimates(margins, labels, **options)


def test_expected_maximum():
    """e_4 and e_5 in the closed forms of THEORY.md, G-K."""
    e4 = 6 / math.pi ** 1.5 * math.atan(math.sqrt(2))
    e5 = 5 / (4 * math.sqrt(math.pi)) + 15 / (2 * math.pi ** 1.5) * math.asin(1 / 3)
    assert [expected_maximum(n) for n in (1, 4, 5)] == pytest.approx([0, e4, e5], abs=1e-14)
    for n in (0, 2.5):
        with pytest.raises(ValueError, match="whole number from 1"):
            expected_maximum(n)


@pytest.mark.parametrize("x", [1e-8, 0.1, 1.0, 3.0, 100.0, 1e5])
def test_psi_by_mpmath(x):
    with mpmath.workdps(25):
        def integrand(z):
            return 2 * mpmath.npdf(z) * z / mpmath.sqrt(2) * mpmath.tanh(x * z / mpmath.sqrt(2))
        exact = mpmath.quad(integrand, [0, min(0.1, 0.3 / x), min(1, 3 / x), min(1.5, 40 / x), 2, 4, 14])
    assert float(psi(x)) == pytest.approx(float(exact), rel=1e-14)


def pull(setting, eps, lam, tau, w2):
    """Derivative in w2 of the wrong-class log-sum-exp risk, by two-dimensional Gauss-Hermite over (c_j, c_k)."""
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    c_j, c_k = (setting.d(eps) + setting.sigma * axis for axis in np.meshgrid(z, z))
    q = 1 / (1 + np.exp(w2 * (c_j - c_k) / tau))  # the softmax weight of class j among the wrong ones
    law = np.multiply.outer(weights, weights) / weights.sum() ** 2
    return -np.sum(law * (q * c_j + (1 - q) * c_k)) + lam * w2


@pytest.mark.parametrize(("sigma", "eps", "lam"), [(0.5, 0.2, 0.5), (0.5, 0.1, 2.0), (1.0, 0.05, 0.1)])
def test_the_loss_at_tau_star_learns_the_most_accurate_ratio(sigma, eps, lam):
    setting = Setting(1, sigma)
    tau, w1 = tau_star(setting, eps, lam), setting.d(eps) / lam
    best = r_acc(setting.k(eps))

    def ratio(tau):
        return brentq(lambda w2: pull(setting, eps, lam, tau, w2), 0, 2 * w1, xtol=1e-14) / w1
    assert ratio(tau) == pytest.approx(best, abs=1e-9)
    assert ratio(0.99 * tau) < best - 1e-5 < best + 1e-5 < ratio(1.01 * tau)  # one per cent is seen


def test_the_other_solver_agrees():
    """`solve` minimises the same loss by a quadrature of its own."""
    setting, eps, lam = Setting(1, 0.5), 0.2, 0.5
    found = solve(setting, WrongClassLSE(tau=tau_star(setting, eps, lam)), eps, lam)
    assert found.ratio == pytest.approx(r_acc(1.2), abs=1e-8)


@pytest.mark.parametrize("setting", [Setting(1, 0.5, classes=4), Setting(1, 0.5, norm=2), Setting(1, 0.5, rho=0.3),
                                     Setting(1, np.array([0.4, 0.5]))])
def test_tau_star_refuses_other_models(setting):
    with pytest.raises(ValueError, match="another model"):
        tau_star(setting, 0.2, 0.5)


def test_tau_star_needs_eps_below_eps0():
    with pytest.raises(ValueError, match=r"k = 0\.[34]"):
        tau_star(Setting(1, 0.5), 0.4, 1.0)
    assert math.isfinite(tau_star(Setting(1, 1 / 16.9), 0, 1.0))
    with pytest.raises(ValueError, match="< 17"):
        tau_star(Setting(1, 1 / 17.1), 0, 1.0)
    with pytest.raises(ValueError, match="lam = 0"):
        tau_star(Setting(1, 0.5), 0.2, 0.0)
    with pytest.raises(ValueError, match="x = -1"):
        psi(-1.0)


def test_the_check_holds_and_can_fail(monkeypatch):
    assert check_e_margins().holds
    monkeypatch.setattr(module, "expected_maximum", lambda n: 0.9 / math.sqrt(math.pi))
    assert check_e_margins().holds  # the spread itself needs no e_n
    monkeypatch.setattr(module, "psi", lambda x: 1.01 * psi(x))
    assert not check_e_margins().holds


def test_the_check_sees_a_wrong_reading(monkeypatch):
    def confused(*moments):
        found = READ_OFF(*moments)
        return found | {"r": np.sqrt(1 / found["rho"])}
    monkeypatch.setattr(module, "read_off", confused)
    assert not check_e_margins().holds


READ_OFF = module.read_off
