"""A recipe: everything that decides what a training does. One function turns it into the run's name."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from typing import get_type_hints

from deep.recipe.checks import check
from deep.recipe.values import from_plain, from_word, parse_eps

__all__ = ["RECIPES", "Recipe", "parse_eps", "recipe_from_dict", "recipe_named", "run_name"]


@dataclass(frozen=True)
class Recipe:
    """Adversarial training of one network; its defaults: Rice et al. 2020 and the paper (deep/README.md, Conventions).

    data: "cifar10", "cifar100", "tiny-imagenet", "folder" (any train/<class>/*.png; deep/data/layouts.py), or
        "planted" (generated; then mu, sigma, patch are its own settings).
    model: "preactresnet18", "resnet18", "wideresnet", "deit", "linear", "cnn" or another name in the registry
        (deep/networks/registry.py). width: channels of the first stage (16 k for a wideresnet-n-k) or of a
        transformer's tokens; depth, patch_size: below. Each is None for a network that has none, such as "linear".
    loss: "cross-entropy" or "margin" (max_{j != y} f_j - f_y), trained on and attacked.
    eps, step: of the linf attack, fractions of the pixel range; steps: PGD steps; random_start: in the ball.
    attack_mode: "eval" leaves the batch-norm statistics alone, "train" reproduces the paper's public code.
    epochs, batch, lr, momentum, weight_decay: SGD; lr is divided by 10 at each of `drops`, fractions of epochs.
    radius: None, or the Frobenius norm to which every weight tensor is scaled after each step. A margin loss
        of a deep network is unbounded below under weight decay, since its scale grows faster than the decay.
    padding, flip: random crop with reflect padding, and mirror images.
    train_size: images trained on (None: all but the validation split); val_size: held-out images, 0 with select=test.
    select: the split whose robust accuracy names the best checkpoint, "val", or "test" as the paper did.
    eval_every: epochs between evaluations (the last is always evaluated); eval_steps: PGD steps, step eps/4,
        of what training measures (`deep evaluate` and the like have PGD-20).
    select_every: None, or epochs between attacks on the split that selects, which fall between the evaluations.
    bf16, channels_last: fast arithmetic; losses and perturbations stay float32.
    seed: feeds separate generators for the initial weights, the order, the augmentation, the attack and the layers
        that draw (Dropout).
    depth: layers of a wideresnet (6 b + 4) or a deit; patch_size: side of a deit's patches, in pixels.
    pretrained: file with the state dict of a published deit, from which the training starts.
    resize: None, or the side in pixels to which the images of "folder" and "tiny-imagenet" are cut and scaled.

    norm: "linf" or "l2", of the attack. method: "at" trains on adversarial images, "trades" (Zhang et al. 2019) on
        clean ones and beta times the divergence of the scores on adversarial ones, "standard" on clean ones alone;
        eps, step and steps then describe the evaluation only.
    smoothing: b of THEORY.md, section 0: 1 - b on the true class, b/(K-1) on each other (deep/training/losses.py).
    teacher: None; or a run folder, whose best checkpoint is the teacher (RUN:last: its last one); or "self", this
        network as it was when teacher_from of the epochs had passed; or "average", its running average.
        standard_teacher: a run folder of standard training, beside a robust one. teacher_share, standard_share:
        weights of their divergences at `temperature`; the rest is the weight of the labels (Chen et al. 2021).
    clip: None, or B: a sample's loss counts for B at most. trim: the share of each batch that is dropped, of
        trim_kind "largest" (by loss) or "random". Both from trim_from of the epochs on (THEORY.md, D4-remedies).
    average: None, "ema" (decay average_decay a step) or "swa" (mean over epochs), from average_from of the epochs
        on; then the averaged network is the one that is evaluated and selected.
    schedule: "steps" (drops), "cyclic" (0 to lr, reached at 2/5, to 0) or "cosine" (lr to 0). gradient_norm: None,
        or the norm to which a larger gradient is shortened. probe_steps: None, or the PGD steps by which each epoch
        looks for catastrophic overfitting (deep/training/overfitting_probe.py).
    keep_every: None, or the epochs between checkpoints that are kept. compile: fused by torch.compile, and replayed as
        one CUDA graph on a GPU.
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
    norm: str = "linf"
    method: str = "at"
    beta: float | None = None
    smoothing: float = 0.0
    teacher: str | None = None
    standard_teacher: str | None = None
    teacher_share: float = 0.0
    standard_share: float = 0.0
    temperature: float = 2.0
    teacher_from: Fraction = Fraction(0)
    clip: float | None = None
    trim: Fraction = Fraction(0)
    trim_kind: str = "largest"
    trim_from: Fraction = Fraction(0)
    average: str | None = None
    average_decay: float | None = None
    average_from: Fraction = Fraction(0)
    schedule: str = "steps"
    gradient_norm: float | None = None
    probe_steps: int | None = None
    keep_every: int | None = None
    compile: bool = False
    select_every: int | None = None

    def __post_init__(self):
        check(self)

    def learning_rate(self, epoch):
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

    def splits_due(self, epoch):
        """The splits that are attacked after `epoch` epochs: all at an evaluation, the selecting one in between.

        >>> [recipe_named("at").splits_due(epoch) for epoch in (4, 5, 200)]
        [('val',), ('val', 'test'), ('val', 'test')]
        """
        if epoch % self.eval_every == 0 or epoch == self.epochs:
            return ("val", "test") if self.val_size else ("test",)
        return (self.select,) if self.select_every and epoch % self.select_every == 0 else ()

    def begun(self, share, epoch):
        """Whether `share` of all epochs (trim_from, say) has passed when `epoch` of them have."""
        return epoch >= share * self.epochs

    def as_dict(self):
        """Plain JSON values; fractions as strings such as "8/255". Later fields appear where they differ."""
        return {key: plain(value) for key, value in asdict(self).items()
                if key not in LATER or value != getattr(Recipe, key)}


# Fields that joined after the first runs: left out at their default, so that those runs keep their names.
LATER = [field.name for field in fields(Recipe)]
LATER = LATER[LATER.index("seed") + 1:]
HINTS = get_type_hints(Recipe)


def plain(value):
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
}


def recipe_named(name, overrides=()):
    """The recipe called `name`, with `key=value` strings put over it. Raises ValueError in one sentence.

    >>> recipe_named("at", ["eps=4/255", "seed=2"]).eps
    Fraction(4, 255)
    """
    if name not in RECIPES:
        raise ValueError(f"the recipe {name!r} is unknown: choose one of {', '.join(RECIPES)}.")
    changes = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or key not in HINTS:
            raise ValueError(f"{override!r} was given, but an override is key=value with a key of the recipe: "
                             f"choose among {', '.join(HINTS)}.")
        changes[key] = from_word(key, text, HINTS[key])
    return replace(RECIPES[name], **changes)


def recipe_from_dict(values):
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


def system(recipe):
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
    return "-".join(parts) or recipe.loss


def run_name(recipe):
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
