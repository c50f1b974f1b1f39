"""What every network of the registry shares: normalisation inside, fast arithmetic, gradients, the last layer."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from deep.data.dataset import Data, Split
from deep.networks.classifier import Classifier, PreActResNet18, build, split_last_linear
from deep.networks.registry import NETWORKS
from deep.recipe.recipe import recipe_named

NARROW = {"preactresnet18": "width=4", "resnet18": "width=4", "wideresnet": "width=8 depth=10",
          "deit": "width=16 depth=2 patch_size=4", "linear": "width=none", "cnn": "width=4",
          "mlp": "width=8"}


def images(classes=10, shape=(3, 32, 32)):
    split = Split(torch.zeros(1, *shape), torch.zeros(1, dtype=torch.long))
    return Data("zeros", tuple(map(str, range(classes))), split, split, split, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3),
                (0.0, 1.0), {})


def narrow(name, seed=0, **options):
    recipe = recipe_named("at", [f"model={name}", *NARROW[name].split(), "bf16=false", "channels_last=false"])
    return build(replace(recipe, **options), images(), seed)


def test_every_network_is_tested():
    assert NARROW.keys() == NETWORKS.keys()


@pytest.mark.parametrize("name", NARROW)
def test_normalisation_is_the_first_layer(name):
    model = narrow(name).eval()
    x = torch.rand(2, 3, 32, 32)
    by_hand = torch.stack([(x[:, c] - mean) / std for c, (mean, std) in
                           enumerate(((0.4, 0.2), (0.5, 0.25), (0.6, 0.3)))], 1)
    torch.testing.assert_close(model.features(x), model.body(by_hand), rtol=0, atol=1e-5)
    bias = 0 if model.linear.bias is None else model.linear.bias
    torch.testing.assert_close(model(x), model.features(x) @ model.linear.weight.T + bias)
    assert model(x).shape == (2, 10)


@pytest.mark.parametrize("name", NARROW)
def test_the_seed_is_the_network(name):
    """And building one draws nothing from the generator that everybody shares."""
    before = torch.get_rng_state()
    first, again, other = (narrow(name, seed).linear.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NARROW)
def test_fast_arithmetic_is_the_same_network(name):
    """channels_last changes rounding only; bf16 keeps two digits, and features and logits stay float32."""
    x = torch.rand(8, 3, 32, 32)
    plain, last, half = (narrow(name, **options).eval() for options in ({}, {"channels_last": True}, {"bf16": True}))
    assert half.features(x).dtype == half(x).dtype == torch.float32
    torch.testing.assert_close(last(x), plain(x), rtol=1e-4, atol=1e-5)
    difference = (half(x) - plain(x)).norm() / plain(x).norm()
    assert difference < 0.02
    assert (difference > 0) == (name != "linear")  # its only product is the last layer, in float32


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", NARROW)
def test_gradients_reach_every_weight_and_pixel(name, fast):
    model = narrow(name, bf16=fast, channels_last=fast).train()
    x = torch.rand(8, 3, 32, 32, requires_grad=True)
    nn.functional.cross_entropy(model(x), torch.arange(8)).backward()
    assert x.grad.flatten(1).norm(dim=1).min() > 0
    for key, weight in model.named_parameters():
        assert weight.grad.isfinite().all(), key
        assert weight.grad.norm() > 0, key


@pytest.mark.parametrize("name", NARROW)
def test_outside_attacks_can_view_the_gradient_of_the_pixels(name):
    """A step of l2 as public code writes it; its `.view` refuses the layout that channels_last leaves."""
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    gradient, expected = (torch.autograd.grad(nn.functional.cross_entropy(model(x), torch.arange(8)), x)[0]
                          for model in (narrow(name, channels_last=fast).double().eval() for fast in (True, False)))
    assert gradient.is_contiguous()
    lengths = torch.norm(gradient.view(8, -1), p=2, dim=1)
    assert torch.equal(lengths, gradient.flatten(1).norm(dim=1)) and lengths.min() > 0
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_a_bias_of_the_keys_changes_nothing():
    """The one exception: it adds the same number to all scores of a query, and softmax does not see it."""
    model = narrow("deit").double()
    logits = model.linear(model.body(torch.rand(8, 3, 32, 32, dtype=torch.float64)))
    nn.functional.cross_entropy(logits, torch.arange(8)).backward()
    q, k, v = model.body.blocks[0].attn.qkv.bias.grad.view(3, 16).norm(dim=1)
    assert k < 1e-6 * min(q, v)


def test_bf16_leaves_the_last_layer_in_float32():
    torch.manual_seed(0)
    model = Classifier(PreActResNet18(4), nn.Linear(32, 10), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), bf16=True).eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(x), model.linear(model.features(x)))


class Outside(nn.Module):
    """As others write networks: parts with names of their own, the scores in the last line."""

    def __init__(self, classes, uses_twice=False, returns=lambda scores: scores):
        super().__init__()
        self.stem = nn.Conv2d(3, classes, 3, 4)
        self.neck = nn.Sequential(nn.Linear(classes, 6), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(6))
        self.fc = nn.ModuleDict({"scores": nn.Linear(6, classes)})
        self.uses_twice, self.returns = uses_twice, returns

    def forward(self, x):
        hidden = self.neck(self.stem(x).mean((2, 3)))
        if self.uses_twice:
            hidden = hidden + self.fc["scores"](hidden).mean(1, keepdim=True)
        return self.returns(self.fc["scores"](hidden))


def test_the_last_layer_of_an_outside_network_is_found():
    torch.manual_seed(0)
    network, x = Outside(10), torch.rand(5, 3, 32, 32)
    scores, state = network.eval()(x), {key: value.clone() for key, value in network.state_dict().items()}
    body, linear = split_last_linear(network.train(), (3, 32, 32), 10)
    assert body.training
    assert (linear.in_features, linear.out_features) == (6, 10)
    assert torch.equal(body.eval()(x) @ linear.weight.T + linear.bias, scores)
    assert {key for key in state if key not in body.state_dict()} == {"fc.scores.weight", "fc.scores.bias"}
    assert all(torch.equal(value, state[key]) for key, value in body.state_dict().items())
    assert not any(module._forward_hooks for module in body.modules())


@pytest.mark.parametrize(("network", "sentence"), [
    (Outside(7), r"does not return the scores \(n, 10\) of a last nn.Linear"),
    (Outside(10, returns=lambda scores: scores.log_softmax(1)), "return them unchanged"),
    (Outside(10, returns=lambda scores: (scores, 0)), "return them unchanged"),
    (nn.Sequential(nn.Conv2d(3, 10, 32), nn.Flatten()), "does not return the scores"),
    (nn.Linear(32, 10), "does not return the scores"),
    (Outside(10, uses_twice=True), "it uses its last layer fc.scores more than once"),
])
def test_networks_without_a_last_linear_layer_are_refused(network, sentence):
    with pytest.raises(ValueError, match=sentence):
        split_last_linear(network, (3, 32, 32), 10)
