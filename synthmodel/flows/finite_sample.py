"""Learned, then forgotten, in a finite sample: what label smoothing, distillation and surgery say (claim D3).

`python -m synthmodel.flows.finite_sample OUT.json` trains every setting on every seed and writes all of it;
`python -m figures.theory.finite_sample` draws the committed file.

Nothing is selected on the population: early stopping, and the teacher it gives, use a fresh validation sample.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthmodel.flows import linear_training as linear
from synthmodel.flows.linear_training import descend, distilled, draw, one_hot, robust_accuracy, sample_accuracy
from synthmodel.system.files import commit, write_text
from synthmodel.system.terminal import OneSentenceParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jaxtyping import Bool, Float, Int, Shaped
    from numpy.typing import ArrayLike

    from synthmodel.flows.linear_training import Inputs, Targets, Weights

    Values = Float[np.ndarray, "..."]
    Series = dict[str, Shaped[np.ndarray, "seeds"]]  # numbers of one setting

__all__ = ["experiment", "parts", "settings", "summary", "transplanted", "without_noise"]

PER_CLASS, NOISE_DIMS, VALIDATION = 30, 100, 100  # training and validation inputs are counted per class
STEPS = sorted({round(step) for step in np.geomspace(1, 3000, 36)})  # the recorded ones
SMOOTHINGS = (0.1, 0.2, 0.3, 0.4, 0.5)
SEEDS = tuple(range(30))
CENTRED = np.eye(3) - 1 / 3


def parts(weights: Weights) -> tuple[Values, Values, Values, Values]:
    """w1, w2, noise and share, each (...), of weights (..., 3, D), rows centred.

    W = [w1 (I - J/3) | -w2 (I - J/3) | 0] + rest (T1-W), w1 and w2 by projection; |W|_F^2 = 2 (w1^2 + w2^2) +
    |rest|^2, so noise = |rest|_F/sqrt(2) and share = w2/sqrt(w1^2 + w2^2 + noise^2).

    >>> w1, w2, noise, share = parts(np.hstack([2 * np.eye(3), 1 - np.eye(3), np.zeros((3, 5))]))
    >>> round(float(w1), 6), round(float(w2), 6), round(float(noise), 6), round(float(share ** 2), 6)
    (2.0, 1.0, 0.0, 0.2)
    """
    centred = weights - weights.mean(-2, keepdims=True)
    w1 = np.sum(centred[..., :3] * CENTRED, (-2, -1)) / 2
    w2 = -np.sum(centred[..., 3:6] * CENTRED, (-2, -1)) / 2
    total = np.sum(centred ** 2, (-2, -1)) / 2
    return w1, w2, np.sqrt(np.maximum(total - w1 ** 2 - w2 ** 2, 0)), w2 / np.sqrt(total)


def without_noise(weights: Weights) -> Weights:
    """The weights with the block of the noise coordinates set to 0."""
    return np.concatenate([weights[..., :6], np.zeros_like(weights[..., 6:])], -1)


def transplanted(final: Weights, early: Weights) -> Weights:
    """`final` with the signal block of `early`, scaled to the norm that the block of `final` has.

    The scale matters: weights grow for ever, and a small early block beside large final noise would lose by size
    alone. (..., 3, D) both.

    >>> final, early = np.full((3, 8), 2.0), np.full((3, 8), 1.0)
    >>> bool((transplanted(final, early) == final).all())
    True
    """
    size = [np.linalg.norm(w[..., :6], axis=(-2, -1), keepdims=True) for w in (final, early)]
    return np.concatenate([early[..., :6] * (size[0] / size[1]), final[..., 6:]], -1)


def rounded(values: float | Values) -> Any:
    return np.round(values, 4).tolist()


def settings(smoothings: Iterable[float] = SMOOTHINGS) -> dict[str, Callable[[Inputs, Any], Targets]]:
    """Every setting that is run: name -> targets(x, teacher).

    Hard labels come first, because their early-stopped weights are the teacher.

    >>> list(settings([0.3]))
    ['hard', 'smoothed 0.3', 'distilled clean', 'distilled adversarial']
    """
    return ({"hard": lambda x, teacher: one_hot(0.0)}
            | {f"smoothed {b}": lambda x, teacher, b=b: one_hot(b) for b in smoothings}
            | {"distilled clean": lambda x, teacher: distilled(teacher, clean=x),
               "distilled adversarial": lambda x, teacher: distilled(teacher)})


def surgeries(history: Weights, stopped: Int[np.ndarray, "seeds"]) -> dict[str, list[float]]:
    """Accuracies (S,) after each operation on the hard-label weights: name -> list over seeds.

    history (T, S, 3, D); stopped (S,): index of the early stop. `peak` is where the share of w2 is largest.
    """
    seeds = np.arange(history.shape[1])
    final, early = history[-1], history[stopped, seeds]
    peak = history[parts(history)[3].argmax(0), seeds]
    operations = {
        "early": early, "final": final, "final, noise zeroed": without_noise(final),
        "early, noise zeroed": without_noise(early), "final, signal of early": transplanted(final, early),
        "final, signal of peak": transplanted(final, peak)}
    return {name: rounded(robust_accuracy(weights)) for name, weights in operations.items()}


def best_ratio() -> float:
    """The ratio w2/w1 of the highest robust accuracy where no coordinate is noise, on a grid of step .005.

    >>> best_ratio()
    0.21
    """
    ratios = np.arange(0.005, 1.5, 0.005)[:, None, None]
    accuracy = robust_accuracy(np.concatenate([CENTRED + 0 * ratios, -ratios * CENTRED], -1))
    return round(float(ratios[accuracy.argmax(), 0, 0]), 3)


def experiment(seeds: Sequence[int] = SEEDS, steps: Sequence[int] = STEPS, smoothings: Sequence[float] = SMOOTHINGS,
               progress: Callable[[str], None] = lambda name: None) -> dict[str, Any]:
    """Train every setting on every seed; a dictionary of plain numbers, as written to the JSON file.

    runs[setting]: for each seed the step of the validation's best (`stopped`), population robust accuracy and share
    of w2 (`parts`) at the recorded steps, and the last ratio w2/w1. train: robust accuracy on the training inputs,
    hard labels. surgery: `surgeries`.

    >>> result = experiment(seeds=[0], steps=[1, 30], smoothings=[0.3])
    >>> sorted(result["runs"]["hard"])
    ['accuracy', 'ratio_end', 'share', 'stopped']
    """
    draws, rows = [np.random.default_rng(seed) for seed in seeds], np.arange(len(seeds))
    x, validation = (np.stack([draw(size, NOISE_DIMS, rng) for rng in draws]) for size in (PER_CLASS, VALIDATION))
    runs, teacher, hard = {}, None, {}
    for name, targets in settings(smoothings).items():
        progress(name)
        history = descend(x, targets(x, teacher), steps)
        stopped = sample_accuracy(history, validation).argmax(0)  # the earliest of the best
        w1, w2, _, share = parts(history)
        runs[name] = {"stopped": np.array(steps)[stopped].tolist(), "ratio_end": rounded(w2[-1] / w1[-1]),
                      "accuracy": rounded(robust_accuracy(history).T), "share": rounded(share.T)}
        if name == "hard":
            teacher = history[stopped, rows]
            hard = {"train": rounded(sample_accuracy(history, x).T), "surgery": surgeries(history, stopped)}
    result = {"seeds": list(seeds), "steps": list(steps), "settings_tried": len(runs), "per_class": PER_CLASS,
              "noise_dims": NOISE_DIMS, "validation_per_class": VALIDATION, "mu": linear.MU, "eps": linear.EPS,
              "s_E": linear.S_E, "s_C": linear.S_C, "s_noise": linear.S_NOISE, "rate": linear.RATE,
              "momentum": linear.MOMENTUM, "best_ratio": best_ratio(), "runs": runs, **hard}
    return result | {"summary": summary(result)}


def over_seeds(values: ArrayLike) -> dict[str, float]:
    values = np.array(values)
    return {"mean": rounded(values.mean()), "min": rounded(values.min()), "max": rounded(values.max())}


def measures(run: Mapping[str, Any], steps: Sequence[int]) -> Series:
    """Numbers of one setting, each (S,): nothing is chosen by `highest`, it only describes the curve.

    fall: highest accuracy - last; forgetting: largest share - last; *_at: index of the step where it is reached.
    """
    accuracy, share = np.array(run["accuracy"]), np.array(run["share"])
    stop = np.searchsorted(steps, run["stopped"])
    return {"highest": accuracy.max(1), "highest_at": accuracy.argmax(1),
            "stopped": accuracy[np.arange(len(stop)), stop], "end": accuracy[:, -1],
            "fall": accuracy.max(1) - accuracy[:, -1], "share_peak": share.max(1), "share_peak_at": share.argmax(1),
            "share_end": share[:, -1], "forgetting": share.max(1) - share[:, -1],
            "ratio_end": np.array(run["ratio_end"])}


def statements(by_setting: dict[str, Series], surgery: Series, last: int) -> dict[str, Bool[np.ndarray, "seeds"]]:
    """What D3 says, each as an array (S,) of truth values; last: the index of the last recorded step."""
    hard = by_setting["hard"]
    said = {"the share of w2 rises, then falls": (hard["share_peak_at"] > 0) & (hard["share_peak_at"] < last),
            "robust accuracy rises, then falls": (hard["highest_at"] > 0) & (hard["highest_at"] < last),
            "the share peaks before the accuracy": hard["share_peak_at"] < hard["highest_at"]}
    for name, run in by_setting.items():
        if name != "hard":
            said |= {f"{name}: smaller fall than hard labels": run["fall"] < hard["fall"],
                     f"{name}: higher final accuracy than hard labels": run["end"] > hard["end"],
                     f"{name}: stronger forgetting than hard labels": run["forgetting"] > hard["forgetting"]}
    end, early = surgery["final"], surgery["early"]
    return said | {
        "zeroing the noise block lifts the end above the early stop": surgery["final, noise zeroed"] > early,
        "without noise the final signal block beats the early one":
            surgery["final, noise zeroed"] > surgery["early, noise zeroed"],
        "the early signal block does not bring the early accuracy back": surgery["final, signal of early"] < early,
        "the early signal block lowers the final accuracy": surgery["final, signal of early"] < end,
        "the signal block of the largest share lowers the final accuracy": surgery["final, signal of peak"] < end}


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Means and ranges over seeds, and in how many seeds each statement of D3 holds, from the series alone.

    >>> result = experiment(seeds=[0, 1], steps=[1, 30], smoothings=[])
    >>> summary(result)["holds_in_seeds"]["distilled clean: stronger forgetting than hard labels"] <= 2
    True
    """
    by_setting = {name: measures(run, result["steps"]) for name, run in result["runs"].items()}
    surgery = {key: np.array(value) for key, value in result["surgery"].items()}
    rows = {name: {key: over_seeds(value) for key, value in run.items() if not key.endswith("_at")}
            for name, run in by_setting.items()}
    said = statements(by_setting, surgery, len(result["steps"]) - 1)
    return {"rows": rows, "surgery": {key: over_seeds(value) for key, value in surgery.items()},
            "seeds": len(result["seeds"]), "holds_in_seeds": {key: int(value.sum()) for key, value in said.items()}}


