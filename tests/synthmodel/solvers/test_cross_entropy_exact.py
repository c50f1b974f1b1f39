"""Cross-entropy under its own exact attack: against brute force, the monotone attack, and its own theorems."""

from itertools import product
from math import exp, log, sinh, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize

from synthmodel.claims.checks import exact_attack as exact
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.sampling import attacked_scores
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import cross_entropy_exact
from synthmodel.solvers.cross_entropy import ratio_limit, solve_cross_entropy
from synthmodel.solvers.cross_entropy_exact import exact_gradient, exact_risk, exact_threshold, solve_exact

pytestmark = pytest.mark.slow

DIFFERENCE = 1e-9  # central differences with step 1e-5: step^2 from truncation, 1e-16/step from rounding
STANDARD_ERRORS = 5  # a Monte Carlo mean strays this far once in two million samples; the seeds are fixed
# mu_e, mu_c, sigma_e, sigma_c, rho, b, eps, lam
PROBLEMS = [(1, 1, 0.5, 0.5, 0, 0.1, 0.2, 0.1), (1, 0.8, 0.5, 0.7, 0.3, 0.3, 0.3, 0.01),
            (1, 1, 0.2, 0.2, 0, 0.2, 0.45, 0.001), (0.9, 1, 0.3, 0.2, -0.5, 0.6, 0.1, 0.001),
            (1, 1, 0.3, 0.3, 0, 0.8, 0.2, 0.01)]
WEIGHTS = [(1.3, 1.2), (5.0, 3.0), (0.3, 2.0), (2.0, -0.7), (12.0, 8.0)]


def sampled(problem, w1, w2, count=20_000):
    """Mean and standard error of the loss and its slopes in w1, w2: 64 vertices of the box, on the scores."""
    mu_e, mu_c, sigma_e, sigma_c, rho, b, eps, _ = problem
    normal = np.random.default_rng(5).standard_normal((3, count))
    x = np.zeros((count, 6))
    x[:, 0], x[:, 4] = mu_e + sigma_e * normal[0], mu_c + sigma_c * normal[1]
    x[:, 5] = mu_c + sigma_c * (rho * normal[1] + sqrt(1 - rho**2) * normal[2])
    by_w1, by_w2 = attacked_scores(x, 1, 0, eps), attacked_scores(x, 0, 1, eps)
    f, label = w1 * by_w1 + w2 * by_w2, np.array([1 - b, b / 2, b / 2])
    losses = np.logaddexp(np.logaddexp(f[..., 0], f[..., 1]), f[..., 2]) - f @ label
    rows = losses.argmax(axis=0), np.arange(count)
    error = np.exp(f[rows] - np.logaddexp(np.logaddexp(*f[rows].T[:2]), f[rows].T[2])[:, None]) - label
    values = np.stack([losses[rows], (error * by_w1[rows]).sum(1), (error * by_w2[rows]).sum(1)])
    return values.mean(axis=1), values.std(axis=1) / sqrt(count)


@pytest.mark.parametrize(("problem", "w"), list(zip(PROBLEMS, WEIGHTS, strict=True)))
def test_risk_and_gradient_agree_with_sampling_and_64_vertices(problem, w):
    lam = problem[-1]
    means, errors = sampled(problem, *w)
    computed = np.array([exact_risk(*w, *problem) - lam / 2 * np.dot(w, w),
                         *(np.array(exact_gradient(*w, *problem)) - lam * np.array(w))])
    assert (abs(computed - means) < STANDARD_ERRORS * errors).all(), (computed - means) / errors


@pytest.mark.parametrize("name", ["no asymmetric vertices", "an attack 5 % too weak"])
def test_a_wrong_attack_is_caught_by_sampling(monkeypatch, name):
    problem, w = PROBLEMS[1], (5.0, 3.0)
    means, errors = sampled(problem, *w)
    if name == "no asymmetric vertices":
        switches = cross_entropy_exact._switches
        monkeypatch.setattr(cross_entropy_exact, "_switches", lambda *a: np.tile(switches(*a)[1], (3, 1)))
    else:
        monkeypatch.setattr(cross_entropy_exact, "SHIFTS", 0.95 * cross_entropy_exact.SHIFTS)
    risk = exact_risk(*w, *problem) - problem[-1] / 2 * np.dot(w, w)
    assert risk < means[0] - STANDARD_ERRORS * errors[0]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("v", [(1.3, 1.2), (5, 3), (0.3, 2), (0.02, 0.01), (9, 0.2)])
