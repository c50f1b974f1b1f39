"""Properties of other penalties, of unequal noise, and of outliers of a finite chance, at exact fractions."""

import math
from fractions import Fraction
from operator import gt, lt

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import assume
from hypothesis import strategies as st

from synthmodel.accuracy.any_setting import best_ratio
from synthmodel.accuracy.three_classes import r_acc
from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs.joint_accuracy import gain
from synthmodel.claims.checks.general import sign_changes
from synthmodel.claims.checks.rare_outliers import outlier_slopes
from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin
from synthmodel.model.penalty import PENALTIES
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import ratio_limit, solve_cross_entropy, stein_residual
from synthmodel.solvers.margin_vertices import solve_numeric
from synthmodel.solvers.solve import solve
from synthmodel.testing.strategies import between, strengths
from tests.support.domains import property_of

DECAYS = between("1/20", 5, 1)
Z = np.linspace(-8, 8, 81)


@property_of("G-decay", examples=40, k=strengths(), lam_e=DECAYS, lam_c=DECAYS, b=between(0, "9/10", 0))
def test_margin_decay(k, lam_e, lam_c, b, *, quotient=lambda e, c: e / c):
    """The smoothed margin's ratio is lam_e/lam_c times that of one decay; w2 dies where it did."""
    setting, loss = Setting(float(k), 1.0), SmoothedMargin(float(b)) if b else Margin()
    one, two = solve(setting, loss, 0.0, float(lam_e)), solve_numeric(setting, loss, 0.0, float(lam_e), float(lam_c))
    assert math.isclose(two.w1, one.w1, rel_tol=1e-9)
    assert math.isclose(two.ratio, one.ratio * float(quotient(lam_e, lam_c)), rel_tol=1e-9, abs_tol=1e-12)
    assert (two.w2 > 0) == (one.w2 > 0) or one.w2 < 1e-11


@property_of("G-decay", examples=60, k=strengths("58/100", 4), q=between("1/5", 2, 1, "1/2"))
def test_best_smoothing_under_decay(k, q, *, inside=lambda used, best, q: q * used < best < q):
    """Some b in (0, 1) has the best ratio iff q r_AT < r_acc < q."""
    best, setting = r_acc(float(k)), Setting(float(k), 1.0)
    used = solve(setting, Margin(), 0.0, 1.0).ratio
    assume(min(abs(best - float(q)), abs(best - float(q) * used)) > 1e-6)
    low, high = (solve(setting, SmoothedMargin(b), 0.0, lam_e=float(q), lam_c=1.0).ratio for b in (0.0, 1 - 1e-9))
    assert (low < best < high) == inside(used, best, float(q))


@pytest.mark.slow
@property_of("G-decay", examples=40, k=between("1/5", "5/2"), lam_e=DECAYS, lam_c=DECAYS,
             penalty=st.sampled_from(PENALTIES))
def test_cross_entropy_decay(k, lam_e, lam_c, penalty, *, limit=ratio_limit, compare=gt):
    """Stein's form vanishes; near mu/2 the ratio has its limit; w2 falls as lam_c grows; a name is its two decays."""
    setting, loss, decay = Setting(float(k), 1.0), CrossEntropy(), (float(lam_e), float(lam_c))
    best = solve(setting, loss, 0.0, lam_e=decay[0], lam_c=decay[1])
    assert math.hypot(*stein_residual(setting, loss, 0.0, decay[0], best.w1, best.w2, order=40, lam_c=decay[1])) < 1e-8
    near = solve_cross_entropy(setting, loss, float(k) / 2 * (1 - 1e-3), *decay).ratio
    assert abs(near - limit(setting, *decay)) <= 1e-5 * float(k)**2 * max(1, near)
    assert compare(best.w2, solve_cross_entropy(setting, loss, 0.0, decay[0], 1.01 * decay[1]).w2)
    counts = {"weights": (1, 1), "centred": (2, 2), "entries": (3, 6)}[penalty]
    assert solve(setting, loss, 0.0, decay[0], penalty=penalty) == solve_cross_entropy(
        setting, loss, 0.0, counts[0] * decay[0], counts[1] * decay[0])


