"""Ctrl-C: once, a command stops in order; twice, at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ctrl_c_once"]


@contextmanager
def ctrl_c_once() -> Iterator[None]:
    """In the block the first Ctrl-C raises KeyboardInterrupt, and the second ends the process, whatever it is at.

    Somebody else's handler stays, such as that of a process that was started to ignore Ctrl-C.
    """
    mine = (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    if mine:
        signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
