"""How results are printed: folded where the terminal ends, and as they are where the output is no terminal."""

import shutil
import sys
import textwrap

__all__ = ["columns", "say"]


def columns() -> int | None:
    """Return the terminal's width; None where standard output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout and sys.stdout.isatty() else None


def say(text: str, indent: int = 4) -> None:
    """Print a line; where the terminal ends it goes on in the next one, after `indent` spaces, with no word cut."""
    width = columns()
    if width:
        text = textwrap.fill(text, max(width, indent + 20), subsequent_indent=" " * indent, break_on_hyphens=False,
                             break_long_words=False)
    print(text)
