"""The long certificates (C1, N4, CE-monotone): formulas against brute force, some boxes, planted errors."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from scipy import integrate, stats
from scipy.special import expit

from synthmodel.accuracy.three_classes import imr, r_acc
from synthmodel.certificates import gaussian_means as gaussian
from synthmodel.certificates.certify import CERTIFICATES, LEMMAS, certify, stored
from synthmodel.certificates.checker import DATA, Lemma, examine, precision, read_boxes, sign
from synthmodel.certificates.columns import examine_laid, last_cells
from synthmodel.certificates.proofs import ce_monotone as monotone
from synthmodel.certificates.proofs import n4_inequality as side
from synthmodel.certificates.proofs import skewness
from synthmodel.certificates.proofs.ce_monotone import MONOTONE, STRONG
from synthmodel.certificates.proofs.n4_end import U, above_best, below_best, counterexample, curve, on_ray
from synthmodel.certificates.search import monotone_cells, store
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, solve_cross_entropy

pytestmark = pytest.mark.slow

LAID = ["N4_on_ray", "CE_monotone"]
STORED = [*LAID, "CE_monotone_strong_signal"]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def minimiser(k, L):
    """(w1, w2) in units of the noise, at mu = k, eps = 0, sigma = 1."""
    solution = solve_cross_entropy(Setting(k, 1), CrossEntropy(), 0, L)
    return solution.w1, solution.w2


def inside(ball, value, slack):
    return abs(float(ball.mid()) - value) <= float(ball.rad()) + slack


# C1

@pytest.mark.parametrize("u", [-5.0, -0.3374, 1.0, 4.0])
def test_skewness_ratio_is_third_moment_over_variance(u):
    law = stats.truncnorm(-u, np.inf)
    _, variance, skew, _ = (float(value) for value in law.stats("mvsk"))
    assert float(skewness.skewness_ratio(arb(u)).mid()) == pytest.approx(skew * math.sqrt(variance), rel=1e-6)


def test_c1_holds_and_wrong_values_do_not(monkeypatch):
    def outcomes():
        return [examine(lemma, stored(name)) for name, lemma in skewness.LEMMAS.items()]
    assert outcomes() == ["holds"] * 5
    with monkeypatch.context() as patch:
        patch.setattr(skewness, "C1_HIGH", skewness.C1_HIGH * arb("0.99"))
        assert outcomes()[0] == "fails"
    monkeypatch.setattr(skewness, "C1_LOW", skewness.C1_LOW * arb("1.01"))
    assert outcomes() == ["holds"] * 3 + ["fails", "holds"]


def test_tail_bounds_are_above_the_ratio():
    below, above = skewness.tail_bounds()
    for x in (6, 7, 10, 30):
        assert skewness.skewness_ratio(arb(-x)) < below
        assert skewness.skewness_ratio(arb(x)) < above


# N4's inequality

@pytest.mark.parametrize(("k", "tau", "x"), [(0.8, 0.5, -1.0), (1.2, 3.0, 0.4), (2.0, 1.5, 2.0), (2.0, 8.0, -0.2)])
def test_conditional_mean_of_p1_t(k, tau, x):
    """E[p_1 T | x] by brute force over (T, c_2), p_1 the softmax of the three scores, against the formula of N4."""
    r = r_acc(k)
    c, q = 1 / math.hypot(1, r), r / math.hypot(1, r)

    def integrand(c_2, t):
        e = c * x - q * t
        m_1, m_2 = tau * x, tau * (c * e + q * c_2)
        p_1 = 1 / (1 + math.exp(m_1) + math.exp(m_1 - m_2))
        return p_1 * t * stats.norm.pdf(t - k * (c - q)) * stats.norm.pdf(c_2 - k)

    brute, _ = integrate.dblquad(integrand, -9, 11, -9, 11, epsabs=1e-9)
    scale = math.sqrt(1 + c * c)
    u, rho, h = k * q * (q + c) / scale, tau * q * scale, math.log1p(math.exp(tau * x)) - q * q * tau * x
    S, slope = side.smoothed(arb(u), arb(h), 1 / arb(rho))
    formula = c / scale * (imr(u) * float(S.mid()) - float(slope.mid())) / (1 + math.exp(tau * x))
    assert brute == pytest.approx(formula, abs=2e-8)
    assert h >= float(side.least_entropy(arb(u)).mid()) - 1e-9


@pytest.mark.parametrize("rho", [0.2, 1.0, 6.0])
def test_smoothed_is_the_gaussian_mean_of_the_sigmoid(rho):
    u, h = 1.3, 0.6
    S, slope = side.smoothed(arb(u), arb(h), 1 / arb(rho))
    for ball, f in ((S, expit), (slope, lambda a: rho * expit(a) * expit(-a))):
        exact, _ = integrate.quad(lambda z, f=f: stats.norm.pdf(z) * f(h + rho * (u - z)), -12, 12, epsabs=1e-12)
        assert inside(ball, exact, 1e-11)
        assert float(ball.rad()) < 1e-6


def test_best_ratio_encloses_the_root():
    for k in (0.57, 0.7, 1.0, 1.9, 2.4):
        r = r_acc(k)
        u = k * r * (1 + r) / math.sqrt((1 + r * r) * (2 + r * r))
        low, high = side.best_ratio(arb(u))
        assert float(low) - 1e-9 <= r <= float(high) + 1e-9
        assert float(side.k_of(arb(u)).mid()) == pytest.approx(k, abs=1e-8)


def test_the_inequality_holds_to_1_64_and_no_further_than_1_6513():
    assert [examine(lemma, stored(name)) for name, lemma in side.LEMMAS.items()] == ["holds"] * 4
    rho = arb("1.08")
    assert side.inequality(arb("1.64"), 1 / rho) > 0
    assert side.inequality(arb("1.655"), 1 / rho) < 0  # k = 2.086: the argument has ended
    assert side.k_of(arb("1.655")) < arb("2.0863")
    last = Fraction(166, 100)
    corner = ((last - Fraction(1, 1000), last), (Fraction(92, 100), Fraction(93, 100)))
    assert examine(Lemma(corner, side.LEMMAS["N4_inequality"].signs), [corner]) == "fails"


def test_the_inequality_needs_the_entropy(monkeypatch):
    """With half of the relaxation h the inequality is false, and is not certified."""
    exact = side.least_entropy
    monkeypatch.setattr(side, "least_entropy", lambda u: exact(u) / 2)
    assert side.inequality(arb("1.6"), 1 / arb("1.08")) < 0
    assert examine(side.LEMMAS["N4_inequality"], stored("N4_inequality")) == "fails"


@pytest.mark.parametrize("rho", [6.0, 20.0, 300.0])
def test_the_far_inequality_is_the_inequality(rho):
    """rho I by quadrature over the logistic law, at u = 1, against the ball for all rho >= 6."""
    u, h = 1.0, float(side.least_entropy(arb(1)).mid())

    def psi(y):
        t = (h - y) / rho
        return stats.logistic.pdf(y) * (imr(u) * stats.norm.cdf(u + t) - stats.norm.pdf(u + t))
    exact = rho * integrate.quad(psi, -40, 40, epsabs=1e-13, points=[h])[0]
    assert 0 < side.inequality_far(arb(1)).lower() <= exact


# Rigorous expectations

def test_moments_against_a_product_rule_in_three_dimensions():
    """P = E[1 - p_1], A = E p_1 (1 - p_1), Q = 2 E p_2 p_3 over e, c_2, c_3, without the two-dimensional form."""
    e, c_2, c_3 = np.meshgrid(*3 * [NODES], indexing="ij")
    for k, w1, w2 in ((0.3, 0.2, 0.15), (1.0, 1.1, 0.9), (2.5, 0.9, 0.8)):
        odds_2, odds_3 = (np.exp(-w1 * (k + e) - w2 * (k + c)) for c in (c_2, c_3))
        total = 1 + odds_2 + odds_3
        wrong = (odds_2 + odds_3) / total
        exact = [float(f @ WEIGHTS @ WEIGHTS @ WEIGHTS)
                 for f in (wrong, wrong * (1 - wrong), 2 * odds_2 * odds_3 / total**2)]
        M, Q = gaussian.moments(arb(k * (w1 + w2)), arb(w1**2 + w2**2 / 2), arb(w2**2 / 2))
        for ball, value in zip((0 - M(1, 0), M(2, 0), Q(0, 0)), exact, strict=True):
            assert inside(ball, value, 1e-11)
            assert float(ball.rad()) < 1e-9


@pytest.mark.parametrize(("alpha", "s", "z"), [(0.02, 3e-4, 1e-4), (1.0, 0.5, 0.1), (4.2, 7.0, 1.6), (7.0, 1.9, 0.7)])
def test_moments_enclose_a_box(alpha, s, z):
    """The balls of a box contain those of 40 of its points, drawn with seed 0, and of its corners."""
    M, Q = gaussian.moments(arb(alpha, 0.05 * alpha), arb(s, 0.1 * s), arb(z, 0.1 * z))
    draws = np.random.default_rng(0).uniform(-1, 1, (40, 3))
    for a, b, c in [*draws, (1, 1, 1), (-1, -1, -1), (1, -1, -1)]:
        m, q = gaussian.moments(arb(alpha * (1 + 0.05 * a)), arb(s * (1 + 0.1 * b)), arb(z * (1 + 0.1 * c)))
        for wide, point in ((M, m), (Q, q)):
            for index in ((1, 0), (2, 0), (1, 2), (3, 0), (2, 2), (4, 0)):
                assert wide(*index).overlaps(point(*index))
                assert inside(wide(*index), float(point(*index).mid()), 1e-9 * float(wide(*index).rad()))


def test_moments_of_higher_order_are_derivatives():
    """M_{i+1,j}, M_{i+2,j}/2 and M_{i,j+2}/2 against differences of M_ij in alpha, s and z."""
    point, step = (1.2, 0.8, 0.2), 1e-4
    M, Q = gaussian.moments(*map(arb, point))
    for axis, (di, dj, factor) in enumerate(((1, 0, 1), (2, 0, 2), (0, 2, 2))):
        ends = [gaussian.moments(*(arb(p + sign * step * (n == axis)) for n, p in enumerate(point)))
                for sign in (1, -1)]
        for F, low, high, index in ((M, ends[1][0], ends[0][0], (2, 2)), (Q, ends[1][1], ends[0][1], (1, 0))):
            quotient = (float(high(*index).mid()) - float(low(*index).mid())) / (2 * step)
            assert quotient == pytest.approx(float(F(index[0] + di, index[1] + dj).mid()) / factor, abs=2e-6)


def test_a_one_per_cent_error_in_the_expectations_is_seen(monkeypatch):
    exact = gaussian.expectations
    monkeypatch.setattr(gaussian, "expectations", lambda *at: (1.01 * exact(*at)[0], *exact(*at)[1:]))
    with pytest.raises(AssertionError):
        test_moments_against_a_product_rule_in_three_dimensions()


@pytest.mark.parametrize("index", [-3, 3, 9, 15])
def test_rounding_of_the_tables(index):
    """The errors of a row of nodes add up to less than ROUND of its norm: against Hermite polynomials at 300 bits."""
    nodes, rows, norms = gaussian.table(index)
    with precision(300):
        for m in (0, 5, 16):
            scale = arb(gaussian.step_of(index)) / (2 * arb.pi()).sqrt() / arb(2) ** (arb(m) / 2)  # He_m from H_m
            exact = [scale * (-x * x / 2).exp() * (x / arb(2).sqrt()).hermite_h(m) for x in map(arb, nodes.tolist())]
            error = sum(abs(arb(float(value)) - truth) for value, truth in zip(rows[m], exact, strict=True))
            assert error < gaussian.ROUND * norms[m]


def test_rounding_of_balls():
    """float(ball) is within ROUND of it, relatively: 200 exponentials, seed 1."""
    for x in np.random.default_rng(1).uniform(-60, 60, 200):
        with precision(gaussian.BITS):
            rounded = float(arb(float(x)).exp())
        with precision(300):
            exact = arb(float(x)).exp()
            assert abs(arb(rounded) - exact) < gaussian.ROUND * exact


def test_nodes_are_exact():
    nodes, _, _ = gaussian.table(7)
    step = Fraction(gaussian.step_of(7))
    assert all(Fraction(x) == step * (n - len(nodes) // 2) for n, x in enumerate(nodes.tolist()))


# Monotonicity

@pytest.mark.parametrize(("k", "L"), [(0.2, 0.01), (0.5, 0.001), (1.0, 0.1), (1.5, 0.001), (2.5, 0.01), (3.0, 5.0)])
def test_n_is_the_slope_of_the_ratio(k, L):
    """d log r/d log k by differences of the solver's ratio has the sign and, up to a positive factor, the size of N."""
    step = 1e-3
    rise = [math.log(cross_entropy_ratio(Setting(k * (1 + s), 1), 0, L)) for s in (step, -step)]
    w1, w2 = minimiser(k, L)
    with precision(64):
        N, multiplier, x, _ = monotone.cell(arb(k), arb(math.hypot(w1, w2)), w1 / w2 - 1)
    assert (rise[0] - rise[1] > 0) == bool(N > 0)
    assert N > 0
    assert float(multiplier.mid()) == pytest.approx(L, abs=1e-7)
    assert x == pytest.approx(w1 / w2 - 1, rel=1e-6)


