"""The softmax losses under the monotone attack, minimised by damped Newton: cross-entropy and distillation.

Everything is computed in units of the noise (THEORY.md, section 0): v = (sigma_e w1, sigma_c w2). Three classes with
normal noise are integrated over a plane (`plane_integrals`), everything else over a line (`line_integrals`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from scipy.special import softmax

from synthmodel.model.losses import CrossEntropy, Distillation
from synthmodel.model.quadrature import normal_rule
from synthmodel.model.setting import Setting, checked, checked_setting, number
from synthmodel.model.solution import NotConverged, Solution
from synthmodel.solvers.line_integrals import derivatives_on_a_line
from synthmodel.solvers.newton import damped_newton
from synthmodel.solvers.plane_integrals import EXPONENT, Problem, derivatives

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from synthmodel.model.types import Broadcast, Real
    from synthmodel.solvers.plane_integrals import Derivatives

    Soft: TypeAlias = CrossEntropy | Distillation
    Calculus: TypeAlias = Callable[[Int[np.ndarray, "q"], Float[np.ndarray, "q 2"]], Derivatives]

__all__ = ["cross_entropy_ratio", "ratio_limit", "solve_cross_entropy", "stein_residual"]

ACCURACY = 1e-10  # in units of mu: a larger residual raises, and for normal noise a larger quadrature error
LOOSE = 1e-6  # quadrature error, in units of mu, from which on other noise raises; it is reported
WEIGHT_ACCURACY = 1e-8  # a larger Newton step, relative to |w|, still to go raises (where w almost vanishes)
ROUNDING = 1e-14  # in units of mu: a weight pulled by less is 0
FINER = 1.5  # the second quadrature rule's exponent, in that of the first


def _covered(setting: Setting, loss: Soft) -> None:
    """Raise ValueError for what no form here covers."""
    checked_setting(setting)
    if not isinstance(loss, CrossEntropy | Distillation):
        raise ValueError(f"the loss {loss!r} was given, but this solver takes CrossEntropy(b) and Distillation only: "
                         "use solve_numeric for the margin losses.")
    if setting.norm != inf:
        raise ValueError(f"norm = {setting.norm} was given, but one perturbation is the worst for all softmax losses "
                         "for norm inf only: choose norm inf, or a margin loss.")
    if setting.noise != "normal" and setting.design == "B" and setting.classes > 3:
        raise ValueError(f"{setting.law.name} noise was given in design B with {setting.classes} classes, whose "
                         "margins have independent parts for normal noise only: choose normal noise or design A.")
    if np.any(np.asarray(setting.variances[0]) < 0) and setting.classes > 3:
        raise ValueError(f"rho = {np.min(setting.rho)} was given with {setting.classes} classes, but cross-entropy "
                         "takes a negative correlation for three classes only: choose rho >= 0.")
    most = setting.active / setting.classes
    if isinstance(loss, CrossEntropy) and np.any(np.asarray(loss.b) > most):
        raise ValueError(f"b = {np.max(loss.b)} was given, but above {setting.active}/{setting.classes} the label "
                         "prefers the wrong classes, so that delta* is no attack and w = 0 no minimiser: choose "
                         f"b <= {setting.active}/{setting.classes}.")


def _calculus(setting: Setting, problem: Problem, finer: float = 1.0) -> Calculus:
    """(index, v) -> derivatives of those problems, by the quadrature that covers the setting."""
    exponent = finer * EXPONENT
    if setting.classes == 3 and setting.noise == "normal":
        return lambda index, v: derivatives(problem[index], v, exponent)
    return lambda index, v: derivatives_on_a_line(problem[index], v, setting.active, setting.law, exponent)


class _Arrays:
    """The numbers of setting, loss, eps and lam as arrays of one shape, flattened; d: the robust means (P, 2)."""

    mu_e: Float[np.ndarray, "p"]
    mu_c: Float[np.ndarray, "p"]
    sigma_e: Float[np.ndarray, "p"]
    sigma_c: Float[np.ndarray, "p"]
    common: Float[np.ndarray, "p"]
    own: Float[np.ndarray, "p"]
    eps: Float[np.ndarray, "p"]
    lam: Float[np.ndarray, "p"]
    lam_c: Float[np.ndarray, "p"]
    b: Float[np.ndarray, "p"]  # of cross-entropy; the next two of distillation
    teacher_e: Float[np.ndarray, "p"]
    teacher_c: Float[np.ndarray, "p"]

    def __init__(self, setting: Setting, loss: Soft, eps: Real, lam: Real, lam_c: Real | None) -> None:
        common, own = setting.variances
        values: dict[str, Real] = {
            "mu_e": setting.mu_e, "mu_c": setting.mu_c, "sigma_e": setting.sigma_e, "sigma_c": setting.sigma_c,
            "common": common, "own": own, "eps": eps, "lam": lam}
        own_decay = lam_c is not None
        values |= {"lam_c": cast("Real", lam_c) if own_decay else lam}
        values |= ({"b": loss.b} if isinstance(loss, CrossEntropy) else
                   {"teacher_e": loss.teacher[0], "teacher_c": loss.teacher[1]})
        self.names = tuple(name for name in values if own_decay or name != "lam_c")
        broadcast = np.broadcast_arrays(*values.values())
        self.shape = broadcast[0].shape
        for name, value in zip(values, broadcast, strict=True):
            setattr(self, name, np.ravel(value).astype(float))
        self.d = np.stack([self.mu_e - 2 * self.eps, setting.sharing * (self.mu_c - 2 * self.eps)], axis=1)
        self.sigma = np.stack([self.sigma_e, self.sigma_c], axis=1)

    def words(self, i: int) -> str:
        """Problem i in words."""
        return ", ".join(f"{name} = {getattr(self, name)[i]:.6g}" for name in self.names)

    def problem(self, linear: Float[np.ndarray, "p 2"]) -> Problem:
        """In units of the noise; linear (P, 2): the linear term in the units of d."""
        decay = np.stack([self.lam, self.lam_c], axis=1) / self.sigma**2
        return Problem(self.d / self.sigma, linear / self.sigma, decay, self.common, self.own)


def _teacher_pull(setting: Setting, loss: Distillation, arrays: _Arrays) -> Float[np.ndarray, "p 2"]:
    """-E (e sum_j t_j, sum_j t_j c_j) (P, 2): the linear term of distillation has the opposite sign (claim N5).

    It is the gradient of the teacher's own cross-entropy at its own weights and input; where its input is clean, its
    features are larger by 2 eps than those, e and c_j, that the student's margins have.
    """
    teacher = np.stack([arrays.teacher_e, arrays.teacher_c], axis=1) * arrays.sigma
    zero = np.zeros_like(arrays.d)
    clean = loss.teacher_input == "clean"
    shift = 2 * arrays.eps[:, None] * np.array([1.0, setting.sharing]) * clean
    problem = Problem((arrays.d + shift) / arrays.sigma, zero, zero, arrays.common, arrays.own)
    _, gradient, _, wrong = _calculus(setting, problem)(np.arange(len(teacher)), teacher)
    return gradient * arrays.sigma + shift * wrong[:, None]


def _student(calculus: Calculus, mu: Float[np.ndarray, "p"],
             sigma: Float[np.ndarray, "p 2"]) -> Bool[np.ndarray, "p 2"]:
    """Distillation on w >= 0: the coordinates that are free at the minimiser; the smaller sets are tried first."""
    count = len(mu)
    free, undecided = np.ones((count, 2), dtype=bool), np.ones(count, dtype=bool)
    for kept in ((False, False), (False, True), (True, False)):
        index = np.flatnonzero(undecided)
        if not len(index):
            break
        trial = np.tile(np.array(kept), (len(index), 1))

        def part(inner: Int[np.ndarray, "q"], v: Float[np.ndarray, "q 2"],
                 index: Int[np.ndarray, "r"] = index) -> Derivatives:
            return calculus(index[inner], v)

        v, _ = damped_newton(part, trial)
        _, slopes, _, _ = calculus(index, v)
        optimal = (trial | (slopes * sigma[index] >= -ROUNDING * mu[index, None])).all(axis=1)
        free[index[optimal]] = kept
        undecided[index[optimal]] = False
    return free


def solve_cross_entropy(setting: Setting, loss: Soft, eps: Real, lam: Real, lam_c: Real | None = None) -> Solution:
    """Minimise R(w) = E loss(x + delta*) + (lam w1^2 + lam_c w2^2)/2 for CrossEntropy(b) or Distillation(teacher).

    The loss is log(1 + sum_j e^{-m_j}) + sum_j t_j m_j, with robust margins m_j under the monotone attack delta*
    (claims A1, S1; computed by `plane_integrals` or `line_integrals`), t_j = b/n for a smoothed label, the teacher's
    softmax otherwise.
    setting: any with norm inf (design B: normal noise).  eps: attack strength >= 0, units of a feature.
    lam: weight decay > 0; a weight has the units of 1/feature.  lam_c: that of w2, where it is not lam. Arrays
    broadcast.

    Returns a Solution with method "numeric", iterations the derivatives evaluated by Newton's method, and error the
    change of the gradient under a finer quadrature. For cross-entropy over all real w: w1 = 0 iff mu_e <= 2 eps,
    w2 = 0 iff mu_c <= 2 eps, both at b = n/(n+1) (claim T1-CE); by Jensen's inequality no negative weight does better.
    For distillation over w >= 0. Raises ValueError for another loss, b > n/(n+1) or a setting that is not covered,
    NotConverged if the gradient exceeds 1e-10 mu, or its error 1e-10 mu (other noise than normal: 1e-6 mu), or the
    weights are not settled to 1e-8 relative.

    >>> from synthmodel.model.setting import Setting
    >>> solution = solve_cross_entropy(Setting(mu=1, sigma=0.5), CrossEntropy(), eps=0.2, lam=0.1)
    >>> round(solution.w1, 9), round(solution.w2, 9)
    (1.355028202, 1.233716114)
    """
    _covered(setting, loss)
    eps, lam = checked("eps", eps, least=0), checked("lam", lam, above=0)
    lam_c = None if lam_c is None else checked("lam_c", lam_c, above=0)
    smoothed = isinstance(loss, CrossEntropy)
    arrays = _Arrays(setting, loss, eps, lam, lam_c)
    linear = arrays.b[:, None] * arrays.d if smoothed else -_teacher_pull(setting, cast("Distillation", loss), arrays)
    problem = arrays.problem(linear)
    calculus = _calculus(setting, problem)
    with np.errstate(over="ignore"):
        if smoothed:
            # At w_j = 0 the slope along +w_j has the sign of -d_j (E[1-p_1] - b), and that along -w_j is positive.
            slack = (setting.active / setting.classes - arrays.b)[:, None] * arrays.d
            free = slack > ROUNDING * arrays.mu_e[:, None]
        else:
            free = _student(calculus, arrays.mu_e, arrays.sigma)
        v, counts = damped_newton(calculus, free)
    return _judged(setting, arrays, problem, free, v, np.where(free.any(axis=1), counts, 0))


def _judged(setting: Setting, arrays: _Arrays, problem: Problem, free: Bool[np.ndarray, "p 2"],
            v: Float[np.ndarray, "p 2"], counts: Int[np.ndarray, "p"]) -> Solution:
    """The Solution at v, or NotConverged."""
    everyone = np.arange(len(v))
    _, gradient, hessian, _ = _calculus(setting, problem)(everyone, v)
    risk, finer, _, _ = _calculus(setting, problem, FINER)(everyone, v)
    scale = arrays.sigma / arrays.mu_e[:, None]  # d/dw = sigma d/dv, in units of mu
    gradient, finer = (np.where(free, x, np.minimum(x, 0)) for x in (gradient, finer))
    error = np.linalg.norm((finer - gradient) * scale, axis=1)
    residual = np.linalg.norm(gradient * scale, axis=1)
    held = ~free
    hessian[held[:, :, None] | held[:, None, :]] = 0
    hessian[:, [0, 1], [0, 1]] += held
    size = np.linalg.norm(v, axis=1)
    step = np.linalg.norm(np.linalg.solve(hessian, np.where(free, gradient, 0)[:, :, None])[:, :, 0], axis=1)
    missing = np.where(free.any(axis=1), step / np.where(size > 0, size, 1e-300), 0.0)
    allowed = ACCURACY if setting.noise == "normal" else LOOSE
    bad = ~((error <= allowed) & (residual <= ACCURACY) & (missing <= WEIGHT_ACCURACY))
    if bad.any():
        i = int(np.argmax(bad))
        raise NotConverged(
            f"a residual of {residual[i]:.1e} mu, a quadrature error of {error[i]:.1e} mu and a relative weight error "
            f"of {missing[i]:.1e} are left at {arrays.words(i)}, but at most {ACCURACY:.0e}, {allowed:.0e} and "
            f"{WEIGHT_ACCURACY:.0e} are accepted: choose a larger lam, or eps and b further from mu/2 and (K-1)/K.")
    w = v / arrays.sigma
    shaped = [number(x.reshape(arrays.shape)) for x in (w[:, 0], w[:, 1], risk, residual, error)]
    iterations = int(counts[0]) if arrays.shape == () else counts.reshape(arrays.shape)
    return Solution(shaped[0], shaped[1], shaped[2], shaped[3], method="numeric", iterations=iterations,
                    error=shaped[4])


def cross_entropy_ratio(setting: Setting, eps: Real, lam: Real, b: Real = 0.0) -> Broadcast:
    """r_CE = w2/w1 in (0, 1) at the minimiser of `solve_cross_entropy` (claim S1); setting, eps, lam, b as there.

    Raises ValueError at eps >= mu_e/2 and at b >= (K-1)/K, where w1 = 0.

    >>> from synthmodel.model.setting import Setting
    >>> round(cross_entropy_ratio(Setting(mu=1, sigma=0.5), eps=0.2, lam=0.1), 9)
    0.910472647
    """
    ratio = solve_cross_entropy(setting, CrossEntropy(b), eps, lam).ratio
    if ratio is None or np.any(np.isnan(ratio)):
        raise ValueError(f"eps = {np.max(eps)} and b = {np.max(b)} were given, but w1 = 0 has no ratio: choose eps "
                         f"< mu_e/2 = {np.min(setting.mu_e) / 2} and b < (K-1)/K.")
    return ratio


def ratio_limit(setting: Setting, lam: Real, lam_c: Real | None = None) -> Broadcast:
    """The limit of r_CE as eps -> mu/2, and as b -> (K-1)/K: (K^2 L + K - 1)/(K^2 L_c + (K-1)^2) (T1-CE, T3-CE).

    L = lam/sigma^2, L_c = lam_c/sigma^2, lam_c = lam unless given; for three classes (9 L + 2)/(9 L_c + 4). It is S1 at
    w = 0, where p_j = 1/K gives A = (K-1)/K^2 and B = (K-1)^2/K^2. Design A, equal means and noises, rho = 0;
    lam > 0, else ValueError.

    >>> from synthmodel.model.setting import Setting
    >>> ratio_limit(Setting(mu=1, sigma=1), lam=2)
    0.9090909090909091
    """
    checked_setting(setting).d(0)
    if setting.norm != inf or (setting.design == "B" and setting.classes > 3) or np.any(np.asarray(setting.rho) != 0):
        raise ValueError(f"design {setting.design}, rho = {np.max(np.abs(setting.rho))} and norm {setting.norm} were "
                         "given, but this limit is that of design A, rho = 0 and norm inf: choose these.")
    decay, k = checked("lam", lam, above=0) / setting.sigma_e**2, setting.classes
    other = decay if lam_c is None else checked("lam_c", lam_c, above=0) / setting.sigma_e**2
    return (k * k * decay + k - 1) / (k * k * other + (k - 1)**2)


def stein_residual(setting: Setting, loss: Soft, eps: float, lam: float, w1: float, w2: float, order: int = 64,
                   lam_c: float | None = None) -> tuple[float, float]:
    """(dR/dw1, dR/dw2) by the Stein form S1, in units of mu_e, at w1, w2 >= 0: (0, 0) at the minimiser.

    dR/dw1 = -d_e (pibar - b) + w1 (lam + sigma_e^2 A), dR/dw2 = -d_c (pibar - b) + w2 (lam_c + sigma_c^2 B), with
    d = mu - 2 eps, p the softmax at x + delta*, pibar = E[1 - p_1], A = E p_1 (1 - p_1),
    B = E sum_{j != 1} p_j (1 - p_j). The expectations are a Gauss-Hermite product over e, c_2, c_3 with
    `order` nodes each, independent of the solver's two-dimensional form; 64 nodes give ten digits for
    sigma |w| <= 2, and fewer beyond. Three classes, normal noise, rho = 0. Raises ValueError otherwise.

    >>> from synthmodel.model.setting import Setting
    >>> setting, loss = Setting(mu=1, sigma=0.5), CrossEntropy()
    >>> best = solve_cross_entropy(setting, loss, eps=0.2, lam=0.1)
    >>> max(map(abs, stein_residual(setting, loss, 0.2, 0.1, best.w1, best.w2))) < 1e-12
    True
    """
    _covered(setting, loss)
    if not setting.plain or not isinstance(loss, CrossEntropy):
        raise ValueError(f"{setting} with {loss} was given, but the Stein form is evaluated for cross-entropy, three "
                         "classes, normal noise and rho = 0 only: choose these.")
    b, eps, lam = loss.b, checked("eps", eps, least=0), checked("lam", lam, above=0)
    lam_c = lam if lam_c is None else checked("lam_c", lam_c, above=0)
    w1, w2 = checked("w1", w1, least=0), checked("w2", w2, least=0)
    nodes, weights = normal_rule(order)
    features = [mu - 2 * eps + sigma * nodes for mu, sigma in ((setting.mu_e, setting.sigma_e),
                                                               (setting.mu_c, setting.sigma_c))]
    e, c2, c3 = np.meshgrid(features[0], features[1], features[1], indexing="ij")
    p1, p2, p3 = softmax(np.stack([np.zeros_like(e), -w1 * e - w2 * c2, -w1 * e - w2 * c3]), axis=0)

    def mean(values: Float[np.ndarray, "n n n"]) -> float:
        return float(values @ weights @ weights @ weights)

    force, own, others = mean(p2 + p3) - b, mean(p1 * (1 - p1)), mean(p2 * (1 - p2) + p3 * (1 - p3))
    return cast("tuple[float, float]", (
        (w1 * (lam + setting.sigma_e**2 * own) - (setting.mu_e - 2 * eps) * force) / setting.mu_e,
        (w2 * (lam_c + setting.sigma_c**2 * others) - (setting.mu_c - 2 * eps) * force) / setting.mu_e))
