"""The nulls of CAS: what they keep and destroy, against plain loops and networks whose sharing is known."""

from collections import Counter
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from deep.evaluation.accuracy import Outcome
from deep.evaluation.cas import cas, class_correlation, gauge_fixed, margin_similarity, null_cas, random_rows
from deep.evaluation.cas_intervals import cas_intervals, cas_values
from deep.evaluation.margins import margin_estimates, margins_of
from deep.evaluation.nulls import (
    both_margin_nulls,
    margin_nulls,
    permuted,
    random_permutations,
    sharing,
)
from tests.support.rooms import ROOT

K, WIDE = 10, 2048


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def separated(rho, seed=0):
    """(means, W) of classes that are apart by rho and share nothing: W_i independent, means 1 + sqrt(rho) W_i."""
    weight = normal(K, WIDE, seed=seed)
    return 1 + rho**0.5 * weight, weight


def shared(level, seed=0):
    """(means, W) where classes 2 i and 2 i + 1 have a part of their rows, `level` of the variance, in common."""
    own, pair = normal(K, WIDE, seed=seed), normal(K // 2, WIDE, seed=seed + 1).repeat_interleave(2, 0)
    weight = (1 - level)**0.5 * own + level**0.5 * pair
    return 1 + weight, weight


def test_permuting_by_hand():
    """Class by class and entry by entry; the pairs of a class move together, and both results are centred."""
    means, weight, order = normal(3, 5), normal(3, 5, seed=1), random_permutations(3, 5, 2)
    moved, rows = permuted(means, weight, order)
    common, centre = means.mean(0), weight.mean(0)
    for draw in range(2):
        deviations, entries = torch.zeros(3, 5).double(), torch.zeros(3, 5).double()
        for i in range(3):
            assert sorted(order[draw, i].tolist()) == list(range(5))
            for column in range(5):
                source = order[draw, i, column]
                deviations[i, column] = means[i, source] - common[source]
                entries[i, column] = weight[i, source] - centre[source]
        for found, part, level in ((moved, deviations, common), (rows, entries, 0)):
            torch.testing.assert_close(found[draw], level + 1.5**0.5 * (part - part.mean(0)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.1, 1.0, 10.0])
def test_separation_alone_is_no_sharing(rho):
    """CAS and its excess over random rows rise far above 0 where nothing is shared; sharing does not."""
    means, weight = separated(rho)
    labels = torch.arange(K)
    value = cas(class_correlation(means, labels, weight))
    assert abs(value - K * (K - 1) * rho / (1 + 3 * rho)) < 1  # THEORY.md, CAS-separation
    assert (value - null_cas(means, labels, weight)[0] > 4) == (rho > 0)
    found, _ = sharing(means, weight, random_permutations(K, WIDE, 20))
    assert abs(found.item()) < 0.4


def test_sharing_rises_with_what_pairs_of_classes_share():
    order = random_permutations(K, WIDE, 20)
    values = [sharing(*shared(level), order)[0].item() for level in (0.0, 0.2, 0.5, 0.8)]
    assert values == sorted(values) and abs(values[0]) < 0.3 and values[2] > 1 and values[3] > 3


@pytest.mark.slow
def test_an_interval_over_images_is_no_test_of_sharing():
    """Where nothing is shared it leaves out 0 in many networks; beside the null's spread none of them stands out."""
    labels, right, missed = torch.arange(10).repeat_interleave(50), torch.ones(500, dtype=torch.bool), 0
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(10, 64, generator=generator)
        features = 2 + weight[labels] + torch.randn(500, 64, generator=generator)
        outcome = Outcome(labels, right, right, features, features)
        values, (low, high) = cas_values(outcome, weight), cas_intervals([outcome], weight)["sharing"]
        missed += not low < 0 < high
        assert abs(values["sharing"]) < 3 * values["sharing_null_sd"]
    assert missed >= 4


def in_the_model(classes, design, r):
    """(means, W) of the model: class means where mu = 1, own features and then the shared ones."""
    own = torch.eye(classes, dtype=torch.float64)
    pairs = [[float(i in pair) for pair in combinations(range(classes), 2)] for i in range(classes)]
    common = 1 - own if design == "A" else torch.tensor(pairs, dtype=torch.float64)
    return torch.cat([own, common], 1), torch.cat([own, r * common], 1)


def sharing_of_three_classes(r):
    """Over all permutations of the six features, by class: 180 orders of six pairs, the same for each class.

    What all classes have in common is one number on the own features and one on the shared ones, so that the first
    class's order counts up to permutations within these two.
    """
    means, weight = (part.numpy() for part in in_the_model(3, "A", r))
    rows, common = weight - weight.mean(0), means.mean(0)
    pairs = [tuple(pair) for pair in np.round(np.stack([rows[0], (means - common)[0]], 1), 12)]
    orders = sorted(set(permutations(pairs)))
    firsts = Counter((*sorted(order[:3]), *sorted(order[3:])) for order in orders)
    assert len(orders) == firsts.total() == 180

    def positive(classes):
        return 2 * sum(np.maximum(0, (one * other).sum(-1) / np.maximum(
            np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1), 1e-300))
            for one, other in combinations(classes, 2))
    second, third = np.array(orders)[:, None], np.array(orders)[None]
    null = 0.0
    for first, count in firsts.items():
        centre = (np.array(first) + second + third) / 3
        moved = [1.5**0.5 * (one - centre) for one in (np.array(first), second, third)]  # (W, means) of each feature
        moved = [np.where(np.abs(one) < 1e-9, 0, one) for one in moved]
        null += positive([one[..., 0] * (common + one[..., 1]) for one in moved]).mean() * count / len(orders)
    return positive(rows * means) - null


