"""Figures of the theory: weights, ratios, accuracies, flows."""

__all__ = ["accuracy", "dynamics", "finite_sample", "flows", "ratios", "weights"]
