"""One attack is the worst for every monotone loss, two weights are enough, soft targets: A1, T1-W and T3-target."""

from itertools import permutations

import sympy as sp

from synthmodel.symbolic import symbols as s
from synthmodel.symbolic.attack import attack_steps
from synthmodel.symbolic.derivation import Stated, Steps, check, claim, derive

DELTA_E, DELTA_C = sp.symbols("delta_E1:4", real=True), sp.symbols("delta_C1:4", real=True)
NORM = sp.Abs(s.w1) + sp.Abs(s.w2)  # N of THEORY.md, A1: the cube has the half-side eps N
SIGNS_OF_W = [{s.w1: i * s.alpha, s.w2: j * s.beta} for i in (1, 0, -1) for j in (1, 0, -1)]
ORDERS = ({s.y: s.x - s.s}, {s.y: s.x + s.t + s.s}, {s.y: s.x + s.s, s.t: s.s + s.p})  # of y against x and x + t


def cube_steps() -> Steps:
    """delta moves the scores by a common shift and a = (a_1, a_2, a_3), which fills the cube |a_l| <= eps N."""
    moved = [s.w1 * DELTA_E[i] + s.w2 * sum(DELTA_C[j] for j in range(3) if j != i) for i in range(3)]
    a = [s.w1 * d - s.w2 * e for d, e in zip(DELTA_E, DELTA_C, strict=True)]
    first = {DELTA_E[0]: s.eps * s.x * sp.sign(s.w1), DELTA_C[0]: -s.eps * s.x * sp.sign(s.w2)}
    sides = {s.w1: ({s.w1: s.p, DELTA_E[0]: s.eps - s.s}, {s.w1: -s.p, DELTA_E[0]: s.s - s.eps}),
             s.w2: ({s.w2: s.q, DELTA_C[0]: s.t - s.eps}, {s.w2: -s.q, DELTA_C[0]: s.eps - s.t})}
    return (
        check("delta moves f_l by w2 (delta_C1 + delta_C2 + delta_C3), common to all, and by "
              "a_l = w1 delta_El - w2 delta_Cl.", sp.Matrix(moved), "=",
              sp.Matrix([s.w2 * sum(DELTA_C) + e for e in a])),
        check("a_l <= eps N with N = |w1| + |w2|, and -a_l <= eps N for -delta.", a[0], "<=", s.eps * NORM,
              cases=[i | j for i in sides[s.w1] for j in sides[s.w2]]),
        check("delta_El = eps x sgn(w1), delta_Cl = -eps x sgn(w2) gives a_l = eps N x for every x in [-1, 1]: "
              "the a_l have coordinates of their own, so they fill the cube.", a[0].xreplace(first), "=",
              s.eps * NORM * s.x, cases=SIGNS_OF_W))


@claim("A1")
def a1() -> Stated:
    _, worst, attack = attack_steps()
    top, plain = sp.Max(s.x, s.y), sp.log(1 + sp.exp(s.x) + sp.exp(s.y))

    def target(u2: sp.Expr, u3: sp.Expr) -> sp.Expr:
        return sp.Max(u2, u3) - s.b * (u2 + u3) / 2

    def smoothed(u2: sp.Expr, u3: sp.Expr) -> sp.Expr:  # label-smoothed cross-entropy at b = 1/2
        return plain.xreplace({s.x: u2, s.y: u3}) - (u2 + u3) / 4

    def rises(a_1: sp.Expr, a_2: sp.Expr, a_3: sp.Expr) -> sp.Matrix:  # of u_j = f_j - f_1 at a vertex of the cube
        return sp.Matrix([s.eps * NORM * (a_2 - a_1), s.eps * NORM * (a_3 - a_1)])

    two = sp.log(2)
    return (
        *cube_steps(), *attack,
        check("In the cube delta* is the vertex (-1, 1, 1) eps N: it raises u_j = f_j - f_1 = -m_j by 2 eps N, the "
              "most possible, for both j at once.", rises(-1, 1, 1), "=", sp.Matrix([worst, worst])),
        check("So it maximises every loss that does not fall as u_2 or u_3 grows: softmax cross-entropy, of slope p_2,",
              sp.Derivative(plain, s.x), ">", 0),
        check("the log-sum-exp over the wrong classes,",
              sp.Derivative(s.tau * sp.log(sp.exp(s.x / s.tau) + sp.exp(s.y / s.tau)), s.x), ">", 0),
        check("the largest u_j, and with it hinge loss and 0/1 error,", sp.Max(s.x + s.t, s.y), ">=", top,
              cases=ORDERS),
        check("and the smoothed margin.", (1 - s.b) * sp.Max(s.x + s.t, s.y) + s.b * (s.x + s.t + s.y) / 2, ">=",
              (1 - s.b) * top + s.b * (s.x + s.y) / 2, cases=[s.UNIT | case for case in ORDERS]),
        check("Not the soft-target margin: the vertex (-1, 1, -1) eps N raises u_2 alone,",
              rises(-1, 1, -1), "=", sp.Matrix([worst, 0])),
        check("and for u_2 >= u_3, b > 0 does better than raising both.", target(s.x + s.tau, s.y), ">",
              target(s.x + s.tau, s.y + s.tau),
              cases=({s.x: s.y + s.s, s.b: s.alpha},)),
        check("Nor label-smoothed cross-entropy, whose slope p_3 - b/2 changes sign:",
              sp.Derivative(plain - s.b * (s.x + s.y) / 2, s.y), "=",
              sp.exp(s.y) / (1 + sp.exp(s.x) + sp.exp(s.y)) - s.b / 2),
        check("b = 1/2, 2 eps N = 4 log 2, clean u = (-4 log 2, -5 log 2): raising u_2 alone does better.",
              smoothed(0, -5 * two), ">", smoothed(0, -two)),
    ), (), {"worst": worst, "cube": s.eps * NORM}


