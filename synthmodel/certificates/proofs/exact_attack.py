"""At equal margins the exact attack on label-smoothed cross-entropy is symmetric: the lemma of T1-CE-exact, certified.

The attack turns the margins (m, m) into (m + i t, m + j t), the vertex (i, j) one of (1, 1), (1, 0), (0, 0), (0, -1),
(-1, -1), of the loss l(u_j, u_k) = log(1 + e^-u_j + e^-u_k) + (b/2)(u_j + u_k). For 0 < b < 2/3 and 0 < t <= t_max(b),
where l(2 t, 2 t) = log 3 at t_max, one of the two symmetric vertices wins for every m. In the coordinates

    omega = e^-t,   phi^4 = e^(-2 b t) = 1 - (2/3)(1 - omega^2) v

that is the inside of the unit square with its edge v = 1, where t = t_max; b = 0 is v = 0, t = oo is omega = 0, and
b = 2/3 with t = 0 is the corner (1, 1). In y = e^-m each exp(l - b m) is linear. The mean of the two symmetric lines
that starts, at y = 0, with the line of (1, 0) or (0, -1) rises faster by a multiple > 0 of
(1 - omega)^2 `up` or (1 - omega)^2 `down`: their zeros at t = 0 are divided out but for the corner.
"""

from collections.abc import Callable
from fractions import Fraction

from flint import arb

from synthmodel.certificates.checker import Lemma, Series
from synthmodel.certificates.proofs.joint_accuracy import line

__all__ = ["LEMMAS", "down", "square_lemmas", "up"]

PARTS = 8  # of each side of a region, a power of 2
UNIT, LOW, HIGH = ((Fraction(low, 2), Fraction(high, 2)) for low, high in ((0, 2), (0, 1), (1, 2)))


def fourth_root(omega: Series, v: Series) -> Series:
    """Return phi = e^(-b t/2)."""
    return (1 - 2 * (1 - omega * omega) * v / 3).sqrt().sqrt()


def down(omega: Series, v: Series) -> Series:
    """Return (phi + phi^2 + phi^3 - 1 - 2 omega)/(1 - omega), for the vertex (0, -1).

    >>> down(arb(1), arb(1)).is_zero(), down(arb("0.5"), arb(1)) > 0
    (True, True)
    """
    phi = fourth_root(omega, v)
    return 2 - 2 * v * (1 + omega) * (3 + 2 * phi + phi * phi) / (3 * (1 + phi) * (1 + phi * phi))


def up(omega: Series, v: Series) -> Series:
    """Return (phi^3 (2 + omega) - omega (1 + phi + phi^2))/(1 - omega), for the vertex (1, 0).

    >>> up(arb(1), arb(1)).is_zero(), up(arb("0.5"), arb(1)) > 0
    (True, True)
    """
    phi = fourth_root(omega, v)
    fall = 2 * (1 + phi + phi * phi) - omega * (1 - phi * phi)
    return 2 - 2 * v * (1 + omega) * fall / (3 * (1 + phi) * (1 + phi * phi))


def square_lemmas(name: str, function: Callable[[Series, Series], Series]) -> dict[str, Lemma]:
    """State that function > 0 on the unit square but its corner (1, 1).

    It falls in v; on v = 1 it is positive for omega <= 1/2, then falls to 0.
    """
    return {f"{name}_v": Lemma((UNIT, UNIT), ((lambda omega, v: function(line(omega, 0), line(v, 1))[1], -1),), PARTS),
            f"{name}_far": Lemma((LOW,), ((lambda omega: function(omega, arb(1)), 1),), PARTS),
            f"{name}_near": Lemma((HIGH,), ((lambda omega: function(line(omega, 1), line(arb(1), 0))[1], -1),), PARTS),
            f"{name}_corner": Lemma((), ((lambda: function(arb(1), arb(1)), 0),))}


LEMMAS = {**square_lemmas("up", up), **square_lemmas("down", down)}
