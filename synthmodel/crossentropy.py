"""Cross-entropy, with or without label smoothing, under the monotone attack, minimised by Newton's method.

Everything is computed in units of the noise (theory.md, section 0): v = sigma w, k = (mu - 2 eps)/sigma,
L = lam/sigma^2 are all that the problem depends on.
"""

from math import hypot, log, pi, sqrt

import numpy as np
from scipy.special import expit, softmax

from synthmodel.losses import CrossEntropy
from synthmodel.setting import checked
from synthmodel.solution import NotConverged, Solution

__all__ = ["cross_entropy_ratio", "ratio_limit", "solve_cross_entropy", "stein_residual"]

ACCURACY = 1e-10  # in units of mu: a larger residual or quadrature error raises
WEIGHT_ACCURACY = 1e-8  # a larger Newton step, relative to |w|, still to go raises (where w almost vanishes)
ROUNDING = 1e-14  # in units of mu: a weight pulled by less is 0
STEPS = 100  # of Newton's method; it takes 2 to 20, some 50 where the risk is exponentially small
RADIUS = 9.0  # the normal law beyond it weighs 2e-19
MOST_NODES = 1000  # in a half-line; more, from sigma |w| near 50 on, would take seconds
EXPONENT = 40.0  # aliasing error exp(-40) = 4e-18 of the trapezoidal rule


def _nodes(pole, exponent):
    """Trapezoidal nodes and weights on [-9, 9] for E f(X), X standard normal, f analytic in |Im x| < pole.

    Moving the contour by y < pole bounds the error of step h by exp(y^2/2 - 2 pi y/h), the first term being
    the growth of exp(-x^2/2) off the real line. It is exp(-exponent) for h = 2 pi y/(exponent + y^2/2); beyond
    y = sqrt(2 exponent) the growth costs more than the shift gains.
    """
    y = min(pole, sqrt(2 * exponent))
    step = 2 * pi * y / (exponent + y * y / 2)
    count = int(RADIUS / step) + 1
    if count > MOST_NODES:
        raise NotConverged(f"the quadrature needs {count} nodes in a half-line for weights near "
                           f"{3 / pole:.2g}/sigma, but at most {MOST_NODES} are used: choose a larger lam.")
    nodes = step * np.arange(-count, count + 1)
    return nodes, step / sqrt(2 * pi) * np.exp(-nodes**2 / 2)


def _derivatives(v, k, b, decay, exponent=EXPONENT):
    """Risk, gradient and Hessian in v = (v1, v2) >= 0 of E log(1 + 2 e^{-a} cosh D) + b E a + decay |v|^2/2.

    With unit noise e, c_j, c_l ~ N(k, 1): a = v1 e + v2 (c_j + c_l)/2 = k (v1 + v2) + t X and
    D = v2 (c_j - c_l)/2 = v2 Y/sqrt(2), X and Y independent standard normals, t^2 = v1^2 + v2^2/2.
    Given X, e = k + alpha X + beta N and (c_j + c_l)/2 = k + (beta X - alpha N)/sqrt(2), N a third one.
    """
    v1, v2 = v
    t = hypot(v1, v2 / sqrt(2))
    alpha, beta = (v1 / t, v2 / (t * sqrt(2))) if t else (1.0, 0.0)  # at v = 0 any direction will do
    # 1 + 2 e^{-a} cosh D = 0 at Im a = pi, or Im D between pi/2 and pi: at |Im X| = pi/t, |Im Y| >= pi/(sqrt(2) v2).
    x, x_weights = _nodes(pi / t if t else np.inf, exponent)
    y, y_weights = _nodes(pi / (sqrt(2) * v2) if v2 else np.inf, exponent)
    half = len(y) // 2  # the integrand is even in Y
    y, y_weights = y[half:], np.where(y[half:] > 0, 2, 1) * y_weights[half:]

    a, big_d = k * (v1 + v2) + t * x[:, None], v2 * y / sqrt(2)
    logit = big_d + np.log1p(np.exp(-2 * big_d)) - a  # log(2 e^{-a} cosh D), without overflow
    wrong = expit(logit)  # 1 - p_1
    spread = wrong * expit(-logit)  # p_1 (1 - p_1)
    tanh = np.tanh(big_d)
    # Conditional means given X of the noisy features e, c = (c_j + c_l)/2, and dD/dv2.
    e, c, slope = k + alpha * x, k + beta * x / sqrt(2), y / sqrt(2)

    def mean(values):
        return x_weights @ values @ y_weights

    risk = mean(np.logaddexp(0, logit)) + b * k * (v1 + v2) + decay * (v1 * v1 + v2 * v2) / 2
    mean_wrong, mean_spread = wrong @ y_weights, spread @ y_weights  # given X
    pull = (wrong * tanh) @ (slope * y_weights)
    gradient = np.array([-x_weights @ (e * mean_wrong) + b * k + decay * v1,
                         -x_weights @ (c * mean_wrong - pull) + b * k + decay * v2])
    cross = (spread * tanh) @ (slope * y_weights)
    h11 = x_weights @ ((e**2 + beta**2) * mean_spread)
    h12 = x_weights @ ((e * c - alpha * beta / sqrt(2)) * mean_spread - e * cross)
    h22 = (x_weights @ ((c**2 + alpha**2 / 2) * mean_spread - 2 * c * cross)
           + mean((spread * tanh**2 + wrong * (1 - tanh**2)) * slope**2))
    return risk, gradient, np.array([[h11, h12], [h12, h22]]) + decay * np.eye(2)


