"""Softmax expectations for any number of classes and any noise law, as integrals over a line.

For positive S, log S = int (exp(-e^s) - exp(-S e^s)) ds over the real line (Frullani). With S = e^X + sum_j e^{-Y_j},
X = v1 e, Y_j = v2 c_j, independent: E log(1 + sum_j e^{-m_j}) = int (exp(-e^s) - A(s) L(s)^n) ds - E X, where
A(s) = E exp(-e^{s+X}) and L(s) = E exp(-e^{s-Y}): products of one-dimensional means replace an integral over n + 1
dimensions.
"""

from __future__ import annotations

from math import ceil, pi, sqrt
from typing import TYPE_CHECKING, cast

import numpy as np

from synthmodel.model.noise import Law, quantile_rule
from synthmodel.model.solution import NotConverged
from synthmodel.solvers.plane_integrals import EXPONENT, Problem, half_counts, normal_rule

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.solvers.plane_integrals import Derivatives

__all__ = ["derivatives_on_a_line", "log_sum_derivatives"]

MOST_VALUES = 20_000_000  # of a kernel on the line times the noise; heavy tails and large weights need many
MOST_NODES = 100_000  # of the noise in each tail
RUN = 64  # nodes on the line that are treated at a time
TAIL = 1e-9  # second moment of a node of heavy-tailed noise that may be left out; in a finer rule less


def noise_rule(law: Law, scale: float,
               exponent: float) -> tuple[Float[np.ndarray, "nodes"], Float[np.ndarray, "nodes"]]:
    """Nodes and weights of the standardised noise z, for kernels exp(-e^{s - scale z}) analytic in |Im| < pi/2."""
    if law.name == "normal":
        count = half_counts(pi / 2 / scale if scale else np.inf, exponent)
        return normal_rule(int(count))
    # A kernel of width 1/scale needs nodes that much closer.
    order = (81 if exponent <= EXPONENT else 131) * ceil(max(1.0, scale / 2))
    if order > MOST_NODES:
        raise NotConverged(f"the quadrature needs {2 * order} nodes for {law.name} noise and weights near "
                           f"{scale:.2g}/sigma (times 1/tau, if there is one), but at most {2 * MOST_NODES} are used: "
                           "choose a larger lam or tau, or normal noise.")
    z, weights, _, _ = quantile_rule(law, order)
    keep = (np.abs(z) < 60) | (weights * (1 + z * z) > TAIL * (EXPONENT / exponent)**4)
    return z[keep], weights[keep]


def line(low: float, high: float, exponent: float, nodes: int = 1) -> tuple[Float[np.ndarray, "points"], float]:
    """Trapezoidal nodes and step on [low, high] for integrands analytic in |Im s| < pi/2, aliasing exp(-exponent).

    nodes: how many of the noise each is to meet; raises NotConverged where that would be too much work.
    """
    step = pi * pi / exponent
    count = int((high - low) / step) + 2
    if count * nodes > MOST_VALUES:
        raise NotConverged(f"the quadrature needs {count} times {nodes} points for noise of such tails and weights, "
                           f"but at most {MOST_VALUES} are used: choose a larger lam or tau, or lighter tails.")
    return low + step * np.arange(count), step


def kernels(argument: Float[np.ndarray, "..."],
            ) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """exp(-e^u), its negative derivative e^u exp(-e^u), and the derivative of that; u is capped where all vanish."""
    power = np.exp(np.minimum(argument, 7.0))
    zero = np.exp(-power)
    first = power * zero
    return zero, first, first * (1 - power)


def derivatives_on_a_line(problem: Problem, v: Float[np.ndarray, "p 2"], n: int, law: Law,
                          exponent: float = EXPONENT) -> Derivatives:
    """As `plane.derivatives`, for n wrong classes and a noise law; common >= 0, and > 0 for normal noise only."""
    rows = [_single(problem[index], v[index, 0], v[index, 1], n, law, exponent) for index in range(len(v))]
    risk, gradient, hessian, wrong = map(np.array, zip(*rows, strict=True))
    risk = risk + np.sum(problem.linear * v + problem.decay * v * v / 2, axis=1)
    gradient = gradient + problem.linear + problem.decay * v
    hessian[:, [0, 1], [0, 1]] += problem.decay
    return risk, gradient, hessian, wrong


