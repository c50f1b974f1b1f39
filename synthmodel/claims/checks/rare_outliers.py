"""D4, set against the risk of the mixture summed over a grid, and the flows against what the claims say of them."""

import math
from itertools import product

import numpy as np
from scipy.special import ndtr

from synthmodel.claims.evidence import Evidence
from synthmodel.flows.finite_outliers import Outliers
from synthmodel.flows.rare_outliers import forgetting_range, limit_flow

__all__ = ["CHECKS", "outlier_risk"]

TIMES = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 400)])


def outlier_risk(w1: float, w2: float, d: float, s_e: float, p: float, size: float) -> float:
    """Compute E log(1 + exp(-m_j) + exp(-m_l)), c = d but for outliers, by sums over fine grids of each variable."""
    z = np.linspace(-8, 8, 321)
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    c = np.concatenate([[d], d + size * z])
    chance = np.concatenate([[1 - p], p * weights])
    e = d + s_e * z[::8]
    e_weights = weights[::8] / weights[::8].sum()
    wrong = np.logaddexp(-w2 * c[:, None], -w2 * c)
    return float(sum(q * (chance @ np.logaddexp(0, wrong - w1 * one) @ chance)
                     for q, one in zip(e_weights, e, strict=True)))


def check_d4() -> Evidence:
    d, s_e, kappa, w1, w2 = 0.5, 0.5, 0.4, 1.5, 0.8
    gamma = 2 * kappa / math.sqrt(2 * math.pi)
    errors = [abs(outlier_risk(w1, w2, d, s_e, p, kappa / p) - outlier_risk(w1, w2, d, s_e, 0.0, 1.0) - gamma * w2)
              for p in (0.02, 0.004)]  # the lemma: it vanishes like p
    holds, margins = errors[1] < min(0.35 * errors[0], 0.01), []
    for k, classes in product((0.3, 1.0, 2.0), (3, 10)):
        low, high = forgetting_range(k, classes)
        for share in (0.02, 0.3, 0.8):
            pull = low + share * (high - low)
            path = limit_flow(k, pull, TIMES, classes)
            holds &= path.w2.max() > 0 and path.w2[-1] == 0 and abs(path.accuracy[-1] - ndtr(k)) < 1e-12
            margins.append(path.accuracy.max() - ndtr(k * (2 - pull / high)))
        margins.append(limit_flow(k, 0.97 * low, TIMES, classes).w2[-1])
        holds &= bool(limit_flow(k, high, TIMES, classes).w2.max() == 0)
    low, _ = forgetting_range(1.0)
    points = limit_flow(1.0, low * 1.0001, TIMES).drop
    finite = Outliers(0.4, 0.5, 0.1, 0.1, 3.0).flow(np.array([0.0, 30.0, 1000.0])).accuracy
    holds &= points > 0.1 and abs(finite[0] - 0.860) < 5e-4 and abs(finite[-1] - 0.795) < 5e-4
    holds &= min(margins) > -1e-12
    return Evidence(bool(holds), "k in {.3,1,2}, K in {3,10}, each regime; t to 1e4", float(points),
                    "loss of accuracy at k = 1, K = 3, gamma = 1.0001 d pibar_1")


def check_d4_unimodal() -> Evidence:
    """In (b) derived (symbolic.unimodal); in (c) w2 rises, or rises and then falls towards its limit: only tried."""
    times, rises, turns = np.concatenate([[0.0], np.geomspace(1e-2, 300, 200)]), [], True
    for k, classes in product((0.2, 0.5, 0.8, 1.0, 1.5, 2.5), (3, 10)):
        low, high = forgetting_range(k, classes)
        for pull in (0.05 * low, 0.5 * low, 0.9 * low, low, 0.9 * low + 0.1 * high, 0.4 * low + 0.6 * high):
            path = limit_flow(k, pull, times, classes)
            alive = np.count_nonzero(path.w2) + 1
            change = np.diff(path.w2[:alive])
            signs = np.sign(change[np.abs(change) > 1e-9])  # the flow's own error
            turns &= signs[0] > 0 and (np.diff(signs) != 0).sum() <= 1
            if pull >= low:
                rises.append(np.diff(path.w1[:alive]).min())
    return Evidence(bool(turns and min(rises) > 0), "k in {.2,...,2.5}, K in {3,10}, gamma/d pibar_1 from .05 up",
                    float(min(rises)), "smallest rise of w1 over a step in time")


