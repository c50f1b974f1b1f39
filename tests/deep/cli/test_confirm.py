"""`deep confirm`: a small campaign from images to verdicts, stopped and continued, and what is refused."""

import json
import re
import shutil
import tomllib
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import deep.cli.confirm
import deep.experiments.campaign.own_runs
import deep.experiments.campaign.runs
from deep.__main__ import main
from deep.attacks.pgd import pgd
from deep.data.dataset import Split, as_float
from deep.data.layouts import LAYOUTS, read_images
from deep.evaluation import battery
from deep.evaluation.accuracy import evaluation_attack, measure
from deep.evaluation.cas import cas, class_correlation
from deep.evaluation.outcome import Outcome
from deep.experiments.campaign.own_runs import arm_of, check_pair, compared, own_results
from deep.experiments.campaign.plan import committed, plan_of, read_results
from deep.experiments.campaign.runs import held_out_images, measured_run, of_split, run_task, tasks
from deep.networks.folding import Folded
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data, train
from tests.support.layouts import cifar10_files, noise, pickled, write_tree
from tests.support.small_network import small_network

pytestmark = pytest.mark.slow

PLAN = """
[campaign]
recipe = "at-cpu"
words = ["width=2", "padding=0", "train_size=60", "val_size=20", "epochs=4", "batch=20", "steps=1", "keep_every=2",
         "eval_every=4", "eval_steps=1", "bf16=false"]
seeds = [0, 1]
level = 0.95
[effect]
robust = 1.0
[[arm]]
id = "old"
name = "nothing added"
words = []
[[arm]]
id = "new"
name = "half dropped"
words = ["trim=1/2", "trim_from=1/2"]
branch = true
[[prediction]]
id = "gain"
claim = "dropping helps"
arm = "new"
minus = "old"
quantity = "robust"
at_least = 3.0
[[conclusion]]
id = "c"
statement = "It does"
supported_by = ["gain"]
"""


@pytest.fixture(scope="module", autouse=True)
def sooner():
    """A small network, APGD-T with one target in place of nine; of a surgery only what it was given is noted."""
    def given(early, late, unused, test, attack, dtype):
        return {"weights": [model.linear.weight.sum().item() for model in (early, late)],
                "images": [len(unused), len(test)], "steps": attack.steps, "dtype": str(dtype)}
    with pytest.MonkeyPatch.context() as patch, small_network():
        patch.setattr(battery, "TARGETS", 1)
        patch.setattr(deep.experiments.campaign.runs, "last_layer_surgery", given)
        yield


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """The folder of a small campaign after `deep confirm --run`: plan.toml, images, runs, runs/campaign."""
    folder = tmp_path_factory.mktemp("campaign")
    write_tree(folder / "images", cifar10_files(60))
    (folder / "plan.toml").write_text(PLAN)
    assert main(words(folder)) == 0
    return folder


def words(folder, *more):
    return ["confirm", "--run", "--plan", str(folder / "plan.toml"), "--data", str(folder / "images"), "--out",
            str(folder / "runs"), "--threads", "1", *more]


def test_every_task_has_a_result_and_the_verdict_is_theirs(campaign, capsys):
    found = read_results(campaign / "runs" / "campaign")
    assert {arm: sorted(seeds) for arm, seeds in found.items()} == {"old": [0, 1], "new": [0, 1]}
    for arm, kept in (("old", [2, 4]), ("new", [4])):
        for seed, result in found[arm].items():
            assert [line["epoch"] for line in result["checkpoints"]] == kept
            assert (result["n_train"], result["n_test"], result["n_held_out"]) == (60, 60, 100)
            assert result["recipe"]["seed"] == result["recipe"].get("data_seed", 0) == seed
            assert result["end"]["robust_apgd_t"] <= result["end"]["robust"] + 1e-12
            assert (result["trunk"] is None) == (arm == "old")
    assert found["new"][1]["trunk"] == found["old"][1]["run"]
    assert main(["confirm", "--plan", str(campaign / "plan.toml"), "--results", str(campaign / "runs" / "campaign"),
                 "--json"]) == 0
    row, = json.loads(capsys.readouterr().out)["predictions"]
    gains = [100 * (found["new"][seed]["end"]["robust"] - found["old"][seed]["end"]["robust"]) for seed in (0, 1)]
    assert row["n"] == 2 and row["value"] == pytest.approx(sum(gains) / 2, abs=1e-9)