def test_n_and_the_hessian_give_the_slope():
    """(d log r/d log k) det J = (kP/w1)(kP/w2) q N, J = d(f_1, f_2)/d(log w), f_i = kP/w_i - A or B, by differences.

    The first number of a cell is N P^2 Q.
    """
    k, L, step = 1.0, 0.1, 1e-5
    w = np.array(minimiser(k, L))

    def f(w):
        M, Q = gaussian.moments(arb(k * w.sum()), arb(w[0] ** 2 + w[1] ** 2 / 2), arb(w[1] ** 2 / 2))
        P, A, extra = -float(M(1, 0).mid()), float(M(2, 0).mid()), float(Q(0, 0).mid())
        return np.array([k * P / w[0] - A, k * P / w[1] - A - extra]), k * P / w, P * P * extra

    jacobian = np.array([(f(w * np.exp(step * d))[0] - f(w * np.exp(-step * d))[0]) / (2 * step) for d in np.eye(2)]).T
    rise = [math.log(cross_entropy_ratio(Setting(k * (1 + s), 1), 0, L)) for s in (1e-3, -1e-3)]
    with precision(64):
        N, *_ = monotone.cell(arb(k), arb(float(np.linalg.norm(w))), w[0] / w[1] - 1)
    right = float(np.prod(f(w)[1])) * (1 - w[1] / w[0]) * float(N.mid()) / f(w)[2]
    assert (rise[0] - rise[1]) / 2e-3 * np.linalg.det(jacobian) == pytest.approx(right, rel=1e-5)


