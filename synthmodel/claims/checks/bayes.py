"""The robust Bayes error, any sharing and the learning curve, by brute force and samples (THEORY.md, section 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import quad
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.special import ndtr

from synthmodel.accuracy.any_setting import accuracy_of
from synthmodel.accuracy.bayes import affine_error, bayes_error, error_of_chances, exclusive_error, linear_error
from synthmodel.accuracy.sharing import ANIMALS_AND_VEHICLES, Sharing, error_of_sharing
from synthmodel.accuracy.three_classes import joint_accuracy, r_acc
from synthmodel.claims.checks.samples import robust_margins
from synthmodel.claims.evidence import Evidence
from synthmodel.flows.learning_curve import chance_used
from synthmodel.model.losses import Margin
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import threshold_closed

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CHECKS", "affine_scores", "best_of_all_classifiers", "designed", "nested_rows", "one_sharing_row",
           "small_chance"]

ERRORS = 4.5  # standard errors that a sample may be off
TWO = (Setting(1.0, 0.5), 0.4)  # mu = 1, sigma = .5, eps = .4: beyond eps0 = .359


def designed(design: str, classes: int) -> list[list[int]]:
    """The features of each class in design A or B, as rows of 0 and 1."""
    if design == "A":
        return (1 - np.eye(classes, dtype=int)).tolist()
    return [[int(i in pair) for pair in combinations(range(classes), 2)] for i in range(classes)]


def best_of_all_classifiers(features: Sequence[Sequence[int]], values: Sequence[Sequence[float]],
                            weights: Sequence[Sequence[float]], eps: float,
                            priors: Sequence[float] | None = None, norm: float = math.inf) -> float:
    """The robust error of the best of all deterministic classifiers for features that take finitely many values.

    features: K rows, the exclusive ones in them; values, weights: of each feature, the weights summing to one. A set of
    points of (class, input) can all be right iff no two of different classes lie within 2 eps, in the l_p distance of
    p = norm: the heaviest such set, by integer programming. Nothing of B1's proof is used.
    """
    points, chances, classes = [], [], []
    for i, row in enumerate(features):
        own = [f for f, has in enumerate(row) if has]
        for choice in product(*(range(len(values[f])) for f in own)):
            point, chance = [0.0] * len(row), (1 / len(features) if priors is None else priors[i])
            for f, at in zip(own, choice, strict=True):
                point[f], chance = values[f][at], chance * weights[f][at]
            points.append(point)
            chances.append(float(chance))
            classes.append(i)
    x, label = np.array(points, dtype=float), np.array(classes)
    apart = np.linalg.norm(x[:, None] - x[None], ord=norm, axis=-1) - 1e-12  # an equality counts
    pairs = np.argwhere(np.triu((apart <= 2 * eps) & (label[:, None] != label[None])))
    if not len(pairs):
        return 0.0
    rows = np.repeat(np.arange(len(pairs)), 2)
    one_of_two = csr_array((np.ones(len(rows)), (rows, pairs.ravel())), shape=(len(pairs), len(x)))
    found = milp(-np.array(chances), constraints=LinearConstraint(one_of_two, -np.inf, 1),
                 integrality=np.ones(len(x)), bounds=Bounds(0, 1), options={"mip_rel_gap": 0})
    return 1 + found.fun


def rule_by_sample(features: Sequence[Sequence[int]], setting: Setting, eps: float, count: int,
                   rng: np.random.Generator) -> float:
    """The robust error of "the first class that has every feature beyond eps" on a sample, its attack carried out.

    The attack moves each feature towards 0 by eps: the rule then sees as few features as it can be made to see.
    """
    rows = np.hstack([np.eye(len(features), dtype=int), features]).astype(bool)
    label = np.arange(count) % len(rows)
    mean = np.where(np.arange(rows.shape[1]) < len(rows), setting.mu_e, setting.mu_c)
    deviation = np.where(np.arange(rows.shape[1]) < len(rows), setting.sigma_e, setting.sigma_c)
    z = setting.law.ppf(rng.uniform(size=(count, rows.shape[1])))
    x = np.where(rows[label], mean + deviation * z, 0.0)
    seen = np.abs(x) - eps > eps
    answer = np.argmax([~(seen & ~row).any(axis=1) for row in rows], axis=0)
    return float(np.mean(answer != label))


def check_b1() -> Evidence:
    """All classifiers on finite laws, by integer programming; the rule on samples of five laws."""
    errors, size = [], 200_000
    for design, classes, eps in (("A", 3, 1), ("A", 3, 2), ("B", 3, 1), ("A", 4, 1)):
        shared = designed(design, classes)
        features = np.hstack([np.eye(classes, dtype=int), shared]).tolist()
        values, weights = ([-2, 1, 5], [0.25, 0.25, 0.5]) if classes == 3 else ([1, 5], [0.375, 0.625])
        q = sum(weight for value, weight in zip(values, weights, strict=True) if abs(value) <= 2 * eps)
        brute = best_of_all_classifiers(features, [values] * len(features[0]), [weights] * len(features[0]), eps)
        errors += [brute - error_of_chances(classes, design, q, q), brute - error_of_sharing(shared, q)]
    exact = float(np.max(np.abs(errors)))
    cases = [Setting(1, 0.5), Setting(1, 0.5, mu_c=0.8, sigma_c=0.7), Setting(1, 0.6, noise="laplace"),
             Setting(1, 0.5, classes=5), Setting(1, 0.8, classes=4, design="B")]
    sampled = []
    for seed, setting in enumerate(cases):
        expected = bayes_error(setting, 0.25)
        found = rule_by_sample(designed(setting.design, setting.classes), setting, 0.25, size,
                               np.random.default_rng(seed))
        sampled.append((found - expected) / math.sqrt(expected * (1 - expected) / size))
    helps = [exclusive_error(setting, eps) - bayes_error(setting, eps) for setting in cases
             for eps in (0.01, 0.2, 0.4, 0.6, 1.0)]
    worst = float(np.max(np.abs(sampled)))
    return Evidence(exact <= 1e-9 and worst <= ERRORS and min(helps) > 0,
                    f"all classifiers on laws of 2 and 3 values (error {exact:.0e}); the rule on samples of {size} "
                    "inputs of five settings; eps up to mu: exclusive features alone are worse", worst,
                    f"largest error in standard errors (allowed: {ERRORS})")


def small_chance(size: float, values: Sequence[float], weights: Sequence[float]) -> float:
    """Pr(|x| <= 2 size) for a feature of finitely many values."""
    return sum(weight for value, weight in zip(values, weights, strict=True) if abs(value) <= 2 * size + 1e-12)


def check_b1_lp() -> Evidence:
    """All deterministic classifiers on finite laws, by integer programming with l_p distances, against both bounds."""
    slack, inside = [], 0
    values, weights = [1, 2, 6], [0.25, 0.25, 0.5]
    for (design, classes), p, eps in product((("A", 3), ("B", 4)), (1.0, 2.0, 4.0), (0.9, 1.0, 1.5, 2.2)):
        kept = slice(0 if classes == 3 else 1, 3)  # two values for four classes
        law = values[kept], [weight / sum(weights[kept]) for weight in weights[kept]]
        shared = designed(design, classes)
        features = np.hstack([np.eye(classes, dtype=int), shared])
        differ = max(int(np.sum(row != other)) for row in features for other in features)
        brute = best_of_all_classifiers(features.tolist(), [law[0]] * features.shape[1], [law[1]] * features.shape[1],
                                        eps, norm=p)
        low, high = (float(error_of_chances(classes, design, q, q))
                     for q in (small_chance(size, *law) for size in (eps * differ**(-1 / p), eps)))
        slack += [brute - low, high - brute]
        inside += low + 1e-9 < brute < high - 1e-9
    least = float(min(slack))
    return Evidence(least >= -1e-9 and inside > 0, "K = 3, design A, and K = 4, design B; p in {1,2,4}, eps in {.9,1,"
                    f"1.5,2.2}}, laws of 3 and 2 values: strictly between in {inside} of 24", least,
                    "least distance to a bound, on its right side (0: attained)")


def affine_scores(eps: float, sharp: float = 2000.0,
                  gap: float = 1e-4) -> tuple[Float[np.ndarray, "3 6"], Float[np.ndarray, "3"]]:
    """(W (3, 6), constants (3,)): f_1 = x_E1 + x_C3 - 2 eps - gap, f_2 = sharp (x_E2 - eps - gap), f_3 = 0."""
    weight, constant = np.zeros((3, 6)), np.zeros(3)
    weight[0, 0] = weight[0, 5] = 1.0
    weight[1, 1] = sharp
    constant[:2] = -2 * eps - gap, -sharp * (eps + gap)
    return weight, constant


def linear_by_sample(weight: Float[np.ndarray, "3 6"], constant: Float[np.ndarray, "3"], setting: Setting, eps: float,
                     count: int, rng: np.random.Generator) -> float:
    """The robust error of W x + a on a sample: right iff every margin stays positive after its own worst attack."""
    rows, label = np.hstack([np.eye(3), 1 - np.eye(3)]), np.arange(count) % 3
    x = rows[label] * (setting.mu + setting.sigma * rng.standard_normal((count, 6)))
    scores = x @ weight.T + constant
    right = np.ones(count, dtype=bool)
    for j in range(3):
        cost = eps * np.abs(weight[label] - weight[j]).sum(axis=1)
        right &= (label == j) | (scores[np.arange(count), label] - scores[:, j] > cost)
    return float(1 - right.mean())


def check_b1_linear() -> Evidence:
    setting, eps = TWO
    k, size = setting.k(eps), 300_000
    found = linear_by_sample(*affine_scores(eps), setting, eps, size, np.random.default_rng(0))
    limit = affine_error(k)
    two = 1 - float(joint_accuracy(r_acc(k), k))
    alone, error = exclusive_error(setting, eps), math.sqrt(limit * (1 - limit) / size)
    holds = abs(found - limit) <= ERRORS * error + 1e-3 and found + ERRORS * error < alone < two
    return Evidence(bool(holds), f"mu = 1, sigma = .5, eps = .4, {size} inputs, each margin at its own worst attack",
                    alone - found, "exclusive features' best error less theirs",
                    f"affine scores with a cross-class feature: {limit:.4f}; two weights: {two:.4f}; any classifier of "
                    f"the exclusive features: {alone:.4f}; of all: {bayes_error(setting, eps):.4f}")


def nested_rows(r: float, own: float = 1e-2, step: float = 1e-4) -> Float[np.ndarray, "3 6"]:
    """W of the scores (S + step D, S, 0): S tells class 3 from the others, D class 1 from 2. Features E1..E3, C1..C3.

    S = x_E1 + x_E2 + r x_C3 - own (x_E3 + x_C1 + x_C2), D = x_E1 + r x_C2 - x_E2 - r x_C1.
    """
    others, pair = np.array([1, 1, -own, -own, -own, r]), np.array([1, -1, 0, -r, r, 0])
    return np.array([others + step * pair, others, np.zeros(6)])


def one_sharing_row() -> Float[np.ndarray, "3 6"]:
    """W of the scores (x_E1 + (x_C2 + x_C3)/2, 4 x_E2, 4 x_E3): class 1 alone uses features that it shares."""
    return np.array([[1, 0, 0, 0, 0.5, 0.5], [0, 4, 0, 0, 0, 0], [0, 0, 4, 0, 0, 0]])


def check_b1_rows() -> Evidence:
    size, rng, none = 300_000, np.random.default_rng(5), np.zeros(3)
    holds, said = True, []
    for weight, setting, eps in [(nested_rows(r_acc(k)), Setting(k, 1.0), 0.0) for k in (0.5, 1.2, 2.0)] + [
            (one_sharing_row(), Setting(1.0, 1.5), 0.1)]:
        k = setting.k(eps)
        found = linear_by_sample(weight, none, setting, eps, size, rng)
        two, error = 1 - float(joint_accuracy(r_acc(k), k)), ERRORS * math.sqrt(found * (1 - found) / size)
        holds &= found + error < two and (eps > 0 or abs(found - linear_error(k)) <= error + 1e-3)
        said.append((k, eps, found, two))
    gain = min(two - found for _, _, found, two in said)
    return Evidence(bool(holds), f"k = .5, 1.2, 2 at eps = 0, and mu = 1, sigma = 1.5, eps = .1 > eps0; {size} inputs, "
                    "each margin at its own worst attack", gain, "least gain over the best two weights", "; ".join(
                        f"k = {k:g}, eps = {eps:g}: {found:.4f}, two weights {two:.4f}" for k, eps, found, two in said))


def worst_margins(features: Sequence[Sequence[int]], x: Float[np.ndarray, "points d"], i: int, w1: float, w2: float,
                  eps: float) -> Float[np.ndarray, "points"]:
    """min over the vertices of the box of the margin loss's margin: (points,), class i of K, brute force."""
    rows = np.hstack([w1 * np.eye(len(features)), w2 * np.asarray(features)])
    vertices = np.array(list(product((-eps, eps), repeat=rows.shape[1])))
    scores = (x[:, None] + vertices[None]) @ rows.T
    return (scores[..., i] - np.delete(scores, i, axis=-1).max(axis=-1)).min(axis=1)


