"""A file of weights that somebody else wrote: the state dict in it, and nothing of it is run."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep.runs.checkpoint import check_archive

__all__ = ["read_weights", "state_dicts"]

DEEPEST = 8  # a dictionary may hold itself
ADVICE = "where the network is, write torch.save(network.state_dict(), FILE), and pass that file"


def read_weights(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """Return the state dict in a file: of torch, of whatever version, or of safetensors, by the name's ending.

    It may lie anywhere inside other dictionaries, as under `state_dict`, `model` or `ema.shadow`; key: which one, where
    there are several. ValueError: no file, one that is damaged, or a pickled module or another object, whose code
    torch would have to run; no state dict, or several and no key.
    """
    path = Path(path)
    content = read_safetensors(path) if path.suffix == ".safetensors" else unpickled(path)
    found = state_dicts(content)
    if not found:
        raise ValueError(f"{path} was given, but it holds no state dict, the dictionary of names and tensors that is a "
                         f"network's: {ADVICE}.")
    if key is None and len(found) > 1:
        raise ValueError(f"{path} was given, but it holds {len(found)} state dicts, {', '.join(found)}: choose one by "
                         f"--key {next(iter(found))}, say.")
    if key is not None and key not in found:
        raise ValueError(f"--key {key} was given, but {path} has a state dict under {', '.join(map(repr, found))}: "
                         "choose such a key.")
    return found[next(iter(found)) if key is None else key]


def unpickled(path: Path) -> Any:
    """Return what torch finds in a file when it makes tensors and plain containers only."""
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                check_archive(file)
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"{path} was given, but it cannot be read ({error.strerror or error}): pass a file of "
                         "weights.") from None
    except pickle.UnpicklingError as error:
        other = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds an object of {other[1]}, not tensors alone, and opening it would run code" if other else (
            "it is no file of torch, or a damaged one")
        raise ValueError(f"{path} was given, but {what}: {ADVICE}.") from None
    except Exception as error:  # torch reports damage with half a dozen exception types
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        raise ValueError(f"{path} was given, but it is no file of weights, or a damaged one ({type(error).__name__}: "
                         f"{reason}): {ADVICE}.") from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of safetensors; ValueError without its package."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(f"{path} was given, but the package safetensors is not installed: install the extra "
                         "`safetensors`, pip install 'safetensors>=0.4'.") from None
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} was given, but it is no readable file of safetensors ({type(error).__name__}): copy "
                         "it again.") from None


def state_dicts(content: Any, where: str = "") -> dict[str, dict[str, Tensor]]:
    """Return every state dict inside plain dictionaries, each under the keys that lead to it, joined by dots.

    A state dict has names alone, tensors alone, and a weight among them. That of an optimiser is passed over, and so is
    the count that torch's AveragedModel keeps beside its weights.

    >>> own = {"fc.weight": torch.ones(2, 2)}
    >>> list(state_dicts({"epoch": 3, "net": own, "ema": {"decay": 0.9, "shadow": own}})), list(state_dicts(own))
    (['net', 'ema.shadow'], [''])
    """
    if not isinstance(content, dict) or "param_groups" in content or where.count(".") > DEEPEST:
        return {}
    if is_state_dict(content):
        return {where: {name: value for name, value in content.items() if name != "n_averaged"}}
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in content.items():
        found |= state_dicts(value, f"{where}.{key}" if where else str(key))
    return found


def is_state_dict(content: dict[Any, Any]) -> bool:
    return (all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
            and any(value.ndim > 1 and value.is_floating_point() for value in content.values()))
