"""`deep cas`: class correlation, CAS and its variants, of a run at its best and last or at every kept checkpoint.

Or of somebody's weights, or of features alone.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, add_eps_option
from deep.cli.measure.networks import (
    add_run_options,
    called,
    deferred_write_errors,
    heading,
    open_networks,
    refuse_of_weights,
    result_path,
)
from deep.cli.printing import say
from deep.system.device import positive
from deep.system.files import write_text
from deep.system.terminal import columns

if TYPE_CHECKING:
    from deep.experiments.measured import Measured

__all__ = ["add", "continues", "run"]

NULLS = {"random": "random rows", "separation": "permuted"}
VALUES = 25  # columns before the values of a line
WIDEST = 20  # classes: a larger correlation is not printed, only written
PLAIN = ("cas_gauge_fixed", "cas_per_instance", "cas_clean", "cas_clean_gauge_fixed", "margin_cas")


def add(commands: Commands) -> None:
    cas = commands.add_parser("cas", help="class correlation, CAS and its variants of a run, of weights or of features",
                              description="Measure how much of the evidence for a class speaks for another one, too: "
                              "the correlation of each two classes, and CAS, the sum of the positive ones.",
                              epilog="null level: CAS of random rows in place of those of W; excess: CAS above it; "
                              "gauge fixed: CAS of W less its mean row, which no prediction depends on; sharing: that, "
                              "above a null that keeps how far the classes are apart. Noise in the class means biases "
                              "a value, and its interval is corrected for that: with few images a class it may lie "
                              "beside the value. An interval resamples the images; +- is the spread of a null over "
                              "its draws: sharing whose interval leaves out 0 can lie within that spread, where "
                              "nothing need be shared. deep/README.md says more.")
    cas.add_argument("--attack-seeds", type=int, default=3, help="attacks behind the interval (default: 3)")
    cas.add_argument("--split", choices=("train", "val", "test"), default="test",
                     help="images to measure on; the training images are not augmented (default: test)")
    add_eps_option(cas, "size of the attack, such as 8/255; 0: clean images (default: the recipe's)")
    cas.add_argument("--limit", type=int, metavar="N", help="only a fixed sample of N images of the split, as many of "
                                                            "each class")
    cas.add_argument("--out", metavar="FILE", help="with --weights or --features: write the result there, as JSON")
    add_run_options(cas, ("best", "last", "both", "all"),
                    features="a file of numpy.savez with arrays features (n, d), labels (n,), weight (K, d); if you "
                             "like clean_features (n, d), bias (K,), classes, superclasses")


def continues(options: argparse.Namespace) -> str | None:
    kept = options.checkpoint == "all" and options.run
    return "the same command goes on after the last checkpoint that was measured" if kept else None


def run(options: argparse.Namespace) -> None:
    positive("--attack-seeds", options.attack_seeds, most=100)
    positive("--limit", options.limit)
    out = result_path(options, "weights_file" if options.features is None else "features_file", "correlation")
    if options.features is not None:
        if options.eps is not None or options.split != "test" or options.limit is not None:
            raise ValueError("--features was given with --split or --eps or --limit, but the images and the attack "
                             "were chosen when the features were made: leave it out.")
        refuse_of_weights(options, "with --features, which have no network any more")
        run_features(options.features, out, options.json)
        return
    networks, end = chosen(options)
    from deep.experiments.checkpoint_evaluation import KEYS, find_cas, measure_cas
    from deep.experiments.conditions import narrow_intervals
    from deep.experiments.measured import Checkpoint, alike
    from deep.runs.results import write_result
    note = narrow_intervals(networks[0].images.labels, networks[0].data.classes)
    every = options.checkpoint == "all" and options.run is not None
    groups = [[one] for one in networks] if every else alike(networks)
    del networks
    results = []
    with deferred_write_errors() as write:
        while groups:
            group = groups.pop(0)  # many checkpoints are not held in memory after they were measured
            first = group[0]
            found = find_cas(first, options.attack_steps, options.attack_seeds) if isinstance(
                first, Checkpoint) and every else None
            found = found or measure_cas(first, options.attack_steps, options.attack_seeds)
            for one in group:
                results.append(found if one is first else found | one.origin())
                if isinstance(one, Checkpoint):
                    write(write_result, one.run.path / "cas.jsonl", results[-1], KEYS)
                    if one.name in ("best", "last"):
                        write(one.run.write_json, f"cas-{one.name}{one.suffix()}{end}.json", results[-1])
                elif out:
                    write(write_text, out, json.dumps(found, indent=1) + "\n")
            if not options.json:
                (print_line if every else print_result)(called(found, group))
        if options.json:
            print(json.dumps(results))
        elif note:
            say(note)


def run_features(path: str, out: Path | None, as_json: bool) -> None:
    """Print what features alone tell, and write it where that is asked for."""
    if not Path(path).is_file():
        raise ValueError(f"--features = {path} was given, but there is no such file: pass a file of numpy.savez.")
    from deep.experiments.conditions import narrow_intervals, refuse_single_images
    from deep.experiments.outside_network import cas_of_features, read_features
    given = read_features(path)
    refuse_single_images(given.labels, given.classes, path)
    found = {"features_file": path} | cas_of_features(given, path)
    with deferred_write_errors() as write:
        if out:
            write(write_text, out, json.dumps(found, indent=1) + "\n")
        if as_json:
            print(json.dumps([found]))
            return
        say(f"{path}, n = {found['n']}")
        print_values(found)
        if note := narrow_intervals(given.labels, given.classes):
            say(note)


def chosen(options: argparse.Namespace) -> "tuple[list[Measured], str]":
    """Return what is to be measured, each with the split, the eps and the sample, and what file names say of a sample.

    ValueError for an empty split, or one, or a sample, without two images of each class.
    """
    from dataclasses import replace

    from deep.recipe.values import parse_eps
    eps = None if options.eps is None else parse_eps(options.eps, "--eps")
    networks = [replace(one, split=options.split, eps=eps) for one in open_networks(options)]
    from deep.data.dataset import SPLITS  # with torch, after a folder that is none has been refused
    from deep.experiments.conditions import refuse_single_images
    from deep.experiments.measured import sampled
    data, limit = networks[0].data, options.limit
    if not len(networks[0].images):
        raise ValueError(f"--split {options.split} was given, but {options.run or options.weights} has no "
                         f"{SPLITS[options.split]} images: choose another split.")
    refuse_single_images(networks[0].images.labels, data.classes,
                         f"the split of {SPLITS[options.split]} images of {options.run or options.weights}")
    if limit is not None and limit < 2 * len(data.classes):
        raise ValueError(f"--limit = {limit} was given, but the intervals of CAS need two images of each of the "
                         f"{len(data.classes)} classes: give {2 * len(data.classes)} or more.")
    networks, sample = sampled(networks, limit)
    if not sample:
        return networks, ""
    # under a name of its own, so that no line of cas.jsonl about all images is taken for it
    data = replace(networks[0].data, name=f"{data.name} (a sample of {limit})")
    return [replace(one, data=data) for one in networks], f"-sample{limit}"


def with_interval(result: dict[str, Any], key: str) -> str:
    low, high = result["intervals"][key]
    return f"{result[key]:.3f} (95 % interval {low:.3f} to {high:.3f})"


def print_line(result: dict[str, Any]) -> None:
    say(f"{result['checkpoint']:>12} (epoch {result['epoch']:3}): robust {100 * result['robust']['value']:5.2f} %, "
        f"CAS {result['cas']:.3f}, excess {with_interval(result, 'cas_excess')}, sharing "
        f"{with_interval(result, 'sharing')}, margin-CAS {with_interval(result, 'margin_cas')}, its null levels "
        f"{result['margin_cas_null']:.3f}, {result['margin_cas_separation_null']:.3f}; {images_and_eps(result)}")
    print_zeros(result)


def print_biased(result: dict[str, Any]) -> None:
    """Say why a value may lie outside its interval, if one that was printed does."""
    beside = [name for name, (low, high) in result["intervals"].items() if name in result
              and not name.endswith("_null") and not low <= result[name] <= high]
    if beside:
        say(f"  {', '.join(name.replace('_', ' ') for name in beside)}: beside the interval, as noise in the class "
            "means biases the value, and the interval is corrected for that bias", 2)


def print_zeros(result: dict[str, Any]) -> None:
    """Say which classes of a run's own network have no cosines: that of an attribution 0 with itself counts as 0."""
    if dead := [name for i, name in enumerate(result["classes"]) if result["correlation"][i][i] == 0]:
        say(f"  the attributions of {', '.join(dead)} are 0, which has no cosine with another: theirs count as 0")


