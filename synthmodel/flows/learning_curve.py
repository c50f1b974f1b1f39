"""Does the margin loss use w2 after N examples? Exactly, for the two-weight empirical risk (claim N1-sample)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtr

from synthmodel.accuracy.three_classes import K0, any_k, imr
from synthmodel.model.roots import brentq
from synthmodel.model.setting import number, whole

if TYPE_CHECKING:
    from synthmodel.model.types import Value

__all__ = ["chance_used", "chance_used_normal"]

LARGEST_SAMPLE = 10**9
STEP, REACH = 0.1, 14.0  # of the trapezoidal rule, in units of 1/sqrt(N): what it leaves out is below 1e-20


def _size(examples: int) -> int:
    return whole("N", examples, 1, LARGEST_SAMPLE)


def _saddle(k: float) -> float:
    """The s at which the tilted mean of min(Z, Z') is -k: 0 at k0, negative above it."""
    def excess(s: float) -> float:
        return s - float(imr(-s / math.sqrt(2))) / math.sqrt(2) + k
    return brentq(excess, -2 * abs(k) - 2, 2 * abs(k) + 2, xtol=1e-12)


def chance_used(k: Value, examples: int) -> Value:
    """Pr(w2 > 0) of the two-weight margin ERM on N examples, k = (mu - 2 eps)/sigma. Broadcasts over k.

    w2 = max(mean of min(C_2, C_3) - 2 eps, 0)/lam over the sample. E exp(s min(Z, Z')) = 2 exp(s^2/2) Phi(-s/sqrt(2))
    is entire, so that the chance is an integral of its N-th power along a line through the saddle point, which the
    trapezoidal rule gives to rounding. Three classes, equal normal noise.

    >>> round(chance_used(1.0, 1) - float(ndtr(1.0))**2, 12)  # one example: both are positive
    0.0
    >>> round(chance_used(1.0, 20), 6)
    0.990292
    """
    size, signal = _size(examples), np.asarray(any_k(k))
    t = np.arange(0.0, REACH + STEP, STEP) / math.sqrt(size)
    chances = []
    for one in signal.ravel().tolist():
        c = _saddle(one)
        c = math.copysign(max(abs(c), 1 / math.sqrt(size)), K0 - one)
        s = c + 1j * t
        values = (np.exp(size * (math.log(2) + s * s / 2 + log_ndtr(-s / math.sqrt(2)) + s * one)) / s).real
        tail = (values[0] / 2 + values[1:].sum()) * STEP / math.sqrt(size) / math.pi  # minus the chance of <= if c < 0
        chances.append(min(max(tail if c > 0 else 1 + tail, 0.0), 1.0))
    return number(np.reshape(chances, signal.shape))


def chance_used_normal(k: Value, examples: int) -> Value:
    """Its normal approximation Phi(sqrt(N) (k - k0)/sqrt(1 - 1/pi)), k - k0 = 2 (eps0 - eps)/sigma. Broadcasts over k.

    >>> round(chance_used_normal(1.0, 20), 6)
    0.990877
    """
    return number(ndtr(math.sqrt(_size(examples)) * (np.asarray(any_k(k)) - K0) / math.sqrt(1 - 1 / math.pi)))
