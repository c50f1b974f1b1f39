"""The claims derived from the definitions and decided line by line by sympy, a module for each part of the theory.

>>> derive("T1").holds
True
"""

from synthmodel.symbolic import cas  # noqa: F401 - each enters its derivations
from synthmodel.symbolic.flows import gradient_flow, rare_outliers, unimodal  # noqa: F401 - each enters its derivations
from synthmodel.symbolic.general import any_law, many_classes, pairs  # noqa: F401 - each enters its derivations
from synthmodel.symbolic.softmax import cross_entropy, exact_attack, log_sum_exp, plane, smoothing, soft_labels  # noqa: F401 - each enters its derivations
from synthmodel.symbolic.symbols import REGISTRY, derive
from synthmodel.symbolic.three_classes import best_ratio, joint_accuracy, margin_loss, unequal_noise, worst_attack  # noqa: F401 - each enters its derivations

__all__ = ["CLAIMS", "derive"]

CLAIMS = tuple(REGISTRY)
