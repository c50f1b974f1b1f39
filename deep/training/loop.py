"""From a recipe to a finished run: the loop over epochs, and what makes it impossible to lose."""

import io
import math
import time
from dataclasses import fields
from pathlib import Path

import torch

from deep.data.dataset import load
from deep.data.planted import planted_images
from deep.recipe.recipe import Recipe, run_name
from deep.runs.environment import other_arithmetic
from deep.runs.folder import RunFolder, load_checkpoint, packed
from deep.system.messages import tell
from deep.system.processes import Alone
from deep.system.signals import Interrupted, Stop
from deep.training.first_batch import check_batches, check_compiler, check_shared
from deep.training.losses import check_smoothing
from deep.training.step import Training, seeds

__all__ = ["Interrupted", "Training", "common_epochs", "load_data", "train"]


# Fields that do nothing before a share of the epochs has passed, by the field that says which.
LATE = {"trim_from": ("trim", "trim_kind", "clip"), "teacher_from": ("teacher", "teacher_share", "temperature"),
        "average_from": ("average", "average_decay")}


def load_data(recipe, folder=None):
    """The `Data` that a recipe names; `folder` holds the images (planted images need none); ValueError without them.

    >>> from deep.recipe.recipe import recipe_named
    >>> len(load_data(recipe_named("planted-linear", ["train_size=12", "val_size=3"])).train)
    12
    """
    if recipe.data == "planted":
        size = recipe.train_size or 20_000
        data = planted_images(recipe.mu, recipe.sigma, recipe.patch, size, recipe.val_size, seeds(recipe)["data"])
    else:
        data = load(recipe.data, folder, recipe.val_size, recipe.train_size, recipe.resize, recipe.data_seed)
    if recipe.padding >= min(data.train.images.shape[2:]):
        raise ValueError(f"padding = {recipe.padding} was given, but reflection needs less than the image's size "
                         f"{tuple(data.train.images.shape[2:])}: choose a smaller padding.")
    return data


def common_epochs(first, second):
    """How many epochs two recipes share to the last bit: those before the first one on which they may differ.

    >>> from deep.recipe.recipe import recipe_named
    >>> common_epochs(recipe_named("at"), recipe_named("at", ["trim=0.1", "trim_from=1/2"]))
    100
    """
    different = {field.name for field in fields(Recipe) if getattr(first, field.name) != getattr(second, field.name)}
    different -= {"keep_every"}
    shares = [1]
    for begin, names in LATE.items():
        if different & {begin, *names}:
            # where a recipe has none of what begins, its field is 0 and says nothing
            shares.append(min(getattr(recipe, begin) for recipe in (first, second)
                              if any(getattr(recipe, name) != getattr(Recipe, name) for name in names)))
            different -= {begin, *names}
    # whoever begins at a share s of n epochs has begun once e >= s n have passed: e = 0, ..., ceil(s n) - 1 are common
    return 0 if different else math.ceil(min(shares) * first.epochs)


def branch(training, run, trunk):
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
    run.save(training.state(), training.best_state)
    run.write_metrics(training.history)
    run.write_json("branch.json", {"of": str(trunk.path), "epoch": epoch})


def begin(training, run, branch_of):
    """Into `training` what is in the run folder, or in the run that this one branches off."""
    state, complaint = run.resume()
    if complaint:
        tell(complaint + " Going on from the checkpoint before it.")
    if state is not None:
        training.load(state)
        run.restore_best(state)
        run.write_metrics(training.history)
    elif branch_of is not None:
        branch(training, run, RunFolder(branch_of))


def follow_the_first(training):
    """The first process's state into that of the others."""
    content = training.world.call_on_first(lambda: bytes(packed(training.state())))
    if training.world.rank:
        training.load(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        training.totals[:2] = 0  # the sums so far are the first one's


def close_epoch(training, run, look, saved):
    """Finish the epoch; the first process writes it down, and before it is evaluated, what has been trained.

    saved: whether that is in the run folder already.
    """
    training.check_finite()
    evaluates = training.evaluates
    if evaluates and not saved and not training.world.rank:
        run.save(training.state(), None)
    best = training.finish_epoch(look)
    if training.world.rank:
        return
    if training.recipe.keep_every and training.epoch % training.recipe.keep_every == 0:
        run.keep(training.state())
    run.save(training.state(), best, evaluated=evaluates)
    run.write_metrics(training.history)


def train(recipe, data, out, *, device="cpu", stop_after=None, progress=None, folder=None,
          branch_of=None, world=None):
    """Train `recipe` in the run folder out/run_name(recipe), or continue what is there; return the RunFolder.

    data: `load_data(recipe, ...)`. stop_after: leave after this epoch, as an interruption would.
    progress(training): called after every step and epoch. folder: use this run folder instead. branch_of: a run
    folder whose first epochs are this recipe's too: a new run begins from the last of its kept checkpoints that is.
    world: None, or the processes that train together, each calling this function; the first one writes the folder.
    On a CPU the continued run is bit-identical to an uninterrupted one on the same machine with the same threads.
    SIGTERM and SIGINT raise `Interrupted`, after the step at hand and with a checkpoint in mid-epoch, or during an
    evaluation, before which there was one; a second Ctrl-C at once. ValueError: the folder is in use, or holds another
    recipe or no readable checkpoint; or the network does not take the batches. FloatingPointError: the loss was NaN or
    infinite.
    """
    check_smoothing(recipe.smoothing, len(data.classes))
    run, world = RunFolder(folder or Path(out) / run_name(recipe)), world or Alone()
    check_shared(recipe, len(data.train), world.size)
    training = Training(recipe, data, device, world)
    check_batches(training)
    if recipe.compile:
        check_compiler(training.device)
    world.call_on_first(lambda: run.open_for_training(recipe))
    try:
        with Stop(held=True) as stop:
            world.call_on_first(lambda: begin(training, run, branch_of))
            if world.size > 1:
                follow_the_first(training)
            if training.epoch < recipe.epochs:
                before, now = world.call_on_first(
                    lambda: run.write_environment(data, device, training.epoch, world.size))
                sentence = other_arithmetic(before, now)
                if sentence and not world.rank and (training.epoch or training.step):
                    tell(f"deep: {sentence}")
            train_epochs(training, run, min(recipe.epochs, stop_after or recipe.epochs), stop, progress)
        return run
    finally:
        run.close()


def train_epochs(training, run, last, stop, progress):
    """Train up to the epoch `last`; every process looks at the signals of all at the same moments."""
    recipe, world = training.recipe, training.world

    def look():
        asked = world.maximum(stop.received)
        if asked:
            raise Interrupted(asked)

    while training.epoch < last:
        started, asked, saved = time.perf_counter(), 0, training.step == training.batches
        training.set_learning_rate(recipe.learning_rate(training.epoch))
        training.begin_epoch()
        while training.step < training.batches and not asked:
            training.train_batch()
            if progress:
                progress(training)
            asked = world.maximum(stop.received)
        training.seconds += time.perf_counter() - started
        if asked:
            training.check_finite()
            world.call_on_first(lambda: run.save(training.state(), None))
            raise Interrupted(asked)
        close_epoch(training, run, look, saved)
        if progress:
            progress(training)
        look()
