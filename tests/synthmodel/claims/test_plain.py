"""The words for what became of a claim: each status has its own, and no failure reads like a success."""

from dataclasses import asdict

import pytest

from synthmodel.claims.plain import MEANINGS, sentence, verdict
from synthmodel.claims.registry import CLAIMS, STATUSES


@pytest.mark.parametrize("status", STATUSES)
def test_a_claim_that_is_borne_out_and_one_that_is_not_share_no_verdict(status):
    row = {"status": status, "derived": None, "proved": None}
    good, bad = (verdict(row | {"holds": holds}) for holds in (True, False))
    assert good == MEANINGS[status][1]
    assert bad.startswith("NOT BORNE OUT")
    assert ("refuted" in good) == (status == "refuted")
    assert "confirmed" not in good


def test_the_part_that_failed_is_named():
    row = {"status": "certified", "holds": False, "derived": True, "proved": False, "counterexample": "k = 2"}
    assert verdict(row).endswith(": its certificate failed")
    assert verdict(row | {"derived": False}).endswith(": its derivation and its certificate failed")
    assert verdict(row | {"proved": True}).endswith("independent numerics failed")
    assert verdict(row | {"proved": True, "status": "refuted"}).endswith(": its counterexample failed")


def test_a_counterexample_stands_beside_its_verdict():
    assert verdict({"status": "refuted", "holds": True, "counterexample": "k = 2"}) == (
        "refuted: counterexample found (k = 2)")


def test_what_is_refuted_is_said_to_be_false_and_nothing_else_is():
    for claim in CLAIMS:
        said = sentence(asdict(claim))
        assert claim.statement in said
        assert said.startswith("False: ") == (claim.status == "refuted") == ("True instead: " in said)
        assert claim.hypotheses == "none" or claim.hypotheses in said
