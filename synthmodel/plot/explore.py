"""Threshold curves in a window, with sliders for mu, sigma, b and lam."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synthmodel.model.losses import Loss, Margin, SmoothedMargin
from synthmodel.model.setting import Setting
from synthmodel.plot.curves import named_thresholds
from synthmodel.plot.style import BLACK, LINES, name_of, several, styled
from synthmodel.solvers.solve import solve
from synthmodel.system.drawing import load_matplotlib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from matplotlib.widgets import Slider

__all__ = ["RANGES", "Explorer", "explore"]

FIRST = (Margin(), SmoothedMargin(0.1))
POINTS = 41  # of a curve
TOP = 1.04  # of mu/2: where the picture ends
# name -> (symbol, least, largest, first); from b = 2/3 on smoothed cross-entropy learns nothing
RANGES = {"mu": ("μ", 0.1, 3.0, 1.0), "sigma": ("σ", 0.02, 3.0, 0.5), "b": ("b", 0.0, 0.6, 0.1),
          "lam": ("λ", 0.01, 2.0, 0.1)}
# Formulas take as long to set as all the rest to draw, and these change at every step.
PLAIN = {r"$\epsilon_0$": "ε₀", r"$\epsilon_1$": "ε₁", "$w_2 = 0$": "w₂ = 0", r"$\epsilon_{\max}$": "μ/2",
         r"$\delta^*$": "δ*", r"\tau": "τ", "$": ""}
STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # times a power of ten: where axes end


def end(size: float) -> float:
    """Where an axis ends that holds `size`: so rarely elsewhere that the picture need not be drawn anew.

    >>> end(0.52), end(10.0)
    (0.6, 10.0)
    """
    unit = 10.0 ** math.floor(math.log10(size) + 1e-9)
    return next(float(f"{step * unit:.6g}") for step in STEPS if step * unit >= size * (1 - 1e-9))


def plain(words: str) -> str:
    """The words without formulas.

    >>> plain(r"cross-entropy, $b = 0.1$, $\\delta^*$")
    'cross-entropy, b = 0.1, δ*'
    """
    for formula, letters in PLAIN.items():
        words = words.replace(formula, letters)
    return words


class Explorer:
    """Threshold curves on a figure of pyplot, and the sliders that move them.

    losses: as in `thresholds`; the slider of b sets the smoothing of each loss that has one.  values: where sliders
    begin, by name.  sliders: name -> matplotlib's Slider; lines: (w1, w2) of each loss.
    """

    def __init__(self, losses: Loss | Sequence[Loss] = FIRST, **values: float) -> None:
        load_matplotlib()
        from matplotlib import pyplot
        from matplotlib.widgets import Slider
        self.losses = several(losses)
        with styled():
            self.figure = pyplot.figure(figsize=(8.4, 5.0))
            self.ax = self.figure.add_axes((0.09, 0.36, 0.58, 0.5), xlabel="attack size ε",
                                           ylabel="optimal weight: w₁ thin, w₂ thick")
            self.ax.locator_params(nbins=4)  # every word costs a millisecond
            self.lines: list[tuple[Line2D, Line2D]] = []
            for color, dash in LINES[:len(self.losses)]:
                thin, thick = (self.ax.plot([0], [0], color=color, linestyle=dash, linewidth=width)[0]
                               for width in (0.9, 2.2))
                self.lines.append((thin, thick))
            self.legend = self.ax.legend([thick for _, thick in self.lines], [""] * len(self.lines), loc="upper left",
                                         bbox_to_anchor=(1, 1))
            # one mark a loss, and one of mu/2
            self.marks: list[tuple[Line2D, Annotation]] = [
                (self.ax.axvline(0, linewidth=0.8, linestyle=":"),
                 self.ax.annotate("", (0, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                                  ha="center", annotation_clip=False)) for _ in (*self.losses, None)]
            self.sliders: dict[str, Slider] = {}
            for place, (name, (symbol, least, most, first)) in enumerate(RANGES.items()):
                ax = self.figure.add_axes((0.12, 0.2 - 0.05 * place, 0.5, 0.03))
                slider = Slider(ax, symbol, least, most, valinit=values.get(name, first), valfmt="%.3g")
                slider.drawon = False  # `update` draws
                slider.on_changed(self.update)
                self.sliders[name] = slider
            self.title = self.ax.set_title("", loc="left", pad=28)
        # What moves is drawn over a picture of all the rest, which is drawn anew only where an axis changes.
        self.moving: list[Artist] = [*(line for pair in self.lines for line in pair), *(
            artist for pair in self.marks for artist in pair), self.title, self.legend]
        for slider in self.sliders.values():
            self.moving += [slider.poly, *slider.ax.lines, slider.valtext]
        for artist in self.moving:
            artist.set_animated(True)
        self.still: Any = None
        self.figure.canvas.mpl_connect("draw_event", self.drawn)
        self.update()

    def values(self) -> tuple[Setting, list[Loss], float]:
        """(setting, losses, lam) as the sliders stand."""
        at = {name: float(slider.val) for name, slider in self.sliders.items()}
        change: Any = {"b": at["b"]}
        losses = [replace(loss, **change) if hasattr(loss, "b") else loss for loss in self.losses]
        return Setting(at["mu"], at["sigma"]), losses, at["lam"]

    def update(self, _: float | None = None) -> None:
        """Solve at the sliders' values, and move lines, marks and words there."""
        setting, losses, lam = self.values()
        named, top = named_thresholds(setting, losses), TOP * float(setting.mu_e) / 2
        eps, highest = np.unique([*np.linspace(0, top, POINTS), *(at for at, *_ in named)]), 0.0
        for loss, lines, text in zip(losses, self.lines, self.legend.get_texts(), strict=True):
            found = solve(setting, loss, eps, lam)
            for line, weights in zip(lines, (found.w1, found.w2), strict=True):
                line.set_data(eps, weights)
            highest = max(highest, float(np.max(found.w1)), float(np.max(found.w2)))
            text.set_text(plain(name_of(loss)))
        for i, (line, name) in enumerate(self.marks):
            at, words, color = named[i] if i < len(named) else (0.0, "", BLACK)
            line.set(xdata=[at, at], color=color, visible=bool(words))
            name.set(text=plain(words), color=color, position=(0, 2 + 11 * (i % 2)))
            name.xy = (at, 1)
        self.title.set_text(", ".join(f"{plain(words)} = {at:.4g}" for at, words, _ in named))
        before, across, up = (self.ax.get_xlim(), self.ax.get_ylim()), end(top), end(highest)
        self.ax.set(xlim=(0, across), ylim=(-0.02 * up, up))
        canvas: Any = self.figure.canvas
        if self.still is None or before != (self.ax.get_xlim(), self.ax.get_ylim()):
            canvas.draw_idle()
            return
        canvas.restore_region(self.still)
        self.draw_moving()
        canvas.blit(self.figure.bbox)

    def draw_moving(self) -> None:
        """Draw what moves over what the canvas shows."""
        for artist in self.moving:
            self.figure.draw_artist(artist)

    def drawn(self, _: Any) -> None:
        """Keep the picture of what does not move, after it has been drawn anew; then draw the rest."""
        canvas: Any = self.figure.canvas
        if canvas.is_saving() or not canvas.supports_blit:
            return
        self.still = canvas.copy_from_bbox(self.figure.bbox)
        self.draw_moving()


def opens_no_window(manager: Any) -> bool:
    """Whether a figure's manager, or None, has neither a main loop nor a way of its own to show figures."""
    from matplotlib.backend_bases import FigureManagerBase
    return manager is None or all(getattr(type(manager), name).__func__ is getattr(FigureManagerBase, name).__func__
                                  for name in ("start_main_loop", "pyplot_show"))


def explore(losses: Loss | Sequence[Loss] = FIRST, **values: float) -> None:
    """Open the window and wait until it is closed. The arguments are those of `Explorer`.

    Raises ValueError where matplotlib has no backend that opens a window.
    """
    explorer = Explorer(losses, **values)
    from matplotlib import pyplot
    if opens_no_window(explorer.figure.canvas.manager):
        pyplot.close(explorer.figure)
        raise ValueError(f"a window was asked for, but matplotlib's backend {pyplot.get_backend()} opens none: set "
                         "DISPLAY and install a backend such as PyQt6, or write a file with synthmodel plot.")
    pyplot.show(block=True)
