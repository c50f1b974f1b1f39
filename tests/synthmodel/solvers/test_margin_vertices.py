"""The numerical side of the margin losses, against sampling, mpmath and cases one can do by hand."""

import subprocess
import sys
from itertools import product

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize

from synthmodel import solve
from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin, SoftTargetMargin
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import margin_vertices
from synthmodel.solvers.margin_vertices import solve_numeric, threshold_numeric

WEIGHTS = 1e-9  # relative to the larger weight: what is promised; rounding leaves about 1e-13
THRESHOLD = 1e-9  # absolute at mu = 1: what is promised
STANDARD_ERRORS = 5  # a Monte Carlo mean strays this far once in two million samples; the seeds are fixed
DERIVATIVE = 1e-8  # central differences of a piecewise quadratic are exact up to rounding/step = 1e-16/1e-7


def mean_minimum(setting):
    """E min(C_2, C_3) by mpmath: the minimum has the density 2 phi(z) (1 - Phi(z)) in units of the noise."""
    integral = mpmath.quad(lambda z: 2 * z * mpmath.npdf(z) * mpmath.ncdf(-z), [-12, -3, 0, 3, 12])
    return setting.mu + setting.sigma * float(integral)


def expected_weights(setting, b, eps, lam):
    """The weights from E m = mu - 2 eps and mpmath's E min: w >= 0 minimises a linear function + lam |w|^2/2."""
    pulls = setting.mu, (1 - b) * mean_minimum(setting) + b * setting.mu
    return np.maximum(np.array(pulls) - 2 * eps, 0) / lam


def attacked_losses(samples, b, eps, w):
    """The loss of each sample (E1, C2, C3) at its worst vertex, from the definition of the scores."""
    (e1, c2, c3), (w1, w2) = samples.T, w
    worst = np.full(len(samples), -np.inf)
    for vertex in product((-eps, eps), repeat=6):
        x_e, x_c = (e1 + vertex[0], vertex[1], vertex[2]), (vertex[3], c2 + vertex[4], c3 + vertex[5])
        f = [w1 * x_e[i] + w2 * (x_c[(i + 1) % 3] + x_c[(i + 2) % 3]) for i in range(3)]
        worst = np.maximum(worst, (1 - b) * np.maximum(f[1], f[2]) + b * (f[1] + f[2]) / 2 - f[0])
    return worst


def draw(setting, count, seed):
    return setting.mu + setting.sigma * np.random.default_rng(seed).standard_normal((count, 3))


@pytest.mark.slow
@pytest.mark.parametrize(("b", "eps", "lam"), [(0, 0, 1), (0, 0.2, 0.5), (0, 0.4, 2), (0.3, 0.1, 1), (0.9, 0.4, 1)])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.2])
def test_weights_are_those_of_the_mpmath_mean_of_the_minimum(sigma, b, eps, lam):
    setting = Setting(1, sigma)
    solution = solve_numeric(setting, SmoothedMargin(b), eps, lam)
    expected = expected_weights(setting, b, eps, lam)
    assert [solution.w1, solution.w2] == pytest.approx(expected, rel=0, abs=WEIGHTS * max(expected))
    # The unregularised risk is homogeneous of degree 1, so at the minimum it is -lam |w|^2.
    assert solution.risk == pytest.approx(-lam / 2 * expected @ expected, rel=2 * WEIGHTS)
    assert solution.method == "numeric" and solution.iterations >= 4
    if b == 0:
        assert solve_numeric(setting, Margin(), eps, lam) == solution


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.01, 1.7])
@pytest.mark.parametrize("eps", [0, 0.49999, 0.5, 1])
@pytest.mark.parametrize("lam", [1e-3, 1e3])
@pytest.mark.parametrize("b", [0, 0.99])
def test_extreme_settings(sigma, eps, lam, b):
    setting = Setting(1, sigma)
    solution = solve_numeric(setting, SmoothedMargin(b), eps, lam)
    expected = expected_weights(setting, b, eps, lam)
    assert [solution.w1, solution.w2] == pytest.approx(expected, rel=0, abs=WEIGHTS * max(expected))
    assert solution.residual <= margin_vertices.RESIDUAL


