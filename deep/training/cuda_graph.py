"""One training step as one CUDA graph: attack, forward and backward are recorded once and replayed.

At batch 128 a GPU finishes the kernels of a small network sooner than a CPU can launch them.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deep.system.device import own_generators
from deep.training.state import State

__all__ = ["GraphedGradients"]

WARMUPS = 3  # torch asks for warm-up on a side stream: libraries choose and allocate there, not in the graph


class GraphedGradients:
    """`gradients(x, y)` of a training by replay, for batches of one size; others run as they are.

    What the recording fixes is whatever is decided in Python: which teachers there are, and whether clipping and
    dropping have begun. `phase` names that; another phase is recorded anew.
    """

    def __init__(self, training: State, gradients: Callable[[Tensor, Tensor], None]) -> None:
        self.training, self.run = training, gradients
        self.phase: tuple[bool, float, int] | None = None

    def __call__(self, x: Float[Tensor, "n c h w"], y: Int[Tensor, "n"]) -> None:
        training = self.training
        if len(y) != training.recipe.batch:
            self.run(x, y)
            return
        phase = (training.trimming, training.smoothing, len(training.teachers.active()))
        if phase != self.phase:
            self.record(x, y)
            self.phase = phase
        self.x.copy_(x)
        self.y.copy_(y)
        self.graph.replay()
        for parameter, gradient in zip(training.model.parameters(), self.gradients, strict=True):
            parameter.grad = gradient

    def record(self, x: Float[Tensor, "n c h w"], y: Int[Tensor, "n"]) -> None:
        """Warm up, record, and put back all that the warm-up changed."""
        training = self.training
        self.x, self.y = x.clone(), y.clone()
        changing = [*training.model.buffers(), training.totals]
        kept = [value.clone() for value in changing]
        generators = [generator for generator in training.generators.values() if generator.device.type == "cuda"]
        drawn = [*generators, *own_generators(training.device)]
        states = [generator.get_state() for generator in drawn]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUPS):
                self.run(self.x, self.y)
        torch.cuda.current_stream().wait_stream(stream)
        training.optimiser.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self.graph.register_generator_state(generator)
        with torch.cuda.graph(self.graph):
            self.run(self.x, self.y)
        self.gradients = [parameter.grad for parameter in training.model.parameters()]
        for value, old in zip(changing, kept, strict=True):
            value.copy_(old)
        for generator, state in zip(drawn, states, strict=True):
            generator.set_state(state)
