"""Verdicts by rule: on made-up results whose verdict is plain, at the rules' edges, and with planted errors."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from deep.__main__ import main
from deep.experiments.campaign import predictions
from deep.experiments.campaign.correlations import correlated
from deep.experiments.campaign.plan import of_any_seeds, results_of, tasks
from deep.experiments.campaign.predictions import QUANTITIES, conclusions, holm, judged, meets, paired, quantity_of
from deep.experiments.campaign.runs import to_train_again
from tests.support.campaign import made_up, write_results

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
    """A gain that alone is confirmed, or contradicted, is not beside nineteen that are barely so."""
    weak, weakly_less = {"at_least": 0.5}, {"at_least": 1.2}
    runs = {"old": {seed: run(10.0) for seed in range(5)},
            "new": {seed: run(10.85, 1.2 * noise) for seed, noise in enumerate(NOISE)}}
    assert judged(plan(weak, effect=0.5), runs)[0].verdict == "confirmed"
    assert {row.verdict for row in judged(plan(*[weak] * 20, effect=0.5), runs)} == {"undecided"}
    assert judged(plan(weakly_less, effect=0.5), runs)[0].verdict == "contradicted"
    assert {row.verdict for row in judged(plan(*[weakly_less] * 20, effect=0.5), runs)} == {"undecided"}
    asked = {"campaign": {"level": 0.95, "seeds": range(5)}}  # of all predictions: those not run yet count already
    apart, missing = weak | {"group": "0"}, [weak | {"arm": "other", "group": "0"}] * 19
    assert judged(plan(apart, *missing, effect=0.5), runs)[0].verdict == "confirmed"
    assert judged(plan(apart, *missing, effect=0.5) | asked, runs)[0].verdict == "undecided"
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "holm", lambda values, whole=False: list(values))
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
    for gain, answers in ((10.0, ["supported", "undecided"]), (0.0, ["refuted", "undecided"])):
        assert [answer for _, answer in conclusions(two, judged(two, arms(old=10.0, new=10.0 + gain)))] == answers


def asking(plan, *more):
    """The plan asks for five seeds of each arm that its predictions name, and of `more`."""
    ids = {rule.get(key) for rule in plan["prediction"] for key in ("arm", "minus")} | set(more)
    plan["campaign"]["seeds"], plan["arm"] = [0, 1, 2, 3, 4], [{"id": name} for name in sorted(ids)]
    return plan


def judgement(plan, runs):
    rows = judged(plan, runs)
    assert all(row.possible == (row.verdict,) for row in rows if row.verdict in ("confirmed", "contradicted"))
    return [answer for _, answer in conclusions(plan, rows, runs)], [(row.verdict, row.possible) for row in rows]


def test_a_conclusion_is_open_while_a_missing_run_can_change_it():
    """Of a gain of 1.27 p = .035 before, .069 after Holm's correction over two predictions; of 1.1 p = .2."""
    two = asking(plan({"id": "a", "at_least": 1.0}, {"id": "b", "at_least": 1.0, "arm": "late"}))
    two["conclusion"] = [{"id": "x", "supported_by": ["a"]}, {"id": "y", "supported_by": ["a", "b"]},
                         {"id": "z", "supported_by": ["a"], "supported_contradicted": ["b"]}]

    def found(**robust):
        return judgement(two, arms(old=10.0, **robust))
    both = "confirmed", "contradicted"
    waits, later = ("undecided", ("confirmed",)), ("not run", both)
    assert found(new=11.27) == (["open"] * 3, [waits, later])
    assert found(new=11.1) == (["undecided"] * 3, [("undecided", ()), later])
    assert found(new=10.0) == (["undecided"] * 3, [("contradicted", ("contradicted",)), later])
    assert found(new=11.27, late=11.1) == (["undecided"] * 3, [("undecided", ())] * 2)
    assert found(new=11.27, late=15.0)[0] == ["supported", "supported", "undecided"]
    assert found(new=11.27, late=5.0)[0] == ["undecided"] * 3  # one side of the group apart from the other
    assert found(new=15.0, late=5.0)[0] == ["supported", "undecided", "supported"]
    assert found(new=15.0) == (["supported", "open", "open"], [("confirmed", ("confirmed",)), later])
    partly = arms(old=10.0, new=11.27, late=11.1)
    del partly["late"][4]  # until its last seed is there, it may become anything
    assert judgement(two, partly) == (["open"] * 3, [waits, ("undecided", both)])
    two["prediction"][1]["group"] = "other"
    assert found(new=11.27)[0] == ["supported", "open", "open"]
    assert found(new=11.1)[0] == ["undecided"] * 3


