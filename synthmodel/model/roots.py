"""Roots in one dimension: scipy's, with an error of this package where none is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synthmodel.model.solution import NotConverged

__all__ = ["brentq"]

ITERATIONS = 2000  # of a root finder, most of whose steps may be bisections


def brentq(function: Callable[..., Any], low: float, high: float, args: tuple[Any, ...] = (), **options: Any) -> Any:
    """scipy's Brent root finder; its module is loaded at the first use, as it is most of the time of an import."""
    from scipy.optimize import brentq
    try:
        return brentq(function, low, high, args=args, maxiter=ITERATIONS, **options)
    except RuntimeError as error:
        raise NotConverged(f"a root between {low} and {high} was not found in {ITERATIONS} steps ({error}): choose "
                           "milder numbers.") from None
