"""What `import deep` and `import synthmodel` offer, how little they load, and what version they say they are."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import deep
import synthmodel
from deep.system.files import commit

HEAVY = ("torch", "sympy", "matplotlib", "flint", "scipy.stats")


@pytest.mark.slow
@pytest.mark.parametrize(("code", "loaded"), [
    ("import deep; deep.__version__", []),
    ("import deep; deep.recipe_named('at')", []),
    ("import deep; deep.pgd", ["torch"]),
    ("import synthmodel; synthmodel.__version__", []),
])
def test_a_face_loads_no_more_than_is_asked_for(code, loaded):
    code += f"; import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert answer.stdout.split() == loaded


def test_each_name_of_deep_is_that_of_its_module():
    homes = {name: module for module, names in deep.HOMES.items() for name in names}
    assert set(homes) == set(deep.__all__)
    assert len(deep.__all__) == sum(map(len, deep.HOMES.values()))
    for name, module in homes.items():
        assert getattr(deep, name) is getattr(import_module(module), name)
        assert name in getattr(import_module(module), "__all__", [name])
    assert set(deep.__all__) <= set(dir(deep))


def test_type_checkers_see_the_same_names():
    """What stands below `if TYPE_CHECKING` is what `__getattr__` finds."""
    (block,) = [node for node in ast.parse(Path(deep.__file__).read_text()).body if isinstance(node, ast.If)]
    assert {line.module: tuple(alias.name for alias in line.names) for line in block.body} == deep.HOMES


@pytest.mark.parametrize("package", [deep, synthmodel])
def test_a_name_that_is_not_there_is_answered_with_those_that_are(package):
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'nothing': it offers .*, "):
        _ = package.nothing


@pytest.mark.parametrize("package", [deep, synthmodel])
def test_version(package, capsys):
    assert package.__version__ == version("synthmodel")
    with pytest.raises(SystemExit) as stop:
        import_module(f"{package.__name__}.__main__").main(["--version"])
    assert not stop.value.code
    assert capsys.readouterr().out == f"{package.__name__} {version('synthmodel')}, commit {commit()}\n"


@pytest.mark.parametrize("package", [deep, synthmodel])
def test_elsewhere_the_version_stands_alone(package, monkeypatch):
    """Installed from a wheel, say, where no commit is known."""
    files = import_module(f"{package.__name__}.system.files")
    monkeypatch.setattr(files, "commit", lambda: version("synthmodel"))
    assert files.version_line("x") == f"x {version('synthmodel')}"


@pytest.mark.parametrize("package", [deep, synthmodel])
def test_each_class_and_function_that_is_offered_has_an_example(package):
    """In its own docstring, or in that of the package, each of which is executed."""
    offered = {name: getattr(package, name) for name in package.__all__}
    bare = [name for name, thing in offered.items() if callable(thing) and ">>>" not in (thing.__doc__ or "")
            and not (isinstance(thing, type) and issubclass(thing, Exception))]
    assert [name for name in bare if f"{package.__name__}.{name}(" not in package.__doc__] == []
