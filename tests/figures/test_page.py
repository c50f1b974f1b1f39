"""report.html without a browser: its structure, its words and its numbers, from made-up findings."""

import csv
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from figures.report.page import THEOREMS, Contents, anchor, mathematics, page
from figures.report.slider import CURVES
from synthmodel import Setting
from synthmodel.claims.registry import CLAIMS, OPEN, STATUSES

DATA = Path(__file__).parents[2] / "figures" / "data"
VOID = {"br", "img", "input", "link", "meta"}
PAPER = "https://arxiv.org/abs/2506.05032"


class Reader(HTMLParser):
    """Whether tags close in the order in which they opened; identifiers, addresses, words."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.words, self.labels = [], [], [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [value for key, value in attributes if key == "id"]
        self.links += [found[key] for key in ("src", "href", "action", "data", "srcset", "poster") if key in found]
        self.labels |= {value for key, value in attributes if (tag, key) == ("label", "for")}
        assert tag not in ("iframe", "object", "embed", "base")
        assert tag != "img" or found["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if not {"script", "style"} & set(self.open):
            self.words.append(text)


def rows(name):
    with open(DATA / name, newline="") as file:
        return list(csv.DictReader(file))


STEP = {"text": "A step.", "holds": True, "restated": False,
        "formula": "<math><mi>x</mi><mo>&lt;</mo><mi>y</mi></math>"}


@pytest.fixture(scope="module")
def contents():
    evidence = {"holds": True, "domain": "a grid of 77", "margin": 0.0123, "measure": "gap", "derived": True,
                "proved": None, "slow": False, "derivation": {"steps": [STEP] * 3, "carried_by": ["a theorem"]}}
    claims = [asdict(claim) | evidence | {"counterexample": "k = 9.5: 3 < 4" * (claim.status == "refuted")}
              for claim in CLAIMS]
    plane = {key: [[0.5, 0.25], [0.75, 0.125]] for key in CURVES}
    comparison = [row | {"eps": float(row["eps"])} for row in rows("comparison.csv")]
    return Contents(claims, comparison, rows("predictions.csv"), [{"quantity": "CAS", "best": "1.5 [1.25, 2]"}],
                    (("a", "A picture", "T1: it shows 42.", "<svg xmlns='http://www.w3.org/2000/svg'/>"),),
                    {"sigma": [0.5, 0.75], "eps": [0.0, 0.25], "eps0": [0.359, 0.288], "ratio": plane,
                     "accuracy": plane}, Setting(1.0, 0.5),
                    {"command": "synthmodel report", "commit": "abc", "seconds": 12.5})


def test_the_page_is_well_formed_and_stands_alone(contents):
    read = Reader(page(contents))
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert [name for name in read.ids if name.startswith("claim-")] == [anchor(claim.id) for claim in CLAIMS]
    outside = [link for link in read.links if not link.startswith(("#", "data:"))]
    assert outside == [PAPER]
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    assert {"sigma", "eps"} <= read.labels
    style_and_script = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", page(contents), re.DOTALL)
    assert len(style_and_script) == 2
    assert not any(word in text for text in style_and_script for word in ("http", "url(", "@import", "fetch", "import"))


def test_every_number_of_the_page_comes_from_the_data(contents):
    def numbers(text):
        return set(re.findall(r"\d+(?:\.\d+)?", text))
    text = " ".join(Reader(page(contents)).words)
    given = numbers(json.dumps([contents.claims, contents.comparison, contents.predictions, contents.real,
                                contents.pictures, contents.slider, contents.made, OPEN]) + contents.headline())
    counts = {str(sum(claim.status == status for claim in CLAIMS)) for status in STATUSES}
    own = counts | {"0.8", "0.500", "0.250", "3"}  # and an example, two readings, the steps of a derivation
    assert numbers(text) - given - own == set()
    assert {"9.5", "0.0123", "77", "42", "0.138", "1.25", "12.5"} <= numbers(text)


def test_a_refuted_claim_reads_as_refuted_and_never_as_confirmed(contents):
    for claim, card in zip(CLAIMS, re.findall(r"<article.*?</article>", page(contents), re.DOTALL), strict=True):
        words = " ".join(Reader(card).words)
        assert ("refuted: counterexample found (k = 9.5: 3 < 4)" in words) == (claim.status == "refuted")
        assert ("False: " in words) == (claim.status == "refuted")
        assert "confirmed" not in words


def test_the_headline_counts_and_contradictions_are_told_in_words(contents):
    by = {source: [claim.status == "refuted" for claim in CLAIMS if claim.source == source]
          for source in ("paper", "new")}
    head = contents.headline()
    assert head.startswith(f"Of the paper's {len(by['paper'])} statements {by['paper'].count(False)} hold")
    assert f"of {len(by['new'])} new ones {by['new'].count(False)} hold, {by['new'].count(True)} are refuted" in head
    assert set(THEOREMS) == {claim.id for claim in CLAIMS if claim.source == "paper"}
    assert " hold (Theorem 1, Theorem 2 for pairs of classes, Theorem 3), 1 is refuted (Theorem 2 for all" in head
    assert head.endswith("networks bear out 19 of 22 predictions, and contradict 3.")
    text = " ".join(Reader(page(contents)).words)
    assert ('The small CNN contradicts the prediction that "beyond ε 0  the margin loss drops the shared features '
            '(ratio below 0.1)": measured mean ratio 0.138.') in text
    quiet = replace(contents, predictions=[row | {"verdict": "confirmed"} for row in contents.predictions])
    assert quiet.headline().endswith("22 of 22 predictions, and contradict none.")
    assert "No measurement on networks contradicts a prediction." in page(quiet)


def test_a_claim_that_fails_is_what_one_reads_first(contents):
    first, *others = contents.claims
    failed = replace(contents, claims=[first | {"holds": False, "derived": False}, *others])
    assert ", 1 NOT BORNE OUT" in failed.headline()
    found = page(failed).partition('<h2 id="found">')[2].partition('<h2 id="try">')[0]
    assert f'<a href="#{anchor(first["id"])}">' in found and "its derivation failed" in found
    assert f"synthmodel derive {first['id']}" in page(failed)
    assert page(failed).count('data-status="failed"') == 1


def test_a_part_that_was_not_asked_for_is_not_there(contents):
    read = Reader(page(replace(contents, claims=[], slider=None)))
    assert {"claims", "try", "frames", "shown"}.isdisjoint(read.ids) and "networks" in read.ids
    assert "synthmodel report --only theory" in read.words
    read = Reader(page(replace(contents, comparison=[], predictions=[], real=[])))
    assert {"claims", "try", "frames", "shown"} <= set(read.ids) and "networks" not in read.ids
    assert "synthmodel report --only networks" in read.words


def test_names_that_files_bring_are_only_words(contents):
    bad = replace(contents, mind="<script>alert(1)</script>", made={"command": "x</code><b>", "commit": "&amp;"})
    text = page(bad)
    assert "<script>alert" not in text and "<b>" not in text
    assert "&amp;amp;" in text
    assert Reader(text).open == []


@pytest.mark.parametrize(("text", "shown"), [
    ("w2(oo) > 0, |w_tau - w*| <= sqrt(2 tau log(K-1)/lam)", "w<sub>2</sub>"),
    ("lam_e/sigma^2 -> q^(n-1), 2^{1/q}, b*_K, sigma_E", "λ<sub>e</sub>/σ² → q<sup>n-1</sup>, 2<sup>1/q</sup>, "
     "b*<sub>K</sub>, σ<sub>E</sub>"),
    ("T1-CE at eps1: -8e-05, epsilon and pinned", "T1-CE at ε<sub>1</sub>: -8e-05, epsilon and pinned")])
def test_mathematics_in_a_line(text, shown):
    assert shown in mathematics(text)
