"""The benchmarks on small inputs: what they time is right, and what they report is what was measured."""

import numpy as np
import pytest

from synthmodel.cli import benchmark
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.solve import solve


def test_what_is_timed_is_the_right_answer():
    (hard, accuracy), (smoothed, _) = benchmark.curves(20)
    assert hard.w2[-1] == 0 < smoothed.w2[5] - hard.w2[5] and accuracy.shape == (20,)
    grid = benchmark.cross_entropy_grid(4)
    assert grid.w1.shape == (4, 4) and grid.residual.max() <= 1e-10 and (np.diff(grid.ratio, axis=1) < 0).all()


def test_the_monte_carlo_way_estimates_the_same_ratio():
    exact = solve(Setting(1, 0.5), CrossEntropy(), 0.2, 0.1).ratio
    few, many = ([benchmark.monte_carlo(n, seed) - exact for seed in range(5)] for n in (400, 40_000))
    assert np.std(many) < 0.3 * np.std(few)  # a tenth in the limit
    assert abs(np.mean(many)) < 5 * np.std(many) / np.sqrt(5)


def test_a_row_is_median_extremes_and_target():
    row = benchmark._row([3.0, 1.0, 2.0], 2.5)
    assert row == {"seconds": 2.0, "min": 1.0, "max": 3.0, "target": 2.5, "met": True}
    assert benchmark._row([3.0], 2.5)["met"] is False and benchmark._row([3.0], None)["met"] is None


def test_the_comparison_reports_both_errors_against_another_quadrature(monkeypatch):
    exact = solve(Setting(1, 0.5), CrossEntropy(), 0.2, 0.1).ratio
    monkeypatch.setattr(benchmark, "monte_carlo", lambda seed: exact + 1e-3 * (seed + 1))
    found = benchmark._against_monte_carlo(seeds=3)
    assert found["monte_carlo_error"] == pytest.approx(2e-3, rel=1e-6)  # the median
    assert found["ours_error"] < 1e-12
    assert found["ratio_of_errors"] == pytest.approx(found["monte_carlo_error"] / found["ours_error"])


def test_seconds_runs_once_more_than_it_counts():
    calls = []
    assert len(benchmark.seconds(lambda: calls.append(1), 3)) == 3 and len(calls) == 4
