"""Quadrature, roots and Newton's method at any precision, for the reference values (mpmath only).

Every value is computed twice, with 60 and with 78 digits and by two rules (RULES). Quadratures against the standard
normal law, f analytic with phi(x + iy) f(x + iy) of order exp(s y^2/2), or with its nearest pole at Im x = y:
- the trapezoidal rule of step h: moving the contour bounds its error by exp(-(2 pi/h)^2/(2s)), or by
  exp(y^2/2 - 2 pi y/h) at a pole; a finer and shifted lattice is the second rule where there is a pole;
- Gauss-Legendre with 40 nodes on panels of half-width 1.5/sqrt(s), the second rule elsewhere.
"""

from collections import namedtuple
from functools import cache

from mpmath import mp, mpf

Rule = namedtuple("Rule", "digits exponent shift panels")  # quadrature error exp(-exponent); shift in steps
RULES = Rule(60, 115, 0, False), Rule(78, 150, 0.375, True)
STAGES = Rule(20, 55, 0, False), Rule(38, 95, 0, False)  # Newton's method starts cheaply
PANEL_NODES = 40


def phi(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def radius(rule):
    """Beyond it the normal law weighs less than exp(-exponent)."""
    return mp.sqrt(2 * rule.exponent) + 2


def lattice(rule, step):
    count = int(radius(rule) / step) + 1
    nodes = [step * (j + mpf(rule.shift)) for j in range(-count, count + 1)]
    return nodes, [step * phi(x) for x in nodes]


@cache
def legendre(digits):
    """Nodes and weights of the 40-point Gauss-Legendre rule on [-1, 1]."""
    with mp.workdps(digits):
        pairs = []
        for i in range(PANEL_NODES):
            x = mp.cos(mp.pi * (i + mpf(3) / 4) / (PANEL_NODES + mpf(1) / 2))
            for _ in range(8):  # Newton's method from about 4 digits
                before, value = mpf(1), x
                for j in range(2, PANEL_NODES + 1):
                    before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
                slope = PANEL_NODES * (x * value - before) / (x * x - 1)
                x -= value / slope
            pairs.append((x, 2 / ((1 - x * x) * slope**2)))
        return pairs


@cache
def normal(rule, sharpness):
    """Nodes, weights of E f(X), X standard normal, for entire f with phi f of order exp(sharpness y^2/2) at x + iy."""
    with mp.workdps(rule.digits):
        if not rule.panels:
            return lattice(rule, 2 * mp.pi / mp.sqrt(2 * rule.exponent * sharpness))
        half = mpf(3) / 2 / mp.sqrt(sharpness)
        count = int(radius(rule) / half) + 1
        centres = [2 * half * (j - mpf(count - 1) / 2) for j in range(count)]
        pairs = [(c + half * x, half * weight) for c in centres for x, weight in legendre(rule.digits)]
        return [x for x, _ in pairs], [weight * phi(x) for x, weight in pairs]


def strip(rule, pole):
    """Nodes and weights of E f(X) for f analytic in |Im x| < pole: beyond sqrt(2 exponent) a shift gains nothing."""
    y = min(pole, mp.sqrt(2 * rule.exponent))
    return lattice(rule, 2 * mp.pi * y / (rule.exponent + y * y / 2))


def quad(rule, f, points):
    """int f over the intervals between the points, f smooth in each: tanh-sinh, or Gauss-Legendre."""
    return mp.quad(f, points, method="gauss-legendre" if rule.panels else "tanh-sinh", maxdegree=12)


def root(f, low, high):
    """The root of f in (low, high): bracketed to some 15 digits, then polished by the secant method."""
    with mp.workdps(18):
        start = mp.findroot(f, (mpf(low), mpf(high)), solver="anderson", maxsteps=200)
    return mp.findroot(f, (start, start * (1 + mpf(10) ** -12)), solver="secant")


def newton(gradient, rule, start):
    """The root v > 0 of gradient(rule, v). The Jacobian is a difference quotient of step h = 10^(-digits/2).

    A relative error s thus becomes about s^2 + s h, so the digits double from stage to stage.
    """
    v = [mpf(x) for x in start]
    for stage in (*STAGES, rule):
        with mp.workdps(stage.digits):
            h, size, before = mpf(10) ** (-(stage.digits // 2)), mpf(1), gradient(stage, v)
            while size > h:
                moved = [gradient(stage, [x + h * (i == j) for j, x in enumerate(v)]) for i in range(2)]
                jacobian = mp.matrix(2, 2)
                for i in range(2):
                    for j in range(2):
                        jacobian[i, j] = (moved[j][i] - before[i]) / h
                step = mp.lu_solve(jacobian, -mp.matrix(before))
                size = mp.norm(step) / mp.norm(v)
                step /= max(1, 2 * size)  # far away, at most half of |v|
                v = [max(x + dx, x / 4) for x, dx in zip(v, step, strict=True)]
                before = gradient(stage, v) if size > h else None
    return v
