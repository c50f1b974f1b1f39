"""r, k and the wrong-class spread read off adversarial margins alone, without any feature (THEORY.md, E-margins)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deep.evaluation.cas import Values
from deep.evaluation.outcome import Outcome

__all__ = ["margin_estimates", "margins_of", "wrong_class_margins"]


def wrong_class_margins(outcome: Outcome, linear: torch.nn.Linear) -> Float[Tensor, "n K-1"]:
    """Compute m_j = f_i - f_j on the attacked images, i the image's class, j the other classes in ascending order.

    The scores follow from the features of `outcome`, f = W h + b in float64, so nothing is run again. linear: the
    last layer. ValueError if a score is not finite or a label names no class.

    >>> from deep.evaluation.outcome import Outcome
    >>> linear = torch.nn.Linear(2, 3)
    >>> linear.weight.data, linear.bias.data = torch.tensor([[1.0, 0], [0, 1], [0, 0]]), torch.zeros(3)
    >>> features, labels = torch.tensor([[4.0, 1.0], [4.0, 1.0]]), torch.tensor([0, 1])
    >>> wrong_class_margins(Outcome(labels, labels == 0, labels == 0, features, features), linear).tolist()
    [[3.0, 4.0], [-3.0, 1.0]]
    """
    features, labels = outcome.features.double(), outcome.labels
    weight, bias = (None if part is None else part.detach().to(features.device).double()
                    for part in (linear.weight, linear.bias))
    scores = torch.nn.functional.linear(features, weight, bias)
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(weight):
        raise ValueError(f"labels outside 0..{len(weight) - 1} or no images were given: check the labels.")
    if not scores.isfinite().all():
        raise ValueError("the scores are not finite numbers, so they have no margins: evaluate another checkpoint.")
    return margins_of(scores, labels)


def margins_of(scores: Float[Tensor, "n K"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n K-1"]:
    """Compute f_i - f_j from scores, i the label, j the other classes in ascending order."""
    wrong = torch.arange(scores.shape[1], device=labels.device) != labels[:, None]
    return scores.gather(1, labels[:, None]) - scores[wrong].view(len(scores), -1)


def moments(rows: Float[Tensor, "n J"]) -> Float[Tensor, "4"]:
    """Return (mean, variance, covariance, spread) of margins: averages over j, over pairs j != l, and over rows."""
    count = rows.shape[1]
    centred = rows - rows.mean(0)  # column by column: a class is not equally far from all others
    variance = (centred ** 2).mean()
    covariance = ((centred.sum(1) ** 2).mean() / count - variance) / (count - 1)
    return torch.stack([rows.mean(), variance, covariance, (rows.mean(1) - rows.amin(1)).mean()])


def estimates_from_moments(moments: Float[Tensor, "4"]) -> dict[str, Any]:
    """Compute rho, r, k and the spread from pooled moments; where r or k do not exist, None and a note in words."""
    mean, variance, covariance, spread = moments.tolist()
    found = {"rho": None, "r": None, "k": None, "spread": spread, "note": None}
    if not variance > 1e-24 * mean ** 2:  # what rounding leaves of equal rows is about 1e-32
        return found | {"note": "all images have the same margins: no correlation"}
    rho = min(covariance / variance, 1.0)  # above 1 only by rounding
    if rho <= 0:
        return found | {"rho": rho, "note": "the margins of one image are not positively correlated: no r, no k"}
    r = (1 / rho - 1) ** 0.5
    return found | {"rho": rho, "r": r, "k": mean / variance ** 0.5 * (1 + r * r) ** 0.5 / (1 + r)}


def margin_estimates(margins: Values, labels: Values) -> dict[str, dict[str, Any]]:
    """Return {"plain": ..., "centred": ...}, each with rho, r, k, spread and note, from margins of attacked images.

    margins: (n, J), m_j = f_i - f_j, one column for each of J = K - 1 >= 2 wrong classes; labels: (n,), the classes i.

    - rho: the covariance of m_j and m_l averaged over pairs j != l, over the variance averaged over j
      (population moments: divided by n); in design A at equal noise rho = 1/(1 + r^2);
    - r = sqrt(1/rho - 1), the cross-class weight over the exclusive one; k = (mean/sd) sqrt(1 + r^2)/(1 + r);
    - spread = E[mean_j m_j - min_j m_j] = w2 s e_{K-1}, in units of the scores.

    plain: all rows as one class. centred: each class centred by itself, moments averaged over classes by their sizes,
    so that a class that is harder than others does not count as correlation. What one image has against all classes
    still does, and lowers r: read r as a trend along a training, not as a level (E-margins). An attack on the
    smallest margin alone pushes the margins apart and raises r: use one on cross-entropy. If rho <= 0 or the
    margins do not vary, r and k are None and the note says why. ValueError for other shapes, numbers that are not
    finite and, of the centred estimate, classes of fewer than 10 images.

    >>> e, c = torch.randn(2, 40000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1.2
    >>> found = margin_estimates(e[:, :1] + 0.5 * c, torch.zeros(40000).long())["centred"]
    >>> round(found["r"], 2), round(found["k"], 2)
    (0.5, 1.2)
    """
    margins, labels = torch.as_tensor(margins).double(), torch.as_tensor(labels)
    if margins.ndim != 2 or margins.shape[1] < 2 or len(margins) == 0 or not margins.isfinite().all() \
            or labels.shape != margins.shape[:1]:
        raise ValueError(f"margins {tuple(margins.shape)} and labels {tuple(labels.shape)} were given: they must be "
                         "(n, K - 1) finite numbers, of two or more wrong classes, and (n,): leave out the own class.")
    classes, counts = labels.unique(return_counts=True)
    if counts.min() < 10:
        raise ValueError(f"a class of {int(counts.min())} images was given, of which a correlation says nothing: give "
                         "at least 10 of each class.")
    parts = torch.stack([moments(margins[labels == label]) for label in classes])
    shares = counts.double() / len(labels)
    return {"plain": estimates_from_moments(moments(margins)), "centred": estimates_from_moments(shares @ parts)}
