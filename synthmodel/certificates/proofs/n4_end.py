"""N4 beyond its inequality: r_CE > r_acc up to k = 2.41 for every L >= 0, and a counterexample at k = 2.5.

On the ray r = r_acc(k), tau = |w|, the risk is lowest for L where L = ray, with

    ray(tau) = k P (1 + r)/(tau sqrt(1 + r^2)) - A - Q r^2/(1 + r^2),

and g = x - w1 Q/(k P) there decides the side of the minimiser (notation of proofs.ce_monotone). g > 0 wherever ray >= 0
proves r_CE > r_acc for all L >= 0; why, and why cells from tau < 2 k x up to one with ray < 0 suffice: THEORY.md, N4.
The curve k, r = r_acc is followed by u (T2-joint').
"""

from fractions import Fraction

from flint import arb, arb_series

from synthmodel.certificates.checker import Box, Lemma, Series, ball, precision
from synthmodel.certificates.columns import Laid, examine_laid
from synthmodel.certificates.gaussian_means import Means, moments
from synthmodel.certificates.laying import below, lay
from synthmodel.certificates.proofs.ce_monotone import BITS, along, lift, residual, sides
from synthmodel.certificates.proofs.n4_inequality import best_ratio, inverse_mills, k_of
from synthmodel.model.setting import checked

__all__ = ["ABOVE", "LEMMAS", "U", "above_best", "above_cells", "below_best", "counterexample", "curve", "n4_ends"]

U = (1.64, 1.94)  # k from 2.0695 to 2.4103


def curve(u: arb) -> tuple[arb_series, arb_series]:
    """Return (k, x) on the curve r = r_acc as balls with slopes in u, ((k, k'), (x, x')), for a ball u > 0.

    r is the root in (0, 1) of the cubic of T2-joint' and increases in u; x = 1/r - 1.
    """
    mills = inverse_mills(u)
    level, slope = mills / u, 0 - mills * (u + mills) / u - mills / (u * u)
    ratio = best_ratio(u.lower())[0].union(best_ratio(u.upper())[1])
    r: Series = arb_series(
        [ratio, 0 - (ratio * ratio + ratio) * slope / ((3 * ratio + 2 * (level - 1)) * ratio + level + 2)])
    k = arb_series([u, 1]) * ((1 + r * r) * (2 + r * r)).sqrt() / (r * (1 + r))
    return k, 1 / r - 1


def ray(k: Series, tau: Series, x: Series, M: Means, Q: Means) -> Series:
    """Compute ray(tau) as a series along a line in (k, tau, x)."""
    _, *rest = sides(k, tau, x)
    M, Q, r = lift(M, *rest), lift(Q, *rest), 1 / (1 + x)
    one = 1 + r * r
    return (0 - k * M(1, 0)) * (1 + r) / (tau * one.sqrt()) - M(2, 0) - Q(0, 0) * r * r / one


def on_ray(u: arb, tau: arb) -> list[arb]:
    """Enclose (g, ray) on the box u x tau, by mean value forms."""
    middle, along_tau = (arb(u.mid()), arb(tau.mid())), (0, 1, 0)
    (k, x), (k_box, x_box) = curve(middle[0]), curve(u)
    d_u, d_tau = u - middle[0], tau - middle[1]
    point, box = (k[0], middle[1], x[0]), (k[0] + k_box[1] * d_u, tau, x[0] + x_box[1] * d_u)
    tables, wide = moments(*sides(*point)[1:]), moments(*sides(*box)[1:])
    found = []
    for function in (residual, ray):
        (at_point,) = along(function, point, (along_tau,), *tables)
        by_u, by_tau = along(function, box, ((k_box[1], 0, x_box[1]), along_tau), *wide)
        found.append(at_point[0] + by_u[1] * d_u + by_tau[1] * d_tau)
    return found


def begins(low: Fraction, high: Fraction, tau: Fraction) -> bool:
    """Return whether certainly tau < 2 k x for low <= u <= high: k increases in u and x decreases."""
    return bool(ball(tau, tau) < 2 * curve(ball(low, low))[0][0] * curve(ball(high, high))[1][0])


