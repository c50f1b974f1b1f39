"""The formulas of the losses' derivations against numbers found another way: brute force, quadrature, root finding."""

from functools import cache
from itertools import pairwise, permutations, product

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize, root
from scipy.special import expit, logsumexp, softmax

from synthmodel.symbolic import derive
from synthmodel.symbolic import symbols as sym
from synthmodel.symbolic.softmax import cross_entropy, log_sum_exp, soft_labels

pytestmark = pytest.mark.slow

ROOT_PI = mp.sqrt(mp.pi)
VERTICES = np.array(list(product((-1.0, 1.0), repeat=6)))


def agrees(found, expected, tolerance=1e-9):
    """Equal to the relative tolerance, while the same number 1 % off is not."""
    def near(number):
        return abs(number - mp.mpmathify(expected)) <= tolerance * abs(expected)

    found = mp.mpmathify(sp.N(found, 20))
    return near(found) and not near(found * mp.mpf("1.01"))


@cache
def nodes(dimension, order):
    """Gauss-Hermite points and weights of `dimension` standard normals."""
    point, weight = np.polynomial.hermite_e.hermegauss(order)
    grid = np.meshgrid(*[point] * dimension, indexing="ij")
    mass = np.meshgrid(*[weight / weight.sum()] * dimension, indexing="ij")
    return np.stack([e.ravel() for e in grid]), np.prod([e.ravel() for e in mass], axis=0)


def features(k, wrong=2, order=32):
    """e, c_1, ..., each N(k, 1), in units of the noise, and the weights of the points."""
    points, mass = nodes(1 + wrong, order)
    return k + points, mass


def probabilities(w, x):
    return softmax(np.stack([np.zeros(x.shape[1]), *(-w[0] * x[0] - w[1] * c for c in x[1:])]), axis=0)


def means(w, x, mass):
    """pibar, A and B at w."""
    p = probabilities(w, x)
    spread = (p * (1 - p)) @ mass
    return (1 - p[0]) @ mass, spread[0], spread[1:].sum()


def gradient(w, k, decay, b=0.0, teacher=None, wrong=2, order=32):
    """Of the cross-entropy with soft labels: the wrong classes get b/n each, or what the teacher says."""
    x, mass = features(k, wrong, order)
    labels = b / wrong if teacher is None else probabilities(teacher, x)[1:]
    gap = labels - probabilities(w, x)[1:]
    return np.array([gap.sum(0) * x[0] @ mass, (gap * x[1:]).sum(0) @ mass]) + decay * np.asarray(w)


def minimiser(k, decay, start=(0.5, 0.4), **more):
    found = root(lambda w: gradient(w, k, decay, **more), start, tol=1e-13)
    assert found.success and abs(gradient(found.x, k, decay, **more)).max() < 1e-11
    return found.x


def scores(w1, w2, x):
    """f_1, f_2, f_3 at the six coordinates x_E1, ..., x_C3 (rows)."""
    e, c = x[..., :3], x[..., 3:]
    return w1 * e + w2 * (c.sum(-1, keepdims=True) - c)


def monotone_losses(u):
    """Losses of u_j = f_j - f_1, j = 2, 3, in the last axis, that do not fall in u."""
    top, b = u.max(-1), 0.3
    return {"margin": top, "hinge": np.maximum(0, 1 + top), "0/1": (top >= 0).astype(float),
            "cross-entropy": np.logaddexp(0, logsumexp(u, axis=-1)), "smoothed": (1 - b) * top + b * u.mean(-1),
            "log-sum-exp": 0.2 * logsumexp(u / 0.2, axis=-1)}


@pytest.mark.parametrize("seed", range(20))
def test_a1_delta_star_beats_every_vertex_of_the_box(seed):
    rng = np.random.default_rng(seed)
    (w1, w2), eps = rng.normal(size=2), rng.uniform(0.1, 1)
    clean = np.array([rng.normal(), 0, 0, 0, *rng.normal(size=2)])
    f = scores(w1, w2, clean + eps * VERTICES)
    u = f[:, 1:] - f[:, :1]
    worst = float(derive("A1").results["worst"].subs({sym.w1: w1, sym.w2: w2, sym.eps: eps}))
    base = scores(w1, w2, clean)
    for name, value in monotone_losses(base[1:] - base[0] + worst).items():
        assert value == pytest.approx(monotone_losses(u)[name].max(), abs=1e-12), name
    short = monotone_losses(base[1:] - base[0] + 0.99 * worst)
    assert short["margin"] < u.max() - 1e-4


