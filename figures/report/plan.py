"""What a report is asked for: which parts, for which noise, with which attack sizes and draws of the networks."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, pi, sqrt
from typing import TYPE_CHECKING, Any

from figures.networks import planted
from synthmodel import Setting, eps_max
from synthmodel.model.setting import checked, reals, shown

if TYPE_CHECKING:
    from synthmodel.model.types import Real

__all__ = ["PARTS", "Plan", "plan"]

PARTS = ("theory", "networks")


@dataclass(frozen=True)
class Plan:
    """parts: of PARTS; setting: of the pictures and the planted images; jobs: of `planted.jobs`; command: as typed."""

    parts: tuple[str, ...]
    setting: Setting
    jobs: list[tuple[str, list[str]]]
    command: str


def attack_size(word: str, end: Real) -> str:
    """The word as a recipe reads it, if it is a size from 0 to below `end`, where every weight is dead; ValueError.

    >>> attack_size("8/255", 0.5), attack_size("0.30", 0.5)
    ('0.03137254901960784', '0.30')
    """
    size = float(reals(word))
    if isnan(size):
        raise ValueError(f"eps = {shown(word)} was given, but a report needs attack sizes: write --eps 0.1,0.3.")
    checked("eps", size, least=0, below=float(end))
    return str(size) if "/" in word else word.strip()


def plan(draws: int | None = None, only: str | None = None, sigma: str | None = None, eps: str | None = None) -> Plan:
    """Read the options of `synthmodel report`, None where one was not given; ValueError with one sentence.

    draws: of the images of each network.  only: of PARTS.  sigma: the noise, below sqrt(pi) mu, so that eps0 > 0.
    eps: attack sizes of the networks, with commas between.

    >>> plan(only="theory", sigma="0.8").command, len(plan(2, eps="0.1,0.3").jobs)
    ('synthmodel report --only theory --sigma 0.8', 16)
    """
    setting = planted.SETTING if sigma is None else Setting(1.0, sigma)  # type: ignore[arg-type]  # a word
    checked("sigma", setting.sigma, above=0, below=sqrt(pi), single=True)
    if only is not None and only not in PARTS:
        raise ValueError(f"the part {shown(only)!r} was given, but a report has {' and '.join(PARTS)}: choose one, or "
                         "leave --only out.")
    chosen: dict[str, Any] = {} if sigma is None else {"setting": setting}
    if eps is not None:
        chosen["sizes"] = tuple(attack_size(word, eps_max(setting)) for word in eps.split(","))
    given = {"draws": draws, "only": only, "sigma": sigma, "eps": eps}
    command = " ".join(["synthmodel report", *(f"--{name} {word}" for name, word in given.items() if word is not None)])
    return Plan(PARTS if only is None else (only,), setting, planted.jobs(draws, **chosen), command)
