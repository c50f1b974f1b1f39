"""One way in: `solve` and `threshold` pick the method for a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from synthmodel.model.losses import (
    CrossEntropy,
    Distillation,
    Loss,
    MarginLoss,
    SmoothedMargin,
    WorstMargin,
    WrongClassLSE,
)
from synthmodel.model.penalty import decays
from synthmodel.model.setting import Setting, checked, checked_setting, number, reals
from synthmodel.model.solution import Solution
from synthmodel.solvers.margin_closed import solve_closed, threshold_closed

if TYPE_CHECKING:
    from synthmodel.model.types import Broadcast, Real

__all__ = ["solve", "threshold"]

METHODS = ("auto", "closed", "numeric")
SOFT = (CrossEntropy, Distillation, WrongClassLSE)
NUMERIC = (*SOFT, WorstMargin)


def solve(setting: Setting, loss: Loss, eps: Real, lam: Real | None = None, method: str = "auto", *,
          lam_e: Real | None = None, lam_c: Real | None = None, penalty: str = "weights") -> Solution:
    """The optimal robust weights: the minimiser over (w1, w2) of E max_delta loss + (lam_e w1^2 + lam_c w2^2)/2.

    setting: the data law and the norm of the attack; loss: one of `synthmodel.model.losses`; eps >= 0: the size of the
    attack on all features; lam > 0: weight decay of both weights, unless lam_e or lam_c gives one its own, or penalty
    names what lam is a decay of: "weights", the "entries" of W, those of the row-"centred" W (`decays`).
    The numbers in them may be arrays, which broadcast. method: "closed" (T1, T3, T3-target and G-*; margin losses
    only), "numeric" (quadrature, no closed form used), or "auto" (closed where there is one). Cross-entropy and
    distillation under the monotone attack: `solve_cross_entropy`; the exact attack: `solve_exact`; the wrong-class
    log-sum-exp: `solve_lse`; hinge and its kin: `solve_worst_margin`.
    Returns a `Solution`; raises ValueError for bad input or a setting that the loss's method does not cover, and
    NotConverged rather than return a bad number.

    >>> round(solve(Setting(1, 0.5), CrossEntropy(), eps=0.2, lam=0.1).ratio, 4)
    0.9105
    >>> solve(Setting(1, 0.5), CrossEntropy(), eps=[0.1, 0.2], lam=0.1).ratio.round(4).tolist()
    [0.9475, 0.9105]
    >>> round(solve(Setting(1, 0.5), CrossEntropy(), eps=0.2, lam=0.1, penalty="entries").ratio, 4)
    0.5211
    """
    checked_setting(setting)
    if not isinstance(loss, Loss):
        raise ValueError(f"{loss!r} was given as the loss, but it must be one that was made: write Margin(), or "
                         "loss_named('margin'), and the like.")
    if method not in METHODS:
        raise ValueError(f"the method {method!r} is unknown: choose auto, closed or numeric.")
    decay = decays(setting, lam, lam_e, lam_c, penalty)
    try:
        return _solve(setting, loss, eps, method, decay)
    except ValueError:
        check_shapes(setting, loss, eps, decay)  # if that is why, in words
        raise


def _solve(setting: Setting, loss: Loss, eps: Real, method: str, decay: tuple[Broadcast, Broadcast]) -> Solution:
    if isinstance(loss, NUMERIC):
        if method == "closed":
            raise ValueError(f"a closed form was asked for {loss}, which has none: use the method numeric.")
        return _solve_soft(setting, loss, eps, *decay)
    if method == "numeric":
        return _each(_solve_margin_numerically, setting, loss, eps, *decay)
    return solve_closed(setting, loss, eps, *decay)


def check_shapes(setting: Setting, loss: Loss, eps: Real, decay: tuple[Broadcast, Broadcast]) -> None:
    """Raise ValueError, which names the shapes, unless all numbers broadcast."""
    shapes = {name: np.shape(getattr(setting, name)) for name in ("mu_e", "mu_c", "sigma_e", "sigma_c", "rho")}
    shapes |= {"b": np.shape(getattr(loss, "b", 0.0)), "eps": reals(eps).shape}
    shapes |= {"lam_e": np.shape(decay[0]), "lam_c": np.shape(decay[1])}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"arrays of the shapes {given} were given, but they must broadcast: reshape them.") from None


def _solve_soft(setting: Setting, loss: CrossEntropy | Distillation | WrongClassLSE | WorstMargin, eps: Real,
                *decay: Real) -> Solution:
    if isinstance(loss, WorstMargin):
        from synthmodel.solvers.worst_margin import solve_worst_margin
        return _each(solve_worst_margin, setting, loss, eps, *decay)
    if isinstance(loss, WrongClassLSE):
        from synthmodel.solvers.log_sum_exp import solve_lse
        return solve_lse(setting, loss, eps, *decay)
    if isinstance(loss, CrossEntropy) and loss.attack == "exact":
        return _each(_solve_exactly, setting, loss, eps, *decay)
    from synthmodel.solvers.cross_entropy import solve_cross_entropy
    return solve_cross_entropy(setting, loss, eps, *decay)


def _solve_margin_numerically(setting: Setting, loss: MarginLoss, eps: float, *decay: float) -> Solution:
    """By brute force over the attack's vertices in the plain model, else in polar coordinates."""
    if setting.plain:
        from synthmodel.solvers.margin_vertices import solve_numeric
        return solve_numeric(setting, loss, eps, *decay)
    from synthmodel.solvers.margin_polar import solve_polar
    return solve_polar(setting, loss, eps, *decay)


