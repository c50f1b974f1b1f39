"""Grad-CAM (Selvaraju et al. 2017) with captum: where the evidence for a class lies, and where its shared part does.

A: the last map (n, C, h, w) of a network; alpha_k = mean over pixels of d f_i / d A_k. The channel maps alpha_k A_k
add up to the Grad-CAM map of class i (before its ReLU). A network that averages A over pixels (the residual ones)
has alpha_k = W[i, k]/(h w): its channels are its features, and the sum of a channel map is h_k W[i, k], the paper's
attribution. A channel is two, A_k > 0 and A_k < 0 (deep/evaluation/saliency/shared_evidence.py), of which the networks
that end in a ReLU have one. Shared to the extent c_k, they split the map: shared + exclusive = all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from deep.attacks.pgd import Attack, frozen, pgd
from deep.data.dataset import Split, as_float
from deep.networks.classifier import Classifier
from deep.networks.deit import DeiT
from deep.system.drawing import load_matplotlib

__all__ = ["Evidence", "channel_maps", "evidence", "gradcam", "resize_maps", "signed_maps", "spatial_layer",
           "split_by_sharing"]


@contextmanager
def spatial_layer(model: Classifier, x: Float[Tensor, "n c H W"]) -> Iterator[nn.Module]:
    """Yield the module whose output (n, C, h, w) is the last map of `model` on x, the network in float32 meanwhile.

    A convolutional network, or an outside transformer: the last module that gives a map of more than one pixel, on the
    grid of its pixels or patches (`last_map`). A DeiT: the tokens after the last block's first norm, without the class
    token, on the grid of patches. Later the patches no longer reach the class token. Before that norm they are no good
    either: it removes each token's scale, so that the sum over channels of gradient times token is 0 at every patch.
    ValueError for a network without such a map.

    >>> from deep.networks.classifier import Classifier
    >>> body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> with spatial_layer(Classifier(body, nn.Linear(4, 3), (0.0,), (1.0,)), torch.zeros(1, 1, 8, 8)) as layer:
    ...     layer
    ReLU()
    """
    bf16, model.bf16 = model.bf16, False
    hook: Any = None
    layer: nn.Module
    try:
        if isinstance(model.body, DeiT):
            body: Any = model.body
            layer, grid = nn.Identity(), tuple(body.grid)

            def through_layer(norm: nn.Module, inputs: Any, tokens: Float[Tensor, "n N d"]) -> Float[Tensor, "n N d"]:
                patches = layer(tokens[:, 1:].transpose(1, 2).unflatten(2, grid))
                return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2)], 1)
            hook = body.blocks[-1].norm1.register_forward_hook(through_layer)
        else:
            layer = last_map(model, x)
        yield layer
    finally:
        model.bf16 = bf16
        if hook:
            hook.remove()


# Each of these makes a map of the image, and so a grid (h, w), from another; all other layers keep it.
GRID_MAKERS = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d,
               nn.Upsample)


def last_map(model: Classifier, x: Float[Tensor, "n c H W"]) -> nn.Module:
    """Return the last module of the body whose output is a map of the image; ValueError if there is none.

    Four dimensions are not enough: in a transformer queries are (n, heads, tokens, d) and attention is (n, heads,
    tokens, tokens). A map has the grid that the last convolution or pooling made, at first the image's own, and after a
    sequence of tokens (n, N, d) there is none until the next convolution. A grid of h w > 1 patches has N >= h w
    tokens, so that no attention matrix has its shape.
    """
    found: list[nn.Module] = []
    grid: torch.Size | None = x.shape[2:]

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal grid
        if not isinstance(output, torch.Tensor):
            return
        if isinstance(module, GRID_MAKERS) and output[0, 0].numel() > 1:  # not a pooling that only weighs channels
            grid = output.shape[2:]
        elif output.ndim == 3:
            grid = None
        if output.ndim == 4 and len(output) == 1 and output.shape[2:] == grid and output.shape[2:].numel() > 1:
            found.append(module)
    hooks = [module.register_forward_hook(note) for module in model.body.modules()]
    try:
        with frozen(model), torch.no_grad():
            model(x[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ValueError(f"Grad-CAM was asked of a network ({type(model.body).__name__}) none of whose layers gives a "
                         "map of the image, of more than one pixel: choose a convolutional network or a deit.")
    return found[-1]


def channel_maps(model: Classifier, x: Float[Tensor, "n c H W"], classes: Int[Tensor, "n"]) -> Float[Tensor, "n C h w"]:
    """Compute alpha_k A_k, before the sum over channels and the ReLU; the network is left as it was.

    model: `deep.networks.classifier.Classifier`; x: (n, c, H, W), pixels; classes: (n,), the class i explained for
    each image.
        Raises ValueError for a network without a map.

    >>> from deep.networks.classifier import Classifier
    >>> body = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> model = Classifier(body, nn.Linear(1, 2, bias=False), (0.0,), (1.0,))
    >>> model.linear.weight.data = torch.tensor([[2.0], [-1.0]])
    >>> channel_maps(model, torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([0])).tolist()  # 2 A/(h w)
    [[[[1.0, 0.0]]]]
    """
    return maps_and_values(model, x, classes)[0]


def maps_and_values(model: Classifier, x: Float[Tensor, "n c H W"],
                    classes: Int[Tensor, "n"]) -> tuple[Float[Tensor, "n C h w"], Float[Tensor, "n C h w"]]:
    """Return (alpha_k A_k, A_k), each (n, C, h, w)."""
    load_matplotlib()  # captum imports it
    from captum.attr import LayerGradCam  # captum takes a second to import
    values = []
    with spatial_layer(model, x) as layer, frozen(model), torch.enable_grad():
        hook = layer.register_forward_hook(lambda module, inputs, output: values.append(output.detach()))
        try:
            maps = LayerGradCam(model, layer).attribute(x.detach().clone().requires_grad_(), classes,
                                                        attr_dim_summation=False)
        finally:
            hook.remove()
    return maps.detach(), values[-1]


def signed_maps(model: Classifier, x: Float[Tensor, "n c H W"],
                classes: Int[Tensor, "n"]) -> Float[Tensor, "n 2*C h w"]:
    """Return the channel maps (n, 2 C, h, w), first where A_k > 0, then where not: each half of a channel has one sign.

    Their sum over channels is that of `channel_maps`; arguments and errors too.
    """
    maps, values = maps_and_values(model, x, classes)
    return torch.cat([maps * (values > 0), maps * (values <= 0)], 1)


def gradcam(model: Classifier, x: Float[Tensor, "n c H W"], classes: Int[Tensor, "n"]) -> Float[Tensor, "n h w"]:
    """Compute relu(sum_k alpha_k A_k), in logits: a network that averages over pixels has sum - bias = logit.

    Arguments and errors as `channel_maps`; `resize_maps` brings it to the images' size.

    >>> from deep.networks.classifier import Classifier
    >>> body = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> model = Classifier(body, nn.Linear(1, 2, bias=False), (0.0,), (1.0,))
    >>> model.linear.weight.data = torch.tensor([[2.0], [-1.0]])
    >>> gradcam(model, torch.tensor(2 * [[[[1.0, 0.0]]]]), torch.tensor([0, 1])).tolist()  # class 1: evidence against
    [[[1.0, 0.0]], [[0.0, 0.0]]]
    """
    return channel_maps(model, x, classes).sum(1).relu()


def split_by_sharing(maps: Float[Tensor, "n C h w"],
          fraction: Float[Tensor, "*n C"]) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
    """Return (shared, exclusive): shared = sum_k c_k (alpha_k A_k)^+, exclusive the rest of the sum over k.

    maps: (n, C, h, w), signed or not; fraction: c (C,) or (n, C) in [0, 1], `shared_evidence.shared_fraction` of the
    channels. They add up to the map before its ReLU: evidence against the class is part of `exclusive`. So shared is
    nonnegative, and may be larger than their sum.

    >>> maps = torch.tensor([[[[1.0]], [[2.0]], [[-5.0]]]])
    >>> [part.tolist() for part in split_by_sharing(maps, torch.tensor([1.0, 0.5, 1.0]))]
    [[[[2.0]]], [[[-4.0]]]]
    """
    weights = fraction.to(maps)[..., None, None] * (maps > 0)
    return (weights * maps).sum(1), ((1 - weights) * maps).sum(1)


def resize_maps(maps: Float[Tensor, "n h w"], size: Sequence[int]) -> Float[Tensor, "n H W"]:
    """Resize maps to `size` (H, W), bilinearly.

    >>> resize_maps(torch.ones(2, 4, 4), (32, 32)).shape
    torch.Size([2, 32, 32])
    """
    return F.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


@dataclass(frozen=True)
class Evidence:
    """Per image, in the split's order, for its own class i: labels (n,), features (n, d) of the last layer, scores
    (n, K), channels (n, 2 C): the sums over pixels of its signed maps. maps (m, 2 C, h, w): of the images asked for.
    """

    labels: Int[Tensor, "n"]
    features: Float[Tensor, "n d"]
    scores: Float[Tensor, "n K"]
    channels: Float[Tensor, "n 2*C"]
    maps: Float[Tensor, "m 2*C h w"]


def evidence(model: Classifier, split: Split, attack: Attack | None, seed: int, shown: Sequence[int] = (),
             batch: int = 256, progress: Callable[[int], None] | None = None) -> Evidence:
    """Return the `Evidence` of every image of `split`, after `attack` (None: clean).

    progress(n) is called after n images. shown: the positions in the split of which the signed maps are kept. On the
    whole test split the attacked images are those of `deep cas` with the same seed. ValueError for a network without
    a map.
    """
    generator = torch.Generator(split.images.device).manual_seed(seed)
    kept: dict[int, Tensor] = {}
    columns = []
    for begin in range(0, len(split), batch):
        x, y = as_float(split.images[begin:begin + batch]), split.labels[begin:begin + batch]
        z = x if attack is None else pgd(model, x, y, attack, generator)
        maps = signed_maps(model, z, y)
        with frozen(model), torch.no_grad():
            features = model.features(z)
            columns.append([y, features, model.linear(features), maps.sum((2, 3))])
        kept |= {position: maps[position - begin] for position in shown if begin <= position < begin + batch}
        if progress:
            progress(len(y))
    labels, features, scores, channels = (torch.cat(column).cpu() for column in zip(*columns, strict=True))
    whole = torch.stack([kept[position] for position in shown]).cpu() if shown else torch.empty(0, *maps.shape[1:])
    return Evidence(labels, features, scores, channels, whole)
