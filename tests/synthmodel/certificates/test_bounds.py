"""The a-priori bounds of Gaussian means against true errors where each of their terms is the largest; the contours."""

import math

import mpmath
import numpy as np
import pytest
from flint import arb

from synthmodel.certificates import gaussian_means as gaussian
from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs import n4_inequality as side
from tests.support.precise import grid, mpf

EPS = 1e-15  # of a double


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60), precision():
        yield


@pytest.fixture
def patch(monkeypatch):
    """Set constants of gaussian_means, whose tables depend on them."""
    def forget():
        gaussian.table.cache_clear()
        gaussian.rule.cache_clear()

    def change(**values):
        for name, value in values.items():
            monkeypatch.setattr(gaussian, name, value)
        forget()
    yield change
    monkeypatch.undo()
    forget()


# The trapezoidal rule of gaussian_means

@pytest.mark.parametrize("index", [0, 2, 3])
@pytest.mark.parametrize("shift", [0.5, 1.5, 3.0])
@pytest.mark.parametrize("m", [0, 1, 2, 5])
def test_discretisation_by_waves(index, shift, m):
    """He_m times a wave of modulus <= 1 on the strip, of the frequency 2 pi/h - t that the rule misses most.

    E[He_m(X) e^(i w X)] = (i w)^m exp(-w^2/2); the rule adds the same at w - 2 pi/h.
    """
    nodes, rows, norms = gaussian.table(index)
    bound = gaussian.rule(index, shift)[m]
    t = shift / 2 + math.sqrt(shift**2 / 4 + m)
    wave = 2 * math.pi / gaussian.step_of(index) - t
    values = (np.sin if m % 2 else np.cos)(wave * nodes) / math.cosh(wave * shift)
    mean = (-1) ** (m // 2) * wave**m * math.exp(-wave**2 / 2) / math.cosh(wave * shift)
    error = abs(rows[m] @ values - mean)
    assert error <= bound + EPS * norms[m] * np.abs(values).max() * len(nodes)
    assert error > 0.1 * bound


@pytest.mark.parametrize(("reach", "m"), [(4.2, 0), (4.2, 2), (5.0, 4), (6.0, 8)])
def test_nodes_left_out(patch, reach, m):
    """E He_m(X) = 0 or 1: with short steps, the error is that of the nodes beyond the reach."""
    patch(REACH=reach)
    _, rows, _ = gaussian.table(20)
    error, bound = abs(rows[m].sum() - (m == 0)), gaussian.rule(20, 1.0)[m]
    assert 0.1 * bound < error <= bound


def exact_expectations(alpha, s, z, orders=8):
    """E[He_m(X) He_n(Y) P], n even, and E[He_n(Y) P tanh D], n odd, to 20 digits; elsewhere NaN."""
    def hermite(x):
        rows = [x**0, x]
        for m in range(1, orders):
            rows.append(x * rows[m] - m * rows[m - 1])
        return np.array(rows[:orders + 1])
    with precision(200):
        x, y, x_weights, y_weights, e_2, e_3 = grid(mpmath.mpf(alpha), mpmath.mpf(s), mpmath.mpf(z))
        wrong = 1 - 1 / (1 + e_2 + e_3)
        x_rows, y_rows = hermite(x) * x_weights, hermite(y) * y_weights
        even = x_rows @ wrong @ y_rows.T
        odd = y_rows @ (x_weights @ (wrong * ((e_2 - e_3) / (e_2 + e_3))))
        return even, odd


def misses(at, orders=8):
    """(errors of all even and odd expectations, their bounds), of two tables each."""
    even, odd, error = gaussian.expectations(*at)
    exact_even, exact_odd = exact_expectations(*at, orders)
    kept = [(m, n) for m in range(orders + 1) for n in range(0, orders + 1, 2)]
    with precision(200):
        errors = [abs(mpf(arb(float(even[at])) - exact_even[at])) for at in kept]
        errors += [abs(mpf(arb(float(odd[n])) - exact_odd[n])) for n in range(1, orders + 1, 2)]
    return (np.array(errors, dtype=float),
            np.array([error[at] for at in kept] + [error[0, n] for n in range(1, orders + 1, 2)]))


SETTINGS = {"as it is": {}, "long steps": {"EXPONENT": 6.0}, "few nodes": {"REACH": 5.0, "EXPONENT": 40.0},
            "only rounding": {"REACH": 12.0, "EXPONENT": 50.0}}


@pytest.mark.parametrize("at", [(1.0, 0.5, 0.05), (0.3, 0.02, 0.4), (2.5, 2.0, 0.1)])
@pytest.mark.parametrize("setting", SETTINGS)
def test_expectations_within_their_error(patch, monkeypatch, setting, at):
    """Within the bound; without its leading term, dropped on either side, they are not."""
    patch(**SETTINGS[setting])
    errors, bounds = misses(at)
    assert (errors <= bounds).all()
    if setting == "only rounding":
        patch(ROUND=0.0)
        assert (errors > misses(at)[1]).any()
    elif setting != "as it is":
        exact, indices = gaussian.rule, [gaussian.rule_for(math.sqrt(x))[0] for x in at[1:]]
        assert indices[0] != indices[1]
        for dropped in indices:
            monkeypatch.setattr(gaussian, "rule", lambda index, shift, dropped=dropped: (
                exact(index, shift) * (index != dropped)))
            found = misses(at)[1]
            assert (found < bounds / 2).any()
            if setting == "few nodes":
                assert (errors > found).any()
        monkeypatch.setattr(gaussian, "rule", lambda index, shift: exact(index, shift) * 0)
        assert (errors > misses(at)[1]).any()


# The contours

def wrong(a, d):
    """P = W/(1 + W), W = 2 e^-a cosh D."""
    w = np.exp(d - a) + np.exp(-d - a)
    return np.abs(w / (1 + w))


def highest(im_a, im_d):
    """The largest |P| over a grid of real parts."""
    re_a, re_d = np.meshgrid(np.linspace(-9, 9, 73), np.linspace(-9, 9, 73))
    return wrong(re_a + 1j * im_a, re_d + 1j * im_d).max()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 1.0])
