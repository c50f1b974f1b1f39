"""Evaluate checkpoints of a run in float32: accuracy, CAS and the worst case over several attacks.

What `cas_once` and `worst_case_once` measure is kept in RUN/cas.jsonl and RUN/worst-case.jsonl, and measured once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from deep.attacks.pgd import Attack
from deep.data.dataset import Split, as_float
from deep.evaluation.accuracy import Outcome, accuracy, measure
from deep.evaluation.battery import Round, correct, rounds_of, rows, worst_case
from deep.evaluation.cas_intervals import RESAMPLES, cas_report
from deep.evaluation.gradient_masking import gap_flag, masking_flags, square_flag
from deep.evaluation.margins import wrong_class_margins
from deep.experiments.conditions import refuse_zero_attributions
from deep.experiments.measured import Checkpoint, Measured
from deep.experiments.resumable_battery import PartialResults, battery_key, mask_from_text, mask_to_text, resume_battery
from deep.networks.classifier import Classifier
from deep.runs.results import find_result, write_result
from deep.system.lock import Lock
from deep.system.progress import bar

__all__ = ["KEYS", "attack_test_images", "cas_once", "find_cas", "measure_accuracy", "measure_cas", "measurement_lock",
           "worst_case_once"]

KEYS = ("checkpoint", "attack", "attack_seeds", "data", "n_test")  # what makes a line of cas.jsonl one of its kind
SAME = ("weights", "attack", "data", "n_test")  # what makes two measurements the same, whatever the checkpoint's name
NEWEST = "margin_nulls"  # what lines of older versions lack


def attack_test_images(checkpoint: Measured, steps: int | None, seed: int) -> tuple[Classifier, Attack, Outcome]:
    """Attack every image of the checkpoint's split once by PGD of `steps`: (network, attack, outcome)."""
    images, model, attack = checkpoint.images, checkpoint.network(), checkpoint.attack(steps)
    with bar(f"attacking {checkpoint.name}", len(images)) as advance:
        return model, attack, measure(model, images, attack, seed, progress=advance)


# --- accuracy ---

def measure_accuracy(checkpoint: Measured, steps: int, attacks: dict[str, list[Round]], separate: bool,
                     partial: PartialResults | None, write: Callable[..., None]) -> dict[str, Any]:
    """Measure clean and robust accuracy, flags of gradient masking and, with `attacks`, the worst case over them.

    steps: of the PGD. attacks: {name: rounds} as `deep.evaluation.battery.battery` takes them, `separate` too.
    partial: what an interrupted evaluation has left; None without attacks. write(function, *arguments) is how
    results are entered into it.
    """
    attack = checkpoint.attack(steps)
    plain = partial and partial.values.get("plain")
    if not plain:
        plain = attack_by_pgd(checkpoint, steps)
        if partial:
            write(partial.enter, "plain", plain)
    known = {kind: mask_from_text(plain[kind]) for kind in ("clean", "robust")}
    result = checkpoint.describe(attack) | {
        kind: accuracy(values) for kind, values in known.items()} | {"sanity": dict(plain["sanity"])}
    if partial:
        trials = resume_battery(partial, checkpoint.network(), checkpoint.images, attacks, known, separate, bar, write)
        worst = worst_case(known, trials)
        result |= {"separate": separate, "attacks": rows(known, trials), "worst_case": accuracy(worst)}
        if any(trial.name == "autoattack" or trial.name.startswith(("apgd-t", "apgd-dlr")) for trial in trials):
            result["sanity"]["gap"] = gap_flag(known["clean"] & known["robust"], worst)
        if (found := square_flag(known, trials)) is not None:
            result["sanity"]["square_stronger"] = found
    return result


def attack_by_pgd(checkpoint: Measured, steps: int) -> dict[str, Any]:
    """Return which images are correct when clean and under PGD, as text, and the flags of gradient masking."""
    model, attack, outcome = attack_test_images(checkpoint, steps, 0)
    return {"clean": mask_to_text(outcome.clean), "robust": mask_to_text(outcome.robust),
            "sanity": masking_flags(model, checkpoint.images, attack, outcome)}


# --- CAS ---

