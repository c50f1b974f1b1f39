"""A counterexample to each refuted claim, decided and not computed: rational points, signs by ball arithmetic.

Each is a function of rational parameters, written from the definitions in THEORY.md; nothing of the solvers is used but
guesses, near which `enclosed` proves the truth to be. It returns (margins, digits): the claim is refuted at that point
if every margin, a ball, is certainly positive; digits are pairs (ball, digits after the point) of numbers that
`synthmodel verify` must print.
"""

from fractions import Fraction
from itertools import product

from flint import acb, arb

from tests.support import many_classes
from tests.support.enclosed import (
    CrossEntropy,
    RareOutliers,
    accuracy,
    accuracy_slope,
    at_end,
    below,
    chances,
    density,
    enclosed,
    follow,
    growing,
    mean_least,
    minimiser,
    normal_mean,
    number,
    numbers,
)

__all__ = ["CASES", "mixed", "soft_target_gain"]


def t2_joint(low=Fraction(7, 10), high=1, k=1):
    """Accuracy is higher at w2 = `low` w1 than at w2 = `high` w1, low < high <= 1."""
    before, after = (accuracy(r, r, k) for r in (low, high))
    return [number(high - low), before - after], [(before, 6), (after, 6)]


def n2_unequal(d="3/5", s_e="7/20", s_c="3/5", best="1/5", least="43/100"):
    """The ratio `best` beats every ratio from `least` on, and `least` < r_AT = 1 - (s_c/d) (-E min(Z, Z'))."""
    at = 1 - number(s_c) / number(d) * mean_least()
    ends = [Fraction(least) * Fraction(103, 100) ** i for i in range(50)]
    rivals = [accuracy(*box, d, s_e, s_c) for box in zip(ends, [*ends[1:], None], strict=True)]
    top = accuracy(Fraction(best), Fraction(best), d, s_e, s_c)
    return [at - number(least), *(top - rival for rival in rivals)], [(at, 4)]


def soft_target_gain(b):
    """Worst gain of (1-b/2) f_j - (1-b) f_1 - (b/2) f_l, (j, l) = (2, 3) or (3, 2), per eps N over the scores' cube."""
    (gain,) = {max((1 - b / 2) * a[j] - (1 - b) * a[0] - b / 2 * a[3 - j] for a in product((-1, 1), repeat=3))
               for j in (1, 2)}
    return gain


def hinge_slopes(k, b, w1, w2, lam):
    """Slopes of E max(0, 1 - w1 e - w2 M) + (lam/2)|w|^2, M = mean - (1-b)|c_2 - c_3|/2, in units of the noise.

    Given s = |c_2 - c_3|/sqrt(2) the margin is normal, of mean a = k (w1 + w2) - w2 (1-b) s/sqrt(2) and deviation v,
    and the mean loss has the slopes -Phi(u) in a and phi(u) in v, u = (1 - a)/v.
    """
    k, kept, lam, w1, w2 = numbers(k, 1 - Fraction(b), lam, w1, w2)
    v = (w1 * w1 + w2 * w2 / 2).sqrt()

    def mean(function):
        def at(s):
            own = k - kept * s / arb(2).sqrt()
            u = (1 - k * w1 - own * w2) / v
            return function(own, below(u), density(u))
        # half-normal; beyond 10 the law weighs less than 1e-22, where |own| is counted
        return 2 * acb.integral(lambda s, _: at(s) * density(s), 0, 10).real + arb(0, 1e-20)
    return (mean(lambda own, low, top: w1 / v * top - k * low) + lam * w1,
            mean(lambda own, low, top: w2 / (2 * v) * top - own * low) + lam * w2)


def u1_l1(k=1, lam="1/10", l1="3/10", w1=("1.002", "1.0025")):
    """Hinge loss with l1 decay drops w2 at mu = 2, sigma = 1, eps = (2 - k)/2, which is below eps0 - l1/2.

    On w2 = 0 the best w1 lies in the interval `w1`, where the slope in w2, l1 - Pr(w1 e < 1) E M, is positive.
    """
    k, l1, low, high = numbers(k, l1, *w1)
    sides = [-hinge_slopes(k, 0, low, 0, lam)[0], hinge_slopes(k, 0, high, 0, lam)[0]]
    steep = below(1 / low.union(high) - k).real
    eps, eps0 = 1 - k / 2, 1 - mean_least() / 2
    return [*sides, eps0 - l1 / 2 - eps, l1 - steep * (k - mean_least())], [(eps0 - l1 / 2, 4), (steep, 3)]


