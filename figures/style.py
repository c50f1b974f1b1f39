"""What all figures share: the style of `synthmodel.plot`, and tables beside pictures."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from deep.system.files import write_text
from synthmodel.plot.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, styled
from synthmodel.plot.style import save as save_as

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "RED", "Row", "new_figure", "read_csv", "save", "styled", "write_csv"]

Row = dict[str, Any]  # of a table: a number, a word or None under each column's name


def save(figure: Figure, folder: Path, name: str) -> None:
    """`name`.png and `name`.svg; the same data gives the same bytes."""
    for kind in ("png", "svg"):
        save_as(figure, folder / f"{name}.{kind}")


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
