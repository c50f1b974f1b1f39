"""Every function of balls: on random balls it encloses its values, of 60 digits, at their corners and inside."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb
from mpmath import diff, exp, mp, ncdf, npdf, pi, sqrt

from synthmodel.certificates import enclose, enclosures, search
from synthmodel.certificates.checker import ball, precision
from synthmodel.certificates.proofs import ce_monotone as monotone
from synthmodel.certificates.proofs import ce_smoothing as smoothing
from synthmodel.certificates.proofs import exact_attack, joint_accuracy, skewness
from synthmodel.certificates.proofs import n4_end as end
from synthmodel.certificates.proofs import n4_inequality as side
from tests.support.precise import best_ratio, check, exactly, hold, imr, k_of, place, sides


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60), precision():
        yield


# The truth, from the formulas of THEORY.md

def F(r, y):
    """sqrt(pi/2) F at k = y/sqrt(pi): k (1-r) sqrt((2+r^2)/(1+r^2)) - imr(u) (T2-joint)."""
    k = y / sqrt(pi)
    u = k * r * (1 + r) / sqrt((1 + r**2) * (2 + r**2))
    return sqrt(pi / 2) * (k * (1 - r) * sqrt((2 + r**2) / (1 + r**2)) - imr(u))


def excess(r, y, gap):
    """The same, the first term's (1-r) y replaced by gap."""
    return F(r, y) + (gap - (1 - r) * y) * sqrt((2 + r**2) / (1 + r**2) / 2)


def f(r, k):
    return F(r, sqrt(pi) * k)


def f_r(r, k):
    return diff(f, (r, k), (1, 0))


def f_k(r, k):
    return diff(f, (r, k), (0, 1))


def fixed_b(r, k):
    return k * f_k(r, k) + (1 - r) * f_r(r, k)


def used(r):
    return 1 / (sqrt(pi) * (1 - r))


def miss(r, k):
    h = k * (1 + r) / sqrt(1 + r**2)
    owen = mpmath.quad(lambda x: exp(-h**2 * (1 + x**2) / 2) / (1 + x**2), [0, r / sqrt(2 + r**2)]) / (2 * pi)
    return ncdf(-h) + 2 * owen


def gain(r):
    return miss(r, used(r)) - miss(mp.one, used(r))


def gain_slope(r):
    """d gain/dk over phi(h): from dP/dk = 2 (h/k) phi(h) Phi(u), dP/dr of the sign of F, dr/dk = (1-r)/k."""
    k = used(r)

    def parts(r):
        return k * (1 + r) / sqrt(1 + r**2), k * r * (1 + r) / sqrt((1 + r**2) * (2 + r**2))
    (h, u), (h_1, u_1) = parts(r), parts(mp.one)
    by_r = f(r, k) * sqrt(2 / pi) * 2 * npdf(h) * ncdf(u) / ((1 + r**2) * sqrt(2 + r**2))
    return (2 * h_1 / k * npdf(h_1) * ncdf(u_1) - 2 * h / k * npdf(h) * ncdf(u) - by_r * (1 - r) / k) / npdf(h)


def phi(omega, v):
    return mpmath.root(1 - 2 * (1 - omega**2) * v / 3, 4)


def down(omega, v):
    p = phi(omega, v)
    return (p + p**2 + p**3 - 1 - 2 * omega) / (1 - omega)


def up(omega, v):
    p = phi(omega, v)
    return (p**3 * (2 + omega) - omega * (1 + p + p**2)) / (1 - omega)


def variance(u):
    return 1 - imr(u) * (u + imr(u))


def third(u):
    return diff(variance, u)


def curve(u):
    return (k_of(u), diff(k_of, u), 1 / best_ratio(u) - 1, diff(lambda u: 1 / best_ratio(u), u))


