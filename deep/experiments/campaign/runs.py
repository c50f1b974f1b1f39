"""The campaign of figures/predictions.toml: its runs are trained, and what the rules ask of each goes to a file.

A result is one JSON file an arm and seed, ARM-SEED.json, written when its run has been measured. A campaign that was
stopped goes on: finished runs are not trained again, results not measured again.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deep.attacks.pgd import Attack
from deep.data.dataset import Data, Split, balanced, unused
from deep.evaluation.accuracy import Outcome, evaluation_attack, measure, robust_loss
from deep.evaluation.battery import attack_rounds, rounds_of
from deep.evaluation.cas_intervals import cas_values
from deep.evaluation.neural_collapse import last_layer, neural_collapse
from deep.evaluation.surgery import last_layer_surgery
from deep.experiments.campaign.plan import Task, result_path, tasks
from deep.networks.classifier import Classifier
from deep.networks.folding import Folded
from deep.recipe.recipe import Recipe, run_name
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.system.files import commit, write_text
from deep.system.reading import from_json
from deep.training.loop import load_data, train
from deep.training.step import Training

__all__ = ["Task", "held_out_images", "measured_run", "result_path", "run_task", "tasks"]

TRAJECTORY_STEPS = 10  # of PGD along a training
END_STEPS = 20  # of PGD at its end
SAMPLE = 2000  # held-out images of APGD-T
TRAINING_IMAGES = 10_000  # on which a training's course is measured, at most


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


def folded(model: Classifier, dtype: torch.dtype | None = None) -> nn.Module:
    """The folded network where there is one, else the network: the same scores, sooner."""
    return Folded(model, dtype) if Folded.supports(model) else model


def outcome_of(model: Classifier, split: Split, attack: Attack, progress: Callable[[int], None] | None,
               dtype: torch.dtype | None = None) -> Outcome:
    """Attack a split once, with seed 0, the gradients taken from the folded network where there is one, in `dtype`.

    The network itself judges, in float32.
    """
    return measure(model, split, attack, 0, progress=progress, attacked=folded(model, dtype))


def nearest(lines: list[dict[str, Any]], robust: float) -> int:
    """The place of the checkpoint whose accuracy on adversarial training images is nearest; of equal ones the first.

    >>> nearest([{"train": {"accuracy": value}} for value in (0.2, 0.5, 0.9)], 0.6)
    1
    """
    return min(range(len(lines)), key=lambda place: abs(lines[place]["train"]["accuracy"] - robust))


def measured_run(run: RunFolder, recipe: Recipe, data: Data, held_out: Split,
                 progress: Callable[[int], None] | None = None, *, base: Recipe | None = None,
                 stopped_at: float | None = None, surgery: bool = False) -> dict[str, Any]:
    """What the rules ask of a finished run: its measures along the training, and its accuracies at the end.

    held_out: the images that the end is measured on, the test images and then those that nobody trains on or selects
    by. A run with a running average is measured by that, once it has begun. All is computed where the images are.

    PGD takes its gradients in the precision of the training; all else is float32.
    checkpoints: at each kept epoch, on training images (10,000 of them at most) and test images, adversarial (PGD-10
    of the run's own ball) and clean; "common": on test images in the ball of `base`, where that is another one.
    end: PGD-20 on all held-out images, APGD-T on a fixed sample of them; of the last epoch, or, given `stopped_at`, of
    the kept epoch whose accuracy on adversarial training images is nearest to it, which is then the last of
    checkpoints. surgery: `last_layer_surgery` of a checkpoint at a quarter of the epochs and the last one.
    """
    def network(which: str) -> Classifier:
        return load_network(run, data, which, data.test.images.device, averaged=True)
    dtype = torch.bfloat16 if recipe.bf16 else None
    index = balanced(data.train.labels, TRAINING_IMAGES)
    train_images = Split(data.train.images[index], data.train.labels[index])
    attack = evaluation_attack(recipe, data.box, TRAJECTORY_STEPS)
    splits = [("train", train_images, attack), ("test", data.test, attack)]
    if base is not None and (base.norm, base.eps) != (recipe.norm, recipe.eps):
        splits.append(("common", data.test, evaluation_attack(base, data.box, TRAJECTORY_STEPS)))
    kept, lines = run.kept_epochs(), []
    if not kept:
        raise ValueError(f"{run.path} has kept no checkpoint on the way, so that nothing can be said of its course: "
                         "train it with keep_every=N.")
    for epoch in kept:
        model = network(checkpoint(epoch))
        line: dict[str, Any] = {"epoch": epoch}
        for name, split, tried in splits:
            found = of_split(outcome_of(model, split, tried, progress, dtype), model, recipe.loss)
            line |= {f"{kind}{name}": values for kind, values in found.items()}
        lines.append(line)
    if stopped_at is not None:
        lines = lines[:nearest(lines, stopped_at) + 1]
    last = recipe.epochs if stopped_at is None else lines[-1]["epoch"]
    model = network("last" if stopped_at is None else checkpoint(last))
    outcome = outcome_of(model, held_out, evaluation_attack(recipe, data.box, END_STEPS), progress, dtype)
    index = balanced(held_out.labels, SAMPLE)
    sample = Split(held_out.images[index], held_out.labels[index])
    right = outcome.clean[index] & outcome.robust[index]  # what PGD breaks is broken
    rounds = rounds_of("apgd-t", evaluation_attack(recipe, data.box, END_STEPS), len(data.classes))
    broken = attack_rounds(model, sample, rounds, right, 0, attacked=folded(model))
    result = {"n_train": len(train_images), "n_test": len(data.test), "n_held_out": len(held_out),
              "n_sample": len(sample), "data": data.name, "steps": [TRAJECTORY_STEPS, END_STEPS],
              "checkpoints": lines,
              "end": {"epoch": last, "clean": outcome.clean.double().mean().item(),
                      "robust": outcome.robust.double().mean().item(),
                      "robust_apgd_t": (right & ~broken).double().mean().item()}}
    if surgery:
        unused = Split(held_out.images[len(data.test):], held_out.labels[len(data.test):])
        index = balanced(unused.labels, SAMPLE)
        early = max((epoch for epoch in kept if 4 * epoch <= recipe.epochs), default=kept[0])
        result["surgery"] = {"early_epoch": early, "n_refit": len(index)} | last_layer_surgery(
            network(checkpoint(early)), model, Split(unused.images[index], unused.labels[index]), data.test, attack,
            progress)
    return result


def checkpoint(epoch: int) -> str:
    """The name of the checkpoint that was kept after an epoch."""
    return f"checkpoints/epoch-{epoch:04d}"


def held_out_images(recipe: Recipe, data: Data, root: str | Path | None) -> Split:
    """The test images, then the training images that a run of this recipe neither trains on nor selects by."""
    if recipe.data == "planted":
        return data.test
    more = unused(recipe.data, root, recipe.val_size, recipe.train_size, recipe.resize, recipe.data_seed).to(
        data.test.images.device)
    return Split(torch.cat([data.test.images, more.images]), torch.cat([data.test.labels, more.labels]))


def run_task(task: Task, root: str | Path | None, runs: Path, results: Path,
             progress: Callable[[Training], None] | None = None, device: str = "cpu") -> dict[str, Any]:
    """Train or continue the run of a task, measure it, write its result, and return it; at once if it is written.

    root: the folder of the images. ValueError where the trunk has not been trained, the arm at which the run is
    stopped has not been measured, or a result of another recipe is in the way.
    """
    path = result_path(results, task)
    recipe = task.recipe
    if path.exists():
        result = from_json(path.read_text())
        if result.get("recipe") != recipe.as_dict():
            raise ValueError(f"{path} is the result of another recipe: choose another folder of results, or remove it.")
        return result
    stop = None if task.stopped_at is None else train_accuracy(results / f"{task.stopped_at}-{task.seed}.json")
    data = load_data(recipe, root)
    trunk = None if task.trunk is None else runs / run_name(task.trunk)
    run = train(recipe, data, runs, device=device, branch_of=trunk, progress=progress)
    result = {"arm": task.arm, "name": task.name, "seed": task.seed, "run": run.path.name, "commit": commit(),
              "recipe": recipe.as_dict(), "trunk": trunk and trunk.name, "stopped_at": task.stopped_at}
    data = data.to(device)
    result |= measured_run(run, recipe, data, held_out_images(recipe, data, root), base=task.base, stopped_at=stop,
                           surgery=recipe == task.base)
    results.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(result) + "\n")
    return result


def train_accuracy(path: Path) -> float:
    """The accuracy on adversarial training images at the end of a run, from its result file."""
    if not path.exists():
        raise ValueError(f"{path} is not there, but a run is to be stopped at its accuracy on training images: run its "
                         "arm first.")
    return float(from_json(path.read_text())["checkpoints"][-1]["train"]["accuracy"])
