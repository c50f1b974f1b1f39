"""Certain bounds by ball arithmetic: normal means, forces on the weights, minimisers, flows. For `counterexamples`.

- Means over normal laws: flint's integrals in one dimension, and in two the trapezoidal rule, which for a function
  analytic and bounded in a strip has the error bound of Trefethen and Weideman, SIAM Review 56 (2014), theorem 5.1;
- minimisers: the risk is convex with curvature L = lam/sigma^2 at least, so that one lies within |gradient|/L of any w;
- flows: the force is minus the gradient of a convex risk, so that two paths never move apart. A curve v(t) is then
  within the integral of |v' - force(v)| of the true path.

Noise has deviation 1: e, c_2, c_3 ~ N(k, 1), k = d/sigma, and p_1 is the softmax's chance of the true class.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

from flint import acb, arb, arb_series, ctx, fmpq

__all__ = ["CrossEntropy", "RareOutliers", "accuracy", "accuracy_slope", "at_end", "below", "certain", "chances",
           "density", "enclosed", "follow", "growing", "mean_least", "minimiser", "number", "numbers", "precise",
           "spreads"]

ORDER = 4  # of Taylor polynomials in time
ALLOWED = 1e-11  # aimed at by `rule`; whatever is reached is added to the balls
BOUND = 5  # of every function under `rule` in its strip


@contextmanager
def precise():
    """flint at 80 bits, with series up to ORDER; what was set before comes back."""
    before = ctx.prec, ctx.cap
    try:
        ctx.prec, ctx.cap = 80, ORDER + 1
        yield
    finally:
        ctx.prec, ctx.cap = before


def number(x):
    """A rational as a ball; balls and series pass."""
    return arb(fmpq(Fraction(x).numerator, Fraction(x).denominator)) if isinstance(x, int | str | Fraction) else x


def numbers(*values):
    return [number(x) for x in values]


def certain(margins):
    """Whether all are certainly positive; what ball arithmetic cannot decide is not."""
    return all(bool(margin > 0) for margin in margins)


# One feature at a time: integrals that flint encloses

def density(x):
    return (-x * x / 2).exp() / (2 * acb.pi()).sqrt()


def below(x):
    """The standard normal distribution function."""
    return (1 + (x / acb(2).sqrt()).erf()) / 2


def normal_mean(function, low=-10, high=10):
    """E[f(Z); low < Z < high] for |f| <= 1 on the line; beyond 10 the normal law weighs less than 1e-22."""
    return acb.integral(lambda x, _: function(x) * density(x), low, high).real + arb(0, 1e-22)


def mean_least():
    """-E min(Z, Z') = -E[2 Z Pr(Z' > Z)]."""
    return -2 * acb.integral(lambda x, _: x * below(-x) * density(x), -10, 10).real + arb(0, 1e-19)


def accuracy(low, high, d=1, s_e=1, s_c=1):
    """sup of P(r), low <= r <= high, or a bound: P(r) = Pr(c_2, c_3 > -e/r). Exact for low = high; high = None: inf.

    For e > 0 the event grows as r falls, for e < 0 as r rises: each sign of e is given the end that suits it.
    """
    d, s_e, s_c = numbers(d, s_e, s_c)
    at, total = -(d / s_e), arb(0)
    for r, ends in ((high, (-10, at)), (low, (at, 10))):
        slope = 0 if r is None else 1 / number(r)
        total += normal_mean(lambda z, slope=slope: below((d + slope * (d + s_e * z)) / s_c) ** 2, *ends)
    return total


def accuracy_slope(r, k, n=2):
    """dP/dr = -E[n Phi(x)^{n-1} phi(x) (k + Z)/r^2], x = k + (k + Z)/r; the integrand is below 100 (1 + |Z|)."""
    r, k = numbers(r, k)

    def integrand(z):
        x = k + (k + z) / r
        return -n * below(x)**(n - 1) * density(x) * (k + z) / (r * r) * density(z)
    return acb.integral(lambda z, _: integrand(z), -10, 10).real + arb(0, 1e-19)


# Both features: the trapezoidal rule with its error

@dataclass(frozen=True)
class Rule:
    """Sum of weights[i] f(i step), i = 0, 1, ..., for E f(Z), f even or summed over both signs; reach: see `rule`."""

    step: arb
    weights: list
    error: arb
    reach: arb


def rule(reach, angle):
    """The Rule for E f(Z), |f| <= BOUND for |Im z| < a = angle/reach: step h, |error| <= 2 M/(exp(2 pi a/h) - 1)."""
    reach = arb(float(reach) + 1e-6)
    a = min(angle / reach, arb(4))
    room = a * a / 2 + arb(2 / ALLOWED).log()
    step = arb(float(2 * math.pi * a / room))
    last = math.ceil(math.sqrt(2 * math.log(1 / ALLOWED)) / float(step))
    weights = [step * (-(i * step) ** 2 / 2).exp() / (2 * arb.pi()).sqrt() for i in range(last + 1)]
    error = 2 * (a * a / 2).exp() / ((2 * arb.pi() * a / step).exp() - 1) + (last * step / arb(2).sqrt()).erfc()
    return Rule(step, weights, BOUND * error, reach)


def constant(x):
    return x[0] if isinstance(x, arb_series) else x


def chances(function, offset, spread, tilt, rules, classes=3):
    """E f(p_1, p_2, p_3): p_j = p_1 E_j, E_j = ((K-1)/2) exp(-offset - spread X +- tilt Y), p_1 = 1/(1 + E_2 + E_3).

    X, Y standard normal. offset, spread >= 0, tilt >= 0: balls, or series in time. f: symmetric in p_2, p_3; a tuple.
    Of a series, the coefficients are those of the sum that the rules make, and the first ball holds their error.
    """
    along, across = rules
    if not (constant(spread) <= along.reach and constant(tilt) <= across.reach):
        raise ValueError("the rule does not reach so far: make it with a larger reach")
    up, side = (-along.step * spread).exp(), (across.step * tilt).exp()
    down, back = 1 / up, 1 / side
    sides = [(1 + 0 * side, 1 + 0 * side)]
    for _ in across.weights[1:]:
        sides.append((sides[-1][0] * side, sides[-1][1] * back))
    total = None
    for move, start in ((up, 0), (down, 1)):
        here = (-offset).exp() * (classes - 1) / 2 * (move if start else 1)
        for x_weight in along.weights[start:]:
            for i, (more, less) in enumerate(sides):
                e2, e3 = here * more, here * less
                true = 1 / (1 + e2 + e3)
                weight = x_weight * across.weights[i] * (2 if i else 1)
                values = [weight * value for value in function(true, e2 * true, e3 * true)]
                total = values if total is None else [a + b for a, b in zip(total, values, strict=True)]
            here *= move
    error = arb(0, (2 * (along.error + across.error)).upper())
    return [value + error for value in total]


def spreads(p1, p2, p3):
    """1 - p_1, A = p_1 (1 - p_1), B = sum_{j != 1} p_j (1 - p_j)."""
    return 1 - p1, p1 - p1 * p1, p2 + p3 - p2 * p2 - p3 * p3


@dataclass(frozen=True)
class CrossEntropy:
    """-gradient of E[loss of x + delta*], smoothing b: (k (E[1-p_1] - b) - w1 E A, the same - w2 E B), Stein's form.

    a = w1 e + w2 (c_2 + c_3)/2 ~ N(k (w1 + w2), w1^2 + w2^2/2), D = w2 (c_3 - c_2)/2 ~ N(0, w2^2/2), independent. In
    the strips |Im a| < pi/2 (real D) and |Im D| < pi/4 (real a), Re E_j >= 0, |p_1| <= 1, |p_j| <= sqrt 2.
    """

    k: Fraction
    b: Fraction = Fraction(0)
    # sigma_C/sigma_E: then k = d/sigma_E, and w is in units of 1/sigma_E
    noise: Fraction = field(default=Fraction(1), kw_only=True)

    def shape(self, w):
        w1, w2 = w[0], number(self.noise) * w[1]
        square = w1 * w1 + w2 * w2 / 2
        at_zero = isinstance(square, arb) and not square > 0
        spread = arb(0).union(square.upper().sqrt()) if at_zero else (square.log() / 2).exp()  # tighter than sqrt
        return number(self.k) * (w[0] + w[1]), spread, w2 / arb(2).sqrt()

    def rules(self, w):
        """For all weights up to w."""
        _, spread, tilt = self.shape(w)
        return rule(spread.upper(), arb.pi() / 2), rule(tilt.upper(), arb.pi() / 4)

    def force(self, w, rules):
        wrong, own, others = chances(spreads, *self.shape(w), rules)
        pull = number(self.k) * (wrong - number(self.b))
        return pull - w[0] * own, pull - w[1] * number(self.noise) ** 2 * others


@dataclass(frozen=True)
class RareOutliers(CrossEntropy):
    """D4 in its limit: c = k without noise, w2' less by k `pull`; K classes."""

    pull: Fraction = Fraction(0)
    classes: int = 3

    def shape(self, w):
        return number(self.k) * (w[0] + w[1]), w[0], arb(0)

    def force(self, w, rules):
        wrong, own, _ = chances(spreads, *self.shape(w), (rules[0], Rule(arb(0), [arb(1)], arb(0), arb(0))),
                                self.classes)
        excess = number(self.k) * (wrong - number(self.b))
        return excess - w[0] * own, excess - number(self.k) * number(self.pull)


