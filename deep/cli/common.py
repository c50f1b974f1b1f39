"""What several commands share: options, the places of their files, and how a run stands."""

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from deep.cli.printing import say
from deep.system.reading import from_json

__all__ = ["ATTACK_STEPS", "Commands", "add_attack_steps", "add_data_sets_options", "add_device_options",
           "add_eps_option", "add_import_option", "add_machine_options", "import_words", "is_json_with", "is_png",
           "place", "print_status", "refuse_to_replace"]

ATTACK_STEPS = 20  # of PGD where a run is measured; what training writes of itself has the recipe's eval_steps
Commands = argparse._SubParsersAction  # what `add_subparsers` returns


def add_machine_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", help="folder or archive with the data set (default: $DEEP_DATA)")
    add_device_options(command)


def add_device_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def add_data_sets_options(command: argparse.ArgumentParser) -> None:
    """Add --data of a command that reads several data sets (`data_locations` takes its words), and the device."""
    command.add_argument("--data", action="append", default=[], metavar="[NAME=]DIR",
                         help="folder or archive with the data sets, or with the one called NAME (cifar10, cifar100, "
                              "tiny-imagenet); an image folder is given as cifar10; may be repeated (default: "
                              "$DEEP_DATA)")
    add_device_options(command)


def add_attack_steps(command: argparse.ArgumentParser) -> None:
    command.add_argument("--attack-steps", type=int, default=ATTACK_STEPS, metavar="N",
                         help=f"steps of the PGD that measures, of size eps/4 (default: {ATTACK_STEPS})")


def add_eps_option(command: argparse.ArgumentParser, text: str) -> None:
    """Add --eps, whose value `parse_eps` refuses where it is negative: argparse takes only -1 and -.1 for a value."""
    command.add_argument("--eps", metavar="E", help=text)
    command._negative_number_matcher = re.compile(r"-[\d.]")


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


def place(text: str, own: Callable[[Path], bool] | None = None) -> Path:
    """Return the path that --out names; ValueError unless its folder exists, and nothing is lost by writing there.

    own(path): as `refuse_to_replace` takes it; None: the command looks itself at what is there.

    >>> place("/nowhere/found.json")
    Traceback (most recent call last):
    ValueError: --out = /nowhere/found.json was given, but there is no folder /nowhere: make it first.
    """
    path = Path(text)
    if not path.parent.is_dir():
        raise ValueError(f"--out = {text} was given, but there is no folder {path.parent}: make it first.")
    if path.is_dir():
        raise ValueError(f"--out = {text} was given, but that is a folder: name a file in it.")
    if own is not None:
        refuse_to_replace(text, path, own)
    return path


def refuse_to_replace(text: str, path: Path, own: Callable[[Path], bool]) -> None:
    """Raise ValueError if a file is at `path` that is no result of the same command, such as what the command reads.

    text: what --out was given. own(path): whether the file there is such a result, by its content.
    """
    if path.is_file() and not own(path):
        raise ValueError(f"--out = {text} was given, but {path} is there, and no earlier result of this command: write "
                         "another name, or move it away.")


def is_json_with(*keys: str) -> Callable[[Path], bool]:
    """Return the test of a file: whether it is a JSON object that has all these keys."""
    def test(path: Path) -> bool:
        with suppress(OSError, ValueError), path.open("rb") as file:
            if file.read(1) == b"{":  # weights of gigabytes are not read on
                found = from_json(b"{" + file.read())
                return isinstance(found, dict) and found.keys() >= {*keys}
        return False
    return test


def is_png(path: Path) -> bool:
    """Return whether a file begins as a PNG does."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"
    return False


def print_status(status: dict[str, Any], separator: str) -> None:
    """Print a line of --list, from `deep.experiments.sweep.run_status`."""
    state, reason = status["state"], f": {status['reason']}" if status["reason"] else ""
    if state in ("partial", "in use", "failed"):
        state += f", epoch {status['epoch']} of {status['epochs']}"
    say(f"{status['run']}  {separator.join(status['changes'])}  {state}{reason}")
