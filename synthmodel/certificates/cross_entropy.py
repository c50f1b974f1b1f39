"""All certificates of THEORY.md, section 9, and of N4: python -m synthmodel.certificates.cross_entropy.

Each is checked from its stored cells (section9_partition finds them): that they cover the region, exactly, and the
sign on each in ball arithmetic; the inner expectations are doubles with an a-priori bound (`section9_gaussian`).
"""

import time
from dataclasses import dataclass

from flint import arb

from synthmodel.certificates.checker import DATA, Lemma, examine, read_boxes
from synthmodel.certificates.columns import Laid, examine_laid
from synthmodel.certificates.proofs import n4_inequality, skewness
from synthmodel.certificates.proofs.ce_monotone import LEAST, MONOTONE, K
from synthmodel.certificates.proofs.n4_end import ABOVE, U, below_best
from synthmodel.certificates.proofs.n4_inequality import k_of
from synthmodel.certificates.proofs.skewness import C1_HIGH, C1_LOW
from synthmodel.certificates.theorems import Row

__all__ = ["CERTIFICATES", "LEMMAS", "Certificate", "certify_section9", "stored"]


@dataclass(frozen=True)
class Certificate:
    """claim: its ID in THEORY.md.  region: in words.  needs: the lemmas.  quick: takes less than a second."""

    claim: str
    statement: str
    region: str
    needs: tuple
    quick: bool = True


def counterexample():
    """1 if r_CE < r_acc at k = 2.5, L = 1.7, else undecided; the two balls were found by Newton's method in floats."""
    found = below_best(arb("2.0173351", "1e-6"), arb("0.498828", "1e-5"), arb("2.5"), arb("1.7"))
    return arb(1) if found else arb.nan()


LEMMAS = skewness.LEMMAS | n4_inequality.LEMMAS | {
    "section9_above": ABOVE,
    "above_range": Lemma((), ((lambda: k_of(arb(U[1])) - arb("2.41"), 1),)),
    "counterexample": Lemma((), ((counterexample, 1),)),
    "section9_monotone": MONOTONE,
}

CERTIFICATES = (
    Certificate("C1", f"max imr''/(1+imr') is in ({C1_LOW.str(10, radius=False)}, {C1_HIGH.str(10, radius=False)}), so "
                "C1/sqrt(2) < 1/sqrt(pi)", "all real u", tuple(skewness.LEMMAS)),
    Certificate("N4", "I(u, rho) > 0, so r_CE > r_acc for every lam >= 0",
                "rho > 0, 0 < u <= 1.64, which covers 0 < k <= 2.0695", tuple(n4_inequality.LEMMAS)),
    Certificate("N4", "r_CE > r_acc for every lam >= 0, on the ray r = r_acc",
                "1.64 <= u <= 1.94, which goes on from there to k = 2.41", ("section9_above", "above_range"),
                quick=False),
    Certificate("N4-end", "r_CE < r_acc", "k = 2.5, lam/sigma^2 = 1.7", ("counterexample",)),
    Certificate("CE-monotone", "r_CE increases in k (decreases in eps)",
                f"{float(K[0])} <= k <= {float(K[1])}, {float(LEAST)} <= lam/sigma^2 <= 10", ("section9_monotone",),
                quick=False),
)


def stored(name, folder=DATA):
    """The stored cells of a lemma, from NAME.json, or, where they are many, NAME_0.json, NAME_1.json and so on."""
    if isinstance(LEMMAS[name], Lemma) and not LEMMAS[name].region:
        return [()]
    parts = sorted(folder.glob(f"{name}_[0-9].json")) or [folder / f"{name}.json"]
    return [box for part in parts for box in read_boxes(part)]


def certify_section9(quick=False, folder=DATA):
    """Check the certificates of section 9 and yield a Row for each; about 30 s in all, the last the longest.

    quick: only those that take less than a second each. Raises ValueError where stored cells cannot be read.

    >>> next(certify_section9()).outcome
    'holds'
    """
    for certificate in CERTIFICATES:
        if quick and not certificate.quick:
            continue
        start, boxes, outcome = time.process_time(), 0, "holds"
        for name in certificate.needs:
            cells = stored(name, folder)
            found = (examine_laid if isinstance(LEMMAS[name], Laid) else examine)(LEMMAS[name], cells)
            boxes += len(cells)
            if found != "holds" and outcome == "holds":
                outcome = f"{name}: {found}"
        yield Row(certificate.claim, certificate.statement, certificate.region, boxes, time.process_time() - start,
                  outcome)


if __name__ == "__main__":
    for row in certify_section9():
        print(f"{row.outcome:9}  {row.boxes:6} boxes  {row.seconds:6.1f} s  {row.claim}: {row.statement}; {row.region}",
              flush=True)
