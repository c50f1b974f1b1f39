"""Curves against the attack size or the ratio: the optimal weights, the ratios of losses, robust accuracy."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio
from synthmodel.model.losses import CrossEntropy, Loss, Margin, SmoothedMargin, WorstMargin
from synthmodel.model.setting import Setting, checked, checked_setting
from synthmodel.plot.style import BLACK, GREY, LINES, canvas, name_of, several
from synthmodel.solvers.margin_closed import eps_max
from synthmodel.solvers.solve import solve, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from matplotlib.axes import Axes

    from synthmodel.model.types import Real

    Sizes = Float[np.ndarray, "sizes"]

__all__ = ["MARKS", "accuracy", "attack_sizes", "curve", "mark", "mark_thresholds", "ratios", "thresholds"]

POINTS = 101  # of a curve, up to eps_max
FEW = 25  # of one whose loss is solved point by point, in a tenth of a second each
BEYOND = 1.04  # how far the picture goes beyond eps_max
NEAR = 0.055  # of the width: names of marks nearer than this stand one above the other
# an open circle around a star stays visible where both ratios are the same
MARKS: dict[str, dict[str, Any]] = {"*": {"markersize": 8, "markeredgecolor": "none"},
                                    "o": {"markersize": 10, "markerfacecolor": "none"}}


def curve(ax: Axes, x: Sizes, y: Sizes, line: tuple[str, Any], label: str, **options: Any) -> None:
    """Draw y against x as a line of (color, linestyle), with the label of the legend."""
    ax.plot(x, y, color=line[0], linestyle=line[1], label=label, **options)


def mark(ax: Axes, eps: float, name: str, color: str, level: int = 0) -> None:
    """Draw a dotted line at a threshold, with its name above the axes, `level` lines higher than others."""
    ax.axvline(eps, color=color, linewidth=0.8, linestyle=":")
    ax.annotate(name, (eps, 1), (0, 2 + 11 * level), xycoords=("data", "axes fraction"), textcoords="offset points",
                color=color, ha="center", va="bottom", fontsize=10, annotation_clip=False)


def attack_sizes(setting: Setting, losses: Sequence[Loss], beyond: float = BEYOND) -> Sizes:
    """The attack sizes of a curve: even from 0 to a little more than eps_max, and every threshold between."""
    top = float(eps_max(checked_setting(setting)))
    ends = [eps for eps, *_ in named_thresholds(setting, losses) if eps <= beyond * top]
    slow = any(isinstance(loss, WorstMargin) or (isinstance(loss, CrossEntropy) and loss.attack == "exact")
               for loss in losses)
    return np.unique([*np.linspace(0, top, FEW if slow else POINTS), *ends, beyond * top])


def named_thresholds(setting: Setting, losses: Sequence[Loss]) -> list[tuple[float, str, str]]:
    """(eps, name, color) of each loss's threshold inside (0, eps_max), and of eps_max = mu/2 at equal means.

    eps0 is the margin loss's and that of every surrogate of the least margin (T1, U1), eps1 the same with smoothing
    (T3). A loss without a threshold below eps_max, such as cross-entropy, has no mark of its own.
    """
    top = float(eps_max(setting))
    found: list[tuple[float, str, str]] = []
    for loss, (color, _) in zip(losses, LINES, strict=False):
        with suppress(ValueError):  # none that is known, or it depends on lam
            eps = float(threshold(setting, loss))
            plain = isinstance(loss, Margin) or (isinstance(loss, WorstMargin) and not loss.b)
            smoothed = isinstance(loss, SmoothedMargin | WorstMargin)
            name = r"$\epsilon_0$" if plain else r"$\epsilon_1$" if smoothed else "$w_2 = 0$"
            if 0 < eps < top and eps not in [at for at, *_ in found]:
                found.append((eps, name, color))
    return sorted([*found, (top, r"$\epsilon_{\max}$", BLACK)])


def mark_thresholds(ax: Axes, setting: Setting, losses: Sequence[Loss], width: float) -> int:
    """Mark `named_thresholds` on axes of this width; the number of lines that their names take."""
    last, level, most = -np.inf, 0, 0
    for eps, name, color in named_thresholds(setting, losses):
        level = level + 1 if eps - last < NEAR * width else 0
        mark(ax, eps, name, color, level)
        last, most = eps, max(most, level)
    return most + 1


def words_of(setting: Setting) -> str:
    """mu and sigma of the setting, of either kind of feature where they differ."""
    pairs = {r"\mu": (setting.mu_e, setting.mu_c), r"\sigma": (setting.sigma_e, setting.sigma_c)}
    words = [f"${name} = {e:g}$" if e == c else f"${name}_E = {e:g}$, ${name}_C = {c:g}$"
             for name, (e, c) in pairs.items()]
    return ", ".join(words)


def sentence(setting: Setting, losses: Sequence[Loss]) -> str:
    """The setting and the values of its thresholds, for a title."""
    ends = [f"{name} = {eps:.4g}" for eps, name, _ in named_thresholds(setting, losses)]
    return f"{words_of(setting)}: {', '.join(ends)}"


def dress(ax: Axes, setting: Setting, losses: Sequence[Loss], title: str, width: float) -> None:
    """Marks, title and axis of a picture against the attack size."""
    lines = mark_thresholds(ax, setting, losses, width)
    ax.set(xlabel=r"attack size $\epsilon$", xlim=(0, width))
    ax.set_title(f"{title}\n{sentence(setting, losses)}", pad=6 + 11 * lines)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


def thresholds(setting: Setting, losses: Loss | Sequence[Loss] = Margin(), *,  # noqa: B008 - losses are frozen
               lam: float = 0.1, eps: Real | None = None, ax: Axes | None = None) -> Axes:
    r"""Draw the optimal weights against the attack size: w2 as a thick line, w1 as a thin one; T1, T3, T1-CE.

    setting: the data law, in numbers.  losses: one, or up to five, each with a colour and a dash of its own; losses
    with the same w1 share its line.  lam > 0: the weight decay of both weights.  eps: the attack sizes, by default 101
    (25 for a slow solver) up to eps_max, the thresholds, and a little beyond.  ax: where to draw (None: on new axes).
    Returns the Axes; raises ValueError for bad input. Source: Wei, Guo, Wang 2025, Theorems 1 and 3.

    >>> from matplotlib.figure import Figure
    >>> ax = thresholds(Setting(1, 0.3), [Margin(), SmoothedMargin(0.1)], ax=Figure().subplots())
    >>> [line.get_label() for line in ax.get_lines()[:2]]
    ['$w_1$, margin loss; smoothed margin, $b = 0.1$', '$w_2$, margin loss']
    """
    losses = several(losses)
    sizes = attack_sizes(setting, losses) if eps is None else np.atleast_1d(checked("eps", eps, least=0))
    found = [solve(setting, loss, sizes, lam) for loss in losses]
    with canvas(ax) as axes:
        for i, (loss, one, line) in enumerate(zip(losses, found, LINES, strict=False)):
            same = [j for j, other in enumerate(found) if np.array_equal(one.w1, other.w1)]
            if same[0] == i:
                curve(axes, sizes, one.w1, line, "$w_1$, " + "; ".join(name_of(losses[j]) for j in same), linewidth=0.9)
            curve(axes, sizes, one.w2, line, f"$w_2$, {name_of(loss)}", linewidth=2.2)
        axes.set(ylabel="optimal weight")
        axes.margins(y=0.02)
        dress(axes, setting, losses, rf"Optimal robust weights, $\lambda = {lam:g}$", sizes[-1])
    return axes


def ratios(setting: Setting, losses: Loss | Sequence[Loss] = Margin(), *,  # noqa: B008 - losses are frozen
           lam: float = 0.1, eps: Real | None = None, ax: Axes | None = None) -> Axes:
    """Draw w2/w1 of each loss against the attack size, and the ratio of the highest joint robust accuracy (N2, N4).

    The arguments are those of `thresholds`; eps: below eps_max. The best ratio is left out where the accuracy of the
    setting is not known.

    >>> from matplotlib.figure import Figure
    >>> ax = ratios(Setting(1, 0.5), eps=[0.1, 0.2], ax=Figure().subplots())
    >>> [line.get_ydata().round(3).tolist() for line in ax.get_lines()[:2]]
    [[0.647, 0.53], [0.891, 0.759]]
    """
    losses, top = several(losses), float(eps_max(checked_setting(setting)))
    sizes = (attack_sizes(setting, losses, 1 - 1e-3) if eps is None
             else np.atleast_1d(checked("eps", eps, least=0, below=top)))
    sizes = sizes[sizes < top]
    with canvas(ax) as axes:
        for loss, line in zip(losses, LINES, strict=False):
            curve(axes, sizes, solve(setting, loss, sizes, lam).ratio, line, name_of(loss))
        with suppress(ValueError):  # weights may be known where accuracies are not
            curve(axes, sizes, np.array([best_ratio(setting, float(size)) for size in sizes]), (BLACK, "-"),
                  "best joint robust accuracy", linewidth=1.0)
        axes.set(ylabel="$w_2/w_1$")
        dress(axes, setting, losses, rf"What each loss uses, $\lambda = {lam:g}$", max(top, sizes[-1]))
    return axes


def accuracy(setting: Setting, eps: Real, *, kind: str = "joint", loss: Loss = Margin(),  # noqa: B008 - frozen
             lam: float = 0.1, ratio: Real | None = None, ax: Axes | None = None) -> Axes:
    """Draw robust accuracy against the ratio w2/w1, a line for each attack size, up to five (T2-pair, T2-joint').

    kind: "joint", both other classes are beaten, or "pairwise", any one of them.  A star marks the best ratio, which
    at equal means and noises is 1 pairwise; in joint accuracy a circle marks the ratio that `loss` uses at `lam`.
    ratio: those drawn (default: 161 from 0 to 1.6).  Returns the Axes; raises ValueError for bad input.

    >>> from matplotlib.figure import Figure
    >>> ax = accuracy(Setting(1, 0.5), 0.2, ratio=[0, 1], ax=Figure().subplots())
    >>> ax.get_lines()[0].get_ydata().round(4).tolist()
    [0.8849, 0.9208]
    """
    if kind not in ("joint", "pairwise"):
        raise ValueError(f"the accuracy {kind!r} was asked for, but there are joint and pairwise: choose one.")
    sizes = np.atleast_1d(checked("eps", eps, least=0, below=float(eps_max(checked_setting(setting)))))
    if len(sizes) > len(LINES):
        raise ValueError(f"{len(sizes)} attack sizes were given, but a picture tells up to {len(LINES)} apart: draw "
                         "fewer.")
    at = np.linspace(0, 1.6, 161) if ratio is None else np.atleast_1d(checked("ratio", ratio, least=0))
    equal = setting.mu_e == setting.mu_c and setting.sigma_e == setting.sigma_c
    place = 0 if kind == "joint" else 1
    with canvas(ax) as axes:
        for size, (color, dash) in zip(map(float, sizes), LINES, strict=False):
            curve(axes, at, accuracy_of(setting, at, size)[place], (color, dash), rf"$\epsilon = {size:.4g}$")
            marks = [("o", solve(setting, loss, size, lam).ratio), ("*", best_ratio(setting, size))]
            for marker, value in marks if kind == "joint" else [("*", 1.0)] if equal else []:
                if value is None:  # w1 = 0: no ratio is used
                    continue
                axes.plot(value, accuracy_of(setting, value, size)[place], marker, color=color, clip_on=False, zorder=3,
                          **MARKS[marker])
        for marker, label in (("o", f"used by the {name_of(loss)}"), ("*", "best")):
            if kind == "joint" or (marker == "*" and equal):
                axes.plot([], [], marker, color=BLACK, label=label, **MARKS[marker])
        axes.axvline(1, color=GREY, linewidth=0.6, linestyle=":")
        against = "all other classes" if kind == "joint" else "one other class"
        axes.set(xlabel="$w_2/w_1$", ylabel="robust accuracy", xlim=(at[0], at[-1]),
                 title=f"Against {against} ({words_of(setting)})")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axes
