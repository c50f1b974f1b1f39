"""Convolutions as matrix products: torch's values and gradients in float64, and used where they are meant to be."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import deep.convolution as module
from deep.convolution import Conv2d, WindowProduct, conv2d, windows


def tensors(side, size, bias, dtype=torch.float64):
    generator = torch.Generator().manual_seed(side + size)
    shapes = [(3, 4, side, side), (5, 4, size, size)] + [(5,)] * bias
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("side", "size", "stride", "padding"), [(4, 3, 1, 1), (8, 3, 2, 1), (8, 1, 2, 0), (5, 3, 1, 0),
                                                                (5, 3, 2, 1), (7, 5, 1, 2), (6, 2, 1, 1), (4, 1, 1, 0)])
def test_values_and_gradients_are_those_of_torch(side, size, stride, padding, bias):
    results = []
    for function in (WindowProduct.apply, F.conv2d):
        x, weight, *rest = tensors(side, size, bias)
        out = function(x, weight, rest[0] if bias else None, stride, padding)
        probe = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view(out.shape).sin()
        results.append((out, *torch.autograd.grad((probe * out).sum(), [x, weight, *rest])))
    for ours, torchs in zip(*results, strict=True):
        assert torchs.abs().max() > 0.1
        torch.testing.assert_close(ours, torchs, rtol=0, atol=1e-12)


def test_windows_by_hand():
    x = torch.arange(1.0, 9.0).view(1, 2, 2, 2)  # channels (1 2; 3 4) and (5 6; 7 8)
    rows = windows(x, 2, 1, 1)
    assert rows.shape == (9, 8)
    assert rows[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 5]
    assert rows[4].tolist() == [1, 5, 2, 6, 3, 7, 4, 8]
    assert rows[7].tolist() == [3, 7, 4, 8, 0, 0, 0, 0]


def used(monkeypatch):
    calls = []
    apply = WindowProduct.apply
    monkeypatch.setattr(module.WindowProduct, "apply", lambda *arguments: calls.append(1) or apply(*arguments))
    return calls


def test_only_small_images_in_bfloat16_on_a_cpu(monkeypatch):
    calls = used(monkeypatch)
    cases = [(4, torch.bfloat16, {}, 1), (8, torch.bfloat16, {"stride": (2, 2)}, 1), (8, torch.bfloat16, {}, 0),
             (4, torch.float32, {}, 0), (4, torch.bfloat16, {"dilation": (2, 2)}, 0),
             (4, torch.bfloat16, {"stride": (1, 2)}, 0)]
    for side, dtype, options, expected in cases:
        x, weight = tensors(side, 3, False, dtype)
        options = {"padding": (1, 1)} | options
        torch.testing.assert_close(conv2d(x, weight, **options), F.conv2d(x, weight, **options), rtol=0.02, atol=0.05)
        assert len(calls) == expected
        calls.clear()


def test_the_layer_under_autocast_and_its_weight_gradient_in_float32(monkeypatch):
    calls = used(monkeypatch)
    layer, torchs = Conv2d(4, 5, 3, 1, 1), nn.Conv2d(4, 5, 3, 1, 1)
    torchs.load_state_dict(layer.state_dict())
    x = tensors(4, 3, False, torch.float32)[0]
    for network in (layer, torchs):
        with torch.autocast("cpu", torch.bfloat16):
            out = network(x)
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
    assert len(calls) == 1
    assert layer.weight.grad.dtype == torch.float32
    for ours, theirs in zip(layer.parameters(), torchs.parameters(), strict=True):
        assert (ours.grad - theirs.grad).norm() < 0.02 * theirs.grad.norm()
    assert torch.equal(layer(x), torchs(x)) and len(calls) == 1  # float32: torch's own
