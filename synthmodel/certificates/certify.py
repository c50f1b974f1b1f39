"""What is certified, by which lemmas, and `certify`, which checks it all again.

A lemma is one of three things: a `Lemma`, whose boxes tile its region; a `Laid`, whose cells are laid one upon another;
or a function that finds its cells on the way and returns (True or None where undecided, their number).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from synthmodel.certificates.checker import DATA, Box, Lemma, examine, grid, read_boxes
from synthmodel.certificates.columns import Laid, examine_laid
from synthmodel.certificates.proofs import (
    ce_monotone,
    ce_smoothing,
    entries,
    exact_attack,
    joint_accuracy,
    n4_classes,
    n4_end,
    n4_inequality,
    skewness,
    unequal_noise,
)

__all__ = ["CERTIFICATES", "LEMMAS", "Certificate", "Row", "certify", "check", "stored"]

LEMMAS: dict[str, Lemma | Laid | Callable[[], tuple[bool | None, int]]] = {
    name: lemma for proofs in (joint_accuracy, exact_attack, skewness, n4_inequality, n4_end, n4_classes, ce_monotone,
                               ce_smoothing, unequal_noise, entries)
    for name, lemma in proofs.LEMMAS.items()}


@dataclass(frozen=True)
class Certificate:
    """A statement that lemmas prove.

    claim: its ID in THEORY.md.  region: in words.  needs: names in LEMMAS.
    because: how the lemmas imply the statement, where one needs more than to read them.
    group: "short" (well under a second in all), "long" (half a minute in all), or "search" (the cells are not stored
    but found on the way, seven minutes in all).  quick: it takes some seconds at most by itself.
    """

    claim: str
    statement: str
    region: str
    needs: tuple[str, ...]
    because: str = ""
    group: str = "short"
    quick: bool = True


@dataclass(frozen=True)
class Row:
    """A certificate with what the checker says of it now.

    boxes: how many were checked.  seconds: the processor time that took.
    outcome: "holds", or the first lemma that does not, with the checker's answer.
    """

    claim: str
    statement: str
    region: str
    boxes: int
    seconds: float
    outcome: str

    @property
    def holds(self) -> bool:
        return self.outcome == "holds"


ROUND, *BEYOND = n4_classes.POINTS
FALL = "fall strictly in b on [0, 2/3) for every L >= 0"
RISES = "r_CE increases in k (decreases in eps)"

CERTIFICATES = (
    Certificate("T2-joint'", "F(r, k) falls strictly in r and is negative at r = 1", "r in [0, 1], k in [1/2, 8]",
                ("F_r", "F_end"), "F_r < 0 on the region, F < 0 on its edge r = 1"),
    Certificate("T2-joint'", "F(., k) has one root in (0, 1) if k > 1/sqrt(pi), and none if not", "k in [1/2, 8]",
                ("F_r", "F_end", "F_k", "threshold"),
                "F(0, 1/sqrt(pi)) = 0 exactly and F_k > 0, so F(0, k) has the sign of k - 1/sqrt(pi); F falls in r to "
                "F(1, k) < 0"),
    Certificate("T2-joint'", "r_acc rises strictly with k", "k in [1/sqrt(pi), 8]",
                ("F_r", "F_end", "F_k", "threshold"), "its slope is -F_k/F_r > 0"),
    Certificate("N2", "r_AT < r_acc", "k in (1/sqrt(pi), 8]", ("threshold", "N2_near", "N2_far", "N2_range", "F_r"),
                "F at r = r_AT, as a function of r_AT, is exactly 0 at 0, rises on [0, 1/4] and is positive on "
                "[1/4, 239/256], which includes r_AT(8); F(., k) falls to its root"),
    Certificate("N3", "b* rises strictly with k", "k in (1/sqrt(pi), 8]", ("F_r", "F_end", "F_k", "threshold", "N3"),
                "where F = 0, k F_k + (1-r) F_r > 0; db*/dk is that times sqrt(pi)/(-F_r)"),
    Certificate("N3", "P(1, k) - P(r_AT, k) is negative below one crossover k_x and positive above it",
                "k in [1/sqrt(pi), 8]", ("gain_slope", "gain_low", "gain_high", "N2_range"),
                "it is negative at r_AT = 0 and positive at r_AT = 239/256; where its slope is 0 it changes from "
                "rising to falling, so that happens once at most"),
    *(Certificate("T1-CE-exact", f"at equal margins the vertex {vertex} never wins",
                  "0 < b < 2/3, 0 < t <= t_max(b), all m",
                  tuple(f"{lead}_{part}" for part in ("v", "far", "near", "corner")),
                  f"`{lead}` falls strictly in v; on the edge v = 1 it is positive for omega in [0, 1/2] and falls "
                  "strictly on [1/2, 1] to exactly 0 at the corner, which is b = 2/3; (0, 0) needs no certificate, as "
                  "the loss is convex")
      for lead, vertex in (("up", "(1, 0)"), ("down", "(0, -1)"))),

    Certificate("C1", f"max imr''/(1+imr') is in ({skewness.C1_LOW.str(10, radius=False)}, "
                f"{skewness.C1_HIGH.str(10, radius=False)}), so C1/sqrt(2) < 1/sqrt(pi)", "all real u",
                ("C1_middle", "C1_left", "C1_right", "C1_low", "C1_threshold"), group="long"),
    Certificate("N4", "I(u, rho) > 0, so r_CE > r_acc for every lam >= 0",
                "rho > 0, 0 < u <= 1.64, which covers 0 < k <= 2.0695",
                ("N4_inequality", "N4_inequality_far", "N4_inequality_near", "N4_inequality_range"), group="long"),
    Certificate("N4", "r_CE > r_acc for every lam >= 0, on the ray r = r_acc",
                "1.64 <= u <= 1.94, which goes on from there to k = 2.41", ("N4_on_ray", "N4_on_ray_range"),
                group="long", quick=False),
    Certificate("N4-end", "r_CE < r_acc", "k = 2.5, lam/sigma^2 = 1.7", ("N4_end",), group="long"),
    Certificate("N4-K-end", "r_CE < r_acc, design A", f"(K, k, lam/sigma^2) = ({', '.join(ROUND)}), and beyond each "
                f"end for K = {BEYOND[0][0]} to {BEYOND[-1][0]}: k = {', '.join(k for _, k, _ in BEYOND)}",
                tuple(n4_classes.LEMMAS), "the minimiser lies within |gradient|/L of the guess; where accuracy rises, "
                "r_acc is larger (T2-joint-K)", group="long"),
    Certificate("T2-unequal", "F falls through each of its zeros", "k_E >= .046 or k_C <= 12.5 k_E",
                ("unequal_noise",), "F_r < 0 where F = 0, on the part r <= 4, u <= 4 r^2/5; elsewhere it is derived",
                group="long"),
    Certificate("N3-entries", "r_acc = 1/2 at one k, and r_acc > 1/2 above it", "k between .852705697 and .852705698",
                ("N3_entries_below", "N3_entries_above"), "F(1/2, .) rises, and F(., k) falls to its root r_acc",
                group="long"),
    Certificate("N4-entries", "r_CE < r_acc with decay on the entries of W, lam_c = 2 lam_e",
                "(k, lam_e/sigma^2) = (1, .1), (1.2, .1), (2, .0001)",
                tuple(f"N4_entries_{k}" for k, _ in entries.POINTS), group="long"),
    Certificate("T3-CE-unequal", "w1 rises in b",
                "d = 12.579, sigma_E = 1, sigma_C = 2.7345, lam near 1.251e-6, b near 1e-7",
                ("unequal_noise_w1",), group="long"),
    Certificate("T3-CE-unequal", "w2 rises in b and w1 falls, so r rises",
                "d = 6.3766, sigma_E = 1, sigma_C = .12699, lam near 3.262e-5, b near 3e-5", ("unequal_noise_w2",),
                group="long"),
    Certificate("CE-monotone", RISES, f"{float(ce_monotone.K[0])} <= k <= {float(ce_monotone.K[1])}, "
                f"{float(ce_monotone.LEAST)} <= lam/sigma^2 <= 10", ("CE_monotone",), group="long", quick=False),
    Certificate("CE-monotone", RISES, f"{float(ce_monotone.STRONG_K[0])} <= k <= {float(ce_monotone.STRONG_K[1])}, "
                f"lam/sigma^2 >= {float(ce_monotone.LEAST)}", ("CE_monotone_strong_signal",),
                "its cells begin at |w| = k/3, below which CE-monotone-ends is the proof", group="long", quick=False),

    Certificate("T3-CE", f"w1, w2 and r {FALL}", "0 < k <= 1.5", ("smoothing_lowers_all",), group="search",
                quick=False),
    Certificate("T3-CE", f"w1 and w2 {FALL}", "1.5 <= k <= 3", ("smoothing_lowers_weights",), group="search",
                quick=False),
    Certificate("T3-CE", "r rises in b", "k = 4, L near 1e-9, b near 1e-7", ("smoothing_raises_ratio",),
                group="search"),
    Certificate("CE-monotone", f"{RISES} for every L >= 0", "0 < k <= 1.1", ("CE_monotone_weak_signal",),
                group="search", quick=False),
    Certificate("CE-monotone", f"{RISES} for every L >= 10", "1.1 <= k <= 3.5", ("CE_monotone_strong_decay",),
                group="search", quick=False),
    Certificate("N4", "r_CE > r_acc for every L >= 0", "2.411 <= k <= 2.41405", ("N4_on_ray_further",),
                group="search"),
    Certificate("N4-end", "r_CE < r_acc", "k = 2.41406, L = 1.57789", ("N4_end_sharp",), group="search"),
)


def stored(name: str, folder: Path = DATA) -> list[Box]:
    """Return the cells of a lemma: its grid, or those stored in NAME.json or, if many, NAME_0.json, NAME_1.json, ...

    Raises ValueError where stored cells cannot be read.

    >>> len(stored("up_near")), len(stored("N2_near"))
    (8, 2)
    """
    lemma = LEMMAS[name]
    if isinstance(lemma, Lemma) and (lemma.parts or not lemma.region):
        return grid(lemma.region, lemma.parts)
    files = sorted(folder.glob(f"{name}_[0-9].json")) or [folder / f"{name}.json"]
    return [box for file in files for box in read_boxes(file)]


def check(name: str, folder: Path = DATA) -> tuple[str, int]:
    """Check one lemma now; return "holds" or the checker's other answer, and the number of cells.

    >>> check("threshold")
    ('holds', 1)
    """
    lemma = LEMMAS[name]
    if not isinstance(lemma, Lemma | Laid):
        proved, count = lemma()
        return ("holds" if proved else "undecided"), count
    cells = stored(name, folder)
    return (examine_laid(lemma, cells) if isinstance(lemma, Laid) else examine(lemma, cells)), len(cells)


def certify(*groups: str, quick: bool = False, folder: Path = DATA, claim: str | None = None) -> Iterator[Row]:
    """Check every certificate of these groups (default: "short") again; yield one `Row` for each.

    quick: leave out those that take more than some seconds. claim: the ID of the one whose certificates are checked;
    None: those of all.
    Raises ValueError where stored cells cannot be read. Source: the sections of THEORY.md that the claims name.

    >>> {row.outcome for row in certify()}
    {'holds'}
    >>> {row.claim for row in certify(claim="N3")}
    {'N3'}
    """
    for certificate in CERTIFICATES:
        if certificate.group not in (groups or ("short",)) or (quick and not certificate.quick):
            continue
        if claim not in (None, certificate.claim):
            continue
        start, boxes, outcome = time.process_time(), 0, "holds"
        for name in certificate.needs:
            found, count = check(name, folder)
            boxes += count
            if found != "holds" and outcome == "holds":
                outcome = f"{name}: {found}"
        yield Row(certificate.claim, certificate.statement, certificate.region, boxes, time.process_time() - start,
                  outcome)
