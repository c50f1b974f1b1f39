"""Planted images: the three-class Gaussian model painted into pixels, with a known answer (THEORY.md, P-linear).

Six square patches, E_1 E_2 E_3 above C_1 C_2 C_3, each with a fixed pattern of signs; a pixel is the value of
its feature times its sign. A pixel attack of size eps therefore moves every feature by exactly eps, and the
theory's eps is the image's eps.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deep.data.dataset import Data, Split

__all__ = ["ablation", "planted_images", "reliance", "sample_features", "sign_patterns", "worst_perturbation"]

CLASSES = 3
PATTERN_SEED = 7  # one fixed set of patterns: the images of all runs show the same features


def sample_features(n: int, mu: float, sigma: float,
                    generator: torch.Generator) -> tuple[Float[Tensor, "n 6"], Int[Tensor, "n"]]:
    """Draw n times from the data law (THEORY.md, section 0): features (n, 6) = (E_1..E_3, C_1..C_3), labels (n,).

    Given class i: E_i ~ N(mu, sigma^2), the other E are 0; C_j ~ N(mu, sigma^2) for j != i, C_i = 0.

    >>> x, y = sample_features(4, 1.0, 0.5, torch.Generator().manual_seed(0))
    >>> (x != 0).sum(1).tolist()  # one exclusive and two shared features
    [3, 3, 3, 3]
    """
    labels = torch.arange(n) % CLASSES
    values = mu + sigma * torch.randn(n, 2 * CLASSES, generator=generator)
    own = torch.nn.functional.one_hot(labels, CLASSES)
    return values * torch.cat([own, 1 - own], 1), labels


def sign_patterns(patch: int) -> Float[Tensor, "6 h w"]:
    """Return (6, h, w): +1 or -1 on the pixels of each feature's patch, 0 elsewhere; h = 2 patch, w = 3 patch.

    >>> sign_patterns(4).abs().sum((1, 2)).tolist()
    [16.0, 16.0, 16.0, 16.0, 16.0, 16.0]
    """
    generator = torch.Generator().manual_seed(PATTERN_SEED)
    signs = torch.randint(2, (2 * CLASSES, patch, patch), generator=generator) * 2.0 - 1
    images = torch.zeros(2 * CLASSES, 2 * patch, CLASSES * patch)
    for feature in range(2 * CLASSES):
        row, column = divmod(feature, CLASSES)
        images[feature, row * patch:(row + 1) * patch, column * patch:(column + 1) * patch] = signs[feature]
    return images


def planted_images(mu: float, sigma: float, patch: int, train_size: int, val_size: int, seed: int,
                   test_size: int = 6000) -> Data:
    """Return the data set: train, val and test drawn independently from `seed`; images (n, 1, 2 patch, 3 patch).

    mu, sigma: mean and standard deviation of an active feature, in pixel units (THEORY.md, P-linear).

    >>> planted_images(1.0, 0.5, patch=2, train_size=9, val_size=3, seed=0).train.images.shape
    torch.Size([9, 1, 4, 6])
    """
    patterns = sign_patterns(patch)
    generator = torch.Generator().manual_seed(seed)

    def split(size: int) -> Split:
        features, labels = sample_features(size, mu, sigma, generator)
        return Split(torch.einsum("nf,fhw->nhw", features, patterns)[:, None].contiguous(), labels)

    # Neither normalised nor boxed: a pixel is the feature itself, so the theory's weights are the network's.
    return Data(name="planted images", classes=("1", "2", "3"), train=split(train_size), val=split(val_size),
                test=split(test_size), mean=(0.0,), std=(1.0,), box=None,
                provenance={"mu": mu, "sigma": sigma, "patch": patch, "data_seed": seed})


def active_features(labels: Int[Tensor, " n"]) -> Int[Tensor, "n 6"]:
    """Return 1 for the features that a class has (E_i and both C_j), 0 for the other three."""
    own = nn.functional.one_hot(labels, CLASSES)
    return torch.cat([own, 1 - own], 1)


def worst_perturbation(labels: Int[Tensor, " n"], patch: int, eps: float) -> Float[Tensor, "n 1 h w"]:
    """Return delta* in pixels: the class's own features are lowered by eps, the others raised by it (THEORY.md, A1).

    It is the worst attack on the theory's networks, w1, w2 >= 0, and whatever a network computes it can be given this.

    >>> worst_perturbation(torch.tensor([0]), 1, 0.5) * sign_patterns(1).sum(0)  # E_1, C_2 and C_3 fall
    tensor([[[[-0.5000,  0.5000,  0.5000],
              [ 0.5000, -0.5000, -0.5000]]]])
    """
    patterns = sign_patterns(patch).to(labels.device)
    return eps * torch.einsum("nf,fhw->nhw", 1.0 - 2 * active_features(labels), patterns)[:, None]


def reliance(model: nn.Module, split: Split, patch: int, eps: float = 0.0) -> tuple[float, float]:
    """Return (exclusive, shared): mean derivatives of the margin f_i - f_j along E_i and C_j (THEORY.md, P-linear).

    Means over the images x of `split` (class i) and over j != i, taken at x + delta* of size eps, at the images
    themselves by default. A linear network with the theory's weights has exclusive = w1 and shared = w2 at any eps; the
    measured ratio is shared/exclusive.

    >>> from deep.networks.classifier import Classifier
    >>> split = planted_images(1.0, 0.5, patch=1, train_size=3, val_size=3, seed=0).train
    >>> model = Classifier(torch.nn.Flatten(), torch.nn.Linear(6, 3, bias=False), (0.0,), (1.0,))
    >>> weight = torch.cat([torch.eye(3), 0.5 * (1 - torch.eye(3))], 1) * sign_patterns(1).flatten(1).sum(1)
    >>> model.linear.weight.data = weight
    >>> reliance(model, split, patch=1), reliance(model, split, patch=1, eps=0.25)
    ((1.0, 0.5), (1.0, 0.5))
    """
    patterns = sign_patterns(patch).to(split.images)
    images = split.images + worst_perturbation(split.labels, patch, eps).to(split.images)
    images = images.detach().requires_grad_()
    logits = model(images)
    samples = torch.arange(len(split), device=images.device)
    totals = torch.zeros(2, device=images.device, dtype=images.dtype)
    for other in (1, 2):
        j = (split.labels + other) % CLASSES
        margin = (logits[samples, split.labels] - logits[samples, j]).sum()
        (gradient,) = torch.autograd.grad(margin, images, retain_graph=True)
        along = torch.einsum("nhw,fhw->nf", gradient[:, 0], patterns)
        totals += torch.stack([along[samples, split.labels].mean(), along[samples, CLASSES + j].mean()])
    return tuple((totals / 2).tolist())


@torch.no_grad()
def ablation(model: nn.Module, split: Split, patch: int) -> tuple[float, float]:
    """Return (exclusive, shared): what the margin loses when the patches of a kind show no class, a unit of feature.

    The three patches of a kind, E or C, are replaced by their mean over all images of `split`, which is the same for
    every class. The mean fall of the margin f_i - f_j, over images (class i) and j != i, is divided by the mean of the
    active features replaced. Where the classes are equally frequent, a linear network with the theory's weights has
    exclusive = w1 and shared = w2, whatever the sample. No derivative is taken: it is what the network makes of the
    feature as a whole, not of a little more of it.

    >>> from deep.networks.classifier import Classifier
    >>> split = planted_images(1.0, 0.5, patch=1, train_size=3, val_size=3, seed=0).train
    >>> model = Classifier(torch.nn.Flatten(), torch.nn.Linear(6, 3, bias=False), (0.0,), (1.0,))
    >>> weight = torch.cat([torch.eye(3), 0.5 * (1 - torch.eye(3))], 1) * sign_patterns(1).flatten(1).sum(1)
    >>> model.linear.weight.data = weight
    >>> exclusive, shared = ablation(model, split, patch=1)
    >>> round(exclusive, 5), round(shared, 5)
    (1.0, 0.5)
    """
    images, labels = split.images, split.labels
    patterns, active = sign_patterns(patch).to(images), active_features(labels)
    values = torch.einsum("nhw,fhw->nf", images[:, 0], patterns) / patch ** 2
    before, falls = mean_margins(model(images), labels), []
    for kind in (slice(0, CLASSES), slice(CLASSES, 2 * CLASSES)):  # E, C
        inside = patterns[kind].abs().sum(0)  # 1 on these patches, 0 elsewhere
        after = mean_margins(model(images + inside * (images.mean(0) - images)), labels)
        unit = (values * active)[:, kind].sum() / active[:, kind].sum()
        falls.append(((before - after).mean() / unit).item())
    return falls[0], falls[1]


def mean_margins(logits: Float[Tensor, "n 3"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the mean over j != i of f_i - f_j, i the label: (K f_i - sum_k f_k)/(K - 1)."""
    own = logits.gather(1, labels[:, None])[:, 0]
    return (CLASSES * own - logits.sum(1)) / (CLASSES - 1)
