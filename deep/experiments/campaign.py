"""The campaign of figures/predictions.toml: which runs it asks for, what is measured of each, and the result files.

A result is one JSON file an arm and seed, ARM-SEED.json, written when its run has been measured. A campaign that was
stopped goes on: finished runs are not trained again, results not measured again.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deep.attacks.pgd import Attack
from deep.data.dataset import Data, Split, balanced, unused
from deep.evaluation.accuracy import Outcome, evaluation_attack, measure, robust_loss
from deep.evaluation.battery import attack_rounds, rounds_of
from deep.evaluation.cas_intervals import cas_values
from deep.evaluation.neural_collapse import last_layer, neural_collapse
from deep.networks.classifier import Classifier
from deep.networks.folding import Folded
from deep.recipe.recipe import Recipe, recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.system.files import commit, write_text
from deep.system.reading import from_json
from deep.training.loop import load_data, train
from deep.training.step import Training

__all__ = ["Task", "measured_run", "result_path", "run_task", "tasks"]

TRAJECTORY_STEPS = 10  # of PGD along a training
END_STEPS = 20  # of PGD at its end
SAMPLE = 2000  # held-out images of APGD-T


@dataclass(frozen=True)
class Task:
    """One run: an arm of the plan and a seed, its recipe, and the recipe of the trunk that it branches off, or None."""

    arm: str
    name: str
    seed: int
    recipe: Recipe
    trunk: Recipe | None


def tasks(plan: Mapping[str, Any], arms: Iterable[str] | None = None) -> list[Task]:
    """The runs of a plan, arm by arm in its order, each with all seeds; `arms`: of these alone.

    A run has `seed` and `data_seed` of its seed. An arm with `branch` begins from the first arm's run of the same seed.
    ValueError for an arm that is not there, or a word that a recipe does not take.
    """
    campaign, listed = plan["campaign"], plan["arm"]
    wanted = {arm["id"] for arm in listed} if arms is None else set(arms)
    if missing := wanted - {arm["id"] for arm in listed}:
        raise ValueError(f"the arms {', '.join(sorted(missing))} were given, but the plan has "
                         f"{', '.join(arm['id'] for arm in listed)}: choose among them.")

    def recipe(words: list[str], seed: int) -> Recipe:
        return recipe_named(campaign["recipe"], [*campaign["words"], *words, f"seed={seed}", f"data_seed={seed}"])
    return [Task(arm["id"], arm["name"], seed, recipe(arm["words"], seed),
                 recipe(listed[0]["words"], seed) if arm.get("branch") else None)
            for arm in listed if arm["id"] in wanted for seed in campaign["seeds"]]


def result_path(folder: Path, task: Task) -> Path:
    """Where the result of a task is written."""
    return folder / f"{task.arm}-{task.seed}.json"


def of_split(outcome: Outcome, model: Classifier, loss: str) -> dict[str, dict[str, float]]:
    """{"": on adversarial inputs, "clean_": on clean ones}: accuracy, CAS and its nulls, collapse, the last layer."""
    weight, bias = (None if part is None else part.detach().cpu() for part in (model.linear.weight, model.linear.bias))
    assert weight is not None
    found = {}
    for name, features, right in (("", outcome.features, outcome.robust),
                                  ("clean_", outcome.clean_features, outcome.clean)):
        seen = Outcome(outcome.labels, outcome.clean, right, outcome.clean_features, features)
        found[name] = (cas_values(seen, weight) | neural_collapse(features, outcome.labels, weight, bias)
                       | last_layer(features, outcome.labels, weight, bias)
                       | {"accuracy": right.double().mean().item(),
                          "robust_loss": robust_loss(seen, model.linear, loss)})
    return found


def outcome_of(model: Classifier, split: Split, attack: Attack, progress: Callable[[int], None] | None) -> Outcome:
    """Attack a split once, with seed 0, the gradients taken from the folded network where there is one."""
    return measure(model, split, attack, 0, progress=progress,
                   attacked=Folded(model) if Folded.supports(model) else model)


def measured_run(run: RunFolder, recipe: Recipe, data: Data, held_out: Split,
                 progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """What the rules ask of a finished run: its measures along the training, and its accuracies at the end.

    held_out: the images that the end is measured on, test images and those that nobody trains on or selects by.
    checkpoints: at each kept epoch, on training and test images, adversarial (PGD-10 of the run's own eps) and clean.
    end: PGD-20 on all held-out images, APGD-T on a fixed sample of them.
    """
    lines = []
    for epoch in run.kept_epochs():
        model = load_network(run, data, f"checkpoints/epoch-{epoch:04d}")
        attack = evaluation_attack(recipe, data.box, TRAJECTORY_STEPS)
        line: dict[str, Any] = {"epoch": epoch}
        for name, split in (("train", data.train), ("test", data.test)):
            found = of_split(outcome_of(model, split, attack, progress), model, recipe.loss)
            line |= {f"{kind}{name}": values for kind, values in found.items()}
        lines.append(line)
    model = load_network(run, data, "last")
    outcome = outcome_of(model, held_out, evaluation_attack(recipe, data.box, END_STEPS), progress)
    index = balanced(held_out.labels, SAMPLE)
    sample = Split(held_out.images[index], held_out.labels[index])
    right = outcome.clean[index] & outcome.robust[index]  # what PGD breaks is broken
    rounds = rounds_of("apgd-t", evaluation_attack(recipe, data.box, END_STEPS), len(data.classes))
    broken = attack_rounds(model, sample, rounds, right, 0)
    return {"n_train": len(data.train), "n_test": len(data.test), "n_held_out": len(held_out), "n_sample": len(sample),
            "data": data.name, "steps": [TRAJECTORY_STEPS, END_STEPS], "checkpoints": lines,
            "end": {"clean": outcome.clean.double().mean().item(), "robust": outcome.robust.double().mean().item(),
                    "robust_apgd_t": (right & ~broken).double().mean().item()}}


def run_task(task: Task, root: str | Path | None, runs: Path, results: Path,
             progress: Callable[[Training], None] | None = None) -> dict[str, Any]:
    """Train or continue the run of a task, measure it, write its result, and return it; at once if it is written.

    root: the folder of the images. ValueError where the trunk has not been trained, or a
    result of another recipe is in the way.
    """
    path = result_path(results, task)
    recipe = task.recipe
    if path.exists():
        result = from_json(path.read_text())
        if result.get("recipe") != recipe.as_dict():
            raise ValueError(f"{path} is the result of another recipe: choose another folder of results, or remove it.")
        return result
    data = load_data(recipe, root)
    trunk = None if task.trunk is None else runs / run_name(task.trunk)
    run = train(recipe, data, runs, branch_of=trunk, progress=progress)
    more = unused(recipe.data, root, recipe.val_size, recipe.train_size, recipe.resize, recipe.data_seed)
    held_out = Split(torch.cat([data.test.images, more.images]), torch.cat([data.test.labels, more.labels]))
    result = {"arm": task.arm, "name": task.name, "seed": task.seed, "run": run.path.name, "commit": commit(),
              "recipe": recipe.as_dict(), "trunk": trunk and trunk.name} | measured_run(run, recipe, data, held_out)
    results.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(result) + "\n")
    return result
