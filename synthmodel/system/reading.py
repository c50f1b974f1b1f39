"""JSON and TOML that somebody hands in: whatever is wrong with the text is a ValueError."""

import json
import tomllib
from typing import Any

__all__ = ["from_json", "from_toml"]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dictionary of (key, value) pairs; ValueError for a key that comes twice, whose value nobody can know."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} comes twice")
    return values


def from_json(text: str | bytes) -> Any:
    """The value of a JSON text or its bytes. ValueError: no JSON, nested too deeply, or a key that comes twice.

    >>> from_json('{"a": [1, null]}')
    {'a': [1, None]}
    >>> from_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def from_toml(content: bytes) -> dict[str, Any]:
    """The table of TOML in UTF-8 bytes, with the errors of `from_json`.

    >>> from_toml(b"a = [1, 2]")
    {'a': [1, 2]}
    """
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
