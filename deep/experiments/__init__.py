"""Many runs: sweeps, the campaign, the paper's tables and their reproduction, and each checkpoint measured once."""

__all__ = ["campaign", "checkpoint_evaluation", "measured", "outside_network", "reproduction", "resumable_battery",
           "saliency", "slurm", "sweep"]
