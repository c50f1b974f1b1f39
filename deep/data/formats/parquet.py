"""Data sets in Parquet, as data hubs ship them: a column of image files, columns of integer labels.

Needs pyarrow, the optional extra `parquet`. Layout: the `datasets` library's Image and ClassLabel features,
https://huggingface.co/docs/datasets/about_dataset_features (2024): an image is a struct {bytes, path}; the
names of the classes stand as JSON in the schema's metadata.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from deep.data.cache import Decoded
from deep.data.formats.archives import TOTAL_LIMIT
from deep.data.formats.cifar import check_distinct, superclasses
from deep.data.formats.image_files import decode, format_note, image_size
from deep.data.formats.image_folder import EVALUATED, normalised_name

__all__ = ["read_parquet"]

SHARD = re.compile(r"-(\d+)-of-(\d+)")
ROWS_AT_ONCE = 256


def import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError("the images are in Parquet files, but pyarrow, which reads them, is not installed: "
                         'pip install "synthmodel[parquet]".') from None
    return pyarrow


def shards(files: dict[str, bytes], where: str | Path, advice: str) -> dict[str, list[str]]:
    """Return {split: names of its files}: it, or its folder, is named after it, `data/train-00000-of-00002.parquet`.

    The splits are train, and the first of EVALUATED that is there. ValueError: one is missing, is there twice
    in different folders, or lacks one of the shards that the others count.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(files):
        for part in reversed(name.removesuffix(".parquet").split("/")):
            split = re.split(r"[-_.]", part)[0]
            if split in ("train", *EVALUATED):
                found.setdefault(split, []).append(name)
                break
    evaluated = next((split for split in EVALUATED if split in found), None)
    if "train" not in found or evaluated is None:
        missing = "train-*.parquet" if "train" not in found else "test-*.parquet or valid-*.parquet"
        raise ValueError(f"{where} has no {missing}: {advice}")
    for names in (found["train"], found[evaluated]):
        if len({name.rpartition("/")[0] for name in names}) > 1:
            raise ValueError(f"{where} holds several data sets ({names[0]}, {names[-1]}): pass the folder of one.")
        counts = [match for match in map(SHARD.search, names) if match]
        total = int(counts[0][2]) if counts else len(names)
        if len(names) != total:
            raise ValueError(f"{where} has {len(names)} of {total} files like {names[0]}: {advice}")
    return {"train": found["train"], evaluated: found[evaluated]}


def read_tables(files: dict[str, bytes], names: list[str], where: str | Path) -> list[Any]:
    """Read tables of pyarrow from the Parquet files `names`, of one schema; ValueError names a damaged one.

    The rows are read a few at a time and their bytes counted, whatever the file says of its size: a row may be
    stored once and repeated a million times.
    """
    pyarrow = import_pyarrow()
    tables, total = [], 0
    for name in names:
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(files[name]))
            batches = []
            for batch in file.iter_batches(ROWS_AT_ONCE):
                total += batch.nbytes
                if total > TOTAL_LIMIT:
                    raise ValueError(f"it unpacks to more than {TOTAL_LIMIT} bytes")
                batches.append(batch)
            tables.append(pyarrow.Table.from_batches(batches, file.schema_arrow))
            pyarrow.concat_tables(tables[:1] + tables[-1:])  # refuses another schema
        except Exception as error:  # pyarrow has its own exceptions, and raises OSError too
            raise ValueError(f"{where}/{name} cannot be read as Parquet ({error}): copy the file again.") from error
    return tables


def column(table: Any, names: tuple[str, ...], where: str | Path) -> tuple[str, list[Any]]:
    """Return (the first of `names` that is a column, its values as a list); ValueError if none is."""
    found = next((name for name in names if name in table.column_names), None)
    if found is None:
        raise ValueError(f"{where} has no column {' or '.join(names)}, but only {', '.join(table.column_names)}: "
                         "rename the column that is meant.")
    if table.column_names.count(found) > 1:
        raise ValueError(f"{where} has the column {found} twice: remove the one that is not meant.")
    return found, table.column(found).to_pylist()


