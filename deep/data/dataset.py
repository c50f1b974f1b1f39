"""Data as tensors on the device: data sets, splits, batched augmentation."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from deep.data.cache import Decoded
from deep.data.formats.archives import without_suffix
from deep.data.layouts import LAYOUTS, Layout, locate, read_images
from deep.system.messages import tell

__all__ = ["SPLITS", "Data", "Split", "as_float", "augment", "balanced", "channel_statistics", "held_out", "load",
           "on_device", "unused"]

SPLITS = {"train": "training", "val": "validation", "test": "test"}  # of a data set, and what sentences call them
SPLIT_SEED = 0  # of the split, unless a recipe asks for another, whatever its own seed; and of fixed samples


@dataclass(frozen=True)
class Split:
    """images (n, c, h, w), uint8 in 0..255 or float; labels (n,) int64.

    >>> len(Split(torch.zeros(5, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 1, 0, 1, 1])))
    5
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str | torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def digest(self) -> str:
        """Return the SHA-256, hexadecimal, of pixels and labels, types and shapes included.

        >>> first, second = (Split(torch.zeros(2, 1, 1, 2), torch.tensor(labels)) for labels in ([0, 1], [1, 0]))
        >>> first.digest() == second.digest()
        False
        """
        digest = hashlib.sha256()
        for tensor in (self.images, self.labels):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Data:
    """A data set. box: the range of a pixel that an attack must keep, or None; mean, std: per channel, of train.

    superclasses: the superclass of each class, for CAS within and between them (CIFAR-100), else empty.

    >>> one = Split(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]))
    >>> data = Data("two", ("cat", "dog"), one, one, one, (0.5,) * 3, (0.2,) * 3, (0.0, 1.0), provenance={})
    >>> data.fingerprint()["train"] == one.digest()
    True
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    box: tuple[float, float] | None
    provenance: dict
    superclasses: tuple[str, ...] = ()

    def fingerprint(self) -> dict[str, str]:
        """Return {split: SHA-256 of its pixels and labels, types and shapes}: a run must not go on with others."""
        return {name: getattr(self, name).digest() for name in SPLITS}

    def training_digest(self) -> str:
        """Return the SHA-256 of the training pixels and labels alone, which older checkpoints hold."""
        digest = hashlib.sha256()
        for tensor in (self.train.images, self.train.labels):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: str | torch.device) -> "Data":
        parts = {name: getattr(self, name).to(device) for name in SPLITS}
        return Data(**{**self.__dict__, **parts})


def as_float(images: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return uint8 pixels as float32 in [0, 1], and float images as they are.

    >>> as_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
    [0.0, 0.2..., 1.0]
    """
    return images.float() / 255 if images.dtype == torch.uint8 else images


def held_out(total: int, val_size: int, train_size: int | None, seed: int = SPLIT_SEED
             ) -> tuple[Int[torch.Tensor, " train"], Int[torch.Tensor, " val"], Int[torch.Tensor, " rest"]]:
    """Return indices (train, val, rest) of a split of `total` images that `seed` alone decides.

    val has val_size of them, train train_size of the others (None: all), and the rest is what neither has. ValueError
    if they do not fit.

    >>> train, val, rest = held_out(10, 3, 4)
    >>> len(train), len(val), len(rest), len({*train.tolist(), *val.tolist(), *rest.tolist()})
    (4, 3, 3, 10)
    """
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    available = total - val_size
    if available < 1 or (train_size or 1) > available:
        raise ValueError(f"train_size = {train_size} and val_size = {val_size} were given, but there are {total} "
                         "training images: choose sizes that fit together.")
    end = val_size + (train_size or available)
    return order[val_size:end], order[:val_size], order[end:]


