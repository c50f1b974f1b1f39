"""`deep confirm`: what networks say of each prediction, by rules that are older than the runs."""

import json
import shlex
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import add_data_sets_options
from deep.system.device import use_device
from deep.system.messages import tell

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from deep.experiments.campaign.answers import Answers
    from deep.experiments.campaign.correlations import Correlated
    from deep.experiments.campaign.predictions import Judged, Run

__all__ = ["add", "continues", "run"]


def add(commands: Any) -> None:
    """Add the command and its options."""
    confirm = commands.add_parser("confirm", help="predictions for networks, what was measured, and the verdicts",
                                  description="Judge the predictions of figures/predictions.toml by committed results, "
                                  "with --run by runs that are trained now, as far as results are missing, or by runs "
                                  "of your own, which are measured now, once.")
    confirm.add_argument("runs", nargs="*", metavar="[ARM=]RUN",
                         help="run folders of your own; without ARM a run's recipe says which arm it is, whatever its "
                              "seed and its size")
    confirm.add_argument("--run", action="store_true", help="train, continue and measure what is missing")
    confirm.add_argument("--arms", metavar="A,B", help="print what is predicted of these arms alone; with --run: "
                         "train these alone, and those that they begin from or are stopped at")
    confirm.add_argument("--seeds", type=seeds_of, metavar="S,T", help="with --run: these seeds alone")
    confirm.add_argument("--out", help="with --run: where the run folders are (default: runs)")
    confirm.add_argument("--results", metavar="DIR", help="folder of the result files (default: the committed one, or "
                                                          "OUT/campaign with --run)")
    confirm.add_argument("--plan", metavar="FILE", help="other predictions, in the same form")
    confirm.add_argument("--json", action="store_true", help="print JSON")
    add_data_sets_options(confirm)


def continues(options: "Namespace") -> str | None:
    """Say what the same command does after a signal."""
    if options.runs:
        return "the same command goes on after the last run that was measured"
    return "the same command goes on where it stopped" if options.run else None


def run(options: "Namespace") -> None:
    """Train what is missing if that is asked for; judge, and print."""
    from deep.experiments.campaign.answers import answers
    from deep.experiments.campaign.plan import committed, of_any_seeds, plan_of, results_of, tasks
    plan_path, results = committed()
    plan = plan_of(Path(options.plan) if options.plan else plan_path)
    if options.results or options.run:
        results = Path(options.results or out_of(options) / "campaign")
    for option in ("seeds", "out"):
        if getattr(options, option) is not None and not options.run:
            raise ValueError(f"--{option} was given without --run, but nothing is trained then: add --run.")
    if options.runs and (options.run or options.results or options.arms):
        raise ValueError(f"{', '.join(options.runs)} was given with --run, --results or --arms, but runs of your own "
                         "are judged by themselves: leave the option out.")
    arms = options.arms.split(",") if options.arms else []
    tasks(plan, arms)  # ValueError for an arm that the plan has not
    for word in options.runs:
        if word in [arm["id"] for arm in plan["arm"]] and not Path(word).exists():
            raise ValueError(f"{word} was given as a run, but it is an arm of the plan, and there is no folder of that "
                             f"name: `deep confirm --arms {word}` says what is known of it.")
    if options.results and not (options.run or results.is_dir()):
        raise ValueError(f"--results = {results} was given, but there is no such folder: pass one that `deep confirm "
                         "--run` has made.")
    if options.run:
        run_missing(options, plan, results, arms)
    said = (answers(of_any_seeds(plan), own(options, plan)) if options.runs
            else answers(plan, results_of(plan, results)))
    if arms and not options.run:
        said = said.of_arms(arms)
    if options.json:
        runs = said.runs if options.runs else None
        print(json.dumps({"predictions": [as_dict(row) | {"command": command_of(row.prediction, row.seeds, runs)}
                                          for row in said.predictions],
                          "correlations": [correlation_as_dict(row)
                                           | {"command": command_of(row.correlation, row.seeds, runs)}
                                           for row in said.correlations],
                          "surgery": said.surgery,
                          "conclusions": [dict(conclusion) | {"answer": answer, "grounds": said.grounds(conclusion)}
                                          for conclusion, answer in said.conclusions]}))
    else:
        print_answers(said, bool(options.runs))


def seeds_of(word: str) -> set[int]:
    """The seeds in a word; ArgumentTypeError for others than whole numbers.

    >>> seeds_of("0,2")
    {0, 2}
    """
    try:
        return set(map(int, word.split(",")))
    except ValueError:
        raise ArgumentTypeError(f"{word!r} was given, but seeds are whole numbers: write 0,1.") from None


def out_of(options: "Namespace") -> Path:
    """The folder of the run folders."""
    return Path("runs" if options.out is None else options.out)


