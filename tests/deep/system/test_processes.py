"""Several processes train what one trains: the same losses, and no hang when one of them dies."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import nn

from deep.attacks.pgd import Attack, Rows, pgd
from deep.recipe.recipe import recipe_named
from deep.runs.folder import RunFolder
from deep.system.processes import Alone, Processes, SyncedBatchNorm, joined
from deep.training.benchmark import random_data
from deep.training.loop import Interrupted, train
from deep.training.losses import batch_loss, samples_kept
from tests.conftest import until
from tests.support.two_processes import SYSTEMS, train_all, train_stopped

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d",
            "--rdzv-endpoint=localhost:0"]
WORDS = ["train", "planted-cnn", "train_size=2000", "val_size=60", "batch=50", "width=2", "steps=2", "eval_every=100"]


class Second(Alone):
    rank, size = 1, 2


def launch(*words, **more):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*TORCHRUN, *map(str, words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment, cwd=Path(__file__).parents[3], **more)


@pytest.fixture(scope="module")
def both(cifar, tmp_path_factory):
    """The folders of the same trainings in one process and in two, and of one that both were told to stop."""
    out = tmp_path_factory.mktemp("processes")
    process = launch("-m", "tests.support.two_processes", out / "two", cifar)
    train_all(out / "one", cifar)
    _, errors = process.communicate(timeout=600)
    assert [path.read_text() for path in sorted(out.glob("two-status-*"))] == ["143", "143"], errors
    return out / "one", out / "two"


def assert_close(ours, theirs):
    """The same weights up to the rounding of float64."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert (ours[key] - value).abs().max() <= 1e-9 * max(1, value.abs().max()), key


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_two_processes_have_the_losses_of_one(both, name):
    one, two = (RunFolder(folder / name) for folder in both)
    if name == "bf16":  # to its rounding, before there is anything for it to grow in
        (ours,), (theirs,) = one.metrics(), two.metrics()
        assert ours.keys() == theirs.keys() and theirs["n_val"] == 257
        assert theirs["train_loss"] == pytest.approx(ours["train_loss"], rel=0.02)
        return
    for ours, theirs in zip(one.metrics(), two.metrics(), strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            if "second" not in key:
                assert theirs[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9)), key
    assert_close(two.model_state("last")["model"], one.model_state("last")["model"])
    assert one.model_state("best")["epoch"] == two.model_state("best")["epoch"]
    for run, processes in ((one, 1), (two, 2)):
        environment = json.loads((run.path / "environment.json").read_text())
        assert environment["sessions"][0]["processes"] == processes


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"^the device cuda:0 cannot be used here"), joined("cuda"):
        pass


def test_rows_are_shared_out_in_order():
    class One(Alone):
        size = 3

    shares = []
    for One.rank in range(3):
        shares.append(One().rows(8))
    assert shares == [(0, 2), (2, 5), (5, 8)]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("near", [None, 0.01])
def test_rows_get_the_random_start_that_they_get_in_the_whole_batch(norm, near):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    x, y = torch.rand(7, 3, 2, 2), torch.arange(7) % 3
    attack = Attack(Fraction(1, 10), Fraction(1, 100), 1, norm=norm, near=near)
    whole = pgd(model, x, y, attack, torch.Generator().manual_seed(4))
    for begin, end in ((0, 3), (3, 7), (7, 7)):
        rows = Rows(torch.Generator().manual_seed(4), begin, 7)
        assert torch.equal(pgd(model, x[begin:end], y[begin:end], attack, rows), whole[begin:end])


