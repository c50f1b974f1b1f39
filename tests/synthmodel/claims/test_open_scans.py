"""Open statements about cross-entropy and design B: counterexamples at unequal noise, and scans."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio
from synthmodel.claims import open_scans
from synthmodel.claims.registry import CLAIMS, ENDS_OF_N4
from synthmodel.model.losses import CrossEntropy
from synthmodel.model.setting import Setting
from synthmodel.solvers.cross_entropy import cross_entropy_ratio, solve_cross_entropy, stein_residual
from synthmodel.symbolic import derive, symbols
from synthmodel.symbolic.general import any_law

# Counterexamples

def test_at_unequal_noise_smoothing_may_raise_r_and_w2():
    mild = Setting(mu=1.174, sigma_e=1.0, sigma_c=0.55)
    assert cross_entropy_ratio(mild, 0.0, 0.0224, 0.03) > 1.03 * cross_entropy_ratio(mild, 0.0, 0.0224, 0.01)
    strong = Setting(mu=5.131, sigma_e=1.0, sigma_c=0.177)
    low, high = (solve_cross_entropy(strong, CrossEntropy(b), 0.0, 2.5e-4) for b in (1e-4, 1e-3))
    assert high.w2 > 1.03 * low.w2 and high.w1 < low.w1


def test_at_unequal_noise_smoothing_may_raise_w1():
    """sigma_C ten times sigma_E: w1 rises by an eighth."""
    setting = Setting(mu=50.0, sigma_e=1.0, sigma_c=10.0)
    found = [solve_cross_entropy(setting, CrossEntropy(b), 0.0, 1e-3) for b in (0.0, 1e-4)]
    assert [float(each.w1) for each in found] == pytest.approx([0.16023, 0.18044], abs=1e-5)
    for b, each in zip((0.0, 1e-4), found, strict=True):
        assert np.abs(stein_residual(setting, CrossEntropy(b), 0.0, 1e-3, each.w1, each.w2)).max() < 1e-12


def test_the_counterexamples_solve_s1():
    for k, b, L in ((1.174, 0.03, 0.0224), (4.0, 1e-6, 1e-9)):
        setting = Setting(mu=k, sigma_e=1.0, sigma_c=0.55) if k < 2 else Setting(k, 1.0)
        found = solve_cross_entropy(setting, CrossEntropy(b), 0.0, L)
        assert np.abs(stein_residual(setting, CrossEntropy(b), 0.0, L, found.w1, found.w2)).max() < 1e-5


# Design B

@pytest.mark.parametrize("classes", [4, 6])
def test_design_b_accuracy_from_its_tilted_law(classes):
    n, r, k = classes - 1, 0.6, 0.7
    y = np.linspace(-9, 9, 4001)
    density = n * np.exp(-y * y / 2) * ndtr(y)**(n - 1) / np.sqrt(2 * np.pi) * (y[1] - y[0])
    joint = ndtr((k * (1 + (n - 1) * r) - r * y) / np.sqrt(1 + (n - 2) * r * r)) @ density
    assert accuracy_of(Setting(k, 1.0, classes=classes, design="B"), r, 0.0)[0] == pytest.approx(joint, abs=1e-9)


@pytest.mark.parametrize("classes", [4, 5, 10, 40])
def test_design_b_s_margin_loss_uses_less_than_the_best_ratio(classes):
    n = classes - 1
    y = np.linspace(-9, 9, 4001)
    e_n = (n * y * np.exp(-y * y / 2) * ndtr(y)**(n - 1)).sum() * (y[1] - y[0]) / np.sqrt(2 * np.pi)
    for times in (1.02, 1.3, 2, 4):
        k = times * e_n / (n - 1)
        r_at = float(derive("N2-B").results["r_at"].subs({any_law.n: n, any_law.e_n: e_n, symbols.k: k}))
        assert r_at == pytest.approx(1 - 1 / times)
        assert r_at < best_ratio(Setting(k, 1.0, classes=classes, design="B"), 0.0) < 1
    assert best_ratio(Setting(0.98 * e_n / (n - 1), 1.0, classes=classes, design="B"), 0.0) == 0


# Scans

def test_scans_see_a_planted_rise(monkeypatch):
    honest = open_scans.scan_smoothing(ks=[0.6], decays=[0.1])
    assert honest["w1"]["curves_that_rise"] == honest["r"]["curves_that_rise"] == 0 and honest["curves"] == 1
    monkeypatch.setattr(open_scans, "_solved",
                        lambda setting, b, L: (2 + np.zeros(len(b)), 1 + 1e-6 * np.arange(len(b))))
    planted = open_scans.scan_smoothing(ks=[0.6], decays=[0.1])
    assert planted["w2"]["curves_that_rise"] == planted["r"]["curves_that_rise"] == 1


def test_scan_of_k_counts_falls(monkeypatch):
    assert open_scans.scan_strength(ks=[0.3, 0.6, 3.0], decays=[1e-8, 0.1, 100.0])["falls"] == 0
    monkeypatch.setattr(open_scans, "_solved",
                        lambda setting, b, L: (1.0, 0.9 - 0.1 * setting.mu))
    assert open_scans.scan_strength(ks=[0.3, 0.6, 3.0], decays=[0.1])["falls"] == 2


@pytest.mark.parametrize("words", [[], ["a.json", "b.json"], ["--all"], ["a.json", "--only", "N4"]])
def test_scans_command_refuses_bad_words(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        open_scans.main(words)
    said = capsys.readouterr().err
    assert said.startswith("python -m synthmodel.claims.open_scans: ") and said.count("\n") == 1


def test_one_scan_alone(monkeypatch, tmp_path):
    monkeypatch.setitem(open_scans.SCANS, "N2-B", lambda: {"4": {"least": 1.0}})
    open_scans.main([str(tmp_path / "out.json"), "--only", "N2-B"])
    made = json.loads((tmp_path / "out.json").read_text())
    assert made.pop("commit") and made == {"N2-B": {"4": {"least": 1.0}}}


# Where N4 ends for K classes

ROOT = Path(__file__).parents[3]
ENDS = json.loads((ROOT / "figures/data/n4_ends.json").read_text())


def test_the_kept_ends_rise_and_both_ways_find_them():
    for rows in (ENDS["N4 ends"], ENDS["N4 ends, B"]):
        ks = [row["k"] for _, row in sorted(rows.items(), key=lambda item: int(item[0]))]
        assert ks == sorted(ks) and {"4", "5", "6", "7", "8", "9", "10"} <= set(rows)
    for row in ENDS["N4 ends"].values():
        assert abs(row["k"] - row["k_on_ray"]) < 1e-7 and row["e"] < row["k"]
        assert min(row["least_before"], row["excess_at_no_decay"], row["excess_at_infinite_decay"]) > 0


def test_the_text_and_the_list_print_each_end_rounded_down():
    """At a printed k the claim holds: rounded up it would be one at which N4-K-end certifies that it fails."""
    part = (ROOT / "synthmodel/THEORY.md").read_text().partition('<a id="claim-n4-k">')[2].partition("\n### ")[0]
    text = " ".join(part.split())
    printed = dict(re.findall(r"\$(\d\.\d{4})\$ \(\$K = (\d+)\$", text))
    rounded = {design: {classes: f"{math.floor(1e4 * row['k']) / 1e4:.4f}" for classes, row in ENDS[design].items()}
               for design in ("N4 ends", "N4 ends, B")}
    assert {classes: k for k, classes in printed.items()} | {"3": "2.4140"} == rounded["N4 ends"]
    assert re.findall(r"\$(\d\.\d{4})\$", text.partition("**Design B**")[2]) == list(rounded["N4 ends, B"].values())
    assert {str(classes): round(1e5 * end) for classes, end in ENDS_OF_N4.items()} == {
        classes: math.floor(1e5 * row["k"]) for classes, row in ENDS["N4 ends"].items() if int(classes) <= 10}
    (claim,) = [claim for claim in CLAIMS if claim.id == "N4-K"]
    listed = re.findall(r"k_(\d+) = (\d\.\d{4})", claim.statement)
    assert len(listed) == 4 and all(rounded["N4 ends"][classes] == k for classes, k in listed)


@pytest.mark.parametrize(("classes", "design"), [(10, "A"), (4, "B")])
def test_a_kept_end_is_where_the_solver_s_ratio_meets_the_best_one(classes, design):
    row = ENDS["N4 ends" if design == "A" else "N4 ends, B"][str(classes)]
    assert open_scans.least_excess(row["k"] - 1e-4, classes, design)[0] > 0
    below, L = open_scans.least_excess(row["k"] + 1e-4, classes, design)
    assert -1e-4 < below < 0 and abs(L - row["L"]) < 1e-3


def test_so_it_is_on_the_ray():
    row = ENDS["N4 ends"]["4"]
    assert open_scans.least_on_ray(row["k"] - 1e-4, 4)[0] > 0 > open_scans.least_on_ray(row["k"] + 1e-4, 4)[0]


def test_scan_is_json():
    assert json.loads(json.dumps(open_scans.scan_smoothing(ks=[0.5], decays=[1.0])))["curves"] == 1
