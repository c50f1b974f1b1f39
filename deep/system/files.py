"""Files that are written whole or not at all, and the commit of the code that wrote them."""

import fcntl
import os
import secrets
import subprocess
import tomllib
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

__all__ = ["commit", "version_line", "write_atomically", "write_text"]

PROJECT = "synthmodel"  # its name in pyproject.toml


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Call write(file) on a new binary file beside `path`, sync it, and rename it to `path`.

    Whatever goes wrong before the renaming, `path` is as it was, and the new file is gone; an OSError (a full disk,
    say) names `path`. Each call has a file of its own, `NAME.RANDOM.tmp`, so that several processes may write one
    `path`: the last one wins. Files that killed processes left beside it are removed. What is no file, such as
    /dev/null, is written as it is.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "a.txt"), lambda file: file.write(b"whole"))
    ...     [(path.name, path.read_text()) for path in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    name, path = str(path), Path(os.path.realpath(path))
    try:
        if os.path.exists(name) and not os.path.isfile(name):
            with open(name, "wb") as whole:
                write(whole)
            return
        file, new = new_beside(path)
        try:
            with file as content:
                write(content)
                content.flush()
                os.fsync(content.fileno())
                os.replace(new, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(new)  # a full disk needs the room
            raise
        remove_orphans(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), name) from error


def write_text(path: str | Path, text: str) -> None:
    """`write_atomically` of a text, in UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def new_beside(path: Path) -> tuple[IO[bytes], Path]:
    """(file, path) of a new NAME.RANDOM.tmp, open and, where the file system can, locked for as long as it is."""
    while True:
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        file = open(new, "xb")  # noqa: SIM115 - the caller closes it
        with suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file, new
        file.close()  # taken for an orphan in the instant before it was locked


def remove_orphans(path: Path) -> None:
    """Remove the new files of `path` whose processes were killed: nobody holds their locks."""
    for other in path.parent.iterdir():
        if other.name.startswith(path.name + ".") and other.name.endswith(".tmp"):
            with suppress(OSError), open(other, "rb") as file:  # gone already, in use, or no flock here
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(other)


def commit() -> str | None:
    """The commit of the code, with "+" when tracked files were changed since; outside its own checkout, its version.

    A checkout is the code's own if this file is tracked there, below a pyproject.toml of this project. Any other
    repository around it, that of whoever installed it, say, has commits that tell nothing of it.
    """
    here = Path(__file__).resolve()
    # a git hook sets these, for a repository that need not be this one
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(here.parent), *words], capture_output=True, text=True, check=True,
                              env=environment).stdout.strip()
    try:
        project = tomllib.loads((here.parents[2] / "pyproject.toml").read_text())["project"]["name"]
        if project == PROJECT and git("rev-parse", "--show-prefix") == f"{here.parts[-3]}/{here.parts[-2]}/":
            git("ls-files", "--error-unmatch", here.name)
            return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, ValueError, LookupError, TypeError, subprocess.CalledProcessError):
        pass  # no checkout, or no git
    try:
        return version(PROJECT)
    except PackageNotFoundError:
        return None


def version_line(program: str) -> str:
    """The program with the project's version and, in a checkout, its commit.

    >>> version_line("deep")
    'deep ...'
    """
    try:
        installed = version(PROJECT)
    except PackageNotFoundError:
        installed = "not installed"
    known = commit()
    return f"{program} {installed}" + (f", commit {known}" if known not in (None, installed) else "")
