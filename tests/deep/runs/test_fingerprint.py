"""A run knows its images, labels and class names: none other is taken for them, in training or in measuring."""

import json
from dataclasses import replace

import pytest
import torch

from deep.__main__ import main
from deep.data.dataset import Split
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder, load_checkpoint
from deep.runs.results import read_results
from deep.training.loop import load_data, train
from deep.training.teachers import network_of_run

RECIPE = recipe_named("planted-cnn", ["train_size=60", "val_size=12", "batch=30", "epochs=2", "eval_every=1", "width=2",
                                      "steps=1", "eval_steps=1"])


def images(test=60):
    data = load_data(RECIPE)
    return replace(data, test=Split(data.test.images[:test], data.test.labels[:test]))


def relabelled(split):
    return Split(split.images, (split.labels + 1) % 3)


def repainted(split):
    """One pixel of one image is another."""
    changed = split.images.clone()
    changed[-1, 0, -1, -1] += 1
    return Split(changed, split.labels)


def changed(data, name, change):
    return replace(data, **{name: change(getattr(data, name))})


CHANGES = [(name, change) for name in ("train", "val", "test") for change in (relabelled, repainted)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(RECIPE, images(), tmp_path_factory.mktemp("runs"))


def measure(capsys, monkeypatch, run, data, command, *words):
    """(what was printed as JSON, what was said on stderr)."""
    monkeypatch.setattr("deep.training.loop.load_data", lambda recipe, folder: data)
    assert main([command, str(run.path), "--checkpoint", "last", "--threads", "1", "--json", *words]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


# --- the fingerprint ---

@pytest.mark.parametrize("change", [relabelled, repainted,
                                    lambda split: Split(split.images, split.labels.int()),
                                    lambda split: Split(split.images.flatten(2)[..., None], split.labels)])
@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_the_fingerprint_knows_every_split(name, change):
    first, second = images().fingerprint(), changed(images(), name, change).fingerprint()
    assert [split for split in first if first[split] != second[split]] == [name]
    assert first == images().fingerprint()


def test_images_taken_from_one_split_into_the_next_are_noticed():
    data = images()
    bytes_alike = Split(data.val.images.view(torch.int32), data.val.labels)
    assert replace(data, val=bytes_alike).fingerprint()["val"] != data.fingerprint()["val"]
    empty = replace(data, val=Split(data.val.images[:0], data.val.labels[:0]))
    assert empty.fingerprint()["val"] != data.fingerprint()["val"]


# --- going on ---

@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_a_run_does_not_go_on_with_other_images_or_labels(tmp_path, name, change):
    folder = train(RECIPE, images(), tmp_path, stop_after=1)
    before = (folder.path / "last.pt").read_bytes()
    word = {"train": "training", "val": "validation", "test": "test"}[name]
    with pytest.raises(ValueError, match=f"^the {word} images are not those that this run began with: give it the"):
        train(RECIPE, changed(images(), name, change), tmp_path)
    assert (folder.path / "last.pt").read_bytes() == before


def made_old(folder):
    """The checkpoints as they were before they knew every split and the class names."""
    for name in ("last", "best"):
        state = load_checkpoint(folder.path / f"{name}.pt")
        state.pop("classes")
        state.pop("data") if name == "best" else state.update(data=images().training_digest())
        torch.save(state, folder.path / f"{name}.pt")


def test_an_older_run_goes_on_with_a_sentence_and_knows_its_images_from_then_on(tmp_path, run, capsys):
    folder = train(RECIPE, images(), tmp_path, stop_after=1)
    made_old(folder)
    with pytest.raises(ValueError, match=r"^the training images are not those"):
        train(RECIPE, changed(images(), "train", relabelled), tmp_path)
    capsys.readouterr()
    train(RECIPE, images(), tmp_path)
    assert "of an older version and remembers its training images alone" in capsys.readouterr().err
    first, second = folder.model_state("last"), run.model_state("last")
    assert all(torch.equal(first["model"][key], second["model"][key]) for key in second["model"])
    assert (first["data"], first["classes"]) == (images().fingerprint(), ["1", "2", "3"])


def test_renamed_classes_go_on_with_a_sentence(tmp_path, capsys):
    train(RECIPE, images(), tmp_path, stop_after=1)
    train(RECIPE, replace(images(), classes=("a", "b", "c")), tmp_path)
    assert "the classes were named 1, 2, 3 when this run began" in capsys.readouterr().err


# --- measuring ---

@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_other_images_are_measured_apart_and_named(run, name, change, capsys, monkeypatch):
    (own,), said = measure(capsys, monkeypatch, run, images(), "evaluate")
    assert said == ""
    assert own["data"] == "planted images"
    kept = (run.path / "evaluate-last.json").read_bytes()
    other = changed(images(), name, change)
    (found,), said = measure(capsys, monkeypatch, run, other, "evaluate")
    word = {"train": "training", "val": "validation", "test": "test"}[name]
    assert f"planted images has other {word} images than {run.path}: the results are named apart" in said
    assert len(said.strip().splitlines()) == 1
    assert found["data"].startswith(f"planted images, not the run's own ({word} images; ")
    digest = found["data"][-9:-1]
    assert json.loads((run.path / f"evaluate-last-on-{digest}.json").read_text()) == found
    assert (run.path / "evaluate-last.json").read_bytes() == kept


@pytest.mark.slow
def test_cas_and_saliency_of_other_images_replace_nothing(run, capsys, monkeypatch):
    words = {"cas": ["--attack-seeds", "1"], "saliency": ["--per-class", "1"]}
    for command in words:
        measure(capsys, monkeypatch, run, images(), command, *words[command])
    files = ("cas-last.json", "saliency.json", "saliency.png")
    kept = [(run.path / name).read_bytes() for name in files]
    lines = read_results(run.path / "cas.jsonl")
    other = changed(images(), "test", relabelled)
    for command in words:
        found, said = measure(capsys, monkeypatch, run, other, command, *words[command])
        assert "has other test images than" in said
    assert found["data"].startswith("planted images, not the run's own (test images; ")
    digest = found["data"][-9:-1]
    assert all((run.path / name.replace(".", f"-on-{digest}.")).exists() for name in files)
    assert [(run.path / name).read_bytes() for name in files] == kept
    assert [line for line in read_results(run.path / "cas.jsonl") if line["data"] == "planted images"] == lines


def test_other_class_names_are_told_and_another_number_is_refused(run, capsys, monkeypatch):
    (found,), said = measure(capsys, monkeypatch, run, replace(images(), classes=("cat", "dog", "eel")), "evaluate")
    assert "has other class names than" in said
    assert "not the run's own (class names; " in found["data"]
    monkeypatch.setattr("deep.training.loop.load_data", lambda recipe, folder: replace(images(), classes=tuple("abcd")))
    for command in ("evaluate", "cas", "saliency"):
        assert main([command, str(run.path)]) == 2
        said = capsys.readouterr().err
        assert "tells 3 classes apart, but planted images has 4: pass images of the run's own classes." in said
        assert len(said.strip().splitlines()) == 1


def test_a_teacher_of_other_class_names_says_so(run, capsys):
    network_of_run(f"{run.path}:last", images(), "cpu")
    assert capsys.readouterr().err == ""
    network_of_run(f"{run.path}:last", replace(images(), classes=("cat", "dog", "eel")), "cpu")
    assert "calls its classes 1, 2, 3, but here they are cat, dog, eel: their order is" in capsys.readouterr().err


def test_an_older_run_is_measured_with_a_sentence(tmp_path, capsys, monkeypatch):
    folder = train(RECIPE, images(), tmp_path)
    made_old(folder)
    (found,), said = measure(capsys, monkeypatch, folder, images(), "evaluate")
    assert "of an older version and remembers its training images alone" in said
    assert (found["data"], (folder.path / "evaluate-last.json").exists()) == ("planted images", True)
    (found,), said = measure(capsys, monkeypatch, folder, changed(images(), "train", repainted), "evaluate")
    assert "has other training images than" in said
    assert "not the run's own (training images; " in found["data"]
    (folder.path / "last.pt").unlink()  # the best one of an older version says nothing of its images
    monkeypatch.setattr("deep.training.loop.load_data", lambda recipe, folder: images())
    assert main(["evaluate", str(folder.path), "--checkpoint", "best"]) == 0
    assert RunFolder(folder.path).model_state("best")["epoch"] in (1, 2)
