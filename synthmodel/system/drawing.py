"""matplotlib without a screen and without its user's settings, so that a picture is the same wherever it is drawn."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["drawing", "load_matplotlib"]


def load_matplotlib() -> None:
    """Import matplotlib whatever backend MPLBACKEND names.

    A notebook hands its own backend on to the processes that it starts, and the import of matplotlib refuses one that
    is not installed. Nothing here needs a backend; one that exists is set, for whoever shows pictures later.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


@contextmanager
def drawing(settings: dict[str, Any]) -> Iterator[None]:
    """Set matplotlib's own defaults and `settings` over them; what its user had set comes back at the end.

    Most settings act when a part of a figure is made, some when it is saved: both belong inside.

    >>> import matplotlib
    >>> before = matplotlib.rcParams["font.size"]
    >>> with drawing({"font.size": 7}):
    ...     matplotlib.rcParams["font.size"], matplotlib.rcParams["text.usetex"]
    (7.0, False)
    >>> matplotlib.rcParams["font.size"] == before
    True
    """
    load_matplotlib()
    from matplotlib import style
    with style.context(["default", settings]):
        yield
