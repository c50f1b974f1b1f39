"""N4 for more than three classes, design A: from the features by a product rule, which the solver does not use."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import brentq

from synthmodel.claims.checks.general import density_sign
from synthmodel.claims.evidence import Evidence
from synthmodel.claims.registry import ENDS_OF_N4
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.noise import law
from synthmodel.model.quadrature import normal_rule
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import solve_cross_entropy

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CHECKS", "ENDS", "best", "falls"]

ENDS = {classes: end for classes, end in ENDS_OF_N4.items() if classes > 3}
NODES = {3: 14, 4: 12, 5: 10, 6: 9, 7: 8, 8: 7, 9: 7}  # of each cross-class feature, for n wrong classes
Z, WEIGHTS = normal_rule(24)


class Noise(NamedTuple):
    """n standard normals on a Gauss-Hermite product, whose points that differ in their order are one."""

    c: Float[np.ndarray, "points n"]
    weights: Float[np.ndarray, "points"]


@cache
def noise(n: int) -> Noise:
    z, w = normal_rule(NODES[n])
    chosen = list(combinations_with_replacement(range(NODES[n]), n))
    orders = [math.factorial(n) / math.prod(map(math.factorial, Counter(row).values())) for row in chosen]
    return Noise(z[np.array(chosen)], np.array(orders) * np.prod(w[np.array(chosen)], axis=1))


def falls(w1: float, w2: float, k: float, n: int) -> tuple[float, float]:
    """Minus the slopes of cross-entropy in w1 and w2 at unit noise: E[(1 - p_1) e] and E sum_j p_j c_j."""
    c, weights = k + noise(n).c, noise(n).weights
    odds = np.exp(-w2 * c)
    total, e = odds.sum(axis=1), k + Z[:, None]
    wrong = 1 / (1 + np.exp(w1 * e) / total)
    return float(WEIGHTS @ (wrong * e) @ weights), float(WEIGHTS @ wrong @ (weights * (odds * c).sum(axis=1) / total))


def best(k: float, n: int) -> float:
    """r_acc: where the section's mean (G-joint-K) changes its sign."""
    return float(brentq(density_sign, 1e-9, 1.0, args=(k, n), xtol=1e-13))


def across(t: float, r: float, k: float, n: int) -> tuple[float, float]:
    """(fall of the risk across the ray of r, towards larger ratios, by its fall along; L), at |w| = t."""
    size = math.hypot(1, r)
    first, second = falls(t / size, t * r / size, k, n)
    return (second - r * first) / (first + r * second), (first + r * second) / size / t


def solved(classes: int, k: float, L: float) -> tuple[float, float]:
    """(r_CE, error): the solver's ratio, and the most by which its weights miss the first-order conditions."""
    w = solve_cross_entropy(Setting(k, 1.0, classes=classes), CrossEntropy(), 0.0, L)
    missed = np.array(falls(w.w1, w.w2, k, classes - 1)) - L * np.array([w.w1, w.w2])
    return w.ratio, float(np.abs(missed).max())


def check_n4_k() -> Evidence:
    """On the ray of r_acc the risk falls towards larger ratios, from w = 0 (infinite decay) up to where L = .3."""
    least, lowest = np.inf, 0.0
    for classes in (4, 6, 10):
        n, edge = classes - 1, law("normal").mean_largest(classes - 1)
        for k in (1.05 * edge, (edge + ENDS[classes]) / 2, ENDS[classes]):
            r = best(k, n)
            found = [across(t, r, k, n) for t in np.linspace(0.06, 1.56, 26)]
            least = min(least, *(fall for fall, _ in found))
            lowest = max(lowest, found[-1][1])
    error = float(np.max([solved(*point)[1] for point in ((4, 2.0, 0.3), (6, 2.5, 1.0), (10, 2.8, 2.6))]))
    return Evidence(bool(least > 0 and lowest <= 0.3 and error < 1e-8), "K in {4,6,10}, k from 1.05 e_{K-1} to the "
                    "end, every lam/sigma^2 >= .3; first-order conditions at the solver's weights to "
                    f"{error:.0e}", least, "smallest fall of the risk across the ray of r_acc, by that along it")


def check_n4_k_end() -> Evidence:
    """r_CE < r_acc at k = 3; just beyond every end the risk falls towards smaller ratios, somewhere on r_acc's ray."""
    (ratio, error), highest = solved(4, 3.0, 3.2), best(3.0, 3)
    margin = highest - ratio
    beyond = []
    for classes, end in ENDS.items():
        n, k = classes - 1, end + 1e-3
        r = best(k, n)
        beyond.append(min(across(t, r, k, n)[0] for t in np.linspace(0.5, 0.65, 7)))
    return Evidence(bool(margin > 1e-2 and error < 1e-9 and max(beyond) < 0), "K = 4, k = 3, lam/sigma^2 = 3.2; "
                    "K from 4 to 10 at .001 beyond the end", margin, "r_acc - r_CE", "K = 4, k = 3, lam/sigma^2 = 3.2: "
                    f"r_CE = {ratio:.6f} < r_acc = {highest:.6f}")


CHECKS = {"N4-K": check_n4_k, "N4-K-end": check_n4_k_end}
