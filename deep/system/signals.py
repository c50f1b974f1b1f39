"""SIGTERM and SIGINT: how a process that is asked to stop does so, once for all commands.

A block `with Stop()` raises `Interrupted` wherever it is; with `held=True` it goes on until it looks at `received`, or
ends, so that it can save first. Blocks lie in each other: a signal that the inner one has left is raised by the outer.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Stop"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ECHO = 1.0  # seconds: within them, under torchrun, a second Ctrl-C is the first: it sends on what the terminal has sent


class Interrupted(BaseException):
    """Signal `number` stopped `what`. No Exception, so that no handler of errors takes it for one.

    status: the exit status of a process that it ends.

    >>> import pickle
    >>> pickle.loads(pickle.dumps(Interrupted(15)))
    Interrupted(15, 'the training')
    >>> print(Interrupted(15)), Interrupted(15).status
    signal 15 stopped the training
    (None, 143)
    """

    def __init__(self, number: int, what: str = "the training") -> None:
        super().__init__(number, what)
        self.number, self.what, self.status = number, what, 128 + number

    def __str__(self) -> str:
        return f"signal {self.number} stopped {self.what}"


def ending(error: BaseException | None) -> bool:
    """Return whether an error that ends the process with its own `status` (Lost) is on its way: no signal outranks it.

    That comes after it: where a process of a training is lost, torchrun stops the others by SIGTERM.
    """
    while error is not None:
        if isinstance(error, Exception) and hasattr(error, "status"):
            return True
        error = error.__context__
    return False


class Stop:
    """A block in which SIGTERM and SIGINT raise `Interrupted`; in the main thread, which alone receives them.

    held: only note the signal in `received` (else 0), for the block to look at; it is raised at the block's end at the
    latest. A second Ctrl-C is raised at once. tell(number): called at each signal, whether or not it is raised.
    """

    def __init__(self, what: str = "the training", held: bool = False,
                 tell: Callable[[int], None] | None = None) -> None:
        self.what, self.held, self.tell, self.received = what, held, tell, 0
        self.since: float | None = None  # the first signal, on the monotonic clock
        self.before: dict[signal.Signals, Any] = {}  # the handlers of the block around this one

    def __call__(self, number: int, frame: FrameType | None) -> None:
        echo = ECHO if "TORCHELASTIC_RUN_ID" in os.environ else 0
        again = number == signal.SIGINT and self.since is not None and time.monotonic() - self.since >= echo
        if self.since is None:
            self.since = time.monotonic()
        self.received = number
        if self.tell:
            self.tell(number)
        if again or not (self.held or ending(sys.exception())):
            raise Interrupted(number, self.what)

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self) for number in SIGNALS}
        outer = self.outer()
        if outer and outer.received:  # raised where Python ignores what is raised, as in a finaliser
            self.restore()
            raise Interrupted(outer.received, outer.what)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.restore()
        # an error that ends the block hides no signal from the one around it, unless it ends the process
        if self.received and (kind is None or (issubclass(kind, Exception) and not ending(error) and self.outer())):
            raise Interrupted(self.received, self.what)

    def outer(self) -> "Stop | None":
        """Return the block that this one lies in, or None."""
        return next((handler for handler in self.before.values() if isinstance(handler, Stop)), None)

    def restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
