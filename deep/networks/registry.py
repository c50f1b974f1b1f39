"""The registry: which networks a recipe can name, and how each is built.

torch is imported only when a network is built, so that recipes are read and refused without it.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NETWORKS", "SIZES", "Network", "built_in", "import_networks", "register"]


@dataclass(frozen=True)
class Network:
    """build(recipe, shape, classes) -> network; needs: the fields of SIZES it reads; pretrained: if it reads that."""

    build: Callable[[Any, tuple[int, ...], int], nn.Module | tuple[nn.Module, nn.Linear]]
    needs: tuple[str, ...]
    pretrained: bool


Builder = TypeVar("Builder", bound=Callable[..., Any])
NETWORKS: dict[str, Network] = {}
SIZES = ("width", "depth", "patch_size")  # fields of a recipe: set exactly for the networks that need them


def register(name: str, needs: Iterable[str] = ("width",), pretrained: bool = False) -> Callable[[Builder], Builder]:
    """Return a decorator: a recipe's `model=name` is what the function below it builds.

    The function gets the recipe, the images' shape (c, h, w) and the number of classes K. It returns any nn.Module
    that maps (n, c, h, w) to the (n, K) scores of a last nn.Linear, or the pair (body, that layer). Pixels arrive
    normalised. needs: which of width, depth and patch_size of the recipe it reads: these must be given, and the
    others left out. pretrained: whether it reads the recipe's file of that name. Whoever trains, evaluates or loads
    such a network registers it first. ValueError for a name that is taken or no word, or a size that no recipe has.

    >>> from torch import nn
    >>> @register("mean-colour", needs=())
    ... def mean_colour(recipe, shape, classes):
    ...     return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(shape[0], classes))
    >>> "mean-colour" in NETWORKS, NETWORKS.pop("mean-colour").needs
    (True, ())
    """
    if not re.fullmatch("[a-z0-9_-]+", name):
        raise ValueError(f"the network's name {name!r} was given, but it becomes part of a folder's name: use "
                         "lower-case letters, digits, - and _.")
    if name in NETWORKS:
        raise ValueError(f"a network named {name} was given, but that name is registered already: choose another than "
                         f"{', '.join(NETWORKS)}.")

    if not set(needs) <= set(SIZES):
        raise ValueError(f"needs = {needs} was given for the network {name}, but a network's sizes are "
                         f"{', '.join(SIZES)}: write a tuple of some of them.")

    def enter(build: Builder) -> Builder:
        NETWORKS[name] = Network(build, tuple(needs), pretrained)
        return build
    return enter


def built_in(name: str) -> bool:
    """Tell whether a network of the registry is one of this module's own.

    >>> built_in("cnn")
    True
    """
    return NETWORKS[name].build.__module__ == __name__


def import_networks(modules: Iterable[str]) -> None:
    """Import modules, by name, for the networks that they register; the current folder is searched first.

    ValueError for a module that is not found, or that fails.

    >>> import_networks(["no_such_module"])
    Traceback (most recent call last):
    ValueError: --import no_such_module was given, but it could not be imported (ModuleNotFoundError: ...): name a ...
    """
    for name in modules:
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            import_module(name)
        except Exception as error:  # whatever the module itself does
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise ValueError(f"--import {name} was given, but it could not be imported ({type(error).__name__}: "
                             f"{reason}): name a module that registers networks, as in `import {name}`, and start "
                             "where it lies.") from error


@register("preactresnet18")
def preactresnet18(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build the paper's network."""
    from torch import nn

    from deep.networks.resnet import PreActResNet18
    return PreActResNet18(recipe.width, shape[0]), nn.Linear(8 * recipe.width, classes)


@register("resnet18")
def resnet18(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build a ResNet-18 for small images."""
    from torch import nn

    from deep.networks.resnet import ResNet18
    return ResNet18(recipe.width, shape[0]), nn.Linear(8 * recipe.width, classes)


@register("wideresnet", needs=("width", "depth"))
def wideresnet(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build a WideResNet; WRN-28-10 has depth 28 and width 160 = 16 x 10."""
    from torch import nn

    from deep.networks.resnet import WideResNet
    body, linear = WideResNet(recipe.depth, recipe.width, shape[0]), nn.Linear(4 * recipe.width, classes)
    nn.init.zeros_(linear.bias)
    return body, linear


@register("deit", needs=("width", "depth", "patch_size"), pretrained=True)
def deit(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build a DeiT; DeiT-Ti has width 192 and depth 12.

    A head for every 64 channels, as in all published sizes; below 64 one.
    """
    from torch import nn

    from deep.networks.deit import DeiT, draw_truncated, load_published
    heads = max(1, recipe.width // 64)
    body, linear = DeiT(shape, recipe.width, recipe.depth, heads, recipe.patch_size), nn.Linear(recipe.width, classes)
    draw_truncated(linear)
    if recipe.pretrained is not None:
        load_published(body, linear, recipe.pretrained)
    return body, linear


@register("linear", needs=())
def linear(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build f(x) = W x."""
    from torch import nn
    return nn.Flatten(), nn.Linear(math.prod(shape), classes, bias=False)


@register("cnn")
def cnn(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build two convolutions without biases: homogeneous, so that a fixed weight norm fixes its scale (`radius`)."""
    from torch import nn
    (channels, height, width), c = shape, recipe.width
    body = nn.Sequential(nn.Conv2d(channels, c, 3, 1, 1, bias=False), nn.ReLU(),
                         nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False), nn.ReLU(), nn.Flatten())
    return body, nn.Linear(2 * c * ((height + 1) // 2) * ((width + 1) // 2), classes, bias=False)


@register("mlp")
def mlp(recipe: Any, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build one hidden layer of `width` rectified units, without biases: homogeneous, as `cnn` is."""
    from torch import nn
    body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), recipe.width, bias=False), nn.ReLU())
    return body, nn.Linear(recipe.width, classes, bias=False)
