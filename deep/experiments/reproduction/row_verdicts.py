"""What each row of a table says beside the paper's: the sign of a change, its size, or why the two do not compare.

The change is that since the row before, of the same training; in a row "best - last" it is the row's own. It is paired
over seeds, and its sign needs p < .05 (Student's t, Holm over the table).
"""

from math import nan
from typing import Any

from deep.experiments.campaign.predictions import decided, holm_pairs, verdict

__all__ = ["row_verdicts", "verdict_in_words"]

LEVEL = 0.95
SIGNS = {"confirmed": "same sign", "contradicted": "opposite sign", "undecided": "undecided",
         "not run": "undecided (one seed)"}
NONE, LEVELS = "not comparable: no number of the paper", "not comparable: a level, not measured as the paper's"


def row_verdicts(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return for each row of `comparison.rows` its verdicts, of CAS and of robust accuracy, where the paper has them.

    {"quantity": "cas", "worst", or "robust" where the worst case was not measured, "since": the stage of the row
    before, or None, "value", "interval", "paper", "verdict"}. A first row has no change: its level is judged where the
    paper's is measured alike, which PGD's robust accuracy never is.
    """
    found: list[list[dict[str, Any]]] = []
    tested: list[tuple[dict[str, Any], bool, int, float, float]] = []
    for number, row in enumerate(rows):
        before = rows[number - 1] if number and rows[number - 1]["system"] == row["system"] else None
        whole = row["stage"] == "best - last"  # a change by itself
        found.append([])
        for name in ("cas", "robust"):
            one, values = measured(name, row, None if whole else before)
            if one["paper"] is None:
                continue
            found[-1].append(one)
            alike = one["quantity"] in row["difference"]
            if name == "cas" and row["paper_note"]:
                one["verdict"] = f"not comparable: {row['paper_note']}"
            elif not values:
                one["verdict"] = "not run"
            elif one["since"] or whole:
                rule = "at_least" if one["paper"] > 0 else "at_most"
                *_, sign, other = decided({rule: 0.0}, values, 0.0, LEVEL) if len(values) > 1 else (nan, nan)
                tested.append((one, alike, len(values), sign, other))
            else:
                one["verdict"] = size(one) if alike else LEVELS
    for (one, alike, n, *_), ps in zip(tested, holm_pairs([case[3:] for case in tested]), strict=True):
        one["verdict"] = SIGNS[verdict(n, *ps, 1 - LEVEL)]
        if one["verdict"] == "same sign":
            one["verdict"] += f", {size(one) if alike else 'size not comparable'}"
    return found


def measured(name: str, row: dict[str, Any], before: dict[str, Any] | None) -> tuple[dict[str, Any], list[float]]:
    """Return (a verdict without its words, its value by seed): the change since the row before, if the paper has one.

    A seed whose checkpoint is older than that before is left out.
    """
    key = "worst" if name == "robust" and row["worst"] else name
    paper, values, since = row["paper"][name], row[key]["values"] if row[key] else [], None
    if paper is not None and before and before["paper"][name] is not None:
        paper, since = paper - before["paper"][name], before["stage"]
        others = before[key]["values"] if before[key] else []
        values = [value - other for value, other, epoch, earlier
                  in zip(values, others, row["epochs"], before["epochs"], strict=True) if epoch >= earlier]
    interval = decided({"within": 0.0}, values, 0.0, LEVEL)[1] if len(values) > 1 else None
    return {"quantity": key, "since": since, "value": sum(values) / len(values) if values else None,
            "interval": interval, "paper": paper}, values


def size(one: dict[str, Any]) -> str:
    """Return the size of a change, or of a level, beside the paper's: alike if the paper's lies in the interval."""
    if one["interval"] and one["interval"][0] <= one["paper"] <= one["interval"][1]:
        return "size as the paper's"
    return f"{one['value'] / one['paper']:.2f} of the paper's size"


def verdict_in_words(verdicts: list[dict[str, Any]]) -> str:
    """Return the cell of a row.

    >>> verdict_in_words([{"quantity": "cas", "since": "best", "value": -4.0, "interval": (-6.0, -2.0), "paper": -16.6,
    ...                    "verdict": "same sign, size not comparable"}])
    'CAS since best: -4.00 [-6.00, -2.00], paper -16.6: same sign, size not comparable'
    >>> verdict_in_words([])
    'not comparable: no number of the paper'
    """
    return "; ".join(map(in_words, verdicts)) or NONE


def in_words(one: dict[str, Any]) -> str:
    """Return one verdict with its numbers, those of a change with their signs."""
    name = {"cas": "CAS", "worst": "worst case", "robust": "robust"}[one["quantity"]]
    if one["verdict"] == LEVELS:
        return f"{name}: {LEVELS}"
    if one["value"] is None:
        return f"{name}: {one['verdict']}"
    since, sign = (f" since {one['since']}", "+") if one["since"] else ("", "")
    interval = "" if one["interval"] is None else f" [{one['interval'][0]:{sign}.2f}, {one['interval'][1]:{sign}.2f}]"
    return f"{name}{since}: {one['value']:{sign}.2f}{interval}, paper {one['paper']:{sign}.1f}: {one['verdict']}"
