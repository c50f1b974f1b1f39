"""One training: everything that changes while a recipe is trained, and one step of the algorithm box."""

import time

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deep.attacks.pgd import Attack, Rows, pgd
from deep.data.dataset import as_float, augment, on_device
from deep.evaluation.accuracy import training_line
from deep.networks.classifier import build
from deep.networks.folding import Folded
from deep.runs.checkpoint import check_checkpoint
from deep.runs.fingerprint import check_own
from deep.system.processes import Alone, synced
from deep.system.random_state import seeded
from deep.training.cuda_graph import GraphedGradients
from deep.training.losses import batch_loss, divergence, label_loss
from deep.training.overfitting_probe import probe
from deep.training.teachers import Teachers

__all__ = ["Training", "seeds"]

PURPOSES = ("init", "order", "augmentation", "attack", "data", "trim", "layers")  # a new one goes to the end


def seeds(recipe):
    """One seed per purpose, all from the recipe's."""
    words = np.random.SeedSequence(recipe.seed).generate_state(len(PURPOSES), np.uint32).tolist()
    return dict(zip(PURPOSES, words, strict=True))


def training_attack(recipe, box):
    """The attack that a recipe trains on; TRADES starts it near the image, at a deviation of .001."""
    return Attack(recipe.eps, recipe.step, recipe.steps, recipe.random_start, box, recipe.loss, recipe.attack_mode,
                  recipe.norm, 0.001 if recipe.method == "trades" else None)


def averaged(recipe, model):
    """The running average that the recipe asks for, of weights and batch-norm statistics, or None."""
    if recipe.average is None:
        return None
    rule = get_ema_multi_avg_fn(recipe.average_decay) if recipe.average == "ema" else None
    network = AveragedModel(model, multi_avg_fn=rule, use_buffers=True).requires_grad_(False)
    return network.eval()


