"""Certificates beyond section 9's: smoothing in cross-entropy, r_CE in k for every decay, the end of N4 to five digits.

python -m synthmodel.certificates.long runs them all, some seven minutes. Cells are found on the way.
"""

import time
from functools import partial
from itertools import pairwise

from flint import arb

from synthmodel.certificates.checker import precision
from synthmodel.certificates.proofs.ce_smoothing import ratio_rises, rising, smoothing
from synthmodel.certificates.proofs.n4_end import above_best, below_best, curve
from synthmodel.certificates.theorems import Row

__all__ = ["CERTIFICATES", "certify_more"]

WEIGHTS = ("w1", "w2")


def slabs(certificate, cuts):
    """The certificate on each slab in k between the cuts: (outcome, cells) of all together."""
    results = [certificate(low, high) for low, high in pairwise(cuts)]
    return (True if all(outcome for outcome, _ in results) else None), sum(cells for _, cells in results)


def strong(k_low, k_high):
    """r_CE rises in k for L >= 10."""
    return rising(k_low, k_high, 10)


def weak(k_low, k_high):
    """r_CE rises in k for L >= 0."""
    return rising(k_low, k_high, 0)


def n4_goes_on():
    """r_CE > r_acc on the curve r = r_acc from u = 1.94, k < 2.411, to u = 1.94321, k > 2.41405."""
    with precision():
        covers = curve(arb("1.94"))[0][0] < arb("2.411") and curve(arb("1.94321"))[0][0] > arb("2.41405")
    outcome, cells = above_best(1.94, 1.94321)
    return (outcome if covers else None), cells


def n4_ends():
    """r_CE < r_acc at k = 2.41406, L = 1.57789; the balls were found by Newton's method in floats."""
    return below_best(arb("1.943216799", "2e-9"), arb("0.516504", "1e-6"), arb("2.41406"), arb("1.57789")), 1


def smoothing_raises():
    """r rises in b at k = 4, w = (3.1536833, 3.15296006), the minimiser for L = 1e-9, b = 1e-7 to three digits."""
    return ratio_rises(arb(4), arb("3.1536833"), arb("3.15296006")), 1


FALL = "fall strictly in b on [0, 2/3) for every L >= 0"
CERTIFICATES = (  # claim, statement, region, certificate, whether it takes seconds only
    ("T3-CE", f"w1, w2 and r {FALL}", "0 < k <= 1.5",
     partial(slabs, smoothing, (0, 0.1, 0.5, 1, 1.25, 1.5)), False),
    ("T3-CE", f"w1 and w2 {FALL}", "1.5 <= k <= 3",
     partial(slabs, partial(smoothing, wanted=WEIGHTS), (1.5, 2, 2.5, 3)), False),
    ("T3-CE", "r rises in b", "k = 4, L near 1e-9, b near 1e-7", smoothing_raises, True),
    ("CE-monotone", "r_CE increases in k (decreases in eps) for every L >= 0", "0 < k <= 1.1",
     partial(slabs, weak, (0, 0.1, 0.3, 0.5, 0.7, 0.85, 1, 1.1)), False),
    ("CE-monotone", "r_CE increases in k (decreases in eps) for every L >= 10", "1.1 <= k <= 3.5",
     partial(slabs, strong, (1.1, 2, 3, 3.5)), False),
    ("N4", "r_CE > r_acc for every L >= 0", "2.411 <= k <= 2.41405", n4_goes_on, True),
    ("N4-end", "r_CE < r_acc", "k = 2.41406, L = 1.57789", n4_ends, True),
)


def certify_more(quick=False):
    """Run the certificates and yield a Row for each; quick: only those that take some seconds.

    >>> [(row.claim, row.outcome) for row in certify_more(quick=True)][0]
    ('T3-CE', 'holds')
    """
    for claim, statement, region, certificate, fast in CERTIFICATES:
        if quick and not fast:
            continue
        start = time.process_time()
        outcome, boxes = certificate()
        yield Row(claim, statement, region, boxes, time.process_time() - start, "holds" if outcome else "undecided")


if __name__ == "__main__":
    for row in certify_more():
        print(f"{row.outcome:9}  {row.boxes:6} boxes  {row.seconds:6.1f} s  {row.claim}: {row.statement}; {row.region}",
              flush=True)
