"""Progress bars (rich); plain lines, one an epoch, where the output is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from deep.system.messages import LossyStream

__all__ = ["bar", "stages", "training_progress"]

EVERY = 30  # seconds from line to line of what takes long, where there is no terminal


def console() -> Console:
    return Console(file=cast(TextIO, LossyStream(sys.stderr)))


def columns() -> tuple[ProgressColumn, ...]:
    """Return what stands in a line of at most 60 characters; "?" is a total that is not known yet."""
    return TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn(), TimeRemainingColumn()


class NotedProgress(Progress):
    """A bar, and below it the note of its task, folded where the terminal is narrow, so that no word of it is lost."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(task.fields["note"]) for task in self.tasks if task.fields["note"])


@contextmanager
def bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield advance(n), which moves a bar on standard error; where that is no terminal, a line each half minute."""
    output = console()
    with Progress(*columns(), console=output, disable=not output.is_terminal) as shown:
        task, done, told = shown.add_task(description, total=total), 0, time.monotonic()

        def advance(n: int) -> None:
            nonlocal done, told
            shown.advance(task, n)
            done += n
            if not output.is_terminal and time.monotonic() - told >= EVERY:
                told = time.monotonic()
                output.print(f"{description}  {done}/{total}", soft_wrap=True)

        yield advance


@contextmanager
def stages(total: int) -> Iterator[Callable[[str], None]]:
    """Yield begin(what), called as each of `total` stages begins: a bar on standard error, a line where none can be."""
    output = console()
    with Progress(*columns(), console=output, disable=not output.is_terminal) as shown:
        task, begun = shown.add_task("", total=total), 0

        def begin(what: str) -> None:
            nonlocal begun
            shown.update(task, description=what, completed=begun)
            begun += 1
            if not output.is_terminal:
                output.print(f"{begun}/{total}  {what}", soft_wrap=True)

        yield begin


def epoch_note(history: list[dict[str, Any]]) -> str:
    """Return the last epoch in words, short enough for a terminal, with the last evaluation there was."""
    line = history[-1]
    rate = line["images_per_second"]
    note = "" if rate is None else f"{rate:.0f} images/s  "
    note += f"loss {line['train_loss']:.3f}  robust: train {100 * line['train_robust']:.1f} %"
    if "catastrophic" in line:
        note += (f"  probe: own attack {100 * line['probe_training_attack']:.1f} %, PGD {100 * line['probe_pgd']:.1f} %"
                 + (", catastrophic overfitting" if line["catastrophic"] else ""))
    evaluated = next((line for line in reversed(history) if "robust" in line), None)
    if evaluated:
        if "val_robust" in line:
            note += f", validation {100 * line['val_robust']:.1f} %"
        when = "" if evaluated is line else f" (epoch {evaluated['epoch']})"
        note += (f", test{when} {100 * evaluated['robust']:.1f} %  clean {100 * evaluated['clean']:.1f} %  "
                 f"CAS {evaluated['cas']:.2f}")
    return note


@contextmanager
def training_progress(recipe: Any) -> Iterator[Callable[[Any], None]]:
    """Yield progress(training) for `training.loop.train`: epoch, loss, accuracies, images per second, time left."""
    output = console()
    began = time.perf_counter()
    with NotedProgress(*columns(), console=output, disable=not output.is_terminal) as shown:
        task = shown.add_task(f"epoch 1/{recipe.epochs}", total=None, note="")
        seen: int | None = None

        def progress(training: Any) -> None:
            nonlocal seen
            done = training.epoch * training.batches + training.step
            note = epoch_note(training.history) if training.history else ""
            shown.update(task, total=recipe.epochs * training.batches, completed=done, note=note,
                         description=f"epoch {min(training.epoch + 1, recipe.epochs)}/{recipe.epochs}")
            if training.step == 0 and training.epoch != seen and not output.is_terminal:
                seconds = time.perf_counter() - began
                output.print(f"epoch {training.epoch}/{recipe.epochs}  {note}  {seconds:.0f} s", soft_wrap=True)
            seen = training.epoch

        yield progress
