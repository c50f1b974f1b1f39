"""U1 and its two limits, by closed forms for hinge and squared hinge that the solver does not use, and other laws."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from synthmodel.claims.checks.general import LAWS, gini
from synthmodel.claims.evidence import Evidence
from synthmodel.model.losses import WorstMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps0, eps1
from synthmodel.solvers.solve import solve

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CHECKS", "hinge_risk"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)
HALF, MASS = 5 * (NODES + 1), 10 * WEIGHTS * stats.norm.pdf(5 * (NODES + 1))  # |Y|, Y standard normal, up to 10
STEP = 1e-5


def hinge_risk(w: Float[np.ndarray, "2"], d: float, sigma: float, b: float, lam: float, power: int = 1) -> float:
    """E max(0, 1 - v)^power + (lam/2)|w|^2: given |c_2 - c_3| the margin v is normal, and the mean is closed."""
    spread = math.hypot(w[0], w[1] / math.sqrt(2)) * sigma
    u = (1 - d * (w[0] + w[1]) + w[1] * (1 - b) * sigma * HALF / math.sqrt(2)) / spread
    low, top = stats.norm.cdf(u), stats.norm.pdf(u)
    mean = spread * (u * low + top) if power == 1 else spread**2 * ((u * u + 1) * low + u * top)
    return float(MASS @ mean + lam / 2 * (w[0]**2 + w[1]**2))


def check_u1() -> Evidence:
    errors, sides = [], True
    for (power, name), b, (sigma, lam) in product(((1, "hinge"), (2, "squared-hinge")), (0.0, 0.3),
                                                  ((0.3, 0.1), (0.8, 1.0))):
        setting = Setting(1.0, sigma)
        found = solve(setting, WorstMargin(name, b), 0.2, lam)
        w = np.array([found.w1, found.w2])
        for i in (0, 1):
            ends = [hinge_risk(w + sign * STEP * np.eye(2)[i], 0.6, sigma, b, lam, power) for sign in (1, -1)]
            errors.append((ends[0] - ends[1]) / (2 * STEP) if w[i] else 0.0)
        errors.append(hinge_risk(w, 0.6, sigma, b, lam, power) - found.risk)
    for (name, frozen), phi in zip(LAWS.items(), ("hinge", "logistic") * 3, strict=True):
        threshold = 0.5 - gini(frozen) * 0.4 / frozen.std() / 4
        setting = Setting(1.0, 0.4, noise=frozen if name == "gumbel" else name)
        alive = [solve(setting, WorstMargin(phi), threshold * (1 + part), 0.2).w2 > 0 for part in (-1e-3, 1e-3)]
        sides &= alive == [True, False]
    for phi, b in product(("squared-hinge", "exponential"), (0.1, 0.6)):
        threshold = eps1(Setting(1.0, 0.4), b)
        alive = [solve(Setting(1.0, 0.4), WorstMargin(phi, b), threshold + part, 0.2).w2 > 0 for part in (-1e-6, 1e-6)]
        sides &= alive == [True, False]
    worst = float(np.max(np.abs(errors)))
    return Evidence(bool(sides and worst <= 1e-8), "hinge, squared hinge: slopes and risk; hinge or logistic under six "
                    "laws and squared hinge, exponential with b in {.1,.6}: both sides of the threshold", worst,
                    "largest error (allowed: 1e-08)")


def check_u1_l1() -> Evidence:
    """At mu = 2, sigma = 1, eps = .5, lam = .1, lam_1 = .3: eps < eps0 - lam_1/2, yet the slope in w2 is positive."""
    setting, eps, lam, l1 = Setting(2.0, 1.0), 0.5, 0.1, 0.3
    w1s = np.linspace(0.9, 1.1, 200001)
    u = 1 / w1s - 1
    best = w1s[np.argmin(w1s * (u * stats.norm.cdf(u) + stats.norm.pdf(u)) + lam / 2 * w1s**2)]
    steep = float(stats.norm.cdf(1 / best - 1))
    slope = l1 - steep * (1 - 1 / math.sqrt(math.pi))
    bound = eps0(setting) - l1 / 2
    return Evidence(slope > 0 and eps < bound, "one case of hinge loss; the best w1 on w2 = 0 on a grid", slope,
                    "slope of the risk in w2 at w2 = 0", f"mu = 2, sigma = 1, lam = .1, lam_1 = .3, eps = .5 < "
                    f"{bound:.4f} = eps0 - lam_1/2: hinge loss has E[-phi'] = {steep:.3f} and w2 = 0")


def check_u1_smoothing() -> Evidence:
    """k = 4, lam/sigma^2 = .001, hinge loss: w2 falls from b = 0 to b = .3; and the ratio on a grid."""
    w2 = [solve(Setting(4.0, 1.0), WorstMargin("hinge", b), 0.0, 0.001).w2 for b in (0.0, 0.3)]
    rises = []
    for phi, k, lam in (("hinge", 0.7, 0.001), ("hinge", 2.0, 0.5), ("logistic", 4.0, 0.001),
                        ("exponential", 2.0, 0.001)):
        plain, soft = (solve(Setting(k, 1.0), WorstMargin(phi, b), 0.0, lam).ratio for b in (0.0, 0.3))
        rises.append(soft - plain)
    return Evidence(w2[0] > w2[1] and min(rises) > 0, "hinge at k = 4, lam/sigma^2 = .001; the ratio: hinge, logistic, "
                    "exponential at four settings", w2[0] - w2[1], "fall of w2 with b",
                    f"w2 = {w2[0]:.4f} at b = 0 and {w2[1]:.4f} at b = .3")


CHECKS = {"U1": check_u1, "U1-l1": check_u1_l1, "U1-smoothing": check_u1_smoothing}
