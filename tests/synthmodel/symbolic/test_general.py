"""The derivations of the generalisations, the dynamics and CAS give numbers found another way."""

from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import brentq, minimize
from scipy.special import ndtr

from synthmodel.symbolic import cas as attribution
from synthmodel.symbolic import derive
from synthmodel.symbolic import symbols as sym
from synthmodel.symbolic.flows import rare_outliers
from synthmodel.symbolic.general import any_law
from synthmodel.symbolic.general import many_classes as classes
from synthmodel.symbolic.softmax.cross_entropy import d as symbolic_d
from synthmodel.symbolic.three_classes import unequal_noise

pytestmark = pytest.mark.slow

QUADRATURE, DIFFERENCE = 1e-8, 1e-5  # relative: integrals in 64 bits; numerical derivatives and short flows
K0 = 1 / np.sqrt(np.pi)


def number(expr, values=()):
    """The expression as a float."""
    return float(sp.sympify(expr).subs(dict(values)).evalf(20))


def agrees(found, expected, tolerance=QUADRATURE):
    """found = expected; and the comparison would see an error of 1 % or a flipped sign."""
    size = max(abs(expected), 1e-12)
    assert abs(found - expected) <= tolerance * size, (found, expected)
    assert abs(1.01 * found - expected) > tolerance * size and abs(-found - expected) > tolerance * size


def within(sample, expected, errors=4.5):
    """A sample's mean lies within 4.5 standard errors of `expected`, and 2 % of it is more than twice that."""
    standard = sample.std() / np.sqrt(sample.size)
    assert abs(sample.mean() - expected) < errors * standard
    assert 2 * errors * standard < 0.02 * abs(expected)


