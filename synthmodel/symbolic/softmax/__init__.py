"""Cross-entropy and its kin: thresholds, soft labels, temperature, smoothing, the exact attack."""

from synthmodel.symbolic.softmax import (
    cross_entropy,
    exact_attack,
    log_sum_exp,
    plane,
    smoothing,
    soft_labels,
    vertices,
)

__all__ = ["cross_entropy", "exact_attack", "log_sum_exp", "plane", "smoothing", "soft_labels", "vertices"]
