"""Softmax expectations of three classes with normal noise, as integrals over a plane (THEORY.md, CE-2D).

In units of the noise, v = (sigma_e w1, sigma_c w2), the robust margins are m_j = v1 e + v2 c_j with e ~ N(k_e, 1) and
c_j ~ N(k_c, 1). Their half sum a and half difference D are independent, and the loss is log(1 + 2 e^{-a} cosh D).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import pi, sqrt
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import expit

from synthmodel.model.solution import NotConverged

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from synthmodel.model.types import Broadcast, Real

    Derivatives: TypeAlias = tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p 2"], Float[np.ndarray, "p 2 2"],
                                   Float[np.ndarray, "p"]]

__all__ = ["EXPONENT", "Problem", "derivatives"]

EXPONENT = 40.0  # aliasing error exp(-40) = 4e-18 of the trapezoidal rule
RADIUS = 9.0  # the normal law beyond it weighs 2e-19
MOST_NODES = 1000  # in a half-line; more, from sigma |w| near 50 on, would take seconds
# Node counts in a half-line, shared by problems; so close that a rule of 1.5 times the exponent is always a finer one.
LADDER = np.unique(np.ceil(3 * 1.1**np.arange(64)).astype(int))
CHUNK = 1_000_000  # values in an array


@dataclass(frozen=True)
class Problem:
    """P problems: minimise E log(1 + sum_j e^{-m_j}) + linear . v + decay . v^2/2, m_j = v1 e + v2 c_j.

    mean (P, 2): means of e and c_j in units of their noise.  linear, decay (P, 2).
    common, own (P,): c_j = mean + sqrt(common) z_0 + sqrt(own) z_j in law.
    """

    mean: Float[np.ndarray, "p 2"]
    linear: Float[np.ndarray, "p 2"]
    decay: Float[np.ndarray, "p 2"]
    common: Float[np.ndarray, "p"]
    own: Float[np.ndarray, "p"]

    def __getitem__(self, index: int | Int[np.ndarray, "q"]) -> Problem:
        return Problem(*(getattr(self, field.name)[index] for field in fields(self)))


def half_counts(pole: Real, exponent: float) -> Broadcast:
    """Nodes in a half-line for E f(X), X standard normal, f analytic in |Im x| < pole.

    Moving the contour by y < pole bounds the error of step h by exp(y^2/2 - 2 pi y/h), the first term being
    the growth of exp(-x^2/2) off the real line. It is exp(-exponent) for h = 2 pi y/(exponent + y^2/2); beyond
    y = sqrt(2 exponent) the growth costs more than the shift gains.
    """
    y = np.minimum(pole, sqrt(2 * exponent))
    counts = RADIUS * (exponent + y * y / 2) / (2 * pi * y) + 1
    if np.max(counts) > MOST_NODES:
        raise NotConverged(f"the quadrature needs {np.max(counts):.0f} nodes in a half-line for weights near "
                           f"{3 / np.min(pole):.2g}/sigma, but at most {MOST_NODES} are used: choose a larger lam.")
    return counts.astype(int)


def normal_rule(count: int) -> tuple[Float[np.ndarray, "nodes"], Float[np.ndarray, "nodes"]]:
    """2 count + 1 equidistant nodes on [-9, 9] and the normal law's weights."""
    nodes = np.linspace(-RADIUS, RADIUS, 2 * count + 1)
    return nodes, RADIUS / count / sqrt(2 * pi) * np.exp(-nodes**2 / 2)