def u1_smoothing(k=4, lam="1/1000", b="3/10", between="69/200", plain=("0.3520", "0.3521"), soft=("0.2850", "0.2851")):
    """Under hinge loss w2 > `between` without smoothing and w2 < `between` with b.

    The risk is strictly convex. On the line w2 = `between` it is least at w1 in the interval given; the sign of its
    slope in w2 there says on which side of the line its minimum lies.
    """
    margins = [number(b)]
    for share, ends, side in ((0, plain, -1), (b, soft, 1)):
        low, high = numbers(*ends)
        margins += [-hinge_slopes(k, share, low, between, lam)[0], hinge_slopes(k, share, high, between, lam)[0],
                    side * hinge_slopes(k, share, low.union(high), between, lam)[1]]
    return margins, []


def t3_target(mu=1, sigma="1/2", b="3/10", eps="7/20"):
    """At eps the hard loss learns w2 and the soft-target margin does not, under delta* and under the exact attack.

    The pull on w2 >= 0 is (1-b) mu + sigma E min(Z, Z') - eps times the attack's gain, 2 - 2 b under delta*.
    """
    b, (mu, sigma, eps) = Fraction(b), numbers(mu, sigma, eps)
    least, gains = sigma * mean_least(), (2 - 2 * b, soft_target_gain(b))
    thresholds = [((1 - number(b)) * mu - least) / number(gain) for gain in gains]
    hard = (mu - least) / 2
    return [hard - eps, *(eps - end for end in thresholds)], [(hard, 4), *((end, 4) for end in thresholds)]


def softmax_weights(eps, b=0, mu=1, sigma="1/2", lam="1/10", guess=None):
    """(balls of the weights, in units of a feature, of cross-entropy with smoothing b, k) for mu, sigma, eps, lam."""
    mu, sigma, lam, eps = map(Fraction, (mu, sigma, lam, eps))
    k = (mu - 2 * eps) / sigma
    found = minimiser(CrossEntropy(k, Fraction(b)), [Fraction(x) * sigma for x in guess], lam / sigma**2)
    return [w / number(sigma) for w in found]


def t1_ce(eps="2/5", guess=("0.76832464", "0.59765629")):
    """The margin loss has dropped w2 at eps, cross-entropy has not (mu = 1, sigma = 1/2, lam = 1/10)."""
    w1, w2 = softmax_weights(eps, guess=guess)
    eps0 = (1 - mean_least() / 2) / 2
    return [number(eps) - eps0, w1, w2], [(eps0, 3), (w1, 4), (w2, 4)]


def t1_temp_plain(tau="1/1000", mu=1, sigma="1/2", eps="1/5", lam="1/10"):
    """At every temperature up to tau the weights are far from the margin loss's, w*: by more than |w*|/2.

    The risk is at least (lam/2)|w|^2, and tau log 3 at w = 0: |w_tau| <= sqrt(2 tau log(3)/lam).
    """
    mu, sigma, eps, lam, tau = numbers(mu, sigma, eps, lam, tau)
    w1, w2 = (mu - 2 * eps) / lam, (mu - 2 * eps - sigma * mean_least()) / lam
    size = (w1 * w1 + w2 * w2).sqrt()
    return [w2, size / 2 - (2 * tau * arb(3).log() / lam).sqrt()], [(size, 3)]


def t3_ce(b="3/10", guess=("0.69769692", "0.58923904"), hard=("1.35502820", "1.23371611")):
    """Smoothing b lowers w1, w2 and w2/w1, at mu = 1, sigma = 1/2, eps = 1/5, lam = 1/10."""
    (w1, w2), (v1, v2) = softmax_weights("1/5", guess=hard), softmax_weights("1/5", b, guess=guess)
    return ([number(b), v1, v2, w1 - v1, w2 - v2, w2 / w1 - v2 / v1],
            [(w2, 4), (w2 / w1, 4), (v2, 4), (v2 / v1, 4)])


