"""Every module that `python -m` runs has --help, refuses wrong words in one sentence, and writes nothing for either."""

import runpy
import sys
import warnings

import pytest

from figures.networks import real_run
from tests.support.rooms import ROOT, sources

COMMANDS = {name: name.removesuffix(".__main__") for name, text in sources().items()
            if '\nif __name__ == "__main__":\n' in text}


def files():
    """When each file of the packages, and each page of the project, was last written."""
    found = [*ROOT.glob("*"), *(path for package in ("synthmodel", "deep", "figures")
                                for path in (ROOT / package).rglob("*") if "__pycache__" not in path.parts)]
    return {path: path.stat().st_mtime_ns for path in found if path.is_file()}


def exit_of(name, monkeypatch, *words):
    """The status with which the module ends when it is run with these words."""
    monkeypatch.setattr(sys, "argv", [name, *words])
    # the module was imported before, which runpy finds odd
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning), pytest.raises(SystemExit) as left:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    return left.value.code


def test_the_scripts_are_found():
    assert {"figures.atlas", "figures.readme", "figures.phase.sigma", "figures.networks.planted", "deep.__main__",
            "synthmodel.certificates.search"} < set(COMMANDS)
    assert len(COMMANDS) >= 25


@pytest.mark.parametrize("name", COMMANDS)
def test_a_script_has_help_and_refuses_wrong_words(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = files()
    assert exit_of(name, monkeypatch, "--help") == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: ") and COMMANDS[name] in said.out.split("\n\n")[0] and not said.err
    assert exit_of(name, monkeypatch, "--no-such-option") == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and said.err.endswith("--help.\n"), said.err
    assert not list(tmp_path.iterdir()) and files() == before


def test_a_collection_that_is_not_there_is_not_drawn(capsys):
    with pytest.raises(SystemExit, match="2"):
        real_run.main(["nothing"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "nothing.json is missing, and no run was given" in said
