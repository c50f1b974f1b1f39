"""Somebody else's weights: each layout gives the function of its own code; what does not fit is refused by name."""

import re
import zipfile
from argparse import Namespace
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from deep.data.dataset import Data, Split
from deep.networks.registry import register
from deep.recipe.recipe import recipe_named
from deep.runs.outside import NONE, Normalisation, by_order, outside_network
from deep.runs.weights_file import read_weights, state_dicts
from tests.conftest import imported
from tests.support.public_networks import Normalised, PreActResNet, ResNet, WideResNet, drawn

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
GIVEN = Normalisation(MEAN, STD, "the test")
PUBLIC = {"preactresnet18": PreActResNet, "resnet18": ResNet, "wideresnet": WideResNet}


def images(classes=5, side=8):
    """A data set of which only the shape and the number of classes count: its mean and deviation are impossible."""
    generator = torch.Generator().manual_seed(3)
    split = Split(torch.rand(2 * classes, 3, side, side, generator=generator), torch.arange(2 * classes) % classes)
    return Data("noise", tuple("abcdefghij"[:classes]), split, split, split, (9.0,) * 3, (99.0,) * 3, (0.0, 1.0), {})


def recipe_of(model, *words):
    sizes = {"preactresnet18": ["width=4"], "resnet18": ["width=4"], "wideresnet": ["width=4", "depth=16"]}
    return recipe_named("at", [f"model={model}", *sizes.get(model, []), *words])


def saved(tmp_path, content, name="weights.pt"):
    torch.save(content, tmp_path / name)
    return tmp_path / name


def read(path, model, given=GIVEN, **options):
    return outside_network(path, recipe_of(model), images(), given, **options)


def assert_same(model, network, normalised=True):
    """The same scores, in float64, on pixels: (x - mean)/std before the network unless it does so itself."""
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        expected = network.double()((x - mean) / std if normalised else x)
        torch.testing.assert_close(model.double()(x), expected, atol=1e-9, rtol=1e-9)
    assert expected.std() > 0.01


@pytest.mark.parametrize("model", PUBLIC)
def test_a_public_layout_gives_the_function_of_its_code(model, tmp_path):
    network = drawn(PUBLIC[model](4, 5))
    found, normalisation = read(saved(tmp_path, network.state_dict()), model)
    assert_same(found, network)
    assert normalisation == GIVEN
    assert not found.training