def _single(problem: Problem, v1: float, v2: float, n: int, law: Law,
            exponent: float) -> tuple[float, list[float], list[list[float]], float]:
    mean_e, mean_c = problem.mean
    common, own = problem.common, np.sqrt(problem.own)
    t = np.sqrt(v1 * v1 + common * v2 * v2)
    x, weights = noise_rule(law, cast("float", t), exponent)
    big_x = v1 * mean_e + t * x
    # With N a third standard normal, e = mean_e + alpha x + beta N and z_0 = beta x - alpha N (without common noise
    # e = mean_e + x, of any law): X = v1 e + v2 sqrt(common) z_0. At v = 0 any direction will do.
    alpha, beta = (v1 / t, sqrt(common) * v2 / t) if t else (1.0, 0.0)
    x1, x2 = mean_e + alpha * x, sqrt(common) * beta * x
    x11, x12, x22 = x1 * x1 + beta**2, x1 * x2 - sqrt(common) * alpha * beta, x2 * x2 + common * alpha**2
    z, z_weights = noise_rule(law, v2 * own, exponent)
    slope = mean_c + own * z
    big_y = v2 * slope

    s, step = line(-exponent - 2 - max(big_x.max(), (-big_y).max()), 4.5 + min((-big_x).max(), big_y.max()), exponent,
                   len(x) + len(z))
    a0, a1, a2 = kernels(s[:, None] + big_x)
    m0, m1, m2 = kernels(s[:, None] - big_y)
    big_a, one = a0 @ weights, m0 @ z_weights
    d1, d2 = -(a1 @ (weights * x1)), -(a1 @ (weights * x2))
    d11, d12, d22 = (-(a2 @ (weights * second)) for second in (x11, x12, x22))
    l2, l22 = m1 @ (z_weights * slope), -(m2 @ (z_weights * slope**2))
    power, less, least = one**n, n * one**(n - 1), n * (n - 1) * one**(n - 2)

    def integral(values: Float[np.ndarray, "points"]) -> float:
        return -step * float(np.sum(values))

    risk = step * float(np.sum(np.exp(-np.exp(np.minimum(s, 7.0))) - big_a * power)) - float(weights @ big_x)
    if s[-1] < 4.5:  # the first term alone goes on to the right
        tail, _ = line(s[-1] + step, 4.5 + step, exponent)
        risk += step * float(np.sum(np.exp(-np.exp(tail))))
    gradient = [integral(d1 * power) - weights @ x1, integral(d2 * power + big_a * less * l2) - weights @ x2]
    h11 = integral(d11 * power)
    h12 = integral(d12 * power + d1 * less * l2)
    h22 = integral(d22 * power + 2 * d2 * less * l2 + big_a * (less * l22 + least * l2**2))
    wrong = 1 - step * float(np.sum((a1 @ weights) * power))
    return risk, gradient, [[h11, h12], [h12, h22]], wrong


def log_sum_derivatives(y: float, n: int, law: Law, exponent: float = EXPONENT) -> tuple[float, float, float]:
    """(E log sum_j e^{-y z_j}, psi(y), psi'(y)) for n independent standardised draws; psi = d/dy of the first.

    psi(y) = -E sum_j q_j z_j, q the softmax of -y z, increases from 0 to -E min z_j (T1-temp, D1-any).

    >>> from synthmodel.model.noise import law
    >>> value, slope, curvature = log_sum_derivatives(0.0, 2, law("normal"))
    >>> bool(abs(value - np.log(2)) < 1e-12), bool(abs(slope) < 1e-12), round(curvature, 12)
    (True, True, 0.5)
    """
    z, weights = noise_rule(law, abs(y), exponent)
    s, step = line(-exponent - 2 - (-y * z).max(), 4.5 + max((y * z).max(), 0.0), exponent)
    one, first, second = _means(s, y * z, weights * np.stack([np.ones_like(z), z, z * z]), exponent)
    value = step * float(np.sum(np.exp(-np.exp(np.minimum(s, 7.0))) - one**n))
    slope = -step * float(np.sum(n * one**(n - 1) * first))
    curvature = step * float(np.sum(n * one**(n - 1) * second - n * (n - 1) * one**(n - 2) * first**2))
    return value, slope, curvature


def _means(s: Float[np.ndarray, "points"], shifts: Float[np.ndarray, "nodes"], weights: Float[np.ndarray, "3 nodes"],
           exponent: float) -> Float[np.ndarray, "3 points"]:
    """sum_i weights[d, i] k_d(s - shifts_i), k_0, k_1, k_2 the `kernels`, for each s.

    k_0 steps from 1 to 0 and the others vanish off the step, so that few shifts matter to a run of s at a time.
    """
    order = np.argsort(shifts)
    shifts, weights = shifts[order], weights[:, order]
    beyond = np.append(np.cumsum(weights[0, ::-1])[::-1], 0.0)  # where k_0 = 1
    runs = np.array_split(s, max(1, len(s) // RUN))
    ends = [(np.searchsorted(shifts, run[0] - 4.5), np.searchsorted(shifts, run[-1] + exponent + 2)) for run in runs]
    count = sum(len(run) * (high - low) for run, (low, high) in zip(runs, ends, strict=True))
    if count > MOST_VALUES:
        raise NotConverged(f"the quadrature needs {count} points for noise of such tails and weights, but at most "
                           f"{MOST_VALUES} are used: choose a larger lam or tau, or lighter tails.")
    found = []
    for run, (low, high) in zip(runs, ends, strict=True):
        means = [kernel @ weight for kernel, weight in zip(kernels(run[:, None] - shifts[low:high]),
                                                           weights[:, low:high], strict=True)]
        found.append([means[0] + beyond[high], *means[1:]])
    return np.concatenate(found, axis=1)
