"""Atlas: what smoothing of the margin loss gains in robust accuracy, over k and b (claims N3, T2-joint', T3).

`python -m figures.phase.smoothing OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.diagram import NOTHING, bands, hatched, matrix, said
from figures.scripts import run
from figures.style import BLACK, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Setting, SmoothedMargin, b_star, joint_accuracy, solve
from synthmodel.accuracy.three_classes import K0, crossover

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["compute", "draw", "finding"]

STRENGTHS, SMOOTHINGS = np.linspace(0.1, 3, 146), np.linspace(0, 0.999, 101)
POSSIBLE = 1e-4  # points; below, a share of the possible gain means nothing


def compute(folder: Path, strengths: Float[np.ndarray, "k"] = STRENGTHS,
            smoothings: Float[np.ndarray, "b"] = SMOOTHINGS) -> None:
    """phase_smoothing.csv: k, b, w2/w1, and the gain in joint robust accuracy over b = 0, in points.

    Everything depends on k alone, which mu = 1, sigma = 1/k, eps = 0 has.
    """
    ratio = solve(Setting(1.0, 1 / strengths), SmoothedMargin(smoothings[:, None]), 0.0, 1.0).ratio
    accuracy = joint_accuracy(ratio, strengths)
    write_csv(folder / "phase_smoothing.csv", [
        {"k": k, "b": b, "ratio": ratio[i, j], "gain": 100 * (accuracy[i, j] - accuracy[0, j])}
        for i, b in enumerate(smoothings) for j, k in enumerate(strengths)])


def ridge(folder: Path) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """(k, the b of the grid with the largest gain, that gain) where it is above POSSIBLE."""
    k, b, gain = matrix(read_csv(folder / "phase_smoothing.csv"), "k", "b", "gain")
    some = gain.max(axis=0) > POSSIBLE
    return k[some], b[gain.argmax(axis=0)][some], gain.max(axis=0)[some]


def always(folder: Path) -> tuple[float, float]:
    """(largest k with a smoothing that hurts, smallest k beyond it): the crossover lies between."""
    k, _, gain = matrix(read_csv(folder / "phase_smoothing.csv"), "k", "b", "gain")
    hurts = np.flatnonzero((gain < 0).any(axis=0))
    return k[hurts[-1]], k[hurts[-1] + 1]


def finding(folder: Path) -> str:
    k, b, gain = ridge(folder)
    loss = -min(row["gain"] for row in read_csv(folder / "phase_smoothing.csv"))
    best, (below, above) = gain.argmax(), always(folder)
    return (f"N3: the best smoothing gains at most {gain[best]:.2f} points of robust accuracy (k = {k[best]:.3g}, "
            f"b = {b[best]:.2f}), a wrong one costs up to {loss:.1f}; some b hurts up to k = {below:.2f} and none from "
            f"{above:.2f} on (k_x = {crossover():.4f}).")


@styled()
def draw(folder: Path) -> None:
    """phase_smoothing.png and .svg from phase_smoothing.csv."""
    rows = read_csv(folder / "phase_smoothing.csv")
    k, b, gain = matrix(rows, "k", "b", "gain")
    _, _, ratio = matrix(rows, "k", "b", "ratio")
    most = gain.max(axis=0)
    share = gain / np.where(most > POSSIBLE, most, np.nan)
    figure, axes = new_figure(2, 1, 6.6, 5.2, sharex=True, gridspec_kw={"height_ratios": [1, 3.2]})
    (above,), (plane,) = axes
    above.plot(k, most, color=BLACK)
    above.set(ylabel="best gain\n(points)", ylim=(0, None), title=f"The best smoothing gains up to {most.max():.2f} "
              f"points, a wrong one loses up to {-gain.min():.0f}")
    side, levels = np.searchsorted(k, 2.6), np.array([0, 0.25, 0.5, 0.75, 0.9, 1])
    rising = share[:share[:, side].argmax() + 1, side]
    filled = bands(plane, k, b, share, levels, at=[(k[side], b[np.searchsorted(rising, one)]) for one in levels[1:-1]])
    hatched(plane, k, b, gain, -100, -NOTHING)
    costs = plane.contour(k, b, gain, [-10, -5, -2, -1, -0.5], colors=[BLACK], linestyles="--", linewidths=0.8)
    plane.clabel(costs, fmt="%g", fontsize=8)
    plane.contourf(k, b, (ratio == 0).astype(float), [0.5, 2], colors=["#dddddd"])
    learned = k[k > K0]
    plane.plot(learned, [b_star(one) for one in learned], color=RED, linewidth=2.2)
    for value, name in ((K0, "$k_0$"), (crossover(), "$k_x$")):
        plane.axvline(value, color=RED, linewidth=1.2, linestyle="--")
        plane.text(value, 1.005, name, color=RED, ha="center", va="bottom", fontsize=10)
    said(plane, 0.27, 0.25, "$w_2 = 0$\nno effect", bbox={"facecolor": "none", "edgecolor": "none"})
    said(plane, 0.55, 0.6, "smoothing hurts\n(points)")
    said(plane, 1.6, 0.66, "$b^*(k)$", color=RED)
    plane.set(xlabel=r"$k = (\mu - 2\epsilon)/\sigma$   (strong attack left, weak attack right)",
              ylabel="smoothing $b$", xlim=(k[0], k[-1]), ylim=(0, 1))
    figure.colorbar(filled, ax=plane, label="share of the best gain", pad=0.02)
    save(figure, folder, "phase_smoothing")


if __name__ == "__main__":
    run(compute, draw, finding)
