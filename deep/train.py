"""Adversarial training: the loop of the algorithm box, and what makes it impossible to lose."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from deep.attack import LOSSES, Attack, pgd
from deep.data import as_float, augment, load
from deep.evaluate import training_line
from deep.models import build
from deep.planted import planted_images
from deep.recipe import run_name
from deep.run import RunFolder

__all__ = ["Interrupted", "Training", "load_data", "load_network", "train"]


class Interrupted(Exception):
    """A signal asked the training to stop; a checkpoint was written. `signal` is its number."""

    def __init__(self, number):
        super().__init__(f"signal {number} stopped the training; the same command continues it.")
        self.signal = number


def seeds(recipe):
    """One seed per purpose, all from the recipe's."""
    words = np.random.SeedSequence(recipe.seed).generate_state(5, np.uint32).tolist()
    return dict(zip(("init", "order", "augmentation", "attack", "data"), words, strict=True))


def load_data(recipe, folder=None):
    """The `Data` that a recipe names; `folder` holds the images (planted images need none); ValueError without them.

    >>> from deep.recipe import recipe_named
    >>> len(load_data(recipe_named("planted-linear", ["train_size=12", "val_size=3"])).train)
    12
    """
    if recipe.data == "planted":
        size = recipe.train_size or 20_000
        data = planted_images(recipe.mu, recipe.sigma, recipe.patch, size, recipe.val_size, seeds(recipe)["data"])
    else:
        data = load(recipe.data, folder, recipe.val_size, recipe.train_size, recipe.resize)
    if recipe.padding >= min(data.train.images.shape[2:]):
        raise ValueError(f"padding = {recipe.padding} was given, but reflection needs less than the image's size "
                         f"{tuple(data.train.images.shape[2:])}: choose a smaller padding.")
    return data


