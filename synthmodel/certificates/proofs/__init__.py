"""What is certified, stated for the checker: one module a lemma or a claim."""

__all__ = ["ce_monotone", "ce_smoothing", "exact_attack", "joint_accuracy", "n4_end", "n4_inequality", "skewness"]