def check_d4_accuracy() -> Evidence:
    """Refuted: in regime (b) the accuracy is unimodal in time. It may fall, rise and fall again."""
    path = limit_flow(1.0, 0.9 * (1 - 0.598), np.concatenate([[0.0], np.linspace(0.01, 10, 400)]), 10)
    least = int(np.flatnonzero(np.diff(path.accuracy) > 0)[0])
    later = path.accuracy[least:].max()
    low, _ = forgetting_range(1.0, 10)
    example = (f"K = 10, k = 1, gamma = .3618 d: accuracy {path.accuracy[0]:.5f} at 0+, {path.accuracy[least]:.5f} at "
               f"t = {path.t[least]:.2f}, {later:.5f} later, {ndtr(1.0):.5f} in the end")
    fall, rise = path.accuracy[0] - path.accuracy[least], later - path.accuracy[least]
    return Evidence(bool(low < 0.9 * 0.402 and fall > 1e-5 and rise > 1e-5), "one case, flow to ten digits",
                    float(min(fall, rise)), "smaller of the first fall and the rise", example)


def check_d4_remedies() -> Evidence:
    k, gains = 1.0, []
    low, _ = forgetting_range(k)
    pull = 1.02 * low
    plain = limit_flow(k, pull, TIMES)
    for b in (0.02, 0.1, 0.3):  # label smoothing: forgotten as before, or never learned
        gains.append(1 - limit_flow(k, pull, TIMES, b=b).w2[-1])
        gains.append(low - forgetting_range(k, b=b)[0])
    early = int(plain.w2.argmax())
    for b in (0.3, 0.6):
        taught = limit_flow(k, pull, TIMES, b=b, teacher=(plain.w1[early], plain.w2[early]))
        gains.append(taught.accuracy[-1] - plain.accuracy[-1])
    bounded = limit_flow(k, pull, TIMES, clip=1.5)
    gains.append(bounded.accuracy[-1] - plain.accuracy.max())
    gains.append(np.diff(bounded.w2).min())
    outliers, times = Outliers(0.4, 0.5, 0.1, 0.1, 3.0), np.array([0.0, 1.0, 10.0, 300.0])
    finite = {key: outliers.flow(times, **remedy).accuracy for key, remedy in
              {"plain": {}, "smoothing": {"b": 0.3}, "bounded": {"clip": 1.5}}.items()}
    gains += [finite["bounded"][-1] - finite["plain"].max(), finite["plain"][-1] - finite["smoothing"][-1]]
    return Evidence(bool(min(gains) > 0), "K = 3, k = 1, gamma = 1.02 d pibar_1; finite outliers of size 3",
                    float(min(gains)), "smallest gain or loss that was claimed")


def check_d4_smoothing() -> Evidence:
    """Refuted: label smoothing never helps in D4. The bulk is fitted less, so that its signal lasts."""
    k, b = 2.0, 0.2
    pull = 1.02 * forgetting_range(k)[0]
    plain, smoothed = limit_flow(k, pull, TIMES), limit_flow(k, pull, TIMES, b=b)
    example = (f"K = 3, k = 2, gamma = {pull:.4f} d: final accuracy {plain.accuracy[-1]:.4f} and w2 = 0 without, "
               f"{smoothed.accuracy[-1]:.4f} and w2/w1 = {smoothed.ratio[-1]:.3f} with b = .2")
    return Evidence(bool(plain.w2[-1] == 0 and smoothed.w2[-1] > 0), "one case",
                    float(smoothed.accuracy[-1] - plain.accuracy[-1]), "gain of final accuracy", example)


CHECKS = {"D4": check_d4, "D4-unimodal": check_d4_unimodal, "D4-accuracy": check_d4_accuracy,
          "D4-remedies": check_d4_remedies, "D4-smoothing": check_d4_smoothing}