def test_cells_and_ends_are_told_apart():
    """At k = 1: L > LEAST; |L| < LEAST; L < -LEAST, which is neither, nor is it an end where N < 0."""
    with precision():
        signs = [[bool(value > 0) for value in MONOTONE.values(arb(k), arb(tau), arb("0.25"))]
                 for k, tau in ((1, 2.5), (1, 2.9), (1, 3.2), (0.2, 1))]
    assert signs == [[True, False], [True, True], [False, False], [False, False]]


def opposite(laid):
    """The same with the sign on the cells flipped."""
    def values(*balls):
        on, end = laid.values(*balls)
        return 0 - on, end
    return replace(laid, values=values)


@pytest.mark.parametrize("name", STORED)
def test_the_stored_cells_cover(name):
    """In full, exactly; the last cells are those where the certificate changes its sign."""
    cells = stored(name)
    with precision():
        last = last_cells(LEMMAS[name], cells)
    assert len(cells) > 1000
    assert 10 < len(last) < len(cells) / 4
    assert max(path.stat().st_size for path in DATA.iterdir()) < 300_000


@pytest.mark.parametrize("name", STORED)
def test_a_sample_of_the_stored_cells_is_certain(name):
    """Every 83rd cell, and the opposite sign is certain on none of them."""
    laid, cells = LEMMAS[name], stored(name)
    with precision():
        last = last_cells(laid, cells)
        for box in cells[::83]:
            assert sign(lambda *balls, end=box in last: laid.values(*balls)[end], box) == 1
            assert sign(lambda *balls, end=box in last: 0 - laid.values(*balls)[end], box) == -1


