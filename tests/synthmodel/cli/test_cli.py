"""The command line of `synthmodel`: the numbers it prints, and the one sentence it refuses with."""

import csv
import io
import json
import math
import subprocess
import sys

import pytest
from scipy.integrate import quad
from scipy.stats import norm

from synthmodel import (
    CrossEntropy,
    Distillation,
    Margin,
    Setting,
    SmoothedMargin,
    SoftTargetMargin,
    WrongClassLSE,
    accuracy_of,
    best_ratio,
    solve,
    threshold,
)
from synthmodel.__main__ import main
from synthmodel.model.noise import law

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


FLAGS = {  # what is typed -> the library's setting and loss
    "--loss soft-target-margin --b 0.1 --attack exact": ({}, SoftTargetMargin(0.1)),
    "--loss soft-target-margin --b 0.1 --attack monotone": ({}, SoftTargetMargin(0.1, "monotone")),
    "--loss wrong-class-lse --tau 0.1": ({}, WrongClassLSE(0.1)),
    "--loss wrong-class-lse --tau 0.1 --b 0.2": ({}, WrongClassLSE(0.1, 0.2)),
    "--loss cross-entropy --b 0.1 --attack monotone": ({}, CrossEntropy(0.1)),
    "--loss cross-entropy --b 0.1 --attack exact": ({}, CrossEntropy(0.1, "exact")),
    "--loss distillation --teacher 1,0.5": ({}, Distillation((1, 0.5))),
    "--loss distillation --teacher 1,0.5 --teacher-input clean": ({}, Distillation((1, 0.5), "clean")),
    "--classes 10 --design A": ({"classes": 10}, Margin()),
    "--classes 10 --design B": ({"classes": 10, "design": "B"}, Margin()),
    "--norm 2": ({"norm": 2}, Margin()),
    "--rho 0.3": ({"rho": 0.3}, Margin()),
    "--mu-e 1.2 --mu-c 0.9": ({"mu_e": 1.2, "mu_c": 0.9}, Margin()),
    "--sigma-e 0.2 --sigma-c 0.6": ({"sigma_e": 0.2, "sigma_c": 0.6}, Margin()),
    "--noise laplace": ({"noise": "laplace"}, Margin()),
    "--noise student-t:3 --loss smoothed-margin --b 0.1": ({"noise": "student-t:3"}, SmoothedMargin(0.1)),
    "--noise laplace --loss cross-entropy": ({"noise": "laplace"}, CrossEntropy()),
    "--classes 10 --design B --loss cross-entropy --rho 0.2": ({"classes": 10, "design": "B", "rho": 0.2},
                                                               CrossEntropy()),
}


@pytest.mark.parametrize("words", FLAGS)
def test_every_flag_reaches_the_library(capsys, words):
    own, loss = FLAGS[words]
    setting = Setting(1, 0.5, **own)
    expected, found = solve(setting, loss, 0.1, 0.3), as_json(capsys, "solve", "--eps", "0.1", "--lam", "0.3",
                                                               *words.split())
    assert [found["w1"], found["w2"], found["risk"]] == pytest.approx([expected.w1, expected.w2, expected.risk])
    assert (found["joint_accuracy"], found["pairwise_accuracy"]) == pytest.approx(
        accuracy_of(setting, expected.ratio, 0.1))
    plain = as_json(capsys, "solve", "--eps", "0.1", "--lam", "0.3")
    assert abs(found["w1"] - plain["w1"]) + abs(found["w2"] - plain["w2"]) > 1e-3  # no flag does nothing


