"""The whole table: what each statement becomes for each loss and attack, computed on a grid of settings.

A cell says "holds", "fails", or, where the grid is cut in two by k = (mu - 2 eps)/sigma, "holds for k >= ..., fails for
k <= ..."; else the share of the grid where it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from synthmodel.accuracy.three_classes import joint_accuracy, joint_slope, pairwise_accuracy, r_acc
from synthmodel.model.losses import CrossEntropy, Distillation, Margin, SmoothedMargin, SoftTargetMargin, WrongClassLSE
from synthmodel.model.setting import Setting
from synthmodel.solvers.solve import solve

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Weights = tuple[Float[np.ndarray, "eps"], Float[np.ndarray, "eps"]]

__all__ = ["LOSSES", "SIGMAS", "cell", "table"]

B = 0.2  # smoothing of the losses that have one
TEACHER = 0.1  # eps at which distillation's teacher was trained, on cross-entropy
SIGMAS, LAMS, EPS = (0.25, 0.5, 1.0), (0.05, 0.5), np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.49])
EQUAL = 1e-9  # relative: ratios that differ by less are the same

# name -> (loss, attack, loss without smoothing or teacher)
LOSSES = {
    "margin": ("exact", Margin(), None),
    "smoothed margin": ("exact", SmoothedMargin(B), Margin()),
    "soft-target margin, exact": ("exact", SoftTargetMargin(B), Margin()),
    "soft-target margin, delta*": ("delta*", SoftTargetMargin(B, "monotone"), Margin()),
    "wrong-class log-sum-exp": ("exact", WrongClassLSE(0.1), None),
    "cross-entropy": ("exact", CrossEntropy(), None),
    "smoothed cross-entropy, delta*": ("delta*", CrossEntropy(B), CrossEntropy()),
    "smoothed cross-entropy, exact": ("exact", CrossEntropy(B, "exact"), CrossEntropy()),
    "distillation, teacher of eps = .1": ("delta*", "teacher", CrossEntropy()),
}


def _solutions(loss: Any, sigma: float, lam: float) -> Weights:
    """Solve for (w1, w2) over EPS."""
    if loss == "teacher":  # cross-entropy's own solution at a smaller attack, on the same inputs
        teacher = solve(Setting(1.0, sigma), CrossEntropy(), TEACHER, lam)
        loss = Distillation((teacher.w1, teacher.w2))
    found = solve(Setting(1.0, sigma), loss, EPS, lam)
    return np.asarray(found.w1), np.asarray(found.w2)


def _statements(sigma: float, w: Weights,
                plain: Weights | None) -> dict[str, tuple[Float[np.ndarray, "n"], Bool[np.ndarray, "n"]]]:
    """Return {statement: (k, holds)} over the attack sizes at which it says something."""
    k = (1 - 2 * EPS) / sigma
    w1, w2 = w
    alive = w1 > 0
    ratio = np.divide(w2, w1, out=np.zeros_like(w1), where=alive)
    best = np.array([r_acc(x) for x in k])
    apart = EQUAL * np.maximum(best, 1e-6)
    useful = alive & (best > 0)
    found = {
        "T1: w2 dies, at some eps < mu/2, before w1": (k[:1], np.array([np.any(alive & (w2 == 0))])),
        "w2/w1 falls as eps grows": (k[1:][alive[1:]], (np.diff(ratio) <= EQUAL)[alive[1:]]),
        "N2: uses the shared feature too little, w2/w1 < r_acc": (k[useful], (ratio < best - apart)[useful]),
        "N4: uses it too much, w2/w1 > r_acc": (k[useful], (ratio > best + apart)[useful]),
    }
    if plain is not None:
        live = plain[0] > 0
        base = np.divide(plain[1], plain[0], out=np.zeros_like(w1), where=live)
        found |= {
            "T3: the soft label raises w2": (k[plain[1] > 0], (w2 > plain[1] * (1 + EQUAL))[plain[1] > 0]),
            "the soft label raises w2/w1": (k[live & alive & (base > 0)],
                                            (ratio > base * (1 + EQUAL))[live & alive & (base > 0)]),
            "the soft label raises joint accuracy": (
                k[live & alive], (joint_accuracy(ratio, k) > joint_accuracy(base, k) + 1e-12)[live & alive]),
        }
    return found


def cell(k: Any, holds: Any) -> str:
    """Say in words on which part of a grid a statement holds.

    >>> cell([0.5, 1.0, 2.0], [False, True, True])
    'holds for k >= 1, fails for k <= 0.5'
    """
    k, holds = np.asarray(k, dtype=float), np.asarray(holds, dtype=bool)
    if not len(k):
        return "says nothing"
    if holds.all():
        return "holds"
    if not holds.any():
        return "fails"
    if k[holds].min() > k[~holds].max():
        return f"holds for k >= {k[holds].min():.3g}, fails for k <= {k[~holds].max():.3g}"
    if k[holds].max() < k[~holds].min():
        return f"holds for k <= {k[holds].max():.3g}, fails for k >= {k[~holds].min():.3g}"
    return f"holds in {holds.sum()} of {len(k)}"


def table(track: Callable[[list[Any], str, int], Iterable[Any]] = lambda items, *_: items) -> dict[str, dict[str, str]]:
    """Compute {statement: {loss: cell}} over sigma in SIGMAS, lam in LAMS and eps in EPS (mu = 1, three classes).

    Theorem 2 does not depend on the loss: its two readings are one cell each, over ratios up to 1 at the same k.
    track(losses, words, number): passes the losses through, and may tell how far it has come (`system.progress`).
    """
    gathered: dict[str, dict[str, tuple[list[float], list[bool]]]] = {}
    for name, (_, loss, plain) in track(list(LOSSES.items()), "solving for each loss", len(LOSSES)):
        for sigma in SIGMAS:
            for lam in LAMS:
                base = None if plain is None else _solutions(plain, sigma, lam)
                for statement, (k, holds) in _statements(sigma, _solutions(loss, sigma, lam), base).items():
                    ks, all_holds = gathered.setdefault(statement, {}).setdefault(name, ([], []))
                    ks.extend(k)
                    all_holds.extend(holds)
    result: dict[str, dict[str, str]] = {
        "T2, against one other class: accuracy rises up to w2 = w1": {}, "T2, against both: the same": {}}
    grid = np.linspace(0, 1, 101)
    k = np.unique([(1 - 2 * eps) / sigma for eps in EPS for sigma in SIGMAS])
    for statement, accuracy in zip(result, (pairwise_accuracy, joint_accuracy), strict=True):
        # Just below w2 = w1 the differences of the accuracy itself may drown in rounding: there the slope's sign.
        at_one = joint_slope(1.0, k) >= 0 if accuracy is joint_accuracy else np.ones(len(k), dtype=bool)
        holds = at_one & [bool(np.all(np.diff(accuracy(grid, x)) > 0)) for x in k]
        result[statement] = {"any loss": cell(k, holds)}
    return result | {statement: {name: cell(*pair) for name, pair in row.items()} for statement, row in
                     gathered.items()}