def test_gradient_and_hessian_agree_with_differences_along_random_directions(problem, v):
    problem, v = cross_entropy_exact._Problem(*problem), np.array(v)
    if problem.b > 2 / 3:
        problem = problem.towards((-1, -1))
    _, gradient, hessian = cross_entropy_exact._derivatives(v, problem)
    for h in np.random.default_rng(1).normal(size=(2, 2)):
        h = h / np.linalg.norm(h)
        step = 1e-5 * min(1, v.min() * 10)
        (up, up_gradient, _), (down, down_gradient, _) = (
            cross_entropy_exact._derivatives(v + sign * step * h, problem) for sign in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx(gradient @ h, rel=DIFFERENCE, abs=DIFFERENCE), h
        assert (up_gradient - down_gradient) / (2 * step) == pytest.approx(hessian @ h, rel=DIFFERENCE,
                                                                           abs=DIFFERENCE), h


@pytest.mark.parametrize("problem", [(1, 1, 0.5, 0.5, 0, 0.2, 0.1), (1, 1, 0.3, 0.3, 0, 0.45, 0.001),
                                     (1, 1, 2, 2, 0, 0, 0.01), (1, 0.7, 0.4, 0.6, 0.5, 0.2, 0.1),
                                     (0.7, 1, 0.4, 0.6, -0.5, 0.34, 0.01), (1, 0.7, 0.4, 0.6, 0.5, 0.36, 0.1)])
def test_without_smoothing_it_is_the_monotone_attack(problem):
    mu_e, mu_c, sigma_e, sigma_c, rho, eps, lam = problem
    setting = Setting(mu_e=mu_e, mu_c=mu_c, sigma_e=sigma_e, sigma_c=sigma_c, rho=rho)
    monotone = solve_cross_entropy(setting, CrossEntropy(0), eps, lam)
    w1, w2, risk, *_ = solve_exact(mu_e, mu_c, sigma_e, sigma_c, rho, 0, eps, lam)
    assert (w1, w2, risk) == pytest.approx((monotone.w1, monotone.w2, monotone.risk), rel=1e-9, abs=1e-12)
    # without an attack neither does smoothing make a difference between the two
    smoothed = solve_cross_entropy(setting, CrossEntropy(0.2), 0, lam)
    assert solve_exact(mu_e, mu_c, sigma_e, sigma_c, rho, 0.2, 0, lam)[:2] == pytest.approx(
        (smoothed.w1, smoothed.w2), rel=1e-9)


def plain_risk(w, problem, steps=500):
    """The risk on a plain midpoint grid of a and D in [-7, 7] deviations, by all eight vertices of the score cube."""
    mu_e, mu_c, sigma_e, sigma_c, rho, b, eps, lam = problem
    x = (np.arange(steps) + 0.5) * 14 / steps - 7
    weight = np.exp(-x * x / 2)
    a = w[0] * mu_e + w[1] * mu_c + x * sqrt((w[0] * sigma_e)**2 + (w[1] * sigma_c)**2 * (1 + rho) / 2)
    big_d = x * w[1] * sigma_c * sqrt((1 - rho) / 2)
    m_j, m_k = a[:, None] + big_d, a[:, None] - big_d
    worst = np.full(m_j.shape, -np.inf)
    for a_i, a_j, a_k in product((-1, 1), repeat=3):
        u_j, u_k = (m + eps * np.abs(w).sum() * (a_i - other) for m, other in ((m_j, a_j), (m_k, a_k)))
        worst = np.maximum(worst, np.log(1 + np.exp(-u_j) + np.exp(-u_k)) + b * (u_j + u_k) / 2)
    return weight @ worst @ weight / weight.sum()**2 + lam / 2 * np.dot(w, w)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_minimum_agrees_with_a_general_minimiser_on_a_plain_grid(problem):
    w1, w2, risk, residual, error, _ = solve_exact(*problem)
    assert max(residual, error) < 1e-13
    start = np.array([w1, w2]) * (1.2, 0.8)  # 2e-5: the grid's kinks, of order (14/500)^2, over the curvature
    found = minimize(plain_risk, start, args=(problem,), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-13})
    assert found.x == pytest.approx([w1, w2], rel=1e-3, abs=1e-4)
    assert found.fun == pytest.approx(risk, abs=1e-5)


