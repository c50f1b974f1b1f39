"""The correlation of an image's margins, a function of the scores alone, which no change of basis moves (E-margins).

Along the trunk and at the end of each arm, from the committed results that have it (figures/data/campaign).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from figures.networks.campaign.common import DATA, TRUNK, mean_of, results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from figures.style import Row

__all__ = ["margin_rows"]

SPLITS = {"test": "adversarial test", "clean_test": "clean test", "train": "adversarial training",
          "clean_train": "clean training"}


def measured(seeds: Mapping[int, Any]) -> list[Any]:
    """Of each seed the first run that has the correlation, if there is one."""
    found = ([run for run in (first, *first.get("again", ())) if has(run)] for first in seeds.values())
    return [runs[0] for runs in found if runs]


def has(run: Mapping[str, Any]) -> bool:
    return all(line[split].get("margin_rho") is not None for line in run["checkpoints"] for split in SPLITS)


def margin_rows(source: Path = DATA) -> list[Row]:
    """Mean over seeds with its interval: of the trunk at its first, quarter and last epoch, of each arm at its end.

    Arms with fewer than two seeds that have it are left out.
    """
    plan, runs = results(source)
    return [row for arm in plan["arm"] for row in rows_of(arm, measured(runs.get(arm["id"], {})),
                                                          plan["campaign"]["level"])]


def rows_of(arm: Mapping[str, Any], runs: list[Any], level: float) -> Iterator[Row]:
    if len(runs) < 2:
        return
    epochs = [line["epoch"] for line in runs[0]["checkpoints"]]
    shown = [0, epochs.index(epochs[-1] // 4), -1] if arm["id"] == TRUNK else [-1]
    for place in shown:
        row: Row = {"arm": f"{arm['id']}, epoch {epochs[place]}", "n": len(runs)}
        for split, title in SPLITS.items():
            values = [run["checkpoints"][place][split]["margin_rho"] for run in runs]
            row[title] = mean_of(values, level, 2)
        yield row