def measure_cas(checkpoint: Measured, steps: int, seeds: int) -> dict[str, Any]:
    """Measure every CAS with its interval, the profile by class, and the margins with their nulls.

    Attack once for each seed; at eps = 0 once in all, as every attack leaves the images clean. ValueError if the
    attribution of a class is 0, but of a run's own network, whose cosines then count as 0.
    """
    outcomes, data = [], checkpoint.data
    for seed in range(seeds if checkpoint.attack().eps else 1):
        model, _, outcome = attack_test_images(checkpoint, steps, seed)
        outcomes.append(outcome)
    first = outcomes[0]
    if not isinstance(checkpoint, Checkpoint):  # a run's own network may die in training, which is a result
        for features, called in ((first.features, "features"), (first.clean_features, "clean features")):
            refuse_zero_attributions(features, first.labels, model.linear.weight.detach().to(features.device),
                                     data.classes, str(checkpoint.origin()["weights_file"]), called)
    with bar(f"intervals of {checkpoint.name}", RESAMPLES) as advance:
        report = cas_report(outcomes, model.linear.weight.detach().cpu(), data.classes, data.superclasses,
                            wrong_class_margins(first, model.linear), advance)
    return checkpoint.key(steps, seeds) | report | {"clean": accuracy(first.clean), "robust": accuracy(first.robust)}


def find_cas(checkpoint: Checkpoint, steps: int, seeds: int) -> dict[str, Any] | None:
    """Return the line of RUN/cas.jsonl about these weights under this attack, under whatever name, or None.

    A line of an older version, which lacks what `measure_cas` measures now, is None.
    """
    key = checkpoint.key(steps, seeds)
    line = find_result(checkpoint.run.path / "cas.jsonl", {name: key[name] for name in ("weights", *KEYS[1:])})
    return line | key if line and NEWEST in line else None


def cas_once(checkpoint: Checkpoint, steps: int) -> dict[str, Any]:
    """Return the line of RUN/cas.jsonl about a checkpoint under PGD of `steps`; one attack seed where it is new.

    A line from several attack seeds serves as well: its values are those of the first seed, which is the same.
    """
    return once(checkpoint.run.path / "cas.jsonl", checkpoint.key(steps, 1), lambda: measure_cas(checkpoint, steps, 1))


# --- the worst case over several attacks ---

def worst_case_once(checkpoint: Checkpoint, attacks: Sequence[str]) -> dict[str, Any]:
    """Return the line of RUN/worst-case.jsonl: the worst case over `attacks`, names as in `rounds_of`, in that order.

    Each attack is given the images that withstood those before it, in the ball of the recipe's evaluation.
    """
    attack = checkpoint.attack()
    rounds = {name: rounds_of(name, attack, len(checkpoint.data.classes)) for name in attacks}
    key = checkpoint.key(None, 1) | {"attack": f"{', '.join(attacks)}; {attack.norm} eps {attack.eps}"}
    partial = PartialResults(checkpoint.run.path / f"worst-case-{key['checkpoint']}-unfinished.json",
                             battery_key(checkpoint.weights(), checkpoint.images, attack, separate=False))

    def measured() -> dict[str, Any]:
        model = checkpoint.network()
        known = {"clean": correct_when_clean(model, checkpoint.images)}
        trials = resume_battery(partial, model, checkpoint.images, rounds, known, bar=bar)
        return key | {"worst_case": accuracy(worst_case(known, trials))}

    line = once(checkpoint.run.path / "worst-case.jsonl", key, measured)
    partial.remove()
    return line


def correct_when_clean(model: Classifier, split: Split, batch: int = 256) -> Bool[Tensor, "n"]:
    """Return which images are classified correctly without an attack."""
    pairs = zip(split.images.split(batch), split.labels.split(batch), strict=True)
    return torch.cat([correct(model, as_float(x), y) for x, y in pairs]).cpu()


# --- one measurement of each kind ---

def measurement_lock(folder: Path) -> Lock:
    """Return the lock of whoever writes measurements into `folder`, for a `with` block."""
    return Lock(folder / "measuring.lock")


def once(path: Path, key: dict[str, Any], values: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the line of `path` about a checkpoint, `key` its identity; only where there is none, values() makes it."""
    line = find_result(path, {name: key[name] for name in (*SAME, "checkpoint")})
    if line:
        return line
    line = find_result(path, {name: key[name] for name in SAME})  # the best epoch may also be the last
    line = line | {name: key[name] for name in ("run", "checkpoint", "epoch")} if line else values()
    write_result(path, line, KEYS)
    return line
