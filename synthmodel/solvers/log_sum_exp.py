"""The log-sum-exp over the wrong classes, at temperature tau: from a smooth threshold to the sharp one (T1-temp).

The loss -f_i + tau log sum_{j != i} exp(f_j/tau) under the attack is -w1 e + tau log sum_j exp(-w2 c_j/tau): it
decouples. w1 = d_E/lam is that of the margin loss, and w2 >= 0 solves d_C - (1-b) s psi(s w2/tau) = lam w2 with
psi(y) = -E sum_j q_j z_j, q the softmax of -y z over the n wrong classes, which rises from 0 to -E min z_j.
"""

from __future__ import annotations

from functools import cache
from math import inf, pi, sqrt
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from scipy.special import expit

from synthmodel.model.losses import WrongClassLSE
from synthmodel.model.noise import Law
from synthmodel.model.quadrature import legendre
from synthmodel.model.roots import brentq
from synthmodel.model.setting import Setting, checked, checked_setting, number
from synthmodel.model.solution import NotConverged, Solution
from synthmodel.solvers.line_integrals import EXPONENT, kernels, log_sum_derivatives

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.model.types import Real

    Array: TypeAlias = Float[np.ndarray, "..."]

__all__ = ["psi", "psi_pair", "solve_lse"]

NEAR = 1e-3  # below, two Gauss-Legendre nodes integrate psi' to 1e-16 relative
SMALL = 1.0  # below, psi_pair integrates over z; above, over the boundary layer of width 1/x
RUN = 20_000  # values of psi at a time
STEPS = 80  # of Newton's method within a bracket; it takes about 6
ACCURACY = 1e-10  # in units of mu: a larger residual raises
LOOSE = 1e-6  # quadrature error, in units of mu, from which on noise raises; it is reported
WEIGHT_ACCURACY = 1e-5  # the same of both in units of d_C, which may be tiny

NODES, WEIGHTS = legendre(100)
HALF, HALF_WEIGHTS = 4.5 * (NODES + 1), 4.5 * WEIGHTS  # on [0, 9]
LAYER, LAYER_WEIGHTS = 20 * (NODES + 1), 20 * WEIGHTS  # on [0, 40]


def psi_pair(x: Real) -> tuple[Array, Array]:
    """(psi, psi') for two wrong classes and normal noise: psi(x) = E[(|Z|/sqrt(2)) tanh(x |Z|/sqrt(2))] (T1-temp).

    psi rises from 0 to 1/sqrt(pi) with psi'(0) = 1/2. Broadcasts over x >= 0.

    >>> [round(float(f), 12) for f in psi_pair(0.0)]
    [0.0, 0.5]
    """
    x = np.asarray(x, dtype=float)
    if x.size > RUN:  # each takes a hundred nodes
        pieces = [_psi_pair(x.ravel()[start:start + RUN]) for start in range(0, x.size, RUN)]
        value, slope = (np.concatenate(part).reshape(x.shape) for part in zip(*pieces, strict=True))
        return value, slope
    return _psi_pair(x)


def _psi_pair(x: Array) -> tuple[Array, Array]:
    x = x[..., None]
    z, near = HALF / sqrt(2), np.minimum(x, SMALL)
    density = HALF_WEIGHTS * 2 / sqrt(2 * pi) * np.exp(-HALF**2 / 2)
    tanh = np.tanh(near * z)
    value, slope = (z * tanh) @ density, (z * z * (1 - tanh**2)) @ density
    # 1/sqrt(pi) - psi = E[sqrt(2)|Z|/(1 + exp(sqrt(2) x |Z|))], in y = sqrt(2) x |Z|
    far = np.maximum(x, SMALL)
    layer = LAYER * expit(-LAYER) * np.exp(-(LAYER / far)**2 / 4) * LAYER_WEIGHTS / sqrt(pi)
    missing, third = layer.sum(axis=-1), (layer * LAYER**2).sum(axis=-1)
    x, far = x[..., 0], far[..., 0]
    return (np.where(x < SMALL, value, 1 / sqrt(pi) - missing / far**2),
            np.where(x < SMALL, slope, 2 * missing / far**3 - third / (2 * far**5)))


