"""What stands beside the packages: the citation, the changelog and the hooks agree with the project."""

import tomllib

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


def test_the_changelog_tells_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text()