@cache
def gauss(count):
    """Nodes and weights of the standard normal law."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def density(t):
    return np.exp(-t**2 / 2) / np.sqrt(2 * np.pi)


def integral(f, low=-np.inf, high=np.inf):
    return quad(f, low, high, epsabs=1e-13, epsrel=1e-12, limit=400)[0]


# Theorem 1 beyond the model


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.6])
def test_correlated_features(rho):
    # The smaller of two standard normals of correlation rho has the density 2 phi(t) Phi(-t sqrt((1-rho)/(1+rho))).
    least = 1 + 0.6 * integral(lambda t: 2 * t * density(t) * ndtr(-t * np.sqrt((1 - rho) / (1 + rho))))
    values = {sym.mu: 1, sym.sigma: 0.6, any_law.rho: rho}
    agrees(number(derive("G-noise").results["eps0"], values), least / 2)


LAWS = {  # density, distribution function, support, mean difference at deviation 1
    "uniform": (lambda t: 1 / np.sqrt(12), lambda t: 0.5 + t / np.sqrt(12), (-np.sqrt(3), np.sqrt(3)), 2 / np.sqrt(3)),
    "Laplace": (lambda t: np.exp(-np.sqrt(2) * abs(t)) / np.sqrt(2),
                lambda t: np.exp(np.sqrt(2) * t) / 2 if t < 0 else 1 - np.exp(-np.sqrt(2) * t) / 2,
                (-np.inf, np.inf), 3 / (2 * np.sqrt(2))),
    "exponential": (lambda t: np.exp(-t - 1), lambda t: 1 - np.exp(-t - 1), (-1, np.inf), 1)}


@pytest.mark.parametrize("law", LAWS)
def test_any_law(law):
    law_density, below, (low, high), difference = LAWS[law]
    least = 1 + 0.5 * sum(integral(lambda t: 2 * t * law_density(t) * (1 - below(t)), *ends)
                          for ends in ((low, 0), (0, high)))
    agrees(number(derive("G-noise").results["eps0_any"], {sym.mu: 1, any_law.G: 0.5 * difference}), least / 2)


@pytest.mark.parametrize("number_of", [2, 3, 4, 5])
def test_means_of_the_largest_normal(number_of):
    mean = integral(lambda t: number_of * t * density(t) * ndtr(t)**(number_of - 1))
    agrees(number(derive("G-K").results[f"e_{number_of}"]), mean)


@pytest.mark.parametrize("design", ["A", "B"])
def test_the_loss_drops_w2_at_the_threshold_of_five_classes(design):
    rng, total = np.random.default_rng(5), 400_000
    features = 1 + 0.4 * rng.standard_normal((total, 4))
    margin = features if design == "A" else features.sum(1, keepdims=True) - features  # the w2 part of each m_j
    price = 1 if design == "A" else 3  # cross-class features that the attack meets, per class
    values = {sym.mu: 1, sym.sigma: 0.4, any_law.n: 4, any_law.e_n: derive("G-K").results["e_4"]}
    within(margin.min(1) / (2 * price), number(derive("G-K").results[f"design_{design}"], values))


def attacked_risk(w, order, eps, v, lam=0.5):
    size = np.max(np.abs(w)) if order == np.inf else np.sum(np.abs(w)**order)**(1 / order)
    return -v @ np.abs(w) + 2**(1 / order) * eps * size + lam / 2 * w @ w


@cache
def lp_weights(p, eps):
    """The minimiser for w >= 0: a grid over angles, refined; for each angle the best length is explicit."""
    v, lam = np.array([1, 1 - 0.5 * K0]), 0.5
    order = {1: np.inf, np.inf: 1}.get(p) or p / (p - 1)

    def gain(angle):
        unit = np.array([np.cos(angle), np.sin(angle)])
        return max(v @ unit - (attacked_risk(unit, order, eps, v, lam) + v @ unit - lam / 2), 0)

    angles = np.linspace(0, np.pi / 2, 4001)
    for _ in range(5):
        best = angles[np.argmax([gain(angle) for angle in angles])]
        angles = np.clip(best + (angles[1] - angles[0]) * np.linspace(-1, 1, 201), 0, np.pi / 2)
    return gain(best) / lam, np.tan(best), v


@pytest.mark.parametrize("p", [1, 1.3, 2, 3, 8, np.inf])
def test_lp_attacks(p):
    root = 2**(1 - 1 / p)  # 2^(1/q)
    _, plain, v = lp_weights(p, 0.0)
    assert plain == pytest.approx(v[1] / v[0], rel=1e-6)
    dual = np.max(v) if p == np.inf else np.sum(v**p)**(1 / p)
    for share in (0.2, 0.6):
        length, ratio, _ = lp_weights(p, share * dual / root)
        assert length > 0
        assert (ratio < plain - 1e-3) if p > 2 else (ratio > plain + 1e-3) if p < 2 else abs(ratio - plain) < 1e-6
        assert ratio > 0  # no extinction of w2 alone
    assert lp_weights(p, 1.001 * dual / root)[0] == 0 < lp_weights(p, 0.999 * dual / root)[0]
    if p == np.inf:
        assert lp_weights(p, 0.45)[1] < 1e-6 < lp_weights(p, 0.45)[0]  # between eps0 = .359 and 1/2: w2 = 0 < w1
    if p == 1:
        values = dict(zip(sp.symbols("v_1 v_2", positive=True), v, strict=True)) | {
            sp.Symbol("epsilon_q", positive=True): 0.1}
        assert lp_weights(p, 0.1)[1] == pytest.approx(number(derive("G-lp").results["ratio_1"], values), rel=1e-6)


# Joint accuracy at unequal noise


def accuracy(ratio, k_e, k_c, n=2):
    return integral(lambda t: density(t) * ndtr(k_c + (k_e + t) / ratio)**n)


def unequal_sign(ratio, k_e, k_c):
    u = ratio * (k_e + ratio * k_c) / np.sqrt((1 + ratio**2) * (2 + ratio**2))
    return (k_c - ratio * k_e) * np.sqrt((2 + ratio**2) / (1 + ratio**2)) - density(u) / ndtr(u)


@pytest.mark.parametrize(("ratio", "k_e", "k_c"), [(0.3, 0.8, 1.1), (1.2, 1.7, 0.6), (0.7, 0.2, 1.5)])
def test_slope_at_unequal_noise(ratio, k_e, k_c):
    found, values = derive("T2-unequal").results, {sym.r: ratio, unequal_noise.k_e: k_e, unequal_noise.k_c: k_c}
    step = 1e-4
    slope = (accuracy(ratio + step, k_e, k_c) - accuracy(ratio - step, k_e, k_c)) / (2 * step)
    agrees(number(found["derivative"], values), slope, DIFFERENCE)
    agrees(number(found["F"], values), unequal_sign(ratio, k_e, k_c))


def test_unimodal_at_unequal_noise_under_the_bound():
    grid = np.geomspace(1e-3, 1e3, 400)
    for k_e, share in product((0.05, 0.3, 1, 3), (0.1, 0.5, 1, 2, 2.8)):
        assert np.all(np.diff(unequal_sign(grid, k_e, share * k_e)) < 0)


def test_without_the_bound_the_threshold_is_only_local():
    k_e, k_c = 0.01, number(derive("T2-unequal").results["local_only_at"])
    assert k_c < K0 and unequal_sign(1e-6, k_e, k_c) < 0
    assert accuracy(1e-3, k_e, k_c) < ndtr(k_e) - 1e-6
    assert accuracy(1e4, k_e, k_c) > ndtr(k_e) + 0.003  # w2 alone is better than w1 alone


def test_the_margin_loss_uses_too_much_at_unequal_noise():
    found = derive("N2-unequal").results
    k_e, k_c, scale = 0.6 / 0.35, 1.0, 0.6 / 0.35  # r = (w2/w1) sigma_C/sigma_E
    best = brentq(unequal_sign, 1e-6, 1, (k_e, k_c)) / scale
    used = 1 - 0.6 * K0 / 0.6
    agrees(number(found["r_at"]), used)
    assert best < used - 0.01
    at_best, at_used = (accuracy(ratio * scale, k_e, k_c) for ratio in (best, used))
    assert at_best > at_used + 1e-4
    s_e, s_c = sp.symbols("sigma_E sigma_C", positive=True)
    near = K0 * (1 + 1e-7)  # k_C, and d = near sigma_C
    for noise_e, noise_c in ((0.35, 0.6), (0.5, 0.5), (0.9, 0.4)):
        root = brentq(unequal_sign, 1e-12, 1, (near * noise_c / noise_e, near), xtol=1e-18)
        quotient = (root * noise_e / noise_c) / (1 - K0 / near)
        agrees(number(found["limit"], {s_e: noise_e, s_c: noise_c}), quotient, DIFFERENCE)


# K classes


@cache
def largest(n):
    return integral(lambda t: n * t * density(t) * ndtr(t)**(n - 1))


@cache
def moments(ratio, k, n):
    """Mean, variance, third central moment under the density proportional to phi(t-m) Phi(k-ct)^(n-1), and mass."""
    c, q = 1 / np.hypot(1, ratio), ratio / np.hypot(1, ratio)
    t = gauss(150)[0] + k * (c - q)
    weight = gauss(150)[1] * ndtr(k - c * t)**(n - 1)
    mass = weight.sum()
    mean = (weight @ t) / mass
    return mean, weight @ (t - mean)**2 / mass, weight @ (t - mean)**3 / mass, mass


@pytest.mark.parametrize(("ratio", "k", "n"), [(0.4, 1.0, 2), (0.4, 1.5, 4), (0.9, 0.7, 9), (1.5, 1.0, 3)])
def test_slope_for_many_classes(ratio, k, n):
    c, q = 1 / np.hypot(1, ratio), ratio / np.hypot(1, ratio)
    step = 1e-4
    slope = (accuracy(ratio + step, k, k, n) - accuracy(ratio - step, k, k, n)) / (2 * step)
    mean, _, _, mass = moments(ratio, k, n)
    agrees(n * c**2 * density(k * (c + q)) * mass * mean, slope, DIFFERENCE)
    t, weight = gauss(150)
    inner = k - c * (t + k * (c - q))
    quotient = weight @ (density(inner) * ndtr(inner)**(n - 2)) / (weight @ ndtr(inner)**(n - 1))
    values = {sym.r: ratio, sym.k: k, any_law.n: n, sym.x: quotient}
    agrees(number(derive("G-joint-K").results["sign"], values), mean)


@pytest.mark.parametrize(("ratio", "k", "n"), [(0.2, 1.0, 3), (0.6, 2.0, 2), (0.8, 1.2, 12)])
def test_how_the_sign_turns_with_the_angle_and_with_k(ratio, k, n):
    mean, variance, third, _ = moments(ratio, k, n)
    values = {sym.r: ratio, sym.k: k, classes.S: mean, classes.v: variance, classes.kappa: third}
    angle, step = np.arctan(ratio), 1e-4
    turn = (moments(np.tan(angle + step), k, n)[0] - moments(np.tan(angle - step), k, n)[0]) / (2 * step)
    stretch = (moments(ratio, k + step, n)[0] - moments(ratio, k - step, n)[0]) / (2 * step)
    found = derive("T2-joint-K").results
    agrees(number(found["dS"], values), turn, DIFFERENCE)
    agrees(number(found["dS_dk"], values), stretch, DIFFERENCE)
    rate = k * (1 + ratio**2) / (1 - ratio)
    agrees(number(classes.slope_along(rate), values), turn + rate * stretch, DIFFERENCE)


@pytest.mark.parametrize("n", [2, 3, 9, 49])
def test_one_maximum_and_the_margin_loss_below_it(n):
    grid = np.linspace(0.002, 3, 150)
    for k in np.array([0.2, 0.6, 0.98, 1.02, 1.3, 2]) * largest(n):
        signs = np.sign([moments(ratio, k, n)[0] for ratio in grid])
        assert np.sum(signs[1:] != signs[:-1]) == (1 if k > largest(n) else 0) and signs[-1] < 0
        for _, variance, third, _ in (moments(ratio, k, n) for ratio in grid[::25]):
            assert -0.6071 * variance <= third <= 0 and variance < 1  # what the proof takes from log-concavity
        if k > largest(n):
            used = number(derive("N2-K").results["r_at"], {sym.k: k, any_law.e_n: largest(n)})
            agrees(used, 1 - largest(n) / k)
            best = brentq(lambda ratio, k=k: moments(ratio, k, n)[0], 1e-3, 1)
            assert moments(used, k, n)[0] > 0 and used < best < 1
            b_star = number(derive("N2-K").results["b_star_in_terms"], {sym.k: k, sym.r: best, any_law.e_n: largest(n)})
            agrees(1 - (1 - b_star) * largest(n) / k, best)
            assert 0 < b_star < 1


# Dynamics


GAPS, GAP_WEIGHTS = np.polynomial.legendre.leggauss(120)
GAPS = 5 * (GAPS + 1)  # |c_2 - c_3|/sqrt(2) is the size of a standard normal
GAP_WEIGHTS = 10 * density(GAPS) * GAP_WEIGHTS


def psi(weight):
    """E[(|Z|/sqrt(2)) tanh(weight |Z|/sqrt(2))]."""
    return integral(lambda t: 2 * density(t) * t / np.sqrt(2) * np.tanh(weight * t / np.sqrt(2)), 0, 40)


def flow(slope, times, parts=400):
    """w at `times` along w' = slope(w) from 0: classical Runge-Kutta, `parts` steps from each time to the next."""
    w, now, path = np.zeros(2), 0.0, []
    for time in times:
        step = (time - now) / parts
        for _ in range(parts):
            k1 = slope(w)
            k2 = slope(w + step / 2 * k1)
            k3 = slope(w + step / 2 * k2)
            w = w + step / 6 * (k1 + 2 * k2 + 2 * k3 + slope(w + step * k3))
        now = time
        path.append(w)
    return np.array(path)


