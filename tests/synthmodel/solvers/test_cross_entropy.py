"""The cross-entropy solver, against differences, sampling, high precision, and the claims S1, T1-CE, T3-CE."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import log_softmax

from synthmodel.model.losses import CrossEntropy, Margin
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import cross_entropy, plane_integrals
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, ratio_limit, solve_cross_entropy, stein_residual

REFERENCE = 1e-13  # relative, to 22-digit references: the Hessian's condition number of about 10 times rounding
DIFFERENCE = 1e-9  # central differences with step 1e-5: step^2 from truncation, 1e-16/step from rounding
STEIN = 1e-12  # in units of mu: 64 Gauss-Hermite nodes where sigma |w| <= 1.5
STANDARD_ERRORS = 5  # a Monte Carlo mean strays this far once in two million samples; the seeds are fixed
# (mu, sigma, eps, lam, b); the last three have the smallest and largest sigma and lam in use.
PROBLEMS = [(1, 0.5, 0.2, 0.1, 0), (1, 0.5, 0.45, 0.1, 0), (1, 1, 0.1, 0.01, 0.1), (1, 0.3, 0.3, 0.01, 0.3),
            (2, 0.8, 0, 1, 0.6), (1, 0.02, 0.1, 1e-3, 0), (1, 3, 0.1, 1e-3, 0), (1, 3, 0, 1e3, 0.2)]


def solved(mu, sigma, eps, lam, b):
    return solve_cross_entropy(Setting(mu, sigma), CrossEntropy(b), eps, lam)


def derivatives(v, k, b, decay):
    """Risk, gradient and Hessian of one problem at equal means and noises."""
    pair = np.ones((1, 2))
    problem = plane_integrals.Problem(k * pair, b * k * pair, decay * pair, np.zeros(1), np.ones(1))
    risk, gradient, hessian, _ = plane_integrals.derivatives(problem, np.array([v], dtype=float))
    return risk[0], gradient[0], hessian[0]


# mpmath with 30 digits: the gradient from its definition E[-(1-p_1) e], E[-p_2 c_2 - p_3 c_3] (+ b d + lam w),
# by the trapezoidal rule in the three features with steps 0.25 sigma, then 0.2 sigma (equal to 22 digits).
@pytest.mark.parametrize(("problem", "w1", "w2"), [
    ((1, 0.5, 0.2, 0.1, 0), 1.355028201906821077569, 1.233716114255268585558),
    ((1, 1, 0.1, 0.01, 0.1), 1.136658283966517434202, 0.8237534351216801507492),
])
def test_weights_agree_with_high_precision(problem, w1, w2):
    solution = solved(*problem)
    assert [solution.w1, solution.w2] == pytest.approx([w1, w2], rel=REFERENCE)


@pytest.mark.parametrize(("v", "k", "b", "decay"), [((0.6, 0.5), 1.2, 0, 0.4), ((2, 1), 0.3, 0.3, 0.01),
                                                    ((6, 5), 3, 0.1, 0.1), ((0.5, 1.5), -0.5, 0, 1)])
def test_gradient_and_hessian_agree_with_differences_along_random_directions(v, k, b, decay):
    _, gradient, hessian = derivatives(v, k, b, decay)
    for h in np.random.default_rng(1).normal(size=(5, 2)):
        h = h / np.linalg.norm(h)
        (up, up_gradient, _), (down, down_gradient, _) = (
            derivatives(v + step * h, k, b, decay) for step in (1e-5, -1e-5))
        assert (up - down) / 2e-5 == pytest.approx(gradient @ h, rel=DIFFERENCE, abs=DIFFERENCE), h
        assert (up_gradient - down_gradient) / 2e-5 == pytest.approx(hessian @ h, rel=DIFFERENCE, abs=DIFFERENCE), h


@pytest.mark.parametrize("problem", PROBLEMS)
def test_first_order_conditions_by_the_stein_form(problem):
    mu, sigma, eps, lam, b = problem
    solution = solved(*problem)
    assert solution.residual <= cross_entropy.ACCURACY
    arguments = Setting(mu, sigma), CrossEntropy(b), eps, lam
    assert stein_residual(*arguments, solution.w1, solution.w2) == pytest.approx((0, 0), abs=STEIN)
    # A weight off by 1e-6 moves the residual by at least the regulariser's part.
    for scale in product((1 - 1e-6, 1, 1 + 1e-6), repeat=2):
        if scale != (1, 1):
            wrong = stein_residual(*arguments, scale[0] * solution.w1, scale[1] * solution.w2)
            assert np.linalg.norm(wrong) > 1e-7 * lam * solution.w2 / mu, scale
            assert np.linalg.norm(wrong) > 10 * STEIN, scale


@pytest.mark.parametrize("w", [(1.3, 0.4), (0.2, 2)])
def test_gradient_is_the_stein_form_away_from_the_minimum(w):
    setting, eps, lam, b = Setting(2, 0.5), 0.3, 0.2, 0.25
    _, gradient, _ = derivatives(np.array(w) * 0.5, setting.k(eps), b, lam / 0.25)
    assert stein_residual(setting, CrossEntropy(b), eps, lam, *w) == pytest.approx(gradient * 0.5 / 2, abs=STEIN)


@pytest.mark.parametrize(("sigma", "eps", "b", "w"), [(0.5, 0.2, 0, (1.4, 1.2)), (1, 0.1, 0.3, (0.5, 1)),
                                                      (0.3, 0.4, 0.1, (3, 0.1))])
def test_risk_and_gradient_agree_with_monte_carlo_from_the_definition(sigma, eps, b, w):
    count, label = 400_000, np.array([1 - b, b / 2, b / 2])
    e1, c2, c3 = (1 + sigma * np.random.default_rng(2).standard_normal((3, count)))
    zero = np.zeros(count)
    # delta*: E1 - eps, E_j + eps, C1 + eps, C_j - eps.
    x_e, x_c = np.stack([e1 - eps, zero + eps, zero + eps]), np.stack([zero + eps, c2 - eps, c3 - eps])
    shared = x_c.sum(axis=0) - x_c
    log_p = log_softmax(w[0] * x_e + w[1] * shared, axis=0)
    error = np.exp(log_p) - label[:, None]  # the loss's derivative in the scores
    samples = np.stack([-label @ log_p, (error * x_e).sum(axis=0), (error * shared).sum(axis=0)])
    v, k = np.array(w) * sigma, (1 - 2 * eps) / sigma
    risk, gradient, _ = derivatives(v, k, b, 0.0)
    deviations = np.array([risk, *gradient * sigma]) - samples.mean(axis=1)
    assert (abs(deviations) < STANDARD_ERRORS * samples.std(axis=1) / np.sqrt(count)).all(), deviations


@pytest.mark.slow
def test_delta_star_is_the_worst_vertex_of_cross_entropy():
    eps, (w1, w2), generator = 0.3, (1.3, 0.8), np.random.default_rng(3)
    for e1, c2, c3 in generator.normal(1, 0.5, size=(200, 3)):
        losses = []
        for vertex in product((-eps, eps), repeat=6):
            x_e, x_c = np.array([e1, 0, 0]) + vertex[:3], np.array([0, c2, c3]) + vertex[3:]
            losses.append(-log_softmax(w1 * x_e + w2 * (x_c.sum() - x_c))[0])
        margins = w1 * (e1 - 2 * eps) + w2 * (np.array([c2, c3]) - 2 * eps)
        assert max(losses) == pytest.approx(np.log1p(np.exp(-margins).sum()), rel=1e-13)


def risk_anywhere(w, sigma, eps, lam, b):
    """The risk at any real (w1, w2), mu = 1, with margins w1 E + w2 C_j - 2 eps (|w1| + |w2|) (claim A1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    x = 1 + sigma * nodes
    e, c2, c3 = np.meshgrid(x, x, x, indexing="ij", sparse=True)
    shift = -2 * eps * np.abs(w).sum()
    m2, m3 = w[0] * e + w[1] * c2 + shift, w[0] * e + w[1] * c3 + shift
    losses = np.log1p(np.exp(-m2) + np.exp(-m3)) + b * (m2 + m3) / 2
    return losses @ weights @ weights @ weights / weights.sum()**3 + lam / 2 * np.dot(w, w)


@pytest.mark.parametrize(("sigma", "eps", "lam", "b"), [(0.5, 0.2, 0.1, 0), (0.5, 0.1, 0.1, 0.5), (1, 0.6, 0.1, 0.3)])
def test_no_real_weights_do_better(sigma, eps, lam, b):
    solution = solved(1, sigma, eps, lam, b)
    assert solution.risk == pytest.approx(risk_anywhere((solution.w1, solution.w2), sigma, eps, lam, b), rel=1e-12)
    for w in np.random.default_rng(4).normal(size=(100, 2)):
        assert risk_anywhere(w, sigma, eps, lam, b) > solution.risk, w


def test_nothing_is_learned_from_eps_mu_over_2_on_or_at_b_two_thirds():
    for sigma, eps, b in [(0.5, 0.5, 0), (0.5, 0.7, 0.3), (2, 0.1, 2 / 3), (0.02, 0.5, 0.1)]:
        solution = solved(1, sigma, eps, 0.1, b)
        assert (solution.w1, solution.w2, solution.ratio, solution.iterations) == (0, 0, None, 0)
        assert solution.residual <= 1e-15  # the quadrature's rounding
        assert solution.risk == pytest.approx(np.log(3), rel=1e-15)
        with pytest.raises(ValueError, match="has no ratio"):
            cross_entropy_ratio(Setting(1, sigma), eps, 0.1, b)


def test_above_two_thirds_zero_is_no_minimiser_and_b_is_refused():
    for eps in (0.2, 0.6):
        assert risk_anywhere((-0.1, -0.1), 0.5, eps, 0.1, 0.8) < np.log(3) - 0.02
        with pytest.raises(ValueError, match="choose b <= 2/3"):
            solved(1, 0.5, eps, 0.1, 0.8)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 1, 3])
