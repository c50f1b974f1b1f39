"""Gradient flows of the population: how the weights and the robust accuracy move in time (claims D1, D2).

Units: the noise sigma is 1. With k = (mu - 2 eps)/sigma, the weights of `margin_flow` are in tau/sigma and its time in
tau/sigma^2 (tau: temperature of the loss); those of `cross_entropy_flow` in 1/sigma and 1/sigma^2. Both flows start at
w = 0, without weight decay, under the monotone attack delta*: e, c_j, c_l ~ N(k, 1) are the robust features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.integrate import solve_ivp

from synthmodel.accuracy.three_classes import joint_accuracy
from synthmodel.model.setting import checked, reals, shown
from synthmodel.model.solution import NotConverged
from synthmodel.solvers.log_sum_exp import psi_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float
    from numpy.typing import ArrayLike

    from synthmodel.model.types import Value

    Velocity = Callable[[Float[np.ndarray, "weights"]], Float[np.ndarray, "weights"]]

__all__ = ["Path", "checked_times", "cross_entropy_flow", "effective_smoothing", "integrate", "margin_flow", "psi"]

CHECKED = 8  # points of a path at which the finer rule is tried
STEP, FINER = 0.06, 0.04  # of the trapezoidal rule for a standard normal law, and of the finer one
DRIFT = 1e-6  # a larger change of the weights under it, relative to the largest, raises


@dataclass(frozen=True)
class Path:
    """A flow at the times t: w1, w2, ratio = w2/w1 (at w = 0 its limit t -> 0+) and robust accuracy; arrays (n,).

    error: by how much of the largest weight a finer quadrature would move the weights (`drift`).
    """

    t: Float[np.ndarray, "n"]
    w1: Float[np.ndarray, "n"]
    w2: Float[np.ndarray, "n"]
    ratio: Float[np.ndarray, "n"]
    accuracy: Float[np.ndarray, "n"]
    error: float = 0.0

    @property
    def drop(self) -> float:
        """Robust overfitting: the highest accuracy on the path less the last one; >= 0."""
        return float(self.accuracy.max() - self.accuracy[-1])


def checked_times(times: ArrayLike) -> Float[np.ndarray, "n"]:
    """`times` as an increasing array of at least two finite numbers >= 0, else ValueError.

    >>> checked_times([0, 1, 3]).tolist()
    [0.0, 1.0, 3.0]
    """
    t = reals(times)
    if t.ndim != 1 or len(t) < 2 or not np.isfinite(t).all() or t[0] < 0 or (np.diff(t) <= 0).any():
        raise ValueError(f"times = {shown(times)} was given, but times are at least two finite numbers >= 0 that "
                         "increase: sort them and leave out repetitions.")
    return t


def integrate(velocity: Velocity, start: Sequence[float], t: Float[np.ndarray, "n"], begin: float = 0.0,
              events: Callable[[float, Float[np.ndarray, "weights"]], float] | None = None, rtol: float = 1e-10) -> Any:
    """scipy's solution of w' = velocity(w), w(begin) = start, at the times t, by LSODA, or NotConverged.

    >>> integrate(lambda w: -w, [1.0], np.array([0.0, 1.0])).y.round(9).tolist()
    [[1.0, 0.367879441]]
    """
    solved = solve_ivp(lambda _, w: velocity(w), (begin, t[-1]), start, t_eval=t, method="LSODA", rtol=rtol,
                       atol=rtol / 100, events=events)
    if not (solved.success and np.isfinite(solved.y).all()):
        raise NotConverged(f"the flow could not be followed to t = {t[-1]}: {solved.message} Choose shorter times.")
    return solved


def drift(velocity: Velocity, finer: Velocity, t: Float[np.ndarray, "n"], w: Float[np.ndarray, "2 n"],
          allowed: float) -> float:
    """By how much a finer rule would move the weights, relative to the largest, or NotConverged beyond `allowed`.

    It is the integral over time of |finer(w) - velocity(w)| along the path w (2, n) at the times t, by the trapezoidal
    rule over at most `CHECKED` of them: where the risk is convex, the flow is a contraction, and this is a bound.

    >>> drift(lambda w: 0 * w + 1, lambda w: 0 * w + 1.1, np.array([0.0, 2.0]), np.ones((2, 2)), 1.0).round(3)
    np.float64(0.2)
    """
    chosen = np.unique(np.linspace(0, len(t) - 1, CHECKED).astype(int))
    at = w[:, chosen].T
    change = [np.linalg.norm(np.subtract(finer(one), velocity(one))) for one in at]
    moved = change[0] * t[0] + np.trapezoid(change, t[chosen])
    relative = moved / max(np.linalg.norm(at, axis=1).max(), 1e-300) if moved else 0.0
    if not relative <= allowed:
        raise NotConverged(f"a finer quadrature would move the weights by {relative:.1e} of themselves up to t = "
                           f"{t[-1]}, but at most {allowed:.0e} is accepted: choose shorter times or milder numbers.")
    return relative


def psi(x: Value) -> Value:
    """psi(x) = E[(|Z|/sqrt 2) tanh(x |Z|/sqrt 2)], Z standard normal, x >= 0: rises from 0 to 1/sqrt(pi). Broadcasts.

    d - sigma psi(sigma w2/tau) is the mean of c_j, c_l weighted by softmax(-w2 c/tau) (THEORY.md, T1-temp and D1).
    At x = inf it is the limit. Raises ValueError for x < 0 or NaN.

    >>> round(float(psi(np.inf)), 12), round(float(psi(1e-6)) / 1e-6, 9)  # 1/sqrt(pi), psi'(0) = 1/2
    (0.564189583548, 0.5)
    """
    numbers = reals(x)
    if not numbers.size or not (numbers >= 0).all():
        raise ValueError(f"x = {numbers if numbers.size else x} was given, but psi is used for x >= 0 only: choose "
                         "such numbers.")
    return cast(Any, psi_pair(numbers)[0])  # a number for a number


def effective_smoothing(b: float, teacher: float) -> float:
    """b_eff = b (1 - sqrt(pi) psi(teacher)) (D1): the label smoothing that a teacher's labels amount to at the end.

    b: weight of the teacher's wrong-class distribution softmax(F_j/tau_T), 0 <= b <= 1. teacher: sigma T2/tau_T >= 0,
    its cross-class weight in units of its temperature: 0 is an untrained teacher, inf a converged one.

    >>> effective_smoothing(0.4, 0.0), round(effective_smoothing(0.4, np.inf), 12)
    (0.4, 0.0)
    """
    b, teacher = checked_share(b), one_strength(teacher)
    return float(b * (1 - math.sqrt(math.pi) * psi(teacher)))


def checked_share(b: float) -> float:
    return checked("b", b, least=0, below=1 + 1e-15, single=True)


def one_strength(teacher: float) -> float:
    """A teacher's strength, a number >= 0 or inf, else ValueError."""
    strength = reals(teacher)
    return math.inf if strength.ndim == 0 and strength == math.inf else checked("teacher", teacher, least=0,
                                                                                single=True)


