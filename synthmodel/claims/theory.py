"""What the page of the theory says of each claim, read by its anchors; claims by their names."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from synthmodel.claims.plain import IN_WORDS
from synthmodel.claims.registry import CLAIMS, Claim

__all__ = ["Part", "Symbol", "anchor", "begun_by", "claim_named", "claims_named", "formulas_of", "is_claim", "page",
           "readings", "section", "source", "summary", "symbols", "symbols_of", "titles", "used"]

BY_NAME = {claim.id.lower(): claim for claim in CLAIMS}
LABEL = re.compile(r"^\*\*([^*]+)\*\*|(?<=\s)\*\*(Hypotheses\.)\*\*", re.M)
LINKED = re.compile(r"\(#(claim-[\w-]+|model)\)")
# letters that sections take for different things: such a row counts where its own place is near
SHARED = frozenset({
    "n", "c", "q", "x", "N", "h", "a", "u", "g", "F", "X", "Y", "T(h, a)", "T", "A", "B", "Q", "G", "S", "v", "p",
    r"\pi", r"\bar\pi", r"\kappa", r"\gamma", r"\alpha", r"\psi", r"\rho", r"\varphi", r"\pi_0", "P(r, k)", "Z", "p_l",
    "F_{jl}", "A_1", "A_2", "Q_1", "Q_2", "c_{ij}", "F_i", "C_1"})
INDEX = r"(?:[ijln123]|n-1|K-1|\{(?:[ijln123]|[ijl][jl]|n-1|K-1)\})"


@dataclass(frozen=True)
class Part:
    """A paragraph or more of a section, in Markdown. label: the words in bold that begin it, such as "Proof"."""

    label: str
    text: str


@dataclass(frozen=True)
class Symbol:
    """A row of the table of symbols. latex: its symbols; code: their names here; where: the anchors that define it."""

    latex: tuple[str, ...]
    code: tuple[str, ...]
    meaning: str
    where: tuple[str, ...]


def anchor(claim: str) -> str:
    """The anchor of a claim's section: "claim-" and the ID in lower case, "-prime" for a prime.

    >>> anchor("T2-joint'")
    'claim-t2-joint-prime'
    """
    return "claim-" + claim.lower().replace("'", "-prime")


def name_of(word: str) -> str:
    """Return an ID in lower case: "Theorem 1" is t1, and a prime is written in one way."""
    name = re.sub("-prime$|[\u2019\u2032]$", "'", str(word).strip().lower().replace("_", "-"))
    return re.sub(r"^(?:theorem|thm\.?)[ -]*(?=\d)", "t", name)


def is_claim(word: str) -> bool:
    """Return whether a word is a claim's ID, or looks as if it was meant for one, such as T9, and is no symbol.

    >>> [is_claim(word) for word in ("Theorem 1", "T9", "t2", "eps0", "w1", "l2", "label smoothing", "threshold")]
    [True, True, False, False, False, False, False, False]
    """
    name = name_of(word)
    meant = re.fullmatch(rf"[{''.join({key[0] for key in BY_NAME})}]\d[\w'-]*", name) and not begun_by(word)
    return name in BY_NAME or (bool(meant) and all(word not in symbol.code for symbol in symbols()))


def begun_by(word: str) -> list[Claim]:
    """Return the claims whose IDs begin with a word and a hyphen, in the order of the theory.

    >>> [claim.id for claim in begun_by("Theorem 2")]
    ['T2-pair', 'T2-joint', "T2-joint'", 'T2-unequal', 'T2-joint-K', 'T2-joint-B']
    """
    return [claim for key, claim in BY_NAME.items() if key.startswith(f"{name_of(word)}-")]


def claim_named(word: str) -> Claim:
    """Return the claim of an ID in any case, a prime also as "-prime"; ValueError with the nearest IDs otherwise.

    "Theorem 1" is T1; of a part of an ID, such as T2, the nearest are those that it begins.

    >>> claim_named("t2-JOINT-prime").id, claim_named("Theorem 3").id
    ("T2-joint'", 'T3')
    >>> claim_named("T9")
    Traceback (most recent call last):
    ValueError: the claim 'T9' is unknown: the nearest are T3, T1 and T1-W; `synthmodel claims` lists all.
    """
    name = name_of(word)
    if name not in BY_NAME:
        if places := [place for symbol in symbols() if word in symbol.code for place in symbol.where]:
            where = [claim.id for claim in CLAIMS if anchor(claim.id) in places] or ["the model"]
            raise ValueError(f"{word!r} was given as a claim, but it is a symbol, of {' and '.join(where)}: "
                             f"`synthmodel explain {word}` says what it means.")
        begun = begun_by(word)
        near = [claim.id for claim in begun] + [BY_NAME[key].id for key in difflib.get_close_matches(
            name, BY_NAME, 3, 0.0) if BY_NAME[key] not in begun]
        raise ValueError(f"the claim {str(word)[:40]!r} is unknown: the nearest are {near[0]}, {near[1]} and "
                         f"{near[2]}; `synthmodel claims` lists all.")
    return BY_NAME[name]


def claims_named(words: list[str]) -> list[Claim]:
    """Return the claims of several IDs in the order of the theory, each once; all of them where there are no words."""
    wanted = {claim_named(word) for word in words}
    return [claim for claim in CLAIMS if claim in wanted or not words]


def summary() -> str:
    """Return how many claims there are of each status, in one line."""
    counts = ", ".join(f"{sum(claim.status == status for claim in CLAIMS)} {words}"
                       for status, words in IN_WORDS.items())
    return f"{len(CLAIMS)} claims: {counts}"


@cache
def page(name: str) -> str:
    """Return the text of a Markdown page that ships beside the package's rooms."""
    return (Path(__file__).parents[1] / name).read_text(encoding="utf-8")


