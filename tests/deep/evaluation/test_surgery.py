"""Last-layer surgery on networks whose features are known: which body and which layer each number is of."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

import deep.evaluation.accuracy
from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.evaluation.surgery import last_layer_surgery, refitted
from deep.networks.classifier import Classifier

NONE = Attack(Fraction(0), Fraction(0), 0, random_start=False)
EYE = torch.eye(3)


class Chosen(nn.Module):
    """The features are some of the pixels."""

    def __init__(self, *places):
        super().__init__()
        self.places = list(places)

    def forward(self, x):
        return x.flatten(1)[:, self.places]


def network(places, weight):
    model = Classifier(Chosen(*places), nn.Linear(3, 3, bias=False), (0.0,), (1.0,))
    model.linear.weight.data.copy_(weight)
    return model.eval()


def images(n, seed):
    """Pixels 0 to 2 name the class, pixel 3 is a constant."""
    labels = torch.arange(n) % 3
    pixels = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed)) / 4
    pixels[torch.arange(n), labels] += 0.5
    return Split(pixels.view(n, 1, 2, 2), labels)


def test_a_layer_is_fitted_as_logistic_regression_is():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(40, 2)), generator.integers(3, size=40)

    def loss(values):
        scores = features @ values[:6].reshape(3, 2).T + values[6:]
        return np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(40), labels]) + (values[:6]**2).sum() / 80
    weight, bias = refitted(torch.tensor(features), torch.tensor(labels), 3)
    found = minimize(loss, np.zeros(9), tol=1e-10)
    np.testing.assert_allclose(weight.flatten(), found.x[:6], atol=1e-4)
    np.testing.assert_allclose(bias - bias.mean(), found.x[6:] - found.x[6:].mean(), atol=1e-4)
    with pytest.raises(ValueError, match="no samples"):
        refitted(torch.zeros(0, 2), torch.zeros(0).long(), 3)


def test_which_body_and_which_layer():
    """The early body sees its classes in the order 1, 2, 0, with a layer that knows; the late one in order."""
    early, late = network((1, 2, 0), EYE[[2, 0, 1]]), network((0, 1, 2), EYE)
    found = last_layer_surgery(early, late, images(30, 0), images(24, 1), NONE)
    accuracies = {name: values["robust"] for name, values in found.items()}
    assert accuracies == {"early body, late layer": 0, "late body, early layer": 0, "early body, refitted layer": 1,
                          "late body, refitted layer": 1}
    assert all(values["clean"] == values["robust"] for values in found.values())
    with torch.no_grad():
        assert (late(images(24, 1).images).argmax(1) == images(24, 1).labels).all()  # left as it was


def test_the_attacks_gradients_have_the_precision_that_was_asked_for(monkeypatch):
    seen = []

    def folded(model, dtype=None):
        seen.append(dtype)
        return model
    monkeypatch.setattr(deep.evaluation.accuracy, "folded", folded)
    last_layer_surgery(network((0, 1, 2), EYE), network((0, 1, 2), EYE), images(30, 0), images(24, 1), NONE,
                       torch.bfloat16)
    assert seen == 6 * [torch.bfloat16]


def test_a_body_that_has_forgotten_is_not_mended():
    early, late = network((0, 1, 2), EYE), network((3, 3, 3), EYE)
    found = last_layer_surgery(early, late, images(30, 0), images(24, 1), NONE)
    assert found["early body, late layer"]["robust"] == 1 and found["late body, early layer"]["robust"] == 1 / 3
    assert found["early body, refitted layer"]["robust"] == 1 > 0.7 > found["late body, refitted layer"]["robust"]
    few = last_layer_surgery(early, late, images(2, 0), images(24, 1), NONE)
    assert set(few) == {"early body, late layer", "late body, early layer"}
