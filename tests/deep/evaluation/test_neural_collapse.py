"""Neural collapse against covariance matrices and pseudo-inverses written out, and what moves each number."""

import numpy as np
import pytest
import torch

from deep.evaluation.neural_collapse import last_layer, neural_collapse

K, D, N = 4, 6, 200


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    labels = np.concatenate([np.arange(K), generator.integers(K, size=N - K)])
    means, weight = generator.normal(size=(K, D)), generator.normal(size=(K, D))
    return means[labels] + 0.3 * generator.normal(size=(N, D)), labels, weight, generator.normal(size=K)


def test_by_the_definitions(problem):
    features, labels, weight, bias = problem
    means = np.array([features[labels == i].mean(0) for i in range(K)])
    centred = means - means.mean(0)
    within = np.mean([np.cov(features[labels == i].T, ddof=0) for i in range(K)], axis=0)
    between = centred.T @ centred / K
    norms = np.linalg.norm(centred, axis=1)
    unit = centred / norms[:, None]
    fixed = weight - weight.mean(0)
    distances = ((features[:, None] - means) ** 2).sum(2)
    expected = {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / K,
        "nc2_norms": norms.std() / norms.mean(),
        "nc2_angles": np.mean([abs(unit[i] @ unit[j] + 1 / (K - 1)) for i in range(K) for j in range(K) if i != j]),
        "nc3": np.linalg.norm(fixed / np.linalg.norm(fixed) - centred / np.linalg.norm(centred)),
        "nc4": np.mean(distances.argmin(1) != (features @ weight.T + bias).argmax(1))}
    found = neural_collapse(*map(torch.as_tensor, (features, labels, weight, bias)))
    assert found == pytest.approx(expected, rel=1e-9)
    assert expected["nc4"] > 0.1  # the network and the nearest mean disagree here, and the bias matters
    assert found["nc4"] != neural_collapse(*map(torch.as_tensor, (features, labels, weight)))["nc4"]


def test_the_last_layer_by_its_definition(problem):
    features, labels, weight, bias = problem
    scores = features @ weight.T + bias
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    fixed = weight - weight.mean(0)
    unit = fixed / np.linalg.norm(fixed, axis=1)[:, None]
    found = last_layer(*map(torch.as_tensor, (features, labels, weight, bias)))
    assert found == pytest.approx({
        "weight_norm": np.sqrt((weight ** 2).sum()), "confidence": p.max(1).mean(),
        "true_probability": p[np.arange(N), labels].mean(),
        "row_cosine": np.mean([unit[i] @ unit[j] for i in range(K) for j in range(K) if i != j])}, rel=1e-9)


def test_less_noise_is_more_collapse(problem):
    features, labels, weight, bias = problem
    means = np.array([features[labels == i].mean(0) for i in range(K)])
    half = means[labels] + (features - means[labels]) / 2
    full, less = (neural_collapse(*map(torch.as_tensor, (part, labels, weight, bias))) for part in (features, half))
    assert less["nc1"] == pytest.approx(full["nc1"] / 4, rel=1e-9)
    assert {name: less[name] for name in ("nc2_norms", "nc2_angles", "nc3")} == pytest.approx(
        {name: full[name] for name in ("nc2_norms", "nc2_angles", "nc3")}, rel=1e-9)


def test_a_common_row_of_w_changes_nothing(problem):
    features, labels, weight, bias = map(torch.as_tensor, problem)
    moved = weight + torch.linspace(-3, 3, D, dtype=torch.float64)
    assert neural_collapse(features, labels, moved, bias) == pytest.approx(
        neural_collapse(features, labels, weight, bias), rel=1e-9)