@pytest.mark.parametrize("words", [words for words in FLAGS if "distillation" not in words and "exact" not in words])
def test_every_flag_reaches_the_thresholds(capsys, words):
    own, loss = FLAGS[words]
    found = as_json(capsys, "thresholds", *words.split())
    assert found.get("threshold", found.get("eps0")) == pytest.approx(threshold(Setting(1, 0.5, **own), loss))


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words in FLAGS if "--loss" not in words])
def test_every_setting_reaches_accuracy_best_and_curve(capsys, words):
    setting = Setting(1, 0.5, **FLAGS[words][0])
    found = as_json(capsys, "accuracy", "--eps", "0.1", "--ratio", "0.6", *words.split())
    assert (found["joint"], found["pairwise"]) == pytest.approx(accuracy_of(setting, 0.6, 0.1))
    best = as_json(capsys, "best", "--eps", "0.1", *words.split())
    assert best["r_acc"] == pytest.approx(best_ratio(setting, 0.1))
    assert best["r_at"] == pytest.approx(solve(setting, Margin(), 0.1, 1).ratio)
    rows = as_json(capsys, "curve", "--eps", "0:0.1:3", *words.split())
    assert rows[-1]["r_acc"] == pytest.approx(best["r_acc"]) and len(rows) == 3


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
    right = {name: quad(lambda z, r=r: norm.pdf(z) * norm.cdf(1.2 + (1.2 + z) / r)**2, -12, 12)[0]
             for name, r in (("r_at", 0.5298420137), ("r_acc", 0.7590524893))}
    assert as_json(capsys, "best", "--eps", "0.2") == pytest.approx(
        {"k": 1.2, "r_at": 0.5298420137, "r_acc": 0.7590524893, "b_star": 0.4875179882,
         "accuracy_r_at": right["r_at"], "accuracy_r_acc": right["r_acc"]}, abs=1e-9)
    above = as_json(capsys, "best", "--eps", "0.4")
    assert (above["r_at"], above["r_acc"], above["b_star"]) == (0, 0, None)


@pytest.mark.parametrize(("words", "note"), [
    ("", None), ("--eps 0.4", "b_star: the best ratio is 0"), ("--norm 2", "b_star: known for norm inf alone"),
    ("--noise laplace", "b_star: the margin loss has more than r_acc without smoothing"),
    ("--sigma-c 0.3", "k: of equal means and deviations alone; b_star: no smoothing reaches r_acc")])
def test_best_says_why_a_number_is_missing(words, note, capsys):
    best = as_json(capsys, "best", *(words if "--eps" in words else f"--eps 0.2 {words}").split())
    assert best.get("note") == note and (best["b_star"] is None) == (note is not None)


def test_design_b_names_the_decay(capsys):
    """Decay on every entry of W counts w2^2 K - 2 times: r_AT = 1 - e_{K-1}/((K-2) k) < r_acc, b* in (0, 1) (N2-B)."""
    best = as_json(capsys, "best", *"--classes 10 --design B --eps 0.2".split())
    least = law("normal").mean_largest(9)
    assert best["r_at"] == pytest.approx(8 - least / 1.2) and best["r_at"] == 8 * best["r_at_matrix"]
    assert best["r_at_matrix"] == pytest.approx(0.845311, abs=1e-6) and best["r_at_matrix"] < best["r_acc"]
    assert 0 < best["b_star_matrix"] < 1 and best["b_star"] is None
    smoothed = 1 - (1 - best["b_star_matrix"]) * least / (8 * 1.2)
    assert smoothed == pytest.approx(best["r_acc"])
    assert "on (w1, w2) alone" in best["decay"] and "every entry of W" in best["decay"]
    for words in ("solve --eps 0.2", "solve --eps 0.2 --loss cross-entropy", "curve --eps 0:0.2:2"):
        for design, classes, named in (("B", "10", True), ("B", "3", False), ("A", "10", False)):
            found = as_json(capsys, *words.split(), "--classes", classes, "--design", design)
            row = found[0] if isinstance(found, list) else found
            assert ("(w1, w2) alone" in row.get("decay", "")) == named


