"""`deep cas`: class correlation, CAS and its variants of a run, at its best and last or at every kept checkpoint."""

import argparse
import json
from typing import Any

from deep.cli.common import Commands, add_run_options, deferred_write_errors, open_checkpoints
from deep.system.device import positive

__all__ = ["add", "continues", "run"]

WIDEST = 20  # classes: a larger correlation is not printed, only written
PLAIN = ("cas_gauge_fixed", "cas_per_instance", "cas_clean", "cas_clean_gauge_fixed", "margin_cas")


def add(commands: Commands) -> None:
    cas = commands.add_parser("cas", help="class correlation, CAS and its variants of a run")
    cas.add_argument("--attack-seeds", type=int, default=3, help="attacks behind the interval (default: 3)")
    add_run_options(cas, checkpoints=("best", "last", "both", "all"))


def continues(options: argparse.Namespace) -> str | None:
    every = options.checkpoint == "all"
    return "the same command goes on after the last checkpoint that was measured" if every else None


def run(options: argparse.Namespace) -> None:
    from deep.experiments.checkpoint_evaluation import KEYS, find_cas, measure_cas
    from deep.runs.fingerprint import file_suffix
    from deep.runs.results import write_result
    checkpoints = open_checkpoints(options)
    positive("--attack-seeds", options.attack_seeds, most=100)
    every = options.checkpoint == "all"
    results = []
    with deferred_write_errors() as write:
        for checkpoint in checkpoints:
            found = find_cas(checkpoint, options.attack_steps, options.attack_seeds) if every else None
            found = found or measure_cas(checkpoint, options.attack_steps, options.attack_seeds)
            run, name = checkpoint.run, checkpoint.name
            write(write_result, run.path / "cas.jsonl", found, KEYS)
            if name in ("best", "last"):
                write(run.write_json, f"cas-{name}{file_suffix(checkpoint.data)}.json", found)
            results.append(found)
            if not options.json:
                (print_line if every else print_result)(found)
        if options.json:
            print(json.dumps(results))


def with_interval(result: dict[str, Any], key: str) -> str:
    low, high = result["intervals"][key]
    return f"{result[key]:.3f} (95 % interval {low:.3f} to {high:.3f})"


def print_line(result: dict[str, Any]) -> None:
    print(f"{result['checkpoint']:>12} (epoch {result['epoch']:3}): robust {100 * result['robust']['value']:5.2f} %, "
          f"CAS {result['cas']:.3f}, excess {with_interval(result, 'cas_excess')}, "
          f"margin-CAS {with_interval(result, 'margin_cas')}")


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['checkpoint']} (epoch {result['epoch']}), {result['data']}, {result['attack']}, "
          f"n = {result['n_test']}")
    width = max(len(name) for name in result["classes"])
    if len(result["classes"]) <= WIDEST:
        for label, row in zip(result["classes"], result["correlation"], strict=True):
            print(f"  {label:>{width}} " + " ".join(f"{value:6.2f}" for value in row))
    for one in sorted(result["profile"], key=lambda one: -one["share"])[:WIDEST]:
        print(f"  {one['class']:>{width}} shares {one['share']:.3f}, most with {one['partner']} ({one['cosine']:.3f})")
    for name in ("cas", "cas_within", "cas_between"):
        if name in result:
            print(f"  {name.replace('cas', 'CAS').replace('_', ' '):22} {with_interval(result, name)}, null level "
                  f"{result[name + '_null']:.3f} ± {result[name + '_null_sd']:.3f}, excess "
                  f"{with_interval(result, name + '_excess')}")
    for key in PLAIN:
        print(f"  {key.replace('_', ' '):22} {with_interval(result, key)}")
    for kind, found in (result["margins"] or {}).items():
        words = found["note"] or f"rho {found['rho']:.3f}, r {found['r']:.3f}, k {found['k']:.3f}"
        print(f"  margins, {kind:13} {words}; wrong-class spread {found['spread']:.3f}")