def n4_end(k="5/2", decay="17/10", guess=("0.35616228", "0.34925279"), between="1963/2000"):
    """r_CE < `between`, where accuracy still rises: by T2-joint' then r_CE < r_acc."""
    w1, w2 = minimiser(CrossEntropy(Fraction(k)), guess, decay)
    return [w1, w2, number(between) - w2 / w1, accuracy_slope(between, k)], [(w2 / w1, 6)]


def n4_k_end(classes=4, k=3, decay="16/5", guess=("0.301886558070", "0.294944915219"), between="98/100"):
    """r_CE < `between`, where accuracy still rises: by T2-joint-K then r_CE < r_acc."""
    n = classes - 1
    w1, w2 = many_classes.minimiser(n, k, guess, decay)
    return [w1, w2, number(between) - w2 / w1, accuracy_slope(between, k, n)], [(w2 / w1, 6)]


def n3_entries(k=1):
    """With decay on the entries of W the ratio is below 1/2 for every b: there accuracy still rises (T2-joint')."""
    return [accuracy_slope("1/2", k)], []


def n4_entries(points=((1, "1/10", ("1.15509451", "0.72709474"), "633/1000"),
                       ("6/5", "1/10", ("1.18679696", "0.75738409"), "7/10"),
                       (2, "1/10000", ("3.58038181", "3.37139001"), "946/1000"))):
    """r_CE < `between`, where accuracy still rises, with the decays L of w1 and 2 L of w2."""
    margins, seen = [], []
    for k, decay, guess, between in points:
        w1, w2 = minimiser(CrossEntropy(Fraction(k)), guess, decay, 2 * Fraction(decay))
        margins += [w1, w2, number(between) - w2 / w1, accuracy_slope(between, k)]
        seen.append((w2 / w1, 6))
    return margins, seen[:1]


def t3_ce_unequal(b="1/10000", steep="1/1000000"):
    """w2 rises from smoothing 0 to b, and with it w2/w1; elsewhere w1 rises (sigma_E = 1, eps = 0)."""
    margins = [number(b), number(steep)]
    for k, noise, lam, which, smoothing, guesses in (
            ("6.3766", "0.12699", "3.262e-5", 1, b, (("0.95464978", "1.11955451"), ("0.30696210", "1.24528749"))),
            ("12.579", "2.7345", "1.251e-6", 0, steep, (("0.87660984", "0.60397330"), ("0.96103119", "0.23142687")))):
        low, high = (minimiser(CrossEntropy(Fraction(k), Fraction(share), noise=Fraction(noise)), guess, Fraction(lam))
                     for share, guess in zip((0, smoothing), guesses, strict=True))
        margins += [*low, *high, high[which] - low[which]]
        if which:
            margins.append(high[1] / high[0] - low[1] / low[0])
    return margins, []


def above_ray(model, r, low, high):
    """Balls that are positive if the risk is least at a ratio above r: by convexity, where it is least on that ray,
    w1 between `low` and `high`, its gradient is perpendicular to the ray and must point away from that side.
    """
    r, low, high = numbers(r, low, high)
    inner, outer = (enclosed(model, (x, r * x)) for x in (low, high))
    between = enclosed(model, [low.union(high), r * low.union(high)])
    return [inner[0] + r * inner[1], -outer[0] - r * outer[1], between[1]]


def d2_monotone(k="5/2", end="5/4", limit="985/1000", ray=("5.037", "5.0387")):
    """At time `end` the ratio lies below `limit`, and its limit lies above."""
    model = CrossEntropy(Fraction(k))
    w1, w2 = at_end(model, growing("1/4096", "1/20", Fraction(end)))
    return [number(limit) - w2 / w1, *above_ray(model, limit, *ray)], [(w2 / w1, 3)]


def products(p1, p2, p3):
    """Sums over the wrong classes of p_1 p_j, p_1^2 p_j, p_1 p_j^2, p_1^2 p_j^2."""
    square = p1 * p1
    return p1 - square, square - square * p1, p1 * (p2 * p2 + p3 * p3), square * (p2 * p2 + p3 * p3)


