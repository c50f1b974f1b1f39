"""Each claim set against evidence that does not share its formula: quadrature, brute force, sympy.

A row says on which domain the claim was tried and how close it came to failing.
"""

from dataclasses import asdict, dataclass

from synthmodel.checks import CHECKS
from synthmodel.claims import CLAIMS, Claim
from synthmodel.evidence import Evidence

__all__ = ["Row", "verify"]


@dataclass(frozen=True)
class Row:
    """A claim with its evidence; `symbolic`: whether sympy decided every step now (None: no derivation)."""

    claim: Claim
    evidence: Evidence
    symbolic: bool | None

    @property
    def holds(self):
        """The status is borne out by this run: the evidence agrees, and the derivation if there is one."""
        return self.evidence.holds and self.symbolic is not False

    def as_dict(self):
        return asdict(self.claim) | asdict(self.evidence) | {"derived": self.symbolic, "holds": self.holds}


def verify(claims=CLAIMS, symbolic=True):
    """Yield one `Row` for each claim. symbolic: also derive it with sympy, now (some seconds).

    >>> row = next(verify([c for c in CLAIMS if c.id == "T2-pair"], symbolic=False))
    >>> row.holds
    True
    """
    for claim in claims:
        derived = None
        if symbolic:
            from synthmodel.symbolic import derive
            derived = derive(claim.id).holds
        yield Row(claim, CHECKS[claim.id](), derived)
