"""The data law's numbers, and what is no data law."""

import math

import numpy as np
import pytest
from scipy import stats

from synthmodel.model.setting import Setting, checked
from synthmodel.solvers.margin_polar import _scores


@pytest.mark.parametrize(("value", "bounds", "shown"), [
    (0, {"above": 0}, "= 0 was given, but it must be a finite number > 0:"),
    (-1, {"least": 0, "below": 1}, "= -1 was given, but it must be a finite number >= 0 and < 1:"),
    ([0.5, 2.0, 3.0], {"below": 1}, "= 2.0 was given"), ("some", {}, "= some was given"), (None, {}, "= None was"),
    (math.nan, {}, "= nan was given"), ([1, math.inf], {}, "= inf was given"), (1e60, {}, "of ordinary size"),
    (1e-60, {}, "of ordinary size"), ([], {}, "at least one number"), (1j, {}, "= 1j was given"),
    (True, {}, "= True was given"), (np.array([True]), {}, "was given, but it must be a finite number"),
])
def test_numbers_outside_their_domain_are_refused(value, bounds, shown):
    with pytest.raises(ValueError, match=r"^x = ") as refusal:
        checked("x", value, **bounds)
    assert shown in str(refusal.value)


def test_numbers_inside_come_back_as_floats_or_arrays():
    assert checked("x", "0.25", above=0) == 0.25 and isinstance(checked("x", np.float32(1)), float)
    assert checked("x", 0, least=0) == 0 and checked("x", -3) == -3
    assert checked("x", [[1, 2]], above=0).shape == (1, 2)


def test_own_means_and_noises_default_to_the_common_ones():
    setting = Setting(2, 0.5, mu_c=1.5, sigma_e=0.1)
    assert (setting.mu_e, setting.mu_c, setting.sigma_e, setting.sigma_c) == (2, 1.5, 0.1, 0.5)
    with pytest.raises(ValueError, match="equal means and noises"):
        setting.k(0.1)
    assert Setting(2, 0.5).d(0.25) == 1.5 and Setting(2, 0.5).k(0.25) == 3
    assert Setting([1, 2], 0.5).k([[0.0], [0.25]]).tolist() == [[2, 4], [1, 3]]


@pytest.mark.parametrize("rho", [-0.2, 0, 0.6])
@pytest.mark.parametrize("design", "AB")
@pytest.mark.parametrize("classes", [3, 4, 6])
def test_margins_have_the_mean_and_covariance_of_their_scores(classes, design, rho):
    """m_j - w1 e = (score row of the class less that of j) . c, on the features that are active in the class."""
    setting = Setting(classes=classes, design=design, rho=rho)
    n, scores = setting.active, _scores(setting)[1]
    rows = scores[0] - scores[1:]
    active = np.flatnonzero(scores[0]) if design == "B" else np.arange(1, classes)
    rows = rows[:, active]
    covariance = rows @ ((1 - rho) * np.eye(n) + rho) @ rows.T
    common, own = setting.variances
    assert covariance == pytest.approx(own * np.eye(n) + common * np.ones((n, n)), abs=1e-12)
    assert rows.sum(axis=1) == pytest.approx(np.full(n, setting.sharing))


@pytest.mark.parametrize(("words", "sentence"), [
    ({"mu": 0}, "mu = 0"), ({"sigma": -1}, "sigma = -1"), ({"mu_e": 0}, "mu_e = 0"), ({"sigma_c": "x"}, "sigma_c = x"),
    ({"classes": 2}, "whole number from 3 to 1000"), ({"classes": 3.5}, "classes = 3.5"), ({"classes": 1001}, "1000"),
    ({"classes": [3, 4]}, "classes = "), ({"classes": None}, "classes = None"), ({"classes": math.nan}, "= nan"),
    ({"classes": math.inf}, "classes = inf"), ({"design": "C"}, "design 'C'"), ({"norm": 0.5}, "norm = 0.5"),
    ({"norm": math.nan}, "norm = nan"), ({"norm": "two"}, "norm = two"), ({"norm": [1, 2]}, "norm = "),
    ({"rho": 1}, "rho = 1"), ({"rho": -0.5, "classes": 4}, "rho = -0.5"), ({"rho": -0.51, "classes": 4}, "rho = -0.51"),
    ({"rho": 0.1, "noise": "laplace"}, "rho = 0.1"), ({"rho": 0.1, "noise": stats.norm()}, "rho = 0.1"),
    ({"noise": "cauchy"}, "noise 'cauchy'"), ({"noise": stats.norm}, "noise "),
])
def test_what_is_no_setting_is_refused_in_one_sentence(words, sentence):
    with pytest.raises(ValueError, match="was given") as refusal:
        Setting(**words)
    assert sentence in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


def test_text_is_read_as_on_the_command_line():
    setting = Setting("1", "0.5", classes="4", norm="2", rho="0.1")
    assert (setting.mu, setting.classes, setting.norm, setting.rho) == (1, 4, 2, 0.1)
    assert not setting.plain and Setting().plain and Setting(norm="inf", sigma_c=0.2, design="B").plain
