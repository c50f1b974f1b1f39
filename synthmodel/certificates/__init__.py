"""Proofs by ball arithmetic (python-flint): theorems checked from stored partitions, numbers enclosed to any digit."""

from synthmodel.certificates.enclosures import enclose
from synthmodel.certificates.theorems import THEOREMS, certify

__all__ = ["THEOREMS", "certify", "enclose"]