def force(model, w, rules):
    return model.force(w, rules)


def enclosed(model, w, quantity=force):
    """Balls that hold the force, or another `quantity`, at the weights w: rationals, or a box (mean value form)."""
    cap, ctx.cap = ctx.cap, 2
    box = numbers(*w)
    centred = certain(box)  # at w1 = w2 = 0 there is no derivative of `spread`
    middle, rules = [x.mid() for x in box] if centred else box, model.rules([x.upper() for x in box])
    values = quantity(model, middle, rules)
    for i, x in enumerate(box if centred else ()):
        slopes = quantity(model, [arb_series([y, int(i == j)]) for j, y in enumerate(box)], rules)
        values = [value + slope[1] * (x - middle[i]) for value, slope in zip(values, slopes, strict=True)]
    ctx.cap = cap
    return values


def minimiser(model, w, decay, other=None):
    """Balls that hold the weights of least risk + (decay w1^2 + other w2^2)/2, if w is a good guess; other >= decay."""
    w, decay = numbers(*w), number(decay)
    decays = decay, decay if other is None else number(other)
    radius = sum(abs(force - lam * x) for lam, x, force in
                 zip(decays, w, enclosed(model, w), strict=True)).upper() / decay.lower()
    return [x + arb(0, radius.upper()) for x in w]


