"""The folded network: the scores and image gradients of the plain one in eval mode, to rounding, at all times."""

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deep.attacks.pgd import Attack, frozen, pgd
from deep.networks.classifier import Classifier, DeiT, PreActResNet18, ResNet18, WideResNet
from deep.networks.folding import Affine, Folded
from deep.networks.fused_convolution import fusable

BODIES = {"preactresnet18": (lambda: PreActResNet18(4), 32), "resnet18": (lambda: ResNet18(4), 32),
          "wideresnet": (lambda: WideResNet(10, 4), 16)}
MEAN, STD = (0.49, 0.48, 0.44), (0.25, 0.24, 0.26)


def randomised(body, width, **options):
    """A classifier in float64 with no parameter or statistic at a special value, and scales of both signs."""
    model = Classifier(body, nn.Linear(width, 10), MEAN, STD, **options).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in body.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in filter(torch.is_tensor, (module.weight, module.bias, module.running_mean)):
                    tensor.copy_(torch.randn(tensor.shape, generator=generator))
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.3)
    return model


def images(n=3, dtype=torch.float64, size=32):
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(n, 3, size, size, generator=generator, dtype=dtype),
            torch.randint(10, (n,), generator=generator))


def scores_and_gradient(network, x, y):
    z = x.clone().requires_grad_()
    with frozen(network):
        scores = network(z)
        (gradient,) = torch.autograd.grad(F.cross_entropy(scores, y, reduction="sum"), z)
    return scores.detach(), gradient


def assert_equal_networks(folded, model, tolerance=1e-10):
    x, y = images()
    for ours, plain in zip(scores_and_gradient(folded, x, y), scores_and_gradient(model, x, y), strict=True):
        assert plain.abs().max() > 0
        assert (ours - plain).norm() <= tolerance * plain.norm()


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("name", BODIES)
def test_scores_and_gradients_are_those_of_the_plain_network(name, channels_last):
    make, width = BODIES[name]
    model = randomised(make(), width, channels_last=channels_last)
    folded = Folded(model)
    assert_equal_networks(folded, model)
    before = folded(images()[0])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()
    F.cross_entropy(model(images()[0]), images()[1]).backward()
    optimiser.step()
    assert torch.equal(folded(images()[0]), before)  # nothing is read between two refreshes
    addresses = [tensor.data_ptr() for tensor in folded.buffers()]
    assert_equal_networks(folded.refresh(), model)
    assert (folded(images()[0]) - before).norm() > 1e-3 * before.norm()
    assert [tensor.data_ptr() for tensor in folded.buffers()] == addresses


class Odd(nn.Module):
    """What the ready-made networks lack: biases, groups, dilation, a convolution read twice, batch norm without
    a ReLU or without parameters, ReLUs as layers, in place or after a sum, a factor in a sum, one layer used twice.
    """

    def __init__(self):
        super().__init__()
        self.first, self.bn = nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4)
        self.grouped = nn.Sequential(nn.Conv2d(4, 4, 3, 1, 2, dilation=2, groups=2), nn.BatchNorm2d(4, affine=False))
        self.twice, self.relu, self.plain = nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1, bias=False)
        self.end = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4), nn.AvgPool2d(4), nn.BatchNorm2d(4), nn.ReLU(),
                                 nn.MaxPool2d(2), nn.Flatten())

    def forward(self, x):
        a = self.first(x)
        b = self.relu(self.bn(a)) + a
        c = torch.relu(self.twice(self.twice(self.grouped(b))))
        return self.end(torch.add(self.plain(c), b, alpha=2) + 0.5)


def test_any_convolutional_network():
    model = randomised(Odd(), 64)
    assert_equal_networks(Folded(model), model)


def test_a_body_it_cannot_read_is_refused():
    class Branch(nn.Module):
        def forward(self, x):
            return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

    hooked = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    hooked[0].register_forward_hook(lambda layer, inputs, output: 2 * output)

    class Own(nn.Conv2d):
        def forward(self, x):
            return super().forward(x)

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(input=x)

    bodies = [DeiT((3, 32, 32), 12, 1, 1, 8), Branch(), hooked, Own(3, 4, 3), Named(),
              nn.Sequential(nn.Flatten(), nn.Tanh()), nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
              nn.BatchNorm2d(3, track_running_stats=False)]
    for body in bodies:
        model = Classifier(body, nn.Linear(4, 10), MEAN, STD)
        assert not Folded.supports(model)
        with pytest.raises(ValueError, match="was given, but only convolutions, batch norm, ReLU"):
            Folded(model)


