"""Theorems 1 to 3 of the paper and N1 to N3, set against quadrature and brute force that share no formula with them.

For identities the measure is the largest error, for inequalities the smallest difference by which they hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from synthmodel.accuracy.three_classes import (
    b_star,
    crossover,
    joint_accuracy,
    joint_slope,
    pairwise_accuracy,
    r_acc,
    r_acc_cubic,
    slope_sign,
)
from synthmodel.claims.evidence import Evidence
from synthmodel.model.losses import Margin, SmoothedMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0, eps1, ratio_closed, smoothing, solve_closed
from synthmodel.solvers.margin_vertices import solve_numeric, threshold_numeric

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CHECKS", "joint_by_quadrature", "pairwise_by_quadrature"]

SOLVED = 1e-9  # closed form against brute force, relative: what rounding leaves is about 1e-14
QUADRATURE = 1e-12  # accuracies by two methods, absolute
SETTINGS = tuple(Setting(1.0, sigma) for sigma in (0.05, 0.2, 0.5, 1.0, 1.7))
K_GRID = tuple(np.linspace(0.05, 3, 60))  # above, accuracies round to 1
RATIOS = np.linspace(0, 3, 301)

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


def gaussian_mean(function: Callable[[Float[np.ndarray, "n"]], Float[np.ndarray, "n"]], k: float) -> float:
    """Compute E function(e), e ~ N(k, 1), by Gauss-Legendre on e > 0 and e < 0 apart: the integrands bend at 0."""
    total = 0.0
    for low, high in ((min(k - 9, -9), 0.0), (0.0, max(k + 9, 9))):
        e = low + (high - low) * (NODES + 1) / 2
        total += (high - low) / 2 * np.sum(WEIGHTS * stats.norm.pdf(e - k) * function(e))
    return float(total)


def joint_by_quadrature(r: float, k: float) -> float:
    """Compute Pr(e + r c_j > 0 and e + r c_k > 0): given e the two are independent. No bivariate formula is used."""
    if r == 0:
        return float(stats.norm.cdf(k))
    return gaussian_mean(lambda e: stats.norm.cdf(k + e / r) ** 2, k)


def pairwise_by_quadrature(r: float, k: float) -> float:
    """Compute Pr(e + r c_j > 0) in the same way."""
    return float(stats.norm.cdf(k)) if r == 0 else gaussian_mean(lambda e: stats.norm.cdf(k + e / r), k)


def solver_errors(loss: Margin | SmoothedMargin) -> tuple[float, float]:
    """Return the largest relative error of closed-form weights and the absolute one of thresholds, by brute force."""
    weights, thresholds = [], []
    for setting in SETTINGS:
        threshold = eps1(setting, smoothing(loss))
        for fraction, lam in product((0.0, 0.5, 0.98, 1.02), (0.1, 3.0)):
            closed = solve_closed(setting, loss, max(fraction * threshold, 0.0), lam)
            numeric = solve_numeric(setting, loss, max(fraction * threshold, 0.0), lam)
            scale = setting.mu / lam  # the size of w1 at eps = 0
            weights.append(max(abs(closed.w1 - numeric.w1), abs(closed.w2 - numeric.w2)) / scale)
        if threshold > 0:
            thresholds.append(abs(threshold - threshold_numeric(setting, loss)))
    return float(np.max(weights)), float(np.max(thresholds))


def check_t1() -> Evidence:
    error = float(np.max(solver_errors(Margin())))  # numpy's max and min keep a NaN, Python's lose it
    domain = "sigma in {.05,.2,.5,1,1.7}, eps in {0,.5,.98,1.02} eps0, lam in {.1,3}; all sign patterns of w"
    return Evidence(error <= SOLVED, domain, error, f"largest error (allowed: {SOLVED:.0e})")


def check_t2_pair() -> Evidence:
    slopes = np.array([np.diff(pairwise_accuracy(RATIOS, k)) / np.diff(RATIOS) for k in K_GRID])
    smallest = float(np.min(np.where(RATIOS[1:] <= 1 + 1e-9, slopes, -slopes)))
    errors = [pairwise_accuracy(r, k) - pairwise_by_quadrature(r, k)
              for k, r in product((0.1, 1.0, 3.0), (0.3, 1.0, 2.0))]
    return Evidence(bool(smallest > 0 and np.max(np.abs(errors)) <= QUADRATURE), "k in [.05, 3], r in [0, 3]", smallest,
                    "smallest |slope| over a step of .01")


def check_t2_joint() -> Evidence:
    k, low, high = 1.0, 0.7, 1.0
    at_low, at_high = joint_by_quadrature(low, k), joint_by_quadrature(high, k)
    slopes = [float(joint_slope(1.0, k)) for k in K_GRID]
    example = (f"mu = 1, sigma = .5, eps = .25 (k = 1): accuracy {at_low:.6f} at w2 = .7 w1, "
               f"but {at_high:.6f} at w2 = w1")
    return Evidence(at_low > at_high and max(slopes) < 0, "slope at r = 1 for k in [.05, 3]; one exact case",
                    at_low - at_high, "drop of accuracy", example)


def check_t2_joint_prime() -> Evidence:
    k0 = 1 / math.sqrt(math.pi)
    inside = RATIOS[RATIOS <= 1]
    steepness, errors, shape = [], [], True
    for k in K_GRID:
        best = r_acc(k)
        errors.append(best - r_acc_cubic(k))
        shape &= (best > 0) == (k > k0) and best < 1
        change = np.diff(joint_accuracy(RATIOS, k))  # from Owen's T, not from F
        shape &= bool((change[RATIOS[1:] <= best] > 0).all() and (change[RATIOS[:-1] >= best] < 0).all())
        steepness.append(-np.diff(slope_sign(inside, k)) / np.diff(inside) / k)
    for k, r in product((0.1, 0.6, 1.0, 3.0), (0.0, 0.05, 0.3, 1.0, 2.0)):
        errors.append(joint_accuracy(r, k) - joint_by_quadrature(r, k))
    smallest = float(np.min(steepness))
    return Evidence(bool(shape and smallest > 0 and np.max(np.abs(errors)) <= QUADRATURE),
                    "k in [.05, 3], r in [0, 3]", smallest,
                    "smallest -(dF/dr)/k on [0, 1]")


def check_t3() -> Evidence:
    error = float(np.max([solver_errors(SmoothedMargin(b)) for b in (0.1, 0.6)]))
    gains = []
    for setting, b, fraction in product(SETTINGS, (0.05, 0.3, 0.9), (0.0, 0.5, 0.9, 0.99)):
        eps = fraction * eps1(setting, b)
        if eps >= 0:
            gains.append(solve_closed(setting, SmoothedMargin(b), eps, 1.0).w2
                         - solve_closed(setting, Margin(), eps, 1.0).w2)
            gains.append(eps1(setting, b) - eps0(setting))
    return Evidence(bool(error <= SOLVED and np.min(gains) > 0),
                    "b in {.05,.1,.3,.6,.9}, sigma in {.05,...,1.7}, eps < eps1", error,
                    f"largest error (allowed: {SOLVED:.0e})")


def smaller_of_two(law: Any) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Return (values, weights): a quadrature of M = min(c, c'), by its quantile function law.isf(sqrt(1 - v)).

    v = t^8/2 and v = 1 - t^8/2, Gauss-Legendre in t: the powers flatten the tails of the quantile at 0 and 1.
    """
    t, weight = (NODES + 1) / 2, WEIGHTS / 2
    lower, upper = law.ppf(-np.expm1(np.log1p(-t**8 / 2) / 2)), law.isf(t**4 / math.sqrt(2))
    return np.concatenate([lower, upper]), np.tile(4 * t**7 * weight, 2)


