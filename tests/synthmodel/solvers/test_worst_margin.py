"""The solver of surrogate losses of the least margin: against closed forms, its refusals, the command line."""

import json
import math

import numpy as np
import pytest

from synthmodel import Setting, solve, threshold
from synthmodel.__main__ import main
from synthmodel.claims.checks.losses.universal import hinge_risk
from synthmodel.model.losses import Margin, WorstMargin
from synthmodel.model.solution import NotConverged
from synthmodel.model.surrogates import SURROGATES, Surrogate
from synthmodel.solvers.margin_closed import eps0, eps1


@pytest.mark.parametrize("name", SURROGATES)
def test_a_surrogate_is_convex_and_falls_with_the_slope_it_says(name):
    phi, t = SURROGATES[name], np.linspace(-3, 3, 601) + 0.003
    assert (np.diff(phi.value(t)) <= 0).all() and (np.diff(phi.slope(t)) >= 0).all()
    slope = (phi.value(t + 1e-6) - phi.value(t - 1e-6)) / 2e-6
    assert phi.slope(t) == pytest.approx(slope, abs=1e-7)
    assert phi.slope(np.zeros(1)) < 0 and 0 not in phi.kinks


@pytest.mark.parametrize(("name", "power"), [("hinge", 1), ("squared-hinge", 2)])
@pytest.mark.parametrize(("eps", "b"), [(0.2, 0.0), (0.2, 0.4), (0.45, 0.0)])
def test_it_minimises_the_closed_risk(name, power, eps, b):
    found = solve(Setting(1, 0.5), WorstMargin(name, b), eps, 0.1)
    w = np.array([found.w1, found.w2])
    assert found.risk == pytest.approx(hinge_risk(w, 1 - 2 * eps, 0.5, b, 0.1, power), abs=1e-12)
    for step in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (1e-3, 1e-3), *([(0, -1e-3)] if w[1] else [])):
        assert hinge_risk(w + step, 1 - 2 * eps, 0.5, b, 0.1, power) > found.risk
    assert (found.w2 > 0) == (eps < eps1(Setting(1, 0.5), b)) and found.residual <= 1e-12


def test_a_linear_surrogate_is_the_margin_loss():
    line = Surrogate(lambda t: -t, lambda t: -np.ones_like(t))
    for words, eps in (({}, 0.1), ({}, 0.4), ({"rho": 0.4, "sigma_c": 0.3}, 0.2), ({"classes": 5}, 0.1),
                       ({"noise": "laplace"}, 0.2), ({"mu_c": 0.8}, 0.45), ({}, 0.6)):
        setting = Setting(1, 0.5, **words)
        found, known = solve(setting, WorstMargin(line), eps, 0.3), solve(setting, Margin(), eps, 0.3)
        assert [found.w1, found.w2, found.risk] == pytest.approx([known.w1, known.w2, known.risk], abs=1e-8)


def test_two_decays():
    line, setting = Surrogate(lambda t: -t, lambda t: -np.ones_like(t)), Setting(1, 0.5)
    found, known = (solve(setting, loss, 0.2, lam_e=0.3, lam_c=0.7) for loss in (WorstMargin(line), Margin()))
    assert [found.w1, found.w2, found.risk] == pytest.approx([known.w1, known.w2, known.risk], abs=1e-8)
    for eps, alive in ((eps0(setting) - 1e-6, True), (eps0(setting) + 1e-6, False)):  # U1: whatever the two decays
        assert (solve(setting, WorstMargin("hinge"), eps, 0.1, penalty="entries").w2 > 0) == alive


def test_arrays_and_thresholds():
    setting = Setting(1, 0.5)
    found = solve(setting, WorstMargin("exponential", [0.0, 0.3]), 0.2, 0.5)
    assert found.w2[1] > found.w2[0] > 0
    assert threshold(setting, WorstMargin("hinge")) == eps0(setting)
    assert threshold(setting, WorstMargin("logistic", 0.3)) == eps1(setting, 0.3)


