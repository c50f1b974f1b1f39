"""The files that `deep export` writes: a plain state dict, and beside it what it is of."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from deep.recipe.values import to_word
from deep.runs.folder import RunFolder, packed
from deep.system.files import write_atomically, write_text
from deep.system.reading import from_json

__all__ = ["export", "exported_words"]

# settings that an exported file carries: the network, its images, and the attack that measures it
CARRIED = ("data", "mu", "sigma", "patch", "resize", "model", "width", "depth", "patch_size", "loss", "eps", "norm",
           "random_start")
PLANTED = ("train_size", "val_size", "seed")  # and what decides which test images are planted
CHECKPOINTS = ("best.pt", "last.pt", "next.pt", "previous.pt")  # of a run, beside those in its folder checkpoints


def export(run: RunFolder, name: str, out: Path) -> Path:
    """Write the weights of a checkpoint as a plain state dict to `out`, and beside it what they are of.

    The state dict has the names of `Classifier`, mean and deviation of the images included. A name that ends in
    .safetensors is written so, which needs the package. The JSON has the words of the recipe that a network and its
    measurement need, the normalisation, the classes and the run. Returns its path. Nothing is written before all of it
    is known. ValueError: a file is there that is no earlier export of this name, or it is that of a run's checkpoint,
    or ends in neither .pt nor .safetensors.
    """
    check_place(out)
    if out.suffix not in (".pt", ".safetensors"):
        raise ValueError(f"--out = {out} was given, but weights are written as .pt or .safetensors: write a name such "
                         "as weights.pt.")
    state, recipe = run.model_state(name), run.recipe().as_dict()
    weights = {key: value.contiguous() for key, value in state["model"].items()}
    kept = ((key, recipe.get(key)) for key in CARRIED + PLANTED * (recipe["data"] == "planted") if key in recipe)
    words = [f"{key}={to_word(value)}" for key, value in kept]
    about = {"weights": out.name, "words": words, "mean": weights["mean"].flatten().tolist(),
             "std": weights["std"].flatten().tolist(), "classes": classes_of(run, state), "run": run.path.name,
             "checkpoint": name, "epoch": state["epoch"]}
    content = packed(weights) if out.suffix != ".safetensors" else safetensors(weights, out)
    beside = out.with_suffix(".json")
    write_text(beside, json.dumps(about, indent=1) + "\n")  # the first: the same command goes on after an interruption
    write_atomically(out, lambda file: file.write(content))
    return beside


def check_place(out: Path) -> None:
    """Raise ValueError where `export` would replace what it did not write, or what a run would take for its own."""
    folder, beside = out.resolve().parent, out.with_suffix(".json")
    kept = folder.name == "checkpoints" and (folder.parent / "recipe.json").exists()
    if kept or (out.name in CHECKPOINTS and (folder / "recipe.json").exists()):
        raise ValueError(f"--out = {out} was given, but that is the name of a run's checkpoint: write another name, "
                         "such as weights.pt.")
    about = None
    with suppress(OSError, ValueError):
        about = from_json(beside.read_bytes())
    weights = about.get("weights") if isinstance(about, dict) else None
    if weights == out.name:
        return  # an earlier export
    if isinstance(weights, str) and (out.parent / weights).is_file() and not out.is_file():
        raise ValueError(f"--out = {out} was given, but {beside.name} belongs to the export {weights}: choose another "
                         f"name than {out.stem}.")
    for path in (out, beside):
        if path.is_file():
            raise ValueError(f"--out = {out} was given, but {path} is there, and no earlier export: write another "
                             "name, or move it away.")


def safetensors(weights: dict[str, Tensor], out: Path) -> bytes:
    """Return the bytes of a file of safetensors; ValueError without its package."""
    try:
        from safetensors.torch import save
    except ImportError:
        raise ValueError(f"--out = {out} was given, but the package safetensors is not installed: install the extra "
                         "`safetensors`, or write a name that ends in .pt.") from None
    return save(weights)


def classes_of(run: RunFolder, state: dict[str, Any]) -> list[str] | None:
    """Return the class names that a run remembers, in the order of the scores; None where it is of an older version."""
    if "classes" not in state and (run.path / "last.pt").exists():
        state = run.model_state("last")
    return state.get("classes")


def exported_words(weights: Path) -> tuple[list[str], list[str] | None] | None:
    """Return (words of the recipe, class names or None) from the JSON that `export` wrote beside a file, or None.

    A JSON file of somebody else's is passed over, and ValueError names one that is damaged.
    """
    path = weights.with_suffix(".json")
    if path == weights or not path.is_file():
        return None
    try:
        about = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} lies beside the weights, but cannot be read ({str(error).rstrip('.')}): move it "
                         "away, and export them again or give --model, --mean and --std.") from None
    if not isinstance(about, dict) or about.get("weights") != weights.name:
        return None
    words, classes = about.get("words"), about.get("classes")
    for part in (words, classes or []):
        if not (isinstance(part, list) and all(isinstance(word, str) for word in part)):
            raise ValueError(f"{path} lies beside the weights, but its words or classes are no texts: export them "
                             "again.")
    return cast(list[str], words), classes
