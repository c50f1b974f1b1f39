"""deep/README.md: its links lead somewhere, its recipes are those that there are, and its example runs."""

import json
import re
import runpy
import shlex
import sys

import pytest

from deep.__main__ import main
from deep.networks.registry import NETWORKS
from deep.recipe.recipe import RECIPES
from tests.support.layouts import cifar10_files, write_tree
from tests.support.rooms import ROOT

TEXT = (ROOT / "deep/README.md").read_text()


def part(title):
    return TEXT[TEXT.index(f"\n## {title}\n"):].split("\n## ")[1]


def test_the_walk_leads_through_modules_that_are_there():
    links = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", part("From an image to CAS"))
    assert len(links) > 20
    for words, path in links:
        assert words == path
        assert (ROOT / "deep" / path).exists(), path


def test_the_recipes_are_those_that_there_are():
    assert re.findall(r"^\| `([\w-]+)` \|", part("Recipes"), re.MULTILINE) == list(RECIPES)


def test_what_is_said_of_a_recipe_is_so():
    at, fast, deit, cpu = (RECIPES[name] for name in ("at", "fast-at", "at-deit", "at-cpu"))
    assert (str(at.eps), at.steps, at.epochs, str(RECIPES["at-l2"].eps)) == ("8/255", 10, 200, "128/255")
    assert (fast.steps, fast.epochs, fast.schedule) == (1, 30, "cyclic")
    assert (str(fast.step), RECIPES["trades"].beta, deit.patch_size, deit.gradient_norm) == ("2/51", 6, 4, 1)
    assert (cpu.width, cpu.train_size, cpu.steps, cpu.epochs) == (16, 2000, 7, 80)


def test_the_top_page_leads_to_the_others():
    text = (ROOT / "README.md").read_text()
    assert all(f"]({path})" in text for path in
               ("deep/README.md", "synthmodel/THEORY.md", "figures/README.md", "CONTRIBUTING.md"))


@pytest.mark.slow
def test_a_network_of_ones_own_goes_from_torch_to_cas(tmp_path, monkeypatch, capsys):
    """The files of the section are written and its commands run, as they stand there, in this process."""
    known = dict(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("DEEP_CACHE", str(tmp_path / "cache"))
    write_tree(tmp_path / "images", cifar10_files())
    try:
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", part("A network of your own"), re.M | re.S):
            if language == "python":
                name, body = re.fullmatch(r"# (\w+\.py)\n(.*)", block, re.S).groups()
                (tmp_path / name).write_text(body)
                continue
            for line in block.splitlines():
                program, *words = shlex.split(line.replace("DIR", str(tmp_path / "images")))
                if program == "deep":
                    assert main(words) == 0, capsys.readouterr().err
                else:
                    runpy.run_path(words[0], run_name="__main__")
                    NETWORKS.pop("my-network", None)  # the script was a process of its own
                    sys.modules.pop("my_network", None)
    finally:
        NETWORKS.clear()
        NETWORKS.update(known)
        sys.modules.pop("my_network", None)
    found = json.loads((tmp_path / "cas.json").read_text())
    assert (found["network"], found["n"], len(found["correlation"])) == ("my-network", 20, 10)
    out = capsys.readouterr().out
    assert out.count("null level") > 4
    assert "my_features.npz, n = 200\n" in out
