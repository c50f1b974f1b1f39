"""What the runs of a plan say, judged together, and its words: for `deep confirm`, the report and the pages alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deep.experiments.campaign.correlations import Correlated, correlated
from deep.experiments.campaign.plan import FOLLOWED
from deep.experiments.campaign.predictions import Judged, Run, conclusions, decided, judged

__all__ = ["Answers", "answers", "counts_of", "measured_of", "rule_of", "surgery_rows", "with_interval"]

SIGNS = {"at_least": ">=", "at_most": "<=", "within": "within +-"}
VERDICTS = ("confirmed", "contradicted", "undecided", "not run")
SCALES = {"clean": 100, "robust": 100, "cas": 1, "sharing": 1}  # of the measures of a surgery: accuracies are per cent


@dataclass(frozen=True)
class Answers:
    """The runs {arm: {seed: result}}, and a plan's predictions, correlations and conclusions as they judge them.

    surgery: `surgery_rows` of the plan's first arm.
    """

    runs: Mapping[str, Mapping[int, Run]]
    predictions: list[Judged]
    correlations: list[Correlated]
    conclusions: list[tuple[Mapping[str, Any], str]]
    surgery: list[dict[str, Any]]

    def rows(self) -> list[tuple[Mapping[str, Any], Judged | Correlated]]:
        """Each prediction, and then each correlation, of the plan with what was made of it."""
        return [*((row.prediction, row) for row in self.predictions),
                *((row.correlation, row) for row in self.correlations)]

    def of_arms(self, arms: Iterable[str]) -> "Answers":
        """What is predicted of these arms, or compared with one of them, judged as before; no conclusion."""
        wanted = set(arms)

        def named(rule: Mapping[str, Any]) -> bool:
            return not wanted.isdisjoint((rule["arm"], rule.get("minus")))
        return replace(self, predictions=[row for row in self.predictions if named(row.prediction)],
                       correlations=[row for row in self.correlations if named(row.correlation)], conclusions=[],
                       surgery=[])

    def grounds(self, conclusion: Mapping[str, Any]) -> str:
        """The predictions from which a conclusion follows, with verdict and value; "" where none is named."""
        named = [one for key in FOLLOWED for one in conclusion.get(key, ())]
        rows = {row.prediction["id"]: row for row in self.predictions}
        return ", ".join(f"{one} {rows[one].verdict}" + (f": {rows[one].value:.2f}" if rows[one].n > 1 else "")
                         for one in dict.fromkeys(named) if one in rows)

    def counts(self) -> str:
        """How many predictions, correlations among them, there are, and how many have which verdict."""
        rows = self.rows()
        return f"{len(rows)} prediction{'' if len(rows) == 1 else 's'}: {counts_of(row.verdict for _, row in rows)}"


def answers(plan: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]]) -> Answers:
    """Judge a plan by the runs {arm: {seed: result}}; ValueError as `judged` and `correlated`."""
    rows = judged(plan, runs)
    return Answers(runs, rows, correlated(plan, runs), conclusions(plan, rows, runs),
                   surgery_rows(runs.get(plan["arm"][0]["id"], {}), plan["campaign"]["level"]))


def counts_of(verdicts: Iterable[str]) -> str:
    """How often each verdict was given.

    >>> counts_of(["undecided", "not run", "undecided"])
    '0 confirmed, 0 contradicted, 2 undecided, 1 not run'
    """
    given = list(verdicts)
    return ", ".join(f"{given.count(word)} {word}" for word in VERDICTS)


def rule_of(rule: Mapping[str, Any]) -> str:
    """What a prediction, or a correlation, compares, with its bound.

    >>> rule_of({"quantity": "robust", "arm": "a3", "minus": "a1", "at_least": 3.0})
    'robust of a3 - a1 >= 3'
    """
    compared = (f"{rule['quantity']} of {rule['arm']}" + (f" - {rule['minus']}" if "minus" in rule else "")
                if "quantity" in rule else f"partial correlation along {rule['arm']}")
    return f"{compared} " + next(f"{sign} {rule[key]:g}" for key, sign in SIGNS.items() if key in rule)


def with_interval(value: float, interval: tuple[float, float] | None) -> str:
    """A value, with its interval where there is one.

    >>> with_interval(2.5, (2.0, 3.0)), with_interval(2.5, None)
    ('2.50 [2.00, 3.00]', '2.50')
    """
    return f"{value:.2f}" + ("" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]")


def measured_of(row: Judged | Correlated, seeds: bool = False) -> str:
    """What was measured: the mean, its interval, the number of seeds, or which ones, and `p_value`; "" for nothing."""
    said = []
    if row.verdict != "not run":
        said.append(f"{with_interval(row.value, row.interval)}, n = {len(row.seeds)}"
                    + (f", seeds {', '.join(map(str, row.seeds))}" if seeds else "")
                    + (f", and {', '.join(map(str, row.to_run))} to be run" if row.to_run
                       else f", {p_value(row)}" if isinstance(row, Judged) else ""))
    if isinstance(row, Correlated):
        if said:
            said[0] += f", permuted p = {row.permuted:.3f}"
        if row.pooled is not None:
            said.append(f"over all arms {row.pooled['partial']:.2f}, not given the loss {row.pooled['plain']:.2f} "
                        f"({row.pooled['n']} checkpoints)")
    return "; ".join(said)


def p_value(row: Judged) -> str:
    """The smaller one of the p-values that would confirm and contradict a prediction, and which one that is.

    Of an undecided one also what it can still become when all of its group is run.

    >>> p_value(Judged({}, (0, 1), 2.5, (2.0, 3.0), 0.8, 0.0371, "contradicted"))
    'p = 0.037 to contradict (Holm)'
    >>> p_value(Judged({}, (0, 1), 2.5, (2.0, 3.0), 0.06, 0.9, "undecided", possible=("confirmed",)))
    'p = 0.06 to confirm (Holm; may still be confirmed)'
    """
    word = "confirm" if row.confirming <= row.contradicting else "contradict"
    later = f"; may still be {' or '.join(row.possible)}" if row.verdict == "undecided" and row.possible else ""
    return f"p = {min(row.confirming, row.contradicting):.2g} to {word} (Holm{later})"


def surgery_rows(runs: Mapping[int, Run], level: float) -> list[dict[str, Any]]:
    """The networks of `last_layer_surgery`, after the two that they are made of, over the runs {seed: result} with one.

    Each row: network; seeds; early_epoch: of the early body, of the first seed; clean and robust, in per cent, cas and
    sharing, each (mean over seeds, its interval by Student's t, or None for one seed): on test images, under PGD as
    along the training. ValueError for a result that lacks what is needed.
    """
    found: dict[str, dict[int, Mapping[str, float]]] = {}
    of_surgery = {seed: run for seed, run in sorted(runs.items()) if "surgery" in run}
    for seed, run in of_surgery.items():
        try:
            for name, values in networks(run).items():
                found.setdefault(name, {})[seed] = {key: values[key] for key in SCALES}
        except (KeyError, TypeError):
            raise ValueError(f"the result of {run.get('run', 'a run')} lacks what its surgery needs: measure it "
                             "again.") from None

    def mean(values: list[float]) -> tuple[float, tuple[float, float] | None]:
        return decided({"within": 0.0}, values, 0.0, level)[:2] if len(values) > 1 else (values[0], None)
    early = [run["surgery"]["early_epoch"] for run in of_surgery.values()][:1]
    return [{"network": name, "seeds": list(seeds), "early_epoch": early[0]}
            | {key: mean([scale * values[key] for values in seeds.values()]) for key, scale in SCALES.items()}
            for name, seeds in found.items()]


def networks(run: Run) -> dict[str, Mapping[str, float]]:
    """{network: its measures}: both checkpoints of a surgery as they were, and then what was made of them."""
    lines = {line["epoch"]: line for line in run["checkpoints"]}
    found = {}
    for name, epoch in (("early body, early layer", run["surgery"]["early_epoch"]),
                        ("late body, late layer", run["end"]["epoch"])):
        seen = lines[epoch]
        found[name] = {"clean": seen["clean_test"]["accuracy"], "robust": seen["test"]["accuracy"],
                       "cas": seen["test"]["cas"], "sharing": seen["test"]["sharing"]}
    return found | {name: values for name, values in run["surgery"].items() if isinstance(values, Mapping)}
