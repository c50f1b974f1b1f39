"""Class attributions and their similarity (CAS), as the paper defines it, and the checks it needs.

The attribution of a sample with features h to class i is h * W[i], elementwise, with W (K, d) the last layer.
All of it is a function of class means: `cosines`, `positive_sum` and `margin_similarity` take them with any leading
dimensions, so that a bootstrap is one more dimension (deep/evaluation/cas_intervals.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["Profile", "Values", "cas", "class_correlation", "class_profile", "cosines", "gauge_fixed",
           "instance_correlation", "margin_cas", "margin_similarity", "null_cas", "pairs_of", "positive_sum",
           "random_rows"]

SAME = 1e-12  # |A_ij|^2 over the terms it is a difference of: below, rows W_i and W_j are equal but for rounding

Values = Tensor | ArrayLike  # what torch.as_tensor takes


def checked_shapes(features: Values, labels: Values,
                   weight: Values) -> tuple[Float[Tensor, "n d"], Int[Tensor, "n"], Float[Tensor, "K d"]]:
    features, weight = torch.as_tensor(features), torch.as_tensor(weight)
    labels = torch.as_tensor(labels)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels of type {labels.dtype} were given: they must be whole numbers 0..K-1, one a sample.")
    labels = labels.long()
    if features.ndim != 2 or weight.ndim != 2 or labels.ndim != 1 or features.shape[1] != weight.shape[1] \
            or len(features) != len(labels):
        raise ValueError(f"features {tuple(features.shape)}, labels {tuple(labels.shape)} and weight "
                         f"{tuple(weight.shape)} were given: they must be (n, d), (n,) and (K, d).")
    if not (features.isfinite().all() and weight.isfinite().all()):
        raise ValueError("features or weight hold a NaN or an infinity: attributions need finite numbers.")
    counts = torch.bincount(labels, minlength=len(weight)) if len(labels) and labels.min() >= 0 else torch.zeros(1)
    if len(counts) != len(weight) or (counts == 0).any():
        raise ValueError(f"labels must name each of the {len(weight)} classes 0..{len(weight) - 1} at least once "
                         "and no other: check the labels.")
    return features.double(), labels, weight.double()


def class_means(values: Float[Tensor, "n d"], labels: Int[Tensor, "n"], classes: int) -> Float[Tensor, "K d"]:
    """Return (K, d), float64: the mean of the rows of values (n, d) over each class."""
    return torch.stack([values[labels == label].double().mean(0) for label in range(classes)])


def over(vectors: Tensor, size: Tensor) -> Tensor:
    """Return vectors/size, and 0 where size is 0."""
    return vectors / torch.where(size > 0, size, 1.0)


def scaled(vectors: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """Divide vectors by their largest entry, so that squares neither overflow nor vanish; zero stays zero."""
    return over(vectors, torch.linalg.vector_norm(vectors, torch.inf, -1, keepdim=True))


def unit(vectors: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """Divide vectors by their length; zero stays zero, so that its cosine with anything is 0, never NaN."""
    vectors = scaled(vectors)
    return over(vectors, vectors.norm(dim=-1, keepdim=True))


def cosines(vectors: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch K K"]:
    """Return the cosine of any two rows: (..., K, d) -> (..., K, K).

    >>> cosines(torch.tensor([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0]]))[0].tolist()
    [1.0, 0.707..., 0.0]
    """
    vectors = scaled(vectors)
    products = vectors @ vectors.mT
    length = products.diagonal(dim1=-2, dim2=-1).sqrt()
    return over(products, length[..., :, None] * length[..., None, :])


def class_correlation(features: Values, labels: Values, weight: Values) -> Float[Tensor, "K K"]:
    """Compute C[i, j] = cos(A_i, A_j), A_i the mean of h(x) * W[i] over class i (Wei, Guo, Wang 2025; THEORY.md).

    features: (n, d), the inputs of the last layer, in the paper on adversarial test images; labels: (n,) in
    0..K-1, each class at least once; weight: (K, d). Returns (K, K), float64. Raises ValueError for other shapes,
    for NaN and for a class without samples.

    Two classes that share one of two features:
    >>> round(class_correlation([[1., 1., 0.], [0., 1., 1.]], [0, 1], torch.ones(2, 3))[0, 1].item(), 12)
    0.5
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    return cosines(class_means(features, labels, len(weight)) * weight)


