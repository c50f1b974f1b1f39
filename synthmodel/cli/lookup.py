"""What `synthmodel explain` answers to a word that is no claim: a symbol, or the claims that speak of some words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from synthmodel.claims.at_setting import QUANTITIES, value
from synthmodel.claims.plain import with_words
from synthmodel.claims.registry import CLAIMS, OPEN, STATUSES
from synthmodel.claims.theory import anchor, begun_by, formulas_of, page, source, symbols, symbols_of, titles, used
from synthmodel.cli.plain_text import GREEK, formula, plain, symbol_line
from synthmodel.cli.printing import PROSE, folded, shown, unicode
from synthmodel.system.terminal import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthmodel.claims.at_setting import Point
    from synthmodel.claims.registry import Claim
    from synthmodel.claims.theory import Symbol

__all__ = ["answer", "claims_about", "print_answer", "symbols_named", "tidy"]

MOST = 40  # claims that are named one by one
EMPTY = frozenset("a an and are be by can do does for how if in is it mean means of on or that the this to what when "
                  "where which who why with right true help helps".split())
ALIASES = {"crossentropy": "cross_entropy", "ce": "cross_entropy", "gaussian": "normal", "kd": "distillation"}
NAMED = {letter: name for name, letter in GREEK.items()}
# names in the table of symbols -> in QUANTITIES, where they differ
NUMBERS = {"L": "lam/sigma^2", "b_star": "b*", "tau_star": "tau*", "r_at": "r_AT", "r_ce": "r_CE"}


def names_of(symbol: Symbol) -> set[str]:
    """What a reader may type for a symbol: its names in the code, in LaTeX, and as a terminal shows it.

    >>> sorted(name for symbol in symbols() if "eps0" in symbol.code for name in names_of(symbol))
    ['\\\\epsilon_0', 'eps0', 'ε₀']
    """
    shown_as = {formula(latex, greek) for latex in symbol.latex for greek in (True, False)}
    return {*symbol.code, *symbol.latex, *shown_as}


def key(name: str) -> str:
    """A name without what spellings differ in: Greek letters by name, no braces, backslashes, underscores, dollars.

    >>> {key(name) for name in ("\\\\epsilon_0", "$\\\\varepsilon_{0}$", "ε₀", "ϵ_0")}, key("\\\\tau^\\\\star")
    ({'epsilon0'}, 'tau*')
    """
    plain_letters = re.sub(r"\\mathrm|[\\${}_^\s]", "", unicodedata.normalize("NFKC", name))
    letters = "".join(NAMED.get(letter, letter) for letter in plain_letters)
    return re.sub(r"star$", "*", letters.replace("varepsilon", "epsilon"))


def symbols_named(word: str) -> list[Symbol]:
    """The rows of the table of symbols that a word names: as it is written, or else in another spelling or case.

    >>> [[symbol.latex for symbol in symbols_named(word)] for word in ("EPS_0", "k", "λ", "none")]
    [[('\\\\epsilon_0',)], [('k',)], [('\\\\lambda',)], []]
    """
    for same in (lambda name: name == word, lambda name: key(name) == key(word),
                 lambda name: key(name).lower() == key(word).lower() and not (name.isupper() and len(name) > 1)):
        if found := [symbol for symbol in symbols() if any(map(same, names_of(symbol)))]:
            return found
    return []


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


def said(name: str, number: float | None) -> str:
    """A quantity with its value, and what it is."""
    if number is None:
        return f"there is no {name} here ({QUANTITIES[name][0]})"
    dead = (" (not above 0: so much noise that w2 = 0 at every attack size)"
            if name in ("eps0", "eps1") and number <= 0 else "")
    return f"{name} = {shown(number, 7)}{dead}, {QUANTITIES[name][0]}"


def print_symbol(found: dict[str, Any]) -> None:
    """The page of a symbol, folded to the terminal."""
    width, greek = columns() or PROSE, unicode()
    statements = {claim.id: claim.statement for claim in CLAIMS}
    for i, row in enumerate(found["meanings"]):
        print("\n" * (i > 0) + folded(symbol_line(row, greek), indent=2, first=0, width=width))
        for claim in row["defined_in"]:
            print(folded(f"see {claim}: {statements[claim]}", indent=4, first=2, width=width))
        for name in (name for name in row["code"] if name in found["setting"]):
            print(f"  chosen by --{name}, here {found['setting'][name]:g}")
        if row["numbers"]:
            setting = ", ".join(f"{name} = {number:g}" for name, number in found["setting"].items())
            print(folded(f"at {setting}: " + "; ".join(said(*one) for one in row["numbers"].items()), 4, 2, width))
        if "model" in row["where"]:
            print("  see the model: synthmodel/THEORY.md#model")
        if row["used_by"]:
            named = ", ".join(row["used_by"]) if len(row["used_by"]) <= MOST else f"{len(row['used_by'])} claims"
            print(folded(f"used by {named}: `synthmodel explain ID`", 4, 2, width))


def pattern(word: str) -> re.Pattern[str] | None:
    """What a word of a question looks for in a text; None for one that says nothing.

    >>> [found and found.pattern for found in map(pattern, ("smoothing", "10", "l2", "the"))]
    ['(?<!\\\\w)smooth', '(?<!\\\\w)10(?!\\\\w)', '(?<!\\\\w)l_(?:p|inf|∞)', None]
    """
    word = ALIASES.get(word.lower(), word)
    if word.lower() in EMPTY or not re.search(r"\w", word):
        return None
    if re.fullmatch(r"(?:l|ell)_?(?:p|\d|inf\w*|∞)", unicodedata.normalize("NFKC", word).replace("\\", ""), re.I):
        return re.compile(r"(?<!\w)l_(?:p|inf|∞)", re.I)
    if word.isdigit():
        return re.compile(rf"(?<!\w){word}(?!\w)")
    stem = re.sub(r"(?<=\w{4})(?:ings?|ed|e?s)$", "", word)
    return re.compile(r"(?<!\w)" + re.escape(stem).replace("_", "[ _-]?"), re.I)


@cache
def texts() -> dict[Claim, tuple[str, str]]:
    """(statement with its hypotheses and its chapter's title, section) of each claim, as plain text."""
    def simple(text: str) -> str:
        return unicodedata.normalize("NFKC", text)
    return {claim: (simple(f"{titles()[anchor(claim.id)]} {claim.statement} {claim.hypotheses} {claim.instead}"),
                    simple(plain(source(claim.id)))) for claim in CLAIMS}


def claims_about(words: str) -> list[Claim]:
    """The claims that speak of all the words, in their statement and its chapter's title, or else in their section.

    A word stands for all that begin with it, without its last s, ed or ing, if four letters are left; a number of
    classes for K. Statements that have the words side by side come first.

    >>> [claim.id for claim in claims_about("what are soft labels")][:3], claims_about("no elephant")
    (['A1', 'T3', 'T3-target'], [])
    >>> [claim.id for claim in claims_about("10 classes")][:2]
    ['N4-K', 'G-K']
    """
    words = re.sub(r"\b(?:\d+|ten|more|many)(?= classes\b)", "K", words)
    patterns = [found for found in map(pattern, words.split()) if found]
    if not re.search(r"[^\W\d_]", words) or not patterns:
        return []

    def has_all(text: str) -> bool:
        return all(one.search(text) for one in patterns)
    stated = [claim for claim, (statement, _) in texts().items() if has_all(statement)]
    stated.sort(key=lambda claim: words.lower() not in texts()[claim][0].lower())
    return stated + [claim for claim, both in texts().items() if claim not in stated and has_all(" ".join(both))]


def tidy(words: str) -> str:
    """A question without its marks and its small words, where others are left.

    >>> tidy(" what is eps0? "), tidy("`T2`"), tidy("the"), tidy("best_ratio()")
    ('eps0', 'T2', 'the', 'best_ratio')
    """
    bare = words.strip(" \t\n?!.,;:`\"").removesuffix("()").removeprefix("$").removesuffix("$")
    kept = [word for word in bare.split() if word.lower() not in EMPTY]
    return " ".join(kept) or bare


def nearest(words: str) -> str:
    """What a misspelt word was meant for, as a sentence's end; "" where nothing is near.

    >>> nearest("label smoothng")
    '; near it is smoothing'
    """
    known = {word.lower() for both in texts().values() for word in re.findall(r"[^\W\d_]{4,}", " ".join(both))}
    missed = [word for word in words.lower().split() if not any(one.startswith(word) for one in known)]
    near = [match for word in missed for match in get_close_matches(word, sorted(known), 1, 0.8)]
    return f"; near it is {' '.join(near)}" if near else ""


def answer(words: str, point: Point) -> dict[str, Any]:
    """What there is of a status, a symbol, an ID's beginning, or some words; as plain data. ValueError for nothing."""
    if words.lower() in ("open", "unproved", "not proved"):
        return {"words": words, "open": list(OPEN)}
    if found := symbols_named(words):
        return symbol_page(words, found, point)
    status = words.lower() if words.lower() in STATUSES else ""
    claims = [claim for claim in CLAIMS if claim.status == status] or begun_by(words) or claims_about(words)
    if claims:
        meaning = re.search(rf"^- \*{status}\*: (.*?)(?=^- |\n\n)", page("THEORY.md"), re.M | re.S) if status else None
        return {"words": words, "meaning": " ".join(plain(meaning[1]).split()) if meaning else "",
                "claims": [with_words(claim) for claim in claims]}
    raise ValueError(f"{words[:40]!r} was given, but it is no claim and no symbol, and no claim speaks of it"
                     f"{nearest(words)}: `synthmodel claims` lists all claims, deep/README.md has what is about "
                     "networks.")


def print_answer(found: dict[str, Any]) -> None:
    """The answer as a page, folded to the terminal."""
    if "symbol" in found:
        print_symbol(found)
    elif "open" in found:
        for line in found["open"]:
            print(folded(f"- {line}", 2, 0, columns() or PROSE))
    else:
        print_claims_about(found)


def print_claims_about(found: dict[str, Any]) -> None:
    """The claims that speak of some words, each with its status and statement."""
    width, one = columns() or PROSE, len(found["claims"]) == 1
    print(folded(f"{found['words']}: {found['meaning'] + ' ' if found['meaning'] else ''}{len(found['claims'])} "
                 f"claim{'' if one else 's'}; `synthmodel explain ID` has the whole of one", 2, 0, width) + "\n")
    for row in found["claims"]:
        instead = f". Instead: {row['instead']}" if row["instead"] else ""
        print(folded(f"{row['id']} ({row['status_in_words']}): {row['statement']}{instead}", 4, 0, width))
