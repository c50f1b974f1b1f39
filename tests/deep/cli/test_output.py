"""What is printed: names cannot control the terminal, and no encoding loses what was computed."""

import io
import json
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from PIL import Image

from deep.__main__ import main as deep
from deep.cli.printing import say_markdown
from deep.evaluation.saliency.picture import short
from deep.system.messages import tell
from synthmodel.__main__ import main as synthmodel
from synthmodel.cli import commands
from synthmodel.system.terminal import complain, printable

NAMES = ["ca\x1b[31mt", "do\rg", os.fsdecode(b"b\xffrd")]
SHOWN = [r"ca\x1b[31mt", r"do\rg", r"b\udcffrd"]


def is_plain(text):
    return all(char.isprintable() or char == "\n" for char in text)


def printed_in_ascii(main, *words):
    """What a command prints under PYTHONIOENCODING=ascii; it must succeed."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with redirect_stdout(stream):
        assert main(list(words)) == 0
    stream.flush()
    return stream.buffer.getvalue().decode("ascii")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on images of three classes with such names, and the folder of the images."""
    folder = tmp_path_factory.mktemp("named")
    random = np.random.default_rng(0)
    for split, n in (("train", 4), ("test", 4)):
        for name in NAMES:
            (folder / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    words = ["data=folder", "model=cnn", "width=4", "mu=none", "sigma=none", "patch=none", "train_size=9", "val_size=3",
             "batch=9", "epochs=1", "eval_every=1", "steps=1", "eval_steps=1"]
    before = torch.get_num_threads()
    assert deep(["train", "planted-cnn", *words, "--data", str(folder), "--out", str(folder / "runs"),
                 "--threads", "1"]) == 0
    torch.set_num_threads(before)
    (path,) = (folder / "runs").iterdir()
    return str(path), str(folder)


def test_class_names_are_escaped(run):
    path, images = run
    text = printed_in_ascii(deep, "cas", path, "--checkpoint", "last", "--attack-seeds", "1", "--data", images)
    assert is_plain(text)
    assert all(name in text for name in SHOWN)
    assert r"\xb1" in text  # plus-minus


def test_json_holds_the_names_as_they_are(run):
    path, images = run
    words = ["cas", path, "--checkpoint", "last", "--attack-seeds", "1", "--data", images, "--json"]
    (found,) = json.loads(printed_in_ascii(deep, *words))
    assert sorted(found["classes"]) == sorted(NAMES)
    with open(os.path.join(path, "cas-last.json")) as file:
        assert json.load(file) == found


@pytest.mark.slow
def test_pictures_show_the_names(run):
    path, images = run
    text = printed_in_ascii(deep, "saliency", path, "--checkpoint", "last", "--data", images)
    assert is_plain(text)
    assert all(name in text for name in SHOWN)
    assert [short(name, 20) for name in NAMES] == SHOWN


def test_a_sentence_shows_the_names(run, capsys):
    path, images = run
    assert deep(["saliency", path, "--data", images, "--classes", "\x1b[2J"]) == 2
    err = capsys.readouterr().err
    assert is_plain(err)
    assert all(name in err for name in SHOWN)
    assert deep(["train", "\x1b[2J"]) == 2
    assert is_plain(capsys.readouterr().err)
    with pytest.raises(SystemExit):
        deep(["train", "at", "--\x1b[2J"])
    assert is_plain(capsys.readouterr().err)
    for say in (complain, tell):
        say("of class \x1b]0;title\x07")
        assert capsys.readouterr().err == "of class \\x1b]0;title\\x07\n"


def test_the_theory_prints_on_ascii(monkeypatch):
    monkeypatch.setitem(commands.COMMANDS, "accuracy", lambda options: {"ratio": "± \x1b[31m", "next": "line"})
    text = printed_in_ascii(synthmodel, "accuracy", "--eps", "0", "--ratio", "1")
    assert text == "ratio  \\xb1 \\x1b[31m\nnext   line\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_nothing_is_wider_than_it(tmp_path, monkeypatch, capsys):
    """A matrix of twelve classes in two parts, under their names; every other word is the same as elsewhere."""
    names = [f"class-{letter}" for letter in "abcdefghijkl"]
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "f.npz", features=rng.random((120, 5)), labels=np.arange(120) % 12,
             weight=rng.normal(size=(12, 5)), classes=names)
    words = ["cas", "--features", str(tmp_path / "f.npz")]
    monkeypatch.setenv("COLUMNS", "80")
    assert deep(words) == 0
    plain = capsys.readouterr().out
    screen = Terminal()
    with redirect_stdout(screen):
        assert deep(words) == 0
    shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 80 < max(map(len, plain.splitlines()))
    heads = [line.split() for line in shown.splitlines() if line.split()[0] == "class-"]
    assert [len(head) for head in heads] == [10, 2]
    assert shown.split("class-a shares")[1].split() == plain.split("class-a shares")[1].split()
    first = next(line for line in plain.splitlines() if line.split()[0] == "class-a").split()
    rows = [line.split() for line in shown.splitlines() if line.split()[0] == "class-a" and "shares" not in line]
    one, two = (row[1:] for row in rows)
    assert one + two == first[1:] and first[1] == "1.00"


def test_a_wide_table_becomes_paragraphs_on_a_terminal(monkeypatch, capsys):
    """And stays Markdown elsewhere, and where it fits."""
    lines = ["In words.", "", "| run | robust % | CAS |", "| --- | -------- | --- |", "| AT  | 47.1     |     |",
             "| LS  | 48.2     | 9.1 |", "", "- a line of words at the end"]
    for width, expected in ((None, lines), (30, lines), (23, [
            "In words.", "", "run: AT; robust %: 47.1", "run: LS; robust %: 48.2;", "    CAS: 9.1", "",
            "- a line of words at", "  the end"])):
        monkeypatch.setattr("deep.cli.printing.columns", lambda width=width: width)
        say_markdown(lines)
        assert capsys.readouterr().out.splitlines() == expected


def test_without_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert deep(["train", "unknown"]) == 2


def test_what_is_printable_stays():
    text = "Zürich 東京 ± é 🐈 a\tb\nc  d"
    assert printable(text) == text
    assert printable("\u202egpj\u200b\x85\x7f") == r"\u202egpj\u200b\x85\u007f"  # turned writing, no width, DEL
    assert json.loads(printable(json.dumps("\x7f"))) == "\x7f"


COMMANDS = ["deep recipes", "synthmodel thresholds", "deep --help", "synthmodel --help"]


def ended(command, stdout):
    """(status, what was said on standard error) of a command with this standard output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.run([sys.executable, "-m", *command.split()], stdout=stdout, stderr=subprocess.PIPE, text=True,
                             env=environment, timeout=300)
    return process.returncode, process.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_error(command):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert ended(command, writing) == (0 if "help" in command else 1, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("command", COMMANDS[:2])
def test_a_full_disk_is_said_once(command):
    with open("/dev/full", "w") as full:
        status, said = ended(command, full)
    assert status == 1 and said.count("\n") == 1 and "(No space left on device): choose another place." in said


@pytest.mark.parametrize("command", COMMANDS[:2])
def test_without_standard_output_nothing_is_said(command):
    words = f"exec {shlex.quote(sys.executable)} -m {command} >&-"
    process = subprocess.run(["sh", "-c", words], stderr=subprocess.PIPE, text=True, timeout=300)
    assert (process.returncode, process.stderr) == (0, "")
