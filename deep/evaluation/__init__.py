"""What a network does on a split: accuracies, the battery of attacks, CAS, margins, saliency."""

__all__ = ["accuracy", "battery", "cas", "cas_intervals", "gradcam", "gradcam_picture", "gradient_masking", "margins",
           "outcome", "shared_evidence"]
