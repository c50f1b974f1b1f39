"""A table of the paper beside what was measured: rows over seeds, the directions it is about, and its caption.

Everything here is a plain value made of plain values. Accuracies are in percent, as in the paper.
"""

from itertools import pairwise

from deep.data.layouts import LAYOUTS
from deep.experiments.paper_tables import NOTES, STAGES, SYSTEMS, TABLES, paper_delta, paper_numbers

__all__ = ["EXPECTATIONS", "QUANTITIES", "WORST_CASE", "comparable", "difference_of_stages", "directions", "row",
           "rows", "spread", "values_of"]

QUANTITIES = ("robust", "worst", "clean", "cas", "cas_null", "cas_excess")
WORST_CASE = ("apgd-ce", "apgd-t")  # the gradient attacks of AutoAttack


def values_of(line, worst=None):
    """What a row says of one checkpoint, from its line of cas.jsonl and, if there is one, of worst-case.jsonl."""
    values = {"epoch": line["epoch"], "robust": 100 * line["robust"]["value"], "clean": 100 * line["clean"]["value"],
              "cas": line["cas"], "cas_null": line["cas_null"], "cas_excess": line["cas_excess"],
              "n_test": line["n_test"], "attack": line["attack"]}
    return values | ({"worst": 100 * worst["worst_case"]["value"], "worst_attack": worst["attack"]} if worst else {})


def difference_of_stages(best, last):
    """The stage "best - last" from the values of both.

    >>> difference_of_stages({"cas": 9.0, "epoch": 3}, {"cas": 4.0, "epoch": 8})
    {'cas': 5.0}
    """
    return {name: best[name] - last[name] for name in QUANTITIES if name in best}


def spread(values):
    """{"mean", "min", "max", "values"} over seeds; None of no seed.

    >>> spread([1.0, 3.0])
    {'mean': 2.0, 'min': 1.0, 'max': 3.0, 'values': [1.0, 3.0]}
    """
    return {"mean": sum(values) / len(values), "min": min(values), "max": max(values),
            "values": values} if values else None


def comparable(scale, changes, data_set, name):
    """Whether a difference to the paper may be printed: its own scale, unchanged, and its whole and exact data set.

    At its own scale, unchanged, a recipe is the public code's (`deep.experiments.paper_tables.differences` is empty).
    name: `Data.name`, which says whatever is not so.

    >>> comparable("paper", (), "cifar10", "CIFAR-10"), comparable("gpu", (), "cifar10", "CIFAR-10")
    (True, False)
    """
    return scale == "paper" and not changes and name == LAYOUTS[data_set].title


