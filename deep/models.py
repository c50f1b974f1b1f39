"""Networks: each is a `Classifier`, a body of features under one linear layer, with normalisation inside."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Classifier", "PreActResNet18", "build"]


class Classifier(nn.Module):
    """logits = linear(features(x)), features(x) = body((x - mean)/std).

    x: (n, c, h, w), pixels in [0, 1] (planted images: any real). features: (n, d), float32. logits: (n, K).
    bf16: the body runs in bfloat16 autocast; the linear layer, and so every loss, stays in float32.
    """

    def __init__(self, body, linear, mean, std, *, bf16=False, channels_last=False):
        super().__init__()
        self.body, self.linear, self.bf16 = body, linear, bf16
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.to(memory_format=self.memory_format)

    def features(self, x):
        x = ((x - self.mean) / self.std).contiguous(memory_format=self.memory_format)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return self.body(x).float()

    def forward(self, x):
        return self.linear(self.features(x))


class PreActBlock(nn.Module):
    """Pre-activation block (He et al. 2016, "Identity mappings"): the shortcut is taken after the first BN-ReLU."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes_shape = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes_shape else None

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if self.shortcut is not None else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


class PreActResNet18(nn.Sequential):
    """The body of PreActResNet-18 for small images: (n, channels, h, w) -> (n, 8 width).

    Eight pre-activation blocks in four stages (He et al. 2016), then batch norm, ReLU and the mean over pixels.
    width: channels of the first stage; 64 is the paper's.

    >>> PreActResNet18(4)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, width=64, channels=3):
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        stages = []
        for stage, (inputs, outputs) in enumerate(pairwise(widths)):
            stages += [PreActBlock(inputs, outputs, 1 if stage == 0 else 2), PreActBlock(outputs, outputs, 1)]
        super().__init__(nn.Conv2d(channels, width, 3, 1, 1, bias=False), *stages, nn.BatchNorm2d(8 * width), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten())


def build(recipe, data, seed):
    """The network of a recipe for a data set, its weights drawn from `seed` (torch's default initialisation).

    >>> from deep.recipe import recipe_named
    >>> from deep.train import load_data
    >>> recipe = recipe_named("planted-cnn", ["train_size=30", "val_size=3"])
    >>> build(recipe, load_data(recipe), 0)(torch.zeros(5, 1, 8, 12)).shape
    torch.Size([5, 3])
    """
    _, channels, height, width = data.train.images.shape
    classes = len(data.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.model == "preactresnet18":
            body, linear = PreActResNet18(recipe.width, channels), nn.Linear(8 * recipe.width, classes)
        elif recipe.model == "linear":
            body, linear = nn.Flatten(), nn.Linear(channels * height * width, classes, bias=False)
        else:
            # Without biases the network is homogeneous, so that a fixed weight norm fixes its scale (`radius`).
            c = recipe.width
            body = nn.Sequential(nn.Conv2d(channels, c, 3, 1, 1, bias=False), nn.ReLU(),
                                 nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False), nn.ReLU(), nn.Flatten())
            linear = nn.Linear(2 * c * ((height + 1) // 2) * ((width + 1) // 2), classes, bias=False)
        return Classifier(body, linear, data.mean, data.std, bf16=recipe.bf16, channels_last=recipe.channels_last)
