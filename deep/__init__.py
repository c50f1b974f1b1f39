"""Adversarial training of networks, their robust accuracy and CAS: what a user needs, from the rooms that hold it.

A name is imported from its module when it is first used, so that `import deep` does not load torch.

>>> from tempfile import TemporaryDirectory
>>> import deep
>>> recipe = deep.recipe_named("planted-linear", ["train_size=60", "val_size=6", "epochs=1", "batch=30"])
>>> data = deep.load_data(recipe)
>>> with TemporaryDirectory() as out:
...     run = deep.train(recipe, data, out)
...     model = deep.load_network(run, data, "last")
>>> outcome = deep.measure(model, data.test, deep.evaluation_attack(recipe, data.box), seed=0)
>>> deep.accuracy(outcome.robust)["n"]
6000
>>> correlation = deep.class_correlation(outcome.features, outcome.labels, model.linear.weight.detach())
>>> 0 <= deep.cas(correlation) <= 6
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deep.attacks.apgd import apgd
    from deep.attacks.pgd import Attack, pgd
    from deep.data.dataset import Data, Split
    from deep.evaluation.accuracy import accuracy, evaluation_attack, measure
    from deep.evaluation.cas import cas, class_correlation, class_profile, margin_cas, null_cas
    from deep.evaluation.saliency.gradcam import gradcam
    from deep.networks.registry import register
    from deep.recipe.recipe import RECIPES, Recipe, recipe_named, run_name
    from deep.runs.folder import RunFolder
    from deep.runs.network import load_network
    from deep.training.loop import load_data, train

__all__ = ["RECIPES", "Attack", "Data", "Recipe", "RunFolder", "Split", "accuracy", "apgd", "cas", "class_correlation",
           "class_profile", "evaluation_attack", "gradcam", "load_data", "load_network", "margin_cas", "measure",
           "null_cas", "pgd", "recipe_named", "register", "run_name", "train"]

# The imports above, as they are made when a name is first used.
HOMES = {
    "deep.attacks.apgd": ("apgd",),
    "deep.attacks.pgd": ("Attack", "pgd"),
    "deep.data.dataset": ("Data", "Split"),
    "deep.evaluation.accuracy": ("accuracy", "evaluation_attack", "measure"),
    "deep.evaluation.cas": ("cas", "class_correlation", "class_profile", "margin_cas", "null_cas"),
    "deep.evaluation.saliency.gradcam": ("gradcam",),
    "deep.networks.registry": ("register",),
    "deep.recipe.recipe": ("RECIPES", "Recipe", "recipe_named", "run_name"),
    "deep.runs.folder": ("RunFolder",),
    "deep.runs.network": ("load_network",),
    "deep.training.loop": ("load_data", "train"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562); `__version__` is that of the installed project."""
    if name == "__version__":
        from importlib.metadata import version
        return version("synthmodel")
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'deep' has no attribute {name!r}: it offers {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*globals(), "__version__", *__all__])
