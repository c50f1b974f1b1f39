"""What hypothesis draws: settings, losses, noise laws, attack sizes and ratios, as exact fractions.

They reach the boundaries of the claims: k as near to 1/sqrt(pi) as 1e-12, eps = mu/2, r = 1. A `Setting` and a loss
hold floats, so theirs have powers of two below the line: a float is such a fraction, and nothing is rounded.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from synthmodel.model.losses import Loss, loss_named
from synthmodel.model.setting import Setting
from synthmodel.testing.arithmetic import Exact, near_threshold

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("hypothesis is missing, with which synthmodel.testing draws its points: install "
                              "synthmodel[test].", name=error.name) from None

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

__all__ = ["NOISES", "Model", "about", "attacked", "attacks", "between", "dyadic", "losses", "noises", "ratios",
           "settings", "strengths"]

STEPS = 10**5
NOISES = ("laplace", "logistic", "uniform", "student-t:5", "normal")
# name -> its parameters, each of which is drawn from 0 (tau: 1/64) up to that
LOSSES = {"margin": {}, "smoothed-margin": {"b": "15/16"}, "soft-target-margin": {"b": "15/16"},
          "wrong-class-lse": {"tau": "4", "b": "15/16"}, "cross-entropy": {"b": "1/2"}}


class Model(NamedTuple):
    """A point of `attacked`."""

    mu: Fraction
    sigma: Fraction
    eps: Fraction
    b: Fraction


def between(low: Exact, high: Exact, *more: Exact) -> SearchStrategy[Fraction]:
    """Fractions in [low, high], even over the interval but for its ends and `more` points, which are drawn often."""
    low, high = Fraction(low), Fraction(high)
    width = high - low
    inside = st.integers(0, STEPS).map(lambda i: low + width * Fraction(i, STEPS))
    return st.one_of(inside, inside, inside, st.sampled_from([low, high, *(Fraction(x) for x in more)]))


def dyadic(low: Exact, high: Exact, bits: int = 6) -> SearchStrategy[Fraction]:
    """Fractions i/2^bits in [low, high], which floats are exactly."""
    unit = 2**bits
    return st.integers(math.ceil(Fraction(low) * unit), math.floor(Fraction(high) * unit)).map(
        lambda i: Fraction(i, unit))


def strengths(low: Exact = "1/20", high: Exact = 8) -> SearchStrategy[Fraction]:
    """k = (mu - 2 eps)/sigma: any, and as near to the threshold 1/sqrt(pi) as 1e-12."""
    near = [k for k in near_threshold() if Fraction(low) <= k <= Fraction(high)]
    return st.one_of(between(low, high), st.sampled_from(near)) if near else between(low, high)


def ratios(high: Exact = 3) -> SearchStrategy[Fraction]:
    """r = w2/w1 >= 0, often about 1."""
    return st.one_of(between(0, high, 1), between("1/2", "3/2", 1))


def attacks(high: Exact = "1/2", mu: Exact = 1) -> SearchStrategy[Fraction]:
    """eps from 0 to high mu, the ends often; at eps = mu/2 no margin is left."""
    return between(0, Fraction(high) * Fraction(mu))


def noises(*names: str) -> SearchStrategy[str]:
    """Names of noise laws: these, or all of NOISES."""
    return st.sampled_from(names or NOISES)


@st.composite
def settings(draw: DrawFn, unequal: bool = False, noise: SearchStrategy[str] | None = None,
             classes: SearchStrategy[int] | None = None) -> Setting:
    """Settings with mu from 1/2 to 2, sigma from 1/64 to 2; unequal: with a sigma_c of its own."""
    sigma = draw(dyadic("1/64", 2))
    sigma_c = draw(dyadic("1/64", 2)) if unequal else sigma
    return Setting(float(draw(dyadic("1/2", 2))), float(sigma), sigma_c=float(sigma_c),
                   noise="normal" if noise is None else draw(noise), classes=3 if classes is None else draw(classes))


@st.composite
def losses(draw: DrawFn, *names: str) -> Loss:
    """Losses by these names, or by all of LOSSES, with their parameters; ValueError for another name."""
    for name in names:
        if name not in LOSSES:
            raise ValueError(f"the loss {name!r} was given, but those drawn are {', '.join(LOSSES)}: choose of these.")
    name = draw(st.sampled_from(names or tuple(LOSSES)))
    return loss_named(name, **{key: float(draw(dyadic("1/64" if key == "tau" else 0, top)))
                               for key, top in LOSSES[name].items()})


def about(draw: DrawFn, boundary: Exact) -> Fraction:
    """A positive fraction from 15 % below a real number to 15 % above it, as near as 1e-6 of it."""
    near = Fraction(boundary).limit_denominator(1000)
    return near * (1 + draw(between("-15/100", "15/100", "-1/100", "1/100", "-1/10000", "1/10000", "1/1000000")))


@st.composite
def attacked(draw: DrawFn, smoothing: SearchStrategy[Fraction] | None = None) -> Model:
    """A Model with smoothing b (None: 0) that reaches the boundaries: k up to 1e-12 from (1-b)/sqrt(pi), and eps 0,
    mu/2 and about mu (1-b)/(2-b), where w1 dies in T3-target.
    """
    mu, b = draw(between("1/2", 2, 1)), Fraction(0) if smoothing is None else draw(smoothing)
    boundary = draw(st.sampled_from(["k", "eps", "w1", "none"]))
    if boundary == "k":
        eps = draw(between(0, "9/20")) * mu
        return Model(mu, (mu - 2 * eps) / draw(st.sampled_from(near_threshold())) / (1 - b), eps, b)
    shares = {"eps": st.sampled_from([Fraction(0), Fraction(1, 2)]), "none": between(0, 1)}
    share = about(draw, (1 - b) / (2 - b)) if boundary == "w1" else draw(shares[boundary])
    return Model(mu, draw(between("1/50", 2)) * mu, share * mu, b)
