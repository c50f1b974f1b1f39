"""Predictions and their verdicts: the rules stand in a file that is older than the runs (figures/predictions.toml)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

__all__ = ["QUANTITIES", "Judged", "beside", "conclusions", "curve", "decided", "holm", "holm_pairs", "judged",
           "quantity_of", "still_to_run", "verdict"]

DECIDED = ("confirmed", "contradicted")

Run = Mapping[str, Any]  # a result file of deep/experiments/campaign/runs.py


def curve(run: Run, split: str, name: str) -> Float[np.ndarray, " epochs"]:
    """The values of a measure over the measured epochs, on one split: "train", "test", "clean_train", "clean_test"."""
    return np.array([line[split][name] for line in run["checkpoints"]], float)


def fall(run: Run, split: str, name: str) -> float:
    """How far the end lies below the highest value over the measured epochs."""
    values = curve(run, split, name)
    return float(values.max() - values[-1])


def common_fall(run: Run) -> float:
    """How far CAS on test inputs falls when all runs are attacked in the ball of the plan's first arm."""
    return fall(run, "common" if "common" in run["checkpoints"][0] else "test", "cas")


def clean_fall(run: Run) -> float:
    """How far the clean test accuracy at the end lies below that at the peak of clean CAS, in points."""
    accuracy, peak = 100 * curve(run, "clean_test", "accuracy"), curve(run, "clean_test", "cas").argmax()
    return float(accuracy[peak] - accuracy[-1])


def rise(run: Run, split: str, name: str) -> float:
    """How far the highest value lies above the first."""
    values = curve(run, split, name)
    return float(values.max() - values[0])


QUANTITIES: dict[str, Callable[[Run], float]] = {
    "robust": lambda run: 100 * run["end"]["robust"],
    "robust_apgd_t": lambda run: 100 * run["end"]["robust_apgd_t"],
    "clean": lambda run: 100 * run["end"]["clean"],
    "cas_test": lambda run: float(curve(run, "test", "cas")[-1]),
    "cas_train": lambda run: float(curve(run, "train", "cas")[-1]),
    "sharing_test": lambda run: float(curve(run, "test", "sharing")[-1]),
    "sharing_train": lambda run: float(curve(run, "train", "sharing")[-1]),
    "train_robust_loss": lambda run: float(curve(run, "train", "robust_loss")[-1]),
    "cas_test_fall": lambda run: fall(run, "test", "cas"),
    "cas_train_fall": lambda run: fall(run, "train", "cas"),
    "cas_test_fall_less_common": lambda run: fall(run, "test", "cas") - common_fall(run),
    "robust_test_fall": lambda run: 100 * fall(run, "test", "accuracy"),
    "cas_train_fall_less_half_of_test": lambda run: fall(run, "train", "cas") - fall(run, "test", "cas") / 2,
    "sharing_test_rise": lambda run: rise(run, "test", "sharing"),
    "cas_clean_test_end_less_half_of_peak": lambda run: float(
        curve(run, "clean_test", "cas")[-1] - curve(run, "clean_test", "cas").max() / 2),
    "clean_fall": clean_fall,
}


def quantity_of(run: Run, name: str) -> float:
    """A quantity of a run, by its name in QUANTITIES; ValueError where the file lacks what it needs."""
    try:
        return QUANTITIES[name](run)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the result of {run.get('run', 'a run')} lacks what {name} needs: measure it "
                         "again.") from None


@dataclass(frozen=True)
class Judged:
    """A prediction with what was measured.

    value: the mean over seeds; interval: of it, by Student's t; n: seeds. confirming, contradicting: p-values of the
    hypotheses that the verdict rejects, corrected by Holm. verdict: "confirmed", "contradicted", "undecided", or
    "not run" with fewer than two seeds. to_run: the seeds that the plan asks for beside these; until they are there the
    verdict is "undecided", so that nobody stops where the numbers please. possible: the verdicts other than "undecided"
    that can stand once all runs of the plan are there, as far as Holm's correction over the group tells; while seeds of
    its own are to be run, both.
    """

    prediction: Mapping[str, Any]
    seeds: tuple[int, ...]
    value: float
    interval: tuple[float, float]
    confirming: float
    contradicting: float
    verdict: str
    to_run: tuple[int, ...] = ()
    possible: tuple[str, ...] = DECIDED

    @property
    def n(self) -> int:
        return len(self.seeds)


