"""`deep train`: trains a recipe, or continues it."""

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, add_machine_options, import_words
from deep.system.device import positive, use_device
from deep.system.messages import tell

if TYPE_CHECKING:
    from deep.recipe.recipe import Recipe

__all__ = ["add", "continues", "run"]


def add(commands: Commands) -> None:
    train = commands.add_parser("train", help="train a recipe, or continue it",
                                description="Train a recipe, or continue its run folder OUT/NAME.")
    train.add_argument("recipe", help="at, at-l2, trades, standard, fast-at, at-deit, at-cpu, ...")
    train.add_argument("overrides", nargs="*", metavar="key=value",
                       help="changes to the recipe, e.g. eps=4/255 seed=1; `deep recipes` explains every key")
    train.add_argument("--out", default="runs", help="the folder that holds the run folders (default: runs)")
    train.add_argument("--branch-of", metavar="RUN", help="begin with what RUN has of the same training")
    train.add_argument("--stop-after", type=int, metavar="EPOCH", help="stop there; the same command continues")
    train.add_argument("--tensorboard", action="store_true", help="mirror the metrics to RUN/tensorboard")
    add_machine_options(train)


def continues(options: argparse.Namespace) -> str:
    return "the same command continues it"


def run(options: argparse.Namespace) -> None:
    from contextlib import nullcontext

    from deep.recipe.recipe import recipe_named, run_name
    from deep.system.processes import joined
    from deep.system.progress import training_progress
    from deep.training.loop import load_data, train
    from deep.training.teachers import check_folders
    recipe = recipe_named(options.recipe, options.overrides)
    positive("--stop-after", options.stop_after)
    begun = (Path(options.out) / run_name(recipe)).exists()  # what it branched off may be gone
    check_folders(recipe, None if begun else options.branch_of)  # before images are read and a folder is made
    with joined(options.device) as (world, device):
        use_device(device, options.threads)
        data = load_data(recipe, options.data)
        with (training_progress(recipe) if world.rank == 0 else nullcontext()) as progress, \
                mirror(options.tensorboard and world.rank == 0, options.out, recipe, progress) as progress:
            finished = train(recipe, data, options.out, device=device, stop_after=options.stop_after, progress=progress,
                             branch_of=options.branch_of, world=world)
        if world.rank == 0:
            print(finished.path)
            tell(what_next(finished.path, options, finished=len(finished.metrics()) >= recipe.epochs))


def what_next(run: Path, options: argparse.Namespace, finished: bool) -> str:
    """Return what to type next: the commands that measure the run, or that it is not finished.

    >>> plain = argparse.Namespace(stop_after=None, data="my images", device="cpu", imports=[])
    >>> what_next(Path("runs/a"), plain, finished=True)
    "next: deep evaluate runs/a --data 'my images'; deep cas runs/a --data 'my images'"
    """
    if not finished:
        return f"next: the same command without --stop-after {options.stop_after} trains the other epochs"
    more = [*(["--data", options.data] if options.data else []),
            *(["--device", options.device] if options.device != "cpu" else []), *import_words(options)]
    return "next: " + "; ".join(shlex.join(["deep", command, str(run), *more]) for command in ("evaluate", "cas"))


@contextmanager
def mirror(wanted: bool, out: str, recipe: "Recipe",
           progress: Callable[[Any], None] | None) -> Iterator[Callable[[Any], None] | None]:
    """Yield the progress callback, which also writes for TensorBoard where that is wanted and installed."""
    from deep.recipe.recipe import run_name
    from deep.runs.tensorboard import Mirror, available, mirrored
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
