"""One training in several processes (torchrun): each takes its rows of every batch, and all take the same step.

Every process draws all random numbers of a batch and uses those of its rows, batch norm takes its moments over all
rows, and gradients are summed: the training is that of one process, up to rounding, whatever the number of processes.
"""

import os
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed, nn

__all__ = ["Alone", "Lost", "Processes", "SyncedBatchNorm", "check_shared", "joined", "synced",
           "usable"]

PATIENCE = timedelta(minutes=10)  # for a process that neither answers nor has ended, as behind a broken network


class Lost(Exception):
    """Another process of this training is gone."""

    status = 1  # of this process, when it ends

    def __str__(self):
        return ("another process of this training has ended or does not answer, so this one stops too: start the same "
                "command again, which goes on from the last checkpoint.")


@contextmanager
def noticing():
    """Raise `Lost` where a collective operation fails."""
    try:
        yield
    except RuntimeError as error:  # torch has no narrower type for a closed connection or a timeout
        raise Lost from error


class Alone:
    """A training in one process; `Processes` has the same methods for several."""

    rank, size = 0, 1

    def rows(self, n):
        """This process's rows (begin, end) of n; rank r has those from r n/size to (r + 1) n/size."""
        return self.rank * n // self.size, (self.rank + 1) * n // self.size

    def highest(self, number):
        """The highest of all processes' numbers."""
        return number

    def everyone(self, value):
        """A list of all processes' values, in order of rank."""
        return [value]

    def of_the_first(self, make):
        """What make() returns in the first process, where alone it is called; what it raises is raised in all."""
        return make()

    def sum_gradients(self, parameters):
        """Each parameter's gradient becomes the sum over processes."""

    def all_rows(self, values):
        """The values of all rows of a batch, of which this process has `values` (n,), of its own rows."""
        return values

    def merged(self, totals):
        """The totals of all processes: sums of the losses and of correct images; the first bad step, steps."""
        return totals


class Processes(Alone):
    """The processes of a torchrun: rank, size, and what they tell each other. A lost one raises `Lost`."""

    def __init__(self):
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        # Python's numbers and objects go by the CPUs: they wait for no kernel of a GPU.
        self.control = distributed.new_group(backend="gloo", timeout=PATIENCE)

    def highest(self, number):
        value = torch.tensor(number)
        with noticing():
            distributed.all_reduce(value, distributed.ReduceOp.MAX, group=self.control)
        return value.item()

    def everyone(self, value):
        values = [None] * self.size
        with noticing():
            distributed.all_gather_object(values, value, group=self.control)
        return values

    def of_the_first(self, make):
        told, failed = [None, None], None
        if self.rank == 0:
            try:
                told[0] = make()
            except BaseException as error:  # Interrupted, too: the others wait for word
                told[1] = failed = error
        with noticing():
            distributed.broadcast_object_list(told, 0, group=self.control)
        if told[1] is not None:
            raise failed or told[1]
        return told[0]

    def sum_gradients(self, parameters):
        """One sum of all gradients after the backward. DistributedDataParallel would hide it behind the backward, at
        the price of a model that an attack cannot differentiate and a graph cannot record; ten attack steps hide more.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with noticing():
            distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def all_rows(self, values):
        return torch.cat([part.to(values.device) for part in self.everyone(values.detach().cpu())])

    def merged(self, totals):
        parts = torch.stack(self.everyone(totals.cpu()))
        bad = parts[:, 2][parts[:, 2] > 0]
        first = bad.amin() if len(bad) else torch.zeros((), dtype=parts.dtype)
        return torch.cat([parts[:, :2].sum(0), torch.stack([first, parts[0, 3]])]).to(totals.device)


class Sum(torch.autograd.Function):
    """The sum of x over processes. What follows it in all of them depends on each x: so does its gradient."""

    @staticmethod
    def forward(context, x):
        total = x.clone()
        with noticing():
            distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient):
        return Sum.forward(context, gradient)


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose mean and variance in training are those of all processes' images (n, c, h, w) together.

    torch's SyncBatchNorm does so on GPUs alone. Both moments are differentiated through, across processes.
    """

    def forward(self, x):
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


def synced(model, device):
    """The model with every batch norm over all processes: torch's on a GPU, `SyncedBatchNorm` on a CPU.

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


def check_shared(recipe, n, processes):
    """ValueError for a recipe, with n training images, that so many processes cannot train together."""
    if processes == 1:
        return
    last = n % recipe.batch or recipe.batch
    if last < processes:
        raise ValueError(f"the last batch of an epoch has {last} of {n} images for {processes} processes, but each "
                         "needs one: choose another batch or train_size, or fewer processes.")
    if recipe.compile:
        raise ValueError(f"compile = true was given with {processes} processes, but only one process is compiled: "
                         "leave compile out, or start one process.")


def usable(device):
    """ValueError unless torch can put a number on the device."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {device} cannot be used here: choose cpu, or a device that torch "
                         "sees.") from error


@contextmanager
def joined(device):
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
