"""Gradient flow from w = 0: "learned, then forgotten" (THEORY.md, D1, D1-any and D2)."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive
from synthmodel.symbolic.softmax.cross_entropy import THIRD, d, others, own, slopes, softmax
from synthmodel.symbolic.softmax.log_sum_exp import Psi
from synthmodel.symbolic.symbols import normal_density

__all__ = ["log_sum_exp", "soft_mean"]

FLOW = ("w2' = d_E Q with Q a function of w2, smooth for w2 > 0: Q, positive at first, never reaches 0, so w2 rises "
        "for ever, to infinity or to the zero of Q", "the mean of Q over [0, t] has the limit of Q")


def soft_mean(weight: sp.Expr, *features: sp.Expr) -> sp.Expr:
    """Return sum_j q_j c_j with q_j proportional to exp(-weight c_j)."""
    odds = [sp.exp(-weight * e) for e in features]
    return sum(e * o for e, o in zip(features, odds, strict=True)) / sum(odds)


def log_sum_exp(*features: sp.Expr) -> sp.Expr:
    """Return (1-b) tau log sum_j exp(-m_j/tau) - b mean_j m_j with m_j = w1 e + w2 c_j, e written E."""
    margins = [s.w1 * s.E + s.w2 * e for e in features]
    return (1 - s.b) * s.tau * sp.log(sum(sp.exp(-e / s.tau) for e in margins)) - s.b * sum(margins) / len(margins)


def running_mean_steps() -> Steps:
    """r = w2/w1 is the running mean of Q = w2'/w1', which falls: r falls too, and stays above it."""
    now, area = sp.Function("Q")(s.t), sp.Integral(sp.Function("Q")(s.s), (s.s, 0, s.t))
    return (
        check("As w1' is constant, r is (1/t) int_0^t Q, of slope (Q - r)/t = (w1'/w1)(Q - r),",
              sp.Derivative(area / s.t, s.t), "=", (now - area / s.t) / s.t),
        check("while t (r - Q) has the slope -t Q' > 0 and starts at 0: r > Q and r' < 0 for t > 0.",
              sp.Derivative(area - s.t * now, s.t), "=", -s.t * sp.Derivative(now, s.t)))


@claim("D1")
def d1() -> Stated:
    tanh = sp.tanh(s.w2 * s.z / s.tau).rewrite(sp.exp)
    speed = d - (1 - s.b) * s.sigma * Psi(s.sigma * s.w2 / s.tau)
    quality = 1 - (1 - s.b) * s.sigma / d * Psi(s.sigma * s.w2 / s.tau)
    end, best = 1 - (1 - s.b) / (s.k * s.ROOT_PI), derive("N3").results["b_star_in_terms"]  # r stands for r_acc in b*
    taught = sp.Symbol("psi_T", nonnegative=True)  # psi(sigma T2/tau_T)
    b_eff = s.b * (1 - s.ROOT_PI * taught)
    slope = quality.diff(s.w2)
    return (
        check("The loss has the slope in w1", sp.Derivative(log_sum_exp(s.C2, s.C3), s.w1), "=", -s.E),
        check("and, with c_2 = y + z, c_3 = y - z, in w2:",
              sp.Derivative(log_sum_exp(s.y + s.z, s.y - s.z), s.w2), "=", -(s.y - (1 - s.b) * s.z * tanh)),
        check("so, by T1-temp, w1' = d and w2' = d - (1-b) sigma psi(sigma w2/tau), which is d Q.", speed, "=",
              d * quality),
        check("Q = 1 at w = 0 and falls as w2 grows, for 0 <= b < 1:", slope, "<", 0, [{s.b: sp.S.Zero}, s.UNIT]),
        *running_mean_steps(),
        check("As psi tends to 1/sqrt(pi) (T1-temp), Q tends to 1 - (1-b)/(k sqrt(pi)) where that is positive, "
              "k = d/sigma, else to 0: r ends at the larger of the two.",
              quality.subs(Psi(s.sigma * s.w2 / s.tau), 1 / s.ROOT_PI), "=", end.subs(s.k, d / s.sigma)),
        check("The end lies below r_acc iff b < b*: for those b accuracy rises, peaks as r passes r_acc, and falls; "
              "for b >= b* it only rises, as does P while r falls to 0 = r_acc at eps >= eps0.", end - s.r, "=",
              (s.b - best) / (s.k * s.ROOT_PI)),
        check("A teacher's wrong-class shares t_j ~ exp(-T_2 c_j/tau_T), x = T_2/tau_T, give sum_j t_j c_j",
              soft_mean(s.x, s.y + s.z, s.y - s.z), "=", s.y - s.z * sp.tanh(s.x * s.z).rewrite(sp.exp)),
        check("in place of the mean y: so Q ends at that of label smoothing with b_eff = b (1 - sqrt(pi) psi_T),",
              quality.subs(Psi(s.sigma * s.w2 / s.tau), 1 / s.ROOT_PI) - s.b * s.sigma / d * taught, "=",
              end.subs({s.b: b_eff, s.k: d / s.sigma})),
        check("b for an untrained teacher,", b_eff.subs(taught, 0), "=", s.b),
        check("0 for one whose T_2/tau_T is infinite,", b_eff.subs(taught, 1 / s.ROOT_PI), "=", 0),
        check("falling in between.", b_eff.diff(taught), "<", 0, [s.UNIT]),
    ), ("T1-temp", "T2-joint', N2 and N3", *FLOW), {"Q": quality, "end": end, "b_eff": b_eff}


@claim("D1-any")
def d1_any() -> Stated:
    c1, c2, c3 = features = sp.symbols("c_1:4", real=True)
    odds = [sp.exp(-s.y * e) for e in features]
    spread = sum(odds[i] * odds[j] * (features[i] - features[j])**2 for i, j in ((0, 1), (0, 2), (1, 2))) / sum(odds)**2
    gap = sp.exp(-s.y * s.z)
    d_e, d_c = sp.symbols("d_E d_C", positive=True)
    psi, least = sp.symbols("psi E[M]", real=True)
    total = sp.Function("Z")(s.y)  # Z(y) = sum_j exp(-y c_j), any number of classes
    speed = d_c - (1 - s.b) * psi
    end = ((1 - s.b) * least + s.b * d_c) / d_e
    return (
        check("The loss has the slope in w1 -e: so w1 = d_E t.", sp.Derivative(log_sum_exp(*features), s.w1), "=",
              -s.E),
        check("In w2 it has minus (1-b) sum_j q_j c_j + b mean_j c_j, q_j ~ exp(-w2 c_j/tau),",
              sp.Derivative(log_sum_exp(*features), s.w2), "=",
              -((1 - s.b) * soft_mean(s.w2 / s.tau, *features) + s.b * sum(features) / 3)),
        check("so w2' = d_C - (1-b) psi(w2/tau), psi(y) = d_C - E sum_j q_j c_j; here psi written psi:",
              (1 - s.b) * (d_c - psi) + s.b * d_c, "=", speed),
        check("psi(0) = 0, since q_j = 1/n at y = 0.", soft_mean(s.y, *features).subs(s.y, 0), "=", (c1 + c2 + c3) / 3),
        check("With Z = sum_j exp(-y c_j) the mean sum_j q_j c_j is -(log Z)' and falls at the rate (log Z)'':",
              sp.Derivative(sp.log(total), s.y, 2), "=",
              total.diff(s.y, 2) / total - (total.diff(s.y) / total)**2),
        check("the variance of c under q, the sum over pairs of q_i q_j (c_i - c_j)^2; for three,",
              -sp.Derivative(soft_mean(s.y, *features), s.y), "=", spread),
        check("so psi' > 0 unless all c_j agree: a pair adds a positive term.",
              spread.subs({c2: c1 + s.alpha, c3: c1 + s.x}), ">", 0),
        check("As y grows q settles on the least c_j: one larger by z > 0 has the share",
              sp.Limit(gap.subs(s.z, s.alpha), s.y, sp.oo), "=", 0),
        check("so psi rises to d_C - E[M], by dominated convergence (|sum_j q_j c_j| <= sum_j |c_j|), and Q = w2'/d_E "
              "falls from d_C/d_E", (speed / d_e).subs(psi, 0), "=", d_c / d_e),
        check("towards ((1-b) E[M] + b d_C)/d_E;", (speed / d_e).subs(psi, d_c - least), "=", end),
        *running_mean_steps(),
        check("where that is negative w2 stops and r tends to 0. At K = 3, with the normal law in units of its "
              "deviation, E[M] = k - 1/sqrt(pi), the end is D1's.",
              end.subs({least: s.k - 1 / s.ROOT_PI, d_c: s.k, d_e: s.k}), "=", derive("D1").results["end"]),
    ), ("the c_j do not agree almost surely, 0 <= b < 1 and E|c| is finite", s.LEIBNIZ, "dominated convergence",
        *FLOW), {
        "end": end, "start": d_c / d_e, "psi_slope": spread}


def mean(expr: sp.Expr) -> sp.Expr:
    """Return the mean of a polynomial of degree 2 in independent e, c_2, c_3 ~ N(d, sigma^2)."""
    square = dict.fromkeys((s.E**2, s.C2**2, s.C3**2), d**2 + s.sigma**2)
    return sp.expand(expr).xreplace(square).xreplace({s.E: d, s.C2: d, s.C3: d})


@claim("D2")
def d2() -> Stated:
    p1, p2, p3 = softmax(s.E, s.C2, s.C3)
    force = [s.E * (p2 + p3), s.C2 * p2 + s.C3 * p3]  # minus the slopes of the loss
    first = [mean(e.xreplace(THIRD)) for e in force]
    turn = sp.Matrix([[e.diff(w).xreplace(THIRD) for w in (s.w1, s.w2)] for e in force])
    second = turn.applyfunc(mean) * sp.Matrix(first) - s.lam * sp.Matrix(first)  # w'' at t = 0
    taylor = (first[1] + second[1] * s.t / 2) / (first[0] + second[0] * s.t / 2)
    law, slope = normal_density(s.z, d, s.sigma), -s.sigma**2 / 9
    dw1, dw2 = (e.xreplace({s.b: sp.S.Zero}) for e in slopes(d, d))
    gap = (dw2 - dw1).xreplace({others: own + 2 * s.beta})  # (w1 - w2)'
    return (
        check("The flow of -log p_1 + (lam/2)|w|^2 is w' = E (e (p_2 + p_3), c_2 p_2 + c_3 p_3) - lam w: minus its "
              "slopes are", sp.Matrix([sp.Derivative(sp.log(p1), w) for w in (s.w1, s.w2)]), "=", sp.Matrix(force)),
        check("At w = 0 both are 2 d/3: r(0) = 1.", sp.Matrix(first), "=", sp.Matrix([2 * d, 2 * d]) / 3),
        check("There they turn with w by", turn, "=", -sp.Matrix([
            [2 * s.E**2, s.E * (s.C2 + s.C3)], [s.E * (s.C2 + s.C3), 2 * (s.C2**2 - s.C2 * s.C3 + s.C3**2)]]) / 9),
        check("and with E e^2 = d^2 + sigma^2,", sp.Integral(s.z**2 * law, (s.z, -sp.oo, sp.oo)), "=",
              d**2 + s.sigma**2),
        check("w'' at t = 0 is", second, "=",
              -sp.Matrix([4 * d * (2 * d**2 + s.sigma**2), 8 * d * (d**2 + s.sigma**2)]) / 27
              - s.lam * sp.Matrix([2 * d, 2 * d]) / 3),
        check("So r = (w2' + t w2''/2)/(w1' + t w1''/2) + O(t^2) has the slope at 0, whatever lam,",
              taylor.diff(s.t).subs(s.t, 0), "=", slope),
        check("negative: r < 1 for small t > 0.", slope, "<", 0),
        check("It cannot return to 1: where w1 = w2 > 0, w1 - w2 has by S1 the slope",
              gap.xreplace({s.w1: s.p, s.w2: s.p}), "=", 2 * s.beta * s.sigma**2 * s.p),
        check("positive, beta = E[p_2 p_3] > 0;", gap.xreplace({s.w1: s.alpha, s.w2: s.alpha}), ">", 0),
        check("nor reach 0: at w2 = 0 w2' = d pibar > 0,", -dw2.xreplace({s.w2: sp.S.Zero}), ">", 0),
        check("and at w1 = 0 so is w1'. Hence 0 < r < 1 for ever.", -dw1.xreplace({s.w1: sp.S.Zero}), ">", 0),
        check("All this for eps < mu/2, where", d.xreplace({d: s.mu - 2 * s.eps}), ">", 0, [{s.mu: 2 * s.eps + s.tau}]),
    ), ("S1", s.LEIBNIZ, "Taylor's formula; a crossing needs a slope of the other sign"), {
        "start": first[1] / first[0], "slope": slope, "second_1": second[0], "second_2": second[1]}
