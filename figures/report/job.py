"""The main job: verify the claims, draw the theory, train networks on planted images, set one beside the other."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from deep.system.files import commit, write_text
from figures.gallery import CAMPAIGN
from figures.networks import planted, real_run
from figures.networks.campaign import common
from figures.report import slider
from figures.report.page import Campaign, Contents, page
from figures.report.plan import Plan, plan
from figures.report.progress import progress
from figures.report.resume import finished, keep
from figures.report.tables import comparison, in_words, markdown, predictions, verdicts
from figures.style import read_csv, write_csv
from figures.theory import accuracy, ratios, weights
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from figures.style import Row

    Drawn = tuple[str, str, str]  # name, title, finding

__all__ = ["report"]

PAUSE = 5.0  # seconds between two writings of what is verified
VERIFYING, DRAWING, TRAINING = "verifying the claims", "solving and drawing", "training on planted images"
THEORY = {"weights": ("The optimal weights", weights), "accuracy": ("Robust accuracy against the ratio", accuracy),
          "ratios": ("What each loss uses, and what would be best", ratios)}


def provenance(asked: Plan, seconds: float) -> dict[str, Any]:
    return {"command": asked.command, "commit": commit(), "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "torch")},
            "cores": os.cpu_count(), "machine": platform.machine(), "seconds": round(seconds, 1)}


def verified(folder: Path, advance: Callable[[str, int], None]) -> list[Row]:
    """The rows of all claims: those that this code has kept in `folder`, and the others verified now."""
    known = finished(folder)
    advance(VERIFYING, len(known))
    missing = [claim for claim in CLAIMS if claim.id not in known]
    kept = time.monotonic()
    try:
        for row in verify(missing, workers=min(4, os.cpu_count() or 1)) if missing else ():
            known[row.claim.id] = row.as_dict() | {"derivation": row.derivation}
            if time.monotonic() - kept > PAUSE:  # so that a report that is killed has not worked in vain
                keep(folder, known.values())
                kept = time.monotonic()
            advance(VERIFYING, 1)
    finally:
        keep(folder, known.values())
    return [known[claim.id] for claim in CLAIMS if claim.id in known]


def draw_theory(folder: Path, asked: Plan, advance: Callable[[str, int], None]) -> None:
    for _, script in THEORY.values():
        script.compute(folder, asked.setting)
        script.draw(folder, asked.setting)
        advance(DRAWING, 1)
    slider.compute(folder, asked.setting)
    advance(DRAWING, 1)


def draw_networks(folder: Path, asked: Plan, advance: Callable[[str, int], None]) -> None:
    planted.compute(folder, lambda: advance(TRAINING, 1), asked.jobs, asked.setting)
    planted.draw(folder, asked.setting)
    if real_run.DATA.exists():
        write_text(folder / real_run.DATA.name, real_run.DATA.read_text())
        real_run.draw(folder)
    advance(DRAWING, 1)


def judged_campaign(source: Path = common.DATA) -> Campaign:
    """What `deep confirm` says of the committed results."""
    found = common.said(source)
    if not found.runs:
        return Campaign(common.summary(found))
    return Campaign(common.summary(found), tuple(common.conclusion_rows(found)),
                    tuple(common.prediction_rows(found)), tuple(common.surgery_rows(found)))


def draw_campaign(folder: Path, source: Path = common.DATA) -> list[Drawn]:
    """Draw the campaign's pictures, those whose arms have been run, into `folder`; (name, title, finding) of each."""
    drawn = []
    for picture in CAMPAIGN:
        with suppress(common.NothingToDraw):
            picture.script.draw(folder, source)
            drawn.append((picture.name, picture.title, picture.finding(source.parent)))
    return drawn


def report(out: str | Path, draws: int | None = None, only: str | None = None, sigma: str | None = None,
           eps: str | None = None) -> int:
    """Write figures (PNG, SVG), tables (CSV), report.md and report.html into `out`; 0 iff every claim holds.

    The options are those of `plan`. A report that was interrupted, or killed, goes on where it stopped: claims that
    the same code has verified are not verified again, networks already trained are not trained again. Several may work
    on one folder.
    """
    began = time.perf_counter()
    asked, folder = plan(draws, only, sigma, eps), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    theory, networks = ("theory" in asked.parts), ("networks" in asked.parts)
    totals = {VERIFYING: len(CLAIMS) * theory, DRAWING: (len(THEORY) + 1) * theory + networks,
              TRAINING: len(asked.jobs) * networks}
    claims: list[Row] = []
    arms: list[Drawn] = []
    with progress({part: total for part, total in totals.items() if total}) as advance:
        if theory:
            claims = verified(folder, advance)
            write_csv(folder / "claims.csv", [{key: row[key] for key in row if key != "derivation"} for row in claims])
            draw_theory(folder, asked, advance)
        if networks:
            draw_networks(folder, asked, advance)
            arms = draw_campaign(folder)
    contents = gathered(folder, asked, claims, arms, began)
    write_text(folder / "report.md", in_markdown(contents))
    write_text(folder / "report.html", page(contents))
    print_tables(verdicts(claims, long=False), narrow(contents.comparison), contents.predictions)
    if claims:
        good = sum(row["holds"] for row in claims)
        print(f"{len(claims)} claims: {good} as stated in the list, {len(claims) - good} not")
    print(f"{folder / 'report.md'} and {folder / 'report.html'} written in {contents.made['seconds']:.0f} s")
    return 0 if all(row["holds"] for row in claims) else 1


