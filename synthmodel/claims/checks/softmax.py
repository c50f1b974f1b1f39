"""The claims about softmax losses and attacks (THEORY.md, sections 0, 1, 3 and 4), against brute force and sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax

from synthmodel.accuracy.three_classes import r_acc
from synthmodel.claims.checks.theorems import SETTINGS, SOLVED
from synthmodel.claims.evidence import Evidence
from synthmodel.model.losses import CrossEntropy, Distillation, Margin, SoftTargetMargin, WrongClassLSE
from synthmodel.model.quadrature import normal_rule
from synthmodel.model.sampling import scores
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import ratio_limit, solve_cross_entropy, stein_residual
from synthmodel.solvers.log_sum_exp import psi_pair, solve_lse
from synthmodel.solvers.margin_closed import eps0, threshold_closed
from synthmodel.solvers.solve import solve

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CHECKS"]

MODEL = Setting(1.0, 0.5)
VERTICES = np.array(list(product((-1.0, 1.0), repeat=6)))
NODES, WEIGHTS = normal_rule(40)


def product_rule(setting: Setting, eps: float) -> tuple[Float[np.ndarray, "n"], ...]:
    """Return e, c_2, c_3 (robust features of class 1) on a Gauss-Hermite product, and their weights, as flat arrays."""
    e, c2, c3 = (grid.ravel() for grid in np.meshgrid(*[setting.d(eps) + setting.sigma * NODES] * 3, indexing="ij"))
    return e, c2, c3, np.einsum("i,j,k->ijk", WEIGHTS, WEIGHTS, WEIGHTS).ravel()


def wrong_probabilities(w: tuple[float, float],
                        features: Sequence[Float[np.ndarray, "n"]]) -> tuple[Float[np.ndarray, "n"], ...]:
    """Return (1 - p_1, p_2, p_3) of the softmax with margins w1 e + w2 c_j."""
    e, c2, c3 = features
    p = softmax(np.stack([np.zeros_like(e), -w[0] * e - w[1] * c2, -w[0] * e - w[1] * c3]), axis=0)
    return p[1] + p[2], p[1], p[2]


def delta_star(w1: float, w2: float) -> Float[np.ndarray, "6"]:
    """Return the signs of the vertex that lowers both margins of class 1: for w > 0 own features down, others up."""
    return np.sign([-w1, w1, w1, w2, -w2, -w2])


def check_a1() -> Evidence:
    """All 64 vertices of the box, on the scores: the worst for each monotone loss is delta*; not for two others."""
    rng, eps, errors, gains = np.random.default_rng(0), 0.3, [], []
    monotone = {
        "cross-entropy": lambda f: -log_softmax(f, axis=-1)[..., 0],
        "margin": lambda f: f[..., 1:].max(-1) - f[..., 0],
        "hinge": lambda f: np.maximum(1 + f[..., 1:].max(-1) - f[..., 0], 0),
        "log-sum-exp": lambda f: 0.1 * logsumexp(f[..., 1:] / 0.1, axis=-1) - f[..., 0],
        "error": lambda f: (f[..., 1:].max(-1) >= f[..., 0]).astype(float)}
    smoothed = {
        "soft target": lambda f: (f[..., 1:].max(-1) - f[..., 0] + 0.25 * (2 * f[..., 0] - f[..., 1] - f[..., 2])),
        "smoothed cross-entropy": lambda f: -log_softmax(f, axis=-1) @ np.array([0.5, 0.25, 0.25])}
    for _ in range(60):
        w1, w2 = rng.normal(0, 1.5, 2)
        x = np.array([rng.normal(1, 0.5), 0, 0, 0, *rng.normal(1, 0.5, 2)])
        everywhere = scores(x + eps * VERTICES, w1, w2)
        star = scores(x + eps * delta_star(w1, w2), w1, w2)
        errors += [abs(loss(everywhere).max() - loss(star[None])[0]) for loss in monotone.values()]
        gains.append([loss(everywhere).max() - loss(star[None])[0] for loss in smoothed.values()])
    error, gain = float(np.max(errors)), float(np.max(gains, axis=0).min())
    return Evidence(error <= 1e-12 and gain > 0.01, "60 random weights and samples, five losses, 64 vertices; both "
                    f"smoothed losses (b = .5) gain up to {gain:.2f} elsewhere", error,
                    "largest error (allowed: 1e-12)")


def check_t1_w() -> Evidence:
    """The 18 weights of a linear classifier under cross-entropy and all 64 vertices, by L-BFGS on a quadrature."""
    setting, eps, lam_f = MODEL, 0.2, 0.2
    nodes, weights = normal_rule(8)
    grid = np.stack([g.ravel() for g in np.meshgrid(*[setting.mu + setting.sigma * nodes] * 3, indexing="ij")], axis=1)
    mass = np.einsum("i,j,k->ijk", *[weights] * 3).ravel()
    x = np.zeros((3, len(grid), 6))
    for i in range(3):
        x[i][:, [i, *(3 + j for j in range(3) if j != i)]] = grid
    labels = np.eye(3)[:, None, :]

    def risk(flat: Float[np.ndarray, "18"]) -> tuple[float, Float[np.ndarray, "18"]]:
        w = flat.reshape(3, 6)
        clean, moves = x @ w.T, eps * VERTICES @ w.T
        losses = np.stack([logsumexp(clean + move, axis=-1) - ((clean + move) * labels).sum(-1) for move in moves])
        worst = losses.argmax(axis=0)
        p = softmax(clean + moves[worst], axis=-1) - labels
        attacked = x + eps * VERTICES[worst]
        gradient = np.einsum("snc,snf,n->cf", p, attacked, mass) / 3 + lam_f * w
        return float(losses.max(axis=0) @ mass @ np.ones(3) / 3 + lam_f / 2 * np.sum(w * w)), gradient.ravel()

    start = np.random.default_rng(0).normal(0, 0.3, 18)
    found = minimize(risk, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-15, "gtol": 1e-9})
    theory = solve_cross_entropy(setting, CrossEntropy(), eps, 2 * lam_f)
    centre = np.eye(3) - 1 / 3
    error = float(np.abs(found.x.reshape(3, 6) - np.hstack([theory.w1 * centre, -theory.w2 * centre])).max())
    return Evidence(error <= 1e-5, "cross-entropy, mu = 1, sigma = .5, eps = .2, lam_F = .2, 18 weights from a random "
                    "start", error, "largest error of a weight (allowed: 1e-05)")


def check_t3_target() -> Evidence:
    errors = []
    for setting, b, attack, fraction in product(SETTINGS, (0.1, 0.6), ("exact", "monotone"), (0.0, 0.5, 0.98, 1.02)):
        loss = SoftTargetMargin(b, attack)
        eps = max(fraction * threshold_closed(setting, loss), 0.0)
        closed, numeric = (solve(setting, loss, eps, 0.3, method) for method in ("closed", "numeric"))
        errors.append(max(abs(closed.w1 - numeric.w1), abs(closed.w2 - numeric.w2)) * 0.3)
    drops = [eps0(setting) - threshold_closed(setting, SoftTargetMargin(b, attack)) for setting in SETTINGS
             for b in (0.05, 0.3, 0.9) for attack in ("exact", "monotone")]
    w1_dies = [solve(setting, SoftTargetMargin(0.3), setting.mu * 0.7 / 1.7 * f, 1.0, "numeric").w1
               for setting in SETTINGS for f in (0.999, 1.001)]
    error = float(np.max(errors))
    b, model = 0.3, MODEL
    example = (f"mu = 1, sigma = .5, b = .3: the threshold is {threshold_closed(model, SoftTargetMargin(b)):.4f} under "
               f"the exact attack, {threshold_closed(model, SoftTargetMargin(b, 'monotone')):.4f} under delta*, below "
               f"eps0 = {eps0(model):.4f}")
    good = error <= SOLVED and min(drops) > 0 and all((w > 0) == (i % 2 == 0) for i, w in enumerate(w1_dies))
    return Evidence(bool(good), "b in {.05,.1,.3,.6,.9}, sigma in {.05,...,1.7}, both attacks", error,
                    f"largest error (allowed: {SOLVED:.0e})", example)


PROBLEMS = [(0.5, 0.2, 0.1, 0.0), (0.5, 0.45, 0.1, 0.0), (1.0, 0.1, 0.03, 0.1), (0.3, 0.3, 0.05, 0.3)]


def check_s1() -> Evidence:
    residuals, ratios = [], []
    for sigma, eps, lam, b in PROBLEMS:
        setting, loss = Setting(1.0, sigma), CrossEntropy(b)
        best = solve_cross_entropy(setting, loss, eps, lam)
        residuals.append(np.hypot(*stein_residual(setting, loss, eps, lam, best.w1, best.w2)))
        *features, weights = product_rule(setting, eps)
        wrong, p2, p3 = wrong_probabilities((best.w1, best.w2), features)
        own, others = weights @ (wrong * (1 - wrong)), weights @ (p2 * (1 - p2) + p3 * (1 - p3))
        ratios.append(best.ratio - (lam + sigma**2 * own) / (lam + sigma**2 * others))
        ratios.append(others - own - 2 * weights @ (p2 * p3))
    error = float(np.max(np.abs([*residuals, *ratios])))
    return Evidence(error <= 1e-10, "4 problems, sigma in {.3,.5,1}, b in {0,.1,.3}; expectations by a product rule in "
                    "three features", error, "largest error (allowed: 1e-10)")


def check_t1_ce() -> Evidence:
    """Beyond eps0 of the margin loss w2 > 0; the slope at w2 = 0 from the Stein form, on another quadrature."""
    margins, limits = [], []
    for sigma, fraction, lam in product((0.3, 0.5, 1.0), (0.1, 0.5, 0.9), (0.05, 1.0)):
        setting = Setting(1.0, sigma)
        eps = eps0(setting) + fraction * (0.5 - eps0(setting))
        best = solve_cross_entropy(setting, CrossEntropy(), eps, lam)
        margins.append(best.ratio)
        margins.append(-stein_residual(setting, CrossEntropy(), eps, lam, best.w1, 0.0)[1])
        limits.append(solve_cross_entropy(setting, CrossEntropy(), 0.5 - 1e-6, lam).ratio - ratio_limit(setting, lam))
    model = MODEL
    best = solve_cross_entropy(model, CrossEntropy(), 0.4, 0.1)
    example = (f"mu = 1, sigma = .5, lam = .1, eps = .4 > eps0 = {eps0(model):.3f}: w1 = {best.w1:.4f}, "
               f"w2 = {best.w2:.4f}")
    smallest = float(np.min(margins))
    return Evidence(smallest > 0 and float(np.max(np.abs(limits))) < 1e-6,
                    "sigma in {.3,.5,1}, eps between eps0 and mu/2, lam in {.05,1}; limit of r at mu/2 to 1e-6",
                    smallest, "smallest ratio or pull on w2 at w2 = 0", example)


def check_t1_temp() -> Evidence:
    """psi by a plain two-dimensional product rule; the bound and the limit by the solver."""
    errors, slack = [], []
    z, weights = normal_rule(120)
    a, b = z[:, None], z[None]
    for x in (0.3, 1.0, 2.0):
        q = 1 / (1 + np.exp(x * (a - b)))  # the share of a in the softmax of -x z
        errors.append(-(weights @ (q * a + (1 - q) * b) @ weights) - psi_pair(x)[0])
    for sigma, eps, lam, tau in product((0.3, 0.8), (0.1, 0.3, 0.45), (0.1, 1.0), (1.0, 0.1, 1e-3)):
        setting = Setting(1.0, sigma)
        soft, hard = solve_lse(setting, WrongClassLSE(tau), eps, lam), solve(setting, Margin(), eps, lam)
        slack.append(math.sqrt(2 * tau * math.log(2) / lam) - math.hypot(soft.w1 - hard.w1, soft.w2 - hard.w2))
        slack.append(soft.w2 / setting.mu)
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-8 and min(slack) > 0, "psi at .3, 1, 2; sigma in {.3,.8}, eps in {.1,.3,.45}, tau from "
                    "1 to .001: within sqrt(2 tau log 2/lam), w2 > 0", error, "largest error of psi (allowed: 1e-08)")


def check_t1_temp_plain() -> Evidence:
    """tau CE(w/tau) has its minimiser at tau v(lam tau): it vanishes with tau."""
    sizes = []
    taus = (1e-1, 1e-2, 1e-3)
    for tau in taus:
        v = solve_cross_entropy(MODEL, CrossEntropy(), 0.2, 0.1 * tau)
        sizes.append(tau * math.hypot(v.w1, v.w2))
    hard = solve(MODEL, Margin(), 0.2, 0.1)
    example = (f"mu = 1, sigma = .5, eps = .2, lam = .1: |w| = {sizes[0]:.3f}, {sizes[1]:.3f}, {sizes[2]:.4f} at tau = "
               f".1, .01, .001, while the margin loss has {math.hypot(hard.w1, hard.w2):.3f}")
    falls = sizes[0] > 5 * sizes[1] > 25 * sizes[2]
    return Evidence(falls and sizes[-1] < 0.01, "tau in {.1,.01,.001}", sizes[-1], "|w| at tau = .001", example)


def check_t3_ce() -> Evidence:
    """w1, w2 and r along b, at the first-order conditions of another quadrature."""
    steps, residuals = [], []
    for sigma, eps, lam in ((0.5, 0.2, 0.1), (0.3, 0.4, 0.05), (1.0, 0.1, 1.0)):
        setting = Setting(1.0, sigma)
        b: Any = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.66])
        found = solve_cross_entropy(setting, CrossEntropy(b), eps, lam)
        for values in (found.w1, found.w2, found.ratio):
            steps.append(-np.diff(values) / values[0])
        residuals.append(np.hypot(*stein_residual(setting, CrossEntropy(0.3), eps, lam, found.w1[3], found.w2[3])))
    smallest = float(np.min(np.concatenate(steps)))
    without_and_with: Any = np.array([0, 0.3])
    found = solve_cross_entropy(MODEL, CrossEntropy(without_and_with), 0.2, 0.1)
    example = (f"mu = 1, sigma = .5, eps = .2, lam = .1: b = 0 has w2 = {found.w2[0]:.4f}, r = {found.ratio[0]:.4f}; "
               f"b = .3 has w2 = {found.w2[1]:.4f}, r = {found.ratio[1]:.4f}")
    return Evidence(smallest > 0 and float(np.max(residuals)) < 1e-9, "three settings, b from 0 to .66 in eight steps",
                    smallest, "smallest relative fall of w1, w2 or r in a step", example)


def gap_over_decays(k: Float[np.ndarray, "n"],
                    decays: Float[np.ndarray, "m"]) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Return the smallest r_CE - r_acc over lam/sigma^2 in `decays`, and where it is, for each k."""
    column: Any = k[:, None]
    ratios = solve_cross_entropy(Setting(column, 1.0), CrossEntropy(), 0.0, decays).ratio
    gaps = ratios - np.array([r_acc(x) for x in k])[:, None]
    return gaps.min(axis=1), decays[gaps.argmin(axis=1)]