def run_missing(options: "Namespace", plan: Any, results: Path, arms: list[str]) -> None:
    """Train, continue and measure what the plan asks for and the folder of results has not; arms: of these alone."""
    from deep.experiments.campaign.plan import needed_tasks
    from deep.experiments.campaign.runs import other_images, result_path, run_task, tasks, to_train_again
    from deep.experiments.reproduction.data_sets import data_locations, location_of
    device = use_device(options.device, options.threads)
    locations = data_locations(options.data)
    wanted = needed_tasks(plan, arms) if arms else tasks(plan)
    if options.seeds is not None:
        if unknown := options.seeds - {task.seed for task in wanted}:
            raise ValueError(f"the seeds {', '.join(map(str, sorted(unknown)))} were given, but no arm that was asked "
                             "for has them: choose among those of the plan.")
        wanted = [task for task in wanted if task.seed in options.seeds]
    missing = [task for task in wanted if not result_path(results, task).exists()]
    tell(f"{len(missing)} of {len(wanted)} runs have no result in {results} yet.")
    if any(task.recipe.data == "cifar10" for task in missing) and other_images(plan, locations["cifar10"]):
        tell(f"{locations['cifar10']} holds other images than those of the committed results, which `python -m "
             "figures.networks.campaign.images` makes from the official CIFAR-10.")
    for task in wanted:
        root, runs = location_of(task.recipe, locations), out_of(options)
        for other in to_train_again(plan, task, results):
            run_task(other, root, runs, results, device, again=True)
        run_task(task, root, runs, results, device)


def own(options: "Namespace", plan: Any) -> dict[str, dict[int, dict[str, Any]]]:
    """The results of the runs that were given."""
    from deep.experiments.campaign.own_runs import own_results
    from deep.experiments.reproduction.data_sets import data_locations, location_of
    device = use_device(options.device, options.threads)
    locations = data_locations(options.data)
    return own_results(plan, options.runs, lambda recipe: location_of(recipe, locations), device)


def as_dict(row: "Judged") -> dict[str, Any]:
    """A row for JSON: no NaN."""
    known = row.n > 1
    return dict(row.prediction) | {
        "n": row.n, "seeds": list(row.seeds), "to_run": list(row.to_run), "verdict": row.verdict,
        "possible": list(row.possible), "value": row.value if known else None,
        "interval": list(row.interval) if known else None, "p_confirming": row.confirming if known else None,
        "p_contradicting": row.contradicting if known else None}


def correlation_as_dict(row: "Correlated") -> dict[str, Any]:
    """A correlation for JSON: no NaN."""
    known = row.verdict != "not run"
    return dict(row.correlation) | {
        "n": len(row.seeds), "seeds": list(row.seeds), "to_run": list(row.to_run), "verdict": row.verdict,
        "value": row.value if known else None,
        "interval": list(row.interval) if known else None, "p_permuted": row.permuted if known else None,
        "pooled_over_arms": row.pooled}


def command_of(rule: "Mapping[str, Any]", seeds: tuple[int, ...], own: "Mapping[str, Mapping[int, Run]] | None") -> str:
    """The command that trains and measures what a rule asks for, or that judges the runs of one's own by it."""
    arms = [rule[key] for key in ("arm", "minus") if key in rule]
    if own is None:
        return f"deep confirm --run --data DIR --arms {','.join(arms)}"
    return shlex.join(["deep", "confirm", "--data", "DIR", *(f"{arm}={own[arm][seed]['run']}" for arm in arms
                                                             for seed in seeds)]) if seeds else ""


def print_answers(said: "Answers", own: bool) -> None:
    """Print each verdict with what was measured; own: of a user's own runs, the rows whose arm was given alone."""
    from deep.experiments.campaign.answers import with_interval
    for rule, row in said.rows():
        if not own or rule["arm"] in said.runs:
            print_row(rule, row, said, own)
    for one in said.surgery:
        print(f"{'MEASURED':12} {one['network']}; early: epoch {one['early_epoch']}: "
              + ", ".join(f"{key} {with_interval(*one[key])}" for key in ("clean", "robust", "cas", "sharing"))
              + f", n = {len(one['seeds'])}, seeds {', '.join(map(str, one['seeds']))}")
    for conclusion, answer in said.conclusions:
        print(f"{answer.upper():12} {conclusion['statement']}")
        if "rule" in conclusion:
            print(f"{'':12} {conclusion['rule']}")
        if grounds := said.grounds(conclusion):
            print(f"{'':12} {grounds}")
    print(said.counts())


def print_row(rule: "Mapping[str, Any]", row: "Judged | Correlated", said: "Answers", own: bool) -> None:
    """Two lines: the verdict and the claim; what was measured, on which seeds, and how it is repeated."""
    from deep.experiments.campaign.answers import measured_of, rule_of
    measured = "; ".join(filter(None, (missing(rule, row.seeds, said), measured_of(row, seeds=True))))
    print(f"{row.verdict.upper():12} {rule['id']}: {rule['claim']}")
    command = command_of(rule, row.seeds, said.runs if own else None)
    print(f"{'':12} {rule_of(rule)}: {'; '.join(filter(None, (measured, command)))}")


def missing(rule: "Mapping[str, Any]", seeds: tuple[int, ...], said: "Answers") -> str:
    """Why nothing was judged; "" where it was."""
    if len(seeds) > 1:
        return ""
    if seeds:
        return f"seed {seeds[0]} alone, of two at least"
    if rule["arm"] not in said.runs:
        return "not measured"
    return (f"no run of {rule['minus']} has the seed of one of {rule['arm']}" if "minus" in rule
            else f"no run of {rule['arm']} has enough checkpoints")