@pytest.mark.parametrize(("words", "loss", "eps", "sentence"), [
    ({"norm": 2}, WorstMargin("hinge"), 0.1, "which takes norm inf"),
    ({"classes": 4}, WorstMargin("hinge", 0.1), 0.1, "three classes and normal noise only"),
    ({"noise": "laplace"}, WorstMargin("hinge", 0.1), 0.1, "three classes and normal noise only"),
    ({"classes": 4, "design": "B"}, WorstMargin("hinge"), 0.1, "three classes and normal noise only"),
    ({"mu_e": 0.3}, WorstMargin("hinge"), 0.2, "choose eps < 0.15"),
    ({}, WorstMargin(Surrogate(lambda t: np.maximum(-1 - t, 0), lambda t: -1.0 * (t < -1), (-1.0,))), 0.1,
     "must fall there"),
])
def test_what_it_does_not_cover_is_refused(words, loss, eps, sentence):
    with pytest.raises(ValueError, match=sentence):
        solve(Setting(1, 0.5, **words), loss, eps, 0.1)


def test_an_infinite_mean_is_no_number():
    with pytest.raises(NotConverged, match="infinite"):
        solve(Setting(1, 0.5, noise="student-t:5"), WorstMargin("exponential"), 0.1, 0.1)
    with pytest.raises(ValueError, match="norm inf only"):
        threshold(Setting(norm=2), WorstMargin("hinge"))
    with pytest.raises(ValueError, match="a kink at 0"):
        Surrogate(lambda t: np.maximum(-t, 0), lambda t: -(t < 0), (0,))


@pytest.mark.parametrize(("value", "slope", "near"), [
    (lambda t: np.maximum(1 - t, 0)**2, lambda t: -4 * np.maximum(1 - t, 0), "-8"),  # twice the slope
    (lambda t: np.clip(1 - t, 0, 1), lambda t: -1.0 * ((t > 0) & (t < 1)), "0"),  # not convex
    (lambda t: (1 - t)**2, lambda t: -2 * (1 - t), "1"),  # rises
])
def test_a_loss_of_ones_own_that_is_none_is_refused(value, slope, near):
    with pytest.raises(ValueError, match=f"not convex, or rises, or has another slope.*near t = {near}:"):
        Surrogate(value, slope)
    for broken in (lambda t: 1.0, lambda t: np.full_like(t, np.nan)):
        with pytest.raises(ValueError, match="not one finite number for each t"):
            Surrogate(broken, slope)
        with pytest.raises(ValueError, match="not one finite number for each t"):
            Surrogate(value, broken)


def test_a_bend_that_is_not_named_says_how_to_name_it():
    value, slope = (lambda t: np.maximum(1 - t, 0)**2), (lambda t: -2 * np.maximum(1 - t, 0))
    with pytest.raises(NotConverged, match="name in kinks where the loss bends"):
        solve(Setting(1, 0.5), WorstMargin(Surrogate(value, slope)), 0.2, 0.1)
    named = solve(Setting(1, 0.5), WorstMargin(Surrogate(value, slope, (1.0,))), 0.2, 0.1)
    assert named.w2 == pytest.approx(solve(Setting(1, 0.5), WorstMargin("squared-hinge"), 0.2, 0.1).w2, rel=1e-9)


def test_on_the_command_line(capsys):
    assert main(["solve", "--loss", "hinge", "--eps", "0.2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["w1"], found["w2"]) == pytest.approx((1.2382756525, 0.8075764318), abs=1e-9)
    assert found["method"] == "numeric"
    assert main(["thresholds", "--loss", "squared-hinge", "--b", "0.1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["threshold"] == pytest.approx(0.5 - 0.45 * 0.5 / math.sqrt(math.pi)) and found["eps_max"] == 0.5
    assert main(["solve", "--loss", "hinge", "--eps", "0.2", "--method", "closed"]) == 2
    assert "has none" in capsys.readouterr().err
