"""Finds the cells that section9_certify checks: `python -m synthmodel.certificates.search_cross_entropy` (minutes).

Nothing here is part of a proof: cells are kept where the functions of the certificates have certain signs, and
`certify_section9` checks all that is stored anew.
"""

import math
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise

from synthmodel.certificates.checker import DATA, Lemma, ball, precision
from synthmodel.certificates.cross_entropy import LEMMAS
from synthmodel.certificates.proofs.ce_monotone import BEGIN, MONOTONE, K, tangent_point
from synthmodel.certificates.proofs.n4_end import ABOVE, curve
from synthmodel.certificates.search import bisect, store

__all__ = ["above_cells", "lay", "make", "monotone_cells"]

WIDEST, NARROWEST = 0.25, 1e-4  # relative width of a cell
CUTS = (K[0], *map(Fraction, ("1/5", "1/2", "1", "3/2", "2", "5/2")), K[1])  # one file each


def rounded(number, digits=4):
    """A decimal of so many digits near the number."""
    return Fraction(f"{float(number):.{digits}g}")


def below(number):
    """A decimal a little below a positive number."""
    return rounded(0.999 * float(number))


def ratio(k, tau, guess):
    """x = w1/w2 - 1 near the middle of a cell."""
    return float(rounded(tangent_point(k, tau, guess)[0][2]))


def lay(laid, low, high, start, hint=None):
    """Cells of `laid` over [low, high], in tau from `start` up to the last ones, each as wide as is certain.

    Where nothing is certain, the cell is halved, in tau or in p, whichever is wider. hint: a function of two balls and
    of its own last value, whose value becomes the third interval of a cell, of length 0. Raises ValueError where cells
    of relative width NARROWEST are not certain.
    """
    cells, todo = [], [(low, high, start, WIDEST, 0.02)]
    while todo:
        low, high, tau, step, x = todo.pop()
        while True:
            digits = 2 - math.floor(math.log10(step))  # so many that rounding moves the end by < 1/20 of the cell
            cell = (low, high), (tau, rounded(tau * Fraction(1 + step), digits))
            try:
                now = hint(*(ball(*side) for side in cell), x) if hint else None
                cell += ((Fraction(str(now)),) * 2,) if hint else ()
                on, end = laid.values(*(ball(*side) for side in cell))
                certain, last = bool(on > 0 or end > 0), bool(end > 0)
            except (ValueError, ZeroDivisionError):  # a square root of, or a division by, a ball that contains 0
                certain = False
            if certain:
                cells.append(cell)
                if last:
                    break
                tau, step, x = cell[1][1], min(1.5 * step, WIDEST), now
            elif max(step, high / low - 1) < NARROWEST:
                raise ValueError(f"cells up to an end were asked for, but no sign is certain near p = {float(low):g}, "
                                 f"tau = {float(tau):g}: the claim may be false there, so choose a smaller region.")
            elif step > high / low - 1:
                step /= 2
            else:
                todo.append(((low + high) / 2, high, tau, step, x))
                high = (low + high) / 2
    return sorted(cells)


def above_cells(laid=ABOVE):
    """Cells of the certificate of N4 on the ray."""
    low, high = laid.side
    with precision():
        start = 2 * curve(ball(low, low))[0][0] * curve(ball(high, high))[1][0]
        return lay(laid, low, high, below(start))


def monotone_cells(laid=MONOTONE):
    """Cells of the certificate of CE-monotone.

    >>> len(monotone_cells(replace(MONOTONE, side=(Fraction(1, 2), Fraction(51, 100))))) > 10
    True
    """
    low, high = laid.side
    with precision():
        return lay(laid, low, high, below(low / BEGIN), ratio)


def make(folder=DATA):
    """Write the cells of every certificate of section 9 into `folder`; yield the name of each file and their number.

    Raises ValueError, and leaves the file as it was, where no cells are found.
    """
    searches = {name: partial(bisect, lemma.signs, lemma) for name, lemma in LEMMAS.items()
                if isinstance(lemma, Lemma) and lemma.region}
    searches["section9_above"] = above_cells
    for number, ends in enumerate(pairwise(CUTS)):
        searches[f"section9_monotone_{number}"] = partial(monotone_cells, replace(MONOTONE, side=ends))
    for name, search in searches.items():
        cells = search()
        store(cells, folder / f"{name}.json")
        yield name, len(cells)


if __name__ == "__main__":
    for file, count in make():
        print(f"{file:19} {count:5} cells", flush=True)
