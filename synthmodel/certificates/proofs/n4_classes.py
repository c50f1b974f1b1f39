"""N4 ends for K > 3 classes, too: r_CE < r_acc just beyond, in design A, by balls throughout (THEORY.md, N4-K-end).

Units of the noise, n = K - 1, X = w1 e, Y_j = w2 c_j independent normals and S = e^X + sum_j e^{-Y_j}. Then p_1 = e^X/S
and p_j = e^{-Y_j}/S, and as 1/S^m = int e^{m s} exp(-S e^s) ds for m = 1, 2, with f_m(u) = e^{m u} exp(-e^u),

    E p_1^m = int E f_m(s + X) E[f_0(s - Y)]^n ds,  E p_j^2 = int E f_0(s + X) E f_2(s - Y) E[f_0(s - Y)]^{n-1} ds.

They give the slopes of the risk (S1). The risk is convex with a curvature of at least L, so its minimiser is within
|gradient|/L of any weights. Accuracy is unimodal in the ratio (T2-joint-K), so its slope says where r_acc lies.
Why the sums below err by no more than is added to them: THEORY.md#arithmetic.
"""

import math

from flint import acb, arb

from synthmodel.certificates.checker import Lemma, precision

__all__ = ["LEMMAS", "POINTS", "below_best", "chances", "slope_sign", "weights_near"]

BITS = 80
TILT = arb("1.25")  # |Im u| <= 1.25 < pi/2: there |f_0| <= 1 and |f_m| <= (m/(e cos 1.25))^m
MOST = [arb(1)] + [(m / (arb(1).exp() * TILT.cos())) ** m for m in (1, 2)]
FINE = 34  # the sums err by about exp(-34) where the steps decide
REACH, LINE = 9.5, 36  # of the nodes of the normal law, and on the line

# K, k, L, and guesses of w1 and w2. The first is a round one; the others lie beyond each end by less than .00001.
POINTS = {
    ("4", "3", "3.2"): ("0.301886558070", "0.294944915219"),
    ("4", "2.51053", "1.88073"): ("0.388258666909", "0.375311131725"),
    ("5", "2.58404", "2.08959"): ("0.403359465482", "0.386457716331"),
    ("6", "2.6433", "2.2449"): ("0.415813766851", "0.395740347267"),
    ("7", "2.69287", "2.36628"): ("0.426414888700", "0.403696853747"),
    ("8", "2.73542", "2.46457"): ("0.435643906513", "0.410659908934"),
    ("9", "2.77265", "2.54629"): ("0.443816744387", "0.416851581534"),
    ("10", "2.80573", "2.61565"): ("0.451149944546", "0.422425892815"),
}


def normal_means(w: arb, centre: arb, powers: list[arb]) -> list[list[arb]]:
    """E f_m(s + centre + w Z), m = 0, 1, 2, for each e^s of `powers`, Z standard normal, by the trapezoidal rule."""
    strip = min(0.999 * float((TILT / w).lower()), 4.0)  # a little less, whatever rounding does
    step = arb(round(2**20 * 2 * math.pi * strip / (FINE + strip * strip / 2)) / 2**20)
    last = math.ceil(REACH / float(step))
    error = (2 * arb(strip * strip / 2).exp() / ((2 * arb.pi() * strip / step).exp() - 1)
             + (last * step / arb(2).sqrt()).erfc())
    nodes = [((centre + w * i * step).exp(), step * (-(i * step) ** 2 / 2).exp() / (2 * arb.pi()).sqrt())
             for i in range(-last, last + 1)]
    rows = []
    for power in powers:
        totals = [arb(0)] * 3
        for grown, weight in nodes:
            x = power * grown
            value = weight * (-x).exp()
            totals = [totals[0] + value, totals[1] + x * value, totals[2] + x * x * value]
        rows.append([total + arb(0, (most * error).upper()) for total, most in zip(totals, MOST, strict=True)])
    return rows