def derivatives(problem: Problem, v: Float[np.ndarray, "p 2"], exponent: float = EXPONENT) -> Derivatives:
    """(risk (P,), gradient (P, 2), Hessian (P, 2, 2), E[1-p_1] (P,)) at v (P, 2) >= 0, by the trapezoidal rule.

    Problems that need about as many nodes share their rule; raises NotConverged where too many are needed.
    """
    v = np.asarray(v, dtype=float)
    plus, minus = np.sqrt(problem.common + problem.own / 2), np.sqrt(problem.own / 2)
    with np.errstate(divide="ignore"):
        # 1 + 2 e^{-a} cosh D = 0 at Im a = pi, or Im D between pi/2 and pi.
        counts = [LADDER[np.minimum(np.searchsorted(LADDER, half_counts(pole, exponent)), len(LADDER) - 1)]
                  for pole in (pi / np.hypot(v[:, 0], plus * v[:, 1]), pi / 2 / (minus * v[:, 1]))]
    risk, wrong = np.empty(len(v)), np.empty(len(v))
    gradient, hessian = np.empty((len(v), 2)), np.empty((len(v), 2, 2))
    for pair in np.unique(np.stack(counts, axis=1), axis=0):
        alike = np.flatnonzero((counts[0] == pair[0]) & (counts[1] == pair[1]))
        size = max(1, CHUNK // int(2 * pair[0] * pair[1]))
        for start in range(0, len(alike), size):
            part = alike[start:start + size]
            risk[part], gradient[part], hessian[part], wrong[part] = _integrals(
                problem[part], v[part], plus[part], minus[part], *map(int, pair))
    risk += np.sum(problem.linear * v + problem.decay * v * v / 2, axis=1)
    gradient += problem.linear + problem.decay * v
    hessian[:, [0, 1], [0, 1]] += problem.decay
    return risk, gradient, hessian, wrong


def _integrals(problem: Problem, v: Float[np.ndarray, "p 2"], plus: Float[np.ndarray, "p"],
               minus: Float[np.ndarray, "p"], x_count: int, y_count: int) -> Derivatives:
    """The four expectations, without linear term and decay, with given node counts.

    a = mean + t X and D = v2 minus Y; given X, e = k_e + alpha X + beta N and the mean of the two c_j is
    k_c + plus (beta X - alpha N), N a third standard normal.
    """
    x, x_weights = normal_rule(x_count)
    y, y_weights = normal_rule(y_count)
    y, y_weights = y[y_count:], np.where(y[y_count:] > 0, 2, 1) * y_weights[y_count:]  # the integrand is even in Y
    v1, v2 = v[:, 0], v[:, 1]
    t = np.hypot(v1, plus * v2)
    safe = np.where(t > 0, t, 1.0)
    # At v = 0 any direction will do.
    alpha, beta = np.where(t > 0, v1 / safe, 1.0)[:, None], (plus * v2 / safe)[:, None]
    a = np.sum(problem.mean * v, axis=1)[:, None] + t[:, None] * x
    big_d = (minus * v2)[:, None] * y
    # log(2 e^{-a} cosh D), without overflow
    logit = (big_d + np.log1p(np.exp(-2 * big_d)))[:, None, :] - a[:, :, None]
    wrong = expit(logit)  # 1 - p_1
    spread = wrong * (1 - wrong)  # p_1 (1 - p_1)
    tanh = np.tanh(big_d)
    slope = minus[:, None] * y  # dD/dv2
    # Conditional means given X of e and c = (c_j + c_l)/2.
    e, c = problem.mean[:, :1] + alpha * x, problem.mean[:, 1:] + plus[:, None] * beta * x

    def over_y(values: Float[np.ndarray, "p x y"], weights: Float[np.ndarray, "p y"]) -> Float[np.ndarray, "p x"]:
        return np.matmul(values, weights[:, :, None])[:, :, 0]

    flat = np.broadcast_to(y_weights, big_d.shape)
    mean_wrong, mean_spread = over_y(wrong, flat), over_y(spread, flat)
    pull, cross = over_y(wrong, tanh * slope * y_weights), over_y(spread, tanh * slope * y_weights)
    curved = over_y(spread, (tanh * slope)**2 * y_weights) + over_y(wrong, (1 - tanh**2) * slope**2 * y_weights)
    # log(1 + exp(logit)) without overflow; 1 - wrong is accurate where it is not close to 1.
    risk = over_y(np.logaddexp(0, logit), flat) @ x_weights
    gradient = np.stack([-(e * mean_wrong) @ x_weights, -(c * mean_wrong - pull) @ x_weights], axis=1)
    h11 = ((e**2 + beta**2) * mean_spread) @ x_weights
    h12 = ((e * c - alpha * beta * plus[:, None]) * mean_spread - e * cross) @ x_weights
    h22 = ((c**2 + (plus[:, None] * alpha)**2) * mean_spread - 2 * c * cross + curved) @ x_weights
    hessian = np.stack([np.stack([h11, h12], axis=1), np.stack([h12, h22], axis=1)], axis=1)
    return risk, gradient, hessian, mean_wrong @ x_weights
