"""The teachers of a distillation: networks of finished runs, this run's own past, or its running average."""

import copy
from pathlib import Path
from typing import Any

import torch

from deep.data.dataset import Data
from deep.networks.classifier import Classifier
from deep.recipe.recipe import Recipe
from deep.runs.fingerprint import recorded_class_names
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.runs.results import weights_digest
from deep.system.messages import tell

__all__ = ["Teachers", "check_folders", "network_of_run"]


def folder_of(name: str) -> tuple[Path, str]:
    """Return (run folder, checkpoint) of RUN, RUN:best or RUN:last.

    >>> folder_of("runs/a:last"), folder_of("runs/a")
    ((PosixPath('runs/a'), 'last'), (PosixPath('runs/a'), 'best'))
    """
    path, _, which = name.rpartition(":") if name.endswith((":best", ":last")) else (name, "", "best")
    return Path(path), which


def check_folders(recipe: Recipe, branch_of: str | Path | None) -> None:
    """Raise ValueError where a teacher that a recipe names, or what the run branches off, is not a run folder."""
    teachers = [name for name in (recipe.teacher, recipe.standard_teacher) if name and name not in ("self", "average")]
    for folder in (*(folder_of(name)[0] for name in teachers), *([] if branch_of is None else [branch_of])):
        RunFolder(folder).recipe()


def network_of_run(name: str, data: Data, device: torch.device | str) -> Classifier:
    """Return the network of a run folder: RUN is its best checkpoint, RUN:last its last.

    Raise ValueError where there is none, or one of other classes.

    >>> network_of_run("/nowhere", None, "cpu")
    Traceback (most recent call last):
    ValueError: /nowhere is not a run folder: it has no readable recipe.json; pass a folder that `deep train` made.
    """
    path, which = folder_of(name)
    run = RunFolder(path)
    run.recipe()
    state = run.model_state(which)
    known = len(state["model"]["linear.weight"])
    if known != len(data.classes):
        raise ValueError(f"the teacher {name} knows {known} classes, but there are "
                         f"{len(data.classes)}: choose a teacher trained on the same data set.")
    names = recorded_class_names(state, data)
    if names:
        tell(f"the teacher {name} calls its classes {', '.join(names)}, but here they are "
             f"{', '.join(data.classes)}: their order is taken to be the same.")
    return load_network(run, data, which, device).requires_grad_(False)


class Teachers:
    """The teachers that a recipe names, each with its share of the loss.

    A teacher sees the student's adversarial images, in eval mode (deep/README.md, Conventions). "self" appears when
    teacher_from of the epochs have passed, "average" when averaging has begun; before, labels alone are learned.
    """

    def __init__(self, recipe: Recipe, data: Data, device: torch.device) -> None:
        self.recipe = recipe
        self.own: Classifier | None = None
        self.fixed: list[tuple[float, Classifier]] = []
        if recipe.teacher and recipe.teacher not in ("self", "average"):
            self.fixed.append((recipe.teacher_share, network_of_run(recipe.teacher, data, device)))
        if recipe.standard_teacher:
            self.fixed.append((recipe.standard_share, network_of_run(recipe.standard_teacher, data, device)))
        self.digests = [weights_digest(network.state_dict()) for _, network in self.fixed]

    def begin_epoch(self, epoch: int, model: Classifier, average: Classifier | None) -> None:
        """Take over this network as its own teacher when its time has come; `average` is None or a network."""
        if self.recipe.teacher == "self" and self.own is None and self.recipe.begun(self.recipe.teacher_from, epoch):
            self.own = copy.deepcopy(model).eval().requires_grad_(False)
            self.own.bf16 = False
        if self.recipe.teacher == "average":
            self.own = average

    def active(self) -> list[tuple[float, Classifier]]:
        """Return pairs (share, network); the shares of the labels and of these add up to 1."""
        return self.fixed + ([(self.recipe.teacher_share, self.own)] if self.own is not None else [])

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the teachers."""
        own = self.own.state_dict() if self.own is not None and self.recipe.teacher == "self" else None
        return {"own": own, "digests": self.digests}

    def load(self, state: dict[str, Any], model: Classifier) -> None:
        """Continue with the teachers of a checkpoint; raise ValueError where they are others."""
        if state["digests"] != self.digests:
            raise ValueError("the teacher's weights are not those that this run began with: restore the teacher's run, "
                             "or choose another folder.")
        if state["own"] is not None:
            self.own = copy.deepcopy(model).eval().requires_grad_(False)
            self.own.bf16 = False
            self.own.load_state_dict(state["own"])
