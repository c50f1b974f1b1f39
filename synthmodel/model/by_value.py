"""Equality of dataclasses whose fields may be arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

import numpy as np

__all__ = ["ByValue"]


class ByValue:
    """Two instances are equal iff all their fields are, arrays by shape and elements; equal ones have equal hashes.

    For `@dataclass(frozen=True, eq=False)`.
    """

    def _values(self) -> tuple[Any, ...]:
        values = (getattr(self, field.name) for field in fields(cast("Any", self)))
        return tuple((value.shape, *value.ravel().tolist()) if isinstance(value, np.ndarray) else value
                     for value in values)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())