def image_bytes(tables: list[Any], where: str | Path) -> list[bytes]:
    values = [value for table in tables for value in column(table, ("image", "img"), where)[1]]
    contents: list[Any] = [value.get("bytes") if isinstance(value, dict) else value for value in values]
    if not contents or not all(isinstance(content, bytes) for content in contents):
        raise ValueError(f"{where} has a row without the bytes of an image: get the version that embeds them.")
    return contents


def names_of(table: Any, key: str, where: str | Path) -> tuple[str, ...] | None:
    """Return the class names of a label column in the schema's metadata, or None."""
    try:
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = tuple(normalised_name(str(name)) for name in features[key]["names"])
    except RecursionError:
        raise ValueError(f"{where} has metadata nested too deeply to be read: copy the files again.") from None
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return check_distinct(names, f"{where} names a class of {key}")


def labels_of(splits: list[list[Any]], names: tuple[str, ...],
              where: str | Path) -> tuple[list[Int[np.ndarray, "n"]], tuple[str, ...]]:
    """Read the labels int64 (n,) of each of `splits`, lists of tables, and the class names.

    The names, 0, 1, ... where no table has some, stand in the order of the first that has: the labels of a table with
    another order are changed to it.
    """
    arrays, named = [], []
    for tables in splits:
        total = sum(len(table) for table in tables)
        for table in tables:
            key, values = column(table, names, where)
            if not all(type(value) is int and value >= 0 for value in values):
                raise ValueError(f"{where} has a {key} that is no integer from 0 on: copy the files again.")
            if max(values, default=0) >= total:
                raise ValueError(f"{where} has a {key} {max(values)} among {total} images, but each class has an "
                                 "image, so that the labels are 0, 1, ...: copy the files again.")
            arrays.append(np.array(values, dtype=np.int64))
            named.append(names_of(table, key, where))
    most = max(array.max(initial=0) for array in arrays)
    classes = next(filter(None, named), tuple(map(str, range(most + 1))))
    if most >= len(classes):
        raise ValueError(f"{where} holds a {key} outside 0..{len(classes) - 1}, classes which it does not have: copy "
                         "the files again.")
    for number, own in enumerate(named):
        if own and own != classes:
            if sorted(own) != sorted(classes):
                raise ValueError(f"{where} has files with different names of {key} ({', '.join(classes[:3])}, ... and "
                                 f"{', '.join(own[:3])}, ...): get all of one version.")
            arrays[number] = np.array([classes.index(name) for name in own])[arrays[number]]
    first = len(splits[0])
    return [np.concatenate(arrays[:first]), np.concatenate(arrays[first:])], classes


def read_parquet(files: dict[str, bytes], where: str | Path, advice: str, size: tuple[int, int] | None = None,
                 resize: int | None = None) -> Decoded:
    """Return a data set from Parquet `files` {name: bytes}; columns image or img, and fine_label or label.

    A column coarse_label becomes the superclass of each class. size: (width, height) of every image (None:
    the first one's), unless resize is asked for. The note says which lossy formats are in it, such as JPEG.
    ValueError: pyarrow is missing, a file is missing or damaged, a label is out of range, or the files' class
    names are not the same (their order may differ).

    >>> read_parquet({"data/train-00000-of-00001.parquet": b""}, "cifar100", "copy it again.")
    Traceback (most recent call last):
    ValueError: cifar100 has no test-*.parquet or valid-*.parquet: copy it again.
    """
    splits = shards(files, where, advice)
    tables = [read_tables(files, names, where) for names in splits.values()]
    contents = [image_bytes(part, where) for part in tables]
    labels, classes = labels_of(tables, ("fine_label", "label"), where)
    groups: tuple[str, ...] = ()
    if all("coarse_label" in table.column_names for part in tables for table in part):
        coarse, names = labels_of(tables, ("coarse_label",), where)
        groups = superclasses(np.concatenate(labels), np.concatenate(coarse), classes, names, where)
    rows = [[f"{where}, image {row} of {split}" for row in range(len(part))]
            for split, part in zip(splits, contents, strict=True)]
    size = size or image_size(contents[0], rows[0])
    counts: Counter[str] = Counter()
    images = [decode(*part, size, resize, counts) for part in zip(contents, rows, strict=True)]
    return Decoded(images[0], labels[0], images[1], labels[1], classes, groups,
                   note=format_note("Parquet", counts, sum(map(len, contents))),
                   provenance={"layout": "Parquet", "test_split": list(splits)[1], "files": dict(counts)})
