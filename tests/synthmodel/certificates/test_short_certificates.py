"""The certificates: every lemma holds, nothing tampered or false does; numbers to 30 digits against mpmath."""

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import mpmath
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from synthmodel.certificates import CERTIFICATES, certify, enclose, enclosures, search
from synthmodel.certificates.certify import stored
from synthmodel.certificates.checker import DATA, Lemma, ball, examine, precision, read_boxes, sign, tiles
from synthmodel.certificates.proofs import exact_attack, joint_accuracy
from synthmodel.certificates.proofs.joint_accuracy import LEMMAS

STORED = [name for name, lemma in LEMMAS.items() if lemma.region]
SHORT = [one for one in CERTIFICATES if one.group == "short"]
SINGLE = [name for name, lemma in LEMMAS.items() if len(lemma.signs) == 1]


def boxes_of(name):
    return read_boxes(DATA / f"{name}.json") if LEMMAS[name].region else [()]


def files():
    return [DATA / f"{name}.json" for name in STORED]


def outcome(name, lemma=None):
    return examine(lemma or LEMMAS[name], boxes_of(name))


# What holds.

def test_every_short_certificate_holds():
    rows = list(certify())
    assert [row.outcome for row in rows] == ["holds"] * 8 == ["holds"] * len(SHORT)
    assert all(row.holds for row in rows)
    assert all(row.seconds >= 0 for row in rows)
    assert {name for one in SHORT for name in one.needs} == set(LEMMAS) | set(exact_attack.LEMMAS)
    assert all(row.boxes == sum(len(stored(name)) for name in one.needs)
               for row, one in zip(rows, SHORT, strict=True))
    assert all(stored(name) == boxes_of(name) for name in LEMMAS)


def test_make_finds_partitions_that_hold(tmp_path):
    counts = dict(search.make(tmp_path, search.CLOSED))
    assert set(counts) == set(STORED) == {path.stem for path in tmp_path.iterdir()} == {path.stem for path in files()}
    assert all(row.holds for row in certify(folder=tmp_path))
    assert max(path.stat().st_size for path in files()) < 100_000


def test_every_stored_file_has_its_search(tmp_path):
    assert set(search.SEARCHES) == {path.stem for path in DATA.iterdir()}
    with pytest.raises(ValueError, match="the cells of 'threshold' were asked for, but these are stored: F_r, "):
        list(search.make(tmp_path, ["threshold"]))
    assert not list(tmp_path.iterdir())


