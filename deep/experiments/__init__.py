"""Many runs: sweeps, the paper's tables, and each checkpoint measured once."""

__all__ = ["checkpoint_evaluation", "comparison", "data_sets", "paper_tables", "reproduction", "resumable_battery",
           "saliency", "slurm", "sweep", "table_markdown"]