def pairs_of(classes: int, superclasses: Sequence[str] = ()) -> dict[str, Bool[Tensor, "K K"]]:
    """Return masks of ordered pairs i != j: {"cas": all}; given superclasses, also "cas_within" and "cas_between".

    superclasses: the superclass of each class, in any names (CIFAR-100: 20 of 5 classes). ValueError unless one
    is given for each class.

    >>> masks = pairs_of(100, [i % 20 for i in range(100)])
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'cas': 9900, 'cas_within': 400, 'cas_between': 9500}
    """
    others = ~torch.eye(classes, dtype=torch.bool)
    if not len(superclasses):
        return {"cas": others}
    if len(superclasses) != classes:
        raise ValueError(f"{len(superclasses)} superclasses were given for {classes} classes: name one for each class.")
    known = sorted(set(superclasses))
    groups = torch.tensor([known.index(name) for name in superclasses])
    same = groups[:, None] == groups
    return {"cas": others, "cas_within": others & same, "cas_between": ~same}


def positive_sum(correlation: Float[Tensor, "*batch K K"], pairs: Bool[Tensor, "K K"]) -> Float[Tensor, "*batch"]:
    """Sum max(C[i, j], 0) over the pairs of a (K, K) mask: (..., K, K) -> (...).

    >>> positive_sum(torch.tensor([[1., .5], [-.5, 1.]]), pairs_of(2)["cas"]).item()
    0.5
    """
    return torch.where(pairs.to(correlation.device), correlation, 0.0).clamp(min=0).sum((-2, -1))


def checked_square(correlation: Values) -> Float[Tensor, "K K"]:
    correlation = torch.as_tensor(correlation)
    if correlation.ndim != 2 or correlation.shape[0] != correlation.shape[1]:
        raise ValueError(f"a correlation of shape {tuple(correlation.shape)} was given: it must be (K, K).")
    return correlation


def cas(correlation: Values) -> float:
    """Compute CAS = sum over ordered pairs i != j of max(C[i, j], 0), between 0 and K(K-1).

    >>> cas(torch.tensor([[1., .5, -.2], [.5, 1., 0.], [-.2, 0., 1.]]))
    1.0
    """
    correlation = checked_square(correlation)
    return positive_sum(correlation, pairs_of(len(correlation))["cas"]).item()


class Profile(NamedTuple):
    """By class: its part of CAS (K,), its top partner (K,), int64, and the cosine with it (K,)."""

    share: torch.Tensor
    partner: torch.Tensor
    cosine: torch.Tensor


def class_profile(correlation: Values) -> Profile:
    """Return how CAS spreads over classes: share[i] = sum over j != i of max(C[i, j], 0), and the j of largest C[i, j].

    correlation: (K, K), K >= 2. The shares sum to CAS. A class that shares nothing has share 0, and the cosine with
    its top partner says so (it is not positive). Returns a `Profile`; ValueError for another shape or a NaN.

    >>> share, partner, cosine = class_profile(torch.tensor([[1., .5, -.2], [.5, 1., .25], [-.2, .25, 1.]]))
    >>> share.tolist(), partner.tolist(), cosine.tolist()
    ([0.5, 0.75, 0.25], [1, 0, 1], [0.5, 0.5, 0.25])
    """
    correlation = checked_square(correlation)
    if len(correlation) < 2 or not correlation.isfinite().all():
        raise ValueError(f"a correlation of {len(correlation)} classes was given: a profile needs at least 2, and no "
                         "NaN or infinity in it.")
    own = torch.eye(len(correlation), dtype=torch.bool, device=correlation.device)
    others = correlation.masked_fill(own, -torch.inf)
    cosine, partner = others.max(1)
    return Profile(others.clamp(min=0).sum(1), partner, cosine)