def psi(y: float, n: int, law: Law, exponent: float = EXPONENT) -> float:
    """psi(y) = -E sum_j q_j z_j for n draws of a standardised law, q the softmax of -y z; y >= 0, a number.

    By `gumbel.log_sum_derivatives`; near 0 as the integral of psi', which keeps its digits. For normal noise
    and y > 1, exp(-e^{s - y z}) is taken as the probability that a
    Gumbel variable G is at most y z - s, so that L(s) = E sf((G + s)/y): smooth however large y is.

    >>> from synthmodel.model.noise import law
    >>> abs(psi(3.0, 2, law("normal")) - psi_pair(3.0)[0]) < 1e-12
    np.True_
    """
    if y < NEAR:
        return y / 2 * sum(log_sum_derivatives(y * (1 + side / sqrt(3)) / 2, n, law, exponent)[2] for side in (-1, 1))
    if y <= 1 or law.name != "normal":
        return log_sum_derivatives(y, n, law, exponent)[1]
    step = pi * pi / exponent
    g = np.arange(-4.5, exponent + 2, step)
    weights = step * kernels(-g)[1]
    low, high = (float(law.ppf(1e-20)) - exponent / y, float(law.isf(1e-20)) + 5 / y)
    sigma = np.arange(low, high, 8 / exponent)  # s/y; the finer rule has the finer step
    u = sigma[:, None] + g / y
    mass, first = law.sf(u) @ weights, (law.pdf(u) * u) @ weights
    return -8 / exponent * float(np.sum(n * mass**(n - 1) * first))


@cache
def _reflected(law: Law) -> Law:
    """The law of -z."""
    return Law(f"-{law.name}", lambda z: law.pdf(-np.asarray(z)), lambda z: law.sf(-np.asarray(z)),
               lambda z: law.cdf(-np.asarray(z)), lambda u: -law.isf(u), lambda u: -law.ppf(u))


def _root_pair(pull: Array, price: Array, decay: Array) -> tuple[Array, int]:
    """y >= 0 with pull - price psi_pair(y) = decay y, for arrays, by Newton's method within a bracket."""
    low, high = np.zeros_like(pull), np.maximum(pull, 0) / decay
    y = high / 2
    for count in range(1, STEPS + 1):
        value, slope = psi_pair(y)
        gap = pull - price * value - decay * y
        low, high = np.where(gap > 0, y, low), np.where(gap > 0, high, y)
        newton = y + gap / (price * slope + decay)
        moved = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if np.all(np.abs(moved - y) <= 4e-15 * np.maximum(moved, 1e-300)):
            return moved, count
        y = moved
    return y, STEPS


def _root(pull: float, price: float, decay: float, n: int, law: Law) -> tuple[float, int]:
    """y > 0 with pull - price psi(y, n, law) = decay y, for pull > 0, and the evaluations of psi it took.

    The bracket grows from a small y: psi at the end pull/decay, where the price is not paid, may need too many nodes.
    """
    def gap(y: float) -> float:
        return pull - price * psi(y, n, law) - decay * y

    low, high = 0.0, min(1.0, pull / decay)
    while high < pull / decay and gap(high) > 0:
        low, high = high, min(4 * high, pull / decay)
    root, found = brentq(gap, low, high * (1 + 1e-12), xtol=1e-300, rtol=1e-15, full_output=True)
    return root, found.function_calls


