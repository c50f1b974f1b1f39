"""The mean of a softmin over draws of any law, by panels that end wherever the law or the softmin bends.

With V_j of the density k(v) = exp(v - e^v), the softmin weight q_j is the chance that h_j = z_j + V_j/y is the least,
and psi(y) = -E sum_j q_j z_j is the slope in y of -y E min_j h_j:

    M(u) = Pr(h_j > u) = int Pr(z > u - v/y) k(v) dv,
    psi(y) = -E min_j h_j - n int M^(n-1) R du,    R(u) = int Pr(z > u - v/y) (v k(v))' dv,

which needs the distribution function alone: densities may be infinite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthmodel.model.quadrature import legendre

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.model.noise import Law

__all__ = ["psi_by_panels"]

# ends of panels of k and (v k)', which are below 1e-18 outside
V = np.array([-46, -30, -20, -13, -8.5, -5.5, -3.5, -2, -1, -0.2, 0.5, 1, 1.4, 1.8, 2.2, 2.6, 3, 3.4, 3.9, 4.5])
LEVELS = 10.0**-np.concatenate([np.arange(24.0, 0, -1), [0.6]])  # of quantiles between panels
DISTANCES = 4.0**np.arange(-16, 17)  # of panels from a finite end of the law, relative to the median's
ROWS = 64  # values of u at a time


def bends(known: Law) -> tuple[Float[np.ndarray, "ends"], Float[np.ndarray, "kinks"]]:
    """Ends of panels for the distribution function of a Law, and where it has kinks: its ends and the median."""
    median = float(known.ppf(0.5))
    finite = [float(end) for end in (known.ppf(0.0), known.isf(0.0)) if np.isfinite(end)]
    quantiles = np.concatenate([known.ppf(LEVELS), known.isf(LEVELS), finite])
    near = [end + (median - end) * DISTANCES for end in finite]
    return (np.unique(np.clip(np.concatenate([quantiles, [median], *near]), quantiles.min(), quantiles.max())),
            np.array([median, *finite]))


def nodes(ends: Float[np.ndarray, "... ends"], order: int,
          ) -> tuple[Float[np.ndarray, "... panels {order}"], Float[np.ndarray, "... panels {order}"]]:
    """Gauss-Legendre nodes and weights (panels, order) between the neighbours of `ends` (..., panels + 1)."""
    x, weights = legendre(order)
    half = np.diff(ends)[..., None] / 2
    return ends[..., :-1, None] + half * (x + 1), half * weights


def psi_by_panels(y: float, n: int, known: Law, order: int) -> float:
    """psi(y) for n >= 2 independent draws of a Law, y > 0; `order` nodes in each panel.

    >>> from synthmodel.model.noise import law
    >>> from synthmodel.solvers.log_sum_exp import psi_pair
    >>> abs(psi_by_panels(3.0, 2, law("normal"), 10) - psi_pair(3.0)[0]) < 1e-12
    np.True_
    """
    z, kinks = bends(known)
    # M bends where its law does, and within 1/y of a kink
    ends = np.unique(np.concatenate([z, (kinks[:, None] + V / y).ravel(), [z[0] + V[0] / y, z[-1] + V[-1] / y, 0.0]]))
    u, weights = (part.ravel() for part in nodes(ends, order))
    total = 0.0
    for start in range(0, len(u), ROWS):
        part = slice(start, start + ROWS)
        total += weights[part] @ integrand(u[part], y, n, known, z, order)
    return float(total)


def integrand(u: Float[np.ndarray, "m"], y: float, n: int, known: Law, z: Float[np.ndarray, "ends"], order: int,
              ) -> Float[np.ndarray, "m"]:
    """That of psi(y) at u (m,): the mean of the least from 1 - M^n below 0, from M^n above; each tail keeps its digits.

    z: ends of panels of the Law.
    """
    cuts = np.concatenate([y * (u[:, None] - z), np.broadcast_to(V, (len(u), len(V)))], axis=1)
    v, weights = nodes(np.sort(np.clip(cuts, V[0], V[-1])), order)
    row, panel = np.nonzero(weights[..., 0])
    v, weights = v[row, panel], weights[row, panel]
    power = np.exp(v)
    density = power * np.exp(-power) * weights
    chance, left = np.empty_like(v), u[row] <= 0
    chance[left] = known.cdf(u[row][left, None] - v[left] / y)
    chance[~left] = known.sf(u[row][~left, None] - v[~left] / y)
    mean, slope = (np.bincount(row, (chance * factor).sum(axis=1), len(u))
                   for factor in (density, density * (1 + v * (1 - power))))
    below = np.minimum(mean, 0.5)  # Pr(h <= u), where it is small
    left, above = u <= 0, np.where(u <= 0, 1 - mean, mean)
    most = np.where(mean <= 0.5, -np.expm1(n * np.log1p(-below)), 1 - above**n)
    return np.where(left, most, -above**n) + n * above**(n - 1) * np.where(left, slope, -slope)
