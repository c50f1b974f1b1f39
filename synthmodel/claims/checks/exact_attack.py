"""Label-smoothed cross-entropy under its own exact attack, against the attack by brute force on sampled inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, qmc

from synthmodel.claims.evidence import Evidence
from synthmodel.model.sampling import attacked_scores
from synthmodel.solvers.cross_entropy_exact import exact_risk, exact_threshold, solve_exact

if TYPE_CHECKING:
    from jaxtyping import Float

    Features = tuple[Float[np.ndarray, "64 n 3"], Float[np.ndarray, "64 n 3"]]

__all__ = ["CHECKS", "sampled_gradient", "side_of_ray"]

# (sigma, eps, lam, b), mu = 1: the first has r above, the second below its value without smoothing
HIGHER, LOWER = (0.2, 0.45, 0.001, 0.2), (0.5, 0.2, 0.001, 0.6)
SEEDS, POINTS = (0, 1, 2), 10  # Sobol points, 2^10 of them, under independent random shifts


def attacked_features(sigma: float, eps: float, seed: int, points: int = POINTS, mean_c: float = 1.0) -> Features:
    """Return the scores' slopes in w1 and w2 at 2^points inputs of class 1 and all 64 vertices: (64, n, 3) each."""
    x = np.zeros((2**points, 6))  # E1, E2, E3, C1, C2, C3
    shift = np.random.default_rng(seed).random(3)
    uniform = (qmc.Sobol(3, scramble=False).random_base2(points) + shift) % 1
    x[:, [0, 4, 5]] = np.array([1.0, mean_c, mean_c]) + sigma * norm.ppf(uniform)
    return attacked_scores(x, 1.0, 0.0, eps), attacked_scores(x, 0.0, 1.0, eps)


def sampled_gradient(features: Features, w1: float, w2: float, b: float, lam: float) -> tuple[float, float]:
    """Return (dR/dw1, dR/dw2) of the sampled risk: each input at the vertex where the smoothed loss is largest."""
    by_w1, by_w2 = features
    label = np.array([1 - b, b / 2, b / 2])
    f = w1 * by_w1 + w2 * by_w2
    top = f.max(axis=2)
    powers = np.exp(f - top[:, :, None])
    total = powers.sum(axis=2)
    worst = (top + np.log(total) - f @ label).argmax(axis=0)
    rows = worst, np.arange(len(worst))
    slope = powers[rows] / total[rows][:, None] - label
    return ((slope * by_w1[rows]).sum(axis=1).mean() + lam * w1, (slope * by_w2[rows]).sum(axis=1).mean() + lam * w2)


def side_of_ray(features: Features, r: float, b: float, lam: float) -> float:
    """Return dR/dw2 at the minimum on the ray w2 = r w1: by convexity the minimiser has w2/w1 > r iff it is < 0."""
    def along(w1: float) -> float:
        by_w1, by_w2 = sampled_gradient(features, w1, r * w1, b, lam)
        return by_w1 + r * by_w2

    best = brentq(along, 0.02, 20.0, xtol=1e-4)
    return sampled_gradient(features, best, r * best, b, lam)[1]


def check_t3_ce_exact() -> Evidence:
    """The ratios with and without smoothing lie on opposite sides of a ray half-way between them."""
    slopes, ratios = [], []
    for (sigma, eps, lam, b), sign in ((HIGHER, 1), (LOWER, -1)):
        plain, smoothed = (w2 / w1 for w1, w2, *_ in (solve_exact(1, 1, sigma, sigma, 0, c, eps, lam) for c in (0, b)))
        ratios.append((plain, smoothed))
        for seed in SEEDS:
            features, middle = attacked_features(sigma, eps, seed), (plain + smoothed) / 2
            slopes += [sign * side_of_ray(features, middle, 0, lam), -sign * side_of_ray(features, middle, b, lam)]
    (low, high), (full, less) = ratios
    margin = float(np.min(slopes))
    example = (f"mu = 1, lam = .001: at sigma = .2, eps = .45 smoothing by b = .2 raises r from {low:.4f} to "
               f"{high:.4f}; at sigma = .5, eps = .2 smoothing by b = .6 lowers it from {full:.4f} to {less:.4f}")
    return Evidence(bool(margin > 0 and high > low and full > less),
                    f"two examples; 64 vertices, {len(SEEDS)} shifted Sobol samples of {2**POINTS} inputs", margin,
                    "smallest |dR/dw2|, of the right sign, on the ray half-way between the two ratios", example)


