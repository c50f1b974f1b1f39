"""What the derivations share: symbols, the normal law, the shapes of THEORY.md, T2-joint.

`from synthmodel.symbolic import symbols as s`: s.r is printed as r. A name is the printed symbol, but for eps, lam and
ell (epsilon, lambda, l), as everywhere in this project, and C2, C3 (C_2, C_3).
Nothing here is a float or shared with the numerical modules: each side is tested against the other.
"""

import sympy as sp

mu, sigma, lam, k, r, ell = sp.symbols("mu sigma lambda k r l", positive=True)
eps, b = sp.symbols("epsilon b", nonnegative=True)
# In the steps E, C2, C3 are the active features; p, q, s, t >= 0 and alpha, beta, tau > 0 are sizes in their cases.
w1, w2, E, C2, C3, x, y, z, m = sp.symbols("w1 w2 E C_2 C_3 x y z m", real=True)
c, p, q, s, t = sp.symbols("c p q s t", nonnegative=True)
alpha, beta, tau = sp.symbols("alpha beta tau", positive=True)

HALF, PI, ROOT_PI = sp.Rational(1, 2), sp.pi, sp.sqrt(sp.pi)
UNIT, INSIDE = {b: 1 / (1 + tau)}, (r, 0, 1)  # 0 < b < 1 by substitution; 0 < r < 1 for real roots
COMMUTE = "max over delta and max over j commute, and expectation is linear"
LEIBNIZ = "differentiation under the integral sign"
DENSITY = "p_e is bounded, continuous and positive at 0, and E|M| is finite"
SIGNS = "the sign of a derivative decides monotonicity, and the intermediate value theorem"


def normal_pdf(e: sp.Expr) -> sp.Expr:
    return sp.exp(-e**2 / 2) / sp.sqrt(2 * PI)


def normal_cdf(e: sp.Expr) -> sp.Expr:
    return (1 + sp.erf(e / sp.sqrt(2))) / 2


def normal_density(e: sp.Expr, mean: sp.Expr, deviation: sp.Expr) -> sp.Expr:
    return normal_pdf((e - mean) / deviation) / deviation


class Imr(sp.Function):
    """imr(u) = phi(u)/Phi(u) by name, so that formulas stay short; T2-joint' checks its derivative."""

    def _eval_is_positive(self) -> bool:
        return True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """imr' = -imr (u + imr)."""
        return -self * (self.args[0] + self)


class OwenT(sp.Function):
    """Owen's T(h, a) by name; T2-joint checks both derivatives against the integral that defines it."""

    def fdiff(self, argindex: int) -> sp.Expr:
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


def explicit(expr: sp.Expr) -> sp.Expr:
    return expr.replace(Imr, lambda e: normal_pdf(e) / normal_cdf(e))
