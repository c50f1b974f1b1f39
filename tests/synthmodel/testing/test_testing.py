"""`synthmodel.testing`: its strategies, claims at a setting, and its page, carried out as it stands."""

import importlib
import re
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthmodel import Margin, Setting, SmoothedMargin, WrongClassLSE, eps0, solve, testing, threshold
from synthmodel.testing.replay import point_of
from synthmodel.testing.strategies import LOSSES, NOISES, dyadic
from tests.support.rooms import ROOT

PAGE = (ROOT / "synthmodel/testing/README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(?:# (\S+)\n)?(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTING = Setting(1, 0.5)


@pytest.mark.slow
def test_the_page(tmp_path, monkeypatch, capsys):
    """The property of the page fails with the page's counterexample, which replays as the page says."""
    blocks = BLOCK.findall(PAGE)
    assert [(language, name) for language, name, _ in blocks] == [
        ("python", "test_mine.py"), ("text", ""), ("python", "replayed.py"), ("text", "")]
    assert len([line for line in blocks[0][2].splitlines() if line]) <= 10
    for _, name, text in (blocks[0], blocks[2]):
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "test_mine", raising=False)
    mine = importlib.import_module("test_mine")
    with pytest.raises(AssertionError) as found:
        mine.test_survives()
    assert str(found.value) == blocks[1][2].strip()
    importlib.import_module("replayed")
    assert capsys.readouterr().out == blocks[3][2]


@pytest.mark.parametrize(("claim", "words", "verdict"), [
    ("T1", {"eps": "1/5"}, "holds"), ("T2-pair", {"eps": "1/5", "ratio": "1/2"}, "holds"),
    ("T3", {"eps": 0.2, "loss": SmoothedMargin(0.25)}, "holds"), ("N2", {"eps": "1/4"}, "holds"),
    ("T1-temp", {"lam": "1/10", "loss": WrongClassLSE(0.5)}, "holds"), ("T2-joint'", {"r": 1, "k": 2}, "holds")])
def test_a_claim_at_a_setting(claim, words, verdict):
    assert testing.assert_claim(claim, SETTING, **words).verdict == verdict


def test_a_claim_of_other_settings():
    assert testing.assert_claim("G-K", Setting(2, 1, classes=5), eps=0.5).verdict == "holds"
    unequal = Setting(0.6, sigma_e=0.35, sigma_c=0.6)
    with pytest.raises(AssertionError, match=r"^N2-unequal fails: the sign of -0.*\nReplay it: replay\('N2-unequal'"):
        testing.assert_claim("N2-unequal", unequal)
    assert point_of(unequal)["s_c"] == Fraction(0.6) != Fraction(6, 10)  # the float that the setting holds
    assert "k" not in point_of(unequal)
    assert point_of(Setting(1, 0.3), eps=Fraction(1, 5))["k"] == Fraction(3, 5) / Fraction(0.3)


def test_a_mutant_of_a_claim_fails():
    """The pull of T1 with eps for 2 eps has not the sign of eps0 - eps."""
    def mutant(m, mu, sigma, eps):
        pull = m.number(mu - eps) - m.number(sigma) / m.sqrt(m.pi())
        return [(pull, m.number(mu) / 2 - m.number(sigma) / (2 * m.sqrt(m.pi())) - m.number(eps))]
    with pytest.raises(AssertionError, match=r"mutant fails: the sign of 0.3\d+ is not that of -0.04"):
        testing.assert_claim(mutant, SETTING, eps="2/5")


@pytest.mark.parametrize(("call", "words"), [
    (lambda: testing.assert_claim("T9", SETTING), "the claim 'T9' cannot be replayed: choose"),
    (lambda: testing.assert_claim("T2-pair", SETTING), "r is missing for T2-pair: give k, r"),
    (lambda: testing.assert_claim("N2", Setting(1, 0.5, sigma_c=0.2)), "k is missing for N2"),
    (lambda: testing.assert_claim("N2", SETTING, eps="x"), "eps = 'x' was given, but a claim is decided at exact"),
    (lambda: testing.assert_claim("N2", k=float("nan")), "k = nan"),
    (lambda: testing.assert_claim("T1", Setting(1, 0.5, noise="laplace")), "laplace noise, rho = 0.0 and norm inf"),
    (lambda: testing.assert_claim("T1", Setting(1, 0.5, classes=4)), "4 classes"),
    (lambda: testing.assert_claim("G-K", Setting(1, 0.5, classes=4, design="B")), "4 classes"),
    (lambda: testing.assert_claim("T1", Setting([1, 2])), "one mean of both features, in numbers"),
    (lambda: testing.assert_claim("T1", Setting(1, mu_c=2)), "one mean of both features, in numbers"),
    (lambda: testing.assert_claim("T1", "x"), "was given as the setting"),
    (lambda: testing.losses("huber").example(), "the loss 'huber' was given, but those drawn are margin")])
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_bad_points_get_one_sentence(call, words):
    with pytest.raises(ValueError) as refusal:
        call()
    assert words in str(refusal.value) and str(refusal.value).endswith(".")


@settings(max_examples=20)
@given(setting=testing.settings(unequal=True, noise=testing.noises(), classes=st.integers(3, 5)),
       loss=testing.losses(), eps=testing.attacks("1/4"), ratio=testing.ratios())
def test_what_is_drawn_is_exact(setting, loss, eps, ratio):
    numbers = [setting.mu_e, setting.sigma_e, setting.sigma_c, *(getattr(loss, name) for name in ("b", "tau")
                                                                 if hasattr(loss, name))]
    assert all(Fraction(value).denominator <= 64 for value in numbers)
    assert 0 <= eps <= Fraction(1, 4) and 0 <= ratio <= 3 and setting.noise in NOISES and setting.classes in (3, 4, 5)


@pytest.mark.slow
@settings(max_examples=5)
@given(setting=testing.settings(), loss=testing.losses("margin", "smoothed-margin"), eps=testing.attacks())
def test_the_library_knows_t1_and_t3_at_drawn_settings(setting, loss, eps):
    """w2 > 0 iff eps is below the threshold, which T1 and T3 decide exactly."""
    assert testing.assert_claim("T3" if isinstance(loss, SmoothedMargin) else "T1", setting, eps=eps, loss=loss)
    end = threshold(setting, loss)
    assert abs(float(eps) - end) < 1e-12 or (solve(setting, loss, float(eps), 0.1).w2 > 0) == (float(eps) < end)
    assert not isinstance(loss, Margin) or end == eps0(setting)


def test_dyadic_fractions_lie_within_their_ends():
    @settings(max_examples=20)
    @given(x=dyadic("1/3", "2/3", 3))
    def inside(x):
        assert x in (Fraction(3, 8), Fraction(1, 2), Fraction(5, 8))
    inside()
    assert set(LOSSES) == {"margin", "smoothed-margin", "soft-target-margin", "wrong-class-lse", "cross-entropy"}


def test_without_hypothesis_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "synthmodel.testing.strategies")
    with pytest.raises(ModuleNotFoundError, match=r"^hypothesis is missing, .*: install synthmodel\[test\]\.$"):
        importlib.import_module("synthmodel.testing.strategies")
