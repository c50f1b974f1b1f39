"""The register of properties; what they draw is `synthmodel.testing`'s.

A property is a test function whose keyword arguments are what the claim says (a constant, a sign, a hypothesis): a
mutant is the same function with another one.
"""

from collections import namedtuple
from functools import wraps
from inspect import Parameter, Signature

from hypothesis import Phase, given, note, settings

from synthmodel.testing import CLAIMS, needs

__all__ = ["PROPERTIES", "falsified", "property_of"]

SHORT = settings.default.max_examples <= 1000  # the ci profile: as many points as a second allows
PROPERTIES = {}
Property = namedtuple("Property", "holds domain examples")


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
