"""A user's own runs: which arm of the plan each is, and what the rules ask of it, measured into RUN/confirm.json."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deep.experiments.campaign.plan import recipe_of
from deep.experiments.campaign.runs import held_out_images, measured_run
from deep.recipe.recipe import Recipe
from deep.runs.fingerprint import data_for_evaluation
from deep.runs.folder import RunFolder
from deep.runs.results import weights_digest
from deep.system.files import commit, write_text
from deep.system.reading import from_json
from deep.training.loop import load_data

__all__ = ["arm_of", "own_results"]

SEEDS = ("seed", "data_seed")
OBSERVED = ("keep_every", "eval_every", "select_every", "eval_steps", "probe_steps")  # no training depends on them
SIZES = ("width", "depth", "train_size", "val_size", "epochs", "batch", "bf16", "channels_last", "compile")


def without(recipe: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name not in names}


def arm_of(plan: Mapping[str, Any], recipe: Recipe) -> str:
    """The first arm of the plan that a recipe is, whatever its seeds, its sizes and what it keeps; ValueError for none.

    >>> from deep.experiments.campaign.plan import committed, plan_of
    >>> from deep.recipe.recipe import recipe_named
    >>> words = ["padding=0", "epochs=90", "train_size=none", "width=64", "seed=7", "trim=2/5", "trim_from=1/4"]
    >>> arm_of(plan_of(committed()[0]), recipe_named("at-cpu", words))
    'a3'
    """
    free = {*SEEDS, *OBSERVED, *SIZES}
    for arm in plan["arm"]:
        if without(recipe_of(plan["campaign"], arm["words"], 0).as_dict(), free) == without(recipe.as_dict(), free):
            return str(arm["id"])
    raise ValueError("its recipe is that of no arm of the plan, whatever its size: say which arm it is to stand for, "
                     "ARM=RUN.")


def own_result(run: RunFolder, arm: str, base: Recipe, root: str | Path | None, stop: float | None,
               device: str) -> dict[str, Any]:
    """What `measured_run` finds of a finished run; from RUN/confirm.json if that is of these weights and this stop."""
    recipe, path, state = run.recipe(), run.path / "confirm.json", run.model_state("last")
    if state["epoch"] < recipe.epochs:
        raise ValueError(f"{run.path} has {state['epoch']} of {recipe.epochs} epochs: continue it by `deep train` "
                         "first.")
    known = {"weights": weights_digest(state["model"]), "stop": stop}
    if path.exists():
        try:
            result = from_json(path.read_text())
            if known.items() <= result.items():
                return dict(result) | {"arm": arm}
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}): remove it, and the run is measured again.") from error
    data = data_for_evaluation(run, load_data(recipe, root)).to(device)
    result = {"arm": arm, "seed": recipe.seed, "run": str(run.path), "commit": commit(), "recipe": recipe.as_dict()}
    result |= known | measured_run(run, recipe, data, held_out_images(recipe, data, root), base=base, stopped_at=stop)
    write_text(path, json.dumps(result) + "\n")
    return result


def own_results(plan: Mapping[str, Any], words: Iterable[str], root: Callable[[Recipe], str | Path | None],
                device: str = "cpu") -> dict[str, dict[int, dict[str, Any]]]:
    """{arm: {seed: result}} of run folders, each given as RUN or ARM=RUN; those that are not measured yet are.

    root(recipe): the folder of its images. ValueError for a run of no arm, two runs of one arm and seed, one that is
    not finished, or two to be compared that differ in more than their arms do.
    """
    arms = {arm["id"]: arm for arm in plan["arm"]}
    chosen = []
    for word in words:
        name, equals, path = word.partition("=")
        run = RunFolder(path if equals and name in arms else word)
        try:
            chosen.append((name if equals and name in arms else arm_of(plan, run.recipe()), run))
        except ValueError as error:
            text = str(error)
            raise ValueError(text if str(run.path) in text else f"{run.path} was given, but {text}") from error
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for arm, run in sorted(chosen, key=lambda pair: "stopped_at" in arms[pair[0]]):  # those that others stop come first
        recipe, stopper = run.recipe(), arms[arm].get("stopped_at")
        if recipe.seed in found.get(arm, {}):
            raise ValueError(f"{run.path} was given as {arm} of seed {recipe.seed}, as was "
                             f"{found[arm][recipe.seed]['run']}: pass one of them.")
        if stopper is not None and recipe.seed not in found.get(stopper, {}):
            raise ValueError(f"{run.path} was given as {arm}, which is stopped at the fit of {stopper} of the same "
                             "seed: pass that run, too.")
        stop = None if stopper is None else found[stopper][recipe.seed]["checkpoints"][-1]["train"]["accuracy"]
        base = recipe_of(plan["campaign"], plan["arm"][0]["words"], recipe.seed)
        found.setdefault(arm, {})[recipe.seed] = own_result(run, arm, base, root(recipe), stop, device)
    for prediction in plan["prediction"]:
        if "minus" in prediction:
            check_pair(arms, found, prediction["arm"], prediction["minus"])
    return found


def check_pair(arms: Mapping[str, Any], found: Mapping[str, Mapping[int, Mapping[str, Any]]], one: str, other: str
               ) -> None:
    """Raise ValueError where runs of two arms with the same seed differ in settings that neither arm names."""
    named = {word.partition("=")[0] for arm in (one, other) for word in arms[arm]["words"]}
    for seed in found.get(one, {}).keys() & found.get(other, {}).keys():
        first, second = (without(found[arm][seed]["recipe"], {*named, *OBSERVED}) for arm in (one, other))
        if differing := sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key)):
            raise ValueError(f"{found[one][seed]['run']} and {found[other][seed]['run']} differ in "
                             f"{', '.join(differing)}, which {one} and {other} do not: compare runs that share it.")
