"""The results of the campaign (figures/predictions.toml), as its figures, the report and the README read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator

from deep.experiments.campaign.answers import Answers, answers, measured_of, rule_of, with_interval
from deep.experiments.campaign.plan import committed, plan_of, results_of
from deep.experiments.campaign.predictions import decided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from figures.style import Row

    Runs = Mapping[str, Mapping[int, dict[str, Any]]]

__all__ = ["DATA", "PLAN", "TRUNK", "NothingToDraw", "band", "conclusion_rows", "exists", "far_out", "mean_of",
           "prediction_rows", "results", "rounded", "said", "summary", "surgery_rows"]

PLAN, DATA = committed()
TRUNK = "a1"
NOT_RUN = "Not run: there is no result of the campaign yet."


class NothingToDraw(ValueError):
    """The results that a picture needs are not there yet."""


def exists(source: Path = DATA) -> bool:
    """Whether there is a result at all."""
    return any(source.glob("*.json"))


def results(source: Path = DATA, *needed: str) -> tuple[dict[str, Any], Runs]:
    """(plan, {arm: {seed: result}}); NothingToDraw where none of the arms `needed`, or none at all, has a result."""
    plan = plan_of(PLAN)
    runs = results_of(plan, source)
    if not (set(needed) & runs.keys() if needed else runs):
        raise NothingToDraw(f"{source} holds no result{' of ' + ' or '.join(needed) if needed else ''}, so that there "
                            "is nothing to draw: run the campaign first, deep confirm --run --data DIR.")
    return plan, runs


def band(axis: Axes, epochs: Any, values: Any, color: str, style: str, label: str) -> None:
    """The mean of rows of values, one a seed, in their range."""
    values = np.array(values)
    axis.plot(epochs, values.mean(0), style, color=color, label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)


def mean_of(values: Sequence[float], level: float, digits: int, sign: str = "") -> str:
    """The mean of a value a seed, with its interval by Student's t, in the form of `rounded`.

    >>> mean_of([1.0, 2.0, 3.0], 0.95, 1)
    '2.0 [-0.5, 4.5]'
    """
    return rounded(*decided({"within": 1.0}, list(values), 0.0, level)[:2], digits, sign)


def rounded(mean: float, interval: tuple[float, float], digits: int, sign: str = "") -> str:
    """A mean, with a sign if sign is "+", and its interval; what rounds to 0 keeps its minus.

    >>> rounded(2.0, (1.0, 3.0), 1, "+"), rounded(1.14, (-0.04, 2.32), 1, "+")
    ('+2.0 [1.0, 3.0]', '+1.1 [-0.0, 2.3]')
    """
    return f"{mean:{sign}.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def far_out(axis: Axes, values: Any, linear: int) -> str:
    """Draw x beyond +-linear on a logarithmic scale where a value lies beyond twice that; what the axis's label says.

    An arm that has CAS in its loss has ten times the trunk's, and would leave no place for the others.
    """
    if np.abs(values).max(initial=0) <= 2 * linear:
        return ""
    axis.set_xscale("symlog", linthresh=linear, linscale=1.5)
    outside = [tick for tick in (10, 20, 40, 80) if tick >= 1.5 * linear]
    ticks = range(-linear, linear + 1, max(1, linear // 4))
    axis.xaxis.set_major_locator(FixedLocator([*(-tick for tick in outside), *ticks, *outside]))
    axis.xaxis.set_major_formatter("{x:g}")
    return f" (logarithmic beyond {linear})"


def said(source: Path = DATA) -> Answers:
    """What `deep confirm` says of the results in a folder, read and judged."""
    plan = plan_of(PLAN)
    return answers(plan, results_of(plan, source))


def typographic(rule: Mapping[str, Any]) -> str:
    words = rule_of(rule).replace(">=", "≥").replace("<=", "≤").replace("+-", "±")
    return words.replace(rule["quantity"], f"`{rule['quantity']}`", 1) if "quantity" in rule else words


def prediction_rows(found: Answers) -> list[Row]:
    """Each prediction with its verdict and what was measured; correlations at the end."""
    return [{"prediction": rule["id"], "claim": rule["claim"], "seeds": ", ".join(map(str, row.seeds)),
             "rule": typographic(rule), "measured": measured_of(row), "verdict": row.verdict}
            for rule, row in found.rows()]


def conclusion_rows(found: Answers) -> list[Row]:
    """Each conclusion with its answer, its rule, and the verdicts that it follows from."""
    return [{"statement": conclusion["statement"], "answer": answer, "rule": conclusion["rule"],
             "verdicts": found.grounds(conclusion)}
            for conclusion, answer in found.conclusions]


def surgery_rows(found: Answers) -> list[Row]:
    """The last-layer surgeries of the trunk, in means over seeds with intervals; no row where there was none."""
    names = {"clean": "clean, %", "robust": "robust, %", "cas": "CAS", "sharing": "sharing"}
    return [{"trunk": one["network"], "n": len(one["seeds"])}
            | {name: with_interval(*one[key]) for key, name in names.items()} for one in found.surgery]


def summary(found: Answers) -> str:
    """How many predictions have which verdict, in a sentence."""
    if not found.runs:
        return NOT_RUN
    return f"{found.counts()} ({sum(map(len, found.runs.values()))} runs)."