def mixed(model, w, rules):
    """d^2 risk/dw1 dw2 = E[p_1 e (p_2 c_2 + p_3 c_3)], by Stein's identity in e and then in c_j."""
    k, (w1, w2), (m1, m2, m3, m4) = number(model.k), w, chances(products, *model.shape(w), rules)
    tilted = (k + w1) * m1 - 2 * w1 * m2  # E[sum_j psi_j], psi_j = p_1 p_j (k + w1 (1 - 2 p_1)): E[e p_1 f] = E[psi f]
    return (k * tilted + w2 * (2 * (k + w1) * m3 - 4 * w1 * m4 - tilted - 2 * w1 * m4),)


def d2_overshoot(k="1/2", end=14, corner=("1.285", "0.8035"), cells=(11, 3)):
    """w2 rises for ever: while followed, up to `end`; then d^2 risk/dw1 dw2 < 0 in the box from there to `corner`.

    There both forces stay positive: where one reaches 0, it grows by the other. So both weights rise, inside the box:
    at the corner both forces are negative, hence on each side through it one is.
    """
    model = CrossEntropy(Fraction(k))
    boxes, tubes = zip(*follow(model, growing("1/1024", "1/4", Fraction(end), part=6)), strict=True)
    box, margins = boxes[-1], [enclosed(model, tube)[1] for tube in tubes]
    low, high = [x.lower() for x in box], numbers(*corner)
    margins += [*enclosed(model, box), *(-force for force in enclosed(model, high)),
                *(b - a for a, b in zip(low, high, strict=True))]
    widths = [(b - a) / n for a, b, n in zip(low, high, cells, strict=True)]
    for at in product(*map(range, cells)):
        start = [a + i * width for a, i, width in zip(low, at, widths, strict=True)]
        cell = [a.union(a + width) for a, width in zip(start, widths, strict=True)]
        margins.append(-enclosed(model, cell, mixed)[0])
    return margins, []


def on_axis(model, low, high):
    """(balls that are positive if the best weights without w2 have w1 between low and high, the force on w2 there)."""
    low, high = numbers(low, high)
    inner, outer, both = (enclosed(model, (x, arb(0))) for x in (low, high, low.union(high)))
    return [inner[0], -outer[0]], both[1]


def outlier_accuracy(k, ratio):
    return below(acb(number(k) * (1 + ratio))).real


def d4_accuracy(k=1, pull="1809/5000", classes=10, times=("4/25", "44/25"), axis=("4.121371", "4.121372")):
    """w2/w1, with which accuracy rises, falls from its value at 0+ to times[0], rises to times[1], and ends at 0.

    At 0+ it is 1 - pull/pi_0, pi_0 = (K-1)/K. It ends at 0 if the force on w2 is negative at the best w1 alone: that is
    then the least risk over w2 >= 0, to which the flow tends.
    """
    model = RareOutliers(Fraction(k), pull=Fraction(pull), classes=classes)
    first, last = map(Fraction, times)
    early = growing("1/2048", "1/20", first)
    boxes, tubes = zip(*follow(model, early + [(last - first) / 64] * 64), strict=True)
    start = number(1 - Fraction(pull) * Fraction(classes, classes - 1))
    low, high = (box[1] / box[0] for box in (boxes[len(early) - 1], boxes[-1]))
    sides, end = on_axis(model, *axis)
    seen = [(outlier_accuracy(k, ratio), 5) for ratio in (start, low, high, arb(0))]
    alive = [tube[1] for tube in tubes[1:]]  # the flow is that of D4 while w2 > 0
    return [start, start - low, high - low, *alive, *sides, -end], seen


def d4_smoothing(k=2, pull="209/5000", b="1/5", axes=(("4.845581", "4.845582"), ("0.900813", "0.900814"))):
    """Without smoothing w2 ends at 0 and accuracy at Phi(k); with b it ends positive: Phi(k (1 + w2/w1)) is more."""
    hard, soft = (RareOutliers(Fraction(k), Fraction(smoothing), Fraction(pull)) for smoothing in (0, b))
    (hard_sides, hard_end), (soft_sides, soft_end) = (on_axis(model, *axis) for model, axis in
                                                      zip((hard, soft), axes, strict=True))
    return [*hard_sides, -hard_end, *soft_sides, soft_end], [(outlier_accuracy(k, arb(0)), 4)]


