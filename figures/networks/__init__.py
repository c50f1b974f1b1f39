"""Figures of what networks did, from files that their runs wrote."""

__all__ = ["bf16", "campaign", "feature_network", "planted", "real_run", "step_parts", "trimming"]
