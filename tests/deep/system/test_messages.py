"""Nothing that is told changes the training: full disks and closed pipes, a clock that stands still."""

import errno
import io
import json
import os
import re
import sys
import time
from contextlib import redirect_stderr, suppress
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from deep.__main__ import main
from deep.data.planted import planted_images
from deep.experiments.sweep import read_sweep, run_status
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.tensorboard import Mirror
from deep.system.messages import tell
from deep.system.progress import bar, epoch_note, training_progress
from deep.system.speed import seconds
from deep.training.loop import load_data, train
from tests.deep.system.test_faults import state_of

WORDS = ["epochs=3", "train_size=200", "val_size=30", "batch=100", "eval_every=1"]
RECIPE = recipe_named("planted-linear", WORDS)


@pytest.fixture(autouse=True, scope="module")
def few_test_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deep.training.loop.planted_images", partial(planted_images, test_size=60))
        yield


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def full():
    return open("/dev/full", "w", buffering=1)


def broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w", buffering=1)


def gone():
    file = io.StringIO()
    file.close()
    return file


def full_terminal():
    return Terminal(open("/dev/full", "wb"))


@pytest.fixture(params=[full, broken_pipe, gone, full_terminal, lambda: None],
                ids=["full", "broken pipe", "closed", "terminal", "none"])
def lost(request):
    """A stream where nothing can be written; for a block, since pytest sets its own standard error between fixtures."""
    stream = request.param()
    yield stream
    if stream is not None:
        with suppress(OSError):
            stream.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train(RECIPE, load_data(RECIPE), tmp_path_factory.mktemp("undisturbed")).path


def test_a_training_whose_lines_are_lost_is_the_same(undisturbed, tmp_path, lost):
    with redirect_stderr(lost):
        assert main(["train", "planted-linear", *WORDS, "--out", str(tmp_path)]) == 0
    for name in ("last.pt", "best.pt"):
        assert state_of(tmp_path / run_name(RECIPE) / name) == state_of(undisturbed / name)


def test_a_sweep_whose_lines_are_lost_trains(undisturbed, tmp_path, lost):
    path = tmp_path / "sweep.toml"
    path.write_text('recipe = "planted-linear"\n[set]\n' + "\n".join(WORDS) + "\n[grid]\nseed = [0, 1]\n")
    with redirect_stderr(lost):
        assert main(["sweep", str(path), "--out", str(tmp_path / "runs")]) == 0
    assert [run_status(run, tmp_path / "runs")["state"] for run in read_sweep(path)] == ["finished"] * 2
    assert state_of(tmp_path / "runs" / run_name(RECIPE) / "last.pt") == state_of(undisturbed / "last.pt")


def test_a_complaint_that_is_lost(undisturbed, tmp_path, lost):
    """A damaged checkpoint is complained of, and the run goes on from the one before."""
    run = train(RECIPE, load_data(RECIPE), tmp_path, stop_after=2)
    (run.path / "last.pt").write_bytes(b"half")
    with redirect_stderr(lost):
        assert train(RECIPE, load_data(RECIPE), tmp_path).path == run.path
    assert state_of(run.path / "last.pt") == state_of(undisturbed / "last.pt")


def test_bars_and_sentences_that_are_lost(lost):
    with redirect_stderr(lost), bar("attacking", 2) as advance:
        advance(1)
        tell("a sentence")
        advance(1)


def test_what_can_be_written_is(capsys):
    tell("a sentence")
    tell("another", sys.stdout)
    assert capsys.readouterr() == ("another\n", "a sentence\n")


