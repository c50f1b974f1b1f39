"""What a network does on a split: accuracies, the battery of attacks, CAS, margins, saliency."""

__all__ = ["accuracy", "battery", "cas", "cas_intervals", "gradient_masking", "margins", "neural_collapse",
           "nulls", "outcome", "saliency"]
