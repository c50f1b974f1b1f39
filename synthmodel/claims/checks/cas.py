"""CAS and margin-CAS of the model's own classifier (THEORY.md, CAS and mCAS), from samples and from definitions."""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from synthmodel.claims.evidence import Evidence
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import cross_entropy_ratio

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CHECKS"]


def cosines(rows: Float[np.ndarray, "... k d"]) -> Float[np.ndarray, "... k k"]:
    """Return the matrix of cosines of the rows; a zero vector has cosine 0."""
    sizes = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit = rows / np.where(sizes > 0, sizes, 1)
    return unit @ np.swapaxes(unit, -1, -2)


def positive_sum(matrix: Float[np.ndarray, "k k"]) -> float:
    return float(np.maximum(matrix, 0).sum() - np.maximum(np.diagonal(matrix), 0).sum())


def mean_features(classes: int, shared_by: int, rng: np.random.Generator | None = None,
                  n: int = 0) -> Float[np.ndarray, "k d"]:
    """Return class means: exclusive features, and one for each set of `shared_by` classes, 1 in each of them."""
    groups = list(combinations(range(classes), shared_by))
    means = np.hstack([np.eye(classes), np.array([[float(i in group) for group in groups] for i in range(classes)])])
    if rng is None:
        return means
    active = means > 0
    return np.array([(row + 0.5 * rng.normal(size=(n, len(row))) * on).mean(0)
                     for row, on in zip(means, active, strict=True)])


def check_cas() -> Evidence:
    """CAS of g(x) = x and W = [w1 I | w2 (J - I)], on exact class means and on samples; with rows of W centred, too."""
    errors, sampled = [], []
    rng = np.random.default_rng(0)
    for r in (0.0, 0.2, 0.6, 1.0):
        weight = np.hstack([np.eye(3), r * (1 - np.eye(3))])
        for centred, formula in ((False, r**2 / (1 + 2 * r**2)), (True, r**2 / (4 + 2 * r**2))):
            rows = weight - weight.mean(0) if centred else weight
            means = mean_features(3, 1)[:, :3], 1 - np.eye(3)
            attribution = np.hstack(means) * rows
            matrix = cosines(attribution)
            errors += [matrix[0, 1] - formula, positive_sum(matrix) - 6 * formula]
            drawn = np.hstack([m + 0.5 / math.sqrt(100_000) * rng.normal(size=(3, 3)) * (m > 0) for m in means])
            sampled.append(cosines(drawn * rows)[0, 1] - formula)
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-12 and float(np.max(np.abs(sampled))) < 0.01, "r in {0,.2,.6,1}, W as it is and "
                    "row-centred; class means exact and of 100,000 samples", error, "largest error (allowed: 1e-12)")


def check_cas_separation() -> Evidence:
    """Simulated independent rows and means mu_0 + c W_i, at growing numbers of features, against K(K-1) rho/(1+3 rho).

    Uneven means (mu_0 uniform on [0, 2] or constant), two laws of the entries; W as it is and row-centred. The error is
    that of one draw: it is compared with 60/sqrt(d), the scale of the fluctuations of 90 cosines.
    """
    rng, classes, worst = np.random.default_rng(0), 10, 0.0
    for d in (128, 512, 8192):
        for rho in (0.0, 0.1, 1.0, 10.0):
            for name, kurtosis in (("normal", 3.0), ("uniform", 1.8)):
                rows = rng.normal(size=(classes, d)) if name == "normal" else rng.uniform(-3**0.5, 3**0.5, (classes, d))
                common = rng.uniform(0, 2, d) if d == 512 else np.ones(d)
                c = math.sqrt(rho * np.mean(common**2))
                found = positive_sum(cosines((common + c * rows) * rows))
                expected = classes * (classes - 1) * rho / (1 + kurtosis * rho)
                if rho == 0:
                    effective = np.sum(common**2)**2 / np.sum(common**4)
                    expected = classes * (classes - 1) / math.sqrt(2 * math.pi * effective)
                worst = max(worst, abs(found - expected) * math.sqrt(d) / 60)
                if name == "normal" and rho:
                    centred = rows - rows.mean(0)
                    found = positive_sum(cosines((common + c * centred) * centred))
                    cosine = (rho * ((classes - 1)**2 + 2) - classes) / (
                        (classes - 1) * (classes + 3 * rho * (classes - 1)))
                    # near 0 the positive part of a fluctuating cosine is not that of its limit
                    if cosine * math.sqrt(d) > 2:
                        worst = max(worst, abs(found - classes * (classes - 1) * cosine) * math.sqrt(d) / 60)
    return Evidence(worst < 1, "K = 10; d in {128, 512, 8192}; rho in {0, .1, 1, 10}; normal and uniform entries; W as "
                    "it is and row-centred", worst, "largest error in units of 60/sqrt(d) (allowed: 1)")


