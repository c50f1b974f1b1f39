"""The main job, `synthmodel report`: verify, draw, train, and say what was found, in Markdown and as one HTML page."""

__all__ = ["job", "page", "plan", "progress", "resume", "slider", "tables"]
