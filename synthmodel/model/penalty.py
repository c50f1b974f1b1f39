"""The penalty (lam_e w1^2 + lam_c w2^2)/2 on the two weights, and the three that have a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthmodel.model.setting import Setting, checked, checked_setting, shown

if TYPE_CHECKING:
    from synthmodel.model.types import Broadcast, Real

__all__ = ["PENALTIES", "decays", "weighed"]

PENALTIES = ("weights", "centred", "entries")


def weighed(setting: Setting, penalty: Any) -> tuple[int, int]:
    """(n_e, n_c): how often the penalty of that name counts w1^2 and w2^2.

    "weights": w1^2 + w2^2.  "entries": all entries of W = [w1 I, w2 S], S the features that a class shares, squared:
    K w1^2 + K (K-1) w2^2.  "centred": the same of W less its mean row, (K-1)(w1^2 + s w2^2), s = 1 in design A, K - 2
    in design B, which a general W is given (claim T1-W). Raises ValueError for another name.

    >>> weighed(Setting(), "centred"), weighed(Setting(), "entries")
    ((2, 2), (3, 6))
    """
    if not isinstance(penalty, str) or penalty not in PENALTIES:
        raise ValueError(f"the penalty {shown(repr(penalty))} was given, but it must be on the weights (w1, w2), on "
                         "the entries of W, or on those of the row-centred W: choose weights, entries or centred.")
    classes, wrong = checked_setting(setting).classes, setting.active
    return {"weights": (1, 1), "centred": (wrong, wrong * setting.sharing), "entries": (classes, classes * wrong)}[
        penalty]


def decays(setting: Setting, lam: Real | None = None, lam_e: Real | None = None, lam_c: Real | None = None,
           penalty: str = "weights") -> tuple[Broadcast, Broadcast]:
    """(lam_e, lam_c) of the penalty (lam_e w1^2 + lam_c w2^2)/2: lam times `weighed`, where no own decay is given.

    lam > 0: the decay of both weights, or of all entries of a matrix.  lam_e, lam_c > 0: that of w1, of w2, in its
    place. Numbers or arrays. Raises ValueError for others, where one is missing, and for lam_e or lam_c beside another
    penalty than "weights", which they would contradict.

    >>> decays(Setting(), 0.1), decays(Setting(), 0.1, lam_c=0.4), decays(Setting(), 0.5, penalty="entries")
    ((0.1, 0.1), (0.1, 0.4), (1.5, 3.0))
    """
    counts = weighed(setting, penalty)
    if penalty != "weights" and (lam_e is not None or lam_c is not None):
        raise ValueError(f"lam_e = {shown(lam_e)} and lam_c = {shown(lam_c)} were given with the penalty {penalty}, "
                         "which fixes their quotient: leave them out, or choose the penalty weights.")
    found = []
    for name, own, count in (("lam_e", lam_e, counts[0]), ("lam_c", lam_c, counts[1])):
        if own is None and lam is None:
            raise ValueError(f"neither lam nor {name} was given, but each weight needs a decay: add one.")
        found.append(count * checked("lam", lam, above=0) if own is None else checked(name, own, above=0))
    return found[0], found[1]
