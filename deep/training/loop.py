"""From a recipe to a finished run: the loop over epochs, and what makes it impossible to lose."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from deep.data.dataset import Data, load
from deep.data.planted import planted_images
from deep.recipe.recipe import Recipe, run_name
from deep.runs.environment import arithmetic_change
from deep.runs.folder import RunFolder, packed
from deep.system.messages import tell
from deep.system.processes import Alone
from deep.system.signals import Interrupted, Stop
from deep.training.branches import branch
from deep.training.epoch import finish_epoch, is_evaluated
from deep.training.first_batch import check_batches, check_compiler, check_shared
from deep.training.losses import check_smoothing
from deep.training.state import seeds
from deep.training.step import Training

__all__ = ["Interrupted", "Training", "load_data", "train"]


def train(recipe: Recipe, data: Data, out: str | Path, *, device: str = "cpu", stop_after: int | None = None,
          progress: Callable[[Training], None] | None = None, folder: str | Path | None = None,
          branch_of: str | Path | None = None, world: Alone | None = None) -> RunFolder:
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
    world, progress = world or Alone(), progress or (lambda training: None)
    check_smoothing(recipe.smoothing, len(data.classes))
    check_shared(recipe, len(data.train), world.size)
    training, run = Training(recipe, data, device, world), RunFolder(folder or Path(out) / run_name(recipe))
    check_batches(training)
    if recipe.compile:
        check_compiler(training.device)
    last = min(recipe.epochs, stop_after or recipe.epochs)
    with opened(run, recipe, world), Stop(held=True) as stop:

        def look() -> None:
            """Raise in all processes what one of them has been told."""
            if asked := world.maximum(stop.received):
                raise Interrupted(asked)

        begin(training, run, branch_of, data, device)
        while training.epoch < last:
            saved, asked = training.step == training.batches, 0
            training.set_learning_rate(recipe.learning_rate(training.epoch))
            training.begin_epoch()
            with training.timed():
                while training.step < training.batches and not asked:
                    training.train_batch()  # augment, attack, descend
                    progress(training)
                    asked = world.maximum(stop.received)
            training.check_finite()
            if asked:
                world.call_on_first(lambda: run.save(training.state(), None))
                raise Interrupted(asked)
            close_epoch(training, run, look, saved)
            progress(training)
            look()
    return run


@contextmanager
def opened(run: RunFolder, recipe: Recipe, world: Alone) -> Iterator[None]:
    """Hold the run folder for this recipe; the first process does so for all."""
    world.call_on_first(lambda: run.open_for_training(recipe))
    try:
        yield
    finally:
        run.close()


def begin(training: Training, run: RunFolder, branch_of: str | Path | None, data: Data, device: str) -> None:
    """Bring all processes to where the run stands, and write down on what it goes on from there."""
    world, recipe = training.world, training.recipe
    world.call_on_first(lambda: restore(training, run, branch_of))
    if world.size > 1:
        copy_first(training)
    if training.epoch < recipe.epochs:
        before, now = world.call_on_first(lambda: run.write_environment(data, device, training.epoch, world.size))
        sentence = arithmetic_change(before, now)
        if sentence and not world.rank and (training.epoch or training.step):
            tell(f"deep: {sentence}")


def restore(training: Training, run: RunFolder, branch_of: str | Path | None) -> None:
    """Put into `training` what is in the run folder, or in the run that this one branches off."""
    state, complaint = run.resume()
    if complaint:
        tell(complaint + " Going on from the checkpoint before it.")
    if state is not None:
        training.load(state)
        run.restore_best(state)
        run.write_metrics(training.history)
    elif branch_of is not None:
        branch(training, run, RunFolder(branch_of))


def copy_first(training: Training) -> None:
    """Put the first process's state into the others."""
    content = training.world.call_on_first(lambda: packed(training.state()))
    if training.world.rank:
        training.load(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        training.totals[:2] = 0  # the sums so far are the first one's


def close_epoch(training: Training, run: RunFolder, look: Callable[[], None], saved: bool) -> None:
    """Finish the epoch; the first process writes it down, and before it is evaluated, what has been trained.

    saved: whether that is in the run folder already.
    """
    evaluates = is_evaluated(training)
    if evaluates and not saved and not training.world.rank:
        run.save(training.state(), None)
    best = finish_epoch(training, look)
    if training.world.rank:
        return
    if training.recipe.keep_every and training.epoch % training.recipe.keep_every == 0:
        run.keep(training.state())
    run.save(training.state(), best, evaluated=evaluates)
    run.write_metrics(training.history)


def load_data(recipe: Recipe, folder: str | Path | None = None) -> Data:
    """Return the `Data` that a recipe names; raise ValueError where it is not found.

    folder: holds the images; planted images need none.

    >>> from deep.recipe.recipe import recipe_named
    >>> len(load_data(recipe_named("planted-linear", ["train_size=12", "val_size=3"])).train)
    12
    """
    if recipe.data == "planted":
        assert recipe.mu is not None and recipe.sigma is not None and recipe.patch is not None  # of a planted recipe
        size = recipe.train_size or 20_000
        data = planted_images(recipe.mu, recipe.sigma, recipe.patch, size, recipe.val_size, seeds(recipe)["data"])
    else:
        data = load(recipe.data, folder, recipe.val_size, recipe.train_size, recipe.resize, recipe.data_seed)
    if recipe.padding >= min(data.train.images.shape[2:]):
        raise ValueError(f"padding = {recipe.padding} was given, but reflection needs less than the image's size "
                         f"{tuple(data.train.images.shape[2:])}: choose a smaller padding.")
    return data
