"""Reading r, k and the cross-class weight off margins alone, without access to features (THEORY.md, E-margins).

And tau*, the temperature at which the wrong-class log-sum-exp learns the most accurate ratio (claim T1-temp).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from synthmodel.accuracy.three_classes import K0, below_best
from synthmodel.flows.gradient_flow import psi
from synthmodel.model.noise import law
from synthmodel.model.setting import Setting, checked, checked_setting, reals, whole

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

    Values = Float[np.ndarray, "..."]

__all__ = ["Interval", "estimates", "expected_maximum", "tau_star"]

FEWEST = 10  # rows of a class
MOST_NORMALS = 10**6
MOST_RESAMPLES = 10**7
HIGHEST = 17  # k of tau_star: there tau* is 1e43, and beyond it psi's argument is no ordinary number


@dataclass(frozen=True)
class Interval:
    """An estimate and its bootstrap percentile interval."""

    value: float
    low: float
    high: float


def expected_maximum(n: int) -> float:
    """e_n = E max of n independent standard normals (THEORY.md, G-K); n an integer >= 1.

    >>> round(expected_maximum(2) * math.sqrt(math.pi), 12), round(expected_maximum(3) * math.sqrt(math.pi), 12)
    (1.0, 1.5)
    """
    return law("normal").mean_largest(whole("n", n, 1, MOST_NORMALS))


def row_statistics(m: Float[np.ndarray, "n wrong"]) -> Float[np.ndarray, "n wrong+3"]:
    """What is averaged over rows of m (n, J): the margins, sum m_j^2, (sum m_j)^2, mean m - min m; (n, J + 3)."""
    return np.column_stack([m, (m ** 2).sum(1), m.sum(1) ** 2, m.mean(1) - m.min(1)])


def class_moments(mean: Float[np.ndarray, "... wrong+3"]) -> tuple[Values, Values, Values, Values]:
    """mean (J,), variance of one margin and covariance of two, from averages (..., J + 3) of `row_statistics`."""
    first, squares, square_of_sum = mean[..., :-3], mean[..., -3], mean[..., -2]
    count = first.shape[-1]
    variances = squares - (first ** 2).sum(-1)  # the sum over j
    covariances = square_of_sum - first.sum(-1) ** 2 - variances
    return first.mean(-1), variances / count, covariances / (count * (count - 1)), mean[..., -1]


def read_off(mean: Values, variance: Values, covariance: Values, spread: Values, count: int) -> dict[str, Values]:
    """rho, r, k, spread and w2 s from moments; elementwise."""
    rho = covariance / variance
    cosine, sine = np.sqrt(np.clip(rho, 0, 1)), np.sqrt(np.clip(1 - rho, 0, 1))  # (1, r)/sqrt(1 + r^2)
    r = np.divide(sine, cosine, out=np.full_like(rho, np.inf), where=cosine > 0)
    return {"rho": rho, "r": r, "k": mean / np.sqrt(variance) / (cosine + sine), "spread": spread,
            "w2s": spread / expected_maximum(count)}


def estimates(margins: Float[np.ndarray, "n wrong"], labels: Shaped[np.ndarray, "n"] | None = None, *,
              resamples: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, Interval]:
    """rho, r, k, spread and w2 s with bootstrap intervals, from robust margins: name -> `Interval`.

    margins (n, K-1): m_j = f_i - f_j under the attack, i the class of the row, one column for each wrong class;
    labels (n,): the classes; every class is then centred by itself, column by column, and the covariances are
    averaged over the classes (without labels, all rows are one class). In design A at equal noise (E-margins)
    rho = corr(m_j, m_l | i) = 1/(1 + r^2), r = sqrt(1/rho - 1), k = (mean/sd) sqrt(1 + r^2)/(1 + r),
    spread = E[mean_j m_j - min_j m_j] = w2 s e_{K-1}. r is infinite where rho <= 0.
    The bootstrap draws rows within each class, `resamples` times; level: coverage of the percentile intervals.

    At unequal noise r estimates (w2 s_C)/(w1 s_E), and k means nothing. Difficulty that an image has against all
    classes raises rho and lowers r: compare r along a training, do not believe its level.
    Raises ValueError for margins that are not finite, fewer than two columns, classes of fewer than 10
    rows, equal rows.

    >>> e, c = np.random.default_rng(0).normal(1.2, 1, (2, 4000, 2))
    >>> found = estimates(e[:, :1] + 0.5 * c)
    >>> found["r"].low < 0.5 < found["r"].high, found["k"].low < 1.2 < found["k"].high
    (True, True)
    """
    margins = reals(margins)
    if margins.ndim != 2 or margins.shape[1] < 2 or not np.isfinite(margins).all():
        raise ValueError(f"margins of shape {margins.shape} were given, but they must be finite, one row for each "
                         "input and one column for each of two or more wrong classes: leave out the own class.")
    labels = np.zeros(len(margins), int) if labels is None else np.asarray(labels)
    if labels.shape != margins.shape[:1]:
        raise ValueError(f"labels of shape {labels.shape} were given for {len(margins)} rows: give one for each row.")
    level = checked("level", level, above=0, below=1, single=True)
    resamples = whole("resamples", resamples, 2, MOST_RESAMPLES)
    classes, counts = np.unique(labels, return_counts=True)
    if len(margins) == 0 or counts.min() < FEWEST:
        raise ValueError(f"a class with fewer than {FEWEST} rows was given, of which a bootstrap says nothing: leave "
                         "that class out.")
    origin = margins.mean()  # against cancellation: the statistics are squares
    parts = [row_statistics(margins[labels == one] - origin) for one in classes]
    rng = np.random.default_rng(seed)

    def pooled(averages: list[Float[np.ndarray, "... wrong+3"]]) -> dict[str, Values]:
        moments = [np.array(value) for value in zip(*map(class_moments, averages), strict=True)]
        mean, variance, covariance, spread = (np.tensordot(counts / counts.sum(), value, 1) for value in moments)
        if not (variance > 1e-24 * origin ** 2).all():  # what rounding leaves of equal rows is about 1e-32
            raise ValueError("margins without any variation were given: r and k need rows that differ.")
        return read_off(mean + origin, variance, covariance, spread, margins.shape[1])
    value = pooled([part.mean(0) for part in parts])
    drawn = pooled([np.stack([part[rng.integers(len(part), size=len(part))].mean(0) for _ in range(resamples)])
                    for part in parts])
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {name: Interval(float(value[name]), *map(float, np.quantile(drawn[name], tails, method="nearest")))
            for name in value}


def tau_star(setting: Setting, eps: float, lam: float) -> float:
    """tau* = s d r_acc/(lam psi^{-1}(k (1 - r_acc))), the temperature of the most accurate ratio (E-margins).

    At tau* the minimiser of the wrong-class log-sum-exp with weight decay lam has w2/w1 = r_acc(k). It exists for
    k > k0 = 1/sqrt(pi) (N2: k (1 - r_acc) < 1/sqrt(pi)), here up to k = 17. ValueError otherwise, or for
    another model than that of THEORY.md, section 0, at equal means and noises.

    >>> round(tau_star(Setting(1, 0.5), eps=0.2, lam=0.5), 6)
    0.653854
    """
    lam, k = checked("lam", lam, above=0), checked("k", checked_setting(setting).k(eps), above=K0, below=HIGHEST)
    if not setting.plain or np.ndim(k) or np.ndim(lam):
        raise ValueError("tau* was asked for arrays or for another model, but it is known for one setting at a time of "
                         "three classes with independent normal noise under an l_inf attack: use such a setting.")
    short = below_best(k)
    log_x = brentq(lambda y: float(psi(math.exp(y))) - k * short, -100, 30, xtol=1e-14, rtol=1e-14)
    return setting.sigma * setting.d(eps) * (1 - short) / (lam * math.exp(log_x))
