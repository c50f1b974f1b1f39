"""Training on all images, the best checkpoint chosen on the test images: what public code does, from end to end."""

import json
from types import SimpleNamespace

import pytest
import torch

import deep.training.benchmark
from deep.__main__ import main
from deep.data.dataset import held_out
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.training.loop import load_data, train
from tests.support.layouts import cifar10_files, write_tree

ALL = ["val_size=0", "select=test"]
SMALL = ["model=preactresnet18", "width=2", "batch=20", "epochs=3", "eval_every=2", "select_every=1", "eval_steps=2",
         "steps=1", "bf16=false", "channels_last=false"]


def test_without_validation_images_nothing_is_selected_on_them():
    with pytest.raises(ValueError, match=r"val_size = 0 was given, but val_size must be positive for select=val"):
        recipe_named("at", ["val_size=0"])
    with pytest.raises(ValueError, match="val_size = -1 was given"):
        recipe_named("at", ["val_size=-1", "select=test"])
    recipe = recipe_named("at", [*ALL, *SMALL])
    assert [recipe.splits_due(epoch) for epoch in (1, 2, 3)] == [("test",)] * 3
    assert recipe_named("at", [*SMALL, *ALL, "select_every=none"]).splits_due(1) == ()


def test_all_images_are_trained_on():
    train_places, val_places, _ = held_out(10, 0, None)
    assert sorted(train_places.tolist()) == list(range(10)) and val_places.tolist() == []
    assert len(held_out(10, 0, 4)[0]) == 4
    with pytest.raises(ValueError, match="train_size = 11 and val_size = 0 were given"):
        held_out(10, 0, 11)
    recipe = recipe_named("planted-linear", [*ALL, "train_size=12"])
    assert [len(getattr(load_data(recipe), split)) for split in ("train", "val", "test")] == [12, 0, 6000]


@pytest.mark.slow
def test_such_a_run_is_trained_continued_and_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEEP_CACHE", str(tmp_path / "cache"))
    images = str(write_tree(tmp_path / "images", cifar10_files(20)))
    recipe = recipe_named("at", [*ALL, *SMALL])
    train(recipe, load_data(recipe, images), tmp_path, stop_after=1)
    assert main(["train", "at", *ALL, *SMALL, "--data", images, "--out", str(tmp_path), "--threads", "1"]) == 0
    run = RunFolder(tmp_path / run_name(recipe))
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["n"] == {"train": 40, "val": 0, "test": 20}
    lines = run.metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert all("robust" in line and not {"val_robust", "val_clean", "n_val"} & line.keys() for line in lines)
    scores = [line["robust"] for line in lines]
    best = run.model_state("best")
    assert (best["epoch"], best["selected_on"]) == (1 + scores.index(max(scores)), "test")
    for command in ("evaluate", "cas"):
        capsys.readouterr()
        assert main([command, str(run.path), "--checkpoint", "best", "--data", images, "--threads", "1", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert (found["epoch"], found["n_test"]) == (best["epoch"], 20)


def test_the_share_of_evaluation_is_that_of_the_test_images(monkeypatch):
    recipe = recipe_named("planted-linear", [*ALL, "train_size=20", "epochs=6", "eval_every=3", "select_every=1"])
    data, asked = load_data(recipe), []
    monkeypatch.setattr(deep.training.benchmark, "training_line", lambda model, data, recipe, epoch: asked.append(
        recipe.splits_due(epoch)))
    monkeypatch.setattr(deep.training.benchmark, "seconds", lambda call, device: call() or 3.0)
    training = SimpleNamespace(recipe=recipe, data=data, evaluated=None, device=torch.device("cpu"))
    # six times 3 seconds for 6,000 images, on 10,000, over six epochs of 50,000 images of a millisecond each
    assert deep.training.benchmark.evaluation_share(training, 0.001) == pytest.approx(6 * 3 * 10 / 6 / (6 * 50))
    assert asked == [("test",)] * 4
