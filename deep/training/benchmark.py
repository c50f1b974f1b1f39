"""How fast the training step is, beside the textbook's, and how far both are from what the machine can do."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from deep.attacks.pgd import Attack
from deep.data.dataset import Data, Split, as_float
from deep.evaluation.accuracy import training_line
from deep.networks.classifier import build
from deep.recipe.recipe import Recipe
from deep.runs.folder import commit
from deep.system.speed import PRODUCTS, kernel_table, peak, seconds
from deep.training.loop import Training

__all__ = ["bench", "evaluation_share", "forward_flops", "own_step", "random_data", "step_flops", "textbook_step"]


def textbook_step(model: nn.Module, optimiser: torch.optim.Optimizer, x: Float[Tensor, "n c h w"], y: Int[Tensor, "n"],
                  attack: Attack, *, start: Float[Tensor, "n c h w"] | None = None,
                  mode: str = "train") -> tuple[float, int]:
    """Take one step of PGD adversarial training (Madry et al. 2018) as it is written at first: (loss, number correct).

    Every attack step runs `backward` through all parameters, in training mode, and the metrics are read at once.
    x: images; y: labels; attack: in linf with a box; start: the random start that is
    used in place of a new one; mode: "train", or "eval" to attack batch norm in that mode.
    """
    eps, step, (low, high) = float(attack.eps), float(attack.step), attack.box or (-math.inf, math.inf)
    model.train(mode == "train")
    z = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(low, high) if start is None else start
    for _ in range(attack.steps):
        z = z.detach().requires_grad_()
        F.cross_entropy(model(z), y).backward()
        assert z.grad is not None
        z = z + step * z.grad.sign()
        z = torch.min(torch.max(z, x - eps), x + eps).clamp(low, high)
    model.train()
    optimiser.zero_grad()
    logits = model(z.detach())
    loss = F.cross_entropy(logits, y)
    loss.backward()
    optimiser.step()
    return loss.item(), (logits.argmax(1) == y).sum().item()


def random_data(n: int, shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, seed: int = 0) -> Data:
    """Return a data set of n random images of uint8, equally many a class; validation and test images are the same."""
    generator = torch.Generator().manual_seed(seed)
    split = Split(torch.randint(256, (n, *shape), generator=generator, dtype=torch.uint8),
                  torch.randperm(n, generator=generator) % classes)
    half, quarter = (0.5,) * shape[0], (0.25,) * shape[0]
    return Data("random images", tuple(map(str, range(classes))), split, split, split, half, quarter, (0.0, 1.0), {})


def forward_flops(model: nn.Module, shape: Sequence[int]) -> int:
    """Return F: floating-point operations of one image of `shape` (c, h, w) forward, 2 a multiplication.

    Convolutions and linear layers alone are counted, of what they compute and not of how; attention's products,
    batch norm and sums are not.

    >>> forward_flops(nn.Conv2d(3, 5, 3, padding=1), (3, 8, 8)) == 2 * (3 * 3 * 3) * 5 * 8 * 8
    True
    """
    counts: list[int] = []

    def count(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # every weight is used once an output position: of a map, or of a sequence of tokens
        positions = output[0, 0].numel() if isinstance(layer, nn.Conv2d) else output[0].numel() // output.shape[-1]
        counts.append(2 * layer.weight.numel() * positions)

    hooks = [layer.register_forward_hook(count) for layer in model.modules()
             if isinstance(layer, (nn.Conv2d, nn.Linear))]
    modes = {module: module.training for module in model.modules()}
    reference = next(model.parameters())
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape, device=reference.device, dtype=reference.dtype))
    for module, training in modes.items():
        module.training = training
    for hook in hooks:
        hook.remove()
    return sum(counts)


def step_flops(forward: int, attack_steps: int) -> int:
    """Return a step's operations for an image: 2 F an attack step (forward, to the image), 3 F to train (and to W).

    >>> step_flops(1, 10)
    23
    """
    return (2 * attack_steps + 3) * forward


def own_step(recipe: Recipe, data: Data, device: str | torch.device) -> tuple[Callable[[], None], Training]:
    """Return (our step, a function of no argument, its `Training`)."""
    training = Training(recipe, data, device)

    def ours() -> None:
        if training.step == training.batches:
            training.step, training.order = 0, None
        training.train_batch()

    return ours, training


def evaluation_share(training: Training, per_image: float, images: int = 50_000, tested: int = 10_000) -> float:
    """Return the time of evaluation over time of training at the recipe's cadence, on a data set of CIFAR-10's size.

    per_image: seconds of training an image; images: of the training and validation splits together; tested: test
    images. The evaluation, CAS included, is timed on the training's own data, the median of three each.
    """
    recipe, data, model = training.recipe, training.data, training.evaluated
    training_line(model, data, recipe, recipe.epochs)  # what is allocated at first is not counted
    spent = 0.0
    for split, size in (("val", recipe.val_size), ("test", tested)):
        times = sum(split in recipe.splits_due(epoch + 1) for epoch in range(recipe.epochs))
        if not times:
            continue
        # of its two epochs, the first asks for this split alone
        alone = replace(recipe, select=split, epochs=2, eval_every=2, select_every=1)
        evaluate = partial(training_line, model, data, alone, 1)
        one = statistics.median(seconds(evaluate, training.device) for _ in range(3))
        spent += times * one * size / len(data.test)
    return spent / (recipe.epochs * (images - recipe.val_size) * per_image)


def steps(recipe: Recipe, data: Data, device: torch.device) -> tuple[Callable[[], None], Callable[[], None], Training]:
    """Return (our step, the textbook step), each a function of no argument, and the `Training`."""
    ours, training = own_step(recipe, data, device)
    plain = build(replace(recipe, bf16=False, channels_last=False), data, 0).to(device)
    optimiser = torch.optim.SGD(plain.parameters(), lr=recipe.lr, momentum=recipe.momentum,
                                weight_decay=recipe.weight_decay)
    train = data.to(device).train

    def textbook() -> None:
        index = torch.randint(len(train), (recipe.batch,)).to(device)
        textbook_step(plain, optimiser, as_float(train.images[index]), train.labels[index], training.attack)

    return ours, textbook, training


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def bench(recipe: Recipe, device: str | torch.device = "cpu", repeats: int = 5, least: float = 0.5,
          profiled: bool = False, begin: Callable[[str], None] = lambda stage: None) -> dict[str, Any]:
    """Run both steps, measured in turn `repeats` times, each time for at least `least` seconds.

    recipe: of PGD training in linf on cross-entropy; its data is replaced by random images. Returns what
    `deep bench --json` prints: images a second (medians), `ratio` of the two, pair by pair, the share of evaluation
    (`evaluation_share`), operations an image, the share of the peak (of bfloat16 or float32 as each computes) that is
    used; with `profiled`, `kernel_table` of both and the share of the peak while convolutions and products run
    (`products_utilisation`). begin(stage) is told what begins, repeats + 2 times, with `profiled` once more.
    ValueError for another recipe.
    """
    if (recipe.loss, recipe.random_start) != ("cross-entropy", True) or recipe.norm != "linf":
        raise ValueError("a recipe was given that the textbook step does not train, which is PGD in linf on "
                         "cross-entropy from a random start: leave loss, norm and random_start as they are.")
    device, data = torch.device(device), random_data(max(4 * recipe.batch, 64))
    ours, textbook, training = steps(recipe, data, device)
    begin("first steps")
    ours(), textbook()  # what is compiled or allocated at first is not counted
    counts = [max(1, math.ceil(least / seconds(step, device))) for step in (ours, textbook)]
    pairs, peaks = [], []
    for number in range(repeats):
        begin(f"pair {number + 1} of {repeats}")
        pairs.append([seconds(step, device, count) for step, count in zip((ours, textbook), counts, strict=True)])
        peaks.append([peak(dtype, device) for dtype in (torch.bfloat16, torch.float32)])
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ceilings = dict(zip(("bfloat16", "float32"), map(max, zip(*peaks, strict=True)), strict=True))
    flops = step_flops(forward_flops(training.model, data.train.images.shape[1:]), recipe.steps)
    used = {"ours": ("bfloat16" if recipe.bf16 else "float32", own), "textbook": ("float32", other)}
    begin("evaluation")
    result = {
        "images_per_second": recipe.batch / own, "textbook_images_per_second": recipe.batch / other,
        "ratio": spread([b / a for a, b in pairs]), "seconds": spread([a for a, _ in pairs]),
        "textbook_seconds": spread([b for _, b in pairs]), "repeats": repeats, "steps_per_repeat": counts,
        "model": recipe.model, "width": recipe.width, "depth": recipe.depth, "batch": recipe.batch,
        "attack_steps": recipe.steps, "bf16": recipe.bf16, "channels_last": recipe.channels_last,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(), "torch": torch.__version__, "commit": commit(),
        "evaluation_share": evaluation_share(training, own / recipe.batch), "flops_per_image": flops,
        "peak_flops": ceilings,
        "utilisation": {name: recipe.batch * flops / (time * ceilings[kind]) for name, (kind, time) in used.items()}}
    if profiled:
        begin("profile")
        result["profile"] = {name: [dict(zip(("group", "seconds", "share"), row, strict=True))
                                    for row in kernel_table(step, device)]
                             for name, step in (("ours", ours), ("textbook", textbook))}
        # what is counted in `flops` is done by these kernels alone
        busy = sum(row["seconds"] for row in result["profile"]["ours"] if row["group"] in PRODUCTS)
        result["products_utilisation"] = recipe.batch * flops / (busy * ceilings[used["ours"][0]])
    return result