class Training:
    """Everything that changes while a recipe is trained; `state` and `load` are the whole of a checkpoint.

    world: None, or the processes that train together (deep/system/processes.py), each with its rows of every batch.
    """

    def __init__(self, recipe, data, device, world=None):
        self.recipe, self.device, self.world = recipe, torch.device(device), world or Alone()
        self.data = data.to(self.device)
        self.remembered = {"data": data.fingerprint(), "classes": list(data.classes)}
        seed = seeds(recipe)
        self.model = build(recipe, data, seed["init"]).to(self.device)
        if self.world.size > 1:
            self.model = synced(self.model, self.device)
        on_gpu = self.device.type == "cuda"
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=recipe.lr, momentum=recipe.momentum,
                                         weight_decay=recipe.weight_decay, fused=True if on_gpu else None)
        folds = recipe.attack_mode == "eval" and recipe.method != "standard" and Folded.supports(self.model)
        self.folded = Folded(self.model) if folds else None
        self.network, self.attacked = self.world.parallel(self.model), self.folded or self.model
        if recipe.compile:
            self.network, self.attacked = (torch.compile(network, dynamic=False)
                                           for network in (self.network, self.attacked))
        self.step_gradients = GraphedGradients(self) if recipe.compile and on_gpu else self.gradients
        self.generators = {"order": torch.Generator(), "augmentation": torch.Generator(),
                           "attack": torch.Generator(self.device), "trim": torch.Generator(self.device),
                           "layers": torch.Generator()}
        for name, generator in self.generators.items():
            generator.manual_seed(seed[name])
        self.rows = Rows(self.generators["attack"], 0, recipe.batch)  # this process's, of the batch at hand
        self.attack = training_attack(recipe, data.box)
        self.average = averaged(recipe, self.model)
        self.teachers = Teachers(recipe, self.data, self.device)
        self.epoch, self.step, self.order, self.history, self.best = 0, 0, None, [], -1.0
        self.best_state = None
        self.totals = torch.zeros(4, dtype=torch.float64, device=self.device)  # loss, correct, first bad step, steps
        self.seconds = 0.0

    def state(self):
        return {"recipe": self.recipe.as_dict(), **self.remembered, "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(), "epoch": self.epoch, "step": self.step,
                "order": self.order, "totals": self.totals, "seconds": self.seconds, "history": self.history,
                "best": self.best, "best_state": self.best_state, "teachers": self.teachers.state(),
                "average": self.average.state_dict() if self.average else None,
                "generators": {name: generator.get_state() for name, generator in self.generators.items()}}

    def load(self, state, recipe=None):
        """Continue from `state`; recipe: whose state it may be (None: this training's own)."""
        if state.get("recipe") != (recipe or self.recipe).as_dict():
            raise ValueError("the checkpoint belongs to another recipe: choose another run folder.")
        check_own(state, self.data)
        check_checkpoint(state, self)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["generators"].items():
            self.generators[name].set_state(value)
        for name in ("epoch", "step", "order", "seconds", "history", "best"):
            setattr(self, name, state[name])
        self.best_state = state.get("best_state")
        self.totals.zero_()[:len(state["totals"])] = state["totals"].to(self.device)
        self.teachers.load(state.get("teachers", {"own": None, "digests": []}), self.model)
        if self.average and state.get("average"):
            self.average.load_state_dict(state["average"])

    @property
    def batches(self):
        return -(-len(self.data.train) // self.recipe.batch)

    @property
    def evaluated(self):
        """The network that is evaluated and selected: the average once it has begun."""
        return self.average.module if self.average and self.average.n_averaged else self.model

    @property
    def trimming(self):
        """Whether clipping and dropping have begun."""
        return self.recipe.begun(self.recipe.trim_from, self.epoch)

    def begin_epoch(self):
        average = self.average.module if self.average and self.average.n_averaged > self.step else None
        self.teachers.begin_epoch(self.epoch, self.model, average)

    def batch(self):
        """This process's rows of the next images (float, augmented) and labels, on the device."""
        recipe, train = self.recipe, self.data.train
        if self.order is None:
            self.order = torch.randperm(len(train), generator=self.generators["order"])
        index = on_device(self.order[self.step * recipe.batch:(self.step + 1) * recipe.batch], self.device)
        x, y = train.images[index], train.labels[index]
        if recipe.padding or recipe.flip:
            x = augment(x, self.generators["augmentation"], recipe.padding, recipe.flip)
        begin, end = self.world.rows(len(y))
        self.rows = Rows(self.generators["attack"], begin, len(y))
        return as_float(x[begin:end]), y[begin:end]

    def adversarial(self, x, y):
        """The images that are trained on: attacked, or as they are for standard training."""
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

    def losses(self, x, y, z, logits):
        """One loss a sample: of the labels, of the teachers' scores, of TRADES (deep/README.md, Conventions).

        TRADES (Zhang et al. 2019): CE(f(x), y) + beta KL(p(x) || p(z)).
        """
        recipe = self.recipe
        if recipe.method == "trades":
            clean = self.network(x)
            return label_loss(recipe.loss, clean, y, recipe.smoothing) + recipe.beta * divergence(logits, clean)
        losses = label_loss(recipe.loss, logits, y, recipe.smoothing)
        teachers = self.teachers.active()
        if teachers:
            losses = losses * (1 - sum(share for share, _ in teachers))
        for share, teacher in teachers:
            with torch.no_grad():
                target = teacher(z)
            losses = losses + share * divergence(logits, target, recipe.temperature)
        return losses

    def gradients(self, x, y):
        """Attack, forward, backward; what the step adds to the totals is added. Nothing here waits for the device."""
        recipe = self.recipe
        z = self.adversarial(x, y)
        self.model.train()
        logits = self.network(z)
        losses = self.losses(x, y, z, logits)
        trim, clip = (recipe.trim, recipe.clip) if self.trimming else (0, None)
        whole = self.world.gather_rows(losses) if self.world.size > 1 and trim else None
        loss = batch_loss(losses, clip, trim, recipe.trim_kind, self.generators["trim"], whole, self.rows.begin)
        if self.world.size > 1 and whole is None:
            loss = loss * len(y) / self.rows.n
        self.optimiser.zero_grad()
        self.world.backward(loss)

        # The mean over all samples, whatever is dropped: one number in every system.
        value = losses.detach().double().mean()
        bad = torch.where((self.totals[2] == 0) & ~value.isfinite(), self.totals[3] + 1, 0)
        correct = (logits.detach().argmax(1) == y).sum().double()
        self.totals += torch.stack([value * len(y), correct, bad, torch.ones_like(bad)])

    def train_batch(self):
        """One step: augment, attack, descend."""
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
        if recipe.average == "ema" and recipe.begun(recipe.average_from, self.epoch):
            self.average.update_parameters(self.model)
        self.step += 1

    def layers_seed(self):
        """A seed for what layers such as Dropout draw in the next step; each process has its own."""
        return torch.randint(2**62, (), generator=self.generators["layers"]).item() + self.world.rank

    def set_learning_rate(self, rate):
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def check_finite(self):
        """FloatingPointError if a loss or a weight is not finite: nothing of such a network is ever saved.

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

    @property
    def evaluates(self):
        """Whether the end of this epoch is more than its bookkeeping."""
        return bool(self.recipe.splits_due(self.epoch + 1)) or self.recipe.probe_steps is not None

    def finish_epoch(self, look=None):
        """Close the epoch after `check_finite`: evaluate when it is due, and return the weights if they are the best.

        look(): called after each batch of an evaluation, by every process; it may raise.
        """
        recipe, n = self.recipe, len(self.data.train)
        loss, correct, *_ = self.totals.tolist()
        line = {"epoch": self.epoch + 1, "learning_rate": recipe.learning_rate(self.epoch), "train_loss": loss / n,
                "train_robust": correct / n, "seconds": round(self.seconds, 3),
                # a clock that stood still tells no speed
                "images_per_second": round(n / self.seconds, 1) if self.seconds > 0 else None}
        if recipe.average == "swa" and recipe.begun(recipe.average_from, self.epoch):
            self.average.update_parameters(self.model)
        self.epoch += 1
        if recipe.probe_steps is not None:
            with seeded(self.epoch, self.device):
                line |= probe(self.model, self.data, self.attack, recipe.probe_steps, seed=self.epoch)
        best = self.evaluate_into(line, look) if recipe.splits_due(self.epoch) else None
        self.history.append(line)
        self.step, self.order, self.seconds = 0, None, 0.0
        self.totals.zero_()
        return best

    def evaluate_into(self, line, look=None):
        """Attack the splits that are due, into the metrics line, and return the checkpoint if it is the best so far."""
        recipe, begin, model = self.recipe, time.perf_counter(), self.evaluated
        if self.average:
            line["evaluated"] = "network" if model is self.model else "average"
        with seeded(self.epoch, self.device):
            line |= training_line(model, self.data, recipe, self.epoch, self.world, look and (lambda n: look()))
        line["eval_seconds"] = round(time.perf_counter() - begin, 3)
        score = line["robust" if recipe.select == "test" else "val_robust"]
        if score <= self.best:
            return None
        self.best = score
        self.best_state = {"model": {name: value.clone() for name, value in model.state_dict().items()},
                           "epoch": self.epoch, "selected_on": recipe.select, "metrics": line, **self.remembered}
        return self.best_state
