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
    w = 0 every margin is 0, and a slope that jumps there lets w1 die before mu/2. ValueError for one at 0, and where
    value and slope are not those of such a function at some t from -8 to 8.

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
        t = np.linspace(-8, 8, 641)
        value, slope = (np.asarray(function(t), float) for function in (self.value, self.slope))
        if value.shape != t.shape or slope.shape != t.shape or not np.isfinite([value, slope]).all():
            raise ValueError("a surrogate was given whose value or slope is not one finite number for each t from -8 "
                             "to 8: let both take an array.")
        chord, slack = np.diff(value) / np.diff(t), 1e-9 * (1 + np.abs(value[:-1]) + np.abs(slope[:-1]))
        wrong = (slope[:-1] > chord + slack) | (chord > slope[1:] + slack) | (slope[1:] > slack)
        if wrong.any():  # of a convex function each chord lies between the slopes at its ends
            raise ValueError(f"a surrogate was given that is not convex, or rises, or has another slope than that "
                             f"given, near t = {t[wrong.argmax()]:g}: correct value or slope.")


SURROGATES = {
    "hinge": Surrogate(lambda t: np.maximum(1 - t, 0.0), lambda t: -(np.asarray(t) < 1).astype(float), (1.0,)),
    "squared-hinge": Surrogate(lambda t: np.maximum(1 - t, 0.0)**2, lambda t: -2 * np.maximum(1 - t, 0.0), (1.0,)),
    "logistic": Surrogate(lambda t: np.logaddexp(0, -t), lambda t: -expit(-np.asarray(t))),
    "exponential": Surrogate(lambda t: np.exp(-t), lambda t: -np.exp(-t)),
}
