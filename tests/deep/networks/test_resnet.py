"""Residual networks: their published sizes, and every layer against the same network written with functions."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deep.networks.classifier import PreActBlock, PreActResNet18, ResNet18, ResNetBlock, WideResNet


def size(body):
    return sum(parameter.numel() for parameter in body.parameters())


@pytest.mark.parametrize(("width", "parameters"), [(64, 11_167_040), (16, 699_728)])
def test_size_of_preactresnet18(width, parameters):
    """Convolutions 3->w, 4 x (w, w), then (w, 2w), (2w, 2w) x 3 and so on, shortcuts and norms; no linear layer."""
    body = PreActResNet18(width)
    w = [width, 2 * width, 4 * width, 8 * width]
    convolutions = 27 * w[0] + 4 * 9 * w[0] ** 2 + sum(9 * a * b + 3 * 9 * b * b + a * b
                                                       for a, b in pairwise(w))
    norms = 2 * (4 * w[0] + sum(a + 3 * b for a, b in pairwise(w)) + w[3])
    assert size(body) == convolutions + norms == parameters
    assert body(torch.zeros(2, 3, 32, 32)).shape == (2, 8 * width)


@pytest.mark.parametrize(("make", "features", "parameters", "millions"), [
    (PreActResNet18, 512, 11_172_170, "11.17"),
    (ResNet18, 512, 11_173_962, "11.17"),
    (lambda: WideResNet(28, 160), 640, 36_479_194, "36.48"),
    (lambda: WideResNet(34, 160), 640, 46_160_474, "46.16"),
    (lambda: WideResNet(40, 32), 128, 2_243_546, "2.24"),  # WRN-40-2: 2.2 M (Zagoruyko and Komodakis 2016)
    (lambda: WideResNet(16, 128), 512, 10_961_370, "10.96"),  # WRN-16-8: 11.0 M, ibid.
])
def test_published_sizes_with_ten_classes(make, features, parameters, millions):
    with torch.device("meta"):
        counted = size(make()) + 10 * features + 10
    assert counted == parameters
    assert f"{counted / 1e6:.2f}" == millions


@pytest.mark.parametrize(("body", "features"), [(ResNet18(4, 1), 32), (WideResNet(16, 4, 1), 16)])
@pytest.mark.parametrize("image", [(32, 32), (64, 64), (8, 12)])
def test_shapes(body, features, image):
    assert body(torch.zeros(2, 1, *image)).shape == (2, features)


def test_only_whole_blocks():
    with pytest.raises(ValueError, match="depth = 27 was given, but a wideresnet has 6 b"):
        WideResNet(27, 16)
    with pytest.raises(ValueError, match="depth = 4 was given"):
        WideResNet(4, 16)


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


class ByHand:
    """Convolutions and batch norms as functions of a list of weights, consumed in the order of the layers."""

    def __init__(self, body, train):
        self.weights = {name: value.clone() for name, value in body.state_dict().items()}
        self.train = train

    def conv(self, x, name, stride=1):
        weight = self.weights[name + ".weight"]
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)

    def norm(self, x, name):
        mean, var, gain, shift = (self.weights[f"{name}.{part}"][:, None, None]
                                  for part in ("running_mean", "running_var", "weight", "bias"))
        if self.train:
            mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * gain + shift

    def basic(self, x, at, stride):
        out = self.norm(self.conv(x, f"{at}.conv1", stride), f"{at}.bn1").relu()
        out = self.norm(self.conv(out, f"{at}.conv2"), f"{at}.bn2")
        if f"{at}.shortcut.0.weight" in self.weights:
            x = self.norm(self.conv(x, f"{at}.shortcut.0", stride), f"{at}.shortcut.1")
        return (out + x).relu()

    def preact(self, x, at, stride):
        active = self.norm(x, f"{at}.bn1").relu()
        out = self.conv(self.norm(self.conv(active, f"{at}.conv1", stride), f"{at}.bn2").relu(), f"{at}.conv2")
        return out + (self.conv(active, f"{at}.shortcut", stride) if f"{at}.shortcut.weight" in self.weights else x)

    def resnet18(self, x, strides=(1, 1, 2, 1, 2, 1, 2, 1)):
        x = self.norm(self.conv(x, "0"), "1").relu()
        for block, stride in enumerate(strides):
            x = self.basic(x, str(3 + block), stride)
        return x.mean((2, 3))

    def wideresnet16(self, x, strides=(1, 1, 2, 1, 2, 1)):
        x = self.conv(x, "0")
        for block, stride in enumerate(strides):
            x = self.preact(x, str(1 + block), stride)
        return self.norm(x, "7").relu().mean((2, 3))


def drawn(body):
    """In float64, with all of its norms' numbers drawn, so that none is hidden behind a 0 or a 1."""
    for name, value in body.double().state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and value.ndim == 1:
            value.normal_(0.5, 0.5)
    return body


@pytest.mark.parametrize("train", [False, True])
def test_resnet18_by_hand(train):
    torch.manual_seed(0)
    body, x = drawn(ResNet18(4)).train(train), torch.rand(3, 3, 16, 16, dtype=torch.float64)
    hand = ByHand(body, train)
    torch.testing.assert_close(body(x), hand.resnet18(x), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(body(x), hand.resnet18(x, (1, 1, 1, 1, 2, 1, 2, 1)))  # a stage that does not halve
    hand.weights["5.bn2.bias"] *= 1.01
    assert not torch.allclose(body(x), hand.resnet18(x), rtol=1e-6)


@pytest.mark.parametrize("train", [False, True])
def test_wideresnet_by_hand(train):
    torch.manual_seed(0)
    body, x = drawn(WideResNet(16, 8)).train(train), torch.rand(3, 3, 16, 16, dtype=torch.float64)
    hand = ByHand(body, train)
    torch.testing.assert_close(body(x), hand.wideresnet16(x), rtol=1e-10, atol=1e-10)
    hand.weights["3.shortcut.weight"] *= 1.01
    assert not torch.allclose(body(x), hand.wideresnet16(x), rtol=1e-6)


def test_the_post_activation_block_ends_in_relu_and_can_be_the_identity():
    block = ResNetBlock(4, 4, 1).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("make", [lambda: ResNet18(32), lambda: WideResNet(16, 64)])
def test_convolutions_are_drawn_as_he_et_al_say(make):
    """The deviation of each is sqrt(2/(k^2 outputs)), within five standard errors of a sample's deviation."""
    torch.manual_seed(0)
    for module in make().modules():
        if isinstance(module, nn.Conv2d):
            outputs, _, k, _ = module.weight.shape
            expected = (2 / (k * k * outputs)) ** 0.5
            assert abs(module.weight.std() / expected - 1) < 5 / (2 * module.weight.numel()) ** 0.5


def test_preactresnet18_draws_its_blocks_first():
    """A run of an earlier version is continued and repeated with the weights that it began with."""
    torch.manual_seed(0)
    body = PreActResNet18(4)
    torch.manual_seed(0)
    assert torch.equal(body[1].conv1.weight, PreActBlock(4, 4, 1).conv1.weight)
