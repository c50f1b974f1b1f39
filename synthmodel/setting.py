"""The data law of the three-class model, and the checks every number passes before it is used."""

import math
from dataclasses import dataclass

__all__ = ["Setting", "checked"]

LARGEST = 1e50  # squares and quotients of such numbers are still numbers; nobody measures anything beyond


def checked(name, value, *, above=None, least=None, below=None):
    """Return `value` as a float, or raise ValueError with one sentence: given, allowed, what to do.

    `above` and `below` are strict bounds, `least` is an inclusive one; NaN and infinities never pass, nor do
    numbers other than 0 whose size is not between 1e-50 and 1e50.

    >>> checked("sigma", 0.5, above=0)
    0.5
    >>> checked("sigma", 0, above=0)
    Traceback (most recent call last):
    ValueError: sigma = 0 was given, but it must be a finite number > 0: choose another value.
    """
    bounds = [f"> {above}" if above is not None else "", f">= {least}" if least is not None else "",
              f"< {below}" if below is not None else ""]
    allowed = " and ".join(bound for bound in bounds if bound)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if (not math.isfinite(number) or (above is not None and number <= above)
            or (least is not None and number < least) or (below is not None and number >= below)
            or not (number == 0 or 1 / LARGEST <= abs(number) <= LARGEST)):
        raise ValueError(f"{name} = {value} was given, but it must be a finite number {allowed}".rstrip()
                         + (" of ordinary size (1e-50 to 1e50)" if math.isfinite(number) and number != 0
                            and not 1 / LARGEST <= abs(number) <= LARGEST else "") + ": choose another value.")
    return number


@dataclass(frozen=True)
class Setting:
    """The data law (theory.md, section 0; Wei, Guo, Wang 2025, arXiv 2506.05032, section on theory).

    Given class i of {1, 2, 3}: the exclusive feature x_{E,i} ~ N(mu, sigma^2) and x_{E,j} = 0 for j != i;
    the cross-class features x_{C,j} ~ N(mu, sigma^2) for j != i and x_{C,i} = 0; all independent. The score of
    class i is f_i(x) = w1 x_{E,i} + w2 (x_{C,j} + x_{C,k}), {j, k} the other two classes.

    mu: mean of an active feature, > 0.  sigma: its standard deviation, > 0.  Raises ValueError otherwise.

    >>> Setting(mu=1, sigma=0.5).k(0.2)
    1.2
    """

    mu: float = 1.0
    sigma: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "mu", checked("mu", self.mu, above=0))
        object.__setattr__(self, "sigma", checked("sigma", self.sigma, above=0))

    def d(self, eps):
        """d = mu - 2 eps: the mean of a feature's robust margin under an attack ||delta||_inf <= eps."""
        return self.mu - 2 * checked("eps", eps, least=0)

    def k(self, eps):
        """k = (mu - 2 eps)/sigma: d in units of the noise."""
        return self.d(eps) / self.sigma
