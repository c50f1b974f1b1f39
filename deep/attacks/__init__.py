"""Attacks inside an l_inf or l2 ball: PGD, Auto-PGD, Square, and AutoAttack's adapter."""

__all__ = ["apgd", "autoattack", "pgd", "square"]
