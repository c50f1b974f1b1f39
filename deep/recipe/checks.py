"""What a recipe may say: the choices, the ranges, and which settings need each other. Each refusal is one sentence."""

from typing import Any

from deep.networks.registry import NETWORKS, SIZES
from deep.recipe.settings import About, AllSettings, about, types_of
from deep.recipe.values import FORMS, check_type, kind_of, to_word

__all__ = ["allowed", "check"]


def allowed(hint: Any, note: About) -> str:
    """Say what may be written for a setting: its form or its choices, and its range.

    >>> [allowed(types_of(AllSettings)[name], about(AllSettings)[name]) for name in ("eps", "width", "average")]
    ['a fraction such as 8/255 or 0.2, from 0 to 1', 'a whole number, from 1 to 4096, or none', 'none, ema or swa']
    """
    kind, optional = kind_of(hint)
    if note.choices is not None:
        words = [to_word(value) for value in note.choices]
        return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    text = FORMS[kind]
    if note.least is not None:
        text += f", at least {note.least:g}" if note.most == About.most else f", from {note.least:g} to {note.most:g}"
    return text + ", or none" * optional


def check(recipe: AllSettings) -> None:
    """Raise ValueError, in one sentence, for a recipe that names no training."""
    notes = about(type(recipe))
    for name, hint in types_of(type(recipe)).items():
        check_type(name, getattr(recipe, name), hint)
    for name, note in notes.items():
        if note.choices is not None and getattr(recipe, name) not in note.choices:
            raise ValueError(f"{name} = {getattr(recipe, name)} was given, but the choices are "
                             f"{', '.join(map(str, note.choices)).lower()}: choose one of them.")
    for name, note in notes.items():
        value = getattr(recipe, name)
        for part in value if isinstance(value, tuple) else [value]:
            # `not <=` refuses NaN too
            if note.least is not None and part is not None and not note.least <= part <= note.most:
                raise ValueError(f"{name} = {part} was given, but it must be at least {note.least} and at most "
                                 f"{note.most}: choose such a value.")
    check_images(recipe)
    check_network(recipe)
    check_training(recipe)


def check_images(recipe: AllSettings) -> None:
    planted = [recipe.mu, recipe.sigma, recipe.patch]
    if [value is None for value in planted] != [recipe.data != "planted"] * 3:
        raise ValueError(f"mu, sigma, patch = {planted} were given with data = {recipe.data}, but they belong to "
                         "planted images and to nothing else: set all three for planted, none otherwise.")
    if recipe.data_seed and recipe.data == "planted":
        raise ValueError(f"data_seed = {recipe.data_seed} was given with data = planted, but planted images are drawn "
                         "anew for each seed: leave it out.")
    if recipe.resize is not None and recipe.data not in ("folder", "tiny-imagenet"):
        raise ValueError(f"resize = {recipe.resize} was given with data = {recipe.data}, but only image files are "
                         "resized, those of folder and tiny-imagenet: leave it out.")


def check_network(recipe: AllSettings) -> None:
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


def check_training(recipe: AllSettings) -> None:
    """Refuse a setting that would do nothing, since it belongs to another that is missing."""
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
        (not recipe.trim_from or recipe.trim or recipe.clip is not None or recipe.floor is not None
         or recipe.cas_weight, "trim_from", "goes with trim, clip, floor or cas_weight"),
        (recipe.cas_centred or recipe.cas_weight, "cas_centred", "goes with a cas_weight"),
        (not recipe.cas_weight or recipe.method == "at", "cas_weight", "is for method=at"),
        (not recipe.compile or not (recipe.cas_weight or recipe.trim_kind.startswith("fixed")), "compile",
         "does not go with cas_weight or images that are dropped for good"),
        (not recipe.smoothing_from or recipe.smoothing, "smoothing_from", "goes with a smoothing"),
        (not recipe.awp_from or recipe.awp, "awp_from", "goes with an awp"),
        (not recipe.awp or recipe.method != "standard", "awp", "is for method=at and method=trades"),
        (not recipe.compile or not recipe.awp, "compile", "does not go with awp"),
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
