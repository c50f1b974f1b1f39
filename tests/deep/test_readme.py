"""deep/README.md: its links lead somewhere, and its recipes are those that there are."""

import re

from deep.recipe.recipe import RECIPES
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
