"""Files, locks, signals, processes and the terminal: what has nothing to do with networks."""

__all__ = ["device", "drawing", "files", "lock", "messages", "processes", "progress", "reading",
           "signals", "speed", "terminal"]
