"""The types that annotations share; nothing here is needed at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = ["Broadcast", "Real", "Value"]

Real: TypeAlias = "float | Float[np.ndarray, '...']"  # an argument: a number or an array of any shape, which broadcasts
Broadcast: TypeAlias = Any  # what comes of such: a number iff all arguments are numbers, else an array of their shape
Value = TypeVar("Value", float, "Float[np.ndarray, '...']")  # a number for a number, an array for an array
