"""Signals: no handler of errors takes one, none is lost, and what was trained before one is not trained again."""

import os
import pickle
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import deep.__main__
import deep.cli.train
import deep.data.cache
import deep.data.formats.cifar_pickle
import deep.data.formats.image_files
import deep.evaluation.accuracy
import deep.networks.deit
import deep.networks.folding
import deep.system.signals
from deep.__main__ import main
from deep.data.dataset import Split
from deep.experiments.sweep import read_sweep, run_status, train_run
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder, load_checkpoint
from deep.runs.tensorboard import mirrored
from deep.system.processes import Alone, Lost, Processes
from deep.system.signals import Interrupted, Stop
from deep.training.loop import Training, load_data, train
from tests.conftest import imported

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = ["epochs=3", "train_size=400", "val_size=60", "batch=100", "eval_every=1"]
SYSTEMS = {"plain": [], "swa": ["average=swa"],
           "much": ["average=ema", "average_decay=0.9", "average_from=1/3", "teacher=self", "teacher_share=0.5",
                    "teacher_from=1/3", "trim=0.1", "trim_kind=random", "probe_steps=1"]}
SWEEP = ('recipe = "planted-linear"\n[set]\nepochs = 3\ntrain_size = 400\nval_size = 60\nbatch = 100\n'
         'eval_every = 3\n[grid]\nseed = [0, 1]\n')


def terminated(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)


def run_of(folder, *words, **options):
    recipe = recipe_named("planted-linear", [*SHORT, *words])
    data = load_data(recipe)
    data = replace(data, test=Split(data.test.images[:60], data.test.labels[:60]))
    return train(recipe, data, folder, folder=folder / "run", **options)


def contents(run):
    """What is in a run folder but the clock's times."""
    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(item) for key, item in value.items() if "second" not in str(key)}
        if isinstance(value, (list, tuple)):
            return [timeless(item) for item in value]
        return value.tolist() if isinstance(value, torch.Tensor) else value
    return timeless([run.model_state("last"), run.model_state("best"), run.metrics()])


@pytest.fixture
def steps(monkeypatch):
    """(epoch, step) of every step that is trained."""
    done, original = [], Training.train_batch

    def counted(training):
        done.append((training.epoch, training.step))
        return original(training)
    monkeypatch.setattr(Training, "train_batch", counted)
    return done


# The exception.

def test_it_is_no_exception_and_survives_pickling():
    assert not issubclass(Interrupted, Exception)
    again = pickle.loads(pickle.dumps(Interrupted(15, "deep cas")))
    assert type(again) is Interrupted
    assert (again.number, again.status, str(again)) == (15, 143, "signal 15 stopped deep cas")
    lost = pickle.loads(pickle.dumps(Lost()))
    assert type(lost) is Lost and lost.status == 1 and str(lost).startswith("another process of this training")


def read_parquet(path):
    imported("pyarrow")
    from deep.data.formats.parquet import read_tables
    return read_tables({"a": b""}, ["a"], "folder")