def test_a1_soft_losses_have_a_worse_vertex_than_delta_star():
    w1, w2, b, rise = 1.0, 0.5, 0.5, 4 * np.log(2)
    eps = rise / (2 * (w1 + w2))
    u = np.log(2) * np.array([-4, -5])  # the example of A1; with E = 0, u_j = -w2 C_j
    x = np.array([0, 0, 0, 0, *(-u / w2)])
    f = scores(w1, w2, x + eps * VERTICES)
    moved = f[:, 1:] - f[:, :1]

    def target(u):
        return u.max(-1) - b * u.sum(-1) / 2

    def smoothed(u):
        return np.logaddexp(0, logsumexp(u, axis=-1)) - b * u.sum(-1) / 2

    assert target(moved).max() - target(u + rise) == pytest.approx(b * rise / 2)
    assert np.isclose(smoothed(moved), smoothed(u + rise) + np.log(13 / 8)).any()


@cache
def symmetric_sample():
    """24 samples of class 1 with all renamings of the classes: (points, their classes)."""
    rng = np.random.default_rng(1)
    x = np.zeros((24, 6))
    x[:, [0, 4, 5]] = 1 + 0.6 * rng.normal(size=(24, 3))
    orders = [list(order) for order in permutations(range(3))]
    points = np.concatenate([x[:, [*order, *(3 + i for i in order)]] for order in orders])
    return points, np.repeat([order.index(0) for order in orders], len(x))


def attacked(weights, decay, eps=0.2):
    """Worst-case cross-entropy over the 64 vertices plus decay |W|^2/2, and its gradient, for any W in R^{3x6}."""
    w, (x, label) = weights.reshape(3, 6), symmetric_sample()
    moved = x[:, None] + eps * VERTICES
    f = moved @ w.T
    rows = np.arange(len(x))
    worst = (logsumexp(f, axis=-1) - f[rows, :, label]).argmax(1)
    f, moved = f[rows, worst], moved[rows, worst]
    pull = softmax(f, axis=1)
    value = (logsumexp(f, axis=1) - f[rows, label]).mean() + decay * weights @ weights / 2
    pull[rows, label] -= 1
    return value, (pull.T @ moved / len(x) + decay * w).ravel()


def test_t1_w_the_best_of_all_linear_classifiers_has_two_weights():
    decay, rng = 0.1, np.random.default_rng(2)
    found = minimize(attacked, rng.normal(size=18) / 3, args=(decay,), jac=True, method="BFGS", tol=1e-9)
    w = found.x.reshape(3, 6)
    w1, w2 = w[0, 0] * 1.5, -w[0, 3] * 1.5
    form = np.array(derive("T1-W").results["W"].subs({sym.w1: w1, sym.w2: w2}), dtype=float)
    assert min(w1, w2) > 0.1 and w == pytest.approx(form, abs=1e-5)
    assert agrees(derive("T1-W").results["norm"].subs({sym.w1: w1, sym.w2: w2}), (w**2).sum(), 1e-4)

    def two(v):  # the model of THEORY.md, section 0, with lam = 2 lam_F
        weights = np.hstack([v[0] * np.eye(3), v[1] * (1 - np.eye(3))]).ravel()
        return attacked(weights, 0.0)[0] + 2 * decay * v @ v / 2

    best = minimize(two, np.array([0.5, 0.4]), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-13})
    assert best.x == pytest.approx([w1, w2], abs=1e-5) and best.fun == pytest.approx(found.fun, abs=1e-9)


@pytest.mark.parametrize("classes", [3, 4, 7])
def test_t1_w_norm_for_k_classes(classes):
    block = np.eye(classes) - 1 / classes
    norm = derive("T1-W").results["norm_K"].subs({"K": classes, sym.w1: 2, sym.w2: 3})
    found = norm.subs(dict.fromkeys(norm.free_symbols, classes))
    assert agrees(found, 13 * (block**2).sum())


