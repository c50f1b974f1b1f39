"""What a solver returns: the weights with the evidence that they are optimal, or an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthmodel.model.by_value import ByValue

if TYPE_CHECKING:
    from synthmodel.model.types import Broadcast

__all__ = ["NotConverged", "Solution"]


class NotConverged(RuntimeError):
    """The solver did not reach its tolerance; the message says how far it got. No number is returned."""


@dataclass(frozen=True, eq=False)
class Solution(ByValue):
    """A minimiser of E max_delta loss + (lam_e w1^2 + lam_c w2^2)/2, or an array of them.

    w1, w2: the optimal weights of the exclusive and of each cross-class feature.
    risk: the minimum, regulariser included.
    residual: the Euclidean distance of 0 from the subdifferential of the risk at (w1, w2), in units of mu.
    method: "closed" or "numeric".  iterations: of the numerical method, 0 for a closed form.
    error: how much the gradient at (w1, w2) changes under a finer quadrature, in units of mu, and by brute force what
    rounding may add; 0 for a closed form.

    >>> from synthmodel import Margin, Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), Margin(), eps=0.2, lam=0.1)
    >>> round(float(found.ratio), 4), found.method  # ratio: w2/w1
    (0.5298, 'closed')
    """

    w1: Broadcast
    w2: Broadcast
    risk: Broadcast
    residual: Broadcast
    method: str
    iterations: Broadcast = 0
    error: Broadcast = 0.0

    @property
    def ratio(self) -> Broadcast:
        """r = w2/w1 where w1 > 0; elsewhere None, in an array NaN.

        With w1 = 0 there is none, and with w1 < 0 (cross-entropy under its exact attack, b > 2/3) it would hide that
        the classifier prefers the wrong classes.
        """
        if np.ndim(self.w1) == 0:
            return self.w2 / self.w1 if self.w1 > 0 else None
        return np.divide(self.w2, self.w1, out=np.full(np.shape(self.w1), np.nan), where=np.asarray(self.w1) > 0)
