"""CAS at every kept checkpoint of a run: `deep cas RUN --checkpoint all`, and its file of one line a checkpoint."""

import dataclasses
import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import deep.experiments.checkpoint_evaluation
import deep.training.loop
from deep.__main__ import main
from deep.data.dataset import Split, as_float, balanced
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


# --- another split, another eps ---

ONE = ["--checkpoint", "last", "--attack-seeds", "1", "--attack-steps", "1"]


@pytest.mark.slow
def test_another_split_at_another_eps_is_measured_apart(run, capsys):
    """The run's own cas-last.json stays; each has a file and a line of its own, and says its split and its eps."""
    (own,) = results(capsys, str(run), *ONE, "--json")
    kept = (run / "cas-last.json").read_bytes()
    assert (own["split"], own["eps"], own["n"], own["data"]) == ("test", "1/5", 6000, "planted images")
    folder = RunFolder(run)
    data = load_data(folder.recipe())
    model = load_network(folder, data, "last")
    for split, eps, size, name in (("train", "0.1", 600, "-train-eps1of10"), ("val", "1/5", 60, "-val"),
                                   ("val", "1/10", 60, "-val-eps1of10")):
        (found,) = results(capsys, str(run), *ONE, "--split", split, "--eps", eps, "--json")
        assert (found["split"], found["eps"], found["n"], found["n_test"]) == (split, str(Fraction(eps)), size, 6000)
        assert json.loads((run / f"cas-last{name}.json").read_text()) == found
        attack = evaluation_attack(folder.recipe(), data.box, 1, Fraction(eps))
        assert (attack.eps, attack.step) == (Fraction(eps), Fraction(eps) / 4)
        outcome = measure(model, getattr(data, split), attack, seed=0)
        assert found["cas"] == pytest.approx(cas(class_correlation(outcome.features, outcome.labels,
                                                                   model.linear.weight.detach())), rel=1e-9)
        assert found["robust"]["correct"] == int(outcome.robust.sum())
    assert (run / "cas-last.json").read_bytes() == kept
    assert len(read_results(run / "cas.jsonl")) == 4


@pytest.mark.slow
def test_a_sample_is_measured_apart_and_never_taken_for_all_images(run, capsys, attacks):
    """The same sample is not measured again, and all images are; of the test images as of others."""
    words = [str(run), "--checkpoint", "all", "--attack-seeds", "1", "--eps", "0", "--json"]
    for name in ("checkpoints/epoch-0001", "checkpoints/epoch-0002", "best"):
        (run / f"{name}.pt").unlink()

    def measured(*more):
        del attacks[:]
        return results(capsys, *words, *more)[0], len(attacks)
    part, count = measured("--split", "train", "--limit", "90")
    assert measured("--split", "train", "--limit", "90") == (part, 0)
    whole, again = measured("--split", "train")
    assert (count, again, part["n"], whole["n"]) == (1, 1, 90, 600)
    assert part["data"] == "planted images (a sample of 90), its training images"
    other, count = measured("--limit", "90")
    assert (count, other["n"], other["n_test"], other["data"]) == (1, 90, 90, "planted images (a sample of 90)")
    for name, found in (("-train-eps0-sample90", part), ("-train-eps0", whole), ("-eps0-sample90", other)):
        assert json.loads((run / f"cas-last{name}.json").read_text()) == found
    assert not (run / "cas-last-eps0.json").exists() and len(read_results(run / "cas.jsonl")) == 3
    folder = RunFolder(run)
    images, model = load_data(folder.recipe()).train, load_network(folder, load_data(folder.recipe()), "last")
    chosen = balanced(images.labels, 90)
    features = model.features(as_float(images.images[chosen])).detach()
    expected = cas(class_correlation(features, images.labels[chosen], model.linear.weight.detach()))
    assert part["cas"] == pytest.approx(expected, rel=1e-5)


def test_at_eps_0_the_images_are_clean(run, capsys, attacks):
    (found,) = results(capsys, str(run), "--checkpoint", "last", "--split", "train", "--eps", "0", "--json")
    assert len(attacks) == 1  # of three seeds, which see the same
    for own, clean in (("robust", "clean"), ("cas", "cas_clean"), ("sharing", "sharing_clean")):
        assert found[own] == found[clean]
    assert not (run / "cas-last.json").exists()