SOURCES = [Path(linear.__file__), Path(__file__)]


def provenance() -> dict[str, Any]:
    """Commit ("+": files changed since), the sources and their joint hash, as that commit has them; versions."""
    return {"command": "python -m synthmodel.flows.finite_sample", "commit": commit(),
            "sources": [f"synthmodel/flows/{path.name}" for path in SOURCES],
            "source_sha256": hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest(),
            "python": platform.python_version(), "numpy": np.__version__}


def main(arguments: Sequence[str] | None = None) -> None:
    words = OneSentenceParser(prog="python -m synthmodel.flows.finite_sample", description=__doc__)
    words.add_argument("out", metavar="OUT.json", help="the file to write")
    out = words.parse_args(arguments).out
    if not out.endswith(".json"):
        words.error(f"{out} was given, but the file to write is OUT.json")
    began = time.perf_counter()
    result = experiment(progress=lambda name: print(f"{time.perf_counter() - began:6.1f} s  {name}", flush=True))
    made = provenance() | {"seconds": round(time.perf_counter() - began, 1)}
    write_text(out, json.dumps(result | {"provenance": made}) + "\n")
    for statement, seeds in result["summary"]["holds_in_seeds"].items():
        print(f"{seeds:3d} of {len(SEEDS)} seeds: {statement}")


if __name__ == "__main__":
    main()
