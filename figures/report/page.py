"""report.html: the findings of a report as one page that needs no network, no server and no Python."""

from __future__ import annotations

import base64
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from figures.report.slider import CURVES
from figures.report.tables import in_words
from synthmodel.claims.plain import MEANINGS, sentence, short, verdict
from synthmodel.claims.registry import OPEN
from synthmodel.claims.theory import anchor

if TYPE_CHECKING:
    from figures.style import Row
    from synthmodel import Setting

__all__ = ["Campaign", "Contents", "mathematics", "page"]

THEOREMS = {"T1": "Theorem 1", "T2-pair": "Theorem 2 for pairs of classes", "T3": "Theorem 3",
            "T2-joint": "Theorem 2 for all classes at once"}  # the claims that are the paper's
SIGNS = {"eps": "ε", "mu": "μ", "sigma": "σ", "lam": "λ", "rho": "ρ", "tau": "τ", "pi": "π", "pibar": "π̄", "phi": "φ",
         "Phi": "Φ", "psi": "ψ", "kappa": "κ", "gamma": "γ", "beta": "β", "delta": "δ", "alpha": "α", "theta": "θ",
         "sqrt": "√", "oo": "∞"}
# what stands in a line of text, as it is printed; after the signs, and after escaping
PLAIN = ((r"sqrt\(pi\)", "√π"), (rf"(?<![A-Za-z])({'|'.join(SIGNS)})(?![A-Za-z])", lambda found: SIGNS[found[1]]),
         (">=", "≥"), ("<=", "≤"), ("!=", "≠"), ("->", "→"), (r"(?<= )-(?= )", "−"))
RAISED = ((r"\^2(?!\d)", "²"), (r"\^3(?!\d)", "³"), (r"\^\{([^}]*)\}|\^\(([^)]*)\)|\^(\w+)", r"<sup>\1\2\3</sup>"),
          (r"(?<=[\w*|)])_(?:\{([^}]*)\}|([^\W_]+))", r"<sub>\1\2</sub>"),
          (r"(?<!\w)([wε])([012])(?!\w)", r"\1<sub>\2</sub>"))


@dataclass(frozen=True)
class Campaign:
    """What `deep confirm` says: a sentence, and rows of conclusions, predictions and surgeries, none before a run."""

    summary: str = ""
    conclusions: tuple[Row, ...] = ()
    predictions: tuple[Row, ...] = ()
    surgeries: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Contents:
    """What a report found. claims, comparison, predictions, real: the rows of its tables, none where not asked for.

    pictures: (name, title, finding, SVG); slider: of `slider.frames`; made: provenance; mind: a warning, or "".
    """

    claims: list[Row]
    comparison: list[Row]
    predictions: list[Row]
    real: list[Row]
    pictures: tuple[tuple[str, str, str, str], ...]
    slider: dict[str, Any] | None
    setting: Setting
    made: dict[str, Any]
    mind: str = ""
    campaign: Campaign = Campaign()

    def headline(self) -> str:
        """One sentence: what became of the paper's statements, of the new ones, and of the predictions."""
        parts = []
        for source, whose in (("paper", "of the paper's {} statements"), ("new", "of {} new ones")):
            rows = [row for row in self.claims if row["source"] == source]
            if rows:
                stand = [row for row in rows if row["holds"] and row["status"] != "refuted"]
                refuted = [row for row in rows if row["holds"] and row["status"] == "refuted"]
                failed = [row for row in rows if not row["holds"]]
                parts.append(f"{whose.format(len(rows))} {counted(stand, 'hold')}, "
                             f"{counted(refuted, 'is refuted' if len(refuted) == 1 else 'are refuted')}"
                             + (f", {counted(failed, 'NOT BORNE OUT')}" if failed else ""))
        judged = [row["verdict"] for row in (*self.predictions, *self.comparison) if row["verdict"]]
        if judged:
            against = judged.count("CONTRADICTED")
            parts.append(f"networks bear out {len(judged) - against} of {len(judged)} predictions, and contradict "
                         + (f"{against}" if against else "none"))
        said = "; ".join(parts) or "no claim was verified and no network trained"
        return said[0].upper() + said[1:] + "."


def counted(rows: list[Row], what: str) -> str:
    """Say how many rows of claims there are, what became of them, and which of the paper's they are.

    >>> counted([{"id": "T1"}, {"id": "T2-pair"}], "hold"), counted([{"id": "N1"}], "hold")
    ('2 hold (Theorem 1, Theorem 2 for pairs of classes)', '1 hold')
    """
    named = [THEOREMS[str(row["id"])] for row in rows if row["id"] in THEOREMS]
    return f"{len(rows)} {what}" + (f" ({', '.join(named)})" if named else "")


def mathematics(text: object) -> Markup:
    """Typeset a line of the list of claims with Unicode and `<sub>`, `<sup>`: readable without scripts and fonts.

    >>> print(mathematics("w2 dies at eps0 = mu/2 - sigma/(2 sqrt(pi)), r_AT, e_{K-1}, sigma^2"))
    w<sub>2</sub> dies at ε<sub>0</sub> = μ/2 − σ/(2 √π), r<sub>AT</sub>, e<sub>K-1</sub>, σ²
    """
    words = str(text)
    for pattern, sign in PLAIN:
        words = re.sub(pattern, sign, words)
    words = str(escape(words))
    for pattern, sign in RAISED:
        words = re.sub(pattern, sign, words)
    return Markup(words)


def data_uri(svg: str) -> str:
    """A picture inside the page, apart from it: the identifiers in two pictures cannot meet."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@cache
def environment() -> Environment:
    found = Environment(loader=PackageLoader("figures.report"), autoescape=True, undefined=StrictUndefined,
                        trim_blocks=True, lstrip_blocks=True)
    found.filters |= {"mathematics": mathematics, "data_uri": data_uri, "verdict": verdict, "sentence": sentence,
                      "short": short, "anchor": anchor, "mathml": Markup}
    return found


def next_steps(contents: Contents) -> list[tuple[str, str]]:
    """(what for, command) of what suggests itself after these findings."""
    against = in_words(contents.comparison, contents.predictions)
    failed = [row["id"] for row in contents.claims if not row["holds"]]
    steps = [(f"See which step of {name} fails", f"synthmodel derive {name}") for name in failed]
    if against:
        steps.append(("Judge the predictions on real networks by rules that are older than the runs", "deep confirm"))
    if not contents.comparison:
        steps.append(("Train the networks and set them beside the theory", "synthmodel report --only networks"))
    if not contents.claims:
        steps.append(("Verify the claims and draw the theory", "synthmodel report --only theory"))
    return [*steps, ("Draw and solve for a noise of your own", "synthmodel report --only theory --sigma 0.8"),
            ("Read a theorem: symbols, proof, numbers, picture", "synthmodel explain T1"),
            ("Measure a network trained on real images", "deep cas RUN --data DIR")]


def page(contents: Contents) -> str:
    """The whole page as text."""
    counts = Counter(map(short, contents.claims))
    at = start = 0
    if contents.slider:
        start, at = contents.slider["sigma"].index(float(contents.setting.sigma)), len(contents.slider["eps"]) // 2
    return environment().get_template("page.html").render(
        contents=contents, headline=contents.headline(), counts=counts, meanings=MEANINGS, open=OPEN, curves=CURVES,
        start=start, at=at, contradictions=in_words(contents.comparison, contents.predictions),
        steps=next_steps(contents))
