"""The checker: does a stored partition prove a lemma? It trusts exact fractions, ball arithmetic, and nothing else.

A lemma says that on every point of a region some function has a certain sign. A partition is a list of boxes with exact
rational end points. The checker verifies that the boxes tile the region and that the sign is certain on each of them.
How the boxes were found does not matter.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

from flint import arb, ctx, fmpq

__all__ = ["DATA", "Box", "Lemma", "Series", "ball", "examine", "grid", "precision", "read_boxes", "sign", "tiles"]

DATA = Path(__file__).parent / "data"
BITS = 64

Box = tuple[tuple[Fraction, Fraction], ...]  # the product of closed intervals (low, high)
Function = Callable[..., arb]  # of one ball for each interval
Series = Any  # a ball (arb), or a Taylor series of two terms (arb_series): flint computes with both alike


@dataclass(frozen=True)
class Lemma:
    """On each point of `region`, a tuple of closed intervals with rational ends, one function has its sign (1, -1, 0).

    signs: pairs (function, sign); a function takes one ball for each interval. A lemma about one point has region ().
    parts: 0 where the boxes are stored; n where cutting each side of the region in n equal parts is enough.
    """

    region: Box
    signs: tuple[tuple[Function, int], ...]
    parts: int = 0


@contextmanager
def precision(bits: int = BITS) -> Iterator[None]:
    """Let flint compute with so many bits and with Taylor series of two terms; then restore its settings.

    >>> with precision(200):
    ...     print(ctx.prec)
    200
    """
    before = ctx.prec, ctx.cap
    try:
        ctx.prec, ctx.cap = bits, 2
        yield
    finally:
        ctx.prec, ctx.cap = before


def ball(low: Fraction, high: Fraction) -> arb:
    """Return a ball that contains the rational interval [low, high].

    >>> arb(1) / 3 in ball(Fraction(1, 3), Fraction(1, 2))
    True
    """
    return arb(fmpq(low.numerator, low.denominator)).union(arb(fmpq(high.numerator, high.denominator)))


def rational(text: str) -> Fraction:
    """Return the fraction p/q of its text; ValueError for any other text, such as "1e-999999999" (a billion digits)."""
    if not re.fullmatch(r"-?[0-9]+(/[0-9]+)?", text):
        raise ValueError(f"{text!r} is no p/q")
    return Fraction(text)


def read_boxes(path: Path) -> list[Box]:
    """Read a stored partition: a JSON list of boxes, each a list of [low, high], as text. ValueError if it is not that.

    >>> [[(float(low), float(high)) for low, high in box] for box in read_boxes(DATA / "N2_near.json")]
    [[(0.0, 0.125)], [(0.125, 0.25)]]
    """
    try:
        return [tuple((rational(low), rational(high)) for low, high in box) for box in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError, ArithmeticError, RecursionError):
        raise ValueError(f"{path} was given, but it holds no list of boxes with rational end points: regenerate it "
                         "with python -m synthmodel.certificates.search.") from None


def grid(region: Box, parts: int) -> list[Box]:
    """Cut each side of the region in so many equal parts; a power of 2 gives a tiling that `tiles` recognises.

    >>> [[(str(low), str(high)) for low, high in box] for box in grid(((Fraction(0), Fraction(1)),), 2)]
    [[('0', '1/2')], [('1/2', '1')]]
    >>> grid((), 0)  # the one box of a lemma about one point
    [()]
    """
    return list(product(*([(low + (high - low) * Fraction(part, parts), low + (high - low) * Fraction(part + 1, parts))
                           for part in range(parts)] for low, high in region)))


def tiles(boxes: Sequence[Box], region: Box) -> bool:
    """Decide exactly whether the boxes fill the region without gap or overlap.

    Boxes and region are cut in halves, both at once, until each part of the region is one box.

    >>> half = Fraction(1, 2)
    >>> tiles([((0, half),), ((half, 1),)], ((0, 1),)), tiles([((0, half),), ((0, 1),)], ((0, 1),))
    (True, False)
    """
    left = [(boxes, region)]  # no recursion: a file may cut deeper than Python's stack
    while left:
        boxes, region = left.pop()
        if len(boxes) <= 1 or any(len(box) != len(region) for box in boxes):
            if boxes != [region]:
                return False
            continue
        for axis, (low, high) in enumerate(region):
            middle = Fraction(low + high) / 2
            below = [box for box in boxes if box[axis][1] <= middle]
            above = [box for box in boxes if box[axis][0] >= middle]
            if below and above and len(below) + len(above) == len(boxes):
                left += [(part, (*region[:axis], side, *region[axis + 1:]))
                         for part, side in ((below, (low, middle)), (above, (middle, high)))]
                break
        else:
            return False
    return True


def sign(function: Function, box: Box) -> int | None:
    """Return 1, -1 or 0 (exactly zero) where that is certain on the whole box, else None (undecided).

    >>> sign(lambda x: x * x - 4, ((Fraction(0), Fraction(1)),))
    -1
    """
    try:
        value = function(*(ball(*interval) for interval in box))
    except (ValueError, ZeroDivisionError):  # a series divided by a ball that contains 0
        return None
    return 1 if value > 0 else -1 if value < 0 else 0 if value.is_zero() else None


def examine(lemma: Lemma, boxes: Sequence[Box]) -> str:
    """Say whether the boxes prove the lemma.

    "holds", "fails" (on some box all signs are certain and wrong), "undecided", or "not a tiling" of the region.

    >>> square = Lemma(((Fraction(1), Fraction(2)),), ((lambda x: x * x - 4, -1),))
    >>> examine(square, [square.region])  # zero at x = 2
    'undecided'
    """
    if not tiles(boxes, lemma.region):
        return "not a tiling"
    outcome = "holds"
    with precision():
        for box in boxes:
            signs = [(sign(function, box), wanted) for function, wanted in lemma.signs]
            if all(found not in (None, wanted) for found, wanted in signs):
                return "fails"
            if all(found != wanted for found, wanted in signs):
                outcome = "undecided"
    return outcome
