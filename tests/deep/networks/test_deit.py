"""DeiT: its published size, attention against two other formulas, and what it makes of published weights."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deep.networks.deit import Attention, DeiT, load_published, resized_kernel, resized_positions


def size(body):
    return sum(parameter.numel() for parameter in body.parameters())


@pytest.mark.parametrize(("width", "parameters"), [(192, 5_717_416), (384, 22_050_664), (768, 86_567_656)])
def test_published_sizes_at_224_with_1000_classes(width, parameters):
    """DeiT-Ti, S and B (Touvron et al. 2021, table 1: 5 M, 22 M, 86 M)."""
    with torch.device("meta"):
        assert size(DeiT((3, 224, 224), width, 12, width // 64, 16)) + 1000 * width + 1000 == parameters


@pytest.mark.parametrize(("shape", "patch", "tokens"), [
    ((3, 32, 32), 4, 65), ((3, 64, 64), 8, 65), ((3, 64, 64), 4, 257), ((1, 8, 12), 4, 7)])
def test_shapes(shape, patch, tokens):
    body = DeiT(shape, 16, 2, 2, patch)
    assert body.pos_embed.shape == (1, tokens, 16)
    assert body(torch.rand(3, *shape)).shape == (3, 16)


def test_refused_sizes():
    with pytest.raises(ValueError, match="patch_size = 5 was given, but the images have 32x32 pixels"):
        DeiT((3, 32, 32), patch=5)
    with pytest.raises(ValueError, match="patch_size = 8 was given, but the images have 8x12 pixels"):
        DeiT((1, 8, 12), patch=8)
    with pytest.raises(ValueError, match="width = 200 was given, but it must be a multiple of the 3 heads"):
        DeiT((3, 32, 32), width=200)


def naive_attention(attention, x, scale):
    """Token by token and head by head, from the formula."""
    tokens, width = x.shape[1:]
    d = width // attention.heads
    qkv = x @ attention.qkv.weight.T + attention.qkv.bias
    mixed = torch.zeros_like(x)
    for head in range(attention.heads):
        q, k, v = (qkv[:, :, part * width + head * d:part * width + (head + 1) * d] for part in range(3))
        for token in range(tokens):
            scores = (q[:, token:token + 1] * k).sum(2) / scale
            weights = scores.exp() / scores.exp().sum(1, keepdim=True)
            mixed[:, token, head * d:(head + 1) * d] = (weights[:, :, None] * v).sum(1)
    return mixed @ attention.proj.weight.T + attention.proj.bias


def test_attention_is_its_formula_and_torchs():
    torch.manual_seed(0)
    attention, x = Attention(12, 3).double(), torch.randn(2, 5, 12, dtype=torch.float64)
    attention.qkv.bias.data.normal_()
    torch.testing.assert_close(attention(x), naive_attention(attention, x, 2), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(attention(x), naive_attention(attention, x, 12 ** 0.5), rtol=1e-3)
    other, _ = F.multi_head_attention_forward(
        *[x.transpose(0, 1)] * 3, 12, 3, attention.qkv.weight, attention.qkv.bias, None, None, False, 0.0,
        attention.proj.weight, attention.proj.bias, need_weights=False)
    torch.testing.assert_close(attention(x), other.transpose(0, 1), rtol=1e-12, atol=1e-12)


def layer_norm(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias


def by_hand(body, x, patch):
    """DeiT from its definition: patches cut out row by row, pre-norm blocks, the class token's features."""
    rows, columns = x.shape[2] // patch, x.shape[3] // patch
    kernel, bias = body.patch_embed.proj.weight, body.patch_embed.proj.bias
    patches = [(x[:, None, :, r * patch:(r + 1) * patch, c * patch:(c + 1) * patch] * kernel).sum((2, 3, 4)) + bias
               for r in range(rows) for c in range(columns)]
    tokens = torch.stack([body.cls_token[0].expand(len(x), -1), *patches], 1) + body.pos_embed
    for block in body.blocks:
        y = layer_norm(tokens, block.norm1)
        d = y.shape[2] // block.attn.heads
        tokens = tokens + naive_attention(block.attn, y, d ** 0.5)
        hidden = layer_norm(tokens, block.norm2) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias
        hidden = hidden * (1 + torch.erf(hidden / 2 ** 0.5)) / 2
        tokens = tokens + hidden @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
    return layer_norm(tokens[:, 0], body.norm)


