"""What all tests rely on: the same random numbers in any order, and no silent skip under CI."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests import conftest


@pytest.fixture(scope="module")
def drawn():
    return torch.rand(3)


@pytest.mark.parametrize("again", [False, True])
def test_torchs_global_generator_begins_anew_in_every_test(again):
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))


def test_it_begins_anew_for_a_fixture_of_a_module(drawn):
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("need", [lambda: conftest.shared("data/nothing"), lambda: conftest.shared("reference"),
                                  lambda: conftest.imported("a_package_that_is_not_there")])
def test_what_is_missing_skips_a_test_and_fails_it_under_ci(need, tmp_path, monkeypatch):
    monkeypatch.setattr(conftest, "SHARED", tmp_path)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="is missing, which this test needs"):
        need()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="is missing, which this test needs"):
        need()


def test_missing_images_fail_under_ci(monkeypatch, request, tmp_path):
    """The fixture itself: every test of real images asks for it, and no other way past `conftest.missing` is open."""
    monkeypatch.setenv("DEEP_DATA", str(tmp_path))
    for value, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
        monkeypatch.setenv("CI", value)
        with pytest.raises(outcome, match=f"in {tmp_path}"):
            conftest.cifar.__wrapped__()
    own = re.compile(r"\bpytest\.(skip|importorskip)\(")
    ways = {path.name for path in Path(__file__).parent.rglob("*.py") if own.search(path.read_text())}
    assert ways <= {"test_faults.py"}  # the module resource, which is the system's


def test_the_longest_files_are_there_and_come_first():
    assert [name for name in conftest.FIRST if not (Path(__file__).parents[1] / name).exists()] == []
    names = ["tests/a.py::test_x", f"{conftest.FIRST[1]}::test_y", "tests/a.py::test_z", f"{conftest.FIRST[0]}::test"]
    items = [SimpleNamespace(nodeid=name) for name in names]
    conftest.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [names[3], names[1], names[0], names[2]]


def test_the_order_of_the_files_is_kept_where_processes_share_them(pytestconfig):
    assert pytestconfig.option.loadscopereorder is False


def test_only_marks_that_are_known_are_used(pytestconfig):
    assert any(line.startswith("slow: ") for line in pytestconfig.getini("markers"))
    assert "--strict-markers" in pytestconfig.getini("addopts")
