"""Newton's method with damped steps, for many strictly convex problems in two unknowns at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["damped_newton"]

SETTLED = 1e-8  # a step that is smaller, relative to |v|, is the last: convergence is quadratic
STEPS = 100  # it takes 2 to 20, some 50 where the risk is exponentially small


def damped_newton(calculus: Callable[[Int[np.ndarray, "q"], Float[np.ndarray, "q 2"]], tuple[Any, ...]],
                  free: Bool[np.ndarray, "p 2"], start: Float[np.ndarray, "p 2"] | None = None,
                  ) -> tuple[Float[np.ndarray, "p 2"], Int[np.ndarray, "p"]]:
    """Find the minimisers v of p strictly convex problems over the coordinates that are `free`.

    There v > 0; the others stay as they are in `start` (default: 0 everywhere). calculus(index, v): risk, gradient,
    Hessian (and more, which is not read) of the problems `index`. A step is halved until it stays in v > 0 and shrinks
    the gradient, along which Newton's direction always descends: unlike the risk, the gradient is accurate near the
    minimum. Returns v and the number of derivatives evaluated for each problem.

    >>> def calculus(index, v):  # (v_1 - 1)^2 + (v_2 - 2)^2 + v_1 v_2
    ...     return 0, v @ [[2.0, 1.0], [1.0, 2.0]] - [2.0, 4.0], np.tile([[2.0, 1.0], [1.0, 2.0]], (len(index), 1, 1))
    >>> damped_newton(calculus, np.array([[False, True]]), np.array([[0.0, 1.0]]))[0].tolist()
    [[0.0, 2.0]]
    """
    v = np.zeros(free.shape) if start is None else start.copy()
    damping, counts = np.ones(len(free)), np.ones(len(free), dtype=int)

    def masked(index: Int[np.ndarray, "q"], at: Float[np.ndarray, "q 2"],
               ) -> tuple[Float[np.ndarray, "q 2"], Float[np.ndarray, "q 2 2"]]:
        _, gradient, hessian, *_ = calculus(index, at)
        held = ~free[index]
        hessian[held[:, :, None] | held[:, None, :]] = 0
        hessian[:, [0, 1], [0, 1]] += held
        return np.where(held, 0, gradient), hessian

    active = np.arange(len(free))
    gradient, hessian = masked(active, v)
    for _ in range(STEPS):
        step = -np.linalg.solve(hessian[active], gradient[active][:, :, None])[:, :, 0]
        close = np.linalg.norm(step, axis=1) <= SETTLED * np.linalg.norm(v[active], axis=1)
        v[active[close]] += step[close]  # quadratic convergence: the error left is at the rounding level
        active, step = active[~close], step[~close]
        if not len(active):
            break
        trial = v[active] + damping[active, None] * step
        inside = ((trial > 0) | ~free[active]).all(axis=1)
        damping[active[~inside]] /= 2
        index, trial = active[inside], trial[inside]
        if not len(index):
            continue
        counts[index] += 1
        slopes, curvatures = masked(index, trial)
        shrunk = (np.linalg.norm(slopes, axis=1)
                  <= (1 - damping[index] / 4) * np.linalg.norm(gradient[index], axis=1))
        good = index[shrunk]
        v[good], gradient[good], hessian[good] = trial[shrunk], slopes[shrunk], curvatures[shrunk]
        damping[index] = np.where(shrunk, 1.0, damping[index] / 2)
    return v, counts
