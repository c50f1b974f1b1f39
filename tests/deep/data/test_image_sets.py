"""CIFAR-100, Tiny-ImageNet, image folders and Parquet: what is read, what is refused, and training on each."""

import io
import json
import pickle
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

import deep.data.formats.image_files
import deep.data.layouts
from deep.__main__ import main
from deep.data.dataset import load
from deep.data.layouts import LAYOUTS
from deep.recipe.recipe import RECIPES, recipe_named, run_name
from deep.recipe.settings import DataSettings, about
from deep.runs.folder import RunFolder
from deep.training.loop import load_data
from tests.conftest import shared
from tests.support.layouts import (
    cifar10_files,
    cifar100_files,
    coded,
    folder_files,
    noise,
    parquet,
    pickled,
    tiny_files,
    write_tar,
    write_tree,
    write_zip,
)

pytestmark = pytest.mark.slow

FILES = {"cifar10": cifar10_files, "cifar100": cifar100_files, "tiny-imagenet": tiny_files, "folder": folder_files}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DEEP_CACHE", str(tmp_path_factory.mktemp("cache")))


def same(first, second):
    return (first.classes == second.classes and first.fingerprint() == second.fingerprint()
            and torch.equal(first.test.images, second.test.images)
            and torch.equal(first.test.labels, second.test.labels))


def whole(split, other):
    """Images and labels of a training split and the one held out from it."""
    return torch.cat([split.images, other.images]), torch.cat([split.labels, other.labels])


# --- what is read ---

@pytest.mark.parametrize("name", FILES)
def test_a_folder_and_its_archives_are_the_same(tmp_path, name):
    files = FILES[name]()
    folder = load(name, write_tree(tmp_path / "data", files), val_size=3)
    for path in (write_tar(tmp_path / "data.tar.xz", files), write_tar(tmp_path / "data.tgz", files),
                 write_zip(tmp_path / "data.zip", files), tmp_path / "data.zip"):  # the last one is from the cache
        assert same(load(name, path, val_size=3), folder)
    for stem in LAYOUTS[name].stems:
        (tmp_path / stem).mkdir()
        write_zip(tmp_path / stem / f"{stem}.zip", files)
        assert same(load(name, tmp_path / stem, val_size=3), folder)
    wrapped = write_zip(tmp_path / "wrapped.zip", {f"some/where/{key}": value for key, value in files.items()})
    assert same(load(name, wrapped, val_size=3), folder)


def test_cifar100_has_fine_labels_superclasses_and_its_own_mean(tmp_path):
    files = cifar100_files()
    data = load("cifar100", write_tree(tmp_path, files), val_size=4)
    assert data.name == "CIFAR-100 (not the official files, 4 of 100 classes)"
    assert data.classes == ("cat", "oak", "dog", "elm")
    assert data.superclasses == ("animals", "plants", "animals", "plants")
    images, labels = whole(data.train, data.val)
    expected = torch.from_numpy(noise(24, seed=0))
    order = [int((expected == image).flatten(1).all(1).nonzero()) for image in images]
    assert labels.tolist() == [index % 4 for index in order]
    assert torch.equal(data.test.images, torch.from_numpy(noise(24, seed=1)))
    assert data.test.labels.tolist() == [0, 1, 2, 3] * 6
    pixels = data.train.images.double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert max(abs(np.subtract(data.mean, (0.4914, 0.4822, 0.4465)))) > 0.005  # CIFAR-10's
    assert data.box == (0.0, 1.0)


def test_tiny_imagenet_by_hand(tmp_path):
    data = load("tiny-imagenet", write_tree(tmp_path, tiny_files()), val_size=3)
    assert data.name == "Tiny-ImageNet (3 of 200 classes)"
    assert data.classes == ("n03", "goldfish", "n02")  # in the order of wnids.txt; "crane" would be two classes
    assert data.test.labels.bincount().tolist() == [2, 2, 2]
    label = {"n03": 0, "n01": 1, "n02": 2}["n02"]
    expected = torch.from_numpy(noise(2, 64, seed=11))  # n02's
    error = (data.test.images[data.test.labels == label].float() - expected.float()).abs().mean()
    assert error < 12  # JPEG's
    images, labels = whole(data.train, data.val)
    gray = (images[:, 0] == images[:, 1]).flatten(1).all(1)
    assert labels[gray].sort().values.tolist() == [0, 1, 2]


