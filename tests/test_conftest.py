"""What all tests rely on: the same random numbers in any order, and no silent skip under CI."""

import re
from pathlib import Path

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
