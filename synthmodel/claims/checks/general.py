"""The generalisations (THEORY.md, section 5) and unequal noise (T2-unequal), by integrals of other forms."""

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
from scipy import stats

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio, best_smoothing
from synthmodel.claims.checks.theorems import gaussian_mean
from synthmodel.claims.evidence import Evidence
from synthmodel.model.losses import Margin, SmoothedMargin
from synthmodel.model.noise import law
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import ratio_closed, solve_closed, threshold_closed
from synthmodel.solvers.margin_polar import solve_polar

__all__ = ["CHECKS", "joint_unequal"]

LAWS = {"normal": stats.norm(), "laplace": stats.laplace(), "logistic": stats.logistic(), "uniform": stats.uniform(),
        "student-t:5": stats.t(5), "gumbel": stats.gumbel_r()}
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def gini(frozen: Any) -> float:
    """Compute E|X - X'| = 2 int F (1 - F) by Gauss-Legendre on pieces between quantiles."""
    edges = [frozen.ppf(u) for u in (1e-14, 1e-6, 0.01, 0.5)] + [frozen.isf(u) for u in (0.01, 1e-6, 1e-14)]
    total = 0.0
    for low, high in pairwise(edges):
        x = low + (high - low) * (NODES + 1) / 2
        total += (high - low) * np.sum(WEIGHTS * frozen.cdf(x) * frozen.sf(x))
    return float(total)


def check_g_noise() -> Evidence:
    errors = []
    for (name, frozen), sigma in product(LAWS.items(), (0.2, 0.6)):
        noise = frozen if name == "gumbel" else name
        threshold = threshold_closed(Setting(1.0, sigma, noise=noise), Margin())
        errors.append(threshold - (0.5 - gini(frozen) * sigma / frozen.std() / 4))
    for rho, own in product((-0.4, 0.3, 0.8), (0.3, 0.9)):
        setting = Setting(1.0, 0.4, mu_c=0.9, sigma_c=own, rho=rho)
        # min = mean - |difference|/2, the difference normal with variance 2 own^2 (1 - rho): |.| on a half-line
        half = (NODES + 1) * 5
        gap = np.sum(WEIGHTS * 5 * 2 * half * stats.norm.pdf(half)) * own * math.sqrt(2 * (1 - rho)) / 2
        errors.append(threshold_closed(setting, Margin()) - (0.9 - gap) / 2)
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-9, "six laws (Gumbel as a frozen law), rho in {-.4,.3,.8}, own means and noises", error,
                    "largest error of eps0 (allowed: 1e-09)")


def check_g_k() -> Evidence:
    """Weights on both sides of the threshold by the polar solver, and e_2..e_5 by their closed forms."""
    errors = []
    exact = {2: 1 / math.sqrt(math.pi), 3: 1.5 / math.sqrt(math.pi),
             4: 6 / math.pi**1.5 * math.atan(math.sqrt(2)),
             5: 5 / (4 * math.sqrt(math.pi)) + 15 / (2 * math.pi**1.5) * math.asin(1 / 3)}
    errors += [law("normal").mean_largest(n) - e for n, e in exact.items()]
    for classes, design, sigma in product((3, 4, 10), "AB", (0.2, 0.5)):
        setting = Setting(1.0, sigma, classes=classes, design=design)
        threshold = threshold_closed(setting, Margin())
        if threshold > 0:
            for fraction in (0.5, 0.999, 1.001):
                closed, numeric = (method(setting, Margin(), fraction * threshold, 1.0)
                                   for method in (solve_closed, solve_polar))
                errors += [closed.w1 - numeric.w1, closed.w2 - numeric.w2, float((closed.w2 > 0) != (fraction < 1))]
    kept = [threshold_closed(Setting(1.0, 0.5, classes=k, design="B"), Margin()) for k in (10, 100, 1000)]
    lost = [threshold_closed(Setting(1.0, 0.5, classes=k), Margin()) for k in (10, 100, 1000)]
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-9 and lost[-1] < 0 and 0.4999 > kept[-1] > kept[0] > 0.4,
                    f"K in {{3,4,10}}, designs A and B; at K = 1000 and sigma = .5 eps0 is {lost[-1]:.3f} (A), "
                    f"{kept[-1]:.4f} (B)", error, "largest error (allowed: 1e-09)")


