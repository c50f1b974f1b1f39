"""Noise laws: standardised to mean 0 and standard deviation 1, so that sigma is the deviation whatever the law."""

from dataclasses import dataclass
from functools import cache
from math import isfinite, pi, sqrt

import numpy as np
from scipy.special import expit, ndtr, ndtri

__all__ = ["Law", "law", "quantile_rule"]

NAMES = "normal, laplace, logistic, uniform or student-t:DF with DF > 2"
TAIL = 4.0  # the double-exponential rule reaches quantiles of exp(-pi sinh(4)) = 6e-38


@dataclass(frozen=True)
class Law:
    """A standardised law of the noise z: E z = 0, E z^2 = 1.

    name: as given.  pdf, cdf, sf: functions of z.  ppf, isf: of a probability (isf(u) = ppf(1 - u), without rounding).
    """

    name: str
    pdf: callable
    cdf: callable
    sf: callable
    ppf: callable
    isf: callable

    def mean_least(self, n):
        """-E min of n independent draws (>= 0); for n = 2 half the Gini mean difference E|z - z'|.

        >>> round(law("normal").mean_least(2), 12)  # 1/sqrt(pi)
        0.564189583548
        """
        return self._mean_extreme(n, lower=True)

    def mean_largest(self, n):
        """E max of n independent draws; for the normal law e_n of theory.md, section 5.

        >>> round(law("normal").mean_largest(3), 12)  # 3/(2 sqrt(pi))
        0.846284375322
        """
        return self._mean_extreme(n, lower=False)

    def _mean_extreme(self, n, lower):
        # The smallest of n has the density n sf(z)^(n-1) pdf(z); by quantiles, each tail keeps its digits.
        z, weights, below, above = quantile_rule(self)
        return float(-weights @ (n * above**(n - 1) * z) if lower else weights @ (n * below**(n - 1) * z))


def _normal():
    return Law("normal", lambda z: np.exp(-np.square(z) / 2) / sqrt(2 * pi), ndtr, lambda z: ndtr(-np.asarray(z)),
               ndtri, lambda u: -ndtri(u))


def _standardised(name, frozen):
    """The law of (X - E X)/sd(X) for a scipy.stats frozen distribution X."""
    mean, deviation = float(frozen.mean()), float(frozen.std())
    if not (isfinite(mean) and isfinite(deviation) and deviation > 0):
        raise ValueError(f"noise {name} was given, but its mean is {mean} and its standard deviation {deviation}, "
                         "and sigma is the standard deviation: choose a law where both are finite.")
    return Law(name, lambda z: deviation * frozen.pdf(mean + deviation * np.asarray(z)),
               lambda z: frozen.cdf(mean + deviation * np.asarray(z)),
               lambda z: frozen.sf(mean + deviation * np.asarray(z)),
               lambda u: (frozen.ppf(u) - mean) / deviation, lambda u: (frozen.isf(u) - mean) / deviation)


@cache
def law(noise):
    """The Law called `noise` (normal, laplace, logistic, uniform, student-t:DF), or that of a scipy.stats frozen law.

    Raises ValueError for an unknown name or a law without a finite standard deviation.

    >>> round(law("laplace").mean_least(2), 12)  # E|z - z'| = 3/2 of the scale, which is 1/sqrt(2)
    0.53033008589
    """
    if noise == "normal":
        return _normal()
    if hasattr(noise, "ppf") and hasattr(noise, "isf"):
        return _standardised(f"{noise.dist.name}{noise.args}", noise)
    from scipy import stats
    named = {"laplace": stats.laplace, "logistic": stats.logistic, "uniform": stats.uniform}
    if noise in named:
        return _standardised(noise, named[noise]())
    try:
        word, degrees = str(noise).split(":")
        degrees = float(degrees)
    except ValueError:
        word, degrees = "", 0.0
    if word != "student-t" or not 2 < degrees < np.inf:
        raise ValueError(f"noise {noise!r} was given, but the laws known by name are {NAMES}: choose one, or pass a "
                         "scipy.stats frozen distribution.")
    return _standardised(noise, stats.t(degrees))


@cache
def quantile_rule(known, order=81):
    """(z, weights, F(z), 1 - F(z)): E f(z) = sum of weights f(z), 2 `order` nodes, for a Law.

    The double-exponential rule in the probability u on (0, 1/2) and, by isf, on (1/2, 1): it forgives any
    singularity of the quantile function at 0 and 1, and a kink at the median, as Laplace's law has one.
    """
    t = np.linspace(-TAIL, TAIL, order)
    g = pi * np.sinh(t)
    u = expit(g) / 2
    weights = 2 * TAIL / (order - 1) * pi * np.cosh(t) * expit(g) * expit(-g) / 2
    z = np.concatenate([known.ppf(u), known.isf(u)])
    return z, np.concatenate([weights, weights]), np.concatenate([u, 1 - u]), np.concatenate([1 - u, u])
