"""The trainings that one process and two must agree on: `torchrun --nproc-per-node=2 two_processes.py OUT CIFAR`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from deep.data import Split
from deep.distributed import joined
from deep.recipe import recipe_named
from deep.train import load_data, train

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


def train_all(out, cifar, device="cpu", world=None):
    """In float64, so that the sign of a gradient does not hang on rounding; what is in bfloat16 is not."""
    try:
        for name, (recipe, *changes) in SYSTEMS.items():
            torch.set_default_dtype(torch.float32 if name == "bf16" else torch.float64)
            recipe = recipe_named(recipe, changes)
            data = load_data(recipe, cifar)
            data = replace(data, test=Split(data.test.images[:65], data.test.labels[:65]))
            train(recipe, data, out, device=device, folder=Path(out, name), world=world)
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu") as (world, device):
        train_all(*sys.argv[1:], device, world)
