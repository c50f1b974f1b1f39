"""One training in several processes (torchrun): each takes its rows of every batch, and all take the same step.

Every process draws all random numbers of a batch and uses those of its rows, batch norm takes its moments over all
rows, and gradients are summed: the training is that of one process, up to rounding, whatever the number of processes.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["Alone", "Lost", "Processes", "SyncedBatchNorm", "joined", "synced", "usable"]

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)

PATIENCE = timedelta(minutes=10)  # for a process that neither answers nor has ended, as behind a broken network


class Lost(Exception):
    """Another process of this training is gone."""

    status = 1  # of this process, when it ends

    def __str__(self) -> str:
        return ("another process of this training has ended or does not answer, so this one stops too: start the same "
                "command again, which goes on from the last checkpoint.")


@contextmanager
def raising_lost() -> Iterator[None]:
    """Raise `Lost` where a collective operation fails."""
    try:
        yield
    except RuntimeError as error:  # torch has no narrower type for a closed connection or a timeout
        raise Lost from error


class Alone:
    """A training in one process; `Processes` has the same methods for several."""

    rank, size = 0, 1

    def rows(self, n: int) -> tuple[int, int]:
        """Return this process's rows (begin, end) of n; rank r has those from r n/size to (r + 1) n/size."""
        return self.rank * n // self.size, (self.rank + 1) * n // self.size

    def maximum(self, number: int) -> int:
        """Return the largest of all processes' numbers."""
        return number

    def gather(self, value: T) -> list[T]:
        """Return all processes' values, in order of rank."""
        return [value]

    def call_on_first(self, make: Callable[[], T]) -> T:
        """Call `make` in the first process alone; return in all what it returned, and raise in all what it raised."""
        return make()

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model through which a step's images pass, so that `backward` leaves the same gradients in all."""
        return model

    def backward(self, loss: Float[Tensor, ""]) -> None:
        """Differentiate the sum over processes of their losses, each this process's part of a batch's."""
        loss.backward()

    def gather_rows(self, values: Float[Tensor, "n"]) -> Float[Tensor, "N"]:
        """Return the values of all rows of a batch, of which this process has `values`, those of its own rows."""
        return values

    def add_totals(self, totals: Float[Tensor, "4"]) -> Float[Tensor, "4"]:
        """Return all processes' totals: sums of the losses and of correct images; the first bad step, steps."""
        return totals


class Processes(Alone):
    """The processes of a torchrun: rank, size, and what they tell each other. A lost one raises `Lost`."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        # Python's numbers and objects go by the CPUs: they wait for no kernel of a GPU.
        self.control = distributed.new_group(backend="gloo", timeout=PATIENCE)

    def maximum(self, number: int) -> int:
        value = torch.tensor(number)
        with raising_lost():
            distributed.all_reduce(value, distributed.ReduceOp.MAX, group=self.control)
        return int(value.item())

    def gather(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.size
        with raising_lost():
            distributed.all_gather_object(values, value, group=self.control)
        return values

    def call_on_first(self, make: Callable[[], T]) -> T:
        told: list[Any] = [None, None]
        failed = None
        if self.rank == 0:
            try:
                told[0] = make()
            except BaseException as error:  # Interrupted, too: the others wait for word
                told[1] = failed = error
        with raising_lost():
            distributed.broadcast_object_list(told, 0, group=self.control)
        if told[1] is not None:
            raise failed or told[1]
        return told[0]

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model in DistributedDataParallel; an attack, which needs no weight's gradient, goes by `.module`.

        The graph is static, so that a weight which the loss does not use may be there. Batch norm's buffers are the
        same in all processes (`synced`) and are not sent.
        """
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch 2.13 renames broadcast_buffers
            return DistributedDataParallel(model, broadcast_buffers=False, static_graph=True)

    def backward(self, loss: Float[Tensor, ""]) -> None:
        with raising_lost():
            (loss * self.size).backward()  # DistributedDataParallel takes the mean over processes

    def gather_rows(self, values: Float[Tensor, "n"]) -> Float[Tensor, "N"]:
        return torch.cat([part.to(values.device) for part in self.gather(values.detach().cpu())])

    def add_totals(self, totals: Float[Tensor, "4"]) -> Float[Tensor, "4"]:
        parts = torch.stack(self.gather(totals.cpu()))
        bad = parts[:, 2][parts[:, 2] > 0]
        first = bad.amin() if len(bad) else torch.zeros((), dtype=parts.dtype)
        return torch.cat([parts[:, :2].sum(0), torch.stack([first, parts[0, 3]])]).to(totals.device)


class Sum(torch.autograd.Function):
    """The sum of x over processes. What follows it in all of them depends on each x: so does its gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        total = x.clone()
        with raising_lost():
            distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return Sum.forward(context, gradient)


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose mean and variance in training are those of all processes' images (n, c, h, w) together.

    torch's SyncBatchNorm does so on GPUs alone. Both moments are differentiated through, across processes.
    """

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        if not self.training:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        n = Sum.apply(wide.new_tensor(x.numel() // x.shape[1])).item()
        mean = Sum.apply(wide.sum((0, 2, 3))) / n
        centred = wide - mean.view(1, -1, 1, 1)
        variance = Sum.apply((centred ** 2).sum((0, 2, 3))) / n
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias.view(1, -1, 1, 1), centred, scale.view(1, -1, 1, 1)).to(x.dtype)


def synced(model: M, device: torch.device) -> M:
    """Return the model with every batch norm over all processes: torch's on a GPU, `SyncedBatchNorm` on a CPU.

    >>> list(synced(nn.Sequential(nn.BatchNorm2d(2)), torch.device("cpu")).children())
    [SyncedBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)]
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                other = SyncedBatchNorm(layer.num_features, layer.eps, layer.momentum).to(layer.weight)
                other.load_state_dict(layer.state_dict())
                setattr(parent, name, other)
    return model


def usable(device: str) -> None:
    """Raise ValueError unless torch can put a number on the device."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {device} cannot be used here: choose cpu, or a device that torch "
                         "sees.") from error


@contextmanager
def joined(device: str) -> Iterator[tuple[Alone, str]]:
    """Yield (processes, device): those that torchrun started, and cuda as this one's own; alone, `Alone()`.

    device: as text. torchrun says how many there are in WORLD_SIZE, and which GPU is this one's in LOCAL_RANK.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Alone(), device
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if device.startswith("cuda"):
        usable(device)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield Processes(), device
    finally:
        distributed.destroy_process_group()
