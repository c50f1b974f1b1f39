"""What `synthmodel explain` answers to a word that is no claim: a symbol, or the claims that speak of some words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from synthmodel.claims.at_setting import QUANTITIES, value
from synthmodel.claims.plain import IN_WORDS
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.theory import anchor, formulas_of, source, symbols, symbols_of, titles, used
from synthmodel.cli.plain_text import formula, plain
from synthmodel.cli.printing import folded, shown, unicode
from synthmodel.system.terminal import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthmodel.claims.at_setting import Point
    from synthmodel.claims.registry import Claim
    from synthmodel.claims.theory import Symbol

__all__ = ["answer", "claims_about", "print_answer", "symbols_named"]

PROSE = 100  # columns of text where the output is no terminal
MOST = 40  # claims that are named one by one
# names in the table of symbols -> in QUANTITIES, where they differ
NUMBERS = {"L": "lam/sigma^2", "b_star": "b*", "tau_star": "tau*", "r_at": "r_AT", "r_ce": "r_CE"}


def names_of(symbol: Symbol) -> set[str]:
    """What a reader may type for a symbol: its names in the code, in LaTeX, and as a terminal shows it.

    >>> sorted(name for symbol in symbols() if "eps0" in symbol.code for name in names_of(symbol))
    ['\\\\epsilon_0', 'eps0', 'epsilon0', 'epsilon_0', 'ε0', 'ε₀']
    """
    found = set(symbol.code)
    for latex in symbol.latex:
        bare = latex.replace("\\", "")
        found |= {latex, bare, bare.replace("_", ""), formula(latex), formula(latex, unicode=False)}
        found.add(unicodedata.normalize("NFKC", formula(latex)))  # digits at full size
    return found


def symbols_named(word: str) -> list[Symbol]:
    """The rows of the table of symbols that a word names, in its own case if there are any.

    >>> [[symbol.latex for symbol in symbols_named(word)] for word in ("EPS0", "k", "λ", "none")]
    [[('\\\\epsilon_0',)], [('k',)], [('\\\\lambda',)], []]
    """
    return ([symbol for symbol in symbols() if word in names_of(symbol)]
            or [symbol for symbol in symbols() if word.lower() in map(str.lower, names_of(symbol))])


def uses(claim: Claim, symbol: Symbol) -> bool:
    """Whether a claim's own section has one of the symbols of a row, in the meaning of that row."""
    own = {name for one in symbols_of(claim.id) if one.where == symbol.where for name in one.latex}
    return any(used(name, formulas_of(source(claim.id))) for name in own.intersection(symbol.latex))


def symbol_page(word: str, found: Sequence[Symbol], point: Point) -> dict[str, Any]:
    """What is known of the symbols that a word names: meaning, value at a point, the claims that use it; plain data."""
    rows = []
    for symbol in found:
        names = [NUMBERS.get(name, name) for name in symbol.code]
        rows.append(asdict(symbol) | {
            "defined_in": [claim.id for claim in CLAIMS if anchor(claim.id) in symbol.where],
            "numbers": {name: value(QUANTITIES[name][1], point) for name in dict.fromkeys(names) if name in QUANTITIES},
            "used_by": [claim.id for claim in CLAIMS if uses(claim, symbol)]})
    return {"symbol": word, "meanings": rows, "setting": asdict(point)}


def print_symbol(page: dict[str, Any]) -> None:
    """The page of a symbol, folded to the terminal."""
    width, greek = columns() or PROSE, unicode()
    statements = {claim.id: claim.statement for claim in CLAIMS}
    for i, row in enumerate(page["meanings"]):
        names = ", ".join(formula(name, greek) for name in row["latex"])
        code = f" ({', '.join(row['code'])})" if ", ".join(row["code"]) not in ("", names) else ""
        print("\n" * (i > 0) + folded(f"{names}{code}: {plain(row['meaning'], greek)}", indent=2, first=0, width=width))
        for claim in row["defined_in"]:
            print(folded(f"see {claim}: {statements[claim]}", indent=4, first=2, width=width))
        if numbers := {name: number for name, number in row["numbers"].items() if number is not None}:
            setting = ", ".join(f"{name} = {number:g}" for name, number in page["setting"].items())
            print(folded(f"at {setting}: " + "; ".join(f"{name} = {shown(number, 7)}, {QUANTITIES[name][0]}"
                                                       for name, number in numbers.items()), 4, 2, width))
        if "model" in row["where"]:
            print("  see the model: synthmodel/THEORY.md#model")
        if row["used_by"]:
            named = ", ".join(row["used_by"]) if len(row["used_by"]) <= MOST else f"{len(row['used_by'])} claims"
            print(folded(f"used by {named}: `synthmodel explain ID`", 4, 2, width))


def claims_about(words: str) -> list[Claim]:
    """The claims that speak of all the words, in their statement and its chapter's title, or else in their section.

    A word stands for all that begin with it, without its last s, ed or ing, if four letters are left.

    >>> [claim.id for claim in claims_about("soft labels")][:3], claims_about("no elephant")
    (['A1', 'T3', 'T3-target'], [])
    """
    stems = [re.sub(r"(?<=\w{4})(?:ings?|ed|e?s)$", "", word) for word in words.split()]
    begun = [re.compile(rf"(?<!\w){re.escape(stem)}", re.I) for stem in stems]

    def has_all(text: str) -> bool:
        simple = unicodedata.normalize("NFKC", text)  # l2 for its index below the line
        return bool(begun) and all(one.search(simple) for one in begun)
    texts = {claim: f"{titles()[anchor(claim.id)]} {claim.statement} {claim.hypotheses} {claim.instead}"
             for claim in CLAIMS}
    stated = [claim for claim in CLAIMS if has_all(texts[claim])]
    return stated + [claim for claim in CLAIMS if claim not in stated
                     and has_all(f"{texts[claim]} {plain(source(claim.id))}")]


def answer(words: str, point: Point) -> dict[str, Any]:
    """What there is of a symbol, or of some words; as plain data. ValueError where that is nothing."""
    if found := symbols_named(words):
        return symbol_page(words, found, point)
    if claims := claims_about(words):
        return {"words": words, "claims": [asdict(claim) | {"status_in_words": IN_WORDS[claim.status]}
                                           for claim in claims]}
    raise ValueError(f"{words[:40]!r} was given, but it is no claim and no symbol, and no claim speaks of it: "
                     "`synthmodel claims` lists all claims, deep/README.md has what is about networks.")


def print_answer(found: dict[str, Any]) -> None:
    """The answer as a page, folded to the terminal."""
    (print_symbol if "symbol" in found else print_claims_about)(found)


def print_claims_about(page: dict[str, Any]) -> None:
    """The claims that speak of some words, each with its status and statement."""
    width, one = columns() or PROSE, len(page["claims"]) == 1
    print(folded(f"{len(page['claims'])} claim{'' if one else 's'} about {page['words']}; `synthmodel explain ID` has "
                 "the whole of one\n", 2, 0, width))
    for row in page["claims"]:
        instead = f". Instead: {row['instead']}" if row["instead"] else ""
        print(folded(f"{row['id']} ({row['status_in_words']}): {row['statement']}{instead}", 4, 0, width))
