"""What a network does on a split: per-sample results first, every accuracy and CAS from them."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from jaxtyping import Bool
from scipy.stats import binomtest
from torch import Tensor, nn

from deep.attacks.pgd import LOSSES, Attack, Rows, frozen, pgd
from deep.data.dataset import Data, Split, as_float, balanced
from deep.evaluation.cas_intervals import cas_values
from deep.evaluation.outcome import Outcome
from deep.networks.classifier import Classifier
from deep.networks.folding import folded
from deep.recipe.passes import TRAINING_IMAGES
from deep.recipe.recipe import Recipe
from deep.system.processes import Alone

__all__ = ["Outcome", "accuracy", "clean_on_training_images", "evaluation_attack", "measure", "outcome_of",
           "robust_loss"]


def evaluation_attack(recipe: Recipe, box: tuple[float, float] | None, steps: int | None = None,
                      eps: Fraction | None = None) -> Attack:
    """Return PGD of step eps/4 (l2: eps/8) on the recipe's loss and start, in eval mode (deep/README.md).

    steps: their number; None: the recipe's eval_steps, those of its own metrics. eps: None: the recipe's.

    >>> from deep.recipe.recipe import recipe_named
    >>> attack = evaluation_attack(recipe_named("at"), (0.0, 1.0))
    >>> attack.step, attack.steps, attack.loss
    (Fraction(2, 255), 20, 'cross-entropy')
    """
    eps = recipe.eps if eps is None else eps
    return Attack(eps, eps / (8 if recipe.norm == "l2" else 4), steps or recipe.eval_steps, recipe.random_start, box,
                  recipe.loss, norm=recipe.norm)


def measure(model: Classifier, split: Split, attack: Attack, seed: int, batch: int | None = None,
            progress: Callable[[int], None] | None = None, attacked: nn.Module | None = None,
            world: Alone | None = None) -> Outcome:
    """Return the `Outcome` of attacking every image of `split` once; progress(n) is called after n images.

    batch: None is 256, or 1,000 on a GPU, which smaller ones leave idle. `seed` starts a generator of its own: no
    training draw is used up, and the network is left as it was. attacked: the network that the attack differentiates,
    None for `model` itself, which gives the verdict in any case. world: of processes that share the work
    (deep/system/processes.py); each returns the whole outcome.
    Raises ValueError if a score is not finite.
    """
    generator, world = torch.Generator(split.images.device).manual_seed(seed), world or Alone()
    parts, finite = [], True
    batch = batch or (1000 if split.images.is_cuda else 256)
    for begin in range(0, len(split), batch):
        images, y = split.images[begin:begin + batch], split.labels[begin:begin + batch]
        n, (first, last) = len(y), world.rows(len(y))
        x, y = as_float(images[first:last]), y[first:last]
        z = pgd(attacked or model, x, y, attack, Rows(generator, first, n)) if attack.eps else x
        with frozen(model), torch.no_grad():
            clean, adversarial = model.features(x), model.features(z)
            logits = [model.linear(features) for features in (clean, adversarial)]
        finite &= all(values.isfinite().all().item() for values in logits)
        correct = [values.argmax(1) == y for values in logits]
        parts.append([value.cpu() for value in (y, *correct, clean, adversarial)])
        if progress:
            progress(n)
    if world.maximum(int(not finite)):
        raise ValueError("the network's scores are not finite numbers, so it has no accuracy: evaluate another "
                         "checkpoint.")
    batches = zip(*world.gather(parts), strict=True)  # of each batch, the parts in order of rank
    return Outcome(*(torch.cat(column) for column in zip(*(part for parts in batches for part in parts), strict=True)))


def outcome_of(model: Classifier, split: Split, attack: Attack, dtype: torch.dtype | None = None) -> Outcome:
    """Attack a split once, with seed 0, the gradients taken from the folded network where there is one, in `dtype`.

    The network itself judges, in float32.
    """
    return measure(model, split, attack, 0, attacked=folded(model, dtype))


def accuracy(correct: Bool[Tensor, "n"]) -> dict[str, Any]:
    """Return a proportion with its count and its 95 % Wilson interval, from per-sample results.

    >>> accuracy(torch.tensor([True, True, False, True]))["value"]
    0.75
    """
    n, hits = len(correct), int(correct.sum())
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return {"value": hits / n, "correct": hits, "n": n, "interval": [float(interval.low), float(interval.high)]}


@torch.no_grad()
def robust_loss(outcome: Outcome, linear: nn.Linear, loss: str) -> float:
    """Return the mean of LOSSES[loss] over the adversarial images of an `Outcome`, in float64; linear: the last layer.

    It is the loss that the attack raises: without smoothing, teachers, clipping or dropping.
    """
    weight, bias = (None if value is None else value.cpu().double() for value in (linear.weight, linear.bias))
    logits = torch.nn.functional.linear(outcome.features.double(), weight, bias)
    return LOSSES[loss](logits, outcome.labels).mean().item()


@torch.no_grad()
def clean_on_training_images(model: Classifier, train: Split) -> dict[str, Any]:
    """Return {"train_clean", "n_train_clean"}: accuracy on a fixed sample of `train`, balanced, not augmented."""
    index = balanced(train.labels, TRAINING_IMAGES).to(train.labels.device)
    with frozen(model):
        correct = torch.cat([model(as_float(train.images[part])).argmax(1) == train.labels[part]
                             for part in index.split(250)])
    return {"train_clean": accuracy(correct)["value"], "n_train_clean": len(index)}


def training_line(model: Classifier, data: Data, recipe: Recipe, epoch: int, world: Alone | None = None,
                  progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Return the evaluation part of one metrics line, of the splits that are due; the attack's seed is the epoch's.

    Of each split the clean and robust accuracy, the robust loss on the same adversarial images, and n; of the test
    images CAS; and the clean accuracy on training images. The attack sees the folded network where there is one: the
    same scores, sooner. progress: as in `measure`.
    """
    attack = evaluation_attack(recipe, data.box)
    # The validation split only ranks checkpoints: half the steps rank them as well at half the cost.
    ranking = replace(attack, steps=max(1, recipe.eval_steps // 2))
    attacked = folded(model)
    line: dict[str, Any] = {}
    for name in recipe.splits_due(epoch):
        split, tried, prefix = (data.test, attack, "") if name == "test" else (data.val, ranking, "val_")
        outcome = measure(model, split, tried, seed=epoch, attacked=attacked, progress=progress, world=world)
        line |= {f"{prefix}clean": accuracy(outcome.clean)["value"],
                 f"{prefix}robust": accuracy(outcome.robust)["value"],
                 f"{prefix}robust_loss": robust_loss(outcome, model.linear, recipe.loss), f"n_{name}": len(split)}
        if name == "test":
            line |= cas_values(outcome, model.linear.weight, superclasses=data.superclasses)
    return line | clean_on_training_images(model, data.train)
