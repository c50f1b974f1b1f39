"""Cross-entropy where the cross-class evidence is rarely, but then badly, wrong: forgetting that costs accuracy (D4).

Each c_j is regular with probability 1 - p, else an outlier d + S Z, Z standard normal. As p -> 0 with p S -> kappa the
risk tends to that of the regular examples + gamma |w2|, gamma = n p S/sqrt(2 pi), n = K - 1: a pull that does not fade.

The limit has regular c_j = d and e ~ N(d, s_E^2). It is solved in units of s_E: k = d/s_E and pull = gamma/d are all
that it depends on; weights are in 1/s_E, time in 1/s_E^2. The flow of finite outliers (K = 3) is in units of a feature.

Remedies, at most one at a time. Label smoothing: b alone. Distillation with weight b from a teacher on the same
adversarial input: b and teacher = (T1, T2), its weights, T2 > 0. Bounded loss: clip = B > log K, an example whose loss
exceeds B has no gradient.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtr

from synthmodel.dynamics import Path, checked_times, integrate
from synthmodel.setting import checked

__all__ = ["Outliers", "exclusive_optimum", "forgetting_range", "limit_flow"]

LEGENDRE, LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(300)
FAR = 9.0  # the normal law beyond it weighs 2e-19


def normal_above(low, nodes=LEGENDRE, weights=LEGENDRE_WEIGHTS):
    """Nodes z and weights for E[f(Z); Z > low], Z standard normal: Gauss-Legendre on (max(low, -9), 9). Broadcasts."""
    low = np.clip(low, -FAR, FAR)[..., None]
    z = low + (FAR - low) * (nodes + 1) / 2
    return z, (FAR - low) / 2 * weights * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def wrong_classes(classes):
    if checked("classes", classes, least=3) != int(classes):
        raise ValueError(f"classes = {classes} was given, but it must be a whole number >= 3: choose one.")
    return int(classes) - 1


def checked_remedy(b, teacher, clip, classes):
    """(b, teacher, clip) if it is one remedy, or none, within its domain."""
    b = checked("b", b, least=0, below=1 if teacher is not None else 1 - 1 / classes)
    if (clip is not None and b > 0) or (teacher is not None and b == 0):
        raise ValueError(f"b = {b}, teacher = {teacher} and clip = {clip} were given, but the remedies are b alone, "
                         "b > 0 with a teacher, or clip alone: choose one.")
    if teacher is not None:
        first, second = teacher
        teacher = checked("T1", first, above=0), checked("T2", second, above=0)
    if clip is not None:
        clip = checked("clip", clip, above=math.log(classes))
    return b, teacher, clip


def wrong_chance(e, w1, w2, k, n):
    """pi = n/(n + e^u), u = w1 e + w2 k: the softmax's chance of a wrong class on a regular example."""
    return expit(math.log(n) - w1 * e - w2 * k)


def exclusive_optimum(k, classes=3, b=0.0):
    """w1o, the root of E[e pi] = b k at w2 = 0: the minimiser of E log(1 + n exp(-w1 e)) + b w1 k, e ~ N(k, 1) (D4).

    k > 0; classes >= 3; label smoothing 0 <= b < n/(n+1). Raises ValueError otherwise. For n = 1 it would be 2 k.

    >>> round(exclusive_optimum(1.0), 6)
    2.549208
    """
    k, n = checked("k", k, above=0), wrong_classes(classes)
    b, _, _ = checked_remedy(b, None, None, classes)
    z, weights = normal_above(np.float64(-FAR))

    def slope(w1):
        return float(weights @ ((k + z) * (wrong_chance(k + z, w1, 0.0, k, n) - b)))
    high = 1.0
    while slope(high) > 0:
        high *= 2
    return float(brentq(slope, 0.0, high, xtol=1e-14))


def forgetting_range(k, classes=3, b=0.0):
    """(low, high) in units of pull = gamma/d, with label smoothing b: the three regimes of D4.

    (a) pull >= high = pi_0 - b, pi_0 = n/(n+1): never learned. (b) low <= pull < high, low = pibar - b with
    pibar = E[pi] at (w1o, 0): learned, then completely forgotten. (c) pull < low: w2 stays.
    Domain: as for `exclusive_optimum`.

    >>> [round(value, 4) for value in forgetting_range(1.0)]
    [0.274, 0.6667]
    """
    n, best = wrong_classes(classes), exclusive_optimum(k, classes, b)
    z, weights = normal_above(np.float64(-FAR))
    return float(weights @ wrong_chance(k + z, best, 0.0, k, n)) - b, n / (n + 1) - b


