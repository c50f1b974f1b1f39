"""What becomes of Theorems 1 to 3 in each reading of the paper's loss, penalty and attack: computed, not written down.

mu = 1, sigma in SIGMAS, lam in LAMS, three classes. A threshold is named by the formula whose value it has in every
setting: the weight lives just below and is dead just above. All rows take about a minute.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from synthmodel.accuracy.three_classes import joint_slope, pairwise_accuracy, r_acc
from synthmodel.claims.readings import BETA, READINGS, labels_threshold
from synthmodel.claims.statement_table import cell

__all__ = ["reading_table"]

Weights = Callable[..., tuple[float, float]]

B, NEAR = 0.2, 1e-4
SIGMAS, LAMS = (0.1, 0.25, 1.0), (1e-4, 0.5)
GAP = 1 / (2 * math.sqrt(math.pi))
EPS = (0.0, 0.2, 0.3, 0.45, 0.6, 0.9, 1.2)
NAMED = {  # a threshold -> its value at mu = 1 for sigma and b
    "eps0": lambda sigma, b: 0.5 - sigma * GAP,
    "eps1": lambda sigma, b: 0.5 - (1 - b) * sigma * GAP,
    "mu/2": lambda sigma, b: 0.5,
    "mu/3": lambda sigma, b: 1 / 3,
    "eps0/beta": lambda sigma, b: (0.5 - sigma * GAP) / BETA,
    "eps1/beta": lambda sigma, b: (0.5 - (1 - b) * sigma * GAP) / BETA,
    "mu/(2 beta)": lambda sigma, b: 0.5 / BETA,
    "2 eps0": lambda sigma, b: 1 - 2 * sigma * GAP,
    "2 eps1": lambda sigma, b: 1 - 2 * (1 - b) * sigma * GAP,
    "mu": lambda sigma, b: 1.0,
    "the root of (1-b)(k - 1/sqrt(pi)) = b k Phi(k), below eps0": lambda sigma, b: labels_threshold(1.0, sigma, b),
}
SETTINGS = [(sigma, lam) for sigma in SIGMAS for lam in LAMS]


def _dies(weights: Weights, which: int, b: float) -> str:
    """The name of the threshold of w1 or w2 (which: 0 or 1), or what happens instead."""
    def alive(sigma: float, lam: float, eps: float) -> bool:
        return weights(1.0, sigma, eps, b, lam)[which] > 0

    seen = np.array([[alive(sigma, lam, eps) for eps in EPS] for sigma, lam in SETTINGS])
    for name, value in NAMED.items():
        ends = np.array([[value(sigma, b)] for sigma, _ in SETTINGS])
        if (seen == (np.array(EPS) < ends)).all() and all(
                alive(sigma, lam, end * (1 - NEAR)) and not alive(sigma, lam, end * (1 + NEAR))
                for (sigma, lam), (end,) in zip(SETTINGS, ends, strict=True)):
            return name
    return "never learned" if not seen.any() else "never" if seen.all() else "comes and goes"


def _theorem1(weights: Weights) -> str:
    first, second = _dies(weights, 1, 0.0), _dies(weights, 0, 0.0)
    if first == "never learned":
        return "fails: w2 = 0 for every eps"
    if first == "never":
        return "fails: w2 > 0 for every eps"
    if first == "comes and goes":
        return "fails: w2 dies and lives again, or lives on"
    if first == second:
        return f"fails: w1 and w2 die together, at {first}"
    return f"holds, w2 dies at {first}, w1 {'at ' + second if second in NAMED else 'lives on'}"


def _theorem3(weights: Weights) -> str:
    plain, smooth = (_dies(weights, 1, b) for b in (0.0, B))
    if plain not in NAMED or smooth not in NAMED:
        return "fails: there is no threshold to raise"
    ends = [(lam, sigma, NAMED[plain](sigma, 0.0), NAMED[smooth](sigma, B)) for sigma, lam in SETTINGS]
    if not all(after > before for _, _, before, after in ends):
        return f"fails: w2 dies at {smooth}"
    raised = []
    for lam, sigma, before, _ in ends:
        for share in (0.0, 0.5, 0.9):
            without, with_b = (weights(1.0, sigma, share * before, b, lam)[1] for b in (0.0, B))
            raised.append(with_b > without * (1 + 1e-9))
    if all(raised):
        return f"holds, w2 dies at {smooth}"
    return f"fails: w2 dies at {smooth}, but below {plain} it rises in {sum(raised)} of {len(raised)}"


def _ratio(weights: Weights) -> str:
    """Where w2/w1 lies beside the ratio of the highest accuracy."""
    k, below, above = [], [], []
    for sigma, lam in SETTINGS:
        for eps in (0.0, 0.1, 0.2, 0.3):
            w1, w2 = weights(1.0, sigma, eps, 0.0, lam)
            best = r_acc((1 - 2 * eps) / sigma)
            if w1 > 0 and best > 0:
                k.append((1 - 2 * eps) / sigma)
                below.append(w2 / w1 < best * (1 - 1e-9))
                above.append(w2 / w1 > best * (1 + 1e-9))
    if any(below) and any(above):
        return f"below r_acc: {cell(k, below)}"
    return "below r_acc" if any(below) else "above r_acc" if any(above) else "r_acc"


def reading_table(track: Callable[[list[Any], str, int], Iterable[Any]] = lambda items, *_: items,
                  ) -> list[dict[str, str]]:
    """Rows {reading, Theorem 1, Theorem 2, Theorem 3, w2/w1, claim} for each of `READINGS`; b = .2 and beta = 2.

    track: as for `statement_table.table`.
    """
    ratios, strengths = np.linspace(0, 1, 101), [0.2, 0.5, 1.0, 2.0, 3.0]
    pair = cell(strengths, [np.all(np.diff(pairwise_accuracy(ratios, k)) > 0) for k in strengths])
    joint = cell(strengths, [joint_slope(1.0, k) >= 0 for k in strengths])
    rows = []
    for name, (weights, claim) in track(list(READINGS.items()), "minimising in each reading", len(READINGS)):
        liveness = claim == "R-TRADES" and "KL" in name  # no weights, only whether w2 leaves 0
        rows.append({"reading": name, "Theorem 1": _theorem1(weights),
                     "Theorem 2": f"one class: {pair}; both: {joint}",
                     "Theorem 3": "" if liveness else _theorem3(weights),
                     "w2/w1": "" if liveness or claim == "R-active" else _ratio(weights), "claim": claim})
    return rows
