"""Checkpoints with a right checksum and wrong content: one sentence, and nothing is changed."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from deep.__main__ import main
from deep.data.dataset import Split
from deep.recipe.recipe import recipe_named
from deep.runs.checkpoint import check_checkpoint
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data, train
from deep.training.step import Training

# batch norm, momentum, crops, an average and a teacher: whatever a checkpoint may hold
WORDS = ["model=preactresnet18", "width=2", "patch=2", "epochs=3", "train_size=40", "val_size=10", "batch=20",
         "eval_every=1", "eval_steps=1", "padding=1", "flip=true", "random_start=true", "lr=0.02",
         "average=ema", "average_decay=0.9", "average_from=1/3",
         "teacher=self", "teacher_share=0.5", "teacher_from=1/3"]
RECIPE = recipe_named("planted-cnn", WORDS)


@pytest.fixture(scope="module")
def data():
    data = load_data(RECIPE)
    return replace(data, test=Split(data.test.images[:12], data.test.labels[:12]))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """Two epochs of three."""
    return train(RECIPE, data, tmp_path_factory.mktemp("runs"), stop_after=2)


@pytest.fixture(scope="module")
def training(data):
    return Training(RECIPE, data, "cpu")


@pytest.fixture
def state(run):
    return run.model_state("last")


def flat(value, name=""):
    """Each tensor and plain value of a nested state, by its place."""
    if isinstance(value, dict):
        return {key: item for k, v in value.items() for key, item in flat(v, f"{name}/{k}").items()}
    if isinstance(value, list):
        return {key: item for k, v in enumerate(value) for key, item in flat(v, f"{name}/{k}").items()}
    return {name: value.clone() if isinstance(value, torch.Tensor) else value}


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
        for name, value in first.items())


def at(path, value):
    """A change of what is at `path` in a state; value(old) where it is a function."""
    def change(state):
        *above, last = path
        for key in above:
            state = state[key]
        state[last] = value(state[last]) if callable(value) else value
    return change


def without(*path):
    def change(state):
        *above, last = path
        for key in above:
            state = state[key]
        del state[last]
    return change


WRONG = {
    "epoch -3": (at(["epoch"], -3), "epoch -3, but the recipe has 3"),
    "epoch 10^9": (at(["epoch"], 10**9), "epoch 1000000000, but the recipe has 3"),
    "epoch NaN": (at(["epoch"], math.nan), "epoch nan"),
    "epoch true": (at(["epoch"], True), "epoch True"),
    "epoch 1.0": (at(["epoch"], 1.0), "epoch 1.0"),
    "an earlier epoch": (at(["epoch"], 1), "not one line of metrics for each of 1 epochs"),
    "step -1": (at(["step"], -1), "step -1, but an epoch has 2"),
    "step 3": (at(["step"], 3), "step 3, but an epoch has 2"),
    "step without order": (at(["step"], 1), "no order of the images in the middle of an epoch"),
    "order": (at(["order"], torch.zeros(40, dtype=torch.int64)), "an order that is no permutation of 40 images"),
    "order of floats": (at(["order"], torch.arange(40.0)), "an order that is no permutation"),
    "short order": (at(["order"], torch.arange(39)), "an order that is no permutation"),
    "seconds": (at(["seconds"], math.inf), "inf seconds"),
    "best": (at(["best"], math.nan), "the best accuracy nan"),
    "best above 1": (at(["best"], 2.0), "the best accuracy 2.0"),
    "totals NaN": (at(["totals"], torch.full((4,), math.nan, dtype=torch.float64)), "sums that are no numbers"),
    "totals too many": (at(["totals"], torch.zeros(9, dtype=torch.float64)), "sums that are no numbers"),
    "totals of text": (at(["totals"], "none"), "sums that are no numbers"),
    "no history": (at(["history"], []), "not one line of metrics for each of 2 epochs"),
    "history of another epoch": (at(["history", 1, "epoch"], 7), "a wrong line of metrics for epoch 2"),
    "history of a text": (at(["history", 0], "x"), "a wrong line of metrics for epoch 1"),
    "history of NaN": (at(["history", 0, "train_loss"], math.nan), "the train_loss nan in epoch 1"),
    "history of a tensor": (at(["history", 0, "more"], torch.zeros(1)), "metrics that are no plain numbers and texts"),
    "no weight": (without("model", "linear.weight"), "no weights linear.weight"),
    "another weight": (lambda state: state["model"].update(other=torch.zeros(1)), "weights 'other', which"),
    "shape": (at(["model", "linear.weight"], lambda old: old[:, :-1]), "weights linear.weight of shape"),
    "type": (at(["model", "linear.weight"], lambda old: old.double()), "and torch.float64 where the network has"),
    "weights of text": (at(["model"], "none"), "no weights, but 'none'"),
    "optimiser of text": (at(["optimiser"], "none"), "no state of the optimiser"),
    "no groups": (at(["optimiser", "param_groups"], []), "no state of the optimiser"),
    "no momentum": (at(["optimiser", "state"], {}), "no momentum, though its training has begun"),
    "momentum of another shape": (at(["optimiser", "state", 0, "momentum_buffer"], torch.zeros(3)),
                                  "momentum of another shape than weight 0"),
    "momentum .5": (at(["optimiser", "param_groups", 0, "momentum"], 0.5), "an optimiser with momentum 0.5, not 0.9"),
    "learning rate": (at(["optimiser", "param_groups", 0, "lr"], math.nan), "an optimiser of other weights"),
    "a weight too many": (lambda state: state["optimiser"]["state"].update({10_000: {}}),
                          "an optimiser of other weights"),
    "no generators": (at(["generators"], {}), "no random generator 'attack'"),
    "one generator missing": (without("generators", "order"), "no random generator 'order'"),
    "an unknown generator": (lambda state: state["generators"].update(dice=torch.zeros(1)),
                             "a random generator 'dice', which this version does not know"),
    "a short generator": (at(["generators", "order"], lambda old: old[:-1]),
                          "no state of the random generator 'order'"),
    "a generator of zeros": (at(["generators", "order"], lambda old: torch.full_like(old, 255)),
                             "no state of the random generator 'order'"),
    "generators of text": (at(["generators"], "none"), "no random generators, but 'none'"),
    "best of text": (at(["best_state"], "none"), "a best checkpoint that is none"),
    "no best": (at(["best_state"], None), "no best weights, though it knows their accuracy"),
    "best of a later epoch": (at(["best_state", "epoch"], 3), "a best checkpoint that is none"),
    "best of other shape": (at(["best_state", "model", "linear.weight"], torch.zeros(1)), "best weights linear.weight"),
    "best without metrics": (without("best_state", "metrics"), "a best checkpoint without its metrics"),
    "teachers": (at(["teachers"], []), "the teachers []"),
    "teacher of other shape": (at(["teachers", "own", "linear.weight"], torch.zeros(1)), "weights of its teacher"),
    "no average": (at(["average"], None), "no averaged weights"),
    "average of other shape": (at(["average", "module.linear.weight"], torch.zeros(1)), "averaged weights"),
} | {f"no {name}": (without(name), f"no entry '{name}'") for name in (
    "optimiser", "generators", "history", "best", "order", "totals", "seconds", "step")}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_wrong_content_is_refused_and_changes_nothing(training, state, name):
    change, words = WRONG[name]
    before = flat(training.state())
    change(state)
    with pytest.raises(ValueError) as caught:
        training.load(state)
    sentence = str(caught.value)
    assert words in sentence
    assert sentence.startswith("the checkpoint has ") and sentence.count(". ") == 0 and "\n" not in sentence
    assert sentence.endswith(": restore it from a copy, or remove it to go on from the one before.")
    assert same(flat(training.state()), before)


@pytest.mark.slow
def test_right_content_is_taken_whole(data, state):
    other = Training(RECIPE, data, "cpu")
    wanted = flat(copy.deepcopy(state))
    other.load(state)
    assert same(flat(other.state()), wanted)


@pytest.mark.slow
def test_what_earlier_versions_lack_is_taken_from_the_recipe(training, state, capsys):
    """The sums were two, and there were neither a best state nor generators that nothing has drawn from."""
    del state["best_state"]
    state["totals"] = state["totals"][:2]
    check_checkpoint(state, training)
    assert capsys.readouterr().err == ""
    for name in state["generators"].keys() - {"order", "augmentation", "attack"}:
        del state["generators"][name]
    check_checkpoint(state, training)
    lines = capsys.readouterr().err.splitlines()
    assert "no random generator 'trim', so that one begins from the recipe's seed" in "".join(lines)


@pytest.mark.slow
def test_on_the_command_line(run, tmp_path, capsys, monkeypatch, data):
    """One sentence, status 2, and each file of the run as it was."""
    monkeypatch.setattr("deep.training.loop.load_data", lambda *_: data)
    state = run.model_state("last")
    other = tmp_path / "runs" / run.path.name
    other.mkdir(parents=True)
    for path in run.path.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    torch.save(state | {"generators": {}}, other / "last.pt")
    torch.save(run.model_state("best") | {"epoch": -3}, other / "best.pt")
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    assert main(["train", "planted-cnn", *WORDS, "--out", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "deep: the checkpoint has no random generator 'attack': restore it from a copy, or remove it to go on from the "
        "one before.")
    assert main(["evaluate", str(other), "--checkpoint", "best"]) == 2
    assert f"{other / 'best.pt'} says that it is of epoch -3, but its recipe has 3 epochs" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before


@pytest.mark.parametrize("weights", ["none", {"linear.weight": 3}, {}, [1]])
def test_a_network_of_wrong_content(run, data, tmp_path, weights):
    (tmp_path / "recipe.json").write_bytes((run.path / "recipe.json").read_bytes())
    torch.save(run.model_state("best") | {"model": weights}, tmp_path / "best.pt")
    with pytest.raises(ValueError, match="do not fit the network of its recipe: restore the file from a copy"):
        load_network(RunFolder(tmp_path), data)


@pytest.mark.parametrize("epoch", [-3, 10**9, math.nan, True, "1", None, 4])
def test_an_epoch_that_is_none(run, tmp_path, epoch):
    (tmp_path / "recipe.json").write_bytes((run.path / "recipe.json").read_bytes())
    torch.save(run.model_state("best") | {"epoch": epoch}, tmp_path / "best.pt")
    with pytest.raises(ValueError, match="but its recipe has 3 epochs: restore it from a copy"):
        RunFolder(tmp_path).model_state("best")