def images_and_eps(result: dict[str, Any]) -> str:
    return f"{result['split']} images, eps {result['eps']}" + (" (clean)" if result["eps"] == "0" else "")


def level(result: dict[str, Any], key: str) -> str:
    return f"{result[key]:.3f} ± {result[key + '_sd']:.3f}"


def print_result(result: dict[str, Any]) -> None:
    say(f"{heading(result)}; {images_and_eps(result)}")
    if not result["run"]:
        say(f"  clean accuracy {100 * result['clean']['value']:.2f} %, robust {100 * result['robust']['value']:.2f} "
            "%; if these are not the network's known ones, its function or normalisation is another")
    print_values(result)


def print_correlation(names: list[str], correlation: list[list[float]], width: int) -> None:
    """Print the matrix under the names of its columns, cut to six letters, in parts that fit the terminal."""
    screen = columns()
    most = max(1, (screen - width - 2) // 7) if screen else len(names)
    for begin in range(0, len(names), most):
        part = slice(begin, begin + most)
        say(" " * (width + 3) + " ".join(f"{name[:6]:>6}" for name in names[part]))
        for name, row in zip(names, correlation, strict=True):
            say(f"  {name:>{width}} " + " ".join(f"{value:6.2f}" for value in row[part]))


def print_values(result: dict[str, Any]) -> None:
    width = max(len(name) for name in result["classes"])
    if len(result["classes"]) <= WIDEST:
        print_correlation(result["classes"], result["correlation"], width)
    print_zeros(result)
    for one in sorted(result["profile"], key=lambda one: -one["share"])[:WIDEST]:
        partner = "most with" if one["share"] > 0 else "nearest:"
        say(f"  {one['class']:>{width}} shares {one['share']:.3f}, {partner} {one['partner']} ({one['cosine']:.3f})")
    for name in ("cas", "cas_within", "cas_between"):
        if name in result:
            say(f"  {name.replace('cas', 'CAS').replace('_', ' '):22} {with_interval(result, name)}, null level "
                f"{level(result, name + '_null')}, excess {with_interval(result, name + '_excess')}", VALUES)
    for name in (name for name in ("sharing", "sharing_clean") if name in result):
        spread = result[f"{name}_null_sd"]
        times = f", {result[name] / spread:.1f} times that spread" if spread else ""
        say(f"  {name.replace('_', ' '):22} {with_interval(result, name)}, above its null level "
            f"{level(result, name + '_null')}{times}", VALUES)
    for key in (key for key in PLAIN if key in result):
        nulls = "" if key != "margin_cas" else (
            f", null levels {level(result, 'margin_cas_null')} (random rows), "
            f"{level(result, 'margin_cas_separation_null')} (features permuted)")
        say(f"  {key.replace('_', ' '):22} {with_interval(result, key)}{nulls}", VALUES)
    print_biased(result)
    for kind, found in (result["margins"] or {}).items():
        words = found["note"] or f"rho {found['rho']:.3f}, r {found['r']:.3f}, k {found['k']:.3f}"
        say(f"  margins, {kind:13} {words}; wrong-class spread {found['spread']:.3f}", VALUES)
    for kind, found in (result["margin_nulls"] or {}).items():
        say(f"  {'null, ' + NULLS[kind]:22} " + ", ".join(
            f"{key} {'does not exist' if value is None else f'{value:.3f}'}" for key, value in found.items()), VALUES)
