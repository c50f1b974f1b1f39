"""What the phase diagrams share: tables as matrices, and filled contours that read in grey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.style import GREY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet

    from figures.style import Row

    Across = Float[np.ndarray, "x"]
    Up = Float[np.ndarray, "y"]
    Plane = Float[np.ndarray, "y x"]
    Levels = Float[np.ndarray, "levels"]

__all__ = ["LEVELS", "NOTHING", "bands", "dead", "hatched", "matrix", "said"]

LEVELS = np.round(np.linspace(0, 1, 11), 1)
NOTHING = 1e-9  # a ratio below it is 0


def matrix(rows: Sequence[Row], x: str, y: str, value: str) -> tuple[Across, Up, Plane]:
    """(values of x, values of y, z) with z[i, j] the `value` at y[i], x[j]; NaN where no row has them.

    >>> across, up, z = matrix([{"eps": 0.2, "k": 1, "r": 5}, {"eps": 0.1, "k": 2, "r": 6}], "eps", "k", "r")
    >>> across.tolist(), up.tolist(), z.tolist()
    ([0.1, 0.2], [1, 2], [[nan, 5.0], [6.0, nan]])
    """
    across, up = (np.unique([row[key] for row in rows]) for key in (x, y))
    z = np.full((len(up), len(across)), np.nan)
    for row in rows:
        z[np.searchsorted(up, row[y]), np.searchsorted(across, row[x])] = row[value]
    return across, up, z


def bands(axis: Axes, x: Across, y: Up, z: Plane, levels: Levels = LEVELS, at: Any = False) -> QuadContourSet:
    """z as bands of viridis between the levels, which are drawn, and written near the points `at`."""
    filled = axis.contourf(x, y, z, [max(levels[0], NOTHING), *levels[1:]], cmap="viridis", vmin=0, vmax=levels[-1])
    inside = levels[1:-1]
    middle = 0.6 * levels[-1]  # viridis is dark below and light above
    lines = axis.contour(x, y, z, inside, linewidths=0.7,
                         colors=["white" if level < middle else "black" for level in inside])
    axis.clabel(lines, fmt="%g", fontsize=8, manual=at)
    return filled


def hatched(axis: Axes, x: Across, y: Up, z: Plane, low: float, high: float) -> None:
    """The region low <= z <= high, hatched on white."""
    region = axis.contourf(x, y, z, [low, high], colors=["white"], hatches=["///"])
    region.set(edgecolor=GREY, linewidth=0)


def dead(axis: Axes, start: Up, y: Up, end: float) -> None:
    """The region from the curve x = start(y) to x = end, hatched on white."""
    axis.fill_betweenx(y, start, end, facecolor="white", edgecolor=GREY, hatch="///", linewidth=0, zorder=2)


def said(axis: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Words inside a picture, on a white ground so that they read on any colour."""
    box = {"facecolor": "white", "edgecolor": GREY, "linewidth": 0.4, "alpha": 0.9, "boxstyle": "round,pad=0.25"}
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5, "bbox": box}
    axis.text(x, y, text, **look | options)
