"""The campaign's figures, tables and sentences on made-up results: what is drawn, on a whole campaign and on a part."""

import copy
import json
import re
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy import stats

from deep.__main__ import main
from deep.evaluation.cas import cas as cas_of
from deep.evaluation.cas import class_correlation, gauge_fixed
from deep.evaluation.outcome import Outcome
from deep.experiments.campaign.answers import answers, with_interval
from deep.experiments.campaign.plan import committed, plan_of
from deep.experiments.campaign.predictions import paired, quantity_of
from figures import gallery, readme
from figures.networks.campaign import arms, basis, cas, common, fit, margins, partial
from figures.report.job import draw_campaign, in_markdown, judged_campaign
from figures.report.page import Campaign, Contents, page
from figures.style import new_figure
from synthmodel import Setting
from tests.conftest import assert_draws
from tests.support.campaign import made_up, write_results
from tests.support.rooms import ROOT

PLAN = plan_of(committed()[0])
MADE = {"command": "synthmodel report", "commit": "0", "torch": "2", "cores": 2, "seconds": 1.0}
SCRIPTS = (cas, arms, fit, partial)
GAINS, SHARINGS = {"a3": 10.0, "a4": 1.0}, {"a3": 3.0, "a5": 3.0}


@pytest.fixture(scope="module")
def runs():
    """Trunk, standard training and four arms that branch off, one of them at another eps."""
    return made_up(PLAN, ["a1", "a2", "a3", "a4", "a5", "b6-4"], GAINS, SHARINGS, seeds=(0, 1, 2))


@pytest.fixture
def source(runs, tmp_path):
    return write_results(tmp_path / "campaign", runs)


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures are drawn and not rendered, which takes longest."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(b"picture"))


def of(runs, arm, split, key):
    """(seeds, epochs)."""
    return np.array([[line[split][key] for line in run["checkpoints"]] for run in runs[arm].values()])


@pytest.mark.slow
def test_cas_over_epochs(runs, source, tmp_path, pictures):
    cas.draw(tmp_path, source)
    (figure,) = pictures
    epochs = list(range(5, 61, 5))
    for column, (arm, before) in enumerate((("a1", ""), ("a2", "clean_"))):
        def mean(split, key, arm=arm, before=before):
            return epochs, of(runs, arm, before + split, key).mean(0)
        for row, split in enumerate(("test", "train")):  # CAS beside the nulls of the same inputs
            assert_draws(figure.axes[2 * row + column], mean(split, "cas"), mean(split, "cas_null"),
                         mean(split, "sharing_null"))
        assert_draws(figure.axes[4 + column], mean("test", "sharing"), mean("train", "sharing"))
        assert "3 seeds" in figure.axes[column].get_title("left")
    test, train = (of(runs, "a1", split, "cas").mean(0) for split in ("test", "train"))
    shared = of(runs, "a1", "train", "sharing").mean(0)
    assert (f"on test inputs from {test.max():.1f} to {test[-1]:.1f}, on training inputs from {train.max():.1f} to "
            f"{train[-1]:.1f}; sharing") in cas.finding(tmp_path)
    assert f"on training inputs from {shared.max():.1f} to {shared[-1]:.1f};" in cas.finding(tmp_path)


def test_arms_beside_the_trunk(runs, source, tmp_path, pictures):
    """Each arm's point is the mean of differences seed by seed; standard training and another eps are not there."""
    arms.draw(tmp_path, source)
    (figure,) = pictures
    axis = figure.axes[0]
    drawn = {text.get_text(): text.xy for text in axis.texts}
    assert {"a1", "a3", "a4", "a5"} == {name for name in drawn if len(name) == 2}
    for arm in ("a3", "a4", "a5"):
        x = np.mean(of(runs, arm, "test", "sharing")[:, -1] - of(runs, "a1", "test", "sharing")[:, -1])
        y = 100 * np.mean([runs[arm][seed]["end"]["robust_apgd_t"] - runs["a1"][seed]["end"]["robust_apgd_t"]
                           for seed in range(3)])
        assert drawn[arm] == pytest.approx((x, y), abs=1e-9)
        seeds = [line.get_xydata() for line in axis.get_lines() if len(line.get_xydata()) == 3]
        assert any(line.mean(0) == pytest.approx((x, y), abs=1e-9) for line in seeds)  # each seed is drawn, too
    found = arms.compared(PLAN, runs)["a3"]
    row = next(row for row in arms.arm_rows(source) if row["arm"] == "a3")
    for title, key in (("APGD-T", "robust_apgd_t"), ("PGD-20", "robust"), ("clean", "clean")):
        mean = 100 * np.mean([runs["a3"][seed]["end"][key] - runs["a1"][seed]["end"][key] for seed in range(3)])
        assert row[title].startswith(f"{mean:+.1f} [")
    for title, split, key, digits in (("CAS", "test", "cas", 1),
                                      ("loss on training images", "train", "robust_loss", 2)):
        mean = (of(runs, "a3", split, key)[:, -1] - of(runs, "a1", split, key)[:, -1]).mean()
        assert row[title].split(" [")[0] == f"{mean:+.{digits}f}"
    assert found["robust"][1][0] < found["robust"][0] < found["robust"][1][1] and found["n"] == 3
    assert (f"a3 ({found['name']}): {found['robust'][0]:+.1f} points, clean {found['clean'][0]:+.1f}, sharing "
            f"{found['sharing'][0]:+.1f}") in arms.finding(tmp_path)
    clean = [100 * (runs["a3"][seed]["end"]["clean"] - runs["a1"][seed]["end"]["clean"]) for seed in range(3)]
    assert found["clean"][0] == pytest.approx(np.mean(clean))


