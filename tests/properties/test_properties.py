"""Properties of the margin losses and of robust accuracy, at exact fractions; the boundaries are decided exactly."""

import math
from collections import namedtuple
from fractions import Fraction
from operator import gt, lt

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from synthmodel.accuracy.any_setting import best_ratio, best_smoothing
from synthmodel.accuracy.three_classes import b_star, joint_accuracy, joint_slope, pairwise_accuracy, r_acc, slope_sign
from synthmodel.certificates import enclose
from synthmodel.claims.checks.theorems import joint_by_quadrature, pairwise_by_quadrature
from synthmodel.model.losses import Margin, SmoothedMargin, SoftTargetMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0, eps1, ratio_closed, solve_closed, threshold_closed
from synthmodel.solvers.margin_vertices import solve_numeric
from synthmodel.testing import replay
from synthmodel.testing.arithmetic import above_threshold, exact_sign, far
from synthmodel.testing.statements import sign_f
from synthmodel.testing.strategies import about, attacked, between, ratios, strengths
from tests.support.domains import property_of

ROUNDING = 1e-12  # of sums of some hundred terms, and of the fractions given to the library as floats
QUADRATURE = 1e-11  # absolute, of accuracies by Gauss-Legendre
LEAST_RATIO = 0.2  # that this quadrature resolves: its integrand bends over a width r

Unequal = namedtuple("Unequal", "d s_e s_c")
Ratios = namedtuple("Ratios", "k r q")

DECAYS = between("1/100", 10, 1)
SMOOTHINGS = between(0, "9/10")
DIGITS = 15  # that a replay starts with


def root_pi(m):
    return m.sqrt(m.pi())


def root_three(m):
    return m.sqrt(m.number(3))


def setting_of(model):
    return Setting(float(model.mu), float(model.sigma))


def pull(model, root=root_pi, per=2, kept=lambda b: 1 - b):
    """lam w2 + what is missing to it: mu - kept(b) sigma/root - per eps, as a function of the arithmetic."""
    return lambda m: (m.number(model.mu - per * model.eps)
                      - m.number(kept(model.b) * model.sigma) / root(m))


def check_solution(model, lam, loss, *, root=root_pi, per=2, kept=lambda b: 1 - b, alive=gt):
    """Both solvers find w2 > 0 iff the exact pull is positive, and w1 > 0 iff eps < mu/2; and they agree."""
    expression, size = pull(model, root, per, kept), model.mu + model.sigma
    arguments = setting_of(model), loss, float(model.eps), float(lam)
    found = [solve_closed(*arguments)]
    if far(pull(model), size / 10**6):  # nearer to a threshold the numerical method refuses
        found.append(solve_numeric(*arguments))
    for solution in found:
        assert math.isclose(found[0].w1, solution.w1, rel_tol=1e-9, abs_tol=ROUNDING * float(size / lam))
        assert math.isclose(found[0].w2, solution.w2, rel_tol=1e-9, abs_tol=ROUNDING * float(size / lam))
        # with smoothing the l1 norm of the coefficients, 2, is a rounded sum
        assert (solution.w1 > float(size / lam / 10**15 if model.b else 0)) == alive(model.mu, 2 * model.eps)
        assert not far(expression, size / 10**15) or (solution.w2 > 0) == (exact_sign(expression) > 0)


@pytest.mark.slow
@property_of("T1", examples=60, model=attacked(), lam=DECAYS)
def test_t1(model, lam, *, root=root_pi, per=2, alive=gt):
    """Closed = numerical weights; w2 > 0 iff mu - sigma/sqrt(pi) - 2 eps > 0, exactly; w1 > 0 iff eps < mu/2."""
    check_solution(model, lam, Margin(), root=root, per=per, alive=alive)


@pytest.mark.slow
@property_of("T1", examples=30, model=attacked())
def test_t1_replayed(model):
    """At the same points from the definition of E min, in two arithmetics; and eps0 in the library's ball."""
    assert replay("T1", DIGITS, **model._asdict()).verdict == "holds"
    assert abs(float(enclose("eps0", 16, mu=model.mu, sigma=model.sigma)) - eps0(setting_of(model))) <= ROUNDING


@pytest.mark.slow
@property_of("T3", examples=60, model=attacked(SMOOTHINGS), lam=DECAYS)
def test_t3(model, lam, *, kept=lambda b: 1 - b, least=Fraction(1, 10**9)):
    """The same with smoothing b; for b > 0 eps1 > eps0, and below eps1 w2 is larger than without smoothing."""
    check_solution(model, lam, SmoothedMargin(float(model.b)), kept=kept)
    setting, loss = setting_of(model), SmoothedMargin(float(model.b))
    assert model.b < least or eps1(setting, float(model.b)) > eps0(setting)
    if model.b > 0 and exact_sign(pull(model)) > 0:
        smoothed, plain = (solve_closed(setting, one, float(model.eps), float(lam)).w2 for one in (loss, Margin()))
        assert smoothed > plain


