"""Flows beyond the normal law: who forgets, who undershoots, and outliers that act as an l1 penalty.

python -m figures.theory.flows OUTDIR (claims D1-any, D2, D2-monotone, D2-overshoot, D4)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import weibull_max

from figures.scripts import run
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, read_csv, save, styled, write_csv
from synthmodel import CrossEntropy, Setting, solve
from synthmodel.flows.any_noise import Features
from synthmodel.flows.finite_outliers import Outliers
from synthmodel.flows.gradient_flow import cross_entropy_flow
from synthmodel.flows.rare_outliers import limit_flow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from jaxtyping import Float
    from matplotlib.axes import Axes

    Values = Float[np.ndarray, "n"]
    Part = tuple[str, Values, Values]
    Columns = dict[tuple[str, str], Float[np.ndarray, "2 n"]]

__all__ = ["compute", "draw", "finding"]

CLASSES = (3, 10)
K = 0.5  # of the paths of D1-any: d_E = d_C = K, noise of deviation 1
STRENGTHS = np.linspace(0.1, 2.5, 49)
LAWS = {"normal": "normal", "Laplace": "laplace", "heavy left tail": weibull_max(0.2)}  # rarely, but then badly, wrong
TIMES = np.concatenate([[0.0], np.geomspace(0.03, 1e4, 120)])
LONG = np.concatenate([[0.0], np.geomspace(0.01, 1e5, 160)])
RATES = (1.0, 2.5, 4.0)  # k of the cross-entropy flow
NO_DECAY = 1e-15  # lam of the limit: smaller ones move it in the tenth digit
PULL, CHANCES = 0.3, (0.2, 0.05, 0.01, 0.002)  # gamma/d, of which p S is made, and p
LIGHT, HEAVY = ("normal", "Laplace"), ("heavy left tail",)
LOOSE = 1e-4  # error of psi accepted for the heavy tail, in deviations: no polynomial of low degree comes to 1e-9 of it
LOOKS = {"normal": (BLACK, "-"), "Laplace": (BLUE, "--"), "heavy left tail": (RED, "-.")}
RATE_LOOKS = dict(zip(("k = 1", "k = 2.5", "k = 4"), ((BLACK, "-"), (BLUE, "--"), (RED, "-.")), strict=True))
CHANCE_LOOKS = dict(zip((*(f"p = {p:g}" for p in CHANCES), "limit"),
                        ((GREEN, ":"), (BLUE, "-."), (RED, "--"), (GREY, (0, (1, 2))), (BLACK, "-")),
                        strict=True))


def any_law(name: str, classes: int, times: Values, strengths: Values) -> tuple[Part, ...]:
    """(panel, x, values) of D1-any: the path at K, and for each k the points of accuracy lost from best to end."""
    law, accepted = LAWS[name], {"tolerance": LOOSE} if name in HEAVY else {}
    path = Features(K, K, noise_c=law, classes=classes).flow(times, **accepted)
    lost = []
    for k in strengths:
        features = Features(k, k, noise_c=law, classes=classes)
        accuracy = features.accuracy(np.linspace(features.end_ratio(), 1, 200))
        lost.append(100 * (accuracy.max() - accuracy[0]))
    return ((f"ratio, K = {classes}", path.t, path.ratio), (f"accuracy, K = {classes}", path.t, path.accuracy),
            (f"points lost, K = {classes}", strengths, np.array(lost)))


def softmax(k: float, times: Values) -> tuple[Part, ...]:
    """(panel, x, values) of the cross-entropy flow, as parts of its limit."""
    path, limit = cross_entropy_flow(k, times), solve(Setting(k, 1.0), CrossEntropy(), 0.0, NO_DECAY)
    return ("ratio/limit", path.t, path.ratio / limit.ratio), ("w2/limit", path.t, path.w2 / limit.w2)


def outliers(p: float, times: Values) -> Values:
    """w2 of the flow with outliers of chance p and the size that makes gamma = PULL d; d = s_E = 1, regular c_j = d."""
    if p == 0:
        return limit_flow(1.0, PULL, times).w2
    size = PULL * math.sqrt(2 * math.pi) / (2 * p)
    return Outliers(d=1.0, s_e=1.0, s_c=1e-3, p=p, size=size).flow(times).w2


def compute(folder: Path, times: Values = TIMES, long: Values = LONG, strengths: Values = STRENGTHS,
            chances: Sequence[float] = CHANCES) -> None:
    """flows.csv: panel, case, x (time, or k where points are lost) and value. At t = 0 the limits t -> 0+."""
    found = [(name, part) for name in LAWS for classes in CLASSES for part in any_law(name, classes, times, strengths)]
    found += [(f"k = {k:g}", part) for k in RATES for part in softmax(k, long)]
    found += [(f"p = {p:g}" if p else "limit", ("w2 with outliers", times, outliers(p, times))) for p in (*chances, 0)]
    write_csv(folder / "flows.csv", [{"panel": panel, "case": case, "x": float(x), "value": float(value)}
                                     for case, (panel, xs, values) in found
                                     for x, value in zip(xs, values, strict=True)])


def columns(folder: Path) -> Columns:
    """{(panel, case): (x, value)} from flows.csv."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_csv(folder / "flows.csv"):
        found.setdefault((row["panel"], row["case"]), []).append((row["x"], row["value"]))
    return {key: np.array(pairs).T for key, pairs in found.items()}


