"""Robust accuracy of a ratio r = w2/w1 and the ratio that is best: three classes in closed form, any setting by
quadrature, any sharing of features by Sobol points; and the error that no classifier can beat.
"""

__all__ = ["any_setting", "bayes", "sharing", "three_classes"]