@pytest.mark.parametrize(("inside", "read"), [
    ("torch.load", load_checkpoint), ("torch.load", deep.networks.deit.published_state),
    ("numpy.load", deep.data.cache.read), ("pyarrow.parquet.ParquetFile", read_parquet),
    ("deep.data.formats.cifar_pickle.Unpickler.load",
     lambda path: deep.data.formats.cifar_pickle.read_pickle(b"", "a")),
    ("PIL.Image.open",
     lambda path: deep.data.formats.image_files.image_size([path.with_suffix(".png").read_bytes()], ["a"])),
    ("PIL.Image.open",
     lambda path: deep.data.formats.image_files.readable(b"")),
    ("PIL.Image.Image.convert",
     lambda path: deep.data.formats.image_files.decode([path.with_suffix(".png").read_bytes()], ["a"], (1, 1))),
    ("deep.networks.folding.Tracer.trace", lambda path: deep.networks.folding.traced(torch.nn.Identity())),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_signal_while_a_file_is_read_is_no_damage(tmp_path, monkeypatch, inside, read):
    path = tmp_path / "a.pt"
    torch.save({"model": {}, "epoch": 1}, path)
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(path.with_suffix(".png"))
    if inside.startswith("pyarrow"):
        imported("pyarrow.parquet")
    monkeypatch.setattr(inside, terminated)
    with pytest.raises(Interrupted, match="signal 15"), Stop():
        read(path)


def test_a_signal_is_no_failure_of_a_run_nor_of_its_mirror(tmp_path, monkeypatch):
    (tmp_path / "sweep.toml").write_text(SWEEP)
    monkeypatch.setattr("deep.training.loop.load_data", terminated)
    run = read_sweep(tmp_path / "sweep.toml")[0]
    with pytest.raises(Interrupted), Stop():
        train_run(run, tmp_path)
    assert not list(tmp_path.glob("*/failed.json"))

    class Mirror:
        update = terminated
    one = type("One", (), {"step": 0, "history": [{}]})
    with pytest.raises(Interrupted), Stop():
        mirrored(None, Mirror)(one)


# The block.

def test_a_second_control_c_stops_at_once():
    with pytest.raises(Interrupted), Stop(held=True) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.received == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")


def test_under_torchrun_the_echo_of_a_control_c_is_no_second_one(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    now = [100.0]
    monkeypatch.setattr(deep.system.signals.time, "monotonic", lambda: now[0])
    told, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="signal 2 stopped the training"), Stop(held=True, tell=told.append) as stop:
        for now[0] in (100.0, 100.5):  # torchrun sends on what the terminal has sent
            signal.raise_signal(signal.SIGINT)
        now[0] = 200.0
        signal.raise_signal(signal.SIGTERM)
        assert stop.received == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")
    assert told == [2, 2, 15, 2] and signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("error", [Interrupted(15), ValueError("no images")])
def test_what_ends_the_first_process_in_its_own_work_ends_all(monkeypatch, error):
    """Two processes of one training, one after the other: what the first says is pickled, as it is by gloo."""
    said = []

    def broadcast(told, source, group):
        if world.rank == source:
            said.append(pickle.dumps(told))
        told[:] = pickle.loads(said[-1])

    def fail():
        raise error

    monkeypatch.setattr("deep.system.processes.distributed.broadcast_object_list", broadcast)
    world = object.__new__(Processes)
    world.size, world.control = 2, None
    for world.rank in (0, 1):
        with pytest.raises(type(error), match=str(error)):
            world.call_on_first(fail)
    assert len(said) == 1


def test_what_a_block_has_noted_is_raised_at_its_end():
    with pytest.raises(Interrupted), Stop(held=True):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(ValueError, match="nobody waits for a signal"), Stop(held=True):
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("nobody waits for a signal")
    with pytest.raises(Interrupted), Stop(), Stop(held=True):  # an error hides none from the block around
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("this is no reason to go on")
    with pytest.raises(Lost), Stop(), Stop(held=True):  # one that ends the process is what it says
        signal.raise_signal(signal.SIGTERM)
        raise Lost
    with pytest.raises(Lost), Stop(), closing_during_a_signal(), Stop(held=True):
        raise Lost


@contextmanager
def closing_during_a_signal():
    try:
        yield
    finally:
        with suppress(OSError):
            signal.raise_signal(signal.SIGTERM)
            raise OSError("what is closed in vain changes nothing")


def test_a_lost_process_says_so_whatever_signal_comes(monkeypatch, capsys):
    """torchrun's SIGTERM comes while the process closes what it has open, or while it prints its last sentence."""
    def lost(options):
        with closing_during_a_signal():
            raise Lost

    monkeypatch.setattr(deep.cli.train, "run", lost)
    said = deep.__main__.complain
    monkeypatch.setattr(deep.__main__, "complain", lambda text: (signal.raise_signal(signal.SIGTERM), said(text)))
    outside = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: outside.append(number))
    try:
        assert main(["train", "planted-linear"]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == f"deep: {Lost()}\n"
    assert outside == []


def test_a_signal_that_python_ignores_stops_the_next_block(monkeypatch):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: ignored.append(found.exc_type))

    class Finalised:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted), Stop():
        Finalised()
        assert ignored == [Interrupted]
        with Stop(held=True):
            raise AssertionError("it went on")