@pytest.mark.slow
@property_of("T3", examples=30, model=attacked(SMOOTHINGS))
def test_t3_replayed(model):
    assert replay("T3", DIGITS, **model._asdict()).verdict == "holds"


@pytest.mark.slow
@property_of("T3-target", examples=40, model=attacked(between("1/100", "99/100")), lam=DECAYS,
             attack=st.sampled_from(["exact", "monotone"]))
def test_t3_target(model, lam, attack, *, compare=lt, w1_dies=lambda b: (1 - b) / (2 - b)):
    """Both thresholds lie below eps0, and the exact attack kills w1 at mu (1-b)/(2-b)."""
    loss, setting = SoftTargetMargin(float(model.b), attack), setting_of(model)
    assert compare(threshold_closed(setting, loss), eps0(setting))
    size = 2 - 2 * model.b if attack == "monotone" else 2 - model.b
    closed, numeric = (solver(setting, loss, float(model.eps), float(lam)) for solver in (solve_closed, solve_numeric))
    scale = float((model.mu + model.sigma) / lam)
    assert abs(closed.w1 - numeric.w1) + abs(closed.w2 - numeric.w2) <= 1e-9 * scale

    def pulled(m):
        return m.number((1 - model.b) * model.mu - size * model.eps) - m.number(model.sigma) / root_pi(m)
    if far(pulled, Fraction("1e-12")):
        assert (numeric.w2 > 0) == (exact_sign(pulled) > 0)
    if attack == "exact" and abs(model.eps / model.mu - w1_dies(model.b)) > ROUNDING:
        assert (numeric.w1 > 0) == (model.eps < model.mu * w1_dies(model.b))


@pytest.mark.slow
@property_of("T2-pair", k=strengths(), r=ratios(), q=ratios())
def test_t2_pair(k, r, q, *, peak=1):
    """Phi(k (1+r)/sqrt(1+r^2)): its square argument is rational, and it rises up to r = 1, then falls."""
    low, high = sorted((r, q))
    assume(low < high and (high <= peak or low >= peak))
    before, after = ((1 + x) ** 2 / (1 + x * x) for x in (low, high))
    assert before < after if high <= peak else before > after
    change = float(pairwise_accuracy(float(high), float(k)) - pairwise_accuracy(float(low), float(k)))
    assert abs(change) <= ROUNDING or (change > 0) == (after > before)
    error = pairwise_accuracy(float(r), float(k)) - pairwise_by_quadrature(float(r), float(k))
    assert r < LEAST_RATIO or abs(error) <= QUADRATURE


@pytest.mark.slow
@property_of("T2-joint", examples=30, k=strengths())
def test_t2_joint_is_refuted(k, *, verdict="fails", compare=lt):
    """At r = 1 the slope of the joint accuracy is negative for every k > 0: it does not rise up to w2 = w1."""
    assert replay("T2-joint", DIGITS, k=k, r=1).verdict == verdict
    assert compare(joint_slope(1.0, float(k)), 0)


@pytest.mark.slow
@property_of("T2-joint'", examples=30, k=strengths(), r=ratios())
def test_t2_joint_replayed(k, r):
    """F has the sign of dP/dr, from its definition in two arithmetics; and so has the library's F."""
    assert replay("T2-joint'", DIGITS, k=k, r=r).verdict == "holds"
    if abs(slope_sign(float(r), float(k))) > ROUNDING:
        assert np.sign(slope_sign(float(r), float(k))) == exact_sign(lambda m: sign_f(m, m.number(r), m.number(k)))


@st.composite
def around_the_best(draw):
    """Ratios(k, r, q), r often near r_acc(k)."""
    k = draw(strengths())
    best = r_acc(float(k))
    return Ratios(k, about(draw, best) if best > 0.01 and draw(st.booleans()) else draw(ratios()), draw(ratios()))


