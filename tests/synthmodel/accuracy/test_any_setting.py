"""Robust accuracies of any setting against samples and one more integral, and best ratios against searches."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from synthmodel.accuracy import any_setting
from synthmodel.accuracy.any_setting import accuracy_of, best_ratio, best_smoothing
from synthmodel.accuracy.three_classes import joint_accuracy, pairwise_accuracy, r_acc
from synthmodel.model.losses import SmoothedMargin
from synthmodel.model.noise import law
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0
from synthmodel.solvers.solve import solve

SETTINGS = [Setting(), Setting(1, 0.5, classes=10), Setting(1, 0.5, classes=6, design="B"), Setting(1, 0.5, rho=-0.6),
            Setting(1, 0.5, rho=0.5, classes=5), Setting(1, 0.5, rho=0.5, classes=5, design="B"),
            Setting(1, sigma_e=0.3, sigma_c=0.8, mu_c=1.3), Setting(1, 0.5, norm=2), Setting(1, 0.5, norm=1, classes=4),
            Setting(1, 0.5, norm=1.05, classes=4), Setting(1, 0.5, noise="laplace"),
            Setting(1, 0.5, noise="uniform", classes=5), Setting(1, 0.5, noise="student-t:3"),
            Setting(1, 0.5, noise=stats.gumbel_r(), classes=4), Setting(1, 0.5, noise=stats.expon(), design="B")]


def sampled(setting, ratio, eps, count=200_000):
    """(joint, pairwise) and n, from margins drawn feature by feature, each lowered by the dual norm of its weights."""
    rng, n = np.random.default_rng(3), setting.active
    e = setting.mu_e + setting.sigma_e * setting.law.ppf(rng.random((count, 1)))
    root = np.linalg.cholesky((1 - setting.rho) * np.eye(n) + setting.rho)
    c = setting.mu_c + setting.sigma_c * setting.law.ppf(rng.random((count, n))) @ root.T
    q = 1 if setting.norm == math.inf else math.inf if setting.norm == 1 else setting.norm / (setting.norm - 1)
    if setting.design == "A":
        margins, weights = e + ratio * c, [1, 1, ratio, ratio]  # E_i, E_j, C_i, C_j
    else:  # pairs {i,l} and {j,l} for each other class l
        margins, weights = e + ratio * (c.sum(axis=1, keepdims=True) - c), [1, 1] + [ratio] * (2 * (n - 1))
    margins = margins - eps * np.linalg.norm(weights, q)
    return (margins > 0).all(axis=1).mean(), (margins[:, 0] > 0).mean()


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_accuracies_agree_with_samples(setting):
    for ratio in (0.0, 0.4, 1.0, 7.0):
        for found, share in zip(accuracy_of(setting, ratio, 0.15), sampled(setting, ratio, 0.15), strict=True):
            error = math.sqrt(max(found * (1 - found), 1e-6) / 200_000)
            assert abs(found - share) < 5 * error, (ratio, found, share, error)


def test_the_plain_model_has_its_own_formulas():
    for ratio in (0, 1e-9, 0.3, 1, 40, 1e9):
        exact = joint_accuracy(ratio, 1.2), pairwise_accuracy(ratio, 1.2)
        assert accuracy_of(Setting(), ratio, 0.2) == pytest.approx(exact, abs=1e-14)
        frozen = accuracy_of(Setting(noise=stats.norm()), ratio, 0.2)  # the same law by the rule for other laws
        assert frozen == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("ratio", [1e-3, 0.5, 0.999, 1.001, 3, 1e3, 1e9, 1e40])
def test_both_ways_to_integrate_agree_for_more_classes(ratio):
    exact = accuracy_of(Setting(noise=stats.norm(), classes=6), ratio, 0.2)
    assert accuracy_of(Setting(classes=6), ratio, 0.2) == pytest.approx(exact, abs=1e-10)
    if ratio >= 1e9:  # the cross-class features alone
        assert accuracy_of(Setting(classes=6), ratio, 0.2)[0] == pytest.approx(ndtr(1.2)**5, abs=1e-8)


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_ratio_is_better_than_the_best(setting):
    best = best_ratio(setting, 0.15)
    top = accuracy_of(setting, best, 0.15)[0]
    grid = np.concatenate([np.linspace(0, 5, 101), [best * 0.99, best * 1.01]])
    assert accuracy_of(setting, grid, 0.15)[0].max() <= top + 1e-12
    if best > 0.01:  # ten per cent off would be seen
        assert accuracy_of(setting, [0.9 * best, 1.1 * best], 0.15)[0].max() < top - 1e-9


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.noise == "normal"], ids=str)
def test_the_sign_of_the_slope_is_that_of_differences(setting):
    for ratio in (1e-3, 0.3, 0.9, 2.5):
        up, down = (accuracy_of(setting, ratio + step, 0.15)[0] for step in (1e-5, -1e-5))
        slope = any_setting._slope(setting, ratio, 0.15)
        assert abs(up - down) < 1e-12 or np.sign(up - down) == np.sign(slope), ratio


def test_the_best_ratio_by_every_way_that_knows_it():
    for k in (0.3, 0.57, 0.6, 1.2, 3.0, 30.0):
        exact = r_acc(k)
        # A correlation or inequality too small to matter takes the general way.
        for setting in (Setting(k, 1.0, rho=1e-13), Setting(k, 1.0, mu_c=k * (1 + 1e-13))):
            assert best_ratio(setting, 0.0) == pytest.approx(exact, abs=1e-9)
    for k in (1.5, 5.0, 50.0):  # more classes, where accuracy may round to 1
        best = best_ratio(Setting(k, 1.0, classes=4), 0.0)
        assert 1 - law("normal").mean_largest(3) / k < best <= 1
    # With precise cross-class features the best ratio is that of the least noise, sigma_e^2/sigma_c^2
    assert best_ratio(Setting(1, sigma_e=5, sigma_c=0.1), 0.1) == pytest.approx(2500, rel=1e-6)


def test_a_strong_norm_2_attack_leaves_ratios_that_help():
    setting = Setting(1, 0.5, norm=2)
    assert accuracy_of(setting, 0.0, 0.8)[1] < 0.5 < accuracy_of(setting, best_ratio(setting, 0.8), 0.8)[1]


def test_where_there_is_no_best_ratio_the_refusal_says_so():
    for eps, words, sentence in ((0.5, {}, "no ratio has a margin of positive mean"),
                                 (0.6, {"mu_c": 2}, "still rises"), (1.01, {"norm": 2}, "no ratio has")):
        with pytest.raises(ValueError, match=sentence):
            best_ratio(Setting(1, 0.5, **words), eps)


def test_best_smoothing_makes_the_margin_loss_learn_the_best_ratio():
    for words in ({}, {"classes": 5}, {"rho": 0.4}, {"noise": "logistic"}, {"sigma_e": 0.45}):
        setting = Setting(1, 0.5, **words)
        b, best = best_smoothing(setting, 0.1), best_ratio(setting, 0.1)
        assert 0 < b < 1
        assert solve(setting, SmoothedMargin(b), 0.1, 1).ratio == pytest.approx(best, rel=1e-9)
        assert abs(solve(setting, SmoothedMargin(0.99 * b), 0.1, 1).ratio / best - 1) > 1e-4
    assert best_smoothing(Setting(1, 0.5, sigma_e=0.6), 0.1) > 1  # the best ratio is above 1, which none reaches
    assert best_smoothing(Setting(), 0.4) is None and Setting().k(0.4) < 1 / math.sqrt(math.pi)
    assert best_smoothing(Setting(1, sigma_e=0.35, sigma_c=0.6), 0.2) < 0  # N2-unequal: it uses too much already
    assert eps0(Setting(1, sigma_e=0.35, sigma_c=0.6)) > 0.2


def test_arrays_of_ratios_and_sizes_broadcast():
    setting = Setting(classes=4)
    joint, pairwise = accuracy_of(setting, [[0.2], [0.7]], [0.0, 0.1, 0.2])
    assert joint.shape == pairwise.shape == (2, 3)
    assert (joint[1, 2], pairwise[1, 2]) == accuracy_of(setting, 0.7, 0.2)
    assert isinstance(accuracy_of(setting, 0.7, 0.2)[0], float)


@pytest.mark.parametrize(("setting", "ratio", "eps", "sentence"), [
    (Setting([1, 2], 0.5), 1, 0.1, "a setting of arrays"), (Setting(rho=[0.1, 0.2]), 1, 0.1, "a setting of arrays"),
    (Setting(classes=5, design="B", noise="laplace"), 1, 0.1, "choose normal noise or design A"),
    (Setting(classes=5, rho=-0.1), 1, 0.1, "choose rho >= 0"), (Setting(), -1, 0.1, "ratio = -1"),
    (Setting(), math.nan, 0.1, "ratio = nan"), (Setting(), 1, -0.1, "eps = -0.1")])
def test_what_is_not_covered_is_refused_in_one_sentence(setting, ratio, eps, sentence):
    with pytest.raises(ValueError, match="was given") as refusal:
        accuracy_of(setting, ratio, eps)
    assert sentence in str(refusal.value) and len(str(refusal.value).splitlines()) == 1
    if ratio == 1 and eps > 0:
        with pytest.raises(ValueError, match=sentence):
            best_ratio(setting, eps)
