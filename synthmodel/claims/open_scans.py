"""Open statements about cross-entropy, tested on grids.

`python -m synthmodel.claims.open_scans OUT.json` takes about three minutes. With `--only "N4 ends" --only "N4 ends, B"`
it made figures/data/n4_ends.json, in one.

What is proved or certified is not repeated here (certificates.proofs, symbolic.softmax.smoothing): a scan looks for
counterexamples where there is no proof, and gives numbers where there is no formula.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from synthmodel.accuracy.any_setting import best_ratio
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.noise import law
from synthmodel.model.setting import Setting
from synthmodel.model.solution import NotConverged
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, solve_cross_entropy
from synthmodel.solvers.line_integrals import derivatives_on_a_line
from synthmodel.solvers.margin_closed import extreme_mean
from synthmodel.solvers.plane_integrals import Problem
from synthmodel.system.files import commit, write_text
from synthmodel.system.terminal import OneSentenceParser

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["end_of_n4", "least_excess", "least_on_ray", "scan", "scan_design_b", "scan_ends", "scan_ends_b",
           "scan_smoothing", "scan_strength", "scan_unequal_noise"]

ROUNDING = 1e-11  # of weights and ratios: a smaller rise is none
SMOOTHING = np.concatenate([[0.0], np.geomspace(1e-8, 1e-2, 13), np.linspace(0.02, 0.66, 33), [0.6666]])
K_GRID, L_GRID = np.geomspace(0.01, 20, 34), np.geomspace(1e-10, 1e4, 29)


def _solved(setting: Setting, b: Any, L: float) -> tuple[Any, Any] | None:
    """Solve for (w1, w2) along b; None where the solver refuses (weights too large or too small for its accuracy)."""
    try:
        found = solve_cross_entropy(setting, CrossEntropy(b), 0.0, L)
    except NotConverged:
        return None
    return found.w1, found.w2


def _rise(values: Float[np.ndarray, "b"]) -> tuple[float, int]:
    """Return the largest relative step upwards, and the index where it starts."""
    steps = np.diff(values) / values[:-1]
    return float(steps.max()), int(steps.argmax())


def _add(found: dict[str, dict[str, Any]], name: str, rise: float, index: int, where: dict[str, float]) -> None:
    """Count a rise beyond rounding and keep the largest."""
    entry = found.setdefault(name, {"curves_that_rise": 0, "largest_relative_step": -np.inf})
    entry["curves_that_rise"] += int(rise > ROUNDING)
    if rise > entry["largest_relative_step"]:
        entry.update(largest_relative_step=rise, **where, b=[float(b) for b in SMOOTHING[index:index + 2]])


def scan_smoothing(ks: Iterable[float] = K_GRID, decays: Iterable[float] = L_GRID) -> dict[str, Any]:
    """Scan whether w1, w2 and r = w2/w1 fall with the smoothing b at equal noise (T3-CE): rises and the largest step.

    mu = k, sigma = 1, eps = 0, lam = L. A relative step is negative where the quantity falls.

    >>> found = scan_smoothing(ks=[0.5, 1.0], decays=[1e-3, 1.0])
    >>> [found[name]["curves_that_rise"] for name in ("w1", "w2", "r")]
    [0, 0, 0]
    """
    found: dict[str, dict[str, Any]] = {}
    curves = refused = 0
    for k in ks:
        for L in decays:
            weights = _solved(Setting(k, 1.0), SMOOTHING, L)
            if weights is None:
                refused += 1
                continue
            curves += 1
            for name, values in zip(("w1", "w2", "r"), (*weights, weights[1] / weights[0]), strict=True):
                _add(found, name, *_rise(values), {"k": float(k), "L": float(L)})
    return found | {"curves": curves, "refused": refused}


def scan_unequal_noise(count: int = 200, seed: int = 0) -> dict[str, Any]:
    """Do as `scan_smoothing` at equal means k and unequal noises sigma_e = 1, sigma_c, for `count` random settings.

    log-uniform: k in [.1, 6], sigma_c in [1/6, 6], L in [1e-4, 100].

    >>> scan_unequal_noise(count=3)["curves"]
    3
    """
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, Any]] = {}
    curves = refused = 0
    for _ in range(count):
        k, sigma_c, L = np.exp(rng.uniform(np.log([0.1, 1 / 6, 1e-4]), np.log([6, 6, 100])))
        weights = _solved(Setting(mu=k, sigma_e=1.0, sigma_c=sigma_c), SMOOTHING, L)
        if weights is None:
            refused += 1
            continue
        curves += 1
        for name, values in zip(("w1", "w2", "r"), (*weights, weights[1] / weights[0]), strict=True):
            _add(found, name, *_rise(values), {"k": float(k), "sigma_c": float(sigma_c), "L": float(L)})
    return found | {"curves": curves, "refused": refused, "seed": seed}


def scan_strength(ks: Iterable[float] = K_GRID, decays: Iterable[float] = L_GRID) -> dict[str, Any]:
    """Scan whether r_CE rises with k (T1-CE): 1 - r at neighbours in ks, where it exceeds rounding.

    >>> scan_strength(ks=[0.5, 1.0, 2.0], decays=[1e-6, 1.0])["falls"]
    0
    """
    steps, falls, least = 0, 0, np.inf
    for L in decays:
        rows = []
        for k in ks:
            weights = _solved(Setting(k, 1.0), 0.0, L)
            rows.append(np.nan if weights is None else (weights[0] - weights[1]) / weights[0])
        gaps = np.array(rows)
        shrink = gaps[:-1] - gaps[1:]
        seen = np.isfinite(shrink) & (gaps[:-1] > 1e-12)
        steps, falls = steps + int(seen.sum()), falls + int((shrink[seen] < -ROUNDING).sum())
        least = min(least, float(np.min(shrink[seen] / gaps[:-1][seen])))
    return {"steps": steps, "falls": falls, "least_relative_step_of_1-r": least}


def least_excess(k: float, classes: int, design: str = "A") -> tuple[float, float]:
    """Return the least r_CE - r_acc over L from .03 to 100, and its L, at equal noise (N4 first fails inside).

    Decay on the row-centred W: in design A lam_c = lam_e, in design B lam_c = (K-2) lam_e = (K-2) L sigma^2.

    >>> [round(number, 5) for number in least_excess(2.42, 3)]
    [-0.00016, 1.59084]
    """
    setting = Setting(k, 1.0, classes=classes, design=design)
    best = best_ratio(setting, 0.0)

    def excess(log_decay: float) -> float:
        L = float(np.exp(log_decay))
        return solve_cross_entropy(setting, CrossEntropy(), 0.0, L, setting.sharing * L).ratio - best

    grid = np.linspace(np.log(0.03), np.log(100), 16)
    values = [excess(x) for x in grid]
    i = int(np.clip(np.argmin(values), 1, len(grid) - 2))
    found = minimize_scalar(excess, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-7})
    return float(found.fun), float(np.exp(found.x))


def end_of_n4(classes: int, low: float = 2.2, high: float = 4.5, design: str = "A") -> tuple[float, float]:
    """Return the k up to which r_CE > r_acc for all L (N4), and the L where it ends; K classes.

    >>> round(end_of_n4(3, 2.3, 2.5)[0], 5)
    2.41405
    """
    k = brentq(lambda k: least_excess(k, classes, design)[0], low, high, xtol=1e-7)
    return float(k), least_excess(k, classes, design)[1]


def least_on_ray(k: float, classes: int) -> tuple[float, float]:
    """Return the least fall of the risk across the ray r = r_acc, by k times its wrong chance, and the L where it is.

    Design A, k > e_{K-1}; the fall is towards larger ratios. The risk of L is lowest at that t of the ray where the
    risk without decay falls along it by L t: t from 0 to its lowest point without decay are all L from infinity to 0,
    both limits included. By convexity r_CE > r_acc for all L >= 0 iff the fall across is positive on all of them.

    >>> least_on_ray(2.415, 3)[0] < 0 < least_on_ray(2.413, 3)[0]
    True
    """
    setting = Setting(k, 1.0, classes=classes)
    problem = Problem(np.full((1, 2), k), np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1), np.ones(1))
    way = np.array([1.0, best_ratio(setting, 0.0)])
    way /= np.linalg.norm(way)

    @cache
    def falls(t: float) -> tuple[float, float]:
        _, gradient, _, wrong = derivatives_on_a_line(problem, t * way[None], classes - 1, setting.law)
        return float(-gradient[0] @ way), float(-gradient[0] @ (-way[1], way[0]) / (k * wrong[0]))

    lowest = 1.0
    while falls(lowest)[0] > 0:
        lowest *= 1.5
    lowest = brentq(lambda t: falls(t)[0], lowest / 1.5, lowest, xtol=1e-6)
    grid = lowest * np.linspace(0.0, 1.0, 13)**2
    i = min(range(1, 13), key=lambda i: falls(grid[i])[1])
    found = minimize_scalar(lambda t: falls(t)[1], bounds=(grid[i - 1], grid[min(i + 1, 12)]), method="bounded",
                            options={"xatol": 1e-5})
    t = min((grid[0], float(found.x), lowest), key=lambda t: falls(t)[1])
    return falls(t)[1], falls(t)[0] / t if t else np.inf


def scan_ends(classes: Iterable[int] = (3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 100), parts: int = 6) -> dict[str, Any]:
    """Scan where N4 ends for K classes in design A, by both ways; at the end r_acc and the excess as L -> 0 and oo.

    least_before: the least of `least_on_ray` at parts - 1 values of k between e_{K-1} and the end. It is positive if N4
    fails first at the end. Some five seconds for each K.
    """
    rows = {}
    for number in classes:
        edge = law("normal").mean_largest(number - 1)
        k, L = end_of_n4(number, max(2.2, edge + 0.5), edge + 2.5)
        best = best_ratio(Setting(k, 1.0, classes=number), 0.0)
        on_ray = brentq(lambda k, number=number: least_on_ray(k, number)[0], k - 0.01, k + 0.01, xtol=1e-8)
        before = [least_on_ray(edge + (k - edge) * i / parts, number)[0] for i in range(1, parts)]
        rows[str(number)] = {
            "k": k, "L": L, "k_on_ray": float(on_ray), "least_before": min(before), "e": edge, "r_acc": best,
            "excess_at_no_decay": cross_entropy_ratio(Setting(k, 1.0, classes=number), 0.0, 1e-10) - best,
            "excess_at_infinite_decay": 1 - best}
    return rows


def scan_ends_b(classes: Iterable[int] = range(4, 11)) -> dict[str, Any]:
    """Scan where N4 ends in design B with decay on the row-centred W: {K: {"k", "L"}}; some two seconds for each K."""
    return {str(number): dict(zip(("k", "L"), end_of_n4(number, 2.0, 6.0, "B"), strict=True)) for number in classes}


def scan_design_b(classes: Iterable[int] = (4, 5, 10, 30), steps: int = 12) -> dict[str, Any]:
    """Scan the least r_acc - r_AT over k in design B with decay on the whole W, r_AT = 1 - e_n/((n-1) k) (N2-B).

    k from 1.05 to 6 times the threshold e_n/(n-1), n = K - 1.

    >>> scan_design_b(classes=(4,), steps=3)["4"]["least"] > 0
    True
    """
    rows = {}
    for number in classes:
        setting = Setting(1.0, 1.0, classes=number, design="B")
        start = extreme_mean(setting) / (number - 2)
        ks = start * np.geomspace(1.05, 6, steps)
        gaps = [best_ratio(Setting(k, 1.0, classes=number, design="B"), 0.0) - (1 - start / k) for k in ks]
        rows[str(number)] = {"least": float(min(gaps)), "at_k": float(ks[int(np.argmin(gaps))])}
    return rows


SCANS: dict[str, Callable[[], dict[str, Any]]] = {
    "T3-CE": scan_smoothing, "T3-CE, unequal noise": scan_unequal_noise, "T1-CE in k": scan_strength,
    "N4 ends": scan_ends, "N4 ends, B": scan_ends_b, "N2-B": scan_design_b}


def scan(names: Sequence[str] = ()) -> dict[str, Any]:
    """Make the scans of those names, or all: one dictionary, with the commit and, for all, the grids."""
    grids = {} if names else {"b": SMOOTHING.tolist(), "k": K_GRID.tolist(), "L": L_GRID.tolist()}
    return {"commit": commit()} | grids | {name: SCANS[name]() for name in names or SCANS}


def main(arguments: Sequence[str] | None = None) -> None:
    words = OneSentenceParser(prog="python -m synthmodel.claims.open_scans", description=__doc__)
    words.add_argument("out", metavar="OUT.json", help="the file to write")
    words.add_argument("--only", action="append", choices=SCANS, help="make this scan alone; may be repeated")
    options = words.parse_args(arguments)
    write_text(options.out, json.dumps(scan(options.only or ()), indent=1) + "\n")


if __name__ == "__main__":
    main()
