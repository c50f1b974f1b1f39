"""Data sets: where they lie, how they are read, split, augmented and cached; planted images."""

__all__ = ["cache", "dataset", "formats", "layouts", "planted"]
