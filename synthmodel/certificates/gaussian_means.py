"""Rigorous Gaussian expectations behind cross-entropy in two dimensions (THEORY.md, CE-2D).

M_ij(alpha, s, z) = E of the derivative d^i/da^i d^j/dD^j of log(1 + 2 e^{-a} cosh D) at a = alpha + sqrt(s) X,
D = sqrt(z) Y, X and Y independent standard normals. By the heat equation dM_ij/dalpha = M_{i+1,j}, dM_ij/ds =
M_{i+2,j}/2 and dM_ij/dz = M_{i,j+2}/2; by parts, with P = 1 - p_1 = W/(1+W), W = 2 e^{-a} cosh D, and m = i-1 >= 0,

    M_ij = -E[He_m(X) He_j(Y) P]/(s^{m/2} z^{j/2}),   M_0j = E[He_{j-1}(Y) P tanh D]/z^{(j-1)/2}.

Taylor's formula turns values at one point into enclosures on a box. Why all bounds below hold: THEORY.md#arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from flint import arb

from synthmodel.certificates.checker import precision

if TYPE_CHECKING:
    from jaxtyping import Float

    Table = Float[np.ndarray, "i j"]  # over the orders i and j

__all__ = ["Means", "moments"]

Means = Callable[[int, int], arb]

ORDER = 16  # of the highest derivatives that are computed
SIZE = ORDER + 3  # of the tables over i and j
ROOTS = np.sqrt([float(math.factorial(m)) for m in range(SIZE)])
REACH = 9.0  # of the nodes
EXPONENT = 28.0  # discretisation error about exp(-28)
WIDEST = 4.0  # shift of the contour; a larger one costs the high orders more than it gains
RADIUS = 0.75  # of the circles in a and in D, see `largest`: 2 RADIUS < pi/2, RADIUS < pi/4
STRIP = 1.3  # |Im a|, |Im D| <= 1.3 < pi/2: there Re W >= 0, so |P| <= 1, and |tanh D| <= tan 1.3 < 4
BITS = 80  # of the balls that are rounded to doubles
ROUND = 2.0**-52  # more than the relative error of rounding to a double and of one operation on doubles
SAFE = 1 + 1e-9  # makes up for the rounding of sums and products of some hundred positive doubles


def step_of(index: int) -> float:
    """Return the step 2^(-index/4), rounded to 20 bits so that its small multiples are exact doubles."""
    return round(2.0 ** (20 - index / 4)) / 2.0**20


@cache
def table(index: int) -> tuple[Float[np.ndarray, "nodes"], Float[np.ndarray, "orders nodes"],
                               Float[np.ndarray, "orders"]]:
    """Return (nodes, rows, norms) for the step step_of(index): rows[m] = step phi(x) He_m(x) at the nodes x = step j.

    norms[m] >= sum |rows[m]| and >= sqrt(m!); the errors of row m add up to less than ROUND norms[m].
    """
    step = step_of(index)
    count = int(REACH / step) + 1
    nodes = step * np.arange(-count, count + 1)
    with precision(BITS):
        scale = step / (2 * arb.pi()).sqrt()
        exact = [arb(float(x)) for x in nodes]
        previous, row = [arb(0)] * len(nodes), [scale * (-x * x / 2).exp() for x in exact]
        rows = np.empty((ORDER + 1, len(nodes)))
        for m in range(ORDER + 1):
            rows[m] = [float(value) for value in row]
            previous, row = row, [x * now - m * old for x, now, old in zip(exact, row, previous, strict=True)]
    return nodes, rows, np.maximum(np.abs(rows).sum(1), ROOTS[:ORDER + 1]) * SAFE


@cache
def rule(index: int, shift: float) -> Float[np.ndarray, "orders"]:
    """Bound |trapezoidal sum - E[He_m(X) f(X)]|, m = 0..ORDER, for f analytic with |f| <= 1 on |Im X| <= shift.

    2 exp(y^2/2) sqrt(E|He_m(X + iy)|^2)/(exp(2 pi y/step) - 1), y = shift, E|He_m(X + iy)|^2 = sum_l C(m,l)^2 (m-l)!
    y^{2l}, and for the nodes left out, beyond R = REACH, 2 phi(R) R^{m-1} exp(m^2/(2 R^2))/(1 - m/R^2).
    Source: Trefethen and Weideman 2014, theorem 5.1.
    """
    moved = 2 * math.exp(shift**2 / 2) / math.expm1(2 * math.pi * shift / step_of(index))
    far = 2 * math.exp(-REACH**2 / 2) / math.sqrt(2 * math.pi)
    bounds = []
    for m in range(ORDER + 1):
        square = sum(math.comb(m, k) ** 2 * math.factorial(m - k) * shift ** (2 * k) for k in range(m + 1))
        tail = far * REACH ** (m - 1) * math.exp(m * m / (2 * REACH**2)) / (1 - m / REACH**2)
        bounds.append((moved * math.sqrt(square) + tail) * SAFE)
    return np.array(bounds)


def rule_for(scale: float) -> tuple[int, float]:
    """Choose (index, shift): the coarsest rule for functions of scale * X analytic in |Im scale X| <= STRIP."""
    shift = 2.0 ** (math.floor(8 * math.log2(min(STRIP / scale, WIDEST))) / 8)  # rounded, so that few rules are made
    return math.ceil(4 * math.log2((EXPONENT + shift**2 / 2) / (2 * math.pi * shift))), shift


def expectations(alpha: float, s: float, z: float) -> tuple[Table, Float[np.ndarray, "orders"], Table]:
    """Compute (even, odd, error) at one point in doubles: E[He_m(X) He_n(Y) P], E[He_n(Y) P tanh D], and error bounds.

    Only exponentials of balls, rounded to doubles, then products, sums and quotients of doubles: each has a relative
    error below ROUND, so a sum of N terms bounded by the entries of two tables errs by less than (N + 20) ROUND
    times their norms. Overflow would make NaNs, which prove nothing.
    """
    (x_index, x_shift), (y_index, y_shift) = rule_for(math.sqrt(s)), rule_for(math.sqrt(z))
    x, x_rows, x_norms = table(x_index)
    y, y_rows, y_norms = table(y_index)
    half = len(y) // 2  # all integrands are even in Y
    y, y_rows = y[half:], y_rows[:, half:] * np.where(y[half:] > 0, 2, 1)
    with precision(BITS):
        t, v, middle = arb(s).sqrt(), arb(z).sqrt(), arb(alpha)
        falling = np.array([float((-middle - t * node).exp()) for node in x.tolist()])
        grown = [(v * node).exp() for node in y.tolist()]
        double_cosh = np.array([float(g + 1 / g) for g in grown])
        tanh = np.array([float((g - 1 / g) / (g + 1 / g)) for g in grown])
    odds = falling[:, None] * double_cosh
    given_x = x_rows @ (odds / (1 + odds))
    even, odd = given_x @ y_rows.T, y_rows @ (given_x[0] * tanh)
    error = ((len(x) + len(y) + 20) * ROUND * np.outer(x_norms, y_norms)
             + np.outer(x_norms, 4 * rule(y_index, y_shift)) + np.outer(rule(x_index, x_shift), y_norms))
    return even, odd, error


def values(alpha: float, s: float, z: float) -> tuple[Table, Table]:
    """Compute (M, error): tables over i, j of M_ij at one point and of error bounds; infinite where not computed."""
    even, odd, error = expectations(alpha, s, z)
    t, v = math.sqrt(s), math.sqrt(z)
    m, bound = np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE), np.inf)
    for i in range(ORDER + 1):
        for j in range(0 if i else 2, ORDER + 1 - i, 2):
            scale = t ** (i - 1) * v**j if i else v ** (j - 1)
            m[i, j] = -even[i - 1, j] / scale if i else odd[j - 1] / scale
            bound[i, j] = error[i - 1, j] / scale if i else error[0, j - 1] / scale
    return m, bound * SAFE + 1e-12 * np.abs(m)


def largest(s: float, z: float) -> Table:
    """Bound |M_ij| for all alpha and all variances >= s, z: a table over i, j.

    Of the derivatives of P, some are moved to the normal density, which gives E|He_l| <= sqrt(l!); the others are
    bounded by Cauchy's formula with radius RADIUS in a and in D, as |P| <= 1 while |Im a| + |Im D| <= pi/2 and
    |tanh D| <= 1 while |Im D| <= pi/4.
    """
    def factor(scale: float) -> Float[np.ndarray, "orders"]:
        moved = ROOTS / scale ** np.arange(SIZE)
        rest = ROOTS**2 / RADIUS ** np.arange(SIZE)
        return np.array([min(moved[:n + 1] * rest[n::-1]) for n in range(SIZE)])

    of_s, of_z = factor(math.sqrt(s)), factor(math.sqrt(z))
    table_of = np.outer(np.append(1, of_s[:-1]), of_z)
    table_of[0, 1:] = of_z[:-1]
    return table_of * SAFE


def spread(bound: Table, widths: Sequence[float]) -> Table:
    """Return d_alpha |F_{i+1,j}| + d_s |F_{i+2,j}|/2 + d_z |F_{i,j+2}|/2, infinite at the end of the table."""
    d_alpha, d_s, d_z = widths
    total = np.full_like(bound, np.inf)
    total[:-2, :-2] = d_alpha * bound[1:-1, :-2] + d_s / 2 * bound[2:, :-2] + d_z / 2 * bound[:-2, 2:]
    return total


def on_box(value: Table, error: Table, most: Table, widths: Sequence[float]) -> Table:
    """Bound |F_ij - value| on the box, for a table F closed under the three derivatives, |F| <= most.

    With R_n(i, j) = |F_ij(centre)| + spread(R_{n+1})/(n+1), or `most` where that is smaller or n = ORDER, Taylor's
    formula is |F_ij - F_ij(centre)| <= spread(R_1).
    """
    if not any(widths):
        return error * SAFE
    bound = most
    for n in range(ORDER, 1, -1):
        bound = np.fmin(np.abs(value) + error + spread(bound, widths) / n, most)
    return (error + spread(bound, widths)) * SAFE


def moments(alpha: arb, s: arb, z: arb) -> tuple[Means, Means]:
    """Return (M, Q): functions of (i, j) whose balls enclose M_ij and Q_ij = (M_{i,j+2} - M_{i+2,j})/2 on a box.

    alpha, s, z: balls, s and z > 0, else ValueError. Q_00 = B - A = 2 E[p_2 p_3] (claim S1) has its own Taylor
    series, for it may be far smaller than A = M_20. i >= 1 or j >= 2 for M; j is even.

    >>> M, Q = moments(arb(1), arb("0.5"), arb("0.1"))
    >>> M(1, 0), Q(0, 0)  # -E[1 - p_1] and 2 E[p_2 p_3]
    ([-0.44208...], [0.10023...])
    """
    if not (s > 0 and z > 0):
        raise ValueError(f"s = {s} and z = {z} were given, but both must be balls of positive numbers: choose weights "
                         "w1, w2 > 0 and smaller boxes.")
    centre = [float(side.mid()) for side in (alpha, s, z)]
    widths = [float(abs(side - middle).upper()) * SAFE for side, middle in zip((alpha, s, z), centre, strict=True)]
    m, error = values(*centre)
    most = largest(float(s.lower()) / SAFE, float(z.lower()) / SAFE)
    radius = on_box(m, error, most, widths)
    q, q_error, q_most = (m[:-2, 2:] - m[2:, :-2]) / 2, *((t[:-2, 2:] + t[2:, :-2]) / 2 * SAFE for t in (error, most))
    q_radius = on_box(q, q_error, q_most, widths)
    return lambda i, j: arb(m[i, j], radius[i, j]), lambda i, j: arb(q[i, j], q_radius[i, j])