def _newton(k, b, decay):
    """The minimiser v > 0 for k > 0, b < 2/3 by damped Newton from v = 0, and the count of derivatives.

    The risk is strictly convex. A step is halved until it stays in v > 0 and shrinks the gradient, along
    which Newton's direction always descends: unlike the risk, the gradient is accurate near the minimum.
    """
    v, damping, count = np.zeros(2), 1.0, 1
    _, gradient, hessian = _derivatives(v, k, b, decay)
    for _ in range(STEPS):
        step = -np.linalg.solve(hessian, gradient)
        if np.linalg.norm(step) <= 1e-8 * np.linalg.norm(v):
            return v + step, count  # quadratic convergence: the error left is at the rounding level
        trial = v + damping * step
        if trial.min() > 0:
            count += 1
            _, trial_gradient, trial_hessian = _derivatives(trial, k, b, decay)
            if np.linalg.norm(trial_gradient) <= (1 - damping / 4) * np.linalg.norm(gradient):
                v, gradient, hessian, damping = trial, trial_gradient, trial_hessian, 1.0
                continue
        damping /= 2
    return v, count


def _checked_loss(loss):
    if not isinstance(loss, CrossEntropy):
        raise ValueError(f"the loss {loss!r} was given, but this solver takes CrossEntropy(b) only: "
                         "use solve_numeric for the margin losses.")
    if loss.b > 2 / 3:
        raise ValueError(f"b = {loss.b} was given, but above 2/3 the label prefers the wrong classes, so that "
                         "delta* is no attack and w = 0 no minimiser: choose b <= 2/3.")
    return loss.b


def solve_cross_entropy(setting, loss, eps, lam):
    """Minimise R(w) = E loss(x + delta*) + (lam/2)(w1^2 + w2^2) over all real w for CrossEntropy(b), b <= 2/3.

    The loss is log(1 + sum_j e^{-m_j}) + b mean_j m_j, with robust margins m_j = w1 E + w2 C_j
    - 2 eps (|w1| + |w2|) under the monotone attack delta* (claims A1, S1; form: theory.md, section 9.3).
    setting: mu, sigma in the units of a feature.  eps: attack strength >= 0, units of a feature.
    lam: weight decay > 0; a weight has the units of 1/feature.

    Returns a Solution with method "numeric" and iterations the derivatives evaluated by Newton's method. The
    minimiser is w = 0 iff mu <= 2 eps or b = 2/3 (claim T1-CE), else w1 > w2 > 0; by Jensen's inequality no
    negative weight does better. Raises ValueError for another loss, b > 2/3 or a number outside its domain,
    NotConverged if the gradient, or its change under a finer quadrature, exceeds 1e-10 mu, or the weights
    are not settled to 1e-8 relative.

    >>> from synthmodel.setting import Setting
    >>> solution = solve_cross_entropy(Setting(mu=1, sigma=0.5), CrossEntropy(), eps=0.2, lam=0.1)
    >>> round(solution.w1, 9), round(solution.w2, 9)
    (1.355028202, 1.233716114)
    """
    b, eps, lam = _checked_loss(loss), checked("eps", eps, least=0), checked("lam", lam, above=0)
    # At w = 0 all p_j = 1/3: dR = (b - 2/3) dm, whose one-sided slopes are those along +w_j and -w_j.
    slopes = (b - 2 / 3) * setting.d(eps), (2 / 3 - b) * (setting.mu + 2 * eps)
    residual = sqrt(2) * max(0.0, -min(slopes)) / setting.mu
    if residual <= ROUNDING:
        return Solution(0.0, 0.0, log(3), residual, "numeric", 0)

    k, decay = setting.k(eps), lam / setting.sigma**2
    v, count = _newton(k, b, decay)
    _, coarse, _ = _derivatives(v, k, b, decay)
    risk, gradient, hessian = _derivatives(v, k, b, decay, 1.5 * EXPONENT)
    # d/dw = sigma d/dv, in units of mu.
    error = np.linalg.norm(gradient - coarse) * setting.sigma / setting.mu
    residual = np.linalg.norm(gradient) * setting.sigma / setting.mu
    missing = np.linalg.norm(np.linalg.solve(hessian, gradient)) / np.linalg.norm(v) if v.any() else np.inf
    if not (max(error, residual) <= ACCURACY and missing <= WEIGHT_ACCURACY):
        raise NotConverged(
            f"a residual of {residual:.1e} mu, a quadrature error of {error:.1e} mu and a relative weight error of "
            f"{missing:.1e} are left at eps = {eps}, lam = {lam}, b = {b} in {setting}, but at most {ACCURACY:.0e}, "
            f"{ACCURACY:.0e} and {WEIGHT_ACCURACY:.0e} are accepted: choose a larger lam, or eps and b further "
            "from mu/2 and 2/3.")
    w1, w2 = v / setting.sigma
    return Solution(float(w1), float(w2), float(risk), float(residual), "numeric", count)


