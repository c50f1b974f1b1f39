"""The comparison of runs that part at a learning-rate drop: what is collected, and what the README says of it."""

import json
from pathlib import Path

import pytest

from figures.networks.trimming import collect, draw
from tests.conftest import assert_draws

DATA = Path(__file__).parents[2] / "figures" / "data" / "trimming.json"


@pytest.fixture(scope="module")
def committed():
    return json.loads(DATA.read_text())


def last(run):
    return [line for line in run["metrics"] if "robust" in line][-1]


def test_the_runs_share_their_first_half_to_the_last_bit(committed):
    halves = [[{key: value for key, value in line.items() if "second" not in key} for line in run["metrics"][:18]]
              for run in committed["runs"]]
    assert halves[0] == halves[1] == halves[2]
    assert last(committed["runs"][0])["train_loss"] != last(committed["runs"][1])["train_loss"]


def test_the_readme_says_what_the_file_says(committed):
    text = " ".join((DATA.parents[2] / "deep" / "README.md").read_text().split())
    plain, largest, random = map(last, committed["runs"])
    highest = max(line["robust"] for line in committed["runs"][0]["metrics"] if "robust" in line)
    assert f"{100 * plain['robust']:.1f} % at the end, {100 * highest:.1f} % at its highest" in text
    assert f"{plain['cas']:.1f} at the end" in text
    values = [f"{run['margin_cas']:.3f}"[1:] for run in (largest, plain, random)]
    assert f"({values[0]} against {values[1]} and {values[2]})" in text
    assert 100 * (plain["robust"] - largest["robust"]) == pytest.approx(0.9, abs=0.05)


@pytest.mark.slow
def test_collect_and_draw(committed, tmp_path, pictures):
    for number, run in enumerate(committed["runs"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "recipe.json").write_text(json.dumps(run["recipe"]))
        (folder / "environment.json").write_text(json.dumps(run["environment"]))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in run["metrics"]))
        for name, cas in zip(("best", "last"), run["cas"], strict=True):
            (folder / f"cas-{name}.json").write_text(json.dumps(cas | {"run": "there"}))
    assert collect(committed["commit"], [tmp_path / str(number) for number in range(3)]) == committed
    draw(committed, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 20_000
    (figure,) = pictures
    lines = [[line for line in run["metrics"] if "robust" in line] for run in committed["runs"]]
    for axis, key, scale in zip(figure.axes, ("robust", "cas_excess", "margin_cas"), (100, 1, 1), strict=True):
        assert_draws(axis, *(([line["epoch"] for line in run], [scale * line[key] for line in run]) for run in lines))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "nothing dropped", "largest 10 % dropped", "random 10 % dropped"]
