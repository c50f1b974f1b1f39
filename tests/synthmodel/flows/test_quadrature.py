"""Flows and outliers at settings where a fixed rule fails, against scipy's adaptive quadrature split at every bend."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

from synthmodel import NotConverged, Setting, accuracy_of
from synthmodel.flows import any_noise, rare_outliers
from synthmodel.flows.any_noise import Features
from synthmodel.flows.finite_outliers import Outliers
from synthmodel.flows.gradient_flow import cross_entropy_flow, drift
from synthmodel.flows.quadrature import judged
from synthmodel.flows.rare_outliers import exclusive_optimum, forgetting_range, limit_flow
from synthmodel.flows.softmin import psi_by_panels
from synthmodel.model.noise import law
from synthmodel.solvers import log_sum_exp

SPAN = np.array([-1e4, -300, -30, -10, -3, 0, 3, 10, 30, 300, 1e4])


def pieces(function, points):
    """The integral over the real line, each piece between two points by itself."""
    ends = np.unique([*SPAN, *points])
    return sum(quad(function, low, high, epsabs=1e-14, epsrel=1e-11, limit=200)[0]
               for low, high in pairwise(ends))


def chance_over_e(d, s_e, density, above, n, r):
    """Pr(e + r c_j > 0, all j), integrated over e instead of over the least c: above(x) = Pr(c > x)."""
    bend = -d * (1 + r) / s_e  # where -e/r passes the mean of c
    around = [bend + sign * r / s_e * width for sign in (-1, 1) for width in (0.03, 0.3, 1, 3, 10, 100)]
    return pieces(lambda z: density(z) * above(-(d + s_e * z) / r)**n, [bend, *around])


@pytest.mark.parametrize(("noise", "law", "classes", "right"), [
    ("normal", stats.norm(), 3, 0.8601507), ("student-t:3", stats.t(3, scale=3**-0.5), 30, 0.2800261)])
def test_accuracy_of_a_narrow_exclusive_feature(noise, law, classes, right):
    value = float(Features(0.6, 0.6, 0.01, 1.0, noise, noise, classes).accuracy(0.7))
    assert value == pytest.approx(right, abs=5e-8)
    other = chance_over_e(0.6, 0.01, law.pdf, lambda x: law.sf(x - 0.6), classes - 1, 0.7)
    assert value == pytest.approx(other, abs=1e-9)
    assert value == pytest.approx(accuracy_of(Setting(0.6, 1, sigma_e=0.01, noise=noise, classes=classes), 0.7, 0)[0],
                                  abs=1e-11)


@pytest.mark.parametrize(("numbers", "r", "right"), [((0.6, 0.001, 1, 0.1, 3), 3.0, 0.5926595),
                                                     ((0.4, 0.05, 0.1, 0.1, 30), 0.3, 0.9068824)])
def test_accuracy_with_outliers_is_the_integral_over_e(numbers, r, right):
    d, s_e, s_c, p, size = numbers

    def above(x):
        return (1 - p) * ndtr((d - x) / s_c) + p * ndtr((d - x) / size)
    value = float(Outliers(*numbers).accuracy(r))
    assert value == pytest.approx(right, abs=5e-8)
    assert value == pytest.approx(chance_over_e(d, s_e, stats.norm.pdf, above, 2, r), abs=1e-10)
    together = Outliers(*numbers).accuracy([[0.0], [r]])
    assert together.shape == (2, 1) and together[:, 0] == pytest.approx([ndtr(d / s_e), right], abs=5e-8)


def optimum(k, n):
    """w1o as the zero of e^{k^2/2} E[e pi], an adaptive integral that is split around the sigmoid's bend."""
    def slope(w):
        bend = math.log(n) / w
        points = [bend, *(bend + sign * width / w for sign in (-1, 1) for width in (2, 8, 30))]
        return pieces(lambda e: math.exp(k * e - e * e / 2) * e * n / (n + math.exp(min(w * e, 700))), points)
    return brentq(slope, 1.5 * k, 9 * k, xtol=1e-12)


@pytest.mark.parametrize(("k", "classes", "right"), [(8.0, 3, 18.6484110), (5.0, 1000, 38.0420940)])
def test_exclusive_optimum_to_nine_digits(k, classes, right):
    value = exclusive_optimum(k, classes)
    assert value == pytest.approx(right, abs=5e-8)
    assert value == pytest.approx(optimum(k, classes - 1), rel=1e-9)


