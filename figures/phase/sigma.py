"""Atlas: w2/w1 over attack size and noise, margin loss beside cross-entropy (claims T1, T1-CE).

`python -m figures.phase.sigma OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.diagram import bands, dead, matrix, said
from figures.scripts import run
from figures.style import BLACK, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import CrossEntropy, Margin, Setting, eps0, eps_max, solve

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["compute", "draw", "finding"]

MU, LAM = 1.0, 0.1
SIZES, NOISES = np.linspace(0, 0.4995, 67), np.linspace(0.05, 2, 66)


def compute(folder: Path, sizes: Float[np.ndarray, "sizes"] = SIZES,
            noises: Float[np.ndarray, "noises"] = NOISES) -> None:
    """phase_sigma.csv: eps, sigma, w2/w1 of the margin loss and of cross-entropy."""
    setting = Setting(MU, noises[:, None])
    margin, soft = (solve(setting, loss, sizes, LAM).ratio for loss in (Margin(), CrossEntropy()))
    write_csv(folder / "phase_sigma.csv", [
        {"eps": eps, "sigma": sigma, "margin": margin[i, j], "cross_entropy": soft[i, j]}
        for i, sigma in enumerate(noises) for j, eps in enumerate(sizes)])


def dies(folder: Path) -> tuple[Float[np.ndarray, "noises"], Float[np.ndarray, "noises"], Float[np.ndarray, "noises"]]:
    """(sigma, first eps of the grid with w2 = 0 or NaN, last eps with w2 > 0 or NaN) of the margin loss."""
    eps, sigma, ratio = matrix(read_csv(folder / "phase_sigma.csv"), "eps", "sigma", "margin")
    gone = ratio == 0
    first = np.where(gone.any(axis=1), eps[gone.argmax(axis=1)], np.nan)
    last = np.where(gone[:, 0], np.nan, eps[(~gone).sum(axis=1) - 1])
    return sigma, first, last


def finding(folder: Path) -> str:
    rows = read_csv(folder / "phase_sigma.csv")
    sigma, first, last = dies(folder)
    lost = np.mean([row["margin"] == 0 for row in rows])
    at = int(np.argmin(np.abs(sigma - 0.5)))
    least = min(row["cross_entropy"] for row in rows)
    return (f"T1, T1-CE: the margin loss drops the cross-class feature on {100 * lost:.0f} % of the plane (at sigma = "
            f"{sigma[at]:.2f} between eps = {last[at]:.3f} and {first[at]:.3f}; eps0 = "
            f"{eps0(Setting(MU, sigma[at])):.3f}), cross-entropy nowhere: its w2/w1 is at least {least:.3f}.")


@styled()
def draw(folder: Path) -> None:
    """phase_sigma.png and .svg from phase_sigma.csv."""
    rows = read_csv(folder / "phase_sigma.csv")
    figure, (axes,) = new_figure(1, 2, 8.4, 3.9, sharey=True)
    least = min(row["cross_entropy"] for row in rows)
    titles = {"margin": r"Margin loss: $w_2$ dies first, at $\epsilon_0(\sigma)$",
              "cross_entropy": f"Cross-entropy: $w_2$ never dies alone, $w_2/w_1 \\geq {least:.2f}$"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        eps, sigma, ratio = matrix(rows, "eps", "sigma", name)
        filled = bands(axis, eps, sigma, ratio)
        limit = eps_max(Setting(MU))
        axis.axvline(limit, color=BLACK, linewidth=1.4, zorder=3)
        axis.text(limit + 0.025, sigma.mean(), r"beyond $\epsilon_{\max} = \mu/2$: both weights are 0", rotation=90,
                  ha="center", va="center", fontsize=8.5)
        axis.set(title=title, xlabel=r"attack size $\epsilon$ ($\mu = 1$)", xlim=(0, limit + 0.05))
    curve = eps0(Setting(MU, sigma))  # the grid would give the region teeth
    dead(axes[0], np.maximum(curve, 0), sigma, limit)
    axes[0].plot(curve[curve >= 0], sigma[curve >= 0], color=RED, linewidth=2.2, zorder=3)
    said(axes[0], 0.31, 1.5, "$w_2 = 0$ while $w_1 > 0$")
    said(axes[0], 0.34, 0.95, r"$\epsilon_0(\sigma)$", color=RED)
    axes[0].set_ylabel(r"noise $\sigma$ of a feature")
    figure.colorbar(filled, ax=list(axes), label="$w_2/w_1$", ticks=[0, 0.2, 0.4, 0.6, 0.8, 1], pad=0.02)
    save(figure, folder, "phase_sigma")


if __name__ == "__main__":
    run(compute, draw, finding)
