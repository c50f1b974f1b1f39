"""What the runs of a plan say, judged together, and its words: for `deep confirm`, the report and the pages alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deep.experiments.campaign.correlations import Correlated, correlated
from deep.experiments.campaign.predictions import Judged, Run, conclusions, judged

__all__ = ["Answers", "answers", "counts_of", "measured_of", "rule_of"]

SIGNS = {"at_least": ">=", "at_most": "<=", "within": "within +-"}
VERDICTS = ("confirmed", "contradicted", "undecided", "not run")


@dataclass(frozen=True)
class Answers:
    """The runs {arm: {seed: result}}, and a plan's predictions, correlations and conclusions as they judge them."""

    runs: Mapping[str, Mapping[int, Run]]
    predictions: list[Judged]
    correlations: list[Correlated]
    conclusions: list[tuple[Mapping[str, Any], str]]

    def rows(self) -> list[tuple[Mapping[str, Any], Judged | Correlated]]:
        """Each prediction, and then each correlation, of the plan with what was made of it."""
        return [*((row.prediction, row) for row in self.predictions),
                *((row.correlation, row) for row in self.correlations)]

    def counts(self) -> str:
        """How many predictions have which verdict."""
        return counts_of(row.verdict for row in self.predictions)


def answers(plan: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]]) -> Answers:
    """Judge a plan by the runs {arm: {seed: result}}; ValueError as `judged` and `correlated`."""
    rows = judged(plan, runs)
    return Answers(runs, rows, correlated(plan, runs), conclusions(plan, rows, runs))


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


def measured_of(row: Judged | Correlated, seeds: bool = False) -> str:
    """What was measured: the mean, its interval and the number of seeds, or which ones; "" where nothing was."""
    said = []
    if row.verdict != "not run":
        said.append(f"{row.value:.2f} [{row.interval[0]:.2f}, {row.interval[1]:.2f}], n = {len(row.seeds)}"
                    + (f", seeds {', '.join(map(str, row.seeds))}" if seeds else ""))
    if isinstance(row, Correlated):
        if said:
            said[0] += f", permuted p = {row.permuted:.3f}"
        if row.pooled is not None:
            said.append(f"over all arms {row.pooled['partial']:.2f}, not given the loss {row.pooled['plain']:.2f} "
                        f"({row.pooled['n']} checkpoints)")
    return "; ".join(said)
