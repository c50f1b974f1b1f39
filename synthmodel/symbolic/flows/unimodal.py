"""In D4, where w2 is forgotten, w1 rises for ever and w2 rises once, then falls to 0 (THEORY.md, D4-unimodal)."""

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.derivation import Stated, Steps, check, claim
from synthmodel.symbolic.flows.rare_outliers import gamma, n, wrong
from synthmodel.symbolic.softmax.cross_entropy import d

__all__ = ["A0", "A1", "A2", "p", "q"]

# p = w1', q = w2' (any sign), and the means A0 = E h, A1 = E[e h], A2 = E[e^2 h] of h = pi (1 - pi); E e = d.
p, q, A1 = sp.symbols("p q A_1", real=True)
A0, A2, mean_pi, pi_1 = sp.symbols("A_0 A_2 E_pi pibar_1", positive=True)  # E pi, and E pi at (w1o, 0)
h_x, h_y, pi_x, pi_y = sp.symbols("h h' pi pi'", positive=True)  # at two independent examples e = x, e' = y
H = sp.Matrix([[A2, d * A1], [d * A1, d**2 * A0]])
PAIRS = "a product of two means is the mean over two independent examples"
BARRIER = "a function that is positive until it first vanishes does not rise there; an ODE's solution is unique"


def bell(margin: sp.Expr) -> sp.Expr:
    """Return h = pi (1 - pi) at a margin."""
    return wrong(margin) * (1 - wrong(margin))


def flow_steps() -> tuple[sp.Matrix, Steps]:
    """Derive the rates p = E[e pi] and q = d E[pi] - gamma of w1 and w2, and the rates of p and q."""
    margin = (s.w1 + p * s.tau) * s.z + (s.w2 + q * s.tau) * d
    rates = -H * sp.Matrix([p, q])
    return rates, (
        check("The flow is p = w1' = E[e pi], q = w2' = d E[pi] - gamma (D4), pi = n/(n + exp(u)), u = w1 e + w2 d. "
              "With h = pi (1 - pi), pi has the slope", sp.Derivative(wrong(s.z), s.z), "=", -bell(s.z)),
        check("so that e pi changes at the rate", sp.Derivative(s.z * wrong(margin), s.tau), "=",
              -(p * s.z**2 + q * d * s.z) * bell(margin)),
        check("and d pi at the rate", sp.Derivative(d * wrong(margin), s.tau), "=",
              -(p * d * s.z + q * d**2) * bell(margin)),
        check("In the mean, p' and q' are, with A0 = E h, A1 = E[e h], A2 = E[e^2 h],", rates, "=",
              sp.Matrix([-(A2 * p + d * A1 * q), -d * (A1 * p + d * A0 * q)])))


def sign_steps() -> Steps:
    """Cauchy-Schwarz for A0, A1, A2, and p >= 0 => A1 > 0, both from pairs of independent examples."""
    odds, gap = sp.symbols("y s", positive=True)  # exp(u) at e, and exp(w1 (e' - e)) - 1 for e' > e
    covariance = sp.Symbol("c", positive=True)
    product = pi_x * pi_y
    return (
        check("Cauchy-Schwarz: A0 A2 - A1^2 is half the mean over two independent e, e' of",
              h_x * h_y * (s.x**2 + s.y**2 - 2 * s.x * s.y), "=", h_x * h_y * (s.x - s.y)**2),
        check("which is positive: e is not constant.", (h_x * h_y * (s.x - s.y)**2).subs(s.x, s.y + s.tau), ">", 0),
        check("E[e pi (1-pi)] E[pi] - E[e pi] E[pi (1-pi)] = A1 E[pi] - p A0 is half the mean of",
              product * (s.x * (1 - pi_x) + s.y * (1 - pi_y) - s.x * (1 - pi_y) - s.y * (1 - pi_x)), "=",
              product * (s.x - s.y) * (pi_y - pi_x)),
        check("positive for w1 > 0: e' > e then has the smaller pi, by",
              n / (n + odds) - n / (n + odds * (1 + gap)), ">", 0),
        check("(i) So p >= 0 gives A1 > 0:", (p * A0 + covariance) / mean_pi, ">", 0, [{p: s.s}]),
        check("and at w1 = 0, where h is constant and E e = d, too.", d * bell(s.w2 * d), ">", 0))


