"""A network of one convolution in the place of PreActResNet-18, where a test is about what goes on around a network."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from torch import nn

from deep.networks.registry import NETWORKS


def build(recipe, shape, classes):
    """Convolution, batch norm, ReLU, the mean over positions, and the last layer."""
    body = nn.Sequential(nn.Conv2d(shape[0], 4 * recipe.width, 3, stride=2, padding=1, bias=False),
                         nn.BatchNorm2d(4 * recipe.width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return body, nn.Linear(4 * recipe.width, classes)


@contextmanager
def small_network():
    """PreActResNet-18 is `build`, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "preactresnet18", replace(NETWORKS["preactresnet18"], build=build))
        yield
