"""The polar solver's risk against samples of the features and its refusals."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin, SoftTargetMargin
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import margin_polar
from synthmodel.solvers.margin_polar import mean_slope, solve_polar

STANDARD_ERRORS = 5  # a Monte Carlo mean strays this far once in two million samples; the seeds are fixed


def scores(x_e, x_c, w, design):
    """f (count, K) from the definition in Setting's docstring."""
    k = x_e.shape[1]
    if design == "A":
        return w[0] * x_e + w[1] * np.stack([np.delete(x_c, i, axis=1).sum(axis=1) for i in range(k)], axis=1)
    pairs = list(combinations(range(k), 2))
    return w[0] * x_e + w[1] * np.stack([x_c[:, [i in pair for pair in pairs]].sum(axis=1) for i in range(k)], axis=1)


def sampled_losses(setting, loss, eps, w, count, rng):
    """The attacked loss of samples of class 0: max over the worst class of the linear loss + eps times its dual norm.

    The dual norm is taken of the loss's coefficients in the features, found by probing the scores.
    """
    k, n = setting.classes, setting.active
    features = k if setting.design == "A" else k * n // 2
    active = np.arange(1, k) if setting.design == "A" else np.arange(n)
    x_e, x_c = np.zeros((count, k)), np.zeros((count, features))
    x_e[:, 0] = setting.mu_e + setting.sigma_e * setting.law.ppf(rng.random(count))
    root = np.linalg.cholesky((1 - setting.rho) * np.eye(n) + setting.rho)
    x_c[:, active] = setting.mu_c + setting.sigma_c * setting.law.ppf(rng.random((count, n))) @ root.T
    own, worst, others = loss.coefficients(n)
    q = 1 if setting.norm == math.inf else math.inf if setting.norm == 1 else setting.norm / (setting.norm - 1)
    unit = np.eye(k + features)
    probes = scores(unit[:, :k], unit[:, k:], w, setting.design)  # (features, K): the gradient of each score
    found = []
    f = scores(x_e, x_c, w, setting.design)
    for j in range(1, k):
        gamma = np.full(k, others)
        gamma[0], gamma[j] = -own, worst
        found.append(f @ gamma + eps * np.linalg.norm(probes @ gamma, q))
    return np.max(found, axis=0)


CASES = [(Setting(1, 0.5), SmoothedMargin(0.3)), (Setting(1, 0.5, norm=2), Margin()),
         (Setting(1, 0.5, norm=1, classes=4), SoftTargetMargin(0.4)),
         (Setting(1, 0.5, norm=3, classes=5, design="B"), SoftTargetMargin(0.2)),
         (Setting(1, 0.5, classes=4, design="B", rho=0.3), SmoothedMargin(0.2)),
         (Setting(1, 0.6, mu_c=0.7, sigma_e=0.2, rho=-0.4), Margin()),
         (Setting(1, 0.5, noise=stats.expon(), classes=4), Margin()),
         (Setting(1, 0.5, noise=stats.gumbel_r(), classes=4, design="B"), Margin()),
         (Setting(1, 0.5, noise="uniform", classes=6), Margin())]


@pytest.mark.parametrize(("setting", "loss"), CASES)
def test_risk_agrees_with_samples_of_all_features(setting, loss):
    slope, rng = mean_slope(setting, loss, 0.2), np.random.default_rng(1)
    for w in ((1.1, 0.7), (0.5, -0.8), (-1, 0.3)):
        losses = sampled_losses(setting, loss, 0.2, w, 40_000, rng)
        mean = (slope(np.array([w])) @ w)[0]  # Euler: the mean attacked loss is homogeneous of degree 1
        error = losses.std() / math.sqrt(len(losses))
        assert abs(mean - losses.mean()) < STANDARD_ERRORS * error, (w, mean, losses.mean(), error)
        assert abs(1.05 * mean - losses.mean()) > STANDARD_ERRORS * error  # five per cent off would be seen


@pytest.mark.parametrize("norm", [1, 1.5, 2, 4, math.inf])
def test_weights_are_the_best_of_a_grid(norm):
    setting, loss, eps, lam = Setting(1, 0.4, norm=norm), SoftTargetMargin(0.2), 0.2, 0.5
    found, slope = solve_polar(setting, loss, eps, lam), mean_slope(setting, loss, eps)
    w = np.random.default_rng(2).normal([found.w1, found.w2], 0.3, size=(2000, 2))
    risks = np.sum(slope(w) * w, axis=1) + lam / 2 * np.sum(w * w, axis=1)
    assert (risks >= found.risk + lam / 2 * np.sum((w - [found.w1, found.w2])**2, axis=1) - 1e-12).all()


def test_a_method_that_stops_early_raises(monkeypatch):
    monkeypatch.setattr(margin_polar, "BISECTIONS", 8)
    with pytest.raises(NotConverged, match="at most 1e-10 mu"):
        solve_polar(Setting(norm=3), Margin(), 0.2, 1)


def test_what_it_does_not_take_is_refused():
    with pytest.raises(ValueError, match="margin losses"):
        solve_polar(Setting(), CrossEntropy(), 0.1, 1)
    with pytest.raises(ValueError, match="in a cube only"):
        solve_polar(Setting(norm=2), SoftTargetMargin(0.1, "monotone"), 0.1, 1)
    for eps, lam in ((-0.1, 1), (0.1, 0), (math.nan, 1)):
        with pytest.raises(ValueError, match="must be a finite number"):
            solve_polar(Setting(), Margin(), eps, lam)
