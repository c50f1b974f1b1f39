"""CIFAR-10 and CIFAR-100 as their author offers them: pickles of rows of 1,024 reds, then greens, then blues.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from deep.data.cache import Decoded
from deep.data.formats.cifar_pickle import read_pickle

__all__ = ["CIFAR10_FILES", "CIFAR100_FILES", "OFFICIAL_MD5", "read_cifar10", "read_cifar100"]

# The MD5 sums of the official files.
OFFICIAL_MD5 = {
    "cifar10": {"data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e"},
    "cifar100": {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
}
CIFAR10_FILES = (*OFFICIAL_MD5["cifar10"], "batches.meta")
CIFAR100_FILES = (*OFFICIAL_MD5["cifar100"], "meta")


def read_batch(content: bytes, name: str, labels_of: list[tuple[str, int]]) -> tuple[np.ndarray, ...]:
    """Read images uint8 (n, 3, 32, 32) and, for each (key, classes) of `labels_of`, labels (n,) in 0..classes-1."""
    found = read_pickle(content, name)
    rows = found.get("data")
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3072:
        raise ValueError(f"{name} does not hold n images of 3 x 32 x 32 bytes: copy the file again.")
    labels = []
    for key, classes in labels_of:
        values = found.get(key)
        if isinstance(values, np.ndarray) and values.ndim == 1:
            values = values.tolist()
        if not isinstance(values, list | tuple) or len(values) != len(rows):
            raise ValueError(f"{name} does not hold {key} for each of its {len(rows)} images: copy the file again.")
        if not all(type(value) is int and 0 <= value < classes for value in values):
            raise ValueError(f"{name} holds {key} outside 0..{classes - 1}, classes which it does not have: copy the "
                             "file again.")
        labels.append(np.array(values, dtype=np.int64))
    return rows.reshape(-1, 3, 32, 32), *labels


def label_names(found: dict[str, Any], key: str, name: str, count: int | None = None) -> tuple[str, ...]:
    """Return the class names under `key` of a meta file's dictionary; `count` of them, if it is given."""
    names = found.get(key)
    if (not isinstance(names, list | tuple) or not names or count not in (None, len(names))
            or not all(isinstance(word, str | bytes) for word in names)):
        raise ValueError(f"{name} does not hold {count or 'its'} {key}: copy the file again.")
    names = tuple(word.decode(errors="replace") if isinstance(word, bytes) else word for word in names)
    return check_distinct(names, f"{name} names a class")


def check_distinct(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Return the names; ValueError if one stands there twice: nobody could tell its classes apart."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{what} twice, {twice!r}: copy the file again.")
    return names


def official(dataset: str, files: dict[str, bytes]) -> dict[str, bool]:
    """Return for each image file whether its MD5 is the official one."""
    return {name: hashlib.md5(files[name]).hexdigest() == md5
            for name, md5 in OFFICIAL_MD5[dataset].items() if name in files}


def require_files(files: dict[str, bytes], names: list[str] | tuple[str, ...], where: str | Path, advice: str) -> None:
    missing = [name for name in names if name not in files]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}: {advice}")


def read_cifar10(files: dict[str, bytes], where: str | Path, advice: str) -> Decoded:
    """Read CIFAR-10 from `files` {name: bytes}: one to five of data_batch_1..5, test_batch, perhaps batches.meta.

    where: the folder or archive, and advice: how to get it, for the sentences. The note says when files are not
    the official ones, or are fewer.

    >>> read_cifar10({"data_batch_1": b""}, "here", "copy it again.")
    Traceback (most recent call last):
    ValueError: here lacks test_batch: copy it again.
    """
    batches = [name for name in CIFAR10_FILES if name.startswith("data_batch") and name in files]
    require_files(files, ["test_batch", *([] if batches else CIFAR10_FILES[:5])], where, advice)
    parts = [read_batch(files[name], f"{where}/{name}", [("labels", 10)]) for name in batches]
    test_images, test_labels = read_batch(files["test_batch"], f"{where}/test_batch", [("labels", 10)])
    meta = f"{where}/batches.meta"
    classes = (label_names(read_pickle(files["batches.meta"], meta), "label_names", meta, 10)
               if "batches.meta" in files else tuple(map(str, range(10))))
    sums = official("cifar10", files)
    note = "" if all(sums.values()) else "not the official files"
    if not note and len(batches) < 5:
        note = f"{len(batches)} of 5 official training batches"
    return Decoded(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]),
                   test_images, test_labels, classes, note=note,
                   provenance={"layout": "cifar-10-batches-py", "official_md5": sums})


def read_cifar100(files: dict[str, bytes], where: str | Path, advice: str) -> Decoded:
    """Read CIFAR-100 from `files` {name: bytes}: train, test and meta, all needed; fine labels are the classes.

    Coarse labels become the superclass of each class, so that CAS can be summed within and between superclasses.
    ValueError: images of one class have two superclasses. `where`, `advice` and the note as `read_cifar10`.

    >>> read_cifar100({"train": b"", "meta": b""}, "here", "copy it again.")
    Traceback (most recent call last):
    ValueError: here lacks test: copy it again.
    """
    require_files(files, CIFAR100_FILES, where, advice)
    meta = f"{where}/meta"
    found = read_pickle(files["meta"], meta)
    classes = label_names(found, "fine_label_names", meta)
    groups = label_names(found, "coarse_label_names", meta)
    labels_of = [("fine_labels", len(classes)), ("coarse_labels", len(groups))]
    train_images, train_labels, train_groups = read_batch(files["train"], f"{where}/train", labels_of)
    test_images, test_labels, test_groups = read_batch(files["test"], f"{where}/test", labels_of)
    sums = official("cifar100", files)
    return Decoded(train_images, train_labels, test_images, test_labels, classes,
                   superclasses=superclasses(np.concatenate([train_labels, test_labels]),
                                             np.concatenate([train_groups, test_groups]), classes, groups, where),
                   note="" if all(sums.values()) else "not the official files",
                   provenance={"layout": "cifar-100-python", "official_md5": sums})


def superclasses(labels: Int[np.ndarray, "n"], groups: Int[np.ndarray, "n"], classes: tuple[str, ...],
                 names: tuple[str, ...], where: str | Path) -> tuple[str, ...]:
    """Return the name of the one superclass of each class; labels, groups: fine and coarse label of each image."""
    found = [set(groups[labels == label].tolist()) for label in range(len(classes))]
    for name, group in zip(classes, found, strict=True):
        if len(group) > 1:
            raise ValueError(f"{where} has images of class {name} in several superclasses: copy its files again.")
    return tuple(names[group.pop()] if group else "" for group in found)
