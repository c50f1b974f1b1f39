"""Figure 3: what each loss uses and what would be best, against eps (claims T1, T3, T2-joint', S1, N2, N4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.style import BLACK, BLUE, GREEN, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Setting, eps0, eps1, r_acc
from synthmodel.plot.curves import curve, mark
from synthmodel.solvers.cross_entropy import cross_entropy_ratio
from synthmodel.solvers.margin_closed import ratio_closed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["closed", "compute", "draw", "finding"]

SETTING, LAM, B = Setting(1.0, 0.5), 0.1, 0.3


def closed(k: float) -> dict[str, float]:
    """r_at, r_smoothed and r_acc at the strength k: the ratios that depend on nothing else."""
    return {"r_at": ratio_closed(k), "r_smoothed": ratio_closed(k, B), "r_acc": r_acc(k)}


def compute(folder: Path, setting: Setting = SETTING) -> None:
    """ratios.csv: eps, k, r_at, r_smoothed, r_acc, r_ce."""
    rows = []
    for eps in sorted([*np.linspace(0, 0.495, 100), eps0(setting), eps1(setting, B)]):
        k = setting.k(eps)
        rows.append({"eps": eps, "k": k, **closed(k), "r_ce": cross_entropy_ratio(setting, eps, LAM)})
    write_csv(folder / "ratios.csv", rows)


def finding(folder: Path, setting: Setting = SETTING) -> str:
    """setting: as in the scripts beside this one; the table tells all of it that is said."""
    rows = read_csv(folder / "ratios.csv")
    useful = [row for row in rows if row["r_acc"] > 0]
    under, over = (min(row[high] - row[low] for row in useful) for low, high in (("r_at", "r_acc"), ("r_acc", "r_ce")))
    kept = min(row["r_ce"] for row in rows)
    above = f"cross-entropy above it (by {over:.3f} at least)"
    if over <= 0:  # N4 ends at k = 2.414
        last = max(row["eps"] for row in useful if row["r_ce"] <= row["r_acc"])
        above = f"cross-entropy above it only beyond eps = {last:.3g}"
    return (f"T1, S1, N2, N4: where a best w2/w1 above 0 exists, the margin loss stays below it (by {under:.3f} at "
            f"least) and {above}, which keeps {kept:.2f} or more up to eps = "
            f"{rows[-1]['eps']:g}.")


@styled()
def draw(folder: Path, setting: Setting = SETTING) -> None:
    """ratios.png and ratios.svg from ratios.csv."""
    rows = read_csv(folder / "ratios.csv")
    column = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    figure, ((axis,),) = new_figure(1, 1, 5.6, 3.7)
    for key, color, style, label in (
            ("r_ce", GREEN, "-.", "$r_{CE}$, cross-entropy"),
            ("r_acc", BLACK, "-", "$r_{acc}$, best joint robust accuracy"),
            ("r_smoothed", RED, "--", f"smoothed margin, $b={B}$"),
            ("r_at", BLUE, (0, (4, 1, 1, 1, 1, 1)), "$r_{AT}$, margin loss")):
        curve(axis, column["eps"], column[key], (color, style), label)
    for value, name, color in ((eps0(setting), r"$\epsilon_0$", BLUE), (eps1(setting, B), r"$\epsilon_1$", RED)):
        mark(axis, value, name, color)
    axis.set(xlabel=r"attack size $\epsilon$", ylabel="$w_2/w_1$", xlim=(0, 0.5), ylim=(-0.02, 1.01))
    over = np.all((column["r_ce"] > column["r_acc"])[column["r_acc"] > 0])  # else N4 ends on this axis
    axis.set_title("The margin loss under-uses the cross-class feature,\n"
                   f"cross-entropy over-uses it{'' if over else ' near the end only'} "
                   rf"(decay $\lambda={LAM:g}$ on $w_1$ and $w_2$; $\mu={setting.mu:g}$, $\sigma={setting.sigma:g}$)",
                   pad=16)
    axis.legend(loc="lower left")
    save(figure, folder, "ratios")
