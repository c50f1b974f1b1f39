"""Every CAS from class means: against the single functions, loops over resamples and a simulation of coverage."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from deep.evaluation.accuracy import Outcome
from deep.evaluation.cas import (
    cas,
    class_correlation,
    class_means,
    class_profile,
    gauge_fixed,
    instance_correlation,
    margin_cas,
    margin_similarity,
    null_cas,
    pairs_of,
    random_rows,
)
from deep.evaluation.cas_intervals import cas_interval, cas_intervals, cas_values, resampled_means, samples_by_class
from deep.evaluation.nulls import permuted, random_permutations, sharing

K, D = 5, 7


def outcome_with(features, clean, labels):
    right = torch.ones(len(labels)).bool()
    return Outcome(labels, right, right, clean, features)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % K
    features, clean = torch.rand(2, 60, D, generator=generator, dtype=torch.float64)
    return outcome_with(features, clean, labels), torch.randn(K, D, generator=generator, dtype=torch.float64)


def test_every_variant_is_that_of_its_own_function(problem):
    outcome, weight = problem
    found, y = cas_values(outcome, weight, draws=20), outcome.labels
    expected = {
        "cas": cas(class_correlation(outcome.features, y, weight)),
        "cas_gauge_fixed": cas(class_correlation(outcome.features, y, gauge_fixed(weight))),
        "cas_per_instance": cas(instance_correlation(outcome.features, y, weight)),
        "cas_clean": cas(class_correlation(outcome.clean_features, y, weight)),
        "cas_clean_gauge_fixed": cas(class_correlation(outcome.clean_features, y, gauge_fixed(weight))),
        "margin_cas": margin_cas(outcome.clean_features, y, weight)}
    expected["cas_null"], expected["cas_null_sd"] = null_cas(outcome.features, y, weight, draws=20)
    expected["cas_excess"] = expected["cas"] - expected["cas_null"]
    order, rows = random_permutations(*weight.shape, 20), random_rows(weight, 20)
    for name, features in (("sharing", outcome.features), ("sharing_clean", outcome.clean_features)):
        means = class_means(features, y, len(weight))
        value, null = sharing(means, weight, order)
        expected |= {name: value.item(), f"{name}_null": null.mean().item(), f"{name}_null_sd": null.std().item()}
    means = class_means(outcome.clean_features, y, len(weight))
    moved = [[part[0] for part in permuted(means, weight, one)] for one in order.split(1)]
    nulls = {"margin_cas_null": torch.stack([margin_similarity(means, row) for row in rows]),
             "margin_cas_separation_null": torch.stack([margin_similarity(*pair) for pair in moved])}
    for name, null in nulls.items():
        expected |= {name: null.mean().item(), f"{name}_sd": null.std().item()}
    assert found == pytest.approx(expected, abs=1e-12)
    assert len({round(value, 6) for value in found.values()}) == len(found)  # no two of them are one quantity


def test_the_features_of_each_kind_are_permuted_once(problem, monkeypatch):
    """Of attacked images for sharing, and of clean ones for sharing and margin-CAS together."""
    calls = []
    for module in ("nulls", "cas_intervals"):
        monkeypatch.setattr(f"deep.evaluation.{module}.permuted",
                            lambda means, weight, order: (calls.append(means), permuted(means, weight, order))[1])
    cas_values(*problem, draws=2)
    assert len(calls) == 2 and not torch.equal(*calls)


def test_profile_by_loops(problem):
    outcome, weight = problem
    correlation = class_correlation(outcome.features, outcome.labels, weight)
    share, partner, cosine = class_profile(correlation)
    for i in range(K):
        others = {j: correlation[i, j].item() for j in range(K) if j != i}
        assert share[i].item() == pytest.approx(sum(max(value, 0) for value in others.values()), abs=1e-12)
        assert partner[i].item() == max(others, key=others.get)
        assert cosine[i].item() == max(others.values())
    assert share.sum().item() == pytest.approx(cas(correlation), abs=1e-12)


def test_a_class_that_shares_nothing():
    """The identity is no partner, and a negative cosine is no share."""
    share, partner, cosine = class_profile(torch.tensor([[1.0, -0.5, -0.1], [-0.5, 1, 0.2], [-0.1, 0.2, 1]]))
    assert (share.tolist(), partner.tolist()) == (pytest.approx([0, 0.2, 0.2]), [2, 2, 1])
    assert cosine[0].item() == pytest.approx(-0.1)
    for bad in (torch.ones(2, 3), torch.full((3, 3), torch.nan), torch.ones(1, 1)):
        with pytest.raises(ValueError, match="was given"):
            class_profile(bad)


def test_within_and_between_superclasses(problem):
    outcome, weight = problem
    groups = ("b", "a", "b", "a", "c")
    found = cas_values(outcome, weight, superclasses=groups)
    correlation = class_correlation(outcome.features, outcome.labels, weight).tolist()
    for name, same in (("cas_within", True), ("cas_between", False)):
        assert found[name] == pytest.approx(sum(
            max(correlation[i][j], 0) for i in range(K) for j in range(K)
            if i != j and (groups[i] == groups[j]) == same), abs=1e-12)
    for key in ("", "_null", "_excess"):
        assert found["cas_within" + key] + found["cas_between" + key] == pytest.approx(found["cas" + key], abs=1e-12)
    with pytest.raises(ValueError, match="2 superclasses were given for 5"):
        pairs_of(5, ("a", "b"))


def test_margin_cas_where_margins_vanish_and_at_any_scale(problem):
    """Two equal rows of W: their margin is zero, its cosine 0; by loops over triples. A common row of size 1e6."""
    outcome, weight = problem
    weight = weight.clone()
    weight[3] = weight[1]
    means = [outcome.clean_features[outcome.labels == i].mean(0) for i in range(K)]

    def cosine(a, b):
        size = (a @ a).sqrt() * (b @ b).sqrt()
        return (a @ b / size).item() if size > 0 else 0.0
    triples = [cosine((weight[i] - weight[j]) * means[i], (weight[m] - weight[j]) * means[m])
               for i in range(K) for m in range(K) for j in range(K) if len({i, m, j}) == 3]
    assert triples.count(0.0) > 5
    for scale, row in ((1.0, 0.0), (1e-200, 0.0), (1e200, 0.0), (1.0, 1e6)):
        found = margin_cas(outcome.clean_features * scale, outcome.labels, weight + row)
        assert found == pytest.approx(np.mean(triples), abs=1e-9)
    assert margin_cas(torch.zeros(3, 2), [0, 1, 2], torch.zeros(3, 2)) == 0


def test_margin_cas_of_two_hundred_classes_needs_little_memory():
    """K^3 d would be 2 GB even here (d = 32); the largest of the arrays has K^2 numbers."""
    from torch.profiler import ProfilerActivity, profile
    generator = torch.Generator().manual_seed(0)
    features, weight = torch.rand(400, 32, generator=generator), torch.randn(200, 32, generator=generator)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        margin_cas(features, torch.arange(400) % 200, weight)
    assert max(event.self_cpu_memory_usage for event in record.events()) <= 200 * 200 * 8


def test_resampled_means_are_means_of_images_of_their_class(problem):
    """Class i has 12 images whose first feature is 100 i + 0..11: a mean of 12 draws stays within its class."""
    labels = torch.arange(60) % K
    features = torch.zeros(60, D, dtype=torch.float64)
    features[:, 0] = 100.0 * labels + torch.arange(60) // K + 1
    samples, _ = samples_by_class(outcome_with(features, 3 * features, labels), torch.ones(K, D))
    adversarial, clean, instance = resampled_means(samples, 4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(clean, 3 * adversarial)  # one draw of images for all
    torch.testing.assert_close(instance[..., 0], torch.ones(4000, K, dtype=torch.float64))
    first = adversarial[..., 0] - 100 * torch.arange(K)
    assert first.min() >= 1 and first.max() <= 12
    torch.testing.assert_close(12 * first, (12 * first).round())  # shares are counts of 12
    torch.testing.assert_close(first.mean(0), torch.full((K,), 6.5, dtype=torch.float64), atol=0.08, rtol=0)
    torch.testing.assert_close(first.var(0), torch.full((K,), 143 / 12 / 12, dtype=torch.float64), atol=0, rtol=0.1)


@pytest.mark.slow
def test_basic_interval_by_hand(problem):
    """Two attacks: t - quantiles of t* - t, t* from a plain loop that gathers images; Monte Carlo error 5 %."""
    outcome, weight = problem
    other = outcome_with(outcome.features * 1.1 + 0.02, outcome.clean_features, outcome.labels)
    found = cas_intervals([outcome, other], weight, resamples=4000)["cas"]
    rng, drawn = np.random.default_rng(1), []
    for number in range(4000):
        one = (outcome, other)[number % 2]
        rows = torch.tensor(np.concatenate([rng.choice(np.arange(i, 60, K), 12) for i in range(K)]))
        drawn.append(cas(class_correlation(one.features[rows], one.labels[rows], weight)))
    values = [cas(class_correlation(one.features, one.labels, weight)) for one in (outcome, other)]
    low, high = np.quantile(drawn, [0.025, 0.975]) - np.mean(values)
    assert found == pytest.approx([values[0] - high, values[0] - low], abs=0.05 * (high - low))
    assert cas_interval([outcome, other], weight, resamples=4000) == found


def true_values(centres, weight):
    """CAS, its excess (over the null level of the same rows), gauge-fixed CAS and margin-CAS of exact class means."""
    found = cas_values(outcome_with(centres, centres, torch.arange(len(centres))), weight)
    return {name: found[name] for name in ("cas", "cas_excess", "cas_gauge_fixed", "margin_cas")}


@pytest.mark.slow
def test_intervals_cover_the_truth_where_percentiles_do_not():
    """Gaussian features with known class means, 60 images for each of 30 classes, 24 repeats of 200 resamples.

    CAS is 146, that of noisy means 140 with deviation 3. Seen in 24: basic intervals of CAS, excess, gauge-fixed
    CAS and margin-CAS cover 22 to 24 times; percentile ones of CAS once, of margin-CAS never.
    """
    generator = torch.Generator().manual_seed(3)
    classes, width, size, repeats = 30, 60, 60, 24
    centres = torch.rand(classes, width, generator=generator, dtype=torch.float64)
    weight = torch.randn(classes, width, generator=generator, dtype=torch.float64) + 0.5
    truth, labels = true_values(centres, weight), torch.arange(classes).repeat(size)
    basic, percentile = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for repeat in range(repeats):
        noise = torch.randn(classes * size, width, generator=generator, dtype=torch.float64)
        outcome = outcome_with(centres[labels] + noise, centres[labels] + noise, labels)
        values = cas_values(outcome, weight)
        for name, (low, high) in cas_intervals([outcome], weight, seed=repeat).items():
            if name in truth:
                basic[name] += low <= truth[name] <= high
                percentile[name] += 2 * values[name] - high <= truth[name] <= 2 * values[name] - low
    assert min(basic.values()) >= binom.ppf(0.005, repeats, 0.9), basic
    assert max(percentile["cas"], percentile["margin_cas"]) < 0.2 * repeats, percentile


@pytest.mark.slow
def test_the_null_level_has_its_own_error(problem):
    """One image a class: only the rows are random. The interval is mean +- 1.96 deviation/sqrt(draws)."""
    outcome, weight = problem
    alone = outcome_with(outcome.features[:K], outcome.clean_features[:K], outcome.labels[:K])
    values, found = cas_values(alone, weight), cas_intervals([alone], weight, resamples=20_000)
    half = 1.96 * values["cas_null_sd"] / 50 ** 0.5
    for name in ("cas_null", "cas_excess"):
        assert found[name] == pytest.approx([values[name] - half, values[name] + half], abs=0.05 * half)
    assert found["cas"] == pytest.approx([values["cas"]] * 2)


def test_intervals_shrink_with_the_number_of_images():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 6, generator=generator)
    widths = []
    for n in (100, 6400):
        labels = torch.arange(n) % 4
        features = torch.rand(n, 6, generator=generator) + torch.eye(4, 6)[labels]
        found = cas_intervals([outcome_with(features, features, labels)], weight)
        widths.append({name: high - low for name, (low, high) in found.items()})
    for name, width in widths[0].items():
        if name.endswith(("_null", "_excess")) or name.startswith("sharing"):
            continue  # the error of a null level's 50 draws stays
        assert width / widths[1][name] == pytest.approx(8, rel=0.5), name  # the square root of 64


def test_attacks_that_differ_widen_the_interval(problem):
    outcome, weight = problem
    far = outcome_with(outcome.features + torch.linspace(0, 20, D, dtype=torch.float64), outcome.clean_features,
                       outcome.labels)
    alone, both = (cas_intervals(outcomes, weight)["cas"] for outcomes in ([outcome], [outcome, far]))
    assert both[1] - both[0] > 1.5 * (alone[1] - alone[0])
    with pytest.raises(ValueError, match="different images"):
        cas_intervals([outcome, outcome_with(outcome.features, outcome.clean_features, outcome.labels.flip(0))], weight)
    with pytest.raises(ValueError, match="resamples = 1,"):
        cas_intervals([outcome, far], weight, resamples=1)


@pytest.mark.slow
def test_an_untrained_network_has_a_large_cas_and_no_excess(cifar):
    """PreActResNet-18 of width 16 on real images: over 30 draws of its last layer, CAS of 4 to 11 is all null level."""
    from torch import nn

    from deep.attacks.pgd import frozen
    from deep.data.dataset import as_float, load
    from deep.networks.classifier import Classifier, PreActResNet18
    data = load("cifar10", cifar, val_size=100)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(128, 10) for _ in range(30)]
        model = Classifier(PreActResNet18(16), layers[0], data.mean, data.std)
    rows = torch.cat([torch.nonzero(data.test.labels == label)[:20, 0] for label in range(10)])
    with frozen(model), torch.no_grad():
        features = model.features(as_float(data.test.images[rows]))
    found = [cas_values(outcome_with(features, features, data.test.labels[rows]), layer.weight) for layer in layers]
    values, excess = (np.array([one[name] for one in found]) for name in ("cas", "cas_excess"))
    spread = np.mean([one["cas_null_sd"] for one in found])
    assert values.min() > 3 and values.mean() > 5
    assert np.abs(excess).max() < 4 * spread
    assert abs(excess.mean()) < 4 * spread * np.sqrt(1 / 30 + 1 / 50)
    assert excess.std() == pytest.approx(spread, rel=0.5)