@pytest.mark.parametrize(("name", "laid", "side_"), [("CE_monotone", MONOTONE, (0.1, 3)),
                                                     ("CE_monotone_strong_signal", STRONG, (3, 4.2))])
def test_every_minimiser_lies_in_a_cell(name, laid, side_):
    """60 minimisers by the solver, k and L drawn with seed 0, lie in cells that are not the last, x near the hint.

    Or below the first cells, at |w| < k/3, from k = 3 on.
    """
    cells, among = stored(name), 0
    last = last_cells(laid, cells)
    low, high = np.array(cells, dtype=float).transpose(2, 1, 0)[:, :2]
    rng = np.random.default_rng(0)
    for k, L in zip(rng.uniform(*side_, 60), np.exp(rng.uniform(math.log(0.001), math.log(10), 60)), strict=True):
        w1, w2 = minimiser(float(k), float(L))
        if laid is STRONG and math.hypot(w1, w2) < 0.99 * k / 3:
            continue
        among += 1
        point = np.array([[k], [math.hypot(w1, w2)]])
        found = [cells[n] for n in np.flatnonzero(np.all((low <= point) & (point <= high), axis=0))]
        assert found and not any(box in last for box in found)
        assert float(found[0][2][0]) == pytest.approx(w1 / w2 - 1, rel=0.5)
    assert among >= 5