@pytest.mark.parametrize("eps", [0, 0.2, 0.4, 0.499])
@pytest.mark.parametrize("lam", [1e-3, 0.1, 1e3])
@pytest.mark.parametrize("b", [0, 0.3, 0.66])
def test_ratio_is_in_0_1_over_the_whole_domain(sigma, eps, lam, b):
    solution = solved(1, sigma, eps, lam, b)
    assert solution.residual <= cross_entropy.ACCURACY
    assert solution.iterations <= 15
    # S1: 1 - r = sigma^2 (B - A) w2/(lam w1 + ...) > 0, as small as 6e-10 at sigma = .02, lam = 1000.
    assert 0 < solution.ratio < 1 - 1e-13


@pytest.mark.parametrize(("sigma", "lam", "b"), [(0.5, 0.1, 0), (1, 0.01, 0.2), (0.3, 10, 0), (3, 1e-3, 0.4)])
def test_limit_of_the_ratio_as_eps_rises_to_mu_over_2(sigma, lam, b):
    setting = Setting(1, sigma)
    limit = ratio_limit(setting, lam)
    far, near = (cross_entropy_ratio(setting, 0.5 - step, lam, b) - limit for step in (1e-3, 1e-4))
    assert abs(near) < 1e-6
    if b == 0:  # by symmetry in the sign of d the approach is quadratic
        assert far / near == pytest.approx(100, rel=1e-2)


