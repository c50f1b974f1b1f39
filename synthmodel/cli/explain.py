"""`synthmodel explain ID`: what a claim says, why, its numbers at a setting, what carries it, what differs nearby."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthmodel.claims.at_setting import at
from synthmodel.claims.plain import IN_WORDS
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.theory import LINKED, anchor, readings, section, source, symbols_of
from synthmodel.cli.derivations import certificates_of
from synthmodel.cli.plain_text import plain, symbol_line
from synthmodel.cli.printing import PROSE, folded, shown, unicode
from synthmodel.system.terminal import columns

if TYPE_CHECKING:
    from synthmodel.claims.at_setting import Point
    from synthmodel.claims.registry import Claim

__all__ = ["explanation", "picture", "print_explanation", "words_of_picture"]

# first letters of an ID -> the command that draws its picture, at the user's setting; the longest that fits
DRAWN = {
    **dict.fromkeys(("A1", "T1", "N1", "U1", "T3", "G-noise", "R-"),
                    "synthmodel plot thresholds --mu {mu} --sigma {sigma} --b {b} --lam {lam}"),
    **dict.fromkeys(("T1-CE", "T3-CE", "CE-2D"), "synthmodel plot thresholds --mu {mu} --sigma {sigma} --b {b} "
                    "--lam {lam} --loss margin,cross-entropy"),
    **dict.fromkeys(("N2", "N4", "S1", "CE-monotone"), "synthmodel plot ratios --mu {mu} --sigma {sigma} "
                    "--lam {lam} --loss margin,cross-entropy"),
    "N4-K": "synthmodel plot ratios --mu {mu} --sigma {sigma} --lam {lam} --classes 10 --loss "
            "margin,cross-entropy",
    "T2": "synthmodel plot accuracy --mu {mu} --sigma {sigma} --eps {eps} --lam {lam}",
    **dict.fromkeys(("T1-temp", "E-margins"), "synthmodel atlas --out atlas (phase_temperature.png)"),
    **dict.fromkeys(("G-K", "G-joint-K", "T2-joint-K", "T2-joint-B", "N2-K", "N2-B"),
                    "synthmodel atlas --out atlas (phase_classes.png)"),
    **dict.fromkeys(("G-decay", "N3-entries", "N4-entries"), "synthmodel atlas --out atlas (phase_decays.png)"),
    **dict.fromkeys(("D1", "D4"), "synthmodel atlas --out atlas (dynamics.png)"),
    **dict.fromkeys(("D1-any", "D2", "D4-flows"), "synthmodel atlas --out atlas (flows.png)"),
    "N3": "synthmodel atlas --out atlas (phase_smoothing.png)", "G-lp": "synthmodel atlas --out atlas (phase_norm.png)",
    "N5": "synthmodel atlas --out atlas (phase_theorems.png)", "D3": "python -m figures.theory.finite_sample",
    "N1-sample": "python -m figures.theory.learning_curve", "B1": "python -m figures.networks.feature_network",
    **dict.fromkeys(("CAS", "mCAS", "P-linear"), "synthmodel report --out report (planted.png)"),
}
# part of an ID -> the column of the table of readings that its statement is about
COLUMNS = {"T1": "Theorem 1", "U1": "Theorem 1", "T2": "Theorem 2", "T3": "Theorem 3", "N2": "w2/w1", "N4": "w2/w1"}


def picture(claim: Claim, point: Point) -> str:
    """The command that draws what the claim is about; empty where nothing does."""
    fits = max((lead for lead in DRAWN if claim.id.startswith(lead)), key=len, default="")
    exact = {name: f"{value}".removesuffix(".0") for name, value in asdict(point).items()}
    return DRAWN[fits].format(**exact) if fits else ""


def words_of_picture(claim: str, command: str, out: str) -> list[str]:
    """The words of `plot` that draw a claim's picture, a command, in the file `out`; ValueError where none does.

    >>> words_of_picture("T1", "synthmodel plot thresholds --mu 1", "T1.png")
    ['plot', 'thresholds', '--mu', '1', '--out', 'T1.png']
    """
    program, *words = shlex.split(command) or [""]
    if program != "synthmodel" or words[0] != "plot":
        run, *file = command.partition(" (")  # the file that it writes stands behind it
        instead = (f"leave --out away and run `{run}`{''.join(file)}" if command
                   else "it has none at all, so leave --out away")
        raise ValueError(f"--out = {out} was given, but {claim} has no picture at a setting of yours: {instead}.")
    return [*words, "--out", out]


def carried_by(claim: Claim) -> list[str]:
    """What a reader can run and read to be convinced."""
    from synthmodel.claims.checks import CHECKS
    from synthmodel.symbolic import CLAIMS as DERIVED
    check = CHECKS[claim.id]
    found = [f"derivation: `synthmodel derive {claim.id}`, each step decided by sympy; its last line says what else "
             "carries it"] if claim.id in DERIVED else []
    found += [f"certificate: {words}" for words in certificates_of(claim)]
    if any(part.label == "In a proof assistant" for part in section(claim.id)):
        found.append("Coq: synthmodel/certificates/*.v, see above")
    found.append(f"check against independent numerics: `synthmodel verify {claim.id}` ({check.__name__} in "
                 f"{check.__module__})")
    return found


def tests_of(claim: Claim) -> list[str]:
    """The files of tests that name a claim, in a checkout; none where the package is installed without them."""
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").exists():  # beside an installed package other people's tests may stand
        return []
    named = re.compile(rf"""(?<![\w-]){re.escape(claim.id)}(?![\w'-]|"s)""")
    return [path.relative_to(root).as_posix() for path in sorted((root / "tests").rglob("*.py"))
            if named.search(path.read_text(encoding="utf-8"))]


def nearby(claim: Claim) -> list[str]:
    """Where readings of the paper, or statements beside the claim, part from it."""
    column = next((name for lead, name in COLUMNS.items() if claim.id.startswith(lead)), None)
    rows = readings()
    found = []
    if claim.id.startswith("R-"):
        found = [f"{row['reading']}: Theorem 1 {row['Theorem 1']}" + (f"; Theorem 3 {row['Theorem 3']}"
                 if row["Theorem 3"] else "") for row in rows if row["claim"] == claim.id]
    elif column == "Theorem 2":
        found = [f"every reading of the loss: {rows[0][column]} (accuracy does not know the loss)"]
    elif column:
        usual = rows[0][column]
        found = [f"{row['reading']}: {row[column]} ({row['claim']})" for row in rows
                 if row[column] and row[column] != usual]
    for other in CLAIMS:
        related = other.id.startswith(f"{claim.id}-") or anchor(claim.id) in LINKED.findall(source(other.id))
        if other != claim and other.status == "refuted" and related:
            found.append(f"{other.id}, refuted: {other.statement}. Instead: {other.instead}")
    return found


def explanation(claim: Claim, point: Point) -> dict[str, Any]:
    """All that `synthmodel explain` prints of a claim at a point, as plain data; its texts are Markdown."""
    numbers, inequalities = at(claim, point)
    return {"id": claim.id, "source": claim.source, "status": claim.status, "status_in_words": IN_WORDS[claim.status],
            "statement": claim.statement, "hypotheses": claim.hypotheses, "instead": claim.instead,
            "certified": claim.certified, "penalty": claim.penalty,
            "symbols": [asdict(symbol) for symbol in symbols_of(claim.id)],
            "section": [asdict(part) for part in section(claim.id)], "setting": asdict(point),
            "numbers": [asdict(number) for number in numbers],
            "inequalities": [asdict(one) for one in inequalities],
            "picture": picture(claim, point), "carried_by": carried_by(claim), "nearby": nearby(claim),
            "tests": tests_of(claim)}


def print_explanation(found: dict[str, Any], out: str | None = None) -> None:
    """The explanation as a page, folded to the terminal; out: the file in which its picture was drawn."""
    width, greek = columns() or PROSE, unicode()

    said = "from the paper" if found["source"] == "paper" else "new here"
    print(f"{found['id']}: {found['status_in_words']} ({said})")
    print(folded(found["statement"], indent=2, width=width))
    for label in ("hypotheses", "instead", "certified"):
        if found[label]:
            print(folded(f"{label}: {found[label]}", indent=4, first=2, width=width))
    print_symbols(found["symbols"], width, greek)
    for part in found["section"]:
        print(f"\n{plain(part['label'], greek) or 'In short'}")
        print_paragraphs(plain(part["text"], greek), width)
    print_numbers(found, width)
    if found["picture"]:
        print(f"\nPicture\n  {f'{out}, as drawn by ' if out else ''}{found['picture']}")
    for title, lines in (("Carried by", found["carried_by"]), ("What differs nearby", found["nearby"])):
        if lines:
            print(f"\n{title}")
        for line in lines:
            print(folded(f"- {line}", indent=4, first=2, width=width))
    if found["tests"]:
        print(f"\nTests that name it\n{folded(', '.join(found['tests']), indent=2, width=width)}")


def print_symbols(symbols: list[dict[str, Any]], width: int, greek: bool) -> None:
    """Each symbol with its name in the code and its meaning."""
    if symbols:
        print("\nSymbols")
    for symbol in symbols:
        print(folded(symbol_line(symbol, greek), indent=6, first=2, width=width))


def print_paragraphs(text: str, width: int) -> None:
    """Paragraphs, items that begin with "- ", and formulas on lines of their own."""
    for block in text.split("\n\n"):
        if block.startswith("    "):
            print(folded(block.strip(), indent=8, first=6, width=width))
            continue
        for i, item in enumerate(("\n" + block).split("\n- ")):
            if words := " ".join(item.split()):
                print(folded(f"- {words}" if i else words, indent=4 if i else 2, first=2, width=width))


def print_numbers(found: dict[str, Any], width: int) -> None:
    setting = ", ".join(f"{name} = {value:g}" for name, value in found["setting"].items())
    print(f"\nAt {setting}")
    if not found["numbers"]:
        print(f"  its numbers are those of settings of its own: `synthmodel verify {found['id']}`")
        return
    wide = max(len(number["name"]) for number in found["numbers"])
    for number in found["numbers"]:
        value = "none here" if number["value"] is None else shown(number["value"], 7)
        print(folded(f"{number['name']:{wide}}  {value:13} {number['meaning']}", indent=wide + 4, first=2, width=width))
    outcomes = {True: "holds here", False: "DOES NOT HOLD here",
                None: "says nothing here, or the two cannot be told apart"}
    if found["status"] == "refuted":
        outcomes |= {False: "does not hold here: a counterexample", True: "holds here, though not everywhere"}
    for one in found["inequalities"]:
        where = f", claimed for {one['where']}" if one["where"] else ""
        print(folded(f"{one['says']}{where}: {outcomes[one['holds']]}", indent=4, first=2, width=width))