def test_an_attack_in_training_mode_is_refused():
    folded = Folded(randomised(ResNet18(2), 16))
    x, y = images()
    with pytest.raises(ValueError, match="in training mode, but it has no batch statistics"):
        pgd(folded, x, y, Attack(Fraction(1, 10), Fraction(1, 10), 1, random_start=False, mode="train"))
    assert not any(module.training for module in folded.modules())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_attack_on_it_is_the_attack_on_the_network(norm):
    model = randomised(PreActResNet18(4), 32)
    x, y = images()
    attack = Attack(Fraction(8, 255), Fraction(2, 255), 3, norm=norm)
    ours, plain = (pgd(network, x, y, attack, torch.Generator().manual_seed(0)) for network in (Folded(model), model))
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-9)
    assert (ours - x).abs().max() > 0.001


def test_it_is_no_part_of_the_model_nor_the_model_of_it():
    model = randomised(ResNet18(2), 16)
    names = list(model.state_dict())
    model.train()
    folded = Folded(model)
    assert model.training and list(model.state_dict()) == names
    assert not list(folded.parameters()) and not folded.state_dict()
    assert not set(model.modules()) & {module for module in folded.modules() if list(module.buffers())}
    assert all(not buffer.requires_grad for buffer in folded.buffers())


def test_bfloat16_where_the_model_trains_in_it():
    model = randomised(PreActResNet18(4), 32, channels_last=True).float()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # tame enough for eight layers in eight bits
            nn.init.ones_(module.weight), nn.init.ones_(module.running_var)
    exact, gradient = scores_and_gradient(Folded(model), *images(dtype=torch.float32))
    model.bf16 = True
    folded = Folded(model)
    assert {layer.weight.dtype for layer in folded.body.children() if hasattr(layer, "weight")} == {torch.bfloat16}
    scores, rounded = scores_and_gradient(folded, *images(dtype=torch.float32))
    assert scores.dtype == rounded.dtype == torch.float32
    assert 0 < (scores - exact).norm() < 0.05 * exact.norm()
    assert F.cosine_similarity(rounded.flatten(), gradient.flatten(), dim=0) > 0.9


@pytest.mark.slow
def test_the_compiled_network_keeps_its_gradient():
    """Dynamo traced the gradient of `AffineReLU` as 0: an attack by it left the images where they started."""
    torch.manual_seed(0)
    model = Classifier(PreActResNet18(4), nn.Linear(32, 10), (0.5,) * 3, (0.25,) * 3)
    folded = Folded(model)
    compiled = torch.compile(folded, dynamic=False, backend="aot_eager")
    gradients = []
    for network in (folded, compiled):
        x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        gradients.append(torch.autograd.grad(network(x)[:, 0].sum(), x)[0])
    assert gradients[0].abs().max() > 1e-4
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


class Unusual(nn.Module):
    """What `FusedConv` must leave to others or take care of: a sum of two maps of different shapes, of two
    convolutions, of one with itself, with an absorbed ReLU; dilation; a kernel that is not square; a stride of 3.
    """

    def __init__(self):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(3), nn.BatchNorm2d(4)
        self.conv1, self.conv2 = nn.Conv2d(3, 4, (3, 5), padding=(1, 2)), nn.Conv2d(3, 4, 1, bias=False)
        self.pool, self.conv3 = nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 3, padding=2, dilation=2, bias=False)
        self.conv4, self.conv5 = nn.Conv2d(4, 4, 2, padding=1), nn.Conv2d(4, 4, 3, 3, 1)
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, x):
        a = F.relu(self.bn1(x))
        b = F.relu(self.conv1(a) + self.conv2(a))
        c = F.relu(self.bn2(self.conv5(b)))
        d = self.conv4(b) + self.pool(b)
        e = self.conv5(d)
        return self.end(self.conv3(c) + F.relu(self.bn2(c)) + e) + self.end(e + e)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("name", [*BODIES, "odd", "unusual"])
def test_fused_in_float32_they_are_those_of_the_plain_network_in_float64(name, channels_last):
    make, width = (BODIES | {"odd": (Odd, 64), "unusual": (Unusual, 16)})[name]
    model = randomised(make(), width, channels_last=channels_last)
    x, y = images()
    exact = scores_and_gradient(model, x, y)
    folded = Folded(model.float())
    for part in (slice(None), slice(1)):  # packed for three images, then used for one
        ours = scores_and_gradient(folded, x[part].float(), y[part])
        for single, plain in zip(ours, exact, strict=True):
            assert (single - plain[part]).norm() <= 1e-4 * plain[part].norm()
    assert folded(x[:0].float()).shape == (0, 10)


def test_convolutions_take_in_sums_and_the_factors_of_batch_norm():
    folded = Folded(randomised(PreActResNet18(16), 128).float())  # of at least 16 channels throughout
    fuses = fusable(nn.Conv2d(3, 4, 3), torch.float32)  # not where torch has no oneDNN
    names = [str(node.target) for node in folded.body.graph.nodes]
    assert not any("add" in name for name in names)
    assert [layer.absorbed for layer in folded.body.children() if isinstance(layer, Affine)] == [fuses] * 8 + [False]
