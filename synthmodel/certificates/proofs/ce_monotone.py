"""r_CE increases in k, that is, decreases in eps: certified on boxes (THEORY.md, CE-monotone).

Unit noise, w = (w1, w2) the minimiser for (k, L), tau = |w|, x = 1/r - 1 = w1/w2 - 1. With alpha = k (w1 + w2),
s = w1^2 + w2^2/2, z = w2^2/2 and P = E[1 - p_1], A, Q = B - A as functions of (alpha, s, z), claim S1 reads

    g = x - w1 Q/(k P) = 0,      L = k P/w1 - A,

and r rises in k at fixed L iff

    N = (Q'/Q - a') (b - a'') - (Q''/Q - a'') (c - a') > 0,

' = alpha d/dalpha, '' = 2 s d/ds + 2 z d/dz, (a', a'') = (A', A'') w1/(k P), c = 1 - alpha A/P, b = P''/P - 2. The sign
is that of N P^2 Q, which has no quotients and therefore narrower balls; P and Q = 2 E[p_2 p_3] are positive.

Why one root of g on each circle is enough, and why cells laid in tau cover a range of L: THEORY.md, CE-monotone. From
k = 3 on the cells begin at tau = k/3, below which CE-monotone-ends is the proof.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from flint import arb, arb_series

from synthmodel.certificates.checker import Series
from synthmodel.certificates.columns import Laid
from synthmodel.certificates.gaussian_means import Means, moments

__all__ = ["LEMMAS", "MONOTONE", "STRONG", "along", "cell", "lift", "residual", "sides", "tangent_point"]

K, LEAST = (Fraction(1, 10), Fraction(3)), arb("0.001")  # the region: k in K, L from LEAST to 10
BEGIN = Fraction(41, 2)  # the minimiser has tau > k/BEGIN
STRONG_K = K[1], Fraction(21, 5)  # k of the second region, L from LEAST to infinity
BITS = 64

Point = tuple[arb, arb, arb]  # (k, tau, x)


def sides(k: Series, tau: Series, x: Series) -> tuple[Series, Series, Series, Series]:
    """Return (w1, alpha, s, z) for balls or series."""
    r = 1 / (1 + x)
    one = 1 + r * r
    w1 = tau / one.sqrt()
    return w1, k * w1 * (1 + r), tau * tau * (1 + one) / (2 * one), tau * tau * r * r / (2 * one)


def lift(F: Means, alpha: Series, s: Series, z: Series) -> Callable[[int, int], Series]:
    """F_ij along a line, as series, from balls F(i, j): dF_ij = F_{i+1,j} dalpha + (F_{i+2,j} ds + F_{i,j+2} dz)/2."""
    return lambda i, j: arb_series([F(i, j), F(i + 1, j) * alpha[1] + (F(i + 2, j) * s[1] + F(i, j + 2) * z[1]) / 2])


def residual(k: Series, tau: Series, x: Series, M: Means, Q: Means) -> Series:
    """Compute g as a series of two terms along a line in (k, tau, x); M and Q are those of `moments`."""
    w1, *rest = sides(k, tau, x)
    return x + w1 / k * lift(Q, *rest)(0, 0) / lift(M, *rest)(1, 0)


def signs(k: Series, tau: Series, x: Series, M: Means, Q: Means) -> tuple[Series, Series]:
    """Compute (N P^2 Q, L) as series of two terms along a line in (k, tau, x)."""
    w1, alpha, s, z = sides(k, tau, x)
    M, Q = lift(M, alpha, s, z), lift(Q, alpha, s, z)
    P, A, E, unit = 0 - M(1, 0), M(2, 0), Q(0, 0), w1 / k
    a1, a2 = alpha * M(3, 0) * unit, (s * M(4, 0) + z * M(2, 2)) * unit  # P a', P a''
    q1, q2 = alpha * Q(1, 0), s * Q(2, 0) + z * Q(0, 2)  # Q', Q''
    b, c = 0 - (s * M(3, 0) + z * M(1, 2)) - 2 * P, P - alpha * A  # P b, P c
    return (P * q1 - E * a1) * (b - a2) - (P * q2 - E * a2) * (c - a1), P / unit - A


def along(function: Callable[..., Any], box: Point, lines: Sequence[Sequence[arb | float]], M: Means,
          Q: Means) -> list[Any]:
    """Evaluate `function` on the box of balls (k, tau, x) in each direction: [0] is its value, [1] its slope."""
    return [function(*(arb_series([side, slope]) for side, slope in zip(box, line, strict=True)), M, Q)
            for line in lines]


def tangent_point(k: arb, tau: arb, x: float) -> tuple[Point, tuple[Means, Means], tuple[float, float]]:
    """Find a point near g = 0 over the middle of the cell; return it, its moments, and (dx/dk, dx/dtau) there.

    Newton's method in floats from the guess x; no proof relies on it.
    """
    middle = arb(k.mid()), arb(tau.mid())
    for _ in range(30):
        point = *middle, arb(x)
        tables = moments(*sides(*point)[1:])
        by_k, by_tau, by_x = along(residual, point, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), *tables)
        slope = float(by_x[1])
        step, slopes = float(by_x[0]) / slope, (-float(by_k[1]) / slope, -float(by_tau[1]) / slope)
        if abs(step) < 0.2 * (abs(slopes[0]) * float(k.rad()) + abs(slopes[1]) * float(tau.rad())):
            break
        x = abs(x - step)
    return point, tables, slopes


def cell(k: arb, tau: arb, guess: float) -> tuple[arb, arb, float, float] | None:
    """Enclose (N, L) on the cell k x tau, at a root of g over each point; return (N, L, x, dx/dtau), or None.

    Mean value forms around a point near the surface along its tangents, x = x_c + x_k dk + x_tau dtau + xi: where
    Newton's step maps |xi| <= slack into itself, each point of the cell has a root, with xi in the image.
    """
    point, tables, (x_k, x_tau) = tangent_point(k, tau, guess)
    d_k, d_tau = k - point[0], tau - point[1]
    lines = (1, 0, x_k), (0, 1, x_tau), (0, 0, 1)
    (g,), ((N, L),) = along(residual, point, lines[:1], *tables), along(signs, point, lines[:1], *tables)
    tangent = point[2] + x_k * d_k + x_tau * d_tau
    slack = arb(0, 1.5 * float(tangent.rad()))
    for _ in range(3):
        box = k, tau, tangent + slack
        if not box[2] > 0:
            return None
        tables = moments(*sides(*box)[1:])
        g1, g2, g3 = along(residual, box, lines, *tables)
        xi = 0 - (g[0] + g1[1] * d_k + g2[1] * d_tau) / g3[1]
        if slack.contains(xi):
            (N1, L1), (N2, L2), (N3, L3) = along(signs, box, lines, *tables)
            return (N[0] + N1[1] * d_k + N2[1] * d_tau + N3[1] * xi, L[0] + L1[1] * d_k + L2[1] * d_tau + L3[1] * xi,
                    float(point[2]), x_tau)
        slack = arb(0, 1.3 * float(abs(xi).upper()))
    return None


def values(k: arb, tau: arb, x: arb) -> tuple[arb, arb]:
    """Return balls (on, end) on a cell: on > 0 only if N > 0 and L > -LEAST there, end > 0 only if |L| < LEAST.

    x: a hint, where the root of g is looked for.
    """
    found = cell(k, tau, float(x.mid()))
    return (found[0].min(found[1] + LEAST), LEAST - abs(found[1])) if found else (arb.nan(), arb.nan())


MONOTONE = Laid(K, 3, lambda low, high, tau: tau <= low / BEGIN, values)
STRONG = Laid(STRONG_K, 3, lambda low, high, tau: 3 * tau <= low, values)
LEMMAS = {"CE_monotone": MONOTONE, "CE_monotone_strong_signal": STRONG}
