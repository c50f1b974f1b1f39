"""Other losses than the paper's: every convex one of the least margin (U1), other readings (R-*); and many classes."""

from synthmodel.claims.checks.losses import many_classes, readings, universal

__all__ = ["CHECKS", "many_classes", "readings", "universal"]

CHECKS = {**universal.CHECKS, **readings.CHECKS, **many_classes.CHECKS}
