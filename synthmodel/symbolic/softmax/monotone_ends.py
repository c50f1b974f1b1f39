"""Where r_CE rises in k for strong decay or a strong signal, by hand: THEORY.md, CE-monotone-ends.

Units of the noise, notation of CE-monotone; y = 1 - p_1, q = 2 p_2 p_3, T = tanh D, theta = w1/k. At a minimiser
A/(L + A) = theta g, and N is a polynomial in six means and theta, alpha:

    f, g, (1 + v)/2: the means of p_1 with the weights q, y and y (1 - y),      X = Q''/Q, Y = P''/P, Z = A''/A.
"""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.softmax.cross_entropy import CONVEX
from synthmodel.symbolic.softmax.monotone import A_1, A_2, P_1, P_2, Q_1, Q_2
from synthmodel.symbolic.softmax.smoothing import AT_A, AT_P, AT_Q

f, g, theta, wide, narrow, size = sp.symbols("f g theta s z h", positive=True)  # wide, narrow: the variances s, z
v, X, Y, Z = sp.symbols("v X Y Z", real=True)
THIRD, EDGE = sp.Rational(1, 3), {theta: sp.Rational(1, 3), v: sp.S.One}
PARTS = {P_1: -s.alpha * AT_A, A_1: -s.alpha * v * AT_A, Q_1: -2 * s.alpha * f * AT_Q,
         P_2: Y * AT_P, A_2: Z * AT_A, Q_2: X * AT_Q}
N = ((2 - Y) * s.alpha * (2 * f - theta * g * v) + X * (s.alpha * g * (1 - theta * v) - 1)
     + theta * g * Z * (1 + s.alpha * (2 * f - g)))
LEAST_X, MOST_Y, LEAST_Z = 2*wide*f*(3*f - 1) - 2*narrow*(1 - f), (wide + narrow) * g, -(wide / 2 + narrow)
VERTICES = tuple({wide: a * s.alpha / 12, narrow: b * s.alpha / 12} for a, b in ((0, 0), (3, 0), (3, 1)))
# of 0 <= 3 z <= s <= alpha/4
SERIES = 1 + size + size**2 / 2 + size**3 / 6  # below e^h
LEAST = SERIES / (SERIES + 2)  # of f and g, alpha = 3 h
FROM_ONE = {size: 1 + s.t}


def least_coefficient(bound: sp.Expr, same: bool = False) -> sp.Expr:
    """The least coefficient in t = h - 1 of (S + 2)^3 times a polynomial in f and g, at f = u and g = 1 (same: g = u).

    If it is positive, so is the polynomial for h >= 1.
    """
    top, below = (sp.Poly(e.xreplace(FROM_ONE), s.t) for e in (SERIES, SERIES + 2))
    terms = sp.Poly(bound.xreplace(FROM_ONE), f, g).terms()
    powers = [((i + j if same else i), coefficient) for (i, j), coefficient in terms]
    return min(sum(top**n * below**(3 - n) * sp.Poly(coefficient, s.t) for n, coefficient in powers).all_coeffs())


def slope_steps() -> Steps:
    """The slopes of y, q and y (1 - y) in a and D, whose means are P, Q and A."""
    a, D = sp.symbols("a D", real=True)
    cosh, slope = (sp.exp(D) + sp.exp(-D)) / 2, (sp.exp(D) - sp.exp(-D)) / (sp.exp(D) + sp.exp(-D))  # and tanh D
    odds = 2 * sp.exp(-a) * cosh
    shapes = {"y": odds / (1 + odds), "q": 2 * sp.exp(-2 * a) / (1 + odds)**2, "y (1 - y)": odds / (1 + odds)**2}
    at, tanh = s.p, sp.Symbol("T", real=True)  # y = p below
    kappa = at * (1 - at)
    seconds = {"y": ((1 - at) * (1 - 2*at), (1 - at) * ((1 - 2*at) * tanh**2 + 1 - tanh**2)),
               "q": (2 * (1 - at) * (2 - 3*at), 2 * at * (3 * at * tanh**2 - 1)),
               "y (1 - y)": (1 - 6*kappa, (1 - 6*kappa) * tanh**2 + (1 - 2*at) * (1 - tanh**2))}
    first = {"y": -(1 - at), "q": -2 * (1 - at), "y (1 - y)": -(1 - 2*at)}

    def over(name: str) -> sp.Matrix:
        """The slope in a and the second slopes in a and D, over the function itself."""
        shape = shapes[name]
        return sp.Matrix([shape.diff(a), shape.diff(a, 2), shape.diff(D, 2)]) / shape

    back = {at: odds / (1 + odds), tanh: slope}
    return tuple(check(f"{name} has, over itself, the slope in a and the second slopes in a and D", over(name), "=",
                       sp.Matrix([first[name], *seconds[name]]).xreplace(back))
                 for name in shapes) + bound_steps(seconds, at, tanh)