def test_exclusive_optimum_for_tiny_and_large_means():
    """w1o/k tends to n + 1 as k -> 0, where E[e pi] = k n/(n+1) - w1 n/(n+1)^2, and to a constant as k grows."""
    assert exclusive_optimum(1e-9) / 1e-9 == pytest.approx(3, rel=1e-8)
    assert exclusive_optimum(1e-9, 10) / 1e-9 == pytest.approx(10, rel=1e-7)

    def slope(ratio):  # of k^2 E[e pi]/phi(k) in x = k e
        return quad(lambda x: x * math.exp(x) * 2 / (2 + math.exp(ratio * x)), -60, 60, points=[0], epsabs=1e-13)[0]
    ratio = exclusive_optimum(1e5) / 1e5
    assert slope(ratio * (1 - 1e-6)) > 0 > slope(ratio * (1 + 1e-6))


def test_a_coarse_rule_is_refused(monkeypatch):
    monkeypatch.setattr(rare_outliers, "ORDER", 2)
    for call in (lambda: exclusive_optimum(8.0), lambda: forgetting_range(3.0, 1000),
                 lambda: limit_flow(1.0, 0.3, [0, 1, 100])):
        with pytest.raises(NotConverged, match="finer quadrature"):
            call()


def test_what_a_finer_rule_changes_is_reported_and_judged():
    with pytest.raises(NotConverged, match=r"a mean changes by 1\.0e-06 of itself"):
        judged(1.0 + 1e-6, 1.0, 1e-7, "a mean")
    assert judged([1.0, 2.0 + 1e-9], [1.0, 2.0], 1e-8, "a mean").tolist() == [1, 2]
    with pytest.raises(NotConverged):
        judged(math.nan, 1.0, 1.0, "a mean")
    w, t = np.ones((2, 3)), np.array([0.0, 1.0, 3.0])
    assert drift(lambda w: w, lambda w: w * (1 + 1e-4), t, w, 1e-3) == pytest.approx(3e-4)
    with pytest.raises(NotConverged, match=r"move the weights by 3\.0e-04"):
        drift(lambda w: w, lambda w: w * (1 + 1e-4), t, w, 1e-4)
    assert 0 < limit_flow(1.0, 0.3, [0, 1, 100]).error < 1e-10
    assert 0 < cross_entropy_flow(1.0, [0, 1, 100]).error < 1e-10


@pytest.mark.slow
def test_a_bounded_loss_with_rare_outliers_tends_to_its_limit():
    """p -> 0 with p S fixed, clip = 1.5: both weights at t = 6 in the limit's units."""
    pull, s_e, d, times = 0.3, 0.5, 0.5, np.array([0.0, 6.0])
    limit = limit_flow(d / s_e, pull, times, clip=1.5)
    errors = []
    for p in (0.04, 0.01):
        size = pull * d * math.sqrt(2 * math.pi) / (2 * p)
        path = Outliers(d, s_e, 1e-3, p, size).flow(times / s_e**2, clip=1.5)
        errors.append(math.hypot(s_e * path.w1[-1] - limit.w1[-1], s_e * path.w2[-1] - limit.w2[-1]))
        assert 0 < path.error < 1e-3
    assert errors[1] < 0.5 * errors[0] < 0.1


def arcsine_psi(y, n):
    """psi of beta(1/2, 1/2), z = -sqrt(2) cos(phi) with phi uniform on (0, pi): midpoints in phi, steps in y h."""
    z = -math.sqrt(2) * np.cos((np.arange(10_000) + 0.5) / 10_000 * math.pi)
    total = 0.0
    for s in np.arange(y * z[0] - 45, y * z[0] + 500, 0.2):  # beyond, none of n = 29 is the least
        power = np.exp(np.minimum(s - y * z, 50.0))
        below = np.exp(-power)
        total += n * below.mean()**(n - 1) * (z * power * below).mean()
    return -0.2 * total


@pytest.mark.slow
def test_psi_of_a_law_with_singular_ends():
    features = Features(1, 1, noise_c=stats.beta(0.5, 0.5), classes=30)
    assert features.psi(300) == pytest.approx(arcsine_psi(300, 29), abs=1e-9)
    assert features.psi(1e6) == pytest.approx(features.psi(np.inf), abs=1e-9)
    path = features.flow([0, 1, 100])
    assert 0 < path.error < 1e-8


