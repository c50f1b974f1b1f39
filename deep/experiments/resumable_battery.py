"""What an unfinished battery of attacks has found so far: each attack's trial is written as it ends, and taken up."""

import json
from contextlib import suppress
from pathlib import Path

import torch

from deep.evaluation.battery import Trial, battery
from deep.runs.results import weights_digest
from deep.system.files import commit, write_text

__all__ = ["Unfinished", "battery_kept", "identity_of", "packed", "unpacked"]


def identity_of(weights, split, attack, separate):
    """What decides the results of a battery, as plain values: weights, images and labels, the PGD `attack`, code."""
    return {"weights": weights_digest(weights), "attack": repr(attack), "separate": separate, "commit": commit(),
            "images": weights_digest({"images": split.images, "labels": split.labels})}


def packed(values):
    """(n,) bool as n characters 0 and 1.

    >>> packed(torch.tensor([True, False]))
    '10'
    """
    return "".join("01"[value] for value in values.tolist())


def unpacked(text):
    """n characters 0 and 1 as (n,) bool.

    >>> unpacked(packed(torch.tensor([True, False])))
    tensor([ True, False])
    """
    return torch.tensor([character == "1" for character in text], dtype=torch.bool)


class Unfinished:
    """Values under keys in the JSON file `path`, until `remove`; those of another identity are not taken up."""

    def __init__(self, path, identity):
        self.path, self.identity, self.values = Path(path), identity, {}
        with suppress(OSError, ValueError, KeyError, TypeError):  # none, or damaged: measured again
            found = json.loads(self.path.read_text())
            if found["identity"] == identity:
                self.values = dict(found["values"])

    def enter(self, key, value):
        self.values[key] = value
        write_text(self.path, json.dumps({"identity": self.identity, "values": self.values}) + "\n")

    def remove(self):
        self.path.unlink(missing_ok=True)


def battery_kept(kept, model, split, attacks, known, separate=False, bar=None, attempt=None):
    """The trials of `deep.evaluation.battery.battery`, each entered into `kept`, an `Unfinished`, as it ends.

    Of those that are there, the first ones are taken up, as long as their attacks are those asked for, in their order.
    attempt(write, *arguments): how an entry is written (None: by the call alone).
    """
    found, trials = list(kept.values.get("trials", ())), []
    for number, (name, rounds) in enumerate(attacks.items()):
        if number < len(found) and found[number]["name"] == name:
            trials.append(Trial(name, unpacked(found[number]["attacked"]), unpacked(found[number]["broken"])))
            continue
        del found[number:]
        held = known | {trial.name: ~trial.broken for trial in trials}
        trials += battery(model, split, {name: rounds}, held, separate=separate, bar=bar)
        found.append({"name": name, "attacked": packed(trials[-1].attacked), "broken": packed(trials[-1].broken)})
        (attempt or (lambda write, *arguments: write(*arguments)))(kept.enter, "trials", found)
    return trials
