"""Thresholds, accuracies and best ratios as integrals of the data law, the margin losses' weights, the constant C1.

Each function of a `rule` (quadrature.py) reads as the definition does; parameters are mpmath numbers.
"""

from collections import namedtuple
from functools import cache

from mpmath import mp, mpf
from quadrature import newton, normal, phi, quad, root

RAYS = [0, 1, 3, 9, 27, 81]


# The worst of n wrong classes

@cache
def worst(rule, n, more=0):
    """Nodes and weights of the largest of n standard normals: density n phi(x) Phi(x)^(n-1)."""
    with mp.workdps(rule.digits):
        nodes, weights = normal(rule, n + more)
        return nodes, [n * weight * mp.ncdf(x) ** (n - 1) for x, weight in zip(nodes, weights, strict=True)]


def e_n(rule, n):
    return mp.fdot(*worst(rule, n))


def margin(rule, mu, sigma, b, classes=3, design="A", eps=None, lam=None):
    """Smoothed margin loss: the eps at which its w2 dies; with eps, its weights (w1, w2).

    A margin holds `count` cross-class features less, in the mean, sigma e_n for the worst class.
    """
    count = 1 if design == "A" else classes - 2
    gap = (1 - b) * sigma * e_n(rule, classes - 1)
    if eps is None:
        return (mu - gap / count) / 2
    return [max(pull, 0) / lam for pull in (mu - 2 * eps, count * (mu - 2 * eps) - gap)]


def eps0_correlated(rule, mu, sigma, rho):
    """E min(C, C')/2 = mu/2 - E|C - C'|/4, C - C' ~ N(0, 2 sigma^2 (1 - rho))."""
    sd = sigma * mp.sqrt(2 * (1 - rho))
    return (mu - quad(rule, lambda x: x * phi(x), [0, 2, 5, 10, 20]) * sd) / 2


