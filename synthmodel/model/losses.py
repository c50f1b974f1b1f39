"""The losses. n = K - 1 wrong classes; b is the smoothing: 1 - b on the true class and b/n on each of the others.

torch's `label_smoothing=beta` puts 1 - beta + beta/K on the true class: b = beta (K-1)/K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from synthmodel.model.by_value import ByValue
from synthmodel.model.setting import checked
from synthmodel.model.surrogates import SURROGATES, Surrogate

if TYPE_CHECKING:
    from synthmodel.model.types import Broadcast, Real

__all__ = ["LOSSES", "CrossEntropy", "Distillation", "Loss", "Margin", "MarginLoss", "SmoothedMargin",
           "SoftTargetMargin", "WorstMargin", "WrongClassLSE", "loss_named"]


def _check(loss: object, name: str, **bounds: Any) -> None:
    object.__setattr__(loss, name, checked(name, getattr(loss, name), **bounds))


def _check_word(loss: object, name: str, allowed: Iterable[str]) -> None:
    if getattr(loss, name) not in allowed:
        raise ValueError(f"{name} = {getattr(loss, name)!r} was given, but it must be {' or '.join(allowed)}: "
                         "choose one.")


@dataclass(frozen=True, eq=False)
class Margin(ByValue):
    """max_{j != i} f_j - f_i, maximised over the attack (the paper's loss; claim T1).

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), Margin(), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 4), round(float(found.w2), 4)
    (6.0, 3.1791)
    """

    def coefficients(self, n: int) -> tuple[Broadcast, Broadcast, Broadcast]:
        """(own, worst, others) of -f_i, of the largest wrong score and of each other score: the loss is
        -own f_i + max_j (worst f_j + others sum_{l != i, j} f_l).
        """
        return 1.0, 1.0, 0.0


@dataclass(frozen=True, eq=False)
class SmoothedMargin(ByValue):
    """(1-b) max_{j != i} f_j + b mean_{j != i} f_j - f_i, maximised over the attack (claim T3); 0 <= b < 1.

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), SmoothedMargin(b=0.1), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 4), round(float(found.w2), 4)
    (6.0, 3.4611)
    """

    b: Real

    def __post_init__(self) -> None:
        _check(self, "b", least=0, below=1)

    def coefficients(self, n: int) -> tuple[Broadcast, Broadcast, Broadcast]:
        """As in `Margin.coefficients`."""
        return 1.0, 1 - self.b + self.b / n, self.b / n


@dataclass(frozen=True, eq=False)
class SoftTargetMargin(ByValue):
    """-min_j m_j + (b/n) sum_j m_j, m_j = f_i - f_j: the linear shadow of smoothed cross-entropy (claim T3-target).

    attack: "exact" maximises this loss; "monotone" is delta*, which lowers every margin as far as it goes and is the
    worst case for the hard label (claim A1), but not of this loss for b > 0. 0 <= b < 1.

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), SoftTargetMargin(b=0.1), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 4), round(float(found.w2), 4)
    (5.2, 2.3791)
    """

    b: Real
    attack: str = "exact"

    def __post_init__(self) -> None:
        _check(self, "b", least=0, below=1)
        _check_word(self, "attack", ("exact", "monotone"))

    def coefficients(self, n: int) -> tuple[Broadcast, Broadcast, Broadcast]:
        """As in `Margin.coefficients`."""
        return 1 - self.b, 1 - self.b / n, -self.b / n


@dataclass(frozen=True, eq=False)
class WorstMargin(ByValue):
    """phi((1-b) min_j m_j + b mean_j m_j), m_j = f_i - f_j, maximised over the attack (claim U1); 0 <= b < 1.

    phi: hinge, squared-hinge, logistic, exponential, or a `Surrogate` of your own.

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), WorstMargin("hinge"), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 3), round(float(found.w2), 3)
    (1.238, 0.808)
    """

    phi: str | Surrogate
    b: Real = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.phi, Surrogate):
            _check_word(self, "phi", SURROGATES)
        _check(self, "b", least=0, below=1)

    @property
    def surrogate(self) -> Surrogate:
        """phi as a `Surrogate`."""
        return self.phi if isinstance(self.phi, Surrogate) else SURROGATES[self.phi]


@dataclass(frozen=True, eq=False)
class WrongClassLSE(ByValue):
    """tau log sum_{j != i} exp(f_j/tau) - f_i, maximised over the attack (claim T1-temp); tau > 0.

    With b: (1-b) times the log-sum-exp plus b mean_{j != i} f_j, the loss of claim D1; 0 <= b < 1.

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), WrongClassLSE(tau=0.5), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 4), round(float(found.w2), 4)
    (6.0, 3.3588)
    """

    tau: Real
    b: Real = 0.0

    def __post_init__(self) -> None:
        _check(self, "tau", above=0)
        _check(self, "b", least=0, below=1)


@dataclass(frozen=True, eq=False)
class CrossEntropy(ByValue):
    """-(1-b) log p_i - (b/n) sum_{j != i} log p_j, p the softmax of f (claims S1, T1-CE, T3-CE).

    attack: "monotone" evaluates it at x + delta*, the worst case for the hard label (claim A1), which adversarial
    training on the hard label uses; for b > 0 it is not the worst case of the smoothed loss itself, which "exact"
    takes (the maximum over the cube's vertices; three classes). 0 <= b < 1. Under the monotone attack the minimiser
    is w = 0 at b = n/(n+1); above it the label prefers the wrong classes, delta* is no attack, and the solver refuses.

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), CrossEntropy(b=0.1), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 4), round(float(found.w2), 4)
    (1.1128, 0.9915)
    """

    b: Real = 0.0
    attack: str = "monotone"

    def __post_init__(self) -> None:
        _check(self, "b", least=0, below=1)
        _check_word(self, "attack", ("monotone", "exact"))


@dataclass(frozen=True, eq=False)
class Distillation(ByValue):
    """-sum_l t_l log p_l at x + delta*, t the softmax of a teacher with weights (t1, t2) of its own (claim N5).

    teacher: (t1, t2), both >= 0, numbers or arrays.  teacher_input: "adversarial", the teacher sees x + delta* as the
    student does; "clean", it sees x.

    >>> from synthmodel import Setting, solve
    >>> found = solve(Setting(mu=1, sigma=0.5), Distillation(teacher=(3, 1)), eps=0.2, lam=0.1)
    >>> round(float(found.w1), 4), round(float(found.w2), 4)
    (1.2457, 0.7871)
    """

    teacher: tuple[Real, Real]
    teacher_input: str = "adversarial"

    def __post_init__(self) -> None:
        if not isinstance(self.teacher, tuple | list) or len(self.teacher) != 2:
            raise ValueError(f"the teacher {self.teacher} was given, but it must be two weights (t1, t2): give two.")
        object.__setattr__(self, "teacher", tuple(checked("a teacher's weight", t, least=0) for t in self.teacher))
        _check_word(self, "teacher_input", ("adversarial", "clean"))


MarginLoss: TypeAlias = Margin | SmoothedMargin | SoftTargetMargin
Loss: TypeAlias = MarginLoss | WorstMargin | WrongClassLSE | CrossEntropy | Distillation

LOSSES: dict[str, tuple[Callable[..., Loss], tuple[str, ...]]] = {
    "margin": (Margin, ()),
    "smoothed-margin": (SmoothedMargin, ("b",)),
    "soft-target-margin": (SoftTargetMargin, ("b", "attack")),
    "wrong-class-lse": (WrongClassLSE, ("tau", "b")),
    "cross-entropy": (CrossEntropy, ("b", "attack")),
    "distillation": (Distillation, ("teacher", "teacher_input")),
    **{name: (partial(WorstMargin, name), ("b",)) for name in SURROGATES},
}
NEEDS = {"smoothed-margin": "b", "soft-target-margin": "b", "wrong-class-lse": "tau", "distillation": "teacher"}
EXAMPLES = {"b": "0.1", "tau": "0.1", "teacher": "1,0.5"}


def loss_named(name: Any, **parameters: Any) -> Loss:
    """The loss called `name`, one of LOSSES, with its parameters b, tau, attack, teacher, teacher_input; None: default.

    Raises ValueError for an unknown name, a parameter that the loss does not have (b = 0 passes everywhere), or one
    that it needs.

    >>> loss_named("smoothed-margin", b=0.1)
    SmoothedMargin(b=0.1)
    """
    if not isinstance(name, str) or name not in LOSSES:
        several = " (one of them; plot and explore take several)" if "," in str(name) else ""
        raise ValueError(f"the loss {name!r} is unknown: choose {', '.join(list(LOSSES)[:-1])} or {list(LOSSES)[-1]}"
                         f"{several}.")
    kind, known = LOSSES[name]
    given = {key: value for key, value in parameters.items() if value is not None}
    for key in sorted(set(given) - set(known)):
        if key == "b" and np.all(checked("b", given[key], least=0, below=1) == 0):
            del given[key]
            continue
        raise ValueError(f"{key} = {given[key]} was given for the loss {name}, which has no "
                         f"{'smoothing' if key == 'b' else key}: leave it out.")
    if (needed := NEEDS.get(name)) and needed not in given:
        raise ValueError(f"no {needed} was given for {name}, which needs one: add it, e.g. {needed} = "
                         f"{EXAMPLES[needed]}.")
    return kind(**given)
