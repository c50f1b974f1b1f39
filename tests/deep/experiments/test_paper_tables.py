"""The paper's tables: their numbers and recipes, and what is said of measurements beside them."""

import csv
import tomllib
from dataclasses import fields
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest

from deep.experiments.reproduction.comparison import (
    EXPECTATIONS,
    comparable,
    directions,
    row,
    rows,
    stage_difference,
    stage_values,
)
from deep.experiments.reproduction.paper_tables import (
    SCALES,
    STAGES,
    SYSTEMS,
    TABLES,
    checkpoint_of,
    differences,
    paper_cas_drop,
    paper_numbers,
    plan_runs,
    recipe_of,
    stage_epoch,
)
from deep.experiments.reproduction.table_markdown import caption, deviations, report_lines
from deep.recipe.recipe import recipe_named
from tests.conftest import shared


def test_the_papers_numbers_are_those_of_the_reference_and_lie_in_the_package():
    reference = shared("reference")
    for ours, theirs in (("results.csv", "paper_results.csv"), ("delta_cas.csv", "paper_delta_cas.csv")):
        paper = files("deep.experiments.reproduction").joinpath("paper", ours)
        with paper.open() as own, open(reference / theirs) as given:
            lines = list(csv.DictReader(own))
            assert lines == list(csv.DictReader(given))
            assert lines


def test_a_wheel_has_the_papers_numbers():
    root = Path(__file__).parents[3]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["deep"]
    listed = {path.name for pattern in patterns for path in (root / "deep").glob(pattern)}
    assert listed >= {"results.csv", "delta_cas.csv", "README.md"}


@pytest.mark.parametrize(("table", "system", "stage", "numbers"), [
    ("stages", "AT", "underfit", (42.6, 18.2, 70)),
    ("stages", "AT", "best", (47.8, 25.6, 108)),
    ("large_eps", "AT", "epoch10", (36.9, 16.7, 10)),
    ("large_eps", "AT", "best", (47.8, 25.6, None)),
    ("large_eps", "AT, eps 16/255", "last", (28.1, 8.4, 200)),
    ("distillation", "AT", "last", (42.5, 9.0, 200)),
    ("distillation", "AT + KD", "last", (46.2, 24.1, 200)),
    ("across", "AT, CIFAR-100", "best", (None, 569, None)),
    ("across", "AT, Tiny-ImageNet", "last", (None, 998, 200)),
    ("across", "AT, l2 128/255", "best", (None, 22.1, None)),
    ("across", "AT, DeiT-Ti", "last", (None, 16.6, None)),
    ("delta_cas", "AT, eps 4/255", "best", (None, None, None)),
    ("fast_at", "fast AT", "best", (None, None, None)),
    ("fast_at", "fast AT, eps 16/255", "best", (None, None, None)),
])
def test_the_papers_number_of_a_row(table, system, stage, numbers):
    assert tuple(paper_numbers(table, system, stage).values()) == numbers


def test_the_papers_falls_of_cas():
    assert [paper_cas_drop(name) for name, _ in TABLES["delta_cas"][1]] == [4.1, 8.9, 13.8, 16.6]
    assert paper_cas_drop("fast AT") is None and paper_cas_drop("AT + KD") is None
    assert paper_cas_drop("AT, CIFAR-100") is None


def names(table):
    return [name for name, _ in TABLES[table][1]]


PUBLIC = ["val_size=0", "select=test", "bf16=false", "attack_mode=train"]


def test_at_the_papers_scale_the_recipes_are_the_public_codes():
    for name in (name for table in TABLES if table != "fast_at" for name in names(table)):
        recipe = recipe_for(name, "paper", seed=3)
        assert (recipe.epochs, recipe.steps, recipe.train_size, recipe.seed) == (200, 10, None, 3)
        assert (recipe.val_size, recipe.select, recipe.bf16, recipe.attack_mode) == (0, "test", False, "train")
        assert (recipe.width, recipe.model) == ((192, "deit") if name == "AT, DeiT-Ti" else (64, "preactresnet18"))
        assert recipe.drops == (Fraction(1, 2), Fraction(3, 4))
    assert recipe_of("AT", "paper", 0) == recipe_named("at", [*PUBLIC, "keep_every=10"])
    assert recipe_of("AT, l2 128/255", "paper", 0) == recipe_named("at-l2", PUBLIC)
    assert recipe_of("AT, DeiT-Ti", "paper", 0) == recipe_named("at-deit", PUBLIC)
    assert recipe_of("fast AT", "paper", 0) == recipe_named("fast-at", PUBLIC)
    assert recipe_of("fast AT", "paper", 0).epochs == 30
    fast = recipe_of("fast AT, eps 16/255", "paper", 0)
    assert fast.step == Fraction(5, 4) * fast.eps == Fraction(20, 255)
    assert [recipe_of(name, "paper", 0).eps * 255 for name in names("delta_cas")] == [2, 4, 6, 8]
    assert [recipe_of(name, "paper", 0).eps * 255 for name in names("large_eps")] == [8, 12, 16]
    assert [recipe_of(name, "paper", 0).data for name in names("across")] == ["cifar100", "tiny-imagenet",
                                                                             "cifar10", "cifar10"]