def test_from_k_3_on_the_cells_begin_where_ce_monotone_ends_is_the_proof():
    """At |w| <= k/3 for the smallest k of a cell; begun a little later they are refused."""
    cells = stored("CE_monotone_strong_signal")
    assert STRONG.begins(Fraction(3), Fraction(4), Fraction(1)) and not STRONG.begins(3, 4, Fraction(1001, 1000))
    later = replace(STRONG, begins=lambda low, high, tau: 3.01 * tau <= low)
    assert last_cells(later, cells) is None
    assert last_cells(MONOTONE, cells) is None  # another region


@pytest.fixture(scope="module")
def strip():
    """(laid, cells) of a small strip, found anew."""
    laid = replace(MONOTONE, side=(Fraction(1), Fraction(101, 100)))
    return laid, monotone_cells(laid)


def test_the_finder_finds_what_the_checker_accepts(strip, tmp_path):
    laid, cells = strip
    assert examine_laid(laid, cells) == "holds"
    assert examine_laid(opposite(laid), cells) == "fails"
    store(cells, tmp_path / "cells.json")
    assert read_boxes(tmp_path / "cells.json") == cells
    with pytest.raises(ValueError, match="the claim may be false there"):
        monotone_cells(opposite(laid))


def tampered(cells):
    """(what was done, the cells after it)."""
    (k, (low, high), *rest), others = cells[0], cells[1:]
    tiny = Fraction(1, 10**12)
    yield "a cell removed", others
    yield "a cell in the middle removed", cells[:9] + cells[10:]
    yield "a cell twice", [*cells, cells[0]]
    yield "enlarged in tau", [(k, (low, high + tiny), *rest), *others]
    yield "enlarged in p", [((k[0], k[1] + tiny), (low, high), *rest), *others]
    yield "end point moved down", [(k, (low, high - tiny), *rest), *others]
    yield "end point moved in p", [((k[0] + tiny, k[1]), (low, high), *rest), *others]
    yield "turned", [(k, (high, low), *rest), *others]
    yield "turned in p", [(k[::-1], (low, high), *rest), *others]
    yield "flat", [*cells, ((k[0], k[0]), (low, high), *rest)]
    yield "an interval missing", [(k,), *others]
    yield "an interval more", [(*cells[0], k), *others]
    yield "nothing", []
    first = [box for box in cells if box[1][0] == min(box[1][0] for box in cells)]
    yield "begun too late", [box for box in cells if box not in first]


