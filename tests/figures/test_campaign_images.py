"""The campaign's images, from a stand-in for the official CIFAR-10 that has them in the same rows."""

import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from deep.data.cache import Decoded
from deep.data.layouts import LAYOUTS, locate, read_images
from figures.networks.campaign import images
from tests.conftest import missing
from tests.support.layouts import pickled


def read(folder):
    return read_images(LAYOUTS["cifar10"], locate(LAYOUTS["cifar10"], folder), None)[0]


def stand_in(exact, folder):
    """The official layout, 10,000 rows a file, all black but for the rows that are known; their labels 3."""
    folder.mkdir()
    begin = 0
    for number, count in enumerate((4000, 1017, 1017, 1017, 1017, None)):
        known, labels = ((exact.test_images, exact.test_labels) if count is None else
                         (exact.train_images[begin:begin + count], exact.train_labels[begin:begin + count]))
        begin += count or 0
        rows, named = np.zeros((10_000, 3072), np.uint8), np.full(10_000, 3)
        rows[:len(known)], named[:len(known)] = known.reshape(len(known), -1), labels
        name = "test_batch" if count is None else f"data_batch_{number + 1}"
        (folder / name).write_bytes(pickled(data=rows, labels=named.tolist()))
    (folder / "batches.meta").write_bytes(pickled(label_names=[name.encode() for name in exact.classes]))
    assert begin == len(exact.train_labels)


def no_space(*words):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_images_that_cannot_be_read_are_not_said_to_be_unwritable(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(images, "locate", no_space)
    with pytest.raises(SystemExit):
        images.main(["--data", "there", str(tmp_path / "out")])
    assert "there cannot be read (No space left on device)" in capsys.readouterr().err


@pytest.mark.slow
def test_the_images_of_the_campaign_from_the_official_ones(cifar, tmp_path, capsys, monkeypatch):
    exact = read(cifar)
    if len(exact.train_labels) != 8068:  # a number of the test's own: wrong rows are to fail, not to skip
        missing("the images of the campaign (DEEP_DATA holds others)")
    stand_in(exact, tmp_path / "cifar-10-batches-py")
    images.main(["--data", str(tmp_path), str(tmp_path / "out")])
    assert "8,068 training and 1,017 test images" in capsys.readouterr().out
    made = read(tmp_path / "out")
    assert made.classes == exact.classes
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(made, name), getattr(exact, name))
    with pytest.raises(SystemExit):
        images.main(["--data", str(tmp_path), str(tmp_path / "out")])
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        images.main(["--data", str(cifar), str(tmp_path / "other")])
    assert "8,068 training and 1,017 test images were given" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        images.main(["--data", str(tmp_path), str(tmp_path / "file" / "below")])
    error = capsys.readouterr().err
    assert "cannot be written (Not a directory)" in error and "Traceback" not in error
    monkeypatch.setattr(images, "write_atomically", no_space)
    with pytest.raises(SystemExit):
        images.main(["--data", str(tmp_path), str(tmp_path / "full")])
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert list((tmp_path / "full").iterdir()) == []  # nothing is left of what was begun
    official = read(tmp_path)
    with pytest.raises(ValueError, match="class names"):
        images.of_official(replace(official, classes=tuple("0123456789")))
    official.train_images[20_000, 0, 0, 0] ^= 1  # one bit of a pixel, in a row that is taken
    with pytest.raises(ValueError, match="in the official order"):
        images.of_official(official)
    official.train_images[20_000, 0, 0, 0] ^= 1
    official.train_images[21_017] ^= 1  # and one that is not
    assert len(images.of_official(official)[0]) == 8068


def test_other_images_are_refused():
    few = Decoded(np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.int64), np.zeros((4, 3, 32, 32), np.uint8),
                  np.zeros(4, np.int64), tuple("0123456789"))
    with pytest.raises(ValueError, match=r"^4 training and 4 test images were given"):
        images.of_official(few)