def test_arms_beside_the_trunk_when_it_had_fitted_as_much(runs, tmp_path, pictures):
    """By hand: the trunk's fit passes 30, 60, 90 % at its last three checkpoints; the arm ends at 62 %."""
    both = copy.deepcopy({arm: runs[arm] for arm in ("a1", "a3", "b6-4")})
    for seed, run in both["a1"].items():
        for line in run["checkpoints"]:
            line["train"]["accuracy"] = 0.05
        for line, known, right, shares in zip(run["checkpoints"][-3:], (0.3, 0.6, 0.9), (0.2, 0.15 + seed / 100, 0.1),
                                              (6, 5, 4), strict=True):
            line["train"]["accuracy"], line["test"]["accuracy"], line["test"]["sharing"] = known, right, shares
    for run in both["a3"].values():
        last = run["checkpoints"][-1]
        last["train"]["accuracy"], last["test"]["accuracy"], last["test"]["sharing"] = 0.62, 0.18, 5.5
    found = fit.at_equal_fit(PLAN, both)
    assert found.keys() == {"a3"}  # another eps is not beside the trunk
    assert found["a3"] == pytest.approx(np.array([[62] * 3, [60] * 3, [8] * 3, [3, 2, 1], [0.5] * 3]))
    source = write_results(tmp_path / "campaign", both)
    (row,) = fit.fit_rows(source)
    assert row["at equal fit"].startswith("+2.0 [") and row["the trunk's there, %"] == "60"
    assert "a3 +2.0 [" in fit.finding(tmp_path)
    fit.draw(tmp_path, source)
    (figure,) = pictures
    drawn = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert drawn["a3"] == pytest.approx((62, 18)) and drawn["epoch 60"] == pytest.approx((90, 10))
    both["a1"][0]["again"] = [{**both["a1"][0], "course": "other"}]  # an arm of a lost trunk has that one beside it
    both["a3"][0] |= {"course": "none", "trunk": both["a1"][0]["run"]}
    assert fit.at_equal_fit(PLAN, both)["a3"].shape == (5, 2)


def test_two_seeds_have_no_interval_in_a_picture(runs, tmp_path, pictures):
    source = write_results(tmp_path / "campaign", {
        arm: {seed: run for seed, run in runs[arm].items() if seed or arm != "a4"}
        for arm in ("a1", "a3", "a4")})
    for script, bars in ((arms, 1), (fit, 1)):
        script.draw(tmp_path, source)
        axis = pictures[-1].axes[0]
        assert len([one for one in axis.containers if one.has_yerr]) == bars  # a3's
        assert [line.get_fillstyle() for line in axis.get_lines()].count("none") == 1


def test_names_do_not_lie_upon_each_other():
    """Two points that all but agree, and one in the way of the place that a name takes first."""
    figure, ((axis,),) = new_figure(1, 1, 6, 4)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    arms.name_points(axis, {"one-arm": (0.5, 0.5), "another": (0.505, 0.502), "third": (0.55, 0.52)})
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axis.texts]
    assert len(boxes) == 3 and not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_what_training_once_more_changes(runs, tmp_path):
    """Of two arms run again one lacks a seed; the other's ends are 1, 2 and 3 points of APGD-T higher."""
    seeds = {seed: copy.deepcopy(run) for seed, run in runs["a1"].items()}
    for seed, run in seeds.items():
        other = copy.deepcopy(run)
        other["end"]["robust_apgd_t"] += (1 + seed) / 100
        run["again"] = [other]
    part = {seed: {**run, "again": [run]} if seed else run for seed, run in runs["a3"].items()}
    source = tmp_path / "campaign"
    write_results(source, runs)
    for arm, found in (("a1", seeds), ("a3", part)):
        for seed, run in found.items():
            for other in run.get("again", ()):
                (source / f"{arm}-{seed}-again-0.json").write_text(json.dumps(other | {"course": "0"}))
    rows = {row["measure"]: row for row in arms.again_rows(source)}
    assert {row["arm"] for row in rows.values()} == {"a1"} and rows["APGD-T"]["n"] == 3
    first = np.mean([100 * run["end"]["robust_apgd_t"] for run in runs["a1"].values()])
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert rows["APGD-T"]["again - first"] == f"+2.0 [{2 - half:.1f}, {2 + half:.1f}]"
    assert rows["APGD-T"]["first"].startswith(f"{first:.1f} [")
    assert rows["APGD-T"]["again"].startswith(f"{first + 2:.1f} [")
    assert rows["sharing"]["again - first"] == "+0.0 [-0.0, 0.0]"


def test_the_correlation_of_margins_in_a_table(runs, tmp_path):
    """From the runs that have it, the first of a seed; of the trunk at three epochs, of an arm at its end."""
    lacking = copy.deepcopy({arm: runs[arm] for arm in ("a1", "a3", "a4")})
    for seed in range(3):
        for line in lacking["a1"][seed]["checkpoints"] + (lacking["a4"][seed]["checkpoints"] if seed else []):
            for split in ("train", "test", "clean_train", "clean_test"):
                line[split].pop("margin_rho")
    source = write_results(tmp_path / "campaign", lacking)
    assert [row["arm"] for row in margins.margin_rows(source)] == ["a3, epoch 60"]
    for seed, run in runs["a1"].items():
        (source / f"a1-{seed}-again-0.json").write_text(json.dumps(run | {"course": "0"}))
    rows = {row["arm"]: row for row in margins.margin_rows(source)}
    assert list(rows) == ["a1, epoch 5", "a1, epoch 15", "a1, epoch 60", "a3, epoch 60"]
    for place, epoch in ((0, 5), (2, 15), (-1, 60)):
        for split, title in margins.SPLITS.items():
            mean = of(runs, "a1", split, "margin_rho")[:, place].mean()
            assert rows[f"a1, epoch {epoch}"][title].startswith(f"{mean:.2f} [")


@pytest.mark.parametrize(("values", "scale", "words"), [
    ([-8, 3], "linear", ""), ([], "linear", ""),
    ([1, 32], "symlog", " (logarithmic beyond 4)"), ([-9, 0], "symlog", " (logarithmic beyond 4)")])
def test_an_arm_far_out_leaves_the_others_their_place(values, scale, words):
    axis = Figure().subplots()
    assert common.far_out(axis, values, 4) == words and axis.get_xscale() == scale
    if words:  # linear between -4 and 4, which keep more than half of what -32 to 32 has
        inner, outer = (np.diff(axis.transScale.transform([(-end, 0), (end, 0)])[:, 0])[0] for end in (4, 32))
        assert axis.transScale.transform([(2, 0)])[0, 0] == pytest.approx(inner / 4)
        assert inner > outer / 2