def test_what_is_measured_is_what_it_is_called(campaign):
    """The last checkpoint of the trunk, attacked again: CAS on test inputs, accuracies on all held-out images."""
    result = read_results(campaign / "runs" / "campaign")["old"][1]
    run = RunFolder(campaign / "runs" / result["run"])
    recipe = run.recipe()
    data = load_data(recipe, campaign / "images")
    model = load_network(run, data, "last")
    x, y = as_float(data.test.images), data.test.labels
    z = pgd(Folded(model), x, y, evaluation_attack(recipe, data.box, 10), torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = [model.features(part) for part in (x, z)]
        right = [(model.linear(part).argmax(1) == y).double().mean().item() for part in features]
    last = result["checkpoints"][-1]
    for name, part, accuracy in zip(("clean_test", "test"), features, right, strict=True):
        value = cas(class_correlation(part, y, model.linear.weight.detach()))
        assert last[name]["cas"] == pytest.approx(value, abs=1e-9)
        assert last[name]["accuracy"] == pytest.approx(accuracy, abs=1e-12)
        assert last[name]["margin_rho"] is None  # of six images a class


def test_the_correlation_of_margins_is_that_of_the_scores(campaign):
    """Images twice, so that a class has twelve: by numpy from the scores, and with another basis of the features."""
    run = RunFolder(as_own(campaign, ("old", 0))[0])
    data = load_data(run.recipe(), campaign / "images")
    model = load_network(run, data, "last").double()
    y = data.test.labels.repeat(2)
    with torch.no_grad():
        features = model.features(as_float(data.test.images).double()).repeat(2, 1)
    generator = torch.Generator().manual_seed(0)
    features += 0.1 * torch.randn(features.shape, generator=generator, dtype=torch.float64)
    linear, right = model.linear, torch.ones_like(y).bool()
    found = of_split(Outcome(y, right, right, features, features), model, "cross-entropy")[""]
    scores = (features @ linear.weight.detach().T + linear.bias.detach()).numpy()
    covariances = []
    for label in range(10):
        own = scores[y.numpy() == label]
        covariances.append(np.cov(own[:, [label]] - np.delete(own, label, 1), rowvar=False, ddof=0))
    pooled = np.mean(covariances, 0)
    off = (pooled.sum() - pooled.trace()) / 72
    assert found["margin_rho"] == pytest.approx(off / (pooled.trace() / 9), rel=1e-9)
    square = torch.randn(features.shape[1], features.shape[1], generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(square)[0]
    linear.weight.data = linear.weight.data @ rotation.T
    again = of_split(Outcome(y, right, right, features @ rotation.T, features @ rotation.T), model, "cross-entropy")[""]
    assert again["margin_rho"] == pytest.approx(found["margin_rho"], rel=1e-9)
    assert abs(again["cas"] - found["cas"]) > 0.1  # which the basis moves


MORE = """
[[arm]]
id = "small"
name = "a smaller ball"
words = ["eps=4/255"]
seeds = [1]
[[arm]]
id = "stopped"
name = "stopped where new ends"
words = ["keep_every=1", "average=ema", "average_decay=0.5", "average_from=1/4"]
stopped_at = "new"
seeds = [1]
"""


@pytest.fixture(scope="module")
def more(campaign):
    """{arm: result} of MORE, with the runs and results of the campaign; attacks of two steps, and none by APGD-T."""
    folder = campaign / "runs"
    (folder / "more").mkdir()
    shutil.copy(folder / "campaign" / "new-1.json", folder / "more")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("TRAJECTORY_STEPS", 2), ("END_STEPS", 2),
                            ("attack_rounds", lambda model, split, rounds, alive, *more, **by_name: alive ^ alive)):
            patch.setattr(deep.experiments.campaign.runs, name, value)
        return {task.arm: run_task(task, campaign / "images", folder, folder / "more")
                for task in tasks(tomllib.loads(PLAN + MORE), ["small", "stopped"])}


def test_another_ball_is_measured_in_the_trunks_too(campaign, more):
    """As the trunk's network would be: other images than in its own ball, the same clean ones."""
    for line in more["small"]["checkpoints"]:
        assert set(line) == {"epoch", "train", "clean_train", "test", "clean_test", "common"}  # clean_test is of both
        assert line["common"]["robust_loss"] > line["test"]["robust_loss"]
    assert "common" not in read_results(campaign / "runs" / "campaign")["new"][1]["checkpoints"][0]


def test_a_run_that_is_stopped_at_anothers_fit(campaign, more, tmp_path):
    """It ends at the kept checkpoint nearest to that fit, and the running average is what is measured there."""
    goal = read_results(campaign / "runs" / "campaign")["new"][1]["checkpoints"][-1]["train"]["accuracy"]
    result = more["stopped"]
    run = RunFolder(campaign / "runs" / result["run"])
    data = load_data(run.recipe(), campaign / "images")
    accuracies, losses = [], []
    for epoch in (1, 2, 3, 4):
        model = load_network(run, data, f"checkpoints/epoch-000{epoch}", averaged=True)
        attack = evaluation_attack(run.recipe(), data.box, 2)
        z = pgd(Folded(model), as_float(data.train.images), data.train.labels, attack, torch.Generator().manual_seed(0))
        with torch.no_grad():
            scores = model(z)
        accuracies.append((scores.argmax(1) == data.train.labels).double().mean().item())
        losses.append(nn.functional.cross_entropy(scores, data.train.labels).item())
    distances = [abs(accuracy - goal) for accuracy in accuracies]
    stop = 1 + distances.index(min(distances))
    assert [line["train"]["robust_loss"] for line in result["checkpoints"]] == pytest.approx(losses[:stop], rel=1e-5)
    assert [line["epoch"] for line in result["checkpoints"]] == [*range(1, stop + 1)] and result["end"]["epoch"] == stop
    task = next(task for task in tasks(tomllib.loads(PLAN + MORE)) if task.arm == "stopped")
    with pytest.raises(ValueError, match="run its arm first"):
        run_task(task, campaign / "images", tmp_path, tmp_path)


def test_the_trunk_has_its_last_layers_swapped(campaign):
    found = read_results(campaign / "runs" / "campaign")
    surgery = found["old"][0]["surgery"]
    run = RunFolder(campaign / "runs" / found["old"][0]["run"])
    weights = [run.model_state(which)["model"]["linear.weight"].sum().item()
               for which in ("checkpoints/epoch-0002", "last")]
    assert surgery == {"early_epoch": 2, "n_refit": 40, "weights": weights, "images": [40, 60], "steps": 10,
                       "dtype": "None"}
    assert "surgery" not in found["new"][0]


def test_gradients_have_the_precision_of_the_training(campaign, monkeypatch):
    """All attacks of a run trained in bfloat16, those of a surgery too; and the bar is full at the end."""
    run = RunFolder(as_own(campaign, ("old", 0))[0])
    recipe, data, seen, bars = run.recipe(), load_data(run.recipe(), campaign / "images"), [], []

    @contextmanager
    def bar(description, total):
        bars.append([description, total, 0])

        def advance(n):
            bars[-1][2] += n
        yield advance

    def noted(model, split, attack, dtype=None):
        seen.append(dtype)
        return measure(model, split, replace(attack, eps=0), 0)
    monkeypatch.setattr(deep.experiments.campaign.runs, "outcome_of", noted)
    monkeypatch.setattr(deep.experiments.campaign.runs, "attack_rounds", lambda *given, **options: given[3] & False)
    monkeypatch.setattr(deep.experiments.campaign.runs, "bar", bar)
    held_out = held_out_images(recipe, data, campaign / "images")
    found = measured_run(run, replace(recipe, bf16=True), data, held_out, surgery=True)
    assert seen == 5 * [torch.bfloat16] and found["surgery"]["dtype"] == "torch.bfloat16"
    measured_run(run, recipe, data, held_out, base=replace(recipe, eps=recipe.eps / 2), stopped_at=-1.0)
    assert seen[5:] == 5 * [None]  # two on training images, two on the test images of one checkpoint, one at the end
    assert bars == [[f"measuring {run.path.name}", 7, 7], [f"measuring {run.path.name}", 8, 8]]


def test_the_same_command_measures_nothing_again(campaign, monkeypatch, capsys):
    def never(*arguments, **options):
        raise AssertionError("trained or measured again")
    monkeypatch.setattr(deep.experiments.campaign.runs, "train", never)
    assert main(words(campaign)) == 0
    assert "dropping helps" in capsys.readouterr().out
    path = campaign / "runs" / "campaign" / "new-1.json"
    content = path.read_text()
    path.unlink()
    with pytest.raises(AssertionError, match="again"):
        main(words(campaign, "--arms", "new"))
    path.write_text(content)


def test_a_task_that_was_stopped_is_taken_up(campaign, monkeypatch, tmp_path):
    """Killed between training and measuring: the run is there, its result is made from it, and is the same."""
    task = next(task for task in tasks(tomllib.loads(PLAN)) if (task.arm, task.seed) == ("old", 0))
    again = run_task(task, campaign / "images", campaign / "runs", tmp_path)
    first = read_results(campaign / "runs" / "campaign")["old"][0]
    assert again | {"commit": None} == first | {"commit": None}  # the code may have been changed since


def test_an_arm_whose_trunk_is_lost_is_compared_with_what_began_where_it_did(campaign, tmp_path, capsys, monkeypatch):
    """The run folders are gone, one result is missing, and the trunk's is of a training that no processor repeats."""
    found = read_results(campaign / "runs" / "campaign")
    results = tmp_path / "results"
    results.mkdir()

    def write(arm, seed, **more):
        (results / f"{arm}-{seed}.json").write_text(json.dumps(found[arm][seed] | more))
    for seed in (0, 1):
        write("old", seed)
    write("new", 0)
    command = [*words(campaign, "--results", str(results), "--json"), "--out", str(tmp_path / "runs")]
    assert main(command) == 0
    assert {path.name for path in results.iterdir()} == {"old-0.json", "old-1.json", "new-0.json", "new-1.json"}
    assert read_results(results)["new"][1] | {"commit": None} == found["new"][1] | {"commit": None}
    capsys.readouterr()

    (results / "new-1.json").unlink()
    end = found["old"][1]["end"]
    write("old", 1, course="another", end=end | {"robust": end["robust"] + 0.5})
    assert main(command) == 0
    row, = json.loads(capsys.readouterr().out)["predictions"]
    course = found["old"][1]["course"]
    assert {path.name for path in results.iterdir()} == {"old-0.json", "old-1.json", f"old-1-again-{course}.json",
                                                         "new-0.json", "new-1.json"}
    again = read_results(results)
    assert again["old"][1]["course"] == "another" and len(course) == 12 and again["new"][1]["course"] == course
    assert again["old"][1]["again"][0] | {"commit": None} == found["old"][1] | {"commit": None}
    gains = [100 * (found["new"][seed]["end"]["robust"] - found["old"][seed]["end"]["robust"]) for seed in (0, 1)]
    assert row["value"] == pytest.approx(sum(gains) / 2, abs=1e-9)  # 25 points less beside the lost trunk
    (results / "new-1.json").unlink()
    trained, before = [], {path.name: path.stat().st_mtime_ns for path in results.iterdir()}

    def noted(recipe, *more, **options):
        trained.append(recipe.trim_kind if recipe.trim else "trunk")
        return train(recipe, *more, **options)
    monkeypatch.setattr(deep.experiments.campaign.runs, "train", noted)
    assert main(command) == 0  # what was trained again is not measured once more
    after = {path.name: path.stat().st_mtime_ns for path in results.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"new-1.json"} and len(trained) == 2

    (results / "new-1.json").unlink()
    trunk = tmp_path / "runs" / found["old"][1]["run"] / "checkpoints"
    shutil.copy(trunk / "epoch-0004.pt", trunk / "epoch-0002.pt")  # as another training of it
    task = next(task for task in tasks(tomllib.loads(PLAN)) if (task.arm, task.seed) == ("new", 1))
    with pytest.raises(ValueError, match="began from another training of"):
        run_task(task, campaign / "images", tmp_path / "runs", results)
    assert not (results / "new-1.json").exists()


def test_the_committed_plan_without_results(capsys, tmp_path):
    assert main(["confirm", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "41 predictions" in out and out.count("\n") == 2 * (40 + 1) + 2 * 5 + 4 + 1  # four name predictions
    plan, results = committed()
    for conclusion in plan_of(plan)["conclusion"]:
        assert f"OPEN         {conclusion['statement']}\n             {conclusion['rule']}\n" in out
    assert plan_of(plan)["campaign"]["seeds"] == [0, 1, 2, 3, 4] and results.name == "campaign"


def as_own(campaign, *names):
    """The run folders of results, by arm and seed."""
    found = read_results(campaign / "runs" / "campaign")
    return [str(campaign / "runs" / found[arm][seed]["run"]) for arm, seed in names]


def confirm_own(campaign, *given):
    """Options that are given come last."""
    return main(["confirm", "--plan", str(campaign / "plan.toml"), "--data", str(campaign / "images"), "--json",
                 "--threads", "1", *given])


def test_a_users_runs_are_judged_as_the_campaigns_are(campaign, capsys, monkeypatch):
    """Four folders, one by name, the others by their recipes: the same verdict. Measured once, into the folder."""
    assert main(["confirm", "--plan", str(campaign / "plan.toml"), "--results", str(campaign / "runs" / "campaign"),
                 "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["predictions"]
    given = as_own(campaign, ("old", 0), ("old", 1), ("new", 0), ("new", 1))
    for word in given:  # what the campaign has measured, in place of measuring it again
        result = next(one for seeds in read_results(campaign / "runs" / "campaign").values() for one in seeds.values()
                      if word.endswith(one["run"]))
        with monkeypatch.context() as patch:
            patch.setattr(deep.experiments.campaign.own_runs, "measured_run", lambda *given, result=result, **options: {
                key: result[key] for key in ("checkpoints", "end")})
            assert confirm_own(campaign, word) == 0
    capsys.readouterr()

    def never(*arguments, **options):
        raise AssertionError("measured again")
    monkeypatch.setattr(deep.experiments.campaign.own_runs, "measured_run", never)
    assert confirm_own(campaign, f"old={given[0]}", *given[1:]) == 0
    told = capsys.readouterr()
    row, = json.loads(told.out)["predictions"]
    assert row.pop("command").split() == ["deep", "confirm", "--data", "DIR", f"new={given[2]}", f"new={given[3]}",
                                          f"old={given[0]}", f"old={given[1]}"]
    assert expected[0].pop("command") == "deep confirm --run --data DIR --arms new,old" and [row] == expected
    assert f"{given[3]} is taken as new, seed 1.\n" in told.err
    assert main(["confirm", given[0], "--plan", str(campaign / "plan.toml"), "--data", str(campaign / "images")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "OPEN         It does", "             gain not run",
        "1 prediction: 0 confirmed, 0 contradicted, 0 undecided, 1 not run"]
    path = RunFolder(given[0]).path / "confirm.json"
    path.write_text(path.read_text().replace('"weights": "', '"weights": "0'))
    with pytest.raises(AssertionError, match="measured again"):  # the weights are others
        confirm_own(campaign, given[0])


def test_all_is_computed_on_the_device_that_was_asked_for(campaign, capsys, monkeypatch, tmp_path):
    """`meta` stands in for a GPU: the training is told, and the images of a measurement lie there."""
    monkeypatch.setattr(deep.cli.confirm, "use_device", lambda name, threads: {"cuda": "meta"}[name])
    run, seen = RunFolder(as_own(campaign, ("old", 0))[0]), []

    def trained(recipe, data, runs, *, device, **options):
        seen.append(device)
        return run

    def measured(run, recipe, data, held_out, *given, **options):
        seen.extend([data.train.images.device.type, data.test.labels.device.type, held_out.images.device.type])
        return {"checkpoints": [], "end": {"robust": 0}}
    for module in (deep.experiments.campaign.runs, deep.experiments.campaign.own_runs):
        monkeypatch.setattr(module, "measured_run", measured)
    monkeypatch.setattr(deep.experiments.campaign.runs, "train", trained)
    assert main(words(campaign, "--device", "cuda", "--arms", "old", "--results", str(tmp_path / "results"))) == 0
    assert seen == 2 * ["meta"] * 4
    shutil.copytree(run.path, tmp_path / "own")
    assert confirm_own(campaign, str(tmp_path / "own"), "--device", "cuda") == 0
    assert seen == 11 * ["meta"]


def test_seeds_alone_and_images_that_are_others(campaign, monkeypatch, tmp_path, capsys):
    """What is trained, and what is said of the images: nothing where they are those of the plan, or it names none."""
    done = []
    monkeypatch.setattr(deep.experiments.campaign.runs, "run_task",
                        lambda task, *more, **how: done.append((task.arm, task.seed)))
    images = read_images(LAYOUTS["cifar10"], campaign / "images" / "cifar-10-batches-py", None)[0]
    digests = [Split(torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels)).digest(),
               Split(torch.from_numpy(images.test_images), torch.from_numpy(images.test_labels)).digest()]
    for named, other in ((digests, False), (digests[::-1], True), (None, False)):
        more = "" if named is None else f"images = {json.dumps(named)}\n"
        (tmp_path / "plan.toml").write_text(PLAN.replace("[campaign]\n", f"[campaign]\n{more}"))
        assert main(words(campaign, "--seeds", "1", "--plan", str(tmp_path / "plan.toml"), "--results",
                          str(tmp_path / "results"))) == 0
        error = capsys.readouterr().err
        assert "2 of 2 runs have no result in" in error and ("holds other images than those" in error) == other
    assert done == 3 * [("old", 1), ("new", 1)]


def test_where_a_plans_image_folder_lies(campaign, monkeypatch, tmp_path):
    """It is looked for where CIFAR-10 would be, as everywhere: not in $DEEP_DATA."""
    roots = []
    monkeypatch.setattr(deep.experiments.campaign.runs, "run_task", lambda task, root, *more: roots.append(root))
    (tmp_path / "plan.toml").write_text(PLAN.replace('words = []', 'words = ["data=folder"]'))
    assert main(words(campaign, "--arms", "old", "--plan", str(tmp_path / "plan.toml"), "--results",
                      str(tmp_path))) == 0
    assert roots == 2 * [str(campaign / "images")]


def copied(campaign, folder, *names):
    """Copies of runs of the campaign that were never measured by themselves."""
    paths = []
    for word, (arm, seed) in zip(as_own(campaign, *names), names, strict=True):
        shutil.copytree(word, folder / f"{arm}-{seed}", ignore=shutil.ignore_patterns("confirm*.json"))
        paths.append(folder / f"{arm}-{seed}")
    return paths


def change_recipe(run, **values):
    path = run / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_result_is_of_its_images_and_of_its_ball(campaign, capsys, monkeypatch, tmp_path):
    """Other images are named in the file of their result; of another common ball the run is measured again."""
    run, = copied(campaign, tmp_path, ("old", 0))
    write_tree(tmp_path / "others", cifar10_files(60) | {"cifar-10-batches-py/test_batch": pickled(
        data=noise(60, seed=8).reshape(60, -1), labels=[i % 10 for i in range(60)])})
    seen = []

    def measured(run, recipe, data, held_out, *, base, stopped_at):
        seen.append(data.name)
        return {"checkpoints": [], "end": {"robust": len(seen)}}
    monkeypatch.setattr(deep.experiments.campaign.own_runs, "measured_run", measured)

    def confirm(*more):
        assert confirm_own(campaign, f"old={run}", *more) == 0
        return {path.name: json.loads(path.read_text())["end"]["robust"] for path in run.glob("confirm*.json")}
    others, = confirm("--data", str(tmp_path / "others"))
    assert re.fullmatch(r"confirm-on-[0-9a-f]{8}\.json", others) and "not the run's own (test images" in seen[0]
    assert confirm() == {others: 1, "confirm.json": 2} == confirm("--data", str(tmp_path / "others")) == confirm()
    run = run.rename(tmp_path / "moved")
    assert own_results(tomllib.loads(PLAN), [f"old={run}"], lambda recipe: campaign / "images")["old"][0] == {
        **json.loads((run / "confirm.json").read_text()), "run": str(run)}
    (tmp_path / "plan.toml").write_text(PLAN.replace('"steps=1"', '"steps=1", "eps=6/255"'))
    assert confirm("--plan", str(tmp_path / "plan.toml")) == {others: 1, "confirm.json": 3}


def test_nothing_is_measured_before_all_is_checked(campaign, capsys, monkeypatch, tmp_path):
    """Each set of runs begins with one that could be measured."""
    def never(*arguments, **options):
        raise AssertionError("measured")
    monkeypatch.setattr(deep.experiments.campaign.own_runs, "measured_run", never)
    first, second, wide, unlike = copied(campaign, tmp_path, ("old", 0), ("old", 1), ("new", 0), ("new", 1))
    shutil.rmtree(unlike / "checkpoints")
    change_recipe(wide, width=4)
    for others, sentence in (([f"old={wide}"], "as was"), ([unlike], "has kept no checkpoint"),
                             ([wide], "differ in width, which new and old do not")):
        assert confirm_own(campaign, str(first), *map(str, others)) == 2
        assert sentence in capsys.readouterr().err
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace('minus = "old"\n', "") + 'among = ["new"]\nrefuted_rules = [{minus = "old", '
                    'quantity = "robust", at_least = 1.0}]\n')
    assert confirm_own(campaign, str(first), str(wide), "--plan", str(plan)) == 2  # a conclusion compares them
    assert "differ in width, which new and old do not" in capsys.readouterr().err
    change_recipe(second, train_size=50, keep_every=1)
    assert confirm_own(campaign, str(first), str(second)) == 2
    assert capsys.readouterr().err.endswith(f"old-0 and {second} are both of old, but differ in train_size: pass runs "
                                            "that differ in their seeds alone.\n")
    change_recipe(second, train_size=60)
    for epoch in (1, 3):
        RunFolder(second).kept_path(epoch).touch()
    assert confirm_own(campaign, str(first), str(second)) == 2
    assert "checkpoints are of different epochs: pass runs with the same keep_every" in capsys.readouterr().err
    change_recipe(wide, width=2)
    RunFolder(wide).kept_path(3).touch()  # of its trunk's epochs, 4 is the one since it began
    assert confirm_own(campaign, str(first), str(wide)) == 2
    assert "have checkpoints of different epochs, but new and old are compared" in capsys.readouterr().err
    RunFolder(second).kept_path(4).unlink()
    assert confirm_own(campaign, str(second)) == 2
    assert "has kept no checkpoint of its last epoch, 4, but of 3, so that" in capsys.readouterr().err
    RunFolder(second).kept_path(4).touch()
    plan.write_text(PLAN + MORE)
    assert confirm_own(campaign, str(first), f"stopped={second}", "--plan", str(plan)) == 2
    assert "is stopped at the fit of new of the same seed: pass that run, too" in capsys.readouterr().err


def test_what_was_measured_is_compared_where_its_checkpoints_are_removed(campaign, capsys, monkeypatch, tmp_path):
    runs, epochs = copied(campaign, tmp_path, ("old", 0), ("old", 1)), iter(([2, 4], [1, 2, 3, 4]))
    monkeypatch.setattr(deep.experiments.campaign.own_runs, "measured_run", lambda *given, **options: {
        "checkpoints": [{"epoch": epoch} for epoch in next(epochs)], "end": {"robust": 0}})
    for run in runs:
        assert confirm_own(campaign, str(run)) == 0
        shutil.rmtree(run / "checkpoints")
    assert confirm_own(campaign, *map(str, runs)) == 2
    assert "checkpoints are of different epochs" in capsys.readouterr().err


def test_no_pair_of_the_plans_own_runs_is_refused():
    plan, runs = plan_of(committed()[0]), {}
    for task in tasks(plan):
        recipe = task.recipe
        begin = recipe.epochs // 4 if task.trunk else 0
        runs.setdefault(task.arm, {})[task.seed] = {
            "run": task.arm, "recipe": recipe.as_dict(),
            "epochs": [*range(begin + recipe.keep_every, recipe.epochs + 1, recipe.keep_every)]}
    pairs, arms = compared(plan), {arm["id"]: arm for arm in plan["arm"]}
    assert ("a3", "a1") in pairs and ("b3", "a3") in pairs and len(pairs) == 43
    for one, other in pairs:
        check_pair(arms, runs, one, other)


def test_which_arm_a_run_is():
    plan = plan_of(committed()[0])

    def named(*words):
        return arm_of(plan, recipe_named("at-cpu", ["padding=0", *words]))
    assert named("train_size=none", "epochs=200", "width=64", "keep_every=1", "seed=3", "data_seed=9") == "a1"
    assert named("floor=1.5", "trim_from=1/4") == "a5" and named("eps=4/255", "step=1/255") == "b6-4"
    assert named("drops=3/8", "epochs=80") == "b8" and named("smoothing=0.4") == "c-smoothing-4"
    for words in (["floor=1.5"], ["steps=10"], ["smoothing=0.3"]):
        with pytest.raises(ValueError, match=r"is that of no arm of the plan, .*ARM=RUN"):
            named(*words)


def test_runs_of_ones_own_that_are_refused(campaign, capsys, tmp_path):
    old, = as_own(campaign, ("old", 0))
    new, = as_own(campaign, ("new", 1))
    shutil.copytree(new, tmp_path / "unlike", ignore=shutil.ignore_patterns("checkpoints"))
    path = tmp_path / "unlike" / "recipe.json"
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps(recipe | {"epochs": 5}))
    for given, sentence in (([str(tmp_path)], "is not a run folder"),
                            ([f"zz={old}"], f"zz={old} was given, but the plan has no arm zz: choose among old, new."),
                            (["--run", old], "leave the option out"),
                            ([str(tmp_path / "unlike")], "has 4 of 5 epochs")):
        assert confirm_own(campaign, *given) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1, error
    path.write_text(json.dumps(recipe | {"lr": 0.5}))
    assert confirm_own(campaign, str(tmp_path / "unlike")) == 2
    assert "unlike was given, but its recipe is that of no arm" in capsys.readouterr().err
    arms = {"a": {"words": ["trim=1/2"]}, "b": {"words": []}}
    pair = {"a": {0: {"run": "x", "recipe": {"lr": 1, "trim": "1/2"}, "epochs": [4]}},
            "b": {0: {"run": "y", "recipe": {"lr": 2}, "epochs": [2, 4]}}}
    with pytest.raises(ValueError, match="x and y differ in lr, which a and b do not"):
        check_pair(arms, pair, "a", "b")
    pair["b"][0]["recipe"]["lr"] = 1
    check_pair(arms, pair, "a", "b")


@pytest.mark.parametrize(("more", "sentence"), [
    (["--out", "runs"], "--out was given without --run"), (["--arms", "zz"], "the arms zz were given"),
    (["--seeds", "0"], "--seeds was given without --run"), (["--run", "--seeds", "9"], "the seeds 9 were given"),
    (["a8"], "a8 was given as a run, but it is an arm of the plan"),
    (["--arms", "a8", "runs/a"], "runs/a was given with --run, --results or --arms"),
    (["--plan", "/nowhere.toml"], "/nowhere.toml was given as a plan, but cannot be read (No such file or directory)"),
    (["--results", "/nowhere"], "--results = /nowhere was given, but there is no such folder"),
    (["--run", "--arms", "a1,zz"], "the arms zz were given"),
])
def test_what_is_refused(more, sentence, capsys):
    assert main(["confirm", *more]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_what_is_known_of_an_arm(capsys):
    """The rows of all predictions that speak of it, as they stand in the whole."""
    assert main(["confirm"]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert main(["confirm", "--arms", "a6"]) == 0
    *rows, counts = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 and rows[0].split()[1] == "a6-robust:" and set(rows) < set(whole)
    assert counts.startswith("1 prediction: ")
    assert main(["confirm", "--arms", "a3,a2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ids = {row["id"] for row in found["predictions"]}
    assert {"a3-robust", "a6-robust", "a2-fall", "b8-robust"} <= ids and not {"a4-robust", "a1-cas"} & ids
    assert found["conclusions"] == found["surgery"] == found["correlations"] == []


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / "a-0.json").write_text('{"seed": 0}')
    with pytest.raises(ValueError, match=r"a-0.json is no result of a campaign"):
        read_results(tmp_path)


def test_a_result_of_another_recipe_is_not_taken(tmp_path):
    task = tasks(tomllib.loads(PLAN))[0]
    (tmp_path / "old-0.json").write_text(json.dumps({"arm": "old", "seed": 0, "recipe": task.recipe.as_dict()}))
    assert run_task(task, None, tmp_path, tmp_path)["arm"] == "old"
    other = tasks(tomllib.loads(PLAN.replace("epochs=4", "epochs=5")))[0]
    with pytest.raises(ValueError, match="is the result of another recipe"):
        run_task(other, None, tmp_path, tmp_path)