def mean_soft_target(w1, w2, b, eps, exact, mu=1, sigma=0.5):
    """E of -min(m) + (b/2)(m_2 + m_3), linear but for C_2 - C_3 = y: over the cube's vertices, or at delta*."""
    half = eps * (abs(w1) + abs(w2))
    moves = list(product((-half, half), repeat=3)) if exact else [(-half, half, half)]

    def loss(y):
        u = [-w1 * mu - w2 * (mu + y / 2), -w1 * mu - w2 * (mu - y / 2)]
        rises = [[u[0] + a[1] - a[0], u[1] + a[2] - a[0]] for a in moves]
        return max(max(e) - b * sum(e) / 2 for e in rises)

    spread = sigma * mp.sqrt(2)
    return mp.quad(lambda y: loss(y) * mp.npdf(y, 0, spread), [-10 * spread, 0, 10 * spread])


@pytest.mark.parametrize(("name", "exact", "which"), [("star", False, 1), ("exact", True, 1), ("w1", True, 0)])
def test_t3_target_thresholds(name, exact, which):
    b = 0.25
    at = derive("T3-target").results[name].subs({sym.mu: 1, sym.sigma: sp.Rational(1, 2), sym.b: sp.Rational(1, 4)})

    def slope(eps):  # at 0+ in w2 or w1: the risk without decay is linear in each weight
        return mean_soft_target(*((1, 0.5) if which else (0.5, 1)), b, eps, exact) - mean_soft_target(
            *((1, 0) if which else (0, 1)), b, eps, exact)

    threshold = mp.findroot(slope, (0.1, 0.4), solver="anderson")
    assert agrees(at, threshold, 1e-8)
    eps0 = derive("T1").results["eps0"].subs({sym.mu: 1, sym.sigma: sp.Rational(1, 2)})
    assert at < (sp.Rational(1, 2) if name == "w1" else eps0)
    assert slope(0.99 * threshold) < 0 < slope(1.01 * threshold)


@pytest.mark.parametrize(("w", "b"), [((0.7, 0.4), 0.0), ((0.3, 1.1), 0.3)])
def test_s1_slopes_are_those_of_the_risk(w, b):
    sigma, d, lam = 0.5, 0.6, 0.1
    x, mass = features(d / sigma, order=40)

    def risk(w):
        p = probabilities(np.array(w) * sigma, x)
        return -((1 - b) * np.log(p[0]) + b / 2 * np.log(p[1:]).sum(0)) @ mass + lam * (w[0]**2 + w[1]**2) / 2

    pibar, own, others = means(np.array(w) * sigma, x, mass)
    at = {cross_entropy.pibar: pibar, cross_entropy.own: own, cross_entropy.others: others, sym.sigma: sigma,
          cross_entropy.d_E: d, cross_entropy.d_C: d, sym.lam: lam, sym.b: b, sym.w1: w[0], sym.w2: w[1]}
    step = 1e-4
    for name, (u, v) in (("dw1", (step, 0)), ("dw2", (0, step))):
        numeric = (risk((w[0] + u, w[1] + v)) - risk((w[0] - u, w[1] - v))) / (2 * step)
        assert agrees(derive("S1").results[name].subs(at), numeric, 1e-7)


@pytest.mark.parametrize(("k", "decay"), [(0.3, 0.1), (1, 0.5), (1.2, 0.4)])
def test_s1_ratio_at_the_minimiser(k, decay):
    w = minimiser(k, decay)
    _, own, others = means(w, *features(k))
    ratio = derive("S1").results["r_ce"].subs({sym.sigma: 1, sym.lam: decay, cross_entropy.own: own,
                                               cross_entropy.others: others})
    assert agrees(ratio, w[1] / w[0], 1e-8) and 0 < w[1] < w[0]


@pytest.mark.parametrize(("classes", "order"), [(3, 16), (4, 12)])
def test_t1_ce_limit_of_the_ratio(classes, order):
    decay, wrong = 0.5, classes - 1
    limit = derive("T1-CE").results["limit_K"].subs({cross_entropy.K: classes, cross_entropy.L: decay})
    for k in (0.1, 0.02):  # w2 > 0 while the threshold of T1, k = 1/sqrt(pi), is far above k
        w = minimiser(k, decay, start=(0.01, 0.01), wrong=wrong, order=order)
        assert 0 < w[1] < w[0]
        assert abs(w[1] / w[0] - limit) < 0.5 * k**2
    assert abs(w[1] / w[0] - limit * 1.01) > 1e-3


