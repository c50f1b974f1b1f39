"""What stands beside the packages: the citation, the changelog and the hooks agree with the project."""

import shutil
import subprocess
import tomllib

import pytest

from tests.conftest import imported
from tests.support.rooms import ROOT


def read_yaml(name):
    return imported("yaml").safe_load((ROOT / name).read_text())


def test_the_citation_has_what_its_schema_requires():
    """The required keys of the Citation File Format 1.2.0: of the file, of persons and entities, of a reference."""
    cited = read_yaml("CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert {"authors", "cff-version", "message", "title"} <= cited.keys()
    (paper,) = cited["references"]
    assert {"authors", "title", "type"} <= paper.keys()
    assert all("name" in author or "family-names" in author for author in cited["authors"] + paper["authors"])
    assert [author["family-names"] for author in paper["authors"]] == ["Wei", "Guo", "Wang"]
    assert paper["url"].endswith("2506.05032")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"]["text"])
    assert cited["title"].startswith(project["name"])


def test_before_a_commit_runs_what_ci_runs():
    (local,) = read_yaml(".pre-commit-config.yaml")["repos"]
    checks = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith(".venv/bin/")]
    assert [hook["entry"].split()[0] for hook in local["hooks"]] == [line.split()[0] for line in checks]


@pytest.mark.parametrize("broken", ["", "tests", "ruff", "docs", "mypy"])
def test_ci_fails_with_each_of_its_parts(tmp_path, broken):
    """With programs that say their name and fail if they are the broken one."""
    for name, folder in {"tests": "", "ruff": ".venv/bin", "docs": ".ci", "mypy": ".venv/bin"}.items():
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {name}\nexit {3 if name == broken else 0}\n")
        path.chmod(0o755)
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "README.md").write_text("The tests:\n\n    true && ./tests -m pytest -q\n")
    found = subprocess.run([tmp_path / ".ci/run"], capture_output=True, text=True, timeout=60)
    assert found.returncode == (3 if broken else 0), found.stderr
    order = ["tests", "ruff", "docs", "mypy"]
    said = [line for line in found.stdout.splitlines() if line in order]
    reached = order.index(broken) + 1 if broken in order[:2] else 4
    assert sorted(said) == sorted(order[:reached])


def test_the_changelog_tells_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text()
