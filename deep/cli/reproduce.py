"""`deep reproduce`: trains and measures the runs of a table of the paper, and prints it beside the paper's numbers."""

import argparse
import json
import shlex
from pathlib import Path

from deep.cli.common import ATTACK_STEPS, Commands, add_attack_steps, add_data_sets_options, import_words, print_status
from deep.cli.printing import say_markdown
from deep.experiments.reproduction.paper_tables import SCALES, TABLES, PlannedRun
from deep.system.device import positive, use_device
from deep.system.messages import tell

__all__ = ["add", "continues", "run"]


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "reproduce", help="a table of the paper beside its own measurement",
        description="Train the runs of a table in run folders in OUT, or continue them, measure each checkpoint once, "
                    "and print the table beside the paper's numbers. Any number of processes may work on one table.")
    command.add_argument("table", choices=tuple(TABLES), help="the table of the paper")
    command.add_argument("--scale", choices=tuple(SCALES), required=True,
                         help="paper: the recipe of its public code, 200 epochs (one-step training 30) on all images, "
                              "in float32, selected on the test images; gpu: what one H200 does within half an hour a "
                              "run; cpu: a narrow network on few images, minutes to an hour a run")
    command.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N-1 (default: 3)")
    command.add_argument("--set", action="append", default=[], metavar="key=value", dest="changes",
                         help="a change to every recipe, which the caption then names; may be repeated")
    command.add_argument("--worst-case", nargs="?", const="apgd-ce,apgd-t", metavar="ATTACKS",
                         help="a column with the pointwise worst case of these attacks (default: apgd-ce,apgd-t)")
    add_attack_steps(command)
    command.add_argument("--out", default="runs", help="the folder that holds the run folders (default: runs)")
    command.add_argument("--list", action="store_true", help="print how each run stands, and train nothing")
    command.add_argument("--json", action="store_true", help="print JSON")
    add_data_sets_options(command)


def continues(options: argparse.Namespace) -> str:
    return "the same command continues it"


def run(options: argparse.Namespace) -> None:
    from deep.experiments.reproduction.data_sets import DataSets, data_locations, layout_at
    from deep.experiments.reproduction.paper_tables import plan_runs
    from deep.experiments.reproduction.reproduce import Reproduction, write_report
    from deep.experiments.reproduction.table_markdown import report_lines
    positive("--seeds", options.seeds, most=1000)
    positive("--attack-steps", options.attack_steps)
    locations = data_locations(options.data)
    layouts = {name: layout_at(name, location) for name, location in locations.items()}
    plan = plan_runs(options.table, options.scale, options.seeds, options.changes, layouts)
    if options.list:
        show(list(plan.values()), options)
        return
    worst_case = tuple((options.worst_case or "").split(",")) if options.worst_case is not None else ()
    device = use_device(options.device, options.threads)
    reproduction = Reproduction(options.table, options.scale, options.seeds, options.changes, plan, Path(options.out),
                                DataSets(locations, device), options.attack_steps, worst_case)
    report = reproduction.report(command_line(options))
    tell(str(write_report(report, reproduction.out, ATTACK_STEPS)))
    if options.json:
        print(json.dumps(report))
    else:
        say_markdown(report_lines(report))
    if any(row["missing"] for row in report["rows"]):
        raise SystemExit(1)


def show(plan: list[PlannedRun], options: argparse.Namespace) -> None:
    """Print for --list how each run stands."""
    from deep.experiments.sweep import run_status
    found = [run_status(planned.run, options.out) for planned in plan]
    if options.json:
        print(json.dumps(found))
        return
    for status in found:
        print_status(status, ", ")


def command_line(options: argparse.Namespace) -> str:
    """Return the command as it was given, for the report."""
    words = ["deep", "reproduce", options.table, "--scale", options.scale, "--seeds", str(options.seeds)]
    for name, values in (("--set", options.changes), ("--data", options.data)):
        words += [word for value in values for word in (name, value)]
    words += ["--worst-case", options.worst_case] if options.worst_case else []
    words += ["--attack-steps", str(options.attack_steps)] if options.attack_steps != ATTACK_STEPS else []
    return shlex.join([*words, *import_words(options), "--out", options.out, "--device", options.device])
