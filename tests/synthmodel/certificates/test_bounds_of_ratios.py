"""The bounds of N4's inequality and of C1 against the truth, where each of their terms is the largest."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb

from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs import n4_end as end
from synthmodel.certificates.proofs import n4_inequality as side
from synthmodel.certificates.proofs import skewness
from tests.support.precise import best_ratio, check, exactly, imr, k_of, mpf, nodes_of


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60), precision():
        yield


def exact_smoothed(u, h, inverse):
    """(E sig(a), rho E sig'(a)), a = h + rho (u - Z), by a rule of 20 digits over Z."""
    with precision(200):
        nodes, weights = nodes_of(min(3 * float(inverse), 6))
        rho = 1 / exactly(inverse)
        true = np.array([1 / (1 + (-exactly(h) - rho * (exactly(u) - node)).exp()) for node in nodes], dtype=object)
        return mpf(weights @ true), mpf(rho * (weights @ (true * (1 - true))))


@pytest.mark.parametrize(("setting", "widths", "part"), [
    ({}, (0, 1e-4, 0.05), 0.1), ({"EXPONENT": 6}, (0,), 1e-3), ({"REACH": 4, "EXPONENT": 40}, (0,), 1e-3)])
def test_smoothed_within_its_error(monkeypatch, setting, widths, part):
    """As it is, with long steps, and with few nodes: a part of the radius would not hold."""
    for name, value in setting.items():
        monkeypatch.setattr(side, name, value)
    check(lambda *at: side.smoothed(*at), exact_smoothed, ((0.2, 1.6), (0.1, 0.6), (0.17, 3.0)), part, widths, 1e-17)
    if "REACH" in setting:  # half of the nodes left out carry their whole weight: the bound is twice the error
        check(lambda *at: side.smoothed(*at)[0], lambda *at: exact_smoothed(*at)[0],
              ((4.0, 5.0), (0.1, 0.6), (0.17, 0.2)), 0.4, widths, 1e-17)


def exact_far(u, h, rho):
    """rho I(u, rho) at this h, by a rule of 20 digits over the logistic law."""
    step = 2 * mpmath.pi * 3 / 52
    nodes = [step * j for j in range(-170, 171)]
    shifts, mills = [u + (h - y) / rho for y in nodes], imr(u)
    return rho * step * mpmath.fsum((mills * mpmath.ncdf(t) - mpmath.npdf(t)) / (2 + 2 * mpmath.cosh(y))
                                    for y, t in zip(nodes, shifts, strict=True))


BALLS = [arb("0.3", "0.001"), arb("0.9"), arb("1.4", "0.05")]


def ends(u):
    return [mpf(u) + t * mpf(u.rad()) for t in (-1, 0, 1)]


def entropy(u):
    share = best_ratio(u) ** 2 / (1 + best_ratio(u) ** 2)
    return -share * mpmath.log(share) - (1 - share) * mpmath.log(1 - share)


@pytest.mark.parametrize("u", BALLS, ids=str)
def test_lower_bounds_are_below_and_near(u):
    """k_of, least_entropy, inequality and inequality_far, at the ends of u and in its middle."""
    low, middle, high = ends(u)
    loose = 1e-8 + 40 * float(u.rad())
    for bound, exact in ((side.k_of(u), [k_of(x) for x in (low, middle, high)]),
                         (side.least_entropy(u), [entropy(x) for x in (low, middle, high)])):
        assert bound.lower() <= exactly(min(exact))
        assert bound.lower() > exactly(min(exact)) * (1 - loose)
    h = entropy(low)  # that of the whole ball
    for x in (low, high):
        for rho in (1, 5):
            S, slope = exact_smoothed(x, h, mpmath.mpf(1) / rho)
            assert side.inequality(u, arb(1) / rho).lower() <= exactly(imr(x) * S - slope)
            assert side.inequality(u, arb(1) / rho).overlaps(exactly(imr(x) * S - slope) + arb(0, 1e-9))
        far = side.inequality_far(u).lower()
        with mpmath.workdps(25):
            assert all(far <= exactly(exact_far(x, h, rho)) for rho in (6, 1000))


@pytest.mark.parametrize("rho", [2, 6, 20])
@pytest.mark.parametrize("u", ["0.05", "0.3", "1.5"])
def test_the_remainder_of_taylor_s_formula(monkeypatch, u, rho):
    """At one rho and h = .1, inequality_far is below rho I by less than twice its remainder, but not without it."""
    monkeypatch.setattr(side, "RHO", (None, Fraction(rho)))
    monkeypatch.setattr(side, "ball", lambda low, high: arb(1) / rho)
    monkeypatch.setattr(side, "least_entropy", lambda u: arb("0.1"))
    h, x = mpmath.mpf("0.1"), mpmath.mpf(u)
    rest = (0.56 * imr(x) + 1.2) * (h**4 + 2 * h**2 * mpmath.pi**2 + 7 * mpmath.pi**4 / 15) / 24 / rho**3
    with mpmath.workdps(25):
        room = exact_far(x, h, rho) - mpf(side.inequality_far(arb(u)))
    assert 0 < room < 2 * rest
    if u == "0.05":
        assert room < rest


def test_best_ratio_has_its_ends_on_both_sides():
    for u in BALLS:
        below, above = side.best_ratio(u)
        assert all(below <= exactly(best_ratio(x)) <= above for x in ends(u))
        if u.is_exact():
            assert 0 <= above - below < 1e-10


def test_bounds_of_the_fourth_derivative():
    """|psi^(4)| < .56 imr + 1.2, by |Phi^(4)| and |phi^(4)| on a grid; they are within 3 per cent."""
    t = np.linspace(-8, 8, 160001)
    phi = np.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    assert 0.97 < abs((3 * t - t**3) * phi).max() / 0.56 < 1
    assert 0.97 < abs((t**4 - 6 * t**2 + 3) * phi).max() / 1.2 < 1


def test_tail_bounds_at_their_edges():
    """The ratio at -6 and 6, and beyond, is below its bound, and near it at the edge."""
    def ratio(u):
        return mpmath.diff(lambda t: 1 - imr(t) * (t + imr(t)), u) / (1 - imr(u) * (u + imr(u)))
    for bound, sign, near in zip(skewness.tail_bounds(), (-1, 1), (0.6, 0.1), strict=True):
        assert all(exactly(ratio(mpmath.mpf(sign * x))) < bound.lower() for x in (6, 6.5, 8, 20))
        assert exactly(ratio(mpmath.mpf(sign * 6))) > near * bound.upper()


def test_where_the_cells_on_the_ray_begin():
    """tau < 2 k x for all u between: k at the lower end and x at the upper one."""
    low, high = Fraction(17, 10), Fraction(18, 10)
    edge = float(2 * k_of(mpmath.mpf("1.7")) * (1 / best_ratio(mpmath.mpf("1.8")) - 1))
    assert end.begins(low, high, Fraction(edge * (1 - 1e-6)))
    assert not end.begins(low, high, Fraction(edge * (1 + 1e-6)))
