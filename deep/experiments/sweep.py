"""A sweep: one TOML file that stands for many runs, which any number of processes may work on.

    recipe = "at-cpu"             # any recipe of deep.recipe.recipe
    [set]                         # for every run
    epochs = 10
    [grid]                        # every combination
    eps = ["4/255", "8/255"]
    seed = [0, 1, 2]
    [[run]]                       # further runs, each with its own changes
    steps = 3

Without [grid] the runs are those of [[run]], and without either there is one, that of [set].
What the processes share is the run folders alone: the lock of each says who trains it, its metrics whether it is
finished, and failed.json why it failed. A worker may therefore come, be killed, or be joined by others at any time.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.recipe.recipe import HINTS, Recipe, recipe_named, run_name
from deep.recipe.values import from_plain, to_word
from deep.system.device import memory_sentence
from deep.system.reading import from_json, from_toml

if TYPE_CHECKING:
    from deep.runs.folder import RunFolder

__all__ = ["Run", "clear_failures", "read_sweep", "run_status", "train_remaining", "train_run"]

MOST = 10_000  # runs; more is a slip of the pen


@dataclass(frozen=True)
class Run:
    """One run of a sweep: its recipe, and the `key=value` words by which it differs from [set]."""

    words: tuple[str, ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        return run_name(self.recipe)


def read_sweep(path: str | Path) -> list[Run]:
    """Return the runs of a sweep file, in its order: the grid with its last key fastest, then each [[run]].

    Raises ValueError in one sentence that names the file and the key: unknown tables and keys, values that no recipe
    has, an empty list, a key in both [set] and [grid], two runs of the same recipe.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "sweep.toml")
    ...     _ = file.write_text('recipe = "at"\\n[grid]\\neps = ["4/255", "8/255"]\\nseed = [0, 1]')
    ...     [run.words for run in read_sweep(file)]
    [('eps=4/255', 'seed=0'), ('eps=4/255', 'seed=1'), ('eps=8/255', 'seed=0'), ('eps=8/255', 'seed=1')]
    """
    try:
        values = from_toml(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ValueError(f"{path} is not a readable TOML file ({reason}): write one such as "
                         'recipe = "at-cpu" and [grid] seed = [0, 1].') from None
    try:
        return expand(values)
    except ValueError as error:
        raise ValueError(f"in {path}: {error}") from None


def expand(values: dict[str, Any]) -> list[Run]:
    """Return the runs of a sweep file's values."""
    check_shapes(values)
    fixed, grid, further = (values.get(key, {}) for key in ("set", "grid", "run"))
    for key in grid:
        if key in fixed:
            raise ValueError(f"{key} was given in both [set] and [grid]: leave it in one of them.")
    lists = [grid_overrides(key, options) for key, options in grid.items()]
    if prod(map(len, lists)) + len(further) > MOST:
        raise ValueError(f"{prod(map(len, lists)) + len(further)} runs were given, but a sweep has at most {MOST}: "
                         "split it.")
    changes = list(product(*lists)) if grid or not further else []
    changes += [tuple(override(key, value) for key, value in one.items()) for one in further]
    common = [override(key, value) for key, value in fixed.items()]
    runs: dict[str, Run] = {}
    for change in changes:
        run = Run(change, recipe_named(values["recipe"], [*common, *change]))
        if run.name in runs:
            first, second = (" ".join(words) or "that of [set]" for words in (runs[run.name].words, run.words))
            raise ValueError(f"the runs ({first}) and ({second}) were given, but they are of one recipe: leave one of "
                             "them out.")
        runs[run.name] = run
    return list(runs.values())


def check_shapes(values: dict[str, Any]) -> None:
    """Raise ValueError unless there is a recipe's name and, besides, nothing but the tables of a sweep."""
    for key, value in values.items():
        if key not in ("recipe", "set", "grid", "run"):
            raise ValueError(f"the key {key} was given, but a sweep has recipe, [set], [grid] and [[run]]: put a "
                             "recipe's keys into one of these.")
        tables = value if key == "run" and isinstance(value, list) else [value]
        wanted = str if key == "recipe" else dict
        if not all(isinstance(table, wanted) for table in tables) or (key == "run" and tables is not value):
            form = {"recipe": "the name of a recipe", "run": "tables headed [[run]]"}.get(key, f"a table [{key}]")
            raise ValueError(f"{key} = {value!r} was given, but it must be {form}: write it so.")
    if "recipe" not in values:
        raise ValueError('no recipe was given: write recipe = "at-cpu", or another name, above the tables.')


