"""`deep recipes`: every key of a recipe with its value, as it may be written, and what it means."""

import json

import pytest

from deep.__main__ import main
from deep.recipe.recipe import HINTS, RECIPES
from deep.recipe.settings import AllSettings, about
from deep.recipe.values import from_word, to_word


def test_every_key_of_every_recipe_is_there_as_it_is_written(capsys):
    for name, recipe in RECIPES.items():
        assert main(["recipes", name, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["recipes"], found["recipe"]) == (list(RECIPES), name)
        assert {row["key"] for row in found["keys"]} == set(HINTS) and len(found["keys"]) == len(HINTS)
        for row in found["keys"]:
            key = row["key"]
            assert from_word(key, row["value"], HINTS[key]) == getattr(recipe, key)
            assert (row["meaning"], row["unit"]) == (about(AllSettings)[key].meaning, about(AllSettings)[key].unit)
            assert row["allowed"]
    assert to_word(()) == ""


def test_it_is_printed_within_a_terminals_80_columns(capsys, monkeypatch):
    monkeypatch.setattr("deep.cli.printing.columns", lambda: 80)
    assert main(["recipes", "planted-cnn", "eps=3/10", "batch=7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    at = lines.index("  batch=7  [a whole number, at least 1; images]")
    assert lines[at + 1] == "      images of a step, of all processes together"
    assert lines.index("SGD, and how its learning rate goes.") < at
    assert "  norm=linf  [linf or l2]" in lines
    assert any(line.startswith("  model=cnn  [preactresnet18, resnet18, wideresnet, ") for line in lines)
    assert any(line.startswith("  eps=3/10  [a fraction such as 8/255 or 0.2, from 0 to 1;") for line in lines)
    assert sum(line.startswith("  ") and "=" in line and "[" in line for line in lines) >= len(HINTS)


@pytest.mark.parametrize(("words", "recipe", "values"), [
    (["eps"], "at", {"eps": "8/255"}),
    (["at-cpu", "batch", "seed=3", "seed"], "at-cpu", {"batch": "128", "seed": "3"})])
def test_a_key_is_looked_up(words, recipe, values, capsys):
    assert main(["recipes", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["recipe"], {row["key"]: row["value"] for row in found["keys"]}) == (recipe, values)
    assert main(["recipes", *words]) == 0
    assert capsys.readouterr().out.count("[") == len(values)


@pytest.mark.parametrize(("words", "sentence"), [
    (["no-such"], "the recipe 'no-such' is unknown: choose one of at,"), (["at", "eps=8"], "write 8/255")])
def test_refusals(words, sentence, capsys):
    assert main(["recipes", *words]) == 2
    said = capsys.readouterr()
    assert sentence in said.err and len(said.err.strip().splitlines()) == 1 and said.out == ""
