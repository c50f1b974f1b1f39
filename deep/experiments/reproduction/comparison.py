"""A table of the paper beside what was measured: rows over seeds, the directions it is about, and its caption.

Everything here is a plain value made of plain values. Accuracies are in percent, as in the paper.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from deep.data.layouts import LAYOUTS
from deep.experiments.reproduction.paper_tables import (
    COMMON_EPS,
    NOTES,
    STAGES,
    SYSTEMS,
    TABLES,
    paper_cas_drop,
    paper_numbers,
)
from deep.experiments.reproduction.row_verdicts import row_verdicts

__all__ = ["EXPECTATIONS", "QUANTITIES", "WORST_CASE", "comparable", "directions", "row", "rows", "spread",
           "stage_difference", "stage_values"]

QUANTITIES = ("robust", "worst", "clean", "cas", "cas_null", "cas_excess", "robust_common", "cas_common", "cas_clean")
WORST_CASE = ("apgd-ce", "apgd-t")  # the gradient attacks of AutoAttack


def stage_values(line: dict[str, Any], worst: dict[str, Any] | None = None,
                 common: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a row says of a checkpoint, from its line of cas.jsonl and, if there is one, of worst-case.jsonl.

    common: in a table of several eps, its line of cas.jsonl at the eps that all are measured at; CAS on clean images
    stands beside it.
    """
    values = {"epoch": line["epoch"], "robust": 100 * line["robust"]["value"], "clean": 100 * line["clean"]["value"],
              "cas": line["cas"], "cas_null": line["cas_null"], "cas_excess": line["cas_excess"],
              "n_test": line["n_test"], "attack": line["attack"]}
    values |= {"worst": 100 * worst["worst_case"]["value"], "worst_attack": worst["attack"]} if worst else {}
    return values | ({"robust_common": 100 * common["robust"]["value"], "cas_common": common["cas"],
                      "cas_clean": line["cas_clean"]} if common else {})


def stage_difference(best: dict[str, Any], last: dict[str, Any]) -> dict[str, float]:
    """Return the stage "best - last" from the values of both.

    >>> stage_difference({"cas": 9.0, "epoch": 3}, {"cas": 4.0, "epoch": 8})
    {'cas': 5.0}
    """
    return {name: best[name] - last[name] for name in QUANTITIES if name in best}


def spread(values: list[float]) -> dict[str, Any] | None:
    """Return {"mean", "min", "max", "values"} over seeds; None of no seed.

    >>> spread([1.0, 3.0])
    {'mean': 2.0, 'min': 1.0, 'max': 3.0, 'values': [1.0, 3.0]}
    """
    return {"mean": sum(values) / len(values), "min": min(values), "max": max(values),
            "values": values} if values else None


def comparable(scale: str, changes: Sequence[str], data_set: str, name: str) -> bool:
    """Return whether a difference to the paper may be printed: at its scale, unchanged, and on its whole, exact data.

    At its own scale, unchanged, a recipe is the public code's (`paper_tables.differences` is empty).
    name: `Data.name`, which says whatever is not so.

    >>> comparable("paper", (), "cifar10", "CIFAR-10"), comparable("gpu", (), "cifar10", "CIFAR-10")
    (True, False)
    """
    return scale == "paper" and not changes and name == LAYOUTS[data_set].title


