"""The runs of a sweep as jobs of a SLURM array, through submitit (the extra `slurm`), which is imported on use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deep.experiments.sweep import Run, train_run
from deep.networks.registry import import_networks
from deep.system.signals import Interrupted, Stop

__all__ = ["Job", "parameters", "submit"]

# what submitit knows for every cluster; the rest are options of sbatch
SHARED = {"timeout_min": int, "cpus_per_task": int, "gpus_per_node": int, "nodes": int, "mem_gb": float, "name": str}
ALIASES = {"time": "timeout_min", "gpus": "gpus_per_node", "cpus": "cpus_per_task"}
RESTARTS = 1000  # a job that reaches its time limit is queued again, and continues its run


class Job:
    """What a job does: train one run, or continue it. At its time limit it asks to be queued again.

    SIGTERM (scancel) leaves a checkpoint in mid-epoch, as in `deep train`, and ends the job.
    imports: modules that register networks, which each process needs.
    """

    def __init__(self, imports: Sequence[str] = ()) -> None:
        self.imports = tuple(imports)

    def __call__(self, run: Run, out: Path, data: str | None, device: str,
                 threads: int | None) -> tuple[str, str | None]:
        import torch
        import_networks(self.imports)
        if threads:
            torch.set_num_threads(threads)
        try:
            with Stop():
                return train_run(run, out, data, device)
        except Interrupted as stop:
            raise SystemExit(stop.status) from None

    def checkpoint(self, *arguments: Any) -> Any:
        """Ask for another job: submitit calls this shortly before the time limit, and ends the process.

        The checkpoint of the last epoch is there, even of one that is being evaluated.
        """
        from submitit.helpers import DelayedSubmission
        return DelayedSubmission(self, *arguments)


def parameters(words: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of submitit from `key=value` words; time is in minutes.

    >>> parameters(["partition=gpu", "time=120", "gpus=1"])
    {'slurm_partition': 'gpu', 'timeout_min': 120, 'gpus_per_node': 1}
    """
    values = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals and text):
            raise ValueError(f"{word!r} was given, but a parameter of SLURM is key=value: write such as time=60.")
        key = ALIASES.get(key, key)
        kind = SHARED.get(key, int if key == "array_parallelism" else str)
        try:
            values[key if key in SHARED else f"slurm_{key}"] = kind(text)
        except ValueError:
            raise ValueError(f"{word!r} was given, but it must be a number (minutes for time, GB for mem_gb): write "
                             "such a value.") from None
    return values


def submit(runs: Sequence[Run], out: str | Path, data: str | None = None, device: str = "cpu",
           threads: int | None = None, words: Sequence[str] = (), cluster: str = "slurm",
           imports: Sequence[str] = ()) -> list[Any]:
    """Submit a job for each run and return submitit's jobs; their logs are in OUT/submitit.

    words: `key=value` parameters, of sbatch or time, gpus, cpus, mem_gb. cluster: "slurm", or "local", which starts
    all jobs at once on this machine. imports: as `Job`. Raises ValueError without submitit or SLURM, and
    for unknown parameters.
    """
    try:
        import submitit
    except ImportError:
        raise ValueError("the executor slurm needs submitit, which is not installed: install the extra `slurm`, "
                         "pip install 'submitit>=1.5'.") from None
    out = Path(out).resolve()
    data = data and str(Path(data).resolve())
    values = {"timeout_min": 24 * 60, "name": "deep", **parameters(words)}
    try:
        executor = submitit.AutoExecutor(out / "submitit", cluster=cluster,
                                         **{f"{cluster}_max_num_timeout": RESTARTS})
        executor.update_parameters(**values)
    except RuntimeError:
        raise ValueError("the executor slurm was given, but this machine has no SLURM (no srun): log in to one that "
                         "has, or take --executor local.") from None
    except (NameError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0].replace("slurm_", "").rstrip(".")
        raise ValueError(f"{' '.join(words)} was given, but submitit does not take it ({reason}): leave it "
                         "out.") from None
    number = len(runs)
    try:
        return executor.map_array(Job(imports), runs, [out] * number, [data] * number, [device] * number,
                                  [threads] * number)
    except submitit.core.utils.FailedJobError as error:
        raise ValueError(f"sbatch refused the jobs ({' '.join(str(error).split())}): change the parameters.") from None
