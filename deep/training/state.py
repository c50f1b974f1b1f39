"""The whole state of a training: everything that changes while a recipe is trained, as a checkpoint holds it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deep.data.dataset import Data
from deep.networks.classifier import Classifier, build
from deep.recipe.recipe import Recipe
from deep.recipe.settings import AllSettings, AverageSettings, OptimiserSettings
from deep.runs.checkpoint import check_checkpoint
from deep.runs.fingerprint import check_same_images
from deep.system.processes import Alone, synced
from deep.training.teachers import Teachers

__all__ = ["State", "seeds"]

PURPOSES = ("init", "order", "augmentation", "attack", "data", "trim", "layers")  # a new one goes to the end


def seeds(recipe: AllSettings) -> dict[str, int]:
    """Return one seed a purpose, all from the recipe's."""
    words = np.random.SeedSequence(recipe.seed).generate_state(len(PURPOSES), np.uint32).tolist()
    return dict(zip(PURPOSES, words, strict=True))


def averaged(settings: AverageSettings, model: Classifier) -> AveragedModel | None:
    """Return the running average that is asked for, of weights and batch-norm statistics, or None."""
    if settings.average is None:
        return None
    rule = get_ema_multi_avg_fn(settings.average_decay) if settings.average == "ema" else None
    network = AveragedModel(model, multi_avg_fn=rule, use_buffers=True).requires_grad_(False)
    return network.eval()


def sgd(settings: OptimiserSettings, model: nn.Module, on_gpu: bool) -> torch.optim.SGD:
    """Return SGD on the model's weights."""
    return torch.optim.SGD(model.parameters(), lr=settings.lr, momentum=settings.momentum,
                           weight_decay=settings.weight_decay, fused=True if on_gpu else None)


class State:
    """Everything that changes while a recipe is trained; `state` and `load` are the whole of a checkpoint.

    epoch, step: how many have passed, of all and of this epoch. order: the epoch's permutation of the images, None
    before its first step. history: the lines of metrics. best, best_state: the highest score so far and its checkpoint.
    dropped: (n,) bool, the training images that are dropped for good, or None.
    totals: since the epoch's begin, sums of the losses and of correct images; the first bad step, steps.
    world: None, or the processes that train together (deep/system/processes.py), each with its rows of every batch.
    """

    def __init__(self, recipe: Recipe, data: Data, device: str | torch.device, world: Alone | None = None) -> None:
        self.recipe, self.device, self.world = recipe, torch.device(device), world or Alone()
        self.data = data.to(self.device)
        self.remembered = {"data": data.fingerprint(), "classes": list(data.classes)}
        seed = seeds(recipe)
        self.model = build(recipe, data, seed["init"]).to(self.device)
        if self.world.size > 1:
            self.model = synced(self.model, self.device)
        self.optimiser = sgd(recipe, self.model, self.device.type == "cuda")
        self.generators = {"order": torch.Generator(), "augmentation": torch.Generator(),
                           "attack": torch.Generator(self.device), "trim": torch.Generator(self.device),
                           "layers": torch.Generator()}
        for name, generator in self.generators.items():
            generator.manual_seed(seed[name])
        self.average = averaged(recipe, self.model)
        self.teachers = Teachers(recipe, self.data, self.device)
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self.order: Tensor | None = None
        self.dropped: Tensor | None = None
        self.history: list[dict[str, Any]] = []
        self.best = -1.0
        self.best_state: dict[str, Any] | None = None
        self.totals = torch.zeros(4, dtype=torch.float64, device=self.device)

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {"recipe": self.recipe.as_dict(), **self.remembered, "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(), "epoch": self.epoch, "step": self.step,
                "order": self.order, "dropped": self.dropped, "totals": self.totals, "seconds": self.seconds,
                "history": self.history,
                "best": self.best, "best_state": self.best_state, "teachers": self.teachers.state(),
                "average": self.average.state_dict() if self.average else None,
                "generators": {name: generator.get_state() for name, generator in self.generators.items()}}

    def load(self, state: dict[str, Any], recipe: Recipe | None = None) -> None:
        """Continue from `state`, a checkpoint of `recipe`, or of this training's own recipe where that is None.

        Raise ValueError, in one sentence, for the checkpoint of another recipe, of other images, or a damaged one.
        """
        if state.get("recipe") != (recipe or self.recipe).as_dict():
            raise ValueError("the checkpoint belongs to another recipe: choose another run folder.")
        check_same_images(state, self.data)
        check_checkpoint(state, self)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["generators"].items():
            self.generators[name].set_state(value)
        for name in ("epoch", "step", "order", "seconds", "history", "best"):
            setattr(self, name, state[name])
        self.best_state = state.get("best_state")
        dropped = state.get("dropped")
        self.dropped = None if dropped is None else dropped.to(self.device)
        self.totals.zero_()[:len(state["totals"])] = state["totals"].to(self.device)
        self.teachers.load(state.get("teachers", {"own": None, "digests": []}), self.model)
        if self.average and state.get("average"):
            self.average.load_state_dict(state["average"])

    @property
    def batches(self) -> int:
        """Return the number of steps of an epoch."""
        return -(-len(self.data.train) // self.recipe.batch)

    @property
    def begun_average(self) -> Classifier | None:
        """Return the running average once averaging has begun."""
        return cast(Classifier, self.average.module) if self.average and self.average.n_averaged else None

    @property
    def evaluated(self) -> Classifier:
        """Return the network that is evaluated and selected: the average once it has begun."""
        return self.begun_average or self.model

    @property
    def trimming(self) -> bool:
        """Tell whether clipping and dropping have begun."""
        return self.recipe.begun(self.recipe.trim_from, self.epoch)

    @property
    def smoothing(self) -> float:
        """Return the smoothing of the labels in this epoch."""
        recipe = self.recipe
        return recipe.smoothing if recipe.begun(recipe.smoothing_from, self.epoch) else 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the block's seconds as the epoch's."""
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started

    def check_finite(self) -> None:
        """Raise FloatingPointError if a loss or a weight is not finite: nothing of such a network is ever saved.

        From here to the next step the totals are those of all processes.
        """
        self.totals.copy_(self.world.add_totals(self.totals))
        step = int(self.totals[2].item())
        if not step and not all(weight.isfinite().all() for weight in self.model.parameters()):
            step = self.step
        if step:
            saved = f"that of epoch {self.epoch} is the last good one" if self.epoch else "none was good"
            raise FloatingPointError(f"the training diverged (no finite loss) at step {step} of epoch "
                                     f"{self.epoch + 1}: of its checkpoints {saved}; lower lr or turn bf16 off.")
