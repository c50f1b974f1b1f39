"""A network of somebody else's, measured as a checkpoint of a run is; or what its features alone tell, from a file."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from deep.evaluation.cas import checked_shapes
from deep.evaluation.cas_intervals import RESAMPLES, cas_report
from deep.evaluation.margins import margins_of
from deep.evaluation.outcome import Outcome
from deep.experiments.conditions import refuse_zero_attributions
from deep.experiments.measured import Measured
from deep.networks.classifier import Classifier
from deep.runs.outside import Normalisation
from deep.system.progress import bar

__all__ = ["Features", "OutsideNetwork", "cas_of_features", "read_features"]

KEYS = {"features": "(n, d)", "labels": "(n,)", "weight": "(K, d)"}  # of a file, with their shapes
WANTED = f"numpy.savez(FILE, {', '.join(f'{name}={shape}' for name, shape in KEYS.items())})"
MORE = {"clean_features": "(n, d)", "bias": "(K,)", "classes": "(K,)", "superclasses": "(K,)"}  # that may be there too
OF_CLEAN = ("cas_clean", "sharing_clean", "margin_cas")  # values, by their beginnings, that need clean features


@dataclass(frozen=True)
class OutsideNetwork(Measured):
    """A network from a file of weights, and the images on which it is evaluated, both on `device`."""

    file: Path
    model: Classifier
    normalisation: Normalisation

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the network, its mean and deviation included."""
        return self.model.state_dict()

    def network(self) -> Classifier:
        """Return the network."""
        return self.model

    def origin(self) -> dict[str, Any]:
        """Return what a result says of the network: its file, sizes and normalisation; a run has it in its recipe."""
        sizes = [f"{name}={getattr(self.recipe, name)}" for name in ("width", "depth", "patch_size")
                 if getattr(self.recipe, name) is not None]
        mean, std, source = (getattr(self.normalisation, name) for name in ("mean", "std", "source"))
        return {"run": None, "weights_file": str(self.file), "checkpoint": self.name, "epoch": None, "seed": None,
                "network": " ".join([self.recipe.model, *sizes]),
                "normalisation": {"mean": list(mean), "std": list(std), "source": source}}


# --- features alone ---

@dataclass(frozen=True)
class Features:
    """Inputs (n, d) of a last layer with weight (K, d), labels (n,); clean_features, bias and superclasses may lack."""

    features: Float[Tensor, "n d"]
    labels: Int[Tensor, "n"]
    weight: Float[Tensor, "K d"]
    classes: tuple[str, ...]
    superclasses: tuple[str, ...] = ()
    clean_features: Float[Tensor, "n d"] | None = None
    bias: Float[Tensor, "K"] | None = None


def read_features(path: str | Path) -> Features:
    """Read the `Features` in a file of numpy.savez; nothing in it is unpickled.

    Keys: features (n, d), labels (n,), 0..K-1, weight (K, d); and if they are there clean_features (n, d), bias (K,),
    and texts: classes (K,), else 0..K-1, and superclasses (K,). ValueError: another key, a missing one, another shape
    or type, a NaN, a class without images, fewer than 3 classes.
    """
    arrays = read_arrays(Path(path))
    for key in KEYS:
        if key not in arrays:
            raise ValueError(f"{path} has no array {key}: save {WANTED}.")
    for key in arrays:
        if key not in KEYS | MORE:
            raise ValueError(f"{path} has an array {key}, which is not known: leave it out, or name it one of "
                             f"{', '.join(KEYS | MORE)}.")
    numbers = {key: as_tensor(key, arrays[key], path) for key in ("features", "weight", "clean_features", "bias")
               if key in arrays}
    labels = arrays["labels"]
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels in {path} are of type {labels.dtype}: save whole numbers 0..K-1, one a sample.")
    whole = torch.from_numpy(labels.astype(np.int64))
    try:
        checked_shapes(numbers["features"], whole, numbers["weight"])
    except ValueError as error:
        raise ValueError(f"in {path}: {error}") from None
    clean = numbers.get("clean_features", numbers["features"])
    if clean.shape != numbers["features"].shape:
        raise ValueError(f"in {path}: clean_features {tuple(clean.shape)}, labels {tuple(whole.shape)} and weight "
                         f"{tuple(numbers['weight'].shape)} were given: they must be (n, d), (n,) and (K, d).")
    count = len(numbers["weight"])
    if count < 3:
        raise ValueError(f"{path} has {count} classes, but margin-CAS compares triples: give at least 3.")
    if "bias" in numbers and numbers["bias"].shape != (count,):
        raise ValueError(f"bias in {path} is of shape {tuple(numbers['bias'].shape)}, but there are {count} classes: "
                         f"it must be ({count},).")
    return Features(numbers["features"], whole, numbers["weight"],
                    names_in(path, "classes", arrays, count) or tuple(str(i) for i in range(count)),
                    names_in(path, "superclasses", arrays, count), numbers.get("clean_features"), numbers.get("bias"))