def slopes_in_smoothing(setting: Setting, lam: float, b: float, step: float = 1e-4) -> list[float]:
    """Return the slopes (w1', w2', r') in b by differences of solutions."""
    low, high = (solve_cross_entropy(setting, CrossEntropy(x), 0.0, lam) for x in (b - step, b + step))
    return [(y - x) / (2 * step) for x, y in ((low.w1, high.w1), (low.w2, high.w2), (low.ratio, high.ratio))]


def curvatures(k: float, w1: float, w2: float) -> Float[np.ndarray, "2"]:
    """Return (A, Q) = (E p_1 (1-p_1), 2 E p_2 p_3) at unit noise, by the product rule."""
    *features, weights = product_rule(Setting(k, 1.0), 0.0)
    wrong, p2, p3 = wrong_probabilities((w1, w2), features)
    return np.array([weights @ (wrong * (1 - wrong)), 2 * weights @ (p2 * p3)])


def check_t3_ce_rates() -> Evidence:
    """The three signs by differences of curvatures on a product rule, against differences of solutions in b."""
    wrong, margins, h = 0, [], 1e-4
    for k, decay, b in ((0.5, 0.1, 0.1), (1.0, 1.0, 0.3), (1.5, 0.05, 0.5), (2.0, 0.3, 0.05)):
        best = solve_cross_entropy(Setting(k, 1.0), CrossEntropy(b), 0.0, decay)
        w1, w2 = best.w1, best.w2
        x = w1 / w2 - 1
        a_1, q_1 = (curvatures(k, w1 + h, w2) - curvatures(k, w1 - h, w2)) / (2 * h)
        a_2, q_2 = (curvatures(k, w1, w2 + h) - curvatures(k, w1, w2 - h)) / (2 * h)
        q = curvatures(k, w1, w2)[1]
        ray = (curvatures(k, w1 * (1 + h), w2 * (1 + h)) - curvatures(k, w1 * (1 - h), w2 * (1 - h))) / (2 * h)
        signs = [(1 + x) * q + w2 * x * (q_2 - x * a_2), q + w2 * x * (x * a_1 - q_1), x * ray[0] - ray[1]]
        slopes = slopes_in_smoothing(Setting(k, 1.0), decay, b)
        wrong += sum(np.sign(sign) != -np.sign(slope) for sign, slope in zip(signs, slopes, strict=True))
        margins += [-slope for slope in slopes]
    return Evidence(wrong == 0 and min(margins) > 0, "four (k, L, b), k from .5 to 2: twelve signs against differences "
                    "of solutions", float(min(margins)), "smallest |slope| in b")


