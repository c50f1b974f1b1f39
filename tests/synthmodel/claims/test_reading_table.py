"""The table of readings: as committed where it is quick to compute, and able to say something else."""

import csv
from pathlib import Path

import pytest

from synthmodel.claims import reading_table as module
from synthmodel.claims.readings import READINGS, margin
from synthmodel.claims.registry import CLAIMS
from synthmodel.cli.commands import COMMANDS

COMMITTED = Path(__file__).parents[3] / "figures" / "data" / "readings.csv"
# by minimising
SLOW = {"phi(min_j m_j), as hinge", "TRADES, cross-entropy and KL", "smoothing as sum_y q_y l_y, delta*"}


@pytest.fixture(scope="module")
def committed():
    with open(COMMITTED, newline="") as file:
        return list(csv.DictReader(file))


def test_the_committed_rows_are_what_the_code_computes(committed, monkeypatch):
    assert [row["reading"] for row in committed] == list(READINGS)
    monkeypatch.setattr(module, "READINGS", {name: entry for name, entry in READINGS.items() if name not in SLOW})
    options = type("Options", (), {"readings": True})
    assert COMMANDS["table"](options) == [row for row in committed if row["reading"] not in SLOW]


def test_every_row_has_its_claim_and_says_what_the_claim_says(committed):
    assert {row["claim"] for row in committed} <= {claim.id for claim in CLAIMS}
    said = {row["reading"]: row for row in committed}
    holds = {name for name, row in said.items() if row["Theorem 1"].startswith("holds")}
    assert holds == {"margin loss max_j f_j - f_i", "phi(min_j m_j), as hinge", "w1^2 + w2^2 = 1 for a penalty",
                     "max(w1, w2) <= 1 for a penalty", "smoothing as sum_y q_y l_y, delta*",
                     "attack on the active features only", "0-1 loss", "(1 - min_j m_j)^2, delta*",
                     "TRADES, margin loss"}
    third = {name for name, row in said.items() if row["Theorem 3"].startswith("holds")}
    assert third == {"margin loss max_j f_j - f_i", "w1^2 + w2^2 = 1 for a penalty",
                     "attack on the active features only", "(1 - min_j m_j)^2, delta*", "TRADES, margin loss"}
    assert "below eps0" in said["smoothing as sum_y q_y l_y, delta*"]["Theorem 3"]
    assert "fails: w2 dies at eps1" in said["phi(min_j m_j), as hinge"]["Theorem 3"]


def test_another_attack_changes_its_row(monkeypatch):
    monkeypatch.setattr(module, "READINGS", {"half": (lambda mu, sigma, eps, b, lam: margin(mu, sigma, eps / 2, b, lam),
                                                      "T1")})
    (row,) = module.reading_table()
    assert row["Theorem 1"] == "holds, w2 dies at 2 eps0, w1 at mu" and row["Theorem 3"] == "holds, w2 dies at 2 eps1"