@pytest.mark.parametrize("wrap", [
    lambda network: {"epoch": 3, "state_dict": nn.DataParallel(network).state_dict()},
    lambda network: {"net": network.state_dict(), "acc": 0.5},
    lambda network: {"model": {f"_orig_mod.module.{name}": value for name, value in network.state_dict().items()}},
    lambda network: {"model_state_dict": {f"model.{name}": value for name, value in network.state_dict().items()},
                     "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2, 2)}}, "param_groups": [{"lr": 0.1}]}},
    lambda network: {"ema": {"decay": 0.9, "shadow": network.state_dict()}},
    lambda network: AveragedModel(network).state_dict(),
    lambda network: {name: value.half().float() if value.is_floating_point() else value
                     for name, value in network.half().float().state_dict().items() if "num_batches" not in name}])
def test_wrappers_and_prefixes_are_taken_off(wrap, tmp_path):
    network = drawn(ResNet(4, 5))
    assert_same(read(saved(tmp_path, wrap(network)), "resnet18")[0], network)


@pytest.mark.parametrize(("wrap", "source"), [
    (lambda network: Normalised(network, MEAN, STD), "mu"),
    (lambda network: nn.DataParallel(nn.Sequential(Normalised(nn.Identity(), MEAN, STD, ("mean", "std")), network)),
     "0."),
    (lambda network: nn.ModuleDict({"normalizer": Normalised(nn.Identity(), MEAN, STD, ("new_mean", "new_std")),
                                    "model": network}), "normalizer.")])
def test_a_network_that_normalises_itself_is_not_normalised_twice(wrap, source, tmp_path):
    network = drawn(ResNet(4, 5))
    state = wrap(network).state_dict()
    assert any(source in name for name in state)
    path = saved(tmp_path, state)
    found, normalisation = read(path, "resnet18", None)
    assert_same(found, network)
    assert (normalisation.mean, normalisation.source) == (pytest.approx(MEAN), "the weights")
    with pytest.raises(ValueError, match=r"\(0\.5, 0\.4, 0\.3; 0\.2, 0\.25, 0\.3\), but --mean and --std were given"):
        read(path, "resnet18")


class Own(nn.Module):
    """Somebody's network: the last layer is defined first, and it may normalise."""

    def __init__(self, classes, inside):
        super().__init__()
        self.head = nn.Linear(6, classes)
        if inside:
            self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.head(self.model((x - self.mean) / self.std if hasattr(self, "mean") else x))


def test_a_registered_network_has_its_own_names(registry, tmp_path):
    for name, inside in (("own", False), ("own-inside", True)):
        register(name, needs=())(lambda recipe, shape, classes, inside=inside: Own(classes, inside))
    plain, normalised = drawn(Own(5, False)), drawn(Own(5, False), 1)
    whole = Own(5, True)
    whole.load_state_dict(normalised.state_dict(), strict=False)
    path, other = saved(tmp_path, nn.DataParallel(plain).state_dict()), saved(tmp_path, whole.state_dict(), "inside.pt")
    assert_same(read(path, "own")[0], plain)
    assert_same(read(path, "own", NONE)[0], plain, normalised=False)
    found, normalisation = read(other, "own-inside", None)
    assert normalisation == NONE
    assert_same(found, whole.eval(), normalised=False)
    with pytest.raises(ValueError, match="a mean and a deviation of its own among its weights, but --mean"):
        read(other, "own-inside")


def test_by_position_only_where_it_is_asked_for(registry, tmp_path):
    register("own", needs=())(lambda recipe, shape, classes: Own(classes, False))
    network = drawn(Own(5, False))
    names = {"out": "head", "body.0": "model.0"}
    state = {f"{there}.{part}": network.state_dict()[f"{here}.{part}"] for there, here in names.items()
             for part in ("weight", "bias")}
    path = saved(tmp_path, state)
    with pytest.raises(ValueError, match=r"missing: .*head\.weight, .*unknown: out\.weight.* --by-position takes them"):
        read(path, "own")
    assert_same(read(path, "own", by_position=True)[0], network)
    one = torch.ones(3)
    assert by_order({"x.bias": one, "x.weight": one}, {"y.weight": one, "y.bias": one}, {}) is None  # shapes agree
    turned = saved(tmp_path, dict(sorted(state.items())), "turned.pt")  # another order
    with pytest.raises(ValueError, match="choose the --model"):
        read(turned, "own", by_position=True)


def test_deepminds_networks_are_refused_even_by_position(tmp_path):
    """Their shapes are those of a WideResNet, in the same order; their function is not."""
    state = {name.replace("conv1", "init_conv", 1) if name.startswith("conv1") else f"their.{name}": value
             for name, value in drawn(WideResNet(4, 5)).state_dict().items() if "sub_block1" not in name}
    path = saved(tmp_path, state)
    for by_position in (False, True):
        with pytest.raises(ValueError, match="DeepMind's code, whose networks have other activations"):
            read(path, "wideresnet", by_position=by_position)
    path = saved(tmp_path, {name.replace("init_", "first_"): value for name, value in state.items()})
    read(path, "wideresnet", by_position=True)


def test_safetensors(tmp_path):
    save_file = imported("safetensors.torch").save_file
    network = drawn(PreActResNet(4, 5))
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    assert_same(read(tmp_path / "a.safetensors", "preactresnet18")[0], network)
    save_file({f"a{i:03}.{name.rpartition('.')[2]}": value
               for i, (name, value) in enumerate(network.state_dict().items())}, tmp_path / "sorted.safetensors")
    with pytest.raises(ValueError, match="does not fit"):  # its order is that of the names
        read(tmp_path / "sorted.safetensors", "preactresnet18", by_position=True)
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:100])
    with pytest.raises(ValueError, match="no readable file of safetensors"):
        read(tmp_path / "cut.safetensors", "preactresnet18")


