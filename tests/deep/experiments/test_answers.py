"""What `deep confirm` prints of made-up results: what was measured on which seeds, or why nothing was judged."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from deep.__main__ import main
from deep.cli.confirm import command_of, print_answers
from deep.experiments.campaign.answers import answers, measured_of, surgery_rows
from deep.experiments.campaign.plan import committed, plan_of, results_of
from deep.experiments.campaign.predictions import Judged
from tests.support.campaign import made_up, write_results

PLAN = plan_of(committed()[0])


def printed(out):
    """{id: (verdict, second line)} of the predictions in a text, and not of the conclusions below them."""
    rows = {head[13:].partition(":")[0]: (head[:13].strip(), then.strip())
            for head, then in pairwise(out.splitlines()) if then.startswith(13 * " ")}
    return {name: row for name, row in rows.items() if " " not in name}


def test_why_nothing_was_judged(capsys):
    """One seed, no seed in common, no run at all, too few checkpoints; of a user's runs, arms that were not given."""
    runs = made_up(PLAN, ["a1", "a3"], seeds=[0, 1])
    del runs["a1"][1], runs["a3"][0]
    print_answers(answers(PLAN, runs), own=False)
    all_rows = printed(capsys.readouterr().out)
    assert all_rows["a1-cas"] == ("NOT RUN", "cas_test_fall of a1 >= 3: seed 0 alone, of two at least; deep confirm "
                                             "--run --data DIR --arms a1")
    assert all_rows["a3-robust"][1].startswith(
        "robust_apgd_t of a3 - a1 >= 3: no run of a1 has the seed of one of a3; deep confirm --run")
    assert "a5 - a1 within +- 1.5: not measured; " in all_rows["a5-robust"][1] and len(all_rows) == 41
    assert all_rows["proxy"][1].startswith(
        "partial correlation along a1 <= 0.3: seed 0 alone, of two at least; over all arms ")
    del runs["a1"]
    for run in runs["a3"].values():
        del run["checkpoints"][4:]
    print_answers(answers(PLAN, runs), own=True)
    own = printed(capsys.readouterr().out)
    assert {row.partition("-")[0] for row in own} == {"a3"} and set(own) < set(all_rows)
    assert own["a3-robust"] == ("NOT RUN", "robust_apgd_t of a3 - a1 >= 3: no run of a1 has the seed of one of a3")
    assert not any("deep confirm" in line for _, line in own.values())  # which would train the plan's own runs
    runs = made_up(PLAN, ["a1"])
    for run in runs["a1"].values():
        del run["checkpoints"][4:]
    print_answers(answers(PLAN, runs), own=True)
    assert "no run of a1 has enough checkpoints; over all arms" in printed(capsys.readouterr().out)["proxy"][1]


