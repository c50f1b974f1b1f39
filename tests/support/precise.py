"""Truth for the tests of balls: numbers to 60 digits from the formulas of THEORY.md; Gaussian means to 20 digits."""

import math
from functools import cache
from itertools import product

import mpmath
import numpy as np
from flint import arb

from synthmodel.certificates.checker import precision

__all__ = ["best_ratio", "check", "exactly", "grid", "hold", "imr", "k_of", "moments_at", "mpf", "nodes_of", "place",
           "sides"]

WIDTHS = (0, 1e-12, 1e-4, 0.1)  # relative radii


def mpf(ball):
    """The middle of a ball, exactly."""
    mantissa, exponent = ball.mid().man_exp()
    return mpmath.ldexp(mpmath.mpf(int(mantissa)), int(exponent))


def exactly(number):
    """An mpf as a ball of radius 0."""
    with precision(400):
        sign, mantissa, exponent, _ = mpmath.mpf(number)._mpf_
        return arb(-int(mantissa) if sign else int(mantissa)) * arb(2) ** int(exponent)


def hold(balls, numbers, slack=1e-50):
    """Whether each ball contains its number, which is known up to `slack`."""
    with precision(400):
        return len(balls) == len(numbers) and all(ball.overlaps(exactly(x) + arb(0, slack))
                                                  for ball, x in zip(balls, numbers, strict=True))


def nodes_of(strip, ends=10.5, exponent=52):
    """(nodes, weights) for the standard normal law, functions analytic up to `strip`: an error of about exp(-52)."""
    step = 2 * math.pi * strip / (exponent + strip**2 / 2)
    nodes = [arb(step) * j for j in range(-math.ceil(ends / step), math.ceil(ends / step) + 1)]
    scale = arb(step) / (2 * arb.pi()).sqrt()
    return np.array(nodes, dtype=object), np.array([scale * (-x * x / 2).exp() for x in nodes], dtype=object)


@cache
def derivatives():
    """{(i, j): polynomial in (p_2, p_3)} of d^i/da^i d^j/dD^j log(1 + e^(D-a) + e^(-D-a)), as {(m, n): factor}.

    p_2 = e^(D-a)/(1 + e^(D-a) + e^(-D-a)), so dp_2/da = -p_2 (1 - p_2 - p_3) and dp_2/dD = p_2 (1 - p_2 + p_3).
    """
    def slope(polynomial, by_d):
        new = {}
        for (m, n), factor in polynomial.items():
            terms = ((m - n, 0, 0), (-m - n, 1, 0), (m + n, 0, 1)) if by_d else (
                (-m - n, 0, 0), (m + n, 1, 0), (m + n, 0, 1))
            for times, up, right in terms:
                new[m + up, n + right] = new.get((m + up, n + right), 0) + factor * times
        return new

    table = {(1, 0): {(1, 0): -1, (0, 1): -1}, (0, 1): {(1, 0): 1, (0, 1): -1}}
    for i in range(1, 5):
        table[i + 1, 0] = slope(table[i, 0], False)
    for i in range(5):
        for j in range(0 if i else 1, 5 - i):
            table[i, j + 1] = slope(table[i, j], True)
    return table


def grid(alpha, s, z):
    """(x, y, weights of both, e^(D-a), e^(-D-a)) on a grid, at 200 bits; integrands are summed over both signs of y."""
    t, v = exactly(mpmath.sqrt(s)), exactly(mpmath.sqrt(z))
    x, x_weights = nodes_of(min(3 / float(t), 6) if s else 6)
    y, y_weights = nodes_of(min(1.5 / float(v), 6) if z else 6)
    falling = np.array([(-exactly(alpha) - t * node).exp() for node in x], dtype=object)[:, None]
    growing = np.array([(v * node).exp() for node in y], dtype=object)
    return x, y, x_weights, y_weights, falling * growing, falling / growing


