"""Surrogate losses phi of a margin: convex, decreasing, of slope < 0 at 0 (claim U1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

__all__ = ["SURROGATES", "Surrogate"]


@dataclass(frozen=True)
class Surrogate:
    """phi(t), for a margin t: convex and nowhere rising.

    value, slope: functions of an array t.  kinks: the t at which the slope jumps or bends sharply; never 0, since at
    w = 0 every margin is 0, and a slope that jumps there lets w1 die before mu/2. ValueError for one at 0.

    >>> half = Surrogate(value=lambda t: np.maximum(0.5 - t, 0), slope=lambda t: -1.0 * (t < 0.5), kinks=(0.5,))
    >>> half.value(np.array([0.0, 1.0])).tolist()
    [0.5, 0.0]
    """

    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    kinks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if 0 in self.kinks:
            raise ValueError("a surrogate with a kink at 0 was given, but all margins are 0 at w = 0, where it must "
                             "have one slope: shift the kink.")


SURROGATES = {
    "hinge": Surrogate(lambda t: np.maximum(1 - t, 0.0), lambda t: -(np.asarray(t) < 1).astype(float), (1.0,)),
    "squared-hinge": Surrogate(lambda t: np.maximum(1 - t, 0.0)**2, lambda t: -2 * np.maximum(1 - t, 0.0), (1.0,)),
    "logistic": Surrogate(lambda t: np.logaddexp(0, -t), lambda t: -expit(-np.asarray(t))),
    "exponential": Surrogate(lambda t: np.exp(-t), lambda t: -np.exp(-t)),
}
