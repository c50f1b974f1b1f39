"""`synthmodel explain`, `claims` and `derive`: every claim is explained, its numbers are right, nothing is cut off."""

import json
import math
import re

import pytest

from synthmodel import CrossEntropy, Margin, Setting, best_ratio, solve
from synthmodel.__main__ import main
from synthmodel.claims.at_setting import QUANTITIES, SPEAKS_OF, Point, at
from synthmodel.claims.plain import IN_WORDS
from synthmodel.claims.readings import READINGS
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.theory import (
    SHARED,
    claim_named,
    formulas_of,
    readings,
    section,
    source,
    symbols,
    symbols_of,
    used,
)
from synthmodel.cli import explain, printing
from synthmodel.cli.derivations import document
from synthmodel.cli.plain_text import formula, plain
from synthmodel.symbolic import derive

IDS = [claim.id for claim in CLAIMS]


def printed(capsys, *words):
    status = main(list(words))
    return status, *capsys.readouterr()


def numbers(claim, **point):
    found, inequalities = at(claim_named(claim), Point(**point))
    return {number.name: number.value for number in found}, {one.says: one.holds for one in inequalities}


def test_theorem_1_is_explained_at_the_users_setting(capsys):
    status, out, err = printed(capsys, "explain", "t1", "--sigma", ".3", "--eps", "1/5")
    assert (status, err) == (0, "")
    assert out.startswith("T1: proved by algebra (from the paper)\n")
    order = ["Symbols", "Statement (Theorem 1)", "Hypotheses", "Proof", "At mu = 1, sigma = 0.3, eps = 0.2", "Picture",
             "Carried by", "What differs nearby", "Tests that name it"]
    places = [out.index(f"\n{word}") for word in order]
    assert places == sorted(places)
    for words in ("w₁ = max(μ - 2 ε, 0)/λ,", "ε₀ > 0 needs σ < √π μ.", "S(x) ≥ S(x*) + (λ/2) (x - x*)²",
                  f"eps0                {0.5 - 0.15 / math.sqrt(math.pi):.7g} ", "eps0 < eps_max: holds here",
                  "synthmodel plot thresholds --mu 1 --sigma 0.3", "`synthmodel derive T1`", "check_t1 in",
                  "tests/synthmodel/claims/test_verify.py", "(R-scores)", "T1-CE, refuted: Theorem 1's sharp"):
        assert words in out, words


def test_the_numbers_are_those_of_the_solvers():
    found, inequalities = numbers("T1", sigma=0.3, lam=0.2)
    assert found["w2"] == pytest.approx((0.6 - 0.3 / math.sqrt(math.pi)) / 0.2, rel=1e-12)
    assert [found[f"{name}, by brute force"] for name in ("w1", "w2")] == pytest.approx([found["w1"], found["w2"]])
    assert inequalities == {"eps0 < eps_max": True}
    found, inequalities = numbers("N4", lam=0.1)
    assert found["r_CE"] == pytest.approx(solve(Setting(), CrossEntropy(), 0.2, 0.1).ratio)
    assert found["r_acc"] == pytest.approx(best_ratio(Setting(), 0.2)) and inequalities == {"r_acc < r_CE": True}
    found, _ = numbers("N2-B")
    wide = Setting(classes=10, design="B")
    name = "r_AT, 10 classes, B"
    assert found[name] == pytest.approx(solve(wide, Margin(), 0.2, 0.1, penalty="centred").ratio)
    found, _ = numbers("R-labels", eps=0.4)
    assert found["w2 of smoothing as sum_y q_y l_y, delta*"] == 0 < found["w1 of smoothing as sum_y q_y l_y, delta*"]


