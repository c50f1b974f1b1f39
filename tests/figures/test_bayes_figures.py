"""The learning curve's picture, and the two-layer network on the six features: its attack, its data, its verdicts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import synthmodel
from figures.networks import feature_network as network
from figures.style import read_csv
from figures.theory import learning_curve
from synthmodel.accuracy.bayes import bayes_error, exclusive_error
from synthmodel.flows.learning_curve import chance_used
from tests.conftest import assert_draws


@pytest.mark.slow
def test_the_learning_curve(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(learning_curve, "SIZES", {0.2: "black", 0.4: "red"})
    monkeypatch.setattr(learning_curve, "EXAMPLES", [1, 5, 20, 100])
    learning_curve.compute(tmp_path)
    learning_curve.draw(tmp_path)
    rows = read_csv(tmp_path / "learning_curve.csv")
    exact = [(row["examples"], row["exact"]) for row in rows if row["eps"] == 0.2 and np.isnan(row["sampled"])]
    assert_draws(pictures[0].axes[0], tuple(zip(*exact, strict=True)))
    legend = pictures[0].axes[0].get_legend()
    assert [(text.get_text(), line.get_marker()) for text, line in
            zip(legend.get_texts(), legend.get_lines(), strict=True)] == [
        (r"$\epsilon$ = 0.2", "o"), (r"$\epsilon$ = 0.4", "s"), ("exactly", "None"), ("normal approximation", "None"),
        ("share of 4,000 samples\n(any mark)", "o")]  # the marks tell the curves apart in grey
    assert [line.get_marker() for line in pictures[0].axes[0].get_lines() if line.get_linestyle() == "None"] == [
        "o", "s", "o"]
    for row in rows:
        assert row["exact"] == chance_used(learning_curve.SETTING.k(row["eps"]), int(row["examples"]))
        error = np.sqrt(row["exact"] * (1 - row["exact"]) / learning_curve.SAMPLES)
        assert np.isnan(row["sampled"]) or abs(row["sampled"] - row["exact"]) <= 4.5 * error + 1e-3


def scored(first, second, constant):
    """One network's weights in float64, each with a leading axis of one network; no shift of the hidden units."""
    parts = [torch.tensor(part, dtype=torch.float64)[None] for part in (first, second, constant)]
    return [parts[0], torch.zeros(1, 1, parts[0].shape[2], dtype=torch.float64), parts[1], parts[2]]


def test_a_network_that_thresholds_exclusive_features():
    """f_1 = eps, f_2 = |x_E2|, f_3 = |x_E3|: its exact robust error is that of exclusive features alone."""
    first = np.zeros((6, 4))
    first[1, :2] = first[2, 2:] = 1, -1
    second = np.zeros((4, 3))
    second[:2, 1] = second[2:, 2] = 1
    eps = torch.full((1, 1, 6), 0.25, dtype=torch.float64)
    weights = scored(first, second, np.array([[0.25 + 1e-9, 0, 0]]))
    x, labels = network.inputs(3_000, torch.Generator().manual_seed(5))
    found = float(network.robust_errors(weights, eps, x.double()[None], labels)[0])
    expected = exclusive_error(network.SETTING, 0.25)
    assert abs(found - expected) < 4.5 * np.sqrt(expected / 3_000)
    small = (x[torch.arange(3_000), labels].abs() <= 0.5) & (labels > 0)
    assert round(3_000 * found) == int(small.sum())


def test_reliance_of_a_linear_network():
    """Hidden units that stay on: scores x_E + r sum of x_C have the slopes' ratio r."""
    linear = np.hstack([np.eye(3), 0.4 * (1 - np.eye(3))])
    weights = scored(np.eye(6), linear.T, np.zeros((1, 3)))
    weights[1] += 100
    x, labels = network.inputs(60, torch.Generator().manual_seed(6))
    eps = torch.full((1, 1, 6), 0.1, dtype=torch.float64)
    assert float(network.reliance(weights, eps, x.double()[None], labels)[0]) == pytest.approx(0.4)


@pytest.mark.slow
def test_the_attack_stays_in_its_box():
    weights, eps, seen = network.train([0.2, 0.3], [0, 1], [False, True], width=4, batch=6, steps=2)
    x, labels = network.inputs(9, torch.Generator().manual_seed(7))
    point = network.attacked(weights, x * seen, labels, eps, 3, torch.zeros(2, 9, 6))
    assert ((point - x * seen).abs() <= eps + 1e-7).all()
    assert (point[1, :, 3:] == 0).all() and (point[0, :, 3:] != x[:, 3:]).any()  # what is not seen is not attacked


def test_a_short_experiment():
    found = network.experiment(sizes=(0.2,), seeds=(0, 1), alone=(0.2,), test=30, width=4, batch=6, steps=2)
    assert [(row["features"], len(row["robust_error"])) for row in found["rows"]] == [("all", 2), ("exclusive", 2)]
    for words in (["a"], ["a.json", "b.json"]):
        with pytest.raises(SystemExit, match="2"):
            network.main(words)


@pytest.mark.slow
def test_the_committed_data_and_what_was_expected(tmp_path, pictures):
    """The references are the library's; what the theory and the predictions' outcome say of the data is so."""
    data = json.loads(network.DATA.read_text())
    network.draw(tmp_path)
    rows = {(row["eps"], row["features"]): row for row in data["rows"]}
    everything = {eps: row["robust_error"] for (eps, features), row in rows.items() if features == "all"}
    marks = pictures[0].axes[0].get_lines()[4].get_xydata()
    np.testing.assert_array_equal(marks, [(eps, error) for eps, errors in everything.items() for error in errors])
    for (eps, _), row in rows.items():
        assert row["bayes"] == pytest.approx(bayes_error(network.SETTING, eps))
        assert row["exclusive"] == pytest.approx(exclusive_error(network.SETTING, eps))
        bound = row["bayes" if row["features"] == "all" else "exclusive"]  # no classifier is better
        assert min(row["robust_error"]) > bound - 4.5 * np.sqrt(bound / data["test"])
        if row["features"] == "all":  # 1: the shared features are used
            assert max(row["robust_error"]) < row["exclusive"] and min(row["ratio"]) > 0.3
    times = {eps: np.array(errors) / rows[eps, "all"]["bayes"] for eps, errors in everything.items()}  # 2
    assert [int((values < 1.5).sum()) for values in times.values()] == [0, 2, 1, 3, 3]
    late = np.array([times[eps] for eps in (0.2, 0.3, 0.4, 0.45)])
    assert (round(late.min(), 2), round(late.max(), 2)) == (1.06, 1.81)
    assert (round(times[0.1].min(), 1), round(times[0.1].max(), 1)) == (2.6, 2.9)
    assert all((np.array(errors) < rows[eps, "all"]["confusable"]).all() == (eps > 0.1)
               for eps, errors in everything.items())
    text = (Path(synthmodel.__file__).parent / "THEORY.md").read_text()
    for eps in (0.2, 0.4):
        for end in (min(everything[eps]), max(everything[eps])):
            assert f"${end:.4f}$".replace("$0.", "$.") in text
    assert "15 of 15 networks" in network.finding(network.DATA.parent)
