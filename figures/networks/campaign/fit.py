"""Robust accuracy on test images against robust accuracy on training images, the fit: the trunk's path, the arms' ends.

`python -m figures.networks.campaign.fit` draws figures/data/campaign_fit.png and .svg from the committed results,
figures/data/campaign, and nothing else. What lies above the path is more robust than the trunk was when it had fitted
as much, at a higher learning rate. No prediction was made of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.predictions import beside, curve, decided
from figures.networks.campaign.arms import FEW, comparable, look, name_points
from figures.networks.campaign.common import DATA, TRUNK, mean_of, results
from figures.scripts import command_line
from figures.style import BLACK, GREY, new_figure, save, styled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jaxtyping import Float

    from figures.style import Row

__all__ = ["at_equal_fit", "draw", "finding", "fit_rows"]

PER_CENT = {"fit": ("train", "accuracy"), "robust": ("test", "accuracy")}


def path_of(run: Mapping[str, Any]) -> dict[str, Float[np.ndarray, " epochs"]]:
    """Along a run: "fit" and "robust", accuracies under PGD-10 in per cent on training and test images; "sharing"."""
    return {name: 100 * curve(run, *of) for name, of in PER_CENT.items()} | {"sharing": curve(run, "test", "sharing")}


def at_equal_fit(plan: Any, runs: Any) -> dict[str, Float[np.ndarray, "5 seeds"]]:
    """{arm: (its fit at the end, that of the trunk's checkpoint whose fit is nearest, differences)}, a column a seed.

    The differences: robust accuracy at the arm's end less the trunk's at its end; and less the trunk's at that
    checkpoint; sharing less the trunk's there. The trunk is the one that the arm is compared with (`beside`). Arms with
    fewer than two seeds are left out.
    """
    found = {}
    for arm in comparable(plan, runs):
        columns = []
        for seed, run in sorted(runs[arm].items()):
            other = beside(run, runs[TRUNK][seed]) if seed in runs[TRUNK] else None
            if other is None:
                continue
            mine, trunk = path_of(run), path_of(other)
            place = int(np.abs(trunk["fit"] - mine["fit"][-1]).argmin())
            columns.append([mine["fit"][-1], trunk["fit"][place], mine["robust"][-1] - trunk["robust"][-1],
                            *(mine[name][-1] - trunk[name][place] for name in ("robust", "sharing"))])
        if len(columns) > 1:
            found[arm] = np.array(columns).T
    return found


def fit_rows(source: Path = DATA) -> list[Row]:
    """`at_equal_fit` as a table: means over seeds, of the differences with their intervals."""
    plan, runs = results(source, TRUNK)
    level = plan["campaign"]["level"]
    return [{"arm": arm, "n": len(own), "fit, %": f"{own.mean():.0f}", "the trunk's there, %": f"{trunk.mean():.0f}",
             "PGD-10, end": mean_of(end, level, 1, "+"), "at equal fit": mean_of(robust, level, 1, "+"),
             "sharing at equal fit": mean_of(sharing, level, 1, "+")}
            for arm, (own, trunk, end, robust, sharing) in at_equal_fit(plan, runs).items()]


def finding(folder: Path) -> str:
    rows = fit_rows(folder / "campaign")
    if not rows:
        return "No arm has two seeds beside the trunk yet."
    said = ", ".join(f"{row['arm']} {row['at equal fit']}" for row in rows)
    return ("Robust accuracy (PGD-10) at each arm's end, less the trunk's at the checkpoint whose fit of the training "
            f"images is nearest, in points: {said}.")


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """Write campaign_fit.png and .svg: the trunk's seeds and their mean, checkpoint by checkpoint, the arms' ends."""
    plan, runs = results(source, TRUNK)
    level = plan["campaign"]["level"]
    figure, ((axis,),) = new_figure(1, 1, 8.2, 5.4)
    paths = [path_of(run) for run in runs[TRUNK].values()]
    for path in paths:
        axis.plot(path["fit"], path["robust"], "-", color=GREY, linewidth=0.7, alpha=0.6)
    epochs = [line["epoch"] for line in next(iter(runs[TRUNK].values()))["checkpoints"]]
    mean = {name: np.mean([path[name] for path in paths], axis=0) for name in PER_CENT}
    axis.plot(mean["fit"], mean["robust"], "*-", color=BLACK, linewidth=1.2, markersize=6,
              label="the trunk, its checkpoints (grey: seeds)")
    axis.annotate(f"epoch {epochs[0]}", (mean["fit"][0], mean["robust"][0]), (5, -11), textcoords="offset points",
                  fontsize=8)
    points = {f"epoch {epochs[-1]}": (mean["fit"][-1], mean["robust"][-1])}
    for arm in at_equal_fit(plan, runs):
        ends = np.array([[path[name][-1] for name in PER_CENT] for path in map(path_of, runs[arm].values())]).T
        color, marker, group = look(next(iter(runs[arm].values()))["recipe"])
        (x, across), (y, up) = (decided({"within": 0.0}, list(values), 0.0, level)[:2] for values in ends)
        bars = ([[y - up[0]], [up[1] - y]], [[x - across[0]], [across[1] - x]]) if ends.shape[1] >= FEW else ()
        axis.errorbar([x], [y], *bars, fmt=marker, color=color, linewidth=0.8, markersize=5, label=group,
                      fillstyle="full" if bars else "none")
        points[arm] = (x, y)
    name_points(axis, points)
    axis.set(xlabel="robust accuracy (PGD-10) on training images, %",
             ylabel="robust accuracy (PGD-10) on test images, %",
             title="The arms' ends beside the trunk's path: means and 95 % intervals")
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))  # one a group
    axis.legend(handles.values(), handles.keys(), loc="lower left")
    save(figure, folder, "campaign_fit")


if __name__ == "__main__":
    command_line(__name__).parse_args()
    draw(DATA.parent)