@pytest.mark.parametrize("name", LAID)
def test_tampered_cells_are_refused(name, strip):
    laid, cells = (LEMMAS[name], stored(name)) if name == "N4_on_ray" else strip
    for what, boxes in tampered(cells):
        assert examine_laid(laid, boxes) == "not laid without gaps", what


def test_cells_without_an_end_are_not_certified(strip):
    """Without the last cells the others are laid well, but those below have not the sign of an end."""
    laid, cells = strip
    last = last_cells(laid, cells)
    assert examine_laid(laid, [box for box in cells if box not in last]) in ("undecided", "fails")
    assert examine_laid(laid, [box for box in cells if box != min(last)]) != "holds"


def test_cells_over_less_or_more_than_the_region_are_refused(strip):
    laid, cells = strip
    for side_ in ((Fraction(1), Fraction(102, 100)), (Fraction(99, 100), Fraction(101, 100)),
                  (Fraction(1), Fraction(1005, 1000))):
        assert examine_laid(replace(laid, side=side_), cells) == "not laid without gaps"


def test_wide_cells_are_undecided(strip):
    """Two neighbours made one, honestly laid: the sign is not certain."""
    laid, cells = strip
    k, low, high = laid.side, min(box[1][0] for box in cells), max(box[1][1] for box in cells)
    hint = ((Fraction(1, 2),) * 2,)
    assert examine_laid(laid, [(k, (low, high), *hint), (k, (high, high + 1), *hint)]) == "undecided"


def test_bad_moments():
    with pytest.raises(ValueError, match="were given"):
        gaussian.moments(arb(1), arb(0), arb(1))


# Where N4 ends

def test_curve_follows_the_best_ratio():
    for k in (1.0, 2.0695, 2.4):
        r = r_acc(k)
        u = k * r * (1 + r) / math.sqrt((1 + r * r) * (2 + r * r))
        with precision(64):
            (k_series, x_series), (k_next, x_next) = curve(arb(u)), curve(arb(u + 1e-5))
        assert inside(k_series[0], k, 1e-9)
        assert inside(x_series[0], 1 / r - 1, 1e-9)
        assert float((k_next[0] - k_series[0]).mid()) / 1e-5 == pytest.approx(float(k_series[1].mid()), rel=1e-3)
        assert float((x_next[0] - x_series[0]).mid()) / 1e-5 == pytest.approx(float(x_series[1].mid()), rel=1e-3)


def test_ray_is_the_slope_of_the_risk():
    """At k = 2.5, L = 1.7 the ray's lowest point, by the risk itself in a product rule over e, c_2, c_3."""
    k, L, r = 2.5, 1.7, r_acc(2.5)
    e, c_2, c_3 = np.meshgrid(*3 * [NODES], indexing="ij")

    def risk(w1, w2):
        odds = sum(np.exp(-w1 * (k + e) - w2 * (k + c)) for c in (c_2, c_3))
        return float(np.log1p(odds) @ WEIGHTS @ WEIGHTS @ WEIGHTS) + L * (w1**2 + w2**2) / 2

    u, tau, step = arb("2.0173351"), 0.498828, 1e-4
    g, multiplier = on_ray(u, arb(tau))
    direction = np.array([1, r]) / math.hypot(1, r)
    slope = (risk(*((tau + step) * direction)) - risk(*((tau - step) * direction))) / (2 * step)
    assert slope == pytest.approx((L - float(multiplier.mid())) * tau, abs=1e-7)
    turn = np.array([-r, 1]) / math.hypot(1, r)
    across = (risk(*(tau * direction + step * turn)) - risk(*(tau * direction - step * turn))) / (2 * step)
    assert across > 0 > float(g.mid())  # a smaller r lowers the risk