def test_p_is_at_most_1_while_both_shifts_add_up_to_half_pi(part):
    """And beyond that, or for a larger circle or strip than those used, it is not."""
    edge = math.pi / 2
    assert highest(edge * part, edge * (1 - part)) <= 1 + 1e-9
    assert highest(1.01 * edge * part, 1.01 * edge * (1 - part)) > 1
    assert highest(gaussian.STRIP * part, gaussian.STRIP * (1 - part)) <= 1
    assert highest(gaussian.RADIUS, gaussian.RADIUS) <= 1


def test_the_contours_keep_their_conditions():
    """RADIUS, STRIP, and the factor 4 of |tanh D|; the density of the logistic law in its strip, sharp at pi/2."""
    assert max(2 * gaussian.RADIUS, gaussian.STRIP, side.STRIP) < math.pi / 2
    x = np.linspace(-9, 9, 181)
    assert abs(np.tanh(x + 1j * gaussian.RADIUS)).max() <= 1 < abs(np.tanh(x + 1j * (math.pi / 4 + 0.01))).max()
    assert abs(np.tanh(x + 1j * gaussian.STRIP)).max() < 4
    for y, holds in ((side.STRIP, True), (math.pi / 2 + 0.01, False)):
        t = x + 1j * y
        assert bool((abs(1 / (2 + 2 * np.cosh(t))) <= 1 / (2 * np.cosh(x)) * (1 + 1e-12)).all()) == holds


@pytest.mark.parametrize("scale", [0.01, 0.3, 0.325, 0.5, 1.3, 4.0, 20.0])
def test_the_rule_stays_in_its_strip(scale):
    """And errs by about exp(-EXPONENT)."""
    index, shift = gaussian.rule_for(scale)
    assert scale * shift <= gaussian.STRIP * (1 + 1e-12) and shift <= gaussian.WIDEST
    assert 0 < gaussian.rule(index, shift)[0] < 2.1 * math.exp(-gaussian.EXPONENT)


# Boxes

def logistic(m, t):
    """M_(m+1)0 at alpha = log 2, s = t^2, z = 0: -E[He_m(X)/(1 + e^(t X))]/t^m."""
    def integrand(x):
        return mpmath.hermite(m, x / mpmath.sqrt(2)) / mpmath.sqrt(2) ** m * mpmath.npdf(x) / (1 + mpmath.exp(t * x))
    with mpmath.workdps(20):
        return -mpmath.quad(integrand, [-10, -3, -1, 0, 1, 3, 10]) / t**m


@pytest.mark.parametrize("m", [1, 3, 5, 9])
def test_the_largest_moments(m):
    """Where the variance is large, by Hermite's polynomials; where it is 0, by Cauchy's formula."""
    bound = gaussian.largest(400.0, 1.0)[m + 1, 0]
    assert 0.05 * bound < abs(logistic(m, mpmath.mpf(20))) <= bound
    bounds = gaussian.largest(1e-12, 1e-12)
    assert abs(mpmath.diff(lambda a: 1 / (1 + mpmath.exp(a) / 2), mpmath.log(2), m)) <= bounds[m + 1, 0]
    assert bounds[m + 1, 2] == pytest.approx(math.factorial(m) * 2 / gaussian.RADIUS ** (m + 2), rel=1e-6)


@pytest.mark.parametrize("order", [2, 3, 16])
@pytest.mark.parametrize("widths", [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.2, 0.3, 0.4)])
def test_taylor_s_formula_on_a_box(patch, order, widths):
    """For F_ij = c^i d^j exp(c alpha + c^2 s/2 + d^2 z/2), whose largest value and largest change are at one corner."""
    patch(ORDER=order)
    c, d = 1.1, 0.9
    value = np.outer(c ** np.arange(gaussian.SIZE), d ** np.arange(gaussian.SIZE))
    growth = math.exp(c * widths[0] + c * c * widths[1] / 2 + d * d * widths[2] / 2)
    bound = gaussian.on_box(value, np.zeros_like(value), growth * value, widths)[:3, :3]
    change = (growth - 1) * value[:3, :3]
    assert (bound >= change).all()
    assert (bound <= (1.6 if order < 16 else 1.001) * change).all()
    found = gaussian.on_box(0.7 * value, 0.3 * value, growth * value, widths)[:3, :3]  # known up to its error
    assert (found >= change + 0.3 * value[:3, :3]).all()


def test_a_box_takes_the_bounds_of_its_least_variances(monkeypatch):
    seen, exact = [], gaussian.largest
    monkeypatch.setattr(gaussian, "largest", lambda s, z: seen.append((s, z)) or exact(s, z))
    gaussian.moments(arb(1), arb("0.5", "0.2"), arb("0.1", "0.05"))
    ((s, z),) = seen
    assert 0.3 * (1 - 1e-6) < s < 0.3 and 0.05 * (1 - 1e-6) < z < 0.05
