"""Where a network's evidence lies (Grad-CAM), and how much of it two classes share."""

__all__ = ["gradcam", "picture", "shared_evidence"]
