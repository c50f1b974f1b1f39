"""The table of statements and losses: computed, as committed, and able to say something else."""

import csv
from pathlib import Path

import pytest

import synthmodel.claims.statement_table as module
from synthmodel.claims.statement_table import cell, table
from synthmodel.cli.commands import COMMANDS
from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin

COMMITTED = Path(__file__).parents[3] / "figures" / "data" / "statements.csv"


@pytest.fixture(scope="module")
def rows():
    return COMMANDS["table"](None)


@pytest.mark.slow
def test_the_committed_table_is_what_the_code_computes(rows):
    with open(COMMITTED, newline="") as file:
        assert list(csv.DictReader(file)) == rows


@pytest.mark.slow
def test_what_the_theorems_say_of_each_loss(rows):
    said = {row["statement"].split(":")[0].split(",")[0]: row for row in rows}
    with_threshold = {name for name, found in said["T1"].items() if found == "holds"}
    assert with_threshold == {"margin", "smoothed margin", "soft-target margin, exact", "soft-target margin, delta*"}
    assert [name for name, found in said["T3"].items() if found == "holds"] == ["smoothed margin"]
    assert said["N2"]["margin"] == "holds" and said["N4"]["margin"] == "fails"
    assert said["N4"]["cross-entropy"] == "holds for k <= 2.4, fails for k >= 3.2"  # on either side of N4's end
    pairwise, joint = rows[:2]
    assert (pairwise["margin"], joint["margin"]) == ("holds", "fails")


@pytest.mark.parametrize(("k", "holds", "words"), [
    ([1, 2], [True, True], "holds"), ([1, 2], [False, False], "fails"), ([], [], "says nothing"),
    ([1, 2, 3], [True, False, False], "holds for k <= 1, fails for k >= 2"),
    ([1, 2, 3], [True, False, True], "holds in 2 of 3")])
def test_cells(k, holds, words):
    assert cell(k, holds) == words


def test_distillation_lowers_w2_at_its_teachers_eps_and_may_raise_it_beyond():
    """Both sentences are true: of itself nowhere (the gallery), of a teacher of eps = .1 in places (the table)."""
    for sigma in module.SIGMAS:
        (_, distilled), (_, plain) = (module._solutions(loss, sigma, 0.05) for loss in ("teacher", CrossEntropy()))
        own = list(module.EPS).index(module.TEACHER)
        assert distilled[own] < plain[own] and distilled[-1] > plain[-1]


def test_a_wrong_loss_changes_the_table(monkeypatch):
    monkeypatch.setattr(module, "LOSSES", {"smoothed margin": ("exact", Margin(), SmoothedMargin(0.2))})
    found = table()
    assert found["T3: the soft label raises w2"]["smoothed margin"] == "fails"
