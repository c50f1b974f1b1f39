"""Disks, files and folders that go wrong under a run: one sentence on the command line, and nothing finished is lost.

Where each case of "never lose a run, never trust a file" is tested:

| case | tests |
| --- | --- |
| disk full, read-only folder | here |
| checkpoint cut, with flipped bits, of another recipe, with code in it, of other images | here; test_train |
| two processes on one folder | here; test_train; test_sweep (real processes, one of them killed) |
| NaN in the weights | here; test_train |
| a pickle of images that would run code | test_data, test_image_sets (in archives); here, on the command line |
| labels out of range, image of the wrong size, half a JPEG | test_data, test_image_sets; here, on the command line |
| archives cut, flipped, hostile | test_archives |
| eps as a bare 8 | test_recipe, test_deep_cli, test_sweep (in a sweep's grid) |
| SIGKILL at any moment | test_kill, test_sweep |
"""

import errno
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch

import deep.system.files
import deep.system.lock
from deep.__main__ import main
from deep.data.planted import planted_images
from deep.recipe.recipe import recipe_named, run_name
from deep.runs.folder import RunFolder, load_checkpoint
from deep.system.files import write_atomically
from tests.support.layouts import cifar10_files, coded, folder_files, noise, pickled, write_tree

WORDS = ["planted-linear", "epochs=4", "train_size=500", "val_size=60", "batch=100", "eval_every=1"]
RECIPE = recipe_named(WORDS[0], WORDS[1:])
NAME = run_name(RECIPE)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DEEP_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True, scope="module")
def few_test_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deep.training.loop.planted_images", partial(planted_images, test_size=300))
        yield


def trained(out, *options):
    assert main(["train", *WORDS, "--out", str(out), *options]) == 0
    return out / NAME


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("undisturbed"))


def state_of(path):
    """What a checkpoint says but for times, as text that is equal for equal bits."""
    def plain(value):
        if isinstance(value, torch.Tensor):
            return [str(value.dtype), list(value.shape), value.flatten().view(torch.uint8).tolist()]
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items() if "second" not in str(key)}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value
    return json.dumps(plain(torch.load(path, weights_only=True)))


def assert_ends_as(undisturbed, out):
    """The same command continues the run, to the same last and best checkpoint."""
    run = trained(out)
    for name in ("last.pt", "best.pt"):
        assert state_of(run / name) == state_of(undisturbed / name)
    assert [line["epoch"] for line in RunFolder(run).metrics()] == [1, 2, 3, 4]
    assert not list(run.glob("*.tmp"))