def check_n4() -> Evidence:
    ks = np.array([0.1, 0.3, 0.6, 1.0, 1.4, 1.8, 2.1, 2.2, 2.3, 2.4, 2.414])
    gaps, _ = gap_over_decays(ks, np.geomspace(1e-3, 1e2, 80))
    gap = float(np.min(gaps))
    return Evidence(gap > 0, "k in [.1, 2.414], lam/sigma^2 from .001 to 100", gap, "smallest r_CE - r_acc")


def check_n4_end() -> Evidence:
    """The first-order conditions on another quadrature at the solution for k = 2.5, L = 1.7."""
    k, decay = 2.5, 1.7
    best = solve_cross_entropy(Setting(k, 1.0), CrossEntropy(), 0.0, decay)
    residual = float(np.hypot(*stein_residual(Setting(k, 1.0), CrossEntropy(), 0.0, decay, best.w1, best.w2)))
    margin = r_acc(k) - best.ratio
    ks = np.linspace(2.410, 2.418, 9)
    gaps, decays = gap_over_decays(ks, np.linspace(1.4, 1.8, 201))
    first = int(np.argmax(gaps < 0))
    return Evidence(margin > 1e-3 and residual < 1e-10 and gaps[0] > 0 > gaps[-1], "k = 2.5, lam/sigma^2 = 1.7; k from "
                    "2.410 to 2.418", margin, "r_acc - r_CE", f"k = 2.5, lam/sigma^2 = 1.7: r_CE = {best.ratio:.6f} < "
                    f"r_acc = {r_acc(k):.6f}; on a grid it fails first at k = {ks[first]:.4f}, lam/sigma^2 = "
                    f"{decays[first]:.2f}")


