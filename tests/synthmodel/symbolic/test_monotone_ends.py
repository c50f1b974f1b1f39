"""The formulas of CE-monotone-ends against means by quadrature and against the balls of the certificate."""

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.optimize import brentq

from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs import ce_monotone as monotone
from synthmodel.symbolic import derive
from synthmodel.symbolic import symbols as sym
from synthmodel.symbolic.softmax import monotone_ends as ends

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
POINTS = [(0.2, 1 / 3), (1.0, 0.1), (1.0, 1 / 3), (2.0, 0.25), (3.0, 1 / 3), (4.0, 0.1), (4.0, 1 / 3)]  # k, w1/k
NAMES = (sym.alpha, ends.theta, ends.f, ends.g, ends.v, ends.X, ends.Y, ends.Z)


def means(alpha, s, z):
    """(P, A, Q, means of p_1 with the weights q, y, y (1 - y)) at a = alpha + sqrt(s) X, D = sqrt(z) Y."""
    odds = 2 * np.exp(-alpha - math.sqrt(s) * NODES[:, None]) * np.cosh(math.sqrt(z) * NODES)
    p_1 = 1 / (1 + odds)
    weights = 1 - p_1, p_1 * (1 - p_1), 2 * np.exp(-2 * (alpha + math.sqrt(s) * NODES[:, None])) * p_1**2
    P, A, Q = (float(WEIGHTS @ weight @ WEIGHTS) for weight in weights)
    right = [float(WEIGHTS @ (weight * p_1) @ WEIGHTS) for weight in weights]
    return P, A, Q, right[2] / Q, right[0] / P, right[1] / A


def place(k, w1, x):
    w2 = w1 / (1 + x)
    return k * (w1 + w2), w1**2 + w2**2 / 2, w2**2 / 2


def minimiser(k, share):
    """(alpha, s, z), x, and the numbers of N by name, at the minimiser with w1 = share k; primes by differences."""
    w1 = share * k

    def gap(x):
        P, _, Q, *_ = means(*place(k, w1, x))
        return x - share * Q / P

    x = brentq(gap, 1e-12, 1, xtol=1e-15)
    alpha, s, z = place(k, w1, x)
    P, A, Q, f, g, right = means(alpha, s, z)
    step = 1e-5
    high, low = (means(alpha, s * math.exp(2 * t), z * math.exp(2 * t)) for t in (step, -step))
    Y, Z, X = ((a - b) / (2 * step * c) for a, b, c in zip(high, low, (P, A, Q), strict=False))
    return (alpha, s, z), x, (alpha, share, f, g, 2 * right - 1, X, Y, Z), P * P * Q


@pytest.mark.slow
@pytest.mark.parametrize(("k", "share"), POINTS)
def test_the_numerator_is_that_of_the_certificate(k, share):
    _, x, numbers, factor = minimiser(k, share)
    found = float(sp.lambdify(NAMES, derive("CE-monotone-ends").results["N"])(*numbers))
    w1 = share * k
    with precision():
        N, *_ = monotone.cell(arb(k), arb(math.hypot(w1, w1 / (1 + x))), x)
    assert found * factor == pytest.approx(float(N.mid()), rel=1e-6)
    assert found > 0.25 * numbers[0]


@pytest.mark.parametrize(("k", "share"), POINTS)
def test_sizes_and_bounds(k, share):
    (alpha, s, z), x, (_, _, f, g, v, X, Y, Z), _ = minimiser(k, share)
    assert x <= share / 2
    assert max(s + z, 4 * s / 3, (5 * s + z) / 4) <= share * alpha and 3 * z <= s
    odds = 2 * math.exp(-alpha / 3)
    assert min(f, g) >= 1 / (1 + odds) and v >= 2 / (1 + odds) - 1 and 2 * f > max(g, v)
    at = {ends.f: f, ends.g: g, ends.wide: s, ends.narrow: z}
    tiny = 1e-9  # of the differences
    assert float(ends.LEAST_X.subs(at)) - tiny <= X <= 4 * s * f + 4 * z * (1 - f) + tiny
    assert float(ends.MOST_Y.subs(at)) - Y > -tiny < Z - float(ends.LEAST_Z.subs(at))


def test_the_bound_is_positive_wherever_the_proof_says_so():
    """N/alpha with the bounds of X, Y, Z for 20,000 draws of the rest; it fails for theta = 1/2."""
    rng = np.random.default_rng(0)
    count = 20_000
    alpha = np.exp(rng.uniform(math.log(1e-3), math.log(200), count))
    theta = rng.choice([1 / 3, 1 / 6, 1e-3], count)
    s = rng.choice([1, 0.5, 0.01], count) * alpha / 4
    z = rng.choice([1, 0.5, 0], count) * s / 3
    least = np.maximum(1 / (1 + 2 * np.exp(-alpha / 3)), 1 / 3)
    f, g = (least + (1 - least) * rng.choice([0, 0.1, 0.5, 1], count) for _ in range(2))
    low = 2 * least - 1
    v = low + (1 - low) * rng.choice([0, 0.5, 1], count)

    def least_of(theta):
        middle = g * (1 - theta * v) - 1 / alpha
        X = np.where(middle > 0, 2 * s * f * (3 * f - 1) - 2 * z * (1 - f), 4 * s * f + 4 * z * (1 - f))
        return X * middle + (2 - (s + z) * g) * (2 * f - theta * g * v) - theta * g * (s / 2 + z) * (
            1 / alpha + 2 * f - g)

    assert least_of(theta).min() > 0.03
    assert least_of(np.full(count, 0.5)).min() < 0
