"""The end of an epoch: its line of metrics, the evaluations that are due, and whether it is the best so far."""

import time
from collections.abc import Callable
from typing import Any

from deep.evaluation.accuracy import training_line
from deep.system.device import seeded
from deep.training.overfitting_probe import probe
from deep.training.step import Training

__all__ = ["finish_epoch", "is_evaluated"]


def is_evaluated(training: Training) -> bool:
    """Tell whether the end of this epoch is more than its bookkeeping."""
    return bool(training.recipe.splits_due(training.epoch + 1)) or training.recipe.probe_steps is not None


def finish_epoch(training: Training, look: Callable[[], None] | None = None) -> dict[str, Any] | None:
    """Close the epoch after `check_finite`: evaluate when it is due, and return the checkpoint if it is the best.

    look(): called after each batch of an evaluation, by every process; it may raise.
    """
    recipe, n = training.recipe, len(training.data.train)
    loss, correct, *_ = training.totals.tolist()
    line = {"epoch": training.epoch + 1, "learning_rate": recipe.learning_rate(training.epoch), "train_loss": loss / n,
            "train_robust": correct / n, "seconds": round(training.seconds, 3),
            # a clock that stood still tells no speed
            "images_per_second": round(n / training.seconds, 1) if training.seconds > 0 else None}
    if training.average and recipe.average == "swa" and recipe.begun(recipe.average_from, training.epoch):
        training.average.update_parameters(training.model)
    training.epoch += 1
    if recipe.probe_steps is not None:
        with seeded(training.epoch, training.device):
            line |= probe(training.model, training.data, training.attack, recipe.probe_steps, seed=training.epoch)
    best = evaluate_into(training, line, look) if recipe.splits_due(training.epoch) else None
    training.history.append(line)
    training.step, training.order, training.seconds = 0, None, 0.0
    training.totals.zero_()
    return best


def evaluate_into(training: Training, line: dict[str, Any], look: Callable[[], None] | None) -> dict[str, Any] | None:
    """Attack the splits that are due, into the metrics line, and return the checkpoint if it is the best so far."""
    recipe, begin, model = training.recipe, time.perf_counter(), training.evaluated
    if training.average:
        line["evaluated"] = "network" if model is training.model else "average"
    with seeded(training.epoch, training.device):
        line |= training_line(model, training.data, recipe, training.epoch, training.world,
                              None if look is None else lambda n: look())
    line["eval_seconds"] = round(time.perf_counter() - begin, 3)
    score = line["robust" if recipe.select == "test" else "val_robust"]
    if score <= training.best:
        return None
    training.best = score
    training.best_state = {"model": {name: value.clone() for name, value in model.state_dict().items()},
                       "epoch": training.epoch, "selected_on": recipe.select, "metrics": line, **training.remembered}
    return training.best_state
