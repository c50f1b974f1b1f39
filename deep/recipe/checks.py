"""What a recipe may say: the choices, the ranges, and which fields need each other. Each refusal is one sentence."""

from functools import cache
from typing import get_type_hints

from deep.networks.registry import NETWORKS, SIZES
from deep.recipe.values import check_type

__all__ = ["check"]

CHOICES = {"data": ("cifar10", "cifar100", "tiny-imagenet", "folder", "planted"), "model": NETWORKS,
           "loss": ("cross-entropy", "margin"), "attack_mode": ("eval", "train"), "select": ("val", "test"),
           "norm": ("linf", "l2"), "method": ("at", "trades", "standard"), "trim_kind": ("largest", "random"),
           "average": (None, "ema", "swa"), "schedule": ("steps", "cyclic", "cosine")}
LEAST = {"sigma": 1e-9, "patch": 1, "width": 1, "eps": 0, "step": 0, "steps": 0, "epochs": 1, "batch": 1, "lr": 0,
         "momentum": 0, "weight_decay": 0, "radius": 1e-9, "padding": 0, "train_size": 1, "val_size": 0,
         "eval_every": 1, "eval_steps": 1, "seed": 0, "mu": 1e-9, "depth": 1, "patch_size": 1, "resize": 2,
         "beta": 0, "smoothing": 0, "teacher_share": 0, "standard_share": 0, "temperature": 1e-3, "teacher_from": 0,
         "clip": 1e-9, "trim": 0, "trim_from": 0, "average_decay": 0, "average_from": 0, "gradient_norm": 1e-9,
         "drops": 0, "probe_steps": 1, "keep_every": 1, "select_every": 1}
MOST = dict.fromkeys(LEAST, 10**9) | {
    "eps": 1, "step": 1, "drops": 1, "momentum": 1, "lr": 1e6, "weight_decay": 1e6, "patch": 64, "width": 4096,
    "depth": 1000, "patch_size": 1024, "resize": 4096, "padding": 1000, "seed": 2**63, "smoothing": 0.999,
    "teacher_share": 1, "standard_share": 1, "teacher_from": 1, "trim": 0.99, "trim_from": 1, "average_decay": 1,
    "average_from": 1}

hints = cache(get_type_hints)


def check(recipe):
    """ValueError, in one sentence, for a recipe that names no training."""
    for name, hint in hints(type(recipe)).items():
        check_type(name, getattr(recipe, name), hint)
    for name, allowed in CHOICES.items():
        if getattr(recipe, name) not in allowed:
            raise ValueError(f"{name} = {getattr(recipe, name)} was given, but the choices are "
                             f"{', '.join(map(str, allowed)).lower()}: choose one of them.")
    for name, least in LEAST.items():
        value = getattr(recipe, name)
        for part in value if isinstance(value, tuple) else [value]:
            if part is not None and not least <= part <= MOST[name]:  # `not <=` refuses NaN too
                raise ValueError(f"{name} = {part} was given, but it must be at least {least} and at most "
                                 f"{MOST[name]}: choose such a value.")
    check_images(recipe)
    check_network(recipe)
    check_training(recipe)


def check_images(recipe):
    planted = [recipe.mu, recipe.sigma, recipe.patch]
    if [value is None for value in planted] != [recipe.data != "planted"] * 3:
        raise ValueError(f"mu, sigma, patch = {planted} were given with data = {recipe.data}, but they belong to "
                         "planted images and to nothing else: set all three for planted, none otherwise.")
    if recipe.resize is not None and recipe.data not in ("folder", "tiny-imagenet"):
        raise ValueError(f"resize = {recipe.resize} was given with data = {recipe.data}, but only image files are "
                         "resized, those of folder and tiny-imagenet: leave it out.")


def check_network(recipe):
    network = NETWORKS[recipe.model]
    for name in SIZES:
        value, needed = getattr(recipe, name), name in network.needs
        if needed != (value is not None):
            raise ValueError(f"{name} = {value} was given for model = {recipe.model}, but a {recipe.model} network "
                             + (f"needs a {name}: write {name}=N, a whole number." if needed else
                                f"has no {name}: write {name}=none."))
    if recipe.pretrained is not None and not network.pretrained:
        raise ValueError(f"pretrained = {recipe.pretrained} was given for model = {recipe.model}, but that network "
                         "reads no published weights: leave it out.")


def check_training(recipe):
    """A setting that would do nothing is refused: each belongs to another that is missing."""
    cross_entropy = recipe.loss == "cross-entropy"
    teachers = [bool(recipe.teacher), bool(recipe.standard_teacher)]
    rules = [
        ((recipe.beta is None) == (recipe.method != "trades"), "beta", "goes with method=trades and with nothing else"),
        (recipe.method != "trades" or cross_entropy, "loss", "must be cross-entropy for method=trades"),
        (not recipe.smoothing or cross_entropy, "smoothing", "is for loss=cross-entropy"),
        (not any(teachers) or (cross_entropy and recipe.method == "at"), "teacher",
         "is for method=at with loss=cross-entropy"),
        ((recipe.teacher_share > 0) == teachers[0], "teacher_share", "goes with a teacher and must then be positive"),
        ((recipe.standard_share > 0) == teachers[1], "standard_share",
         "goes with a standard_teacher and must then be positive"),
        (recipe.teacher_share + recipe.standard_share <= 1, "teacher_share",
         "and standard_share must be at most 1 together"),
        (not recipe.teacher_from or recipe.teacher == "self", "teacher_from", "goes with teacher=self"),
        (recipe.teacher != "self" or recipe.teacher_from > 0, "teacher_from",
         "must be positive for teacher=self, as an untrained network teaches nothing"),
        (recipe.teacher != "average" or recipe.average == "ema", "teacher", "average goes with average=ema"),
        (recipe.trim_kind == "largest" or recipe.trim, "trim_kind", "goes with a positive trim"),
        (not recipe.trim_from or recipe.trim or recipe.clip is not None, "trim_from", "goes with trim or clip"),
        ((recipe.average_decay is not None) == (recipe.average == "ema"), "average_decay", "goes with average=ema"),
        (not recipe.average_from or recipe.average, "average_from", "goes with an average"),
        (recipe.val_size or recipe.select == "test", "val_size",
         "must be positive for select=val, as there would be nothing to select on"),
        (not recipe.select_every or recipe.select_every <= recipe.eval_every, "select_every",
         "must be at most eval_every, when both splits are attacked"),
    ]
    for holds, name, sentence in rules:
        if not holds:
            value = getattr(recipe, name)
            raise ValueError(f"{name} = {value} was given, but {name} {sentence}: change one of the two.")
