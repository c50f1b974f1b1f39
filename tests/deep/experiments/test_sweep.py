"""Sweeps: what a file expands to, several processes on one sweep, and what happens when they are killed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deep.__main__ import main
from deep.experiments.sweep import read_sweep, run_status, train_remaining, train_run
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder
from deep.training.loop import load_data, train
from tests.conftest import until

SET = "epochs = 4\ntrain_size = 2000\nval_size = 300\nbatch = 250\neval_every = 2\n"
SMALL = f'recipe = "planted-linear"\n[set]\n{SET}[grid]\neps = ["0.1", "1/5"]\nseed = [0, 1]\n'


def written(folder, text):
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def deep(*words, **options):
    return subprocess.Popen([sys.executable, "-m", "deep", *map(str, words)], stderr=subprocess.PIPE, text=True,
                            **options)


def assert_as_alone(runs, out, alone):
    """Every run is finished, and its weights and metrics are those of a single undisturbed training."""
    for run in runs:
        expected = train(run.recipe, load_data(run.recipe), alone)
        found = RunFolder(out / run.name)
        for which in ("last", "best"):
            first, second = expected.model_state(which)["model"], found.model_state(which)["model"]
            assert all(torch.equal(first[key], second[key]) for key in first)
        assert [line["train_loss"] for line in found.metrics()] == [line["train_loss"] for line in expected.metrics()]
        assert not (found.path / "failed.json").exists()


def sessions(run, out):
    found = json.loads((out / run.name / "environment.json").read_text())["sessions"]
    return [session["from_epoch"] for session in found]


def test_the_grid_is_every_combination_and_runs_come_after_it(tmp_path):
    runs = read_sweep(written(tmp_path, SMALL + "[[run]]\nlr = 0.01\n[[run]]\nepochs = 6\nseed = 5\n"))
    assert [run.words for run in runs] == [("eps=0.1", "seed=0"), ("eps=0.1", "seed=1"), ("eps=1/5", "seed=0"),
                                           ("eps=1/5", "seed=1"), ("lr=0.01",), ("epochs=6", "seed=5")]
    fixed = ["epochs=4", "train_size=2000", "val_size=300", "batch=250", "eval_every=2"]
    assert runs[1].recipe == recipe_named("planted-linear", [*fixed, "eps=0.1", "seed=1"])
    assert runs[5].recipe == recipe_named("planted-linear", [*fixed, "epochs=6", "seed=5"])
    assert len({run.name for run in runs}) == 6


@pytest.mark.parametrize(("text", "words"), [
    ("", [()]),
    ("[[run]]\nseed = 1\n[[run]]\nseed = 2", [("seed=1",), ("seed=2",)]),
    ("[grid]\nflip = [true, false]", [("flip=true",), ("flip=false",)]),
    ('[grid]\ndrops = [["1/2"], ["1/2", "3/4"], "0.9"]', [("drops=1/2",), ("drops=1/2,3/4",), ("drops=0.9",)]),
    ('[set]\ndrops = ["1/3"]\nradius = "none"\nlr = 1e-3', [()]),
])
def test_what_a_file_may_say(tmp_path, text, words):
    assert [run.words for run in read_sweep(written(tmp_path, 'recipe = "at"\n' + text))] == words


@pytest.mark.parametrize(("text", "sentence"), [
    ("recipe = ", "is not a readable TOML file"),
    ("", "no recipe was given: write recipe ="),
    ('recipe = "paper"', "the recipe 'paper' is unknown"),
    ("recipe = 3", "recipe = 3 was given, but it must be the name of a recipe"),
    ('recipe = "at"\nseed = 3', "the key seed was given, but a sweep has recipe, [set]"),
    ('recipe = "at"\nset = 3', "set = 3 was given, but it must be a table [set]"),
    ('recipe = "at"\n[run]\nseed = 3', "it must be tables headed [[run]]"),
    ('recipe = "at"\nrun = [3]', "it must be tables headed [[run]]"),
    ('recipe = "at"\n[[set]]\nseed = 3', "it must be a table [set]"),
    ('recipe = "at"\n[set]\ncolour = 3', "'colour=3' was given, but an override is key=value with a key of the recipe"),
    ('recipe = "at"\n[grid]\ncolour = [3]', "'colour=3' was given"),
    ('recipe = "at"\n[grid]\nseed = []', "seed = [] was given in [grid], but it must be a list of one value or more"),
    ('recipe = "at"\n[grid]\nseed = 3', "seed = 3 was given in [grid], but it must be a list"),
    ('recipe = "at"\n[grid]\neps = ["4/255", 8]', "eps = 8 was given, but it is a fraction"),
    ('recipe = "at"\n[grid]\nseed = [[1, 2]]', "seed = [1, 2] was given, but a recipe's values are"),
    ('recipe = "at"\n[set]\nseed = 2020-01-01', "a recipe's values are texts, numbers, true and false"),
    ('recipe = "at"\n[set]\nepochs = "ten"', "epochs = ten was given, but it must be of type int"),
    ('recipe = "at"\n[set]\nepochs = 2.0', "epochs = 2.0 was given, but it must be of type int"),
    ('recipe = "at"\n[set]\nepochs = true', "epochs = true was given, but it must be of type int"),
    ('recipe = "at"\n[set]\nlr = nan', "lr = nan was given"),
    ('recipe = "at"\n[set]\nseed = 1\n[grid]\nseed = [2]', "seed was given in both [set] and [grid]"),
    ('recipe = "at"\n[grid]\neps = ["8/255", "16/510"]', "the runs (eps=8/255) and (eps=16/510) were given, but"),
    ('recipe = "at"\n[grid]\nseed = [0, 1]\n[[run]]\nseed = 0', "the runs (seed=0) and (seed=0) were given, but"),
    ('recipe = "at"\n[grid]\nseed = [0, 1]\n[[run]]', "the runs (seed=0) and (that of [set]) were given, but"),
    (f'recipe = "at"\n[grid]\nseed = {list(range(200))}\nbatch = {list(range(1, 52))}', "10200 runs were given, but"),
])
def test_refusals_name_the_file_and_the_key(tmp_path, capsys, text, sentence):
    path = written(tmp_path, text)
    assert main(["sweep", str(path), "--out", str(tmp_path / "runs")]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert str(path) in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("words", "sentence"), [
    (["--workers", "0"], "--workers = 0 was given"),
    (["--slurm", "time=3"], "--slurm time=3 was given with --executor local"),
    (["--device", "cuda:99"], "the device cuda:99 cannot be used here"),
])
def test_refused_options(tmp_path, capsys, words, sentence):
    assert main(["sweep", str(written(tmp_path, SMALL)), "--out", str(tmp_path / "runs"), *words]) == 2
    assert sentence in capsys.readouterr().err
    assert main(["sweep", str(tmp_path / "nothing.toml")]) == 2
    assert "nothing.toml is not a readable TOML file (No such file or directory)" in capsys.readouterr().err


def listed(path, out, capsys):
    capsys.readouterr()
    assert main(["sweep", str(path), "--out", str(out), "--list", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_how_each_run_stands(tmp_path, capsys, one_thread):
    path = written(tmp_path, SMALL.replace("seed = [0, 1]", "seed = [0, 1, 2]\n[[run]]\nlr = 1e6"))
    out = tmp_path / "runs"
    runs = read_sweep(path)
    train(runs[0].recipe, load_data(runs[0].recipe), out)
    train(runs[1].recipe, load_data(runs[1].recipe), out, stop_after=3)
    other = RunFolder(out / runs[2].name)
    other.open_for_training(runs[2].recipe)
    assert train_run(runs[6], out)[0] == "failed"
    found = listed(path, out, capsys)
    assert [one["state"] for one in found] == ["finished", "partial", "in use", *["not begun"] * 3, "failed"]
    assert [(one["epoch"], one["epochs"]) for one in found][:3] == [(4, 4), (3, 4), (0, 4)]
    assert "diverged" in found[6]["reason"]
    assert found[1] | {"state": 0} == {"run": runs[1].name, "changes": ["eps=0.1", "seed=1"], "state": 0, "epoch": 3,
                                       "epochs": 4, "reason": None}
    assert main(["sweep", str(path), "--out", str(out), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [run.name in line for run, line in zip(runs, lines, strict=True)] == [True] * 7
    assert "partial, epoch 3 of 4" in lines[1]
    assert not (out / runs[3].name).exists()  # --list begins nothing
    other.close()
    assert run_status(runs[2], out)["state"] == "not begun"


@pytest.mark.slow
def test_a_failure_stops_no_other_run_and_is_tried_again(tmp_path, capsys, one_thread, monkeypatch):
    path, out = written(tmp_path, SMALL + "[[run]]\nlr = 1e6\n[[run]]\nseed = 3\n"), tmp_path / "runs"
    runs = read_sweep(path)
    real = load_data

    def lost(recipe, folder):
        if recipe.seed == 1 and float(recipe.eps) == 0.1:
            raise RuntimeError("the disk of seed 1 is gone")
        return real(recipe, folder)

    monkeypatch.setattr("deep.training.loop.load_data", lost)
    words = ["sweep", str(path), "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    err = capsys.readouterr().err
    assert "4 of 6 runs are finished; the same command tries the others again." in err
    assert err.count("the disk of seed 1 is gone") == 2  # when it happens, and at the end
    assert [one["state"] for one in listed(path, out, capsys)] == ["finished", "failed", "finished", "finished",
                                                                  "failed", "finished"]
    record = json.loads((out / runs[1].name / "failed.json").read_text())
    assert record["error"] == "RuntimeError"
    assert "in lost" in record["traceback"]
    before = {run.name: (out / run.name / "last.pt").read_bytes() for run in (runs[0], runs[2])}

    monkeypatch.setattr("deep.training.loop.load_data", real)
    with pytest.raises(SystemExit):
        main(words)
    assert "5 of 6 runs are finished" in capsys.readouterr().err
    assert all((out / name / "last.pt").read_bytes() == content for name, content in before.items())
    assert_as_alone([runs[1], runs[5]], out, tmp_path / "alone")


@pytest.mark.slow
def test_a_success_takes_the_failure_back(tmp_path):
    (run, *_), out = read_sweep(written(tmp_path, SMALL)), tmp_path / "runs"
    assert train_run(run, out, device="nowhere")[0] == "failed"
    assert run_status(run, out)["state"] == "failed"
    assert train_run(run, out) == ("finished", None)
    assert not (out / run.name / "failed.json").exists()


@pytest.mark.slow
def test_the_run_of_another_process_is_left_to_it_and_looked_at_again(tmp_path, one_thread, monkeypatch):
    runs, out, order = read_sweep(written(tmp_path, SMALL)), tmp_path / "runs", []
    other = RunFolder(out / runs[0].name)
    other.open_for_training(runs[0].recipe)
    naps = []

    def nap(length):
        naps.append(length)
        if len(naps) == 2:  # all others are trained by now; it dies without having trained
            other.close()

    def train_and_tell(run):
        order.append(run.name)
        return train_run(run, out)[0]

    monkeypatch.setattr("deep.experiments.sweep.time", SimpleNamespace(sleep=nap))
    train_remaining(runs, out, train_and_tell, pause=0.1)
    assert naps == [0.1, 0.1]
    assert order == [run.name for run in (*runs[1:], runs[0])]
    assert_as_alone(runs[:1], out, tmp_path / "alone")


def test_a_lock_held_for_an_instant_is_no_training(tmp_path, monkeypatch):
    (run, *_), out = read_sweep(written(tmp_path, SMALL)), tmp_path / "runs"
    glance, folder = RunFolder(out / run.name), RunFolder(out / run.name)
    glance.open_for_training(run.recipe)
    naps = []

    def nap(length):
        naps.append(length)
        if len(naps) == 3:
            glance.close()

    monkeypatch.setattr("deep.runs.folder.time.sleep", nap)
    folder.open_for_training(run.recipe)
    assert naps == [0.02] * 3
    assert folder.in_use()
    folder.close()
    with open(out / run.name / "lock") as other:  # somebody else who only looks
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not folder.in_use()


@pytest.mark.slow
def test_three_workers_train_each_run_once(tmp_path, one_thread):
    path, out = written(tmp_path, SMALL), tmp_path / "runs"
    process = deep("sweep", path, "--out", out, "--workers", 3, "--threads", 1, "--json", stdout=subprocess.PIPE)
    result, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "4 of 4 runs are finished." in err
    assert [one["state"] for one in json.loads(result)] == ["finished"] * 4
    runs = read_sweep(path)
    assert [sessions(run, out) for run in runs] == [[0]] * 4
    assert_as_alone(runs, out, tmp_path / "alone")


ENDLESS = SMALL.replace("epochs = 4", "epochs = 4000").replace("eval_every = 2", "eval_every = 20")


@pytest.mark.slow
def test_a_killed_process_is_replaced_by_the_others(tmp_path, one_thread):
    """One sweep stands still in mid-run while another works around it; then it is killed, and a third joins."""
    long_first = '[[run]]\nepochs = 40\neval_every = 20\n[[run]]\nseed = 1\n[[run]]\nseed = 2\n[[run]]\nseed = 3\n'
    path, out = written(tmp_path, f'recipe = "planted-linear"\n[set]\n{SET}{long_first}'), tmp_path / "runs"
    runs = read_sweep(path)
    words = ["sweep", path, "--out", out, "--threads", 1]
    first = deep(*words)
    until(lambda: run_status(runs[0], out)["epoch"] >= 5, first)
    first.send_signal(signal.SIGSTOP)
    second = deep(*words)
    until(lambda: run_status(runs[1], out)["state"] == "finished", second)
    assert run_status(runs[0], out)["state"] == "in use"
    third = deep(*words)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=300)
    for process in (second, third):
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    begun, continued = sessions(runs[0], out)
    assert begun == 0
    assert 5 <= continued < 40
    assert [sessions(run, out) for run in runs[1:]] == [[0]] * 3
    assert_as_alone(runs, out, tmp_path / "alone")


@pytest.mark.slow
def test_sigterm_checkpoints_every_worker(tmp_path, one_thread, capsys):
    path, out = written(tmp_path, ENDLESS), tmp_path / "runs"
    runs = read_sweep(path)
    process = deep("sweep", path, "--out", out, "--workers", 2, "--threads", 1)
    until(lambda: all(run_status(run, out)["epoch"] >= 1 for run in runs[:2]), process)
    process.terminate()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 143, err
    assert "signal 15 stopped the training; the same command continues it." in err
    found = listed(path, out, capsys)
    assert [one["state"] for one in found] == ["partial", "partial", "not begun", "not begun"]
    for run, one in zip(runs[:2], found, strict=False):
        state, complaint = RunFolder(out / run.name).resume()
        assert complaint is None
        assert state["epoch"] == one["epoch"]


@pytest.mark.slow
def test_workers_stop_when_their_sweep_is_killed(tmp_path):
    path, out = written(tmp_path, ENDLESS), tmp_path / "runs"
    run = read_sweep(path)[0]
    process = deep("sweep", path, "--out", out, "--workers", 2, "--threads", 1)
    until(lambda: run_status(run, out)["epoch"] >= 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)  # standard error closes when the last worker has gone
    assert run_status(run, out)["state"] == "partial"
    assert not list(Path(out).glob("*/*.tmp"))


def test_sigterm_between_two_trainings(tmp_path, monkeypatch):
    def terminated(recipe, folder):
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("deep.training.loop.load_data", terminated)
    assert main(["sweep", str(written(tmp_path, SMALL)), "--out", str(tmp_path / "runs")]) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert not list(tmp_path.glob("runs/*/failed.json"))
