"""Where the paper's theorems hold for a loss, over attack size and noise: three classes, equal means and noises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_ndtr

from synthmodel.accuracy.three_classes import slope_sign
from synthmodel.model.losses import CrossEntropy, Distillation, Loss
from synthmodel.model.setting import Setting, checked
from synthmodel.plot.style import BLUE, canvas, name_of
from synthmodel.solvers.margin_closed import eps_max
from synthmodel.solvers.solve import solve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Bool, Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Sizes = Float[np.ndarray, "sizes"]
    Noises = Float[np.ndarray, "noises"]
    Grid = Float[np.ndarray, "noises sizes"]

__all__ = ["FAILS", "STATEMENTS", "hard_of", "key", "phase", "square", "table_of_squares", "truths"]

STEPS = np.linspace(0, 1, 41)  # from the loss's w2 up to w1
FAILS = "#f5c59b"
# As the table of synthmodel/README.md has them
STATEMENTS = {"T1": "Theorem 1:\n$w_2$ dies at some\n$\\epsilon < \\mu/2$,\nbefore $w_1$",
              "T2-pair": "Theorem 2:\naccuracy rises\nup to $w_2 = w_1$,\none other class",
              "T2-joint": "Theorem 2:\naccuracy rises\nup to $w_2 = w_1$,\nboth others",
              "T3": "Theorem 3:\nthe soft label\nraises $w_2$", "T3-ratio": "the soft label\nraises\n$w_2/w_1$",
              "N2": "a little more\n$w_2$ would help"}


def weights(loss: Any, mu: float, lam: float, sizes: Sizes, noises: Noises, method: str) -> tuple[Grid, Grid]:
    """(w1, w2), each (noises, sizes); Distillation: the teacher is cross-entropy's own solution, on x + delta*."""
    setting = Setting(mu, noises[:, None])
    if loss is not Distillation:
        solution = solve(setting, loss, sizes, lam, method=method)
        return solution.w1, solution.w2
    teacher = weights(CrossEntropy(), mu, lam, sizes, noises, method)
    pairs = np.empty((2, len(noises), len(sizes)))
    for i, sigma in enumerate(noises):
        for j, eps in enumerate(sizes):
            student = solve(Setting(mu, sigma), Distillation((teacher[0][i, j], teacher[1][i, j])), eps, lam)
            pairs[:, i, j] = student.w1, student.w2
    return pairs[0], pairs[1]


def truths(loss: Any, hard: Any, sizes: Sizes, noises: Noises, *, mu: float = 1.0, lam: float = 0.1,
           method: str = "auto") -> dict[str, Grid]:
    """Statement -> matrix of 1 (holds), 0 (fails), NaN (says nothing there: w1 = 0, w2 >= w1, or hard labels).

    "T1" is w2 = 0 in each cell; what it says of Theorem 1 at a noise: `somewhere`. loss: a Loss, or `Distillation`
    itself for distillation from its own hard solution; hard: the same loss with hard labels, or None. Accuracy rises
    with w2 where dP/dr > 0.
    """
    w1, w2 = weights(loss, mu, lam, sizes, noises, method)
    k = (mu - 2 * sizes) / noises[:, None]
    alive = w1 > 0
    ratio = np.divide(w2, w1, out=np.full(w1.shape, np.nan), where=alive)
    path = 1 - (1 - ratio) * (1 - STEPS[:, None, None])  # to 1 exactly
    error = log_ndtr(-k * (1 + path) / np.hypot(1, path))  # of the pairwise error Pr(m_j < 0)

    def known(truth: Bool[np.ndarray, "noises sizes"], where: Bool[np.ndarray, "noises sizes"]) -> Grid:
        return np.where(where, truth.astype(float), np.nan)

    found = {"T1": known(w2 == 0, alive), "N2": known(slope_sign(np.nan_to_num(ratio), k) > 0, alive),
             "T2-pair": known((np.diff(error, axis=0) < 0).all(axis=0), ratio < 1),
             "T2-joint": known((slope_sign(np.nan_to_num(path), k) > 0).all(axis=0), ratio < 1)}
    nothing = np.full(w1.shape, np.nan)
    if hard is None:
        return found | {"T3": nothing, "T3-ratio": nothing}
    hard1, hard2 = weights(hard, mu, lam, sizes, noises, method)
    raised = np.divide(hard2, hard1, out=np.full(w1.shape, np.nan), where=hard1 > 0)
    some = w2 + hard2 > 0
    return found | {"T3": known(w2 > hard2, some), "T3-ratio": known(ratio > raised, some & alive)}


def somewhere(gone: Grid) -> Grid:
    """Theorem 1 from w2 = 0 in each cell: at each noise, whether w2 is 0 at some attack size at which w1 is not.

    >>> somewhere(np.array([[0, 1, np.nan], [0, 0, 0]])).tolist()
    [[1.0, 1.0, nan], [0.0, 0.0, 0.0]]
    """
    return np.where(np.isnan(gone), np.nan, (np.nan_to_num(gone) > 0).any(axis=1, keepdims=True))