def test_the_checker_needs_neither_the_partitioner_nor_solvers():
    code = ("import sys, synthmodel; before = set(sys.modules); import synthmodel.certificates; "
            "print('flint' in before, *sorted(set(sys.modules) - before))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    early, *loaded = done.stdout.split()
    assert early == "False" and "flint" in loaded
    assert all(name.startswith("synthmodel.certificates") for name in loaded if name.startswith("synthmodel"))
    assert not {"sympy", "scipy", "mpmath", "torch", "synthmodel.certificates.search"} & set(loaded)


def test_flint_settings_come_back():
    before = ctx.prec, ctx.cap
    try:
        ctx.prec, ctx.cap = 77, 5
        list(certify())
        enclose("k_x", digits=5)
        with pytest.raises(ValueError, match="b\\* exists"):
            enclose("b_star", k="0.55")
        assert (ctx.prec, ctx.cap) == (77, 5)
    finally:
        ctx.prec, ctx.cap = before


# What must not hold: tampered partitions.

def removed(boxes, i, region):
    return boxes[:i] + boxes[i + 1:]


def repeated(boxes, i, region):
    return [*boxes, boxes[i]]


def enlarged(boxes, i, region):
    (low, high), *rest = boxes[i]
    return [*boxes[:i], ((low, high + (high - low) / 1024), *rest), *boxes[i + 1:]]


def moved(boxes, i, region):
    *rest, (low, high) = boxes[i]
    return [*boxes[:i], (*rest, (low + (high - low) / 2**40, high)), *boxes[i + 1:]]


def reversed_ends(boxes, i, region):
    *rest, (low, high) = boxes[i]
    return [*boxes[:i], (*rest, (high, low)), *boxes[i + 1:]]


def all_in_one(boxes, i, region):
    return [*boxes, region]


@pytest.mark.parametrize("tamper", [removed, repeated, enlarged, moved, reversed_ends, all_in_one])
@pytest.mark.parametrize("name", STORED)
def test_tampered_partitions_are_rejected(name, tamper):
    boxes = boxes_of(name)
    for i in range(0, len(boxes), 7):
        assert examine(LEMMAS[name], tamper(boxes, i, LEMMAS[name].region)) == "not a tiling"


def test_a_tampered_file_spoils_its_theorems_only(tmp_path):
    for path in files():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = json.loads((tmp_path / "N3.json").read_text())
    (tmp_path / "N3.json").write_text(json.dumps(rows[:-1]))
    for row, one in zip(certify(folder=tmp_path), SHORT, strict=True):
        assert row.outcome == ("N3: not a tiling" if "N3" in one.needs else "holds")


@pytest.mark.parametrize("text", ["", "[[", "7", "[[[0, 1, 2]]]", '[[["1/0", "1"]]]', "[[[NaN, 1]]]",
                                  "[[[0, Infinity]]]", '{"F_r": 1}', "[[[null, 1]]]",
                                  "[" * 100_000, '{"a":' * 100_000, '[[["0", "1e-999999999"]]]', '[[["0", 1]]]',
                                  '[[["0", "١"]]]'])
def test_unreadable_partitions_are_refused(tmp_path, text):
    (tmp_path / "F_r.json").write_text(text)
    with pytest.raises(ValueError, match="holds no list of boxes"):
        list(certify(folder=tmp_path))


def test_a_partition_may_be_cut_deeper_than_the_stack():
    """1/2, 1/4, ..., 2^-200: each cut lies in the part before it, beyond what is left here of Python's stack."""
    ends = [Fraction(1, 2**k) for k in range(201)]
    boxes = [((Fraction(0), ends[-1]),), *(((low, high),) for high, low in pairwise(ends))]
    region, before = ((Fraction(0), Fraction(1)),), sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        assert tiles(boxes, region)
        assert not tiles([*boxes, boxes[90]], region)
        assert not tiles(boxes[:90] + boxes[91:], region)
    finally:
        sys.setrecursionlimit(before)


def test_a_missing_partition_is_refused(tmp_path):
    with pytest.raises(ValueError, match="regenerate it"):
        list(certify(folder=tmp_path))


def test_an_honest_tiling_too_coarse_is_undecided():
    assert examine(LEMMAS["F_r"], [LEMMAS["F_r"].region]) == "undecided"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=30), st.integers(0, 10**6))
def test_tilings_are_recognised(cuts, spoiled):
    """Random trees of halvings tile; with one box missing they do not."""
    region = LEMMAS["F_r"].region
    boxes = [region]
    for first, where in cuts:
        box = boxes.pop(where % len(boxes))
        boxes += search.halves(box, 0 if first else 1)
    assert tiles(boxes, region)
    boxes.pop(spoiled % len(boxes))
    assert not tiles(boxes, region)


# What must not hold: false claims.

@pytest.mark.parametrize("name", SINGLE)
def test_the_opposite_sign_fails(name):
    ((function, wanted),) = LEMMAS[name].signs
    assert outcome(name, replace(LEMMAS[name], signs=((function, -wanted if wanted else 1),))) == "fails"


def test_flipped_alternatives_are_not_certified():
    for name in ("N3", "gain_slope"):
        *others, (last, wanted) = LEMMAS[name].signs
        assert outcome(name, replace(LEMMAS[name], signs=(*others, (last, -wanted)))) == "undecided"
        assert outcome(name, replace(LEMMAS[name], signs=tuple(others))) == "undecided"  # without it: F has zeros


def test_another_threshold_fails():
    def at(y):
        return examine(Lemma((), ((lambda: joint_accuracy.excess(arb(0), y(), y()), 0),)), [()])
    assert at(lambda: arb(1)) == "holds"
    assert at(lambda: (arb.pi() / 3).sqrt()) == "fails"  # 1/sqrt(3) instead of 1/sqrt(pi)
    assert at(lambda: arb(1) + arb(2)**-60) == "fails"
    assert at(lambda: arb(1, 1e-9)) == "undecided"


def test_with_one_plus_r_nothing_holds(monkeypatch):
    """k (1+r) g - imr(u) in the place of k (1-r) g - imr(u)."""
    true = joint_accuracy.excess
    monkeypatch.setattr(joint_accuracy, "excess", lambda r, y, gap: true(r, y, gap + 2 * r * y))
    assert {outcome(name) for name in ("F_r", "F_end")} == {"fails"}


def test_an_error_of_one_per_cent_is_seen(monkeypatch):
    true = joint_accuracy.excess
    monkeypatch.setattr(joint_accuracy, "excess", lambda r, y, gap: true(r, y, gap * arb("0.99")))
    assert outcome("threshold") == "fails"