def gathered(folder: Path, asked: Plan, claims: list[Row], arms: list[Drawn], began: float) -> Contents:
    """Read all that the two texts say from the files in `folder`; write the tables that come of them.

    arms: of `draw_campaign`.
    """
    pictures, table, verdicts_, mind, real, networks = [], [], [], "", [], Campaign()
    if "theory" in asked.parts:
        pictures += [(name, title, script.finding(folder, asked.setting))
                     for name, (title, script) in THEORY.items()]
    if "networks" in asked.parts:
        table, verdicts_ = comparison(folder), predictions(folder, asked.setting)
        write_csv(folder / "comparison.csv", table)
        if verdicts_:
            write_csv(folder / "predictions.csv", verdicts_)
        measured = read_csv(folder / "planted.csv")
        drawn = {name: len({row["seed"] for row in measured if row["network"] == name}) for name in planted.NETWORKS}
        pictures.append(("planted", "Networks on planted images", planted.finding(folder, asked.setting)
                         + f" Points are means over {drawn['linear']} draws of the images (linear network) and "
                         f"{drawn['cnn']} (small CNN), bars their range."))
        if real_run.DATA.exists():
            real = real_run.summary()
            pictures.append(("cifar10", "Real images (committed runs, not trained by this report)", real_run.finding()))
        networks = judged_campaign()
    pictures += arms
    made = provenance(asked, time.perf_counter() - began)
    write_text(folder / "provenance.json", json.dumps(made, indent=1) + "\n")
    if table:
        others = {row["commit"] for row in read_csv(folder / "planted.csv") if row["commit"] != made["commit"]}
        if others:
            mind = (f"Some networks in {folder} were trained by other versions of the code "
                    f"({', '.join(sorted(map(str, others)))}): choose an empty folder to train them anew.")
    return Contents(claims, table, verdicts_, real, tuple((name, title, said, (folder / f"{name}.svg").read_text())
                                                          for name, title, said in pictures),
                    slider.frames(folder) if "theory" in asked.parts else None, asked.setting, made, mind, networks)


def in_markdown(contents: Contents) -> str:
    """report.md."""
    sections = [("The claims", markdown(verdicts(contents.claims)))] if contents.claims else []
    bodies = {"planted": [*map(markdown, filter(None, (contents.comparison, contents.predictions))),
                          *in_words(contents.comparison, contents.predictions)],
              "cifar10": [markdown(contents.real)] if contents.real else []}
    sections += [(title, "\n\n".join([f"![{name}]({name}.png)", said, *bodies.get(name, [])]))
                 for name, title, said, _ in contents.pictures]
    if contents.campaign.summary:
        said = contents.campaign
        sections.append(("Interventions on real images (committed runs), judged by deep confirm", "\n\n".join(
            [said.summary, *map(markdown, filter(None, (said.conclusions, said.predictions, said.surgeries)))])))
    if contents.mind:
        sections.append(("Mind", contents.mind))
    made, text = contents.made, "\n\n".join(f"## {title}\n\n{body}" for title, body in sections)
    return (f"# Report\n\n{contents.headline()}\n\n`{made['command']}`, commit {made['commit']}, torch "
            f"{made['torch']}, {made['seconds']:.0f} s on {made['cores']} cores.\n\n{text}\n")


def narrow(table: Sequence[Row]) -> list[Row]:
    """What of the rows of `comparison` fits a terminal of eighty columns; the files have all."""
    return [{key: row[key] for key in ("network", "loss", "eps", "theory", "measured", "verdict")} for row in table]


def print_tables(*tables: Sequence[Row]) -> None:
    from rich.table import Table
    console = Console()
    for rows in filter(None, tables):
        table = Table(show_edge=False)
        for key in rows[0]:
            table.add_column(key, no_wrap=key == "claim", overflow="fold")
        for row in rows:
            table.add_row(*map(str, row.values()))
        console.print(table)
        console.print()
