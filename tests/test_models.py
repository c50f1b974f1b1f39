"""The networks: the right PreActResNet-18 of the two that carry this name, and normalisation inside."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deep.models import Classifier, PreActBlock, PreActResNet18


@pytest.mark.parametrize(("width", "parameters"), [(64, 11_167_040), (16, 699_728)])
def test_size(width, parameters):
    """Convolutions 3->w, 4 x (w, w), then (w, 2w), (2w, 2w) x 3 and so on, shortcuts and norms; no linear layer."""
    body = PreActResNet18(width)
    counted = sum(parameter.numel() for parameter in body.parameters())
    w = [width, 2 * width, 4 * width, 8 * width]
    convolutions = 27 * w[0] + 4 * 9 * w[0] ** 2 + sum(9 * a * b + 3 * 9 * b * b + a * b
                                                       for a, b in pairwise(w))
    norms = 2 * (4 * w[0] + sum(a + 3 * b for a, b in pairwise(w)) + w[3])
    assert counted == convolutions + norms == parameters
    assert body(torch.zeros(2, 3, 32, 32)).shape == (2, 8 * width)


def test_the_shortcut_is_taken_after_the_first_batch_norm_and_relu():
    torch.manual_seed(0)
    block = PreActBlock(4, 8, 2).eval()
    x = torch.randn(2, 4, 8, 8)
    active = F.relu(block.bn1(x))
    expected = block.conv2(F.relu(block.bn2(block.conv1(active)))) + block.shortcut(active)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=0)
    assert not torch.allclose(block(x), expected - block.shortcut(active) + block.shortcut(x))
    same = PreActBlock(4, 4, 1).eval()
    assert same.shortcut is None
    torch.testing.assert_close(same(x) - same.conv2(F.relu(same.bn2(same.conv1(F.relu(same.bn1(x)))))), x,
                               rtol=0, atol=1e-6)


def network(**options):
    torch.manual_seed(0)
    return Classifier(PreActResNet18(4), nn.Linear(32, 10), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), **options).eval()


def test_normalisation_is_the_first_layer():
    model = network()
    x = torch.rand(2, 3, 32, 32)
    by_hand = torch.stack([(x[:, c] - mean) / std for c, (mean, std) in
                           enumerate(((0.4, 0.2), (0.5, 0.25), (0.6, 0.3)))], 1)
    torch.testing.assert_close(model.features(x), model.body(by_hand), rtol=0, atol=1e-6)
    torch.testing.assert_close(model(x), model.features(x) @ model.linear.weight.T + model.linear.bias)


def test_fast_arithmetic_is_the_same_network():
    """channels_last changes rounding only; bf16 keeps three digits, and the logits stay float32."""
    x = torch.rand(8, 3, 32, 32)
    plain, last, half = network()(x), network(channels_last=True)(x), network(bf16=True)(x)
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)
    assert half.dtype == torch.float32
    assert 0 < (half - plain).norm() / plain.norm() < 0.02
