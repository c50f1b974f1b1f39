"""Label-smoothed cross-entropy of three classes under its own exact attack, minimised by Newton's method.

The attack moves the scores by a point of the cube [-eps N, eps N]^3, N = |w1| + |w2| (claim A1). The loss is convex
there, so it is largest at a vertex: the margins become u_j = m_j + s_j t, u_k = m_k + s_k t, t = 2 eps N, and the
loss log(1 + e^{-u_j} + e^{-u_k}) + (b/2)(u_j + u_k). Where m_j >= m_k only four shifts (s_j, s_k) can win:
(1, 1), (1, 0), (0, -1) and delta*'s (-1, -1), which always wins for b = 0. With x = e^{-m} each exp(loss) is
linear, c + alpha x_j + beta x_k, so that the winner changes on lines, and the quadrature is cut there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import ceil, hypot, log, pi, sqrt
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.optimize import brentq

from synthmodel.model.quadrature import legendre
from synthmodel.model.setting import checked
from synthmodel.model.solution import NotConverged
from synthmodel.solvers.newton import damped_newton

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    Array: TypeAlias = Float[np.ndarray, "..."]
    Pair: TypeAlias = Float[np.ndarray, "2"]

__all__ = ["exact_gradient", "exact_risk", "exact_threshold", "solve_exact"]

ACCURACY = 1e-10  # in units of the larger mean: a larger residual or quadrature error raises
WEIGHT_ACCURACY = 1e-8  # a larger Newton step, relative to |w|, still to go raises
ROUNDING = 1e-14  # in units of the larger mean: a weight pulled by less is 0
RADIUS = 9.0  # the normal law beyond it weighs 2e-19
MOST_NODES = 4_000_000
ORDER, FINER = 16, 20  # Gauss-Legendre nodes a piece
SHIFTS = np.array([[1, 1], [1, 0], [0, -1], [-1, -1]])  # in the order in which they win as a falls
TRIPLES = tuple(combinations(range(4), 3))


@dataclass(frozen=True)
class _Problem:
    """The arguments of `solve_exact`, checked; a mean is negative where the weight is meant to be -v, v >= 0."""

    mu_e: float
    mu_c: float
    sigma_e: float
    sigma_c: float
    rho: float
    b: float
    eps: float
    lam: float
    lam_c: float | None = None

    def __post_init__(self) -> None:
        if self.lam_c is None:
            object.__setattr__(self, "lam_c", self.lam)
        bounds: dict[str, dict[str, Any]] = {
            "mu_e": {}, "mu_c": {}, "sigma_e": {"above": 0}, "sigma_c": {"above": 0}, "eps": {"least": 0},
            "rho": {"above": -1, "below": 1}, "b": {"least": 0, "below": 1}, "lam": {"above": 0},
            "lam_c": {"above": 0}}
        for name, bound in bounds.items():
            object.__setattr__(self, name, checked(name, getattr(self, name), **bound))

    @property
    def scale(self) -> float:
        return max(abs(self.mu_e), abs(self.mu_c))

    def towards(self, signs: Sequence[float] | Pair) -> _Problem:
        """The problem for v = signs * w."""
        return replace(self, mu_e=signs[0] * self.mu_e, mu_c=signs[1] * self.mu_c)

    @property
    def decay(self) -> Pair:
        return np.array([self.lam, self.lam_c])


class _Plane:
    """a = (m_j + m_k)/2 = mean + spread X and D = (m_j - m_k)/2 = width Y, X and Y independent standard normals.

    a = v1 E + v2 C, D = v2 delta Y with C = (C_j + C_k)/2. Given X, E = mu_e + sigma_e (cos X + sin Z) and
    C = mu_c + gamma (sin X - cos Z), Z a third one.
    """

    def __init__(self, v: Pair, problem: _Problem) -> None:
        p = self.problem = problem
        self.gamma, self.delta = p.sigma_c * sqrt((1 + p.rho) / 2), p.sigma_c * sqrt((1 - p.rho) / 2)
        self.spread, self.width = hypot(v[0] * p.sigma_e, v[1] * self.gamma), v[1] * self.delta
        self.cos, self.sin = v[0] * p.sigma_e / self.spread, v[1] * self.gamma / self.spread
        self.mean, self.t = v[0] * p.mu_e + v[1] * p.mu_c, 2 * p.eps * (v[0] + v[1])

    def vertex(self, rows: Int[np.ndarray, "..."], x: Array, y: Array,
               ) -> tuple[Array, tuple[Array, Array], tuple[Array, Array],
                          tuple[tuple[Array, Array], tuple[Array, Array]]]:
        """For the shift of SHIFTS[rows]: the loss, its slopes in u_j and u_k, (p_j, p_k), and du_j/dv, du_k/dv."""
        p, (s_j, s_k) = self.problem, (SHIFTS[rows, column] for column in (0, 1))
        a, big_d = self.mean + self.spread * x, self.width * y
        u_j, u_k = a + big_d + self.t * s_j, a - big_d + self.t * s_k
        top = np.maximum(0, -np.minimum(u_j, u_k))
        e_j, e_k = np.exp(-u_j - top), np.exp(-u_k - top)
        total = np.exp(-top) + e_j + e_k
        p_j, p_k = e_j / total, e_k / total
        e, c, half = p.mu_e + p.sigma_e * self.cos * x, p.mu_c + self.gamma * self.sin * x, self.delta * y
        du = ((e + 2 * p.eps * s_j, c + half + 2 * p.eps * s_j), (e + 2 * p.eps * s_k, c - half + 2 * p.eps * s_k))
        return top + np.log(total) + p.b * (u_j + u_k) / 2, (p.b / 2 - p_j, p.b / 2 - p_k), (p_j, p_k), du


def _lines(t: float, b: float) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "4 4"], Float[np.ndarray, "4 4"]]:
    """Arrays (4, 4) of c_u - c_v, alpha_v - alpha_u, beta_v - beta_u for the lines of SHIFTS, u < v."""
    c = b * t * SHIFTS.sum(axis=1) / 2

    def rise(logs: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4 4"]:  # e^v - e^u without cancellation
        return 2 * np.exp((logs[:, None] + logs) / 2) * np.sinh((logs - logs[:, None]) / 2)

    return -rise(c), rise(c - t * SHIFTS[:, 0]), rise(c - t * SHIFTS[:, 1])


def _switches(big_d: Float[np.ndarray, "n"], t: float, b: float) -> Float[np.ndarray, "3 n"]:
    """The values of a, shape (3, n), below which row 1, 2, 3 of SHIFTS or a later one wins, at n values D >= 0."""
    c, alpha, beta = _lines(t, b)
    a = np.full((4, 4, len(big_d)), -np.inf)  # row v beats row u below a[u, v]
    for u, v in combinations(range(4), 2):
        slope = beta[u, v] + alpha[u, v] * np.exp(-2 * big_d)
        wins = slope > 0
        a[u, v, wins] = big_d[wins] + np.log(slope[wins]) - log(c[u, v]) if c[u, v] > 0 else np.inf
    return np.array([a[:v, v:].min(axis=0).max(axis=0) for v in (1, 2, 3)])


def _corners(plane: _Plane) -> list[float]:
    """The values of D > 0 where three vertices tie, and where delta* ceases to win.

    delta* wins as a -> -inf if (e^{-D} + q e^D)/(2 cosh D) < q^{1 - b/2}, q = e^t: for D < D_end. Its switch falls
    to -inf like log(D_end - D): points crowding towards D_end follow it through the bulk of a.
    """
    t, b = plane.t, plane.problem.b
    if b * t == 0:
        return []
    c, alpha, beta = _lines(t, b)
    # x_k/x_j = e^{2D} by Cramer's rule
    ties = [(alpha[u, v] * c[u, w] - c[u, v] * alpha[u, w]) / (c[u, v] * beta[u, w] - beta[u, v] * c[u, w])
            for u, v, w in TRIPLES]
    ties = [log(ratio) / 2 for ratio in ties if ratio > 1]
    odds = np.expm1(t * (1 - b / 2)) / np.expm1(t * b / 2) * np.exp(-t * (1 - b / 2))
    if odds <= 1:
        return ties
    end, start = log(odds) / 2, log((alpha[2, 3] + beta[2, 3]) / c[2, 3])  # the switch at D = 0
    high, low = min(start, plane.mean + RADIUS * plane.spread), plane.mean - RADIUS * plane.spread
    count = max(0, ceil((high - low) / min(log(4), 2 * plane.spread)))
    return [*ties, *(end * -np.expm1(np.linspace(high, low, count + 1) - start)), end]


def _rule(edges: Float[np.ndarray, "*rows edges"],
          order: int) -> tuple[Float[np.ndarray, "*rows pieces order"], Float[np.ndarray, "*rows pieces order"]]:
    """Gauss-Legendre nodes and weights between consecutive edges (along the last axis), for the standard normal law."""
    nodes, weights = legendre(order)
    low, width = edges[..., :-1, None], np.diff(edges)[..., None]
    x = low + width * (nodes + 1) / 2
    return x, width * weights / 2 * _density(x)


def _density(x: Array) -> Array:
    return np.exp(-x * x / 2) / sqrt(2 * pi)


def _quadrature(plane: _Plane, order: int) -> tuple[
        Float[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "3 n"], Float[np.ndarray, "n pieces order"],
        Float[np.ndarray, "n pieces order"], Int[np.ndarray, "n pieces 1"]]:
    """y, its weights, the switches in X at each y (3, n), and X, weights, winning rows of shape (n, pieces, order).

    Only Y > 0 is integrated, by symmetry. Panels are at most 3 wide for the densities, 4 in a and 2 in D for
    the poles of the loss, at Im a = pi and at Im D >= pi/2, and in D so fine that a switch moves by 1.5 spreads.
    """
    y_count = ceil(RADIUS * max(1 / 3, plane.width / 2, plane.width / plane.spread / 1.5))
    x_count = ceil(2 * RADIUS * max(1 / 3, plane.spread / 4))
    corners = [big_d / plane.width for big_d in _corners(plane) if big_d < RADIUS * plane.width]
    y_edges = np.sort(np.concatenate([np.linspace(0, RADIUS, y_count + 1), corners]))
    count = (len(y_edges) - 1) * (x_count + 3) * order**2
    if count > MOST_NODES:
        raise NotConverged(f"the quadrature needs {count} nodes for margins of mean {plane.mean:.2g} and deviation "
                           f"{plane.spread:.2g}, but at most {MOST_NODES} are used: choose a larger lam.")
    y, y_weights = (2**i * part.ravel() for i, part in enumerate(_rule(y_edges, order)))
    switches = (_switches(plane.width * y, plane.t, plane.problem.b) - plane.mean) / plane.spread
    switches = np.clip(switches, -RADIUS, RADIUS)
    panels = np.broadcast_to(np.linspace(-RADIUS, RADIUS, x_count + 1), (len(y), x_count + 1))
    edges = np.sort(np.concatenate([panels, switches.T], axis=1), axis=1)
    winner = (switches[:, :, None] > (edges[:, 1:] + edges[:, :-1]) / 2).sum(axis=0)
    x, weights = _rule(edges, order)
    return y, y_weights, switches, x, weights * y_weights[:, None, None], winner[:, :, None]


def _derivatives(v: Pair, problem: _Problem, order: int = ORDER) -> tuple[float, Pair, Float[np.ndarray, "2 2"]]:
    """Risk, gradient and Hessian at v >= 0, v != 0, on an axis their limits from v > 0."""
    plane = _Plane(v, problem)
    y, y_weights, switches, x, weights, winner = _quadrature(plane, order)
    loss, slopes, (p_j, p_k), (du_j, du_k) = plane.vertex(winner, x, y[:, None, None])
    risk = np.vdot(weights, loss) + problem.lam / 2 * (v @ (v * (problem.decay / problem.lam)))
    gradient = np.array([np.vdot(weights, slopes[0] * du_j[i] + slopes[1] * du_k[i]) for i in (0, 1)])
    gradient += problem.decay * v
    h_jj, h_jk, h_kk = weights * p_j * (1 - p_j), -weights * p_j * p_k, weights * p_k * (1 - p_k)
    by_z = np.array([problem.sigma_e * plane.sin, -plane.gamma * plane.cos])  # the part of (E, C) that X leaves open
    by_z = np.outer(by_z, by_z)
    hessian = np.diag(problem.decay) + (h_jj + 2 * h_jk + h_kk).sum() * by_z
    hessian += [[np.vdot(h_jj, du_j[i] * du_j[n]) + np.vdot(h_kk, du_k[i] * du_k[n])
                 + np.vdot(h_jk, du_j[i] * du_k[n] + du_k[i] * du_j[n]) for n in (0, 1)] for i in (0, 1)]
    # A switch moves with v; across it the loss's slope in a jumps by f > 0 and its gradient in v by g: it adds gg'/f.
    for row, x_row in enumerate(switches):
        # where two switches coincide, the rows between them never win
        live = (abs(x_row) < RADIUS) & (switches[row + 1:] < x_row).all(axis=0)
        above, below = (switches > x_row).sum(axis=0)[live], np.full(live.sum(), row + 1)
        (_, up, _, up_du), (_, low, _, low_du) = (plane.vertex(rows, x_row[live], y[live]) for rows in (above, below))
        f = up[0] + up[1] - low[0] - low[1]
        g = np.array([up[0] * up_du[0][i] + up[1] * up_du[1][i] - low[0] * low_du[0][i] - low[1] * low_du[1][i]
                      for i in (0, 1)])
        density = y_weights[live] * _density(x_row[live]) / plane.spread
        jump = np.divide(density, f, out=np.zeros_like(f), where=f > 0)  # f = 0: a jump lost to rounding
        hessian += (g * jump) @ g.T + (density @ f) * by_z
    return risk, gradient, hessian


def _newton(v: Pair, problem: _Problem, free: Sequence[bool] | Bool[np.ndarray, "2"]) -> tuple[Pair, int]:
    """The minimiser over the coordinates `free` of v > 0, the others kept, and the count of derivatives."""
    def calculus(_: Int[np.ndarray, "1"], at: Float[np.ndarray, "1 2"]) -> Any:
        return [np.asarray(part)[None] for part in _derivatives(at[0], problem)]

    found, counts = damped_newton(calculus, np.array([free]), v[None])
    return found[0], int(counts[0])


def _on_axis(problem: _Problem, i: int) -> tuple[Pair, int]:
    """The minimiser v on axis i, 0 elsewhere, and the count of derivatives."""
    start = np.zeros(2)
    start[i] = 1 / (abs(problem.mu_e) + problem.sigma_e + abs(problem.mu_c) + problem.sigma_c)
    return _newton(start, problem, start > 0)


def _minimise(problem: _Problem) -> tuple[Pair, int]:
    """The minimiser in v >= 0 and the count of derivatives. By convexity a weight is 0 iff its slope there is >= 0."""
    ends, count = np.zeros(2), 0
    for i, mean in enumerate((problem.mu_e, problem.mu_c)):
        if abs(mean) > 2 * problem.eps:  # else the weight is 0
            v, used = _on_axis(problem, i)
            count += used
            if _derivatives(v, problem)[1][1 - i] >= -ROUNDING * problem.scale:
                return v, count
            ends[i] = v[i]
    v, used = _newton(ends / 2, problem, [True, True])
    return v, count + used


def _checked_problem(mu_e: float, mu_c: float, *others: Any) -> _Problem:
    return _Problem(checked("mu_e", mu_e, above=0), checked("mu_c", mu_c, above=0), *others)


def _derivatives_at(w: Pair, signs: Pair, problem: _Problem,
                    order: int = FINER) -> tuple[float, Pair, Float[np.ndarray, "2 2"]]:
    """Risk, gradient, Hessian at any real w, a weight that is 0 being approached along `signs`."""
    if w.any():
        risk, gradient, hessian = _derivatives(abs(w), problem.towards(signs), order)
        return risk, signs * gradient, np.outer(signs, signs) * hessian
    pull = (problem.b - 2 / 3) * np.array([problem.mu_e, problem.mu_c])  # all p are 1/3
    return log(3), pull + signs * 2 * problem.eps * abs(problem.b - 2 / 3), np.diag(problem.decay)


def _evidence(w: Pair, problem: _Problem) -> tuple[float, float, float, float]:
    """Risk, distance of 0 from the subdifferential, quadrature error of the gradient, Newton's step still to go.

    The distance is the slope of steepest descent. It is searched in each orthant that touches w.
    """
    steepest: Any = 0.0
    error: Any = 0.0
    missing: Any = 0.0
    signs: Any
    for signs in product(*((sign,) if sign else (1.0, -1.0) for sign in np.sign(w))):
        signs = np.array(signs)
        risk, gradient, hessian = _derivatives_at(w, signs, problem)
        descent = np.where(w == 0, np.minimum(signs * gradient, 0), gradient)
        steepest = max(steepest, np.linalg.norm(descent))
        error = max(error, np.linalg.norm(gradient - _derivatives_at(w, signs, problem, ORDER)[1]))
        missing = max(missing, np.linalg.norm(np.linalg.solve(hessian, descent)))
    return float(risk), float(steepest) / problem.scale, float(error) / problem.scale, float(missing)


def exact_risk(w1: float, w2: float, mu_e: float, mu_c: float, sigma_e: float, sigma_c: float, rho: float, b: float,
               eps: float, lam: float) -> float:
    """R(w) of `solve_exact` at any real w1, w2.

    >>> round(exact_risk(1, 0.5, 1, 1, 0.5, 0.5, 0, b=0.1, eps=0.2, lam=0.1), 9)
    0.788334177
    """
    w = np.array([checked("w1", w1), checked("w2", w2)])
    problem = _checked_problem(mu_e, mu_c, sigma_e, sigma_c, rho, b, eps, lam)
    return float(_derivatives_at(w, np.where(w < 0, -1.0, 1.0), problem)[0])


def exact_gradient(w1: float, w2: float, mu_e: float, mu_c: float, sigma_e: float, sigma_c: float, rho: float, b: float,
                   eps: float, lam: float) -> tuple[float, float]:
    """(dR/dw1, dR/dw2) of `solve_exact` at any real w1, w2; for a weight that is 0 its limit from above.

    >>> [round(slope, 9) for slope in exact_gradient(1, 0.5, 1, 1, 0.5, 0.5, 0, b=0.1, eps=0.2, lam=0.1)]
    [-0.054213079, -0.120119529]
    """
    w = np.array([checked("w1", w1), checked("w2", w2)])
    problem = _checked_problem(mu_e, mu_c, sigma_e, sigma_c, rho, b, eps, lam)
    slope1, slope2 = map(float, _derivatives_at(w, np.where(w < 0, -1.0, 1.0), problem)[1])
    return slope1, slope2


def solve_exact(mu_e: float, mu_c: float, sigma_e: float, sigma_c: float, rho: float, b: float, eps: float, lam: float,
                lam_c: float | None = None) -> tuple[float, float, float, float, float, int]:
    """Minimise R(w) = E max_delta loss(f(x + delta)) + (lam w1^2 + lam_c w2^2)/2, ||delta||_inf <= eps, over real w.

    loss = -(1-b) log p_i - (b/2)(log p_j + log p_k), p the softmax of the scores f; delta maximises this very loss
    (claim T3-CE, second part). The clean margins are w1 E + w2 C_j and w1 E + w2 C_k.
    mu_e, sigma_e: mean > 0 and deviation > 0 of E.  mu_c, sigma_c, rho: those of C_j and C_k, and their correlation
    in (-1, 1).  b: label smoothing in [0, 1).  eps: attack strength >= 0.  lam: weight decay > 0.
    lam_c: that of w2, where it is not lam.

    Returns (w1, w2, risk, residual, error, iterations): residual is the distance of 0 from the subdifferential,
    error the change of the gradient under a finer quadrature, both in units of max(mu_e, mu_c), and iterations
    counts the derivatives evaluated. w = 0 iff 2 eps >= max(mu_e, mu_c) or b = 2/3; for b > 2/3 the label prefers
    the wrong classes and the weights are negative. Raises ValueError for a number outside its domain, NotConverged
    if the residual or the error exceeds 1e-10 or the weights are not settled to 1e-8 relative.

    >>> w1, w2, *_ = solve_exact(1, 1, 0.5, 0.5, 0, b=0.1, eps=0.2, lam=0.1)
    >>> round(w1, 9), round(w2, 9)
    (1.062135901, 0.95335609)
    """
    problem = _checked_problem(mu_e, mu_c, sigma_e, sigma_c, rho, b, eps, lam, lam_c)
    if problem.scale <= 2 * problem.eps or problem.b == 2 / 3:
        return 0.0, 0.0, log(3), 0.0, 0.0, 0
    sign = 1.0 if problem.b < 2 / 3 else -1.0  # the slope at w = 0 is (b - 2/3) mu, minus what the attack takes
    v, iterations = _minimise(problem.towards((sign, sign)))
    w = sign * v
    risk, residual, error, missing = _evidence(w, problem)
    if not (max(residual, error) <= ACCURACY and missing <= WEIGHT_ACCURACY * np.linalg.norm(w)):
        raise NotConverged(f"a residual of {residual:.1e} mu, a quadrature error of {error:.1e} mu and a weight error "
                           f"of {missing:.1e} are left for {problem}, but at most {ACCURACY:.0e}, {ACCURACY:.0e} and "
                           f"{WEIGHT_ACCURACY:.0e} |w| are accepted: choose a larger lam, or eps and b further from "
                           "mu/2 and 2/3.")
    return float(w[0]) + 0.0, float(w[1]) + 0.0, risk, residual, error, iterations


def exact_threshold(mu_e: float, mu_c: float, sigma_e: float, sigma_c: float, rho: float, b: float,
                    lam: float) -> float:
    """The eps from which on the weight of the smaller mean is 0 in `solve_exact`, for b < 2/3; arguments as there.

    It is the root in eps of that weight's one-sided slope at 0, the other weight being optimal: at the minimiser of
    the axis, with pi the attacked p_j + p_k and tau the loss's slope in t, mu E[pi - b] = 2 eps E[tau]. For w2 = 0,
    tau = |pi - b|, and neither sigma_c nor rho matters. It is mu/2 for b = 0 and for equal means, and smaller
    otherwise. That there is one root is seen on a grid, not proved. Raises ValueError for b >= 2/3.

    >>> round(exact_threshold(1, 0.8, 0.3, 0.3, 0, b=0.1, lam=0.001), 6)
    0.3665
    """
    checked("b", b, least=0, below=2 / 3)
    problem = _checked_problem(mu_e, mu_c, sigma_e, sigma_c, rho, b, 0.0, lam)
    weak, end = int(mu_e > mu_c), min(mu_e, mu_c) / 2

    def slope(eps: float) -> float:
        at = replace(problem, eps=eps)
        return _derivatives(_on_axis(at, 1 - weak)[0], at, FINER)[1][weak]

    if b == 0 or mu_e == mu_c or slope(end) <= ROUNDING * problem.scale:
        return end
    return float(brentq(slope, 0.0, end, xtol=1e-12 * problem.scale))