def soft_target(rule, mu, sigma, b, attack, eps=None, lam=None):
    """-min m + (b/2)(m_2 + m_3): the eps at which its w2 dies; with eps, its weights (w1, w2).

    Where f_j is the larger wrong score the loss is -(1-b) f_i + (1-b/2) f_j - (b/2) f_k; a perturbation moves the
    scores by eps (|w1| + |w2|) times a point of the cube [-1, 1]^3.
    """
    coefficients = -(1 - b), 1 - b / 2, -b / 2
    cube = [(-1, 1, 1)] if attack == "monotone" else [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    reach = max(mp.fdot(coefficients, vertex) for vertex in cube)
    gap = sigma * e_n(rule, 2)  # the smaller feature has mean mu - gap, the larger mu + gap
    pulls = (1 - b) * mu, (1 - b / 2) * (mu - gap) - b / 2 * (mu + gap)
    return pulls[1] / reach if eps is None else [max(pull - eps * reach, 0) / lam for pull in pulls]


def lp_margin(rule, mu, sigma, eps, lam, p, classes=3, design="A"):
    """Minimise lam |w|^2/2 - v.w + eps |g|_q, 1/p + 1/q = 1, v the mean worst margin's coefficients at eps = 0.

    g is the gradient of f_j - f_i in x: w1 at E_i, E_j, and w2 at 2 count cross-class features (A: C_i, C_j; B: those
    of i or j with a third class), up to signs. First rule: Newton's method on the risk's gradient. Second: the
    direction (cos t, sin t) of the largest gain, whose best length is gain/lam.
    """
    q = p / (p - 1)
    counts = 2, 2 * (1 if design == "A" else classes - 2)
    v = mu, mu * counts[1] / 2 - sigma * e_n(rule, classes - 1)

    def slopes(w):
        norm = mp.fsum(count * x**q for count, x in zip(counts, w, strict=True)) ** (1 / q)
        return [pull - eps * count * (x / norm) ** (q - 1) for pull, count, x in zip(v, counts, w, strict=True)]

    if not rule.panels:
        return newton(lambda _, w: [lam * x - slope for x, slope in zip(w, slopes(w), strict=True)], rule,
                      [abs(slope) / lam for slope in slopes(v)])
    t = root(lambda t: mp.fdot(slopes((mp.cos(t), mp.sin(t))), (-mp.sin(t), mp.cos(t))), "0.01", "1.56")
    direction = mp.cos(t), mp.sin(t)
    length = mp.fdot(slopes(direction), direction) / lam
    return [length * x for x in direction]


# Robust margins m_j = e + r (cross-class part): mean mean_e + r count mean_c, a common part of variance
# sd_e^2 + r^2 shared, and r own xi_j, the xi_j independent. All are positive iff the common part beats r own max xi.
Law = namedtuple("Law", "wrong count mean_e mean_c sd_e own shared")


def equal(k, classes=3, design="A"):
    """Design A: margin j holds one feature. B: the sum of all n = K-1 but c_j; two such sums share n-2 features."""
    n = classes - 1
    return Law(n, 1, k, k, mpf(1), mpf(1), mpf(0)) if design == "A" else Law(n, n - 1, k, k, mpf(1), mpf(1), mpf(n - 2))


def pair_law(mu, sigma_e, sigma_c, rho, eps):
    """Three classes, design A; corr(c_2, c_3) = rho."""
    d = mu - 2 * eps
    return Law(2, 1, d, d, sigma_e, sigma_c * mp.sqrt(1 - rho), rho * sigma_c**2)


def joint(rule, law, r, slope=False):
    """Pr(all margins > 0), or its derivative in r; sharp enough for r <= 2."""
    nodes, weights = worst(rule, law.wrong, 4 * (law.own / law.sd_e) ** 2)
    spread = mp.sqrt(law.sd_e**2 + r * r * law.shared)
    parts = [law.count * law.mean_c - law.own * x for x in nodes]
    z = [(law.mean_e + r * part) / spread for part in parts]
    if not slope:
        return mp.fdot(weights, [mp.ncdf(value) for value in z])
    return mp.fdot(weights, [phi(value) * (part * law.sd_e**2 - r * law.shared * law.mean_e) / spread**3
                             for value, part in zip(z, parts, strict=True)])


def best(rule, law):
    """The maximiser of the joint accuracy: where its derivative changes sign."""
    return root(lambda r: joint(rule, law, r, slope=True), "1e-9", "1.25")


def b_star(rule, k):
    """The b whose smoothed margin ratio 1 - (1-b) e_2/k is the best one."""
    return 1 - (1 - best(rule, equal(k))) * k / e_n(rule, 2)


def crossover(rule):
    """The k at which full smoothing, r = 1, and none, r = 1 - e_2/k, are equally accurate."""
    return root(lambda k: joint(rule, equal(k), mpf(1)) - joint(rule, equal(k), 1 - e_n(rule, 2) / k), "0.9", "1.4")


def path(rule, k):
    """D1: accuracy at the start (r = 1), at the peak and at the end of the margin loss's flow."""
    return [joint(rule, equal(k), r) for r in (mpf(1), best(rule, equal(k)), 1 - e_n(rule, 2) / k)]


# Other noise laws, symmetric with standard deviation 1

def symmetric(noise):
    """(F(x) - 1/2, density), as functions of x, and the end of the support (or beyond what 78 digits see)."""
    if noise == "normal":
        return lambda x: mp.erf(x / mp.sqrt(2)) / 2, phi, mpf(24)
    if noise == "laplace":
        return (lambda x: mp.sign(x) * -mp.expm1(-mp.sqrt(2) * abs(x)) / 2,
                lambda x: mp.exp(-mp.sqrt(2) * abs(x)) / mp.sqrt(2), mpf(243))
    if noise == "logistic":
        scale = mp.sqrt(3) / mp.pi
        return lambda x: mp.tanh(x / (2 * scale)) / 2, lambda x: mp.sech(x / (2 * scale)) ** 2 / (4 * scale), mpf(243)
    if noise == "uniform":
        end = mp.sqrt(3)
        return lambda x: max(min(x / end, 1), -1) / 2, lambda x: (abs(x) <= end) / (2 * end), end

    def student(x):  # five degrees of freedom: (8/(3 pi)) int_0^t cos^4, tan t = x/sqrt(3)
        t = mp.atan(x / mp.sqrt(3))
        return (t + mp.sin(t) * mp.cos(t) * (1 + 2 * mp.cos(t) ** 2 / 3)) / mp.pi
    return student, lambda x: 8 / (3 * mp.pi * mp.sqrt(3)) * (1 + x * x / 3) ** -3, mp.inf


def eps0_noise(rule, noise, mu, sigma):
    """mu/2 - sigma G/4, G = E|X - X'| = 8 int_0^inf x (F(x) - 1/2) f(x) dx."""
    half, density, end = symmetric(noise)
    return mu / 2 - 2 * sigma * quad(rule, lambda x: x * half(x) * density(x), [*(x for x in RAYS if x < end), end])


def joint_noise(rule, noise, k, r, slope=False):
    """Pr(e + r min(c, c') > 0) = int 2 f(x) (1 - F(x)) F(k + r (k + x)) dx, or its derivative in r."""
    half, density, end = symmetric(noise)
    kinks = {(x - k) / r - k for x in (0, *((-end, end) if noise == "uniform" else ()))}
    inner = {x for x in {-x for x in RAYS} | set(RAYS) | kinks if abs(x) < end}

    def integrand(x):
        tail = half(k + r * (k + x)) + mpf(1) / 2 if not slope else (k + x) * density(k + r * (k + x))
        return 2 * density(x) * (mpf(1) / 2 - half(x)) * tail
    return quad(rule, integrand, [-end, *sorted(inner), end])


def best_noise(rule, noise, k):
    return root(lambda r: joint_noise(rule, noise, k, r, slope=True), "0.05", "1.25")


# The constant of THEORY.md, C1

def constant_c1(rule):
    """max over u of imr''/(1 + imr'), imr = phi/Phi, by the first rule from a' = -a (u + a) for a = imr.

    The second evaluates it as kappa_3/variance of the standard normal law cut to X > -u.
    """
    def derivatives(u):
        a = phi(u) / mp.ncdf(u)
        b = -a * (u + a)
        c = -b * (u + a) - a * (1 + b)
        return b, c, -c * (u + a) - 2 * b * (1 + b) - a * c

    def stationary(u):
        b, c, d = derivatives(u)
        return d * (1 + b) - c * c
    u = root(stationary, "-2", "2")
    if not rule.panels:
        b, c, _ = derivatives(u)
        return c / (1 + b)
    mass, *moments = (quad(rule, lambda x, j=j: x**j * phi(x), [-u, 0, 2, 6, 12, 24]) for j in range(4))
    mean, second, third = (moment / mass for moment in moments)
    return (third - 3 * mean * second + 2 * mean**3) / (second - mean**2)
