"""Robust accuracy against CAS at every checkpoint, as it is and with the training loss regressed out of both.

`python -m figures.networks.campaign_partial` draws figures/data/campaign_partial.png and .svg from the committed
results, figures/data/campaign, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.correlations import FEWEST, partial_correlation
from deep.experiments.campaign.predictions import curve
from figures.networks.campaign import DATA, NothingToDraw, results
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREY, RED, new_figure, save, styled

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

__all__ = ["draw", "finding", "points", "residuals"]

TRUNK = "a1"


def points(plan: Any, runs: Any) -> dict[tuple[str, int], Float[np.ndarray, "3 epochs"]]:
    """{(arm, seed): CAS on test inputs, robust accuracy in per cent, robust loss on training images} over epochs."""
    arms = plan["correlation"][0]["pooled"]
    return {(arm, seed): np.array([curve(run, "test", "cas"), 100 * curve(run, "test", "accuracy"),
                                   curve(run, "train", "robust_loss")])
            for arm in arms for seed, run in sorted(runs.get(arm, {}).items())}


def residuals(values: Float[np.ndarray, "n"], given: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """What a line in `given` leaves of the values."""
    return values - np.polyval(np.polyfit(given, values, 1), given)


def measured(source: Path) -> tuple[dict[tuple[str, int], Any], Any, dict[str, float]]:
    """(points, all of them side by side, the four correlations of the picture)."""
    plan, runs = results(source)
    found = points(plan, runs)
    everything = np.concatenate([*found.values(), np.empty((3, 0))], axis=1)
    if everything.shape[1] < FEWEST:
        raise NothingToDraw(f"{source} holds {everything.shape[1]} checkpoints of the arms that are pooled, too few "
                            "to correlate: run the campaign first, deep confirm --run --data DIR.")
    own = [part for (arm, _), part in found.items() if arm == TRUNK and part.shape[1] >= FEWEST]
    x, y, given = everything
    numbers = {"pooled": float(np.corrcoef(x, y)[0, 1]), "pooled_given": partial_correlation(x, y, given)}
    if own:
        numbers |= {"within": float(np.mean([np.corrcoef(part[:2])[0, 1] for part in own])),
                    "within_given": float(np.mean([partial_correlation(*part) for part in own]))}
    return found, everything, numbers


def finding(folder: Path) -> str:
    found, everything, r = measured(folder / "campaign")
    along = f", along the trunk's runs {r['within']:.2f} and {r['within_given']:.2f}" if "within" in r else ""
    return (f"CAS and robust accuracy have correlation {r['pooled']:.2f}, given the robust loss on training images "
            f"{r['pooled_given']:.2f}, over {everything.shape[1]} checkpoints of {len(found)} runs{along}.")


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """Write campaign_partial.png and .svg: the trunk's runs as lines, the other arms as points, one a checkpoint."""
    found, (x, y, given), r = measured(source)
    figure, ((left, right),) = new_figure(1, 2, 8.8, 4.5)
    lengths = np.cumsum([part.shape[1] for part in found.values()])[:-1]
    left_over = [np.split(residuals(values, given), lengths) for values in (x, y)]
    for axis, columns in ((left, [(part[0], part[1]) for part in found.values()]),
                          (right, list(zip(*left_over, strict=True)))):
        marked = set()
        for (arm, _), (across, up) in zip(found, columns, strict=True):
            trunk = arm == TRUNK
            label = None if trunk in marked else "the trunk, a line each run" if trunk else "other arms"
            marked.add(trunk)
            if trunk:
                axis.plot(across, up, "-o" if axis is left else "o", color=(RED, 0.45), linewidth=0.6, markersize=3.5,
                          markerfacecolor=RED, markeredgecolor=RED, label=label, zorder=3)
            else:
                axis.plot(across, up, ".", color=BLUE, alpha=0.45, markersize=5, label=label)
        ends = [(across[-1], up[-1]) for (arm, _), (across, up) in zip(found, columns, strict=True) if arm == TRUNK]
        if ends:
            axis.plot(*zip(*ends, strict=True), "D", color=BLACK, markersize=4, label="the trunk's ends", zorder=4)
    for axis, key, title in ((left, "", "As it is"), (right, "_given", "Given the robust loss on training images")):
        within = f"; along the trunk {r['within' + key]:.2f}" if "within" in r else ""
        axis.set_title(f"{title}\ncorrelation {r['pooled' + key]:.2f} over all{within}")
    left.set(xlabel="CAS on adversarial test inputs", ylabel="robust accuracy (PGD-10), %")
    right.set(xlabel="CAS, what the loss leaves of it", ylabel="robust accuracy, what the loss leaves of it")
    for position in (right.axhline, right.axvline):
        position(0, color=GREY, linewidth=0.7)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, labelcolor=BLACK)
    save(figure, folder, "campaign_partial")


if __name__ == "__main__":
    command_line(__name__).parse_args()
    draw(DATA.parent)
