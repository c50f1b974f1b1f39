"""Properties of cross-entropy, of the log-sum-exp over the wrong classes and of its flow, at exact fractions."""

import math
from fractions import Fraction
from operator import gt, lt

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from synthmodel.accuracy.any_setting import best_ratio
from synthmodel.accuracy.three_classes import b_star, r_acc
from synthmodel.claims.checks.losses.many_classes import ENDS
from synthmodel.flows.gradient_flow import effective_smoothing, margin_flow
from synthmodel.model.losses import CrossEntropy, Margin, WrongClassLSE
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import ratio_limit, solve_cross_entropy, stein_residual
from synthmodel.solvers.log_sum_exp import psi_pair, solve_lse
from synthmodel.solvers.margin_closed import ratio_closed, solve_closed
from synthmodel.testing import replay
from synthmodel.testing.arithmetic import above_threshold
from synthmodel.testing.strategies import about, between
from tests.support.domains import property_of

ROUNDING = 1e-12
DIGITS = 8  # that a replay in the plane starts with
STEIN = 1e-8  # of the Stein form by 40^3 nodes, for sigma |w| <= 3

STRENGTHS = between("1/5", "5/2")  # k
DECAYS = between("1/50", 10)  # L = lam/sigma^2
SMOOTHINGS = between(0, "3/5")


def cross_entropy(k, decay, b=0.0):
    """The solution at sigma = 1, eps = 0: it depends on (k, L) alone."""
    return solve_cross_entropy(Setting(float(k), 1.0), CrossEntropy(b), 0.0, float(decay))


@pytest.mark.slow
@property_of("S1", examples=40, mu=between("1/2", 2), k=STRENGTHS, decay=between("1/10", 10), share=between(0, "9/20"),
             b=SMOOTHINGS)
def test_s1(mu, k, decay, share, b, *, attack=2, top=1):
    """The Stein form vanishes at the minimiser, where 0 < r < 1; the problem depends on (k, L) alone."""
    eps, sigma = share * mu, (1 - 2 * share) * mu / k
    setting, loss = Setting(float(mu), float(sigma)), CrossEntropy(float(b))
    lam = float(decay * sigma**2)
    best = solve_cross_entropy(setting, loss, float(eps), lam)
    at = stein_residual(setting, loss, float(eps * attack / 2), lam, best.w1, best.w2, order=40)
    assert math.hypot(*at) <= STEIN
    assert 0 < best.ratio < top
    scaled = cross_entropy(k, decay, float(b))
    assert math.isclose(scaled.w2, best.w2 * float(sigma), rel_tol=1e-7)


@pytest.mark.slow
@property_of("S1", examples=3, k=STRENGTHS, decay=between("1/10", 10), b=SMOOTHINGS)
def test_s1_replayed(k, decay, b):
    """r_CE < 1, from the sign of the risk's slope at the ray w2 = w1, with an enclosed quadrature."""
    assert replay("S1", DIGITS, k=k, decay=decay, b=b).verdict == "holds"


@property_of("T1-CE", examples=60, mu=between("1/2", 2), sigma=between("1/4", 2), share=between(0, "51/100", "1/2"),
             lam=between("1/20", 2))
def test_t1_ce(mu, sigma, share, lam, *, threshold=lambda setting: setting.mu / 2, limit=ratio_limit):
    """w2 > 0 iff eps < mu/2: beyond eps0, too; r lies above its limit at mu/2, which it approaches."""
    assume(share == Fraction(1, 2) or abs(share - Fraction(1, 2)) > Fraction(1, 10**4))
    setting = Setting(float(mu), float(sigma))
    eps = float(share * mu)
    best = solve_cross_entropy(setting, CrossEntropy(), eps, float(lam))
    assert (best.w2 > 0) == (eps < threshold(setting)) and (best.w1 > 0) == (2 * share < 1)
    near = solve_cross_entropy(setting, CrossEntropy(), float(mu) / 2 * (1 - 1e-3), float(lam)).ratio
    assert abs(near - limit(setting, float(lam))) <= 1e-5 * float(mu / sigma)**2  # the error is of order k^2
    assert best.w2 == 0 or best.ratio >= limit(setting, float(lam)) - 1e-9


@pytest.mark.slow
@property_of("CE-monotone", examples=50, k=between("1/5", 3), q=between("1/5", 3), decay=between("1/50", 10))
def test_ce_ratio_falls_with_eps(k, q, decay, *, compare=lt):
    """r_CE falls in eps, that is, as k falls; tested on the box where it is certified."""
    assume(abs(k - q) > Fraction(1, 1000))
    low, high = (cross_entropy(x, decay).ratio for x in sorted((k, q)))
    assert compare(low, high)


@pytest.mark.slow
@property_of("T3-CE", examples=50, k=STRENGTHS, decay=DECAYS, b=SMOOTHINGS, c=SMOOTHINGS)
def test_t3_ce(k, decay, b, c, *, compare=gt):
    """w1, w2 and r of label-smoothed cross-entropy fall as b grows, and r stays above the limit of b -> 2/3."""
    assume(abs(b - c) > Fraction(1, 1000))
    less, more = (cross_entropy(k, decay, float(x)) for x in sorted((b, c)))
    assert compare(less.w1, more.w1) and compare(less.w2, more.w2) and compare(less.ratio, more.ratio)
    assert more.ratio > ratio_limit(Setting(float(k), 1.0), float(decay))


