"""CONTRIBUTING.md does what it says: its recipes are carried out, as they stand there, in a copy of this checkout."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.support.rooms import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(part.split("\n", 1) for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"# (\S+?)(?:, (in place of|before): (.+))?")
LONGEST = 15  # lines to write or to run, without blank ones and those that say where: about ten, with the imports


@pytest.fixture
def copy(tmp_path):
    """The packages, their tests and the texts that they read, without pictures."""
    for name in ("synthmodel", "deep", "figures", "tests", "README.md", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
        else:
            shutil.copy(source, tmp_path / "copy" / name)
    return tmp_path / "copy"


def carry_out(title, copy, **words):
    """Write the recipe's blocks where they say, and run its commands, with `words` replaced; return what they print."""
    printed = ""
    for language, block in BLOCK.findall(RECIPES[title]):
        if language == "sh":
            for line in block.splitlines():
                command = [words.get(word, word) for word in shlex.split(line)]
                assert command[0] == "python"
                found = subprocess.run(
                    [sys.executable, *command[1:]], cwd=copy, capture_output=True, text=True, timeout=600,
                    env={**os.environ, "DEEP_CACHE": str(copy / "cache")})
                assert found.returncode == 0, found.stdout + found.stderr
                printed += found.stdout
            continue
        where, body = block.split("\n", 1)
        name, how, known = PLACE.fullmatch(where).groups()
        if how is None:
            assert not (copy / name).exists()
            (copy / name).write_text(body)
            continue
        text = (copy / name).read_text()
        assert text.count(known) == 1, f"{known} stands {text.count(known)} times in {name}"
        before = text[:text.index(known)].rpartition("\n")[2]
        body = body + (before if before.isspace() else "") + known if how == "before" else body.removesuffix("\n")
        (copy / name).write_text(text.replace(known, body))
    return printed


def trained(copy):
    """(recipe, metrics) of the one run in the copy."""
    (run,) = (copy / "runs").iterdir()
    return json.loads((run / "recipe.json").read_text()), [json.loads(line) for line in
                                                           (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_has_about_ten_lines(title):
    lines = [line for _, block in BLOCK.findall(RECIPES[title]) for line in block.splitlines()
             if line and not PLACE.fullmatch(line)]
    assert len(lines) <= LONGEST


@pytest.mark.slow
def test_a_loss(copy):
    carry_out("A loss", copy)
    recipe, (line,) = trained(copy)
    assert recipe["loss"] == "wrong-class-lse"
    assert np.isfinite(line["train_loss"])


@pytest.mark.slow
def test_a_claim(copy):
    assert "passed" in carry_out("A claim", copy)
    claim = re.search(r'\nClaim\("([^"]+)"', RECIPES["A claim"])[1]
    assert f"| {claim} | new | tested |" in (copy / "synthmodel" / "README.md").read_text()
    code = ("from synthmodel.claims.registry import CLAIMS; from synthmodel.claims.verify import verify; "
            f"print([row.holds for row in verify([c for c in CLAIMS if c.id == '{claim}'], symbolic=False)])")
    found = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, timeout=600)
    assert found.stdout == "[True]\n", found.stderr


@pytest.mark.slow
def test_a_network(copy):
    path = carry_out("A network", copy)
    recipe, _ = trained(copy)
    assert (recipe["model"], recipe["width"]) == ("perceptron", 8)
    assert (copy / path.strip() / "best.pt").exists()


@pytest.mark.slow
def test_a_data_set(copy, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 60), ("test", 20)):
        arrays |= {f"x_{part}": rng.integers(0, 256, (n, 28, 28), np.uint8), f"y_{part}": np.arange(n) % 10}
    np.savez(tmp_path / "mnist.npz", **arrays)
    carry_out("A data set", copy, DIR=str(tmp_path))
    recipe, (line,) = trained(copy)
    assert recipe["data"] == "mnist"
    assert line["n_test"] == 20
    (run,) = (copy / "runs").iterdir()
    assert json.loads((run / "environment.json").read_text())["data"].startswith("MNIST")