def balanced(labels: Int[Tensor, "len"], n: int) -> Int[Tensor, "m"]:
    """Return positions of a fixed sample of m = min(n, len(labels)) images, balanced by class as far as possible.

    labels (len,): of all images, in any order. Images are taken in turn, one of each class, from one shuffled order:
    class sizes differ by at most one where no class is exhausted, and a smaller sample is a part of a larger one.

    >>> labels = torch.arange(4).repeat_interleave(100)
    >>> labels[balanced(labels, 6)].bincount().sort().values.tolist()
    [1, 1, 2, 2]
    """
    labels = labels.cpu()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    turn = torch.empty_like(order)
    for label in labels.unique():
        own = labels[order] == label
        turn[own] = torch.arange(int(own.sum()))
    return order[turn.argsort(stable=True)[:n]].sort().values


def channel_statistics(images: UInt8[Tensor, "n c h w"]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel, in units of 255; from counts, exactly.

    >>> channel_statistics(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2))
    ((0.5,), (0.5,))
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]).double()
    counts /= counts.sum(1, keepdim=True)
    mean = counts @ levels
    std = (counts * (levels - mean[:, None]) ** 2).sum(1).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


def check_classes(decoded: Decoded, layout: Layout, path: Path) -> None:
    """Raise ValueError if a class lacks images, or there are fewer than 3 classes, or more than the set has."""
    if len(decoded.classes) < 3:
        raise ValueError(f"{path} has classes {', '.join(decoded.classes)} alone, but margin-CAS compares triples of "
                         "classes: pass images of at least 3.")
    if layout.classes and len(decoded.classes) > layout.classes:
        raise ValueError(f"{path} has {len(decoded.classes)} classes, but {layout.title} has {layout.classes}: pass "
                         "the folder of that data set, or the name of this one.")
    for split, labels in (("training", decoded.train_labels), ("test", decoded.test_labels)):
        counts = np.bincount(labels, minlength=len(decoded.classes))
        if not counts.all():
            raise ValueError(f"{path} lacks {split} images of class {decoded.classes[int(counts.argmin())]!r}, without "
                             "which CAS is undefined: copy the files again.")


def report_left_out(decoded: Decoded, layout: Layout, path: Path) -> None:
    """Say which files were left out, and that gray images have three channels: all of it is in `provenance` too."""
    left_out, met = decoded.provenance.get("left_out"), decoded.provenance.get("files", {})
    if left_out:
        parts = [f"{found['count']} {why} ({found['one']})" for why, found in left_out.items()]
        tell(f"{path}: files were left out: {', '.join(parts)}.")
    if met.get("gray") and layout is not LAYOUTS["tiny-imagenet"]:  # whose gray images are known
        total = len(decoded.train_labels) + len(decoded.test_labels)
        tell(f"{path}: {met['gray']} of {total} images are gray; each became three equal channels, which an attack "
             "changes independently.")


def read(name: str, root: str | Path | None, resize: int | None) -> tuple[Layout, Path, Decoded, str]:
    """Return (layout, path, decoded images, their digest) of a data set; arguments and errors as `load`."""
    if name not in LAYOUTS:
        raise ValueError(f"data = {name} was given, but the data sets are {', '.join(LAYOUTS)}: choose one.")
    layout = LAYOUTS[name]
    if resize is not None and (layout.pickled or resize < 1):
        raise ValueError(f"resize = {resize} was given for {layout.title}, but it is the side in pixels, from 1 on, of "
                         "images that lie in files, and CIFAR's do not: leave it out.")
    root = root or os.environ.get("DEEP_DATA")
    if not root:
        raise ValueError(f"no data directory was given for {layout.title}: pass --data DIR or set DEEP_DATA to the "
                         "folder or archive that holds it.")
    path = locate(layout, root)
    return layout, path, *read_images(layout, path, resize)


def unused(name: str, root: str | Path | None, val_size: int, train_size: int | None = None,
           resize: int | None = None, data_seed: int = SPLIT_SEED) -> Split:
    """Return the training images of a data set that are neither trained on nor held out: more test images.

    Arguments and errors as `load`; its images are none of those of `load` with the same arguments.
    """
    _, _, decoded, _ = read(name, root, resize)
    _, _, rest = held_out(len(decoded.train_labels), val_size, train_size, data_seed)
    return Split(torch.from_numpy(decoded.train_images)[rest], torch.from_numpy(decoded.train_labels)[rest])


