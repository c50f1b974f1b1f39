"""The results of the campaign (figures/predictions.toml), as its figures, the report and the README read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.correlations import correlated
from deep.experiments.campaign.plan import check_recipes, committed, plan_of, read_results
from deep.experiments.campaign.predictions import conclusions, judged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from figures.style import Row

    Runs = Mapping[str, Mapping[int, dict[str, Any]]]

__all__ = ["DATA", "PLAN", "NothingToDraw", "band", "conclusion_rows", "exists", "prediction_rows", "results",
           "summary"]

PLAN, DATA = committed()
NOT_RUN = "Not run: there is no result of the campaign yet."


class NothingToDraw(ValueError):
    """The results that a picture needs are not there yet."""


def exists(source: Path = DATA) -> bool:
    """Whether there is a result at all."""
    return any(source.glob("*.json"))


def results(source: Path = DATA, *needed: str) -> tuple[dict[str, Any], Runs]:
    """(plan, {arm: {seed: result}}); NothingToDraw where none of the arms `needed`, or none at all, has a result."""
    plan, runs = plan_of(PLAN), read_results(source)
    check_recipes(plan, runs)
    if not (set(needed) & runs.keys() if needed else runs):
        raise NothingToDraw(f"{source} holds no result{' of ' + ' or '.join(needed) if needed else ''}, so that there "
                            "is nothing to draw: run the campaign first, deep confirm --run --data DIR.")
    return plan, runs


def band(axis: Axes, epochs: Any, values: Any, color: str, style: str, label: str) -> None:
    """The mean of rows of values, one a seed, in their range."""
    values = np.array(values)
    axis.plot(epochs, values.mean(0), style, color=color, label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)


def number(value: float, interval: tuple[float, float], n: int) -> str:
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}], n = {n}"


def prediction_rows(source: Path = DATA) -> list[Row]:
    """Each prediction with its verdict and what was measured; correlations at the end."""
    plan, runs = plan_of(PLAN), read_results(source)
    rule = {"at_least": "≥", "at_most": "≤", "within": "within ±"}
    rows: list[Row] = []
    for row in judged(plan, runs):
        one = row.prediction
        sign = next(f"{word} {one[key]:g}" for key, word in rule.items() if key in one)
        of = f"`{one['quantity']}` of {one['arm']}" + (f" - {one['minus']}" if "minus" in one else "")
        rows.append({"prediction": one["id"], "claim": one["claim"], "rule": f"{of} {sign}",
                     "measured": number(row.value, row.interval, row.n) if row.n > 1 else "", "verdict": row.verdict})
    for along in correlated(plan, runs):
        one = along.correlation
        measured = "" if along.verdict == "not run" else number(along.value, along.interval, len(along.seeds))
        if along.pooled is not None:
            measured += (f"; over all arms {along.pooled['partial']:.2f}, not given the loss "
                         f"{along.pooled['plain']:.2f}")
        rows.append({"prediction": one["id"], "claim": one["claim"],
                     "rule": f"partial correlation along {one['arm']} ≤ {one['at_most']:g}",
                     "measured": measured.removeprefix("; "), "verdict": along.verdict})
    return rows


def conclusion_rows(source: Path = DATA) -> list[Row]:
    """Each conclusion with its answer: supported, refuted or open."""
    plan, runs = plan_of(PLAN), read_results(source)
    return [{"statement": conclusion["statement"], "answer": answer, "rule": conclusion["rule"]}
            for conclusion, answer in conclusions(plan, judged(plan, runs), runs)]


def summary(source: Path = DATA) -> str:
    """How many predictions have which verdict, in a sentence."""
    if not exists(source):
        return NOT_RUN
    verdicts = [row["verdict"] for row in prediction_rows(source)]
    words = ("confirmed", "contradicted", "undecided", "not run")
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in words)
    n = sum(map(len, read_results(source).values()))
    return f"Of {len(verdicts)} predictions, by {n} runs: {counts}."
