"""Atlas: w2/w1 of the margin loss under l_p attacks (claim G-lp).

`python -m figures.phase.norm OUTDIR`
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from figures.diagram import bands, matrix
from figures.scripts import run
from figures.style import BLACK, BLUE, GREEN, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Margin, Setting, eps_max, solve, threshold

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["compute", "draw", "finding"]

MU, SIGMA = 1.0, 0.5
NORMS = (1, 1.5, 2, 3, 8, math.inf)  # the curves
INVERSES = np.linspace(0, 1, 41)  # 1/p, the plane
PARTS = np.linspace(0, 0.999, 112)


def extinction(setting: Setting) -> float:
    """The attack size from which on w1 = 0."""
    return eps_max(setting) if setting.norm == math.inf else threshold(setting, Margin())


def compute(folder: Path, inverses: Float[np.ndarray, "p"] = INVERSES,
            parts: Float[np.ndarray, "sizes"] = PARTS) -> None:
    """phase_norm.csv: 1/p, eps as a part of the size at which w1 dies, w2/w1; rows for the curves and the plane."""
    rows = []
    for inverse in np.union1d(inverses, [1 / p for p in NORMS]):
        setting = Setting(MU, SIGMA, norm=1 / inverse if inverse else math.inf)
        ratio = solve(setting, Margin(), parts * extinction(setting), 1.0).ratio
        rows += [{"inverse_p": inverse, "part": part, "eps": part * extinction(setting), "ratio": r}
                 for part, r in zip(parts, ratio, strict=True)]
    write_csv(folder / "phase_norm.csv", rows)


def finding(folder: Path) -> str:
    parts, inverses, ratio = matrix(read_csv(folder / "phase_norm.csv"), "part", "inverse_p", "ratio")
    two, cube = ratio[np.searchsorted(inverses, 0.5)], ratio[0]
    least = ratio[1:].min()
    return (f"G-lp: under an l_2 attack w2/w1 is {two[0]:.4f} at every eps (spread {np.ptp(two):.0e}); it falls with "
            f"eps for p > 2 and rises for p < 2, to {ratio[-1].max():.3f} at p = 1. Only at p = inf does w2 die before "
            f"w1, at {parts[cube == 0].min():.2f} of the eps at which w1 does; for p <= {1 / inverses[1]:.0f} it is "
            f"positive throughout (smallest w2/w1: {least:.1e}).")


@styled()
def draw(folder: Path) -> None:
    """phase_norm.png and .svg from phase_norm.csv."""
    parts, inverses, ratio = matrix(read_csv(folder / "phase_norm.csv"), "part", "inverse_p", "ratio")
    figure, ((fan, plane),) = new_figure(1, 2, 8.6, 3.9, gridspec_kw={"width_ratios": [1.1, 1]})
    looks = zip(NORMS, (GREEN, GREEN, BLACK, BLUE, BLUE, RED), ("--", "-", "-", "-", "--", "-"), strict=True)
    for p, color, style in looks:
        values = ratio[np.searchsorted(inverses, 1 / p)]
        fan.plot(parts, values, color=color, linestyle=style, linewidth=2.4 if p in (2, math.inf) else 1.6)
        label = "$p = \\infty$" if p == math.inf else f"$p = {p:g}$"
        fan.text(1.01, values[-1], label, color=color, va="center", fontsize=9)
    fan.set(ylabel="$w_2/w_1$ (margin loss)", ylim=(-0.02, 1.05), title="$w_2$ dies before $w_1$ only at $p = \\infty$")
    filled = bands(plane, parts, inverses, ratio)
    plane.axhline(0.5, color=RED, linewidth=2.2)
    ticks = [1 / p for p in NORMS]
    plane.set_yticks(ticks, ["$\\infty$" if p == math.inf else f"{p:g}" for p in NORMS])
    plane.set(ylabel="norm $p$ of the attack (scale: $1/p$)",
              title="Falls for $p > 2$, constant at 2, rises for $p < 2$")
    for axis in (fan, plane):
        axis.set(xlabel=r"$\epsilon$ / ($\epsilon$ at which $w_1$ dies)", xlim=(0, 1))
    figure.colorbar(filled, ax=plane, label="$w_2/w_1$", ticks=[0, 0.2, 0.4, 0.6, 0.8, 1], pad=0.02)
    save(figure, folder, "phase_norm")


if __name__ == "__main__":
    run(compute, draw, finding)
