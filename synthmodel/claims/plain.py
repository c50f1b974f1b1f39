"""What became of a claim, in plain words, for lists and reports; `verify` prints one part after the other itself."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from synthmodel.claims.registry import STATUSES, Claim

__all__ = ["IN_WORDS", "MEANINGS", "sentence", "short", "verdict", "with_words"]

# (in a word or two, in a sentence) of each status, for a claim that is borne out
MEANINGS = dict(zip(STATUSES, (
    ("proved", "holds: derived from the definitions, step by step, by sympy"),
    ("proved on a region", "holds on its certified region: proved there by ball arithmetic"),
    ("tested, not proved", "agrees with independent numerics wherever it was tried; there is no proof"),
    ("refuted", "refuted: counterexample found")), strict=True))
# what carries a claim of each status, for lists
IN_WORDS = dict(zip(STATUSES, ("proved by algebra", "proved with interval arithmetic", "tested only",
                               "refuted: counterexample found"), strict=True))


def with_words(claim: Claim) -> dict[str, Any]:
    """Return a claim as plain data, with its status in plain words."""
    return asdict(claim) | {"status_in_words": IN_WORDS[claim.status]}


def verdict(row: Mapping[str, Any]) -> str:
    """Say what became of a claim in this run, so that "refuted" cannot be taken for "confirmed".

    row: `verify`'s `Row.as_dict()`; of it status, holds, counterexample, and derived and proved (False: failed now).

    >>> verdict({"status": "refuted", "holds": True, "counterexample": "k = 1: 0.6 < 0.7"})
    'refuted: counterexample found (k = 1: 0.6 < 0.7)'
    >>> verdict({"status": "symbolic", "holds": False, "derived": False})
    'NOT BORNE OUT by this run, which expected "proved": its derivation failed'
    """
    if row["holds"]:
        return MEANINGS[row["status"]][1] + (f" ({row['counterexample']})" if row.get("counterexample") else "")
    failed = [what for key, what in (("derived", "its derivation"), ("proved", "its certificate"))
              if row.get(key) is False] or [
                  "its counterexample" if row["status"] == "refuted" else "its comparison with independent numerics"]
    return f'NOT BORNE OUT by this run, which expected "{MEANINGS[row["status"]][0]}": {" and ".join(failed)} failed'


def short(row: Mapping[str, Any]) -> str:
    """Say in a word or two what became of a claim in this run; row: status and holds.

    >>> short({"status": "symbolic", "holds": True}), short({"status": "symbolic", "holds": False})
    ('proved', 'NOT BORNE OUT')
    """
    return MEANINGS[row["status"]][0] if row["holds"] else "NOT BORNE OUT"


def sentence(row: Mapping[str, Any]) -> str:
    """Say what is true: the statement with its hypotheses, or that it is false, and what is true instead.

    row: `Row.as_dict()`, or the fields of a `Claim`: status, statement, hypotheses, instead.

    >>> sentence({"status": "refuted", "statement": "A rises", "hypotheses": "eps < 1", "instead": "it falls"})
    'False: A rises (given eps < 1). True instead: it falls.'
    """
    given = "" if row["hypotheses"] == "none" else f" (given {row['hypotheses']})"
    if row["status"] == "refuted":
        return f"False: {row['statement']}{given}. True instead: {row['instead']}."
    return f"{row['statement']}{given}."
