"""Robust accuracy of a ratio r = w2/w1 and the ratio that is best: three classes in closed form, any setting by
quadrature.
"""

__all__ = ["any_setting", "three_classes"]