def cross_entropy_ratio(setting, eps, lam, b=0.0):
    """r_CE = w2/w1 in (0, 1) at the minimiser of `solve_cross_entropy` (claim S1); setting, eps, lam, b as there.

    Raises ValueError at eps >= mu/2 and at b >= 2/3, where w = 0 and there is no ratio.

    >>> from synthmodel.setting import Setting
    >>> round(cross_entropy_ratio(Setting(mu=1, sigma=0.5), eps=0.2, lam=0.1), 9)
    0.910472647
    """
    solution = solve_cross_entropy(setting, CrossEntropy(b), eps, lam)
    if solution.ratio is None:
        raise ValueError(f"eps = {eps} and b = {b} were given, but w = 0 has no ratio: choose eps < mu/2 = "
                         f"{setting.mu / 2} and b < 2/3.")
    return solution.ratio


def ratio_limit(setting, lam):
    """The limit of r_CE as eps -> mu/2, and as b -> 2/3: (9 L + 2)/(9 L + 4), L = lam/sigma^2 (T1-CE, T3-CE).

    It is S1 at w = 0, where p = (1/3, 1/3, 1/3) gives A = 2/9 and B = 4/9. lam > 0, else ValueError.

    >>> from synthmodel.setting import Setting
    >>> ratio_limit(Setting(mu=1, sigma=1), lam=2)
    0.9090909090909091
    """
    decay = checked("lam", lam, above=0) / setting.sigma**2
    return (9 * decay + 2) / (9 * decay + 4)


def stein_residual(setting, loss, eps, lam, w1, w2, order=64):
    """(dR/dw1, dR/dw2) by the Stein form S1, in units of mu, at w1, w2 >= 0: (0, 0) at the minimiser.

    dR/dw1 = -d (pibar - b) + w1 (lam + sigma^2 A), dR/dw2 = -d (pibar - b) + w2 (lam + sigma^2 B), with
    d = mu - 2 eps, p the softmax at x + delta*, pibar = E[1 - p_1], A = E p_1 (1 - p_1),
    B = E sum_{j != 1} p_j (1 - p_j). The expectations are a Gauss-Hermite product over e, c_2, c_3 with
    `order` nodes each, independent of the solver's two-dimensional form; 64 nodes give ten digits for
    sigma |w| <= 2, and fewer beyond. Raises ValueError as `solve_cross_entropy` does.

    >>> from synthmodel.setting import Setting
    >>> setting, loss = Setting(mu=1, sigma=0.5), CrossEntropy()
    >>> best = solve_cross_entropy(setting, loss, eps=0.2, lam=0.1)
    >>> max(map(abs, stein_residual(setting, loss, 0.2, 0.1, best.w1, best.w2))) < 1e-12
    True
    """
    b, d, lam = _checked_loss(loss), setting.d(eps), checked("lam", lam, above=0)
    w1, w2 = checked("w1", w1, least=0), checked("w2", w2, least=0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    feature, weights = d + setting.sigma * nodes, weights / weights.sum()
    e, c2, c3 = np.meshgrid(feature, feature, feature, indexing="ij")
    p1, p2, p3 = softmax(np.stack([np.zeros_like(e), -w1 * e - w2 * c2, -w1 * e - w2 * c3]), axis=0)

    def mean(values):
        return float(values @ weights @ weights @ weights)

    force, variance = d * (mean(p2 + p3) - b), setting.sigma**2
    own, others = mean(p1 * (1 - p1)), mean(p2 * (1 - p2) + p3 * (1 - p3))
    return ((w1 * (lam + variance * own) - force) / setting.mu,
            (w2 * (lam + variance * others) - force) / setting.mu)