def test_the_smaller_scales():
    for name in {name for table in TABLES for name in names(table)}:
        gpu, cpu = (recipe_of(name, scale, 0, teachers=[(field, "RUN") for field, _ in SYSTEMS[name].teachers])
                    for scale in ("gpu", "cpu"))
        assert gpu.compile and gpu.epochs <= 100 and gpu.train_size in (None, 50_000)
        assert gpu.width == recipe_of(name, "paper", 0, teachers=[]).width if not SYSTEMS[name].teachers else 64
        assert cpu.train_size <= 4000 and cpu.width <= 64 and not cpu.compile
        assert cpu.steps == (1 if "fast" in name else 7)
    # the setting of README.md that overfits robustly
    known = recipe_named("at-cpu", ["padding=0", "train_size=1000", "epochs=90", "eval_every=6", "keep_every=4"])
    ours = recipe_of("AT", "cpu", 0)
    for field in ("width", "steps", "step", "eps", "epochs", "drops", "lr", "batch", "train_size", "val_size",
                  "padding", "flip", "eval_every", "keep_every", "weight_decay"):
        assert getattr(ours, field) == getattr(known, field), field


def test_a_stage_is_the_same_share_of_every_schedule():
    assert [stage_epoch("underfit", epochs) for epochs in (200, 100, 90, 1)] == [70, 35, 32, 1]
    assert [stage_epoch("epoch10", epochs) for epochs in (200, 100, 90, 1)] == [10, 5, 4, 1]
    assert checkpoint_of("underfit", 200) == "checkpoints/epoch-0070"
    for epochs in range(1, 201):
        kept = recipe_of("AT", "cpu", 0, [f"epochs={epochs}"]).keep_every
        assert [stage_epoch(stage, epochs) % kept for stage in ("underfit", "epoch10")] == [0, 0]
    for table in TABLES:
        for name, stages in TABLES[table][1]:
            assert SYSTEMS[name].staged or not any(STAGES.get(stage) for stage in stages)


@pytest.mark.parametrize("scale", SCALES)
def test_a_training_of_several_tables_is_one_run_and_teachers_come_first(scale):
    plans = {table: plan_runs(table, scale, 2) for table in TABLES}
    shared = [plan["AT", 1].run.name for plan in plans.values() if ("AT", 1) in plan]
    assert len(shared) == 4 and len(set(shared)) == 1
    for plan in plans.values():
        order = [one.run.name for one in plan.values()]
        assert len(set(order)) == len(order)
        for one in plan.values():
            assert all(order.index(teacher) < order.index(one.run.name) for teacher in one.teachers)
    taught = plans["distillation"]["AT + KD", 1]
    robust, standard = (plans["distillation"][name, 1].run.name for name in ("AT", "standard training"))
    assert (taught.run.recipe.teacher, taught.run.recipe.standard_teacher) == (robust, standard) == taught.teachers
    assert (taught.run.recipe.teacher_share, taught.run.recipe.standard_share) == (0.6, 0.1)


@pytest.mark.parametrize("change", ["eps=4/255", "seed=3", "keep_every=2", "data=folder", "teacher=self", "model=cnn"])
def test_what_a_table_compares_is_not_to_be_set(change):
    with pytest.raises(ValueError, match="but the tables decide"):
        plan_runs("stages", "cpu", 1, [change])


def test_a_change_reaches_every_recipe():
    for name in ("AT", "fast AT", "fast AT, eps 16/255"):
        assert recipe_of(name, "cpu", 0, ["step=1/255", "epochs=7"]).step == Fraction(1, 255)


