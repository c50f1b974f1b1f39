"""Every module that `python -m` runs has --help, refuses wrong words in one sentence, and writes nothing for either."""

import builtins
import io
import os
import runpy
import sys
import warnings
from pathlib import Path

import pytest

from figures.networks import real_run
from tests.support.rooms import ROOT, sources

COMMANDS = {name: name.removesuffix(".__main__") for name, text in sources().items()
            if '\nif __name__ == "__main__":\n' in text}


@pytest.fixture
def reading_only(tmp_path, monkeypatch):
    """Fail where a file is written, or a folder made, in the project or where the test runs; others may meanwhile."""
    def own(path):
        place = Path(os.path.abspath(path))
        return place.is_relative_to(tmp_path) or place.parent == ROOT or any(
            place.is_relative_to(ROOT / package) for package in ("synthmodel", "deep", "figures"))

    def read(path, mode="r", *arguments, **options):
        assert not (set(mode) & set("wax+") and isinstance(path, str | os.PathLike) and own(path)), f"{path} is written"
        return opened(path, mode, *arguments, **options)

    def make(path, *arguments, **options):
        assert not own(path), f"{path} is made"
        made(path, *arguments, **options)
    opened, made = io.open, os.mkdir
    monkeypatch.setattr(builtins, "open", read)
    monkeypatch.setattr(io, "open", read)
    monkeypatch.setattr(os, "mkdir", make)
    monkeypatch.chdir(tmp_path)


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
@pytest.mark.usefixtures("reading_only")
def test_a_script_has_help_and_refuses_wrong_words(name, tmp_path, monkeypatch, capsys):
    assert exit_of(name, monkeypatch, "--help") == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: ") and COMMANDS[name] in said.out.split("\n\n")[0] and not said.err
    assert exit_of(name, monkeypatch, "--no-such-option") == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and said.err.endswith("--help.\n"), said.err
    assert not list(tmp_path.iterdir())


def test_a_collection_that_is_not_there_is_not_drawn(capsys):
    with pytest.raises(SystemExit, match="2"):
        real_run.main(["nothing"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "nothing.json is missing, and no run was given" in said
