"""Each claim set against evidence that does not share its formula: quadrature, brute force, sympy, ball arithmetic.

A row says on which domain the claim was tried and how close it came to failing.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

from synthmodel.claims.checks import CHECKS
from synthmodel.claims.evidence import Evidence
from synthmodel.claims.registry import CLAIMS, Claim
from synthmodel.system.workers import workers as pool_of

__all__ = ["Row", "verify"]


@dataclass(frozen=True)
class Row:
    """A claim with its evidence.

    derived: whether sympy decided every step of its derivation now.  proved: whether ball arithmetic found every box of
    its certificates to hold now, those left out that take more than a second (`synthmodel certify --long`).
    None: there is no derivation, or no such certificate.  slow: whether certificates were left out.
    derivation: the derivation's `as_dict`, which the row's own leaves out.
    """

    claim: Claim
    evidence: Evidence
    derived: bool | None = None
    proved: bool | None = None
    slow: bool = False
    derivation: dict[str, Any] | None = None

    @property
    def holds(self) -> bool:
        """Whether this run bears out the status: evidence, derivation and certificate, where there are, agree."""
        return self.evidence.holds and self.derived is not False and self.proved is not False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self.claim) | asdict(self.evidence) | {
            "derived": self.derived, "proved": self.proved, "slow": self.slow, "holds": self.holds}


@cache
def certified(name: str) -> bool | None:
    """Return whether the certificates of the claim hold, the slow ones left out; None where there are none.

    They are checked once in this process.
    """
    from synthmodel.certificates import certify
    outcomes = [row.holds for row in certify("short", "long", quick=True, claim=name)]
    return all(outcomes) if outcomes else None


def has_slow(name: str) -> bool:
    """Return whether `certified` leaves out certificates of the claim, because they take too long."""
    from synthmodel.certificates import CERTIFICATES
    return name in {one.claim for one in CERTIFICATES if one.group == "search" or not one.quick}


def row_of(claim: Claim, symbolic: bool = True) -> Row:
    """Compute the Row of one claim now."""
    derived, derivation, proved, slow = None, None, None, False
    if symbolic:
        from synthmodel.symbolic import CLAIMS as DERIVED
        from synthmodel.symbolic import derive
        if claim.id in DERIVED:
            found = derive(claim.id)
            derived, derivation = found.holds, found.as_dict()
        proved, slow = certified(claim.id), has_slow(claim.id)
    return Row(claim, CHECKS[claim.id](), derived, proved, slow, derivation)


def verify(claims: Iterable[Claim] = CLAIMS, symbolic: bool = True, workers: int = 1) -> Iterator[Row]:
    """Yield one `Row` for each claim, in order. symbolic: also derive and certify it, now; workers: processes.

    >>> row = next(verify([c for c in CLAIMS if c.id == "T2-pair"], symbolic=False))
    >>> row.holds
    True
    """
    one = partial(row_of, symbolic=symbolic)
    if workers == 1:
        yield from map(one, claims)
        return
    # One numerical thread a process: the workers share the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with pool_of(workers) as pool:
        yield from pool.map(one, claims)
