"""Many runs: sweeps, the paper's tables, and each checkpoint measured once."""

__all__ = ["checkpoint_evaluation", "comparison", "data_sets", "paper_tables", "resumable_battery", "slurm", "sweep",
           "table_markdown"]