def check_n1() -> Evidence:
    """P'(0+) by differences of Pr(e + r M > 0), M = min of two draws, against p_e(0) E[M] for four noise laws."""
    errors, step = [], 1e-4
    for law, d in product((stats.norm, stats.logistic, stats.laplace, stats.gumbel_r), (0.3, 0.7, 1.4)):
        values, weights = smaller_of_two(law)
        m = values + d
        slope = weights @ (law.sf(-step * m - d) - law.sf(step * m - d)) / (2 * step)
        errors.append(abs(slope - law.pdf(-d) * (weights @ m)))
    for setting in SETTINGS:
        mean = setting.mu - setting.sigma * 2 * gaussian_mean(lambda e: e * stats.norm.cdf(e), 0.0)  # E min(C, C')
        errors.append(abs(eps0(setting) - mean / 2))
    worst = float(np.max(errors))  # the difference quotient itself is good to about step^2
    return Evidence(worst <= 1e-6, "normal, logistic, Laplace, Gumbel noise, d in {.3,.7,1.4}", worst,
                    "largest error (allowed: 1e-06)")


def check_n2() -> Evidence:
    ks = 1 / math.sqrt(math.pi) * (1 + np.geomspace(1e-6, 13, 400))
    # near the threshold both ratios vanish, for large k both tend to 1: compare in units of that distance
    used, best = (np.array([ratio(k) for k in ks]) for ratio in (ratio_closed, r_acc))
    margin = float(np.min((best - used) / (used * (1 - used))))
    return Evidence(margin > 0, "k - k0 from 6e-7 to 7.3", margin, "smallest (r_acc - r_AT)/(r_AT (1 - r_AT))")


def check_n3() -> Evidence:
    k0 = 1 / math.sqrt(math.pi)
    ks = k0 * (1 + np.geomspace(1e-5, 8, 120))
    best = np.array([b_star(k) for k in ks])
    smallest = float(np.min(np.diff(best) / best[1:]))
    shape = True
    smoothings = np.linspace(0, 1, 101)
    for k in (0.6, 0.8, 1.0, 1.5, 3.0):
        values = [joint_by_quadrature(ratio_closed(k, b), k) for b in smoothings]
        shape &= abs(smoothings[int(np.argmax(values))] - b_star(k)) <= 0.0101  # the grid's step
    for k in (0.1, 0.3, 0.5):  # eps >= eps0
        revived = [r for r in (ratio_closed(k, b) for b in smoothings) if r > 0]
        shape &= max(joint_by_quadrature(r, k) for r in revived) < joint_by_quadrature(0.0, k)
    slope = b_star(k0 + 1e-6) / 1e-6 / (math.sqrt(math.pi) / (math.pi - 1)) - 1
    shape &= bool(best.min() > 0 and best.max() < 1 and abs(slope) < 1e-4)
    return Evidence(bool(shape and smallest > 0),
                    f"k - k0 from 6e-6 to 4.5; crossover k_x = {crossover():.6f}", smallest,
                    "smallest relative rise of b* over a step of 12 % in k - k0")


CHECKS = {"T1": check_t1, "T2-pair": check_t2_pair, "T2-joint": check_t2_joint, "T2-joint'": check_t2_joint_prime,
          "T3": check_t3, "N1": check_n1, "N2": check_n2, "N3": check_n3}
