"""Proofs by ball arithmetic (python-flint): claims checked from stored boxes, numbers enclosed to any digit."""

from synthmodel.certificates.certify import CERTIFICATES, certify
from synthmodel.certificates.enclosures import enclose

__all__ = ["CERTIFICATES", "certify", "enclose"]
