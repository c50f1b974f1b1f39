"""CAS against plain loops, and the properties that make the numbers mean something."""

import numpy as np
import pytest
import torch

from deep.evaluation.cas import cas, class_correlation, gauge_fixed, instance_correlation, margin_cas, null_cas


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 5
    features = torch.rand(60, 7, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    return features, labels, weight


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_class_correlation_by_loops(problem):
    features, labels, weight = (np.asarray(part) for part in problem)
    correlation = class_correlation(*problem)
    means = [np.mean([h * weight[i] for h, y in zip(features, labels, strict=True) if y == i], axis=0)
             for i in range(5)]
    total = 0.0
    for i in range(5):
        for j in range(5):
            assert correlation[i, j].item() == pytest.approx(cosine(means[i], means[j]), abs=1e-12)
            total += max(cosine(means[i], means[j]), 0) if i != j else 0
    assert cas(correlation) == pytest.approx(total, abs=1e-12)


def test_instance_correlation_by_loops(problem):
    features, labels, weight = (np.asarray(part) for part in problem)
    correlation = instance_correlation(*problem)
    vectors = [[h * weight[i] for h, y in zip(features, labels, strict=True) if y == i] for i in range(5)]
    for i, j in ((0, 1), (2, 4), (3, 3)):
        expected = np.mean([cosine(a, b) for a in vectors[i] for b in vectors[j]])
        assert correlation[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_margin_cas_by_loops(problem):
    features, labels, weight = (np.asarray(part) for part in problem)
    means = [features[labels == i].mean(0) for i in range(5)]
    values = [cosine((weight[i] - weight[j]) * means[i], (weight[m] - weight[j]) * means[m])
              for i in range(5) for m in range(5) for j in range(5) if len({i, m, j}) == 3]
    assert len(values) == 60
    assert margin_cas(*problem) == pytest.approx(np.mean(values), abs=1e-12)


def model_weights(r):
    """The three-class model with w1 = 1, w2 = r, g(x) = x (THEORY.md, CAS)."""
    eye = torch.eye(3, dtype=torch.float64)
    features = torch.cat([eye, 1 - eye], 1)
    return features, torch.arange(3), torch.cat([eye, r * (1 - eye)], 1)


@pytest.mark.parametrize("r", [0.0, 0.3, 1.0, 2.0])
def test_values_of_the_three_class_model(r):
    features, labels, weight = model_weights(r)
    raw = class_correlation(features, labels, weight)
    assert raw[0, 1].item() == pytest.approx(r * r / (1 + 2 * r * r), abs=1e-12)
    assert cas(raw) == pytest.approx(6 * r * r / (1 + 2 * r * r), abs=1e-12)
    centred = class_correlation(features, labels, gauge_fixed(weight))
    assert centred[0, 1].item() == pytest.approx(r * r / (4 + 2 * r * r), abs=1e-12)
    assert margin_cas(features, labels, weight) == pytest.approx(r * r / (1 + r * r), abs=1e-12)


def test_what_a_common_row_changes(problem):
    features, labels, weight = problem
    shifted = weight + torch.linspace(-3, 3, 7, dtype=torch.float64)
    assert abs(cas(class_correlation(features, labels, shifted)) - cas(class_correlation(*problem))) > 1
    assert cas(class_correlation(features, labels, gauge_fixed(shifted))) == pytest.approx(
        cas(class_correlation(features, labels, gauge_fixed(weight))), abs=1e-9)
    assert margin_cas(features, labels, shifted) == pytest.approx(margin_cas(*problem), abs=1e-9)


def test_margin_cas_ignores_scales(problem):
    features, labels, weight = problem
    scale = torch.linspace(0.2, 4, 7, dtype=torch.float64)
    assert margin_cas(features * scale, labels, 5 * weight / scale) == pytest.approx(margin_cas(*problem), abs=1e-12)


def test_any_whole_type_of_labels_and_any_size_of_features(problem):
    features, labels, weight = problem
    expected = cas(class_correlation(*problem))
    for kind in (torch.uint8, torch.int16, torch.int32):
        assert cas(class_correlation(features, labels.to(kind), weight)) == expected
        assert instance_correlation(features, labels.to(kind), weight).shape == (5, 5)
    for scale in (1e-200, 1e200):
        assert cas(class_correlation(features * scale, labels, weight)) == pytest.approx(expected, abs=1e-12)


def test_a_zero_vector_is_orthogonal_to_everything(problem):
    features, labels, weight = problem
    weight = weight.clone()
    weight[2] = 0
    correlation = class_correlation(features, labels, weight)
    assert correlation[2].tolist() == [0] * 5
    assert correlation.isfinite().all()


def test_range_of_cas():
    """The largest value is K (K - 1): 90 for ten classes."""
    features, labels = torch.ones(10, 4), torch.arange(10)
    assert cas(class_correlation(features, labels, torch.ones(10, 4))) == pytest.approx(90)
    assert cas(torch.eye(10)) == 0
    assert cas(-torch.ones(10, 10)) == 0


def test_null_level(problem):
    """Random rows: the mean over many draws is that of an independent simulation, and a seed repeats it."""
    features, labels, weight = problem
    mean, spread = null_cas(features, labels, weight, draws=2000)
    rng = np.random.default_rng(1)
    centres = np.stack([np.asarray(features)[np.asarray(labels) == i].mean(0) for i in range(5)])
    values = []
    for _ in range(2000):
        vectors = centres * rng.normal(size=(5, 7))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        gram = vectors @ vectors.T
        values.append(np.maximum(gram, 0).sum() - np.trace(gram))
    assert abs(mean - np.mean(values)) < 4 * np.std(values) * np.sqrt(2 / 2000)
    assert spread == pytest.approx(np.std(values), rel=0.1)
    assert null_cas(features, labels, weight) == null_cas(features, labels, weight)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda f, y, w: (f[:, :3], y, w), "must be"),
    (lambda f, y, w: (f, y[:5], w), "must be"),
    (lambda f, y, w: (f * torch.nan, y, w), "NaN"),
    (lambda f, y, w: (f, y.clamp(max=3), w), "at least once"),
    (lambda f, y, w: (f, y + 1, w), "at least once"),
    (lambda f, y, w: (f, y - 1, w), "at least once"),
    (lambda f, y, w: (f, y.double(), w), "whole numbers"),
])
def test_bad_input_is_refused(problem, change, sentence):
    for function in (class_correlation, instance_correlation, margin_cas, null_cas):
        with pytest.raises(ValueError, match=sentence):
            function(*change(*problem))
    with pytest.raises(ValueError, match="must be"):
        cas(torch.ones(2, 3))
