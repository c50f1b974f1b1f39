"""`deep recipes`: the recipes there are, and each key of one: value, form, range, unit and meaning."""

import argparse
import json
from typing import Any

from deep.cli.common import Commands
from deep.cli.printing import say

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    recipes = commands.add_parser("recipes", help="the recipes, and the keys of a recipe with what they mean",
                                  description="Print the recipes, and of one every key that `deep train RECIPE "
                                              "key=value` changes: its value there, what may be written, the unit, and "
                                              "the meaning.")
    recipes.add_argument("recipe", nargs="?", default="at", help="whose values are printed (default: at)")
    recipes.add_argument("overrides", nargs="*", metavar="key=value", help="changes to it, as `deep train` takes them; "
                         "a key alone: print this one")
    recipes.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    from deep.recipe.checks import allowed
    from deep.recipe.recipe import HINTS, RECIPES, recipe_named
    from deep.recipe.settings import AllSettings, about, types_of
    from deep.recipe.values import to_word
    name, words = options.recipe, options.overrides
    if name in HINTS:
        name, words = "at", [name, *words]
    asked = [word for word in words if word in HINTS]
    recipe = recipe_named(name, [word for word in words if word not in asked])
    notes, hints, rows = about(AllSettings), types_of(AllSettings), {}
    for part in (*reversed(AllSettings.__bases__), AllSettings):
        subject = (part.__doc__ or "").partition("\n")[0]
        for key in (key for key in about(part) if key not in rows):
            rows[key] = {"key": key, "value": to_word(getattr(recipe, key)), "allowed": allowed(hints[key], notes[key]),
                         "unit": notes[key].unit, "meaning": notes[key].meaning, "part": subject}
    shown = [row for key, row in rows.items() if key in asked or not asked]
    if options.json:
        print(json.dumps({"recipes": list(RECIPES), "recipe": name, "keys": shown}))
        return
    say(f"recipes: {', '.join(RECIPES)}")
    say(f"keys of {name}, for `deep train {name} key=value ...`; of another recipe: `deep recipes NAME`")
    print_rows(shown)


def print_rows(rows: list[dict[str, Any]]) -> None:
    part = None
    for row in rows:
        if row["part"] != part:
            part = row["part"]
            print()
            say(part, 0)
        words = "; ".join(filter(None, (row["allowed"], row["unit"])))
        say(f"  {row['key']}={row['value']}  [{words}]", 6)
        say(f"      {row['meaning']}", 6)
