"""CAS, sharing and their nulls over epochs, on training and test inputs: adversarial beside standard training.

`python -m figures.networks.campaign.cas` draws figures/data/campaign_cas.png and .svg from the committed results,
figures/data/campaign, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deep.experiments.campaign.predictions import curve
from figures.networks.campaign.common import DATA, band, results
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREY, RED, new_figure, save, styled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["draw", "finding"]

# arm, title, and what stands before "train" and "test" in the name of its inputs
SIDES = (("a1", "Adversarial training, adversarial inputs", ""), ("a2", "Standard training, clean inputs", "clean_"))
NULLS = (("cas_null", GREY, ":", "null: random rows of W"), ("sharing_null", BLACK, "-.", "null: separation kept"))
SPLITS = (("test", "test inputs", BLUE, "-"), ("train", "training inputs", RED, "--"))


def complete(runs: Any, arm: str) -> list[Any]:
    """The runs of an arm that were measured at as many epochs as the longest."""
    found = list(runs.get(arm, {}).values())
    longest = max((len(run["checkpoints"]) for run in found), default=0)
    return [run for run in found if len(run["checkpoints"]) == longest]


def curves(runs: Sequence[Any], split: str, key: str) -> np.ndarray:
    """(seeds, epochs)."""
    return np.array([curve(run, split, key) for run in runs])


def finding(folder: Path) -> str:
    _, runs = results(folder / "campaign", "a1", "a2")
    said: list[str] = []
    for arm, title, before in SIDES:
        if found := complete(runs, arm):
            ends: dict[str, list[str]] = {"cas": [], "sharing": []}
            for key, words in ends.items():
                for split, inputs, *_ in SPLITS:
                    values = curves(found, before + split, key).mean(0)
                    words.append(f"on {inputs} from {values.max():.1f} to {values[-1]:.1f}")
            side = title[0].lower() + title[1:] if said else title
            said.append(f"{side} ({len(found)} seeds): CAS goes from its highest value to the end "
                        f"{', '.join(ends['cas'])}; sharing {', '.join(ends['sharing'])}")
    return "; ".join(said) + "."


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """Write campaign_cas.png and .svg: means over seeds in their range. A side without runs says so."""
    _, runs = results(source, "a1", "a2")
    figure, axes = new_figure(3, 2, 8.6, 7.6, sharex="col", sharey="row")
    for column, (arm, title, before) in enumerate(SIDES):
        found = complete(runs, arm)
        for row, axis in enumerate(axes[:, column]):
            if not found:
                axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", color=GREY)
                continue
            epochs = [line["epoch"] for line in found[0]["checkpoints"]]
            if row < 2:  # CAS and its nulls on the same inputs
                split, words, color, style = SPLITS[row]
                band(axis, epochs, curves(found, before + split, "cas"), color, style, words)
                for key, *look in NULLS:
                    band(axis, epochs, curves(found, before + split, key), *look)
            else:
                for split, words, color, style in SPLITS:
                    band(axis, epochs, curves(found, before + split, "sharing"), color, style, words)
            axis.axhline(0, color=BLACK, linewidth=0.6)
        axes[0, column].set_title(f"{title}, {len(found)} seeds")
        axes[2, column].set(xlabel="epoch")
    for axis, words in zip(axes[:, 0], ("CAS, test inputs", "CAS, training inputs",
                                        "sharing: CAS less the null\nthat keeps the separation"), strict=True):
        axis.set(ylabel=words)
    figure.suptitle("CAS falls on test inputs, with an adversary and without", fontsize="medium")
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    save(figure, folder, "campaign_cas")


if __name__ == "__main__":
    command_line(__name__).parse_args()
    draw(DATA.parent)
