"""What --out replaces: an earlier result of the same command, and nothing else."""

import json

import numpy as np
import pytest

from deep.__main__ import main
from deep.cli.measure.saliency import picture_path

PNG = b"\x89PNG\r\n\x1a\n"
REPORT = json.dumps({"partner": {}, "definition": "", "checkpoints": []})


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder, which is the current one, with what must stay."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "f.npz", features=rng.random((30, 5)), labels=np.arange(30) % 3, weight=rng.random((3, 5)))
    (tmp_path / "link.json").symlink_to("f.npz")
    files = {"w.pt": b"PK weights", "recipe.json": b"{}", "environment.json": b'{"python": 3}', "cut.json": b'{"cor',
             "list.json": b'["weights_file"]', "evaluated.json": b'{"weights_file": 1, "robust": 2, "sanity": 3}',
             "cas-best.json": b'{"run": "at", "correlation": []}', "theirs.png": PNG, "no.png": b"GIF",
             "no.json": REPORT.encode(), "result-unfinished.json": b'{"notes": 1}'}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FEATURES, WEIGHTS = ("cas", "--features", "f.npz"), ("evaluate", "--weights", "w.pt", "--model", "cnn")


@pytest.mark.parametrize(("words", "out", "kept"), [
    (FEATURES, "f.npz", "f.npz"), (FEATURES, "link.json", "link.json"), (FEATURES, "environment.json", None),
    (FEATURES, "cut.json", None), (FEATURES, "list.json", None), (FEATURES, "evaluated.json", None),
    (FEATURES, "cas-best.json", None), (WEIGHTS, "w.pt", None), (WEIGHTS, "recipe.json", None),
    ((*WEIGHTS, "--attacks", "pgd2"), "result.json", "result-unfinished.json"),
    (("cas", *WEIGHTS[1:]), "evaluated.json", None), (("saliency", "nowhere"), "recipe.png", "recipe.json"),
    (("saliency", "nowhere"), "theirs.png", None), (("saliency", "nowhere"), "no.png", None)])
def test_nothing_else_is_replaced(words, out, kept, place, capsys):
    """It is refused before anything is read: neither the weights nor the run could be."""
    before = contents(place)
    assert main([*words, "--out", out]) == 2
    assert (f"--out = {out} was given, but {kept or out} is there, and no earlier result of this command: write "
            "another name, or move it away.\n") in capsys.readouterr().err
    assert contents(place) == before


def test_a_folder_is_no_place_for_a_result(place, capsys):
    assert main([*FEATURES, "--out", "."]) == 2
    assert "--out = . was given, but that is a folder: name a file in it." in capsys.readouterr().err


def test_an_earlier_result_is_replaced(place, capsys):
    for _ in range(2):
        assert main([*FEATURES, "--out", "new.json"]) == 0
        (place / "new.json").write_text(json.dumps(json.loads((place / "new.json").read_text()) | {"cas": "old"}))
    assert main([*FEATURES, "--out", "new.json", "--json"]) == 0
    assert json.loads((place / "new.json").read_text())["cas"] > 0
    (place / "theirs.json").write_text(REPORT)
    assert str(picture_path("theirs.png")) == "theirs.png"