@pytest.mark.slow
@property_of("T2-joint'", point=around_the_best())
def test_t2_joint_unimodal(point, *, peak=r_acc, root=root_pi):
    """r_acc > 0 iff k > 1/sqrt(pi), decided exactly; P rises up to it, then falls; F falls on [0, 1]."""
    k, r, q = point
    best = peak(float(k))
    assert (best > 0) == (exact_sign(lambda m: m.number(k) * root(m) - 1) > 0)
    assert best < 1 or k > 5  # 1 - r_acc = 5e-5 at k = 5
    low, high = sorted((float(r), float(q)))
    values = joint_accuracy(low, float(k)), joint_accuracy(high, float(k))
    assert low < LEAST_RATIO or abs(values[0] - joint_by_quadrature(low, float(k))) <= QUADRATURE
    if high <= best:
        assert values[0] <= values[1] + ROUNDING
    if low >= best:
        assert values[0] >= values[1] - ROUNDING
    if abs(float(r) - best) > 1e-9:
        assert (slope_sign(float(r), float(k)) > 0) == (float(r) < best)
    if low < high <= 1:
        assert slope_sign(low, float(k)) > slope_sign(high, float(k))


@pytest.mark.slow
@property_of("N2", examples=40, k=strengths("14/25"))
def test_n2(k, *, compare=lt):
    """r_AT < r_acc for k > 1/sqrt(pi) at equal noise: at r_AT the accuracy still rises, by its definition."""
    assume(above_threshold(k))
    assert replay("N2", DIGITS, k=k).verdict == "holds"
    assert compare(ratio_closed(float(k)), r_acc(float(k)))


@st.composite
def unequal(draw):
    """An Unequal with d/s_C above the threshold by a part in a thousand to one in a hundred; s_E often near s_C."""
    s_c = draw(between("1/10", 1))
    s_e = s_c * draw(st.one_of(between("1/4", 4), between("7/8", 1)))
    return Unequal(Fraction("0.5641896") * s_c * (1 + draw(between("1/1000", "1/100"))), s_e, s_c)


def favours_margin(s_e, s_c):
    """Whether s_C^2 (1 - 1/pi) > s_E^2; never an equality."""
    return exact_sign(lambda m: m.number(s_c**2) * (1 - 1 / m.pi()) - m.number(s_e**2)) > 0


@pytest.mark.slow
@property_of("N2-unequal", examples=30, noise=unequal())
def test_n2_unequal(noise, *, reversed_when=favours_margin):
    """Near the threshold N2 is reversed iff s_C^2 (1 - 1/pi) > s_E^2, and r_acc/r_AT tends to their ratio."""
    d, s_e, s_c = noise
    limit = float(s_e**2 / s_c**2) / (1 - 1 / math.pi)
    assume(abs(limit - 1) > 0.1)
    expected = "fails" if reversed_when(s_e, s_c) else "holds"
    assert replay("N2-unequal", DIGITS, d=d, s_e=s_e, s_c=s_c).verdict == expected
    setting = Setting(float(d), sigma_e=float(s_e), sigma_c=float(s_c))
    best, used = best_ratio(setting, 0.0), solve_closed(setting, Margin(), 0.0, 1.0).ratio
    assert (best < used) == reversed_when(s_e, s_c)


@pytest.mark.slow
@property_of("N3", k=strengths("14/25", 7), q=strengths("14/25", 7), b=between(0, 1))
def test_n3(k, q, b, *, compare=lt, best=b_star):
    """0 < b* < 1, increasing in k; no other b gives a higher joint accuracy."""
    assume(above_threshold(k) and above_threshold(q) and abs(k - q) > Fraction(1, 10**5))
    low, high = best(float(min(k, q))), best(float(max(k, q)))
    assert 0 < low < 1 and 0 < high < 1 and compare(low, high)
    ratio, other = ratio_closed(float(k), best(float(k))), ratio_closed(float(k), float(b))
    # joint_slope at the smoothed ratio, as a drop of accuracy near its maximum would be lost in rounding
    assert abs(slope_sign(ratio, float(k))) <= 1e-8
    assert joint_accuracy(ratio, float(k)) >= joint_accuracy(other, float(k)) - ROUNDING


@pytest.mark.slow
@property_of("N3-above", k=strengths("1/20", "14/25"), b=between("1/100", 1))
def test_n3_above_eps0(k, b, *, compare=lt):
    """For eps >= eps0 every b that revives w2 lowers the joint accuracy."""
    revived = ratio_closed(float(k), float(b))
    assume(revived > 1e-3)
    assert compare(joint_accuracy(revived, float(k)), joint_accuracy(0.0, float(k)))


@pytest.mark.slow
@property_of("N3", examples=10, k=strengths("29/50", 6), b=between("1/100", "99/100"))
def test_n3_replayed(k, b):
    """0 < b* < 1 by the signs at both ends; and the library's b* is on the same side of b."""
    assert replay("N3", DIGITS, k=k, b=b).verdict == "holds"
    assert math.isclose(float(enclose("b_star", 16, k=k)), b_star(float(k)), rel_tol=1e-9)
    assert math.isclose(best_smoothing(Setting(float(k), 1.0), 0.0), b_star(float(k)), rel_tol=1e-7)