def answer(capsys, status, *words):
    """The one sentence with which a command ends; epochs that were trained before may be told above it."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == status
    *before, sentence = capsys.readouterr().err.splitlines()
    assert all(line.startswith("epoch ") for line in before)
    assert sentence.startswith("deep: ")
    return sentence


@pytest.fixture(scope="module")
def third(tmp_path_factory):
    """The files of a run after its third epoch."""
    run = trained(tmp_path_factory.mktemp("third"), "--stop-after", "3")
    return {path.name: path.read_bytes() for path in run.iterdir()}


def laid_out(files, out):
    write_tree(out / NAME, files)
    return out / NAME


# --- disks ---

class FullDisk:
    """Every call that writes is counted, and from the n-th on the disk is full."""

    def __init__(self, monkeypatch, full_at, error=errno.ENOSPC):
        self.calls, self.full_at, self.error = 0, full_at, error
        monkeypatch.setattr(deep.system.files, "open", self.open, raising=False)
        monkeypatch.setattr(os, "fsync", self.counted(os.fsync))

    def counted(self, call):
        def counting(*arguments):
            self.calls += 1
            if self.calls >= self.full_at:
                raise OSError(self.error, os.strerror(self.error))
            return call(*arguments)
        return counting

    def open(self, path, mode="r"):
        file = open(path, mode)  # noqa: SIM115 - the caller closes it
        if mode == "xb":
            write = file.write

            class Writing:
                __enter__ = lambda _: self.file(file, write)  # noqa: E731
                __exit__ = lambda *_: file.close()  # noqa: E731
                fileno, close = file.fileno, file.close
            return Writing()
        return file

    def file(self, file, write):
        def half(content):
            self.calls += 1
            if self.calls >= self.full_at:
                write(content[:len(content) // 2])
                raise OSError(self.error, os.strerror(self.error))
            return write(content)
        return type("File", (), {"write": staticmethod(half), "flush": file.flush, "fileno": file.fileno})()


@pytest.mark.slow
def test_a_disk_that_fills_up_at_any_call(undisturbed, third, tmp_path, capsys, monkeypatch):
    """A run of three epochs is continued, and every call by which it writes is once the first that fails."""
    epochs = []
    with monkeypatch.context() as patch:
        total = FullDisk(patch, full_at=10**6)
        trained(laid_out(third, tmp_path / "counted").parent)
    assert total.calls >= 12  # metrics, environment, the checkpoint and the metrics again
    for full_at in range(1, total.calls + 1):
        out = tmp_path / str(full_at)
        run = laid_out(third, out)
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, full_at)
            sentence = answer(capsys, 1, "train", *WORDS, "--out", out)
        assert disk.calls == full_at
        assert f"deep: {run}" in sentence
        assert "cannot be read or written (No space left on device)" in sentence
        assert not list(run.glob("*.tmp"))  # the room that was left is given back
        epochs.append(load_checkpoint(run / "last.pt")["epoch"])
        assert_ends_as(undisturbed, out)
    assert epochs == sorted(epochs)
    assert (epochs[0], epochs[-1]) == (3, 4)


@pytest.mark.slow
def test_a_file_that_the_system_does_not_let_grow(undisturbed, tmp_path):
    """The system's own error in mid-write, by a limit on the size of files between a run's small ones and last.pt."""
    pytest.importorskip("resource")
    run = trained(tmp_path, "--stop-after", "2")
    size = (run / "last.pt").stat().st_size
    limit = (size + max(path.stat().st_size for path in run.iterdir() if path.suffix != ".pt")) // 2
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code = ("import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); from functools import partial; "
            "import deep.training.loop as loop; loop.planted_images = partial(loop.planted_images, test_size=300); "
            "from deep.__main__ import main; sys.exit(main(sys.argv[1:]))")
    process = subprocess.run([sys.executable, "-c", code, "train", *WORDS, "--out", str(tmp_path)],
                             capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3])
    assert process.returncode == 1
    assert process.stderr == (f"deep: {run / 'next.pt'} cannot be read or written (File too large): choose another "
                              "place.\n")
    for name in ("last.pt", "previous.pt", "metrics.jsonl", "recipe.json"):
        assert (run / name).read_bytes() == before[name]
    assert_ends_as(undisturbed, tmp_path)


@pytest.mark.slow
def test_a_disk_that_has_become_read_only(undisturbed, tmp_path, capsys, monkeypatch):
    run = trained(tmp_path, "--stop-after", "2")
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    def read_only(path, mode="r"):
        if mode in ("xb", "a"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open(path, mode)

    with monkeypatch.context() as patch:
        for module in (deep.system.files, deep.system.lock):
            patch.setattr(module, "open", read_only, raising=False)
        assert "(Read-only file system): choose another place." in answer(capsys, 1, "train", *WORDS, "--out", tmp_path)
        for words in ([], ["--json"]):  # what was computed is printed, and then that it could not be written
            capsys.readouterr()
            for command, counted in (("evaluate", "robust"), ("cas", "margin")):
                assert main([command, str(run), *words]) == 1
                out, sentence = capsys.readouterr()
                wanted = (['checkpoint": "best"', 'checkpoint": "last"'] if words
                          else ["best and last (epoch 2), planted"])
                assert [out.count(text) for text in wanted] == [1] * len(wanted)
                assert out.count(counted) >= len(wanted)
                assert sentence == (f"deep: {run / f'{command}-last.json'} cannot be read or written (Read-only file "
                                    "system): choose another place.\n")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert_ends_as(undisturbed, tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").touch()
    sentence = answer(capsys, 1, "train", *WORDS, "--out", tmp_path / "file" / "runs")
    assert "cannot be read or written (Not a directory)" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission(tmp_path, capsys):
    tmp_path.chmod(0o555)
    try:
        assert "(Permission denied)" in answer(capsys, 1, "train", *WORDS, "--out", tmp_path / "runs")
    finally:
        tmp_path.chmod(0o755)


def test_what_was_there_stays_when_a_writing_breaks_off(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def broken(file):
        file.write(b"half of the ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as error:
        write_atomically(path, broken)
    assert error.value.filename == str(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


# --- checkpoints ---

def positions(size, seed, n=20):
    return random.Random(seed).sample(range(size), n)


def damaged(content, how, position):
    if how == "cut":
        return content[:position]
    return content[:position] + bytes([content[position] ^ (1 << position % 8)]) + content[position + 1:]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_checkpoint_costs_an_epoch_at_most(undisturbed, third, tmp_path, capsys, how):
    noticed = 0
    for position in positions(len(third["last.pt"]), how):
        out = tmp_path / str(position)
        laid_out(third | {"last.pt": damaged(third["last.pt"], how, position)}, out)
        capsys.readouterr()
        assert_ends_as(undisturbed, out)
        err = capsys.readouterr().err
        noticed += "last.pt is not a readable checkpoint" in err and "Going on from the checkpoint before it." in err
    assert noticed == 20 if how == "cut" else noticed >= 15  # zeros between the tensors mean nothing


@pytest.mark.slow
def test_a_damaged_checkpoint_takes_no_good_one_from_its_place(undisturbed, third, tmp_path):
    """Going on from previous.pt, the next checkpoint replaces the damaged last.pt; so does a complete next.pt."""
    half = {"last.pt": third["last.pt"][:len(third["last.pt"]) // 2]}
    for name, files in (("again", half), ("renamed", half | {"next.pt": third["last.pt"]})):
        run = laid_out(third | files, tmp_path / name)
        trained(tmp_path / name, "--stop-after", "3")
        assert load_checkpoint(run / "last.pt")["epoch"] == 3
        assert (run / "previous.pt").read_bytes() == third["previous.pt"]
        assert not (run / "next.pt").exists()
        assert_ends_as(undisturbed, tmp_path / name)
        assert load_checkpoint(run / "previous.pt")["epoch"] == 3


def test_one_process_that_goes_on_keeps_the_good_checkpoint_and_later_ones(third, tmp_path):
    """Two epochs in one training after the damage: the second save again moves last.pt to previous.pt."""
    run = laid_out(third | {"last.pt": b""}, tmp_path)
    trained(tmp_path)
    assert [load_checkpoint(run / name)["epoch"] for name in ("last.pt", "previous.pt")] == [4, 3]


def torch_is_deceived(path, expected):
    """Whether torch.load by itself takes a damaged file for another checkpoint."""
    try:
        return state_of(path) != expected
    except Exception:  # it complains in many ways
        return False


@pytest.mark.slow
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_no_damage_gives_other_weights(third, tmp_path, name):
    """Any bit, a lost block, and what torch alone does not see."""
    path = tmp_path / name
    path.write_bytes(third[name])
    expected, unseen, noticed = state_of(path), 0, 0
    for position in positions(len(third[name]), 7, 300):
        path.write_bytes(damaged(third[name], "flipped", position))
        try:
            load_checkpoint(path)
        except ValueError as error:
            noticed += 1
            assert "is not a readable checkpoint" in str(error)
        else:
            assert state_of(path) == expected
            continue
        unseen += torch_is_deceived(path, expected)
    assert noticed >= 200
    assert unseen >= 100  # if torch begins to see them, load_checkpoint need not look
    for start in range(0, len(third[name]) - 512, 1024):
        block = third[name][start:start + 512]
        if block.strip(b"\0"):
            path.write_bytes(third[name][:start] + bytes(512) + third[name][start + 512:])
            with pytest.raises(ValueError, match="is not a readable checkpoint"):
                load_checkpoint(path)


@pytest.mark.slow
def test_bits_of_the_table_of_contents(third, tmp_path):
    """One flipped bit makes a tensor a directory, whose zeros torch would take for weights."""
    path = tmp_path / "best.pt"
    path.write_bytes(third["best.pt"])
    expected = state_of(path)
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    table = range(8 * start, 8 * len(third["best.pt"]))
    directory = [8 * match.start() + 8 * 38 + 4 for match in re.finditer(b"PK\x01\x02", third["best.pt"])]
    deceived = 0
    for bit in [*directory, *random.Random(0).sample(table, 1000)]:
        content = bytearray(third["best.pt"])
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            load_checkpoint(path)
        except ValueError:
            if bit in directory:
                deceived += torch_is_deceived(path, expected)
            continue
        assert state_of(path) == expected, bit
    assert deceived >= 1


def test_damage_on_the_command_line(undisturbed, third, tmp_path, capsys):
    middle = third["best.pt"].index(b"archive/data/2") + 200  # inside a tensor
    run = laid_out(third | {"best.pt": damaged(third["best.pt"], "flipped", middle)}, tmp_path)
    for command in ("evaluate", "cas"):
        sentence = answer(capsys, 2, command, run)
        assert f"{run / 'best.pt'} is not a readable checkpoint (BadZipFile): restore it from a copy" in sentence
    run = laid_out(third | {"last.pt": b"", "previous.pt": third["previous.pt"][:9000]}, tmp_path / "both")
    assert "last.pt is not a readable checkpoint" in answer(capsys, 2, "train", *WORDS, "--out", tmp_path / "both")
    (run / "last.pt").write_bytes(third["last.pt"])  # "restore it from a copy"
    assert_ends_as(undisturbed, tmp_path / "both")
    run = laid_out(third | {"environment.json": b'{"data'}, tmp_path / "environment")
    sentence = answer(capsys, 2, "train", *WORDS, "--out", tmp_path / "environment")
    assert "environment.json is not the JSON that was written there" in sentence
    (run / "environment.json").unlink()  # "or move it away"
    assert_ends_as(undisturbed, tmp_path / "environment")


@pytest.mark.parametrize("content", [[1], {"epoch": 1}, "text"])
def test_a_file_of_torch_that_is_no_checkpoint(undisturbed, third, tmp_path, capsys, content):
    run = laid_out(third, tmp_path)
    torch.save(content, run / "last.pt")
    assert_ends_as(undisturbed, tmp_path)
    assert "is a file of torch but no checkpoint of a run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_crash_before_the_last_renaming(undisturbed, tmp_path):
    """The newest checkpoint, complete, is still called next.pt: it becomes last.pt, though nothing is left to train."""
    for missing in (False, True):
        run = trained(tmp_path / str(missing))
        (run / "last.pt").rename(run / "next.pt")
        if not missing:
            (run / "previous.pt").rename(run / "last.pt")
        assert_ends_as(undisturbed, tmp_path / str(missing))
        assert not (run / "next.pt").exists()
        assert load_checkpoint(run / "previous.pt")["epoch"] == 3


def test_a_checkpoint_that_would_run_code(undisturbed, third, tmp_path, capsys):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    run = laid_out(third, tmp_path)
    for name in ("last.pt", "best.pt"):
        torch.save(load_checkpoint(run / name) | {"model": Bomb()}, run / name)
    assert "best.pt is not a readable checkpoint" in answer(capsys, 2, "evaluate", run)
    assert trained(tmp_path) == run
    assert "last.pt is not a readable checkpoint" in capsys.readouterr().err
    assert state_of(run / "last.pt") == state_of(undisturbed / "last.pt")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_recipe_or_of_other_images(undisturbed, third, tmp_path, capsys):
    run = laid_out(third, tmp_path)
    state = load_checkpoint(run / "last.pt")
    torch.save(state | {"recipe": state["recipe"] | {"lr": 0.5}}, run / "last.pt")
    sentence = answer(capsys, 2, "train", *WORDS, "--out", tmp_path)
    assert "the checkpoint belongs to another recipe: choose another run folder." in sentence
    torch.save(state | {"data": "0" * 64}, run / "last.pt")
    assert "the training images are not those" in answer(capsys, 2, "train", *WORDS, "--out", tmp_path)
    torch.save(state, run / "last.pt")
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"lr": 0.5}))
    assert "holds a run of another recipe" in answer(capsys, 2, "train", *WORDS, "--out", tmp_path)
    (run / "recipe.json").write_text(json.dumps(recipe))
    assert_ends_as(undisturbed, tmp_path)


def test_nan_in_the_weights(undisturbed, third, tmp_path, capsys):
    run = laid_out(third, tmp_path)
    state = load_checkpoint(run / "last.pt")
    good = (run / "last.pt").read_bytes()
    state["model"]["linear.weight"][0, 0] = torch.nan
    torch.save(state, run / "last.pt")
    for command in ("evaluate", "cas"):
        sentence = answer(capsys, 2, command, run, "--checkpoint", "last")
        assert "not finite numbers" in sentence
        assert not list(run.glob(f"{command}-*.json"))
    assert "the training diverged (no finite loss) at step 1 of epoch 4" in answer(capsys, 1, "train", *WORDS, "--out",
                                                                                   tmp_path)
    (run / "last.pt").write_bytes(good)
    assert_ends_as(undisturbed, tmp_path)


# --- folders and images ---

def test_a_folder_in_use(undisturbed, third, tmp_path, capsys):
    run = laid_out(third, tmp_path)
    other = RunFolder(run)
    other.open_for_training(RECIPE)
    sentence = answer(capsys, 2, "train", *WORDS, "--out", tmp_path)
    assert sentence == f"deep: {run} is being trained by another process: wait for it, or choose another folder."
    assert main(["evaluate", str(run), "--attack-steps", "1"]) == 0  # to read is allowed
    other.close()
    assert_ends_as(undisturbed, tmp_path)


BATCH = "cifar-10-batches-py/data_batch_2"
JPEG = coded(noise(1)[0], "jpeg")


class Eval:
    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize(("data", "changes", "sentence"), [
    ("cifar10", {BATCH: pickled(data=noise(20).reshape(20, -1), labels=[10] * 20)}, "holds labels outside 0..9"),
    ("cifar10", {BATCH: pickled(data=noise(20).reshape(20, -1)[:, :-3], labels=[1] * 20)}, "n images of 3 x 32 x 32"),
    ("cifar10", {BATCH: pickled(data=Eval())}, "only numpy arrays and plain containers are admitted"),
    ("folder", {"train/cat/half.jpg": JPEG[:len(JPEG) // 2]}, "train/cat/half.jpg is cut or damaged"),
    ("folder", {"train/cat/large.png": coded(noise(1, 64)[0])}, "large.png has 64 x 64 pixels, but 32 x 32 are needed"),
])
def test_images_that_cannot_be_trusted(tmp_path, capsys, data, changes, sentence):
    files = {"cifar10": cifar10_files, "folder": folder_files}[data]() | changes
    write_tree(tmp_path / "images", files)
    words = ["train", "at-cpu", f"data={data}", "train_size=8", "val_size=3", "--data", tmp_path / "images", "--out",
             tmp_path / "runs"]
    assert sentence in answer(capsys, 2, *words)
    assert not (tmp_path / "runs").exists()
