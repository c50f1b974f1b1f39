"""CIFAR-10 as it is offered, splitting and augmenting; what a damaged or hostile file gets for an answer."""

import hashlib
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from deep.data.dataset import as_float, augment, balanced, channel_statistics, held_out, load, unused
from deep.data.formats.cifar import OFFICIAL_MD5, read_cifar10
from deep.data.formats.cifar_pickle import read_pickle

load_cifar10 = partial(load, "cifar10")


def write_batch(path, n=20, labels=None, pixels=None):
    pixels = np.random.default_rng(0).integers(256, size=(n, 3072), dtype=np.uint8) if pixels is None else pixels
    content = {b"data": pixels, b"labels": list(range(10)) * (n // 10) if labels is None else labels}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return pixels


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        write_batch(base / name)
    return tmp_path


def test_real_images(cifar):
    """Counts from the data's own description, and the per-channel means that CIFAR-10 is known for."""
    data = load_cifar10(cifar, val_size=500)
    assert (len(data.train), len(data.val), len(data.test)) == (7568, 500, 1017)
    assert data.train.images.shape[1:] == (3, 32, 32)
    assert data.classes[1] == "automobile"
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.01)
    assert data.std == pytest.approx((0.247, 0.243, 0.262), abs=0.01)
    assert torch.bincount(data.test.labels).tolist() == pytest.approx([101.7] * 10, abs=15)
    assert not any(data.provenance["official_md5"].values())
    assert data.name == "CIFAR-10 (not the official files)"


def test_layout_of_pixels(folder):
    """A row is 1,024 reds, then greens, then blues, each row by row."""
    pixels = np.zeros((20, 3072), dtype=np.uint8)
    pixels[:, 1024 + 32 * 3 + 5] = 200  # green, row 3, column 5
    write_batch(folder / "cifar-10-batches-py" / "test_batch", pixels=pixels)
    images = load_cifar10(folder, val_size=5).test.images
    assert images[:, 1, 3, 5].tolist() == [200] * 20
    assert images.sum() == 20 * 200


def test_both_folders_and_the_variable_are_accepted(folder, monkeypatch):
    first = load_cifar10(folder, val_size=5)
    second = load_cifar10(folder / "cifar-10-batches-py", val_size=5)
    monkeypatch.setenv("DEEP_DATA", str(folder))
    third = load_cifar10(None, val_size=5)
    assert len(first.train) == 35
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.train.images, third.train.images)


def test_official_files_are_recognised(folder, monkeypatch):
    path = folder / "cifar-10-batches-py" / "data_batch_1"
    monkeypatch.setitem(OFFICIAL_MD5["cifar10"], "data_batch_1", hashlib.md5(path.read_bytes()).hexdigest())
    official = load_cifar10(folder, val_size=5).provenance["official_md5"]
    assert official == {"data_batch_1": True, "data_batch_2": False, "test_batch": False}
    for name in ("data_batch_2", "test_batch"):
        content = (folder / "cifar-10-batches-py" / name).read_bytes()
        monkeypatch.setitem(OFFICIAL_MD5["cifar10"], name, hashlib.md5(content).hexdigest())
    assert load_cifar10(folder, val_size=5).name == "CIFAR-10 (2 of 5 official training batches)"


def test_missing_data_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("DEEP_DATA", raising=False)
    with pytest.raises(ValueError, match="pass --data DIR or set DEEP_DATA"):
        load_cifar10(None, val_size=5)
    with pytest.raises(ValueError) as error:
        load_cifar10(tmp_path, val_size=5)
    for word in (str(tmp_path), "cifar-10-batches-py", ".tar.gz", "data_batch_1", "test_batch", "*.parquet",
                 "get https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"):
        assert word in str(error.value)
    with pytest.raises(ValueError, match="absent, which does not exist: looked for"):
        load_cifar10(tmp_path / "absent", val_size=5)
    (tmp_path / "cifar.rar").write_bytes(b"Rar!")
    with pytest.raises(ValueError, match=r"which is no archive \(.tar.xz"):
        load_cifar10(tmp_path / "cifar.rar", val_size=5)


@pytest.mark.parametrize(("missing", "sentence"), [
    (["test_batch"], "cifar-10-batches-py lacks test_batch: get https"),
    (["data_batch_1", "data_batch_2"], "lacks data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5: ")])
def test_half_copied_data_says_what_is_missing(folder, missing, sentence):
    for name in missing:
        (folder / "cifar-10-batches-py" / name).unlink()
    with pytest.raises(ValueError, match=sentence):
        load_cifar10(folder, val_size=5)


@pytest.mark.parametrize("names", [5, None, [b"cat", b"dog"]])
def test_wrong_class_names_are_refused(folder, names):
    (folder / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol=2))
    with pytest.raises(ValueError, match="does not hold 10 label_names"):
        load_cifar10(folder, val_size=5)


def test_a_flipped_byte_is_a_sentence_or_harmless(folder):
    base = folder / "cifar-10-batches-py"
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    content = files["data_batch_2"]
    rng = np.random.default_rng(0)
    refused = 0
    for position in [*range(120), *rng.integers(len(content), size=100)]:
        flipped = bytes([content[position] ^ (1 << rng.integers(8))])
        try:
            read_cifar10(files | {"data_batch_2": content[:position] + flipped + content[position + 1:]}, base, "")
        except ValueError as error:
            refused += 1
            assert "data_batch_2" in str(error)
    assert refused > 50


