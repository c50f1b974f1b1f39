"""What the images of a measurement must be like for its intervals to exist, and to say something."""

from collections.abc import Sequence

from jaxtyping import Int
from torch import Tensor

from deep.evaluation.cas_intervals import FEWEST

__all__ = ["narrow_intervals", "refuse_single_images"]


def smallest_class(labels: Int[Tensor, "n"], names: Sequence[str]) -> tuple[int, str]:
    """Return how many images the class with fewest has, and its name; names: one a class."""
    counts = labels.bincount(minlength=len(names))
    return int(counts.min()), names[int(counts.argmin())]


def images_of(count: int) -> str:
    return f"{count or 'no'} image{'s' * (count != 1)}"


def refuse_single_images(labels: Int[Tensor, "n"], names: Sequence[str], source: str) -> None:
    """Raise ValueError unless each class has two images: the resamples of a single one are all the same.

    labels: of the images, 0..K-1; names: of the K classes; source: what has the images, in words.

    >>> import torch
    >>> refuse_single_images(torch.tensor([0, 1, 1]), ["cat", "dog"], "the test split")
    Traceback (most recent call last):
    ValueError: the test split has 1 image of class cat, but an interval resamples the images of each...
    """
    count, name = smallest_class(labels, names)
    if count < 2:
        raise ValueError(f"{source} has {images_of(count)} of class {name}, but an interval resamples the images of "
                         "each class, and a single one cannot vary: give two or more of each class.")


def narrow_intervals(labels: Int[Tensor, "n"], names: Sequence[str]) -> str | None:
    """Return what to say of intervals from fewer than FEWEST images of a class, None of others; as above.

    A resample of n images varies as n - 1 of them would, and shows no tail that is not among them.

    >>> import torch
    >>> narrow_intervals(torch.tensor([0, 0, 1, 1, 1]), ["cat", "dog"])
    'the intervals are too narrow: class cat has 2 images, and a resampling needs 10 or more of each class'
    """
    count, name = smallest_class(labels, names)
    if count >= FEWEST:
        return None
    return (f"the intervals are too narrow: class {name} has {images_of(count)}, and a resampling needs {FEWEST} or "
            "more of each class")
