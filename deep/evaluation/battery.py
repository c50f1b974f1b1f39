"""A battery of attacks, each a per-sample result, and the pointwise worst case over all of them.

An attack is a list of rounds, each (model, x, y, generator) -> points: one round a restart or a target class. A
round attacks only the images that still withstand the earlier ones.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from deep.attacks.apgd import apgd, dlr, targeted_dlr
from deep.attacks.autoattack import autoattack, available
from deep.attacks.pgd import LOSSES, Attack, frozen, pgd
from deep.attacks.square import QUERIES, square
from deep.data.dataset import Split, as_float
from deep.evaluation.accuracy import accuracy

__all__ = ["Round", "Trial", "attack_rounds", "battery", "correct", "rounds_of", "rows", "worst_case"]

Images = Float[Tensor, "n c h w"]
Labels = Int[Tensor, "n"]
Mask = Bool[Tensor, "n"]
Round = Callable[[nn.Module, Images, Labels, torch.Generator], Images]

APGD_STEPS = 100  # Croce and Hein 2020
TARGETS = 9  # Croce and Hein 2020: the nine classes of highest score beside the true one; K - 1 where K < 10
FORMS = "pgdN, pgdNxR (R random starts), apgd-ce, apgd-dlr, apgd-t (each may be followed by its steps), square, "\
        "square1000 (its queries), autoattack"
NAME = re.compile(r"pgd(?P<steps>[1-9]\d{0,5})(x(?P<restarts>[1-9]\d{0,3}))?"
                  r"|apgd-(?P<loss>ce|dlr|t)(?P<apgd_steps>[1-9]\d{0,5})?"
                  r"|(?P<square>square)(?P<queries>[1-9]\d{0,5})?|autoattack")


def target_class(model: nn.Module, x: Images, y: Labels, rank: int) -> Labels:
    """Return (n,): of the wrong classes, the one whose score at x is the rank-th highest, rank = 0, 1, ..."""
    with torch.no_grad():
        scores = model(x).scatter(1, y[:, None], -torch.inf)
    return scores.argsort(dim=1, descending=True, stable=True)[:, rank]


def apgd_round(attack: Attack, steps: int, loss: Callable[..., Tensor], rank: int | None = None) -> Round:
    """Return a round of Auto-PGD, on the targeted loss where a rank is given."""
    def points(model: nn.Module, x: Images, y: Labels, generator: torch.Generator) -> Images:
        target = None if rank is None else target_class(model, x, y, rank)

        def objective(logits: Float[Tensor, "n K"]) -> Float[Tensor, "n"]:
            return loss(logits, y) if target is None else loss(logits, y, target)
        return apgd(model, x, y, attack.eps, attack.norm, attack.box, steps, objective, generator).points
    return points


def rounds_of(name: str, attack: Attack, classes: int) -> list[Round]:
    """Return the rounds of the attack called `name`, in the ball, box and norm of the PGD `attack`; or ValueError.

    "pgd50x10": PGD of 50 steps from 10 random starts, with the step, the loss and (without "x") the start of
    `attack`; an image is broken by any iterate, the start included, as by Auto-PGD. "apgd-ce", "apgd-dlr": Auto-PGD
    of 100 steps on cross-entropy and on the difference-of-logits ratio. "apgd-t": on the targeted ratio, one round for
    each of the min(9, K - 1) wrong classes of highest score, K: `classes`. "apgd-t50": of 50 steps. "square":
    `deep.attacks.square` of 5,000 queries, "square1000" of 1,000. "autoattack": `deep.attacks.autoattack`.

    >>> from deep.attacks.pgd import Attack
    >>> attack = Attack(8 / 255, 2 / 255, 20)
    >>> [len(rounds_of(name, attack, 10)) for name in ("pgd50x10", "apgd-ce", "apgd-t")]
    [10, 1, 9]
    """
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(f"the attack {name!r} was given, but known are {FORMS}: write one of these.")
    if name == "autoattack":
        available(attack.box, classes)  # before the others have run for hours
        return [lambda model, x, y, generator: autoattack(model, x, y, attack.eps, attack.norm, attack.box)]
    if match["steps"]:
        changed = replace(attack, steps=int(match["steps"]))
        if match["restarts"]:
            changed = replace(changed, random_start=True)
        return [lambda model, x, y, generator: pgd(model, x, y, changed, generator, any_iterate=True)] * int(
            match["restarts"] or 1)
    if match["square"]:
        queries = int(match["queries"] or QUERIES)
        return [lambda model, x, y, generator: square(model, x, y, attack.eps, generator, attack.norm, attack.box,
                                                      queries)]
    steps = int(match["apgd_steps"] or APGD_STEPS)
    if match["loss"] == "t":
        return [apgd_round(attack, steps, targeted_dlr, rank) for rank in range(min(TARGETS, classes - 1))]
    return [apgd_round(attack, steps, {"ce": LOSSES["cross-entropy"], "dlr": dlr}[match["loss"]])]


def correct(model: nn.Module, x: Images, y: Labels) -> Mask:
    """Return whether the highest of the K scores is the label's; ValueError for scores that are not finite."""
    with frozen(model), torch.no_grad():
        logits = model(x)
    if not logits.isfinite().all():
        raise ValueError("the network's scores are not finite numbers, so it has no accuracy: evaluate another "
                         "checkpoint.")
    return logits.argmax(1) == y