def most_lost(data: Columns, classes: int, cases: Iterable[str]) -> float:
    """The largest loss of accuracy in points at any k, for the laws `cases`."""
    return max(data[f"points lost, K = {classes}", case][1].max() for case in cases)


def swing(ratio: Values) -> tuple[float, float]:
    """By how many per cent of its limit the ratio falls below it, and then rises above it."""
    least = ratio.argmin()
    return 100 * (1 - ratio[least]), 100 * (ratio[least:].max() - 1)


def finding(folder: Path) -> str:
    data = columns(folder)
    light, heavy = (max(most_lost(data, classes, cases) for classes in CLASSES) for cases in (LIGHT, HEAVY))
    swings = {case: swing(data["ratio/limit", case][1]) for case in RATE_LOOKS}
    under = ", ".join(f"{below:.2f} % at {case}" for case, (below, _) in swings.items() if below > 1e-4)
    above, case = max((above, case) for case, (_, above) in swings.items())
    top = max(data["w2/limit", case][1].max() for case in RATE_LOOKS)
    _, limit = data["w2 with outliers", "limit"]
    gaps = [(np.abs(value - limit).max(), case) for (panel, case), (_, value) in data.items()
            if panel == "w2 with outliers" and case != "limit"]
    (far, many), (near, few) = max(gaps), min(gaps)
    return (f"D1-any, D2, D4: at equal noise the falling ratio costs at most {light:.2f} points of accuracy under "
            f"normal and Laplace evidence, up to {heavy:.1f} where it is rarely but badly wrong (psi to {LOOSE:g}). In "
            f"the cross-entropy flow w2/w1 falls below its limit by {under} and later exceeds it by up to "
            f"{above:.2f} % ({case}), but w2 "
            f"never exceeds {top:.6f} of its own. Outliers of fixed p S: w2 is {far:.2f} from the l1 limit at {many}, "
            f"{near:.2f} at {few}.")


def lines(axis: Axes, data: Columns, panel: str, looks: dict[str, tuple[str, Any]], positive: bool = True) -> None:
    """One line for each case; positive: on a logarithmic axis, for x > 0."""
    for case, (color, style) in looks.items():
        x, value = data[panel, case]
        keep = x > 0
        axis.plot(x[keep], value[keep], color=color, linestyle=style, label=case)
    if positive:
        axis.set_xscale("log")
    axis.set_xlim(x[keep][0], x[-1])


@styled()
def draw(folder: Path) -> None:
    """flows.png and .svg from flows.csv."""
    data = columns(folder)
    figure, axes = new_figure(3, 3, 11.4, 9)
    for (ratio, accuracy, points), classes in zip(axes, CLASSES, strict=False):
        lines(ratio, data, f"ratio, K = {classes}", LOOKS)
        ratio.set(ylabel="$w_2/w_1$", ylim=(-0.03, 1.05), title=f"D1-any, K = {classes}: the ratio only falls")
        lines(accuracy, data, f"accuracy, K = {classes}", LOOKS)
        accuracy.set(ylabel="robust accuracy", title=f"K = {classes}: at $k = {K:g}$ the heavy tail alone loses")
        for axis in (ratio, accuracy):
            axis.set_xlabel(f"time, units of $\\tau/\\sigma^2$ ($k = {K:g}$)")
        lines(points, data, f"points lost, K = {classes}", LOOKS, positive=False)
        points.set(xlabel="$k$ (equal noise)", ylabel="points lost, best to end",
                   title=f"K = {classes}: light tails lose at most {most_lost(data, classes, LIGHT):.1f} points")
    under, weight, sparse = axes[2]
    lines(under, data, "ratio/limit", RATE_LOOKS)
    lines(weight, data, "w2/limit", RATE_LOOKS)
    for axis in (under, weight):
        axis.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        axis.set_xlabel(r"time, units of $1/\sigma^2$")
    under.set(ylabel="($w_2/w_1$) / limit", ylim=(0.9935, 1.0145),
              title="D2: the ratio can undershoot, then overshoot")
    weight.set(ylabel="$w_2$ / limit", title="D2: $w_2$ does not overshoot")
    lines(sparse, data, "w2 with outliers", CHANCE_LOOKS)
    sparse.set(xlabel=r"time, units of $1/\sigma_E^2$", ylabel=r"$w_2$, units of $1/\sigma_E$",
               title="D4: the rarer, the more like an $l_1$ pull")
    for axis, place in ((axes[0, 0], "lower left"), (under, "upper right"), (weight, "center left"),
                        (sparse, "upper left")):
        axis.legend(loc=place)
    axes[0, 0].get_legend().set_title(f"heavy tail: $\\psi$ to {LOOSE:g}")
    save(figure, folder, "flows")


if __name__ == "__main__":
    run(compute, draw, finding)