def test_the_pictures_of_an_arm_with_cas_in_its_loss(runs, tmp_path, pictures):
    far = made_up(PLAN, ["a1", "b4-up"], {}, {"b4-up": 30.0}, seeds=(0, 1, 2))
    source = write_results(tmp_path / "far" / "campaign", {**runs, "b4-up": far["b4-up"]})
    for script in (arms, partial):
        script.draw(tmp_path, source)
    beside, against = pictures
    assert beside.axes[0].get_xlabel().endswith("(logarithmic beyond 4)")
    assert [axis.get_xscale() for axis in against.axes[2:]] == ["symlog"] * 2
    pooled = ("a1", "a3", "a4", "a5")  # all but b4-up, which is said beside the rest
    x, y = (np.concatenate([of(runs, arm, "test", key).ravel() for arm in pooled]) for key in ("sharing", "accuracy"))
    said = partial.finding(tmp_path / "far").split("; sharing")[1]
    assert f", without the arms that have CAS in their loss {np.corrcoef(x, y)[0, 1]:.2f} and " in said
    alone = write_results(tmp_path / "alone" / "campaign", {"b4-up": far["b4-up"]})
    assert partial.finding(alone.parent).count("without the arms") == 0
    x, y = (np.mean([[of(runs, arm, "test", "sharing")[seed, -1] if key is None else runs[arm][seed]["end"][key]
                      for seed in range(3)] for arm in pooled[1:]], axis=1) for key in (None, "robust_apgd_t"))
    found = f" Over the 3 without CAS in their loss it is {np.corrcoef(x, y)[0, 1]:.2f}."
    assert found in arms.finding(tmp_path / "far")


@pytest.mark.parametrize(("row", "key", "name"), [(0, "cas", "CAS"), (1, "sharing", "sharing")])
def test_accuracy_against_cas_and_sharing_given_the_loss(runs, source, tmp_path, pictures, row, key, name):
    partial.draw(tmp_path, source)
    (figure,) = pictures
    as_it_is, given_loss = figure.axes[2 * row:2 * row + 2]
    pooled = ("a1", "a3", "a4", "a5")  # of those that are pooled
    points = [(x, 100 * y) for arm in pooled
              for x, y in zip(of(runs, arm, "test", key), of(runs, arm, "test", "accuracy"), strict=True)]
    assert_draws(as_it_is, *points)
    x, y, given = (np.concatenate([of(runs, arm, *one).ravel() for arm in pooled]) for one in (
        ("test", key), ("test", "accuracy"), ("train", "robust_loss")))
    left = given_loss.get_lines()[:len(points)]
    for values, drawn in ((x, [line.get_xdata() for line in left]), (100 * y, [line.get_ydata() for line in left])):
        slope = np.cov(given, values, bias=True)[0, 1] / given.var()
        np.testing.assert_allclose(np.concatenate(drawn), values - values.mean() - slope * (given - given.mean()),
                                   atol=1e-9)

    def correlations(x, y, given):
        r = np.corrcoef([x, y, given])
        return r[0, 1], (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2]**2) * (1 - r[1, 2]**2))
    plain, left_over = correlations(x, y, given)
    own = np.mean([correlations(*each) for each in zip(of(runs, "a1", "test", key), of(runs, "a1", "test", "accuracy"),
                                                       of(runs, "a1", "train", "robust_loss"), strict=True)], axis=0)
    said = partial.finding(tmp_path)
    assert (f"{name} and robust accuracy have correlation {plain:.2f}, given the robust loss on training images "
            f"{left_over:.2f}, in the trunk's runs {own[0]:.2f} and {own[1]:.2f}") in said
    assert f", over {len(x)} checkpoints of 12 runs;" in said
    for axis, over_all, mean in ((as_it_is, plain, own[0]), (given_loss, left_over, own[1])):
        assert f"{over_all:.2f} over all; mean of the trunk's own {mean:.2f}" in axis.get_title("left")
    rule = PLAN["correlation"][0]
    assert rule["y"] == ["test", "sharing"] and rule["given"] == ["train", "robust_loss"]  # what the second row shows


def test_a_part_of_a_campaign_is_drawn_and_none_is_refused(tmp_path, runs, unrendered):
    """The trunk's first two seeds: two of the pictures; one arm without a trunk: CAS and arms have nothing to show."""
    trunk = write_results(tmp_path / "trunk" / "campaign", {"a1": {seed: runs["a1"][seed] for seed in (0, 1)}})
    for script in SCRIPTS:
        script.draw(tmp_path / "trunk", trunk)
        assert script.finding(tmp_path / "trunk")
    assert all("No arm has two seeds" in script.finding(tmp_path / "trunk") for script in (arms, fit))
    arm = write_results(tmp_path / "arm" / "campaign", {"a3": runs["a3"]})
    for script in (cas, arms, fit):
        with pytest.raises(ValueError, match=r"holds no result of a1.*run the campaign first"):
            script.draw(tmp_path / "arm", arm)
    assert "in the trunk's runs" not in partial.finding(tmp_path / "arm")
    for script in SCRIPTS:
        with pytest.raises(ValueError, match=r"holds no result.*run the campaign first"):
            script.draw(tmp_path, tmp_path / "nothing")
    with pytest.raises(ValueError, match="another recipe than the plan's"):
        partial.draw(tmp_path, of_another_recipe(runs, tmp_path / "other"))


def of_another_recipe(runs, folder):
    """Write one result, whose recipe has an epoch more than the plan's."""
    run = copy.deepcopy(runs["a3"][0])
    run["recipe"]["epochs"] += 1
    return write_results(folder, {"a3": {0: run}})


def test_the_report_leaves_out_what_is_not_there_and_hides_nothing_else(runs, tmp_path, monkeypatch, unrendered):
    arm = write_results(tmp_path / "arm" / "campaign", {"a3": runs["a3"]})
    assert [name for name, _, _ in draw_campaign(tmp_path, arm)] == ["campaign_partial"]
    with pytest.raises(ValueError, match="another recipe than the plan's"):
        draw_campaign(tmp_path, of_another_recipe(runs, tmp_path / "other"))

    def fails(*arguments):
        raise ValueError("x and y must have same first dimension")
    monkeypatch.setattr(partial, "draw", fails)
    with pytest.raises(ValueError, match="same first dimension"):
        draw_campaign(tmp_path, arm)


