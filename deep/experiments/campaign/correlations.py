"""Whether sharing says anything of robust accuracy beyond how well the training images are fitted, by rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from math import factorial, nan, sqrt
from typing import Any

import numpy as np
from jaxtyping import Float

from deep.experiments.campaign.predictions import Run, curve, decided, still_to_run, verdict

__all__ = ["Correlated", "correlated", "partial_correlation", "permutation_p"]

DRAWS = 10_000  # of permutations, at most
FEWEST = 5  # checkpoints of a run: fewer leave a partial correlation no more than one degree of freedom


def partial_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], given: Float[np.ndarray, " n"]
                        ) -> float:
    """The correlation of x and y that is left when `given` is regressed out of both, linearly.

    Raises ValueError where nothing is left of one of them.

    >>> given = np.array([0.0, 1, 2, 3, 4, 5])
    >>> round(partial_correlation(given + [1, -1, 1, -1, 1, -1], given - [1, -1, 1, -1, 1, -1], given), 6)
    -1.0
    """
    design = np.column_stack([np.ones_like(given), given])
    left, right = (part - design @ np.linalg.lstsq(design, part, rcond=None)[0] for part in (x, y))
    if any(np.abs(rest).max() <= 1e-10 * max(1.0, np.abs(part).max()) for rest, part in ((left, x), (right, y))):
        raise ValueError("a quantity was given that the third one determines, so that nothing is left to correlate: "
                         "give more checkpoints.")
    return float(left @ right / sqrt((left @ left) * (right @ right)))


def permutation_p(table: Float[np.ndarray, "n n"]) -> float:
    """The share of permutations of seeds, the identity among them, whose mean of table[s, pi(s)] is no smaller.

    table[s, t]: the statistic with the first quantity of seed s and the second one of seed t. Small: the seeds' own
    pairs agree better than what every training has in common. Of more than seven seeds 10,000 permutations are drawn.

    >>> permutation_p(np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]]))
    0.16666666666666666
    """
    n = len(table)
    if factorial(n) <= DRAWS:
        orders = np.array(list(permutations(range(n))))
    else:
        generator = np.random.default_rng(0)
        orders = np.array([np.arange(n), *(generator.permutation(n) for _ in range(DRAWS - 1))])
    sums = table[np.arange(n), orders].sum(1)
    return float(np.mean(sums >= np.trace(table) - 1e-12))


@dataclass(frozen=True)
class Correlated:
    """A [[correlation]] of the plan with what was measured.

    value: the mean over seeds of the partial correlation along a run; interval: of it, by Student's t; permuted: its p
    over permutations of the seeds; pooled: over all checkpoints of all its arms {"n", "plain", "partial"}, or None.
    verdict: "confirmed", "contradicted", "undecided", or "not run" with fewer than two seeds. to_run: as in `Judged`.
    """

    correlation: Mapping[str, Any]
    seeds: tuple[int, ...]
    value: float
    interval: tuple[float, float]
    permuted: float
    pooled: dict[str, float] | None
    verdict: str
    to_run: tuple[int, ...] = ()


def columns(correlation: Mapping[str, Any], run: Run) -> Float[np.ndarray, "3 n"]:
    """x, y and `given` along a run; each is named by its split and its measure. ValueError for a run without them."""
    try:
        return np.array([curve(run, *correlation[key]) for key in ("x", "y", "given")])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the result of {run.get('run', 'a run')} lacks what the correlation "
                         f"{correlation.get('id')!r} needs: measure it again.") from None


def pooled(correlation: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]]) -> dict[str, float] | None:
    """The correlations over all checkpoints of all runs of the arms in `pooled`; None for fewer than FEWEST."""
    found = [columns(correlation, run) for arm in correlation["pooled"] for run in runs.get(arm, {}).values()]
    x, y, given = np.concatenate(found, axis=1) if found else np.empty((3, 0))
    if len(x) < FEWEST:
        return None
    return {"n": len(x), "plain": float(np.corrcoef(x, y)[0, 1]), "partial": partial_correlation(x, y, given)}


def correlated(plan: Mapping[str, Any], runs: Mapping[str, Mapping[int, Run]]) -> list[Correlated]:
    """Judge every [[correlation]] of a plan by the runs {arm: {seed: result}}.

    x, y, given: [split, measure] at the kept checkpoints; arm: whose runs are taken one by one; at_most: the bound.
    Confirmed: the mean over seeds lies below the bound, by Student's t. Contradicted: it lies above, and permuting the
    seeds rarely gives as much (p < 1 - level each). Runs of fewer than five checkpoints count nothing. ValueError for
    runs that were measured at different epochs.

    >>> plan = {"campaign": {"level": 0.95}, "correlation": [{"arm": "a", "x": ["test", "accuracy"],
    ...         "y": ["test", "sharing"], "given": ["train", "robust_loss"], "at_most": 0.3, "pooled": ["a"]}]}
    >>> correlated(plan, {})[0].verdict
    'not run'
    """
    level, found = plan["campaign"]["level"], []
    for correlation in plan.get("correlation", ()):
        mine = {seed: columns(correlation, run) for seed, run in sorted(runs.get(correlation["arm"], {}).items())
                if len(run["checkpoints"]) >= FEWEST}
        everything, seeds = pooled(correlation, runs), tuple(mine)
        if len(seeds) < 2:
            found.append(Correlated(correlation, seeds, nan, (nan, nan), nan, everything, "not run"))
            continue
        if len({tuple(line["epoch"] for line in runs[correlation["arm"]][seed]["checkpoints"]) for seed in mine}) > 1:
            raise ValueError(f"the runs of {correlation['arm']} were measured at different epochs, but their seeds are "
                             "to be permuted: measure them at the same ones.")
        table = np.array([[partial_correlation(x, other[1], given) for other in mine.values()]
                          for x, _, given in mine.values()])
        rule = {"at_most": correlation["at_most"]}
        value, interval, below, above = decided(rule, np.diag(table).tolist(), 0.0, level)
        permuted, to_run = permutation_p(table), still_to_run(plan, correlation, seeds)
        found.append(Correlated(correlation, seeds, value, interval, permuted, everything,
                                verdict(len(seeds), below, max(above, permuted), 1 - level, to_run), to_run))
    return found
