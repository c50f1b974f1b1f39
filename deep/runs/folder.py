"""A run folder: recipe.json, metrics.jsonl, checkpoints `last`, `previous`, `best`, environment.json.

Every file is written beside its place, synced and renamed, so that a crash leaves the old one or the new one.
"""

import io
import json
import os
import platform
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from deep.data.dataset import Data
from deep.recipe.recipe import Recipe, kept_name, read_recipe
from deep.runs.checkpoint import check_archive, whole
from deep.system.files import commit, write_atomically, write_text
from deep.system.lock import InUse, Lock
from deep.system.reading import from_json

__all__ = ["InUse", "RunFolder", "commit", "load_checkpoint", "write_atomically"]


def packed(state: Any) -> bytes:
    """Return the bytes that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()  # no copy; a view of the buffer would have to be released before it


def save(path: Path, state: Any) -> None:
    """Write by torch.save, atomically; through memory, because torch makes its own RuntimeError of a full disk."""
    content = packed(state)
    write_atomically(path, lambda file: file.write(content))


def load_checkpoint(path: str | Path) -> Any:
    """Load tensors and plain containers only; ValueError names a file that is cut, corrupt or something else."""
    try:
        with open(path, "rb") as file:
            check_archive(file)
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage with half a dozen exception types
        raise ValueError(f"{path} is not a readable checkpoint ({type(error).__name__}): restore it from a copy, "
                         "or remove it to go on from the one before.") from error


def run_checkpoint(path: Path) -> dict[str, Any]:
    """Load a file that must be a checkpoint of a run."""
    state = load_checkpoint(path)
    if not isinstance(state, dict) or not {"model", "epoch"} <= state.keys():
        raise ValueError(f"{path} is a file of torch but no checkpoint of a run: restore it from a copy.")
    return state


class RunFolder:
    """The files of one run. A folder is continued, never overwritten; one process at a time may train in it.

    >>> RunFolder("no/such/run").recipe()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: no/such/run is not a run folder...
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.lock = Path(path), Lock(Path(path) / "lock")
        self.last_is_damaged = False  # if `resume` finds it so

    def open_for_training(self, recipe: Recipe) -> None:
        """Create the folder, or check that it holds this very recipe; lock it for this process."""
        self.path.mkdir(parents=True, exist_ok=True)
        for _ in range(5):  # `in_use` holds the lock for an instant, which must not be taken for a training
            if self.lock.acquire(wait=False):
                break
            time.sleep(0.02)
        else:
            raise InUse(f"{self.path} is being trained by another process: wait for it, or choose another folder.")
        if (self.path / "recipe.json").exists():
            if self.recipe() != recipe:
                self.close()
                raise ValueError(f"{self.path} holds a run of another recipe: choose another folder, or the recipe "
                                 f"in {self.path / 'recipe.json'}.")
        else:
            self.write_json("recipe.json", recipe.as_dict())

    def close(self) -> None:
        self.lock.release()

    def in_use(self) -> bool:
        """Return whether a process is training here now; one that died is not."""
        return self.lock.held()

    def recipe(self) -> Recipe:
        return read_recipe(self.path)

    def write_json(self, name: str, values: Any) -> None:
        write_text(self.path / name, json.dumps(values, indent=1) + "\n")

    def write_environment(self, data: Data, device: str | torch.device, epoch: int,
                          processes: int = 1) -> tuple[Any, dict[str, Any]]:
        """Return what the recipe does not say: the data, and for each session its first epoch, versions and commit.

        Returns the session before, or None, and this one.
        """
        path = self.path / "environment.json"
        try:
            known = from_json(path.read_text()) if path.exists() else {}
            sessions = list(known.get("sessions", []))
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} is not the JSON that was written there ({type(error).__name__}): restore it from "
                             "a copy, or move it away to go on without its record of earlier sessions.") from error
        session = {"from_epoch": epoch, "commit": commit(), "python": platform.python_version(),
                   "torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads(),
                   "processes": processes, "machine": platform.machine()}
        self.write_json("environment.json", {
            "data": data.name, "data_provenance": data.provenance,
            "n": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            "sessions": [*sessions, session]})
        return sessions[-1] if sessions else None, session

    def save(self, state: dict[str, Any], best: dict[str, Any] | None, evaluated: bool = False) -> None:
        """Write `last`, keeping the one before as `previous`; and `best`, when it is given.

        evaluated: the state is that of `last`, which it replaces, after its evaluation; `previous` stays.
        """
        if best is not None:
            save(self.path / "best.pt", best)
        if evaluated:
            save(self.path / "last.pt", state)
            return
        save(self.path / "next.pt", state)
        self.advance()

    def advance(self) -> None:
        """Rename next.pt to last.pt, and last.pt, if there is one and it is not damaged, to previous.pt."""
        last = self.path / "last.pt"
        if last.exists() and not self.last_is_damaged:
            os.replace(last, self.path / "previous.pt")
        os.replace(self.path / "next.pt", last)
        self.last_is_damaged = False

    def keep(self, state: dict[str, Any]) -> None:
        """Write checkpoints/epoch-0010.pt , a state after 10 epochs, which stays."""
        (self.path / "checkpoints").mkdir(exist_ok=True)
        save(self.kept_path(state["epoch"]), state)

    def kept_path(self, epoch: int) -> Path:
        return self.path / f"{kept_name(epoch)}.pt"

    def kept_epochs(self) -> list[int]:
        """Return the epochs after which a checkpoint was kept, in order."""
        return sorted(int(path.stem.partition("-")[2]) for path in self.path.glob("checkpoints/epoch-*.pt"))

    def read(self, name: str) -> tuple[dict[str, Any] | None, str | None]:
        """Return (state, None) of a checkpoint, or (None, what is wrong with the file)."""
        try:
            return run_checkpoint(self.path / name), None
        except ValueError as error:
            return None, str(error)

    def resume(self) -> tuple[dict[str, Any] | None, str | None]:
        """Return (state, complaint): the newest readable checkpoint, or None; complaint names a damaged newer one.

        For the process that holds the lock: it also finishes the renaming that a crash broke off.
        """
        complaint = None
        # next.pt is complete wherever it exists: it is what a crash between two renames leaves
        for name in ("next.pt", "last.pt", "previous.pt"):
            if (self.path / name).exists():
                state, reason = self.read(name)
                if state is not None:
                    if name == "next.pt":
                        self.last_is_damaged = self.read("last.pt")[0] is None
                        self.advance()
                    return state, complaint
                self.last_is_damaged |= name == "last.pt"
                complaint = complaint or reason
        if complaint:
            raise ValueError(complaint)
        return None, None

    def restore_best(self, state: dict[str, Any]) -> None:
        """Write best.pt again, from the checkpoint that holds it too, where it is gone."""
        if isinstance(state.get("best_state"), dict) and not (self.path / "best.pt").exists():
            save(self.path / "best.pt", state["best_state"])

    def write_metrics(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl, one line an epoch: the history of the checkpoint, whatever a crash left there."""
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history))

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl. OSError without the file, ValueError if it is damaged."""
        path = self.path / "metrics.jsonl"
        try:
            return [from_json(line) for line in path.read_text().splitlines()]
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}): continue the run, which writes it anew from its "
                             "checkpoint.") from error

    def model_state(self, which: str) -> dict[str, Any]:
        """Return the weights of checkpoint "best" or "last"."""
        path = self.path / f"{which}.pt"
        if not path.exists():
            raise ValueError(f"{self.path} has no checkpoint {which!r}: train it to its first evaluated epoch.")
        state, epochs = run_checkpoint(path), self.recipe().epochs
        if not whole(state["epoch"], 0, epochs):
            raise ValueError(f"{path} says that it is of epoch {state['epoch']!r}, but its recipe has {epochs} epochs: "
                             "restore it from a copy.")
        return state

    def last_is_cut(self) -> bool:
        """Return whether last.pt is no complete archive; what is in it is not read."""
        return not zipfile.is_zipfile(self.path / "last.pt")
