"""A report that is killed: its workers end with it, and the same command goes on; several share their networks."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from deep.data.planted import ablation
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data, train
from figures import style
from figures.networks import planted
from tests.support.report_to_kill import WORDS

ROOT = Path(__file__).parents[2]
SLEEPERS = """
import sys, time
from synthmodel.system.workers import workers
with workers(2) as pool:
    for _ in range(4):
        pool.submit(time.sleep, 3600)
    print("begun", file=sys.stderr, flush=True)
    time.sleep(3600)
"""


def until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_process(number):
    process = subprocess.Popen([sys.executable, "-c", SLEEPERS], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr.readline()
    process.send_signal(number)
    process.communicate(timeout=120)  # standard error closes when the last worker has gone
    assert process.returncode == -number


@pytest.mark.slow
def test_a_killed_report_goes_on_where_it_stopped(tmp_path):
    words = [sys.executable, "-m", "tests.support.report_to_kill", str(tmp_path)]
    (tmp_path / "hold").touch()
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    until(lambda: any(len(path.read_text().splitlines()) == 2 for path in tmp_path.glob("runs/*/metrics.jsonl")),
          process)
    (begun,) = (RunFolder(path) for path in tmp_path.glob("runs/*"))
    process.kill()
    process.communicate(timeout=120)
    assert not begun.in_use()
    (tmp_path / "hold").unlink()
    again = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert again.returncode == 0, again.stderr
    rows = style.read_csv(tmp_path / "planted.csv")
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        run = RunFolder(tmp_path / "runs" / row["run"])
        sessions = json.loads((run.path / "environment.json").read_text())["sessions"]
        assert [session["from_epoch"] for session in sessions] == ([0, 2] if run.path == begun.path else [0])
        assert len(run.metrics()) == 4 and run.metrics()[-1]["robust"] == row["robust"]


@pytest.mark.slow
def test_a_network_that_another_process_trains_is_waited_for_and_taken(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    recipe = recipe_named("planted-linear", WORDS)
    run = RunFolder(tmp_path / run_name(recipe))
    run.open_for_training(recipe)
    waited = []

    def finish(seconds):
        if seconds == 1.0:  # shorter ones are the lock's
            waited.append(seconds)
            run.close()
            train(recipe, load_data(recipe), tmp_path)
    monkeypatch.setattr(planted.time, "sleep", finish)
    row = planted.measured("linear", WORDS, tmp_path)
    torch.set_num_threads(before)
    assert waited == [1.0]
    assert len(json.loads((run.path / "environment.json").read_text())["sessions"]) == 1
    assert row["run"] == run.path.name and row["robust"] == run.metrics()[-1]["robust"]
    data = load_data(recipe)
    exclusive, shared = ablation(load_network(run, data, "last"), data.test, recipe.patch)
    assert (row["exclusive_ablated"], row["ratio_ablated"]) == (exclusive, shared / exclusive)
    assert row["ratio_adversarial"] == pytest.approx(row["ratio"], rel=1e-5)  # slopes of a linear network


def test_what_is_there_stays_when_a_file_of_a_report_breaks_off(tmp_path):
    style.write_csv(tmp_path / "a.csv", [{"x": 1}])
    (tmp_path / "a.png").write_bytes(b"picture")

    class Figure:
        def savefig(self, file, **options):
            file.write(b"pict")
            raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        style.save(Figure(), tmp_path, "a")
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        style.write_csv(tmp_path / "a.csv", [{"x": 2}, {"y": 3}])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.csv": b"x\n1\n", "a.png": b"picture"}