def check_s1_exact() -> Evidence:
    """r = 1 divides the cases in which the risk falls or rises with the correlation of the cross-class features."""
    margins, step = [], 0.02
    for sigma, eps, b in ((0.2, 0.2, 0.1), (0.5, 0.2, 0.2)):
        w1, w2, *_ = solve_exact(1, 1, sigma, sigma, 0, b, eps, 0.001)
        rise = (exact_risk(w1, w2, 1, 1, sigma, sigma, step, b, eps, 0.001)
                - exact_risk(w1, w2, 1, 1, sigma, sigma, -step, b, eps, 0.001))
        margins.append(np.sign(w2 / w1 - 1) * rise / (2 * step) / sigma**2)
    over = solve_exact(1, 1, 0.2, 0.2, 0, 0.1, 0.2, 0.001)
    return Evidence(bool(min(margins) > 0 and over[1] > over[0]), "(sigma, b) in {(.2,.1), (.5,.2)}, eps = .2, "
                    "lam = .001", float(min(margins)), "smallest |dR/drho|/sigma^2, of the right sign",
                    f"mu = 1, sigma = .2, eps = .2, lam = .001, b = .1: r = {over[1] / over[0]:.3f} > 1")


def check_t1_ce_exact() -> Evidence:
    """At equal means both weights are positive just below mu/2, for each noise, b and lam tried."""
    least = []
    for sigma, b, lam in ((0.1, 0.1, 0.001), (0.5, 0.2, 0.1), (0.5, 0.6, 1.0), (1.5, 0.4, 0.01)):
        w1, w2, *_ = solve_exact(1, 1, sigma, sigma, 0, b, 0.49, lam)
        least.append(min(w1, w2) / max(w1, w2))
    dead = solve_exact(1, 1, 0.5, 0.5, 0, 0.2, 0.5, 0.1)
    return Evidence(bool(min(least) > 0 and dead[0] == dead[1] == 0), "4 settings with sigma from .1 to 1.5, b "
                    "from .1 to .6, lam from .001 to 1, at eps = .49; eps = .5", float(min(least)),
                    "smallest ratio of the weights at eps = .49")


def check_t1_ce_exact_unequal() -> Evidence:
    """mu = (1, .8): the slope in w2 at 0+ on sampled inputs, w1 at its minimum, on both sides of the threshold."""
    sigma, b, lam, slopes = 0.1, 0.1, 0.001, []
    threshold = exact_threshold(1, 0.8, sigma, sigma, 0, b, lam)
    for eps, sign in ((0.9 * threshold, -1), (1.1 * threshold, 1)):
        features = attacked_features(sigma, eps, 0, mean_c=0.8)
        w1 = brentq(lambda w, f=features: sampled_gradient(f, w, 1e-9, b, lam)[0], 0.02, 50.0, xtol=1e-6)
        slopes.append(sign * sampled_gradient(features, w1, 1e-9, b, lam)[1])
        slopes.append(0.5 if (solve_exact(1, 0.8, sigma, sigma, 0, b, eps, lam)[1] == 0) == (sign > 0) else -0.5)
    return Evidence(bool(min(slopes) > 0 and threshold < 0.3), "mu = (1, .8), sigma = .1, lam = .001, b = .1; sampled "
                    "inputs, 64 vertices, 10 % on both sides", float(min(slopes)),
                    "smallest slope in w2 at 0+, of the right sign", f"w2 dies at eps = {threshold:.4f}, though half "
                    "its mean is .4")


CHECKS = {"T3-CE-exact": check_t3_ce_exact, "S1-exact": check_s1_exact, "T1-CE-exact": check_t1_ce_exact,
          "T1-CE-exact-unequal": check_t1_ce_exact_unequal}
