"""Image folders `train/<class>/*.png`, and Tiny-ImageNet's own layout."""

import unicodedata
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from deep.data.cache import Decoded
from deep.data.formats.image_files import decode, format_note, image_size, is_image, readable

__all__ = ["EVALUATED", "in_a_class", "normalised_name", "read_folder", "read_tiny_imagenet"]

EVALUATED = ("test", "val", "valid", "validation")  # the first that is there is the test split
TINY_SIZE = (64, 64)


def normalised_name(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): file systems keep an accent and its letter together or apart.

    >>> normalised_name("e\u0301") == "\u00e9"
    True
    """
    return unicodedata.normalize("NFC", name)


def in_a_class(name: str) -> bool:
    """Return whether a file lies in a class's folder of a split: it may be an image, whatever its name.

    >>> in_a_class("pets/train/cat/0001"), in_a_class("pets/train/labels.csv")
    (True, False)
    """
    return any(part in ("train", *EVALUATED) for part in name.split("/")[:-2])


def decode_split(files: dict[str, bytes], labelled: list[tuple[str, str]], classes: tuple[str, ...], where: str | Path,
                 size: tuple[int, int], resize: int | None,
                 counts: Counter[str]) -> tuple[UInt8[np.ndarray, "n 3 h w"], Int[np.ndarray, "n"]]:
    """Decode the images of [(file name, class name)], ordered by file name, and return them with their labels."""
    labelled = sorted(labelled, key=lambda pair: (normalised_name(pair[0]), pair))
    index = {name: label for label, name in enumerate(classes)}
    names = [f"{where}/{name}" for name, _ in labelled]
    images = decode([files[name] for name, _ in labelled], names, size, resize, counts)
    return images, np.array([index[class_name] for _, class_name in labelled], dtype=np.int64)


def list_images(files: dict[str, bytes], split: str) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Return ([(file name, class name)] of a split's images, {why: [file name]} of what else lies in it)."""
    images = []
    others: dict[str, list[str]] = {"that are no images": [], "outside a class's folder": []}
    for name, content in files.items():
        parts = name.split("/")
        if parts[0] != split:
            continue
        if len(parts) > 2 and (is_image(name) or readable(content)):
            images.append((name, normalised_name(parts[1])))
        else:
            others["that are no images" if len(parts) > 2 else "outside a class's folder"].append(name)
    return images, others


def read_folder(files: dict[str, bytes], where: str | Path, advice: str, resize: int | None = None) -> Decoded:
    """Read images laid out as `<split>/<class>/.../NAME` from `files` {name: bytes}, known by their content.

    The splits: train, and test or else val, valid or validation. Classes are the folders' names in order. All
    images must have one size, unless resize = its side is asked for. The note says which have lossy formats;
    `provenance` counts the formats, and the files that were left out, with one of each kind. ValueError: a split is
    missing, a class has images in one only, or a file with the name of an image cannot be read.

    >>> read_folder({"train/cat/1.png": b""}, "cats", "copy them again.")
    Traceback (most recent call last):
    ValueError: cats has no images in test/<class> or val/<class>: copy them again.
    """
    found = {split: list_images(files, split) for split in ("train", *EVALUATED)}
    evaluated = next((split for split in EVALUATED if found[split][0]), None)
    if not found["train"][0] or evaluated is None:
        missing = "train/<class>" if not found["train"][0] else "test/<class> or val/<class>"
        raise ValueError(f"{where} has no images in {missing}: {advice}")
    used = {split: found[split][0] for split in ("train", evaluated)}
    trained, tested = ({name for _, name in images} for images in used.values())
    if trained != tested:
        odd = min(trained ^ tested)
        raise ValueError(f"{where} has images of class {odd!r} in only one of train and {evaluated}: copy the missing "
                         "ones, or remove the class.")
    classes = tuple(sorted(trained))
    counts: Counter[str] = Counter()
    size = image_size(*zip(*[(files[name], f"{where}/{name}") for name, _ in sorted(used["train"])[:1]], strict=True))
    parts = [decode_split(files, images, classes, where, size, resize, counts) for images in used.values()]
    left_out = {why: [*found["train"][1][why], *found[evaluated][1][why]] for why in found["train"][1]}
    left_out |= {f"in {split}, beside {evaluated}": [name for name, _ in found[split][0]]
                 for split in EVALUATED if split != evaluated}
    note = format_note("image folder", counts, sum(map(len, used.values())))
    return Decoded(*parts[0], *parts[1], classes, note=note,
                   provenance={"layout": "image folder", "test_split": evaluated, "files": dict(counts),
                               "left_out": {why: {"count": len(names), "one": min(names)}
                                            for why, names in left_out.items() if names}})


def lines(files: dict[str, bytes], name: str) -> list[list[str]]:
    """Return the lines of a text file, each split at tabs; none if the file is missing."""
    text = files.get(name, b"").decode(errors="replace")
    return [line.split("\t") for line in text.splitlines() if line.strip()]


