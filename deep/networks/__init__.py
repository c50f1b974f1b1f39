"""Networks: the registry of names, the classifier around each body, and the folded network that an attack sees."""

__all__ = ["classifier", "convolution", "deit", "folding", "registry", "resnet"]
