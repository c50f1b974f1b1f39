"""Training: the loop's mathematics, resuming to the last bit, and what happens when things go wrong."""

import copy
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from deep.attacks.pgd import Attack, pgd
from deep.data.dataset import Split, balanced
from deep.evaluation.accuracy import evaluation_attack, measure, training_line
from deep.networks.folding import Folded
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import Interrupted, Training, load_data, train
from tests.conftest import until

TINY = ["model=wideresnet", "depth=10", "width=4", "steps=2", "epochs=4", "batch=32", "train_size=128", "val_size=32",
        "eval_every=2", "eval_steps=2"]
PLANTED = ["epochs=4", "train_size=2000", "val_size=300", "batch=250", "eval_every=2"]


def weights(run, which="last"):
    return run.model_state(which)["model"]


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def without_clock(history):
    return [{key: value for key, value in line.items() if "second" not in key} for line in history]


@pytest.fixture(scope="module")
def tiny(cifar):
    """Twelve dozen real images, with a small test split so that evaluation is fast."""
    recipe = recipe_named("at-cpu", TINY)
    data = load_data(recipe, cifar)
    return recipe, replace(data, test=Split(data.test.images[:100], data.test.labels[:100]))


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    recipe, data = tiny
    return train(recipe, data, tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_two_and_two_epochs_are_four(tiny, uninterrupted, tmp_path):
    recipe, data = tiny
    assert train(recipe, data, tmp_path, stop_after=2).resume()[0]["epoch"] == 2
    run = train(recipe, data, tmp_path)
    assert_same(weights(run), weights(uninterrupted))
    assert_same(weights(run, "best"), weights(uninterrupted, "best"))
    assert without_clock(run.metrics()) == without_clock(uninterrupted.metrics())
    assert [line["epoch"] for line in run.metrics()] == [1, 2, 3, 4]


@pytest.mark.slow
def test_another_seed_is_another_network(tiny, uninterrupted, tmp_path):
    recipe, data = recipe_named("at-cpu", [*TINY, "seed=1"]), tiny[1]
    run = train(recipe, data, tmp_path)
    assert run.path.name != uninterrupted.path.name
    assert any(not torch.equal(value, weights(uninterrupted)[key]) for key, value in weights(run).items())


@pytest.mark.slow
def test_signal_in_mid_epoch_leaves_a_checkpoint_that_continues_exactly(tiny, uninterrupted, tmp_path):
    recipe, data = tiny
    steps = []

    def interrupt(training):
        steps.append(training.step)
        if len(steps) == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="signal 15 stopped the training"):
        train(recipe, data, tmp_path, progress=interrupt)
    state, _ = RunFolder(tmp_path / run_name(recipe)).resume()
    assert (state["epoch"], state["step"]) == (1, 2)  # four steps an epoch, and one call for the epoch's end
    assert_same(weights(train(recipe, data, tmp_path)), weights(uninterrupted))


def command(*words):
    return [sys.executable, "-m", "deep", *words]


# `deep train` that stands still in the epoch after the one of its first word, three steps on, until it is killed.
STANDING = """
import sys, time
import deep.training.loop
from deep.__main__ import main
train, epochs = deep.training.loop.train, int(sys.argv.pop(1))

def held(*arguments, progress, **options):
    def hold(training):
        progress(training)
        if (training.epoch, training.step) == (epochs, 3):
            print("standing", flush=True)
            time.sleep(3600)
    return train(*arguments, progress=hold, **options)
deep.training.loop.train = held
sys.exit(main())
"""