def chances(n: int, k: arb, w1: arb, w2: arb) -> tuple[arb, arb, arb]:
    """Enclose (E p_1, E p_1^2, E p_j^2) for n wrong classes, w1, w2 > 0.

    >>> with precision(BITS):
    ...     print(*(ball.str(9, radius=False) for ball in chances(3, arb(1), arb("0.5"), arb("0.25"))))
    0.414052307 0.185660641 0.0413571722
    """
    step = arb(round(2**20 * 2 * math.pi * float(TILT) / FINE) / 2**20)
    last = math.ceil(LINE / float(step))
    powers = [(i * step).exp() for i in range(-last, last + 1)]
    own, other = normal_means(w1, k * w1, powers), normal_means(w2, -k * w2, powers)
    totals = [arb(0)] * 3
    for a, b in zip(own, other, strict=True):
        power = b[0] ** (n - 1)
        totals = [totals[0] + a[1] * power * b[0], totals[1] + a[2] * power * b[0], totals[2] + a[0] * b[2] * power]
    # f_1(u) and f_2(u) are at most e^u and at most 1.35 e^{-u}
    far = [(w * k + w * w / 2).exp() + arb("1.35") * (w * w / 2 - w * k).exp() for w in (w1, w1, -w2)]
    aliased = 2 / ((2 * arb.pi() * TILT / step).exp() - 1)
    errors = [tail * (-last * step).exp() + aliased / TILT.cos() ** m for tail, m in zip(far, (1, 2, 2), strict=True)]
    first, square, wrong = (step * total + arb(0, error.upper()) for total, error in zip(totals, errors, strict=True))
    return first, square, wrong


def weights_near(n: int, k: arb, L: arb, w1: arb, w2: arb) -> tuple[arb, arb]:
    """Enclose the minimiser (w1, w2) of cross-entropy at (k, L) from guesses: within |gradient|/L of them."""
    first, square, wrong = chances(n, k, w1, w2)
    force = k * (1 - first)
    slopes = w1 * (L + first - square) - force, w2 * (L + 1 - first - n * wrong) - force
    radius = (sum(map(abs, slopes), arb(0)) / L).upper()
    return w1 + arb(0, radius), w2 + arb(0, radius)


def slope_sign(r: arb, k: arb, n: int) -> arb:
    """Enclose int t phi(t - m) Phi(k - c t)^{n-1} dt, m = k (c - q), which has the sign of dP/dr (G-joint-K).

    Beyond |t - m| = 11 its integrand adds less than 1e-24 (1 + |m|).
    """
    c = 1 / (1 + r * r).sqrt()
    m = k * c * (1 - r)
    root = arb(2).sqrt()

    def integrand(z: acb, _: bool) -> acb:
        return (m + z) * (-z * z / 2).exp() * ((c * (m + z) - k) / root).erfc() ** (n - 1)
    value = acb.integral(integrand, -11, 11).real / ((2 * arb.pi()).sqrt() * 2 ** (n - 1))
    return value + arb(0, (arb("1e-24") * (1 + abs(m))).upper())


def below_best(classes: int, k: arb, L: arb, w1: arb, w2: arb) -> bool | None:
    """Certify r_CE < r_acc at (k, L) for K classes in design A from guesses of the weights: True, or None if undecided.

    >>> below_best(3, arb("2.5"), arb("1.7"), arb("0.35616228"), arb("0.34925279"))  # N4-end
    True
    """
    with precision(BITS):
        found = weights_near(classes - 1, k, L, w1, w2)
        if not (found[0] > 0 and found[1] > 0):
            return None
        largest = arb((found[1] / found[0]).upper())
        return True if slope_sign(largest, k, classes - 1) > 0 else None


def counterexample(point: tuple[str, str, str]) -> arb:
    """Return 1 if r_CE < r_acc at this entry of POINTS, else NaN."""
    classes, k, L = point
    found = below_best(int(classes), arb(k), arb(L), *map(arb, POINTS[point]))
    return arb(1) if found else arb.nan()


LEMMAS = {f"N4_K_{'_'.join(point[:2])}": Lemma((), ((lambda point=point: counterexample(point), 1),))
          for point in POINTS}
