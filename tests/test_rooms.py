"""The house: imports point down only, from room to room, and no folder has more rooms than one can look over."""

import pytest

from tests.support.rooms import PACKAGES, ROOT, circles, counts, imports, main, sources

# From the ground up: a room may import from those to its left, and from itself.
FLOORS = {
    "synthmodel": "system model solvers accuracy flows symbolic certificates claims plot testing cli __main__",
    "deep": "system attacks networks recipe data runs evaluation training experiments cli __main__",
    "figures": "style diagram scripts phase theory networks atlas gallery report readme",
}
FLOORS = {package: floors.split() for package, floors in FLOORS.items()}
# Of synthmodel/system and deep/system, which do not import each other
TWINS = ("drawing", "files", "reading", "terminal")
MOST = 11  # modules and folders in a folder


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


MODULES = sources()


def test_every_package_has_its_floors():
    assert tuple(FLOORS) == PACKAGES


@pytest.mark.slow
def test_imports_point_down_only():
    assert upward(MODULES) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circles(MODULES) == []


@pytest.mark.parametrize(("name", "line", "arrow"), [
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


@pytest.mark.slow
def test_the_house_is_counted(tmp_path, capsys):
    """A package of two rooms and a door: door -> b -> a, in b one module more, and a circle in a."""
    for name, text in {"__init__": "from p.door import f", "door": "import p.b.high", "a/one": "import p.a.two",
                       "a/two": "def f():\n    from p.a import one", "b/__init__": "", "b/low": "from p.a.one import x",
                       "b/high": "from p.b import low\nimport numpy\n\nfrom p.a import two"}.items():
        path = tmp_path / "p" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert counts(tmp_path, "p") == {
        "folders": 3, "modules": 5, "most in a folder": 2, "lines": 10, "floors of modules": 4, "arrows of modules": 6,
        "circles": 1, "rooms": 3, "floors of rooms": 3, "arrows of rooms": 2}
    main([str(ROOT)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[5:]] == ["| synthmodel", "| deep", "| figures", "| tests"]
    assert lines[6].split(" | ")[2] == str(counts(ROOT, "deep")["modules"])
