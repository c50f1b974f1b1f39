"""The step as a CUDA graph, with a graph that runs on a CPU, and the compiled step: both are the plain step."""

from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from deep.recipe.recipe import recipe_named
from deep.training.benchmark import random_data
from deep.training.cuda_graph import GraphedGradients
from deep.training.step import Training

# Two batches of 8 images an epoch and one of 4. Batch norm, random starts and random drops have states of their own;
# dropping begins with the second epoch, and so does the teacher, which is the network before it.
WORDS = ["width=2", "batch=8", "steps=1", "epochs=3", "bf16=false", "padding=1", "trim=1/4", "trim_kind=random",
         "trim_from=1/3", "teacher=self", "teacher_share=0.5", "teacher_from=1/3"]


class OnGPU(torch.Generator):
    """A generator of the CPU that says it is a GPU's."""

    device = torch.device("cuda")


class Recorded(list):
    """The graphs of `training`, in order."""

    training = None


class Graph:
    """Replays the recorded step on a CPU: from the recorded inputs, into the recorded gradients, in the epoch of then.

    Unlike a GPU's it has also taken the step while it recorded it.
    """

    def __init__(self):
        self.generators = []  # registered

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def replay(self):
        training, now = self.training, self.training.epoch
        parameters = list(training.model.parameters())
        before = [parameter.grad for parameter in parameters]
        training.epoch = self.epoch
        training.gradients(self.x, self.y)
        training.epoch = now
        for kept, parameter, old in zip(self.gradients, parameters, before, strict=True):
            kept.copy_(parameter.grad)
            parameter.grad = old  # a replay sets no attribute of Python


@pytest.fixture
def recorded(monkeypatch):
    """The graphs that are recorded, by fakes of what torch.cuda does for them."""
    found = Recorded()

    @contextmanager
    def record(graph):
        training = graph.training = found.training
        assert all(parameter.grad is None for parameter in training.model.parameters())  # they will be the graph's own
        yield
        graph.epoch, graph.x, graph.y = training.epoch, training.step_gradients.x, training.step_gradients.y
        graph.gradients = [parameter.grad for parameter in training.model.parameters()]
        found.append(graph)

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in {"Stream": lambda: stream, "current_stream": lambda: stream, "stream": nullcontext,
                       "CUDAGraph": Graph, "graph": record}.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return found


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(*words):
    return Training(recipe_named("at-cpu", [*WORDS, *words]), random_data(20, (3, 8, 8)), "cpu")


def everything(training):
    """All that a step changes, and the gradients that it leaves."""
    state = training.state()
    moved = [*state["model"].items(), ("totals", state["totals"]), *state["generators"].items()]
    gradients = ((f"gradient of {name}", parameter.grad) for name, parameter in training.model.named_parameters())
    return dict(moved) | dict(gradients)


def steps(training):
    """`everything` after each of three epochs' steps, copied."""
    for training.epoch in range(3):
        training.step, training.order = 0, None
        training.begin_epoch()
        for _ in range(training.batches):
            training.train_batch()
            yield {name: value.clone() for name, value in everything(training).items()}


def test_a_replayed_step_is_the_step_and_recording_leaves_no_trace(recorded, float64):
    plain, graphed = made(), made()
    graphed.generators |= {name: OnGPU() for name in ("attack", "trim")}
    for name, generator in graphed.generators.items():
        generator.set_state(plain.generators[name].get_state())
    graphed.step_gradients, recorded.training = GraphedGradients(graphed, graphed.gradients), graphed
    count = 0
    for ours, expected in zip(steps(graphed), steps(plain), strict=True):
        count += 1
        for name, value in expected.items():
            assert torch.equal(ours[name], value), (count, name)
    assert count == 9 and expected["totals"][3] == 9
    assert [graph.epoch for graph in recorded] == [0, 1]  # anew where dropping and the teacher begin, and only there
    assert [graph.generators for graph in recorded] == [[graphed.generators["attack"], graphed.generators["trim"]]] * 2


@pytest.mark.slow
def test_the_compiled_step_is_the_step(float64, monkeypatch):
    """Traced by Dynamo, differentiated ahead of time, and run without a compiler."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    small = ["model=wideresnet", "depth=10", "width=4"]
    plain, compiled = made(*small), made(*small, "compile=true")
    assert compiled.step_gradients == compiled.gradients and compiled.network is not compiled.model
    for training in (plain, compiled):
        training.train_batch()
    ours, expected = everything(compiled), everything(plain)
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-9)
