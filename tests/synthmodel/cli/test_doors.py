"""What is no finite real number, or no setting, gets one sentence at every public door, and never a number."""

import datetime
import json
import math
import warnings

import numpy as np
import pytest
import sympy as sp
from scipy import stats

from synthmodel import (
    CrossEntropy,
    Distillation,
    Margin,
    NotConverged,
    Setting,
    SmoothedMargin,
    accuracy_of,
    b_star,
    best_ratio,
    best_smoothing,
    eps0,
    eps1,
    eps_max,
    joint_accuracy,
    pairwise_accuracy,
    r_acc,
    solve,
    threshold,
)
from synthmodel.__main__ import main
from synthmodel.accuracy import any_setting
from synthmodel.accuracy.bayes import affine_error, bayes_error, exclusive_error, linear_error
from synthmodel.accuracy.sharing import Sharing
from synthmodel.accuracy.three_classes import imr, joint_slope, r_acc_cubic, slope_sign
from synthmodel.flows.any_noise import Features
from synthmodel.flows.finite_outliers import Outliers
from synthmodel.flows.gradient_flow import cross_entropy_flow, effective_smoothing, margin_flow, psi
from synthmodel.flows.learning_curve import chance_used, chance_used_normal
from synthmodel.flows.margin_estimates import estimates, expected_maximum, tau_star
from synthmodel.flows.rare_outliers import exclusive_optimum, forgetting_range, limit_flow
from synthmodel.model import roots
from synthmodel.model.setting import checked, reals
from synthmodel.solvers import margin_closed
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, ratio_limit
from synthmodel.solvers.margin_closed import ratio_closed

NO_NUMBERS = [math.nan, math.inf, -math.inf, 10**400, 10**6000, 1j, np.array([1 + 0j]), np.ma.array([0.5], mask=[1]),
              np.ma.array(0.5), "x", "", None, [], [[1, 2], [3]], {}, sp.Symbol("k"), sp.I, np.datetime64("2020-01-01"),
              datetime.date(2020, 1, 1), np.array([1, None], object), object()]
