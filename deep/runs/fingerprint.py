"""Whether images are those that a run was trained on, as its checkpoints remember them, and how others are named."""

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from deep.data.dataset import SPLITS, Data
from deep.runs.folder import RunFolder
from deep.system.messages import tell

__all__ = ["check_same_images", "data_for_evaluation", "differing_splits", "file_suffix", "recorded_class_names"]

OLD = "is of an older version and remembers its training images alone: whether the others are the same is not known."


def differing_splits(state: dict[str, Any], data: Data) -> list[str]:
    """Return the splits of `data` that differ from those a checkpoint's `state` remembers, in words.

    A checkpoint holds the digest of each split's pixels and labels. Older ones hold one of the training pixels and
    labels alone: of the other splits nothing is known then.

    >>> from deep.data.planted import planted_images
    >>> data, other = (planted_images(1, 1, 1, 9, 3, seed) for seed in (0, 1))
    >>> differing_splits({"data": data.fingerprint()}, replace(other, train=data.train))
    ['validation', 'test']
    """
    known = state.get("data")
    if isinstance(known, str):
        return [] if known == data.training_digest() else ["training"]
    known, own = known if isinstance(known, dict) else {}, data.fingerprint()
    return [word for name, word in SPLITS.items() if known.get(name) != own[name]]


def recorded_class_names(state: dict[str, Any], data: Data) -> list[str] | None:
    """Return the class names that a checkpoint's `state` remembers, where they are not those of `data`; else None."""
    names = state.get("classes")
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if known and names != list(data.classes) else None


def check_same_images(state: dict[str, Any], data: Data) -> None:
    """Raise ValueError unless `data` has the images and labels with which a checkpoint's training began."""
    others = differing_splits(state, data)
    if others:
        more = f", nor are the {' and the '.join(others[1:])} images" if others[1:] else ""
        raise ValueError(f"the {others[0]} images are not those that this run began with{more}: give it the same "
                         "--data, or choose another folder.")
    if isinstance(state["data"], str):
        tell(f"the checkpoint {OLD}")
    names = recorded_class_names(state, data)
    if names:
        tell(f"the classes were named {', '.join(names)} when this run began: the images are the same.")


def newest_state(run: RunFolder) -> dict[str, Any]:
    """Return the state of a run's newest checkpoint that can be read; {} where there is none."""
    for name in ("last", "best"):
        with suppress(ValueError):
            return run.model_state(name)
    return {}


def data_for_evaluation(run: RunFolder, data: Data) -> Data:
    """Return `data` to evaluate a run on: unchanged if it is the run's own, else named as not the run's own.

    What differs is said in a sentence: images or labels of a split, names of classes. Raises ValueError if the
    number of classes does.
    """
    state = newest_state(run)
    weights = state.get("model")  # a file that is none of a run's is refused where it is loaded
    last: Any = weights.get("linear.weight") if isinstance(weights, dict) else None
    if getattr(last, "ndim", 0) == 2 and len(last) != len(data.classes):
        raise ValueError(f"{run.path} tells {len(last)} classes apart, but {data.name} has {len(data.classes)}: pass "
                         "images of the run's own classes.")
    if state.get("data") is None:
        return data  # nothing is remembered: the best checkpoint of an older version, alone
    others = [f"{split} images" for split in differing_splits(state, data)]
    if recorded_class_names(state, data):
        others.append("class names")
    if isinstance(state["data"], str) and not others:
        tell(f"{run.path} {OLD}")
    if not others:
        return data
    told = json.dumps([data.fingerprint(), data.classes])
    digest = hashlib.sha256(told.encode()).hexdigest()[:8]
    tell(f"{data.name} has other {', '.join(others)} than {run.path}: the results are named apart from the run's own, "
        f"with {digest}.")
    return replace(data, name=f"{data.name}, not the run's own ({', '.join(others)}; {digest})",
                   provenance=data.provenance | {"not_the_runs": {"what": others, "digest": digest}})


def file_suffix(data: Data) -> str:
    """Return what file names say of images that are not the run's own: "-on-1a2b3c4d", of their digest; else ""."""
    other = data.provenance.get("not_the_runs")
    return f"-on-{other['digest']}" if other else ""
