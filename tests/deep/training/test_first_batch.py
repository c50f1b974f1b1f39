"""What a training would stumble over in its first epoch is refused in a sentence; what changes its bits is said."""

import pytest
import torch
from torch import nn

from deep.__main__ import main
from deep.experiments import sweep
from deep.networks.registry import NETWORKS, register
from deep.recipe.recipe import recipe_named
from deep.runs.environment import arithmetic_change
from deep.system.device import memory_sentence
from deep.training import first_batch
from deep.training.loop import load_data, train
from deep.training.step import Training

SMALL = ["train_size=9", "val_size=3", "batch=4", "epochs=2", "steps=1", "eval_every=2", "eval_steps=1"]
NORMED = [*SMALL, "model=normed", "width=none"]


@pytest.fixture(autouse=True)
def networks():
    @register("normed", needs=())
    def normed(recipe, shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(96, 4), nn.BatchNorm1d(4)), nn.Linear(4, classes)

    @register("wide", needs=())
    def wide(recipe, shape, classes):
        """Takes images from 11 pixels on."""
        return nn.Sequential(nn.Conv2d(shape[0], 4, 11), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

    @register("wide-pair", needs=())
    def wide_pair(recipe, shape, classes):
        body = nn.Sequential(nn.Conv2d(shape[0], 4, 11), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return body, nn.Linear(4, classes)
    yield
    for name in ("normed", "wide", "wide-pair"):
        del NETWORKS[name]


def refused(capsys, out, *words):
    """The sentence with which a training is refused before there is a run folder."""
    assert main(["train", "planted-cnn", *words, "--out", str(out)]) == 2
    assert not list(out.iterdir())
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


@pytest.mark.parametrize(("words", "way_out"), [
    ([], "choose another batch, or train_size=8."),
    (["batch=1"], "choose another train_size or batch."),
    (["train_size=1"], "choose another train_size or batch."),
])
def test_a_last_batch_of_one_image(tmp_path, capsys, words, way_out):
    sentence = refused(capsys, tmp_path, *NORMED, *words)
    assert "so that the last batch is one image, but the network fails on it in training mode" in sentence
    assert "Expected more than 1 value per channel" in sentence
    assert sentence.endswith(way_out)


@pytest.mark.slow
def test_a_last_batch_of_one_image_where_the_network_takes_it(tmp_path):
    """A batch norm of more than one pixel, or none: trained as ever."""
    for words in (SMALL, [*NORMED, "batch=3"], [*NORMED, "train_size=8"]):
        recipe = recipe_named("planted-cnn", [*words, "epochs=1", "eval_every=1"])
        assert train(recipe, load_data(recipe), tmp_path).metrics()[0]["epoch"] == 1


@pytest.mark.parametrize("model", ["wide", "wide-pair"])
def test_images_smaller_than_the_network_takes(tmp_path, capsys, model):
    sentence = refused(capsys, tmp_path, *SMALL, f"model={model}", "width=none")
    assert "images of 8x12 pixels" in sentence
    assert "Kernel size can't be greater than actual input size" in sentence
    assert "choose another model or images of another size, such as resize=N" in sentence


def test_images_smaller_than_the_crop(tmp_path, capsys):
    assert "choose a smaller padding" in refused(capsys, tmp_path, *SMALL, "padding=8")


def test_the_trial_changes_nothing():
    recipe = recipe_named("planted-cnn", [*NORMED, "train_size=8"])
    training, untouched = (Training(recipe, load_data(recipe), "cpu") for _ in range(2))
    before = torch.get_rng_state()
    training.model.eval()
    first_batch.check_batches(training)
    assert not training.model.training
    state = untouched.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in training.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before)
    drawn = [one.generators["layers"].get_state() for one in (training, untouched)]
    assert torch.equal(*drawn)


def test_compile_without_a_compiler(tmp_path, capsys, monkeypatch):
    """As torch answers where no compiler is installed (inductor, 2.13)."""
    def broken(function, **options):
        def call(x):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: "
                               "(None, 'g++')\n\nSet TORCHDYNAMO_VERBOSE=1 for the internal stack trace")
        return call
    monkeypatch.setattr(torch, "compile", broken)
    sentence = refused(capsys, tmp_path, *SMALL, "compile=true")
    assert "torch.compile does not work here (InvalidCxxCompiler: No working C++ compiler found" in sentence
    assert sentence.endswith("install a C++ compiler (g++), for a GPU also Triton, or write compile=false.")


def real_shortage():
    """What torch says when a CPU has no petabyte."""
    try:
        torch.empty(2**50, dtype=torch.uint8)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("error", [
    real_shortage(), MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB"),
])
def test_out_of_memory(tmp_path, capsys, monkeypatch, error):
    def short(*arguments):
        raise error
    monkeypatch.setattr(Training, "gradients", short)
    assert main(["train", "planted-cnn", *SMALL, "--out", str(tmp_path)]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("deep: there is not enough memory (")
    assert "give the recipe a smaller batch=N or width=N" in sentence
    run = sweep.Run((), recipe_named("planted-cnn", SMALL))
    state, reason = sweep.train_run(run, tmp_path)
    assert (state, reason) == ("failed", memory_sentence(error))
    assert f"deep: {reason}" == sentence


def test_other_errors_are_no_shortage():
    assert memory_sentence(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert memory_sentence(ValueError("out of memory")) is None


@pytest.mark.slow
def test_going_on_with_other_threads(tmp_path, capsys, monkeypatch):
    recipe = recipe_named("planted-cnn", SMALL)
    data = load_data(recipe)
    for threads, epochs in ((1, 1), (1, 1), (2, None)):
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        run = train(recipe, data, tmp_path, stop_after=epochs)
    assert capsys.readouterr().err == ("deep: this run goes on with threads = 2 after threads = 1, so its bits will "
                                       "differ from those of an uninterrupted one.\n")
    assert run.metrics()[-1]["epoch"] == 2
    train(recipe, data, tmp_path)  # finished: nothing goes on
    assert capsys.readouterr().err == ""


def test_what_else_changes_the_bits():
    before = {"threads": 2, "processes": 1, "device": "cuda:0", "machine": "x86_64", "torch": "2.6.0"}
    assert arithmetic_change(before, before | {"device": "cuda:1", "threads": 3, "python": "3.13"}) is None
    assert "torch = 2.7.0 after torch = 2.6.0," in arithmetic_change(before, before | {"torch": "2.7.0"})
    words = arithmetic_change(before, before | {"device": "cpu", "threads": 3})
    assert words.startswith("this run goes on with device = cpu, threads = 3 after device = cuda, threads = 2, so")
    assert arithmetic_change(None, before) is None
    assert arithmetic_change({"from_epoch": 0}, before) is None
