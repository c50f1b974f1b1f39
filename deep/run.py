"""A run folder: recipe.json, metrics.jsonl, checkpoints `last`, `previous`, `best`, environment.json.

Every file is written beside its place, synced and renamed, so that a crash leaves the old one or the new one.
"""

import fcntl
import json
import os
import platform
import subprocess
from pathlib import Path

import torch

from deep.recipe import recipe_from_dict

__all__ = ["RunFolder", "commit", "load_checkpoint", "write_atomically"]


def write_atomically(path, write):
    """Call write(file) on a temporary file next to `path`, sync it, and rename it to `path`."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def commit():
    """The commit of the code, with "+" when tracked files were changed since; None outside a checkout."""
    def git(*words):
        return subprocess.run(["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True,
                              check=True).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def load_checkpoint(path):
    """Tensors and plain containers only; ValueError names a file that is cut, corrupt or something else."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage with half a dozen exception types
        raise ValueError(f"{path} is not a readable checkpoint ({type(error).__name__}): restore it from a copy, "
                         "or remove it to go on from the one before.") from error


class RunFolder:
    """The files of one run. A folder is continued, never overwritten; one process at a time may train in it."""

    def __init__(self, path):
        self.path = Path(path)

    def open_for_training(self, recipe):
        """Create the folder, or check that it holds this very recipe; lock it for this process."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.path / "lock", "w")  # noqa: SIM115 - held open for the whole training
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.lock.close()
            raise ValueError(f"{self.path} is being trained by another process: wait for it, or choose another "
                             "folder.") from None
        if (self.path / "recipe.json").exists():
            if self.recipe() != recipe:
                self.close()
                raise ValueError(f"{self.path} holds a run of another recipe: choose another folder, or the recipe "
                                 f"in {self.path / 'recipe.json'}.")
        else:
            self.write_json("recipe.json", recipe.as_dict())

    def close(self):
        self.lock.close()

    def recipe(self):
        try:
            return recipe_from_dict(json.loads((self.path / "recipe.json").read_text()))
        except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"{self.path} is not a run folder: it has no readable recipe.json; pass a folder that "
                             "`deep train` made.") from error

    def write_json(self, name, values):
        text = json.dumps(values, indent=1) + "\n"
        write_atomically(self.path / name, lambda file: file.write(text.encode()))

    def write_environment(self, data, device, epoch):
        """What the recipe does not say: the data, and for each session its first epoch, versions and commit."""
        path = self.path / "environment.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        session = {"from_epoch": epoch, "commit": commit(), "python": platform.python_version(),
                   "torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads(),
                   "machine": platform.machine()}
        self.write_json("environment.json", {
            "data": data.name, "data_provenance": data.provenance,
            "n": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            "sessions": [*known.get("sessions", []), session]})

    def save(self, state, best):
        """Write `last`, keeping the one before as `previous`; and `best`, when it is given."""
        if best is not None:
            write_atomically(self.path / "best.pt", lambda file: torch.save(best, file))
        last = self.path / "last.pt"
        write_atomically(self.path / "next.pt", lambda file: torch.save(state, file))
        if last.exists():
            os.replace(last, self.path / "previous.pt")
        os.replace(self.path / "next.pt", last)

    def keep(self, state):
        """Write checkpoints/epoch-0010.pt , a state after 10 epochs, which stays."""
        (self.path / "checkpoints").mkdir(exist_ok=True)
        write_atomically(self.kept_path(state["epoch"]), lambda file: torch.save(state, file))

    def kept_path(self, epoch):
        return self.path / "checkpoints" / f"epoch-{epoch:04d}.pt"

    def kept_epochs(self):
        """The epochs after which a checkpoint was kept, in order."""
        return sorted(int(path.stem.partition("-")[2]) for path in self.path.glob("checkpoints/epoch-*.pt"))

    def resume(self):
        """(state, complaint): the newest readable checkpoint, or None; complaint names a damaged newer one."""
        complaint = None
        # next.pt is complete wherever it exists: it is what a crash between two renames leaves
        for name in ("next.pt", "last.pt", "previous.pt"):
            if (self.path / name).exists():
                try:
                    return load_checkpoint(self.path / name), complaint
                except ValueError as error:
                    complaint = complaint or str(error)
        if complaint:
            raise ValueError(complaint)
        return None, None

    def write_metrics(self, history):
        """metrics.jsonl, one line an epoch: always the history of the checkpoint, whatever a crash left there."""
        lines = "".join(json.dumps(line) + "\n" for line in history)
        write_atomically(self.path / "metrics.jsonl", lambda file: file.write(lines.encode()))

    def metrics(self):
        return [json.loads(line) for line in (self.path / "metrics.jsonl").read_text().splitlines()]

    def model_state(self, which):
        """The weights of checkpoint "best" or "last"."""
        path = self.path / f"{which}.pt"
        if not path.exists():
            raise ValueError(f"{self.path} has no checkpoint {which!r}: train it to its first evaluated epoch.")
        state = load_checkpoint(path)
        if not isinstance(state, dict) or not {"model", "epoch"} <= state.keys():
            raise ValueError(f"{path} is a file of torch but no checkpoint of a run: restore it from a copy.")
        return state