def check_c1() -> Evidence:
    """-kappa_3/v of the normal law cut off at u, by quadrature: its maximum, and that no other cut exceeds it."""
    nodes, weights = np.polynomial.legendre.leggauss(300)
    values = []
    for u in np.linspace(-4, 4, 801):
        t = u - 6 * (nodes + 1)  # Z given Z < u, over 12 deviations
        mass = np.exp(-t * t / 2 + min(u, 0) ** 2 / 2) * weights
        mass /= mass.sum()
        centred = t - mass @ t
        values.append(-(mass @ centred**3) / (mass @ centred**2))
    top = float(np.max(values))
    return Evidence(abs(top - 0.60705546) < 1e-5 and top < math.sqrt(2 / math.pi), "u from -4 to 4 in steps of .01",
                    abs(top - 0.60705546), "distance of the largest -kappa_3/v from .60705546 (allowed: 1e-05)")


def check_n5() -> Evidence:
    """The two conditions of N5 from a product rule over three features, which the solver does not use."""
    errors, setting, eps, lam = [], Setting(1.0, 0.5), 0.2, 0.05
    *features, weights = product_rule(setting, eps)
    for teacher in ((1.0, 0.5), (0.4, 1.5), (2.0, 0.0)):
        best = solve(setting, Distillation(teacher), eps, lam)
        moments = []
        for w in ((best.w1, best.w2), teacher):
            wrong, p2, p3 = wrong_probabilities(w, features)
            moments.append([weights @ x for x in (wrong, wrong * (1 - wrong), p2 * (1 - p2) + p3 * (1 - p3))])
        (student, a, b), (target, a_t, b_t) = moments
        force, variance = setting.d(eps) * (student - target), setting.sigma**2
        errors += [best.w1 * (lam + variance * a) - force - variance * a_t * teacher[0],
                   best.w2 * (lam + variance * b) - force - variance * b_t * teacher[1]]
        free = solve(setting, Distillation(teacher), eps, 1e-9)
        errors.append(max(abs(free.w1 - teacher[0]), abs(free.w2 - teacher[1])) * 1e-3)
    alone = solve(setting, CrossEntropy(), eps, lam).ratio
    lower = solve(setting, Distillation((2.0, 0.5)), eps, lam).ratio
    higher = solve(setting, Distillation((0.5, 2.0)), eps, lam).ratio
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-9 and lower < alone < higher, "three teachers, sigma = .5, eps = .2, lam in {.05, "
                    "1e-9}", error, "largest error of the conditions (allowed: 1e-09)",
                    f"w2/w1 is {alone:.3f} without a teacher, {lower:.3f} with (2, .5), {higher:.3f} with (.5, 2)")


