"""The runs of a sweep as SLURM jobs: with submitit's local executor, and with an sbatch that keeps what it is given."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from deep.__main__ import main
from deep.experiments.slurm import parameters, submit
from deep.experiments.sweep import read_sweep, run_status
from deep.runs.folder import RunFolder
from deep.training.loop import load_data, train
from tests.conftest import until

SWEEP = """
recipe = "planted-linear"
[set]
epochs = 4
train_size = 2000
val_size = 300
batch = 250
eval_every = 2
[grid]
seed = [0, 1]
"""


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP)
    return path


def assert_as_alone(run, out, alone):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = train(run.recipe, load_data(run.recipe), alone).model_state("last")["model"]
    torch.set_num_threads(before)
    found = RunFolder(out / run.name).model_state("last")["model"]
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.slow
def test_jobs_train_the_runs(sweep, tmp_path, capsys):
    out = tmp_path / "runs"
    assert main(["sweep", str(sweep), "--out", str(out), "--executor", "submitit-local", "--threads", "1"]) == 0
    err = capsys.readouterr().err
    assert "2 jobs were submitted" in err
    assert "2 of 2 runs are finished." in err
    assert main(["sweep", str(sweep), "--out", str(out), "--executor", "submitit-local"]) == 0
    assert "submitted" not in capsys.readouterr().err
    for run in read_sweep(sweep):
        assert_as_alone(run, out, tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the job's process in /proc, which is Linux's")
def test_a_job_at_its_time_limit_is_queued_again_and_continues(sweep, tmp_path):
    sweep.write_text(SWEEP.replace("epochs = 4", "epochs = 30").replace("eval_every = 2", "eval_every = 15"))
    run, out = read_sweep(sweep)[0], tmp_path / "runs"
    (job,) = submit([run], out, threads=1, cluster="local")
    until(lambda: run_status(run, out)["epoch"] >= 3)
    (task,) = Path(f"/proc/{job.job_id}/task/{job.job_id}/children").read_text().split()
    os.kill(int(task), signal.SIGUSR2)  # what SLURM sends a minute and a half before the limit
    until(job.done)
    assert job.result() == ("finished", None)
    assert_as_alone(run, out, tmp_path / "alone")


def test_what_sbatch_is_given(sweep, tmp_path, capsys, monkeypatch):
    for name, text in {"srun": "exit 1", "sbatch": f'cp "$1" {tmp_path}/job.sh; echo Submitted batch job 41'}.items():
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    words = ["sweep", str(sweep), "--out", str(tmp_path / "runs"), "--executor", "slurm", "--workers", "3"]
    asked = ["partition=long", "time=90", "gpus=2", "cpus=4", "mem_gb=16"]
    assert main([*words, *(word for key in asked for word in ("--slurm", key))]) == 0
    assert "2 jobs were submitted, 41_0 to 41_1" in capsys.readouterr().err
    job = (tmp_path / "job.sh").read_text()
    for line in ("partition=long", "time=90", "gpus-per-node=2", "cpus-per-task=4", "mem=16GB", "array=0-1%2",
                 "job-name=deep", "signal=USR2@90"):
        assert f"#SBATCH --{line}\n" in job
    assert f"{sys.executable} -u -m submitit.core._submit" in job

    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
    assert main([*words, "--slurm", "partition=nowhere"]) == 2
    assert "deep: sbatch refused the jobs (no such partition): " in capsys.readouterr().err.splitlines()[-1]


def test_parameters():
    assert parameters([]) == {}
    assert parameters(["time=60", "qos=high=er", "array_parallelism=3", "mem_gb=1.5"]) == {
        "timeout_min": 60, "slurm_qos": "high=er", "slurm_array_parallelism": 3, "mem_gb": 1.5}


@pytest.mark.parametrize(("word", "sentence"), [
    ("time=1:00:00", "'time=1:00:00' was given, but it must be a number (minutes for time"),
    ("partition", "'partition' was given, but a parameter of SLURM is key=value"),
    ("colour=red", "submitit does not take it (Unknown argument 'colour'"),
    ("partition=x", "this machine has no SLURM (no srun)"),
])
def test_refusals(sweep, tmp_path, capsys, monkeypatch, word, sentence):
    if word != "partition=x":
        monkeypatch.setattr("submitit.SlurmExecutor.affinity", lambda self: 2)
    words = ["sweep", str(sweep), "--out", str(tmp_path / "runs"), "--executor", "slurm", "--slurm", word]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_without_submitit(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main(["sweep", str(sweep), "--out", str(tmp_path / "runs"), "--executor", "slurm"]) == 2
    assert "needs submitit, which is not installed" in capsys.readouterr().err
