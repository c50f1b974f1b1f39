"""Cross-entropy with rare wrong cross-class evidence: THEORY.md, D4."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim
from synthmodel.symbolic.softmax.cross_entropy import d
from synthmodel.symbolic.symbols import normal_cdf, normal_density, normal_pdf

__all__ = ["gamma", "n", "rate", "wrong"]

# n wrong classes; each c_j is an outlier d + S Z with probability `rate`, rate S tending to kappa.
n, gamma, kappa, S, rate = sp.symbols("n gamma kappa S p", positive=True)
s_e = sp.Symbol("sigma_E", positive=True)
pi_0, pi_1 = n / (n + 1), sp.Symbol("pibar_1", positive=True)  # E pi at w = 0, and at (w1o, 0)


def wrong(margin: sp.Expr) -> sp.Expr:
    """Return pi = n/(n + exp(u)), the probability of the n wrong classes together where all margins are u."""
    return n / (n + sp.exp(margin))


def penalty_steps() -> tuple[Steps, sp.Expr]:
    """Lemma: the risk tends to that of the bulk plus gamma |w2|, gamma = n kappa/sqrt(2 pi)."""
    total = 1 + s.x + s.y  # x >= 0 the odds of the regular classes, y > 0 those of an outlier; m = max(y, 1)
    sizes = [{s.x: s.p, s.y: 1 + s.s, s.m: 1 + s.s}, {s.x: s.p, s.y: 1 / (1 + s.s), s.m: sp.S.One}]
    pull = sp.Integral((S * s.z - d) * normal_pdf(s.z), (s.z, d / S, sp.oo))
    closed = S * normal_pdf(d / S) - d * normal_cdf(-d / S)
    limit, small = n * kappa * s.w2 / sp.sqrt(2 * s.PI), {S: kappa / rate}
    return (
        check("An outlier of odds y = exp(-w2 c - w1 e): log(1 + x + y) - max(log y, 0) lies between 0 and log(2 + x): "
              "1 + x + y is at least m = max(y, 1),", total, ">=", s.m, sizes),
        check("and at most m (2 + x).", total, "<=", s.m * (2 + s.x), sizes),
        check("So up to O(p) outliers add n p w2 E max(-(d + S Z), 0) for w2 > 0 (w1 e, of finite mean, is O(p) too);",
              pull, "=", closed),
        check("with p S = kappa that tends to gamma w2, gamma = n kappa/sqrt(2 pi).",
              sp.Limit((n * rate * s.w2 * closed).xreplace(small), rate, 0), "=", limit),
        check("For w2 < 0 the outliers with Z > 0 do the same, E max(d + S Z, 0) being",
              sp.Limit((n * rate * (-s.w2) * (closed + d)).xreplace(small), rate, 0), "=", -limit),
        check("so the penalty is gamma |w2|, while Pr(no outlier) tends to 1: the accuracy is that of the bulk.",
              sp.Limit((1 - rate)**n, rate, 0), "=", 1)), limit / s.w2


def axis_steps() -> Steps:
    """On w2 = 0, E pi falls strictly as w1 grows, from pi_0."""
    bell = -sp.diff(wrong(s.z), s.z)  # pi (1 - pi)
    quotient = ((n * s.y + 1) / (n + s.y))**2  # y = exp(z)
    many = {n: 1 + s.q, s.y: 1 + s.s}
    return (
        check("On w2 = 0 the slope of E pi(w1 e) in w1 is -E[e g(w1 e)], g(u) = pi (1 - pi);",
              sp.Derivative(wrong(s.w1 * s.z), s.w1), "=", -s.z * bell.subs(s.z, s.w1 * s.z)),
        check("g(u)/g(-u) is, with y = exp(u),", bell / bell.subs(s.z, -s.z), "=", quotient.subs(s.y, sp.exp(s.z))),
        check("at least 1 for u >= 0, n >= 1,", quotient, ">=", 1, [many]),
        check("and the density of e has rho(e)/rho(-e) = exp(2 d e/sigma_E^2),",
              normal_density(s.z, d, s_e) / normal_density(-s.z, d, s_e), "=", sp.exp(2 * d * s.z / s_e**2)),
        check("above 1 for e > 0: so E[e g] > 0 and E pi falls strictly from pi_0: pibar_1 < pi_0.",
              2 * d * s.z / s_e**2, ">", 0, [{s.z: s.alpha}]))


def regime_steps() -> tuple[sp.Expr, Steps]:
    """The flow with bulk noise of C zero and lam = 0: never learned, learned and forgotten, or kept."""
    margin = s.w1 * s.z + s.w2 * d
    start, end = d * pi_0 - gamma, d * pi_1 - gamma  # w2' at w = 0, and at (w1o, 0)
    loss = sp.log(1 + n * sp.exp(-margin))
    first = 1 - gamma / (d * pi_0)
    second = wrong(margin) * (1 - wrong(margin))
    inside = {pi_1: n / (n + 1) / (1 + s.tau)}  # 0 < pibar_1 < pi_0
    return first, (
        check("With c_j = d all margins are u = w1 e + w2 d, and the loss log(1 + n e^-u) has minus the slope in w1",
              -sp.Derivative(loss, s.w1), "=", s.z * wrong(margin)),
        check("and in w2: so w1' = E[e pi], w2' = d E[pi] - gamma for w2 > 0.", -sp.Derivative(loss, s.w2), "=",
              d * wrong(margin)),
        check("Its second derivative along (alpha, x) is pi (1 - pi)(alpha e + x d)^2: the risk is strictly convex.",
              sp.Derivative(loss.subs({s.w1: s.w1 + s.alpha * s.tau, s.w2: s.w2 + s.x * s.tau}), s.tau, 2), "=",
              (second * (s.alpha * s.z + s.x * d)**2).subs({s.w1: s.w1 + s.alpha * s.tau, s.w2: s.w2 + s.x * s.tau})),
        check("At w = 0 pi is", wrong(sp.S.Zero), "=", pi_0),
        check("so w1' = d pi_0, w2' = d pi_0 - gamma: the ratio starts at r_0 = 1 - gamma/(d pi_0).",
              start / (d * pi_0), "=", first),
        *axis_steps(),
        check("(a) gamma = d pi_0 + t, t >= 0: on w2 = 0, d E pi - gamma <= 0 always, and w2 never starts:",
              start.subs(gamma, d * pi_0 + s.s), "<=", 0),
        check("(b), (c) gamma < d pi_0: w2 is learned.", start, ">", 0, [{gamma: d * pi_0 / (1 + s.tau)}]),
        check("(b) gamma >= d pibar_1: at (w1o, 0) the risk does not fall into w2 > 0,",
              end.subs(gamma, d * pi_1 + s.s), "<=", 0),
        check("nor into w2 < 0 (slope d pibar_1 + gamma): it is the minimiser, the flow goes there: w2 is forgotten.",
              d * pi_1 + gamma, ">", 0),
        check("(b) is not empty: d pibar_1 < d pi_0.", d * pi_1, "<", d * pi_0, [inside]),
        check("(c) gamma < d pibar_1: it does fall, so the minimiser has w2 > 0.", end, ">", 0,
              [{gamma: d * pi_1 / (1 + s.tau)}]),
        check("Accuracy is Pr(u > 0) = Phi(k (1 + r)), k = d/sigma_E: the mean of u over its deviation is",
              ((s.w1 * d + s.w2 * d) / (s.w1 * s_e)).subs({s.w2: s.x * s.w1, d: s.k * s_e}), "=", s.k * (1 + s.x)),
        check("so from Phi(k (1 + r_0)) or more it falls to Phi(k).", s.k * (1 + first), ">", s.k,
              [{gamma: d * pi_0 / (1 + s.tau)}]))


def remedy_steps() -> Steps:
    """What label smoothing, an early teacher and a bounded loss do to gamma."""
    total, margins = sp.symbols("l m", real=True)  # log(1 + sum exp(-m_j)) and sum_j m_j
    share = s.y / (1 + s.x + s.y)  # an outlier's odds y under the teacher, x those of the others
    bound = sp.Symbol("bound", positive=True)
    return (
        check("Label smoothing: -log p_i = l, -log p_j = l + m_j, so the loss is l + (b/n) sum_j m_j;",
              (1 - s.b) * total + s.b / n * (n * total + margins), "=", total + s.b * margins / n),
        check("its second part is linear in c_j, of mean d, outlier or not: w2' = d E pi - b d - gamma.",
              normal_pdf(-s.z) * (d - S * s.z) + normal_pdf(s.z) * (d + S * s.z), "=", 2 * d * normal_pdf(s.z)),
        check("A teacher's labels: the loss is l + b sum_j t_j m_j. On a bad outlier t_j tends to 1 with its odds, if "
              "T2 > 0,", sp.Limit(share, s.y, sp.oo), "=", 1),
        check("and l + b t_j m_j to (1-b)(-m_j), up to a bounded term: w2' = d E[pi - b pi_T] - (1-b) gamma.",
              -s.z + s.b * s.z, "=", -(1 - s.b) * s.z),
        check("A loss of at most B (or examples above B dropped) adds at most n p B, and gamma is 0.",
              sp.Limit(n * rate * bound, rate, 0), "=", 0))


@claim("D4")
def d4() -> Stated:
    lemma, pull = penalty_steps()
    first, regimes = regime_steps()
    return (
        *lemma, *regimes, *remedy_steps(),
    ), ("two or more outliers have probability O(p^2), and a loss of mean O(S)", s.LEIBNIZ, s.SIGNS,
        "the gradient flow of a convex function goes to its minimiser",
        "(c) for gamma > 0, where a minimiser exists",
        "not derived: what the bounded loss does to the bulk, and its final accuracy"), {
        "gamma": pull, "r_0": first, "pi": wrong(s.w1 * s.z + s.w2 * d), "smoothed_pull": gamma + s.b * d,
        "taught_pull": (1 - s.b) * gamma}
