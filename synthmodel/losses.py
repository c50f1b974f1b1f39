"""The losses. b is the smoothing: 1 - b on the true class and b/2 on each of the two others.

torch's `label_smoothing=beta` puts 1 - beta + beta/K on the true class: b = beta (K-1)/K.
"""

from dataclasses import dataclass

from synthmodel.setting import checked

__all__ = ["CrossEntropy", "Margin", "SmoothedMargin", "loss_named"]


@dataclass(frozen=True)
class Margin:
    """max_{j != i} f_j - f_i, maximised over the attack (the paper's loss; claim T1)."""


@dataclass(frozen=True)
class SmoothedMargin:
    """(1-b) max_{j != i} f_j + b mean_{j != i} f_j - f_i, maximised over the attack (claim T3); 0 <= b < 1."""

    b: float

    def __post_init__(self):
        object.__setattr__(self, "b", checked("b", self.b, least=0, below=1))


@dataclass(frozen=True)
class CrossEntropy:
    """-(1-b) log p_i - (b/2) sum_{j != i} log p_j at x + delta*, p the softmax of f (claims S1, T1-CE).

    delta* is the monotone attack, the worst case for the hard label (claim A1): E_i - eps, E_j + eps,
    C_i + eps, C_j - eps. It is what adversarial training on the hard label uses; for b > 0 it is not the
    worst case of the smoothed loss itself. 0 <= b < 1. The minimiser is w = 0 at b = 2/3; above it the label
    prefers the wrong classes, delta* is no attack, and the solver refuses.
    """

    b: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "b", checked("b", self.b, least=0, below=1))


def loss_named(name, b=None):
    """The loss called `name` ("margin", "smoothed-margin" or "cross-entropy") with smoothing b.

    Raises ValueError for an unknown name, for a margin loss with b, or a smoothed margin without one.

    >>> loss_named("smoothed-margin", 0.1)
    SmoothedMargin(b=0.1)
    """
    if name == "margin":
        if b is not None and checked("b", b, least=0, below=1) != 0:
            raise ValueError(f"b = {b} was given for the margin loss, which has no smoothing: "
                             "use smoothed-margin or leave b out.")
        return Margin()
    if name == "smoothed-margin":
        if b is None:
            raise ValueError("no b was given for smoothed-margin, which needs 0 <= b < 1: add one, e.g. b = 0.1.")
        return SmoothedMargin(b)
    if name == "cross-entropy":
        return CrossEntropy(0.0 if b is None else b)
    raise ValueError(f"the loss {name!r} is unknown: choose margin, smoothed-margin or cross-entropy.")
