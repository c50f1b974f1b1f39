"""Claims that a report in the same folder has verified with the same code are not verified again."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import synthmodel
from deep.system.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from figures.style import Row

__all__ = ["code", "finished", "keep"]

FILE = "claims.json"
LIBRARIES = ("numpy", "scipy", "sympy", "python-flint")


@cache
def code() -> str:
    """What verifies: a digest of the files of `synthmodel`, and of the versions of Python and of what computes.

    It tells more than a commit, which does not change with a file that is not committed, and changes with any text.
    """
    folder = Path(synthmodel.__file__).parent
    digest = hashlib.sha256(" ".join([platform.python_version(), *map(version, LIBRARIES)]).encode())
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".json", ".v"):
            digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def finished(folder: Path) -> dict[str, Row]:
    """The rows that hold, by claim, which this code has kept in `folder`."""
    try:
        kept = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):  # none, or no file of ours
        return {}
    return {row["id"]: row for row in kept["rows"] if row["holds"]} if kept["code"] == code() else {}


def keep(folder: Path, rows: Iterable[Row]) -> None:
    """Put what was verified into `folder`; of several reports at once the last one's stands, which costs time only."""
    write_text(folder / FILE, json.dumps({"code": code(), "rows": list(rows)}) + "\n")