def test_the_verdicts_that_a_conclusion_follows_from_stand_below_it(capsys):
    assert main(["confirm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if "keeping them prevents it" in line)
    row = {row.prediction["id"]: row for row in answers(PLAN, results_of(PLAN, committed()[1])).predictions}
    assert lines[place + 2].strip() == ", ".join(f"{one} {row[one].verdict}: {row[one].value:.2f}"
                                                 for one in ("a5-sharing", "a5-robust"))


def test_a_command_that_is_printed_trains_all_that_it_needs(tmp_path, monkeypatch, capsys):
    """In a folder without runs: before each run the one, of its seed, that it begins from or is stopped at."""
    seen = []
    monkeypatch.setattr("deep.experiments.campaign.runs.run_task", lambda task, *more: seen.append(task))
    monkeypatch.setattr("deep.experiments.reproduction.data_sets.location_of", lambda recipe, locations: None)
    rule = next(row for row in PLAN["prediction"] if row["id"] == "a6-robust")
    command = command_of(rule, (), None).replace("DIR", str(tmp_path)).split()[1:]
    assert main([*command, "--out", str(tmp_path)]) == 0
    trunks = [task.recipe for task in seen if task.arm == "a1"]
    assert [(task.arm, task.seed) for task in seen] == [(arm, seed) for arm in ("a1", "a3", "a6") for seed in range(5)]
    assert [task.trunk for task in seen] == 5 * [None] + 2 * trunks


def test_json_says_which_command_measures(tmp_path, capsys):
    folder = write_results(tmp_path / "campaign", made_up(PLAN, ["a1", "a3"], seeds=[0, 1]))
    assert main(["confirm", "--results", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    commands = {row["id"]: row["command"] for row in found["predictions"] + found["correlations"]}
    assert {row["id"]: row["to_run"] for row in found["predictions"] + found["correlations"]}["a3-robust"] == [2, 3, 4]
    assert commands["a3-robust"] == "deep confirm --run --data DIR --arms a3,a1"
    assert commands["proxy"] == "deep confirm --run --data DIR --arms a1"


def test_surgeries_are_shown_beside_the_networks_they_are_made_of(tmp_path, capsys):
    """Means over seeds; the two whole networks are the checkpoints of a quarter of the epochs and of the end."""
    runs = made_up(PLAN, ["a1"], seeds=[0, 1])
    for seed, run in runs["a1"].items():
        run["surgery"] = {"early_epoch": 15, "n_refit": 2000, "early body, late layer": {
            "clean": 0.3 + 0.02 * seed, "robust": 0.2, "cas": 5.0, "sharing": 4.0 + seed}}
    rows = surgery_rows(runs["a1"], 0.95)
    assert [row["network"] for row in rows] == ["early body, early layer", "late body, late layer",
                                               "early body, late layer"]
    for row, epoch in zip(rows, (15, 60), strict=False):
        lines = [line for run in runs["a1"].values() for line in run["checkpoints"] if line["epoch"] == epoch]
        assert len(lines) == 2 and row["seeds"] == [0, 1]
        for key, split, name, scale in (("clean", "clean_test", "accuracy", 100), ("robust", "test", "accuracy", 100),
                                        ("cas", "test", "cas", 1), ("sharing", "test", "sharing", 1)):
            assert row[key][0] == pytest.approx(scale * sum(line[split][name] for line in lines) / 2)
    folder = write_results(tmp_path / "campaign", runs)
    assert main(["confirm", "--results", str(folder)]) == 0
    assert ("MEASURED     early body, late layer; early: epoch 15: clean 31.00 [18.29, 43.71], robust 20.00 [20.00, "
            "20.00], cas 5.00 [5.00, 5.00], sharing 4.50 [-1.85, 10.85], n = 2, seeds 0, 1\n"
            ) in capsys.readouterr().out  # 31 -+ tan(.475 pi): Student's t of one degree of freedom
    assert surgery_rows({0: runs["a1"][0]}, 0.95)[2]["sharing"] == (4.0, None)
    runs["a1"][1]["surgery"]["early_epoch"] = 16
    with pytest.raises(ValueError, match="the result of a1-run-1 lacks what its surgery needs: measure it again"):
        surgery_rows(runs["a1"], 0.95)


WHOLE = """
[campaign]
recipe = "at"
words = []
seeds = [0]
level = 0.9
[effect]
robust = 1.0
[[arm]]
id = "a"
name = "nothing added"
words = []
[[prediction]]
id = "p"
claim = "it is robust"
arm = "a"
quantity = "robust"
at_least = 1.0
"""


def test_a_plan_with_all_that_it_needs_is_read(tmp_path):
    (tmp_path / "plan.toml").write_text(WHOLE)
    assert plan_of(tmp_path / "plan.toml")["prediction"][0]["arm"] == "a"


@pytest.mark.parametrize(("text", "sentence"), [
    ("x = 1", "not every campaign in it is a table with level, recipe, seeds, words: write"),
    ('campaign = {recipe = "at", words = [], seeds = [0], level = 0.9}', "not every effect in it is a table: write"),
    ('effect = {}\ncampaign = {recipe = "at", words = [], seeds = [0], level = 0.9}\narm = [{id = "a"}]',
     "not every arm in it is a table with id, name, words: write"),
    (WHOLE.replace("[[arm]]", "[arm]"),
     "its arm is one table, and there may be several: write each below a line [[arm]], as in figures/predictions"),
    (WHOLE.replace("[[prediction]]", "[prediction]"), "its prediction is one table"),
    (WHOLE.replace("[campaign]", "[[campaign]]"), "not every campaign in it is a table with level"),
    (WHOLE + '[[conclusion]]\nid = "c"\n', "not every conclusion in it is a table with id, statement: write"),
    (WHOLE + '[[correlation]]\nid = "r"\narm = "a"\n',
     "not every correlation in it is a table with arm, at_most, claim, given, id, pooled, x, y: write"),
    (WHOLE.replace('arm = "a"', 'arm = "b"'), "but p in it is of an arm b, and the arms are a: choose among them."),
    (WHOLE + 'minus = "b"\n', "but p in it is of an arm b"),
    (WHOLE + '[[conclusion]]\nid = "c"\nstatement = ""\namong = ["a", "b"]\n', "but c in it is of an arm b"),
    *((WHOLE + f'[[conclusion]]\nid = "c"\nstatement = ""\n{key} = ["p", "q"]\n',
       "but c in it follows from a prediction q, and the predictions are p: choose among them.")
      for key in ("refuted_by", "supported_by", "supported_contradicted")),
])
def test_a_plan_that_lacks_a_part_is_refused(text, sentence, tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(text)
    assert main(["confirm", "--plan", str(tmp_path / "plan.toml")]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_what_was_measured_has_the_p_value_of_its_verdict():
    done = Judged({"id": "p"}, (0, 1), 2.5, (2.0, 3.0), 0.8, 0.0371, "contradicted")
    assert measured_of(done) == "2.50 [2.00, 3.00], n = 2, p = 0.037 to contradict (Holm)"
    assert measured_of(replace(done, confirming=0.02)).endswith("p = 0.02 to confirm (Holm)")
    assert measured_of(replace(done, verdict="undecided", to_run=(2,))) == "2.50 [2.00, 3.00], n = 2, and 2 to be run"
