"""The minimiser of E phi((1-b) min_j m_j + b mean_j m_j) plus a penalty for any `Surrogate` phi (claim U1).

Under delta* and for w >= 0 the margin is v = w1 e + w2 M, where M = (1-b) min_j c_j + b mean_j c_j is independent of e.
M runs over nodes; for each of them e runs over panels that end where v meets a kink of phi. Nothing here knows eps0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from scipy.optimize import brentq, minimize, root

from synthmodel.model.losses import WorstMargin
from synthmodel.model.noise import panel_rule, quantile_rule
from synthmodel.model.setting import Setting, checked
from synthmodel.model.solution import NotConverged, Solution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    Pair: TypeAlias = Float[np.ndarray, "2"] | Sequence[Any]

__all__ = ["solve_worst_margin"]

ORDER = 61  # nodes of a panel; twice as many tell the error
RESIDUAL, ERROR = 1e-10, 1e-7  # of the slopes, in units of mu: larger ones raise
TAIL = 1e-200  # a probability whose part of the mean must be nothing
REACH, STEP = 10.0, 0.1  # the trapezoidal rule for a skew-normal M, in units of its scale


def _least(setting: Setting, b: float, eps: float,
           order: int) -> tuple[Float[np.ndarray, "nodes"], Float[np.ndarray, "nodes"]]:
    """Nodes and weights of M."""
    d = setting.mu_c - 2 * eps
    if setting.noise == "normal" and setting.classes == 3:
        # Mean and difference of c_2 and c_3 are independent normals, so M = mean - (1-b)|difference|/2 is skew-normal.
        mean, gap = (setting.sigma_c * math.sqrt((1 + sign * setting.rho) / 2) for sign in (1, -1))
        gap *= 1 - b
        scale, step = math.hypot(mean, gap), STEP * ORDER / order
        z = np.arange(-REACH, REACH, step)
        return d + scale * z, 2 * step * setting.law.pdf(z) * setting.law.cdf(-gap / mean * z)
    n, (z, weights, _, above) = setting.active, quantile_rule(setting.law, order)
    return d + setting.sigma_c * z, weights * n * above**(n - 1)


class _Risk:
    """The risk without its penalty, and its slopes, by a rule of one order."""

    def __init__(self, setting: Setting, loss: WorstMargin, eps: float, order: int) -> None:
        self.setting, self.phi, self.order = setting, loss.surrogate, order
        self.d = setting.mu_e - 2 * eps
        self.least, self.weights = _least(setting, cast("float", loss.b), eps, order)

    def at(self, w: Pair) -> Float[np.ndarray, "3"]:
        """(risk, slope in w1, slope in w2) at w1 > 0, w2 >= 0."""
        w1, w2 = w
        shift = w2 * self.least if w2 else np.zeros(1)
        if self.phi.kinks:
            kinks = (np.array(self.phi.kinks) - shift[:, None] - w1 * self.d) / (w1 * self.setting.sigma_e)
        else:
            kinks = np.empty((len(shift), 0))
        z, weights, _, _ = panel_rule(self.setting.law, self.order, kinks)
        e = self.d + self.setting.sigma_e * z
        v = w1 * e + shift[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            slope = weights * self.phi.slope(v)
            risk, along = (np.sum(part, axis=1) for part in (weights * self.phi.value(v), slope * e))
            total = np.sum(slope, axis=1)
            if not w2:
                return np.array([risk[0], along[0], total[0] * (self.weights @ self.least)])
            found = np.array([self.weights @ risk, self.weights @ along, self.weights @ (total * self.least)])
        return found

    def light(self, w: Pair) -> bool:
        """Whether what lies beyond a probability of 1e-300 adds nothing to the slopes: else they are infinite."""
        far = abs(float(self.setting.law.ppf(TAIL)))
        spread = w[0] * self.setting.sigma_e + w[1] * self.setting.sigma_c
        with np.errstate(over="ignore"):
            steep = float(-self.phi.slope(np.array([-spread * far]))[0])
        return cast("bool", TAIL * steep * far * self.setting.sigma_e <= 1e-30)


def solve_worst_margin(setting: Setting, loss: WorstMargin, eps: float, lam: float,
                       lam_c: float | None = None) -> Solution:
    """Minimise E max_delta loss + (lam w1^2 + lam_c w2^2)/2 for a `WorstMargin` loss: convex, the minimiser is >= 0.

    lam_c: lam, where it is not given. Design A, norm inf; with b > 0, a correlation or design B: three classes and
    normal noise. Numbers, not arrays.
    Raises ValueError for another setting, NotConverged for slopes above 1e-10 mu, for a quadrature that changes them by
    more than 1e-7 mu, or where the mean of the loss is infinite.

    >>> solution = solve_worst_margin(Setting(1, 0.5), WorstMargin("hinge"), eps=0.2, lam=0.1)
    >>> round(solution.w1, 6), round(solution.w2, 6)
    (1.238276, 0.807576)
    """
    eps, lam = checked("eps", eps, least=0, single=True), checked("lam", lam, above=0, single=True)
    decay = np.array([lam, lam if lam_c is None else checked("lam_c", lam_c, above=0, single=True)])
    narrow = np.any(setting.rho != 0) or loss.b > 0 or setting.design == "B"
    if setting.norm != math.inf or (narrow and (setting.classes > 3 or setting.noise != "normal")):
        raise ValueError(f"{setting.classes} classes, design {setting.design}, {setting.law.name} noise, rho = "
                         f"{setting.rho}, norm {setting.norm} and b = {loss.b} were given for a loss of the least "
                         "margin, which takes norm inf, and smoothing, correlation and design B with three classes and "
                         "normal noise only: choose these.")
    risk = _Risk(setting, loss, eps, ORDER)
    start, scale = float(loss.surrogate.slope(np.zeros(1))[0]), setting.mu_e
    if not start < 0:
        raise ValueError(f"a surrogate of slope {start} at 0 was given, but it must fall there: choose another.")
    if risk.d <= 0:
        if setting.mu_c > 2 * eps and risk.weights @ risk.least > 0:
            raise ValueError(f"eps = {eps} was given, where w1 = 0 but w2 may live, but this solver needs w1 > 0: "
                             f"choose eps < {setting.mu_e / 2}.")
        value = float(loss.surrogate.value(np.zeros(1))[0])
        return Solution(0.0, 0.0, value, 0.0, "numeric")

    def slopes(w: Pair, rule: _Risk = risk) -> Float[np.ndarray, "2"]:
        found = rule.at(w)[1:] + decay * np.asarray(w)
        if not (np.isfinite(found).all() and rule.light(w)):
            raise NotConverged(f"the mean of the loss is infinite, or nearly so, at w = {list(map(float, w))} under "
                               f"{setting.law.name} noise: choose a law with lighter tails, a larger lam, or another "
                               "loss.")
        return found

    least = min(-start * risk.d / lam, 1 / (risk.d + setting.sigma_e))
    while slopes((least, 0.0))[0] > 0:
        least /= 2
    most = 2 * least
    while slopes((most, 0.0))[0] < 0:
        most *= 2
    w = np.array([brentq(lambda x: slopes((x, 0.0))[0], least, most, xtol=1e-15 * most, rtol=1e-14), 0.0])
    count = 0
    if slopes(w)[1] < 0:
        rough = _Risk(setting, loss, eps, ORDER // 3)

        def objective(w: Float[np.ndarray, "2"]) -> tuple[float, Float[np.ndarray, "2"]]:
            found = rough.at(w)
            return found[0] + decay @ w**2 / 2, found[1:] + decay * w

        first = minimize(objective, w * [1, 0] + [0, w[0] / 4], jac=True, method="L-BFGS-B",
                         bounds=[(w[0] * 1e-3, None), (w[0] * 1e-9, None)])
        last = root(slopes, np.maximum(first.x, 1e-12), tol=1e-15)
        w, count = last.x, first.nfev + last.nfev
    found, finer = slopes(w), slopes(w, _Risk(setting, loss, eps, 2 * ORDER - 1))
    free = w > 0
    residual = float(np.linalg.norm(np.where(free, found, np.minimum(found, 0)))) / scale
    error = float(np.linalg.norm(np.where(free | (found < 0), finer - found, 0))) / scale
    if not (residual <= RESIDUAL and error <= ERROR and w.min() >= 0):
        raise NotConverged(f"slopes of {residual:.1e} mu, good to {error:.1e} mu, are left at eps = {eps}, lam = {lam} "
                           f"in {setting}, but at most {RESIDUAL:.0e} and {ERROR:.0e} are accepted: name in kinks "
                           "where the loss bends, or bring sigma, eps and lam nearer to mu.")
    value = float(risk.at(w)[0] + decay @ w**2 / 2)
    return Solution(float(w[0]), float(w[1]), value, residual, "numeric", count, error)
