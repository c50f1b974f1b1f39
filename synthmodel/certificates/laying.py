"""Find cells that are laid in tau one upon another, for the certificates of `columns`; no part of a proof."""

import math
from collections.abc import Callable
from fractions import Fraction

from flint import arb

from synthmodel.certificates.checker import Box, ball
from synthmodel.certificates.columns import Laid

__all__ = ["below", "lay", "rounded"]

WIDEST, NARROWEST = 0.25, 1e-4  # relative width of a cell


def rounded(number: arb | float | Fraction, digits: int = 4) -> Fraction:
    """Return a decimal of so many digits near the number."""
    return Fraction(f"{float(number):.{digits}g}")


def below(number: arb | float | Fraction) -> Fraction:
    """Return a decimal a little below a positive number."""
    return rounded(0.999 * float(number))


def lay(laid: Laid, low: Fraction, high: Fraction, start: Fraction,
        hint: Callable[[arb, arb, float], float] | None = None) -> list[Box]:
    """Find cells of `laid` over [low, high], in tau from `start` up to the last ones, each as wide as is certain.

    Where nothing is certain, the cell is halved, in tau or in p, whichever is wider.
    hint(p, tau, last): the number that becomes the third interval of a cell, of length 0; last: that of the cell below.
    Raises ValueError where cells of relative width NARROWEST are not certain.
    """
    cells: list[Box] = []
    todo = [(low, high, start, WIDEST, 0.02)]
    while todo:
        low, high, tau, step, x = todo.pop()
        while True:
            digits = 2 - math.floor(math.log10(step))  # so many that rounding moves the end by < 1/20 of the cell
            cell: Box = ((low, high), (tau, rounded(tau * Fraction(1 + step), digits)))
            now = x
            try:
                if hint:
                    now = hint(ball(*cell[0]), ball(*cell[1]), x)
                    cell += ((Fraction(str(now)), Fraction(str(now))),)
                on, end = laid.values(*(ball(*side) for side in cell))
                certain, last = bool(on > 0 or end > 0), bool(end > 0)
            except (ValueError, ZeroDivisionError):  # a square root of, or a division by, a ball that contains 0
                certain = False
            if certain:
                cells.append(cell)
                if last:
                    break
                tau, step, x = cell[1][1], min(1.5 * step, WIDEST), now
            elif step < NARROWEST and high / low - 1 < NARROWEST:
                raise ValueError(f"cells up to an end were asked for, but no sign is certain near p = {float(low):g}, "
                                 f"tau = {float(tau):g}: the claim may be false there, so choose a smaller region.")
            elif step > high / low - 1:
                step /= 2
            else:
                todo.append(((low + high) / 2, high, tau, step, x))
                high = (low + high) / 2
    return sorted(cells)
