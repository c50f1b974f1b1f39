"""The weights of the smooth losses: log-sum-exp over the wrong classes, and cross-entropy.

Functions of a `rule` (quadrature.py); every expectation is written down from the loss, its gradient taken pathwise.
"""

from mpmath import mp, mpf
from quadrature import newton, phi, radius, root, strip


def psi(rule, x):
    """E[(Z/sqrt 2) tanh(x Z/sqrt 2)], the derivative of E log(2 cosh(x Z/sqrt 2))."""
    nodes, weights = strip(rule, mp.pi / (mp.sqrt(2) * x) if x else mp.inf)
    return mp.fdot(weights, [z / mp.sqrt(2) * mp.tanh(x * z / mp.sqrt(2)) for z in nodes])


def psi_classes(rule, x, n):
    """E sum_j q_j xi_j, q the softmax of x xi over n wrong classes: the derivative of E log sum_j e^(x xi_j).

    1/S = int e^(-tS) dt for S = sum_j e^(x xi_j), t = e^z, as in `cross_entropy_any` below: with
    M(z) = E G(z + x xi) and N(z) = E[xi e^y G(y)] at y = z + x xi, psi = n int N M^(n-1) dz. M vanishes like
    E exp(-e^z e^(x xi)) for large z: from z = x radius + 5 on, below the tail of xi.
    """
    h = 2 * mp.pi * (mp.pi / 2) / (rule.exponent + (mp.pi / 2) ** 2 / (2 * x**2))
    first, xi, weights = window(rule, h, mpf(0), x)  # of -xi, whose law is the same
    low, high = -int(rule.exponent / h), int((x * radius(rule) + mp.log(rule.exponent)) / h) + 1
    exps = [mp.exp(h * j) for j in range(low - first - len(xi) + 1, high - first + 1)]
    decay = [mp.exp(-y) for y in exps]
    m = convolve(decay, weights)
    moment = convolve([y * g for y, g in zip(exps, decay, strict=True)],
                      [-weight * point for weight, point in zip(weights, xi, strict=True)])
    return n * h * mp.fdot(moment, [value ** (int(n) - 1) for value in m])


def wrong_class_lse(rule, mu, sigma, eps, lam, tau):
    """tau log sum_j exp(-m_j/tau) = -w1 e - w2 (c_2 + c_3)/2 + tau log(2 cosh(w2 (c_2 - c_3)/(2 tau)))."""
    d = mu - 2 * eps
    return d / lam, root(lambda w: d - sigma * psi(rule, sigma * w / tau) - lam * w, 0, d / lam)


def cross_entropy(rule, k, L, b):
    """(v1, v2) minimising E log(1 + 2 e^-a cosh D) + b E a + L |v|^2/2 in units of the noise.

    a = v1 e + v2 (c_2 + c_3)/2 = k (v1 + v2) + t X, t^2 = v1^2 + v2^2/2, and D = v2 (c_2 - c_3)/2 = v2 Y/sqrt 2 with
    independent standard normal X, Y. 1 - p_1 = 1/(1 + e^a/(2 cosh D)); it and tanh D have their poles at
    |Im a| = pi and |Im D| >= pi/2.
    """
    def gradient(stage, v):
        v1, v2 = v
        t = mp.sqrt(v1**2 + v2**2 / 2)
        x, x_weights = strip(stage, mp.pi / t)
        y, y_weights = strip(stage, mp.pi / (mp.sqrt(2) * v2))
        if not stage.shift:  # even in Y
            middle = len(y) // 2
            y, y_weights = y[middle:], [y_weights[middle], *(2 * weight for weight in y_weights[middle + 1:])]
        big_d = [v2 * z / mp.sqrt(2) for z in y]
        lower = [1 / (2 * mp.cosh(z)) for z in big_d]
        turned = [weight * mp.tanh(z) * u / mp.sqrt(2) for z, u, weight in zip(big_d, y, y_weights, strict=True)]
        wrong, along, across = mpf(0), mpf(0), mpf(0)  # E (1-p_1), E (1-p_1) X, E (1-p_1) tanh(D) Y/sqrt 2
        for node, weight in zip(x, x_weights, strict=True):
            upper = mp.exp(k * (v1 + v2) + t * node)
            row = [1 / (1 + upper * z) for z in lower]
            mean = weight * mp.fdot(row, y_weights)
            wrong, along, across = wrong + mean, along + mean * node, across + weight * mp.fdot(row, turned)
        return [L * v1 + b * k - k * wrong - v1 / t * along,
                L * v2 + b * k - k * wrong - v2 / (2 * t) * along + across]
    return newton(gradient, rule, (mpf(1) / 2, mpf(2) / 5))