def check_cas_basis() -> Evidence:
    """Optimisers in place of constructions: maps A of three classes' features that lead CAS to 0 and to K (K - 1),
    and the largest CAS of any means >= 0 and rows of sum 0, for K = 3, 4.

    The sum of the cosines of all pairs, which has no plateaus, stands for CAS where that is maximised; it is no larger.
    """
    rng, least, most, highest = np.random.default_rng(0), [], [], []
    for _ in range(3):
        weight = rng.normal(size=(3, 6))
        weight -= weight.mean(0)
        means = rng.uniform(size=(3, 6)) + 0.5 * weight

        def matrix(flat: Float[np.ndarray, "36"], weight: Float[np.ndarray, "3 6"] = weight,
                   means: Float[np.ndarray, "3 6"] = means) -> Float[np.ndarray, "3 3"]:
            change = flat.reshape(6, 6)
            return cosines((means @ change.T) * np.linalg.solve(change.T, weight.T).T)
        starts = [(np.eye(6) + 0.3 * rng.normal(size=(6, 6))).ravel() for _ in range(3)]
        least.append(min(minimize(lambda flat: positive_sum(matrix(flat)), start, method="L-BFGS-B").fun
                         for start in starts))
        most.append(max(positive_sum(matrix(minimize(lambda flat: -matrix(flat).sum(), start, method="L-BFGS-B",
                                                     options={"maxfun": 40_000}).x)) for start in starts) / 6)
    for classes in (3, 4):
        def free(flat: Float[np.ndarray, "n"], shape: tuple[int, int, int] = (2, classes, classes),
                 ) -> Float[np.ndarray, "k k"]:
            roots, rows = flat.reshape(shape)
            return cosines(roots**2 * (rows - rows.mean(0)))
        tops = [minimize(lambda flat: -free(flat).sum(), rng.normal(size=2 * classes**2), method="L-BFGS-B",
                         options={"maxfun": 100_000}).x for _ in range(10)]
        highest.append(max(positive_sum(free(flat)) for flat in tops) / (classes * (classes - 2)))
    error = max(*least, *(1 - share for share in most), *(1 - share for share in highest))
    return Evidence(error < 0.1 and max(highest) <= 1 + 1e-9, "three networks of 3 classes and 6 features, 36 entries "
                    "of A, three starts each; means >= 0 and centred rows of 3 and 4 classes, ten starts each", error,
                    "largest distance from 0, K (K - 1) and K (K - 2), of these (allowed: .1: optima may be local)")


