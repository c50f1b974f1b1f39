"""The command line of `deep`: its commands, and one sentence for whatever goes wrong."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType

from deep.cli import COMMANDS
from deep.cli.common import add_import_option
from deep.networks.registry import import_networks
from deep.system.device import memory_sentence
from deep.system.files import version_line
from deep.system.signals import Interrupted, Stop
from deep.system.terminal import (
    COMPLETION,
    OneSentenceParser,
    PrintAndExit,
    PrintCompletion,
    complain,
    escaped_output,
    flush_output,
)

__all__ = ["main"]


def parser() -> OneSentenceParser:
    top = OneSentenceParser(prog="deep", description="Adversarial training of networks, robust accuracy and CAS.")
    top.add_argument("--version", action=PrintAndExit, line=version_line, help="print version and commit, and exit")
    top.add_argument("--print-completion", action=PrintCompletion, help=COMPLETION)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    for each in commands.choices.values():
        add_import_option(each)
        each.set_defaults(page=each)  # whose --help an error points to
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    It is 0; 2 for input that is refused, with one sentence; 1 for a failed training; 128 + signal.
    """
    with escaped_output():
        return answered(arguments)


def answered(arguments: Sequence[str] | None) -> int:
    options, rest = parser().parse_known_args(arguments)
    # argparse loses key=value words that follow an option
    if options.command == "train":
        options.overrides += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in options.overrides]
    if rest:
        options.page.error(f"{' '.join(rest)} was not understood")
    command = next(command for command in COMMANDS if command.__name__.rpartition(".")[2] == options.command)
    continues = command.continues(options) if hasattr(command, "continues") else None
    status = 1
    with suppress(Interrupted), Stop(held=True):  # what ended the command is said, whatever signal comes meanwhile
        status = outcome(command, options, continues)
    return status


def outcome(command: ModuleType, options: argparse.Namespace, continues: str | None) -> int:
    """Run a command, say in a sentence what ended it, and return the exit status."""
    try:
        with Stop(f"deep {options.command}"):
            import_networks(options.imports)
            command.run(options)
            flush_output()
    except ValueError as error:
        complain(f"deep: {error}")
        return 2
    except FloatingPointError as error:
        complain(f"deep: {error}")
        return 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # the reader of a pipe, such as head, has seen enough
            complain(f"deep: {error.filename or 'the output'} cannot be read or written ({error.strerror}): choose "
                     "another place.")
        return 1
    except Interrupted as stop:
        complain(f"deep: {stop}; {continues or 'the same command begins again'}.")
        return stop.status
    except Exception as error:
        short = memory_sentence(error)
        status = 1 if short else getattr(error, "status", None)
        if status is None:
            raise
        complain(f"deep: {short or error}")
        return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