def curve_steps() -> tuple[sp.Expr, Steps]:
    """On the curve p = 0, w1 = W(w2), E pi falls as w2 rises, and there q < 0."""
    margin, far = s.w1 * s.z + s.w2 * d, sp.Symbol("omega", positive=True)
    slope = sp.solve(A2 * s.x + d * A1, s.x)[0]  # dW/dw2
    falls = -A1 * slope - d * A0  # of E pi along the curve
    return falls, (
        check("(ii) p falls strictly as w1 grows: e pi has the slope -e^2 h,", sp.Derivative(s.z * wrong(margin), s.w1),
              "=", -s.z**2 * bell(margin)),
        check("from d pi > 0 at w1 = 0", d * wrong(s.w2 * d), ">", 0),
        check("to the mean of min(e, 0) < 0: as w1 grows, pi tends to 0 for e > 0",
              sp.Limit(wrong(far * s.alpha + s.w2 * d), far, sp.oo), "=", 0),
        check("and to 1 for e < 0. So p = 0 is a curve w1 = W(w2) > 0 over all w2 >= 0, W(0) = w1o,",
              sp.Limit(wrong(-far * s.alpha + s.w2 * d), far, sp.oo), "=", 1),
        check("on which E pi, of slopes -A1 and -d A0, has the slope", falls, "=", d * (A1**2 - A0 * A2) / A2),
        check("negative by Cauchy-Schwarz: E pi falls from pibar_1 as w2 rises.", falls, "<", 0,
              [{A0: (A1**2 + s.tau) / A2}]),
        check("In regime (b), gamma >= d pibar_1, so that on the curve with w2 > 0 q is", d * mean_pi - gamma, "<", 0,
              [{mean_pi: pi_1 / (1 + s.tau), gamma: d * pi_1 + s.s}]))


@claim("D4-unimodal")
def d4_unimodal() -> Stated:
    pi_0 = wrong(sp.S.Zero)
    (rise, turn), flow = flow_steps()
    falls, curve = curve_steps()
    barrier, peak = rise.subs(p, 0), turn.subs(q, 0)  # p' where p = 0, q' where q = 0
    return (
        *flow, *sign_steps(), *curve,
        check("At w = 0, p = d pi_0 is positive,", d * pi_0, ">", 0),
        check("and so is q, as gamma < d pi_0 in regime (b): w2 is learned.", d * pi_0 - gamma, ">", 0,
              [{gamma: d * pi_0 / (1 + s.tau)}]),
        check("Where p first vanished, with w2 > 0, p' would be", barrier, "=", -d * q * A1),
        check("positive, as q < 0 and A1 > 0 there: so p > 0 while w2 > 0, and w1 rises.", barrier, ">", 0,
              [{q: -s.beta, A1: s.alpha}]),
        check("(iii) Where q = 0, q' is", peak, "=", -d * p * A1),
        check("negative: q changes its sign once at most, from + to -. w2 tends to 0 (D4), so it does: w2 rises once, "
              "then falls.", peak, "<", 0, [{p: s.beta, A1: s.alpha}]),
        check("If w2 reaches 0, p > 0 still: (w1o, 0) is a rest point if gamma = d pibar_1, and else p' > 0 there, by",
              barrier, ">", 0, [{q: -d * s.tau, A1: s.alpha}]),
        check("and w2 stays there: on w2 = 0 pi has the slope in w1", sp.Derivative(wrong(s.w1 * s.z), s.w1), "=",
              -s.z * bell(s.w1 * s.z)),
        check("of mean -A1, and w1 rises to w1o, with p > 0 and A1 > 0: q' = -d A1 w1' keeps q < 0.", -d * A1 * p,
              "<", 0, [{p: s.beta, A1: s.alpha}]),
    ), ("D4: the flow goes to the minimiser (w1o, 0) in regime (b)", s.LEIBNIZ, PAIRS, BARRIER,
        "the implicit function theorem: the curve p = 0 is smooth", "E e = d > 0, E e^2 is finite, Pr(e < 0) > 0"), {
            "H": H, "falls": falls, "p_rate": barrier, "q_rate": peak}
