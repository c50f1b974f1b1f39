"""The lock by which several processes share a file or a folder."""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import TextIO

from filelock import SoftFileLock, Timeout

from deep.system.messages import tell

__all__ = ["InUse", "Lock", "file_system"]

NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # what network file systems without flock answer
announced: set[Path] = set()  # the paths whose missing flock was announced


class InUse(ValueError):
    """Another process holds the lock."""


def file_system(path: str | Path) -> str:
    """Return the file system of a path, such as "nfs4 at /home"; where the system does not tell, "unknown".

    >>> file_system("/proc/self") in ("proc at /proc", "unknown")
    True
    """
    where = os.path.realpath(path)
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    above = [(at, kind) for at, kind in mounts if where == at or where.startswith(at.rstrip("/") + "/")]
    at, kind = max(above, key=lambda mount: len(mount[0]), default=("/", "unknown"))
    return f"{kind} at {at}"


class Lock:
    """The lock of a file, for one process at a time; it is gone when its process ends, however it ends.

    That is flock's. Where a file system has none, a lock file `PATH.soft` of the library filelock serves, which names
    its process and machine: a dead process of this machine is noticed, one that died on another machine is not, and
    then the file must be removed by hand. A sentence on standard error says so.

    filelock's own FileLock is not used: it falls back on ENOSYS alone, and cannot say whether somebody holds a lock.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.file: TextIO | None = None
        self.soft: SoftFileLock | None = None

    def soft_lock(self) -> SoftFileLock:
        return SoftFileLock(f"{self.path}.soft", thread_local=False)

    def acquire(self, wait: bool = True) -> bool:
        """Take the lock; wait for it, or return False if another process holds it."""
        self.file = open(self.path, "a")  # noqa: SIM115 - held open until `release`
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
            return False
        except OSError as error:
            self.release()
            if error.errno not in NO_FLOCK:
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            return self.acquire_soft(wait, error)
        except BaseException:
            self.release()
            raise
        return True

    def acquire_soft(self, wait: bool, error: OSError) -> bool:
        soft = self.soft_lock()
        if self.path not in announced:
            announced.add(self.path)
            tell(f"the file system of {self.path} ({file_system(self.path)}) has no flock ({error.strerror}), so the "
                 f"file {soft.lock_file} is the lock: remove it if the machine of its process breaks down.")
        try:
            soft.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        self.soft = soft
        return True

    def release(self) -> None:
        if self.soft is not None:
            self.soft.release()
        if self.file is not None:
            self.file.close()
        self.file = self.soft = None

    def held(self) -> bool:
        """Return whether a process holds the lock now; one that died does not."""
        try:
            with open(self.path) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            return error.errno in NO_FLOCK and self.held_softly()
        return False

    def held_softly(self) -> bool:
        soft = self.soft_lock()
        if not os.path.exists(soft.lock_file):
            return False
        try:
            soft.acquire(timeout=0)  # removes what a dead process left
        except (Timeout, OSError):
            return True
        soft.release()
        return False

    def __enter__(self) -> "Lock":
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.release()
