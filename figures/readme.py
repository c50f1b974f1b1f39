"""The tables of the README pages, and the gallery, from what they come from.

`python -m figures.readme` writes them into README.md of the project, synthmodel, deep and figures.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from deep.system.files import write_text
from figures.gallery import gallery, linked
from figures.networks import planted
from figures.networks.campaign import arms, common, fit, margins
from figures.networks.real_run import DATA, summary
from figures.report.tables import claims_table, markdown
from figures.scripts import command_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deep.experiments.campaign.answers import Answers

__all__ = ["pages"]

ROOT = Path(__file__).parents[1]


WIDTHS = (16, 64)
TIMED = ("bench-16", "bench-64", "bench-16-pgd10", "step_parts-16")
# of files whose step had plain convolutions in the attack: sums and ReLU came into these later
OLDER = ("8e6ec78abbdf3adbd0fbb069c10f935a62314a2b",)


def read(name: str) -> dict[str, Any]:
    return json.loads(DATA.with_name(f"{name}.json").read_text())


def ranged(spread: dict[str, float], digits: int = 2) -> str:
    return f"{spread['median']:.{digits}f} [{spread['min']:.{digits}f}, {spread['max']:.{digits}f}]"


def speed() -> str:
    """`deep bench --json` at both widths."""
    rows = []
    for width in WIDTHS:
        found = read(f"bench-{width}")
        used = found["utilisation"]
        rows.append({"width": found["width"], "attack": f"PGD-{found['attack_steps']}",
                     "images/s": f"{found['images_per_second']:.0f}",
                     "textbook": f"{found['textbook_images_per_second']:.0f}", "ratio": ranged(found["ratio"]),
                     "pairs": found["repeats"], "of the peak": f"{100 * used['ours']:.0f} %",
                     "textbook, of its peak": f"{100 * used['textbook']:.0f} %",
                     "products, of the peak": f"{100 * found['products_utilisation']:.0f} %"})
    return markdown(rows)


def arithmetic() -> str:
    """`python -m figures.networks.bf16`: accuracies in percent by seed, and the difference of each pair."""
    found, rows = read("bf16"), []
    for kind in ("robust", "clean"):
        values, low_high = found[kind], [100 * bound for bound in found[kind]["difference"]["interval"]]
        rows.append({"accuracy, %": kind, **{name: ", ".join(f"{100 * value:.1f}" for value in values[name])
                                             for name in ("bfloat16", "float32")},
                     "bfloat16 - float32": f"{100 * values['difference']['mean']:.1f}",
                     "95 % interval": f"{low_high[0]:.1f} to {low_high[1]:.1f}",
                     "seeds": values["difference"]["n"], "test images": found["n_test"]})
    return markdown(rows)


def parts() -> str:
    """`python -m figures.networks.step_parts`: the time of an image without a part over that in the whole step."""
    return markdown([{"step": row["step"], "time": ranged(row["ratio"])} for row in read("step_parts-16")["rows"]
                     if row["step"] != "the whole step"])


def basis() -> str:
    """`python -m figures.networks.campaign.basis`: in each basis mean and range over seeds, largest change."""
    found, rows = read("basis"), []
    for place, name in enumerate(one["basis"] for one in found["networks"][0]["bases"]):
        networks = [network["bases"][place] for network in found["networks"]]
        change = max(network["change"] for network in networks)
        rows.append({"basis": name, **{title: mean_and_range([network[key] for network in networks], digits)
                                       for key, title, digits in (("cas", "CAS", 1), ("sharing", "sharing", 1),
                                                                  ("margin_cas", "margin-CAS", 2))},
                     "largest change of a score / largest score": f"{change:.0e}" if change else "0",
                     "predictions changed": f"{sum(network['moved'] for network in networks)} of "
                                            f"{2 * found['n_test'] * len(networks):,}"})
    return markdown(rows)


def mean_and_range(values: Sequence[float], digits: int) -> str:
    """Mean and range; no -0.0.

    >>> mean_and_range([1.0, 3.0], 1)
    '2.0 [1.0, 3.0]'
    """
    mean, low, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in (
        sum(values) / len(values), min(values), max(values)))
    return f"{mean} [{low}, {high}]"


def paragraph(text: str) -> str:
    """Return a text in lines of at most 120 characters, no link and no word cut."""
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def timed() -> str:
    """Return a list of the files of the tables above, with the commit of each, and what is older than the code."""
    commits = {name: read(name)["commit"] for name in TIMED}
    files = ", ".join(f"[{name}.json](../figures/data/{name}.json) ({commit[:7]})" for name, commit in commits.items())
    older = [f"{name}.json" for name, commit in commits.items() if commit in OLDER]
    said = f"Files, and the commits at which they were measured: {files}."
    if older:
        said += f" Measured before the attack's convolutions took in sums and ReLU: {', '.join(older)}."
    return paragraph(said)


def theory_tables() -> dict[str, str]:
    """Return the tables of synthmodel/README.md by the names of their places."""
    tables = {"claims": claims_table()}
    for name in ("statements", "readings"):  # synthmodel table [--readings] --csv
        with open(DATA.with_name(f"{name}.csv"), newline="") as file:
            tables[name] = markdown(list(csv.DictReader(file)))
    return tables


def network_tables(found: Answers) -> dict[str, str]:
    """Return the tables of deep/README.md by the names of their places, and what planted images say."""
    said = paragraph(linked(planted.finding(DATA.parent)))
    tables = {"speed": speed(), "parts": parts(), "timed": timed(), "arithmetic": arithmetic(),
              "basis": basis(), "arms": markdown(arms.arm_rows()), "again": markdown(arms.again_rows()),
              "fit": markdown(fit.fit_rows()),
              "margins": markdown(margins.margin_rows()), "confirm": campaign_table(found)}
    return {"planted": said} | tables | {
        name: markdown(summary(DATA.with_name(f"{name}.json"))) for name in ("cifar10", "cifar10-crops")}


def campaign_answers(found: Answers) -> str:
    """What the campaign says, for the page of the project: each statement with its answer."""
    rows = [{key: row[key] for key in ("statement", "answer")} for row in common.conclusion_rows(found)]
    return "\n\n".join([common.summary(found), *([markdown(rows)] if found.runs else [])])


def campaign_table(found: Answers) -> str:
    """Predictions with rule, measurement and verdict, conclusions, and the surgeries of the trunk."""
    tables = [common.prediction_rows(found), common.conclusion_rows(found)] if found.runs else []
    tables += filter(None, [common.surgery_rows(found)])
    return "\n\n".join([common.summary(found), *map(markdown, tables)])


def put(text: str, name: str, table: str) -> str:
    """Return `text` with `table` between <!-- NAME --> and <!-- end NAME -->; ValueError without the marks."""
    text, found = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)",
                          lambda match: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"a README page has {found} places for the table {name}, but needs one: mark it with "
                         f"<!-- {name} --> and <!-- end {name} -->.")
    return text


def pages() -> dict[Path, str]:
    """Return each README page with its tables made anew: path -> text."""
    share = f"take {100 * read('bench-16-pgd10')['evaluation_share']:.1f} % of the training's time"
    found, answers = {}, common.said()
    for folder, tables in (("", {"confirm": campaign_answers(answers)}), ("synthmodel", theory_tables()),
                           ("deep", network_tables(answers)), ("figures", {"gallery": gallery()})):
        path = ROOT / folder / "README.md"
        text = re.sub(r"take [\d.]+ % of the training's time", share, path.read_text())
        for name, table in tables.items():
            text = put(text, name, table)
        found[path] = text
    return found


if __name__ == "__main__":
    command_line(__name__).parse_args()
    for page, content in pages().items():
        write_text(page, content)
