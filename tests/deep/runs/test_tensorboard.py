"""The mirror for TensorBoard: read back by TensorBoard itself, resumed, missing, and broken."""

import json
import sys

import pytest
import torch

from deep.__main__ import main
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.tensorboard import Mirror
from tests.conftest import imported

WORDS = ["planted-linear", "epochs=4", "train_size=600", "val_size=60", "batch=100", "eval_every=2"]
NAME = run_name(recipe_named(WORDS[0], WORDS[1:]))


def points(run):
    """{key: [(epoch, value), ...]} as TensorBoard sees it."""
    imported("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {key: [(event.step, event.value) for event in events.Scalars(key)] for key in events.Tags()["scalars"]}


def assert_mirrors_the_metrics(run):
    lines = RunFolder(run).metrics()
    found = points(run)
    keys = {key for line in lines for key, value in line.items() if isinstance(value, int | float)} - {"epoch"}
    assert {"train_loss", "robust", "cas", "seconds"} <= keys == found.keys()
    for key, values in found.items():
        assert [epoch for epoch, _ in values] == [line["epoch"] for line in lines if key in line]
        assert [value for _, value in values] == pytest.approx([line[key] for line in lines if key in line], rel=1e-6)


def trained(out, *options):
    assert main(["train", *WORDS, "--out", str(out), "--threads", "1", *options]) == 0
    return out / NAME


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    threads = torch.get_num_threads()
    yield trained(tmp_path_factory.mktemp("plain"))
    torch.set_num_threads(threads)


def assert_same_weights(run, other):
    first, second = (RunFolder(path).model_state("last")["model"] for path in (run, other))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.slow
def test_a_training_is_mirrored_and_not_changed(plain, tmp_path):
    assert not (plain / "tensorboard").exists()
    run = trained(tmp_path, "--tensorboard")
    assert_mirrors_the_metrics(run)
    assert_same_weights(run, plain)


@pytest.mark.slow
def test_a_resumed_run_has_one_point_an_epoch(plain, tmp_path):
    """Also when it was first mirrored, then not, then again, and when a crash took an epoch back."""
    trained(tmp_path, "--tensorboard", "--stop-after", "2")
    run = trained(tmp_path, "--stop-after", "3")
    Mirror(run).update([*RunFolder(run).metrics(), {"epoch": 4, "train_loss": 99.0, "robust": 0.5}])
    assert points(run)["train_loss"][-1] == (4, 99.0)
    trained(tmp_path, "--tensorboard")
    assert_mirrors_the_metrics(run)
    assert_same_weights(run, plain)
    assert sum(path.stat().st_size > 0 for path in (run / "tensorboard").iterdir()) == 1


def test_who_watches_sees_no_double_points(tmp_path):
    """A TensorBoard that is open while a run is resumed has the old file's points, and forgets them."""
    imported("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    history = [{"epoch": epoch, "loss": float(epoch)} for epoch in (1, 2, 3)]
    Mirror(tmp_path).update(history)
    watching = EventAccumulator(str(tmp_path / "tensorboard"))
    watching.Reload()
    assert len(watching.Scalars("loss")) == 3
    again = Mirror(tmp_path)
    again.update([*history[:2], {"epoch": 3, "loss": 7.0}])
    again.update([*history[:2], {"epoch": 3, "loss": 7.0}, {"epoch": 4, "loss": 8.0}])
    watching.Reload()
    assert [(event.step, event.value) for event in watching.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 7.0), (4, 8.0)]


def test_only_our_files_are_replaced(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    foreign = tmp_path / "tensorboard" / "events.out.tfevents.1.host.1.0"
    foreign.write_text("foreign")
    Mirror(tmp_path).update([{"epoch": 1, "loss": 1.0}])
    Mirror(tmp_path).update([{"epoch": 1, "loss": 1.0}])
    assert foreign.read_text() == "foreign"
    assert sum(path.stat().st_size > 0 for path in (tmp_path / "tensorboard").iterdir()) == 2


def test_export(plain, tmp_path, capsys):
    assert main(["tensorboard", str(plain)]) == 0
    assert capsys.readouterr().out.strip() == str(plain / "tensorboard")
    assert_mirrors_the_metrics(plain)
    assert main(["tensorboard", str(plain)]) == 0
    assert_mirrors_the_metrics(plain)
    capsys.readouterr()
    assert main(["tensorboard", str(plain), str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    (tmp_path / "recipe.json").write_text((plain / "recipe.json").read_text())
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    assert main(["tensorboard", str(tmp_path)]) == 2
    assert "metrics.jsonl is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["tensorboard", "torch.utils.tensorboard"])
def test_without_tensorboard_everything_else_works(plain, tmp_path, capsys, monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith(("tensorboard", "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    run = trained(tmp_path, "--tensorboard")
    assert "tensorboard is not installed, so nothing is written for it" in capsys.readouterr().err
    assert not (run / "tensorboard").exists()
    assert_same_weights(run, plain)
    assert main(["tensorboard", str(run)]) == 2
    assert "install the extra `tensorboard`" in capsys.readouterr().err


def test_a_broken_mirror_does_not_stop_the_training(plain, tmp_path, capsys):
    imported("tensorboard")
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "tensorboard").write_text("a file where the folder belongs")
    run = trained(tmp_path, "--tensorboard")
    assert capsys.readouterr().err.count("TensorBoard is not written any more") == 1
    assert_same_weights(run, plain)
    assert len(RunFolder(run).metrics()) == 4


def test_what_is_no_number_is_left_out(tmp_path):
    Mirror(tmp_path).update([{"epoch": 1, "loss": float("nan"), "name": "x", "list": [1.0], "n_test": 7}])
    found = points(tmp_path)
    assert found.keys() == {"loss", "n_test"}
    assert found["n_test"] == [(1, 7.0)]
    assert json.dumps(found["loss"]) == "[[1, NaN]]"
