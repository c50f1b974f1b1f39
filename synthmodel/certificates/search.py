"""Find the cells that are stored: `python -m synthmodel.certificates.search [NAME ...]` writes them anew (minutes).

Nothing here is part of a proof: `certify` checks all that is stored. A box whose sign is not certain is halved, across
the axis that leaves the better halves. For joint accuracy the formulas are the closed derivatives of THEORY.md,
T2-joint', not the series of `proofs.joint_accuracy`; a box is kept when the sign is certain by both, which share
nothing but the regions and the balls.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

from flint import arb

from synthmodel.certificates.certify import LEMMAS
from synthmodel.certificates.checker import DATA, Box, Lemma, ball, examine, precision
from synthmodel.certificates.columns import Laid
from synthmodel.certificates.laying import below, lay, rounded
from synthmodel.certificates.proofs.ce_monotone import BEGIN, MONOTONE, STRONG, K, tangent_point
from synthmodel.certificates.proofs.n4_end import above_cells
from synthmodel.system.files import write_text
from synthmodel.system.terminal import OneSentenceParser

__all__ = ["CLOSED", "SEARCHES", "bisect", "make", "monotone_cells", "store"]

MOST_BOXES = 2000
CUTS = (K[0], *map(Fraction, ("1/5", "1/2", "1", "3/2", "2", "5/2")), K[1])  # of CE_monotone in k, one file each

Signs = tuple[tuple[Callable[..., arb], int], ...]


def parts(r: arb, k: arb) -> tuple[arb, ...]:
    """Return g, X, Y, u, imr(u) and -imr'(u) (T2-joint')."""
    one, two = (1 + r * r).sqrt(), (2 + r * r).sqrt()
    u = k * r * (1 + r) / (one * two)
    imr = (-u * u / 2).exp() / ((arb.pi() / 2).sqrt() * (1 + (u / arb(2).sqrt()).erf()))
    return (two / one, r * (1 - r) / (two * one * one * one), 2 * (1 + r) / (two * two * two * one), u, imr,
            imr * (u + imr))


def f(r: arb, k: arb) -> arb:
    g, _, _, _, imr, _ = parts(r, k)
    return k * (1 - r) * g - imr


def f_r(r: arb, k: arb) -> arb:
    g, x, y, _, _, fall = parts(r, k)
    return k * (fall * (y + x) - g - x)


def f_k(r: arb, k: arb) -> arb:
    g, _, _, _, _, fall = parts(r, k)
    return (1 - r) * g + fall * r * (1 + r) / ((1 + r * r) * (2 + r * r)).sqrt()


def fixed_b(r: arb, k: arb) -> arb:
    _, x, y, u, _, fall = parts(r, k)
    return fall * (u + (1 - r) * k * (x + y)) - k * (1 - r) * x


def k_at(r: arb) -> arb:
    """Return the k at which r_AT = r."""
    return 1 / (arb.pi().sqrt() * (1 - r))


def gain_slope(r: arb) -> tuple[arb, arb]:
    """Return S = sqrt(2) e Phi(u_1) - Phi(u) (c + w), which has the sign of d/dk (P(1, k) - P(r_AT, k)), and dS/dr."""
    k, one, two, pi = k_at(r), 1 + r * r, 2 + r * r, arb.pi()
    _, x, y, u, imr, _ = parts(r, k)
    e, u_1 = (-1 / (2 * pi * one)).exp(), k * (arb(2) / 3).sqrt()
    weight = (1 - r) * (1 - r) * pi.sqrt() / (one * two.sqrt())
    c, w = (1 + r) / one.sqrt(), weight * f(r, k)

    def normal(t: arb) -> arb:
        return (1 + (t / arb(2).sqrt()).erf()) / 2

    def density(t: arb) -> arb:
        return (-t * t / 2).exp() / (2 * pi).sqrt()

    value = arb(2).sqrt() * e * normal(u_1) - normal(u) * (c + w)
    slope = arb(2).sqrt() * e * (normal(u_1) * r / (pi * one * one) + density(u_1) * u_1 / (1 - r)) - normal(u) * (
        imr * (u / (1 - r) + k * (x + y)) * (c + w) + (1 - r) / (one * one.sqrt())
        + weight * fixed_b(r, k) / (1 - r) - w * (2 / (1 - r) + 2 * r / one + r / two))
    return value, slope


CLOSED: dict[str, Signs] = {
    "F_r": ((f_r, -1),),
    "F_k": ((f_k, 1),),
    "F_end": ((lambda k: f(arb(1), k), -1),),
    "N2_near": ((lambda r: fixed_b(r, k_at(r)), 1),),
    "N2_far": ((lambda r: f(r, k_at(r)), 1),),
    "N3": ((f, 1), (f, -1), (fixed_b, 1)),
    "gain_slope": ((lambda r: gain_slope(r)[0], 1), (lambda r: gain_slope(r)[0], -1), (lambda r: gain_slope(r)[1], -1)),
}


def certainty(signs: Signs, box: Box) -> float:
    """Return the largest lower bound of a function times its wanted sign: > 0 where one of the signs is certain."""
    with precision():
        bounds = [(function(*(ball(*side) for side in box)) * wanted).lower() for function, wanted in signs]
        return max((float(bound) for bound in bounds if bound.is_finite()), default=float("-inf"))


def halves(box: Box, axis: int) -> list[Box]:
    low, high = box[axis]
    middle = (low + high) / 2
    return [(*box[:axis], side, *box[axis + 1:]) for side in ((low, middle), (middle, high))]


def bisect(signs: Signs, lemma: Lemma) -> list[Box]:
    """Tile the lemma's region by boxes on each of which one of `signs`, and one of the lemma's, is certain.

    Raises ValueError when more than MOST_BOXES boxes would be needed.

    >>> from fractions import Fraction
    >>> lemma = Lemma(((Fraction(1), Fraction(2)),), ((lambda x: x * (x - 0.5), 1),))
    >>> len(bisect(lemma.signs, lemma))
    2
    """
    boxes, open_boxes = [], [lemma.region]
    while open_boxes:
        box = open_boxes.pop()
        if certainty(signs, box) > 0 and examine(Lemma(box, lemma.signs), [box]) == "holds":
            boxes.append(box)
            continue
        if len(boxes) + len(open_boxes) >= MOST_BOXES:
            raise ValueError(f"a partition into at most {MOST_BOXES} boxes was asked for, but the sign is not certain "
                             f"near {' x '.join(f'[{float(low):g}, {float(high):g}]' for low, high in box)}: "
                             "the claim may be false there, so choose a smaller region.")

        def merit(axis: int, box: Box = box) -> tuple[int, float, Fraction]:
            share = (box[axis][1] - box[axis][0]) / (lemma.region[axis][1] - lemma.region[axis][0])
            found = [certainty(signs, half) for half in halves(box, axis)]
            return sum(c > 0 for c in found), sum(found), share
        open_boxes += halves(box, max(range(len(box)), key=merit))
    return sorted(boxes)


def ratio(k: arb, tau: arb, guess: float) -> float:
    """Return x = w1/w2 - 1 near the middle of a cell."""
    return float(rounded(tangent_point(k, tau, guess)[0][2]))


def monotone_cells(laid: Laid = MONOTONE, begin: Fraction = BEGIN) -> list[Box]:
    """Find the cells of CE-monotone, from tau a little below k/begin up.

    >>> len(monotone_cells(replace(MONOTONE, side=(Fraction(1, 2), Fraction(51, 100))))) > 10
    True
    """
    low, high = laid.side
    with precision():
        return lay(laid, low, high, below(low / begin), ratio)


SEARCHES: dict[str, Callable[[], list[Box]]] = {  # of the cells of each file
    **{name: partial(bisect, CLOSED.get(name, lemma.signs), lemma) for name, lemma in LEMMAS.items()
       if isinstance(lemma, Lemma) and lemma.region and not lemma.parts},
    "N4_on_ray": above_cells,
    **{f"CE_monotone_{number}": partial(monotone_cells, replace(MONOTONE, side=ends))
       for number, ends in enumerate(pairwise(CUTS))},
    "CE_monotone_strong_signal": partial(monotone_cells, STRONG, Fraction(3)),
}


def store(boxes: list[Box], path: Path) -> None:
    """Write boxes as `checker.read_boxes` reads them; the file changes all at once or not at all."""
    rows = ",\n".join(json.dumps([[str(low), str(high)] for low, high in box]) for box in boxes)
    write_text(path, f"[\n{rows}\n]\n")


def make(folder: Path = DATA, names: Iterable[str] = SEARCHES) -> Iterator[tuple[str, int]]:
    """Write the cells of these files into `folder`; yield the name of each and the number of its cells.

    Raises ValueError, and leaves the file as it was, where no cells are found or `checker` does not accept them, and
    for a name that is not in SEARCHES.
    """
    for name in names:
        if name not in SEARCHES:
            raise ValueError(f"the cells of {name!r} were asked for, but these are stored: {', '.join(SEARCHES)}.")
        boxes, lemma = SEARCHES[name](), LEMMAS.get(name)
        if isinstance(lemma, Lemma) and (outcome := examine(lemma, boxes)) != "holds":
            raise ValueError(f"a partition for {name} was found, but the checker says {outcome}: compare the "
                             "two formulas.")
        store(boxes, folder / f"{name}.json")
        yield name, len(boxes)


def main(arguments: Sequence[str] | None = None) -> None:
    words = OneSentenceParser(prog="python -m synthmodel.certificates.search", description=__doc__)
    words.add_argument("names", metavar="NAME", nargs="*", help=f"cells to write anew into the file NAME.json: "
                       f"{', '.join(SEARCHES)} (default: all of them)")
    names = words.parse_args(arguments).names
    if unknown := set(names) - set(SEARCHES):
        words.error(f"{min(unknown)!r} was given, but the cells that are stored are {', '.join(SEARCHES)}")
    for file, count in make(names=names or SEARCHES):
        print(f"{file:{max(map(len, SEARCHES))}} {count:5} cells", flush=True)


if __name__ == "__main__":
    main()