def solve_lse(setting: Setting, loss: WrongClassLSE, eps: Real, lam: Real, lam_c: Real | None = None) -> Solution:
    """Minimise E max_delta loss + (lam w1^2 + lam_c w2^2)/2 for WrongClassLSE(tau, b) (T1-temp, D1); lam_c: else lam.

    |w_tau - w_0| <= sqrt(2 tau log(K-1)/lam), w_0 the margin loss's (b = 0). Any setting with norm inf; arrays
    broadcast. Returns a Solution; its residual is that of the equation for w2, in units of mu_e, its error that of
    psi under a finer rule. Raises ValueError for another loss or norm, NotConverged for a residual above 1e-10 mu, an
    error above 1e-6 mu, or noise of heavy tails with a weight that is large compared with tau.

    >>> solution = solve_lse(Setting(1, 0.5), WrongClassLSE(0.01), eps=0.4, lam=1.0)  # beyond eps0
    >>> round(solution.w1, 9), round(solution.w2, 4)
    (0.2, 0.0197)
    """
    if not isinstance(loss, WrongClassLSE):
        raise ValueError(f"the loss {loss!r} was given, but this solver takes WrongClassLSE(tau) only: use another.")
    if checked_setting(setting).norm != inf:
        raise ValueError(f"norm = {setting.norm} was given, but one perturbation is the worst for the log-sum-exp loss "
                         "for norm inf only: choose norm inf, or a margin loss.")
    eps, lam = checked("eps", eps, least=0), checked("lam", lam, above=0)
    own = np.sqrt(1 - np.asarray(setting.rho)) * setting.sigma_c
    d_e, d_c = setting.mu_e - 2 * np.asarray(eps), setting.sharing * (setting.mu_c - 2 * np.asarray(eps))
    lam_c = lam if lam_c is None else checked("lam_c", lam_c, above=0)
    d_e, d_c, own, tau, b, lam, lam_c, mu = np.broadcast_arrays(d_e, d_c, own, loss.tau, loss.b, lam, lam_c,
                                                                setting.mu_e)
    price, decay = (1 - b) * own, lam_c * tau / own  # in y = own w2/tau
    symmetric = setting.design == "A" or setting.noise == "normal"
    n, law = setting.active, setting.law if symmetric else _reflected(setting.law)
    if n == 2 and law.name == "normal":
        y, count = _root_pair(d_c, price, decay)
        slopes = psi_pair(y)[0]
        error = np.zeros_like(y)
    else:
        y, count = np.zeros(d_c.shape), 0
        for index in np.ndindex(d_c.shape):
            if d_c[index] > 0:
                y[index], steps = _root(cast("float", d_c[index]), price[index], decay[index], n, law)
                count = max(count, steps)
        slopes = np.vectorize(lambda at: psi(at, n, law))(y)
        error = price * np.abs(np.vectorize(lambda at: psi(at, n, law, 1.5 * EXPONENT))(y) - slopes) / mu
    w1, w2 = np.maximum(d_e, 0) / lam, np.where(d_c > 0, tau * y / own, 0.0)
    residual = np.where(d_c > 0, np.abs(d_c - price * slopes - lam_c * w2), 0.0) / mu
    bad = ~((residual <= ACCURACY) & (error <= LOOSE) & (np.maximum(residual, error) * mu <= WEIGHT_ACCURACY * d_c)
            | (d_c <= 0))
    if bad.any():
        i = np.unravel_index(np.argmax(bad), bad.shape)
        raise NotConverged(
            f"a residual of {residual[i]:.1e} mu and a quadrature error of {error[i]:.1e} mu are left at d = "
            f"{d_c[i]:.3g}, tau = {tau[i]:.3g}, lam = {lam_c[i]:.3g} and {setting.law.name} noise, but at most "
            f"{ACCURACY:.0e}, {LOOSE:.0e} and {WEIGHT_ACCURACY:.0e} of d are accepted: choose a larger tau or lam.")
    risk = _risk(law, n, w1, w2, tau, b, lam, lam_c, d_e, d_c, own)
    return Solution(number(w1), number(w2), number(risk), number(residual),
                    method="numeric", iterations=count, error=number(error))


def _risk(law: Law, n: int, w1: Array, w2: Array, tau: Array, b: Array, lam: Array, lam_c: Array, d_e: Array,
          d_c: Array, own: Array) -> Array:
    """-w1 d_E - w2 d_C + (1-b) tau E log sum_j exp(-y z_j) + (lam w1^2 + lam_c w2^2)/2, y = own w2/tau.

    For normal noise the mean is log n + int_0^y psi: by Gauss-Legendre on [0, 1]; beyond, psi = psi(inf) - (what is
    missing), which falls like 1/y^2 and is integrated in 1/y.
    """
    y = own * w2 / tau
    if law.name != "normal":
        mean = np.vectorize(lambda at: log_sum_derivatives(at, n, law)[0])(y)
    else:
        value = (lambda at: psi_pair(at)[0]) if n == 2 else np.vectorize(lambda at: psi(at, n, law))
        nodes, weights = legendre(30)
        inner, beyond = np.minimum(y, 1.0), np.maximum(y, 1.0)
        mean = np.log(n) + inner / 2 * (value(inner[..., None] * (nodes + 1) / 2) @ weights)
        if np.any(y > 1):
            end = law.mean_least(n)
            u = 1 / beyond[..., None] + (1 - 1 / beyond[..., None]) * (nodes + 1) / 2
            mean = mean + end * (beyond - 1) - (1 - 1 / beyond) / 2 * (((end - value(1 / u)) / u**2) @ weights)
    return -w1 * d_e - w2 * d_c + (1 - b) * tau * mean + lam / 2 * (w1**2 + lam_c / lam * w2**2)
