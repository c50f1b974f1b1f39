"""The two forms of the softmax expectations against each other, against a product rule and against differences."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp, softmax

from synthmodel.model.noise import law
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import line_integrals
from synthmodel.solvers.line_integrals import derivatives_on_a_line, log_sum_derivatives
from synthmodel.solvers.plane_integrals import Problem, derivatives

FORMS = 1e-12  # two quadratures of one expectation
DIFFERENCE = 1e-8  # central differences with step 1e-5
NORMAL = law("normal")


def problem(mean=(1.2, 0.8), common=0.0, own=1.0, linear=(0.1, -0.2), decay=(0.4, 0.3)):
    return Problem(*(np.array([x], dtype=float) for x in (mean, linear, decay)), np.array([common]), np.array([own]))


def on_a_line(v, n=2, known=NORMAL, exponent=line_integrals.EXPONENT, **words):
    return [x[0] for x in derivatives_on_a_line(problem(**words), np.array([v], dtype=float), n, known, exponent)]


@pytest.mark.parametrize("v", [(0, 0), (0, 1.3), (1.3, 0), (0.6, 0.5), (4, 3), (1e-9, 1e-7)])
@pytest.mark.parametrize("common", [0.0, 0.3, 0.9])
def test_plane_and_line_agree(v, common):
    words = {"common": common, "own": 1 - common}
    plane = [x[0] for x in derivatives(problem(**words), np.array([v], dtype=float))]
    for one, other in zip(plane, on_a_line(v, **words), strict=True):
        assert other == pytest.approx(one, abs=FORMS)
    wrong = on_a_line(v, common=common, own=1.01 * (1 - common))
    assert v[1] < 1e-3 or np.abs(wrong[1] - plane[1]).max() > 1e6 * FORMS


def product_rule(v, n, mean, common, own, known, order):
    """Risk, gradient, Hessian of log(1 + sum e^{-m_j}) and E[1-p] from all n + 2 noises."""
    if known is NORMAL:
        z, weights = np.polynomial.hermite_e.hermegauss(order)
        weights = weights / weights.sum()
    else:
        z, weights, _, _ = line_integrals.quantile_rule(known, order)
    grids = np.meshgrid(*[z] * (n + 1 + (common > 0)), indexing="ij")
    mass = np.prod(np.meshgrid(*[weights] * len(grids), indexing="ij"), axis=0).ravel()
    noise = [g.ravel() for g in grids]
    shared = np.sqrt(common) * noise[-1] if common > 0 else 0.0
    features = np.stack([np.stack([mean[0] + noise[0], mean[1] + np.sqrt(own) * noise[1 + j] + shared])
                         for j in range(n)])  # (n, 2, points)
    margins = np.einsum("i,jip->jp", v, features)
    scores = np.concatenate([np.zeros((1, len(mass))), -margins])
    p = softmax(scores, axis=0)[1:]
    mean_feature = np.einsum("jp,jip->ip", p, features)
    second = np.einsum("jp,jip,jkp->ikp", p, features, features)
    hessian = second - mean_feature[:, None] * mean_feature[None]
    return logsumexp(scores, axis=0) @ mass, -mean_feature @ mass, hessian @ mass, p.sum(axis=0) @ mass


@pytest.mark.parametrize(("n", "common", "known", "order", "accuracy"), [
    (2, 0.0, NORMAL, 40, 1e-12), (3, 0.0, NORMAL, 24, 1e-10), (3, 0.4, NORMAL, 16, 1e-8),
    (2, 0.0, law("laplace"), 41, 1e-7), (2, 0.0, law("uniform"), 31, 1e-9), (2, 0.0, law(stats.gumbel_r()), 41, 1e-8)])
def test_the_line_agrees_with_a_product_rule(n, common, known, order, accuracy):
    v, mean, own = np.array([0.7, 0.5]), (1.2, 0.8), 1 - common
    exact = product_rule(v, n, mean, common, own, known, order)
    found = on_a_line(v, n, known, mean=mean, common=common, own=own, linear=(0, 0), decay=(0, 0))
    for one, other in zip(exact, found, strict=True):
        assert other == pytest.approx(one, abs=accuracy)


@pytest.mark.parametrize(("n", "common", "known"), [(3, 0.0, NORMAL), (9, 0.4, NORMAL), (4, 0.0, law("laplace"))])
@pytest.mark.parametrize("v", [(0.6, 0.5), (2, 0.01), (0.01, 1.5)])
def test_gradient_and_hessian_agree_with_differences(n, common, known, v):
    words, v = {"common": common, "own": 1 - common}, np.array(v)
    _, gradient, hessian, _ = on_a_line(v, n, known, **words)
    for h in np.random.default_rng(1).normal(size=(3, 2)):
        up, down = (on_a_line(v + step * h, n, known, **words) for step in (1e-5, -1e-5))
        assert (up[0] - down[0]) / 2e-5 == pytest.approx(gradient @ h, abs=DIFFERENCE)
        assert (up[1] - down[1]) / 2e-5 == pytest.approx(hessian @ h, abs=DIFFERENCE)


def test_at_zero_all_is_known():
    """At v = 0 the softmax is uniform: p = 1/K."""
    for n, common in product((2, 3, 999), (0.0, 0.5)):
        words = {"common": common, "own": 1 - common, "linear": (0, 0), "decay": (0, 0)}
        risk, gradient, hessian, wrong = on_a_line((0, 0), n, **words)
        assert risk == pytest.approx(np.log(n + 1), rel=1e-12)
        assert wrong == pytest.approx(n / (n + 1), rel=1e-12)
        assert gradient == pytest.approx(np.array([-1.2, -0.8]) * n / (n + 1), rel=1e-12)
        # E sum_j p_j x_j^2 - (sum_j p_j x_j)^2 with E e^2 = 2.44, E c_j^2 = 1.64, E c_j c_l = .64 + rho
        q = 1 / (n + 1)
        expected = [2.44 * (n * q - n * n * q * q), 0.96 * (n * q - n * n * q * q),
                    1.64 * (n * q - n * q * q) - (0.64 + common) * n * (n - 1) * q * q]
        assert [hessian[0, 0], hessian[0, 1], hessian[1, 1]] == pytest.approx(expected, rel=1e-10)


def test_log_sum_of_two_by_one_integral():
    """E log(2 cosh(y D)) of D = (z - z')/2: for normal noise D ~ N(0, 1/2)."""
    d = np.linspace(-8, 8, 4001) / np.sqrt(2)
    weights = np.exp(-d * d) / np.sqrt(np.pi) * 0.004 / np.sqrt(2)
    for y in (0.0, 0.3, 2.0, 10.0):
        value, slope, curvature = log_sum_derivatives(y, 2, NORMAL)
        assert value == pytest.approx(weights @ np.logaddexp(y * d, -y * d), abs=1e-12)
        assert slope == pytest.approx(weights @ (d * np.tanh(y * d)), abs=1e-12)
        assert curvature == pytest.approx(weights @ (d / np.cosh(y * d))**2, abs=1e-12)


def test_too_much_work_is_refused_before_it_starts():
    for known, v in ((NORMAL, (1e6, 1)), (law("laplace"), (1e8, 1)), (law("student-t:2.1"), (300, 300))):
        with pytest.raises(NotConverged, match="choose a larger lam"):
            on_a_line(v, 3, known)
    with pytest.raises(NotConverged, match="nodes"):
        log_sum_derivatives(1e9, 2, law("uniform"))
    with pytest.raises(NotConverged, match="half-line"):
        derivatives(problem(), np.array([[300.0, 300.0]]))


def test_problems_are_independent_of_their_company():
    v = np.array([[0.6, 0.5], [4, 3], [0, 1.0], [0, 0]])
    single = problem(common=0.2, own=0.8)
    many = Problem(*(np.repeat(getattr(single, name), 4, axis=0) for name in single.__dataclass_fields__))
    many = replace(many, mean=many.mean * np.arange(1, 5)[:, None])
    for form in (lambda p, v: derivatives(p, v), lambda p, v: derivatives_on_a_line(p, v, 4, NORMAL)):
        together = form(many, v)
        for i in range(4):
            alone = form(many[i:i + 1], v[i:i + 1])
            for one, other in zip(together, alone, strict=True):
                assert one[i] == pytest.approx(other[0], abs=1e-13)