def test_above_best_and_its_end():
    assert above_best(1.64, 1.65)[0] is True
    assert above_best(1.93, 1.931)[0] is True
    assert above_best(1.64, 1.65, wanted=-1)[0] is None
    assert above_best(1.95, 1.951)[0] is None  # k = 2.422, where r_CE < r_acc near L = 1.6
    with pytest.raises(ValueError, match="was given, but"):
        above_best(0, 1)


def test_counterexample_is_confirmed_by_the_solver():
    assert counterexample() > 0
    assert cross_entropy_ratio(Setting(2.5, 1), 0, 1.7) < r_acc(2.5) - 0.001
    balls = arb("2.0173351", "1e-6"), arb("0.498828", "1e-5")
    assert below_best(*balls, arb("2.5001"), arb("1.7")) is None  # another k
    assert below_best(*balls, arb("2.5"), arb("1.71")) is None  # another L
    assert below_best(arb("1.93", "1e-3"), arb("0.52", "0.05"), arb("2.4"), arb("1.6")) is None  # where it is false


def test_n4_by_the_solver():
    """r_CE > r_acc on a grid of k <= 2.41 and L, and not at k = 2.2 nor before (THEORY.md, N4)."""
    for k in (0.3, 0.6, 1.0, 1.5, 2.0, 2.2, 2.41):
        gaps = [cross_entropy_ratio(Setting(k, 1), 0, float(L)) - r_acc(k) for L in np.geomspace(0.01, 20, 25)]
        assert min(gaps) > 0
    assert cross_entropy_ratio(Setting(2.42, 1), 0, 1.58) < r_acc(2.42)


# The table

def test_rows():
    rows = list(certify("long", quick=True))
    assert [row.claim for row in rows] == ["C1", "N4", "N4-end", "N4-K-end", "T2-unequal", "N3-entries", "N4-entries",
                                           "T3-CE-unequal", "T3-CE-unequal"]
    assert {row.outcome for row in rows} == {"holds"}
    assert rows[0].region == "all real u" and rows[0].boxes > 1000
    assert {name for certificate in CERTIFICATES for name in certificate.needs} == set(LEMMAS)
    assert side.SIDE[1] == LEMMAS["N4_on_ray"].side[0]  # N4's two parts join
    # how far k reaches, in the fourth decimal
    for name, k in (("N4_inequality_range", "2.0696"), ("N4_on_ray_range", "2.4104")):
        assert examine(LEMMAS[name], [()]) == "holds"
        assert side.k_of(side.LAST if name == "N4_inequality_range" else arb(U[1])) < arb(k)


def copied(folder):
    for path in DATA.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("name", ["C1_middle", "N4_inequality", "N4_inequality_far"])
def test_tampered_files_spoil_their_rows_only(tmp_path, name):
    claim = "C1" if name == "C1_middle" else "N4"
    text = json.loads((copied(tmp_path) / f"{name}.json").read_text())
    moved = [[["1/7", "1/6"], *text[0][1:]], *text[1:]]
    for rows in (text[:-1], moved, [*text, text[0]], []):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        outcomes = {row.claim: row.outcome for row in certify("long", quick=True, folder=tmp_path)}
        assert outcomes.pop(claim) == f"{name}: not a tiling"
        assert set(outcomes.values()) == {"holds"}


def test_a_wrong_sign_spoils_its_row(monkeypatch):
    wrong = replace(LEMMAS["N4_inequality"], signs=((side.inequality, -1),))
    monkeypatch.setitem(LEMMAS, "N4_inequality", wrong)
    assert [row.outcome for row in certify("long", quick=True)] == ["holds", "N4_inequality: fails", *["holds"] * 7]


def test_the_check_does_not_need_the_finder():
    code = "import sys, synthmodel.certificates.certify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    loaded = done.stdout.split()
    assert "synthmodel.certificates.certify" in loaded
    assert "synthmodel.certificates.search" not in loaded


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"certificates\.search"):
        list(certify("long", quick=True, folder=tmp_path))
    with pytest.raises(ValueError, match=r"certificates\.search"):
        stored("CE_monotone", tmp_path)
    (copied(tmp_path) / "CE_monotone_3.json").unlink()
    assert last_cells(MONOTONE, stored("CE_monotone", tmp_path)) is None
