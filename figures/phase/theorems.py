"""Atlas: where the paper's three theorems hold, loss by loss, over attack size and noise.

Claims T1, T2-pair, T2-joint, T3 and N2 for the paper's loss and nine others, each minimised numerically on a grid: no
closed form of the theorems is used. Accuracy rises with w2 where dP/dr > 0.

`python -m figures.phase.theorems OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.diagram import matrix
from figures.scripts import run
from figures.style import new_figure, read_csv, save, styled, write_csv
from synthmodel import (
    CrossEntropy,
    Distillation,
    Margin,
    Setting,
    SmoothedMargin,
    SoftTargetMargin,
    WrongClassLSE,
    eps_max,
)
from synthmodel.plot.planes import STATEMENTS, table_of_squares, truths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jaxtyping import Float

    Sizes = Float[np.ndarray, "sizes"]
    Noises = Float[np.ndarray, "noises"]

__all__ = ["LOSSES", "STATEMENTS", "compute", "draw", "finding"]

MU, LAM, B, TAU = 1.0, 0.1, 0.2, 1.0
SIZES, NOISES = np.linspace(0.01, 0.49, 16), np.linspace(0.1, 2, 16)
# name: (the loss, the same with hard labels or None)
LOSSES = {
    "margin": (Margin(), None),
    "smoothed margin": (SmoothedMargin(B), Margin()),
    "soft-target margin, delta*": (SoftTargetMargin(B, "monotone"), Margin()),
    "soft-target margin, exact": (SoftTargetMargin(B), Margin()),
    "wrong-class log-sum-exp": (WrongClassLSE(TAU), None),
    "smoothed log-sum-exp": (WrongClassLSE(TAU, B), WrongClassLSE(TAU)),
    "cross-entropy": (CrossEntropy(), None),
    "smoothed cross-entropy, delta*": (CrossEntropy(B), CrossEntropy()),
    "smoothed cross-entropy, exact": (CrossEntropy(B, "exact"), CrossEntropy()),
    "distillation, of itself": (Distillation, CrossEntropy()),
}


def compute(folder: Path, sizes: Sizes = SIZES, noises: Noises = NOISES, losses: dict[str, Any] = LOSSES) -> None:
    """phase_theorems.csv: loss, eps, sigma, and for each statement 1, 0 or an empty cell."""
    rows = []
    for name, (loss, hard) in losses.items():
        found = truths(loss, hard, sizes, noises, mu=MU, lam=LAM, method="numeric")
        rows += [{"loss": name, "eps": eps, "sigma": sigma}
                 | {key: None if np.isnan(found[key][i, j]) else int(found[key][i, j]) for key in STATEMENTS}
                 for i, sigma in enumerate(noises) for j, eps in enumerate(sizes)]
    write_csv(folder / "phase_theorems.csv", rows)


def shares(folder: Path) -> dict[tuple[str, str], float]:
    """(loss, statement) -> the share of the grid, where the statement says something, on which it holds."""
    rows, found = read_csv(folder / "phase_theorems.csv"), {}
    for name in dict.fromkeys(row["loss"] for row in rows):
        for key in STATEMENTS:
            values = np.array([row[key] for row in rows if row["loss"] == name])
            found[name, key] = float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
    return found


def inline(name: str) -> str:
    """The loss's name among others: "soft-target margin (exact)" for "soft-target margin, exact"."""
    loss, comma, attack = name.partition(", ")
    return f"{loss} ({attack})" if comma else loss


def finding(folder: Path) -> str:
    share = shares(folder)
    names = list(dict.fromkeys(name for name, _ in share))

    def those(key: str, holds: Callable[[float], bool]) -> str:
        return ", ".join(inline(name) for name in names if holds(share[name, key])) or "none"

    pair, joint = ([100 * share[name, key] for name in names] for key in ("T2-pair", "T2-joint"))
    return (f"T1: of {len(names)} losses, those with a threshold below mu/2 are {those('T1', lambda s: s > 0)}. T2: "
            f"from the loss's w2 up to w1 accuracy rises on {min(pair):.0f} % of the plane (worst loss) against one "
            f"class and on {max(joint):.0f} % (best loss) against all. T3: soft labels raise w2 everywhere for "
            f"{those('T3', lambda s: s == 1)}; nowhere for {those('T3', lambda s: s == 0)}; w2/w1 in places for "
            f"{those('T3-ratio', lambda s: 0 < s < 1)}. (Of itself: the teacher has the student's eps. One of a "
            f"smaller eps can raise w2: `synthmodel table`.) N2: more w2 would help on "
            f"{100 * share[names[0], 'N2']:.0f} % of the plane after the margin loss, on "
            f"{100 * share['cross-entropy', 'N2']:.0f} % after cross-entropy.")


@styled()
def draw(folder: Path) -> None:
    """phase_theorems.png and .svg from phase_theorems.csv."""
    rows, found = read_csv(folder / "phase_theorems.csv"), {}
    for name in dict.fromkeys(row["loss"] for row in rows):
        own = [row for row in rows if row["loss"] == name]
        planes = {key: matrix(own, "eps", "sigma", key) for key in STATEMENTS}
        found[name] = {key: truth for key, (_, _, truth) in planes.items()}
    sizes, noises, _ = planes["T1"]
    figure, axes = new_figure(len(found), len(STATEMENTS), 8.6, 1.4 + 0.72 * len(found), sharex=True, sharey=True)
    table_of_squares(figure, axes, found, sizes, noises, eps_max(Setting(MU)),
                     rf"$\mu = {MU:g}$, $\lambda = {LAM:g}$, $b = {B:g}$, $\tau = {TAU:g}$")
    figure.suptitle("Cross-entropy obeys neither Theorem 1 nor 3; Theorem 2 holds against one class only", fontsize=11)
    save(figure, folder, "phase_theorems")


if __name__ == "__main__":
    run(compute, draw, finding)