@pytest.mark.slow
def test_every_checkpoint_on_another_split(run, capsys, attacks):
    words = [*CAS[:-1], "--split", "train", "--eps", "0"]
    first = results(capsys, str(run), *words, "--json")
    count = len(attacks)
    assert main(["cas", str(run), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(attacks) == count and len(lines) == len(first) == 4
    for line, result in zip(lines, first, strict=True):
        assert line.endswith("train images, eps 0 (clean)")
        assert f"sharing {result['sharing']:.3f} (" in line
        assert f"null levels {result['margin_cas_null']:.3f}, {result['margin_cas_separation_null']:.3f}" in line


def test_the_nulls_are_printed_beside_the_values(run, capsys):
    assert main(["cas", str(run), *ONE, "--split", "val", "--eps", "0"]) == 0
    out = capsys.readouterr().out
    found = json.loads((run / "cas-last-val-eps0.json").read_text())
    assert "planted images, its validation images" in out and "n = 60; val images, eps 0 (clean)" in out

    def level(key):
        return f"{found[key]:.3f} ± {found[key + '_sd']:.3f}"
    assert f"sharing                {found['sharing']:.3f} (" in out and level("sharing_null") in out
    assert (f"null levels {level('margin_cas_null')} (random rows), {level('margin_cas_separation_null')} (features "
            "permuted)") in out
    for kind, words in (("random", "random rows"), ("separation", "permuted")):
        line = next(line for line in out.splitlines() if line.startswith(f"  null, {words}"))
        for key, value in found["margin_nulls"][kind].items():
            assert (f"{key} does not exist" if value is None else f"{key} {value:.3f}") in line
    assert 0.3 < found["margin_nulls"]["random"]["rho"] < 0.9


@pytest.mark.parametrize(("words", "sentence"), [
    (["--eps", "8"], "--eps = 8 was given, but it is a fraction of the pixel range between 0 and 1"),
    (["--split", "val"], "has no validation images: choose another split"),
    (["--limit", "5"], "--limit = 5 was given, but the intervals of CAS need two images of each of the 3 classes: give "
                       "6 or more"),
    (["--limit", "0"], "--limit = 0 was given"),
])
def test_refusals_measure_nothing(run, capsys, attacks, monkeypatch, words, sentence):
    def without_validation(recipe, folder=None):
        data = load_data(recipe, folder)
        return dataclasses.replace(data, val=Split(data.val.images[:0], data.val.labels[:0]))
    monkeypatch.setattr(deep.training.loop, "load_data", without_validation)
    assert main(["cas", str(run), *ONE, *words]) == 2
    err = capsys.readouterr().err
    assert sentence in err and attacks == [] and not (run / "cas.jsonl").exists()


def test_one_image_of_a_class_has_no_interval(run, capsys, attacks, monkeypatch):
    """And from few ones it is too narrow, which is said once, whatever the number of checkpoints."""
    def few(recipe, folder=None):
        data = load_data(recipe, folder)
        labels = torch.tensor([0, 0, 1, 2, 1, 0])
        return dataclasses.replace(data, val=Split(data.val.images[:6], labels),
                                   test=Split(data.test.images[:7], torch.cat([labels, torch.tensor([2])])))
    monkeypatch.setattr(deep.training.loop, "load_data", few)
    assert main(["cas", str(run), *ONE, "--split", "val"]) == 2
    assert (f"the split of validation images of {run} has 1 image of class 3, but an interval resamples the images of "
            "each class, and a single one cannot vary: give two or more of each") in capsys.readouterr().err
    assert attacks == []
    assert main(["cas", str(run), "--attack-seeds", "1", "--attack-steps", "1"]) == 0
    assert " ".join(capsys.readouterr().out.split()).count(
        "the intervals are too narrow: class 2 has 2 images, and a resampling needs 10 or more of each class") == 1
    for path in run.glob("cas-*-on-*.json"):
        found = json.loads(path.read_text())
        assert (found["fewest_images"], found["intervals_too_narrow"], found["margins"]) == (2, True, None)
        path.unlink()
    (run / "cas.jsonl").unlink()


def test_a_line_of_an_older_version_is_measured_again(run, capsys, attacks):
    (run / "checkpoints" / "epoch-0001.pt").unlink()
    (run / "checkpoints" / "epoch-0002.pt").unlink()
    words = [str(run), "--checkpoint", "all", "--split", "val", "--attack-seeds", "1", "--attack-steps", "1", "--json"]
    first = results(capsys, *words)
    count = len(attacks)
    lines = [{key: value for key, value in line.items() if key not in ("margin_nulls", "sharing", "split", "n", "eps")}
             for line in read_results(run / "cas.jsonl")]
    (run / "cas.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert results(capsys, *words) == first and len(attacks) == 2 * count
    assert len(read_results(run / "cas.jsonl")) == len(lines)
