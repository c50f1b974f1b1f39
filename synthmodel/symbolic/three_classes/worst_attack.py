"""One attack is the worst for every monotone loss, two weights are enough, soft targets: A1, T1-W and T3-target."""

from itertools import permutations

import sympy as sp

from synthmodel.symbolic.derivation import check
from synthmodel.symbolic.symbols import (
    C2,
    C3,
    COMMUTE,
    HALF,
    ROOT_PI,
    UNIT,
    A,
    B,
    E,
    T,
    attack_steps,
    b,
    c,
    claim,
    derive,
    eps,
    lam,
    m,
    mu,
    p,
    q,
    s,
    sigma,
    t,
    w1,
    w2,
    x,
    y,
    z,
)

DELTA_E, DELTA_C = sp.symbols("delta_E1:4", real=True), sp.symbols("delta_C1:4", real=True)
NORM = sp.Abs(w1) + sp.Abs(w2)  # N of THEORY.md, A1: the cube has the half-side eps N
SIGNS_OF_W = [{w1: i * A, w2: j * B} for i in (1, 0, -1) for j in (1, 0, -1)]
ORDERS = ({y: x - s}, {y: x + t + s}, {y: x + s, t: s + p})  # of y against x and x + t


def cube_steps():
    """delta moves the scores by a common shift and a = (a_1, a_2, a_3), which fills the cube |a_l| <= eps N."""
    moved = [w1 * DELTA_E[i] + w2 * sum(DELTA_C[j] for j in range(3) if j != i) for i in range(3)]
    a = [w1 * d - w2 * e for d, e in zip(DELTA_E, DELTA_C, strict=True)]
    first = {DELTA_E[0]: eps * x * sp.sign(w1), DELTA_C[0]: -eps * x * sp.sign(w2)}
    sides = {w1: ({w1: p, DELTA_E[0]: eps - s}, {w1: -p, DELTA_E[0]: s - eps}),
             w2: ({w2: q, DELTA_C[0]: t - eps}, {w2: -q, DELTA_C[0]: eps - t})}
    return (
        check("delta moves f_l by w2 (delta_C1 + delta_C2 + delta_C3), common to all, and by "
              "a_l = w1 delta_El - w2 delta_Cl.", sp.Matrix(moved), "=",
              sp.Matrix([w2 * sum(DELTA_C) + e for e in a])),
        check("a_l <= eps N with N = |w1| + |w2|, and -a_l <= eps N for -delta.", a[0], "<=", eps * NORM,
              cases=[i | j for i in sides[w1] for j in sides[w2]]),
        check("delta_El = eps x sgn(w1), delta_Cl = -eps x sgn(w2) gives a_l = eps N x for every x in [-1, 1]: "
              "the a_l have coordinates of their own, so they fill the cube.", a[0].xreplace(first), "=",
              eps * NORM * x, cases=SIGNS_OF_W))


@claim("A1")
def a1():
    _, worst, attack = attack_steps()
    top, plain = sp.Max(x, y), sp.log(1 + sp.exp(x) + sp.exp(y))

    def target(u2, u3):
        return sp.Max(u2, u3) - b * (u2 + u3) / 2

    def smoothed(u2, u3):  # label-smoothed cross-entropy at b = 1/2
        return plain.xreplace({x: u2, y: u3}) - (u2 + u3) / 4

    def rises(a_1, a_2, a_3):  # of u_j = f_j - f_1 at a vertex of the cube
        return sp.Matrix([eps * NORM * (a_2 - a_1), eps * NORM * (a_3 - a_1)])

    two = sp.log(2)
    return (
        *cube_steps(), *attack,
        check("In the cube delta* is the vertex (-1, 1, 1) eps N: it raises u_j = f_j - f_1 = -m_j by 2 eps N, the "
              "most possible, for both j at once.", rises(-1, 1, 1), "=", sp.Matrix([worst, worst])),
        check("So it maximises every loss that does not fall as u_2 or u_3 grows: softmax cross-entropy, of slope p_2,",
              sp.Derivative(plain, x), ">", 0),
        check("the log-sum-exp over the wrong classes,",
              sp.Derivative(T * sp.log(sp.exp(x / T) + sp.exp(y / T)), x), ">", 0),
        check("the largest u_j, and with it hinge loss and 0/1 error,", sp.Max(x + t, y), ">=", top, cases=ORDERS),
        check("and the smoothed margin.", (1 - b) * sp.Max(x + t, y) + b * (x + t + y) / 2, ">=",
              (1 - b) * top + b * (x + y) / 2, cases=[UNIT | case for case in ORDERS]),
        check("Not the soft-target margin: the vertex (-1, 1, -1) eps N raises u_2 alone,",
              rises(-1, 1, -1), "=", sp.Matrix([worst, 0])),
        check("and for u_2 >= u_3, b > 0 does better than raising both.", target(x + T, y), ">", target(x + T, y + T),
              cases=({x: y + s, b: A},)),
        check("Nor label-smoothed cross-entropy, whose slope p_3 - b/2 changes sign:",
              sp.Derivative(plain - b * (x + y) / 2, y), "=", sp.exp(y) / (1 + sp.exp(x) + sp.exp(y)) - b / 2),
        check("b = 1/2, 2 eps N = 4 log 2, clean u = (-4 log 2, -5 log 2): raising u_2 alone does better.",
              smoothed(0, -5 * two), ">", smoothed(0, -two)),
    ), (), {"worst": worst, "cube": eps * NORM}


