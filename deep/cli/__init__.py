"""The commands of `deep`, one module each: `add(commands)` describes it, `run(options)` does it.

`continues(options)`: what the same command does after a signal, if it does not begin again; not every module has it.

Nothing here imports torch before a command runs, so that `deep --help` is there at once.
"""

from deep.cli import bench, confirm, export, recipes, reproduce, sweep, tensorboard, train
from deep.cli.measure import cas, evaluate, saliency

__all__ = ["COMMANDS"]

COMMANDS = (train, recipes, sweep, reproduce, evaluate, cas, confirm, saliency, export, tensorboard, bench)