@pytest.mark.parametrize(("sigma", "eps", "lam"), [(0.5, 0.2, 0.1), (1, 0.1, 0.01), (0.3, 0, 1)])
def test_limit_of_the_ratio_as_b_rises_to_two_thirds(sigma, eps, lam):
    setting = Setting(1, sigma)
    assert cross_entropy_ratio(setting, eps, lam, 2 / 3 - 1e-6) == pytest.approx(ratio_limit(setting, lam), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.5])
def test_t1_ce_the_cross_class_weight_survives_the_margin_losss_threshold(sigma):
    eps0 = 0.5 - sigma / (2 * np.sqrt(np.pi))
    for eps in np.linspace(eps0, 0.5, 6)[:-1]:
        solution = solved(1, sigma, eps, 0.1, 0)
        assert solution.w2 > 0.1 * solution.w1 > 0


@pytest.mark.parametrize("lam", [0.01, 0.1, 1])
def test_ratio_decreases_in_eps(lam):
    ratios = [cross_entropy_ratio(Setting(1, 0.5), eps, lam) for eps in np.linspace(0, 0.499, 12)]
    assert np.diff(ratios).max() < -1e-4


def test_rescaling_only_k_and_lam_over_sigma_squared_matter():
    base, other = solved(1, 0.5, 0.2, 0.1, 0.1), solved(3.4, 2, 0.5, 1.6, 0.1)  # k = 1.2, L = 0.4
    assert [2 * other.w1, 2 * other.w2] == pytest.approx([0.5 * base.w1, 0.5 * base.w2], rel=1e-13)
    assert other.risk == pytest.approx(base.risk, rel=1e-13)
    assert ratio_limit(Setting(1, 0.5), 0.1) == pytest.approx(ratio_limit(Setting(7, 2), 1.6), rel=1e-15)