def without(state, *names):
    return {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(("content", "sentence"), [
    (lambda state: without(state, "bn1.weight"), r"missing: body\.1\.weight\): choose the --model"),
    (lambda state: state | {"extra.weight": torch.ones(2)}, r"unknown: extra\.weight"),
    (lambda state: state | {"linear.weight": torch.ones(9, 32)},
     r"of another shape: linear\.weight \[9, 32\], not \[5, 32\]"),
    (lambda state: {f"init_conv.{number}": torch.ones(2, 2) for number in range(9)}, "DeepMind's code"),
    (lambda state: {"a": state, "b": state}, r"2 state dicts, a, b: choose one by --key a"),
    (lambda state: {"epoch": 3, "values": torch.ones(3)}, "holds no state dict"),
    (lambda state: [1, 2], "holds no state dict"),
    (lambda state: ResNet(4, 5), r"an object of tests\.support\.public_networks\.ResNet.* write torch\.save\(network"),
    (lambda state: {"args": Namespace(lr=1), "net": state}, r"an object of argparse\.Namespace"),
])
def test_what_does_not_fit_is_listed(content, sentence, tmp_path):
    path = saved(tmp_path, content(drawn(ResNet(4, 5)).state_dict()))
    with pytest.raises(ValueError, match=sentence) as refused:
        read(path, "resnet18")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 a broken archive", b"\x80\x02}q\x00."])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pt was given, but it "):
        read_weights(tmp_path / "x.pt")


def test_a_flipped_bit_is_seen(tmp_path):
    path = saved(tmp_path, {"w.weight": torch.ones(100, 100)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="BadZipFile"):
        read_weights(path)


def test_a_member_that_a_flipped_bit_makes_a_directory_is_seen(tmp_path):
    """Its sum is right, and torch would leave it unread: the weights would be whatever the memory held."""
    path = saved(tmp_path, {"w.weight": torch.ones(100, 100)})
    content = bytearray(path.read_bytes())
    (entry,) = re.finditer(rb"PK\x01\x02.{42}[\w]+/data/0", bytes(content), re.DOTALL)  # of the tensor
    content[entry.start() + 38] ^= 16
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    torch.load(path, weights_only=True)  # does not see it
    with pytest.raises(ValueError, match="BadZipFile"):
        read_weights(path)


def test_one_of_several_is_chosen_by_its_key(tmp_path):
    first, second = ({"w.weight": torch.full((2, 2), value)} for value in (1.0, 2.0))
    path = saved(tmp_path, {"net": first, "ema": {"shadow": second}})
    assert read_weights(path, "ema.shadow")["w.weight"][0, 0] == 2
    with pytest.raises(ValueError, match=r"--key ema was given, but .* under 'net', 'ema\.shadow'"):
        read_weights(path, "ema")
    endless = {"a": 1}
    endless["self"] = endless
    assert state_dicts(endless) == {}


@pytest.mark.parametrize(("given", "sentence"), [
    (None, "does not say how its network's images were normalised"),
    (NONE, "that network here does not normalise"),
    (replace(GIVEN, std=(1.0, 1.0)), "2 channels were given .* but the images have 3"),
])
def test_the_normalisation_is_never_guessed(given, sentence, tmp_path):
    path = saved(tmp_path, drawn(ResNet(4, 5)).state_dict())
    with pytest.raises(ValueError, match=sentence):
        read(path, "resnet18", given)


def test_one_number_stands_for_all_channels(tmp_path):
    path = saved(tmp_path, drawn(ResNet(4, 5)).state_dict())
    found, _ = read(path, "resnet18", Normalisation((0.5,), (0.25,), "the test"))
    assert (found.mean.flatten().tolist(), found.std.flatten().tolist()) == ([0.5] * 3, [0.25] * 3)
