"""A recipe: everything that decides what a training does. One function turns it into the run's name."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from deep.networks.registry import NETWORKS, SIZES, built_in
from deep.recipe.checks import check
from deep.recipe.settings import AllSettings, about, types_of
from deep.recipe.values import from_plain, from_word, parse_eps
from deep.system.reading import from_json

__all__ = ["HINTS", "RECIPES", "Recipe", "kept_name", "parse_eps", "read_recipe", "recipe_from_dict", "recipe_named",
           "run_name"]


@dataclass(frozen=True)
class Recipe(AllSettings):
    """Adversarial training of one network; ValueError, in one sentence, for settings that name no training.

    The settings with their meanings, units, ranges and defaults: deep/recipe/settings.py.

    >>> recipe = Recipe(epochs=10, lr=0.1)
    >>> recipe.eps, recipe.learning_rate(0)
    (Fraction(8, 255), 0.1)
    """

    def __post_init__(self) -> None:
        check(self)

    def learning_rate(self, epoch: float) -> float:
        """The learning rate when `epoch` epochs, a whole number or a part, have passed.

        steps: lr/10^(number of drops passed); cyclic: lr min(t/.4, (1-t)/.6); cosine: lr (1 + cos(pi t))/2, with
        t = epoch/epochs.

        >>> recipe_named("fast-at").learning_rate(12)
        0.2
        """
        if self.schedule == "steps":
            return self.lr * 0.1 ** sum(epoch >= drop * self.epochs for drop in self.drops)
        t = epoch / self.epochs
        return self.lr * (min(t / 0.4, (1 - t) / 0.6) if self.schedule == "cyclic" else (1 + math.cos(math.pi * t)) / 2)

    def splits_due(self, epoch: int) -> tuple[str, ...]:
        """The splits that are attacked after `epoch` epochs: all at an evaluation, the selecting one in between.

        >>> [recipe_named("at").splits_due(epoch) for epoch in (4, 5, 200)]
        [('val',), ('val', 'test'), ('val', 'test')]
        """
        if epoch % self.eval_every == 0 or epoch == self.epochs:
            return ("val", "test") if self.val_size else ("test",)
        return (self.select,) if self.select_every and epoch % self.select_every == 0 else ()

    def begun(self, share: Fraction, epoch: int) -> bool:
        """Whether `share` of all epochs (trim_from, say) has passed when `epoch` of them have."""
        return epoch >= share * self.epochs

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; fractions as strings such as "8/255". Later settings appear where they differ."""
        return {name: plain(getattr(self, name)) for name, note in about(type(self)).items()
                if not note.since or getattr(self, name) != getattr(type(self), name)}


HINTS = types_of(Recipe)


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Fraction) else value


# One full step is the exact worst case of a linear network; lam of the theory is 2 weight_decay/patch^2 = 0.1 (T1-W).
PLANTED = Recipe(data="planted", mu=1.0, sigma=0.5, patch=4, model="linear", width=None, eps=Fraction(1, 5),
                 step=Fraction(1, 5), steps=1, random_start=False, epochs=16, batch=1000, lr=0.02,
                 weight_decay=0.8, padding=0, flip=False, train_size=20_000, val_size=2000, eval_every=16,
                 eval_steps=5, bf16=False, channels_last=False)

# Each epoch is selected from; attacking the test images after every fifth keeps evaluation below 15 % of PGD-10.
AT = Recipe(eval_every=5, select_every=1)
FAST = replace(AT, step=Fraction(10, 255), steps=1, epochs=30, lr=0.2, schedule="cyclic", probe_steps=10)
DEIT = replace(AT, model="deit", width=192, depth=12, patch_size=4, weight_decay=1e-4, gradient_norm=1.0)

RECIPES = {
    "at": AT,
    "at-l2": replace(AT, norm="l2", eps=Fraction(128, 255), step=Fraction(16, 255)),
    "trades": replace(AT, method="trades", beta=6.0),
    "standard": replace(AT, method="standard"),
    "fast-at": FAST,  # Wong et al. 2020; step = 1.25 eps
    "at-deit": DEIT,  # Mo et al. 2022
    # Narrow and short enough for two CPU cores; PGD-7 as Madry et al. 2018 train on CIFAR-10.
    "at-cpu": Recipe(width=16, steps=7, epochs=80, train_size=2000, val_size=500, eval_every=4),
    "planted-linear": PLANTED,
    "planted-cnn": replace(PLANTED, model="cnn", width=8, lr=0.1, weight_decay=1e-3, steps=3, step=Fraction(1, 10),
                           epochs=8, eval_every=8),
    "planted-mlp": replace(PLANTED, model="mlp", width=64, lr=0.1, weight_decay=1e-3, steps=3, step=Fraction(1, 10),
                           epochs=24, eval_every=24, batch=250),
    # As narrow and short as it can be: still two thirds of the time of all four together.
    "planted-preactresnet18": replace(PLANTED, model="preactresnet18", width=4, lr=0.1, weight_decay=1e-3, steps=3,
                                      step=Fraction(1, 10), epochs=8, eval_every=8, batch=250, train_size=10_000),
}


