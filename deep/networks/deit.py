"""The vision transformer DeiT for images of any size, and how it takes over weights published for 224x224."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Attention", "DeiT", "load_published", "resized_kernel", "resized_positions"]


class Attention(nn.Module):
    """Multi-head self-attention: proj(concatenation over heads of softmax(q k^T / sqrt(d)) v), d = width/heads.

    x: (n, tokens, width). q, k, v: the three parts of qkv(x), each cut into `heads` pieces of d channels.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))


class Block(nn.Module):
    """x + attn(norm1(x)), then x + mlp(norm2(x)): normalisation comes first, the hidden layer is 4 times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(width, 4 * width), act=nn.GELU(),
                                             fc2=nn.Linear(4 * width, width)))

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DeiT(nn.Module):
    """The body of DeiT (Touvron et al. 2021), the class token after the last norm: (n, c, h, w) -> (n, width).

    shape: (c, h, w) of the images; h and w must be multiples of `patch`. Tokens: the class token, then the patches
    row by row, each with its row of a learned position table; the defaults are DeiT-Ti for 32x32 images.
    Weights: truncated normal of deviation 0.02 for linear layers, class token and positions, zero biases, torch's
    default for the patches' convolution. No dropout, no stochastic depth. ValueError for sizes that do not divide.

    >>> DeiT((3, 32, 32), width=8, depth=1, heads=2)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 8])
    """

    def __init__(self, shape: tuple[int, ...], width: int = 192, depth: int = 12, heads: int = 3,
                 patch: int = 4) -> None:
        super().__init__()
        channels, *size = shape
        if any(side % patch for side in size):
            raise ValueError(f"patch_size = {patch} was given, but the images have {size[0]}x{size[1]} pixels: choose "
                             "a patch size that divides both.")
        if width % heads:
            raise ValueError(f"width = {width} was given, but it must be a multiple of the {heads} heads: choose a "
                             f"multiple of {64 * heads}.")
        self.grid = [side // patch for side in size]
        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(channels, width, patch, patch)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(self.grid), width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                draw_truncated(module)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n width"]:
        patches = self.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], 1) + self.pos_embed
        return self.norm(self.blocks(tokens)[:, 0])


def draw_truncated(linear: nn.Linear) -> None:
    """Draw the weights from a truncated normal law of deviation .02, and set the biases to 0."""
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)


def resized_kernel(kernel: Float[Tensor, "d c P P"], patch: int) -> Float[Tensor, "d c patch patch"]:
    """Return kernel' with sum kernel' x = sum kernel (x enlarged bilinearly to P x P).

    So the tokens of small images are those the published network sees on each patch enlarged: exact, not a fit.

    >>> resized_kernel(torch.ones(1, 1, 16, 16), 4)[0, 0, 0].tolist()  # each pixel stands for 16
    [16.0, 16.0, 16.0, 16.0]
    """
    pixels = torch.eye(patch * patch).view(-1, 1, patch, patch)
    enlarged = F.interpolate(pixels, size=kernel.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return torch.einsum("pij,dcij->dcp", enlarged, kernel.float()).unflatten(2, (patch, patch))


def resized_positions(table: Float[Tensor, "1 tokens d"], grid: Sequence[int]) -> Float[Tensor, "1 resized d"]:
    """Return the positions of a square grid, 1 + s^2, for grid = (h, w), 1 + h w: bicubic (DeiT's fine-tuning).

    The class token's row comes first and stays.

    >>> resized_positions(torch.ones(1, 1 + 14 * 14, 2), (8, 8)).shape
    torch.Size([1, 65, 2])
    """
    side = math.isqrt(table.shape[1] - 1)
    square = table[:, 1:].float().transpose(1, 2).unflatten(2, (side, side))
    resized = F.interpolate(square, size=tuple(grid), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1].float(), resized.flatten(2).transpose(1, 2)], 1)


def published_state(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict, bare or under "model" as DeiT publishes it; unpickle nothing else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage with half a dozen exception types
        raise ValueError(f"pretrained = {path} was given, but it is not a readable file of weights "
                         f"({type(error).__name__}): give the .pth of a published DeiT.") from error
    state = state.get("model", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"pretrained = {path} was given, but it holds no state dict: give the .pth of a published "
                         "DeiT.")
    bad = [key for key, value in state.items() if not (value.is_floating_point() and value.isfinite().all())]
    if bad:
        raise ValueError(f"pretrained = {path} was given, but its {bad[0]} is not made of finite real numbers: copy "
                         "the file again.")
    return dict(state)


def load_published(body: DeiT, linear: nn.Linear, path: str | Path) -> None:
    """Load a published DeiT (keys as in timm: cls_token, ..., head.bias) into `body` and its last layer `linear`.

    The position table and the patches' kernel are resized to the body's; the head is taken over if it has as many
    classes as `linear`, which otherwise stays as it was drawn. The published weights expect ImageNet's
    normalisation, the network has its data set's. ValueError names a key that is missing, unknown or does not fit.
    """
    state = published_state(path)
    expected = {key: value.shape for key, value in body.state_dict().items()}
    strange = sorted(set(state) ^ {*expected, "head.weight", "head.bias"})
    if strange:
        raise ValueError(f"pretrained = {path} was given, but {strange[0]} and {len(strange) - 1} other keys are not "
                         f"shared with a DeiT of {len(body.blocks)} layers: choose the depth of that network, one "
                         "without a distillation token.")
    kernel, table, classes = state["patch_embed.proj.weight"], state["pos_embed"], state["head.bias"].numel()
    width, channels, patch, _ = expected["patch_embed.proj.weight"]
    side = max(1, math.isqrt(max(0, table.numel() // width - 1)))
    published_patch = max(1, math.isqrt(kernel.numel() // (width * channels)))
    expected |= {"patch_embed.proj.weight": (width, channels, published_patch, published_patch),
                 "pos_embed": (1, 1 + side * side, width),
                 "head.weight": (classes, width), "head.bias": (classes,)}
    for key, shape in expected.items():
        if state[key].shape != tuple(shape):
            raise ValueError(f"pretrained = {path} was given, but its {key} has the shape {tuple(state[key].shape)}, "
                             f"the network's {tuple(shape)}: choose the width and the images of that network.")
    head = {name: state.pop(f"head.{name}") for name in ("weight", "bias")}
    body.load_state_dict(state | {"patch_embed.proj.weight": resized_kernel(kernel, patch),
                                  "pos_embed": resized_positions(table, body.grid)})
    if classes == linear.out_features:
        linear.load_state_dict(head)
