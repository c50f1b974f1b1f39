"""How fast the package is, and how fast and exact what a user would write instead: `synthmodel bench`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from synthmodel.accuracy.three_classes import joint_accuracy
from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxtyping import Float

    from synthmodel.model.solution import Solution

__all__ = ["MEASUREMENTS", "bench", "cross_entropy_grid", "curves", "monte_carlo"]

HEAVY = ("torch", "sympy", "flint", "matplotlib")
IMPORT = ("import sys, time; start = time.perf_counter(); import synthmodel; "
          "print(time.perf_counter() - start, *(m for m in {heavy} if m in sys.modules))")


def seconds(function: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each of `repeats` runs, after one that does not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def curves(points: int = 1000) -> list[tuple[Solution, Float[np.ndarray, "{points}"]]]:
    """Curves in eps of so many points: margin, smoothed margin, and the joint accuracy of both ratios."""
    setting, eps = Setting(1.0, 0.5), np.linspace(0, 0.499, points)
    k = setting.k(eps)
    return [(found, joint_accuracy(found.ratio, k)) for found in (
        solve(setting, loss, eps, 0.1) for loss in (Margin(), SmoothedMargin(0.1)))]


def cross_entropy_grid(size: int = 50) -> Solution:
    """size x size problems in eps and sigma, lam = .1, mu = 1: solved or NotConverged, to a residual of 1e-10."""
    eps, sigma = np.meshgrid(np.linspace(0, 0.49, size), np.linspace(0.1, 1.5, size))
    return solve(Setting(1.0, sigma), CrossEntropy(), eps, 0.1)


def monte_carlo(n: int = 1_000_000, seed: int = 0, sigma: float = 0.5, eps: float = 0.2, lam: float = 0.1) -> float:
    """w2/w1 as one would compute it at first: BFGS on the mean loss of n samples of the robust margins.

    Gradients by differences: a written gradient would take about a third of the time, with the same error.
    """
    rng = np.random.default_rng(seed)
    e, c2, c3 = 1 - 2 * eps + sigma * rng.standard_normal((3, n))

    def risk(w: Float[np.ndarray, "2"]) -> float:
        return np.mean(np.log1p(np.exp(-w[0] * e - w[1] * c2) + np.exp(-w[0] * e - w[1] * c3))) + lam / 2 * (w @ w)

    w = minimize(risk, np.array([1.0, 1.0]), method="BFGS").x
    return float(w[1] / w[0])


def _row(times: Sequence[float], target: float | None) -> dict[str, Any]:
    """Median, smallest and largest of the times; target None: there is none."""
    median = statistics.median(times)
    return {"seconds": median, "min": min(times), "max": max(times), "target": target,
            "met": None if target is None else median < target}


def _process(words: Sequence[str]) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def _importing() -> dict[str, Any]:
    imported = [_process(["-c", IMPORT.format(heavy=HEAVY)])[1].split() for _ in range(5)]
    loaded = sorted({name for words in imported for name in words[1:]})
    row = _row([float(words[0]) for words in imported], 0.5) | {"loaded": loaded}
    return row | {"met": row["met"] and not loaded}


def _against_monte_carlo(seeds: int = 3) -> dict[str, float]:
    """Times and errors of one problem, ours and the Monte Carlo way; the truth from a quadrature of another form.

    samples, seeds: of Monte Carlo.  *_seconds: medians for one problem.  *_error: of w2/w1, for Monte Carlo the median
    over the seeds, for ours no less than the rounding unit.  ratio_of_times, ratio_of_errors: Monte Carlo's over ours.
    """
    from synthmodel.solvers.line_integrals import derivatives_on_a_line
    from synthmodel.solvers.plane_integrals import Problem
    ours = solve(Setting(1.0, 0.5), CrossEntropy(), 0.2, 0.1)
    pair = np.ones((1, 2))
    problem = Problem(1.2 * pair, 0 * pair, 0.4 * pair, np.zeros(1), np.ones(1))
    v = np.array([[ours.w1 * 0.5, ours.w2 * 0.5]])
    _, gradient, hessian, _ = derivatives_on_a_line(problem, v, 2, Setting().law)
    truth = v - np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    truth = truth[0, 1] / truth[0, 0]
    our_time = statistics.median(seconds(lambda: solve(Setting(1.0, 0.5), CrossEntropy(), 0.2, 0.1), 9))
    times, errors = [], []
    for seed in range(seeds):
        start = time.perf_counter()
        errors.append(abs(monte_carlo(seed=seed) - truth))
        times.append(time.perf_counter() - start)
    our_error = max(abs(ours.ratio - truth), np.finfo(float).eps)
    return {"samples": 1_000_000, "seeds": seeds, "ours_seconds": our_time, "ours_error": our_error,
            "monte_carlo_seconds": statistics.median(times), "monte_carlo_error": statistics.median(errors),
            "ratio_of_times": statistics.median(times) / our_time,
            "ratio_of_errors": statistics.median(errors) / our_error}


SOLVING = ["-m", "synthmodel", "solve", "--eps", "0.2", "--loss", "cross-entropy"]
MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "curves_1000_points": lambda: _row(seconds(curves, 9), 0.1),
    "cross_entropy_2500_problems": lambda: _row(seconds(cross_entropy_grid, 3), 20.0),
    "import": _importing,
    "solve_process": lambda: _row([_process(SOLVING)[0] for _ in range(5)], 1.5),
    "verify_process": lambda: _row([_process(["-m", "synthmodel", "verify"])[0]], 60.0),
    "certify_process": lambda: _row([_process(["-m", "synthmodel", "certify"])[0]], 10.0),
    "against_monte_carlo": _against_monte_carlo}


def bench() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, {seconds (median), min, max, target, met}) of each measurement; verify and certify run once each.

    Times and targets in seconds; met: median < target.  import: also "loaded", the heavy modules that it loads, which
    should be none.  against_monte_carlo: one problem the other way, see there. Times are of this machine at this
    moment; the ratios to Monte Carlo are of one run.
    """
    for name, measure in MEASUREMENTS.items():
        yield name, measure()
