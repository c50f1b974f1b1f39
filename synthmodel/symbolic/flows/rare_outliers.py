"""Cross-entropy with rare wrong cross-class evidence: THEORY.md, D4."""

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.softmax.cross_entropy import d
from synthmodel.symbolic.symbols import (
    LEIBNIZ,
    PI,
    SIGNS,
    A,
    T,
    b,
    claim,
    k,
    m,
    normal_cdf,
    normal_density,
    normal_pdf,
    p,
    q,
    s,
    w1,
    w2,
    x,
    y,
    z,
)

__all__ = ["gamma", "n", "rate", "wrong"]

# n wrong classes; each c_j is an outlier d + S Z with probability `rate`, rate S tending to kappa.
n, gamma, kappa, S, rate = sp.symbols("n gamma kappa S p", positive=True)
s_e = sp.Symbol("sigma_E", positive=True)
pi_0, pi_1 = n / (n + 1), sp.Symbol("pibar_1", positive=True)  # E pi at w = 0, and at (w1o, 0)


def wrong(margin):
    """pi = n/(n + exp(u)): the probability of the n wrong classes together where all margins are u."""
    return n / (n + sp.exp(margin))


def penalty_steps():
    """Lemma: the risk tends to that of the bulk plus gamma |w2|, gamma = n kappa/sqrt(2 pi)."""
    total = 1 + x + y  # x >= 0 the odds of the regular classes, y > 0 those of an outlier; m = max(y, 1)
    sizes = [{x: p, y: 1 + s, m: 1 + s}, {x: p, y: 1 / (1 + s), m: sp.S.One}]
    pull = sp.Integral((S * z - d) * normal_pdf(z), (z, d / S, sp.oo))
    closed = S * normal_pdf(d / S) - d * normal_cdf(-d / S)
    limit, small = n * kappa * w2 / sp.sqrt(2 * PI), {S: kappa / rate}
    return (
        check("An outlier of odds y = exp(-w2 c - w1 e): log(1 + x + y) - max(log y, 0) lies between 0 and log(2 + x): "
              "1 + x + y is at least m = max(y, 1),", total, ">=", m, sizes),
        check("and at most m (2 + x).", total, "<=", m * (2 + x), sizes),
        check("So up to O(p) outliers add n p w2 E max(-(d + S Z), 0) for w2 > 0 (w1 e, of finite mean, is O(p) too);",
              pull, "=", closed),
        check("with p S = kappa that tends to gamma w2, gamma = n kappa/sqrt(2 pi).",
              sp.Limit((n * rate * w2 * closed).xreplace(small), rate, 0), "=", limit),
        check("For w2 < 0 the outliers with Z > 0 do the same, E max(d + S Z, 0) being",
              sp.Limit((n * rate * (-w2) * (closed + d)).xreplace(small), rate, 0), "=", -limit),
        check("so the penalty is gamma |w2|, while Pr(no outlier) tends to 1: the accuracy is that of the bulk.",
              sp.Limit((1 - rate)**n, rate, 0), "=", 1)), limit / w2


def axis_steps():
    """On w2 = 0, E pi falls strictly as w1 grows, from pi_0."""
    bell = -sp.diff(wrong(z), z)  # pi (1 - pi)
    quotient = ((n * y + 1) / (n + y))**2  # y = exp(z)
    many = {n: 1 + q, y: 1 + s}
    return (
        check("On w2 = 0 the slope of E pi(w1 e) in w1 is -E[e g(w1 e)], g(u) = pi (1 - pi);",
              sp.Derivative(wrong(w1 * z), w1), "=", -z * bell.subs(z, w1 * z)),
        check("g(u)/g(-u) is, with y = exp(u),", bell / bell.subs(z, -z), "=", quotient.subs(y, sp.exp(z))),
        check("at least 1 for u >= 0, n >= 1,", quotient, ">=", 1, [many]),
        check("and the density of e has rho(e)/rho(-e) = exp(2 d e/sigma_E^2),",
              normal_density(z, d, s_e) / normal_density(-z, d, s_e), "=", sp.exp(2 * d * z / s_e**2)),
        check("above 1 for e > 0: so E[e g] > 0 and E pi falls strictly from pi_0: pibar_1 < pi_0.",
              2 * d * z / s_e**2, ">", 0, [{z: A}]))


