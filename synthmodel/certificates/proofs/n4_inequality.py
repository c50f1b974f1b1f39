"""N4's inequality: why cross-entropy uses the cross-class feature more than is best (THEORY.md, N4).

I(u, rho) = imr(u) S(h) - rho S'(h) > 0 for all rho > 0, with S(h) = E sig(h + rho (u - Z)), Z standard normal, and
h = H(q^2) the binary entropy of q^2 = r^2/(1+r^2), r = r_acc(u). Why that gives r_CE > r_acc for every lam >= 0:
THEORY.md, N4.
"""

import math
from fractions import Fraction

from flint import arb

from synthmodel.certificates.checker import Lemma, ball
from synthmodel.certificates.proofs.skewness import inverse_mills

__all__ = ["LAST", "LEMMAS", "best_ratio", "inequality", "inequality_far", "inverse_mills", "k_of", "least_entropy",
           "smoothed"]

SIDE = (Fraction(0), Fraction("1.64"))
LAST = ball(SIDE[1], SIDE[1])  # k_of(1.64) = 2.06951...
RHO = (Fraction("0.2"), Fraction(6))  # imr(1.64) > RHO[0]/2 settles smaller rho, `inequality_far` larger ones
REACH = 22  # the logistic law beyond it weighs 6e-10
EXPONENT = 22  # discretisation error about exp(-22)
STRIP = 1.57  # |Im Y| <= 1.57 < pi/2


def best_ratio(u: arb) -> tuple[arb, arb]:
    """Bound r_acc as a function of u > 0 from below and above, from the cubic of T2-joint', by bisection.

    Its slope is positive on r > 0 for l = imr(u)/u >= 0, so the sign tells the side of its one root.
    """
    level = inverse_mills(u) / u
    below, above = arb(0), arb(1)
    for _ in range(40):
        r = (below + above) / 2
        value = ((r + level - 1) * r + level + 2) * r - 2
        if value < 0:
            below = r
        elif value > 0:
            above = r
        else:
            break
    return below, above


def k_of(u: arb) -> arb:
    """Bound k = u sqrt((1+r^2)(2+r^2))/(r (1+r)), r = r_acc, from below: it decreases in r.

    >>> k_of(arb("1.64"))
    [2.06951...]
    """
    r = best_ratio(u)[1]
    return u * ((1 + r * r) * (2 + r * r)).sqrt() / (r * (1 + r))


def least_entropy(u: arb) -> arb:
    """Bound H(q^2), q^2 = r^2/(1+r^2) < 1/2, r = r_acc(u), from below on a ball u: H increases there, r_acc in u.

    0 where the ball reaches down to u = 0.
    """
    if not u > 0:
        return arb(0)
    r = best_ratio(arb(u.lower()))[0]
    share = r * r / (1 + r * r)
    return -share * share.log() - (1 - share) * (1 - share).log()


def smoothed(u: arb, h: arb, inverse: arb) -> tuple[arb, arb]:
    """Enclose (S, rho S') = (E Phi(t), E phi(t)), t = u + (h - Y)/rho, Y logistic, by the trapezoidal rule over Y.

    As sig is the distribution function of Y, S = E sig(h + rho (u - Z)). The error of step s is at most
    pi (1 + b exp(b^2/2))/(exp(2 pi y/s) - 1), b = y/rho, for any y < pi/2 (THEORY.md#arithmetic). The nodes left out
    weigh at most Pr(|Y| > the last node).
    """
    y = min(STRIP, 3 / float(inverse.upper()))
    step = arb(2 * math.pi * y / EXPONENT)
    count = int(REACH / float(step)) + 1
    b = y * inverse
    error = (arb.pi() * (1 + b * (b * b / 2).exp()) / ((2 * arb.pi() * y / step).exp() - 1)
             + 2 / (1 + (step * count).exp()))
    value = slope = arb(0)
    for j in range(-count, count + 1):
        node = step * j
        density, t = 1 / (2 + 2 * node.cosh()), u + (h - node) * inverse
        value += density * (-t / arb(2).sqrt()).erfc() / 2
        slope += density * (-t * t / 2).exp()
    ball = arb(0, error.upper())
    return step * value + ball, step * slope / (2 * arb.pi()).sqrt() + ball


def inequality(u: arb, inverse: arb) -> arb:
    """Enclose imr(u) S - rho S' on the balls u and 1/rho at h = `least_entropy`: positive only if I > 0 there.

    log S is concave, so a larger h keeps the sign.
    """
    value, slope = smoothed(u, least_entropy(u), inverse)
    return inverse_mills(u) * value - slope


def inequality_far(u: arb) -> arb:
    """Enclose rho I for rho >= RHO[1] (rho^2 I where h = 0) on a ball u at h = `least_entropy`: positive only if I > 0.

    I = E psi((h - Y)/rho), Y logistic, psi(t) = imr(u) Phi(u + t) - phi(u + t), psi(0) = 0. Taylor's formula with
    E Y^2 = pi^2/3, E Y^4 = 7 pi^4/15, |psi^(4)| < .56 imr(u) + 1.2 (bounds of the derivatives phi^(3), phi^(4)).
    """
    h, inverse = least_entropy(u), ball(Fraction(0), 1 / RHO[1])
    mills, second, fourth = inverse_mills(u), arb.pi() ** 2 / 3, 7 * arb.pi() ** 4 / 15
    density, slope = (-u * u / 2).exp() / (2 * arb.pi()).sqrt(), mills + u  # psi'(0) = density slope, and so on
    third = u * (1 - u * slope) + mills + 2 * u
    rest = (arb("0.56") * mills + arb("1.2")) * (h**4 + 6 * h * h * second + fourth) / 24
    later = (density * ((1 - u * slope) * (h * h + second) / 2 - inverse * third * (h**3 + 3 * h * second) / 6)
             - inverse**2 * rest)
    return later if h == 0 else density * slope * h + inverse * later


# I > 0 for RHO[0] <= rho <= RHO[1], beyond, and for smaller rho, where S >= 1/2 and S' <= 1/4; how far k reaches
LEMMAS = {
    "N4_inequality": Lemma((SIDE, (1 / RHO[1], 1 / RHO[0])), ((inequality, 1),)),
    "N4_inequality_far": Lemma((SIDE,), ((inequality_far, 1),)),
    "N4_inequality_near": Lemma((), ((lambda: inverse_mills(LAST) - ball(RHO[0], RHO[0]) / 2, 1),)),
    "N4_inequality_range": Lemma((), ((lambda: k_of(LAST) - arb("2.0695"), 1),)),
}