def bound_steps(seconds: dict[str, tuple[sp.Expr, sp.Expr]], at: sp.Symbol, tanh: sp.Symbol) -> Steps:
    """X, Y and Z are means of these second slopes, s times that in a plus z times that in D: their bounds."""
    mean = {name: wide * by_a + narrow * by_d for name, (by_a, by_d) in seconds.items()}
    inside = [{at: 1 / (1 + s.tau), tanh: 1 / sp.sqrt(1 + s.t)}]  # 0 < y < 1, 0 < T^2 <= 1; T = 0 is their limit
    return (
        check("X is the mean of s q_aa/q + z q_DD/q with the weight q: at most 4 s f + 4 z (1 - f), as", mean["q"],
              "<=", 4 * wide * (1 - at) + 4 * narrow * at, inside),
        check("and, as the mean of y^2 is at least (1 - f)^2, at least 2 s f (3 f - 1) - 2 z (1 - f).", mean["q"], ">=",
              wide * (4 - 10*at + 6 * at**2) - 2 * narrow * at, inside),
        check("There the first bracket is, with 1 - f for y,", 4 - 10 * (1 - f) + 6 * (1 - f)**2, "=",
              2 * f * (3*f - 1)),
        check("Y is a mean with the weight y: at most (s + z) g.", mean["y"], "<=", (wide + narrow) * (1 - at), inside),
        check("Z, a mean with the weight y (1 - y), is at least -(s/2 + z), as that bracket exceeds it by",
              mean["y (1 - y)"] - LEAST_Z, "=", 3 * wide * (1 - 2*at)**2 / 2
              + narrow * (2 * (1 - at) * (1 - tanh**2) + (2 - 6*at * (1 - at)) * tanh**2)),
        check("where y (1 - y) <= 1/4.", 2 - 6*at * (1 - at), ">", 0, on=(at, 0, 1)))


def size_steps() -> Steps:
    """The variances and the means of p_1, from w1 <= k/3."""
    order = [{s.w1: s.beta * (1 + 1 / (1 + s.tau)), s.w2: s.beta}]  # w2 < w1 < 2 w2
    product, a, b = s.w1 * (s.w1 + s.w2), s.w1**2 + s.w2**2 / 2, s.w2**2 / 2  # theta alpha, s, z
    W2 = sp.exp(-2 * s.alpha + 2*wide) * 2 * (1 + sp.exp(2 * narrow))  # E W^2 = 4 E e^(-2a) E cosh^2 D
    W1 = 2 * sp.exp(-s.alpha + wide/2 + narrow/2)
    most = 2 * sp.exp(-s.alpha + 5*wide/2 + narrow/2)
    return (
        check("q = y^2/(2 cosh^2 D) <= y/2, so Q <= P/2 and x = theta Q/P (CE-monotone) is at most theta/2 < 1: "
              "w2 < w1 < 2 w2. So theta alpha = w1 (w1 + w2) is at least s + z,", product, ">=", a + b, order),
        check("4 s/3,", product, ">=", 4 * a / 3, order),
        check("and (5 s + z)/4;", product, ">=", 5 * a / 4 + b / 4, order),
        check("and s is at least 3 z.", a, ">=", 3 * b, order),
        check("With theta <= 1/3: s + z <= alpha/3, s <= alpha/4, 3 z <= s, and alpha - 5 s/2 - z/2 >= alpha (1 - 2 "
              "theta) >= alpha/3.", s.alpha * (1 - 2*theta), ">=", s.alpha / 3, [{theta: THIRD / (1 + s.t)}]),
        check("With the weight q, W has at most the mean with the weight e^(-2a), as (1 + W)^-2 falls in W "
              "(Chebyshev): E e^(-3a) 2 E cosh D/E e^(-2a), which is",
              sp.exp(-3 * s.alpha + 9*wide/2) * 2 * sp.exp(narrow / 2) / sp.exp(-2 * s.alpha + 2*wide), "=", most),
        check("With y, and with y (1 - y), it has at most the mean with the weight W, E W^2/E W,", W2 / W1, "=",
              most * (sp.exp(narrow - wide) + sp.exp(-narrow - wide)) / 2),
        check("no larger, as s >= 3 z. So these means of W are at most eta = 2 e^(-alpha/3), and f and g at least "
              "1/(1 + eta), v at least 2/(1 + eta) - 1 (Jensen): at least 1/3 and -1/3, as eta <= 2,",
              narrow - wide, "<=", 0, [{wide: 3*narrow + s.t}]),
        check("and for alpha <= 3 f >= 1/3 + alpha/18: by e^(alpha/3) >= 1 + alpha/3", (3 + s.alpha) / (9 + s.alpha),
              ">=", THIRD + s.alpha / 18, [{s.alpha: 3 / (1 + s.tau)}]))


