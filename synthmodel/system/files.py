"""Files that are written whole or not at all, and the commit of the code that wrote them."""

import os
import secrets
import subprocess
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["commit", "write_text"]

PROJECT = "synthmodel"  # its name in pyproject.toml


def write_text(path, text):
    """Write a text to a new file beside `path`, and rename it: whatever goes wrong, `path` is as it was.

    What is no file, such as /dev/null, is written as it is. OSError names `path`.
    """
    name, path = str(path), Path(os.path.realpath(path))
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if os.path.exists(name) and not os.path.isfile(name):
            Path(name).write_text(text, encoding="utf-8")
            return
        try:
            new.write_text(text, encoding="utf-8", newline="")
            os.replace(new, path)
        except BaseException:
            with suppress(OSError):
                new.unlink()  # a full disk needs the room
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def commit():
    """The commit of the code, with "+" when tracked files were changed since; outside its own checkout, its version.

    A checkout is the code's own if this file is tracked there, below a pyproject.toml of this project. Any other
    repository around it, that of whoever installed it, say, has commits that tell nothing of it.
    """
    here = Path(__file__).resolve()
    # a git hook sets these, for a repository that need not be this one
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}

    def git(*words):
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
