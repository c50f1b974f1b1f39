"""What is measured: a checkpoint of a run, or another network, with the images and the attack."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from torch import Tensor

from deep.attacks.pgd import Attack
from deep.data.dataset import SPLITS, Data, Split, balanced
from deep.evaluation.accuracy import evaluation_attack
from deep.networks.classifier import Classifier
from deep.recipe.recipe import Recipe
from deep.runs.fingerprint import file_suffix
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.runs.results import weights_digest

__all__ = ["Checkpoint", "Measured", "alike", "sampled"]


@dataclass(frozen=True)
class Measured:
    """What is measured: a network, the images, and the attack.

    data: on `device`. split: "train" (not augmented), "val" or "test". eps: size of the attacks, 0 for clean images;
    None: the recipe's.
    """

    recipe: Recipe
    data: Data
    device: str
    name: str
    split: str = field(default="test", kw_only=True)
    eps: Fraction | None = field(default=None, kw_only=True)

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the network; ValueError if the file is missing or damaged."""
        raise NotImplementedError

    def network(self) -> Classifier:
        """Return the network on `device`, in float32 and in eval mode."""
        raise NotImplementedError

    def origin(self) -> dict[str, Any]:
        """Return what a result says of where the network is from: at least run, checkpoint, epoch and seed."""
        raise NotImplementedError

    @property
    def images(self) -> Split:
        """The images of the split."""
        split: Split = getattr(self.data, self.split)
        return split

    def attack(self, steps: int | None = None) -> Attack:
        """Return the PGD of `steps` that evaluates the recipe, of size `eps`; None: its eval_steps."""
        return evaluation_attack(self.recipe, self.data.box, steps, self.eps)

    def describe(self, attack: Attack) -> dict[str, Any]:
        """Return what every result under `attack` says of itself."""
        split = "" if self.split == "test" else f", its {SPLITS[self.split]} images"
        return self.origin() | {
            "data": self.data.name + split, "n_test": len(self.data.test), "split": self.split,
            "n": len(self.images), "eps": str(attack.eps),
            "attack": f"PGD-{attack.steps} {attack.norm} eps {attack.eps} step {attack.step} on {attack.loss}"}

    def key(self, steps: int | None, seeds: int) -> dict[str, Any]:
        """Return what identifies a measurement under PGD of `steps` from `seeds` seeds: `describe` and the weights."""
        return (self.describe(self.attack(steps))
                | {"checkpoint": self.name.rpartition("/")[2], "attack_seeds": seeds,
                   "weights": weights_digest(self.weights())})


@dataclass(frozen=True)
class Checkpoint(Measured):
    """A checkpoint of a run, and the images on which it is evaluated.

    name: as `RunFolder.model_state` takes it, such as "best". Its file is read once, so that all that is measured is
    of the same weights, though a training may replace the file meanwhile.
    """

    run: RunFolder

    @cached_property
    def state(self) -> dict[str, Any]:
        """The weights and the epoch, under model and epoch."""
        state = self.run.model_state(self.name)
        return {key: state[key] for key in ("model", "epoch")}

    @cached_property
    def loaded(self) -> Classifier:
        """The network, built once."""
        return load_network(self.run, self.data, self.name, self.device, state=self.state)

    def weights(self) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = self.state["model"]
        return weights

    def network(self) -> Classifier:
        return self.loaded

    def origin(self) -> dict[str, Any]:
        return {"run": str(self.run.path), "checkpoint": self.name, "epoch": self.state["epoch"],
                "seed": self.recipe.seed}

    def suffix(self) -> str:
        """Return what file names say of images and an eps that are not those of the run's own test; "" of its own."""
        eps = "" if self.eps in (None, self.recipe.eps) else f"-eps{self.eps}".replace("/", "of")
        return ("" if self.split == "test" else f"-{self.split}") + eps + file_suffix(self.data)


def alike(checkpoints: Sequence[Measured]) -> list[list[Measured]]:
    """Return the checkpoints in groups of the same weights and epoch: the best may be the last."""
    groups: dict[tuple[str, int | None], list[Measured]] = {}
    for one in checkpoints:
        groups.setdefault((weights_digest(one.weights()), one.origin()["epoch"]), []).append(one)
    return list(groups.values())


def sampled(networks: Sequence[Measured], limit: int | None) -> tuple[list[Measured], str | None]:
    """Return them with at most `limit` images of their split, and what to say of the sample, None of all images."""
    first = networks[0]
    images = first.images
    if not limit or limit >= len(images):
        return [*networks], None
    chosen = balanced(images.labels, limit).to(images.labels.device)
    part: dict[str, Any] = {first.split: Split(images.images[chosen], images.labels[chosen])}
    return ([replace(one, data=replace(first.data, **part)) for one in networks],
            f"a fixed sample of the {len(images)} {SPLITS[first.split]} images, balanced by class")
