"""Adversarial training: the loop, its step, losses, teachers."""

__all__ = ["benchmark", "cuda_graph", "first_batch", "loop", "losses", "overfitting_probe", "step", "teachers"]
