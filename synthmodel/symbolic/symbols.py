"""What the derivations share: symbols, the normal law, the shapes of THEORY.md, T2-joint, the attack, `derive`.

Nothing here is a float or shared with the numerical modules: each side is tested against the other.
"""

from functools import cache
from itertools import permutations
from types import MappingProxyType

import sympy as sp

from synthmodel.symbolic.derivation import Derivation, check

REGISTRY = {}  # claim ID -> the function that returns (steps, what carries them besides, results)


def claim(name):
    """Enter the function below as the derivation of the claim `name`; it returns (steps, carried_by, results)."""
    def enter(function):
        REGISTRY[name] = function
        return function
    return enter


@cache
def derive(claim):
    """The Derivation of `claim`, an ID of THEORY.md; computed once, then remembered.

    Its results are expressions in the symbols of `synthmodel.symbolic.symbols`: mu, sigma the mean and deviation
    of a feature, eps the attack, lam the regulariser, b the smoothing, k = (mu - 2 eps)/sigma, r = w2/w1.
    Raises ValueError for an unknown ID.

    >>> derive("T1").results["eps0"], derive("T1").holds
    (mu/2 - sigma/(2*sqrt(pi)), True)
    """
    if claim not in REGISTRY:
        raise ValueError(f"the claim {claim!r} has no derivation here: choose one of {', '.join(REGISTRY)}.")
    steps, carried_by, results = REGISTRY[claim]()
    return Derivation(claim, steps, carried_by, MappingProxyType(results))


mu, sigma, lam, k, r, ell = sp.symbols("mu sigma lambda k r l", positive=True)
eps, b = sp.symbols("epsilon b", nonnegative=True)
# In the steps E, C2, C3 are the active features; p, q, s, t >= 0 and A, B, T > 0 are sizes in their cases.
w1, w2, E, C2, C3, x, y, z, m = sp.symbols("w1 w2 E C_2 C_3 x y z m", real=True)
c, p, q, s, t = sp.symbols("c p q s t", nonnegative=True)
A, B, T = sp.symbols("alpha beta tau", positive=True)

HALF, PI, ROOT_PI = sp.Rational(1, 2), sp.pi, sp.sqrt(sp.pi)
UNIT, INSIDE = {b: 1 / (1 + T)}, (r, 0, 1)  # 0 < b < 1 by substitution; 0 < r < 1 for real roots
COMMUTE = "max over delta and max over j commute, and expectation is linear"
LEIBNIZ = "differentiation under the integral sign"
DENSITY = "p_e is bounded, continuous and positive at 0, and E|M| is finite"
SIGNS = "the sign of a derivative decides monotonicity, and the intermediate value theorem"


def normal_pdf(e):
    return sp.exp(-e**2 / 2) / sp.sqrt(2 * PI)


def normal_cdf(e):
    return (1 + sp.erf(e / sp.sqrt(2))) / 2


def normal_density(e, mean, deviation):
    return normal_pdf((e - mean) / deviation) / deviation


class Imr(sp.Function):
    """imr(u) = phi(u)/Phi(u) by name, so that formulas stay short; T2-joint' checks its derivative."""

    def _eval_is_positive(self):
        return True

    def fdiff(self, argindex=1):
        """imr' = -imr (u + imr)."""
        return -self * (self.args[0] + self)


class OwenT(sp.Function):
    """Owen's T(h, a) by name; T2-joint checks both derivatives against the integral that defines it."""

    def fdiff(self, argindex):
        """T_h = -phi(h) (Phi(a h) - 1/2), T_a = exp(-h^2 (1 + a^2)/2)/(2 pi (1 + a^2))."""
        h, a = self.args
        if argindex == 1:
            return -normal_pdf(h) * (normal_cdf(a * h) - HALF)
        return sp.exp(-h**2 * (1 + a**2) / 2) / (2 * PI * (1 + a**2))


# The shapes of THEORY.md, T2-joint, in k = (mu - 2 eps)/sigma and r = w2/w1.
ONE, TWO = sp.sqrt(1 + r**2), sp.sqrt(2 + r**2)
h, a, g = k * (1 + r) / ONE, r / TWO, TWO / ONE
u = k * r * (1 + r) / (ONE * TWO)
X, Y = r * (1 - r) / (TWO * ONE**3), 2 * (1 + r) / (TWO**3 * ONE)
F = k * (1 - r) * g - Imr(u)


def explicit(expr):
    return expr.replace(Imr, lambda e: normal_pdf(e) / normal_cdf(e))


@cache
def attack_steps():
    """The margins f_1 - f_j of class 1 without attack, what the attack takes off, and why (the steps)."""
    deltas = sp.symbols("delta_E1:4 delta_C1:4", real=True)
    point = [e + d for e, d in zip((E, 0, 0, 0, C2, C3), deltas, strict=True)]
    f = [w1 * point[i] + w2 * sum(point[3 + j] for j in range(3) if j != i) for i in range(3)]
    clean = [sp.expand((f[0] - f[j]).xreplace(dict.fromkeys(deltas, sp.S.Zero))) for j in (1, 2)]
    worst = 2 * eps * (sp.Abs(w1) + sp.Abs(w2))
    signs = [-sp.sign(w1), sp.sign(w1), sp.sign(w1), sp.sign(w2), -sp.sign(w2), -sp.sign(w2)]
    vertex = {d: eps * e for d, e in zip(deltas, signs, strict=True)}
    return clean, worst, (
        check("A term x y with |y| <= eps is at most eps |x|.", x * y, "<=", eps * sp.Abs(x),
              cases=({x: p, y: eps - s}, {x: -p, y: s - eps})),
        check("So max_delta (f_j - f_i) adds eps times its coefficients' l1 norm, one value for all i, j.",
              sp.Matrix([eps * sum(sp.Abs(sp.diff(f[j] - f[i], d)) for d in deltas)
                         for i, j in permutations(range(3), 2)]), "=", sp.Matrix([worst] * 6)),
        check("One vertex delta* of the box attains it for both wrong classes of class 1.",
              sp.Matrix([(f[j] - f[0]).xreplace(vertex) for j in (1, 2)]), "=",
              sp.Matrix([worst - e for e in clean]),
              cases=[{w1: i * A, w2: j * B} for i in (1, 0, -1) for j in (1, 0, -1)]))
