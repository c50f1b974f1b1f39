"""Atlas: where the paper's three theorems hold, loss by loss, over attack size and noise.

Claims T1, T2-pair, T2-joint, T3 and N2 for the paper's loss and nine others, each minimised numerically on a grid: no
closed form of the theorems is used. Accuracy rises with w2 where dP/dr > 0.

`python -m figures.phase.theorems OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_ndtr

from figures.diagram import matrix, run
from figures.style import BLUE, new_figure, read_csv, save, styled, write_csv
from synthmodel import (
    CrossEntropy,
    Distillation,
    Margin,
    Setting,
    SmoothedMargin,
    SoftTargetMargin,
    WrongClassLSE,
    eps_max,
    solve,
)
from synthmodel.accuracy.three_classes import slope_sign

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jaxtyping import Bool, Float
    from matplotlib.axes import Axes

    from figures.style import Row

    Sizes = Float[np.ndarray, "sizes"]
    Noises = Float[np.ndarray, "noises"]
    Grid = Float[np.ndarray, "noises sizes"]

__all__ = ["LOSSES", "STATEMENTS", "compute", "draw", "finding"]

MU, LAM, B, TAU = 1.0, 0.1, 0.2, 1.0
SIZES, NOISES = np.linspace(0.01, 0.49, 16), np.linspace(0.1, 2, 16)
STEPS = np.linspace(0, 1, 41)  # from the loss's w2 up to w1
FAILS = "#f5c59b"
# name: (the loss, the same with hard labels or None)
LOSSES = {
    "margin": (Margin(), None),
    "smoothed margin": (SmoothedMargin(B), Margin()),
    "soft-target margin (δ*)": (SoftTargetMargin(B, "monotone"), Margin()),
    "soft-target margin (exact attack)": (SoftTargetMargin(B), Margin()),
    "wrong-class log-sum-exp": (WrongClassLSE(TAU), None),
    "smoothed log-sum-exp": (WrongClassLSE(TAU, B), WrongClassLSE(TAU)),
    "cross-entropy": (CrossEntropy(), None),
    "smoothed cross-entropy (δ*)": (CrossEntropy(B), CrossEntropy()),
    "smoothed cross-entropy (exact attack)": (CrossEntropy(B, "exact"), CrossEntropy()),
    "self-distilled cross-entropy": (Distillation, CrossEntropy()),
}
STATEMENTS = {"T1": "Theorem 1:\n$w_2 = 0$ while\n$w_1 > 0$", "T2-pair": "Theorem 2:\naccuracy rises\nup to $w_1$\n"
              "(one class)", "T2-joint": "Theorem 2:\naccuracy rises\nup to $w_1$\n(all classes)",
              "T3": "Theorem 3:\nsoft labels\nraise $w_2$", "T3-ratio": "soft labels\nraise\n$w_2/w_1$",
              "N2": "a little more\n$w_2$ would\nhelp"}


def weights(loss: Any, sizes: Sizes, noises: Noises) -> tuple[Grid, Grid]:
    """(w1, w2), each (noises, sizes); Distillation: the teacher is cross-entropy's own solution, on x + delta*."""
    setting = Setting(MU, noises[:, None])
    if loss is not Distillation:
        solution = solve(setting, loss, sizes, LAM, method="numeric")
        return solution.w1, solution.w2
    teacher = weights(CrossEntropy(), sizes, noises)
    pairs = np.empty((2, len(noises), len(sizes)))
    for i, sigma in enumerate(noises):
        for j, eps in enumerate(sizes):
            own = Distillation((teacher[0][i, j], teacher[1][i, j]))
            student = solve(Setting(MU, sigma), own, eps, LAM)
            pairs[:, i, j] = student.w1, student.w2
    return pairs[0], pairs[1]


def truths(loss: Any, hard: Any, sizes: Sizes, noises: Noises) -> dict[str, Grid]:
    """statement -> matrix of 1 (holds), 0 (fails), NaN (says nothing there: w1 = 0, w2 >= w1, or hard labels)."""
    w1, w2 = weights(loss, sizes, noises)
    k = (MU - 2 * sizes) / noises[:, None]
    alive = w1 > 0
    ratio = np.divide(w2, w1, out=np.full(w1.shape, np.nan), where=alive)
    path = 1 - (1 - ratio) * (1 - STEPS[:, None, None])  # to 1 exactly
    error = log_ndtr(-k * (1 + path) / np.hypot(1, path))  # of the pairwise error Pr(m_j < 0)

    def known(truth: Bool[np.ndarray, "noises sizes"], where: Bool[np.ndarray, "noises sizes"]) -> Grid:
        return np.where(where, truth.astype(float), np.nan)

    found = {"T1": known(w2 == 0, alive), "N2": known(slope_sign(np.nan_to_num(ratio), k) > 0, alive),
             "T2-pair": known((np.diff(error, axis=0) < 0).all(axis=0), ratio < 1),
             "T2-joint": known((slope_sign(np.nan_to_num(path), k) > 0).all(axis=0), ratio < 1)}
    nothing = np.full(w1.shape, np.nan)
    if hard is None:
        return found | {"T3": nothing, "T3-ratio": nothing}
    hard1, hard2 = weights(hard, sizes, noises)
    raised = np.divide(hard2, hard1, out=np.full(w1.shape, np.nan), where=hard1 > 0)
    some = w2 + hard2 > 0
    return found | {"T3": known(w2 > hard2, some), "T3-ratio": known(ratio > raised, some & alive)}


