"""Many runs: sweeps, the paper's tables and their reproduction, and each checkpoint measured once."""

__all__ = ["campaign", "checkpoint_evaluation", "predictions", "reproduction", "resumable_battery", "saliency", "slurm",
           "sweep"]
