"""Run folders: what is in them, checked when it is read."""

__all__ = ["checkpoint", "environment", "fingerprint", "folder", "network", "results", "tensorboard"]