def margin_flow(k: float, times: ArrayLike, b: float = 0.0, teacher: float = 0.0) -> Path:
    """Gradient flow of (1-b) tau log sum_{j != i} exp(f_j/tau) + b sum_{j != i} q_j f_j - f_i (D1).

    q = softmax(F_j/tau_T) over the wrong classes is a teacher's view of the same attacked input; the untrained teacher
    (teacher = sigma T2/tau_T = 0) has q_j = 1/2, label smoothing. w1' = k, w2' = k - (1-b) psi(w2) - b psi(teacher).
    k > 0; times: increasing, >= 0; 0 <= b <= 1. Returns a Path, its accuracy the joint robust accuracy. Units: above.

    >>> path = margin_flow(1.0, np.linspace(0, 100, 2001))
    >>> [round(float(value), 4) for value in (path.accuracy[0], path.accuracy.max(), path.accuracy[-1])]
    [0.8658, 0.8708, 0.8688]
    """
    k, t, b = checked("k", k, above=0, single=True), checked_times(times), checked_share(b)
    pull = b * float(psi(one_strength(teacher)))
    w1, w2 = k * t, integrate(lambda w: k - pull - (1 - b) * psi(w), [0.0], t).y[0]
    ratio = np.divide(w2, w1, out=np.full_like(t, 1 - pull / k), where=w1 > 0)
    return Path(t, w1, w2, ratio, joint_accuracy(ratio, k))


