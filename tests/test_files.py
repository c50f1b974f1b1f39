"""Files written whole or not at all, whoever else writes them; locks; the commit of the code."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import deep.files
from deep.files import write_atomically, write_text
from deep.locks import Lock, file_system
from deep.run import RunFolder

ROOT = Path(__file__).parents[1]


# --- one way to write ---

def test_many_writers_of_one_file(tmp_path):
    """Eight threads write one JSON a hundred times: none fails, each content is whole, nothing stays beside it."""
    path, failures = tmp_path / "evaluate-best.json", []

    def write(text):
        try:
            for _ in range(100):
                write_text(path, text)
                assert path.read_text() in texts
        except Exception as error:
            failures.append(error)

    texts = [str(i) * (2000 + i) for i in range(8)]
    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["evaluate-best.json"]


@pytest.mark.parametrize("error", [RuntimeError("a library's own"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_whatever_ends_a_writing_leaves_nothing_beside(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def broken(file):
        file.write(bytes(10_000))
        file.flush()
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, broken)
    assert (path.read_text(), [entry.name for entry in tmp_path.iterdir()]) == ("old", ["file"])


def test_a_kept_checkpoint_on_a_full_disk(tmp_path, monkeypatch):
    """torch.save makes its own RuntimeError of a full disk: it is the disk's sentence, and the room is given back."""
    real = open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *reason):
            self.file.close()

        def write(self, content):
            self.file.write(content[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(deep.files, "open", lambda path, mode="r": Full(real(path, mode)), raising=False)
    run = RunFolder(tmp_path)
    with pytest.raises(OSError, match="No space left on device") as caught:
        run.keep({"epoch": 10, "model": torch.zeros(1000)})
    assert caught.value.filename == str(run.kept_path(10))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    path = tmp_path / "last.pt"
    for name in ("last.pt.0123abcd.tmp", "last.pt.live.tmp", "other.pt.0123abcd.tmp", "last.pt.txt"):
        (tmp_path / name).write_text(name)
    with open(tmp_path / "last.pt.live.tmp") as live:
        fcntl.flock(live, fcntl.LOCK_EX)
        write_text(path, "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "last.pt", "last.pt.live.tmp", "last.pt.txt", "other.pt.0123abcd.tmp"]


# --- locks ---

@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def no_flock(request, monkeypatch):
    """A file system without flock."""
    number = getattr(errno, request.param)

    def flock(file, kind):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr("deep.locks.told", set())
    return os.strerror(number)


def test_without_flock_a_lock_file_serves(tmp_path, no_flock, capfd):
    path = tmp_path / "lock"
    first, second = Lock(path), Lock(path)
    assert not first.held()
    assert first.acquire(wait=False)
    assert not second.acquire(wait=False)
    assert first.held() and second.held()
    assert capfd.readouterr().err == (
        f"the file system of {path} ({file_system(path)}) has no flock ({no_flock}), so the file {path}.soft is the "
        "lock: remove it if the machine of its process breaks down.\n")
    first.release()
    assert not second.held()
    assert second.acquire()
    second.release()


HOLDER = """
import errno, fcntl, os, sys
from deep.locks import Lock

def flock(file, kind):
    raise OSError(errno.ENOSYS, "not implemented")
fcntl.flock = flock
lock = Lock(sys.argv[1])
lock.acquire(wait=False)
os.kill(os.getpid(), 9)
"""


def test_without_flock_a_killed_process_of_this_machine_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    holder = subprocess.run([sys.executable, "-c", HOLDER, path], cwd=ROOT, timeout=60)
    assert holder.returncode == -signal.SIGKILL
    assert (tmp_path / "lock.soft").exists()

    def flock(file, kind):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(path)
    assert not lock.held()
    assert lock.acquire(wait=False)
    assert lock.held()
    lock.release()


def test_another_error_of_the_lock_names_its_file(tmp_path, monkeypatch):
    def flock(file, kind):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error") as caught:
        Lock(tmp_path / "lock").acquire()
    assert caught.value.filename == str(tmp_path / "lock")
