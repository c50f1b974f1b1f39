"""A network of one's own on the command line: registered by a module, or as a file of weights."""

import json
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import deep.experiments.checkpoint_evaluation
import deep.runs.export
from deep.__main__ import main
from deep.evaluation.saliency.picture import headline
from deep.experiments.slurm import Job
from deep.networks.registry import NETWORKS
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data
from tests.conftest import imported
from tests.support.layouts import coded, write_tree

MODULE = """
from torch import nn
from deep import register

@register("brought-along", needs=())
def brought_along(recipe, shape, classes):
    return nn.Sequential(nn.Conv2d(shape[0], 6, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(36, classes))
"""
SHORT = ["train_size=300", "val_size=30", "batch=100", "epochs=1", "eval_every=1", "steps=1", "eval_steps=1"]


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A folder with a module that registers a network; afterwards neither is known any more."""
    known = dict(NETWORKS)
    (tmp_path / "brought_module.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    forget(known)


def forget(known):
    """As another process would begin."""
    NETWORKS.clear()
    NETWORKS.update(known)
    sys.modules.pop("brought_module", None)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of a linear network on planted images."""
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", "planted-linear", *SHORT, "--out", str(out)]) == 0
    return next(out.iterdir())


def answer(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# --- networks of a module ---

@pytest.mark.slow
def test_a_module_makes_its_network_known_to_every_command(brought, capsys):
    words = ["train", "planted-cnn", "model=brought-along", *SHORT, "--out", "runs"]
    assert main(words) == 2  # not imported
    assert "model = brought-along was given" in capsys.readouterr().err
    known = dict(NETWORKS)
    assert main([*words, "--import", "brought_module"]) == 0
    said = capsys.readouterr()
    run = said.out.strip()
    assert RunFolder(run).recipe().width is None
    evaluate, then = said.err.strip().splitlines()[-1].removeprefix("next: ").split("; ")
    assert (evaluate, then) == tuple(f"deep {name} {run} --import brought_module" for name in ("evaluate", "cas"))
    forget(known)
    assert main(["evaluate", run, "--attack-steps", "1"]) == 2
    assert ("was trained with the network brought-along, which is not registered here: add --import"
            in capsys.readouterr().err)
    best, last = answer(capsys, *shlex.split(evaluate)[1:], "--attack-steps", "1", "--limit", "60")
    assert best["clean"] == last["clean"]  # one epoch
    assert best["n_test"] == 60


@pytest.mark.parametrize(("text", "sentence"), [
    (None, "ModuleNotFoundError: No module named 'brought_module'"), ("1/0", "ZeroDivisionError: division by zero"),
    ("def f(:", "SyntaxError"), (MODULE + MODULE, "ValueError: a network named brought-along was given")])
def test_a_module_that_fails_gets_one_sentence(brought, capsys, text, sentence):
    (brought / "brought_module.py").unlink() if text is None else (brought / "brought_module.py").write_text(text)
    assert main(["bench", "--import", "brought_module", "--repeats", "0"]) == 2
    err = capsys.readouterr().err
    assert f"--import brought_module was given, but it could not be imported ({sentence}" in err
    assert len(err.strip().splitlines()) == 1


def test_workers_and_jobs_import_it_too(brought, monkeypatch):
    started = []

    class Worker:
        def __init__(self, words, start_new_session):
            started.append(words)

        def wait(self):
            pass

    monkeypatch.setattr(subprocess, "Popen", Worker)
    (brought / "sweep.toml").write_text('recipe = "planted-cnn"\n[set]\nmodel = "brought-along"\n[grid]\nseed = [0, 1]')
    with pytest.raises(SystemExit):  # nothing was trained
        main(["sweep", "sweep.toml", "--workers", "2", "--import", "brought_module"])
    assert [words[-2:] for words in started] == [["--import", "brought_module"]] * 2
    with pytest.raises(ValueError, match="--import not_there was given"):
        Job(["not_there"])(None, None, None, "cpu", None)


def test_a_folder_that_is_none_is_answered_before_torch_is_loaded():
    code = ("import sys; from deep.__main__ import main; "
            "print([main([command, 'nowhere', *more]) for command, more in (('evaluate', ()), ('cas', ()), "
            "('saliency', ()), ('export', ('--out', 'x.pt')))], 'torch' in sys.modules)")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert found.stdout == "[2, 2, 2, 2] False\n", found.stderr
    assert found.stderr.count("nowhere is not a run folder: it has no readable recipe.json") == 4


def test_a_training_that_was_stopped_says_how_it_goes_on(tmp_path, capsys):
    assert main(["train", "planted-linear", *SHORT, "epochs=2", "--stop-after", "1", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("next: the same command without --stop-after 1")
    for more in ([], ["--stop-after", "1"]):  # which stops nothing any more
        assert main(["train", "planted-linear", *SHORT, "epochs=2", *more, "--out", str(tmp_path)]) == 0
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith("next: deep evaluate ")


# --- two classes beside each other ---

@pytest.mark.slow
def test_two_classes_are_compared_with_each_other(run, capsys, tmp_path, monkeypatch):
    """Whoever is the nearest to each of them: the share, its null level and the pictures are those of the pair."""
    drawn = []
    monkeypatch.setattr("deep.evaluation.saliency.picture.draw", lambda report, rows, path: drawn.append(rows))
    monkeypatch.setattr("deep.experiments.saliency.evidence", evidence_of_features)
    words = ["saliency", str(run), "--limit", "90", "--inputs", "clean", "--checkpoint", "last", "--out",
             str(tmp_path / "a.png")]
    for pair in (("1", "2"), ("3", "1")):
        report = answer(capsys, *words, "--classes", ",".join(pair))
        (last,) = report["checkpoints"]
        assert report["compared"] == list(pair)
        assert (report["partner"][pair[0]], report["partner"][pair[1]]) == pair[::-1]
        i, j = (int(name) - 1 for name in pair)
        for name in pair:
            assert last["classes"][name]["share"] == last["overlap"][i][j]
        free = answer(capsys, *words)["checkpoints"][0]["classes"]
        assert last["classes"][pair[0]]["null"] < free[pair[0]]["null"]  # of one pair, not of the best of two
        assert last["classes"][pair[0]]["null"] == last["classes"][pair[1]]["null"]
        assert {row["numbers"]["partner"] for row in drawn[-2]} == set(pair)
        capsys.readouterr()
        assert main([*words, "--classes", ",".join(pair)]) == 0
        said = f"last (epoch 1): {pair[0]} and {pair[1]} share {last['overlap'][i][j]:.3f}, null level"
        assert said in capsys.readouterr().out
    share = f"{100 * last['overlap'][2][0]:.0f} %"
    assert headline(report) == f"Evidence that 3 shares with 1: {share} at last"
    last["epoch"] = None  # of a network that is no run's
    assert headline(report) == f"Evidence that 3 shares with 1: {share}"


def evidence_of_features(model, split, attack, seed, shown, progress):
    """`evidence` of a network without a map: each feature is its own channel of one pixel."""
    from deep.evaluation.saliency.gradcam import Evidence
    with torch.no_grad():
        features = model.features(split.images)
        parts = features * model.linear.weight[split.labels]
        channels = torch.cat([parts * (features > 0), parts * (features <= 0)], 1)
        return Evidence(split.labels, features, model.linear(features), channels, channels[shown][:, :, None, None])


# --- one epoch, two names ---

@pytest.mark.slow
def test_the_best_checkpoint_that_is_the_last_is_measured_and_printed_once(run, capsys, monkeypatch):
    """Both are in the JSON and have their files; the words are there once."""
    attacked, original = [], deep.experiments.checkpoint_evaluation.attack_test_images
    monkeypatch.setattr("deep.experiments.checkpoint_evaluation.attack_test_images",
                        lambda *words: (attacked.append(words[0].name), original(*words))[1])
    explained = []
    monkeypatch.setattr("deep.experiments.saliency.evidence",
                        lambda *words, **more: (explained.append(1), evidence_of_features(*words, **more))[1])
    monkeypatch.setattr("deep.evaluation.saliency.picture.draw", lambda report, rows, path: path)
    for command, more in (("evaluate", ["--limit", "60"]), ("cas", ["--attack-seeds", "1"]),
                          ("saliency", ["--inputs", "clean", "--limit", "60"])):
        words = [command, str(run), "--attack-steps", "1", *more]
        capsys.readouterr()
        assert main(words) == 0
        out = capsys.readouterr().out
        assert out.count("best and last (epoch 1)") == 1 and out.count("(epoch 1)") == 1
        found = answer(capsys, *words)
        both = found["checkpoints"] if command == "saliency" else found
        assert [one["checkpoint"] for one in both] == ["best", "last"]
        assert both[1] == both[0] | {"checkpoint": "last"}
    assert attacked == ["best"] * 4 and len(explained) == 2
    for name in ("evaluate-best-sample60", "evaluate-last-sample60", "cas-best", "cas-last"):
        assert json.loads((run / f"{name}.json").read_text())["checkpoint"] == name.split("-")[1]
        (run / f"{name}.json").unlink()


def test_a_checkpoint_is_read_and_built_once(run, capsys, monkeypatch):
    """Whatever the number of attacks: all is measured of the same weights."""
    read, built = [], []
    model_state, network = RunFolder.model_state, load_network
    monkeypatch.setattr(RunFolder, "model_state", lambda self, name: (read.append(name), model_state(self, name))[1])
    monkeypatch.setattr("deep.experiments.measured.load_network",
                        lambda *words, **more: (built.append(1), network(*words, **more))[1])
    answer(capsys, "cas", str(run), "--checkpoint", "best", "--attack-seeds", "2", "--attack-steps", "1")
    assert (read, len(built)) == (["last", "best"], 1)  # the last tells whether the images are the run's own


# --- weights in a file ---

def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_what_is_exported_is_the_network(run, name, tmp_path, capsys):
    """The scores to the last bit, and every number of `deep cas`; nothing is written but what --out names."""
    if name.endswith("safetensors"):
        imported("safetensors.torch")
    before = files_below(run)
    assert main(["export", str(run), "--checkpoint", "last", "--out", str(tmp_path / name)]) == 0
    about = json.loads((tmp_path / "weights.json").read_text())
    assert (about["classes"], about["run"], about["checkpoint"]) == (["1", "2", "3"], run.name, "last")
    assert (about["mean"], about["std"]) == ([0.0], [1.0])
    words = ["--weights", str(tmp_path / name)]
    assert set(files_below(tmp_path)) == {tmp_path / name, tmp_path / "weights.json"}
    (found,) = answer(capsys, "evaluate", *words, "--attack-steps", "1", "--limit", "60")
    assert set(files_below(tmp_path)) == {tmp_path / name, tmp_path / "weights.json"}
    (own,) = answer(capsys, "evaluate", str(run), "--checkpoint", "last", "--attack-steps", "1", "--limit", "60")
    assert found["weights_file"] == str(tmp_path / name)
    for key in ("clean", "robust", "attack", "data", "n_test", "sanity"):
        assert found[key] == own[key]
    (run / "evaluate-last-sample60.json").unlink()
    assert files_below(run) == before
    if name.endswith(".pt"):
        folder = RunFolder(run)
        data = load_data(folder.recipe())
        network = opened(*words).network()
        assert torch.equal(network(data.test.images), load_network(folder, data, "last")(data.test.images))
        assert not any(module.training for module in network.modules())


def opened(*words):
    """What `deep cas` would measure."""
    from deep.__main__ import parser
    from deep.cli.measure.networks import open_networks
    (network,) = open_networks(parser().parse_args(["cas", *words]))
    return network


@pytest.fixture
def somebodys(tmp_path):
    """(folder of images, file of weights of a network that gives every image its class: its mean colour decides)."""
    images = np.zeros((3, 4, 3, 8, 8), np.uint8)
    for label in range(3):
        images[label, :, label] = np.arange(4)[:, None, None] + 200
    files = {f"{split}/{name}/{i}.png": coded(images[label, i]) for split in ("train", "test") for i in range(4)
             for label, name in enumerate(("ape", "bee", "cow"))}
    write_tree(tmp_path / "images", files)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    with torch.no_grad():
        network[0].weight.copy_(torch.cat([torch.eye(3), 0.5 - torch.eye(3)])[:, :, None, None].expand(6, 3, 3, 3))
        network[4].weight.copy_(torch.cat([torch.eye(3), -torch.eye(3)], 1))
    torch.save({"state_dict": nn.DataParallel(network).state_dict()}, tmp_path / "somebodys.pt")
    return tmp_path / "images", tmp_path / "somebodys.pt"


PLAIN = """
from deep import register
from torch import nn

@register("brought-along", needs=())
def brought_along(recipe, shape, classes):
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes))
"""


def test_a_file_of_weights_is_measured_in_one_command(brought, somebodys, capsys):
    (brought / "brought_module.py").write_text(PLAIN)
    images, file = somebodys
    words = ["--weights", str(file), "--model", "brought-along", "--import", "brought_module", "--data", str(images),
             "--mean", "0.25", "--std", "0.5", "--attack-steps", "2"]
    before = files_below(brought)
    for command, key in (("evaluate", "robust"), ("cas", "cas")):
        for _ in range(2):  # a result of the same command is replaced
            (found,) = answer(capsys, command, *words, "--out", "result.json")
        assert json.loads((brought / "result.json").read_text()) == found
        (brought / "result.json").unlink()
        assert (found["clean"]["value"], found["robust"]["value"], found["n_test"]) == (1, 1, 12)
        assert (found["network"], found["run"], found["epoch"]) == ("brought-along", None, None)
        assert found["normalisation"] == {"mean": [0.25], "std": [0.5], "source": "--mean and --std"}
        assert found["attack"].startswith("PGD-2 linf eps 8/255")
        assert key in found
    assert main(["cas", *words, "--set", "eps=4/255"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == (f"{file} (brought-along, normalised by --mean and --std), images (image folder), "
                                   "PGD-2 linf eps 4/255 step 1/255 on cross-entropy, n = 12; test images, eps 4/255")
    assert "clean accuracy 100.00 %, robust 100.00 %" in out
    report = answer(capsys, "saliency", *words, "--per-class", "1", "--inputs", "clean")
    assert [one["checkpoint"] for one in report["checkpoints"]] == ["network"]
    assert (report["fewest_images"], report["intervals_too_narrow"]) == (4, True)
    assert files_below(brought) == before | {path: content for path, content in files_below(brought).items()
                                             if "__pycache__" in path.parts}
    (found,) = answer(capsys, "evaluate", *words, "--attacks", "pgd2,apgd-ce2")
    assert found["worst_case"]["value"] == 1


@pytest.mark.parametrize(("words", "sentence"), [
    ([], "was given without --model"),
    (["--model", "cnn", "--mean", "0.5"], "--mean and --std are given together"),
    (["--model", "cnn", "--mean", "0.5", "--std", "0.2", "--normalised-inside"], "in place of both"),
    (["--model", "cnn", "--mean", "0.5", "--std", "0"], "--std = 0 was given"),
    (["--model", "cnn", "--mean", "nan", "--std", "1"], "--mean = nan was given"),
    (["--model", "cnn", "--width", "6"], "does not fit the network cnn (missing: body.0.weight"),
    (["--model", "linear"], "linear network has no width"),
    (["--model", "cnn", "--attack-steps", "0"], "--attack-steps = 0 was given"),
    (["--model", "cnn", "--out", "/nowhere/x.json"], "there is no folder /nowhere"),
    (["--model", "cnn", "--set", "eps=8"], "write 8/255"),
])
def test_what_is_not_said_of_weights_is_asked_for(somebodys, words, sentence, capsys):
    images, file = somebodys
    assert main(["cas", "--weights", str(file), "--data", str(images), *words]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["--model", "cnn"], ["--width", "4"], ["--set", "eps=4/255"], ["--by-position"]])
def test_what_a_run_says_itself_is_not_said_again(run, words, capsys):
    assert main(["evaluate", str(run), *words]) == 2
    assert f"{words[0]} was given with a run, whose recipe and checkpoint say it" in capsys.readouterr().err


def test_a_run_has_its_own_place_for_results(run, capsys):
    assert main(["evaluate", str(run), "--out", "x.json"]) == 2
    assert "--out = x.json was given with a run, whose results are written into its folder" in capsys.readouterr().err


def test_exported_weights_know_their_classes(run, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "w.pt")]) == 0
    about = json.loads((tmp_path / "w.json").read_text())
    about["classes"] = ["ape", "bee", "dog"]
    (tmp_path / "w.json").write_text(json.dumps(about))
    words = ["evaluate", "--weights", str(tmp_path / "w.pt"), "--limit", "9", "--attack-steps", "1"]
    assert main(words) == 2
    assert "was trained on the classes ape, bee, dog, but planted images has 1, 2, 3" in capsys.readouterr().err
    assert main([*words, "--classes-from", "data"]) == 0
    (tmp_path / "w.json").write_text("{")
    assert main(words) == 2
    assert "w.json lies beside the weights, but cannot be read" in capsys.readouterr().err
    (tmp_path / "w.json").write_text('{"batch": 8}')  # somebody else's
    assert main(words) == 2
    assert "was given without --model" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(tmp_path / "w.json")]) == 2
    assert "write a name such as weights.pt" in capsys.readouterr().err


