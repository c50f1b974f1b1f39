"""Many runs: sweeps, the paper's tables, and each checkpoint measured once."""

__all__ = ["comparison", "image_sets", "measurements", "paper_tables", "partial_battery", "slurm", "sweep",
           "table_text"]