def soft_mean(weight, values):
    """sum_j q_j c_j, q_j proportional to exp(-weight c_j), weight >= 0, over the last axis."""
    odds = np.exp(-weight * (values - values.min(-1, keepdims=True)))
    return (odds * values).sum(-1) / odds.sum(-1)


def pair_slope(b, k, tau=1.0, teacher=None):
    """The flow of D1 at sigma = 1 by quadrature over pairs of c; teacher: T2/tau_T, in place of the mean."""
    pairs = np.stack([k + GAPS / np.sqrt(2), k - GAPS / np.sqrt(2)], -1)
    weight = GAP_WEIGHTS
    soft = k if teacher is None else weight @ soft_mean(teacher, pairs)
    return lambda w: np.array([k, (1 - b) * (weight @ soft_mean(w[1] / tau, pairs)) + b * soft])


@pytest.mark.parametrize(("k", "b"), [(1.0, 0.0), (1.0, 0.4), (0.4, 0.1), (0.4, 0.6)])
def test_ratio_of_the_flow_falls_to_its_limit(k, b):
    found, times = derive("D1").results, np.array([0.01, 0.1, 1, 3, 10, 100, 800])
    path = flow(pair_slope(b, k), times)
    ratios = path[:, 1] / path[:, 0]
    assert np.all(np.diff(ratios) < 0) and 0.99 < ratios[0] < 1
    end = max(number(found["end"], {sym.k: k, sym.b: b}), 0)
    assert end < ratios[-1] < end + 0.01  # r is a running mean: the rest is O(log t/t)
    quality = found["Q"].replace(lambda e: e.func.__name__ == "Psi", lambda e: sp.Float(psi(float(e.args[0].subs(
        {sym.sigma: 1, sym.w2: 0.7, sym.tau: 1})))))
    agrees(number(quality, {sym.sigma: 1, sym.b: b, symbolic_d: k}), pair_slope(b, k)((0, 0.7))[1] / k, DIFFERENCE)