def papers(table):
    """The paper's own numbers as the results of one seed, as far as it gives them."""
    results = {}
    for name in names(table):
        stages = {}
        for stage in ("underfit", "epoch10", "best", "last"):
            numbers = paper_numbers(table, name, stage)
            stages[stage] = {key: value for key, value in numbers.items() if value is not None}
        if table == "delta_cas":
            stages["best"], stages["last"] = {"cas": paper_cas_drop(name)}, {"cas": 0.0}
        for stage, epoch in (("best", 108), ("last", 200)):  # where the paper does not say
            stages[stage].setdefault("epoch", epoch)
        results[name, 0] = {"stages": stages, "missing": None}
    return results


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"fast_at"}))
def test_the_papers_numbers_have_its_directions(table):
    """Only what the paper does not have decides nothing: the null level, and all networks under one attack, or none."""
    found = directions(table, papers(table))
    assert len(found) == len(EXPECTATIONS[table])
    ours = ("null level", "all at 8/255", "on clean images")
    for one in found:
        assert one["contradicted"] == []
        assert one["holds"] == ([] if any(words in one["expected"] for words in ours) else [0]), one


def result(best, last, **more):
    """A seed's results from CAS, robust accuracy alike."""
    values = {"best": best, "last": last} | more
    epochs = {"underfit": 3, "best": 5, "last": 9}
    return {"stages": {stage: {"epoch": epochs[stage], "cas": value, "robust": value + 40, "clean": 60.0,
                               "cas_null": 1.0, "cas_excess": value - 1}
                       for stage, value in values.items()}, "missing": None}


def verdicts(table, results):
    return {one["expected"]: one["verdict"] for one in directions(table, results)}


def test_a_contradiction_is_counted_seed_by_seed():
    results = {("AT", 0): result(9.0, 4.0, underfit=8.0), ("AT", 1): result(4.0, 6.0, underfit=8.0),
               ("AT", 2): {"stages": {}, "missing": "failed: x"}}
    found = verdicts("stages", results)
    assert found["CAS falls from best to last"] == "holds in 1 of 2 seeds, contradicted in 1"
    assert found["CAS rises from the early stage to best"] == "holds in 1 of 2 seeds, contradicted in 1"
    results["AT", 1]["stages"]["best"]["epoch"] = 3
    assert verdicts("stages", results)["CAS rises from the early stage to best"] == (
        "holds in 1 of 1 seeds; does not apply in 1")
    falls = dict(zip(names("delta_cas"), (1.0, 2.0, 2.0, 4.0), strict=True))  # not strictly growing
    results = {(name, 0): result(10 + fall, 10.0) for name, fall in falls.items()}
    assert verdicts("delta_cas", results)["the fall of CAS from best to last grows with eps"] == (
        "holds in 0 of 1 seeds, contradicted in 1")
    results = {("AT", 0): result(20.0, 10.0), ("AT + KD", 0): result(20.0, 15.0), ("AT", 1): result(3.0, 2.0)}
    assert verdicts("distillation", results)["CAS falls less with distillation than without"] == "holds in 1 of 1 seeds"
    assert verdicts("distillation", {})["CAS falls less with distillation than without"] == "no seed decides"


def test_catastrophic_overfitting_is_what_the_probe_says():
    results = {(name, seed): result(9.0, 4.0) for name in names("fast_at") for seed in (0, 1)}
    for (name, seed), one in results.items():
        one["stages"]["last"]["collapse"] = 17 if (name, seed) == ("fast AT", 1) else None
    found = verdicts("fast_at", results)
    assert found["catastrophic overfitting occurs (fast AT)"] == "holds in 1 of 2 seeds, contradicted in 1"
    assert found["where it occurs, CAS falls from best to last (fast AT)"] == (
        "holds in 1 of 1 seeds; does not apply in 1")