@claim("T1-W")
def two_weights():
    whole, ones, classes, decay = sp.eye(3), sp.ones(3, 3), sp.Symbol("K", positive=True), sp.Symbol("lambda_F")
    block = sp.Matrix(3, 3, sp.symbols("m_1:4_1:4", real=True))
    perms = [whole.extract(list(order), [0, 1, 2]) for order in permutations(range(3))]
    average = sum((e.T * block * e for e in perms), sp.zeros(3, 3)) / 6
    off = (sum(block) - block.trace()) / 6
    weights = sp.Matrix.hstack(w1 * whole, w2 * (ones - whole))  # the scores of section 0
    centred = whole - ones / 3
    best = sp.Matrix.hstack(w1 * centred, -w2 * centred)
    swaps = [e * weights * sp.diag(e, e).T for e in perms[1:]]
    mean = (x + y + z) / 3
    size = (classes * (1 - 1 / classes)**2 + classes * (classes - 1) / classes**2) * (w1**2 + w2**2)
    return (
        check("Renaming the classes (rows of W, and columns in each block) leaves the risk as it is. The average of a "
              "block over the six renamings is (trace/3 - beta) I + beta J, beta the mean entry off the diagonal:",
              average, "=", (block.trace() / 3 - off) * whole + off * ones),
        check("by convexity W averaged so is as good: its blocks are x I + y J. A common row changes no score "
              "difference; taking the mean off a column (x, y, z) takes 3 mean^2 off the squared norm,",
              x**2 + y**2 + z**2 - 3 * mean**2, "=", (x - mean)**2 + (y - mean)**2 + (z - mean)**2),
        check("so the minimiser, one by strict convexity, has columns of mean 0: its blocks are x (I - J/3).",
              (whole - ones / 3) * (x * whole + y * ones), "=", x * centred),
        check("The scores of section 0 are W = [w1 I | w2 (J - I)], unchanged by renaming,",
              sp.Matrix.vstack(*swaps), "=", sp.Matrix.vstack(*[weights] * 5)),
        check("and their W less its mean row is [w1 (I - J/3) | -w2 (I - J/3)]: every such W is one of the two-weight "
              "model.", weights - ones * weights / 3, "=", best),
        check("Its squared norm is", sum(e**2 for e in best), "=", 2 * (w1**2 + w2**2)),
        check("so that (lam_F/2) times it is (lam/2)|w|^2 with lam = 2 lam_F.",
              decay / 2 * sum(e**2 for e in best), "=", (2 * decay) * (w1**2 + w2**2) / 2),
        check("For K classes in design A, [w1 (I - J/K) | -w2 (I - J/K)] has K entries 1 - 1/K and K (K - 1) entries "
              "-1/K a block: the squared norm is", size, "=", (classes - 1) * (w1**2 + w2**2)),
    ), ("the risk is convex in W, a maximum over delta and a mean of convex losses of differences of W (x + delta)",
        "the mean over a group of renamings does not raise a convex invariant risk (Jensen); lam_F > 0 makes it strict",
        "K classes: the matrices unchanged by every renaming are x I + y J"
        ), {"W": best, "norm": 2 * (w1**2 + w2**2), "norm_K": (classes - 1) * (w1**2 + w2**2)}