def b1_linear(eps="2/5", mu=1, sigma="1/2"):
    """Beyond eps0 affine scores tend to less than two weights' Phi(-k), and than any rule of exclusive features."""
    mu, sigma, eps = numbers(mu, sigma, eps)
    k, far = (mu - 2 * eps) / sigma, (mu + 2 * eps) / sigma
    two, sharp, none = (below(x).real for x in (-k, -k * number(2).sqrt(), -far))
    affine, alone = (two + sharp) / 3, 2 * (two - none) / 3
    return [eps - (mu - sigma * mean_least()) / 2, alone - affine, two - alone], [(affine, 4), (two, 4), (alone, 4)]


def b1_rows(eps="1/10", mu=1, sigma="3/2"):
    """f = (x_E1 + (x_C2 + x_C3)/2, 4 x_E2, 4 x_E3) errs less often than any r does, which beyond eps0 > 0 is r = 0."""
    mu, sigma, eps = numbers(mu, sigma, eps)
    eps0, two = (mu - sigma * mean_least()) / 2, below(-(mu - 2 * eps) / sigma).real
    first = below((2 * mu - 6 * eps) / (sigma * (number(3) / 2).sqrt())).real  # f_1 - f_2: 1, 4, 1/2, 1/2
    # in class 2: x_C3 < 8 x_E2 - 12 eps and x_E2 > 2 eps, as f_2 - f_3 has the entries 4, 4
    second = normal_mean(lambda z: below((8 * (mu + sigma * z) - 12 * eps - mu) / sigma), (2 * eps - mu) / sigma, 10)
    rows = 1 - (first + 2 * second) / 3
    return [eps0, eps - eps0, two - rows], [(two, 4)]


def g_share_rule(eps="1/4", mu=1, sigma="1/2"):
    """F_1 empty, F_2 = {a, b}, F_3 = {a, c}: M is -2 eps in class 1, and min(a, 0) + b - 2 eps in class 2, as in 3."""
    mu, sigma, eps = numbers(mu, sigma, eps)
    least = 2 * mu - (mu * below(mu / sigma) + sigma * density(mu / sigma)).real  # E min(a, 0) = mu - E max(a, 0)
    return [(2 * least - 6 * eps) / 3], [(least / 3, 4)]


# claim -> (its counterexample, a point where it is none)
CASES = {
    "T2-joint": (t2_joint, {"low": Fraction(3, 10), "high": Fraction(3, 5)}),
    "N2-unequal": (n2_unequal, {"s_e": "3/5"}),
    "U1-l1": (u1_l1, {"l1": "1/10"}),
    "U1-smoothing": (u1_smoothing, {"b": "0"}),
    "T3-target": (t3_target, {"eps": "1/4"}),
    "T1-CE": (t1_ce, {"eps": "1/3"}),
    "T1-temp-plain": (t1_temp_plain, {"tau": 1}),
    "T3-CE": (t3_ce, {"b": 0, "guess": ("1.35502820", "1.23371611")}),
    "N4-end": (n4_end, {"k": 2, "guess": ("0.396", "0.370"), "between": "19/20"}),
    "N4-K-end": (n4_k_end, {"k": 2, "guess": ("0.329", "0.310"), "between": "92/100"}),
    "N3-entries": (n3_entries, {"k": "4/5"}),
    "N4-entries": (n4_entries, {"points": ((1, "1/100000", ("1.90", "1.515"), "633/1000"),)}),
    "T3-CE-unequal": (t3_ce_unequal, {"b": "1/100"}),
    "D2-monotone": (d2_monotone, {"end": "1/100"}),
    "D2-overshoot": (d2_overshoot, {"end": 3, "corner": ("0.66", "0.54"), "cells": (1, 1)}),
    "D4-accuracy": (d4_accuracy, {"k": "3/10", "times": ("4/25", "44/25")}),
    "B1-linear": (b1_linear, {"eps": "1/2"}),
    "B1-rows": (b1_rows, {"eps": "1/5"}),
    "G-share-rule": (g_share_rule, {"eps": "2/5"}),
    "D4-smoothing": (d4_smoothing, {"k": 1, "b": "1/10", "pull": "7/25",
                                    "axes": (("2.549208", "2.549209"), ("0.9", "0.91"))}),
}
