"""The lemmas that are certified, stated for `checker`. The only formula of the theory that enters them is P (T2-joint).

Derivatives of F are coefficients of its Taylor series, computed by flint; nothing is differentiated by hand but P.
F comes in units that make its threshold exact in ball arithmetic (at r = 0, y = 1 it is 1 - 1):

    sqrt(pi/2) F = gap sqrt((2+r^2)/(2(1+r^2))) - exp(-v^2)/(1 + erf(v)),   y = sqrt(pi) k,  gap = (1-r) y,
    v = u/sqrt(2) = y r (1+r)/sqrt(2 pi (1+r^2)(2+r^2)).
"""

from fractions import Fraction

from flint import acb, arb, arb_series

from synthmodel.certificates.checker import Lemma, Series, ball

__all__ = ["LEMMAS", "K", "excess", "gain", "k_used", "miss"]

R, K = (Fraction(0), Fraction(1)), (Fraction(1, 2), Fraction(8))
TOP, CUT = Fraction(239, 256), Fraction(1, 4)  # r_AT = TOP at k = 8.49...


def half(r: Series, y: Series) -> Series:
    """Return v = u/sqrt(2)."""
    return y * r * (1 + r) / (2 * arb.pi() * (1 + r * r) * (2 + r * r)).sqrt()


def excess(r: Series, y: Series, gap: Series) -> Series:
    """Compute sqrt(pi/2) F for balls or series. gap = (1-r) y is an argument: on some curves it is known exactly.

    >>> excess(arb(0), arb(1), arb(1)).is_zero()  # F(0, 1/sqrt(pi)) = 0
    True
    """
    v = half(r, y)
    return gap * ((2 + r * r) / (2 * (1 + r * r))).sqrt() - (-v * v).exp() / (1 + v.erf())


def line(value: arb | int, slope: arb | int) -> arb_series:
    """Return the series value + slope t + O(t^2)."""
    return arb_series([value, slope])


def f(r: arb, k: arb) -> arb:
    """Return sqrt(pi/2) F."""
    y = arb.pi().sqrt() * k
    return excess(r, y, (1 - r) * y)


def f_r(r: arb, k: arb) -> arb:
    """Return the derivative of `f` in r."""
    y = arb.pi().sqrt() * k
    return excess(line(r, 1), line(y, 0), line((1 - r) * y, -y))[1]


def f_k(r: arb, k: arb) -> arb:
    """Return the derivative of `f` in y = sqrt(pi) k."""
    y = arb.pi().sqrt() * k
    return excess(line(r, 0), line(y, 1), line((1 - r) * y, 1 - r))[1]


def f_at_fixed_b(r: arb, k: arb) -> arb:
    """Return the derivative of `f` in the direction (1-r, k), in which b = 1 - sqrt(pi) k (1-r) stands still."""
    y = arb.pi().sqrt() * k
    return excess(line(r, 1 - r), line(y, y), line((1 - r) * y, 0))[1]


def threshold() -> arb:
    """Return F(0, 1/sqrt(pi))."""
    return excess(arb(0), arb(1), arb(1))


def f_used(r: Series) -> Series:
    """Return F where r = r_AT(k), that is y = 1/(1-r) and gap = 1."""
    return excess(r, 1 / (1 - r), arb(1))


def k_used(r: arb) -> arb:
    """Return the k at which r = r_AT(k): 1/(sqrt(pi) (1-r)).

    >>> print(k_used(arb(0)).str(8, radius=False))
    0.56418958
    """
    return 1 / (arb.pi().sqrt() * (1 - r))


def miss(r: arb, k: arb) -> arb:
    """1 - P(r, k) = Phi(-h) + 2 T(h, a) (T2-joint), T(h, a) = (1/2 pi) integral_0^a exp(-h^2 (1+x^2)/2)/(1+x^2) dx.

    >>> print(miss(arb(0), arb(1)).str(8, radius=False))  # Phi(-1)
    0.15865525
    """
    square = k * k * (1 + r) * (1 + r) / (1 + r * r)  # h^2
    integral = acb.integral(lambda x, _: (-square * x * x / 2).exp() / (1 + x * x), 0, r / (2 + r * r).sqrt()).real
    return (square / 2).sqrt().erfc() / 2 + (-square / 2).exp() * integral / arb.pi()


def gain(r: arb) -> arb:
    """Return P(1, k) - P(r, k) where r = r_AT(k): what full smoothing gains over none (N3).

    >>> gain(arb("0.5")) < 0 < gain(arb("0.51"))  # r_AT(k_x) lies between
    True
    """
    return miss(r, k_used(r)) - miss(arb(1), k_used(r))


def gain_slope(r: Series) -> Series:
    """(d gain/dk)/phi(h), from dP/dk = 2 (h/k) phi(h) Phi(u) and dP/dr (T2-joint); k^2 - h^2/2 = 1/(2 pi (1+r^2))."""
    one, y = 1 + r * r, 1 / (1 - r)
    at_one = arb(2).sqrt() * (-1 / (2 * arb.pi() * one)).exp() * (1 + half(arb(1), y).erf())
    at_r = (1 + r) / one.sqrt() + (1 - r) * (1 - r) * f_used(r) / (one * (1 + r * r / 2).sqrt())
    return at_one - (1 + half(r, y).erf()) * at_r


LEMMAS = {
    "F_r": Lemma((R, K), ((f_r, -1),)),
    "F_k": Lemma((R, K), ((f_k, 1),)),
    "F_end": Lemma((K,), ((lambda k: f(arb(1), k), -1),)),
    "threshold": Lemma((), ((threshold, 0),)),
    "N2_near": Lemma(((R[0], CUT),), ((lambda r: f_used(line(r, 1))[1], 1),)),
    "N2_far": Lemma(((CUT, TOP),), ((f_used, 1),)),
    "N2_range": Lemma((), ((lambda: k_used(ball(TOP, TOP)) - ball(K[1], K[1]), 1),)),
    "N3": Lemma((R, K), ((f, 1), (f, -1), (f_at_fixed_b, 1))),
    "gain_slope": Lemma(((R[0], TOP),),
                        ((gain_slope, 1), (gain_slope, -1), (lambda r: gain_slope(line(r, 1))[1], -1))),
    "gain_low": Lemma((), ((lambda: gain(arb(0)), -1),)),
    "gain_high": Lemma((), ((lambda: gain(ball(TOP, TOP)), 1),)),
}
