"""Verdicts by rule: on made-up results whose verdict is plain, at the rules' edges, and with planted errors."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from deep.experiments import predictions
from deep.experiments.predictions import QUANTITIES, conclusions, holm, judged, partial_correlation, quantity_of

PLAN = tomllib.loads((Path(__file__).parents[3] / "figures" / "predictions.toml").read_text())
NOISE = (0.3, -0.2, 0.1, -0.3, 0.1)  # of mean 0


def line(epoch, test=8.0, train=8.0, clean=8.0, sharing=3.0, accuracy=0.4):
    return {"epoch": epoch, "test": {"cas": test, "sharing": sharing}, "train": {"cas": train, "robust_loss": 1.0},
            "clean_test": {"cas": clean, "accuracy": accuracy}}


def run(robust, noise=0.0, **last):
    """A result whose end has this robust accuracy, per cent, and whose last checkpoint has the values of `last`."""
    return {"run": "runs/x", "end": {"robust": (robust + noise) / 100, "robust_apgd_t": (robust + noise) / 100},
            "checkpoints": [line(5), line(15), line(60, **{name: value + noise for name, value in last.items()})]}


def arms(**robust):
    return {arm: {seed: run(value, noise * (1 + number)) for seed, noise in enumerate(NOISE)}
            for number, (arm, value) in enumerate(robust.items())}


def plan(*rules, effect=1.0):
    return {"campaign": {"level": 0.95}, "effect": {"robust": effect},
            "prediction": [{"id": str(number), "arm": "new", "minus": "old", "quantity": "robust"} | rule
                           for number, rule in enumerate(rules)]}


@pytest.mark.parametrize(("rule", "gain", "verdict"), [
    ({"at_least": 3.0}, 10.0, "confirmed"), ({"at_least": 3.0}, 1.0, "contradicted"),
    ({"at_least": 3.0}, 2.9, "undecided"), ({"at_least": -1.0}, 0.0, "confirmed"),
    ({"at_most": -3.0}, -10.0, "confirmed"), ({"at_most": -3.0}, 0.0, "contradicted"),
    ({"at_most": 0.0}, -0.5, "confirmed"), ({"at_most": 0.5}, 2.0, "contradicted"),
    ({"within": 2.0}, 0.0, "confirmed"), ({"within": 2.0}, 5.0, "contradicted"),
    ({"within": 2.0}, -5.0, "contradicted"), ({"within": 1.0}, 0.9, "undecided"), ({"within": 0.5}, 0.6, "undecided"),
])
def test_a_verdict_for_each_rule(rule, gain, verdict):
    row, = judged(plan(rule), arms(old=10.0, new=10.0 + gain))
    assert row.verdict == verdict and row.n == 5
    assert row.value == pytest.approx(gain, abs=1e-12)


def test_the_interval_is_students():
    row, = judged(plan({"at_least": 1.0}), arms(old=10.0, new=12.0))
    differences = 2.0 + np.array(NOISE)  # new has twice the noise of old
    found = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert row.interval == pytest.approx((found.low, found.high), abs=1e-12)
    assert row.confirming == pytest.approx(stats.ttest_1samp(differences, 1.0, alternative="greater").pvalue, rel=1e-9)
    assert row.contradicting == pytest.approx(stats.ttest_1samp(differences, 1.0, alternative="less").pvalue, rel=1e-9)


def test_a_wide_interval_decides_nothing():
    noisy = {"new": {seed: run(15.0, 40 * noise) for seed, noise in enumerate(NOISE)},
             "old": {seed: run(10.0) for seed in range(5)}}
    rows = judged(plan({"at_least": 3.0}, {"within": 2.0}), noisy)
    assert [row.verdict for row in rows] == ["undecided", "undecided"]


def test_seeds_are_paired_and_one_seed_is_no_evidence():
    runs = arms(old=10.0, new=20.0)
    shifted = {"old": {seed: run(10.0 + 7 * seed) for seed in range(5)},
               "new": {seed: run(20.0 + 7 * seed, NOISE[seed]) for seed in range(5)}}
    assert judged(plan({"at_least": 3.0}), shifted)[0].verdict == "confirmed"  # the spread between seeds is common
    del runs["old"][0], runs["new"][1]
    assert judged(plan({"at_least": 3.0}), runs)[0].seeds == (2, 3, 4)
    row, = judged(plan({"at_least": 3.0}), {"new": {0: run(20.0)}, "old": {0: run(10.0)}})
    assert (row.verdict, row.n) == ("not run", 1)
    assert judged(plan({"at_least": 3.0}), {})[0].verdict == "not run"


def test_many_predictions_are_corrected_together(monkeypatch):
    """A gain that alone is confirmed is not, beside nineteen that are barely missed."""
    weak = {"at_least": 0.5}
    runs = {"old": {seed: run(10.0) for seed in range(5)},
            "new": {seed: run(10.85, 1.2 * noise) for seed, noise in enumerate(NOISE)}}
    assert judged(plan(weak, effect=0.5), runs)[0].verdict == "confirmed"
    assert {row.verdict for row in judged(plan(*[weak] * 20, effect=0.5), runs)} == {"undecided"}
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "holm", list)
        assert {row.verdict for row in judged(plan(*[weak] * 20, effect=0.5), runs)} == {"confirmed"}
    apart = judged(plan(*[weak | {"group": str(number)} for number in range(20)], effect=0.5), runs)
    assert {row.verdict for row in apart} == {"confirmed"}


def test_holm_against_its_definition():
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = generator.random(6) ** 3
        corrected = holm(values)
        for index, value in enumerate(values):
            rank = [(6 - sum(values < other)) * other for other in values if other <= value]
            assert corrected[index] == pytest.approx(min(1.0, max(rank)))
    assert holm([0.01, float("nan")])[0] == 0.01


def test_falls_and_rises():
    one = {"checkpoints": [line(5, test=8, train=9, clean=8, sharing=2, accuracy=0.2),
                           line(15, test=10, train=10, clean=9, sharing=2.5, accuracy=0.3),
                           line(60, test=4, train=9, clean=4, sharing=1, accuracy=0.5)]}
    values = {name: quantity_of(one, name) for name in (
        "cas_test_fall", "cas_train_fall", "cas_train_fall_less_half_of_test", "sharing_test_rise", "clean_fall",
        "cas_clean_test_end_less_half_of_peak")}
    assert values == pytest.approx({"cas_test_fall": 6, "cas_train_fall": 1, "cas_train_fall_less_half_of_test": -2,
                                    "sharing_test_rise": 0.5, "clean_fall": -20,
                                    "cas_clean_test_end_less_half_of_peak": -0.5})
    with pytest.raises(ValueError, match="lacks what robust needs"):
        quantity_of(one, "robust")


def test_conclusions_follow_from_verdicts():
    two = plan({"id": "a", "at_least": 3.0}, {"id": "b", "within": 2.0})
    two["conclusion"] = [{"id": "x", "supported_by": ["a"], "refuted_by": ["b"]},
                         {"id": "y", "supported_by": ["a", "b"]}]
    for gain, answers in ((10.0, ["supported", "open"]), (0.0, ["refuted", "open"])):
        assert [answer for _, answer in conclusions(two, judged(two, arms(old=10.0, new=10.0 + gain)))] == answers


def test_the_committed_plan_can_be_judged():
    """Every prediction names arms and a quantity that there are, has one rule, and says what contradicts it."""
    rows = judged(PLAN, {})
    assert {row.verdict for row in rows} == {"not run"}
    assert len({row.prediction["id"] for row in rows}) == len(rows) >= 22
    names = {arm["id"] for arm in PLAN["arm"]}
    for row in rows:
        assert {row.prediction["arm"], row.prediction.get("minus", "a1")} <= names
        assert row.prediction["quantity"] in QUANTITIES
        assert row.prediction["contradicted_by"] and row.prediction["claim"]
    known = {row.prediction["id"] for row in rows}
    for conclusion in PLAN["conclusion"]:
        assert {*conclusion.get("supported_by", ()), *conclusion.get("refuted_by", ())} <= known
    for wrong, sentence in (({"at_least": 1, "within": 2}, "has one rule"),
                            ({"at_least": 1, "quantity": "x"}, "asks for")):
        with pytest.raises(ValueError, match=sentence):
            judged(plan(wrong), {})


def test_partial_correlation_against_the_textbooks_formula():
    x, y, z = np.random.default_rng(1).normal(size=(3, 40))
    r = np.corrcoef([x, y, z])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert partial_correlation(x, y, z) == pytest.approx(expected, abs=1e-12)


def test_planted_errors_change_verdicts(monkeypatch):
    runs, rule = arms(old=10.0, new=11.0), {"at_least": 3.0}
    assert judged(plan(rule), runs)[0].verdict == "contradicted"
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "bounds", lambda prediction, effect: (0.5, 0.5))
        assert judged(plan(rule), runs)[0].verdict == "confirmed"
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "paired", lambda prediction, runs: {0: 10.0, 1: 11.0, 2: 9.0})
        assert judged(plan(rule), runs)[0].verdict == "confirmed"