def _solve_exactly(setting: Setting, loss: CrossEntropy, eps: float, lam: float, lam_c: float) -> Solution:
    if setting.classes > 3 or setting.noise != "normal" or setting.norm != math.inf:
        raise ValueError(f"{setting.classes} classes, {setting.law.name} noise and norm {setting.norm} were given with "
                         "the exact attack on cross-entropy, which covers three classes, normal noise and norm inf: "
                         "choose these, or the monotone attack.")
    from synthmodel.solvers.cross_entropy_exact import solve_exact
    numbers = cast("tuple[float, float, float, float, float, float]",
                   (setting.mu_e, setting.mu_c, setting.sigma_e, setting.sigma_c, setting.rho, loss.b))
    w1, w2, risk, residual, error, iterations = solve_exact(*numbers, checked("eps", eps, least=0), lam, lam_c)
    return Solution(w1, w2, risk, residual, "numeric", iterations, error)


def _each(method: Callable[..., Solution], setting: Setting, loss: Any, eps: Real, lam: Real, lam_c: Real) -> Solution:
    """`method`, which takes numbers, for each element of the broadcast arrays."""
    numbers = {name: getattr(setting, name) for name in ("mu_e", "mu_c", "sigma_e", "sigma_c", "rho")}
    parameters = {"b": loss.b} if hasattr(loss, "b") else {}
    eps = checked("eps", eps, least=0)
    values = dict(zip([*numbers, *parameters, "eps", "lam", "lam_c"],
                      np.broadcast_arrays(*numbers.values(), *parameters.values(), eps, lam, lam_c), strict=True))
    shape = values["eps"].shape
    if shape == ():
        return method(setting, loss, eps, lam, lam_c)
    from dataclasses import fields, replace
    found = [method(replace(setting, **cast("dict[str, Any]", {name: float(values[name][at]) for name in numbers})),
                    replace(loss, **{name: float(values[name][at]) for name in parameters}),
                    *(float(values[name][at]) for name in ("eps", "lam", "lam_c"))) for at in np.ndindex(shape)]
    gathered: dict[str, Any] = {field.name: np.array([getattr(one, field.name) for one in found]).reshape(shape)
                for field in fields(Solution)}
    return Solution(**gathered | {"method": "numeric"})


def threshold(setting: Setting, loss: Loss) -> Broadcast:
    """The eps from which on w2 = 0.

    eps0 (T1), eps1 (T3) and their generalisations for the margin losses, and for every surrogate of the least margin
    the same two (U1; norm inf); mu_c/2 for the wrong-class log-sum-exp and for cross-entropy under the monotone attack
    (T1-temp, T1-CE), where at equal means w1 dies too. It is <= 0 where w2 = 0 at every eps. Raises ValueError for
    cross-entropy with b >= (K-1)/K or under the exact attack, and for distillation, where it depends on lam (for the
    exact attack: `synthmodel.solvers.cross_entropy_exact.exact_threshold`).

    >>> threshold(Setting(1, 0.5), CrossEntropy())
    0.5
    """
    checked_setting(setting)
    if isinstance(loss, WorstMargin):
        if setting.norm != math.inf:
            raise ValueError(f"norm = {setting.norm} was given, but the threshold of a surrogate of the least margin "
                             "is known for norm inf only: choose norm inf, or a margin loss.")
        return threshold_closed(setting, SmoothedMargin(loss.b))
    if not isinstance(loss, SOFT):
        return threshold_closed(setting, loss)
    if isinstance(loss, Distillation) or getattr(loss, "attack", "monotone") == "exact":
        raise ValueError(f"the threshold of {loss} was asked for, but it depends on lam: solve at several eps.")
    most = setting.active / setting.classes
    if setting.norm != math.inf:
        raise ValueError(f"norm = {setting.norm} was given, but one perturbation is the worst for a softmax loss for "
                         "norm inf only: choose norm inf, or a margin loss.")
    if isinstance(loss, CrossEntropy) and np.any(np.asarray(loss.b) >= most):
        raise ValueError(f"b = {np.max(loss.b)} was given, but from {setting.active}/{setting.classes} on "
                         f"cross-entropy learns nothing: choose b < {setting.active}/{setting.classes}.")
    return number(setting.mu_c / 2)