@dataclass(frozen=True)
class Trial:
    """One attack: its name, and per sample in the split's order whether it was attacked, and whether it broke."""

    name: str
    attacked: Mask
    broken: Mask


def attack_rounds(model: nn.Module, split: Split, rounds: list[Round], alive: Mask, seed: int, batch: int = 256,
                  progress: Callable[[int], None] | None = None, attacked: nn.Module | None = None) -> Mask:
    """Return which of the images marked in `alive` a list of rounds broke.

    Success is judged by the network on the points that a round returns. attacked: what the rounds are given in its
    place, such as the folded network; None for itself. progress(m): after m image-rounds are done or have become
    needless; they add up to len(rounds) * alive.sum(). Raises ValueError for scores not finite.
    """
    generator = torch.Generator(split.images.device).manual_seed(seed)
    left = alive.clone().to(split.images.device)
    for number, points in enumerate(rounds, 1):
        for index in left.nonzero()[:, 0].split(batch) if left.any() else ():
            x, y = as_float(split.images[index]), split.labels[index]
            with frozen(model):
                z = points(attacked or model, x, y, generator)
            held = correct(model, z, y)
            left[index] = held
            if progress:
                progress(len(index) + int((~held).sum()) * (len(rounds) - number))
    return alive & ~left.to(alive.device)


def battery(model: nn.Module, split: Split, attacks: dict[str, list[Round]], known: dict[str, Mask], seed: int = 0,
            separate: bool = False, batch: int = 256,
            bar: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] | None = None) -> list[Trial]:
    """Attack by each of `attacks`, {name: rounds}, in their order: a `Trial` each.

    known: {"clean": ..., ...}, (n,) bool, samples that are classified correctly so far, clean images first. An
    attack is given the samples that withstood everything before it, the cheap way to the worst case, or, if
    `separate`, all that are correct on clean images, so that it has an accuracy of its own; the worst case over
    them is of the same kind either way. bar: (name, total) -> context manager of progress(m)
    (`deep.system.progress.bar`).
    """
    trials: list[Trial] = []
    for name, rounds in attacks.items():
        alive = known["clean"] if separate else worst_case(known, trials)
        if bar is None:
            broken = attack_rounds(model, split, rounds, alive, seed, batch)
        else:
            with bar(name, len(rounds) * int(alive.sum())) as progress:
                broken = attack_rounds(model, split, rounds, alive, seed, batch, progress)
        trials.append(Trial(name, alive, broken))
    return trials


def worst_case(known: dict[str, Mask], trials: list[Trial]) -> Mask:
    """Return the samples correct in each result of `known` and broken by none of the trials.

    >>> worst_case({"clean": torch.tensor([True, True, False])},
    ...            [Trial("a", torch.tensor([True, True, False]), torch.tensor([False, True, False]))]).tolist()
    [True, False, False]
    """
    held = torch.stack([*known.values(), *(~trial.broken for trial in trials)])
    return held.all(0)


def rows(known: dict[str, Mask], trials: list[Trial]) -> list[dict[str, Any]]:
    """Return a dict for each trial: attack, attacked, broken (counts), accuracy, and the worst case up to and with it.

    `accuracy` counts over all samples those correct on clean images that the attack did not break; it is None for
    an attack that was given the survivors of others only, since no accuracy of its own is known. Each has n and a
    Wilson interval (`deep.evaluation.accuracy.accuracy`).
    """
    return [{"attack": trial.name, "attacked": int(trial.attacked.sum()), "broken": int(trial.broken.sum()),
             "accuracy": accuracy(trial.attacked & ~trial.broken)
             if torch.equal(trial.attacked, known["clean"]) else None,
             "worst_case": accuracy(worst_case(known, trials[:number]))}
            for number, trial in enumerate(trials, 1)]
