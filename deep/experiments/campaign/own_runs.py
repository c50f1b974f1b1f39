"""A user's own runs: which arm of the plan each is, and what the rules ask of it, measured into RUN/confirm.json."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deep.experiments.campaign.plan import recipe_of
from deep.experiments.campaign.runs import held_out_images, kept_epochs, measured_run
from deep.recipe.recipe import Recipe
from deep.runs.fingerprint import data_for_evaluation, file_suffix
from deep.runs.folder import RunFolder
from deep.runs.results import weights_digest
from deep.system.files import commit, write_text
from deep.system.messages import tell
from deep.system.reading import from_json
from deep.training.loop import load_data

__all__ = ["arm_of", "own_results"]

SEEDS = ("seed", "data_seed")
OBSERVED = ("keep_every", "eval_every", "select_every", "eval_steps", "probe_steps")  # no training depends on them
TEACHERS = ("teacher", "standard_teacher")  # which may be a run of the same seed
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
    """What `measured_run` finds of a finished run; from RUN/confirm.json if that is of these weights, stop and base.

    On images that are not the run's own, their digest is in the file's name.
    """
    recipe = run.recipe()
    data = data_for_evaluation(run, load_data(recipe, root)).to(device)
    path = run.path / f"confirm{file_suffix(data)}.json"
    known = {"weights": weights_digest(run.model_state("last")["model"]), "stop": stop,
             "base": f"{base.norm} {base.eps}"}
    if path.exists():
        try:
            result = from_json(path.read_text())
            if known.items() <= result.items():
                return dict(result) | {"arm": arm, "run": str(run.path)}  # either may be another by now
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}): remove it, and the run is measured again.") from error
    result = {"arm": arm, "seed": recipe.seed, "run": str(run.path), "commit": commit(), "recipe": recipe.as_dict()}
    result |= known | measured_run(run, recipe, data, held_out_images(recipe, data, root), base=base, stopped_at=stop)
    write_text(path, json.dumps(result) + "\n")
    return result


def own_results(plan: Mapping[str, Any], words: Iterable[str], root: Callable[[Recipe], str | Path | None],
                device: str = "cpu") -> dict[str, dict[int, dict[str, Any]]]:
    """{arm: {seed: result}} of run folders, each given as RUN or ARM=RUN; those that are not measured yet are.

    root(recipe): the folder of its images. Before any is measured, ValueError for a run of no arm, two runs of one arm
    and seed, one that is not finished or has kept no checkpoint of its last epoch, one to be stopped at a run that was
    not given, and two runs to be compared, or of one arm, that differ in more than they may, or in the epochs of their
    checkpoints.
    """
    arms = {arm["id"]: arm for arm in plan["arm"]}
    given = by_arm_and_seed(plan, arms, words)
    for arm, runs in given.items():
        for seed, run in runs.items():
            check_measurable(run)
            if (stopper := arms[arm].get("stopped_at")) is not None and seed not in given.get(stopper, {}):
                raise ValueError(f"{run.path} was given as {arm}, which is stopped at the fit of {stopper} of the same "
                                 "seed: pass that run, too.")
    described = {arm: {seed: {"run": str(run.path), "recipe": run.recipe().as_dict(), "epochs": run.kept_epochs()}
                       for seed, run in runs.items()} for arm, runs in given.items()}
    check_comparable(plan, arms, described)
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for arm in sorted(given, key=lambda arm: "stopped_at" in arms[arm]):  # those that others are stopped at come first
        stopper, found[arm] = arms[arm].get("stopped_at"), {}
        for seed, run in given[arm].items():
            tell(f"{run.path} is taken as {arm}, seed {seed}.")
            stop = None if stopper is None else found[stopper][seed]["checkpoints"][-1]["train"]["accuracy"]
            base = recipe_of(plan["campaign"], plan["arm"][0]["words"], seed)
            found[arm][seed] = own_result(run, arm, base, root(run.recipe()), stop, device)
            described[arm][seed]["epochs"] = [line["epoch"] for line in found[arm][seed]["checkpoints"]]
    check_comparable(plan, arms, described)  # of what was measured before, checkpoints may have been removed
    return found


def by_arm_and_seed(plan: Mapping[str, Any], arms: Iterable[str], words: Iterable[str]
                    ) -> dict[str, dict[int, RunFolder]]:
    """{arm: {seed: run}} of RUN and ARM=RUN; ValueError for a run of no arm, and for two of one arm and seed."""
    given: dict[str, dict[int, RunFolder]] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if equals and name not in arms and (Path(path) / "recipe.json").exists() and not Path(word).exists():
            raise ValueError(f"{word} was given, but the plan has no arm {name}: choose among {', '.join(arms)}.")
        run = RunFolder(path if equals and name in arms else word)
        try:
            arm = name if equals and name in arms else arm_of(plan, run.recipe())
        except ValueError as error:
            text = str(error)
            raise ValueError(text if str(run.path) in text else f"{run.path} was given, but {text}") from error
        seed, runs = run.recipe().seed, given.setdefault(arm, {})
        if seed in runs:
            raise ValueError(f"{run.path} was given as {arm} of seed {seed}, as was {runs[seed].path}: pass one of "
                             "them.")
        runs[seed] = run
    return given


def check_measurable(run: RunFolder) -> None:
    """Raise ValueError for a run that is not finished, or has not kept the checkpoint of its last epoch.

    Of a run that was measured before, all checkpoints may have been removed.
    """
    epoch, epochs = run.model_state("last")["epoch"], run.recipe().epochs
    if epoch < epochs:
        raise ValueError(f"{run.path} has {epoch} of {epochs} epochs: continue it by `deep train` first.")
    if not run.kept_epochs() and any(run.path.glob("confirm*.json")):
        return
    if (last := kept_epochs(run)[-1]) != epochs:
        raise ValueError(f"{run.path} has kept no checkpoint of its last epoch, {epochs}, but of {last}, so that its "
                         f"course and its end are of different epochs: train it with a keep_every that divides "
                         f"{epochs}.")


def check_comparable(plan: Mapping[str, Any], arms: Mapping[str, Any],
                     found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
    """`check_seeds` of each arm, and `check_pair` of each two that are compared."""
    for arm in found:
        check_seeds(found, arm)
    for one, other in compared(plan):
        check_pair(arms, found, one, other)


def check_seeds(found: Mapping[str, Mapping[int, Mapping[str, Any]]], arm: str) -> None:
    """Raise ValueError where two runs of an arm differ in more than their seeds, or in the epochs of checkpoints."""
    first, *others = found[arm].values()
    for other in others:
        if differing := differences(first, other, {*SEEDS, *OBSERVED, *TEACHERS}):
            raise ValueError(f"{first['run']} and {other['run']} are both of {arm}, but differ in "
                             f"{', '.join(differing)}: pass runs that differ in their seeds alone.")
        begins = {epoch for run in (first, other) for epoch in run["epochs"][:1]}
        if len(begins) > 1 or other_epochs(first, other):
            raise ValueError(f"{first['run']} and {other['run']} are both of {arm}, but their checkpoints are of "
                             "different epochs: pass runs with the same keep_every that begin at the same epoch.")


def other_epochs(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two runs have checkpoints of different epochs where both have any: a branch begins after its trunk.

    >>> trunk, branch = {"epochs": [5, 10, 15, 20]}, {"epochs": [10, 15, 20]}
    >>> other_epochs(trunk, branch), other_epochs(trunk, {"epochs": [10, 20]})
    (False, True)
    """
    one, other = first["epochs"], second["epochs"]
    if not one or not other:
        return False
    begin, end = max(one[0], other[0]), min(one[-1], other[-1])
    return {*one} & {*range(begin, end + 1)} != {*other} & {*range(begin, end + 1)}


