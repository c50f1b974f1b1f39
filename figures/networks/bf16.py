"""What bfloat16 costs in robust accuracy: the same recipe with and without it, on the same seeds.

`python -m figures.networks.bf16 OUT.json [key=value ...]` trains `at-cpu` with each of SEEDS seeds, in bfloat16 and in
float32 (runs that are finished are read, unfinished ones continued), attacks both with PGD-20 in float32, and writes
the accuracies and their paired differences. Options: --seeds 3 --runs runs --data DIR --threads N.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.stats import t

from deep.system.files import commit, write_text
from figures.scripts import command_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compare", "main", "paired"]

RECIPE = ["train_size=2000", "epochs=30", "eval_every=30"]


def paired(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Differences first - second, their mean, deviation and 95 % interval (Student's t, of the pairs).

    >>> paired([3.0, 5.0], [2.0, 3.0])["mean"]
    1.5
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, mean = len(differences), statistics.mean(differences)
    if n < 2:
        raise ValueError(f"{n} pair was given, but a spread needs at least 2: use more seeds.")
    deviation = statistics.stdev(differences)
    half = float(t.ppf(0.975, n - 1)) * deviation / n**0.5
    return {"differences": differences, "mean": mean, "deviation": deviation, "interval": [mean - half, mean + half],
            "n": n}


def compare(overrides: Sequence[str], seeds: int, runs: str | Path, folder: str | None = None) -> dict[str, Any]:
    """Accuracies of both arithmetics on each seed, and bfloat16 minus float32 in pairs; see the module."""
    from deep.evaluation.accuracy import accuracy, evaluation_attack, measure
    from deep.recipe.recipe import recipe_named
    from deep.runs.network import load_network
    from deep.training.loop import load_data, train
    found: dict[tuple[str, str], list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for bf16 in ("true", "false"):
        for seed in range(seeds):
            recipe = recipe_named("at-cpu", [*RECIPE, *overrides, f"bf16={bf16}", f"seed={seed}"])
            data = load_data(recipe, folder)
            run = train(recipe, data, runs)
            outcome = measure(load_network(run, data, "last"), data.test, evaluation_attack(recipe, data.box), seed=0)
            for kind in ("robust", "clean"):
                found.setdefault((kind, bf16), []).append(accuracy(getattr(outcome, kind))["value"])
            seconds.setdefault(bf16, []).append(sum(line["seconds"] for line in run.metrics()))
    values = {key: value for key, value in recipe.as_dict().items() if key not in ("bf16", "seed")}
    return {"recipe": values, "data": data.name, "n_test": len(data.test), "checkpoint": "last", "commit": commit(),
            "seeds": list(range(seeds)),
            "training_seconds": {"bfloat16": seconds["true"], "float32": seconds["false"]},
            **{kind: {"bfloat16": found[kind, "true"], "float32": found[kind, "false"],
                      "difference": paired(found[kind, "true"], found[kind, "false"])} for kind in ("robust", "clean")}}


def main(arguments: Sequence[str] | None = None) -> None:
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.json", type=Path, help="the file to write")
    words.add_argument("overrides", nargs="*", metavar="key=value")
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--runs", default="runs")
    words.add_argument("--data")
    words.add_argument("--threads", type=int)
    options = words.parse_intermixed_args(arguments)
    from deep.system.device import use_device
    use_device("cpu", options.threads)
    result = compare(options.overrides, options.seeds, options.runs, options.data)
    write_text(options.out, json.dumps(result, indent=1) + "\n")
    for kind in ("robust", "clean"):
        difference = result[kind]["difference"]
        low, high = (100 * bound for bound in difference["interval"])
        print(f"{kind}: bfloat16 - float32 = {100 * difference['mean']:+.2f} points, deviation "
              f"{100 * difference['deviation']:.2f}, 95 % interval {low:+.2f} to {high:+.2f} (n = {difference['n']} "
              f"seeds, {result['n_test']} test images, {result['data']})")


if __name__ == "__main__":
    main()
