"""A check for each claim: a function without arguments that returns its Evidence. A module for each part."""

from synthmodel.checks import core

__all__ = ["CHECKS"]

CHECKS = {**core.CHECKS}