@pytest.mark.parametrize("kind", ["largest", "random"])
def test_what_is_dropped_is_decided_in_the_whole_batch(kind):
    losses = torch.randn(10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    generator = lambda: torch.Generator().manual_seed(1)  # noqa: E731 - the same for each process
    kept = samples_kept(losses, 0.3, kind, generator())
    parts = [batch_loss(losses[begin:end], 0.5, 0.3, kind, generator(), losses.detach(), begin)
             for begin, end in ((0, 3), (3, 10))]
    assert sum(parts).item() == pytest.approx(losses[kept].clamp(max=0.5).mean().item())
    sum(parts).backward()
    assert torch.equal(losses.grad != 0, torch.isin(torch.arange(10), kept) & (losses < 0.5))


@pytest.fixture
def world_of_one(tmp_path):
    """A process group of this process alone, which SyncedBatchNorm sums over."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_synced_batch_norm_is_batch_norm(world_of_one):
    """In one process; in two, by the trainings above."""
    plain = nn.BatchNorm2d(3, eps=1e-3, momentum=0.3).double()
    nn.init.normal_(plain.weight), nn.init.normal_(plain.bias)
    synced = SyncedBatchNorm(3, eps=1e-3, momentum=0.3).double()
    synced.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64) * 3 + 1
    seen = []
    for layer in (plain, synced):
        z = x.clone().requires_grad_()
        (layer(z).sin() * x).sum().backward()
        layer.eval()
        seen.append([z.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var, layer(x)])
    for ours, theirs in zip(*seen, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_a_weight_that_the_loss_does_not_use_keeps_no_gradient_and_stops_nothing(world_of_one):
    """Step after step the gradients are those of the plain network, also where its images pass through it twice."""
    plain = nn.Linear(3, 2).double()
    plain.spare = nn.Parameter(torch.ones(4))
    other = copy.deepcopy(plain)
    world = Processes()
    network = world.parallel(other)
    assert network.module is other  # what an attack goes through
    for step in range(3):
        x = torch.randn(5, 3, dtype=torch.float64)
        for model, run, backward in ((plain, plain, Alone().backward), (other, network, world.backward)):
            model.zero_grad()
            backward((run(x) * run(x + step)).sum())
        assert torch.equal(other.weight.grad, plain.weight.grad) and torch.equal(other.bias.grad, plain.bias.grad)
        assert other.spare.grad is None


def process_of_rank(rank, parent):
    """The process that torchrun, `parent`, started as `rank`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (f"RANK={rank}".encode() in (folder / "environ").read_bytes().split(b"\0")
                    and f"PPid:\t{parent}\n" in (folder / "status").read_text()):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError(f"no process of rank {rank}")


def run_folder(out):
    (path,) = Path(out).iterdir()
    return RunFolder(path)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc to find the process of a rank")
@pytest.mark.parametrize(("rank", "words"), [
    (0, WORDS), (1, ["train", "at-cpu", "width=2", "train_size=64", "batch=32", "val_size=10", "eval_every=1000",
                     "steps=2"])])  # without and with batch norm
def test_a_killed_process_ends_the_training_with_a_sentence(cifar, tmp_path, rank, words):
    process = launch("-m", "deep", *words, "epochs=1000", "keep_every=2", "--out", tmp_path, "--data", cifar)
    # the metrics of an epoch are written after its last.pt
    until(lambda: any(path.read_text().count("\n") >= 2 for path in tmp_path.glob("*/metrics.jsonl")), process)
    os.kill(process_of_rank(rank, process.pid), signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.count("deep: another process of this training has ended") == 1
    assert "signal 15 stopped" not in errors  # which torchrun sends to the one that is left
    assert "Signal 9 (SIGKILL)" in errors
    state, complaint = run_folder(tmp_path).resume()
    assert 1000 > state["epoch"] >= 2 and complaint is None


@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_of_all_and_one_process_goes_on_from_it(both, tmp_path):
    """Two processes are stopped in epoch 2 and finish it, one trains epoch 3: all as in one process, in float64."""
    shutil.copytree(both[1] / "stopped", tmp_path / "two")
    with pytest.raises(Interrupted):
        train_stopped(tmp_path / "one", lambda: os.kill(os.getpid(), signal.SIGTERM))
    two, one = (RunFolder(tmp_path / name).resume()[0] for name in ("two", "one"))
    assert (two["epoch"], two["step"]) == (one["epoch"], one["step"]) == (1, 3)
    assert two["totals"].tolist() == pytest.approx(one["totals"].tolist(), rel=1e-9)  # losses, correct, bad, steps
    assert_close(two["model"], one["model"])

    again = launch("-m", "tests.support.two_processes", tmp_path / "two", "--continue")
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    two, one = train_stopped(tmp_path / "two"), train_stopped(tmp_path / "whole")
    assert_close(two.model_state("last")["model"], one.model_state("last")["model"])
    for ours, theirs in zip(one.metrics(), two.metrics(), strict=True):
        for key in ("train_loss", "train_robust", "robust", "cas"):
            assert theirs[key] == pytest.approx(ours[key], rel=1e-9), key
    sessions = json.loads((two.path / "environment.json").read_text())["sessions"]
    assert [(session["from_epoch"], session["processes"]) for session in sessions] == [(0, 2), (1, 2), (2, 1)]


@pytest.mark.slow
def test_what_the_first_process_refuses_all_refuse(tmp_path):
    (tmp_path / "file").write_text("")
    process = launch("-m", "deep", *WORDS, "epochs=1", "--out", tmp_path / "file")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.count("deep: ") == 2  # each process says so: none waits for the other


def test_what_cannot_be_shared_is_refused_before_there_is_a_folder(tmp_path):
    recipe = recipe_named("at-cpu", ["width=2", "batch=64", "bf16=false"])
    with pytest.raises(ValueError, match=r"^the last batch of an epoch has 1 of 129 images for 2 processes"):
        train(recipe, random_data(129), tmp_path, world=Second())
    with pytest.raises(ValueError, match=r"^compile = true was given with 2 processes, but only one"):
        train(recipe_named("at-cpu", ["width=2", "compile=true"]), random_data(128), tmp_path, world=Second())
    assert not list(tmp_path.iterdir())


def test_the_first_bad_step_of_all_is_named():
    class Two(Processes):
        def __init__(self, *others):
            self.others = others

        def gather(self, value):
            return [value, *map(torch.tensor, self.others)]

    mine = torch.tensor([1.0, 2.0, 4.0, 9.0])
    assert Two([10.0, 20.0, 3.0, 9.0]).add_totals(mine).tolist() == [11, 22, 3, 9]
    assert Two([10.0, 20.0, 0.0, 9.0]).add_totals(mine).tolist() == [11, 22, 4, 9]
