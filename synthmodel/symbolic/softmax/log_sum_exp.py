"""Where the sharp threshold comes from, T1-temp: the log-sum-exp over the wrong classes at temperature tau."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.softmax.cross_entropy import CONVEX, d, n
from synthmodel.symbolic.symbols import (
    C2,
    C3,
    HALF,
    LEIBNIZ,
    ROOT_PI,
    A,
    E,
    T,
    claim,
    derive,
    eps,
    lam,
    mu,
    normal_cdf,
    normal_density,
    normal_pdf,
    p,
    s,
    sigma,
    t,
    w1,
    w2,
    x,
    y,
    z,
)

v1, v2 = sp.symbols("v1 v2", real=True)


class PsiSlope(sp.Function):
    """psi' by name."""

    def _eval_is_positive(self):
        return True


class Psi(sp.Function):
    """psi(x) = E[(|Z|/sqrt(2)) tanh(x |Z|/sqrt(2))] by name; T1-temp shows that psi(0) = 0 and psi' > 0."""

    @classmethod
    def eval(cls, e):
        return sp.S.Zero if e.is_zero else None

    def fdiff(self, argindex=1):
        return PsiSlope(self.args[0])


def tanh(e):
    return sp.tanh(e).rewrite(sp.exp)


def psi_steps():
    """psi(x) = E[z tanh(x z)], z = |Z|/sqrt(2): increasing from 0 to 1/sqrt(pi), psi'(0) = 1/2."""
    slope = sp.diff(z * tanh(x * z), x)
    return (
        check("For z > 0, z tanh(x z) is 0 at x = 0,", z * tanh(x * z), "=", 0, cases=({x: sp.S.Zero},)),
        check("rises with x,", slope, ">", 0, cases=({z: A},)),
        check("at x = 0 with the slope z^2,", slope, "=", z**2, cases=({x: sp.S.Zero},)),
        check("stays below z,", z * tanh(x * z), "<", z, cases=({z: A},)),
        check("and tends to it.", sp.Limit(tanh(x), x, sp.oo), "=", 1),
        check("So psi rises from 0, psi'(0) = E Z^2/2,",
              sp.Integral(z**2 / 2 * normal_pdf(z), (z, -sp.oo, sp.oo)), "=", HALF),
        check("to E |Z|/sqrt(2).", sp.Integral(2 * z / sp.sqrt(2) * normal_pdf(z), (z, 0, sp.oo)), "=", 1 / ROOT_PI))


def distance_steps():
    """|w_tau - w*|^2 <= 2 tau log(n)/lam, as the two risks differ by tau log n at most."""
    bound = sp.sqrt(2 * T * sp.log(n) / lam)
    total, size = 1 + (n - 1) * x, {n: 1 + p, x: 1 / (1 + s)}  # x in (0, 1]: the mean of the n - 1 other terms
    return (
        check("Of the terms exp(u_j/tau), u_j = -m_j, take out the largest, here that of x,",
              sp.exp(x / T) + sp.exp(y / T), "=", sp.exp(x / T) * (1 + sp.exp((y - x) / T))),
        check("for n wrong classes: what is left is at least 1,", total, ">=", 1, cases=(size,)),
        check("and at most n, so the loss exceeds max_j u_j by 0 to tau log n.", total, "<=", n, cases=(size,)),
        check("Hence (lam/2)|w_tau - w*|^2 <= R_0(w_tau) - R_0(w*) <= R_tau(w_tau) - R_0(w*) <= R_tau(w*) - R_0(w*) "
              "<= tau log n: the distance is at most x = sqrt(2 tau log(n)/lam), of", lam / 2 * x**2, "=",
              T * sp.log(n), cases=({x: bound},)),
        check("(n = 2 for K = 3), which tends to 0 with tau.", sp.Limit(bound.subs(n, 2), T, 0), "=", 0),
    ), bound


