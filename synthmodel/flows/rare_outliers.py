"""Cross-entropy where the cross-class evidence is rarely, but then badly, wrong: forgetting that costs accuracy (D4).

Each c_j is regular with probability 1 - p, else an outlier d + S Z, Z standard normal. As p -> 0 with p S -> kappa the
risk tends to that of the regular examples + gamma |w2|, gamma = n p S/sqrt(2 pi), n = K - 1: a pull that does not fade.

The limit has regular c_j = d and e ~ N(d, s_E^2). It is solved in units of s_E: k = d/s_E and pull = gamma/d are all
that it depends on; weights are in 1/s_E, time in 1/s_E^2. Finite outliers: `finite_outliers`.

Remedies, at most one at a time. Label smoothing: b alone. Distillation with weight b from a teacher on the same
adversarial input: b and teacher = (T1, T2), its weights, T2 > 0. Bounded loss: clip = B > log K, an example whose loss
exceeds B has no gradient.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtr

from synthmodel.flows.gradient_flow import Path, checked_times, drift, integrate
from synthmodel.flows.quadrature import bend, judged, panels
from synthmodel.model.setting import MOST_CLASSES, checked, shown, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jaxtyping import Float
    from numpy.typing import ArrayLike

__all__ = ["exclusive_optimum", "forgetting_range", "limit_flow"]

FAR = 9.0  # the normal law beyond it weighs 2e-19
ORDER, FINER = 12, 20  # nodes in a panel, and those of the finer rule
ROOT_TWO_PI = math.sqrt(2 * math.pi)
ACCURACY = 1e-9  # a larger relative change of a threshold under the finer rule raises
DRIFT = 1e-6  # the same for the weights of a flow, relative to the largest


def examples(k: float, points: Iterable[float], order: int,
             ) -> tuple[Float[np.ndarray, "nodes"], Float[np.ndarray, "nodes"]]:
    """Nodes e and weights for E f(e), e ~ N(k, 1), where f bends at `points` and around e = 0."""
    e, weights = panels(min(k, 0.0) - FAR, k + FAR, [*(k + np.arange(-FAR, FAR, 3.0)), *points], order)
    return e, weights * np.exp(-(e - k)**2 / 2) / ROOT_TWO_PI


def wrong_classes(classes: int) -> int:
    return whole("classes", classes, 3, MOST_CLASSES) - 1


def checked_remedy(b: float, teacher: Sequence[float] | None, clip: float | None, classes: int,
                   ) -> tuple[float, tuple[float, float] | None, float | None]:
    """(b, teacher, clip) if it is one remedy, or none, within its domain."""
    b = checked("b", b, least=0, below=1 if teacher is not None else 1 - 1 / classes, single=True)
    if (clip is not None and b > 0) or (teacher is not None and b == 0):
        raise ValueError(f"b = {b}, teacher = {teacher} and clip = {clip} were given, but the remedies are b alone, "
                         "b > 0 with a teacher, or clip alone: choose one.")
    if teacher is not None:
        if not isinstance(teacher, tuple | list) or len(teacher) != 2:
            raise ValueError(f"teacher = {shown(teacher)} was given, but it must be two weights (T1, T2): give two.")
        teacher = cast("tuple[float, float]", tuple(checked(name, weight, above=0, single=True)
                                                    for name, weight in zip(("T1", "T2"), teacher, strict=True)))
    if clip is not None:
        clip = checked("clip", clip, above=math.log(classes), single=True)
    return b, teacher, clip


def sigmoid_bend(w1: float, w2: float, k: float, n: int) -> Iterable[float]:
    """The points e around which pi = n/(n + e^u), u = w1 e + w2 k, bends: none at w1 = 0."""
    return bend((math.log(n) - w2 * k) / w1, 1 / w1) if w1 > 0 else ()


def wrong_chance(e: Float[np.ndarray, "nodes"], w1: float, w2: float, k: float, n: int) -> Float[np.ndarray, "nodes"]:
    """pi = n/(n + e^u), u = w1 e + w2 k: the softmax's chance of a wrong class on a regular example."""
    return expit(math.log(n) - w1 * e - w2 * k)


