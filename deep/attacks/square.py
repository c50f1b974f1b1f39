"""The Square attack: random search with square-shaped changes, which asks for scores and for no gradient.

Andriushchenko, Croce, Flammarion and Hein 2020, "Square attack: a query-efficient black-box adversarial attack via
random search" (arXiv 1912.00049): Algorithms 1 to 3, with AutoAttack's first share of pixels and its halvings. Each
image has windows of its own.
"""

from fractions import Fraction

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deep.attacks.pgd import BALLS, LOSSES, Box, frozen

__all__ = ["QUERIES", "bump", "share", "side", "square"]

Images = Float[Tensor, "n c h w"]
Window = tuple[Int[Tensor, "n 1 1 1"], Int[Tensor, "c 1 1"], Int[Tensor, "n 1 s 1"], Int[Tensor, "n 1 1 s"]]

QUERIES = 5000  # AutoAttack's
FIRST_SHARE = 0.8  # p of the paper at the first proposal, as in AutoAttack
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries: after each p is halved
SMALLEST = {"linf": 1, "l2": 3}  # side of a square


def share(query: int, queries: int) -> float:
    """Return p, the share of the pixels that a proposal changes; halved after 10, 50, 200, ... of 10,000 queries.

    query: 0, 1, ..., queries - 1; with fewer or more queries the halvings come in proportion.

    >>> [share(query, 10_000) for query in (0, 10, 11, 51, 9999)]
    [0.8, 0.8, 0.4, 0.2, 0.0015625]
    """
    return FIRST_SHARE / 2 ** sum(query * 10_000 // queries > after for after in HALVINGS)


def side(p: float, height: int, width: int, norm: str) -> int:
    """Return the side in pixels of a square that is the share p of an image: sqrt(p h w), rounded.

    In l2 it is odd and at least 3. Never more than the image has (in l2 the largest odd number in it).

    >>> side(0.8, 32, 32, "linf"), side(0.8, 32, 32, "l2"), side(0.001, 32, 32, "l2")
    (29, 29, 3)
    """
    s = max(round((p * height * width) ** 0.5), SMALLEST[norm])
    if norm == "linf":
        return min(s, height, width)
    smaller = min(height, width)
    return min(s + 1 - s % 2, smaller - 1 + smaller % 2)


def half_bump(height: int, width: int) -> Float[Tensor, "height width"]:
    """Return nested centred rectangles, the k-th counting 1/k^2, summed; the shape of length 1."""
    rows, columns = (torch.arange(size, dtype=torch.float64) - size // 2 for size in (height, width))
    depth = torch.maximum(rows.abs()[:, None], columns.abs()[None])  # the rectangle k >= depth + 1 covers the pixel
    number = max(height // 2, width // 2) + 1
    weights = torch.tensor([1 / k ** 2 for k in range(1, number + 1)], dtype=torch.float64)
    tails = weights.flip(0).cumsum(0).flip(0)  # sum over k >= depth + 1
    bumps = tails[depth.long()]
    return bumps / bumps.norm()


def bump(s: int) -> Float[Tensor, "s s"]:
    """Return the paper's eta in l2, of length 1: a positive bump in the upper half and a negative one in the lower.

    >>> bump(3).sign().tolist()
    [[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]
    """
    shape = torch.cat([half_bump(s // 2, s), -half_bump(s - s // 2, s)])
    return shape / shape.norm()


def signs(x: Images, generator: torch.Generator, *shape: int) -> Float[Tensor, "n c *shape"]:
    """Draw signs, -1 and 1, each with probability 1/2."""
    return 2.0 * torch.randint(2, (*x.shape[:2], *shape), generator=generator, device=x.device).to(x.dtype) - 1


def turned(shape: Float[Tensor, "s s"], x: Images, generator: torch.Generator,
           *grid: int) -> Float[Tensor, "n 1 *grid s s"]:
    """Draw the shape or its transpose, with probability 1/2 each."""
    coin = torch.randint(2, (len(x), 1, *grid), generator=generator, device=x.device).bool()[..., None, None]
    shape = shape.to(x)
    return torch.where(coin, shape, shape.T)


def window(x: Images, s: int, generator: torch.Generator) -> Window:
    """Draw the index of an s x s window in each image, uniform among all."""
    rows, columns = (torch.randint(size - s + 1, (len(x), 1), generator=generator, device=x.device)
                     + torch.arange(s, device=x.device) for size in x.shape[2:])
    image, channel = (torch.arange(size, device=x.device) for size in x.shape[:2])
    return (image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :])


def squares(d: Tensor, *dims: int) -> Tensor:
    """Return the sums of squares over some dimensions, which stay with size 1."""
    return d.square().sum(dims, keepdim=True)


def scaled(d: Images, x: Images, eps: float) -> Images:
    """Return x + eps d/|d|, image by image."""
    return x + eps * d / squares(d, 1, 2, 3).sqrt().clamp(min=1e-12)


def linf_start(x: Images, eps: float, generator: torch.Generator) -> Images:
    """Draw vertical stripes of x - eps and x + eps, one pixel wide, drawn for each channel."""
    return x + eps * signs(x, generator, 1, x.shape[3])


def linf_proposal(z: Images, x: Images, eps: float, s: int, generator: torch.Generator) -> Images:
    """Return z with one window moved by 2 eps up or down, channel by channel: in the ball that is to its edge."""
    index = window(x, s, generator)
    moved = z.clone()
    moved[index] += 2 * eps * signs(x, generator, 1, 1)
    return moved


def l2_start(x: Images, eps: float, generator: torch.Generator) -> Images:
    """Draw bumps on a centred grid of five by five or so, of random sign by channel, scaled to the length eps."""
    n, c, height, width = x.shape
    s = max(1, min(height, width) // 5)
    down, across = height // s, width // s
    tiles = turned(bump(s), x, generator, down, across) * signs(x, generator, down, across)[..., None, None]
    top, left = (height - s * down) // 2, (width - s * across) // 2
    d = torch.zeros_like(x)
    d[:, :, top:top + s * down, left:left + s * across] = tiles.transpose(3, 4).reshape(n, c, s * down, s * across)
    return scaled(d, x, eps)


def l2_proposal(z: Images, x: Images, eps: float, s: int, generator: torch.Generator) -> Images:
    """Return z with what two windows hold, and what is left of eps, put as a bump into the first of them.

    With d = z - x and windows V, W: in each channel the direction d_V/|d_V| plus a bump of random sign, scaled to the
    length sqrt(|d_{V or W}|^2 + (eps^2 - |d|^2)/c), |d_{V or W}| of all c channels, takes the place of d_V, and 0 that
    of the rest of d_W; then d is scaled to the length eps (as AutoAttack has it).
    """
    d = z - x
    first, second = window(x, s, generator), window(x, s, generator)
    new = turned(bump(s), x, generator) * signs(x, generator, 1, 1)
    new = new + d[first] / squares(d[first], 2, 3).sqrt().clamp(min=1e-12)
    rest = d.clone()
    rest[first], rest[second] = 0.0, 0.0
    unused = (eps ** 2 - squares(d, 1, 2, 3)).clamp(min=0) / x.shape[1]
    length = (squares(d - rest, 1, 2, 3) + unused).sqrt()
    rest[first] = length * new / squares(new, 2, 3).sqrt().clamp(min=1e-12)
    return scaled(rest, x, eps)


MOVES = {"linf": (linf_start, linf_proposal), "l2": (l2_start, l2_proposal)}


def square(model: nn.Module, x: Images, y: Int[Tensor, "n"], eps: Fraction | float, generator: torch.Generator,
           norm: str = "linf", box: Box = (0.0, 1.0), queries: int = QUERIES) -> Images:
    """Return for each image the first misclassified point met, or else the one of highest margin max_j f_j - f_y.

    From a start of stripes (linf) or bumps (l2), each of `queries` proposals changes one square window (`share`,
    `side`), is put into the ball and the box, and is kept if it raises the margin or is misclassified; then the image
    is left alone. The network is in eval mode, its parameters frozen, and asked once a proposal, with no gradient.

    eps: radius; generator: of all that is random, on x's device; norm: "linf" or "l2";
    box: the pixels' range or None. Raises ValueError for what is no batch of images, another norm, or queries < 1.

    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
    >>> model[1].weight.data = torch.tensor([[1.0] * 4, [0.0] * 4])
    >>> x, y = torch.full((1, 1, 2, 2), 0.25), torch.tensor([0])
    >>> square(model, x, y, 0.5, torch.Generator().manual_seed(0), box=None, queries=50).sum().item() < 0
    True
    """
    if norm not in MOVES or queries < 1 or x.ndim != 4:
        raise ValueError(f"norm = {norm}, queries = {queries} and x of shape {tuple(x.shape)} were given: norm is one "
                         f"of {', '.join(MOVES)}, queries at least 1, and x a batch of images, (n, c, h, w).")
    start, proposal = MOVES[norm]
    ball, radius = BALLS[norm](x, eps, box), float(eps)
    with frozen(model), torch.no_grad():
        z = ball.project(start(x, radius, generator))
        logits = model(z)
        value, left = LOSSES["margin"](logits, y), (logits.argmax(1) == y).nonzero()[:, 0]
        for query in range(queries):
            if not len(left):
                break
            s = side(share(query, queries), x.shape[2], x.shape[3], norm)
            new = ball.project(proposal(z, x, radius, s, generator))[left]
            logits = model(new)
            margin, right = LOSSES["margin"](logits, y[left]), logits.argmax(1) == y[left]
            kept = (margin > value[left]) | ~right
            z[left[kept]], value[left[kept]] = new[kept], margin[kept]
            left = left[right]
    return z
