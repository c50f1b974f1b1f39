"""D4, set against the risk of the mixture summed over a grid, and the flows against what the claims say of them."""

import math
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import brentq, root
from scipy.special import expit, ndtr

from synthmodel.claims.evidence import Evidence
from synthmodel.flows.finite_outliers import Outliers
from synthmodel.flows.rare_outliers import exclusive_optimum, forgetting_range, limit_flow

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


def outlier_slopes(w1: float, w2: float, p: float, size: float, z: np.ndarray) -> np.ndarray:
    """(-dR/dw1, -dR/dw2), K = 3, d = s_E = 1: e over an even grid, outliers over a grid dense where they are 0."""
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    h = 0.02 * np.sinh(np.linspace(-6.5, 6.5, 801))
    inner = np.abs(h) < 8
    chance = (np.exp(-h * h / 2) * np.gradient(h))[inner]
    c, chance = 1 + size * h[inner], chance / chance.sum()
    total = np.zeros(2)
    for c_j, c_l, share in ((np.ones(1), 1.0, np.array([(1 - p)**2])), (c, 1.0, 2 * p * (1 - p) * chance),
                            (np.repeat(c[::16], len(c[::16])), np.tile(c[::16], len(c[::16])),
                             p * p * np.outer(*[chance[::16] / chance[::16].sum()] * 2).ravel())):
        margins = w1 * (1 + z)[:, None] + w2 * np.stack(np.broadcast_arrays(c_j, c_l))[:, None, :]
        odds = np.exp(np.minimum(-margins, 600) - np.maximum(0, -margins.min(axis=0)))
        chances = odds / (np.exp(-np.maximum(0, -margins.min(axis=0))) + odds.sum(axis=0))
        total += [((1 + z) * weights) @ chances.sum(axis=0) @ share,
                  (weights @ chances[0] * c_j + weights @ chances[1] * c_l) @ share]
    return total


def rare_end() -> tuple[float, float]:
    """(y*/kappa, w1o) at K = 3, k = 1, gamma = .4 d: the limit of w2(oo)/p."""
    kappa, z = 0.2 * math.sqrt(2 * math.pi), np.linspace(-8, 8, 801)
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    w1, (low, _) = exclusive_optimum(1.0), forgetting_range(1.0)

    def psi(y: float) -> float:  # p_j = 1/(1 + (1 + odds)/(odds exp(-y Z))), odds = exp(-w1 e) of the other wrong class
        odds = -w1 * (1 + z)[:, None]
        return -2 * weights @ expit(odds - y * z - np.logaddexp(0, odds)) @ (weights * z)
    return brentq(lambda y: kappa * psi(y) - low, 0.1, 40) / kappa, w1


def check_d4_flows() -> Evidence:
    """The flows at t = 10 and the ends for ever rarer outliers, each from the mixture's own slopes."""
    goal, w1 = rare_end()
    z, gaps = np.linspace(-8, 8, 161), []
    for p in (0.02, 0.005):
        size = 0.2 * math.sqrt(2 * math.pi) / p
        found = root(lambda log_w, p=p, size=size: outlier_slopes(np.exp(log_w[0]), np.exp(log_w[1]), p, size, z),
                     np.log([w1, goal * p]))
        gaps.append(np.exp(found.x[1]) / p - goal)
    limit = limit_flow(1.0, 0.4, [0.0, 10.0])
    distance = []
    for p in (0.04, 0.01):
        path = Outliers(1.0, 1.0, 0.01, p, 0.2 * math.sqrt(2 * math.pi) / p).flow(np.array([0.0, 10.0]))
        distance.append(math.hypot(path.w1[-1] - limit.w1[-1], path.w2[-1] - limit.w2[-1]))
    holds = all(-0.3 < gap < 0 for gap in gaps) and abs(gaps[1]) < 0.3 * abs(gaps[0])
    return Evidence(bool(holds and distance[1] < 0.3 * distance[0]), "K = 3, k = 1, gamma = .4 d, p in {.02,.005}",
                    float(goal + gaps[1]), "w2(oo)/p at p = .005", f"it tends to {goal:.3f}; at t = 10 the flows are "
                    f"{distance[0]:.3f} and {distance[1]:.3f} from the limit's at p = .04 and .01")


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
    remedies: dict[str, dict[str, Any]] = {"plain": {}, "smoothing": {"b": 0.3}, "bounded": {"clip": 1.5}}
    finite = {key: outliers.flow(times, **remedy).accuracy for key, remedy in remedies.items()}
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


CHECKS = {"D4": check_d4, "D4-flows": check_d4_flows, "D4-unimodal": check_d4_unimodal,
          "D4-accuracy": check_d4_accuracy, "D4-remedies": check_d4_remedies, "D4-smoothing": check_d4_smoothing}
