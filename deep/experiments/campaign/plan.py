"""The plan of figures/predictions.toml: which runs it asks for, and the results that have been written of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from deep.recipe.recipe import Recipe, recipe_named
from deep.system.reading import from_json, from_toml

__all__ = ["Task", "check_recipes", "committed", "needed_tasks", "of_any_seeds", "plan_of", "read_results",
           "result_path", "results_of", "tasks"]

PARTS: dict[str, set[str]] = {  # of a plan, and what each table of them must have
    "campaign": {"recipe", "words", "seeds", "level"}, "effect": set(), "arm": {"id", "name", "words"},
    "prediction": {"id", "claim", "arm", "quantity"},
    "correlation": {"id", "claim", "arm", "x", "y", "given", "at_most", "pooled"}, "conclusion": {"id", "statement"}}
LISTED = ("arm", "prediction", "correlation", "conclusion")
OPTIONAL = ("correlation", "conclusion")
FOLLOWED = ("refuted_by", "supported_by", "supported_contradicted")  # of a conclusion: predictions


def committed() -> tuple[Path, Path]:
    """The plan and the folder of results of the package: figures/predictions.toml, figures/data/campaign."""
    figures = Path(str(files("figures")))
    return figures / "predictions.toml", figures / "data" / "campaign"


def plan_of(path: Path) -> dict[str, Any]:
    """The plan in a TOML file.

    ValueError, in one sentence, for one that cannot be read, lacks a part, or names an arm or a prediction that it has
    not.
    """
    try:
        plan = from_toml(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} was given as a plan, but cannot be read ({error.strerror}): pass a file in the form "
                         "of figures/predictions.toml.") from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a plan ({error}): write it as figures/predictions.toml.") from error
    for name, keys in PARTS.items():
        tables = plan.get(name, [])
        if name in LISTED and isinstance(tables, dict):
            raise ValueError(f"{path} was given as a plan, but its {name} is one table, and there may be several: "
                             f"write each below a line [[{name}]], as in figures/predictions.toml.")
        several = name in LISTED and isinstance(tables, list) and (tables or name in OPTIONAL)
        for table in tables if several else [tables]:
            if not isinstance(table, dict) or not keys <= table.keys():
                raise ValueError(f"{path} was given as a plan, but not every {name} in it is a table"
                                 f"{' with ' + ', '.join(sorted(keys)) if keys else ''}: write it as in "
                                 "figures/predictions.toml.")
    known = [arm["id"] for arm in plan["arm"]]
    for rule, arm in judged_arms(plan):
        if arm not in known:
            raise ValueError(f"{path} was given as a plan, but {rule} in it is of an arm {arm}, and the arms are "
                             f"{', '.join(map(str, known))}: choose among them.")
    predicted = [rule["id"] for rule in plan["prediction"]]
    for conclusion in plan.get("conclusion", ()):
        for one in (one for key in FOLLOWED for one in conclusion.get(key, ()) if one not in predicted):
            raise ValueError(f"{path} was given as a plan, but {conclusion['id']} in it follows from a prediction "
                             f"{one}, and the predictions are {', '.join(map(str, predicted))}: choose among them.")
    return plan


def judged_arms(plan: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The id of each prediction, correlation and conclusion with each arm that it names.

    >>> list(judged_arms({"prediction": [{"id": "gain", "arm": "a3", "minus": "a1"}],
    ...                   "conclusion": [{"id": "all", "among": ["a4"], "refuted_rules": [{"minus": "a3"}]}]}))
    [('gain', 'a3'), ('gain', 'a1'), ('all', 'a3'), ('all', 'a4')]
    """
    for rule in (*plan["prediction"], *plan.get("correlation", ()), *plan.get("conclusion", ())):
        parts = [rule, *rule.get("supported_rules", ()), *rule.get("refuted_rules", ())]
        named = (part[key] for part in parts for key in ("arm", "minus") if key in part)
        for arm in (*named, *rule.get("pooled", ()), *rule.get("among", ())):
            yield rule["id"], arm


