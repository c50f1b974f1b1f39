"""Decoded images, kept on disk under the digest of what they were decoded from.

A file `DIGEST.npz` is written beside its place and renamed, checked by its own checksums when it is read, and
made again when it is damaged. The folder is $DEEP_CACHE, or else ~/.cache/deep; it may be removed at any time.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deep.system.files import write_atomically
from deep.system.lock import Lock
from deep.system.messages import tell

__all__ = ["Decoded", "cache_folder", "cached", "joint_key"]

FORMAT = "2"  # changes when a reader decodes the same files to other pixels


@dataclass(frozen=True)
class Decoded:
    """What a reader makes of files: images uint8 (n, 3, h, w), labels int64 (n,), in the order of `classes`.

    superclasses: one name for each class, where the data set groups them (CIFAR-100), else empty.
    note: what a result on these images must say beside the data set's name. provenance: plain JSON values.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    superclasses: tuple[str, ...] = ()
    note: str = ""
    provenance: dict = field(default_factory=dict)


ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
WORDS = ("classes", "superclasses", "note", "provenance")


def cache_folder() -> Path | None:
    """Return $DEEP_CACHE, or else ~/.cache/deep; None, with a sentence, for a user without a home (a container)."""
    if os.environ.get("DEEP_CACHE"):
        return Path(os.environ["DEEP_CACHE"])
    try:
        return Path.home() / ".cache" / "deep"
    except RuntimeError:
        tell("this user has no home folder, so there is no cache and the images are decoded each time: set DEEP_CACHE "
             "to a folder that can be written.")
        return None


def joint_key(*parts: str | int | None) -> str:
    """Return one name for all that decides the decoded pixels: the reader, its settings, the files' digest.

    >>> joint_key("folder", None, "ab") != joint_key("folder", 32, "ab")
    True
    """
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()


def write(path: Path, decoded: Decoded) -> None:
    words = np.array(json.dumps({name: getattr(decoded, name) for name in WORDS}))
    arrays = {name: getattr(decoded, name) for name in ARRAYS}
    write_atomically(path, lambda file: np.savez(file, words=words, **arrays))


def read(path: Path) -> Decoded:
    """Return the Decoded in `path`. ValueError if its checksums fail, FileNotFoundError without it.

    Zip keeps a CRC-32 of every array.
    """
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            words = json.loads(str(file["words"]))
            return Decoded(**{name: file[name] for name in ARRAYS}, classes=tuple(words["classes"]),
                           superclasses=tuple(words["superclasses"]), note=words["note"],
                           provenance=words["provenance"])
    except (FileNotFoundError, NotADirectoryError):
        raise
    except Exception as error:  # damaged bytes make zipfile and numpy raise nearly anything
        raise ValueError(f"{path} is damaged ({type(error).__name__})") from error


def cached(key: str, decode: Callable[[], Decoded], folder: str | Path | None = None) -> Decoded:
    """Return the Decoded kept under `key` in `folder`, or that of decode(), which is then kept.

    folder: None is `cache_folder()`. A damaged file is replaced, and a folder that cannot be written is done
    without: both say so on stderr.

    >>> import tempfile
    >>> images, labels = np.zeros((1, 3, 2, 2), np.uint8), np.zeros(1, np.int64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = cached("key", lambda: Decoded(images, labels, images, labels, ("cat",)), folder)
    ...     second = cached("key", lambda: None, folder)
    >>> second.classes
    ('cat',)
    """
    folder = folder or cache_folder()
    if folder is None:
        return decode()
    folder = Path(folder)
    path = folder / f"{key}.npz"
    # what is there is whole, so it is read without the lock, by whoever may read
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        return read(path)
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(Lock(folder / f"{key}.lock"))
        except OSError as error:
            tell(f"the cache {folder} cannot be used ({error.strerror}), so the images are decoded each time: set "
                "DEEP_CACHE to a folder that can be written.")
            return decode()
        try:  # another process may have made it meanwhile
            return read(path)
        except FileNotFoundError:
            pass
        except ValueError as error:
            tell(f"{error}: it is made again.")
        decoded = decode()
        try:
            write(path, decoded)
        except OSError as error:
            tell(f"{path} cannot be written ({error.strerror}), so the images are decoded each time: set DEEP_CACHE "
                "to a folder with room.")
        return decoded
