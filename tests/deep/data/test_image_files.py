"""Images known by their content: formats, orientation, depth, gray; what is left out, and names in two forms."""

import io
import struct
import unicodedata
import zlib
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from deep.cli.measure.saliency import class_numbers
from deep.data.dataset import load
from deep.data.formats.image_files import decode
from deep.experiments.reproduction.data_sets import layout_at
from tests.support import layouts as made


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DEEP_CACHE", str(tmp_path_factory.mktemp("cache")))


def images_of(data):
    """All images of a set, with their classes' names."""
    parts = (data.train, data.val, data.test)
    labels = torch.cat([part.labels for part in parts]).tolist()
    return torch.cat([part.images for part in parts]), [data.classes[label] for label in labels]


def saved(image, kind, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image.transpose(1, 2, 0))).save(file, kind, **options)
    return file.getvalue()


# --- formats ---

KINDS = [("webp", {"lossless": True}), ("bmp", {}), ("tiff", {}), ("ppm", {}), ("gif", {}), ("png", {})]


def test_every_format_is_read_whatever_the_file_is_called(tmp_path):
    """A class in each format, one half of its files under its own ending and one half under none."""
    files, expected = {}, {}
    for seed, (kind, options) in enumerate(KINDS):
        pixels = made.noise(4, seed=seed) // 51 * 51  # of the colours that every palette has
        for i, image in enumerate(pixels):
            split, ending = ("train", "test")[i // 2], ("", f".{kind}")[i % 2]
            files[f"{split}/{kind}/{i:03}{ending}"] = saved(image, kind, **options)
        expected[kind] = torch.from_numpy(pixels)
    for path in (made.write_tree(tmp_path / "kinds", files), made.write_zip(tmp_path / "kinds.zip", files)):
        data = load("folder", path, val_size=1)
        assert data.name == "kinds (image folder, WebP)"
        assert data.provenance["files"] == {kind.upper(): 4 for kind, _ in KINDS}
        images, classes = images_of(data)
        for kind, pixels in expected.items():
            own = images[torch.tensor([name == kind for name in classes])]
            assert len(own) == 4
            assert all((own == image).flatten(1).all(1).any() for image in pixels)
        assert layout_at("cifar10", str(path)) == "folder"


def test_a_jpeg_is_not_exact_because_it_is_called_png(tmp_path):
    exact = {name.rpartition(".")[0] + ".jpg": made.coded(made.noise(1, seed=len(name) + i)[0]) for i, name in
             enumerate(made.folder_files())}
    assert load("folder", made.write_tree(tmp_path / "pets", exact), val_size=2).name == "pets (image folder)"
    disguised = exact | {"train/cat/more.png": made.coded(made.noise(1)[0], "jpeg")}
    assert load("folder", made.write_tree(tmp_path / "dogs", disguised), val_size=2).name == "dogs (image folder, JPEG)"


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("7.avif", b"\0\0\0\x1cftypavif", "7.avif is not a JPEG or PNG image, nor one of WEBP, BMP, GIF, TIFF, PPM: copy"),
    ("7.heic", b"\0\0\0\x18ftypheic", "7.heic is not a JPEG or PNG image"),
    ("7.gif", saved(Image.new("L", (32, 32)), "gif", save_all=True, append_images=[Image.new("L", (32, 32), 255)]),
     "7.gif holds 2 images, but one is read: save the one that is meant")], ids=["avif", "heic", "frames"])