def regime_steps():
    """The flow with bulk noise of C zero and lam = 0: never learned, learned and forgotten, or kept."""
    margin = w1 * z + w2 * d
    start, end = d * pi_0 - gamma, d * pi_1 - gamma  # w2' at w = 0, and at (w1o, 0)
    loss = sp.log(1 + n * sp.exp(-margin))
    first = 1 - gamma / (d * pi_0)
    second = wrong(margin) * (1 - wrong(margin))
    inside = {pi_1: n / (n + 1) / (1 + T)}  # 0 < pibar_1 < pi_0
    return first, (
        check("With c_j = d all margins are u = w1 e + w2 d, and the loss log(1 + n e^-u) has minus the slope in w1",
              -sp.Derivative(loss, w1), "=", z * wrong(margin)),
        check("and in w2: so w1' = E[e pi], w2' = d E[pi] - gamma for w2 > 0.", -sp.Derivative(loss, w2), "=",
              d * wrong(margin)),
        check("Its second derivative along (alpha, x) is pi (1 - pi)(alpha e + x d)^2: the risk is strictly convex.",
              sp.Derivative(loss.subs({w1: w1 + A * T, w2: w2 + x * T}), T, 2), "=",
              (second * (A * z + x * d)**2).subs({w1: w1 + A * T, w2: w2 + x * T})),
        check("At w = 0 pi is", wrong(sp.S.Zero), "=", pi_0),
        check("so w1' = d pi_0, w2' = d pi_0 - gamma: the ratio starts at r_0 = 1 - gamma/(d pi_0).",
              start / (d * pi_0), "=", first),
        *axis_steps(),
        check("(a) gamma = d pi_0 + t, t >= 0: on w2 = 0, d E pi - gamma <= 0 always, and w2 never starts:",
              start.subs(gamma, d * pi_0 + s), "<=", 0),
        check("(b), (c) gamma < d pi_0: w2 is learned.", start, ">", 0, [{gamma: d * pi_0 / (1 + T)}]),
        check("(b) gamma >= d pibar_1: at (w1o, 0) the risk does not fall into w2 > 0,",
              end.subs(gamma, d * pi_1 + s), "<=", 0),
        check("nor into w2 < 0 (slope d pibar_1 + gamma): it is the minimiser, the flow goes there: w2 is forgotten.",
              d * pi_1 + gamma, ">", 0),
        check("(b) is not empty: d pibar_1 < d pi_0.", d * pi_1, "<", d * pi_0, [inside]),
        check("(c) gamma < d pibar_1: it does fall, so the minimiser has w2 > 0.", end, ">", 0,
              [{gamma: d * pi_1 / (1 + T)}]),
        check("Accuracy is Pr(u > 0) = Phi(k (1 + r)), k = d/sigma_E: the mean of u over its deviation is",
              ((w1 * d + w2 * d) / (w1 * s_e)).subs({w2: x * w1, d: k * s_e}), "=", k * (1 + x)),
        check("so from Phi(k (1 + r_0)) or more it falls to Phi(k).", k * (1 + first), ">", k,
              [{gamma: d * pi_0 / (1 + T)}]))


def remedy_steps():
    """What label smoothing, an early teacher and a bounded loss do to gamma."""
    total, margins = sp.symbols("l m", real=True)  # log(1 + sum exp(-m_j)) and sum_j m_j
    share = y / (1 + x + y)  # an outlier's odds y under the teacher, x those of the others
    bound = sp.Symbol("bound", positive=True)
    return (
        check("Label smoothing: -log p_i = l, -log p_j = l + m_j, so the loss is l + (b/n) sum_j m_j;",
              (1 - b) * total + b / n * (n * total + margins), "=", total + b * margins / n),
        check("its second part is linear in c_j, of mean d, outlier or not: w2' = d E pi - b d - gamma.",
              normal_pdf(-z) * (d - S * z) + normal_pdf(z) * (d + S * z), "=", 2 * d * normal_pdf(z)),
        check("A teacher's labels: the loss is l + b sum_j t_j m_j. On a bad outlier t_j tends to 1 with its odds, if "
              "T2 > 0,", sp.Limit(share, y, sp.oo), "=", 1),
        check("and l + b t_j m_j to (1-b)(-m_j), up to a bounded term: w2' = d E[pi - b pi_T] - (1-b) gamma.",
              -z + b * z, "=", -(1 - b) * z),
        check("A loss of at most B (or examples above B dropped) adds at most n p B, and gamma is 0.",
              sp.Limit(n * rate * bound, rate, 0), "=", 0))


@claim("D4")
def d4():
    lemma, pull = penalty_steps()
    first, regimes = regime_steps()
    return (
        *lemma, *regimes, *remedy_steps(),
    ), ("two or more outliers have probability O(p^2), and a loss of mean O(S)", LEIBNIZ, SIGNS,
        "the gradient flow of a convex function goes to its minimiser",
        "(c) for gamma > 0, where a minimiser exists",
        "not derived: what the bounded loss does to the bulk, and its final accuracy"), {
        "gamma": pull, "r_0": first, "pi": wrong(w1 * z + w2 * d), "smoothed_pull": gamma + b * d,
        "taught_pull": (1 - b) * gamma}
