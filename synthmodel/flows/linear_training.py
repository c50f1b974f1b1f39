"""Adversarial training of a linear softmax classifier on a finite sample, with nothing approximate (claim D3).

The attack is the exact maximum of cross-entropy over the box, the gradient is exact, and the robust accuracy is that
of the population, not of a test sample.

Data: the features of THEORY.md, section 0, with noise s_E for the exclusive and s_C for the cross-class ones, and
beside them coordinates of pure noise N(0, s_N^2) that the attack may move as well. Inputs are x = (E_1..E_3, C_1..C_3,
noise), weights W (3, D), scores W x. Everything is a batch over seeds: x (S, 3, n, D) by class, W (S, 3, D).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, owens_t, softmax

from synthmodel.model.setting import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float

    from synthmodel.model.types import Real

    Weights = Float[np.ndarray, "... 3 d"]
    Inputs = Float[np.ndarray, "... 3 n d"]
    Targets = Callable[[Inputs], Float[np.ndarray, "... 3 #n 3"]]  # of attacked inputs

__all__ = ["descend", "distilled", "draw", "one_hot", "orthant", "robust_accuracy", "sample_accuracy", "worst_case"]

MU, EPS = 1.0, 0.2
S_E, S_C, S_NOISE = 0.35, 0.6, 0.5
RATE, MOMENTUM = 0.1, 0.9

OTHERS = np.array([[1, 2], [0, 2], [0, 1]])  # the wrong classes of each class


def moments(noise_dims: int) -> tuple[Float[np.ndarray, "3 d"], Float[np.ndarray, "3 d"]]:
    """Means and standard deviations (3, D) of the inputs of each class."""
    own = np.eye(3)
    mean = np.hstack([MU * own, MU * (1 - own), np.zeros((3, noise_dims))])
    std = np.hstack([S_E * own, S_C * (1 - own), np.full((3, noise_dims), S_NOISE)])
    return mean, std


def draw(per_class: int, noise_dims: int, rng: np.random.Generator) -> Inputs:
    """Inputs x (3, per_class, 6 + noise_dims), grouped by class.

    >>> draw(2, 4, np.random.default_rng(0)).shape
    (3, 2, 10)
    """
    mean, std = moments(noise_dims)
    return mean[:, None] + std[:, None] * rng.standard_normal((3, per_class, mean.shape[1]))


def scores(weights: Weights, x: Inputs) -> Float[np.ndarray, "... 3 n 3"]:
    """W x (..., 3, n, 3) of weights (..., 3, D) and x (..., 3, n, D)."""
    return x @ weights.swapaxes(-1, -2)[..., None, :, :]


def differences(weights: Weights) -> Float[np.ndarray, "... 3 2 d"]:
    """W_i - W_j (..., 3, 2, D) for each class i and its two wrong classes j."""
    return weights[..., :, None, :] - weights[..., OTHERS, :]


def worst_case(weights: Weights, x: Inputs, eps: float) -> Inputs:
    """delta (..., 3, n, D): the exact maximum of cross-entropy over the box ||delta||_inf <= eps.

    The loss log(1 + exp(-m_j) + exp(-m_k)) is convex in delta with gradient -(p_j (W_i - W_j) + p_k (W_i - W_k)),
    so it is maximal at some delta = -eps sign(q (W_i - W_j) + (1-q) (W_i - W_k)), 0 <= q <= 1. As q runs from 0 to 1
    each coordinate changes sign at most once, at a q that depends on W alone: D + 1 candidates hold the maximum.

    weights (..., 3, D), x (..., 3, n, D); eps >= 0, else ValueError.

    >>> worst_case(np.eye(3), np.zeros((3, 1, 3)), 0.5)[:, 0].tolist()  # own score down, both others up
    [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]
    """
    eps, gap = checked("eps", eps, least=0), differences(weights)
    first, second = gap[..., 0, :], gap[..., 1, :]
    turns = first * second < 0
    q = np.divide(second, second - first, out=np.full(first.shape, 2.0), where=turns)  # 2: never
    order = np.argsort(q, axis=-1)
    start = np.where(second == 0, np.sign(first), np.sign(second))  # signs of q = 0+
    # What the attack takes from m_j and m_k at each candidate: turning a coordinate costs j what it gave to k.
    taken = np.stack([(start * first).sum(-1), (start * second).sum(-1)], -1)[..., None, :]
    change = np.stack([2 * np.abs(first), -2 * np.abs(second)], -1) * turns[..., None]
    steps = np.cumsum(np.take_along_axis(change, order[..., None], -2), -2)
    taken = eps * np.concatenate([taken, taken + steps], -2)  # (..., 3, D+1, 2)
    margins = x @ gap.swapaxes(-1, -2)
    highest = taken.max(-2, keepdims=True)
    wrong = np.exp(highest - margins) @ np.exp(taken - highest).swapaxes(-1, -2)  # (..., 3, n, D+1)
    chosen = wrong.argmax(-1)
    rank = np.argsort(order, axis=-1)
    turned = turns[..., None, :] & (rank[..., None, :] < chosen[..., None])
    return -eps * start[..., None, :] * np.where(turned, -1, 1)


def one_hot(b: float) -> Targets:
    """Targets of label smoothing, 0 <= b < 1: 1 - b on the class, b/2 on each other, whatever the attacked inputs are.

    >>> one_hot(0.2)(None)[0].tolist()
    [[0.8, 0.1, 0.1]]
    """
    b = checked("b", b, least=0, below=1)
    labels = ((1 - b) * np.eye(3) + b / 2 * (1 - np.eye(3)))[:, None]
    return lambda attacked: labels


def distilled(teacher: Weights, clean: Inputs | None = None) -> Targets:
    """Targets softmax(T x): of the clean inputs where they are given, else of the attacked inputs.

    teacher (S, 3, D), clean (S, 3, n, D).

    >>> teacher = np.log(2) * np.eye(3)[None]
    >>> distilled(teacher)(np.eye(3)[None, :, None])[0, 0].round(6).tolist()
    [[0.5, 0.25, 0.25]]
    """
    def probabilities(x: Inputs) -> Float[np.ndarray, "... 3 n 3"]:
        return softmax(scores(teacher, x), -1)
    if clean is None:
        return probabilities
    fixed = probabilities(clean)
    return lambda attacked: fixed


def gradient(weights: Weights, attacked: Inputs, targets: Float[np.ndarray, "... 3 #n 3"]) -> Weights:
    """Gradient (..., 3, D) of the mean cross-entropy between targets (..., 3, n, 3) and softmax(W x), x attacked."""
    error = softmax(scores(weights, attacked), -1) - targets
    return (error.swapaxes(-1, -2) @ attacked).mean(-3) / attacked.shape[-2]


def descend(x: Inputs, targets: Targets, steps: Sequence[int]) -> Float[np.ndarray, "steps seeds 3 d"]:
    """Weights (len(steps), S, 3, D) after each of `steps` steps of full-batch gradient descent from W = 0.

    Every step attacks x (S, 3, n, D) anew (`worst_case`: the attack is on the hard label, as adversarial training
    does, whatever the targets are); targets: attacked inputs -> probabilities. Momentum v <- .9 v + g, W <- W - .1 v.
    steps: increasing integers >= 1, else ValueError.
    """
    if len(steps) == 0 or steps[0] < 1 or any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"steps = {steps} was given, but they must be increasing integers >= 1: sort them.")
    weights = np.zeros((x.shape[0], 3, x.shape[-1]))
    velocity, history = np.zeros_like(weights), []
    for step in range(1, steps[-1] + 1):
        attacked = x + worst_case(weights, x, EPS)
        velocity = MOMENTUM * velocity + gradient(weights, attacked, targets(attacked))
        weights = weights - RATE * velocity
        if step in steps:
            history.append(weights)
    return np.stack(history)


def orthant(h: Real, k: Real, rho: Real) -> Float[np.ndarray, "..."]:
    """Pr(X < h, Y < k) of standard normals with correlation rho, |rho| < 1, by Owen's T (Owen 1956). Broadcasts.

    >>> round(float(orthant(0.0, 0.0, 0.5)), 12)  # 1/4 + arcsin(rho)/(2 pi)
    0.333333333333
    """
    h, k = np.where(h == 0, 1e-300, h), np.where(k == 0, 1e-300, k)
    root = np.sqrt(1 - rho * rho)
    value = (ndtr(h) + ndtr(k)) / 2 - owens_t(h, (k / h - rho) / root) - owens_t(k, (h / k - rho) / root)
    return value - np.where(h * np.sign(k) < 0, 0.5, 0.0)


def robust_accuracy(weights: Weights) -> Float[np.ndarray, "..."]:
    """Exact population robust accuracy (...) of weights (..., 3, D), mean over the classes.

    x is right under every delta iff both margins stay positive, each against its own worst delta: min m_j =
    (W_i - W_j) x - eps |W_i - W_j|_1, and the two margins are jointly normal.
    Raises ValueError where a margin is constant or one margin is a multiple of another.

    >>> signal = np.hstack([np.eye(3), 0.5 * (1 - np.eye(3))])  # no noise: s_C = .6 against s_E = .35
    >>> round(float(robust_accuracy(signal)), 4), round(float(robust_accuracy(7 * signal)), 4)
    (0.9551, 0.9551)
    """
    mean, std = moments(weights.shape[-1] - 6)
    gap = differences(weights)
    spread = gap * std[:, None]
    sd = np.sqrt(np.sum(spread ** 2, -1))
    rho = np.prod(spread, -2).sum(-1) / np.maximum(np.prod(sd, -1), np.finfo(float).tiny)
    if not ((sd > 0) & (np.abs(rho) < 1)[..., None]).all():
        raise ValueError("the weights make a margin constant, or one a multiple of another (or hold NaN), but their "
                         "joint law needs a density: take at least one step.")
    level = (np.einsum("...cjd,cd->...cj", gap, mean) - EPS * np.abs(gap).sum(-1)) / sd
    return orthant(level[..., 0], level[..., 1], rho).mean(-1)


def sample_accuracy(weights: Weights, x: Inputs) -> Float[np.ndarray, "... seeds"]:
    """Robust accuracy of weights (..., S, 3, D) on a sample x (S, 3, n, D): the share with both margins positive."""
    gap = differences(weights)
    margins = x @ gap.swapaxes(-1, -2) - EPS * np.abs(gap).sum(-1)[..., None, :]
    return (margins > 0).all(-1).mean((-2, -1))
