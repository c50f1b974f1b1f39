"""What a network does on a split: per-sample results first, every accuracy and CAS from them."""

from dataclasses import dataclass, replace

import torch
from scipy.stats import binomtest

from deep.attack import Attack, frozen, pgd
from deep.attribution import (
    cas,
    class_correlation,
    gauge_fixed,
    instance_correlation,
    margin_cas,
    null_cas,
)
from deep.data import as_float

__all__ = ["Outcome", "accuracy", "attributions", "cas_interval", "evaluation_attack", "measure"]


def evaluation_attack(recipe, box, steps=None):
    """PGD of step eps/4 (l2: eps/8) on the recipe's loss, norm and start, the network in eval mode (design.md, 3).

    >>> from deep.recipe import recipe_named
    >>> attack = evaluation_attack(recipe_named("at"), (0.0, 1.0))
    >>> attack.step, attack.steps, attack.loss
    (Fraction(2, 255), 20, 'cross-entropy')
    """
    norm = getattr(recipe, "norm", "linf")
    step = recipe.eps / (8 if norm == "l2" else 4)
    return Attack(recipe.eps, step, steps or recipe.eval_steps, recipe.random_start, box, recipe.loss, norm=norm)


@dataclass(frozen=True)
class Outcome:
    """Per sample, in the split's order: labels, clean and robust correctness (bool), features (n, d) of both."""

    labels: torch.Tensor
    clean: torch.Tensor
    robust: torch.Tensor
    clean_features: torch.Tensor
    features: torch.Tensor


def measure(model, split, attack, seed, batch=256, progress=None):
    """The `Outcome` of attacking every image of `split` once; progress(n) is called after n images.

    `seed` starts a generator of its own: no training draw is used up, and the network is left as it was.
    Raises ValueError if a score is not finite.
    """
    generator = torch.Generator(split.images.device).manual_seed(seed)
    parts = []
    for begin in range(0, len(split), batch):
        x, y = as_float(split.images[begin:begin + batch]), split.labels[begin:begin + batch]
        z = pgd(model, x, y, attack, generator)
        with frozen(model), torch.no_grad():
            clean, adversarial = model.features(x), model.features(z)
            logits = [model.linear(features) for features in (clean, adversarial)]
        if not all(values.isfinite().all() for values in logits):
            raise ValueError("the network's scores are not finite numbers, so it has no accuracy: evaluate another "
                             "checkpoint.")
        correct = [values.argmax(1) == y for values in logits]
        parts.append([y, *correct, clean, adversarial])
        if progress:
            progress(len(y))
    return Outcome(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def accuracy(correct):
    """A proportion with its count and its 95 % Wilson interval, from per-sample results.

    >>> accuracy(torch.tensor([True, True, False, True]))["value"]
    0.75
    """
    n, hits = len(correct), int(correct.sum())
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return {"value": hits / n, "correct": hits, "n": n, "interval": [float(interval.low), float(interval.high)]}


def attributions(outcome, weight, draws=50):
    """Every CAS of design.md's table (section 2) from one outcome and W (K, d); keys as in metrics.jsonl.

    `cas` is the paper's, on adversarial inputs; `cas_null` its level for random rows over `draws`, `cas_excess`
    the difference. Errors as `class_correlation`.
    """
    adversarial, labels = outcome.features, outcome.labels
    weight = weight.detach().cpu()
    value = cas(class_correlation(adversarial, labels, weight))
    null, null_spread = null_cas(adversarial, labels, weight, draws)
    return {
        "cas": value, "cas_null": null, "cas_null_sd": null_spread, "cas_excess": value - null,
        "cas_gauge_fixed": cas(class_correlation(adversarial, labels, gauge_fixed(weight))),
        "cas_per_instance": cas(instance_correlation(adversarial, labels, weight)),
        "cas_clean": cas(class_correlation(outcome.clean_features, labels, weight)),
        "cas_clean_gauge_fixed": cas(class_correlation(outcome.clean_features, labels, gauge_fixed(weight))),
        "margin_cas": margin_cas(outcome.clean_features, labels, weight)}


def cas_interval(outcomes, weight, resamples=200, seed=0):
    """95 % percentile interval of CAS: each resample takes an attack seed and images with replacement.

    outcomes: one `Outcome` per attack seed, of the same images. Images are resampled within each class, so that
    no class can be empty. Resampling adds noise to the class means, so the interval may sit beside the estimate.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = weight.detach().cpu()
    groups = [torch.nonzero(outcomes[0].labels == label)[:, 0] for label in range(len(weight))]
    values = []
    for _ in range(resamples):
        outcome = outcomes[int(torch.randint(len(outcomes), (1,), generator=generator))]
        rows = torch.cat([group[torch.randint(len(group), group.shape, generator=generator)] for group in groups])
        values.append(cas(class_correlation(outcome.features[rows], outcome.labels[rows], weight)))
    return torch.tensor(values).quantile(torch.tensor([0.025, 0.975])).tolist()


def training_line(model, data, recipe, epoch):
    """The evaluation part of one metrics line; the attack's seed is the epoch's, not the training's."""
    attack = evaluation_attack(recipe, data.box)
    test = measure(model, data.test, attack, seed=epoch)
    # The validation split only ranks checkpoints: half the steps rank them as well at half the cost.
    val = measure(model, data.val, replace(attack, steps=max(1, recipe.eval_steps // 2)), seed=epoch)
    line = {"clean": accuracy(test.clean)["value"], "robust": accuracy(test.robust)["value"], "n_test": len(data.test),
            "val_clean": accuracy(val.clean)["value"], "val_robust": accuracy(val.robust)["value"],
            "n_val": len(data.val)}
    return line | attributions(test, model.linear.weight)
