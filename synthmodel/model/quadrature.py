"""The Gauss-Hermite rule, for means over a normal law, and the Gauss-Legendre rule, for integrals over an interval."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["legendre", "normal_rule"]


@cache
def legendre(order: int) -> tuple[Float[np.ndarray, "order"], Float[np.ndarray, "order"]]:
    """Return nodes and weights of the integral over (-1, 1), by Gauss and Legendre; made once, as eigenvalues are slow.

    >>> nodes, weights = legendre(2)
    >>> round(float(weights @ nodes**2), 12)
    0.666666666667
    """
    return np.polynomial.legendre.leggauss(order)


def normal_rule(order: int) -> tuple[Float[np.ndarray, "order"], Float[np.ndarray, "order"]]:
    """Return nodes and weights of E f(Z), Z standard normal: exact for polynomials of degree 2 order - 1.

    The weights sum to 1.

    >>> nodes, weights = normal_rule(3)
    >>> round(float(weights @ nodes**4), 12)
    3.0
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return nodes, weights / weights.sum()
