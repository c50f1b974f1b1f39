"""Small networks whose weights are called as in well-known public code, written anew: the names are what matters."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class PreActBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, shortcut="shortcut"):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs, 3)
        self.changes = stride != 1 or inputs != outputs
        if self.changes:
            one = conv(inputs, outputs, 1, stride)
            setattr(self, shortcut, nn.Sequential(one) if shortcut == "shortcut" else one)
        self.called = shortcut

    def forward(self, x):
        out = F.relu(self.bn1(x))
        around = getattr(self, self.called)(out) if self.changes else x
        return around + self.conv2(F.relu(self.bn2(self.conv1(out))))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class PreActResNet(nn.Module):
    """As Rice et al. 2020 and the paper's own repository have it: the last batch norm is `bn`."""

    def __init__(self, width, classes):
        super().__init__()
        self.conv1 = conv(3, width, 3)
        for stage, (inputs, outputs, stride) in enumerate([(1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2)], 1):
            setattr(self, f"layer{stage}", nn.Sequential(PreActBlock(inputs * width, outputs * width, stride),
                                                         PreActBlock(outputs * width, outputs * width, 1)))
        self.bn, self.linear = nn.BatchNorm2d(8 * width), nn.Linear(8 * width, classes)

    def forward(self, x):
        out = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.linear(F.relu(self.bn(out)).mean((2, 3)))


class ResNet(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 3), nn.BatchNorm2d(width)
        for stage, (inputs, outputs, stride) in enumerate([(1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2)], 1):
            setattr(self, f"layer{stage}", nn.Sequential(BasicBlock(inputs * width, outputs * width, stride),
                                                         BasicBlock(outputs * width, outputs * width, 1)))
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x):
        out = self.layer4(self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x)))))))
        return self.linear(out.mean((2, 3)))


class WideResNet(nn.Module):
    """As Zhang et al. 2019 (TRADES) have it, with the stage `sub_block1` that is never called."""

    def __init__(self, width, classes, blocks=2):
        super().__init__()

        def stage(inputs, outputs, stride):
            return nn.Sequential(OrderedDict(layer=nn.Sequential(
                PreActBlock(inputs, outputs, stride, "convShortcut"),
                *(PreActBlock(outputs, outputs, 1, "convShortcut") for _ in range(blocks - 1)))))
        self.conv1, self.block1, self.sub_block1 = conv(3, 16, 3), stage(16, width, 1), stage(16, width, 1)
        self.block2, self.block3 = stage(width, 2 * width, 2), stage(2 * width, 4 * width, 2)
        self.bn1, self.fc = nn.BatchNorm2d(4 * width), nn.Linear(4 * width, classes)

    def forward(self, x):
        out = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(out)).mean((2, 3)))


class Normalised(nn.Module):
    """(x - mu)/sigma, then the network, whose weights are called as before: as RobustBench's classes do."""

    def __init__(self, network, mean, std, names=("mu", "sigma")):
        super().__init__()
        self.names = names
        for name, values in zip(names, (mean, std), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))
        self.inner = network

    def forward(self, x):
        return self.inner((x - getattr(self, self.names[0])) / getattr(self, self.names[1]))

    def state_dict(self, *arguments, **options):
        return {name.removeprefix("inner."): value for name, value in super().state_dict(*arguments, **options).items()}


def drawn(network, seed=0):
    """The network in eval mode, every weight, bias, mean and variance drawn at random, so that no two are alike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator)
                scale = 1 / value[0].numel() ** 0.5 if value.ndim > 1 else 0.5
                value.copy_(0.5 + noise.abs() if "var" in name else 1 + 0.2 * noise if value.ndim == 1 and
                            name.endswith("weight") else scale * noise)
    return network.eval()
