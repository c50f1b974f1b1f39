"""Atlas: where "the margin loss uses too little, cross-entropy too much" turns, over k and lam_c/lam_e (G-decay, N2).

`python -m figures.phase.decays OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from figures.diagram import said
from figures.scripts import run
from figures.style import BLACK, BLUE, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import CrossEntropy, Margin, Setting, r_acc, solve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["compute", "draw", "finding"]

STRENGTHS = np.linspace(0.58, 2.4, 27)  # k
DECAYS = (0.01, 0.1, 1.0)  # lam_e/sigma^2
MOST = 20.0  # of lam_c/lam_e


def turns(k: float, decay: float) -> float:
    """lam_c/lam_e at which cross-entropy has the best ratio: below it uses more; MOST where it does so up to there."""
    def excess(log_quotient: float) -> float:
        found = solve(Setting(k, 1.0), CrossEntropy(), 0.0, lam_e=decay, lam_c=decay * float(np.exp(log_quotient)))
        return found.ratio - r_acc(k)
    high = float(np.log(MOST))
    return MOST if excess(high) > 0 else float(np.exp(brentq(excess, -3.0, high, xtol=1e-6)))


def compute(folder: Path, strengths: Float[np.ndarray, "k"] = STRENGTHS, decays: Sequence[float] = DECAYS) -> None:
    """phase_decays.csv: k, lam_e/sigma^2, and the lam_c/lam_e at which each of the two losses has the best ratio."""
    write_csv(folder / "phase_decays.csv", [
        {"k": k, "decay": decay, "margin": solve(Setting(k, 1.0), Margin(), 0.0, 1.0).ratio / r_acc(k),
         "cross_entropy": turns(k, decay)} for k in map(float, strengths) for decay in decays])


def finding(folder: Path) -> str:
    rows = read_csv(folder / "phase_decays.csv")
    low, high = min(row["margin"] for row in rows), max(row["margin"] for row in rows)
    decays = sorted({row["decay"] for row in rows})
    strong = [row for row in rows if row["decay"] == decays[-1]]
    least = min(row["cross_entropy"] for row in rows)
    entries = min(row["k"] for row in strong if row["cross_entropy"] < 2)
    both = "hold" if high < 1 < least else "do not both hold"
    return (f"G-decay, N2, N4: the margin loss uses too little from lam_c/lam_e = {low:.2f} to {high:.2f} on, "
            f"depending on k; cross-entropy uses too much up to a quotient of {least:.2f} or more, which is less where "
            f"signal or decay is stronger. At lam_c/lam_e = 1 both sentences {both} on this grid, up to k = "
            f"{rows[-1]['k']:g}; on the entries of W, lam_c/lam_e = 2, the second fails from k = {entries:.2f} on at "
            f"lam_e/sigma^2 = {decays[-1]:g}.")


@styled()
def draw(folder: Path) -> None:
    """phase_decays.png and .svg from phase_decays.csv."""
    rows = read_csv(folder / "phase_decays.csv")
    figure, (axes,) = new_figure(1, 1, 6.4, 4.4)
    axis = axes[0]
    k = sorted({row["k"] for row in rows})
    margin = [next(row["margin"] for row in rows if row["k"] == x) for x in k]
    axis.plot(k, margin, color=RED, linestyle="-.", linewidth=2, label="margin loss")
    for style, decay in zip(("-", "--", ":"), sorted({row["decay"] for row in rows}), strict=False):
        curve = [(row["k"], row["cross_entropy"]) for row in rows
                 if row["decay"] == decay and row["cross_entropy"] < MOST]
        axis.plot(*zip(*curve, strict=True), color=BLUE, linestyle=style, linewidth=1.8,
                  label=rf"cross-entropy, $\lambda_E/\sigma^2 = {decay:g}$")
    for quotient, words in ((1, "row-centred $W$"), (2, "entries of $W$")):
        axis.axhline(quotient, color=BLACK, linewidth=0.8)
        axis.text(max(k), quotient * 0.97, words, ha="right", va="top", fontsize=8.5)
    said(axis, 0.55, 0.04, "below its curve (dash-dot) the margin loss uses $w_2$ too much, above it too little",
         transform=axis.transAxes)
    said(axis, 0.72, 0.58, "above its curve cross-entropy uses\n$w_2$ too little, below it too much",
         transform=axis.transAxes)
    ticks = [0.5, 1, 2, 5, 10, 20]
    axis.set(yscale="log", ylim=(0.5, MOST), yticks=ticks, yticklabels=[f"{tick:g}" for tick in ticks],
             xlabel=r"$k = (\mu - 2 \epsilon)/\sigma$", title="Where each loss has the best ratio",
             ylabel=r"$\lambda_C/\lambda_E$, the decay of $w_2$ over that of $w_1$")
    axis.legend(fontsize=8.5, loc="upper right")
    save(figure, folder, "phase_decays")


if __name__ == "__main__":
    run(compute, draw, finding)
