"""What all figures share: colours, sizes, tables beside pictures."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from deep.system.drawing import drawing
from deep.system.files import write_atomically, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import _GeneratorContextManager
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "RED", "Row", "new_figure", "read_csv", "save", "styled", "write_csv"]

Row = dict[str, Any]  # of a table: a number, a word or None under each column's name

# Okabe and Ito's palette: distinct for the colour-blind; line styles and markers repeat every difference in grey.
BLUE, RED, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#000000", "#8a8a8a"
SETTINGS = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9.5,
            "axes.titlelocation": "left", "legend.frameon": False, "legend.fontsize": 8, "lines.linewidth": 1.6,
            "lines.markersize": 5, "svg.hashsalt": "synthmodel", "figure.dpi": 100, "savefig.dpi": 200}


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


def save(figure: Figure, folder: Path, name: str) -> None:
    """`name`.png and `name`.svg; the same data gives the same bytes."""
    write_atomically(folder / f"{name}.png", lambda file: figure.savefig(file, format="png"))
    write_atomically(folder / f"{name}.svg", lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """rows: dictionaries with the same keys; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: str | Path) -> list[Row]:
    """The rows of a CSV: numbers as float, empty cells as NaN, words as they are."""
    def value(text: str) -> float | str:
        if text == "":
            return float("nan")
        try:
            return float(text)
        except ValueError:
            return text
    with open(path, newline="") as file:
        return [{key: value(text) for key, text in row.items()} for row in csv.DictReader(file)]
