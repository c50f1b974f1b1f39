"""A check for each claim: a function without arguments that returns its Evidence. A module for each part."""

from synthmodel.claims.checks import (
    bayes,
    cas,
    decays,
    exact_attack,
    flows,
    general,
    losses,
    samples,
    softmax,
    theorems,
)

__all__ = ["CHECKS"]

CHECKS = {**theorems.CHECKS, **softmax.CHECKS, **general.CHECKS, **flows.CHECKS, **cas.CHECKS,
          **samples.CHECKS, **exact_attack.CHECKS, **bayes.CHECKS, **losses.CHECKS, **decays.CHECKS}