def test_by_hand_from_eps_mu_over_2_on_nothing_is_learned():
    for eps in (0.5, 0.6, 1.0):
        solution = solve_numeric(Setting(1, 0.5), Margin(), eps, 0.1)
        assert (solution.w1, solution.w2, solution.risk, solution.ratio) == (0, 0, 0, None)


def test_by_hand_only_the_unit_of_length_is_free():
    small, large = Setting(1, 0.4), Setting(1000, 400)
    one, other = (solve_numeric(s, Margin(), 0.1 * s.mu, 2) for s in (small, large))
    assert [other.w1, other.w2] == pytest.approx([1000 * one.w1, 1000 * one.w2], rel=WEIGHTS)


@pytest.mark.parametrize(("b", "eps", "w"), [(0, 0.2, (1.1, 0.7)), (0.4, 0.3, (0.5, -0.8)), (0.2, 0.1, (-1, 0.3)),
                                             (0, 0.3, (0.9, 0))])
def test_risk_agrees_with_monte_carlo_over_the_vertices(b, eps, w):
    setting, w = Setting(1, 0.5), np.array(w)
    losses = attacked_losses(draw(setting, 200_000, seed=1), b, eps, w)
    pieces, weights = margin_vertices._pieces(setting, SmoothedMargin(b), eps)
    risk = margin_vertices._risk(pieces, weights, 0.0, w)
    error = losses.std() / np.sqrt(len(losses))
    assert abs(risk - losses.mean()) < STANDARD_ERRORS * error, (risk, losses.mean(), error)


@pytest.mark.slow
def test_minimiser_agrees_with_brute_force_minimisation_of_a_sampled_risk():
    setting, eps, lam, b = Setting(1, 0.5), 0.2, 1.0, 0.3
    samples = draw(setting, 4000, seed=2)
    found = minimize(lambda w: attacked_losses(samples, b, eps, w).mean() + lam / 2 * (w @ w), [0.1, 0.1],
                     method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6}).x
    solution = solve_numeric(setting, SmoothedMargin(b), eps, lam)
    # The sampled pull on a weight, a mean of 4000 numbers of deviation <= sigma, moves it by that over lam.
    assert [solution.w1, solution.w2] == pytest.approx(found, abs=STANDARD_ERRORS * 0.5 / np.sqrt(4000) / lam)


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "b"), [(0.05, 0), (0.5, 0), (1.7, 0), (0.5, 0.2), (1.7, 0.5), (3, 0.9)])
def test_threshold_is_half_the_mpmath_mean_of_the_minimum(sigma, b):
    setting = Setting(1, sigma)
    expected = ((1 - b) * mean_minimum(setting) + b) / 2
    assert threshold_numeric(setting, SmoothedMargin(b)) == pytest.approx(expected, rel=0, abs=THRESHOLD)
    below, above = (solve_numeric(setting, SmoothedMargin(b), expected + step, 1).w2 for step in (-1e-6, 1e-6))
    assert below == pytest.approx(2e-6, rel=1e-3) and above == 0


def test_no_threshold_is_a_refusal():
    with pytest.raises(ValueError, match="choose a smaller sigma"):
        threshold_numeric(Setting(1, 1.8), Margin())
    assert solve_numeric(Setting(1, 1.8), Margin(), 0, 1).w2 == 0
    assert threshold_numeric(Setting(1, 1.8), SmoothedMargin(0.1)) > 0


def test_risk_is_convex_and_its_gradient_supports_it():
    pieces, weights = margin_vertices._pieces(Setting(1, 0.7), SmoothedMargin(0.25), 0.3)
    generator = np.random.default_rng(3)
    for u, v in generator.normal(size=(100, 2, 2)):
        risk_u, risk_v, middle = (margin_vertices._risk(pieces, weights, 0.5, w) for w in (u, v, (u + v) / 2))
        assert middle <= (risk_u + risk_v) / 2 - 0.5 / 8 * (u - v) @ (u - v) + 1e-14
        for signs in margin_vertices.SIGNS:  # a point on the axis: every one-sided gradient is a subgradient
            axis = u * (1, 0)
            slope = margin_vertices._gradient(pieces, weights, 0.5, axis, np.array(signs))
            assert risk_v >= margin_vertices._risk(pieces, weights, 0.5, axis) + slope @ (v - axis) - 1e-14