def test_tiny_imagenet_as_it_is(capsys):
    path = shared("data/tiny-imagenet-20-classes.tar.xz")
    data = load("tiny-imagenet", path, val_size=500)
    assert data.name == "Tiny-ImageNet (20 of 200 classes)"
    images, labels = whole(data.train, data.val)
    assert images.shape == (10_000, 3, 64, 64)
    assert labels.bincount().tolist() == [500] * 20
    assert data.test.labels.bincount().tolist() == [50] * 20
    assert data.classes[0] == "goldfish"
    gray = (images[:, 0] == images[:, 1]) & (images[:, 1] == images[:, 2])
    with tarfile.open(path) as archive:
        annotated, modes = {}, []
        for member in archive:
            if member.name.endswith("val_annotations.txt"):
                annotated = dict(line.split("\t")[:2] for line in
                                 archive.extractfile(member).read().decode().splitlines())
            elif "/train/" in member.name and member.name.endswith("0.JPEG"):
                modes.append(Image.open(io.BytesIO(archive.extractfile(member).read())).mode)
            elif member.name.endswith("val/images/val_22.JPEG"):
                image = np.asarray(Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB"))
    assert 0 < modes.count("L") <= gray.flatten(1).all(1).sum()
    found = (data.test.images == torch.from_numpy(image.transpose(2, 0, 1).copy())).flatten(1).all(1).nonzero()
    assert data.provenance["wnids"][data.test.labels[int(found)]] == annotated["val_22.JPEG"]
    assert same(load("tiny-imagenet", path, val_size=500), data)
    assert not capsys.readouterr().err


def test_jpeg_cifar10_beside_the_exact_pixels(cifar, tmp_path):
    """Each exact image of three classes is, among that class's JPEGs, within JPEG's error of one; channels in order."""
    names = ("bird", "ship", "truck")
    with tarfile.open(shared("data/cifar10-jpeg.tar.xz")) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()
                 and member.name.startswith(tuple(f"{part}/{name}/{end}" for name in names
                                                  for part, end in (("train", "000"), ("test", ""))))}
    data = load("folder", write_tar(tmp_path / "cifar10-jpeg.tar.gz", files), val_size=1)
    assert data.name == "cifar10-jpeg (image folder, JPEG)"
    assert data.classes == names
    assert data.test.labels.bincount().tolist() == [1000] * 3
    exact = load("cifar10", cifar, val_size=500)
    for label, name in enumerate(names):
        candidates = data.test.images[data.test.labels == label].flatten(1).float()
        images = exact.test.images[exact.test.labels == exact.classes.index(name)][:25]
        distance = torch.cdist(images.flatten(1).float(), candidates, p=1).min(1).values / 3072
        swapped = torch.cdist(images.flip(1).flatten(1).float(), candidates, p=1).min(1).values / 3072
        assert len(images) == 25
        assert distance.max() < 16
        assert distance.mean() == pytest.approx(5.8, abs=1.5)
        assert swapped.mean() > 2 * distance.mean()


def test_folder_takes_val_for_test_and_keeps_the_order_of_names(tmp_path):
    files = {name.replace("test/", "val/"): content for name, content in folder_files(side=16).items()}
    files |= {"train/cat/notes.txt": b"x", "train/readme.png": b"x"}
    data = load("folder", write_tree(tmp_path / "pets", files), val_size=2)
    assert (data.name, data.classes) == ("pets (image folder, JPEG)", ("cat", "dog", "eel"))
    assert data.provenance["test_split"] == "val"
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert torch.equal(data.test.images[0], torch.from_numpy(noise(3, 16, seed=5)[0]))  # val/cat/000.png, exact
    assert (len(data.train), len(data.val)) == (22, 2)


@pytest.mark.parametrize(("mode", "kind"), [("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGBA", "png"),
                                            ("CMYK", "jpeg"), ("L", "jpeg")])
def test_every_eight_bit_mode_becomes_rgb(mode, kind):
    image = np.full((3, 8, 8), 255, dtype=np.uint8)
    image[:, :, 4:] = 0
    decoded = deep.data.formats.image_files.decode([coded(image, kind, mode)], ["a"], (8, 8))
    assert np.abs(decoded[0].astype(int) - image).max() <= 2


def test_a_transparent_palette_is_read_without_a_warning():
    file = io.BytesIO()
    Image.new("P", (8, 8), 3).save(file, "png", transparency=b"\x00\x80\xff")
    assert deep.data.formats.image_files.decode([file.getvalue()], ["a"], (8, 8)).shape == (1, 3, 8, 8)


