"""What several commands share: options, the run whose checkpoints they read, and how a run stands."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.system.device import positive, use_device

if TYPE_CHECKING:  # torch is imported when a command runs
    from deep.experiments.checkpoint_evaluation import Checkpoint

__all__ = ["ATTACK_STEPS", "Commands", "add_attack_steps", "add_import_option", "add_machine_options",
           "add_run_options", "deferred_write_errors", "import_words", "open_checkpoints", "print_status"]

ATTACK_STEPS = 20  # of PGD where a run is measured; what training writes of itself has the recipe's eval_steps
Commands = argparse._SubParsersAction  # what `add_subparsers` returns


def add_machine_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", help="folder or archive with the data set (default: $DEEP_DATA)")
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def add_attack_steps(command: argparse.ArgumentParser) -> None:
    command.add_argument("--attack-steps", type=int, default=ATTACK_STEPS, metavar="N",
                         help=f"steps of the PGD that measures, of size eps/4 (default: {ATTACK_STEPS})")


def add_import_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--import", action="append", default=[], dest="imports", metavar="MODULE",
                         help="a module that registers networks of your own, looked for in the current folder too; may "
                              "be repeated")


def import_words(options: argparse.Namespace) -> list[str]:
    """Return the words that hand --import on to another command.

    >>> import_words(argparse.Namespace(imports=["nets"]))
    ['--import', 'nets']
    """
    return [word for name in options.imports for word in ("--import", name)]


def add_run_options(command: argparse.ArgumentParser, checkpoints: tuple[str, ...] = ("best", "last", "both")) -> None:
    command.add_argument("run", help="a run folder")
    command.add_argument("--checkpoint", choices=checkpoints, default="both")
    add_attack_steps(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    add_machine_options(command)


@contextmanager
def deferred_write_errors() -> Iterator[Callable[..., None]]:
    """Yield write(function, *arguments), whose OSError, of a read-only folder, say, is raised at the block's end.

    What was computed is printed in the block, whether or not it could be written.
    """
    failures = []

    def write(function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
        except OSError as error:
            failures.append(error)

    yield write
    if failures:
        raise failures[-1]


def open_checkpoints(options: argparse.Namespace) -> "list[Checkpoint]":
    """Return the checkpoints of a run that are asked for, with the images on which they are evaluated.

    A folder that is none is refused before torch is loaded.
    """
    from deep.recipe.recipe import read_recipe
    positive("--attack-steps", options.attack_steps)
    read_recipe(Path(options.run))
    from deep.experiments.checkpoint_evaluation import Checkpoint
    from deep.runs.fingerprint import data_for_evaluation
    from deep.runs.folder import RunFolder
    from deep.runs.results import checkpoint_names
    from deep.training.loop import load_data
    run = RunFolder(options.run)
    recipe = run.recipe()
    device = use_device(options.device, options.threads)
    data = data_for_evaluation(run, load_data(recipe, options.data)).to(device)
    names = {"both": ["best", "last"], "all": None}.get(options.checkpoint, [options.checkpoint])
    return [Checkpoint(run, recipe, data, device, name) for name in names or checkpoint_names(run)]


def print_status(status: dict[str, Any], separator: str) -> None:
    """Print a line of --list, from `deep.experiments.sweep.run_status`."""
    state, reason = status["state"], f": {status['reason']}" if status["reason"] else ""
    if state in ("partial", "in use", "failed"):
        state += f", epoch {status['epoch']} of {status['epochs']}"
    print(f"{status['run']}  {separator.join(status['changes'])}  {state}{reason}")
