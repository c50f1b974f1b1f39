"""A two-layer network trained adversarially on the six features, beside the robust Bayes error (claim B1).

`python -m figures.networks.feature_network OUT.json` trains it and writes what it reached: minutes on one core;
`python -m figures.networks.feature_network` draws figures/data/feature_network.png and .svg from
feature_network.json beside them. What was expected stands in figures/predictions.md.

All networks of all attack sizes and seeds are trained at once, as a batch of matrices. Training draws a fresh sample at
every step, so that nothing can be memorised.
"""

import json
import platform
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deep.system.files import commit, write_text
from figures.scripts import command_line
from figures.style import BLACK, BLUE, GREEN, GREY, RED, new_figure, save, styled
from synthmodel.accuracy.any_setting import accuracy_of, best_ratio
from synthmodel.accuracy.bayes import bayes_error, exclusive_error
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0

__all__ = ["DATA", "draw", "experiment", "finding", "robust_errors"]

DATA = Path(__file__).parents[1] / "data" / "feature_network.json"
SETTING = Setting(1, 0.5)
SIZES, SEEDS = (0.1, 0.2, 0.3, 0.4, 0.45), (0, 1, 2)
ALONE = (0.2, 0.4)  # sizes at which networks are also trained on the exclusive features alone
WIDTH, BATCH, STEPS, RATE, ATTACK = 64, 450, 1200, 0.01, 8
TEST, FINER = 4500, 20  # inputs of the test, and steps of the attack from its best grid point
ACTIVE = torch.cat([torch.eye(3), 1 - torch.eye(3)], 1)  # row i: the features of class i
GRID = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=6)))


def inputs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(x (count, 6), labels (count,)): as many of each class."""
    labels = torch.arange(count) % 3
    noise = torch.randn(count, 6, generator=generator)
    return ACTIVE[labels] * (float(SETTING.mu) + float(SETTING.sigma) * noise), labels


def networks(seeds: list[int], width: int) -> list[Tensor]:
    """Weights of len(seeds) networks 6 -> width -> 3, ReLU, initialised as torch.nn.Linear is: [W1, b1, W2, b2]."""
    parts = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        parts.append([(2 * torch.rand(shape, generator=generator) - 1) / fan**0.5 for shape, fan in (
            ((6, width), 6), ((1, width), 6), ((width, 3), width), ((1, 3), width))])
    return [torch.stack(part).requires_grad_() for part in zip(*parts, strict=True)]


def scores(weights: list[Tensor], x: Tensor) -> Tensor:
    """(networks, count, 3) of x (networks, count, 6)."""
    first, shift, second, constant = weights
    return torch.relu(x @ first + shift) @ second + constant


def loss(weights: list[Tensor], x: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each input, (networks, count)."""
    found = scores(weights, x)
    return torch.nn.functional.cross_entropy(found.flatten(0, 1), labels.repeat(len(found)), reduction="none").view(
        found.shape[:2])


def attacked(weights: list[Tensor], x: Tensor, labels: Tensor, eps: Tensor, steps: int, delta: Tensor) -> Tensor:
    """x + delta after PGD on cross-entropy, from delta, in steps that end at eps/10; eps: (networks, 1, 6)."""
    fixed = [part.detach() for part in weights]
    for step in range(steps):
        delta.requires_grad_()
        (slope,) = torch.autograd.grad(loss(fixed, x + delta, labels).sum(), delta)
        rate = 0.5 * (1 - step / steps) + 0.1
        delta = torch.clamp(delta.detach() + rate * eps * slope.sign(), -eps, eps)
    return x + delta