@pytest.mark.parametrize("decay", [0.05, 0.5, 3])
def test_t1_ce_excess_of_the_ratio_near_the_end(decay):
    found, k = derive("T1-CE").results, 0.02
    w = minimiser(k, decay, start=(0.01, 0.01))
    limit = float(found["limit"].subs(cross_entropy.L, decay))
    assert agrees(found["curvature"].subs(cross_entropy.L, decay), (w[1] / w[0] - limit) / k**2, 2e-3)


def test_t1_ce_is_not_monotone_in_the_decay():
    low, middle, high = (w[1] / w[0] for w in (minimiser(2, decay) for decay in (0.03, 1, 10)))
    assert middle < low - 0.002 and middle < high - 0.01


@pytest.mark.parametrize(("k", "decay"), [(0.5, 0.1), (1.5, 0.3)])
def test_t3_ce_bound_and_slope_at_two_thirds(k, decay):
    found = derive("T3-CE").results
    at = {sym.sigma: 1, sym.lam: decay, cross_entropy.d: k}
    path = [minimiser(k, decay, b=b) for b in (0, 0.2, 0.4, 0.6, 2 / 3 - 1e-4)]
    for b, w in zip((0, 0.2, 0.4, 0.6), path, strict=False):
        assert np.hypot(*w) <= float(found["bound"].subs(at | {sym.b: b}))
    for former, later in pairwise(path):
        assert later[0] < former[0] and later[1] < former[1] and later[1] / later[0] < former[1] / former[0]
    limit = float(found["limit"].subs(cross_entropy.L, decay))
    w = path[-1]
    assert agrees(found["ratio_slope"].subs(at), (w[1] / w[0] - limit) / w.sum(), 1e-4)


@pytest.mark.parametrize(("k", "decay", "teacher"), [(0.8, 0.2, (1.0, 0.5)), (1.2, 0.5, (0.5, 0.9))])
def test_n5_slopes_vanish_at_the_student(k, decay, teacher):
    w = minimiser(k, decay, teacher=teacher)
    x, mass = features(k)
    names = (cross_entropy.pibar, cross_entropy.own, cross_entropy.others)
    taught = (soft_labels.tbar, soft_labels.own_t, soft_labels.others_t)
    at = dict(zip(names, means(w, x, mass), strict=True)) | dict(zip(taught, means(teacher, x, mass), strict=True)) | {
        cross_entropy.d_E: k, cross_entropy.d_C: k, sym.sigma: 1, sym.lam: decay, soft_labels.T1: teacher[0],
        soft_labels.T2: teacher[1], sym.w1: w[0], sym.w2: w[1]}
    found = derive("N5").results
    for name in ("dw1", "dw2"):
        assert abs(found[name].subs(at)) < 1e-8
        assert abs(found[name].subs(at | {sym.w1: 1.01 * w[0], sym.w2: 1.01 * w[1]})) > 1e-4
    quotient = derive("S1").results["r_ce"].subs(at) * found["factor"].subs(at | {cross_entropy.d: k})
    assert agrees(quotient, w[1] / w[0], 1e-7)


def test_n5_the_student_becomes_the_teacher_without_decay():
    assert minimiser(0.8, 0, teacher=(1.0, 0.5)) == pytest.approx([1.0, 0.5], abs=1e-9)


def test_n5_a_teacher_may_lower_or_raise_the_ratio():
    k, decay = 0.8, 20
    plain, student = minimiser(k, decay, start=(0.02, 0.02)), minimiser(k, decay, start=(0.02, 0.02), teacher=(1, 0))
    robust = minimiser(k, decay, start=(0.02, 0.02), teacher=tuple(minimiser(k, 0.2)))
    assert student[1] / student[0] < 0.95 < plain[1] / plain[0] < 1 < robust[1] / robust[0]


def psi(x):
    return mp.quad(lambda z: 2 * z / mp.sqrt(2) * mp.tanh(x * z / mp.sqrt(2)) * mp.npdf(z), [0, 1, 3, 10])


def temperature_slope(w2, tau, d, sigma):
    """d/dw2 of E tau log(exp(-w2 c_2/tau) + exp(-w2 c_3/tau)), by differences; c_j = d + sigma Z_j."""
    points, mass = nodes(2, 60)

    def risk(w2):
        return tau * logsumexp(-w2 * (d + sigma * points) / tau, axis=0) @ mass

    return (risk(w2 + 1e-4) - risk(w2 - 1e-4)) / 2e-4