def compute(folder: Path, sizes: Sizes = SIZES, noises: Noises = NOISES, losses: dict[str, Any] = LOSSES) -> None:
    """phase_theorems.csv: loss, eps, sigma, and for each statement 1, 0 or an empty cell."""
    rows = []
    for name, (loss, hard) in losses.items():
        found = truths(loss, hard, sizes, noises)
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


def finding(folder: Path) -> str:
    share = shares(folder)
    names = list(dict.fromkeys(name for name, _ in share))

    def those(key: str, holds: Callable[[float], bool]) -> str:
        return ", ".join(name for name in names if holds(share[name, key])) or "none"

    pair, joint = ([100 * share[name, key] for name in names] for key in ("T2-pair", "T2-joint"))
    return (f"T1: of {len(names)} losses, those with a threshold below mu/2 are {those('T1', lambda s: s > 0)}. T2: "
            f"from the loss's w2 up to w1 accuracy rises on {min(pair):.0f} % of the plane (worst loss) against one "
            f"class and on {max(joint):.0f} % (best loss) against all. T3: soft labels raise w2 everywhere for "
            f"{those('T3', lambda s: s == 1)}; nowhere for {those('T3', lambda s: s == 0)}; w2/w1 in places for "
            f"{those('T3-ratio', lambda s: 0 < s < 1)}. N2: more w2 would help on {100 * share[names[0], 'N2']:.0f} % "
            f"of the plane after the margin loss, on {100 * share['cross-entropy', 'N2']:.0f} % after cross-entropy.")


@styled()
def draw(folder: Path) -> None:
    """phase_theorems.png and .svg from phase_theorems.csv."""
    from matplotlib.patches import Patch
    rows = read_csv(folder / "phase_theorems.csv")
    names = list(dict.fromkeys(row["loss"] for row in rows))
    figure, axes = new_figure(len(names), len(STATEMENTS), 8.6, 1.4 + 0.72 * len(names), sharex=True, sharey=True)
    limit = eps_max(Setting(MU))
    for i, name in enumerate(names):
        for j, (key, title) in enumerate(STATEMENTS.items()):
            axis = axes[i, j]
            cells(axis, [row for row in rows if row["loss"] == name], key)
            axis.set(xlim=(0, limit), xticks=[0, limit], yticks=[0, 2])
            axis.spines[["top", "right"]].set_visible(True)
            if i == 0:
                axis.set_title(title, loc="center", fontsize=9)
        axes[i, 0].set_ylabel(name.replace(" (", "\n("), rotation=0, ha="right", va="center", labelpad=12)
    for axis in axes[-1]:
        axis.set_xticklabels(["0", r"$\mu/2$"])
    figure.legend([Patch(facecolor=color, edgecolor="black") for color in (BLUE, FAILS, "white")],
                  ["holds", "fails", "says nothing"], loc="outside lower center", ncols=3, fontsize=9, title_fontsize=9,
                  title=rf"in each square: attack size $\epsilon$ across, noise $\sigma$ up "
                        rf"($\mu = {MU:g}$, $\lambda = {LAM:g}$, $b = {B:g}$, $\tau = {TAU:g}$)")
    figure.suptitle("Cross-entropy obeys neither Theorem 1 nor 3; Theorem 2 holds against one class only", fontsize=11)
    save(figure, folder, "phase_theorems")


def cells(axis: Axes, rows: Sequence[Row], key: str) -> None:
    """One square of the table; a statement that says nothing anywhere leaves it with a dash."""
    from matplotlib.colors import ListedColormap
    eps, sigma, truth = matrix(rows, "eps", "sigma", key)
    if np.isnan(truth).all():
        axis.text(0.5, 0.5, "hard labels", transform=axis.transAxes, ha="center", va="center", fontsize=8)
    axis.pcolormesh(eps, sigma, truth, cmap=ListedColormap([FAILS, BLUE]), vmin=0, vmax=1, shading="nearest",
                    rasterized=True)
    axis.set_ylim(0, sigma[-1])


if __name__ == "__main__":
    run(compute, draw, finding)
