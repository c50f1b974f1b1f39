"""The device that a command computes on: its threads, memory and random generators.

torch is imported where it is needed, because the command lines read this module.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["keep_freed_memory", "memory_sentence", "own_generators", "positive", "seeded", "use_device"]

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's malloc.h
SAID = ("out of memory", "can't allocate memory")  # by CUDA and by torch's allocator for the CPU, as a RuntimeError


def positive(name: str, value: int | None, most: int = 10**6) -> None:
    if value is not None and not 1 <= value <= most:
        raise ValueError(f"{name} = {value} was given, but it must be from 1 to {most}: choose such a number.")


def keep_freed_memory() -> None:
    """Have glibc keep the memory of freed tensors for the next ones; nothing happens with another C library.

    By default it returns large blocks to the system at once and has every page of the next one zeroed anew: tens of
    thousands of page faults in each step of a training on the CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, -1)


def use_device(name: str, threads: int | None) -> str:
    import torch

    from deep.system.processes import usable
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True  # the images of a training have one size
    positive("--threads", threads, most=1024)
    if threads:
        torch.set_num_threads(threads)
    usable(name)
    return name


def memory_sentence(error: BaseException) -> str | None:
    """Return what to do about an error that says that memory was short; None for any other error.

    >>> memory_sentence(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."))
    "there is not enough memory (...): give the recipe a smaller batch=N or width=N, ..."
    >>> memory_sentence(RuntimeError("sizes differ")) is None
    True
    """
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError)
                                                   and any(words in str(error) for words in SAID)):
        return None
    first = str(error).strip().partition("\n")[0] or "MemoryError"
    return (f"there is not enough memory ({first.rstrip('.')}): give the recipe a smaller batch=N or width=N, or fewer "
            "images by train_size=N, or use a device that has more; a run goes on from its last checkpoint.")


def own_generators(device: "torch.device") -> "list[torch.Generator]":
    """Return torch's generators that a network on `device` draws from: that of the CPU, and the GPU's.

    >>> import torch
    >>> own_generators(torch.device("cpu")) == [torch.default_generator]
    True
    """
    import torch
    if device.type != "cuda":
        return [torch.default_generator]
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]


@contextmanager
def seeded(seed: int, device: "torch.device") -> Iterator[None]:
    """Start torch's own generators at `seed` in the block; after it they are where they were, even after an error.

    >>> import torch
    >>> before = torch.get_rng_state()
    >>> with seeded(1, torch.device("cpu")):
    ...     first = torch.rand(3)
    >>> with seeded(1, torch.device("cpu")):
    ...     print(torch.equal(torch.rand(3), first))
    True
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """
    generators = own_generators(device)
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
