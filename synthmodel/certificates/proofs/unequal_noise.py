"""At unequal noise accuracy is unimodal for k_E >= .046 or k_C <= 12.5 k_E: the part of T2-unequal that is certified.

On F = 0 (T2-unequal), with u = r^2 t and m = imr(u),

    k_E = r (t (2 + r^2) - m)/S,   k_C = (m + u (2 + r^2))/S,   S = sqrt((1 + r^2)(2 + r^2)),

so the points of F = 0 are a region of (r, t). On it F_r < 0 wherever k_E >= .046 or k_C <= 12.5 k_E: `falls`
is a positive multiple of -F_r there. Why r <= 4, t <= 4/5 is enough: THEORY.md, T2-unequal.
"""

from collections.abc import Callable
from fractions import Fraction

from flint import arb

from synthmodel.certificates.checker import Lemma, Series
from synthmodel.certificates.proofs.joint_accuracy import line

__all__ = ["LEAST", "LEMMAS", "MOST", "falls", "outside"]

MOST, LEAST = Fraction(25, 2), Fraction(46, 1000)  # of k_C/k_E and of k_E
SQUARE = ((Fraction(0), Fraction(4)), (Fraction(0), Fraction(4, 5)))


def shapes(r: Series, t: Series) -> tuple[Series, ...]:
    """(r^2, u, m, S k_E/r, S k_C) for balls or series."""
    q = r * r
    u = q * t
    v = u / arb(2).sqrt()
    m = (-v * v).exp() * (2 / arb.pi()).sqrt() / (1 + v.erf())
    return q, u, m, t * (2 + q) - m, m + u * (2 + q)


def falls(r: Series, t: Series) -> Series:
    """-F_r ((1 + r^2)(2 + r^2))^(3/2) S/r where F = 0.

    >>> falls(arb("0.5"), arb("0.5")) > 0 > falls(arb("0.5"), arb("0.25"))  # the second: k_E < 0
    True
    """
    q, u, m, k_e, k_c = shapes(r, t)
    return (k_c + (2 + 2 * q + q * q) * k_e) * (2 + q) - m * (u + m) * ((2 - q * q) * k_e + (4 + 3 * q) * k_c)


def ratio(r: Series, t: Series) -> Series:
    """S (k_C - 12.5 k_E)."""
    *_, k_e, k_c = shapes(r, t)
    return k_c - arb(MOST.numerator) / MOST.denominator * r * k_e


def strength(r: Series, t: Series) -> Series:
    """S (.046 - k_E)."""
    q, _, _, k_e, _ = shapes(r, t)
    return arb(LEAST.numerator) / LEAST.denominator * ((1 + q) * (2 + q)).sqrt() - r * k_e


def centred(function: Callable[[Series, Series], Series], r: arb, t: arb) -> arb:
    """`function` on the box r x t: the better of its value and its mean value form."""
    plain, middle = function(r, t), (arb(r.mid()), arb(t.mid()))
    if not plain.is_finite():
        return plain
    by_r, by_t = function(line(r, 1), line(t, 0))[1], function(line(r, 0), line(t, 1))[1]
    form = function(*middle) + by_r * (r - middle[0]) + by_t * (t - middle[1])
    return plain.intersection(form) if plain.overlaps(form) else form


def certain_fall(r: arb, t: arb) -> arb:
    return centred(falls, r, t)


def outside(r: arb, t: arb) -> arb:
    """Return what is > 0 only if the whole box lies outside the hypothesis: k_C > 12.5 k_E and k_E < .046."""
    return centred(ratio, r, t).min(centred(strength, r, t))


LEMMAS = {"unequal_noise": Lemma(SQUARE, ((certain_fall, 1), (outside, 1)))}
