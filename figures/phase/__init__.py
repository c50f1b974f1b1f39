"""Phase diagrams of the atlas."""

__all__ = ["classes", "decays", "norm", "sigma", "smoothing", "temperature", "theorems"]
