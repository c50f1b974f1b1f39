"""The data law sampled and the attack found by brute force: evidence that shares no formula with the solvers."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, cast

import numpy as np

from synthmodel.model.setting import Setting

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["attacked_scores", "robust_accuracy_sampled", "sample", "scores"]

OTHERS = {0: (1, 2), 1: (0, 2), 2: (0, 1)}


def sample(setting: Setting, n: int,
           rng: np.random.Generator) -> tuple[Float[np.ndarray, "n 6"], Int[np.ndarray, "n"]]:
    """x (n, 6) = (E_1..E_3, C_1..C_3) and classes y (n,) in 0..2, uniform, drawn as THEORY.md, section 0, states.

    Own means and noises, and rho, are drawn too; ValueError for other noise than normal or more than three classes.

    >>> x, y = sample(Setting(1, 0.5), 5, np.random.default_rng(0))
    >>> (x != 0).sum(1).tolist()
    [3, 3, 3, 3, 3]
    """
    if setting.classes != 3 or setting.noise != "normal":
        raise ValueError(f"{setting.classes} classes and noise {setting.noise} were given, but samples are drawn for "
                         "three classes and normal noise only: choose these.")
    y = rng.integers(3, size=n)
    x = np.zeros((n, 6))
    pair = setting.sigma_c**2 * np.array([[1, setting.rho], [setting.rho, 1]])
    for i, (j, k) in OTHERS.items():
        rows = np.flatnonzero(y == i)
        x[rows, i] = rng.normal(setting.mu_e, setting.sigma_e, len(rows))
        x[rows[:, None], [3 + j, 3 + k]] = rng.multivariate_normal(
            cast("list[float]", [setting.mu_c] * 2), pair, len(rows))
    return x, y


def scores(x: Float[np.ndarray, "*points 6"], w1: float, w2: float) -> Float[np.ndarray, "*points 3"]:
    """f_i(x) = w1 x_{E,i} + w2 (x_{C,j} + x_{C,k}); x (..., 6) -> (..., 3).

    >>> scores(np.array([1.0, 0, 0, 0, 1, 1]), w1=2.0, w2=0.5).tolist()
    [3.0, 0.5, 0.5]
    """
    return np.stack([w1 * x[..., i] + w2 * (x[..., 3 + j] + x[..., 3 + k]) for i, (j, k) in OTHERS.items()], -1)


def attacked_scores(x: Float[np.ndarray, "n 6"], w1: float, w2: float, eps: float) -> Float[np.ndarray, "64 n 3"]:
    """The scores at all 64 vertices of the box ||delta||_inf <= eps on six coordinates: (64, n, 3).

    The worst case of a loss that is convex in x lies at one of them.

    >>> f = attacked_scores(np.array([[1.0, 0, 0, 0, 1, 1]]), 2.0, 0.5, eps=0.1)
    >>> round(float((f[:, 0, 1] - f[:, 0, 0]).max()), 12)  # -2.5 + 2 eps (w1 + w2)
    -2.0
    """
    vertices = eps * np.array(list(itertools.product((-1, 1), repeat=6)))
    return scores(x[None] + vertices[:, None], w1, w2)


def robust_accuracy_sampled(setting: Setting, eps: float, w1: float, w2: float, n: int = 100_000,
                            seed: int = 0) -> tuple[float, float, float, float]:
    """(joint, pairwise, standard errors of both): shares of samples that no vertex of the box turns wrong.

    joint: the class's score exceeds both others at every vertex; pairwise: it exceeds one other, named in advance.

    >>> joint, pairwise, *_ = robust_accuracy_sampled(Setting(1, 0.5), 0.2, 1.0, 0.5, n=2000)
    >>> 0.8 < joint < pairwise < 1
    True
    """
    x, y = sample(setting, n, np.random.default_rng(seed))
    f = attacked_scores(x, w1, w2, eps)
    rows = np.arange(n)
    margins = np.stack([(f[:, rows, y] - f[:, rows, (y + shift) % 3]).min(0) for shift in (1, 2)])
    joint, pairwise = float((margins > 0).all(0).mean()), float((margins[0] > 0).mean())
    return joint, pairwise, math.sqrt(joint * (1 - joint) / n), math.sqrt(pairwise * (1 - pairwise) / n)