# Flows

def taylor(model, w, h, rules):
    """Polynomials in time/h that nearly solve w' = force(w) from the numbers w; their defects' coefficients at w."""
    curve = [[x] for x in w]
    for j in range(ORDER):
        ctx.cap = j + 1
        found = model.force([arb_series(c) for c in curve], rules)
        for c, force in zip(curve, found, strict=True):
            c.append(h * force[j].mid() / (j + 1))
    defects = [[(j + 1) * c[j + 1] - h * force[j] for j in range(ORDER)] for c, force in zip(curve, found, strict=True)]
    ctx.cap = ORDER + 1
    return curve, defects


def value_at(coefficients, time):
    """The polynomial at a number, a ball or a series, by Horner's rule."""
    value = coefficients[-1]
    for x in coefficients[-2::-1]:
        value = value * time + x
    return value


def follow(model, lengths):
    """Yield (box at the end, box of the whole step) for each of the steps in time of the flow from w = 0.

    The first step, which must be short, is a straight line. Then v is a polynomial, the coefficients of v' - force(v)
    below ORDER are enclosed at the start of the step and that of ORDER over all of it (Taylor with remainder).
    """
    lengths = [number(h) for h in lengths]
    speed = enclosed(model, (0, 0))
    w = [(lengths[0] * force).mid() for force in speed]
    tube = [arb(0).union(x) for x in w]
    error = sum(abs(x - lengths[0] * force) for x, force in zip(w, enclosed(model, tube), strict=True)).upper()
    yield [x + arb(0, error) for x in w], [x + arb(0, error) for x in tube]
    for h in lengths[1:]:
        top = [(x + h * abs(force) * 3 / 2 + error).upper() for x, force in zip(w, speed, strict=True)]
        rules = model.rules(top)
        curve, defects = taylor(model, w, h, rules)
        tube = [value_at(c, arb_series([arb(0).union(1), 1])) for c in curve]
        for row, force in zip(defects, model.force(tube, rules), strict=True):
            error += sum(abs(d) / (j + 1) for j, d in enumerate([*row, h * force[ORDER]]))
        w = [sum(c) for c in curve]
        error = (error + sum(x.rad() for x in w)).upper()
        w, speed = [x.mid() for x in w], [sum(j * x for j, x in enumerate(c)) / h for c in curve]
        yield [x + arb(0, error) for x in w], [x[0] + arb(0, error) for x in tube]


def growing(first, longest, end, part=10):
    """Lengths of steps that add up to `end`: first, then a part-th of the time before, up to `longest`."""
    lengths = [Fraction(first)]
    while (done := sum(lengths)) < end:
        lengths.append(min(done / part, Fraction(longest), end - done))
    return lengths


def at_end(model, lengths):
    *_, (box, _) = follow(model, lengths)
    return box