def check_ce_2d() -> Evidence:
    """Risk and first-order conditions of the two-dimensional form, from the product rule in three features."""
    errors = []
    for k, decay in ((0.5, 0.1), (1.2, 0.4), (2.0, 1.0)):
        setting = Setting(k, 1.0)
        best = solve_cross_entropy(setting, CrossEntropy(), 0.0, decay)
        *features, weights = product_rule(setting, 0.0)
        wrong, p2, _ = wrong_probabilities((best.w1, best.w2), features)
        size = math.hypot(best.w1, best.w2)
        c, q = best.w1 / size, best.w2 / size
        along, across = c * features[0] + q * features[1], c * features[1] - q * features[0]
        errors += [weights @ -np.log1p(-wrong) + decay / 2 * size**2 - best.risk,
                   weights @ (p2 * across), 2 * weights @ (p2 * along) - decay * size]
    error = float(np.max(np.abs(errors)))
    return Evidence(error <= 1e-10, "(k, L) in {(.5,.1), (1.2,.4), (2,1)}", error, "largest error (allowed: 1e-10)")


def check_ce_monotone() -> Evidence:
    """r_CE against eps on a grid, at the same lam."""
    eps = np.linspace(0, 0.495, 45)
    falls = []
    for sigma, lam in product((0.3, 0.5, 1.0, 2.0), (0.003, 0.1, 3.0)):
        ratios = solve_cross_entropy(Setting(1.0, sigma), CrossEntropy(), eps, lam).ratio
        falls.append(float(np.min(-np.diff(ratios) / (1 - ratios[1:]))))
    smallest = min(falls)
    return Evidence(smallest > 0, "sigma in {.3,.5,1,2}, lam in {.003,.1,3}, 45 eps from 0 to .495 mu", smallest,
                    "smallest relative fall of r_CE, in units of 1 - r_CE")


CHECKS = {"A1": check_a1, "T1-W": check_t1_w, "T3-target": check_t3_target, "S1": check_s1, "T1-CE": check_t1_ce,
          "T1-temp": check_t1_temp, "T1-temp-plain": check_t1_temp_plain, "T3-CE": check_t3_ce, "N4": check_n4,
          "N5": check_n5, "CE-2D": check_ce_2d, "CE-monotone": check_ce_monotone, "N4-end": check_n4_end,
          "T3-CE-rates": check_t3_ce_rates,
          "C1": check_c1}