def density_sign(r: float, k: float, n: int) -> float:
    """Compute E[T] under the density proportional to phi(T - m) Phi(k - c T)^(n-1): the sign of dP/dr (G-joint-K)."""
    c, q = 1 / math.hypot(1, r), r / math.hypot(1, r)
    t = np.linspace(-12, 12, 4001) + k * (c - q)
    weight = stats.norm.pdf(t - k * (c - q)) * stats.norm.cdf(k - c * t)**(n - 1)
    return float(np.sum(t * weight) / np.sum(weight))


def joint_classes(r: float, k: float, n: int) -> float:
    """Compute Pr(e + r c_j > 0 for n wrong classes): given e they are independent."""
    return float(stats.norm.cdf(k)) if r == 0 else gaussian_mean(lambda e: stats.norm.cdf(k + e / r)**n, k)


def check_g_joint_k() -> Evidence:
    wrong, errors = 0, []
    for classes, k in product((3, 4, 10), (0.7, 1.5, 2.5)):
        setting, n, step = Setting(k, 1.0, classes=classes), classes - 1, 1e-4
        for r in (0.05, 0.2, 0.5, 0.8, 1.0, 2.0):
            slope = (joint_classes(r + step, k, n) - joint_classes(r - step, k, n)) / (2 * step)
            wrong += np.sign(slope) != np.sign(density_sign(r, k, n))
            errors.append(joint_classes(r, k, n) - accuracy_of(setting, r, 0.0)[0])
        best = best_ratio(setting, 0.0)
        errors.append(density_sign(best, k, n) if best > 0 else max(density_sign(1e-9, k, n), 0))
    error = float(np.max(np.abs(errors)))
    return Evidence(wrong == 0 and error <= 1e-9, "K in {3,4,10}, k in {.7,1.5,2.5}, r in {.05,...,2}; the sign "
                    "against differences of another integral", error,
                    "largest error of P, and of S at r_acc (allowed: 1e-09)")


def check_t2_joint_k() -> Evidence:
    """The shape on a grid of ratios for several K; r_acc = 0 exactly up to k = e_{K-1}."""
    ratios, steepness, good = np.linspace(0.0, 2.0, 81), [], True
    for classes in (4, 10, 30):
        edge = law("normal").mean_largest(classes - 1)
        for k in (0.9 * edge, 0.999 * edge, 1.001 * edge, 1.3 * edge, 2 * edge):
            setting = Setting(k, 1.0, classes=classes)
            best = best_ratio(setting, 0.0)
            good &= (best > 0) == (k > edge) and best < 1
            values = np.array([joint_classes(r, k, classes - 1) for r in ratios])
            rising, falling = ratios[1:] <= best, ratios[:-1] >= best
            steps = np.diff(values)
            steepness += [*steps[rising], *-steps[falling]]
    smallest = float(np.min(steepness))
    return Evidence(bool(good and smallest > 0), "K in {4,10,30}, k from .9 to 2 e_{K-1}, r in [0, 2] in steps of .025",
                    smallest, "smallest change of accuracy in a step, with the right sign")


def check_n2_k() -> Evidence:
    gaps, good = [], True
    for classes in (4, 10, 30):
        edge = law("normal").mean_largest(classes - 1)
        for k in edge * np.array([1.01, 1.1, 1.5, 2.5]):
            setting = Setting(k, 1.0, classes=classes)
            best, used, smoothing = best_ratio(setting, 0.0), 1 - edge / k, best_smoothing(setting, 0.0)
            assert smoothing is not None
            gaps.append((best - used) / (used * (1 - used)))
            good &= 0 < smoothing < 1
            smoothed = solve_polar(setting, SmoothedMargin(smoothing), 0.0, 1.0).ratio
            good &= abs(smoothed - best) < 1e-9
    return Evidence(bool(good and min(gaps) > 0), "K in {4,10,30}, k from 1.01 to 2.5 e_{K-1}", min(gaps),
                    "smallest (r_acc - r_AT)/(r_AT (1 - r_AT))")


def joint_pairs(r: float, k: float, n: int) -> float:
    """Compute Pr(e + r (S - c_j) > 0 for all j) in design B; in law all share e + r Y, Y a sum of n - 2 features."""
    deviation = math.hypot(1, r * math.sqrt(n - 2))
    return float(stats.norm.cdf(k)) if r == 0 else gaussian_mean(
        lambda u: stats.norm.cdf(k + deviation * u / r)**n, k * (1 + (n - 2) * r) / deviation)


