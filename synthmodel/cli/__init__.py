"""What the command line computes, apart from how it is asked."""

__all__ = ["benchmark", "commands", "drawing"]