def test_a_teacher_ends_as_its_equivalent_smoothing():
    k, b = 1.2, 0.7
    for teacher in (0.0, 0.5, 2.0):
        taught, smoothed = sp.Symbol("psi_T", nonnegative=True), sp.Symbol("b", nonnegative=True)
        b_eff = number(derive("D1").results["b_eff"], {taught: psi(teacher), smoothed: b})
        weight = 1e6  # w2/tau: the limit of the flow
        agrees(pair_slope(b, k, teacher=teacher)((0, weight))[1], pair_slope(b_eff, k)((0, weight))[1], DIFFERENCE)


@pytest.mark.parametrize(("bad", "share", "b"), [(-1, 0.1, 0.0), (-1, 0.1, 0.5), (-3, 0.3, 0.0)])
def test_any_law_of_the_cross_class_features(bad, share, b):
    values = np.array(list(product((1.5, bad), repeat=3)), float)
    weight = np.prod(np.where(values == bad, share, 1 - share), 1)
    d_c, least, d_e = 1.5 * (1 - share) + bad * share, weight @ values.min(1), 0.8
    path = flow(lambda w: np.array([d_e, (1 - b) * (weight @ soft_mean(w[1], values)) + b * d_c]), (0.01, 1, 10, 100))
    ratios = path[:, 1] / path[:, 0]
    found, names = derive("D1-any").results, dict(zip(sp.symbols("d_E d_C", positive=True), (d_e, d_c), strict=True))
    end = max(number(found["end"], names | {sp.Symbol("E[M]", real=True): least, sym.b: b}), 0)
    assert np.all(np.diff(ratios) < 0) and end < ratios[-1] < end + 0.04
    assert ratios[0] == pytest.approx(number(found["start"], names), rel=0.02)


