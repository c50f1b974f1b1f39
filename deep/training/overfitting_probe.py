"""Catastrophic overfitting: a network trained on one-step attacks that resists those alone (Wong et al. 2020)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from deep.attacks.pgd import Attack, frozen, pgd
from deep.data.dataset import Data, as_float

__all__ = ["MARGIN", "catastrophic", "judged", "probe"]

IMAGES = 512
MARGIN = 0.1  # more than four standard deviations of a share of 512 images


def catastrophic(training_attack: float, pgd: float, classes: int) -> bool:
    """Tell whether two accuracies, under the attack that is trained on and under PGD, mean catastrophic overfitting.

    The former must be above chance, 1/K with K: `classes`, and PGD must leave less than half of it, by more than
    MARGIN. A network that resists neither attack has nothing to lose.

    >>> catastrophic(0.9, 0.02, 10), catastrophic(0.018, 0.0, 10), catastrophic(0.5, 0.3, 10)
    (True, False, False)
    """
    return training_attack > 1 / classes and training_attack - pgd > max(training_attack / 2, MARGIN)


def judged(history: Iterable[dict[str, Any]], classes: int) -> list[dict[str, Any]]:
    """Return the lines of metrics with `catastrophic` by the rule above, whatever rule they were written under."""
    return [line | {"catastrophic": catastrophic(line["probe_training_attack"], line["probe_pgd"], classes)}
            for line in history]


def probe(model: nn.Module, data: Data, attack: Attack, steps: int, seed: int) -> dict[str, Any]:
    """Return {"probe_training_attack", "probe_pgd", "catastrophic"} on the first 512 training images.

    The accuracies under the attack that the network trains on and under PGD of `steps` steps of size eps/4, both
    from starts drawn from `seed`. `catastrophic` by the function of that name: then a one-step attack no longer finds
    what it is there to find. Nothing of the training is changed.

    >>> from deep.recipe.recipe import recipe_named
    >>> from deep.training.loop import Training, load_data
    >>> recipe = recipe_named("planted-linear", ["train_size=30", "val_size=3"])
    >>> training = Training(recipe, load_data(recipe), "cpu")
    >>> probe(training.model, training.data, training.attack, 3, seed=0)["catastrophic"]
    False
    """
    x, y = as_float(data.train.images[:IMAGES]), data.train.labels[:IMAGES]
    strong = replace(attack, steps=steps, step=attack.eps / 4, mode="eval")
    values: dict[str, Any] = {}
    for name, tried in (("probe_training_attack", attack), ("probe_pgd", strong)):
        generator = torch.Generator(x.device).manual_seed(seed)
        z = pgd(model, x, y, replace(tried, mode="eval"), generator)
        with frozen(model), torch.no_grad():
            scores = model(z)
        values[name] = (scores.argmax(1) == y).double().mean().item()
    return values | {"catastrophic": catastrophic(values["probe_training_attack"], values["probe_pgd"],
                                                   scores.shape[1])}