def read_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    try:
        with path.open("rb") as file:  # which numpy leaves open when it cannot read it
            if file.read(2) != b"PK":  # which numpy would take for a single array or a pickle
                raise ValueError("it is no zip archive")
            file.seek(0)
            found = np.load(file, allow_pickle=False)
            arrays = {key: found[key] for key in found.files}
            if other := [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]:
                raise ValueError(f"its {other[0]} is no array")
            return arrays
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}): pass a file of numpy.savez.") from None
    except (ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        if "pickle" in reason:  # numpy says how to load what nobody should
            reason = "Object arrays cannot be read"
        raise ValueError(f"{path} is no file of numpy.savez with plain arrays ({reason}): save {WANTED}, of numbers "
                         "and texts alone.") from None


def as_tensor(key: str, array: Shaped[np.ndarray, "..."], path: str | Path) -> Float[Tensor, "..."]:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{key} in {path} are of type {array.dtype}: save real numbers.")
    numbers = torch.from_numpy(array.astype(np.float64))
    if not numbers.isfinite().all():
        raise ValueError(f"{key} in {path} hold a NaN or an infinity: attributions need finite numbers.")
    return numbers


def names_in(path: str | Path, key: str, arrays: dict[str, Shaped[np.ndarray, "..."]], count: int) -> tuple[str, ...]:
    """Return the names under a key of `arrays`, one a class, or none at all."""
    if key not in arrays:
        return ()
    names = arrays[key]
    if names.shape != (count,) or names.dtype.kind not in "US" or (key == "classes" and len({*names.tolist()}) < count):
        raise ValueError(f"{key} in {path} are {names.shape} of type {names.dtype}, but there are {count} classes: "
                         f"save {count} texts" + (", all different." if key == "classes" else "."))
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names.tolist())


def cas_of_features(found: Features, source: str = "what was given") -> dict[str, Any]:
    """Return the `cas_report` of features, as far as they allow: without clean ones, nothing that is defined by these.

    The interval is that of the images alone: one attack made the features, or none. margins: only with a bias.
    source: where they are from. ValueError if the attribution of a class is 0, which has no cosine.

    >>> own = torch.eye(3).double()
    >>> r = torch.cat([own, 1 - own], 1)  # the three-class model, r = 1
    >>> result = cas_of_features(Features(r, torch.arange(3), r, ("a", "b", "c")))
    >>> round(result["cas"], 12), "margin_cas" in result
    (2.0, False)
    """
    clean = found.features if found.clean_features is None else found.clean_features
    for values, called in ((found.features, "features"), (clean, "clean_features")):
        refuse_zero_attributions(values, found.labels, found.weight, found.classes, source, called)
    unknown = torch.zeros(len(found.labels), dtype=torch.bool)  # whether an image is classified correctly: not reported
    outcome = Outcome(found.labels, unknown, unknown, clean, found.features)
    margins = None if found.bias is None else margins_of(found.features @ found.weight.T + found.bias, found.labels)
    with bar("intervals", RESAMPLES) as advance:
        report = cas_report([outcome], found.weight, found.classes, found.superclasses, margins, advance)
    if found.clean_features is None:
        report["intervals"] = without_clean(report["intervals"])
        report = without_clean(report)
    return {"n": len(found.labels)} | report


def without_clean(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that need no clean features."""
    return {key: value for key, value in values.items() if not key.startswith(OF_CLEAN)}
