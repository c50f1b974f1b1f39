"""Projected gradient descent (Madry et al. 2018): one loop with three hooks, start, direction, projection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BALLS", "L2", "LOSSES", "Attack", "Linf", "Rows", "frozen", "pgd", "where"]


Images = Float[Tensor, "n ..."]
Box = tuple[float, float] | None  # the range of a pixel


def cross_entropy(logits: Float[Tensor, "n K"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Return -log p_y, one value a sample."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Float[Tensor, "n K"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Return max_{j != y} f_j - f_y, one value a sample."""
    true = F.one_hot(labels, logits.shape[1]).bool()
    return logits.masked_fill(true, -torch.inf).amax(1) - logits.gather(1, labels[:, None])[:, 0]


LOSSES = {"cross-entropy": cross_entropy, "margin": margin}  # each maps (n, K), (n,) to (n,), float32


@dataclass(frozen=True)
class Attack:
    """An attack. eps: radius; step: step size; steps: their number; box: the pixels' range, or None.

    eps and step are exact fractions of the pixel range. loss: the name of the loss that is maximised.
    mode: "eval" or "train", the mode the network is in while it is attacked. norm: "linf" or "l2", of the ball.
    near: None, or the deviation of a normal start about the image, in place of a uniform one in the ball: the start
        of TRADES' public code, which is cut at neither ball nor box before the first step.

    >>> attack = Attack(eps=Fraction(8, 255), step=Fraction(2, 255), steps=20)
    >>> attack.norm, attack.box, attack.random_start
    ('linf', (0.0, 1.0), True)
    """

    eps: Fraction
    step: Fraction
    steps: int
    random_start: bool = True
    box: Box = (0.0, 1.0)
    loss: str = "cross-entropy"
    mode: str = "eval"
    norm: str = "linf"
    near: float | None = None


@dataclass(frozen=True)
class Rows:
    """The generator of a batch of n images, of which those from row `begin` on are attacked here.

    Each image gets the random numbers that it gets when the whole batch is attacked at once.
    """

    generator: torch.Generator
    begin: int
    n: int


def draw(kind: Callable[..., Tensor], x: Images, generator: torch.Generator | Rows,
         shape: tuple[int, ...] | None = None) -> Images:
    """Draw by torch.rand or torch.randn for the images x, in their shape, or (n, *shape)."""
    rows = generator if isinstance(generator, Rows) else Rows(generator, 0, len(x))
    shape = tuple(x.shape[1:]) if shape is None else shape
    numbers = kind((rows.n, *shape), generator=rows.generator, device=x.device, dtype=x.dtype)
    return numbers[rows.begin:rows.begin + len(x)]


def where(condition: Bool[Tensor, "n"], a: Shaped[Tensor, "n ..."],
          b: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "n ..."]:
    """Return, image by image, a where the condition holds and b elsewhere."""
    return torch.where(condition.view(-1, *[1] * (a.ndim - 1)), a, b)


class Ball(Protocol):
    """The three hooks of PGD in a ball about images, cut at the box."""

    def start(self, generator: torch.Generator | Rows | None) -> Images:
        """Return a random point of the ball, or the images themselves without a generator."""

    def direction(self, gradient: Images) -> Images:
        """Return the steepest ascent of a linear function in the ball's norm."""

    def project(self, z: Images) -> Images:
        """Return points of ball and box in place of z."""


class Linf:
    """The ball {z: |z - x| <= eps} within the box, and the three hooks of PGD in it.

    Its bounds are rounded towards x, so that what is returned lies in the ball exactly, not up to rounding:
    x + eps in float32 is above the real sum for about half of all pixels.
    """

    def __init__(self, x: Images, eps: Fraction | float, box: Box) -> None:
        radius = torch.tensor(float(eps), dtype=x.dtype)
        if Fraction(radius.item()) > Fraction(eps):
            radius = torch.nextafter(radius, torch.zeros_like(radius))
        self.x = x
        self.low, self.high = self.inward(x, -radius.item()), self.inward(x, radius.item())
        if box is not None:
            self.low, self.high = self.low.clamp(min=box[0]), self.high.clamp(max=box[1])

    @staticmethod
    def inward(x: Images, shift: float) -> Images:
        """Return x + shift, rounded towards x."""
        bound = x + shift
        # what that addition rounded away (Knuth's two-sum): bound + error = x + shift exactly
        moved = bound - x
        error = (x - (bound - moved)) + (shift - moved)
        return torch.where(error < 0 if shift > 0 else error > 0, torch.nextafter(bound, x), bound)

    def start(self, generator: torch.Generator | Rows | None) -> Images:
        """Return a uniform point of the ball, or x itself without a generator."""
        if generator is None:
            return self.x.clone()
        u = draw(torch.rand, self.x, generator)
        return self.project(self.low + u * (self.high - self.low))

    def direction(self, gradient: Images) -> Images:
        """Return the steepest ascent of a linear function in linf."""
        return gradient.sign()

    def project(self, z: Images) -> Images:
        """Return the nearest point of ball and box."""
        return torch.maximum(torch.minimum(z, self.high), self.low)


