"""Neural collapse (Papyan, Han, Donoho 2020) and what else CAS could be a proxy of: norms, row cosines, confidence."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deep.evaluation.cas import checked_shapes, class_means, cosines, gauge_fixed

__all__ = ["last_layer", "neural_collapse"]


def neural_collapse(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], weight: Float[Tensor, "K d"],
                    bias: Float[Tensor, " K"] | None = None) -> dict[str, float]:
    """NC1 to NC4 of the last layer's inputs; 0 at full collapse, each.

    features: (n, d); labels: (n,), each of the K classes at least once; weight: (K, d), bias: (K,) or None.
    With class means m_i, their mean m (of the classes, not of the samples), Sigma_W the mean over classes of the
    covariance within a class and Sigma_B that of the m_i - m:

    - nc1 = tr(Sigma_W Sigma_B^+)/K: variability within classes against that between them;
    - nc2_norms: the standard deviation of |m_i - m| over its mean; nc2_angles: the mean over pairs of
      |cos(m_i - m, m_j - m) + 1/(K - 1)|, the distance from a simplex;
    - nc3 = |W_c/|W_c| - M/|M||, Frobenius norms, M the m_i - m as rows, W_c the row-centred W: self-duality;
    - nc4: the share of samples to which the nearest class mean gives another class than the network.

    Source: Papyan, Han, Donoho 2020 (PNAS 117), as adapted to adversarial inputs by Su et al. 2023 (2311.07444). Errors
    as `class_correlation`.

    >>> simplex = torch.eye(3, dtype=torch.float64) - 1 / 3
    >>> found = neural_collapse(simplex, torch.arange(3), simplex)
    >>> all(abs(value) < 1e-12 for value in found.values())
    True
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    classes = len(weight)
    means = class_means(features, labels, classes)
    centred = means - means.mean(0)
    within = features - means[labels]
    share = 1 / torch.bincount(labels, minlength=classes).double()[labels] / classes
    # Sigma_B = M^T M/K has rank K - 1 at most: its pseudo-inverse is taken in the space of the rows of M
    values, directions = torch.linalg.eigh(centred @ centred.T / classes)
    kept = values > 1e-10 * values.max()
    basis = centred.T @ directions[:, kept] / (classes * values[kept]).sqrt()  # orthonormal columns
    inside = (within @ basis) ** 2 * share[:, None]
    norms = centred.norm(dim=1)
    pairs = cosines(centred)[~torch.eye(classes, dtype=torch.bool)]
    fixed = gauge_fixed(weight)
    scores = features @ weight.T + (0 if bias is None else torch.as_tensor(bias).double().to(features.device))
    nearest = torch.cdist(features, means).argmin(1)
    return {"nc1": (inside.sum(0) / values[kept]).sum().item() / classes,
            "nc2_norms": (norms.std(correction=0) / norms.mean()).item(),
            "nc2_angles": (pairs + 1 / (classes - 1)).abs().mean().item(),
            "nc3": (fixed / fixed.norm() - centred / centred.norm()).norm().item(),
            "nc4": (nearest != scores.argmax(1)).double().mean().item()}


def last_layer(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], weight: Float[Tensor, "K d"],
               bias: Float[Tensor, " K"] | None = None) -> dict[str, float]:
    """Norm of W, mean cosine of its centred rows, and the confidence of the scores.

    weight_norm: Frobenius, of W; row_cosine: the mean over pairs of cos(W_i - mean, W_j - mean), -1/(K - 1) for a
    simplex; confidence: the mean of the highest probability; true_probability: of the true class's.

    >>> found = last_layer(torch.zeros(2, 2), torch.tensor([0, 1]), torch.eye(2))
    >>> found["confidence"], round(found["weight_norm"] ** 2, 12), round(found["row_cosine"], 12)
    (0.5, 2.0, -1.0)
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    scores = features @ weight.T + (0 if bias is None else torch.as_tensor(bias).double().to(features.device))
    probabilities = scores.softmax(1)
    pairs = cosines(gauge_fixed(weight))[~torch.eye(len(weight), dtype=torch.bool)]
    return {"weight_norm": weight.norm().item(), "row_cosine": pairs.mean().item(),
            "confidence": probabilities.amax(1).mean().item(),
            "true_probability": probabilities.gather(1, labels[:, None]).mean().item()}