def test_the_report_and_the_pages_say_what_deep_confirm_says(source, tmp_path, unrendered, capsys):
    found, drawn = judged_campaign(source), draw_campaign(tmp_path, source)
    contents = Contents([], [], [], [], (), None, Setting(1, 0.5), MADE, "", found)
    text = in_markdown(contents)
    row = next(line for line in text.splitlines() if line.startswith("| a3-robust |"))
    assert re.search(r"`robust_apgd_t` of a3 - a1 ≥ 3 \| 10\.\d+ \[\d+\.\d+, 1\d\.\d+\], n = 3, and 3, 4 to be run "
                     r"\| undecided \|$", row)
    assert "| proxy |" in text and "| Shared features are necessary" in text
    assert [name for name, _, _ in drawn] == ["campaign_cas", "campaign_arms", "campaign_fit", "campaign_partial"]
    assert all((tmp_path / f"{name}.png").exists() and said for name, _, said in drawn)
    html = page(contents)
    assert found.summary in html and html.count("Predictions of the campaign") == 1 and "<td>a3-robust" in html
    said = common.said(source)
    assert " not run (18 runs).\n" in readme.campaign_answers(said) and "| answer |" in readme.campaign_answers(said)
    assert row in readme.campaign_table(said) and "| trunk |" not in readme.campaign_table(said)
    shown = replace(said, surgery=[{"network": "early body, late layer", "seeds": [0, 1], "clean": (30.0, (29.0, 31.0)),
                                    "robust": (20.0, None), "cas": (5.0, None), "sharing": (4.0, None)}])
    assert readme.campaign_table(shown).endswith("| trunk | n | clean, % | robust, % | CAS | sharing |\n"
                                                 "| --- | --- | --- | --- | --- | --- |\n"
                                                 "| early body, late layer | 2 | 30.00 [29.00, 31.00] | 20.00 | 5.00 | "
                                                 "4.00 |")
    contents = replace(contents, campaign=replace(found, surgeries=tuple(common.surgery_rows(shown))))
    for written in (in_markdown(contents), page(contents)):
        assert written.count("early body, late layer") == written.count("30.00 [29.00, 31.00]") == 1
    assert main(["confirm", "--results", str(source)]) == 0  # the same numbers in the same words
    measured, out = re.search(r"10\.\d+ \[.*?\], n = 3", row)[0], capsys.readouterr().out
    assert f"robust_apgd_t of a3 - a1 >= 3: {measured}, seeds 0, 1, 2, and 3, 4 to be run; deep confirm" in out
    assert all(one["measured"] in out.replace(", seeds 0, 1, 2", "") for one in common.prediction_rows(said))


def test_a_report_and_the_pages_judge_a_campaign_once(source, monkeypatch):
    judged = []
    monkeypatch.setattr(common, "answers", lambda plan, runs: judged.append(runs) or answers(plan, runs))
    judged_campaign(source)
    assert len(judged) == 1
    readme.pages()
    assert len(judged) == 2


def test_before_a_run_nothing_is_claimed(tmp_path):
    found = judged_campaign(tmp_path)
    assert found == Campaign("Not run: there is no result of the campaign yet.")
    assert not draw_campaign(tmp_path, tmp_path) and not list(tmp_path.glob("*.png"))
    contents = Contents([], [], [], [], (), None, Setting(1, 0.5), MADE, "", found)
    assert found.summary in page(contents) and "Predictions of the campaign" not in page(contents)
    assert in_markdown(contents).rstrip().endswith(found.summary)
    shown = {picture.name for picture in gallery.PICTURES}
    for picture in gallery.CAMPAIGN:
        assert (picture.name in shown) == (common.exists() and (gallery.DATA / f"{picture.name}.png").exists())


@dataclass(frozen=True)
class Committed:
    """The committed results, {arm: {seed: result}}, and what is asked of them, an array of one number a seed."""

    runs: dict

    def end(self, arm, key):
        return 100 * np.array([self.runs[arm][seed]["end"][key] for seed in range(5)])

    def difference(self, arm, quantity, minus="a1"):
        found = paired({"arm": arm, "minus": minus, "quantity": quantity}, self.runs)
        assert len(found) == 5
        return np.array([found[seed] for seed in sorted(found)])

    def course(self, arm, split, key):
        """One row a seed, of its checkpoints."""
        return np.array([[line[split][key] for line in self.runs[arm][seed]["checkpoints"]] for seed in range(5)])


def interval(values):
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):+.1f} [{np.mean(values) - half:.1f}, {np.mean(values) + half:.1f}]"


def two_digits(values):
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    mean, low, high = (f"{np.mean(values) + side:.2f}" for side in (0, -half, half))
    return f"{mean} [{low}, {high}]"


def words_of(name):
    return " ".join((ROOT / name).read_text().split())


def says(page, *words):
    assert "".join(words) in page, words


