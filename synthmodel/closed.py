"""Closed forms for the margin losses: two soft thresholds (claims T1 and T3)."""

import math

from synthmodel.losses import Margin, SmoothedMargin
from synthmodel.setting import Setting, checked  # noqa: F401 - Setting is used by the doctests
from synthmodel.solution import Solution

__all__ = ["eps0", "eps1", "eps_max", "ratio_closed", "solve_closed"]

# E min(C, C') = mu - sigma/sqrt(pi) for two independent N(mu, sigma^2): the price of the worse of two classes.
GAP = 1 / math.sqrt(math.pi)


def smoothing(loss):
    """b of a margin loss, 0 for the plain one; ValueError for a loss that has no closed form."""
    if not isinstance(loss, Margin | SmoothedMargin):
        raise ValueError(f"a closed form was asked for {loss}, but only margin and smoothed-margin have one: "
                         "use the method numeric.")
    return loss.b if isinstance(loss, SmoothedMargin) else 0.0


def eps_max(setting):
    """mu/2: the attack size at which both weights are 0 for every loss (claims T1, T1-CE).

    >>> eps_max(Setting(1, 0.5))
    0.5
    """
    return setting.mu / 2


def eps0(setting):
    """eps0 = mu/2 - sigma/(2 sqrt(pi)) (T1): the attack size at which the margin loss drops the cross-class feature.

    In (0, mu/2) iff sigma < sqrt(pi) mu; where it is <= 0 the feature is not learned at any eps.

    >>> round(eps0(Setting(1, 0.5)), 6)
    0.358953
    """
    return eps1(setting, 0.0)


def eps1(setting, b):
    """eps1 = mu/2 - (1-b) sigma/(2 sqrt(pi)) (T3): the same threshold with smoothing 0 <= b < 1; eps1 > eps0 for b > 0.

    >>> round(eps1(Setting(1, 0.5), 0.1), 6)
    0.373057
    """
    b = checked("b", b, least=0, below=1)
    return setting.mu / 2 - (1 - b) * setting.sigma * GAP / 2


def ratio_closed(k, b=0.0):
    """w2*/w1* = max(1 - (1-b)/(k sqrt(pi)), 0) for k > 0: r_AT for b = 0, the smoothed ratio otherwise (T1, T3).

    >>> round(ratio_closed(1.2), 6)
    0.529842
    """
    return max(1 - (1 - b) * GAP / checked("k", k, above=0), 0.0)


def solve_closed(setting, loss, eps, lam):
    """The minimiser of E max_delta loss + (lam/2)(w1^2 + w2^2) for the margin losses (T1, T3).

    w1 = max(mu - 2 eps, 0)/lam,  w2 = max(mu - (1-b) sigma/sqrt(pi) - 2 eps, 0)/lam,
    risk = -(lam/2)(w1^2 + w2^2); b = 0 for Margin. Raises ValueError for eps < 0, lam <= 0 or another loss.

    >>> solution = solve_closed(Setting(1, 0.5), Margin(), eps=0.2, lam=0.1)
    >>> round(solution.w1, 9), round(solution.w2, 6)
    (6.0, 3.179052)
    """
    b = smoothing(loss)
    lam = checked("lam", lam, above=0)
    slopes = [setting.d(eps), setting.d(eps) - (1 - b) * setting.sigma * GAP]
    weights = [max(slope, 0.0) / lam for slope in slopes]
    # On an axis, 0 lies in the subdifferential iff the slope does not pull the weight up.
    errors = [lam * weight - slope if weight > 0 else max(slope, 0.0)
              for slope, weight in zip(slopes, weights, strict=True)]
    return Solution(*weights, risk=0.0 - lam / 2 * sum(weight ** 2 for weight in weights),
                    residual=math.hypot(*errors) / setting.mu, method="closed")
