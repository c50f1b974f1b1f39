"""Measures checkpoints of a run on the test images, in float32, each once: into RUN/cas.jsonl, RUN/worst-case.jsonl."""

import torch

from deep.data.dataset import as_float
from deep.evaluation.accuracy import accuracy, evaluation_attack, measure
from deep.evaluation.battery import correct, rounds_of, worst_case
from deep.evaluation.cas import class_correlation, class_profile
from deep.evaluation.cas_intervals import attributions, cas_intervals
from deep.evaluation.margins import margin_estimates, wrong_class_margins
from deep.experiments.resumable_battery import Unfinished, battery_kept, identity_of
from deep.runs.network import load_network
from deep.runs.results import enter, known, weights_digest
from deep.system.lock import Lock
from deep.system.progress import bar

__all__ = ["KEYS", "alone", "heading", "identity", "measured", "measured_before", "measured_once", "outcome_of",
           "worst_once"]

KEYS = ("checkpoint", "attack", "attack_seeds", "data", "n_test")  # what makes a line of cas.jsonl one of its kind
SAME = ("weights", "attack", "data", "n_test")  # what makes two measurements the same, whatever the checkpoint's name


def outcome_of(run, recipe, data, device, name, steps, seed):
    """(network, attack, Outcome) of attacking the test images once."""
    model = load_network(run, data, name, device)
    attack = evaluation_attack(recipe, data.box, steps)
    with bar(f"attacking {name}", len(data.test)) as advance:
        return model, attack, measure(model, data.test, attack, seed, progress=advance)


def heading(run, recipe, data, attack, name):
    """What every result says of itself."""
    return {"run": str(run.path), "checkpoint": name, "epoch": run.model_state(name)["epoch"], "data": data.name,
            "n_test": len(data.test),
            "attack": f"PGD-{attack.steps} {attack.norm} eps {attack.eps} step {attack.step} on {attack.loss}",
            "seed": recipe.seed}


def identity(folder, recipe, data, name, steps, seeds):
    """What says which checkpoint was measured, and how: PGD of `steps`, from `seeds` seeds."""
    attack = evaluation_attack(recipe, data.box, steps)
    return (heading(folder, recipe, data, attack, name)
            | {"checkpoint": name.rpartition("/")[2], "attack_seeds": seeds,
               "weights": weights_digest(folder.model_state(name)["model"])})


def measured_before(folder, this, keys):
    """The line of cas.jsonl about the weights of `this` identity that agrees with it in `keys`, or None."""
    line = known(folder.path / "cas.jsonl", {key: this[key] for key in ("weights", *keys)})
    return line and line | this


def measured(folder, recipe, data, device, name, steps, seeds):
    """Attack the test images once a seed; every CAS, its interval, the profile by class, the estimates from margins."""
    outcomes = []
    for seed in range(seeds):
        model, _, outcome = outcome_of(folder, recipe, data, device, name, steps, seed)
        outcomes.append(outcome)
    first, weight = outcomes[0], model.linear.weight.detach().cpu()
    values = attributions(first, weight, superclasses=data.superclasses)
    intervals = cas_intervals(outcomes, weight, superclasses=data.superclasses)
    correlation = class_correlation(first.features, first.labels, weight)
    share, partner, cosine = (column.tolist() for column in class_profile(correlation))
    profile = [{"class": data.classes[i], "share": share[i], "partner": data.classes[partner[i]], "cosine": cosine[i]}
               for i in range(len(share))]
    counts = first.labels.bincount(minlength=len(weight))
    margins = margin_estimates(wrong_class_margins(first, model.linear), first.labels) if counts.min() >= 10 else None
    return (identity(folder, recipe, data, name, steps, seeds) | {"classes": list(data.classes)} | values
            | {"cas_interval": intervals["cas"], "intervals": intervals, "clean": accuracy(first.clean),
               "robust": accuracy(first.robust), "margins": margins, "profile": profile,
               "correlation": correlation.tolist()})


def alone(path):
    """The lock of whoever writes measurements into the folder `path`, for a `with` block."""
    return Lock(path / "measuring.lock")


def once(path, this, values):
    """The line of `path` about a checkpoint, `this` its identity; only where there is none, values() makes it."""
    line = known(path, {key: this[key] for key in (*SAME, "checkpoint")})
    if line:
        return line
    line = known(path, {key: this[key] for key in SAME})  # the best epoch may also be the last
    line = line | {key: this[key] for key in ("run", "checkpoint", "epoch")} if line else values()
    enter(path, line, KEYS)
    return line


def measured_once(folder, recipe, data, device, name, steps):
    """The line of RUN/cas.jsonl about a checkpoint under PGD of `steps`; one attack seed where it is new.

    A line from several attack seeds serves as well: its values are those of the first seed, which is the same.
    """
    return once(folder.path / "cas.jsonl", identity(folder, recipe, data, name, steps, 1),
                lambda: measured(folder, recipe, data, device, name, steps, 1))


def worst_once(folder, recipe, data, device, name, attacks):
    """The line of RUN/worst-case.jsonl: the pointwise worst case of `attacks`, names as in `rounds_of`, in that order.

    Each attack is given the images that withstood those before it, in the ball of the recipe's evaluation.
    """
    attack = evaluation_attack(recipe, data.box)
    rounds = {one: rounds_of(one, attack, len(data.classes)) for one in attacks}
    this = identity(folder, recipe, data, name, None, 1) | {
        "attack": f"{', '.join(attacks)}; {attack.norm} eps {attack.eps}"}
    kept = Unfinished(folder.path / f"worst-case-{this['checkpoint']}-unfinished.json", identity_of(
        folder.model_state(name)["model"], data.test, attack, separate=False))
    line = once(folder.path / "worst-case.jsonl", this, lambda: this | {
        "worst_case": worst_accuracy(load_network(folder, data, name, device), data.test, rounds, kept)})
    kept.remove()
    return line


def worst_accuracy(model, split, rounds, kept, batch=256):
    """`accuracy` of the images that are right when clean and that none of the attacks {name: rounds} breaks."""
    clean = torch.cat([correct(model, as_float(x), y)
                       for x, y in zip(split.images.split(batch), split.labels.split(batch), strict=True)]).cpu()
    held = {"clean": clean}
    return accuracy(worst_case(held, battery_kept(kept, model, split, rounds, held, bar=bar)))
