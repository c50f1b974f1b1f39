"""CAS at every kept checkpoint of a run: `deep cas RUN --checkpoint all`, and its file of one line a checkpoint."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import deep.experiments.checkpoint_evaluation
import deep.training.loop
from deep.__main__ import main
from deep.evaluation.accuracy import evaluation_attack, measure
from deep.evaluation.cas import cas, class_correlation
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.runs.results import checkpoint_names, find_result, read_results
from deep.training.loop import load_data

CAS = ["--checkpoint", "all", "--attack-seeds", "2", "--attack-steps", "2", "--json"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A planted run of three epochs whose checkpoints of epochs 1 and 2 are kept; best is one of the three."""
    out = tmp_path_factory.mktemp("runs")
    words = ["train", "planted-linear", "train_size=600", "val_size=60", "batch=100", "epochs=3", "eval_every=1",
             "loss=cross-entropy", "radius=none", "--out", str(out)]
    for epoch in (1, 2, 3):
        assert main([*words, *(["--stop-after", str(epoch)] if epoch < 3 else [])]) == 0
        run = next(out.iterdir())
        (run / "checkpoints").mkdir(exist_ok=True)
        if epoch < 3:
            state = torch.load(run / "last.pt", weights_only=True)
            torch.save({"model": state["model"], "epoch": epoch}, run / "checkpoints" / f"epoch-{epoch:04}.pt")
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def results(capsys, *words):
    assert main(["cas", *words]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def attacks(monkeypatch):
    """The checkpoints that were attacked, one entry an attack."""
    names, original = [], deep.experiments.checkpoint_evaluation.attack_test_images

    def counted(checkpoint, steps, seed):
        names.append(checkpoint.name)
        return original(checkpoint, steps, seed)
    monkeypatch.setattr(deep.experiments.checkpoint_evaluation, "attack_test_images", counted)
    return names


@pytest.mark.slow
def test_a_line_for_every_checkpoint(run, capsys):
    found = results(capsys, str(run), *CAS)
    assert [(line["checkpoint"], line["epoch"]) for line in found if line["checkpoint"] != "best"] == [
        ("epoch-0001", 1), ("epoch-0002", 2), ("last", 3)]
    assert read_results(run / "cas.jsonl") == sorted(found, key=lambda line: (line["epoch"], line["checkpoint"]))
    assert json.loads((run / "cas-last.json").read_text()) == found[-1]
    folder = RunFolder(run)
    data = load_data(folder.recipe())
    model = load_network(folder, data, "checkpoints/epoch-0002")
    outcome = measure(model, data.test, evaluation_attack(folder.recipe(), data.box, 2), seed=0)
    correlation = class_correlation(outcome.features, outcome.labels, model.linear.weight.detach())
    line = found[1]
    assert line["cas"] == pytest.approx(cas(correlation), rel=1e-9)
    assert line["robust"]["correct"] == int(outcome.robust.sum())
    assert [one["class"] for one in line["profile"]] == line["classes"]
    assert sum(one["share"] for one in line["profile"]) == pytest.approx(line["cas"])
    assert set(line["intervals"]) >= {"cas", "cas_excess", "cas_gauge_fixed", "cas_per_instance", "cas_clean",
                                      "cas_clean_gauge_fixed", "margin_cas"}
    assert 0 < line["margins"]["centred"]["r"] < 2


@pytest.mark.slow
def test_what_is_measured_is_not_measured_again(run, capsys, attacks):
    first = results(capsys, str(run), *CAS)
    # best has the weights of some epoch, which are known by then unless that is the last one
    assert len(attacks) == 2 * 3
    assert results(capsys, str(run), *CAS) == first
    assert len(attacks) == 6
    lines = read_results(run / "cas.jsonl")
    (run / "cas.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines if line["epoch"] != 2))
    assert results(capsys, str(run), *CAS) == first
    assert set(attacks[6:]) <= {"checkpoints/epoch-0002"}
    assert len(attacks) == 8


@pytest.mark.slow
def test_other_weights_and_another_attack_are_measured(run, capsys, attacks):
    results(capsys, str(run), *CAS)
    path = run / "checkpoints" / "epoch-0001.pt"
    state = torch.load(path, weights_only=True)
    state["model"]["linear.weight"][0] += 0.01
    torch.save(state, path)
    found = results(capsys, str(run), *CAS)
    assert attacks[6:] == ["checkpoints/epoch-0001"] * 2
    lines = read_results(run / "cas.jsonl")
    assert len(lines) == 4  # the line of the old weights is gone
    assert [line for line in lines if line["checkpoint"] == "epoch-0001"] == found[:1]
    results(capsys, str(run), *CAS[:-2], "1", "--json")  # one step in place of two
    known_now = 8 + 2 * len({line["weights"] for line in lines})
    assert len(attacks) == known_now
    assert len(read_results(run / "cas.jsonl")) == 8
    assert results(capsys, str(run), *CAS) == found  # and the lines of the first attack are still there
    assert len(attacks) == known_now


@pytest.mark.slow
def test_readable_lines(run, capsys):
    assert main(["cas", str(run), *CAS[:-1]]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4
    assert "epoch-0001 (epoch   1): robust" in out and "margin-CAS" in out


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on(run, capsys, attacks):
    (run / "checkpoints" / "epoch-0002.pt").write_bytes(b"half a file")
    assert main(["cas", str(run), *CAS]) == 2
    assert "epoch-0002.pt is not a readable checkpoint" in capsys.readouterr().err
    assert [line["checkpoint"] for line in read_results(run / "cas.jsonl")] == ["epoch-0001"]
    (run / "checkpoints" / "epoch-0002.pt").unlink()
    found = results(capsys, str(run), *CAS)
    assert [line["checkpoint"] for line in found] == ["epoch-0001", "best", "last"]
    assert attacks.count("checkpoints/epoch-0001") == 2


def test_a_damaged_file_is_named(run, capsys):
    for content in ('{"epoch": 1, "checkp', "[1]\n", '{"epoch": 1}\n'):
        (run / "cas.jsonl").write_text(content)
        assert main(["cas", str(run), *CAS]) == 2
        err = capsys.readouterr().err
        assert "cas.jsonl is damaged: remove it" in err and len(err.strip().splitlines()) == 1


def test_order_of_checkpoints(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="has no checkpoint"):
        checkpoint_names(RunFolder(tmp_path))
    for name in ("epoch-10000", "epoch-2000", "epoch-0090"):
        (tmp_path / "checkpoints" / f"{name}.pt").touch()
    (tmp_path / "last.pt").touch()
    (tmp_path / "checkpoints" / "epoch-0100.pt.tmp").touch()
    assert checkpoint_names(RunFolder(tmp_path)) == ["checkpoints/epoch-0090", "checkpoints/epoch-2000",
                                                "checkpoints/epoch-10000", "last"]


ENTER_MANY = """
import os, sys
from pathlib import Path
from deep.runs.results import write_result
child = os.fork()
for epoch in range(20) if child else range(20, 40):
    write_result(Path(sys.argv[1]), {"epoch": epoch, "checkpoint": f"epoch-{epoch:04}", "attack": "a", "cas": epoch},
          ("checkpoint",))
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_two_processes_lose_no_line(tmp_path):
    """They are forked where no other thread is, as this process may have them."""
    path = tmp_path / "cas.jsonl"
    subprocess.run([sys.executable, "-c", ENTER_MANY, str(path)], check=True, timeout=300,
                   cwd=Path(__file__).parents[3])
    assert [line["epoch"] for line in read_results(path)] == list(range(40))
    assert find_result(path, {"cas": 7, "attack": "a"})["checkpoint"] == "epoch-0007"
    assert find_result(path, {"cas": 7, "attack": "b"}) is None


def test_superclasses_are_reported(run, capsys, monkeypatch):
    """Planted data whose first two classes form a superclass: 2 of 6 pairs lie within it."""
    def grouped(recipe, folder=None):
        return dataclasses.replace(load_data(recipe, folder), superclasses=("a", "a", "b"))
    monkeypatch.setattr(deep.training.loop, "load_data", grouped)
    assert main(["cas", str(run), "--checkpoint", "last", "--attack-seeds", "1", "--attack-steps", "1"]) == 0
    out = capsys.readouterr().out
    assert "CAS within" in out and "CAS between" in out and "margins, centred" in out
    last = json.loads((run / "cas-last.json").read_text())
    assert last["cas_within"] == pytest.approx(2 * max(last["correlation"][0][1], 0))
    assert last["cas_within"] + last["cas_between"] == pytest.approx(last["cas"])
    low, high = last["intervals"]["cas_within_excess"]
    assert low < last["cas_within_excess"] < high
