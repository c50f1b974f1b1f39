"""r, k and the spread from margins: planted linear networks, the Gaussian model, and the theory's own estimator."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.data.planted import planted_images, sign_patterns
from deep.evaluation.accuracy import Outcome, measure
from deep.evaluation.margins import margin_estimates, wrong_class_margins
from deep.networks.classifier import Classifier
from synthmodel.claims.checks.samples import robust_margins
from synthmodel.flows.margin_estimates import estimates, expected_maximum
from synthmodel.model.setting import Setting


def agrees(found, margins, labels):
    """The two packages share no line; with labels the theory centres by class, without, all rows are one class."""
    for kind, given in (("plain", None), ("centred", np.asarray(labels))):
        theirs = estimates(np.asarray(margins), given, resamples=2)
        assert found[kind]["note"] is None
        for name in ("rho", "r", "k", "spread"):
            assert found[kind][name] == pytest.approx(theirs[name].value, rel=1e-9), (kind, name)


def planted(w1, w2, mu, sigma, eps, loss):
    """(margins, labels, correct) of 6,000 planted images under PGD on a linear network with weights (w1, w2)."""
    data = planted_images(mu, sigma, 2, 30, 30, seed=0)
    weight = torch.cat([w1 * torch.eye(3), w2 * (1 - torch.eye(3))], 1) @ sign_patterns(2).flatten(1) / 4
    model = Classifier(nn.Flatten(), nn.Linear(24, 3, bias=False), data.mean, data.std)
    model.linear.weight.data = weight
    outcome = measure(model, data.test, Attack(eps, Fraction(1, 10), 10, False, None, loss), seed=0, batch=6000)
    return wrong_class_margins(outcome, model.linear), outcome.labels, outcome.robust


@pytest.mark.parametrize(("w1", "w2", "mu", "sigma", "eps"), [
    (1.0, 0.5, 1.0, 0.5, Fraction(1, 5)), (2.0, 0.3, 1.0, 0.4, Fraction(1, 10)), (0.7, 0.9, 1.2, 0.5, Fraction(0))])
def test_planted_linear_networks(w1, w2, mu, sigma, eps):
    """Cross-entropy's attack moves every feature: r = w2/w1, k = (mu - 2 eps)/sigma, spread = w2 sigma/sqrt(pi)."""
    margins, labels, correct = planted(w1, w2, mu, sigma, eps, "cross-entropy")
    found = margin_estimates(margins, labels)
    assert found["centred"]["r"] == pytest.approx(w2 / w1, rel=0.05)
    assert found["centred"]["k"] == pytest.approx((mu - 2 * eps) / sigma, rel=0.05)
    assert found["centred"]["spread"] == pytest.approx(w2 * sigma / math.sqrt(math.pi), rel=0.05)
    assert ((margins > 0).all(1) == correct).all()  # the sign: an image is right where all its margins are positive
    agrees(found, margins, labels)


def test_an_attack_on_the_smallest_margin_raises_r():
    """It lowers m_j by 2 eps (w1 + w2), the other margin by half of that: margins drift apart, r = 0.3/2 reads 0.35."""
    setting = (2.0, 0.3, 1.0, 0.4, Fraction(1, 10))
    one, all_of_them = (margin_estimates(*planted(*setting, loss)[:2])["centred"]["r"]
                        for loss in ("margin", "cross-entropy"))
    assert all_of_them == pytest.approx(0.15, rel=0.05)
    assert one > 2 * all_of_them


@pytest.mark.parametrize(("classes", "r", "k"), [(3, 0.6, 1.2), (3, 1.0, 2.0), (10, 0.4, 1.5), (10, 0.8, 0.7)])
def test_design_a_against_closed_forms(classes, r, k):
    """m_j = w1 e + w2 c_j with e, c_j ~ N(k s, s^2): each number within four standard errors, found by 20 repeats."""
    rng, w1, s, n = np.random.default_rng(0), 2.0, 0.5, 4000
    truth = {"rho": 1 / (1 + r * r), "r": r, "k": k, "spread": w1 * r * s * expected_maximum(classes - 1)}
    repeats = []
    for _ in range(20):
        margins = w1 * s * (rng.normal(k, 1, (n, 1)) + r * rng.normal(k, 1, (n, classes - 1)))
        labels = torch.arange(n) % classes
        repeats.append(margin_estimates(margins, labels))
    agrees(repeats[-1], margins, labels)
    for kind in ("plain", "centred"):
        for name, value in truth.items():
            values = np.array([one[kind][name] for one in repeats])
            # the population variance of classes of n/K images makes k too large by K/(2 n)
            slack = value * classes / n if name == "k" else 0
            assert abs(values.mean() - value) < 4 * values.std() / math.sqrt(20) + slack, (kind, name)
            assert abs(values.mean() - value) < 0.05 * value


