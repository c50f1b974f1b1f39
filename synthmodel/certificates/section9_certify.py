"""All certificates of theory.md, section 9, and of N4: python -m synthmodel.certificates.section9_certify."""

import time

from flint import arb

from synthmodel.certificates.section9_end import U, above_best, below_best
from synthmodel.certificates.section9_monotone import LEAST, K, monotone
from synthmodel.certificates.section9_side import LAST, k_of, sides
from synthmodel.certificates.section9_skewness import C1_HIGH, C1_LOW, bounds_skewness
from synthmodel.certificates.theorems import Row

__all__ = ["CERTIFICATES", "certify_section9"]


def reaching(k, u, result):
    """`result`, its outcome dropped unless u on the curve r = r_acc certainly belongs to k or more."""
    outcome, boxes = result
    return (outcome if k_of(arb(u)) >= arb(k) else None), boxes


def counterexample():
    """r_CE < r_acc at k = 2.5, L = 1.7; the two balls were found by Newton's method in floats."""
    return below_best(arb("2.0173351", "1e-6"), arb("0.498828", "1e-5"), arb("2.5"), arb("1.7")), 1


# (claim, statement, region, whether it takes less than a second, function)
CERTIFICATES = (
    ("C1", f"max imr''/(1+imr') is in ({C1_LOW.str(10, radius=False)}, {C1_HIGH.str(10, radius=False)}), so "
     "C1/sqrt(2) < 1/sqrt(pi)", "all real u", True, bounds_skewness),
    ("N4", "I(u, rho) > 0, so r_CE > r_acc for every lam >= 0", "rho > 0, 0 < u <= 1.64, which covers 0 < k <= 2.0695",
     True, lambda: reaching("2.0695", LAST, sides())),
    ("N4", "r_CE > r_acc for every lam >= 0, on the ray r = r_acc", "1.64 <= u <= 1.94, which covers 2.0696 <= k <= "
     "2.41", False, lambda: reaching("2.41", U[1], above_best())),
    ("N4-end", "r_CE < r_acc", "k = 2.5, lam/sigma^2 = 1.7", True, counterexample),
    ("CE-monotone", "r_CE increases in k (decreases in eps)", f"{K[0]} <= k <= {K[1]}, {LEAST} <= lam/sigma^2 <= 10",
     False, monotone),
)


def certify_section9(quick=False):
    """Run the certificates of section 9 and yield a Row for each; about 90 s in all, the last the longest.

    quick: only those that take less than a second each.

    >>> next(certify_section9()).outcome
    'holds'
    """
    for claim, statement, region, fast, certificate in CERTIFICATES:
        if fast or not quick:
            start = time.process_time()
            outcome, boxes = certificate()
            yield Row(claim, statement, region, boxes, time.process_time() - start,
                      "holds" if outcome else "undecided")


if __name__ == "__main__":
    for row in certify_section9():
        print(f"{row.outcome:9}  {row.boxes:6} boxes  {row.seconds:6.1f} s  {row.claim}: {row.statement}; {row.region}",
              flush=True)