def test_what_could_be_both_is_not_revoked():
    """1.33, surely beyond 1, and perhaps within 1.5: contradicted only when confirmed is out of the question."""
    two = asking(plan({"id": "a", "within": 1.5, "arm": "new"}, {"id": "b", "at_least": 1.0, "arm": "late"}))
    two["conclusion"] = [{"id": "x", "supported_by": ["b"], "supported_contradicted": ["a"], "refuted_by": ["a"]}]
    runs = arms(old=10.0, new=11.33)
    for seed, run_ in runs["new"].items():
        run_["end"]["robust"] = runs["old"][seed]["end"]["robust"] + (1.33 + 0.64 * NOISE[seed]) / 100
    waits = judged(two, runs)[0]
    assert waits.contradicting < 0.05 < waits.confirming and waits.verdict == "undecided"
    assert judgement(two, runs)[0] == ["open"]
    for late, verdict, answer in ((20.0, "confirmed", "refuted"), (9.0, "contradicted", "undecided")):
        both = runs | {"late": arms(old=10.0, late=late)["late"]}
        assert judgement(two, both)[1][0] == (verdict, (verdict,)) and judgement(two, both)[0] == [answer]


def test_a_plan_that_asks_for_no_two_seeds_waits_for_nothing():
    one = asking(plan({"id": "a", "at_least": 1.0, "arm": "late"}))
    one["conclusion"] = [{"id": "x", "supported_by": ["a"]}]
    one["arm"] = [{"id": "late", "seeds": [0]}, {"id": "old"}]
    assert judgement(one, arms(old=10.0)) == (["open"], [("not run", ("confirmed", "contradicted"))])
    runs = arms(old=10.0, late=15.0)
    runs["late"] = {0: runs["late"][0]}
    assert judgement(one, runs) == (["undecided"], [("not run", ())])


def test_a_conclusion_is_open_while_an_arm_of_its_rules_is_to_be_run():
    """Two rules an arm; of a loss of 4.27, asked to be 4, p = .035, and twice that beside an arm that has none."""
    two = asking(plan({"id": "a", "at_least": 3.0}), "later", "third")
    two["effect"]["robust"] = 5.0
    lost, below = ({"minus": "old", "quantity": "robust", "at_most": -4.0},
                   {"minus": "third", "quantity": "robust", "at_most": 1.0})
    two["conclusion"] = [{"id": "z", "among": ["new", "later"], "refuted_rules": [lost, below]},
                         {"id": "s", "among": ["later"], "supported_rules": [lost | {"arm": "new"}]}]

    def found(**robust):
        return judgement(two, arms(old=10.0, **robust))[0]
    assert found(new=3.0, third=9.0) == ["refuted", "supported"]
    assert found(new=5.73, third=9.0) == ["open", "supported"]  # by itself
    assert found(new=5.73, third=9.0, later=10.0) == ["undecided", "supported"]
    assert found(new=5.73, third=9.0, later=3.0) == ["refuted", "supported"]
    assert found(new=10.0, later=10.0) == ["undecided"] * 2  # the rule that can be judged is not met
    assert found(new=10.0) == ["open", "undecided"] and found(new=3.0, later=10.0) == ["open", "supported"]
    assert found(later=3.0, third=9.0) == ["refuted", "open"]


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
        for key in ("supported_by", "supported_contradicted", "refuted_by"):
            assert set(conclusion.get(key, ())) <= known
        assert set(conclusion.get("among", ())) <= names - {"a1", "a3"}
        for rule in (*conclusion.get("supported_rules", ()), *conclusion.get("refuted_rules", ())):
            assert rule["quantity"] in QUANTITIES and {rule.get("arm", "a1"), rule["minus"]} <= names
    for wrong, sentence in (({"at_least": 1, "within": 2}, "has one rule"),
                            ({"at_least": 1, "quantity": "x"}, "asks for")):
        with pytest.raises(ValueError, match=sentence):
            judged(plan(wrong), {})


def test_planted_errors_change_verdicts(monkeypatch):
    runs, rule = arms(old=10.0, new=11.0), {"at_least": 3.0}
    assert judged(plan(rule), runs)[0].verdict == "contradicted"
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "bounds", lambda prediction, effect: (0.5, 0.5))
        assert judged(plan(rule), runs)[0].verdict == "confirmed"
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "paired", lambda prediction, runs: {0: 10.0, 1: 11.0, 2: 9.0})
        assert judged(plan(rule), runs)[0].verdict == "confirmed"


def answers(results, plan=PLAN):
    """The conclusions of the committed plan from made-up results, by their ids."""
    return {conclusion["id"]: answer for conclusion, answer in conclusions(plan, judged(plan, results), results)}


@pytest.mark.parametrize(("gain", "sharing", "answer"), [
    (10.0, -0.5, "refuted"), (12.0, -0.5, "refuted"), (10.0, 2.0, "open"), (7.0, -0.5, "open")])