def nonnegative_flow(force, t):
    """(w1, w2) at t of w' = force(w1, w2) from 0, kept at w2 >= 0; once w2 has come back to 0 it stays there.

    That it stays is a fact about `limit_flow`: at w2 = 0 the pull of w2 falls as w1 rises, which it does.
    """
    def left(_, w):
        return w[1]
    left.terminal, left.direction = True, -1
    w, begin, start = np.zeros((2, len(t))), 0.0, 0.0
    if force(0.0, 0.0)[1] > 0:
        solved = integrate(lambda w: force(*w), [0.0, 0.0], t, events=left)
        w[:, :solved.y.shape[1]] = solved.y
        if not solved.t_events[0].size:
            return w
        begin, start = solved.t_events[0][0], solved.y_events[0][0, 0]
    rest = t >= begin
    w[0, rest] = integrate(lambda w: force(w[0], 0.0)[:1], [start], t[rest], begin).y[0]
    w[1, rest] = 0.0
    return w


def limit_flow(k, pull, times, classes=3, b=0.0, teacher=None, clip=None):
    """The flow of the limit p -> 0 (D4): w1' = E[e pi], w2' = k (E[pi] - pull) on w2 >= 0, from w = 0; a Path.

    Label smoothing: w1' = E[e (pi - b)], w2' = k (E[pi - b] - pull). Distillation: b pi_T in place of b, pi_T the
    teacher's pi, and (1-b) pull in place of pull, for the teacher is wrong on the same outliers. Bounded loss: the
    expectations over the examples of loss log(1 + n e^{-u}) < B, and pull = 0, for the outliers that pull exceed it.

    k > 0; pull = gamma/d >= 0; times: increasing, >= 0; classes >= 3; remedies: see the module. Raises ValueError
    otherwise. accuracy = Pr(w1 e + w2 k > 0) = Phi(k (1 + r)): outliers are too few to count.

    In regime (b), without a remedy, w1 rises for ever and w2 rises once, then falls to 0. Proof. Let h = pi (1 - pi),
    p = w1', q = w2': (p,q)' = -H (p,q), H = (E[e^2 h], k E[e h]; k E[e h], k^2 E[h]) positive definite. (i) If
    p = E[pi e] >= 0, then E[e h] > 0, for it is E[pi e] E[pi (1-pi)]/E[pi] plus a covariance of e with 1 - pi, which
    rises with e. (ii) On the curve p = 0 E[pi] falls as w2 rises, by Cauchy-Schwarz, from pibar at w2 = 0: there q < 0,
    so that p' = -q k E[e h] > 0 and p > 0 never ends. (iii) Where q = 0, then, q' = -p k E[e h] < 0: once. QED
    The accuracy need not be unimodal: r'(0+) < 0 iff k^2 (1 - r0^2) > r0, and r may rise later (claim D4-accuracy).

    >>> path = limit_flow(1.0, 0.42, np.array([0.0, 1.0, 1e4]))
    >>> path.accuracy.round(3).tolist(), float(path.w2[-1])
    ([0.915, 0.905, 0.841], 0.0)
    """
    k, pull, t = checked("k", k, above=0), checked("pull", pull, least=0), checked_times(times)
    n = wrong_classes(classes)
    b, teacher, clip = checked_remedy(b, teacher, clip, classes)
    if clip or teacher:
        pull *= 1 - b if teacher else 0

    def force(w1, w2):
        low = -FAR
        if clip and w1 > 0:
            low = (math.log(n / math.expm1(clip)) - w2 * k) / w1 - k
        z, weights = normal_above(np.float64(low))
        e = k + z
        excess = wrong_chance(e, w1, w2, k, n) - b * (wrong_chance(e, *teacher, k, n) if teacher else 1)
        return np.array([weights @ (e * excess), k * (weights @ excess - pull)])

    w1, w2 = nonnegative_flow(force, t)
    first, second = force(0.0, 0.0)
    ratio = np.divide(w2, w1, out=np.full_like(t, max(second, 0.0) / first), where=w1 > 0)
    return Path(t, w1, w2, ratio, ndtr(k * (1 + ratio)))


