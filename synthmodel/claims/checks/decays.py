"""Other penalties than (lam/2)(w1^2 + w2^2), and label smoothing at unequal noise: G-decay and what it refutes."""

import math
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from synthmodel.accuracy.three_classes import r_acc
from synthmodel.claims.checks.theorems import joint_by_quadrature
from synthmodel.claims.evidence import Evidence
from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import ratio_limit, solve_cross_entropy
from synthmodel.solvers.margin_vertices import solve_numeric
from synthmodel.solvers.solve import solve

__all__ = ["CHECKS", "entries", "force"]

STEP = 0.05
NODES = np.arange(-9, 9 + STEP / 2, STEP)
WEIGHTS = STEP * np.exp(-NODES**2 / 2) / math.sqrt(2 * math.pi)
ENTRIES = np.hstack([np.eye(3), np.zeros((3, 3))]), np.hstack([np.zeros((3, 3)), 1 - np.eye(3)])  # of w1, of w2 in W
BENT, STEEP = (6.3766, 0.12699, 3.262e-5), (12.579, 2.7345, 1.251e-6)  # d, sigma_C, lam: w2 rises, w1 rises
B_BENT, B_STEEP = 1e-4, 1e-6


def force(w1: float, w2: float, d: float, b: float = 0.0, sigma_c: float = 1.0) -> tuple[float, float]:
    """Minus the slopes of cross-entropy in w1 and w2, e ~ N(d, 1), c ~ N(d, sigma_c^2): Stein's form (S1), in a plane.

    The half sum and half difference of the two margins are independent; the trapezoidal rule over both.
    """
    half = sigma_c * w2 / math.sqrt(2)
    mean, spread = d * (w1 + w2), math.hypot(w1, half)
    centre, apart = mean + spread * NODES[:, None], half * NODES
    p = softmax(np.stack(np.broadcast_arrays(0.0, -centre - apart, -centre + apart)), axis=0)

    def average(values: np.ndarray) -> float:
        return float(WEIGHTS @ values @ WEIGHTS)

    pull = d * (average(p[1] + p[2]) - b)
    return (pull - w1 * average(p[0] * (1 - p[0])),
            pull - w2 * sigma_c**2 * average(p[1] * (1 - p[1]) + p[2] * (1 - p[2])))


def entries(w1: float, w2: float) -> float:
    """The sum of the squares of the entries of W."""
    return float(np.sum((w1 * ENTRIES[0] + w2 * ENTRIES[1])**2))


def check_g_decay() -> Evidence:
    """The margin losses by brute force over 64 vertices, cross-entropy by its own quadrature, the norms from W."""
    errors = []
    for (lam_e, lam_c), eps, b in product(((0.3, 0.6), (0.2, 0.05), (1.0, 3.0)), (0.0, 0.2, 0.3589, 0.37), (0.0, 0.1)):
        setting, loss = Setting(1.0, 0.5), SmoothedMargin(b) if b else Margin()
        one, two = solve(setting, loss, eps, lam_e), solve_numeric(setting, loss, eps, lam_e, lam_c)
        errors += [two.w1 - one.w1, two.w2 - one.w2 * lam_e / lam_c]
        errors.append(float((two.w2 > 0) != (one.w2 > 0)))
    for (lam_e, lam_c), k in product(((0.3, 0.6), (0.2, 0.05), (1.0, 3.0)), (0.05, 0.7, 1.5)):
        found = solve_cross_entropy(Setting(k, 1.0), CrossEntropy(), 0.0, lam_e, lam_c)
        pulls = force(found.w1, found.w2, k)
        errors += [pulls[0] - lam_e * found.w1, pulls[1] - lam_c * found.w2]
    near = solve_cross_entropy(Setting(1.0, 0.5), CrossEntropy(), 0.49999, 0.05, 0.1).ratio
    errors.append(near - ratio_limit(Setting(1.0, 0.5), 0.05, 0.1))
    for penalty, norm in (("entries", entries), ("centred", lambda *w: entries(*w) - 3 * np.sum(
            (w[0] * ENTRIES[0] + w[1] * ENTRIES[1]).mean(axis=0)**2))):
        found = solve(Setting(1.0, 0.5), Margin(), 0.2, 0.1, penalty=penalty)  # risk: -(lam_F/2) |W|^2
        errors.append(found.risk + 0.05 * norm(found.w1, found.w2))
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-8, "three pairs of decays, eps in {0,.2,.3589,.37}, b in {0,.1}, k in {.05,.7,1.5}",
                    error, "largest error (allowed: 1e-08)")