class L2:
    """The ball {z: |z - x|_2 <= eps} of each image within the box, and the three hooks of PGD in it.

    The radius is smaller than eps by what rounding x + d to float can add to a distance, so that no image that
    is returned lies outside. Cutting at the box only shortens the distance, since x lies in the box.
    """

    def __init__(self, x: Images, eps: Fraction | float, box: Box) -> None:
        self.x, self.box = x, box
        pixels = x[0].numel() if len(x) else 1
        rounding = pixels ** 0.5 * torch.finfo(x.dtype).eps * (x.abs().amax().clamp(min=1) if len(x) else 1)
        self.radius = (float(eps) * (1 - 2 ** -20) - rounding).clamp(min=0) if len(x) else float(eps)

    def per_image(self, values: Float[Tensor, "n"]) -> Images:
        """Return one value an image in a shape that multiplies images."""
        return values.view(-1, *[1] * (self.x.ndim - 1))

    def length(self, d: Images) -> Images:
        """Return |d|_2 of each image, in such a shape."""
        return self.per_image(d.flatten(1).norm(dim=1))

    def start(self, generator: torch.Generator | Rows | None) -> Images:
        """Return a uniform point of the ball (before the cut at the box), or x itself without a generator."""
        if generator is None:
            return self.x.clone()
        d, u = draw(torch.randn, self.x, generator), draw(torch.rand, self.x, generator, ())
        pixels = d[0].numel() if len(d) else 1
        return self.project(self.x + self.radius * self.per_image(u ** (1 / pixels)) * self.direction(d))

    def direction(self, gradient: Images) -> Images:
        """Return the steepest ascent of a linear function in l2; zero where the gradient is zero."""
        largest = gradient.flatten(1).abs().amax(1)
        scaled = gradient / self.per_image(torch.where(largest > 0, largest, 1.0))  # squares must not underflow
        return scaled / self.length(scaled).clamp(min=1)

    def project(self, z: Images) -> Images:
        """Return z shortened to the radius, then cut at the box."""
        d = z - self.x
        z = self.x + d * (self.radius / self.length(d).clamp(min=1e-30)).clamp(max=1)
        return z if self.box is None else z.clamp(*self.box)


BALLS: dict[str, Callable[[Images, Fraction | float, Box], Ball]] = {"linf": Linf, "l2": L2}


@contextmanager
def frozen(model: nn.Module, mode: str = "eval") -> Iterator[nn.Module]:
    """Yield the model in `mode` with no parameter asking for gradients; modes and flags come back, even after an error.

    >>> model = torch.nn.Linear(1, 1)
    >>> with frozen(model):
    ...     model.training, model.weight.requires_grad
    (False, False)
    >>> model.training, model.weight.requires_grad
    (True, True)
    """
    modes = {module: module.training for module in model.modules()}
    flags = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        model.train(mode == "train")
        for parameter in flags:
            parameter.requires_grad_(False)
        yield model
    finally:
        for module, training in modes.items():
            module.training = training
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)


def pgd(model: nn.Module, x: Images, y: Int[Tensor, "n"], attack: Attack,
        generator: torch.Generator | Rows | None = None,
        objective: Callable[[Float[Tensor, "n K"]], Float[Tensor, "n"]] | None = None,
        any_iterate: bool = False) -> Images:
    """Return adversarial examples for (x, y): `steps` steps of ascent of the loss inside the ball.

    generator: of the random start, on x's device (needed if attack.random_start), or `Rows` of one. objective: None, or
    what is maximised in place of attack.loss, a function of the scores.
    any_iterate: for each image its first misclassified iterate, the start included, and the last one only where there
    is none; once all are found, it ends.
    The gradient is taken with respect to the images alone: no weight gradient is computed, none is touched.
    Raises ValueError for a random start without a generator, and for any_iterate with a start `near` the image.

    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> model.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
    >>> pgd(model, x, y, Attack(Fraction(1, 4), Fraction(1, 4), 1, random_start=False)).tolist()
    [[0.25, 0.75]]
    """
    if attack.random_start and generator is None:
        raise ValueError("a random start was asked for without a generator: pass one, or set random_start=False.")
    if any_iterate and attack.near is not None:
        raise ValueError(f"any_iterate was given with near = {attack.near}, but such a start may lie outside of the "
                         "ball: leave one of the two out.")
    ball = BALLS[attack.norm](x, attack.eps, attack.box)
    objective = objective or (lambda logits: LOSSES[attack.loss](logits, y))
    with frozen(model, attack.mode), torch.enable_grad():
        if attack.random_start and attack.near is not None and generator is not None:
            z = x + attack.near * draw(torch.randn, x, generator)
        else:
            z = ball.start(generator if attack.random_start else None)
        points, broken = x, torch.zeros_like(y, dtype=torch.bool)
        for _ in range(attack.steps):
            z.requires_grad_()
            logits = model(z)
            if any_iterate:
                wrong = (logits.detach().argmax(1) != y) & ~broken
                points, broken = where(wrong, z.detach(), points), broken | wrong
                if broken.all():
                    break
            (gradient,) = torch.autograd.grad(objective(logits).sum(), z)
            z = ball.project(z.detach() + float(attack.step) * ball.direction(gradient))
    z = z.detach() if attack.steps else ball.project(z.detach())
    return where(broken, points, z) if any_iterate else z