def cross_entropy_risk(rule, k, L, b):
    """The minimum itself: the same trapezoidal sums of log(1 + 2 e^-a cosh D)."""
    v1, v2 = cross_entropy(rule, k, L, b)
    t = mp.sqrt(v1**2 + v2**2 / 2)
    x, x_weights = strip(rule, mp.pi / t)
    y, y_weights = strip(rule, mp.pi / (mp.sqrt(2) * v2))
    upper = [2 * mp.exp(-k * (v1 + v2) - t * z) for z in x]
    cosh = [mp.cosh(v2 * z / mp.sqrt(2)) for z in y]
    mean = mp.fdot(x_weights, [mp.fdot(y_weights, [mp.log(1 + p * q) for q in cosh]) for p in upper])
    return mean + b * k * (v1 + v2) + L * (v1**2 + v2**2) / 2


def window(rule, h, mean, sd):
    """The lattice points j h near the law N(mean, sd^2): the first j, standardised points, weights."""
    first, last = (int(mp.floor((mean + sign * radius(rule) * sd) / h)) for sign in (-1, 1))
    points = [(h * j - mean) / sd for j in range(first, last + 1)]
    return first, points, [h / sd * phi(x) for x in points]


def convolve(values, weights):
    """sum_j weights[j] values[i - j] for every i at which all terms exist."""
    mirror, n = weights[::-1], len(weights)
    return [mp.fdot(values[i:i + n], mirror) for i in range(len(values) - n + 1)]


def cross_entropy_any(rule, law, L, b):
    """(v1, v2) of cross-entropy log(1 + X) + b mean m_j, X = sum_j e^(-m_j), n = K-1 terms, for any Law.

    m_j = u + v2 own xi_j, u ~ N(v1 mean_e + v2 count mean_c, s^2), s^2 = v1^2 sd_e^2 + v2^2 shared, u = E u + s Z.
    Differentiate log S = int_0^inf (e^-t - e^(-tS))/t dt (true at S = 1, and both sides have the derivative
    1/S = int e^(-tS) dt). With S = 1 + X and t = e^z, p_1 = 1/S and p_j = e^(-m_j)/S; given u the xi_j are
    independent, so that every mean is a chain of one-dimensional convolutions: for f = 1 and f = Z
    E[f p_1] = int e^z G(z) E[f M(z - u)^n] dz,  E[xi_j p_j] = int G(z) E[N(z - u) M(z - u)^(n-1)] dz,
    G(z) = exp(-e^z), M(y) = E G(y - v2 own xi), N(y) = E[xi e^z G(z)] at z = y - v2 own xi. One lattice of step h
    serves z, u and v2 own xi; G is bounded in |Im z| <= pi/2, which fixes h.
    """
    n = law.wrong

    def gradient(stage, v):
        v1, v2 = v
        s, own, pole = mp.sqrt(v1**2 * law.sd_e**2 + v2**2 * law.shared), v2 * law.own, mp.pi / 2
        h = 2 * mp.pi * pole / (stage.exponent + pole**2 / (2 * min(s, own) ** 2))
        first_u, z_u, u_weights = window(stage, h, v1 * law.mean_e + v2 * law.count * law.mean_c, s)
        first_x, xi, x_weights = window(stage, h, mpf(0), own)
        low, high = -int(stage.exponent / h), int(mp.log(stage.exponent + 5) / h) + 1
        start, stop = low - first_u - len(z_u) - first_x - len(xi) + 2, high - first_u - first_x
        exps = [mp.exp(h * j) for j in range(start, stop + 1)]
        decay = [mp.exp(-x) for x in exps]
        m = convolve(decay, x_weights)
        mixed = convolve([x * g for x, g in zip(exps, decay, strict=True)],
                         [weight * x for weight, x in zip(x_weights, xi, strict=True)])
        power = [value ** (n - 1) for value in m]
        mixed = [x * y for x, y in zip(mixed, power, strict=True)]
        power = [x * y for x, y in zip(m, power, strict=True)]
        exps = [mp.exp(h * j) for j in range(low, high + 1)]
        outer = [h * mp.exp(-x) for x in exps]
        inner = [x * g for x, g in zip(exps, outer, strict=True)]
        right = mp.fdot(inner, convolve(power, u_weights))
        along = mp.fdot(inner, convolve(power, [weight * z for weight, z in zip(u_weights, z_u, strict=True)]))
        across = n * mp.fdot(outer, convolve(mixed, u_weights))
        pull = 1 - right - b
        return [L * v1 - law.mean_e * pull + v1 * law.sd_e**2 / s * along,
                L * v2 - law.count * law.mean_c * pull + v2 * law.shared / s * along - law.own * across]
    return newton(gradient, rule, (mpf(1) / 2, mpf(2) / 5))