def test_the_normal_law_loses_at_most_a_quarter_of_a_point():
    drops = []
    for k in np.linspace(0.6, 3, 25):
        best = brentq(unequal_sign, 1e-9, 1, (k, k))
        drops.append(accuracy(best, k, k) - accuracy(1 - K0 / k, k, k))
    assert 0.0023 < max(drops) < 0.0025


def entropy_slope(k, lam=0.0):
    """The flow of cross-entropy at sigma = 1 from Gauss nodes in e, c_2, c_3."""
    nodes, weights = gauss(30)
    e, c2, c3 = (k + part.ravel() for part in np.meshgrid(nodes, nodes, nodes))
    weight = np.einsum("i,j,k->jik", weights, weights, weights).ravel()

    def slope(w):
        odds = np.exp(-w[0] * e - w[1] * np.stack([c2, c3]))
        wrong = odds / (1 + odds.sum(0))
        return np.array([weight @ (e * wrong.sum(0)), weight @ (c2 * wrong[0] + c3 * wrong[1])]) - lam * w

    return slope


@pytest.mark.parametrize(("k", "lam"), [(0.5, 0.0), (1.5, 0.3)])
def test_cross_entropy_flow_from_zero(k, lam):
    slope, found, step = entropy_slope(k, lam), derive("D2").results, 1e-3
    once, twice, late = flow(slope, (step, 2 * step, 4 * step), 10)
    ratios = once[1] / once[0], twice[1] / twice[0]
    agrees((4 * ratios[0] - ratios[1] - 3) / (2 * step), number(found["slope"], {sym.sigma: 1}), 1e-3)
    turn = 2 * (twice - 2 * once) / step**2 - (late - 2 * twice) / (2 * step)**2  # w'' at 0, extrapolated
    values = {sym.sigma: 1, sym.lam: lam, symbolic_d: k}
    agrees(turn[0], number(found["second_1"], values), 1e-3)
    agrees(turn[1], number(found["second_2"], values), 1e-3)
    later = flow(slope, (0.5, 2, 8, 30), 60)
    assert np.all(later[:, 0] > later[:, 1]) and np.all(later[:, 1] > 0)


