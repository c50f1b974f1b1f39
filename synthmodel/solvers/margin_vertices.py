"""The margin losses minimised by brute force: the numerical side that the closed forms are tested against.

Nothing here knows the closed forms. The attack is found by trying all 64 vertices of the six-coordinate box
on the scores themselves, the expectation is a quadrature over the three noisy features of a class-1 sample,
and all sign patterns of (w1, w2) are searched.
"""

from __future__ import annotations

from itertools import product
from math import sqrt
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from scipy.optimize import brentq

from synthmodel.model.losses import Margin, MarginLoss, SmoothedMargin, SoftTargetMargin
from synthmodel.model.quadrature import legendre, normal_rule
from synthmodel.model.setting import Setting, checked, checked_setting
from synthmodel.model.solution import NotConverged, Solution

if TYPE_CHECKING:
    from jaxtyping import Float

    Decay: TypeAlias = float | Float[np.ndarray, "2"]

__all__ = ["solve_numeric", "threshold_numeric"]

ERROR = 1e-6  # in units of mu: a larger quadrature and rounding error of the gradient raises
RESIDUAL = 1e-10  # in units of mu: larger residuals raise; rounding leaves about 1e-15
ORDER, FINER = 40, 60  # nodes of the rule on a half-line, and of the one that judges it
ROUNDING = 1e-14  # relative: differences below this are rounding errors of sums of some hundred terms
SIGNS = tuple(product((1.0, -1.0), repeat=2))  # the four orthants of (w1, w2)
SHARED = 1 - np.eye(3)  # f_i = w1 x_{E,i} + w2 (SHARED x_C)_i
# delta = eps * vertex, coordinates E1, E2, E3, C1, C2, C3; a convex loss is largest at a vertex of the box.
VERTICES = np.array(list(product((-1.0, 1.0), repeat=6)))
# The vertices that lower both margins as far as they go, one for each pair of signs of w1 and w2.
DELTA_STAR = np.array([[-p, p, p, q, -q, -q] for p, q in SIGNS])


def _gauss_legendre_half_normal(order: int, end: float = 9.0,
                                ) -> tuple[Float[np.ndarray, "order"], Float[np.ndarray, "order"]]:
    """Gauss-Legendre nodes and weights on [0, 9] for the standard normal law on (0, inf): tail below 1e-18."""
    nodes, weights = legendre(order)
    nodes = end * (1 + nodes) / 2
    return nodes, weights * end / 2 * np.exp(-nodes**2 / 2) / sqrt(2 * np.pi)


def _samples(setting: Setting, order: int) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n"]]:
    """Quadrature nodes for class 1: features (E1, C2, C3) as an (n, 3) array, and their probability weights.

    The loss is linear in E1 and C2 + C3, so two Gauss-Hermite nodes are exact there. In C2 - C3 it has one
    kink, at 0, where the two wrong classes change places: each half-line gets its own Gauss-Legendre rule.
    """
    pair, pair_weights = normal_rule(2)
    half, half_weights = _gauss_legendre_half_normal(order)
    line, line_weights = np.concatenate([-half, half]), np.concatenate([half_weights, half_weights])
    exclusive, plus, minus = (grid.ravel() for grid in np.meshgrid(pair, pair, line, indexing="ij"))
    weights = np.einsum("i,j,k->ijk", pair_weights, pair_weights, line_weights).ravel()
    noise = np.stack([exclusive, (plus + minus) / sqrt(2), (plus - minus) / sqrt(2)], axis=1)
    mean = np.array([setting.mu_e, setting.mu_c, setting.mu_c])
    return mean + np.array([setting.sigma_e, setting.sigma_c, setting.sigma_c]) * noise, weights


def _rows(loss: MarginLoss) -> Float[np.ndarray, "2 3"]:
    """Coefficients of (f_1, f_2, f_3) when f_2, then f_3, is the larger wrong score; ValueError for another loss."""
    if isinstance(loss, Margin):
        return np.array([[-1.0, 1, 0], [-1, 0, 1]])
    if isinstance(loss, SmoothedMargin):
        return np.array([[-1, 1 - loss.b / 2, loss.b / 2], [-1, loss.b / 2, 1 - loss.b / 2]])
    if isinstance(loss, SoftTargetMargin):  # -min(m_2, m_3) + (b/2)(m_2 + m_3), m_j = f_1 - f_j
        return np.array([[-1, 1, 0], [-1, 0, 1]]) + loss.b / 2 * np.array([2, -1, -1])
    raise ValueError(f"the loss {loss!r} was given, but this solver takes the margin losses only: use "
                     "solve_cross_entropy for CrossEntropy(b).")


