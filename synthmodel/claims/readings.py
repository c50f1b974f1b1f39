"""(w1, w2) of other readings of the paper's loss, penalty and attack (THEORY.md, section 9).

Three classes, equal means and noises. Each takes mu, sigma, eps, the smoothing b and the decay lam, numbers, and
minimises over w >= 0. What is linear in w up to a penalty or a constraint is written down; the rest is minimised.
"""

import math

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import ndtr

from synthmodel.accuracy.three_classes import r_acc
from synthmodel.model.losses import WorstMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.solve import solve

__all__ = ["BETA", "READINGS", "labels_threshold", "one_hot", "squares", "trades"]

BETA = 2.0  # of TRADES
GAP = 1 / math.sqrt(math.pi)
Z = np.linspace(-8.5, 8.5, 1001)
MASS = np.exp(-Z**2 / 2) / math.sqrt(2 * math.pi) * (Z[1] - Z[0])
VERTICES = np.array([(1, -1, -1), (-1, 1, 1), (1, 1, -1), (-1, -1, 1)])  # the others repeat these, or cost nothing


def pulls(mu: float, sigma: float, eps: float, b: float) -> tuple[float, float]:
    """(E e, E M): what an increase of w1, of w2 earns."""
    d = mu - 2 * eps
    return d, d - (1 - b) * sigma * GAP


