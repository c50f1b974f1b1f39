"""Robust accuracy of a ratio r = w2/w1 in any `Setting`, and the best ratio (claims G-joint-K, T2-joint-K, T2-unequal).

The margins are m_j = e + r c_j in law, each lowered by the attack by the same eps |(kappa_E, kappa_C r)|_q. With
M = mean(r) + r sigma_c sqrt(own) min_j z_j: joint accuracy = E F(M/tau), F(u) = Pr(z > -u) and tau the deviation of
what all margins share.
"""

import math
from itertools import pairwise

import numpy as np
from scipy.special import expit, ndtr, owens_t

from synthmodel.accuracy import brentq, nonnegative, r_acc
from synthmodel.closed import extreme_mean, linear_parts
from synthmodel.losses import Margin
from synthmodel.setting import Setting, checked, number  # noqa: F401 - Setting is used by the doctests

__all__ = ["accuracy_of", "best_ratio", "best_smoothing"]

RADIUS = 9.0  # the normal law beyond it weighs 2e-19
LARGEST = 50.0  # ratio up to which a best one is sought
PANELS = 81


def _mean(setting, r, eps):
    """(mean margin lowered by the attack, its slope in r)."""
    _, _, size_e, size_c = linear_parts(setting, Margin())
    p = setting.norm
    if p == math.inf:
        loss, slope = eps * (size_e + size_c * r), eps * size_c
    else:
        q = math.inf if p == 1 else p / (p - 1)
        loss = eps * np.linalg.norm([size_e, size_c * r], q)
        if p == 1:
            slope = eps * size_c * (size_c * r > size_e)
        else:
            slope = eps * size_c * (size_c * r / np.linalg.norm([size_e, size_c * r], q))**(q - 1)
    return setting.mu_e + r * setting.sharing * setting.mu_c - loss, setting.sharing * setting.mu_c - slope


def _check_covered(setting):
    if setting.noise != "normal" and setting.design == "B" and setting.classes > 3:
        raise ValueError(f"noise {setting.noise} was given in design B with {setting.classes} classes, whose margins "
                         "have independent parts for normal noise only: choose normal noise or design A.")
    if setting.classes > 3 and setting.variances[0] < 0:
        raise ValueError(f"rho = {setting.rho} was given with {setting.classes} classes, but the accuracy takes a "
                         "negative correlation for three classes only: choose rho >= 0.")


def _least_rule(setting, n, r, mean, tau, spread):
    """Nodes and weights of z = the least of n draws, for functions of (mean + r spread z)/tau."""
    law = setting.law
    if law.name == "normal":
        step = min(0.1, 0.25 * tau / (r * spread)) if r else 0.1
        z = np.arange(-RADIUS, RADIUS + step, step)
        return z, step * n * law.sf(z)**(n - 1) * law.pdf(z)
    # A kink of the other law at its median or the ends of its support must not fall inside a panel.
    ends = [float(law.ppf(u)) for u in (1e-300, 0.5)] + [float(law.isf(1e-300))]
    kinks = [(-tau * end - mean) / (r * spread) for end in ends] if r else []
    levels = np.unique([0.0, 0.5, 1.0, *(float(law.cdf(z)) for z in kinks)])
    z, weights = [], []
    unit = _unit_rule()
    for low, high in pairwise(levels):
        below, above = low + (high - low) * unit[0], 1 - high + (high - low) * unit[1]
        z.append(np.where(below < 0.5, law.ppf(np.minimum(below, 0.5)), law.isf(np.minimum(above, 0.5))))
        weights.append((high - low) * unit[2] * n * np.minimum(above, 1)**(n - 1))
    z, weights = np.concatenate(z), np.concatenate(weights)
    keep = np.isfinite(z)
    return z[keep], weights[keep]


def _unit_rule():
    """(u, 1 - u, weights) of the double-exponential rule on (0, 1), each without cancellation."""
    t = np.linspace(-4, 4, PANELS)
    g = math.pi * np.sinh(t)
    return expit(g), expit(-g), 8 / (PANELS - 1) * math.pi * np.cosh(t) * expit(g) * expit(-g)


def _parts(setting, r, eps):
    common, own = setting.variances
    mean, slope = _mean(setting, r, eps)
    shared = setting.sigma_e**2 + common * (r * setting.sigma_c)**2
    return mean, slope, shared, setting.sigma_c * math.sqrt(own), common * setting.sigma_c**2


def _one(setting, r, eps):
    """(joint, pairwise) for numbers."""
    mean, _, shared, spread, _ = _parts(setting, r, eps)
    n = setting.active
    if setting.noise == "normal":
        deviation = math.sqrt(shared + (r * spread)**2)
        pairwise = ndtr(mean / deviation)
        if n == 2:
            correlation = shared / deviation**2
            return (pairwise - 2 * owens_t(mean / deviation, math.sqrt((1 - correlation) / (1 + correlation))),
                    pairwise)
        tau = math.sqrt(shared)
        z, weights = _least_rule(setting, n, r, mean, tau, spread)
        return weights @ ndtr((mean + r * spread * z) / tau), pairwise
    tau = math.sqrt(shared)
    values = []
    for count in (n, 1):
        z, weights = _least_rule(setting, count, r, mean, tau, spread)
        values.append(weights @ setting.law.sf(-(mean + r * spread * z) / tau))
    return tuple(values)