def _pieces(setting: Setting, loss: MarginLoss, eps: float,
            order: int = ORDER) -> tuple[Float[np.ndarray, "n m 2"], Float[np.ndarray, "n"]]:
    """The loss under attack as max_a w . g_a at n samples: g_a, shape (n, 128, 2), and the samples' weights.

    a runs over 64 vertices of the attack and 2 choices of the wrong class that attains max(f_2, f_3).
    """
    coefficients = _rows(loss)
    features, weights = _samples(setting, order)
    clean_e, clean_c = np.zeros((len(features), 3)), np.zeros((len(features), 3))
    clean_e[:, 0], clean_c[:, 1:] = features[:, 0], features[:, 1:]

    def gradients(x_e: Float[np.ndarray, "m 3"], x_c: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 2 2"]:
        # of the two pieces with respect to (w1, w2)
        return np.stack([x_e @ coefficients.T, x_c @ SHARED @ coefficients.T], axis=2)

    monotone = isinstance(loss, SoftTargetMargin) and loss.attack == "monotone"
    vertices = DELTA_STAR if monotone else VERTICES
    clean = gradients(clean_e, clean_c)
    attack = eps * gradients(vertices[:, :3], vertices[:, 3:])
    return (clean[:, None] + attack[None]).reshape(len(features), -1, 2), weights


def _risk(pieces: Float[np.ndarray, "n m 2"], weights: Float[np.ndarray, "n"], lam: Decay,
          w: Float[np.ndarray, "2"]) -> float:
    return weights @ (pieces @ w).max(axis=1) + _penalty(lam, w)


def _penalty(lam: Decay, w: Float[np.ndarray, "2"]) -> float:
    """(lam/2)|w|^2, or lam . w^2/2 for a decay of each weight."""
    return lam / 2 * (w @ w) if np.ndim(lam) == 0 else (lam * w) @ w / 2


def _gradient(pieces: Float[np.ndarray, "n m 2"], weights: Float[np.ndarray, "n"], lam: Decay,
              w: Float[np.ndarray, "2"], signs: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
    """Gradient of the risk at w, on an axis its limit from inside the orthant `signs`.

    By the envelope theorem it is the mean gradient of the active piece. A weight that is exactly 0 is moved
    off the axis for the choice of that piece: every piece is linear in w, so a small move only breaks ties.
    """
    inside = np.where(w != 0, w, signs * (1e-6 * np.abs(w).max() or 1.0))
    active = (pieces @ inside).argmax(axis=1)
    return weights @ pieces[np.arange(len(active)), active] + lam * w


def _residual(pieces: Float[np.ndarray, "n m 2"], weights: Float[np.ndarray, "n"], lam: Decay,
              w: Float[np.ndarray, "2"]) -> float:
    """Distance of 0 from the subdifferential at w.

    It is the slope of steepest descent, max over |h| <= 1 of -R'(w; h); in each orthant of directions h the
    one-sided derivative R'(w; h) is linear in h, and its steepest h keeps the coordinates that descend.
    """
    slopes = (signs * _gradient(pieces, weights, lam, w, signs) for signs in np.array(SIGNS))
    return cast("float", max(np.linalg.norm(np.minimum(slope, 0)) for slope in slopes))


def _minimise_on_orthant(pieces: Float[np.ndarray, "n m 2"], weights: Float[np.ndarray, "n"], lam: Decay,
                         signs: Float[np.ndarray, "2"], rounding: float,
                         steps: int = 50) -> tuple[Float[np.ndarray, "2"], int]:
    """Projected Newton on one closed orthant: the minimiser and the number of gradients it took.

    The quadrature risk is piecewise linear plus lam . w^2/2, so diag(lam) is its exact Hessian inside a piece.
    """
    w = np.zeros(2)
    for step in range(1, steps + 1):
        newton = w - _gradient(pieces, weights, lam, w, signs) / lam
        newton[signs * newton * lam <= rounding] = 0  # projection; below rounding a weight is 0
        if (lam * np.abs(newton - w)).max() <= rounding:
            return newton, step
        w = newton
    return w, steps


def solve_numeric(setting: Setting, loss: MarginLoss, eps: float, lam: float, lam_c: float | None = None) -> Solution:
    """Minimise R(w) = E max_{||delta||_inf <= eps} loss(f(x + delta)) + (lam w1^2 + lam_c w2^2)/2 over all real w.

    f_i(x) = w1 x_{E,i} + w2 (x_{C,j} + x_{C,k}), delta on all six features of x (THEORY.md, section 0).
    loss: Margin(), max_{j != i} f_j - f_i (claim T1), SmoothedMargin(b), (1-b) max_{j != i} f_j + b mean_{j != i} f_j
    - f_i (claim T3), or SoftTargetMargin(b, attack) (claim T3-target).  setting: the plain model, own means and noises.
    eps: attack strength >= 0, units of a feature.  lam: weight decay > 0; a weight has units feature/lam.
    lam_c: that of w2, where it is not lam.

    Returns a Solution with method "numeric", iterations the gradients evaluated on the way in all four orthants, and
    error the change of the gradient under a finer quadrature and what rounding may add, 1e-14 of the numbers summed:
    lam times that of a weight. Raises ValueError for another loss or a number outside its domain, NotConverged if
    the distance of 0 from the subdifferential exceeds 1e-10 mu, or the error 1e-6 mu.

    >>> from synthmodel.model.setting import Setting
    >>> solution = solve_numeric(Setting(mu=1, sigma=0.5), Margin(), eps=0.2, lam=2)
    >>> round(solution.w1, 12), round(solution.w2, 12)
    (0.3, 0.158952604113)
    """
    checked_setting(setting)
    eps, lam = checked("eps", eps, least=0, single=True), checked("lam", lam, above=0, single=True)
    pieces, weights = _pieces(setting, loss, eps)
    decay = lam if lam_c in (None, lam) else np.array([lam, checked("lam_c", lam_c, above=0, single=True)])
    rounding: Any = ROUNDING * (setting.mu_e + setting.mu_c + setting.sigma_e + setting.sigma_c + eps)
    minima = [_minimise_on_orthant(pieces, weights, decay, np.array(signs), rounding) for signs in SIGNS]
    w = min((w for w, _ in minima), key=lambda w: _risk(pieces, weights, decay, w))
    residual = _residual(pieces, weights, decay, w) / setting.mu_e
    if not residual <= RESIDUAL:
        raise NotConverged(f"the residual is {residual:.1e} mu at eps = {eps}, lam = {lam} in {setting}, but at "
                           f"most {RESIDUAL:.0e} mu is accepted: bring sigma and eps nearer to mu.")
    signs = np.where(w < 0, -1.0, 1.0)
    finer = _gradient(*_pieces(setting, loss, eps, FINER), decay, w, signs)
    error = (np.linalg.norm(finer - _gradient(pieces, weights, decay, w, signs)) + rounding) / setting.mu_e
    if not error <= ERROR:
        raise NotConverged(f"the quadrature and rounding error of the gradient is up to {error:.1e} mu at eps = {eps}, "
                           f"lam = {lam} in {setting}, but at most {ERROR:.0e} mu is accepted: bring sigma and eps "
                           "nearer to mu.")
    return Solution(float(w[0]), float(w[1]), float(_risk(pieces, weights, decay, w)), float(residual),
                    "numeric", sum(count for _, count in minima), float(error))


def threshold_numeric(setting: Setting, loss: MarginLoss) -> float:
    """The eps at which the optimal w2 of `solve_numeric` reaches 0, in the units of mu: eps0, eps1 of T1, T3.

    It is the root in eps of lam w2 while w2 > 0, continued by minus the one-sided derivative dR/dw2 at
    w2 = 0+ beyond, found by Brent's method to 1e-12 mu; lam drops out. Raises ValueError if w2 = 0 already
    at eps = 0, or for a loss `solve_numeric` does not take.

    >>> from synthmodel.model.setting import Setting
    >>> round(threshold_numeric(Setting(mu=1, sigma=0.5), Margin()), 9)
    0.358952604
    """
    def pull(eps: float) -> float:
        solution = solve_numeric(setting, loss, eps, 1.0)
        w = np.array([solution.w1, solution.w2])
        return w[1] or -_gradient(*_pieces(setting, loss, eps), 1.0, w, np.ones(2))[1]

    if pull(0.0) <= 0:
        raise ValueError(f"{setting} with {loss} was given, but its w2 is 0 at every eps >= 0, so that there is "
                         "no threshold: choose a smaller sigma.")
    # At eps = mu_c a perturbation reverses every feature, so w2 = 0.
    return float(brentq(pull, 0.0, setting.mu_c, xtol=1e-12 * setting.mu_c))