def grid_overrides(key: str, options: Any) -> list[str]:
    """Return the `key=value` words of one line of [grid]."""
    if not isinstance(options, list) or not options:
        raise ValueError(f"{key} = {options!r} was given in [grid], but it must be a list of one value or more: "
                         f"write {key} = [...], or put it into [set].")
    return [override(key, value) for value in options]


def override(key: str, value: Any) -> str:
    """Return the `key=value` word of a TOML value; a list is a recipe's list, as in drops = ["1/2", "3/4"].

    >>> override("flip", True), override("drops", ["1/2", "3/4"]), override("lr", 1e-3)
    ('flip=true', 'drops=1/2,3/4', 'lr=0.001')
    """
    parts = value if isinstance(value, list) and key == "drops" else [value]
    if not all(isinstance(part, str | int | float) for part in parts):
        raise ValueError(f"{key} = {value!r} was given, but a recipe's values are texts, numbers, true and false: "
                         "write such a value.")
    if key in HINTS and not isinstance(value, str):  # texts are those of a command line
        from_plain(key, value, HINTS[key])
    return f"{key}={to_word(tuple(parts))}"


def failure_reason(folder: "RunFolder") -> str | None:
    """Return why the last attempt at a run failed, or None."""
    path = folder.path / "failed.json"
    if not path.exists():
        return None
    try:
        return str(from_json(path.read_text())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path} cannot be read"


def epochs_done(folder: "RunFolder") -> int:
    """Return the number of epochs in a run's metrics, which are written after the checkpoint that they come from."""
    try:
        return int(folder.metrics()[-1]["epoch"]) if (folder.path / "last.pt").exists() else 0
    except (OSError, ValueError, LookupError, TypeError):
        return 0  # none written, or damaged: the training writes them anew


def run_status(run: Run, out: str | Path) -> dict[str, Any]:
    """Return how one run stands, as plain values: its state is finished, in use, failed, partial or not begun."""
    from deep.runs.folder import RunFolder
    folder = RunFolder(Path(out) / run.name)
    epoch, reason = epochs_done(folder), failure_reason(folder)
    cut = None
    if epoch == run.recipe.epochs and folder.last_is_cut():
        cut = f"{folder.path / 'last.pt'} is cut, so its last epoch is trained again"
    state = ("finished" if epoch == run.recipe.epochs and not cut else "in use" if folder.in_use() else
             "failed" if reason else "partial" if epoch else "not begun")
    return {"run": run.name, "changes": list(run.words), "state": state, "epoch": epoch, "epochs": run.recipe.epochs,
            "reason": reason if state == "failed" else cut if state == "partial" else None}


def clear_failures(runs: Iterable[Run], out: str | Path) -> None:
    """Forget why runs failed, so that a sweep that is started again tries them again."""
    for run in runs:
        with suppress(OSError):
            (Path(out) / run.name / "failed.json").unlink()


def train_run(run: Run, out: str | Path, data: str | None = None, device: str = "cpu",
              progress: Callable[[Any], None] | None = None) -> tuple[str, str | None]:
    """Train one run, or continue it: ("finished", None), ("failed", reason) or ("in use", None), by another process.

    data: the folder of the images. A failure of whatever kind is written to failed.json in the run folder, with the
    traceback, and is not raised. `Interrupted` is, which is no failure: the signal is meant for the sweep.
    """
    from deep.runs.folder import InUse, RunFolder
    from deep.training.loop import load_data, train
    folder = RunFolder(Path(out) / run.name)
    try:
        train(run.recipe, load_data(run.recipe, data), out, device=device, progress=progress)
    except InUse:
        return "in use", None
    except Exception as error:
        reason = memory_sentence(error) or str(error) or type(error).__name__
        with suppress(OSError):  # the disk may be what failed
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.write_json("failed.json", {"reason": reason, "error": type(error).__name__,
                                              "traceback": traceback.format_exc()})
        return "failed", reason
    clear_failures([run], out)
    return "finished", None


def train_remaining(runs: Sequence[Run], out: str | Path, train: Callable[[Run], str], pause: float = 1.0) -> None:
    """Train each run that is neither finished nor failed; those of other processes are looked at again at the end.

    train(run) -> the state, as `train_run` has it. Returns when every run is finished or has failed, here or
    elsewhere: a run whose process was killed is continued by whoever comes by.
    """
    left = list(runs)
    while left:
        others = []
        for run in left:
            state = run_status(run, out)["state"]
            if state in ("partial", "not begun"):
                state = train(run)
            if state == "in use":
                others.append(run)
        left = others
        if left:
            time.sleep(pause)
