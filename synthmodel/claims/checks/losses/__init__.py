"""Other losses than the paper's: every convex one of the least margin (U1), and other readings (R-*)."""

from synthmodel.claims.checks.losses import readings, universal

__all__ = ["CHECKS", "readings", "universal"]

CHECKS = {**universal.CHECKS, **readings.CHECKS}