def test_images_that_cannot_be_normalised_or_judged_are_refused(folder):
    base = folder / "cifar-10-batches-py"
    write_batch(base / "test_batch", labels=[0, 1] * 10)
    with pytest.raises(ValueError, match="lacks test images of class '2'"):
        load_cifar10(folder, val_size=5)
    write_batch(base / "test_batch")
    for name in ("data_batch_1", "data_batch_2"):
        write_batch(base / name, pixels=np.full((20, 3072), 7, dtype=np.uint8))
    with pytest.raises(ValueError, match="constant channel"):
        load_cifar10(folder, val_size=5)


@pytest.mark.parametrize(("damage", "sentence"), [
    ("cut", "cannot be read as a CIFAR pickle"), ("code", "only numpy arrays and plain containers are admitted"),
    ("labels", "holds labels outside 0..9"), ("shape", "does not hold n images of 3 x 32 x 32 bytes"),
    ("length", "does not hold labels for each of its 20 images")])
def test_damaged_files_are_named(folder, damage, sentence):
    path = folder / "cifar-10-batches-py" / "data_batch_2"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:len(content) // 2])
    elif damage == "code":
        path.write_bytes(pickle.dumps(print, protocol=2))
    elif damage == "labels":
        write_batch(path, labels=[10] * 20)
    elif damage == "shape":
        write_batch(path, pixels=np.zeros((20, 3000), dtype=np.uint8))
    else:
        write_batch(path, labels=[1] * 19)
    with pytest.raises(ValueError, match=f"data_batch_2 .*{sentence}"):
        load_cifar10(folder, val_size=5)


def test_a_pickle_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    with pytest.raises(ValueError, match="only numpy arrays and plain containers are admitted"):
        read_pickle(pickle.dumps({b"data": Bomb()}, protocol=2), "bomb")
    assert not (tmp_path / "ran").exists()


def test_mean_and_deviation_are_those_of_the_pixels():
    images = torch.randint(256, (30, 3, 5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    pixels = images.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), rel=1e-12)


def test_the_split_is_fixed_and_disjoint():
    train, val, rest = held_out(100, 30, 50)
    assert (len(train), len(val), len(rest)) == (50, 30, 20)
    assert sorted([*train.tolist(), *val.tolist(), *rest.tolist()]) == list(range(100))
    other = held_out(100, 30, 50, seed=1)
    assert 20 < len(set(train.tolist()) & set(other[0].tolist())) < 30 and not torch.equal(other[1], val)
    again = held_out(100, 30, None)
    assert torch.equal(again[1], val)
    assert torch.equal(again[0][:50], train)
    with pytest.raises(ValueError, match="choose sizes that fit together"):
        held_out(100, 60, 50)


def test_unused_images_are_those_that_nobody_sees(folder):
    """With one seed the three parts are the training images on disk, each once; another seed deals them anew."""
    sizes = {"val_size": 5, "train_size": 8}
    parts = [load("cifar10", folder, **sizes, data_seed=3), load("cifar10", folder, **sizes)]
    everything = load("cifar10", folder, 0).train.images.flatten(1).tolist()
    for data, seed in zip(parts, (3, 0), strict=True):
        rest = unused("cifar10", folder, **sizes, data_seed=seed)
        assert len(rest) == len(everything) - 13 == len(rest.labels)
        seen = torch.cat([data.train.images, data.val.images, rest.images]).flatten(1).tolist()
        assert sorted(seen) == sorted(everything)
    assert parts[0].fingerprint()["train"] != parts[1].fingerprint()["train"]
    assert parts[0].fingerprint()["test"] == parts[1].fingerprint()["test"]


def test_a_balanced_sample_takes_classes_in_turn_and_images_at_random():
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 50)
    for n, counts in ((3, [1, 1, 1]), (9, [3, 3, 3]), (13, [5, 3, 5]), (103, [50, 3, 50]), (500, [50, 3, 50])):
        assert labels[balanced(labels, n)].bincount().tolist() == counts
    sample, larger = balanced(labels, 9), balanced(labels, 40)
    assert set(sample.tolist()) <= set(larger.tolist())
    assert torch.equal(sample, balanced(labels, 9))  # fixed
    assert sample.tolist() == sorted(set(sample.tolist()))
    assert larger[labels[larger] == 0].tolist() != list(range(19))  # no first ones


def test_augmentation_is_pad_crop_flip():
    """Each augmented image is one of the 2 x 81 crops of the reflect-padded image, made here with torch's own pad."""
    images = torch.randint(256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    out = augment(images, torch.Generator().manual_seed(1), padding=4, flip=True)
    padded = torch.nn.functional.pad(images.float(), (4, 4, 4, 4), mode="reflect").byte()
    seen = set()
    for image, result in zip(padded, out, strict=True):
        crops = {(top, left, flip): (image[:, top:top + 8, left:left + 8].flip(2) if flip else
                                     image[:, top:top + 8, left:left + 8])
                 for top in range(9) for left in range(9) for flip in (False, True)}
        matches = [key for key, crop in crops.items() if torch.equal(crop, result)]
        assert matches  # sometimes two: reflection makes some crops mirror images of each other
        seen.add(matches[0])
    assert len(seen) > 25
    assert {flip for _, _, flip in seen} == {False, True}


def test_augmentation_off_is_the_identity():
    images = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(augment(images, torch.Generator(), padding=0, flip=False), images)


def test_pixels_are_scaled_once():
    assert as_float(torch.tensor([255], dtype=torch.uint8)).item() == 1.0
    assert as_float(torch.tensor([0.3])).item() == pytest.approx(0.3)
