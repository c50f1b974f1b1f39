"""The house: imports point down only, from room to room, and no folder has more rooms than one can look over."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up: a room may import from those to its left, and from itself.
FLOORS = {
    "synthmodel": "system model solvers accuracy flows samples symbolic certificates claims cli __main__",
    "deep": "system attacks networks recipe data runs evaluation training experiments cli __main__",
    "figures": "style diagram phase theory networks atlas report readme",
}
FLOORS = {package: floors.split() for package, floors in FLOORS.items()}
TWINS = ("files", "reading", "terminal")  # of synthmodel/system and deep/system, which do not import each other
MOST = 12  # modules and folders in a folder


def sources() -> dict[str, str]:
    """The text of every module of the three packages by its dotted name; a package is its __init__."""
    found = {}
    for package in FLOORS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
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


def upward(modules: dict[str, str]) -> list[str]:
    """The arrows that do not point down, as "from -> to", sorted."""
    wrong = []
    for name, others in imports(modules).items():
        package, _, rest = name.partition(".")
        for other in others:
            target, _, inside = other.partition(".")
            if target != package:
                allowed = package == "figures" or (name == "synthmodel.__main__" and target == "figures")
                fine = allowed and inside.partition(".")[0] not in ("cli", "__main__")
            elif not rest or not inside:  # the package's face offers what it likes, and nobody inside asks it
                fine = not rest
            else:
                floors = FLOORS[package]
                fine = floors.index(rest.partition(".")[0]) >= floors.index(inside.partition(".")[0])
            if not fine:
                wrong.append(f"{name} -> {other}")
    return sorted(wrong)


def circles(modules: dict[str, str]) -> list[list[str]]:
    """The sets of modules that import each other in a circle, each sorted. A package's face is none of its modules."""
    arrows = {name: {other for other in others if not name.startswith(other + ".")}
              for name, others in imports(modules).items()}
    reached = {}
    for name in arrows:
        seen, todo = set(), [name]
        while todo:
            for other in arrows[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        reached[name] = seen
    found = {tuple(sorted(other for other in seen if name in reached[other])) for name, seen in reached.items()
             if name in seen}
    return sorted(map(list, found))


MODULES = sources()


def test_imports_point_down_only():
    assert upward(MODULES) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circles(MODULES) == []


@pytest.mark.parametrize("name,line,arrow", [
    ("deep.system.lock", "from deep.runs.folder import RunFolder", "deep.system.lock -> deep.runs.folder"),
    ("deep.data.cache", "def f():\n    from synthmodel.system import files",
     "deep.data.cache -> synthmodel.system.files"),
    ("synthmodel.model.noise", "import deep.system.lock", "synthmodel.model.noise -> deep.system.lock"),
    ("figures.style", "from deep.cli import train", "figures.style -> deep.cli.train"),
    ("synthmodel.claims.verify", "from synthmodel.cli.commands import run_verify",
     "synthmodel.claims.verify -> synthmodel.cli.commands"),
    ("synthmodel.solvers.solve", "from synthmodel import r_acc", "synthmodel.solvers.solve -> synthmodel"),
])
def test_an_arrow_that_points_up_is_seen(name, line, arrow):
    assert arrow in upward(MODULES | {name: MODULES[name] + line})


def test_a_circle_is_seen():
    planted = {"deep.system.files": "from deep.system.lock import Lock",
               "deep.system.lock": "def f():\n    import deep.system.files"}
    assert circles(MODULES | planted) == [list(planted)]


def test_every_folder_can_be_looked_over():
    for package in FLOORS:
        for folder in [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]:
            if folder.name in ("__pycache__", "data") and not list(folder.glob("*.py")):
                continue
            rooms = [path for path in folder.iterdir() if path.name not in ("__pycache__", "__init__.py", "__main__.py")
                     and (path.suffix == ".py" or path.is_dir())]
            assert len(rooms) <= MOST, f"{folder.relative_to(ROOT)}: {len(rooms)} modules and folders"


def test_both_packages_have_the_same_plumbing():
    """Each stands alone, so that the little that both need is there twice, to the letter."""
    for name in TWINS:
        ours, theirs = (MODULES[f"{package}.system.{name}"] for package in ("synthmodel", "deep"))
        assert ours == theirs, name