S, T = Setting(1, 0.5), [0.0, 1.0]
OUTLIERS, FEATURES, SHARED = Outliers(0.4, 0.5, 0.1, 0.1, 3.0), Features(1, 1), Sharing([[1, 0], [0, 1]])
DOORS = {
    "Setting mu": Setting, "Setting sigma_c": lambda x: Setting(sigma_c=[x] if x is None else x),
    "Setting rho": lambda x: Setting(rho=x),
    "ratio of joint": lambda x: joint_accuracy(x, 1), "k of joint": lambda x: joint_accuracy(0.5, x),
    "ratio of pairwise": lambda x: pairwise_accuracy(x, 1), "k of pairwise": lambda x: pairwise_accuracy(0.5, x),
    "joint_slope": lambda x: joint_slope(0.5, x), "slope_sign": lambda x: slope_sign(x, 1), "imr": imr,
    "r_acc": r_acc, "r_acc_cubic": r_acc_cubic, "b_star": b_star, "k of ratio_closed": ratio_closed,
    "b of ratio_closed": lambda x: ratio_closed(1, x),
    "eps of solve": lambda x: solve(S, Margin(), x, 0.1), "lam of solve": lambda x: solve(S, CrossEntropy(), 0.1, x),
    "numeric": lambda x: solve(S, Margin(), x, 0.1, "numeric"), "eps1": lambda x: eps1(S, x),
    "SmoothedMargin": SmoothedMargin, "teacher": lambda x: Distillation((1, x)),
    "ratio of accuracy_of": lambda x: accuracy_of(S, x, 0.1), "eps of accuracy_of": lambda x: accuracy_of(S, 0.5, x),
    "best_ratio": lambda x: best_ratio(S, x), "best_smoothing": lambda x: best_smoothing(S, x),
    "cross_entropy_ratio": lambda x: cross_entropy_ratio(S, x, 0.1), "ratio_limit": lambda x: ratio_limit(S, x),
    "k of margin_flow": lambda x: margin_flow(x, T), "times": lambda x: margin_flow(1, x),
    "b of margin_flow": lambda x: margin_flow(1, T, x), "cross_entropy_flow": lambda x: cross_entropy_flow(x, T),
    "effective_smoothing": lambda x: effective_smoothing(x, 1),
    "tau_star": lambda x: tau_star(S, 0.1, x), "expected_maximum": expected_maximum,
    "estimates": lambda x: estimates(np.ones((20, 3)), level=x),
    "exclusive_optimum": exclusive_optimum, "b of forgetting_range": lambda x: forgetting_range(1, 3, x),
    "classes": lambda x: exclusive_optimum(1, x), "pull": lambda x: limit_flow(1, x, T),
    "weights of a teacher": lambda x: limit_flow(1, 0.1, T, b=0.1, teacher=(1, x)),
    "Outliers": lambda x: Outliers(x, 1, 1, 0.1, 3), "p": lambda x: Outliers(1, 1, 1, x, 3),
    "ratio with outliers": OUTLIERS.accuracy, "Features": lambda x: Features(1, x),
    "eps of bayes_error": lambda x: bayes_error(S, x), "eps of exclusive_error": lambda x: exclusive_error(S, x),
    "affine_error": affine_error, "linear_error": linear_error, "k of chance_used": lambda x: chance_used(x, 3),
    "N of chance_used": lambda x: chance_used(1, x), "N of chance_used_normal": lambda x: chance_used_normal(1, x),
    "mu of Sharing": lambda x: Sharing([[1], [0]], mu=x), "eps of a sharing": lambda x: SHARED.bayes_error(x),
    "ratio of a sharing": lambda x: SHARED.accuracy(x, 0.1), "matrix": Sharing,
    "copies": lambda x: Sharing([[1], [0]], [] if x is None else [x]),
    "ratio of Features": FEATURES.accuracy, "b of flow": lambda x: FEATURES.flow(T, x),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_number_gets_one_sentence(door):
    for value in NO_NUMBERS:
        with pytest.raises(ValueError, match=r"^\S.*(was|were) given.*: [a-z].*\.$") as refusal:
            DOORS[door](value)
        assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("door", [
    r_acc, b_star, exclusive_optimum, lambda x: margin_flow(x, T), lambda x: limit_flow(x, 0.1, T), lambda x:
    best_ratio(S, x), lambda x: Outliers(x, 1, 1, 0.1, 3), lambda x: Features(x, 1), lambda x: margin_flow(1, T, x)])
def test_one_number_is_not_an_array(door):
    with pytest.raises(ValueError, match="one number, not an array"):
        door([0.5, 0.6])


def test_numbers_of_other_kinds_are_numbers():
    for half in (sp.Rational(1, 2), "0.5", np.float32(0.5), b"0.5", np.array(0.5)):
        assert joint_accuracy(half, 1) == joint_accuracy(0.5, 1) == joint_accuracy(0.5, np.int64(1))
    assert reals([True, 2]).tolist() == [1, 2]
    assert reals(("1/4", ".5")).tolist() == reals(np.array(["2/8", "1/2"])).tolist() == [0.25, 0.5]
    assert reals([["1/4"], ["3"]]).tolist() == [[0.25], [3]] and np.isnan(reals(["1/4", "1/0"]))
    assert psi("inf") == psi(math.inf) == pytest.approx(1 / math.sqrt(math.pi))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(reals(np.longdouble("1e4000")))


@pytest.mark.parametrize("call", [lambda x: solve(x, Margin(), 0.2, 0.1), lambda x: threshold(x, Margin()), eps0,
                                  eps_max, lambda x: solve(x, CrossEntropy(), 0.2, 0.1), lambda x: tau_star(x, 0.1, 1),
                                  lambda x: accuracy_of(x, 0.5, 0.1), lambda x: best_ratio(x, 0.1),
                                  lambda x: best_smoothing(x, 0.1), lambda x: ratio_limit(x, 1),
                                  lambda x: bayes_error(x, 0.1), lambda x: exclusive_error(x, 0.1),
                                  lambda x: margin_closed.solve_closed(x, Margin(), 0.1, 0.1)])
def test_no_setting_gets_one_sentence(call):
    for value in (1, "x", None, Setting):
        with pytest.raises(ValueError, match="was given as the setting, but it must be a Setting: make one"):
            call(value)


def test_settings_losses_and_solutions_compare_by_value():
    one = Setting(1, [0.5, 0.6])
    assert one == Setting(1, [0.5, 0.6]) and hash(one) == hash(Setting(1, [0.5, 0.6]))
    assert one != Setting(1, [0.5, 0.7]) and one != Setting(1, [[0.5, 0.6]]) and one != Setting(1, 0.5) and one != 1
    assert Setting() == Setting() and Setting(noise="laplace") != Setting() != Setting(noise=stats.norm())
    assert SmoothedMargin([0.1, 0.2]) == SmoothedMargin([0.1, 0.2]) != SmoothedMargin([0.1, 0.3])
    assert SmoothedMargin(0) != Margin() == Margin()
    assert solve(one, Margin(), 0.2, 0.1) == solve(one, Margin(), 0.2, 0.1) != solve(one, Margin(), 0.1, 0.1)


def test_huge_ratios_have_their_limits_or_a_sentence():
    for setting in (S, Setting(1, 0.5, norm=2), Setting(1, 0.5, classes=5), Setting(1, 0.5, noise="laplace")):
        far, farther = (accuracy_of(setting, ratio, 0.1) for ratio in (1e12, 1e99))
        assert far == pytest.approx(farther, abs=1e-9)
        with pytest.raises(ValueError, match=r"ratio = 1e\+308 was given.*ordinary size"):
            accuracy_of(setting, 1e308, 0.1)
    for door in (OUTLIERS.accuracy, FEATURES.accuracy):
        assert door(1e12) == pytest.approx(door(1e99), abs=1e-9)
        with pytest.raises(ValueError, match=r"ratio = 1e\+308"):
            door(1e308)


def test_a_best_smoothing_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setattr(any_setting, "best_ratio", lambda setting, eps: math.inf)
    with pytest.raises(NotConverged, match="the best smoothing"):
        best_smoothing(S, 0.1)


def test_a_norm_next_to_infinity_has_its_curve(capsys):
    assert main("curve --norm 999999 --eps 0:0.4:3 --json".split()) == 0
    near = capsys.readouterr().out
    assert main("curve --norm inf --eps 0:0.4:3 --json".split()) == 0
    for one, other in zip(json.loads(near), json.loads(capsys.readouterr().out), strict=True):
        assert one["r_acc"] == pytest.approx(other["r_acc"], abs=1e-5)
        assert one["w2"] == pytest.approx(other["w2"], abs=1e-4)


def test_a_root_that_is_not_found_is_no_traceback(monkeypatch):
    monkeypatch.setattr(roots, "ITERATIONS", 3)
    with pytest.raises(NotConverged, match="was not found in 3 steps"):
        r_acc(1.2)


def test_the_sentence_names_the_sizes():
    with pytest.raises(ValueError, match=r"of ordinary size \(1e-50 to 1e50\)"):
        checked("x", 1e60)
