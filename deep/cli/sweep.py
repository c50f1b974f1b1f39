"""`deep sweep`: trains the runs of a sweep file, alone, in several processes, or as jobs of SLURM."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from deep.cli.common import Commands, add_machine_options, import_words, print_status
from deep.system.device import positive, use_device
from deep.system.messages import tell

if TYPE_CHECKING:
    from deep.experiments.sweep import Run

__all__ = ["add", "continues", "run"]


def add(commands: Commands) -> None:
    sweep = commands.add_parser(
        "sweep", help="train the runs of a sweep file, or continue them",
        description="Train the runs of FILE in run folders in OUT. Finished ones are skipped, partial ones continued, "
                    "failed ones tried again; those that another process is training are left to it, so that any "
                    "number of sweeps may work on one file at once.")
    sweep.add_argument("file", metavar="FILE.toml",
                       help="recipe, [set], [grid], [[run]]: see deep/experiments/sweep.py")
    sweep.add_argument("--out", default="runs", help="the folder that holds the run folders (default: runs)")
    sweep.add_argument("--list", action="store_true", help="print how each run stands, and train nothing")
    sweep.add_argument("--json", action="store_true", help="print how each run stands as JSON")
    sweep.add_argument("--workers", type=int, default=1, metavar="N",
                       help="processes, which share the CPUs, or the devices of --device cuda:0,cuda:1 (default: 1)")
    sweep.add_argument("--executor", choices=("local", "slurm", "submitit-local"), default="local",
                       help="slurm: submit each run as a job and leave; submitit-local: the same, all at once on this "
                            "machine, to try it (default: local)")
    sweep.add_argument("--slurm", action="append", default=[], metavar="key=value",
                       help="an option of sbatch, e.g. partition=gpu, time=120 (minutes), gpus=1; may be repeated")
    sweep.add_argument("--worker", type=int, help="internal: the process whose worker this is")
    add_machine_options(sweep)


def continues(options: argparse.Namespace) -> str:
    return "the same command continues it"


def run(options: argparse.Namespace) -> None:
    from deep.experiments.sweep import clear_failures, read_sweep
    runs = read_sweep(options.file)
    positive("--workers", options.workers, most=1024)
    if options.slurm and options.executor != "slurm":
        raise ValueError(f"--slurm {options.slurm[0]} was given with --executor {options.executor}: write --executor "
                         "slurm, or leave it out.")
    if options.list:
        show(runs, options)
        return
    if options.worker is None:
        clear_failures(runs, options.out)
    if options.executor != "local":
        if not submit_jobs(runs, options):
            return
    elif options.workers > 1:
        train_in_workers(runs, options)
    else:
        train_here(runs, options)
    if options.worker is None:
        finish(runs, options)


def run_statuses(runs: "list[Run]", out: str) -> list[dict[str, Any]]:
    from deep.experiments.sweep import run_status
    return [run_status(run, out) for run in runs]


def show(runs: "list[Run]", options: argparse.Namespace) -> None:
    """Print for --list how each run stands."""
    found = run_statuses(runs, options.out)
    if options.json:
        print(json.dumps(found))
        return
    for status in found:
        print_status(status, " ")


def finish(runs: "list[Run]", options: argparse.Namespace) -> None:
    """Say what is not finished, if anything, and exit with status 1 then."""
    found = run_statuses(runs, options.out)
    left = [one for one in found if one["state"] != "finished"]
    if options.json:
        print(json.dumps(found))
    for one in left:
        tell(f"{one['run']} ({' '.join(one['changes'])}): {one['state']}, epoch {one['epoch']} of {one['epochs']}"
             + (f": {one['reason']}" if one["reason"] else ""))
    tell(f"deep: {len(found) - len(left)} of {len(found)} runs are finished"
         + ("; the same command tries the others again." if left else "."))
    if left:
        raise SystemExit(1)


def train_here(runs: "list[Run]", options: argparse.Namespace) -> None:
    """Train in this process what nobody else does."""
    from contextlib import nullcontext

    from deep.experiments.sweep import run_status, train_remaining, train_run
    from deep.system.progress import training_progress
    device = use_device(options.device, options.threads)
    if options.worker is not None:
        threading.Thread(target=end_with, args=(options.worker,), daemon=True).start()

    def train_and_tell(run: "Run") -> str:
        before = run_status(run, options.out)
        tell(f"{run.name} ({' '.join(run.words)}): " + (f"continued after epoch {before['epoch']}" if before["epoch"]
                                                         else "begun")
             + (f": {before['reason']}" if before["reason"] else ""))
        # the shared bar is left to a process that trains alone
        with nullcontext() if options.worker is not None else training_progress(run.recipe) as progress:
            state, reason = train_run(run, options.out, options.data, device, progress)
        tell(f"{run.name}: {state}" + (f": {reason}" if reason else ""))
        return state

    train_remaining(runs, options.out, train_and_tell)


def end_with(parent: int) -> None:
    """Stop this worker as SIGTERM does, with a checkpoint, when the process that started it has gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def train_in_workers(runs: "list[Run]", options: argparse.Namespace) -> None:
    """Start the workers, wait for them, and pass on the signal that stops the sweep."""
    from deep.system.signals import Stop
    number = min(options.workers, sum(one["state"] != "finished" for one in run_statuses(runs, options.out)))
    devices = options.device.split(",")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = options.threads or max(1, cores // max(1, number))
    workers: list[subprocess.Popen] = []

    def pass_on(number: int) -> None:
        for worker in workers:
            worker.send_signal(number)

    with Stop(held=True, tell=pass_on) as stop:
        try:
            for k in range(number):
                words = ["sweep", options.file, "--out", options.out, "--device", devices[k % len(devices)],
                         "--threads", str(threads), "--worker", str(os.getpid()),
                         *(["--data", options.data] if options.data else []), *import_words(options)]
                # a session of its own: ^C reaches the workers once, through this process
                workers.append(subprocess.Popen([sys.executable, "-m", "deep", *words], start_new_session=True))
            if stop.received:
                pass_on(stop.received)
        finally:
            for worker in workers:
                worker.wait()


def submit_jobs(runs: "list[Run]", options: argparse.Namespace) -> bool:
    """Submit what is neither finished nor being trained, and return whether the jobs were waited for."""
    from deep.experiments.slurm import submit
    left = [run for run, one in zip(runs, run_statuses(runs, options.out), strict=True)
            if one["state"] not in ("finished", "in use")]
    if not left:
        return True
    cluster = "slurm" if options.executor == "slurm" else "local"
    words = options.slurm + ([f"array_parallelism={options.workers}"] if options.workers > 1 else [])
    jobs = submit(left, options.out, options.data, options.device, options.threads, words, cluster,
                  options.imports)
    tell(f"{len(jobs)} jobs were submitted, {jobs[0].job_id} to {jobs[-1].job_id}; --list says how the runs stand.")
    if cluster == "local":
        for job in jobs:
            job.wait()
    return cluster == "local"
