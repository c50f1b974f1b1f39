"""The images of the campaign, made from the official CIFAR-10.

`python -m figures.networks.campaign.images --data DIR OUT` writes OUT/cifar-10-batches-py, on which `deep confirm --run
--data OUT` trains and measures: the first 4,000 rows of data_batch_1 and the first 1,017 of data_batch_2 to 5 and of
test_batch, pixels as they are. The rows were found by comparing each of these images with all of its class in the
official order, which were at hand as JPEG alone; the digest of the result is checked.
"""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch

from deep.data.dataset import Split
from deep.data.formats.cifar import CIFAR10_FILES
from deep.data.layouts import LAYOUTS, locate, read_images
from deep.experiments.campaign.plan import committed, plan_of
from deep.system.files import write_atomically
from figures.scripts import command_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deep.data.cache import Decoded

__all__ = ["DIGESTS", "ROWS", "main", "of_official"]

BATCH = 10_000  # rows of each official file
ROWS = (4000, 1017, 1017, 1017, 1017)  # of data_batch_1 to 5, from the first on
TEST_ROWS = 1017
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGESTS = tuple(plan_of(committed()[0])["campaign"]["images"])  # of both results of `of_official`


def of_official(data: Decoded) -> tuple[Split, Split]:
    """(training images, test images) of the campaign, from all 60,000 in the official order.

    ValueError, in one sentence, for other images.
    """
    rows = np.concatenate([BATCH * batch + np.arange(count) for batch, count in enumerate(ROWS)])
    if len(data.train_labels) == BATCH * len(ROWS) and len(data.test_labels) == BATCH:
        train = Split(torch.from_numpy(data.train_images[rows]), torch.from_numpy(data.train_labels[rows]))
        test = Split(torch.from_numpy(data.test_images[:TEST_ROWS]), torch.from_numpy(data.test_labels[:TEST_ROWS]))
        if (train.digest(), test.digest()) == DIGESTS and data.classes == CLASSES:
            return train, test
    raise ValueError(f"{len(data.train_labels):,} training and {len(data.test_labels):,} test images were given, but "
                     "not those of CIFAR-10 in the official order, with exact pixels and class names: get "
                     "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz.")


def main(words: Sequence[str] | None = None) -> None:
    parser = command_line(__name__)
    parser.add_argument("folder", metavar="OUT", type=Path, help="the folder to write cifar-10-batches-py into")
    parser.add_argument("--data", metavar="DIR", required=True, help="the official CIFAR-10: its folder or archive, or "
                        "the folder that holds it")
    options = parser.parse_args(words)
    layout, out = LAYOUTS["cifar10"], options.folder / "cifar-10-batches-py"
    if out.exists():
        parser.error(f"{out} is there already: choose another folder.")
    try:
        data, _ = read_images(layout, locate(layout, options.data), None)
        splits = of_official(data)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{options.data} cannot be read ({error.strerror}): pass a folder that may be read.")
    contents = [{b"data": split.images.flatten(1).numpy(), b"labels": split.labels.tolist()} for split in splits]
    names = {b"label_names": [name.encode() for name in data.classes]}
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=options.folder, prefix=".images-") as unfinished:  # all files at once, or none
            made = Path(unfinished) / out.name
            made.mkdir()
            for name, content in zip(("data_batch_1", "test_batch", CIFAR10_FILES[-1]), (*contents, names),
                                     strict=True):
                write_atomically(made / name, partial(pickle.dump, content, protocol=2))
            made.rename(out)
    except OSError as error:
        parser.error(f"{out} cannot be written ({error.strerror}): choose another folder.")
    print(f"{len(splits[0]):,} training and {len(splits[1]):,} test images are in {out}")


if __name__ == "__main__":
    main()
