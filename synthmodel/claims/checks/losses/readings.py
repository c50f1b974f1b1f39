"""The claims R-*: the weights of each reading against the definition of its loss, attacked at every vertex of the cube.

The features run over a grid of midpoints of equal chance; slopes are differences over a finite step. Both are small
beside the distances at which signs are asked for.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from synthmodel.claims import readings
from synthmodel.claims.checks.theorems import joint_by_quadrature
from synthmodel.claims.evidence import Evidence

__all__ = ["CHECKS", "risk_of"]

STEP = 1e-3
POINTS = norm.ppf((np.arange(24) + 0.5) / 24)
POINTS /= math.sqrt(np.mean(POINTS**2))
NOISE = np.stack([axis.ravel() for axis in np.meshgrid(POINTS, POINTS, POINTS, indexing="ij")])
VERTICES = np.array(list(product((-1.0, 1.0), repeat=6)))
CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))  # of the scores' cube
STAR = np.array([-1.0, 1, 1, 1, -1, -1])
ACTIVE = [0, 4, 5]


def moved(w: Sequence[float] | np.ndarray, delta: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    """Scores (3, examples) of class 1 at x + delta."""
    e, c2, c3 = mu + sigma * NOISE
    x = [e + delta[0], delta[1], delta[2]], [delta[3], c2 + delta[4], c3 + delta[5]]
    return np.stack([w[0] * x[0][i] + w[1] * sum(x[1][j] for j in range(3) if j != i) + 0 * e for i in range(3)])


def own_margins(f: np.ndarray) -> np.ndarray:
    return f[0] - f[1:]


def label_losses(f: np.ndarray) -> np.ndarray:
    """l_y = max_{j != y} f_j - f_y."""
    return np.stack([np.max(np.delete(f, y, axis=0), axis=0) - f[y] for y in range(3)])


LOSSES = {
    "sum": lambda f, b: np.sum(np.maximum(1 - own_margins(f), 0), axis=0),  # hinge
    "labels": lambda f, b: (1 - b) * label_losses(f)[0] + b / 2 * label_losses(f)[1:].sum(axis=0),
    "scores": lambda f, b: f[1] + f[2] - f[0],
    "margin": lambda f, b: -((1 - b) * own_margins(f).min(axis=0) + b * own_margins(f).mean(axis=0)),
    "squares": lambda f, b: (1 - (1 - b) * own_margins(f).min(axis=0) - b * own_margins(f).mean(axis=0))**2,
    "one-hot": lambda f, b: (f[0] - 1 + b)**2 + ((f[1:] - b / 2)**2).sum(axis=0),
}


def risk_of(name: str, w: Sequence[float] | np.ndarray, mu: float, sigma: float, eps: float, b: float, lam: float,
            vertices: Iterable[np.ndarray] = tuple(VERTICES)) -> float:
    """E max over the vertices of the loss called `name`, and decay."""
    worst = np.max([LOSSES[name](moved(w, eps * v, mu, sigma), b) for v in vertices], axis=0)
    return worst.mean() + lam / 2 * (w[0]**2 + w[1]**2)


def minimised(name: str, mu: float, sigma: float, eps: float, b: float, lam: float, vertices: Iterable[np.ndarray],
              start: tuple[float, float] = (1.0, 0.5)) -> np.ndarray:
    """argmin over w >= 0 of `risk_of`, without slopes."""
    found = minimize(lambda w: risk_of(name, np.abs(w), mu, sigma, eps, b, lam, vertices), start, method="Nelder-Mead",
                     options={"xatol": 1e-5, "fatol": 1e-9})
    return np.abs(found.x)


def compared(pairs: list[tuple[Any, Any]], domain: str, allowed: float, further: bool = True,
             words: str = "") -> Evidence:
    worst = float(np.max([np.abs(np.subtract(a, b)).max() for a, b in pairs]))
    return Evidence(bool(further and worst <= allowed), domain, worst, f"largest error (allowed: {allowed})",
                    words)


def check_r_sum() -> Evidence:
    star = [STAR]  # of a loss that falls in every margin (A1)
    pairs, equal = [], []
    for eps in (0.1, 0.4):
        w = minimised("sum", 1, 0.5, eps, 0.0, 0.2, star)
        equal.append((w[0], w[1]))
        pairs.append((readings.sums(1, 0.5, eps, 0.0, 0.2), [2 * (1 - 2 * eps) / 0.2] * 2))
    return compared(pairs + equal, "hinge, mu = 1, sigma = .5, lam = .2, eps in {.1,.4} beyond eps0: w1 = w2 > 0", 2e-3,
                    min(map(min, equal)) > 0.05)


def check_r_constraint() -> Evidence:
    angle = np.linspace(0, math.pi / 2, 2001)
    pairs = []
    for eps, b in ((0.1, 0.0), (0.34, 0.3), (0.45, 0.0), (0.55, 0.3)):
        for name, curve in (("sphere", (np.cos(angle), np.sin(angle))),
                            ("l1_ball", (np.cos(angle)**2, np.sin(angle)**2))):
            values = [risk_of("margin", w, 1, 0.5, eps, b, 0.0, [STAR]) for w in np.transpose(curve)[::40]]
            near = np.transpose(curve)[::40][int(np.argmin(values))]
            pairs.append((getattr(readings, name)(1, 0.5, eps, b, 0.0), near))
        corners = np.array(list(product((0.0, 1.0), repeat=2)))
        values = [risk_of("margin", w, 1, 0.5, eps, b, 0.0, [STAR]) for w in corners]
        pairs.append((readings.linf_ball(1, 0.5, eps, b, 0.0), corners[int(np.argmin(values))]))
    return compared(pairs, "mu = 1, sigma = .5, eps in {.1,.34,.45,.55}, b in {0,.3}: 51 points of each curve", 4e-2)


def check_r_labels() -> Evidence:
    pairs = [(readings.labels(1, 0.5, eps, b, 0.5), minimised("labels", 1, 0.5, eps, b, 0.5, [STAR]))
             for eps, b in ((0.2, 0.1), (0.3, 0.2), (0.42, 0.1))]
    dead = readings.labels_threshold(1, 0.5, 0.1)
    sides = [readings.labels(1, 0.5, dead + part, 0.1, 0.5)[1] > 0 for part in (-1e-4, 1e-4)]
    eps0 = 0.5 - 0.25 / math.sqrt(math.pi)
    return compared(pairs, "mu = 1, sigma = .5, lam = .5, (eps, b) in {(.2,.1),(.3,.2),(.42,.1)}", 2e-2,
                    sides == [True, False] and dead < eps0, f"b = .1: w2 dies at {dead:.4f} < eps0 = {eps0:.4f}")


def check_r_scores() -> Evidence:
    pairs = []
    for eps in (0.1, 0.3, 0.36):
        best = readings.scores(1, 0.5, eps, 0.0, 0.5)
        near = [np.add(best, step) for step in ((0, 0), (0.01, 0), (0, 0.01))]
        risks = [risk_of("scores", w, 1, 0.5, eps, 0.0, 0.5) for w in near]
        pairs.append((max(0.0, risks[0] - min(risks)), 0.0))
        pairs.append((risks[0], -best[0] + 3 * eps * best[0] + best[0]**2 / 4))
    return compared(pairs, "mu = 1, sigma = .5, lam = .5, eps in {.1,.3,.36}, all 64 vertices: risks", 1e-9)


def check_r_active() -> Evidence:
    still = np.zeros((8, 6))
    still[:, ACTIVE] = list(product((-1.0, 1.0), repeat=3))
    pairs = [(readings.active(1, 0.5, eps, b, 0.5), minimised("margin", 1, 0.5, eps, b, 0.5, still))
             for eps, b in ((0.3, 0.0), (0.6, 0.0), (0.8, 0.3), (1.1, 0.0))]
    return compared(pairs, "mu = 1, sigma = .5, lam = .5, eps in {.3,.6,.8,1.1}", 2e-2)


def check_r_01() -> Evidence:
    """sum_y q_y 1{y is not predicted} by quadrature: its best ratio, on either side of eps0, with and without b."""
    ratios, found = np.linspace(0, 1.2, 25), []
    for eps in (0.2, 0.3, 0.4):
        for b in (0.0, 0.4):
            errors = []
            for r in ratios:
                right = joint_by_quadrature(r, (1 - 2 * eps) / 0.5)
                errors.append(b * right + (1 - b / 2) * (1 - right))
            found.append((ratios[int(np.argmin(errors))], readings.zero_one(1, 0.5, eps, b, 0.0)[1]))
    return compared(found, "mu = 1, sigma = .5, eps in {.2,.3,.4}, b in {0,.4}: 25 ratios up to 1.2", 0.03)


def check_r_squares() -> Evidence:
    pairs = []
    for eps, b in ((0.1, 0.0), (0.4, 0.3)):
        pairs.append((readings.squares(1, 0.5, eps, b, 0.2), minimised("squares", 1, 0.5, eps, b, 0.2, [STAR])))
        pairs.append((readings.one_hot(1, 0.25, eps, b, 0.05), minimised("one-hot", 1, 0.25, eps, b, 0.05, [STAR])))
    alive = [readings.one_hot(1, 0.25, eps, 0.0, 0.05)[1] > 0 for eps in (0.11, 0.12, 0.38, 0.39)]
    ends = np.array([[-1.0, 1, 1, 1, -1, -1], [1.0, -1, -1, -1, 1, 1]])  # both margins as low, as high as they get
    risks = [risk_of("squares", (0.7, w2), 1, 0.5, 0.35, 0.0, 0.2, ends) for w2 in (0.0, STEP)]
    return compared(pairs, "mu = 1; least margin: sigma = .5, lam = .2; one-hot: sigma = .25, lam = .05; eps in "
                    "{.1,.4}",
                    2e-2, alive == [True, False, False, True] and risks[0] < risks[1],
                    "one-hot: w2 > 0 at eps = .11 and .39, 0 at .12 and .38; least margin, exact attack, "
                    "w1 = .7: the risk rises with w2 at .35 < eps0")


def check_r_trades() -> Evidence:
    """The slope in w2 at w2 = 0 by differences of the definition over the grid; and its sign on a grid of settings."""
    errors = []
    for eps, beta in ((0.2, 6.0), (0.6, 1.0)):
        w1, slope = readings.trades(1, 0.5, eps, 0.1, beta)
        ends = []
        for w2 in (0.0, STEP, 2 * STEP):
            clean = moved((w1, w2), np.zeros(6), 1, 0.5)
            size, p = eps * (w1 + w2), softmax(clean, axis=0)
            worst = np.max([logsumexp(size * v[:, None], axis=0, b=p) - size * v @ p for v in CORNERS], axis=0)
            ends.append(np.mean(logsumexp(clean, axis=0) - clean[0] + beta * worst) + 0.05 * (w1**2 + w2**2))
        errors.append((-3 * ends[0] + 4 * ends[1] - ends[2]) / (2 * STEP) / slope - 1)
    slopes = [readings.trades(1, sigma, eps, lam, beta)[1] for sigma, lam, beta, eps in product(
        (0.25, 1.0), (0.001, 0.5), (1.0, 6.0), (0.1, 0.45, 1.0))]
    worst = float(np.max(np.abs(errors)))
    return Evidence(bool(worst <= 0.1 and max(slopes) < 0), "sigma in {.25,1}, lam in {.001,.5}, beta in {1,6}, eps in "
                    "{.1,.45,1}: every slope negative; two slopes by differences", worst,
                    "largest relative error of a slope (allowed: .1)")


CHECKS = {"R-sum": check_r_sum, "R-constraint": check_r_constraint, "R-labels": check_r_labels,
          "R-scores": check_r_scores, "R-active": check_r_active, "R-01": check_r_01, "R-squares": check_r_squares,
          "R-TRADES": check_r_trades}