def test_an_inequality_is_judged_where_it_is_meant():
    assert numbers("N2", eps=0.2)[1] == {"r_AT < r_acc": True}
    assert numbers("N2", eps=0.4)[1] == {"r_AT < r_acc": None}  # beyond eps0 N2 says nothing
    assert numbers("N4", sigma=0.24)[1] == {"r_acc < r_CE": None}  # beyond k = 2.41405
    assert numbers("N4-end", sigma=0.24, lam=1.7 * 0.24**2)[1] == {"r_acc < r_CE": False}  # k = 2.5
    assert numbers("CE-monotone")[1] == {"r_CE further < r_CE": True}  # k = 1.2, lam/sigma^2 = .4
    for setting, holds in (({}, None), ({"lam": 0.74}, None), ({"lam": 0.75}, True),  # lam/sigma^2 = .4, 2.96, 3
                           ({"sigma": 0.2, "lam": 0.003}, None),  # .075, between 6 exp(-k^2/2) at eps and further on
                           ({"sigma": 0.2, "lam": 0.0036}, True)):
        assert numbers("CE-monotone-ends", **setting)[1] == {"r_CE further < r_CE": holds}, setting
    assert numbers("CE-monotone-corner", sigma=0.2)[1] == {}  # it compares no two of its numbers
    assert numbers("T2-joint")[1] == {"P(r_acc) < P(1)": False}  # refuted, at every setting
    assert numbers("T3", b=0)[1] == {"eps0 < eps1": None, "w2 < w2 smoothed": None}
    assert numbers("T3", eps=0.4)[1] == {"eps0 < eps1": True, "w2 < w2 smoothed": None}  # the first for every eps
    for claim in ("T2-pair", "T2-joint", "T2-joint'", "T3-CE"):
        assert set(numbers(claim, eps=0.4)[1].values()) < {True, False}
        assert set(numbers(claim, eps=0.6)[1].values()) == {None}  # beyond mu/2


@pytest.mark.parametrize(("claim", "end"), [("N4", 2.41405), ("N4-K", 2.80572)])
def test_n4_is_judged_up_to_its_end(claim, end):
    (_, (where, meant)), = SPEAKS_OF[claim][1]
    assert where == f"0 < k <= {end}"
    assert [meant(Point(mu=k, sigma=1, eps=0)) for k in (end, end + 1e-5)] == [True, False]
    assert not meant(Point(eps=0.5))  # k = 0


@pytest.mark.parametrize(("claim", "point"), [
    ("T2-joint'", {"sigma": 0.1}), ("T2-joint", {"sigma": 0.1}), ("T2-pair", {"sigma": 0.1, "eps": 0}),
    ("B1", {"sigma": 0.02, "eps": 0.1})])
def test_what_rounding_leaves_equal_is_no_counterexample(capsys, claim, point):
    assert set(numbers(claim, **point)[1].values()) == {None}
    out = printed(capsys, "explain", claim, *(f"--{name}={value}" for name, value in point.items()))[1]
    assert ": says nothing here, or the two cannot be told apart" in " ".join(out.split())


def test_what_does_not_exist_is_no_number(capsys):
    found, _ = numbers("N2", eps=0.6)
    assert found["k"] < 0 and found["r_AT"] is found["r_acc"] is None
    assert numbers("D2")[0]["r'(0)"] == -0.25 / 9 and numbers("D2", eps=0.5)[0]["r'(0)"] is None
    found, _ = numbers("N3-entries", sigma=0.8)
    assert found["b* entries"] == pytest.approx(1 - math.sqrt(math.pi) * 0.75 * (1 - 2 * found["r_acc"]))
    assert numbers("N3-entries", eps=0.45)[0]["b* entries"] is None  # r_acc = 0 without any smoothing
    status, out, _ = printed(capsys, "explain", "N2", "--eps", "0.6", "--json")
    assert status == 0 and json.loads(out)["numbers"][1] == {
        "name": "r_AT", "value": None, "meaning": "w2/w1 of the margin loss"}


def test_every_quantity_is_known_and_used():
    named = {name for names, _ in SPEAKS_OF.values() for name in names.split("|")}
    assert named == set(QUANTITIES)
    assert set(SPEAKS_OF) <= set(IDS)
    for names, inequalities in SPEAKS_OF.values():
        assert all(set(words.split(" < ")) <= set(names.split("|")) for words, _ in inequalities)


def test_a_claim_whose_numbers_are_of_other_settings_says_so(capsys):
    assert numbers("C1") == ({}, {})
    out = printed(capsys, "explain", "C1")[1]
    assert "its numbers are those of settings of its own: `synthmodel verify C1`" in out


