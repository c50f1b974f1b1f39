"""The claims about where r_CE falls in eps (THEORY.md, CE-monotone-ends and CE-monotone-corner)."""

import math

import numpy as np
from scipy.special import digamma, expit

from synthmodel.claims.evidence import Evidence
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import solve_cross_entropy

__all__ = ["CHECKS", "corner_limit", "corner_numerator"]

STEP = 0.25  # of the trapezoidal sums; their terms are analytic in a strip of half-width pi/2 at least


def corner_limit(beta: float) -> float:
    """Return the limit of N as k grows at w1 = k/beta, 1/2 <= beta < 1; pi^2/12 at L = 0, where beta is 1/2.

    pi beta^2 (C/beta - (4/3) C (psi(4 beta/3) - psi(1 - 2 beta/3)) + (5 pi/3) C^2 + pi/3), C = -cot(pi beta), psi the
    digamma function. Source: THEORY.md, CE-monotone-corner.

    >>> round(corner_limit(0.5) * 12 / math.pi**2, 12)
    1.0
    """
    cot = -1 / math.tan(math.pi * beta)
    tilt = float(digamma(4 * beta / 3) - digamma(1 - 2 * beta / 3))
    return math.pi * beta**2 * (cot / beta - 4 * cot * tilt / 3 + 5 * math.pi * cot**2 / 3 + math.pi / 3)


def corner_numerator(k: float, beta: float) -> float:
    """Compute N of CE-monotone-ends at w1 = w2 = k/beta, by sums; its means but those of q for one wrong class.

    For large k both leave out terms of the relative size exp(-k^2/3).
    """
    w = k / beta
    alpha, s, z = 2 * k * w, 1.5 * w**2, 0.5 * w**2
    margin = np.arange(-90.0, 400.0, STEP)  # m ~ N(alpha, s + z), near 0 with the weight exp(m alpha/(s + z))
    law = np.exp(alpha / (s + z) * margin - margin**2 / (2 * (s + z)))
    y = expit(-margin)
    once, twice = law * y, law * y * (1 - y)
    P, A = once.sum(), twice.sum()
    g, v = A / P, float(twice @ (1 - 2*y)) / A
    Y, Z = (s + z) * v * g, (s + z) * float(twice @ (1 - 6 * y * (1-y))) / A
    a, D = np.arange(-60.0, 120.0, STEP)[:, None], np.arange(-80.0, 80.0, STEP)
    right = 1 / (1 + 2 * np.exp(-a) * np.cosh(D))
    y, slope = 1 - right, np.tanh(D)**2
    q = np.exp((alpha / s - 2) * a - a**2 / (2*s) - D**2 / (2*z)) * right**2
    f = float((q * right).sum() / q.sum())
    X = float((q * (2 * s * right * (2 - 3*y) + 2 * z * y * (3 * y * slope - 1))).sum() / q.sum())
    return float((2 - Y) * alpha * (2*f - g * v / beta) + X * (alpha * g * (1 - v / beta) - 1)
                 + g / beta * Z * (1 + alpha * (2*f - g)))


def check_ce_monotone_ends() -> Evidence:
    """w1 <= k/3 for those L, and r_CE against k from each of them on."""
    falls = []
    for k, L in ((0.3, 3.0), (1.0, 3.0), (5.0, 3.0), *((k, 6 * np.exp(-k * k / 2)) for k in (0.5, 1.5, 2.5, 3.5))):
        near, far = (solve_cross_entropy(Setting(mu, 1.0), CrossEntropy(), 0.0, float(L)) for mu in (k, 1.05 * k))
        falls += [1 - 3 * float(near.w1) / k, float((far.ratio - near.ratio) / (1 - near.ratio))]
    smallest = min(falls)
    return Evidence(smallest > 0, "L = 3, k in {.3,1,5}; L = 6 exp(-k^2/2), k in {.5,1.5,2.5,3.5}", smallest,
                    "smallest of 1 - 3 w1/k and the relative fall of 1 - r_CE from k to 1.05 k")


def check_ce_monotone_corner() -> Evidence:
    """N at k = 40 and 80, their difference extrapolated in 1/k^2, against its limit."""
    errors = []
    for beta in (0.5, 0.6, 0.7, 0.8):
        near, far = (corner_numerator(k, beta) for k in (40.0, 80.0))
        errors.append(abs((4 * far - near) / 3 / corner_limit(beta) - 1))
    error = max(errors)
    return Evidence(error < 1e-3, "beta in {.5,.6,.7,.8}, k in {40,80}", error,
                    "largest relative error of the limit (allowed: 1e-3)")


CHECKS = {"CE-monotone-ends": check_ce_monotone_ends, "CE-monotone-corner": check_ce_monotone_corner}
