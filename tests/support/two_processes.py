"""The trainings that one process and two must agree on: `torchrun --nproc-per-node=2 two_processes.py OUT CIFAR`.

After them another, OUT/stopped, is stopped in epoch 2, and goes on by `two_processes.py OUT/stopped --continue`.
"""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from deep.data.dataset import Split
from deep.recipe.recipe import recipe_named
from deep.system.processes import joined
from deep.training.loop import Interrupted, load_data, train

PLANTED = ["planted-cnn", "epochs=2", "train_size=204", "val_size=33", "batch=50", "width=2", "eval_every=1", "steps=2",
           "random_start=true"]
# batches of 33 images are shared as 16 and 17, the last of 15 as 7 and 8
REAL = ["at-cpu", "epochs=2", "train_size=81", "val_size=30", "batch=33", "width=2", "eval_every=2", "steps=2",
        "eval_steps=2", "bf16=false"]
SYSTEMS = {
    "preactresnet": REAL,
    # the last of the evaluation's batches, of 256, has one image for two processes
    "bf16": [*REAL, "bf16=true", "epochs=1", "eval_every=1", "val_size=257", "train_size=8", "batch=8", "steps=1",
             "norm=l2", "eps=128/255", "step=16/255"],
    "train mode": [*REAL, "attack_mode=train", "epochs=1", "eval_every=1"],
    "trades": [*REAL, "method=trades", "beta=6", "epochs=1", "eval_every=1"],
    "wideresnet": [*REAL, "model=wideresnet", "depth=10", "width=4", "epochs=1", "eval_every=1", "norm=l2",
                   "eps=128/255", "step=16/255"],
    "no batch norm": PLANTED,
    "largest": [*PLANTED, "trim=1/5"],
    "random": [*PLANTED, "trim=1/5", "trim_kind=random", "clip=1.2"],
    "average": [*PLANTED, "average=ema", "average_decay=0.9", "teacher=average", "teacher_share=0.5"],
    "one step": [*PLANTED, "gradient_norm=0.1", "schedule=cyclic", "smoothing=0.1", "probe_steps=2", "select=test"],
}


def small(data):
    return replace(data, test=Split(data.test.images[:65], data.test.labels[:65]))


def train_all(out, cifar, device="cpu", world=None):
    """In float64, so that the sign of a gradient does not hang on rounding; what is in bfloat16 is not."""
    try:
        for name, (recipe, *changes) in SYSTEMS.items():
            torch.set_default_dtype(torch.float32 if name == "bf16" else torch.float64)
            recipe = recipe_named(recipe, changes)
            train(recipe, small(load_data(recipe, cifar)), out, device=device, folder=Path(out, name), world=world)
    finally:
        torch.set_default_dtype(torch.float32)


def train_stopped(folder, stop=None, world=None, stop_after=None):
    """Three epochs of five steps in float64; after step 3 of epoch 2, stop(), which brings this process a SIGTERM."""
    came = []

    def progress(training):
        if (training.epoch, training.step) == (0, 1):
            handler = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, lambda *signalled: came.append(handler(*signalled)))
        if stop and (training.epoch, training.step) == (1, 3):
            stop()
            deadline = time.monotonic() + 120
            while not came:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    torch.set_default_dtype(torch.float64)
    try:
        recipe = recipe_named(PLANTED[0], [*PLANTED[1:], "epochs=3"])
        return train(recipe, small(load_data(recipe)), folder, folder=folder, world=world, progress=progress,
                     stop_after=stop_after)
    finally:
        torch.set_default_dtype(torch.float32)


def stop_torchrun(world):
    """SIGTERM as from a user or SLURM: to torchrun, which sends it on to its processes."""
    if world.rank == 0:
        os.kill(os.getppid(), signal.SIGTERM)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, what = sys.argv[1:]
    with joined("cpu") as (world, device):
        if what == "--continue":
            train_stopped(Path(folder), world=world, stop_after=2)
        else:
            train_all(folder, what, device, world)
            try:
                train_stopped(Path(folder, "stopped"), lambda: stop_torchrun(world), world)
            except Interrupted as interrupted:
                Path(f"{folder}-status-{world.rank}").write_text(str(interrupted.status))