@pytest.mark.parametrize(("factor", "found"), [(1.0, "holds"), (1.5, "undecided")])
def test_a_wrong_factor_in_n3_is_seen(factor, found):
    """k F_k + factor (1-r) F_r on a box around (0, 1/sqrt(pi)), where F = 0."""
    def combined(r, k):
        return arb.pi().sqrt() * k * joint_accuracy.f_k(r, k) + factor * (1 - r) * joint_accuracy.f_r(r, k)
    region = ((Fraction(0), Fraction(1, 256)), (Fraction(9, 16), Fraction(145, 256)))
    assert examine(Lemma(region, (*LEMMAS["N3"].signs[:2], (combined, 1))), [region]) == found


def test_regions_that_reach_too_far_are_not_certified(monkeypatch):
    monkeypatch.setattr(search, "MOST_BOXES", 300)
    # for k <= 0, F does not fall with r
    far = Lemma((joint_accuracy.R, (Fraction(-1), Fraction(8))), LEMMAS["F_r"].signs)
    assert examine(far, boxes_of("F_r")) == "not a tiling"
    with pytest.raises(ValueError, match="the claim may be false there"):
        search.bisect(search.CLOSED["F_r"], far)
    corner = ((Fraction(0), Fraction(1, 16)), (Fraction(-1), Fraction(-15, 16)))
    assert examine(Lemma(corner, far.signs), [corner]) == "fails"
    rise = Lemma(((Fraction(0), joint_accuracy.TOP),), LEMMAS["N2_near"].signs)  # F at r_AT rises near 0 only
    with pytest.raises(ValueError, match="the claim may be false there"):
        search.bisect(search.CLOSED["N2_near"], rise)
    # N2 up to k = 9
    nine = Lemma((), ((lambda: joint_accuracy.k_used(ball(joint_accuracy.TOP, joint_accuracy.TOP)) - 9, 1),))
    assert examine(nine, [()]) == "fails"


def test_undecided_is_a_third_outcome():
    wide = ((Fraction(-1), Fraction(1)),)
    assert sign(lambda x: x, wide) is None
    assert sign(lambda x: 1 / joint_accuracy.line(x, 1), wide) is None
    assert sign(lambda x: arb.nan(), wide) is None
    assert sign(lambda x: x - x, ((Fraction(1), Fraction(1)),)) == 0


# The formulas, against mpmath from the definitions.

def mean(function, r):
    """E function(Z, (k+Z)/r + k) by the trapezoidal rule: functions of Phi and phi of z/r are entire, and with this
    step the error is about exp(-(pi/0.3)^2) = 1e-47.
    """
    step = 0.3 * r / mpmath.sqrt(1 + r * r / 2)
    count = int(14 / step)
    return step * mpmath.fsum(mpmath.npdf(step * i) * function(step * i) for i in range(-count, count + 1))


def joint(r, k):
    """Pr(e + r c > 0, e + r c' > 0), e, c, c' ~ N(k, 1)."""
    return mean(lambda z: mpmath.ncdf(k + (k + z) / r) ** 2, r)


def joint_slope(r, k):
    """dP/dr."""
    return mean(lambda z: -2 * mpmath.ncdf(k + (k + z) / r) * mpmath.npdf(k + (k + z) / r) * (k + z) / r**2, r)


def to_mpf(value, digits=25):
    return mpmath.mpf(value.str(digits, radius=False))


POINTS = [(Fraction(1, 8), Fraction(3, 4)), (Fraction(1, 2), Fraction(3, 2)), (Fraction(7, 8), Fraction(5, 2))]


