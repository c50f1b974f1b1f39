"""A check for each claim: a function without arguments that returns its Evidence. A module for each part."""

from synthmodel.checks import attribution, core, dynamics, exact, finite, general, softmax

__all__ = ["CHECKS"]

CHECKS = {**core.CHECKS, **softmax.CHECKS, **general.CHECKS, **dynamics.CHECKS, **attribution.CHECKS,
          **finite.CHECKS, **exact.CHECKS}
