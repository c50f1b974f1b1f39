"""Cross-entropy and its kin: thresholds, soft labels, temperature, smoothing, the exact attack."""

from synthmodel.symbolic.softmax import (
    cross_entropy,
    exact_attack,
    log_sum_exp,
    monotone,
    monotone_ends,
    smoothing,
    soft_labels,
    two_dimensions,
    vertices,
)

__all__ = ["cross_entropy", "exact_attack", "log_sum_exp", "monotone", "monotone_ends", "smoothing",
           "soft_labels", "two_dimensions", "vertices"]
