"""How results are printed: folded where the terminal ends, and as they are where the output is no terminal."""

import textwrap
from collections.abc import Sequence
from itertools import groupby

from deep.system.terminal import columns

__all__ = ["say", "say_markdown"]


def say(text: str, indent: int = 4) -> None:
    """Print a line; where the terminal ends it goes on in the next one, after `indent` spaces, with no word cut."""
    width = columns()
    if width:
        text = textwrap.fill(text, max(width, indent + 20), subsequent_indent=" " * indent, break_on_hyphens=False,
                             break_long_words=False)
    print(text)


def say_markdown(lines: Sequence[str]) -> None:
    """Print lines of Markdown; of a table that is wider than the terminal each row as a paragraph, column by column."""
    width = columns()
    for table, part in groupby(lines, lambda line: line.startswith("|")):
        block = list(part)
        if not table or not width or len(block[0]) <= width:
            for line in block:
                say(line, 2)
            continue
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block)
        for row in rows:
            say("; ".join(f"{name}: {cell}" for name, cell in zip(head, row, strict=True) if cell))