def weak_steps() -> Steps:
    """alpha <= 3."""
    first = (2 - s.alpha/3) * (2*f - THIRD)
    last = sp.Rational(5, 72) * (1 + s.alpha * f**2)
    below = first - (1 + 2*f) / 3 * (1 - 2 * s.alpha / 9) - last
    above = first - 2 * (1 - f) * (10 * s.alpha / 108 - sp.Rational(1, 12)) - last
    ends = (sp.S.One, THIRD + s.alpha / 18)
    steps = [
        check("Let alpha <= 3. (2 - Y)(2 f - theta g v) is at least (2 - alpha/3)(2 f - 1/3), positive as f > 1/3.",
              first, ">", 0, [{s.alpha: 3 / (1 + s.tau), f: THIRD + s.t}]),
        check("The last term of N/alpha is at least -(5/72)(g + alpha g (2 f - g)), as s/2 + z <= 5 alpha/24; 1/alpha "
              "+ 2 f - g >= 0 and g (2 f - g) <= f^2.", g * (2*f - g), "<=", f**2),
        check("With c = g (1 - theta v) - 1/alpha the middle one is c X. If c < 0, then -c <= 1/alpha - 2/9 and X is "
              "at most", (4 * wide * f + 4 * narrow * (1 - f)).xreplace(VERTICES[2]), "=", s.alpha * (1 + 2*f) / 3),
        check("so -c X is at most", s.alpha * (1 + 2*f) / 3 * (1 / s.alpha - sp.Rational(2, 9)), "=",
              (1 + 2*f) / 3 * (1 - 2 * s.alpha / 9)),
        check("If c >= 0, then c <= 10/9 - 1/alpha and X >= -2 z (1 - f), so -c X is at most",
              2 * s.alpha / 12 * (1 - f) * (sp.Rational(10, 9) - 1 / s.alpha), "=",
              2 * (1 - f) * (10 * s.alpha / 108 - sp.Rational(1, 12)))]
    for word, bound in (("In the first case", below), ("In the second", above)):
        steps.append(check(f"{word} N/alpha is at least a function concave in f,", bound.diff(f, 2), "<", 0))
        steps += [check(f"which is positive at f = {end},", bound.subs(f, end), ">", 0, on=(s.alpha, 0, 3))
                  for end in ends]
    return tuple(steps)


