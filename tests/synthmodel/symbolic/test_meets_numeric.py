"""The sympy derivations against the numerical and the closed side: three roads to the same numbers."""

import pytest
import sympy as sp

from synthmodel.accuracy.three_classes import b_star, joint_accuracy, joint_slope, pairwise_accuracy, r_acc, slope_sign
from synthmodel.model.losses import Margin, SmoothedMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_vertices import solve_numeric, threshold_numeric
from synthmodel.symbolic import derive
from synthmodel.symbolic import symbols as symbolic

EXACT = 1e-9  # what the numerical side promises, relative


def number(expression, **values):
    symbols = {getattr(symbolic, name): value for name, value in values.items()}
    return float(sp.sympify(expression).subs(symbols).evalf(20))


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "eps", "lam"), [(0.5, 0.2, 0.1), (0.9, 0.1, 2.0), (0.3, 0.41, 1.0)])
def test_weights_of_the_margin_loss(sigma, eps, lam):
    results = derive("T1").results
    values = {"mu": 1, "sigma": sigma, "eps": eps, "lam": lam}
    solution = solve_numeric(Setting(1, sigma), Margin(), eps, lam)
    assert number(results["w1"], **values) == pytest.approx(solution.w1, rel=EXACT)
    assert number(results["w2"], **values) == pytest.approx(solution.w2, rel=EXACT)
    assert number(results["risk"], **values) == pytest.approx(solution.risk, rel=EXACT)
    assert number(results["eps0"], **values) == pytest.approx(threshold_numeric(Setting(1, sigma), Margin()), abs=EXACT)


@pytest.mark.parametrize("b", [0.1, 0.7])
def test_weights_of_the_smoothed_margin(b):
    results = derive("T3").results
    values = {"mu": 1, "sigma": 0.5, "eps": 0.2, "lam": 0.1, "b": b}
    solution = solve_numeric(Setting(1, 0.5), SmoothedMargin(b), 0.2, 0.1)
    assert number(results["w1"], **values) == pytest.approx(solution.w1, rel=EXACT)
    assert number(results["w2"], **values) == pytest.approx(solution.w2, rel=EXACT)
    threshold = threshold_numeric(Setting(1, 0.5), SmoothedMargin(b))
    assert number(results["eps1"], **values) == pytest.approx(threshold, abs=EXACT)


@pytest.mark.slow
@pytest.mark.parametrize(("ratio", "k"), [(0.3, 0.8), (0.9, 2.0), (1.5, 1.0)])
def test_accuracies_and_slopes(ratio, k):
    assert number(derive("T2-pair").results["pairwise"], r=ratio, k=k) == pytest.approx(
        pairwise_accuracy(ratio, k), rel=EXACT)
    results = derive("T2-joint").results
    assert number(results["F"], r=ratio, k=k) == pytest.approx(slope_sign(ratio, k), rel=EXACT)
    slope = number(results["derivative"], r=ratio, k=k)
    assert slope == pytest.approx(joint_slope(ratio, k), rel=EXACT)
    step = 1e-5
    numeric = (joint_accuracy(ratio + step, k) - joint_accuracy(ratio - step, k)) / (2 * step)
    assert slope == pytest.approx(numeric, abs=1e-9)


@pytest.mark.slow
def test_best_smoothing():
    expression = derive("N3").results["b_star_in_terms"]
    for k in (0.7, 1.0, 2.0):
        assert number(expression, k=k, r=r_acc(k)) == pytest.approx(b_star(k), rel=1e-9)