def psi_of_two(y, gap, most):
    """psi for two draws: E (g/2) tanh(y g/2), g = |z_1 - z_2|, an integral over the density of g."""
    points = [most, *(x / y for x in (1, 5, 20, 80) if x / y < most), 1.0]
    return 2 * sum(quad(lambda g: gap(g) * g / 2 * math.tanh(y * g / 2), low, high, epsabs=1e-14, limit=200)[0]
                   for low, high in pairwise(sorted([0.0, *points])))


@pytest.mark.parametrize("y", [1e-3, 0.3, 3.0, 50.0, 70.0, 1e4])
@pytest.mark.parametrize(("noise", "gap", "most"), [
    ("normal", lambda g: math.exp(-g * g / 4) / math.sqrt(4 * math.pi), 20.0),
    ("laplace", lambda g: (1 + math.sqrt(2) * g) * math.exp(-math.sqrt(2) * g) * math.sqrt(2) / 4, 40.0),
    ("uniform", lambda g: (math.sqrt(12) - g) / 12, math.sqrt(12))])
def test_psi_of_two_draws_is_an_integral_over_their_gap(y, noise, gap, most):
    right = psi_of_two(y, gap, most)
    assert Features(1, 1, noise_c=noise).psi(y) == pytest.approx(right, abs=1e-9)
    assert psi_by_panels(y, 2, law(noise), 9) == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize(("noise", "y"), [("student-t:5", 0.5), ("logistic", 3.0), (stats.lognorm(1.0), 10.0),
                                          (stats.beta(0.5, 0.5), 30.0)])
def test_panels_and_the_line_agree(noise, y):
    assert psi_by_panels(y, 9, law(noise), 9) == pytest.approx(log_sum_exp.psi(y, 9, law(noise)), abs=1e-9)


@pytest.mark.parametrize(("noise", "classes", "end"), [("normal", 3, math.inf), ("laplace", 6, 4), ("uniform", 5, 4)])
def test_a_flow_takes_the_time_that_its_velocity_says(noise, classes, end):
    """int_0^{w2(t)} dw/(d_c - (1-b) psi(w)) = t: psi itself, not what the flow interpolates."""
    features, t = Features(0.8, 1.0, s_c=1.2, noise_c=noise, classes=classes), np.array([0.0, 2.0, 300.0])
    path = features.flow(t, b=0.1)
    assert [key[0] for key in features._polynomials] == [end] and 0 < path.error <= 1e-8
    taken = quad(lambda w: 1 / (1.0 - 0.9 * features.psi(w)), 0, path.w2[1], epsabs=1e-12)[0]
    assert taken == pytest.approx(2.0, rel=1e-8)
    if end < math.inf:  # by then it stands still
        assert 0.9 * features.psi(path.w2[-1]) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.slow
def test_a_path_says_what_psi_may_move(monkeypatch):
    features = Features(0.5, 0.5, noise_c="laplace", classes=6)
    assert 0 < features.flow([0, 1, 100]).error < 1e-8
    for sizes in ({"DEGREES": (4, 8)}, {"ORDERS": (2, 3)}):
        with monkeypatch.context() as patch:
            for name, value in sizes.items():
                patch.setattr(any_noise, name, value)
            with pytest.raises(NotConverged, match="at most 1e-09 is accepted: choose a larger tolerance"):
                Features(0.5, 0.5, noise_c="student-t:5").flow([0, 1, 100])
    with pytest.raises(NotConverged, match="move the weights by"):
        Features(1e-12, 1e-12, noise_c="laplace", classes=6).flow([0, 1, 100])


@pytest.mark.slow
def test_a_looser_tolerance_must_be_named():
    """The heavy tail of the figure of flows: psi is far from a polynomial in y/(1 + y), and takes as many powers."""
    heavy, times = Features(0.5, 0.5, noise_c=stats.weibull_max(0.2)), [0, 0.5, 1]
    with pytest.raises(NotConverged, match=r"differs by \d\.\de-0[3-7] from a polynomial of degree 16"), \
            pytest.MonkeyPatch.context() as patch:
        patch.setattr(any_noise, "DEGREES", (16,))
        heavy.flow(times)
    path = heavy.flow(times, tolerance=1e-3)
    (_, (psi, error)), = heavy._polynomials.items()
    assert 1e-9 < path.error <= 1e-2 and 1e-9 < error <= 1e-3
    for y in (0.05, 0.7):
        assert float(psi(y / (1 + y))) == pytest.approx(heavy.psi(y), abs=error)
    for wrong in (0, 1e-12, 2, math.nan, "loose"):
        with pytest.raises(ValueError, match="tolerance = "):
            heavy.flow(times, tolerance=wrong)
