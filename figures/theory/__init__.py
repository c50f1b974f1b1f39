"""Figures of the theory: weights, ratios, accuracies, flows, the learning curve."""

__all__ = ["accuracy", "dynamics", "finite_sample", "flows", "learning_curve", "ratios", "weights"]
