"""Grad-CAM against its formula and closed forms, its split into shared and exclusive, and the command on real runs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from deep.__main__ import main
from deep.cli.measure.networks import open_networks
from deep.cli.measure.saliency import picture_path
from deep.data.dataset import Split
from deep.data.planted import planted_images, sign_patterns
from deep.evaluation.accuracy import evaluation_attack, measure
from deep.evaluation.saliency.gradcam import (
    channel_maps,
    evidence,
    gradcam,
    resize_maps,
    signed_maps,
    spatial_layer,
    split_by_sharing,
)
from deep.evaluation.saliency.shared_evidence import overlap, profiles, shared_fraction
from deep.networks.classifier import Classifier, build
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data


class Double(Classifier):
    """A `Classifier` whose features stay in float64."""

    def features(self, x):
        return self.body((x - self.mean) / self.std)


@pytest.fixture(scope="module")
def planted():
    return planted_images(1.0, 0.3, patch=4, train_size=60, val_size=3, seed=0, test_size=300)


def network(data, *words, seed=0):
    """A network with weights and batch-norm statistics that are not those of the start, on planted images."""
    recipe = recipe_named("planted-cnn", list(words))
    model = build(recipe, data, seed)
    with torch.no_grad():
        model.train()
        model(data.train.images)
    return model.eval()


def test_captum_agrees_with_the_formula_in_float64():
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(2, 5, 3), nn.Tanh(), nn.Conv2d(5, 4, 3, 2), nn.Tanh())
    model = Double(nn.Sequential(first, nn.Flatten(), nn.Linear(4 * 2 * 3, 6), nn.Tanh()), nn.Linear(6, 3), (0.1, 0.2),
                   (2.0, 3.0)).double()
    x, classes = torch.randn(7, 2, 8, 9, dtype=torch.float64), torch.arange(7) % 3
    maps = (x - model.mean) / model.std
    maps = first(maps).detach().requires_grad_()
    scores = model.linear(model.body[3](model.body[2](model.body[1](maps))))
    (gradient,) = torch.autograd.grad(scores[torch.arange(7), classes].sum(), maps)
    alpha = gradient.sum((2, 3), keepdim=True) / 6
    torch.testing.assert_close(channel_maps(model, x, classes), alpha * maps.detach(), rtol=1e-12, atol=1e-14)
    expected = (alpha * maps.detach()).sum(1).relu()
    assert (expected == 0).any() and (expected > 0).any()
    torch.testing.assert_close(gradcam(model, x, classes), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("words", ["model=preactresnet18 width=4", "model=resnet18 width=4",
                                   "model=wideresnet width=4 depth=10"])
def test_averaging_networks_have_class_activation_maps(planted, words):
    """map = sum_k W[c, k] A_k/(h w), A the input of the mean over pixels: so each channel's sum is its attribution."""
    model = network(planted, *words.split())
    x, classes = planted.test.images[:6], torch.tensor([0, 1, 2, 2, 1, 0])
    with torch.no_grad():
        last = nn.Sequential(*list(model.body)[:-2])((x - model.mean) / model.std)
        features, weight = model.features(x), model.linear.weight[classes]
    maps = channel_maps(model, x, classes)
    torch.testing.assert_close(maps, weight[:, :, None, None] * last / last[0, 0].numel(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(maps.sum((2, 3)), features * weight, rtol=1e-5, atol=1e-6)
    logits = model(x)[torch.arange(6), classes] - model.linear.bias[classes]
    torch.testing.assert_close(maps.sum((1, 2, 3)), logits.detach(), rtol=1e-4, atol=1e-5)


def matched_filters(w1, w2):
    """A network with the theory's weights that sees each planted feature by a filter of its own, less a threshold.

    Feature f of value v gives v - 0.7 at its own patch; the threshold keeps other patches (at most v/2) at 0.
    """
    patterns = sign_patterns(4)
    body = nn.Sequential(nn.Conv2d(1, 6, 4, 4), nn.ReLU(), nn.Flatten())
    linear = nn.Linear(36, 3, bias=False)
    nn.init.constant_(body[0].bias, -0.7)
    weight = torch.zeros(3, 6, 2, 3)
    for feature in range(6):
        row, column = divmod(feature, 3)
        patch = patterns[feature, 4 * row:4 * row + 4, 4 * column:4 * column + 4]
        body[0].weight.data[feature, 0] = patch / 16
        for label in range(3):
            weight[label, feature, row, column] = w1 * (label == column) if row == 0 else w2 * (label != column)
    linear.weight.data = weight.flatten(1)
    return Classifier(body, linear, (0.0,), (1.0,))


def test_maps_on_planted_images_are_where_the_features_are():
    """Class i: w1/6 (E_i - 0.7) at E_i, w2/6 (C_j - 0.7) at each other C_j. Shared with j: only C_k, k the third."""
    data = planted_images(1.0, 0.05, patch=4, train_size=3, val_size=3, seed=0, test_size=300)
    values = torch.einsum("nhw,fhw->nf", data.test.images[:, 0], sign_patterns(4)) / 16
    found = evidence(matched_filters(0.9, 0.6), data.test, None, 0, shown=list(range(300)))
    table = profiles(found.channels, found.labels, torch.ones(3, 12))
    for number in range(300):
        own = int(found.labels[number])
        weights = torch.tensor([0.9 * (own == j) for j in range(3)] + [0.6 * (own != j) for j in range(3)])
        expected = (weights * (values[number] - 0.7) / 6).view(2, 3)
        maps = found.maps[number:number + 1]
        torch.testing.assert_close(maps.sum(1)[0], expected, atol=1e-6, rtol=0)
        for other in {0, 1, 2} - {own}:
            shared, exclusive = split_by_sharing(maps, shared_fraction(table[own], table[other])[:12])
            third = (1, 3 - own - other)
            assert shared[0][third] > 0.97 * expected[third]  # equal up to the noise of the classes' means
            assert shared.count_nonzero() == 1
            assert exclusive[0][third] < 0.03 * expected[third]
            assert exclusive[0, 0, own] == pytest.approx(expected[0, own].item(), abs=1e-6)


def test_shared_and_exclusive_add_up_to_the_map(planted):
    model = network(planted, "model=preactresnet18", "width=4")
    maps = channel_maps(model, planted.test.images[:5], planted.test.labels[:5])
    fraction = torch.rand(5, maps.shape[1], generator=torch.Generator().manual_seed(0))
    for c in (fraction, fraction[0]):
        shared, exclusive = split_by_sharing(maps, c)
        torch.testing.assert_close(shared + exclusive, maps.sum(1), rtol=1e-5, atol=1e-7)
    nothing, everything = split_by_sharing(maps, torch.zeros(5, maps.shape[1]))
    assert not nothing.any()
    assert torch.equal(everything, maps.sum(1))
    only = torch.zeros(maps.shape[1])
    only[3] = 1
    assert torch.equal(split_by_sharing(maps, only)[0], maps[:, 3].relu())
    assert maps.min() < 0


def test_the_share_of_an_image_is_that_of_its_shared_map(planted):
    """For a transformer too: the sum of the shared map over that of all positive evidence."""
    model = network(planted, "model=deit", "width=64", "depth=1", "patch_size=4")
    found = evidence(model, planted.test, None, 0, shown=[7, 8])
    assert found.maps.shape == (2, 128, 2, 3)
    whole = channel_maps(model, planted.test.images[7:9], planted.test.labels[7:9])
    torch.testing.assert_close(found.maps[:, :64] + found.maps[:, 64:], whole)
    fraction = torch.rand(128, generator=torch.Generator().manual_seed(1))
    shared, exclusive = split_by_sharing(found.maps, fraction)
    positive = found.channels[[7, 8]].clamp(min=0)
    torch.testing.assert_close(shared.sum((1, 2)), (positive * fraction).sum(1), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(positive.sum(1), whole.clamp(min=0).sum((1, 2, 3)), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(shared + exclusive, whole.sum(1), rtol=1e-3, atol=1e-8)


def test_halves_of_a_channel_have_one_sign_each(planted):
    body = nn.Sequential(nn.Conv2d(1, 2, 4, 4), nn.Flatten())
    model = Classifier(body, nn.Linear(12, 3), (0.0,), (1.0,))
    x, classes = planted.test.images[:9], planted.test.labels[:9]
    values, maps = body[0](x).detach(), signed_maps(model, x, classes)
    assert maps.shape == (9, 4, 2, 3)
    assert not maps[:, :2][values < 0].any() and not maps[:, 2:][values > 0].any()
    torch.testing.assert_close(maps[:, :2] + maps[:, 2:], channel_maps(model, x, classes))
    for half in maps.flatten(2).unbind(1):
        assert ((half >= 0).all(1) | (half <= 0).all(1)).all()


def test_transformer_maps_lie_on_the_patches(planted):
    """Against the forward pass written out from the last block's first norm on; 8x12 pixels are 2x3 patches."""
    model = network(planted, "model=deit", "width=64", "depth=2", "patch_size=4")
    x, classes = planted.test.images[:4], torch.tensor([0, 1, 2, 1])
    body, block = model.body, model.body.blocks[-1]
    patches = body.patch_embed((x - model.mean) / model.std)
    rows = [patches[:, :, r, c] for r in range(2) for c in range(3)]
    tokens = torch.stack([body.cls_token[:, 0].expand(4, -1), *rows], 1) + body.pos_embed
    stream = body.blocks[0](tokens)
    normed = block.norm1(stream).detach().requires_grad_()
    stream = stream + block.attn(normed)
    stream = stream + block.mlp(block.norm2(stream))
    scores = model.linear(body.norm(stream)[:, 0])
    (gradient,) = torch.autograd.grad(scores[torch.arange(4), classes].sum(), normed)
    alpha = gradient[:, 1:].mean(1)
    maps = channel_maps(model, x, classes)
    assert maps.shape == (4, 64, 2, 3)
    for r in range(2):
        for c in range(3):
            torch.testing.assert_close(maps[:, :, r, c], alpha * normed[:, 1 + 3 * r + c].detach(), rtol=1e-4,
                                       atol=1e-9)
    total = maps.sum(1)
    assert (total.abs().amax((1, 2)) > 1e-5).all()
    assert (total.flatten(1).std(1) > 1e-6).all()


def test_why_the_transformers_layer_is_where_it_is(planted):
    """After the last block patches have no gradient; before its norm gradient times token is 0 at every patch."""
    model = network(planted, "model=deit", "width=64", "depth=2", "patch_size=4")
    model = model.double()
    with torch.no_grad():
        for weight in model.parameters():  # weights of order one: at the start everything is small
            weight.mul_(5)
    body = model.body
    x = planted.test.images[:3].double()
    tokens = torch.cat([body.cls_token.expand(3, -1, -1), body.patch_embed(x).flatten(2).transpose(1, 2)], 1)
    before = body.blocks[0](tokens + body.pos_embed).detach().requires_grad_()
    normed = body.blocks[1].norm1(before)
    mixed = before + body.blocks[1].attn(normed)
    after = mixed + body.blocks[1].mlp(body.blocks[1].norm2(mixed))
    score = model.linear(body.norm(after)[:, 0].double())[:, 0].sum()
    at_before, at_normed, at_after = torch.autograd.grad(score, [before, normed, after])
    assert not at_after[:, 1:].any()
    size = (at_before * before).abs().sum(2)[:, 1:]
    assert ((at_before * before).sum(2)[:, 1:].abs() < 1e-3 * size).all()
    assert ((at_normed * normed).sum(2)[:, 1:].abs() > 1e-2 * (at_normed * normed).abs().sum(2)[:, 1:]).any()


@pytest.mark.parametrize("words", ["model=preactresnet18 width=4", "model=deit width=32 depth=1 patch_size=4"])
def test_the_network_is_left_as_it_was(planted, words):
    model = network(planted, *words.split(), "bf16=true").train()
    x, y = planted.test.images[:4], planted.test.labels[:4]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    exact = channel_maps(model, x, y)
    assert model.training and model.bf16 and all(weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert x.requires_grad is False
    model.bf16 = False
    assert torch.equal(channel_maps(model, x, y), exact)  # bfloat16 is off while maps are taken
    with spatial_layer(model.eval(), x), torch.no_grad():
        inside = model(x)
    with torch.no_grad():
        assert torch.equal(inside, model(x))


def test_an_outside_network_is_read_at_its_last_map(planted):
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 7, 3), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten())
    model = Classifier(body, nn.Linear(7, 3), (0.0,), (1.0,))
    with spatial_layer(model, planted.test.images[:2]) as layer:
        assert layer is body[3]
    assert channel_maps(model, planted.test.images[:2], torch.tensor([0, 1])).shape == (2, 7, 1, 3)


class Attention(nn.Module):
    """Attention as outside networks write it: every step a layer of its own, each of which may be the identity."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv = heads, nn.Linear(width, 3 * width)
        self.q_norm, self.k_norm, self.attn_drop = nn.LayerNorm(width // heads), nn.Identity(), nn.Dropout(0.1)

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attention = self.q_norm(q) @ self.k_norm(k).transpose(2, 3)
        return (self.attn_drop(attention.softmax(3)) @ v).transpose(1, 2).reshape(n, tokens, width)


class Transformer(nn.Module):
    """patches: "convolution", or "linear" of 4 x 4 pixels; its first token is the sum of the patches', or none is."""

    def __init__(self, patches, first=True):
        super().__init__()
        self.patches, self.first = patches, first
        self.embed = nn.Conv2d(1, 8, 4, 4) if patches == "convolution" else nn.Linear(16, 8)
        self.attention, self.norm = Attention(8, 2), nn.LayerNorm(8)

    def forward(self, x):
        tokens = (self.embed(x).flatten(2) if self.patches == "convolution" else
                  self.embed(nn.functional.unfold(x, 4, stride=4).transpose(1, 2)).transpose(1, 2)).transpose(1, 2)
        if self.first:
            tokens = torch.cat([tokens.sum(1, keepdim=True), tokens], 1)
        return self.norm(tokens + self.attention(tokens)).mean(1)


@pytest.mark.parametrize("first", [True, False])
def test_attention_is_no_map(planted, first):
    """An outside transformer is read at the grid of its patches, 2 x 3; tokens x tokens and tokens x d are no maps."""
    torch.manual_seed(0)
    model = Double(Transformer("convolution", first), nn.Linear(8, 3), (0.0,), (1.0,)).double().eval()
    x, classes = planted.test.images[:4].double(), torch.tensor([0, 1, 2, 1])
    with spatial_layer(model, x) as layer:
        assert layer is model.body.embed
    patches = model.body.embed(x).detach().requires_grad_()
    tokens = patches.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.sum(1, keepdim=True), tokens], 1) if first else tokens
    scores = model.linear(model.body.norm(tokens + model.body.attention(tokens)).mean(1))
    (gradient,) = torch.autograd.grad(scores[torch.arange(4), classes].sum(), patches)
    expected = gradient.mean((2, 3), keepdim=True) * patches.detach()
    assert expected.shape == (4, 8, 2, 3) and expected.abs().max() > 1e-3
    torch.testing.assert_close(channel_maps(model, x, classes), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("first", [True, False])
def test_a_transformer_without_a_grid_is_refused(first):
    """16 x 16 pixels are 16 tokens of 4 x 4: even attention of the image's own size is no map of it."""
    torch.manual_seed(0)
    model = Classifier(Transformer("linear", first), nn.Linear(8, 3), (0.0,), (1.0,))
    with pytest.raises(ValueError, match="a map of the image, of more than one pixel: choose"):
        channel_maps(model, torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1]))


