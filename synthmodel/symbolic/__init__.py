"""The claims derived from the definitions and decided line by line by sympy, a module for each part of the theory.

>>> derive("T1").holds
True
"""

from synthmodel.symbolic import (  # noqa: F401 - each enters its derivations
    accuracy,
    attribution,
    best,
    classes,
    crossentropy,
    dynamics,
    exact,
    general,
    losses,
    margin,
    outliers,
    pairs,
    plane,
    smoothing,
    softlabels,
    temperature,
    unequal,
    unimodal,
)
from synthmodel.symbolic.common import REGISTRY, derive

__all__ = ["CLAIMS", "derive"]

CLAIMS = tuple(REGISTRY)