def check_g_share() -> Evidence:
    errors, rng = [], np.random.default_rng(3)
    for design, classes in (("A", 3), ("B", 4)):
        shared, setting = Sharing(designed(design, classes)), Setting(1, 0.5, classes=classes, design=design)
        eps0, error = shared.threshold()
        joint, spread = shared.accuracy(0.5, 0.2)
        errors += [(eps0 - threshold_closed(setting, Margin())) / error,
                   (joint - accuracy_of(setting, 0.5, 0.2)[0]) / spread]
    gaps = []
    for features in ([[1, 0], [1, 0], [0, 1]], [[1, 1, 0], [0, 1, 1], [1, 1, 1]]):
        rows = np.hstack([np.eye(3), features])
        for i, ours in enumerate(np.array(features)):
            x = rows[i] * rng.normal(1, 0.5, (20, rows.shape[1]))
            others = np.delete(np.array(features), i, axis=0)
            c = np.array([(x[:, 3:] * (ours > other)).sum(1) - 0.3 * (ours != other).sum() for other in others])
            gaps.append(worst_margins(features, x, i, 1.0, 0.7, 0.3) - (x[:, i] - 0.6 + 0.7 * c.min(0)))
    exact = float(np.max(np.abs(gaps)))
    joint = ANIMALS_AND_VEHICLES.accuracy(np.array([0.0, 0.01, 0.1, 0.5, 1.0]), 0.1)[0]
    worst = float(np.max(np.abs(errors)))
    falls = ANIMALS_AND_VEHICLES.lost and bool((np.diff(joint) < 0).all())
    return Evidence(exact <= 1e-12 and worst <= ERRORS and falls,
                    f"designs A and B as matrices; every vertex of the attack on two matrices (error {exact:.0e}); "
                    "CIFAR-10's superclasses at eps = .1, r from 0 to 1", worst,
                    f"largest error in standard errors (allowed: {ERRORS})")


