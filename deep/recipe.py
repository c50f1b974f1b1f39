"""A recipe: everything that decides what a training does. One function turns it into the run's name."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction

from deep.networks import NETWORKS, SIZES

__all__ = ["RECIPES", "Recipe", "parse_eps", "recipe_from_dict", "recipe_named", "run_name"]


def parse_eps(text, name="eps"):
    """A perturbation size as an exact fraction of the pixel range: "8/255" -> Fraction(8, 255).

    Raises ValueError for anything negative or above 1, so that a bare 8 never trains a network.

    >>> parse_eps("8/255")
    Fraction(8, 255)
    >>> parse_eps("8")
    Traceback (most recent call last):
    ValueError: eps = 8 was given, but it is a fraction of the pixel range between 0 and 1: write 8/255 for 8 levels.
    """
    try:
        value = Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {text} was given, but it must be a fraction such as 8/255 or 0.2: "
                         "write it so.") from None
    if value.denominator > 10**9:
        raise ValueError(f"{name} = {text} was given, but no image resolves so fine a number: write a fraction such "
                         "as 8/255.")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} = {text} was given, but it is a fraction of the pixel range between 0 and 1: "
                         f"write {text}/255 for {text} levels.")
    return value


@dataclass(frozen=True)
class Recipe:
    """Adversarial training of one network; the defaults are Rice et al. 2020 and the paper (design.md, 3).

    data: "cifar10", "cifar100", "tiny-imagenet", "folder" (any train/<class>/*.png; deep/catalogue.py), or
        "planted" (generated; then mu, sigma, patch are its own settings).
    model: "preactresnet18", "resnet18", "wideresnet", "deit", "linear", "cnn" or another name in the registry
        (deep/networks.py). width: channels of the first stage (16 k for a wideresnet-n-k) or of a transformer's
        tokens; depth, patch_size: below. Each is None for a network that has none, such as "linear".
    loss: "cross-entropy" or "margin" (max_{j != y} f_j - f_y), trained on and attacked.
    eps, step: of the linf attack, fractions of the pixel range; steps: PGD steps; random_start: in the ball.
    attack_mode: "eval" leaves the batch-norm statistics alone, "train" reproduces the paper's public code.
    epochs, batch, lr, momentum, weight_decay: SGD; lr is divided by 10 at each of `drops`, fractions of epochs.
    radius: None, or the Frobenius norm to which every weight tensor is scaled after each step. A margin loss
        of a deep network is unbounded below under weight decay, since its scale grows faster than the decay.
    padding, flip: random crop with reflect padding, and mirror images.
    train_size: images trained on (None: all but the validation split); val_size: held-out images.
    select: the split whose robust accuracy names the best checkpoint, "val", or "test" as the paper did.
    eval_every: epochs between evaluations (the last is always evaluated); eval_steps: PGD steps, step eps/4.
    bf16, channels_last: fast arithmetic; losses and perturbations stay float32.
    seed: feeds separate generators for the initial weights, the order, the augmentation and the attack.
    depth: layers of a wideresnet (6 b + 4) or a deit; patch_size: side of a deit's patches, in pixels.
    pretrained: file with the state dict of a published deit, from which the training starts.
    resize: None, or the side in pixels to which the images of "folder" and "tiny-imagenet" are cut and scaled.
    """

    data: str = "cifar10"
    mu: float | None = None
    sigma: float | None = None
    patch: int | None = None
    model: str = "preactresnet18"
    width: int | None = 64
    loss: str = "cross-entropy"
    eps: Fraction = Fraction(8, 255)
    step: Fraction = Fraction(2, 255)
    steps: int = 10
    random_start: bool = True
    attack_mode: str = "eval"
    epochs: int = 200
    batch: int = 128
    lr: float = 0.1
    drops: tuple[Fraction, ...] = (Fraction(1, 2), Fraction(3, 4))
    momentum: float = 0.9
    weight_decay: float = 5e-4
    radius: float | None = None
    padding: int = 4
    flip: bool = True
    train_size: int | None = None
    val_size: int = 1000
    select: str = "val"
    eval_every: int = 1
    eval_steps: int = 20
    bf16: bool = True
    channels_last: bool = True
    seed: int = 0
    depth: int | None = None
    patch_size: int | None = None
    pretrained: str | None = None
    resize: int | None = None

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)} was given, but the choices are "
                                 f"{', '.join(allowed)}: choose one of them.")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= MOST[name]:  # `not <=` refuses NaN too
                raise ValueError(f"{name} = {value} was given, but it must be at least {least} and at most "
                                 f"{MOST[name]}: choose such a value.")
        planted = [self.mu, self.sigma, self.patch]
        if [value is None for value in planted] != [self.data != "planted"] * 3:
            raise ValueError(f"mu, sigma, patch = {planted} were given with data = {self.data}, but they belong to "
                             "planted images and to nothing else: set all three for planted, none otherwise.")
        if self.resize is not None and self.data not in ("folder", "tiny-imagenet"):
            raise ValueError(f"resize = {self.resize} was given with data = {self.data}, but only image files are "
                             "resized, those of folder and tiny-imagenet: leave it out.")
        network = NETWORKS[self.model]
        for name in SIZES:
            value, needed = getattr(self, name), name in network.needs
            if needed != (value is not None):
                raise ValueError(f"{name} = {value} was given for model = {self.model}, but a {self.model} network "
                                 + (f"needs a {name}: write {name}=N, a whole number." if needed else
                                    f"has no {name}: write {name}=none."))
        if self.pretrained is not None and not network.pretrained:
            raise ValueError(f"pretrained = {self.pretrained} was given for model = {self.model}, but that network "
                             "reads no published weights: leave it out.")

    def learning_rate(self, epoch):
        """The learning rate of an epoch (0-based): lr / 10^(number of drops passed)."""
        return self.lr * 0.1 ** sum(epoch >= drop * self.epochs for drop in self.drops)

    def as_dict(self):
        """Plain JSON values; fractions as strings such as "8/255". Later fields appear where they differ."""
        return {key: plain(value) for key, value in asdict(self).items()
                if key not in LATER or value != getattr(Recipe, key)}


# Fields that joined after the first runs: left out at their default, so that those runs keep their names.
LATER = ("depth", "patch_size", "pretrained", "resize")
CHOICES = {"data": ("cifar10", "cifar100", "tiny-imagenet", "folder", "planted"), "model": NETWORKS,
           "loss": ("cross-entropy", "margin"), "attack_mode": ("eval", "train"), "select": ("val", "test")}
LEAST = {"sigma": 1e-9, "patch": 1, "width": 1, "eps": 0, "step": 0, "steps": 0, "epochs": 1, "batch": 1, "lr": 0,
         "momentum": 0, "weight_decay": 0, "radius": 1e-9, "padding": 0, "train_size": 1, "val_size": 1,
         "eval_every": 1, "eval_steps": 1, "seed": 0, "mu": 1e-9, "depth": 1, "patch_size": 1, "resize": 2}
MOST = dict.fromkeys(LEAST, 10**9) | {"eps": 1, "step": 1, "momentum": 1, "lr": 1e6, "weight_decay": 1e6, "patch": 64,
                                      "width": 4096, "depth": 1000, "patch_size": 1024, "resize": 4096, "padding": 1000,
                                      "seed": 2**63}


def plain(value):
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Fraction) else value


# One full step is the exact worst case of a linear network; lam of the theory is 2 weight_decay/patch^2 = 0.1 (T1-W).
PLANTED = Recipe(data="planted", mu=1.0, sigma=0.5, patch=4, model="linear", width=None, eps=Fraction(1, 5),
                 step=Fraction(1, 5), steps=1, random_start=False, epochs=16, batch=1000, lr=0.02,
                 weight_decay=0.8, padding=0, flip=False, train_size=20_000, val_size=2000, eval_every=16,
                 eval_steps=5, bf16=False, channels_last=False)

RECIPES = {
    "at": Recipe(),
    # Narrow and short enough for two CPU cores; PGD-7 as Madry et al. 2018 train on CIFAR-10.
    "at-cpu": Recipe(width=16, steps=7, epochs=80, train_size=2000, val_size=500, eval_every=4),
    "planted-linear": PLANTED,
    "planted-cnn": replace(PLANTED, model="cnn", width=8, lr=0.1, weight_decay=1e-3, steps=3, step=Fraction(1, 10),
                           epochs=8, eval_every=8),
}


def converted(field, text):
    """The value of a `key=value` argument, by the type of the recipe's field."""
    kind = str(field.type).replace(" ", "")
    if text.lower() == "none" and "None" in kind:
        return None
    if field.name in ("eps", "step"):
        return parse_eps(text, field.name)
    if field.name == "drops":
        return tuple(parse_eps(part, "drops") for part in text.split(",") if part)
    if field.type is bool or kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{field.name} = {text} was given, but it is a switch: write true or false.")
        return text.lower() == "true"
    maker = int if "int" in kind else float if "float" in kind else str
    try:
        return maker(text)
    except ValueError:
        raise ValueError(f"{field.name} = {text} was given, but it must be of type {maker.__name__}: "
                         "write such a value.") from None


def recipe_named(name, overrides=()):
    """The recipe called `name`, with `key=value` strings put over it. Raises ValueError in one sentence.

    >>> recipe_named("at", ["eps=4/255", "seed=2"]).eps
    Fraction(4, 255)
    """
    if name not in RECIPES:
        raise ValueError(f"the recipe {name!r} is unknown: choose one of {', '.join(RECIPES)}.")
    known = {field.name: field for field in fields(Recipe)}
    changes = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or key not in known:
            raise ValueError(f"{override!r} was given, but an override is key=value with a key of the recipe: "
                             f"choose among {', '.join(known)}.")
        changes[key] = converted(known[key], text)
    return replace(RECIPES[name], **changes)


def recipe_from_dict(values):
    """The recipe that `Recipe.as_dict` wrote; ValueError names keys that no recipe has."""
    unknown = set(values) - {field.name for field in fields(Recipe)}
    if unknown:
        raise ValueError(f"the recipe has unknown keys {sorted(unknown)}, written by another version: use that "
                         "version, or train again.")
    exact = {key: Fraction(values[key]) for key in ("eps", "step") if key in values}
    drops = {"drops": tuple(map(Fraction, values["drops"]))} if "drops" in values else {}
    return Recipe(**{**values, **exact, **drops})


def run_name(recipe):
    """A readable name, made unique by a hash of the whole recipe: the same recipe is the same run.

    >>> run_name(recipe_named("at"))[:34]
    'cifar10-preactresnet18-w64-cross-e'
    """
    digest = hashlib.sha256(json.dumps(recipe.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    width = "" if recipe.width is None else f"-w{recipe.width}"
    width += "" if recipe.depth is None else f"-d{recipe.depth}"
    eps = str(recipe.eps).replace("/", "of")
    return f"{recipe.data}-{recipe.model}{width}-{recipe.loss}-linf{eps}-e{recipe.epochs}-s{recipe.seed}-{digest}"
