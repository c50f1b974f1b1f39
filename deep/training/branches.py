"""A run that begins where another one stands, as long as both recipes train the same to the last bit."""

import math
from fractions import Fraction

from deep.recipe.recipe import HINTS, Recipe
from deep.runs.folder import RunFolder, load_checkpoint
from deep.runs.results import course_of
from deep.training.state import State

__all__ = ["branch", "common_epochs"]

# Settings that do nothing before a share of the epochs has passed, by the field that says which.
LATE = {"trim_from": ("trim", "trim_kind", "clip", "floor", "cas_weight", "cas_centred"),
        "smoothing_from": ("smoothing",), "teacher_from": ("teacher", "teacher_share", "temperature"),
        "average_from": ("average", "average_decay"), "awp_from": ("awp",)}


def common_epochs(first: Recipe, second: Recipe) -> int:
    """Return how many epochs two recipes share to the last bit: those before the first one on which they may differ.

    >>> from deep.recipe.recipe import recipe_named
    >>> common_epochs(recipe_named("at"), recipe_named("at", ["trim=0.1", "trim_from=1/2"]))
    100
    """
    different = {name for name in HINTS if getattr(first, name) != getattr(second, name)}
    different -= {"keep_every"}
    shares: list[Fraction | int] = [1]
    for begin, names in LATE.items():
        if different & {begin, *names}:
            # where a recipe has none of what begins, its field is 0 and says nothing
            shares.append(min(getattr(recipe, begin) for recipe in (first, second)
                              if any(getattr(recipe, name) != getattr(Recipe, name) for name in names)))
            different -= {begin, *names}
    # whoever begins at a share s of n epochs has begun once e >= s n have passed: e = 0, ..., ceil(s n) - 1 are common
    return 0 if different else math.ceil(min(shares) * first.epochs)


def branch(training: State, run: RunFolder, trunk: RunFolder) -> None:
    """Begin a new run from the last kept checkpoint of `trunk` that its own first epochs would have reached."""
    limit = common_epochs(trunk.recipe(), training.recipe)
    epoch = max((epoch for epoch in trunk.kept_epochs() if epoch <= limit), default=None)
    if epoch is None:
        raise ValueError(f"{trunk.path} keeps no checkpoint among the {limit} epochs that both recipes share: train it "
                         "with keep_every=N, or begin this run without it.")
    state = load_checkpoint(trunk.kept_path(epoch))
    training.load(state, trunk.recipe())
    if training.recipe.average:
        for line in training.history:
            if "eval_seconds" in line:
                line.setdefault("evaluated", "network")
    run.write_json("branch.json", {"of": str(trunk.path), "epoch": epoch, "course": course_of(trunk)})
    run.save(training.state(), training.best_state)
    run.write_metrics(training.history)
