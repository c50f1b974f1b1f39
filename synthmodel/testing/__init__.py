"""Property tests of the claims, and of yours: points of exact fractions, decided by sympy and by ball arithmetic.

How to test a claim of your own in ten lines: README.md beside this file. It needs hypothesis (extra `test`).
"""

from synthmodel.testing.replay import Replay, assert_claim, needs, replay
from synthmodel.testing.statements import CLAIMS, slope_at
from synthmodel.testing.strategies import attacked, attacks, between, losses, noises, ratios, settings, strengths

__all__ = ["CLAIMS", "Replay", "assert_claim", "attacked", "attacks", "between", "losses", "needs", "noises", "ratios",
           "replay", "settings", "slope_at", "strengths"]