def row(table: str, system: str, stage: str, found: dict[int, dict[str, Any]], missing: dict[int, str],
        beside: bool) -> dict[str, Any]:
    """Return one row: a system at a stage.

    found: {seed: values as `stage_values`}; missing: {seed: why there are none}. beside: whether differences to the
    paper are meant. That of CAS is between means; that of accuracy is the worst case's, and only of the attacks
    WORST_CASE: PGD's would be set beside AutoAttack's.
    """
    paper = (paper_numbers(table, system, stage) if stage in STAGES
             else {"robust": None, "cas": paper_cas_drop(system), "epoch": None})
    note, _ = NOTES.get(SYSTEMS[system].data, (None, None))
    result: dict[str, Any] = {
        "system": system, "stage": stage, "paper": paper, "paper_note": note, "seeds": list(found),
        "missing": {str(seed): reason for seed, reason in missing.items()},
        "epochs": [values["epoch"] for values in found.values() if "epoch" in values]}
    for name in QUANTITIES:
        result[name] = spread([values[name] for values in found.values() if name in values])
    result["difference"] = {}
    if beside and result["cas"] and paper["cas"] is not None:
        result["difference"]["cas"] = result["cas"]["mean"] - paper["cas"]
    standard = all(values.get("worst_attack", "").startswith(", ".join(WORST_CASE) + ";") for values in found.values())
    if beside and result["worst"] and standard and paper["robust"] is not None:
        result["difference"]["worst"] = result["worst"]["mean"] - paper["robust"]
    return result


def rows(table: str, results: dict[tuple[str, int], dict[str, Any]], beside: dict[str, bool]) -> list[dict[str, Any]]:
    """Return all rows of a table, each with its verdicts (`row_verdicts`).

    results: {(system, seed): {"stages": {stage: values}, "missing": None or why there are none}}; beside: {system:
    whether differences are meant}.
    """
    made = []
    for system, stages in TABLES[table][1]:
        seeds = {seed: one for (name, seed), one in results.items() if name == system}
        for stage in stages:
            found: dict[int, dict[str, Any]] = {}
            missing: dict[int, str] = {}
            for seed, one in seeds.items():
                if one["missing"]:
                    missing[seed] = one["missing"]
                elif stage == "best - last":
                    found[seed] = stage_difference(one["stages"]["best"], one["stages"]["last"])
                else:
                    found[seed] = one["stages"][stage]
            made.append(row(table, system, stage, found, missing, beside[system]))
    return [one | {"verdicts": verdicts} for one, verdicts in zip(made, row_verdicts(made), strict=True)]


# (system, stage)
Place = tuple[str, str]
# {system: {stage: values}} of one seed; a test of it raises KeyError for what the seed has not
Stages = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Falls:
    """A quantity falls strictly along `places`.

    ordered: two places of which the first must be of an earlier epoch. collapsed: a system whose training must have
    collapsed. Where that is not so, the test does not apply.
    """

    sentence: str
    quantity: str
    places: tuple[Place, ...]
    ordered: tuple[Place, Place] | None = None
    collapsed: str | None = None

    def outcome(self, seed: Stages) -> bool | None:
        """Return whether one seed shows it; None where the test does not apply."""
        def value(place: Place, quantity: str) -> float:
            system, stage = place
            return seed[system][stage][quantity]

        if self.collapsed and not has_collapsed(seed, self.collapsed):
            return None
        if self.ordered and not value(self.ordered[0], "epoch") < value(self.ordered[1], "epoch"):
            return None
        return all(value(first, self.quantity) > value(second, self.quantity)
                   for first, second in pairwise(self.places))


@dataclass(frozen=True)
class DropGrows:
    """The drop of a quantity from best to last is larger the later a system stands in `systems`."""

    sentence: str
    quantity: str
    systems: tuple[str, ...]

    def outcome(self, seed: Stages) -> bool:
        """Return whether one seed shows it."""
        drops = [seed[system]["best"][self.quantity] - seed[system]["last"][self.quantity] for system in self.systems]
        return all(first < second for first, second in pairwise(drops))


@dataclass(frozen=True)
class Collapses:
    """One-step training overfits catastrophically."""

    sentence: str
    system: str

    def outcome(self, seed: Stages) -> bool:
        """Return whether one seed shows it."""
        return has_collapsed(seed, self.system)


def has_collapsed(seed: Stages, system: str) -> bool:
    """Return whether the probe found catastrophic overfitting by the last checkpoint."""
    return bool(seed[system]["last"]["collapse"])


