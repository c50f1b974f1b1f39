"""How far a command of several seconds has come: a bar in a terminal, a line every five seconds elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["EVERY", "tracked"]

T = TypeVar("T")
EVERY = 5.0  # seconds: a command that takes less prints nothing
clock = time.monotonic


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
    began = said = clock()
    for done, item in enumerate(items, 1):
        yield item
        if clock() - said >= EVERY and done < total and sys.stderr:
            said = clock()
            print(f"{what}: {done} of {total}, {said - began:.0f} s", file=sys.stderr, flush=True)