# name: (function of balls, its truth, ranges of its arguments)
R, K, Y = (0.05, 0.9), (0.6, 6.0), (1.0, 8.0)
V, U = (0.1, 0.9), (0.2, 1.9)
CASES = {
    "half": (joint_accuracy.half, lambda r, y: y * r * (1 + r) / sqrt(2 * pi * (1 + r**2) * (2 + r**2)), (R, Y)),
    "excess": (joint_accuracy.excess, excess, (R, Y, (0.1, 3.0))),
    "f": (joint_accuracy.f, f, (R, K)),
    "f_r": (joint_accuracy.f_r, f_r, (R, K)),
    "f_k": (joint_accuracy.f_k, lambda r, k: f_k(r, k) / sqrt(pi), (R, K)),
    "f_at_fixed_b": (joint_accuracy.f_at_fixed_b, fixed_b, (R, K)),
    "f_used": (joint_accuracy.f_used, lambda r: f(r, used(r)), (R,)),
    "k_used": (joint_accuracy.k_used, used, (R,)),
    "f_used'":
        (joint_accuracy.LEMMAS["N2_near"].signs[0][0], lambda r: diff(lambda r: f(r, used(r)), r), ((0.02, 0.3),)),
    "miss": (joint_accuracy.miss, miss, (R, (0.6, 3.0))),
    "gain": (joint_accuracy.gain, gain, (R,)),
    "gain_slope": (joint_accuracy.gain_slope, gain_slope, (R,)),
    "gain_slope'": (joint_accuracy.LEMMAS["gain_slope"].signs[2][0], lambda r: diff(gain_slope, r), (R,)),
    "closed f": (search.f, lambda r, k: sqrt(2 / pi) * f(r, k), (R, K)),
    "closed f_r": (search.f_r, lambda r, k: sqrt(2 / pi) * f_r(r, k), (R, K)),
    "closed f_k": (search.f_k, lambda r, k: sqrt(2 / pi) * f_k(r, k), (R, K)),
    "closed fixed_b": (search.fixed_b, lambda r, k: sqrt(2 / pi) * fixed_b(r, k), (R, K)),
    "closed k_at": (search.k_at, used, (R,)),
    "closed gain_slope": (search.gain_slope, lambda r: (gain_slope(r) / 2, diff(gain_slope, r) / 2), (R,)),
    "fourth_root": (exact_attack.fourth_root, phi, (V, V)),
    "down": (exact_attack.down, down, (V, V)),
    "up": (exact_attack.up, up, (V, V)),
    "down_v": (exact_attack.LEMMAS["down_v"].signs[0][0], lambda *at: diff(down, at, (0, 1)), (V, V)),
    "up_v": (exact_attack.LEMMAS["up_v"].signs[0][0], lambda *at: diff(up, at, (0, 1)), (V, V)),
    "down_far": (exact_attack.LEMMAS["down_far"].signs[0][0], lambda omega: down(omega, 1), (V,)),
    "up_far": (exact_attack.LEMMAS["up_far"].signs[0][0], lambda omega: up(omega, 1), (V,)),
    "down_near": (exact_attack.LEMMAS["down_near"].signs[0][0], lambda *at: diff(down, (*at, 1), (1, 0)), (V,)),
    "up_near": (exact_attack.LEMMAS["up_near"].signs[0][0], lambda *at: diff(up, (*at, 1), (1, 0)), (V,)),
    "inverse_mills": (skewness.inverse_mills, imr, ((-5.0, 5.0),)),
    "skewness moments": (skewness.moments, lambda u: (variance(u), third(u), diff(variance, u, 2)), ((-3.0, 3.0),)),
    "skewness_ratio": (skewness.skewness_ratio, lambda u: third(u) / variance(u), ((-3.0, 3.0),)),
    "ratio_on": (skewness.ratio_on, lambda u: third(u) / variance(u), ((-3.0, 3.0),)),
    "best_ratio": (lambda u: side.best_ratio(u)[0].union(side.best_ratio(u)[1]), best_ratio, (U,)),
    "curve": (lambda u: [value[i] for value in end.curve(u) for i in (0, 1)], curve, (U,)),
    "curve x": (lambda u: end.curve(u)[1][0], lambda u: 1 / best_ratio(u) - 1, (U,)),
    "sides": (monotone.sides, sides, ((0.2, 3.0), (0.1, 3.0), (0.05, 1.0))),
    "place": (smoothing.place, place, ((0.2, 3.0), (0.1, 3.0), (0.05, 1.0))),
}


# Functions of one argument that enters often: more than twice as wide as need be, so that half a ball is one that holds
WIDE = {"f_used'": 0.1, "gain": 0.05, "gain_slope": 0.1, "gain_slope'": 0.01, "closed gain_slope": 0.01,
        "curve": 0.05,       "down_near": 0.05, "up_near": 0.05, "skewness moments": 0.1, "skewness_ratio": 0.001}


@pytest.mark.parametrize("name", CASES)
def test_a_function_of_balls_encloses_its_values(name):
    check(*CASES[name], part=WIDE.get(name, 0.5))


def mpf_of(fraction):
    return mpmath.mpf(fraction.numerator) / fraction.denominator


def test_enclosed_numbers():
    """eps0, r_acc, b_star and k_x of random exact numbers."""
    k, mu, sigma = (Fraction(int(n), 1000) for n in np.random.default_rng(0).integers(700, 2000, 3))
    u = mpmath.findroot(lambda u: k_of(u) - mpf_of(k), (0.9, 1.0))
    exact = {"r_acc": ({"k": k}, best_ratio(u)), "b_star": ({"k": k}, 1 - sqrt(pi) * k_of(u) * (1 - best_ratio(u))),
             "eps0": ({"mu": mu, "sigma": sigma}, (mpf_of(mu) - mpf_of(sigma) / sqrt(pi)) / 2),
             "k_x": ({}, used(mpmath.findroot(gain, (0.507, 0.508))))}
    for name, (numbers, value) in exact.items():
        for digits in (1, 12, 40):
            assert hold([enclose(name, digits, **numbers)], [value], 1e-55), (name, digits)


def test_a_root_and_a_ball_hold_both_their_ends():
    """checker.ball, and the ball of a root whose sign is certain only a thousandth away from it."""
    low, high = Fraction(1, 3), Fraction(5, 7)
    for end_ in (low, high):
        assert ball(low, high).overlaps(exactly(mpf_of(end_)))
        assert not arb(ball(low, high).mid(), ball(low, high).rad() / 2).overlaps(exactly(mpf_of(end_)))
    for root in (0.3, 0.7101):
        found = enclosures.root(lambda x, root=root: x - arb(root, 0.001), Fraction(0), Fraction(1))
        assert all(found.contains(arb(root + t)) for t in (-0.0009, 0, 0.0009))
        assert found.rad() < 0.02
