"""One step of adversarial training, as in the algorithm box: augment, attack, descend."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deep.attacks.pgd import Attack, Rows, frozen, pgd
from deep.data.dataset import Data, as_float, augment, on_device
from deep.networks.folding import Folded
from deep.recipe.recipe import Recipe
from deep.recipe.settings import AttackSettings
from deep.system.device import seeded
from deep.system.processes import Alone
from deep.training.cuda_graph import GraphedGradients
from deep.training.losses import (
    batch_cas,
    batch_loss,
    counted,
    divergence,
    dropped_for_good,
    label_loss,
    weight_perturbation,
)
from deep.training.state import State, seeds

__all__ = ["Training"]

Images = Float[Tensor, "n c h w"]
Labels = Int[Tensor, "n"]


def training_attack(settings: AttackSettings, box: tuple[float, float] | None) -> Attack:
    """Return the attack that a recipe trains on; TRADES starts it near the image, at a deviation of .001."""
    return Attack(settings.eps, settings.step, settings.steps, settings.random_start, box, settings.loss,
                  settings.attack_mode, settings.norm, 0.001 if settings.method == "trades" else None)


class Training(State):
    """A training: its state, and the step that changes it.

    model: the network. network, attacked: what a step's images and what its attack pass through (`prepared`).
    rows: this process's, of the batch at hand. kept: of its images, those that are not dropped for good; None: all.
    """

    def __init__(self, recipe: Recipe, data: Data, device: str | torch.device, world: Alone | None = None) -> None:
        super().__init__(recipe, data, device, world)
        self.rows = Rows(self.generators["attack"], 0, recipe.batch)
        self.kept: Tensor | None = None
        self.attack = training_attack(recipe, data.box)
        self.step_gradients = self.prepared()

    def prepared(self) -> Callable[[Images, Labels], None]:
        """Fold, compile and record as the recipe asks, and return `gradients` as it is then run.

        Folded is what an attack in eval mode differentiates. Several processes share the gradients of `network`;
        compiled, there is only one of them, and on a GPU its step is one graph that is replayed.
        """
        recipe = self.recipe
        folds = recipe.attack_mode == "eval" and recipe.method != "standard" and Folded.supports(self.model)
        self.folded = Folded(self.model) if folds else None
        self.network: nn.Module = self.world.parallel(self.model)
        self.attacked: nn.Module = self.folded or self.model
        if not recipe.compile:
            return self.gradients
        self.network, self.attacked = (cast(nn.Module, torch.compile(network, dynamic=False))
                                       for network in (self.network, self.attacked))
        return GraphedGradients(self, self.gradients) if self.device.type == "cuda" else self.gradients

    def begin_epoch(self) -> None:
        """Take the epoch's teachers, and drop images for good once that is due."""
        average = self.begun_average if self.average and self.average.n_averaged > self.step else None
        self.teachers.begin_epoch(self.epoch, self.model, average)
        recipe = self.recipe
        if recipe.trim_kind.startswith("fixed") and self.trimming and self.dropped is None:
            self.dropped = dropped_for_good(self.ranks(), recipe.trim)

    def ranks(self) -> Float[Tensor, "N"]:
        """Return the order in which images are dropped for good: random, or by loss on attacked, plain images."""
        recipe, train = self.recipe, self.data.train
        if recipe.trim_kind == "fixed":
            generator = torch.Generator().manual_seed(seeds(recipe)["trim"])
            return torch.rand(len(train), generator=generator).to(self.device)
        generator, found = torch.Generator(self.device).manual_seed(seeds(recipe)["trim"]), []
        if self.folded:
            self.folded.refresh()
        for begin in range(0, len(train), recipe.batch):
            x, y = as_float(train.images[begin:begin + recipe.batch]), train.labels[begin:begin + recipe.batch]
            z = pgd(self.folded or self.model, x, y, self.attack, Rows(generator, 0, len(y)))
            with frozen(self.model), torch.no_grad():
                found.append(label_loss(recipe.loss, self.model(z), y))
        return torch.cat(found)

    def batch(self) -> tuple[Images, Labels]:
        """Return this process's rows of the next images (float, augmented) and labels, on the device."""
        recipe, train = self.recipe, self.data.train
        if self.order is None:
            self.order = torch.randperm(len(train), generator=self.generators["order"])
        index = on_device(self.order[self.step * recipe.batch:(self.step + 1) * recipe.batch], self.device)
        x, y = train.images[index], train.labels[index]
        if recipe.padding or recipe.flip:
            x = augment(x, self.generators["augmentation"], recipe.padding, recipe.flip)
        self.kept = None if self.dropped is None else ~self.dropped[index]
        begin, end = self.world.rows(len(y))
        self.rows = Rows(self.generators["attack"], begin, len(y))
        return as_float(x[begin:end]), y[begin:end]

    def adversarial(self, x: Images, y: Labels) -> Images:
        """Return the images that are trained on: attacked, or as they are for standard training."""
        if self.recipe.method == "standard":
            return x
        objective = None
        if self.folded:
            self.folded.refresh()
        if self.recipe.method == "trades":
            self.model.eval()
            with torch.no_grad():
                clean = self.attacked(x)
            objective = lambda logits: divergence(logits, clean)  # noqa: E731 - a formula
        return pgd(self.attacked, x, y, self.attack, self.rows, objective)

    def losses(self, x: Images, y: Labels, z: Images, logits: Float[Tensor, "n K"]) -> Float[Tensor, "n"]:
        """Return one loss a sample: of the labels, of the teachers' scores, of TRADES (deep/README.md, Conventions).

        TRADES (Zhang et al. 2019): CE(f(x), y) + beta KL(p(x) || p(z)).
        """
        recipe = self.recipe
        if recipe.method == "trades":
            assert recipe.beta is not None  # as a recipe checks
            clean = self.network(x)
            return label_loss(recipe.loss, clean, y, self.smoothing) + recipe.beta * divergence(logits, clean)
        losses = label_loss(recipe.loss, logits, y, self.smoothing)
        teachers = self.teachers.active()
        if teachers:
            losses = losses * (1 - sum(share for share, _ in teachers))
        for share, teacher in teachers:
            with torch.no_grad():
                target = teacher(z)
            losses = losses + share * divergence(logits, target, recipe.temperature)
        return losses

    def gradients(self, x: Images, y: Labels) -> None:
        """Attack, forward, backward; add to the totals what the step adds. Nothing here waits for the device."""
        recipe = self.recipe
        z = self.adversarial(x, y)
        self.model.train()
        penalised = bool(recipe.cas_weight) and self.trimming
        with self.perturbed(x, y, z):
            features = self.model.features(z) if penalised else None
            logits = self.network(z) if features is None else self.model.linear(features)
            losses = self.losses(x, y, z, logits)
            loss = self.mean_loss(losses)
            if features is not None:
                loss = loss + recipe.cas_weight * batch_cas(features, y, self.model.linear.weight, recipe.cas_centred)
            self.optimiser.zero_grad()
            self.world.backward(loss)

        # The mean over all samples, whatever is dropped: one number in every system.
        value = losses.detach().double().mean()
        bad = torch.where((self.totals[2] == 0) & ~value.isfinite(), self.totals[3] + 1, 0)
        correct = (logits.detach().argmax(1) == y).sum().double()
        self.totals += torch.stack([value * len(y), correct, bad, torch.ones_like(bad)])

    @contextmanager
    def perturbed(self, x: Images, y: Labels, z: Images) -> Iterator[None]:
        """Move the weights against the batch's mean loss while the block runs, where the recipe asks for it.

        Each weight tensor of two or more axes goes its `weight_perturbation`; biases and batch norm stay. The weights
        come back before the optimiser's step, so that weight decay acts on them as they were (in the public code of Wu
        et al. 2020 they come back after it), and the pass for the ascent leaves the running statistics alone.
        """
        recipe = self.recipe
        if not recipe.awp or not recipe.begun(recipe.awp_from, self.epoch):
            yield
            return
        weights = [weight for weight in self.model.parameters() if weight.ndim > 1]
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        ascent = torch.autograd.grad(self.losses(x, y, z, self.network(z)).mean(), weights, allow_unused=True,
                                     materialize_grads=True)
        before = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for buffer, old in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(old)
            for weight, gradient in zip(weights, ascent, strict=True):
                weight.add_(weight_perturbation(weight, gradient, recipe.awp))
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, old in zip(weights, before, strict=True):
                    weight.copy_(old)

    def mean_loss(self, losses: Float[Tensor, "n"]) -> Float[Tensor, ""]:
        """Return what is descended: these rows' part of the mean over what the batch keeps."""
        recipe, world = self.recipe, self.world
        trim, clip, floor = (recipe.trim, recipe.clip, recipe.floor) if self.trimming else (0, None, None)
        if self.kept is not None:  # dropped for good: the mean over those of the whole batch that are left
            kept = self.kept[self.rows.begin:self.rows.begin + len(losses)]
            return (counted(losses, clip, floor) * kept).sum() / self.kept.sum().clamp(min=1)
        whole = world.gather_rows(losses) if world.size > 1 and trim else None
        loss = batch_loss(losses, clip, trim, recipe.trim_kind, self.generators["trim"], whole, self.rows.begin, floor)
        return loss * len(losses) / self.rows.n if world.size > 1 and whole is None else loss

    def train_batch(self) -> None:
        """Take one step: augment, attack, descend."""
        recipe = self.recipe
        if recipe.schedule != "steps":
            self.set_learning_rate(recipe.learning_rate(self.epoch + (self.step + 0.5) / self.batches))
        x, y = self.batch()
        with seeded(self.layers_seed(), self.device):
            self.step_gradients(x, y)
        if recipe.gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.gradient_norm)
        self.optimiser.step()
        if recipe.radius is not None:
            with torch.no_grad():
                for weight in self.model.parameters():
                    weight.mul_(recipe.radius / weight.norm())
        if self.average and recipe.average == "ema" and recipe.begun(recipe.average_from, self.epoch):
            self.average.update_parameters(self.model)
        self.step += 1

    def layers_seed(self) -> int:
        """Draw a seed for what layers such as Dropout draw in the next step; each process has its own."""
        return int(torch.randint(2**62, (), generator=self.generators["layers"]).item()) + self.world.rank

    def set_learning_rate(self, rate: float) -> None:
        """Give the optimiser its learning rate."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