def accuracy_of(setting, ratio, eps):
    """(joint, pairwise): the robust accuracy of w2/w1 = ratio, against all wrong classes and against any one of them.

    joint = Pr(all m_j > 0), pairwise = Pr(m_j > 0), m_j = e + r c_j at the worst perturbation of size eps for the pair.
    setting: any with numbers, not arrays (other noise than normal: design A or three classes); ratio >= 0, eps >= 0,
    which broadcast. Raises ValueError otherwise.

    >>> [round(float(f), 6) for f in accuracy_of(Setting(1, 0.5, classes=10), 0.5, 0.2)]
    [0.84455, 0.946298]
    """
    _check_covered(setting)
    ratio, eps = np.broadcast_arrays(nonnegative(ratio), checked("eps", eps, least=0))
    both = np.array([_one(setting, float(r), float(e)) for r, e in zip(ratio.ravel(), eps.ravel(), strict=True)])
    return tuple(number(both[:, i].reshape(ratio.shape)) for i in (0, 1))


def _slope(setting, r, eps):
    """dP/dr = E[f(u) du/dr], u = (mean(r) + r spread z)/tau(r), f the density of e's noise (symmetric or not)."""
    mean, mean_slope, shared, spread, common = _parts(setting, r, eps)
    tau = math.sqrt(shared)
    tau_slope = common * r / tau
    z, weights = _least_rule(setting, setting.active, r, mean, tau, spread)
    top = mean + r * spread * z
    return float(weights @ (setting.law.pdf(-top / tau)
                            * ((mean_slope + spread * z) / tau - top * tau_slope / tau**2)))


def best_ratio(setting, eps):
    """The ratio r >= 0 of the highest joint robust accuracy: a root of dP/dr, or 0 (claims T2-joint', T2-joint-K).

    For three classes, equal means and noises it is r_acc(k); for K classes (design A, equal noise) it is 0 iff
    k <= e_{K-1}. Elsewhere every sign change of dP/dr on a grid of ratios up to 50 is refined and the best taken; NaN
    for none below 50. setting and eps: numbers. Raises ValueError where no accuracy beats chance (a mean <= 0).

    >>> round(best_ratio(Setting(1, 0.5, classes=10), 0.1), 6), best_ratio(Setting(1, 0.5, classes=10), 0.2)
    (0.196684, 0.0)
    """
    _check_covered(setting)
    eps = checked("eps", eps, least=0)
    if _mean(setting, 0.0, eps)[0] <= 0:
        raise ValueError(f"eps = {eps} was given, but from eps = {eps_limit(setting)} on no weight helps: choose a "
                         "smaller one.")
    equal = setting.mu_e == setting.mu_c and setting.sigma_e == setting.sigma_c
    if setting.plain and equal:
        return r_acc(setting.k(eps))
    grid = np.concatenate([[0.0], np.geomspace(1e-4, LARGEST, 121)])
    slopes = np.array([_slope(setting, r, eps) for r in grid])
    if slopes[-1] > 0:
        return math.nan
    peaks = [0.0] + [float(brentq(lambda r: _slope(setting, r, eps), grid[i], grid[i + 1], xtol=1e-14))
                     for i in np.flatnonzero((slopes[:-1] > 0) & (slopes[1:] <= 0))]
    return max(peaks, key=lambda r: _one(setting, r, eps)[0])


def eps_limit(setting):
    """mu_e/kappa_E: the attack size at which the exclusive feature alone is no better than chance."""
    return setting.mu_e / linear_parts(setting, Margin())[2]


def best_smoothing(setting, eps):
    """b* with which the smoothed margin's ratio is the best one (N3, T2-joint-K); None where the best ratio is 0.

    b* = 1 - (d_C - r d_E)/(sigma_c g), g = `extreme_mean`, d the robust means. Below 0, where the margin loss already
    uses too much (possible at unequal noise, claim N2-unequal), smoothing cannot help. Norm inf only.

    >>> round(best_smoothing(Setting(1, 0.5), 0.2), 6)
    0.487518
    """
    if setting.norm != math.inf:
        raise ValueError(f"norm = {setting.norm} was given, but b* is known for norm inf only: choose it.")
    r = best_ratio(setting, eps)
    if not r > 0:
        return None
    d_e, d_c = setting.mu_e - 2 * eps, setting.sharing * (setting.mu_c - 2 * eps)
    return float(1 - (d_c - r * d_e) / (setting.sigma_c * extreme_mean(setting)))
