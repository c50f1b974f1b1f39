"""Properties of losses of the least margin (U1) at exact fractions: random convex losses, laws and attack sizes."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from scipy.special import expit

from synthmodel.model.losses import WorstMargin
from synthmodel.model.setting import Setting
from synthmodel.model.surrogates import Surrogate
from synthmodel.solvers.solve import solve, threshold
from tests.properties.test_properties import SMOOTHINGS, pull, setting_of
from tests.properties.test_properties_general import mean_least
from tests.support.domains import attacked, between, property_of
from tests.support.exact import exact_sign, far

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


@property_of("U1", examples=12, pieces=PIECES, noise=st.sampled_from(["laplace", "logistic", "uniform", "student-t:5"]),
             classes=st.integers(3, 6), sigma=between("1/10", "1/2"), side=st.sampled_from([-1, 1]))
def test_u1_every_law(pieces, noise, classes, sigma, side, *, off=0):
    """The same for other laws and more classes, on either side of E[min C]/2, which mean_least integrates itself."""
    setting, loss = Setting(1.0, float(sigma), noise=noise, classes=classes), WorstMargin(mixture(pieces))
    boundary = (1 + float(sigma) * mean_least(setting.law, classes - 1 + off)) / 2
    assert off or abs(threshold(setting, loss) - boundary) < 1e-5
    assert (solve(setting, loss, boundary + side * 1e-3, 0.3).w2 > 0) == (side < 0)