def test_an_image_that_cannot_be_read_is_refused(tmp_path, name, content, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        load("folder", made.write_tree(tmp_path, made.folder_files() | {f"train/cat/{name}": content}), val_size=2)
    assert "\n" not in str(error.value)


def deep_png(kind):
    """A PNG of 16 bits a channel; kind 2 is RGB, 6 RGBA, 4 gray with alpha."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    rows = b"".join(b"\0" + bytes(range(8 * {2: 6, 4: 4, 6: 8}[kind])) for _ in range(8))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("content", [deep_png(2), deep_png(4), deep_png(6), b"P6 8 8 65535 " + bytes(384),
                                     b"P3 8 8 1023 " + b"1000 " * 192],
                         ids=["RGB", "gray", "RGBA", "PPM", "plain PPM"])
def test_sixteen_bits_are_refused_and_not_cut(content):
    with pytest.raises(ValueError, match=r"a has (16|10) bits a channel, but at most 8 are read: convert it first"):
        decode([content], ["a"], (8, 8))


# --- orientation and gray ---

@pytest.mark.parametrize(("orientation", "turned"), [
    (1, lambda image: image), (2, lambda image: image[:, ::-1]), (3, lambda image: image[::-1, ::-1]),
    (6, lambda image: np.rot90(image, -1)), (8, np.rot90)])
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
def test_images_stand_as_their_orientation_says(orientation, turned, kind):
    image = made.noise(1)[0][:, :, :16].copy()  # 32 rows, 16 columns
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain, marked = saved(image, kind), saved(image, kind, exif=exif)
    expected = turned(decode([plain], ["a"], (16, 32))[0].transpose(1, 2, 0))
    counts = Counter()
    found = decode([marked], ["a"], (expected.shape[1], expected.shape[0]), counts=counts)
    assert np.array_equal(found[0].transpose(1, 2, 0), expected)
    assert counts["turned"] == (orientation != 1)


def test_gray_sets_say_that_they_have_three_channels(tmp_path, capsys):
    files = {name.rpartition(".")[0] + ".png": made.coded(image, mode="L") for name, image in
             zip(made.folder_files(), made.noise(33, seed=3), strict=True)}
    data = load("folder", made.write_tree(tmp_path / "digits", files), val_size=2)
    assert data.name == "digits (image folder, gray as RGB)"
    sentence = "33 of 33 images are gray; each became three equal channels, which an attack changes independently."
    assert capsys.readouterr().err == f"{tmp_path / 'digits'}: {sentence}\n"
    load("folder", tmp_path / "digits", val_size=2)
    assert sentence in capsys.readouterr().err  # from the cache as well
    gray = made.coded(made.noise(1)[0], mode="L")
    one = made.write_tree(tmp_path / "one", made.folder_files() | {"train/cat/000.png": gray})
    assert load("folder", one, val_size=2).name == "one (image folder, JPEG)"
    assert "1 of 33 images are gray" in capsys.readouterr().err
    tiny = load("tiny-imagenet", made.write_tree(tmp_path / "t", made.tiny_files()), val_size=2)
    assert tiny.provenance["files"]["gray"] == 3
    assert capsys.readouterr().err == ""


# --- what is left out ---

def test_what_is_left_out_is_counted_said_and_recorded(tmp_path, capsys):
    odd = {"train/cat/notes.txt": b"x", "test/dog/Thumbs.db": b"y", "train/readme.png": b"z",
           "val/cat/1.png": made.coded(made.noise(1)[0]), "train/emu/1.npy": b"n"}
    path = made.write_zip(tmp_path / "pets.zip", made.folder_files() | odd)
    sentence = (f"{path}: files were left out: 3 that are no images (test/dog/Thumbs.db), 1 outside a class's "
                "folder (train/readme.png), 1 in val, beside test (val/cat/1.png).\n")
    for _ in range(2):  # the second time from the cache
        data = load("folder", path, val_size=2)
        assert capsys.readouterr().err == sentence
        assert data.classes == ("cat", "dog", "eel")
        assert data.provenance["left_out"]["that are no images"] == {"count": 3, "one": "test/dog/Thumbs.db"}
        assert len(images_of(data)[0]) == 33


def test_a_link_from_one_split_to_another_is_a_copy(tmp_path, capsys):
    files = made.folder_files().items()
    made.write_tree(tmp_path, {name: content for name, content in files if name.startswith("train")})
    made.write_tree(tmp_path / "kept", {name.removeprefix("test/"): content for name, content in files
                                        if name.startswith("test")})
    (tmp_path / "test").symlink_to(tmp_path / "kept")
    plain = load("folder", tmp_path, val_size=2)
    (tmp_path / "val").symlink_to("test")
    data = load("folder", tmp_path, val_size=2)
    assert data.fingerprint() == plain.fingerprint()
    assert "9 in val, beside test (val/cat/000.png)" in capsys.readouterr().err


# --- names and labels ---

@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_in_two_forms_are_one_class(tmp_path, forms):
    def named(*forms):
        return {unicodedata.normalize(forms[name.startswith("test")], name.replace("eel", "élan").replace(".", "é.")):
                content for name, content in made.folder_files().items()}
    data = load("folder", made.write_zip(tmp_path / "a.zip", named(*forms)), val_size=2)
    assert data.classes == ("cat", "dog", unicodedata.normalize("NFC", "élan"))
    plain = load("folder", made.write_zip(tmp_path / "b.zip", named("NFC", "NFC")), val_size=2)
    assert data.fingerprint() == plain.fingerprint()
    assert class_numbers(unicodedata.normalize("NFD", "élan,cat"), data.classes) == [2, 0]


NAMES, TURNED = ["cat", "dog", "eel"], ["eel", "cat", "dog"]


@pytest.mark.parametrize("turned", ["test-00000-of-00001", "train-00001-of-00002"])
def test_parquet_files_may_order_their_names_differently(tmp_path, turned):
    truth = [NAMES[i % 3] for i in range(12)]
    files = {}
    for seed, name in enumerate(("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")):
        order = TURNED if name == turned else NAMES
        files[f"{name}.parquet"] = made.parquet(made.noise(12, seed=seed), [order.index(word) for word in truth],
                                           {"label": order})
    data = load("folder", made.write_tree(tmp_path, files), val_size=2)
    images, classes = images_of(data)
    assert data.classes == tuple(NAMES)
    for seed in range(3):
        for image, word in zip(torch.from_numpy(made.noise(12, seed=seed)), truth, strict=True):
            assert classes[int((images == image).flatten(1).all(1).nonzero()[0])] == word


@pytest.mark.parametrize("other", [["cat", "dog", "fox"], ["cat", "dog"]])
def test_parquet_files_with_other_names_are_refused(tmp_path, other):
    files = {"train-0.parquet": made.parquet(made.noise(12), [0, 1, 2] * 4, {"label": NAMES}),
             "test-0.parquet": made.parquet(made.noise(12), [0, 1] * 6, {"label": other})}
    with pytest.raises(ValueError, match=r"has files with different names of label \(cat, dog, eel, ... and cat, dog"):
        load("folder", made.write_tree(tmp_path, files), val_size=2)


@pytest.mark.parametrize("kind", [tuple, np.array, lambda labels: np.array(labels, np.uint8)])
def test_cifar_labels_may_be_arrays_and_tuples(tmp_path, kind):
    n = 24
    fine, coarse = [i % 4 for i in range(n)], [(i + 1) % 2 for i in range(n)]
    plain = load("cifar100", made.write_tree(tmp_path / "lists", made.cifar100_files(n)), val_size=3)
    files = {f"cifar-100-python/{name}": made.pickled(data=made.noise(n, seed=seed).reshape(n, -1),
                                                      fine_labels=kind(fine), coarse_labels=kind(coarse))
             for seed, name in enumerate(("train", "test"))}
    data = load("cifar100", made.write_tree(tmp_path / "other", made.cifar100_files(n) | files), val_size=3)
    assert (data.fingerprint(), data.superclasses) == (plain.fingerprint(), plain.superclasses)


@pytest.mark.parametrize("labels", [[True, False] * 10, np.array([0.5] * 20), np.zeros((20, 1), int),
                                    np.array(["a"] * 20)])
def test_cifar_labels_that_are_no_integers_are_refused(tmp_path, labels):
    bad = {"cifar-10-batches-py/test_batch": made.pickled(data=made.noise(20).reshape(20, -1), labels=labels)}
    with pytest.raises(ValueError, match=r"(holds labels outside 0|does not hold labels|cannot be read as a)"):
        load("cifar10", made.write_tree(tmp_path, made.cifar10_files() | bad), val_size=3)


# --- Tiny-ImageNet sorted into folders ---

T = "tiny-imagenet-200/"


def sorted_val(between):
    """`tiny_files` with its validation images in folders of their classes."""
    files = made.tiny_files()
    for line in files[T + "val/val_annotations.txt"].decode().splitlines():
        name, wnid = line.split("\t")[:2]
        files[f"{T}val/{wnid}/{between}{name}"] = files.pop(f"{T}val/images/{name}")
    return files


@pytest.mark.parametrize("between", ["", "images/"])
@pytest.mark.parametrize("annotated", [True, False])
def test_tiny_imagenet_sorted_into_folders(tmp_path, between, annotated):
    files = sorted_val(between)
    if not annotated:
        del files[T + "val/val_annotations.txt"]
    data = load("tiny-imagenet", made.write_tree(tmp_path / "sorted", files), val_size=3)
    plain = load("tiny-imagenet", made.write_tree(tmp_path / "plain", made.tiny_files()), val_size=3)
    assert data.classes == plain.classes
    assert data.fingerprint()["train"] == plain.fingerprint()["train"]
    for image, label in zip(plain.test.images, plain.test.labels, strict=True):
        found = (data.test.images == image).flatten(1).all(1).nonzero()
        assert data.test.labels[int(found)] == label


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda files: files.update({f"{T}val/n02/val_0.JPEG": files.pop(f"{T}val/n01/val_0.JPEG")}),
     "has val_0.JPEG in val/n02, but val_annotations.txt says n01: copy the files again"),
    (lambda files: files.pop(f"{T}val/n01/val_0.JPEG"), "lacks 1 of 6 validation images, val_0.JPEG among them"),
    (lambda files: [files.pop(name) for name in list(files) if "val/n02" in name],
     "lacks 1 of 3 validation classes, n02 among them")])
def test_sorted_folders_that_lack_or_contradict_are_refused(tmp_path, change, sentence):
    files = sorted_val("")
    change(files)
    with pytest.raises(ValueError, match=sentence):
        load("tiny-imagenet", made.write_tree(tmp_path, files), val_size=3)