def holm(values: Iterable[float], whole: bool = False) -> list[float]:
    """p-values corrected for their number by Holm's step-down rule, in the order given; NaN stays, and counts nothing.

    whole: NaN counts, as a hypothesis that is yet to be tested: no p-value grows when it is.

    >>> holm([0.01, 0.04, 0.03]), holm([0.01, nan]), holm([0.01, nan], whole=True)
    ([0.03, 0.06, 0.06], [0.01, nan], [0.02, nan])
    """
    values = list(values)
    order = sorted((index for index, value in enumerate(values) if value == value), key=values.__getitem__)
    corrected, highest, number = [nan] * len(values), 0.0, len(values) if whole else len(order)
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (number - rank) * values[index]))
        corrected[index] = highest
    return corrected


def holm_pairs(pairs: Sequence[tuple[float, float]], whole: bool = False) -> list[tuple[float, float]]:
    """The p-values of each case, those to confirm and those to contradict, each side corrected by `holm`."""
    return list(zip(holm((one for one, _ in pairs), whole), holm((other for _, other in pairs), whole), strict=True))


def beside(run: Run, other: Run) -> Run | None:
    """What `other`, of another arm and the same seed, is compared with `run` as: itself, or as it was trained again.

    Of arms on one trunk, or one of them the trunk, that which began in the same training of it; None without one.

    >>> again = {"course": "b"}
    >>> trunk = {"run": "t", "course": "a", "again": [{"course": "c"}, again]}
    >>> beside({"trunk": "t", "course": "b"}, trunk) is again, beside({"trunk": "t", "course": "a"}, trunk) is trunk
    (True, True)
    >>> beside({"trunk": "t", "course": "d"}, trunk) is None, beside({"trunk": None, "course": "b"}, trunk) is trunk
    (True, True)
    """
    if run.get("trunk") is None or run["trunk"] not in (other.get("run"), other.get("trunk")):
        return other
    return next((one for one in (other, *other.get("again", ())) if one.get("course") == run.get("course")), None)


def paired(prediction: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]], first: bool = False
           ) -> dict[int, float]:
    """{seed: value} of a prediction's quantity, less that of the arm `minus`, for the seeds that both arms have.

    Compared are runs that stand beside one another (`beside`), or `first`: what was run first of each arm and seed.
    """
    name, minus = prediction["quantity"], prediction.get("minus")
    mine = runs.get(prediction["arm"], {})
    if minus is None:
        return {seed: quantity_of(run, name) for seed, run in mine.items()}
    others = {seed: other if first else beside(mine[seed], other) for seed, other in runs.get(minus, {}).items()
              if seed in mine}
    return {seed: quantity_of(mine[seed], name) - quantity_of(other, name) for seed, other in others.items()
            if other is not None}