def test_resize_is_asked_for_and_cuts_about_the_centre(tmp_path):
    image = np.zeros((3, 16, 32), dtype=np.uint8)
    image[0, :, 8:24] = 200  # the central square is red
    files = folder_files(side=16) | {"train/cat/wide.png": coded(image)}
    with pytest.raises(ValueError, match=r"train/cat/wide.png has 32 x 16 pixels, but 16 x 16 are needed here: .*size"):
        load("folder", write_tree(tmp_path, files), val_size=2)
    data = load("folder", tmp_path, val_size=2, resize=8)
    assert data.name.endswith("(image folder, JPEG, resized to 8)")
    images, _ = whole(data.train, data.val)
    assert images.shape == (25, 3, 8, 8)
    red = torch.tensor([200, 0, 0]).view(3, 1, 1)
    assert (images[..., 2:-2] == red).flatten(1).all(1).sum() == 1  # bicubic: the borders look 4 pixels beyond
    tiny = load("tiny-imagenet", write_tree(tmp_path / "tiny", tiny_files()), val_size=2, resize=32)
    assert tiny.test.images.shape == (6, 3, 32, 32)


def test_parquet_is_what_the_pickles_are(tmp_path):
    names = {"fine_label": ["cat", "oak", "dog", "elm"], "coarse_label": ["plants", "animals"]}
    labels = [i % 4 for i in range(24)]
    more = {"key": "fine_label", "coarse_label": [(label + 1) % 2 for label in labels]}
    files = {"cifar100/train-00000-of-00002.parquet": parquet(noise(24)[:10], labels[:10], names, key="fine_label",
                                                              coarse_label=more["coarse_label"][:10]),
             "cifar100/train-00001-of-00002.parquet": parquet(noise(24)[10:], labels[10:], names, key="fine_label",
                                                              coarse_label=more["coarse_label"][10:]),
             "cifar100/test-00000-of-00001.parquet": parquet(noise(24, seed=1), labels, names, **more)}
    pickles = load("cifar100", write_tree(tmp_path / "pickles", cifar100_files()), val_size=3)
    for path in (write_tree(tmp_path / "hub", files), write_zip(tmp_path / "hub.zip", files)):
        data = load("cifar100", path, val_size=3)
        assert same(data, pickles)
        assert data.superclasses == pickles.superclasses
        assert data.name == "CIFAR-100 (Parquet, 4 of 100 classes)"


def test_parquet_as_other_hubs_lay_it_out(tmp_path):
    labels = [i % 10 for i in range(20)]
    plain = {"default/train/0000.parquet": parquet(noise(20), labels, column="image", struct=False),
             "default/valid/0000.parquet": parquet([coded(image, "jpeg") for image in noise(20)], labels,
                                                   column="image")}
    data = load("cifar10", write_tree(tmp_path, plain), val_size=3)
    assert (data.name, data.classes) == ("CIFAR-10 (Parquet, JPEG)", tuple("0123456789"))
    assert data.superclasses == ()
    folder = load("folder", tmp_path, val_size=3)
    assert (folder.fingerprint(), folder.test.images.shape) == (data.fingerprint(), (20, 3, 32, 32))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    write_tree(tmp_path, {"train-0.parquet": b"PAR1", "test-0.parquet": b"PAR1"})
    with pytest.raises(ValueError, match=r'pyarrow, which reads them, is not installed: pip install "synthmodel'):
        load("cifar10", tmp_path, val_size=3)