def test_rare_outliers_act_as_an_l1_penalty():
    kappa, w1, w2, d = 0.8, 0.9, 0.6, 0.5
    nodes, weights = gauss(40)

    def risk(c):  # two classes (n = 1): E over e ~ N(d, 1)
        return weights @ np.logaddexp(0, -w1 * (d + nodes) - w2 * c)

    bulk = risk(d)
    pull = number(derive("D4").results["gamma"], {rare_outliers.n: 1, rare_outliers.kappa: kappa})
    gaps = []
    for rate in (1e-3, 1e-4):
        size = kappa / rate
        outlier = sum(integral(lambda t, size=size: density(t) * risk(d + size * t), *ends)
                      for ends in ((-9, -20 / size), (-20 / size, 20 / size), (20 / size, 9)))
        gaps.append(abs((1 - rate) * bulk + rate * outlier - bulk - pull * w2))
    assert gaps[1] < 1e-3 * pull and 5 < gaps[0] / gaps[1] < 20  # the error is O(p)


def outlier_flow(pull, times, b=0.0, teacher=None, k=1.0, n=2):
    """D4's flow at sigma_E = 1, d = k: Euler steps kept at w2 >= 0, from Gauss nodes in e."""
    e, weight = k + gauss(100)[0], gauss(100)[1]

    def wrong(w):
        return n / (n + np.exp(np.minimum(w[0] * e + w[1] * k, 700)))

    taught = 0 if teacher is None else b * wrong(teacher)
    w, path = np.zeros(2), []
    for step, parts in times:
        for _ in range(parts):
            p = wrong(w) - taught
            w = np.maximum(w + step * np.array([weight @ (e * p), k * (weight @ p) - (1 - b) * pull]), [-np.inf, 0])
        path.append(w)
    return np.array(path), wrong, e, weight


