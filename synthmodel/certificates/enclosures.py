"""Numbers of the theory enclosed in balls as narrow as asked for: thresholds, best ratio, best smoothing, crossover."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb, fmpq

from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs.joint_accuracy import K, excess, gain, k_used

__all__ = ["enclose"]

MOST_DIGITS = 300  # of k_x, some ten seconds
LARGEST = Fraction(10) ** 50


def exact(name: str, value: Any) -> Fraction:
    """Return `value` as a positive Fraction. A float is refused: its value is not the decimal it is written as."""
    plain = isinstance(value, int | Fraction) and not isinstance(value, bool)
    if plain or (isinstance(value, str) and re.fullmatch(r"[0-9./]{1,100}", value)):
        try:
            number = Fraction(value)
        except (ValueError, ZeroDivisionError):
            number = Fraction(0)
        if 1 / LARGEST <= number <= LARGEST:
            return number
    raise ValueError(f"{name} = {value!r} was given, but it must be an exact number > 0 of ordinary size (1e-50 to "
                     "1e50): write an int, a Fraction, or a text such as '1.2' or '6/5'.")


def rational(number: Fraction) -> arb:
    return arb(fmpq(number.numerator, number.denominator))


def root(function: Callable[[arb], arb], low: Fraction, high: Fraction) -> arb:
    """Enclose a root in [low, high], exact ends at which the signs of `function` are certain and differ.

    Bisection goes on until the sign in the middle is not certain at the precision of the moment.
    """
    rising = function(rational(high)) > 0
    if not (function(rational(low)) < 0 if rising else function(rational(low)) > 0 > function(rational(high))):
        return arb.nan()  # not certain yet: more digits are needed
    while True:
        middle = (low + high) / 2
        value = function(rational(middle))
        if value > 0:
            low, high = (low, middle) if rising else (middle, high)
        elif value < 0:
            low, high = (middle, high) if rising else (low, middle)
        else:
            return rational(low).union(rational(high))


def eps0(mu: Fraction, sigma: Fraction) -> arb:
    return (rational(mu) - rational(sigma) / arb.pi().sqrt()) / 2


def certified(k: Fraction) -> arb:
    """Return k as a ball; ValueError outside the certified range."""
    if not K[0] <= k <= K[1]:
        raise ValueError(f"k = {k} was given, but the root is certified to be the only one for {K[0]} <= k <= {K[1]}: "
                         "choose such a k, or use synthmodel.accuracy.three_classes.")
    return rational(k)


def r_acc(k: Fraction) -> arb:
    y = arb.pi().sqrt() * certified(k)
    if y < 1:
        return arb(0)
    return root(lambda r: excess(r, y, (1 - r) * y), Fraction(0), Fraction(1))


def b_star(k: Fraction) -> arb:
    y = arb.pi().sqrt() * certified(k)
    if y < 1:
        raise ValueError(f"k = {k} was given, but b* exists for k > 1/sqrt(pi) only: choose a larger k.")
    return 1 - y * (1 - r_acc(k))


def k_x() -> arb:
    return k_used(root(gain, Fraction(1, 4), Fraction(3, 4)))


NUMBERS: dict[str, tuple[Callable[..., arb], tuple[str, ...]]] = {
    "eps0": (eps0, ("mu", "sigma")), "r_acc": (r_acc, ("k",)), "b_star": (b_star, ("k",)), "k_x": (k_x, ())}


def enclose(name: str, digits: int = 30, **numbers: int | Fraction | str) -> arb:
    """Return a ball (flint.arb) that certainly contains the number `name`, with `digits` correct digits.

    "eps0", mu, sigma:  mu/2 - sigma/(2 sqrt(pi)) (T1).
    "r_acc", k:         the ratio of the highest joint robust accuracy: the only root of F(., k) in (0, 1), or exactly
                        0 for k < 1/sqrt(pi) (T2-joint').
    "b_star", k:        1 - sqrt(pi) k (1 - r_acc(k)), k > 1/sqrt(pi): the best smoothing (N3).
    "k_x":              the crossover: the only root of P(1, k) = P(r_AT(k), k) for k in (1/sqrt(pi), 8] (N3).
    The signs at both ends of the ball are certain; that there is no other root is what `certify` certifies, for
    k in [1/2, 8]. mu, sigma, k: an int, a Fraction, or a text such as "1.2" or "6/5".
    Raises ValueError for other numbers (floats too: 1.2 is not 6/5), and for digits not in 1, ..., 300.

    >>> print(enclose("r_acc", k="1.2").str(30, radius=False))
    0.759052489342200162773383720136
    >>> print(enclose("k_x", digits=10).str(10, radius=False))
    1.145371579
    """
    if name not in NUMBERS or set(numbers) != set(NUMBERS[name][1]):
        offered = "; ".join(f"{key}({', '.join(given)})" for key, (_, given) in NUMBERS.items())
        raise ValueError(f"{name}({', '.join(numbers)}) was asked for, but these are offered: {offered}.")
    if type(digits) is not int or not 1 <= digits <= MOST_DIGITS:
        raise ValueError(f"digits = {digits} was given, but it must be a whole number from 1 to {MOST_DIGITS}: "
                         "choose such a number.")
    fractions = {key: exact(key, value) for key, value in numbers.items()}
    wanted = 10 * digits // 3 + 4  # more than digits log2(10) bits
    bits = wanted + 32
    while True:
        with precision(bits):
            ball = NUMBERS[name][0](**fractions)
            if ball.is_exact() or (ball.is_finite() and ball.rel_accuracy_bits() >= wanted):
                return ball
        bits += bits // 2
