"""Layers that draw, such as Dropout: seeded from the recipe, kept in checkpoints, and apart from the caller's."""

import io
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deep.networks.registry import NETWORKS, register
from deep.recipe.recipe import recipe_named
from deep.runs.folder import packed
from deep.system.device import seeded
from deep.training.epoch import finish_epoch
from deep.training.loop import load_data, train
from deep.training.state import seeds
from deep.training.step import Training

SMALL = ["width=none", "model=dropping", "train_size=36", "val_size=6", "batch=8", "epochs=2", "steps=2",
         "eval_every=2", "eval_steps=2"]


class NeverOff(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)  # also in eval mode, as its author may have forgotten


@pytest.fixture(autouse=True)
def dropping():
    @register("dropping", needs=())
    def dropping(recipe, shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(96, 12), nn.ReLU(), nn.Dropout(0.5)), nn.Linear(12, classes)

    @register("never-off", needs=())
    def never_off(recipe, shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(96, 12), NeverOff()), nn.Linear(12, classes)
    yield
    del NETWORKS["dropping"], NETWORKS["never-off"]


@pytest.fixture(autouse=True)
def noise():
    """The caller's numbers are somewhere else each time, and stay there."""
    before = torch.get_rng_state()
    torch.seed()
    yield
    torch.set_rng_state(before)


def small(*words):
    recipe = recipe_named("planted-cnn", [*SMALL, *words])
    return recipe, load_data(recipe)


def read_back(training):
    return torch.load(io.BytesIO(packed(training.state())), weights_only=True)


def steps(training, n):
    """n steps of training, each after other numbers of the caller's."""
    for _ in range(n):
        torch.rand(7)
        if training.step == training.batches:
            training.seconds = 1.0
            finish_epoch(training)
        training.train_batch()
    return training


def weights(training):
    return torch.cat([value.flatten() for value in training.model.parameters()])


@pytest.mark.parametrize("words", [["attack_mode=train"], ["attack_mode=eval"], ["method=trades", "beta=2"],
                                   ["method=standard"]])
@pytest.mark.parametrize("before", [3, 5, 7], ids=["mid-epoch", "between epochs", "in the second epoch"])
def test_a_continued_training_draws_on(words, before):
    recipe, data = small(*words)
    whole, again, part = (Training(recipe, data, "cpu") for _ in range(3))
    steps(whole, 9)
    assert torch.equal(weights(whole), weights(steps(again, 9)))
    state = read_back(steps(part, before))
    torch.manual_seed(before)
    continued = Training(recipe, data, "cpu")
    continued.load(state)
    assert torch.equal(weights(whole), weights(steps(continued, 9 - before)))
    assert torch.equal(whole.totals, continued.totals)


@pytest.mark.slow
def test_runs_are_equal_whether_stopped_or_not(tmp_path):
    recipe, data = small("attack_mode=train")
    states = []
    for folder, stops in (("a", []), ("b", []), ("c", [1])):
        for stop in [*stops, None]:
            torch.rand(3)
            run = train(recipe, data, tmp_path / folder, stop_after=stop)
        states.append(run.model_state("last"))
    for other in states[1:]:
        assert all(torch.equal(states[0]["model"][name], other["model"][name]) for name in other["model"])
        assert torch.equal(states[0]["generators"]["layers"], other["generators"]["layers"])
    losses = [[line["train_loss"] for line in state["history"]] for state in states]
    assert losses[0] == losses[1] == losses[2]


def test_each_step_and_each_seed_has_its_own_numbers():
    """A layer that keeps what it draws: of two seeds and three steps no two alike, and those of the recipe's seed."""
    drawn = []
    for seed in (0, 1):
        recipe, data = small("method=standard", f"seed={seed}")
        training = Training(recipe, data, "cpu")
        training.model.body[3].register_forward_pre_hook(lambda layer, given: drawn.append(torch.rand(2)))
        steps(training, 3)
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == 6
    first = Training(*small("seed=0"), "cpu").layers_seed()
    assert torch.equal(drawn[0], torch.rand(2, generator=torch.Generator().manual_seed(first)))


def test_the_callers_numbers_go_on_as_without_a_training(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    train(*small(), tmp_path)
    assert torch.equal(torch.rand(4), expected)


def test_the_callers_numbers_come_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(3, torch.device("cpu")):
        torch.rand(1)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_a_network_that_draws_in_eval_mode_is_evaluated_alike(tmp_path):
    """Its evaluation is of seeded numbers too, that of the probe included."""
    recipe, data = small("model=never-off", "probe_steps=1", "eval_every=1", "train_size=200")
    first, second = (train(recipe, data, tmp_path / folder).metrics() for folder in "ab")
    keys = ("clean", "robust", "val_robust", "cas", "probe_pgd", "probe_training_attack", "train_loss")
    assert [[line[key] for key in keys] for line in first] == [[line[key] for key in keys] for line in second]


def test_old_checkpoints_without_these_numbers_go_on():
    recipe, data = small()
    old = steps(Training(recipe, data, "cpu"), 2)
    first, second = Training(recipe, data, "cpu"), Training(recipe, data, "cpu")
    for training in (first, second):
        state = read_back(old)
        del state["generators"]["layers"]
        training.load(state)
    assert torch.equal(weights(steps(first, 2)), weights(steps(second, 2)))


def test_the_seeds_of_the_other_purposes_stay():
    """numpy's words for seed 0, as they were when "trim" was the last purpose."""
    found = seeds(SimpleNamespace(seed=0))
    assert list(found.items())[:6] == [("init", 2968811710), ("order", 3677149159), ("augmentation", 745650761),
                                       ("attack", 2884920346), ("data", 2642120001), ("trim", 549907821)]
    assert len(set(found.values())) == 7


def test_processes_that_train_together_draw_apart():
    recipe, data = small()
    first, second = Training(recipe, data, "cpu"), Training(recipe, data, "cpu")
    second.world = SimpleNamespace(rank=1, size=2)
    assert [first.layers_seed() + 1 for _ in range(3)] == [second.layers_seed() for _ in range(3)]
