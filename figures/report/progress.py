"""Bars on a terminal; elsewhere a line now and then, so that a log shows that the report goes on."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress"]

PAUSE = 5.0  # seconds between two lines of a part


@contextmanager
def progress(totals: dict[str, int], console: Console | None = None,
             clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str, int], None]]:
    """Yield advance(part, steps) for parts of known numbers of steps; what is shown goes to standard error.

    Where that is no terminal, a part has a line every five seconds, and one at its end.
    """
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description:34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began, done, said = clock(), dict.fromkeys(totals, 0), dict.fromkeys(totals, clock())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {part: bars.add_task(part, total=total) for part, total in totals.items()}

        def advance(part: str, steps: int = 1) -> None:
            bars.advance(tasks[part], steps)
            done[part] += steps
            now = clock()
            if not console.is_terminal and (done[part] == totals[part] or now - said[part] >= PAUSE):
                said[part] = now
                console.print(f"{part}: {done[part]} of {totals[part]}, {now - began:.0f} s", soft_wrap=True,
                              highlight=False)
        yield advance