def test_the_mean_and_range_of_a_row_and_its_difference():
    results = {("AT", 0): result(20.0, 8.0, underfit=10.0), ("AT", 1): result(23.0, 11.0, underfit=10.0),
               ("AT", 2): {"stages": {}, "missing": "failed: disk"}}
    for one in list(results.values())[:2]:
        for values in one["stages"].values():
            values |= {"worst": 40.0, "worst_attack": "apgd-ce, apgd-t; linf eps 8/255"}
    _, best, last = rows("stages", results, {"AT": True})
    assert best["cas"] == {"mean": 21.5, "min": 20.0, "max": 23.0, "values": [20.0, 23.0]}
    assert best["difference"] == {"cas": pytest.approx(21.5 - 25.6), "worst": pytest.approx(40 - 47.8)}
    assert last["difference"]["cas"] == pytest.approx(9.5 - 9.0)
    assert best["missing"] == {"2": "failed: disk"} and best["seeds"] == [0, 1]
    assert [one["difference"] for one in rows("stages", results, {"AT": False})] == [{}, {}, {}]
    delta = rows("delta_cas", {(name, 0): result(20.0, 8.0) for name in names("delta_cas")},
                 dict.fromkeys(names("delta_cas"), True))[-1]
    assert (delta["stage"], delta["cas"]["mean"], delta["paper"]["cas"]) == ("best - last", 12.0, 16.6)
    assert delta["difference"]["cas"] == pytest.approx(12.0 - 16.6)
    assert delta["epochs"] == []


def test_a_weaker_attack_has_no_difference_to_the_paper():
    values = result(20.0, 8.0)["stages"]["best"] | {"worst": 40.0, "worst_attack": "apgd-ce50, apgd-t; linf eps 8/255"}
    assert "worst" not in row("stages", "AT", "best", {0: values}, {}, True)["difference"]
    assert "worst" not in row("stages", "AT", "best", {0: result(20.0, 8.0)["stages"]["best"]}, {}, True)["difference"]


def test_only_the_papers_scale_on_its_own_data_is_comparable():
    assert comparable("paper", [], "cifar100", "CIFAR-100")
    assert comparable("paper", [], "tiny-imagenet", "Tiny-ImageNet")
    for scale, changes, data in (("gpu", [], "CIFAR-10"), ("cpu", [], "CIFAR-10"), ("paper", ["lr=1"], "CIFAR-10"),
                                 ("paper", [], "CIFAR-10 (not the official files)"), ("paper", [], "CIFAR-100"),
                                 ("paper", [], "cifar10-jpeg (image folder, JPEG)")):
        assert not comparable(scale, changes, "cifar10", data)


def test_accuracies_are_in_percent():
    line = {"epoch": 4, "robust": {"value": 0.25}, "clean": {"value": 0.5}, "cas": 3.0, "cas_null": 2.0,
            "cas_excess": 1.0, "n_test": 8, "attack": "PGD"}
    values = stage_values(line, {"worst_case": {"value": 0.125}, "attack": "apgd-ce"})
    assert (values["robust"], values["clean"], values["worst"]) == (25.0, 50.0, 12.5)
    best, last = values, values | {"cas": 1.0, "worst": 2.5}
    difference = stage_difference(best, last)
    assert (difference["cas"], difference["worst"], difference["robust"]) == (2.0, 10.0, 0.0)
    assert "epoch" not in difference and "n_test" not in difference


def recipe_for(name, scale, changes=(), seed=0):
    return recipe_of(name, scale, seed, changes, teachers=[(field, "RUN") for field, _ in SYSTEMS[name].teachers])


def report_of(table, scale, beside, seeds=2, worst=False, changes=()):
    """A report of invented measurements, as the command makes it."""
    results = {(name, seed): result(20.0 + seed, 8.0, underfit=10.0) for name in names(table) for seed in range(seeds)}
    for one in results.values():
        one["stages"]["epoch10"] = one["stages"]["underfit"]
        for values in one["stages"].values():
            values |= {"worst": 40.0, "worst_attack": "apgd-ce, apgd-t; linf eps 8/255"} if worst else {}
            values["collapse"] = None
    data = {"x": {"name": "CIFAR-10", "n": {"train": 49_000, "val": 1000, "test": 10_000},
                  "systems": [*names(table), "standard training"]}}  # a teacher stands in no row
    flags = dict.fromkeys(names(table), beside)
    report = {"table": table, "scale": scale, "changes": list(changes), "seeds": list(range(seeds)), "data": data,
              "worst_case": ["apgd-ce", "apgd-t"] if worst else [], "comparable": flags, "histories": [],
              "trainings": dict.fromkeys(names(table), "preactresnet18 of width 64, 49,000 training images, ..."),
              "differences": {name: deviations(recipe_for(name, scale, changes), name) for name in names(table)},
              "eval_steps": 20, "select": "val", "rows": rows(table, results, flags),
              "directions": directions(table, results)}
    return report | {"caption": list(caption(report))}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", TABLES)