def recipe_named(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe called `name`, with `key=value` strings put over it. Raises ValueError in one sentence.

    A size that a registered network of somebody's own does not have need not be taken off by width=none. The steps of
    the attack may be called attack_steps, as the option of the commands that measure is.

    >>> recipe_named("at", ["eps=4/255", "seed=2"]).eps, recipe_named("at", ["attack_steps=7"]).steps
    (Fraction(4, 255), 7)
    """
    if name not in RECIPES:
        raise ValueError(f"the recipe {name!r} is unknown: choose one of {', '.join(RECIPES)}.")
    changes = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        key = "steps" if key == "attack_steps" else key
        if not equals or key not in HINTS:
            near = get_close_matches(key, HINTS, 3, 0.0)
            raise ValueError(f"{override!r} was given, but an override is key=value with a key of the recipe, such as "
                             f"{near[0]}, {near[1]} or {near[2]}: `deep recipes` lists all.")
        changes[key] = from_word(key, text, HINTS[key])
    model = changes.get("model")
    if model in NETWORKS and not built_in(model):
        changes = {size: None for size in SIZES if size not in NETWORKS[model].needs} | changes
    return replace(RECIPES[name], **changes)


def recipe_from_dict(values: Any) -> Recipe:
    """The recipe that `Recipe.as_dict` wrote; ValueError names unknown keys, wrong types and values out of range.

    >>> recipe_from_dict({"epochs": 2.5})
    Traceback (most recent call last):
    ValueError: epochs = 2.5 was given, but it must be of type int: write a whole number.
    """
    if not isinstance(values, dict):
        raise ValueError(f"a {type(values).__name__} was given, but a recipe is a table of its fields: write "
                         '{"data": "cifar10", ...}.')
    unknown = set(values) - set(HINTS)
    if unknown:
        raise ValueError(f"the recipe has unknown keys {sorted(unknown)}, written by another version: use that "
                         "version, or train again.")
    return Recipe(**{key: from_plain(key, value, HINTS[key]) for key, value in values.items()})


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run folder. ValueError: it is none, the file is damaged, or its network is not registered.

    >>> read_recipe(Path("/nowhere"))
    Traceback (most recent call last):
    ValueError: /nowhere is not a run folder: it has no readable recipe.json; pass a folder that `deep train` made.
    """
    try:
        content = (folder / "recipe.json").read_bytes()
    except OSError as error:
        raise ValueError(f"{folder} is not a run folder: it has no readable recipe.json; pass a folder that "
                         "`deep train` made.") from error
    try:
        values = from_json(content)
        model = values.get("model") if isinstance(values, dict) else None
        if not isinstance(model, str) or model in NETWORKS:
            return recipe_from_dict(values)
    except ValueError as error:
        raise ValueError(f"{folder} is not a run folder: its recipe.json is damaged ({str(error).rstrip('.')}); "
                         "restore it from a copy.") from error
    raise ValueError(f"{folder} was trained with the network {model}, which is not registered here: add --import "
                     "MODULE with the module that registers it, or import that module first.")


def system(recipe: Recipe) -> str:
    """The training in a word or two: what a reader of a folder's name wants to know first.

    >>> system(recipe_named("at", ["smoothing=0.1"])), system(recipe_named("at"))
    ('b0.1', 'cross-entropy')
    """
    parts = [] if recipe.method == "at" else [recipe.method]
    parts += [f"b{recipe.smoothing:g}"] if recipe.smoothing else []
    parts += ["distilled"] if recipe.teacher or recipe.standard_teacher else []
    parts += [f"clip{recipe.clip:g}"] if recipe.clip is not None else []
    parts += [f"drop-{recipe.trim_kind}"] if recipe.trim else []
    parts += [recipe.average] if recipe.average else []
    parts += [f"awp{recipe.awp:g}"] if recipe.awp else []
    return "-".join(parts) or recipe.loss


def run_name(recipe: Recipe) -> str:
    """A readable name, made unique by a hash of the whole recipe: the same recipe is the same run.

    >>> run_name(recipe_named("at"))[:34]
    'cifar10-preactresnet18-w64-cross-e'
    """
    digest = hashlib.sha256(json.dumps(recipe.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    width = "" if recipe.width is None else f"-w{recipe.width}"
    width += "" if recipe.depth is None else f"-d{recipe.depth}"
    eps = str(recipe.eps).replace("/", "of")
    return (f"{recipe.data}-{recipe.model}{width}-{system(recipe)}-{recipe.norm}{eps}-e{recipe.epochs}-s{recipe.seed}-"
            f"{digest}")


def kept_name(epoch: int) -> str:
    """The name, in a run folder, of the checkpoint that is kept after an epoch.

    >>> kept_name(10)
    'checkpoints/epoch-0010'
    """
    return f"checkpoints/epoch-{epoch:04d}"