def check_g_share_rule() -> Evidence:
    poor = Sharing([[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    eps0, error = poor.threshold()
    rng, eps = np.random.default_rng(4), 0.9 * eps0
    c = 1 + 0.5 * rng.standard_normal((100_000, 2))
    # class 1 has nothing; 2 and 3 have the feature that 1 lacks beside one of their own
    mean = (-2 * eps + 2 * np.mean(np.minimum(c.sum(1) - 2 * eps, c[:, 0] - 2 * eps))) / 3
    mean = float(mean)
    return Evidence(bool(mean > 0 and eps0 > ERRORS * error), "three classes, one of which has no shared feature; the "
                    "slope of the margin loss at .9 eps0 by a sample", mean, "minus that slope",
                    f"features {poor.has}: eps0 = {eps0:.4f}, though classes 2 and 3 lack none of class 1's features")


def check_n1_sample() -> Evidence:
    """N = 1 and 2 by other integrals, larger N by samples; the minimiser on a sample by the vertices of the attack."""
    exact, sampled, rng = [], [], np.random.default_rng(7)
    for k in (-0.5, 0.2, 0.5642, 1.5):
        exact.append(chance_used(k, 1) - float(ndtr(k))**2)
        exact.append(chance_used(k, 2) - quad(lambda z, k=k: 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
                                              * ndtr(-z) * ndtr(2 * k + z)**2, -12, 12, epsabs=1e-13)[0])
    for k, size in ((0.3, 5), (0.5642, 30), (0.7, 60)):
        least = rng.standard_normal((40_000, 2, size)).min(axis=1).mean(axis=1) + k
        chance = chance_used(k, size)
        sampled.append((np.mean(least > 0) - chance) / math.sqrt(chance * (1 - chance) / len(least)))
    setting, eps, lam = Setting(1, 0.5), 0.3, 0.1

    def risk(w1: float, w2: float) -> float:  # on the same sample each time
        m, _ = robust_margins(setting, eps, w1, w2, 40, np.random.default_rng(6))
        return -m.min(1).mean() + lam * (w1 * w1 + w2 * w2) / 2
    ones, twos = ((risk(*far) - risk(0, 0)) for far in ((1.0, 0.0), (0.0, 1.0)))
    best = [max(lam / 2 - slope, 0) / lam for slope in (ones, twos)]
    beside = min(risk(max(best[0] + a, 0), max(best[1] + b, 0)) - risk(*best)
                 for a, b in product((-0.3, 0, 0.3), repeat=2) if a or b)
    error, worst = float(np.max(np.abs(exact))), float(np.max(np.abs(sampled)))
    return Evidence(bool(error <= 1e-11 and worst <= ERRORS and beside > 0),
                    f"N = 1, 2 by integrals (error {error:.0e}), N = 5, 30, 60 by samples; one empirical risk "
                    "by the vertices of the attack", worst,
                    f"largest error in standard errors (allowed: {ERRORS})")


CHECKS = {"B1": check_b1, "B1-lp": check_b1_lp, "B1-linear": check_b1_linear, "B1-rows": check_b1_rows,
          "G-share": check_g_share, "G-share-rule": check_g_share_rule, "N1-sample": check_n1_sample}
