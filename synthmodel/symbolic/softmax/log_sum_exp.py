"""Where the sharp threshold comes from, T1-temp: the log-sum-exp over the wrong classes at temperature tau."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.softmax.cross_entropy import CONVEX, d, n
from synthmodel.symbolic.symbols import normal_cdf, normal_density, normal_pdf

v1, v2 = sp.symbols("v1 v2", real=True)


class PsiSlope(sp.Function):
    """psi' by name."""

    def _eval_is_positive(self) -> bool:
        return True


class Psi(sp.Function):
    """psi(x) = E[(|Z|/sqrt(2)) tanh(x |Z|/sqrt(2))] by name; T1-temp shows that psi(0) = 0 and psi' > 0."""

    @classmethod
    def eval(cls, e: sp.Expr) -> sp.Expr | None:
        return sp.S.Zero if e.is_zero else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return PsiSlope(self.args[0])


def tanh(e: sp.Expr) -> sp.Expr:
    return sp.tanh(e).rewrite(sp.exp)


def psi_steps() -> Steps:
    """psi(x) = E[z tanh(x z)], z = |Z|/sqrt(2): increasing from 0 to 1/sqrt(pi), psi'(0) = 1/2."""
    slope = sp.diff(s.z * tanh(s.x * s.z), s.x)
    return (
        check("For z > 0, z tanh(x z) is 0 at x = 0,", s.z * tanh(s.x * s.z), "=", 0, cases=({s.x: sp.S.Zero},)),
        check("rises with x,", slope, ">", 0, cases=({s.z: s.alpha},)),
        check("at x = 0 with the slope z^2,", slope, "=", s.z**2, cases=({s.x: sp.S.Zero},)),
        check("stays below z,", s.z * tanh(s.x * s.z), "<", s.z, cases=({s.z: s.alpha},)),
        check("and tends to it.", sp.Limit(tanh(s.x), s.x, sp.oo), "=", 1),
        check("So psi rises from 0, psi'(0) = E Z^2/2,",
              sp.Integral(s.z**2 / 2 * normal_pdf(s.z), (s.z, -sp.oo, sp.oo)), "=", s.HALF),
        check("to E |Z|/sqrt(2).", sp.Integral(2 * s.z / sp.sqrt(2) * normal_pdf(s.z), (s.z, 0, sp.oo)), "=",
              1 / s.ROOT_PI))


def distance_steps() -> tuple[Steps, sp.Expr]:
    """|w_tau - w*|^2 <= 2 tau log(n)/lam, as the two risks differ by tau log n at most."""
    bound = sp.sqrt(2 * s.tau * sp.log(n) / s.lam)
    total, size = 1 + (n - 1) * s.x, {n: 1 + s.p, s.x: 1 / (1 + s.s)}  # x in (0, 1]: the mean of the n - 1 other terms
    return (
        check("Of the terms exp(u_j/tau), u_j = -m_j, take out the largest, here that of x,",
              sp.exp(s.x / s.tau) + sp.exp(s.y / s.tau), "=", sp.exp(s.x / s.tau) * (1 + sp.exp((s.y - s.x) / s.tau))),
        check("for n wrong classes: what is left is at least 1,", total, ">=", 1, cases=(size,)),
        check("and at most n, so the loss exceeds max_j u_j by 0 to tau log n.", total, "<=", n, cases=(size,)),
        check("Hence (lam/2)|w_tau - w*|^2 <= R_0(w_tau) - R_0(w*) <= R_tau(w_tau) - R_0(w*) <= R_tau(w*) - R_0(w*) "
              "<= tau log n: the distance is at most x = sqrt(2 tau log(n)/lam), of", s.lam / 2 * s.x**2, "=",
              s.tau * sp.log(n), cases=({s.x: bound},)),
        check("(n = 2 for K = 3), which tends to 0 with tau.", sp.Limit(bound.subs(n, 2), s.tau, 0), "=", 0),
    ), bound