@claim("T1-W")
def two_weights() -> Stated:
    whole, ones, classes, decay = sp.eye(3), sp.ones(3, 3), sp.Symbol("K", positive=True), sp.Symbol("lambda_F")
    block = sp.Matrix(3, 3, sp.symbols("m_1:4_1:4", real=True))
    perms = [whole.extract(list(order), [0, 1, 2]) for order in permutations(range(3))]
    average = sum((e.T * block * e for e in perms), sp.zeros(3, 3)) / 6
    off = (sum(block) - block.trace()) / 6
    weights = sp.Matrix.hstack(s.w1 * whole, s.w2 * (ones - whole))  # the scores of section 0
    centred = whole - ones / 3
    best = sp.Matrix.hstack(s.w1 * centred, -s.w2 * centred)
    swaps = [e * weights * sp.diag(e, e).T for e in perms[1:]]
    mean = (s.x + s.y + s.z) / 3
    size = (classes * (1 - 1 / classes)**2 + classes * (classes - 1) / classes**2) * (s.w1**2 + s.w2**2)
    return (
        check("Renaming the classes (rows of W, and columns in each block) leaves the risk as it is. The average of a "
              "block over the six renamings is (trace/3 - beta) I + beta J, beta the mean entry off the diagonal:",
              average, "=", (block.trace() / 3 - off) * whole + off * ones),
        check("by convexity W averaged so is as good: its blocks are x I + y J. A common row changes no score "
              "difference; taking the mean off a column (x, y, z) takes 3 mean^2 off the squared norm,",
              s.x**2 + s.y**2 + s.z**2 - 3 * mean**2, "=", (s.x - mean)**2 + (s.y - mean)**2 + (s.z - mean)**2),
        check("so the minimiser, one by strict convexity, has columns of mean 0: its blocks are x (I - J/3).",
              (whole - ones / 3) * (s.x * whole + s.y * ones), "=", s.x * centred),
        check("The scores of section 0 are W = [w1 I | w2 (J - I)], unchanged by renaming,",
              sp.Matrix.vstack(*swaps), "=", sp.Matrix.vstack(*[weights] * 5)),
        check("and their W less its mean row is [w1 (I - J/3) | -w2 (I - J/3)]: every such W is one of the two-weight "
              "model.", weights - ones * weights / 3, "=", best),
        check("Its squared norm is", sum(e**2 for e in best), "=", 2 * (s.w1**2 + s.w2**2)),
        check("so that (lam_F/2) times it is (lam/2)|w|^2 with lam = 2 lam_F.",
              decay / 2 * sum(e**2 for e in best), "=", (2 * decay) * (s.w1**2 + s.w2**2) / 2),
        check("For K classes in design A, [w1 (I - J/K) | -w2 (I - J/K)] has K entries 1 - 1/K and K (K - 1) entries "
              "-1/K a block: the squared norm is", size, "=", (classes - 1) * (s.w1**2 + s.w2**2)),
    ), ("the risk is convex in W, a maximum over delta and a mean of convex losses of differences of W (x + delta)",
        "the mean over a group of renamings does not raise a convex invariant risk (Jensen); lam_F > 0 makes it strict",
        "K classes: the matrices unchanged by every renaming are x I + y J"
        ), {"W": best, "norm": 2 * (s.w1**2 + s.w2**2), "norm_K": (classes - 1) * (s.w1**2 + s.w2**2)}


def soft(mean: sp.Expr, price: sp.Expr, weight: sp.Expr) -> sp.Expr:
    """Return the separable risk -mean x + price |x| + (lam/2) x^2, least at max(mean - price, 0)/lam."""
    return -mean * weight + price * sp.Abs(weight) + s.lam * weight**2 / 2