def row(table, system, stage, found, missing, beside):
    """One row: a system at a stage.

    found: {seed: values as `values_of`}; missing: {seed: why there are none}. beside: whether differences to the paper
    are meant. That of CAS is between means; that of accuracy is the worst case's, and only of the attacks WORST_CASE:
    PGD's would be set beside AutoAttack's.
    """
    paper = (paper_numbers(table, system, stage) if stage in STAGES
             else {"robust": None, "cas": paper_delta(system), "epoch": None})
    note, _ = NOTES.get(SYSTEMS[system].data, (None, None))
    result = {"system": system, "stage": stage, "paper": paper, "paper_note": note, "seeds": list(found),
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


def rows(table, results, beside):
    """All rows of a table.

    results: {(system, seed): {"stages": {stage: values}, "missing": None or why there are none}}; beside: {system:
    whether differences are meant}.
    """
    made = []
    for system, stages in TABLES[table][1]:
        seeds = {seed: one for (name, seed), one in results.items() if name == system}
        for stage in stages:
            found, missing = {}, {}
            for seed, one in seeds.items():
                if one["missing"]:
                    missing[seed] = one["missing"]
                elif stage == "best - last":
                    found[seed] = difference_of_stages(one["stages"]["best"], one["stages"]["last"])
                else:
                    found[seed] = one["stages"][stage]
            made.append(row(table, system, stage, found, missing, beside[system]))
    return made


def falls(quantity, *places, given=None):
    """A test of one seed: whether the quantity falls strictly along the places (system, stage).

    It is None, not applicable, where given(value) is false; value(system, stage, quantity) raises KeyError for what
    this seed has not.
    """
    def test(value):
        if given and not given(value):
            return None
        return all(value(*first, quantity) > value(*second, quantity) for first, second in pairwise(places))
    return test


def drop(value, system, quantity):
    return value(system, "best", quantity) - value(system, "last", quantity)


def larger_drop(quantity, *systems):
    """A test of one seed: whether the drop from best to last is larger the later the system stands."""
    def test(value):
        return all(drop(value, first, quantity) < drop(value, second, quantity) for first, second in pairwise(systems))
    return test


def apart(system):
    """Whether the best checkpoint is earlier than the last: else a fall from one to the other says nothing."""
    return lambda value: value(system, "best", "epoch") < value(system, "last", "epoch")


def forgets(quantity, system, given=lambda value: True):
    """A test of one seed: whether the quantity falls from the best checkpoint to a later, last one."""
    return falls(quantity, (system, "best"), (system, "last"),
                 given=lambda value: given(value) and apart(system)(value))


def collapsed(system):
    return lambda value: bool(value(system, "last", "collapse"))


EPS = ("AT, eps 2/255", "AT, eps 4/255", "AT, eps 6/255", "AT")
LARGE = ("AT", "AT, eps 12/255", "AT, eps 16/255")
# {table: what the paper says of it, each with a test of one seed}
EXPECTATIONS = {
    "stages": (
        ("robust accuracy falls from best to last", falls("robust", ("AT", "best"), ("AT", "last"))),
        ("CAS falls from best to last", forgets("cas", "AT")),
        ("CAS above its null level falls from best to last", forgets("cas_excess", "AT")),
        ("CAS rises from the early stage to best", falls(
            "cas", ("AT", "best"), ("AT", "underfit"),
            given=lambda value: value("AT", "best", "epoch") > value("AT", "underfit", "epoch")))),
    "large_eps": (
        ("CAS at best falls with eps", falls("cas", *((name, "best") for name in LARGE))),
        *((f"CAS falls from best to last ({name})", forgets("cas", name)) for name in LARGE)),
    "delta_cas": (
        ("the fall of CAS from best to last grows with eps", larger_drop("cas", *EPS)),
        ("the fall of CAS above its null level grows with eps", larger_drop("cas_excess", *EPS))),
    "distillation": (
        ("CAS falls less with distillation than without", larger_drop("cas", "AT + KD", "AT")),
        ("robust accuracy falls less with distillation than without", larger_drop("robust", "AT + KD", "AT")),
        ("CAS above its null level falls less with distillation", larger_drop("cas_excess", "AT + KD", "AT"))),
    "across": tuple((f"CAS falls from best to last ({name})", forgets("cas", name))
                    for name, _ in TABLES["across"][1]),
    "fast_at": tuple(pair for name, _ in TABLES["fast_at"][1] for pair in (
        (f"catastrophic overfitting occurs ({name})", collapsed(name)),
        (f"where it occurs, CAS falls from best to last ({name})",
         forgets("cas", name, given=collapsed(name))))),
}


def directions(table, results):
    """What the paper says of the table, counted over seeds: [{"expected", "holds", "contradicted", ..., "verdict"}].

    results as in `rows`. A seed that lacks one of the runs is not counted.
    """
    systems = {name for name, _ in TABLES[table][1]}
    seeds = sorted({seed for name, seed in results if name in systems})
    counted = []
    for sentence, test in EXPECTATIONS[table]:
        outcomes = []
        for seed in seeds:
            def value(system, stage, quantity, seed=seed):
                return results[system, seed]["stages"][stage][quantity]
            try:
                outcomes.append((seed, test(value)))
            except KeyError:
                continue
        holds, against, idle = ([seed for seed, outcome in outcomes if outcome is kind] for kind in (True, False, None))
        number = len(holds) + len(against)
        words = f"holds in {len(holds)} of {number} seeds" if number else "no seed decides"
        words += f", contradicted in {len(against)}" if against else ""
        words += f"; does not apply in {len(idle)}" if idle else ""
        counted.append({"expected": sentence, "holds": holds, "contradicted": against, "does_not_apply": idle,
                        "verdict": words})
    return counted