def check_t2_joint_b() -> Evidence:
    ratios, steepness, errors, good = np.linspace(0.0, 2.0, 81), [], [], True
    for classes in (4, 10, 30):
        n = classes - 1
        edge = law("normal").mean_largest(n) / (n - 1)
        for k in (0.5 * edge, 0.999 * edge, 1.001 * edge, 2 * edge, 1.0):
            setting = Setting(k, 1.0, classes=classes, design="B")
            best = best_ratio(setting, 0.0)
            good &= (best > 0) == (k > edge) and best < 1
            values = np.array([joint_pairs(r, k, n) for r in ratios])
            errors.append(values[20] - accuracy_of(setting, ratios[20], 0.0)[0])
            steps = np.diff(values)
            steepness += [*steps[ratios[1:] <= best], *-steps[ratios[:-1] >= best]]
    smallest, error = float(np.min(steepness)), float(np.max(np.abs(errors)))
    return Evidence(bool(good and smallest > 0 and error < 1e-10), "K in {4,10,30}, k from half to "
                    "twice e_{K-1}/(K-2) and 1, r in [0, 2] in steps of .025", smallest,
                    "smallest change of accuracy in a step, with the right sign")


def check_n2_b() -> Evidence:
    """With decay on all of W the cross-class weight is that of decay on (w1, w2), divided by K - 2."""
    gaps = []
    for classes in (4, 10, 30):
        n = classes - 1
        edge = law("normal").mean_largest(n) / (n - 1)
        for k in edge * np.array([1.01, 1.2, 2.0, 5.0]):
            setting = Setting(k, 1.0, classes=classes, design="B")
            used = solve_polar(setting, Margin(), 0.0, 1.0).ratio / (n - 1)
            best = best_ratio(setting, 0.0)
            gaps.append((best - used) / (used * (1 - used)))
            gaps.append(1e-9 - abs(used - (1 - edge / k)))
    over = Setting(1.0, 0.5, classes=10, design="B")
    return Evidence(bool(min(gaps) > 0), "K in {4,10,30}, k from 1.01 to 5 e_{K-1}/(K-2)", min(gaps[::2]),
                    "smallest (r_acc - r_AT)/(r_AT (1 - r_AT))", "with decay on (w1, w2) alone, K = 10, mu = 1, "
                    f"sigma = .5, eps = .1: r_AT = {solve_closed(over, Margin(), 0.1, 1.0).ratio:.2f} > r_acc = "
                    f"{best_ratio(over, 0.1):.2f}")


def check_g_lp() -> Evidence:
    errors, ordered = [], []
    for p, eps, sigma in product((1.0, 1.5, 2.0, 3.0, 8.0, math.inf), (0.0, 0.15, 0.3), (0.3, 0.8)):
        setting = Setting(1.0, sigma, norm=p)
        closed, numeric = (method(setting, Margin(), eps, 1.0) for method in (solve_closed, solve_polar))
        errors += [closed.w1 - numeric.w1, closed.w2 - numeric.w2]
        if eps:
            free = 1 - sigma / math.sqrt(math.pi)
            ordered.append((numeric.ratio - free) * np.sign(p - 2) if p != 2 else -abs(numeric.ratio - free))
        dies = threshold_closed(setting, Margin())
        alive = solve_polar(setting, Margin(), 0.999 * dies, 1.0)
        dead = solve_polar(setting, Margin(), 1.001 * dies, 1.0)
        errors.append(float(not (alive.w2 > 0 == dead.w2)))
        # w1 outlives w2 only for p = inf
        errors.append(float((dead.w1 > 0) != (p == math.inf)))
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-9 and max(ordered) <= 1e-12, "p in {1,1.5,2,3,8,inf}, eps in {0,.15,.3}, sigma in "
                    "{.3,.8}", error, "largest error of a weight (allowed: 1e-09)")


def joint_unequal(r: float, d_e: float, d_c: float, s_e: float, s_c: float) -> float:
    """Compute Pr(d_e + s_e z + r (d_c + s_c z_j) > 0, j = 1, 2): given z they are independent."""
    if r == 0:
        return float(stats.norm.cdf(d_e / s_e))
    return gaussian_mean(lambda e: stats.norm.cdf((d_e + s_e * e + r * d_c) / (r * s_c))**2, 0.0)


