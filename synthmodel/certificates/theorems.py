"""What the lemmas prove together, and `certify`, which checks them all again."""

import time
from dataclasses import dataclass

from synthmodel.certificates.checker import DATA, examine, read_boxes
from synthmodel.certificates.proofs.joint_accuracy import LEMMAS

__all__ = ["THEOREMS", "Row", "Theorem", "certify"]


@dataclass(frozen=True)
class Theorem:
    """claim: its ID in THEORY.md.  region: in words.  needs: the lemmas.  because: how they imply the statement."""

    claim: str
    statement: str
    region: str
    needs: tuple
    because: str


@dataclass(frozen=True)
class Row:
    """A theorem with what the checker says of it now.

    boxes: how many were checked.  seconds: the time that took.
    outcome: "holds", or the first lemma that does not, with the checker's answer.
    """

    claim: str
    statement: str
    region: str
    boxes: int
    seconds: float
    outcome: str

    @property
    def holds(self):
        return self.outcome == "holds"


THEOREMS = (
    Theorem("T2-joint'", "F(r, k) falls strictly in r and is negative at r = 1", "r in [0, 1], k in [1/2, 8]",
            ("F_r", "F_end"), "F_r < 0 on the region, F < 0 on its edge r = 1"),
    Theorem("T2-joint'", "F(., k) has one root in (0, 1) if k > 1/sqrt(pi), and none if not", "k in [1/2, 8]",
            ("F_r", "F_end", "F_k", "threshold"),
            "F(0, 1/sqrt(pi)) = 0 exactly and F_k > 0, so F(0, k) has the sign of k - 1/sqrt(pi); F falls in r to "
            "F(1, k) < 0"),
    Theorem("T2-joint'", "r_acc rises strictly with k", "k in [1/sqrt(pi), 8]", ("F_r", "F_end", "F_k", "threshold"),
            "its slope is -F_k/F_r > 0"),
    Theorem("N2", "r_AT < r_acc", "k in (1/sqrt(pi), 8]", ("threshold", "N2_near", "N2_far", "N2_range", "F_r"),
            "F at r = r_AT, as a function of r_AT, is exactly 0 at 0, rises on [0, 1/4] and is positive on "
            "[1/4, 239/256], which includes r_AT(8); F(., k) falls to its root"),
    Theorem("N3", "b* rises strictly with k", "k in (1/sqrt(pi), 8]", ("F_r", "F_end", "F_k", "threshold", "N3"),
            "where F = 0, k F_k + (1-r) F_r > 0; db*/dk is that times sqrt(pi)/(-F_r)"),
    Theorem("N3", "P(1, k) - P(r_AT, k) is negative below one crossover k_x and positive above it",
            "k in [1/sqrt(pi), 8]", ("gain_slope", "gain_low", "gain_high", "N2_range"),
            "it is negative at r_AT = 0 and positive at r_AT = 239/256; where its slope is 0 it changes from rising to "
            "falling, so that happens once at most"),
)


def certify(folder=DATA):
    """Check every theorem again from the stored partitions (ball arithmetic; well under a second): one `Row` each.

    Raises ValueError where a partition cannot be read. Source: THEORY.md, T2-joint', N2 and N3.

    >>> {row.outcome for row in certify()}
    {'holds'}
    """
    rows = []
    for theorem in THEOREMS:
        start, boxes, outcome = time.perf_counter(), 0, "holds"
        for name in theorem.needs:
            partition = read_boxes(folder / f"{name}.json") if LEMMAS[name].region else [()]
            found, boxes = examine(LEMMAS[name], partition), boxes + len(partition)
            if found != "holds" and outcome == "holds":
                outcome = f"{name}: {found}"
        rows.append(Row(theorem.claim, theorem.statement, theorem.region, boxes, time.perf_counter() - start, outcome))
    return rows