def cross_entropy_gradient(w: Float[np.ndarray, "2"], k: float, step: float = STEP) -> Float[np.ndarray, "2"]:
    """Minus the gradient (E[p e], E[p_j c_j + p_l c_l]), p = p_j + p_l = 1 - p_i, in units of the noise; w >= 0.

    With a = w1 e + w2 (c_j + c_l)/2 = k (w1 + w2) + t X and D = w2 (c_j - c_l)/2 = w2 Y/sqrt(2), X and Y independent
    standard normals and t^2 = w1^2 + w2^2/2: p = 1/(1 + e^a/(2 cosh D)) (THEORY.md, CE-2D).
    """
    w1, w2 = w
    t = math.hypot(w1, w2 / math.sqrt(2)) or 1.0
    y = step * np.arange(round(9 / step) + 1)
    x = np.concatenate([-y[:0:-1], y])[:, None]
    density = step * np.exp(-y**2 / 2) / math.sqrt(2 * math.pi)
    x_weights, y_weights = np.concatenate([density[:0:-1], density]), np.where(y > 0, 2, 1) * density  # even in Y
    log_odds = np.logaddexp(w2 * y / math.sqrt(2), -w2 * y / math.sqrt(2)) - k * (w1 + w2) - t * x
    wrong = 1 / (1 + np.exp(-log_odds))
    mean_wrong = x_weights * (wrong @ y_weights)  # given X
    tilt = x_weights @ (wrong @ (y_weights * np.tanh(w2 * y / math.sqrt(2)) * y / math.sqrt(2)))
    # given X the means of e and (c_j + c_l)/2 are k + (w1/t) X and k + (w2/2t) X
    first, second = mean_wrong.sum(), mean_wrong @ x[:, 0]
    return np.array([k * first + w1 / t * second, k * first + w2 / (2 * t) * second - tilt])


def cross_entropy_flow(k: float, times: ArrayLike) -> Path:
    """Gradient flow of softmax cross-entropy on the hard label from w = 0 (D2), b = 0, lam = 0; a Path.

    k > 0; times: increasing, >= 0. Raises ValueError for others, NotConverged where a finer quadrature would move the
    weights by 1e-6 of themselves; error says by how much. r(0) = 1, r'(0) = -1/9 in these units, 0 < r < 1 for t > 0.
    Units: above.

    >>> path = cross_entropy_flow(1.0, np.array([0.0, 1e-3, 1.0, 1000.0]))
    >>> round(float(path.ratio[1] - 1) / 1e-3, 3), round(float(path.ratio[-1]), 4)
    (-0.111, 0.7992)
    """
    k, t = checked("k", k, above=0, single=True), checked_times(times)
    w = integrate(lambda w: cross_entropy_gradient(w, k), [0.0, 0.0], t).y
    moved = drift(lambda w: cross_entropy_gradient(w, k), lambda w: cross_entropy_gradient(w, k, FINER), t, w, DRIFT)
    ratio = np.divide(w[1], w[0], out=np.ones_like(t), where=w[0] > 0)
    return Path(t, w[0], w[1], ratio, joint_accuracy(ratio, k), moved)
