"""Beyond three classes and the normal law: other noise, norms, many classes, a feature for each pair."""

from synthmodel.symbolic.general import any_law, many_classes, pairs

__all__ = ["any_law", "many_classes", "pairs"]