def test_curve(capsys):
    status, out, _ = run(capsys, "curve", "--eps", "0:0.5:200", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (status, len(rows)) == (0, 200)
    assert (float(rows[0]["eps"]), float(rows[-1]["eps"])) == (0, 0.5)
    dead = [float(row["eps"]) for row in rows if float(row["w2"]) == 0]
    assert EPS0 <= min(dead) < EPS0 + 0.5 / 199
    assert rows[-1]["ratio"] == ""


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
    ("solve --eps 0.2 --loss ramp", "the loss 'ramp' is unknown"),
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
    ("certify --long --search", "not allowed with argument"),
    ("certify --search --enclose r_acc k=6/5", "not allowed with argument"),
    ("solve --eps 0.2 --loss soft-target-margin", "no b was given for soft-target-margin"),
    ("solve --eps 0.2 --loss soft-target-margin --b 0.1 --attack star", "attack = 'star' was given"),
    ("solve --eps 0.2 --loss margin --attack exact", "attack = exact was given for the loss margin"),
    ("solve --eps 0.2 --loss wrong-class-lse", "no tau was given for wrong-class-lse"),
    ("solve --eps 0.2 --loss wrong-class-lse --tau 0", "tau = 0 was given"),
    ("solve --eps 0.2 --loss wrong-class-lse --tau cold", "tau = cold was given"),
    ("solve --eps 0.2 --loss wrong-class-lse --tau 0.1 --norm 2", "for norm inf only"),
    ("solve --eps 0.2 --loss cross-entropy --tau 0.1", "tau = 0.1 was given for the loss cross-entropy"),
    ("solve --eps 0.2 --loss cross-entropy --norm 1", "for norm inf only"),
    ("solve --eps 0.2 --loss cross-entropy --b 0.1 --attack exact --classes 4", "which covers three classes"),
    ("solve --eps 0.2 --loss cross-entropy --b 0.1 --attack exact --noise laplace", "which covers three classes"),
    ("solve --eps 0.2 --loss cross-entropy --noise laplace --classes 4 --design B", "choose normal noise or design A"),
    ("solve --eps 0.2 --loss cross-entropy --rho -0.1 --classes 4", "choose rho >= 0"),
    ("solve --eps 0.2 --loss distillation", "no teacher was given for distillation"),
    ("solve --eps 0.2 --loss distillation --teacher 1", "must be two weights"),
    ("solve --eps 0.2 --loss distillation --teacher 1,2,3", "must be two weights"),
    ("solve --eps 0.2 --loss distillation --teacher 1,x", "weight = x was given"),
    ("solve --eps 0.2 --loss distillation --teacher 1,-1", "weight = -1 was given"),
    ("solve --eps 0.2 --loss distillation --teacher 1,0.5 --teacher-input dirty", "teacher_input = 'dirty'"),
    ("solve --eps 0.2 --loss cross-entropy --teacher 1,0.5", "teacher = ('1', '0.5') was given for the loss"),
    ("solve --eps 0.2 --classes 2", "whole number from 3 to 1000"),
    ("solve --eps 0.2 --classes many", "classes = many was given"),
    ("solve --eps 0.2 --classes 3.5", "classes = 3.5 was given"),
    ("solve --eps 0.2 --design C", "the design 'C' was given"),
    ("solve --eps 0.2 --norm 0.5", "norm = 0.5 was given"),
    ("solve --eps 0.2 --norm two", "norm = two was given"),
    ("solve --eps 0.2 --norm nan", "norm = nan was given"),
    ("solve --eps 0.2 --norm 2 --loss soft-target-margin --b 0.1 --attack monotone", "choose norm inf"),
    ("solve --eps 0.2 --rho 1", "rho = 1 was given"),
    ("solve --eps 0.2 --rho -0.6 --classes 4", "rho = -0.6 was given"),
    ("solve --eps 0.2 --rho 0.3 --noise laplace", "for normal noise only"),
    ("solve --eps 0.2 --mu-e 0", "mu_e = 0 was given"),
    ("solve --eps 0.2 --mu-c -1", "mu_c = -1 was given"),
    ("solve --eps 0.2 --sigma-e nan", "sigma_e = nan was given"),
    ("solve --eps 0.2 --sigma-c some", "sigma_c = some was given"),
    ("solve --eps 0.2 --noise cauchy", "noise 'cauchy' was given"),
    ("solve --eps 0.2 --noise student-t:2", "noise 'student-t:2' was given"),
    ("thresholds --loss distillation --teacher 1,1", "solve at several eps"),
    ("thresholds --loss wrong-class-lse --tau 0.1 --norm 2", "norm = 2.0 was given"),
    ("best --eps 0.2 --classes 4 --rho -0.1", "choose rho >= 0"),
    ("accuracy --eps 0.2 --ratio 0.5 --noise laplace --design B --classes 5", "choose normal noise or design A"),
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


def test_a_solver_that_gives_up_says_so_with_status_1(capsys):
    status, out, err = run(capsys, *"solve --eps 0.2 --loss wrong-class-lse --tau 1e-9 --noise laplace".split())
    assert (status, out) == (1, "")
    assert "choose a larger lam or tau" in err and len(err.strip().splitlines()) == 1


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
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert result.stdout.strip() == "[]"
