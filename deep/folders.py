"""Image folders `train/<class>/*.png`, and Tiny-ImageNet's own layout."""

import numpy as np

from deep.cache import Decoded
from deep.images import decode, one_size

__all__ = ["is_image", "read_folder", "read_tiny_imagenet"]

EVALUATED = ("test", "val", "valid", "validation")  # the first that is there is the test split
TINY_SIZE = (64, 64)


def is_image(name):
    """Whether a name ends like a JPEG or PNG file, in any case.

    >>> is_image("train/cat/1.JPEG"), is_image("train/cat/notes.txt")
    (True, False)
    """
    return name.lower().endswith((".jpg", ".jpeg", ".png"))


def decode_split(files, labelled, classes, where, size, resize):
    """Images and labels of [(file name, class name)], ordered by file name."""
    labelled = sorted(labelled)
    index = {name: label for label, name in enumerate(classes)}
    images = decode([files[name] for name, _ in labelled], [f"{where}/{name}" for name, _ in labelled], size, resize)
    return images, np.array([index[class_name] for _, class_name in labelled], dtype=np.int64)


def read_folder(files, where, advice, resize=None):
    """Any images laid out as `<split>/<class>/.../NAME.{jpg,jpeg,png}`, from `files` {name: bytes}.

    The splits: train, and test or else val, valid or validation. Classes are the folders' names in order. All
    images must have one size, unless resize = its side is asked for. The note says whether any is JPEG.
    ValueError: a split is missing, or a class has images in one only.

    >>> read_folder({"train/cat/1.png": b""}, "cats", "copy them again.")
    Traceback (most recent call last):
    ValueError: cats has no JPEG or PNG files in test/<class> or val/<class>: copy them again.
    """
    splits = {split: [(name, name.split("/")[1]) for name in files
                      if is_image(name) and name.startswith(split + "/") and name.count("/") >= 2]
              for split in ("train", *EVALUATED)}
    evaluated = next((split for split in EVALUATED if splits[split]), None)
    if not splits["train"] or evaluated is None:
        missing = "train/<class>" if not splits["train"] else "test/<class> or val/<class>"
        raise ValueError(f"{where} has no JPEG or PNG files in {missing}: {advice}")
    classes, tested = ({name for _, name in splits[split]} for split in ("train", evaluated))
    if classes != tested:
        odd = sorted(classes ^ tested)[0]
        raise ValueError(f"{where} has images of class {odd!r} in only one of train and {evaluated}: copy the missing "
                         "ones, or remove the class.")
    classes = tuple(sorted(classes))
    size = one_size(*zip(*[(files[name], f"{where}/{name}") for name, _ in sorted(splits["train"])[:1]], strict=True))
    parts = [decode_split(files, splits[split], classes, where, size, resize) for split in ("train", evaluated)]
    exact = all(name.lower().endswith(".png") for split in ("train", evaluated) for name, _ in splits[split])
    return Decoded(*parts[0], *parts[1], classes, note="image folder" if exact else "image folder, JPEG",
                   provenance={"layout": "image folder", "test_split": evaluated})


def lines(files, name):
    """The lines of a text file, each split at tabs; none if the file is missing."""
    text = files.get(name, b"").decode(errors="replace")
    return [line.split("\t") for line in text.splitlines() if line.strip()]


def tiny_names(files, wnids):
    """The first synonym of each class in words.txt; its WordNet number where that is missing or not its own."""
    words = {row[0]: row[1].split(",")[0] for row in lines(files, "words.txt") if len(row) > 1}
    names = [words.get(wnid, wnid) for wnid in wnids]
    return tuple(name if names.count(name) == 1 else wnid for name, wnid in zip(names, wnids, strict=True))


def check_same(present, listed, where, kind, advice):
    """ValueError unless what is there is what the data set lists: it was copied in part, or its list was."""
    missing = sorted(set(listed) - set(present))
    if missing:
        raise ValueError(f"{where} lacks {len(missing)} of {len(set(listed))} {kind}, {missing[0]} among them: "
                         f"{advice}")
    unlisted = sorted(set(present) - set(listed))
    if unlisted:
        raise ValueError(f"{where} has {len(unlisted)} {kind} that its lists do not name, {unlisted[0]} among them: "
                         f"{advice}")


def read_tiny_imagenet(files, where, advice, resize=None):
    """Tiny-ImageNet (Stanford CS231N) from `files` {name: bytes}; its labelled `val` is the test split.

    Layout: wnids.txt (a class a line), words.txt (names), train/<wnid>/images/*.JPEG with
    train/<wnid>/<wnid>_boxes.txt (which lists them), val/images/*.JPEG and val/val_annotations.txt (name, wnid,
    box). Images of `test` have no labels. ValueError: a class or a listed image is missing, an image of another
    size than 64 x 64 (unless resize is asked for), an annotation of a class that wnids.txt does not have.

    >>> read_tiny_imagenet({"wnids.txt": b"n01443537"}, "tiny.zip", "copy it again.")
    Traceback (most recent call last):
    ValueError: tiny.zip lacks val/val_annotations.txt: copy it again.
    """
    for name in ("wnids.txt", "val/val_annotations.txt"):
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
    val = {f"val/images/{row[0]}": "".join(row[1:2]) for row in lines(files, "val/val_annotations.txt")}
    check_same([name for name in files if is_image(name) and name.startswith("val/images/")], val, where,
               "validation images", advice)
    if not set(val.values()) <= set(wnids):
        raise ValueError(f"{where}/val/val_annotations.txt names a class that wnids.txt does not have: copy both "
                         "again.")
    parts = [decode_split(files, split, wnids, where, TINY_SIZE, resize) for split in (train, val.items())]
    return Decoded(*parts[0], *parts[1], tiny_names(files, wnids),
                   provenance={"layout": "tiny-imagenet-200", "test_split": "val", "wnids": wnids})
