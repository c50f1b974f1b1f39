"""What a check of a claim returns."""

from dataclasses import dataclass

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """What one check saw.

    holds: whether every case agreed.  domain: on which cases.  margin, measure: how near it came to not agreeing.
    counterexample: the numbers of one, for a refuted claim.
    """

    holds: bool
    domain: str
    margin: float
    measure: str
    counterexample: str = ""
