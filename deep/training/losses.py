"""What a batch is trained on: losses of the labels, of teachers and of TRADES; then clipping and dropping."""

from fractions import Fraction

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from deep.attacks.pgd import LOSSES

__all__ = ["batch_cas", "batch_loss", "check_smoothing", "counted", "divergence", "dropped_for_good", "label_loss",
           "samples_kept", "weight_perturbation"]


def check_smoothing(b: float, classes: int) -> None:
    """Raise ValueError unless 0 <= b < (K-1)/K: beyond it the label would be the least likely class.

    >>> check_smoothing(0.9, 10)
    Traceback (most recent call last):
    ValueError: smoothing = 0.9 was given with 10 classes, but it must be below (K-1)/K = 0.9, ...
    """
    if not 0 <= b < (classes - 1) / classes:
        raise ValueError(f"smoothing = {b} was given with {classes} classes, but it must be below (K-1)/K = "
                         f"{(classes - 1) / classes:.4g}, where no class is favoured: choose a smaller one.")


def label_loss(name: str, logits: Float[Tensor, "n K"], labels: Int[Tensor, "n"], b: float = 0.0) -> Float[Tensor, "n"]:
    """Return the loss of the labels: LOSSES[name], or for b > 0 cross-entropy with smoothed labels.

    -(1 - b) log p_y - b/(K-1) sum_{j != y} log p_j (THEORY.md, section 0): 1 - b on the true class and b/(K-1) on each
    other; torch's `label_smoothing` spreads b K/(K-1) over all K. ValueError as from `check_smoothing`.

    >>> logits = torch.tensor([[2.0, 0.0, 0.0]]).log_softmax(1)
    >>> round(label_loss("cross-entropy", logits, torch.tensor([0]), 0.3).item(), 6)  # -log p_y + b (2 - 0)
    0.839545
    """
    classes = logits.shape[1]
    check_smoothing(b, classes)
    if not b:
        return LOSSES[name](logits, labels)
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=b * classes / (classes - 1))


def divergence(logits: Float[Tensor, "n K"], teacher: Float[Tensor, "n K"],
               temperature: float = 1.0) -> Float[Tensor, "n"]:
    """Return T^2 KL(softmax(teacher/T) || softmax(logits/T)) of two networks' scores (Hinton et al. 2015).

    The factor T^2 keeps the gradient's size as T grows.

    >>> divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item()
    0.0
    """
    student = (logits / temperature).log_softmax(1)
    target = (teacher / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(student, target, reduction="none", log_target=True).sum(1)


def samples_kept(losses: Float[Tensor, "n"], trim: Fraction | float, kind: str,
                 generator: torch.Generator | None = None) -> Int[Tensor, "kept"]:
    """Return the indices of the samples that are kept: all but round(trim n), the largest or smallest losses, or any.

    >>> samples_kept(torch.tensor([3.0, 1.0, 2.0, 0.0]), 0.25, "largest").tolist()
    [3, 1, 2]
    """
    n = len(losses)
    ranks = (torch.rand(n, generator=generator, device=losses.device) if kind == "random"
             else losses.detach() if kind == "largest" else -losses.detach())
    return ranks.argsort()[:n - round(trim * n)]


def batch_loss(losses: Float[Tensor, "n"], clip: float | None = None, trim: Fraction | float = 0,
               kind: str = "largest", generator: torch.Generator | None = None,
               whole: Float[Tensor, "N"] | None = None, begin: int = 0, floor: float | None = None
               ) -> Float[Tensor, ""]:
    """Return the mean of the losses that are kept, each counted for at most `clip` (THEORY.md, D4-remedies).

    A sample whose loss is below `floor` counts 0 in a mean over all that are kept (Yu et al. 2022).

    A sample beyond the bound has no gradient: it is dropped as training examples whose loss exceeds B are.
    whole: None, or the losses of a batch whose rows from `begin` on these are: then what is kept is decided in
    the batch, and the result is these rows' part of its mean, a sum over N.

    >>> losses = torch.tensor([3.0, 1.0, 2.0, 0.0])
    >>> batch_loss(losses, clip=2.0).item(), batch_loss(losses, trim=0.25).item(), batch_loss(losses, floor=1.5).item()
    (1.25, 1.0, 1.25)
    """
    n = len(losses)
    if whole is not None:
        kept = samples_kept(whole, trim, kind, generator)
        losses, n = losses[kept[(begin <= kept) & (kept < begin + n)] - begin], len(kept)
    elif trim:
        losses = losses[samples_kept(losses, trim, kind, generator)]
        n = len(losses)
    return counted(losses, clip, floor).sum() / n


def counted(losses: Float[Tensor, "n"], clip: float | None, floor: float | None) -> Float[Tensor, "n"]:
    """Return what each loss counts for: at most `clip`, and nothing below `floor`."""
    if floor is not None:
        losses = torch.where(losses.detach() < floor, torch.zeros_like(losses), losses)
    return losses if clip is None else losses.clamp(max=clip)


def dropped_for_good(ranks: Float[Tensor, "N"], trim: Fraction | float) -> Bool[Tensor, "N"]:
    """Return which of all N training images are dropped: the round(trim N) of highest rank.

    >>> dropped_for_good(torch.tensor([0.1, 3.0, 0.2, 2.0]), 0.5).tolist()
    [False, True, False, True]
    """
    dropped = torch.zeros(len(ranks), dtype=torch.bool, device=ranks.device)
    dropped[ranks.argsort(descending=True)[:round(trim * len(ranks))]] = True
    return dropped


def batch_cas(features: Float[Tensor, "n d"], labels: Int[Tensor, "n"], weight: Float[Tensor, "K d"],
              centred: bool = True) -> Float[Tensor, ""]:
    """Return CAS of a batch, differentiable in features and weight; a class without images shares nothing.

    centred: of the row-centred W, which no common row can raise (THEORY.md, CAS).

    >>> own = torch.eye(3)
    >>> features = torch.cat([own, 1 - own], 1)
    >>> round(batch_cas(features, torch.arange(3), features, centred=False).item(), 6)  # THEORY.md, CAS, r = 1
    2.0
    """
    rows, features = (weight - weight.mean(0) if centred else weight), features.float()
    one_hot = F.one_hot(labels, len(weight)).float()
    counts = one_hot.sum(0)
    present = (counts > 0).nonzero()[:, 0]
    means = one_hot.T[present] @ features / counts[present, None]
    unit = F.normalize(means * rows[present], dim=1)
    cosines = unit @ unit.T
    return cosines.clamp(min=0).sum() - cosines.diagonal().clamp(min=0).sum()


def weight_perturbation(weight: Float[Tensor, "*shape"], gradient: Float[Tensor, "*shape"], gamma: float
                        ) -> Float[Tensor, "*shape"]:
    """Return gamma |w| g/|g|, the step of steepest ascent whose length is gamma |w| (Wu et al. 2020); 0 where g = 0.

    weight: w, the weights of one layer; gradient: g, that of the loss in them. Norms are Frobenius norms.

    >>> weight_perturbation(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, -0.2]]), 0.5).tolist()
    [[0.0, -2.5]]
    """
    length = gradient.norm()
    return gamma * weight.norm() * gradient / torch.where(length > 0, length, 1.0)
