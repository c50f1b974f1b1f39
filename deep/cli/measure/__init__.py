"""What measures a run's checkpoints, or one network of a file of weights."""

__all__ = ["cas", "evaluate", "networks", "saliency"]
