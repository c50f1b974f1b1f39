"""Finds the cells that section9_certify checks: `python -m synthmodel.certificates.search_cross_entropy` (minutes).

Nothing here is part of a proof: cells are kept where the functions of the certificates have certain signs, and
`certify_section9` checks all that is stored anew.
"""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise

from synthmodel.certificates.checker import DATA, Lemma, precision
from synthmodel.certificates.cross_entropy import LEMMAS
from synthmodel.certificates.laying import below, lay, rounded
from synthmodel.certificates.proofs.ce_monotone import BEGIN, MONOTONE, K, tangent_point
from synthmodel.certificates.proofs.n4_end import above_cells
from synthmodel.certificates.search import bisect, store

__all__ = ["make", "monotone_cells"]

CUTS = (K[0], *map(Fraction, ("1/5", "1/2", "1", "3/2", "2", "5/2")), K[1])  # one file each


def ratio(k, tau, guess):
    """x = w1/w2 - 1 near the middle of a cell."""
    return float(rounded(tangent_point(k, tau, guess)[0][2]))


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
