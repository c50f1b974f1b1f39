"""Files written whole or not at all, whoever else writes them; locks; the commit of the code."""

import errno
import fcntl
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import deep.runs.folder
import deep.system.files
import synthmodel.system.files
from deep.experiments.checkpoint_evaluation import measurement_lock
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.results import write_result
from deep.system.files import write_atomically, write_text
from deep.system.lock import Lock, file_system
from deep.training.loop import load_data, train
from figures.style import new_figure, save, write_csv
from tests.support.wrapped import Wrapped

ROOT = Path(__file__).parents[3]


# --- one way to write ---

@pytest.mark.slow
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

    def write(file, content):
        file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(deep.system.files, "open", lambda path, mode="r": Wrapped(real(path, mode), write),
                        raising=False)
    run = RunFolder(tmp_path)
    with pytest.raises(OSError, match="No space left on device") as caught:
        run.keep({"epoch": 10, "model": torch.zeros(1000)})
    assert caught.value.filename == str(run.kept_path(10))
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("write", [write_text, synthmodel.system.files.write_text])
def test_writing_through_links_and_to_devices(tmp_path, write):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write(link, "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["target"]
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(tmp_path / "pipe", "told")
    assert os.read(reader, 100) == b"told"
    os.close(reader)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write("/dev/full", "x")
    assert caught.value.filename == "/dev/full"
    with pytest.raises(OSError, match="No such file") as caught:
        write(tmp_path / "nowhere" / "file", "x")
    assert caught.value.filename == str(tmp_path / "nowhere" / "file")


def test_the_theory_writes_whole_files_too(tmp_path, monkeypatch):
    path = tmp_path / "scans.json"
    path.write_text("old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            synthmodel.system.files.write_text(path, "new")
    assert caught.value.filename == str(path)
    assert (path.read_text(), [entry.name for entry in tmp_path.iterdir()]) == ("old", ["scans.json"])
    synthmodel.system.files.write_text(path, "\N{PLUS-MINUS SIGN}\n")
    assert path.read_bytes() == b"\xc2\xb1\n"


ROUND_ABOUT = re.compile(r"""[^_]open\([^)]*["'][wax]b?["']|\.write_(text|bytes)\(|np\.save|json\.dump\(|shutil\.copy|
                         torch\.save\(|savefig\((?!file)""", re.VERBOSE)


def test_there_is_one_way_to_write():
    """Every line that writes a file gives it to the writers in deep/system/files.py and synthmodel/system/files.py."""
    found = []
    for package in ("deep", "figures", "synthmodel"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name in ("files.py", "lock.py", "report.py"):
                continue
            found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in path.read_text().splitlines()
                      if ROUND_ABOUT.search(line) and "lambda file:" not in line and ">>>" not in line
                      and "..." not in line]
    advice = [line for line in found if "ADVICE =" in line]  # a sentence for users
    assert sorted(set(found) - set(advice)) == ["deep/runs/folder.py: torch.save(state, buffer)"]
    assert len(found) == 2


def test_figures_and_tables_are_whole_or_not_at_all(tmp_path, monkeypatch):
    figure, _ = new_figure(1, 1, 1, 1)
    for name in ("a.png", "a.svg", "a.csv"):
        (tmp_path / name).write_text("old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for write in (lambda: save(figure, tmp_path, "a"), lambda: write_csv(tmp_path / "a.csv", [{"k": 1}])):
            with pytest.raises(OSError, match="No space left on device"):
                write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(("a.png", "a.svg", "a.csv"),
                                                                                         "old")
    save(figure, tmp_path, "a")
    write_csv(tmp_path / "a.csv", [{"k": 1, "w": "x"}, {"k": None, "w": "y"}])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.csv").read_bytes() == b"k,w\n1,x\n,y\n"


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
    monkeypatch.setattr("deep.system.lock.announced", set())
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
from deep.system.lock import Lock

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


# --- the commit ---

def git(folder, *words):
    return subprocess.run(["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b", *words], check=True,
                          capture_output=True, text=True).stdout.strip()


def repository(folder, *names):
    """A repository with one commit of the files named, each tracked."""
    git(folder, "init", "-q")
    git(folder, "add", "-f", *names)
    git(folder, "commit", "-q", "-m", "theirs")
    return git(folder, "rev-parse", "HEAD")


def copied(module, folder):
    """The package's module, copied to folder/PACKAGE/files.py and loaded from there."""
    path = folder / module.__name__.partition(".")[0] / "system" / "files.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(Path(module.__file__).read_bytes())
    spec = importlib.util.spec_from_file_location("copied_files", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded, path


@pytest.fixture(params=[deep.system.files, synthmodel.system.files], ids=["deep", "synthmodel"])
def module(request, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    return request.param


VERSION = version("synthmodel")
PROJECT = '[project]\nname = "synthmodel"\n'


def test_the_commit_of_our_own_checkout(tmp_path, module, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    loaded, path = copied(module, tmp_path)
    theirs = repository(tmp_path, "pyproject.toml", str(path))
    assert loaded.commit() == theirs
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as in a hook of another repository
    assert loaded.commit() == theirs
    (tmp_path / "new.txt").touch()
    assert loaded.commit() == theirs
    (tmp_path / "pyproject.toml").write_text(PROJECT + "\n")
    assert loaded.commit() == theirs + "+"


def test_the_commit_of_somebody_elses_repository_is_not_ours(tmp_path, module):
    """A wheel in their .venv, committed or ignored; a copy of the package alone; one beside their own project."""
    (tmp_path / "main.py").touch()
    inside, path = copied(module, tmp_path / ".venv" / "lib" / "python3.11" / "site-packages")
    repository(tmp_path, "main.py")
    assert inside.commit() == VERSION
    git(tmp_path, "add", "-f", str(path))
    git(tmp_path, "commit", "-q", "-m", "all")
    assert inside.commit() == VERSION
    (tmp_path / "copy").mkdir()
    alone, path = copied(module, tmp_path / "copy")
    repository(tmp_path / "copy", str(path))
    assert alone.commit() == VERSION
    (tmp_path / "copy" / "pyproject.toml").write_text('[project]\nname = "theirs"\n')
    git(tmp_path / "copy", "add", "pyproject.toml")
    assert alone.commit() == VERSION
    # their repository around a source distribution of ours, which they do not track
    (tmp_path / "sdist").mkdir()
    unpacked, _ = copied(module, tmp_path / "sdist")
    (tmp_path / "sdist" / "pyproject.toml").write_text(PROJECT)
    assert unpacked.commit() == VERSION
    (tmp_path / "sdist" / "main.py").touch()
    repository(tmp_path / "sdist", "main.py")
    assert unpacked.commit() == VERSION


def test_without_git_or_an_installation(tmp_path, module, monkeypatch):
    loaded, _ = copied(module, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert loaded.commit() == VERSION
    monkeypatch.setattr(loaded, "PROJECT", "no-such-project")
    assert loaded.commit() is None


def test_every_result_has_the_one_commit():
    """deep, figures and synthmodel: nobody else asks git."""
    asking = {str(path.relative_to(ROOT)) for package in ("deep", "figures", "synthmodel")
              for path in (ROOT / package).rglob("*.py") if "rev-parse" in path.read_text()}
    assert asking == {"deep/system/files.py", "synthmodel/system/files.py"}
    assert deep.runs.folder.commit is deep.system.files.commit
    assert deep.system.files.commit() == synthmodel.system.files.commit()


# --- a run without flock ---

@pytest.mark.slow
def test_a_training_without_flock(tmp_path, no_flock, capsys):
    """It trains, says so once, is seen as in use by others meanwhile, and not afterwards."""
    recipe = recipe_named("planted-linear", ["epochs=2", "train_size=100", "val_size=20", "batch=50"])
    data, seen = load_data(recipe), []

    def progress(training):
        other = RunFolder(tmp_path / run_name(recipe))
        seen.append(other.in_use())
        with pytest.raises(ValueError, match="is being trained by another process"):
            other.open_for_training(recipe)

    run = train(recipe, data, tmp_path, progress=progress)
    assert seen == [True] * 6
    assert not run.in_use()
    assert capsys.readouterr().err.count("has no flock") == 1
    assert train(recipe, data, tmp_path).metrics() == run.metrics()
    with measurement_lock(run.path):
        write_result(run.path / "cas.jsonl", {"epoch": 1, "checkpoint": "best"}, ("checkpoint",))
    assert not list(run.path.glob("*.soft"))