def gauge_fixed(weight: Values) -> Float[Tensor, "K d"]:
    """Take its mean row from W (K, d): a common row changes no prediction, but it changes CAS (THEORY.md, CAS).

    >>> gauge_fixed(torch.tensor([[1.0, 2.0], [3.0, 2.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    weight = torch.as_tensor(weight)
    return weight - weight.mean(0)


def instance_correlation(features: Values, labels: Values, weight: Values) -> Float[Tensor, "K K"]:
    """Compute C[i, j] = mean of cos(h(x) * W[i], h(x') * W[j]) over x in class i, x' in class j.

    For i = j the mean includes the pairs x = x'. Shapes and errors as `class_correlation`.

    >>> instance_correlation(torch.eye(2), [0, 1], torch.ones(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    means = class_means(unit(features * weight[labels]), labels, len(weight))
    return means @ means.T  # the mean of all cosines is the product of the mean unit vectors


def margin_similarity(means: Float[Tensor, "*batch K d"],
                      weight: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """Compute margin-CAS from class means (..., K, d) and W (..., K, d), in O(K^2 d) time, memory O(K^2 + K d).

    With unit vectors u_ij = A_ij/|A_ij|, the cosines of the triples with the same j sum to |sum_i u_ij|^2 - sum_i 1
    over i with A_ij != 0, and |A_ij|^2 = sum_d m_i^2 (W_i - W_j)^2 is a sum of matrix products: no triple is formed.
    """
    classes = weight.shape[-2]
    weight = weight - weight.mean(-2, keepdim=True)  # a large common row would cancel only up to rounding
    weight, means = over(weight, weight.abs().amax((-2, -1), keepdim=True)), scaled(means)
    own = ((means * weight) ** 2).sum(-1, keepdim=True)
    other = means ** 2 @ (weight ** 2).mT
    squares = own - 2 * (means ** 2 * weight) @ weight.mT + other  # (..., i, j)
    nonzero = squares > SAME * (own + other)
    inverse = torch.where(nonzero, squares, 1.0).rsqrt() * nonzero
    sums = inverse.mT @ (means * weight) - weight * (inverse.mT @ means)  # (..., j, d): sum_i u_ij
    total = (sums ** 2).sum((-2, -1)) - nonzero.sum((-2, -1))
    return total / (classes * (classes - 1) * (classes - 2))


def margin_cas(features: Values, labels: Values, weight: Values) -> float:
    """Average cos(A_ij, A_lj) over triples (i, l, j), all different; A_ij = mean of (W_i - W_j) * h over class i.

    Features on clean inputs (THEORY.md, mCAS). Unchanged by a common row of W, by the logits' scale and by
    h -> D h, W -> W D^-1 with D diagonal. A_ij = 0 gives cosine 0. Needs K >= 3.

    The three-class model with r = 1 and g(x) = x: r^2/(1 + r^2) = 1/2.
    >>> own = torch.eye(3)
    >>> round(margin_cas(torch.cat([own, 1 - own], 1), [0, 1, 2], torch.cat([own, 1 - own], 1)), 12)
    0.5
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    if len(weight) < 3:
        raise ValueError(f"{len(weight)} classes were given: margin-CAS compares triples, so it needs at least 3.")
    return margin_similarity(class_means(features, labels, len(weight)), weight).item()


def random_rows(weight: Float[Tensor, "K d"], draws: int, seed: int = 0) -> Float[Tensor, "draws K d"]:
    """Return (draws, K, d): Gaussian rows in place of W (K, d), float64 on its device.

    Whether they are given the norms of W's rows makes no difference to a cosine.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(weight.shape, generator=generator, dtype=torch.float64) for _ in range(draws)]
    return torch.stack(rows).to(weight.device)


def null_cas(features: Values, labels: Values, weight: Values, draws: int = 50, seed: int = 0) -> tuple[float, float]:
    """Compute CAS with random rows in place of W: (mean, standard deviation) over `draws`, at least 2.

    An untrained network already has a large CAS, because features are positive (deep/README.md, Conventions): only
    what lies above this level says anything about shared features. Errors as `class_correlation`.

    >>> null_cas(torch.eye(2), [0, 1], torch.ones(2, 2))  # features without overlap
    (0.0, 0.0)
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    if draws < 2:
        raise ValueError(f"draws = {draws} was given, but a spread needs at least 2: draw more.")
    means = class_means(features, labels, len(weight))
    values = positive_sum(cosines(means * random_rows(weight, draws, seed)), pairs_of(len(weight))["cas"])
    return values.mean().item(), values.std().item()
