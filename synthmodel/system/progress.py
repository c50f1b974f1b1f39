"""How far a command of several seconds has come: a bar in a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["FIRST", "tracked"]

T = TypeVar("T")
FIRST, MOST = 5.0, 60.0  # seconds until the first line, and between two at most: each pause is twice the one before


def tracked(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield the items; on standard error a bar that goes when they end, or, where that is no terminal, lines.

    what: what is being done, such as "verifying".  total: how many items there are.

    >>> list(tracked("ab", "reading", 2))
    ['a', 'b']
    """
    if sys.stderr and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield from progress.track(items, total=total, description=what)
        return
    done, began, ended = 0, time.monotonic(), threading.Event()

    def tell() -> None:  # beside the work, as one item may take minutes
        pause = FIRST
        while not ended.wait(pause) and sys.stderr:
            print(f"{what}: {done} of {total}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            pause = min(2 * pause, MOST)

    threading.Thread(target=tell, daemon=True).start()
    try:
        for item in items:
            yield item
            done += 1
    finally:
        ended.set()
