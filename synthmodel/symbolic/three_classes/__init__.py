"""Theorems 1 to 3 and N1 to N3 on three classes: attack, margin loss, joint accuracy, best ratio, unequal noise, U1."""

from synthmodel.symbolic.three_classes import (
    best_ratio,
    joint_accuracy,
    margin_loss,
    readings,
    unequal_noise,
    universal,
    worst_attack,
)

__all__ = ["best_ratio", "joint_accuracy", "margin_loss", "readings", "unequal_noise", "universal", "worst_attack"]