@dataclass(frozen=True)
class Outliers:
    """Three classes with finite outliers: e ~ N(d, s_e^2); c_j ~ N(d, s_c^2), but N(d, size^2) with probability p.

    d, s_e, s_c, size > 0; 0 <= p < 1. Raises ValueError otherwise.

    >>> outliers = Outliers(d=0.4, s_e=0.5, s_c=0.1, p=0.1, size=3.0)
    >>> round(outliers.gamma, 4), round(float(outliers.accuracy(0.0)), 4)  # 2 p S/sqrt(2 pi); Phi(d/s_e)
    (0.2394, 0.7881)
    """

    d: float
    s_e: float
    s_c: float
    p: float
    size: float

    def __post_init__(self):
        for name in ("d", "s_e", "s_c", "size"):
            checked(name, getattr(self, name), above=0)
        checked("p", self.p, least=0, below=1)

    @property
    def gamma(self):
        """n p S/sqrt(2 pi), n = 2."""
        return 2 * self.p * self.size / math.sqrt(2 * math.pi)

    def accuracy(self, r):
        """Pr(e + r c_j > 0 and e + r c_l > 0) for r >= 0, of the mixture, outliers counted. Broadcasts.

        It is E Pr(e > -r min(c_j, c_l)), an integral over the jumps of Pr(min > x) = Pr(c > x)^2.
        """
        total = 0.0
        z, weights = normal_above(np.float64(-FAR))
        spreads = ((1 - self.p, self.s_c), (self.p, self.size))
        for chance, spread in spreads:
            c = self.d + spread * z
            above = sum(q * ndtr((self.d - c) / s) for q, s in spreads)
            reach = ndtr((self.d + np.asarray(r, dtype=float)[..., None] * c) / self.s_e)
            total = total + reach @ (2 * chance * weights * above)
        return total

    def evidence(self):
        """Quadrature of (c_j, c_l): values (m, 2) with c_j listed before or at c_l, and weights (m,)."""
        hermite, hermite_weights = np.polynomial.hermite_e.hermegauss(8)
        step = 0.2  # outliers bend the loss near c = 0, sharply if w2 S is large: the trapezoidal rule, dense there
        s = np.arange(-5, 5.01, step)
        z = 0.1 * np.sinh(s) - self.d / self.size
        outlier_weights = 0.1 * step * np.cosh(s) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        c = self.d + np.concatenate([self.s_c * hermite, self.size * z])
        weight = np.concatenate([(1 - self.p) * hermite_weights / hermite_weights.sum(), self.p * outlier_weights])
        first, second = np.triu_indices(len(c))
        pairs = weight[first] * weight[second] * np.where(first < second, 2, 1)
        return np.stack([c[first], c[second]], axis=1), pairs

    def flow(self, times, b=0.0, teacher=None, clip=None):
        """Gradient flow from 0 of cross-entropy on the hard label at x + delta*, or of a remedy; a Path (D4).

        w1' = E[e (p - t)], w2' = E[sum_j c_j (p_j - t_j)], p the softmax, p = p_j + p_l, t the soft label's part on the
        wrong classes. times: increasing, >= 0. accuracy: `accuracy` of the mixture.
        """
        t = checked_times(times)
        b, teacher, clip = checked_remedy(b, teacher, clip, 3)
        c, pair_weights = self.evidence()
        nodes, node_weights = np.polynomial.legendre.leggauss(32)

        def split(w1, w2, e):  # p_j, p_l at e (m, 32)
            log_wrong = np.logaddexp(-w2 * c[:, 0], -w2 * c[:, 1])
            wrong = expit(log_wrong[:, None] - w1 * e)
            share = expit(w2 * (c[:, 1] - c[:, 0]))[:, None]
            return wrong * share, wrong * (1 - share)

        def velocity(w):
            w1, w2 = w
            low = np.full(len(c), -FAR)
            if clip and w1 > 0:
                log_wrong = np.logaddexp(-w2 * c[:, 0], -w2 * c[:, 1])
                low = ((log_wrong - math.log(math.expm1(clip))) / w1 - self.d) / self.s_e
            z, weights = normal_above(low, nodes, node_weights)
            e, weights = self.d + self.s_e * z, weights * pair_weights[:, None]
            wrong = split(w1, w2, e)
            target = [b * soft for soft in split(*teacher, e)] if teacher else (b / 2, b / 2)
            excess = [weights * (wrong[j] - target[j]) for j in (0, 1)]
            return np.array([np.sum(e * (excess[0] + excess[1])), sum(c[:, j] @ excess[j].sum(1) for j in (0, 1))])

        w1, w2 = integrate(velocity, [0.0, 0.0], t, rtol=1e-7).y
        first, second = velocity((0.0, 0.0))
        ratio = np.divide(w2, w1, out=np.full_like(t, second / first), where=w1 > 0)
        return Path(t, w1, w2, ratio, self.accuracy(ratio))
