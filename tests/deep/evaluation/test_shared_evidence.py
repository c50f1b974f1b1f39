"""The share of evidence that classes share: closed forms of the three-class model, plain loops, invariances."""

import numpy as np
import pytest
import torch

from deep.data.planted import sample_features
from deep.evaluation.cas import class_correlation, gauge_fixed
from deep.evaluation.saliency.shared_evidence import (
    class_shares,
    common_partners,
    null_shares,
    overlap,
    profiles,
    scaled,
    shared_fraction,
    shares_interval,
    summary,
)

OWN = torch.eye(3, dtype=torch.float64)


def three_class_weight(r):
    return 0.7 * torch.cat([OWN, r * (1 - OWN)], 1)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 5
    features = torch.randn(60, 7, generator=generator, dtype=torch.float64) + 0.5  # of both signs
    weight = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    return features, labels, weight


@pytest.mark.parametrize("r", [0.0, 0.3, 1.0, 2.5])
def test_three_class_model_in_closed_form(r):
    x, y = sample_features(300_000, 1.0, 0.5, torch.Generator().manual_seed(1))
    found = profiles(x, y, three_class_weight(r))
    _, with_partner, with_any = class_shares(found)
    # 100,000 images a class: a mean of N(1, 1/4) is within 0.008 (five deviations); E[N^+] is a factor of all features
    torch.testing.assert_close(with_partner, torch.full((3,), r / (1 + 2 * r), dtype=torch.float64), atol=0.008, rtol=0)
    torch.testing.assert_close(with_any, torch.full((3,), 2 * r / (1 + 2 * r), dtype=torch.float64), atol=0.008, rtol=0)
    # with centred rows E_i has the weight 2/3, C_j has r/3
    exact = profiles(torch.cat([OWN, 1 - OWN], 1), [0, 1, 2], gauge_fixed(three_class_weight(r)))
    expected = torch.full((3,), r / (2 + 2 * r), dtype=torch.float64)
    torch.testing.assert_close(class_shares(exact)[1], expected, atol=1e-12, rtol=0)


def test_by_loops(problem):
    features, labels, weight = (np.asarray(part) for part in problem)
    found = profiles(*problem)
    shares, pairs = class_shares(found), overlap(found)
    table = []
    for i in range(5):
        mean = np.zeros(14)
        for h in features[labels == i]:
            for f in range(7):
                mean[f + 7 * (h[f] < 0)] += max(h[f] * weight[i, f], 0)
        table.append(mean / mean.sum())
    for i in range(5):
        row = [sum(min(a, b) for a, b in zip(table[i], table[j], strict=True)) for j in range(5)]
        assert pairs[i].tolist() == pytest.approx(row, abs=1e-12)
        others = {j: row[j] for j in range(5) if j != i}
        partner = max(others, key=others.get)
        any_other = sum(min(a, max(table[j][f] for j in others)) for f, a in enumerate(table[i]))
        assert shares[0][i] == partner
        assert [shares[1][i].item(), shares[2][i].item()] == pytest.approx([others[partner], any_other], abs=1e-12)


def test_one_minus_total_variation(problem):
    found = profiles(*problem)
    distance = (found[:, None] - found[None]).abs().sum(2) / 2
    torch.testing.assert_close(overlap(found), 1 - distance, atol=1e-12, rtol=0)