def _exclusive_optimum(k: float, n: int, b: float, order: int) -> float:
    """w1o by a rule of `order` nodes a panel; for small k E[e pi] = k E[pi] - w1 E[pi (1 - pi)] keeps its digits."""
    def slope(w1: float) -> float:
        e, weights = panels(min(k - FAR, -FAR), k + FAR,
                            [*(k + np.arange(-FAR, FAR, 3.0)), *sigmoid_bend(w1, 0.0, k, n)], order)
        odds = math.log(n) - w1 * e
        log_wrong = -np.logaddexp(0, -odds)
        exponent = log_wrong + k * e - e * e / 2  # + k^2/2: for large k all examples are right but those at e = 0
        top = exponent.max() if b == 0 else k * k / 2
        chances = weights * np.exp(exponent - top)
        first = chances @ e if k > 1 else k * chances.sum() - w1 * (chances @ expit(-odds))
        return first - b * k * ROOT_TWO_PI
    high = k
    while slope(high) > 0:
        high *= 2
    return brentq(slope, 0.0, high, xtol=1e-300, rtol=1e-14)


def exclusive_optimum(k: float, classes: int = 3, b: float = 0.0) -> float:
    """w1o, the root of E[e pi] = b k at w2 = 0: the minimiser of E log(1 + n exp(-w1 e)) + b w1 k, e ~ N(k, 1) (D4).

    k > 0; classes >= 3; label smoothing 0 <= b < n/(n+1). Raises ValueError otherwise, NotConverged where a finer
    quadrature moves the root by more than 1e-9 of itself. For n = 1 it would be 2 k.

    >>> round(exclusive_optimum(1.0), 6), round(exclusive_optimum(8.0), 6)
    (2.549208, 18.648411)
    """
    k, n = checked("k", k, above=0, single=True), wrong_classes(classes)
    b, _, _ = checked_remedy(b, None, None, classes)
    root, finer = (_exclusive_optimum(k, n, b, order) for order in (ORDER, FINER))
    return float(judged(root, finer, ACCURACY, f"the exclusive optimum at k = {k}, {classes} classes and b = {b}"))


def forgetting_range(k: float, classes: int = 3, b: float = 0.0) -> tuple[float, float]:
    """(low, high) in units of pull = gamma/d, with label smoothing b: the three regimes of D4.

    (a) pull >= high = pi_0 - b, pi_0 = n/(n+1): never learned. (b) low <= pull < high, low = pibar - b with
    pibar = E[pi] at (w1o, 0): learned, then completely forgotten. (c) pull < low: w2 stays.
    Domain and errors: as for `exclusive_optimum`.

    >>> [round(value, 4) for value in forgetting_range(1.0)]
    [0.274, 0.6667]
    """
    n, best = wrong_classes(classes), exclusive_optimum(k, classes, b)

    def wrong(order: int) -> float:
        e, weights = examples(k, sigmoid_bend(best, 0.0, k, n), order)
        return weights @ wrong_chance(e, best, 0.0, k, n)
    return float(judged(wrong(ORDER), wrong(FINER), ACCURACY, f"E[pi] at k = {k}")) - b, n / (n + 1) - b


def nonnegative_flow(force: Callable[[float, float], Float[np.ndarray, "2"]], t: Float[np.ndarray, "n"],
                     ) -> Float[np.ndarray, "2 n"]:
    """(w1, w2) at t of w' = force(w1, w2) from 0, kept at w2 >= 0; once w2 has come back to 0 it stays there.

    That it stays is a fact about `limit_flow`: at w2 = 0 the pull of w2 falls as w1 rises, which it does.
    """
    def left(_: float, w: Float[np.ndarray, "2"]) -> float:
        return w[1]
    event = cast(Any, left)  # solve_ivp reads attributes of the function
    event.terminal, event.direction = True, -1
    w, begin, start = np.zeros((2, len(t))), 0.0, 0.0
    if force(0.0, 0.0)[1] > 0:
        solved = integrate(lambda w: force(*w), [0.0, 0.0], t, events=left)
        w[:, :solved.y.shape[1]] = solved.y
        if not solved.t_events[0].size:
            return w
        begin, start = solved.t_events[0][0], solved.y_events[0][0, 0]
    rest = t >= begin
    w[0, rest] = integrate(lambda w: force(w[0], 0.0)[:1], [start], t[rest], begin).y[0]
    w[1, rest] = 0.0
    return w


