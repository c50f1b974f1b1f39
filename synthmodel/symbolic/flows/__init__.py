"""Flows in time: D1, D1-any, D2 and D4."""

from synthmodel.symbolic.flows import gradient_flow, rare_outliers, rarer_outliers, unimodal

__all__ = ["gradient_flow", "rare_outliers", "rarer_outliers", "unimodal"]
