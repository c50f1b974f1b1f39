"""Files, processes and the terminal: what has nothing to do with the theory."""

__all__ = ["drawing", "files", "reading", "terminal", "workers"]
