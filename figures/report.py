"""The main job: verify the claims, draw the theory, train networks on planted images, set one beside the other."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deep.system.files import commit, write_text
from figures.networks import planted, real_run
from figures.style import read_csv, write_csv
from figures.theory import accuracy, ratios, weights
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.verify import verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from figures.style import Row
    from synthmodel.claims.registry import Claim

__all__ = ["claims_table", "report"]

AGREES = 0.03  # a measured ratio this close to the predicted one is said to agree; the seeds' range stands beside it


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


def comparison(folder: Path) -> list[Row]:
    """Rows: network, loss, eps, predicted and measured ratio; `verdict` only where the theory covers the network.

    The two-weight theory covers the linear network. For the CNN it is a reference, not a prediction. The measured ratio
    is judged; beside it stand the others of `planted.WAYS`, where the file has them.
    """
    rows, curves = read_csv(folder / "planted.csv"), read_csv(folder / "planted-theory.csv")
    table = []
    others = {key: name for key, name in planted.WAYS.items() if key != "ratio" and key in rows[0]}
    for network in ("linear", "cnn"):
        for loss in planted.LOSSES:
            theory = [row for row in curves if row["loss"] == loss]
            for eps in sorted({row["eps"] for row in rows}):
                here = [row for row in rows if (row["network"], row["loss"], row["eps"]) == (network, loss, eps)]
                part = np.array([row["ratio"] for row in here])
                predicted = float(np.interp(eps, [row["eps"] for row in theory], [row["ratio"] for row in theory]))
                verdict = "" if network == "cnn" else (
                    "agrees" if abs(part.mean() - predicted) <= AGREES else "CONTRADICTED")
                table.append({"network": network, "loss": loss, "eps": eps, "theory": f"{predicted:.3f}",
                              "measured": f"{part.mean():.3f}", "seeds": f"[{part.min():.3f}, {part.max():.3f}]",
                              "above": f"{(part > predicted).sum()} of {len(part)}",
                              **{name: f"{np.mean([row[key] for row in here]):.3f}" for key, name in others.items()},
                              "verdict": verdict})
    return table


def predictions(folder: Path) -> list[Row]:
    """What the theory says of any network, as sentences with the verdict of the measurement."""
    rows = read_csv(folder / "planted.csv")

    def mean(network: str, loss: str, key: str, beyond: bool) -> float:
        return float(np.mean([row[key] for row in rows if (row["network"], row["loss"]) == (network, loss)
                              and (row["eps"] > threshold) == beyond]))
    threshold = planted.eps0(planted.SETTING)
    said = []
    for network in ("linear", "cnn"):
        used = mean(network, "margin", "ratio", True)
        said.append((f"{network}: beyond eps0 the margin loss drops the shared features (ratio below 0.1)",
                     used < 0.1, f"mean ratio {used:.3f}"))
        used = mean(network, "cross-entropy", "ratio", True)
        said.append((f"{network}: beyond eps0 cross-entropy keeps them (ratio above 0.5)", used > 0.5,
                     f"mean ratio {used:.3f}"))
        for loss in planted.LOSSES:
            for key, name in (("cas_clean_gauge_fixed", "CAS"), ("margin_cas", "margin-CAS")):
                below, above = (mean(network, loss, key, beyond) for beyond in (False, True))
                said.append((f"{network}, {loss}: {name} is lower beyond eps0 than below, as the reliance is",
                             above < below, f"{below:.3f} below, {above:.3f} beyond"))
    return [{"prediction": text, "verdict": "confirmed" if holds else "CONTRADICTED", "measured": numbers}
            for text, holds, numbers in said]


def provenance(seconds: float, draws: int | None) -> dict[str, Any]:
    import scipy
    import torch
    command = "synthmodel report" + (f" --draws {draws}" if draws else "")
    return {"command": command, "commit": commit(), "python": platform.python_version(),
            "numpy": np.__version__, "scipy": scipy.__version__, "torch": torch.__version__,
            "cores": os.cpu_count(), "machine": platform.machine(), "seconds": round(seconds, 1)}


def report(out: str | Path, draws: int | None = None) -> int:
    """Write figures (PNG, SVG), tables (CSV) and report.md into `out`; print the tables; 0 iff every claim holds.

    draws: of the images of each network; None: `planted.DRAWS`.
    A report that was interrupted, or killed, goes on where it stopped: networks already trained are not trained again.
    Several may work on one folder.
    """
    began = time.perf_counter()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    networks = planted.jobs(draws)
    columns = (TextColumn("{task.description:34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        claims = progress.add_task("verifying the claims", total=len(CLAIMS))
        figures = progress.add_task("solving and drawing", total=5)
        training = progress.add_task("training on planted images", total=len(networks))
        verified = []
        for row in verify(workers=min(4, os.cpu_count() or 1)):
            verified.append(row.as_dict())
            progress.advance(claims)
        write_csv(folder / "claims.csv", verified)
        for script in (weights, accuracy, ratios):
            script.compute(folder)
            script.draw(folder)
            progress.advance(figures)
        planted.compute(folder, lambda: progress.advance(training), networks)
        planted.draw(folder)
        progress.advance(figures)
        if real_run.DATA.exists():
            write_text(folder / real_run.DATA.name, real_run.DATA.read_text())
            real_run.draw(folder)
        progress.advance(figures)

    ratios_table, verdicts = comparison(folder), predictions(folder)
    write_csv(folder / "comparison.csv", ratios_table)
    write_csv(folder / "predictions.csv", verdicts)
    made = provenance(time.perf_counter() - began, draws)
    write_text(folder / "provenance.json", json.dumps(made, indent=1) + "\n")
    shown = [{"claim": row["id"], "source": row["source"], "status": row["status"],
              "this run": ("confirmed" if row["holds"] else "NOT CONFIRMED"), "measure": row["measure"],
              "margin": f"{row['margin']:.3g}"} for row in verified]
    measured = read_csv(folder / "planted.csv")
    drawn = {name: len({row["seed"] for row in measured if row["network"] == name}) for name in planted.NETWORKS}
    sections = [
        ("The claims", markdown(shown)),
        ("The optimal weights", "![weights](weights.png)"),
        ("Robust accuracy against the ratio", "![accuracy](accuracy.png)"),
        ("What each loss uses, and what would be best", "![ratios](ratios.png)"),
        ("Networks on planted images", f"![planted](planted.png)\n\nPoints are means over {drawn['linear']} draws of "
         f"the images (linear network) and {drawn['cnn']} (small CNN), bars their range.\n\n" + markdown(ratios_table)
         + "\n\n" + markdown(verdicts))]
    if real_run.DATA.exists():
        sections.append(("Real images (committed runs, not trained by this report)",
                         "![cifar10](cifar10.png)\n\n" + markdown(real_run.summary())))
    others = {row["commit"] for row in measured if row["commit"] != made["commit"]}
    if others:
        sections.append(("Mind", f"Some networks in {folder} were trained by other versions of the code "
                         f"({', '.join(sorted(map(str, others)))}): choose an empty folder to train them anew."))
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections)
    write_text(folder / "report.md", f"# Report\n\nCommit {made['commit']}, torch {made['torch']}, "
               f"{made['seconds']:.0f} s on {made['cores']} cores.\n\n{text}\n")
    print_tables(shown, ratios_table, verdicts)
    print(f"{folder / 'report.md'} written in {made['seconds']:.0f} s")
    return 0 if all(row["holds"] for row in verified) else 1


def print_tables(*tables: Sequence[Row]) -> None:
    from rich.table import Table
    console = Console()
    for rows in tables:
        table = Table(show_edge=False)
        for key in rows[0]:
            table.add_column(key)
        for row in rows:
            table.add_row(*map(str, row.values()))
        console.print(table)
        console.print()