def strong_steps() -> Steps:
    """alpha = 3 h, h >= 1."""
    tilt = 1 / s.alpha + 2*f - g
    lowest = (LEAST_X * (g * (1 - theta * v) - 1 / s.alpha) + (2 - MOST_Y) * (2*f - theta * g * v)
              + theta * g * LEAST_Z * tilt)
    gap = 2 + LEAST_X - MOST_Y
    far, edge = {s.alpha: 3 * size}, lowest.xreplace(EDGE)
    upper = {f: sp.Rational(4, 7) + sp.Rational(3, 7) / (1 + s.tau)}
    values = [sp.expand(edge.xreplace(vertex).xreplace(far)) for vertex in VERTICES]
    tangents = [value - value.diff(g, 2) / 2 * (1 - g)**2 for value in values]  # quadratic in g
    steps = [
        check("Let alpha = 3 h, h >= 1. As e^h is above its series S to h^3, f and g are at least u = S/(S + 2), which "
              "rises with h from 4/7.", sp.factor(LEAST.xreplace(FROM_ONE) - sp.Rational(4, 7)), ">=", 0),
        check("So c >= 2 u/3 - 1/3 > 0, and 2 f > g: in N/alpha the bounds of X, Y and Z may be put for them. That "
              "moves in v at the rate", lowest.diff(v), "=", -theta * g * gap),
        check("and at v = 1 in theta at the rate", lowest.xreplace({v: sp.S.One}).diff(theta), "=",
              -g * (gap + (wide/2 + narrow) * tilt)),
        check("which are negative, as 2 + X - Y > 0 by its bounds: these rise in f,", gap.diff(f), ">", 0,
              [{f: THIRD + s.tau}]),
        check("fall in g, and are linear in (s, z), so the vertices of 0 <= 3 z <= s <= alpha/4 decide at f = u, g = 1."
              " It is positive at (s, z) = 0,", gap.xreplace(VERTICES[0]), ">", 0)]
    names = ("at (alpha/4, 0), where (S + 2)^3 times it is a polynomial in h - 1 whose least coefficient is",
             "and at (alpha/4, alpha/12), likewise.")
    steps += [check(name, least_coefficient(gap.xreplace(vertex).xreplace(far)), ">", 0)
              for vertex, name in zip(VERTICES[1:], names, strict=True)]
    steps.append(check("So v = 1, theta = 1/3 is worst, and again the vertices decide: at 0", values[0], ">", 0,
                       [{f: g / 2 + s.tau}]))
    for value, tangent, name in zip(values[1:], tangents[1:], ("(alpha/4, 0)", "(alpha/4, alpha/12)"), strict=True):
        steps += [
            check(f"At {name} the bound rises in f,", value.diff(f), ">", 0, [FROM_ONE | upper]),
            check("and is convex in g, so above its tangent at g = 1,", value.diff(g, 2), ">", 0),
            check("which at f = u is positive, by that least coefficient, at g = 1", least_coefficient(tangent), ">",
                  0),
            check("and at g = u.", least_coefficient(tangent, same=True), ">", 0)]
    return tuple(steps)


def reach_steps() -> Steps:
    """Which L have w1 <= k/3."""
    y, ratio = s.p, sp.Rational(6, 7)
    return (
        check("As L grows from any value to infinity, w1 <= k/L falls to 0. So if 3 w1 > k at L, then 3 w1 = k at a "
              "larger L' = 3 P - A, the mean of", 3*y - y * (1-y), "=", 2*y + y**2),
        check("which is below 3.", 2*y + y**2, "<", 3, [{y: 1 / (1 + s.tau)}]),
        check("And L' < 3 P < 3 E W = 6 exp(-alpha + (s + z)/2), where s + z <= alpha/3:", -s.alpha + (wide+narrow) / 2,
              "<=", -5 * s.alpha / 6, [{s.alpha: 3 * (wide+narrow) + s.t}]),
        check("x <= 1/6 there, so r >= 6/7 and alpha = k^2 (1 + r)/3 is so large that this is below 6 exp(-k^2/2).",
              sp.Rational(5, 6) * s.k**2 * (1 + ratio) / 3, ">", s.k**2 / 2))


@claim("CE-monotone-ends")
def ce_monotone_ends() -> Stated:
    found = derive("CE-monotone").results["N"].xreplace(PARTS).xreplace({AT_A: g * AT_P, s.w1: theta * s.k})
    return (
        *slope_steps(),
        check("With A = g P, P' = -alpha A, A' = -alpha v A, Q' = -2 alpha f Q and theta = w1/k the N of CE-monotone "
              "is", found, "=", N),
        *size_steps(), *weak_steps(), *strong_steps(), *reach_steps(),
    ), ("CE-monotone, S1 and CE-2D", CONVEX, s.LEIBNIZ,
        "the heat equation, and E e^(-c a) = e^(-c alpha + c^2 s/2), E cosh(c D) = e^(c^2 z/2)",
        "Chebyshev's association inequality and Jensen's", "a function linear on a triangle is least at a vertex, a "
        "concave one on an interval at an end", "w is continuous in L", "e^h >= 1 + h + h^2/2 + h^3/6"), {"N": N}
