"""`verify`: every status is borne out, and a mutated claim is caught by its own check."""

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest

from synthmodel import Margin, solve
from synthmodel.certificates import CERTIFICATES
from synthmodel.claims.checks import CHECKS
from synthmodel.claims.evidence import Evidence
from synthmodel.claims.registry import CLAIMS, OPEN, PENALTIES, STATUSES
from synthmodel.claims.verify import Row, certified
from synthmodel.model.setting import Setting
from synthmodel.solvers.margin_closed import eps1, ratio_closed
from synthmodel.symbolic import CLAIMS as DERIVED

IDS = [known.id for known in CLAIMS]
THEORY = """A1 T1 T1-W N1 T2-pair T2-joint T2-joint' N2 T3 T3-target N3 S1 T1-CE T1-temp T3-CE N4 N5 T2-joint-K N2-K
D1 D2 D3 D1-any D4""".split()  # IDs of THEORY.md


def test_the_list_is_complete():
    assert len(IDS) == len(set(IDS)) and set(THEORY) <= set(IDS)
    assert all(known.status in STATUSES and known.source in ("paper", "new") for known in CLAIMS)
    assert set(CHECKS) == set(IDS)
    assert all(known.instead for known in CLAIMS if known.status == "refuted")
    assert not any(known.instead for known in CLAIMS if known.status != "refuted")
    assert len(OPEN) >= 4


def test_a_check_is_named_after_its_claim():
    named = {claim: "check_" + claim.lower().replace("'", "_prime").replace("-", "_") for claim in CHECKS}
    assert {claim: check.__name__ for claim, check in CHECKS.items()} == named


def test_every_claim_about_trained_weights_names_its_penalty():
    assert all(known.penalty in PENALTIES for known in CLAIMS)
    silent = {known.id for known in CLAIMS if known.penalty == "none"}
    assert {"T1", "N2", "N3", "S1", "T1-CE", "T3-CE", "N4", "N5", "N1", "G-K", "G-decay"}.isdisjoint(silent)
    trained = ("r_AT", "r_CE", "b*", "lam", "eps0", "uses the")
    assert [known.id for known in CLAIMS if known.id in silent and known.id[0] not in "DTGBR" and any(
        word in known.statement for word in trained)] == []


def test_a_symbolic_claim_has_a_derivation_and_every_derivation_a_claim():
    assert {known.id for known in CLAIMS if known.status == "symbolic"} <= set(DERIVED)
    assert set(DERIVED) <= set(IDS)


def test_a_row_fails_with_any_of_its_parts():
    good, bad = (Evidence(holds, "", 0.0, "") for holds in (True, False))
    claim = CLAIMS[0]
    assert Row(claim, good).holds and Row(claim, good, True, True).holds
    assert not Row(claim, bad, True, True).holds
    assert not Row(claim, good, False).holds and not Row(claim, good, True, False).holds


def test_a_claim_is_certified_by_its_own_certificates_alone(monkeypatch):
    """Of those that are neither slow nor searched for: none of another claim is checked, and one that fails counts."""
    asked = []

    def checked(lemma, folder):
        asked.append(lemma)
        return ("fails" if lemma == "N3" else "holds"), 1
    monkeypatch.setattr(importlib.import_module("synthmodel.certificates.certify"), "check", checked)
    certified.cache_clear()
    try:
        for claim, outcome in (("T1", None), ("N2", True), ("N3", False)):
            asked.clear()
            assert certified(claim) is outcome
            assert asked == [lemma for one in CERTIFICATES if one.claim == claim and one.quick and one.group != "search"
                             for lemma in one.needs]
    finally:
        certified.cache_clear()


def original(module, name):
    return getattr(importlib.import_module(f"synthmodel.claims.checks.{module}"), name)


def scaled(module, name, factor=1.01):
    """The function `name` with its result (a number, an array or a tuple of them) multiplied."""
    function = original(module, name)

    def mutant(*arguments, **options):
        result = function(*arguments, **options)
        return tuple(factor * part for part in result) if isinstance(result, tuple) else factor * result

    return mutant


def more_w2(module, name, factor=1.01):
    """A solver whose w2 is larger."""
    function = original(module, name)

    def mutant(*arguments, **options):
        found = function(*arguments, **options)
        return replace(found, w2=factor * found.w2)

    return mutant


def other_argument(module, name, place, change):
    """A function that is handed a changed argument."""
    function = original(module, name)

    def mutant(*arguments, **options):
        arguments = list(arguments)
        arguments[place] = change(arguments[place])
        return function(*arguments, **options)

    return mutant


