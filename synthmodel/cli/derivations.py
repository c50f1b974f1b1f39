"""Derivations of claims for `synthmodel derive`: as text, as a LaTeX document, and what stands in for a missing one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from synthmodel.claims.plain import IN_WORDS
from synthmodel.claims.theory import section

if TYPE_CHECKING:
    from synthmodel.claims.registry import Claim
    from synthmodel.symbolic.derivation import Derivation

__all__ = ["certificates_of", "derived", "document", "evidence"]

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,amssymb}
\usepackage[margin=2cm]{geometry}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\begin{document}"""
SPECIAL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
           "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
           ">": r"\textgreater{}", "|": r"\textbar{}", "\u2019": "'"}
SIGNS = {"<=": r"\le", ">=": r"\ge"}


def certificates_of(claim: Claim) -> list[str]:
    """What ball arithmetic has proved of a claim, each with its region and the command that checks it again."""
    from synthmodel.certificates import CERTIFICATES
    options = {"short": "", "long": " --long", "search": " --search"}
    return [f"{one.statement}, for {one.region} (`synthmodel certify{options[one.group]}`)" for one in CERTIFICATES
            if one.claim == claim.id]


def evidence(claim: Claim) -> list[str]:
    """Where the evidence of a claim without a derivation is, in sentences."""
    said = [f"certificate: {words}." for words in certificates_of(claim)]
    if claim.status == "refuted":
        said.append(f"a counterexample, which `synthmodel verify {claim.id}` computes again. Instead: {claim.instead}.")
    return [*said, f"a check against independent numerics: `synthmodel verify {claim.id}`.",
            f"its section: `synthmodel explain {claim.id}`."]


def derived(claim: Claim) -> dict[str, Any]:
    """{claim, status, text, latex} of a claim, with `holds` where it has a derivation, decided now."""
    from synthmodel.symbolic import CLAIMS, derive
    row: dict[str, Any] = {"claim": claim.id, "status": claim.status}
    if claim.id not in CLAIMS:
        lines = [f"{claim.id}: no derivation by sympy ({IN_WORDS[claim.status]}). Its evidence is",
                 *(f"- {words}" for words in evidence(claim))]
        return row | {"text": "\n".join(lines), "latex": ""}
    found = derive(claim.id)
    return row | {"holds": found.holds, "text": found.text(), "latex": found.latex()}


def escaped(text: str) -> str:
    """Return words without formulas as LaTeX.

    >>> print(escaped("w_1 >= 50 %"))
    w\\_1 \\textgreater{}= 50 \\%
    """
    return "".join(SPECIAL.get(char, char) for char in text)


def marked_up(markdown: str) -> str:
    r"""Return Markdown with formulas as LaTeX: formulas as they are, `words` in typewriter, *words* emphasised.

    >>> print(marked_up("*False* for $w_1 > 0$, by [A1](#claim-a1): 2 %"))
    \emph{False} for $w_1 > 0$, by A1: 2 \%
    """
    found = []
    for piece in re.split(r"(\$\$.+?\$\$|\$[^$\n]+?\$)", re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", markdown), flags=re.S):
        if piece.startswith("$$"):
            found.append(rf"\[{piece[2:-2]}\]")
        elif piece.startswith("$"):
            found.append(piece)
        else:
            words = re.sub(r"`([^`]+)`", r"\\texttt{\1}", escaped(piece))
            words = re.sub(r"^- ", lambda _: r"\par\textbullet{} ", words, flags=re.M)
            found.append(re.sub(r"\*\*?([^*]+?)\*\*?", r"\\emph{\1}", words))
    return "".join(found)


def document(claims: list[Claim]) -> str:
    """A whole LaTeX document: each claim, its hypotheses, the steps of its derivation, what carries it besides."""
    return "\n\n".join([PREAMBLE, *map(chapter, claims), r"\end{document}"])


def chapter(claim: Claim) -> str:
    from synthmodel.symbolic import CLAIMS, derive
    lines = [rf"\section*{{{escaped(claim.id)} ({IN_WORDS[claim.status]})}}"]
    for part in section(claim.id):
        if part.label.startswith(("Definition", "Statement", "Hypotheses", "What is true", "Certified")):
            lines += ["", rf"\textbf{{{escaped(part.label)}.}} {marked_up(part.text)}"]
    if claim.id not in CLAIMS:
        lines += ["", r"\textbf{No derivation.} The evidence is:", *(
            rf"\par\textbullet{{}} {marked_up(words)}" for words in evidence(claim))]
        return "\n".join(lines)
    return "\n".join([*lines, *steps_of(derive(claim.id))])


def steps_of(derivation: Derivation) -> list[str]:
    import sympy as sp
    lines = ["", r"\textbf{Derivation,} each step decided by sympy.", r"\begin{enumerate}"]
    for step in derivation.steps:
        mark = " [restated]" if step.restated else "" if step.holds else " [NOT DECIDED]"
        lines += [rf"\item {escaped(step.text + mark)}",
                  rf"\[ {sp.latex(step.lhs)} {SIGNS.get(step.relation, step.relation)} {sp.latex(step.rhs)} \]"]
    carried = escaped("; ".join(derivation.carried_by) or "nothing")
    return [*lines, r"\end{enumerate}", rf"\textbf{{Carried by:}} {carried}."]