def test_images_are_decoded_once(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", folder_files())
    first = load("folder", path, val_size=3)
    with monkeypatch.context() as patch:
        patch.setattr(deep.data.layouts, "read_files", None)  # a second decoding would call it
        assert same(load("folder", path, val_size=3), first)
        with pytest.raises(TypeError):
            load("folder", path, val_size=3, resize=8)
    other = folder_files() | {"train/cat/000.png": coded(noise(1, 32, seed=77)[0])}
    assert not same(load("folder", write_zip(path, other), val_size=3), first)


# --- what is refused ---

def bomb(marker):
    class Bomb:
        def __reduce__(self):
            return open, (str(marker), "w")
    return pickle.dumps({b"data": Bomb()}, protocol=2)


def half(files, name):
    return files[name][:len(files[name]) // 2]


def cifar100_content(**changes):
    n = 24
    return pickled(**{"data": noise(n).reshape(n, -1), "fine_labels": [i % 4 for i in range(n)],
                      "coarse_labels": [(i + 1) % 2 for i in range(n)]} | changes)


def rows(content):
    return [line + b"\n" for line in content.split(b"\n") if line]


T, C = "tiny-imagenet-200/", "cifar-100-python/"
ANNOTATIONS = tiny_files()[T + "val/val_annotations.txt"]
DAMAGES = {  # what is changed (None: removed), and the sentence that answers it
    "cifar100": [
        ({C + "train": cifar100_content()[:5000]}, r"/train cannot be read as a CIFAR pickle .*copy the"),
        ({C + "test": cifar100_content(fine_labels=[4] * 24)}, r"/test holds fine_labels outside 0..3, classes"),
        ({C + "test": cifar100_content(fine_labels=[-1] * 24)}, r"/test holds fine_labels outside 0..3, classes"),
        ({C + "train": cifar100_content(coarse_labels=[2] * 24)}, r"/train holds coarse_labels outside 0..1"),
        ({C + "train": cifar100_content(coarse_labels=[0, 1, 1] * 8)}, "images of class cat in several superclasses"),
        ({C + "train": cifar100_content(fine_labels=[0] * 23)}, "does not hold fine_labels for each of its 24 images"),
        ({C + "train": cifar100_content(data=np.zeros((24, 3000), np.uint8))}, "n images of 3 x 32 x 32 bytes"),
        ({C + "train": cifar100_content(data=np.zeros((24, 3072)))}, "n images of 3 x 32 x 32 bytes"),
        ({C + "train": cifar100_content(fine_labels=[0, 1, 2] * 8, coarse_labels=[1, 0, 1] * 8)},
         "lacks training images of class 'elm'"),
        ({C + "meta": pickled(fine_label_names=5)}, "/meta does not hold its fine_label_names: copy the file again"),
        ({C + "meta": None, C + "test": None}, "lacks test, meta: get https://www.cs.toronto.edu/~kriz/cifar-100-python"),
    ],
    "tiny-imagenet": [
        ({T + "val/images/val_3.JPEG": half(tiny_files(), T + "val/images/val_3.JPEG")},
         r"val/images/val_3.JPEG is cut or damaged \(.*runcated.*: copy it again, or remove it"),
        ({T + "train/n01/images/n01_2.JPEG": b"not an image"}, "n01_2.JPEG is not a JPEG or PNG image"),
        ({T + "train/n01/images/n01_2.JPEG": coded(noise(1, 32)[0], "jpeg")},
         "n01_2.JPEG has 32 x 32 pixels, but 64 x 64 are needed here"),
        ({T + "train/n01/images/n01_2.JPEG": None},
         "lacks 1 of 18 training images, train/n01/images/n01_2.JPEG among them: get http://cs231n.stanford.edu"),
        ({T + "train/n01/images/n01_9.JPEG": coded(noise(1, 64)[0])}, "has 1 training images that its lists do not"),
        ({name: None for name in tiny_files() if "train/n02" in name}, "lacks 1 of 3 classes, n02 among them"),
        ({T + "wnids.txt": b"n01\nn02\n"}, "has 1 classes that its lists do not name, n03 among them"),
        ({T + "wnids.txt": b"n01\nn02\nn02\nn03\n"}, "wnids.txt names a class twice"),
        ({T + "val/images/val_3.JPEG": None}, "lacks 1 of 6 validation images, val/images/val_3.JPEG among them"),
        ({T + "val/val_annotations.txt": b"".join(rows(ANNOTATIONS)[:-1])}, "has 1 validation images that its lists"),
        ({T + "val/val_annotations.txt": ANNOTATIONS.replace(b"n03", b"n04")}, "a class that wnids.txt does not have"),
        ({T + "val/val_annotations.txt": b"val_0.JPEG\n" + b"".join(rows(ANNOTATIONS)[1:])}, "a class that wnids.txt"),
        ({T + "val/val_annotations.txt": None}, "lacks val/val_annotations.txt: get http://cs231n"),
        ({name: None for name in tiny_files() if "val_annotations" not in name and "wnids" not in name},
         "lacks 3 of 3 classes, n01 among them"),
    ],
    "folder": [
        ({"train/cat/001.JPG": half(folder_files(), "train/cat/001.JPG")}, "train/cat/001.JPG is cut or damaged"),
        ({"train/cat/000.png": half(folder_files(), "train/cat/000.png")}, "train/cat/000.png is cut or damaged"),
        ({"train/cat/000.png": b""}, "train/cat/000.png is not a JPEG or PNG image"),
        ({"test/dog/000.png": coded(noise(1, 64)[0])}, "test/dog/000.png has 64 x 64 pixels, but 32 x 32 are needed"),
        ({"train/emu/0.png": coded(noise(1)[0])}, "has images of class 'emu' in only one of train and test"),
        ({name: None for name in folder_files() if name.startswith("test/cat")}, "of class 'cat' in only one of"),
        ({name: None for name in folder_files() if name.startswith("test")}, r"in test/<class> or val/<class>: lay"),
    ],
}


@pytest.mark.parametrize(("name", "changes", "sentence"),
                         [(name, *damage) for name, damages in DAMAGES.items() for damage in damages])
@pytest.mark.parametrize("archive", [False, True])
def test_damage_is_answered_in_one_sentence(tmp_path, name, changes, sentence, archive):
    files = {key: value for key, value in (FILES[name]() | changes).items() if value is not None}
    path = write_zip(tmp_path / "set.zip", files) if archive else write_tree(tmp_path / "set", files)
    with pytest.raises(ValueError, match=sentence) as error:
        load(name, path, val_size=3)
    assert str(path) in str(error.value)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_pickle_in_an_archive_runs_no_code(tmp_path, name):
    path = write_tar(tmp_path / "set.tar.gz", cifar100_files() | {C + name: bomb(tmp_path / "ran")})
    with pytest.raises(ValueError, match=f"{name} cannot be read .*only numpy arrays and plain containers are"):
        load("cifar100", path, val_size=3)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", FILES)
def test_missing_data_says_what_where_and_how(tmp_path, name):
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(ValueError) as error:
        load(name, tmp_path, val_size=3)
    layout = LAYOUTS[name]
    for word in (layout.title, str(tmp_path), *layout.needed, *layout.stems, "*.parquet", layout.source):
        assert word in str(error.value)


def test_another_data_set_is_not_taken_for_this_one(tmp_path):
    labels = list(range(12))
    write_tree(tmp_path, {f"{split}-0.parquet": parquet(noise(12), labels) for split in ("train", "test")})
    with pytest.raises(ValueError, match="has 12 classes, but CIFAR-10 has 10: pass the folder of that data set"):
        load("cifar10", tmp_path, val_size=3)
    with pytest.raises(ValueError, match="image 0 of train has 32 x 32 pixels, but 64 x 64 are needed"):
        load("tiny-imagenet", tmp_path, val_size=3)


def test_damaged_parquet_is_answered_in_one_sentence(tmp_path):
    labels = [0, 1] * 4
    good = {f"data/{split}-00000-of-00001.parquet": parquet(noise(8), labels) for split in ("train", "test")}
    train = "data/train-00000-of-00001.parquet"
    cut = coded(noise(1)[0], "jpeg")
    cases = [
        ({train: half(good, train)}, r"train-00000-of-00001.parquet cannot be read as Parquet .*copy the file again"),
        ({train: parquet(noise(8), labels, {"label": ["one"]})}, "holds a label outside 0..0, classes which it does"),
        ({train: parquet(noise(8), [-1] * 8)}, "has a label that is no integer from 0 on"),
        ({train: parquet(noise(8), [None] * 8)}, "has a label that is no integer from 0 on"),
        ({train: parquet(noise(8), ["cat"] * 8)}, "has a label that is no integer from 0 on"),
        ({train: parquet(noise(8), labels, key="class")}, "has no column fine_label or label, but only img, class"),
        ({train: parquet(noise(8), labels, column="x")}, "has no column image or img, but only x, label"),
        ({train: parquet([*noise(7), cut[:len(cut) // 2]], labels)}, "image 7 of train is cut or damaged"),
        ({train: parquet([*noise(7), b"GIF"], labels)}, "image 7 of train is not a JPEG or PNG image"),
        ({train: parquet([*noise(7), noise(1, 16)[0]], labels)}, "image 7 of train has 16 x 16 pixels, but 32 x 32"),
        ({train: None}, r"has no train-\*.parquet: "),
        ({"data/test-00000-of-00001.parquet": None}, r"has no test-\*.parquet or valid-\*.parquet: "),
        ({train: None, "data/train-00001-of-00003.parquet": good[train]}, "has 1 of 3 files like data/train-00001-of"),
        ({"more/train-00000-of-00001.parquet": good[train]}, "holds several data sets"),
    ]
    for number, (changes, sentence) in enumerate(cases):
        files = {key: value for key, value in (good | changes).items() if value is not None}
        with pytest.raises(ValueError, match=sentence) as error:
            load("folder", write_tree(tmp_path / str(number), files), val_size=3)
        assert str(tmp_path / str(number)) in str(error.value)


def test_absurd_images_are_refused():
    file = io.BytesIO()
    Image.new("1", (8200, 8200)).save(file, "png")
    assert len(file.getvalue()) < 100_000
    with pytest.raises(ValueError, match=r"big.png has 8200 x 8200 pixels, but at most 67108864 are read"):
        deep.data.formats.image_files.decode([file.getvalue()], ["big.png"], (8200, 8200))
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(file, "png")
    with pytest.raises(ValueError, match=r"deep.png is an image of mode I;16, but 8 bits a channel are read"):
        deep.data.formats.image_files.decode([file.getvalue()], ["deep.png"], (8, 8))


def test_a_jpeg_cut_anywhere_gives_a_sentence_or_all_its_pixels():
    content = coded(noise(1, 64)[0], "jpeg")
    complete = deep.data.formats.image_files.decode([content], ["a.jpg"], (64, 64))
    refused = 0
    for length in range(0, len(content), 7):
        try:
            decoded = deep.data.formats.image_files.decode([content[:length]], ["a.jpg"], (64, 64))
            assert np.array_equal(decoded, complete)
        except ValueError as error:
            refused += 1
            assert "a.jpg" in str(error)
    assert refused >= len(range(0, len(content), 7)) - 1


def test_fewer_than_three_classes_are_refused_before_training(tmp_path):
    files = {name: content for name, content in folder_files().items() if "eel" not in name}
    with pytest.raises(ValueError, match="has classes cat, dog alone, but margin-CAS compares triples"):
        load("folder", write_tree(tmp_path, files), val_size=3)


def test_what_load_is_not_asked_for(tmp_path):
    write_tree(tmp_path, cifar10_files())
    with pytest.raises(ValueError, match="data = mnist was given, but the data sets are cifar10, cifar100, tiny"):
        load("mnist", tmp_path, val_size=3)
    with pytest.raises(ValueError, match="resize = 16 was given for CIFAR-10"):
        load("cifar10", tmp_path, val_size=3, resize=16)
    with pytest.raises(ValueError, match="choose sizes that fit together"):
        load("cifar10", tmp_path, val_size=40)


# --- training ---

def test_the_recipe_knows_the_catalogue_and_old_names_stay():
    assert set(about(DataSettings)["data"].choices) == {*LAYOUTS, "planted"}
    assert "resize" not in RECIPES["at"].as_dict()
    resized = recipe_named("at", ["data=folder", "resize=16"])
    assert resized.as_dict()["resize"] == 16
    assert run_name(resized) != run_name(recipe_named("at", ["data=folder"]))
    for words in (["resize=16"], ["data=cifar100", "resize=16"]):
        with pytest.raises(ValueError, match="only image files are resized"):
            recipe_named("at", words)
    with pytest.raises(ValueError, match="resize = 0 was given"):
        recipe_named("at", ["data=folder", "resize=0"])


@pytest.mark.parametrize(("name", "words"), [("cifar100", []), ("tiny-imagenet", ["resize=32"]), ("folder", [])])
def test_training_end_to_end(tmp_path, name, words, capsys):
    path = write_zip(tmp_path / "set.zip", FILES[name]())
    options = ["--data", str(path), "--threads", "1"]
    assert main(["train", "at-cpu", f"data={name}", *words, "width=2", "steps=1", "epochs=1", "batch=8", "eval_steps=2",
                 "train_size=none", "val_size=3", "bf16=false", "--out", str(tmp_path / "runs"), *options]) == 0
    run = RunFolder(next((tmp_path / "runs").iterdir()))
    assert run.path.name.startswith(name + "-preactresnet18")
    data = load_data(run.recipe(), path)
    assert run.model_state("last")["model"]["linear.weight"].shape == (len(data.classes), 16)
    assert run.model_state("last")["model"]["mean"].flatten().tolist() == pytest.approx(data.mean)
    assert main(["train", "at-cpu", f"data={name}", "--data", str(tmp_path), "--out", str(tmp_path / "runs")]) == 2
    assert "was found in" in capsys.readouterr().err
    assert main(["cas", str(run.path), "--checkpoint", "last", "--attack-seeds", "1", "--json", *options]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["data"] == data.name
    assert result["classes"] == list(data.classes)
