"""Out of memory, on a CPU or a GPU, in one sentence."""

__all__ = ["memory_sentence"]

SAID = ("out of memory", "can't allocate memory")  # by CUDA and by torch's allocator for the CPU, as a RuntimeError


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
