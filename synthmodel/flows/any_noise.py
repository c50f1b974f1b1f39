"""The flow of D1 for any noise and any number of classes, design A (claim D1-any).

Robust margins m_j = w1 e + w2 c_j, j = 1..n, n = K - 1: e with mean d_e, c_1..c_n independent draws of one law with
mean d_c, M = min c_j. Weights, means and deviations are in the units of a feature and tau = 1, so that time is in tau.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Chebyshev

from synthmodel.accuracy.any_setting import LARGEST_RATIO
from synthmodel.accuracy.three_classes import nonnegative
from synthmodel.flows.gradient_flow import Path, checked_share, checked_times, drift, integrate
from synthmodel.flows.softmin import psi_by_panels
from synthmodel.model.noise import all_positive, law
from synthmodel.model.setting import MOST_CLASSES, checked, number, reals, whole
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import log_sum_exp
from synthmodel.solvers.line_integrals import EXPONENT

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    from synthmodel.model.noise import Law
    from synthmodel.model.types import Value

__all__ = ["Features"]

LIGHT = 100.0  # deviations to the quantile of 1e-20 from which on the line of `log_sum_exp.psi` is too long
FAR = 64.0  # s_c y from which on `psi_by_panels` is faster
ORDERS = (4, 6, 9, 13)  # of its panels
SETTLED = 1e-9  # a larger error of psi, in units of s_c, raises
ENDS = (1.0, 4.0, 16.0, 64.0, math.inf)  # of the ranges of s_c y on which psi is interpolated
DEGREES = (16, 32, 64, 128)  # of the polynomials


def light(known: Law) -> bool:
    """Whether a Law has light tails: bounded, normal, or exponential ones."""
    return max(float(known.isf(1e-20)), -float(known.ppf(1e-20))) < LIGHT


@dataclass(frozen=True)
class Features:
    """The laws of e and c: means d_e, d_c > 0, deviations s_e, s_c > 0, standardised noises, number of classes K >= 3.

    noise_e, noise_c: a name known to `model.noise.law`, or a scipy.stats frozen law (its mean and deviation are
    set to 0 and 1). Raises ValueError otherwise.

    >>> features = Features(d_e=1, d_c=1)  # two normal wrong classes: the model of THEORY.md, section 0, at k = 1
    >>> round(features.mean_least, 6), round(float(features.accuracy(0.4358)), 4)  # 1 - 1/sqrt(pi); P(r_AT)
    (0.43581, 0.8685)
    """

    d_e: float
    d_c: float
    s_e: float = 1.0
    s_c: float = 1.0
    noise_e: object = "normal"
    noise_c: object = "normal"
    classes: int = 3

    def __post_init__(self) -> None:
        for name in ("d_e", "d_c", "s_e", "s_c"):
            object.__setattr__(self, name, checked(name, getattr(self, name), above=0, single=True))
        object.__setattr__(self, "classes", whole("classes", self.classes, 3, MOST_CLASSES))
        law(self.noise_e), law(self.noise_c)

    @property
    def n(self) -> int:
        return self.classes - 1

    @cached_property
    def mean_least(self) -> float:
        """E M, M = min c_j."""
        return self.d_c - self.s_c * law(self.noise_c).mean_least(self.n)

    def accuracy(self, r: Value) -> Value:
        """P(r) = Pr(e + r M > 0) for r >= 0, settled to 1e-11 (`noise.all_positive`), or NotConverged. Broadcasts.

        Raises ValueError for r < 0 or no number.

        >>> features = Features(0.6, 0.6, 0.01, 1.0, "student-t:3", "student-t:3", 30)
        >>> round(float(features.accuracy(0.7)), 6)
        0.280026
        """
        r = nonnegative(r, LARGEST_RATIO)
        e, c = law(self.noise_e), law(self.noise_c)
        return number(all_positive(e, c, self.n, self.d_e + r * self.d_c, self.s_e, r * self.s_c,
                                   f"the accuracy for {e.name} e and {c.name} c"))

    def psi(self, y: float) -> float:
        """psi(y) = d_c - E sum_j q_j c_j, q_j proportional to exp(-y c_j), y >= 0 a number; psi(inf) = d_c - E M.

        Settled to 1e-9 s_c under a finer quadrature, or NotConverged: the line (`log_sum_exp.psi`) where the noise
        has light tails and s_c y is at most 64, else `psi_by_panels`. Raises ValueError for y < 0 or no number.

        >>> normal = Features(d_e=1, d_c=1)
        >>> round(normal.psi(1e-4) / 1e-4, 4), round(normal.psi(np.inf), 6)  # psi'(0) = 1/2; 1/sqrt(pi)
        (0.5, 0.56419)
        """
        y = math.inf if reals(y).ndim == 0 and reals(y) == math.inf else checked("y", y, least=0, single=True)
        return self.s_c * self._settled(y * self.s_c, SETTLED)[0]

    def _settled(self, y: float, tolerance: float) -> tuple[float, float]:
        """(psi(y/s_c)/s_c, its change under a finer rule), or NotConverged above the tolerance."""
        known = law(self.noise_c)
        if y in (0, math.inf):
            return (known.mean_least(self.n) if y else 0.0), 0.0
        rules = [partial(psi_by_panels, y, self.n, known, order) for order in ORDERS]
        if light(known) and (y <= FAR or known.name == "normal"):
            rules = [partial(log_sum_exp.psi, y, self.n, known, finer * EXPONENT) for finer in (1.0, 1.5)] + rules
        before = change = math.inf
        for rule in rules:
            with suppress(NotConverged):  # the line may be too long
                value = rule()
                change, before = abs(value - before), value
                if change <= tolerance:
                    return value, change
        raise NotConverged(f"psi(y) at s_c y = {y} for {self.n} draws of {known.name} noise changes by {change:.1e} "
                           f"under a finer quadrature, but at most {tolerance:.0e} is accepted: choose a larger "
                           "tolerance or y, or a law with lighter tails.")

    @cached_property
    def _polynomials(self) -> dict[tuple[float, float], tuple[Chebyshev, float]]:
        return {}

    def _interpolated(self, end: float, tolerance: float) -> tuple[Chebyshev, float]:
        """(psi/s_c as a polynomial in u = y/(1 + y), y = s_c w2 <= end; its error), remembered; or NotConverged.

        It has the degree 32, 64, ..., 256: the first whose values at Chebyshev's points differ by at most the tolerance
        from those of half the degree. The error is that difference, or the largest of the values' own if that is more.
        """
        if (end, tolerance) not in self._polynomials:
            last, most = 1 - 1 / (1 + end), 2 * DEGREES[-1]
            points = last / 2 * (1 - np.cos(np.pi * np.arange(most + 1) / most))
            found = {}  # of the values at the points of lower degrees, too
            coarse, degree, error = None, DEGREES[0], math.inf
            while error > tolerance:
                if degree > most:
                    raise NotConverged(f"psi for {self.n} draws of {law(self.noise_c).name} noise differs by "
                                       f"{error:.1e} from a polynomial of degree {most // 2}, but at most "
                                       f"{tolerance:.0e} is accepted: choose a larger tolerance, or milder numbers.")
                places = range(0, most + 1, most // degree)
                for place in places:
                    if place not in found:
                        u = points[place]
                        found[place] = self._settled(u / (1 - u) if u < 1 else math.inf, tolerance)
                u, (values, changes) = points[::most // degree], np.array([found[place] for place in places]).T
                if coarse:
                    error = float(max(np.abs(coarse(u) - values).max(), changes.max()))
                coarse, degree = Chebyshev.fit(u, values, degree, domain=[0, last]), 2 * degree
            assert coarse is not None  # the error was infinite at first
            self._polynomials[end, tolerance] = coarse, error
        return self._polynomials[end, tolerance]

    def end_ratio(self, b: float = 0.0) -> float:
        """The limit of w2/w1 as t -> inf: ((1-b) E M + b d_c)_+/d_e."""
        b = checked_share(b)
        return max((1 - b) * self.mean_least + b * self.d_c, 0.0) / self.d_e

    def flow(self, times: ArrayLike, b: float = 0.0, tolerance: float = SETTLED) -> Path:
        """The Path of w1 = d_e t, w2' = d_c - (1-b) psi(w2) from 0: log-sum-exp over wrong classes, smoothed by b.

        The ratio falls strictly from d_c/d_e to `end_ratio(b)`, so the drop from the best to the final accuracy is
        max P - P(end) over that interval (D1-any). times: increasing, >= 0; 0 <= b <= 1. tolerance: the largest error
        accepted of psi, >= 1e-9, in units of s_c; it may move the weights by ten times that, in units of the largest,
        and error says by how much. Raises NotConverged above either, ValueError for other numbers.

        >>> path = Features(d_e=1, d_c=1).flow([0, 3, 1000])
        >>> path.accuracy.round(4).tolist()
        [0.8658, 0.8708, 0.8686]
        """
        t, b = checked_times(times), checked_share(b)
        tolerance = checked("tolerance", tolerance, least=SETTLED, below=1, single=True)
        # the flow ends before the first of the ENDS that it cannot reach, or beyond which it turns back
        end = next(end for end in ENDS if self.s_c * self.d_c * t[-1] <= end or end == math.inf
                   or self.d_c < (1 - b) * self.s_c * self._settled(end, tolerance)[0])
        psi, error = self._interpolated(end, tolerance)

        def velocity(w2: Float[np.ndarray, "1"], more: float = 0.0) -> Float[np.ndarray, "1"]:
            y = self.s_c * np.maximum(w2, 0)
            return self.d_c - (1 - b) * self.s_c * (psi(y / (1 + y)) + more)

        w1, w2 = self.d_e * t, integrate(velocity, [0.0], t).y[0]
        ratio = np.divide(w2, w1, out=np.full_like(t, self.d_c / self.d_e), where=w1 > 0)
        moved = drift(lambda w: velocity(w[1:]), lambda w: velocity(w[1:], error), t, np.stack([w1, w2]),
                      10 * tolerance)
        return Path(t, w1, w2, ratio, self.accuracy(ratio), moved)