def margin(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    first, second = pulls(mu, sigma, eps, b)
    return max(first, 0.0) / lam, max(second, 0.0) / lam


def hinge(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    found = solve(Setting(mu, sigma), WorstMargin("hinge", b), eps, lam)
    return found.w1, found.w2


def sums(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """Sum over the wrong classes of -m_j: smoothing moves nothing, as the mean of the margins is their sum halved."""
    weight = max(2 * (mu - 2 * eps), 0.0) / lam
    return weight, weight


def sphere(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """|w| = 1: along the positive pulls; where there is none, the axis that costs less."""
    up = np.maximum(pulls(mu, sigma, eps, b), 0.0)
    size = float(np.linalg.norm(up))
    return (float(up[0]) / size, float(up[1]) / size) if size else (1.0, 0.0)


def l1_ball(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """w1 + w2 = 1: all on the larger pull, which is that on w1."""
    return 1.0, 0.0


def linf_ball(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    first, second = pulls(mu, sigma, eps, b)
    return float(first > 0), float(second > 0)


def labels(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """E sum_y q_y l_y = -(1-b) E min_j m_j + b E max(m, 0) under delta*, m ~ N(d (w1 + w2), sigma^2 |w|^2)."""
    d, pull = mu - 2 * eps, np.array(pulls(mu, sigma, eps, 0.0))

    def risk(w: np.ndarray) -> tuple[float, np.ndarray]:
        size = math.hypot(*w)
        at = d * w.sum() / (sigma * size) if size else 0.0
        top = math.exp(-at * at / 2) / math.sqrt(2 * math.pi)
        value = d * w.sum() * ndtr(at) + sigma * size * top
        slope = d * ndtr(at) + (sigma * top * w / size if size else sigma * top)
        return -(1 - b) * pull @ w + b * value + lam / 2 * w @ w, -(1 - b) * pull + b * slope + lam * w

    start = np.maximum(pull, 0.01) / lam
    found = minimize(risk, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2,
                     options={"ftol": 1e-16, "gtol": 1e-12 * mu})
    w1, w2 = (float(w) if w > 1e-9 * mu / lam else 0.0 for w in found.x)
    return w1, w2


def labels_threshold(mu: float, sigma: float, b: float) -> float:
    """Where w2 dies for `labels`, 0 <= b < 1/2: (1-b)(k - 1/sqrt(pi)) = b k Phi(k), k = (mu - 2 eps)/sigma."""
    k = brentq(lambda k: (1 - b) * (k - GAP) - b * k * ndtr(k), 0.1, 10 / (1 - 2 * b), xtol=1e-15)
    return (mu - sigma * k) / 2


def scores(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """f_j + f_k - f_i = -w1 E + 2 w2 x_{C,i} without attack, which costs eps (3 w1 + 2 w2)."""
    return max(mu - 3 * eps, 0.0) / lam, 0.0


def active(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """The attack moves the active features only: a margin falls by eps (w1 + w2)."""
    return margin(mu, sigma, eps / 2, b, lam)


def zero_one(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """Joint accuracy depends on w2/w1 alone; sum_y q_y 1{y is not the prediction} rises with the error, whatever b."""
    k = (mu - 2 * eps) / sigma
    return 1.0, r_acc(k) if k > 0 else 0.0


def _quadratic(square: np.ndarray, pull: np.ndarray) -> tuple[float, float]:
    """argmin over w >= 0 of w' square w - 2 pull' w, for two weights."""
    both = np.linalg.solve(square, pull)
    if (both > 0).all():
        return float(both[0]), float(both[1])
    alone = [max(pull[i] / square[i, i], 0.0) for i in (0, 1)]
    gains = [alone[i]**2 * square[i, i] for i in (0, 1)]
    return (alone[0], 0.0) if gains[0] >= gains[1] else (0.0, alone[1])


def squares(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """E (1 - (1-b) min_j m_j - b mean_j m_j)^2 under delta*."""
    d, m = pulls(mu, sigma, eps, b)
    variance = sigma**2 * (1 / 2 + (1 - b)**2 * (1 / 2 - 1 / math.pi))
    return _quadratic(np.array([[d * d + sigma**2 + lam / 2, d * m], [d * m, m * m + variance + lam / 2]]),
                      np.array([d, m]))


def one_hot(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """E |f - q|^2 under delta*, q = (1-b, b/2, b/2)."""
    near = mu - eps
    return _quadratic(np.array([[near**2 + sigma**2 + 2 * eps**2 + lam / 2, 2 * near**2 + 2 * eps * mu],
                                [2 * near**2 + 2 * eps * mu, 4 * near**2 + 4 * sigma**2 + 2 * mu**2 + lam / 2]]),
                      np.array([(1 - b) * near + b * eps, 2 * (1 - b) * near + b * mu]))


def trades_margin(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """The clean margin loss plus BETA times what the attack adds to it: the attack counts BETA times."""
    return margin(mu, sigma, BETA * eps, b, lam)


def trades(mu: float, sigma: float, eps: float, lam: float, beta: float) -> tuple[float, float]:
    """(best w1 on w2 = 0, slope in w2 there) of E[CE(x) + beta max_delta KL(p(x) | p(x + delta))] + (lam/2)|w|^2.

    On w2 = 0 the scores are (u, 0, 0), u = w1 E, and the attack moves them by eps w1 v, v a vertex of the cube (A1).
    The slope in w1 is 0 there; that in w2 is it less lam w1 + sigma E[Z l'(u)], l the loss as a function of u.
    """
    def parts(w1: float) -> tuple[float, float]:
        u, t = w1 * (mu + sigma * Z), eps * w1
        logs = np.stack([u, 0 * u, 0 * u]) - np.logaddexp(u, math.log(2))
        p = np.exp(logs)
        tilt = np.logaddexp.reduce(logs[None] + t * VERTICES[:, :, None], axis=1)
        kl = tilt - t * VERTICES @ p
        worst, columns = np.argmax(kl, axis=0), np.arange(len(u))
        chosen, move = VERTICES[worst].T, p * (np.array([[1.0], [0.0], [0.0]]) - p[0])  # move: dp/du
        bent = np.sum((np.exp(t * chosen - tilt[worst, columns]) - t * chosen) * move, axis=0)
        return (MASS @ (beta * kl[worst, columns] - logs[0]) + lam / 2 * w1**2, MASS @ (Z * (p[0] - 1 + beta * bent)))

    grid = np.linspace(-9, 5, 29)
    best = grid[int(np.argmin([parts(math.exp(x))[0] for x in grid]))]
    found = minimize(lambda x: parts(math.exp(x[0]))[0], [best], method="Nelder-Mead", options={"xatol": 1e-9})
    w1 = math.exp(found.x[0])
    return w1, -(lam * w1 + sigma * parts(w1)[1])


def trades_kl(mu: float, sigma: float, eps: float, b: float, lam: float) -> tuple[float, float]:
    """(w1 on w2 = 0, 1 or 0: whether w2 leaves 0 there)."""
    w1, slope = trades(mu, sigma, eps, lam, BETA)
    return w1, float(slope < 0)


# reading -> (weights, claim)
READINGS = {
    "margin loss max_j f_j - f_i": (margin, "T1"),
    "phi(min_j m_j), as hinge": (hinge, "U1"),
    "sum over wrong classes of phi(m_j)": (sums, "R-sum"),
    "w1^2 + w2^2 = 1 for a penalty": (sphere, "R-constraint"),
    "w1 + w2 = 1 for a penalty": (l1_ball, "R-constraint"),
    "max(w1, w2) <= 1 for a penalty": (linf_ball, "R-constraint"),
    "smoothing as sum_y q_y l_y, delta*": (labels, "R-labels"),
    "score f_j + f_k - f_i": (scores, "R-scores"),
    "attack on the active features only": (active, "R-active"),
    "0-1 loss": (zero_one, "R-01"),
    "(1 - min_j m_j)^2, delta*": (squares, "R-squares"),
    "squared loss on one-hot labels, delta*": (one_hot, "R-squares"),
    "TRADES, margin loss": (trades_margin, "R-TRADES"),
    "TRADES, cross-entropy and KL": (trades_kl, "R-TRADES"),
}
