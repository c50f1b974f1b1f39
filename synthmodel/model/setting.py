"""The data law of the model, and the checks every number passes before it is used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from synthmodel.model.by_value import ByValue
from synthmodel.model.noise import Law, law

if TYPE_CHECKING:
    from jaxtyping import Float

    from synthmodel.model.types import Broadcast, Real

__all__ = ["Setting", "checked", "checked_setting", "number", "reals", "shown", "whole"]

LARGEST = 1e50  # squares and quotients of such numbers are still numbers; nobody measures anything beyond
MOST_CLASSES = 1000
LARGEST_NORM = 1e6  # beyond, powers overflow; inf is another case


def shown(value: object) -> str:
    """`value` in a sentence, shortened where it is long."""
    try:
        words = " ".join(f"{value}".split())
    except ValueError:  # more digits than Python prints
        words = "an integer of thousands of digits"
    return words if len(words) <= 80 else f"{words[:60]}..."


def quotient(word: str) -> float:
    """A number, or a fraction of two, in words; ValueError or ZeroDivisionError where it is neither."""
    top, slash, bottom = word.partition("/")
    return float(top) / float(bottom) if slash else float(word)


def reals(value: Any) -> Float[np.ndarray, "..."]:
    """`value` as an array of floats; NaN for what is not real: text, complex or masked numbers, True, symbols, dates.

    A text may be a fraction of two numbers, also in a list.

    >>> float(reals("8/255")) == 8 / 255, float(reals("8/0")), reals(["1/4", "0.5"]).tolist()
    (True, nan, [0.25, 0.5])
    """
    try:
        given = np.asarray(value)
        if isinstance(value, np.ma.MaskedArray) or given.dtype.kind in "bcmM":
            return np.asarray(math.nan)
        if given.dtype.kind == "U":
            return np.array([quotient(word) for word in given.ravel().tolist()], dtype=float).reshape(given.shape)
        with np.errstate(over="ignore"):
            return given.astype(float)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return np.asarray(math.nan)


@overload
def checked(name: str, value: Any, *, above: float | None = None, least: float | None = None,
            below: float | None = None, single: Literal[True], sizes: tuple[float, float] = ...) -> float: ...


@overload
def checked(name: str, value: Any, *, above: float | None = None, least: float | None = None,
            below: float | None = None, single: bool = False, sizes: tuple[float, float] = ...) -> Broadcast: ...


def checked(name: str, value: Any, *, above: float | None = None, least: float | None = None,
            below: float | None = None, single: bool = False,
            sizes: tuple[float, float] = (1 / LARGEST, LARGEST)) -> Broadcast:
    """`value` as a float, or as an array of floats, or ValueError with one sentence: given, allowed, what to do.

    `above` and `below` are strict bounds, `least` is an inclusive one; NaN and infinities never pass, nor do
    numbers other than 0 whose size is not between `sizes`, 1e-50 and 1e50, nor an array of none, nor what `reals` does
    not take for numbers. single: an array does not pass.

    >>> checked("sigma", 0.5, above=0)
    0.5
    >>> checked("sigma", 0, above=0)
    Traceback (most recent call last):
    ValueError: sigma = 0 was given, but it must be a finite number > 0: choose another value.
    """
    numbers = reals(value)
    if not numbers.size:
        raise ValueError(f"{name} = {value} was given, but it must hold at least one number: leave it out or add one.")
    if single and numbers.ndim:
        raise ValueError(f"{name} = {shown(value)} was given, but it must be one number, not an array: take one at a "
                         "time.")
    size = np.abs(numbers)
    ordinary = (size == 0) | ((size >= sizes[0]) & (size <= sizes[1]))
    good = np.isfinite(numbers) & ordinary
    for bound, holds in ((above, numbers.__gt__), (least, numbers.__ge__), (below, numbers.__lt__)):
        if bound is not None:
            good &= holds(bound)
    if not good.all():
        index = int(np.argmin(good))
        first = np.ravel(numbers)[index]
        given = shown(value) if numbers.ndim == 0 else first
        allowed = " and ".join(f"{sign} {bound}" for sign, bound in ((">", above), (">=", least), ("<", below))
                               if bound is not None)
        extreme = np.isfinite(first) and not np.ravel(ordinary)[index]
        raise ValueError(f"{name} = {given} was given, but it must be a finite number {allowed}".rstrip()
                         + (f" of ordinary size ({sizes[0]:g} to {sizes[1]:g})".replace("e+", "e") if extreme else "")
                         + ": choose another value.")
    return number(numbers)


def whole(name: str, value: Any, least: int, most: int) -> int:
    """`value` as an int from `least` to `most`, or ValueError.

    >>> whole("classes", "3", 3, 1000)
    3
    """
    found = reals(value)
    if found.ndim or not (least <= found <= most and found == int(found)):
        raise ValueError(f"{name} = {shown(value)} was given, but it must be a whole number from {least} to {most}: "
                         "choose another value.")
    return int(found)


def number(value: Real) -> Broadcast:
    """A 0-dimensional array as a float; any other array as it is."""
    return float(value) if np.ndim(value) == 0 else value


@dataclass(frozen=True, eq=False)
class Setting(ByValue):
    """The data law (THEORY.md, section 0 and G-K; Wei, Guo, Wang 2025, arXiv 2506.05032, section on theory).

    Given class i of K: the exclusive feature x_{E,i} has mean mu_e and deviation sigma_e, x_{E,j} = 0 for j != i.
    Design A: a cross-class feature x_{C,j} for each class j, active in every class but j, and
    f_i = w1 x_{E,i} + w2 sum_{j != i} x_{C,j}. Design B: one x_{C,{i,j}} for each pair, active in its two classes,
    and f_i = w1 x_{E,i} + w2 sum_{j != i} x_{C,{i,j}}. At K = 3 both give the same margins. Active features have mean
    mu_c and deviation sigma_c, all are independent but for a correlation rho between any two cross-class features.
    The attack is ||delta||_norm <= eps on all features, the inactive ones too.

    mu, sigma > 0: for both kinds of feature, unless mu_e, mu_c, sigma_e or sigma_c say otherwise.
    rho: -1/(n-1) < rho < 1 for n = K-1 active features, normal noise only.
    noise: a name known to `model.noise.law` or a scipy.stats frozen law; sigma is the deviation whatever the law.
    classes: K >= 3.  design: "A" or "B".  norm: p >= 1 of the attack, inf for a cube.
    The numbers may be arrays, which broadcast. Raises ValueError otherwise.

    >>> Setting(mu=1, sigma=0.5).k(0.2)
    1.2
    """

    mu: Real = 1.0
    sigma: Real = 0.5
    mu_e: Real = None  # type: ignore[assignment]  # mu, as the next three are mu or sigma: after __post_init__ a Real
    mu_c: Real = None  # type: ignore[assignment]
    sigma_e: Real = None  # type: ignore[assignment]
    sigma_c: Real = None  # type: ignore[assignment]
    rho: Real = 0.0
    noise: Any = "normal"
    classes: int = 3
    design: str = "A"
    norm: float = math.inf

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name in ("mu", "sigma"):
            put(name, checked(name, getattr(self, name), above=0))
            for kind in ("e", "c"):
                own = getattr(self, f"{name}_{kind}")
                put(f"{name}_{kind}", getattr(self, name) if own is None else checked(f"{name}_{kind}", own, above=0))
        put("classes", whole("classes", self.classes, 3, MOST_CLASSES))
        if not isinstance(self.design, str) or self.design not in ("A", "B"):
            raise ValueError(f"the design {shown(repr(self.design))} was given, but it must be A (a feature for all "
                             "classes but one) or B (a feature for each pair): choose one.")
        norm = reals(self.norm)
        if norm.ndim or not (1 <= norm <= LARGEST_NORM or norm == math.inf):
            raise ValueError(f"norm = {shown(self.norm)} was given, but an attack needs a norm p from 1 to "
                             f"{LARGEST_NORM:g}, or inf: choose one.")
        put("norm", float(norm))
        put("rho", checked("rho", self.rho, above=-1 / (self.active - 1), below=1))
        law(self.noise)
        if np.any(np.asarray(self.rho) != 0) and self.noise != "normal":
            raise ValueError(f"rho = {np.max(np.abs(self.rho))} was given with {self.law.name} noise, but a "
                             "correlation alone fixes the joint law for normal noise only: choose rho = 0 or that.")

    @property
    def active(self) -> int:
        """n = K - 1: the number of wrong classes, and of cross-class features active in a class."""
        return self.classes - 1

    @property
    def law(self) -> Law:
        """The standardised noise law."""
        return law(self.noise)

    @property
    def plain(self) -> bool:
        """Whether this is the model of THEORY.md, section 0: three classes, normal noise, rho = 0, a cube."""
        return cast("bool", self.classes == 3 and self.noise == "normal" and np.all(self.rho == 0)
                    and self.norm == math.inf)

    @property
    def sharing(self) -> int:
        """The factor of w2 in a margin's mean: 1 in design A; n - 1 = K - 2 in design B, where m_j misses one."""
        return 1 if self.design == "A" else self.active - 1

    @property
    def variances(self) -> tuple[Broadcast, Broadcast]:
        """(common, own): a margin is m_j = w1 e + w2 (mean + sigma_c (sqrt(common) z_0 + sqrt(own) z_j)) in law.

        For normal noise, z_0, z_1, ..., z_n independent. Design A: (rho, 1 - rho). Design B: m_j = w1 e + w2 (S - c_j),
        S the sum of all n: two such margins share n - 2 features, so (n - 2 + rho ((n-1)^2 - n + 2), 1 - rho).
        """
        if self.design == "A":
            return self.rho, 1 - self.rho
        n = self.active
        return n - 2 + self.rho * ((n - 1)**2 - n + 2), 1 - self.rho

    def _equal(self, name: str) -> None:
        if np.any(self.mu_e != self.mu_c) or np.any(self.sigma_e != self.sigma_c):
            raise ValueError(f"{name} was asked for, but it is defined at equal means and noises only: use those of "
                             "the exclusive and the cross-class feature.")

    def d(self, eps: Real) -> Broadcast:
        """d = mu - 2 eps: the mean of a feature's robust margin under an attack ||delta||_inf <= eps.

        Raises ValueError at unequal means or noises.
        """
        self._equal("d")
        return self.mu_e - 2 * checked("eps", eps, least=0)

    def k(self, eps: Real) -> Broadcast:
        """k = (mu - 2 eps)/sigma: d in units of the noise; ValueError at unequal means or noises."""
        self._equal("k")
        return self.d(eps) / self.sigma_e


def checked_setting(setting: Any) -> Setting:
    """`setting` if it is a `Setting`, else ValueError."""
    if not isinstance(setting, Setting):
        raise ValueError(f"{shown(repr(setting))} was given as the setting, but it must be a Setting: make one, such "
                         "as Setting(mu=1, sigma=0.5).")
    return setting