def check_mcas() -> Evidence:
    """Features shared by m of K classes: cosines and mCAS from the definition, against the binomial formulas."""
    errors = []
    for classes, shared_by, q in ((3, 2, 0.7), (5, 2, 0.4), (5, 3, 1.2), (6, 5, 0.5)):
        features = mean_features(classes, shared_by)
        weight = np.where(np.arange(features.shape[1]) < classes, 1.0, q) * (features > 0)
        pairs = math.comb(classes - 2, shared_by - 2), math.comb(classes - 1, shared_by - 1)
        errors.append(cosines(features * weight)[0, 1] - q**2 * pairs[0] / (1 + q**2 * pairs[1]))
        shared = q * (classes - shared_by) / (classes - 1)  # of a row-centred W
        centred = weight - weight.mean(0)
        errors.append(cosines(features * centred)[0, 1] - shared**2 * pairs[0] / (1 + shared**2 * pairs[1]))
        values = []
        for gauge in (0.0, 3.0):  # a common row must not matter
            moved = weight + gauge * np.random.default_rng(1).normal(size=weight.shape[1])
            a = (moved[:, None] - moved[None]) * features[:, None]
            unit = a / np.maximum(np.linalg.norm(a, axis=2, keepdims=True), 1e-300)
            values.append(np.mean([unit[i, j] @ unit[other, j] for i, other, j in permutations(range(classes), 3)]))
        # B(K-3, m-2) is 0 for m = K - 1 only if m - 2 > K - 3
        top = math.comb(classes - 3, shared_by - 2) if shared_by - 2 <= classes - 3 else 0
        bottom = math.comb(classes - 2, shared_by - 1)
        errors += [values[0] - q**2 * top / (1 + q**2 * bottom), values[1] - values[0]]
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-12, "(K, m, q) in {(3,2,.7), (5,2,.4), (5,3,1.2), (6,5,.5)}; CAS, row-centred CAS, "
                    "mCAS, and mCAS under a common row", error, "largest error (allowed: 1e-12)")


def trained_ratio(setting: Setting, eps: float, lam_f: float, rng: np.random.Generator, n: int = 12_000) -> float:
    """Return w2/w1 of 18 weights that minimise cross-entropy at x + delta* on a sample, whatever signs they take."""
    own = np.hstack([np.eye(3), 1 - np.eye(3)])
    y = np.repeat(np.arange(3), n // 3)
    features = own[y] * (setting.mu + setting.sigma * rng.normal(size=(len(y), 6)))
    attacked = features + eps * (1 - 2 * own[y])  # delta*: own features down, the others up

    def risk(flat: Float[np.ndarray, "18"]) -> tuple[float, Float[np.ndarray, "18"]]:
        weight = flat.reshape(3, 6)
        log_p = log_softmax(attacked @ weight.T, axis=1)
        error = np.exp(log_p)
        error[np.arange(len(y)), y] -= 1
        return (lam_f / 2 * np.sum(flat**2) - log_p[np.arange(len(y)), y].mean(),
                (error.T @ attacked / len(y) + lam_f * weight).ravel())

    found = minimize(risk, np.zeros(18), jac=True, method="L-BFGS-B", options={"gtol": 1e-6}).x.reshape(3, 6)
    centred = found - found.mean(0)
    return -np.trace(centred[:, 3:]) / np.trace(centred[:, :3])


def check_p_linear() -> Evidence:
    setting, eps, lam_f = Setting(1.0, 0.5), 0.2, 0.05
    ratios = [trained_ratio(setting, eps, lam_f, np.random.default_rng(seed)) for seed in range(16)]
    deviation = float(np.mean(ratios)) - cross_entropy_ratio(setting, eps, 2 * lam_f)
    error = float(np.std(ratios, ddof=1)) / math.sqrt(len(ratios))
    return Evidence(abs(deviation) <= 4 * error and error < 0.01, "16 samples of 12,000, sigma = .5, eps = .2, "
                    f"lam_F = .05; standard error {error:.4f}", abs(deviation), "error of the mean ratio (allowed: 4 "
                    "standard errors)")


CHECKS = {"CAS": check_cas, "CAS-basis": check_cas_basis, "CAS-separation": check_cas_separation,
          "mCAS": check_mcas, "P-linear": check_p_linear}
