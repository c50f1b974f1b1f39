"""The proofs of D4-unimodal, S1-exact, T1-CE-exact, T1-CE-exact-unequal: their steps in numbers found another way."""

from dataclasses import replace
from itertools import product
from math import exp, log, sinh

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit

from synthmodel.certificates.certify import LEMMAS, certify
from synthmodel.certificates.checker import examine, grid
from synthmodel.certificates.proofs.exact_attack import down, square_lemmas, up
from synthmodel.flows.rare_outliers import exclusive_optimum, forgetting_range, limit_flow
from synthmodel.solvers.cross_entropy_exact import exact_gradient, exact_risk, exact_threshold, solve_exact
from synthmodel.symbolic import derive, symbols
from synthmodel.symbolic.flows import unimodal
from synthmodel.symbolic.flows.rare_outliers import gamma
from synthmodel.symbolic.softmax import cross_entropy, vertices
from synthmodel.symbolic.softmax import exact_attack as exact

pytestmark = pytest.mark.slow

VERTICES = np.array([(a_i - a_j, a_i - a_k) for a_i, a_j, a_k in product((1, -1), repeat=3)]) / 2
SYMMETRIC = (VERTICES[:, 0] == VERTICES[:, 1]) & (VERTICES[:, 0] != 0)
SMOOTHINGS = (0.003, 0.05, 0.2, 0.4, 0.55, 0.64, 0.66)
GENERATOR_SEED = 3


def losses(m_j, m_k, t, b):
    """The loss at the eight vertices, (8, ...)."""
    u_j, u_k = (np.asarray(m) + t * VERTICES[:, i].reshape(-1, *[1] * np.ndim(m)) for i, m in ((0, m_j), (1, m_k)))
    return np.logaddexp(0, np.logaddexp(-u_j, -u_k)) + b * (u_j + u_k) / 2


def latest(b):
    """t_max: l(2 t, 2 t) = log 3 with t > 0."""
    return brentq(lambda t: np.log1p(2 * exp(-2 * t)) + 2 * b * t - log(3), 1e-4, log(3) / b)


def asymmetric_lead(b, t):
    """The largest lead of an asymmetric vertex over the symmetric ones, over the common margin m, the tie included."""
    tie = brentq(lambda m: np.diff(losses(m, m, t, b)[SYMMETRIC])[0], -1 - t, 9 + 2 * t, xtol=1e-14)
    m = np.append(np.linspace(-40 - 2 * t, 40 + 2 * t, 80_001), tie)
    found = losses(m, m, t, b)
    return (found[~SYMMETRIC].max(axis=0) - found[SYMMETRIC].max(axis=0)).max()


# The lemma: at equal margins the attack is symmetric

@pytest.mark.parametrize("b", SMOOTHINGS)
def test_no_asymmetric_vertex_wins_up_to_t_max(b):
    for share in (0.1, 0.3, 0.6, 0.9, 1):
        assert asymmetric_lead(b, share * latest(b)) < 0


@pytest.mark.parametrize("b", SMOOTHINGS)
def test_an_asymmetric_vertex_wins_exactly_where_the_proof_says(b):
    """(0, -1) wins for some m iff phi + phi^2 + phi^3 < 1 + 2 omega; that is far beyond t_max."""
    need = sp.lambdify((vertices.phi, vertices.omega), derive("T1-CE-exact").results["second"])

    def condition(t):
        return need(exp(-b * t / 2), exp(-t))

    end = brentq(condition, latest(b), 9 * latest(b))
    assert end > 1.9 * latest(b)
    assert asymmetric_lead(b, 0.97 * end) < 0 < asymmetric_lead(b, 1.03 * end)


@pytest.mark.parametrize("b", SMOOTHINGS)
def test_t_max_is_where_the_least_symmetric_loss_is_log_3(b):
    def least(t):
        return minimize_scalar(lambda m: losses(m, m, t, b)[SYMMETRIC].max(), bounds=(0, 3 * latest(b)),
                               method="bounded", options={"xatol": 1e-10}).fun

    # at a kink the minimiser is found to some 1e-8 of the interval; 1 % of t is worth 2e-6 or more
    assert least(latest(b)) == pytest.approx(log(3), abs=1e-7)
    assert least(0.99 * latest(b)) < log(3) < least(1.01 * latest(b))


