"""D4 with outliers of a chance p > 0: its flows tend to those of the limit, and its w2 stays positive (D4-flows)."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim
from synthmodel.symbolic.flows.rare_outliers import S, gamma, kappa, n, rate, wrong
from synthmodel.symbolic.softmax.cross_entropy import d
from synthmodel.symbolic.symbols import normal_pdf

__all__ = ["pull"]

odds = sp.Symbol("o", positive=True)  # exp(-w1 e) of a regular class, at w2 d -> 0
# p_j of an outlier Z = z, y = w2 S
chance = odds * sp.exp(-s.y * s.z) / (1 + (n - 1) * odds + odds * sp.exp(-s.y * s.z))
pull = sp.Function("psi")(s.y)  # -n E[Z p_j]


def positive_steps() -> Steps:
    """For every p > 0 the minimiser has w2 > 0."""
    loss = sp.log(1 + sp.exp(-s.w1 * s.E - s.w2 * s.C2) + sp.exp(-s.w1 * s.E - s.w2 * s.C3))
    start = sp.Derivative(loss, s.w2).doit().subs(s.w2, 0)
    base = sp.Symbol("R_0", real=True)
    return (
        check("At w2 = 0 the loss has the slope in w2 (here n = 2)", start, "=",
              -(s.C2 + s.C3) / 2 * wrong(s.w1 * s.E).subs(n, 2)),
        check("and c_j, outlier or not, has the mean d and is independent of e: the risk has the slope -d E[pi] there,",
              (s.C2 + s.C3).xreplace({s.C2: d, s.C3: d}) / 2, "=", d),
        check("negative, as pi > 0.", -d * wrong(s.w1 * s.E), "<", 0),
        check("By convexity R(w1, w2) >= R(w1, 0) - w2 d E[pi], more than R(w1, 0) for w2 < 0: so the minimiser has "
              "w2 > 0, for every p > 0.", base + s.alpha * d * s.beta, ">", base))


def flow_steps() -> Steps:
    """|v - w|^2 <= 4 t sup |R_p - R| for the flows v of R_p and w of R, both from 0, and |w|^2 <= 2 t log K."""
    at_v, at_w = sp.symbols("R_pv R_pw", real=True), sp.symbols("R_v R_w", real=True)
    gap = sp.Symbol("delta", positive=True)  # sup |R_p - R|
    return (
        check("Flows v of R_p and w of R from 0: |v - w|^2/2 changes by -(grad R_p(v) - grad R(w)).(v - w), at most "
              "R_p(w) - R_p(v) + R(v) - R(w) by convexity, which is", at_v[1] - at_v[0] + at_w[0] - at_w[1], "=",
              (at_v[1] - at_w[1]) - (at_v[0] - at_w[0])),
        check("at most 2 sup |R_p - R|: here R_p - R is q - delta at v, delta - p at w, 0 <= p, q <= 2 delta;",
              (gap - s.p) - (s.q - gap), "<=", 2 * gap),
        check("so |v - w|^2 <= 4 t sup |R_p - R|, over a ball that holds both up to time t:",
              sp.Integral(4 * gap, (s.s, 0, s.tau)), "=", 4 * s.tau * gap),
        check("|w|^2/2 changes by -grad R(w).w <= R(0) - R(w) <= log K, as R >= 0 (here R(w) = p): |w|^2 <= 2 t log K, "
              "and so is |v|^2.", sp.log(n + 1) - s.p, "<=", sp.log(n + 1)))


def end_steps() -> Steps:
    """In regime (b) w2(oo) = y* p/kappa + o(p), where kappa psi(y*) = d pibar_1."""
    half = sp.Integral(n * s.z * normal_pdf(s.z), (s.z, 0, sp.oo))
    return (
        check("How the end goes to 0 in (b): at w2 = y/S an outlier's p_j has the slope in y",
              sp.Derivative(chance, s.y),
              "=", -s.z * chance * (1 - chance)),
        check("so psi(y) = -n E[Z p_j] rises, by n E[Z^2 p_j (1 - p_j)]:", s.z**2 * chance * (1 - chance), ">", 0,
              [{s.z: s.alpha, n: 1 + s.x**2}, {s.z: -s.alpha, n: 1 + s.x**2}]),
        check("from 0, where p_j is free of Z,", sp.diff(chance.subs(s.y, 0), s.z), "=", 0),
        check("to n E max(-Z, 0) = n/sqrt(2 pi), as p_j tends to 1 for Z < 0",
              sp.Limit(chance.subs(s.z, -s.alpha), s.y, sp.oo),
              "=", 1),
        check("and to 0 for Z > 0:", sp.Limit(chance.subs(s.z, s.alpha), s.y, sp.oo), "=", 0),
        check("in the mean", half, "=", n / sp.sqrt(2 * s.PI)),
        check("and kappa times that is gamma.", kappa * n / sp.sqrt(2 * s.PI), "=", gamma,
              [{gamma: n * kappa / sp.sqrt(2 * s.PI)}]),
        check("In the slope of R_p in w2 the outliers have p S psi(y) = kappa psi(y) and n p d E[p_j], which vanishes:",
              sp.Limit(rate * S.subs(S, kappa / rate) * pull + n * rate * d * s.HALF, rate, 0), "=", kappa * pull),
        check("so in (b), gamma > d pibar_1, it vanishes at the one y* with kappa psi(y*) = d pibar_1: w2 = y*/S is",
              s.y / (kappa / rate), "=", s.y * rate / kappa))


@claim("D4-flows")
def d4_flows() -> Stated:
    return (*positive_steps(), *flow_steps(), *end_steps()), (
        "D4's lemma: R_p tends to R at every w",
        "convex functions that converge at every point do so uniformly on balls (Rockafellar, Convex Analysis, 1970, "
        "theorem 10.8)",
        "R has one minimiser, and is larger by some delta on a circle about it: from there on R_p, convex, has its "
        "minimiser inside once |R_p - R| < delta/2", s.LEIBNIZ, "dominated convergence"), {
        "chance": chance, "slope": -sp.diff(chance, s.y) * s.z}
