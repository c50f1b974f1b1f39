"""Atlas: w2/w1 over attack size and temperature of the wrong-class log-sum-exp (claims T1-temp, N2, E-margins).

`python -m figures.phase.temperature OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.diagram import LEVELS, bands, matrix, said
from figures.scripts import run
from figures.style import BLACK, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Margin, Setting, WrongClassLSE, eps0, r_acc, solve
from synthmodel.flows.margin_estimates import tau_star

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["compute", "draw", "finding"]

SETTING, LAM = Setting(1.0, 0.5), 0.1
SIZES, TEMPERATURES = np.linspace(0, 0.495, 67), np.geomspace(1e-3, 1e2, 61)


def compute(folder: Path, sizes: Float[np.ndarray, "sizes"] = SIZES,
            temperatures: Float[np.ndarray, "tau"] = TEMPERATURES) -> None:
    """phase_temperature.csv: eps, tau, w2/w1 and its limit, the margin loss's; phase_temperature-best.csv: tau*(eps).

    The second has the ratio solved at tau* beside r_acc, which it should equal.
    """
    ratio = solve(SETTING, WrongClassLSE(temperatures[:, None]), sizes, LAM).ratio
    limit = solve(SETTING, Margin(), sizes, LAM).ratio
    write_csv(folder / "phase_temperature.csv", [
        {"eps": eps, "tau": tau, "ratio": ratio[i, j], "margin": limit[j]}
        for i, tau in enumerate(temperatures) for j, eps in enumerate(sizes)])
    below = np.append(sizes[sizes < eps0(SETTING)], eps0(SETTING) - np.geomspace(1e-2, 1e-5, 13))
    best = [(eps, tau_star(SETTING, eps, LAM)) for eps in np.sort(below)]
    write_csv(folder / "phase_temperature-best.csv", [
        {"eps": eps, "tau_star": tau, "ratio": solve(SETTING, WrongClassLSE(tau), eps, LAM).ratio,
         "r_acc": r_acc(SETTING.k(eps))} for eps, tau in best])


def finding(folder: Path) -> str:
    rows, best = (read_csv(folder / f"phase_temperature{end}.csv") for end in ("", "-best"))
    coldest, hottest = (choose(row["tau"] for row in rows) for choose in (min, max))
    beyond = [row for row in rows if row["eps"] > eps0(SETTING)]
    cold, hot = (max(row["ratio"] for row in beyond if row["tau"] == tau) for tau in (coldest, hottest))
    one = min(best, key=lambda row: abs(row["eps"] - 0.2))
    return (f"T1-temp: beyond eps0 = {eps0(SETTING):.3f} the largest w2/w1 falls from {hot:.2f} at tau = {hottest:g} "
            f"to {cold:.4f} at tau = {coldest:g}: the sharp threshold is the limit tau -> 0; the most accurate ratio "
            f"is learned at a temperature in between, tau* = {one['tau_star']:.2f} at eps = {one['eps']:.3f}, which "
            "falls to 0 at eps0.")


@styled()
def draw(folder: Path) -> None:
    """phase_temperature.png and .svg from its tables."""
    rows, best = (read_csv(folder / f"phase_temperature{end}.csv") for end in ("", "-best"))
    eps, tau, ratio = matrix(rows, "eps", "tau", "ratio")
    figure, (axes,) = new_figure(1, 2, 8.6, 3.9, gridspec_kw={"width_ratios": [1, 1.5]})
    slices, plane = axes
    for wanted, style in ((10, ":"), (1, "-."), (0.1, "--"), (0.001, "-")):
        i = int(np.argmin(np.abs(np.log(tau / wanted))))
        slices.plot(eps, ratio[i], color=BLACK, linestyle=style, label=rf"$\tau = {tau[i]:.2g}$")
    slices.legend(loc="lower left", handlelength=2.2)
    slices.set(ylabel="$w_2/w_1$", ylim=(-0.02, 1), title=r"A sharp threshold is the limit $\tau \to 0$")
    plane.set(yscale="log", ylim=(tau[0], tau[-1]))  # before the contours, whose labels need it
    side = np.searchsorted(eps, 0.44)
    filled = bands(plane, eps, tau, ratio,
                   at=[(eps[side], np.interp(level, ratio[:, side], tau)) for level in LEVELS[1:-1]])
    plane.plot([row["eps"] for row in best], [row["tau_star"] for row in best], color=RED, linewidth=2.2)
    at = best[len(best) // 3]
    said(plane, at["eps"] + 0.02, 0.6 * at["tau_star"], r"$\tau^*$: most accurate", color=RED, ha="right")
    said(plane, 0.1, 0.02, "uses $w_2$ too little")
    said(plane, 0.37, 40, "uses $w_2$ too much")
    plane.set(ylabel=r"temperature $\tau$", title="Too cold uses $w_2$ too little, too hot too much")
    for axis in axes:
        axis.axvline(eps0(SETTING), color=RED, linewidth=1.2, linestyle="--")
        axis.set(xlabel=r"attack size $\epsilon$", xlim=(0, 0.5))
    slices.text(eps0(SETTING) - 0.006, 0.93, r"$\epsilon_0$", color=RED, ha="right", fontsize=10)
    figure.colorbar(filled, ax=plane, label="$w_2/w_1$", ticks=[0, 0.2, 0.4, 0.6, 0.8, 1], pad=0.02)
    save(figure, folder, "phase_temperature")


if __name__ == "__main__":
    run(compute, draw, finding)
