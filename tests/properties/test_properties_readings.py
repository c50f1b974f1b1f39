"""Properties of losses of the least margin (U1) at exact fractions: random convex losses, laws and attack sizes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.special import expit

from synthmodel.claims import readings
from synthmodel.claims.checks.losses.readings import STAR, risk_of
from synthmodel.model.losses import WorstMargin
from synthmodel.model.setting import Setting
from synthmodel.model.surrogates import Surrogate
from synthmodel.solvers.solve import solve, threshold
from synthmodel.testing.arithmetic import exact_sign, far
from synthmodel.testing.strategies import attacked, between, noises
from tests.properties.test_properties import SMOOTHINGS, pull, setting_of
from tests.properties.test_properties_general import mean_least
from tests.support.domains import property_of

# (weight, place, width): weight * max(0, place - t) for width 0, else the same with a rounded corner
WIDTHS = st.one_of(st.just(Fraction(0)), between("1/10", 2))
PIECES = st.lists(st.tuples(between("1/10", 2), between("1/10", 2), WIDTHS), min_size=1, max_size=3)


def mixture(pieces):
    """The sum of hinges and rounded hinges as a Surrogate; a rounded corner may be narrow, so it counts as a kink."""
    sharp = [(float(a), float(h)) for a, h, width in pieces if not width]
    round_ = [(float(a), float(h), float(width)) for a, h, width in pieces if width]

    def value(t):
        return (sum(a * np.maximum(h - t, 0) for a, h in sharp)
                + sum(a * width * np.logaddexp(0, (h - t) / width) for a, h, width in round_))

    def slope(t):
        return (-sum(a * (np.asarray(t) < h) for a, h in sharp)
                - sum(a * expit((h - t) / width) for a, h, width in round_))
    return Surrogate(value, slope, tuple(float(h) for _, h, _ in pieces))


@pytest.mark.slow
@property_of("U1", examples=20, model=attacked(SMOOTHINGS), pieces=PIECES, lam=between("1/20", 2, 1))
def test_u1(model, pieces, lam, *, kept=lambda b: 1 - b, per=2):
    """For a random convex loss w2 > 0 iff mu - (1-b) sigma/sqrt(pi) - 2 eps > 0, exactly, and w1 > 0 iff eps < mu/2."""
    expression = pull(model, kept=kept, per=per)
    if not far(expression, (model.mu + model.sigma) / 10**8):
        return
    loss = WorstMargin(mixture(pieces), float(model.b))
    found = solve(setting_of(model), loss, float(model.eps), float(lam))
    assert (found.w2 > 0) == (exact_sign(expression) > 0)
    assert (found.w1 > 0) == (float(model.mu) > 2 * float(model.eps))


@pytest.mark.slow
@property_of("U1", examples=12, pieces=PIECES, noise=noises("laplace", "logistic", "uniform", "student-t:5"),
             classes=st.integers(3, 6), sigma=between("1/10", "1/2"), side=st.sampled_from([-1, 1]))
def test_u1_every_law(pieces, noise, classes, sigma, side, *, off=0):
    """The same for other laws and more classes, on either side of E[min C]/2, which mean_least integrates itself."""
    setting, loss = Setting(1.0, float(sigma), noise=noise, classes=classes), WorstMargin(mixture(pieces))
    boundary = (1 + float(sigma) * mean_least(setting.law, classes - 1 + off)) / 2
    assert off or abs(threshold(setting, loss) - boundary) < 1e-5
    assert (solve(setting, loss, boundary + side * 1e-3, 0.3).w2 > 0) == (side < 0)


GAP = 1 / (2 * np.sqrt(np.pi))
# reading -> where w1 and w2 die at mu = 1, as functions of (sigma, b)
ENDS = {
    "sums": lambda sigma, b: (0.5, 0.5),
    "sphere": lambda sigma, b: (np.inf, 0.5 - (1 - b) * sigma * GAP),
    "l1_ball": lambda sigma, b: (np.inf, 0.0),
    "linf_ball": lambda sigma, b: (0.5, 0.5 - (1 - b) * sigma * GAP),
    "scores": lambda sigma, b: (1 / 3, 0.0),
    "active": lambda sigma, b: (1.0, 1 - 2 * (1 - b) * sigma * GAP),
    "zero_one": lambda sigma, b: (np.inf, 0.5 - sigma * GAP),
    "squares": lambda sigma, b: (0.5, 0.5 - (1 - b) * sigma * GAP),
    "trades_margin": lambda sigma, b: (0.5 / readings.BETA, (0.5 - (1 - b) * sigma * GAP) / readings.BETA),
}


@property_of("R-*", examples=150, name=st.sampled_from(sorted(ENDS)), sigma=between("1/10", 1), b=between(0, "9/10"),
             eps=between(0, "6/5"), lam=between("1/20", 2))
def test_ends(name, sigma, b, eps, lam, *, scale=1.0):
    """Each weight lives up to the end that the reading's claim gives, and no further."""
    found = getattr(readings, name)(1.0, float(sigma), float(eps), float(b), float(lam))
    for weight, end in zip(found, ENDS[name](float(sigma), float(b)), strict=True):
        assert abs(float(eps) - scale * end) < 1e-9 or (weight > 0) == (float(eps) < scale * end)


@property_of("R-labels", examples=15, sigma=between("1/5", 1), b=between("1/20", "2/5"), side=st.sampled_from([-1, 1]))
def test_labels(sigma, b, side, *, kept=1):
    """w2 dies at the root given, below eps0: by slopes of sum_y q_y l_y itself over a grid of features."""
    end = readings.labels_threshold(1.0, float(sigma), float(b) * kept)
    eps = end + side * 0.03
    slopes = [risk_of("labels", (1.0, w2), 1.0, float(sigma), eps, float(b), 0.0, [STAR]) for w2 in (0, 0.01)]
    assert end < 0.5 - float(sigma) * GAP and (slopes[1] > slopes[0]) == (side > 0)


@property_of("R-squares", examples=60, sigma=between("1/10", "1/2"), eps=between(0, "1/2"), lam=between("1/1000", 1))
def test_one_hot(sigma, eps, lam, *, twice=2):
    """w2 > 0 iff 2 eps^2 - mu eps + sigma^2 + lam/2 > 0, in exact fractions."""
    bracket = twice * eps**2 - eps + sigma**2 + lam / 2
    if abs(bracket) > Fraction(1, 10**9):
        assert (readings.one_hot(1.0, float(sigma), float(eps), 0.0, float(lam))[1] > 0) == (bracket > 0)


@property_of("R-TRADES", examples=12, sigma=between("1/5", 1), eps=between("1/20", 1), beta=between("1/2", 8),
             lam=between("1/100", 1))
def test_trades(sigma, eps, beta, lam, *, sign=-1):
    """With cross-entropy and KL the best w1 on w2 = 0 is positive, and the risk falls into w2 > 0."""
    w1, slope = readings.trades(1.0, float(sigma), float(eps), float(lam), float(beta))
    assert w1 > 0 and sign * slope > 0