def test_sharing_is_not_necessary_where_an_arm_does_without(gain, sharing, answer):
    """b3 as robust as a3, or more so, and a1's sharing or less: refuted; with more sharing, or less robust: open."""
    results = made_up(PLAN, ["a1", "a3", "a4", "b3"], {"a3": 10.0, "b3": gain}, {"a3": 3.0, "b3": sharing})
    assert answers(results)["necessary"] == answer


def test_no_verdict_before_all_seeds_are_run():
    """Four of five seeds leave a clear effect, a correlation, a conclusion open; of one's own runs they do not."""
    whole = made_up(PLAN, ["a1", "a3", "b3"], {"a3": 10.0, "b3": 10.0}, {"a3": 3.0, "b3": -0.5})
    four = {arm: {seed: run for seed, run in runs.items() if seed != 3 or arm != "a1"} for arm, runs in whole.items()}
    for results, plan, verdict, answer in ((whole, PLAN, "confirmed", "refuted"), (four, PLAN, "undecided", "open"),
                                           (four, of_any_seeds(PLAN), "confirmed", "refuted")):
        row = next(row for row in judged(plan, results) if row.prediction["id"] == "a3-robust")
        assert (row.verdict, row.to_run) == (verdict, (3,) * (verdict == "undecided"))
        assert [one.to_run for one in correlated(plan, results)] == [row.to_run]
        found = conclusions(plan, judged(plan, results), results)
        assert {conclusion["id"]: answer for conclusion, answer in found}["necessary"] == answer
    rule = {"arm": "a3", "minus": "a1", "quantity": "robust_apgd_t", "at_least": 3.0}
    assert meets(rule, of_any_seeds(PLAN), four) < 1e-3 and np.isnan(meets(rule, PLAN, four))


@pytest.mark.parametrize(("more", "answer"), [(-0.1, "refuted"), (0.1, "open")])
def test_the_trunks_sharing_at_most(more, answer):
    """Within the smallest effect of the trunk's in either case; only a mean not above the trunk's will do."""
    results = made_up(PLAN, ["a1", "a3", "b3"], {"a3": 10.0, "b3": 11.0}, {"a3": 3.0})
    for seed, noise in enumerate(NOISE):
        trunk, own = (results[arm][seed]["checkpoints"][-1]["test"] for arm in ("a1", "b3"))
        own["sharing"] = trunk["sharing"] + more + noise / 10
    assert answers(results)["necessary"] == answer


def test_many_arms_refute_less_easily(monkeypatch):
    """An arm that alone refutes just so does not beside three that do not (Holm), nor beside those not run yet."""
    arms, gains, sharings = ["a1", "a3", "a4", "a5", "a6", "b3"], {"a3": 10.0, "b3": 9.5}, {"a3": 3.0, "b3": -0.5}
    few, own = made_up(PLAN, ["a1", "a3", "b3"], gains, sharings), of_any_seeds(PLAN)
    assert answers(few, own)["necessary"] == "refuted" and answers(few)["necessary"] == "open"
    results = made_up(PLAN, arms, gains, sharings)
    assert answers(results, own)["necessary"] == "open"
    monkeypatch.setattr(predictions, "holm", lambda values, whole=False: list(values))
    assert answers(results)["necessary"] == "refuted"


def test_more_cas_gives_robustness_only_if_accuracy_follows_at_the_same_fit():
    arms = ["b4-up", "b4-down"]
    up, more = {"b4-up": 4.0, "b4-down": -4.0}, {"b4-up": 5.0}
    assert answers(made_up(PLAN, arms, more, up))["intervention"] == "supported"
    assert answers(made_up(PLAN, arms, {}, up))["intervention"] == "refuted"
    assert answers(made_up(PLAN, arms, {"b4-up": -5.0}, up))["intervention"] == "undecided"  # the other way
    unlike = made_up(PLAN, arms, more, up)
    for result in unlike["b4-up"].values():
        result["checkpoints"][-1]["train"]["robust_loss"] += 0.3
    assert answers(unlike)["intervention"] == "undecided"


def test_a_result_of_another_recipe_or_arm_is_refused_where_it_is_read(tmp_path, capsys):
    """By every command: deep confirm is one."""
    results = made_up(PLAN, ["a1", "a3"])
    assert results_of(PLAN, write_results(tmp_path / "campaign", results)) == results
    results["a1"][2]["recipe"]["epochs"] = 61
    with pytest.raises(ValueError, match=r"the result a1-2 is of another recipe than the plan's: "):
        results_of(PLAN, write_results(tmp_path / "campaign", results))
    assert main(["confirm", "--results", str(tmp_path / "campaign")]) == 2
    assert "is of another recipe than the plan's" in capsys.readouterr().err
    more = {"a3": results["a3"] | {5: results["a3"][4] | {"seed": 5}}}
    with pytest.raises(ValueError, match=r"the result a3-5 was given, but the plan asks for the seeds 0, 1, 2, 3, 4: "):
        results_of(PLAN, write_results(tmp_path / "more", more))
    for result in results["a3"].values():
        result["arm"] = "z"
    with pytest.raises(ValueError, match=r"results of an arm z were given, but the plan has a1, a2, "):
        results_of(PLAN, write_results(tmp_path / "z", {"z": results["a3"]}))


