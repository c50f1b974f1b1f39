"""Phase diagrams of the atlas."""

__all__ = ["classes", "norm", "sigma", "smoothing", "temperature", "theorems"]