def test_what_the_pages_say_of_the_arms_is_what_the_results_say():
    results = Committed(common.results()[1])
    end, difference, course, runs = results.end, results.difference, results.course, results.runs
    first, deep = words_of("README.md"), words_of("deep/README.md")
    robust, sharing, clean = (difference("a3", one) for one in ("robust_apgd_t", "sharing_test", "clean"))
    last = sharing.argmin()
    left = 100 * (course("a3", "test", "accuracy")[:, -1] - course("a1", "test", "accuracy").max(1))
    assert (sharing > 0).sum() == 4 and robust[last] == robust.min()
    says(first, f"the largest 2/5 of the losses of each batch: {interval(robust)} points, clean accuracy ",
         f"{clean.mean():.1f}, sharing not clear ({interval(sharing)})")
    says(deep, f"ends {robust.min():.1f} to {robust.max():.1f} points above the trunk's, at a cost of ",
         f"{-clean.mean():.1f} points of clean accuracy, and not clearly below the trunk's highest (",
         f"{interval(left)} points of PGD-10); sharing ends higher in four of five seeds, and in ",
         f"the fifth ({sharing[last]:.1f}) robust accuracy still gains {robust[last]:.1f} points")
    sharing = difference("a5", "sharing_test")
    assert (sharing > 0).all()
    assert (difference("a5", "robust") > 0).all() and (difference("a5", "robust_apgd_t") < 0).all()
    robust = {arm: difference(arm, "robust_apgd_t") for arm in ("a4", "a5", "a6")}
    kept = difference("a6", "sharing_test")
    by_pgd = {arm: interval(difference(arm, "robust")) for arm in ("a5", "a6")}
    says(first, f"more sharing ({interval(kept)}, {interval(sharing)}) and no more robustness by APGD-T ",
         f"({interval(robust['a6'])}, {interval(robust['a5'])} points; by PGD-20 {by_pgd['a6']}, {by_pgd['a5']})")
    says(first, f"a control: {interval(robust['a4'])} points, sharing {interval(difference('a4', 'sharing_test'))}")
    below = interval(difference("a3", "robust_apgd_t", "a6")).lstrip("+")
    assert (kept > 0).all()
    says(deep, f"({interval(robust['a6'])} points; by PGD-20 {by_pgd['a6']}), {below} points below a3, and sharing ",
         f"higher in every seed ({interval(kept)})")
    says(deep, f"robust accuracy {interval(robust['a4'])} points, ",
         f"sharing {interval(difference('a4', 'sharing_test'))}, clean accuracy ",
         f"{difference('a4', 'clean').mean():.1f}.")
    taught = difference("a7", "robust_apgd_t")
    assert (taught > 0).all()
    says(deep, f"ends higher in every seed ({interval(taught)} points, undecided after Holm's correction), ",
         f"whether sharing does is unclear ({interval(difference('a7', 'sharing_test'))})")
    says(first, f"{interval(taught)} points, sharing {interval(difference('a7', 'sharing_test'))}")
    smoothed = {key: difference("a8", key) for key in ("sharing_test", "robust_apgd_t")}
    assert all((values < 0).all() for values in smoothed.values())
    says(deep, f"ends with sharing lower in every seed ({interval(smoothed['sharing_test'])}, to ",
         f"{round(course('a8', 'test', 'sharing')[:, -1].mean(), 1) + 0.0:.1f})")
    fitted = [100 * course(arm, "train", "accuracy")[:, -1].mean() for arm in ("a8", "a1")]
    says(deep, f"robust accuracy ends lower in every seed, too ({interval(smoothed['robust_apgd_t'])} points); it ",
         f"classifies more of its training images (robust accuracy {fitted[0]:.0f} %, the trunk's {fitted[1]:.0f} %)")
    says(first, f"less sharing ({interval(smoothed['sharing_test'])}), {interval(smoothed['robust_apgd_t'])} points")
    row = next(row for row in arms.arm_rows() if row["arm"] == "a5")
    for title, key in (("APGD-T", "robust_apgd_t"), ("PGD-20", "robust"), ("clean", "clean"), ("CAS", "cas_test"),
                       ("sharing", "sharing_test")):
        assert row[title] == interval(difference("a5", key))
    clean = [runs["a5"][seed]["checkpoints"][-1]["test"]["sharing_clean"]
             - runs["a1"][seed]["checkpoints"][-1]["test"]["sharing_clean"] for seed in range(5)]
    says(deep, f"on clean inputs, too ({np.mean(clean):+.1f}), and robust accuracy lower by APGD-T, ",
         f"{end('a5', 'robust_apgd_t').mean():.1f} % against {end('a1', 'robust_apgd_t').mean():.1f} %")
    taken = {arm: end(arm, "robust").mean() - end(arm, "robust_apgd_t").mean() for arm in ("a1", "a5")}
    says(deep, f"{end('a5', 'robust').mean():.1f} % against {end('a1', 'robust').mean():.1f} %: from PGD-20 ",
         f"on all images to APGD-T on 2,000 of them a5 loses {taken['a5']:.1f} points, the trunk {taken['a1']:.1f}.")
    says(deep, f"is not the least, for standard training ends at {end('a2', 'robust_apgd_t').mean():.1f} %.")
    assert abs(end("a1", "robust_apgd_t").mean() - 10) < 0.5

    accuracy, null = course("a1", "test", "accuracy"), course("a1", "train", "sharing_null").mean(0)
    shared = course("a1", "train", "sharing").mean(0)
    fell = [np.mean([quantity_of(run, f"cas_{split}_fall") for run in runs["a1"].values()])
            for split in ("train", "test")]
    says(deep, f"CAS falls less, from each seed's highest value by {fell[0]:.1f} in place of {fell[1]:.1f} (a1-gap)")
    dropped, rose = (interval([quantity_of(run, name) for run in runs["a1"].values()]).lstrip("+")
                     for name in ("cas_test_fall", "sharing_test_rise"))
    says(first, f"with a fall of CAS, by {dropped}.")
    says(deep, f"from the first checkpoint, epoch 5, to its highest by {rose}")
    says(deep, f"(by {100 * (accuracy.max(1) - accuracy[:, -1]).mean():.1f} points of PGD-10 from its highest")
    tested = course("a1", "test", "sharing").mean(0)
    assert shared.argmax() == tested.argmax() == 2 and runs["a1"][0]["checkpoints"][2]["epoch"] == 15
    says(deep, f"from {shared.max():.1f} at epoch 15 to {shared[-1]:.1f}, on test inputs from {tested.max():.1f} to ",
         f"{tested[-1]:.1f}: what keeps CAS up is the separation of classes, ",
         f"whose null rises from {null[2]:.1f} to {null[-1]:.1f}")
    for arm, before in (("a1", ""), ("a2", "clean_")):  # on training inputs CAS falls less and sharing more
        cas, sharing = ({split: course(arm, before + split, key).mean(0) for split in ("train", "test")}
                        for key in ("cas", "sharing"))
        assert cas["train"].max() - cas["train"][-1] < cas["test"].max() - cas["test"][-1]
        assert sharing["train"].max() - sharing["train"][-1] > sharing["test"].max() - sharing["test"][-1]
        assert sharing["train"][-1] < 0
    says(deep, f"on training inputs to {sharing['train'][-1]:.1f}, and CAS falls on them, too.")
    cas = course("a3", "test", "cas")
    says(deep, f"the fall of CAS in a3 is {(cas.max(1) - cas[:, -1]).mean():.1f})")

    a5 = next(row for rule, row in common.said().rows() if rule["id"] == "a5-robust")
    says(deep, f"its mean is not: {with_interval(a5.value, a5.interval)}, on the side that speaks ",
         "against the statement.")
    others = partial.measured(common.DATA)["sharing"].others
    says(deep, f"without it they are {others[1]:.2f} and {others[0]:.2f}.")
    surgery = {row["network"]: row for row in common.said().surgery}
    early, late = "early body, early layer", "late body, late layer"
    says(deep, f"{surgery[early]['robust'][0]:.1f} % early, ",
         f"{surgery['early body, late layer']['robust'][0]:.1f} % with the late last layer, ",
         f"{surgery['late body, early layer']['robust'][0]:.1f} % with the late body, ",
         f"{surgery[late]['robust'][0]:.1f} % late")
    refitted = {body: surgery[f"{body} body, refitted layer"] for body in ("early", "late")}
    says(deep, f"is {refitted['early']['robust'][0] - refitted['late']['robust'][0]:.1f} points behind the early one, ",
         f"and its sharing is not lower ({refitted['late']['sharing'][0]:.1f} against ",
         f"{refitted['early']['sharing'][0]:.1f})")
    assert surgery[early]["early_epoch"] == 15
    assert refitted["late"]["sharing"][0] > refitted["early"]["sharing"][0]


