"""What each part of the fast training step brings: the step without it, beside the whole, on a CPU.

`python -m figures.networks.step_parts OUT.json [--width 16] [--attack-steps 3] [--repeats 7] [--threads N]` times
the steps in turn, round by round, and writes each one's seconds an image and its ratio to the whole step of the same
round.
"""

from __future__ import annotations

import json
import statistics
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from torch.nn import functional as F

from deep.system.files import commit, write_text
from figures.scripts import command_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["PARTS", "main", "measured"]

# By name: changes to the recipe, and what is replaced while the step runs.
PARTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "the whole step": ([], {}),
    "batch norm not folded into the attacked network":
        ([], {"deep.networks.folding.Folded.supports": lambda model: False}),
    "batch norm and ReLU one after the other in the attack": ([], {
        "deep.networks.folding.absorb": lambda graph, layers: None,
        "deep.networks.folded_layers.AffineReLU": SimpleNamespace(
            apply=lambda x, a, b, zero, absorbed: F.relu(F.batch_norm(x, zero, zero, a, b, eps=1.0)))}),
    "sums and ReLU after the attack's convolutions":
        ([], {"deep.networks.folded_layers.fusable": lambda conv, dtype: False}),
    "4x4 convolutions by the library": ([], {"deep.networks.convolution.FEW": 0}),
    "contiguous in place of channels_last": (["channels_last=false"], {}),
    "float32 in place of bfloat16": (["bf16=false"], {}),
    "batches of 256": (["batch=256"], {}),
    "batches of 512": (["batch=512"], {}),
}


@contextmanager
def replaced(changes: dict[str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(mock.patch(name, value))
        yield


def prepared(words: Sequence[str]) -> tuple[Callable[[], Any], int]:
    """(step, images a step)."""
    from deep.recipe.recipe import recipe_named
    from deep.training.benchmark import own_step, random_data
    recipe = recipe_named("at", words)
    step, _ = own_step(recipe, random_data(2 * recipe.batch), "cpu")
    return step, recipe.batch


def measured(words: Sequence[str], repeats: int, least: float = 0.5) -> list[dict[str, Any]]:
    """For each of PARTS: seconds an image (median), and the ratios to the whole step, one a round."""
    steps = {}
    for name, (more, changes) in PARTS.items():
        with replaced(changes):
            step, batch = prepared([*words, *more])
            step()  # what is allocated at first is not counted
            begin = time.perf_counter()
            step()
            count = max(1, round(least / (time.perf_counter() - begin)))
        steps[name] = (step, batch, count, changes)
    times: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(repeats):
        for name, (step, batch, count, changes) in steps.items():
            with replaced(changes):
                begin = time.perf_counter()
                for _ in range(count):
                    step()
                times[name].append((time.perf_counter() - begin) / (count * batch))
    whole = times["the whole step"]
    return [{"step": name, "seconds_per_image": statistics.median(values),
             "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}}
            for name, values in times.items()
            for ratios in [[value / first for value, first in zip(values, whole, strict=True)]]]


def main(arguments: Sequence[str] | None = None) -> None:
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.json", type=Path, help="the file to write")
    for name, default in (("width", 16), ("attack-steps", 3), ("repeats", 7), ("threads", None)):
        words.add_argument(f"--{name}", type=int, default=default)
    options = words.parse_args(arguments)
    import torch

    from deep.system.device import use_device
    use_device("cpu", options.threads)
    rows = measured([f"width={options.width}", f"steps={options.attack_steps}"], options.repeats)
    result = {"command": f"python -m figures.networks.step_parts --width {options.width} "
                         f"--attack-steps {options.attack_steps} "
                         f"--repeats {options.repeats}", "commit": commit(), "threads": torch.get_num_threads(),
              "torch": torch.__version__, "repeats": options.repeats, "width": options.width, "rows": rows}
    write_text(options.out, json.dumps(result, indent=1) + "\n")
    for row in rows:
        ratio = row["ratio"]
        print(f"{row['step']:55} {1e3 * row['seconds_per_image']:7.3f} ms an image, "
              f"{ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}] of the whole")


if __name__ == "__main__":
    main()
