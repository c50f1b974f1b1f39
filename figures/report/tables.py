"""The tables of the report and of the README pages: claims, networks against the theory, predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.networks import planted
from figures.style import read_csv
from synthmodel.claims.plain import short, verdict
from synthmodel.claims.registry import CLAIMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from figures.style import Row
    from synthmodel import Setting
    from synthmodel.claims.registry import Claim

__all__ = ["claims_table", "comparison", "in_words", "markdown", "predictions", "verdicts"]

AGREES = 0.03  # a measured ratio this close to the predicted one is said to agree; the seeds' range stands beside it
NAMES = {"linear": "the linear network", "cnn": "the small CNN"}


def markdown(rows: Sequence[Row]) -> str:
    keys = list(rows[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    return "\n".join([*lines, *("| " + " | ".join(str(row[key]).replace("|", "\\|") for key in keys) + " |"
                                for row in rows)])


def claims_table(claims: Sequence[Claim] = CLAIMS) -> str:
    """The table of claims of synthmodel/README.md, made from the list that `verify` checks."""
    def said(c: Claim) -> str:
        return (c.statement + (f". *Instead:* {c.instead}" if c.instead else "")
                + (f". *Certified:* {c.certified}" if c.certified else ""))
    return markdown([{"claim": c.id, "source": c.source, "status": c.status, "statement": said(c),
                      "given": c.hypotheses, "penalty": c.penalty} for c in claims])


def verdicts(claims: Sequence[Row], long: bool = True) -> list[Row]:
    """Rows (claim, source, verdict, how near it came) of verified claims; long: verdicts in a sentence, with numbers.

    >>> row = {"id": "X", "source": "new", "status": "refuted", "holds": True, "measure": "gap", "margin": 0.25}
    >>> verdicts([row], long=False)[0]["verdict"], verdicts([row | {"counterexample": "k = 1"}])[0]["verdict"]
    ('refuted', 'refuted: counterexample found (k = 1)')
    """
    return [{"claim": row["id"], "source": row["source"],
             "verdict": verdict(row) if long or not row["holds"] else short(row),
             "measure": row["measure"], "margin": f"{row['margin']:.3g}"} for row in claims]


def comparison(folder: Path) -> list[Row]:
    """Rows: network, loss, eps, predicted and measured ratio; `verdict` only where the theory covers the network.

    The two-weight theory covers the linear network. For the CNN it is a reference, not a prediction. The measured ratio
    is judged; beside it stand the others of `planted.WAYS`, where the file has them.
    """
    rows, curves = read_csv(folder / "planted.csv"), read_csv(folder / "planted-theory.csv")
    others = {key: name for key, name in planted.WAYS.items() if key != "ratio" and key in rows[0]}
    table = []
    for network in ("linear", "cnn"):
        for loss in planted.LOSSES:
            for eps in sorted({row["eps"] for row in rows}):
                here = [row for row in rows if (row["network"], row["loss"], row["eps"]) == (network, loss, eps)]
                part = np.array([row["ratio"] for row in here])
                predicted = planted.theory_at(curves, loss, eps)
                outcome = "" if network == "cnn" else (
                    "agrees" if abs(part.mean() - predicted) <= AGREES else "CONTRADICTED")
                table.append({"network": network, "loss": loss, "eps": eps, "theory": f"{predicted:.3f}",
                              "measured": f"{part.mean():.3f}", "seeds": f"[{part.min():.3f}, {part.max():.3f}]",
                              "above": f"{(part > predicted).sum()} of {len(part)}",
                              **{name: f"{np.mean([row[key] for row in here]):.3f}" for key, name in others.items()},
                              "verdict": outcome})
    return table


def predictions(folder: Path, setting: Setting = planted.SETTING) -> list[Row]:
    """What the theory says of any network, as sentences with the verdict of the measurement.

    A prediction that compares with what no network was trained at, such as sizes beyond eps0, is left out.
    """
    rows = read_csv(folder / "planted.csv")
    threshold = planted.eps0(setting)
    sides = {row["eps"] > threshold for row in rows}

    def mean(network: str, loss: str, key: str, beyond: bool) -> float:
        return float(np.mean([row[key] for row in rows if (row["network"], row["loss"]) == (network, loss)
                              and (row["eps"] > threshold) == beyond]))
    said = []
    for network in ("linear", "cnn") if True in sides else ():
        used = mean(network, "margin", "ratio", True)
        said.append((f"{network}: beyond eps0 the margin loss drops the shared features (ratio below 0.1)",
                     used < 0.1, f"mean ratio {used:.3f}"))
        used = mean(network, "cross-entropy", "ratio", True)
        said.append((f"{network}: beyond eps0 cross-entropy keeps them (ratio above 0.5)", used > 0.5,
                     f"mean ratio {used:.3f}"))
        for loss in planted.LOSSES if False in sides else ():
            for key, name in (("cas_clean_gauge_fixed", "CAS"), ("margin_cas", "margin-CAS")):
                below, above = (mean(network, loss, key, beyond) for beyond in (False, True))
                said.append((f"{network}, {loss}: {name} is lower beyond eps0 than below, as the reliance is",
                             above < below, f"{below:.3f} below, {above:.3f} beyond"))
    return [{"prediction": text, "verdict": "confirmed" if holds else "CONTRADICTED", "measured": numbers}
            for text, holds, numbers in said]


def in_words(ratios: Sequence[Row], predicted: Sequence[Row]) -> list[str]:
    """Every contradiction as a finding: rows of `comparison` and of `predictions`; none, no sentence.

    >>> in_words([], [{"prediction": "cnn, margin: CAS falls", "verdict": "CONTRADICTED", "measured": "0.1, then 0.2"}])
    ['The small CNN (margin) contradicts the prediction that "CAS falls": measured 0.1, then 0.2.']
    """
    found = [f"{NAMES[row['network']]} ({row['loss']}) contradicts the theory at eps = {row['eps']:g}: w2/w1 = "
             f"{row['theory']} is predicted, {row['measured']} is measured, {row['seeds']} over the seeds."
             for row in ratios if row["verdict"] == "CONTRADICTED"]
    for row in predicted:
        if row["verdict"] == "CONTRADICTED":
            who, _, said = row["prediction"].partition(": ")
            network, _, loss = who.partition(", ")
            found.append(f"{NAMES[network]}{f' ({loss})' if loss else ''} contradicts the prediction that \"{said}\": "
                         f"measured {row['measured']}.")
    return [sentence[0].upper() + sentence[1:] for sentence in found]