def test_weights_that_died_have_no_cas(run, tmp_path, capsys):
    """Of somebody's they are refused; a run may lose a class in training, and says so beside its numbers."""
    dead = shutil.copytree(run, tmp_path / "run")
    state = torch.load(dead / "last.pt", weights_only=True)
    state["model"]["linear.weight"][1] = 0
    torch.save(state, dead / "last.pt")
    more = ["--attack-seeds", "1", "--attack-steps", "1", "--limit", "60"]
    assert main(["export", str(dead), "--checkpoint", "last", "--out", str(tmp_path / "w.pt")]) == 0
    assert main(["cas", "--weights", str(tmp_path / "w.pt"), *more, "--out", str(tmp_path / "r.json")]) == 2
    said = capsys.readouterr()
    assert f"class 2 of {tmp_path / 'w.pt'} has the attribution 0 (its row of weight is 0), which has no" in said.err
    assert "CAS" not in said.out and not (tmp_path / "r.json").exists()
    assert main(["cas", str(dead), "--checkpoint", "last", *more]) == 0
    assert "the attributions of 2 are 0, which has no cosine with another: theirs count as 0" in " ".join(
        capsys.readouterr().out.split())


def test_an_export_replaces_nothing_but_an_export(run, tmp_path, capsys):
    """Neither a run's own files, nor what lies at either of its two places."""
    begun = shutil.copytree(run, tmp_path / "run")
    (begun / "checkpoints").mkdir()
    (begun / "last.pt").unlink()
    (tmp_path / "theirs.json").write_text('{"batch": 8}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "weights.pt").write_bytes(b"theirs")
    before = files_below(tmp_path)
    checkpoint = "is the name of a run's checkpoint"
    for place, reason in (("run/best.pt", checkpoint), ("run/last.pt", checkpoint), ("run/next.pt", checkpoint),
                          ("run/checkpoints/epoch-0007.pt", checkpoint), ("run/recipe.pt", "recipe.json is there"),
                          ("run/metrics.jsonl", "metrics.jsonl is there"), ("theirs.pt", "theirs.json is there"),
                          ("broken.pt", "broken.json is there"), ("weights.pt", "weights.pt is there")):
        assert main(["export", str(begun), "--out", str(tmp_path / place)]) == 2
        assert reason in capsys.readouterr().err
        assert files_below(tmp_path) == before
    for _ in range(2):  # the second replaces the first
        assert main(["export", str(begun), "--out", str(begun / "weights.pt")]) == 0
    assert files_below(tmp_path).keys() - before.keys() == {begun / "weights.pt", begun / "weights.json"}


def test_an_export_goes_on_after_it_was_killed_between_its_files(run, tmp_path, monkeypatch):
    """Whichever of the two it was at, the same command then writes both."""
    def killed(*arguments):
        raise KeyboardInterrupt
    words = ["export", str(run), "--out", str(tmp_path / "w.pt")]
    for name in ("write_text", "write_atomically"):
        with monkeypatch.context() as patch:
            patch.setattr(deep.runs.export, name, killed)
            with pytest.raises(KeyboardInterrupt):
                deep.runs.export.export(RunFolder(run), "best", tmp_path / "w.pt")
        assert not (tmp_path / "w.pt").exists()
    assert main(words) == 0 and sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.pt"]


def test_two_exports_of_one_stem_would_share_their_json(run, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "w.pt")]) == 0
    before = files_below(tmp_path)
    assert main(["export", str(run), "--out", str(tmp_path / "w.bin")]) == 2
    assert capsys.readouterr().err.endswith(
        "w.bin was given, but w.json belongs to the export w.pt: choose another name than w.\n")
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ["w.foo", "w", "w.pth"])
def test_an_export_has_one_of_two_formats(run, name, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / name)]) == 2
    assert f"{name} was given, but weights are written as .pt or .safetensors: write a name" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_an_export_writes_nothing_before_it_knows_the_classes(run, tmp_path, capsys):
    """Where they stand in a last.pt that is damaged: the best checkpoint of an older version does not hold them."""
    old = shutil.copytree(run, tmp_path / "run")
    state = torch.load(old / "best.pt", weights_only=True)
    del state["classes"]
    torch.save(state, old / "best.pt")
    (old / "last.pt").write_bytes(b"half")
    assert main(["export", str(old), "--out", str(tmp_path / "w.pt")]) == 2
    assert "last.pt is not a readable checkpoint" in capsys.readouterr().err
    assert not list(tmp_path.glob("w.*"))
