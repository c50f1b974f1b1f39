"""Losses: every convex one of the least margin (U1), other readings (R-*), many classes, where r_CE falls."""

from synthmodel.claims.checks.losses import many_classes, monotone, readings, universal

__all__ = ["CHECKS", "many_classes", "monotone", "readings", "universal"]

CHECKS = {**universal.CHECKS, **readings.CHECKS, **many_classes.CHECKS, **monotone.CHECKS}
