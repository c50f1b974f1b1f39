"""Learned, then forgotten: the flows of D1 and D4 in time, and what helps (claims D1, D4, D4-remedies).

python -m figures.theory.dynamics OUTDIR
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.scripts import run
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import b_star, r_acc
from synthmodel.flows.finite_outliers import Outliers
from synthmodel.flows.gradient_flow import margin_flow
from synthmodel.flows.rare_outliers import forgetting_range, limit_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from figures.style import Row
    from synthmodel.flows.gradient_flow import Path as Flow

__all__ = ["compute", "draw", "finding"]

K = 1.0
TIMES = np.concatenate([[0.0], np.geomspace(0.03, 1000, 160)])
OUTLIERS = Outliers(d=0.4, s_e=0.5, s_c=0.1, p=0.1, size=3.0)  # mu = 1, eps = .3
CLIP, SMOOTHING, TEACHING = 1.5, 0.1, 0.7
REMEDIES = {"none": (BLACK, "-", "none"), "label smoothing": (RED, "--", f"label smoothing, $b = {SMOOTHING}$"),
            "early teacher": (BLUE, "-.", f"early teacher, $b = {TEACHING}$"),
            "bounded loss": (GREEN, (0, (4, 1, 1, 1, 1, 1)), f"bounded loss, $B = {CLIP}$")}
REGIMES = {"a": (RED, "--", r"(a) $\gamma = 1.1\,d\pi_0$: never learned"),
           "b": (BLACK, "-", r"(b) $\gamma = 1.02\,d\bar\pi_1$: forgotten"),
           "c": (BLUE, "-.", r"(c) $\gamma = 0.6\,d\bar\pi_1$: kept")}
SMOOTHED = {"0": (BLACK, "-", "$b = 0$"), "b*/2": (RED, "--", "$b = b^*/2$"), "b*": (BLUE, "-.", "$b = b^*$")}

SYMBOLS = (r"$k$: signal to noise; $\tau$: temperature of the log-sum-exp; $b$: share of the label, or of a teacher, "
           r"given to other classes, $b^*$ the best; $d = \mu - 2\epsilon$; $\gamma$: pull of the outliers towards "
           "$w_2 = 0$;\n"
           r"$\pi_0 = 2/3$: the wrong classes' probability at $w = 0$, $\bar\pi_1$: its mean at the best $w_1$ without "
           r"$w_2$; outliers have chance $p$ and size $S$; an example whose loss exceeds $B$ has no gradient")


def remedied(flow: Callable[..., Flow]) -> dict[str, Flow]:
    """The paths of `flow` without a remedy and with each; the teacher is the first path where w2 is largest."""
    plain = flow()
    early = int(plain.w2.argmax())
    return {"none": plain, "label smoothing": flow(b=SMOOTHING),
            "early teacher": flow(b=TEACHING, teacher=(plain.w1[early], plain.w2[early])),
            "bounded loss": flow(clip=CLIP)}


def paths() -> dict[tuple[str, str], Flow]:
    """All paths of the figure: (panel, case) -> Path."""
    star = b_star(K)
    low, high = forgetting_range(K)
    found = {("log-sum-exp", name): margin_flow(K, TIMES, b)
             for name, b in (("0", 0.0), ("b*/2", star / 2), ("b*", star))}
    found |= {("regimes", name): limit_flow(K, pull, TIMES)
              for name, pull in (("a", 1.1 * high), ("b", 1.02 * low), ("c", 0.6 * low))}
    found |= {("limit", name): path for name, path in
              remedied(lambda **remedy: limit_flow(K, 1.02 * low, TIMES, **remedy)).items()}
    return found | {("finite", name): path for name, path in
                    remedied(lambda **remedy: OUTLIERS.flow(TIMES, **remedy)).items()}


def compute(folder: Path) -> None:
    """dynamics.csv: panel, case, t, w1, w2, ratio, share = w2/|(w1, w2)|, accuracy. At t = 0 the limits t -> 0+."""
    rows = []
    for (panel, case), path in paths().items():
        share = path.ratio / np.hypot(1, path.ratio)
        rows += [{"panel": panel, "case": f"b = {case}" if panel == "log-sum-exp" else case} |
                 {key: float(value) for key, value in zip(("t", "w1", "w2", "ratio", "share", "accuracy"), values,
                                                          strict=True)}
                 for values in zip(path.t, path.w1, path.w2, path.ratio, share, path.accuracy, strict=True)]
    write_csv(folder / "dynamics.csv", rows)


def lines(axis: Axes, rows: Sequence[Row], panel: str, value: str, styles: dict[str, tuple[str, Any, str]]) -> None:
    """One line for each case, for t > 0."""
    for case, (color, style, label) in styles.items():
        name = f"b = {case}" if panel == "log-sum-exp" else case
        part = [row for row in rows if (row["panel"], row["case"]) == (panel, name) and row["t"] > 0]
        axis.plot([row["t"] for row in part], [row[value] for row in part], color=color, linestyle=style, label=label)
    axis.set(xscale="log", xlim=(TIMES[1], TIMES[-1]))


@styled()
def draw(folder: Path) -> None:
    """dynamics.png and dynamics.svg from dynamics.csv."""
    rows = read_csv(folder / "dynamics.csv")
    figure, axes = new_figure(2, 3, 11.4, 6.2)
    (ratio, weight, limit), (accuracy, regimes, finite) = axes
    lines(ratio, rows, "log-sum-exp", "ratio", SMOOTHED)
    ratio.axhline(r_acc(K), color=GREY, linewidth=0.8, linestyle=":")
    ratio.text(1.2 * TIMES[1], r_acc(K) - 0.012, "$r_{acc}$, the best ratio", color=GREY, va="top", fontsize=8)
    ratio.set(ylabel="$w_2/w_1$", title="D1: the ratio only falls ($k = 1$)")
    ratio.legend(loc="upper right", title="label smoothing", title_fontsize=8)
    lines(accuracy, rows, "log-sum-exp", "accuracy", SMOOTHED)
    accuracy.set(ylabel="robust accuracy", xlabel=r"time, units of $\tau/\sigma^2$",
                 title="D1: it overfits iff $b < b^*$")
    accuracy.legend(loc="lower right")
    lines(weight, rows, "regimes", "w2", REGIMES)
    weight.set(ylabel=r"$w_2$, units of $1/\sigma_E$", title="D4: learned, then forgotten ($k = 1$)")
    weight.legend(loc="upper right", borderaxespad=0.1)
    weight.set_ylim(-0.04, 1.5 * weight.get_ylim()[1])
    lines(regimes, rows, "regimes", "accuracy", REGIMES)
    regimes.set(ylabel="robust accuracy", xlabel=r"time, units of $1/\sigma_E^2$",
                title="D4: in case (b) ten points are lost")
    words = [f"({case}) {label.partition(': ')[2]}" for case, (_, _, label) in REGIMES.items()]
    regimes.legend(labels=words, loc="lower left", bbox_to_anchor=(0, 0.03))
    lines(limit, rows, "limit", "accuracy", REMEDIES)
    limit.set(ylabel="robust accuracy", title="Remedies, case (b)")
    limit.legend(labels=list(REMEDIES), loc="lower left", bbox_to_anchor=(0, 0.02))
    lines(finite, rows, "finite", "accuracy", REMEDIES)
    finite.legend(loc="upper left")
    finite.set(ylabel="robust accuracy", xlabel=r"time, units of 1/feature$^2$",
               title="Remedies, finite outliers ($p = .1$, $S = 3$)")
    figure.supxlabel(SYMBOLS, fontsize=8.5, x=0.01, ha="left")
    save(figure, folder, "dynamics")


def finding(folder: Path) -> str:
    accuracy: dict[tuple[str, str], list[float]] = {}
    for row in read_csv(folder / "dynamics.csv"):
        accuracy.setdefault((row["panel"], row["case"]), []).append(row["accuracy"])
    lost = {case: 100 * (max(values) - values[-1]) for case, values in accuracy.items()}
    ends = ", ".join(f"{name} {accuracy['limit', name][-1]:.3f}" for name in REMEDIES if name != "none")
    best = max(accuracy["limit", "none"])
    return (f"D1, D4, D4-remedies: at k = {K:g} the log-sum-exp loses {lost['log-sum-exp', 'b = 0']:.2f} points after "
            f"its best accuracy, {lost['log-sum-exp', 'b = b*']:.2f} with b = b*. Rare, badly wrong evidence costs "
            f"{lost['regimes', 'b']:.1f} points in case (b), {lost['regimes', 'a']:.1f} in (a) and "
            f"{lost['regimes', 'c']:.1f} in (c). In (b), where the best is {best:.3f}, the end is "
            f"{accuracy['limit', 'none'][-1]:.3f}, with a remedy: {ends}.")


if __name__ == "__main__":
    run(compute, draw, finding)
