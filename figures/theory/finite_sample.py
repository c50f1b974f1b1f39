"""Figure 6: learned, then forgotten, in a finite sample, and what causes the fall (claim D3).

`python -m figures.theory.finite_sample` draws figures/data/finite_sample.png and .svg from finite_sample.json
beside them, which `python -m synthmodel.flows.finite_sample` makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DATA", "draw", "finding"]

DATA = Path(__file__).parents[1] / "data" / "finite_sample.json"
CURVES = {"hard": ("hard labels", BLACK, "-"), "smoothed 0.3": ("label smoothing, $b = .3$", BLUE, "--"),
          "distilled clean": ("distillation, clean inputs", GREEN, ":"),
          "distilled adversarial": ("distillation, adversarial inputs", RED, "-.")}
SURGERY = {"early": ("early stop", GREY), "early, noise zeroed": ("early stop, noise zeroed", BLUE),
           "final": ("last step", GREY), "final, noise zeroed": ("last step, noise zeroed", BLUE),
           "final, signal of early": ("last step, signal block\nof the early stop", RED),
           "final, signal of peak": ("last step, signal block\nof the largest share", RED)}


def curves(axis: Axes, data: dict[str, Any], key: str) -> None:
    """Mean over seeds in its range, one line for each setting; a mark at the mean of its highest point."""
    for name, (label, color, style) in CURVES.items():
        values = np.array(data["runs"][name][key])
        mean = values.mean(0)
        axis.plot(data["steps"], mean, color=color, linestyle=style, label=label)
        axis.fill_between(data["steps"], values.min(0), values.max(0), color=color, alpha=0.08, linewidth=0)
        axis.plot(data["steps"][mean.argmax()], mean.max(), "o", color=color, markersize=4)
    axis.set(xscale="log", xlabel="step of gradient descent")


def finding(folder: Path) -> str:
    data = json.loads((folder / DATA.name).read_text())
    share, accuracy = (np.array(data["runs"]["hard"][key]).mean(0) for key in ("share", "accuracy"))
    early, final, zeroed, restored = (np.array(data["surgery"][name]) for name in (
        "early", "final", "final, noise zeroed", "final, signal of early"))
    return (f"D3: in the mean over {len(early)} seeds the share of w2 rises to {share.max():.3f} and ends at "
            f"{share[-1]:.3f}, robust accuracy rises to {accuracy.max():.3f} and ends at {accuracy[-1]:.3f}. Zeroing "
            f"the noise weights lifts the end above the early stop in {(zeroed > early).sum()} seeds; the early share "
            f"put back lowers the end in {(restored < final).sum()}.")


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """finite_sample.png and .svg: shares, robust accuracies, and accuracies after surgery on the weights."""
    data = json.loads(Path(source).read_text())
    figure, ((shares, accuracies, surgery),) = new_figure(1, 3, 11.4, 3.7)
    curves(shares, data, "share")
    shares.set(ylabel=r"share $w_2/|(w_1, w_2, w_{\rm rest})|$", ylim=(0, None), title="(a) The share: up, then down")
    shares.legend(loc="lower left")
    curves(accuracies, data, "accuracy")
    accuracies.set(ylabel="population robust accuracy", ylim=(0.76, 0.97), title="(b) The accuracy: up, then down")
    for at, (name, (_, color)) in enumerate(SURGERY.items()):
        values = np.array(data["surgery"][name])
        surgery.plot([values.min(), values.max()], [at, at], color=color, linewidth=1)
        surgery.plot(values, np.full(len(values), at), "|", color=color, markersize=7, markeredgewidth=0.8)
        surgery.plot(values.mean(), at, "o", color=color)
        surgery.text(values.mean(), at - 0.22, f"{values.mean():.3f}", ha="center", fontsize=7.5)
    surgery.set_yticks(range(len(SURGERY)), [label for label, _ in SURGERY.values()], fontsize=8)
    surgery.set(xlabel="population robust accuracy", ylim=(5.5, -0.6),
                title="(c) Surgery, hard labels")
    figure.suptitle(f"{len(data['seeds'])} seeds, mean and range; {data['per_class']} inputs a class, "
                    f"{data['noise_dims']} noise coordinates, $\\epsilon$ = {data['eps']:g}", x=0.01, ha="left",
                    fontsize=9)
    save(figure, folder, "finite_sample")


if __name__ == "__main__":
    command_line(__name__).parse_args()
    draw(DATA.parent)
