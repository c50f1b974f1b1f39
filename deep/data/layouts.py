"""The catalogue of data sets: how each lies on disk, where it is looked for, and which reader reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deep.data.cache import Decoded, cached, joint_key
from deep.data.formats.archives import SUFFIXES, content_digest, is_archive, read_files, rebased
from deep.data.formats.cifar import CIFAR10_FILES, CIFAR100_FILES, read_cifar10, read_cifar100
from deep.data.formats.image_files import is_image
from deep.data.formats.image_folder import TINY_SIZE, in_a_class, read_folder, read_tiny_imagenet
from deep.data.formats.parquet import read_parquet

__all__ = ["LAYOUTS", "Layout", "locate", "read_images"]


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk.

    stems: the names of its folder or archive; needed: what is inside, by which it is known; wanted(name): whether a
    file belongs to it; read: its reader; source: how to get it. size: (width, height) of every image, and classes:
    their number in the whole set, where the set fixes them. pickled: the files hold pixels, not image files.
    """

    title: str
    stems: tuple[str, ...]
    needed: tuple[str, ...]
    wanted: Callable
    read: Callable
    source: str
    size: tuple[int, int] | None = None
    classes: int | None = None
    pickled: bool = False


def is_tiny(name: str) -> bool:
    """Return whether a file belongs to Tiny-ImageNet; those of its `test` do not, since they have no labels."""
    return (name.endswith(("wnids.txt", "words.txt", "_boxes.txt", "val_annotations.txt"))
            or (is_image(name) and "test" not in name.split("/")))


TORONTO = "get https://www.cs.toronto.edu/~kriz/{}.tar.gz and put it there, unpacked or not."
LAYOUTS = {
    "cifar10": Layout("CIFAR-10", ("cifar-10-batches-py", "cifar-10-python"), CIFAR10_FILES,
                      lambda name: name.rpartition("/")[2] in CIFAR10_FILES, read_cifar10,
                      TORONTO.format("cifar-10-python"), (32, 32), 10, pickled=True),
    "cifar100": Layout("CIFAR-100", ("cifar-100-python",), CIFAR100_FILES,
                       lambda name: name.rpartition("/")[2] in CIFAR100_FILES, read_cifar100,
                       TORONTO.format("cifar-100-python"), (32, 32), 100, pickled=True),
    "tiny-imagenet": Layout("Tiny-ImageNet", ("tiny-imagenet-200",), ("wnids.txt",), is_tiny, read_tiny_imagenet,
                            "get http://cs231n.stanford.edu/tiny-imagenet-200.zip and put it there, unpacked or not.",
                            TINY_SIZE, 200),
    "folder": Layout("image folder", (), ("train",), lambda name: is_image(name) or in_a_class(name), read_folder,
                     "lay the images out as train/<class>/NAME.png and test/<class>/NAME.png (or .jpg)."),
}


def locate(layout: Layout, root: str | Path) -> Path:
    """Return the folder or archive in which the data set of a layout lies: `root`, or one of its names in `root`.

    ValueError says what was looked for, where, and how to get it.

    >>> locate(LAYOUTS["folder"], "/nowhere")
    Traceback (most recent call last):
    ValueError: no image folder was found in /nowhere, which does not exist: looked for train and *.parquet; ...
    """
    root = Path(root)
    if root.is_file() and is_archive(root):
        return root
    names = [*layout.stems, *(stem + suffix for stem in layout.stems for suffix in SUFFIXES)]
    found = next((root / name for name in names if (root / name).exists()), None)
    if found:
        return found
    parquet = any(next(root.glob(pattern), None) for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet"))
    if parquet or any((root / name).exists() for name in layout.needed):
        return root
    state = "" if root.is_dir() else (f", which is no archive ({', '.join(SUFFIXES)})" if root.exists() else
                                      ", which does not exist")
    stems = f"{' or '.join(layout.stems)} (a folder, or {', '.join(SUFFIXES)}), " if layout.stems else ""
    raise ValueError(f"no {layout.title} was found in {root}{state}: looked for {stems}{', '.join(layout.needed)} and "
                     f"*.parquet; {layout.source}")


def read_images(layout: Layout, path: Path, resize: int | None) -> tuple[Decoded, str]:
    """Return (Decoded, SHA-256 of the content) of the folder or archive `path`, from the cache where it is there."""
    def wanted(name: str) -> bool:
        return layout.wanted(name) or name.endswith(".parquet")

    def decode() -> Decoded:
        here = files or read_files(path, wanted)
        native = {name: content for name, content in here.items() if not name.endswith(".parquet")}
        asked = {} if resize is None else {"resize": resize}
        if len(native) < len(here) and not any(part in layout.needed for name in native for part in name.split("/")):
            return read_parquet(here, path, layout.source, layout.size, **asked)
        return layout.read(rebased(native, layout.needed, path), path, layout.source, **asked)

    files = read_files(path, wanted) if path.is_dir() else None
    digest = content_digest(path, files)
    if layout.pickled and files and not any(name.endswith(".parquet") for name in files):
        return decode(), digest  # pixels as they are, read as fast as a cache would be
    return cached(joint_key(layout.title, resize, digest), decode), digest
