"""Linear classifiers on images, whose robustness to linf and l2 attacks is known exactly, sample by sample."""

from fractions import Fraction

import torch
from torch import nn

from deep.networks.classifier import Classifier


def linear_problem(classes, scale=1.0, n=200, seed=0):
    """A linear classifier on pixels near 1/2, so that no box binds, and points on both sides of its boundaries."""
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(24, classes)
    with torch.no_grad():
        linear.weight.copy_(scale * torch.randn(classes, 24, generator=generator))
        linear.bias.copy_(-0.5 * linear.weight.sum(1))
    model = Classifier(nn.Flatten(), linear, (0.0,), (1.0,))
    x = 0.5 + 0.2 * (2 * torch.rand(n, 1, 4, 6, generator=generator) - 1)
    with torch.no_grad():
        y = model(x).argmax(1)
    y[::10] = (y[::10] + 1) % classes  # a tenth is wrong to begin with
    return model, x, y


def radius(model, x, y, norm):
    """min_j (f_y - f_j)/|W_y - W_j|_*: the exact distance to the nearest other class, in float64; < 0 if wrong."""
    weight, bias = model.linear.weight.detach().double(), model.linear.bias.detach().double()
    logits = x.double().flatten(1) @ weight.T + bias
    margins = logits.gather(1, y[:, None]) - logits
    differences = (weight[y][:, None] - weight[None]).norm(p=1 if norm == "linf" else 2, dim=2)
    return (margins / differences).masked_fill(nn.functional.one_hot(y, len(weight)).bool(), torch.inf).amin(1)


def median_eps(distances):
    return Fraction(distances[distances > 0].median().item()).limit_denominator(10_000)
