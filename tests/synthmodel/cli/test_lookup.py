"""`synthmodel explain` of a word that is no claim: each symbol by each of its names, words by what speaks of them."""

import json
import math
import re

import pytest

from synthmodel import Margin, Setting, eps0, solve
from synthmodel.__main__ import main
from synthmodel.accuracy.three_classes import r_acc
from synthmodel.claims.registry import CLAIMS, OPEN
from synthmodel.claims.theory import is_claim, source, symbols
from synthmodel.cli.lookup import claims_about, names_of, symbols_named, tidy


def printed(capsys, *words):
    status = main(["explain", *words])
    return status, *capsys.readouterr()


@pytest.mark.parametrize("row", symbols(), ids=lambda row: "|".join(row.latex))
def test_each_symbol_is_found_by_each_of_its_names(row):
    assert set(row.code) | set(row.latex) <= names_of(row)
    for name in names_of(row):
        assert row in symbols_named(name), name


def test_a_symbol_has_its_meaning_its_value_and_its_claims(capsys):
    status, out, err = printed(capsys, "eps0", "--mu", "2", "--sigma", ".3")
    assert (status, err) == (0, "")
    assert out.startswith("ε₀ (eps0): where the margin loss drops w₂: μ/2 - σ/(2 √π)\n  see T1: Margin loss:")
    assert f"eps0 = {1 - 0.15 / math.sqrt(math.pi):.7g}, from there on" in " ".join(out.split())
    assert "chosen by" not in out and "\n  chosen by --lam, here 0.3\n" in printed(capsys, "lam", "--lam", ".3")[1]
    for name, exact in (("eps0", eps0(Setting(2, 0.3))), ("r_acc", r_acc(1.6 / 0.3)), ("k", 1.6 / 0.3),
                        ("r_at", solve(Setting(2, 0.3), Margin(), 0.2, 0.1).ratio), ("L", 0.1 / 0.09)):
        assert main(["explain", name, "--mu", "2", "--sigma", ".3", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["meanings"]
        assert list(row["numbers"].values()) == [pytest.approx(exact, rel=1e-9)], name
    assert main(["explain", "eps0", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["meanings"]
    assert row["defined_in"] == ["T1"] and {"T1", "N2", "U1", "G-noise"} <= {*row["used_by"]}
    assert all("epsilon_0" in source(claim) for claim in row["used_by"])


SPELLINGS = {
    "eps0": ("eps_0", "ε_0", "ε0", "ϵ0", "\\varepsilon_0", "$\\epsilon_0$", "EPS0", "what is eps0?", "eps0.",
             "eps0()", " eps0 "),
    "r_acc": ("r_{acc}", "racc", "r_{\\mathrm{acc}}", "R_ACC", "what does r_acc mean?"), "mu": ("µ", "μ", "\\mu"),
    "b_star": ("b*", "b^*", "bstar", "b^\\star"), "tau_star": ("τ*", "\\tau^*"), "r_ce": ("rCE", "r_{CE}", "rce"),
    "eps": ("ε", "ϵ", "epsilon", "varepsilon"), "delta*": ("\\delta^*", "δ*", "delta^star")}


@pytest.mark.parametrize(("name", "spelling"), [(name, one) for name, many in SPELLINGS.items() for one in many])
def test_a_symbol_is_found_in_any_spelling(name, spelling):
    found = symbols_named(tidy(spelling))
    assert len(found) == 1 and name in found[0].code


@pytest.mark.parametrize(("words", "first"), [
    ("Theorem 2?", ["T2-pair", "T2-joint", "T2-joint'"]), ("CE", ["CE-2D", "CE-monotone"]), ("l2 attack", ["G-lp"]),
    ("l_inf", ["G-lp"]), ("norm", ["G-lp"]), ("CrossEntropy", ["T1-CE"]), ("Gaussian noise", ["G-noise"])])
def test_questions_find_what_was_meant(words, first, capsys):
    status, out, err = printed(capsys, words)
    shown = re.findall(r"^([\w'-]+) \(", out, re.M)
    assert (status, err) == (0, "") and set(first) <= set(shown) and len(shown) < 40, shown


def test_statuses_and_what_is_open(capsys):
    for status in ("certified", "refuted", "tested", "symbolic"):
        _, out, _ = printed(capsys, status)
        shown = re.findall(r"^([\w'-]+) \(", out, re.M)
        assert shown == [claim.id for claim in CLAIMS if claim.status == status]
        assert len(" ".join(out.partition("; `synthmodel explain ID`")[0].split())) > 80  # with its meaning
    _, out, _ = printed(capsys, "not", "proved")
    assert all(line in " ".join(out.split()) for line in OPEN)


def test_a_value_that_is_not_there_or_says_nothing_is_explained(capsys):
    _, out, _ = printed(capsys, "eps0", "--sigma", "3")
    assert "eps0 = -0.3462844 (not above 0: so much noise that w2 = 0 at every attack size)" in " ".join(out.split())
    _, out, _ = printed(capsys, "r_acc", "--eps", "0.7")
    assert "there is no r_acc here (the ratio of the highest joint accuracy)" in " ".join(out.split())


def test_a_symbol_where_a_claim_is_wanted_is_told_where_it_stands(capsys):
    assert main(["derive", "eps0"]) == 2
    assert capsys.readouterr().err == ("synthmodel: 'eps0' was given as a claim, but it is a symbol, of T1: "
                                       "`synthmodel explain eps0` says what it means.\n")


def test_a_letter_of_two_meanings_has_both(capsys):
    _, out, _ = printed(capsys, "phi")
    assert "a convex loss of a margin" in out and "the standard normal density" in out
    _, out, _ = printed(capsys, "E")  # in its own case, for e is an attacked feature
    assert "the active exclusive feature" in out and "attacked" not in out


@pytest.mark.parametrize(("words", "claims"), [
    ("label smoothing", {"T3", "T3-CE", "R-01"}), ("robust overfitting", {"D3", "D4-remedies"}),
    ("Bayes error", {"B1"}), ("temperature", {"T1-temp"}), ("trades", {"R-TRADES"}), ("distillation", {"N5"}),
    ("Laplace noise", {"G-noise"})])
def test_words_find_the_claims_that_speak_of_them(words, claims, capsys):
    status, out, err = printed(capsys, *words.split())
    shown = set(re.findall(r"^([\w'-]+) \(", out, re.M))
    assert (status, err) == (0, "") and claims <= shown and len(shown) < 20
    assert shown == {claim.id for claim in claims_about(words)}
    assert main(["explain", words, "--json"]) == 0
    assert {row["id"] for row in json.loads(capsys.readouterr().out)["claims"]} == shown


def test_claims_go_before_symbols_and_words(capsys):
    for words in (["cas"], ["Theorem", "1"], ["b1"]):
        _, out, _ = printed(capsys, *words)
        assert out.splitlines()[0].endswith("(from the paper)" if "1" in words else "(new here)"), words
    assert all(is_claim(claim.id) and is_claim(claim.id.lower()) for claim in CLAIMS)


@pytest.mark.parametrize(("words", "sentence"), [
    (["grad-cam", "maps"], "'grad-cam maps' was given, but it is no claim and no symbol, and no claim speaks of it: "
     "`synthmodel claims` lists all claims, deep/README.md has what is about networks."),
    (["Theorem", "4"], "the claim 'Theorem 4' is unknown: the nearest are"),
    (["eps0", "--out", "a.png"], "--out = a.png was given, but 'eps0' is no claim, and only claims have pictures: "
     "leave --out away."),
    ([" "], "'' was given, but it is no claim and no symbol"), (["the"], "'the' was given, but it is no claim"),
    (["0"], "'0' was given, but it is no claim"), (["label", "smoothng"], "'label smoothng' was given, but it is no "
     "claim and no symbol, and no claim speaks of it; near it is smoothing: "),
    (["eps0", "--sigma", "-1"], "sigma = -1 was given")])
def test_what_is_not_there_is_said_in_a_sentence(words, sentence, capsys):
    status, out, err = printed(capsys, *words)
    assert (status, out) == (2, "") and err.startswith(f"synthmodel: {sentence}") and err.count("\n") == 1
