"""`deep evaluate`: clean and robust accuracy of a run, signs of masked gradients, and a battery of attacks."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, add_run_options, deferred_write_errors, open_checkpoints
from deep.system.device import positive

if TYPE_CHECKING:
    from deep.experiments.checkpoint_evaluation import Checkpoint
    from deep.experiments.resumable_battery import PartialResults
    from deep.runs.folder import RunFolder

__all__ = ["add", "continues", "run"]


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "evaluate", help="clean and robust accuracy of a run, with n and intervals",
        description="Clean accuracy, PGD's, and signs of masked gradients; with --attacks the worst case over these.")
    command.add_argument("--attacks", metavar="NAME,...", help="after the recipe's PGD: pgd20, pgd50x10 (10 random "
                         "starts), apgd-ce, apgd-dlr, apgd-t (apgd-t50: 50 steps instead of 100), square (square1000: "
                         "1,000 queries instead of 5,000), autoattack (needs its package), each on the images that "
                         "withstood all before it")
    command.add_argument("--separate", action="store_true",
                         help="each attack on every image that is correct when clean, so that it has its own accuracy")
    command.add_argument("--limit", type=int, metavar="N",
                         help="only a fixed sample of N test images, as many of each class")
    add_run_options(command)


def continues(options: argparse.Namespace) -> str | None:
    return "the same command goes on after the last attack that has ended" if options.attacks is not None else None


def run(options: argparse.Namespace) -> None:
    positive("--limit", options.limit)
    if options.separate and options.attacks is None:
        raise ValueError("--separate was given without --attacks, but it says how these are run: add --attacks.")
    checkpoints, sample = sampled(open_checkpoints(options), options.limit)
    from deep.evaluation.battery import rounds_of
    from deep.experiments.checkpoint_evaluation import measure_accuracy
    from deep.experiments.resumable_battery import PartialResults, battery_key
    from deep.runs.fingerprint import file_suffix
    data, attack = checkpoints[0].data, checkpoints[0].attack(options.attack_steps)
    attacks = {name: rounds_of(name, attack, len(data.classes)) for name in (options.attacks or "").split(",")
               if options.attacks is not None}
    results = []
    with deferred_write_errors() as write:
        for checkpoint in checkpoints:
            # a part of the images, other images or other attacks never replace the evaluation on all of them
            name = checkpoint.name + file_suffix(data) + (f"-sample{options.limit}" if sample else "")
            partial = PartialResults(checkpoint.run.path / f"battery-{name}-unfinished.json", battery_key(
                checkpoint.weights(), data.test, attack, options.separate)) if attacks else None
            result = measure_accuracy(checkpoint, options.attack_steps, attacks, options.separate, partial, write)
            results.append(result | {"sample": sample})
            write(finish, checkpoint.run, f"{'battery' if attacks else 'evaluate'}-{name}.json", results[-1], partial)
        if options.json:
            print(json.dumps(results))
        else:
            for result in results:
                print_result(result)


def sampled(checkpoints: "list[Checkpoint]", limit: int | None) -> "tuple[list[Checkpoint], str | None]":
    """Return the checkpoints with at most `limit` test images, and what to say of the sample, None of all images."""
    from dataclasses import replace

    from deep.data.dataset import Split, balanced
    data = checkpoints[0].data
    total = len(data.test)
    if not limit or limit >= total:
        return checkpoints, None
    chosen = balanced(data.test.labels, limit).to(data.test.labels.device)
    data = replace(data, test=Split(data.test.images[chosen], data.test.labels[chosen]))
    return ([replace(checkpoint, data=data) for checkpoint in checkpoints],
            f"a fixed sample of the {total} test images, balanced by class")


def finish(run: "RunFolder", name: str, result: dict[str, Any], partial: "PartialResults | None") -> None:
    """Write a result, which is then no more unfinished."""
    run.write_json(name, result)
    if partial:
        partial.remove()


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['checkpoint']} (epoch {result['epoch']}), {result['data']}, {result['attack']}, "
          f"n = {result['n_test']}" + (f", {result['sample']}" if result["sample"] else ""))
    print_accuracy("clean", result["clean"])
    print_accuracy("robust", result["robust"])
    for row in result.get("attacks", ()):
        if row["accuracy"]:
            print_accuracy(row["attack"], row["accuracy"])
        print_accuracy(f"worst case with {row['attack']}", row["worst_case"],
                       f"broke {row['broken']} of {row['attacked']} attacked")
    raised = [flag for flag, values in result["sanity"].items() if values["flag"]]
    print("  sanity: " + ("no flag of " + ", ".join(result["sanity"]) if not raised else "FLAGS RAISED"))
    for flag in raised:
        numbers = {key: value["value"] if isinstance(value, dict) else value
                   for key, value in result["sanity"][flag].items() if key != "flag"}
        print(f"    {flag}: " + ", ".join(f"{key} {value:.4g}" for key, value in numbers.items()))


def print_accuracy(kind: str, value: dict[str, Any], note: str | None = None) -> None:
    low, high = (100 * bound for bound in value["interval"])
    print(f"  {kind:26} {100 * value['value']:6.2f} %  ({value['correct']} of {value['n']}; 95 % Wilson interval "
          f"{low:.2f} to {high:.2f} %)" + (f"; {note}" if note else ""))
