"""Class attributions and their similarity (CAS), as the paper defines it, and the checks it needs.

The attribution of a sample with features h to class i is h * W[i], elementwise, with W (K, d) the last layer.
"""

import torch

__all__ = ["cas", "class_correlation", "gauge_fixed", "instance_correlation", "margin_cas", "null_cas"]


def checked_shapes(features, labels, weight):
    features, weight = torch.as_tensor(features).double(), torch.as_tensor(weight).double()
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
    return features, labels, weight


def class_means(values, labels, classes):
    sums = torch.zeros(classes, *values.shape[1:], dtype=values.dtype, device=values.device)
    sums.index_add_(0, labels, values)
    return sums / torch.bincount(labels, minlength=classes).view(-1, *[1] * (values.ndim - 1))


def unit(vectors):
    """Vectors over their length; a zero vector stays zero, so that its cosine with anything is 0, never NaN."""
    size = vectors.abs().amax(-1, keepdim=True)  # dividing by it first keeps the squares from overflowing
    vectors = vectors / torch.where(size > 0, size, 1.0)
    return vectors / torch.where(size > 0, vectors.norm(dim=-1, keepdim=True), 1.0)


def class_correlation(features, labels, weight):
    """C[i, j] = cos(A_i, A_j), A_i = mean over class i of h(x) * W[i] (Wei, Guo, Wang 2025; design.md, section 2).

    features: (n, d), the inputs of the last layer, in the paper on adversarial test images; labels: (n,) in
    0..K-1, each class at least once; weight: (K, d). Returns (K, K), float64. Raises ValueError for other shapes,
    for NaN and for a class without samples.

    Two classes that share one of two features:
    >>> round(class_correlation([[1., 1., 0.], [0., 1., 1.]], [0, 1], torch.ones(2, 3))[0, 1].item(), 12)
    0.5
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    attributions = unit(class_means(features, labels, len(weight)) * weight)
    return attributions @ attributions.T


def cas(correlation):
    """CAS = sum over ordered pairs i != j of max(C[i, j], 0), between 0 and K(K-1).

    >>> cas(torch.tensor([[1., .5, -.2], [.5, 1., 0.], [-.2, 0., 1.]]))
    1.0
    """
    correlation = torch.as_tensor(correlation)
    if correlation.ndim != 2 or correlation.shape[0] != correlation.shape[1]:
        raise ValueError(f"a correlation of shape {tuple(correlation.shape)} was given: it must be (K, K).")
    off_diagonal = correlation - torch.diag(correlation.diagonal())
    return off_diagonal.clamp(min=0).sum().item()


def gauge_fixed(weight):
    """W (K, d) with its mean row taken away: a common row changes no prediction, but it changes CAS (theory.md, 7).

    >>> gauge_fixed(torch.tensor([[1.0, 2.0], [3.0, 2.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    weight = torch.as_tensor(weight)
    return weight - weight.mean(0)


def instance_correlation(features, labels, weight):
    """C[i, j] = mean of cos(h(x) * W[i], h(x') * W[j]) over x in class i, x' in class j (per-instance CAS).

    For i = j the mean includes the pairs x = x'. Shapes and errors as `class_correlation`.

    >>> instance_correlation(torch.eye(2), [0, 1], torch.ones(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    means = class_means(unit(features * weight[labels]), labels, len(weight))
    return means @ means.T  # the mean of all cosines is the product of the mean unit vectors


def margin_cas(features, labels, weight):
    """Mean over triples (i, l, j), all different, of cos(A_ij, A_lj), A_ij = mean over class i of (W_i - W_j) * h.

    Features on clean inputs (theory.md, 8). Unchanged by a common row of W, by the logits' scale and by
    h -> D h, W -> W D^-1 with D diagonal. Needs K >= 3.

    The three-class model with r = 1 and g(x) = x: r^2/(1 + r^2) = 1/2.
    >>> own = torch.eye(3)
    >>> round(margin_cas(torch.cat([own, 1 - own], 1), [0, 1, 2], torch.cat([own, 1 - own], 1)), 12)
    0.5
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    classes = len(weight)
    if classes < 3:
        raise ValueError(f"{classes} classes were given: margin-CAS compares triples, so it needs at least 3.")
    means = class_means(features, labels, classes)
    margins = unit((weight[:, None] - weight[None]) * means[:, None])  # (i, j, d), zero for i = j
    cosines = torch.einsum("ijd,ljd->ilj", margins, margins)
    same = torch.eye(classes, dtype=torch.bool, device=cosines.device)
    return cosines[~(same[:, :, None] | same[:, None, :] | same[None, :, :])].mean().item()


def null_cas(features, labels, weight, draws=50, seed=0):
    """CAS with random rows in place of W: (mean, standard deviation) over `draws`.

    The rows are Gaussian; whether they are given the norms of W's rows makes no difference to a cosine.

    An untrained network already has a large CAS, because features are positive (design.md, section 2): only
    what lies above this level says anything about shared features. Errors as `class_correlation`.

    >>> null_cas(torch.eye(2), [0, 1], torch.ones(2, 2))  # features without overlap
    (0.0, 0.0)
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    means = class_means(features, labels, len(weight))
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(draws):
        rows = torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)
        attributions = unit(means * rows)
        values.append(cas(attributions @ attributions.T))
    values = torch.tensor(values, dtype=torch.float64)
    return values.mean().item(), values.std().item()