@pytest.mark.slow
@pytest.mark.parametrize(("r", "k"), POINTS)
def test_formulas_against_the_definition(r, k):
    with mpmath.workdps(40), precision(160):
        root_pi, step = mpmath.sqrt(mpmath.pi), mpmath.mpf(10) ** -8  # central differences, good to step^2
        rb, kb = ball(r, r), ball(k, k)
        r, k = mpmath.mpf(r.numerator) / r.denominator, mpmath.mpf(k.numerator) / k.denominator

        def slope(r, k):  # dP/dr without its positive factors (T2-joint), times sqrt(pi/2)
            h, u = k * (1 + r) / mpmath.sqrt(1 + r**2), k * r * (1 + r) / mpmath.sqrt((1 + r**2) * (2 + r**2))
            factor = 2 * mpmath.npdf(h) * mpmath.ncdf(u) / ((1 + r**2) * mpmath.sqrt(2 + r**2))
            return joint_slope(r, k) / factor * mpmath.sqrt(mpmath.pi / 2)

        def gain(k):
            return joint(mpmath.mpf(1), k) - joint(1 - 1 / (root_pi * k), k)
        f_r = (slope(r + step, k) - slope(r - step, k)) / (2 * step)
        f_k = (slope(r, k + step) - slope(r, k - step)) / (2 * step)
        used = 1 / (root_pi * (1 - r))
        rise = (gain(used + step) - gain(used - step)) / (2 * step)
        for found, expected, tolerance in (
                (joint_accuracy.miss(rb, kb), 1 - joint(r, k), 1e-24), (joint_accuracy.f(rb, kb), slope(r, k), 1e-24),
                (joint_accuracy.gain(rb), gain(used), 1e-24), (joint_accuracy.f_r(rb, kb), f_r, 1e-13),
                (joint_accuracy.f_k(rb, kb), f_k / root_pi, 1e-13),
                (joint_accuracy.f_at_fixed_b(rb, kb), k * f_k + (1 - r) * f_r, 1e-13),
                (joint_accuracy.gain_slope(rb), rise / mpmath.npdf(used * (1 + r) / mpmath.sqrt(1 + r**2)), 1e-13)):
            assert abs(to_mpf(found, 30) - expected) < tolerance


@pytest.mark.parametrize(("r", "k"), POINTS)
def test_series_and_closed_derivatives_agree(r, k):
    """The checker's series and the partitioner's formulas, up to their positive factors."""
    with precision(128):
        r, k, pi = ball(r, r), ball(k, k), arb.pi()
        unit = (pi / 2).sqrt()
        pairs = [(joint_accuracy.f_r(r, k), search.f_r(r, k) * unit),
                 (joint_accuracy.f_k(r, k) * pi.sqrt(), search.f_k(r, k) * unit),
                 (joint_accuracy.f_at_fixed_b(r, k), search.fixed_b(r, k) * unit),
                 (LEMMAS["N2_near"].signs[0][0](r) * (1 - r), search.fixed_b(r, search.k_at(r)) * unit)]
        value, slope = search.gain_slope(r)
        pairs += [(joint_accuracy.gain_slope(r), 2 * value), (LEMMAS["gain_slope"].signs[2][0](r), 2 * slope)]
        assert not pairs[0][0].overlaps(pairs[0][1] * arb("1.01"))
        for first, second in pairs:
            assert first.overlaps(second)
            assert first.rel_accuracy_bits() > 90 and second.rel_accuracy_bits() > 90


def test_slopes_behind_the_theorems():
    """dr_acc/dk = -F_k/F_r and db*/dk = sqrt(pi) (k F_k + (1-r) F_r)/(-F_r), against differences of enclosed roots."""
    k, step = Fraction(6, 5), Fraction(1, 10**12)
    with precision(200):
        r, kb = enclose("r_acc", k=k, digits=45), ball(k, k)
        for name, slope in (("r_acc", -joint_accuracy.f_k(r, kb) * arb.pi().sqrt() / joint_accuracy.f_r(r, kb)),
                            ("b_star",
                             -arb.pi().sqrt() * joint_accuracy.f_at_fixed_b(r, kb) / joint_accuracy.f_r(r, kb))):
            rise = enclose(name, k=k + step, digits=45) - enclose(name, k=k - step, digits=45)
            assert abs(rise / ball(2 * step, 2 * step) - slope) < 1e-20


# Numbers to 30 digits, against mpmath by other forms.

def cubic_ratio(k):
    """r_acc by its closed parametrisation: with l = imr(u)/u, r^3 + (l-1) r^2 + (l+2) r - 2 = 0; k from u."""
    def ratio(u):
        level = mpmath.npdf(u) / mpmath.ncdf(u) / u
        return mpmath.findroot(lambda r: r**3 + (level - 1) * r**2 + (level + 2) * r - 2, (0, 1), solver="anderson")

    def excess(u):
        r = ratio(u)
        return u * mpmath.sqrt((1 + r**2) * (2 + r**2)) / (r * (1 + r)) - k
    top = 2 * k / mpmath.sqrt(6)
    return ratio(mpmath.findroot(excess, (top / 1000, top * (1 + mpmath.mpf(10) ** -30)), solver="anderson"))


@pytest.mark.parametrize("k", ["0.5642", "0.6", "1.2", "3", "8"])
def test_best_ratio_and_smoothing_to_30_digits(k):
    with mpmath.workdps(55):
        best = cubic_ratio(mpmath.mpf(k))
        smoothing = 1 - mpmath.sqrt(mpmath.pi) * mpmath.mpf(k) * (1 - best)
        for name, value in (("r_acc", best), ("b_star", smoothing)):
            assert abs(to_mpf(enclose(name, k=k, digits=35), 35) / value - 1) < mpmath.mpf(10) ** -33