def check_t2_unequal() -> Evidence:
    wrong, errors, step = 0, [], 1e-4
    for s_e, s_c, eps in product((0.35, 0.8), (0.3, 0.6), (0.0, 0.2, 0.35)):
        d = 1 - 2 * eps
        for r in (0.1, 0.4, 0.8, 1.5):
            slope = (joint_unequal(r + step, d, d, s_e, s_c) - joint_unequal(r - step, d, d, s_e, s_c)) / (2 * step)
            scaled, k_e, k_c = r * s_c / s_e, d / s_e, d / s_c
            root = math.sqrt((1 + scaled**2) * (2 + scaled**2))
            u = scaled * (k_e + scaled * k_c) / root
            sign = ((k_c - scaled * k_e) * math.sqrt((2 + scaled**2) / (1 + scaled**2))
                    - stats.norm.pdf(u) / stats.norm.cdf(u))
            wrong += np.sign(sign) != np.sign(slope)
        setting = Setting(1.0, sigma_e=s_e, sigma_c=s_c)
        best = best_ratio(setting, eps)
        errors.append(float((best > 0) != (d / s_c > 1 / math.sqrt(math.pi))))
        errors.append(accuracy_of(setting, 0.7, eps)[0] - joint_unequal(0.7, d, d, s_e, s_c))
    for k_e, k_c, turns in ((0.046, 0.5716, 1), (0.2, 1.5, 1), (0.01, 0.12, 0), (0.046, 0.5641, 0),
                            (0.0454, 0.571536, 3)):
        wrong += sign_changes(k_e, k_c) != turns
    wrong += joint_unequal(2.0, 0.029, 0.564, 1.0, 1.0) <= stats.norm.cdf(0.029)  # the threshold's end
    error = float(np.max(np.abs(errors)))
    return Evidence(wrong == 0 and error <= 1e-9, "sigma_e in {.35,.8}, sigma_c in {.3,.6}, eps in {0,.2,.35}, r in "
                    "{.1,.4,.8,1.5}: 48 signs; rises and falls at the bounds of k_E and k_C", error,
                    "largest error of the accuracy (allowed: 1e-09)")


def sign_changes(k_e: float, k_c: float) -> int:
    """How often dP/dr changes its sign, P the mean of Phi(k_c + e/r)^2 over e ~ N(k_e, 1), by its integrand's slope."""
    c = 9 * NODES  # dP/dr = E[m p_e(-r m)], m = k_c + the smaller of two normals
    density = 9 * WEIGHTS * 2 * stats.norm.pdf(c) * stats.norm.sf(c) * (k_c + c)
    slopes = np.exp(-(np.geomspace(1e-3, 10, 400)[:, None] * (k_c + c) + k_e)**2 / 2) @ density
    return int(np.count_nonzero(np.diff(np.sign(slopes))))


def check_n2_unequal() -> Evidence:
    setting, eps = Setting(1.0, sigma_e=0.35, sigma_c=0.6), 0.2
    used, best = solve_closed(setting, Margin(), eps, 1.0).ratio, best_ratio(setting, eps)
    gain = joint_unequal(best, 0.6, 0.6, 0.35, 0.6) - joint_unequal(used, 0.6, 0.6, 0.35, 0.6)
    near = Setting(1.0, sigma_e=0.35, sigma_c=0.6)
    threshold = threshold_closed(near, Margin())
    limit = best_ratio(near, threshold - 3e-4) / solve_closed(near, Margin(), threshold - 3e-4, 1.0).ratio
    error = abs(limit - 0.35**2 / (0.6**2 * (1 - 1 / math.pi)))
    return Evidence(used > best and gain > 0 and error < 3e-3, "sigma_e = .35, sigma_c = .6, mu = 1, eps = .2; the "
                    f"limit of r_acc/r_AT at the threshold to {error:.0e}", used - best, "r_AT - r_acc",
                    f"r_AT = {used:.4f} > r_acc = {best:.4f}; with equal noise r_AT < r_acc always "
                    f"(k = 1.2: {ratio_closed(1.2):.4f} < {best_ratio(Setting(1.2, 1.0), 0.0):.4f})")


CHECKS = {"G-noise": check_g_noise, "G-K": check_g_k, "G-joint-K": check_g_joint_k,
          "T2-joint-K": check_t2_joint_k, "N2-K": check_n2_k,
          "T2-joint-B": check_t2_joint_b, "N2-B": check_n2_b, "G-lp": check_g_lp, "T2-unequal": check_t2_unequal,
          "N2-unequal": check_n2_unequal}