@pytest.mark.slow
def test_sigkill_in_mid_epoch_loses_no_finished_epoch(tmp_path, one_thread):
    """Two commands are killed, each some epochs on; the third, here, ends as the one that nobody killed."""
    # Planted images, so that the command line needs no data folder.
    words = ["epochs=9", "eval_every=1"]
    whole, killed = planted_run(tmp_path / "whole", *words), tmp_path / "killed"
    metrics = killed / whole.path.name / "metrics.jsonl"
    for done in (3, 6):
        process = subprocess.Popen([sys.executable, "-c", STANDING, str(done), "train", "planted-linear", *PLANTED,
                                    *words, "--threads", "1", "--out", str(killed)], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        assert process.stdout.readline() == "standing\n"
        process.kill()
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        assert len(metrics.read_text().splitlines()) == done
    again = planted_run(killed, *words)
    assert again.path == metrics.parent
    assert_same(weights(again), weights(whole))
    assert without_clock(again.metrics()) == without_clock(whole.metrics())
    assert len(again.metrics()) == 9
    sessions = json.loads((again.path / "environment.json").read_text())["sessions"]
    assert [session["from_epoch"] for session in sessions] == [0, 3, 6]


@pytest.mark.slow
def test_sigterm_exits_with_143(tmp_path):
    words = ["train", "planted-linear", *PLANTED, "epochs=2000", "eval_every=500", "--threads", "1", "--out",
             str(tmp_path)]
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    until(lambda: list(tmp_path.glob("*/metrics.jsonl")), process)
    process.terminate()
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 143
    assert "the same command continues it" in complaint
    assert list(tmp_path.glob("*/last.pt"))


def planted_run(tmp_path, *overrides, **options):
    recipe = recipe_named("planted-linear", [*PLANTED, *overrides])
    return train(recipe, load_data(recipe), tmp_path, **options)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, capsys):
    good = planted_run(tmp_path / "good")
    run = planted_run(tmp_path / "damaged", stop_after=3)
    content = (run.path / "last.pt").read_bytes()
    (run.path / "last.pt").write_bytes(content[:len(content) // 2])
    assert_same(weights(planted_run(tmp_path / "damaged")), weights(good))
    assert "last.pt is not a readable checkpoint" in capsys.readouterr().err
    for name in ("last.pt", "previous.pt"):
        (run.path / name).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"last\.pt is not a readable checkpoint"):
        planted_run(tmp_path / "damaged")


@pytest.mark.slow
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    run = planted_run(tmp_path, stop_after=1)
    torch.save({"model": os.system}, run.path / "best.pt")
    with pytest.raises(ValueError, match=r"best\.pt is not a readable checkpoint"):
        run.model_state("best")


def test_a_folder_of_another_recipe_is_not_touched(tmp_path):
    run = planted_run(tmp_path, stop_after=1)
    other = recipe_named("planted-linear", [*PLANTED, "lr=0.01"])
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        train(other, load_data(other), tmp_path, folder=run.path)


def test_a_folder_in_use_is_refused(tmp_path):
    recipe = recipe_named("planted-linear", PLANTED)
    run = RunFolder(tmp_path / run_name(recipe))
    run.open_for_training(recipe)
    with pytest.raises(ValueError, match="is being trained by another process"):
        train(recipe, load_data(recipe), tmp_path)
    run.close()
    train(recipe, load_data(recipe), tmp_path, stop_after=1)


@pytest.mark.slow
def test_a_nan_stops_the_run_and_names_the_step(tmp_path):
    run = planted_run(tmp_path, stop_after=2)
    state, _ = run.resume()
    state["model"]["linear.weight"][0, 0] = torch.nan
    torch.save(state, run.path / "last.pt")
    with pytest.raises(FloatingPointError, match=r"at step 1 of epoch 3: .* that of epoch 2 is the last good"):
        planted_run(tmp_path)
    assert run.resume()[0]["epoch"] == 2


def test_the_loop_is_sgd_on_adversarial_examples(tmp_path):
    """One step of the loop against the formulas, written out for a linear network and the exact attack."""
    recipe = recipe_named("planted-linear", ["train_size=60", "val_size=9", "batch=60", "momentum=0", "eps=0.1",
                                             "step=0.1", "lr=0.05", "weight_decay=0.3"])
    training = Training(recipe, load_data(recipe), "cpu")
    weight = training.model.linear.weight.detach().double().clone()
    x = training.data.train.images.double().flatten(1)
    y = torch.nn.functional.one_hot(training.data.train.labels, 3).double()
    p = torch.softmax(x @ weight.T, 1)
    z = x + 0.1 * torch.sign((p - y) @ weight)  # the gradient of the cross-entropy in x is (p - y) W
    p = torch.softmax(z @ weight.T, 1)
    expected = weight - 0.05 * ((p - y).T @ z / 60 + 0.3 * weight)
    training.train_batch()
    torch.testing.assert_close(training.model.linear.weight.detach().double(), expected, rtol=0, atol=1e-7)


def test_learning_rate_drops_at_half_and_three_quarters(tmp_path):
    run = planted_run(tmp_path)
    assert [round(line["learning_rate"], 9) for line in run.metrics()] == [0.02, 0.02, 0.002, 0.0002]


@pytest.mark.slow
def test_metrics_hold_what_is_promised(uninterrupted):
    lines = uninterrupted.metrics()
    for line in lines:
        assert {"epoch", "learning_rate", "seconds", "images_per_second", "train_loss"} <= line.keys()
    for line in lines[1::2]:
        assert {"clean", "robust", "cas", "cas_null", "margin_cas", "n_test"} <= line.keys()
        assert line["robust"] <= line["clean"]
    environment = json.loads((uninterrupted.path / "environment.json").read_text())
    assert environment["n"] == {"train": 128, "val": 32, "test": 100}
    assert environment["data"] == "CIFAR-10 (not the official files)"


@pytest.mark.slow
def test_what_is_logged_does_not_change_the_training(tiny, uninterrupted, tmp_path):
    """A network with batch norm, evaluated after every epoch instead of every second: the same weights."""
    recipe = replace(tiny[0], eval_every=1)
    assert_same(weights(train(recipe, tiny[1], tmp_path)), weights(uninterrupted))


@pytest.mark.slow
@pytest.mark.parametrize("select", ["val", "test"])
def test_between_evaluations_only_the_selecting_split_is_attacked(tmp_path, monkeypatch, select):
    import deep.evaluation.accuracy as module
    attacked, real = [], module.measure
    monkeypatch.setattr(module, "measure", lambda model, split, attack, **more:
                        attacked.append((len(split), attack.steps)) or real(model, split, attack, **more))
    run = planted_run(tmp_path, "epochs=5", "eval_every=3", "select_every=1", "eval_steps=4", "lr=0.002",
                      f"select={select}")
    n_test = run.metrics()[-1]["n_test"]
    val, test = (300, 2), (n_test, 4)
    selecting = val if select == "val" else test
    assert attacked == [selecting, selecting, val, test, selecting, val, test]
    for line in run.metrics():
        assert ("val_robust" in line, "cas" in line) == ((True, line["epoch"] in (3, 5)) if select == "val" else
                                                         (line["epoch"] in (3, 5), True))
    key = "val_robust" if select == "val" else "robust"
    scores = [line[key] for line in run.metrics()]
    assert run.model_state("best")["epoch"] == 1 + scores.index(max(scores))


@pytest.mark.slow
def test_the_attack_of_the_evaluation_sees_the_folded_network_and_the_network_judges(tiny):
    """Folding changes no score, so the results per sample are those of the plain attack (float32, no bf16)."""
    training = Training(replace(tiny[0], bf16=False), tiny[1], "cpu")
    training.train_batch()
    attack = evaluation_attack(training.recipe, tiny[1].box)
    plain = measure(training.model, training.data.test, attack, seed=1)
    folded = measure(training.model, training.data.test, attack, seed=1, attacked=Folded(training.model))
    assert torch.equal(plain.clean_features, folded.clean_features)
    assert (plain.features - folded.features).norm() < 0.02 * plain.features.norm()
    assert (plain.robust == folded.robust).double().mean() > 0.97
    line = training_line(training.model, tiny[1], replace(training.recipe, epochs=1), epoch=1)
    folded = measure(training.model, training.data.test, attack, seed=1, attacked=Folded(training.model))
    assert line["robust"] == folded.robust.double().mean().item()


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
def test_metrics_have_the_robust_loss_and_the_clean_accuracy_on_training_images(loss):
    """The curve of robust overfitting: the loss of the very images that count for robust, in float64."""
    recipe = recipe_named("planted-linear", ["train_size=1100", "val_size=90", f"loss={loss}", "smoothing=0",
                                             "eval_steps=4", "random_start=true"])
    data = load_data(recipe)
    training = Training(recipe, data, "cpu")
    training.train_batch()
    line = training_line(training.model, data, recipe, epoch=recipe.epochs)
    weight = training.model.linear.weight.detach().double()
    for prefix, split, steps in (("", data.test, 4), ("val_", data.val, 2)):
        losses, right = [], []
        generator = torch.Generator().manual_seed(recipe.epochs)
        for x, y in zip(split.images.split(256), split.labels.split(256), strict=True):
            z = pgd(training.model, x, y, evaluation_attack(recipe, data.box, steps), generator)
            scores = z.double().flatten(1) @ weight.T
            others = scores.masked_fill(torch.nn.functional.one_hot(y, 3).bool(), -torch.inf)
            own = scores[range(len(y)), y]
            losses += (scores.logsumexp(1) - own if loss == "cross-entropy" else others.amax(1) - own).tolist()
            right += (scores.argmax(1) == y).tolist()
        assert line[f"{prefix}robust"] == sum(right) / len(right)
        assert line[f"{prefix}robust_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    sample = balanced(data.train.labels, 1000)
    right = (data.train.images[sample].double().flatten(1) @ weight.T).argmax(1) == data.train.labels[sample]
    assert (line["train_clean"], line["n_train_clean"]) == (right.double().mean().item(), 1000)
    few = replace(data, train=Split(data.train.images[:40], data.train.labels[:40]))
    assert training_line(training.model, few, recipe, epoch=recipe.epochs)["n_train_clean"] == 40


def test_metrics_of_a_data_set_with_superclasses_split_cas(tiny):
    recipe, data = tiny
    data = replace(data, superclasses=("animal", "thing") * 5)
    line = training_line(Training(recipe, data, "cpu").model, data, replace(recipe, epochs=1), epoch=1)
    assert line["cas_within"] + line["cas_between"] == pytest.approx(line["cas"])
    assert line["cas_within"] > 0


def test_the_recipe_reaches_what_it_names(tiny, monkeypatch):
    """Each value of a recipe that differs from the defaults arrives where it acts."""
    import deep.training.step as module
    recipe = replace(tiny[0], eps=Fraction(3, 255), step=Fraction(1, 255), steps=3, random_start=False,
                     attack_mode="train", lr=0.07, momentum=0.8, weight_decay=1e-3, padding=2, flip=False, bf16=False,
                     channels_last=False, eval_steps=6)
    training = Training(recipe, tiny[1], "cpu")
    assert training.attack == Attack(Fraction(3, 255), Fraction(1, 255), 3, False, (0.0, 1.0), "cross-entropy", "train")
    group = training.optimiser.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.07, 0.8, 1e-3)
    assert (training.model.bf16, training.model.memory_format) == (False, torch.contiguous_format)
    fast = Training(tiny[0], tiny[1], "cpu").model
    assert (fast.bf16, fast.memory_format) == (True, torch.channels_last)
    evaluation = evaluation_attack(recipe, tiny[1].box)
    assert (evaluation.step, evaluation.steps, evaluation.mode) == (Fraction(3, 1020), 6, "eval")
    asked = []
    monkeypatch.setattr(module, "augment", lambda images, generator, padding, flip: asked.append((padding, flip))
                        or images)
    training.train_batch()
    assert asked == [(2, False)]


@pytest.mark.parametrize("select", ["val", "test"])
def test_the_best_checkpoint_is_selected_as_the_recipe_says(tmp_path, monkeypatch, select):
    scores = {1: (0.3, 0.1), 2: (0.2, 0.5), 3: (0.9, 0.4), 4: (0.8, 0.2)}  # epoch: (val, test)
    monkeypatch.setattr("deep.training.epoch.training_line", lambda model, data, recipe, epoch, world, progress:
                        dict(zip(("val_robust", "robust"), scores[epoch], strict=True)))
    run = planted_run(tmp_path, f"select={select}", "eval_every=1")
    best = run.model_state("best")
    assert (best["epoch"], best["selected_on"]) == ({"val": 3, "test": 2}[select], select)


def test_a_loaded_network_computes_in_float32_whatever_the_training_did(tmp_path):
    run = planted_run(tmp_path, "model=cnn", "width=4", "bf16=true", stop_after=1)
    data = load_data(run.recipe())
    x = data.test.images[:50]
    network = load_network(run, data, "last")
    with torch.no_grad():
        scores, exact = network(x).double(), copy.deepcopy(network).double()(x.double())
        network.bf16 = True
        rounded = network(x).double()
    assert (scores - exact).norm() < 1e-5 * exact.norm()
    assert (rounded - exact).norm() > 1e-4 * exact.norm()


def test_other_images_are_refused(tmp_path):
    run = planted_run(tmp_path, stop_after=1)
    recipe = recipe_named("planted-linear", PLANTED)
    data = load_data(recipe)
    other = replace(data, train=Split(data.train.images + 1, data.train.labels))
    with pytest.raises(ValueError, match="not those that this run began with"):
        train(recipe, other, tmp_path)
    assert run.resume()[0]["epoch"] == 1


def test_a_finished_run_keeps_its_provenance(tmp_path):
    run = planted_run(tmp_path, stop_after=2)
    planted_run(tmp_path)
    sessions = json.loads((run.path / "environment.json").read_text())["sessions"]
    assert [session["from_epoch"] for session in sessions] == [0, 2]
    before = (run.path / "environment.json").read_bytes()
    planted_run(tmp_path)
    assert (run.path / "environment.json").read_bytes() == before


def test_a_diverged_network_is_never_saved_nor_measured(tmp_path):
    recipe = recipe_named("planted-linear", PLANTED)
    data = load_data(recipe)

    def ruin(training):
        if (training.epoch, training.step) == (1, 3):
            with torch.no_grad():
                training.model.linear.weight.fill_(torch.nan)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(FloatingPointError, match="that of epoch 1 is the last good one"):
        train(recipe, data, tmp_path, progress=ruin)
    run = RunFolder(tmp_path / run_name(recipe))
    state = run.resume()[0]
    assert (state["epoch"], state["step"]) == (1, 0)
    network = Training(recipe, data, "cpu").model
    with torch.no_grad():
        network.linear.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite numbers, so it has no accuracy"):
        measure(network, data.test, evaluation_attack(recipe, None), seed=0)


def test_radius_fixes_the_norm_of_every_weight(tmp_path):
    run = planted_run(tmp_path, "model=cnn", "width=2", "loss=margin", "weight_decay=0", "radius=1.5", stop_after=1)
    for value in run.model_state("last")["model"].values():
        if value.numel() > 1:
            assert value.norm().item() == pytest.approx(1.5, rel=1e-5)


def test_best_is_chosen_on_the_validation_split(uninterrupted, tiny):
    best = uninterrupted.model_state("best")
    evaluated = [line for line in uninterrupted.metrics() if "robust" in line]
    assert best["selected_on"] == "val"
    assert best["epoch"] == max(evaluated, key=lambda line: line["val_robust"])["epoch"]
    network = load_network(uninterrupted, tiny[1], "best")
    assert torch.equal(network.linear.weight, best["model"]["linear.weight"])
