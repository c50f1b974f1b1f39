"""Finite samples: a linear classifier trained adversarially, its overfitting, and what margins alone reveal."""

__all__ = ["finite_sample", "learning_curve", "linear_training", "margin_estimates"]