def test_deit_by_hand():
    torch.manual_seed(0)
    body, x = DeiT((3, 8, 12), 12, 2, 3, 4).double(), torch.rand(2, 3, 8, 12, dtype=torch.float64)
    for parameter in body.parameters():
        parameter.data.normal_(0.2, 0.4)
    expected = by_hand(body, x, 4)
    torch.testing.assert_close(body(x), expected, rtol=1e-9, atol=1e-9)
    body.blocks[1].mlp.fc1.bias.data *= 1.01
    assert not torch.allclose(body(x), expected, rtol=1e-6)


def test_positions_tell_patches_apart():
    """Without positions the order of the patches is invisible; with them it is not."""
    torch.manual_seed(0)
    body, x = DeiT((3, 8, 8), 16, 2, 2, 4).double(), torch.rand(1, 3, 8, 8, dtype=torch.float64)
    swapped = x.roll(4, 3)
    assert not torch.allclose(body(x), body(swapped), rtol=1e-6)
    nn.init.zeros_(body.pos_embed)
    torch.testing.assert_close(body(x), body(swapped), rtol=1e-10, atol=1e-10)


def test_weights_are_drawn_from_a_narrow_normal():
    torch.manual_seed(0)
    body = DeiT((3, 32, 32), 96, 2, 3)
    for name, value in body.named_parameters():
        if name.endswith(("qkv.weight", "fc1.weight", "fc2.weight", "pos_embed")):
            assert abs(value.std() / 0.02 - 1) < 5 / (2 * value.numel()) ** 0.5, name
        if name.endswith(("qkv.bias", "fc1.bias", "fc2.bias", "norm1.bias")):
            assert not value.any(), name


PUBLISHED_KEYS = ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias",
                  *(f"blocks.{layer}.{part}.{kind}" for layer in range(12) for kind in ("weight", "bias")
                    for part in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")),
                  "norm.weight", "norm.bias", "head.weight", "head.bias"]


def published(side=224, width=192, depth=12, heads=3, classes=1000):
    """A network of the published layout with patches of 16, all its numbers drawn, and its state dict."""
    torch.manual_seed(1)
    body, head = DeiT((3, side, side), width, depth, heads, 16), nn.Linear(width, classes)
    for parameter in body.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return body, head, {**body.state_dict(), **{f"head.{key}": value for key, value in head.state_dict().items()}}


def saved(path, content):
    torch.save(content, path)
    return str(path)


def test_the_layout_is_the_published_one(tmp_path):
    _, _, state = published()
    assert set(state) == set(PUBLISHED_KEYS)
    assert state["pos_embed"].shape == (1, 197, 192)
    assert state["patch_embed.proj.weight"].shape == (192, 3, 16, 16)
    assert state["blocks.11.attn.qkv.weight"].shape == (576, 192)
    torch.manual_seed(2)
    body, linear = DeiT((3, 32, 32)), nn.Linear(192, 10)
    drawn = linear.weight.clone()
    load_published(body, linear, saved(tmp_path / "deit.pth", {"model": state}))
    assert body.pos_embed.shape == (1, 65, 192)
    assert body.patch_embed.proj.weight.shape == (192, 3, 4, 4)
    assert torch.equal(linear.weight, drawn)  # ten classes are not the thousand
    for key, value in body.state_dict().items():
        assert torch.equal(value, state[key]) == (key not in ("pos_embed", "patch_embed.proj.weight")), key
    assert torch.equal(body.pos_embed[:, 0], state["pos_embed"][:, 0])


@pytest.mark.parametrize("patch", [2, 4, 8, 16, 32])
def test_the_network_sees_each_patch_enlarged(tmp_path, patch):
    """Scores on small images are the published network's on the patches enlarged (or shrunk) to 16 x 16, exactly."""
    big, head, state = published(64, 24, 2, 3, 7)
    body, linear = DeiT((3, 4 * patch, 4 * patch), 24, 2, 3, patch), nn.Linear(24, 7)
    load_published(body, linear, saved(tmp_path / "deit.pth", state))
    assert torch.equal(body.pos_embed, big.pos_embed)
    x = torch.rand(2, 3, 4 * patch, 4 * patch)
    patches = x.unfold(2, patch, patch).unfold(3, patch, patch).permute(0, 2, 3, 1, 4, 5)  # (n, 4, 4, c, p, p)
    enlarged = F.interpolate(patches.flatten(0, 2), size=(16, 16), mode="bilinear", align_corners=False)
    enlarged = enlarged.view(2, 4, 4, 3, 16, 16).permute(0, 3, 1, 4, 2, 5).reshape(2, 3, 64, 64)
    torch.testing.assert_close(linear(body(x)), head(big(enlarged)), rtol=1e-4, atol=1e-5)
    body.patch_embed.proj.weight.data *= 1.01
    assert not torch.allclose(linear(body(x)), head(big(enlarged)), rtol=1e-4, atol=1e-5)