@property_of("N3-entries", examples=40, k=strengths("58/100", 3), b=between("1/100", "98/100"))
def test_n3_entries(k, b, *, penalty="entries", turn="0.852705697"):
    """On the entries of W accuracy rises with b at every b iff k > .8527...: its ratio stays below r_acc."""
    assume(abs(k - Fraction(turn)) > Fraction(1, 10**6))
    best = best_ratio(Setting(float(k), 1.0), 0.0)
    most = solve(Setting(float(k), 1.0), SmoothedMargin(1 - 1e-12), 0.0, 1.0, penalty=penalty).ratio
    assert (most < best) == (k > Fraction(turn))
    assert k < Fraction(turn) or solve(Setting(float(k), 1.0), SmoothedMargin(float(b)), 0.0, 1.0,
                                       penalty=penalty).ratio < best


@property_of("N4-entries", examples=40, k=between("1/5", "84/100", "17/20", 1, 2), decay=between("1/50", 10))
def test_n4_entries(k, decay, *, last="852/1000"):
    """With lam_c = 2 lam_e, r_CE > r_acc was seen for every decay where r_acc < 1/2; it lies above 1/2 itself."""
    found = solve_cross_entropy(Setting(float(k), 1.0), CrossEntropy(), 0.0, float(decay), 2 * float(decay)).ratio
    assert found > 0.5
    assert k > Fraction(last) or found > r_acc(float(k))


@property_of("N3", examples=4, k=between(8, 14))
def test_n3_crossover_far(k, *, compare=gt):
    """Full smoothing beats none for k >= 8, in balls: both accuracies differ from 1 by exp(-k^2) or so."""
    with precision(600):
        size = arb(fmpq(k.numerator, k.denominator))
        assert compare(gain(1 - 1 / (size * arb.pi().sqrt())), 0)


@st.composite
def unequal(draw):
    """(k_E, k_C), often near the point where both bounds of T2-unequal are attained, and beyond them."""
    near = st.tuples(between("45/1000", "47/1000", "454/10000"), between("5713/10000", "5720/10000", "571536/1000000"))
    beyond = st.just((Fraction(454, 10_000), Fraction(571_536, 1_000_000)))  # where the sign changes three times
    return draw(st.one_of(beyond, near, st.tuples(between("1/20", 1), between("1/10", 2))))


@property_of("T2-unequal", examples=25, strengths=unequal())
def test_t2_unequal(strengths, *, most="125/10", least="46/1000"):
    """dP/dr changes its sign once if k_C > 1/sqrt(pi), and never if not."""
    k_e, k_c = strengths
    assume(k_e >= Fraction(least) or k_c <= Fraction(most) * k_e)
    assume((abs(float(k_c) - 1 / math.sqrt(math.pi)) > 1e-4 and k_c < 8 * k_e) or k_c < Fraction(6, 10))
    assert sign_changes(float(k_e), float(k_c)) == (float(k_c) > 1 / math.sqrt(math.pi))


@property_of("T3-CE-unequal", examples=60, k=between("1/2", 4), noise=between("1/5", "1/2", 2, 5), decay=between(
    "1/1000", "1/10"), b=between(0, "1/10", 0), more=between("1/100", "1/2"))
def test_sum_falls_at_unequal_noise(k, noise, decay, b, more, *, quantity=lambda found: found.w1 + found.w2):
    """w1 + w2 falls in b at equal means."""
    setting = Setting(float(k), sigma_e=1.0, sigma_c=float(noise))
    low, high = (quantity(solve_cross_entropy(setting, CrossEntropy(float(x)), 0.0, float(decay)))
                 for x in (b, b + more))
    assert high < low


@property_of("D4-flows", examples=20, w1=between(0, 3), p=between("1/1000", "1/5"), size=between(1, 50))
def test_slope_at_no_cross_class_weight(w1, p, size, *, compare=lt):
    """At w2 = 0 the mixture's risk has the slope -d E[pi] in w2, the less than 0, whatever the outliers."""
    weights = np.exp(-Z * Z / 2) / np.exp(-Z * Z / 2).sum()
    slope = -outlier_slopes(float(w1), 0.0, float(p), float(size), Z)[1]
    assert math.isclose(slope, -weights @ (2 / (2 + np.exp(float(w1) * (1 + Z)))), rel_tol=1e-6)
    assert compare(slope, 0)
