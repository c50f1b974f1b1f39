"""How a script is run: `python -m figures.ROOM.NAME`, with --help, and one sentence for wrong words."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deep.system.terminal import OneSentenceParser

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["command_line", "run"]


def command_line(script: str) -> OneSentenceParser:
    """The parser of the module with this `__name__`, as yet without arguments; --help prints the module's docstring.

    Wrong words end the command with status 2 and one sentence.
    """
    module = sys.modules[script]
    assert module.__spec__  # it was started by `python -m`, or imported
    return OneSentenceParser(prog=f"python -m {module.__spec__.name}", description=module.__doc__, allow_abbrev=False,
                             formatter_class=argparse.RawDescriptionHelpFormatter)


def run(compute: Callable[[Path], None], draw: Callable[[Path], None], finding: Callable[[Path], str]) -> None:
    """`python -m figures.ROOM.NAME OUTDIR`: compute, draw, and print the sentence."""
    parser = command_line(compute.__module__)
    parser.add_argument("folder", metavar="OUTDIR", type=Path, help="the folder to write the picture (PNG, SVG) and "
                        "its table (CSV) into, made where it is missing")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    compute(folder)
    draw(folder)
    print(finding(folder))
