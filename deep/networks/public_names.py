"""What well-known public code calls the weights of our networks: a plain table from its names to ours.

Known are the PreActResNet-18 of Rice et al. 2020 and of the paper's own repository, the ResNet-18 of the same family
(torchvision's names too), the WideResNet of Zhang et al. 2019 (TRADES), as RobustBench stores all three, and timm's
DeiT. A name says nothing of the function: activations, padding and where a shortcut begins have no weights.
"""

import re
from collections.abc import Callable

__all__ = ["of_another_function", "public_name"]

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
LAST: Rule = (r"^(linear|fc)\.", "linear.")
UNUSED = r"^sub_block1\."  # in the files of TRADES: a stage that its network never calls
DEEPMIND = r"^(init_conv|conv_2d)\."  # the first layer of Gowal et al. 2020 and of all who took their code over


def block(first: int, blocks: int) -> Callable[[re.Match[str]], str]:
    """Return how block `b` of stage `s` is called here: the layers of a body are counted through, from `first` on."""
    return lambda name: f"body.{first + blocks * (int(name[1]) - 1) + int(name[2])}."


def rules(model: str, depth: int | None) -> list[Rule]:
    """Return what is replaced in the public names of a network's weights, in order."""
    if model == "preactresnet18":
        return [(r"^conv1\.", "body.0."), (r"^layer([1-4])\.([01])\.", block(1, 2)), (r"\.shortcut\.0\.", ".shortcut."),
                (r"^bn\.", "body.9."), LAST]
    if model == "resnet18":
        return [(r"^conv1\.", "body.0."), (r"^bn1\.", "body.1."), (r"^layer([1-4])\.([01])\.", block(3, 2)),
                (r"\.downsample\.", ".shortcut."), LAST]
    if model == "wideresnet" and depth is not None:
        n = (depth - 4) // 6  # blocks a stage
        return [(r"^conv1\.", "body.0."), (r"^block([1-3])\.layer\.(\d{1,3})\.", block(1, n)),
                (r"\.convShortcut\.", ".shortcut."), (r"^bn1\.", f"body.{1 + 3 * n}."), LAST]
    if model == "deit":
        return [(r"^head\.", "linear."), (r"^(?=(cls_token|pos_embed|patch_embed|blocks|norm)\b)", "body.")]
    return []


def public_name(model: str, depth: int | None, name: str) -> str | None:
    """Return what a weight is called here; None for one that its own network never uses.

    model, depth: as in a recipe. A name that public code does not have is returned as it is.

    >>> public_name("preactresnet18", None, "layer2.0.shortcut.0.weight"), public_name("wideresnet", 10, "bn1.bias")
    ('body.3.shortcut.weight', 'body.4.bias')
    """
    if model == "wideresnet" and re.match(UNUSED, name):
        return None
    for pattern, replacement in rules(model, depth):
        name = re.sub(pattern, replacement, name)
    return name


def of_another_function(names: list[str]) -> str | None:
    """Return why weights of these names are those of a network that is not here, though shapes may agree; or None.

    >>> of_another_function(["init_conv.weight", "layer.0.block.0.conv_0.weight"])
    "are of DeepMind's code, whose networks have other activations and another padding"
    """
    if any(re.match(DEEPMIND, name) for name in names):
        return "are of DeepMind's code, whose networks have other activations and another padding"
    return None
