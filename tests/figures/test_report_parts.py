"""What a report is asked for, what it takes up, and how it tells that it goes on."""

import io
import json
import shutil
import tomllib
from fnmatch import fnmatch

import numpy as np
import pytest
from rich.console import Console

from figures.networks import planted, real_run
from figures.report import job, resume, slider
from figures.report.plan import plan
from figures.report.progress import progress
from figures.style import read_csv, write_csv
from figures.theory import accuracy, ratios
from synthmodel import CrossEntropy, Setting, eps0, joint_accuracy, r_acc, solve
from synthmodel.__main__ import main
from synthmodel.claims.evidence import Evidence
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.verify import Row
from tests.support.rooms import ROOT


def test_without_options_a_report_is_the_one_that_it_was():
    asked = plan()
    assert (asked.parts, asked.setting, asked.command) == (("theory", "networks"), planted.SETTING, "synthmodel report")
    assert asked.jobs == planted.jobs() and len(asked.jobs) == 60


def test_options_change_what_they_name():
    asked = plan(2, "networks", "0.25", "0.1,8/255")
    assert asked.parts == ("networks",) and asked.setting == Setting(1.0, 0.25)
    assert asked.command == "synthmodel report --draws 2 --only networks --sigma 0.25 --eps 0.1,8/255"
    words = [dict(word.split("=") for word in words) for _, words in asked.jobs]
    assert {(word["eps"], word["seed"], word["sigma"], word["mu"]) for word in words} == {
        (eps, seed, "0.25", "1.0") for eps in ("0.1", str(8 / 255)) for seed in "01"}
    assert len(words) == 16


@pytest.mark.parametrize(("option", "value", "said"), [
    ("sigma", "1.8", "sigma = 1.8 was given, but it must be a finite number > 0 and < 1.77"),
    ("sigma", "0", "sigma = 0 was given"), ("sigma", "x", "sigma = x was given"),
    ("eps", "0.5", "eps = 0.5 was given, but it must be a finite number >= 0 and < 0.5"),
    ("eps", "0.1,", "eps =  was given, but a report needs attack sizes: write --eps 0.1,0.3."),
    ("eps", "1/0", "eps = 1/0 was given"), ("eps", "-0.1", "eps = -0.1 was given"), ("eps", "nan", "eps = nan"),
    ("seeds", "0", "draws = 0 was given, but it must be 1 or more"),
    ("only", "claims", "the part 'claims' was given, but a report has theory and networks: choose one")])
def test_a_bad_option_is_answered_before_anything_is_made(tmp_path, capsys, option, value, said):
    assert main(["report", "--out", str(tmp_path / "new"), f"--{option}={value}"]) == 2
    assert capsys.readouterr().err.startswith(f"synthmodel: {said}")
    assert not (tmp_path / "new").exists()


@pytest.fixture
def few(monkeypatch):
    """Three claims whose checks take no time; the IDs that were verified, in order."""
    asked = []

    def verify(claims=CLAIMS[:3], workers=1):
        for claim in claims:
            asked.append(claim.id)
            yield Row(claim, Evidence(claim.id != "T1" or asked.count("T1") > 1, "a grid", 0.5, "gap"))
    monkeypatch.setattr(job, "CLAIMS", CLAIMS[:3])
    monkeypatch.setattr(job, "verify", verify)
    return asked


def test_what_the_same_code_has_verified_is_not_verified_again(tmp_path, few, monkeypatch):
    steps = []
    first = job.verified(tmp_path, lambda part, n: steps.append(n))
    assert few == [row["id"] for row in first] == ["A1", "T1", "T1-W"]
    assert [row["holds"] for row in first] == [True, False, True]
    second = job.verified(tmp_path, lambda part, n: steps.append(n))
    assert few[3:] == ["T1"]  # what failed is tried again
    assert second == [first[0], first[1] | {"holds": True}, first[2]]
    assert job.verified(tmp_path, lambda part, n: steps.append(n)) == second and len(few) == 4
    assert steps == [0, 1, 1, 1, 2, 1, 3]
    monkeypatch.setattr(resume, "code", lambda: "another version")
    assert resume.finished(tmp_path) == {}
    resume.keep(tmp_path, second[:1])
    assert list(resume.finished(tmp_path)) == ["A1"]
    (tmp_path / resume.FILE).write_text("not ours")
    assert resume.finished(tmp_path) == {}


@pytest.mark.parametrize(("pause", "kept"), [(-1.0, ["A1", "T1-W"]), (1e9, [])])
def test_a_report_that_is_killed_has_kept_what_it_verified(tmp_path, few, monkeypatch, pause, kept):
    """Each few seconds, and on the way out."""
    def advance(part, steps):
        if len(few) == 3:
            assert [row["id"] for row in resume.finished(tmp_path).values()] == kept
            raise KeyboardInterrupt
    monkeypatch.setattr(job, "PAUSE", pause)
    with pytest.raises(KeyboardInterrupt):
        job.verified(tmp_path, advance)
    assert list(resume.finished(tmp_path)) == ["A1", "T1-W"]


def test_the_code_is_its_files(monkeypatch, tmp_path):
    monkeypatch.setattr(resume.synthmodel, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "room").mkdir()
    found = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("room/a.py", "2"), ("cells.json", "{}"), ("p.v", "Qed.")):
        (tmp_path / name).write_text(text)
        found.add(resume.code.__wrapped__())
    assert len(found) == 5
    (tmp_path / "README.md").write_text("x")
    assert resume.code.__wrapped__() in found


