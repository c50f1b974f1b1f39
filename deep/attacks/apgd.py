"""Auto-PGD, an ascent that chooses its own step sizes, and the two losses that no scale of the logits can mask.

Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks" (arXiv 2003.01690): Algorithm 1, equations (6) and (7).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from deep.attacks.pgd import BALLS, LOSSES, Box, frozen, where

__all__ = ["Ascent", "apgd", "checkpoints", "dlr", "gradient_of", "targeted_dlr"]

Objective = Callable[[Float[Tensor, "n K"]], Float[Tensor, "n"]]

MOMENTUM = 0.75  # alpha of the paper: the weight of the new step against the last displacement
RISES = 0.75  # rho of the paper: the share of rising steps below which a step size is too large


def scale_of(logits: Float[Tensor, "n K"], first: int, last: int) -> Float[Tensor, "n"]:
    """Return z_(1) minus the mean of z_(first)..z_(last), z_(1) >= z_(2) >= ... the ordered logits; never 0."""
    ordered = logits.sort(dim=1, descending=True).values
    return (ordered[:, 0] - ordered[:, first - 1:last].mean(1)).clamp(min=1e-12)


def dlr(logits: Float[Tensor, "n K"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Return the difference-of-logits ratio (max_{j != y} z_j - z_y)/(z_(1) - z_(3)), one value a sample.

    z_(1) >= z_(2) >= ...: the ordered logits. Positive iff the sample is
    misclassified, and unchanged by z -> a z + b, a > 0 (equation 6). With K = 2 there is no z_(3): then it is the
    margin, its numerator.

    >>> logits, label = torch.tensor([[4.0, 3.0, 0.0]]), torch.tensor([0])
    >>> dlr(logits, label).tolist(), dlr(1e6 * logits, label).tolist()
    ([-0.25], [-0.25])
    """
    margin = LOSSES["margin"](logits, labels)
    return margin if logits.shape[1] < 3 else margin / scale_of(logits, 3, 3)


def targeted_dlr(logits: Float[Tensor, "n K"], labels: Int[Tensor, "n"],
                 targets: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Return (z_t - z_y)/(z_(1) - (z_(3) + z_(4))/2) for a wrong class t a sample (equation 7), one value a sample.

    With K < 4 there is no z_(4), and with z_(3) alone the ratio would be the
    constant -1 when t is last and y first, so that no gradient is left: then it is the numerator z_t - z_y. Its
    gradient vanishes with neither the scale of the logits nor the confidence.

    >>> targeted_dlr(torch.tensor([[4.0, 3.0, 1.0, 1.0]]), torch.tensor([0]), torch.tensor([1])).tolist()
    [-0.333...]
    >>> targeted_dlr(torch.tensor([[4.0, 3.0, 1.0]]), torch.tensor([0]), torch.tensor([2])).tolist()
    [-3.0]
    """
    of_target, of_label = (logits.gather(1, index[:, None])[:, 0] for index in (targets, labels))
    difference = of_target - of_label
    return difference if logits.shape[1] < 4 else difference / scale_of(logits, 3, 4)


def checkpoints(steps: int) -> list[int]:
    """Return the iterations w_j = ceil(p_j N), j >= 1, at which a step size may be halved (section 3.1 of the paper).

    p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06), as long as p_j <= 1; N: `steps`.

    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    p = [Fraction(0), Fraction(22, 100)]
    while p[-1] <= 1:
        p.append(p[-1] + max(p[-1] - p[-2] - Fraction(3, 100), Fraction(6, 100)))
    return list(dict.fromkeys(ceil(share * steps) for share in p[1:-1]))


