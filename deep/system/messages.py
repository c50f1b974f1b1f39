"""What is told on the way. It may not change what is computed: where it cannot be written, it is lost.

That is so on a full disk, at a closed pipe, and after a terminal has gone.
"""

import sys
from contextlib import suppress
from typing import Any, TextIO, cast

from deep.system.terminal import printable

__all__ = ["LossyStream", "tell"]


class LossyStream:
    """A text stream that goes on when what is written to it is lost."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError, AttributeError):  # full, or a broken pipe; closed; None, there is none
            cast(TextIO, self.stream).write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            cast(TextIO, self.stream).flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def tell(sentence: str, stream: TextIO | None = None) -> None:
    """Print a line on `stream` (None: standard error); where that cannot be written, the line is lost."""
    print(printable(sentence), file=LossyStream(stream or sys.stderr), flush=True)
