"""What a derivation is: a chain of steps, each decided by sympy when it is made; and `derive`, which makes one.

`check` is the only place where a step's truth is decided; `synthmodel.symbolic` states the steps of each claim.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import sympy as sp
from sympy.core.function import Application

__all__ = ["REGISTRY", "Derivation", "Stated", "Step", "Steps", "check", "claim", "derive"]

Case = Mapping[sp.Symbol, sp.Expr]  # a substitution


@dataclass(frozen=True)
class Step:
    """One line of a derivation: `lhs relation rhs`, and whether sympy decided it.

    text: what is shown, in words.  relation: one of = < <= > >=.  holds: the decision of `check`.
    cases: substitutions that together cover the step's domain; it must hold in each of them.
    on: (variable, low, high), the open interval on which a rational inequality was decided by its real roots.
    """

    text: str
    lhs: sp.Basic
    relation: str
    rhs: sp.Basic
    holds: bool
    cases: tuple[Case, ...] = ()
    on: tuple[sp.Symbol, int, int] | tuple[()] = ()

    @property
    def restated(self) -> bool:
        """Whether both sides are the same expression once written down: then its sentence carries it, not sympy."""
        return self.relation in ("=", "<=", ">=") and self.lhs == self.rhs


Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Derivation:
    """A claim (its ID in THEORY.md), the steps that show it, and the formulas they give.

    carried_by: facts used that sympy was not asked to decide.  results: name -> sympy expression.
    """

    claim: str
    steps: Steps
    carried_by: tuple[str, ...]
    results: Mapping[str, sp.Basic]

    @property
    def holds(self) -> bool:
        """True iff sympy decided every step."""
        return all(step.holds for step in self.steps)

    def text(self) -> str:
        """Return the derivation as plain text, two lines a step; a step that only restates is marked.

        >>> from synthmodel.symbolic import derive
        >>> print("\\n".join(derive("T1").text().splitlines()[:3]))
        T1: every step holds
        1. A term x y with |y| <= eps is at most eps |x|.
           x*y <= epsilon*Abs(x)
        """
        lines = [f"{self.claim}: {'every step holds' if self.holds else 'NOT every step holds'}"]
        for number, step in enumerate(self.steps, 1):
            lines += [f"{number}. {step.text}" + ("" if step.holds else " [NOT DECIDED]")
                      + (" [restated]" if step.restated else ""),
                      f"   {step.lhs} {step.relation} {step.rhs}"]
        count = sum(step.restated for step in self.steps)
        if count:
            lines.append(f"Restated: {count} of {len(self.steps)} steps have the same expression on both sides, as it "
                         "was written down; their sentences carry them, and sympy decided the others.")
        return "\n".join([*lines, "Carried by: " + ("; ".join(self.carried_by) or "nothing")])

    def as_dict(self) -> dict[str, Any]:
        """Return carried_by and steps (text, holds, restated, formula) as what JSON can hold; formulas in MathML.

        Browsers typeset MathML without any script. A step that only restates has no formula: its sentence carries it.

        >>> from synthmodel.symbolic import derive
        >>> derive("T1").as_dict()["steps"][0]["formula"][:6]
        '<math '
        """
        signs = {"<=": "≤", ">=": "≥", "<": "&lt;", ">": "&gt;"}

        def formula(step: Step) -> str:
            left, right = (sp.mathml(side, printer="presentation") for side in (step.lhs, step.rhs))
            return (f'<math displaystyle="true">{left}<mo>{signs.get(step.relation, step.relation)}</mo>{right}</math>'
                    .replace("&InvisibleTimes;", "\u2062"))
        return {"carried_by": list(self.carried_by), "steps": [
            {"text": step.text, "holds": step.holds, "restated": step.restated,
             "formula": "" if step.restated else formula(step)} for step in self.steps]}

    def latex(self) -> str:
        r"""Return the derivation as one LaTeX align* environment, two rows a step.

        >>> from synthmodel.symbolic import derive
        >>> derive("T2-pair").latex().splitlines()[0]
        '\\begin{align*}'
        """
        signs = {"<=": r"\le", ">=": r"\ge"}
        escape = str.maketrans({"_": r"\_", "^": r"\^{}", "<": r"\textless{}", ">": r"\textgreater{}"})
        rows = [row for step in self.steps for row in (
            rf"&\text{{{step.text.translate(escape)}{' [restated]' if step.restated else ''}}}\\",
            rf"&{sp.latex(step.lhs)} {signs.get(step.relation, step.relation)} {sp.latex(step.rhs)}\\")]
        return "\n".join([r"\begin{align*}", *rows, r"\end{align*}"])


def _is_zero(expr: sp.Expr) -> bool:
    """Decide whether expr is 0 as a rational function of its square roots and its exp, erf, ... as unknowns."""
    top = sp.expand(sp.numer(sp.together(expr)), power_exp=False)
    # One exponential a term, its exponent in lowest terms, so that equal ones become one unknown.
    top = sp.powsimp(top, combine="exp").replace(sp.exp, lambda e: sp.exp(sp.cancel(e)))
    top = top.xreplace({e: sp.Dummy() for e in top.atoms(Application, sp.Integral, sp.Derivative, sp.Limit)})
    roots: defaultdict[sp.Expr, sp.Dummy] = defaultdict(sp.Dummy)
    top = sp.expand(top).replace(lambda e: e.is_Pow and sp.frac(e.exp) == sp.S.Half,
                                 lambda e: e.base**sp.floor(e.exp) * roots[e.base])
    for base, root in roots.items():
        top = sp.rem(top, root**2 - base, root)
    return sp.expand(top) == 0


def _is_positive(expr: sp.Expr, strict: bool) -> bool:
    forms = (form(expr) for form in (sp.expand, sp.factor, sp.simplify))
    return any((e.is_positive if strict else e.is_nonnegative) is True for e in forms)


def _is_positive_on(expr: sp.Expr, variable: sp.Symbol, low: int, high: int) -> bool:
    """Decide whether a rational function is positive in (low, high): at the midpoint, and no root or pole there."""
    poly = sp.Poly(sp.prod(sp.fraction(sp.cancel(expr))), variable, domain="QQ")
    middle = (low + high) / sp.Integer(2)
    return not any(low < root < high for root in sp.real_roots(poly)) and bool(poly.eval(middle) > 0)


def check(text: str, lhs: sp.Basic, relation: str, rhs: sp.Basic, cases: Sequence[Case] = (),
          on: tuple[sp.Symbol, int, int] | tuple[()] = ()) -> Step:
    """Return the Step `lhs relation rhs`, with `holds` decided by sympy now.

    "=" asks whether lhs - rhs reduces to 0; an inequality, whether the sign of the difference follows from
    the assumptions on the symbols or, given on = (variable, low, high), from the real roots of a rational
    function.  cases: substitutions (dicts), in each of which the relation must hold.  False means undecided
    or false.  Raises ValueError for a relation other than = < <= > >=.

    >>> k, r = sp.symbols("k r", positive=True)
    >>> check("a square", (k - r)**2, "=", k**2 - 2*k*r + r**2).holds, check("a sign", k, "<", 0).holds
    (True, False)
    """
    if relation not in ("=", "<", "<=", ">", ">="):
        raise ValueError(f"the relation {relation!r} is unknown: choose one of = < <= > >=.")
    lhs, rhs = sp.sympify(lhs), sp.sympify(rhs)
    decided: list[bool] = []
    for case in cases or ({},):
        # One doit may only take the constants out of an integral.
        gap = (lhs - rhs).xreplace(case).doit().doit().replace(sp.erfc, lambda e: 1 - sp.erf(e))
        if relation == "=":
            decided += map(_is_zero, gap if isinstance(gap, sp.MatrixBase) else [gap])
        else:
            gap = gap if relation[0] == ">" else -gap
            decided.append(_is_positive_on(gap, *on) if on else _is_positive(gap, "=" not in relation))
    return Step(text, lhs, relation, rhs, all(decided), tuple(cases), tuple(on))


Stated = tuple[Steps, tuple[str, ...], dict[str, sp.Basic]]  # steps, what carries them besides, results
REGISTRY: dict[str, Callable[[], Stated]] = {}  # by claim ID


def claim(name: str) -> Callable[[Callable[[], Stated]], Callable[[], Stated]]:
    """Enter the function below as the derivation of the claim `name`; it returns (steps, carried_by, results)."""
    def enter(function: Callable[[], Stated]) -> Callable[[], Stated]:
        REGISTRY[name] = function
        return function
    return enter


@cache
def derive(claim: str) -> Derivation:
    """Return the Derivation of `claim`, an ID of THEORY.md; computed once, then remembered.

    Its results are expressions in the symbols of `synthmodel.symbolic.symbols`: mu, sigma the mean and deviation
    of a feature, eps the attack, lam the regulariser, b the smoothing, k = (mu - 2 eps)/sigma, r = w2/w1.
    Raises ValueError for an unknown ID.

    >>> derive("T1").results["eps0"], derive("T1").holds
    (mu/2 - sigma/(2*sqrt(pi)), True)
    """
    if claim not in REGISTRY:
        raise ValueError(f"the claim {claim!r} has no derivation here: choose one of {', '.join(REGISTRY)}.")
    steps, carried_by, results = REGISTRY[claim]()
    return Derivation(claim, steps, carried_by, MappingProxyType(results))
