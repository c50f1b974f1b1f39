"""What the page's two sliders show: the ratios of ratios.csv on a grid of noises and attack sizes, computed beforehand.

A page that is opened from a disk, without a network and without Python, can then answer for the settings on the grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from figures.style import read_csv, write_csv
from figures.theory.ratios import LAM, B, closed
from synthmodel import CrossEntropy, Setting, eps0, joint_accuracy, solve

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CURVES", "compute", "frames"]

NOISES = np.round(np.arange(0.1, 1.55, 0.1), 1)
SIZES = np.round(np.arange(0, 0.495, 0.01), 2)
# of each curve: what uses this ratio
CURVES = {"r_ce": "cross-entropy", "r_acc": "best joint robust accuracy", "r_smoothed": f"smoothed margin, b = {B:g}",
          "r_at": "margin loss"}


def compute(folder: Path, setting: Setting) -> None:
    """slider.csv: sigma, eps, eps0, and the ratios w2/w1 of CURVES with the joint accuracy of each (mu = 1, lam = 0.1).

    The noises are NOISES and the setting's own.
    """
    noises = np.unique([*NOISES, float(setting.sigma)])
    soft = solve(Setting(1.0, noises[:, None]), CrossEntropy(), SIZES, LAM).ratio
    rows = []
    for sigma, line in zip(noises.tolist(), np.asarray(soft), strict=True):
        here = Setting(1.0, sigma)
        for eps, r_ce in zip(SIZES.tolist(), line.tolist(), strict=True):
            k = here.k(eps)
            found = {"r_ce": r_ce, **closed(k)}
            ratios = {key: found[key] for key in CURVES}
            rows.append({"sigma": sigma, "eps": eps, "eps0": eps0(here), **ratios,
                         **{f"accuracy_{key}": joint_accuracy(ratio, k) for key, ratio in ratios.items()}})
    write_csv(folder / "slider.csv", rows)


def frames(folder: Path) -> dict[str, Any]:
    """What the page needs of slider.csv, to three digits: sigma, eps, eps0, and by curve a row for each sigma."""
    rows = read_csv(folder / "slider.csv")
    noises, sizes = ([*dict.fromkeys(row[key] for row in rows)] for key in ("sigma", "eps"))

    def plane(key: str) -> list[list[float]]:
        return np.round([row[key] for row in rows], 3).reshape(len(noises), len(sizes)).tolist()
    return {"sigma": noises, "eps": sizes, "eps0": [line[0] for line in plane("eps0")],
            "ratio": {key: plane(key) for key in CURVES}, "accuracy": {key: plane(f"accuracy_{key}") for key in CURVES}}