def plain_steps():
    """Softmax cross-entropy itself at temperature tau: w_tau = tau v, |v| bounded, so w_tau tends to 0."""
    def entropy(u1, u2, tau):
        return tau * sp.log(1 + sum(sp.exp(-u1 / tau * E - u2 / tau * feature) for feature in (C2, C3)))

    return (
        check("Plain cross-entropy, tau log(1 + sum_j exp(-m_j/tau)), is at w = tau v that of temperature 1 with the "
              "decay lam tau (without the factor tau before the log: lam tau^2),",
              entropy(T * v1, T * v2, T) + lam * ((T * v1)**2 + (T * v2)**2) / 2, "=",
              T * (entropy(v1, v2, 1) + lam * T * (v1**2 + v2**2) / 2)),
        check("which rises with |v| beyond bounds even without decay: it exceeds max(0, -m_2), m_2 of mean at most "
              "d (|v1| + |v2|) and deviation sigma |v|, with", (v1 + v2)**2, "<=", 2 * (v1**2 + v2**2),
              cases=({v1: v2 + x},)),
        check("and E max(0, -x - Z), positive, is", sp.Integral((z - x) * normal_pdf(z), (z, x, sp.oo)), "=",
              normal_pdf(x) - x * normal_cdf(-x)),
        check("So there is a minimiser v_0 without decay. If v has the decay h = tau/2, C(v) = C(v_0) + s and "
              "C(v) + h |v|^2 = C(v_0) + h |v_0|^2 - t, then |v|^2 - |v_0|^2 is",
              sp.solve(y + s + T / 2 * x - (y - t), x)[0], "<=", 0),
        check("so |w_tau| <= tau |v_0| tends to 0, not to the solution of T1.", sp.Limit(T * A, T, 0), "=", 0))


@claim("T1-temp")
def t1_temp():
    loss = T * sp.log(sp.exp(-(w1 * E + w2 * C2) / T) + sp.exp(-(w1 * E + w2 * C3) / T))
    force = d - sigma * Psi(sigma * w2 / T) - lam * w2  # -dR/dw2
    speed = -force.diff(T) / force.diff(w2)
    bound_steps, bound = distance_steps()
    return (
        check("tau log sum_j exp(-m_j/tau), m_j = w1 e + w2 c_j, has the slope in w1",
              sp.Derivative(loss, w1), "=", -E),
        check("and, with c_2 = y + z, c_3 = y - z, in w2, free of w1: it decouples.",
              sp.Derivative(loss.xreplace({C2: y + z, C3: y - z}), w2), "=", -(y - z * tanh(w2 * z / T))),
        check("z = (c_2 - c_3)/2 has, by T1, the density", 2 * normal_density(2 * z, 0, sp.sqrt(2) * sigma), "=",
              normal_density(z, 0, sigma / sp.sqrt(2))),
        check("so -dR/dw1 = d - lam w1 vanishes at d/lam, and -dR/dw2 = d - sigma psi(sigma w2/tau) - lam w2 as, for "
              "z = sigma |Z|/sqrt(2), z tanh(w2 z/tau) is", (z * tanh(w2 * z / T)).subs(z, sigma * A / sp.sqrt(2)), "=",
              sigma * (A / sp.sqrt(2)) * tanh(sigma * w2 / T * A / sp.sqrt(2))),
        *psi_steps(),
        check("-dR/dw2 is positive at w2 = 0 for d > 0 (where w2 < 0, it is so with mu + 2 eps in place of d),",
              force, ">", 0, cases=({w2: sp.S.Zero},)),
        check("and falls strictly: one root, w2 > 0 for all eps < mu/2,", force.diff(w2), "<", 0),
        check("rising with tau.", speed, ">", 0, cases=({w2: A},)),
        check("Above eps0, d = sigma psi(x) for some x, here alpha: at w2 = tau x/sigma the slope dR/dw2 is positive, "
              "so w2 < tau x/sigma is O(tau).", -force, "=", lam * T * A / sigma,
              cases=({d: sigma * Psi(A), w2: T * A / sigma},)),
        check("eps0 is where d is sigma/sqrt(pi), the limit of sigma psi.", mu - 2 * eps, "=", sigma / ROOT_PI,
              cases=({eps: derive("T1").results["eps0"]},)),
        *bound_steps,
        *plain_steps(),
    ), ("A1 and T1", CONVEX, LEIBNIZ, "the implicit function theorem", "monotone convergence"
        ), {"force": force, "bound": bound, "psi_limit": 1 / ROOT_PI, "psi_slope": HALF}
