"""Composite Gauss-Legendre rules whose panels end where the integrand bends, and the finer rule that judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthmodel.model.quadrature import legendre
from synthmodel.model.solution import NotConverged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from numpy.typing import ArrayLike

__all__ = ["bend", "judged", "panels"]

BEND = np.array([0.0, 1.0, 3.0, 9.0, 27.0, 81.0])  # exp(-81 x/2) is below rounding


def bend(centre: float, width: float) -> Float[np.ndarray, "11"]:
    """Where panels end around a bend, such as a sigmoid's: `centre` and up to 81 of its widths on either side.

    >>> bend(0.0, 1.0)[[0, 5, -1]].tolist()
    [-81.0, 0.0, 81.0]
    """
    return centre + width * np.concatenate([-BEND[:0:-1], BEND])


def panels(low: float, high: float, points: Iterable[float], order: int,
           ) -> tuple[Float[np.ndarray, "nodes"], Float[np.ndarray, "nodes"]]:
    """Nodes and weights of the integral over (low, high): `order` Gauss-Legendre nodes between neighbouring points.

    >>> x, weights = panels(0.0, 2.0, [1.0], 4)
    >>> round(float(weights @ abs(x - 1)), 12)  # the kink costs nothing
    1.0
    """
    ends = np.unique(np.clip([low, *points, high], low, high))
    nodes, weights = legendre(order)
    half = np.diff(ends)[:, None] / 2
    return (ends[:-1, None] + half * (nodes + 1)).ravel(), (half * weights).ravel()


def judged(value: ArrayLike, finer: ArrayLike, allowed: float, what: str) -> Float[np.ndarray, "..."]:
    """`finer`, an array, if `value` of the coarser rule differs from it by at most `allowed` of it, or NotConverged.

    >>> judged(1.0, 1.0 + 1e-12, 1e-9, "a mean").tolist()
    1.000000000001
    """
    change = np.max(np.abs(np.subtract(value, finer)) / np.maximum(np.abs(finer), 1e-300), initial=0.0)
    if not change <= allowed:
        raise NotConverged(f"{what} changes by {change:.1e} of itself under a finer quadrature, but at most "
                           f"{allowed:.0e} is accepted: choose less extreme numbers.")
    return np.asarray(finer)
