"""The paper's tables: which systems stand in each, at which stages of training, and what a scale makes of them.

A stage in mid-run is a share of the schedule ("epoch 70 of 200" is 7/20 of any), so that it exists at every scale.
The same training stands in several tables under one name, and is run once.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from typing import Any

from deep.experiments.sweep import Run
from deep.recipe.recipe import HINTS, Recipe, kept_name, recipe_named
from deep.recipe.values import to_word

__all__ = ["COMMON_EPS", "EPS_TABLES", "NOTES", "PAPER_STEPS", "SCALES", "STAGES", "SYSTEMS", "TABLES", "PlannedRun",
           "System", "checkpoint_of", "differences", "paper_cas_drop", "paper_numbers", "plan_runs", "recipe_of",
           "stage_epoch"]

STAGES = {"underfit": Fraction(70, 200), "epoch10": Fraction(10, 200), "best": None, "last": None}
PAPER_STEPS = 20  # of the PGD under which the paper measures
COMMON_EPS = "8/255"  # at which every network of a table of several eps is measured, beside its own
EPS_TABLES = ("large_eps", "delta_cas")
SAME = ("seed", "keep_every", "channels_last", "teacher", "standard_teacher")  # change nothing that is compared
FIXED = ("data", "model", "eps", "norm", "method", "seed", "keep_every", "teacher", "standard_teacher", "pretrained")


@dataclass(frozen=True)
class System:
    """One training of the paper: a recipe and the `key=value` words by which it differs from that.

    data: the name of its data set. staged: whether some table shows it in mid-run, so that it keeps checkpoints.
    teachers: (field of the recipe, name of the system) of those that must be trained before it.
    """

    recipe: str = "at"
    words: tuple[str, ...] = ()
    data: str = "cifar10"
    staged: bool = False
    teachers: tuple[tuple[str, str], ...] = ()


SYSTEMS = {
    "AT": System(staged=True),
    # The step stays 2/255, the public code's default, whatever eps is.
    **{f"AT, eps {eps}/255": System(words=(f"eps={eps}/255",), staged=eps > 8) for eps in (2, 4, 6, 12, 16)},
    "standard training": System("standard"),
    "AT + KD": System(words=("teacher_share=0.6", "standard_share=0.1"),  # Chen et al. 2021
                      teachers=(("teacher", "AT"), ("standard_teacher", "standard training"))),
    "AT, CIFAR-100": System(data="cifar100"),
    "AT, Tiny-ImageNet": System(data="tiny-imagenet"),
    "AT, l2 128/255": System("at-l2"),
    "AT, DeiT-Ti": System("at-deit"),
    "fast AT": System("fast-at"),
    # step = 1.25 eps; at this eps one-step training collapses for certain (Andriushchenko and Flammarion 2020)
    "fast AT, eps 16/255": System("fast-at", ("eps=16/255", "step=20/255")),
}

ENDS = ("best", "last")
TABLES = {  # name: (what it is about, its rows: a system at some stages)
    "stages": ("stages of adversarial training", (("AT", ("underfit", *ENDS)),)),
    "large_eps": ("larger perturbations",
                  tuple((name, ("epoch10", *ENDS)) for name in ("AT", "AT, eps 12/255", "AT, eps 16/255"))),
    "delta_cas": ("CAS at the best checkpoint minus CAS at the last",
                  tuple((name, (*ENDS, "best - last"))
                        for name in ("AT, eps 2/255", "AT, eps 4/255", "AT, eps 6/255", "AT"))),
    "distillation": ("knowledge distillation", (("AT", ENDS), ("AT + KD", ENDS))),
    "across": ("other data sets, norms and networks",
               tuple((name, ENDS)
                     for name in ("AT, CIFAR-100", "AT, Tiny-ImageNet", "AT, l2 128/255", "AT, DeiT-Ti"))),
    "fast_at": ("catastrophic overfitting of one-step training",
                (("fast AT", ENDS), ("fast AT, eps 16/255", ENDS))),
}

# What a scale changes: of every recipe (""), of one recipe, of one data set; a later one overrides an earlier one.
SCALES: dict[str, dict[str, dict[str, Any]]] = {
    # The public code's: all images, float32, batch norm in train mode in attacks too, selected on the test images.
    "paper": {"": {"val_size": 0, "select": "test", "bf16": "false", "attack_mode": "train"}},
    # One H200 takes 5.65 s for an epoch of PGD-10 on 49,000 images (PreActResNet-18, width 64): 10 minutes for 100, to
    # which 20 evaluations add a few. Images of 64 x 64 cost four times as much. The transformer was not timed; half its
    # epochs are left out in case. One-step training has only 30 epochs, of a second or two.
    "gpu": {"": {"epochs": 100, "compile": "true"},
            "at-deit": {"epochs": 50},
            "fast-at": {"epochs": 30},
            "tiny-imagenet": {"epochs": 50, "train_size": 50_000}},
    # Two cores take 10 minutes for the 1,000 images, which overfit robustly (README); evaluations of 10,000 test images
    # take longer than that. More classes need more images; those of Tiny-ImageNet are cut to 32 x 32.
    "cpu": {"": {"width": 16, "steps": 7, "epochs": 90, "train_size": 1000, "val_size": 500, "padding": 0,
                 "eval_every": 6, "select_every": "none"},
            "at-deit": {"width": 64, "depth": 4},
            "fast-at": {"steps": 1, "epochs": 60, "train_size": 4000, "eval_every": 4},
            "cifar100": {"train_size": 2000},
            "tiny-imagenet": {"train_size": 2000, "resize": 32}},
}


# What the paper's CAS of a data set was measured on: (beside the number, in a sentence).
NOTES = {
    "cifar100": ("CIFAR-10's normalisation",
                 "The paper's CAS of CIFAR-100 was measured under CIFAR-10's mean and deviation, not the set's own as "
                 "here."),
    "tiny-imagenet": ("a 2x2 map",
                      "The paper's network for Tiny-ImageNet keeps a 2x2 map before its last layer, four times the "
                      "features whose mean over all pixels it is here."),
}


def stage_epoch(stage: str, epochs: int) -> int | None:
    """Return the epoch of a stage in mid-run, its share of `epochs`, at least 1; None for best and last.

    >>> stage_epoch("underfit", 200), stage_epoch("underfit", 90), stage_epoch("last", 90)
    (70, 32, None)
    """
    share = STAGES[stage]
    return None if share is None else max(1, round(share * epochs))


def checkpoint_of(stage: str, epochs: int) -> str:
    """Return the name of a stage's checkpoint in a run folder of so many epochs, for `RunFolder.model_state`.

    >>> checkpoint_of("epoch10", 200), checkpoint_of("best", 200)
    ('checkpoints/epoch-0010', 'best')
    """
    epoch = stage_epoch(stage, epochs)
    return stage if epoch is None else kept_name(epoch)


def recipe_of(name: str, scale: str, seed: int, changes: Sequence[str] = (), data: str | None = None,
              teachers: Sequence[tuple[str, str]] = ()) -> Recipe:
    """Return the recipe of the system `name` at a scale.

    changes: `key=value` words over those of the scale. data: the name under which its images are read (None: its own
    data set's). teachers: (field, run) of those it learns from. ValueError as `recipe_named`, and for a
    change of what the tables compare.

    >>> recipe = recipe_of("AT, eps 12/255", "gpu", seed=1)
    >>> recipe.eps, recipe.epochs, recipe.width, recipe.keep_every  # of 35 and 5 epochs
    (Fraction(4, 85), 100, 64, 5)
    """
    system = SYSTEMS[name]
    for change in changes:
        key = change.partition("=")[0]
        if key in FIXED:
            raise ValueError(f"--set {change} was given, but the tables decide {', '.join(FIXED)}: set something else, "
                             "or train it with `deep train`.")
    scaled: dict[str, Any] = {}
    for part in ("", system.recipe, system.data):
        scaled |= SCALES[scale].get(part, {})
    words = [*(f"{key}={value}" for key, value in scaled.items()), *system.words, *changes,
             *(f"{field}={run}" for field, run in teachers), f"data={data or system.data}", f"seed={seed}"]
    recipe = recipe_named(system.recipe, words)
    if system.staged:
        epochs = [epoch for stage in STAGES if (epoch := stage_epoch(stage, recipe.epochs))]
        recipe = recipe_named(system.recipe, [*words, f"keep_every={math.gcd(*epochs)}"])
    return recipe


def differences(recipe: Recipe, name: str) -> dict[str, tuple[str, str]]:
    """Return {field: (its value, that at the paper's scale)} of what a recipe of the system `name` does otherwise.

    >>> differences(recipe_of("AT", "paper", 1, ["lr=0.2", "padding=0"]), "AT")
    {'lr': ('0.2', '0.1'), 'padding': ('0', '4')}
    """
    paper = recipe_of(name, "paper", 0, teachers=[(field, "RUN") for field, _ in SYSTEMS[name].teachers])
    return {name: (to_word(getattr(recipe, name)), to_word(getattr(paper, name))) for name in HINTS
            if name not in SAME and getattr(recipe, name) != getattr(paper, name)}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a table: its system and seed, and the names of the runs that teach it, in the same folder."""

    run: Run
    system: str
    seed: int
    teachers: tuple[str, ...] = ()


def plan_runs(table: str, scale: str, seeds: int, changes: Sequence[str] = (),
              data: Mapping[str, str] | None = None) -> dict[tuple[str, int], PlannedRun]:
    """List all runs of a table, teachers before those that they teach: {(system, seed): PlannedRun}.

    seeds: their number. data: {data set: the name under which its images are read}, as in `recipe_of`. A teacher is
    named by its run folder's name alone, without a path: runs keep their names wherever the folder OUT lies, and are
    trained in it.

    >>> [system for system, seed in plan_runs("distillation", "cpu", 1)]
    ['AT', 'standard training', 'AT + KD']
    """
    found = {}

    def enter(name: str, seed: int) -> PlannedRun:
        if (name, seed) not in found:
            system = SYSTEMS[name]
            teachers = [(field, enter(teacher, seed).run.name) for field, teacher in system.teachers]
            recipe = recipe_of(name, scale, seed, changes, (data or {}).get(system.data), teachers)
            found[name, seed] = PlannedRun(Run((name, f"seed={seed}"), recipe), name, seed,
                                        tuple(run for _, run in teachers))
        return found[name, seed]

    for seed in range(seeds):
        for name, _ in TABLES[table][1]:
            enter(name, seed)
    return found


def paper_lines(name: str) -> list[dict[str, Any]]:
    """Return the lines of a file of the paper's numbers; numbers as floats, an empty cell as None."""
    with files("deep.experiments.reproduction").joinpath("paper", name).open() as file:
        lines = list(csv.DictReader(file))
    numbers = ("eps_255", "epoch", "robust_accuracy", "cas", "delta_cas_best_minus_last")
    return [{key: (float(value) if value else None) if key in numbers else value for key, value in line.items()}
            for line in lines]


def paper_numbers(table: str, name: str, stage: str) -> dict[str, float | None]:
    """Return {"robust", "cas", "epoch"} that the paper gives for a system at a stage; None for what it does not give.

    The same training may stand in another of its tables: distillation is to be compared with the stages of AT.

    >>> paper_numbers("stages", "AT", "best")
    {'robust': 47.8, 'cas': 25.6, 'epoch': 108.0}
    """
    recipe = recipe_of(name, "paper", 0, teachers=[(field, "RUN") for field, _ in SYSTEMS[name].teachers])
    network = {"preactresnet18": "preactresnet18", "deit": "deit_tiny"}[recipe.model]
    method = "at+kd" if recipe.teacher else "at" if recipe.method == "at" and recipe.steps > 1 else None
    key = {"dataset": recipe.data.replace("-", ""), "arch": network, "norm": recipe.norm,
           "eps_255": float(recipe.eps * 255), "method": method, "stage": stage}
    lines = [line for line in paper_lines("results.csv") if key.items() <= line.items()]
    line = next((line for line in lines if line["table"] == table), lines[0] if lines else {})
    return {ours: line.get(theirs) for ours, theirs in (("robust", "robust_accuracy"), ("cas", "cas"),
                                                        ("epoch", "epoch"))}


def paper_cas_drop(name: str) -> float | None:
    """Return CAS at best minus CAS at last as the paper gives it for AT on CIFAR-10 at a system's eps, or None.

    >>> paper_cas_drop("AT, eps 2/255"), paper_cas_drop("AT, l2 128/255")
    (4.1, None)
    """
    recipe = recipe_of(name, "paper", 0, teachers=[(field, "RUN") for field, _ in SYSTEMS[name].teachers])
    if (SYSTEMS[name].recipe, recipe.data, recipe.teacher) != ("at", "cifar10", None):
        return None
    return next((line["delta_cas_best_minus_last"] for line in paper_lines("delta_cas.csv")
                 if line["eps_255"] == float(recipe.eps * 255)), None)