def test_the_caption_says_scale_n_seeds_and_data(table, scale):
    for beside in ((True, False) if scale == "paper" else (False,)):
        report = report_of(table, scale, beside)
        text = "\n".join(report["caption"])
        assert f"Table {table}: " in text and f"Scale {scale}." in text
        assert "Data: CIFAR-10, n = 49,000 training, 1,000 validation and 10,000 test images" in text
        assert "n = 2 seeds (0, 1): mean [min, max]" in text and "arXiv 2506.05032" in text
        assert ("no difference is printed" in text) == (not beside and (table != "fast_at" or scale == "paper"))
        assert ("is not comparable with the paper's" in text) == (scale != "paper")
        assert ("Not measured on the paper's data (CIFAR-10)" in text) == (not beside and scale == "paper")
        assert ("not directly comparable with those measured here" in text) == (table != "fast_at")
        assert ("gives none of its numbers" in text) == (table == "fast_at")
        table_text = "\n".join(report_lines(report))
        assert ("paper's |" in table_text) == (beside and table != "fast_at")  # of which the paper gives no number
        assert all(sentence in table_text for sentence in report["caption"])
        assert all(one["expected"] in table_text for one in report["directions"])


def test_a_difference_has_a_sign_and_one_seed_no_interval():
    text = "\n".join(report_lines(report_of("stages", "paper", True, seeds=1, worst=True)))
    best = next(line for line in text.splitlines() if "| best" in line)
    assert "20.00 (one seed)" in best and "[" not in best
    assert f"{20 - 25.6:+.2f}" in best and f"{40 - 47.8:+.2f}" in best
    assert "one seed has no spread" in text
    assert "to be set beside the worst case, not beside PGD's" in text
    two = next(line for line in report_lines(report_of("stages", "cpu", False)) if "| best" in line)
    assert "20.50 [20.00, 21.00]" in two and "25.6" in two and "-5" not in two


def test_another_choice_of_the_best_checkpoint_is_said():
    report = report_of("stages", "cpu", False, changes=["select=test"])
    assert any("the paper chose it on the test images" in line for line in report["caption"])
    assert any(line.startswith("Best:") and "the test images, as the paper's" in line
               for line in caption(report | {"select": "test"}))
    assert any("changed by --set select=test" in line for line in report["caption"])


def test_every_difference_of_a_recipe_is_found():
    """Each field in turn, whatever it is; those that change nothing that is compared are left out."""
    paper, other = recipe_for("AT", "paper"), recipe_for("AT", "paper", seed=5)
    assert differences(paper, "AT") == differences(other, "AT") == {}
    for scale in ("gpu", "cpu"):
        for name in SYSTEMS:
            own, papers = recipe_for(name, scale), recipe_for(name, "paper")
            found = differences(own, name)
            changed = {field.name for field in fields(own) if getattr(own, field.name) != getattr(papers, field.name)}
            assert set(found) == changed - {"keep_every"} and {"val_size", "select", "bf16", "attack_mode"} <= changed
            words = {"none": None, "true": True, "false": False}
            for field, (mine, theirs) in found.items():
                for text, recipe in ((mine, own), (theirs, papers)):
                    value = getattr(recipe, field)
                    assert words.get(text, text) == (value if value is None or isinstance(value, bool) else str(value))
    assert differences(recipe_for("AT", "paper", ["drops=1/2", "epochs=100", "train_size=9", "channels_last=false"]),
                       "AT") == {"epochs": ("100", "200"), "drops": ("1/2", "1/2,3/4"), "train_size": ("9", "none")}


def test_the_caption_lists_every_difference_of_another_scale():
    text = " ".join(report_of("large_eps", "cpu", False)["caption"])
    together = ("AT; AT, eps 12/255; AT, eps 16/255: otherwise than in the public code's recipe (its value in "
                "brackets): ")
    assert together in text
    listed = text.split(together)[1].split(".")[0].split(", ")
    assert sorted(listed) == sorted([
        "width=16 (64)", "steps=7 (10)", "attack_mode=eval (train)", "epochs=90 (200)", "padding=0 (4)",
        "train_size=1000 (none)", "val_size=500 (0)", "select=val (test)", "eval_every=6 (5)", "bf16=true (false)",
        "select_every=none (1)"])
    changed = " ".join(report_of("stages", "paper", False, changes=["lr=0.05"])["caption"])
    assert "AT: otherwise than in the public code's recipe (its value in brackets): lr=0.05 (0.1)." in changed
    paper = " ".join(report_of("stages", "paper", True)["caption"])
    assert "AT: the public code's recipe: all training images, float32, the attack in train mode" in paper
    assert "otherwise than in the public code's recipe" not in paper
    for caption_text in (text, changed, paper):
        assert "batch norm's running statistics, which that code moves once more a step" in caption_text


