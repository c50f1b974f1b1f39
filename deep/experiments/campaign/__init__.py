"""The campaign of figures/predictions.toml: its plan, its runs and what is measured of them, verdicts by rule."""

__all__ = ["answers", "correlations", "own_runs", "plan", "predictions", "runs"]