def read_results(folder: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """{arm: {seed: result}} of the files in a folder; none if there is no folder. ValueError names a damaged file.

    A result's "again": those of the same arm and seed trained again, ARM-SEED-again-COURSE.json, if there are any.
    """
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: ("-again-" in path.name, path.name)):
        try:
            result = from_json(path.read_text())
            arm, seed = result["arm"], int(result["seed"])
            again = "-again-" in path.name and result["course"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no result of a campaign, or it is damaged: pass a folder that `deep confirm "
                             "--run` has filled, or restore the file from a copy.") from error
        if not again:
            found.setdefault(arm, {})[seed] = result
        elif seed not in found.get(arm, {}):
            raise ValueError(f"{path} is of a run trained again, but there is no {arm}-{seed}.json beside it: restore "
                             "that file from a copy.")
        else:
            found[arm][seed].setdefault("again", []).append(result)
    return found


@dataclass(frozen=True)
class Task:
    """One run: an arm of the plan and a seed, its recipe, and the recipe of the run that it branches off, or None.

    base: the recipe of the plan's first arm, of the same seed. stopped_at: None, or the arm at whose accuracy on
    adversarial training images this run counts as stopped.
    """

    arm: str
    name: str
    seed: int
    recipe: Recipe
    trunk: Recipe | None
    base: Recipe
    stopped_at: str | None = None


def recipe_of(campaign: Mapping[str, Any], words: list[str], seed: int) -> Recipe:
    """The recipe of an arm's words, which override those of the campaign, and of a seed."""
    return recipe_named(campaign["recipe"], [*campaign["words"], *words, f"seed={seed}", f"data_seed={seed}"])


def check_recipes(plan: Mapping[str, Any], runs: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
    """Raise ValueError unless each result {arm: {seed: result}} is of an arm of the plan, its recipe, and its seeds."""
    words = {arm["id"]: arm["words"] for arm in plan["arm"]}
    seeds = {arm["id"]: arm.get("seeds", plan["campaign"]["seeds"]) for arm in plan["arm"]}
    for arm, results in runs.items():
        if arm not in words:
            raise ValueError(f"results of an arm {arm} were given, but the plan has {', '.join(words)}: judge them by "
                             "their own plan.")
        for seed, result in results.items():
            if seed not in seeds[arm]:
                raise ValueError(f"the result {arm}-{seed} was given, but the plan asks for the seeds "
                                 f"{', '.join(map(str, seeds[arm]))}: judge it by its own plan.")
            for one in (result, *result.get("again", ())):
                if one.get("recipe") != recipe_of(plan["campaign"], words[arm], seed).as_dict():
                    name = f"{arm}-{seed}" + ("" if one is result else f"-again-{one['course']}")
                    raise ValueError(f"the result {name} is of another recipe than the plan's: judge it by its own "
                                     "plan, or remove it and run it again.")


def results_of(plan: Mapping[str, Any], folder: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """`read_results`, after `check_recipes`."""
    found = read_results(folder)
    check_recipes(plan, found)
    return found


def of_any_seeds(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan that asks for no seeds of its own, for the judgement of runs that somebody else chose."""
    def without(table: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in table.items() if key != "seeds"}
    return dict(plan) | {"campaign": without(plan["campaign"]), "arm": [without(arm) for arm in plan["arm"]]}


def tasks(plan: Mapping[str, Any], arms: Iterable[str] | None = None) -> list[Task]:
    """The runs of a plan, arm by arm in its order, each with its seeds; `arms`: of these alone.

    A run has `seed` and `data_seed` of its seed; an arm's words come after those of the campaign and override them. An
    arm with `branch = true` begins from the first arm's run of the same seed, with `branch = ARM` from that arm's; its
    `seeds` are its own, or the campaign's. ValueError for an arm that is not there, or a word that a recipe does not
    take.
    """
    campaign, listed = plan["campaign"], plan["arm"]
    known = {arm["id"]: arm for arm in listed}
    wanted = set(known) if arms is None else set(arms)
    asked = {name for arm in listed for name in (arm.get("branch"), arm.get("stopped_at")) if isinstance(name, str)}
    if missing := (wanted | asked) - set(known):
        raise ValueError(f"the arms {', '.join(sorted(missing))} were given, but the plan has "
                         f"{', '.join(known)}: choose among them.")

    def recipe(words: list[str], seed: int) -> Recipe:
        return recipe_of(campaign, words, seed)

    def trunk(arm: Mapping[str, Any], seed: int) -> Recipe | None:
        branch = arm.get("branch")
        words = listed[0]["words"] if branch is True else known[branch]["words"] if branch else None
        return None if words is None else recipe(words, seed)
    return [Task(arm["id"], arm["name"], seed, recipe(arm["words"], seed), trunk(arm, seed),
                 recipe(listed[0]["words"], seed), arm.get("stopped_at"))
            for arm in listed if arm["id"] in wanted for seed in arm.get("seeds", campaign["seeds"])]


def needed_tasks(plan: Mapping[str, Any], arms: Iterable[str]) -> list[Task]:
    """`tasks` of these arms, and before each the run, of the same seed, that it begins from or is stopped at.

    >>> from deep.experiments.campaign.plan import committed, plan_of
    >>> [(task.arm, task.seed) for task in needed_tasks(plan_of(committed()[0]), ["b8"])][::3]
    [('a1', 0), ('a1', 3), ('a3', 1), ('a3', 4), ('b8', 2)]
    """
    wanted, found = tasks(plan, arms), list[Task]()
    for task in reversed(tasks(plan)):  # a plan names a run after all that it needs
        if task in wanted or any(task.recipe == one.trunk or (task.arm, task.seed) == (one.stopped_at, one.seed)
                                 for one in found):
            found.insert(0, task)
    return found


def result_path(folder: Path, task: Task, course: str | None = None) -> Path:
    """Where the result of a task is written; course: of its training again."""
    return folder / f"{task.arm}-{task.seed}{f'-again-{course}' if course else ''}.json"
