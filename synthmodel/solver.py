"""One way in: `solve` and `threshold` pick the method for a loss."""

from synthmodel.closed import eps1, eps_max, smoothing, solve_closed
from synthmodel.losses import CrossEntropy
from synthmodel.setting import Setting  # noqa: F401 - Setting is used by the doctests

__all__ = ["solve", "threshold"]

METHODS = ("auto", "closed", "numeric")


def solve(setting, loss, eps, lam, method="auto"):
    """The optimal robust weights: the minimiser over (w1, w2) of E max_delta loss + (lam/2)(w1^2 + w2^2).

    setting: the data law; loss: Margin(), SmoothedMargin(b) or CrossEntropy(b); eps >= 0: the attack,
    ||delta||_inf <= eps on all six features; lam > 0: weight decay. method: "closed" (T1, T3; margin losses
    only), "numeric" (quadrature, no closed form used), or "auto" (closed where there is one).
    Returns a `Solution`; raises ValueError for bad input and NotConverged rather than return a bad number.

    >>> round(solve(Setting(1, 0.5), CrossEntropy(), eps=0.2, lam=0.1).ratio, 4)
    0.9105
    """
    if method not in METHODS:
        raise ValueError(f"the method {method!r} is unknown: choose auto, closed or numeric.")
    if isinstance(loss, CrossEntropy):
        if method == "closed":
            raise ValueError("a closed form was asked for the cross-entropy loss, which has none: "
                             "use the method numeric.")
        from synthmodel.crossentropy import solve_cross_entropy
        return solve_cross_entropy(setting, loss, eps, lam)
    if method == "numeric":
        from synthmodel.numeric import solve_numeric
        return solve_numeric(setting, loss, eps, lam)
    return solve_closed(setting, loss, eps, lam)


def threshold(setting, loss):
    """The eps from which on w2 = 0: eps0 (T1), eps1 (T3), or mu/2 for cross-entropy, where w1 dies too (T1-CE).

    It is <= 0 where w2 = 0 at every eps. Raises ValueError for cross-entropy with b >= 2/3.

    >>> threshold(Setting(1, 0.5), CrossEntropy())
    0.5
    """
    if isinstance(loss, CrossEntropy):
        if loss.b >= 2 / 3:
            raise ValueError(f"b = {loss.b} was given, but from 2/3 on cross-entropy learns nothing: choose b < 2/3.")
        return eps_max(setting)
    return eps1(setting, smoothing(loss))
