"""The claims derived from the definitions and decided line by line by sympy, a module for each part of the theory.

>>> derive("T1").holds
True
"""

from synthmodel.symbolic import cas, flows, general, softmax, three_classes
from synthmodel.symbolic.derivation import REGISTRY, derive

__all__ = ["CLAIMS", "cas", "derive", "flows", "general", "softmax", "three_classes"]

CLAIMS = tuple(REGISTRY)
