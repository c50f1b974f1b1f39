"""Last-layer surgery: what the features of a network are worth under another last layer than its own.

And the same last layer in another basis of its features: every score stays, and CAS takes any value (THEORY.md,
CAS-basis).
"""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from deep.attacks.pgd import Attack
from deep.data.dataset import Split
from deep.evaluation.accuracy import outcome_of
from deep.evaluation.cas import Values, gauge_fixed
from deep.evaluation.cas_intervals import cas_values
from deep.networks.classifier import Classifier

__all__ = ["change_of_basis", "last_layer_surgery", "refitted", "with_last_layer"]

Layer = tuple[Float[Tensor, "K d"], Float[Tensor, " K"]]

RANK = 1e-9  # singular values below this part of the largest count as zero
MORE = 10  # times the largest score, what is shared and taken back where some own score is negative


def refitted(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int) -> Layer:
    """Fit (W, b) anew by multinomial logistic regression: the minimiser of mean cross-entropy + |W|^2/(2 n).

    features: (n, d); labels: (n,) in 0..classes-1. L-BFGS in float64, to a gradient below 1e-7. Raises ValueError for
    no samples.

    >>> weight, bias = refitted(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]), 2)
    >>> w = weight[0, 0].item()  # the gradient in w = W[0] = -W[1]: -1/(1 + exp(2 w)) + w/2 = 0
    >>> abs(w / 2 - 1 / (1 + torch.tensor(2 * w).exp().item())) < 1e-6, weight.sum().abs().item() < 1e-6
    (True, True)
    """
    if len(labels) == 0:
        raise ValueError("no samples were given to fit a last layer to: pass at least one.")
    features = features.double()
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=1000, tolerance_grad=1e-7, tolerance_change=1e-12,
                                  line_search_fn="strong_wolfe")

    def loss() -> float:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(features, weight, bias), labels) + (weight**2).sum() / (2 * len(labels))
        value.backward()
        return value.item()
    optimiser.step(loss)
    return weight.detach(), bias.detach()


def with_last_layer(model: Classifier, layer: Layer) -> Classifier:
    """Return a copy of a network with another last layer."""
    changed, (weight, bias) = copy.deepcopy(model), layer
    changed.linear = nn.Linear(weight.shape[1], len(weight)).to(model.linear.weight)
    with torch.no_grad():
        changed.linear.weight.copy_(weight)
        changed.linear.bias.copy_(bias)
    return changed


def last_layer_surgery(early: Classifier, late: Classifier, unused: Split, test: Split, attack: Attack,
                       dtype: torch.dtype | None = None) -> dict[str, dict[str, float]]:
    """Swap the last layers of two checkpoints of a training, and fit each anew on images that it has not seen.

    unused: images neither trained on nor tested on; a layer is fitted to what the body makes of them, attacked under
    its own layer. Each new network is attacked anew, on `test`. dtype: in which attacks take their gradients, as in
    `outcome_of`. Returns {"early body, late layer", "late body, early
    layer", "early body, refitted layer", "late body, refitted layer": {"clean", "robust": accuracies, "cas",
    "sharing": on adversarial inputs}}, without the last two where `unused` lacks a class. If features were forgotten,
    the late body stays behind the early one under a refitted layer; if the layer alone overfits, it does not.
    """
    def own(model: Classifier) -> Layer:
        weight, bias = model.linear.weight.detach(), model.linear.bias
        return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach()

    networks = {"early body, late layer": with_last_layer(early, own(late)),
                "late body, early layer": with_last_layer(late, own(early))}
    classes = len(late.linear.weight)
    if len(unused.labels.unique()) == classes:
        for name, model in (("early", early), ("late", late)):
            seen = outcome_of(model, unused, attack, dtype)
            networks[f"{name} body, refitted layer"] = with_last_layer(
                model, refitted(seen.features, seen.labels, classes))
    found = {}
    for name, model in networks.items():
        outcome = outcome_of(model, test, attack, dtype)
        values = cas_values(outcome, model.linear.weight.detach().cpu())
        found[name] = {"clean": outcome.clean.double().mean().item(), "robust": outcome.robust.double().mean().item(),
                       "cas": values["cas"], "sharing": values["sharing"]}
    return found