def test_threshold_to_30_digits():
    with mpmath.workdps(40):
        worse = -mpmath.quad(lambda z: 2 * z * mpmath.npdf(z) * mpmath.ncdf(z), [-14, -6, -2, 0, 2, 6, 14])
        for mu, sigma in (("1", "0.5"), ("0.3", "0.53")):
            value = (mpmath.mpf(mu) + mpmath.mpf(sigma) * worse) / 2  # (1/2) E min(C, C')
            assert abs(to_mpf(enclose("eps0", mu=mu, sigma=sigma), 30) / value - 1) < mpmath.mpf(10) ** -28


@pytest.mark.slow
def test_crossover_to_30_digits():
    with mpmath.workdps(40):
        def gain(k):
            return joint(mpmath.mpf(1), k) - joint(1 - 1 / (mpmath.sqrt(mpmath.pi) * k), k)
        value = mpmath.findroot(gain, (1.1, 1.2), tol=1e-60)
        assert abs(to_mpf(enclose("k_x"), 30) - value) < mpmath.mpf(10) ** -29


@given(st.fractions(Fraction(1, 2), 8, max_denominator=10**6), st.sampled_from([1, 5, 17, 40]))
def test_balls_are_as_narrow_as_asked_for(k, digits):
    best = enclose("r_acc", k=k, digits=digits)
    if k > Fraction(5642, 10000):
        assert 0 < best < 1
        smoothing = enclose("b_star", k=k, digits=digits)
        assert 0 < smoothing < 1
        assert smoothing.rad() <= abs(smoothing.mid()) / arb(10) ** digits
    assert best.rad() <= abs(best.mid()) / arb(10) ** digits


def test_the_ratio_leaves_zero_at_the_threshold():
    assert enclose("r_acc", k="0.56418958354775628694807945156077258584").is_zero()
    assert 0 < enclose("r_acc", k="0.56418958354775628694807945156077258585") < 1e-36


@pytest.mark.parametrize(("name", "numbers", "words"), [
    ("r_acc", {"k": 1.2}, "write an int, a Fraction, or a text"),
    ("r_acc", {"k": "nan"}, "exact number > 0"),
    ("r_acc", {"k": "-1"}, "exact number > 0"),
    ("r_acc", {"k": True}, "exact number > 0"),
    ("r_acc", {"k": "1/0"}, "exact number > 0"),
    ("r_acc", {"k": "1e999999999"}, "exact number > 0"),
    ("r_acc", {"k": None}, "exact number > 0"),
    ("r_acc", {"k": "0.49"}, "choose such a k"),
    ("r_acc", {"k": 9}, "choose such a k"),
    ("b_star", {"k": "0.55"}, "choose a larger k"),
    ("eps0", {"mu": 1}, "these are offered"),
    ("eps0", {"mu": 1, "sigma": 0}, "exact number > 0"),
    ("eps1", {"mu": 1}, "these are offered"),
    ("k_x", {"k": 1}, "these are offered"),
    ("k_x", {"digits": 301}, "whole number from 1 to 300"),
    ("k_x", {"digits": 0}, "whole number from 1 to 300"),
    ("k_x", {"digits": 30.0}, "whole number from 1 to 300"),
])
def test_bad_requests_are_refused_in_one_sentence(name, numbers, words):
    with pytest.raises(ValueError, match=words) as refusal:
        enclose(name, **numbers)
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize(("function", "found"), [
    (lambda x: x - arb(1) / 3, True), (lambda x: arb(1) / 3 - x, True), (lambda x: x + 1, False),
    (lambda x: -1 - x, False), (lambda x: 2 - x, False), (lambda x: x - 2, False),
    (lambda x: (x - arb(1) / 3) * (1 - x), False),  # its sign at the upper end is 0: not certain
    (lambda x: x * (x - arb(1) / 3), False), (lambda x: (x - arb(1) / 3)**2, False)])
def test_a_root_needs_certain_and_different_signs_at_both_ends(function, found):
    calls = []

    def counted(x):
        calls.append(x)
        assert len(calls) < 500, "it bisects although there is no certain change of sign"
        return function(x)
    ball = enclosures.root(counted, Fraction(0), Fraction(1))
    assert ball.contains(arb(1) / 3) if found else ball.is_nan()
