"""A battery of attacks that an interruption does not lose: each attack's trial is written as it ends, and taken up."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.evaluation.battery import Round, Trial, battery
from deep.networks.classifier import Classifier
from deep.runs.results import weights_digest
from deep.system.files import commit, write_text

__all__ = ["PartialResults", "battery_key", "mask_from_text", "mask_to_text", "resume_battery"]


def battery_key(weights: dict[str, Tensor], split: Split, attack: Attack, separate: bool) -> dict[str, Any]:
    """Return what decides a battery's results: digests of weights, images and labels; the PGD `attack`; the code."""
    return {"weights": weights_digest(weights), "attack": repr(attack), "separate": separate, "commit": commit(),
            "images": weights_digest({"images": split.images, "labels": split.labels})}


def mask_to_text(mask: Bool[Tensor, "n"]) -> str:
    """Write a mask as n characters 0 and 1.

    >>> mask_to_text(torch.tensor([True, False]))
    '10'
    """
    return "".join("01"[value] for value in mask.tolist())


def mask_from_text(text: str) -> Bool[Tensor, "n"]:
    """Read a mask from n characters 0 and 1.

    >>> mask_from_text(mask_to_text(torch.tensor([True, False])))
    tensor([ True, False])
    """
    return torch.tensor([character == "1" for character in text], dtype=torch.bool)


class PartialResults:
    """Values under names in the JSON file `path`, until `remove`; those of another `key` are not taken up.

    path: None: nothing is written, and an interruption loses them.
    """

    def __init__(self, path: Path | None, key: dict[str, Any]) -> None:
        self.path, self.key = path, key
        self.values: dict[str, Any] = {}
        if path is None:
            return
        with suppress(OSError, ValueError, KeyError, TypeError):  # none, or damaged: measured again
            found = json.loads(path.read_text())
            if found["identity"] == key:
                self.values = dict(found["values"])

    def enter(self, name: str, value: Any) -> None:
        """Put a value into the file."""
        self.values[name] = value
        if self.path is not None:
            write_text(self.path, json.dumps({"identity": self.key, "values": self.values}) + "\n")

    def remove(self) -> None:
        """Remove the file: nothing is unfinished any more."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def call(function: Callable[..., None], *arguments: Any) -> None:
    function(*arguments)


def resume_battery(partial: PartialResults, model: Classifier, split: Split, attacks: dict[str, list[Round]],
                   known: dict[str, Bool[Tensor, "n"]], separate: bool = False,
                   bar: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] | None = None,
                   write: Callable[..., None] = call) -> list[Trial]:
    """Return the trials of `deep.evaluation.battery.battery`, each entered into `partial` as it ends.

    Those that are there already are taken up, as long as their attacks are those asked for, in their order.
    write(function, *arguments): how an entry is written.
    """
    found, trials = list(partial.values.get("trials", ())), []
    for number, (name, rounds) in enumerate(attacks.items()):
        if number < len(found) and found[number]["name"] == name:
            trials.append(Trial(name, *(mask_from_text(found[number][key]) for key in ("attacked", "broken"))))
            continue
        del found[number:]
        held = known | {trial.name: ~trial.broken for trial in trials}
        trials += battery(model, split, {name: rounds}, held, separate=separate, bar=bar)
        found.append({"name": name, "attacked": mask_to_text(trials[-1].attacked),
                      "broken": mask_to_text(trials[-1].broken)})
        write(partial.enter, "trials", found)
    return trials