def test_zero_for_disjoint_and_one_for_equal_attributions():
    features, labels = torch.rand(40, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64), [0, 1] * 20
    disjoint = torch.tensor([[1.0, 2, 3, 0, 0, -1], [-1, 0, 0, 2, 1, 0]])
    assert torch.equal(overlap(profiles(features, labels, disjoint)), torch.eye(2, dtype=torch.float64))
    equal = profiles(torch.ones(40, 6), labels, torch.tensor([[1.0, 2, 3, 0, 0, -1]]).repeat(2, 1))
    torch.testing.assert_close(overlap(equal), torch.ones(2, 2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_neither_the_scale_of_scores_nor_that_of_features_matters_but_a_common_row_does(problem):
    features, labels, weight = problem
    base = overlap(profiles(features, labels, weight))
    diagonal = torch.rand(7, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.1
    for same in (profiles(features, labels, 17 * weight), profiles(features * diagonal, labels, weight / diagonal)):
        torch.testing.assert_close(overlap(same), base, atol=1e-12, rtol=0)
    assert (overlap(profiles(features, labels, weight + 1)) - base).abs().max() > 0.1
    centred = overlap(profiles(features, labels, gauge_fixed(weight)))
    torch.testing.assert_close(overlap(profiles(features, labels, gauge_fixed(weight + 1))), centred)


def test_images_add_up_to_their_class(problem):
    """Weighted by its positive evidence, the mean over class i of what an image shares with j is O_ij."""
    features, labels, weight = problem
    found = profiles(*problem)
    for i in range(5):
        for j in range(5):
            fraction, total, common = shared_fraction(found[i], found[j]), 0.0, 0.0
            for h in features[labels == i]:
                for f, a in enumerate(h * weight[i]):
                    total += max(a.item(), 0)
                    common += max(a.item(), 0) * fraction[f + 7 * int(h[f] < 0)].item()
            assert common / total == pytest.approx(overlap(found)[i, j].item(), abs=1e-12)


def test_presence_and_absence_of_a_feature_are_two_features():
    """A feature that says 0 where it is there and 1 where it is not is no common evidence, though cos(A_0, A_1) = 1."""
    features, weight = torch.tensor([[1.0, 2.0], [-1.0, -2.0]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert class_correlation(features, [0, 1], weight)[0, 1].item() == pytest.approx(1)
    assert overlap(profiles(features, [0, 1], weight))[0, 1] == 0


def test_nonnegative_features_have_the_papers_class_attributions(problem):
    features, labels, weight = problem
    features = features.abs()
    means = torch.stack([(features[labels == i] * weight[i]).mean(0) for i in range(5)]).clamp(min=0)
    torch.testing.assert_close(profiles(features, labels, weight)[:, :7] + profiles(features, labels, weight)[:, 7:],
                               means / means.sum(1, keepdim=True), atol=1e-12, rtol=0)


@pytest.mark.slow
def test_the_null_level_where_it_is_known():
    """One feature and two classes: both random weights are positive in a quarter of the draws, and then all is shared.

    Two features: the two rows are positive together in a quarter on each; with positive parts (g, g') independent
    of (k, k'), the mean is computed below on its own draws.
    """
    one = null_shares([[1.0], [1.0]], [0, 1], [[1.0], [1.0]], draws=2000)[0]
    assert one.shape == (2000, 2)
    assert one[:, 0].mean().item() == pytest.approx(0.25, abs=5 * (3 / 16 / 2000) ** 0.5)
    # a feature that each class has in one image and lacks in another: shared if the weights have the same sign
    signed = null_shares([[1.0], [-1.0], [1.0], [-1.0]], [0, 0, 1, 1], torch.ones(2, 1), draws=2000)[0]
    assert signed[:, 0].mean().item() == pytest.approx(0.5, abs=5 * (1 / 4 / 2000) ** 0.5)
    rows = np.random.default_rng(0).standard_normal((300_000, 2, 2)).clip(min=0)
    rows /= np.maximum(rows.sum(2, keepdims=True), 1e-300)
    expected = rows.min(1).sum(1).mean()
    two = null_shares([[1.0, 1.0], [2.0, 2.0]], [0, 1], torch.ones(2, 2), draws=2000)[0][:, 0]
    assert two.mean().item() == pytest.approx(expected, abs=5 * two.std().item() / 2000 ** 0.5)


def test_the_level_for_a_last_layer_drawn_at_random_is_the_null_level():
    generator = torch.Generator().manual_seed(5)
    features, labels = torch.rand(100, 50, generator=generator), torch.arange(100) % 10
    levels, _ = null_shares(features, labels, torch.ones(10, 50))
    drawn = class_shares(profiles(features, labels, torch.randn(10, 50, generator=generator)))[1]
    assert abs(drawn.mean() - levels.mean()) < 4 * levels.mean(1).std()
    assert levels.mean() > 0.3


@pytest.mark.slow
def test_the_interval_holds_the_share_in_95_of_100_samples():
    partner, held = torch.tensor([1, 2, 0]), []
    for seed in range(50):
        x, y = sample_features(150, 1.0, 0.5, torch.Generator().manual_seed(seed))
        low, high = shares_interval(x, y, three_class_weight(0.5), partner).T
        held += ((low < 0.25) & (high > 0.25)).tolist()
    assert 0.86 < sum(held) / len(held) <= 0.99  # 95 % with three deviations below it


def test_the_interval_shrinks_with_the_square_root_of_n():
    widths = []
    for n in (300, 30_000):
        x, y = sample_features(n, 1.0, 0.5, torch.Generator().manual_seed(4))
        low, high = shares_interval(x, y, three_class_weight(0.5), torch.tensor([1, 2, 0])).T
        widths.append((high - low).mean().item())
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.3)


def test_the_interval_is_of_the_given_pair(problem):
    interval = shares_interval(*problem, torch.tensor([1, 0, 3, 2, 0])).tolist()
    assert interval[0] == interval[1]
    assert interval[2] == interval[3]
    assert interval[0] != interval[2]


def test_partners_are_chosen_over_all_checkpoints():
    first = torch.tensor([[1.0, 0.5, 0.1], [0.5, 1, 0.2], [0.1, 0.2, 1]])
    second = torch.tensor([[1.0, 0.1, 0.6], [0.1, 1, 0.2], [0.6, 0.2, 1]])
    assert common_partners([first]).tolist() == [1, 0, 1]
    assert common_partners([first, second]).tolist() == [2, 0, 0]


def test_summary_is_of_the_given_partner(problem):
    partner = torch.tensor([1, 2, 3, 4, 0])
    result = summary(*problem, partner)
    found = profiles(*problem)
    for i in range(5):
        assert result["share"][i] == result["overlap"][i][partner[i]]
        assert result["own_partner"][i] == class_shares(found)[0][i]
    centred = overlap(profiles(*problem[:2], gauge_fixed(problem[2])))
    assert result["share_gauge_fixed"] == [centred[i, partner[i]].item() for i in range(5)]
    assert result["with_any"] == class_shares(found)[2].tolist()
    assert all(low <= high for low, high in result["interval"])


def test_a_class_without_positive_evidence_shares_nothing(problem):
    features, labels, weight = problem
    weight = weight.clone()
    weight[2] = -1
    result = summary(features.abs(), labels, weight, torch.tensor([2, 2, 0, 2, 2]))
    assert result["share"] == [0.0] * 5
    assert scaled(features.abs() * weight[2]).tolist() == [[0.0] * 7] * 60
    assert np.isfinite(result["null"]).all()


@pytest.mark.parametrize(("features", "labels", "sentence"), [
    (torch.full((2, 2), torch.nan), [0, 1], "finite"), (torch.ones(2, 2), [0, 0], "at least once"),
    (torch.ones(2, 3), [0, 1], "must be")])
def test_bad_input_never_yields_a_share(features, labels, sentence):
    for of in (profiles, null_shares):
        with pytest.raises(ValueError, match=sentence):
            of(features, labels, torch.ones(2, 2))