def test_resizing_to_the_same_size_changes_nothing():
    kernel, table = torch.randn(5, 3, 16, 16), torch.randn(1, 197, 5)
    assert torch.equal(resized_kernel(kernel, 16), kernel)
    assert torch.equal(resized_positions(table, (14, 14)), table)


def bicubic(size, a=-0.75):
    """(size, 14): Keys' cubic convolution (1981) with torch's constant a, samples beyond the border repeated."""
    matrix = torch.zeros(size, 14, dtype=torch.float64)
    for row in range(size):
        place = (row + 0.5) * 14 / size - 0.5
        for tap in range(math.floor(place) - 1, math.floor(place) + 3):
            t = abs(place - tap)
            near, far = (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1, a * (t ** 3 - 5 * t ** 2 + 8 * t - 4)
            matrix[row, min(max(tap, 0), 13)] += near if t <= 1 else far
    return matrix


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (16, 16), (2, 3)])
def test_positions_are_resized_by_cubic_convolution(rows, columns):
    torch.manual_seed(0)
    table = torch.randn(1, 197, 5)
    square = table[0, 1:].view(14, 14, 5).double()
    resized = resized_positions(table, (rows, columns))[0].double()
    torch.testing.assert_close(resized[0], table[0, 0].double(), rtol=0, atol=0)

    def expected(a):
        return torch.einsum("ri,ijd,cj->rcd", bicubic(rows, a), square, bicubic(columns, a)).flatten(0, 1)

    torch.testing.assert_close(resized[1:], expected(-0.75), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(resized[1:], expected(-0.7425), rtol=1e-4, atol=1e-5)


def broken(state, **changes):
    return {**state, **{key.replace("__", "."): value for key, value in changes.items()}}


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda state: 3, "holds no state dict"),
    (lambda state: {"model": {"epoch": 3}}, "holds no state dict"),
    (lambda state: broken(state, dist_token=torch.zeros(1, 1, 24)), "dist_token and 0 other keys are not shared"),
    (lambda state: {key: value for key, value in state.items() if "blocks.1" not in key}, "choose the depth"),
    (lambda state: broken(state, norm__bias=torch.full((24,), torch.nan)), "norm.bias is not made of finite real"),
    (lambda state: broken(state, norm__bias=torch.zeros(24, dtype=torch.int64)), "norm.bias is not made of finite"),
    (lambda state: broken(state, norm__bias=torch.zeros(25)), r"norm.bias has the shape \(25,\), the network's"),
    (lambda state: broken(state, pos_embed=torch.zeros(1, 16, 24)), "pos_embed has the shape"),
    (lambda state: broken(state, pos_embed=torch.zeros(1, 1, 24)), "pos_embed has the shape"),
    (lambda state: broken(state, pos_embed=torch.zeros(0)), "pos_embed has the shape"),
    (lambda state: broken(state, patch_embed__proj__weight=torch.zeros(24, 3)), "proj.weight has the shape"),
    (lambda state: broken(state, patch_embed__proj__weight=torch.zeros(24, 3, 16, 8)), "proj.weight has the shape"),
    (lambda state: broken(state, patch_embed__proj__weight=torch.zeros(24, 1, 16, 16)), "proj.weight has the shape"),
    (lambda state: broken(state, head__bias=torch.zeros(3)), "head.weight has the shape"),
])
def test_refused_files(tmp_path, change, sentence):
    _, _, state = published(64, 24, 2, 3, 7)
    path = saved(tmp_path / "deit.pth", change(state))
    body, linear = DeiT((3, 16, 16), 24, 2, 3, 4), nn.Linear(24, 7)
    with pytest.raises(ValueError, match=f"pretrained = .*{sentence}"):
        load_published(body, linear, path)


class Payload:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("content", [None, b"no weights", Payload()])
def test_a_file_is_never_run(tmp_path, capsys, content):
    path = tmp_path / "deit.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save({"model": content}, path)
    with pytest.raises(ValueError, match="is not a readable file of weights"):
        load_published(DeiT((3, 16, 16), 24, 2, 3, 4), nn.Linear(24, 7), str(path))
    assert "code ran" not in capsys.readouterr().out