def moments_at(alpha, s, z):
    """{(i, j): M_ij} of gaussian_means, 1 <= i + j <= 4, j even: the mean of the derivatives themselves."""
    with precision(200):
        _, y, x_weights, y_weights, e_2, e_3 = grid(alpha, s, z)
        half = len(y) // 2
        y_weights = y_weights[half:] * np.array([1] + [2] * half)
        e_2, e_3 = e_2[:, half:], e_3[:, half:]
        true = 1 / (1 + e_2 + e_3)
        powers = [[p**0, p, p * p, p**3, p**4] for p in (e_2 * true, e_3 * true)]
        means = {(m, n): mpf(x_weights @ (powers[0][m] * powers[1][n]) @ y_weights)
                 for m in range(5) for n in range(5 - m)}
        return {index: mpmath.fsum(factor * means[power] for power, factor in polynomial.items())
                for index, polynomial in derivatives().items() if index[1] % 2 == 0 and sum(index) <= 4}


# Shared formulas of THEORY.md

def imr(u):
    return mpmath.npdf(u) / mpmath.ncdf(u)


def best_ratio(u):
    """r_acc by u: the root in (0, 1) of r^3 + (l-1) r^2 + (l+2) r - 2, l = imr(u)/u."""
    level = imr(u) / u
    return mpmath.findroot(lambda r: r**3 + (level - 1) * r**2 + (level + 2) * r - 2, (0.3, 0.6))


def k_of(u):
    r = best_ratio(u)
    return u * mpmath.sqrt((1 + r**2) * (2 + r**2)) / (r * (1 + r))


def weights(tau, x):
    """w of norm tau and ratio w2/w1 = 1/(1+x)."""
    w = mpmath.matrix([1 + x, 1])
    return tuple(w * tau / mpmath.norm(w))


def place(k, v, x):
    """w/k, alpha, s, z where w1 + w2 = k v and w1/w2 = 1 + x."""
    w1, w2 = k * v * (1 + x) / (2 + x), k * v / (2 + x)
    return w1 / k, w2 / k, k * (w1 + w2), w1**2 + w2**2 / 2, w2**2 / 2


def sides(k, tau, x):
    w1, w2 = weights(tau, x)
    return w1, k * (w1 + w2), w1**2 + w2**2 / 2, w2**2 / 2


# Random balls

def tupled(value):
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def balls_of(domain, seed, widths, alone=True, inside=2):
    """(balls, points): for each relative radius, a box in `domain` and each of its sides alone; points inside it."""
    rng = np.random.default_rng(seed)
    for width in widths:
        middles = [float(rng.uniform(*ends)) for ends in domain]
        wide_sides = {*(range(len(domain)),), *((i,) for i in range(len(domain)) if alone)} if width else {()}
        for wide in sorted(map(tuple, wide_sides)):
            balls = [arb(x, width * abs(x) if i in wide else 0) for i, x in enumerate(middles)]
            corners = product(*((-1, 1) if i in wide else (0,) for i in range(len(domain))))
            drawn = rng.uniform(-1, 1, (inside if width else 0, len(domain))).tolist()
            yield balls, [[mpf(side) + mpf(side.rad()) * t for side, t in zip(balls, at, strict=True)]
                          for at in (*corners, *drawn)]


def check(function, truth, domain, part=0.5, widths=WIDTHS, slack=1e-40, alone=True, inside=2, seed=0):
    """f(u) contains f(x) for all balls u and points x of `balls_of`; balls of a part of the radii would not."""
    seen, found = set(), ()
    for balls, points in balls_of(domain, seed, widths, alone, inside):
        found, exact = tupled(function(*balls)), [tupled(truth(*at)) for at in points]
        assert all(hold(found, values, slack) for values in exact), balls
        if all(side.rad() < 1e-3 for side in balls):
            assert all(value.is_finite() for value in found)
        seen |= {i for values in exact for i, (value, x) in enumerate(zip(found, values, strict=True))
                 if not hold([arb(value.mid(), value.rad() * part)], [x], slack)}
    assert seen == set(range(len(found))), "with a part of its radius, this passes too"
