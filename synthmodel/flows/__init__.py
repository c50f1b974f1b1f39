"""Gradient flows from w = 0: what is learned first, what is forgotten, and rare outliers."""

__all__ = ["any_noise", "finite_outliers", "gradient_flow", "quadrature", "rare_outliers", "softmin"]