def test_gradient_agrees_with_differences_along_random_directions():
    pieces, weights = margin_vertices._pieces(Setting(1, 0.7), SmoothedMargin(0.25), 0.3)
    generator = np.random.default_rng(4)
    for w, h in generator.normal(size=(50, 2, 2)):
        slope = margin_vertices._gradient(pieces, weights, 0.5, w, np.ones(2)) @ h
        up, down = (margin_vertices._risk(pieces, weights, 0.5, w + step * h) for step in (1e-7, -1e-7))
        assert (up - down) / 2e-7 == pytest.approx(slope, abs=DERIVATIVE), (w, h)


@pytest.mark.parametrize("eps", [0.2, 0.4, 0.6])  # both weights live; w2 = 0; w = 0
def test_residual_sees_a_wrong_weight(eps):
    setting, lam = Setting(1, 0.5), 1.0
    solution = solve_numeric(setting, Margin(), eps, lam)
    pieces, weights = margin_vertices._pieces(setting, Margin(), eps)
    assert solution.residual <= margin_vertices.RESIDUAL
    for direction in product((-1, 0, 1), repeat=2):
        if any(direction):
            w = np.array([solution.w1, solution.w2]) + 1e-6 * np.array(direction)
            assert margin_vertices._residual(pieces, weights, lam, w) >= 0.9e-6, direction
    # Where both weights live, the residual is lam times the distance from the minimiser.
    if eps == 0.2:
        assert margin_vertices._residual(pieces, weights, lam, w) == pytest.approx(1e-6 * np.sqrt(2), rel=1e-6)


def test_a_method_that_stops_early_raises(monkeypatch):
    exact = margin_vertices._minimise_on_orthant

    def planted(*arguments):  # a relative error of 0.1 %
        w, count = exact(*arguments)
        return 1.001 * w, count

    monkeypatch.setattr(margin_vertices, "_minimise_on_orthant", planted)
    with pytest.raises(NotConverged, match="at most 1e-10 mu"):
        solve_numeric(Setting(1, 0.5), Margin(), 0.2, 1)


@pytest.mark.parametrize(("eps", "lam"), [(-0.1, 1), (float("nan"), 1), (0.1, 0), (0.1, float("inf"))])
def test_numbers_outside_the_domain_are_refused(eps, lam):
    with pytest.raises(ValueError, match="must be a finite number"):
        solve_numeric(Setting(), Margin(), eps, lam)


def test_cross_entropy_is_refused():
    with pytest.raises(ValueError, match="use solve_cross_entropy"):
        solve_numeric(Setting(), CrossEntropy(), 0.1, 1)


def test_import_is_light():
    code = "import sys, synthmodel.solvers.margin_vertices\n" \
           "print([m for m in ('sympy', 'torch', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("loss", [SoftTargetMargin(0.1), SoftTargetMargin(0.1, "monotone"), Margin()])
@pytest.mark.parametrize("sigma", [0.5, 1e3, 1e6, 1e7])
def test_the_error_bounds_what_rounding_leaves(sigma, loss):
    """w1 = v_E/lam whatever sigma, but a sum of numbers of size sigma has lost digits: the error says how many."""
    setting, lam = Setting(1, sigma), 0.1
    own = 0.9 if isinstance(loss, SoftTargetMargin) else 1.0
    size = 1.9 if loss == SoftTargetMargin(0.1) else 2 * own  # the attack's l1 cost
    exact = (own - 0.2 * size) / lam
    found = solve(setting, loss, 0.2, lam, "numeric")
    assert 0 < lam * abs(found.w1 - exact) + 1e-15 <= found.error <= 1e-13 * max(sigma, 1)
    assert abs(found.w1 - exact) <= 1e-12 or sigma > 100


def test_what_rounding_has_eaten_is_refused():
    for loss in (SoftTargetMargin(0.1), Margin()):
        with pytest.raises(NotConverged, match=r"rounding error .* up to [12]\.0e-02 mu"):
            solve(Setting(1, 5e11), loss, 0.2, 0.1, "numeric")