class ChannelsLast(nn.Module):
    """A block that norms and mixes channels in the last place, as ConvNeXt does, and weighs them, as SENet does."""

    def __init__(self, width):
        super().__init__()
        self.conv, self.norm, self.mix = nn.Conv2d(width, width, 3, padding=1), nn.LayerNorm(width), nn.Linear(width, 5)
        self.pool, self.weigh, self.out = nn.AdaptiveAvgPool2d(1), nn.Conv2d(5, 5, 1), nn.ReLU()

    def forward(self, x):
        x = self.mix(self.norm(self.conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return self.out(x * self.weigh(self.pool(x)).sigmoid())


def test_channels_in_the_last_place_are_no_map_and_weights_of_channels_take_none_away(planted):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 2, 2), ChannelsLast(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = Classifier(body, nn.Linear(5, 3), (0.0,), (1.0,))
    with spatial_layer(model, planted.test.images[:2]) as layer:
        assert layer is body[1]  # its output is that of its ReLU
    body[1].out = nn.Flatten()
    model = Classifier(nn.Sequential(*body[:2]), nn.Linear(120, 3), (0.0,), (1.0,))
    with spatial_layer(model, planted.test.images[:2]) as layer:
        assert layer is body[1].conv


def test_a_network_without_a_map_is_refused(planted):
    for body in (nn.Flatten(), nn.Sequential(nn.Conv2d(1, 3, (8, 12)), nn.Flatten())):
        model = Classifier(body, nn.Linear(96 if isinstance(body, nn.Flatten) else 3, 3), (0.0,), (1.0,))
        with pytest.raises(ValueError, match="choose a convolutional network or a deit"):
            channel_maps(model, planted.test.images[:2], torch.tensor([0, 1]))
        assert not any(module._forward_hooks for module in model.modules())


def test_evidence_is_of_the_images_that_cas_attacks(planted):
    model = network(planted, "model=preactresnet18", "width=4")
    attack = evaluation_attack(recipe_named("planted-cnn", ["random_start=true"]), None, steps=2)
    outcome = measure(model, planted.test, attack, seed=3, batch=128)
    shown = [299, 5, 127, 128]
    found = evidence(model, planted.test, attack, 3, shown, batch=128)
    torch.testing.assert_close(found.features, outcome.features, rtol=1e-5, atol=1e-5)
    assert torch.equal(found.labels, planted.test.labels)
    assert torch.equal(found.scores.argmax(1) == found.labels, outcome.robust)
    weight = model.linear.weight.detach()
    torch.testing.assert_close(found.channels[:, :32], found.features * weight[found.labels], rtol=1e-4, atol=1e-5)
    assert not found.channels[:, 32:].any()
    torch.testing.assert_close(found.maps.sum((2, 3)), found.channels[shown])
    # so for such a network the channels' profiles are the features'
    channels = found.channels.clamp(min=0)[:, :32]
    torch.testing.assert_close(profiles(channels, found.labels, torch.ones(3, 32))[:, :32],
                               profiles(found.features, found.labels, weight)[:, :32]
                               + profiles(found.features, found.labels, weight)[:, 32:], rtol=1e-4, atol=1e-6)
    clean = evidence(model, planted.test, None, 3)
    torch.testing.assert_close(clean.features, outcome.clean_features, rtol=1e-5, atol=1e-5)
    assert len(clean.maps) == 0


def test_enlarging_keeps_places_and_constants():
    maps = torch.zeros(1, 2, 3)
    maps[0, 1, 2] = 1.0
    big = resize_maps(maps, (8, 12))[0]
    row, column = divmod(int(big.argmax()), 12)
    assert row >= 4 and column >= 8
    assert big[:2, :4].abs().max() == 0
    torch.testing.assert_close(resize_maps(torch.full((1, 4, 4), 3.0), (32, 32)), torch.full((1, 32, 32), 3.0))


NETWORKS = {"cnn": ["width=4"], "preactresnet18": ["width=4"], "deit": ["width=64", "depth=2", "patch_size=4"]}


@pytest.fixture(scope="module", params=NETWORKS)
def run(request, tmp_path_factory):
    """A short run, its best checkpoint another network than its last."""
    out = tmp_path_factory.mktemp("runs")
    words = [f"model={request.param}", *NETWORKS[request.param], "train_size=300", "val_size=60", "batch=50",
             "epochs=2", "eval_every=2", "steps=1", "eval_steps=1"]
    assert main(["train", "planted-cnn", *words, "--out", str(out), "--threads", "1"]) == 0
    folder = RunFolder(next(out.iterdir()))
    state = folder.model_state("best")
    state["model"]["linear.weight"] = state["model"]["linear.weight"].flip(1)
    torch.save(state | {"epoch": 1}, folder.path / "best.pt")
    return folder


@pytest.mark.slow
def test_command(run, tmp_path, capsys):
    out = tmp_path / "maps.png"
    words = ["saliency", str(run.path), "--classes", "3,1", "--images", "4,1", "--limit", "90", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(out.with_suffix(".json").read_text())
    assert picture_path(str(out)) == out  # the same command would replace it
    assert (report["n"], report["inputs"]) == (90, "adversarial")
    assert report["attack"].startswith("PGD-20 linf eps 1/5")
    assert [(c["checkpoint"], c["epoch"]) for c in report["checkpoints"]] == [("best", 1), ("last", 2)]
    # image m of class "k" is test image 3 m + k - 1
    assert [(image["class"], image["test_index"]) for image in report["images"]] == [("3", 14), ("3", 5), ("1", 12),
                                                                                     ("1", 3)]
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    colourful = (np.ptp(pixels, axis=2) > 40).mean()
    assert 0.1 < colourful < 0.9  # maps are coloured, paper and text are not
    data = load_data(run.recipe())
    split = Split(data.test.images[:90], data.test.labels[:90])
    tables = []
    for checkpoint in report["checkpoints"]:
        model = load_network(run, data, checkpoint["checkpoint"])
        outcome = measure(model, split, evaluation_attack(run.recipe(), data.box, 20), seed=0)
        tables.append(overlap(profiles(outcome.features, outcome.labels, model.linear.weight.detach())))
        torch.testing.assert_close(torch.tensor(checkpoint["overlap"]), tables[-1].float(), atol=1e-3, rtol=0)
        guesses = model.linear(outcome.features).argmax(1)
        for image in report["images"]:
            assert image[checkpoint["checkpoint"]]["predicted"] == data.classes[guesses[image["test_index"]]]
            assert 0 <= image[checkpoint["checkpoint"]]["share"] <= 1
    assert (tables[0] - tables[1]).abs().max() > 0.01
    positive = evidence(model, split, evaluation_attack(run.recipe(), data.box, 20), 0).channels.clamp(min=0).numpy()
    mean = np.stack([positive[i::3].mean(0) / positive[i::3].mean(0).sum() for i in range(3)])
    for image in report["images"]:  # the last checkpoint's shares of images, each with its class's partner
        own, other = (data.classes.index(image[key]) for key in ("class", "partner"))
        of = positive[image["test_index"]]
        common = sum(a * min(1, q / p) for a, p, q in zip(of, mean[own], mean[other], strict=True) if p > 0)
        assert image["last"]["share"] == pytest.approx(common / of.sum(), abs=1e-3)
    for i, (name, partner) in enumerate(report["partner"].items()):
        j = data.classes.index(partner)
        others = [(tables[0] + tables[1])[i, other].item() for other in range(3) if other != i]
        if name == "2":
            assert (tables[0] + tables[1])[i, j].item() == max(others)
        else:  # the two that are compared
            assert {name, partner} == {"1", "3"}
        for checkpoint in report["checkpoints"]:
            line = checkpoint["classes"][name]
            assert line["share"] == checkpoint["overlap"][i][j]
            assert line["interval"][0] <= line["interval"][1]
    for checkpoint in report["checkpoints"]:
        shares = [line["share"] for line in checkpoint["classes"].values()]
        assert checkpoint["mean"]["share"] == pytest.approx(sum(shares) / 3)


@pytest.mark.slow
def test_command_by_default_and_on_clean_inputs(run, capsys):
    words = ["saliency", str(run.path), "--limit", "30", "--inputs", "clean", "--per-class", "1"]
    (run.path / "saliency.json").write_text("that of all images")
    assert main([*words, "--checkpoint", "last"]) == 0
    out = capsys.readouterr().out
    assert "clean inputs, n = 30" in out and "null level" in out
    report = json.loads((run.path / "saliency-sample30.json").read_text())
    assert (run.path / "saliency-sample30.png").exists()
    assert (run.path / "saliency.json").read_text() == "that of all images"
    assert report["attack"] is None
    (last,) = report["checkpoints"]
    pairs = torch.tensor(last["overlap"]).fill_diagonal_(-1)
    shown = [int(image["class"]) - 1 for image in report["images"]]
    assert pairs[shown[0], shown[1]] == pairs.max()
    data = load_data(run.recipe())
    model = load_network(run, data, "last")
    features = model.features(data.test.images[:30]).detach()
    table = overlap(profiles(features, data.test.labels[:30], model.linear.weight.detach()))
    torch.testing.assert_close(torch.tensor(last["overlap"]), table.float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("words", "sentence"), [
    (["--classes", "car"], "'car' is no class"), (["--classes", "1,1"], "named twice"),
    (["--classes", "7"], "choose among 1, 2, 3"), (["--images", "0,x"], "--images = 0,x was given"),
    (["--images", "0,0"], "different images"), (["--images", "0", "--per-class", "1"], "in place of --per-class"),
    (["--images", "3000"], "image 3000 of class"), (["--per-class", "11", "--limit", "30"], "a larger --limit"),
    (["--limit", "5"], "--limit = 5 was given, but it must be from 6"),
    (["--limit", "6001"], "--limit = 6001 was given"),
    (["--per-class", "0"], "--per-class = 0 was given"), (["--out", "maps.svg"], "ends in .png"),
    (["--out", "/nowhere/maps.png"], "no folder /nowhere"), (["--attack-steps", "0"], "--attack-steps = 0 was given")])
def test_refusals(linear_run, words, sentence, capsys):
    assert main(["saliency", str(linear_run), *words]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def linear_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    words = ["train_size=30", "val_size=9", "batch=30", "epochs=1"]
    assert main(["train", "planted-linear", *words, "--out", str(out), "--threads", "1"]) == 0
    return next(out.iterdir())


def test_a_run_without_maps_is_refused(linear_run, capsys):
    assert main(["saliency", str(linear_run), "--limit", "30"]) == 2
    err = capsys.readouterr().err
    assert "choose a convolutional network or a deit" in err
    assert len(err.strip().splitlines()) == 1
    assert not (linear_run / "saliency.png").exists()


@pytest.mark.parametrize(("left_out", "limit", "name"), [
    (0, None, "saliency"), (0, 6000, "saliency"), (1, 5999, "saliency-sample5999")])
def test_a_limit_that_leaves_some_image_out_is_a_sample(linear_run, left_out, limit, name, monkeypatch, capsys):
    """5,999 images, one class a smaller one, are 1,999 of each class at most: that picture is not the one of all."""
    def opened(options):
        first, = open_networks(options)
        test = first.data.test
        end = len(test) - left_out
        return [replace(first, data=replace(first.data, test=Split(test.images[:end], test.labels[:end])))]
    drawn = []
    monkeypatch.setattr("deep.cli.measure.saliency.open_networks", opened)
    monkeypatch.setattr("deep.experiments.saliency.saliency", lambda *given: ({"used": len(given[3])}, []))
    monkeypatch.setattr("deep.evaluation.saliency.picture.draw", lambda report, rows, out: drawn.append(out.name))
    assert main(["saliency", str(linear_run), "--checkpoint", "last", "--json"]
                + (["--limit", str(limit)] if limit else [])) == 0
    assert json.loads(capsys.readouterr().out) == {"used": 6000 - 3 * left_out} and drawn == [f"{name}.png"]
    (linear_run / f"{name}.json").unlink()


def test_a_picture_of_real_images(cifar, tmp_path):
    """Colour images keep their colours: the mean of the first picture is that of the image."""
    from deep.evaluation.saliency.picture import displayed
    recipe = recipe_named("at-cpu", ["train_size=50", "val_size=10"])
    data = load_data(recipe, cifar)
    image = data.test.images[0].float() / 255
    assert np.allclose(displayed(image), image.permute(1, 2, 0))
    model = replace(recipe, width=4)
    maps = gradcam(build(model, data, 0).eval(), data.test.images[:2].float() / 255, data.test.labels[:2])
    assert maps.shape == (2, 4, 4)
