"""What the command line computes and prints, apart from how it is asked."""

__all__ = ["benchmark", "commands", "derivations", "drawing", "explain", "plain_text", "printing"]
