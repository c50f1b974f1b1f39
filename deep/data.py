"""Data as tensors on the device: splits, the restricted CIFAR reader, batched augmentation."""

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

__all__ = ["Data", "Split", "as_float", "augment", "held_out", "load_cifar10", "read_cifar_pickle"]

# The MD5 sums of the official files (https://www.cs.toronto.edu/~kriz/cifar.html).
CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
SPLIT_SEED = 0  # one fixed validation split for every run, whatever the run's own seed


@dataclass(frozen=True)
class Split:
    """images (n, c, h, w), uint8 in 0..255 or float; labels (n,) int64."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self):
        return len(self.labels)

    def to(self, device):
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """A data set. box: the range of a pixel that an attack must keep, or None; mean, std: per channel, of train."""

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    box: tuple[float, float] | None
    provenance: dict

    def fingerprint(self):
        """SHA-256 of the training images and labels: a run must not go on with others."""
        digest = hashlib.sha256()
        for tensor in (self.train.images, self.train.labels):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device):
        parts = {name: getattr(self, name).to(device) for name in ("train", "val", "test")}
        return Data(**{**self.__dict__, **parts})


def as_float(images):
    """uint8 pixels (any shape) as float32 in [0, 1]; float images as they are.

    >>> as_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
    [0.0, 0.2..., 1.0]
    """
    return images.float() / 255 if images.dtype == torch.uint8 else images


class RestrictedUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers: a pickle can otherwise run any code when it is read."""

    ALLOWED = frozenset({("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
                         ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")})

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"it asks for {module}.{name}, but only numpy arrays and plain containers are admitted")
        # numpy renamed the module in 2.0; old files name the old place, which warns when it is used
        return super().find_class(module.replace("numpy.core.", "numpy._core.") if np.__version__ >= "2" else module,
                                  name)


def read_cifar_pickle(path):
    """The dictionary in one CIFAR pickle (keys as str). Raises ValueError naming the file if it is not one.

    Layout: https://www.cs.toronto.edu/~kriz/cifar.html, protocol 2, strings of Python 2.

    >>> read_cifar_pickle("/nowhere")
    Traceback (most recent call last):
    ValueError: /nowhere cannot be read as a CIFAR pickle (...): copy the file again.
    """
    try:
        with open(path, "rb") as file:
            content = RestrictedUnpickler(file, encoding="bytes").load()
        return {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise ValueError(f"{path} cannot be read as a CIFAR pickle ({error}): copy the file again.") from error


def read_batch(path):
    content = read_cifar_pickle(path)
    pixels, labels = content.get("data"), content.get("labels")
    if (not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2
            or pixels.shape[1] != 3072 or not isinstance(labels, list) or len(labels) != len(pixels)):
        raise ValueError(f"{path} does not hold n images of 3 x 32 x 32 bytes with n labels: copy the file again.")
    if not all(isinstance(label, int) and 0 <= label < 10 for label in labels):
        raise ValueError(f"{path} holds a label outside 0..9, which CIFAR-10 does not have: copy the file again.")
    return torch.from_numpy(pixels.reshape(-1, 3, 32, 32).copy()), torch.tensor(labels)


def class_names(meta):
    """The ten names in `batches.meta`, or the numbers 0..9 where that file is missing."""
    names = read_cifar_pickle(meta).get("label_names") if meta.is_file() else [str(label) for label in range(10)]
    if not isinstance(names, list) or len(names) != 10:
        raise ValueError(f"{meta} does not hold ten label_names: copy the file again, or remove it.")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)


def held_out(total, val_size, train_size):
    """Indices (train, val), int64, of one fixed split of `total` images: the same for every run and seed.

    val has val_size of them, train train_size of the rest (None: all). ValueError if they do not fit.

    >>> train, val = held_out(10, 3, 4)
    >>> len(train), len(val), len(set(train.tolist()) & set(val.tolist()))
    (4, 3, 0)
    """
    order = torch.randperm(total, generator=torch.Generator().manual_seed(SPLIT_SEED))
    available = total - val_size
    if available < 1 or (train_size or 1) > available:
        raise ValueError(f"train_size = {train_size} and val_size = {val_size} were given, but there are {total} "
                         "training images: choose sizes that fit together.")
    return order[val_size:val_size + (train_size or available)], order[:val_size]


def load_cifar10(folder, val_size, train_size=None):
    """CIFAR-10 from `folder`, which holds `cifar-10-batches-py` or is it; one to five training batches.

    val_size images of the training files are held out; train_size of the rest are used (None: all).
    `provenance` says for each file whether its MD5 is the official one. Raises ValueError in one sentence.
    """
    folder = folder or os.environ.get("DEEP_DATA")
    if not folder:
        raise ValueError("no data directory was given: pass --data DIR or set DEEP_DATA to the folder that holds "
                         "cifar-10-batches-py.")
    base = Path(folder)
    base = base / "cifar-10-batches-py" if (base / "cifar-10-batches-py").is_dir() else base
    batches = [base / name for name in CIFAR10_MD5 if name != "test_batch" and (base / name).is_file()]
    if not batches or not (base / "test_batch").is_file():
        raise ValueError(f"no CIFAR-10 was found in {base}: it must hold data_batch_1 (to 5) and test_batch of "
                         "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz; unpack that archive there.")
    files = [*batches, base / "test_batch"]
    official = {path.name: hashlib.md5(path.read_bytes()).hexdigest() == CIFAR10_MD5[path.name] for path in files}
    parts = [read_batch(path) for path in batches]
    images, labels = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    train, val = held_out(len(labels), val_size, train_size)
    test = Split(*read_batch(base / "test_batch"))
    if len(test.labels.unique()) < 10:
        raise ValueError(f"{base / 'test_batch'} lacks images of a class, without which CAS is undefined: "
                         "copy the file again.")
    pixels = as_float(images[train])
    std = pixels.std((0, 2, 3))
    if not (std > 0).all():
        raise ValueError(f"the training images in {base} have a constant channel: copy the files again.")
    note = "" if all(official.values()) else " (not the official files)"
    if not note and len(batches) < 5:
        note = f" ({len(batches)} of 5 official training batches)"
    return Data(
        name="CIFAR-10" + note, classes=class_names(base / "batches.meta"),
        train=Split(images[train], labels[train]), val=Split(images[val], labels[val]), test=test,
        mean=tuple(pixels.mean((0, 2, 3)).tolist()), std=tuple(std.tolist()), box=(0.0, 1.0),
        provenance={"layout": "cifar-10-batches-py", "official_md5": official, "training_images_on_disk": len(labels)})


def augment(images, generator, padding, flip):
    """A random crop of each image after reflect padding, and a mirror image with probability 1/2.

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
    rows, columns = rows.to(images.device), columns.to(images.device)
    index = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def reflected(index, size):
    """Indices outside 0..size-1 mirrored at the border pixel: -1 -> 1, size -> size - 2."""
    return (size - 1) - ((size - 1) - index.abs()).abs()
