"""`deep tensorboard`: exports the metrics of runs for TensorBoard."""

import argparse

from deep.cli.common import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    tensorboard = commands.add_parser("tensorboard", help="export the metrics of runs for TensorBoard",
                                      description="Write the metrics of each RUN to RUN/tensorboard.")
    tensorboard.add_argument("runs", nargs="+", metavar="RUN", help="run folders, begun or finished")


def run(options: argparse.Namespace) -> None:
    from deep.runs.folder import RunFolder
    from deep.runs.tensorboard import Mirror, available
    if not available():
        raise ValueError("tensorboard is not installed, and the export needs it: install the extra `tensorboard`, "
                         "pip install 'tensorboard>=2.14'.")
    folders = [RunFolder(path) for path in options.runs]
    histories = [folder.metrics() for folder in folders if folder.recipe()]  # recipe() refuses other folders
    for folder, history in zip(folders, histories, strict=True):
        mirror = Mirror(folder.path)
        mirror.update(history)
        mirror.close()
        print(mirror.folder)