def exclusive_only(k=1.0, n=2):
    """w1o and pibar_1 of D4."""
    _, wrong, e, weight = outlier_flow(0, (), k=k, n=n)
    w1 = brentq(lambda w1: weight @ (e * wrong((w1, 0))), 0, 30)
    return w1, weight @ wrong((w1, 0))


def test_regimes_of_the_outlier_flow():
    times, (w1, late) = ((1e-4, 10), (1e-2, 200), (0.05, 20_000)), exclusive_only()
    assert 0.27 < late < 0.28 < 2 / 3
    for pull in (0.7, 0.4, 0.3, 0.2):
        path = outlier_flow(pull, times)[0]
        start = number(derive("D4").results["r_0"], {rare_outliers.n: 2, symbolic_d: 1, rare_outliers.gamma: pull})
        if pull > 2 / 3:
            assert start < 0 and np.all(path[:, 1] == 0)  # never learned
            continue
        agrees(path[0, 1] / path[0, 0], start, 1e-3)
        assert (path[-1, 1] == 0) if pull > late else (path[-1, 1] > 0.05)
        if pull > late:
            assert path[-1, 0] == pytest.approx(w1, rel=1e-6)
            drop = ndtr(1 + start) - ndtr(1)
            assert 0.06 < drop < 0.1  # ten points only as gamma falls to d pibar_1:
    assert 0.102 < ndtr(2 - late * 3 / 2) - ndtr(1) < 0.103


def test_an_early_teacher_need_not_prevent_forgetting():
    # The pull is (1-b) gamma, but the signal shrinks too, by b d E[pi_T].
    teacher = outlier_flow(0.4, ((1e-3, 2000),))[0][-1]
    assert teacher[1] > 0.2
    last = {b: outlier_flow(0.4, ((1e-2, 200), (0.05, 20_000)), b, teacher)[0][-1, 1] for b in (0.3, 0.6, 0.95)}
    assert last[0.3] == last[0.6] == 0 and last[0.95] > 0.1


# CAS


def planted(classes, m, w1, w2, rng, total, mean_e=1.0, mean_c=1.0, eps=0.0, noise=0.3):
    """W and samples of each class: exclusive features, then one for each set of m classes; delta* of size eps."""
    sets = list(combinations(range(classes), m))
    matrix = np.array([[w1 * (j == i) for j in range(classes)] + [w2 * (i in each) for each in sets]
                       for i in range(classes)])
    samples = []
    for i in range(classes):
        active = np.array([j == i for j in range(classes)] + [i in each for each in sets])
        mean = np.where(np.arange(len(active)) < classes, mean_e, mean_c)
        x = active * (mean + noise * rng.standard_normal((total, len(active)))) + eps * np.where(active, -1, 1)
        samples.append(x)
    return matrix, samples


def cos(u, v):
    return u @ v / np.sqrt((u @ u) * (v @ v))


def cas(matrix, samples):
    rows = [np.mean(x * row, 0) for x, row in zip(samples, matrix, strict=True)]
    return np.array([cos(u, v) for i, u in enumerate(rows) for j, v in enumerate(rows) if i != j])


@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_cas_of_the_linear_model_and_its_gauge(ratio):
    matrix, samples = planted(3, 2, 0.7, 0.7 * ratio, np.random.default_rng(1), 200_000)
    found, values = derive("CAS").results, {sym.r: ratio}
    agrees(cas(matrix, samples).sum(), number(found["cas"], values), 0.005)
    agrees(cas(matrix - matrix.mean(0), samples).mean(), number(found["centred"], values), 0.005)
    plain = number(found["cosine"], values)
    assert found["cosine"].subs(sym.r, ratio) != found["centred"].subs(sym.r, ratio) and plain > 0


@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("eps", [0.1, 0.3, 0.5])
def test_row_centred_cas_under_attack(ratio, eps):
    matrix, samples = planted(3, 2, 0.7, 0.7 * ratio, np.random.default_rng(2), 200_000, eps=eps)
    expected = number(derive("mCAS").results["adversarial"], {sym.r: ratio, sym.x: eps})
    assert cas(matrix - matrix.mean(0), samples) == pytest.approx(expected, abs=2e-3)
    assert eps < 0.5 or expected == -0.5
    assert cas(matrix, samples) == pytest.approx(number(derive("CAS").results["cosine"], {sym.r: ratio}), abs=2e-3)


