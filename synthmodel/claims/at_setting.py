"""The numbers that a claim speaks of, at one setting: three classes, equal means and noises, independent normal noise.

`at(claim, point)` computes those of a claim, and where it states an inequality between two of them, whether that holds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

from synthmodel.accuracy import bayes
from synthmodel.accuracy.any_setting import best_ratio, best_smoothing
from synthmodel.accuracy.three_classes import b_star, crossover, joint_accuracy, joint_slope, pairwise_accuracy, r_acc
from synthmodel.claims.readings import READINGS
from synthmodel.claims.registry import ENDS_OF_N4, Claim
from synthmodel.flows.learning_curve import chance_used
from synthmodel.flows.margin_estimates import tau_star
from synthmodel.flows.rare_outliers import forgetting_range
from synthmodel.model.losses import (
    CrossEntropy,
    Distillation,
    Margin,
    SmoothedMargin,
    SoftTargetMargin,
    WorstMargin,
    WrongClassLSE,
)
from synthmodel.model.setting import Setting, checked
from synthmodel.model.solution import NotConverged
from synthmodel.solvers.cross_entropy import ratio_limit
from synthmodel.solvers.margin_closed import eps0, eps1, eps_max, threshold_closed
from synthmodel.solvers.solve import solve

__all__ = ["QUANTITIES", "SPEAKS_OF", "Inequality", "Number", "Point", "at"]

TAU, TEACHER, CLASSES, EXAMPLES, STEP = 0.1, (1.0, 0.5), 10, 30, 0.01
ROUNDING = 4 * sys.float_info.epsilon  # of the larger: two numbers nearer than this cannot be told apart


@cache
def weights_of(setting: Setting, loss: Any, eps: float, lam: float, **how: Any) -> tuple[float, float]:
    """(w1, w2) by `solve`, once for all the numbers that need them."""
    found = solve(setting, loss, eps, lam, **how)
    return float(found.w1), float(found.w2)


@dataclass(frozen=True)
class Point:
    """A setting, an attack size, a smoothing and a decay, each one number: mu, sigma, lam > 0, eps >= 0, 0 <= b < 1."""

    mu: float = 1.0
    sigma: float = 0.5
    eps: float = 0.2
    b: float = 0.1
    lam: float = 0.1

    def __post_init__(self) -> None:
        for name in ("mu", "sigma", "lam"):
            object.__setattr__(self, name, checked(name, getattr(self, name), single=True, above=0))
        for name, below in (("eps", None), ("b", 1.0)):
            object.__setattr__(self, name, checked(name, getattr(self, name), single=True, least=0, below=below))

    @cached_property
    def setting(self) -> Setting:
        return Setting(self.mu, self.sigma)

    @cached_property
    def k(self) -> float:
        return float(self.setting.k(self.eps))

    def weights(self, loss: Any, further: float = 0.0, setting: Setting | None = None, **how: Any,
                ) -> tuple[float, float]:
        """(w1, w2) of a loss; further: how much larger eps is."""
        return weights_of(setting or self.setting, loss, self.eps + further, self.lam, **how)

    def ratio(self, loss: Any, further: float = 0.0, setting: Setting | None = None, **how: Any) -> float:
        w1, w2 = self.weights(loss, further, setting, **how)
        return w2 / w1 if w1 > 0 else math.nan


@dataclass(frozen=True)
class Number:
    """A number with its name in the tables, and what it is; None where it does not exist at the setting."""

    name: str
    value: float | None
    meaning: str


@dataclass(frozen=True)
class Inequality:
    """An inequality that a claim states, where it is stated ("": everywhere), and whether it holds at the setting.

    holds: None where it is not stated, where a side does not exist, and where rounding leaves the two sides equal.
    """

    says: str
    where: str
    holds: bool | None


def wide(point: Point, design: str) -> Setting:
    return Setting(point.mu, point.sigma, classes=CLASSES, design=design)


def threshold_of(point: Point, noise: str) -> float:
    return eps0(Setting(point.mu, point.sigma, noise=noise))


def wide_threshold(point: Point, design: str) -> float:
    return eps0(wide(point, design))


def wide_best(point: Point, design: str) -> float:
    return best_ratio(wide(point, design), point.eps)


def wide_used(point: Point, design: str) -> bool:
    return point.eps < wide_threshold(point, design)


def ratio_of_norm(point: Point, norm: float) -> float:
    return point.ratio(Margin(), setting=Setting(point.mu, point.sigma, norm=norm))


def reading_weight(point: Point, reading: str, i: int) -> float:
    return READINGS[reading][0](point.mu, point.sigma, point.eps, point.b, point.lam)[i]


def w1_is_small(point: Point) -> bool:
    """Whether the decay ensures w1 <= k/3 (CE-monotone-ends) up to eps + STEP mu; k falls on the way."""
    k = float(point.setting.k(point.eps + STEP * point.mu))
    return point.lam >= point.sigma**2 * min(3.0, 6 * math.exp(-k * k / 2))


def two_weight_error(k: float) -> float:
    """The least robust error of two weights."""
    return 1 - float(joint_accuracy(r_acc(k), k))


SMOOTHED, EXACT = SmoothedMargin, partial(CrossEntropy, attack="exact")
QUANTITIES: dict[str, tuple[str, Callable[[Point], float | None]]] = {
    "k": ("(mu - 2 eps)/sigma", lambda p: p.k),
    "lam/sigma^2": ("L, the decay in units of the noise", lambda p: p.lam / p.sigma**2),
    "eps0": ("from there on the margin loss has w2 = 0", lambda p: eps0(p.setting)),
    "eps1": ("from there on the smoothed margin has w2 = 0", lambda p: eps1(p.setting, p.b)),
    "eps_max": ("mu/2: from there on w1 = 0, too", lambda p: eps_max(p.setting)),
    "attack costs": ("2 eps (w1 + w2), off every margin", lambda p: 2 * p.eps * sum(p.weights(Margin()))),
    "w1": ("margin loss", lambda p: p.weights(Margin())[0]),
    "w2": ("margin loss", lambda p: p.weights(Margin())[1]),
    "w1, by brute force": ("margin loss, minimised over the attack's vertices",
                           lambda p: p.weights(Margin(), method="numeric")[0]),
    "w2, by brute force": ("margin loss, minimised over the attack's vertices",
                           lambda p: p.weights(Margin(), method="numeric")[1]),
    "r_AT": ("w2/w1 of the margin loss", lambda p: p.ratio(Margin())),
    "w2 smoothed": ("smoothed margin", lambda p: p.weights(SMOOTHED(p.b))[1]),
    "w2 smoothed, by brute force": ("smoothed margin, minimised over the attack's vertices",
                                    lambda p: p.weights(SMOOTHED(p.b), method="numeric")[1]),
    "r smoothed": ("w2/w1 of the smoothed margin", lambda p: p.ratio(SMOOTHED(p.b))),
    "w2 hinge": ("hinge loss of the least margin", lambda p: p.weights(WorstMargin("hinge"))[1]),
    "w2 hinge smoothed": ("the same, of the smoothed margin", lambda p: p.weights(WorstMargin("hinge", p.b))[1]),
    "eps0, soft target, delta*": ("soft-target margin under delta*", lambda p: threshold_closed(
        p.setting, SoftTargetMargin(p.b, "monotone"))),
    "eps0, soft target, exact": ("soft-target margin under its exact attack", lambda p: threshold_closed(
        p.setting, SoftTargetMargin(p.b))),
    "w1 CE": ("cross-entropy", lambda p: p.weights(CrossEntropy())[0]),
    "w2 CE": ("cross-entropy", lambda p: p.weights(CrossEntropy())[1]),
    "r_CE": ("w2/w1 of cross-entropy", lambda p: p.ratio(CrossEntropy())),
    "r_CE further": (f"the same at eps + {STEP} mu", lambda p: p.ratio(CrossEntropy(), STEP * p.mu)),
    "r_CE at mu/2": ("the limit (9 L + 2)/(9 L + 4)", lambda p: ratio_limit(p.setting, p.lam)),
    "w1 CE smoothed": ("cross-entropy with smoothing b, under delta*", lambda p: p.weights(CrossEntropy(p.b))[0]),
    "w2 CE smoothed": ("cross-entropy with smoothing b, under delta*", lambda p: p.weights(CrossEntropy(p.b))[1]),
    "r_CE smoothed": ("w2/w1 of it", lambda p: p.ratio(CrossEntropy(p.b))),
    "w1 CE exact": ("cross-entropy with smoothing b, exact attack", lambda p: p.weights(EXACT(p.b))[0]),
    "w2 CE exact": ("cross-entropy with smoothing b, exact attack", lambda p: p.weights(EXACT(p.b))[1]),
    "r_CE exact": ("w2/w1 of it", lambda p: p.ratio(EXACT(p.b))),
    "r_CE entries": ("w2/w1 of cross-entropy, lam_c = 2 lam_e", lambda p: p.ratio(CrossEntropy(), lam_c=2 * p.lam)),
    "r_AT entries": ("w2/w1 of the margin loss, lam_c = 2 lam_e", lambda p: p.ratio(Margin(), lam_c=2 * p.lam)),
    "r distilled": (f"cross-entropy with a teacher of weights {TEACHER} on the same input",
                    lambda p: p.ratio(Distillation(TEACHER))),
    "w2 log-sum-exp": (f"wrong-class log-sum-exp at tau = {TAU}", lambda p: p.weights(WrongClassLSE(TAU))[1]),
    "r_acc": ("the ratio of the highest joint accuracy", lambda p: r_acc(p.k)),
    "b*": ("the smoothing with which the smoothed margin has the ratio r_acc", lambda p: b_star(p.k)),
    "b* entries": ("the same with lam_c = 2 lam_e: outside of (0, 1) no smoothing reaches it",
                   lambda p: best_smoothing(p.setting, p.eps, "entries")),
    "k_x": ("above it every smoothing helps", lambda p: crossover()),
    "P'(0)": ("slope of joint accuracy in w2/w1, at 0", lambda p: joint_slope(0.0, p.k)),
    "P(0)": ("joint accuracy at w2 = 0", lambda p: joint_accuracy(0.0, p.k)),
    "P(r_AT)": ("joint accuracy of the margin loss", lambda p: joint_accuracy(p.ratio(Margin()), p.k)),
    "P(r_acc)": ("the highest", lambda p: joint_accuracy(r_acc(p.k), p.k)),
    "P(1)": ("joint accuracy at w2 = w1", lambda p: joint_accuracy(1.0, p.k)),
    "P(r smoothed)": ("joint accuracy of the smoothed margin", lambda p: joint_accuracy(p.ratio(SMOOTHED(p.b)), p.k)),
    "pair(0.5)": ("accuracy against one class at w2 = w1/2", lambda p: pairwise_accuracy(0.5, p.k)),
    "pair(1)": ("accuracy against one class at w2 = w1", lambda p: pairwise_accuracy(1.0, p.k)),
    "pair(2)": ("accuracy against one class at w2 = 2 w1", lambda p: pairwise_accuracy(2.0, p.k)),
    **{f"eps0, {noise}": (f"margin loss, {noise} noise of the same deviation", partial(threshold_of, noise=noise))
       for noise in ("normal", "laplace", "uniform")},
    **{f"eps0, {CLASSES} classes, {design}": (f"margin loss, design {design}", partial(wide_threshold, design=design))
       for design in "AB"},
    **{f"r_acc, {CLASSES} classes, {design}": (f"the best ratio, design {design}", partial(wide_best, design=design))
       for design in "AB"},
    f"r_CE, {CLASSES} classes, A": ("cross-entropy, design A", lambda p: p.ratio(CrossEntropy(), setting=wide(p, "A"))),
    f"r_AT, {CLASSES} classes, A": ("margin loss, design A", lambda p: p.ratio(Margin(), setting=wide(p, "A"))),
    f"r_AT, {CLASSES} classes, B": ("margin loss, design B, decay on the entries of W centred",
                                    lambda p: p.ratio(Margin(), setting=wide(p, "B"), penalty="centred")),
    **{f"r, l{p}": (f"w2/w1 of the margin loss under an l{p} attack", partial(ratio_of_norm, norm=p))
       for p in (1, 2, 4)},
    "r'(0)": ("slope of w2/w1 in time, at the start", lambda p: -p.sigma**2 / 9 if p.k > 0 else None),
    "forgotten from": ("gamma/d from where w2 is forgotten", lambda p: forgetting_range(p.k)[0]),
    "not learned from": ("gamma/d from where w2 is never learned", lambda p: forgetting_range(p.k)[1]),
    "CAS": ("of the margin loss's ratio", lambda p: 6 * p.ratio(Margin())**2 / (1 + 2 * p.ratio(Margin())**2)),
    "CAS, rows centred": ("the same classifier", lambda p: 6 * p.ratio(Margin())**2 / (4 + 2 * p.ratio(Margin())**2)),
    "margin-CAS": ("r^2/(1 + r^2) of the same", lambda p: p.ratio(Margin())**2 / (1 + p.ratio(Margin())**2)),
    "corr": ("of two margins, 1/(1 + r^2) at r = r_AT", lambda p: 1 / (1 + p.ratio(Margin())**2)),
    "tau*": ("temperature at which the log-sum-exp has r_acc", lambda p: tau_star(p.setting, p.eps, p.lam)),
    "Bayes error": ("the least robust error of any classifier", lambda p: bayes.bayes_error(p.setting, p.eps)),
    "exclusive error": ("of exclusive features alone", lambda p: bayes.exclusive_error(p.setting, p.eps)),
    "two-weight error": ("of the best two weights", lambda p: two_weight_error(p.k)),
    "affine error": ("approached by linear scores with constants", lambda p: bayes.affine_error(p.k)),
    "linear error, eps = 0": ("approached by W x, without constants", lambda p: bayes.linear_error(p.mu / p.sigma)),
    "two-weight error, eps = 0": ("of the best two weights", lambda p: two_weight_error(p.mu / p.sigma)),
    "chance": (f"that {EXAMPLES} examples give w2 > 0", lambda p: chance_used(p.k, EXAMPLES)),
}
MARGINS, SOFT, SMOOTH = "eps0|eps_max|w1|w2|r_AT", "w1 CE|w2 CE|r_CE", "w1 CE smoothed|w2 CE smoothed|r_CE smoothed"
EXACTLY, BEST = "w1 CE exact|w2 CE exact|r_CE exact", "k|r_acc|P(0)|P(r_acc)|P(1)"
FURTHER = "k|lam/sigma^2|r_CE|r_CE further"

Condition = tuple[str, Callable[[Point], bool]]  # in words, and whether a point meets it
EVERYWHERE: Condition = ("", lambda p: True)
ALIVE: Condition = ("eps < mu/2", lambda p: p.k > 0)
BELOW_EPS0: Condition = ("eps < eps0", lambda p: p.eps < eps0(p.setting))
SMOOTHED_LABELS: Condition = ("0 < b", lambda p: p.b > 0)
STRONG: Condition = (f"lam/sigma^2 >= 3, or >= 6 exp(-k^2/2) up to eps + {STEP} mu", w1_is_small)
BELOW_EPS1: Condition = ("0 < b and eps < eps1", lambda p: p.b > 0 and p.eps < eps1(p.setting, p.b))


def up_to(end: float) -> Condition:
    """For 0 < k <= end."""
    return f"0 < k <= {end}", lambda p: 0 < p.k <= end


# claim -> its quantities; with the inequalities between them that it states, a < b, and where it states each
SPEAKS_OF: dict[str, tuple[str, tuple[tuple[str, Condition], ...]]] = {
    "A1": ("w1|w2|attack costs", ()),
    "T1": (f"k|{MARGINS}|w1, by brute force|w2, by brute force", (("eps0 < eps_max", EVERYWHERE),)),
    "T1-W": ("w1|w2", ()),
    "N1": ("k|eps0|P'(0)", ()),
    "U1": ("eps0|eps1|eps_max|w2|w2 hinge", (("eps0 < eps1", SMOOTHED_LABELS),)),
    "U1-l1": ("eps0|w2 hinge", ()),
    "U1-smoothing": ("eps0|eps1|w2 hinge|w2 hinge smoothed", (("w2 hinge < w2 hinge smoothed", BELOW_EPS1),)),
    "T2-pair": ("k|pair(0.5)|pair(1)|pair(2)", (("pair(0.5) < pair(1)", ALIVE), ("pair(2) < pair(1)", ALIVE))),
    "T2-joint": (BEST, (("P(r_acc) < P(1)", ALIVE),)),
    "T2-joint'": (BEST, (("P(1) < P(r_acc)", ALIVE),)),
    "T2-unequal": ("k|r_acc", ()),
    "N2": ("k|r_AT|r_acc|P(r_AT)|P(r_acc)", (("r_AT < r_acc", BELOW_EPS0),)),
    "N2-unequal": ("k|r_AT|r_acc", (("r_AT < r_acc", BELOW_EPS0),)),
    "T3": ("eps0|eps1|eps_max|w2|w2 smoothed|w2 smoothed, by brute force|r smoothed",
           (("eps0 < eps1", SMOOTHED_LABELS), ("w2 < w2 smoothed", BELOW_EPS1))),
    "T3-target": ("eps0|eps0, soft target, delta*|eps0, soft target, exact",
                  (("eps0 < eps0, soft target, delta*", SMOOTHED_LABELS),)),
    "N3": ("k|r_AT|r_acc|b*|k_x|r smoothed|P(r_AT)|P(r smoothed)|P(r_acc)", ()),
    "N3-entries": ("k|r_acc|b*|b* entries", ()),
    "S1": (f"k|lam/sigma^2|{SOFT}", ()), "CE-2D": (SOFT, ()),
    "T1-CE": (f"eps0|eps_max|w2|{SOFT}|r_CE at mu/2", ()),
    **{claim: (FURTHER, (("r_CE further < r_CE", where),))
       for claim, where in (("CE-monotone", EVERYWHERE), ("CE-monotone-ends", STRONG))},
    "CE-monotone-corner": (FURTHER, ()),
    "T1-temp": ("eps0|w2|w2 log-sum-exp", ()), "T1-temp-plain": ("w1|w2|w1 CE|w2 CE", ()),
    "T3-CE": (f"k|lam/sigma^2|{SOFT}|{SMOOTH}",
              (("w2 CE < w2 CE smoothed", ("0 < b and eps < mu/2", lambda p: p.b > 0 and p.k > 0)),)),
    "T3-CE-rates": (f"k|lam/sigma^2|{SOFT}|{SMOOTH}", ()),
    "T3-CE-exact": (f"r_CE|{EXACTLY}", ()), "S1-exact": (EXACTLY, ()), "T1-CE-exact": (f"eps_max|{EXACTLY}", ()),
    "N4": ("k|lam/sigma^2|r_acc|r_CE", (("r_acc < r_CE", up_to(ENDS_OF_N4[3])),)),
    "N4-end": ("k|lam/sigma^2|r_acc|r_CE", (("r_acc < r_CE", EVERYWHERE),)),
    "N4-entries": ("k|lam/sigma^2|r_acc|r_CE|r_CE entries", (("r_acc < r_CE entries", EVERYWHERE),)),
    **{claim: (f"k|lam/sigma^2|r_acc, {CLASSES} classes, A|r_CE, {CLASSES} classes, A",
               ((f"r_acc, {CLASSES} classes, A < r_CE, {CLASSES} classes, A", where),))
       for claim, where in (("N4-K", up_to(ENDS_OF_N4[CLASSES])), ("N4-K-end", EVERYWHERE))},
    "N5": ("r_CE|r distilled", ()),
    "G-noise": ("eps0, normal|eps0, laplace|eps0, uniform", ()),
    "G-decay": ("eps0|eps1|r_AT|r_AT entries|r_CE|r_CE entries", ()),
    "G-K": (f"eps0|eps0, {CLASSES} classes, A|eps0, {CLASSES} classes, B", ()),
    **dict.fromkeys(("G-joint-K", "T2-joint-K"), (f"k|r_acc|r_acc, {CLASSES} classes, A", ())),
    "N2-K": (f"k|r_AT, {CLASSES} classes, A|r_acc, {CLASSES} classes, A",
             ((f"r_AT, {CLASSES} classes, A < r_acc, {CLASSES} classes, A",
               ("k above the threshold", partial(wide_used, design="A"))),)),
    "T2-joint-B": (f"k|r_acc, {CLASSES} classes, B", ()),
    "N2-B": (f"k|r_AT, {CLASSES} classes, B|r_acc, {CLASSES} classes, B",
             ((f"r_AT, {CLASSES} classes, B < r_acc, {CLASSES} classes, B",
               ("k above the threshold", partial(wide_used, design="B"))),)),
    "G-lp": ("r_AT|r, l4|r, l2|r, l1", ()),
    "D1": ("k|r smoothed|r_acc|b*|P(1)|P(r_acc)|P(r smoothed)", ()), "D1-any": ("r smoothed", ()),
    "D2": ("r'(0)", ()),
    **dict.fromkeys(("D4", "D4-flows", "D4-unimodal"), ("k|forgotten from|not learned from", ())),
    "CAS": ("r_AT|CAS|CAS, rows centred", ()), "mCAS": ("r_AT|CAS|margin-CAS", ()),
    "P-linear": ("r_CE", ()), "E-margins": ("r_AT|corr|k|tau*", ()),
    "B1": ("Bayes error|exclusive error|two-weight error",
           (("Bayes error < exclusive error", ("eps > 0", lambda p: p.eps > 0)),)),
    "B1-linear": ("Bayes error|affine error|exclusive error|two-weight error",
                  (("two-weight error < affine error",
                    ("eps0 <= eps < mu/2", lambda p: eps0(p.setting) <= p.eps < p.mu / 2)),)),
    "B1-rows": ("linear error, eps = 0|two-weight error, eps = 0",
                (("two-weight error, eps = 0 < linear error, eps = 0", EVERYWHERE),)),
    "G-share": ("eps0", ()), "N1-sample": ("k|eps0|chance", ()),
}


def reading_numbers(claim: str) -> dict[str, tuple[str, Callable[[Point], float | None]]]:
    """The weights of each reading that belongs to a claim without other numbers (`claims.readings`)."""
    if claim in SPEAKS_OF:
        return {}
    meaning = "minimiser over w >= 0; smoothing b where the reading has one"
    return {f"{name} of {reading}": (meaning, partial(reading_weight, reading=reading, i=i))
            for reading, (_, owner) in READINGS.items()
            if owner == claim and "KL" not in reading  # of KL no weights are known, only whether w2 leaves 0
            for i, name in enumerate(("w1", "w2"))}


def value(quantity: Callable[[Point], Any], point: Point) -> float | None:
    """The quantity at the point; None where it does not exist there."""
    try:
        found = quantity(point)
    except (ValueError, NotConverged):
        return None
    return float(found) if found is not None and math.isfinite(found) else None


def less(low: float | None, high: float | None) -> bool | None:
    """Whether low < high; None where one is none, or where rounding leaves them equal.

    >>> less(1.0, 2.0), less(2.0, 1.0), less(1.0, 1 + 1e-16), less(0.0, 0.0), less(1e-300, 2e-300), less(None, 1.0)
    (True, False, None, None, True, None)
    """
    if low is None or high is None or abs(high - low) <= ROUNDING * max(abs(low), abs(high)):
        return None
    return low < high


def at(claim: Claim, point: Point) -> tuple[list[Number], list[Inequality]]:
    """(numbers, inequalities) of a claim at a point, the inequalities judged there.

    Both lists are empty for a claim whose numbers are of settings of its own, which `verify` has.

    >>> from synthmodel.claims.theory import claim_named
    >>> numbers, inequalities = at(claim_named("N2"), Point(sigma=0.5, eps=0.2))
    >>> {number.name: round(number.value, 4) for number in numbers[:3]}, inequalities
    ({'k': 1.2, 'r_AT': 0.5298, 'r_acc': 0.7591}, [Inequality(says='r_AT < r_acc', where='eps < eps0', holds=True)])
    """
    names, inequalities = SPEAKS_OF.get(claim.id, ("", ()))
    quantities = {name: QUANTITIES[name] for name in names.split("|") if name} | reading_numbers(claim.id)
    numbers = [Number(name, value(quantity, point), meaning) for name, (meaning, quantity) in quantities.items()]
    values = {number.name: number.value for number in numbers}
    judged = []
    for words, (where, meant) in inequalities:
        low, high = (values[name] for name in words.split(" < "))
        judged.append(Inequality(words, where, less(low, high) if meant(point) else None))
    return numbers, judged
