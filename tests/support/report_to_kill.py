"""The networks of a report, two tiny ones by one worker: `python -m tests.support.report_to_kill FOLDER`.

Where FOLDER/hold exists, each training stands still after two epochs, until it is killed.
"""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from figures.networks import planted

WORDS = ["epochs=4", "train_size=200", "val_size=30", "batch=100", "eval_every=1", "eps=0.1"]
original = planted.measured


def measured(network, words, runs):
    import deep.training.loop
    train = deep.training.loop.train

    def hold(training):
        while training.epoch == 2 and (runs.parent / "hold").exists():
            time.sleep(0.05)
    deep.training.loop.train = lambda recipe, data, out: train(recipe, data, out, progress=hold)
    try:
        return original(network, words, runs)
    finally:
        deep.training.loop.train = train


if __name__ == "__main__":
    from tests.support import report_to_kill
    planted.measured = report_to_kill.measured  # by a name that a new process can import
    planted.jobs = lambda: [("linear", [*WORDS, f"seed={seed}"]) for seed in range(2)]
    os.sched_getaffinity = lambda process: {0}
    planted.solve = lambda *setting: SimpleNamespace(ratio=0.5)  # the curves are not what is tried here
    planted.compute(Path(sys.argv[1]))
