"""The flow of D1 for any noise and any number of classes, design A (claim D1-any).

Robust margins m_j = w1 e + w2 c_j, j = 1..n, n = K - 1: e with mean d_e, c_1..c_n independent draws of one law with
mean d_c, M = min c_j. Weights, means and deviations are in the units of a feature and tau = 1, so that time is in tau.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.stats import gumbel_l

from synthmodel.accuracy import nonnegative
from synthmodel.dynamics import Path, checked_share, checked_times, integrate
from synthmodel.noise import all_positive, law, quantile_rule
from synthmodel.robustness import LARGEST_RATIO
from synthmodel.setting import MOST_CLASSES, checked, number, whole

__all__ = ["Features"]

KNOTS = 33  # of the table of psi
GUMBEL = law(gumbel_l())
ORDER = 31  # half the nodes of a quantile rule; doubling them moves psi by about 1e-5


@dataclass(frozen=True)
class Features:
    """The laws of e and c: means d_e, d_c > 0, deviations s_e, s_c > 0, standardised noises, number of classes K >= 3.

    noise_e, noise_c: a name known to `synthmodel.noise.law`, or a scipy.stats frozen law (its mean and deviation are
    set to 0 and 1). Raises ValueError otherwise.

    >>> features = Features(d_e=1, d_c=1)  # two normal wrong classes: the model of theory.md, section 0, at k = 1
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

        With V_j drawn from the density exp(v - e^v), q_j is the chance that h_j = c_j + V_j/y is the smallest, so that
        E sum q_j c_j = n E[c_1 L(h_1)^(n-1)], L(g) = Pr(h > g) = E exp(-exp(y (g - c))) = E Pr(c > g - V/y).

        >>> normal = Features(d_e=1, d_c=1)
        >>> round(normal.psi(1e-4) / 1e-4, 4), round(normal.psi(np.inf), 6)  # psi'(0) = 1/2; 1/sqrt(pi)
        (0.5, 0.56419)
        """
        y = checked("y", y, least=0) * self.s_c if y != np.inf else np.inf
        known = law(self.noise_c)
        if y == 0:
            return 0.0
        if y == np.inf:
            return self.s_c * known.mean_least(self.n)
        z, z_weights, *_ = quantile_rule(known, ORDER)
        v, v_weights, *_ = quantile_rule(GUMBEL, ORDER)
        v = gumbel_l.mean() + gumbel_l.std() * v
        h = z[:, None, None] + v[:, None] / y
        if y < 1:  # average over whichever of the two is smoother
            with np.errstate(over="ignore"):  # exp(-inf) = 0 is right
                beyond = np.exp(-np.exp(y * (h - z))) @ z_weights
        else:
            beyond = known.sf(h - v / y) @ v_weights
        return float(-self.s_c * self.n * (z_weights * z) @ beyond**(self.n - 1) @ v_weights)

    @cached_property
    def psi_table(self):
        """A spline of psi in u = s_c y/(1 + s_c y), which runs from 0 to 1."""
        u = np.linspace(0, 1, KNOTS)
        y = np.divide(u, 1 - u, out=np.full(KNOTS, np.inf), where=u < 1) / self.s_c
        return CubicSpline(u, [self.psi(value) for value in y])

    def end_ratio(self, b=0.0):
        """The limit of w2/w1 as t -> inf: ((1-b) E M + b d_c)_+/d_e."""
        b = checked_share(b)
        return max((1 - b) * self.mean_least + b * self.d_c, 0.0) / self.d_e

    def flow(self, times, b=0.0):
        """The Path of w1 = d_e t, w2' = d_c - (1-b) psi(w2) from 0: log-sum-exp over wrong classes, smoothed by b.

        The ratio falls strictly from d_c/d_e to `end_ratio(b)`, so the drop from the best to the final accuracy is
        max P - P(end) over that interval (D1-any). times: increasing, >= 0; 0 <= b <= 1.

        >>> path = Features(d_e=1, d_c=1).flow([0, 3, 1000])
        >>> path.accuracy.round(4).tolist()
        [0.8658, 0.8708, 0.8686]
        """
        t, b = checked_times(times), checked_share(b)

        def velocity(w2):
            y = self.s_c * np.maximum(w2, 0)
            return self.d_c - (1 - b) * self.psi_table(y / (1 + y))

        w1, w2 = self.d_e * t, integrate(velocity, [0.0], t).y[0]
        ratio = np.divide(w2, w1, out=np.full_like(t, self.d_c / self.d_e), where=w1 > 0)
        return Path(t, w1, w2, ratio, self.accuracy(ratio))