def still_to_run(plan: Mapping[str, Any], rule: Mapping[str, Any], seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds that a plan asks for, of all arms that a rule compares, and that are not among `seeds`.

    >>> plan = {"campaign": {"seeds": [0, 1, 2]}, "arm": [{"id": "a"}, {"id": "b", "seeds": [0, 1]}]}
    >>> still_to_run(plan, {"arm": "a"}, [1]), still_to_run(plan, {"arm": "a", "minus": "b"}, [1])
    ((0, 2), (0,))
    """
    asked = {arm["id"]: set(arm.get("seeds", plan["campaign"].get("seeds", ()))) for arm in plan.get("arm", ())}
    compared = [asked.get(rule[key], set()) for key in ("arm", "minus") if key in rule]
    return tuple(sorted(set.intersection(*compared) - set(seeds)))


def bounds(prediction: Mapping[str, Any], effect: float) -> tuple[float, float]:
    """(a, beyond) of a one-sided rule: x must pass a, and the interval `beyond`, the smallest effect where a asks more.

    >>> bounds({"at_least": 3.0}, 1.0), bounds({"at_least": -1.0}, 1.0), bounds({"at_most": -3.0}, 1.0)
    ((3.0, 1.0), (-1.0, -1.0), (-3.0, -1.0))
    """
    if "at_least" in prediction:
        a = prediction["at_least"]
        return a, min(effect, a) if a > 0 else a
    a = prediction["at_most"]
    return a, max(-effect, a) if a < 0 else a


def decided(prediction: Mapping[str, Any], values: list[float], effect: float, level: float
            ) -> tuple[float, tuple[float, float], float, float]:
    """(mean, interval, p-values of what is rejected to confirm, and to contradict, a prediction) from n >= 2 seeds."""
    n, x, s = len(values), float(np.mean(values)), float(np.std(values, ddof=1))
    error = max(s / sqrt(n), 1e-12 * max(1.0, abs(x)))  # equal values: certain, and no division by 0
    law = stats.t(n - 1)

    def above(bound: float) -> float:
        return float(law.sf((x - bound) / error))  # p of "the mean is at most the bound"

    def below(bound: float) -> float:
        return float(law.cdf((x - bound) / error))
    half = float(law.ppf((1 + level) / 2)) * error
    if "within" in prediction:
        m = prediction["within"]
        confirming = max(above(-m), below(m))
        contradicting = min(1.0, 2 * min(above(effect), below(-effect)))
    else:
        a, beyond = bounds(prediction, effect)
        passes, other = (above, below) if "at_least" in prediction else (below, above)
        confirming = passes(beyond) if (x >= a if "at_least" in prediction else x <= a) else 1.0
        contradicting = other(a)
    return x, (x - half, x + half), confirming, contradicting


def judged(plan: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]]) -> list[Judged]:
    """Judge every prediction of a plan, in its order, by the runs {arm: {seed: result}}.

    plan: figures/predictions.toml as a table: [campaign] level, [effect] by quantity, [[prediction]]. The p-values are
    corrected by Holm over the predictions of the same `group`, where the plan asks for seeds with those that are not
    run yet, so that no later run takes a verdict back; a verdict needs p < 1 - level, and all seeds asked for. What
    lies within wide bounds and beyond the smallest effect could be both: confirmed goes first, and contradicted waits
    until confirmed is out of the question.
    Raises ValueError for a prediction without a rule, or with an unknown quantity.

    >>> plan = {"campaign": {"level": 0.95}, "effect": {"robust": 1.0},
    ...         "prediction": [{"id": "a", "arm": "new", "minus": "old", "quantity": "robust", "at_least": 3.0}]}
    >>> runs = {arm: {seed: {"end": {"robust": (base + noise) / 100}} for seed, noise in enumerate((0.0, 0.3, -0.2))}
    ...         for arm, base in (("new", 20.0), ("old", 10.0))}
    >>> found = judged(plan, runs)[0]
    >>> found.verdict, found.n, round(found.value, 6)
    ('confirmed', 3, 10.0)
    """
    level, rows = plan["campaign"]["level"], []
    for prediction in plan["prediction"]:
        if len({"at_least", "at_most", "within"} & prediction.keys()) != 1:
            raise ValueError(f"the prediction {prediction.get('id')!r} was given, but a prediction has one rule: write "
                             "at_least, at_most or within.")
        if prediction["quantity"] not in QUANTITIES:
            raise ValueError(f"the prediction {prediction['id']!r} asks for {prediction['quantity']!r}, but known are "
                             f"{', '.join(QUANTITIES)}: choose one.")
        values = paired(prediction, runs)
        seeds = tuple(sorted(values))
        effect = plan["effect"].get(prediction["quantity"], 0.0)
        found = (decided(prediction, [values[seed] for seed in seeds], effect, level) if len(seeds) > 1
                 else (nan, (nan, nan), nan, nan))
        rows.append((prediction, seeds, *found))
    waiting = [still_to_run(plan, prediction, seeds) for prediction, seeds, *_ in rows]
    corrected: list[tuple[float, float]] = [(nan, nan)] * len(rows)
    least = list(corrected)  # what they become where all that is still to be run turns out clearer
    for group in {row[0].get("group") for row in rows}:
        members = [index for index, row in enumerate(rows) if row[0].get("group") == group]
        ps = [rows[index][4:] for index in members]
        run = [(nan, nan) if waiting[index] else pair for index, pair in zip(members, ps, strict=True)]
        for index, pair, low in zip(members, holm_pairs(ps, "seeds" in plan["campaign"]), holm_pairs(run), strict=True):
            corrected[index], least[index] = pair, low
    judgements = []
    for row, pair, low, to_run in zip(rows, corrected, least, waiting, strict=True):
        prediction, seeds, value, interval = row[:4]
        open_ended = bool(to_run) or (len(seeds) < 2 and "seeds" not in plan["campaign"])
        possible = DECIDED if open_ended else tuple(word for word, p in zip(DECIDED, low, strict=True) if p < 1 - level)
        said = verdict(len(seeds), *pair, 1 - level, to_run)
        if said == "contradicted" and "confirmed" in possible:
            said = "undecided"
        judgements.append(Judged(prediction, seeds, value, interval, *pair, said, to_run,
                                 (said,) if said in DECIDED else possible))
    return judgements


def verdict(n: int, confirming: float, contradicting: float, level: float, to_run: tuple[int, ...] = ()) -> str:
    """The verdict of corrected p-values, of n seeds, while others are still to be run."""
    if n < 2:
        return "not run"
    if to_run:
        return "undecided"
    return "confirmed" if confirming < level else "contradicted" if contradicting < level else "undecided"


def meets(rule: Mapping[str, Any], plan: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]]) -> float:
    """The p-value of "the rule is not met", NaN before all seeds are run; x must not lie above `mean_at_most`.

    Of the first runs alone, so that none that is trained again later changes the answer.
    """
    values = paired(rule, runs, first=True)
    if len(values) < 2 or still_to_run(plan, rule, values):
        return nan
    effect = plan["effect"].get(rule["quantity"], 0.0)
    x, _, p, _ = decided(rule, list(values.values()), effect, plan["campaign"]["level"])
    return p if x <= rule.get("mean_at_most", x) else 1.0


def of_arm(rule: Mapping[str, Any], arm: str | None) -> Mapping[str, Any]:
    """A rule with an arm in the place of its own; None leaves it as it is."""
    return rule if arm is None else {**rule, "arm": arm}


def met(rules: Sequence[Mapping[str, Any]], arms: Iterable[str | None], plan: Mapping[str, Any],
        runs: Mapping[str, Mapping[int, Run]], in_the_end: bool = False) -> bool:
    """Whether an arm meets all rules, by Holm as in `judged`, or, `in_the_end`, can do so once all runs are there.

    An arm, unless it is None, takes the place of a rule's.
    """
    ps = np.array([[meets(of_arm(rule, arm), plan, runs) for rule in rules] for arm in arms])
    if in_the_end:
        ps[np.isnan(ps)] = 0
    return any(p < 1 - plan["campaign"]["level"] for p in holm(ps.max(axis=1), whole="seeds" in plan["campaign"]))


def conclusions(plan: Mapping[str, Any], rows: Iterable[Judged], runs: Mapping[str, Mapping[int, Run]] | None = None
                ) -> list[tuple[Mapping[str, Any], str]]:
    """Each [[conclusion]] of a plan with its answer, from verdicts and from rules of its own.

    "supported", "refuted"; else "open" as long as missing runs can make it one of these, as far as Holm's correction
    tells, and "undecided" once none can.
    refuted_by, supported_by: predictions that must all be confirmed. refuted_rules: rules that one arm of `among` must
    meet, all of them (Holm over the arms). supported_rules: rules that must all be met as well; supported_contradicted:
    predictions that must all be contradicted. What is refuted is not supported.
    """
    rows, runs = list(rows), runs or {}
    now = {row.prediction["id"]: (row.verdict,) for row in rows}
    possible = {row.prediction["id"]: row.possible for row in rows}

    def holds(conclusion: Mapping[str, Any], side: str, in_the_end: bool = False) -> bool:
        verdicts, ids = possible if in_the_end else now, conclusion.get(f"{side}_by", ())
        rules = conclusion.get(f"{side}_rules", ())
        arms = conclusion.get("among", [None]) if side == "refuted" else [None]
        return (bool(ids or rules) and all("confirmed" in verdicts.get(one, ()) for one in ids)
                and all("contradicted" in verdicts.get(one, ()) for one in conclusion.get(f"{side}_contradicted", ()))
                and (not rules or met(rules, arms, plan, runs, in_the_end)))
    return [(conclusion, "refuted" if holds(conclusion, "refuted") else "supported" if holds(conclusion, "supported")
             else "open" if any(holds(conclusion, side, in_the_end=True) for side in ("refuted", "supported"))
             else "undecided") for conclusion in plan.get("conclusion", ())]
