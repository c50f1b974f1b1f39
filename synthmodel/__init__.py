"""The linear Gaussian model of cross-class features in adversarial training, solved and checked.

>>> from synthmodel import Margin, Setting, solve
>>> round(solve(Setting(mu=1, sigma=0.5), Margin(), eps=0.2, lam=0.1).ratio, 6)
0.529842
"""

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio, best_smoothing
from synthmodel.accuracy.bayes import bayes_error
from synthmodel.accuracy.three_classes import b_star, joint_accuracy, pairwise_accuracy, r_acc
from synthmodel.model.losses import (
    CrossEntropy,
    Distillation,
    Margin,
    SmoothedMargin,
    SoftTargetMargin,
    WorstMargin,
    WrongClassLSE,
    loss_named,
)
from synthmodel.model.penalty import decays
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged, Solution
from synthmodel.model.surrogates import Surrogate
from synthmodel.solvers.margin_closed import eps0, eps1, eps_max
from synthmodel.solvers.solve import solve, threshold

__all__ = ["CrossEntropy", "Distillation", "Margin", "NotConverged", "Setting", "SmoothedMargin", "SoftTargetMargin",
           "Solution", "Surrogate", "WorstMargin", "WrongClassLSE", "accuracy_of", "b_star", "bayes_error",
           "best_ratio", "best_smoothing", "decays", "eps0", "eps1", "eps_max", "joint_accuracy", "loss_named",
           "pairwise_accuracy", "r_acc", "solve", "threshold"]


def __getattr__(name: str) -> str:
    """`__version__` of the installed project, read when it is asked for (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version
        return version("synthmodel")
    raise AttributeError(f"module 'synthmodel' has no attribute {name!r}: it offers {', '.join(__all__)}.")
