"""The registry: joining it, what it refuses, and each network through the command line."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from deep.__main__ import main
from deep.networks.classifier import build
from deep.networks.deit import DeiT
from deep.networks.registry import NETWORKS, register
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder
from deep.runs.network import load_network
from deep.training.loop import load_data, train

SHORT = ["train_size=1000", "val_size=60", "batch=50", "epochs=1", "eval_every=1", "steps=1", "eval_steps=1",
         "bf16=true", "channels_last=true"]
TRAINED = {"preactresnet18": "width=4", "resnet18": "width=4", "wideresnet": "width=4 depth=10",
           "deit": "width=32 depth=1 patch_size=4 lr=0.2 train_size=9000 batch=25 gradient_norm=1"}


def trained(out, *words):
    assert main(["train", "planted-cnn", *SHORT, *words, "--out", str(out), "--threads", "1"]) == 0
    (run,) = out.iterdir()
    return RunFolder(run)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_an_epoch_on_planted_images(name, tmp_path):
    run = trained(tmp_path, f"model={name}", *TRAINED[name].split())
    (line,) = run.metrics()
    assert line["clean"] > 1 / 3 + 5 * (2 / 9 / line["n_test"]) ** 0.5  # five deviations above guessing
    assert 0 <= line["cas"] <= 6
    data = load_data(run.recipe())
    model = load_network(run, data)
    correct = (model(data.test.images).argmax(1) == data.test.labels).double().mean()
    assert abs(correct - line["clean"]) < 0.01  # float32 after bf16


@pytest.mark.slow
def test_an_outside_network_in_three_lines(registry, tmp_path, capsys):
    @register("outside", needs=())
    def outside(recipe, shape, classes):
        return nn.Sequential(nn.Conv2d(shape[0], 8, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(48, classes))

    run = trained(tmp_path, "model=outside")
    assert run.recipe().width is None
    assert run.metrics()[0]["clean"] > 0.5
    weights = run.model_state("last")["model"]
    assert weights["linear.weight"].shape == (3, 48)
    assert main(["cas", str(run.path), "--checkpoint", "last", "--attack-seeds", "1", "--attack-steps", "1",
                 "--json"]) == 0
    (values,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    data = load_data(run.recipe())
    network = load_network(run, data, "last")
    assert torch.equal(network.linear.weight, weights["linear.weight"])
    assert values["cas"] == pytest.approx(run.metrics()[0]["cas"], rel=0.02)  # bf16, another attack seed
    del NETWORKS["outside"]
    assert main(["evaluate", str(run.path)]) == 2
    assert "was trained with the network outside, which is not registered here: add --import" in capsys.readouterr().err


def test_what_a_network_needs_is_checked(registry):
    register("sized", needs=("width", "patch_size"))(lambda recipe, shape, classes: None)
    assert run_name(recipe_named("at", ["model=sized", "patch_size=2"])).startswith("cifar10-sized-w64-")
    for words, sentence in ((["model=sized"], "needs a patch_size"), (["model=sized", "width=none"], "needs a width"),
                            (["model=sized", "patch_size=2", "depth=3"], "has no depth")):
        with pytest.raises(ValueError, match=sentence):
            recipe_named("at", words)


@pytest.mark.parametrize(("name", "needs", "sentence"), [
    ("deit", (), "a network named deit was given, but that name is registered already"),
    ("../up", (), "becomes part of a folder's name"),
    ("", (), "becomes part of a folder's name"),
    ("Mine", (), "use lower-case letters"),
    ("mine", ("heads",), "sizes are width, depth, patch_size"),
])
def test_refused_names(registry, name, needs, sentence):
    known = dict(NETWORKS)
    with pytest.raises(ValueError, match=sentence):
        register(name, needs)
    assert known == NETWORKS


@pytest.mark.parametrize(("words", "sentence"), [
    (["model=wideresnet", "depth=11"], "depth = 11 was given, but a wideresnet has"),
    (["model=deit", "depth=2", "patch_size=3"], "patch_size = 3 was given, but the images have 8x12"),
    (["model=deit", "depth=2", "patch_size=4", "width=200"], "width = 200 was given"),
    (["model=deit", "depth=2", "patch_size=4", "width=16", "pretrained=/nowhere.pth"], "pretrained = /nowhere.pth was"),
    (["model=vgg"], "choose one of them"),
])
def test_refusals_on_the_command_line(words, sentence, tmp_path, capsys):
    assert main(["train", "planted-cnn", *SHORT, *words, "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_published_transformer_is_the_start_of_a_training(tmp_path):
    """One step of learning rate zero leaves the published weights in the checkpoint."""
    torch.manual_seed(0)
    body, head = DeiT((1, 8, 12), 16, 2, 1, 4), nn.Linear(16, 3)
    grid = DeiT((1, 12, 12), 16, 2, 1, 4).pos_embed.detach()  # published tables are square
    state = {**body.state_dict(), "pos_embed": grid, **{f"head.{key}": value for key, value in
                                                        head.state_dict().items()}}
    torch.save({"model": state}, tmp_path / "deit.pth")
    run = trained(tmp_path / "runs", "model=deit", "width=16", "depth=2", "patch_size=4", "lr=0", "weight_decay=0",
                  f"pretrained={tmp_path / 'deit.pth'}")
    weights = run.model_state("last")["model"]
    for key, value in body.state_dict().items():
        assert torch.equal(weights[f"body.{key}"], value) == (key != "pos_embed"), key
    assert torch.equal(weights["linear.weight"], head.weight)


def test_a_finished_run_does_not_need_the_published_weights_any_more(tmp_path, monkeypatch):
    """Evaluation builds the network without them: its weights come from the checkpoint."""
    recipe = recipe_named("planted-linear", ["epochs=1", "train_size=60", "val_size=30", "batch=30"])
    data = load_data(recipe)
    run = train(recipe, data, tmp_path)
    gone = replace(recipe)
    object.__setattr__(gone, "pretrained", "gone.pt")  # as if it had been there when the training began
    monkeypatch.setattr(RunFolder, "recipe", lambda self: gone)
    asked = []
    monkeypatch.setattr("deep.runs.network.build",
                        lambda made, *rest: (asked.append(made.pretrained), build(made, *rest))[1])
    load_network(run, data, "last")
    assert asked == [None]


def test_the_mlp_is_one_hidden_layer_without_biases():
    """f(x) = V max(U x, 0)."""
    recipe = recipe_named("planted-mlp", ["width=5", "train_size=6", "val_size=3"])
    model = build(recipe, load_data(recipe), 0)
    assert {name: tuple(weight.shape) for name, weight in model.named_parameters()} == {
        "body.1.weight": (5, 96), "linear.weight": (3, 5)}
    x = torch.randn(4, 1, 8, 12, generator=torch.Generator().manual_seed(0))
    hidden = (x.flatten(1) @ model.body[1].weight.T).clamp(min=0)
    torch.testing.assert_close(model(x), hidden @ model.linear.weight.T)
