"""What a network makes of each image of a split, clean and attacked: every accuracy and CAS follows from it."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """Per sample, in the split's order: labels, clean and robust correctness (bool), features (n, d) of both."""

    labels: Int[Tensor, "n"]
    clean: Bool[Tensor, "n"]
    robust: Bool[Tensor, "n"]
    clean_features: Float[Tensor, "n d"]
    features: Float[Tensor, "n d"]
