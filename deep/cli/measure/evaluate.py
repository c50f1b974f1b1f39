"""`deep evaluate`: clean and robust accuracy of a run, signs of masked gradients, and a battery of attacks."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, add_eps_option, is_json_with, refuse_to_replace
from deep.cli.measure.networks import (
    add_run_options,
    called,
    deferred_write_errors,
    heading,
    open_networks,
    result_path,
)
from deep.cli.printing import say
from deep.system.device import positive
from deep.system.files import write_text

if TYPE_CHECKING:
    from deep.experiments.measured import Measured

__all__ = ["add", "continues", "run"]


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "evaluate", help="clean and robust accuracy of a run or of weights, with n and intervals",
        description="Clean accuracy, PGD's, and signs of masked gradients; with --attacks the worst case over these.")
    command.add_argument("--attacks", metavar="NAME,...", help="after the recipe's PGD: pgd20, pgd50x10 (10 random "
                         "starts), apgd-ce, apgd-dlr, apgd-t (apgd-t50: 50 steps instead of 100), square (square1000: "
                         "1,000 queries instead of 5,000), autoattack (needs its package), each on the images that "
                         "withstood all before it")
    command.add_argument("--separate", action="store_true",
                         help="each attack on every image that is correct when clean, so that it has its own accuracy")
    command.add_argument("--limit", type=int, metavar="N",
                         help="only a fixed sample of N test images, as many of each class")
    add_eps_option(command, "size of all attacks, such as 4/255 (default: the recipe's)")
    command.add_argument("--out", metavar="FILE", help="with --weights: write the result there, as JSON")
    add_run_options(command)


def continues(options: argparse.Namespace) -> str | None:
    kept = options.attacks is not None and (options.run or options.out)  # where the trials of attacks are written
    return "the same command goes on after the last attack that has ended" if kept else None


def run(options: argparse.Namespace) -> None:
    positive("--limit", options.limit)
    if options.separate and options.attacks is None:
        raise ValueError("--separate was given without --attacks, but it says how these are run: add --attacks.")
    from deep.recipe.values import parse_eps
    eps = None if options.eps is None else parse_eps(options.eps, "--eps")
    if eps == 0:
        raise ValueError("--eps = 0 was given, but no attack moves an image then, and the clean accuracy is printed in "
                         "any case: give a larger one.")
    out = result_path(options, "weights_file", "robust", "sanity")
    if out and options.attacks is not None:
        refuse_to_replace(options.out, unfinished_beside(out), is_json_with("identity", "values"))
    networks = [replace(one, eps=eps) for one in open_networks(options)]
    from deep.evaluation.battery import rounds_of
    from deep.experiments.checkpoint_evaluation import measure_accuracy
    from deep.experiments.measured import alike, sampled
    from deep.experiments.resumable_battery import PartialResults, battery_key
    networks, sample = sampled(networks, options.limit)
    data, attack = networks[0].data, networks[0].attack(options.attack_steps)
    attacks = {name: rounds_of(name, attack, len(data.classes)) for name in (options.attacks or "").split(",")
               if options.attacks is not None}
    results, shown, partials = [], [], []
    with deferred_write_errors() as write:
        for group in alike(networks):
            first, end = group[0], f"-sample{options.limit}" if sample else ""
            _, unfinished = places(first, out, end, bool(attacks))
            partial = PartialResults(unfinished, battery_key(first.weights(), data.test, attack,
                                                             options.separate)) if attacks else None
            result = measure_accuracy(first, options.attack_steps, attacks, options.separate, partial, write)
            result |= {"sample": sample}
            shown.append(called(result, group))
            partials += [partial] if partial else []
            for one in group:
                results.append(result | one.origin())
                place, _ = places(one, out, end, bool(attacks))
                if place:
                    write(write_text, place, json.dumps(results[-1], indent=1) + "\n")
        if options.json:
            print(json.dumps(results))
        else:
            for result in shown:
                print_result(result)
    for partial in partials:  # until all are finished, an interruption loses the trials of none
        partial.remove()


def places(checkpoint: "Measured", out: Path | None, sample: str, attacks: bool) -> tuple[Path | None, Path | None]:
    """Return where the result is written, and what an interrupted battery has left; None for nowhere.

    The weights of a file have their result at `out`, and nothing is written beside them by itself.
    """
    from deep.experiments.measured import Checkpoint
    if not isinstance(checkpoint, Checkpoint):
        return out, out and unfinished_beside(out)
    # a part of the images, other images, another eps or a battery never replace the evaluation on all of them; under
    # other steps, or by other attacks of a battery, the last result replaces the one before
    name = checkpoint.name + checkpoint.suffix() + sample
    return (checkpoint.run.path / f"{'battery' if attacks else 'evaluate'}-{name}.json",
            checkpoint.run.path / f"battery-{name}-unfinished.json")


def unfinished_beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}-unfinished.json")


def print_result(result: dict[str, Any]) -> None:
    say(heading(result) + (f", {result['sample']}" if result["sample"] else ""))
    print_accuracy("clean", result["clean"])
    print_accuracy("robust", result["robust"])
    for row in result.get("attacks", ()):
        if row["accuracy"]:
            print_accuracy(row["attack"], row["accuracy"])
        print_accuracy(f"worst case with {row['attack']}", row["worst_case"],
                       f"broke {row['broken']} of {row['attacked']} attacked")
    raised = [flag for flag, values in result["sanity"].items() if values["flag"]]
    say("  sanity: " + ("no flag of " + ", ".join(result["sanity"]) if not raised else "FLAGS RAISED"))
    for flag in raised:
        numbers = {key: value["value"] if isinstance(value, dict) else value
                   for key, value in result["sanity"][flag].items() if key != "flag"}
        say(f"    {flag}: " + ", ".join(f"{key} {value:.4g}" for key, value in numbers.items()))


def print_accuracy(kind: str, value: dict[str, Any], note: str | None = None) -> None:
    low, high = (100 * bound for bound in value["interval"])
    say(f"  {kind:26} {100 * value['value']:6.2f} %  ({value['correct']} of {value['n']}; 95 % Wilson interval "
        f"{low:.2f} to {high:.2f} %)" + (f"; {note}" if note else ""))
