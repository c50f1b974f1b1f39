"""Run folders: what is in them, checked when it is read."""

__all__ = ["checkpoint", "folder", "network", "own_images", "records", "sessions", "tensorboard"]
