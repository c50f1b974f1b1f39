"""The Gauss-Hermite rule, for means over a normal law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["normal_rule"]


def normal_rule(order: int) -> tuple[Float[np.ndarray, "order"], Float[np.ndarray, "order"]]:
    """Return nodes and weights of E f(Z), Z standard normal: exact for polynomials of degree 2 order - 1.

    The weights sum to 1.

    >>> nodes, weights = normal_rule(3)
    >>> round(float(weights @ nodes**4), 12)
    3.0
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return nodes, weights / weights.sum()