def square(ax: Axes, sizes: Sizes, noises: Noises, truth: Grid, statement: str) -> None:
    """Draw one statement, of which `truth` is the matrix of `truths`: blue where it holds, orange where it fails.

    In Theorem 1's square a white line shows where w2 dies. What is said of hard labels nowhere is said in words.
    """
    from matplotlib.colors import ListedColormap
    drawn = somewhere(truth) if statement == "T1" else truth
    if np.isnan(drawn).all():
        ax.text(0.5, 0.5, "hard labels", transform=ax.transAxes, ha="center", va="center", fontsize=8)
    ax.pcolormesh(sizes, noises, drawn, cmap=ListedColormap([FAILS, BLUE]), vmin=0, vmax=1, shading="nearest",
                  rasterized=True)
    if statement == "T1" and np.nanmin(truth) < np.nanmax(truth):
        ax.contour(sizes, noises, truth, [0.5], colors="white", linewidths=1.6)
    ax.set_ylim(0, noises[-1])
    ax.spines[["top", "right"]].set_visible(True)


def key(where: Any, **options: Any) -> None:
    """Write the legend of squares on a figure or on axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    patches = [Patch(facecolor=color, edgecolor="black") for color in (BLUE, FAILS, "white")]
    line = Line2D([], [], color="white", linewidth=1.6, path_effects=outlined())
    where.legend([*patches, line], ["holds", "fails", "says nothing", "to the right $w_2 = 0$"], **options)


def outlined() -> list[Any]:
    """A thin dark edge, in which a white line is seen on white, too."""
    from matplotlib import patheffects
    return [patheffects.Stroke(linewidth=2.6, foreground="black"), patheffects.Normal()]


def table_of_squares(figure: Figure, axes: Any, found: Mapping[str, Mapping[str, Grid]], sizes: Sizes, noises: Noises,
                     limit: float, words: str) -> None:
    """Draw a row for each loss, a column for each of `STATEMENTS`; found: the loss's name -> what `truths` returns.

    axes: as many rows and columns of Axes; limit: mu/2; words: the setting, for the legend.
    """
    for name, row in zip(found, axes, strict=True):
        for (statement, title), ax in zip(STATEMENTS.items(), row, strict=True):
            square(ax, sizes, noises, found[name][statement], statement)
            ax.set(xlim=(0, limit), xticks=[0, limit], yticks=[0, noises[-1]])
            if ax in axes[0]:
                ax.set_title(title, loc="center", fontsize=9)
        row[0].set_ylabel(name.replace(", ", ",\n"), rotation=0, ha="right", va="center", labelpad=12)
    for ax in axes[-1]:
        ax.set_xticklabels(["0", r"$\mu/2$"])
    key(figure, loc="outside lower center", ncols=4, fontsize=9, title_fontsize=9,
        title=rf"in each square: attack size $\epsilon$ across, noise $\sigma$ up ({words})")


def hard_of(loss: Loss) -> Loss | None:
    """The loss with hard labels; None where it has them itself."""
    if not np.any(getattr(loss, "b", 0)):
        return None
    changes: Any = {"b": 0.0} | ({"attack": "monotone"} if hasattr(loss, "attack") else {})  # the worst one (A1)
    return replace(loss, **changes)


def phase(loss: Loss, statement: str = "T1", *, mu: float = 1.0, lam: float = 0.1, eps: Sequence[float] | None = None,
          sigma: Sequence[float] | None = None, ax: Axes | None = None) -> Axes:
    """Draw where a statement of the paper holds for a loss: attack size across, noise up.

    statement: one of `STATEMENTS`: T1, T2-pair, T2-joint, T3, T3-ratio or N2.  eps, sigma: the grid (default: 16 sizes
    below mu/2, 16 noises up to 2 mu).  Returns the Axes; raises ValueError for bad input.

    >>> from matplotlib.figure import Figure
    >>> from synthmodel import Margin
    >>> ax = phase(Margin(), "T1", eps=[0.1, 0.4, 0.45], sigma=[0.3, 0.6], ax=Figure().subplots())
    >>> ax.collections[0].get_array().tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    if statement not in STATEMENTS:
        raise ValueError(f"the statement {statement!r} is unknown: choose one of {', '.join(STATEMENTS)}.")
    mu = checked("mu", mu, above=0, single=True)
    limit = float(eps_max(Setting(mu)))
    sizes = np.unique(checked("eps", limit * np.linspace(0.02, 0.98, 16) if eps is None else eps, least=0, below=limit))
    noises = np.unique(checked("sigma", mu * np.linspace(0.1, 2, 16) if sigma is None else sigma, above=0))
    if min(len(sizes), len(noises)) < 2:
        raise ValueError(f"{len(sizes)} attack sizes and {len(noises)} noises were given, but a picture of a plane "
                         "needs two of each: give more.")
    truth = truths(loss, hard_of(loss), sizes, noises, mu=mu, lam=lam)[statement]
    with canvas(ax) as axes:
        square(axes, sizes, noises, truth, statement)
        axes.set(xlabel=r"attack size $\epsilon$", ylabel=r"noise $\sigma$", xlim=(0, limit))
        axes.set_title(f"{' '.join(STATEMENTS[statement].split())}\n{name_of(loss)}, "
                       rf"$\mu = {mu:g}$, $\lambda = {lam:g}$")
        if ax is None:
            key(axes, loc="upper left", bbox_to_anchor=(1, 1))
    return axes
