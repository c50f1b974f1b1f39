"""The picture of `deep saliency`: each image, its Grad-CAM map and the shared part of it, best beside last."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from deep.system.drawing import drawing
from deep.system.files import write_atomically
from deep.system.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

MAP = "viridis"  # perceptually uniform, for the colour-blind too, and rising in lightness: it reads in grey
OPACITY, CONTRAST = 0.7, 0.6  # of the map; of the grey image under it
# inches: the page, a picture, the gap within and between groups of pictures, and heights of text
PAGE, CELL, GAP, GROUP, LINE, MARGIN = 7.2, 1.2, 0.08, 0.28, 0.17, 0.15


def draw(report: dict[str, Any], rows: list[dict[str, Any]], path: str | Path) -> None:
    """Write the PNG `path`. report: what `deep saliency --json` prints; rows: one dictionary an image.

    image (c, H, W), without the attack; maps {checkpoint: (Grad-CAM map, shared part)}, each (H, W), nonnegative;
    numbers: its entry of report["images"]. The two maps of a checkpoint have one colour scale, from 0 to the
    largest value of both.
    """
    classes = list(dict.fromkeys(row["numbers"]["class"] for row in rows))
    caption = textwrap.wrap(caption_of(report), 138)
    tall = CELL * rows[0]["image"].shape[1] / rows[0]["image"].shape[2]
    height = (2 * MARGIN + LINE * (6.4 + 0.85 * len(caption) + 1.35 * len(classes)) + len(rows) * (tall + 1.2 * LINE))
    style = {"font.size": 8, "axes.titlesize": 8, "axes.titlepad": 2.5, "text.parse_math": False}
    with drawing(style):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        figure = Figure(figsize=(PAGE, height))
        FigureCanvasAgg(figure)
        page = Page(figure, height, tall)
        page.write(headline(report), size=10, weight="bold")
        page.write(levels(report), size=8)
        page.skip(0.7 * LINE)
        page.heads(report)
        for name in classes:
            page.skip(0.4 * LINE)
            page.write(class_line(report, name), size=9, weight="bold", height=0.95 * LINE)
            for row in (row for row in rows if row["numbers"]["class"] == name):
                page.images(row)
        page.scale(len(report["checkpoints"]))
        for line in caption:
            page.write(line, size=7, height=0.85 * LINE, color="#444444")
        write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=200))


class Page:
    """Writes and draws downwards; `top` is the height in inches that is still free, `tall` that of a picture."""

    def __init__(self, figure: "Figure", height: float, tall: float) -> None:
        self.figure, self.height, self.tall, self.top = figure, height, tall, height - MARGIN

    def skip(self, inches: float) -> None:
        self.top -= inches

    def write(self, text: str, size: float, height: float = 1.15 * LINE, x: float = MARGIN, **style: Any) -> None:
        self.figure.text(x / PAGE, self.top / self.height, printable(text), va="top", fontsize=size, **style)
        self.skip(height)

    def left(self, group: int, place: int) -> float:
        """Return the left edge of the pictures: the image is group 0, each checkpoint a group of two."""
        before = 0 if group == 0 else CELL + GROUP + (group - 1) * (2 * CELL + GAP + GROUP)
        return MARGIN + before + place * (CELL + GAP)

    def heads(self, report: dict[str, Any]) -> None:
        for group, text in enumerate(["test image", *map(called, report["checkpoints"])]):
            self.figure.text(self.left(group, 0) / PAGE, self.top / self.height, text, va="top", fontsize=9)
            for place, below in enumerate(["net evidence", "its shared part"] if group else []):
                self.figure.text(self.left(group, place) / PAGE, (self.top - LINE) / self.height, below, va="top",
                                 fontsize=8, color="#444444")
        self.skip(2 * LINE)

    def cell(self, group: int, place: int, title: str) -> "Axes":
        axes = self.figure.add_axes((self.left(group, place) / PAGE, (self.top - LINE - self.tall) / self.height,
                                     CELL / PAGE, self.tall / self.height))
        axes.set_axis_off()
        axes.set_title(title, loc="left")
        return axes

    def images(self, row: dict[str, Any]) -> None:
        picture, numbers = displayed(row["image"]), row["numbers"]
        self.cell(0, 0, f"no. {numbers['test_index']}").imshow(picture, cmap="gray", vmin=0, vmax=1,
                                                                  interpolation="nearest")
        grey = picture @ [0.299, 0.587, 0.114] if picture.ndim == 3 else picture
        grey = 0.5 + CONTRAST * (grey - 0.5)
        for group, (name, maps) in enumerate(row["maps"].items(), start=1):
            titles = (f"says {short(numbers[name]['predicted'], 16)}", f"shared: {100 * numbers[name]['share']:.0f} %")
            most = max(float(values.max()) for values in maps) or 1.0
            for place, (values, title) in enumerate(zip(maps, titles, strict=True)):
                axes = self.cell(group, place, title)
                axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axes.imshow(values.numpy(), cmap=MAP, vmin=0, vmax=most, alpha=OPACITY, interpolation="bilinear")
        self.skip(self.tall + 1.2 * LINE)

    def scale(self, group: int) -> None:
        """Draw the colour scale, under the last checkpoint's maps."""
        self.skip(0.3 * LINE)
        ramp = [[step / 99 for step in range(100)]]
        x = self.left(group, 1)
        axes = self.figure.add_axes((x / PAGE, (self.top - 0.6 * LINE) / self.height, CELL / PAGE,
                                     0.5 * LINE / self.height))
        axes.set_axis_off()
        axes.imshow([[0.5] * 100], cmap="gray", vmin=0, vmax=1, aspect="auto")
        axes.imshow(ramp, cmap=MAP, alpha=OPACITY, aspect="auto")
        self.figure.text((x - 0.05) / PAGE, self.top / self.height, "no evidence", va="top", ha="right", fontsize=7)
        self.figure.text((x + CELL + 0.05) / PAGE, self.top / self.height, "most", va="top", fontsize=7)
        self.skip(1.1 * LINE)


