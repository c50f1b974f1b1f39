"""The flows of D1, D1-any and D2, set against a flow that knows no formula: the raw loss on the raw scores.

`raw_flow` has the six attacked features of every sample at all 64 vertices of the box, takes the worst vertex of each
sample for the loss as it stands, and follows the gradient by Runge-Kutta. Its expectation is a product quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax

from synthmodel.accuracy.three_classes import b_star, r_acc
from synthmodel.claims.checks import rare_outliers
from synthmodel.claims.evidence import Evidence
from synthmodel.flows.any_noise import Features
from synthmodel.flows.gradient_flow import cross_entropy_flow, effective_smoothing, margin_flow
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.quadrature import normal_rule
from synthmodel.model.sampling import attacked_scores, scores
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import solve_cross_entropy
from synthmodel.solvers.margin_closed import ratio_closed

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.model.solution import Solution

    Loss = Callable[[Float[np.ndarray, "... 3"]], tuple[Float[np.ndarray, "..."], Float[np.ndarray, "... 3"]]]

__all__ = ["CHECKS", "cross_entropy", "product_samples", "raw_flow", "smoothed_log_sum_exp"]

FLOW = 1e-6  # weights of two integrators; Runge-Kutta's own error with the steps below is about 1e-7
TIMES = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 400)])


def product_samples(mu: float, sigma: float, *nodes: int) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n"]]:
    """Return samples (n, 6) of class 1 and weights: a Gauss-Hermite product over the active features E_1, C_2, C_3."""
    rules = [normal_rule(count) for count in nodes]
    x = np.zeros((math.prod(nodes), 6))
    x[:, [0, 4, 5]] = mu + sigma * np.stack(np.meshgrid(*(z for z, _ in rules), indexing="ij"), -1).reshape(-1, 3)
    return x, np.einsum("i,j,k->ijk", *(weights for _, weights in rules)).ravel()


def smoothed_log_sum_exp(b: float, tau: float = 1.0, teacher: float | Float[np.ndarray, "n 2"] = 0.5) -> Loss:
    """Return the loss of D1, with its gradient; teacher: labels (n, 2) of the wrong classes, or 1/2."""
    def loss(f: Float[np.ndarray, "... 3"]) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "... 3"]]:
        wrong = f[..., 1:]
        value = (1 - b) * tau * np.logaddexp(wrong[..., 0] / tau, wrong[..., 1] / tau) - f[..., 0]
        share = expit((wrong[..., 0] - wrong[..., 1]) / tau)
        slope = (1 - b) * np.stack([share, 1 - share], -1) + b * teacher
        return (value + b * (teacher * wrong).sum(-1),
                np.concatenate([np.full((*share.shape, 1), -1.0), slope], axis=-1))
    return loss


def cross_entropy(f: Float[np.ndarray, "... 3"]) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "... 3"]]:
    """Return softmax cross-entropy with class 0, and its gradient in the scores f."""
    logit = np.logaddexp(f[..., 1], f[..., 2]) - f[..., 0]
    wrong, share = expit(logit), expit(f[..., 1] - f[..., 2])
    return np.logaddexp(0, logit), np.stack([-wrong, wrong * share, wrong * (1 - share)], -1)


def raw_flow(x: Float[np.ndarray, "n 6"], weights: Float[np.ndarray, "n"], eps: float, loss: Loss, end: float,
             steps: int) -> Float[np.ndarray, "times 2"]:
    """Follow w' = -gradient E max_delta loss from w = 0: the weights (steps + 1, 2) at equal steps up to `end`."""
    parts = np.stack([attacked_scores(x, *unit, eps) for unit in ((1, 0), (0, 1))], -1)  # (64, n, 3, 2), f = parts @ w

    def velocity(w: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        value, _ = loss(parts @ np.maximum(w, 1e-9))  # at w = 0 the attack of small weights
        worst = parts[value.argmax(0), np.arange(len(x))]
        _, slope = loss(worst @ w)
        return -np.einsum("n,nj,njw->w", weights, slope, worst)

    path, h = [np.zeros(2)], end / steps
    for _ in range(steps):
        w = path[-1]
        k1 = velocity(w)
        k2 = velocity(w + h / 2 * k1)
        k3 = velocity(w + h / 2 * k2)
        path.append(w + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(w + h * k3)))
    return np.array(path)


