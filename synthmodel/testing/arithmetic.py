"""Signs of real numbers, exactly: an expression is written once, as a function of the arithmetic that evaluates it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

import mpmath
import sympy as sp
from flint import acb, arb, fmpq

from synthmodel.certificates.checker import precision

__all__ = ["Arithmetic", "Balls", "Digits", "Exact", "Number", "Signs", "above_threshold", "decide", "exact_sign",
           "far", "near_threshold", "require"]

Exact: TypeAlias = "Fraction | int | float | str"  # what Fraction takes
Number: TypeAlias = Any  # of an arithmetic: a ball, or an expression of sympy
Arithmetic: TypeAlias = Any  # Balls or Digits
Signs: TypeAlias = "list[tuple[Number, Number]]"  # pairs whose signs must agree

DOUBLINGS = 3  # of the precision, before a point is left undecided


class Balls:
    """Ball arithmetic (flint) with so many bits, which are those of flint's context: a sign is certain, or None."""

    def __init__(self, bits: int) -> None:
        self.bits, self.reach = bits, math.isqrt(2 * bits) + 2  # exp(-reach^2/2) < 2^-bits
        self.width = Fraction(1, 2 ** min(bits // 3, 36))  # relative, of an interval around a root known to 1e-13

    def __getattr__(self, name: str) -> Callable[[Number], Number]:  # exp, erf, ...: the method of that name
        return lambda x: getattr(x, name)()

    def number(self, x: Exact) -> Number:
        return arb(fmpq(Fraction(x).numerator, Fraction(x).denominator))

    def pi(self) -> Number:
        return arb.pi()

    def integral(self, function: Callable[[Number], Number], low: int | None, bound: Number) -> Number:
        """int function(z) exp(-z^2/2) dz over z > low (None: the line); |function(z)| <= bound (1 + |z|)."""
        start = -self.reach if low is None else low
        inside = acb.integral(lambda z, _: function(z) * (-z * z / 2).exp(), start, self.reach,
                              abs_tol=arb(2) ** -self.bits).real
        left_out = 4 * bound * (-arb(self.reach) ** 2 / 2).exp()
        return inside + left_out.union(-left_out)

    def plane(self, function: Callable[[Number, Number], Number], strip_x: float, strip_y: float,
              bounds: tuple[Number, Number, Number]) -> Number:
        """E f(X, Y), X, Y independent standard normals, f even in Y, by trapezoidal rules whose error is enclosed.

        For |Im x| <= strip_x and real y, and for |Im y| <= strip_y and real x, |f| <= A + B |x| + C |y| with `bounds`
        (A, B, C). Moving the contour bounds what a rule of step h misses by 2 E|f| e^{s^2/2}/(e^{2 pi s/h} - 1).
        """
        a, b, c = bounds
        rules, missed = [], 8 * (a + b + c) * (-arb(self.reach) ** 2 / 2).exp()
        for strip in (strip_x, strip_y):
            strip = min(strip, 3.0)  # beyond, e^{s^2/2} costs more than it gains
            step = arb(2 * math.pi * strip / (0.7 * self.bits + strip * strip / 2))
            size = a + b * (1 + strip) + c * (1 + strip)
            missed += 4 * size * (arb(strip) ** 2 / 2).exp() / ((2 * arb.pi() * strip / step).exp() - 1)
            nodes = [step * j for j in range(int(self.reach / float(step)) + 2)]
            rules.append([(node, step * (-node * node / 2).exp() / (2 * arb.pi()).sqrt()) for node in nodes])
        total = arb(0)
        for (x, weight), sign in itertools.product(rules[0], (1, -1)):
            row = sum((p * function(sign * x, y) * (2 if j else 1) for j, (y, p) in enumerate(rules[1])), arb(0))
            total += weight * row * (arb(1) / 2 if x == 0 else 1)
        return total + missed.union(-missed)

    def interval(self, low: Fraction, high: Fraction) -> Number:
        return self.number(low).union(self.number(high))

    def sign(self, x: Number) -> int | None:
        return 1 if x > 0 else -1 if x < 0 else 0 if x.is_zero() else None


class Digits:
    """Exact expressions of sympy, of which N digits are computed; an integral is a number with ten more digits."""

    def __init__(self, digits: int) -> None:
        self.digits, self.reach = digits, math.isqrt(5 * digits) + 4
        self.width = Fraction(1, 10 ** min(digits // 2, 11))

    def __getattr__(self, name: str) -> Any:
        return getattr(sp, name)

    def number(self, x: Exact) -> Number:
        return sp.Rational(Fraction(x).numerator, Fraction(x).denominator)

    def pi(self) -> Number:
        return sp.pi

    def integral(self, function: Callable[[Number], Number], low: int | None, bound: Number) -> Number:
        """As in `Balls`, by mpmath: a Gauss-Legendre rule on the line, tanh-sinh, dense at its end, on a half-line."""
        z = sp.Symbol("z")
        with mpmath.workdps(self.digits + 10):
            integrand = sp.lambdify(z, function(z) * sp.exp(-z * z / 2), "mpmath")
            if low is None:
                panels = mpmath.linspace(-self.reach, self.reach, self.reach // 2 + 1)
                degree = (self.digits // 3).bit_length() + 2  # about three nodes a digit on each panel
                value = mpmath.quad(integrand, panels, method="gauss-legendre", maxdegree=degree)
            else:
                value = mpmath.quad(integrand, [low, low + 2, self.reach], maxdegree=10)
            return sp.Float(value, self.digits + 10)

    def plane(self, function: Callable[[Number, Number], Number], strip_x: float, strip_y: float,
              bounds: tuple[Number, Number, Number]) -> Number:
        """As in `Balls`, by the same rules, without a bound of their error."""
        x, y = sp.symbols("x y")
        with mpmath.workdps(self.digits + 10):
            value, steps = sp.lambdify((x, y), function(x, y), "mpmath"), []
            for strip in (strip_x, strip_y):
                strip = min(strip, 3.0)
                steps.append(mpmath.mpf(2 * math.pi * strip / (2.5 * self.digits + strip * strip / 2)))
            counts = [int(self.reach / step) + 1 for step in steps]
            weights = [[mpmath.npdf(step * j) * step for j in range(n + 1)]
                       for step, n in zip(steps, counts, strict=True)]
            total = mpmath.fsum(weights[0][abs(i)] * weights[1][j] * (2 if j else 1)
                                * value(i * steps[0], j * steps[1])
                                for i in range(-counts[0], counts[0] + 1) for j in range(counts[1] + 1))
            return sp.Float(total, self.digits + 10)

    def interval(self, low: Fraction, high: Fraction) -> Number:
        return self.number((low + high) / 2)

    def sign(self, x: Number) -> int | None:
        """The sign of an exact fraction, or of a number that is not 0 within N digits after the point; else None."""
        if not sp.sympify(x).is_Rational:
            x = sp.N(x, self.digits)
            if abs(x) < sp.Float(10) ** -self.digits:
                return None
        return int(sp.sign(x))


def verdict(signs: Iterable[tuple[int | None, int | None]]) -> str:
    """fails: the signs of some pair certainly differ; undecided: else some sign is unknown; holds: all agree."""
    pairs = [None if None in pair else pair[0] == pair[1] for pair in signs]
    return "fails" if False in pairs else "undecided" if None in pairs else "holds"


def decide(statement: Callable[[Arithmetic], Signs], arithmetic: type[Balls] | type[Digits], size: int) -> str:
    """The verdict in `Balls` of `size` bits or `Digits`, the precision being doubled while it is undecided."""
    for precise in (size << i for i in range(DOUBLINGS)):
        with precision(precise):  # for flint; sympy does not mind
            m = arithmetic(precise)
            found = verdict([(m.sign(left), m.sign(right)) for left, right in statement(m)])
        if found != "undecided":
            break
    return found


def require(holds: bool, words: str) -> None:
    """Raise ValueError where a claim says nothing, because the condition in `words` does not hold."""
    if not holds:
        raise ValueError(f"the point does not satisfy the claim's hypothesis {words}: choose another point.")


def exact_sign(expression: Callable[[Arithmetic], Number]) -> int | None:
    """The sign of a real number, given as a function of the arithmetic; None if it is too close to 0 to tell.

    >>> exact_sign(lambda m: m.number("3.1415926535897932384") - m.pi())
    -1
    """
    for bits in (64 << i for i in range(2 * DOUBLINGS)):
        with precision(bits):
            if (found := Balls(bits).sign(expression(Balls(bits)))) is not None:
                return found
    return None


def far(expression: Callable[[Arithmetic], Number], size: Exact) -> bool:
    """Whether a number is farther from 0 than rounding: a float cannot know the side of a nearer boundary."""
    return (exact_sign(lambda m: abs(expression(m)) - m.number(size)) or -1) > 0


def above_threshold(k: Exact, b: Exact = 0) -> bool:
    """Whether k > (1-b)/sqrt(pi) for rational k and b != 1: never an equality, as pi is no square of a rational.

    >>> above_threshold(Fraction(5642, 10000)), above_threshold(Fraction(5641, 10000))
    (True, False)
    """
    return exact_sign(lambda m: m.number(k) * m.sqrt(m.pi()) - m.number(1 - Fraction(b))) == 1


@cache
def near_threshold() -> tuple[Fraction, ...]:
    """Fractions on either side of 1/sqrt(pi), the nearest of them at 1e-12.

    >>> near_threshold()[:2]
    (Fraction(4, 7), Fraction(5213358475636, 9360540263707))
    """
    k0 = Fraction(str(sp.N(1 / sp.sqrt(sp.pi), 60)))
    nearest = [k0.limit_denominator(10 ** n) for n in range(1, 7)]
    mirrored = [(2 * k0 - k).limit_denominator(10 ** 13) for k in nearest]
    return tuple(sorted({*nearest, *mirrored}, key=lambda k: -abs(k - k0)))