@pytest.mark.parametrize(("sigma", "eps", "lam"), [(0.5, 0.2, 0.1), (1, 0.1, 0.01), (0.3, 0, 1), (2, 0.4, 0.1)])
def test_t3_ce_label_smoothing_lowers_both_weights_and_their_ratio(sigma, eps, lam):
    solutions = [solved(1, sigma, eps, lam, b) for b in (0, 0.05, 0.2, 0.4, 0.6)]
    for less, more in pairwise(solutions):
        assert more.w1 < less.w1 * (1 - 1e-3)
        assert more.w2 < less.w2 * (1 - 1e-3)
        assert more.ratio < less.ratio - 1e-6


@pytest.mark.parametrize("name", ["a coarse quadrature", "an early stop", "weights that rounding left open"])
def test_a_solution_that_is_not_good_enough_raises(monkeypatch, name):
    exact, eps = cross_entropy.damped_newton, 0.2
    if name == "a coarse quadrature":
        monkeypatch.setattr(cross_entropy, "EXPONENT", 12.0)
    elif name == "an early stop":  # residual 1e-9
        monkeypatch.setattr(cross_entropy, "damped_newton", lambda *a: (exact(*a)[0] * (1 + 5e-9), np.ones(1)))
    else:
        eps = 0.5 - 1e-12
    with pytest.raises(NotConverged, match="accepted: choose a larger lam"):
        solved(1, 0.5, eps, 0.1, 0)


def test_weights_that_need_too_fine_a_quadrature_raise():
    with pytest.raises(NotConverged, match="half-line"):
        derivatives((300.0, 300.0), 1.0, 0.0, 1.0)


@pytest.mark.parametrize(("eps", "lam"), [(-0.1, 1), (float("nan"), 1), (0.1, 0), (0.1, float("inf"))])
def test_numbers_outside_the_domain_are_refused(eps, lam):
    with pytest.raises(ValueError, match="must be a finite number"):
        solve_cross_entropy(Setting(), CrossEntropy(), eps, lam)


def test_other_losses_and_negative_weights_are_refused():
    with pytest.raises(ValueError, match="use solve_numeric"):
        solve_cross_entropy(Setting(), Margin(), 0.1, 1)
    with pytest.raises(ValueError, match="w2 = -1"):
        stein_residual(Setting(), CrossEntropy(), 0.1, 1, 1, -1)
    with pytest.raises(ValueError, match="lam = 0"):
        ratio_limit(Setting(), 0)