def train(sizes: list[float], seeds: list[int], alone: list[bool], width: int = WIDTH, batch: int = BATCH,
          steps: int = STEPS) -> tuple[list[Tensor], Tensor, Tensor]:
    """(weights, eps (networks, 1, 6), seen (networks, 1, 6)): a network for each size and seed, alone: exclusive only.

    Features that are not seen are 0 and are not attacked.
    """
    seen = torch.ones(len(sizes), 1, 6)
    seen[torch.tensor(alone), :, 3:] = 0
    eps = torch.tensor(sizes)[:, None, None] * seen
    weights = networks(seeds, width)
    optimizer = torch.optim.Adam(weights, lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + np.cos(np.pi * step / steps)))
    generator = torch.Generator().manual_seed(1000 + seeds[0])
    for _ in range(steps):
        x, labels = inputs(batch, generator)
        start = eps * (2 * torch.rand(len(sizes), batch, 6, generator=generator) - 1)
        worst = attacked(weights, x * seen, labels, eps, ATTACK, start)
        optimizer.zero_grad()
        loss(weights, worst, labels).mean(1).sum().backward()
        optimizer.step()
        schedule.step()
    return [part.detach() for part in weights], eps, seen


def robust_errors(weights: list[Tensor], eps: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """(networks,) robust error found on x (networks, count, 6): 3^6 points of the box, then PGD from the worst of them.

    It is what an attack finds, so that the true error may be higher.
    """
    lost, margin = torch.zeros(x.shape[:2], dtype=torch.bool), torch.full(x.shape[:2], torch.inf)
    worst = torch.zeros_like(x)
    for point in GRID:
        found = scores(weights, x + eps * point)
        own = found.gather(2, labels.expand(len(x), -1)[..., None])[..., 0]
        gap = own - found.scatter(2, labels.expand(len(x), -1)[..., None], -torch.inf).amax(2)
        worst = torch.where((gap < margin)[..., None], eps * point, worst)
        margin = torch.minimum(margin, gap)
    lost = margin <= 0
    final = scores(weights, attacked(weights, x, labels, eps, FINER, worst))
    return (lost | (final.argmax(2) != labels)).float().mean(1)


def reliance(weights: list[Tensor], eps: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """(networks,) the r of a network: its margins' mean slope in x_{C,j} over that in x_{E,i}, on attacked inputs."""
    point = attacked(weights, x, labels, eps, FINER, torch.zeros_like(x)).requires_grad_()
    found = scores(weights, point)
    at = torch.arange(x.shape[1])
    slopes = []
    for shift in (1, 2):
        wrong = (labels + shift) % 3
        (slope,) = torch.autograd.grad((found[:, at, labels] - found[:, at, wrong]).sum(), point, retain_graph=True)
        slopes.append((slope[:, at, 3 + wrong].mean(1), slope[:, at, labels].mean(1)))
    (shared, own), (other_shared, other_own) = slopes
    return (shared + other_shared) / (own + other_own)


def references(eps: float) -> dict[str, float]:
    """The errors that a network's is set beside."""
    q = exclusive_error(SETTING, eps) * 1.5  # Pr(a feature is small)
    return {"bayes": bayes_error(SETTING, eps), "exclusive": exclusive_error(SETTING, eps),
            "two_weights": float(1 - accuracy_of(SETTING, best_ratio(SETTING, eps), eps)[0]),
            "confusable": q * (1 - (1 - q)**2)}


def experiment(sizes: tuple = SIZES, seeds: tuple = SEEDS, alone: tuple = ALONE, test: int = TEST,
               **options: int) -> dict:
    """Train and test all; a row for each size and kind, with the errors of every seed and their references."""
    plan = [(size, seed, False) for size in sizes for seed in seeds]
    plan += [(size, seed, True) for size in alone for seed in seeds]
    weights, eps, seen = train([size for size, _, _ in plan], [seed for _, seed, _ in plan],
                               [only for _, _, only in plan], **options)
    x, labels = inputs(test, torch.Generator().manual_seed(77))
    x = x * seen
    errors, ratios = robust_errors(weights, eps, x, labels), reliance(weights, eps, x, labels)
    rows = []
    for size, only in dict.fromkeys((size, only) for size, _, only in plan):
        at = [i for i, each in enumerate(plan) if each[0] == size and each[2] == only]
        row = {"eps": size, "features": "exclusive" if only else "all", "robust_error": errors[at].tolist()}
        rows.append(row | ({} if only else {"ratio": ratios[at].tolist()}) | references(size))
    return {"mu": SETTING.mu, "sigma": SETTING.sigma, "eps0": eps0(SETTING), "seeds": list(seeds), "test": test,
            "width": WIDTH, "batch": BATCH, "steps": STEPS, "rate": RATE, "rows": rows}


def finding(folder: Path) -> str:
    data = json.loads((folder / DATA.name).read_text())
    rows = [row for row in data["rows"] if row["features"] == "all"]
    count = len(data["seeds"])
    kept = [sum(error < row["exclusive"] for error in row["robust_error"]) for row in rows]
    near = ", ".join(f"{np.mean(row['robust_error']):.3f} at {row['eps']:g} (Bayes {row['bayes']:.3f}, exclusive "
                     f"features alone {row['exclusive']:.3f}, two weights {row['two_weights']:.3f})" for row in rows)
    beyond = [ratio for row in rows if row["eps"] > data["eps0"] for ratio in row["ratio"]]
    tried, threshold = count * len(rows), data["eps0"]
    return (f"B1, T1-CE: the mean robust error over {count} seeds is {near}. It is below all that exclusive features "
            f"can give in {sum(kept)} of {tried} networks; beyond eps0 = {threshold:.3f} the slope ratio "
            f"of the shared features is {min(beyond):.2f} to {max(beyond):.2f}: they are kept.")


@styled()
def draw(folder: Path, source: Path = DATA) -> None:
    """feature_network.png and .svg: robust errors over the attack's size, every seed a mark."""
    data = json.loads(Path(source).read_text())
    figure, ((errors,),) = new_figure(1, 1, 7.4, 3.8)
    sizes = np.linspace(0.02, 0.49, 95)
    curves = {"two_weights": ("two weights, the best", GREY, "-."), "exclusive": (
        "exclusive features, any classifier", RED, "--"), "confusable": (
        "all inputs that can be confused", GREEN, ":"), "bayes": ("all features, any classifier", BLACK, "-")}
    known = [references(float(size)) for size in sizes]
    for name, (label, color, style) in curves.items():
        errors.plot(sizes, [row[name] for row in known], color=color, linestyle=style, label=label)
    for kind, color, mark in (("all", BLUE, "o"), ("exclusive", RED, "x")):
        points = [(row["eps"], error) for row in data["rows"] if row["features"] == kind
                  for error in row["robust_error"]]
        errors.plot(*zip(*points, strict=True), mark, color=color, markersize=4, label=f"network, {kind} features")
    errors.axvline(data["eps0"], color=GREY, linewidth=0.8)
    errors.text(data["eps0"], 4e-4, r" $\epsilon_0$ of the margin loss", color=GREY, fontsize=8)
    errors.set(yscale="log", ylim=(3e-4, 1), xlabel=r"attack size $\epsilon$", ylabel="robust error",
               title="A two-layer network goes below what exclusive features, or two weights, can give\n"
                     rf"(three classes, $\mu = {SETTING.mu:g}$, $\sigma = {SETTING.sigma:g}$)")
    errors.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, folder, "feature_network")


def main(arguments: Sequence[str] | None = None) -> None:
    words = command_line(__name__)
    words.add_argument("out", metavar="OUT.json", nargs="?", help="the file to write; without it, only draw")
    out = words.parse_args(arguments).out
    if out is None:
        draw(DATA.parent)
        return
    if not out.endswith(".json"):
        words.error(f"{out} was given, but the file to write is OUT.json")
    torch.set_num_threads(1)
    began = time.perf_counter()
    result = experiment()
    made = {"command": "python -m figures.networks.feature_network OUT.json", "commit": commit(),
            "python": platform.python_version(), "torch": torch.__version__,
            "seconds": round(time.perf_counter() - began, 1)}
    write_text(out, json.dumps(result | {"provenance": made}, indent=1) + "\n")
    for row in result["rows"]:
        print(f"eps {row['eps']}, {row['features']}: " + ", ".join(f"{error:.4f}" for error in row["robust_error"])
              + f"; bayes {row['bayes']:.4f}, exclusive {row['exclusive']:.4f}")


if __name__ == "__main__":
    main()
