"""What all pictures share: colours and lines that read in grey, the axes to draw on, and the names of losses."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthmodel.model.losses import (
    CrossEntropy,
    Distillation,
    Loss,
    Margin,
    SmoothedMargin,
    SoftTargetMargin,
    WorstMargin,
    WrongClassLSE,
)
from synthmodel.system.drawing import drawing
from synthmodel.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import _GeneratorContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "LINES", "RED", "SETTINGS", "canvas", "name_of", "new_figure", "save",
           "several", "styled"]

# Okabe and Ito's palette: distinct for the colour-blind; line styles and markers repeat every difference in grey.
BLUE, RED, GREEN, BLACK, GREY, PINK = "#0072B2", "#D55E00", "#009E73", "#000000", "#8a8a8a", "#CC79A7"
SETTINGS = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9.5,
            "axes.titlelocation": "left", "legend.frameon": False, "legend.fontsize": 8, "lines.linewidth": 1.6,
            "lines.markersize": 5, "svg.hashsalt": "synthmodel", "figure.dpi": 100, "savefig.dpi": 200}
# (color, linestyle) of one curve after the other
LINES: tuple[tuple[str, Any], ...] = ((BLUE, "-"), (RED, "--"), (GREEN, "-."), (PINK, (0, (4, 1, 1, 1, 1, 1))),
                                      (GREY, ":"))


# A date would make the bytes differ.
METADATA: dict[str, dict[str, Any] | None] = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def styled() -> _GeneratorContextManager[None]:
    """`@styled()` before a function that draws: these settings within it, its user's own after it.

    >>> @styled()
    ... def size():
    ...     import matplotlib
    ...     return matplotlib.rcParams["font.size"]
    >>> size()
    9.0
    """
    return drawing(SETTINGS)


def new_figure(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    """(figure, axes as a 2-d array), without a screen: the Agg canvas is used directly. To be called in `styled`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure as PNG, SVG or PDF, as its name ends; the same data gives the same bytes.

    Raises ValueError for another ending.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in METADATA:
        raise ValueError(f"the file {path} was given, but a picture is written as .png, .svg or .pdf: choose one of "
                         "these endings.")
    write_atomically(path, lambda file: figure.savefig(file, format=kind, metadata=METADATA[kind]))


@contextmanager
def canvas(ax: Axes | None) -> Iterator[Axes]:
    """Yield `ax`, to be drawn on in its user's style; where it is None, new axes of pyplot, in the style above."""
    if ax is not None:
        yield ax
        return
    with styled():
        from matplotlib import pyplot
        yield pyplot.figure(figsize=(6.4, 3.8), layout="constrained").add_subplot()


def several(losses: Loss | Sequence[Loss]) -> list[Loss]:
    """A loss or a sequence of them as a list; ValueError for none, or for more than there are lines to tell apart."""
    found = [losses] if isinstance(losses, Loss) else list(losses)
    if not 1 <= len(found) <= len(LINES):
        raise ValueError(f"{len(found)} losses were given, but a picture tells 1 to {len(LINES)} apart: draw fewer.")
    return found


def name_of(loss: Loss) -> str:
    """The loss in words, with its parameters.

    >>> name_of(SmoothedMargin(0.1)), name_of(CrossEntropy())
    ('smoothed margin, $b = 0.1$', 'cross-entropy')
    """
    b = getattr(loss, "b", 0.0)
    smoothing = f", $b = {b:g}$" if np.any(b) else ""
    if isinstance(loss, Margin):
        return "margin loss"
    if isinstance(loss, SmoothedMargin):
        return "smoothed margin" + smoothing
    if isinstance(loss, WrongClassLSE):
        return rf"wrong-class log-sum-exp, $\tau = {loss.tau:g}$" + smoothing
    if isinstance(loss, Distillation):
        return "distillation"
    if isinstance(loss, WorstMargin):
        return (loss.phi if isinstance(loss.phi, str) else "surrogate") + smoothing
    attack = {"exact": ", exact attack", "monotone": r", $\delta^*$"}[loss.attack] if smoothing else ""
    return {SoftTargetMargin: "soft-target margin", CrossEntropy: "cross-entropy"}[type(loss)] + smoothing + attack
