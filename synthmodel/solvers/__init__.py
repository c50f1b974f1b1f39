"""Optimal robust weights (w1, w2): a solver for each family of losses, and `solve`, which picks one; eps0 and eps1."""

__all__ = ["cross_entropy", "cross_entropy_exact", "line_integrals", "log_sum_exp", "margin_closed", "margin_polar",
           "margin_vertices", "newton", "plane_integrals", "solve", "worst_margin"]
