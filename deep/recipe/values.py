"""One setting of a recipe: whether a value is of its type, and the value from a word or from JSON or TOML."""

import re
from fractions import Fraction
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

__all__ = ["check_type", "from_plain", "from_word", "parse_eps", "to_word"]

FINEST = 10**20  # the largest denominator; that of every double from 1/2000 on is smaller
FORMS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text that is not empty",
         Fraction: "a fraction such as 8/255 or 0.2", tuple: "a list of fractions such as 1/2"}
SHORT = Repr()  # a value that a damaged file holds can be of any length and depth
SHORT.maxstring = SHORT.maxother = 60
WIDER = {float: (int, float), Fraction: (int, Fraction)}


def parse_eps(text: Any, name: str = "eps") -> Fraction:
    """Return a perturbation size as an exact fraction of the pixel range: "8/255" -> Fraction(8, 255).

    Raises ValueError for anything negative or above 1, so that a bare 8 never trains a network.

    >>> parse_eps("8/255")
    Fraction(8, 255)
    >>> parse_eps("8")
    Traceback (most recent call last):
    ValueError: eps = 8 was given, but it is a fraction of the pixel range between 0 and 1: write 8/255 for 8 levels.
    """
    text = str(text)
    # "1e-999999999" is a number of a billion digits
    if len(text) > 60 or re.search(r"[eE][-+]?[\d_]{4}", text):
        raise ValueError(f"{name} = {text[:60]} was given, but no image resolves so fine a number: write a fraction "
                         "such as 8/255.")
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {text} was given, but it must be a fraction such as 8/255 or 0.2: "
                         "write it so.") from None
    if value.denominator > FINEST:
        raise ValueError(f"{name} = {text} was given, but no image resolves so fine a number: write a fraction such "
                         "as 8/255.")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} = {text} was given, but it is a fraction of the pixel range between 0 and 1: "
                         + (f"write {text}/255 for {text} levels." if value > 1 else "write one such as 8/255."))
    return value


def kind_of(hint: Any) -> tuple[Any, bool]:
    """Return (type, whether None is allowed) of a setting's type hint.

    >>> kind_of(int | None), kind_of(tuple[Fraction, ...])
    ((<class 'int'>, True), (<class 'tuple'>, False))
    """
    if isinstance(hint, UnionType):
        return next(kind for kind in get_args(hint) if kind is not NoneType), True
    return get_origin(hint) or hint, False


def refusal(name: str, value: object, hint: Any) -> ValueError:
    """Return the error for a value of the wrong type, which is shown as its author wrote it."""
    kind, optional = kind_of(hint)
    return ValueError(f"{name} = {value} was given, but it must be of type {kind.__name__}{' or none' * optional}: "
                      f"write {FORMS[kind]}.")


def is_a(kind: Any, value: object) -> bool:
    """Tell whether a value is of a type as mathematics has it: a whole number is a fraction too, True is none."""
    return (isinstance(value, WIDER.get(kind, kind)) and isinstance(value, bool) == (kind is bool)
            and (kind is not str or value != ""))


def check_type(name: str, value: Any, hint: Any) -> None:
    """Raise ValueError unless `value` is of the type that a setting's hint names.

    >>> check_type("epochs", 2.5, int)
    Traceback (most recent call last):
    ValueError: epochs = 2.5 was given, but it must be of type int: write a whole number.
    """
    kind, optional = kind_of(hint)
    fits = is_a(kind, value) and (kind is not tuple or all(is_a(Fraction, item) for item in value))
    if not (fits or (optional and value is None)):
        written = str(value).lower() if isinstance(value, bool | NoneType) else SHORT.repr(value)
        raise refusal(name, written, hint)


def from_plain(name: str, value: Any, hint: Any) -> Any:
    """Return a setting's value from one of JSON or TOML, which write a fraction as a text or a number.

    Raise ValueError as `check_type` does.

    >>> from_plain("drops", ["1/2", 0.75], tuple[Fraction, ...])
    (Fraction(1, 2), Fraction(3, 4))
    """
    kind, _ = kind_of(hint)
    written = value if kind is tuple and isinstance(value, list) else [value]
    if kind in (Fraction, tuple) and all(is_a(str, item) or is_a(float, item) for item in written):
        exact = tuple(parse_eps(item, name) for item in written)
        value = exact if written is value else exact[0]
    check_type(name, value, hint)
    return value


def from_word(name: str, text: str, hint: Any) -> Any:
    """Return a setting's value from the text of `name=text`; raise ValueError as `check_type` does.

    >>> from_word("drops", "1/2,3/4", tuple[Fraction, ...]), from_word("radius", "none", float | None)
    ((Fraction(1, 2), Fraction(3, 4)), None)
    """
    kind, optional = kind_of(hint)
    if optional and text.lower() == "none":
        return None
    if kind is Fraction:
        return parse_eps(text, name)
    if kind is tuple:
        return tuple(parse_eps(part, name) for part in text.split(",") if part)
    try:
        value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise refusal(name, text, hint) from None
    check_type(name, value, hint)
    return value


def to_word(value: Any) -> str:
    """Return the text that `from_word` reads as this value.

    >>> to_word((Fraction(1, 2), Fraction(3, 4))), to_word(None), to_word(True)
    ('1/2,3/4', 'none', 'true')
    """
    if isinstance(value, tuple):
        return ",".join(map(to_word, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
