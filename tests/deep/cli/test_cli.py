"""The command line of `deep` from training to CAS, and what it answers when it cannot."""

import json

import pytest
import torch

from deep.__main__ import main
from deep.evaluation.accuracy import accuracy, evaluation_attack, measure
from deep.evaluation.cas import cas, class_correlation
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data

SMALL = ["train_size=600", "val_size=60", "batch=100", "epochs=3", "eval_every=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", "planted-linear", *SMALL, "--out", str(out)]) == 0
    return next(out.iterdir())


def results(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_run_folder(run):
    assert {path.name for path in run.iterdir()} >= {"recipe.json", "metrics.jsonl", "last.pt", "best.pt",
                                                    "environment.json"}
    assert not list(run.glob("*.tmp"))
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
def test_evaluate(run, capsys):
    best, last = results(capsys, "evaluate", str(run))
    assert (best["checkpoint"], last["checkpoint"], last["epoch"]) == ("best", "last", 3)
    for result in (best, last):
        for kind in ("clean", "robust"):
            value = result[kind]
            assert value["value"] == value["correct"] / value["n"]
            assert value["n"] == 6000
            assert value["interval"][0] < value["value"] < value["interval"][1]
        assert result["robust"]["value"] < result["clean"]["value"]
    assert json.loads((run / "evaluate-last.json").read_text()) == last


@pytest.mark.slow
def test_whatever_a_run_was_trained_with_it_is_measured_with_pgd_20(run, capsys):
    """Its own metrics have eval_steps = 5; the numbers are those of the attack that is named."""
    folder = RunFolder(run)
    recipe = folder.recipe()
    assert recipe.eval_steps == 5
    data = load_data(recipe)
    model = load_network(folder, data, "last")
    outcomes = {steps: measure(model, data.test, evaluation_attack(recipe, data.box, steps), 0) for steps in (20, 5)}
    (found,), (line,) = (results(capsys, command, str(run), "--checkpoint", "last", *more) for command, more in (
        ("evaluate", ()), ("cas", ("--attack-seeds", "1"))))
    weight = model.linear.weight.detach()
    for result in (found, line):
        assert result["attack"].startswith("PGD-20 linf eps 1/5 step 1/20")
        assert result["robust"]["correct"] == int(outcomes[20].robust.sum())
    assert line["cas"] == pytest.approx(cas(class_correlation(outcomes[20].features, outcomes[20].labels, weight)))
    own = folder.metrics()[-1]
    assert own["robust"] == pytest.approx(outcomes[5].robust.double().mean().item(), abs=1e-3)
    (again,) = results(capsys, "evaluate", str(run), "--checkpoint", "last", "--attack-steps", "5")
    assert again["attack"].startswith("PGD-5 ")


@pytest.mark.slow
def test_cas(run, capsys):
    (last,) = results(capsys, "cas", str(run), "--checkpoint", "last", "--attack-seeds", "2")
    correlation = torch.tensor(last["correlation"])
    assert correlation.shape == (3, 3)
    torch.testing.assert_close(correlation.diagonal(), torch.ones(3))
    assert cas(correlation) == pytest.approx(last["cas"])
    assert last["cas_interval"][0] <= last["cas_interval"][1]
    assert last["cas_excess"] == pytest.approx(last["cas"] - last["cas_null"])


@pytest.mark.slow
def test_readable_output(run, capsys):
    assert main(["evaluate", str(run), "--checkpoint", "last", "--attack-steps", "2"]) == 0
    assert main(["cas", str(run), "--checkpoint", "last"]) == 0
    out = capsys.readouterr().out
    assert "95 % Wilson interval" in out
    assert "PGD-2 linf eps 1/5" in out
    assert "null level" in out


@pytest.mark.parametrize(("words", "sentence"), [
    (["train", "at", "eps=8"], "write 8/255"),
    (["train", "at-cpu", "--data", "/nowhere"], "no CIFAR-10 was found in"),
    (["train", "planted-linear", "--device", "cuda:99"], "cannot be used here"),
    (["train", "planted-linear", "--threads", "0"], "--threads = 0 was given"),
    (["train", "planted-linear", "--stop-after", "0"], "--stop-after = 0 was given"),
    (["train", "at-cpu", "--data", "/no/images", "--branch-of", "/nowhere"], "/nowhere is not a run folder"),
    (["train", "at-cpu", "--data", "/no/images", "teacher=/nowhere:last", "teacher_share=0.5"],
     "/nowhere is not a run folder"),
    (["evaluate", "/nowhere"], "is not a run folder"),
    (["train", "planted-linear", "mu=-5"], "mu = -5.0 was given"),
    (["train", "planted-linear", "mu=nan"], "mu = nan was given"),
    (["train", "planted-linear", "patch=100"], "patch = 100 was given"),
    (["train", "planted-linear", "padding=8"], "padding = 8 was given, but reflection needs less"),
    (["train", "planted-linear", "smoothing=0.7"], "with 3 classes, but it must be below (K-1)/K = 0.6667"),
    (["cas", "/nowhere", "--attack-steps", "0"], "--attack-steps = 0 was given"),
])
def test_refusals(words, sentence, capsys, tmp_path):
    extra = ["--out", str(tmp_path)] if words[0] == "train" else []
    assert main([*words, *extra]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir())  # refused before there is a run folder


@pytest.mark.parametrize("eps", ["-1/255", "-8", "-.1", "-1e-3"])
def test_a_negative_eps_is_refused_by_its_range(eps, capsys):
    """argparse takes -1/255 for an option."""
    for command in ("cas", "evaluate"):
        assert main([command, "/nowhere", "--eps", eps]) == 2
        assert capsys.readouterr().err == (f"deep: --eps = {eps} was given, but it is a fraction of the pixel range "
                                           "between 0 and 1: write one such as 8/255.\n")


def test_overrides_may_follow_an_option(tmp_path):
    assert main(["train", "planted-linear", *SMALL, "--out", str(tmp_path), "lr=0.01"]) == 0
    assert json.loads(next(tmp_path.glob("*/recipe.json")).read_text())["lr"] == 0.01


@pytest.mark.parametrize(("words", "page"), [
    (["train", "planted-linear", "--colour", "red"], "deep train"), (["sing"], "deep"), (["cas"], "deep cas"),
    (["evaluate", "run", "more"], "deep evaluate"), (["bench", "--repeats", "few"], "deep bench")])
def test_unknown_words_get_one_sentence_that_points_to_the_commands_help(words, page, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert err.endswith(f"; see {page} --help.\n")


@pytest.mark.parametrize("content", ["{", '{"eps": "foo"}', '{"eps": "1/0"}', '{"colour": 1}', "[1]"])
def test_a_corrupt_recipe_gets_one_sentence(content, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text(content)
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", [{"epoch": 1}, {"epoch": 1, "model": {}}, [1]])
def test_a_foreign_checkpoint_gets_one_sentence(run, tmp_path, capsys, content):
    (tmp_path / "recipe.json").write_text((run / "recipe.json").read_text())
    torch.save(content, tmp_path / "last.pt")
    assert main(["evaluate", str(tmp_path), "--checkpoint", "last"]) == 2
    err = capsys.readouterr().err
    assert "restore" in err
    assert len(err.strip().splitlines()) == 1


def test_wilson_interval_by_its_formula():
    result = accuracy(torch.arange(200) < 150)
    z, n, p = 1.959963984540054, 200, 0.75
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert result["interval"] == pytest.approx([centre - half, centre + half], abs=1e-12)
