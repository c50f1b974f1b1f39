"""Decay on the entries of W, lam_c = 2 lam_e: N3 and N4 fail (N3-entries, N4-entries).

Units of the noise, L = lam_e, notation of n4_end. On the ray r = r_acc(k) the risk is lowest where

    k P (1 + r)/(tau sqrt(1 + r^2)) - A - Q r^2/(1 + r^2) = L (1 + q r^2)/(1 + r^2),   q = lam_c/lam_e,

and falls there towards smaller ratios iff x - w1 (Q + (q - 1) L)/(k P) < 0: by convexity the minimiser has one.
"""

from flint import arb

from synthmodel.certificates.checker import Lemma, precision
from synthmodel.certificates.gaussian_means import moments
from synthmodel.certificates.proofs.ce_monotone import BITS, sides
from synthmodel.certificates.proofs.joint_accuracy import f
from synthmodel.certificates.proofs.n4_end import curve, on_ray

__all__ = ["LEMMAS", "POINTS", "too_little"]

# k, L, and balls of u and tau on the ray, found by Newton's method in floats
POINTS = {
    ("1", "0.1"): (("0.566639888", "1e-7"), ("1.36323225", "1e-6")),
    ("1.2", "0.1"): (("0.795142808", "1e-7"), ("1.37968905", "1e-6")),
    ("2", "0.0001"): (("1.57738714", "1e-7"), ("4.91606673", "1e-5")),
}


def too_little(u: arb, tau: arb, k: arb, L: arb, q: int = 2) -> bool | None:
    """Certify r_CE < r_acc at (k, L), lam_c = q lam_e; u and tau are balls that may be guessed: True, or None.

    u holds its value on the curve r = r_acc at k, for k(u) increases; tau holds the lowest point of the ray.

    >>> too_little(arb("2.0173351", "1e-6"), arb("0.498828", "1e-5"), arb("2.5"), arb("1.7"), 1)  # N4-end
    True
    """
    with precision(BITS):
        ends = [curve(arb(side))[0][0] for side in (u.lower(), u.upper())]
        x = curve(arb(u.lower()))[1][0].union(curve(arb(u.upper()))[1][0])  # it decreases in u
        square = 1 / ((1 + x) * (1 + x))
        level = L * (1 + q * square) / (1 + square)
        low, high = (on_ray(u, arb(side))[1] for side in (tau.lower(), tau.upper()))
        w1, *at = sides(k, tau, x)
        across = on_ray(u, tau)[0] - (q - 1) * L * w1 / (k * (0 - moments(*at)[0](1, 0)))
        certain = ends[0] < k < ends[1] and low > level > high and across < 0
    return True if certain else None


def counterexample(k: str, L: str) -> arb:
    """1 if r_CE < r_acc at this entry of POINTS, else undecided."""
    u, tau = POINTS[k, L]
    return arb(1) if too_little(arb(*u), arb(*tau), arb(k), arb(L)) else arb.nan()


LEMMAS = {
    # F rises in k and falls in r (T2-joint'): so r_acc = 1/2 at one k, between these two
    "N3_entries_below": Lemma((), ((lambda: f(arb("0.5"), arb("0.852705697")), -1),)),
    "N3_entries_above": Lemma((), ((lambda: f(arb("0.5"), arb("0.852705698")), 1),)),
    **{f"N4_entries_{k}": Lemma((), ((lambda k=k, L=L: counterexample(k, L), 1),)) for k, L in POINTS},
}
