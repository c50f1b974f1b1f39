"""What both command lines share: one sentence for bad words, and output that no name or encoding can spoil."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, NoReturn, TextIO, cast

__all__ = ["COMPLETION", "OneSentenceParser", "PrintAndExit", "PrintCompletion", "columns", "complain",
           "escaped_output", "flush_output", "printable"]

SHELLS = ("bash", "zsh", "tcsh")
COMPLETION = "print what makes a shell complete this command, and exit (extra completion)"


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""The text with control characters, and those that the encoding lacks, as Python escapes; lines and tabs stay.

    Names of files and classes are the choice of whoever made them: ESC and CR would control the terminal.

    >>> print(printable("\x1b[31mcat\r ± \udcff"), printable("±", "ascii"))
    \x1b[31mcat\r ± \udcff \xb1
    """
    text = "".join(char if char.isprintable() or char in "\n\t" else escape(char) for char in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def escape(char: str) -> str:
    r"""\x1b for ESC; DEL, the one such character that json.dumps leaves as it is, in the form that JSON has."""
    return r"\u007f" if char == "\x7f" else char.encode("unicode_escape").decode()


class Escaped:
    """A text stream to which `printable` text is written."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(printable(text, getattr(self.stream, "encoding", None) or "utf-8"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def escaped_output() -> Iterator[None]:
    """In the block, what is printed on standard output is printable.

    What cannot be written when the block ends goes nowhere, so that Python does not complain of it at its own end; who
    must know that all was written flushes before.
    """
    with redirect_stdout(cast(TextIO, sys.stdout and Escaped(sys.stdout))):  # None where there is no standard output
        try:
            yield
        finally:
            try:
                flush_output()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush_output() -> None:
    """Write what has been printed; OSError where that cannot be. Where there is no standard output, nothing."""
    if sys.stdout:
        sys.stdout.flush()


def columns() -> int | None:
    """Return the terminal's width; None where standard output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout and sys.stdout.isatty() else None


def complain(sentence: str) -> None:
    """Print a sentence, which may hold names, on standard error; where that is closed or full, the status tells."""
    with suppress(OSError, ValueError):
        print(printable(sentence), file=sys.stderr)


class OneSentenceParser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"{self.prog}: {message}; see {self.prog} --help.\n"))


class PrintAndExit(argparse.Action):
    """An option that prints line(PROGRAM), made only when it is asked for, and ends the program."""

    def __init__(self, option_strings: Sequence[str], dest: str, line: Callable[[str], str], **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)
        self.line = line

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(self.line(parser.prog))
        parser.exit()


class PrintCompletion(argparse.Action):
    """An option that prints a shell's completion of the whole command line, by shtab, and ends the program."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, choices=SHELLS, **options)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, shell: Any,
                 option: str | None = None) -> NoReturn:
        try:
            import shtab
        except ImportError:
            parser.error(f"--print-completion {shell} was given, but shtab is not installed: pip install shtab")
        print(shtab.complete(parser, shell))
        parser.exit()