def d1_error() -> float:
    """Return the largest error of the weights against the raw flow, in tau/sigma: hard, soft, a teacher's labels."""
    mu, sigma, eps, tau = 1.0, 0.5, 0.25, 0.5
    x, weights = product_samples(mu, sigma, 2, 20, 20)  # the loss is linear in E_1
    unit, strength, errors = sigma / tau, 1.0, []
    view = softmax(scores(x, 3.0, strength / sigma)[:, 1:], axis=1)  # of a teacher with sigma T2/tau_T = strength
    for b, teacher, labels in ((0.0, 0.0, 0.5), (0.4, 0.0, 0.5), (0.4, strength, view)):
        raw = raw_flow(x, weights, eps, smoothed_log_sum_exp(b, tau, labels), 2.0, 8)
        path = margin_flow((mu - 2 * eps) / sigma, np.linspace(0, 2, 9) * sigma**2 / tau, b, teacher)
        errors.append(np.abs(raw * unit - np.stack([path.w1, path.w2], 1)).max())
    return float(np.max(errors))


def check_d1() -> Evidence:
    falls, ends, shapes = [], [], True
    for k in (0.3, 0.8, 1.0, 1.5, 2.0):
        star = b_star(k) if k > 1 / math.sqrt(math.pi) else 0.0
        for b in (0.0, star / 2, star, (1 + star) / 2):
            path = margin_flow(k, TIMES, b)
            falls.append(-np.diff(path.ratio).max() / (1 - path.ratio[-1]))
            ends.append(path.ratio[-1] - ratio_closed(k, b))
            change = np.diff(path.accuracy)
            before, after = path.ratio[1:] >= r_acc(k), path.ratio[:-1] <= r_acc(k)
            shapes &= bool((change[before] > 0).all() and (change[after] < 0).all() and after.any() == (b < star))
        ends.append(abs(effective_smoothing(0.4, 0.0) - 0.4))
    error = d1_error()
    teacher = [effective_smoothing(0.4, strength) for strength in (0.0, 0.5, 2.0, 8.0, np.inf)]
    shapes &= bool((np.diff(teacher) < 0).all() and abs(teacher[-1]) < 1e-12)
    return Evidence(bool(shapes and min(falls) > 0 and max(map(abs, ends)) < 2e-3 and error < FLOW),
                    "k in {.3,...,2}, b in {0, b*/2, b*, (1+b*)/2}, t to 1e4; raw flow at k = 1", error,
                    f"largest error of a weight (allowed: {FLOW:.0e})")


def check_d1_any() -> Evidence:
    """psi against a sum over all pairs of quantiles, which is exact for two wrong classes up to quadrature."""
    from synthmodel.model.noise import law, quantile_rule
    errors, falls = [], []
    for noise, classes in (("normal", 3), ("laplace", 3), ("normal", 6), ("laplace", 6)):
        features = Features(d_e=0.8, d_c=1.0, s_e=0.7, s_c=1.2, noise_e="logistic", noise_c=noise, classes=classes)
        if classes == 3:
            z, weights, *_ = quantile_rule(law(noise))
            c = features.d_c + features.s_c * np.stack(np.meshgrid(z, z), -1)
            for y in (0.3, 2.0):
                mean = weights @ (softmax(-y * c, axis=-1) * c).sum(-1) @ weights
                errors.append(features.d_c - mean - features.psi(y))
        falls += [np.diff([features.psi(y) for y in (0.0, 0.1, 0.5, 1.0, 3.0, 20.0, np.inf)]).min()]
        for b in (0.0, 0.4):
            path, end = features.flow(TIMES, b), features.end_ratio(b)
            falls.append(-np.diff(path.ratio).max() / (path.ratio[0] - end))
            best = features.accuracy(np.linspace(end, path.ratio[0], 2001)).max()
            errors += [0.1 * (path.ratio[-1] - end), path.drop - (best - path.accuracy[-1])]
    worst = float(np.max(np.abs(errors)))
    return Evidence(bool(min(falls) > 0 and worst < 1e-4), "normal and Laplace c, logistic e, K in {3, 6}, b in {0,.4}",
                    worst, "largest error of psi, the drop and a tenth of the end (allowed: 1e-04)")


