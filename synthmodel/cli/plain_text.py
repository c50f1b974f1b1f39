"""Markdown with formulas as plain text for a terminal: Greek letters where it has them, the code's names where not."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["formula", "plain", "symbol_line"]

GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "kappa": "κ",
         "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "varrho": "ϱ", "sigma": "σ", "tau": "τ", "phi": "ϕ",
         "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Phi": "Φ", "ell": "ℓ"}
NAMES = {"epsilon": "eps", "lambda": "lam", "ell": "l"}  # as the code has them
SIGNS = {"le": "≤", "ge": "≥", "ne": "≠", "to": "→", "sim": "~", "approx": "≈", "in": "∈", "subseteq": "⊆",
         "setminus": "∖", "infty": "∞", "partial": "∂", "nabla": "∇", "int": "∫", "sum": "Σ", "prod": "Π", "pm": "±",
         "cdot": "·", "times": "×", "ldots": "...", "mid": "|", "langle": "⟨", "rangle": "⟩", "star": "*", "top": "ᵀ",
         "prime": "'", "quad": "  ", "qquad": "   ", "lvert": "|", "rvert": "|", "lVert": "‖", "rVert": "‖"}
WORDS = {"le": "<=", "ge": ">=", "ne": "!=", "to": "->", "approx": "~~", "in": "in", "subseteq": "in or =",
         "setminus": "minus", "infty": "oo", "partial": "d", "nabla": "grad",
         "pm": "+-", "cdot": "*", "times": "x", "langle": "<", "rangle": ">", "top": "T", "lVert": "||", "rVert": "||"}
ASCII = SIGNS | WORDS | {name: name for name in (*GREEK, "int", "sum", "prod")} | NAMES
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}_^]|[^\\{}_^\s]|\s+")
CLOSE = frozenset({"\\rvert", "\\rVert", "\\rangle"})
WRAPPED = frozenset({"sqrt", "bar", "overline", "mathrm", "mathbb", "mathcal", "text", "operatorname"})


class Reader:
    """The tokens of a formula, read once from left to right."""

    def __init__(self, latex: str, unicode: bool) -> None:
        self.tokens, self.at, self.unicode = TOKEN.findall(latex), 0, unicode

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def argument(self) -> str:
        """Read what one command, _ or ^ takes: a group in braces, or one token."""
        while self.peek().isspace():
            self.next()
        token = self.next()
        return self.until("}") if token == "{" else self.one(token)

    def until(self, end: str = "") -> str:
        """Read up to a closing brace, or to the end."""
        found = ""
        while self.at < len(self.tokens):
            token = self.next()
            if token == end:
                break
            if token in CLOSE:  # no space within bars
                found = found.rstrip()
            found += self.one(token, found)
        return found.strip()

    def one(self, token: str, before: str = "") -> str:
        """Read what begins with `token`; before: what stands to its left."""
        if token == "{":
            return self.until("}")
        if token in ("_", "^"):
            return self.lowered(self.argument()) if token == "_" else self.raised(self.argument())
        return self.command(token[1:], before) if token.startswith("\\") else " " if token.isspace() else token

    def command(self, name: str, before: str) -> str:
        if name == "frac":
            return self.fraction(before)
        if name in ("left", "right"):  # how large the bracket after them is
            return ""
        if name == "binom":
            return f"C({self.argument()}, {self.argument()})"
        if name in WRAPPED:
            return self.wrapped(name, self.argument())
        table = GREEK | SIGNS if self.unicode else ASCII
        while name in ("lvert", "lVert", "langle") and self.peek().isspace():
            self.next()
        return table.get(name, name)

    def wrapped(self, name: str, body: str) -> str:
        """A root, a bar, or words in another face."""
        if name == "sqrt":
            return ("√" if self.unicode else "sqrt") + (body if len(body) == 1 and self.unicode else f"({body})")
        if name in ("bar", "overline"):
            return body[0] + "\u0304" + body[1:] if self.unicode else body + "bar"
        return "𝔼" if self.unicode and (name, body) == ("mathbb", "E") else body

    def fraction(self, before: str) -> str:
        top, bottom = self.argument(), self.argument()
        quotient = f"{bracketed(top, '+-=<>')}/{bracketed(bottom, '+-=<> /')}"
        rest = "".join(self.tokens[self.at:]).lstrip()
        # between factors the quotient is one of them: (1/2) x, not 1/2 x
        alone = not re.match(r"[A-Za-z0-9(\[|]|\\(?!le\b|ge\b|ne\b|to\b|q?quad|right|rvert|sim\b|approx)", rest)
        factor = re.search(r"[\w)\]*'\u0304²³]\s?$", before)
        return quotient if alone and not factor else f"({quotient})"

    def lowered(self, text: str) -> str:
        text = re.sub(r"\s*(≠|!=|∈|≤)\s*", r"\1", text)
        if text.isdigit():
            return text.translate(LOWERED) if self.unicode else text
        return f"_{text}" if text.isalnum() or text == "*" else f"_{{{text}}}"

    def raised(self, text: str) -> str:
        if text[:1] in ("*", "'", "ᵀ"):
            return text[0] + (self.raised(text[1:].strip()) if text[1:] else "")
        if self.unicode and re.fullmatch(r"-?\d+", text):
            return text.translate(RAISED)
        return f"^{text}" if re.fullmatch(r"\w+", text) else f"^({text})"


def bracketed(text: str, signs: str) -> str:
    """Return `text`, in brackets if one of the signs stands in it outside of brackets.

    >>> bracketed("a + b", "+-"), bracketed("f(a + b)", "+-"), bracketed("-x", "+-")
    ('(a + b)', 'f(a + b)', '-x')
    """
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if not depth and sign in signs and place:
            return f"({text})"
    return text


def formula(latex: str, unicode: bool = True) -> str:
    r"""Return a formula in one line.

    >>> formula(r"\epsilon_0 = \mu/2 - \frac{\sigma}{2 \sqrt{\pi}}"), formula(r"\frac{1}{2} \mathbb{E} x^2")
    ('ε₀ = μ/2 - σ/(2 √π)', '(1/2) 𝔼 x²')
    >>> formula(r"\epsilon_0 = \mu/2 - \frac{\sigma}{2 \sqrt{\pi}}", unicode=False)
    'eps0 = mu/2 - sigma/(2 sqrt(pi))'
    """
    return Reader(latex, unicode).until()


def plain(markdown: str, unicode: bool = True) -> str:
    """Return Markdown as plain text: formulas by `formula`, those in $$ on lines of their own, links as their words.

    >>> plain("**So** $w_2$ *dies* at $\\\\epsilon_0$ ([T1](#claim-t1)).")
    'So w₂ dies at ε₀ (T1).'
    """
    formulas: list[str] = []

    def kept(match: re.Match[str]) -> str:  # a formula, where no sign of Markdown can meet it
        shown = formula(" ".join((match[1] or match[2]).split()), unicode)
        formulas.append(f"\n\n    {shown}\n\n" if match[1] else shown)
        return f"\0{len(formulas) - 1}\0"

    text = re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", kept, markdown, flags=re.S)
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    text = re.sub(r"(?<![\w*])\*\*?([^*\n]+(?:\n[^*\n]+)*?)\*\*?(?![\w*])", r"\1", text)
    text = re.sub("\0(\\d+)\0", lambda match: formulas[int(match[1])], text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()


def symbol_line(symbol: dict[str, Any], unicode: bool = True) -> str:
    """Return a row of the table of symbols, as plain data, in a line: its names, those in the code, and its meaning.

    >>> symbol_line({"latex": ["\\\\epsilon_0"], "code": ["eps0"], "meaning": "where $w_2$ dies"})
    'ε₀ (eps0): where w₂ dies'
    """
    names, code = ", ".join(formula(name, unicode) for name in symbol["latex"]), ", ".join(symbol["code"])
    return names + (f" ({code})" if code not in ("", names) else "") + f": {plain(symbol['meaning'], unicode)}"
