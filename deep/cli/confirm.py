"""`deep confirm`: what networks say of each prediction, by rules that are older than the runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import add_data_sets_options
from deep.system.device import use_device

if TYPE_CHECKING:
    from argparse import Namespace

    from deep.experiments.campaign.correlations import Correlated
    from deep.experiments.campaign.predictions import Judged

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
    confirm.add_argument("--arms", metavar="A,B", help="with --run: these arms alone")
    confirm.add_argument("--out", default="runs", help="with --run: where the run folders are (default: runs)")
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
    from deep.experiments.campaign.correlations import correlated
    from deep.experiments.campaign.plan import committed, plan_of, read_results
    from deep.experiments.campaign.predictions import conclusions, judged
    plan_path, results = committed()
    plan = plan_of(Path(options.plan) if options.plan else plan_path)
    if options.results or options.run:
        results = Path(options.results or Path(options.out) / "campaign")
    if options.arms and not options.run:
        raise ValueError("--arms was given without --run, but what is there is judged as a whole: add --run.")
    if options.runs and (options.run or options.results):
        raise ValueError(f"{', '.join(options.runs)} was given with --run or --results, but runs of your own are "
                         "judged by themselves: leave the option out.")
    if options.run:
        run_missing(options, plan, results)
    found = own(options, plan) if options.runs else read_results(results)
    rows, along = judged(plan, found, other_recipes=bool(options.runs)), correlated(plan, found)
    drawn = conclusions(plan, rows, found)
    if options.json:
        print(json.dumps({"predictions": [as_dict(row) for row in rows],
                          "correlations": [correlation_as_dict(row) for row in along],
                          "conclusions": [dict(conclusion) | {"answer": answer} for conclusion, answer in drawn]}))
        return
    for row in rows:
        if row.n or not options.runs:
            print_row(row)
    for one in along:
        if one.seeds or not options.runs:
            print_correlation(one)
    for conclusion, answer in drawn:
        print(f"{answer.upper():12} {conclusion['statement']}")
    counts = [row.verdict for row in rows]
    print(f"{len(rows)} predictions: " + ", ".join(f"{counts.count(word)} {word}" for word in (
        "confirmed", "contradicted", "undecided", "not run")))


def run_missing(options: "Namespace", plan: Any, results: Path) -> None:
    """Train, continue and measure what the plan asks for and the folder of results has not."""
    from deep.experiments.campaign.runs import run_task, tasks
    from deep.experiments.reproduction.data_sets import data_locations, location_of
    device = use_device(options.device, options.threads)
    locations = data_locations(options.data)
    for task in tasks(plan, options.arms.split(",") if options.arms else None):
        run_task(task, location_of(task.recipe, locations), Path(options.out), results, device)


def own(options: "Namespace", plan: Any) -> dict[str, dict[int, dict[str, Any]]]:
    """The results of the runs that were given."""
    from deep.experiments.campaign.own_runs import own_results
    from deep.experiments.reproduction.data_sets import data_locations, location_of
    device = use_device(options.device, options.threads)
    locations = data_locations(options.data)
    return own_results(plan, options.runs, lambda recipe: location_of(recipe, locations), device)


def rule_of(prediction: Any) -> str:
    """The rule of a prediction in a word or two."""
    words = {"at_least": ">=", "at_most": "<=", "within": "within +-"}
    return next(f"{sign} {prediction[key]:g}" for key, sign in words.items() if key in prediction)


def as_dict(row: "Judged") -> dict[str, Any]:
    """A row for JSON: no NaN."""
    known = row.n > 1
    return dict(row.prediction) | {
        "n": row.n, "seeds": list(row.seeds), "verdict": row.verdict, "value": row.value if known else None,
        "interval": list(row.interval) if known else None, "p_confirming": row.confirming if known else None,
        "p_contradicting": row.contradicting if known else None}


def print_row(row: "Judged") -> None:
    """Two lines: the verdict and the claim; what was measured, and how it is repeated."""
    one = row.prediction
    against = f", against {one['minus']}" if "minus" in one else ""
    measured = (f"{row.value:.2f} [{row.interval[0]:.2f}, {row.interval[1]:.2f}], n = {row.n}" if row.n > 1
                else "not measured")
    print(f"{row.verdict.upper():12} {one['id']}: {one['claim']}")
    print(f"{'':12} {one['quantity']} of {one['arm']}{against} {rule_of(one)}: {measured}; "
          f"deep confirm --run --data DIR --arms {one['arm']}{',' + one['minus'] if 'minus' in one else ''}")


def correlation_as_dict(row: "Correlated") -> dict[str, Any]:
    """A correlation for JSON: no NaN."""
    known = row.verdict != "not run"
    return dict(row.correlation) | {
        "n": len(row.seeds), "seeds": list(row.seeds), "verdict": row.verdict, "value": row.value if known else None,
        "interval": list(row.interval) if known else None, "p_permuted": row.permuted if known else None,
        "pooled_over_arms": row.pooled}


def print_correlation(row: "Correlated") -> None:
    """Two lines, as of a prediction."""
    one = row.correlation
    measured = (f"{row.value:.2f} [{row.interval[0]:.2f}, {row.interval[1]:.2f}], n = {len(row.seeds)}, permuted "
                f"p = {row.permuted:.3f}" if row.verdict != "not run" else "not measured")
    if row.pooled is not None:
        measured += (f"; over all arms {row.pooled['partial']:.2f}, not given the loss {row.pooled['plain']:.2f} "
                     f"({row.pooled['n']} checkpoints)")
    print(f"{row.verdict.upper():12} {one['id']}: {one['claim']}")
    print(f"{'':12} partial correlation along {one['arm']} <= {one['at_most']:g}: {measured}; "
          f"deep confirm --run --data DIR --arms {one['arm']}")