def test_what_the_pages_say_of_the_trunks_trained_again_is_what_the_results_say():
    runs = {"again": {seed: run["again"][0] for seed, run in common.results()[1]["a1"].items()}}
    results, deep = Committed(runs), words_of("deep/README.md")
    rho = {split: results.course("again", split, "margin_rho") for split in margins.SPLITS}
    change = {(split, begin): two_digits(values[:, -1] - values[:, begin]) for split, values in rho.items()
              for begin in (0, 2)}
    says(deep, f"it changes little, by {change['test', 0]} from epoch 5 to the end and by {change['test', 2]} from ",
         f"epoch 15 on. On clean test inputs it rises, by {change['clean_test', 0]} and {change['clean_test', 2]}, ",
         "as if a little were given up; on adversarial training inputs, where sharing ends below 0, it falls, ",
         f"by {change['train', 0]} and {change['train', 2]}.")
    epochs = [line["epoch"] for line in runs["again"][0]["checkpoints"]]
    cas, accuracy = (results.course("again", "test", key).mean(0) for key in ("cas", "accuracy"))
    assert epochs[:3] == [5, 10, 15] and epochs[-1] == 60 and cas[-1] < 0.5 * cas.max()
    assert accuracy[-1] < 0.6 * accuracy.max() and results.course("again", "train", "sharing")[:, -1].mean() < 0
    first = Committed(common.results()[1])
    for key in ("robust", "robust_apgd_t"):
        change, ends = results.end("again", key) - first.end("a1", key), first.end("a1", key)
        assert np.abs(change).max() < 1 and change.std(ddof=1) < ends.std(ddof=1)  # two seeds: that times sqrt(2)
    apart = []
    for key in ("sharing", "cas"):
        change = results.course("again", "test", key)[:, -1] - first.course("a1", "test", key)[:, -1]
        deviations = change.std(ddof=1), np.sqrt(2) * first.course("a1", "test", key)[:, -1].std(ddof=1)
        apart.append(" and ".join(f"{deviation:.2f}"[1:] for deviation in deviations))
    says(deep, f"(standard deviation of the difference of sharing {apart[0]}, of CAS {apart[1]})")


def beside_its_trunk(runs, name):
    """`Committed` of an arm, "arm", and of the trunk that was trained again for it, "trunk"."""
    return Committed({"arm": runs[name], "trunk": {
        seed: next(again for again in runs["a1"][seed]["again"] if again["course"] == run["course"])
        for seed, run in runs[name].items()}})


def test_what_the_pages_say_of_a_random_share_of_each_batch_is_what_the_results_say():
    runs = common.results()[1]
    results = beside_its_trunk(runs, "b2-random")
    robust, clean = (results.end("arm", key) - results.end("trunk", key) for key in ("robust_apgd_t", "clean"))
    sharing = results.course("arm", "test", "sharing")[:, -1] - results.course("trunk", "test", "sharing")[:, -1]
    fitted = {arm: 100 * results.course(arm, "train", "accuracy")[:, -1].mean() for arm in ("arm", "trunk")}
    assert (robust > 0).all() and (sharing > 0).all()
    says(words_of("README.md"), f"a random 2/5 of each batch: {interval(robust)} points, sharing {interval(sharing)}")
    smallest, largest = (Committed(runs).difference(arm, "robust_apgd_t").mean() for arm in ("a6", "a3"))
    others = [100 * Committed(runs).course(arm, "train", "accuracy")[:, -1].mean() for arm in ("a6", "a3")]
    says(words_of("deep/README.md"), "That nothing changes is contradicted: robust accuracy ends higher in every ",
         f"seed, by {interval(robust)} points, and so does sharing ({interval(sharing)}), at no cost of clean ",
         f"accuracy ({interval(clean)}). With 3/5 of the gradients the training images are fitted less (robust ",
         f"accuracy {fitted['arm']:.0f} %, the trunk's {fitted['trunk']:.0f} %). So a part of a3's gain may need no ",
         "choice of images; a4 sees the images that it keeps as often as the trunk does and could not show this. ",
         f"With the smallest 2/5 ignored the gain is {smallest:.1f} points, with random ones ",
         f"{robust.mean():.1f}, with the largest {largest:.1f}; but the fit differs, too ({others[0]:.0f}, ",
         f"{fitted['arm']:.0f} and {others[1]:.0f} %).")
    verdicts = {rule["id"]: row.verdict for rule, row in common.said().rows()}
    assert verdicts["b2-random"] == "contradicted"


def test_what_the_pages_say_of_the_arms_at_equal_fit_is_what_the_results_say():
    runs, said = common.results()[1], {row["arm"]: row for row in fit.fit_rows()}
    end = {arm: said[arm]["PGD-10, end"].split()[0].lstrip("+") for arm in said}
    equal = {arm: said[arm]["at equal fit"].lstrip("+") for arm in said}
    says(words_of("deep/README.md"), f"Of a3's {end['a3']} points of PGD-10 this leaves {equal['a3']}, of b9-awp's ",
         f"{end['b9-awp']} {equal['b9-awp']}, of b2-random's {end['b2-random']} {equal['b2-random']}: what a ")
    says(words_of("README.md"), f"{equal['b2-random']} of {end['b2-random']} points by PGD-10 are left, of the ",
         f"{end['a3']} of the largest losses {equal['a3']}.")
    results = Committed(runs)
    ahead = interval(list(paired({"arm": "a3", "minus": "b8", "quantity": "robust_apgd_t"}, runs).values())).lstrip("+")
    gained = results.difference("a3", "robust_apgd_t").mean()
    says(words_of("deep/README.md"), f"a3 ends {ahead} points above it by APGD-T, of the ",
         f"{gained:.1f} that it gains.")
    stopped = [interval(list(paired({"arm": "b8", "minus": "a1", "quantity": quantity}, runs).values()))
               for quantity in ("robust_apgd_t", "sharing_test")]
    says(words_of("README.md"), f"where it fits the images as much: {stopped[0]} points, sharing {stopped[1]}.")
    says(words_of("deep/README.md"), f"{stopped[0]} points above the trunk's end, sharing {stopped[1]}, and {ahead} ",
         "points below a3 (undecided, and may still be confirmed when its group is run). So two thirds")
    row = next(row for rule, row in common.said().rows() if rule["id"] == "b8-robust")
    assert row.n == 5 and row.verdict == "undecided" and row.possible == ("confirmed",)
    assert 0.6 < 1 + row.value / gained < 0.72
    averaged = [next(line for line in run["checkpoints"] if line["epoch"] == 30) for run in runs["b9-ema"].values()]
    known, right = (100 * np.array([line[split]["accuracy"] for line in averaged]) for split in ("train", "test"))
    ends = 100 * results.course("a3", "test", "accuracy")[:, -1]
    says(words_of("deep/README.md"), f"has fitted {known.mean():.0f} % at epoch 30 and has {right.mean():.1f} % on ",
         f"test images then, about as much as a3 at its end ({ends.mean():.1f} %; seed by seed ",
         f"{interval(ends - right)}).")
    assert list(runs["b9-ema"]) == list(runs["a3"]) == list(range(5))
    fitted, epochs = results.course("a1", "train", "accuracy").mean(0), [5 * number for number in range(1, 13)]
    assert [line["epoch"] for line in runs["a1"][0]["checkpoints"]] == epochs
    says(words_of("deep/README.md"), f"the trunk's rises from {100 * fitted[5]:.0f} to {100 * fitted[6]:.0f} %")
    lost = {arm: at[2].mean() - at[3].mean() for arm, at in fit.at_equal_fit(plan_of(committed()[0]), runs).items()}
    assert lost["b2-random"] > 0.6 * float(end["b2-random"])


