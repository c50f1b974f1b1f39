"""Cross-entropy of n wrong classes in design A, enclosed: one feature at a time, and a sum over a line.

p_1 = e^X/S, S = e^X + sum_j e^{-Y_j}, X = w1 e, Y_j = w2 c_j, and 1/S^m = int e^{m s} exp(-S e^s) ds for m = 1, 2.
Each factor is E x^m exp(-x), m = 0, 1, 2, x = e^{s+X} or e^{s-Y}. For |Im| <= 6/5 it is at most (m/(e cos(6/5)))^m < 5,
and its integral over s is 1/cos^m(6/5); on the line it is at most E x and E 2/x.
"""

from flint import arb

from tests.support.enclosed import number, numbers, rule

__all__ = ["gradient", "minimiser"]

STEP, LAST, STRIP = "1/4", 112, "6/5"  # nodes from -28 to 28


def steps(s, centre, scale, along):
    """E x^m exp(-x), m = 0, 1, 2, x = exp(s + centre + scale Z), by a Rule that reaches to `scale`."""
    totals = [arb(0)] * 3
    for i, weight in enumerate(along.weights):
        for side in (1, -1) if i else (1,):
            x = (s + centre + side * i * along.step * scale).exp()
            value = weight * (-x).exp()
            totals = [totals[0] + value, totals[1] + x * value, totals[2] + x * x * value]
    return [total + arb(0, along.error.upper()) for total in totals]


def gradient(n, k, w, decay):
    """Balls that hold the slopes of the risk with its penalty, Stein's form (S1)."""
    k, w1, w2, decay, step, strip = numbers(k, *w, decay, STEP, STRIP)
    own, others = rule(w1, strip), rule(w2, strip)
    totals = [arb(0)] * 3
    for i in range(-LAST, LAST + 1):
        s = i * step
        none, one, two = steps(s, k * w1, w1, own)
        beaten, _, other = steps(s, -k * w2, w2, others)
        values = one * beaten**n, two * beaten**n, none * other * beaten**(n - 1)
        totals = [total + step * value for total, value in zip(totals, values, strict=True)]
    growth = sum(((w * w / 2 + sign * w * k).exp() for w in (w1, w2) for sign in (1, -1)), arb(0))
    error = 2 / strip.cos()**2 / ((2 * arb.pi() * strip / step).exp() - 1) + 2 * growth * (-LAST * step).exp()
    right, square, wrong = (total + arb(0, error.upper()) for total in totals)
    pull = k * (1 - right)
    return w1 * (decay + right - square) - pull, w2 * (decay + 1 - right - n * wrong) - pull


def minimiser(n, k, w, decay):
    """Balls that hold the weights of least risk: the curvature is at least the decay."""
    radius = sum(map(abs, gradient(n, k, w, decay)), arb(0)).upper() / number(decay).lower()
    return [x + arb(0, radius.upper()) for x in numbers(*w)]
