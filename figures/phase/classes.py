"""Atlas: many classes (claims G-K, T2-joint-K, N2-K): eps0, the margin loss's w2/w1 and the best one, designs A and B.

In design B the weight decay has to be said. (lam/2)(w1^2 + w2^2) counts each weight once. A linear classifier W with
(lam_F/2)|W|_F^2 has rows, centred, of |W|_F^2 = (K-1)(w1^2 + w2^2) in design A, but (K-1)(w1^2 + (K-2) w2^2) in design
B: there its w2 is that of the former divided by K-2, and the ratio never exceeds 1.

`python -m figures.phase.classes OUTDIR`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.scripts import run
from figures.style import BLACK, BLUE, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import Margin, Setting, accuracy_of, best_ratio, eps0, eps_max, solve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["compute", "draw", "finding"]

MU, SIGMA = 1.0, 0.5
SIZES = {"A": 0.1, "B": 0.3}  # of the attack; A has lost the feature at .3, B saturates at .1
CLASSES = np.arange(3, 51)


def compute(folder: Path, classes: Iterable[int] = CLASSES) -> None:
    """phase_classes.csv: design, K, eps0/(mu/2), w2/w1 of the margin loss, with decay on W, and r_acc; accuracies."""
    rows = []
    for design, eps in SIZES.items():
        for count in classes:
            setting = Setting(MU, SIGMA, classes=count, design=design)
            used = solve(setting, Margin(), eps, 1.0).ratio
            ratios = {"r_at": used, "r_at_matrix": used / setting.sharing, "r_acc": best_ratio(setting, eps)}
            joint = {f"joint_{key}": accuracy_of(setting, value, eps)[0] for key, value in ratios.items()}
            rows.append({"design": design, "eps": eps, "classes": count, "threshold": eps0(setting) / eps_max(setting)}
                        | ratios | joint)
    write_csv(folder / "phase_classes.csv", rows)


def columns(folder: Path, design: str) -> dict[str, Float[np.ndarray, "classes"]]:
    rows = [row for row in read_csv(folder / "phase_classes.csv") if row["design"] == design]
    return {key: np.array([row[key] for row in rows]) for key in rows[0] if key != "design"}


def finding(folder: Path) -> str:
    a, b = columns(folder, "A"), columns(folder, "B")
    never = a["classes"][a["threshold"] <= 0]
    over = b["joint_r_acc"] - b["joint_r_at"]
    worst = over.argmax()
    under = bool(np.all(b["r_at_matrix"] <= b["r_acc"]))
    return (f"G-K, N2-K: with a feature for all classes but one the cross-class feature is learned at no eps from K = "
            f"{never.min():.0f} on; with one for each pair eps0 rises to {b['threshold'][-1]:.2f} mu/2 at K = "
            f"{b['classes'][-1]:.0f}. There the margin loss with decay on (w1, w2) uses {b['r_at'][-1]:.0f} times w1 "
            f"where {b['r_acc'][-1]:.2f} is best and loses up to {100 * over[worst]:.1f} points (K = "
            f"{b['classes'][worst]:.0f}); with decay on every entry of W it uses {b['r_at_matrix'][-1]:.2f}, "
            f"{'too little at every K shown' if under else 'not always too little'}.")


@styled()
def draw(folder: Path) -> None:
    """phase_classes.png and .svg from phase_classes.csv."""
    figure, ((where, pair_less, pairs),) = new_figure(1, 3, 11, 3.7)
    for design, color, style, at, text in (("A", BLUE, "-", 0.2, "A: a feature for\nall classes but one"),
                                           ("B", RED, "--", 0.8, "B: a feature for\neach pair of classes")):
        data = columns(folder, design)
        where.plot(data["classes"], data["threshold"], color=color, linestyle=style)
        where.text(20, at, text, color=color, va="center")
    where.axhline(0, color=BLACK, linewidth=0.8)
    where.set(ylabel=r"$\epsilon_0 / (\mu/2)$", ylim=(-0.15, 1.02),
              title="Many classes: A loses the feature, B keeps it")
    curves = (("r_acc", BLACK, "-", "$r_{acc}$, best joint robust accuracy"),
              ("r_at", BLUE, "--", "margin loss, decay on $(w_1, w_2)$"),
              ("r_at_matrix", RED, ":", "margin loss, decay on all of $W$"))
    for axis, design, title in ((pair_less, "A", "A: the margin loss uses too little"),
                                (pairs, "B", "B: too much or too little: the decay decides")):
        data = columns(folder, design)
        for key, color, style, text in curves[:2] if design == "A" else curves:
            axis.plot(data["classes"], data[key], color=color, linestyle=style, label=text)
        axis.set(ylabel=rf"$w_2/w_1$ at $\epsilon = {SIZES[design]:g}$, $\sigma = {SIGMA:g}$", title=title)
        axis.legend(loc="best")
    pairs.set_yscale("log")
    pairs.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
    pairs.minorticks_off()
    for axis in (where, pair_less, pairs):
        axis.set(xlabel="number of classes $K$", xlim=(3, CLASSES[-1]))
    save(figure, folder, "phase_classes")


if __name__ == "__main__":
    run(compute, draw, finding)
