"""How results are printed: folded to the terminal's width, and as wide as they are where the output is no terminal."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from synthmodel.claims.registry import OPEN
from synthmodel.system.terminal import columns

__all__ = ["PROSE", "folded", "missed_targets", "print_bench", "print_certificates", "print_claims",
           "print_derivations", "print_list", "print_open", "print_readings", "print_result", "print_table",
           "print_verified", "shown", "unicode"]

Row = dict[str, Any]
NUMBER = 19  # columns of a number of ten digits
PROSE = 100  # columns of text where the output is no terminal


def unicode() -> bool:
    """Return whether standard output has Greek letters and the signs of mathematics."""
    try:
        "εσ₀²√≤𝔼ᵀ⁻".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def folded(text: str, indent: int = 0, first: int | None = None, width: int | None = None) -> str:
    """Return a paragraph folded to the terminal, without cutting a word; unfolded where there is none.

    indent: spaces before each line; first: before the first one, where that differs.

    >>> print(folded("one two three four", indent=2, first=0, width=14))
    one two three
      four
    """
    width = width or columns()
    lead = " " * (indent if first is None else first)
    if not width:
        return lead + text
    return textwrap.fill(text, max(width, indent + 10), initial_indent=lead, subsequent_indent=" " * indent,
                         break_long_words=False, break_on_hyphens=False)


def shown(value: Any, digits: int = 10) -> str:
    return "-" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def print_result(result: Row | list[Row]) -> None:
    if isinstance(result, list):
        print_rows(result)
        return
    wide = max(map(len, result))
    for key, value in result.items():
        print(folded(f"{key:{wide}}  {shown(value)}", indent=wide + 2, first=0))


def print_rows(rows: list[Row]) -> None:
    """A table of numbers; where the terminal is too narrow, of six digits, in parts that each begin with one column."""
    keys, width = list(rows[0]), columns()
    if not width or NUMBER * len(keys) <= width:
        print("".join(f"{key:>{NUMBER}}" for key in keys))
        for row in rows:
            print("".join(f"{shown(row[key]):>{NUMBER}}" for key in keys))
        return
    cells = {key: [key, *(shown(row[key], 6) for row in rows)] for key in keys}
    sizes = {key: max(map(len, column)) + 2 for key, column in cells.items()}
    for part in parts_that_fit(sizes, width):
        for i in range(len(rows) + 1):
            print("".join(f"{cells[key][i]:>{sizes[key]}}" for key in part))
        print()


def parts_that_fit(sizes: dict[str, int], width: int) -> list[list[str]]:
    """Return the columns in groups that each fit the width, the first column at the head of each.

    >>> parts_that_fit({"eps": 5, "w1": 10, "w2": 10, "ratio": 10}, 26)
    [['eps', 'w1', 'w2'], ['eps', 'ratio']]
    """
    lead, *rest = sizes
    parts = [[lead]]
    for key in rest:
        if len(parts[-1]) > 1 and sum(sizes[one] for one in parts[-1]) + sizes[key] > width:
            parts.append([lead])
        parts[-1].append(key)
    return parts


def print_list(rows: list[Row]) -> None:
    """Each claim with its status in plain words; one line a claim where the output is no terminal."""
    from synthmodel.claims.theory import summary
    wide = max(len(row["id"]) for row in rows) + 2
    for row in rows:
        words = row["status_in_words"] + (" (of the paper)" if row["source"] == "paper" else "")
        statement = row["statement"] + (f". Instead: {row['instead']}" if row["instead"] else "")
        if columns():
            print(f"{row['id']:{wide}}{words}\n{folded(statement, indent=4)}")
        else:
            print(f"{row['id']:{wide}}{words:48}  {statement}")
    print(f"\n{folded(summary(), indent=2, first=0)}")


def print_derivations(rows: list[Row], latex: bool) -> None:
    """Each derivation as text, folded to the terminal, or all in a LaTeX document."""
    if latex:
        from synthmodel.claims.theory import claims_named
        from synthmodel.cli.derivations import document
        print(document(claims_named([row["claim"] for row in rows])))
        return
    for i, row in enumerate(rows):
        print("\n" * (i > 0), end="")
        for line in row["text"].splitlines():
            lead = len(line) - len(line.lstrip())
            print(folded(line.strip(), indent=lead + 2, first=lead))


def print_claims(rows: list[Row]) -> None:
    """One block a claim: a table of eight columns would be cut or wrapped in any terminal."""
    for row in rows:
        outcome = "holds" if row["holds"] else "DOES NOT HOLD"
        if row["status"] == "refuted":
            outcome = "counterexample confirmed" if row["holds"] else "COUNTEREXAMPLE NOT CONFIRMED"
        for key, good, bad in (("derived", "derived by sympy", "DERIVATION FAILED"),
                               ("proved", "certificate checked", "CERTIFICATE FAILED")):
            outcome += "" if row[key] is None else f", {good if row[key] else bad}"
        if row["certified"] and row["slow"]:
            outcome += " in part, the rest" if row["proved"] else ", certificates"
            outcome += " by certify --long and --search"
        print(folded(f"{row['id']:12} {row['source']:6} {row['status']:9} {outcome}", indent=13, first=0))
        said = [row["statement"],
                f"given {row['hypotheses']}; tested on {row['domain']}; {row['measure']} {row['margin']:.3g}",
                *(f"{words}: {row[key]}" for key, words in (("counterexample", "with numbers"), ("instead", "instead"),
                                                           ("certified", "certified")) if row[key])]
        for line in said:
            print(folded(line, indent=13))


def print_verified(rows: list[Row]) -> None:
    """How many claims this run has borne out, each as it is stated: those that are refuted by their counterexamples."""
    good = sum(row["holds"] for row in rows)
    lost = ", ".join(row["id"] for row in rows if not row["holds"])
    print(folded(f"{len(rows)} claim{'s' if len(rows) > 1 else ''}: {good} as stated, {len(rows) - good} not"
                 + (f" ({lost})" if lost else ""), indent=2, first=0))


def print_table(rows: list[Row]) -> None:
    """One block a statement, one line a loss."""
    for row in rows:
        print("\n" + folded(row["statement"], indent=2, first=0))
        cells = {name: cell for name, cell in row.items() if name != "statement" and cell}
        if row["statement"].startswith("T2"):
            cells = {"any loss": row["margin"]}
        for name, cell in cells.items():
            print(folded(f"{name:32} {cell}", indent=35, first=2))


def print_readings(rows: list[Row]) -> None:
    """One block a reading, one line a theorem."""
    for row in rows:
        print("\n" + folded(f"{row['reading']} (claim {row['claim']})", indent=2, first=0))
        for name in ("Theorem 1", "Theorem 2", "Theorem 3", "w2/w1"):
            if row[name]:
                print(folded(f"{name:12} {row[name]}", indent=15, first=2))


def print_open() -> None:
    print("\nopen:")
    for question in OPEN:
        print(folded(question, indent=4, first=2))


def print_certificates(rows: list[Row]) -> None:
    """A header and one line a certificate, in a terminal folded; the enclosure of a number is its own line."""
    keys = [key for key in rows[0] if key != "holds"]
    if "claim" in keys:
        print(folded("; ".join(keys), indent=4, first=0))
    for row in rows:
        print(folded("; ".join(shown(row[key]) for key in keys), indent=4, first=0))


def print_bench(rows: Row) -> None:
    """One line a measurement, and which targets were missed."""
    for name, numbers in rows.items():
        said = ", ".join(f"{key} {shown(value)}" for key, value in numbers.items() if value not in (None, []))
        print(folded(f"{name}: {said}", indent=4, first=0))
    missed = missed_targets(rows)
    print(f"targets missed: {', '.join(missed)}" if missed else "every target is met")


def missed_targets(rows: Row) -> Sequence[str]:
    """Return the names of the measurements whose target was missed."""
    return [name for name, numbers in rows.items() if numbers.get("met") is False]