def test_what_is_trained_again_where_the_run_folders_are_lost(tmp_path):
    """The trunk, and the arms on it that a prediction compares; nothing for what is written, or has no trunk."""
    results = write_results(tmp_path / "results", made_up(PLAN, ["a1", "a3", "b3", "b4-up"], seeds=(0, 1)))

    def again(arm, seed):
        task = next(task for task in tasks(PLAN, [arm]) if task.seed == seed)
        return [(one.arm, one.seed) for one in to_train_again(PLAN, task, results)]
    assert again("b2-hardest", 1) == [("a1", 1), ("a3", 1)] and again("b2-random", 0) == [("a1", 0)]
    assert again("b4-down", 0) == [("a1", 0), ("b4-up", 0)]  # b4-up - b4-down
    assert again("b3", 0) == []  # it is written
    assert again("b8", 0) == again("b6-4-largest", 0) == again("b2-random", 2) == []  # no trunk, or no result of it


def test_arms_on_one_trunk_are_compared_where_they_began_together():
    """b3 of seed 0 began in the first training of the trunk, 1 in the second, 2 in one of which nothing is left."""
    runs = made_up(PLAN, ["a1", "a8", "b3"], {"b3": 5.0}, seeds=(0, 1, 2))
    for seed in range(3):
        first = runs["a1"][seed]
        first["course"] = "first"
        first["again"] = [{**first, "course": name, "end": {**first["end"], "robust": first["end"]["robust"] + gain}}
                          for name, gain in (("other", 0.3), ("second", 0.1))]
        runs["b3"][seed] |= {"trunk": first["run"], "course": ("first", "second", "lost")[seed]}
        runs["a8"][seed] |= {"trunk": None, "course": "second"}
    rule = {"arm": "b3", "minus": "a1", "quantity": "robust"}

    def gain(arm, seed):
        return quantity_of(runs[arm][seed], "robust") - quantity_of(runs["a1"][seed], "robust")
    assert paired(rule, runs) == pytest.approx({0: gain("b3", 0), 1: gain("b3", 1) - 10})
    assert paired(rule, runs, first=True) == pytest.approx({seed: gain("b3", seed) for seed in range(3)})
    assert paired(rule | {"arm": "a8"}, runs) == pytest.approx({seed: gain("a8", seed) for seed in range(3)})
    row = next(row for row in judged(PLAN, runs) if row.prediction["id"] == "b3-robust")
    assert row.seeds == (0, 1) and row.to_run == (2, 3, 4)


def test_a_conclusion_hangs_on_the_first_runs_alone():
    among = PLAN["conclusion"][1]["among"]
    runs = made_up(PLAN, ["a1", "a3", *among], {"a3": 8.0, "b3": 8.0}, {"b3": -1.5})
    for arm, seeds in runs.items():
        for seed, result in seeds.items():
            result["course"] = "first"
            if arm == "a3":
                result["again"] = [{**result, "course": "second", "trunk": runs["a1"][seed]["run"],
                                    "end": {name: value + 0.2 for name, value in result["end"].items()}}]
            if arm == "b3":
                result |= {"course": "second", "trunk": runs["a1"][seed]["run"]}
    assert {rule["id"]: answer for rule, answer in conclusions(PLAN, [], runs)}["necessary"] == "refuted"


def test_a_damaged_result_of_a_run_trained_again_is_refused(tmp_path):
    results = made_up(PLAN, ["a1"], seeds=(0, 1))
    folder = write_results(tmp_path / "results", results)
    path = folder / "a1-1-again-0123456789ab.json"

    def read(result):
        path.write_text(json.dumps(result))
        return results_of(PLAN, folder)
    again = results["a1"][1] | {"course": "0123456789ab"}
    assert read(again)["a1"][1]["again"] == [again]
    with pytest.raises(ValueError, match=r"the result a1-1-again-0123456789ab is of another recipe than the plan"):
        read(again | {"recipe": again["recipe"] | {"epochs": 61}})
    with pytest.raises(ValueError, match=r"0123456789ab.json is no result of a campaign"):
        read(results["a1"][1])  # of no course
    (folder / "a1-1.json").unlink()
    with pytest.raises(ValueError, match=r"0123456789ab.json is of a run trained again, but there is no a1-1.json"):
        read(again)