def differences(first: Mapping[str, Any], second: Mapping[str, Any], free: Iterable[str]) -> list[str]:
    """The settings in which the recipes of two runs differ, but for those that are free to."""
    one, other = (without(run["recipe"], free) for run in (first, second))
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def compared(plan: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The pairs of arms whose runs are subtracted: by predictions, and by rules of the conclusions.

    >>> conclusion = {"among": ["b2", "b3"], "refuted_rules": [{"minus": "a3"}],
    ...               "supported_rules": [{"arm": "b1", "minus": "a1"}]}
    >>> sorted(compared({"prediction": [{"arm": "a3", "minus": "a1"}, {"arm": "a2"}], "conclusion": [conclusion]}))
    [('a3', 'a1'), ('b1', 'a1'), ('b2', 'a3'), ('b3', 'a3')]
    """
    rules = [*plan["prediction"]]
    for conclusion in plan.get("conclusion", ()):
        rules += conclusion.get("supported_rules", ())
        rules += [rule | {"arm": arm} for rule in conclusion.get("refuted_rules", ())
                  for arm in conclusion.get("among", [rule.get("arm")])]
    return {(rule["arm"], rule["minus"]) for rule in rules if "minus" in rule}


def check_pair(arms: Mapping[str, Any], found: Mapping[str, Mapping[int, Mapping[str, Any]]], one: str, other: str
               ) -> None:
    """Raise ValueError where runs of two arms with the same seed differ in settings that neither arm names.

    Or in the epochs of their checkpoints, if neither names these.
    """
    named = {word.partition("=")[0] for arm in (one, other) for word in arms[arm]["words"]}
    for seed in found.get(one, {}).keys() & found.get(other, {}).keys():
        first, second = found[one][seed], found[other][seed]
        if differing := differences(first, second, {*named, *OBSERVED}):
            raise ValueError(f"{first['run']} and {second['run']} differ in {', '.join(differing)}, which {one} and "
                             f"{other} do not: compare runs that share it.")
        if not named & {"keep_every", "epochs"} and other_epochs(first, second):
            raise ValueError(f"{first['run']} and {second['run']} have checkpoints of different epochs, but {one} and "
                             f"{other} are compared: pass runs with the same keep_every.")
