"""A claim at one point of exact fractions, decided twice: `replay` says how, `assert_claim` insists on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import sympy as sp

from synthmodel.claims.registry import CLAIMS as REGISTRY
from synthmodel.model.setting import Setting, checked_setting, shown
from synthmodel.testing.arithmetic import Arithmetic, Balls, Digits, Exact, Signs, decide
from synthmodel.testing.statements import CLAIMS

if TYPE_CHECKING:
    from synthmodel.model.losses import Loss

__all__ = ["Replay", "assert_claim", "needs", "point_of", "replay"]

Claim: TypeAlias = "str | Callable[..., Signs]"


class Replay(NamedTuple):
    """holds, fails or undecided: by sympy, by ball arithmetic, and, where both agree, the verdict."""

    verdict: str
    sympy: str
    ball: str


def statement_of(claim: Claim) -> Callable[..., Signs]:
    """The function (m, fractions by name) -> pairs whose signs must agree; ValueError for an unknown claim."""
    if callable(claim):
        return claim
    if claim not in CLAIMS:
        raise ValueError(f"the claim {claim!r} cannot be replayed: choose one of {', '.join(CLAIMS)}.")
    return CLAIMS[claim]


def needs(claim: Claim) -> list[str]:
    """The names of the fractions that `replay` needs.

    >>> needs("N2")
    ['k']
    """
    return list(signature(statement_of(claim)).parameters)[1:]


def fraction(name: str, value: Any) -> Fraction:
    """`value` exactly; ValueError for what is no finite number."""
    try:
        return Fraction(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(f"{name} = {shown(repr(value))} was given, but a claim is decided at exact numbers: give a "
                         "Fraction, a finite number or a text such as 1/3.") from None


def chosen(claim: Claim, fractions: dict[str, Any]) -> dict[str, Fraction]:
    """The fractions that the claim needs; ValueError if one is missing or is no number."""
    names = needs(claim)
    if missing := set(names) - set(fractions):
        name = claim if isinstance(claim, str) else claim.__name__
        raise ValueError(f"{', '.join(sorted(missing))} is missing for {name}: give {', '.join(names)}.")
    return {name: fraction(name, fractions[name]) for name in names}


def replay(claim: Claim, digits: int = 30, **fractions: Exact) -> Replay:
    """Decide a claim at one point, given by exact fractions: Replay(verdict, sympy, ball).

    claim: one of those of THEORY.md that `synthmodel.testing.statements` has, or a function of yours: it takes an
    arithmetic m and fractions by name, and returns pairs of numbers of m whose signs must agree.
    sympy: the verdict with `digits` digits; ball: the verdict of ball arithmetic, where a decided sign is certain. Each
    is "holds", "fails" or "undecided"; the verdict is "undecided" unless both agree. An equality of two irrational
    numbers can never be decided by balls. More fractions may be given than are needed.
    Raises ValueError for an unknown claim or a point outside of its hypotheses.

    >>> replay("T2-joint", k=1, r=1)  # the paper's Theorem 2, read jointly
    Replay(verdict='fails', sympy='fails', ball='fails')
    >>> replay("N2-unequal", d=Fraction(3, 5), s_e=Fraction(35, 100), s_c=Fraction(3, 5)).verdict
    'fails'
    """
    function, point = statement_of(claim), chosen(claim, fractions)

    def statement(m: Arithmetic) -> Signs:
        return function(m, **point)
    by_sympy, ball = decide(statement, Digits, digits), decide(statement, Balls, 4 * digits)
    return Replay(ball if ball == by_sympy else "undecided", by_sympy, ball)


def point_of(setting: Setting, *, eps: Exact = 0, loss: Loss | None = None, classes: bool = False) -> dict[str, Any]:
    """The fractions that claims are stated in, from a setting: mu, sigma, d, s_e, s_c, k, share and more.

    The floats of a Setting are taken exactly. classes: whether the claim is about any number of classes at mu = 1 (G-K)
    and not about the model of THEORY.md, section 0. Raises ValueError for a setting of another model or of arrays.

    >>> point_of(Setting(1, 0.5), eps="1/4")["k"]
    Fraction(1, 1)
    """
    checked_setting(setting)
    usual = setting.noise == "normal" and np.all(np.equal(setting.rho, 0)) and setting.norm == math.inf
    if not usual or (setting.classes > 3 and not (classes and setting.design == "A")):
        raise ValueError(f"{setting.classes} classes, {setting.law.name} noise, rho = {setting.rho} and norm "
                         f"{setting.norm} were given, but the claim is about three classes, normal noise, rho = 0 and "
                         "norm inf: choose these.")
    numbers = {name: getattr(setting, name) for name in ("mu_e", "mu_c", "sigma_e", "sigma_c")}
    if any(np.ndim(value) for value in numbers.values()) or numbers["mu_e"] != numbers["mu_c"]:
        raise ValueError(f"mu_e = {shown(numbers['mu_e'])} and mu_c = {shown(numbers['mu_c'])} were given, but the "
                         "claim is about one mean of both features, in numbers: give one.")
    mu, size = fraction("mu", numbers["mu_e"]), fraction("eps", eps)
    s_e, s_c = fraction("sigma_e", numbers["sigma_e"]), fraction("sigma_c", numbers["sigma_c"])
    found: dict[str, Any] = {"mu": mu, "eps": size, "d": mu - 2 * size, "s_e": s_e, "s_c": s_c, "share": size / mu}
    if s_e == s_c:
        found |= {"sigma": s_e, "k": (mu - 2 * size) / s_e}
    if classes:
        found |= {"classes": setting.classes, "sigma": s_e / mu, "eps": size / mu}
    for name in ("b", "tau"):
        if hasattr(loss, name):
            found[name] = getattr(loss, name)
    return found


def numbers_of(claim: Claim, point: dict[str, Fraction], digits: int) -> str:
    """The first pair whose signs differ, in words."""
    m = Digits(digits)
    for left, right in statement_of(claim)(m, **point):
        if m.sign(left) != m.sign(right):
            return f"the sign of {float(sp.N(left, 15)):.6g} is not that of {float(sp.N(right, 15)):.6g}"
    return "some sign is not what it should be"


def assert_claim(claim: Claim, setting: Setting | None = None, *, eps: Exact = 0, ratio: Exact | None = None,
                 lam: Exact | None = None, loss: Loss | None = None, digits: int = 15, **fractions: Exact) -> Replay:
    """Raise AssertionError if the claim certainly fails at the point, with its numbers and the line that replays it.

    claim: as in `replay`.  setting: its floats are taken exactly, and give with eps the fractions that claims are
    stated in: mu, sigma, eps, k = (mu - 2 eps)/sigma, d, s_e, s_c, share = eps/mu; ratio is r, lam gives decay =
    lam/sigma^2, loss gives b and tau.  fractions: these by name; they come before those of the setting.
    Returns the Replay: "undecided" is no counterexample, but no confirmation either. Raises ValueError as `replay`.

    >>> assert_claim("T2-pair", Setting(1, 0.5), eps="1/5", ratio="1/2").verdict
    'holds'
    >>> assert_claim("T2-joint", Setting(1, 0.5), eps="1/4", ratio=1)
    Traceback (most recent call last):
    AssertionError: T2-joint fails: the sign of -0.0242215 is not that of 1.
    Replay it: replay('T2-joint', k=Fraction(1, 1), r=Fraction(1, 1)) fails in sympy and in ball arithmetic.
    What is true instead: it peaks at a ratio r_acc below 1 (T2-joint').
    """
    given = {} if setting is None else point_of(setting, eps=eps, loss=loss, classes=claim == "G-K")
    if setting is None and eps != 0:
        given["eps"] = eps
    if ratio is not None:
        given["r"] = ratio
    if lam is not None:
        given["lam"] = fraction("lam", lam)
        if "sigma" in given:
            given["decay"] = given["lam"] / given["sigma"] ** 2
    point = chosen(claim, given | fractions)
    found = replay(claim, digits, **point)
    if found.verdict != "fails":
        return found
    name, call = (claim, repr(claim)) if isinstance(claim, str) else (claim.__name__, claim.__name__)
    words = ", ".join([call, *(f"{key}={value!r}" for key, value in point.items())])
    instead = next((row.instead for row in REGISTRY if row.id == claim and row.instead), "")
    raise AssertionError(f"{name} fails: {numbers_of(claim, point, digits)}.\nReplay it: replay({words}) fails in "
                         "sympy and in ball arithmetic." + (f"\nWhat is true instead: {instead}." if instead else ""))
