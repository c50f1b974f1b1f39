"""C1 = max over u of imr''(u)/(1 + imr'(u)), the constant of the skewness lemma (THEORY.md, C1).

With l = imr(u) = phi(u)/Phi(u): imr' = -l (u + l), V = 1 + imr' is the variance of a standard normal cut off
below -u, V' = imr'' = l ((u + l)(u + 2 l) - 1) its third central moment, and f = V'/V.
"""

from fractions import Fraction

from flint import arb

from synthmodel.certificates.checker import Lemma

__all__ = ["C1_HIGH", "C1_LOW", "LEMMAS", "inverse_mills", "ratio_on", "skewness_ratio", "tail_bounds"]

C1_LOW, C1_HIGH = arb("0.60705545"), arb("0.60705546")
MAXIMISER = arb("-0.33739957")  # only a hint: the lower bound is the value there
EDGE = 6  # beyond |u| = 6 the bounds of `tail_bounds` hold


def inverse_mills(u: arb) -> arb:
    """Enclose imr(u) for a ball u: it decreases, so the values at the two ends enclose it."""
    def at(point: arb) -> arb:
        return (2 / arb.pi()).sqrt() * (-point * point / 2).exp() / (-point / arb(2).sqrt()).erfc()
    return at(u.lower()).union(at(u.upper()))


def moments(u: arb) -> tuple[arb, arb, arb]:
    """Enclose (V, V', V'') for a ball u.

    From l' = -l (u + l): V'' = l' ((u+l)(u+2l) - 1) + l ((1+l')(u+2l) + (u+l)(1+2l')).
    """
    mills = inverse_mills(u)
    one, two = u + mills, u + 2 * mills
    slope = -mills * one
    return 1 + slope, mills * (one * two - 1), slope * (one * two - 1) + mills * ((1 + slope) * two
                                                                                  + one * (1 + 2 * slope))


def skewness_ratio(u: arb) -> arb:
    """Enclose f(u) = imr''(u)/(1 + imr'(u)) for a ball u (C1).

    >>> skewness_ratio(arb(0))  # half a normal law: sqrt(2/pi) (4 - pi)/(pi - 2)
    [0.59996...]
    """
    variance, third, _ = moments(u)
    return third / variance


def ratio_on(u: arb) -> arb:
    """Enclose f on a wide ball u more narrowly, by its mean value form: f' = V''/V - f^2.

    >>> ratio_on(arb(0, 0.01)).rad() < skewness_ratio(arb(0, 0.01)).rad() / 3
    True
    """
    middle = arb(u.mid())
    variance, third, fourth = moments(u)
    return skewness_ratio(middle) + (fourth / variance - (third / variance) ** 2) * (u - middle)


def tail_bounds() -> tuple[arb, arb]:
    """Bound f from above on u <= -6 and on u >= 6; both bounds are monotone in |u|.

    2 (1 + y^2)(3 y - 2 y/(1 + 3 y^2))/(1 - 3 y^2) with y = -1/u, and 8 u^2 phi(u)/(1 - 4 u phi(u)): THEORY.md, C1.

    >>> tail_bounds()
    ([0.4312...], [1.7...e-6 +/- ...])
    """
    y, u = arb(1) / EDGE, arb(EDGE)
    density = (-u * u / 2).exp() / (2 * arb.pi()).sqrt()
    return (2 * (1 + y * y) * (3 * y - 2 * y / (1 + 3 * y * y)) / (1 - 3 * y * y),
            8 * u * u * density / (1 - 4 * u * density))


# C1_LOW < C1 < C1_HIGH over all real u, and C1/sqrt(2) < 1/sqrt(pi), the least k_0
LEMMAS = {
    "C1_middle": Lemma(((Fraction(-EDGE), Fraction(EDGE)),), ((lambda u: C1_HIGH - ratio_on(u), 1),)),
    "C1_left": Lemma((), ((lambda: C1_HIGH - tail_bounds()[0], 1),)),
    "C1_right": Lemma((), ((lambda: C1_HIGH - tail_bounds()[1], 1),)),
    "C1_low": Lemma((), ((lambda: skewness_ratio(MAXIMISER) - C1_LOW, 1),)),
    "C1_threshold": Lemma((), ((lambda: (2 / arb.pi()).sqrt() - C1_HIGH, 1),)),
}