def test_what_the_pages_say_of_weight_perturbation_is_what_the_results_say():
    runs = common.results()[1]
    results = beside_its_trunk(runs, "b9-awp")
    robust, clean = (results.end("arm", key) - results.end("trunk", key) for key in ("robust_apgd_t", "clean"))
    ends = {(arm, key): results.course(arm, split, key)[:, -1] for arm in ("arm", "trunk")
            for split, key in (("test", "sharing"), ("train", "robust_loss"))}
    sharing = ends["arm", "sharing"] - ends["trunk", "sharing"]
    assert (sharing > 0).all() and (robust > 0).all()
    says(words_of("README.md"), f"a known remedy: {interval(robust)} points, sharing {interval(sharing)}. A running ")
    loss = {arm: f"{ends[arm, 'robust_loss'].mean():.2f}" for arm in ("arm", "trunk")}
    says(words_of("deep/README.md"), f"a known remedy: {interval(robust)} points, clean accuracy {interval(clean)}, ",
         f"and sharing higher in every seed ({interval(sharing)}), as predicted. Its training images are fitted less ",
         f"(robust loss {loss['arm']} in place of {loss['trunk']}). Sharing and robustness go together here, ",
         "as the paper has it; a5, which keeps more, gains nothing by APGD-T.")
    other = Committed(runs)
    assert other.difference("a5", "sharing_test").mean() > sharing.mean()
    assert other.difference("a5", "robust_apgd_t").mean() < 0
    verdicts = {rule["id"]: row.verdict for rule, row in common.said().rows()}
    assert verdicts["b9-awp-robust"] == verdicts["b9-awp-sharing"] == "confirmed"


def test_what_the_pages_say_of_more_and_less_smoothing_is_what_the_results_say():
    runs = common.results()[1]

    def smoothed(arm, quantity):
        found = paired({"arm": arm, "minus": "a1", "quantity": quantity}, runs)
        return np.array([found[seed] for seed in range(3)])
    less, robust = ([smoothed(f"c-smoothing-{b}", quantity) for b in (1, 4)] for quantity in ("sharing_test",
                                                                                         "robust_apgd_t"))
    says(words_of("deep/README.md"), "Smoothing of 0.1 and of 0.4 (c-smoothing-1 and -4, three seeds each) lowers ",
         f"sharing in every seed, too ({interval(less[0])} and {interval(less[1])}), as predicted: the more ",
         "smoothing, the less is left of sharing, and of robust accuracy ",
         f"({interval(robust[0])} and {interval(robust[1])} points).")
    says(words_of("README.md"), f"of .1 and .4, three seeds: {less[0].mean():.1f} and {less[1].mean():.1f} of ",
         f"sharing, {robust[0].mean():.1f} and {robust[1].mean():.1f} points.")
    higher = [two_digits(np.array([runs["c-smoothing-4"][seed]["checkpoints"][-1][split]["margin_rho"]
                                   - runs["a1"][seed]["again"][0]["checkpoints"][-1][split]["margin_rho"]
                                   for seed in range(3)])) for split in ("test", "clean_test")]
    says(words_of("deep/README.md"), f"by {higher[0]} on adversarial and {higher[1]} on clean test inputs, as where ",
         "less is shared.")
    assert np.max(less) < 0
    for of_arms in ([less[0], smoothed("a8", "sharing_test"), less[1]],
                    [robust[0], smoothed("a8", "robust_apgd_t"), robust[1]]):  # smoothing .1, .2, .4
        assert 0 > of_arms[0].mean() > of_arms[1].mean() > of_arms[2].mean()
    verdicts = {rule["id"]: row.verdict for rule, row in common.said().rows()}
    assert verdicts["c-smoothing-1"] == verdicts["c-smoothing-4"] == "confirmed"


def test_what_the_pages_say_of_trades_is_what_the_results_say():
    runs = common.results()[1]
    ahead, less = (list(paired({"arm": "c-trades", "minus": "a1", "quantity": quantity}, runs).values())
                   for quantity in ("robust_apgd_t", "sharing_test"))
    assert min(ahead) > 0 > max(less) and len(ahead) == 3
    fell = interval([quantity_of(run, "cas_test_fall") for run in runs["c-trades"].values()]).lstrip("+")
    says(words_of("README.md"), f"TRADES, three seeds: {interval(ahead)} points, less sharing ({interval(less)}).")
    says(words_of("deep/README.md"), f"CAS falls from its highest value by {fell}, as predicted. It ends ",
         f"{interval(ahead)} points more robust than the trunk, as much fitted, and with less sharing ",
         f"({interval(less)}) in every seed: the two go apart.")
    fitted = [np.mean([run["checkpoints"][-1]["train"]["accuracy"] for run in runs[arm].values()])
              for arm in ("c-trades", "a1")]
    assert abs(fitted[0] - fitted[1]) < 0.02
    verdicts = {rule["id"]: row.verdict for rule, row in common.said().rows()}
    assert verdicts["c-trades"] == "confirmed"


def test_what_the_pages_say_of_other_images_is_what_the_results_say():
    runs = common.results()[1]
    in_l2 = [interval([quantity_of(run, f"{name}_test_fall") for run in runs["c-l2"].values()]).lstrip("+")
             for name in ("cas", "robust")]
    says(words_of("deep/README.md"), f"(c-l2),** three seeds: CAS falls from its highest value by {in_l2[0]}, robust ",
         f"accuracy (PGD-10) by {in_l2[1]} points.")
    tiny = runs["c-tiny"]
    fell = {name: [quantity_of(run, f"{name}_test_fall") for run in tiny.values()] for name in ("cas", "robust")}
    cas, robust = (interval(values).lstrip("+") for values in fell.values())
    fitted = 100 * np.mean([run["checkpoints"][-1]["train"]["accuracy"] for run in tiny.values()])
    assert len(tiny) == 3 and min(fell["cas"]) > 11
    says(words_of("deep/README.md"), f"falls from its highest value by {cas}, by more than 11 in each seed, while ",
         f"robust accuracy (PGD-10) falls by {robust} points and {fitted:.0f} % of the training images are fitted.")


