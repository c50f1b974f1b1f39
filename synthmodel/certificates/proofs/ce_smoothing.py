"""Label smoothing in cross-entropy (T3-CE), and r_CE rising in k for weak signals or strong decay: certified.

Unit noise, smoothing b, w = (w1, w2) > 0; alpha, s, z, P, A, Q as in proofs.ce_monotone, x = w1/w2 - 1, S = w1 + w2,
indices 1 and 2 derivatives in w1 and w2. By S1 w is the minimiser for just one L and one b,

    x (L + A) = Q,      w1 (L + A) = k (P - b).

So every minimiser is a point of the region x A <= Q (L >= 0), w1 Q <= k x P (b >= 0) of (k, v, x), v = S/k, and there
(T3-CE-rates in synthmodel.symbolic.softmax.smoothing)

    "w1", "w2":  w1 and w2 fall in b iff (1+x) Q + w2 x (Q_2 - x A_2) > 0 and Q + w2 x (x A_1 - Q_1) > 0,
    "r":         r = w2/w1 falls in b iff t d/dt (x A - Q) > 0 along the ray t w;
    at b = 0 r rises in k if moreover "tilt": x A_alpha > Q_alpha, and S rises in k, as it does if
    "S1", "S2":  P > alpha A + w1 S M_30 and P > alpha A + w2 S (M_30 + Q_10).

Why boxes with v <= 5 and x <= 1.3 are enough, and which of them lie outside the region: THEORY.md, T3-CE-rates.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from flint import arb, arb_series

from synthmodel.certificates.checker import Lemma, Series, precision
from synthmodel.certificates.gaussian_means import Means, largest, moments
from synthmodel.certificates.proofs.ce_monotone import BITS, lift
from synthmodel.model.setting import checked

__all__ = ["LEMMAS", "at_weights", "bounds", "forms", "near_zero", "place", "ratio_rises", "rising", "smoothing",
           "smoothing_raises"]

V, X = 5.0, 1.3  # the outer faces
TINY = 4e-5  # up to this variance Taylor's formula around variance 0 is used
NARROWEST = 1e-4  # a cell narrower than that is left undecided
OUTSIDE = ("L", "b", "ray")  # where one of these is negative, a point is outside the region
SMOOTHING = ("w1", "w2", "r")
RISING = (*SMOOTHING, "tilt", "S1", "S2")
Cell = tuple[tuple[float, float], ...]  # intervals of k, v, x
MOST = largest(TINY, TINY)  # of |M_ij|; small variances never enter: Cauchy's bound is the smaller one


def place(k: Series, v: Series, x: Series) -> tuple[Series, Series, Series, Series, Series]:
    """Return (w1/k, w2/k, alpha, s, z) for balls or series."""
    w2 = v / (2 + x)
    w1 = (1 + x) * w2
    return w1, w2, k * k * v, k * k * (w1 * w1 + w2 * w2 / 2), k * k * w2 * w2 / 2


def near_zero(alpha: arb, s: arb, z: arb) -> tuple[Means, Means]:
    """Return (M, Q) as `moments` does, for variances up to TINY, 0 included: Taylor's formula in s and z around 0.

    At variance 0 they are derivatives of log(1 + 2 e^{-a} cosh D) at D = 0: with f = 1 - p_1 = 2 e^{-a}/(1 + 2 e^{-a}),
    f' = -f (1 - f), these are M_i0 = -f^(i-1), M_i2 = f^(i), M_04 = -3 f' - 2 f.
    """
    f = [1 / (1 + alpha.exp() / 2)]
    f.append(f[0] * (f[0] - 1))
    f.append(f[1] * (2 * f[0] - 1))
    f.append(f[2] * (2 * f[0] - 1) + 2 * f[1] * f[1])
    exact = {(i + 1, 0): 0 - f[i] for i in range(4)} | {(i, 2): f[i] for i in range(3)} | {(0, 4): 0 - 3*f[1] - 2*f[0]}

    def M(i: int, j: int) -> arb:
        return exact[i, j] + arb(0, 1) * (s.upper() * MOST[i + 2, j] + z.upper() * MOST[i, j + 2])

    return M, lambda i, j: (M(i, j + 2) - M(i + 2, j)) / 2


def forms(k: Series, v: Series, x: Series, M: Means, Q: Means, least: float) -> dict[str, Series]:
    """Return the quantities whose sign is asked for, by name; "L", "b" and "ray" are >= 0 in the region.

    Those named in the module's text, divided by positive factors so that they have limits at k = 0 and v = 0.
    """
    w1, w2, alpha, _, _ = place(k, v, x)
    P, A, q, unit = 0 - M(1, 0), M(2, 0), Q(0, 0), k * k * w2 * x
    share1, share2, tilt = (1 + x) / (2 + x), 1 / (2 + x), x * M(3, 0) - Q(1, 0)
    A1, Q1 = M(3, 0) + w1 * M(4, 0), Q(1, 0) + w1 * Q(2, 0)  # these and the next two over k
    A2, Q2 = M(3, 0) + w2 * (M(4, 0) + M(2, 2)) / 2, Q(1, 0) + w2 * (Q(2, 0) + Q(0, 2)) / 2
    return {
        "L": q - x * (A + least),
        "b": x * P - w1 * q,
        "ray": P - w1 * share1 * (A + least) - w2 * share2 * (A + q + least),
        "w1": (1 + x) * q + unit * (Q2 - x * A2),
        "w2": q + unit * (x * A1 - Q1),
        "r": (tilt + (w1 * share1 + w2 * share2 / 2) * (x * M(4, 0) - Q(2, 0))
              + w2 * share2 / 2 * (x * M(2, 2) - Q(0, 2))),
        "tilt": tilt,
        "S1": P - alpha * A - k * k * w1 * v * M(3, 0),
        "S2": P - alpha * A - k * k * w2 * v * (M(3, 0) + Q(1, 0)),
    }


def bounds(box: Sequence[Series], least: float = 0.0) -> dict[str, tuple[arb, list[float] | None]]:
    """Enclose `forms` on a box of balls (k, v, x): {name: (ball, what each of k, v, x adds to its radius)}.

    By mean value forms; for tiny variances directly, without the second entry.
    """
    k, v, x = box
    sides = place(k, v, x)[2:]
    if sides[1] < TINY and sides[2] < TINY:
        return {name: (value, None) for name, value in forms(k, v, x, *near_zero(*sides), least=least).items()}
    point: list[Series] = [arb(side.mid()) for side in box]
    k, v, x = point
    wide = moments(*sides)
    total = forms(k, v, x, *moments(*place(k, v, x)[2:]), least=least)
    added: dict[str, list[arb]] = {name: [] for name in total}
    for axis in range(3):
        k, v, x = (arb_series([side, int(axis == i)]) for i, side in enumerate(box))
        M, Q = (lift(F, *place(k, v, x)[2:]) for F in wide)
        for name, value in forms(k, v, x, M, Q, least).items():
            added[name].append(value[1] * (box[axis] - point[axis]))
    return {name: (total[name] + sum(parts), [float(abs(part).upper()) for part in parts])
            for name, parts in added.items()}


def judge(cell: Cell, wanted: Sequence[str], least: float) -> tuple[bool | None, list[float] | None]:
    """Decide a cell: (True, None) if it is outside or all wanted forms are positive, else (None, parts of a radius)."""
    box = [arb(low).union(high) for low, high in cell]
    found = bounds(box, least)
    if any(found[name][0] < 0 for name in OUTSIDE):
        return True, None
    open_ones = [name for name in wanted if not found[name][0] > 0] if wanted else ["L"]
    if not open_ones:
        return True, None
    for axis, name in ((2, "L"), (1, "ray")):
        low, high = cell[axis]
        if 0 < low < high and found[name][0].mid() < 0:
            face = [arb(low) if i == axis else side for i, side in enumerate(box)]
            if bounds(face, least)[name][0] < 0:
                return True, None
    return None, found[open_ones[0]][1]


def proved(cell: Cell, wanted: Sequence[str], least: float) -> tuple[bool | None, int]:
    """Return (True, cells) if bisection decides every cell, else (None, cells)."""
    todo, count = [cell], 0
    while todo:
        cell = todo.pop()
        count += 1
        widths = [high - low for low, high in cell]
        try:
            decided, parts = judge(cell, wanted, least)
        except (ValueError, ZeroDivisionError):  # a division by, or the root of, a ball that contains 0
            decided, parts = None, None
        if decided:
            continue
        if max(widths) < NARROWEST:
            return None, count
        if parts is None or not max(parts) < 1e6:
            parts = [width / (high + least_side) for width, (_, high), least_side in
                     zip(widths, cell, (0.05, 0.001, 1), strict=True)]
        axis = max((i for i in range(3) if widths[i] > 0), key=lambda i: parts[i])
        low, high = cell[axis]
        todo += [tuple(part if i == axis else side for i, side in enumerate(cell))
                 for part in ((low, (low + high) / 2), ((low + high) / 2, high))]
    return True, count


def everywhere(k_low: float, k_high: float, wanted: Sequence[str], least: float) -> tuple[bool | None, int]:
    """Prove the box, and that its outer faces, where nothing is wanted, lie outside: (outcome, cells)."""
    k_low, k_high = checked("k_low", k_low, least=0), checked("k_high", k_high, above=0)
    k, v, x = (k_low, k_high), (0.0, V), (0.0, X)
    with precision(BITS):
        results = [proved(*case, least) for case in (((k, v, (X, X)), ()), ((k, (V, V), x), ()), ((k, v, x), wanted))]
    return (True if all(outcome for outcome, _ in results) else None), sum(cells for _, cells in results)


def smoothing(k_low: float, k_high: float, wanted: Sequence[str] = SMOOTHING) -> tuple[bool | None, int]:
    """Certify that these of w1, w2 and r fall strictly in b on [0, 2/3) for all L >= 0, k_low <= k <= k_high, k > 0.

    Returns (outcome, cells): True, or None where undecided.

    >>> smoothing(0.2, 0.21)[0]
    True
    """
    return everywhere(k_low, k_high, wanted, 0.0)


def rising(k_low: float, k_high: float, least: float) -> tuple[bool | None, int]:
    """Certify that r_CE (b = 0) rises strictly in k for k_low <= k <= k_high, k > 0, L >= least: (outcome, cells).

    >>> rising(2.9, 3, 10)[0]
    True
    """
    return everywhere(k_low, k_high, RISING, checked("least", least, least=0))


def at_weights(k: arb, w1: arb, w2: arb) -> tuple[arb, arb, dict[str, arb]]:
    """Return balls (b, L, forms) for which w = (w1, w2) is the minimiser at k; k, w1, w2: balls or exact numbers.

    >>> b, L, found = at_weights(arb(1), arb("1.2"), arb(1))
    >>> 0 < b < arb("0.1") and L > 0 and found["r"] > 0
    True
    """
    v, x = (w1 + w2) / k, w1 / w2 - 1
    M, Q = moments(*place(k, v, x)[2:])
    L = Q(0, 0) / x - M(2, 0)
    return 0 - M(1, 0) - w1 * (L + M(2, 0)) / k, L, forms(k, v, x, M, Q, 0)


def ratio_rises(k: arb, w1: arb, w2: arb) -> bool | None:
    """Certify that r rises in b at the minimiser w = (w1, w2), for its own L > 0 and 0 < b < 2/3: True or None."""
    with precision(BITS):
        b, L, found = at_weights(k, w1, w2)
        return True if L > 0 and 0 < b < arb(2) / 3 and found["r"] < 0 else None


def unequal(d: str, s_c: str, w1: str, w2: str) -> tuple[arb, arb, arb, arb]:
    """(b, lam, w1', w2') as balls: w' > 0 where w = (w1, w2) rises in b at unequal noise, sigma_E = 1, mean d.

    w is the minimiser for just one lam and one b: w1 (lam + A) = w2 (lam + s_c^2 (A + Q)) = d (P - b) (S1), in the
    plane of (w1, s_c w2). w' is w's slope in b times det H/d > 0, (h12 - h22, h12 - h11) (T3-CE-rates).

    >>> b, lam, *rises = unequal("6.3766", "0.12699", "0.566712", "1.17305")
    >>> abs(b - arb("3e-5")) < 1e-9, abs(lam - arb("3.262e-5")) < 1e-9, rises[0] < 0 < rises[1]
    (True, True, True)
    """
    with precision(BITS):
        mean, noise, first, second = (arb(side) for side in (d, s_c, w1, w2))

        def plane(w1: Series, w2: Series) -> tuple[Series, Series, Series]:
            v2 = noise * w2
            return mean * (w1 + w2), w1 * w1 + v2 * v2 / 2, v2 * v2 / 2

        tables = moments(*plane(first, second))
        P, A, Q = 0 - tables[0](1, 0), tables[0](2, 0), tables[1](0, 0)
        own, other = A, noise * noise * (A + Q)
        lam = (second * other - first * own) / (first - second)

        def slopes(w1: Series, w2: Series) -> tuple[arb, arb, arb]:  # of P, of `own` and of `other` along a line
            M, q = (lift(F, *plane(w1, w2)) for F in tables)
            return 0 - M(1, 0)[1], M(2, 0)[1], noise * noise * (M(2, 0) + q(0, 0))[1]

        P1, own1, _ = slopes(arb_series([first, 1]), arb_series([second, 0]))
        P2, own2, other2 = slopes(arb_series([first, 0]), arb_series([second, 1]))
        h11, h12 = lam + own + first * own1 - mean * P1, first * own2 - mean * P2
        h22 = lam + other + second * other2 - mean * P2
        return P - first * (lam + own) / mean, lam, h12 - h22, h12 - h11


def unequal_rises(point: str, which: int) -> arb:
    """1 if that weight rises in b at UNEQUAL[point], for a lam > 0 and a 0 < b < 2/3, else undecided."""
    b, lam, *rises = unequal(*UNEQUAL[point])
    return arb(1) if lam > 0 and 0 < b < arb(2) / 3 and rises[which] > 0 else arb.nan()


def slabs(certificate: Callable[[float, float], tuple[bool | None, int]],
          cuts: Sequence[float]) -> tuple[bool | None, int]:
    """Prove the certificate on each slab in k between the cuts: (outcome, cells) of all together."""
    results = [certificate(low, high) for low, high in pairwise(cuts)]
    return (True if all(outcome for outcome, _ in results) else None), sum(cells for _, cells in results)


def smoothing_raises() -> tuple[bool | None, int]:
    """Certify that r rises in b at k = 4, w = (3.1536833, 3.15296006), nearly the minimiser for L = 1e-9, b = 1e-7."""
    return ratio_rises(arb(4), arb("3.1536833"), arb("3.15296006")), 1


UNEQUAL = {"w1": ("12.579", "2.7345", "0.9051006", "0.4736178"), "w2": ("6.3766", "0.12699", "0.566712", "1.17305")}

LEMMAS = {
    **{f"unequal_noise_{name}": Lemma((), ((lambda name=name, i=i: unequal_rises(name, i), 1),))
       for i, name in enumerate(UNEQUAL)},
    "smoothing_lowers_all": partial(slabs, smoothing, (0, 0.1, 0.5, 1, 1.25, 1.5)),
    "smoothing_lowers_weights": partial(slabs, partial(smoothing, wanted=("w1", "w2")), (1.5, 2, 2.5, 3)),
    "smoothing_raises_ratio": smoothing_raises,
    "CE_monotone_weak_signal": partial(slabs, partial(rising, least=0), (0, 0.1, 0.3, 0.5, 0.7, 0.85, 1, 1.1)),
    "CE_monotone_strong_decay": partial(slabs, partial(rising, least=10), (1.1, 2, 3, 3.5)),
}
