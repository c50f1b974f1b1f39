"""Residual networks for small images: bodies that map (n, c, h, w) to (n, d) features, without the last layer."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from deep.networks.convolution import Conv2d

__all__ = ["PreActBlock", "PreActResNet18", "ResNet18", "ResNetBlock", "WideResNet"]


class PreActBlock(nn.Module):
    """Pre-activation block (He et al. 2016, "Identity mappings"): the shortcut is taken after the first BN-ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes_shape = stride != 1 or inputs != outputs
        self.shortcut = Conv2d(inputs, outputs, 1, stride, bias=False) if changes_shape else None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d rows columns"]:
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if self.shortcut is not None else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


class ResNetBlock(nn.Module):
    """Basic block (He et al. 2016, "Deep residual learning"): relu(shortcut + BN-conv-relu-BN-conv), top down."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        changes_shape = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(Conv2d(inputs, outputs, 1, stride, bias=False),
                                      nn.BatchNorm2d(outputs)) if changes_shape else None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d rows columns"]:
        shortcut = self.shortcut(x) if self.shortcut is not None else x
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


def stages(block: Callable[[int, int, int], nn.Module], widths: Sequence[int], blocks: int) -> list[nn.Module]:
    """Return `blocks` blocks for each pair of neighbouring widths; every stage but the first halves the image."""
    layers: list[nn.Module] = []
    for stage, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [block(inputs, outputs, 1 if stage == 0 else 2),
                   *(block(outputs, outputs, 1) for _ in range(blocks - 1))]
    return layers


def draw_kaiming(network: nn.Module) -> None:
    """Draw convolutions from N(0, 2/(k^2 outputs)) (He et al. 2015): a ReLU network keeps a gradient's variance."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def mean_over_pixels() -> list[nn.Module]:
    """Return the layers that take the mean over pixels."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class PreActResNet18(nn.Sequential):
    """The body of PreActResNet-18 for small images: (n, channels, h, w) -> (n, 8 width).

    Eight pre-activation blocks in four stages (He et al. 2016), then batch norm, ReLU and the mean over pixels.
    width: channels of the first stage; 64 is the paper's. Weights: torch's default, as in the paper's public code.

    >>> import torch
    >>> PreActResNet18(4)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        # The blocks draw their weights before the first convolution, as they did for every run there is.
        blocks = stages(PreActBlock, [width, width, 2 * width, 4 * width, 8 * width], 2)
        super().__init__(Conv2d(channels, width, 3, 1, 1, bias=False), *blocks, nn.BatchNorm2d(8 * width),
                         nn.ReLU(), *mean_over_pixels())


class ResNet18(nn.Sequential):
    """The body of ResNet-18 for small images: (n, channels, h, w) -> (n, 8 width).

    Eight basic blocks in four stages (He et al. 2016) after a 3x3 convolution of stride 1 (ImageNet's 7x7 and its
    pooling would leave 1x1 pixels of a 32x32 image), then the mean over pixels. width: channels of the first stage.

    >>> import torch
    >>> ResNet18(4)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        super().__init__(Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                         *stages(ResNetBlock, widths, 2), *mean_over_pixels())
        draw_kaiming(self)


class WideResNet(nn.Sequential):
    """The body of WideResNet-depth-k (Zagoruyko and Komodakis 2016): (n, channels, h, w) -> (n, 4 width).

    width: channels of the first stage, 16 k for widening factor k: 160 is WRN-depth-10. depth: 6 b + 4 for b
    pre-activation blocks in each of three stages. ValueError for another depth.

    >>> import torch
    >>> WideResNet(10, 8)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, depth: int = 28, width: int = 160, channels: int = 3) -> None:
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth = {depth} was given, but a wideresnet has 6 b + 4 layers for a whole b >= 1: "
                             "choose 10, 16, 22, 28, 34 or so on.")
        super().__init__(Conv2d(channels, 16, 3, 1, 1, bias=False),
                         *stages(PreActBlock, [16, width, 2 * width, 4 * width], blocks),
                         nn.BatchNorm2d(4 * width), nn.ReLU(), *mean_over_pixels())
        draw_kaiming(self)
