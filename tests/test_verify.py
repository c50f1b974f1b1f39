"""`verify`: every status is borne out, and a mutated claim is caught by its own check."""

import math

import pytest

import synthmodel.checks.core as module
from synthmodel.claims import CLAIMS, STATUSES
from synthmodel.closed import eps1, ratio_closed, solve_closed
from synthmodel.solution import Solution
from synthmodel.verify import verify

IDS = [known.id for known in CLAIMS]


def test_the_list_is_complete():
    assert IDS == ["T1", "T2-pair", "T2-joint", "T2-joint'", "T3", "N1", "N2", "N3"]
    assert all(known.status in STATUSES and known.source in ("paper", "new") for known in CLAIMS)
    assert set(module.CHECKS) == set(IDS)


def test_every_row_holds_with_its_derivation():
    rows = list(verify())
    assert [row.claim.id for row in rows if not row.holds] == []
    assert all(row.symbolic for row in rows)
    refuted = next(row for row in rows if row.claim.id == "T2-joint")
    assert "0.870642 at w2 = .7 w1, but 0.865767 at w2 = w1" in refuted.evidence.counterexample


def holds(name):
    return module.CHECKS[name]().holds


def scaled_weights(setting, loss, eps, lam):
    exact = solve_closed(setting, loss, eps, lam)
    return Solution(exact.w1, 1.01 * exact.w2, exact.risk, exact.residual, exact.method)


MUTATIONS = {
    "T1: w2 one per cent larger": ("T1", "solve_closed", scaled_weights),
    "T1: threshold one per cent off": ("T1", "eps1", lambda setting, b: 1.01 * eps1(setting, b)),
    "T1: 1/sqrt(pi) replaced by 1/sqrt(3)": (
        "T1", "eps1", lambda setting, b: setting.mu / 2 - (1 - b) * setting.sigma / (2 * math.sqrt(3))),
    "T3: sign of b flipped": ("T3", "eps1", lambda setting, b: eps1(setting, 0) - b * setting.sigma / 4),
    "T3: threshold of b = 0": ("T3", "eps1", lambda setting, b: eps1(setting, 0)),
    "T2-pair: wrong law": ("T2-pair", "pairwise_accuracy", lambda r, k: module.joint_accuracy(r, k)),
    "T2-joint: accuracy at w1 higher": ("T2-joint", "joint_by_quadrature", lambda r, k: 0.87 + r / 100),
    "T2-joint': maximiser one per cent off": ("T2-joint'", "r_acc", lambda k: 1.01 * ORIGINAL["r_acc"](k)),
    "T2-joint': threshold replaced": ("T2-joint'", "r_acc", lambda k: max(ORIGINAL["r_acc"](k), 1e-3)),
    "T2-joint': accuracy without Owen's T": ("T2-joint'", "joint_accuracy", module.pairwise_accuracy),
    "N1: eps0 one per cent off": ("N1", "eps0", lambda setting: 1.01 * ORIGINAL["eps0"](setting)),
    "N2: sides exchanged": ("N2", "r_acc", lambda k: ratio_closed(k) ** 2),
    "N3: b* five per cent off": ("N3", "b_star", lambda k: 1.05 * ORIGINAL["b_star"](k)),
    "N3: b* decreasing": ("N3", "b_star", lambda k: 1 - ORIGINAL["b_star"](k)),
}
ORIGINAL = {name: getattr(module, name) for name in ("r_acc", "eps0", "b_star")}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutated_claim_is_caught(mutation, monkeypatch):
    name, attribute, mutant = MUTATIONS[mutation]
    monkeypatch.setattr(module, attribute, mutant)
    assert not holds(name)