@pytest.mark.parametrize(("w2", "tau"), [(0.5, 0.5), (1.0, 2.0)])
def test_t1_temp_force_is_the_slope_of_the_risk(w2, tau):
    d, sigma, lam = 0.6, 0.5, 0.3
    at = {cross_entropy.d: d, sym.sigma: sigma, sym.lam: lam, sym.w2: w2, sym.tau: tau}
    force = derive("T1-temp").results["force"].subs(at).replace(log_sum_exp.Psi, lambda e: sp.Float(psi(float(e))))
    assert agrees(force, -temperature_slope(w2, tau, d, sigma) - lam * w2, 1e-6)


def test_t1_temp_psi():
    found = derive("T1-temp").results
    assert agrees(found["psi_limit"], psi(mp.mpf(10)**6), 1e-5)
    assert agrees(found["psi_slope"], psi(mp.mpf("1e-4")) * 10**4, 1e-6)


@pytest.mark.parametrize("d", [0.1, 0.6])
def test_t1_temp_weights_tend_to_those_of_the_margin_loss(d):
    sigma, lam = 0.5, 0.1  # T1: w2 = 0 at d = .1, and (d - sigma/sqrt(pi))/lam at d = .6
    limit = max(0, (d - sigma / ROOT_PI) / lam)
    weights = []
    for tau in (0.4, 0.2, 0.1):
        w2 = mp.findroot(lambda w, tau=tau: d - sigma * psi(sigma * w / tau) - lam * w, (mp.mpf("1e-6"), d / lam),
                         solver="anderson")
        bound = derive("T1-temp").results["bound"].subs({sym.tau: tau, sym.lam: lam, cross_entropy.n: 2})
        assert limit < w2 and w2 - limit <= mp.mpmathify(sp.N(bound))
        weights.append(w2)
    assert weights == sorted(weights, reverse=True)
    if d < sigma / ROOT_PI:  # O(tau)
        assert weights[2] / 0.1 == pytest.approx(float(weights[1] / 0.2), rel=0.2)


@pytest.mark.parametrize(("k", "decay"), [(0.5, 0.2), (1.2, 0.4)])
def test_ce_2d_conditions_at_the_minimiser(k, decay):
    w = minimiser(k, decay)
    x, mass = features(k)
    r = w[1] / w[0]
    along, across = (x[0] + r * x[1]) / np.hypot(1, r), (x[1] - r * x[0]) / np.hypot(1, r)
    wrong = probabilities(w, x)[1]
    assert abs(wrong * across @ mass) < 1e-10
    assert 2 * (wrong * along @ mass) == pytest.approx(decay * np.hypot(*w), rel=1e-9)
    for name, feature in zip(derive("CE-2D").results["means"], (along, across), strict=True):
        assert agrees(name.subs({sym.k: k, sym.r: r}), feature @ mass, 1e-9)


def test_ce_2d_two_dimensions_give_the_risk_of_three():
    w1, w2, k = 1.1, 0.7, 0.9
    x, mass = features(k, order=40)
    whole = -np.log(probabilities((w1, w2), x)[0]) @ mass
    (first, second), weight = nodes(2, 40)
    a, spread = k * (w1 + w2) + np.sqrt(w1**2 + w2**2 / 2) * first, w2 / np.sqrt(2) * second
    assert np.log1p(2 * np.exp(-a) * np.cosh(spread)) @ weight == pytest.approx(whole, rel=1e-9)


def test_ce_2d_the_sign_formula_is_the_slope_of_the_ratio():
    k, decay, step = 0.9, 0.3, 1e-4

    def conditions(r, tau, k):  # G1, G2
        x, mass = features(k)
        wrong = probabilities(tau * np.array([1, r]) / np.hypot(1, r), x)[1]
        return np.array([wrong * (x[1] - r * x[0]) @ mass, wrong * (x[0] + r * x[1]) @ mass]) / np.hypot(1, r)

    w = minimiser(k, decay)
    point = np.array([w[1] / w[0], np.hypot(*w), k])
    partial = [(conditions(*(point + step * e)) - conditions(*(point - step * e))) / (2 * step) for e in np.eye(3)]
    names = {f"G{i + 1}_{name}": float(partial[j][i]) for i in range(2) for j, name in enumerate(("r", "tau", "k"))}
    rate = derive("CE-2D").results["dr_dk"].subs({sp.Symbol(e, real=True): value for e, value in names.items()} | {
        sp.Symbol("G_2", real=True): conditions(*point)[1], sym.tau: point[1]})
    later, former = minimiser(k + step, decay), minimiser(k - step, decay)
    assert agrees(rate, (later[1] / later[0] - former[1] / former[0]) / (2 * step), 1e-5)