def soft(mean, price, weight):
    """The separable risk S(x) = -mean x + price |x| + (lam/2) x^2, least at max(mean - price, 0)/lam."""
    return -mean * weight + price * sp.Abs(weight) + lam * weight**2 / 2


@claim("T3-target")
def soft_target():
    clean, worst, attack = attack_steps()
    eps0, mean, noise, small = derive("T1").results["eps0"], (1 - b) * mu, sigma / ROOT_PI, {b: 1 / (1 + T)}

    def loss(m2, m3):
        return -sp.Min(m2, m3) + b * (m2 + m3) / 2

    without = -(1 - b) * (w1 * E + w2 * (C2 + C3) / 2) + sp.Abs(w2) * s / 2  # the loss without attack
    pulls, top = (b - 1, 1 - b / 2, -b / 2), (2 - b) * eps * NORM  # of f_1, f_2, f_3 in u_2 - (b/2)(u_2 + u_3)
    vertex = [-eps * NORM, eps * NORM, -eps * NORM]
    inside = [e + d for e, d in zip(vertex, (s, -t, p), strict=True)]
    expected = without.xreplace({E: mu, C2: mu, C3: mu, s: 2 * noise}) + lam * (w1**2 + w2**2) / 2
    best = sp.Max(B - c, 0) / lam
    orders = [{C2: C3 + i * s, w2: j * q} for i in (1, -1) for j in (1, -1)]
    under = {name: sp.factor(sp.solve((mean - rate * m - cost).xreplace({eps: m}), m)[0])
             for name, rate, cost in (("star", 2 * (1 - b), noise), ("exact", 2 - b, noise), ("w1", 2 - b, 0))}
    return (
        *attack,
        check("With s = |C_2 - C_3| the loss -min(m) + (b/2)(m_2 + m_3) under delta* is linear in E, C_2, C_3 and s:",
              loss(*(e - worst for e in clean)), "=", without + (1 - b) * worst, cases=orders),
        check("as E s = 2 sigma/sqrt(pi) (T1), the risk is S(w1) + S(w2), S(x) = -(1-b) mu x + c |x| + (lam/2) x^2,",
              expected + (1 - b) * worst, "=",
              soft(mean, 2 * (1 - b) * eps, w1) + soft(mean, 2 * (1 - b) * eps + noise, w2)),
        check("and S(x) >= S(x*) + (lam/2)(x - x*)^2, x* = max((1-b) mu - c, 0)/lam; beta = (1-b) mu.",
              soft(B, c, x), ">=", soft(B, c, best) + lam * (x - best)**2 / 2,
              cases=[{x: e, **case} for e in (p, -p) for case in ({B: c + T}, {c: B + q})]),
        check("So lam w2 is (1-b) mu - sigma/sqrt(pi) - (2 - 2b) eps where positive, and the threshold is",
              under["star"], "=", mu / 2 - sigma / (2 * ROOT_PI * (1 - b))),
        check("below eps0.", under["star"], "<", eps0, cases=[small]),
        check("Under the exact attack, the loss is the larger over j of u_j - (b/2)(u_2 + u_3); for j = 2, in the cube "
              "of A1, the vertex (-1, 1, -1) eps N adds", sum(e * d for e, d in zip(pulls, vertex, strict=True)), "=",
              top),
        check("and no other point adds more.", sum(e * d for e, d in zip(pulls, inside, strict=True)), "<=", top,
              cases=[small]),
        check("So the price per weight is (2 - b) eps in place of (2 - 2b) eps:", expected + top, "=",
              soft(mean, (2 - b) * eps, w1) + soft(mean, (2 - b) * eps + noise, w2)),
        check("w1 dies at", under["w1"], "=", mu * (1 - b) / (2 - b)),
        check("before mu/2,", under["w1"], "<", mu / 2, cases=[small]),
        check("and w2, with numerator (1-b) mu - sigma/sqrt(pi), at", under["exact"], "=",
              ((1 - b) * mu - noise) / (2 - b)),
        check("below eps0.", under["exact"], "<", eps0, cases=[small]),
        check("At b = 0 both are eps0.", sp.Matrix([under[e].xreplace({b: sp.S.Zero}) for e in ("star", "exact")]), "=",
              sp.Matrix([eps0, eps0])),
        check("T3's threshold, for the smoothed margin, is above eps0 by", derive("T3").results["eps1"] - eps0, "=",
              HALF * b * noise),
    ), ("A1 and T1", COMMUTE), {"star": under["star"], "exact": under["exact"], "w1": under["w1"]}
