"""Passes of a training and of its evaluations: those that are counted are those that are made."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import nn

from deep.data.dataset import Split
from deep.networks.registry import register
from deep.recipe.passes import share_of_passes
from deep.recipe.recipe import recipe_named
from deep.training.loop import load_data, train


class Counted(nn.Module):
    """The pixels, and a count of the images that pass forward, and of those whose gradient passes back."""

    def __init__(self, passes):
        super().__init__()
        self.passes, self.scale = passes, nn.Parameter(torch.ones(()))

    def forward(self, x):
        self.passes["forward"] += len(x) if len(x) > 2 else 0  # its shapes are tried on one image
        features = (self.scale * x).flatten(1)
        if features.requires_grad:
            features.register_hook(lambda gradient: self.count(len(gradient)))
        return features

    def count(self, n):
        self.passes["backward" if not self.scale.requires_grad else "learn"] += n


@pytest.mark.parametrize("words", [["eval_every=2", "select_every=1"], ["eval_every=3"],
                                   ["eval_every=4", "method=standard", "eps=0.1"]])
def test_the_passes_of_a_run_are_those_that_are_counted(words, tmp_path, registry):
    passes = {"forward": 0, "backward": 0, "learn": 0}
    register("counted", needs=())(lambda recipe, shape, classes: (Counted(passes), nn.Linear(96, classes)))
    recipe = recipe_named("planted-linear", ["model=counted", "train_size=40", "val_size=9", "batch=10", "epochs=4",
                                             "steps=3", "eval_steps=5", "step=0.1", *words])
    data = load_data(recipe)
    data = replace(data, test=Split(data.test.images[:12], data.test.labels[:12]))
    train(recipe, data, tmp_path)
    learnt = 4 * 40
    attacks = 0 if "method=standard" in words else 3 * learnt
    evaluated = passes["forward"] - learnt - attacks + passes["backward"] - attacks
    assert passes["learn"] == learnt
    assert share_of_passes(recipe, 40, 12) == pytest.approx(evaluated / (3 * learnt + 2 * attacks))


def test_at_cpu_by_hand():
    """80 epochs of 2,000 images, 17 passes each; 20 evaluations; one of all 10,000 test images is a sixth of it."""
    recipe = recipe_named("at-cpu")
    evaluation = Fraction(1017 * 42 + 500 * 22 + 1000)
    assert share_of_passes(recipe, 2000, 1017) == pytest.approx(float(20 * evaluation / (80 * 2000 * 17)))
    once = recipe_named("at-cpu", ["eval_every=80", "val_size=0", "select=test"])
    assert share_of_passes(once, 2000, 10_000) == pytest.approx((10_000 * 42 + 1000) / (80 * 2000 * 17))


def test_the_page_says_what_is_counted():
    page = (Path(__file__).parents[3] / "deep" / "README.md").read_text().replace("\n", " ")
    shares = [100 * share_of_passes(recipe_named("at-cpu", words), 2000, 1017)
              for words in ([], ["eval_every=40", "select_every=8"])]
    assert (f"with 1,017 test images {shares[0]:.0f} % of what `at-cpu` spends on training, and {shares[1]:.0f} % with "
            "`eval_every=40 select_every=8`") in page


@pytest.mark.parametrize(("name", "words", "given"), [("trades", [], "method"), ("at", ["awp=0.01"], "awp"),
                                                     ("fast-at", [], "probe_steps")])
def test_other_passes_are_refused(name, words, given):
    with pytest.raises(ValueError, match=f"a recipe with {given} was given"):
        share_of_passes(recipe_named(name, words), 1000, 1000)
