"""The campaign of figures/predictions.toml: its runs are trained, and what the rules ask of each goes to a file.

A result is one JSON file an arm and seed, ARM-SEED.json, written when its run has been measured. A campaign that was
stopped goes on: finished runs are not trained again, results not measured again. Where the run of a trunk is lost, and
its result is not, an arm that is still to begin from it needs it trained again, which another processor does not repeat
bit by bit. What began there is compared with what began there: ARM-SEED-again-COURSE.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from deep.attacks.pgd import Attack
from deep.data.dataset import Data, Split, balanced, unused
from deep.data.layouts import LAYOUTS, locate, read_images
from deep.evaluation.accuracy import Outcome, evaluation_attack, outcome_of, robust_loss
from deep.evaluation.battery import attack_rounds, rounds_of
from deep.evaluation.cas_intervals import cas_values
from deep.evaluation.margins import margin_estimates, wrong_class_margins
from deep.evaluation.neural_collapse import last_layer, neural_collapse
from deep.evaluation.surgery import last_layer_surgery
from deep.experiments.campaign.plan import Task, result_path, tasks
from deep.networks.classifier import Classifier
from deep.networks.folding import folded
from deep.recipe.recipe import Recipe, kept_name, run_name
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.runs.results import course_of
from deep.system.files import commit, write_text
from deep.system.progress import bar, training_progress
from deep.system.reading import from_json
from deep.training.loop import load_data, train

__all__ = ["Task", "held_out_images", "kept_epochs", "measured_run", "other_images", "result_path", "run_task", "tasks",
           "to_train_again"]

TRAJECTORY_STEPS = 10  # of PGD along a training
END_STEPS = 20  # of PGD at its end
SAMPLE = 2000  # held-out images of APGD-T
FEWEST = 10  # images of a class, of whose margins a correlation says something
TRAINING_IMAGES = 10_000  # on which a training's course is measured, at most


def of_split(outcome: Outcome, model: Classifier, loss: str) -> dict[str, dict[str, float | None]]:
    """{"": on adversarial inputs, "clean_": on clean ones}: accuracy, CAS and its nulls, collapse, the last layer.

    "margin_rho": the correlation of an image's margins (`margin_estimates`, centred), a function of the scores alone;
    None where a class has too few images.
    """
    weight, bias = (None if part is None else part.detach().cpu() for part in (model.linear.weight, model.linear.bias))
    assert weight is not None
    found: dict[str, dict[str, float | None]] = {}
    for name, features, right in (("", outcome.features, outcome.robust),
                                  ("clean_", outcome.clean_features, outcome.clean)):
        seen = Outcome(outcome.labels, outcome.clean, right, outcome.clean_features, features)
        found[name] = {**cas_values(seen, weight), **neural_collapse(features, outcome.labels, weight, bias),
                       **last_layer(features, outcome.labels, weight, bias),
                       "accuracy": right.double().mean().item(), "robust_loss": robust_loss(seen, model.linear, loss),
                       "margin_rho": margin_rho(seen, model.linear)}
    return found


def margin_rho(outcome: Outcome, linear: torch.nn.Linear) -> float | None:
    if outcome.labels.bincount(minlength=linear.out_features).min() < FEWEST:
        return None
    rho = margin_estimates(wrong_class_margins(outcome, linear), outcome.labels)["centred"]["rho"]
    return None if rho is None else float(rho)


def nearest(lines: list[dict[str, Any]], robust: float) -> int:
    """The place of the checkpoint whose accuracy on adversarial training images is nearest; of equal ones the first.

    >>> nearest([{"train": {"accuracy": value}} for value in (0.2, 0.5, 0.9)], 0.6)
    1
    """
    return min(range(len(lines)), key=lambda place: abs(lines[place]["train"]["accuracy"] - robust))


def measured_run(run: RunFolder, recipe: Recipe, data: Data, held_out: Split, *, base: Recipe | None = None,
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

    kept = kept_epochs(run)
    dtype = torch.bfloat16 if recipe.bf16 else None
    index = balanced(data.train.labels, TRAINING_IMAGES)
    train_images = Split(data.train.images[index], data.train.labels[index])
    attack = evaluation_attack(recipe, data.box, TRAJECTORY_STEPS)
    tests = [("test", attack)]
    if base is not None and (base.norm, base.eps) != (recipe.norm, recipe.eps):
        tests.append(("common", evaluation_attack(base, data.box, TRAJECTORY_STEPS)))
    lines: list[dict[str, Any]] = [{"epoch": epoch} for epoch in kept]
    with bar(f"measuring {run.path.name}", len(kept) * (1 + len(tests)) + 2 + surgery) as advance:  # in attacks
        def attack_each(name: str, split: Split, tried: Attack) -> None:
            for line in lines:
                model = network(kept_name(line["epoch"]))
                found = of_split(outcome_of(model, split, tried, dtype), model, recipe.loss)
                line[name] = found[""]
                if name != "common":  # whose clean images are those of "test"
                    line[f"clean_{name}"] = found["clean_"]
                advance(1)

        attack_each("train", train_images, attack)
        if stopped_at is not None:
            stop = nearest(lines, stopped_at) + 1
            advance((len(lines) - stop) * len(tests))
            lines = lines[:stop]
        for name, tried in tests:
            attack_each(name, data.test, tried)
        last = recipe.epochs if stopped_at is None else lines[-1]["epoch"]
        model = network("last" if stopped_at is None else kept_name(last))
        result = {"n_train": len(train_images), "n_test": len(data.test), "n_held_out": len(held_out),
                  "n_sample": min(SAMPLE, len(held_out)), "data": data.name, "steps": [TRAJECTORY_STEPS, END_STEPS],
                  "checkpoints": lines,
                  "end": {"epoch": last} | final_accuracies(model, recipe, data, held_out, dtype)}
        advance(2)
        if surgery:
            unused = Split(held_out.images[len(data.test):], held_out.labels[len(data.test):])
            index = balanced(unused.labels, SAMPLE)
            early = max((epoch for epoch in kept if 4 * epoch <= recipe.epochs), default=kept[0])
            result["surgery"] = {"early_epoch": early, "n_refit": len(index)} | last_layer_surgery(
                network(kept_name(early)), model, Split(unused.images[index], unused.labels[index]), data.test, attack,
                dtype)
            advance(1)
    return result


def final_accuracies(model: Classifier, recipe: Recipe, data: Data, held_out: Split, dtype: torch.dtype | None
                     ) -> dict[str, float]:
    """{"clean", "robust": under PGD, on all held-out images; "robust_apgd_t": on a fixed sample of them}."""
    attack = evaluation_attack(recipe, data.box, END_STEPS)
    outcome = outcome_of(model, held_out, attack, dtype)
    index = balanced(held_out.labels, SAMPLE)
    sample = Split(held_out.images[index], held_out.labels[index])
    right = outcome.clean[index] & outcome.robust[index]  # what PGD breaks is broken
    broken = attack_rounds(model, sample, rounds_of("apgd-t", attack, len(data.classes)), right, 0,
                           attacked=folded(model))
    return {"clean": outcome.clean.double().mean().item(), "robust": outcome.robust.double().mean().item(),
            "robust_apgd_t": (right & ~broken).double().mean().item()}


def kept_epochs(run: RunFolder) -> list[int]:
    """The epochs whose checkpoints a run has kept; ValueError for none."""
    if kept := run.kept_epochs():
        return kept
    raise ValueError(f"{run.path} has kept no checkpoint on the way, so that nothing can be said of its course: train "
                     "it with keep_every=N.")


def held_out_images(recipe: Recipe, data: Data, root: str | Path | None) -> Split:
    """The test images, then the training images that a run of this recipe neither trains on nor selects by."""
    if recipe.data == "planted":
        return data.test
    more = unused(recipe.data, root, recipe.val_size, recipe.train_size, recipe.resize, recipe.data_seed).to(
        data.test.images.device)
    return Split(torch.cat([data.test.images, more.images]), torch.cat([data.test.labels, more.labels]))


def to_train_again(plan: Mapping[str, Any], task: Task, results: Path) -> list[Task]:
    """The trunk of a task, and the arms on it that a prediction compares it with, as far as they have results.

    These may be of a training that is lost: `run_task(again=True)` sees to it. None for a task that has its own result,
    or no trunk.
    """
    if task.trunk is None or result_path(results, task).exists():
        return []
    pairs = [(rule["arm"], rule.get("minus")) for rule in plan["prediction"]]
    compared = {arm for pair in pairs if task.arm in pair for arm in pair}
    return [one for one in tasks(plan) if one.seed == task.seed and result_path(results, one).exists()
            and (one.recipe == task.trunk or (one.trunk == task.trunk and one.arm in compared))]


def other_images(plan: Mapping[str, Any], root: str | Path | None) -> bool:
    """Whether the CIFAR-10 in a folder is not that of the plan; False for a plan that names no images.

    False, too, where there is none that can be read: a training says why.
    """
    if "images" not in plan["campaign"]:
        return False
    try:
        images, _ = read_images(LAYOUTS["cifar10"], locate(LAYOUTS["cifar10"], root or ""), None)
    except ValueError:
        return False
    splits = ((images.train_images, images.train_labels), (images.test_images, images.test_labels))
    return [Split(*map(torch.from_numpy, split)).digest() for split in splits] != plan["campaign"]["images"]


def run_task(task: Task, root: str | Path | None, runs: Path, results: Path, device: str = "cpu", again: bool = False
             ) -> dict[str, Any]:
    """Train or continue the run of a task, measure it, write its result, and return it; at once if it is written.

    root: the folder of the images. again: where the written result is not of the training that lies in `runs`, or of
    its trunk's, train, and write beside it. "course" of a result: `course_of` its run. ValueError where the trunk has
    not been trained, the run has begun from another training of it, the arm at which the run is stopped has not been
    measured, or a result of another recipe is in the way.
    """
    first, recipe = result_path(results, task), task.recipe
    result = written(first, recipe)
    if result is not None and not again:
        return result
    stop = None if task.stopped_at is None else train_accuracy(results / f"{task.stopped_at}-{task.seed}.json")
    trunk = None if task.trunk is None else runs / run_name(task.trunk)
    begins = None if trunk is None else course_of(RunFolder(trunk))
    if begins is not None and (result := written_of(task, begins, results)) is not None:
        return result
    data = load_data(recipe, root)
    with training_progress(recipe) as progress:
        run = train(recipe, data, runs, device=device, branch_of=trunk, progress=progress)
    course = course_of(run) or begins  # older branches do not say
    if begins not in (None, course):
        raise ValueError(f"{run.path} began from another training of {trunk} than lies there now, so that they cannot "
                         "be compared: move one of them away.")
    if course is not None and (result := written_of(task, course, results)) is not None:
        return result
    result = {"arm": task.arm, "name": task.name, "seed": task.seed, "run": run.path.name, "commit": commit(),
              "recipe": recipe.as_dict(), "trunk": trunk and trunk.name, "stopped_at": task.stopped_at,
              "course": course}
    data = data.to(device)
    result |= measured_run(run, recipe, data, held_out_images(recipe, data, root), base=task.base, stopped_at=stop,
                           surgery=recipe == task.base)
    results.mkdir(parents=True, exist_ok=True)
    write_text(result_path(results, task, course) if first.exists() else first, json.dumps(result) + "\n")
    return result


def written(path: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The result in a file, None without it; ValueError for one of another recipe."""
    if not path.exists():
        return None
    result: dict[str, Any] = from_json(path.read_text())
    if result.get("recipe") != recipe.as_dict():
        raise ValueError(f"{path} is the result of another recipe: choose another folder of results, or remove it.")
    return result


def written_of(task: Task, course: str, results: Path) -> dict[str, Any] | None:
    """The result of a task that is written and of this course, if there is one."""
    found = (written(path, task.recipe) for path in (result_path(results, task), result_path(results, task, course)))
    return next((one for one in found if one is not None and one.get("course") == course), None)


def train_accuracy(path: Path) -> float:
    """The accuracy on adversarial training images at the end of a run, from its result file."""
    if not path.exists():
        raise ValueError(f"{path} is not there, but a run is to be stopped at its accuracy on training images: run its "
                         "arm first.")
    return float(from_json(path.read_text())["checkpoints"][-1]["train"]["accuracy"])