def entropy(r):
    share = r**2 / (1 + r**2)
    return -share * mp.log(share) - (1 - share) * mp.log(1 - share)


def inner(u, rho, level):
    """I(u, rho) = imr(u) E sig(a) - rho E sig'(a), a = level + rho (u - Z), by the trapezoidal rule."""
    z = np.linspace(-9, 9, 4001)
    mass = np.exp(-z**2 / 2) * (z[1] - z[0]) / np.sqrt(2 * np.pi)
    sig = expit(float(level) + float(rho) * (float(u) - z))
    return mp.npdf(u) / mp.ncdf(u) * (sig @ mass) - rho * (sig * (1 - sig) @ mass)


def test_n4_entropy_is_the_least_relaxation():
    for r in (0.2, 0.6, 0.95):
        share = r**2 / (1 + r**2)
        least = min(mp.log1p(mp.exp(y)) - share * y for y in mp.linspace(-8, 8, 1601))
        assert agrees(derive("N4").results["entropy"].subs(sym.r, r), entropy(r))
        assert entropy(r) <= least < entropy(r) + mp.mpf("1e-4")


@pytest.mark.parametrize(("k", "w2"), [(0.9, 0.7), (1.6, 2.0)])
def test_n4_reduction_is_the_mean_of_t(k, w2):
    r = best_ratio(k)
    h, root_one = entropy(r), mp.sqrt(1 + r**2)
    g = mp.sqrt((2 + r**2) / (1 + r**2))
    u = k * r * (1 + r) / mp.sqrt((1 + r**2) * (2 + r**2))
    points, mass = nodes(2, 60)
    t, c = float(k * (1 - r) / root_one) + points[0], k + points[1]
    direct = t * expit(float(h) + w2 * (c - t / float(root_one))) @ mass
    assert agrees(inner(u, w2 * g, h) / (root_one * g), direct, 1e-6)
    names = {sym.k: k, sym.r: r, sym.w2: w2, sp.Symbol("S_0", positive=True): 2, sp.Symbol("S_1", positive=True): 3}
    formula = derive("N4").results["inner"].subs(names).replace(sym.Imr, lambda e: sym.explicit(sym.Imr(e)))
    assert agrees(formula, 2 * mp.npdf(u) / mp.ncdf(u) - 3 * w2 * g, 1e-8)


def best_ratio(k):
    """r_acc, from F as THEORY.md, T2-joint, writes it."""
    def sign(r):
        u = k * r * (1 + r) / mp.sqrt((1 + r**2) * (2 + r**2))
        return k * (1 - r) * mp.sqrt((2 + r**2) / (1 + r**2)) - mp.npdf(u) / mp.ncdf(u)

    return mp.findroot(sign, (mp.mpf("1e-9"), 1), solver="anderson")


def test_n4_the_argument_reaches_k_two_and_ends_before_k_two_point_two():
    def least(k):
        r = best_ratio(k)
        u = k * r * (1 + r) / mp.sqrt((1 + r**2) * (2 + r**2))
        return u, min(inner(u, mp.mpf(rho), entropy(r)) for rho in np.geomspace(0.05, 30, 40))

    u, value = least(mp.mpf("2.0695"))
    assert u == pytest.approx(1.64, abs=1e-3) and value > 0
    assert least(mp.mpf("1.2"))[1] > 0 > least(mp.mpf("2.2"))[1]


@pytest.mark.parametrize(("k", "decay"), [(0.7, 0.05), (1, 0.5), (1.5, 0.2)])
def test_n4_cross_entropy_over_uses_the_feature(k, decay):
    w = minimiser(k, decay, start=(1, 0.9))
    assert w[1] / w[0] > best_ratio(k) > 1 - 1 / (k * ROOT_PI)
