"""Figure 2: robust accuracy against w2/w1 for eps below, at and above eps0 (claims T2-pair, T2-joint, T2-joint')."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from figures.style import BLACK, BLUE, GREEN, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Setting, eps0, eps_max, joint_accuracy, pairwise_accuracy, r_acc
from synthmodel.plot.curves import MARKS, curve
from synthmodel.solvers.margin_closed import ratio_closed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compute", "draw", "finding"]

SETTING = Setting(1.0, 0.5)
SIZES = {"below": 0.25, "at": eps0(SETTING), "above": 0.43}
STYLES = {"below": (BLUE, "-"), "at": (GREEN, "--"), "above": (RED, "-.")}


def sizes(setting: Setting) -> dict[str, float]:
    """An attack size below eps0, eps0, and one between it and mu/2, of two digits where that is so; needs eps0 > 0.

    >>> sizes(SETTING) == SIZES
    True
    """
    at = eps0(setting)
    below, above = 0.7 * at, (at + eps_max(setting)) / 2
    return {"below": round(below, 2) or below, "at": at,
            "above": round(above, 2) if at < round(above, 2) < eps_max(setting) else above}


def compute(folder: Path, setting: Setting = SETTING) -> None:
    """accuracy.csv: case, eps, ratio, joint and pairwise accuracy; r_at and r_acc repeat in each row."""
    rows = []
    for case, eps in sizes(setting).items():
        k = setting.k(eps)
        for ratio in np.linspace(0, 1.6, 161):
            rows.append({"case": case, "eps": eps, "ratio": ratio, "joint": float(joint_accuracy(ratio, k)),
                         "pairwise": float(pairwise_accuracy(ratio, k)), "r_at": ratio_closed(k), "r_acc": r_acc(k)})
    write_csv(folder / "accuracy.csv", rows)


def finding(folder: Path, setting: Setting = SETTING) -> str:
    """setting: as in the scripts beside this one; the table tells all of it that is said."""
    best = {}
    for case in STYLES:
        rows = [row for row in read_csv(folder / "accuracy.csv") if row["case"] == case]
        best[case] = {kind: max(rows, key=itemgetter(kind))["ratio"] for kind in ("pairwise", "joint")}
    pairwise = {found["pairwise"] for found in best.values()}
    return (f"T2-pair, T2-joint, T2-joint': accuracy against one other class is highest at w2/w1 = "
            f"{', '.join(f'{ratio:.2f}' for ratio in sorted(pairwise))} for every eps, against both at "
            f"{best['below']['joint']:.2f} below eps0, {best['at']['joint']:.2f} at eps0 and "
            f"{best['above']['joint']:.2f} above it.")


@styled()
def draw(folder: Path, setting: Setting = SETTING) -> None:
    """accuracy.png and accuracy.svg from accuracy.csv. setting: as in the scripts beside this one."""
    rows = read_csv(folder / "accuracy.csv")
    figure, axes = new_figure(1, 2, 8.4, 3.6, sharex=True)
    titles = {"pairwise": "Against one other class: best at $w_2 = w_1$",
              "joint": "Against both: best at $r_{acc} < 1$, at 0 from $\\epsilon_0$ on"}
    for axis, kind in zip(axes[0], titles, strict=True):
        for case, (color, style) in STYLES.items():
            part = [row for row in rows if row["case"] == case]
            ratio, value = (np.array([row[key] for row in part]) for key in ("ratio", kind))
            curve(axis, ratio, value, (color, style), rf"$\epsilon = {part[0]['eps']:.3g}$ ({case} $\epsilon_0$)")
            marks = {"pairwise": (("*", 1.0),), "joint": (("o", part[0]["r_at"]), ("*", part[0]["r_acc"]))}[kind]
            for marker, position in marks:
                axis.plot(position, np.interp(position, ratio, value), marker, color=color, clip_on=False, zorder=3,
                          **MARKS[marker])
        axis.set(xlabel="$w_2/w_1$", ylabel="robust accuracy", xlim=(0, 1.6))
        axis.set_title(titles[kind])
        axis.axvline(1, color=BLACK, linewidth=0.6, linestyle=":")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    for marker, label in (("o", "$r_{AT}$, the margin loss's ratio"), ("*", "best ratio ($1$, or $r_{acc}$)")):
        handles += axes[0, 1].plot([], [], marker, color=BLACK, **MARKS[marker])
        labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=5, columnspacing=1.2, handlelength=1.8)
    save(figure, folder, "accuracy")