def gradient_of(model: nn.Module, z: Float[Tensor, "n ..."], objective: Objective) -> tuple[
        Float[Tensor, "n K"], Float[Tensor, "n"], Float[Tensor, "n ..."]]:
    """Return logits, objective and its gradient at z, and no weight's gradient (use inside `frozen`)."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(z)
        value = objective(logits)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return logits.detach(), value.detach(), gradient


@dataclass(frozen=True)
class Ascent:
    """What Auto-PGD found, per sample, every point in the ball and the box.

    points: the first misclassified iterate, or else the one of highest objective. broken: whether it is
    misclassified. best, value: the iterate of highest objective among those visited, and that objective.
    """

    points: Float[Tensor, "n ..."]
    broken: Bool[Tensor, "n"]
    best: Float[Tensor, "n ..."]
    value: Float[Tensor, "n"]


def apgd(model: nn.Module, x: Float[Tensor, "n ..."], y: Int[Tensor, "n"], eps: Fraction | float, norm: str = "linf",
         box: Box = (0.0, 1.0), steps: int = 100, objective: Objective | None = None,
         generator: torch.Generator | None = None, early_stop: bool = True) -> Ascent:
    """Run Auto-PGD: steps of ascent with momentum, whose size starts at 2 eps and is halved when it is too large.

    At z_k, with g the steepest direction and P the projection onto the ball and the box (`deep.attacks.pgd.BALLS`):
        u = P(z_k + eta g),   z_{k+1} = P(z_k + 0.75 (u - z_k) + 0.25 (z_k - z_{k-1})),   the first step being u.
    At each checkpoint w_j a sample's eta is halved, and the sample goes on from its best point so far, if fewer than
    0.75 (w_j - w_{j-1}) of the steps since w_{j-1} raised the objective, or if neither eta was halved at w_{j-1} nor
    the highest objective has risen since. The network is in eval mode, its parameters frozen, and left as it was.

    eps: radius; norm: "linf" or "l2"; box: the pixels' range or None; objective: cross-entropy if None;
    generator: of a uniform start, None to start at x. early_stop: leave as soon as every sample is misclassified.
    Raise ValueError for steps < 1 and an unknown norm.

    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> model.weight.data = torch.eye(2)
    >>> apgd(model, torch.tensor([[0.5, 0.25]]), torch.tensor([0]), Fraction(1, 4)).points.tolist()
    [[0.25, 0.5]]
    """
    if norm not in BALLS or steps < 1:
        raise ValueError(f"norm = {norm} and steps = {steps} were given: norm is one of {', '.join(BALLS)} and steps "
                         "at least 1.")
    objective = objective or (lambda logits: LOSSES["cross-entropy"](logits, y))
    ball, marks = BALLS[norm](x, eps, box), checkpoints(steps)

    with frozen(model):
        z = ball.start(generator)
        before = z
        logits, value, gradient = gradient_of(model, z, objective)
        points, broken = z, logits.argmax(1) != y
        best: tuple[Tensor, ...] = (z, value, gradient)
        eta = torch.full_like(value, 2 * float(eps))
        rises, halved, mark, best_at_mark = torch.zeros_like(value), torch.zeros_like(broken), 0, value
        for k in range(1, steps + 1):
            if early_stop and broken.all():
                break
            u = ball.project(z + eta.view(-1, *[1] * (z.ndim - 1)) * ball.direction(gradient))
            if k > 1:
                u = ball.project(z + MOMENTUM * (u - z) + (1 - MOMENTUM) * (z - before))
            before, last = z, value
            z = u
            logits, value, gradient = gradient_of(model, z, objective)
            wrong = logits.argmax(1) != y
            points, broken = where(wrong & ~broken, z, points), broken | wrong
            rises += value > last
            higher = value > best[1]
            best = tuple(where(higher, new, old) for new, old in zip((z, value, gradient), best, strict=True))
            if k in marks:
                halved = (rises < RISES * (k - mark)) | (~halved & (best[1] == best_at_mark))
                eta = torch.where(halved, eta / 2, eta)
                z, value, gradient = (where(halved, old, here)
                                      for old, here in zip(best, (z, value, gradient), strict=True))
                rises, mark, best_at_mark = torch.zeros_like(rises), k, best[1]
    return Ascent(where(broken, points, best[0]), broken, best[0], best[1])
