"""Strategies of exact fractions that reach the boundaries of the claims, and the register of properties.

A property is a test function whose keyword arguments are what the claim says (a constant, a sign, a hypothesis): a
mutant is the same function with another one.
"""

from collections import namedtuple
from fractions import Fraction
from functools import wraps
from inspect import Parameter, Signature

from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from tests.support.exact import near_threshold
from tests.support.statements import CLAIMS, needs

__all__ = ["PROPERTIES", "Model", "about", "attacked", "between", "falsified", "property_of", "ratios", "strengths"]

SHORT = settings.default.max_examples <= 1000  # the ci profile: as many points as a second allows
STEPS = 10**5
PROPERTIES = {}
Property = namedtuple("Property", "holds domain examples")
Model = namedtuple("Model", "mu sigma eps b")


def between(low, high, *more):
    """Fractions in [low, high], even over the interval but for its ends and `more` points, which are drawn often."""
    low, high = Fraction(low), Fraction(high)
    inside = st.integers(0, STEPS).map(lambda i: low + (high - low) * Fraction(i, STEPS))
    return st.one_of(inside, inside, inside, st.sampled_from([low, high, *map(Fraction, more)]))


def strengths(low="1/20", high=8):
    """k = (mu - 2 eps)/sigma: any, and as near to the threshold 1/sqrt(pi) as 1e-12."""
    near = [k for k in near_threshold() if Fraction(low) <= k <= Fraction(high)]
    return st.one_of(between(low, high), st.sampled_from(near)) if near else between(low, high)


def ratios(high=3):
    """r = w2/w1 >= 0, often about 1."""
    return st.one_of(between(0, high, 1), between("1/2", "3/2", 1))


def about(draw, boundary):
    """A positive fraction from 15 % below a real number to 15 % above it, as near as 1e-6 of it."""
    near = Fraction(boundary).limit_denominator(1000)
    return near * (1 + draw(between("-15/100", "15/100", "-1/100", "1/100", "-1/10000", "1/10000", "1/1000000")))


@st.composite
def attacked(draw, smoothing=None):
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


def property_of(claim, examples=200, **domain):
    """Register a test of `claim` over `domain`; the ci profile tries `examples` points, the thorough one all it does.

    A point that falsifies it is printed as the call of `replay` that decides it, where there is one.
    """
    def register(function):
        @wraps(function)
        def test(**point):
            values = {}
            for name, value in point.items():
                values |= value._asdict() if hasattr(value, "_asdict") else {name: value}
            known = claim in CLAIMS and set(needs(claim)) <= set(values)
            note(f"replay({claim!r}, **{ {name: values[name] for name in needs(claim)} })" if known else f"{claim}")
            function(**point)

        drawn = [Parameter(name, Parameter.KEYWORD_ONLY) for name in domain]
        test.__signature__ = Signature(drawn)  # without what a mutant changes
        PROPERTIES[function.__name__.removeprefix("test_")] = Property(function, domain, examples)
        ci = settings(max_examples=examples) if SHORT else settings()
        return ci(given(**domain)(test))
    return register


def falsified(name, **changes):
    """The point that falsifies a mutant of the property `name`, or None; as many points as the ci profile tries."""
    function, domain, examples = PROPERTIES[name]
    found = []

    @settings(max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(**domain)
    def mutant(**point):
        try:
            function(**point, **changes)
        except AssertionError:
            found.append(point)
            raise

    try:
        mutant()
    except AssertionError:
        return found[0]
    return None
