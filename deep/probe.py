"""Catastrophic overfitting: a network trained on one-step attacks that resists those alone (Wong et al. 2020)."""

from dataclasses import replace

import torch

from deep.attack import frozen, pgd
from deep.data import as_float

__all__ = ["probe"]

IMAGES = 512


def probe(model, data, attack, steps, seed):
    """{"probe_training_attack", "probe_pgd", "catastrophic"} on the first 512 training images.

    The accuracies under the attack that the network trains on and under PGD of `steps` steps of size eps/4, both
    from starts drawn from `seed`. `catastrophic` when PGD leaves less than half of the former: then a one-step attack
    no longer finds what it is there to find. Nothing of the training is changed.

    >>> from deep.recipe import recipe_named
    >>> from deep.train import Training, load_data
    >>> recipe = recipe_named("planted-linear", ["train_size=30", "val_size=3"])
    >>> training = Training(recipe, load_data(recipe), "cpu")
    >>> probe(training.model, training.data, training.attack, 3, seed=0)["catastrophic"]
    False
    """
    x, y = as_float(data.train.images[:IMAGES]), data.train.labels[:IMAGES]
    strong = replace(attack, steps=steps, step=attack.eps / 4, mode="eval")
    values = {}
    for name, tried in (("probe_training_attack", attack), ("probe_pgd", strong)):
        generator = torch.Generator(x.device).manual_seed(seed)
        z = pgd(model, x, y, replace(tried, mode="eval"), generator)
        with frozen(model), torch.no_grad():
            values[name] = (model(z).argmax(1) == y).double().mean().item()
    return values | {"catastrophic": values["probe_pgd"] < values["probe_training_attack"] / 2}
