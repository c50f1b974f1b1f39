"""Processes that share out work, and never outlive the one that started them."""

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context, parent_process
from types import TracebackType

__all__ = ["workers"]


def begin() -> None:
    """In a new worker: leave Ctrl-C to the parent, and end at once when the parent has ended, however it did.

    A pool's workers hold both ends of the queue that they wait on, and so would wait for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # this is a worker
    parent.join()  # a pipe whose other end the parent alone holds
    os._exit(1)


class Pool(ProcessPoolExecutor):
    """Worker processes; a block that an exception ends does not wait for what they are at."""

    def __init__(self, number: int) -> None:
        self.others = set(active_children())
        super().__init__(number, get_context("spawn"), begin)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> bool | None:
        if kind is not None:
            for worker in set(active_children()) - self.others:
                worker.kill()
            self.shutdown(wait=False, cancel_futures=True)
        return super().__exit__(kind, error, trace)


def workers(number: int) -> ProcessPoolExecutor:
    """A `ProcessPoolExecutor` of fresh processes, which end with this one.

    >>> with workers(1) as pool:
    ...     pool.submit(abs, -3).result()
    3
    """
    return Pool(number)
