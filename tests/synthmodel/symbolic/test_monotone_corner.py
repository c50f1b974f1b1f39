"""CE-monotone-corner: N by sums over the whole plane, where doubles of the certificate end, and its limit."""

import math

import mpmath
import numpy as np
import pytest
import sympy as sp

from synthmodel.claims.checks.losses.monotone import corner_limit, corner_numerator
from synthmodel.symbolic import symbols as sym
from synthmodel.symbolic.softmax import monotone_ends as ends

STEP = 0.5  # of a and D: the sums err by about exp(-pi^2/STEP), relatively
NAMES = (sym.alpha, ends.theta, ends.f, ends.g, ends.v, ends.X, ends.Y, ends.Z)


def numbers_at(k, w1, x):
    """The numbers of N by name, and log(Q/P), at any x; each mean by weights whose largest is 1."""
    w2 = w1 / (1 + x)
    alpha, s, z = k * (w1 + w2), w1**2 + w2**2 / 2, w2**2 / 2
    a = np.arange(max(alpha - 40 * math.sqrt(s), -60.0), alpha + 9 * math.sqrt(s), STEP)[:, None]
    D = np.arange(0, max(alpha + 9 * math.sqrt(s), 60) + 60, STEP)
    law = -(a - alpha)**2 / (2 * s) - D**2 / (2 * z) + np.where(D == 0, math.log(0.5), 0)
    log_odds = np.logaddexp(D, -D) - a
    log_right = -np.logaddexp(0, log_odds)
    right, square = np.exp(log_right), np.tanh(D)**2
    y = 1 - right

    def mean(log_weight, *values):
        """(log of the sum of weights, means)."""
        weight = law + log_weight
        top = weight.max()
        weight = np.exp(weight - top)
        return top + math.log(weight.sum()), *(float((weight * value).sum() / weight.sum()) for value in values)

    P, g, Y = mean(log_odds + log_right, right, right * ((s + z * square) * (1 - 2 * y) + z * (1 - square)))
    spread = 1 - 6 * y * right
    _, half, Z = mean(log_odds + 2 * log_right, right, s * spread + z * (spread * square + (1 - 2 * y) * (1 - square)))
    Q, f, X = mean(math.log(2) - 2 * a + 2 * log_right, right,
                   2 * s * right * (2 - 3 * y) + 2 * z * y * (3 * y * square - 1))
    return (alpha, w1 / k, f, g, 2 * half - 1, X, Y, Z), Q - P


def numerator(k, share):
    """(N, sign of L) where the first condition of the minimiser holds, x = share Q/P."""
    x = share / 4
    for _ in range(40):
        numbers, log_ratio = numbers_at(k, share * k, x)
        before, x = x, share * math.exp(log_ratio)
        if abs(before - x) <= 1e-11 * x:
            break
    return float(sp.lambdify(NAMES, ends.N)(*numbers)), 1 / share - numbers[3]


@pytest.mark.slow
@pytest.mark.parametrize("k", [1.1, 2, 3, 4.5, 6])
def test_n_is_positive_between_the_ends_and_l_0(k):
    for share in (0.3, 0.667, 1, 1.5, 1.9):
        N, L = numerator(k, share)
        assert L > 0 and N > 0.5, share


@pytest.mark.slow
def test_the_whole_plane_agrees_with_one_wrong_class():
    """At k = 6, where the third class adds exp(-12)."""
    assert numerator(6, 1.5)[0] == pytest.approx(corner_numerator(6, 1 / 1.5), rel=1e-4)


@pytest.mark.parametrize("beta", [0.51, 0.6, 0.75, 0.9, 0.99])
def test_the_limit_is_the_slope_of_log_x_less_a_third_of_log_l(beta):
    def falls(b):
        gamma, cos, sin = mpmath.gamma, mpmath.cospi(b), mpmath.sinpi(b)
        return mpmath.log(gamma(1 - 2*b/3)**2 * gamma(4*b/3) * sin) - mpmath.log(-b**3 * cos / sin**2) / 3

    limit = float(mpmath.diff(falls, beta)) * beta**2 * math.pi / math.tan(math.pi * beta)
    assert corner_limit(beta) == pytest.approx(limit, rel=1e-6) and limit > 0.8


def test_the_limit_is_positive():
    """By the bounds of the text, too, which lie below it."""
    for beta in np.linspace(0.5, 0.999, 200):
        cot = -1 / math.tan(math.pi * beta)
        below = math.pi * beta**2 * cot * (1 - 4 + 2 * math.sqrt(5) * math.pi / 3)
        assert corner_limit(float(beta)) > max(below, 0.8)
