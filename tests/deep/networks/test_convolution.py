"""Convolutions as matrix products: torch's values and gradients in float64, and used where they are meant to be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import deep.networks.convolution as module
from deep.networks.classifier import Classifier
from deep.networks.convolution import Conv2d, WindowProduct, conv2d, windows


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


# The weight gradients of strided 1x1 convolutions in channels_last, printed as the largest relative errors against
# float64, where torch has no kernel of its own: the layer of this package, and torch's in an outside network.
STRIDED = """
import copy, itertools, torch
from torch import nn
from deep.networks.convolution import Conv2d
from deep.networks.classifier import Classifier

def worst(network, x, dtype):
    exact, channels = copy.deepcopy(network).double(), x.contiguous(memory_format=torch.channels_last)
    network = network.to(dtype, memory_format=getattr(network, "memory_format", torch.channels_last))
    for _ in range(3):
        network.zero_grad()
        network(channels.to(dtype)).sin().sum().backward()
    exact(x.to(dtype).double()).sin().sum().backward()
    return max(((ours.grad - theirs.grad).abs().max() / theirs.grad.abs().max()).item()
               for ours, theirs in zip(network.parameters(), exact.parameters()))

torch.manual_seed(0)
errors = {torch.float32: [], torch.bfloat16: []}
for dtype, side, channels, out in itertools.product(errors, (16, 65, 96), (3, 15), (4,)):
    x = torch.rand(2, channels, side, side)
    errors[dtype].append(worst(Conv2d(channels, out, 1, stride=2, bias=False), x, dtype))
    if dtype == torch.float32:
        layers = nn.Conv2d(channels, out, 1, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        outside = Classifier(nn.Sequential(*layers), nn.Linear(4 * out, 3), (0.0,), (1.0,), channels_last=True)
        errors[dtype].append(worst(outside, x, dtype))
print(*map(max, errors.values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["DEFAULT", "AVX2"])
def test_strided_1x1_convolutions_of_few_channels_do_not_crash(instructions):
    """In a process of its own: where torch's kernel is used, it writes outside its memory, and the process dies."""
    done = subprocess.run([sys.executable, "-c", STRIDED], capture_output=True, text=True, timeout=240, check=False,
                          env=os.environ | {"ONEDNN_MAX_CPU_ISA": instructions}, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done
    single, half = map(float, done.stdout.split())
    assert single < 1e-4 and half < 0.1


def test_a_strided_1x1_convolution_of_few_channels_is_that_of_every_stride_th_pixel():
    for channels, stride, groups in ((3, (2, 2), 1), (8, (2, 3), 2), (15, (1, 4), 5)):
        generator = torch.Generator().manual_seed(channels)
        x = torch.randn(2, channels, 9, 7, generator=generator, dtype=torch.float64)
        weight = torch.randn(10, channels // groups, 1, 1, generator=generator, dtype=torch.float64)
        for bias in (None, torch.arange(10.0, dtype=torch.float64)):
            torch.testing.assert_close(conv2d(x, weight, bias, stride, groups=groups),
                                       F.conv2d(x, weight, bias, stride, groups=groups), rtol=0, atol=1e-12)


def test_a_network_with_a_layer_of_torchs_that_overruns_is_computed_contiguously():
    def layout(*layers):
        return Classifier(nn.Sequential(*layers), nn.Linear(4, 3), (0.0,), (1.0,), channels_last=True).memory_format

    assert layout(nn.ReLU(), nn.Sequential(nn.Conv2d(15, 4, 1, stride=(1, 2)))) == torch.contiguous_format
    for sound in (nn.Conv2d(16, 4, 1, stride=2), nn.Conv2d(15, 4, 1), nn.Conv2d(15, 4, 3, 2), Conv2d(15, 4, 1, 2)):
        assert layout(sound) == torch.channels_last
