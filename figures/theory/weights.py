"""Figure 1: the optimal robust weights against eps, margin loss, with and without smoothing; eps0, eps1 (T1, T3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.style import BLACK, BLUE, GREY, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Margin, Setting, SmoothedMargin, eps0, eps1, eps_max, solve
from synthmodel.plot.curves import curve, mark

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compute", "draw", "finding"]

SETTING, LAM, B = Setting(1.0, 0.5), 0.1, 0.3


def compute(folder: Path, setting: Setting = SETTING) -> None:
    """weights.csv: eps, w1, w2 for the margin loss, w2 with smoothing B; closed form and numerical solver."""
    rows = []
    for eps in sorted([*np.linspace(0, 0.52, 105), eps0(setting), eps1(setting, B)]):
        margin, smoothed = (solve(setting, loss, eps, LAM) for loss in (Margin(), SmoothedMargin(B)))
        on_grid = abs(eps * 20 - round(eps * 20)) < 1e-9
        brute = solve(setting, SmoothedMargin(B), eps, LAM, method="numeric") if on_grid else None
        rows.append({"eps": eps, "w1": margin.w1, "w2_at": margin.w2, "w2_smoothed": smoothed.w2,
                     "w2_smoothed_numeric": brute.w2 if brute else None})
    write_csv(folder / "weights.csv", rows)


def finding(folder: Path, setting: Setting = SETTING) -> str:
    rows = read_csv(folder / "weights.csv")
    last = {key: max(row["eps"] for row in rows if row[key] > 0) for key in ("w1", "w2_at", "w2_smoothed")}
    errors = [abs(row["w2_smoothed_numeric"] - row["w2_smoothed"]) for row in rows
              if not np.isnan(row["w2_smoothed_numeric"])]
    return (f"T1, T3: the class-specific weight is positive up to eps = {last['w1']:.3f} on this grid, the cross-class "
            f"weight up to {last['w2_at']:.3f} (eps0 = {eps0(setting):.3f}), and up to {last['w2_smoothed']:.3f} with "
            f"b = {B} (eps1 = {eps1(setting, B):.3f}). Brute force at {len(errors)} sizes differs by at most "
            f"{max(errors):.0e}.")


@styled()
def draw(folder: Path, setting: Setting = SETTING) -> None:
    """weights.png and weights.svg from weights.csv."""
    rows = read_csv(folder / "weights.csv")
    column = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    figure, ((axis,),) = new_figure(1, 1, 5.6, 3.6)
    eps = column["eps"]
    curve(axis, eps, column["w1"], (BLACK, "-"), "$w_1$, class-specific")
    curve(axis, eps, column["w2_at"], (BLUE, "-"), "$w_2$, cross-class, margin loss")
    curve(axis, eps, column["w2_smoothed"], (RED, "--"), f"$w_2$, smoothed margin, $b={B}$")
    axis.plot(eps, column["w2_smoothed_numeric"], "o", markersize=3.5, color=RED, markerfacecolor="none",
              label="the same, by brute force")
    top = column["w1"].max()
    for value, name, color in ((eps0(setting), r"$\epsilon_0$", BLUE), (eps1(setting, B), r"$\epsilon_1$", RED),
                               (eps_max(setting), r"$\mu/2$", BLACK)):
        mark(axis, value, name, color)
    axis.set(xlabel=r"attack size $\epsilon$", ylabel="optimal weight", xlim=(0, 0.52), ylim=(-0.02 * top, top))
    axis.set_title("Margin loss: the cross-class weight vanishes first, later with smoothing\n"
                   rf"($\mu={setting.mu:g}$, $\sigma={setting.sigma:g}$, $\lambda={LAM:g}$)", pad=16)
    axis.legend(loc="lower left", borderaxespad=0.3, handlelength=1.8)
    axis.tick_params(color=GREY)
    save(figure, folder, "weights")