@pytest.mark.slow
@property_of("N4", examples=60, k=between("1/20", 3, "20695/10000"), decay=between("1/100", 10))
def test_n4(k, decay, *, compare=gt, last="20695/10000"):
    """r_AT <= r_acc < r_CE for k <= 2.0695."""
    assume(k <= Fraction(last))
    assert compare(cross_entropy(k, decay).ratio, r_acc(float(k)))
    assert cross_entropy(k, decay).ratio > ratio_closed(float(k))


@pytest.mark.slow
@property_of("N4-K", examples=15, classes=st.sampled_from(sorted(ENDS)), k=between("1/2", 3, "5/2"),
             decay=between("1/100", 30))
def test_n4_classes(classes, k, decay, *, compare=gt, more=0):
    """r_acc < r_CE up to the end of K classes in design A."""
    assume(float(k) <= ENDS[classes] + more)
    setting = Setting(float(k), 1.0, classes=classes)
    assert compare(solve_cross_entropy(setting, CrossEntropy(), 0.0, float(decay)).ratio, best_ratio(setting, 0.0))


@pytest.mark.slow
@property_of("N4", examples=3, k=between("1/5", 2), decay=between("1/10", 10))
def test_n4_replayed(k, decay):
    assert replay("N4", DIGITS, k=k, decay=decay).verdict == "holds"


@property_of("T1-temp", examples=60, mu=between("1/2", 2), sigma=between("1/10", 2), share=between(0, "6/10", "1/2"),
             lam=between("1/20", 5), tau=between("1/1000", 2), theta=between("1/1000", 2))
def test_t1_temp(mu, sigma, share, lam, tau, theta, *, bound=lambda tau, lam: math.sqrt(2 * tau * math.log(2) / lam),
                 threshold=lambda setting: setting.mu / 2, compare=lt):
    """|w_tau - w_0| <= sqrt(2 tau log 2/lam); w2 > 0 iff eps < mu/2, and it rises with tau."""
    setting, eps = Setting(float(mu), float(sigma)), float(share * mu)
    hard = solve_closed(setting, Margin(), eps, float(lam))
    soft = solve_lse(setting, WrongClassLSE(float(tau)), eps, float(lam))
    assert math.hypot(soft.w1 - hard.w1, soft.w2 - hard.w2) <= bound(float(tau), float(lam)) + ROUNDING
    assert (soft.w2 > 0) == (eps < threshold(setting))
    if 2 * share < 1 and abs(tau - theta) > Fraction(1, 100):
        low, high = (solve_lse(setting, WrongClassLSE(float(t)), eps, float(lam)).w2 for t in sorted((tau, theta)))
        assert compare(low, high) or math.isclose(low, high, rel_tol=1e-9)


@pytest.mark.slow
@property_of("T1-temp", examples=10, mu=between("1/2", 2), sigma=between("1/10", 2), share=between(0, "49/100"),
             lam=between("1/20", 5), tau=between("1/1000", 2))
def test_t1_temp_replayed(**point):
    assert replay("T1-temp", 15, **point).verdict == "holds"


@pytest.mark.slow
@property_of("psi", examples=30, x=between("1/100", 100))
def test_psi_replayed(x):
    """psi lies between 0 and 1/sqrt(pi)."""
    assert replay("psi", 15, x=x).verdict == "holds"
    assert 0 < psi_pair(float(x))[0] < 1 / math.sqrt(math.pi)


TIMES = np.concatenate([[0.0], np.geomspace(1e-2, 1e5, 80)])


@st.composite
def smoothed_flows(draw):
    """(k, b), b often near b*(k)."""
    k = draw(between("3/10", 2))
    return k, about(draw, b_star(float(k))) if above_threshold(k) and draw(st.booleans()) else draw(between(0, "19/20"))


@pytest.mark.slow
@property_of("D1", examples=40, flow=smoothed_flows())
def test_d1(flow, *, end=lambda k, b: 1 - (1 - b) / (k * math.sqrt(math.pi)), rising=lambda b, k: b >= b_star(k)):
    """r(t) falls from 1 to max(1 - (1-b)/(k sqrt(pi)), 0); accuracy only rises iff eps >= eps0 or b >= b*(k)."""
    k, b = flow
    path, limit = margin_flow(float(k), TIMES, float(b)), max(end(float(k), float(b)), 0.0)
    assert path.ratio[0] == 1 and (np.diff(path.ratio) < 1e-9).all()
    assert path.ratio[-1] >= limit - 1e-9
    # what is left of psi is about .8/w2^2; at the threshold, the slowest case, w2 grows like the cube root of t
    assert path.ratio[-1] <= limit + 0.02
    overfits = path.drop > 1e-10
    if not above_threshold(k):
        assert not overfits
    elif abs(float(b) - b_star(float(k))) > 0.02:
        assert overfits == (not rising(float(b), float(k)))


@property_of("D1", b=between(0, 1), teacher=between(0, 50))
def test_effective_smoothing(b, teacher, *, bound=lambda b: b):
    """b_eff falls from b (an untrained teacher) to 0 (a converged one)."""
    found = effective_smoothing(float(b), float(teacher))
    assert 0 <= found <= bound(float(b)) and effective_smoothing(float(b), 0.0) == float(b)
    assert b == 0 or teacher == 0 or found < b
