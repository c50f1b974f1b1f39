r"""Pictures of the theory: threshold curves, accuracy against the ratio, ratios by loss, and where the theorems hold.

Each function takes `ax=None` and returns the Axes: on axes of yours it draws in your own style, else on new ones in
its own. No setting of matplotlib is changed.

>>> from matplotlib.figure import Figure
>>> from synthmodel import CrossEntropy, Margin, Setting, plot
>>> ax = plot.thresholds(Setting(mu=1, sigma=0.3), [Margin(), CrossEntropy()], ax=Figure().subplots())
>>> ax.get_xlabel()
'attack size $\\epsilon$'
"""

from synthmodel.plot.curves import accuracy, ratios, thresholds
from synthmodel.plot.planes import phase

__all__ = ["accuracy", "phase", "ratios", "thresholds"]