def load(name: str, root: str | Path | None, val_size: int, train_size: int | None = None,
         resize: int | None = None, data_seed: int = SPLIT_SEED) -> Data:
    """Return the data set `name` of LAYOUTS as `Data`, from `root` (None: $DEEP_DATA), a folder or an archive.

    root: the data set, or the folder in which it lies under its own name, unpacked or not; or Parquet files.
    val_size images of the training split are held out; train_size of the rest are used (None: all). data_seed: of the
    draw of both. resize: None, or the side to which image files are cut and scaled (never CIFAR's). Mean and standard
    deviation are those of the training images used. Decoded images are kept in a cache (deep/data/cache.py).
    `Data.name` says what is not the whole, official, exact data set. ValueError, in one sentence: what is missing or
    damaged.

    >>> load("mnist", "images", val_size=500)
    Traceback (most recent call last):
    ValueError: data = mnist was given, but the data sets are cifar10, cifar100, tiny-imagenet, folder: choose one.
    """
    layout, path, decoded, digest = read(name, root, resize)
    report_left_out(decoded, layout, path)
    check_classes(decoded, layout, path)
    images, labels = torch.from_numpy(decoded.train_images), torch.from_numpy(decoded.train_labels)
    train, val, _ = held_out(len(labels), val_size, train_size, data_seed)
    mean, std = channel_statistics(images[train])
    if not all(std):
        raise ValueError(f"the training images in {path} have a constant channel: copy the files again.")
    classes = len(decoded.classes)
    notes = [decoded.note, f"{classes} of {layout.classes} classes" if classes < (layout.classes or 0) else "",
             f"resized to {resize}" if resize else ""]
    title = layout.title if layout.stems else without_suffix(path.resolve().name)
    return Data(
        name=title + (f" ({', '.join(filter(None, notes))})" if any(notes) else ""), classes=decoded.classes,
        train=Split(images[train], labels[train]), val=Split(images[val], labels[val]),
        test=Split(torch.from_numpy(decoded.test_images), torch.from_numpy(decoded.test_labels)),
        mean=mean, std=std, box=(0.0, 1.0), superclasses=decoded.superclasses,
        provenance=decoded.provenance | {"content_sha256": digest, "training_images_on_disk": len(labels)})


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a CPU tensor to the device; to a GPU from pinned memory, so that the CPU does not wait for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def augment(images: Shaped[Tensor, "n c h w"], generator: torch.Generator, padding: int,
            flip: bool) -> Shaped[Tensor, "n c h w"]:
    """Return a random crop of each image after reflect padding, and a mirror image with probability 1/2.

    images (n, c, h, w) of any type. Both are one gather by index, so nothing is padded or copied image by
    image; the generator lives on the CPU, so that a run draws the same crops on every device.

    >>> images = torch.arange(16).view(1, 1, 4, 4)
    >>> augment(images, torch.Generator().manual_seed(0), padding=1, flip=True).shape
    torch.Size([1, 1, 4, 4])
    """
    n, _, height, width = images.shape
    shift = torch.randint(-padding, padding + 1, (2, n, 1), generator=generator)
    mirror = torch.randint(2 if flip else 1, (n, 1), generator=generator).bool()
    rows = reflected(torch.arange(height) + shift[0], height)
    columns = torch.arange(width).expand(n, -1)
    columns = reflected(torch.where(mirror, columns.flip(1), columns) + shift[1], width)
    rows, columns = on_device(rows, images.device), on_device(columns, images.device)
    index = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def reflected(index: Int[Tensor, "n side"], size: int) -> Int[Tensor, "n side"]:
    """Mirror indices outside 0..size-1 at the border pixel: -1 -> 1, size -> size - 2."""
    return (size - 1) - ((size - 1) - index.abs()).abs()