def tiny_names(files: dict[str, bytes], wnids: list[str]) -> tuple[str, ...]:
    """Return the first synonym of each class in words.txt; its WordNet number where that is missing or not its own."""
    words = {row[0]: row[1].split(",")[0] for row in lines(files, "words.txt") if len(row) > 1}
    names = [words.get(wnid, wnid) for wnid in wnids]
    return tuple(name if names.count(name) == 1 else wnid for name, wnid in zip(names, wnids, strict=True))


def check_same(present: Collection[str], listed: Collection[str], where: str | Path, kind: str, advice: str) -> None:
    """Raise ValueError unless the files are those that the data set lists: one or the other was copied in part."""
    missing = sorted(set(listed) - set(present))
    if missing:
        raise ValueError(f"{where} lacks {len(missing)} of {len(set(listed))} {kind}, {missing[0]} among them: "
                         f"{advice}")
    unlisted = sorted(set(present) - set(listed))
    if unlisted:
        raise ValueError(f"{where} has {len(unlisted)} {kind} that its lists do not name, {unlisted[0]} among them: "
                         f"{advice}")


def in_val_class(name: str) -> bool:
    """Return whether a file of Tiny-ImageNet is a validation image in its class's folder."""
    folders = name.split("/")[:-1]
    return (is_image(name) and len(folders) > 1 and folders[0] == "val" and folders[1] != "images"
            and folders[2:] in ([], ["images"]))


def tiny_val(files: dict[str, bytes], wnids: list[str], where: str | Path, advice: str) -> list[tuple[str, str]]:
    """Return [(file name, WordNet number)] of the labelled images, from the annotations, from folders, or from both."""
    annotated = {row[0]: "".join(row[1:2]) for row in lines(files, "val/val_annotations.txt")}
    sorted_in = {name: name.split("/")[1] for name in files if in_val_class(name)}
    if not sorted_in:
        val = {f"val/images/{name}": wnid for name, wnid in annotated.items()}
        check_same([name for name in files if is_image(name) and name.startswith("val/images/")], val, where,
                   "validation images", advice)
        if not set(val.values()) <= set(wnids):
            raise ValueError(f"{where}/val/val_annotations.txt names a class that wnids.txt does not have: copy both "
                             "again.")
        return list(val.items())
    check_same(sorted_in.values(), wnids, where, "validation classes", advice)
    own = {name.rpartition("/")[2]: wnid for name, wnid in sorted_in.items()}
    if annotated:
        check_same(own, annotated, where, "validation images", advice)
        wrong = sorted(name for name, wnid in own.items() if annotated[name] != wnid)
        if wrong:
            raise ValueError(f"{where} has {wrong[0]} in val/{own[wrong[0]]}, but val_annotations.txt says "
                             f"{annotated[wrong[0]]}: copy the files again.")
    return list(sorted_in.items())


def read_tiny_imagenet(files: dict[str, bytes], where: str | Path, advice: str, resize: int | None = None) -> Decoded:
    """Read Tiny-ImageNet (Stanford CS231N) from `files` {name: bytes}; its labelled `val` is the test split.

    Layout: wnids.txt (a class a line), words.txt (names), `train/<wnid>/images/*.JPEG` with
    `train/<wnid>/<wnid>_boxes.txt` (which lists them), `val/images/*.JPEG` and val/val_annotations.txt (name, wnid,
    box); or, as many sort them, `val/<wnid>/*.JPEG` or `val/<wnid>/images/*.JPEG`, where the annotations may be
    missing.
    Images of `test` have no labels. ValueError: a class or a listed image is missing, an image of another size than
    64 x 64 (unless resize is asked for), an annotation that contradicts the folders.

    >>> read_tiny_imagenet({"wnids.txt": b"n01443537"}, "tiny.zip", "copy it again.")
    Traceback (most recent call last):
    ValueError: tiny.zip lacks val/val_annotations.txt: copy it again.
    """
    needed = ["wnids.txt", *(["val/val_annotations.txt"] if not any(in_val_class(name) for name in files) else [])]
    for name in needed:
        if not files.get(name):
            raise ValueError(f"{where} lacks {name}: {advice}")
    wnids = [row[0].strip() for row in lines(files, "wnids.txt")]
    if len(set(wnids)) < len(wnids):
        raise ValueError(f"{where}/wnids.txt names a class twice: copy it again.")
    train = [(name, name.split("/")[1]) for name in files
             if is_image(name) and name.startswith("train/") and name.count("/") == 3]
    check_same({wnid for _, wnid in train}, wnids, where, "classes", advice)
    boxed = [wnid for wnid in wnids if f"train/{wnid}/{wnid}_boxes.txt" in files]
    check_same([name for name, wnid in train if wnid in boxed],
               [f"train/{wnid}/images/{row[0]}" for wnid in boxed
                for row in lines(files, f"train/{wnid}/{wnid}_boxes.txt")], where, "training images", advice)
    val, names = tiny_val(files, wnids, where, advice), tuple(wnids)
    counts: Counter[str] = Counter()
    parts = [decode_split(files, split, names, where, TINY_SIZE, resize, counts) for split in (train, val)]
    return Decoded(*parts[0], *parts[1], tiny_names(files, wnids),
                   provenance={"layout": "tiny-imagenet-200", "test_split": "val", "wnids": wnids,
                               "files": dict(counts)})
