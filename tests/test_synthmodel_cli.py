"""The command line of `synthmodel`: the numbers it prints, and the one sentence it refuses with."""

import csv
import io
import json
import math
import subprocess
import sys

import pytest

from synthmodel.__main__ import main

EPS0 = 0.5 - 0.25 / math.sqrt(math.pi)


def run(capsys, *words):
    status = main(list(words))
    return status, *capsys.readouterr()


def as_json(capsys, *words):
    status, out, err = run(capsys, *words, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("method", ["closed", "numeric"])
def test_solve(capsys, method):
    result = as_json(capsys, "solve", *"--mu 1 --sigma 0.5 --eps 0.2 --lam 0.1 --loss margin --method".split(), method)
    assert result["w1"] == pytest.approx(6, rel=1e-9)
    assert result["w2"] == pytest.approx((0.6 - 0.5 / math.sqrt(math.pi)) / 0.1, rel=1e-9)
    assert result["ratio"] == pytest.approx(result["w2"] / result["w1"])
    assert result["risk"] == pytest.approx(-0.05 * (result["w1"] ** 2 + result["w2"] ** 2), rel=1e-9)
    assert result["joint_accuracy"] == pytest.approx(0.9202409083, abs=1e-9)
    assert result["pairwise_accuracy"] == pytest.approx(0.9476174185, abs=1e-9)
    assert result["residual"] < 1e-10
    assert result["method"] == method


def test_solve_smoothed_and_cross_entropy(capsys):
    smoothed = as_json(capsys, "solve", *"--eps 0.365 --loss smoothed-margin --b 0.1".split())
    assert smoothed["w2"] == pytest.approx(2 * (EPS0 + 0.025 / math.sqrt(math.pi) - 0.365) / 0.1, rel=1e-9)
    entropy = as_json(capsys, "solve", *"--eps 0.4 --loss cross-entropy".split())
    assert entropy["method"] == "numeric"
    assert 0 < entropy["ratio"] < 1  # eps > eps0, and yet the feature is used (T1-CE)


def test_no_classifier_has_no_accuracy(capsys):
    result = as_json(capsys, "solve", "--eps", "0.5")
    assert (result["w1"], result["w2"]) == (0, 0)
    assert result["ratio"] is result["joint_accuracy"] is result["pairwise_accuracy"] is None


def test_thresholds(capsys):
    assert as_json(capsys, "thresholds", "--mu", "1", "--sigma", "0.5") == pytest.approx(
        {"eps0": EPS0, "eps_max": 0.5}, abs=1e-12)
    assert as_json(capsys, "thresholds", "--b", "0.1") == pytest.approx(
        {"eps0": EPS0, "eps1": EPS0 + 0.025 / math.sqrt(math.pi), "eps_max": 0.5}, abs=1e-12)


def test_accuracy_and_best(capsys):
    assert as_json(capsys, "accuracy", "--eps", "0.2", "--ratio", "0.5") == pytest.approx(
        {"joint": 0.9195275789, "pairwise": 0.9462976818}, abs=1e-9)
    assert as_json(capsys, "best", "--eps", "0.2") == pytest.approx(
        {"k": 1.2, "r_at": 0.5298420137, "r_acc": 0.7590524893, "b_star": 0.4875179882}, abs=1e-9)
    above = as_json(capsys, "best", "--eps", "0.4")
    assert (above["r_at"], above["r_acc"], above["b_star"]) == (0, 0, None)


def test_curve(capsys):
    status, out, _ = run(capsys, "curve", "--eps", "0:0.5:200", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (status, len(rows)) == (0, 200)
    assert (float(rows[0]["eps"]), float(rows[-1]["eps"])) == (0, 0.5)
    dead = [float(row["eps"]) for row in rows if float(row["w2"]) == 0]
    assert EPS0 <= min(dead) < EPS0 + 0.5 / 199
    assert rows[-1]["ratio"] == ""


def test_verify(capsys):
    rows = as_json(capsys, "verify")
    assert [row["id"] for row in rows] == ["T1", "T2-pair", "T2-joint", "T2-joint'", "T3", "N1", "N2", "N3"]
    assert all(row["holds"] for row in rows)
    assert {"source", "status", "domain", "margin", "measure", "counterexample"} <= rows[0].keys()


@pytest.mark.parametrize(("words", "sentence"), [
    ("solve --eps 0.2 --sigma 0", "sigma = 0 was given, but it must be a finite number > 0"),
    ("solve --eps 0.2 --sigma nan", "sigma = nan was given"),
    ("solve --eps 0.2 --mu -1", "mu = -1 was given, but it must be a finite number > 0"),
    ("solve --eps -0.1", "eps = -0.1 was given, but it must be a finite number >= 0"),
    ("solve --eps some", "eps = some was given"),
    ("solve --eps 0.2 --lam 0", "lam = 0 was given, but it must be a finite number > 0"),
    ("solve --eps 0.2 --loss smoothed-margin --b 1", "b = 1 was given, but it must be a finite number >= 0 and < 1"),
    ("solve --eps 0.2 --loss smoothed-margin", "no b was given for smoothed-margin"),
    ("solve --eps 0.2 --loss margin --b 0.1", "which has no smoothing"),
    ("solve --eps 0.2 --loss hinge", "the loss 'hinge' is unknown"),
    ("solve --eps 0.2 --loss cross-entropy --method closed", "which has none"),
    ("solve --eps 0.2 --loss cross-entropy --b 0.9", "choose b <= 2/3"),
    ("solve --eps 0.2 --method guess", "the method 'guess' is unknown"),
    ("solve", "the following arguments are required: --eps"),
    ("solve --epsilon 0.2", "the following arguments are required: --eps"),
    ("thresholds --b 1", "b = 1 was given"),
    ("accuracy --eps 0.2 --ratio -1", "ratio = -1 was given"),
    ("best --eps 0.5", "eps = 0.5 was given, but it must be a finite number >= 0 and < 0.5"),
    ("curve --eps 0:1", "write 0:0.5:101"),
    ("curve --eps 0.5:0:10", "STOP > START"),
    ("dance", "invalid choice"),
    ("solve --eps 0.2 --sigma 1e-170", "of ordinary size (1e-50 to 1e50)"),
    ("solve --eps 0.2 --lam inf", "lam = inf was given"),
    ("solve --eps 0.2 --loss smoothed-margin --b -0.1", "b = -0.1 was given"),
    ("accuracy --eps 0.2 --ratio inf", "ratio = inf was given"),
    ("curve --eps 0:0.5:1", "a COUNT from 2 to 100000"),
    ("curve --eps 0:0.5:1000000000000", "a COUNT from 2 to 100000"),
    ("curve --csv --json", "not allowed with argument"),
])
def test_bad_input_gets_one_sentence_and_status_2(capsys, words, sentence):
    try:
        status = main(words.split())
    except SystemExit as error:
        status = error.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


def test_a_small_b_of_zero_is_the_margin_loss(capsys):
    assert as_json(capsys, "solve", *"--eps 0.2 --b 0".split()) == as_json(capsys, "solve", "--eps", "0.2")


def test_an_unwritable_place_gets_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", "--out", str(tmp_path / "file")]) == 1
    err = capsys.readouterr().err
    assert "cannot be written" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["mu", "sigma", "lam", "eps"])
@pytest.mark.parametrize("size", ["1e-50", "1e-9", "1e9", "1e50"])
@pytest.mark.parametrize("loss", ["margin", "cross-entropy"])
def test_extreme_sizes_give_a_number_or_a_sentence(name, size, loss, capsys):
    eps = [] if name == "eps" else ["--eps", "0.2"]
    status, out, err = run(capsys, "solve", "--loss", loss, "--method", "numeric", f"--{name}", size, *eps)
    assert status in (0, 1, 2)
    assert "nan" not in out
    assert len(err.strip().splitlines()) == (status != 0)


def test_import_is_light():
    """`import synthmodel` loads neither torch nor sympy nor matplotlib, and `deep` none of torch."""
    code = ("import sys, synthmodel, synthmodel.__main__, deep, deep.__main__; "
            "print([name for name in ('torch', 'sympy', 'matplotlib', 'flint') if name in sys.modules])")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