@cache
def sources() -> dict[str, str]:
    """Return the Markdown of each section, without its heading, by its anchor."""
    pieces = re.split(r'^#{2,3} <a id="([^"]+)"></a>[^\n]*\n', page("THEORY.md"), flags=re.M)
    return dict(zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True))


@cache
def titles() -> dict[str, str]:
    """Return the heading of the chapter that each section stands in, by the section's anchor.

    >>> titles()["claim-t3"]
    'Section 3: soft labels'
    """
    found, chapter = {}, ""
    for level, place, words in re.findall(r'^(#{2,3}) <a id="([^"]+)"></a>([^\n]*)$', page("THEORY.md"), re.M):
        chapter = words if level == "##" else chapter
        found[place] = chapter
    return found


def source(claim: str) -> str:
    """Return the Markdown of a claim's section, without its heading."""
    if anchor(claim) not in sources():
        raise ValueError(f"the claim {claim} has no section in THEORY.md: add one.")
    return sources()[anchor(claim)]


def section(claim: str) -> tuple[Part, ...]:
    """Return the parts of a claim's section in the theory (THEORY.md), in order.

    >>> [part.label for part in section("T2-pair")]
    ['Statement (Theorem 2, read as "against any one other class")', 'Hypotheses', 'Proof']
    """
    pieces = LABEL.split(source(claim))  # the text before, then (label, label of hypotheses, text) of each
    parts = [Part("", pieces[0].strip())] if pieces[0].strip() else []
    for first, second, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        parts.append(Part((first or second).rstrip(".,:"), text.lstrip(" .,:").strip()))
    return tuple(parts)