@pytest.mark.parametrize(("number_of", "m"), [(3, 2), (6, 2), (6, 5), (7, 3)])  # beyond the 3 to 5 of the derivation
def test_margin_cas_for_features_shared_by_m_of_k_classes(number_of, m):
    ratio, mean_e, mean_c = 0.6, 1.0, 0.8
    matrix, samples = planted(number_of, m, 0.7, 0.7 * ratio, np.random.default_rng(3), 2, mean_e, mean_c, noise=0)
    found = derive("mCAS").results
    values = {attribution.K: number_of, attribution.size: m, attribution.share: ratio * mean_c / mean_e}
    triples = [(i, k, j) for i, k, j in product(range(number_of), repeat=3) if len({i, k, j}) == 3]

    def against(i, j, weights=matrix, scale=1.0):
        return ((weights[i] - weights[j]) * (samples[i][0] * scale))

    agrees(np.mean([cos(against(i, j), against(k, j)) for i, k, j in triples]), number(found["mcas"], values))
    agrees(cas(matrix, samples).mean(), number(found["cas"], values))
    if m < number_of:
        agrees(cas(matrix - matrix.mean(0), samples).mean(), number(found["centred"], values))
    rng = np.random.default_rng(4)
    moved = 3.7 * matrix + rng.standard_normal(matrix.shape[1])
    scale = rng.uniform(0.2, 5, matrix.shape[1])
    agrees(np.mean([cos(against(i, j, moved / scale, scale), against(k, j, moved / scale, scale))
                    for i, k, j in triples]), number(found["mcas"], values))


def test_r_k_and_the_spread_read_off_margins():
    rng, total, w1, ratio, d, sigma = np.random.default_rng(6), 1_000_000, 1.3, 0.6, 0.5, 0.4
    e, c = d + sigma * rng.standard_normal(total), d + sigma * rng.standard_normal((4, total))
    margins = w1 * (e + ratio * c)
    correlation = np.corrcoef(margins)[np.triu_indices(4, 1)].mean()
    agrees(correlation, number(derive("E-margins").results["correlation"], {sym.r: ratio}), 0.004)
    found = np.sqrt(1 / correlation - 1)
    agrees(found, ratio, 0.008)
    agrees(margins.mean() / margins.std(1).mean() * np.sqrt(1 + found**2) / (1 + found), d / sigma, 0.005)
    values = {sym.w2: w1 * ratio, sym.sigma: sigma, any_law.e_n: largest(4)}
    within(margins.mean(0) - margins.min(0), number(derive("E-margins").results["spread"], values))


@pytest.mark.parametrize(("k", "lam"), [(0.8, 0.5), (1.6, 2.0)])
def test_the_temperature_that_attains_the_best_ratio(k, lam):
    best = brentq(unequal_sign, 1e-9, 1, (k, k))
    inverse = brentq(lambda weight: psi(weight) - k * (1 - best), 0, 1e4)
    values = {sym.sigma: 1, symbolic_d: k, sym.r: best, sym.lam: lam, sp.Symbol("X", positive=True): inverse}
    tau = number(derive("E-margins").results["tau"], values)
    c2, c3 = (k + part for part in np.meshgrid(gauss(120)[0], gauss(120)[0]))
    weight = np.outer(gauss(120)[1], gauss(120)[1])

    def risk(w):
        soft = -tau * np.logaddexp(-w[1] * c2 / tau, -w[1] * c3 / tau)
        return -k * w[0] - np.sum(weight * soft) + lam / 2 * (w @ w)

    w = minimize(risk, [k / lam, best * k / lam], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14}).x
    agrees(w[1] / w[0], best, 1e-4)
