"""A decay of its own for each weight, and the penalties that have a name: every solver against another road."""

import json
from itertools import combinations

import numpy as np
import pytest

from synthmodel import (
    CrossEntropy,
    Distillation,
    Margin,
    Setting,
    SmoothedMargin,
    SoftTargetMargin,
    WrongClassLSE,
    best_ratio,
    best_smoothing,
    solve,
)
from synthmodel.__main__ import main
from synthmodel.model.penalty import decays, weighed
from synthmodel.solvers.cross_entropy import ratio_limit, stein_residual
from synthmodel.solvers.cross_entropy_exact import exact_gradient, exact_risk

PLAIN = Setting(1.0, 0.5)
LOSSES = (Margin(), SmoothedMargin(0.2), SoftTargetMargin(0.2), WrongClassLSE(0.1, 0.1), CrossEntropy(0.1),
          CrossEntropy(0.1, "exact"), Distillation((1.0, 0.4)))


@pytest.mark.parametrize("setting", [Setting(), Setting(classes=5), Setting(classes=5, design="B")])
def test_the_names_count_the_squares_of_the_matrix(setting):
    """W = [w1 I, w2 S] entry by entry, at w = (2, 3), and less its mean row."""
    k = setting.classes
    shared = (1 - np.eye(k) if setting.design == "A"
              else np.array([[float(i in pair) for pair in combinations(range(k), 2)] for i in range(k)]))
    w = np.hstack([2 * np.eye(k), 3 * shared])
    for name, matrix in (("entries", w), ("centred", w - w.mean(axis=0)), ("weights", np.array([2.0, 3.0]))):
        assert np.dot(weighed(setting, name), (4, 9)) == pytest.approx(np.sum(matrix**2), rel=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_decay_is_two_equal_ones(loss):
    eps = 0.3 if getattr(loss, "attack", "") == "exact" else [0.1, 0.3]
    one = solve(PLAIN, loss, eps, 0.2)
    assert solve(PLAIN, loss, eps, lam_e=0.2, lam_c=0.2) == one
    assert solve(PLAIN, loss, eps, 0.1, penalty="centred") == one


@pytest.mark.parametrize("loss", LOSSES)
def test_a_decay_of_w2_alone(loss):
    """The decay 0.2 of both on a feature half as large: with C/2 for C, under delta*, w2 doubles and lam_c is 0.2/4."""
    if getattr(loss, "attack", "") == "exact":
        return
    eps = 0.15
    half = Setting(mu_e=1.0, mu_c=(1 - 2 * eps) / 2 + 2 * eps, sigma_e=0.5, sigma_c=0.25)
    if isinstance(loss, Distillation):
        loss, halved = Distillation((1.0, 0.4)), Distillation((1.0, 0.8))
    else:
        halved = loss
    found, other = solve(PLAIN, loss, eps, 0.2, lam_c=0.05), solve(half, halved, eps, 0.2, lam_c=0.05 * 0.25)
    assert (other.w1, other.w2) == pytest.approx((found.w1, 2 * found.w2), rel=1e-9)


@pytest.mark.parametrize("loss", [Margin(), SmoothedMargin(0.2), SoftTargetMargin(0.2)])
@pytest.mark.parametrize("setting", [PLAIN, Setting(norm=2), Setting(norm=1), Setting(norm=3.5, classes=4)])
def test_closed_form_against_brute_force(setting, loss):
    for lam_e, lam_c in ((0.1, 0.7), (2.0, 0.3)):
        closed, numeric = (solve(setting, loss, 0.1, lam_e=lam_e, lam_c=lam_c, method=method)
                           for method in ("closed", "numeric"))
        assert (closed.w1, closed.w2, closed.risk) == pytest.approx((numeric.w1, numeric.w2, numeric.risk), rel=1e-7)
        assert closed.w2 > 0 and closed.residual < 1e-12


def test_margin_ratio_is_divided_and_the_threshold_stays():
    eps = np.array([0.1, 0.2, 0.358, 0.36])
    for loss in (Margin(), SmoothedMargin(0.1)):
        one, two = solve(PLAIN, loss, eps, 0.1), solve(PLAIN, loss, eps, lam_e=0.1, lam_c=0.4)
        assert two.ratio == pytest.approx(one.ratio / 4, rel=1e-14)
        assert ((two.w2 > 0) == (one.w2 > 0)).all()
        assert two.risk == pytest.approx(-0.05 * two.w1**2 - 0.2 * two.w2**2, rel=1e-14)


def test_cross_entropy_satisfies_the_stein_form():
    for lam_e, lam_c in ((0.1, 0.2), (0.3, 0.05)):
        best = solve(PLAIN, CrossEntropy(0.1), 0.2, lam_e=lam_e, lam_c=lam_c)
        slopes = stein_residual(PLAIN, CrossEntropy(0.1), 0.2, lam_e, best.w1, best.w2, lam_c=lam_c)
        assert max(map(abs, slopes)) < 1e-11
        assert solve(PLAIN, CrossEntropy(), 0.49999, lam_e=lam_e, lam_c=lam_c).ratio == pytest.approx(
            ratio_limit(PLAIN, lam_e, lam_c), abs=1e-6)
    assert ratio_limit(PLAIN, 0.25, 0.5) == pytest.approx((9 + 2) / (18 + 4), rel=1e-15)


def test_exact_attack_with_two_decays():
    """At its minimum the risk's slopes, of the penalty of one decay, are short of (lam_c - lam) w2 in w2."""
    numbers = (1, 1, 0.5, 0.5, 0, 0.2, 0.2)
    best = solve(PLAIN, CrossEntropy(0.2, "exact"), 0.2, 0.05, lam_c=0.3)
    slopes = exact_gradient(best.w1, best.w2, *numbers, 0.05)
    assert slopes == pytest.approx((0, -0.25 * best.w2), abs=1e-9)
    assert exact_risk(best.w1, best.w2, *numbers, 0.05) + 0.125 * best.w2**2 == pytest.approx(best.risk, rel=1e-12)


def test_log_sum_exp_with_two_decays():
    """It decouples: w1 is that of lam_e alone, w2 that of lam_c alone."""
    loss = WrongClassLSE(0.1)
    two, e, c = (solve(PLAIN, loss, 0.2, **given) for given in ({"lam_e": 0.1, "lam_c": 0.4}, {"lam": 0.1},
                                                              {"lam": 0.4}))
    assert (two.w1, two.w2) == (e.w1, c.w2)
    assert two.risk == pytest.approx(c.risk + 0.6**2 / 0.8 - 0.6**2 / 0.2, rel=1e-12)  # w1's part is -d^2/(2 lam_e)


def test_best_smoothing_under_each_penalty():
    """With b* the margin loss has the best ratio; no b has it on the entries of W where r_acc > 1/2."""
    for setting, name in ((PLAIN, "weights"), (PLAIN, "centred"), (Setting(1, 0.75), "entries"),
                          (Setting(1, 0.5, classes=4, design="B"), "centred")):
        b = best_smoothing(setting, 0.2, decay=name)
        assert 0 < b < 1
        assert solve(setting, SmoothedMargin(b), 0.2, 1, penalty=name).ratio == pytest.approx(
            best_ratio(setting, 0.2), rel=1e-9)
    assert best_smoothing(PLAIN, 0.2, decay="entries") > 1


def test_what_is_refused():
    for words, given in (("neither lam nor lam_c was given", {"lam_e": 1}),
                         ("which fixes their quotient", {"lam": 1, "lam_c": 2, "penalty": "entries"}),
                         ("choose weights, entries or centred", {"lam": 1, "penalty": "matrix"}),
                         ("lam_c = 0 was given", {"lam": 1, "lam_c": 0})):
        with pytest.raises(ValueError, match=words):
            solve(PLAIN, Margin(), 0.1, **given)
    assert decays(PLAIN, lam_e=[1, 2], lam_c=3)[0].tolist() == [1, 2]


def test_command_line(capsys):
    """--penalty entries --lam .1 is --lam-e .3 --lam-c .6."""
    rows = []
    for words in (["--penalty", "entries", "--lam", "0.1"], ["--lam-e", "0.3", "--lam-c", "0.6"],
                  ["--lam", "0.3", "--lam-c", "0.6"]):
        assert main(["solve", "--loss", "cross-entropy", "--eps", "0.2", "--json", *words]) == 0
        rows.append(json.loads(capsys.readouterr().out))
    assert rows[0]["w1"] == pytest.approx(rows[1]["w1"], rel=1e-12) and rows[1] == rows[2]
    assert rows[0]["ratio"] == pytest.approx(solve(PLAIN, CrossEntropy(), 0.2, 0.1, penalty="entries").ratio)
    assert main(["curve", "--eps", "0:0.4:3", "--json", "--penalty", "entries"]) == 0
    assert [row["ratio"] for row in json.loads(capsys.readouterr().out)] == pytest.approx(
        (solve(PLAIN, Margin(), np.array([0, 0.2, 0.4]), 1).ratio / 2).tolist())
    assert main(["solve", "--eps", "0.2", "--penalty", "matrix"]) == 2
    assert "choose weights, entries or centred" in capsys.readouterr().err
