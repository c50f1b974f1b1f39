"""Torch's own generators, from which layers such as Dropout draw: they begin at a seed, and come back as they were."""

from contextlib import contextmanager

import torch

__all__ = ["own_generators", "seeded"]


def own_generators(device):
    """Torch's generators that a network on `device` draws from: that of the CPU, and the GPU's.

    >>> own_generators(torch.device("cpu")) == [torch.default_generator]
    True
    """
    if device.type != "cuda":
        return [torch.default_generator]
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]


@contextmanager
def seeded(seed, device):
    """In the block torch's own generators begin at `seed`; afterwards they are where they were, even after an error.

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