R_ACC, B_STAR, MEASURES = original("theorems", "r_acc"), original("theorems", "b_star"), original("samples", "measures")


LIMIT, CROSS = original("decays", "ratio_limit"), original("decays", "solve_cross_entropy")
REST = 7.681335803585775, 2.5492082481313147  # rare_end()
original_best, CURVATURES = original("general", "best_ratio"), original("softmax", "curvatures")


CHANCE = original("bayes", "small_chance")
BEST_OF_MANY = original("losses.many_classes", "best")
AFFINE, SHARING = original("bayes", "affine_scores"), original("bayes", "Sharing")
NESTED, ONE = original("bayes", "nested_rows"), original("bayes", "one_sharing_row")


def solve_margin(setting, eps):
    return solve(setting, Margin(), eps, 1.0).ratio


# claim and what is wrong -> (module of the check, name it uses, mutant)
MUTATIONS = {
    "A1: delta* with the cross-class part reversed": (
        "softmax", "delta_star", lambda w1, w2: np.sign([-w1, w1, w1, -w2, w2, w2])),
    "T1: w2 one per cent larger": ("theorems", "solve_closed", more_w2("theorems", "solve_closed")),
    "T1: threshold one per cent off": ("theorems", "eps1", lambda setting, b: 1.01 * eps1(setting, b)),
    "T1: 1/sqrt(pi) replaced by 1/sqrt(3)": (
        "theorems", "eps1", lambda setting, b: setting.mu / 2 - (1 - b) * setting.sigma / (2 * math.sqrt(3))),
    "T1-W: lam = lam_F": ("softmax", "solve_cross_entropy",
                          other_argument("softmax", "solve_cross_entropy", 3, lambda lam: lam / 2)),
    "N1: eps0 one per cent off": ("theorems", "eps0", scaled("theorems", "eps0")),
    "T2-pair: wrong law": ("theorems", "pairwise_accuracy", lambda r, k: original("theorems", "joint_accuracy")(r, k)),
    "T2-joint: accuracy at w1 higher": ("theorems", "joint_by_quadrature", lambda r, k: 0.87 + r / 100),
    "T2-joint': maximiser one per cent off": ("theorems", "r_acc", scaled("theorems", "r_acc")),
    "T2-joint': monotone past r = 1": ("theorems", "r_acc", lambda k: 1.0),
    "T2-joint': threshold replaced": ("theorems", "r_acc", lambda k: max(R_ACC(k), 1e-3)),
    "T2-joint': accuracy without Owen's T": ("theorems", "joint_accuracy", original("theorems", "pairwise_accuracy")),
    "T2-unequal: best ratio of equal noise": ("general", "best_ratio", lambda setting, eps: 0.5),
    "T2-unequal: accuracy one per cent off": ("general", "accuracy_of", scaled("general", "accuracy_of")),
    "N2: sides exchanged": ("theorems", "r_acc", lambda k: ratio_closed(k) ** 2),
    "N2-unequal: as at equal noise": ("general", "best_ratio", scaled("general", "best_ratio", 3.0)),
    "T3: sign of b flipped": ("theorems", "eps1", lambda setting, b: eps1(setting, 0) - b * setting.sigma / 4),
    "T3: threshold of b = 0": ("theorems", "eps1", lambda setting, b: eps1(setting, 0)),
    "T3-target: threshold of T3": ("softmax", "threshold_closed", lambda setting, loss: eps1(setting, loss.b)),
    "N3: b* five per cent off": ("theorems", "b_star", scaled("theorems", "b_star", 1.05)),
    "N3: b* decreasing": ("theorems", "b_star", lambda k: 1 - B_STAR(k)),
    "S1: another lam": ("softmax", "solve_cross_entropy",
                        other_argument("softmax", "solve_cross_entropy", 3, lambda lam: 1.01 * lam)),
    "CE-2D: another lam": ("softmax", "solve_cross_entropy",
                           other_argument("softmax", "solve_cross_entropy", 3, lambda lam: 1.01 * lam)),
    "T1-CE: limit one per cent off": ("softmax", "ratio_limit", scaled("softmax", "ratio_limit")),
    "T1-CE: a sharp threshold": ("softmax", "solve_cross_entropy", more_w2("softmax", "solve_cross_entropy", 0.0)),
    "CE-monotone: eps and mu/2 - eps exchanged": (
        "softmax", "solve_cross_entropy",
        other_argument("softmax", "solve_cross_entropy", 2, lambda eps: 0.495 - np.asarray(eps))),
    "CE-monotone-ends: half the decay": ("losses.monotone", "solve_cross_entropy", other_argument(
        "losses.monotone", "solve_cross_entropy", 3, lambda lam: lam / 2)),
    "CE-monotone-ends: k upside down": ("losses.monotone", "solve_cross_entropy", other_argument(
        "losses.monotone", "solve_cross_entropy", 0, lambda setting: Setting(1 / setting.mu, 1.0))),
    "CE-monotone-corner: limit one per cent off": ("losses.monotone", "corner_limit",
                                                   scaled("losses.monotone", "corner_limit")),
    "T1-temp: psi one per cent off": ("softmax", "psi_pair", scaled("softmax", "psi_pair")),
    "T1-temp: temperature ten times": (
        "softmax", "solve_lse", other_argument("softmax", "solve_lse", 1, lambda loss: replace(loss, tau=10000.0))),
    "T1-temp-plain: v grows like 1/tau": (
        "softmax", "solve_cross_entropy", lambda setting, loss, eps, lam: solve(setting, Margin(), eps, lam)),
    "T3-CE: smoothing without effect": (
        "softmax", "solve_cross_entropy",
        other_argument("softmax", "solve_cross_entropy", 1, lambda loss: replace(loss, b=0 * loss.b))),
    "S1-exact: no attack": (
        "exact_attack", "solve_exact", other_argument("exact_attack", "solve_exact", 6, lambda eps: 0 * eps)),
    "T1-CE-exact: dies at .49": ("exact_attack", "solve_exact", lambda *a: (1.0, 0.0, 0, 0, 0, 0)),
    "T1-CE-exact-unequal: half the mean": ("exact_attack", "exact_threshold", lambda *a: 0.4),
    "T3-CE-exact: the ratio of b = 0": ("exact_attack", "solve_exact",
                                        other_argument("exact_attack", "solve_exact", 5, lambda b: 0 * b)),
    "N4-end: a larger ratio": ("softmax", "r_acc", lambda k: R_ACC(k) - 0.003),
    "N4: r_acc larger by .02": ("softmax", "r_acc", lambda k: R_ACC(k) + 0.02),
    "N4-K: r_acc larger by .0001": ("losses.many_classes", "best", lambda k, n: BEST_OF_MANY(k, n) + 1e-4),
    "N4-K: another lam": ("losses.many_classes", "solve_cross_entropy", other_argument(
        "losses.many_classes", "solve_cross_entropy", 3, lambda lam: 1.01 * lam)),
    "N4-K-end: a smaller best ratio": ("losses.many_classes", "best", lambda k, n: BEST_OF_MANY(k, n) - 0.003),
    "N4-K-end: a later end of K = 4": ("losses.many_classes", "ENDS", {4: 2.50952}),
    "N5: another lam": ("softmax", "solve", other_argument("softmax", "solve", 3, lambda lam: 1.01 * lam)),
    "G-noise: threshold one per cent off": ("general", "threshold_closed", scaled("general", "threshold_closed")),
    "G-decay: another decay of w2": ("decays", "solve_numeric", other_argument(
        "decays", "solve_numeric", 4, lambda lam: 1.01 * lam)),
    "G-decay: the limit of one decay": ("decays", "ratio_limit", lambda setting, lam, lam_c: LIMIT(setting, lam)),
    "G-decay: W without its cross-class block": ("decays", "entries", lambda w1, w2: 3 * w1**2),
    "N3-entries: r_acc one per cent off": ("decays", "r_acc", lambda k: 1.01 * R_ACC(k)),
    "N4-entries: a smaller best ratio": ("decays", "r_acc", lambda k: R_ACC(k) - 0.01),
    "N4-entries: one decay": ("decays", "solve_cross_entropy", lambda *arguments: CROSS(*arguments[:4])),
    "T3-CE-unequal: smoothing without effect": ("decays", "solve_cross_entropy", other_argument(
        "decays", "solve_cross_entropy", 1, lambda loss: replace(loss, b=0 * loss.b))),
    "T2-unequal: unimodal everywhere": ("general", "sign_changes", lambda k_e, k_c: int(k_c > 0.5641896)),
    "D4-flows: the end at twice its place": ("rare_outliers", "rare_end", lambda: (2 * REST[0], REST[1])),
    "D4-flows: the limit's flow with more pull": ("rare_outliers", "limit_flow", other_argument(
        "rare_outliers", "limit_flow", 1, lambda pull: 1.2 * pull)),
    "G-K: w2 one per cent larger": ("general", "solve_closed", more_w2("general", "solve_closed")),
    "G-joint-K: n classes for n - 1": ("general", "density_sign",
                                       other_argument("general", "density_sign", 2, lambda n: n + 1)),
    "T2-joint-K: the best ratio of one class more": (
        "general", "best_ratio", other_argument("general", "best_ratio", 0,
                                                lambda s: replace(s, classes=s.classes + 1))),
    "N2-K: the ratio of the margin loss is best": (
        "general", "best_ratio", lambda setting, eps: solve_margin(setting, eps)),
    "T2-joint-B: the threshold of design A": ("general", "best_ratio", lambda setting, eps: original_best(
        replace(setting, design="A"), eps)),
    "N2-B: decay on two weights": ("general", "solve_polar", more_w2("general", "solve_polar", 1.5)),
    "T3-CE-rates: A and Q exchanged": ("softmax", "curvatures", lambda *a: CURVATURES(*a)[::-1]),
    "G-lp: another norm": ("general", "solve_closed", other_argument(
        "general", "solve_closed", 0, lambda s: replace(s, norm=s.norm + 0.1 if math.isfinite(s.norm) else 50.0))),
    "D1: b* five per cent off": ("flows", "b_star", scaled("flows", "b_star", 0.8)),
    "D1: limit one per cent off": ("flows", "ratio_closed", scaled("flows", "ratio_closed")),
    "CAS: a negative cosine counts": ("cas", "positive_sum", lambda matrix: float(matrix.sum())),
    "CAS-separation: cosines a tenth off": ("cas", "cosines", scaled("cas", "cosines", 1.1)),
    "CAS-basis: cosines a tenth off": ("cas", "cosines", scaled("cas", "cosines", 1.1)),
    "mCAS: cosines one per cent off": ("cas", "cosines", scaled("cas", "cosines")),
    "P-linear: lam = lam_F": ("cas", "cross_entropy_ratio", other_argument(
        "cas", "cross_entropy_ratio", 2, lambda lam: lam / 2)),
    "D3: noise weights kept": ("samples", "measures", lambda *a, **o: {
        key: np.zeros_like(value) for key, value in MEASURES(*a, **o).items()}),
    "B1-lp: small up to a fifth more": ("bayes", "small_chance", lambda size, *law: CHANCE(1.2 * size, *law)),
    "B1: q for q^2 - q^3/3": ("bayes", "error_of_chances", lambda classes, design, q_e, q: q),
    "B1: the rule's error one tenth larger": ("bayes", "bayes_error", scaled("bayes", "bayes_error", 1.1)),
    "B1: cross-class features are no help": ("bayes", "exclusive_error", lambda setting, eps: 0.0),
    "B1-linear: the limit ten per cent off": ("bayes", "affine_error", scaled("bayes", "affine_error", 1.1)),
    "B1-linear: no constants": ("bayes", "affine_scores", lambda eps: (
        AFFINE(eps)[0], np.zeros(3))),
    "B1-rows: the limit ten per cent off": ("bayes", "linear_error", scaled("bayes", "linear_error", 1.1)),
    "B1-rows: the pair's rows alike": ("bayes", "nested_rows", lambda r: NESTED(r, step=0.0)),
    "B1-rows: classes 2 and 3 with twice the weight": ("bayes", "one_sharing_row", lambda: ONE() * [[1], [2], [2]]),
    "G-share: eps0 one per cent off": ("bayes", "threshold_closed", scaled("bayes", "threshold_closed")),
    "G-share: the attack on w2 costs nothing": ("bayes", "worst_margins", other_argument(
        "bayes", "worst_margins", 4, lambda w2: w2 / 2)),
    "G-share-rule: all classes alike": ("bayes", "Sharing", lambda has: SHARING(
        [[1, 0], [1, 0], [0, 1], [0, 1]])),
    "N1-sample: one example more": ("bayes", "chance_used", other_argument(
        "bayes", "chance_used", 1, lambda size: size + 1)),
    "E-margins: tau* ten per cent off": ("samples", "tau_star", scaled("samples", "tau_star", 1.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutated_claim_is_caught(mutation, monkeypatch):
    module, attribute, mutant = MUTATIONS[mutation]
    module = importlib.import_module(f"synthmodel.claims.checks.{module}")
    assert hasattr(module, attribute)
    monkeypatch.setattr(module, attribute, mutant)
    assert not CHECKS[mutation.split(":")[0]]().holds