def test_every_claim_is_explained_in_plain_text(monkeypatch):
    monkeypatch.setattr(explain, "tests_of", lambda claim: [])
    monkeypatch.setattr(explain, "at", lambda claim, point: ([], []))
    for claim in CLAIMS:
        found = explain.explanation(claim, Point())
        labels = [part["label"].split()[0] for part in found["section"]]
        assert "Statement" in " ".join(labels) and "Hypotheses" in labels
        for greek in (True, False):
            text = "\n".join(plain(part["text"], greek) for part in found["section"])
            assert not re.search(r"\\(?!_)|\$|\*\*|\]\(#|\{\}|\0", text), (claim.id, text)
            assert greek or text.isascii() or not set(re.sub(r"[\x00-\x7f]", "", text)) - set("öéä")
        assert found["picture"] or claim.id in {"C1", "G-share", "G-share-rule"}
        assert f"synthmodel verify {claim.id}" in " ".join(found["carried_by"])


def test_tests_are_named_in_a_checkout_only(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "tests/test_own.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('"T1"')
    monkeypatch.setattr(explain, "__file__", str(tmp_path / "synthmodel" / "cli" / "explain.py"))
    assert explain.tests_of(claim_named("T1")) == ["tests/test_own.py"]
    (tmp_path / "pyproject.toml").unlink()  # as in site-packages
    assert explain.tests_of(claim_named("T1")) == []


def test_the_picture_of_a_claim_is_drawn_beside_its_page(tmp_path, capsys, pictures):
    out = tmp_path / "t1.svg"
    assert main(["explain", "t1", "--sigma", "0.3", "--out", str(out)]) == 0
    assert f"{out}, as drawn by" in " ".join(capsys.readouterr().out.split())
    assert b"<svg" in out.read_bytes()
    (figure,) = pictures
    assert r"\sigma = 0.3" in figure.axes[0].get_title(loc="left")


def test_the_command_of_a_picture_has_the_exact_setting():
    point = Point(mu=2, sigma="1/3", eps=0.1 + 0.2, lam=1e-7)
    words = explain.picture(claim_named("T2-pair"), point).split()
    assert words[:5] == ["synthmodel", "plot", "accuracy", "--mu", "2"]
    assert [float(word) for word in words[4::2]] == [2, 1 / 3, 0.1 + 0.2, 1e-7]


@pytest.mark.parametrize(("claim", "instead"), [
    ("D3", "run `python -m figures.theory.finite_sample`."), ("C1", "it has none at all"),
    ("G-K", "run `synthmodel atlas --out atlas` (phase_classes.png).")])
def test_a_claim_without_a_picture_of_a_setting_is_not_drawn(claim, instead, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(explain, "at", lambda claim, point: pytest.fail("refused only when all is computed"))
    assert main(["explain", claim, "--out", str(tmp_path / "x.png")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{claim} has no picture at a setting of yours" in said.err
    assert instead in said.err
    assert list(tmp_path.iterdir()) == []


def test_symbols_of_one_meaning_are_always_defined():
    everywhere = ("k", "r", "d", "L", r"\epsilon_0", r"\epsilon_1", r"r_{\mathrm{AT}}", r"r_{\mathrm{CE}}", "k_0", "W",
                  r"r_{\mathrm{acc}}", r"\delta^\star", r"b^\star", r"\tau", r"\mu", r"\sigma", "w_1", "R", "e_n")
    for claim in CLAIMS:
        text = formulas_of(source(claim.id))
        defined = {name for symbol in symbols_of(claim.id) for name in symbol.latex}
        assert {name for name in everywhere if used(name, text)} <= defined, claim.id


def test_what_defines_a_symbol_is_defined_too():
    once = {name for symbol in symbols_of("T1") for name in symbol.latex}
    assert {"k", "d", r"\delta"} <= once  # k = d/sigma
    assert not {"w", r"\sigma_E", r"\delta^\star"} & {name for symbol in symbols_of("N2") for name in symbol.latex}
    for claim in CLAIMS:
        found = symbols_of(claim.id)
        defined = {name for symbol in found for name in symbol.latex}
        said = formulas_of("\n".join(symbol.meaning.partition("; ")[0] for symbol in found))
        assert [name for symbol in symbols() for name in symbol.latex
                if name not in SHARED | defined and used(name, said)] == [], claim.id


def test_a_row_of_several_symbols_keeps_the_names_of_each():
    rows = {symbol.latex: (symbol.code, symbol.meaning) for symbol in symbols()}
    assert rows["C_j",] == (("C_2", "C_3"), "the active cross-class features")
    assert rows["E",] == (("E",), "the active exclusive feature")
    assert rows[r"\sigma_E", r"\sigma_C"] == (("sigma_e", "sigma_c"), "its values where the two kinds differ")


def test_a_letter_of_two_meanings_is_not_defined_wrongly():
    names = {name for symbol in symbols_of("T1") for name in symbol.latex}
    assert {"N", "C_j", "f_i", r"\lambda"} <= names  # N is A1's, to which the proof refers
    assert not names & {"c", "x", "S", r"\pi", "T(h, a)", "p_l"}  # the price c, the number pi
    (rho,) = [symbol for symbol in symbols_of("N4") if r"\rho" in symbol.latex]
    assert rho.meaning.startswith("in N4 the scale")
    assert not any("x" in symbol.latex for symbol in symbols_of("CE-monotone"))  # it says x = itself


@pytest.mark.parametrize(("latex", "greek", "names"), [
    (r"\frac{\mu - \sigma e_{K-1}}{2}", "(μ - σ e_{K-1})/2", "(mu - sigma e_{K-1})/2"),
    (r"\epsilon_0 \le \frac{1}{2} \mathbb{E} M", "ε₀ ≤ (1/2) 𝔼 M", "eps0 <= (1/2) E M"),
    (r"\frac{2 \phi(h)}{(1 + r^2) \sqrt{2 + r^2}} F", "(2 ϕ(h)/((1 + r²) √(2 + r²))) F",
     "(2 phi(h)/((1 + r^2) sqrt(2 + r^2))) F"),
    (r"\lvert w \rvert^2 \ge 10^{-9}", "|w|² ≥ 10⁻⁹", "|w|^2 >= 10^(-9)"),
    (r"\max_{j \ne i} f_j - f_i", "max_{j≠i} f_j - f_i", "max_{j!=i} f_j - f_i"),
    (r"\bar\pi_1 - \overline{M}", "π̄₁ - M̄", "pibar1 - Mbar"),
    (r"x^\star + Z^{\prime 2}", "x* + Z'²", "x* + Z'^2"),
    (r"r_{\mathrm{AT}} \to \binom{K-2}{m-2}", "r_AT → C(K-2, m-2)", "r_AT -> C(K-2, m-2)"),
])
def test_formulas(latex, greek, names):
    assert (formula(latex), formula(latex, unicode=False)) == (greek, names)


def test_parts_of_a_section_and_rows_of_the_readings():
    assert [part.label for part in section("N4")][:4] == ["Statement", "Hypotheses",
                                                          "Proof for $k \\le 2.0695$: one inequality", "Certified"]
    assert all(part.text for claim in IDS for part in section(claim))
    assert [row["reading"] for row in readings()] == list(READINGS)
    assert {row["claim"] for row in readings()} == {claim for _, claim in READINGS.values()}


def test_neighbours_are_the_readings_that_differ_and_what_is_refuted_beside():
    found = explain.nearby(claim_named("T3"))
    assert any(line.startswith("0-1 loss: fails: w2 dies at eps0 (R-01)") for line in found)
    assert not any("1 - min_j m_j" in line for line in found)  # the same as for the margin loss
    assert any(line.startswith("T3-target, refuted") for line in found)


@pytest.mark.parametrize("command", ["explain", "derive", "verify"])
def test_an_unknown_claim_gets_one_sentence_with_the_nearest(capsys, command):
    status, out, err = printed(capsys, command, "t9")
    assert (status, out) == (2, "")
    assert err == ("synthmodel: the claim 't9' is unknown: the nearest are T3, T1 and T1-W; `synthmodel claims` lists "
                   "all.\n")


@pytest.mark.parametrize("word", ["T2", "Theorem 2", "theorem2"])
def test_of_theorem_2_the_readings_come_first(word):
    with pytest.raises(ValueError, match="the nearest are T2-pair, T2-joint and T2-joint'; "):
        claim_named(word)


def test_theorems_are_claims_by_their_number():
    for word in ("Theorem 1", "theorem1", "THM. 1", "theorem-1"):
        assert claim_named(word).id == "T1"
    assert claim_named("theorem 3").id == "T3"


def test_claims_in_any_case():
    for claim in CLAIMS:
        for word in (claim.id, claim.id.lower(), claim.id.upper(), claim.id.replace("'", "-prime")):
            assert claim_named(word) is claim


def test_all_claims_with_their_status(capsys):
    status, out, _ = printed(capsys, "claims")
    *lines, empty, last = out.splitlines()
    assert (status, empty, [line.split()[0] for line in lines]) == (0, "", IDS)
    assert all(f"  {IN_WORDS[claim.status]}" in line for claim, line in zip(CLAIMS, lines, strict=True))
    counts = [int(number) for number in re.findall(r"\d+", last)]
    assert counts[0] == sum(counts[1:]) == len(CLAIMS) and counts[4] == sum(
        claim.status == "refuted" for claim in CLAIMS)
    rows = json.loads(printed(capsys, "claims", "--json")[1])
    assert [(row["id"], row["status_in_words"]) for row in rows] == [(c.id, IN_WORDS[c.status]) for c in CLAIMS]


def test_derivations_of_several_claims_in_the_order_of_the_theory(capsys):
    status, out, _ = printed(capsys, "derive", "r-SCORES", "t1-w")
    assert status == 0 and out.index("T1-W: every step holds") < out.index("R-scores: every step holds")
    rows = json.loads(printed(capsys, "derive", "r-SCORES", "t1-w", "--json")[1])
    assert [(row["claim"], row["holds"]) for row in rows] == [("T1-W", True), ("R-scores", True)]
    one = json.loads(printed(capsys, "derive", "t1-w", "--json")[1])
    assert one["text"] == derive("T1-W").text() and one["latex"] == derive("T1-W").latex()


def test_without_a_derivation_the_evidence_is_named(capsys):
    status, out, _ = printed(capsys, "derive", "n4-entries")
    assert status == 0 and out.startswith("N4-entries: no derivation by sympy (refuted: counterexample found)")
    for words in ("r_CE < r_acc with decay on the entries of W", "synthmodel certify --long", "verify N4-entries"):
        assert words in out


def structure(latex):
    """(braces balance, environments nest, what stands outside of formulas) of a LaTeX document."""
    body = latex[latex.index(r"\begin{document}"):]
    depth = 0
    for char in re.sub(r"\\[{}\\]", "", body):
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", body):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == [] and len(re.findall(r"\\left[^a-z]", body)) == len(re.findall(r"\\right[^a-z]", body))
    assert body.count(r"\[") - body.count("\\\\[") == body.count(r"\]") - body.count("\\\\]")
    return depth, re.sub(r"(?<!\\)\\\[.*?\\\]|\$[^$]+\$", "", body, flags=re.S)


def test_latex_is_a_document_that_states_the_claim_and_keeps_what_carries_it(capsys):
    status, out, _ = printed(capsys, "derive", "N4-entries", "t1-w", "--latex")
    assert status == 0 and out == document([claim_named("T1-W"), claim_named("N4-entries")]) + "\n"
    assert out.startswith(r"\documentclass{article}") and out.endswith("\\end{document}\n")
    assert out.count(r"\documentclass") == 1 and r"\usepackage{amsmath,amssymb}" in out
    depth, words = structure(out)
    assert depth == 0 and not re.search(r"(?<!\\)[_^#&<>|%]", words) and words.isascii()
    assert r"be trained with decay" in out
    assert r"\textbf{Hypotheses.} The loss is convex in the differences" in out
    steps = derive("T1-W").steps
    assert out.count(r"\item ") == len(steps) and r"\textbf{Carried by:} " in out
    assert r"\textbf{No derivation.}" in out


def test_a_sign_that_latex_reads_is_escaped():
    broken = document([claim_named("T1-W")]).replace(r"\_", "_", 1)
    assert re.search(r"(?<!\\)[_^#&<>|%]", structure(broken)[1])


def test_without_greek_letters_the_names_of_the_code_stand(capsys, monkeypatch):
    monkeypatch.setattr(explain, "unicode", lambda: False)
    monkeypatch.setattr(explain, "tests_of", lambda claim: [])
    out = printed(capsys, "explain", "N1-sample")[1]
    assert out.isascii() and "w2 = max(Mbar, 0)/lam" in " ".join(out.split())
    assert printing.unicode() in (True, False)
