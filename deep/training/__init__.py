"""Adversarial training: the loop, one step of it, its state; losses, teachers, ends of epochs."""

__all__ = ["benchmark", "branches", "cuda_graph", "epoch", "first_batch", "loop", "losses", "overfitting_probe",
           "state", "step", "teachers"]