def plain_steps() -> Steps:
    """Softmax cross-entropy itself at temperature tau: w_tau = tau v, |v| bounded, so w_tau tends to 0."""
    def entropy(u1: sp.Expr, u2: sp.Expr, tau: sp.Expr) -> sp.Expr:
        return tau * sp.log(1 + sum(sp.exp(-u1 / tau * s.E - u2 / tau * feature) for feature in (s.C2, s.C3)))

    return (
        check("Plain cross-entropy, tau log(1 + sum_j exp(-m_j/tau)), is at w = tau v that of temperature 1 with the "
              "decay lam tau (without the factor tau before the log: lam tau^2),",
              entropy(s.tau * v1, s.tau * v2, s.tau) + s.lam * ((s.tau * v1)**2 + (s.tau * v2)**2) / 2, "=",
              s.tau * (entropy(v1, v2, 1) + s.lam * s.tau * (v1**2 + v2**2) / 2)),
        check("which rises with |v| beyond bounds even without decay: it exceeds max(0, -m_2), m_2 of mean at most "
              "d (|v1| + |v2|) and deviation sigma |v|, with", (v1 + v2)**2, "<=", 2 * (v1**2 + v2**2),
              cases=({v1: v2 + s.x},)),
        check("and E max(0, -x - Z), positive, is", sp.Integral((s.z - s.x) * normal_pdf(s.z), (s.z, s.x, sp.oo)), "=",
              normal_pdf(s.x) - s.x * normal_cdf(-s.x)),
        check("So there is a minimiser v_0 without decay. If v has the decay h = tau/2, C(v) = C(v_0) + s and "
              "C(v) + h |v|^2 = C(v_0) + h |v_0|^2 - t, then |v|^2 - |v_0|^2 is",
              sp.solve(s.y + s.s + s.tau / 2 * s.x - (s.y - s.t), s.x)[0], "<=", 0),
        check("so |w_tau| <= tau |v_0| tends to 0, not to the solution of T1.", sp.Limit(s.tau * s.alpha, s.tau, 0),
              "=", 0))


@claim("T1-temp")
def t1_temp() -> Stated:
    loss = s.tau * sp.log(sp.exp(-(s.w1 * s.E + s.w2 * s.C2) / s.tau) + sp.exp(-(s.w1 * s.E + s.w2 * s.C3) / s.tau))
    force = d - s.sigma * Psi(s.sigma * s.w2 / s.tau) - s.lam * s.w2  # -dR/dw2
    speed = -force.diff(s.tau) / force.diff(s.w2)
    bound_steps, bound = distance_steps()
    return (
        check("tau log sum_j exp(-m_j/tau), m_j = w1 e + w2 c_j, has the slope in w1",
              sp.Derivative(loss, s.w1), "=", -s.E),
        check("and, with c_2 = y + z, c_3 = y - z, in w2, free of w1: it decouples.",
              sp.Derivative(loss.xreplace({s.C2: s.y + s.z, s.C3: s.y - s.z}), s.w2), "=",
              -(s.y - s.z * tanh(s.w2 * s.z / s.tau))),
        check("z = (c_2 - c_3)/2 has, by T1, the density", 2 * normal_density(2 * s.z, 0, sp.sqrt(2) * s.sigma), "=",
              normal_density(s.z, 0, s.sigma / sp.sqrt(2))),
        check("so -dR/dw1 = d - lam w1 vanishes at d/lam, and -dR/dw2 = d - sigma psi(sigma w2/tau) - lam w2 as, for "
              "z = sigma |Z|/sqrt(2), z tanh(w2 z/tau) is",
              (s.z * tanh(s.w2 * s.z / s.tau)).subs(s.z, s.sigma * s.alpha / sp.sqrt(2)), "=",
              s.sigma * (s.alpha / sp.sqrt(2)) * tanh(s.sigma * s.w2 / s.tau * s.alpha / sp.sqrt(2))),
        *psi_steps(),
        check("-dR/dw2 is positive at w2 = 0 for d > 0 (where w2 < 0, it is so with mu + 2 eps in place of d),",
              force, ">", 0, cases=({s.w2: sp.S.Zero},)),
        check("and falls strictly: one root, w2 > 0 for all eps < mu/2,", force.diff(s.w2), "<", 0),
        check("rising with tau.", speed, ">", 0, cases=({s.w2: s.alpha},)),
        check("Above eps0, d = sigma psi(x) for some x, here alpha: at w2 = tau x/sigma the slope dR/dw2 is positive, "
              "so w2 < tau x/sigma is O(tau).", -force, "=", s.lam * s.tau * s.alpha / s.sigma,
              cases=({d: s.sigma * Psi(s.alpha), s.w2: s.tau * s.alpha / s.sigma},)),
        check("eps0 is where d is sigma/sqrt(pi), the limit of sigma psi.", s.mu - 2 * s.eps, "=", s.sigma / s.ROOT_PI,
              cases=({s.eps: derive("T1").results["eps0"]},)),
        *bound_steps,
        *plain_steps(),
    ), ("A1 and T1", CONVEX, s.LEIBNIZ, "the implicit function theorem", "monotone convergence"
        ), {"force": force, "bound": bound, "psi_limit": 1 / s.ROOT_PI, "psi_slope": s.HALF}