def test_attacked_model_at_the_worst_vertex():
    """The model of THEORY.md, section 0, attacked by brute force at 64 vertices: k = (mu - 2 eps)/sigma = 1.2."""
    margins, labels = robust_margins(Setting(1, 0.5), 0.2, 2.0, 1.2, 20_000, np.random.default_rng(0))
    found = margin_estimates(margins, labels)
    assert found["centred"]["r"] == pytest.approx(0.6, rel=0.03)
    assert found["centred"]["k"] == pytest.approx(1.2, rel=0.03)
    agrees(found, margins, labels)


def test_moments_by_numpy():
    """Classes of unequal size, columns of unequal mean and variance; population covariances, weighted by size."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [12, 20, 40])
    margins = rng.normal(3, 1, (72, 1)) + rng.normal(2, 0.7, (72, 4)) * [1, 2, 1, 1] + [0, 5, 0, 1] + labels[:, None]
    found = margin_estimates(margins, labels)
    covariance = sum((labels == i).mean() * np.cov(margins[labels == i].T, bias=True) for i in range(3))
    for kind, matrix in (("centred", covariance), ("plain", np.cov(margins.T, bias=True))):
        variance = np.trace(matrix) / 4
        rho = (matrix.sum() - np.trace(matrix)) / 12 / variance
        r = math.sqrt(1 / rho - 1)
        expected = {"rho": rho, "r": r, "k": margins.mean() / math.sqrt(variance) * math.sqrt(1 + r * r) / (1 + r),
                    "spread": np.mean(margins.mean(1) - margins.min(1))}
        assert found[kind].pop("note") is None
        assert found[kind] == pytest.approx(expected, rel=1e-12)


def test_difficulty():
    """A shift of a whole class leaves the centred r, lowers the plain one; a shift of single images lowers both."""
    rng = np.random.default_rng(0)
    labels = np.arange(3000) % 3
    margins = rng.normal(1, 1, (3000, 1)) + 0.6 * rng.normal(1, 1, (3000, 2))
    own, hard = margin_estimates(margins, labels), margin_estimates(margins + 3.0 * labels[:, None], labels)
    assert hard["centred"]["r"] == pytest.approx(own["centred"]["r"], rel=1e-9)
    assert hard["plain"]["r"] < 0.6 * own["plain"]["r"]
    noisy = margin_estimates(margins + rng.normal(0, 1, (3000, 1)), labels)["centred"]
    assert noisy["r"] == pytest.approx(0.6 / math.sqrt(2), rel=0.06)  # r^2 = w2^2 s^2/(w1^2 s^2 + var g)


def test_no_number_where_there_is_none():
    rng = np.random.default_rng(0)
    opposed = rng.normal(1, 1, (300, 1)) * [1, -1] + 0.3 * rng.normal(size=(300, 2))
    for margins, word in ((opposed, "not positively correlated"), (np.full((300, 2), 0.1), "the same margins")):
        for found in margin_estimates(margins, np.arange(300) % 3).values():
            assert (found["r"], found["k"]) == (None, None)
            assert word in found["note"]
            assert math.isfinite(found["spread"])
    equal = rng.normal(2, 1, (300, 1)) * np.ones((1, 2))  # no cross-class weight: rho = 1
    found = margin_estimates(equal, np.arange(300) % 3)["centred"]
    assert found["r"] == pytest.approx(0, abs=1e-6)
    assert found["k"] == pytest.approx(2, rel=0.1)


def test_margins_follow_from_features():
    """Those of the network itself, run once more on the attacked images (here: not attacked), bias included."""
    torch.manual_seed(0)
    model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU()), nn.Linear(6, 4), (0.0,), (1.0,))
    split = Split(torch.rand(40, 1, 3, 4), torch.arange(40) % 4)
    outcome = measure(model, split, Attack(0, 0, 1, False), seed=0)
    scores = model(split.images).detach()
    found = wrong_class_margins(outcome, model.linear)
    for n in range(40):
        y = n % 4
        expected = [(scores[n, y] - scores[n, j]).item() for j in range(4) if j != y]
        assert found[n].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("margins", "labels", "sentence"), [
    (torch.ones(50, 1), torch.zeros(50).long(), "two or more wrong classes"),
    (torch.ones(50), torch.zeros(50).long(), "two or more wrong classes"),
    (torch.full((50, 2), torch.nan), torch.zeros(50).long(), "finite numbers"),
    (torch.ones(50, 2), torch.zeros(49).long(), "were given"),
    (torch.ones(0, 2), torch.zeros(0).long(), "were given"),
    (torch.ones(50, 2), torch.arange(50), "at least 10")])
def test_refusals(margins, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        margin_estimates(margins, labels)


def test_scores_that_are_no_numbers_are_refused():
    linear, labels = nn.Linear(2, 3), torch.tensor([0, 1])
    for features, given, sentence in ((torch.full((2, 2), torch.inf), labels, "not finite"),
                                      (torch.ones(2, 2), labels + 2, "outside 0..2")):
        with pytest.raises(ValueError, match=sentence):
            wrong_class_margins(Outcome(given, labels == 0, labels == 0, features, features), linear)