def check_d2() -> Evidence:
    x, weights = product_samples(1.0, 0.5, 10, 10, 10)
    raw = raw_flow(x, weights, 0.25, cross_entropy, 8.0, 10) / 2  # sigma = 1/2, k = 1
    path = cross_entropy_flow(1.0, np.linspace(0, 2, 11))
    errors = [np.abs(raw - np.stack([path.w1, path.w2], 1)).max()]
    inside = []
    for k in (0.1, 0.5, 1.0, 2.0, 3.0):
        path = cross_entropy_flow(k, np.concatenate([[0.0, 1e-4], TIMES[1:]]))
        errors.append(1e-2 * abs((path.ratio[1] - 1) / 1e-4 + 1 / 9))
        inside += [path.ratio[1:].min(), (1 - path.ratio[1:]).min()]
    worst = float(np.max(errors))
    return Evidence(bool(worst < 1e-5 and min(inside) > 0), "k in {.1,...,3}, t to 1e4/s^2; raw flow at k = 1", worst,
                    "largest error of a weight, or 1 % of that of r'(0) (allowed: 1e-05)")


def optimum(k: float) -> Solution:
    """Return the minimiser of cross-entropy without weight decay, in units of the noise, by Newton's method."""
    return solve_cross_entropy(Setting(k, 1.0), CrossEntropy(), 0.0, 1e-10)


def check_d2_monotone() -> Evidence:
    """Refuted: the ratio decreases to its limit."""
    k, limit = 2.5, optimum(2.5).ratio
    x, weights = product_samples(k, 1.0, 10, 10, 10)
    raw = raw_flow(x, weights, 0.0, cross_entropy, 1.25, 24)[-1]
    ratio = raw[1] / raw[0]
    path = cross_entropy_flow(k, TIMES)
    example = (f"k = 2.5: w2/w1 = {ratio:.3f} ({ratio:.6f}) at t = 1.25/sigma^2, its limit is {limit:.6f}; the "
               f"accuracy falls by {path.drop:.1e} after its best")
    return Evidence(bool(ratio < limit and abs(path.ratio.min() - ratio) < 1e-5), "raw flow and Newton's minimiser",
                    float(limit - ratio), "rise of the ratio after its least value", example)


def check_d2_overshoot() -> Evidence:
    """Refuted: w2 overshoots. Up to its limit, found by Newton's method, it only rises at equal noise."""
    rises, gaps = [], []
    for k in (0.1, 0.3, 0.6, 1.0, 1.5, 2.0):
        path = cross_entropy_flow(k, np.concatenate([[0.0], np.geomspace(1e-2, 60 * math.exp(k * k), 300)]))
        goal = optimum(k).w2
        gaps.append((goal - path.w2.max()) / goal)
        rises.append(np.diff(path.w2 / goal).min())
    example = f"k = 2: w2 rises to its limit {goal:.6f}; for every k tried the highest w2 on the way is the last"
    return Evidence(bool(min(gaps) > -1e-7 and min(rises) > -1e-9),
                    "k in {.1,.3,.6,1,1.5,2}, equal noise; limit by Newton", float(min(gaps)),
                    "smallest (limit - highest w2)/limit (rounding: -1e-07)", example)


CHECKS = {"D1": check_d1, "D1-any": check_d1_any, "D2": check_d2, "D2-monotone": check_d2_monotone,
          "D2-overshoot": check_d2_overshoot, **rare_outliers.CHECKS}
