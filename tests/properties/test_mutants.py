"""The tests of the properties: mutated claims, each of which the same strategies falsify."""

import math
from fractions import Fraction
from operator import add, ge, gt, lt

import pytest

import tests.properties.test_properties_decay
import tests.properties.test_properties_readings  # noqa: F401 - registers its properties
from synthmodel.accuracy.three_classes import b_star, r_acc
from synthmodel.solvers.margin_closed import eps0
from synthmodel.testing.statements import largest_mean
from tests.properties import test_properties_bayes  # noqa: F401 - it registers its properties
from tests.properties.test_properties import root_three
from tests.properties.test_properties_general import mean_least
from tests.properties.test_properties_softmax import ratio_limit
from tests.support.domains import PROPERTIES, falsified


def one_off(m):
    return m.sqrt(m.pi()) * m.number("1.01")


MUTANTS = {
    "T1: sqrt(3) for sqrt(pi)": ("t1", {"root": root_three}),
    "T1: threshold 1 % off": ("t1", {"root": one_off}),
    "T1: eps for 2 eps": ("t1", {"per": 1}),
    "T1: w1 still lives at eps = mu/2": ("t1", {"alive": ge}),
    "T3: b for 1 - b": ("t3", {"kept": lambda b: b}),
    "T3: eps1 > eps0 at b = 0, too": ("t3", {"least": 0}),
    "T3-target: thresholds above eps0": ("t3_target", {"compare": gt}),
    "T3-target: w1 lives up to mu/2": ("t3_target", {"w1_dies": lambda b: Fraction(1, 2)}),
    "T2-pair: rises beyond r = 1": ("t2_pair", {"peak": Fraction(3, 2)}),
    "T2-joint: rises up to r = 1": ("t2_joint_is_refuted", {"verdict": "holds"}),
    "T2-joint: the slope at 1 is positive": ("t2_joint_is_refuted", {"compare": gt}),
    "T2-joint': r_acc 1 % off": ("t2_joint_unimodal", {"peak": lambda k: 0.99 * r_acc(k)}),
    "T2-joint': threshold at 1/sqrt(3)": ("t2_joint_unimodal", {"root": root_three}),
    "T2-joint': monotone up to r = 1": ("t2_joint_unimodal", {"peak": lambda k: float(r_acc(k) > 0)}),
    "N2: the margin loss uses too much": ("n2", {"compare": gt}),
    "N2: without equal noise": ("n2_unequal", {"reversed_when": lambda s_e, s_c: False}),
    "N2-unequal: reversed when s_C > s_E": ("n2_unequal", {"reversed_when": lambda s_e, s_c: s_c > s_e}),
    "N3: b* falls with k": ("n3", {"compare": gt}),
    "N3: b* 1 % off": ("n3", {"best": lambda k: 0.99 * b_star(k)}),
    "N3: smoothing helps above eps0": ("n3_above_eps0", {"compare": gt}),
    "A1: delta* moves the exclusive features only": ("a1", {"shared": 1}),
    "A1: also for losses that fall in a margin": ("a1", {"slopes": lambda piece: (piece[0], -piece[1], piece[2])}),
    "N1: E max for E min": ("n1", {"means": lambda law: -mean_least(law, 2)}),
    "N1: three wrong classes for two": ("n1", {"means": lambda law: mean_least(law, 3)}),
    "U1: b for 1 - b": ("u1", {"kept": lambda b: b}),
    "U1: eps for 2 eps": ("u1", {"per": 1}),
    "U1: one wrong class more": ("u1_every_law", {"off": 1}),
    "R-*: ends 1 % off": ("ends", {"scale": 0.99}),
    "R-labels: no smoothing": ("labels", {"kept": 0.05}),
    "R-squares: one-hot, eps^2 for 2 eps^2": ("one_hot", {"twice": 1}),
    "R-TRADES: w2 = 0": ("trades", {"sign": 1}),
    "S1: eps for 2 eps": ("s1", {"attack": 1}),
    "S1: r < 0.9": ("s1", {"top": 0.9}),
    "T1-CE: the margin loss's threshold": ("t1_ce", {"threshold": eps0}),
    "T1-CE: limit 1 % off": ("t1_ce", {"limit": lambda *at: 1.01 * ratio_limit(*at)}),
    "r_CE rises with eps": ("ce_ratio_falls_with_eps", {"compare": gt}),
    "T3-CE: weights rise with b": ("t3_ce", {"compare": lt}),
    "N4: r_CE below r_acc": ("n4", {"compare": lt}),
    "N4: for k up to 3": ("n4", {"last": 3}),
    "N4-K: r_CE below r_acc": ("n4_classes", {"compare": lt}),
    "N4-K: for k up to a half beyond the end": ("n4_classes", {"more": 0.5}),
    "T1-temp: a tenth of the bound": ("t1_temp", {"bound": lambda tau, lam: math.sqrt(tau * math.log(2) / lam / 50)}),
    "T1-temp: sharp threshold at tau > 0": ("t1_temp", {"threshold": eps0}),
    "T1-temp: w2 falls with tau": ("t1_temp", {"compare": gt}),
    "D1: b for 1 - b": ("d1", {"end": lambda k, b: 1 - b / (k * math.sqrt(math.pi))}),
    "D1: smoothing 0.8 b* suffices": ("d1", {"rising": lambda b, k: b >= 0.8 * b_star(k)}),
    "D1: b_eff <= b/2": ("effective_smoothing", {"bound": lambda b: b / 2}),
    "G-noise: G/2 for G/4": ("g_noise", {"quarter": 2}),
    "G-noise: 1 + rho for 1 - rho": ("g_noise", {"shared": lambda rho: 1 + rho}),
    "G-K: e_K for e_{K-1}": ("g_classes", {"e_n": lambda m, n: largest_mean(m, min(n + 1, 5))}),
    "G-K: design B without sharing": ("g_classes", {"per": lambda n: 1}),
    "G-lp: p = 2's independence for every p": ("g_lp", {"order": lambda p: 0}),
    "G-lp: for p = 3": ("g_lp", {"order": lambda p: 0 if p == 3 else (p < 2) - (p > 2)}),
    "G-lp: order reversed": ("g_lp", {"order": lambda p: (p > 2) - (p < 2)}),
    "T2-joint-K: e_{K-2} for e_{K-1}": ("t2_joint_classes", {"e_n": lambda m, n: largest_mean(m, n - 1)}),
    "N2-K: the margin loss uses too much": ("t2_joint_classes", {"compare": gt}),
    "T1-W: permuting the exclusive block alone": ("t1_w", {"columns": lambda order: [*order, 3, 4, 5]}),
    "CAS: the same for centred rows": ("cas", {"centred": lambda r: r**2 / (1 + 2 * r**2)}),
    "CAS-separation: normal kurtosis for every law": (
        "separation", {"limit": lambda rho, kurtosis: rho / (1 + 3 * rho)}),
    "CAS-basis: at most K (K - 5/2)": ("basis", {"most": 2.5}),
    "B1: small is within eps": ("bayes_of_all_classifiers", {"reach": 1}),
    "B1-lp: the lower bound at twice the size": ("bayes_of_an_lp_attack", {"more": 1}),
    "B1: the least mass is right": ("bayes_of_all_classifiers", {"pick": min}),
    "B1: 1 + (1-q)^K": ("bayes_closed", {"lost": add}),
    "B1: no error below a tenth": ("bayes_of_a_sharing", {"least": Fraction(1, 10)}),
    "G-share: the attack meets what i lacks only": ("any_sharing", {"cost": lt}),
    "G-share: one class is enough": ("any_sharing", {"lost": any}),
    "N1-sample: one feature for two": ("learning_curve", {"one": lambda chance: chance}),
    "N1-sample: the chance falls with k": ("learning_curve", {"compare": lt}),
    "N1-sample: the larger feature": ("the_weights_of_a_sample", {"least": max}),
    "G-decay: lam_c/lam_e for lam_e/lam_c": ("margin_decay", {"quotient": lambda e, c: c / e}),
    "G-decay: 0 < b* < 1 as under one decay": ("best_smoothing_under_decay", {"inside": lambda used, best, q: True}),
    "G-decay: 0 < b* < 1 iff r_acc < q": ("best_smoothing_under_decay", {"inside": lambda used, best, q: best < q}),
    "G-decay: the limit of one decay": ("cross_entropy_decay", {"limit": lambda law, e, c: ratio_limit(law, e)}),
    "G-decay: w2 rises with lam_c": ("cross_entropy_decay", {"compare": lt}),
    "N3-entries: turns at k = 1": ("n3_entries", {"turn": "1"}),
    "N3-entries: decay on the weights": ("n3_entries", {"penalty": "weights"}),
    "N4-entries: for k up to 2": ("n4_entries", {"last": 2}),
    "N3: full smoothing loses for large k": ("n3_crossover_far", {"compare": lt}),
    "T2-unequal: from k_E = .045 on": ("t2_unequal", {"least": "45/1000"}),
    "T3-CE-unequal: r falls": ("sum_falls_at_unequal_noise", {"quantity": lambda found: found.ratio}),
    "D4-flows: w2 has no slope at 0": ("slope_at_no_cross_class_weight", {"compare": gt}),
    "mCAS: B(K-2,m-2) for B(K-3,m-2)": ("margin_cas", {"most": 2}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_falsified(name):
    """A mutated claim does not survive as many points as the ci profile tries."""
    function, changes = MUTANTS[name]
    assert falsified(function, **changes) is not None


def test_every_property_has_a_mutant_or_is_replayed():
    without = {name for name in PROPERTIES if not name.endswith("_replayed")} - {name for name, _ in MUTANTS.values()}
    assert without == set()
