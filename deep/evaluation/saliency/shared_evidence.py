"""The share of a class's evidence that falls on features it shares with another class.

Evidence of an image for its class i: the positive entries of its attribution h(x) * W[i] (the paper's). A feature that
is present (h > 0) and one that is absent (h < 0, in a transformer) are two features, h^+ with weight W and h^- with -W:
else a class that has what another lacks would seem to share it, as CAS has it. For the ReLU features of the other
networks this changes nothing. The profile Q_i is the mean evidence over class i, scaled to a sum of 1.

The share of class i with class j is sum_f min(Q_if, Q_jf), that is 1 minus the total variation between them: 0 for
disjoint supports, 1 for equal profiles. Neither the logits' scale nor h -> D h, W -> W D^-1 (D diagonal and positive)
changes it; a common row added to W does, as it does CAS, so it is also reported for `gauge_fixed` rows.
"""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deep.evaluation.cas import Values, checked_shapes, class_means, gauge_fixed
from deep.evaluation.cas_intervals import by_class, resampled_means

__all__ = ["class_shares", "common_partners", "null_shares", "overlap", "profiles", "scaled", "shared_fraction",
           "shares_interval", "summary"]


def profiles(features: Values, labels: Values, weight: Values) -> Float[Tensor, "K 2*d"]:
    """Compute Q (K, 2 d), float64: each class's mean evidence on h^+ and h^-, scaled to a sum of 1 (or 0).

    features: (n, d), inputs of the last layer; labels: (n,) in 0..K-1; weight: (K, d). ValueError as in
    `deep.evaluation.cas.class_correlation`.

    >>> profiles([[3.0, 1.0], [-1.0, 1.0]], [0, 1], [[1.0, 1.0], [-1.0, 3.0]]).tolist()
    [[0.75, 0.25, 0.0, 0.0], [0.0, 0.75, 0.25, 0.0]]
    """
    features, labels, weight = by_sign(*checked_shapes(features, labels, weight))
    return scaled(class_means(features, labels, len(weight)) * weight)


def by_sign(features: Float[Tensor, "n d"], labels: Int[Tensor, "n"],
            weight: Float[Tensor, "K d"]) -> tuple[Float[Tensor, "n 2*d"], Int[Tensor, "n"], Float[Tensor, "K 2*d"]]:
    """Return h^+ with W and h^- with -W: the attributions that are positive are those of h with W."""
    return torch.cat([features.clamp(min=0), (-features).clamp(min=0)], 1), labels, torch.cat([weight, -weight], 1)


def scaled(attributions: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """Divide the positive parts by their sum, along the last dimension; 0 if none is positive.

    >>> scaled(torch.tensor([[3.0, -5.0, 1.0], [-1.0, 0.0, 0.0]])).tolist()
    [[0.75, 0.0, 0.25], [0.0, 0.0, 0.0]]
    """
    positive = torch.where(attributions > 0, attributions, 0.0)
    total = positive.sum(-1, keepdim=True)
    return positive / torch.where(total > 0, total, 1.0)


def overlap(profiles: Float[Tensor, "K D"]) -> Float[Tensor, "K K"]:
    """Compute O, symmetric: O_ij = sum_f min(Q_if, Q_jf), the share of class i's evidence that class j has too.

    In the three-class model (g(x) = x, W = [w1 I | w2 (J - I)], clean inputs) O_ij = r/(1 + 2r) with r = w2/w1:
    >>> own = torch.eye(3)
    >>> W = torch.cat([own, 0.5 * (1 - own)], 1)
    >>> overlap(profiles(torch.cat([own, 1 - own], 1), [0, 1, 2], W))[0].tolist()
    [1.0, 0.25, 0.25]
    """
    return torch.stack([torch.minimum(profiles, own).sum(1) for own in profiles])


def class_shares(profiles: Float[Tensor, "K D"]) -> tuple[Int[Tensor, "K"], Float[Tensor, "K"], Float[Tensor, "K"]]:
    """Return (partner, with_partner, with_any), each (K,).

    partner: the class j != i with the largest share; with_partner: that share, max_j O_ij; with_any: the share with
    at least one other class, sum_f min(Q_if, max_{j != i} Q_jf). The last nears 1 for random rows when K is large.
    In the three-class model they are r/(1 + 2r) and 2r/(1 + 2r).

    >>> own = torch.eye(3)
    >>> [values.tolist() for values in class_shares(torch.cat([2 * own, 1 - own], 1) / 4)]  # r = 1/2
    [[1, 0, 0], [0.25, 0.25, 0.25], [0.5, 0.5, 0.5]]
    """
    others = overlap(profiles).fill_diagonal_(-1.0)
    with_partner, partner = others.max(1)
    # of each feature the largest and second largest profile: the largest of the *other* classes
    largest = profiles.topk(2, dim=0)
    best_other = torch.where(largest.indices[0] == torch.arange(len(profiles), device=profiles.device)[:, None],
                             largest.values[1], largest.values[0])
    return partner, with_partner, torch.minimum(profiles, best_other).sum(1)


def common_partners(overlaps: Iterable[Float[Tensor, "K K"]]) -> Int[Tensor, "K"]:
    """Return for each class the other class with the largest mean share over the overlaps of some checkpoints.

    >>> common_partners([torch.tensor([[1.0, 0.1, 0.3], [0.1, 1.0, 0.2], [0.3, 0.2, 1.0]])]).tolist()
    [2, 2, 0]
    """
    return torch.stack(list(overlaps)).mean(0).fill_diagonal_(-1.0).argmax(1)


def shared_fraction(own: Float[Tensor, "D"], other: Float[Tensor, "D"]) -> Float[Tensor, "D"]:
    """Compute to what extent c in [0, 1] each feature of class i is shared with class j: min(1, Q_jf / Q_if).

    own, other: Q_i and Q_j. 0 where Q_i is 0: what does not speak for a class is not evidence that it shares.
    So O_ij = sum_f c_f Q_if.

    >>> shared_fraction(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.0, 0.75])).tolist()
    [0.5, 0.0, 0.0]
    """
    return torch.where(own > 0, (other / torch.where(own > 0, own, 1.0)).clamp(max=1), 0.0)


def null_shares(features: Values, labels: Values, weight: Values, draws: int = 50, seed: int = 0,
                pair: tuple[int, int] | None = None) -> tuple[Float[Tensor, "draws K"], ...]:
    """Return (with_partner, with_any), each (draws, K): the shares with random Gaussian rows in place of W.

    Features are positive, so random last layers share evidence too; only what lies above this level says anything.
    Each draw has partners of its own, those of largest share, but for the two classes of `pair`, which are each
    other's. Errors as `profiles`.

    >>> [values.sum().item() for values in null_shares(torch.eye(3), [0, 1, 2], torch.ones(3, 3))]  # disjoint
    [0.0, 0.0]
    """
    features, labels, weight = checked_shapes(features, labels, weight)
    means = class_means(by_sign(features, labels, weight)[0], labels, len(weight))
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(draws):
        rows = torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)
        found = scaled(means * torch.cat([rows, -rows], 1))
        _, with_partner, with_any = class_shares(found)
        if pair is not None:
            with_partner[list(pair)] = torch.minimum(*found[list(pair)]).sum()
        drawn.append((with_partner, with_any))
    return tuple(torch.stack(column) for column in zip(*drawn, strict=True))