def test_without_a_terminal_a_part_has_a_line_every_five_seconds_and_one_at_its_end():
    log, now = io.StringIO(), [0.0]
    with progress({"first": 4, "second": 1}, Console(file=log), lambda: now[0]) as advance:
        for now[0], part, steps in ((1.0, "first", 1), (5.5, "first", 1), (6.0, "first", 1), (7.0, "second", 1),
                                    (8.25, "first", 1)):
            advance(part, steps)
    assert log.getvalue().splitlines() == ["first: 2 of 4, 6 s", "second: 1 of 1, 7 s", "first: 4 of 4, 8 s"]


def test_the_sliders_show_what_the_library_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(slider, "NOISES", np.array([0.2, 0.5]))
    monkeypatch.setattr(slider, "SIZES", np.array([0.0, 0.2, 0.49]))
    slider.compute(tmp_path, Setting(1.0, 0.35))
    shown = slider.frames(tmp_path)
    assert (shown["sigma"], shown["eps"]) == ([0.2, 0.35, 0.5], [0.0, 0.2, 0.49])
    for i, sigma in enumerate(shown["sigma"]):
        here = Setting(1.0, sigma)
        assert shown["eps0"][i] == round(eps0(here), 3)
        for j, eps in enumerate(shown["eps"]):
            found = {key: shown["ratio"][key][i][j] for key in slider.CURVES}
            best = r_acc(here.k(eps))
            assert found["r_acc"] == pytest.approx(best, abs=5.1e-4)
            assert found["r_ce"] == pytest.approx(solve(here, CrossEntropy(), eps, ratios.LAM).ratio, abs=5.1e-4)
            assert (found["r_at"] > 0) == (eps < eps0(here)) and found["r_at"] < 1
            if found["r_at"]:
                assert 1 - found["r_smoothed"] == pytest.approx(0.7 * (1 - found["r_at"]), abs=1e-3)
            assert shown["accuracy"]["r_acc"][i][j] == pytest.approx(joint_accuracy(best, here.k(eps)), abs=5.1e-4)


@pytest.mark.parametrize("sigma", [0.02, 0.5, 1.0, 1.76])
def test_accuracy_is_drawn_below_at_and_above_the_threshold(sigma):
    found = accuracy.sizes(Setting(1.0, sigma))
    assert 0 < found["below"] < found["at"] == eps0(Setting(1.0, sigma)) < found["above"] < 0.5


def test_where_cross_entropy_uses_too_little_the_sentence_says_so(tmp_path):
    """N4 ends at k = 2.414, which a small sigma reaches."""
    rows = [{"eps": eps, "r_at": 0.1, "r_acc": best, "r_ce": 0.6} for eps, best in ((0, 0.9), (0.25, 0.6), (0.3, 0.4))]
    write_csv(tmp_path / "ratios.csv", rows)
    assert "stays below it (by 0.300 at least) and cross-entropy above it only beyond eps = 0.25, which keeps 0.60" in (
        ratios.finding(tmp_path))
    write_csv(tmp_path / "ratios.csv", rows[2:])
    assert "and cross-entropy above it (by 0.200 at least)" in ratios.finding(tmp_path)


@pytest.mark.slow
def test_a_report_on_networks_alone_verifies_nothing_and_says_what_is_contradicted(tmp_path, monkeypatch, capsys):
    def compute(folder, advance, listed, setting):
        for name in ("planted.csv", "planted-theory.csv"):
            shutil.copy(real_run.DATA.with_name(name), folder)
    for script in (planted, real_run):
        monkeypatch.setattr(script, "draw", lambda folder, *_: [
            (folder / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
            for name in ("planted", "cifar10")])
    monkeypatch.setattr(planted, "compute", compute)
    monkeypatch.setattr(job, "verify", None)
    assert job.report(tmp_path, only="networks") == 0
    out, err = capsys.readouterr()
    assert "claims:" not in out and "report.html written in" in out
    assert "linear  │ cross-entropy │ 0.15 │ 0.931  │ 0.937    │ agrees" in out and "…" not in out  # eighty columns
    assert "solving and drawing: 1 of 1" in err
    made = {path.name for path in tmp_path.iterdir()}
    assert {"report.md", "report.html", "comparison.csv", "predictions.csv", "provenance.json"} <= made
    assert {"claims.csv", "weights.csv", "slider.csv"}.isdisjoint(made)
    assert json.loads((tmp_path / "provenance.json").read_text())["command"] == "synthmodel report --only networks"
    text = (tmp_path / "report.md").read_text()
    assert 'The small CNN (cross-entropy) contradicts the prediction that "CAS is lower beyond eps0 than below' in text
    assert "trained by other versions of the code" in text


def test_sizes_on_one_side_of_the_threshold_are_judged_by_no_comparison_with_the_other(tmp_path):
    shutil.copy(real_run.DATA.with_name("planted.csv"), tmp_path)
    setting = planted.SETTING
    assert len(job.predictions(tmp_path, setting)) == 12
    assert job.predictions(tmp_path, Setting(1.0, 0.05)) == []  # eps0 = 0.486: nothing beyond it
    assert len(job.predictions(tmp_path, Setting(1.0, 1.772))) == 4 + 8  # only eps = 0 below
    write_csv(tmp_path / "planted.csv", [row for row in read_csv(tmp_path / "planted.csv") if row["eps"] == 0.44])
    who = [row["prediction"].split(":")[0] for row in job.predictions(tmp_path, setting)]
    assert who == ["linear"] * 2 + ["cnn"] * 2


def test_a_wheel_has_the_templates():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["figures.report"]
    for name in ("page.html", "page.css", "page.js"):
        assert (ROOT / "figures" / "report" / "templates" / name).exists()
        assert any(fnmatch(f"templates/{name}", pattern) for pattern in data)