def test_what_the_pages_say_of_the_running_average_is_what_the_results_say():
    runs = common.results()[1]
    results = beside_its_trunk(runs, "b9-ema")
    robust = results.end("arm", "robust_apgd_t") - results.end("trunk", "robust_apgd_t")
    sharing, accuracy = (results.course("arm", "test", key) - results.course("trunk", "test", key)[:, 3:]
                         for key in ("sharing", "accuracy"))
    words = interval(robust), interval(sharing[:, -1])
    says(words_of("README.md"), f"A running average of the weights, another: {words[0]} points, sharing {words[1]}.")
    epochs = [line["epoch"] for line in runs["b9-ema"][0]["checkpoints"]]
    ahead = interval(100 * accuracy[:, epochs.index(30)]).lstrip("+")
    says(words_of("deep/README.md"), f"over about six epochs: {words[0]} points at the end, sharing {words[1]}; that ",
         "it helps by a point, or keeps sharing, is contradicted. Where the learning rate first drops, at epoch 30, ",
         f"it is {ahead} points of PGD-10 ahead of its trunk; hardly anything of that is left at the end.")
    assert accuracy[:, -1].mean() < accuracy[:, epochs.index(30)].mean() / 5
    verdicts = {rule["id"]: row.verdict for rule, row in common.said().rows()}
    fell = [interval([quantity_of(run, f"{name}_test_fall") for run in runs["c-fast"].values()]).lstrip("+")
            for name in ("robust", "cas")]
    says(words_of("deep/README.md"), f"(PGD-10) falls from its highest value by {fell[0]} points and CAS by ",
         f"{fell[1]}, in all three seeds, as predicted.")
    assert len(runs["c-fast"]) == 3 and verdicts["c-fast"] == "confirmed"
    assert verdicts["b9-ema-robust"] == verdicts["b9-ema-sharing"] == "contradicted"
    assert runs["b9-ema"][0]["recipe"]["drops"] == ["1/2", "3/4"]
    assert results.course("arm", "test", "accuracy")[:, -1].mean() < results.course(
        "arm", "test", "accuracy").mean(0).max() - 0.05


def test_what_the_pages_say_of_cas_in_the_loss_is_what_the_results_say():
    results = Committed(common.results()[1])
    first, deep = words_of("README.md"), words_of("deep/README.md")
    cas, sharing, loss = ({arm: results.course(arm, split, key)[:, -1].mean() for arm in ("a1", "b4-up", "b4-down")}
                          for split, key in (("test", "cas"), ("test", "sharing"), ("train", "robust_loss")))
    pushed = {arm: [interval(results.difference(arm, key)) for key in ("robust_apgd_t", "robust")]
              for arm in ("b4-up", "b4-down")}
    says(first, f"{cas['b4-up']:.1f} in place of {cas['a1']:.1f}, sharing ",
         f"{interval(results.difference('b4-up', 'sharing_test'))}, and {pushed['b4-up'][0]} points ",
         f"({pushed['b4-up'][1]} by PGD-20); punished: {cas['b4-down']:.1f}, and {pushed['b4-down'][0]} points")
    says(deep, f"Pushed up, it ends at {cas['b4-up']:.1f} in place of the trunk's {cas['a1']:.1f}, sharing at ",
         f"{sharing['b4-up']:.1f} in place of {sharing['a1']:.1f}")
    says(deep, f"({pushed['b4-up'][0]} points; {pushed['b4-up'][1]} by PGD-20)")
    says(deep, f"Pushed down, it ends at {cas['b4-down']:.1f}, sharing at {sharing['b4-down']:.1f}, and robust ",
         f"accuracy, too, almost where it was ({pushed['b4-down'][0]} points)")
    apart = [interval(results.difference("b4-up", key, "b4-down")).lstrip("+") for key in ("robust_apgd_t", "robust")]
    says(deep, f"lie {cas['b4-up'] - cas['b4-down']:.1f} of CAS and {apart[0]} points of robust accuracy; ",
         f"{apart[1]} by PGD-20")
    of_accuracy, of_cas = ((values.max(1) - values[:, -1]).mean() for values in (
        results.course("a1", "test", key) for key in ("accuracy", "cas")))
    says(deep, f"loses {100 * of_accuracy:.1f} points of PGD-10 from its highest value, while its CAS falls ",
         f"by {of_cas:.1f}.")
    says(deep, f"(robust loss {loss['b4-up']:.2f}, pushed down {loss['b4-down']:.2f})")
    alike = {arm: [np.mean([one[key] for one in each]) for key in ("same", "correlation")]
             for arm, each in json.loads((common.DATA.parent / "basis.json").read_text())["alike"].items()}
    said = {arm: f"{100 * same:.0f} % ({correlation:.2f})" for arm, (same, correlation) in alike.items()}
    same, correlation = alike["b4-up"]
    says(deep, f"gives {100 * same:.0f} % of them the class that the trunk of its seed gives (correlation of all ",
         f"scores {correlation:.2f}), the one pushed down {said['b4-down']}, a6 {said['a6']}, a5 ",
         f"{said['a5']}, the control a4 {said['a4']}, a3 {said['a3']}; two trunks, of other training ",
         f"images, agree on {said['seeds']}")


def test_other_bases_of_runs_that_are_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        basis.main([str(tmp_path / "basis.json"), "--runs", str(tmp_path)])
    assert end.value.code == 2 and "is not a run folder" in capsys.readouterr().err
    assert not (tmp_path / "basis.json").exists()


def test_other_bases_of_a_network():
    """Features and W by hand: in each basis the same scores, and the CAS that it is named after."""
    generator = torch.Generator().manual_seed(0)
    labels, weight = torch.arange(60) % 3, torch.randn(3, 12, generator=generator)
    features = torch.rand(60, 12, generator=generator) + (weight - weight.mean(0))[labels]
    right = torch.ones(60, dtype=torch.bool)
    found = basis.in_bases(Outcome(labels, right, right, features, features + 0.01), weight)
    assert [one["basis"] for one in found] == list(basis.BASES) and all(one["change"] < 1e-9 for one in found)
    assert [one["moved"] for one in found] == [0] * 4
    assert [one["cas"] for one in found[1:]] == pytest.approx([0, 3, 6], abs=1e-6)
    assert found[0]["cas"] == pytest.approx(cas_of(class_correlation(features + 0.01, labels, gauge_fixed(weight))))