class Training:
    """Everything that changes while a recipe is trained; `state` and `load` are the whole of a checkpoint."""

    def __init__(self, recipe, data, device):
        self.recipe, self.device = recipe, torch.device(device)
        self.data, self.fingerprint = data.to(self.device), data.fingerprint()
        seed = seeds(recipe)
        self.model = build(recipe, data, seed["init"]).to(self.device)
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=recipe.lr, momentum=recipe.momentum,
                                         weight_decay=recipe.weight_decay)
        self.generators = {"order": torch.Generator(), "augmentation": torch.Generator(),
                           "attack": torch.Generator(self.device)}
        for name, generator in self.generators.items():
            generator.manual_seed(seed[name])
        self.attack = Attack(recipe.eps, recipe.step, recipe.steps, recipe.random_start, data.box, recipe.loss,
                             recipe.attack_mode)
        self.epoch, self.step, self.order, self.history, self.best = 0, 0, None, [], -1.0
        self.totals = torch.zeros(3, dtype=torch.float64, device=self.device)  # loss, correct, first bad step
        self.seconds = 0.0

    def state(self):
        return {"recipe": self.recipe.as_dict(), "data": self.fingerprint, "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(), "epoch": self.epoch, "step": self.step,
                "order": self.order, "totals": self.totals, "seconds": self.seconds, "history": self.history,
                "best": self.best,
                "generators": {name: generator.get_state() for name, generator in self.generators.items()}}

    def load(self, state):
        if state.get("recipe") != self.recipe.as_dict():
            raise ValueError("the checkpoint belongs to another recipe: choose another run folder.")
        if state.get("data") != self.fingerprint:
            raise ValueError("the training images are not those that this run began with: give it the same --data, "
                             "or choose another folder.")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        for name in ("epoch", "step", "order", "seconds", "history", "best"):
            setattr(self, name, state[name])
        self.totals = state["totals"].to(self.device)

    @property
    def batches(self):
        return -(-len(self.data.train) // self.recipe.batch)

    def train_batch(self):
        """One step: augment, attack, descend. Nothing here waits for the device."""
        recipe, train = self.recipe, self.data.train
        if self.order is None:
            self.order = torch.randperm(len(train), generator=self.generators["order"])
        index = self.order[self.step * recipe.batch:(self.step + 1) * recipe.batch].to(self.device)
        x, y = train.images[index], train.labels[index]
        if recipe.padding or recipe.flip:
            x = augment(x, self.generators["augmentation"], recipe.padding, recipe.flip)
        z = pgd(self.model, as_float(x), y, self.attack, self.generators["attack"])

        self.model.train()
        logits = self.model(z)
        loss = LOSSES[recipe.loss](logits, y).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if recipe.radius is not None:
            with torch.no_grad():
                for weight in self.model.parameters():
                    weight.mul_(recipe.radius / weight.norm())

        self.step += 1
        value = loss.detach().double()
        bad = torch.where((self.totals[2] == 0) & ~value.isfinite(), self.step, 0)
        correct = (logits.detach().argmax(1) == y).sum()
        self.totals += torch.stack([value * len(y), correct.double(), bad.double()])

    def check_finite(self):
        """FloatingPointError if a loss or a weight is not finite: nothing of such a network is ever saved."""
        step = int(self.totals[2].item())
        if not step and not all(weight.isfinite().all() for weight in self.model.parameters()):
            step = self.step
        if step:
            saved = f"that of epoch {self.epoch} is the last good one" if self.epoch else "none was good"
            raise FloatingPointError(f"the training diverged (no finite loss) at step {step} of epoch "
                                     f"{self.epoch + 1}: of its checkpoints {saved}; lower lr or turn bf16 off.")

    def finish_epoch(self):
        """Close the epoch: refuse a NaN, evaluate when it is due, and return the weights if they are the best."""
        self.check_finite()
        recipe, n = self.recipe, len(self.data.train)
        loss, correct, _ = self.totals.tolist()
        self.epoch += 1
        line = {"epoch": self.epoch, "learning_rate": recipe.learning_rate(self.epoch - 1), "train_loss": loss / n,
                "train_robust": correct / n, "seconds": round(self.seconds, 3),
                "images_per_second": round(n / self.seconds, 1)}
        best = None
        if self.epoch % recipe.eval_every == 0 or self.epoch == recipe.epochs:
            begin = time.perf_counter()
            line |= training_line(self.model, self.data, recipe, self.epoch)
            line["eval_seconds"] = round(time.perf_counter() - begin, 3)
            score = line["robust" if recipe.select == "test" else "val_robust"]
            if score > self.best:
                self.best = score
                best = {"model": self.model.state_dict(), "epoch": self.epoch, "selected_on": recipe.select,
                        "metrics": line}
        self.history.append(line)
        self.step, self.order, self.seconds = 0, None, 0.0
        self.totals.zero_()
        return best


def train(recipe, data, out, *, device="cpu", stop_after=None, progress=None, folder=None):
    """Train `recipe` in the run folder out/run_name(recipe), or continue what is there; return the RunFolder.

    data: `load_data(recipe, ...)`. stop_after: leave after this epoch, as an interruption would.
    progress(training): called after every step and epoch. folder: use this run folder instead.
    On a CPU the continued run is bit-identical to an uninterrupted one on the same machine with the same threads.
    SIGTERM and SIGINT write a checkpoint in mid-epoch and raise `Interrupted`. ValueError: the folder is in use,
    or holds another recipe or no readable checkpoint. FloatingPointError: the loss was NaN or infinite.
    """
    run = RunFolder(folder or Path(out) / run_name(recipe))
    run.open_for_training(recipe)
    received = []
    handlers = {number: signal.signal(number, lambda number, frame: received.append(number))
                for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        training = Training(recipe, data, device)
        state, complaint = run.resume()
        if complaint:
            print(complaint + " Going on from the checkpoint before it.")
        if state is not None:
            training.load(state)
            run.write_metrics(training.history)
        if training.epoch < recipe.epochs:
            run.write_environment(data, device, training.epoch)
        last = min(recipe.epochs, stop_after or recipe.epochs)
        while training.epoch < last:
            begin = time.perf_counter()
            training.optimiser.param_groups[0]["lr"] = recipe.learning_rate(training.epoch)
            while training.step < training.batches and not received:
                training.train_batch()
                if progress:
                    progress(training)
            training.seconds += time.perf_counter() - begin
            if received:
                training.check_finite()
                run.save(training.state(), None)
                raise Interrupted(received[0])
            best = training.finish_epoch()
            run.save(training.state(), best)
            run.write_metrics(training.history)
            if progress:
                progress(training)
        return run
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        run.close()


def load_network(run, data, which="best", device="cpu"):
    """The network of a run folder's checkpoint, in float32 whatever the training's arithmetic was.

    Raises ValueError if the checkpoint is missing, damaged or of another network.
    """
    # The weights come from the checkpoint: a file of published ones need not be there any more.
    model = build(replace(run.recipe(), pretrained=None), data, 0)
    try:
        model.load_state_dict(run.model_state(which)["model"])
    except RuntimeError as error:
        raise ValueError(f"the weights in {run.path / which}.pt do not fit the network of its recipe: restore the file "
                         "from a copy.") from error
    model.bf16 = False
    return model.to(device).eval()
