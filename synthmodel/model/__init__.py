"""The model: the data law of a setting, noise laws, losses, what a solution is, and samples of it."""

__all__ = ["by_value", "losses", "noise", "quadrature", "roots", "sampling", "setting", "solution", "types"]
