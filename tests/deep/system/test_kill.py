"""SIGKILL at twenty random moments of a training, ten of them inside the writing of a file: nothing of it shows.

One process (`main`, started by the test) has loaded torch and the images and trained nothing; it forks the trainings
that are killed. So a kill costs a tenth of a second, and not the start of Python and torch.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import deep.evaluation.accuracy
import deep.runs.folder
import deep.system.files
from deep.data.dataset import Split
from deep.networks.registry import register
from deep.recipe.recipe import recipe_named
from deep.training.loop import Interrupted, load_data, train
from tests.support.wrapped import Wrapped

# Batch norm, momentum, crops, mirror images, random starts, an average and a teacher: whatever has a state of its own.
WORDS = ["model=small", "width=none", "patch=2", "epochs=4", "train_size=80", "val_size=20", "batch=20",
         "eval_every=1", "eval_steps=1", "padding=1", "flip=true", "random_start=true", "lr=0.02", "weight_decay=1e-3",
         "average=ema", "average_decay=0.9", "average_from=1/4",
         "teacher=self", "teacher_share=0.5", "teacher_from=1/4"]


def digest(state):
    """A hash of all that is in a checkpoint but the clock's times."""
    found = hashlib.sha256()

    def add(value):
        if isinstance(value, dict):
            for key in value:
                if "second" not in str(key):
                    found.update(repr(key).encode())
                    add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        elif isinstance(value, torch.Tensor):
            found.update(value.flatten().view(torch.uint8).numpy().tobytes())
        else:
            found.update(repr(value).encode())

    add(state)
    return found.hexdigest()


def count_writing(kill_at=None, after=None):
    """Count the calls that write a run folder's files, from now on; SIGKILL in the middle of the one asked for.

    after: nothing is counted until after() is true.
    """
    calls = Counter()

    def counted(name, call):
        def counting(*arguments, **options):
            if after is None or after():
                calls["all"] += 1
                if calls["all"] == kill_at:
                    if name == "write":
                        file, content = arguments
                        call(file, content[:len(content) // 2])
                        file.flush()
                    (Path.cwd() / "killed-in").write_text(name)
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)
        return counting

    def writing(file, content):
        return counted("write", type(file).write)(file, content)

    def opened(path, mode="r"):
        file = open(path, mode)  # noqa: SIM115 - the caller's
        return Wrapped(file, writing) if "x" in mode else file

    deep.system.files.open = opened
    os.fsync, os.replace = counted("fsync", os.fsync), counted("replace", os.replace)
    return calls


def small(recipe, shape, classes):
    """The smallest network with batch norm: what is killed here is the training around it."""
    return nn.Sequential(nn.Conv2d(shape[0], 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(4, classes))


def main(folder):
    """Print the outcome of every kill as JSON: how it came, and the hash of the run's last checkpoint in the end."""
    torch.set_num_threads(1)  # a pool of threads would be lost in a fork
    register("small", needs=())(small)
    recipe = recipe_named("planted-cnn", WORDS)
    data = load_data(recipe)
    data = replace(data, test=Split(data.test.images[:12], data.test.labels[:12]))
    rng = random.Random(0)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first one loads the compiler, for seconds

    def child(name, kill_at=None, interrupt=None, evaluation=None):
        """Train in folder/name in a process of its own; interrupt: the (epoch, step) that sends itself SIGTERM.

        evaluation: kill it in the evaluation of this epoch.
        """
        number = os.fork()
        if number:
            return number
        status, interrupted = 1, []
        try:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

            def progress(training):
                if (training.epoch, training.step) == interrupt:
                    interrupted.append(True)
                    os.kill(os.getpid(), signal.SIGTERM)

            measure = deep.evaluation.accuracy.measure

            def measured(*arguments, seed, **options):
                if seed == evaluation:
                    os.kill(os.getpid(), signal.SIGKILL)
                return measure(*arguments, seed=seed, **options)

            deep.evaluation.accuracy.measure = measured
            calls = count_writing(kill_at, after=interrupt and interrupted.__len__)
            train(recipe, data, folder, folder=folder / name, progress=progress)
            (folder / "calls").write_text(str(calls["all"]))
            status = 0
        except Interrupted:
            status = 143
        finally:
            os._exit(status)

    def ended(number):
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

    def final(name):
        if ended(child(name)) != 0:
            return None
        run = deep.runs.folder.RunFolder(folder / name)
        assert len(run.metrics()) == recipe.epochs
        assert not list((folder / name).glob("*.tmp"))
        return digest([deep.runs.folder.load_checkpoint(folder / name / f"{which}.pt") for which in ("last", "best")])

    outcomes = []
    for name in ("whole", "other"):  # twice: the hash is one of the training, not of the day
        began = time.monotonic()
        outcomes.append({"kill": None, "final": final(name)})
        length = time.monotonic() - began
        total = int((folder / "calls").read_text())
    for k in range(5):  # at a random time, twice in each of five runs
        for _ in range(2):
            number = child(f"time{k}")
            time.sleep(rng.uniform(0, 0.6 * length))
            os.kill(number, signal.SIGKILL)
            outcomes.append({"kill": "time", "status": ended(number)})
        outcomes[-1]["final"] = final(f"time{k}")
    for k, at in enumerate(rng.sample(range(1, total), 6)):  # inside a call that writes
        outcomes.append({"kill": "write", "at": at, "status": ended(child(f"write{k}", kill_at=at)),
                         "in": (folder / "killed-in").read_text(), "final": final(f"write{k}")})
    for k, at in enumerate(rng.sample(range(1, 6), 4)):  # inside the checkpoint that SIGTERM asks for in mid-epoch
        step = (rng.randrange(1, 4), rng.randrange(1, 4))
        outcomes.append({"kill": "sigterm", "at": at, "status": ended(child(f"term{k}", at, step)),
                         "in": (folder / "killed-in").read_text(), "final": final(f"term{k}")})
    for epoch in (1, 4):
        status = ended(child(f"evaluation{epoch}", evaluation=epoch))
        state = deep.runs.folder.load_checkpoint(folder / f"evaluation{epoch}" / "last.pt")
        outcomes.append({"kill": "evaluation", "status": status, "last": [state["epoch"], state["step"]],
                         "final": final(f"evaluation{epoch}")})
    print(json.dumps(outcomes))


@pytest.mark.slow
def test_no_kill_shows_in_the_final_weights(tmp_path):
    process = subprocess.run([sys.executable, "-m", "tests.deep.system.test_kill", str(tmp_path)],
                             capture_output=True, text=True,
                             timeout=900, cwd=Path(__file__).parents[3])
    assert process.returncode == 0, process.stderr
    whole, *others = json.loads(process.stdout)
    evaluations = [outcome for outcome in others if outcome["kill"] == "evaluation"]
    assert [outcome["status"] for outcome in evaluations] == [-signal.SIGKILL] * 2
    assert [outcome["last"] for outcome in evaluations] == [[0, 4], [3, 4]]  # what is evaluated is there
    kills = [outcome for outcome in others if outcome["kill"] not in (None, "evaluation")]
    assert len(kills) == 20
    assert whole["final"] is not None
    assert {outcome["final"] for outcome in others if "final" in outcome} == {whole["final"]}
    # a kill at a random time may come after the end of a run; those inside a write hit, each kind of call
    assert sum(kill["status"] == -signal.SIGKILL for kill in kills) >= 15
    assert all(kill["status"] == -signal.SIGKILL for kill in kills if kill["kill"] != "time")
    assert {kill["in"] for kill in kills if "in" in kill} == {"write", "fsync", "replace"}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