@pytest.mark.parametrize("words", [["train", "no-such-recipe"], ["evaluate", "/nowhere"]])
def test_a_refusal_that_is_lost_still_has_its_status(words, lost):
    with redirect_stderr(lost):
        assert main(words) == 2


ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_the_bar_of_a_training_fits_80_columns_and_loses_nothing(monkeypatch):
    """Epoch, steps, speed and the last accuracies, whole, also the most digits; before the first step no total."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal(io.BytesIO(), encoding="utf-8")
    line = {"epoch": 199, "images_per_second": 12345.6, "train_loss": 1.234, "train_robust": 0.4567, "val_robust": 0.44}
    evaluated = {"epoch": 195, "images_per_second": None, "train_loss": 1.2, "train_robust": 0.5, "robust": 0.432,
                 "clean": 0.75, "cas": 10.25}
    with redirect_stderr(screen), training_progress(SimpleNamespace(epochs=200)) as progress:
        progress(SimpleNamespace(epoch=199, step=300, batches=383, history=[evaluated, line]))
    screen.flush()
    shown = ANSI.sub("", screen.buffer.getvalue().decode()).replace("\r", "\n").splitlines()
    assert max(map(len, shown)) <= 80
    first, last = (next(line for line in shown if line.startswith(f"epoch {epoch}/200")) for epoch in (1, 200))
    assert "0/?" in first and "None" not in first
    assert "76517/76600" in last and "…" not in last
    note = " ".join(line.strip() for line in shown[shown.index(last) + 1:shown.index(last) + 3])
    assert note == ("12346 images/s  loss 1.234  robust: train 45.7 %, validation 44.0 %, test (epoch 195) 43.2 %  "
                    "clean 75.0 %  CAS 10.25")


def test_without_a_terminal_a_line_tells_each_half_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("deep.system.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    with bar("attacking best", 100) as advance:
        for now[0] in (10.0, 29.0, 30.0, 59.0, 61.0, 62.0):
            advance(10)
    assert capsys.readouterr().err == "attacking best  30/100\nattacking best  50/100\n"


def test_a_mirror_that_cannot_be_closed():
    class Full:
        def close(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    mirror = Mirror("nowhere")
    mirror.writer = Full()
    mirror.close()


# --- clocks ---

def test_a_clock_that_stands_still(undisturbed, tmp_path, monkeypatch, capsys):
    """No speed is told, and the training is the same."""
    monkeypatch.setattr(time, "perf_counter", lambda: 7.0)
    with training_progress(RECIPE) as progress:
        run = train(RECIPE, load_data(RECIPE), tmp_path, progress=progress)
    lines = run.metrics()
    assert [line["images_per_second"] for line in lines] == [None] * 3
    for name in ("model", "generators", "optimiser"):
        assert_same_part(run, RunFolder(undisturbed), name)
    err = capsys.readouterr().err
    assert "images/s" not in err and "epoch 3/3  loss " in err
    assert epoch_note([lines[-1] | {"images_per_second": 12.3}]).startswith("12 images/s  loss ")
    assert train(RECIPE, load_data(RECIPE), tmp_path).metrics() == lines  # and it is opened again
    with pytest.raises(ValueError, match="the clock stood still during a measurement"):
        seconds(lambda: None, torch.device("cpu"))


def assert_same_part(first, second, name):
    one, two = (json.dumps(torch_plain(run.model_state("last")[name])) for run in (first, second))
    assert one == two


def torch_plain(value):
    if isinstance(value, torch.Tensor):
        return value.flatten().view(torch.uint8).tolist()
    if isinstance(value, dict):
        return {str(key): torch_plain(item) for key, item in value.items()}
    return [torch_plain(item) for item in value] if isinstance(value, list | tuple) else value


# --- what is gone or cut of a finished run ---

def copied(undisturbed, out):
    run = out / undisturbed.name
    run.mkdir(parents=True)
    for path in undisturbed.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    return run


@pytest.mark.parametrize("epochs", [2, 3], ids=["partial", "finished"])
def test_a_best_checkpoint_that_is_gone_is_written_again(undisturbed, tmp_path, epochs):
    run = train(RECIPE, load_data(RECIPE), tmp_path, stop_after=epochs).path
    best = state_of(run / "best.pt")
    (run / "best.pt").unlink()
    train(RECIPE, load_data(RECIPE), tmp_path, stop_after=epochs)
    assert state_of(run / "best.pt") == best


def test_a_finished_run_whose_last_checkpoint_is_cut(undisturbed, tmp_path, capsys):
    path = tmp_path / "sweep.toml"
    path.write_text('recipe = "planted-linear"\n[set]\n' + "\n".join(WORDS))
    run = copied(undisturbed, tmp_path / "runs")
    content = (run / "last.pt").read_bytes()
    command = ["sweep", str(path), "--out", str(tmp_path / "runs")]
    for length in (0, len(content) // 2, len(content) - 1):
        (run / "last.pt").write_bytes(content[:length])
        sentence = f"{run / 'last.pt'} is cut, so its last epoch is trained again"
        capsys.readouterr()
        assert main([*command, "--list"]) == 0
        assert capsys.readouterr().out.strip().endswith(f"partial, epoch 3 of 3: {sentence}")
        assert main([*command, "--json"]) == 0
        out, err = capsys.readouterr()
        assert sentence in err and "Going on from the checkpoint before it." in err
        assert json.loads(out)[0]["state"] == "finished"
        assert state_of(run / "last.pt") == state_of(undisturbed / "last.pt")
