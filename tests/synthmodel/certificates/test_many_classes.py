"""N4-K-end's certificates: they hold, their means are those of the softmax, and nothing false is certified."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from flint import arb
from scipy.special import softmax

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio
from synthmodel.certificates.certify import CERTIFICATES, LEMMAS
from synthmodel.certificates.checker import examine, precision
from synthmodel.certificates.proofs import n4_classes
from synthmodel.certificates.proofs.n4_classes import POINTS, below_best, chances, slope_sign
from synthmodel.claims.checks.losses.many_classes import ENDS
from synthmodel.claims.theory import claim_named, section
from synthmodel.model.setting import Setting

FILE = Path(__file__).parents[3] / "figures/data/n4_ends.json"
AT_END = {int(point[0]): point for point in POINTS if point[1] != "3"}
DECIMAL = re.compile(r"\d\.\d+")


@pytest.mark.slow
def test_they_hold_beyond_each_end_by_a_hundred_thousandth():
    (row,) = [row for row in CERTIFICATES if row.claim == "N4-K-end"]
    assert [examine(LEMMAS[name], [()]) for name in row.needs] == ["holds"] * len(POINTS) == ["holds"] * 8
    kept = json.loads(FILE.read_text())["N4 ends"]
    for classes, (_, k, L) in AT_END.items():
        assert math.floor(1e5 * kept[str(classes)]["k"]) == round(1e5 * ENDS[classes]) == round(1e5 * float(k)) - 1
        assert float(L) == pytest.approx(kept[str(classes)]["L"], abs=1e-5)


def test_the_list_and_the_theory_name_each_point():
    ks, Ls = [k for _, k, _ in AT_END.values()], [L for *_, L in AT_END.values()]
    claim = claim_named("N4-K-end")
    said = {part.label: DECIMAL.findall(part.text) for part in section(claim.id)}
    assert DECIMAL.findall(claim.instead) == said["What is true"] == ks
    assert DECIMAL.findall(claim.certified) == ["3.2", *Ls] and said["Certified"] == [*Ls, "3.2"]


@pytest.mark.parametrize(("w1", "w2"), [(0.3, 0.29), (1.2, 0.9)])
def test_chances_are_those_of_the_softmax(w1, w2):
    """By a product rule in e and three cross-class features."""
    k = 1.5
    z, weights = np.polynomial.hermite_e.hermegauss(28)
    weights = weights / weights.sum()
    e, *c = np.meshgrid(*[k + z] * 4, indexing="ij")
    p = softmax(np.stack([np.zeros_like(e), *(-w1 * e - w2 * each for each in c)]), axis=0)
    expected = [np.einsum("ijkl,i,j,k,l->", x, *[weights] * 4) for x in (p[0], p[0]**2, p[1]**2)]
    with precision(80):
        found = chances(3, *map(arb, (str(k), str(w1), str(w2))))
    for ball, value in zip(found, expected, strict=True):
        assert ball.rad() < 1e-10 and abs(float(ball.mid()) - value) < 2e-9


@pytest.mark.parametrize(("classes", "k"), [(4, "2.5"), (10, "2.2")])
def test_the_sign_of_the_slope_is_that_of_accuracy(classes, k):
    setting = Setting(float(k), 1.0, classes=classes)
    best = best_ratio(setting, 0.0)
    with precision(80):
        assert slope_sign(arb(best - 1e-9), arb(k), classes - 1) > 0 > slope_sign(arb(best + 1e-9), arb(k), classes - 1)
    assert accuracy_of(setting, best - 0.1, 0.0)[0] < accuracy_of(setting, best - 0.05, 0.0)[0]


def test_nothing_false_is_certified():
    at = POINTS[AT_END[4]]
    assert below_best(4, *map(arb, ("2.51052", "1.88073", *at))) is None  # before the end
    assert below_best(4, *map(arb, ("3", "0.0001", "1", "0.8"))) is None  # no minimiser near: the ball is too wide
    assert below_best(4, *map(arb, ("2.51053", "1.88073", at[0], "0.36"))) is None  # a poor guess, of a smaller ratio
    assert below_best(5, *map(arb, ("2.51053", "1.88073", *at))) is None  # of another number of classes


def test_three_classes_are_n4_s_own_certificate():
    assert below_best(3, *map(arb, ("2.41406", "1.57789", "0.3690593601", "0.3613474120")))
    assert below_best(3, *map(arb, ("2.41405", "1.57789", "0.3690600", "0.3613470"))) is None


def test_a_bound_that_is_too_small_is_seen(monkeypatch):
    """With nodes on the line up to 10 only, the means are known to 1e-3: the sharp points are not decided."""
    monkeypatch.setattr(n4_classes, "LINE", 10)
    assert n4_classes.counterexample(AT_END[4]).is_nan()
