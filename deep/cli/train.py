"""`deep train`: trains a recipe, or continues it."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, add_machine_options
from deep.system.device import positive, use_device

if TYPE_CHECKING:
    from deep.recipe.recipe import Recipe

__all__ = ["add", "continues", "run"]


def add(commands: Commands) -> None:
    train = commands.add_parser("train", help="train a recipe, or continue it",
                                description="Train a recipe, or continue its run folder OUT/NAME.")
    train.add_argument("recipe", help="at, at-l2, trades, standard, fast-at, at-deit, at-cpu, ...")
    train.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the recipe, e.g. eps=4/255 seed=1")
    train.add_argument("--out", default="runs", help="the folder that holds the run folders (default: runs)")
    train.add_argument("--branch-of", metavar="RUN", help="begin with what RUN has of the same training")
    train.add_argument("--stop-after", type=int, metavar="EPOCH", help="stop there; the same command continues")
    train.add_argument("--tensorboard", action="store_true", help="mirror the metrics to RUN/tensorboard")
    add_machine_options(train)


def continues(options: argparse.Namespace) -> str:
    return "the same command continues it"


def run(options: argparse.Namespace) -> None:
    from contextlib import nullcontext

    from deep.recipe.recipe import recipe_named
    from deep.system.processes import joined
    from deep.system.progress import training_progress
    from deep.training.loop import load_data, train
    recipe = recipe_named(options.recipe, options.overrides)
    positive("--stop-after", options.stop_after)
    with joined(options.device) as (world, device):
        use_device(device, options.threads)
        data = load_data(recipe, options.data)
        with (training_progress(recipe) if world.rank == 0 else nullcontext()) as progress, \
                mirror(options.tensorboard and world.rank == 0, options.out, recipe, progress) as progress:
            finished = train(recipe, data, options.out, device=device, stop_after=options.stop_after, progress=progress,
                             branch_of=options.branch_of, world=world)
        if world.rank == 0:
            print(finished.path)


@contextmanager
def mirror(wanted: bool, out: str, recipe: "Recipe",
           progress: Callable[[Any], None] | None) -> Iterator[Callable[[Any], None] | None]:
    """Yield the progress callback, which also writes for TensorBoard where that is wanted and installed."""
    from deep.recipe.recipe import run_name
    from deep.runs.tensorboard import Mirror, available, mirrored
    from deep.system.messages import tell
    if wanted and not available():
        tell("deep: tensorboard is not installed, so nothing is written for it; metrics.jsonl has everything.")
    if not wanted or not available():
        yield progress
        return
    board = Mirror(Path(out) / run_name(recipe))
    try:
        yield mirrored(progress, board)
    finally:
        board.close()
