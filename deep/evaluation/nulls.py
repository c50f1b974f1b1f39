"""What CAS, margin-CAS and r from margins would be with nothing shared (THEORY.md, CAS-separation).

Two nulls. Random rows in place of W say what the features' participation ratio alone gives. A permutation of the
features, one of its own for each class, moves the pairs (W_ik, m_ik - mean_k) together: it keeps what each class has of
separation, and leaves nothing that two classes could share.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deep.evaluation.cas import (
    class_means,
    cosines,
    gauge_fixed,
    pairs_of,
    positive_sum,
    random_rows,
)
from deep.evaluation.margins import margin_estimates, margins_of

__all__ = ["both_margin_nulls", "margin_nulls", "permuted", "random_permutations", "sharing", "sharing_above"]


def random_permutations(classes: int, features: int, draws: int, seed: int = 0) -> Int[Tensor, "draws K d"]:
    """A permutation of the features for each class, in each of `draws`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(draws, classes, features, generator=generator, dtype=torch.float64).argsort(-1)


def permuted(means: Float[Tensor, "*batch K d"], weight: Float[Tensor, "K d"], order: Int[Tensor, "draws K d"]
             ) -> tuple[Float[Tensor, "*batch draws K d"], Float[Tensor, "draws K d"]]:
    """Class means and rows of W after each class's pairs (W_ik, m_ik - mean_k) were moved by its permutation.

    means: (..., K, d); weight: (K, d), of any gauge; order: permutations (draws, K, d). Both results are centred again:
    the rows of W sum to 0, and the means have the mean that they had. Centring K independent vectors shrinks them by
    1 - 1/K in the square; they are stretched by as much, so that the separation is what it was.

    >>> means, weight = torch.eye(2), torch.eye(2)
    >>> order = torch.tensor([[[0, 1], [1, 0]]])  # the second class's features change places
    >>> moved, rows = permuted(means, weight, order)
    >>> moved.tolist(), rows.tolist()  # both classes are alike now, so that nothing is left after centring
    ([[[0.5, 0.5], [0.5, 0.5]]], [[[0.0, 0.0], [0.0, 0.0]]])
    """
    order = order.to(means.device)
    common = means.mean(-2, keepdim=True)
    deviations = (means - common).unsqueeze(-3)
    shape = (*deviations.shape[:-3], *order.shape)
    moved = deviations.expand(shape).gather(-1, order.expand(shape))
    rows = gauge_fixed(weight).expand(order.shape).gather(-1, order)
    stretch = (len(weight) / (len(weight) - 1)) ** 0.5
    moved, rows = (stretch * (part - part.mean(-2, keepdim=True)) for part in (moved, rows))
    return common.unsqueeze(-3) + moved, rows


def sharing(means: Float[Tensor, "*batch K d"], weight: Float[Tensor, "K d"], order: Int[Tensor, "draws K d"]
            ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch draws"]]:
    """(sharing, null): CAS of row-centred W above its mean over permuted features, and that null draw by draw.

    Sharing is about 0 where each class has its features independently of the others, however far the classes are apart;
    a common row of W does not change it. Classes whose own features avoid each other share less than independent ones:
    in the three-class model at r = w2/w1 = 1 sharing is below 0, though half of all evidence is shared, and in design B
    it falls at first as r grows (THEORY.md, CAS-separation).

    >>> W = torch.randn(10, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> found, null = sharing(1 + W, W, random_permutations(10, 1000, 20))
    >>> bool(null.mean() > 15), bool(found.abs() < 1)  # far apart, nothing shared
    (True, True)
    >>> own = torch.eye(3, dtype=torch.float64)
    >>> model = torch.cat([own, 1 - own], 1)
    >>> found, null = sharing(model, model, random_permutations(3, 6, 20_000))
    >>> round((found + null.mean()).item(), 12), round(found.item(), 1)  # of all permutations -.44
    (1.0, -0.4)
    """
    return sharing_above(means, weight, permuted(means, weight, order))


def sharing_above(means: Float[Tensor, "*batch K d"], weight: Float[Tensor, "K d"],
                  moved: tuple[Float[Tensor, "*batch draws K d"], Float[Tensor, "draws K d"]]
                  ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch draws"]]:
    """`sharing` above what has been `permuted` before, for those who need that for margin-CAS too."""
    everything = pairs_of(len(weight))["cas"]
    value = positive_sum(cosines(means * gauge_fixed(weight)), everything)
    null = positive_sum(cosines(moved[0] * moved[1]), everything)
    return value - null.mean(-1), null


def margin_nulls(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], rows: Float[Tensor, "draws K d"],
                 order: Int[Tensor, "draws K d"] | None = None) -> dict[str, float | None]:
    """rho of `margin_estimates`, class by class, with other rows in place of W: its mean over the draws, and r of that.

    rows: random ones, or those of `permuted` by `order`. order: the features of each image are permuted as those of
    its class are, so that the variance of its own score W_i h stays; None: they stay in place. Neither number knows a
    bias or the class means. Independent scores of equal variance give rho = 1/2 and r = 1: all margins of an image have
    its own score in common, whatever the classes share. rho is None if it exists in no draw, and r = sqrt(1/rho - 1)
    where rho <= 0, too. The r of a single draw may be of any size, so that no mean of it is taken.

    >>> features = torch.randn(300, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> rows = torch.randn(5, 3, 400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> found = margin_nulls(features, torch.arange(300) % 3, rows)
    >>> abs(found["rho"] - 0.5) < 0.1, abs(found["r"] - 1) < 0.2
    (True, True)
    """
    found = []
    for draw, row in enumerate(rows):
        seen = features if order is None else features.gather(1, order[draw].to(features.device)[labels])
        found.append(margin_estimates(margins_of(seen @ row.T.to(seen), labels), labels)["centred"]["rho"])
    known = [rho for rho in found if rho is not None]
    rho = sum(known) / len(known) if known else None
    return {"rho": rho, "r": (1 / rho - 1) ** 0.5 if rho is not None and rho > 0 else None}


def both_margin_nulls(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], weight: Float[Tensor, "K d"],
                      draws: int = 20) -> dict[str, dict[str, float | None]]:
    """{"random": ..., "separation": ...}: rho and r with random rows, and with the features of each class permuted.

    features: of attacked images; labels: their classes; weight: the last layer's.

    >>> W = torch.randn(4, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> labels = torch.arange(4).repeat(100)
    >>> noise = torch.randn(400, 301, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> found = both_margin_nulls(W[labels] * (1 + noise[:, :1] / 14) + noise[:, 1:], labels, W)
    >>> {name: round(values["rho"], 1) for name, values in found.items()}  # the own score of an image varies more
    {'random': 0.5, 'separation': 0.7}
    """
    features, weight = features.double(), weight.double()
    order = random_permutations(len(weight), weight.shape[1], draws)
    moved = permuted(class_means(features, labels, len(weight)), weight, order)[1]
    return {"random": margin_nulls(features, labels, random_rows(weight, draws)),
            "separation": margin_nulls(features, labels, moved, order)}
