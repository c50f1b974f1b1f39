"""Files, processes and the terminal: what has nothing to do with the theory."""

__all__ = ["drawing", "files", "interrupt", "progress", "reading", "terminal", "workers"]