def prescribed(own: Float[Tensor, " K"], scores: Float[Tensor, "K K"], share: float,
               signed: bool) -> tuple[Float[Tensor, "K k"], Float[Tensor, "K k"]]:
    """Return class means and rows of W, each (K, k), with these scores, whose cosines are those of the claim.

    k = 3 K, or K + 2 where means may have either sign.
    """
    classes = len(own)
    one = torch.eye(classes, dtype=own.dtype)
    others = 1 - one
    shared = own if own.min() > 0 else torch.full_like(own, MORE * scores.abs().max().item())
    means, rows = [], []
    for amount in (share * shared, share * (own - shared)):  # of each class's own score
        if signed:
            rows.append(torch.tensor([[1.0]] * (classes - 1) + [[1.0 - classes]], dtype=own.dtype))
            means.append(amount[:, None] / rows[-1])
        else:
            rows.append((amount[:, None] * others - torch.diag(others @ amount)) / (classes - 1))
            means.append(others)
    left = scores.T - sum(row @ mean.T for row, mean in zip(rows, means, strict=True))
    return torch.cat([*means, one], 1), torch.cat([*rows, left], 1)


def change_of_basis(means: Values, weight: Values, share: float, signed: bool = False) -> Float[Tensor, "d d"]:
    """Return an invertible A (d, d), float64: features A h under W A^-1 have the same scores, and the CAS of `share`.

    means: the class means of the features, (K, d); weight: W, (K, d), taken row-centred; share: tau in [0, 1]. With
    h -> A h, W -> W A^-1 the CAS of row-centred W is K (K-2) tau^2/(tau^2 + (K-1) (1-tau)^2), and no class mean is
    negative; signed: K (K-1) tau^2/(tau^2 + (1-tau)^2), with means of either sign (THEORY.md, CAS-basis). This where
    each class scores above the mean score at its own mean, biases apart; else CAS is 0 at tau = 0 and within 1 % of
    K (K-2), or K (K-1), at 1. Raises ValueError unless K >= 3, d >= 3 K, the means are linearly independent, centred W
    and the scores of means have rank K - 1, and no class has exactly the mean score at its own mean.

    >>> from deep import cas, class_correlation
    >>> means, weight = torch.eye(9)[:3] + 0.1, torch.eye(9)[:3]
    >>> for share in (0.0, 1.0):
    ...     change = change_of_basis(means, weight, share)
    ...     rows = (weight - weight.mean(0)).double() @ change.inverse()
    ...     round(abs(cas(class_correlation(means.double() @ change.T, [0, 1, 2], rows))), 6)
    0.0
    3.0
    """
    means, rows = torch.as_tensor(means).double(), gauge_fixed(torch.as_tensor(weight).double())
    if means.ndim != 2 or means.shape != rows.shape or not 3 <= len(means) <= means.shape[1] / 3:
        raise ValueError(f"class means {tuple(means.shape)} and weight {tuple(rows.shape)} were given: both must be "
                         "(K, d), with K >= 3 and d >= 3 K.")
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share} was given: it must lie between 0 and 1.")
    if not (means.isfinite().all() and rows.isfinite().all()):
        raise ValueError("means or weight hold a NaN or an infinity: scores need finite numbers.")
    classes, d = means.shape
    scores = means @ rows.T
    own = scores.diagonal()
    ranks = [int(torch.linalg.matrix_rank(each, rtol=RANK)) for each in (means, rows, scores)]
    if ranks[0] < classes or min(ranks[1:]) < classes - 1:
        raise ValueError(f"means of rank {ranks[0]}, centred weight of rank {ranks[1]} and their scores of rank "
                         f"{ranks[2]} were given: the ranks must be {classes}, {classes - 1} and {classes - 1}.")
    if own.abs().min() <= RANK * scores.abs().max():
        raise ValueError(f"a class that scores {own[own.abs().argmin()]:.1g} above the mean at its own mean was given: "
                         "it has no attribution but rounding, and its score there must differ from the mean score.")
    new_means, new_rows = (F.pad(each, (0, d - each.shape[1]))
                           for each in prescribed(own, scores, share, signed))
    # A means^T = new_means^T and new_rows A = rows; what that leaves free is drawn, so that A is invertible
    inverse, new_inverse = torch.linalg.pinv(means.T), torch.linalg.pinv(new_rows)
    change = new_means.T @ inverse + new_inverse @ (rows - scores.T @ inverse)
    free = torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / d**0.5
    one = torch.eye(d, dtype=torch.float64)
    return change + (one - new_inverse @ new_rows) @ free @ (one - means.T @ inverse)