@pytest.mark.slow
def test_sharing_in_the_model_is_what_the_theory_text_says():
    """Its table: three classes by all permutations, ten by these draws; in design B it falls where r grows."""
    text = (ROOT / "synthmodel" / "THEORY.md").read_text().split("**Sharing in the model**")[1].split("\n\n")[1]
    head, _, *rows = ([cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines())
    ratios = [float(Fraction(cell.strip("$"))) for cell in head[1:]]
    table = {name: [float(cell) for cell in cells] for name, *cells in rows}
    assert ratios[2:4] == [0.5, 1.0] and table["$K = 3$"] == [round(sharing_of_three_classes(r), 2) for r in ratios]
    for classes, design, draws in ((3, "A", 20_000), (10, "A", 20_000), (10, "B", 8000)):
        printed = table[f"$K = {classes}$" + f", design {design}" * (classes > 3)]
        for r, value in zip(ratios, printed, strict=True):
            means, weight = in_the_model(classes, design, r)
            found, null = sharing(means, weight, random_permutations(classes, means.shape[1], draws, seed=1))
            error = null.std().item() / draws**0.5
            assert error < 0.035 and abs(found.item() - value) < (0.005 + 4 * error if classes == 3 else 0.0501)
    assert max(printed) < 0 and printed[2] < printed[1] < printed[0]


def test_a_null_that_moves_rows_alone_would_take_separation_for_sharing():
    """A mutant: the means stay. Then the null loses the separation, and what is left looks like sharing."""
    means, weight = separated(1.0)
    order = random_permutations(K, WIDE, 20)
    rows = permuted(means, weight, order)[1]
    value = cas(class_correlation(means, torch.arange(K), gauge_fixed(weight)))
    mutant = value - torch.stack([torch.tensor(cas(class_correlation(means, torch.arange(K), row)))
                                  for row in rows]).mean().item()
    assert mutant > 10 and abs(sharing(means, weight, order)[0].item()) < 0.4


def test_a_common_row_changes_nothing():
    means, weight = shared(0.5)
    order = random_permutations(K, WIDE, 5)
    for function in (lambda w: sharing(means, w, order)[0], lambda w: margin_similarity(*permuted(means, w, order))):
        torch.testing.assert_close(function(weight + 7 * normal(WIDE, seed=5)), function(weight), rtol=1e-9, atol=1e-9)


def test_rows_that_share_nothing_have_a_margin_cas_of_up_to_one_half():
    """So that .40 to .44, what networks have, lies below both nulls and is no sign of sharing."""
    for rho in (0.0, 0.05, 0.1, 1.0):
        means, weight = separated(rho)
        random = margin_similarity(means.expand(5, K, WIDE), random_rows(weight, 5, seed=9)).mean().item()
        kept = margin_similarity(*permuted(means, weight, random_permutations(K, WIDE, 5))).mean().item()
        # THEORY.md, CAS-separation: 1/2, and less where the means are apart
        assert abs(random - 1 / (2 + 2 * rho)) < 0.02 and abs(kept - (1 + rho) / (2 + 4 * rho)) < 0.02


def test_margins_of_independent_scores_have_r_1():
    features, labels = normal(400, WIDE, seed=7), torch.arange(400) % K
    for rows in (random_rows(normal(K, WIDE), 5), permuted(normal(K, WIDE), normal(K, WIDE, seed=1),
                                                           random_permutations(K, WIDE, 5))[1]):
        found = margin_nulls(features, labels, rows)
        assert abs(found["rho"] - 0.5) < 0.05 and abs(found["r"] - 1) < 0.1
    assert margin_nulls(features, labels, torch.zeros(2, K, WIDE).double()) == {"rho": None, "r": None}


def test_the_null_of_margins_by_loops():
    """Each image's features move with its class's row; rho is that of `margin_estimates`, its mean over the draws."""
    features, weight = normal(36, 6, seed=4), normal(3, 6, seed=5)
    labels, order = torch.arange(36) % 3, random_permutations(3, 6, 2)
    rows = permuted(normal(3, 6), weight, order)[1]
    rho = 0.0
    for draw in range(2):
        margins = torch.zeros(36, 2).double()
        for n in range(36):
            i = int(labels[n])
            moved = torch.stack([features[n, column] for column in order[draw, i]])
            scores = [float(rows[draw, k] @ moved) for k in range(3)]
            margins[n] = torch.tensor([scores[i] - scores[k] for k in range(3) if k != i], dtype=torch.float64)
        rho += margin_estimates(margins, labels)["centred"]["rho"] / 2
    expected = {"rho": rho, "r": (1 / rho - 1) ** 0.5}
    assert margin_nulls(features, labels, rows, order) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("more", [0.0, 1.0, 3.0])
def test_the_second_null_of_margins_keeps_the_variance_of_the_own_score(more):
    """Along its own row an image varies by 1 + more: rho = (1 + more)/(2 + more) with nothing shared; 1/2 at random."""
    weight, labels = normal(K, WIDE), torch.arange(600) % K
    along = (weight / WIDE**0.5)[labels]  # of length about 1
    features = normal(600, WIDE, seed=7) + more**0.5 * normal(600, 1, seed=8) * along
    found = both_margin_nulls(features, labels, weight, draws=5)
    assert found["random"] == margin_nulls(features, labels, random_rows(weight, 5))
    own = margin_estimates(margins_of(features @ weight.T, labels), labels)["centred"]
    for rho, level in ((found["random"]["rho"], 1 / 2), (found["separation"]["rho"], (1 + more) / (2 + more)),
                       (own["rho"], (1 + more) / (2 + more))):
        assert abs(rho - level) < 0.06
    assert found["separation"]["r"] == pytest.approx((1 + more) ** -0.5, abs=0.12)


@pytest.mark.slow
def test_sharing_is_among_the_attributions_with_an_interval():
    """Of images around the means of classes that share, and of those that are separated alone."""
    for make, low, high in ((lambda: shared(0.5), 1.0, 30.0), (lambda: separated(1.0), -2.0, 1.5)):
        means, weight = make()
        labels = torch.arange(K).repeat_interleave(20)
        features = means[labels] + 0.1 * normal(len(labels), WIDE, seed=3)
        right = torch.ones(len(labels), dtype=torch.bool)
        outcome = Outcome(labels, right, right, features, features)
        values, intervals = cas_values(outcome, weight), cas_intervals([outcome], weight, resamples=40)
        assert low < values["sharing"] < high
        assert intervals["sharing"][0] < values["sharing"] < intervals["sharing"][1]
        assert values["sharing"] == pytest.approx(values["cas_gauge_fixed"] - values["sharing_null"])
        assert {"sharing_clean", "margin_cas_null", "margin_cas_separation_null"} <= set(intervals)
