"""The flow of D1 for any noise and any number of classes, design A (claim D1-any).

Robust margins m_j = w1 e + w2 c_j, j = 1..n, n = K - 1: e with mean d_e, c_1..c_n independent draws of one law with
mean d_c, M = min c_j. Weights, means and deviations are in the units of a feature and tau = 1, so that time is in tau.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.stats import gumbel_l

from synthmodel.accuracy.any_setting import LARGEST_RATIO
from synthmodel.accuracy.three_classes import nonnegative
from synthmodel.flows.gradient_flow import Path, checked_share, checked_times, drift, integrate
from synthmodel.model.noise import all_positive, law, quantile_rule
from synthmodel.model.setting import MOST_CLASSES, checked, number, reals, whole
from synthmodel.model.solution import NotConverged
from synthmodel.solvers import log_sum_exp
from synthmodel.solvers.line_integrals import EXPONENT

__all__ = ["Features"]

KNOTS, FEW = 129, 33  # of the table of psi, and for heavy tails, where a value takes long
LIGHT = 100.0  # deviations to the quantile of 1e-20 from which on the line of `temperature.psi` is too long
GUMBEL = law(gumbel_l())
ORDER = 31  # half the nodes of a quantile rule
SETTLED = 1e-9  # a larger change of psi under a finer rule, in units of s_c, raises
DRIFT, LOOSE = 1e-4, 1e-2  # the same of a flow's weights, relative to the largest: for light and for heavy tails


def light(known):
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

    def __post_init__(self):
        for name in ("d_e", "d_c", "s_e", "s_c"):
            object.__setattr__(self, name, checked(name, getattr(self, name), above=0, single=True))
        object.__setattr__(self, "classes", whole("classes", self.classes, 3, MOST_CLASSES))
        law(self.noise_e), law(self.noise_c)

    @property
    def n(self):
        return self.classes - 1

    @cached_property
    def mean_least(self):
        """E M, M = min c_j."""
        return self.d_c - self.s_c * law(self.noise_c).mean_least(self.n)

    def accuracy(self, r):
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

    def psi(self, y):
        """psi(y) = d_c - E sum_j q_j c_j, q_j proportional to exp(-y c_j), y >= 0 a number; psi(inf) = d_c - E M.

        Settled to 1e-9 s_c under a finer quadrature, or NotConverged: the line (`temperature.psi`) where the noise
        has light tails and s_c y is at most a few hundred, else `_by_pairs`. Raises ValueError for y < 0 or no number.

        >>> normal = Features(d_e=1, d_c=1)
        >>> round(normal.psi(1e-4) / 1e-4, 4), round(normal.psi(np.inf), 6)  # psi'(0) = 1/2; 1/sqrt(pi)
        (0.5, 0.56419)
        """
        y = math.inf if reals(y).ndim == 0 and reals(y) == math.inf else checked("y", y, least=0, single=True)
        y, known = y * self.s_c, law(self.noise_c)
        if y in (0, math.inf):
            return self.s_c * known.mean_least(self.n) if y else 0.0
        rules = [lambda finer: log_sum_exp.psi(y, self.n, known, (1.5 if finer else 1.0) * EXPONENT)]
        rules += [lambda finer: self._by_pairs(y, 3 * ORDER - 2 if finer else 2 * ORDER - 1)]
        for rule in rules if light(known) else rules[1:]:
            with suppress(NotConverged):
                value, finer = rule(False), rule(True)
                if abs(finer - value) <= SETTLED:
                    return self.s_c * finer
        raise NotConverged(f"psi(y) at s_c y = {y} for {self.n} draws of {known.name} noise is not settled to "
                           f"{SETTLED:.0e} by any of the rules: choose a smaller y, or a law with a smoother density.")

    def _by_pairs(self, y, order):
        """psi(y/s_c)/s_c by a rule in z and in V.

        With V_j drawn from the density exp(v - e^v), q_j is the chance that h_j = z_j + V_j/y is the smallest, so that
        E sum q_j z_j = n E[z_1 L(h_1)^(n-1)], L(g) = Pr(h > g) = E exp(-exp(y (g - z))) = E Pr(z > g - V/y).
        """
        known = law(self.noise_c)
        z, z_weights, *_ = quantile_rule(known, order)
        v, v_weights, *_ = quantile_rule(GUMBEL, order)
        v = gumbel_l.mean() + gumbel_l.std() * v
        h = z[:, None, None] + v[:, None] / y
        if y < 1:  # average over whichever of the two is smoother
            with np.errstate(over="ignore"):  # exp(-inf) = 0 is right
                beyond = np.exp(-np.exp(y * (h - z))) @ z_weights
        else:
            beyond = known.sf(h - v / y) @ v_weights
        return float(-self.n * (z_weights * z) @ beyond**(self.n - 1) @ v_weights)

    @cached_property
    def psi_table(self):
        """(a spline of psi in u = s_c y/(1 + s_c y), which runs from 0 to 1, and its error, in the units of c)."""
        known, easy = law(self.noise_c), light(law(self.noise_c))

        def value(u, finer=False):
            y = u / (1 - u) if u < 1 else math.inf
            if u in (0, 1):
                return self.s_c * known.mean_least(self.n) * u
            if easy:
                return self.s_c * log_sum_exp.psi(y, self.n, known, (1.5 if finer else 1.0) * EXPONENT)
            return self.s_c * self._by_pairs(y, 2 * ORDER - 1 if finer else ORDER)

        u = np.linspace(0, 1, KNOTS if easy else FEW)
        psi = np.array([value(at) for at in u])
        half = np.abs(CubicSpline(u[::2], psi[::2])(u) - psi).max()  # an interval twice as long: 16 times the error
        error = max(half, *(abs(value(at, finer=True) - one) for at, one in zip(u[4::12], psi[4::12], strict=True)))
        return CubicSpline(u, psi), float(error)

    def end_ratio(self, b=0.0):
        """The limit of w2/w1 as t -> inf: ((1-b) E M + b d_c)_+/d_e."""
        b = checked_share(b)
        return max((1 - b) * self.mean_least + b * self.d_c, 0.0) / self.d_e

    def flow(self, times, b=0.0):
        """The Path of w1 = d_e t, w2' = d_c - (1-b) psi(w2) from 0: log-sum-exp over wrong classes, smoothed by b.

        The ratio falls strictly from d_c/d_e to `end_ratio(b)`, so the drop from the best to the final accuracy is
        max P - P(end) over that interval (D1-any). times: increasing, >= 0; 0 <= b <= 1. Raises NotConverged where the
        error of psi could move the weights by 1e-4 of themselves, for heavy tails 1e-2; error says by how much.

        >>> path = Features(d_e=1, d_c=1).flow([0, 3, 1000])
        >>> path.accuracy.round(4).tolist()
        [0.8658, 0.8708, 0.8686]
        """
        t, b = checked_times(times), checked_share(b)
        table, error = self.psi_table

        def velocity(w2):
            y = self.s_c * np.maximum(w2, 0)
            return self.d_c - (1 - b) * table(y / (1 + y))

        w1, w2 = self.d_e * t, integrate(velocity, [0.0], t).y[0]
        ratio = np.divide(w2, w1, out=np.full_like(t, self.d_c / self.d_e), where=w1 > 0)
        moved = drift(velocity, lambda w2: velocity(w2) + (1 - b) * error, t, np.stack([w1, w2]),
                      DRIFT if light(law(self.noise_c)) else LOOSE)
        return Path(t, w1, w2, ratio, self.accuracy(ratio), moved)
