"""Certificates whose cells are laid in tau one upon another: the exact check that they cover, and their signs.

A claim about the points (p, tau) of a strip, low <= p <= high, between two curves: the lower one is given, the upper
one is known only as a place where another sign is certain. The cells over each p begin on or below the lower curve and
follow each other without gap or overlap up to a last one, on which that sign is certain. Why that is enough is said
where the functions are (proofs.ce_monotone, proofs.n4_end).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from flint import arb

from synthmodel.certificates.checker import Box, precision, sign

__all__ = ["Laid", "examine_laid", "last_cells"]


@dataclass(frozen=True)
class Laid:
    """A sign that cells, boxes of rational intervals (p, tau, ...), have to show over `side` = (low, high).

    size: how many intervals a cell has.
    begins(low, high, tau): whether tau certainly lies on or below the lower curve for low <= p <= high.
    values: a function of one ball for each interval; gives two, (on, end). The last cell over each p needs end > 0, the
    others on > 0.
    """

    side: tuple[Fraction, Fraction]
    size: int
    begins: Callable[[Fraction, Fraction, Fraction], bool]
    values: Callable[..., tuple[arb, arb]]


def last_cells(laid: Laid, boxes: Sequence[Box]) -> set[Box] | None:
    """Return the set of the last cells, or None unless over each p of laid.side the cells leave no gap and no overlap.

    All ends are compared exactly. Between two neighbours among all end points in p the same cells lie over each p: one
    column for each such pair is checked.

    >>> plain = Laid((0, 2), 2, lambda low, high, tau: tau <= 1, None)
    >>> cells = [((0, 2), (1, 3)), ((0, 1), (3, 5)), ((1, 2), (3, 4))]
    >>> last_cells(plain, cells) == set(cells[1:]), last_cells(plain, cells[1:])
    (True, None)
    """
    if any(len(box) != laid.size for box in boxes):
        return None
    cuts = sorted({end for box in boxes for end in box[0]})
    place = {cut: number for number, cut in enumerate(cuts)}
    columns: list[list[Box]] = [[] for _ in cuts[1:]]
    for box in boxes:
        if not (box[0][0] < box[0][1] and box[1][0] < box[1][1]):
            return None
        for column in columns[place[box[0][0]]:place[box[0][1]]]:
            column.append(box)
    if not all(columns) or (cuts[:1], cuts[-1:]) != ([laid.side[0]], [laid.side[1]]):
        return None
    for column in columns:
        column.sort(key=lambda box: box[1])
    joined = all(below[1][1] == above[1][0] for column in columns for below, above in pairwise(column))
    begun = all(laid.begins(*box[0], box[1][0]) for box in {column[0] for column in columns})
    return {column[-1] for column in columns} if joined and begun else None


def examine_laid(laid: Laid, boxes: Sequence[Box]) -> str:
    """Say whether the cells prove the claim.

    "holds", "fails" (a sign is certain and wrong), "undecided", or "not laid without gaps" up to both ends.

    >>> from fractions import Fraction
    >>> laid = Laid((0, 1), 2, lambda low, high, tau: tau == 0, lambda p, tau: (1 + p - tau, tau - 1 - p))
    >>> cells = [((0, 1), (0, Fraction(1, 2))), ((0, 1), (2 + Fraction(1, 2), 3))]
    >>> examine_laid(laid, cells), examine_laid(laid, [cells[0], ((0, 1), (Fraction(1, 2), 3))])
    ('not laid without gaps', 'undecided')
    """
    with precision():
        last = last_cells(laid, boxes)
        if last is None:
            return "not laid without gaps"
        signs = {sign(lambda *balls, end=box in last: laid.values(*balls)[end], box) for box in boxes}
    return "holds" if signs == {1} else "fails" if signs & {-1, 0} else "undecided"
