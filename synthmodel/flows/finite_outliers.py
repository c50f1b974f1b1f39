"""D4 with outliers of finite chance and size, three classes; units of a feature. Limit and remedies: `outliers`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, ndtr, owens_t

from synthmodel.accuracy.any_setting import LARGEST_RATIO
from synthmodel.accuracy.three_classes import nonnegative
from synthmodel.flows.gradient_flow import Path, checked_times, drift, integrate
from synthmodel.flows.rare_outliers import FAR, ROOT_TWO_PI, checked_remedy
from synthmodel.model.quadrature import legendre
from synthmodel.model.setting import checked, number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from numpy.typing import ArrayLike

    from synthmodel.flows.gradient_flow import Velocity
    from synthmodel.model.types import Value

    Nodes = tuple[Float[np.ndarray, "#m nodes"], Float[np.ndarray, "#m nodes"]]  # and their weights

__all__ = ["Outliers"]

LOOSE = 1e-3  # a larger change of the weights under the finer rule, relative to the largest, raises
NEGLIGIBLE = 1e-18  # weight of a node


def normal_above(low: Float[np.ndarray, "m"], nodes: Float[np.ndarray, "nodes"], weights: Float[np.ndarray, "nodes"],
                 ) -> Nodes:
    """Nodes z and weights for E[f(Z); Z > low], Z standard normal: Gauss-Legendre on (max(low, -9), 9). Broadcasts."""
    low = np.clip(low, -FAR, FAR)[..., None]
    z = low + (FAR - low) * (nodes + 1) / 2
    return z, (FAR - low) / 2 * weights * np.exp(-z * z / 2) / ROOT_TWO_PI


@dataclass(frozen=True)
class Outliers:
    """Three classes with finite outliers: e ~ N(d, s_e^2); c_j ~ N(d, s_c^2), but N(d, size^2) with probability p.

    d, s_e, s_c, size > 0; 0 <= p < 1. Raises ValueError otherwise.

    >>> outliers = Outliers(d=0.4, s_e=0.5, s_c=0.1, p=0.1, size=3.0)
    >>> round(outliers.gamma, 4), round(float(outliers.accuracy(0.0)), 4)  # 2 p S/sqrt(2 pi); Phi(d/s_e)
    (0.2394, 0.7881)
    """

    d: float
    s_e: float
    s_c: float
    p: float
    size: float

    def __post_init__(self) -> None:
        for name in ("d", "s_e", "s_c", "size"):
            object.__setattr__(self, name, checked(name, getattr(self, name), above=0, single=True))
        object.__setattr__(self, "p", checked("p", self.p, least=0, below=1, single=True))

    @property
    def gamma(self) -> float:
        """n p S/sqrt(2 pi), n = 2."""
        return 2 * self.p * self.size / math.sqrt(2 * math.pi)

    def accuracy(self, r: Value) -> Value:
        """Pr(e + r c_j > 0 and e + r c_l > 0) for r >= 0, of the mixture, outliers counted. Broadcasts.

        Closed form: given which of the two are outliers the margins are jointly normal, of deviations
        sqrt(s_e^2 + r^2 s^2), and their orthant probability is a sum of normal and Owen functions. Raises ValueError
        for r < 0 or no number.

        >>> round(float(Outliers(0.6, 0.001, 1, 0.1, 3).accuracy(3.0)), 6)
        0.59266
        """
        r, total = nonnegative(r, LARGEST_RATIO), 0.0
        for (p, s), (q, other) in product(((1 - self.p, self.s_c), (self.p, self.size)), repeat=2):
            shared = np.hypot(self.s_e * math.hypot(s, other), r * s * other)
            both = sum(ndtr(h) / 2 - owens_t(h, r * own * own / shared) for own, h in
                       ((one, self.d * (1 + r) / np.hypot(self.s_e, r * one)) for one in (s, other)))
            total = total + p * q * both
        return number(total)

    def evidence(self, step: float) -> tuple[Float[np.ndarray, "m 2"], Float[np.ndarray, "m"]]:
        """Quadrature of (c_j, c_l): values (m, 2) with c_j listed before or at c_l, and weights (m,)."""
        hermite, hermite_weights = np.polynomial.hermite_e.hermegauss(round(1.6 / step))
        # Outliers bend the loss near c = 0, sharply if w2 S is large: the trapezoidal rule, dense there.
        s = np.arange(-5, 5.01, step)
        z = 0.1 * np.sinh(s) - self.d / self.size
        outlier_weights = 0.1 * step * np.cosh(s) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        c = self.d + np.concatenate([self.s_c * hermite, self.size * z])
        weight = np.concatenate([(1 - self.p) * hermite_weights / hermite_weights.sum(), self.p * outlier_weights])
        first, second = np.triu_indices(len(c))
        pairs = weight[first] * weight[second] * np.where(first < second, 2, 1)
        kept = pairs > NEGLIGIBLE
        return np.stack([c[first], c[second]], axis=1)[kept], pairs[kept]

    def flow(self, times: ArrayLike, b: float = 0.0, teacher: tuple[float, float] | None = None,
             clip: float | None = None) -> Path:
        """Gradient flow from 0 of cross-entropy on the hard label at x + delta*, or of a remedy; a Path (D4).

        w1' = E[e (p - t)], w2' = E[sum_j c_j (p_j - t_j)], p the softmax, p = p_j + p_l, t the soft label's part on the
        wrong classes. times: increasing, >= 0. accuracy: `accuracy` of the mixture. Raises ValueError for bad input,
        NotConverged where a finer rule would move the weights by more than a thousandth; error says by how much.
        """
        t = checked_times(times)
        b, teacher, clip = checked_remedy(b, teacher, clip, 3)

        def split(c: Float[np.ndarray, "m 2"], w1: float, w2: float, e: Float[np.ndarray, "#m nodes"],
                  ) -> tuple[Float[np.ndarray, "m nodes"], Float[np.ndarray, "m nodes"]]:  # p_j, p_l at e (m, nodes)
            log_wrong = np.logaddexp(-w2 * c[:, 0], -w2 * c[:, 1])
            wrong = expit(log_wrong[:, None] - w1 * e)
            share = expit(w2 * (c[:, 1] - c[:, 0]))[:, None]
            return wrong * share, wrong * (1 - share)

        def rule(step: float) -> Velocity:
            """velocity(w) by trapezoidal steps in the outliers and in e, or, above a bound, Gauss-Legendre nodes."""
            c, pairs = self.evidence(step)
            z = np.arange(-FAR, FAR + step, 2.5 * step)
            normal = z, 2.5 * step * np.exp(-z * z / 2) / ROOT_TWO_PI
            nodes = legendre(round(6.4 / step))

            def means(e: Float[np.ndarray, "#m nodes"], weights: Float[np.ndarray, "#m nodes"],
                      chances: Iterable[float | Float[np.ndarray, "m nodes"]],
                      ) -> Float[np.ndarray, "2"]:  # E[e sum_j p_j], E[sum_j c_j p_j]
                first, second = (weights * pairs[:, None] * chance for chance in chances)
                return np.array([np.sum(e * (first + second)), c[:, 0] @ first.sum(1) + c[:, 1] @ second.sum(1)])

            def examples(w1: float, w2: float) -> Nodes:  # those that the loss does not leave out
                if not (clip and w1 > 0):
                    return normal
                log_wrong = np.logaddexp(-w2 * c[:, 0], -w2 * c[:, 1])
                return normal_above(((log_wrong - math.log(math.expm1(clip))) / w1 - self.d) / self.s_e, *nodes)

            e = self.d + self.s_e * normal[0]
            soft = means(e, normal[1], split(c, *teacher, e) if teacher else (0.5, 0.5)) if b else 0.0

            def velocity(w: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
                z, weights = examples(*w)
                e = self.d + self.s_e * z
                return means(e, weights, split(c, w[0], w[1], e)) - b * soft
            return velocity

        velocity = rule(0.17)
        w1, w2 = integrate(velocity, [0.0, 0.0], t, rtol=1e-7).y
        moved = drift(velocity, rule(0.119), t, np.stack([w1, w2]), LOOSE)
        slope, other = velocity(np.zeros(2))
        ratio = np.divide(w2, w1, out=np.full_like(t, other / slope), where=w1 > 0)
        return Path(t, w1, w2, ratio, self.accuracy(ratio), moved)
