"""Training in time: gradient flows from w = 0, what they learn and forget, and linear classifiers on finite samples."""

__all__ = ["any_noise", "finite_outliers", "finite_sample", "gradient_flow", "learning_curve", "linear_training",
           "margin_estimates", "quadrature", "rare_outliers", "softmin"]
