"""Noise laws: standardised to mean 0 and standard deviation 1, so that sigma is the deviation whatever the law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import isfinite, pi, sqrt
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from scipy.special import expit, ndtr, ndtri

from synthmodel.model.solution import NotConverged

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from synthmodel.model.types import Real

    Rule: TypeAlias = tuple[Float[np.ndarray, "*rows nodes"], Float[np.ndarray, "*rows nodes"],
                            Float[np.ndarray, "*rows nodes"], Float[np.ndarray, "*rows nodes"]]

__all__ = ["Law", "all_positive", "law", "least_rule", "panel_rule", "quantile_rule", "settled"]

NAMES = "normal, laplace, logistic, uniform or student-t:DF with DF > 2"
TAIL = 4.0  # the double-exponential rule reaches quantiles of exp(-pi sinh(4)) = 6e-38
SETTLED = 1e-11  # a mean over a noise law is accepted once doubling the nodes changes it by less
ROWS = 64  # chances that are computed at a time
ORDERS = tuple(1 + 80 * 2**i for i in range(9))  # smooth laws settle at once, a kink off the median takes up to the end


@dataclass(frozen=True)
class Law:
    """A standardised law of the noise z: E z = 0, E z^2 = 1.

    name: as given.  pdf, cdf, sf: functions of z.  ppf, isf: of a probability (isf(u) = ppf(1 - u), without rounding).
    """

    name: str
    pdf: Callable[[Any], Any]
    cdf: Callable[[Any], Any]
    sf: Callable[[Any], Any]
    ppf: Callable[[Any], Any]
    isf: Callable[[Any], Any]

    def mean_least(self, n: int) -> float:
        """-E min of n independent draws (>= 0); for n = 2 half the Gini mean difference E|z - z'|.

        >>> round(law("normal").mean_least(2), 12)  # 1/sqrt(pi)
        0.564189583548
        """
        return self._mean_extreme(n, lower=True)

    def mean_largest(self, n: int) -> float:
        """E max of n independent draws; for the normal law e_n of THEORY.md, G-K.

        >>> round(law("normal").mean_largest(3), 12)  # 3/(2 sqrt(pi))
        0.846284375322
        """
        return self._mean_extreme(n, lower=False)

    def _mean_extreme(self, n: int, lower: bool) -> float:
        # The smallest of n has the density n sf(z)^(n-1) pdf(z); by quantiles, each tail keeps its digits.
        def mean(order: int) -> float:
            z, weights, below, above = quantile_rule(self, order)
            return float(-weights @ (n * above**(n - 1) * z) if lower else weights @ (n * below**(n - 1) * z))

        return settled(mean, f"the mean of an extreme of {n} draws of {self.name} noise")


def settled(mean: Callable[[int], Any], what: str) -> Any:
    """mean(order), a number or an array, for orders 81, 161, ... until two agree to 1e-11, or NotConverged.

    >>> round(settled(lambda order: 1 / 4**order, "a power"), 12)
    0.0
    """
    last = mean(ORDERS[0])
    for order in ORDERS[1:]:
        last, before = mean(order), last
        change = np.max(np.abs(np.subtract(last, before)))
        if change <= SETTLED:
            return last
    raise NotConverged(f"{what} still changes by {change:.1e} at {2 * order} nodes, but at most {SETTLED:.0e} is "
                       "accepted: choose a law with a smoother density.")


def _normal() -> Law:
    return Law("normal", lambda z: np.exp(-np.square(z) / 2) / sqrt(2 * pi), ndtr, lambda z: ndtr(-np.asarray(z)),
               ndtri, lambda u: -ndtri(u))


def _standardised(name: str, frozen: Any) -> Law:
    """The law of (X - E X)/sd(X) for a scipy.stats frozen distribution X."""
    if np.ndim(frozen.mean()):
        raise ValueError(f"noise {name} was given, but it is an array of laws: choose one law.")
    mean, deviation = float(frozen.mean()), float(frozen.std())
    if not (isfinite(mean) and isfinite(deviation) and deviation > 0):
        raise ValueError(f"noise {name} was given, but its mean is {mean} and its standard deviation {deviation}, "
                         "and sigma is the standard deviation: choose a law where both are finite.")

    def at(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def value(z: Any) -> Any:
            with np.errstate(over="ignore"):  # in branches of scipy's that it then drops
                return function(mean + deviation * np.asarray(z))
        return value

    return Law(name, lambda z: deviation * at(frozen.pdf)(z), at(frozen.cdf), at(frozen.sf),
               lambda u: (frozen.ppf(u) - mean) / deviation, lambda u: (frozen.isf(u) - mean) / deviation)


def law(noise: Any) -> Law:
    """The Law called `noise` (normal, laplace, logistic, uniform, student-t:DF), or that of a scipy.stats frozen law.

    Raises ValueError for an unknown name or a law that is not continuous with a finite standard deviation.

    >>> round(law("laplace").mean_least(2), 12)  # E|z - z'| = 3/2 of the scale, which is 1/sqrt(2)
    0.53033008589
    """
    if not (isinstance(noise, str) or all(hasattr(noise, name) for name in ("dist", "pdf", "isf"))):
        raise ValueError(f"noise {noise!r} was given, but it must be {NAMES}, or a frozen continuous distribution of "
                         "scipy.stats, such as gumbel_r(): choose one.")
    return _law(noise)


@cache
def _law(noise: Any) -> Law:
    if noise == "normal":
        return _normal()
    if not isinstance(noise, str):
        return _standardised(f"{noise.dist.name}{noise.args}", noise)
    from scipy import stats
    named = {"laplace": stats.laplace, "logistic": stats.logistic, "uniform": stats.uniform}
    if noise in named:
        return _standardised(noise, named[noise]())
    degrees: Any
    word, _, degrees = noise.partition(":")
    try:
        degrees = float(degrees)
    except ValueError:
        degrees = 0.0
    if word != "student-t" or not 2 < degrees < np.inf:
        raise ValueError(f"noise {noise!r} was given, but the laws known by name are {NAMES}: choose one, or pass a "
                         "scipy.stats frozen distribution.")
    return _standardised(noise, stats.t(degrees))


@lru_cache(maxsize=128)
def quantile_rule(known: Law, order: int = 81) -> Rule:
    """`panel_rule` without further kinks, remembered: 2 `order` nodes for E f(z)."""
    return panel_rule(known, order)


def panel_rule(known: Law, order: int, kinks: Sequence[float] | Float[np.ndarray, "*rows kinks"] = ()) -> Rule:
    """(z, weights, F(z), 1 - F(z)): E f(z) = sum of weights f(z) for a Law, `order` nodes in a panel.

    The double-exponential rule in the probability u, on panels of (0, 1) that end at 1/2 and where z is a kink of f. It
    forgives any singularity of the quantile function at 0 and 1, and a kink at the median, as Laplace's law has one.
    kinks (..., m): one rule for each row of them, in arrays (..., nodes).
    """
    inner = known.cdf(np.asarray(kinks, dtype=float))
    levels = np.sort(np.concatenate([inner, np.broadcast_to([0.0, 0.5, 1.0], (*inner.shape[:-1], 3))], axis=-1))
    levels = np.unique(levels) if levels.ndim == 1 else levels
    low, width = levels[..., :-1, None], np.diff(levels)[..., None]
    t = np.linspace(-TAIL, TAIL, order)
    g = pi * np.sinh(t)
    below, above = low + width * expit(g), 1 - low - width + width * expit(-g)  # each tail keeps its digits
    weights = width * 2 * TAIL / (order - 1) * pi * np.cosh(t) * expit(g) * expit(-g)
    z = np.where(below < 0.5, known.ppf(np.minimum(below, 0.5)), known.isf(np.minimum(above, 0.5)))
    keep, above = np.isfinite(z), np.minimum(above, 1)
    if levels.ndim == 1:
        return z[keep], weights[keep], below[keep], above[keep]
    return cast("Rule", tuple(part.reshape(*levels.shape[:-1], -1) for part in (
        np.where(keep, z, 0.0), np.where(keep, weights, 0.0), below, above)))


def least_rule(first: Law, known: Law, n: int, mean: Real, tau: float, spread: Real, order: int,
               ) -> tuple[Float[np.ndarray, "*rows nodes"], Float[np.ndarray, "*rows nodes"],
                          Float[np.ndarray, "*rows nodes"]]:
    """Nodes z, weights and u = (mean + b z)/a for Pr(mean + tau z_0 + spread z_j > 0 for j = 1..n), z_0 of `first`.

    Where spread <= tau, z is the least of n draws of `known`, (a, b) = (tau, spread) and the chance is E sf(-u), sf of
    `first`; else z is z_0, (a, b) = (spread, tau) and it is E sf(-u)^n, sf of `known`: sf never bends more than its
    law. mean, spread: numbers, or arrays (m,) of which all spreads or none are <= tau.
    """
    least = np.all(spread <= tau)
    mixed, bending, a, b = (known, first, tau, spread) if least else (first, known, spread, tau)
    ends = np.array([float(bending.ppf(1e-300)), float(bending.ppf(0.5)), float(bending.isf(1e-300))])
    mean, a, b = (np.asarray(x, dtype=float)[..., None] for x in (mean, a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = np.where(b > 0, (-a * ends - mean) / b, 0.0)
    z, weights, _, above = panel_rule(mixed, order, kinks)
    if least:
        weights = weights * n * above**(n - 1)
    return z, weights, (mean + b * z) / a


def all_positive(first: Law, known: Law, n: int, mean: Real, tau: float, spread: Real,
                 what: str) -> Float[np.ndarray, "..."]:
    """Pr(mean + tau z_0 + spread z_j > 0 for j = 1..n), z_0 of the Law `first`, z_j of `known`, all independent.

    mean and spread broadcast. Settled to 1e-11, or NotConverged for `what`.

    >>> round(float(all_positive(law("normal"), law("normal"), 2, 0.0, 1.0, 1.0, "a third")), 12)
    0.333333333333
    """
    mean, spread = np.broadcast_arrays(np.asarray(mean, dtype=float), spread)
    chance = np.empty(mean.shape)
    for least in (True, False):
        rows = np.argwhere((spread <= tau) == least)
        for start in range(0, len(rows), ROWS):
            at = tuple(rows[start:start + ROWS].T)

            def probability(order: int, at: tuple[Int[np.ndarray, "m"], ...] = at,
                            least: bool = least) -> Float[np.ndarray, "m"]:
                _, weights, u = least_rule(first, known, n, mean[at], tau, spread[at], order)
                return np.sum(weights * (first.sf(-u) if least else known.sf(-u)**n), axis=-1)
            chance[at] = settled(probability, what)
    return chance