@pytest.mark.parametrize("problem", [*PROBLEMS, (1, 0.7, 0.3, 0.3, 0, 0.1, 0.345, 0.001),
                                     (0.7, 1, 0.2, 0.2, 0, 0.3, 0.34, 0.001), (1, 1, 0.2, 0.2, 0, 0.95, 0.2, 0.001)])
def test_no_real_weights_do_better(problem):
    w1, w2, risk, *_ = solve_exact(*problem)
    assert exact_risk(w1, w2, *problem) == pytest.approx(risk, rel=1e-14)
    generator = np.random.default_rng(4)
    for w in [*generator.normal(size=(20, 2)), *((w1, w2) + 1e-3 * generator.normal(size=(20, 2)))]:
        assert exact_risk(*w, *problem) > risk, w
    assert exact_risk(0, 0, *problem) == log(3) > risk


def axis_slope(eps, mu_e, mu_c, sigma_e, b, lam):
    """mu_c E[pi - b] - 2 eps E|pi - b| at the minimiser of the axis w2 = 0, by adaptive quadrature in E alone.

    pi = 2 x/(1 + 2 x), x = e^{-m}: delta* gives pi(m - t), its opposite pi(m + t), and the larger loss counts.
    """
    def mean(w1, function):
        def integrand(e):
            t = 2 * eps * w1
            options = [(np.log1p(2 * exp(-m)) + b * m, 2 / (2 + exp(m)) - b) for m in (w1 * e - t, w1 * e + t)]
            return function(max(options)[1], e) * exp(-((e - mu_e) / sigma_e)**2 / 2) / (sigma_e * sqrt(2 * np.pi))

        def gap(m):  # the two losses cross once
            low, high = m - 2 * eps * w1, m + 2 * eps * w1
            return np.log1p(2 * exp(-low)) - np.log1p(2 * exp(-high)) - 4 * b * eps * w1

        ends = [mu_e - 9 * sigma_e, brentq(gap, -60, 60, xtol=1e-14) / w1, mu_e + 9 * sigma_e]
        ends = np.clip(ends, ends[0], ends[2])
        return sum(quad(integrand, *piece, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
                   for piece in (ends[:2], ends[1:]) if piece[1] > piece[0])

    def along(w1):
        return mean(w1, lambda rest, e: -e * rest + 2 * eps * abs(rest)) + lam * w1

    w1 = brentq(along, 0.1, 20, xtol=1e-11)
    return mu_c * mean(w1, lambda rest, e: rest) - 2 * eps * mean(w1, lambda rest, e: abs(rest))


@pytest.mark.parametrize(("mu_c", "sigma", "b", "lam"), [(0.8, 0.3, 0.1, 1e-3), (0.5, 0.5, 0.4, 0.1)])
def test_threshold_of_the_weaker_cross_class_weight_solves_its_one_dimensional_equation(mu_c, sigma, b, lam):
    eps = exact_threshold(1, mu_c, sigma, sigma, 0, b, lam)
    # the slopes of axis_slope are some 0.1 to 1
    assert abs(axis_slope(eps, 1, mu_c, sigma, b, lam)) < 1e-8
    assert axis_slope(eps * (1 - 1e-4), 1, mu_c, sigma, b, lam) > 1e-6
    assert axis_slope(eps * (1 + 1e-4), 1, mu_c, sigma, b, lam) < -1e-6
    assert exact_threshold(1, mu_c, sigma, 3 * sigma, -0.5, b, lam) == pytest.approx(eps, rel=1e-9)


@pytest.mark.parametrize(("mu_e", "mu_c", "b"), [(1, 0.8, 0.1), (0.8, 1, 0.1), (1, 0.5, 0.4), (0.5, 1, 0.01)])
def test_with_smoothing_the_weight_of_the_smaller_mean_dies_before_half_its_mean(mu_e, mu_c, b):
    end, weak = min(mu_e, mu_c) / 2, int(mu_e > mu_c)
    others = (mu_e, mu_c, 0.3, 0.3, 0)
    eps = exact_threshold(*others, b, 0.001)
    assert 0.3 * end < eps < end * (1 - 1e-2)
    for factor in (0.2, 0.6, 0.9, 0.999, 1.001, 1.05):
        weights = solve_exact(*others, b, factor * eps, 0.001)[:2]
        assert weights[1 - weak] > 0
        assert (weights[weak] > 0) == (factor < 1)
        if factor > 1:
            assert solve_exact(*others, 0, factor * eps, 0.001)[weak] > 0 or factor * eps >= end
    assert exact_threshold(*others, 0, 0.001) == end
    assert exact_threshold(1, 1, 0.3, 0.4, 0.2, b, 0.001) == 0.5


def test_equal_means_the_lemma_behind_neither_weight_dying_first():
    """Where the two symmetric losses cross, at x, no asymmetric vertex wins for t below t_max(b).

    There min over m of the loss is log 3, and no minimiser of an axis has a larger t (convexity, Jensen).
    """
    def cross(t, b):
        x = sinh(b * t) / (2 * sinh((1 - b) * t))
        return x, b * t + np.log1p(2 * x * exp(-t))  # m = -log x, and the loss less b m

    margins = []
    for b in np.linspace(0.01, 0.66, 66):
        t_max = brentq(lambda t, b=b: cross(t, b)[1] - b * log(cross(t, b)[0]) - log(3), 1e-7, 2 / b)
        for t in t_max * np.linspace(0.01, 1, 100):
            x, value = cross(t, b)
            asymmetric = max(np.log(1 + (1 + exp(s * t)) * x) - s * b * t / 2 for s in (1, -1))
            # and the line of (0, -1) is no steeper than that of delta*, so that it does not win further out
            size = b * (2 / 3 - b) * t**2 / (1 + b * t**2)
            margins += [(value - asymmetric) / size, (-b * t / 2 - log((1 + exp(-t)) / 2)) / min(t, 1)]
            assert exp(-t) * x < b / (2 - 2 * b) < exp(t) * x  # so the crossing is the minimum over m
    assert min(margins[::2]) > 0.1
    assert min(margins[1::2]) > 0.1


@pytest.mark.parametrize("b", [0.02, 0.1, 0.3, 0.5, 0.6])
@pytest.mark.parametrize(("sigma_e", "sigma_c", "rho", "lam"), [(0.2, 0.2, 0, 1e-3), (0.2, 2, -0.5, 1e-3),
                                                                (1, 0.1, 0.5, 0.1)])
def test_with_equal_means_both_weights_live_until_half_the_mean(b, sigma_e, sigma_c, rho, lam):
    for eps in (0, 0.1, 0.3, 0.45, 0.499):
        assert min(solve_exact(1, 1, sigma_e, sigma_c, rho, b, eps, lam)[:2]) > 0
    for eps in (0.5, 0.7):
        assert solve_exact(1, 1, sigma_e, sigma_c, rho, b, eps, lam) == (0, 0, log(3), 0, 0, 0)


def test_above_two_thirds_the_weights_are_negative_and_w2_dies_and_revives():
    for eps, alive in ((0.02, True), (0.05, False), (0.2, False), (0.35, False), (0.38, True), (0.49, True)):
        w1, w2, *_ = solve_exact(1, 1, 0.2, 0.2, 0, 0.95, eps, 0.001)
        assert w1 < 0
        assert (w2 < 0) == alive
        assert w2 <= 0
    assert solve_exact(1, 1, 0.2, 0.2, 0, 2 / 3, 0.1, 0.001)[:2] == (0, 0)


@pytest.mark.parametrize(("sigma", "eps", "lam", "b"), [(0.2, 0.2, 0.001, 0.1), (0.5, 0.2, 0.1, 0.1),
                                                        (0.2, 0.3, 0.1, 0.5), (0.3, 0.4, 0.01, 0.3)])
def test_s1_exact_the_ratio_is_a_quotient_of_curvatures_and_exceeds_one_iff_correlation_costs(sigma, eps, lam, b):
    """r = (lam + 2 R_E/w1^2)/(lam + 2 R_C/w2^2), R_E and R_C the slopes of the risk in sigma_e^2 and sigma_c^2."""
    w1, w2, *_ = solve_exact(1, 1, sigma, sigma, 0, b, eps, lam)
    step = 1e-5

    def slope(change):  # of the risk in the three squares sigma_e^2, sigma_c^2 and rho
        up, down = (exact_risk(w1, w2, 1, 1, sqrt(sigma**2 + s * change[0]), sqrt(sigma**2 + s * change[1]),
                               s * change[2], b, eps, lam) for s in (step, -step))
        return (up - down) / (2 * step)

    by_e, by_c, by_rho = slope((1, 0, 0)), slope((0, 1, 0)), slope((0, 0, 1))
    mixed = by_rho / (sigma * w2)**2  # E d2F/dm_j dm_k, by Price's theorem
    a_part, b_part = 2 * sigma**2 * by_e / w1**2, 2 * sigma**2 * by_c / w2**2
    assert w2 / w1 == pytest.approx((lam + a_part) / (lam + b_part), rel=1e-6)
    assert a_part - b_part == pytest.approx(2 * sigma**2 * mixed, abs=1e-7)
    assert (w2 > w1) == (by_rho > 0)
    assert abs(w2 / w1 - 1) > 0.01


def test_the_ratio_exceeds_one_under_the_exact_attack_only():
    w1, w2, *_ = solve_exact(1, 1, 0.2, 0.2, 0, 0.1, 0.2, 0.001)
    assert w2 / w1 > 1.2
    assert solve_cross_entropy(Setting(1, 0.2), CrossEntropy(0.1), 0.2, 0.001).ratio < 0.95


@pytest.mark.parametrize(("sigma", "lam", "b"), [(0.5, 0.1, 0.1), (0.2, 0.001, 0.3), (1, 0.01, 0.6)])
def test_limit_of_the_ratio_as_eps_rises_to_mu_over_2_is_that_of_delta_star(sigma, lam, b):
    errors = []
    for gap in (1e-3, 1e-4, 1e-5):
        w1, w2, *_ = solve_exact(1, 1, sigma, sigma, 0, b, 0.5 - gap, lam)
        errors.append(abs(w2 / w1 - ratio_limit(Setting(1, sigma), lam)))
    assert errors[2] < 1e-3
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_the_two_examples_of_t3_ce_hold_and_a_swapped_one_does_not(monkeypatch):
    evidence = exact.check_t3_ce_exact()
    assert evidence.holds
    assert evidence.margin > 1e-3
    solve = exact.solve_exact
    monkeypatch.setattr(exact, "solve_exact", lambda *a: solve(*a[:5], 0 if a[5] else exact.HIGHER[3], *a[6:]))
    assert not exact.check_t3_ce_exact().holds


@pytest.mark.parametrize("name", ["a coarse quadrature", "an early stop"])
def test_a_solution_that_is_not_good_enough_raises(monkeypatch, name):
    newton = cross_entropy_exact._newton
    if name == "a coarse quadrature":
        monkeypatch.setattr(cross_entropy_exact, "ORDER", 4)
        monkeypatch.setattr(cross_entropy_exact._derivatives, "__defaults__", (4,))
    else:
        monkeypatch.setattr(cross_entropy_exact, "_newton", lambda *a: (newton(*a)[0] * (1 + 1e-7), 1))
    with pytest.raises(NotConverged, match="are accepted: choose a larger lam"):
        solve_exact(*PROBLEMS[0])


def test_weights_that_need_too_many_nodes_raise():
    with pytest.raises(NotConverged, match="at most 4000000 are used"):
        exact_risk(300, 300, *PROBLEMS[0])


@pytest.mark.parametrize(("index", "value"), [(0, 0), (1, -1), (2, 0), (3, float("nan")), (4, -1), (4, 1), (5, 1),
                                              (5, -0.1), (6, -0.1), (7, 0), (7, float("inf"))])
def test_numbers_outside_the_domain_are_refused(index, value):
    wrong = [*PROBLEMS[0][:index], value, *PROBLEMS[0][index + 1:]]
    for function, weights in ((solve_exact, ()), (exact_risk, (1, 1)), (exact_gradient, (1, 1))):
        with pytest.raises(ValueError, match="must be a finite number"):
            function(*weights, *wrong)


def test_a_threshold_for_a_label_that_prefers_the_wrong_classes_is_refused():
    with pytest.raises(ValueError, match=r"b = 0.7 was given"):
        exact_threshold(1, 0.8, 0.3, 0.3, 0, 0.7, 0.1)