def test_a_block_in_another_thread_changes_no_handler():
    seen = []

    def enter():
        with Stop() as stop:
            seen.append((stop.received, signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(timeout=60)
    assert seen == [(0, signal.getsignal(signal.SIGINT))]


# A run.

@pytest.mark.parametrize(("how", "system"), [("kill", "plain"), *(("signal", system) for system in SYSTEMS)])
def test_a_stop_during_an_evaluation_loses_no_epoch(tmp_path, monkeypatch, steps, how, system):
    whole, original = run_of(tmp_path / "whole", *SYSTEMS[system]), deep.evaluation.accuracy.measure

    def stopped(model, split, attack, seed, **options):
        if seed == 2:
            if how == "kill":
                raise SystemExit
            terminated()
        return original(model, split, attack, seed=seed, **options)
    monkeypatch.setattr(deep.evaluation.accuracy, "measure", stopped)
    with pytest.raises(Interrupted if how == "signal" else SystemExit):
        run_of(tmp_path, *SYSTEMS[system])
    state = RunFolder(tmp_path / "run").resume()[0]
    assert (state["epoch"], state["step"], len(state["history"])) == (1, 4, 1)
    previous = load_checkpoint(tmp_path / "run" / "previous.pt")
    assert (previous["epoch"], previous["step"], len(previous["history"])) == (1, 0, 1)  # the epoch before, evaluated
    monkeypatch.setattr(deep.evaluation.accuracy, "measure", original)
    del steps[:]
    assert contents(run_of(tmp_path, *SYSTEMS[system])) == contents(whole)
    assert steps == [(2, step) for step in range(4)]


def test_all_processes_leave_an_evaluation_after_the_same_batch(tmp_path, steps):
    class Asked(Alone):
        """Another process is sent a signal while epoch 1 is evaluated."""

        def maximum(self, number):
            assert number == 0
            return 15 if len(steps) == 4 and self.looked() else 0

        looks = 0

        def looked(self):
            self.looks += 1
            return self.looks > 1  # the first look is after the last step
    with pytest.raises(Interrupted, match="signal 15"):
        run_of(tmp_path, world=Asked())
    assert RunFolder(tmp_path / "run").resume()[0]["step"] == 4


@pytest.mark.parametrize("moment", ["in the last evaluation", "after it"])
def test_a_sweep_ends_where_its_run_was_stopped(tmp_path, monkeypatch, capsys, steps, moment):
    path, out = tmp_path / "sweep.toml", tmp_path / "runs"
    path.write_text(SWEEP)
    first, second = read_sweep(path)
    with monkeypatch.context() as patch:
        if moment == "after it":
            write = RunFolder.write_metrics
            patch.setattr(RunFolder, "write_metrics", lambda run, history:
                          (write(run, history), len(history) == 3 and terminated()))
        else:
            measure = deep.evaluation.accuracy.measure
            patch.setattr(deep.evaluation.accuracy, "measure", lambda *arguments, **options:
                          (terminated(), measure(*arguments, **options))[1])
        assert main(["sweep", str(path), "--out", str(out)]) == 143
    assert "signal 15 stopped the training; the same command continues it." in capsys.readouterr().err
    assert run_status(first, out)["state"] == ("finished" if moment == "after it" else "partial")
    assert not (out / second.name).exists() and len(steps) == 12
    assert main(["sweep", str(path), "--out", str(out)]) == 0
    assert len(steps) == 24


# What is said.

@pytest.mark.parametrize(("words", "said"), [
    (["evaluate", "RUN"], "deep evaluate; the same command begins again"),
    (["evaluate", "RUN", "--attacks", "pgd1"],
     "deep evaluate; the same command goes on after the last attack that has ended"),
    (["cas", "RUN"], "deep cas; the same command begins again"),
    (["cas", "RUN", "--checkpoint", "all"],
     "deep cas; the same command goes on after the last checkpoint that was measured"),
    (["train", "planted-linear"], "deep train; the same command continues it"),
    (["evaluate", "--weights", "FILE", "--attacks", "pgd1"], "deep evaluate; the same command begins again"),
    (["evaluate", "--weights", "FILE", "--attacks", "pgd1", "--out", "found.json"],
     "deep evaluate; the same command goes on after the last attack that has ended"),
    (["cas", "--weights", "FILE", "--checkpoint", "all"], "deep cas; the same command begins again"),
    (["cas", "--features", "FILE", "--checkpoint", "all"], "deep cas; the same command begins again"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_the_same_command_does_is_said_as_it_is(monkeypatch, capsys, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deep.cli.train.use_device", terminated)
    monkeypatch.setattr("deep.recipe.recipe.read_recipe", terminated)
    monkeypatch.setattr("deep.runs.export.exported_words", terminated)
    monkeypatch.setattr("deep.experiments.outside_network.read_features", terminated)
    (tmp_path / "FILE").touch()
    assert main(words) == 143
    assert capsys.readouterr().err == f"deep: signal 15 stopped {said}.\n"


def test_the_thread_of_a_worker_stops_it_when_its_parent_is_another(monkeypatch):
    from deep.cli.sweep import end_with
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("the parent is not this one"))
    with pytest.raises(Interrupted), Stop():
        end_with(os.getppid() + 1)