def check_n3_entries() -> Evidence:
    """At k = 1 accuracy still rises at full smoothing; at k = .8 it does not."""
    gains = {}
    for k in (0.8, 1.0, 2.0):
        ratios = [solve(Setting(k, 1.0), SmoothedMargin(b), 0.0, 1.0, penalty="entries").ratio
                  for b in (0.98, 0.99, 0.999)]
        gains[k] = min(np.diff([joint_by_quadrature(r, k) for r in ratios]))
    turn = brentq(lambda k: r_acc(k) - 0.5, 0.6, 1.5, xtol=1e-14)
    return Evidence(bool(gains[0.8] < 0 < min(gains[1.0], gains[2.0]) and abs(turn - 0.8527056973) < 1e-9),
                    "k in {.8,1,2}, b in {.98,.99,.999}", float(min(gains[1.0], gains[2.0])),
                    "smallest rise of accuracy in b", f"k = 1: r_acc = {r_acc(1.0):.4f} > 1/2, which no smoothing "
                    "exceeds")


def check_n4_entries() -> Evidence:
    """r_CE < r_acc at three points; a risk that falls from the ray r = r_acc towards smaller ratios."""
    margins = []
    for k, decay in ((1.0, 0.1), (1.2, 0.1), (2.0, 1e-4)):
        best, found = r_acc(k), solve_cross_entropy(Setting(k, 1.0), CrossEntropy(), 0.0, decay, 2 * decay)

        def along(w1: float, best: float = best, k: float = k, decay: float = decay) -> float:
            pulls = force(w1, best * w1, k)
            return pulls[0] - decay * w1 + best * (pulls[1] - 2 * decay * best * w1)

        w1 = brentq(along, 0.05, 20.0, xtol=1e-13)
        pulls = force(w1, best * w1, k)
        margins += [best - found.ratio, pulls[0] - decay * w1 - (pulls[1] - 2 * decay * best * w1) / best]
    strong = solve_cross_entropy(Setting(1.0, 1.0), CrossEntropy(), 0.0, 1e4, 2e4).ratio
    one = solve_cross_entropy(Setting(1.0, 1.0), CrossEntropy(), 0.0, 0.1, 0.2)
    return Evidence(bool(min(margins) > 0 and abs(strong - 0.5) < 1e-4), "(k, lam_e/sigma^2) = (1, .1), (1.2, .1), (2, "
                    "1e-4); lam_e/sigma^2 = 1e4", float(min(margins)), "smallest r_acc - r_CE, or fall towards it",
                    f"k = 1, lam_e/sigma^2 = .1, lam_c = 2 lam_e: r_CE = {one.ratio:.6f} < r_acc = {r_acc(1.0):.6f}")


def check_t3_ce_unequal() -> Evidence:
    """The weights with and without smoothing satisfy the conditions of another quadrature."""
    rises, residuals, shown = [], [], []
    for (d, sigma_c, lam), b, which in ((BENT, B_BENT, "w2"), (STEEP, B_STEEP, "w1")):
        values = []
        for smoothing in (0.0, b):
            found = solve_cross_entropy(Setting(d, sigma_e=1.0, sigma_c=sigma_c), CrossEntropy(smoothing), 0.0, lam)
            pulls = force(found.w1, found.w2, d, smoothing, sigma_c)
            residuals += [pulls[0] / (lam * found.w1) - 1, pulls[1] / (lam * found.w2) - 1]
            values.append(getattr(found, which))
        rises.append(values[1] / values[0] - 1)
        shown.append(f"d = {d}, sigma_C = {sigma_c}, lam = {lam}: {which} goes from {values[0]:.4f} to {values[1]:.4f} "
                     f"at b = {b:g}")
    residual = float(np.max(np.abs(residuals)))
    return Evidence(bool(min(rises) > 0.05 and residual < 1e-6), "two settings, sigma_E = 1", float(min(rises)),
                    "smallest relative rise", "; ".join(shown))


CHECKS = {"G-decay": check_g_decay, "N3-entries": check_n3_entries, "N4-entries": check_n4_entries,
          "T3-CE-unequal": check_t3_ce_unequal}