@cache
def symbols() -> tuple[Symbol, ...]:
    """Return the rows of the table of symbols."""
    found = []
    table = page("THEORY.md").partition("\n| symbol |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        name, code, meaning, where = (cell.strip() for cell in row.strip("|").split("|"))
        places, codes = tuple(LINKED.findall(where)), tuple(re.findall(r"`([^`]+)`", code))
        groups, meanings = name.split("; "), meaning.split("; ")
        if len(groups) != len(meanings) or len(groups) == 1:
            groups, meanings = [name], [meaning]
        for i, (group, said) in enumerate(zip(groups, meanings, strict=True)):  # "$i$; $j$, $l$" has two meanings
            latex = tuple(re.findall(r"\$([^$]+)\$", group)) or (group,)
            count = len(latex) if i + 1 < len(groups) else len(codes)  # C_j is C_2 and C_3 in the code
            found.append(Symbol(latex, codes[:count], said, places))
            codes = codes[count:]
    return tuple(found)


def used(latex: str, formulas: str) -> bool:
    """Return whether a symbol stands in some formulas; an index stands for any other.

    >>> [used("C_j", text) for text in ("C_2 + 1", "C_1/v", "C", "c_2")], used("r", r"r_{\\mathrm{AT}}")
    ([True, True, False, False], False)
    """
    if latex.endswith(")"):  # P(r, k)
        return re.search(r"(?<![\\A-Za-z])" + re.escape(latex.partition("(")[0]) + r"'?\(", formulas) is not None
    base, _, index = latex.partition("_")
    if index and re.fullmatch(INDEX, index):
        pattern = re.escape(base) + "_" + INDEX + r"(?![\w{])"
    else:
        pattern = re.escape(latex) + r"(?![\w_]|\^\\star(?!_))"  # a star makes another symbol of it
    if not latex.startswith("\\"):
        pattern = r"(?<![\\A-Za-z])" + pattern
    if latex not in ("i", "j", "l"):  # the letters of indices
        pattern = r"(?<!_)(?<!_\{)" + pattern
    return re.search(pattern, formulas) is not None


def formulas_of(text: str) -> str:
    """Return the formulas of a Markdown text, one a line, without words in them."""
    found = "\n".join(first or second for first, second in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", text, re.S))
    return re.sub(r"\\(?:text|operatorname|mathbb)\{[^}]*\}|\\binom\{a\}\{b\}", " ", found)


@cache
def symbols_of(claim: str) -> tuple[Symbol, ...]:
    """Return the symbols that a claim's section uses, and those that define them, as far as the table has them.

    A letter of `SHARED` counts only if its place is the model, this claim, one that the section refers to, or one whose
    ID begins this claim's: what a section takes for something else, such as the price c in T1, is explained there.

    >>> [name for symbol in symbols_of("T2-pair") for name in symbol.latex]
    ['j', '\\\\mu', '\\\\sigma', '\\\\epsilon', 'w_1', 'w_2', 'r', 'm_j', 'e', 'c_j', 'd', 'k', '\\\\Phi']
    """
    text = source(claim)
    formulas = formulas_of(text)
    words = claim.split("-")
    places = {"model", *(anchor("-".join(words[:i + 1])) for i in range(len(words))), *LINKED.findall(text)}

    def counts(name: str, symbol: Symbol) -> bool:
        near = not symbol.where or places & set(symbol.where)
        own = anchor(claim) not in symbol.where and re.search(rf"(?:^|[\s,(]){re.escape(name)} =", formulas, re.M)
        return used(name, formulas) and (name not in SHARED or bool(near and not own))

    meanings = [meaning_in(claim, symbol.meaning) for symbol in symbols()]
    names = [{name for name in symbol.latex if counts(name, symbol)} for symbol in symbols()]
    grown = True
    while grown:  # what defines a symbol is defined, too
        said = formulas_of("\n".join(meaning.partition("; ")[0] for meaning, some in zip(meanings, names, strict=True)
                                     if some))  # the first words, without special cases
        more = [some | {name for name in symbol.latex if name not in SHARED and used(name, said)}
                for symbol, some in zip(symbols(), names, strict=True)]
        names, grown = more, more != names
    found = []
    for symbol, meaning, some in zip(symbols(), meanings, names, strict=True):
        kept, codes = tuple(name for name in symbol.latex if name in some), symbol.code
        if len(codes) == len(symbol.latex):
            codes = tuple(codes[symbol.latex.index(name)] for name in kept)
        if kept:
            found.append(Symbol(kept, codes, meaning, symbol.where))
    return tuple(found)


def meaning_in(claim: str, meaning: str) -> str:
    """Return a meaning without what it says of other claims.

    >>> meaning_in("T1", "the correlation; in N4 the scale"), meaning_in("N4", "the correlation; in N4 the scale")
    ('the correlation', 'in N4 the scale')
    """
    pieces = [(piece, re.findall(r"[A-Z][\w'-]*\d[\w'-]*|[A-Z]-\w+", piece.partition(" the ")[0])
               if piece.startswith("in ") else []) for piece in meaning.split("; ")]
    own = [piece for piece, named in pieces if any(claim.startswith(name) for name in named)]
    return "; ".join(own or [piece for piece, named in pieces if not named]) or meaning


@cache
def readings() -> tuple[dict[str, str], ...]:
    """Return the rows of the table of readings, as `synthmodel table --readings` has computed them for README.md."""
    table = re.search(r"<!-- readings -->\n(.*?)\n<!-- end readings -->", page("README.md"), re.S)
    if not table:
        raise ValueError("synthmodel/README.md has no table of readings: make it by `python -m figures.readme`.")
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            for line in table[1].splitlines()]
    return tuple(dict(zip(rows[0], row, strict=True)) for row in rows[2:])
