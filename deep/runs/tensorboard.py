"""TensorBoard, for those who have it: RUN/tensorboard mirrors the metrics of a run, and nothing reads it back.

Needs the extra `tensorboard`, imported on use. metrics.jsonl has everything that is shown.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.system.messages import tell

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Mirror", "available", "mirrored"]

SUFFIX = ".deep"  # of our event files: nobody else's are touched


def available() -> bool:
    """Return whether torch can write for TensorBoard here."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except Exception:  # not installed, or at odds with the protobuf or numpy beside it, which may raise anything
        return False
    return True


class Mirror:
    """Writes each number of the metrics as a scalar, with the epoch as its step.

    A resumed run has epochs that an earlier process wrote, perhaps with some that a crash took back. The first update
    therefore begins a new event file with the whole history, tells TensorBoard to forget everything before it
    (purge_step), and empties the older files: there are never two points for an epoch. (They are not removed, because
    a TensorBoard that is reading one would never go on to the next.)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder) / "tensorboard"
        self.writer: SummaryWriter | None = None
        self.written = 0

    def update(self, history: list[dict[str, Any]]) -> None:
        """Write the lines of `history`, a list of dictionaries with the key epoch, that are not yet written."""
        from torch.utils.tensorboard import SummaryWriter
        older = []
        if self.writer is None:
            older = list(self.folder.glob(f"events.out.tfevents.*{SUFFIX}"))
            self.writer = SummaryWriter(self.folder, purge_step=1, filename_suffix=SUFFIX)
        for line in history[self.written:]:
            for key, value in line.items():
                if isinstance(value, int | float) and key != "epoch":
                    self.writer.add_scalar(key, value, line["epoch"])
        self.written = len(history)
        self.writer.flush()
        for path in older:
            os.truncate(path, 0)

    def close(self) -> None:
        if self.writer is not None:
            with suppress(Exception):  # a full disk: what is missing is in metrics.jsonl
                self.writer.close()


def mirrored(progress: Callable[[Any], None] | None, mirror: Mirror) -> Callable[[Any], None]:
    """Return a progress callback for `deep.training.loop.train` that also updates the mirror after each epoch.

    Whatever goes wrong with the mirror is told once, and ends it, not the training.
    """
    broken = False

    def both(training: Any) -> None:
        nonlocal broken
        if progress:
            progress(training)
        if training.step == 0 and training.history and not broken:
            try:
                mirror.update(training.history)
            except Exception as error:
                broken = True
                tell(f"deep: TensorBoard is not written any more ({error}); metrics.jsonl is.")

    return both