@claim("T3-target")
def soft_target() -> Stated:
    clean, worst, attack = attack_steps()
    eps0, mean, noise = derive("T1").results["eps0"], (1 - s.b) * s.mu, s.sigma / s.ROOT_PI
    small = {s.b: 1 / (1 + s.tau)}

    def loss(m2: sp.Expr, m3: sp.Expr) -> sp.Expr:
        return -sp.Min(m2, m3) + s.b * (m2 + m3) / 2

    without = -(1 - s.b) * (s.w1 * s.E + s.w2 * (s.C2 + s.C3) / 2) + sp.Abs(s.w2) * s.s / 2  # the loss without attack
    pulls, top = (s.b - 1, 1 - s.b / 2,
                  -s.b / 2), (2 - s.b) * s.eps * NORM  # of f_1, f_2, f_3 in u_2 - (b/2)(u_2 + u_3)
    vertex = [-s.eps * NORM, s.eps * NORM, -s.eps * NORM]
    inside = [e + d for e, d in zip(vertex, (s.s, -s.t, s.p), strict=True)]
    expected = without.xreplace({s.E: s.mu, s.C2: s.mu, s.C3: s.mu, s.s: 2 * noise}) + s.lam * (s.w1**2 + s.w2**2) / 2
    best = sp.Max(s.beta - s.c, 0) / s.lam
    orders = [{s.C2: s.C3 + i * s.s, s.w2: j * s.q} for i in (1, -1) for j in (1, -1)]
    under = {name: sp.factor(sp.solve((mean - rate * s.m - cost).xreplace({s.eps: s.m}), s.m)[0])
             for name, rate, cost in (("star", 2 * (1 - s.b), noise), ("exact", 2 - s.b, noise), ("w1", 2 - s.b, 0))}
    return (
        *attack,
        check("With s = |C_2 - C_3| the loss -min(m) + (b/2)(m_2 + m_3) under delta* is linear in E, C_2, C_3 and s:",
              loss(*(e - worst for e in clean)), "=", without + (1 - s.b) * worst, cases=orders),
        check("as E s = 2 sigma/sqrt(pi) (T1), the risk is S(w1) + S(w2), S(x) = -(1-b) mu x + c |x| + (lam/2) x^2,",
              expected + (1 - s.b) * worst, "=",
              soft(mean, 2 * (1 - s.b) * s.eps, s.w1) + soft(mean, 2 * (1 - s.b) * s.eps + noise, s.w2)),
        check("and S(x) >= S(x*) + (lam/2)(x - x*)^2, x* = max((1-b) mu - c, 0)/lam; beta = (1-b) mu.",
              soft(s.beta, s.c, s.x), ">=", soft(s.beta, s.c, best) + s.lam * (s.x - best)**2 / 2,
              cases=[{s.x: e, **case} for e in (s.p, -s.p) for case in ({s.beta: s.c + s.tau}, {s.c: s.beta + s.q})]),
        check("So lam w2 is (1-b) mu - sigma/sqrt(pi) - (2 - 2b) eps where positive, and the threshold is",
              under["star"], "=", s.mu / 2 - s.sigma / (2 * s.ROOT_PI * (1 - s.b))),
        check("below eps0.", under["star"], "<", eps0, cases=[small]),
        check("Under the exact attack, the loss is the larger over j of u_j - (b/2)(u_2 + u_3); for j = 2, in the cube "
              "of A1, the vertex (-1, 1, -1) eps N adds", sum(e * d for e, d in zip(pulls, vertex, strict=True)), "=",
              top),
        check("and no other point adds more.", sum(e * d for e, d in zip(pulls, inside, strict=True)), "<=", top,
              cases=[small]),
        check("So the price per weight is (2 - b) eps in place of (2 - 2b) eps:", expected + top, "=",
              soft(mean, (2 - s.b) * s.eps, s.w1) + soft(mean, (2 - s.b) * s.eps + noise, s.w2)),
        check("w1 dies at", under["w1"], "=", s.mu * (1 - s.b) / (2 - s.b)),
        check("before mu/2,", under["w1"], "<", s.mu / 2, cases=[small]),
        check("and w2, with numerator (1-b) mu - sigma/sqrt(pi), at", under["exact"], "=",
              ((1 - s.b) * s.mu - noise) / (2 - s.b)),
        check("below eps0.", under["exact"], "<", eps0, cases=[small]),
        check("At b = 0 both are eps0.", sp.Matrix([under[e].xreplace({s.b: sp.S.Zero}) for e in ("star", "exact")]),
              "=",
              sp.Matrix([eps0, eps0])),
        check("T3's threshold, for the smoothed margin, is above eps0 by", derive("T3").results["eps1"] - eps0, "=",
              s.HALF * s.b * noise),
    ), ("A1 and T1", s.COMMUTE), {"star": under["star"], "exact": under["exact"], "w1": under["w1"]}
