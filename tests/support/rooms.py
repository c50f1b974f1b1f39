"""The house as a stranger meets it: folders, modules, floors and arrows of each package, counted.

`python -m tests.support.rooms [CHECKOUT ...]` prints them for each checkout (this one), so that an older commit, in a
`git worktree` of its own, can be set beside it.

A room is what stands in a package's folder: a folder with all that is in it, or a module. An arrow goes from a module
or room to another that it imports, wherever the import stands. Floors are the longest chain of arrows; a circle of
them is on one floor. The package's own `__init__` is its face, and none of its modules.
"""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

__all__ = ["PACKAGES", "ROOT", "circles", "counts", "floors", "imports", "sources"]

ROOT = Path(__file__).parents[2]
PACKAGES = ("synthmodel", "deep", "figures")
Arrows = dict[str, set[str]]


def sources(root: Path = ROOT, packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """The text of every module of the packages by its dotted name; a package is its __init__."""
    found = {}
    for package in packages:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def imports(modules: dict[str, str]) -> dict[str, set[str]]:
    """The modules of the house that each imports, wherever in it the import stands."""
    # from a.b import c: the module a.b.c if there is one, else a.b
    return {name: {whole if (whole := f"{module}.{word}") in modules else module for module, word in named(text)}
            & modules.keys() - {name} for name, text in modules.items()}


@cache
def named(text: str) -> set[tuple[str, str]]:
    """(module, name) of every import in a module's text; the name is empty for a plain import."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    return found


def circles(modules: dict[str, str]) -> list[list[str]]:
    """The sets of modules that import each other in a circle, each sorted. A package's face is none of its modules."""
    return circles_of({name: {other for other in others if not name.startswith(other + ".")}
                       for name, others in imports(modules).items()})


def circles_of(arrows: Arrows) -> list[list[str]]:
    """The sets of places that lead to each other, each sorted.

    >>> circles_of({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    [['b', 'c']]
    """
    reached = {}
    for name in arrows:
        seen: set[str] = set()
        todo = [name]
        while todo:
            for other in arrows[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        reached[name] = seen
    found = {tuple(sorted(other for other in seen if name in reached[other])) for name, seen in reached.items()
             if name in seen}
    return sorted(map(list, found))


def floors(arrows: Arrows) -> int:
    """The number of places on the longest chain of arrows; a circle counts as one place.

    >>> floors({"roof": {"stairs"}, "stairs": {"cellar", "pantry"}, "pantry": {"cellar"}, "cellar": set()})
    4
    >>> floors({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    2
    """
    joined = {name: circle[0] for circle in circles_of(arrows) for name in circle}
    below: Arrows = {}
    for name, others in arrows.items():
        place = joined.get(name, name)
        below.setdefault(place, set()).update({joined.get(other, other) for other in others} - {place})
    height: dict[str, int] = {}
    for place in TopologicalSorter(below).static_order():
        height[place] = 1 + max((height[other] for other in below[place]), default=0)
    return max(height.values())


def counts(root: Path, package: str) -> dict[str, int]:
    """What a stranger meets in one package of a checkout."""
    modules = sources(root, (package,))
    arrows = {name: {other for other in others if not name.startswith(other + ".")}
              for name, others in imports(modules).items() if name != package}
    between: Arrows = {}
    for name, others in arrows.items():
        room = name.split(".")[1]
        between.setdefault(room, set()).update({other.split(".")[1] for other in others} - {room})
    folders: dict[str, int] = {}
    for name in modules:
        path = (root / package).joinpath(*name.split(".")[1:])
        if not path.is_dir():
            folders[str(path.parent)] = folders.get(str(path.parent), 0) + 1
    return {"folders": len(folders), "modules": sum(folders.values()), "most in a folder": max(folders.values()),
            "lines": sum(len(text.splitlines()) for text in modules.values()),
            "floors of modules": floors(arrows), "arrows of modules": sum(map(len, arrows.values())),
            "circles": len(circles_of(arrows)), "rooms": len(between), "floors of rooms": floors(between),
            "arrows of rooms": sum(map(len, between.values()))}


def main(checkouts: list[str]) -> None:
    """Print one Markdown table for each checkout, a row for each package."""
    for root in (Path(checkout).resolve() for checkout in checkouts or [ROOT]):
        rows = {package: counts(root, package) for package in PACKAGES}
        # tests import each other as support alone
        rows["tests"] = dict(list(counts(root, "tests").items())[:4])
        keys = list(rows[PACKAGES[0]])
        print(f"\n{root.name}\n\n| package | " + " | ".join(keys) + " |\n|" + " --- |" * (len(keys) + 1))
        for package, row in rows.items():
            print(f"| {package} | " + " | ".join(str(row.get(key, "")) for key in keys) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
