"""A network of one's own on the command line: registered by a module."""

import json
import shlex
import subprocess
import sys

import pytest

from deep.__main__ import main
from deep.networks.registry import NETWORKS
from deep.runs.folder import RunFolder

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


def answer(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


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


def test_a_folder_that_is_none_is_answered_before_torch_is_loaded():
    code = ("import sys; from deep.__main__ import main; "
            "print([main([command, 'nowhere']) for command in ('evaluate', 'cas', 'saliency')], "
            "'torch' in sys.modules)")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert found.stdout == "[2, 2, 2] False\n", found.stderr
    assert found.stderr.count("nowhere is not a run folder: it has no readable recipe.json") == 3


def test_a_training_that_was_stopped_says_how_it_goes_on(tmp_path, capsys):
    assert main(["train", "planted-linear", *SHORT, "epochs=2", "--stop-after", "1", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("next: the same command without --stop-after 1")
