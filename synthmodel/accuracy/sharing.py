"""Any sharing of the cross-class features among the classes: eps0, joint accuracy, robust Bayes error (claim G-share).

Designs A and B (`Setting`) treat all classes alike, here each class has the features that a matrix gives it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import qmc

from synthmodel.accuracy.bayes import small
from synthmodel.accuracy.three_classes import nonnegative
from synthmodel.model.noise import law
from synthmodel.model.roots import brentq
from synthmodel.model.setting import checked, number, reals, shown, whole

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from synthmodel.model.types import Broadcast, Real

__all__ = ["ANIMALS_AND_VEHICLES", "Sharing", "error_of_sharing"]

MOST_CLASSES, MOST_FEATURES = 12, 1000  # the Bayes error takes 2^K sets of classes
POINTS, SCRAMBLINGS = 12, 16  # 2^POINTS Sobol points, scrambled so many times


@dataclass(frozen=True)
class Sharing:
    """Which class has which cross-class features, and the law of a feature (THEORY.md, G-share).

    Given class i of K: an exclusive feature of its own and, for each kind f with has[i][f] = 1, copies[f] cross-class
    features are mu + sigma z; all others are 0, all are independent. f_i = w1 x_{E,i} + w2 sum of class i's features.
    The attack is ||delta||_inf <= eps. The margin against j is m_j = w1 e + w2 c_j in law, e = x_{E,i} - 2 eps,
    c_j = (sum of what i has and j lacks) - eps (their number + that of what j has and i lacks).

    has: K >= 2 rows of as many 0 and 1.  copies: how many of each kind, >= 1 (default: one).  mu, sigma > 0.
    noise: as in `Setting`. Raises ValueError otherwise.

    >>> wheel = Sharing([[1, 0], [1, 0], [0, 1], [0, 1]])  # car and truck have wheels, cat and dog fur
    >>> wheel.lost, wheel.threshold()
    (True, (0.0, 0.0))
    """

    has: Sequence[Sequence[int]]
    copies: Sequence[int] = None  # type: ignore[assignment]  # after __post_init__ one for each kind
    mu: float = 1.0
    sigma: float = 0.5
    noise: Any = "normal"

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        has = reals(self.has)
        if has.ndim != 2 or not 2 <= len(has) <= MOST_CLASSES or not np.isin(has, (0, 1)).all():
            raise ValueError(f"the sharing matrix {shown(self.has)} was given, but it must have a row of 0 and 1 "
                             f"for each of 2 to {MOST_CLASSES} classes, all of one length: write "
                             "[[0, 1, 1], [1, 0, 1], [1, 1, 0]].")
        copies = (1,) * has.shape[1] if self.copies is None else self.copies
        if reals(copies).shape != (has.shape[1],):
            raise ValueError(f"copies = {shown(copies)} was given, but it must be one whole number for each of "
                             f"the {has.shape[1]} kinds of features: give as many.")
        put("has", tuple(tuple(int(x) for x in row) for row in has))
        put("copies", tuple(whole("copies", x, 1, MOST_FEATURES) for x in copies))
        if sum(self.copies) > MOST_FEATURES:
            raise ValueError(f"{sum(self.copies)} features were given, but at most {MOST_FEATURES} are taken: choose "
                             "fewer copies.")
        for name in ("mu", "sigma"):
            put(name, checked(name, getattr(self, name), above=0, single=True))
        law(self.noise)

    @property
    def features(self) -> Bool[np.ndarray, "k features"]:
        """(K, features): the matrix with each kind as often as it has copies."""
        return np.repeat(np.array(self.has, dtype=bool), self.copies, axis=1)

    @property
    def lost(self) -> bool:
        """Whether each class has a wrong class that lacks none of its features: then w2 = 0 for every eps (G-share)."""
        return all(any((ours <= theirs).all() for j, theirs in enumerate(self.features) if j != i)
                   for i, ours in enumerate(self.features))

    def least(self, scrambling: int) -> Callable[[float], Float[np.ndarray, "k points"]]:
        """A function of eps: M = min_j c_j at Sobol points, scrambled by the seed `scrambling`; (K, points)."""
        features, values = self.features, []
        for i, ours in enumerate(features):
            others = np.delete(features, i, axis=0)
            lacked = (ours & ~others)[:, ours].astype(float)
            if ours.any():
                uniform = qmc.Sobol(int(ours.sum()), seed=scrambling).random_base2(POINTS)
                z = law(self.noise).ppf(np.clip(uniform, 2.0**-54, 1 - 2.0**-53))
            else:
                z = np.zeros((2**POINTS, 0))
            values.append(((self.mu + self.sigma * z) @ lacked.T, (ours ^ others).sum(axis=1)))
        return lambda eps: np.array([np.min(sums - eps * sizes, axis=1) for sums, sizes in values])

    def threshold(self) -> tuple[float, float]:
        """(eps0, its standard error): from eps0 on the margin loss has w2 = 0; (0, 0) where it has for every eps.

        The root of the mean of M = min_j c_j over the classes, by scrambled Sobol points.

        >>> eps0, error = Sharing([[0, 1, 1], [1, 0, 1], [1, 1, 0]]).threshold()  # design A, three classes
        >>> round(eps0, 3), error < 1e-4
        (0.359, True)
        """
        if self.lost:
            return 0.0, 0.0
        roots = []
        for scrambling in range(SCRAMBLINGS):
            mean = self.least(scrambling)
            roots.append(brentq(lambda eps, mean=mean: float(mean(eps).mean()), 0.0, self.mu)
                         if mean(0.0).mean() > 0 else 0.0)
        return float(np.mean(roots)), float(np.std(roots, ddof=1) / math.sqrt(SCRAMBLINGS))

    def accuracy(self, ratio: Real, eps: Real) -> tuple[Broadcast, Broadcast]:
        """(joint robust accuracy of w2/w1 = ratio, its standard error), in the mean over the classes; both broadcast.

        >>> joint, error = Sharing([[0, 1, 1], [1, 0, 1], [1, 1, 0]]).accuracy(0.5, 0.2)
        >>> round(joint, 4), error < 1e-4
        (0.9195, True)
        """
        ratio, eps = np.broadcast_arrays(nonnegative(ratio), checked("eps", eps, least=0))
        known, found = law(self.noise), np.empty((SCRAMBLINGS, ratio.size))
        for scrambling in range(SCRAMBLINGS):
            least = self.least(scrambling)
            for at, (r, size) in enumerate(zip(ratio.ravel().tolist(), eps.ravel().tolist(), strict=True)):
                margin = self.mu - 2 * size + (r * least(size) if r else np.zeros((1, 1)))
                found[scrambling, at] = known.sf(-margin / self.sigma).mean()
        mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(SCRAMBLINGS)
        return number(mean.reshape(ratio.shape)), number(error.reshape(ratio.shape))

    def bayes_error(self, eps: float) -> float:
        """The least robust error that any classifier can have (claim B1): `error_of_sharing`. eps: a number.

        >>> round(Sharing([[0, 1, 1], [1, 0, 1], [1, 1, 0]]).bayes_error(0.2), 6)
        0.012185
        """
        q = small(law(self.noise), self.mu, self.sigma, checked("eps", eps, least=0, single=True))
        return max(error_of_sharing(self.features, float(q)), 0.0)


def error_of_sharing(features: Sequence[Sequence[int]] | Bool[np.ndarray, "k features"], q: Any) -> Any:
    """The robust Bayes error of K rows of features 0 or 1, where each, and the exclusive one, is small with chance q.

    The rule that attains it answers the first class that has every feature beyond eps, classes with fewer features
    first. A class errs if all that it has and some earlier class lacks is small: by inclusion and exclusion.

    >>> from fractions import Fraction
    >>> error_of_sharing([[0, 1, 1], [1, 0, 1], [1, 1, 0]], Fraction(1, 2))
    Fraction(5, 24)
    """
    rows = sorted(np.asarray(features, dtype=int).tolist(), key=sum)
    wrong = 0
    for i, ours in enumerate(rows):
        for count in range(1, i + 1):
            for earlier in combinations(rows[:i], count):
                lacked = sum(x and not all(others) for x, *others in zip(ours, *earlier, strict=True))
                wrong -= (-1)**count * q**(1 + lacked)
    return wrong / len(rows)


# CIFAR-10's superclasses: airplane, automobile, ship, truck share one kind of features, the six animals another.
VEHICLES = (1, 1, 0, 0, 0, 0, 0, 0, 1, 1)
ANIMALS_AND_VEHICLES = Sharing([(vehicle, 1 - vehicle) for vehicle in VEHICLES])
