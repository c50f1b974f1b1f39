"""Robust accuracy against CAS and sharing at every checkpoint, as it is and with the training loss regressed out.

`python -m figures.networks.campaign.partial` draws figures/data/campaign_partial.png and .svg from the committed
results, figures/data/campaign, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.correlations import FEWEST, partial_correlation
from deep.experiments.campaign.predictions import curve
from figures.networks.campaign.common import DATA, TRUNK, NothingToDraw, far_out, results
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREY, RED, new_figure, save, styled

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float
    from matplotlib.axes import Axes

__all__ = ["draw", "finding", "residuals"]

MEASURES = {"cas": "CAS", "sharing": "sharing"}


def points(plan: Any, runs: Any, key: str) -> dict[tuple[str, int], Float[np.ndarray, "3 epochs"]]:
    """{(arm, seed): `key` on test inputs, robust accuracy in per cent, robust loss on training images} over epochs."""
    arms = plan["correlation"][0]["pooled"]
    return {(arm, seed): np.array([curve(run, "test", key), 100 * curve(run, "test", "accuracy"),
                                   curve(run, "train", "robust_loss")])
            for arm in arms for seed, run in sorted(runs.get(arm, {}).items())}


def residuals(values: Float[np.ndarray, "n"], given: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """What a line in `given` leaves of the values."""
    return values - np.polyval(np.polyfit(given, values, 1), given)


@dataclass(frozen=True)
class Measured:
    """Points {(arm, seed): (values, accuracy, loss)} of one measure, all side by side, and their correlations.

    pooled: over all points; within: the mean over the trunk's runs of each run's own, or None; "_given": the loss.
    others: both, over the arms without CAS in their loss, which lies far from all else; None where all are such arms,
    or none is.
    """

    points: dict[tuple[str, int], Any]
    everything: Float[np.ndarray, "3 n"]
    pooled: float
    pooled_given: float
    within: float | None
    within_given: float | None
    others: tuple[float, float] | None


def measured(source: Path) -> dict[str, Measured]:
    """What the results say of each of MEASURES; they are read once."""
    plan, runs = results(source)
    free = {(arm, seed) for arm in runs for seed, run in runs[arm].items() if "cas_weight" not in run["recipe"]}
    return {key: of_measure(points(plan, runs, key), free, source) for key in MEASURES}


def of_measure(found: dict[tuple[str, int], Any], free: set[tuple[str, int]], source: Path) -> Measured:
    everything = np.concatenate([*found.values(), np.empty((3, 0))], axis=1)
    if everything.shape[1] < FEWEST:
        raise NothingToDraw(f"{source} holds {everything.shape[1]} checkpoints of the arms that are pooled, too few "
                            "to correlate: run the campaign first, deep confirm --run --data DIR.")
    own = [part for (arm, _), part in found.items() if arm == TRUNK and part.shape[1] >= FEWEST]
    rest = np.concatenate([*(part for at, part in found.items() if at in free), np.empty((3, 0))], axis=1)
    return Measured(found, everything, float(np.corrcoef(everything[:2])[0, 1]), partial_correlation(*everything),
                    float(np.mean([np.corrcoef(part[:2])[0, 1] for part in own])) if own else None,
                    float(np.mean([partial_correlation(*part) for part in own])) if own else None,
                    (float(np.corrcoef(rest[:2])[0, 1]), partial_correlation(*rest))
                    if FEWEST <= rest.shape[1] < everything.shape[1] else None)


def finding(folder: Path) -> str:
    """The correlations of both measures; the rule of the campaign is about sharing, along the trunk, given the loss."""
    said = []
    for key, r in measured(folder / "campaign").items():
        name = MEASURES[key]
        along = f", in the trunk's runs {r.within:.2f} and {r.within_given:.2f}" if r.within is not None else ""
        said.append(f"{name} and robust accuracy have correlation {r.pooled:.2f}, given the robust loss on training "
                    f"images {r.pooled_given:.2f}{along}")
        if r.others:
            said[-1] += f", without the arms that have CAS in their loss {r.others[0]:.2f} and {r.others[1]:.2f}"
    said[0] += f", over {r.everything.shape[1]} checkpoints of {len(r.points)} runs"
    return "; ".join(said) + ". (A trunk's number is the mean over its runs.)"


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """Write campaign_partial.png and .svg: one point a checkpoint, the trunk's in front."""
    found = measured(source)
    figure, rows = new_figure(2, 2, 8.8, 7.4, sharey="col")
    for (left, right), (key, r) in zip(rows, found.items(), strict=True):
        name = MEASURES[key]
        x, y, given = r.everything
        lengths = np.cumsum([part.shape[1] for part in r.points.values()])[:-1]
        left_over = [np.split(residuals(values, given), lengths) for values in (x, y)]
        for axis, columns in ((left, [(part[0], part[1]) for part in r.points.values()]),
                              (right, list(zip(*left_over, strict=True)))):
            scatter(axis, list(r.points), columns)
        for axis, title, pooled, within in (
                (left, "As it is", r.pooled, r.within),
                (right, "Given the robust loss on training images", r.pooled_given, r.within_given)):
            own = f"; mean of the trunk's own {within:.2f}" if within is not None else ""
            axis.set_title(f"{title}\ncorrelation {pooled:.2f} over all{own}")
        left.set(xlabel=f"{name} on adversarial test inputs{far_out(left, x, 12)}",
                 ylabel="robust accuracy (PGD-10), %")
        right.set(xlabel=f"{name}, what the loss leaves of it{far_out(right, residuals(x, given), 8)}",
                  ylabel="accuracy, what the loss leaves of it")
        for position in (right.axhline, right.axvline):
            position(0, color=GREY, linewidth=0.7)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, labelcolor=BLACK)
    save(figure, folder, "campaign_partial")


def scatter(axis: Axes, runs: list[tuple[str, int]], columns: list[tuple[Any, Any]]) -> None:
    """The points of each run: the trunk's in front, with its last checkpoint marked."""
    marked = set()
    for (arm, _), (across, up) in zip(runs, columns, strict=True):
        trunk = arm == TRUNK
        label = None if trunk in marked else "the trunk" if trunk else "other arms"
        marked.add(trunk)
        axis.plot(across, up, "o" if trunk else ".", color=RED if trunk else BLUE, alpha=0.8 if trunk else 0.45,
                  markersize=3.5 if trunk else 5, label=label, zorder=3 if trunk else 2)
    ends = [(across[-1], up[-1]) for (arm, _), (across, up) in zip(runs, columns, strict=True) if arm == TRUNK]
    if ends:
        axis.plot(*zip(*ends, strict=True), "D", color=BLACK, markersize=4, label="the trunk's ends", zorder=4)


if __name__ == "__main__":
    command_line(__name__).parse_args()
    draw(DATA.parent)
