"""Planted images: the three-class Gaussian model painted into pixels, with a known answer (THEORY.md, P-linear).

Six square patches, E_1 E_2 E_3 above C_1 C_2 C_3, each with a fixed pattern of signs; a pixel is the value of
its feature times its sign. A pixel attack of size eps therefore moves every feature by exactly eps, and the
theory's eps is the image's eps.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deep.data.dataset import Data, Split

__all__ = ["planted_images", "reliance", "sample_features", "sign_patterns"]

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


def reliance(model: nn.Module, split: Split, patch: int) -> tuple[float, float]:
    """Return (exclusive, shared): mean derivatives of the margin f_i - f_j along E_i and C_j (THEORY.md, P-linear).

    Means over the images of `split` (class i) and over j != i. A linear network with the theory's weights has
    exclusive = w1 and shared = w2; the measured ratio is shared/exclusive.

    >>> from deep.networks.classifier import Classifier
    >>> split = planted_images(1.0, 0.5, patch=1, train_size=3, val_size=3, seed=0).train
    >>> model = Classifier(torch.nn.Flatten(), torch.nn.Linear(6, 3, bias=False), (0.0,), (1.0,))
    >>> weight = torch.cat([torch.eye(3), 0.5 * (1 - torch.eye(3))], 1) * sign_patterns(1).flatten(1).sum(1)
    >>> model.linear.weight.data = weight
    >>> reliance(model, split, patch=1)
    (1.0, 0.5)
    """
    patterns = sign_patterns(patch).to(split.images.device)
    images = split.images.detach().requires_grad_()
    logits = model(images)
    samples = torch.arange(len(split), device=images.device)
    totals = torch.zeros(2, device=images.device)
    for other in (1, 2):
        j = (split.labels + other) % CLASSES
        margin = (logits[samples, split.labels] - logits[samples, j]).sum()
        (gradient,) = torch.autograd.grad(margin, images, retain_graph=True)
        along = torch.einsum("nhw,fhw->nf", gradient[:, 0], patterns)
        totals += torch.stack([along[samples, split.labels].mean(), along[samples, CLASSES + j].mean()])
    return tuple((totals / 2).tolist())
