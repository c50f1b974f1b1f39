"""The device that a command computes on, and its threads and memory."""

import ctypes

__all__ = ["keep_freed_memory", "memory_sentence", "positive", "use_device"]

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's malloc.h
SAID = ("out of memory", "can't allocate memory")  # by CUDA and by torch's allocator for the CPU, as a RuntimeError


def positive(name, value, most=10**6):
    if value is not None and not 1 <= value <= most:
        raise ValueError(f"{name} = {value} was given, but it must be from 1 to {most}: choose such a number.")


def keep_freed_memory():
    """Have glibc keep the memory of freed tensors for the next ones; nothing happens with another C library.

    By default it returns large blocks to the system at once and has every page of the next one zeroed anew: tens of
    thousands of page faults in each step of a training on the CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, -1)


def use_device(name, threads):
    import torch

    from deep.system.processes import usable
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True  # the images of a training have one size
    positive("--threads", threads, most=1024)
    if threads:
        torch.set_num_threads(threads)
    usable(name)
    return name


def memory_sentence(error):
    """What to do about an error that says that memory was short; None for any other error.

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