def values(u: arb, tau: arb) -> tuple[arb, arb]:
    """Return (on, end) = (g, -ray)."""
    g, multiplier = on_ray(u, tau)
    return g, 0 - multiplier


ABOVE = Laid((Fraction(str(U[0])), Fraction(str(U[1]))), 2, begins, values)


def above_cells(laid: Laid = ABOVE) -> list[Box]:
    """Find the cells of the certificate of N4 on the ray."""
    low, high = laid.side
    with precision():
        start = 2 * curve(ball(low, low))[0][0] * curve(ball(high, high))[1][0]
        return lay(laid, low, high, below(start))


def above_best(u_low: float = U[0], u_high: float = U[1], wanted: int = 1) -> tuple[bool | None, int]:
    """Certify r_CE > r_acc for all L >= 0 and k(u_low) <= k <= k(u_high): (outcome, cells); True, or None if undecided.

    For any range, with cells found on the way. The numbers are taken as the decimals they are written as. wanted = -1
    asks for r_CE < r_acc, which is never certified. Raises ValueError unless 0 < u_low < u_high.

    >>> above_best(1.64, 1.65)[0], above_best(1.64, 1.65, wanted=-1)[0]
    (True, None)
    """
    u_low = checked("u_low", u_low, above=0)
    u_high = checked("u_high", u_high, above=u_low)

    def judged(u: arb, tau: arb) -> tuple[arb, arb]:
        on, end = values(u, tau)
        return wanted * on, end

    laid = Laid((Fraction(str(u_low)), Fraction(str(u_high))), 2, begins, judged)
    try:
        cells = above_cells(laid)
    except ValueError:
        return None, 0
    return (True if examine_laid(laid, cells) == "holds" else None), len(cells)


def below_best(u: arb, tau: arb, k: arb, L: arb) -> bool | None:
    """Certify r_CE < r_acc at (k, L), where u and tau are balls that may be guessed: True, or None if undecided.

    u holds its value on the curve r = r_acc at k, for k(u) increases; tau holds the lowest point of the ray, for
    ray(tau) > L left of it and < L right of it.

    >>> below_best(arb("2.0173351", "1e-6"), arb("0.498828", "1e-5"), arb("2.5"), arb("1.7"))
    True
    """
    with precision(BITS):
        ends = [curve(arb(side))[0][0] for side in (u.lower(), u.upper())]
        low, high = (on_ray(u, arb(side))[1] for side in (tau.lower(), tau.upper()))
        certain = ends[0] < k < ends[1] and low > L > high and on_ray(u, tau)[0] < 0
    return True if certain else None


def counterexample() -> arb:
    """Return 1 if r_CE < r_acc at k = 2.5, L = 1.7, else NaN; Newton's method in floats found the two balls."""
    found = below_best(arb("2.0173351", "1e-6"), arb("0.498828", "1e-5"), arb("2.5"), arb("1.7"))
    return arb(1) if found else arb.nan()


def n4_goes_on() -> tuple[bool | None, int]:
    """Certify r_CE > r_acc on the curve r = r_acc from u = 1.94 (k < 2.411) to u = 1.94321 (k > 2.41405)."""
    with precision():
        covers = curve(arb("1.94"))[0][0] < arb("2.411") and curve(arb("1.94321"))[0][0] > arb("2.41405")
    outcome, cells = above_best(1.94, 1.94321)
    return (outcome if covers else None), cells


def n4_ends() -> tuple[bool | None, int]:
    """Certify r_CE < r_acc at k = 2.41406, L = 1.57789; Newton's method in floats found the balls."""
    return below_best(arb("1.943216799", "2e-9"), arb("0.516504", "1e-6"), arb("2.41406"), arb("1.57789")), 1


LEMMAS = {
    "N4_on_ray": ABOVE,
    "N4_on_ray_range": Lemma((), ((lambda: k_of(arb(U[1])) - arb("2.41"), 1),)),
    "N4_on_ray_further": n4_goes_on,
    "N4_end": Lemma((), ((counterexample, 1),)),
    "N4_end_sharp": n4_ends,
}
