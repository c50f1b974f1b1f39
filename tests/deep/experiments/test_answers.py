"""What `deep confirm` prints of made-up results: what was measured on which seeds, or why nothing was judged."""

import json
from itertools import pairwise

from deep.__main__ import main
from deep.cli.confirm import print_answers
from deep.experiments.campaign.answers import answers
from deep.experiments.campaign.plan import committed, plan_of
from tests.support.campaign import made_up, write_results

PLAN = plan_of(committed()[0])


def printed(out):
    """{id: (verdict, second line)} of the rows in a text."""
    lines = out.splitlines()
    return {head[13:].partition(":")[0]: (head[:13].strip(), then.strip())
            for head, then in pairwise(lines) if then.startswith(13 * " ")}


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


def test_json_says_which_command_measures(tmp_path, capsys):
    folder = write_results(tmp_path / "campaign", made_up(PLAN, ["a1", "a3"], seeds=[0, 1]))
    assert main(["confirm", "--results", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    commands = {row["id"]: row["command"] for row in found["predictions"] + found["correlations"]}
    assert commands["a3-robust"] == "deep confirm --run --data DIR --arms a3,a1"
    assert commands["proxy"] == "deep confirm --run --data DIR --arms a1"