@pytest.mark.parametrize("b", SMOOTHINGS)
@pytest.mark.parametrize("share", [0.2, 1, 1.5])
def test_the_lead_where_the_symmetric_losses_tie_is_that_of_the_derivation(b, share):
    """exp(l - b m) there is sinh t/sinh((1-b) t) by the crossing of the two lines; the mixture gives the lead."""
    t = share * latest(b)
    phi, omega, y = exp(-b * t / 2), exp(-t), sinh(b * t) / (2 * sinh((1 - b) * t))
    top = sinh(t) / sinh((1 - b) * t)
    need = {name: float(formula.subs({vertices.phi: phi, vertices.omega: omega}))
            for name, formula in derive("T1-CE-exact").results.items()}
    whole = (1 + phi) * (1 + phi**2)
    for (i, j), lead in (((1, 0), (1 - omega) * need["first"] / (phi * omega * whole)),
                         ((0, -1), (1 - omega) * need["second"] * phi / (omega * whole))):
        line = exp(b * t * (i + j) / 2) * (1 + y * (exp(-i * t) + exp(-j * t)))
        assert top - line == pytest.approx(y * lead, rel=1e-6, abs=1e-12 * top)


# The certificate

def test_certificate_holds_and_its_functions_are_those_of_the_derivation():
    rows = [row for row in certify() if row.claim == "T1-CE-exact"]
    assert [(row.claim, row.holds, row.boxes) for row in rows] == [("T1-CE-exact", True, 81)] * 2
    assert all(row.seconds >= 0 for row in rows)
    needs = derive("T1-CE-exact").results
    for omega, v in np.random.default_rng(GENERATOR_SEED).uniform(0.05, 0.95, (20, 2)):
        phi = (1 - 2 * (1 - omega**2) * v / 3)**0.25
        for function, name in ((up, "first"), (down, "second")):
            expected = float(needs[name].subs({vertices.phi: phi, vertices.omega: omega})) / (1 - omega)
            assert float(function(arb(omega), arb(v)).mid()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("function", [up, down])
@pytest.mark.parametrize("planted", ["1 % below", "flipped", "1 % of v"])
def test_a_planted_error_in_a_function_is_caught(function, planted):
    wrong = {"1 % below": lambda omega, v: function(omega, v) - arb("0.01"),
             "flipped": lambda omega, v: -function(omega, v),
             "1 % of v": lambda omega, v: function(omega, v * arb("1.01"))}[planted]
    lemmas = square_lemmas("wrong", wrong).values()
    assert any(examine(lemma, grid(lemma.region, lemma.parts)) != "holds" for lemma in lemmas)


def test_a_coarser_grid_is_undecided_not_wrong(monkeypatch):
    for name, lemma in LEMMAS.items():
        if name.startswith(("up_", "down_")):
            monkeypatch.setitem(LEMMAS, name, replace(lemma, parts=1))
    rows = [row for row in certify() if row.claim == "T1-CE-exact"]
    assert {row.outcome.split(": ")[1] for row in rows} == {"undecided"}


# T1-CE-exact

def axis(problem):
    """The minimiser w1 > 0 on w2 = 0, and dR/dw2 there from above."""
    w1 = brentq(lambda w: exact_gradient(w, 0, *problem)[0], 1e-6, 40, xtol=1e-13)
    return w1, exact_gradient(w1, 0, *problem)[1]


def own_part(w1, mu, sigma, b, eps, lam):
    """lam w1 + Cov(E, b - pi) by the midpoint rule over E and the eight vertices: what w2's slope is short of 0."""
    z = (np.arange(40_000) + 0.5) / 40_000 * 18 - 9
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    m = w1 * (mu + sigma * z)
    shift = 2 * eps * w1 * VERTICES[losses(m, m, 2 * eps * w1, b).argmax(axis=0)]
    x_j, x_k = np.exp(-m - shift[:, 0]), np.exp(-m - shift[:, 1])
    return lam * w1 + weights @ (sigma * z * (b - (x_j + x_k) / (1 + x_j + x_k)))


@pytest.mark.parametrize(("sigma_e", "sigma_c", "rho"), [(0.1, 0.1, 0), (0.3, 2.0, -0.8), (1.5, 0.2, 0.6)])
@pytest.mark.parametrize(("b", "eps", "lam"), [(0.02, 0.3, 1e-3), (0.2, 0.45, 1e-3), (0.5, 0.1, 0.1),
                                               (0.62, 0.4, 0.01)])
def test_equal_means_the_slope_of_w2_where_w1_is_alone_is_minus_its_own_part(sigma_e, sigma_c, rho, b, eps, lam):
    w1, slope = axis((1, 1, sigma_e, sigma_c, rho, b, eps, lam))
    part = own_part(w1, 1, sigma_e, b, eps, lam)
    assert 2 * eps * w1 < latest(b)
    assert slope == pytest.approx(-part, abs=1e-5)  # the midpoint rule at a jump of pi; the slopes are some 3e-3 to 1
    assert part > lam * w1


def test_where_t_is_too_large_the_slope_of_w2_is_larger_and_depends_on_the_noise():
    """Not at a minimiser: so the bound on t is needed."""
    b, eps, w1 = 0.5, 0.4, 6.0
    assert 2 * eps * w1 > 3 * latest(b)
    calm, noisy = (exact_gradient(w1, 0, 1, 1, 1.0, sigma_c, 0, b, eps, 0.01)[1] for sigma_c in (0.1, 2.0))
    assert noisy > calm + 0.01


@pytest.mark.parametrize(("b", "eps", "lam"), [(0.02, 0.3, 1e-3), (0.3, 0.49, 1e-3), (0.6, 0.1, 0.1)])
def test_both_weights_live_below_the_bound_under_which_they_die(b, eps, lam):
    for rho in (-0.9, 0, 0.9):
        weights = solve_exact(1, 1, 0.4, 0.7, rho, b, eps, lam)[:2]
        assert min(weights) > 0 and lam * max(weights) < (1 - 2 * eps) * (1 - b)


def test_the_slope_in_t_is_half_the_l1_norm_of_the_slopes_in_the_scores():
    step = 1e-6
    for m_j, m_k, t, b in np.random.default_rng(GENERATOR_SEED).uniform((-3, -3, 0.1, 0), (3, 3, 3, 0.66), (50, 4)):
        slope = (losses(m_j, m_k, t + step, b).max() - losses(m_j, m_k, t - step, b).max()) / (2 * step)
        shift = VERTICES[losses(m_j, m_k, t, b).argmax()]
        x_j, x_k = exp(-m_j - t * shift[0]), exp(-m_k - t * shift[1])
        p_j, p_k = x_j / (1 + x_j + x_k), x_k / (1 + x_j + x_k)
        assert slope == pytest.approx((abs(p_j + p_k - b) + abs(p_j - b / 2) + abs(p_k - b / 2)) / 2, abs=1e-8)
        assert slope > abs(p_j + p_k - b) - 1e-8


# T1-CE-exact-unequal

@pytest.mark.parametrize(("mu_e", "mu_c", "b"), [(1, 0.8, 0.1), (1, 0.3, 0.5), (0.6, 1, 0.3), (0.8, 1, 0.2)])
def test_at_half_the_smaller_mean_the_slope_of_its_weight_is_already_positive(mu_e, mu_c, b):
    problem = (mu_e, mu_c, 0.3, 0.5, 0.2, b, min(mu_e, mu_c) / 2, 0.01)
    weak, step = int(mu_e > mu_c), 1e-6

    def slope(size):  # of the other weight, from above
        return exact_gradient(*((size, 0) if weak else (0, size)), *problem)[1 - weak]

    size = brentq(slope, 1e-6, 20)
    point = np.array([size, 0.0] if weak else [0.0, size])
    move = step * np.array([0, 1] if weak else [1, 0])
    up, rest = (exact_risk(*(point + part), *problem) for part in (move, 0))
    assert (up - rest) / step > 1e-4
    assert exact_threshold(*problem[:6], problem[7]) < min(mu_e, mu_c) / 2


def test_the_death_of_w2_does_not_depend_on_its_noise():
    ends = [exact_threshold(1, 0.8, 0.3, sigma_c, rho, 0.2, 0.01) for sigma_c, rho in ((0.1, 0), (3, -0.9), (1, 0.9))]
    assert ends == pytest.approx([ends[0]] * 3, rel=1e-10)
    assert ends[0] < 0.399


# S1-exact

def curvatures(w1, w2, sigma_e, sigma_c, rho, b, eps, steps=96):
    """Means of F_aa, F_jj, F_jk, F_kk: F times the second Hermite weights of the normal law, on a midpoint grid."""
    z = (np.arange(steps) + 0.5) * 13 / steps - 6.5
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    z_e, z_j, z_k = np.meshgrid(z, z, z, indexing="ij")
    e, c_j = sigma_e * z_e, sigma_c * z_j
    c_k = sigma_c * (rho * z_j + np.sqrt(1 - rho**2) * z_k)
    t = 2 * eps * (w1 + w2)
    worst = np.full(e.shape, -np.inf)
    for shift in VERTICES:
        u_j, u_k = w1 * (1 + e) + w2 * (1 + c_j) + t * shift[0], w1 * (1 + e) + w2 * (1 + c_k) + t * shift[1]
        worst = np.maximum(worst, np.logaddexp(0, np.logaddexp(-u_j, -u_k)) + b * (u_j + u_k) / 2)
    mean = worst * weights[:, None, None] * weights[:, None] * weights
    inverse = np.linalg.inv(sigma_c**2 * np.array([[1, rho], [rho, 1]]))
    score = [inverse[0, 0] * c_j + inverse[0, 1] * c_k, inverse[1, 0] * c_j + inverse[1, 1] * c_k]
    f_jj, f_jk, f_kk = (np.sum(mean * (score[i] * score[j] - inverse[i, j])) / w2**2
                        for i, j in ((0, 0), (0, 1), (1, 1)))
    return np.sum(mean * (z_e**2 - 1)) / (sigma_e * w1)**2, f_jj, f_jk, f_kk


@pytest.mark.parametrize(("sigma_e", "sigma_c", "rho", "b", "eps", "lam", "above"), [
    (0.2, 0.2, 0, 0.1, 0.2, 0.001, True), (0.5, 0.5, 0.4, 0.1, 0.2, 0.1, False), (0.4, 0.4, -0.5, 0.3, 0.3, 0.01, None),
    (0.5, 0.3, -0.3, 0.2, 0.25, 0.05, None)])
def test_s1_exact_the_ratio_from_curvatures_by_hermite_weights(sigma_e, sigma_c, rho, b, eps, lam, above):
    w1, w2, *_ = solve_exact(1, 1, sigma_e, sigma_c, rho, b, eps, lam)
    across, f_jj, f_jk, f_kk = curvatures(w1, w2, sigma_e, sigma_c, rho, b, eps)
    along = f_jj + f_kk + 2 * rho * f_jk
    found = derive("S1-exact").results
    ratio = found["ratio"].subs({exact.s_e: sigma_e, exact.s_c: sigma_c, symbols.lam: lam, cross_entropy.own: across,
                                 cross_entropy.others: along})
    # the grid's kinks: (13/96)^2 times the curvature's jumps
    assert float(ratio) == pytest.approx(w2 / w1, rel=2e-3)
    difference = float(found["difference"].subs({exact.rho: rho, exact.F_jk: f_jk}))
    assert across - along == pytest.approx(difference, abs=2e-3 * along)
    step = 1e-4
    rise = (exact_risk(w1, w2, 1, 1, sigma_e, sigma_c, rho + step, b, eps, lam)
            - exact_risk(w1, w2, 1, 1, sigma_e, sigma_c, rho - step, b, eps, lam)) / (2 * step)
    assert rise == pytest.approx((sigma_c * w2)**2 * f_jk, abs=2e-3 * (sigma_c * w2)**2 * along)
    if sigma_e == sigma_c:
        assert (w2 > w1) == (rise > 0) and above in (None, w2 > w1)


# D4-unimodal, in units of s_E: d = k

NODES = np.linspace(-10, 10, 4001)  # the trapezoidal rule: exact to rounding for smooth functions
WEIGHTS = np.exp(-NODES * NODES / 2) / np.exp(-NODES * NODES / 2).sum()


def means(w1, w2, k, n):
    """E pi, E[e pi] and A0, A1, A2."""
    e = k + NODES
    pi = expit(log(n) - w1 * e - w2 * k)
    h = pi * (1 - pi)
    return WEIGHTS @ pi, WEIGHTS @ (e * pi), WEIGHTS @ h, WEIGHTS @ (e * h), WEIGHTS @ (e * e * h)


def at(formula, k, moments, **numbers):
    values = {unimodal.A0: moments[2], unimodal.A1: moments[3], unimodal.A2: moments[4], cross_entropy.d: k,
              **{getattr(unimodal, name): value for name, value in numbers.items()}}
    return np.array(sp.sympify(formula).subs(values).tolist() if hasattr(formula, "tolist")
                    else float(formula.subs(values)), dtype=float)


@pytest.mark.parametrize(("k", "n", "w1", "w2"), [(0.5, 2, 0.4, 0.3), (1, 2, 2, 0.7), (2, 9, 1, 0)])
def test_the_rates_of_p_and_q_are_minus_h_times_them(k, n, w1, w2):
    pull, step = 0.3 * k, 1e-5

    def rates(w1, w2):
        mean_pi, p, *_ = means(w1, w2, k, n)
        return np.array([p, k * mean_pi - pull])

    p, q = rates(w1, w2)
    slope = (rates(w1 + step * p, w2 + step * q) - rates(w1 - step * p, w2 - step * q)) / (2 * step)
    matrix = at(derive("D4-unimodal").results["H"], k, means(w1, w2, k, n))
    assert slope == pytest.approx(-matrix @ (p, q), rel=1e-7)
    assert np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize(("k", "n"), [(0.3, 2), (1, 2), (1, 9), (2.5, 2)])
def test_on_the_curve_p_is_0_the_mean_of_pi_falls_from_pibar(k, n):
    def curve(w2):
        return brentq(lambda w1: means(w1, w2, k, n)[1], 0, 60, xtol=1e-13)

    def mean_pi(w2):
        return means(curve(w2), w2, k, n)[0]

    assert curve(0) == pytest.approx(exclusive_optimum(k, n + 1), rel=1e-6)
    low, high = forgetting_range(k, n + 1)
    assert mean_pi(0) == pytest.approx(low, rel=1e-6)
    for w2 in (0.1, 0.5, 1.5):
        slope = (mean_pi(w2 + 1e-4) - mean_pi(w2 - 1e-4)) / 2e-4
        falls = float(at(derive("D4-unimodal").results["falls"], k, means(curve(w2), w2, k, n)))
        assert slope == pytest.approx(falls, rel=1e-5) and slope < 0
        assert mean_pi(w2) < low < high  # so q < 0 there for every pull >= low


def test_p_at_least_0_gives_a1_above_0_and_p_below_0_need_not():
    found = []
    for k, w1, w2 in product((0.1, 0.5, 1, 2), (0.1, 0.5, 2, 5), (0, 0.5, 2)):
        _, p, _, a1, _ = means(w1, w2, k, 2)
        found.append((p >= 0, a1 > 0))
    assert (True, True) in found and (False, False) in found
    assert (True, False) not in found


@pytest.mark.parametrize(("k", "classes"), [(0.2, 3), (1, 3), (1, 10), (2.5, 3)])
@pytest.mark.parametrize("share", [0, 0.02, 0.4, 0.9])
def test_where_w2_is_forgotten_its_rate_changes_sign_once_and_w1_only_rises(k, classes, share):
    low, high = forgetting_range(k, classes)
    pull = low + share * (high - low)
    path = limit_flow(k, pull, np.concatenate([[0.0], np.geomspace(1e-2, 1e4, 300)]), classes)
    rates = np.array([(p, k * (mean_pi - pull)) for mean_pi, p, *_ in
                      (means(w1, w2, k, classes - 1) for w1, w2 in zip(path.w1, path.w2, strict=True))])
    assert rates[0].min() > 0 and rates[:, 0].min() > -1e-8  # the flow is solved to some 1e-9
    signs = np.sign(rates[abs(rates[:, 1]) > 1e-8, 1])
    assert (np.diff(signs) <= 0).all() and signs[-1] == -1 and (np.diff(signs) < 0).sum() == 1
    assert path.w2[-1] < 0.1 * path.w2.max() and path.w1[-1] == pytest.approx(exclusive_optimum(k, classes), rel=0.05)


def test_the_flow_starts_upwards_only_for_a_pull_below_d_pi_0():
    start = derive("D4").results["r_0"]
    for pull, sign in ((0.6, 1), (0.7, -1)):
        assert np.sign(float(start.subs({gamma: pull, cross_entropy.d: 1, sp.Symbol("n", positive=True): 2}))) == sign