def falls_after_best(sentence: str, quantity: str, system: str, collapsed: str | None = None) -> Falls:
    """Return that a quantity falls from the best checkpoint to a later, last one: the same one would say nothing."""
    places = ((system, "best"), (system, "last"))
    return Falls(sentence, quantity, places, ordered=places, collapsed=collapsed)


EPS = ("AT, eps 2/255", "AT, eps 4/255", "AT, eps 6/255", "AT")
LARGE = ("AT", "AT, eps 12/255", "AT, eps 16/255")
ALIKE = {"cas_common": f"all at {COMMON_EPS}", "cas_clean": "on clean images"}  # one attack for all networks
EXPECTATIONS: dict[str, tuple[Falls | DropGrows | Collapses, ...]] = {  # what the paper says of each table
    "stages": (
        Falls("robust accuracy falls from best to last", "robust", (("AT", "best"), ("AT", "last"))),
        falls_after_best("CAS falls from best to last", "cas", "AT"),
        falls_after_best("CAS above its null level falls from best to last", "cas_excess", "AT"),
        Falls("CAS rises from the early stage to best", "cas", (("AT", "best"), ("AT", "underfit")),
              ordered=(("AT", "underfit"), ("AT", "best")))),
    "large_eps": (
        Falls("CAS at best falls with eps", "cas", tuple((name, "best") for name in LARGE)),
        *(Falls(f"CAS at best falls with eps, {words}", key, tuple((name, "best") for name in LARGE))
          for key, words in ALIKE.items()),
        *(falls_after_best(f"CAS falls from best to last ({name})", "cas", name) for name in LARGE)),
    "delta_cas": (
        DropGrows("the fall of CAS from best to last grows with eps", "cas", EPS),
        *(DropGrows(f"the fall of CAS from best to last grows with eps, {words}", key, EPS)
          for key, words in ALIKE.items()),
        DropGrows("the fall of CAS above its null level grows with eps", "cas_excess", EPS)),
    "distillation": (
        DropGrows("CAS falls less with distillation than without", "cas", ("AT + KD", "AT")),
        DropGrows("robust accuracy falls less with distillation than without", "robust", ("AT + KD", "AT")),
        DropGrows("CAS above its null level falls less with distillation", "cas_excess", ("AT + KD", "AT"))),
    "across": tuple(falls_after_best(f"CAS falls from best to last ({name})", "cas", name)
                    for name, _ in TABLES["across"][1]),
    "fast_at": tuple(expectation for name, _ in TABLES["fast_at"][1] for expectation in (
        Collapses(f"catastrophic overfitting occurs ({name})", name),
        falls_after_best(f"where it occurs, CAS falls from best to last ({name})", "cas", name, collapsed=name))),
}


def directions(table: str, results: dict[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Count over seeds what the paper says of a table: [{"expected", "holds", "contradicted", ..., "verdict"}].

    results as in `rows`. A seed that lacks one of the runs is not counted.
    """
    systems = {name for name, _ in TABLES[table][1]}
    seeds = {seed: {system: found["stages"] for (system, own), found in results.items() if own == seed}
             for seed in sorted({seed for name, seed in results if name in systems})}
    counted = []
    for expectation in EXPECTATIONS[table]:
        outcomes = []
        for seed, stages in seeds.items():
            with suppress(KeyError):
                outcomes.append((seed, expectation.outcome(stages)))
        holds, against, idle = ([seed for seed, outcome in outcomes if outcome is kind] for kind in (True, False, None))
        number = len(holds) + len(against)
        words = f"holds in {len(holds)} of {number} seeds" if number else "no seed decides"
        words += f", contradicted in {len(against)}" if against else ""
        words += f"; does not apply in {len(idle)}" if idle else ""
        counted.append({"expected": expectation.sentence, "holds": holds, "contradicted": against,
                        "does_not_apply": idle, "verdict": words})
    return counted
