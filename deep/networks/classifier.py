"""Networks: each is a `Classifier`, a body of features under one linear layer, with normalisation inside."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deep.attacks.pgd import frozen
from deep.networks.convolution import overruns
from deep.networks.deit import DeiT, load_published
from deep.networks.registry import NETWORKS, register
from deep.networks.resnet import PreActBlock, PreActResNet18, ResNet18, ResNetBlock, WideResNet
from deep.system.device import seeded

__all__ = ["Classifier", "DeiT", "PreActBlock", "PreActResNet18", "ResNet18", "ResNetBlock", "WideResNet", "build",
           "load_published", "own_names", "register", "split_last_linear"]


class Classifier(nn.Module):
    """logits = linear(features(x)), features(x) = body((x - mean)/std).

    x: (n, c, h, w), pixels in [0, 1] (planted images: any real). features: (n, d), logits: (n, K), both in the
    parameters' precision. bf16: the body runs in bfloat16 autocast; the linear layer, and so every loss, does not.
    channels_last: the body's layout, unless a convolution of an outside network needs the contiguous one (`overruns`).
    The gradient in x is contiguous, whatever the body's memory format: outside attacks take `.view`s of it.
    """

    mean: Float[Tensor, "1 c 1 1"]
    std: Float[Tensor, "1 c 1 1"]

    def __init__(self, body: nn.Module, linear: nn.Linear, mean: Sequence[float], std: Sequence[float], *,
                 bf16: bool = False, channels_last: bool = False) -> None:
        super().__init__()
        self.body, self.linear, self.bf16 = body, linear, bf16
        safe = not any(map(overruns, body.modules()))
        self.memory_format = torch.channels_last if channels_last and safe else torch.contiguous_format
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]  # torch's own stub lacks it

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return what the last layer sees."""
        x = x.flatten(1).view(x.shape)  # the same pixels; on the way back, flattening makes the gradient contiguous
        x = ((x - self.mean) / self.std).contiguous(memory_format=self.memory_format)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return self.body(x).to(self.mean.dtype)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n K"]:
        return self.linear(self.features(x))


def split_last_linear(network: nn.Module, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Return (body, linear): an outside network's last linear layer, and the network with the identity in its place.

    The layer is the one whose output the network returns, seen on two random images of `shape` (c, h, w). Raises
    ValueError if there is none, if its scores are not (n, classes), or if linear(body(x)) is not network(x).

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> body, linear = split_last_linear(network, (3, 2, 2), 2)
    >>> body(torch.zeros(7, 3, 2, 2)).shape, linear
    (torch.Size([7, 5]), Linear(in_features=5, out_features=2, bias=True))
    """
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    calls: list[tuple[nn.Linear, Tensor]] = []
    hooks = [module.register_forward_hook(lambda layer, _, scores: calls.append((layer, scores)))
             for module in network.modules() if isinstance(module, nn.Linear)]
    with frozen(network), torch.no_grad():
        try:
            scores = network(x)
        except RuntimeError as error:
            raise ValueError(f"the network {type(network).__name__} was given, but it fails on images of "
                             f"{shape[1]}x{shape[2]} pixels ({str(error).partition(chr(10))[0]}): choose another model "
                             "or images of another size, such as resize=N makes of image files.") from error
        for hook in hooks:
            hook.remove()
        last = next((layer for layer, output in calls if output is scores), None)
        if last is None or scores.shape != (2, classes):
            raise ValueError(f"the network {type(network).__name__} was given, but it does not return the scores "
                             f"(n, {classes}) of a last nn.Linear: return them unchanged, or the pair (body, linear).")
        name = next(name for name, module in network.named_modules() if module is last)
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, nn.Identity())
        if not torch.equal(last(network(x)), scores):
            raise ValueError(f"the network {type(network).__name__} was given, but it uses its last layer {name} more "
                             "than once: return the pair (body, linear).")
    return network, last


def build(recipe: Any, data: Any, seed: int) -> Classifier:
    """Build the network of a `Recipe` for a `Data`, which live on floors above, its weights drawn from `seed`.

    >>> from deep.recipe.recipe import recipe_named
    >>> from deep.training.loop import load_data
    >>> recipe = recipe_named("planted-cnn", ["train_size=30", "val_size=3"])
    >>> build(recipe, load_data(recipe), 0)(torch.zeros(5, 1, 8, 12)).shape
    torch.Size([5, 3])
    """
    shape, classes = tuple(data.train.images.shape[1:]), len(data.classes)
    with seeded(seed, torch.device("cpu")):
        network = NETWORKS[recipe.model].build(recipe, shape, classes)
        body, linear = network if isinstance(network, tuple) else split_last_linear(network, shape, classes)
        return Classifier(body, linear, data.mean, data.std, bf16=recipe.bf16, channels_last=recipe.channels_last)


def own_names(recipe: Any, data: Any) -> dict[str, str]:
    """Return what a network's own state dict calls its weights, and what its `Classifier` does: {own: here}, in order.

    Arguments as `build`. A network that is built as the pair (body, linear) has no names of its own.

    >>> @register("two-layers", needs=())
    ... def two_layers(recipe, shape, classes):
    ...     return nn.Sequential(nn.Flatten(), nn.Linear(6, 2), nn.ReLU(), nn.Linear(2, classes, bias=False))
    >>> from deep.data.planted import planted_images
    >>> from deep.recipe.recipe import recipe_named
    >>> data = planted_images(1.0, 0.5, patch=1, train_size=3, val_size=3, seed=0)
    >>> own_names(recipe_named("at", ["model=two-layers"]), data)
    {'1.weight': 'body.1.weight', '1.bias': 'body.1.bias', '3.weight': 'linear.weight'}
    >>> _ = NETWORKS.pop("two-layers")
    """
    shape, classes = tuple(data.train.images.shape[1:]), len(data.classes)
    with seeded(0, torch.device("cpu")):
        network = NETWORKS[recipe.model].build(recipe, shape, classes)
        if isinstance(network, tuple):
            return {}
        names = list(network.state_dict())
        body, _ = split_last_linear(network, shape, classes)
    left = body.state_dict()
    return {name: f"body.{name}" if name in left else f"linear.{name.rpartition('.')[2]}" for name in names}
