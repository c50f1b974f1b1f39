"""What images and features must be like for a CAS and its intervals to exist, and to say something."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from deep.evaluation.cas import checked_shapes, class_means
from deep.evaluation.cas_intervals import FEWEST

__all__ = ["narrow_intervals", "refuse_single_images", "refuse_zero_attributions"]


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


def refuse_zero_attributions(features: Float[Tensor, "n d"], labels: Int[Tensor, "n"], weight: Float[Tensor, "K d"],
                             names: Sequence[str], source: str, called: str = "features") -> None:
    """Raise ValueError if A_i, the mean of h * W[i] over class i, is 0 for some i: it has no cosine with another.

    A training goes on with such a network, whose cosines count as 0 (`deep.evaluation.cas.cosines`); somebody's
    features or weights are more likely to be the wrong ones. features: (n, d); labels: (n,), 0..K-1; weight: (K, d);
    names: of the K classes; source: what has them; called: what the features are called.

    >>> import torch
    >>> refuse_zero_attributions(torch.ones(2, 3), torch.tensor([0, 1]), torch.zeros(2, 3), ["cat", "dog"], "f.npz")
    Traceback (most recent call last):
    ValueError: the weight of f.npz is all 0, so that the attributions have no cosine and there is no CAS: give another.
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    means = class_means(features, labels, len(weight))
    for values, name in ((features, called), (weight, "weight")):
        if not values.any():
            raise ValueError(f"the {name} of {source} {'is' if name == 'weight' else 'are'} all 0, so that the "
                             "attributions have no cosine and there is no CAS: give another.")
    for i, name in enumerate(names):
        if not (means[i] * weight[i]).any():
            zero = "its row of weight is 0" if not weight[i].any() else (
                f"the mean of its {called} is 0" + " where its row of weight is not" * bool(means[i].any()))
            raise ValueError(f"class {name} of {source} has the attribution 0 ({zero}), which has no cosine with "
                             "another, and there is no CAS: give others.")