def displayed(image: Float[Tensor, "c H W"]) -> Float[np.ndarray, "H W *channels"]:
    """Return (H, W, 3), or (H, W) for one channel; planted images, outside [0, 1], are scaled into it."""
    picture = image.double()
    if picture.min() < 0 or picture.max() > 1:
        low, high = picture.min(), picture.max()
        picture = (picture - low) / (high - low)
    return (picture.permute(1, 2, 0) if len(picture) == 3 else picture[0]).numpy()


def short(name: str, most: int) -> str:
    name = printable(name)
    return name if len(name) <= most else name[:most - 1] + "…"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def called(checkpoint: dict[str, Any]) -> str:
    """Return what a column is called; a network that is no run's has no epoch."""
    name, epoch = checkpoint["checkpoint"], checkpoint["epoch"]
    return name if epoch is None else f"{name} checkpoint (epoch {epoch})"


def same_epoch(report: dict[str, Any]) -> bool:
    return len({checkpoint["epoch"] for checkpoint in report["checkpoints"]}) < len(report["checkpoints"])


def by_checkpoint(report: dict[str, Any], key: str) -> str:
    """List the mean over classes, or what is so of the two classes that are compared."""
    pair = report.get("compared")
    values = [(checkpoint["classes"][pair[0]] if pair else checkpoint["mean"])[key]
              for checkpoint in report["checkpoints"]]
    return ", ".join(percent(value) + where(checkpoint)
                     for value, checkpoint in zip(values, report["checkpoints"], strict=True))


def where(checkpoint: dict[str, Any]) -> str:
    """Return which checkpoint a number is of; there is but one of a network that is no run's."""
    return "" if checkpoint["epoch"] is None else f" at {checkpoint['checkpoint']}"


def headline(report: dict[str, Any]) -> str:
    pair = [short(name, 28) for name in report.get("compared", ())]
    whose = f"{pair[0]} shares with {pair[1]}" if pair else "a class shares with its partner class"
    return f"Evidence that {whose}: " + by_checkpoint(report, "share")


def levels(report: dict[str, Any]) -> str:
    over = "Two classes" if report.get("compared") else f"Mean over all {len(report['partner'])} classes"
    return (f"{over}, {report['inputs']} inputs, n = {report['n']}. "
            f"Level of random last layers: {by_checkpoint(report, 'null')}.")


def class_line(report: dict[str, Any], name: str) -> str:
    shares = ", ".join(percent(checkpoint["classes"][name]["share"]) + where(checkpoint)
                       for checkpoint in report["checkpoints"])
    return f"{short(name, 28)}, shared with {short(report['partner'][name], 28)}: {shares}"


def caption_of(report: dict[str, Any]) -> str:
    attack = f" ({report['attack']})" if report["attack"] else ""
    seed = "" if report["seed"] is None else f", seed {report['seed']}"
    return (f"{report['data']}{seed}; {report['inputs']} inputs{attack}, the images shown without. "
            + ("Here the best checkpoint is the last. " if same_epoch(report) else "")
            + "Of each checkpoint, left: Grad-CAM for the image's true class, ReLU of the sum over the channels of the "
            "last map, and what the network says; right: the part of it in channels shared with the partner class, and "
            "their share of the image's positive evidence. Both have one scale, from 0 to the largest value of the "
            "pair; evidence against the class is taken off on the left, so the right may be brighter. Definitions: "
            + report["definition"])