def shares_interval(features: Values, labels: Values, weight: Values, partner: Int[Tensor, "K"], resamples: int = 200,
                    seed: int = 0) -> Float[Tensor, "K 2"]:
    """Return (K, 2): 95 % bootstrap interval of each class's share with partner[i].

    partner: (K,). Images are drawn with replacement within each class. Noise lowers an overlap, in a resample about
    as much again as in the sample, so the quantiles are reflected at the estimate (the basic bootstrap interval) and
    cut at 0 and 1. Errors as `profiles`.

    >>> shares_interval(torch.eye(3), [0, 1, 2], torch.ones(3, 3), torch.tensor([1, 2, 0]))[0].tolist()
    [0.0, 0.0]
    """
    features, labels, weight = by_sign(*checked_shapes(features, labels, weight))
    generator = torch.Generator().manual_seed(seed)
    estimate = overlap(scaled(class_means(features, labels, len(weight)) * weight))
    samples, values = [by_class(features, labels, len(weight))], []
    for _ in range(resamples):
        (means,) = resampled_means(samples, 1, generator)
        drawn = scaled(means[0] * weight)
        values.append(torch.minimum(drawn, drawn[partner]).sum(1))
    quantiles = torch.stack(values).quantile(torch.tensor([0.975, 0.025], dtype=torch.float64), dim=0)
    return (2 * estimate[torch.arange(len(weight)), partner] - quantiles).clamp(0, 1).T


def summary(features: Values, labels: Values, weight: Values, partner: Int[Tensor, "K"],
            pair: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return what is reported of one checkpoint: per class a list, per pair a matrix; arguments as `profiles`.

    share: with partner[i] (K,), with its interval, and `share_gauge_fixed` with centred rows of W; null, null_sd: mean
    and deviation over random rows of W of the share with the largest partner (`partner` was found as the largest too),
    of the classes of `pair`, which are each other's partners, of the share with each other;
    with_any, with_any_null: the share with at least one other class; own_partner: this checkpoint's; overlap: O.

    >>> result = summary(torch.eye(3) + 1, [0, 1, 2], torch.ones(3, 3), torch.tensor([1, 2, 0]))
    >>> [round(value, 9) for value in result["share"]]  # profiles (2, 1, 1)/4 and so on
    [0.75, 0.75, 0.75]
    """
    found = profiles(features, labels, weight)
    classes = torch.arange(len(found))
    with_partner, with_any = null_shares(features, labels, weight, pair=pair)
    centred = profiles(features, labels, gauge_fixed(weight))
    own_partner, _, any_share = class_shares(found)
    result = {
        "share": overlap(found)[classes, partner], "interval": shares_interval(features, labels, weight, partner),
        "share_gauge_fixed": overlap(centred)[classes, partner], "null": with_partner.mean(0),
        "null_sd": with_partner.std(0), "with_any": any_share, "with_any_null": with_any.mean(0),
        "own_partner": own_partner, "overlap": overlap(found)}
    return {key: values.tolist() for key, values in result.items()}