def limit_flow(k: float, pull: float, times: ArrayLike, classes: int = 3, b: float = 0.0,
               teacher: tuple[float, float] | None = None, clip: float | None = None) -> Path:
    """The flow of the limit p -> 0 (D4): w1' = E[e pi], w2' = k (E[pi] - pull) on w2 >= 0, from w = 0; a Path.

    Label smoothing: w1' = E[e (pi - b)], w2' = k (E[pi - b] - pull). Distillation: b pi_T in place of b, pi_T the
    teacher's pi, and (1-b) pull in place of pull, for the teacher is wrong on the same outliers. Bounded loss: the
    expectations over the examples of loss log(1 + n e^{-u}) < B, and pull = 0, for the outliers that pull exceed it.

    k > 0; pull = gamma/d >= 0; times: increasing, >= 0; classes >= 3; remedies: see the module. Raises ValueError
    otherwise, NotConverged where a finer quadrature would move the weights by 1e-6 of themselves; error says by how
    much. accuracy = Pr(w1 e + w2 k > 0) = Phi(k (1 + r)): outliers are too few to count.

    In regime (b), without a remedy, w1 rises for ever and w2 rises once, then falls to 0. Proof. Let h = pi (1 - pi),
    p = w1', q = w2': (p,q)' = -H (p,q), H = (E[e^2 h], k E[e h]; k E[e h], k^2 E[h]) positive definite. (i) If
    p = E[pi e] >= 0, then E[e h] > 0, for it is E[pi e] E[pi (1-pi)]/E[pi] plus a covariance of e with 1 - pi, which
    rises with e. (ii) On the curve p = 0 E[pi] falls as w2 rises, by Cauchy-Schwarz, from pibar at w2 = 0: there q < 0,
    so that p' = -q k E[e h] > 0 and p > 0 never ends. (iii) Where q = 0, then, q' = -p k E[e h] < 0: once. QED
    The accuracy need not be unimodal: r'(0+) < 0 iff k^2 (1 - r0^2) > r0, and r may rise later (claim D4-accuracy).

    >>> path = limit_flow(1.0, 0.42, np.array([0.0, 1.0, 1e4]))
    >>> path.accuracy.round(3).tolist(), float(path.w2[-1])
    ([0.915, 0.905, 0.841], 0.0)
    """
    k, pull = checked("k", k, above=0, single=True), checked("pull", pull, least=0, single=True)
    t = checked_times(times)
    n = wrong_classes(classes)
    b, teacher, clip = checked_remedy(b, teacher, clip, classes)
    if clip or teacher:
        pull *= 1 - b if teacher else 0

    def force(w1: float, w2: float, order: int = ORDER) -> Float[np.ndarray, "2"]:
        points = [*sigmoid_bend(w1, w2, k, n), *(sigmoid_bend(*teacher, k, n) if teacher else ())]
        if clip and w1 > 0:
            low = (math.log(n / math.expm1(clip)) - w2 * k) / w1
            points.append(low)
        e, weights = examples(k, points, order)
        if clip and w1 > 0:
            weights = np.where(e > low, weights, 0.0)
        excess = wrong_chance(e, w1, w2, k, n) - b * (wrong_chance(e, *teacher, k, n) if teacher else 1)
        return np.array([weights @ (e * excess), k * (weights @ excess - pull)])

    w1, w2 = nonnegative_flow(force, t)
    moved = drift(lambda w: force(*w), lambda w: force(w[0], w[1], FINER), t, np.stack([w1, w2]), DRIFT)
    first, second = force(0.0, 0.0)
    ratio = np.divide(w2, w1, out=np.full_like(t, max(second, 0.0) / first), where=w1 > 0)
    return Path(t, w1, w2, ratio, ndtr(k * (1 + ratio)), moved)
