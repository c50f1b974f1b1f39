"""How much of a training its evaluations are, by counting passes through the network."""

from deep.recipe.recipe import Recipe

__all__ = ["TRAINING_IMAGES", "share_of_passes"]

FORWARD, BACKWARD, LEARN = 1, 1, 2  # of an image: as long as a forward pass; to the image; to the image and the weights
TRAINING_IMAGES = 1000  # whose clean accuracy is taken at each evaluation: forward passes alone


def attacked(steps: int) -> int:
    """Passes of PGD for one image."""
    return steps * (FORWARD + BACKWARD)


def share_of_passes(recipe: Recipe, n_train: int, n_test: int) -> float:
    """Return the passes of a run's evaluations over those of its training.

    Training passes an image steps + 1 times forward and backward, an evaluation eval_steps times, and twice more
    forward: the clean image and the attacked one. The validation images are attacked with half of the steps. A pass
    back to the image is as long as one forward, that to the weights as long again.
    n_train, n_test: numbers of images. ValueError for a training that has other passes.

    >>> from deep.recipe.recipe import recipe_named
    >>> round(share_of_passes(recipe_named("at-cpu"), 2000, 1017), 3)
    0.402
    >>> round(share_of_passes(recipe_named("at-cpu", ["eval_every=40", "select_every=8"]), 2000, 1017), 3)
    0.076
    """
    others = {"method": recipe.method not in ("at", "standard"), "awp": recipe.awp, "teacher": recipe.teacher,
              "standard_teacher": recipe.standard_teacher, "probe_steps": recipe.probe_steps is not None}
    if any(others.values()):
        names = ", ".join(name for name, has in others.items() if has)
        raise ValueError(f"a recipe with {names} was given, whose passes are not counted here: take one without.")
    training = recipe.epochs * n_train * (FORWARD + LEARN + attacked(recipe.steps if recipe.method == "at" else 0))
    images = {"val": recipe.val_size, "test": n_test}
    steps = {"val": max(1, recipe.eval_steps // 2), "test": recipe.eval_steps}
    spent = 0
    for epoch in range(1, recipe.epochs + 1):
        due = recipe.splits_due(epoch)
        spent += sum(images[split] * (2 * FORWARD + attacked(steps[split] if recipe.eps else 0)) for split in due)
        spent += min(TRAINING_IMAGES, n_train) * FORWARD if due else 0
    return spent / training
