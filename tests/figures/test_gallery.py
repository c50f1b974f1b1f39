"""The gallery: every committed picture is there, every link has its end, and a sentence follows its data."""

import csv
import json
import re
import shutil

import pytest

from figures import gallery
from figures.networks import real_run, trimming
from figures.readme import put
from figures.style import read_csv, write_csv
from figures.theory import accuracy, finite_sample, weights
from tests.support.rooms import ROOT

GALLERY = ROOT / "figures" / "README.md"


def test_every_committed_picture_is_in_it():
    pictures = {path.stem for path in gallery.DATA.glob("*.png")}
    assert {picture.name for picture in gallery.PICTURES} == pictures
    assert all((gallery.DATA / name).exists() for picture in gallery.PICTURES for name in picture.data)


def test_every_link_has_its_end():
    text = GALLERY.read_text()
    theory = (ROOT / "synthmodel/THEORY.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 40
    for link in links:
        path, _, anchor = link.partition("#")
        assert (GALLERY.parent / path).exists(), link
        assert not anchor or f'<a id="{anchor}">' in theory, link


def test_commands_name_modules_that_are_there():
    """Those that begin with python -m; the others are commands of synthmodel."""
    for picture in gallery.PICTURES:
        if picture.command.startswith("python -m "):
            assert picture.command.split()[2] == picture.script.__name__
        else:
            assert picture.command in ("synthmodel report", "synthmodel atlas")


def test_a_stale_page_is_seen():
    text, made = GALLERY.read_text(), gallery.gallery()
    assert put(text.replace("The optimal weights", "The weights"), "gallery", made) == text
    with pytest.raises(ValueError, match="0 places for the table gallery"):
        put(text.replace("<!-- gallery -->", ""), "gallery", made)


def changed_csv(tmp_path, name, change):
    """A copy of a committed table in which change(row) has been applied to every row."""
    rows = read_csv(gallery.DATA / name)
    for row in rows:
        change(row)
    write_csv(tmp_path / name, rows)


def test_the_sentence_on_weights_follows_its_table(tmp_path):
    changed_csv(tmp_path, "weights.csv", lambda row: row.update(w2_at=row["w2_at"] * (row["eps"] < 0.2)))
    assert "the cross-class weight up to 0.195 (eps0 = 0.359)" in weights.finding(tmp_path)
    changed_csv(tmp_path, "weights.csv", lambda row: row.update(w2_smoothed_numeric=row["w2_smoothed_numeric"] + 0.5))
    assert "differs by at most 5e-01" in weights.finding(tmp_path)


def test_the_sentence_on_accuracy_follows_its_table(tmp_path):
    changed_csv(tmp_path, "accuracy.csv", lambda row: row.update(joint=-abs(row["ratio"] - 0.25)))
    assert "at 0.25 below eps0, 0.25 at eps0 and 0.25 above it" in accuracy.finding(tmp_path)


def test_the_sentence_on_the_finite_sample_follows_its_file(tmp_path):
    data = json.loads(finite_sample.DATA.read_text())
    data["surgery"]["final, noise zeroed"][:5] = [0.0] * 5
    (tmp_path / "finite_sample.json").write_text(json.dumps(data))
    assert "above the early stop in 25 seeds" in finite_sample.finding(tmp_path)


def test_the_sentence_on_real_runs_is_the_table_of_the_readme():
    for name in ("cifar10", "cifar10-crops"):
        source = real_run.DATA.with_name(f"{name}.json")
        rows = {row["quantity"]: row["last - best"] for row in real_run.summary(source)}
        assert f"CAS {rows['CAS (paper)']}, margin-CAS {rows['margin-CAS']}. A margin-CAS of up to 0.50 needs" in (
            real_run.finding(source))


def test_the_sentence_on_trimming_follows_its_file(tmp_path):
    data = json.loads((gallery.DATA / "trimming.json").read_text())
    data["runs"][1]["metrics"][-1]["robust"] = 0.125
    (tmp_path / "trimming.json").write_text(json.dumps(data))
    assert "largest 10 % dropped: 12.5 %" in trimming.finding(tmp_path / "trimming.json")


def test_the_sentence_on_planted_images_follows_its_tables(tmp_path):
    """The linear network's largest distance from the theory is that of comparison.csv."""
    with open(gallery.DATA / "comparison.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["network"] == "linear"]
    away = max(abs(float(row["measured"]) - float(row["theory"])) for row in rows)
    said = gallery.planted.finding(gallery.DATA)
    within = float(re.search(r"within ([\d.]+) of the theory at all 10 points", said)[1])
    assert within == pytest.approx(away, abs=0.0011)
    shutil.copy(gallery.DATA / "planted-theory.csv", tmp_path)
    changed_csv(tmp_path, "planted.csv", lambda row: row.update(ratio=row["ratio"] + (row["network"] == "linear")))
    assert "within 1.015 of the theory" in gallery.planted.finding(tmp_path)
