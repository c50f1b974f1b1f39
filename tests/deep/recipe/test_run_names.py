"""Every recipe under a hundred overrides: the same run folder, the same recipe.json and the same refusal as ever.

names.txt has a line for each override, with a digest a recipe of RECIPES: of the run's name and recipe.json, or of
the sentence that refuses it. It was written before the recipe was cut into parts: a digest that changes is a run
folder that is no longer found.
"""

import hashlib
import json
from pathlib import Path

import pytest

from deep.recipe.recipe import RECIPES, recipe_from_dict, recipe_named, run_name

# Only what a later field, network or choice leaves as it is: no sentence that lists them all.
LINES = [line.split("|") for line in (Path(__file__).parent / "names.txt").read_text().splitlines()]
FIRST = ("at", "at-l2", "trades", "standard", "fast-at", "at-deit", "at-cpu", "planted-linear", "planted-cnn")


def outcome(name, words):
    """Run name and recipe.json of a recipe with overrides, or the sentence that refuses them."""
    try:
        recipe = recipe_named(name, words)
    except ValueError as error:
        return str(error)
    written = json.dumps(recipe.as_dict())
    assert recipe_from_dict(json.loads(written)) == recipe
    return f"{run_name(recipe)}\n{written}"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def test_there_are_a_hundred_overrides_of_every_recipe():
    assert len(LINES) >= 100 and set(FIRST) <= set(RECIPES)
    assert all(len(digests.split()) == len(FIRST) for _, digests in LINES)


@pytest.mark.parametrize(("words", "digests"), LINES, ids=[words or "none" for words, _ in LINES])
def test_the_name_and_the_file_of_every_recipe_stay(words, digests):
    assert [digest(outcome(name, words.split())) for name in FIRST] == digests.split()