def test_what_the_papers_cas_was_measured_on_stands_beside_it():
    report = report_of("across", "paper", True)
    head, _, *lines = [[cell.strip() for cell in line.split("|")]
                       for line in report_lines(report) if line.startswith("|")]
    assert [line[head.index("paper: CAS")] for line in lines] == [
        "569 (CIFAR-10's normalisation)", "352 (CIFAR-10's normalisation)", "1548 (a 2x2 map)", "998 (a 2x2 map)",
        "22.1", "10.7", "25.4", "16.6"]
    text = " ".join(report["caption"])
    assert "CAS of CIFAR-100 was measured under CIFAR-10's mean and deviation" in text
    assert "network for Tiny-ImageNet keeps a 2x2 map" in text
    assert "CIFAR-100" not in " ".join(report_of("stages", "paper", True)["caption"])


def test_measured_with_other_steps_than_the_paper_nothing_is_set_beside_it():
    text = " ".join(caption(report_of("stages", "paper", False) | {"eval_steps": 5}))
    assert "CAS is measured under PGD-5, the paper's under PGD-20: no difference is printed." in text
    assert "Not measured on the paper's data" not in text


def test_networks_of_several_eps_are_compared_under_one_attack_and_under_none():
    """At its own eps CAS falls with eps, at 8/255 it rises, on clean images it does neither."""
    line = {"epoch": 4, "robust": {"value": 0.25}, "clean": {"value": 0.5}, "cas": 3.0, "cas_null": 2.0,
            "cas_excess": 1.0, "cas_clean": 7.0, "n_test": 8, "attack": "PGD"}
    common = line | {"robust": {"value": 0.375}, "cas": 5.0, "cas_clean": 7.0}
    values = stage_values(line, None, common)
    assert (values["robust"], values["robust_common"], values["cas"], values["cas_common"], values["cas_clean"]) == (
        25.0, 37.5, 3.0, 5.0, 7.0)
    results = {}
    for number, name in enumerate(names("large_eps")):
        stage = {"epoch": 4, "cas": 3.0 - number, "cas_common": 5.0 + number, "cas_clean": 7.0}
        results[name, 0] = {"stages": {"best": stage, "last": stage | {"epoch": 8}}, "missing": None}
    found = verdicts("large_eps", results)
    assert found["CAS at best falls with eps"] == "holds in 1 of 1 seeds"
    for words in ("all at 8/255", "on clean images"):
        assert found[f"CAS at best falls with eps, {words}"] == "holds in 0 of 1 seeds, contradicted in 1"
    for name, drop in zip(names("delta_cas"), (1.0, 2.0, 3.0, 4.0), strict=True):
        best = {"epoch": 4, "cas": 9.0, "cas_common": 9.0, "cas_clean": 9.0 + drop}
        results[name, 0] = {"stages": {"best": best, "last": {"epoch": 8, "cas": 9.0 - drop, "cas_common": 9.0 + drop,
                                                              "cas_clean": 9.0}}, "missing": None}
    found = verdicts("delta_cas", results)
    grows = "the fall of CAS from best to last grows with eps"
    assert [found[grows + more] for more in ("", ", on clean images", ", all at 8/255")] == [
        "holds in 1 of 1 seeds"] * 2 + ["holds in 0 of 1 seeds, contradicted in 1"]


def test_the_columns_of_one_attack_stand_in_tables_of_several_eps_alone():
    columns = ("robust % at 8/255", "CAS at 8/255", "CAS, clean")
    for table in TABLES:
        report = report_of(table, "cpu", False)
        head = next(line for line in report_lines(report) if line.startswith("| system"))
        several = table in ("large_eps", "delta_cas")
        assert [column in head for column in columns] == [several] * 3
        assert any("beside that, all with 8/255" in sentence for sentence in report["caption"]) == several
