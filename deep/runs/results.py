"""What is measured of a run's checkpoints, one line each, so that nothing is measured twice: RUN/cas.jsonl."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep.recipe.recipe import kept_name
from deep.runs.folder import RunFolder
from deep.system.files import write_text
from deep.system.lock import Lock
from deep.system.reading import from_json

__all__ = ["checkpoint_names", "course_of", "find_result", "read_results", "weights_digest", "write_result"]


def checkpoint_names(run: RunFolder) -> list[str]:
    """Return the names of all checkpoints of a `RunFolder`, for `model_state`: those kept by epoch, then best and last.

    Kept are the files checkpoints/epoch-NNNN.pt. ValueError if the run has none at all.
    """
    kept = sorted((run.path / "checkpoints").glob("epoch-*.pt"), key=lambda path: (len(path.stem), path.stem))
    names = [f"checkpoints/{path.stem}" for path in kept]
    names += [name for name in ("best", "last") if (run.path / f"{name}.pt").exists()]
    if not names:
        raise ValueError(f"{run.path} has no checkpoint: train it to its first evaluated epoch.")
    return names


def weights_digest(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict: the same weights under another name are known again.

    >>> one, two = ({"w": torch.tensor([value])} for value in (1.0, 2.0))
    >>> weights_digest(one) == weights_digest({"w": torch.ones(1)}), weights_digest(one) == weights_digest(two)
    (True, False)
    """
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def course_of(run: RunFolder) -> str | None:
    """What tells two trainings of one recipe apart, if they part before their first kept checkpoint: its digest.

    Of a run that began from another one's checkpoint it is that one's, from branch.json. None before there is any.
    """
    branch = run.path / "branch.json"
    if branch.exists():
        return from_json(branch.read_text()).get("course")
    kept = run.kept_epochs()
    return weights_digest(run.model_state(kept_name(kept[0]))["model"])[:12] if kept else None


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a .jsonl file as dictionaries, none if there is no file; ValueError names a damaged one."""
    if not path.exists():
        return []
    try:
        lines = [from_json(line) for line in path.read_text().splitlines()]
    except ValueError:
        lines = [None]
    if not all(isinstance(line, dict) and {"epoch", "checkpoint"} <= line.keys() for line in lines):
        raise ValueError(f"{path} is damaged: remove it, and what it held is measured again.")
    return lines


def find_result(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first line of `path` that agrees with all of `identity`, or None."""
    return next((line for line in read_results(path) if identity.items() <= line.items()), None)


def write_result(path: Path, line: dict[str, Any], keys: Sequence[str]) -> None:
    """Put `line` into `path`, in place of a line with the same values of `keys`, in order of epochs.

    Several processes may do so at once: each holds a lock while it reads and renames.
    """
    with Lock(path.with_name(path.name + ".lock")):
        others = [old for old in read_results(path) if any(old.get(key) != line[key] for key in keys)]
        lines = sorted([*others, line], key=lambda one: (one["epoch"], one["checkpoint"]))
        write_text(path, "".join(json.dumps(one) + "\n" for one in lines))
