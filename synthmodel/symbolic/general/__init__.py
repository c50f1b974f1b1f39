"""Beyond three classes and the normal law: other noise, norms, many classes, a feature for each pair, any
sharing; and what no classifier can beat.
"""

from synthmodel.symbolic.general import any_law, bayes, decays, many_classes, pairs

__all__ = ["any_law", "bayes", "decays", "many_classes", "pairs"]
