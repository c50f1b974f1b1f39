"""The margin losses in any setting, minimised in polar coordinates: the numerical side of THEORY.md, section 5.

Nothing here knows the closed forms of `margin_closed`. The loss is a maximum of linear functions of the features,
whose coefficients are built from the scores; means of least and largest features come from integrals of their
survival functions; the attack is the dual norm of a coefficient vector. With w = |w| u(t), u = (cos t, sin t),
the risk is -|w| g(t) + (lam/2)|w|^2, g = -(mean attacked loss at u): its minimum over |w| is -g^2/(2 lam) where
g > 0, and where g > 0 it is strictly concave in t, so the best angle is where its one-sided slope changes sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import quad

from synthmodel.model.losses import Margin, MarginLoss, SmoothedMargin, SoftTargetMargin
from synthmodel.model.noise import Law
from synthmodel.model.setting import Setting, checked
from synthmodel.model.solution import NotConverged, Solution

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["mean_slope", "solve_polar"]

ANGLES = np.linspace(-math.pi, math.pi, 1441)  # a coarse search, of all signs of w1 and w2
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
INTEGRAL = 1e-9  # estimated error of a mean extreme from which on it is refused; smooth laws reach 1e-13
BISECTIONS = 60
AXIS = 1e-15  # an angle so close to an axis is on it
RESIDUAL = 1e-10


def _scores(setting: Setting) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k features"]]:
    """S (classes, features): f = S_E x_E w1 + S_C x_C w2, as two matrices."""
    k = setting.classes
    if setting.design == "A":
        return np.eye(k), 1 - np.eye(k)
    return np.eye(k), np.array([[float(i in pair) for pair in combinations(range(k), 2)] for i in range(k)])


def _integral(function: Callable[[float], float], end: float) -> float:
    """The integral of a function of z from 0 to end, of either sign: adaptive, on panels that double in length."""
    edges = np.concatenate([[0.0], 0.25 * 2.0**np.arange(max(0, math.ceil(math.log2(4 * abs(end)))))])
    edges = np.append(edges[edges < abs(end)], abs(end))
    sign = math.copysign(1, end)
    pieces = [quad(lambda z: function(sign * z), low, high, epsabs=1e-14, epsrel=1e-13, limit=200, full_output=1)
              for low, high in pairwise(edges)]
    value, error = sum(piece[0] for piece in pieces), sum(piece[1] for piece in pieces)
    if not error <= INTEGRAL:
        raise NotConverged(f"an integral over the noise has an error of about {error:.1e}, but at most {INTEGRAL:.0e} "
                           "is accepted: choose a law with a smoother density.")
    return value


@cache
def _extreme_means(law: Law, n: int) -> tuple[float, float]:
    """(E max, E min) of n standardised draws: E X = int_0^inf P(X > z) dz - int_-inf^0 P(X < z) dz."""
    low, high = float(law.ppf(1e-30)), float(law.isf(1e-30))

    def one_of_n(probability: float) -> float:  # 1 - (1 - probability)^n, with its digits
        return -np.expm1(n * np.log1p(-np.minimum(probability, 1 - 1e-16)))

    return (_integral(lambda z: one_of_n(law.sf(z)), high) - _integral(lambda z: law.cdf(z)**n, low),
            _integral(lambda z: law.sf(z)**n, high) - _integral(lambda z: one_of_n(law.cdf(z)), low))


def _norm(vectors: Float[np.ndarray, "*rows d"], q: float) -> Float[np.ndarray, "*rows"]:
    """|x|_q along the last axis, without underflow for large q."""
    largest = np.abs(vectors).max(axis=-1)
    return largest * np.linalg.norm(vectors / largest[..., None], q, axis=-1)


def mean_slope(setting: Setting, loss: MarginLoss,
               eps: float) -> Callable[[Float[np.ndarray, "n 2"]], Float[np.ndarray, "n 2"]]:
    """w -> gradient of E max_{|delta|_p <= eps} loss at any real w off the kinks; (n, 2) -> (n, 2)."""
    n, (scores_e, scores_c) = setting.active, _scores(setting)
    own, worst, others = loss.coefficients(n)
    gamma = np.full(setting.classes, others)  # the true class is 0, the worst wrong class 1
    gamma[0], gamma[1] = -own, worst
    on_e, on_c = gamma @ scores_e, gamma @ scores_c
    live = on_c[1:] if setting.design == "A" else on_c[:n]  # the features active in class 0, that of class 1 first
    shared, special = live[1], live[0] - live[1]
    if isinstance(loss, SoftTargetMargin) and loss.attack == "monotone":  # delta* lowers m_1 by its l1 norm
        if setting.norm != math.inf:
            raise ValueError(f"norm = {setting.norm} was given with the monotone attack, but delta* lowers all margins "
                             "at once in a cube only: choose norm inf or the exact attack.")
        margin = np.zeros(setting.classes)
        margin[0], margin[1] = own, -own
        on_e, on_c = margin @ scores_e, margin @ scores_c
    q = 1 if setting.norm == math.inf else math.inf if setting.norm == 1 else setting.norm / (setting.norm - 1)
    sizes = np.array([_norm(on_e, q), _norm(on_c, q)])
    extremes = np.array(_extreme_means(setting.law, n)) * setting.sigma_c * math.sqrt(1 - setting.rho)
    pull_e = -own * setting.mu_e

    def slope(w: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        # E max_j (w2 special) c_j takes the largest or the least c_j.
        extreme = np.where(w[:, 1] * special > 0, *extremes)
        pull_c = setting.mu_c * (n * shared + special) + special * extreme
        spent = np.abs(w) * sizes
        if q == math.inf:
            share = (spent == spent.max(axis=1, keepdims=True)).astype(float)
            share /= share.sum(axis=1, keepdims=True)
        else:
            share = (spent / _norm(spent, q)[:, None])**(q - 1)
        return np.stack([np.full(len(w), pull_e), pull_c], axis=1) + eps * sizes * np.sign(w) * share

    return slope


def solve_polar(setting: Setting, loss: MarginLoss, eps: float, lam: float, lam_c: float | None = None) -> Solution:
    """Minimise E max_delta loss + (lam w1^2 + lam_c w2^2)/2 over all real w for a margin loss in any `Setting`.

    Returns a Solution with method "numeric"; its residual is the slope of steepest descent at w, over 1441 directions.
    Numbers, not arrays. Raises ValueError for another loss, NotConverged for a residual above 1e-10 mu.

    >>> solution = solve_polar(Setting(1, 0.5, norm=2), Margin(), eps=0.2, lam=2)
    >>> round(solution.ratio, 9)  # (mu - sigma/sqrt(pi))/mu: for norm 2 the ratio does not feel eps
    0.717905208
    """
    if not isinstance(loss, Margin | SmoothedMargin | SoftTargetMargin):
        raise ValueError(f"the loss {loss!r} was given, but this solver takes the margin losses: use another method.")
    eps, lam = checked("eps", eps, least=0), checked("lam", lam, above=0)
    stretch = 1.0 if lam_c is None else math.sqrt(checked("lam_c", lam_c, above=0) / lam)
    plain = mean_slope(setting, loss, eps)
    unit = np.array([1.0, 1 / stretch])  # in (w1, stretch w2) the penalty is round

    def slope(u: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        return plain(u * unit) * unit

    # By homogeneity (Euler) the mean attacked loss at u is slope(u) . u, so g(t) = -slope(u) . u and g' = -slope . u'.
    shifted = DIRECTIONS + 1e-13  # off the axes
    best = int(np.argmax(-np.sum(slope(shifted) * shifted, axis=1)))
    low, high = (ANGLES[best] + side * (ANGLES[1] - ANGLES[0]) for side in (-1, 1))
    for axis in (0, math.pi / 2):  # stay within a quadrant, on whose edge g may have its kink
        if low < axis < high:
            inside = np.array([[math.cos(axis + h), math.sin(axis + h)] for h in (-AXIS, AXIS)])
            turn = -np.sum(slope(inside) * np.stack([-inside[:, 1], inside[:, 0]], axis=1), axis=1)
            low, high = (axis, high) if turn[1] > 0 else (low, axis) if turn[0] < 0 else (axis, axis)
    for _ in range(BISECTIONS):
        t = (low + high) / 2
        u = np.array([math.cos(t), math.sin(t)])
        if low == high:
            break
        low, high = (t, high) if -slope(u[None])[0] @ (-u[1], u[0]) > 0 else (low, t)
    u[np.abs(u) < AXIS] = 0
    gain = -slope(u[None] + 1e-13)[0] @ u
    w = max(gain, 0.0) / lam * u
    # Where the attack's cost is piecewise linear, a wide step tells its pieces apart and changes no slope.
    reach = 1e-6 if setting.norm in (1, math.inf) else 1e-15
    around = w + reach * max(np.abs(w).max(), 1e-3) * DIRECTIONS
    descent = -np.sum((slope(around) + lam * w) * DIRECTIONS, axis=1).min()
    residual = max(float(descent), 0.0) / setting.mu_e
    if not residual <= RESIDUAL:
        raise NotConverged(f"the residual is {residual:.1e} mu at eps = {eps}, lam = {lam} in {setting}, but at most "
                           f"{RESIDUAL:.0e} mu is accepted: bring sigma and eps nearer to mu.")
    return Solution(float(w[0]), float(w[1] / stretch), -lam / 2 * float(w @ w), residual, "numeric", BISECTIONS)
