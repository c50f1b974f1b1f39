"""The sessions of a run, as environment.json has them: whether the next one adds up in the same order."""

from typing import Any

__all__ = ["arithmetic_change"]


def arithmetic_change(before: Any, now: dict[str, Any]) -> str | None:
    """Return a sentence if the bits of a run that goes on will differ from those of an uninterrupted one; else None.

    before, now: its last session and this one. Threads and processes decide the order of sums, and the device, its
    kind of machine and torch the kernels. The threads of a CPU that only feeds a GPU decide nothing.

    >>> session = {"threads": 2, "processes": 1, "device": "cpu", "machine": "x86_64", "torch": "2.6.0"}
    >>> arithmetic_change(session, session | {"threads": 4})
    'this run goes on with threads = 4 after threads = 2, so its bits will differ from those of an uninterrupted one.'
    >>> arithmetic_change(session, session) is None
    True
    """
    if not isinstance(before, dict):
        return None
    kinds = [{**session, "device": str(session.get("device")).partition(":")[0]} for session in (before, now)]
    keys = ["processes", "device", "machine", "torch"] + ["threads"] * (kinds[1]["device"] == "cpu")
    old, new = ([f"{key} = {session[key]}" for key in keys if key in before and kinds[0][key] != kinds[1][key]]
                for session in kinds)
    if not new:
        return None
    return (f"this run goes on with {', '.join(new)} after {', '.join(old)}, so its bits will differ from those of an "
            "uninterrupted one.")
